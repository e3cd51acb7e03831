//! What real programs print, recorded here and now, arrives at a viewer through a bad network: same cells, cursor and modes, and so
//! does what its painter painted.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::{Duration, Instant};

use beach_core::host::HostInput;
use beach_core::invite::Role;
use beach_core::terminal::{Emulator, Line, Modes, Size};
use beach_tests::real::{Process, Scratch, eventually};
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{HostPlan, Script, ViewerPlan, Wire, World, fake_engine, ms, same_screens, secs};

/// How many screens of a recording are compared, the last one included.
const POINTS: usize = 11;

/// A program that has printed nothing for so long waits for a key.
const QUIET: Duration = Duration::from_millis(200);

/// What `command` prints on a terminal of this size while `keys` are typed, each when it is quiet.
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

/// What is different between a viewer's terminal and the host's model.
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

fn plays(program: &str, size: Size, printed: &[u8]) {
    let mut world = World::new(printed.len() as u64, fake_engine);
    let mut plan = HostPlan::new(1);
    plan.config.size = size;
    plan.script = Script::Deaf;
    world.add_host(plan);
    let mut plan = ViewerPlan::of(1, Role::View);
    plan.size = size;
    plan.wire = Wire { jitter: ms(30), loss: 10, ..Wire::steady(ms(20)) };
    world.add_viewer(plan);
    everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"));
    let mut done = 0;
    for point in 1..=POINTS {
        let until = printed.len() * point / POINTS;
        world.host_input(0, HostInput::Printed(printed[done..until].to_vec()));
        done = until;
        let same = |world: &World<_>| {
            same_screens(world.viewers[0].node.machine().screen(), world.hosts[0].node.machine().emulator())
        };
        world.run_for(ms(300));
        world.run_until(secs(30), |world| same(world).is_ok());
        world.run_for(ms(300));
        let told = same(&world);
        world.viewers[0].terminal.frame();
        let painted = same_painted(&world.viewers[0].terminal, world.hosts[0].node.machine().emulator());
        if let Err(difference) = told.and(painted) {
            let begin = done.saturating_sub(200);
            let last = String::from_utf8_lossy(&printed[begin..done]);
            panic!("{program} at {size:?}, point {point}, after {done} bytes that end in {last:?}: {difference}");
        }
    }
}

fn recorded(command: &str, keys: &[&str]) {
    for size in [Size::new(80, 24), Size::new(61, 17)] {
        let printed = record(size, command, keys);
        assert!(printed.len() > 100, "{command} printed {:?}", String::from_utf8_lossy(&printed));
        plays(command, size, &printed);
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
    recorded("dialog --menu Which? 12 40 4 a One b Two c Three", &["\x1b[B", "\x1b[B", "\r"]);
}

#[test]
fn a_gauge_arrives() {
    recorded("(for part in 10 40 70 100; do echo $part; sleep 0.05; done) | dialog --gauge Wait 7 40", &[]);
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
    plays("styles", size, printed.as_bytes());
}
