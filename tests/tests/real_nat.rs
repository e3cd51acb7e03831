//! Two sides behind real routers: every pair connects, directly where RFC 4787 says that it can.
//!
//! `BEACH_NAT=all` also tries all that must fail under `--strict`, which takes 15 s each.

use std::time::{Duration, Instant};

use beach_tests::real::{Meeting, Nat, PUBLIC, Process, Running as _, Scratch, Signal, beach, holds};

const SOON: Duration = Duration::from_secs(20);

fn pairs() -> impl Iterator<Item = (Nat, Nat)> {
    Nat::ALL.into_iter().flat_map(|host| Nat::ALL.map(|viewer| (host, viewer)))
}

/// Which way it goes, as soon as it is `wanted`, and when the first screen was there.
fn connects(host: Nat, viewer: Nat, wanted: &str) -> Option<(String, Duration)> {
    let scratch = Scratch::new();
    let started = Instant::now();
    let mut session = Meeting::new(&scratch, host, viewer)?.start();
    let viewer = &mut session.viewer;
    let (_, at) = viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let took = at - viewer.started();
    viewer.write("typed");
    holds("what was typed", SOON, || scratch.read("typed") == "typed");
    let kind = |line: &str| if line.contains(r#""kind":"relay""#) { "relay" } else { "direct" };
    let path = || viewer.stdout().lines().filter(|line| line.contains(r#""type":"path""#)).map(kind).next_back();
    // The session may have used the relay first; a direct path that is found later takes over.
    while path() != Some(wanted) && started.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((path().unwrap_or("none").to_owned(), took))
}

#[test]
fn every_pair_of_routers_lets_two_sides_connect_and_directly_where_that_can_be() {
    let (mut wrong, mut times) = (Vec::new(), Vec::new());
    for (host, viewer) in pairs() {
        let wanted = if host.meets(viewer) { "direct" } else { "relay" };
        let Some((path, took)) = connects(host, viewer, wanted) else { return };
        let line = format!("| {host:?} | {viewer:?} | {path} | {:.2} s |", took.as_secs_f64());
        eprintln!("{line}");
        times.push(took);
        if path != wanted {
            wrong.push(format!("{line} not {wanted}"));
        }
    }
    times.sort();
    let median = times[times.len() / 2];
    eprintln!("{} pairs; the first screen after {median:?} (median), {:?} (worst)", times.len(), times.last());
    assert!(wrong.is_empty() && median < Duration::from_secs(5), "{wrong:#?}");
}

#[test]
fn what_cannot_be_direct_fails_at_checking_paths_when_it_must_be() {
    let all = std::env::var_os("BEACH_NAT").is_some_and(|value| value == "all");
    let apart: Vec<_> = if all { pairs().collect() } else { vec![(Nat::Symmetric, Nat::Plain)] };
    for (host, viewer) in apart.into_iter().filter(|(host, viewer)| !host.meets(*viewer)) {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, host, viewer) else { return };
        let mut session = meeting.both(&["--strict"]).start();
        assert_eq!(session.viewer.exit(Duration::from_secs(30)), 6, "{host:?}, {viewer:?}");
        let said = session.viewer.stderr();
        assert!(said.contains("while checking paths"), "{host:?}, {viewer:?}: {said}");
    }
}

/// Everything that passed the public segment, as it was.
fn captured(host: Nat, viewer: Nat) -> Option<(Vec<u8>, String)> {
    let scratch = Scratch::new();
    let file = scratch.file("wire.pcap");
    let mut session = Meeting::new(&scratch, host, viewer)?.captured_to(&file).start();
    let viewer = &mut session.viewer;
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    for part in 0..20 {
        viewer.write(format!("a-secret-that-is-typed-{part}\n"));
        std::thread::sleep(Duration::from_millis(20));
    }
    holds("what was typed", SOON, || scratch.read("typed").ends_with("typed-19\n"));
    let link = session.host.links.control.clone();
    let mut tcpdump = session.capture.take().expect("it was asked for");
    // The capture is written at its end.
    tcpdump.signal(Signal::INT);
    tcpdump.exit(SOON);
    Some((std::fs::read(file).expect("a capture"), link))
}

#[test]
fn on_the_wire_there_is_neither_a_key_nor_a_word_of_the_terminal() {
    for (host, viewer) in [(Nat::Plain, Nat::Plain), (Nat::NoUdp, Nat::None), (Nat::Ipv6, Nat::Ipv6)] {
        let Some((wire, link)) = captured(host, viewer) else { return };
        let holds = |needle: &str| wire.windows(needle.len()).any(|window| window == needle.as_bytes());
        let (_, key) = link.rsplit_once('.').expect("a link has a key");
        // A WebSocket client masks its messages (RFC 6455, 5.3); other tests check by the logs of `serve` that they
        // hold no key.
        let size = wire.len();
        assert!(
            holds(r#""type":"joined""#) && size > 20_000,
            "{host:?}, {viewer:?}: {size} bytes, and not the session"
        );
        for secret in [key, "a-secret", "is-typed", "READY-ON-THE-HOST"] {
            assert!(!holds(secret), "{host:?}, {viewer:?}: {secret} is on the wire");
        }
    }
}

#[test]
fn the_doctor_names_what_is_in_the_way() {
    let open = "a datagram from another port comes in";
    let closed = "address and port-dependent filtering";
    let expected = [
        (Nat::None, "none: seen as 203.0.113.12:", open),
        (Nat::Static, "endpoint-independent mapping: seen as 203.0.113.12:", open),
        (Nat::Plain, "endpoint-independent mapping: seen as 203.0.113.12:", closed),
        (Nat::Symmetric, "address-dependent mapping (symmetric): seen as 203.0.113.12:", closed),
        (Nat::NoUdp, "no UDP gets out", ""),
        (Nat::Ipv6, "none: seen as [2001:db8::12]:", open),
        (Nat::Double, "endpoint-independent mapping: seen as 203.0.113.12:", closed),
    ];
    for (nat, words, filtering) in expected {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, Nat::None, nat) else { return };
        let session = meeting.start();
        let lab = &session.lab;
        let serve = beach(&scratch, &["serve", "--listen", "[::]:8081", "--log-file", "second.log"]);
        let second = Process::start(&mut lab.public.on(&serve));
        holds("a second STUN server", SOON, || second.stderr().contains("http://"));
        let link = session.host.links.control.replace(&Nat::None.rendezvous(), &nat.rendezvous());
        let second_server =
            if nat == Nat::Ipv6 { format!("stun:[{}]:8081", PUBLIC[1]) } else { format!("stun:{}:8081", PUBLIC[0]) };
        let command = beach(&scratch, &["doctor", "--ice-server", &second_server, &link]);
        let mut doctor = Process::start(&mut lab.viewer.on(&command));
        let (code, said) = (doctor.exit(Duration::from_secs(40)), doctor.stdout());
        assert!(code == 0 && said.contains(words) && said.contains("handshake   ok"), "{nat:?}: {code}\n{said}");
        assert!(said.contains(filtering) && said.contains("clock       ok"), "{nat:?}\n{said}");
        assert!(said.contains(concat!("(beach/", env!("CARGO_PKG_VERSION"), ", no TLS)")), "{nat:?}\n{said}");
        // Where both ways are there, either may be the first; a direct one that is found later takes over.
        assert!(Nat::None.meets(nat) || said.contains("through the rendezvous"), "{nat:?}\n{said}");
    }
}

#[test]
fn the_doctor_says_when_no_session_would_work() {
    let scratch = Scratch::new();
    let mut doctor = Process::start(&mut beach(&scratch, &["doctor", "--json", "--server", "http://127.0.0.1:1"]));
    assert_eq!(doctor.exit(SOON), 1);
    assert!(doctor.stdout().contains(r#""check":"rendezvous""#) && doctor.stdout().contains(r#""outcome":"failed""#));
}
