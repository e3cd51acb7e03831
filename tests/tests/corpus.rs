//! Real programs run here, their output is recorded, and a viewer behind a bad network gets it: the viewer has the same
//! cells, cursor and modes, and so has the terminal that its painter paints on.
#![cfg(target_os = "linux")]

#[path = "corpus/plain.rs"]
mod plain;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use beach_core::host::HostInput;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, Modes, Size, Space, Window};
use beach_core::viewer::ViewerNotice;
use beach_tests::determinism;
use beach_tests::real::{Process, Scratch, Tmux, eventually, holds};
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{HostPlan, Script, ViewerPlan, Wire, World, fake_engine, ms, real, same_screens, secs};
use plain::Plain;

/// Names a folder in which the viewers' recordings are kept.
const RECORDINGS: &str = "BEACH_RECORDINGS";

/// How many screens of a recording are compared, the last one included.
const POINTS: usize = 11;

/// A program that has printed nothing for this long waits for a key.
const QUIET: Duration = Duration::from_millis(200);

/// A program on a terminal of its own, whose output is recorded.
struct Recorded {
    command: String,
    process: Process,
    _scratch: Scratch,
}

impl Recorded {
    fn start(size: Size, command: &str) -> Recorded {
        let scratch = Scratch::new();
        let numbers: String = (1..200).map(|i| format!("line {i} of a text with words and 漢字\n")).collect();
        std::fs::write(scratch.file("text"), numbers).expect("a file can be written");
        let broken = "int main(void) { return x + \"a\"; }\n";
        std::fs::write(scratch.file("broken.c"), broken).expect("a file can be written");
        let shell = format!("stty rows {} cols {}; {command}", size.rows, size.cols);
        let mut script = Command::new("script");
        script.args(["-qfec", &shell, "/dev/null"]).current_dir(scratch.folder());
        script
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("LANG", "C.UTF-8")
            .env("HOME", scratch.folder());
        Recorded { command: command.to_owned(), process: Process::start(&mut script), _scratch: scratch }
    }

    /// The output so far, when it is quiet.
    fn printed(&self) -> String {
        let mut last = (0, Instant::now());
        eventually(&format!("{} is quiet", self.command), secs(10), || {
            let printed = self.process.stdout();
            if printed.len() != last.0 {
                last = (printed.len(), Instant::now());
            }
            (last.0 > 0 && last.1.elapsed() > QUIET).then_some(printed)
        })
    }

    /// Waits until this text is printed, and something behind the first `done` bytes.
    fn prints(&self, text: &str, done: usize) {
        holds(&format!("{} prints {text:?}", self.command), secs(10), || {
            let printed = self.process.stdout();
            printed.len() > done && printed[done..].contains(text)
        });
    }

    /// The output so far after `keys`, when it is quiet.
    fn types(&mut self, keys: &str) -> String {
        self.process.write(keys);
        self.printed()
    }
}

/// The output of `command` on a terminal of this size while `keys` are typed, each when the output is quiet.
fn record(size: Size, command: &str, keys: &[&str]) -> Vec<u8> {
    let mut recorded = Recorded::start(size, command);
    let mut printed = recorded.printed();
    for key in keys {
        printed = recorded.types(key);
    }
    printed.into_bytes()
}

fn rows(emulator: &Emulator) -> Vec<Line> {
    let head = emulator.head();
    let line = |row| emulator.line(head.space, head.top + u64::from(row)).expect("a line of the window").1;
    (0..head.size.rows).map(|row| Line::decode(line(row)).expect("the emulator's own encoding")).collect()
}

/// The rows' text, without blanks at their ends.
fn texts(emulator: &Emulator) -> Vec<String> {
    let text = |line: Line| line.runs.iter().map(|run| run.text.as_str()).collect::<String>();
    rows(emulator).into_iter().map(|line| text(line).trim_end().to_owned()).collect()
}

