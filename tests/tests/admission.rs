//! Admission: by which invite, after whose decision, and how many at once.

use beach_core::host::{ActionError, Approve, HostInput, ModeratorAction};
use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::Refusal;
use beach_core::viewer::ViewerExit;
use beach_tests::sim::scenario::{everyone_joins, everyone_types, noise_then_quiet};
use beach_tests::sim::script::{Scene, random};
use beach_tests::sim::{Dice, FakeEngine, HostPlan, ViewerPlan, Who, World, fake_engine, for_each_seed, ms, secs};

const FILE: &str = "admission";

const FIRST: MemberId = MemberId(1);

fn host(approve: Approve, max_viewers: usize) -> World<FakeEngine> {
    let mut world = World::new(1, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.approve, host.config.max_viewers) = (approve, max_viewers);
    world.add_host(host);
    world.run_for(secs(1));
    world
}

fn comes(world: &mut World<FakeEngine>, role: Role) -> usize {
    world.add_viewer(ViewerPlan::of(1, role))
}

fn act(world: &mut World<FakeEngine>, act: ModeratorAction) {
    assert_eq!(world.hosts[0].node.machine().may(&act), Ok(()));
    world.host_input(0, HostInput::Act(act));
}

/// Why a viewer was refused, if it was.
fn refusal(world: &World<FakeEngine>, viewer: usize) -> Option<Refusal> {
    match &world.viewers[viewer].exit {
        Some((_, ViewerExit::Failed(Failure { cause: Cause::Refused(refusal), .. }))) => Some(refusal.clone()),
        Some(_) | None => None,
    }
}

/// The ways in which a person at the host makes the invites that were given out worthless.
fn withdrawals(bystander: MemberId) -> [ModeratorAction; 2] {
    [ModeratorAction::Rotate, ModeratorAction::Kick { member: bystander, keep_links: false }]
}

#[test]
fn new_links_end_every_handshake_that_began_by_an_old_one_wherever_it_is() {
    let mut refused_at = std::collections::BTreeSet::new();
    for after in (0..400).step_by(5) {
        for withdrawal in withdrawals(FIRST) {
            let mut world = host(Approve::Nobody, 10);
            comes(&mut world, Role::View);
            everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
            let late = comes(&mut world, Role::Control);
            world.run_for(ms(after));
            let (stage, members) =
                (world.viewers[late].node.machine().stage(), world.hosts[0].node.machine().members());
            act(&mut world, withdrawal.clone());

            world.run_for(ms(500));

            if members == 1 {
                let host = world.hosts[0].node.machine();
                let story = world.story(late);
                assert!(host.status().members.iter().all(|it| it.id == FIRST), "{withdrawal:?} {after}: {story}");
                assert_eq!(refusal(&world, late), Some(Refusal::Expired), "{withdrawal:?} {after} {stage:?}: {story}");
                refused_at.insert(stage);
            }
        }
    }
    let all = [Stage::Authenticating, Stage::Offer, Stage::CheckingPaths, Stage::Securing];
    assert!(all.iter().all(|stage| refused_at.contains(stage)), "{refused_at:?}");
}

#[test]
fn new_links_turn_away_everybody_who_waits_by_an_old_one_and_nobody_who_comes_back() {
    for in_pause in [false, true] {
        let mut world = host(Approve::Control, 10);
        let member = comes(&mut world, Role::View);
        everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
        let waits = [comes(&mut world, Role::Control), comes(&mut world, Role::Control)];
        world.run_for(secs(1));
        if in_pause {
            act(&mut world, ModeratorAction::Pause);
            act(&mut world, ModeratorAction::Approve(MemberId(2)));
        }
        act(&mut world, ModeratorAction::Deny { member: MemberId(3), keep_links: false });
        world.run_for(secs(1));
        if in_pause {
            act(&mut world, ModeratorAction::Resume);
        }
        world.run_for(secs(5));

        assert_eq!(world.hosts[0].node.machine().members(), 1);
        let refusals = waits.map(|viewer| refusal(&world, viewer));
        assert!(
            refusals.contains(&Some(Refusal::Expired)) && refusals.contains(&Some(Refusal::Denied)),
            "{refusals:?}"
        );
        assert!(world.viewers[member].exit.is_none());
    }
}

#[test]
fn who_is_approved_in_a_pause_is_seen_can_be_removed_and_gets_in_when_it_goes_on() {
    for removed in [false, true] {
        let mut world = host(Approve::Everybody, 10);
        comes(&mut world, Role::Control);
        world.run_for(secs(1));
        act(&mut world, ModeratorAction::Pause);
        act(&mut world, ModeratorAction::Approve(FIRST));
        for _ in 0..30 {
            world.run_for(secs(10));
            let asking = world.hosts[0].node.machine().status().pending;
            assert_eq!(asking.iter().map(|asking| asking.id).collect::<Vec<_>>(), [FIRST], "{}", world.story(0));
            assert!(world.viewers[0].exit.is_none(), "{}", world.story(0));
        }
        let approve = ModeratorAction::Approve(FIRST);
        assert_eq!(world.hosts[0].node.machine().may(&approve), Err(ActionError::Approved(FIRST.0)));
        if removed {
            act(&mut world, ModeratorAction::Kick { member: FIRST, keep_links: true });
            world.run_for(secs(1));
            assert_eq!(refusal(&world, 0), Some(Refusal::Denied));
            assert_eq!(world.hosts[0].node.machine().status().pending, []);
            continue;
        }
        act(&mut world, ModeratorAction::Resume);
        world.run_for(secs(3));
        assert_eq!(world.hosts[0].node.machine().members(), 1, "{}", world.story(0));
        everyone_types(&mut world);
        noise_then_quiet(&mut world);
    }
}

