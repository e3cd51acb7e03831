//! Where no datagram gets from one side to the other, a TURN server of either side relays them: that of `beach serve`,
//! on virtual time, under the real engine.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::ice::server_url::Transport;
use beach_core::ice::turn::{Allocations, Effect};
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::link::PathKind;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerNotice;
use beach_core::wire::signal::IceUrl;
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types};
use beach_tests::sim::turn::{TURN_AT, TurnPost};
use beach_tests::sim::{Dice, HostPlan, ViewerPlan, Who, World, for_each_seed, ms, real, secs, shows};

const FILE: &str = "turn";

const HOST: Who = Who::Host(0);
const VIEWER: Who = Who::Viewer(0);

/// A host and a viewer that take such paths, and a rendezvous that relays nothing.
fn pair<E: Engine>(world: World<E>, paths: [Paths; 2]) -> World<E> {
    let mut world = world.without_relay().with_turn("north");
    let mut host = HostPlan::new(1);
    host.paths = paths[0];
    world.add_host(host);
    let mut viewer = ViewerPlan::of(1, Role::Control);
    (viewer.paths, viewer.wait) = (paths[1], Some(secs(1)));
    world.add_viewer(viewer);
    // The host and the viewer begin.
    world.run_for(ms(1));
    world
}

/// The kinds of the paths that the viewer was told of.
fn kinds<E: Engine>(world: &World<E>) -> Vec<PathKind> {
    let kind = |notice: &ViewerNotice| {
        if let ViewerNotice::Connected(path) | ViewerNotice::Path(path) = notice { Some(path.kind) } else { None }
    };
    world.viewers[0].notices.iter().filter_map(|(_, notice)| kind(notice)).collect()
}

fn tell<E: Engine>(world: &mut World<E>, who: &[Who], transport: Transport) {
    who.iter().for_each(|who| world.tell_of_turn(*who, transport, "north"));
}

