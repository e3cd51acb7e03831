//! Viewers that are pages of browsers, among others: the lane by a data channel, connections that somebody else makes.
#![cfg(target_os = "linux")]

use std::time::Duration;

use beach_core::endpoint::note::Step;
use beach_core::host::{Approve, HostInput, HostNotice, ModeratorAction};
use beach_core::peer::engine::Engine;
use beach_core::peer::str0m::Str0m;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Stage};
use beach_core::session::link::{CandidateKind, Client, LinkDown, Refusal};
use beach_core::viewer::{ViewerExit, ViewerNotice};
use beach_tests::determinism;
use beach_tests::sim::scenario::{
    Weather, everyone_joins, everyone_types, gather, noise_then_quiet, quiet, time_to_join,
};
use beach_tests::sim::{
    Altered, Change, FakeEngine, HostPlan, Pipe, Script, Seat, ViewerPlan, Who, World, fake_engine, for_each_seed, ms,
    real, seats, secs, shows,
};

const FILE: &str = "browser";

/// Every second viewer is a page; which one is first, the seed says.
fn every_second(seed: u64) -> impl Fn(Who) -> bool {
    move |who| matches!(who, Who::Viewer(index) if (index as u64 + seed).is_multiple_of(2))
}

fn all_viewers(who: Who) -> bool {
    matches!(who, Who::Viewer(_))
}

fn fake_world(seed: u64, is_page: impl Fn(Who) -> bool + 'static) -> World<Seat<FakeEngine>> {
    World::new(seed, seats(fake_engine, is_page)).with_pages(fake_engine)
}

fn real_world(seed: u64, is_page: impl Fn(Who) -> bool + 'static) -> World<Seat<Str0m>> {
    real::world_of(seed, seats(real::engine, is_page)).with_pages(real::engine)
}

/// A session from the first join to the last screen; how many pages were in it.
fn session<E: Engine>(world: &mut World<E>, weather: Weather, within: Duration) -> usize {
    gather(world, weather);
    everyone_joins(world, within).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(world);
    noise_then_quiet(world);
    for viewer in &world.viewers {
        assert!(viewer.page.as_ref().is_none_or(|page| page.held() == 1), "one connection is left of all attempts");
    }
    world.viewers.iter().filter(|viewer| viewer.page.is_some()).count()
}

#[test]
fn among_others_pages_join_type_and_see_what_the_host_has() {
    let test = "among_others_pages_join_type_and_see_what_the_host_has";

    let done = for_each_seed(FILE, test, 0..500, |seed| {
        session(&mut fake_world(seed, every_second(seed)), Weather::Random(10), secs(20))
    });

    assert!(done.len() == 1 || done.iter().map(|(_, pages)| pages).sum::<usize>() > done.len());
}

#[test]
fn over_real_ice_dtls_and_sctp_pages_join_type_and_see_what_the_host_has() {
    let test = "over_real_ice_dtls_and_sctp_pages_join_type_and_see_what_the_host_has";

    for_each_seed(FILE, test, 0..200, |seed| {
        determinism::run(seed, move || session(&mut real_world(seed, every_second(seed)), Weather::Loss(0), secs(20)))
    });
}

#[test]
fn at_5_percent_loss_pages_join_within_40_seconds() {
    let test = "at_5_percent_loss_pages_join_within_40_seconds";

    for_each_seed(FILE, test, 0..200, |seed| {
        determinism::run(seed, move || session(&mut real_world(seed, every_second(seed)), Weather::Loss(5), secs(40)))
    });
}

#[test]
fn at_20_percent_loss_a_page_that_fails_names_the_stage() {
    let test = "at_20_percent_loss_a_page_that_fails_names_the_stage";

    for_each_seed(FILE, test, 0..100, |seed| {
        determinism::run(seed, move || {
            let mut world = real_world(seed, all_viewers);
            gather(&mut world, Weather::Loss(20));
            let _ = everyone_joins(&mut world, secs(90));
            for (index, viewer) in world.viewers.iter().enumerate() {
                let joined = time_to_join(&world, index).is_some();
                let failed = matches!(viewer.exit, Some((_, ViewerExit::Failed(_))));
                assert!(joined || failed, "{}", world.story(index));
            }
        });
    });
}

