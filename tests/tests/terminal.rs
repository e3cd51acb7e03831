//! The terminal as numbered lines: no line is lost, for all output, all ways to cut it into reads, and all networks.

#[path = "terminal/allowed.rs"]
mod allowed;
#[path = "terminal/common.rs"]
mod common;
#[path = "terminal/model.rs"]
mod model;
#[path = "terminal/plain.rs"]
mod plain;
#[path = "terminal/script.rs"]
mod script;

use std::collections::BTreeMap;

use alacritty_terminal::term::TermMode;
use beach_core::terminal::{
    Attributes, Color, Cursor, CursorShape, Emulator, Head, Line, LineCommits, MAX_ZERO_WIDTH, Modes, Options, Overlay,
    Painter, Run, Screen, Size, Space, Style, Underline, Width,
};
use beach_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use common::{With, common, common_size};
use model::{Bare, Cell, cells_of};
use plain::{log, plain};
use script::{Step, reads, session};

const HISTORY: usize = 1_000_000;

/// `TERMINAL_CASES` asks for more than the few seconds' worth that every run does.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn size() -> impl Strategy<Value = Size> {
    (2..26u16, 1..14u16).prop_map(|(cols, rows)| Size::new(cols, rows))
}

fn with() -> impl Strategy<Value = With> {
    prop_oneof![Just(With::Margins), Just(With::Movement)]
}

fn decoded(emulator: &Emulator, space: Space, number: u64) -> Line {
    let (_, bytes) = emulator.line(space, number).unwrap_or_else(|| panic!("line {number} of {space:?} is missing"));
    let line = Line::decode(bytes).expect("an emulator writes canonical lines");
    assert_eq!(line.encode(), bytes);
    line
}

fn window(emulator: &Emulator) -> Vec<Line> {
    let head = emulator.head();
    head.check().expect("an emulator makes sound heads");
    (0..u64::from(head.size.rows)).map(|row| decoded(emulator, head.space, head.top + row)).collect()
}

fn write(emulator: &mut Emulator, bytes: &[u8], sizes: &[usize]) {
    for read in reads(bytes, sizes) {
        emulator.feed(read);
        if read.len() % 3 == 0 {
            emulator.frame();
        }
    }
}

/// The lines of the main screen by the bare model, from the last erasure on.
struct Expected {
    bare: Bare,
    floor: u64,
    past: Vec<Vec<Cell>>,
}

impl Expected {
    /// Lines collected before an erasure are no longer expected.
    fn settle(&mut self, emulator: &Emulator) {
        if emulator.head().floor != self.floor {
            self.floor = emulator.head().floor;
            self.past.clear();
        }
    }

    fn compare(&mut self, emulator: &mut Emulator) {
        self.settle(emulator);
        let head = emulator.head().clone();
        let cols = usize::from(head.size.cols);
        let shown: Vec<Vec<Cell>> = window(emulator).iter().map(|line| cells_of(line, cols)).collect();
        assert_eq!(shown, self.bare.window(), "the window");
        let point = self.bare.term.grid().cursor.point;
        assert_eq!((i32::from(head.cursor.row), usize::from(head.cursor.col)), (point.line.0, point.column.0));
        assert_eq!(head.space == Space::Alternate, self.bare.is_alternate());
        if head.space == Space::Main {
            let lines: Vec<Vec<Cell>> = self.past.iter().cloned().chain(self.bare.history()).collect();
            assert_eq!(head.top - head.floor, lines.len() as u64, "the number of lines");
            for (number, expected) in (head.floor..).zip(&lines) {
                assert_eq!(
                    &cells_of(&decoded(emulator, Space::Main, number), expected.len()),
                    expected,
                    "line {number}"
                );
            }
        }
    }
}

fn lines_equal_the_model(size: Size, steps: &[Step], sizes: &[usize]) {
    let mut emulator = Emulator::new(size, HISTORY);
    let mut expected = Expected { bare: Bare::new(size), floor: 0, past: Vec::new() };
    let mut pending: Vec<u8> = Vec::new();
    for step in steps {
        match step {
            Step::Write(bytes) => {
                write(&mut emulator, bytes, sizes);
                pending.extend(bytes);
            }
            Step::Resize(cols, rows) => {
                // The bare model gets everything up to here in one read; its parser must not be cut within a character
                // either.
                let bytes = std::mem::take(&mut pending);
                expected.bare.feed_restoring(&bytes);
                emulator.feed(b"\x1b\\\x18");
                expected.bare.feed_restoring(b"\x1b\\\x18");
                emulator.end_synchronized();
                expected.bare.end_synchronized();
                emulator.frame();
                expected.compare(&mut emulator);
                let size = Size::new(*cols, *rows);
                let history = expected.bare.resize_without_history(size);
                expected.past.extend(history);
                if !expected.past.is_empty() {
                    expected.bare.stand_in_for_history();
                }
                emulator.resize(size);
            }
        }
    }
    pending.extend(b"\x1b\\\x18");
    emulator.feed(b"\x1b\\\x18");
    expected.bare.feed_restoring(&pending);
    emulator.end_synchronized();
    expected.bare.end_synchronized();
    emulator.frame();
    expected.compare(&mut emulator);
    emulator.feed(b"\x1b[?1049l");
    expected.bare.feed_restoring(b"\x1b[?1049l");
    emulator.frame();
    expected.compare(&mut emulator);
}

