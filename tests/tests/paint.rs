//! The scrollback of a viewer's terminal is the host's history, each line once and in order, whatever the network does.

#[path = "terminal/allowed.rs"]
mod allowed;
#[path = "terminal/model.rs"]
#[allow(dead_code, reason = "shared with the tests of the lines, which use all of it")]
mod model;
#[path = "terminal/script.rs"]
#[allow(dead_code, reason = "shared likewise")]
mod script;

use std::collections::BTreeMap;

use beach_core::terminal::{
    Emulator, Head, Line, LineCommits, MAX_HISTORY_BYTES, MAX_LINES_OUTSIDE, Options, Overlay, OverlayCell, Painter,
    Screen, Size, Space, Window, banner_rows,
};
use beach_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use model::{Bare, Cell, cells_of};
use script::{Step, session};

enum Message {
    Head(Head),
    Line(Space, u64, u64, bool, Line),
    LineCommits(LineCommits),
}

/// A host that keeps everything, and a network whose messages are late, doubled, or lost and sent again.
struct Feed {
    emulator: Emulator,
    sent: BTreeMap<(Space, u64), (u64, bool)>,
    wire: Vec<Message>,
}

impl Feed {
    /// Puts on the wire what changed. Of every other line that left the window only the fate is told, if its content
    /// was sent before.
    fn send(&mut self) {
        self.emulator.frame();
        let head = self.emulator.head().clone();
        let top = self.emulator.top();
        let window = (head.top..head.top + u64::from(head.size.rows)).map(|number| (head.space, number));
        let history = (self.emulator.base()..top).map(|number| (Space::Main, number));
        let all: Vec<_> = history.chain(window).collect();
        for (space, number) in all {
            let (version, bytes) = self.emulator.line(space, number).expect("it is kept");
            let is_final = space == Space::Main && number < top;
            match self.sent.insert((space, number), (version, is_final)) {
                Some(sent) if sent == (version, is_final) => {}
                Some((before, _)) if before == version && number % 2 == 0 => {
                    self.wire.push(Message::LineCommits(LineCommits {
                        start: 0,
                        from: number,
                        runs: vec![(1, version)],
                    }));
                }
                Some(_) | None => {
                    let line = Line::decode(bytes).expect("canonical");
                    self.wire.push(Message::Line(space, number, version, is_final, line));
                }
            }
        }
        self.wire.push(Message::Head(head));
    }
}

fn take(screen: &mut Screen, message: &Message) {
    match message {
        Message::Head(head) => screen.merge_head(head.clone()),
        Message::Line(space, number, version, is_final, line) => {
            screen.merge_line(*space, *number, *version, *is_final, line.clone());
        }
        Message::LineCommits(commits) => screen.merge_commits(commits),
    }
}

struct Person {
    bare: Bare,
    painter: Painter,
    screen: Screen,
    now: Timestamp,
}

impl Person {
    fn new(local: Size) -> Person {
        let mut painter = Painter::new(local, Options::default());
        let mut bare = Bare::new(local);
        let mut out = Vec::new();
        painter.start(&mut out);
        bare.feed(&out);
        Person { bare, painter, screen: Screen::new(10_000), now: Timestamp::ZERO }
    }

    fn paint(&mut self) {
        let mut out = Vec::new();
        self.painter.paint(self.now, &mut self.screen, &Overlay::default(), &mut out);
        assert_eq!(allowed::check(&out, false), Ok(()));
        self.bare.feed(&out);
    }

    /// Paints until nothing is left to wait for.
    fn settle(&mut self) {
        self.paint();
        while let Some(at) = self.painter.deadline() {
            self.now = self.now.max(at);
            self.paint();
        }
    }

    /// The new lines of the scrollback, after its earlier content.
    fn scrollback(&self, local: Size) -> Vec<String> {
        let text = |cells: &Vec<Cell>| cells.iter().map(|cell| cell.text.as_str()).collect::<String>();
        let history = self.bare.history();
        let texts = history.iter().skip(local.rows.into()).map(text).map(|text| text.trim_end().to_owned());
        // A soft hyphen takes no cell here, so the painter puts a blank below it.
        texts.map(|text| text.replace("\u{a0}\u{ad}", "\u{ad}")).collect()
    }
}