/// The differences between a viewer's terminal and the host's model.
fn same_painted(painted: &Emulator, host: &Emulator) -> Result<(), String> {
    for (row, (painted, host)) in rows(painted).iter().zip(rows(host)).enumerate() {
        // A painter places each row by itself, so its terminal is never told that one continues in the next.
        if painted.runs != host.runs {
            return Err(format!("painted row {row} is {painted:?}, the host's {host:?}"));
        }
    }
    let (painted, host) = (painted.head(), host.head());
    // At every viewer bracketed paste is on, even if the program does not ask for brackets.
    let modes = host.modes.set(Modes::BRACKETED_PASTE, true);
    if (painted.size, painted.cursor, painted.modes) != (host.size, host.cursor, modes) {
        return Err(format!("painted {painted:?}, the host's {host:?}"));
    }
    Ok(())
}

/// Where the parts of a recording end: between control sequences.
fn ends(printed: &[u8]) -> Vec<usize> {
    let end = |point: usize| {
        let least = printed.len() * point / POINTS;
        let next = printed[least..].windows(2).position(|pair| pair == b"\x1b[");
        next.map_or(printed.len(), |further| least + further)
    };
    (1..=POINTS).map(end).collect()
}

/// A host of this size, and a viewer behind a bad network, who paints on a terminal of this kind.
fn pair<E: Engine>(mut world: World<E>, size: Size, window: Window) -> World<E> {
    let mut plan = HostPlan::new(1);
    plan.config.size = size;
    plan.script = Script::Mute;
    world.add_host(plan);
    let mut plan = ViewerPlan::of(1, Role::View);
    (plan.size, plan.window) = (size, window);
    plan.records = env::var_os(RECORDINGS).is_some();
    plan.wire = Wire { jitter: ms(30), loss: 10, ..Wire::steady(ms(20)) };
    world.add_viewer(plan);
    everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"));
    world
}

/// Keeps the recording of the viewer, for a replay by the viewer of a browser: `tests/web/corpus`.
fn keep<E: Engine>(world: &World<E>, program: &str, size: Size) {
    let Some(folder) = env::var_os(RECORDINGS) else { return };
    let name: String = program.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let recording = &world.viewers[0].recording;
    let file = Path::new(&folder).join(format!("{name}-{size}-{}.beach", recording.len()));
    std::fs::write(file, recording).expect("the folder of recordings can be written");
}

/// Something happens at the host; when all is quiet, the viewer and its terminal show what the host does.
fn arrives<E: Engine>(world: &mut World<E>, input: HostInput) -> Result<(), String> {
    world.host_input(0, input);
    let title =
        |notice: &ViewerNotice| if let ViewerNotice::Title(title) = notice { Some(title.clone()) } else { None };
    let same = |world: &World<E>| {
        let host = world.hosts[0].node.machine().emulator();
        let told = world.viewers[0].notices.iter().rev().find_map(|(_, notice)| title(notice)).unwrap_or_default();
        if told != host.title().unwrap_or_default() {
            return Err(format!("the title is {told:?}, the host's {:?}", host.title()));
        }
        same_screens(world.viewers[0].node.machine().screen(), host)
    };
    world.run_for(ms(300));
    world.run_until(secs(30), |world| same(world).is_ok());
    world.run_for(ms(300));
    same(world)?;
    let viewer = &mut world.viewers[0];
    viewer.terminal.frame();
    let host = world.hosts[0].node.machine().emulator();
    // A window of another size shows a part, or a border.
    if viewer.terminal.head().size == host.head().size { same_painted(&viewer.terminal, host) } else { Ok(()) }
}