fn joins<E: Engine>(world: &mut World<E>) {
    everyone_joins(world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
}

/// How long it took from typing a command until the viewer saw the shell's answer.
fn answered<E: Engine>(world: &mut World<E>, number: u64) -> Duration {
    let before = world.now();
    world.type_keys(0, &format!("\x0cecho $(({number}*3))\r"));
    let product = (number * 3).to_string();
    let seen = world.run_until(secs(30), |world| shows(world.viewers[0].node.machine().screen(), &product));
    assert!(seen, "{product}: {}", world.story(0));
    world.now() - before
}

#[test]
fn one_side_with_a_turn_server_is_enough_over_udp_and_over_tcp() {
    let test = "one_side_with_a_turn_server_is_enough_over_udp_and_over_tcp";
    for_each_seed(FILE, test, 0..12, |seed| {
        determinism::run(seed, move || {
            let transport = if seed % 2 == 0 { Transport::Udp } else { Transport::Tcp };
            let mut world = pair(real::world(seed), [Paths::Any; 2]);
            world.set_apart(true);
            let who: &[Who] = [&[HOST, VIEWER][..], &[HOST], &[VIEWER]][(seed / 2 % 3) as usize];
            tell(&mut world, who, transport);
            joins(&mut world);
            everyone_types(&mut world);
            assert_eq!(kinds(&world), [PathKind::Turn]);
        });
    });
}

#[test]
fn the_rendezvous_hands_them_out_and_where_there_is_a_direct_path_nothing_of_a_lane_is_relayed() {
    for (apart, wanted) in [(true, PathKind::Turn), (false, PathKind::Direct)] {
        determinism::run(1, move || {
            let mut world = pair(real::world(1), [Paths::Any; 2]);
            world.set_apart(apart);
            let url = TurnPost::new("north").as_server(Transport::Udp).url();
            world.hand_out(vec![IceUrl(url.to_string())]);
            joins(&mut world);
            world.run_for(secs(2));
            let before = world.turned().0;
            everyone_types(&mut world);
            assert_eq!(kinds(&world).last(), Some(&wanted));
            assert!(world.turned().1 > 0, "both have an address there");
            assert!(apart || world.turned().0 - before < 20, "checks only: {:?} after {before}", world.turned());
        });
    }
}

#[test]
fn servers_of_a_scheme_that_is_not_known_yet_are_skipped() {
    determinism::run(7, || {
        let mut world = pair(real::world(7), [Paths::Any; 2]);
        world.set_apart(true);
        let known = TurnPost::new("north").as_server(Transport::Udp).url();
        let later = ["turns:u:p@203.0.113.1:5349?transport=tcp", "turn:u:p@203.0.113.1:443?transport=quic", "masque:x"];
        let urls = later.into_iter().chain([known.as_str()]);
        world.hand_out(urls.map(|url| IceUrl(url.to_owned())).collect());
        joins(&mut world);
        assert_eq!(kinds(&world), [PathKind::Turn]);
    });
}

#[test]
fn who_wants_relays_only_sends_no_datagram_to_the_other_side_and_is_sent_none() {
    for paths in [[Paths::RelayOnly, Paths::Any], [Paths::Any, Paths::RelayOnly], [Paths::RelayOnly; 2]] {
        determinism::run(2, move || {
            let mut world = pair(real::world(2), paths);
            let who: Vec<_> =
                [HOST, VIEWER].into_iter().zip(paths).filter(|(_, own)| *own == Paths::RelayOnly).collect();
            who.iter().for_each(|(who, _)| tell(&mut world, &[*who], Transport::Udp));
            joins(&mut world);
            everyone_types(&mut world);
            assert_eq!((kinds(&world), world.viewers[0].bytes_sent), (vec![PathKind::Turn], 0), "{paths:?}");
        });
    }
}

#[test]
fn under_strict_no_server_relays() {
    determinism::run(3, || {
        let mut world = pair(real::world(3), [Paths::DirectOnly; 2]);
        tell(&mut world, &[HOST, VIEWER], Transport::Udp);
        joins(&mut world);
        assert_eq!((kinds(&world), world.turned().1), (vec![PathKind::Direct], 0));
    });
}

#[test]
fn a_server_that_is_not_there_costs_nobody_any_time() {
    let joined = |told: bool| {
        determinism::run(4, move || {
            let mut world = pair(real::world(4), [Paths::Any; 2]).without_turn_server();
            if told {
                tell(&mut world, &[HOST, VIEWER], Transport::Udp);
            }
            joins(&mut world);
            world.now()
        })
    };
    assert_eq!(joined(true), joined(false));
}

#[test]
fn a_direct_path_that_is_cut_is_replaced_and_when_it_is_mended_it_is_taken_again() {
    let test = "a_direct_path_that_is_cut_is_replaced_and_when_it_is_mended_it_is_taken_again";
    for_each_seed(FILE, test, 0..8, |seed| {
        determinism::run(seed, move || {
            let transport = if seed % 2 == 0 { Transport::Udp } else { Transport::Tcp };
            let mut world = pair(real::world(seed), [Paths::Any; 2]);
            let who: &[Who] = if seed % 4 < 2 { &[HOST, VIEWER] } else { &[VIEWER] };
            tell(&mut world, who, transport);
            joins(&mut world);
            world.run_for(secs(3));
            world.set_apart(true);
            let without = answered(&mut world, 111);
            world.run_for(secs(3));
            let then = answered(&mut world, 222);
            world.set_apart(false);
            let mended = world.now();
            // Only a side that sends on the path notices it.
            let mut number = 1000;
            while kinds(&world).last() != Some(&PathKind::Direct) {
                number += 1;
                answered(&mut world, number);
                world.run_for(ms(200));
                assert!(world.now().since(mended) < secs(60), "{}", world.story(0));
            }
            println!("seed {seed}: {without:?}, {then:?}; direct again after {:?}", world.now().since(mended));
            assert!(without < secs(12) && then < ms(500), "{without:?}, {then:?}: {}", world.story(0));
        });
    });
}

#[test]
fn credentials_that_expire_are_replaced_in_the_middle_of_a_session() {
    for transport in [Transport::Udp, Transport::Tcp] {
        determinism::run(5, move || {
            let mut world = pair(real::world(5), [Paths::Any; 2]);
            world.set_apart(true);
            tell(&mut world, &[HOST, VIEWER], transport);
            joins(&mut world);
            answered(&mut world, 333);
            for who in [HOST, VIEWER] {
                world.tell_of_turn(who, transport, "later");
            }
            // The server knows neither the allocations nor the old credentials any more.
            world.restart_turn("later");
            let took = answered(&mut world, 444);
            println!("{transport:?}: {took:?}");
            assert!(took < secs(25), "{transport:?}: {took:?}");
        });
    }
}

#[test]
fn an_allocation_lives_on_for_hours_and_not_longer_than_the_links() {
    determinism::run(6, || {
        let mut world = pair(real::world(6), [Paths::Any; 2]);
        world.set_apart(true);
        tell(&mut world, &[HOST, VIEWER], Transport::Udp);
        joins(&mut world);
        world.run_for(secs(650));
        assert!(answered(&mut world, 555) < ms(500));
        assert_eq!(kinds(&world), [PathKind::Turn]);
        world.viewer_input(0, beach_core::viewer::ViewerInput::Leave);
        world.run_for(secs(5));
        assert_eq!(world.turned().1, 0, "all were given back");
    });
}

/// Spoils bytes: flips, cuts, grows, doubles, or makes them up.
fn spoilt(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..dice.between(1, 3) {
        let at = dice.between(0, bytes.len() as u64) as usize;
        let random: Vec<u8> = dice.seed().into_iter().take(dice.between(1, 32) as usize).collect();
        match dice.between(0, 5) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random[0]),
            1 => bytes.truncate(at),
            2 => bytes.extend(random),
            3 => bytes.splice(at..at, random).for_each(drop),
            // Lengths are what parsers trust.
            4 if bytes.len() > 3 => bytes[2..4].copy_from_slice(&(dice.between(0, 65_535) as u16).to_be_bytes()),
            _ => bytes = random,
        }
    }
    bytes
}