/// Whether each row goes on in the next one, from the oldest of the scrollback to the last of the window.
fn wraps_of(bare: &Bare) -> Vec<bool> {
    let (above, rows) = (bare.history().len() as i32, bare.window().len() as i32);
    (-above..rows).map(|row| bare.wraps(row)).collect()
}

/// The same; nothing where a character at the edge is of doubtful width, since such a row may end although it goes on.
fn sure_wraps_of(bare: &Bare) -> Vec<Option<bool>> {
    let rows: Vec<_> = bare.history().into_iter().chain(bare.window()).collect();
    let is_ascii = |cell: Option<&Cell>| cell.is_none_or(|cell| cell.text.is_ascii());
    let is_sure = |at: usize| is_ascii(rows[at].last()) && is_ascii(rows.get(at + 1).and_then(|next| next.first()));
    (0..).zip(wraps_of(bare)).map(|(at, wraps)| is_sure(at).then_some(wraps)).collect()
}

/// Checks which rows of the scrollback go on in the next one: each piece of a line but the last does, and so does the
/// last one of a line that goes on. Where a character at the edge is of doubtful width, a row may end all the same.
fn check_wraps(lines: &[Line], wraps: &[bool], local: Size) -> Result<(), TestCaseError> {
    let rows: Vec<(String, bool)> = lines
        .iter()
        .flat_map(|line| {
            let rows = rows_of(line, local.cols.into());
            let last = rows.len() - 1;
            rows.into_iter().enumerate().map(move |(at, row)| (row, at < last || line.wrapped))
        })
        .collect();
    prop_assert_eq!(rows.len(), wraps.len());
    for (at, wraps) in wraps.iter().enumerate() {
        let (row, goes_on) = &rows[at];
        prop_assert!(*goes_on || !wraps, "row {} goes on: {:?}", at, rows);
        let Some((next, _)) = rows.get(at + 1) else { continue };
        let full = row.len() == usize::from(local.cols) && row.is_ascii();
        let sure = full && next.chars().next().is_some_and(|c| c.is_ascii()) && local.rows > 1;
        // Combining marks make the width of the first character doubtful.
        let stacked = next.chars().nth(1).is_some_and(|c| !c.is_ascii());
        prop_assert!(!(*goes_on && sure && !stacked) || *wraps, "row {} ends: {:?}", at, rows);
    }
    Ok(())
}

/// A line as rows of a terminal: whole cells, hard breaks.
fn rows_of(line: &Line, cols: usize) -> Vec<String> {
    let mut rows = vec![(String::new(), 0)];
    for cell in cells_of(line, line.columns()).iter().filter(|cell| cell.columns > 0) {
        let columns = usize::from(cell.columns);
        if rows.last().is_some_and(|(_, used)| used + columns > cols) {
            rows.push((String::new(), 0));
        }
        let last = rows.last_mut().expect("at least one");
        last.0.push_str(&cell.text);
        last.1 += columns;
    }
    rows.into_iter().map(|(text, _)| text.trim_end().to_owned()).collect()
}

fn size() -> impl Strategy<Value = Size> {
    (2..26u16, 1..14u16).prop_map(|(cols, rows)| Size::new(cols, rows))
}

/// The steps without erasures of the scrollback, which would make what is expected depend on what came before them.
fn without_erasures(steps: Vec<Step>) -> Vec<Step> {
    let mut in_escape = false;
    let mut clean = |bytes: Vec<u8>| {
        let is_kept = |byte: &u8| {
            let is_erasure = *byte == b'J' || (*byte == b'c' && in_escape);
            in_escape = match *byte {
                0x1b => true,
                // CAN and SUB end a sequence. The parser executes or ignores what else is no printable character of
                // ASCII, and the sequence goes on behind that byte; so it does behind a byte that is left out.
                0x18 | 0x1a => false,
                0x20..=0x7e if !is_erasure => false,
                _ => in_escape,
            };
            !is_erasure
        };
        bytes.into_iter().filter(is_kept).collect()
    };
    let mut step = |step| match step {
        Step::Write(bytes) => Step::Write(clean(bytes)),
        Step::Resize(cols, rows) => Step::Resize(cols, rows),
    };
    steps.into_iter().map(&mut step).collect()
}

