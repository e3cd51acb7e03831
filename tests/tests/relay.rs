//! Where no datagram gets from one side to the other, the rendezvous carries them; and only there, and only if it may.
#![cfg(target_os = "linux")]

use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::host::HostNotice;
use beach_core::ice::relay::{self, Relayed};
use beach_core::id::{LinkId, SessionId, SessionName};
use beach_core::machine::Machine as _;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::{
    ADDRESS_JOIN_RATE, ADDRESS_LINKS, ADDRESS_REGISTER_BURST, ADDRESS_REGISTER_RATE, ADDRESS_RELAY_BURST,
    ADDRESS_RELAY_RATE, GRACE, JOIN_BURST, JOIN_RATE, MAX_SESSIONS, NODE_RELAY_BURST, NODE_RELAY_RATE, RELAY_BURST,
    RELAY_RATE, Rendezvous, RendezvousInput, RendezvousOutput, UNUSED_GRACE,
};
use beach_core::role::Role;
use beach_core::session::address::AddressClass;
use beach_core::session::handshake::Stage;
use beach_core::session::link::{PathKind, Refusal};
use beach_core::side::Side;
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerNotice};
use beach_core::wire::signal::{
    FromRendezvous, IceUrl, Opaque, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text,
};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types, noise_then_quiet};
use beach_tests::sim::{
    Altered, Change, HostPlan, ViewerPlan, Who, Wire, World, fake_engine, for_each_seed, host_secrets, ms, real, secs,
    shows,
};
use sha2::{Digest as _, Sha256};

const FILE: &str = "relay";

/// A host and a viewer that take such paths; whether datagrams get through between them.
fn pair<E: Engine>(mut world: World<E>, paths: [Paths; 2], udp: bool) -> World<E> {
    let mut host = HostPlan::new(1);
    host.paths = paths[0];
    world.add_host(host);
    let mut viewer = ViewerPlan::of(1, Role::Control);
    viewer.paths = paths[1];
    world.add_viewer(viewer);
    world.cut(Who::Viewer(0), !udp);
    world
}

/// Whether each path that the viewer was told of is relayed.
fn paths_told<E: Engine>(world: &World<E>) -> Vec<bool> {
    let path = |notice: &ViewerNotice| {
        if let ViewerNotice::Connected(path) | ViewerNotice::Path(path) = notice {
            Some(path.kind == PathKind::Relay)
        } else {
            None
        }
    };
    world.viewers[0].notices.iter().filter_map(|(_, notice)| path(notice)).collect()
}

fn works_without_udp<E: Engine>(world: World<E>) {
    let mut world = pair(world, [Paths::Any; 2], false);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    assert_eq!(paths_told(&world), [true]);
}

#[test]
fn without_udp_between_them_two_sides_meet_through_the_rendezvous() {
    let test = "without_udp_between_them_two_sides_meet_through_the_rendezvous";
    for_each_seed(FILE, test, 0..100, |seed| works_without_udp(World::new(seed, fake_engine)));
}

#[test]
fn so_they_do_over_the_real_engine() {
    for_each_seed(FILE, "so_they_do_over_the_real_engine", 0..10, |seed| {
        determinism::run(seed, move || works_without_udp(real::world(seed)));
    });
}

#[test]
fn where_datagrams_get_through_they_go_directly() {
    for_each_seed(FILE, "where_datagrams_get_through_they_go_directly", 0..10, |seed| {
        determinism::run(seed, move || {
            let mut world = pair(real::world(seed), [Paths::Any; 2], true);
            everyone_joins(&mut world, secs(2)).unwrap_or_else(|who| panic!("{who}"));
            everyone_types(&mut world);
            let before = world.relayed.len();
            noise_then_quiet(&mut world);
            assert_eq!(paths_told(&world), [false]);
            // The relay carries only checks of its own path.
            assert!(world.relayed[before..].iter().all(|(_, length)| *length < 200), "{:?}", world.relayed);
        });
    });
}

#[test]
fn who_wants_the_relay_only_sends_no_datagram_and_is_sent_none() {
    for paths in [[Paths::RelayOnly, Paths::Any], [Paths::Any, Paths::RelayOnly]] {
        determinism::run(5, move || {
            let mut world = pair(real::world(5), paths, true);
            everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
            everyone_types(&mut world);
            assert_eq!((paths_told(&world), world.viewers[0].bytes_sent), (vec![true], 0));
        });
    }
}

#[test]
fn who_takes_direct_paths_only_fails_where_there_is_none_and_says_at_which_step() {
    for paths in [[Paths::DirectOnly, Paths::Any], [Paths::Any, Paths::DirectOnly]] {
        let mut world = pair(World::new(6, fake_engine), paths, false);
        fails_checking_paths(&mut world);
        assert_eq!(world.relayed.len(), 0);
    }
}

#[test]
fn a_rendezvous_that_relays_nothing_says_so() {
    let mut world = pair(World::new(7, fake_engine).without_relay(), [Paths::Any; 2], false);
    fails_checking_paths(&mut world);
    assert_eq!(world.relayed.len(), 0);
}

