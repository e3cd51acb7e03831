//! Rows that the host's terminal pulls back out of its scrollback: viewers see them where they stand, and have each in
//! their scrollback once.

#[path = "terminal/model.rs"]
#[allow(dead_code, reason = "shared with the tests of the lines, which use all of it")]
mod model;

use std::time::Duration;

use beach_core::host::HostInput;
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, ScreenTitles, Size, Space};
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{
    FakeEngine, HostPlan, Script, ViewerPlan, Wire, World, fake_engine, for_each_seed, ms, same_screens, secs,
};
use proptest::collection::vec;
use proptest::prelude::*;

use model::{Bare, Cell, cells_of};

const COLS: u16 = 30;

fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many new lines, each of them another one.
    Lines(u16),
    /// Bytes that scroll nothing that was not there.
    Write(String),
    Rows(u16),
}

fn rows(least: u16) -> impl Strategy<Value = Step> {
    (least..24u16).prop_map(Step::Rows)
}

/// Steps that add lines at the end and change none.
fn adding() -> impl Strategy<Value = Vec<Step>> {
    vec(prop_oneof![(1..40u16).prop_map(Step::Lines), rows(1), rows(1)], 1..30)
}

/// Steps that change lines anywhere on the screen.
fn changing() -> impl Strategy<Value = Vec<Step>> {
    let write = prop::sample::select(vec![
        "\x1b[3A\rchanged\x1b[3B",
        "\x1b[2;1H\x1b[L",
        "\x1b[1;1Hfirst\x1b[K\x1b[99;1H",
        "\x1b[2;4r\x1b[4;1H\r\n\r\n\x1b[r\x1b[99;1H",
        "\x1b[1;3r\x1b[3;1H\r\nin a region\r\n\x1b[r\x1b[99;1H",
        "\x1b[2J",
        "\x1b[3J",
        "\x1b[5;3H\x1b[J",
        "\x1b[44m\x1b[K",
        "\x1b7",
        "\x1b8",
        "\x1bM",
        "a long line that goes on in the next row of this terminal, and in a third",
    ]);
    let step = prop_oneof![
        3 => (1..40u16).prop_map(Step::Lines),
        3 => write.prop_map(|text| Step::Write(text.to_owned())),
        4 => rows(5),
    ];
    vec(step, 1..40)
}

/// A program's own terminal, which pulls rows back, and the model.
struct Both {
    bare: Bare,
    emulator: Emulator,
    lines: u64,
    /// The contents of the terminal's scrollback, by what the model tells.
    scrollback: Vec<Vec<Cell>>,
    top: u64,
}

impl Both {
    fn new() -> Both {
        let size = Size::new(COLS, 10);
        let mut emulator = Emulator::new(size, 100_000);
        emulator.set_screen_titles(ScreenTitles::Taken);
        Both { bare: Bare::new(size), emulator, lines: 0, scrollback: Vec::new(), top: 0 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Lines(count) => {
                for _ in 0..*count {
                    self.lines += 1;
                    self.write(format!("line {}\r\n", self.lines).as_bytes());
                }
            }
            Step::Write(text) => self.write(text.as_bytes()),
            Step::Rows(rows) => {
                let size = Size::new(COLS, *rows);
                self.bare.resize(size);
                self.emulator.resize(size);
                self.look();
                let before = self.bare.history().len();
                let down = (self.bare.cursor().0 + 1).checked_sub(self.emulator.reported_place().0);
                self.emulator.pull(down.expect("nothing moves it up"));
                self.scrollback.truncate(before);
            }
        }
        self.look();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bare.feed(bytes);
        self.emulator.feed(bytes);
    }

    /// Adds the lines that left the window since the last look to the scrollback.
    fn look(&mut self) {
        self.emulator.frame();
        for number in self.top.max(self.emulator.base())..self.emulator.top() {
            self.scrollback.push(self.cells(number));
        }
        self.top = self.emulator.top();
    }