/// Runs a session over a network that these chances decide about, and compares the viewer's scrollback with the host's
/// lines.
fn check_scrollback(size: Size, local: Size, steps: Vec<Step>, chances: &[u32]) -> Result<(), TestCaseError> {
    let emulator = Emulator::new(size, 1_000_000);
    let mut feed = Feed { emulator, sent: BTreeMap::new(), wire: Vec::new() };
    let mut person = Person::new(local);
    feed.wire.push(Message::LineCommits(LineCommits { start: 0, from: 0, runs: Vec::new() }));
    let mut chances = chances.iter().copied().cycle();
    let mut chance = move || chances.next().expect("a cycle does not end") as usize;
    for step in without_erasures(steps) {
        match step {
            Step::Write(bytes) => feed.emulator.feed(&bytes),
            Step::Resize(cols, rows) => feed.emulator.resize(Size::new(cols, rows)),
        }
        feed.send();
        for _ in 0..chance() % (feed.wire.len() + 1) {
            let at = chance() % feed.wire.len();
            match chance() % 4 {
                0 => take(&mut person.screen, &feed.wire[at]),
                _ => take(&mut person.screen, &feed.wire.swap_remove(at)),
            }
            if feed.wire.is_empty() {
                break;
            }
        }
        person.now = person.now + std::time::Duration::from_millis(chance() as u64 % 80);
        person.paint();
    }
    feed.emulator.feed(b"\x1b\\\x18\x1b[?1049l");
    feed.emulator.end_synchronized();
    feed.send();
    while !feed.wire.is_empty() {
        let at = chance() % feed.wire.len();
        take(&mut person.screen, &feed.wire.swap_remove(at));
    }
    person.settle();
    prop_assert!(person.screen.complete());
    let lines: Vec<Line> = (0..feed.emulator.top())
        .map(|number| {
            let (_, bytes) = feed.emulator.line(Space::Main, number).expect("everything is kept");
            Line::decode(bytes).expect("canonical")
        })
        .collect();
    let expected: Vec<String> = lines.iter().flat_map(|line| rows_of(line, local.cols.into())).collect();
    prop_assert_eq!(person.scrollback(local), expected);
    check_wraps(&lines, &wraps_of(&person.bare)[usize::from(local.rows)..person.bare.history().len()], local)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scrollback_is_the_log_of_final_lines_each_once_and_in_order(
        size in size(), local in size(), steps in session(true), chances in vec(any::<u32>(), 16..64)
    ) {
        check_scrollback(size, local, steps, &chances)?;
    }

    #[test]
    fn what_a_screen_holds_is_bounded_whatever_is_merged(
        lines in vec((any::<u64>(), 0..3_000u64, any::<bool>()), 1..50), commits in vec((0..5_000u64, 1..9u32, 0..3u64), 0..200)
    ) {
        let mut screen = Screen::new(10);
        for (from, count, version) in commits {
            screen.merge_commits(&LineCommits { start: 5, from: from * 7, runs: vec![(count, version)] });
        }
        for (number, count, is_final) in lines {
            for number in number..number.saturating_add(count) {
                screen.merge_line(Space::Main, number, 1, is_final, Line::default());
            }
            prop_assert!(screen.lines_held() <= 10 + MAX_LINES_OUTSIDE);
        }
    }
}

#[test]
fn a_reset_with_a_control_inside_its_sequence_is_left_out_too() {
    for control in ["\n", "\r\n", "\x7f", "\u{e9}", "\x1b", "c", &"\n".repeat(40)] {
        let steps = vec![Step::Write(b"a".to_vec()), Step::Write(format!("\x1bc{control}c").into_bytes())];
        for (rows, chances) in [(1, [0; 16]), (5, [0; 16]), (1, [u32::MAX; 16]), (5, [u32::MAX; 16])] {
            let checked = check_scrollback(Size::new(20, rows), Size::new(20, 5), steps.clone(), &chances);
            assert!(checked.is_ok(), "{control:?}, {rows} rows: {checked:?}");
        }
    }
}

