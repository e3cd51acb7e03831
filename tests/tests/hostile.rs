//! A rendezvous, a network or a viewer that means harm.
#![cfg(target_os = "linux")]

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use beach_core::host::HostNotice;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{Command, Event, Lane, LinkDown};
use beach_core::terminal::Size;
use beach_core::viewer::{ViewerExit, ViewerInput, ViewerNotice};
use beach_core::wire::frame::{InputEvent, Up};
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};
use beach_tests::determinism;
use beach_tests::sim::pair::sctp_packet;
use beach_tests::sim::{
    Altered, Change, Dice, FakeEngine, HostPlan, Packet, Signal, ViewerPlan, Who, Wire, World, fake_engine,
    for_each_seed, ms, real, same_screens, secs, shows, swap_fingerprint,
};

const FILE: &str = "hostile";

fn failure<E: Engine>(world: &World<E>, viewer: usize) -> &Failure {
    match &world.viewers[viewer].exit {
        Some((_, ViewerExit::Failed(failure))) => failure,
        other => panic!("{other:?}, not a failure"),
    }
}

fn failures_at_host<E: Engine>(world: &World<E>, host: usize) -> Vec<&Failure> {
    let notices = world.hosts[host].notices.iter();
    notices
        .filter_map(|(_, notice)| if let HostNotice::Failed(_, failure) = notice { Some(failure) } else { None })
        .collect()
}

/// A host, and a viewer that joins at 1 s.
fn pair<E: Engine>(mut world: World<E>) -> World<E> {
    world.add_host(HostPlan::new(1));
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.at = secs(1);
    world.add_viewer(plan);
    world
}

fn nobody_was_confirmed<E: Engine>(world: &World<E>) {
    for host in &world.hosts {
        assert!(!host.notices.iter().any(|(_, notice)| matches!(notice, HostNotice::Joined(..))), "{:?}", host.notices);
        assert!(host.written.is_empty());
    }
    for viewer in &world.viewers {
        assert!(
            !viewer.notices.iter().any(|(_, notice)| matches!(notice, ViewerNotice::Connected(_))),
            "{:?}",
            viewer.notices
        );
    }
}

// The rendezvous.

/// Changes the link and the contents of an envelope; other messages stay.
fn with_envelope(signal: Signal, change: impl FnOnce(&mut beach_core::id::LinkId, &mut Vec<u8>)) -> Signal {
    let text = if signal.up {
        match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Envelope { mut link, mut data }) => {
                change(&mut link, &mut data.0);
                to_text(&ToRendezvous::Envelope { link, data })
            }
            _ => return signal,
        }
    } else {
        match parse_from_rendezvous(&signal.text) {
            Ok(FromRendezvous::Envelope { mut link, mut data }) => {
                change(&mut link, &mut data.0);
                to_text(&FromRendezvous::Envelope { link, data })
            }
            _ => return signal,
        }
    };
    Signal { text, ..signal }
}

