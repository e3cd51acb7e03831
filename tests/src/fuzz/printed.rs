//! Any output of a program, on its way through the host's model, its lines as they travel, the viewer's copy, the
//! painter and the viewer's own terminal. Both terminals show the same, and the viewer's answers only the painter's
//! question for the cursor.

use beach_core::terminal::{
    Abilities, Emulator, Line, LineCommits, Options, Overlay, Painter, Screen, Size, Space, Window,
};
use beach_core::time::Timestamp;
use beach_core::wire::frame::{Down, MAX_SEGMENT, Segment};

use super::choices::Choices;

struct Seen {
    emulator: Emulator,
    screen: Screen,
    painter: Painter,
    /// The viewer's own terminal.
    own: Emulator,
    steps: u64,
}

/// Prints chunks, and changes the size of both terminals.
pub(super) fn printed(data: &[u8]) {
    let mut choices = Choices::new(data);
    let size =
        |choices: &mut Choices<'_>| Size::new(2 + u16::from(choices.byte() % 60), 1 + u16::from(choices.byte() % 20));
    let first = size(&mut choices);
    let options = Options { abilities: Abilities::ALL, alternate: false, window: Window::Own };
    let mut seen = Seen {
        emulator: Emulator::new(first, 50),
        screen: Screen::new(50),
        painter: Painter::new(first, options),
        own: Emulator::new(first, 1000),
        steps: 0,
    };
    let mut out = Vec::new();
    seen.painter.start(&mut out);
    seen.own.feed(&out);
    while !choices.is_empty() {
        if choices.byte() == 0xff {
            seen.resize(size(&mut choices));
        } else {
            // Up to 255 bytes: most faults show after few of them.
            let length = usize::from(choices.byte());
            seen.emulator.feed(choices.take(length));
        }
        seen.look();
        seen.compare();
    }
    let mut out = Vec::new();
    seen.painter.finish(&mut out);
    seen.own.feed(&out);
    assert!(seen.own.take_clipboard().is_none());
}

impl Seen {
    fn resize(&mut self, size: Size) {
        self.emulator.resize(size);
        self.own.resize(size);
        let mut out = Vec::new();
        self.painter.resize(Timestamp::from_micros(self.steps), size, &mut out);
        self.show(&out);
    }

    /// The viewer's terminal takes bytes, and says where its cursor is if asked.
    fn show(&mut self, out: &[u8]) {
        self.own.feed(out);
        let asked = out.ends_with(b"\x1b[6n");
        let replies = self.own.take_replies();
        assert_eq!(asked, !replies.is_empty(), "{} makes the viewer's terminal answer", out.escape_ascii());
        if asked {
            self.own.frame();
            let cursor = self.own.head().cursor;
            let mut out = Vec::new();
            self.painter.cursor_report(cursor.row + 1, cursor.col + 1, &mut out);
            self.show(&out);
        }
    }

    /// Everything that the host has comes to the viewer, who paints it.
    fn look(&mut self) {
        self.emulator.end_synchronized();
        self.emulator.frame();
        let head = self.emulator.head().clone();
        let history = self.emulator.base()..self.emulator.top();
        let window = head.top..head.top + u64::from(head.size.rows);
        for number in history {
            self.line(Space::Main, number, true);
        }
        for number in window {
            self.line(head.space, number, false);
        }
        let commits = LineCommits { start: 0, from: 0, runs: Vec::new() };
        let down = Down { screen: Some((head, commits)), ..Down::default() };
        let bytes = down.encode();
        let (head, commits) = Down::decode(&bytes).expect("our own frame").screen.expect("a head");
        assert_eq!(&head, self.emulator.head(), "the head changes on its way");
        self.screen.merge_commits(&commits);
        self.screen.merge_head(head);
        assert!(self.screen.complete(), "all lines are there");
        loop {
            self.steps += 100_000;
            let mut out = Vec::new();
            self.painter.title(self.emulator.title().unwrap_or_default());
            self.painter.paint(Timestamp::from_micros(self.steps), &mut self.screen, &Overlay::default(), &mut out);
            self.show(&out);
            if !out.ends_with(b"\x1b[6n") {
                return;
            }
        }
    }

    /// One line goes to the viewer, in as many parts as it needs.
    fn line(&mut self, space: Space, number: u64, is_final: bool) {
        let (version, content) = self.emulator.line(space, number).expect("a line that is kept");
        let parts: Vec<&[u8]> = if content.is_empty() { vec![content] } else { content.chunks(MAX_SEGMENT).collect() };
        let count = u8::try_from(parts.len()).expect("few parts");
        let mut whole = Vec::new();
        for (part, content) in (0..).zip(parts) {
            let content = content.to_vec();
            let segment = Segment { space, number, version, is_final, part, parts: count, content };
            let bytes = Down { seq: 1, segments: vec![segment], ..Down::default() }.encode();
            let mut down = Down::decode(&bytes).expect("our own frame");
            whole.append(&mut down.segments[0].content);
        }
        let line = Line::decode(&whole).expect("our own line");
        self.screen.merge_line(space, number, version, is_final, line);
    }

    fn compare(&mut self) {
        self.own.frame();
        let (host, own) = (self.emulator.head(), self.own.head());
        assert_eq!(own.space, host.space, "one of the terminals shows its alternate screen");
        assert_eq!((own.cursor.row, own.cursor.visible), (host.cursor.row, host.cursor.visible));
        for row in 0..host.size.rows {
            let of = |emulator: &Emulator, space, top: u64| {
                let (_, line) = emulator.line(space, top + u64::from(row)).expect("a line of the window");
                Line::decode(line).expect("our own line")
            };
            let expected = of(&self.emulator, host.space, host.top);
            let shown = of(&self.own, own.space, own.top);
            assert_eq!(cells(&shown), cells(&expected), "row {row} of {} x {}", host.size.cols, host.size.rows);
        }
        assert_eq!(self.own.title().unwrap_or_default(), self.emulator.title().unwrap_or_default());
        assert!(self.own.take_clipboard().is_none(), "the viewer's clipboard was written to");
    }
}

/// The characters of a line, without the blanks at its end.
fn cells(line: &Line) -> String {
    line.text().trim_end().to_owned()
}