fn line(text: &str) -> Line {
    let mut emulator = Emulator::new(Size::new(80, 2), 0);
    emulator.feed(text.as_bytes());
    emulator.frame();
    Line::decode(emulator.line(Space::Main, 0).expect("row 0").1).expect("canonical")
}

fn head(version: u64, top: u64, rows: u16) -> Head {
    Head { version, top, size: Size::new(80, rows), versions: vec![(rows, 0)], ..Head::default() }
}

#[test]
fn a_gap_is_one_line_that_says_how_many_are_missing() {
    let local = Size::new(80, 5);
    let mut person = Person::new(local);
    person.screen.merge_commits(&LineCommits { start: 10, from: 11, runs: vec![(12_345, 0)] });
    person.screen.merge_line(Space::Main, 10, 1, true, line("before"));
    person.screen.merge_line(Space::Main, 12_356, 1, true, line("after"));
    person.screen.merge_head(head(2, 12_357, 5));
    person.settle();
    assert_eq!(person.scrollback(local), ["before", "[beach: 12,345 lines are missing here]", "after"]);
}

#[test]
fn lines_that_come_late_wait_for_a_screenful_or_for_quiet() {
    let local = Size::new(80, 5);
    let mut person = Person::new(local);
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    person.screen.merge_head(head(2, 7, 5));
    for number in 0..4 {
        person.screen.merge_line(Space::Main, number, 1, true, line("late"));
        person.paint();
        assert_eq!(person.scrollback(local).len(), 0);
    }
    assert_eq!(person.painter.deadline(), Some(Timestamp::from_micros(50_000)));
    person.screen.merge_line(Space::Main, 4, 1, true, line("late"));
    person.paint();
    assert_eq!(person.scrollback(local).len(), 5);
    person.screen.merge_line(Space::Main, 5, 1, true, line("late"));
    person.settle();
    assert_eq!((person.scrollback(local).len(), person.now), (6, Timestamp::from_micros(50_000)));
}

#[test]
fn a_line_that_was_seen_but_is_not_final_waits_for_its_fate() {
    let local = Size::new(80, 5);
    let mut person = Person::new(local);
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    person.screen.merge_line(Space::Main, 0, 1, false, line("first draft"));
    person.screen.merge_head(head(5, 1, 5));
    person.settle();
    assert_eq!(person.scrollback(local).len(), 0);
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: vec![(1, 3)] });
    person.settle();
    assert_eq!(person.scrollback(local).len(), 0, "a newer version was the last");
    person.screen.merge_line(Space::Main, 0, 3, false, line("last word"));
    person.settle();
    assert_eq!(person.scrollback(local), ["last word"]);
}

#[test]
fn lines_of_many_bytes_are_let_go_and_count_as_missing() {
    let mut screen = Screen::new(10_000);
    let big = line(&(0..80).map(|n| format!("\x1b[38;5;{}mx", 16 + n)).collect::<String>());
    screen.merge_head(head(1, 20_000, 5));
    let most = MAX_HISTORY_BYTES / 80;
    for number in 0..10_000 {
        screen.merge_line(Space::Main, number, 1, true, big.clone());
    }
    assert!(screen.lines_held() < most, "{} lines", screen.lines_held());
}

#[test]
fn local_echo_lies_over_the_screen_and_goes_again() {
    let local = Size::new(80, 5);
    let mut person = Person::new(local);
    person.screen.merge_line(Space::Main, 0, 1, false, line("$ l"));
    person.screen.merge_head(head(2, 0, 5));
    let cell = OverlayCell { row: 0, col: 3, text: "s".into(), columns: 1, underlined: true };
    let overlay = Overlay { cells: vec![cell], cursor: Some((0, 4)) };
    let mut out = Vec::new();
    person.painter.paint(person.now, &mut person.screen, &overlay, &mut out);
    person.bare.feed(&out);
    let shown = &person.bare.window()[0];
    assert_eq!(shown[3].text, "s");
    assert_eq!(shown[3].style.underline, beach_core::terminal::Underline::Single);
    assert_eq!(person.bare.term.grid().cursor.point.column.0, 4);
    person.paint();
    assert_eq!(person.bare.window()[0][3].text, " ");
}

