//! Output made to harm viewers: a viewer's terminal gets only the sequences on the list.

#[path = "terminal/allowed.rs"]
mod allowed;

use beach_core::terminal::{Abilities, Emulator, Line, LineCommits, Options, Overlay, Painter, Screen, Size, Window};
use beach_core::time::Timestamp;

/// Strings that terminals somewhere act upon: titles and their reports, clipboards, files, notifications, images, keys
/// that are typed back.
const STRINGS: &[&str] = &[
    "]0;title",
    "]1;icon",
    "]2;rm -rf ~\n",
    "]4;1;?",
    "]4;1;rgb:ff/00/00",
    "]7;file://host/etc",
    "]8;;file:///etc/passwd",
    "]8;;javascript:alert(1)",
    "]8;;https://a b",
    "]8;id=x;http://ok.test/\x07text",
    "]9;notify",
    "]9;4;1;50",
    "]10;?",
    "]11;?",
    "]12;?",
    "]50;font",
    "]51;Ecall",
    "]52;c;?",
    "]52;c;cm0gLXJmIH4K",
    "]52;p;!",
    "]104",
    "]133;A",
    "]1337;File=inline=1:AAAA",
    "]1337;RequestUpload=format=tgz",
    "]777;notify;a;b",
    "P$q\"p",
    "P$qm",
    "P+q544e",
    "P>|x",
    "P1$r0m",
    "Pq#0;2;0;0;0~-",
    "P0;1|17/ab",
    "_Ga=T,f=100;AAAA",
    "^privacy",
    "Xstart of string",
    "k title",
    "]L name",
    "]l label",
    "]I/etc/icon",
];

/// Sequences of the same kind.
const SEQUENCES: &[&str] = &[
    "[c",
    "[>c",
    "[=c",
    "[0c",
    "[5n",
    "[6n",
    "[?6n",
    "[?15n",
    "[?26n",
    "[21t",
    "[20t",
    "[14t",
    "[16t",
    "[18t",
    "[1t",
    "[2t",
    "[3;0;0t",
    "[4;500;500t",
    "[8;500;500t",
    "[9;1t",
    "[10;1t",
    "[22;0t",
    "[23;0t",
    "[?1$p",
    "[?2026$p",
    "[4$p",
    "[>q",
    "[>0q",
    "[?u",
    "[>1u",
    "[=31;1u",
    "[<5u",
    "[>4;2m",
    "[?4m",
    "[2J",
    "[3J",
    "[22J",
    "[1;5r",
    "[5M",
    "[5L",
    "[99999S",
    "[99999T",
    "[65535b",
    "[99999@",
    "[99999P",
    "[99999X",
    "[?1049h",
    "[?47h",
    "[?1047h",
    "[?1048h",
    "[?3h",
    "[?5h",
    "[?6h",
    "[?8h",
    "[?9h",
    "[?12h",
    "[?25l",
    "[?40h",
    "[?45h",
    "[?66h",
    "[?69h",
    "[?1000h",
    "[?1001h",
    "[?1002h",
    "[?1003h",
    "[?1004h",
    "[?1005h",
    "[?1006h",
    "[?1015h",
    "[?1016h",
    "[?1034h",
    "[?1035h",
    "[?2004h",
    "[?2026h",
    "[?2027h",
    "[?2031h",
    "[?2048h",
    "[?9001h",
    "[4h",
    "[20h",
    "[2h",
    "[12h",
    "[5i",
    "[4i",
    "[?5i",
    "[!p",
    "[61\"p",
    "[0\"q",
    "[999 q",
    "[1;1;1;1;1$r",
    "[1;1;9;9$x",
    "[1;1;9;9$z",
    "[1;1;9;9;1;2;2;1$v",
    "[1*x",
    "[1;1,|",
    "[0x",
    "[1x",
    "[1'{",
    "[1'|",
    "[1;1'z",
    "[38;2;1;2;3;4;5;6m",
    "[38:2::999:999:999m",
    "[4:9m",
    "[58:2::1:2:3m",
    "[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19m",
    "c",
    "#8",
    "#3",
    "#4",
    "#6",
    "%G",
    "%@",
    "(0",
    ")0",
    "*A",
    "n",
    "o",
    "|",
    "}",
    "~",
    "=",
    ">",
    "7",
    "8",
    "D",
    "E",
    "H",
    "M",
    "N",
    "O",
    "Z",
    " F",
    " G",
    " L",
    "l",
    "m",
    "\\",
];