#[test]
fn who_waits_for_the_end_of_a_pause_is_seen_and_can_be_turned_away() {
    let mut world = host(Approve::Nobody, 10);
    act(&mut world, ModeratorAction::Pause);
    let viewers = [comes(&mut world, Role::View), comes(&mut world, Role::View)];
    world.run_for(secs(200));
    assert_eq!(world.hosts[0].node.machine().status().pending.len(), 2, "{}", world.story(0));

    act(&mut world, ModeratorAction::Deny { member: FIRST, keep_links: true });
    world.run_for(secs(1));
    assert_eq!(viewers.iter().filter(|viewer| refusal(&world, **viewer) == Some(Refusal::Denied)).count(), 1);

    act(&mut world, ModeratorAction::Resume);
    world.run_for(secs(3));
    assert_eq!(world.hosts[0].node.machine().members(), 1);
}

#[test]
fn a_pause_does_not_use_up_the_time_of_who_waits_for_a_person() {
    let mut world = host(Approve::Everybody, 10);
    comes(&mut world, Role::Control);
    world.run_for(secs(60));
    act(&mut world, ModeratorAction::Pause);
    world.run_for(secs(600));
    act(&mut world, ModeratorAction::Resume);
    world.run_for(secs(100));
    assert!(world.viewers[0].exit.is_none(), "{}", world.story(0));
    act(&mut world, ModeratorAction::Approve(FIRST));
    world.run_for(secs(3));
    assert_eq!(world.hosts[0].node.machine().members(), 1);
}

#[test]
fn who_waits_to_be_let_in_takes_no_place_of_a_viewer() {
    let mut world = host(Approve::Control, 1);
    let waits = comes(&mut world, Role::Control);
    world.run_for(secs(1));
    let watches = comes(&mut world, Role::View);
    world.run_for(secs(2));
    assert_eq!((refusal(&world, watches), world.hosts[0].node.machine().members()), (None, 1));

    // There is no place for them yet, and the host is told so.
    let approve = ModeratorAction::Approve(FIRST);
    assert_eq!(world.hosts[0].node.machine().may(&approve), Err(ActionError::Full));
    world.viewer_input(watches, beach_core::viewer::ViewerInput::Leave);
    world.run_for(secs(1));
    act(&mut world, approve);
    world.run_for(secs(2));
    assert_eq!((refusal(&world, waits), world.hosts[0].node.machine().members()), (None, 1));
}

#[test]
fn the_oldest_unanswered_one_makes_room_for_the_33rd_who_waits() {
    let mut world = host(Approve::Everybody, 128);
    for _ in 0..33 {
        comes(&mut world, Role::Control);
        world.run_for(secs(1));
    }
    world.run_for(secs(1));
    assert_eq!(world.hosts[0].node.machine().status().pending.len(), 32);
    assert_eq!(refusal(&world, 0), Some(Refusal::Full), "{}", world.story(0));
    assert!(world.viewers[1..].iter().all(|viewer| viewer.exit.is_none()));
}

#[test]
fn a_member_that_came_back_takes_a_place() {
    let mut world = host(Approve::Nobody, 1);
    let first = comes(&mut world, Role::View);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    world.freeze(Who::Viewer(first));
    world.run_for(secs(40));
    world.thaw(Who::Viewer(first));
    world.run_for(secs(20));
    assert_eq!(world.hosts[0].node.machine().members(), 1, "{}", world.story(first));
    let second = comes(&mut world, Role::View);
    world.run_for(secs(3));
    assert_eq!(refusal(&world, second), Some(Refusal::Full), "{}", world.story(second));
}

#[test]
fn in_any_order_of_what_people_do_only_whoever_may_gets_in_and_nobody_is_out_of_sight() {
    let test = "in_any_order_of_what_people_do_only_whoever_may_gets_in_and_nobody_is_out_of_sight";
    let outcomes = for_each_seed(FILE, test, 0..10_000, |seed| {
        let mut dice = Dice::new(seed);
        let mut config = HostPlan::new(seed).config;
        config.approve = [Approve::Nobody, Approve::Control, Approve::Everybody][dice.between(0, 2) as usize];
        config.max_viewers = if dice.percent(20) { 2 } else { 128 };
        config.links.once = dice.percent(10);
        let script = random(&mut dice, 40);
        Scene::new(config, dice).play(&script)
    });
    let sum = |count: fn(&beach_tests::sim::script::Outcome) -> usize| outcomes.iter().map(|(_, it)| count(it)).sum();
    let (members, approved, expired): (usize, usize, usize) =
        (sum(|it| it.members), sum(|it| it.approved), sum(|it| it.expired));
    println!("{} orders: {members} members, {approved} of them approved, {expired} refused as expired", outcomes.len());
    let orders = outcomes.len();
    assert!(members > orders && approved > orders / 4 && expired > orders / 4, "the scripts do what they are for");
}
