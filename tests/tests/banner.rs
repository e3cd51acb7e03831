//! A banner over the bottom of a program's terminal leaves no trace, for all scripts of programs.

#[path = "terminal/script.rs"]
mod script;

use beach_core::terminal::{Banner, Emulator, Line, Size, Space};
use proptest::collection::vec;
use proptest::prelude::*;

use script::{Step, reads, session};

fn cases() -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A program's model and the terminal it is shown on, with a banner now and then.
struct Own {
    model: Emulator,
    terminal: Emulator,
    banner: Banner,
}

impl Own {
    fn new(size: Size) -> Own {
        Own { model: Emulator::new(size, 100), terminal: Emulator::new(size, 100), banner: Banner::default() }
    }

    /// The program writes.
    fn print(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        self.banner.lift(&self.model, &mut out);
        out.extend_from_slice(bytes);
        self.model.feed(bytes);
        self.banner.lay(&self.model, &mut out);
        self.terminal.feed(&out);
    }

    fn say(&mut self, text: &str) {
        let mut out = Vec::new();
        self.banner.lift(&self.model, &mut out);
        self.banner.set(text);
        self.banner.lay(&self.model, &mut out);
        self.terminal.feed(&out);
    }

    fn shown(emulator: &mut Emulator) -> (Vec<Line>, String) {
        emulator.end_synchronized();
        emulator.frame();
        let head = emulator.head().clone();
        let lines = (head.top..head.top + u64::from(head.size.rows)).map(|number| {
            let bytes = emulator.line(head.space, number).expect("it is in the window").1;
            // The difference shows in copied text only, not on the screen.
            Line { wrapped: false, ..Line::decode(bytes).expect("canonical") }
        });
        let lines = lines.collect();
        (lines, format!("{:?} {:?} {:?} {:?}", head.space, head.size, head.cursor, head.modes))
    }

    fn compare(&mut self) {
        assert_eq!(Own::shown(&mut self.terminal), Own::shown(&mut self.model));
    }
}

/// A script that reveals all hidden state: saved cursors, the other screen, margins, modes, character sets, a pending
/// wrap.
const REVEALING: [&[u8]; 7] = [
    b"wq",
    b"\x1b8saved",
    b"\x1b[?1049lmain",
    b"\x1b8saved\x0enine\x0f",
    b"\x1b[99;1H\n\n\tscroll",
    b"\x1b[?6hhome",
    b"\x1b[1;1H\x1b[M\x1b[L",
];

fn run(size: Size, steps: &[Step], sizes: &[usize], texts: &[String], told: fn(&[u8]) -> Vec<u8>) {
    let mut own = Own::new(size);
    for (index, step) in steps.iter().enumerate() {
        if let Some(text) = texts.get(index % (texts.len() + 2)) {
            own.say(text);
        }
        match step {
            Step::Write(bytes) => {
                reads(&told(bytes), sizes).for_each(|read| own.print(read));
            }
            Step::Resize(..) => {}
        }
        if index % 3 == 0 {
            own.say("");
        }
    }
    // Ends sequences and updates that are open.
    own.print(b"\x1b\\\x18\x1b[?2026l");
    own.say("");
    own.compare();
    for bytes in REVEALING {
        own.print(bytes);
        own.compare();
    }
}

/// Scripts leave out two things that can show a banner: REP, because it repeats the last printed character, which may
/// be the banner's; and wide characters, because insertion and erasing can leave half of one, which looks like a blank
/// cell.
fn told(bytes: &[u8]) -> Vec<u8> {
    let narrow = |at: usize| bytes[at] < 0xe2 || bytes[at] == 0xe2 && matches!(bytes.get(at + 1), Some(0x94 | 0x95));
    (0..bytes.len())
        .map(|at| match bytes[at] {
            b'b' => b'B',
            _ if !narrow(at) => 0xc3,
            byte => byte,
        })
        .collect()
}