#[test]
fn whatever_a_server_says_is_survived_and_bounded() {
    let test = "whatever_a_server_says_is_survived_and_bounded";
    let (local, peer) = (place("198.51.100.2:5000"), place("198.51.100.3:6000"));
    let allocated = for_each_seed(FILE, test, 0..400, |seed| {
        let transport = if seed % 2 == 0 { Transport::Udp } else { Transport::Tcp };
        let mut dice = Dice::new(seed);
        let mut turn = TurnPost::new("north");
        let mut own = Allocations::default();
        own.learn(Timestamp::ZERO, TURN_AT, transport, turn.credentials());
        own.want(Timestamp::ZERO, &[local]);
        own.permit(Timestamp::ZERO, peer.ip());
        let (mut relayed, mut effects) = (None, 0);
        for step in 0..300u64 {
            let now = Timestamp::from_micros(step * 70_000);
            own.on_time(now);
            let mut answers = Vec::new();
            if let Some(relayed) = relayed {
                own.send(now, relayed, peer, b"to the peer", true);
                answers = turn.handle(now, Transport::Udp, peer, relayed, b"from the peer".to_vec());
            }
            let mut dialled = None;
            while let Some(effect) = own.poll() {
                effects += 1;
                match effect {
                    Effect::Datagram { source, bytes, .. } => {
                        answers.extend(turn.handle(now, Transport::Udp, source, TURN_AT, bytes));
                    }
                    Effect::Write(_, bytes) => {
                        answers.extend(turn.handle(now, Transport::Tcp, local, TURN_AT, bytes));
                    }
                    Effect::Dial(stream, _) => dialled = Some(stream),
                    Effect::Allocated(address) => relayed = Some(address),
                    Effect::Lost(_) => relayed = None,
                    Effect::HangUp(_) | Effect::Arrived { .. } => {}
                }
            }
            // Connections are there as soon as they are asked for.
            dialled.into_iter().for_each(|stream| own.stream_up(now, stream));
            for (.., bytes) in answers.into_iter().filter(|(_, _, to, _)| *to == local) {
                for _ in 0..3 {
                    let bad = spoilt(&mut dice, &bytes);
                    // On a stream, nonsense is the last thing that makes sense.
                    if transport == Transport::Udp || dice.percent(2) {
                        deliver(&mut own, now, transport, local, &bad);
                    }
                }
                deliver(&mut own, now, transport, local, &bytes);
            }
        }
        assert!(effects < 40_000, "{effects}");
        relayed.is_some()
    });
    let count = allocated.iter().filter(|(_, allocated)| *allocated).count();
    assert!(count > 100, "it got somewhere, nevertheless: {count}");
}

fn place(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn deliver(own: &mut Allocations, now: Timestamp, transport: Transport, local: SocketAddr, bytes: &[u8]) {
    match transport {
        Transport::Udp => {
            own.receive(now, TURN_AT, local, bytes);
        }
        Transport::Tcp => (1..20).for_each(|stream| own.stream_bytes(now, stream, bytes)),
    }
}