/// When a window's new size becomes known to the painter.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Before it paints again; the terminal answers.
    AtOnce,
    /// A paint for the old size reaches the terminal after the change.
    AfterAPaint,
    /// Before it paints again; the terminal answers too late.
    Unanswered,
}

/// Sixty numbers at a time, and between them changes of the window's height; then how often each number is in it.
fn counts_after_changes(heights: &[u16], known: Known) -> Vec<usize> {
    let host = Size::new(80, 24);
    let mut feed = Feed { emulator: Emulator::new(host, 10_000), sent: BTreeMap::new(), wire: Vec::new() };
    let mut person = Person::new(host);
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    let mut last = 0;
    for rows in heights {
        let numbers: Vec<String> = (last + 1..=last + 60).map(|number| format!("{number}\r\n")).collect();
        last += 60;
        feed.emulator.feed(numbers.concat().as_bytes());
        feed.send();
        feed.wire.drain(..).for_each(|message| take(&mut person.screen, &message));
        let size = Size::new(80, *rows);
        if matches!(known, Known::AfterAPaint) {
            person.bare.resize(size);
            person.paint();
            person.now = person.now + std::time::Duration::from_millis(5);
        } else {
            person.settle();
            person.now = person.now + std::time::Duration::from_secs(1);
            person.bare.resize(size);
        }
        let mut out = Vec::new();
        person.painter.resize(person.now, size, &mut out);
        assert_eq!(out, b"\x1b[6n");
        if !matches!(known, Known::Unanswered) {
            let row = person.bare.term.grid().cursor.point.line.0 as u16 + 1;
            let mut out = Vec::new();
            person.painter.cursor_report(row, 1, &mut out);
            person.bare.feed(&out);
        }
        person.settle();
    }
    let all: Vec<Vec<Cell>> = person.bare.history().into_iter().chain(person.bare.window()).collect();
    let text = |cells: &Vec<Cell>| cells.iter().map(|cell| cell.text.as_str()).collect::<String>();
    let texts: Vec<String> = all.iter().map(text).map(|text| text.trim_end().to_owned()).collect();
    (1..=last).map(|number| texts.iter().filter(|text| **text == number.to_string()).count()).collect()
}

#[test]
fn a_change_of_the_windows_height_loses_no_line_and_repeats_some_only_when_it_cannot_be_known() {
    let heights = [24, 30, 18, 24, 40, 10, 24, 9, 33];
    for known in [Known::AtOnce, Known::AfterAPaint, Known::Unanswered] {
        let counts = counts_after_changes(&heights, known);
        let missing: Vec<usize> = (1..=counts.len()).filter(|number| counts[number - 1] == 0).collect();
        let repeated = counts.iter().filter(|count| **count > 1).count();
        eprintln!("{known:?}: {repeated} of {} repeated", counts.len());
        assert_eq!(missing, [0usize; 0], "{known:?}");
        assert!(matches!(known, Known::AfterAPaint | Known::Unanswered) || repeated == 0, "{known:?}: {repeated}");
    }
}

/// The painter's knowledge of the terminal at the end.
#[derive(Clone, Copy, Debug)]
enum End {
    Painted,
    Forgotten,
}

/// Rows of a terminal, as cells.
type CellRows = Vec<Vec<Cell>>;

