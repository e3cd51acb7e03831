//! Logs at level trace, those of all libraries included, hold no secret of the sessions that run meanwhile. The notes
//! of both sides tell the story of a handshake in order, and what was missing when a handshake came to nothing.
#![cfg(target_os = "linux")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use beach_core::endpoint::note::{Missing, Step};
use beach_core::id::LinkId;
use beach_core::peer::engine::Engine;
use beach_core::peer::str0m::Certificate;
use beach_core::role::Role;
use beach_core::session::link::Attempt;
use beach_core::viewer::ViewerInput;
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types};
use beach_tests::sim::{HostPlan, Signal, ViewerPlan, Who, World, real, secs};
use tracing_subscriber::filter::LevelFilter;

/// The log, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The secrets of a session with a viewer of each kind, and the notes of its endpoints.
fn session() -> (Vec<String>, String) {
    determinism::run(5, || {
        let mut world = real::world(5);
        world.add_host(HostPlan::new(3));
        for role in [Role::Control, Role::View] {
            let mut viewer = ViewerPlan::of(3, role);
            viewer.wait = Some(secs(5));
            world.add_viewer(viewer);
        }
        everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
        everyone_types(&mut world);
        let mut needles = world.hosts[0].node.endpoint().needles();
        needles.extend(world.viewers.iter().flat_map(|viewer| viewer.node.endpoint().needles()));
        world.viewer_input(1, ViewerInput::Leave);
        world.run_for(secs(5));
        let notes = [Who::Host(0), Who::Viewer(0), Who::Viewer(1)].map(|who| story(&world, who).join("\n"));
        (needles, notes.join("\n"))
    })
}

/// A secret in hex, as it is printed by `{:?}` of its bytes, and in base64url.
fn spellings(needle: &str) -> Vec<String> {
    let byte = |at: usize| u8::from_str_radix(needle.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..needle.len()).step_by(2).map(byte).collect();
    let listed = bytes.map(|bytes| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    [Some(needle.to_owned()), Some(needle.to_uppercase()), listed].into_iter().flatten().collect()
}

#[test]
fn a_log_at_trace_holds_no_key_no_token_and_no_confirmation_key() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let (mut needles, notes) = session();
    let certificates = [0, 1000, 1001].map(determinism::certificate);
    for certificate in certificates {
        let certificate = Certificate::from_der(certificate.certificate.clone(), certificate.private_key.clone());
        needles.extend(certificate.needles());
    }
    let text = log.text();

    assert!(text.contains("TRACE") && text.contains("str0m") && text.len() > 10_000, "everything speaks");
    assert!(needles.len() > 16, "keys, token, confirmation keys and certificates are looked for");
    for needle in needles.iter().flat_map(|needle| spellings(needle)) {
        assert!(!text.contains(&needle), "a secret is in the log");
        assert!(!notes.contains(&needle), "a secret is in a note");
    }
    assert_eq!(spellings("0a0B").last().map(String::as_str), Some("10, 11"), "bytes in a list are looked for as well");
}

/// The notes of one endpoint, as a log shows them.
fn story<E: Engine>(world: &World<E>, who: Who) -> Vec<String> {
    let notes = match who {
        Who::Host(host) => &world.hosts[host].notes,
        Who::Viewer(viewer) => &world.viewers[viewer].notes,
    };
    notes.iter().map(|(at, note)| format!("{at} {note}")).collect()
}

fn steps<E: Engine>(world: &World<E>, who: Who) -> Vec<(Option<LinkId>, Attempt, Step)> {
    let notes = match who {
        Who::Host(host) => &world.hosts[host].notes,
        Who::Viewer(viewer) => &world.viewers[viewer].notes,
    };
    notes.iter().map(|(_, note)| (note.link, note.attempt, note.step.clone())).collect()
}

/// Each of `expected` begins a step, and comes after the one before.
#[track_caller]
fn in_order<E: Engine>(world: &World<E>, who: Who, expected: &[&str]) {
    let steps: Vec<String> = steps(world, who).into_iter().map(|(.., step)| step.to_string()).collect();
    let mut rest = steps.iter();
    for step in expected {
        let found = rest.any(|told| told.starts_with(step));
        assert!(found, "{who:?}: {step:?} is not there, or not in order:\n{}", story(world, who).join("\n"));
    }
}

