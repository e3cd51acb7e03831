//! Decisions of the person at the host, and their effects on the host, for every message.
#![cfg(target_os = "linux")]

use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::host::{
    ActionError, Approve, Host, HostExit, HostInput, HostNotice, HostOutput, ModeratorAction, Start,
};
use beach_core::id::{LinkId, MemberId};
use beach_core::machine::Machine as _;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{
    Candidate, CandidateKind, Envelope, Event, Hello, Lane, Path, PathKind, Progress, Refusal,
};
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerNotice};
use beach_core::wire::frame::{FromViewer, InputEvent, Up};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types, noise_then_quiet};
use beach_tests::sim::{
    Dice, FakeEngine, HostPlan, ViewerPlan, Who, World, fake_engine, for_each_seed, ms, real, secs, shows,
};

const FILE: &str = "moderation";

const FIRST: MemberId = MemberId(1);

/// A host that lets nobody in unasked, and viewers with these roles.
fn asked<E: Engine>(mut world: World<E>, approve: Approve, roles: &[Role]) -> World<E> {
    let mut host = HostPlan::new(1);
    (host.config.approve, host.paths) = (approve, Paths::Any);
    world.add_host(host);
    for role in roles {
        let mut plan = ViewerPlan::of(1, *role);
        (plan.wait, plan.paths) = (Some(secs(5)), Paths::Any);
        world.add_viewer(plan);
    }
    world.run_for(secs(2));
    world
}

/// Viewers with these roles, in.
fn session(roles: &[Role]) -> World<FakeEngine> {
    let mut world = asked(World::new(1, fake_engine), Approve::Nobody, roles);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    world
}

fn act<E: Engine>(world: &mut World<E>, act: ModeratorAction) {
    assert_eq!(world.hosts[0].node.machine().may(&act), Ok(()));
    world.host_input(0, HostInput::Act(act));
}

fn notices<E: Engine>(world: &World<E>, viewer: usize, which: impl Fn(&ViewerNotice) -> bool) -> usize {
    world.viewers[viewer].notices.iter().filter(|(_, notice)| which(notice)).count()
}

fn typed<E: Engine>(world: &World<E>) -> String {
    String::from_utf8_lossy(&world.hosts[0].written).into_owned()
}