/// The screen and scrollback of a terminal at the end of a session, with banners at some moments; and which rows go on
/// below, as [`sure_wraps_of`] gives them.
fn shown_with_banners(
    size: Size,
    local: Size,
    options: Options,
    steps: &[Step],
    banners: &[Option<String>],
    end: End,
) -> (CellRows, CellRows, Vec<Option<bool>>) {
    let mut feed = Feed { emulator: Emulator::new(size, 1_000_000), sent: BTreeMap::new(), wire: Vec::new() };
    let mut person = Person::new(local);
    person.painter = Painter::new(local, options);
    person.bare = Bare::new(local);
    let mut out = Vec::new();
    person.painter.start(&mut out);
    person.bare.feed(&std::mem::take(&mut out));
    feed.wire.push(Message::LineCommits(LineCommits { start: 0, from: 0, runs: Vec::new() }));
    for (step, banner) in steps.iter().zip(banners.iter().cycle()) {
        match step {
            Step::Write(bytes) => feed.emulator.feed(bytes),
            Step::Resize(cols, rows) => feed.emulator.resize(Size::new(*cols, *rows)),
        }
        feed.send();
        feed.wire.drain(..).for_each(|message| take(&mut person.screen, &message));
        person.now = person.now + std::time::Duration::from_millis(60);
        person.painter.banner(banner.as_ref().map(|text| banner_rows(text, local.cols)).unwrap_or_default());
        person.painter.paint(person.now, &mut person.screen, &Overlay::default(), &mut out);
    }
    while let Some(at) = person.painter.deadline() {
        person.now = person.now.max(at);
        person.painter.paint(person.now, &mut person.screen, &Overlay::default(), &mut out);
    }
    assert_eq!(allowed::check(&out, false), Ok(()));
    // The last banner is still there: the end takes it away.
    match end {
        End::Painted => {}
        End::Forgotten => person.painter.redraw(),
    }
    person.painter.finish(&mut out);
    person.bare.feed(&out);
    let wraps = match end {
        End::Painted => sure_wraps_of(&person.bare),
        // Which rows go on below is forgotten with the rest.
        End::Forgotten => Vec::new(),
    };
    (person.bare.window(), person.bare.history(), wraps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_ours_leave_no_trace_in_the_window_or_the_scrollback(
        size in size(), local in size(), steps in session(true), alternate in any::<bool>(),
        end in prop_oneof![Just(End::Painted), Just(End::Forgotten)], banners in vec(proptest::option::of("[a-z ]{1,60}"), 1..20)
    ) {
        let steps = without_erasures(steps);
        let options = Options { alternate, ..Options::default() };
        let expected = shown_with_banners(size, local, options, &steps, &[None], end);
        prop_assert_eq!(shown_with_banners(size, local, options, &steps, &banners, end), expected);
    }
}

#[test]
fn a_blank_row_that_went_on_under_a_row_of_ours_goes_on_in_the_scrollback() {
    let write = |text: &str| Step::Write(text.as_bytes().to_vec());
    let steps = [write("\x1b[2;4H   "), Step::Resize(5, 3), write("a"), write("line\r\n")];
    let shown = |banner: Option<&str>| {
        let (size, local) = (Size::new(4, 3), Size::new(5, 3));
        let banners = [banner.map(str::to_owned)];
        shown_with_banners(size, local, Options::default(), &steps, &banners, End::Painted)
    };
    assert_eq!(shown(Some("a")), shown(None));
}

#[test]
fn rows_of_ours_stay_over_the_bottom_whatever_is_printed_and_leave_the_cursors_row_in_sight() {
    let local = Size::new(80, 5);
    let mut person = Person::new(local);
    person.painter.banner(banner_rows("one\ntwo", local.cols));
    let text = |person: &Person| -> Vec<String> {
        let text = |cells: &Vec<Cell>| cells.iter().map(|cell| cell.text.as_str()).collect::<String>();
        person.bare.window().iter().map(text).map(|text| text.trim_end().to_owned()).collect()
    };
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    for top in 0..20 {
        for row in 0..5 {
            person.screen.merge_line(Space::Main, top + row, 1, row == 0, line(&format!("line {}", top + row)));
        }
        let cursor = beach_core::terminal::Cursor { row: 4, ..Default::default() };
        person.screen.merge_head(Head { cursor, ..head(top + 2, top, 5) });
        person.paint();
        let [first, second, last] = [top, top + 1, top + 4].map(|number| format!("line {number}"));
        assert_eq!(text(&person), [first, second, "one".into(), "two".into(), last]);
    }
    person.screen.merge_head(head(30, 19, 5));
    person.paint();
    assert_eq!(text(&person), ["line 19", "line 20", "line 21", "one", "two"]);
}

/// The lines of a terminal, from the oldest of its scrollback, as it copies them.
fn copied(bare: &Bare) -> Vec<String> {
    let rows = bare.history().into_iter().chain(bare.window());
    let wraps = wraps_of(bare);
    let mut lines = vec![String::new()];
    for (cells, wraps) in rows.zip(wraps) {
        let text: String = cells.iter().map(|cell| cell.text.as_str()).collect();
        let last = lines.last_mut().expect("at least one");
        last.push_str(if wraps { &text } else { text.trim_end() });
        if !wraps {
            lines.push(String::new());
        }
    }
    lines
}

#[test]
fn a_long_line_is_one_line_to_the_viewers_terminal_on_screen_and_scrolled_away() {
    let size = Size::new(60, 10);
    let mut feed = Feed { emulator: Emulator::new(size, 10_000), sent: BTreeMap::new(), wire: Vec::new() };
    let mut person = Person::new(size);
    person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
    let mut print = |person: &mut Person, bytes: &[u8]| {
        feed.emulator.feed(bytes);
        feed.send();
        feed.wire.drain(..).for_each(|message| take(&mut person.screen, &message));
        person.settle();
    };
    let url = format!("https://example.org/{}", "0123456789abcdef".repeat(10));
    // Character by character, so that a row is full before it goes on.
    for at in 0..url.len() {
        print(&mut person, &url.as_bytes()[at..=at]);
    }
    print(&mut person, b"\r\nnext\r\n");
    let count = |person: &Person| copied(&person.bare).iter().filter(|line| **line == url).count();
    assert_eq!(count(&person), 1, "on screen: {:#?}", copied(&person.bare));
    // One row of it is out, the others are not.
    print(&mut person, &b"x\r\n".repeat(5));
    assert_eq!(count(&person), 1, "half out: {:#?}", copied(&person.bare));
    print(&mut person, &b"x\r\n".repeat(30));
    assert_eq!(count(&person), 1, "scrolled away: {:#?}", copied(&person.bare));
    // All at once, so that no row of it was ever on screen.
    print(&mut person, [b"again\r\n", url.as_bytes(), &b"\r\nx".repeat(30)].concat().as_slice());
    assert_eq!(count(&person), 2, "never on screen: {:#?}", copied(&person.bare));
    // A row that is over written by a shorter line does not go on any more.
    print(&mut person, b"\x1b[H\x1b[2J");
    print(&mut person, format!("{url}\x1b[1;60H\x1b[K\x1b[2;1Hpieces").as_bytes());
    assert_eq!(count(&person), 2, "overwritten: {:#?}", copied(&person.bare));
    assert!(copied(&person.bare).iter().any(|line| line.starts_with("pieces")));
}

#[test]
fn a_long_line_is_one_line_wherever_a_frame_ends_in_it() {
    let size = Size::new(20, 6);
    let url = format!("https://example.org/{}", "0123456789abcdef".repeat(3));
    let numbers = |to: u32| (1..=to).map(|number| format!("{number}\r\n")).collect::<String>();
    let bytes = format!("\x1b[H\x1b[2J\x1b[3J{url}\r\n$ seq\r\n{}{url}\r\n{}", numbers(3), numbers(20)).into_bytes();
    // The next frame ends one byte later, in the same row, or in another row.
    for (first, second) in (0..bytes.len()).flat_map(|first| [1, 7, 30].map(|more| (first, first + more))) {
        let mut feed = Feed { emulator: Emulator::new(size, 10_000), sent: BTreeMap::new(), wire: Vec::new() };
        let mut person = Person::new(size);
        person.screen.merge_commits(&LineCommits { start: 0, from: 0, runs: Vec::new() });
        let (first, second) = (first.min(bytes.len()), second.min(bytes.len()));
        for part in [&b"before\r\n$ "[..], &bytes[..first], &bytes[first..second], &bytes[second..]] {
            feed.emulator.feed(part);
            feed.send();
            feed.wire.drain(..).for_each(|message| take(&mut person.screen, &message));
            person.paint();
        }
        person.settle();
        let count = copied(&person.bare).iter().filter(|line| **line == url).count();
        assert_eq!(count, 2, "frames end at {first} and {second}: {:#?}", copied(&person.bare));
    }
}

/// The bytes that change a row from what the one script prints to what both do.
fn change(before: &str, after: &str) -> String {
    let size = Size::new(20, 2);
    let mut emulator = Emulator::new(size, 100);
    let mut person = Person::new(size);
    let mut out = Vec::new();
    for script in [before, after] {
        emulator.feed(script.as_bytes());
        emulator.frame();
        for (number, version) in (0..).zip(emulator.head().row_versions()) {
            let (_, bytes) = emulator.line(Space::Main, number).expect("it is in the window");
            person.screen.merge_line(Space::Main, number, version, false, Line::decode(bytes).expect("canonical"));
        }
        person.screen.merge_head(emulator.head().clone());
        out.clear();
        person.painter.paint(person.now, &mut person.screen, &Overlay::default(), &mut out);
        assert_eq!(allowed::check(&out, false), Ok(()));
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn behind_a_character_of_doubtful_width_the_cursor_is_placed_and_old_text_beside_it_goes() {
    for (before, after, bytes) in [
        // A terminal that joins the three leaves columns 3 to 6 as they were.
        (
            "qqqqqqend",
            "\r👨\u{200d}👩\u{200d}👧",
            "\x1b[1H\x1b[2X👨\u{200d}\x1b[3G\x1b[2X👩\u{200d}\x1b[5G\x1b[2X👧\x1b[?7h",
        ),
        ("qqq", "\r🇪🇺", "\x1b[1H\x1b[1X🇪\x1b[2G\x1b[1X🇺\x1b[3Gq\x1b[?7h"),
        ("qqq", "\r1\u{fe0f}\u{20e3}", "\x1b[1H\x1b[1X1\u{fe0f}\u{20e3}\x1b[2Gq\x1b[?7h"),
        // Nothing stood there.
        ("", "👩\u{200d}🚀", "\x1b[1H👩\u{200d}\x1b[3G🚀\x1b[?7h"),
        // The second part is of one column, and of sure width where it stands alone.
        ("qqqq", "\r👩\u{200d}⚕", "\x1b[1H\x1b[2X👩\u{200d}\x1b[3G\x1b[1X⚕\x1b[4Gq\x1b[?7h"),
        // A run of characters that some terminals give two columns each may cover as many more.
        ("abcdef", "\rж─", "\x1b[1Hж─\x1b[3Gcd\x1b[?7h"),
        ("abcdef", "\r中", "\x1b[1H中\x1b[?7h"),
    ] {
        let painted = change(before, after);
        assert!(painted.contains(bytes), "{before:?} to {after:?}: {painted:?}");
    }
}

#[test]
fn a_paint_is_one_update_for_a_persons_own_terminal_and_plain_bytes_for_one_that_was_made_for_the_session() {
    for (window, is_update) in [(Window::Own, true), (Window::Session, false)] {
        let mut painter = Painter::new(Size::new(80, 2), Options { window, ..Options::default() });
        let mut screen = Screen::new(100);
        let mut out = Vec::new();
        painter.start(&mut out);
        screen.merge_line(Space::Main, 0, 1, false, line("text"));
        screen.merge_line(Space::Main, 1, 1, false, Line::default());
        screen.merge_head(head(2, 0, 2));
        out.clear();
        painter.paint(Timestamp::ZERO, &mut screen, &Overlay::default(), &mut out);
        let painted = String::from_utf8(out).expect("text");
        assert!(painted.contains("text"), "{painted:?}");
        let update = (painted.starts_with("\x1b[?2026h"), painted.ends_with("\x1b[?2026l"));
        assert_eq!(update, (is_update, is_update), "{painted:?}");
    }
}