fn is_envelope(signal: &Signal) -> bool {
    signal.text.contains(r#""type":"envelope""#)
}

/// The offer and the answer carry the fingerprints; no bit of any envelope can be changed.
#[test]
fn a_fingerprint_swapped_by_the_rendezvous_is_refused_by_the_seal_and_both_sides_name_the_stage() {
    for at in [9, 20, 60, 100] {
        let mut world = pair(World::new(1, fake_engine));
        world.meddler = Some(Box::new(move |_, signal| {
            let passes_once = !signal.up;
            let change = |data: &mut Vec<u8>| {
                if passes_once && data.first() == Some(&3) {
                    let at = at.min(data.len() - 1);
                    data[at] ^= 1;
                }
            };
            vec![with_envelope(signal, |_, data| change(data))]
        }));

        world.run_for(secs(60));

        nobody_was_confirmed(&world);
        assert_eq!(failure(&world, 0).stage, Stage::Offer);
        assert_eq!(failures_at_host(&world, 0)[0].stage, Stage::Answer);
    }
}

#[test]
fn an_envelope_damaged_once_is_said_again() {
    let mut world = pair(World::new(1, fake_engine));
    let mut seen = std::collections::BTreeSet::new();
    world.meddler = Some(Box::new(move |_, signal| {
        let first = seen.insert(signal.text.clone());
        let change = |data: &mut Vec<u8>| {
            if first && data.first() == Some(&3) {
                data[12] ^= 0x80;
            }
        };
        vec![with_envelope(signal, |_, data| change(data))]
    }));

    let live = world.run_until(secs(10), |world| world.viewers[0].node.machine().stage() == Stage::Live);

    assert!(live, "{}", world.story(0));
}

#[test]
fn a_rendezvous_that_connects_viewers_to_each_others_hosts_gets_nobody_in_and_both_sides_name_the_stage() {
    let mut world = World::new(2, fake_engine);
    for secrets in [1, 2] {
        world.add_host(HostPlan::new(secrets));
    }
    for secrets in [1, 2] {
        let mut plan = ViewerPlan::of(secrets, Role::Control);
        plan.at = secs(1);
        world.add_viewer(plan);
    }
    // The rendezvous gives each message for one host to the other host, and the other host's answers to the viewer.
    let mut links = std::collections::BTreeMap::new();
    world.meddler = Some(Box::new(move |_, signal| match (signal.up, signal.who) {
        (true, Who::Viewer(index)) => {
            if let Ok(ToRendezvous::Join { link, .. }) = parse_to_rendezvous(&signal.text) {
                links.insert(link, index);
            }
            vec![signal]
        }
        (false, Who::Host(index)) if !signal.text.contains("registered") => {
            vec![Signal { who: Who::Host(1 - index), ..signal }]
        }
        (true, Who::Host(_)) => match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Envelope { link, data }) => {
                let text = to_text(&FromRendezvous::Envelope { link, data });
                vec![Signal { who: Who::Viewer(links[&link]), up: false, text, late: ms(0) }]
            }
            Ok(ToRendezvous::Refuse { link, reason }) => {
                let text = to_text(&FromRendezvous::Refused { link: Some(link), reason });
                vec![Signal { who: Who::Viewer(links[&link]), up: false, text, late: ms(0) }]
            }
            _ => vec![signal],
        },
        (false, _) => vec![signal],
    }));

    world.run_for(secs(40));

    nobody_was_confirmed(&world);
    for index in [0, 1] {
        assert_eq!(failure(&world, index).stage, Stage::Authenticating);
        assert_eq!(failures_at_host(&world, index)[0].stage, Stage::Authenticating);
    }
}