fn fails_checking_paths<E: Engine>(world: &mut World<E>) {
    world.run_until(secs(60), |world| world.viewers[0].exit.is_some());
    let exit = world.viewers[0].exit.as_ref().map(|(_, exit)| exit);
    let Some(ViewerExit::Failed(failure)) = exit else { panic!("{exit:?}: {}", world.story(0)) };
    assert_eq!(failure.stage, Stage::CheckingPaths);
}

#[test]
fn a_viewer_that_loses_the_rendezvous_is_back_before_its_link_is_given_up() {
    determinism::run(8, || {
        let mut world = pair(real::world(8), [Paths::Any; 2], false);
        everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
        for round in 1..=3 {
            world.break_signal(if round == 2 { Who::Host(0) } else { Who::Viewer(0) });
            world.run_for(ms(50));
            world.type_keys(0, &format!("\x0cecho $(({round}*111))\r"));
            let product = (round * 111).to_string();
            let seen = world.run_until(secs(12), |world| shows(world.viewers[0].node.machine().screen(), &product));
            assert!(seen, "round {round}: {}", world.story(0));
        }
        world.kill_rendezvous();
        world.run_for(secs(2));
        world.start_rendezvous();
        world.type_keys(0, "\x0cecho $((4*111))\r");
        let seen = world.run_until(secs(12), |world| shows(world.viewers[0].node.machine().screen(), "444"));
        assert!(seen, "after a restart: {}", world.story(0));
    });
}

/// Long enough for the paths that are not in use to rest.
const REST: Duration = secs(20);

#[test]
fn an_idle_session_checks_one_path_and_wakes_up_less_than_twice_a_second() {
    let test = "an_idle_session_checks_one_path_and_wakes_up_less_than_twice_a_second";
    for paths in [Paths::Any, Paths::DirectOnly] {
        for_each_seed(FILE, test, 0..10, |seed| {
            determinism::run(seed, move || {
                let mut world = pair(real::world(seed).with_dual_stack(), [paths; 2], true);
                everyone_joins(&mut world, secs(2)).unwrap_or_else(|who| panic!("{who}"));
                everyone_types(&mut world);
                world.run_for(REST);
                let both = [Who::Host(0), Who::Viewer(0)];
                let (before, relayed) = (both.map(|who| world.turns(who)), world.relayed.len());
                world.run_for(secs(60));
                let turns: Vec<_> =
                    both.into_iter().zip(before).map(|(who, before)| world.turns(who) - before).collect();
                println!("{paths:?}, seed {seed}: {turns:?} turns in a minute");
                assert!(turns.iter().all(|turns| *turns <= 90), "{turns:?} turns in a minute");
                assert_eq!(world.relayed.len(), relayed, "the relay rests");
                noise_then_quiet(&mut world);
                assert!(!paths_told(&world).contains(&true));
            });
        });
    }
}

/// How the direct path may fail.
#[derive(Clone, Copy, Debug)]
enum Cut {
    BothWays,
    FromHost,
    FromViewer,
}

fn cut<E: Engine>(world: &mut World<E>, how: Cut, is_cut: bool) {
    match how {
        Cut::BothWays => world.cut(Who::Viewer(0), is_cut),
        Cut::FromHost => world.mute(Who::Host(0), is_cut),
        Cut::FromViewer => world.mute(Who::Viewer(0), is_cut),
    }
}

/// Types a command, and returns how long it took until the viewer saw the shell's answer.
fn answered_within<E: Engine>(world: &mut World<E>, number: u64) -> Duration {
    let before = world.now();
    world.type_keys(0, &format!("\x0cecho $(({number}*3))\r"));
    let product = (number * 3).to_string();
    let seen = world.run_until(secs(20), |world| shows(world.viewers[0].node.machine().screen(), &product));
    assert!(seen, "{product}: {}", world.story(0));
    world.now() - before
}

/// Cuts the direct path of a session in use, and mends it: how long typing stood still, and until the session went
/// directly again.
fn cut_and_mended<E: Engine>(
    seed: u64,
    how: Cut,
    loss: u64,
    quiet: Duration,
    world: impl FnOnce() -> World<E> + Send + 'static,
) -> (Duration, Duration) {
    determinism::run(seed, move || {
        let mut world = world();
        let mut host = HostPlan::new(1);
        host.paths = Paths::Any;
        world.add_host(host);
        let mut viewer = ViewerPlan::of(1, Role::Control);
        (viewer.paths, viewer.wire.loss) = (Paths::Any, loss);
        world.add_viewer(viewer);
        everyone_joins(&mut world, secs(10)).unwrap_or_else(|who| panic!("{who}"));
        let phase = world.dice.up_to(secs(8));
        world.run_for(quiet + phase);
        let last = world.relayed.last().map(|(at, _)| *at);
        let rests = last.is_none_or(|last| last + secs(4) <= world.now());
        assert!(rests || quiet < REST || loss > 0, "the relay carried something at {last:?}");
        answered_within(&mut world, 1000);
        cut(&mut world, how, true);
        let mut worst = answered_within(&mut world, 2000);
        for number in 2001..2012 {
            let pause = world.dice.up_to(secs(3));
            world.run_for(pause);
            worst = worst.max(answered_within(&mut world, number));
        }
        assert_eq!(paths_told(&world).last(), Some(&true), "{}", world.story(0));
        cut(&mut world, how, false);
        let mended = world.now();
        // Which way the session goes shows when something is said.
        for number in 2500..2560 {
            if paths_told(&world).last() == Some(&false) {
                break;
            }
            answered_within(&mut world, number);
            world.run_for(ms(500));
        }
        let healed = world.now() - mended;
        answered_within(&mut world, 3000);
        noise_then_quiet(&mut world);
        (worst, healed)
    })
}

