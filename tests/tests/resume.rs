//! Partitions, sleeps and restarts: members come back by themselves, their typing of meanwhile arrives once, and the
//! screens are the same.
#![cfg(target_os = "linux")]

use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::host::{HostInput, HostNotice};
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::Cause;
use beach_core::session::link::{Event, LinkDown};
use beach_core::viewer::{ViewerExit, ViewerInput, ViewerNotice};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, noise_then_quiet, quiet};
use beach_tests::sim::{HostPlan, ViewerPlan, Who, World, fake_engine, for_each_seed, ms, real, secs, shows};

const FILE: &str = "resume";

fn pair<E: Engine>(mut world: World<E>, paths: Paths) -> World<E> {
    let mut host = HostPlan::new(1);
    host.paths = paths;
    world.add_host(host);
    let mut viewer = ViewerPlan::of(1, Role::Control);
    viewer.paths = paths;
    world.add_viewer(viewer);
    everyone_joins(&mut world, secs(10)).unwrap_or_else(|who| panic!("{who}"));
    world
}

/// Types a little now and then, for this long; adds the text to `typed`.
fn types<E: Engine>(world: &mut World<E>, typed: &mut String, span: Duration) {
    let end = world.now() + span;
    while world.now() < end {
        let keys = format!("echo {}\r", world.dice.between(1000, 9999));
        world.type_keys(0, &keys);
        typed.push_str(&keys);
        let pause = (world.dice.up_to(ms(900)) + ms(10)).min(end.since(world.now()));
        world.run_for(pause);
    }
}

/// Types a multiplication, and says how long it takes until the product is seen.
fn product_seen<E: Engine>(world: &mut World<E>, typed: &mut String, within: Duration) -> Duration {
    let number = world.dice.between(1000, 9999);
    let keys = format!("\x0cecho $(({number}*1001))\r");
    typed.push_str(&keys);
    let before = world.now();
    world.type_keys(0, &keys);
    let product = (number * 1001).to_string();
    let seen = world.run_until(within, |world| shows(world.viewers[0].node.machine().screen(), &product));
    assert!(seen, "{product} is not seen: {}; host: {:?}", world.story(0), world.hosts[0].notices);
    world.now() - before
}

fn arrived_once<E: Engine>(world: &World<E>, typed: &str) {
    let written = String::from_utf8_lossy(&world.hosts[0].written);
    assert_eq!(written, typed, "what the program was given");
}

fn count<E: Engine>(world: &World<E>, which: impl Fn(&ViewerNotice) -> bool) -> usize {
    world.viewers[0].notices.iter().filter(|(_, notice)| which(notice)).count()
}

/// Events of a session.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// For this long nothing gets through, neither to the host nor to the rendezvous.
    Partition(Duration),
    /// Nothing of what the host sends arrives, and the rendezvous is out of reach.
    OneWay(Duration),
    /// The viewer's machine sleeps.
    ViewerSleeps(Duration),
    /// The host's does.
    HostSleeps(Duration),
    /// Somebody has another address; the connection to the rendezvous is lost with the old one, unnoticed.
    Moves(Who),
    /// A router forgets the port that it gave somebody, and gives another.
    Rebound(Who),
}

/// How long it took until the viewer saw an answer again.
fn survives<E: Engine>(mut world: World<E>, paths: Paths, trouble: Trouble) -> Duration {
    world = pair(world, paths);
    let mut typed = String::new();
    types(&mut world, &mut typed, secs(2));
    let both = [Who::Host(0), Who::Viewer(0)];
    match trouble {
        Trouble::Partition(span) => {
            world.cut(Who::Viewer(0), true);
            world.shut_out(Who::Viewer(0), true);
            world.break_signal(Who::Viewer(0));
            types(&mut world, &mut typed, span);
            world.cut(Who::Viewer(0), false);
            world.shut_out(Who::Viewer(0), false);
        }
        Trouble::OneWay(span) => {
            world.mute(Who::Host(0), true);
            both.into_iter().for_each(|who| world.shut_out(who, true));
            both.into_iter().for_each(|who| world.break_signal(who));
            types(&mut world, &mut typed, span);
            world.mute(Who::Host(0), false);
            both.into_iter().for_each(|who| world.shut_out(who, false));
        }
        Trouble::Moves(who) => world.move_away(who),
        Trouble::Rebound(who) => world.rebind(who),
        Trouble::ViewerSleeps(span) | Trouble::HostSleeps(span) => {
            let who = if let Trouble::HostSleeps(_) = trouble { Who::Host(0) } else { Who::Viewer(0) };
            world.freeze(who);
            world.run_for(span);
            world.thaw(who);
        }
    }
    let took = product_seen(&mut world, &mut typed, secs(40));
    types(&mut world, &mut typed, secs(1));
    let all = typed.len();
    world.run_until(secs(10), |world| world.hosts[0].written.len() >= all);
    arrived_once(&world, &typed);
    noise_then_quiet(&mut world);
    let away = |world: &World<E>| {
        world.viewers[0].notices.iter().filter(|(_, notice)| matches!(notice, ViewerNotice::Away(_))).count()
    };
    let before = away(&world);
    world.run_for(secs(30));
    assert_eq!(away(&world), before, "it stays: {}", world.story(0));
    let members = world.hosts[0].notices.iter().filter(|(_, notice)| matches!(notice, HostNotice::Joined(..))).count();
    assert_eq!((members, world.hosts[0].node.machine().members()), (1, 1), "it is the same member");
    took
}

