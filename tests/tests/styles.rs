//! Styles and wrapped lines, from what a program writes to what a viewer's terminal shows.

use beach_core::terminal::{
    Abilities, Attributes, Color, Emulator, Line, LineCommits, Options, Overlay, Painter, Screen, Size, Space, Style,
    Underline, Window,
};
use beach_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

const SIZE: Size = Size { cols: 20, rows: 6 };

fn window(emulator: &mut Emulator) -> Vec<Line> {
    emulator.end_synchronized();
    emulator.frame();
    let head = emulator.head();
    let lines = (head.top..).take(head.size.rows.into());
    lines.map(|number| Line::decode(emulator.line(head.space, number).expect("a row").1).expect("canonical")).collect()
}

/// The acts of a program: styles, text and movements of the cursor.
#[derive(Clone, Debug)]
enum Act {
    /// SGR with these parameters.
    Select(Vec<&'static str>),
    Save,
    Restore,
    Write,
}

const PARAMETERS: [&str; 27] = [
    "0", "", "1", "2", "3", "4", "4:0", "4:1", "4:2", "4:3", "4:4", "4:5", "5", "6", "7", "9", "21", "22", "24", "25",
    "27", "29", "53", "53", "55", "38;5;53", "39",
];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let select = vec(proptest::sample::select(PARAMETERS.as_slice()), 1..5).prop_map(Act::Select);
    vec(prop_oneof![6 => select, 1 => Just(Act::Save), 1 => Just(Act::Restore), 4 => Just(Act::Write)], 1..40)
}

/// ECMA-48, 8.3.117, with xterm's kinds of underlines: one parameter after the other.
fn select(style: &mut Style, parameter: &str) {
    let (on, off): (Attributes, Attributes) = match parameter {
        "" | "0" => {
            *style = Style::default();
            return;
        }
        "4" | "4:1" | "4:2" | "21" | "4:3" | "4:4" | "4:5" | "4:0" | "24" => {
            style.underline = match parameter {
                "4" | "4:1" => Underline::Single,
                "4:2" | "21" => Underline::Double,
                "4:3" => Underline::Curly,
                "4:4" => Underline::Dotted,
                "4:5" => Underline::Dashed,
                _ => Underline::None,
            };
            return;
        }
        "1" => (Attributes::BOLD, Attributes::NONE),
        "2" => (Attributes::DIM, Attributes::NONE),
        "3" => (Attributes::ITALIC, Attributes::NONE),
        "5" | "6" => (Attributes::BLINK, Attributes::NONE),
        "7" => (Attributes::INVERSE, Attributes::NONE),
        "9" => (Attributes::STRIKE, Attributes::NONE),
        "38;5;53" | "39" => {
            style.foreground = if parameter == "39" { Color::Default } else { Color::Indexed(53) };
            return;
        }
        "53" => (Attributes::OVERLINE, Attributes::NONE),
        "22" => (Attributes::NONE, Attributes::BOLD.with(Attributes::DIM)),
        "25" => (Attributes::NONE, Attributes::BLINK),
        "27" => (Attributes::NONE, Attributes::INVERSE),
        "29" => (Attributes::NONE, Attributes::STRIKE),
        "55" => (Attributes::NONE, Attributes::OVERLINE),
        other => panic!("{other} is not in the list"),
    };
    style.attributes = style.attributes.without(off).with(on);
}

/// The bytes of the acts, and the styles of the characters that they write on one row of a wide terminal.
fn played(acts: &[Act]) -> (Vec<u8>, Vec<Style>) {
    let (mut bytes, mut styles) = (b"\x1b7".to_vec(), Vec::new());
    let (mut style, mut saved) = (Style::default(), Style::default());
    for act in acts {
        match act {
            Act::Select(parameters) => {
                parameters.iter().for_each(|parameter| select(&mut style, parameter));
                bytes.extend_from_slice(format!("\x1b[{}m", parameters.join(";")).as_bytes());
            }
            Act::Save => {
                saved = style.clone();
                bytes.extend_from_slice(b"\x1b7");
            }
            Act::Restore => {
                style = saved.clone();
                // The cursor goes on where it was.
                bytes.extend_from_slice(format!("\x1b8\x1b[{}G", styles.len() + 1).as_bytes());
            }
            Act::Write => {
                styles.push(style.clone());
                bytes.push(b'x');
            }
        }
    }
    (bytes, styles)
}

/// The style of each column of a line.
fn styles_of(line: &Line) -> Vec<Style> {
    line.runs.iter().flat_map(|run| run.text.chars().map(|_| run.style.clone())).collect()
}

/// A viewer's terminal, in which a painter paints.
struct Person {
    screen: Screen,
    painter: Painter,
    terminal: Emulator,
    size: Size,
}

impl Person {
    fn new(size: Size, abilities: Abilities) -> Person {
        let mut painter = Painter::new(size, Options { abilities, alternate: false, window: Window::Own });
        let mut terminal = Emulator::new(size, 1_000);
        let mut out = Vec::new();
        painter.start(&mut out);
        terminal.feed(&out);
        Person { screen: Screen::new(1_000), painter, terminal, size }
    }