#[test]
fn a_cut_of_the_direct_path_is_hardly_felt_and_mended_it_is_taken_again() {
    let test = "a_cut_of_the_direct_path_is_hardly_felt_and_mended_it_is_taken_again";
    let ways = [(Cut::BothWays, 0), (Cut::BothWays, 5), (Cut::FromHost, 0), (Cut::FromViewer, 0)];
    for ((how, loss), quiet) in ways.into_iter().flat_map(|way| [(way, secs(0)), (way, REST)]) {
        let done =
            for_each_seed(FILE, test, 0..20, |seed| cut_and_mended(seed, how, loss, quiet, move || real::world(seed)));
        let mut worst: Vec<Duration> = done.iter().map(|(_, (worst, _))| *worst).collect();
        let mut healed: Vec<Duration> = done.iter().map(|(_, (_, healed))| *healed).collect();
        worst.sort();
        healed.sort();
        let at = |list: &[Duration], percent: usize| list[(list.len() * percent / 100).min(list.len() - 1)];
        let line = format!(
            "{how:?}, {loss} % loss, quiet for {quiet:?}: still for {:?} (p50), {:?} (p95); direct again after {:?} \
             (p50), {:?} (worst)",
            at(&worst, 50),
            at(&worst, 95),
            at(&healed, 50),
            at(&healed, 100)
        );
        println!("{line}");
        assert!(at(&worst, 95) <= ms(1500) && at(&healed, 100) <= secs(10), "{line}");
    }
}

#[test]
fn a_cut_is_hardly_felt_too_when_only_one_side_lets_its_spare_paths_rest() {
    let test = "a_cut_is_hardly_felt_too_when_only_one_side_lets_its_spare_paths_rest";
    for (older, how) in [Who::Host(0), Who::Viewer(0)]
        .into_iter()
        .flat_map(|who| [Cut::BothWays, Cut::FromHost, Cut::FromViewer].map(|how| (who, how)))
    {
        let world = move |seed| {
            real::world_of(seed, move |who, start| {
                let change = if who == older { Change::PathsNeverRest } else { Change::Nothing };
                Altered(real::engine(who, start), change)
            })
        };
        for_each_seed(FILE, test, 0..10, |seed| {
            // The older side's pair of the relay has long been given up by then.
            let (worst, healed) = cut_and_mended(seed, how, 0, secs(60), move || world(seed));
            println!("{older:?} is older, {how:?}: still for {worst:?}, direct again after {healed:?}");
            assert!(worst <= ms(1500) && healed <= secs(10), "{older:?}, {how:?}: {worst:?}, {healed:?}");
        });
    }
}

/// A join over a way of 100 ms there and back, the rendezvous half-way.
fn joined_within(seed: u64, loss: u64) -> Duration {
    determinism::run(seed, move || {
        let mut world = real::world(seed);
        let mut host = HostPlan::new(1);
        (host.paths, host.signal) = (Paths::Any, Wire::steady(ms(25)));
        world.add_host(host);
        let mut viewer = ViewerPlan::of(1, Role::Control);
        (viewer.paths, viewer.signal) = (Paths::Any, Wire::steady(ms(25)));
        (viewer.wire, viewer.at) = (Wire { loss, ..Wire::steady(ms(50)) }, secs(1));
        world.add_viewer(viewer);
        everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"))
    })
}

#[test]
fn with_a_relay_a_lossy_way_makes_nobody_wait_long_for_the_first_screen() {
    let test = "with_a_relay_a_lossy_way_makes_nobody_wait_long_for_the_first_screen";
    for (loss, at_most) in [(0, secs(1)), (5, secs(2)), (20, secs(5))] {
        let mut took: Vec<_> = for_each_seed(FILE, test, 0..100, |seed| joined_within(seed, loss))
            .into_iter()
            .map(|(_, took)| took)
            .collect();
        took.sort();
        let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
        let line = format!("{loss} % loss: {:?} (p50), {:?} (p95), {:?} (worst)", at(50), at(95), at(100));
        println!("{line}");
        assert!(at(95) <= at_most, "{line}");
    }
}

