//! What real programs print, recorded here and now, arrives at a viewer through a bad network: same cells, cursor and
//! modes, and so does what its painter painted.
#![cfg(target_os = "linux")]

#[path = "corpus/plain.rs"]
mod plain;

use std::process::Command;
use std::time::{Duration, Instant};

use beach_core::host::HostInput;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, Modes, Size};
use beach_core::viewer::ViewerNotice;
use beach_tests::determinism;
use beach_tests::real::{Process, Scratch, Tmux, eventually};
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{HostPlan, Script, ViewerPlan, Wire, World, fake_engine, ms, real, same_screens, secs};
use plain::Plain;

/// How many screens of a recording are compared, the last one included.
const POINTS: usize = 11;

/// A program that has printed nothing for so long waits for a key.
const QUIET: Duration = Duration::from_millis(200);

/// The output of `command` on a terminal of this size while `keys` are typed, each when the output is quiet.
fn record(size: Size, command: &str, keys: &[&str]) -> Vec<u8> {
    let scratch = Scratch::new();
    let numbers: String = (1..200).map(|i| format!("line {i} of a text with words and 漢字\n")).collect();
    std::fs::write(scratch.file("text"), numbers).expect("a file can be written");
    std::fs::write(scratch.file("broken.c"), "int main(void) { return x + \"a\"; }\n").expect("a file can be written");
    let shell = format!("stty rows {} cols {}; {command}", size.rows, size.cols);
    let mut script = Command::new("script");
    script.args(["-qfec", &shell, "/dev/null"]).current_dir(scratch.folder());
    script
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor")
        .env("LANG", "C.UTF-8")
        .env("HOME", scratch.folder());
    let mut process = Process::start(&mut script);
    let quiet = |process: &Process| {
        let mut last = (0, Instant::now());
        eventually(&format!("{command} is quiet"), secs(10), || {
            let printed = process.stdout();
            if printed.len() != last.0 {
                last = (printed.len(), Instant::now());
            }
            (last.0 > 0 && last.1.elapsed() > QUIET).then_some(printed)
        })
    };
    let mut printed = quiet(&process);
    for key in keys {
        process.write(key);
        printed = quiet(&process);
    }
    printed.into_bytes()
}

fn rows(emulator: &Emulator) -> Vec<Line> {
    let head = emulator.head();
    let line = |row| emulator.line(head.space, head.top + u64::from(row)).expect("a line of the window").1;
    (0..head.size.rows).map(|row| Line::decode(line(row)).expect("the emulator's own encoding")).collect()
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
    // Pastes are told from typing at every viewer, whatever the program wants to know of them.
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

/// A host of this size, and a viewer behind a bad network.
fn pair<E: Engine>(mut world: World<E>, size: Size) -> World<E> {
    let mut plan = HostPlan::new(1);
    plan.config.size = size;
    plan.script = Script::Mute;
    world.add_host(plan);
    let mut plan = ViewerPlan::of(1, Role::View);
    plan.size = size;
    plan.wire = Wire { jitter: ms(30), loss: 10, ..Wire::steady(ms(20)) };
    world.add_viewer(plan);
    everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"));
    world
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

/// What a recording looks like at each point: through the network, and on a terminal of its own. `excused` are the
/// places where that is known to differ from the model, by a part of their names.
fn plays(program: &str, size: Size, printed: &[u8], excused: &[&str]) {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let mut plain = Plain::start(&scratch, &tmux, size);
    // Where the host's program begins.
    plain.feed(b"$ ");
    let mut world = pair(World::new(printed.len() as u64, fake_engine), size);
    let mut done = 0;
    let mut unused = excused.to_vec();
    let mut differing = Vec::new();
    for end in ends(printed) {
        let part = printed[done..end].to_vec();
        plain.feed(&part);
        done = end;
        let place = || {
            let last = String::from_utf8_lossy(&printed[done.saturating_sub(200)..done]);
            format!("{program} at {size}, after {done} of {} bytes that end in {last:?}", printed.len())
        };
        arrives(&mut world, HostInput::Printed(part)).unwrap_or_else(|difference| panic!("{}: {difference}", place()));
        for (where_, what) in plain.differences(world.hosts[0].node.machine().emulator()) {
            let excuses = |excuse: &&str| where_.contains(*excuse);
            if excused.iter().any(excuses) {
                unused.retain(|excuse| !excuses(excuse));
            } else {
                differing.push(format!("{}: {where_}: {what}", place()));
            }
        }
    }
    differing.truncate(8);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!(unused, [""; 0], "{program} at {size}: these do not differ any more");
}

/// The same while the host's size changes between the parts, for what no terminal of another kind can be asked: how
/// rows are broken anew differs between them.
fn plays_while_resized<E: Engine>(mut world: World<E>, program: &str, size: Size, printed: &[u8]) {
    let mut done = 0;
    for (point, end) in ends(printed).into_iter().enumerate() {
        // Every other size is that of the viewer's window, the last one too.
        let odd = |by: u16| if point % 2 == 1 { point as u16 % by } else { 0 };
        let changed = Size::new(size.cols + 5 * odd(4) - 3 * odd(6), size.rows + 2 * odd(8) - 3 * odd(4));
        for input in [HostInput::Resized(changed), HostInput::Printed(printed[done..end].to_vec())] {
            arrives(&mut world, input)
                .unwrap_or_else(|difference| panic!("{program} at {changed}, after {end} bytes: {difference}"));
        }
        done = end;
    }
}

fn recorded_but(command: &str, keys: &[&str], excused: &[&str]) {
    for size in [Size::new(80, 24), Size::new(61, 17)] {
        let printed = record(size, command, keys);
        assert!(printed.len() > 100, "{command} printed {:?}", String::from_utf8_lossy(&printed));
        plays(command, size, &printed, excused);
        plays_while_resized(pair(World::new(printed.len() as u64, fake_engine), size), command, size, &printed);
    }
}

fn recorded(command: &str, keys: &[&str]) {
    recorded_but(command, keys, &[]);
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

#[test]
fn screens_of_vttest_arrive() {
    // Cursor movements, then screen features, then character sets; every page ends with a return.
    let mut keys = vec!["1\r"];
    keys.extend(["\r"; 6]);
    keys.push("2\r");
    keys.extend(["\r"; 15]);
    keys.extend(["3\r", "8\r", "\r", "0\r", "0\r"]);
    recorded("vttest 24x80", &keys);
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
    plays("styles", size, printed.as_bytes(), &[]);
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
        determinism::run(seed, move || plays_while_resized(pair(real::world(seed), size), command, size, &printed));
    }
}