/// A host and a page in its session.
fn pair<E: Engine>(world: &mut World<E>, plan: HostPlan) {
    world.add_host(plan);
    world.add_viewer(ViewerPlan::of(1, Role::Control));
}

fn is_live<E: Engine>(world: &World<E>) -> bool {
    world.viewers.iter().all(|viewer| viewer.node.machine().stage() == Stage::Live)
}

fn said<E: Engine>(world: &World<E>, viewer: usize, what: impl Fn(&ViewerNotice) -> bool) -> bool {
    world.viewers[viewer].notices.iter().any(|(_, notice)| what(notice))
}

#[test]
fn the_first_confirmation_finds_its_lane_open() {
    determinism::run(1, || {
        let mut world = real_world(1, all_viewers);
        pair(&mut world, HostPlan::new(1));
        assert!(world.run_until(secs(5), is_live), "{}", world.story(0));
        for notes in [&world.hosts[0].notes, &world.viewers[0].notes] {
            let at = |step: &Step| notes.iter().find(|(_, note)| note.step == *step).map(|(at, _)| *at);
            let sent = at(&Step::ConfirmationSent(1)).expect("a confirmation");
            let open = at(&Step::TerminalLaneOpen).expect("the lane");
            // There and back, and half of that if the other side's channel opens later.
            assert!(open.since(sent) <= ms(50), "confirmed {:?} after the lane was open", open.since(sent));
        }
        assert!(said(&world, 0, |notice| matches!(notice, ViewerNotice::Connected(_))));
    });
}

#[test]
fn hidden_addresses_are_not_told() {
    for seed in 0..8 {
        let mut world = fake_world(seed, all_viewers);
        pair(&mut world, HostPlan::new(1));
        assert!(world.run_until(secs(10), is_live), "{}", world.story(0));
        let told = world.hosts[0].notes.iter().filter_map(|(_, note)| {
            let Step::CandidateReceived(candidate) = &note.step else { return None };
            Some(candidate.kind)
        });
        assert!(told.clone().all(|kind| kind == CandidateKind::ServerReflexive), "{:?}", told.collect::<Vec<_>>());
    }
}

#[test]
fn a_page_that_was_cut_off_comes_back_to_its_place() {
    determinism::run(2, || {
        let mut world = real_world(2, all_viewers);
        pair(&mut world, HostPlan::new(1));
        assert!(world.run_until(secs(5), is_live), "{}", world.story(0));
        world.cut(Who::Viewer(0), true);
        world.run_for(secs(20));
        assert!(said(&world, 0, |notice| matches!(notice, ViewerNotice::Away(_))), "{}", world.story(0));
        world.type_keys(0, "lines 3\r");
        world.cut(Who::Viewer(0), false);
        let back = |world: &World<_>| said(world, 0, |notice| matches!(notice, ViewerNotice::Back(_)));
        assert!(world.run_until(secs(30), back), "{}", world.story(0));
        world.run_for(secs(1));
        quiet(&mut world);
        assert!(world.hosts[0].written.ends_with(b"lines 3\r"), "what was typed meanwhile arrives");
        assert!(!said(&world, 0, |notice| matches!(notice, ViewerNotice::Forgotten(_))));
        assert_eq!(world.viewers[0].page.as_ref().map(beach_tests::sim::Page::held), Some(1));
    });
}