fn report(what: &str, mut took: Vec<Duration>, p95: Duration) {
    took.sort();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    let line = format!("{what}: answered after {:?} (p50), {:?} (p95), {:?} (worst)", at(50), at(95), at(100));
    println!("{line}");
    assert!(at(95) <= p95, "{line}");
}

fn each(test: &str, seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Duration + Sync) -> Vec<Duration> {
    for_each_seed(FILE, test, seeds, one).into_iter().map(|(_, took)| took).collect()
}

/// Whole seconds from 1 to 60, by the seed.
fn span(seed: u64) -> Duration {
    secs(1 + seed * 7 % 60)
}

#[test]
fn a_partition_of_up_to_a_minute_loses_nothing_and_nobody() {
    let test = "a_partition_of_up_to_a_minute_loses_nothing_and_nobody";
    for paths in [Paths::Any, Paths::DirectOnly] {
        let took =
            each(test, 0..500, |seed| survives(World::new(seed, fake_engine), paths, Trouble::Partition(span(seed))));
        report(&format!("partition, {paths:?}"), took, secs(14));
    }
}

#[test]
fn nor_does_one_that_cuts_one_direction_only() {
    let test = "nor_does_one_that_cuts_one_direction_only";
    let took =
        each(test, 0..200, |seed| survives(World::new(seed, fake_engine), Paths::Any, Trouble::OneWay(span(seed))));
    report("one way", took, secs(14));
}

#[test]
fn so_it_is_over_the_real_engine() {
    let test = "so_it_is_over_the_real_engine";
    let took = each(test, 0..100, |seed| {
        let paths = if seed % 2 == 0 { Paths::Any } else { Paths::DirectOnly };
        let trouble = if seed % 3 == 0 { Trouble::OneWay(span(seed)) } else { Trouble::Partition(span(seed)) };
        determinism::run(seed, move || survives(real::world(seed), paths, trouble))
    });
    report("real engine", took, secs(14));
}

#[test]
fn who_slept_is_back_two_seconds_after_waking() {
    let test = "who_slept_is_back_two_seconds_after_waking";
    for slept in [secs(10), secs(60), secs(300), secs(599)] {
        for paths in [Paths::Any, Paths::DirectOnly] {
            let took = each(test, 0..20, |seed| {
                survives(World::new(seed, fake_engine), paths, Trouble::ViewerSleeps(slept + ms(seed * 37)))
            });
            report(&format!("the viewer sleeps for {slept:?}, {paths:?}"), took, secs(2));
        }
    }
    for slept in [secs(10), secs(60), secs(300)] {
        let took = each(test, 0..20, |seed| {
            survives(World::new(seed, fake_engine), Paths::Any, Trouble::HostSleeps(slept + ms(seed * 37)))
        });
        report(&format!("the host sleeps for {slept:?}"), took, secs(14));
    }
}

#[test]
fn so_they_are_over_the_real_engine() {
    let test = "so_they_are_over_the_real_engine";
    let took = each(test, 0..20, |seed| {
        let (paths, slept) = if seed % 2 == 0 { (Paths::Any, secs(60)) } else { (Paths::DirectOnly, secs(480)) };
        determinism::run(seed, move || survives(real::world(seed), paths, Trouble::ViewerSleeps(slept + ms(seed * 37))))
    });
    report("the viewer sleeps, real engine", took, secs(2));
}