    /// Is told everything, and paints; returns what was written.
    fn sees(&mut self, emulator: &mut Emulator) -> String {
        emulator.frame();
        self.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
        let head = emulator.head().clone();
        let finals = (emulator.base()..emulator.top()).map(|number| (Space::Main, number, true));
        let shown = (head.top..).take(head.size.rows.into()).map(|number| (head.space, number, false));
        for (space, number, is_final) in finals.chain(shown) {
            let (version, bytes) = emulator.line(space, number).expect("it is kept");
            self.screen.merge_line(space, number, version, is_final, Line::decode(bytes).expect("canonical"));
        }
        self.screen.merge_head(head);
        let mut out = Vec::new();
        let mut now = Timestamp::ZERO;
        self.painter.paint(now, &mut self.screen, &Overlay::default(), &mut out);
        while let Some(at) = self.painter.deadline() {
            now = now.max(at);
            self.painter.paint(now, &mut self.screen, &Overlay::default(), &mut out);
        }
        self.terminal.feed(&out);
        String::from_utf8(out).expect("text")
    }

    /// The lines that left the window since the start.
    fn scrollback(&self) -> Vec<Line> {
        let numbers = self.terminal.base() + u64::from(self.size.rows)..self.terminal.top();
        numbers
            .map(|number| Line::decode(self.terminal.line(Space::Main, number).expect("kept").1).expect("canonical"))
            .collect()
    }
}

/// Text of one column a character, wrapped here and there, in styles.
fn script() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        2 => "[a-z]{1,50}",
        2 => "[a-z]{1,6}( [a-z]{1,6}){0,12}",
        2 => Just("\r\n".to_owned()),
        3 => vec(proptest::sample::select(PARAMETERS.as_slice()), 1..4).prop_map(|all| format!("\x1b[{}m", all.join(";"))),
        2 => (1..7u16, 1..21u16).prop_map(|(row, column)| format!("\x1b[{row};{column}H")),
        1 => proptest::sample::select(["\x1b[K", "\x1b[1K", "\x1b[J", "\x1b[2P", "\x1b[3@", "\x1b[L", "\x1b[M", "\x1b[?1049h",
            "\x1b[?1049l", "\r", "\x1bM"].as_slice()).prop_map(str::to_owned),
    ];
    vec(vec(piece, 1..6).prop_map(|pieces| pieces.concat()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_attribute_is_on_until_it_is_switched_off(acts in acts()) {
        let (bytes, styles) = played(&acts);
        let mut emulator = Emulator::new(Size::new(60, 2), 10);
        emulator.feed(&bytes);
        prop_assert_eq!(styles_of(&window(&mut emulator)[0]), styles);
    }

    #[test]
    fn a_viewers_terminal_holds_the_same_lines_in_the_same_styles_and_wrapped_alike(script in script()) {
        let mut emulator = Emulator::new(SIZE, 1_000);
        let mut person = Person::new(SIZE, Abilities::ALL);
        for bytes in script {
            emulator.feed(bytes.as_bytes());
            person.sees(&mut emulator);
            let mut expected = window(&mut emulator);
            // The rest of a line may have been pushed out at the bottom; nothing stands below to go on in.
            expected.last_mut().expect("rows").wrapped = false;
            prop_assert_eq!(window(&mut person.terminal), expected);
        }
        emulator.feed(b"\x1b[?1049l");
        person.sees(&mut emulator);
        person.terminal.frame();
        let finals = emulator.base()..emulator.top();
        let finals = finals.map(|number| Line::decode(emulator.line(Space::Main, number).expect("kept").1).expect("canonical"));
        prop_assert_eq!(person.scrollback(), finals.collect::<Vec<_>>());
    }
}

#[test]
fn styles_are_painted_as_far_as_the_viewers_terminal_has_them() {
    let xterm = Abilities::of(Some("xterm"), None, false);
    let tmux = Abilities::of(Some("tmux-256color"), None, false);
    for (abilities, sgr, painted) in [
        (xterm, "1;21", "\x1b[0;4;21;1mX"),
        (tmux, "1;21", "\x1b[0;1;4:2mX"),
        (tmux, "4:3", "\x1b[0;4:3mX"),
        (xterm, "4:3", "\x1b[0;4mX"),
        (xterm, "5", "\x1b[0;5mX"),
        (tmux, "6", "\x1b[0;5mX"),
        (tmux, "53", "\x1b[0;53mX"),
        (Abilities::of(Some("vt100"), None, false), "1;53", "\x1b[0;1mX"),
    ] {
        let mut emulator = Emulator::new(SIZE, 10);
        emulator.feed(format!("\x1b[{sgr}mX").as_bytes());
        let out = Person::new(SIZE, abilities).sees(&mut emulator);
        assert!(out.contains(painted), "{sgr}: {out:?}");
    }
}

#[test]
fn a_program_that_asks_for_its_rendition_hears_of_blinking_and_of_lines_below_and_above() {
    let mut emulator = Emulator::new(SIZE, 10);
    emulator.feed(b"\x1b[1;5;21;53m\x1bP$qm\x1b\\");
    assert_eq!(String::from_utf8_lossy(&emulator.take_replies()), "\x1bP1$r0;1;4:2;5;53m\x1b\\");
}

#[test]
fn images_are_no_text() {
    let images = [
        "\x1bPq#0;2;0;0;0#0~~@@vv@@~~@@~~$-\x1b\\",
        "\x1bP0;1;0q\"1;1;10;10#1;2;100;0;0#1!10~-\x1b\\",
        "\x1b_Gf=32,s=1,v=1,a=T;AAAAAA==\x1b\\",
        "\x1b_Gm=0;QUFBQQ==\x1b\\",
        "\x1b]1337;File=inline=1;width=2:iVBORw0KGgo=\x07",
        "\x1b]1337;File=inline=1:iVBORw0KGgo=\x1b\\",
    ];
    for image in images {
        let mut emulator = Emulator::new(SIZE, 10);
        emulator.feed(format!("a{image}b").as_bytes());
        assert_eq!(window(&mut emulator)[0].text(), "ab", "{image:?}");
    }
}