/// Characters that turn text around, hide it, or are controls in eight bits.
const TEXTS: &[&str] = &[
    "\u{202e}txt.exe",
    "\u{2066}abc\u{2069}",
    "\u{200f}\u{200e}",
    "\u{feff}",
    "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}",
    "\u{9b}6n",
    "\u{9d}52;c;?\u{9c}",
    "\u{90}$qm\u{9c}",
    "\u{85}\u{84}\u{8d}",
    "\x05",
    "\x0e\x0f",
    "\x00\x01\x02",
    "\x7f\x7f",
    "\x18\x1a",
    "\u{fff9}x\u{fffb}",
    "\u{e0001}\u{e0041}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{10ffff}\u{fdd0}",
];

fn hostile() -> Vec<Vec<u8>> {
    let strings =
        STRINGS.iter().flat_map(|string| ["\x07", "\x1b\\", ""].map(|end| format!("\x1b{string}{end}").into_bytes()));
    let sequences = SEQUENCES.iter().map(|sequence| format!("\x1b{sequence}").into_bytes());
    strings.chain(sequences).chain(TEXTS.iter().map(|text| text.as_bytes().to_vec())).collect()
}

/// Shows a viewer's painter what the emulator holds.
fn look(emulator: &mut Emulator, screen: &mut Screen, painter: &mut Painter, at: u64, out: &mut Vec<u8>) {
    emulator.end_synchronized();
    emulator.frame();
    let head = emulator.head().clone();
    for number in head.top..head.top + u64::from(head.size.rows) {
        let (version, line) = emulator.line(head.space, number).expect("a line of the window");
        screen.merge_line(head.space, number, version, false, Line::decode(line).expect("its own encoding"));
    }
    screen.merge_head(head);
    screen.merge_commits(&LineCommits::default());
    painter.title(emulator.title().unwrap_or_default());
    painter.paint(Timestamp::from_micros(at), screen, &Overlay::default(), out);
}

#[test]
fn whatever_a_program_prints_a_viewer_s_terminal_gets_only_what_is_on_the_list_and_answers_nothing() {
    let all = hostile();
    assert!(all.len() >= 200, "{}", all.len());
    let size = Size::new(40, 10);
    for (index, attack) in all.iter().enumerate() {
        let (mut emulator, mut screen) = (Emulator::new(size, 100), Screen::default());
        let mut painter =
            Painter::new(size, Options { abilities: Abilities::ALL, alternate: false, window: Window::Own });
        // The person's own terminal: whoever asks it something gets an answer, which would be typed into the session.
        let mut own = Emulator::new(size, 1000);
        let mut started = Vec::new();
        painter.start(&mut started);
        allowed::check(&started, true).expect("the start is on the list");
        for (step, text) in
            [b"before ".as_slice(), attack, b" after\r\n", attack, attack, b"\r\nend"].into_iter().enumerate()
        {
            let mut painted = Vec::new();
            emulator.feed(text);
            look(&mut emulator, &mut screen, &mut painter, (index * 1000 + step) as u64, &mut painted);
            let shown = String::from_utf8_lossy(attack).into_owned();
            allowed::check(&painted, false).unwrap_or_else(|what| panic!("after {shown:?}: {what}"));
            own.feed(&painted);
            assert_eq!(own.take_replies(), b"", "{shown:?} makes the viewer's terminal answer");
            let title = emulator.title().unwrap_or_default();
            assert_eq!(own.title().unwrap_or_default(), title, "{shown:?} is not the viewer's title");
            assert!(title.chars().count() <= 256 && !title.chars().any(char::is_control), "{title:?}");
            assert_eq!(own.take_clipboard(), None, "{shown:?} writes to the viewer's clipboard");
        }
    }
}