/// Everything a rendezvous can do at once, for many seeds: it loses, repeats, delays, changes, replays from any earlier
/// handshake, gives envelopes of one link to another, and messages of one session to another.
#[test]
fn whatever_a_hostile_rendezvous_does_nobody_is_confirmed_with_the_wrong_peer_and_every_end_names_its_stage() {
    let test =
        "whatever_a_hostile_rendezvous_does_nobody_is_confirmed_with_the_wrong_peer_and_every_end_names_its_stage";
    let joined = for_each_seed(FILE, test, 0..200, |seed| {
        let mut world = World::new(seed, fake_engine);
        for secrets in [1, 2] {
            world.add_host(HostPlan::new(secrets));
        }
        let owner = |viewer: usize| viewer % 2;
        for viewer in 0..4 {
            let mut plan = ViewerPlan::of(1 + owner(viewer) as u64, Role::Control);
            plan.at = ms(800) + world.dice.up_to(secs(1));
            plan.wire = Wire::random(&mut world.dice, 5);
            world.add_viewer(plan);
        }
        let mut past: Vec<Signal> = Vec::new();
        let mut links = Vec::new();
        let malice = world.dice.between(1, 12);
        world.meddler = Some(Box::new(move |dice, signal| {
            if let Ok(ToRendezvous::Join { link, .. }) = parse_to_rendezvous(&signal.text) {
                links.push(link);
            }
            past.push(signal.clone());
            let mut result = vec![signal.clone()];
            if !dice.percent(malice) {
                return result;
            }
            let anybody = [Who::Host(0), Who::Host(1), Who::Viewer(0), Who::Viewer(1), Who::Viewer(2), Who::Viewer(3)];
            match dice.between(0, 6) {
                0 if is_envelope(&signal) => result.clear(),
                1 => result.push(signal),
                2 => result[0].late = dice.up_to(secs(1)),
                3 if is_envelope(&signal) => {
                    let bit = dice.between(0, 4000) as usize;
                    result[0] = with_envelope(signal, |_, data| {
                        let bit = bit % (data.len() * 8);
                        data[bit / 8] ^= 1 << (bit % 8);
                    });
                }
                4 => result.push(past[dice.between(0, past.len() as u64 - 1) as usize].clone()),
                5 if !links.is_empty() => {
                    let other = links[dice.between(0, links.len() as u64 - 1) as usize];
                    result.push(with_envelope(signal, |link, _| *link = other));
                }
                _ => result.push(Signal { who: anybody[dice.between(0, 5) as usize], ..signal }),
            }
            result
        }));
        world.run_for(secs(3));
        for viewer in 0..4 {
            world.type_keys(viewer, &"ABCD"[viewer..=viewer].repeat(5));
        }

        // Longer than the longest wait, that for a host.
        world.run_for(secs(90));

        let mut joined = 0;
        for (viewer, node) in world.viewers.iter().enumerate() {
            match (&node.exit, node.node.machine().stage()) {
                (None, Stage::Live) => {
                    joined += 1;
                    let right = SocketAddr::from(([10, 1, 0, owner(viewer) as u8], 4001));
                    for (_, notice) in &node.notices {
                        if let ViewerNotice::Connected(path) = notice {
                            assert_eq!(path.remote, right, "viewer {viewer} is confirmed with another host");
                        }
                    }
                    let own = node.node.machine().screen().text().concat();
                    let other = if owner(viewer) == 0 { ['B', 'D'] } else { ['A', 'C'] };
                    assert!(!own.contains(other), "viewer {viewer} sees the other session: {own}");
                }
                (Some((_, ViewerExit::Failed(failure))), _) => assert!(failure.stage < Stage::Live, "{failure:?}"),
                other => panic!("viewer {viewer} neither joined nor failed: {other:?}"),
            }
        }
        for (index, host) in world.hosts.iter().enumerate() {
            let typed = String::from_utf8_lossy(&host.written).into_owned();
            let foreign = if index == 0 { ['B', 'D'] } else { ['A', 'C'] };
            assert!(!typed.contains(foreign), "host {index} wrote {typed}");
            let machine = host.node.machine();
            assert_eq!(
                machine.links(),
                machine.members(),
                "host {index} has ended what did not become a link: {:?}",
                host.notices
            );
            for (_, notice) in &host.notices {
                if let HostNotice::Joined(_, _, name, path, _) = notice {
                    let viewer: usize = name.trim_start_matches("viewer ").parse().expect("a number");
                    assert_eq!(owner(viewer), index, "host {index} let in {name}");
                    assert_eq!(
                        path.remote.ip(),
                        std::net::IpAddr::from([10, 2, 0, viewer as u8]),
                        "{name} is where it is"
                    );
                }
            }
        }
        joined
    });
    let total: usize = joined.iter().map(|(_, joined)| joined).sum();
    println!("{total} of {} viewers joined in spite of it", joined.len() * 4);
    assert!(joined.len() == 1 || total > joined.len(), "the rendezvous is hostile, not closed");
}

// In between, below.

#[test]
fn a_certificate_swapped_on_the_path_is_refused_by_the_engines_check() {
    let mut world = pair(World::new(1, fake_engine));
    world.tamper = Some(Box::new(|packet| Some(swap_fingerprint(&packet.bytes).unwrap_or(packet.bytes))));

    world.run_for(secs(60));

    nobody_was_confirmed(&world);
    let causes = [&failure(&world, 0).cause, &failures_at_host(&world, 0)[0].cause];
    let is_it = |cause: &Cause| {
        matches!(cause, Cause::Down(LinkDown::WrongCertificate) | Cause::DownThere(LinkDown::WrongCertificate))
    };
    assert!(causes.into_iter().all(is_it), "{causes:?}");
}

#[test]
fn without_the_engines_check_the_confirmation_refuses_a_certificate_swapped_on_the_path() {
    let mut world = pair(World::new(1, |who, start| fake_engine(who, start).without_fingerprint_check()));
    world.tamper = Some(Box::new(|packet| Some(swap_fingerprint(&packet.bytes).unwrap_or(packet.bytes))));

    world.run_for(secs(60));

    unconfirmed(&world);
}