/// A person types for a minute, fast or slowly, while one datagram in five is lost. What is heard directly says that
/// the path lives, though some of its checks stay unanswered; over the relay, TCP would hold keys up for each lost
/// segment.
#[test]
fn loss_alone_moves_nobody_to_the_relay() {
    for_each_seed(FILE, "loss_alone_moves_nobody_to_the_relay", 0..10, |seed| {
        let every = if seed % 2 == 0 { ms(60) } else { secs(1) };
        determinism::run(seed, move || {
            let mut world = pair(real::world(seed), [Paths::Any; 2], true);
            everyone_joins(&mut world, secs(2)).unwrap_or_else(|who| panic!("{who}"));
            world.viewers[0].wire.loss = 20;
            for _ in 0..60_000 / every.as_millis() {
                world.type_keys(0, "k");
                world.run_for(every);
            }
            assert_eq!(paths_told(&world), [false]);
            let moved = world.hosts[0].notices.iter().find(|(_, notice)| matches!(notice, HostNotice::Path(..)));
            assert!(moved.is_none(), "the host moved: {moved:?}");
        });
    });
}

// The rendezvous alone.

struct Desk {
    rendezvous: Rendezvous,
    now: Timestamp,
}

const LINK: LinkId = LinkId(9);

impl Desk {
    /// A rendezvous with a session whose host is connection 1, and a link of it whose viewer is connection 2.
    /// Connection 3 is a stranger.
    fn new() -> Desk {
        let mut world = World::new(1, fake_engine);
        world.add_host(HostPlan::new(1));
        world.run_for(secs(1));
        let register = world.rendezvous_heard.first().expect("a host registers").clone();
        let mut desk = Desk { rendezvous: Rendezvous::new(), now: Timestamp::ZERO };
        (1..=3).for_each(|id| drop(desk.tell(RendezvousInput::Opened(id, None))));
        desk.tell(RendezvousInput::Text(1, register));
        let session = SessionName::Full(host_secrets(1).session());
        let join = ToRendezvous::Join {
            session,
            link: LINK,
            role: Role::View,
            versions: vec![1],
            resumes: None,
            moves: false,
        };
        desk.tell(RendezvousInput::Text(2, to_text(&join)));
        desk
    }

    /// Tells the rendezvous something, and gives its texts and datagrams after that.
    fn tell(&mut self, input: RendezvousInput) -> Vec<RendezvousOutput> {
        let mut told = self.tell_all(input);
        told.retain(|output| !matches!(output, RendezvousOutput::TakesPart(_)));
        told
    }

    fn tell_all(&mut self, input: RendezvousInput) -> Vec<RendezvousOutput> {
        self.rendezvous.handle(self.now, input);
        std::iter::from_fn(|| self.rendezvous.poll()).collect()
    }

    fn relay(&mut self, from: u64, link: LinkId, datagram: &[u8]) -> Vec<RendezvousOutput> {
        self.tell(RendezvousInput::Datagram(
            from,
            Relayed { link, attempt: 1, suspect: false, needed: false, datagram }.encode(),
        ))
    }
}

#[test]
fn a_datagram_goes_to_the_other_side_of_its_link_and_to_nobody_else() {
    let mut desk = Desk::new();
    let bytes = Relayed { link: LINK, attempt: 1, suspect: false, needed: false, datagram: b"hello" }.encode();
    assert_eq!(desk.relay(1, LINK, b"hello"), [RendezvousOutput::Datagram(2, bytes.clone())]);
    assert_eq!(desk.relay(2, LINK, b"hello"), [RendezvousOutput::Datagram(1, bytes)]);
    assert_eq!(desk.relay(3, LINK, b"hello"), []);
    assert_eq!(desk.relay(2, LinkId(8), b"hello"), []);
    desk.tell(RendezvousInput::Closed(2));
    assert_eq!(desk.relay(1, LINK, b"hello"), []);
}

/// The results of this many joins, each over a connection of its own from this address.
fn join_from(desk: &mut Desk, id: u64, secrets: u64, address: &str, count: u64) -> Vec<FromRendezvous> {
    let address = address.parse().expect("an address");
    desk.tell(RendezvousInput::Opened(id, Some(address)));
    let session = SessionName::Full(host_secrets(secrets).session());
    let mut said = Vec::new();
    for number in 0..count {
        let link = LinkId(id * 10_000 + number);
        let join =
            ToRendezvous::Join { session, link, role: Role::View, versions: vec![1], resumes: None, moves: false };
        said.extend(desk.tell(RendezvousInput::Text(id, to_text(&join))));
        // The viewer leaves again, so that the session is not full.
        said.extend(desk.tell(RendezvousInput::Text(id, to_text(&ToRendezvous::Close { link }))));
    }
    let heard = said.into_iter().filter_map(|output| match output {
        RendezvousOutput::Send(_, text) => parse_from_rendezvous(&text).ok(),
        RendezvousOutput::Datagram(..)
        | RendezvousOutput::TakesPart(_)
        | RendezvousOutput::Close(_)
        | RendezvousOutput::Drained
        | RendezvousOutput::Directory(_)
        | RendezvousOutput::Pipe { .. } => None,
    });
    heard.collect()
}