    fn cells(&self, number: u64) -> Vec<Cell> {
        let (_, bytes) = self.emulator.line(Space::Main, number).expect("it is kept");
        cells_of(&Line::decode(bytes).expect("canonical"), COLS.into())
    }

    fn window(&self) -> Vec<Vec<Cell>> {
        let head = self.emulator.head();
        (head.top..head.top + u64::from(head.size.rows)).map(|number| self.cells(number)).collect()
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.window(), self.bare.window());
        let cursor = self.emulator.head().cursor;
        prop_assert_eq!((cursor.row, cursor.col), self.bare.cursor());
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_model_shows_what_a_terminal_shows_that_pulls_rows_back(steps in changing()) {
        let mut both = Both::new();
        for step in &steps {
            both.take(step);
            both.compare()?;
            let emulator = &both.emulator;
            for number in emulator.base()..emulator.top() {
                let Some(origin) = emulator.repeated(number) else { continue };
                prop_assert!(origin < number);
                prop_assert_eq!(emulator.repeated(origin), None, "of a line that was in no scrollback");
                if origin >= emulator.base() {
                    prop_assert_eq!(both.cells(number), both.cells(origin));
                }
            }
        }
    }

    #[test]
    fn a_row_that_comes_back_and_leaves_unchanged_is_no_new_line(steps in adding()) {
        let mut both = Both::new();
        for step in &steps {
            both.take(step);
            both.compare()?;
            prop_assert_eq!(&both.scrollback, &both.bare.history());
        }
        both.take(&Step::Rows(1));
        both.take(&Step::Lines(1));
        let emulator = &both.emulator;
        let new: Vec<String> = (0..emulator.top())
            .filter(|number| emulator.repeated(*number).is_none())
            .map(|number| Line::decode(emulator.line(Space::Main, number).expect("kept").1).expect("canonical").text())
            .collect();
        let expected: Vec<String> = (1..=both.lines).map(|line| format!("line {line}")).collect();
        prop_assert_eq!(new, expected);
    }

    #[test]
    fn rows_of_another_width_come_back_without_a_line_lost(steps in vec((5..60u16, 1..24u16, 1..40u16), 1..20)) {
        let mut emulator = Emulator::new(Size::new(COLS, 10), 100_000);
        let mut lines = 0;
        for (cols, rows, count) in steps {
            for _ in 0..count {
                lines += 1;
                emulator.feed(format!("{lines}: {}\r\n", "word ".repeat(lines % 9)).as_bytes());
            }
            emulator.resize(Size::new(cols, rows));
            emulator.pull(rows);
            emulator.frame();
            emulator.head().check().expect("a sound head");
        }
        emulator.resize(Size::new(COLS, 1));
        emulator.feed(b"\r\n");
        emulator.frame();
        let new = (0..emulator.top()).filter(|number| emulator.repeated(*number).is_none());
        let text: Vec<String> = new
            .map(|number| Line::decode(emulator.line(Space::Main, number).expect("kept").1).expect("canonical").text())
            .collect();
        for line in 1..=lines {
            let begin = format!("{line}:");
            prop_assert!(text.iter().any(|text| text.starts_with(&begin)), "line {line} of {text:?}");
        }
    }
}

/// The own terminal of a host in a world, which pulls rows back.
struct Own {
    bare: Bare,
    read: usize,
    /// How long it takes to answer.
    late: Option<Duration>,
}

impl Own {
    /// Takes what the host shows for so long, and answers.
    fn follow(&mut self, world: &mut World<FakeEngine>, span: u64) {
        for _ in 0..span / 5 {
            world.run_for(ms(5));
            let shown = world.hosts[0].shown[self.read..].to_vec();
            self.read += shown.len();
            let mut rest = shown.as_slice();
            while let Some(at) = rest.windows(ASK.len()).position(|part| part == ASK) {
                self.bare.feed(&rest[..at]);
                rest = &rest[at + ASK.len()..];
                let (row, col) = self.bare.cursor();
                let answer = format!("\x1b[{};{}R", row + 1, col + 1);
                if let Some(late) = self.late {
                    world.run_for(late);
                }
                // In two reads, as the network of ssh may cut it.
                let (one, two) = answer.split_at(3);
                world.host_input(0, HostInput::Keys(one.into()));
                world.host_input(0, HostInput::Keys(two.into()));
            }
            self.bare.feed(rest);
        }
    }