fn unconfirmed<E: Engine>(world: &World<E>) {
    nobody_was_confirmed(world);
    let causes = [&failure(world, 0).cause, &failures_at_host(world, 0)[0].cause];
    let is_it =
        |cause: &Cause| matches!(cause, Cause::Down(LinkDown::Unconfirmed) | Cause::DownThere(LinkDown::Unconfirmed));
    assert!(causes.into_iter().all(is_it), "{causes:?}");
    assert_eq!(failure(world, 0).stage, Stage::Confirming);
}

#[test]
fn over_real_dtls_a_certificate_that_was_not_announced_is_refused() {
    determinism::run(5, || {
        let mut world =
            pair(real::world_of(5, |who, start| Altered(real::engine(who, start), Change::AnotherCertificate)));

        world.run_for(secs(60));

        nobody_was_confirmed(&world);
        let causes = [&failure(&world, 0).cause, &failures_at_host(&world, 0)[0].cause];
        let is_it = |cause: &Cause| {
            matches!(cause, Cause::Down(LinkDown::WrongCertificate) | Cause::DownThere(LinkDown::WrongCertificate))
        };
        assert!(causes.into_iter().any(is_it), "{causes:?}");
    });
}

#[test]
fn over_real_dtls_without_the_engines_check_the_confirmation_refuses_it() {
    determinism::run(5, || {
        let engine =
            |who, start| Altered(real::engine(who, start).without_fingerprint_check(), Change::AnotherCertificate);
        let mut world = pair(real::world_of(5, engine));

        world.run_for(secs(60));

        unconfirmed(&world);
    });
}

// Viewers.

fn typed(bytes: &[u8]) -> Vec<u8> {
    Up { seq: 1000, first: 1, events: vec![InputEvent::Keys(bytes.to_vec())], ..Up::default() }.encode()
}

#[test]
fn who_speaks_before_the_confirmation_is_out_and_nothing_reaches_the_pty() {
    let engine = |who, start| match who {
        Who::Viewer(_) => fake_engine(who, start).saying(vec![typed(b"too early\r")]).too_early(),
        Who::Host(_) => fake_engine(who, start),
    };
    let mut world = pair(World::new(1, engine));

    world.run_for(secs(30));

    assert!(world.hosts[0].written.is_empty());
    assert_eq!(failures_at_host(&world, 0)[0].cause, Cause::Down(LinkDown::SpokeTooEarly));
    assert_eq!(failure(&world, 0).cause, Cause::DownThere(LinkDown::SpokeTooEarly));
}

#[test]
fn input_over_a_view_invite_gives_no_byte_at_the_pty_and_the_third_violation_removes_the_viewer() {
    let engine = |who, start| match who {
        Who::Viewer(0) => fake_engine(who, start).saying(vec![typed(b"one\r"), typed(b"two\r"), typed(b"three\r")]),
        Who::Viewer(_) | Who::Host(_) => fake_engine(who, start),
    };
    let mut world = World::new(1, engine);
    world.add_host(HostPlan::new(1));
    for _ in 0..2 {
        let mut plan = ViewerPlan::of(1, Role::View);
        plan.at = secs(1);
        world.add_viewer(plan);
    }

    world.run_for(secs(10));

    let violations: Vec<_> = world.hosts[0]
        .notices
        .iter()
        .filter_map(|(_, notice)| if let HostNotice::Violation(_, count) = notice { Some(*count) } else { None })
        .collect();
    assert_eq!(violations, [1, 2, 3]);
    assert!(world.hosts[0].written.is_empty());
    assert!(matches!(&world.viewers[0].exit, Some((_, ViewerExit::Removed(_)))), "{}", world.story(0));
    assert_eq!((world.hosts[0].node.machine().members(), &world.viewers[1].exit), (1, &None), "the other one stays");
}

#[test]
fn keys_typed_at_a_viewer_with_a_view_invite_do_not_even_leave_it() {
    let mut world = World::new(1, fake_engine);
    world.add_host(HostPlan::new(1));
    let mut plan = ViewerPlan::of(1, Role::View);
    plan.at = secs(1);
    world.add_viewer(plan);
    world.run_for(secs(5));
    world.type_keys(0, "ls\r");
    world.type_keys(0, "ls\r");

    world.run_for(secs(5));

    let told = world.viewers[0].notices.iter().filter(|(_, notice)| *notice == ViewerNotice::ReadOnly).count();
    assert!(told >= 1);
    assert!(world.hosts[0].written.is_empty());
    assert!(!world.hosts[0].notices.iter().any(|(_, notice)| matches!(notice, HostNotice::Violation(..))));
}