#[test]
fn the_host_learns_what_kind_of_address_a_viewer_has_and_the_viewer_nothing() {
    let mut desk = Desk::new();
    let classes = [("127.0.0.1", AddressClass::Loopback), ("10.0.0.9", AddressClass::Private)];
    for (id, (address, class)) in (10..).zip(classes) {
        let heard = join_from(&mut desk, id, 1, address, 1);
        let mut told = Vec::new();
        for message in heard {
            if let FromRendezvous::Joined { from, .. } = message {
                told.push(from);
            }
        }
        assert_eq!(told, [Some(class), None]);
    }
}

/// How many joins were refused because there were too many.
fn refused(heard: &[FromRendezvous]) -> u64 {
    heard.iter().filter(|said| matches!(said, FromRendezvous::Refused { reason: Refusal::Busy, .. })).count() as u64
}

#[test]
fn who_joins_again_and_again_is_told_to_wait_by_session_and_by_address() {
    let mut desk = Desk::new();
    // The viewer that the desk has is one of them.
    assert_eq!(refused(&join_from(&mut desk, 10, 1, "192.0.2.1", JOIN_BURST - 1)), 0);
    let heard = join_from(&mut desk, 11, 1, "192.0.2.2", 5);
    assert_eq!(refused(&heard), 5, "the session's share is used up");
    let told = heard.iter().filter(|said| matches!(said, FromRendezvous::TurnedAway { count: 1 })).count();
    assert_eq!(told, 1, "the host is told, and not again at once");
    desk.now = Timestamp::from_micros(1_000_000);
    assert_eq!(
        refused(&join_from(&mut desk, 12, 1, "192.0.2.2", JOIN_RATE + 3)),
        3,
        "a second later some are let through"
    );

    // An address has no more than a session has, whichever session it is for.
    desk.tell(RendezvousInput::Opened(4, None));
    desk.tell(RendezvousInput::Text(4, to_text(&ToRendezvous::register(&host_secrets(2)))));
    desk.now = Timestamp::from_micros(20_000_000);
    assert_eq!(refused(&join_from(&mut desk, 13, 1, "2001:db8::1", JOIN_BURST - 56)), 0);
    assert_eq!(refused(&join_from(&mut desk, 14, 2, "2001:db8::2", 100)), 44, "one network is one");
    assert_eq!(refused(&join_from(&mut desk, 15, 2, "2001:db8:0:1::2", 100)), 0, "another is another");
}

/// A stranger that knows only the id cannot use up the joins of the session: the address' own allowance is asked first.
#[test]
fn an_address_that_joins_without_end_keeps_nobody_else_out_and_gets_in_ten_times_a_second() {
    let mut desk = Desk::new();
    let mut id = 10;
    let mut join = |desk: &mut Desk, address: &str, count| {
        id += 1;
        let refused = refused(&join_from(desk, id, 1, address, count));
        desk.tell(RendezvousInput::Closed(id));
        count - refused
    };
    // All of the session's own burst, but for the desk's viewer.
    assert_eq!(join(&mut desk, "192.0.2.1", JOIN_BURST - 1), JOIN_BURST - 1);
    let mut got_in = 0;
    // 300 joins a second, for ten seconds.
    for step in 1..=100 {
        desk.now = Timestamp::from_micros(step * 100_000);
        got_in += join(&mut desk, "192.0.2.1", 30);
        assert_eq!(join(&mut desk, "192.0.2.2", 1), 1, "at {}", desk.now);
    }
    assert_eq!(got_in, 10 * ADDRESS_JOIN_RATE + 1);
}

#[test]
fn an_address_has_at_most_half_of_the_links_of_a_session() {
    let mut desk = Desk::new();
    let mut join = |connection: u64, address: &str| {
        desk.tell(RendezvousInput::Opened(connection, address.parse().ok()));
        let session = SessionName::Full(host_secrets(1).session());
        (0..64)
            .take_while(|number| {
                let (link, role) = (LinkId(connection * 1000 + number), Role::View);
                let join = ToRendezvous::Join { session, link, role, versions: vec![1], resumes: None, moves: false };
                let told = desk.tell(RendezvousInput::Text(connection, to_text(&join)));
                told.iter().any(|told| matches!(told, RendezvousOutput::Send(_, text) if text.contains("joined")))
            })
            .count()
    };
    assert_eq!((10..20).map(|connection| join(connection, "2001:db8::7")).sum::<usize>(), ADDRESS_LINKS);
    assert_eq!(join(20, "192.0.2.2"), 64, "others have their place");
}