/// Byte by byte no text is written as a run: the lines and the screen are those of a single read.
fn runs_change_nothing(program: &str, size: Size, printed: &[u8]) {
    let read = |size_of_read: usize| {
        let mut emulator = Emulator::new(size, 100_000);
        printed.chunks(size_of_read).for_each(|read| emulator.feed(read));
        emulator.end_synchronized();
        emulator.frame();
        let numbers = emulator.base()..emulator.top() + u64::from(size.rows);
        let line = |number| emulator.line(Space::Main, number).map(|(_, bytes)| bytes.to_vec());
        (emulator.head().clone(), rows(&emulator), numbers.map(line).collect::<Vec<_>>())
    };
    assert!(read(printed.len()) == read(1), "{program} at {size}: single bytes give other lines");
}

/// The number of an end of a recording, and what its rows must be.
type Excused = (usize, fn(&[String]) -> bool);

/// Compares the screen at each of `ends` of a recording with a viewer behind the network, and with a pane of tmux. At
/// the ends in `excused` tmux is known to be wrong; there a check of the rows decides.
fn plays(program: &str, size: Size, printed: &[u8], ends: &[usize], excused: &[Excused]) {
    runs_change_nothing(program, size, printed);
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let mut plain = Plain::start(&scratch, &tmux, size);
    // Where the host's program begins.
    plain.feed(b"$ ");
    let mut world = pair(World::new(printed.len() as u64, fake_engine), size, Window::Own);
    let mut done = 0;
    let mut differing = Vec::new();
    for (number, &end) in ends.iter().enumerate() {
        let part = printed[done..end].to_vec();
        plain.feed(&part);
        done = end;
        let place = || {
            let last = String::from_utf8_lossy(&printed[done.saturating_sub(200)..done]);
            format!("{program} at {size}, after {done} of {} bytes that end in {last:?}", printed.len())
        };
        arrives(&mut world, HostInput::Printed(part)).unwrap_or_else(|difference| panic!("{}: {difference}", place()));
        let model = world.hosts[0].node.machine().emulator();
        let differences = plain.differences(model);
        if let Some((_, right)) = excused.iter().find(|(excused, _)| *excused == number) {
            assert!(!differences.is_empty(), "end {number} does not differ any more: {}", place());
            let shown = texts(model);
            assert!(right(&shown), "{}: {shown:#?}", place());
            continue;
        }
        differing.extend(differences.iter().map(|(where_, what)| format!("{}: {where_}: {what}", place())));
    }
    keep(&world, program, size);
    differing.truncate(8);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// The same while the host's size changes between the parts. No other terminal is asked here, since terminals break
/// rows anew in different ways.
fn plays_while_resized<E: Engine>(mut world: World<E>, program: &str, size: Size, printed: &[u8]) {
    let mut done = 0;
    for (point, end) in ends(printed).into_iter().enumerate() {
        // Every second size, and the last one, is the size of the viewer's window.
        let odd = |by: u16| if point % 2 == 1 { point as u16 % by } else { 0 };
        let changed = Size::new(size.cols + 5 * odd(4) - 3 * odd(6), size.rows + 2 * odd(8) - 3 * odd(4));
        for input in [HostInput::Resized(changed), HostInput::Printed(printed[done..end].to_vec())] {
            arrives(&mut world, input)
                .unwrap_or_else(|difference| panic!("{program} at {changed}, after {end} bytes: {difference}"));
        }
        done = end;
    }
    keep(&world, program, size);
}

fn recorded(command: &str, keys: &[&str]) {
    for (size, window) in [(Size::new(80, 24), Window::Own), (Size::new(61, 17), Window::Session)] {
        let printed = record(size, command, keys);
        assert!(printed.len() > 100, "{command} printed {:?}", String::from_utf8_lossy(&printed));
        plays(command, size, &printed, &ends(&printed), &[]);
        let world = pair(World::new(printed.len() as u64, fake_engine), size, window);
        plays_while_resized(world, command, size, &printed);
    }
}

#[test]
fn vim_arrives() {
    recorded("vim -N text", &["ohello \x1b", "/words\r", ":set hlsearch number\r", ":split\r", "\x06", ":q\r"]);
}

#[test]
fn less_arrives() {
    recorded("less text", &[" ", "/words\r", "n", "G", "q"]);
}

#[test]
fn nano_arrives() {
    recorded("nano text", &["hello", "\x16", "\x17words\r", "\x18", "n"]);
}

#[test]
fn dialog_arrives() {
    let keys = ["\x1b[B", "\x1b[B", "\r"];
    recorded("dialog --menu Which? 12 40 4 a One b Two c Three", &keys);
}

#[test]
fn a_gauge_arrives() {
    let gauge = "(for part in 10 40 70 100; do echo $part; sleep 0.05; done) | dialog --gauge Wait 7 40";
    recorded(gauge, &[]);
}

#[test]
fn htop_arrives() {
    recorded("htop --delay 50", &["\x1b[B", "t", "\x1bOS", "q"]);
}

#[test]
fn tmux_inside_arrives() {
    let server = std::process::id();
    let command = format!("tmux -L corpus-{server} -f /dev/null new-session sh; tmux -L corpus-{server} kill-server");
    recorded(&command, &["echo inside\r", "\x02%", "ls -la\r", "\x02d"]);
}

/// The pages of one of vttest's menus: what was printed, and where each page ends. The first and the last page are the
/// menu.
fn pages_of_vttest(size: Size, menu: &[&str]) -> (Vec<u8>, Vec<usize>) {
    const MENU: &str = "Enter choice number";
    let mut vttest = Recorded::start(size, "vttest 24x80");
    // vttest asks for the terminal's kind (DA1), and takes the first keys for the answer.
    vttest.prints("\x1b[0c", 0);
    vttest.process.write("\x1b[?62;1;2;6;8;9;15;22c");
    vttest.prints(MENU, 0);
    let mut ends = vec![vttest.printed().len()];
    for choice in menu {
        let done = vttest.process.stdout().len();
        vttest.process.write(format!("{choice}\r"));
        vttest.prints("", done);
    }
    loop {
        let (printed, page) = (vttest.printed(), ends[ends.len() - 1]);
        ends.push(printed.len());
        if printed[page..].contains(MENU) {
            return (printed.into_bytes(), ends);
        }
        assert!(ends.len() < 50, "menu {menu:?} does not end");
        vttest.process.write("\r");
        vttest.prints("", printed.len());
    }
}

/// Every page of one of vttest's menus, and the menu before and after them.
fn vttest_arrives(menu: &[&str], pages: usize, excused: &[Excused]) {
    let size = Size::new(80, 24);
    let (printed, ends) = pages_of_vttest(size, menu);
    assert_eq!(ends.len(), pages + 2, "pages of menu {menu:?}, and twice the menu");
    let name = format!("menu {menu:?} of vttest");
    plays(&name, size, &printed, &ends, excused);
    let world = pair(World::new(printed.len() as u64, fake_engine), size, Window::Own);
    plays_while_resized(world, &name, size, &printed);
}

/// vttest prints: "The left/right margins should have letters in order". The last 17 letters stay.
fn letters_are_in_order(rows: &[String]) -> bool {
    let ends = |row: &String| (row.chars().next(), row.chars().last(), row.chars().count());
    rows[2..19].iter().zip('I'..='Y').all(|(row, letter)| {
        let letters = (Some(letter), Some(letter.to_ascii_lowercase()), 80);
        ends(row) == letters
    })
}

#[test]
fn vttests_cursor_movements_arrive() {
    // After a character in the last column, tmux counts the cursor behind that column, and goes back to the last one.
    // DEC's terminals and xterm go to the one before. The second and the fourth page are written for 132 columns.
    let frame = |rows: &[String]| {
        let mut sides = rows[2..9].iter().chain(&rows[16..22]);
        sides.all(|row| row.starts_with("*+") && row.ends_with("+*") && row.len() == 80)
    };
    vttest_arrives(&["1"], 6, &[(2, frame), (3, letters_are_in_order), (4, letters_are_in_order)]);
}

#[test]
fn vttests_screen_features_arrive() {
    // In origin mode, new margins send tmux' cursor to the first row of the screen, not of the margins.
    let bottom = |rows: &[String]| {
        rows[22].starts_with("This line should be the one above the bottom of the screen.")
            && rows[23] == "Origin mode test. This line should be at the bottom of the screen."
    };
    vttest_arrives(&["2"], 15, &[(11, bottom)]);
}

#[test]
fn vttests_character_sets_arrive() {
    // tmux has no British set, and prints `_` for the blank of the set for drawing lines.
    let sets = |rows: &[String]| rows[7].matches("\"£$").count() == 2 && !rows[12].contains('_');
    vttest_arrives(&["3", "8"], 0, &[(1, sets)]);
}

#[test]
fn vttests_insertions_and_deletions_arrive() {
    vttest_arrives(&["8"], 14, &[]);
}

#[test]
fn a_diff_in_colour_and_tables_of_characters_arrive() {
    let diff = r"printf '\033[1mdiff --git a b\033[m\n\033[36m@@ -1 +1 @@\033[m\n\033[31m-old\033[m\n\033[32m+new\033[m \033[41m \033[m\n'";
    let tables = r"printf '┌──┬──┐\n│漢│字│\n└──┴──┘\n👍🏽 👨‍👩‍👧 🇨🇿 é e\314\201 ﷽ ｶﾞ ａｂｃ ☃ ✈️ ⠿⠇\n'";
    recorded(&format!("{diff}; {tables}; {diff}; {tables}"), &[]);
}

#[test]
fn mc_arrives() {
    recorded("mc -d", &["\x1b[B", "\x1b3", "\x1b0"]);
}

#[test]
fn a_compiler_in_colour_arrives() {
    recorded("gcc -fdiagnostics-color=always broken.c; ls -la --color=always", &[]);
}

#[test]
fn every_kind_of_style_mode_and_width_arrives() {
    let size = Size::new(80, 24);
    let mut printed = String::new();
    for code in 0..256 {
        printed += &format!("\x1b[38;5;{code};48;5;{}m{code:3} \x1b[0m\x1b[38;2;{code};7;9mt\x1b[0m", 255 - code);
    }
    for style in ["1", "2", "3", "7", "8", "9", "4", "4:2", "4:3", "4:4", "4:5", "4:3;58:2::1:2:3", "4;58:5:9"] {
        printed += &format!("\r\n\x1b[{style}mstyled {style}\x1b[0m");
    }
    printed += "\x1b]8;;https://example.org/\x1b\\link\x1b]8;;\x1b\\ 漢字 e\u{301} 👍 ┌─┐ a\u{308}\r\n";
    for mode in ["1", "1000", "1002", "1003", "1004", "1006", "2004", "1049", "25"] {
        printed += &format!("\x1b[?{mode}hon {mode}\x1b[?{mode}loff {mode}\r\n");
    }
    printed += "\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1h\x1b=\x1b[?1004h";
    for shape in 0..7 {
        printed += &format!("\x1b[{shape} qshape\x07\x1b]2;title {shape}\x07");
    }
    plays("styles", size, printed.as_bytes(), &ends(printed.as_bytes()), &[]);
}

#[test]
fn programs_arrive_over_the_real_engine_too() {
    let size = Size::new(80, 24);
    for (seed, command, keys) in [
        (1, "vim -N text", ["ohello \x1b", "/words\r", ":split\r"].as_slice()),
        (2, "htop --delay 50", &["\x1b[B", "t"]),
        (3, "mc -d", &["\x1b[B", "\x1b3"]),
    ] {
        let printed = record(size, command, keys);
        determinism::run(seed, move || {
            plays_while_resized(pair(real::world(seed), size, Window::Session), command, size, &printed)
        });
    }
}
