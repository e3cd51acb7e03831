//! The environment in which people start beach: variables of another terminal, ignored signals, input on stdin, a
//! shared terminal around share, and a command line without `--`.

use std::process::Command;
use std::time::Duration;

use beach_tests::real::{
    Host, Process, Rendezvous, Running as _, Scratch, Signal, beach, ended_in_three_lines, eventually, in_three_lines,
    join, share,
};

const SOON: Duration = Duration::from_secs(10);

/// A command that starts `command` with these signals ignored, as `nohup` and `&` in a script do.
fn ignoring(signals: &str, command: &Command) -> Command {
    let mut ignoring = Command::new("sh");
    let script = format!("trap '' {signals}; exec \"$@\"");
    ignoring.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
    ignoring.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ignoring.current_dir(command.get_current_dir().expect("the command has a folder"));
    ignoring
}

#[test]
fn the_command_of_a_headless_share_gets_nothing_that_describes_another_terminal() {
    let scratch = Scratch::new();
    let others = [
        ("COLUMNS", "211"),
        ("LINES", "57"),
        ("TMUX", "/tmp/tmux"),
        ("TMUX_PANE", "%1"),
        ("STY", "1.tty"),
        ("WINDOW", "0"),
        ("XTERM_VERSION", "XTerm(390)"),
        ("VTE_VERSION", "7600"),
        ("TERM_PROGRAM", "iTerm.app"),
        ("TERM_PROGRAM_VERSION", "3"),
        ("KITTY_WINDOW_ID", "1"),
        ("WT_SESSION", "guid"),
        ("KONSOLE_VERSION", "230800"),
        ("TERMCAP", "SC|screen"),
        ("BEACH_SOCKET", "/tmp/another"),
    ];
    let mut command = share(&scratch, &["-q", "--linger", "0"], &["sh", "-c", "env > seen"]);
    let mut host = Process::start(command.envs(others).env("KEPT", "yes"));
    assert_eq!(host.exit(SOON), 0);

    let seen = scratch.read("seen");
    for (name, value) in others {
        assert!(!seen.contains(&format!("{name}={value}")), "{name} describes another terminal:\n{seen}");
    }
    for wanted in ["KEPT=yes", "TERM=xterm-256color", "BEACH_SESSION="] {
        assert!(seen.contains(wanted), "{wanted} is missing:\n{seen}");
    }
}

#[test]
fn a_command_that_cannot_start_fails_before_any_link_is_printed() {
    let scratch = Scratch::new();
    let folder = scratch.folder().display().to_string();
    for program in ["no-such-program", "./no-such-file", &folder] {
        let mut host = Process::start(&mut share(&scratch, &[], &[program]));
        assert_eq!(host.exit(SOON), 127, "{program}");
        in_three_lines(&host.stderr());
        assert_eq!(host.stdout(), "");
    }
    let mut detached =
        Process::start(&mut beach(&scratch, &["share", "-d", "--listen", "127.0.0.1:0", "--", "no-such-program"]));
    assert_eq!(detached.exit(SOON), 127);
    in_three_lines(&detached.stderr());
}

#[test]
fn a_program_without_dashes_before_it_gets_the_right_command_line_as_advice() {
    let scratch = Scratch::new();
    let advice = |args: &[&str]| ended_in_three_lines(&mut beach(&scratch, args), 2, SOON).0;

    for args in [&["share", "htop"][..], &["htop"]] {
        assert!(advice(args).contains("try:   beach share -- htop\n"), "{}", advice(args));
        assert!(advice(args).contains("cause: the command to share must stand behind --\n"), "{}", advice(args));
    }
    let told = advice(&["share", "--view-only", "sh", "-c", "make && make test"]);
    assert!(told.contains("try:   beach share --view-only -- sh -c 'make && make test'\n"), "{told}");
    let similar = advice(&["statsu"]);
    assert!(similar.contains("similar commands: status"), "{similar}");
}