#[test]
fn an_address_registers_a_hundred_new_sessions_a_second_after_a_burst_and_keeps_those_that_it_has() {
    let mut desk = Desk::new();
    let register = |desk: &mut Desk, number: u64, address: &str| {
        desk.tell(RendezvousInput::Opened(10 + number / 5, address.parse().ok()));
        let told = desk.tell(strangers_session(number));
        told.iter().any(|told| matches!(told, RendezvousOutput::Send(_, text) if text.contains("registered")))
    };
    // Each over a connection of its own.
    let numbers = |first: u64, count: u64| (first..first + count).map(|number| number * 5);
    let accepted = numbers(0, 2000).filter(|number| register(&mut desk, *number, "192.0.2.1")).count() as u64;
    assert_eq!(accepted, ADDRESS_REGISTER_BURST);
    assert!(register(&mut desk, 20_000, "192.0.2.2"), "another address has its own");
    // The host's second connection.
    desk.tell(RendezvousInput::Opened(9000, "192.0.2.1".parse().ok()));
    let RendezvousInput::Text(_, text) = strangers_session(0) else { panic!("a text") };
    let told = desk.tell(RendezvousInput::Text(9000, text));
    assert!(format!("{told:?}").contains("registered"), "{told:?}");

    desk.now = Timestamp::from_micros(1_000_000);
    let accepted = numbers(6000, 200).filter(|number| register(&mut desk, *number, "192.0.2.1")).count() as u64;
    assert_eq!(accepted, ADDRESS_REGISTER_RATE);
}

#[test]
fn a_session_outlives_its_host_by_a_minute_but_only_by_ten_seconds_if_nobody_ever_joined() {
    let mut desk = Desk::new();
    desk.tell(RendezvousInput::Opened(4, None));
    desk.tell(RendezvousInput::Text(4, to_text(&ToRendezvous::register(&host_secrets(2)))));
    desk.now = Timestamp::from_micros(1_000_000);
    for host in [1, 4] {
        desk.tell(RendezvousInput::Closed(host));
    }
    let since = desk.now;
    for (grace, left) in [(UNUSED_GRACE, 1), (GRACE, 0)] {
        desk.tell(RendezvousInput::Tick);
        desk.now = since + (grace - ms(1));
        // The viewer that joined one of them is there.
        desk.tell(RendezvousInput::Text(2, to_text(&ToRendezvous::Ping)));
        assert_eq!(desk.rendezvous.counts().0, left + 1);
        assert_eq!(desk.rendezvous.deadline().map(|at| at <= since + grace), Some(true));
        desk.now = since + grace;
        desk.tell(RendezvousInput::Tick);
        assert_eq!(desk.rendezvous.counts().0, left);
    }
}

#[test]
fn a_connection_joins_by_64_links_at_once_and_places_are_given_again() {
    let mut desk = Desk::new();
    let join = |desk: &mut Desk, link: u64| {
        let session = SessionName::Full(host_secrets(1).session());
        let (link, role, versions) = (LinkId(link), Role::View, vec![1]);
        let join = ToRendezvous::Join { session, link, role, versions, resumes: None, moves: false };
        let told = desk.tell(RendezvousInput::Text(3, to_text(&join)));
        told.into_iter()
            .filter(|told| matches!(told, RendezvousOutput::Send(3, text) if text.contains("joined")))
            .count()
    };
    assert_eq!((100..164).map(|link| join(&mut desk, link)).sum::<usize>(), 64);
    assert_eq!(join(&mut desk, 164), 0, "one too many");
    assert_eq!(join(&mut desk, 163), 1, "one of them again");
    let close = |link| RendezvousInput::Text(3, to_text(&ToRendezvous::Close { link: LinkId(link) }));
    desk.tell(close(120));
    assert_eq!(join(&mut desk, 164), 1);
    assert_eq!(desk.rendezvous.counts().1, 65, "one is the other viewer's");
    desk.tell(RendezvousInput::Closed(3));
    assert_eq!(desk.rendezvous.counts().1, 1);
}

/// The registration of a session that nobody knows.
fn strangers_session(number: u64) -> RendezvousInput {
    let (commitment, token) = (number.to_be_bytes().repeat(4), [7; 32]);
    let id = Sha256::new().chain_update(b"beach/1").chain_update(&commitment).chain_update(Sha256::digest(token));
    let session = SessionId(id.finalize()[..16].try_into().expect("16 bytes"));
    let register =
        ToRendezvous::Register { session, commitment: Opaque(commitment), token: Opaque(token.to_vec()), turn: 0 };
    RendezvousInput::Text(10 + number / 5, to_text(&register))
}

#[test]
fn who_registers_and_leaves_again_and_again_keeps_no_host_out() {
    let mut desk = Desk::new();
    desk.tell(RendezvousInput::Closed(1));
    let count = MAX_SESSIONS as u64 * 6 / 5;
    for number in 0..count {
        let connection = 10 + number / 5;
        if number % 5 == 0 {
            desk.tell(RendezvousInput::Opened(connection, None));
        }
        let told = desk.tell(strangers_session(number));
        assert!(
            matches!(&told[..], [RendezvousOutput::Send(_, text)] if text.contains("registered")),
            "{number}: {told:?}"
        );
        if number % 5 == 4 {
            desk.tell(RendezvousInput::Closed(connection));
        }
    }
    assert_eq!(desk.rendezvous.counts().0, MAX_SESSIONS);

    // Of sessions without host, those make room last that somebody joined.
    desk.tell(RendezvousInput::Opened(4, None));
    let told = desk.tell(RendezvousInput::Text(4, to_text(&ToRendezvous::register(&host_secrets(1)))));
    let heard =
        |word: &str| told.iter().any(|told| matches!(told, RendezvousOutput::Send(4, text) if text.contains(word)));
    assert!(heard("registered") && heard("joined"), "{told:?}");
}

