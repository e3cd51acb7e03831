//! Recordings replay exactly, and hold no key.
#![cfg(target_os = "linux")]

use beach_core::host::{Host, HostNotice, HostOutput};
use beach_core::peer::engine::Engine;
use beach_core::peer::str0m::Certificate;
use beach_core::recording::journal::{FORMAT, Record, ReplayError, Replayed, is_whole, read, replay, replay_inputs};
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::LinkUser as _;
use beach_core::viewer::{Viewer, ViewerInput, ViewerNotice, ViewerOutput};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types, noise_then_quiet};
use beach_tests::sim::{HostPlan, ViewerPlan, Wire, World, fake_engine, for_each_seed, host_secrets, real, secs};

const FILE: &str = "journal";

/// Where the resume token stands among the needles: hex is the second of each pair.
const TOKEN: std::ops::Range<usize> = 6..8;

/// The events of a session with two recorded viewers, one of whom left.
struct Session {
    recordings: Vec<Vec<u8>>,
    host_outputs: Vec<HostOutput>,
    viewer_outputs: Vec<Vec<ViewerOutput>>,
    rendezvous_heard: Vec<String>,
    needles: Vec<String>,
    said: String,
}

fn play<E: Engine>(mut world: World<E>) -> Session {
    let mut host = HostPlan::new(3);
    host.records = true;
    world.add_host(host);
    for role in [Role::Control, Role::View] {
        let mut viewer = ViewerPlan::of(3, role);
        viewer.records = true;
        viewer.wait = Some(secs(5));
        viewer.wire = Wire::random(&mut world.dice, 3);
        world.add_viewer(viewer);
    }
    everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    let mut needles = world.hosts[0].node.endpoint().needles();
    needles.extend(world.viewers.iter().flat_map(|viewer| viewer.node.endpoint().needles()));
    world.viewer_input(1, ViewerInput::Leave);
    world.type_keys(0, "exit 3\r");
    world.run_for(secs(20));
    let said = format!("{:?} {:?}", world.hosts[0].notices, world.viewers[0].notices);
    let host = world.hosts.remove(0);
    let mut recordings = vec![host.recording];
    recordings.extend(world.viewers.iter().map(|viewer| viewer.recording.clone()));
    let viewer_outputs = world.viewers.into_iter().map(|viewer| viewer.outputs).collect();
    let rendezvous_heard = world.rendezvous_heard;
    Session { recordings, host_outputs: host.outputs, viewer_outputs, rendezvous_heard, needles, said }
}

fn tier_a2(seed: u64) -> Session {
    play(World::new(seed, fake_engine))
}

fn tier_b(seed: u64) -> Session {
    determinism::run(seed, move || play(real::world(seed)))
}

/// A needle in hex or base64url, and the bytes themselves.
fn holds(haystack: &[u8], needle: &str) -> bool {
    let raw: Option<Vec<u8>> =
        (0..needle.len()).step_by(2).map(|at| u8::from_str_radix(needle.get(at..at + 2)?, 16).ok()).collect();
    let found = |bytes: &[u8]| haystack.windows(bytes.len()).any(|window| window == bytes);
    found(needle.as_bytes()) || raw.is_some_and(|raw| found(&raw))
}

#[test]
fn a_recording_replays_to_the_same_outputs() {
    let test = "a_recording_replays_to_the_same_outputs";

    let check = |session: Session| {
        let (mut host, mut viewers) = (Vec::new(), Vec::new());
        for recording in &session.recordings {
            let records = read(recording).expect("a recording");
            let mut viewer = Vec::new();
            let show = |replayed| match replayed {
                Replayed::Host(_, output) => host.extend(Host::split(output).err()),
                Replayed::Viewer(_, output) => viewer.extend(Viewer::split(output).err()),
                Replayed::HostInput(..) | Replayed::ViewerInput(..) | Replayed::Note(..) => {}
            };
            replay(&records, show).expect("it does the same again");
            viewers.push(viewer);
        }
        assert_eq!(host, session.host_outputs);
        assert_eq!(viewers[1..], session.viewer_outputs[..]);
        assert!(session.viewer_outputs.iter().all(|outputs| outputs.len() > 10), "much happened");
    };

    for_each_seed(FILE, test, 0..20, |seed| check(tier_a2(seed)));
    for_each_seed(FILE, test, 0..4, |seed| check(tier_b(seed)));
}

#[test]
fn a_recording_holds_no_key_and_lets_nobody_in() {
    for session in [tier_a2(1), tier_b(1)] {
        let certificates = [0, 1000, 1001].map(|seed| {
            let certificate = determinism::certificate(seed);
            Certificate::from_der(certificate.certificate.clone(), certificate.private_key.clone()).needles()
        });
        let mut needles = session.needles;
        needles.extend(certificates.into_iter().flatten());
        assert!(needles.len() > 8 + 2, "the confirmation keys are among them");
        for recording in &session.recordings {
            for needle in &needles {
                assert!(!holds(recording, needle), "a secret is in a recording");
            }
        }
        for needle in &needles {
            assert!(!holds(session.said.as_bytes(), needle), "a secret is in a notice");
        }
    }
}

/// A word that nobody would guess, typed and echoed.
const TYPED: &str = "tresoriert";

