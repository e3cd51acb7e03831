//! `share --audit`: whose file it becomes, what a stranger can write into it, and how its end is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use beach_tests::real::{Host, Process, Scratch, beach, holds, join};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// The right form, and nobody's.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn an_audit_goes_on_in_a_file_that_others_could_read_and_can_no_longer() {
    let scratch = Scratch::new();
    let path = scratch.write("audit", "{\"event\":\"earlier\"}\n");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
    let _host = Host::start(&scratch, &["--audit", "audit"], &["cat"]);
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert!(scratch.read("audit").starts_with("{\"event\":\"earlier\"}\n"));
}

#[test]
fn an_audit_that_ends_on_a_full_disk_is_told_once_and_the_session_goes_on() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--audit", "/dev/full"], &["cat"]);
    for count in 1..=2 {
        let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        holds("it has joined", SOON, || host.events("member_joined") == count);
        viewer.close_stdin();
    }
    holds("the end is an event", SOON, || host.events("audit_ended") == 1);
    assert_eq!(Process::start(&mut beach(&scratch, &["stop"])).exit(SOON), 0);
    assert_eq!(host.process.exit(SOON), 0);
    let said = host.process.stderr();
    assert_eq!((host.events("audit_ended"), said.matches("the audit ended early").count()), (1, 1), "{said}");
}

#[test]
fn a_stranger_who_tries_keys_is_counted_and_writes_a_line_a_second_at_most() {
    const TRIES: u64 = 12;
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--audit", "audit"], &["cat"]);
    let (place, _) = host.links.control.split_once("#1c.").expect("a link has a key");
    let forged = format!("{place}#1c.{NOBODYS}");
    let started = std::time::Instant::now();
    let mut strangers: Vec<_> = (0..TRIES).map(|_| Process::start(&mut join(&scratch, &["-q", &forged]))).collect();
    strangers.iter_mut().for_each(|stranger| assert_eq!(stranger.exit(SOON * 3), 5, "{}", stranger.stderr()));
    assert_eq!(Process::start(&mut beach(&scratch, &["stop"])).exit(SOON), 0);
    assert_eq!(host.process.exit(SOON), 0);
    let seconds = started.elapsed().as_secs() + 2;

    let audit = scratch.read("audit");
    let events: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    for kind in ["wrong_key", "join_failed"] {
        let of: Vec<_> = events.iter().filter(|event| event["event"] == kind).collect();
        let count: u64 = of.iter().map(|event| event["count"].as_u64().expect("a number")).sum();
        assert_eq!(count, TRIES, "{kind}: {audit}");
        assert!((of.len() as u64) < TRIES.min(seconds + 1), "{kind}, in {seconds} s: {audit}");
    }
}