#[test]
fn sessions_whose_hosts_are_there_make_no_room() {
    let mut desk = Desk::new();
    for number in 0..MAX_SESSIONS as u64 {
        if number % 5 == 0 {
            desk.tell(RendezvousInput::Opened(10 + number / 5, None));
        }
        desk.tell(strangers_session(number));
    }
    let told = desk.tell(strangers_session(MAX_SESSIONS as u64 - 1));
    assert!(matches!(&told[..], [RendezvousOutput::Send(_, text)] if text.contains("full")), "{told:?}");
    assert_eq!(desk.rendezvous.counts().0, MAX_SESSIONS);
}

#[test]
fn a_viewer_that_joins_again_after_credentials_were_renewed_is_the_same_viewer() {
    let mut desk = Desk::new();
    let new = IceUrl("turn:2:new@192.0.2.1:3478?transport=udp".to_owned());
    desk.tell(RendezvousInput::Ice(vec![new.clone()].into()));
    let session = SessionName::Full(host_secrets(1).session());
    let join =
        |role, versions, resumes| ToRendezvous::Join { session, link: LINK, role, versions, resumes, moves: false };
    let mut again = |join| {
        let told = desk.tell(RendezvousInput::Text(3, to_text(&join)));
        let [RendezvousOutput::Send(3, text)] = &told[..] else { panic!("{told:?}") };
        parse_from_rendezvous(text).expect("it makes sense")
    };
    let full = FromRendezvous::Refused { link: Some(LINK), reason: Refusal::Full };
    assert_eq!(again(join(Role::Control, vec![1], None)), full, "another role");
    assert_eq!(again(join(Role::View, vec![2], None)), full, "other versions");
    assert_eq!(again(join(Role::View, vec![1], Some(LinkId(8)))), full, "another place");
    let joined = again(join(Role::View, vec![1], None));
    assert!(matches!(&joined, FromRendezvous::Joined { ice, .. } if *ice == [new]), "{joined:?}");
    assert!(matches!(desk.relay(1, LINK, b"hello")[..], [RendezvousOutput::Datagram(3, _)]), "its connection now");
}

#[test]
fn a_connection_that_takes_no_part_is_closed_after_ten_seconds_unless_it_asks_for_one() {
    let mut desk = Desk::new();
    let close = |id| RendezvousOutput::Close(id);
    let join = |secrets, link| {
        let (session, link, role) = (SessionName::Full(host_secrets(secrets).session()), LinkId(link), Role::View);
        let join = ToRendezvous::Join { session, link, role, versions: vec![1], resumes: None, moves: false };
        RendezvousInput::Text(5, to_text(&join))
    };
    desk.tell(RendezvousInput::Opened(4, None));
    desk.tell(RendezvousInput::Opened(5, None));
    desk.now = desk.now + secs(9);
    // A ping is no part; a join is asked for in vain.
    desk.tell(RendezvousInput::Text(4, to_text(&ToRendezvous::Ping)));
    assert!(format!("{:?}", desk.tell_all(join(2, 50))).contains("no_session"));
    desk.now = desk.now + secs(1);
    assert_eq!(desk.rendezvous.deadline(), Some(desk.now));
    assert_eq!(desk.tell(RendezvousInput::Tick), [close(3), close(4)], "the desk's stranger, and this one");
    desk.now = desk.now + ms(8_999);
    let told = desk.tell_all(join(1, 51));
    assert!(told.contains(&RendezvousOutput::TakesPart(5)), "{told:?}");
    assert!(!desk.tell_all(join(1, 52)).contains(&RendezvousOutput::TakesPart(5)), "said once");
    desk.now = desk.now + secs(60);
    assert!(!desk.tell(RendezvousInput::Tick).contains(&close(5)));
}

#[test]
fn nonsense_is_dropped_and_whoever_goes_on_with_it_too() {
    let mut desk = Desk::new();
    for bytes in [vec![], vec![0; relay::HEAD], vec![0; relay::HEAD + relay::MAX_DATAGRAM + 1]] {
        assert_eq!(desk.tell(RendezvousInput::Datagram(3, bytes)), []);
    }
    let closed = (0..8).flat_map(|_| desk.tell(RendezvousInput::Datagram(3, vec![1]))).collect::<Vec<_>>();
    assert_eq!(closed, [RendezvousOutput::Close(3)]);
}

#[test]
fn a_session_has_no_more_relayed_than_it_may() {
    let mut desk = Desk::new();
    let full = [7; relay::MAX_DATAGRAM];
    let each = (full.len() + relay::HEAD) as u64;
    let mut passed = 0;
    // For ten seconds, twenty times as much as is allowed.
    for step in 0..1000 {
        desk.now = Timestamp::from_micros(step * 10_000);
        for _ in 0..RELAY_RATE / 5 / each {
            passed += desk.relay(1, LINK, &full).len() as u64 * each;
        }
    }
    let most = RELAY_BURST + RELAY_RATE * 10;
    assert!((most * 9 / 10..=most).contains(&passed), "{passed} of {most} bytes");
    assert!(desk.rendezvous.dropped() > 0);
}

