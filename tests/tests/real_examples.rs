//! The examples of core, run as somebody would who reads them.

use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Host, Process, Scratch, example, holds};

const SOON: Duration = Duration::from_secs(30);

/// Runs an example to its end: what it printed, which must be without a complaint.
fn run(name: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut process = Process::start(Command::new(example(name)).args(arguments));
    let code = process.exit(SOON);
    (code, process.stdout(), process.stderr())
}

#[test]
fn a_session_in_memory_runs_to_its_end_and_its_recording_replays_until_there() {
    let scratch = Scratch::new();
    let file = scratch.file("viewer.rec").display().to_string();

    let (code, said, complaints) = run("in_memory", &[&file]);

    assert_eq!((code, complaints.as_str()), (0, ""), "{said}");
    let rows: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(rows, ["$ hello", "HELLO", "$"], "{said}");
    let events =
        ["host: registered", "viewer: securing", "viewer: connected", "viewer: the screen is", "the viewer has left"];
    let places: Vec<_> =
        events.iter().map(|event| said.find(event).unwrap_or_else(|| panic!("{event}: {said}"))).collect();
    assert!(places.is_sorted(), "{said}");
    assert!(said.ends_with("Some(Stopped), Some(Left)\n"), "{said}");

    let (code, replayed, complaints) = run("replay", &[&file]);
    assert_eq!((code, complaints.as_str()), (0, ""), "{replayed}");
    assert!(replayed.lines().any(|line| line.ends_with(" s  connected")), "{replayed}");
    let last = replayed.lines().last().expect("a last line");
    assert!(last.contains("the same as then; ended at ") && last.ends_with(" s: Left"), "{last}");
}

#[test]
fn a_recording_of_the_program_replays() {
    let scratch = Scratch::new();
    let file = scratch.file("host.rec");
    let mut host = Host::start(&scratch, &["--record-handshake", "host.rec", "--linger", "1"], &["echo", "recorded"]);
    assert_eq!(host.process.exit(SOON), 0);

    let path = file.display().to_string();
    let (code, said, _) = run("replay", &[&path]);
    let last = said.lines().last().unwrap_or_default();
    assert!(code == 0 && last.ends_with(" s: Ended(0)"), "{said}");
}

#[test]
fn a_recording_that_was_changed_does_not_replay() {
    let scratch = Scratch::new();
    let file = scratch.file("viewer.rec");
    let path = file.display().to_string();
    let (code, said, _) = run("in_memory", &[&path]);
    assert_eq!(code, 0, "{said}");

    let mut bytes = std::fs::read(&file).expect("a recording");
    let at = bytes.windows(5).position(|window| window == b"HELLO").expect("what was shown is in it");
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).expect("a file");
    let (code, said, complaints) = run("replay", &[&path]);

    assert_eq!(code, 1, "{said}");
    assert!(complaints.contains("differs from the recording"), "{complaints}");
}

#[test]
fn a_viewer_over_the_sockets_of_the_standard_library_joins_types_a_line_and_shows_the_screen() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["sh"]);

    let (code, screen, said) = run("std_viewer", &[&host.links.control, "echo $((6*7))", "42"]);

    assert_eq!(code, 0, "{screen}\n{said}");
    let rows: Vec<&str> = screen.lines().collect();
    let typed = rows.iter().position(|row| row.ends_with("$ echo $((6*7))"));
    assert!(typed.is_some_and(|at| rows.get(at + 1) == Some(&"42")), "{screen}");
    assert!(said.contains("checking paths\n") && said.ends_with("Left\n"), "{said}");
    holds("that the host sees them leave", SOON, || host.events("member_left") == 1);
}

#[test]
fn a_viewer_that_is_wrong_about_the_screen_or_the_session_says_so() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["sh"]);
    let gone = host.links.control.replace("/s/", "/s/AAAA");

    let (code, _, said) = run("std_viewer", &[&gone, "true", "42"]);

    assert_eq!(code, 1, "{said}");
    assert!(!said.contains("connected"), "{said}");
}