#[test]
fn a_page_waits_for_approval_is_paused_and_is_removed_like_others() {
    for seed in 0..20 {
        let mut world = fake_world(seed, every_second(0));
        let mut plan = HostPlan::new(1);
        plan.config.approve = Approve::Everybody;
        pair(&mut world, plan);
        world.add_viewer(ViewerPlan::of(1, Role::Control));
        let waits = |world: &World<_>| world.hosts[0].node.machine().status().pending.len() == 2;
        assert!(world.run_until(secs(5), waits), "{}", world.story(0));
        let pending = world.hosts[0].node.machine().status().pending;
        for viewer in &pending {
            assert_eq!(viewer.client == Client::Browser, viewer.name == "viewer 0", "{}", viewer.name);
            world.host_input(0, HostInput::Act(ModeratorAction::Approve(viewer.id)));
        }
        assert!(world.run_until(secs(10), is_live), "{}", world.story(0));
        let members = world.hosts[0].node.machine().status().members;
        assert!(members.iter().all(|member| (member.client == Client::Browser) == (member.name == "viewer 0")));

        world.host_input(0, HostInput::Act(ModeratorAction::Pause));
        let paused = |world: &World<_>| said(world, 0, |notice| *notice == ViewerNotice::Paused(true));
        assert!(world.run_until(secs(5), paused));
        world.host_input(0, HostInput::Act(ModeratorAction::Resume));
        world.run_for(secs(1));
        quiet(&mut world);

        let page = members.iter().find(|member| member.client == Client::Browser).expect("it is a member").id;
        world.host_input(0, HostInput::Act(ModeratorAction::Kick { member: page, keep_links: true }));
        let out = |world: &World<_>| world.viewers[0].exit.is_some();
        assert!(world.run_until(secs(5), out), "{}", world.story(0));
        assert!(matches!(world.viewers[0].exit, Some((_, ViewerExit::Removed(_)))), "{}", world.story(0));
        assert_eq!(world.viewers[0].page.as_ref().map(beach_tests::sim::Page::held), Some(0), "it is closed");
        assert!(world.viewers[1].exit.is_none());
    }
}

#[test]
fn a_host_without_browsers_refuses_pages_alone_and_says_why() {
    let mut world = fake_world(1, every_second(0));
    let mut plan = HostPlan::new(1);
    plan.config.no_browsers = true;
    pair(&mut world, plan);
    world.add_viewer(ViewerPlan::of(1, Role::View));
    world.run_for(secs(5));
    match &world.viewers[0].exit {
        Some((_, ViewerExit::Failed(failure))) => {
            assert_eq!(failure.cause, Cause::Refused(Refusal::NoBrowsers));
            assert_eq!(failure.stage, Stage::Authenticating);
        }
        _ => panic!("{}", world.story(0)),
    }
    assert_eq!(world.viewers[1].node.machine().stage(), Stage::Live);
    let failed = |notice: &HostNotice| matches!(notice, HostNotice::Failed(_, failure) if failure.cause == Cause::Refused(Refusal::NoBrowsers));
    assert!(world.hosts[0].notices.iter().any(|(_, notice)| failed(notice)));
}

#[test]
fn a_browser_that_makes_no_connection_fails_at_a_stage_with_a_cause() {
    let mut world = fake_world(1, all_viewers);
    pair(&mut world, HostPlan::new(1));
    world.viewers[0].page.as_mut().expect("a page").mute = true;
    world.run_for(secs(30));
    match &world.viewers[0].exit {
        Some((_, ViewerExit::Failed(failure))) => {
            assert_eq!(failure.stage, Stage::CheckingPaths);
            let Cause::Down(LinkDown::Engine(cause)) = &failure.cause else { panic!("{failure:?}") };
            assert_eq!(cause, "the browser did not make a connection in time");
        }
        _ => panic!("{}", world.story(0)),
    }
    let page = world.viewers[0].page.as_ref().expect("a page");
    assert_eq!((page.held(), page.most), (0, 1), "no connection is left, and there was one at a time");
}

