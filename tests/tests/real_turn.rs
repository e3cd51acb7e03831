//! Where the rendezvous relays nothing and no datagram gets from one side to the other, coturn relays: over UDP, over
//! TCP, with credentials that the rendezvous makes and that expire.

use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Meeting, Met, Nat, PUBLIC, Running as _, Scratch, Signal, beach, coturn, holds};

const SOON: Duration = Duration::from_secs(20);

/// Types, and waits until it is there; the kinds of the paths that the viewer was told of.
fn works(scratch: &Scratch, met: &mut Met) -> Vec<String> {
    met.viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    met.viewer.write("typed");
    holds("what was typed", SOON, || scratch.read("typed") == "typed");
    kinds(met)
}

fn kinds(met: &Met) -> Vec<String> {
    let said = met.viewer.stdout();
    let paths = said.lines().filter(|line| line.contains(r#""type":"path""#));
    paths.filter_map(|line| Some(line.split_once(r#""kind":""#)?.1.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn without_any_other_way_a_turn_server_relays_over_udp_and_over_tcp() {
    let pairs = [
        (Nat::Symmetric, Nat::Plain, "udp"),
        (Nat::Symmetric, Nat::Symmetric, "udp"),
        (Nat::Double, Nat::Symmetric, "tcp"),
        (Nat::NoUdp, Nat::NoUdp, "tcp"),
        (Nat::NoUdp, Nat::None, "tcp"),
    ];
    for (host, viewer, transport) in pairs {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, host, viewer) else { return };
        let (meeting, _coturn) = meeting.with_turn(transport, "3600");
        let mut met = meeting.start();
        assert_eq!(works(&scratch, &mut met), ["turn"], "{host:?}, {viewer:?} over {transport}");
    }
}

#[test]
fn who_wants_relays_only_is_not_seen_by_the_other_side() {
    for transport in ["udp", "tcp"] {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, Nat::None, Nat::None) else { return };
        let wire = scratch.file("wire.pcap");
        let (meeting, _coturn) = meeting.both(&["--relay-only"]).captured_to(&wire).with_turn(transport, "3600");
        let mut met = meeting.start();
        assert_eq!(works(&scratch, &mut met), ["turn"]);
        let mut tcpdump = met.capture.take().expect("it was asked for");
        tcpdump.signal(Signal::INT);
        tcpdump.exit(SOON);
        let seen = Command::new("tcpdump").args(["-n", "-r"]).arg(&wire).output().expect("tcpdump is there");
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        let between = |line: &&str| line.contains("203.0.113.11.") && line.contains("203.0.113.12.");
        assert!(seen.contains("203.0.113.11.") && seen.contains(".3478"), "{seen}");
        assert_eq!(seen.lines().find(between), None);
        // A listener on the way sees neither a word nor a key.
        let bytes = std::fs::read(&wire).expect("a capture");
        let (_, key) = met.host.links.control.rsplit_once('.').expect("a link has a key");
        for secret in [key, "READY-ON-THE-HOST", "typed"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is on the wire");
        }
    }
}

#[test]
fn credentials_expire_in_the_middle_of_a_session_and_it_goes_on() {
    for transport in ["udp", "tcp"] {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, Nat::Symmetric, Nat::Plain) else { return };
        let (meeting, mut first) = meeting.with_turn(transport, "10");
        let mut met = meeting.start();
        works(&scratch, &mut met);
        // After this the first credentials have expired.
        std::thread::sleep(Duration::from_secs(12));
        met.viewer.write("-later");
        holds("what was typed later", SOON, || scratch.read("typed") == "typed-later");
        // The restarted server has forgotten them: everything is asked for again, with the newest credentials.
        first.signal(Signal::KILL);
        first.exit(SOON);
        let _second = coturn(&met.lab);
        met.viewer.write("-again");
        holds("what was typed again", SOON, || scratch.read("typed") == "typed-later-again");
        assert_eq!(kinds(&met).last().map(String::as_str), Some("turn"), "over {transport}");
    }
}

#[test]
fn the_doctor_says_whether_a_turn_server_relays() {
    let scratch = Scratch::new();
    let Some(meeting) = Meeting::new(&scratch, Nat::None, Nat::Symmetric) else { return };
    let (meeting, mut coturn) = meeting.with_turn("udp", "3600");
    let met = meeting.start();
    let doctor = |options: &[&str]| {
        let server = Nat::None.rendezvous();
        let command = beach(&scratch, &[&["doctor", "--server", &server], options].concat());
        let mut doctor = beach_tests::real::Process::start(&mut met.lab.viewer.on(&command));
        doctor.exit(Duration::from_secs(40));
        doctor.stdout()
    };
    let wrong = format!("turn:somebody:else@{}:3478", PUBLIC[0]);
    let said = doctor(&["--ice-server", &wrong]);
    let relays = format!("turn:{}:3478?transport=udp relays at {}:", PUBLIC[0], PUBLIC[0]);
    assert!(said.contains(&relays) && said.contains("does not answer, or refuses to relay"), "{said}");
    coturn.signal(Signal::KILL);
    coturn.exit(SOON);
    let said = doctor(&[]);
    assert!(said.contains("does not answer, or refuses to relay"), "{said}");
}