/// Wide characters, where nothing cuts them in half.
fn prose() -> impl Strategy<Value = Vec<Step>> {
    let word = prop::sample::select(vec![
        "中文",
        "한글 ",
        "👍🏽",
        "中\u{fe0f}\u{20e3}",
        "a",
        "plain ",
        "\r\n",
        "\x1b[31m",
        "\x1b[0;4:3m",
        "\x1b]8;;https://example.org\x1b\\",
        "\x1b]8;;\x1b\\",
        "\x1b7",
        "\x1b8",
    ]);
    vec(word.prop_map(|word| Step::Write(word.as_bytes().to_vec())), 1..60)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn wide_characters_come_back_whole(
        (cols, rows) in (2..26u16, 1..14u16), steps in prose(), texts in vec("[a-z 中é]{0,40}(\n[a-z]{0,30}){0,3}", 1..4)
    ) {
        run(Size::new(cols, rows), &steps, &[200], &texts, <[u8]>::to_vec);
    }

    #[test]
    fn no_trace_is_left_whatever_the_program_writes(
        (cols, rows) in (2..26u16, 1..14u16), steps in session(false), sizes in vec(1..200usize, 1..6),
        texts in vec("[a-z 中é]{0,40}(\n[a-z]{0,30}){0,3}", 1..4)
    ) {
        run(Size::new(cols, rows), &steps, &sizes, &texts, told);
    }
}

#[test]
fn it_stands_over_the_bottom_row_while_a_program_scrolls() {
    let mut own = Own::new(Size::new(20, 4));
    own.say("who is that?");

    for line in 1..=9 {
        own.print(format!("line {line}\r\n").as_bytes());
        let rows = Own::shown(&mut own.terminal).0;
        assert_eq!(rows[3].text(), "who is that?        ", "after line {line}");
    }
    own.say("");

    let rows: Vec<String> = Own::shown(&mut own.terminal).0.iter().map(Line::text).collect();
    assert_eq!(rows, ["line 7", "line 8", "line 9", ""]);
    // The banner never scrolled away.
    let line =
        |number| Line::decode(own.terminal.line(Space::Main, number).expect("kept").1).expect("canonical").text();
    assert_eq!((0..6).map(line).collect::<Vec<_>>(), (1..=6).map(|line| format!("line {line}")).collect::<Vec<_>>());
}

#[test]
fn it_waits_for_the_end_of_a_sequence_and_of_an_update() {
    let mut own = Own::new(Size::new(20, 4));
    own.say("who is that?");
    for (open, close) in
        [("\x1b[3", "1m"), ("\x1b]0;tit", "le\x07"), ("\x1bP$q", "m\x1b\\"), ("\x1b[?2026h", "\x1b[?2026l")]
    {
        own.print(open.as_bytes());
        assert!(!own.banner.is_laid(), "within {open:?}");
        own.print(close.as_bytes());
        assert!(own.banner.is_laid(), "after {close:?}");
    }
}

#[test]
fn a_long_text_takes_rows_and_never_more_than_half_of_the_window() {
    let mut own = Own::new(Size::new(10, 6));
    own.say("0123456789\nabc\none\ntwo");

    let rows: Vec<String> = Own::shown(&mut own.terminal).0.iter().map(Line::text).collect();
    assert_eq!(rows[3..], ["0123456789", "abc       ", "one       "]);
    let mut own = Own::new(Size::new(10, 1));
    own.say("no room");
    assert!(!own.banner.is_laid());
}

#[test]
fn a_terminal_that_moved_its_rows_is_written_anew() {
    let mut own = Own::new(Size::new(20, 6));
    own.print(b"one\r\ntwo\r\nthree");
    own.say("who is that?");
    for emulator in [&mut own.model, &mut own.terminal] {
        emulator.resize(Size::new(20, 9));
    }
    let mut out = Vec::new();
    own.banner.resized(&own.model, &mut out);
    own.terminal.feed(&out);

    own.compare();
}
