//! Recordings replay exactly, and hold no key.
#![cfg(target_os = "linux")]

use beach_core::host::{Host, HostOutput};
use beach_core::peer::engine::Engine;
use beach_core::peer::str0m::Certificate;
use beach_core::recording::journal::{Replayed, read, replay};
use beach_core::role::Role;
use beach_core::session::link::LinkUser as _;
use beach_core::viewer::{Viewer, ViewerInput, ViewerOutput};
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
                Replayed::Note(..) => {}
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