fn is_let_in_when_the_host_says_so<E: Engine>(world: World<E>) {
    let mut world = asked(world, Approve::Everybody, &[Role::Control]);
    let asking = world.hosts[0].node.machine().status().pending;
    let [asking] = asking.as_slice() else { panic!("{asking:?}: {}", world.story(0)) };
    assert_eq!((asking.id, asking.role), (FIRST, Role::Control));
    let sas = asking.sas;
    assert_eq!(notices(&world, 0, |notice| *notice == ViewerNotice::Sas(sas)), 1, "{}", world.story(0));
    world.type_keys(0, "early\r");
    world.run_for(secs(60));
    assert_eq!((typed(&world).as_str(), world.hosts[0].node.machine().members()), ("", 0));
    assert!(world.viewers[0].exit.is_none(), "{}", world.story(0));

    act(&mut world, ModeratorAction::Approve(FIRST));

    everyone_joins(&mut world, secs(65)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    let joined = |notice: &HostNotice| matches!(notice, HostNotice::Joined(id, ..) if *id == FIRST);
    assert!(world.hosts[0].notices.iter().any(|(_, notice)| joined(notice)), "it has the number that was decided on");
}

#[test]
fn who_waits_to_be_let_in_sees_the_words_that_the_host_sees_and_touches_nothing_before() {
    is_let_in_when_the_host_says_so(World::new(1, fake_engine));
    determinism::run(2, || is_let_in_when_the_host_says_so(real::world(2)));
}

#[test]
fn who_is_denied_is_told_so_and_who_nobody_decides_about_is_gone_after_two_minutes() {
    let mut world = asked(World::new(2, fake_engine), Approve::Control, &[Role::Control, Role::Control, Role::View]);
    let status = world.hosts[0].node.machine().status();
    assert_eq!((status.pending.len(), status.members.len()), (2, 1), "who watches need not be let in");

    act(&mut world, ModeratorAction::Deny { member: status.pending[0].id, keep_links: true });

    world.run_for(secs(1));
    let denied = |exit: &Option<(Timestamp, ViewerExit)>| matches!(exit, Some((_, ViewerExit::Failed(failure))) if failure.cause == Cause::Refused(Refusal::Denied));
    assert_eq!(world.viewers.iter().filter(|viewer| denied(&viewer.exit)).count(), 1);
    world.run_for(secs(125));
    let late = |exit: &Option<(Timestamp, ViewerExit)>| matches!(exit, Some((_, ViewerExit::Failed(failure))) if failure.stage == Stage::WaitingForApproval && failure.cause == Cause::NoAnswer);
    assert_eq!(world.viewers.iter().filter(|viewer| late(&viewer.exit)).count(), 1);
    assert_eq!(world.hosts[0].node.machine().status().pending, []);
    assert_eq!(typed(&world), "");
}

/// How the viewer failed, and when.
fn failed(world: &World<FakeEngine>, viewer: usize) -> Option<(Timestamp, &Failure)> {
    match &world.viewers[viewer].exit {
        Some((at, ViewerExit::Failed(failure))) => Some((*at, failure)),
        Some(_) | None => None,
    }
}

#[test]
fn a_viewer_that_waits_for_approval_is_told_when_the_session_ends_and_the_end_does_not_wait() {
    for (approve, roles) in
        [(Approve::Everybody, &[Role::Control][..]), (Approve::Control, &[Role::View, Role::View, Role::Control])]
    {
        let mut world = asked(World::new(3, fake_engine), approve, roles);
        let waits = roles.len() - 1;
        assert_eq!(world.hosts[0].node.machine().members(), waits, "all others are in");
        let stopped = world.now();
        world.host_input(0, HostInput::Stop);
        world.run_for(secs(3));
        let (ended, exit) = world.hosts[0].exit.clone().expect("the host has ended");
        assert_eq!(exit, HostExit::Stopped);
        assert!(ended.since(stopped) < secs(1), "nobody who waits holds the end up: {:?}", ended.since(stopped));
        let (told, failure) = failed(&world, waits).unwrap_or_else(|| panic!("{}", world.story(waits)));
        assert_eq!(failure.cause, Cause::Refused(Refusal::NoSession), "{}", world.story(waits));
        assert!(told.since(stopped) < secs(1), "{}", world.story(waits));
    }
}

#[test]
fn a_session_does_not_end_as_nobody_joined_while_somebody_waits_for_approval() {
    let mut world = World::new(4, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.approve, host.config.start) = (Approve::Everybody, Start::WhenJoined(Some(secs(10))));
    host.paths = Paths::Any;
    world.add_host(host);
    let mut plan = ViewerPlan::of(1, Role::View);
    (plan.wait, plan.paths) = (Some(secs(5)), Paths::Any);
    world.add_viewer(plan);
    world.run_for(secs(30));
    assert!(world.hosts[0].exit.is_none(), "{}", world.story(0));
    // Nobody's time runs out in a pause.
    act(&mut world, ModeratorAction::Pause);
    world.run_for(secs(200));
    assert!(world.hosts[0].exit.is_none(), "{}", world.story(0));
    act(&mut world, ModeratorAction::Resume);
    world.run_for(secs(1));
    act(&mut world, ModeratorAction::Deny { member: FIRST, keep_links: true });
    world.run_for(secs(1));
    let exit = world.hosts[0].exit.as_ref().map(|(_, exit)| exit);
    assert_eq!(exit, Some(&HostExit::NobodyJoined), "nobody is on the way in any more");
}

#[test]
fn a_viewer_that_waits_in_a_pause_is_reminded_once_the_rendezvous_is_back() {
    let mut world = asked(World::new(5, fake_engine), Approve::Everybody, &[Role::View]);
    act(&mut world, ModeratorAction::Pause);
    // A reminder is due after 60 s; viewers give up after 120 s without a word.
    world.run_for(secs(57));
    world.shut_out(Who::Host(0), true);
    world.break_signal(Who::Host(0));
    world.run_for(secs(5));
    world.shut_out(Who::Host(0), false);
    world.run_for(secs(100));
    assert!(world.viewers[0].exit.is_none(), "{}", world.story(0));
    act(&mut world, ModeratorAction::Approve(FIRST));
    act(&mut world, ModeratorAction::Resume);
    world.run_for(secs(5));
    assert_eq!(world.hosts[0].node.machine().members(), 1, "{}", world.story(0));
}

#[test]
fn a_member_that_is_removed_while_away_is_told_so_and_does_not_come_back() {
    let mut world = session(&[Role::Control]);
    // Neither directly nor through the rendezvous.
    world.cut(Who::Viewer(0), true);
    world.shut_out(Who::Viewer(0), true);
    world.break_signal(Who::Viewer(0));
    world.run_until(secs(30), |world| {
        world.hosts[0].notices.iter().any(|(_, notice)| matches!(notice, HostNotice::Away(id, _) if *id == FIRST))
    });
    act(&mut world, ModeratorAction::Kick { member: FIRST, keep_links: true });
    world.cut(Who::Viewer(0), false);
    world.shut_out(Who::Viewer(0), false);
    world.run_for(secs(30));
    let (_, failure) = failed(&world, 0).unwrap_or_else(|| panic!("{}", world.story(0)));
    assert_eq!(failure.cause, Cause::Refused(Refusal::Denied), "{}", world.story(0));
    assert_eq!(world.hosts[0].node.machine().members(), 0);
}

#[test]
fn what_somebody_may_do_changes_within_a_round_trip_and_nobody_reconnects() {
    let mut world = session(&[Role::View]);
    world.type_keys(0, "before");
    world.run_for(secs(1));
    assert_eq!(typed(&world), "");

    act(&mut world, ModeratorAction::Grant(FIRST));
    world.run_for(ms(50));
    assert_eq!(notices(&world, 0, |notice| *notice == ViewerNotice::Role(Role::Control)), 1);
    world.type_keys(0, "granted");
    world.run_for(ms(200));
    assert_eq!(typed(&world), "granted");

    // The viewer types on, both before and after it knows.
    for _ in 0..10 {
        world.type_keys(0, "x");
    }
    world.run_for(ms(5));
    act(&mut world, ModeratorAction::Revoke(FIRST));
    let at_most = typed(&world).len();
    for _ in 0..50 {
        world.type_keys(0, "y");
        world.run_for(ms(10));
    }
    world.run_for(secs(20));
    assert!(typed(&world).len() <= at_most + 10 && !typed(&world).contains('y'), "{}", typed(&world));
    assert_eq!(notices(&world, 0, |notice| matches!(notice, ViewerNotice::Away(_))), 0, "{}", world.story(0));
    assert_eq!(world.hosts[0].node.machine().members(), 1, "no offence");

    act(&mut world, ModeratorAction::Grant(FIRST));
    world.run_for(ms(100));
    world.type_keys(0, "again");
    world.run_for(secs(1));
    assert!(typed(&world).ends_with("again") && !typed(&world).contains('y'), "{}", typed(&world));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
}

#[test]
fn a_paste_of_somebody_whose_keyboard_is_taken_away_is_ended() {
    let mut world = session(&[Role::Control]);
    let mut host_prints = |text: &str| world.host_input(0, HostInput::Printed(text.into()));
    host_prints("\x1b[?2004h");
    world.run_for(ms(500));
    let paste =
        |bytes: &[u8], first| beach_core::viewer::ViewerInput::Paste { bytes: bytes.to_vec(), first, last: false };
    world.viewer_input(0, paste(b"half of it", true));
    world.run_for(ms(500));
    assert!(typed(&world).contains("\x1b[200~") && !typed(&world).contains("\x1b[201~"), "{:?}", typed(&world));

    act(&mut world, ModeratorAction::Revoke(FIRST));
    world.run_for(secs(1));

    assert!(typed(&world).ends_with("\x1b[201~"), "{:?}", typed(&world));
}

#[test]
fn who_is_removed_is_told_so_and_its_place_is_kept_no_longer() {
    let mut world = session(&[Role::Control, Role::Control]);
    act(&mut world, ModeratorAction::Kick { member: FIRST, keep_links: true });
    world.run_for(secs(5));
    let removed =
        world.viewers.iter().filter(|viewer| matches!(viewer.exit, Some((_, ViewerExit::Removed(_))))).count();
    let host = world.hosts[0].node.machine();
    assert_eq!((removed, host.members(), host.links()), (1, 1, 1));
    assert_eq!(host.may(&ModeratorAction::Kick { member: FIRST, keep_links: true }), Err(ActionError::Nobody(1)));
}

#[test]
fn while_it_is_paused_nobody_else_sees_or_types_anything_and_afterwards_all_is_as_before() {
    for (test, engine) in [("paused", false), ("paused over real peers", true)] {
        let run = move || {
            if engine {
                paused(asked(real::world(3), Approve::Nobody, &[Role::Control; 2]))
            } else {
                paused(session(&[Role::Control; 2]))
            }
        };
        println!("{test}");
        if engine { determinism::run(3, run) } else { run() }
    }
}

fn paused<E: Engine>(mut world: World<E>) {
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    act(&mut world, ModeratorAction::Pause);
    world.run_for(ms(200));
    for viewer in 0..2 {
        assert_eq!(notices(&world, viewer, |notice| *notice == ViewerNotice::Paused(true)), 1);
    }
    let before = typed(&world);
    world.host_input(0, HostInput::Printed(b"\r\nSECRET\r\n".to_vec()));
    world.type_keys(0, "typed meanwhile");
    world.run_for(secs(40));
    assert_eq!(typed(&world), before);
    assert!((0..2).all(|viewer| !shows(world.viewers[viewer].node.machine().screen(), "SECRET")));
    // New viewers wait for the end of the pause.
    let mut late = ViewerPlan::of(1, Role::View);
    late.paths = Paths::Any;
    let late = world.add_viewer(late);
    world.run_for(secs(20));
    assert!(
        world.viewers[late].exit.is_none() && world.hosts[0].node.machine().members() == 2,
        "{}",
        world.story(late)
    );
    assert_eq!(notices(&world, 0, |notice| matches!(notice, ViewerNotice::Away(_))), 0, "{}", world.story(0));

    act(&mut world, ModeratorAction::Resume);
    everyone_joins(&mut world, secs(25)).unwrap_or_else(|who| panic!("{who}"));
    world.run_for(secs(1));
    assert!(shows(world.viewers[0].node.machine().screen(), "SECRET"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
}

#[test]
fn everybody_is_told_what_the_host_says_and_nothing_that_a_terminal_would_obey() {
    let mut world = session(&[Role::View; 3]);
    act(&mut world, ModeratorAction::Say("lunch\x1b[2J at noon".to_owned()));
    world.run_for(secs(1));
    for viewer in 0..3 {
        let said = |notice: &ViewerNotice| matches!(notice, ViewerNotice::Said(text) if text.starts_with("lunch") && !text.contains('\x1b'));
        assert_eq!(notices(&world, viewer, said), 1);
    }
    assert_eq!(world.hosts[0].node.machine().may(&ModeratorAction::Say("\x07".to_owned())), Err(ActionError::Empty));
}

#[test]
fn a_session_has_as_many_viewers_and_lasts_as_long_as_it_was_told() {
    let mut world = World::new(4, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.max_viewers, host.config.expire) = (1, Some(secs(60)));
    world.add_host(host);
    for at in [1, 2] {
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.at = secs(at);
        world.add_viewer(plan);
    }
    world.run_for(secs(10));
    let full = |exit: &Option<(Timestamp, ViewerExit)>| matches!(exit, Some((_, ViewerExit::Failed(failure))) if failure.cause == Cause::Refused(Refusal::Full));
    assert!(full(&world.viewers[1].exit) && world.viewers[0].exit.is_none());
    world.run_for(secs(60));
    assert!(matches!(world.viewers[0].exit, Some((_, ViewerExit::Expired))), "{:?}", world.viewers[0].exit);
    assert!(matches!(world.hosts[0].exit, Some((_, HostExit::Expired))), "{:?}", world.hosts[0].exit);
}

/// A viewer with this role joins; why it was refused, if it was.
fn refused(world: &mut World<FakeEngine>, role: Role) -> Option<Refusal> {
    let mut plan = ViewerPlan::of(1, role);
    plan.at = world.now().since_start();
    let viewer = world.add_viewer(plan);
    world.run_for(secs(3));
    match &world.viewers[viewer].exit {
        Some((_, ViewerExit::Failed(Failure { cause: Cause::Refused(refusal), .. }))) => Some(refusal.clone()),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

#[test]
fn a_link_for_one_lets_in_one_and_who_failed_on_the_way_leaves_it_free() {
    let mut world = World::new(5, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.links.once, host.config.approve) = (true, Approve::Control);
    world.add_host(host);
    world.run_for(secs(1));
    assert_eq!(refused(&mut world, Role::Control), None, "it waits to be let in");
    assert_eq!(refused(&mut world, Role::Control), Some(Refusal::Used), "while another is on the way in");
    act(&mut world, ModeratorAction::Deny { member: FIRST, keep_links: true });
    world.run_for(secs(1));
    assert_eq!(refused(&mut world, Role::Control), None, "who was not let in has not used it");
    let asking = world.hosts[0].node.machine().status().pending[0].id;
    act(&mut world, ModeratorAction::Approve(asking));
    world.run_for(secs(2));

    assert_eq!(refused(&mut world, Role::Control), Some(Refusal::Used));
    assert_eq!(refused(&mut world, Role::View), None, "the other link is another's");
    assert_eq!(refused(&mut world, Role::View), Some(Refusal::Used));
    assert_eq!(world.hosts[0].node.machine().members(), 2);
}

#[test]
fn who_came_by_a_link_from_before_has_not_used_the_new_one() {
    let mut world = World::new(5, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.links.once, host.config.approve) = (true, Approve::Control);
    world.add_host(host);
    world.run_for(secs(1));
    assert_eq!(refused(&mut world, Role::Control), None, "it waits to be let in");
    act(&mut world, ModeratorAction::Rotate);
    world.run_for(secs(1));
    let invite = world.hosts[0].node.endpoint().invite("http://rendezvous.test", Role::Control).expect("a host's");
    let second = comes(&mut world, invite);
    world.run_for(secs(3));
    let pending = world.hosts[0].node.machine().status().pending;
    assert_eq!((pending.len(), &world.viewers[second].exit), (1, &None), "the first is refused, and the second not");

    act(&mut world, ModeratorAction::Approve(pending[0].id));
    world.run_for(secs(3));

    assert_eq!(world.hosts[0].node.machine().members(), 1);
}

#[test]
fn links_that_expired_let_nobody_in_and_who_is_in_stays_and_comes_back() {
    let mut world = World::new(6, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.links.expire, host.paths) = (Some(secs(60)), Paths::Any);
    world.add_host(host);
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.paths = Paths::Any;
    world.add_viewer(plan);
    world.run_for(secs(59));
    everyone_joins(&mut world, secs(1)).unwrap_or_else(|who| panic!("{who}"));
    world.run_for(secs(5));

    assert_eq!(refused(&mut world, Role::Control), Some(Refusal::Expired));
    world.freeze(Who::Viewer(0));
    world.run_for(secs(40));
    assert_eq!(world.hosts[0].node.machine().members(), 0);
    world.thaw(Who::Viewer(0));
    world.run_for(secs(10));
    world.type_keys(0, "back\r");
    world.run_for(secs(1));
    assert_eq!((world.hosts[0].node.machine().members(), typed(&world).as_str()), (1, "back\r"));
}

/// Everything that may come from below for one link, in any order, before anybody decided.
fn anything(dice: &mut Dice, link: LinkId) -> Event {
    let attempt = dice.between(0, 3) as u16;
    let address = "192.0.2.1:9".parse().expect("an address");
    let candidate = Candidate { kind: CandidateKind::Host, address };
    let path = Path { local: address, remote: address, kind: PathKind::Direct };
    let up =
        Up { seq: 1, wants_ack: true, first: 1, events: vec![InputEvent::Keys(b"rm -rf".to_vec())], ..Up::default() };
    match dice.between(0, 12) {
        0 => Event::Envelope(link, Envelope::Answer(attempt)),
        1 => Event::Envelope(link, Envelope::Offer(attempt)),
        2 => Event::Envelope(link, Envelope::Candidate(attempt, candidate)),
        3 => Event::Candidate(link, attempt, candidate),
        4 => Event::Progress(link, attempt, Progress::Confirming),
        5 => Event::Confirmed(link, attempt, path),
        6 => Event::ControlUp(link, attempt),
        7 => Event::Message(link, Lane::Terminal, up.encode()),
        8 => Event::Message(link, Lane::Control, FromViewer::Size(beach_core::terminal::Size::new(9, 9)).encode()),
        9 => Event::Sas(link, beach_core::crypto::sas::Sas(7)),
        10 => Event::Path(link, attempt, path),
        11 => Event::Joined { link, role: Role::Control, versions: vec![1], resumes: None, from: None },
        _ => {
            let hello = Hello { name: "n".to_owned(), size: None, history: 0, capabilities: 0 };
            Event::Hello(link, if dice.percent(50) { Role::Control } else { Role::View }, hello)
        }
    }
}

#[test]
fn nothing_reaches_the_pty_before_the_host_said_yes_in_any_order_of_events() {
    let test = "nothing_reaches_the_pty_before_the_host_said_yes_in_any_order_of_events";
    let asked = for_each_seed(FILE, test, 0..10_000, |seed| {
        let mut dice = Dice::new(seed);
        let mut plan = HostPlan::new(1);
        plan.config.approve = Approve::Everybody;
        let mut host = Host::new(plan.config);
        let mut now = Timestamp::ZERO;
        let mut asked = false;
        let mut step = |host: &mut Host, input: HostInput, dice: &mut Dice| {
            now = now + dice.up_to(Duration::from_millis(20));
            host.handle(now, input);
            while let Some(output) = host.poll() {
                assert!(!matches!(output, HostOutput::Write(_) | HostOutput::WriteOwn(_)), "typed: {output:?}");
                asked |= matches!(output, HostOutput::Notice(HostNotice::Asks(..)));
            }
        };
        for event in [Event::SignalUp, Event::Registered] {
            step(&mut host, HostInput::Link(event), &mut dice);
        }
        for _ in 0..80 {
            let link = LinkId(dice.between(1, 2));
            let event = anything(&mut dice, link);
            step(&mut host, HostInput::Link(event), &mut dice);
            assert_eq!(host.members(), 0);
        }
        asked
    });
    let count = asked.iter().filter(|(_, asked)| *asked).count();
    assert!(count > asked.len() / 2, "most got as far as being asked about: {count}");
}

/// Joins with this invite, from now on.
fn comes<E: Engine>(world: &mut World<E>, invite: beach_core::crypto::invite::Invite) -> usize {
    let mut plan = ViewerPlan::new(invite);
    plan.paths = Paths::Any;
    world.add_viewer(plan)
}

fn rotated<E: Engine>(mut world: World<E>) {
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    let old = world.hosts[0].node.endpoint().invite("http://rendezvous.test", Role::Control).expect("a host's");
    for round in 0..6 {
        act(&mut world, ModeratorAction::Rotate);
        world.run_for(secs(1));
        let stranger = comes(&mut world, old.clone());
        world.run_for(secs(5));
        let exit = &world.viewers[stranger].exit;
        let refused = |refusal: &Refusal| matches!(refusal, Refusal::Expired | Refusal::NoSession);
        let turned_away = matches!(exit, Some((_, ViewerExit::Failed(failure))) if matches!(&failure.cause, Cause::Refused(refusal) if refused(refusal)));
        assert!(turned_away, "round {round}: {exit:?}");
        let invite = world.hosts[0].node.endpoint().invite("http://rendezvous.test", Role::View).expect("a host's");
        let new = comes(&mut world, invite);
        world.run_for(secs(5));
        assert!(world.viewers[new].exit.is_none(), "round {round}: {}", world.story(new));
        if round == 2 {
            // All members come back, whichever link they came by.
            for who in 0..world.viewers.len() {
                world.cut(Who::Viewer(who), true);
                world.break_signal(Who::Viewer(who));
                world.shut_out(Who::Viewer(who), true);
            }
            world.kill_rendezvous();
            world.run_for(secs(20));
            world.start_rendezvous();
            for who in 0..world.viewers.len() {
                world.cut(Who::Viewer(who), false);
                world.shut_out(Who::Viewer(who), false);
            }
            world.run_for(secs(40));
            let host = world.hosts[0].node.machine().status();
            assert!(host.members.len() == 4 && host.members.iter().all(|member| member.away.is_none()), "{host:?}");
            let back = |notice: &HostNotice| matches!(notice, HostNotice::Back(..));
            assert_eq!(world.hosts[0].notices.iter().filter(|(_, notice)| back(notice)).count(), 4);
        }
    }
    assert_eq!(world.hosts[0].node.machine().members(), 7);
    world.type_keys(0, "\x0cecho $((7*111))\r");
    assert!(world.run_until(secs(5), |world| shows(world.viewers[0].node.machine().screen(), "777")));
}

#[test]
fn other_links_let_others_in_and_who_is_in_stays_and_comes_back() {
    rotated(asked(World::new(5, fake_engine), Approve::Nobody, &[Role::Control]));
    determinism::run(5, || rotated(asked(real::world(5), Approve::Nobody, &[Role::Control])));
}

#[test]
fn who_was_removed_cannot_come_back_by_the_link_that_it_had() {
    let mut world = session(&[Role::Control, Role::View]);
    let old = world.hosts[0].node.endpoint().invite("http://rendezvous.test", Role::Control).expect("a host's");
    act(&mut world, ModeratorAction::Kick { member: FIRST, keep_links: false });
    world.run_for(secs(5));
    let again = comes(&mut world, old);
    world.run_for(secs(5));
    let exit = &world.viewers[again].exit;
    assert!(
        matches!(exit, Some((_, ViewerExit::Failed(failure))) if failure.cause == Cause::Refused(Refusal::Expired)),
        "{exit:?}"
    );
    assert_eq!(world.hosts[0].node.machine().members(), 1);
}

#[test]
fn who_types_more_than_anybody_can_waits_and_holds_nobody_up() {
    let mut world = session(&[Role::Control, Role::Control]);
    // The program takes all and prints nothing, so that only the limit counts.
    let began = world.now();
    let flood = "x".repeat(4096);
    let mut sent = 0;
    while world.now().since(began) < secs(10) {
        world.type_keys(0, &flood);
        sent += flood.len();
        world.run_for(ms(10));
    }
    let passed = typed(&world).len();
    let most = 256 * 1024 + 10 * 64 * 1024 + 8192;
    assert!(sent > 2 * most, "{sent}");
    assert!((most - 100_000..=most).contains(&passed), "{passed} of at most {most}");
    world.type_keys(1, "\x0cecho $((3*111))\r");
    let seen = world.run_until(ms(500), |world| typed(world).contains("111"));
    assert!(seen, "the other one is not held up");
}