#[test]
fn who_sleeps_longer_than_its_place_is_kept_comes_as_a_new_member_with_the_screen_it_has() {
    let test = "who_sleeps_longer_than_its_place_is_kept_comes_as_a_new_member_with_the_screen_it_has";
    let took = each(test, 0..20, |seed| {
        let mut world = pair(World::new(seed, fake_engine), Paths::Any);
        let mut typed = String::new();
        types(&mut world, &mut typed, secs(2));
        world.type_keys(0, "lines 40\r");
        typed.push_str("lines 40\r");
        world.run_for(secs(2));
        world.freeze(Who::Viewer(0));
        world.run_for(secs(8 * 3600));
        world.thaw(Who::Viewer(0));
        let took = product_seen(&mut world, &mut typed, secs(20));
        arrived_once(&world, &typed);
        assert_eq!(count(&world, |notice| matches!(notice, ViewerNotice::Forgotten(true))), 0);
        noise_then_quiet(&mut world);
        took
    });
    report("the viewer sleeps for 8 h", took, secs(5));
}

#[test]
fn lines_printed_meanwhile_come_too() {
    for_each_seed(FILE, "lines_printed_meanwhile_come_too", 0..20, |seed| {
        let mut world = pair(World::new(seed, fake_engine), Paths::DirectOnly);
        world.cut(Who::Viewer(0), true);
        for line in 0..world.dice.between(50, 900) {
            world.host_input(0, HostInput::Printed(format!("line {line}\r\n").into_bytes()));
            world.run_for(ms(20));
        }
        world.run_for(secs(20));
        world.cut(Who::Viewer(0), false);
        world.run_for(secs(15));
        quiet(&mut world);
        assert_eq!(count(&world, |notice| matches!(notice, ViewerNotice::Back(_))), 1, "{}", world.story(0));
    });
}

#[test]
fn who_comes_back_and_says_nothing_stays() {
    let idle = |mut world: World<_>| {
        world.cut(Who::Viewer(0), true);
        world.run_for(secs(60));
        world.cut(Who::Viewer(0), false);
        world.run_for(secs(300));
        let away = |notice: &HostNotice| matches!(notice, HostNotice::Away(..));
        assert_eq!(world.hosts[0].notices.iter().filter(|(_, notice)| away(notice)).count(), 1, "{}", world.story(0));
        assert_eq!(count(&world, |notice| matches!(notice, ViewerNotice::Back(_))), 1, "{}", world.story(0));
        assert_eq!(world.hosts[0].node.machine().members(), 1);
    };
    idle(pair(World::new(1, fake_engine), Paths::DirectOnly));
    let idle = |mut world: World<_>| {
        world.freeze(Who::Viewer(0));
        world.run_for(secs(60));
        world.thaw(Who::Viewer(0));
        world.run_for(secs(300));
        let away = |notice: &HostNotice| matches!(notice, HostNotice::Away(..));
        assert_eq!(world.hosts[0].notices.iter().filter(|(_, notice)| away(notice)).count(), 1, "{}", world.story(0));
        assert_eq!(world.hosts[0].node.machine().members(), 1);
    };
    determinism::run(1, move || idle(pair(real::world(1), Paths::Any)));
}

#[test]
fn a_link_that_says_more_than_once_that_it_is_down_costs_nobody_their_place() {
    let mut world = pair(World::new(1, fake_engine), Paths::DirectOnly);
    let link_of = |notice: &HostNotice| if let HostNotice::Stage(link, _) = notice { Some(*link) } else { None };
    let link = world.hosts[0].notices.iter().find_map(|(_, notice)| link_of(notice)).expect("it came in on a link");
    for _ in 0..3 {
        world.host_input(0, HostInput::Link(Event::Down(link, 1, LinkDown::Closed)));
    }
    world.run_for(secs(30));
    let told = |which: fn(&HostNotice) -> bool| world.hosts[0].notices.iter().filter(|(_, it)| which(it)).count();
    let counts = [
        told(|notice| matches!(notice, HostNotice::Away(..))),
        told(|notice| matches!(notice, HostNotice::Back(..))),
        told(|notice| matches!(notice, HostNotice::Left(..))),
    ];
    assert_eq!(counts, [1, 1, 0], "{:?}", world.hosts[0].notices);
}