/// A session in which the word was typed: both recordings, and the stages of the viewer.
fn typed_session(redacts: bool) -> (Vec<Vec<u8>>, Vec<Stage>) {
    let mut world = World::new(1, fake_engine);
    let mut host = HostPlan::new(3);
    (host.records, host.redacts) = (true, redacts);
    world.add_host(host);
    let mut viewer = ViewerPlan::of(3, Role::Control);
    (viewer.records, viewer.redacts, viewer.wait) = (true, redacts, Some(secs(5)));
    world.add_viewer(viewer);
    everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
    world.type_keys(0, &format!("echo {TYPED}\r"));
    world.run_for(secs(2));
    let seen = world.viewers[0].node.machine().screen().text().concat();
    assert!(seen.contains(TYPED), "the viewer sees {seen}");
    world.type_keys(0, "exit 3\r");
    world.run_for(secs(20));
    assert!(world.hosts[0].exit.is_some() && world.viewers[0].exit.is_some());
    let stages = stages(world.viewers[0].notices.iter().map(|(_, notice)| notice));
    (vec![world.hosts.remove(0).recording, world.viewers.remove(0).recording], stages)
}

fn stages<'a>(notices: impl Iterator<Item = &'a ViewerNotice>) -> Vec<Stage> {
    notices.filter_map(|notice| if let ViewerNotice::Stage(stage) = notice { Some(*stage) } else { None }).collect()
}

#[test]
fn a_redacted_recording_holds_nothing_that_was_typed_or_shown_and_still_replays_the_handshake() {
    let (whole, stages_then) = typed_session(false);
    let (redacted, _) = typed_session(true);
    for (whole, redacted) in whole.iter().zip(&redacted) {
        assert!(holds(whole, TYPED), "a whole recording holds what was typed");
        assert!(!holds(redacted, TYPED), "what was typed is in a redacted recording");
        let records = read(redacted).expect("a recording");
        let mut notices = Vec::new();
        let show = |replayed| {
            if let Replayed::Viewer(_, ViewerOutput::Notice(notice)) = replayed {
                notices.push(notice);
            }
        };
        let outcome = replay(&records, show).expect("nothing is compared once something was replaced");
        assert_eq!(outcome.now, outcome.recorded, "the session ends as it did");
        assert!(outcome.now.is_some());
        if matches!(records[0], Record::Viewer(_)) {
            assert_eq!(stages(notices.iter()), stages_then);
        }
    }
}

/// Files that users attached to reports, or that somebody kept: see docs/TESTING.md.
#[test]
fn recordings_that_were_kept_end_as_they_did() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|file| file.expect("the folder can be read").path())
        .collect();
    files.sort();
    assert!(files.len() >= 2, "{} recordings", files.len());
    for file in files {
        let name = file.display();
        let bytes = std::fs::read(&file).expect("the file can be read");
        let records = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(is_whole(&bytes), "{name} is cut off");
        // In debug builds each machine checks its invariants after every input.
        let mut joined = 0_u32;
        let show = |replayed| match replayed {
            Replayed::Host(_, HostOutput::Notice(HostNotice::Joined(..))) => joined += 1,
            Replayed::Host(at, HostOutput::Write(_)) => {
                assert!(joined > 0, "{name}: at {at} s a byte reaches the command before anybody joined");
            }
            Replayed::Host(..)
            | Replayed::Viewer(..)
            | Replayed::HostInput(..)
            | Replayed::ViewerInput(..)
            | Replayed::Note(..) => {}
        };
        let outcome = replay_inputs(&records, show).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(outcome.inputs > 10, "{name} has {} inputs", outcome.inputs);
        assert_eq!(outcome.now, outcome.recorded, "{name} ended otherwise when it was recorded");
    }
}

#[test]
fn a_recording_of_another_format_is_refused_with_its_version() {
    let (mut recordings, _) = typed_session(false);
    let mut file = recordings.remove(0);
    file[8] = FORMAT + 1;
    assert_eq!(read(&file), Err(ReplayError::Format(FORMAT + 1)));
    assert!(!is_whole(&file));
    let text = ReplayError::Format(7).to_string();
    assert_eq!(text, format!("the recording has version 7 of the format, and this beach reads version {FORMAT}"));
    // Recordings had no version at first: they began with the length of a record.
    assert_eq!(read(&file[9..]), Err(ReplayError::Malformed));
}

#[test]
fn the_rendezvous_never_sees_a_bit_of_a_key() {
    for session in [tier_a2(2), tier_b(2)] {
        let needles = host_secrets(3).needles();
        assert!(session.rendezvous_heard.len() > 10, "it heard much");
        let token = &needles[TOKEN.start];
        for text in &session.rendezvous_heard {
            let is_register = text.contains(r#""type":"register""#);
            for needle in session.needles.iter().filter(|needle| !(is_register && *needle == token)) {
                assert!(!holds(text.as_bytes(), needle), "a secret is in {text}");
            }
        }
        assert!(
            session.rendezvous_heard.iter().any(|text| text.contains(token.as_str())),
            "the token is what it is meant to see"
        );
    }
}

#[test]
fn the_search_for_keys_finds_them() {
    let needle = &host_secrets(3).needles()[1];
    let raw: Vec<u8> =
        (0..needle.len()).step_by(2).map(|at| u8::from_str_radix(&needle[at..at + 2], 16).expect("hex")).collect();

    assert!(holds(&raw, needle));
    assert!(holds(format!("..{needle}..").as_bytes(), needle));
    assert!(!holds(&raw[1..], needle));
}