/// Two models that were given the same in reads of different sizes hold the same.
fn assert_same(one: &Emulator, other: &Emulator) {
    assert_eq!((one.head(), one.base()), (other.head(), other.base()));
    assert_eq!(window(one), window(other));
    for number in one.base()..one.top() {
        assert_eq!(one.line(Space::Main, number), other.line(Space::Main, number), "line {number}");
        assert_eq!(one.repeated(number), other.repeated(number), "line {number}");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn lines_that_pass_through_the_window_within_a_read_are_those_of_small_reads(
        size in size(),
        logs in vec(log(), 1..4),
        sizes in vec(1..200usize, 1..4),
        limit in prop_oneof![Just(HISTORY), 0..300usize],
        (cols, rows) in (2..26u16, 1..60u16),
    ) {
        let (mut large, mut small) = (Emulator::new(size, limit), Emulator::new(size, limit));
        let grown = Size::new(cols, size.rows + rows);
        for log in &logs {
            large.feed(log);
            reads(log, &sizes).for_each(|read| small.feed(read));
            for emulator in [&mut large, &mut small] {
                emulator.frame();
            }
            assert_same(&large, &small);
            // The rows that come back are those that left last, and they leave again.
            for emulator in [&mut large, &mut small] {
                emulator.resize(grown);
                emulator.pull(rows);
                emulator.frame();
            }
            assert_same(&large, &small);
            for emulator in [&mut large, &mut small] {
                emulator.resize(size);
                emulator.frame();
            }
            assert_same(&large, &small);
        }
        // REP tells which character was the last one.
        for emulator in [&mut large, &mut small] {
            emulator.feed(b"\x18\x1b[2b");
            emulator.frame();
        }
        assert_same(&large, &small);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn lines_and_head_are_exactly_what_a_terminal_with_endless_history_holds(
        size in size(), steps in session(false), sizes in vec(1..200usize, 1..6), with in with()
    ) {
        lines_equal_the_model(common_size(size, with), &common(&steps, with), &sizes);
    }

    #[test]
    fn lines_stay_exact_through_resizes_of_both_screens(
        size in size(), steps in session(true), sizes in vec(1..200usize, 1..6), with in with()
    ) {
        lines_equal_the_model(common_size(size, with), &common(&steps, with), &sizes);
    }

    #[test]
    fn the_sizes_of_the_reads_change_nothing(
        size in size(),
        steps in session(false),
        // Byte by byte, no sequence is there as a whole.
        sizes in prop_oneof![Just(vec![1]), vec(1..9usize, 1..6)],
    ) {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Write(bytes) => bytes.clone(),
            Step::Resize(..) => Vec::new(),
        }).collect();
        let (mut one, mut many) = (Emulator::new(size, HISTORY), Emulator::new(size, HISTORY));
        one.feed(&bytes);
        reads(&bytes, &sizes).for_each(|read| many.feed(read));
        prop_assert_eq!(one.synchronized(), many.synchronized());
        // Half a character right before an update that stays open may or may not be shown as a broken one before its
        // end.
        one.end_synchronized();
        many.end_synchronized();
        one.frame();
        many.frame();
        prop_assert_eq!(one.head(), many.head());
        prop_assert_eq!(one.take_replies(), many.take_replies());
        prop_assert_eq!((one.title(), one.bells(), one.base()), (many.title(), many.bells(), many.base()));
        for number in one.base()..one.top() + u64::from(size.rows) {
            prop_assert_eq!(one.line(Space::Main, number), many.line(Space::Main, number));
        }
    }

    #[test]
    fn what_needs_no_parser_is_done_as_the_parser_does_it(
        size in size(), bytes in plain(), sizes in vec(1..200usize, 1..4)
    ) {
        let (mut plainly, mut parsed) = (Emulator::new(size, HISTORY), Emulator::new(size, HISTORY));
        reads(&bytes, &sizes).for_each(|read| plainly.feed(read));
        plainly.feed(b"\x18");
        // What is written in an update goes to the parser alone.
        parsed.feed(&[b"\x1b[?2026h", bytes.as_slice(), b"\x18\x1b[?2026l"].concat());
        plainly.frame();
        parsed.frame();
        prop_assert_eq!(plainly.head(), parsed.head());
        prop_assert_eq!(window(&plainly), window(&parsed));
        for number in plainly.base()..plainly.top() {
            prop_assert_eq!(plainly.line(Space::Main, number), parsed.line(Space::Main, number));
        }
    }

    #[test]
    fn a_line_never_changes_once_it_left_the_window(size in size(), steps in session(true), limit in 0..2000usize) {
        let mut emulator = Emulator::new(size, limit);
        let mut finals: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let mut last = emulator.head().clone();
        for step in steps {
            match step {
                Step::Write(bytes) => emulator.feed(&bytes),
                Step::Resize(cols, rows) => emulator.resize(Size::new(cols, rows)),
            }
            let changed = emulator.frame();
            prop_assert_eq!(changed, *emulator.head() != last);
            prop_assert_eq!(emulator.head().version, last.version + u64::from(changed));
            last = emulator.head().clone();
            prop_assert!(emulator.top() - emulator.base() <= limit as u64);
            for number in emulator.base()..emulator.top() {
                let (version, bytes) = emulator.line(Space::Main, number).expect("a final line is kept");
                prop_assert!(version <= last.version);
                let line = finals.entry(number).or_insert_with(|| (version, bytes.to_vec()));
                prop_assert_eq!((version, bytes), (line.0, line.1.as_slice()));
            }
        }
    }

    #[test]
    fn equal_versions_mean_equal_lines(size in size(), steps in session(true)) {
        let mut emulator = Emulator::new(size, HISTORY);
        let mut seen: BTreeMap<(Space, u64, u64), Vec<u8>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(bytes) => emulator.feed(&bytes),
                Step::Resize(cols, rows) => emulator.resize(Size::new(cols, rows)),
            }
            emulator.frame();
            let head = emulator.head();
            let rows = head.top..head.top + u64::from(head.size.rows);
            for (number, announced) in rows.zip(head.row_versions()) {
                let (version, bytes) = emulator.line(head.space, number).expect("the window is held");
                prop_assert_eq!(version, announced);
                let known = seen.entry((head.space, number, version)).or_insert_with(|| bytes.to_vec());
                prop_assert_eq!(known.as_slice(), bytes);
            }
        }
    }

    #[test]
    fn a_viewer_shows_the_hosts_screen_whatever_the_network_did(
        size in size(), steps in session(true), chances in vec(any::<u32>(), 16..64)
    ) {
        let mut emulator = Emulator::new(size, 5000);
        let mut viewer = Viewer::default();
        let mut chances = chances.iter().copied().cycle();
        let mut chance = move || chances.next().expect("a cycle does not end");
        let mut sent: BTreeMap<(Space, u64), u64> = BTreeMap::new();
        let mut wire: Vec<Vec<u8>> = Vec::new();
        for step in steps {
            match step {
                Step::Write(bytes) => emulator.feed(&bytes),
                Step::Resize(cols, rows) => emulator.resize(Size::new(cols, rows)),
            }
            emulator.frame();
            let head = emulator.head();
            wire.push(pack(Message::Head(head.clone())));
            let window = (head.top..head.top + u64::from(head.size.rows)).map(|number| (head.space, number));
            let oldest = emulator.top().saturating_sub(700).max(emulator.base());
            let history = (oldest..emulator.top()).map(|number| (Space::Main, number));
            for (space, number) in history.chain(window) {
                let (version, _) = emulator.line(space, number).expect("what is kept can be read");
                if sent.insert((space, number), version) != Some(version) {
                    wire.push(pack(Message::Line(space, number, version, decoded(&emulator, space, number))));
                }
            }
            // Some arrive, some twice, some later, some never.
            for _ in 0..wire.len() {
                let at = chance() as usize % wire.len();
                match chance() % 5 {
                    0 | 1 => viewer.take(&wire.swap_remove(at)),
                    2 => viewer.take(&wire[at]),
                    3 if chance() % 4 == 0 => drop(wire.swap_remove(at)),
                    _ => {}
                }
                if wire.is_empty() {
                    break;
                }
            }
        }
        // Only lines whose newest version never arrived are sent again: the viewer must have kept the others.
        let head = emulator.head();
        viewer.take(&pack(Message::Head(head.clone())));
        for (number, version) in (head.top..).zip(head.row_versions()) {
            if viewer.taken.get(&(head.space, number)) != Some(&version) {
                viewer.take(&pack(Message::Line(head.space, number, version, decoded(&emulator, head.space, number))));
            }
        }
        prop_assert!(viewer.screen.complete());
        prop_assert_eq!(viewer.screen.head(), Some(head));
        for (row, line) in window(&emulator).iter().enumerate() {
            prop_assert_eq!(viewer.screen.row(row as u16), Some(line));
        }
    }

    #[test]
    fn a_person_sees_cell_for_cell_what_the_host_shows(
        size in size(), local in size(), steps in session(true), chances in vec(0..100u8, 8..32)
    ) {
        shows_cell_for_cell(size, local, &steps, &chances);
    }

    // Here nearly every character is in a row's last column.
    #[test]
    fn a_narrow_terminal_shows_cell_for_cell_what_the_host_shows(
        cols in 2..5u16, rows in (1..7u16, 1..7u16), steps in session(false), chances in vec(0..100u8, 8..32)
    ) {
        shows_cell_for_cell(Size::new(cols, rows.0), Size::new(cols, rows.1), &steps, &chances);
    }

    #[test]
    fn a_decoder_refuses_bytes_or_gives_them_back_unchanged(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(line) = Line::decode(&bytes) {
            prop_assert_eq!(line.encode(), bytes.clone());
            prop_assert!(line.columns() <= 500);
        }
        if let Ok(head) = postcard::from_bytes::<Head>(&bytes) {
            let sound = head.check().is_ok();
            let mut screen = Screen::default();
            screen.merge_head(head);
            prop_assert_eq!(screen.head().is_some(), sound);
            prop_assert!(screen.text().len() <= 200);
        }
        let _ = postcard::from_bytes::<Line>(&bytes);
    }

    #[test]
    fn a_spoilt_encoding_is_refused_or_stands_for_another_line(
        size in size(), steps in session(false), at in any::<usize>(), byte in any::<u8>()
    ) {
        let mut emulator = Emulator::new(size, 100);
        steps.iter().for_each(|step| if let Step::Write(bytes) = step { emulator.feed(bytes) });
        emulator.frame();
        for line in window(&emulator) {
            let mut bytes = line.encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(other) = Line::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes.clone());
                prop_assert_eq!(other == line, bytes == line.encode());
                prop_assert!(other.runs.iter().all(|run| run.text.chars().all(|c| !c.is_control())));
            }
            let spoilt: Vec<u8> = bytes[..at].to_vec();
            if let Ok(other) = Line::decode(&spoilt) {
                prop_assert_eq!(other.encode(), spoilt);
            }
        }
    }

    #[test]
    fn whatever_a_line_holds_only_harmless_sequences_reach_the_terminal(
        local in size(), heads in vec((0..5u64, any::<u32>(), 1..30u16, 1..15u16, any::<bool>()), 1..6),
        lines in vec((0..20u64, vec(hostile_run(), 0..6)), 0..40)
    ) {
        let mut screen = Screen::default();
        let mut painter = Painter::new(local, Options::default());
        let mut out = Vec::new();
        painter.start(&mut out);
        prop_assert_eq!(allowed::check(&out, true), Ok(()));
        let mut version = 0;
        for (top, modes, cols, rows, alternate) in heads {
            let space = if alternate { Space::Alternate } else { Space::Main };
            for (number, runs) in &lines {
                version += 1;
                screen.merge_line(space, *number, version, false, Line { wrapped: false, runs: runs.clone() });
            }
            version += 1;
            let modes: Modes = postcard::from_bytes(&postcard::to_stdvec(&modes).expect("memory")).expect("any bits");
            screen.merge_head(Head {
                version,
                space,
                size: Size::new(cols, rows),
                top: if alternate { 0 } else { top },
                floor: u64::MAX,
                cursor: Cursor { row: rows - 1, col: cols / 2, visible: modes.contains(Modes::FOCUS_EVENTS), shape: CursorShape::Beam, blinking: true },
                modes,
                versions: vec![(rows, 0)],
            });
            out.clear();
            painter.paint(Timestamp::ZERO, &mut screen, &Overlay::default(), &mut out);
            prop_assert_eq!(allowed::check(&out, false), Ok(()));
        }
        out.clear();
        painter.finish(&mut out);
        prop_assert_eq!(allowed::check(&out, false), Ok(()));
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Message {
    Head(Head),
    Line(Space, u64, u64, Line),
}

fn pack(message: Message) -> Vec<u8> {
    postcard::to_stdvec(&message).expect("memory is enough")
}

#[derive(Default)]
struct Viewer {
    screen: Screen,
    taken: BTreeMap<(Space, u64), u64>,
}

impl Viewer {
    fn take(&mut self, bytes: &[u8]) {
        match postcard::from_bytes(bytes).expect("what was encoded decodes") {
            Message::Head(head) => self.screen.merge_head(head),
            Message::Line(space, number, version, line) => {
                let newest = self.taken.entry((space, number)).or_default();
                *newest = version.max(*newest);
                self.screen.merge_line(space, number, version, false, line);
            }
        }
    }
}

/// Tells a viewer everything.
fn show(emulator: &Emulator, screen: &mut Screen) {
    let head = emulator.head();
    screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    for number in emulator.base()..emulator.top() {
        let (version, _) = emulator.line(Space::Main, number).expect("history is kept");
        screen.merge_line(Space::Main, number, version, true, decoded(emulator, Space::Main, number));
    }
    for (number, version) in (head.top..).zip(head.row_versions()) {
        screen.merge_line(head.space, number, version, false, decoded(emulator, head.space, number));
    }
    screen.merge_head(head.clone());
    assert!(screen.complete());
}

/// A person before a terminal, in which a painter paints.
struct Person {
    local: Size,
    bare: Bare,
    painter: Painter,
    screen: Screen,
}

impl Person {
    fn new(local: Size) -> Person {
        let mut person = Person {
            local,
            bare: Bare::new(local),
            painter: Painter::new(local, Options::default()),
            screen: Screen::default(),
        };
        person.bare.feed(b"$ what was \x1b[42m there before\r\n\x1b[0m$ beach join");
        let mut out = Vec::new();
        person.painter.start(&mut out);
        person.bare.feed(&out);
        assert!(person.bare.window().iter().flatten().all(|cell| *cell == Cell::blank(Style::default())));
        assert!(person.bare.history().iter().flatten().any(|cell| cell.text == "b"));
        person
    }

    /// Paints, and says how many bytes it took.
    fn paint(&mut self) -> usize {
        let mut out = Vec::new();
        self.painter.paint(Timestamp::ZERO, &mut self.screen, &Overlay::default(), &mut out);
        assert_eq!(allowed::check(&out, false), Ok(()));
        self.answer(&out);
        if out.ends_with(b"\x1b[6n") {
            return out.len() + self.paint();
        }
        out.len()
    }

    fn resize(&mut self, local: Size) {
        self.local = local;
        self.bare.resize(local);
        let mut out = Vec::new();
        self.painter.resize(Timestamp::ZERO, local, &mut out);
        self.answer(&out);
    }

    /// The terminal takes it, and says where its cursor is if asked.
    fn answer(&mut self, out: &[u8]) {
        self.bare.feed(out);
        if out.ends_with(b"\x1b[6n") {
            let (row, col) = self.bare.cursor();
            let mut out = Vec::new();
            self.painter.cursor_report(row + 1, col + 1, &mut out);
            assert_eq!(allowed::check(&out, true), Ok(()));
            self.bare.feed(&out);
        }
    }

    fn compare(&self, emulator: &Emulator) {
        let head = emulator.head();
        let (top, left) = self.painter.origin();
        let (rows, cols) = (usize::from(self.local.rows), usize::from(self.local.cols));
        let mut expected: Vec<Vec<Cell>> = window(emulator)
            .iter()
            .skip(top.into())
            .take(rows)
            .map(|line| part(&cells_of(line, head.size.cols.into()), left.into(), cols))
            .collect();
        expected.resize(rows, vec![Cell::blank(Style::default()); cols]);
        let (high, wide) = (usize::from(head.size.rows), usize::from(head.size.cols));
        let dim = |text: &str| Cell {
            text: text.into(),
            columns: 1,
            style: Style { attributes: Attributes::DIM, ..Style::default() },
        };
        for row in expected.iter_mut().take(high).filter(|_| wide < cols) {
            row[wide] = dim("│");
        }
        if let Some(below) = expected.get_mut(high) {
            below[..wide.min(cols)].fill(dim("─"));
            below.get_mut(wide).into_iter().for_each(|corner| *corner = dim("┘"));
        }
        assert_eq!(self.bare.window(), expected);
        self.compare_wraps(&window(emulator)[usize::from(top)..], wide);
        let point = self.bare.term.grid().cursor.point;
        assert_eq!(
            (point.line.0, point.column.0),
            (i32::from(head.cursor.row - top), usize::from(head.cursor.col - left))
        );
        let term = &self.bare.term;
        assert_eq!(term.mode().contains(TermMode::SHOW_CURSOR), head.cursor.visible);
        assert_eq!(term.mode().contains(TermMode::ALT_SCREEN), head.space == Space::Alternate);
        assert!(term.mode().contains(TermMode::LINE_WRAP));
        assert_eq!(term.cursor_style().blinking, head.cursor.blinking);
        for (mode, theirs) in [
            (Modes::APP_CURSOR, TermMode::APP_CURSOR),
            (Modes::APP_KEYPAD, TermMode::APP_KEYPAD),
            (Modes::MOUSE_CLICK, TermMode::MOUSE_REPORT_CLICK),
            (Modes::MOUSE_DRAG, TermMode::MOUSE_DRAG),
            (Modes::MOUSE_MOTION, TermMode::MOUSE_MOTION),
            (Modes::SGR_MOUSE, TermMode::SGR_MOUSE),
            (Modes::UTF8_MOUSE, TermMode::UTF8_MOUSE),
            (Modes::FOCUS_EVENTS, TermMode::FOCUS_IN_OUT),
            (Modes::ALTERNATE_SCROLL, TermMode::ALTERNATE_SCROLL),
        ] {
            assert_eq!(term.mode().contains(theirs), head.modes.contains(mode), "{mode:?}");
        }
        assert!(term.mode().contains(TermMode::BRACKETED_PASTE), "whatever the host's mode is");
        let cropped = head.size.cols > self.local.cols || head.size.rows > self.local.rows;
        assert_eq!(self.painter.is_cropped(), cropped);
    }

    /// Rows go on in the next one where the host's do, both have the same width, and no character at the edge is of
    /// doubtful width; a row that ends a line never does.
    fn compare_wraps(&self, lines: &[Line], cols: usize) {
        let same = cols == usize::from(self.local.cols);
        let sure = |cell: &Cell| cell.text.is_ascii();
        for row in 0..usize::from(self.local.rows) {
            let wraps = self.bare.wraps(row as i32);
            let next = lines.get(row + 1).filter(|_| row + 1 < usize::from(self.local.rows) && same);
            let Some(next) = next.filter(|_| lines[row].wrapped) else {
                assert!(!wraps, "row {row} goes on: {lines:?}");
                continue;
            };
            let (cells, next) = (cells_of(&lines[row], cols), cells_of(next, cols));
            if sure(&cells[cols - 1]) && sure(&next[0]) && cells[cols - 1].columns == 1 && next[0].columns == 1 {
                assert!(wraps, "row {row} ends: {lines:?}");
            }
        }
    }

    fn finish(&mut self) {
        let mut out = Vec::new();
        self.painter.finish(&mut out);
        self.bare.feed(&out);
        let fresh = Bare::new(self.local);
        assert_eq!(self.bare.term.mode(), fresh.term.mode());
        assert_eq!(self.bare.term.cursor_style(), fresh.term.cursor_style());
        assert_eq!(self.bare.term.grid().cursor.template, fresh.term.grid().cursor.template);
        let row = self.bare.term.grid().cursor.point.line.0 as usize;
        assert!(self.bare.window()[row..].iter().flatten().all(|cell| *cell == Cell::blank(Style::default())));
    }
}

/// Whether a terminal shows what the host shows, after each step; by the chances the terminal changes its size, or
/// something else writes on it.
fn shows_cell_for_cell(size: Size, local: Size, steps: &[Step], chances: &[u8]) {
    let mut emulator = Emulator::new(size, 100);
    let mut person = Person::new(local);
    let mut chances = chances.iter().copied().cycle();
    for step in steps {
        match step {
            Step::Write(bytes) => emulator.feed(bytes),
            Step::Resize(cols, rows) => emulator.resize(Size::new(*cols, *rows)),
        }
        emulator.frame();
        show(&emulator, &mut person.screen);
        match chances.next() {
            Some(0..8) => person.resize(Size::new(size.rows + 1, local.cols.min(13))),
            Some(8..16) => person.resize(local),
            Some(16..24) => {
                person.bare.feed(b"\x1b[1;1Hnoise from elsewhere\x1b[0m");
                person.painter.redraw();
            }
            Some(_) | None => {}
        }
        person.paint();
        person.compare(&emulator);
        while person.painter.deadline() == Some(Timestamp::ZERO) {
            person.paint();
            person.compare(&emulator);
        }
        let silent = person.paint();
        assert_eq!(silent, 0, "nothing changed, nothing is written");
    }
    person.finish();
}

/// The cells of some columns; a cell that is cut in half is blank.
fn part(cells: &[Cell], left: usize, cols: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = cells.iter().skip(left).take(cols).cloned().collect();
    if let Some(first) = cells.first_mut().filter(|cell| cell.columns == 0) {
        *first = Cell::blank(first.style.clone());
    }
    if let Some(last) = cells.last_mut().filter(|cell| cell.columns == 2) {
        *last = Cell::blank(last.style.clone());
    }
    cells.resize(cols, Cell::blank(Style::default()));
    cells
}

fn hostile_run() -> impl Strategy<Value = Run> {
    let text = prop_oneof![
        Just("\x1b[2J\x1b]52;c;aGk=\x07".to_owned()),
        Just("\u{9b}3J\u{90}\u{9c}\x7f\r\n".to_owned()),
        "\\PC{1,6}",
        ".{1,6}",
    ];
    let color = || {
        prop_oneof![
            Just(Color::Default),
            any::<u8>().prop_map(Color::Indexed),
            any::<(u8, u8, u8)>().prop_map(|(r, g, b)| Color::Rgb(r, g, b))
        ]
    };
    let underline = prop_oneof![Just(Underline::None), Just(Underline::Curly), Just(Underline::Dashed)];
    let link = prop_oneof![
        Just(None),
        Just(Some("https://example.org/".to_owned())),
        Just(Some("https://e.org/\x1b\\\x1b[2J".to_owned())),
        Just(Some("x\u{9c}".to_owned())),
    ];
    let width = prop_oneof![Just(Width::Narrow), Just(Width::Wide), Just(Width::Cluster { columns: 2 })];
    (text, width, color(), color(), 0..256u16, underline, link).prop_map(
        |(text, width, foreground, background, bits, underline, link)| Run {
            style: Style {
                foreground,
                background,
                attributes: Attributes::from_bits(bits).expect("eight bits"),
                underline,
                underline_color: Some(foreground),
                link,
            },
            width,
            text,
        },
    )
}

fn emulator_after(bytes: &[u8]) -> Emulator {
    let mut emulator = Emulator::new(Size::new(20, 4), 100);
    emulator.feed(bytes);
    emulator.frame();
    emulator
}

#[test]
fn a_character_split_between_reads_arrives_whole() {
    let mut emulator = Emulator::new(Size::new(20, 4), 100);
    for byte in "été! éx中".bytes() {
        emulator.feed(&[byte]);
    }
    emulator.frame();
    assert_eq!(window(&emulator)[0].text(), "été! éx中");
}

#[test]
fn an_untouched_line_is_one_byte_and_a_plain_one_its_text_and_one() {
    let emulator = emulator_after(b"1234567");
    assert_eq!(emulator.line(Space::Main, 0).expect("row 0").1, b"\x021234567");
    assert_eq!(emulator.line(Space::Main, 1).expect("row 1").1, b"\0");
}

#[test]
fn the_title_is_cleaned_and_comes_back_from_the_stack() {
    let mut emulator = emulator_after("\x1b]0;one\u{202e}\u{85}\x07".as_bytes());
    assert_eq!(emulator.title(), Some("one"));
    emulator.feed(format!("\x1b[22t\x1b]2;{}\x07", "x".repeat(5000)).as_bytes());
    assert_eq!(emulator.title().map(str::len), Some(256));
    emulator.feed(b"\x1b[23t");
    assert_eq!(emulator.title(), Some("one"));
    emulator.feed(b"\x1bc");
    assert_eq!(emulator.title(), None);
}

#[test]
fn queries_are_answered_within_bounds_and_what_a_clipboard_holds_never() {
    let mut emulator = emulator_after(
        b"\x1b[c\x1b[5n\x1b[2;3H\x1b[6n\x1b[?2026$p\x1b]11;?\x07\x1b]4;1;#ffffff\x07\x1b]4;1;?\x07\x1b[18t\x1b[14t",
    );
    let replies = emulator.take_replies();
    let expected = "\x1b[?64;21;22;28c\x1b[0n\x1b[2;3R\x1b[?2026;2$y\x1b]11;rgb:0000/0000/0000\x07\x1b]4;1;rgb:ffff/ffff/ffff\x07\x1b[8;4;20t";
    assert_eq!(String::from_utf8_lossy(&replies), expected);
    emulator.feed(b"\x1b]52;c;?\x07\x1b]52;c;aGVsbG8=\x07");
    assert_eq!(emulator.take_replies(), b"");
    emulator.feed(&b"\x1b[c".repeat(100_000));
    assert!(emulator.take_replies().len() <= 4096);
}

#[test]
fn an_update_shows_when_it_is_whole_or_when_it_took_too_long() {
    let mut emulator = emulator_after(b"\x1b[?2026hhalf");
    assert!(emulator.synchronized());
    assert_eq!(window(&emulator)[0].text(), "");
    emulator.feed(b"\x1b[?2026l");
    emulator.frame();
    assert!(!emulator.synchronized());
    assert_eq!(window(&emulator)[0].text(), "half");
    emulator.feed(b"\x1b[?2026h and more");
    emulator.end_synchronized();
    emulator.frame();
    assert_eq!(window(&emulator)[0].text(), "half and more");
}

#[test]
fn a_flood_of_pushed_keyboard_flags_and_titles_is_survived() {
    let mut emulator = emulator_after(&b"\x1b[>5u".repeat(10_000));
    assert!(emulator.head().modes.contains(Modes::KITTY_ALTERNATE_KEYS));
    emulator.feed(&b"\x1b[<9000u".repeat(2));
    emulator.feed(&b"\x1b[22t".repeat(10_000));
    emulator.frame();
    assert!(!emulator.head().modes.contains(Modes::KITTY_ALTERNATE_KEYS));
}

#[test]
fn what_is_stacked_on_a_cell_is_bounded() {
    let emulator = emulator_after(format!("a{}b", "\u{301}".repeat(100_000)).as_bytes());
    let line = &window(&emulator)[0];
    assert_eq!(line.columns(), 2);
    assert_eq!(line.text().chars().count(), 2 + MAX_ZERO_WIDTH);
}

#[test]
fn one_read_that_scrolls_hundreds_of_thousands_of_lines_loses_none_of_the_last() {
    let emulator = emulator_after(&[b"x".as_slice(), &b"\x1b[65535b".repeat(40)].concat());
    let lines = (65_535 * 40 + 1) / 20;
    assert!(emulator.top() + 4 >= lines && emulator.top() <= lines);
    assert_eq!(emulator.top() - emulator.base(), 100);
}

#[test]
fn an_erased_scrollback_is_a_floor_and_the_numbers_go_on() {
    let mut emulator = emulator_after(&b"line\r\n".repeat(50));
    let top = emulator.top();
    emulator.feed(b"\x1b[3J");
    emulator.frame();
    assert_eq!((emulator.head().floor, emulator.base(), emulator.top()), (top, top, top));
    assert!(emulator.line(Space::Main, top - 1).is_none());
    assert!(emulator.line(Space::Main, top).is_some());
}

#[test]
fn a_screen_that_nobody_bounds_bounds_itself() {
    let mut screen = Screen::default();
    for number in 0..100_000 {
        screen.merge_line(Space::Main, number, 1, false, Line::default());
        screen.merge_line(Space::Alternate, number, 1, false, Line::default());
    }
    let head = Head { version: 1, top: 99_976, versions: vec![(24, 1)], ..Head::default() };
    screen.merge_head(head.clone());
    assert!(screen.complete());
    screen.merge_head(Head { version: 2, top: u64::MAX, ..head.clone() });
    assert_eq!(screen.head(), Some(&head));
}

#[test]
fn a_line_of_the_worst_cells_fits_the_limit_and_decodes() {
    let mut emulator = Emulator::new(Size::new(500, 2), 10);
    let mut bytes = Vec::new();
    for cell in 0..500u32 {
        let (r, g) = (cell % 256, cell / 256);
        bytes.extend(format!("\x1b]8;;https://example.org/{}{cell}\x07", "x".repeat(470)).bytes());
        bytes.extend(format!("\x1b[0;1;4;58:2::{r}:{g}:3;38;2;{r};{g};1;48;2;{r};{g};2m").bytes());
        bytes.extend(format!("𝒳{}", "\u{1d167}".repeat(20)).bytes());
    }
    emulator.feed(&bytes);
    emulator.frame();
    let line = decoded(&emulator, Space::Main, 0);
    assert_eq!(line.columns(), 500);
    assert!(line.runs.iter().all(|run| run.style.link.is_none() && run.text.chars().count() == 1 + MAX_ZERO_WIDTH));
}

// Seen in tmux 3.3a: a row that is erased at once ends the row above.
#[test]
fn a_row_in_which_the_one_above_may_go_on_is_erased_in_two_parts() {
    let size = Size::new(6, 3);
    let (mut emulator, mut screen) = (Emulator::new(size, 100), Screen::default());
    let mut painter = Painter::new(size, Options::default());
    painter.start(&mut Vec::new());
    let mut painted = |bytes: &[u8]| {
        emulator.feed(bytes);
        emulator.frame();
        show(&emulator, &mut screen);
        let mut out = Vec::new();
        painter.paint(Timestamp::ZERO, &mut screen, &Overlay::default(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    const ALL: &str = "H\x1b[K";
    const PARTS: &str = "H\x1b[1X\x1b[2G\x1b[K";
    assert!(painted(b"aaaaaabb\x1b[3;1Hx\n").contains("\x1b[1Hbb"), "the first row is in the scrollback");
    let first = painted(b"\x1b[H\x1b[K");
    assert!(first.contains(&format!("\x1b[1{PARTS}")) && !first.contains(ALL), "{first:?}");
    let second = painted(b"\x1b[2;1H\x1b[K");
    assert!(second.contains(&format!("\x1b[2{ALL}")) && !second.contains(PARTS), "{second:?}");
    painted(b"\x1b[Haaaaaabb");
    let second = painted(b"\x1b[2;1H\x1b[K");
    assert!(second.contains(&format!("\x1b[2{PARTS}")) && !second.contains(ALL), "{second:?}");
}

#[test]
fn a_soft_hyphen_has_a_cell_even_on_a_terminal_that_gives_it_none() {
    let size = Size::new(8, 2);
    let mut emulator = Emulator::new(size, 100);
    let mut person = Person::new(size);
    for written in ["xyzxyz", "\ra\u{ad}bc\u{ad}\u{301}d"] {
        emulator.feed(written.as_bytes());
        emulator.frame();
        show(&emulator, &mut person.screen);
        person.paint();
    }
    let row: String = person.bare.window()[0].iter().map(|cell| cell.text.chars().next().unwrap_or_default()).collect();
    assert_eq!(row, "a bc d  ");
}

#[test]
fn scrolling_costs_line_feeds_and_one_row() {
    let mut emulator = Emulator::new(Size::new(80, 24), 100);
    let mut person = Person::new(Size::new(80, 24));
    for line in 0..100 {
        emulator.feed(format!("\r\nline {line} of a program that is building something").as_bytes());
        emulator.frame();
        show(&emulator, &mut person.screen);
        let bytes = person.paint();
        assert!(bytes < 160, "{bytes} bytes for one line");
        person.compare(&emulator);
    }
}

#[test]
fn a_size_is_written_as_people_write_it() {
    assert_eq!("80x24".parse(), Ok(Size::new(80, 24)));
    assert_eq!(Size::new(9999, 0).to_string(), "500x1");
    for text in ["", "80", "0x24", "501x24", "80x201", "80x24x1", "-1x5", "80X24"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}