/// Tier A1, where frames can be handed to the host as they are.
#[test]
fn frames_that_make_no_sense_are_violations_and_the_third_removes() {
    let mut world = World::<FakeEngine>::new(1, fake_engine).bare();
    world.keeps_commands = true;
    world.add_host(HostPlan::new(1));
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.at = secs(1);
    world.add_viewer(plan);
    world.run_for(secs(5));
    assert_eq!(world.hosts[0].node.machine().members(), 1);
    let join = |command: &Command| if let Command::Join(link, _) = command { Some(*link) } else { None };
    let link = world.commands.iter().find_map(|(_, _, command)| join(command)).expect("it joined");

    for nonsense in [vec![], vec![0xff; 2000], vec![1, 0xff]] {
        world.link_event(Who::Host(0), Event::Message(link, Lane::Control, nonsense));
    }
    world.run_for(secs(4));

    assert_eq!(world.hosts[0].node.machine().members(), 0);
    assert!(world.hosts[0].written.is_empty());
}

/// An RTP packet as the terminal lane has them, but of a foreign stream, and with a header extension (RFC 8285,
/// one-byte header) that names the lane: an engine that believes it before it is authenticated takes the foreign stream
/// for the lane's.
fn naming_the_lane(extension: u8, seq: u16) -> Vec<u8> {
    const LANE: &[u8; 4] = b"lane";
    let mut packet = vec![0x90, 100];
    packet.extend(seq.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(0xdead_beef_u32.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 2, extension << 4 | (LANE.len() as u8 - 1)]);
    packet.extend(LANE);
    packet.extend([0; 3]);
    packet.extend([0x55; 60]);
    packet
}

#[test]
fn a_forged_packet_that_names_the_terminal_lane_takes_nothing_over() {
    determinism::run(3, || {
        let mut world = pair(real::world(3));
        let joined = |world: &World<_>| world.viewers[0].node.machine().stage() == Stage::Live;
        assert!(world.run_until(secs(10), joined), "{}", world.story(0));
        world.run_for(secs(1));
        for extension in 1..15 {
            world.forge(Who::Viewer(0), Who::Host(0), naming_the_lane(extension, 7));
            world.forge(Who::Host(0), Who::Viewer(0), naming_the_lane(extension, 7));
        }
        world.run_for(ms(10));

        world.type_keys(0, "echo $((6*7))\r");
        let seen = world.run_until(secs(2), |world| shows(world.viewers[0].node.machine().screen(), "42"));

        assert!(seen, "the lane is dead: {:?}", world.viewers[0].node.machine().screen().text());
    });
}

/// Somebody on the path who repeats datagrams of any time, sends them back, changes them, and makes up others, once the
/// link is up. The datagrams of the two sides pass, too.
#[test]
fn whatever_somebody_on_the_path_injects_typing_arrives_once_and_the_screens_are_equal() {
    let test = "whatever_somebody_on_the_path_injects_typing_arrives_once_and_the_screens_are_equal";
    let injected = for_each_seed(FILE, test, 0..12, |seed| {
        determinism::run(seed, move || {
            let mut world = pair(real::world(seed));
            let past = Rc::new(RefCell::new(Vec::<Packet>::new()));
            let (record, mut dice) = (past.clone(), Dice::new(seed ^ 0xbad));
            world.tamper = Some(Box::new(move |packet| {
                if dice.percent(30) {
                    record.borrow_mut().push(packet.clone());
                }
                Some(packet.bytes)
            }));
            let mut dice = Dice::new(seed ^ 0xbad5eed);
            let mut injected = 0;
            let mut inject = |world: &mut World<_>, span| {
                let end = world.now() + span;
                while world.now() < end {
                    world.run_for(ms(20));
                    for _ in 0..3 {
                        let count = past.borrow().len() as u64;
                        if count == 0 {
                            continue;
                        }
                        let Packet { from, to, mut bytes } = past.borrow()[dice.between(0, count - 1) as usize].clone();
                        let (from, to) = if dice.percent(25) { (to, from) } else { (from, to) };
                        match dice.between(0, 3) {
                            0 => {}
                            1 => {
                                let bit = dice.between(0, bytes.len() as u64 * 8 - 1) as usize;
                                bytes[bit / 8] ^= 1 << (bit % 8);
                            }
                            2 => bytes.truncate(dice.between(1, bytes.len() as u64) as usize),
                            _ => bytes.iter_mut().skip(1).for_each(|byte| *byte = dice.between(0, 255) as u8),
                        }
                        world.forge(from, to, bytes);
                        injected += 1;
                    }
                }
            };
            let live = |world: &World<_>| world.viewers[0].node.machine().stage() == Stage::Live;
            assert!(world.run_until(secs(10), live), "{}", world.story(0));
            inject(&mut world, secs(3));
            for word in ["one", "two", "three"] {
                world.type_keys(0, word);
                inject(&mut world, ms(500));
            }
            world.run_for(secs(5));

            assert_eq!(String::from_utf8_lossy(&world.hosts[0].written), "onetwothree");
            let host = world.hosts[0].node.machine();
            same_screens(world.viewers[0].node.machine().screen(), host.emulator())
                .unwrap_or_else(|difference| panic!("{difference}"));
            injected
        })
    });
    assert!(injected.iter().all(|(_, injected)| *injected > 200), "much was injected: {injected:?}");
}