#[test]
fn while_it_is_away_it_may_leave_and_who_gives_up_says_why() {
    let mut world = pair(World::new(1, fake_engine), Paths::DirectOnly);
    world.cut(Who::Viewer(0), true);
    world.type_keys(0, "x");
    world.run_for(secs(30));
    assert_eq!(count(&world, |notice| matches!(notice, ViewerNotice::Away(Cause::Down(LinkDown::Silent)))), 1);
    world.viewer_input(0, ViewerInput::Leave);
    world.run_for(secs(2));
    assert_eq!(world.viewers[0].exit.as_ref().map(|(_, exit)| exit), Some(&ViewerExit::Left));

    let mut world = pair(World::new(2, fake_engine), Paths::DirectOnly);
    world.cut(Who::Viewer(0), true);
    world.run_for(secs(640));
    let exit = world.viewers[0].exit.as_ref().map(|(_, exit)| exit);
    let Some(ViewerExit::Failed(failure)) = exit else { panic!("{exit:?}") };
    assert_eq!(failure.cause, Cause::Down(LinkDown::Silent));
    let left = |notice: &HostNotice| matches!(notice, HostNotice::Left(_, Cause::Down(LinkDown::Silent)));
    assert!(world.hosts[0].notices.iter().any(|(_, notice)| left(notice)), "{:?}", world.hosts[0].notices);
    world.run_for(secs(30));
    assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0));
}

#[test]
fn what_is_typed_while_nobody_takes_it_is_kept_up_to_a_limit_and_what_is_more_is_said() {
    let mut world = pair(World::new(3, fake_engine), Paths::DirectOnly);
    world.cut(Who::Viewer(0), true);
    world.type_keys(0, "first ");
    world.run_for(secs(5));
    for _ in 0..100 {
        world.type_keys(0, &"x".repeat(400));
        world.run_for(ms(100));
    }
    assert!(count(&world, |notice| *notice == ViewerNotice::Overflow) > 0);
    world.cut(Who::Viewer(0), false);
    world.run_for(secs(20));
    let written = &world.hosts[0].written;
    assert!(written.starts_with(b"first x") && (15_000..=16 * 1024).contains(&written.len()), "{}", written.len());
}

#[test]
fn another_address_or_another_port_of_a_router_is_hardly_felt() {
    let test = "another_address_or_another_port_of_a_router_is_hardly_felt";
    for paths in [Paths::Any, Paths::DirectOnly] {
        for trouble in [Trouble::Moves, Trouble::Rebound] {
            for who in [Who::Viewer(0), Who::Host(0)] {
                let took = each(test, 0..20, |seed| {
                    determinism::run(seed, move || survives(real::world(seed), paths, trouble(who)))
                });
                // Without a relay it is the engine's own checks that find the way, which come every few seconds.
                let at_most = if paths == Paths::Any { secs(2) } else { secs(5) };
                report(&format!("{:?}, {paths:?}", trouble(who)), took, at_most);
            }
        }
    }
}

/// The state of the rendezvous when a host's process is killed.
#[derive(Clone, Copy, Debug)]
enum WithIt {
    /// The rendezvous lives on elsewhere, and loses the host's connection.
    LivesOn,
    /// The rendezvous was in the same process.
    Dies,
}

/// How long it took until an idle viewer missed a host that was killed.
fn missed_after<E: Engine>(world: World<E>, rendezvous: WithIt) -> Duration {
    let mut world = pair(world, Paths::Any);
    quiet(&mut world);
    world.run_for(secs(7));
    let killed = world.now();
    world.freeze(Who::Host(0));
    world.cut(Who::Host(0), true);
    match rendezvous {
        WithIt::LivesOn => world.break_signal(Who::Host(0)),
        WithIt::Dies => world.kill_rendezvous(),
    }
    let is_away = |world: &World<E>| count(world, |notice| matches!(notice, ViewerNotice::Away(_))) > 0;
    assert!(world.run_until(secs(30), is_away), "{rendezvous:?}: {}", world.story(0));
    world.now() - killed
}

#[test]
fn an_idle_viewer_misses_a_host_that_was_killed_within_three_seconds() {
    for rendezvous in [WithIt::LivesOn, WithIt::Dies] {
        let took = [
            missed_after(World::new(1, fake_engine), rendezvous),
            determinism::run(1, move || missed_after(real::world(1), rendezvous)),
        ];
        assert!(took.iter().all(|took| *took <= secs(3)), "{rendezvous:?}: {took:?}");
    }
}

#[test]
fn a_viewer_stays_with_a_host_that_lost_only_its_rendezvous() {
    for rendezvous in [WithIt::LivesOn, WithIt::Dies] {
        let mut world = pair(World::new(1, fake_engine), Paths::Any);
        world.shut_out(Who::Host(0), true);
        match rendezvous {
            WithIt::LivesOn => world.break_signal(Who::Host(0)),
            WithIt::Dies => world.kill_rendezvous(),
        }
        world.run_for(secs(90));
        let lost = |notice: &ViewerNotice| matches!(notice, ViewerNotice::Away(_));
        assert_eq!(count(&world, lost), 0, "{rendezvous:?}: {}", world.story(0));
        product_seen(&mut world, &mut String::new(), secs(1));
    }
}