    fn resize(&mut self, world: &mut World<FakeEngine>, rows: u16) {
        self.resize_both(world, Size::new(COLS, rows));
    }

    fn resize_both(&mut self, world: &mut World<FakeEngine>, size: Size) {
        self.bare.resize(size);
        world.host_input(0, HostInput::Resized(size));
        self.follow(world, 600);
    }

    fn prints(&mut self, world: &mut World<FakeEngine>, text: &str) {
        world.host_input(0, HostInput::Printed(text.into()));
        self.follow(world, 20);
    }

    fn text(&self) -> Vec<String> {
        let text = |cells: &Vec<Cell>| cells.iter().map(|cell| cell.text.as_str()).collect::<String>();
        self.bare.window().iter().map(|row| text(row).trim_end().to_owned()).collect()
    }
}

const ASK: &[u8] = b"\x1b[6n";

fn in_own_terminal(seed: u64, loss: u64, viewers: usize) -> (World<FakeEngine>, Own) {
    let mut world = World::new(seed, fake_engine);
    let mut plan = HostPlan::new(1);
    (plan.config.headless, plan.config.size, plan.config.history) = (false, Size::new(COLS, 10), 10_000);
    plan.script = Script::Mute;
    world.add_host(plan);
    let mut own = Own { bare: Bare::new(Size::new(COLS, 10)), read: 0, late: None };
    own.follow(&mut world, 1000);
    world.host_input(0, HostInput::CursorReports);
    world.host_input(0, HostInput::ScreenTitles);
    own.prints(&mut world, "\r\n");
    for _ in 0..viewers {
        joins(&mut world, loss);
    }
    own.follow(&mut world, 200);
    (world, own)
}

fn joins(world: &mut World<FakeEngine>, loss: u64) {
    let mut plan = ViewerPlan::of(1, Role::View);
    (plan.size, plan.history) = (Size::new(COLS, 30), 10_000);
    plan.wire = Wire::steady(ms(20));
    world.add_viewer(plan);
    everyone_joins(world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    world.viewers.iter_mut().for_each(|viewer| viewer.wire.loss = loss);
}

/// The numbers that stand alone on a line: in the scrollback of a viewer's terminal, and on its screen.
fn numbers(world: &mut World<FakeEngine>, viewer: usize) -> (Vec<u32>, Vec<u32>) {
    let terminal = &mut world.viewers[viewer].terminal;
    terminal.frame();
    let top = terminal.top();
    let numbers = |range: std::ops::Range<u64>| {
        let text = |number| Line::decode(terminal.line(Space::Main, number)?.1).ok().map(|line| line.text());
        range.filter_map(text).filter_map(|line| line.trim_end_matches('│').trim_end().parse().ok()).collect()
    };
    (numbers(terminal.base()..top), numbers(top..top + u64::from(terminal.head().size.rows)))
}

fn seq(numbers: std::ops::RangeInclusive<u32>) -> String {
    numbers.map(|number| format!("{number}\r\n")).collect()
}

#[test]
fn a_terminal_that_grows_shows_its_viewers_the_rows_that_it_pulled_back() {
    let (mut world, mut own) = in_own_terminal(1, 0, 1);
    own.prints(&mut world, &seq(1..=100));

    own.resize(&mut world, 30);

    let shown: Vec<u32> = own.text().iter().filter_map(|row| row.parse().ok()).collect();
    assert_eq!(shown, (72..=100).collect::<Vec<_>>());
    assert_eq!(world.viewers[0].node.machine().screen().text(), own.text());
    assert_eq!(world.hosts[0].resized, [Size::new(COLS, 10), Size::new(COLS, 30)]);
    assert_eq!(world.hosts[0].written, b"", "the answer is none of the program's");

    own.resize(&mut world, 10);
    own.prints(&mut world, &seq(101..=150));
    own.follow(&mut world, 1000);

    assert_eq!(world.viewers[0].node.machine().screen().text(), own.text());
    let (above, shown) = numbers(&mut world, 0);
    assert_eq!([above, shown].concat(), (1..=150).collect::<Vec<_>>());
}

#[test]
fn a_viewer_that_came_meanwhile_and_one_that_wants_no_history_lose_none_either() {
    let (mut world, mut own) = in_own_terminal(1, 0, 0);
    own.prints(&mut world, &seq(1..=100));
    own.resize(&mut world, 30);
    joins(&mut world, 0);
    let mut plan = ViewerPlan::of(1, Role::View);
    (plan.size, plan.history) = (Size::new(COLS, 30), 0);
    world.add_viewer(plan);
    everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));

    own.prints(&mut world, &seq(101..=150));
    own.follow(&mut world, 1000);

    for (viewer, first) in [(0, 1), (1, 72)] {
        let (above, shown) = numbers(&mut world, viewer);
        assert_eq!([above, shown].concat(), (first..=150).collect::<Vec<_>>(), "viewer {viewer}");
    }
}