#[test]
fn share_inside_a_shared_terminal_warns() {
    let scratch = Scratch::new();
    for variable in ["BEACH_SOCKET", "BEACH_SESSION"] {
        for options in [&["--linger", "0"][..], &["--linger", "0", "--json"]] {
            let mut inside = Process::start(share(&scratch, options, &["true"]).env(variable, "of-another"));
            assert_eq!(inside.exit(SOON), 0);
            assert!(inside.stderr().contains("shared already"), "{variable} {options:?}: {}", inside.stderr());
        }
    }
    let mut outside = Process::start(&mut share(&scratch, &["--linger", "0"], &["true"]));
    assert_eq!(outside.exit(SOON), 0);
    assert!(!outside.stderr().contains("shared already"), "{}", outside.stderr());
}

#[test]
fn a_signal_that_was_ignored_at_the_start_ends_neither_share_nor_serve() {
    let scratch = Scratch::new();
    let serve = beach(&scratch, &["serve", "--listen", "127.0.0.1:0"]);
    let mut serve = Process::start(&mut ignoring("HUP INT QUIT", &serve));
    eventually("the rendezvous listens", SOON, || serve.stderr().contains("http://").then_some(()));
    // The command of this share can be interrupted all the same.
    let shared = "trap 'echo interrupted; exit 7' INT; echo ready; while :; do read line; done";
    let mut host =
        Host::run(&scratch, &mut ignoring("HUP INT QUIT", &share(&scratch, &["--json"], &["sh", "-c", shared])));
    let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));

    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        serve.signal(signal);
        host.process.signal(signal);
    }
    let mut status = Process::start(&mut beach(&scratch, &["status"]));
    assert_eq!(status.exit(SOON), 0, "share has ended: {}", host.process.stderr());
    assert!(serve.is_running() && host.process.is_running());
    viewer.write(b"\x03");
    assert_eq!(host.process.exit(SOON), 7, "{}", host.process.stdout());
    serve.signal(Signal::TERM);
    assert_eq!(serve.exit(SOON), 0);
}

#[test]
fn a_signal_that_was_not_ignored_ends_share() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &[], &["cat"]);
    host.process.signal(Signal::HUP);
    assert_eq!(host.process.exit(SOON), 129);
}

#[test]
fn share_says_that_it_does_not_pass_stdin_on() {
    let scratch = Scratch::new();
    let says = "share does not pass its stdin on";
    let mut host = Process::start(&mut share(&scratch, &[], &["cat"]));
    host.write("hi\n");
    eventually("the warning", SOON, || host.stderr().contains(says).then_some(()));
    assert_eq!(Process::start(&mut beach(&scratch, &["stop"])).exit(SOON), 0);

    let file = scratch.write("input", "hi\n");
    let command = share(&scratch, &["--linger", "0"], &["true"]);
    let mut from_file = Command::new("sh");
    from_file.args(["-c", "exec \"$@\" < input", "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
    from_file.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(scratch.folder());
    let mut from_file = Process::start(&mut from_file);
    assert_eq!(from_file.exit(SOON), 0);
    assert!(from_file.stderr().contains(says), "{}: {}", file.display(), from_file.stderr());

    let mut detached = beach(&scratch, &["share", "-d", "-q", "--listen", "127.0.0.1:0", "--", "cat"]);
    let mut detached = Process::start(&mut detached);
    detached.write("hi\n");
    assert_eq!(detached.exit(SOON), 0);
    assert!(detached.stderr().contains(says), "{}", detached.stderr());
    assert_eq!(Process::start(&mut beach(&scratch, &["stop"])).exit(SOON), 0);

    let rendezvous = Rendezvous::start(&scratch, &[]);
    let mut without = Process::start(&mut share(&scratch, &["--linger", "0", "--server", &rendezvous.url], &["true"]));
    without.close_stdin();
    assert_eq!(without.exit(SOON), 0);
    assert!(!without.stderr().contains("stdin"), "{}", without.stderr());
}