/// Sessions that an address has with itself, each of the host `connection` and of a link of the same number.
fn own_sessions(desk: &mut Desk, connections: std::ops::Range<u64>, address: &str) {
    for connection in connections {
        let (host, viewer) = (connection, connection + 1_000_000);
        for id in [host, viewer] {
            desk.tell(RendezvousInput::Opened(id, address.parse().ok()));
        }
        let RendezvousInput::Text(_, register) = strangers_session(connection) else { panic!("a text") };
        let Ok(ToRendezvous::Register { session, .. }) = parse_to_rendezvous(&register) else { panic!("{register}") };
        desk.tell(RendezvousInput::Text(host, register));
        let (session, link, role) = (SessionName::Full(session), LinkId(connection), Role::View);
        let join = ToRendezvous::Join { session, link, role, versions: vec![1], resumes: None, moves: false };
        desk.tell(RendezvousInput::Text(viewer, to_text(&join)));
    }
}

/// How many bytes pass when each of these hosts sends as much as a session may have, a hundred times a second for
/// two seconds, and how many at most of a further session, which sends its share.
fn flood(desk: &mut Desk, hosts: std::ops::Range<u64>) -> (u64, u64) {
    let full = [7; relay::MAX_DATAGRAM];
    let each = (full.len() + relay::HEAD) as u64;
    let (mut passed, mut others) = (0, 0);
    for step in 1..=200 {
        desk.now = Timestamp::from_micros(step * 10_000);
        for host in hosts.clone() {
            // At first the burst, too.
            let most = if step == 1 { RELAY_BURST } else { RELAY_RATE / 100 };
            passed += (0..most / each).map(|_| desk.relay(host, LinkId(host), &full).len() as u64 * each).sum::<u64>();
        }
        others += (0..RELAY_RATE / 100 / each).map(|_| desk.relay(1, LINK, &full).len() as u64 * each).sum::<u64>();
    }
    (passed, others)
}

#[test]
fn an_address_has_no_more_relayed_than_it_may_over_all_sessions_and_others_lose_nothing() {
    let mut desk = Desk::new();
    own_sessions(&mut desk, 100..120, "192.0.2.1");
    let (passed, others) = flood(&mut desk, 100..120);
    let most = ADDRESS_RELAY_BURST + ADDRESS_RELAY_RATE * 2;
    assert!((most * 9 / 10..=most).contains(&passed), "{passed} of {most} bytes");
    let each = (relay::MAX_DATAGRAM + relay::HEAD) as u64;
    assert_eq!(others, 200 * (RELAY_RATE / 100 / each) * each);
}

#[test]
fn all_together_have_no_more_relayed_than_one_rendezvous_can_bear() {
    let mut desk = Desk::new();
    for address in 0..12 {
        own_sessions(&mut desk, 100 + address * 20..120 + address * 20, &format!("192.0.2.{address}"));
    }
    let (passed, others) = flood(&mut desk, 100..340);
    let most = NODE_RELAY_BURST + NODE_RELAY_RATE * 2;
    assert!((most * 9 / 10..=most).contains(&(passed + others)), "{passed} and {others} of {most} bytes");
}

#[test]
fn the_ends_of_a_link_are_addresses_of_nobody() {
    for side in [Side::Host, Side::Viewer] {
        assert!(relay::is_relayed(relay::address(LINK, side)));
    }
}

#[test]
fn a_rendezvous_that_shall_end_lets_handshakes_end_first_but_not_for_ever() {
    let mut desk = Desk::new();
    let envelope = |desk: &mut Desk| {
        let message = to_text(&ToRendezvous::Envelope { link: LINK, data: Opaque(vec![1]) });
        desk.rendezvous.handle(desk.now, RendezvousInput::Text(2, message));
        std::iter::from_fn(|| desk.rendezvous.poll()).any(|output| output == RendezvousOutput::Drained)
    };
    assert!(!envelope(&mut desk));
    desk.rendezvous.handle(desk.now, RendezvousInput::Drain);
    let started = desk.now;
    while !envelope(&mut desk) {
        assert_eq!(desk.rendezvous.deadline().map(|at| at <= desk.now + secs(10)), Some(true));
        desk.now = desk.now + secs(1);
    }
    assert_eq!(desk.now - started, secs(10), "as long as handshakes go on");

    let mut desk = Desk::new();
    assert!(!envelope(&mut desk));
    desk.rendezvous.handle(desk.now, RendezvousInput::Drain);
    desk.now = desk.now + secs(2);
    desk.rendezvous.handle(desk.now, RendezvousInput::Tick);
    assert_eq!(desk.rendezvous.poll(), Some(RendezvousOutput::Drained), "when they are quiet");
}