#[test]
fn the_notes_of_a_join_tell_each_step_in_order_on_both_sides() {
    determinism::run(7, || {
        let mut world = real::world(7);
        world.add_host(HostPlan::new(1));
        world.run_for(secs(1));
        world.add_viewer(ViewerPlan::of(1, Role::Control));
        everyone_joins(&mut world, secs(10)).unwrap_or_else(|who| panic!("{who}"));
        world.run_for(secs(2));

        let (host, viewer) = (Who::Host(0), Who::Viewer(0));
        let connecting = [
            "first check sent: ",
            "first check answered: ",
            "a path answered",
            "DTLS begun",
            "path in use: ",
            "DTLS done: version 1.",
            "confirmation sent",
            "confirmation received: it holds",
            "confirmed: the terminal lane is open",
            "the control lane is open",
        ];
        let until_described = [
            "signal sent: register, ",
            "signal received: registered, ",
            "signal received: joined, ",
            "signal received: envelope, ",
            "hello received",
            "verdict sent: accepted",
            "signal sent: envelope, ",
            "peer made: it offers and controls",
            "offer made, fingerprint ",
            "offer sent, fingerprint ",
        ];
        in_order(&world, host, &[&until_described[..], &connecting[..]].concat());
        in_order(&world, host, &["offer sent", "answer received, fingerprint ", "first check answered"]);
        in_order(&world, host, &["answer received", "candidate received: host, "]);
        let until_described = [
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
        in_order(&world, viewer, &[&until_described[..], &connecting[..]].concat());
        in_order(&world, viewer, &["offer received", "candidate received: host, ", "first check sent"]);
        for who in [host, viewer] {
            in_order(&world, who, &["peer made", "candidate found: host, ", "candidate sent: host, "]);
            in_order(&world, who, &["candidate found: host, ", "first check sent"]);
        }
        for (sender, sent, receiver, received) in
            [(host, "offer sent, ", viewer, "offer received, "), (viewer, "answer sent, ", host, "answer received, ")]
        {
            let told = |who, what: &str| {
                let mut steps = steps(&world, who).into_iter().map(|(.., step)| step.to_string());
                steps.find_map(|step| step.strip_prefix(what).map(str::to_owned)).expect("it is told")
            };
            assert_eq!(told(sender, sent), told(receiver, received), "both sides tell one fingerprint");
        }
        for who in [host, viewer] {
            let of_a_peer = |step: &Step| matches!(step, Step::CheckSent(_) | Step::DtlsBegun | Step::ControlLaneOpen);
            let mut told = steps(&world, who).into_iter().filter(|(.., step)| of_a_peer(step));
            assert!(told.all(|(link, attempt, _)| link.is_some() && attempt == 1), "each names its link and attempt");
        }
    });
}

/// Bytes of an envelope, if `signal` is one on its way to the rendezvous or from there.
fn envelope(signal: &Signal) -> Option<Vec<u8>> {
    if signal.up {
        match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Envelope { data, .. }) => Some(data.0),
            _ => None,
        }
    } else {
        match parse_from_rendezvous(&signal.text) {
            Ok(FromRendezvous::Envelope { data, .. }) => Some(data.0),
            _ => None,
        }
    }
}

/// A numbered envelope, by its size: one with a description is longer than any with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealed {
    Description,
    Shorter,
}

fn sealed(signal: &Signal) -> Option<Sealed> {
    let bytes = envelope(signal).filter(|bytes| bytes.first() == Some(&3))?;
    Some(if bytes.len() >= 120 { Sealed::Description } else { Sealed::Shorter })
}

/// The last thing that both sides missed, when `withheld` of what goes to the rendezvous does not get there and, if
/// `cut`, no datagram gets through.
fn missed(withheld: fn(&Signal) -> bool, cut: bool) -> [Missing; 2] {
    determinism::run(3, move || {
        let mut world = real::world(3);
        world.add_host(HostPlan::new(1));
        world.run_for(secs(1));
        world.add_viewer(ViewerPlan::of(1, Role::Control));
        world.cut(Who::Viewer(0), cut);
        world.meddler =
            Some(Box::new(move |_, signal| if signal.up && withheld(&signal) { Vec::new() } else { vec![signal] }));
        world.run_for(secs(90));
        assert!(world.viewers[0].exit.is_some(), "{}", world.story(0));
        let sides = [Who::Host(0), Who::Viewer(0)];
        let stage_ends = |step: &Step| matches!(step, Step::TimerDue(timer) if timer.starts_with("Stage ("));
        let mut ended = sides.iter().flat_map(|who| steps(&world, *who)).filter(|(.., step)| stage_ends(step));
        let (link, ..) = ended.next().expect("a side names the timer and the stage that ended the handshake");
        assert!(link.is_some(), "the timer has its link");
        sides.map(|who| {
            let steps = steps(&world, who);
            let missing = |step: &Step| if let Step::Closed(missing) = step { *missing } else { None };
            let last = steps.iter().rev().take(6).find_map(|(.., step)| missing(step));
            last.unwrap_or_else(|| panic!("{who:?} does not say what is missing:\n{}", story(&world, who).join("\n")))
        })
    })
}

#[test]
fn without_the_offer_the_last_notes_say_that_offer_and_answer_are_missing() {
    let of_host = |signal: &Signal| signal.who == Who::Host(0) && sealed(signal) == Some(Sealed::Description);
    assert_eq!(missed(of_host, false), [Missing::Answer, Missing::Offer]);
}

#[test]
fn without_the_answer_the_last_notes_say_that_the_host_lacks_the_answer_and_the_viewer_answers_to_its_checks() {
    let of_viewer = |signal: &Signal| signal.who == Who::Viewer(0) && sealed(signal) == Some(Sealed::Description);
    let [host, viewer] = missed(of_viewer, false);
    assert_eq!(host, Missing::Answer);
    assert!(matches!(viewer, Missing::CheckAnswers(1..)), "{viewer:?}");
}

#[test]
fn without_candidates_the_last_notes_of_both_sides_say_that_addresses_are_missing() {
    let shorter = |signal: &Signal| sealed(signal) == Some(Sealed::Shorter);
    assert_eq!(missed(shorter, false), [Missing::RemoteCandidates; 2]);
}

#[test]
fn without_datagrams_the_last_notes_of_both_sides_say_that_no_check_was_answered() {
    let missing = missed(|_| false, true);
    assert!(matches!(missing, [Missing::CheckAnswers(1..), Missing::CheckAnswers(1..)]), "{missing:?}");
}
