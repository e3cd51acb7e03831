//! The two logs of one join tell its steps in order, and a replay of each side's recording shows the same steps. Where
//! something is withheld, the last lines of both logs say what did not come.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use beach_core::wire::signal::ToRendezvous;
use beach_tests::real::{
    Client, Host, Machines, Process, Rendezvous, Running as _, Scratch, Signal, WithholdingFront, Withholds, beach,
    eventually, join, wait,
};

const SOON: Duration = Duration::from_secs(10);

/// A join has ended for good: its stages have deadlines, and there may be three attempts.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(90);

/// How many lines at the end of a log are looked at.
const LAST: usize = 8;

/// The lines of a machine's notes in a log, without what stands before and behind the note itself.
fn notes(scratch: &Scratch, log: &str) -> Vec<String> {
    let note = |line: &str| {
        let (_, note) = line.split_once(" DEBUG beach_runtime_tokio::network: ")?;
        Some(note.split(" link=").next().unwrap_or(note).to_owned())
    };
    scratch.read(log).lines().filter_map(note).collect()
}

/// Each of `expected` is in a line, and comes after the one before.
#[track_caller]
fn in_order<'a>(of: &str, lines: &[String], expected: impl IntoIterator<Item = &'a str>) {
    let mut rest = lines.iter();
    for step in expected {
        assert!(rest.any(|line| line.contains(step)), "{of}: {step:?} is not there, or not in order:\n{lines:#?}");
    }
}

#[test]
fn the_two_logs_of_a_join_tell_its_steps_in_order_and_a_replay_shows_the_same_steps() {
    let scratch = Scratch::new();
    let options = ["--no-approve", "--debug-log", "host.debug", "--record-handshake", "host.recording"];
    let command = ["share", "--headless", "--json", "--listen", "127.0.0.1:0"];
    let mut host = Host::run(&scratch, &mut beach(&scratch, &[&command[..], &options, &["--", "cat"]].concat()));
    let options = ["--debug-log", "viewer.debug", "--record-handshake", "viewer.recording", "--json"];
    let mut viewer = Process::start(&mut join(&scratch, &[&options[..], &[&host.links.control]].concat()));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    for log in ["host.debug", "viewer.debug"] {
        let is_told = || notes(&scratch, log).iter().any(|note| note == "the control lane is open").then_some(());
        eventually(&format!("the last step in {log}"), SOON, is_told);
    }
    viewer.write("~.");
    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
    host.process.signal(Signal::TERM);
    assert_eq!(host.process.exit(SOON), 143);

    let connecting = [
        "first check sent: ",
        "first check answered: ",
        "path in use: ",
        "DTLS done: version 1.",
        "confirmation received: it holds",
        "confirmed: the terminal lane is open",
        "the control lane is open",
    ];
    let of_host = [
        "signal sent: register, ",
        "signal received: registered, ",
        "signal received: joined, ",
        "hello received",
        "verdict sent: accepted",
        "peer made: it offers and controls",
        "offer made, fingerprint ",
        "offer sent, fingerprint ",
        "answer received, fingerprint ",
    ];
    let of_viewer = [
        "the rendezvous is connected",
        "signal sent: join, ",
        "signal received: joined, ",
        "hello sent",
        "verdict received: accepted",
        "offer received, fingerprint ",
        "peer made: it answers",
        "answer made, fingerprint ",
        "answer sent, fingerprint ",
    ];
    for (side, described) in [("host", of_host), ("viewer", of_viewer)] {
        let told = notes(&scratch, &format!("{side}.debug"));
        in_order(side, &told, described);
        in_order(side, &told, connecting);
        in_order(side, &told, ["peer made", "candidate found: host, ", "candidate sent: host, "]);
        in_order(side, &told, ["fingerprint ", "candidate received: "]);

        let mut replay = Process::start(&mut beach(&scratch, &["replay", "-v", &format!("{side}.recording")]));
        assert_eq!(replay.exit(SOON), 0, "{}", replay.stderr());
        let shown: Vec<String> = replay.stdout().lines().map(str::to_owned).collect();
        in_order(&format!("the replay of the {side}"), &shown, told.iter().map(String::as_str));
    }
}

const SHARE: [&str; 6] = ["share", "--headless", "--json", "--no-approve", "--debug-log", "host.debug"];

/// The end of a log says that this did not come.
#[track_caller]
fn last_notes_say(scratch: &Scratch, log: &str, missing: &str) {
    let said = || notes(scratch, log).iter().rev().take(LAST).any(|note| note.contains(missing)).then_some(());
    assert!(wait(SOON, said).is_some(), "{missing:?} is not at the end of {log}: {:#?}", notes(scratch, log));
}

/// The viewer's join comes to nothing, and the last lines of the host's log and of the viewer's say what did not come.
#[track_caller]
fn gives_up(scratch: &Scratch, viewer: &mut Command, missing: [&str; 2]) {
    let mut viewer = Process::start(viewer);
    assert_ne!(viewer.exit(GIVES_UP_WITHIN), 0, "the join fails");
    for (log, missing) in ["host.debug", "viewer.debug"].into_iter().zip(missing) {
        last_notes_say(scratch, log, missing);
    }
}

/// The same, while a front of the rendezvous withholds messages.
#[track_caller]
fn gives_up_without(withholds: Withholds, missing: [&str; 2]) {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let front = WithholdingFront::start(&rendezvous.url, withholds);
    let host = [&SHARE[..], &["--server", &front.url, "--", "cat"]].concat();
    let host = Host::run(&scratch, &mut beach(&scratch, &host));
    gives_up(&scratch, &mut join(&scratch, &["--debug-log", "viewer.debug", &host.links.control]), missing);
}

/// A numbered envelope with a description is longer than any with a candidate.
const DESCRIPTION: usize = 120;

/// The length of a numbered envelope.
fn sealed(message: &ToRendezvous) -> Option<usize> {
    let ToRendezvous::Envelope { data, .. } = message else { return None };
    (data.0.first() == Some(&3)).then_some(data.0.len())
}

#[test]
fn without_the_offer_the_two_logs_end_with_the_missing_answer_and_the_missing_offer() {
    let offer = |from, message: &ToRendezvous| from == Client::Host && sealed(message) >= Some(DESCRIPTION);
    gives_up_without(offer, ["the viewer's answer did not come", "the host's offer did not come"]);
}

#[test]
fn without_the_answer_the_two_logs_end_with_the_missing_answer_and_the_unanswered_checks() {
    let answer = |from, message: &ToRendezvous| from == Client::Viewer && sealed(message) >= Some(DESCRIPTION);
    gives_up_without(answer, ["the viewer's answer did not come", "an answer to the checks of "]);
}

#[test]
fn without_candidates_both_logs_end_with_the_missing_addresses() {
    let shorter = |_, message: &ToRendezvous| sealed(message).is_some_and(|length| length < DESCRIPTION);
    gives_up_without(shorter, ["any address of the other side did not come"; 2]);
}

#[test]
fn without_datagrams_both_logs_end_with_the_unanswered_checks() {
    let Some(machines) = Machines::new() else { return };
    machines.drop_udp();
    let scratch = Scratch::new();
    let listen = format!("{}:0", machines.one.address);
    let host = [&SHARE[..], &["--listen", &listen, "--", "cat"]].concat();
    let host = Host::run(&scratch, &mut machines.one.on(&beach(&scratch, &host)));
    let viewer = join(&scratch, &["--strict", "--debug-log", "viewer.debug", &host.links.control]);
    gives_up(&scratch, &mut machines.other.on(&viewer), ["an answer to the checks of "; 2]);
}