/// A viewer that is valid until the control lane is open, and whose SCTP then goes mad: any chunks, with the right tag
/// and checksum.
#[test]
fn a_viewer_whose_sctp_goes_mad_harms_neither_the_host_nor_the_others() {
    let test = "a_viewer_whose_sctp_goes_mad_harms_neither_the_host_nor_the_others";
    let forged = for_each_seed(FILE, test, 0..12, |seed| {
        determinism::run(seed, move || {
            let mut world = pair(real::world(seed));
            let mut plan = ViewerPlan::of(1, Role::Control);
            plan.at = secs(1);
            world.add_viewer(plan);
            let live =
                |world: &World<_>| world.viewers.iter().all(|viewer| viewer.node.machine().stage() == Stage::Live);
            assert!(world.run_until(secs(10), live), "{}", world.story(0));
            world.run_for(secs(1));

            // From here on the first association that a viewer's packet belongs to sends forged ones.
            let (mut mad, mut dice) = (None, Dice::new(seed));
            let forged = Rc::new(Cell::new(0_u64));
            let count = forged.clone();
            determinism::forge_sctp(Some(Box::new(move |is_host, packet| {
                let tag = packet[4..8].to_vec();
                if is_host || *mad.get_or_insert(tag.clone()) != tag {
                    return vec![packet.to_vec()];
                }
                let chunk = |dice: &mut Dice| {
                    let kinds = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14, 64, 130, 192, 194, 255];
                    let kind = kinds[dice.between(0, kinds.len() as u64 - 1) as usize];
                    let value: Vec<u8> = (0..dice.between(0, 40)).map(|_| dice.between(0, 255) as u8).collect();
                    let length = (4 + value.len() as u16).to_be_bytes();
                    let mut chunk = [&[kind, dice.between(0, 7) as u8], &length[..], &value].concat();
                    chunk.resize(chunk.len().next_multiple_of(4), 0);
                    chunk
                };
                let packets = (0..4).map(|_| {
                    let chunks = (0..dice.between(1, 4)).flat_map(|_| chunk(&mut dice)).collect::<Vec<u8>>();
                    sctp_packet(packet, &chunks)
                });
                let packets: Vec<_> = packets.collect();
                count.set(count.get() + packets.len() as u64);
                packets
            })));
            for round in 0..20 {
                for viewer in 0..2 {
                    let size = Size::new(90 + round % 2, 30);
                    world.viewer_input(viewer, ViewerInput::Resized(size));
                }
                world.run_for(ms(200));
            }
            determinism::forge_sctp(None);

            let honest: Vec<usize> = (0..2)
                .filter(|viewer| {
                    let before = world.hosts[0].written.len();
                    world.type_keys(*viewer, "x");
                    world.run_for(secs(2));
                    world.hosts[0].written.len() > before && world.viewers[*viewer].exit.is_none()
                })
                .collect();
            assert!(world.hosts[0].exit.is_none(), "{:?}", world.hosts[0].exit);
            assert!(!honest.is_empty(), "nobody can type any more");
            forged.get()
        })
    });
    assert!(forged.iter().all(|(_, forged)| *forged >= 4), "packets were forged: {forged:?}");
}