#[test]
fn a_row_that_was_changed_is_a_new_line() {
    let (mut world, mut own) = in_own_terminal(1, 0, 1);
    own.prints(&mut world, &seq(1..=100));
    own.resize(&mut world, 30);

    own.prints(&mut world, "\x1b[3;1H1000\x1b[30;1H");
    own.prints(&mut world, &seq(101..=150));
    own.follow(&mut world, 1000);

    let (above, shown) = numbers(&mut world, 0);
    let expected: Vec<u32> = (1..=91).chain([1000]).chain(92..=150).collect();
    assert_eq!([above, shown].concat(), expected);
}

#[test]
fn without_an_answer_the_program_gets_its_size_all_the_same_and_never_the_late_answer() {
    let (mut world, mut own) = in_own_terminal(1, 0, 1);
    own.prints(&mut world, &seq(1..=100));
    own.late = Some(ms(900));

    let start = world.now();
    own.resize(&mut world, 30);

    assert_eq!(world.hosts[0].resized, [Size::new(COLS, 10), Size::new(COLS, 30)]);
    assert!(world.now() > start + ms(900));
    assert_eq!(world.hosts[0].written, b"");
    let (above, shown) = numbers(&mut world, 0);
    assert_eq!([above, shown].concat(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn answers_to_the_program_and_its_keys_stay_the_programs() {
    let (mut world, mut own) = in_own_terminal(1, 0, 0);
    own.prints(&mut world, "a\r\nb");
    let asked = world.hosts[0].shown.len();
    // The program asks first.
    world.host_input(0, HostInput::Printed(b"\x1b[6n".to_vec()));
    world.host_input(0, HostInput::Resized(Size::new(COLS, 30)));
    world.run_for(ms(10));
    let shown = world.hosts[0].shown[asked..].to_vec();
    assert_eq!(shown, b"\x1b[6n\x1b[6n");

    // The program's answer, the third function key with Ctrl, and the answer to the host, which comes with a key.
    world.host_input(0, HostInput::Keys(b"\x1b[3;2R\x1b[1;5Rx\x1b[3;2Ry".to_vec()));
    world.run_for(ms(10));

    assert_eq!(String::from_utf8_lossy(&world.hosts[0].written), "\x1b[3;2R\x1b[1;5Rxy");
    assert_eq!(world.hosts[0].resized, [Size::new(COLS, 10), Size::new(COLS, 30)]);
    own.read = world.hosts[0].shown.len();
}

#[test]
fn a_terminal_that_grows_under_the_alternate_screen_is_asked_when_the_main_one_is_back() {
    let (mut world, mut own) = in_own_terminal(1, 0, 1);
    own.prints(&mut world, &seq(1..=100));
    own.prints(&mut world, "\x1b[?1049h\x1b[Hin an editor");
    own.resize(&mut world, 30);
    assert_eq!(world.hosts[0].resized, [Size::new(COLS, 10), Size::new(COLS, 30)]);

    own.prints(&mut world, "\x1b[?1049l");
    own.follow(&mut world, 500);

    assert_eq!(world.viewers[0].node.machine().screen().text(), own.text());
    own.prints(&mut world, &seq(101..=150));
    own.follow(&mut world, 1000);
    let (above, shown) = numbers(&mut world, 0);
    assert_eq!([above, shown].concat(), (1..=150).collect::<Vec<_>>());
}

/// Prints numbers and changes the size by turns; returns the last number. Rows that came back leave again at the end.
fn sizes_change(
    world: &mut World<FakeEngine>,
    own: &mut Own,
    mut change: impl FnMut(&mut World<FakeEngine>, &mut Own),
) -> u32 {
    let mut last = 0;
    for _ in 0..12 {
        let count = world.dice.between(0, 40) as u32;
        own.prints(world, &seq(last + 1..=last + count));
        last += count;
        change(world, own);
    }
    own.resize(world, 12);
    own.prints(world, &seq(last + 1..=last + 60));
    own.follow(world, 5000);
    last + 60
}

/// Each viewer shows what the own terminal shows, and has each number once.
fn has_each_once(world: &mut World<FakeEngine>, own: &Own, last: u32) {
    for viewer in 0..world.viewers.len() {
        let emulator = world.hosts[0].node.machine().emulator();
        same_screens(world.viewers[viewer].node.machine().screen(), emulator).unwrap_or_else(|what| panic!("{what}"));
        assert_eq!(world.viewers[viewer].node.machine().screen().text(), own.text());
        let (above, shown) = numbers(world, viewer);
        assert_eq!([above, shown].concat(), (1..=last).collect::<Vec<_>>(), "viewer {viewer}");
    }
}

#[test]
fn whatever_the_network_and_the_sizes_do_each_line_is_there_once() {
    let name = "whatever_the_network_and_the_sizes_do_each_line_is_there_once";
    for_each_seed("pulled", name, 0..12, |seed| {
        let (mut world, mut own) = in_own_terminal(seed, seed % 4 * 8, 2);
        let last = sizes_change(&mut world, &mut own, |world, own| {
            let rows = world.dice.between(2, 30) as u16;
            own.resize(world, rows);
        });
        has_each_once(&mut world, &own, last);
    });
}

#[test]
fn whatever_the_widths_do_each_short_line_is_there_once() {
    let name = "whatever_the_widths_do_each_short_line_is_there_once";
    for_each_seed("pulled", name, 0..12, |seed| {
        let (mut world, mut own) = in_own_terminal(seed, seed % 4 * 8, 2);
        let last = sizes_change(&mut world, &mut own, |world, own| {
            let (cols, rows) = (world.dice.between(8, 50) as u16, world.dice.between(2, 30) as u16);
            own.resize_both(world, Size::new(cols, rows));
            if seed % 4 == 0 {
                let shown = world.viewers[0].node.machine().screen().text();
                assert_eq!(shown, own.text(), "without loss, after a change to {cols}x{rows}");
            }
        });
        has_each_once(&mut world, &own, last);
    });
}

#[test]
fn a_blank_screen_that_is_cleared_puts_no_row_into_the_scrollback() {
    let mut both = Both::new();
    let texts = ["\x1b[1;1Hfirst\x1b[K\x1b[99;1H", "\x1b[2J"].map(|text| Step::Write(text.to_owned()));
    let [first, clear] = texts;
    for step in [first, Step::Rows(5), clear, Step::Rows(10)] {
        both.take(&step);
        both.compare().unwrap_or_else(|error| panic!("{step:?}: {error}"));
    }
}