/// The page of a [`pair`] types as soon as it can, and nothing of it gets through: the causes at the page and at the
/// host.
fn refused<E: Engine>(world: &mut World<E>) -> [Cause; 2] {
    world.run_for(secs(1));
    world.type_keys(0, "let me in\r");
    world.run_for(secs(60));
    let host = &world.hosts[0];
    assert!(!host.notices.iter().any(|(_, notice)| matches!(notice, HostNotice::Joined(..))), "{:?}", host.notices);
    assert!(host.written.is_empty() && host.node.machine().status().members.is_empty());
    assert!(!said(world, 0, |notice| matches!(notice, ViewerNotice::Connected(_))), "{}", world.story(0));
    let seen = world.viewers[0].node.machine().screen().text().concat();
    assert!(seen.trim().is_empty(), "a page sees nothing before it is confirmed: {seen}");
    let at_host = host.notices.iter().find_map(|(_, notice)| {
        let HostNotice::Failed(_, failure) = notice else { return None };
        Some(failure.cause.clone())
    });
    let Some((_, ViewerExit::Failed(failure))) = &world.viewers[0].exit else { panic!("{}", world.story(0)) };
    [failure.cause.clone(), at_host.expect("the host says so too")]
}

fn is_down(cause: &Cause, wanted: &LinkDown) -> bool {
    matches!(cause, Cause::Down(down) | Cause::DownThere(down) if down == wanted)
}

#[test]
fn a_page_with_another_certificate_than_it_announced_is_refused() {
    determinism::run(5, || {
        let mut world = real_world(5, all_viewers)
            .with_pages(|who, start| Altered(real::engine(who, start), Change::AnotherCertificate));
        pair(&mut world, HostPlan::new(1));
        let causes = refused(&mut world);
        assert!(causes.iter().any(|cause| is_down(cause, &LinkDown::WrongCertificate)), "{causes:?}");
    });
}

#[test]
fn where_the_engine_does_not_look_the_confirmation_refuses_a_pages_certificate() {
    determinism::run(5, || {
        let host = |who, start| real::engine(who, start).without_fingerprint_check();
        let mut world = real::world_of(5, seats(host, all_viewers))
            .with_pages(|who, start| Altered(real::engine(who, start), Change::AnotherCertificate));
        pair(&mut world, HostPlan::new(1));
        let causes = refused(&mut world);
        assert!(causes.iter().all(|cause| is_down(cause, &LinkDown::Unconfirmed)), "{causes:?}");
    });
}

#[test]
fn a_page_whose_browser_saw_another_certificate_than_the_hosts_confirms_nothing() {
    let mut world = fake_world(1, all_viewers);
    pair(&mut world, HostPlan::new(1));
    world.viewers[0].page.as_mut().expect("a page").saw = Some(b"somebody else's".to_vec());
    let causes = refused(&mut world);
    assert!(causes.iter().all(|cause| is_down(cause, &LinkDown::Unconfirmed)), "{causes:?}");
}

#[test]
fn behind_a_narrow_link_a_page_is_never_far_behind_a_flood() {
    determinism::run(3, || {
        let mut world = real_world(3, all_viewers);
        let mut plan = HostPlan::new(1);
        plan.script = Script::Flood { every: ms(20), pages: 500 };
        world.add_host(plan);
        let mut viewer = ViewerPlan::of(1, Role::View);
        viewer.pipes = [None, Some(Pipe::new(1_000_000, 64 * 1024))];
        world.add_viewer(viewer);
        assert!(world.run_until(secs(5), is_live), "{}", world.story(0));
        let host_is_quiet = |world: &World<_>| world.hosts[0].printed.iter().any(|text| text == b"\r\nquiet\r\n");
        assert!(world.run_until(secs(20), host_is_quiet), "the flood ends");
        // The bytes that waited in the channel and in the link take the link less than a second.
        let page_is_quiet = |world: &World<_>| shows(world.viewers[0].node.machine().screen(), "quiet");
        assert!(world.run_until(secs(2), page_is_quiet), "the page is far behind");
        world.run_for(secs(1));
        quiet(&mut world);
    });
}
