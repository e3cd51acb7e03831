//! From "joining" to the first screen: who gets in, who waits, who is refused, and which failure each side reports.
#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::rc::Rc;

use beach_core::crypto::invite::Invite;
use beach_core::endpoint::note::{Note, Step};
use beach_core::host::{HostExit, HostNotice, MAX_VIEWERS};
use beach_core::id::LinkId;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{Command, Envelope, Event, LinkDown, Refusal};
use beach_core::viewer::{ViewerExit, ViewerNotice};
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};
use beach_tests::determinism;
use beach_tests::sim::scenario::{Weather, everyone_joins, gather, quiet, time_to_join};
use beach_tests::sim::{
    FakeEngine, HostPlan, Signal, ViewerPlan, Who, Wire, World, fake_engine, for_each_seed, host_secrets, ms, real,
    secs, shows,
};

fn world() -> World<FakeEngine> {
    World::new(1, fake_engine)
}

fn is_live<E: Engine>(world: &World<E>, viewer: usize) -> bool {
    world.viewers[viewer].node.machine().stage() == Stage::Live && world.viewers[viewer].exit.is_none()
}

fn failure<E: Engine>(world: &World<E>, viewer: usize) -> &Failure {
    match &world.viewers[viewer].exit {
        Some((_, ViewerExit::Failed(failure))) => failure,
        other => panic!("{other:?}, not a failure"),
    }
}

fn refusal<E: Engine>(world: &World<E>, viewer: usize) -> &Refusal {
    match &failure(world, viewer).cause {
        Cause::Refused(refusal) => refusal,
        other @ (Cause::NoAnswer
        | Cause::Signal(_)
        | Cause::Down(_)
        | Cause::DownThere(_)
        | Cause::Gone
        | Cause::Left
        | Cause::NoControl) => {
            panic!("{other:?}, not a refusal")
        }
    }
}

/// Why handshakes failed at the host.
fn failures_at_host<E: Engine>(world: &World<E>) -> Vec<&Failure> {
    let notices = world.hosts[0].notices.iter();
    notices
        .filter_map(|(_, notice)| if let HostNotice::Failed(_, failure) = notice { Some(failure) } else { None })
        .collect()
}

fn with_key_of(mut invite: Invite, other: &Invite) -> Invite {
    invite.key = other.key.clone();
    invite
}

#[test]
fn a_wrong_key_of_the_right_form_is_refused_and_counted_and_nothing_reaches_the_pty() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    let right = host_secrets(1).invite("http://rendezvous.test", Role::Control);
    let wrong = [
        with_key_of(right.clone(), &host_secrets(2).invite("", Role::Control)),
        // The view key, used as a control key: people who may only watch cannot make themselves typists.
        with_key_of(right.clone(), &host_secrets(1).invite("", Role::View)),
        // The control key itself opens no door that only its derivative opens.
        with_key_of(host_secrets(1).invite("", Role::View), &right),
    ];
    world.run_for(ms(500));
    for invite in wrong {
        let viewer = world.add_viewer(ViewerPlan::new(invite));
        world.type_keys(viewer, "rm -rf /\r");
    }

    world.run_for(secs(10));

    for viewer in 0..3 {
        assert_eq!(refusal(&world, viewer), &Refusal::WrongKey);
        assert_eq!(failure(&world, viewer).stage, Stage::Authenticating);
    }
    let counts: Vec<_> = world.hosts[0]
        .notices
        .iter()
        .filter_map(|(_, notice)| if let HostNotice::WrongKey(_, count) = notice { Some(*count) } else { None })
        .collect();
    assert_eq!(counts, [1, 2, 3]);
    assert!(world.hosts[0].written.is_empty());
    assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0), "no ICE or DTLS state was made for them");
}

#[test]
fn an_unknown_session_is_refused_at_once() {
    let mut world = world();
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));

    world.run_for(secs(1));

    assert_eq!(refusal(&world, viewer), &Refusal::NoSession);
}

/// Refuses each join of the viewer and each registration because too many come, as long as `is_busy` says; counts how
/// many.
fn refuse_as_busy(world: &mut World<FakeEngine>, is_busy: &Rc<Cell<bool>>) -> Rc<Cell<u32>> {
    let refused = Rc::new(Cell::new(0));
    let (count, is_busy) = (refused.clone(), is_busy.clone());
    world.meddler = Some(Box::new(move |_, signal| {
        let link = match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Join { link, .. }) if signal.up => Some(link),
            Ok(ToRendezvous::Register { .. }) if signal.up => None,
            _ => return vec![signal],
        };
        if !is_busy.get() {
            return vec![signal];
        }
        count.set(count.get() + 1);
        let text = to_text(&FromRendezvous::Refused { link, reason: Refusal::Busy });
        vec![Signal { up: false, text, ..signal }]
    }));
    refused
}

#[test]
fn a_viewer_whom_a_crowd_keeps_out_asks_again_for_ten_seconds_and_gets_in_soon_after_there_is_room() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let is_busy = Rc::new(Cell::new(true));
    let refused = refuse_as_busy(&mut world, &is_busy);
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.run_for(secs(9));
    assert!((6..30).contains(&refused.get()), "{} tries", refused.get());
    is_busy.set(false);
    assert!(world.run_until(secs(2), |world| is_live(world, viewer)), "{}", world.story(viewer));

    is_busy.set(true);
    let late = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.run_for(ms(9_900));
    assert!(world.viewers[late].exit.is_none(), "{}", world.story(late));
    world.run_for(ms(2_000));
    assert_eq!((refusal(&world, late), failure(&world, late).stage), (&Refusal::Busy, Stage::ReachingRendezvous));
    assert!(is_live(&world, viewer));
}

#[test]
fn a_host_whom_a_crowd_keeps_out_registers_as_soon_as_there_is_room() {
    let mut world = world();
    let is_busy = Rc::new(Cell::new(true));
    let refused = refuse_as_busy(&mut world, &is_busy);
    world.add_host(HostPlan::new(1));
    world.run_for(secs(3));
    assert!(refused.get() >= 2 && world.hosts[0].exit.is_none(), "{} tries", refused.get());
    is_busy.set(false);
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.wait = Some(secs(60));
    let viewer = world.add_viewer(plan);
    assert!(world.run_until(secs(8), |world| is_live(world, viewer)), "{}", world.story(viewer));
}

#[test]
fn with_wait_a_viewer_that_comes_first_joins_once_the_host_comes() {
    let mut world = world();
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.wait = Some(secs(60));
    let viewer = world.add_viewer(plan);
    world.run_for(secs(20));
    assert!(world.viewers[viewer].exit.is_none());

    world.add_host(HostPlan::new(1));

    assert!(world.run_until(secs(3), |world| is_live(world, viewer)), "{}", world.story(viewer));
}

#[test]
fn a_viewer_of_a_registered_session_waits_while_the_host_is_away_and_joins_when_it_is_back() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    world.shut_out(Who::Host(0), true);
    world.break_signal(Who::Host(0));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.run_for(secs(20));
    assert_eq!(world.viewers[viewer].node.machine().stage(), Stage::WaitingForHost, "{}", world.story(viewer));

    world.shut_out(Who::Host(0), false);

    assert!(world.run_until(secs(15), |world| is_live(world, viewer)), "{}", world.story(viewer));
}

#[test]
fn a_host_that_stays_away_ends_the_wait_with_its_stage() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    world.shut_out(Who::Host(0), true);
    world.break_signal(Who::Host(0));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));

    world.run_for(secs(80));

    assert_eq!((failure(&world, viewer).stage, refusal(&world, viewer)), (Stage::WaitingForHost, &Refusal::NoSession));
}

#[test]
fn every_handshake_has_its_own_state_so_128_viewers_at_once_all_get_in_and_the_129th_is_told_that_it_is_full() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    for viewer in 0..MAX_VIEWERS {
        let mut plan = ViewerPlan::of(1, Role::Control);
        // The other side must hear the one that leaves.
        plan.wire = if viewer == 3 { Wire::steady(ms(10)) } else { Wire::random(&mut world.dice, 5) };
        world.add_viewer(plan);
    }
    everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    let last = world.add_viewer(ViewerPlan::of(1, Role::Control));

    world.run_for(secs(5));

    assert_eq!(world.hosts[0].node.machine().members(), MAX_VIEWERS);
    assert_eq!(refusal(&world, last), &Refusal::Full);
    world.viewer_input(3, beach_core::viewer::ViewerInput::Leave);
    let left = |world: &World<FakeEngine>| world.hosts[0].node.machine().members() == MAX_VIEWERS - 1;
    assert!(world.run_until(secs(5), left), "{}", world.story(3));
    let next = world.add_viewer(ViewerPlan::of(1, Role::Control));
    assert!(world.run_until(secs(5), |world| is_live(world, next)), "there is room again: {}", world.story(next));
}

#[test]
fn keys_typed_before_the_link_is_up_wait_for_it() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.type_keys(viewer, "echo $((6*7))\r");

    let seen = world.run_until(secs(5), |world| shows(world.viewers[viewer].node.machine().screen(), "42"));

    assert!(seen, "{}", world.story(viewer));
    assert_eq!(world.hosts[0].written, b"echo $((6*7))\r");
}

/// Tier A1 makes offers, answers and candidates overtake one another, repeats them, and lets candidates come first.
#[test]
fn any_permutation_repetition_or_early_arrival_of_offer_answer_and_candidates_ends_in_the_same_link() {
    let test = "any_permutation_repetition_or_early_arrival_of_offer_answer_and_candidates_ends_in_the_same_link";
    for_each_seed("handshake", test, 5000..5200, |seed| {
        let mut world = World::new(seed, fake_engine).bare();
        world.keeps_commands = true;
        gather(&mut world, Weather::Random(10));

        everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));

        let viewers = world.viewers.len();
        assert_eq!(world.hosts[0].node.machine().members(), viewers);
        for (_, who, command) in &world.commands {
            match (who, command) {
                (
                    Who::Viewer(_),
                    Command::Open(..) | Command::Envelope(_, Envelope::Offer(_)) | Command::Verdict(..),
                ) => {
                    panic!("only the host offers and judges")
                }
                (Who::Host(_), Command::Envelope(_, Envelope::Answer(_))) => panic!("the host never answers"),
                _ => {}
            }
        }
        for viewer in 0..viewers {
            let first = |wanted: &dyn Fn(&Command) -> bool| {
                world.commands.iter().position(|(_, who, command)| *who == Who::Viewer(viewer) && wanted(command))
            };
            let accept = first(&|command| matches!(command, Command::Accept(..)));
            let answer = first(&|command| matches!(command, Command::Envelope(_, Envelope::Answer(_))));
            assert!(accept.is_some() && accept < answer, "an answerer exists before it answers");
        }
    });
}

#[test]
fn an_answerer_exists_only_once_an_offer_does() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    // The host's offer never comes.
    world.meddler =
        Some(Box::new(|_, signal| if is_numbered(&signal, Who::Viewer(0)) { Vec::new() } else { vec![signal] }));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.run_for(secs(5));

    assert_eq!(world.viewers[viewer].node.endpoint().held(), (1, 0, 0), "a link, and no peer");

    world.run_for(secs(20));
    assert_eq!((failure(&world, viewer).stage, &failure(&world, viewer).cause), (Stage::Offer, &Cause::NoAnswer));
}

#[test]
fn an_offer_from_a_viewer_and_an_answer_from_a_host_are_ignored() {
    let mut world = world().bare();
    world.keeps_commands = true;
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    assert!(world.run_until(secs(5), |world| world.hosts[0].node.machine().links() == 1));
    let joined = |command: &Command| if let Command::Join(link, _) = command { Some(*link) } else { None };
    let link: LinkId = world.commands.iter().find_map(|(_, _, command)| joined(command)).expect("it joined");
    let before = world.commands.len();

    for envelope in [Envelope::Offer(7), Envelope::Verdict(beach_core::session::link::Verdict::Accepted)] {
        world.link_event(Who::Host(0), Event::Envelope(link, envelope));
    }
    world.link_event(Who::Viewer(viewer), Event::Envelope(link, Envelope::Answer(7)));

    assert_eq!(world.commands.len(), before);
    assert!(world.run_until(secs(5), |world| is_live(world, viewer)));
}

/// Messages lost in signalling are retransmitted by the sealing.
#[test]
fn a_rendezvous_that_loses_repeats_and_reorders_envelopes_only_makes_it_slower() {
    let test = "a_rendezvous_that_loses_repeats_and_reorders_envelopes_only_makes_it_slower";
    for_each_seed("handshake", test, 0..100, |seed| {
        let mut world = World::new(seed, fake_engine);
        world.meddler = Some(Box::new(|dice, mut signal: Signal| {
            if !signal.text.contains(r#""type":"envelope""#) {
                return vec![signal];
            }
            signal.late = dice.up_to(ms(300));
            let copies = if dice.percent(8) { 0 } else { dice.between(1, 3) as usize };
            vec![signal; copies]
        }));
        gather(&mut world, Weather::Random(5));

        everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
        quiet(&mut world);
    });
}

#[test]
fn repeated_envelopes_are_not_taken_for_forged_ones() {
    let mut world = world();
    world.meddler = Some(Box::new(|_, signal: Signal| {
        let copies = if signal.text.contains(r#""type":"envelope""#) { 3 } else { 1 };
        vec![signal; copies]
    }));
    let mut host = HostPlan::new(1);
    host.signal = Wire::steady(ms(5));
    world.add_host(host);
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.signal = Wire::steady(ms(5));
    let viewer = world.add_viewer(plan);
    world.run_for(secs(5));

    assert!(is_live(&world, viewer));
    for (at, note) in world.hosts[0].notes.iter().chain(&world.viewers[viewer].notes) {
        assert!(!matches!(note.step, Step::EnvelopeDropped(_)), "{at:?}: {note:?}");
    }
}

#[test]
fn a_lost_hello_is_repeated_once_and_a_note_says_so() {
    let mut world = world();
    let hellos = Rc::new(Cell::new(0));
    let count = hellos.clone();
    world.meddler = Some(Box::new(move |_, signal: Signal| {
        if !signal.up || kind(&signal) != Some(1) {
            return vec![signal];
        }
        count.set(count.get() + 1);
        if count.get() == 1 { Vec::new() } else { vec![signal] }
    }));
    world.add_host(HostPlan::new(1));
    world.run_for(ms(500));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.run_for(secs(5));

    assert!(is_live(&world, viewer));
    assert_eq!(hellos.get(), 2);
    let repeated =
        |notes: &[(_, Note)]| notes.iter().filter(|(_, note)| matches!(note.step, Step::Repeated(_))).count();
    let once = |(_, note): &(_, Note)| note.step == Step::Repeated(1);
    assert!(world.viewers[viewer].notes.iter().any(once));
    assert_eq!((repeated(&world.viewers[viewer].notes), repeated(&world.hosts[0].notes)), (1, 0));
}

#[test]
fn a_loopback_join_takes_well_under_300_ms() {
    let took = determinism::run(3, || {
        let mut world = real::world(3);
        let near = Wire::steady(ms(0));
        let mut host = HostPlan::new(1);
        host.signal = near;
        world.add_host(host);
        world.run_for(secs(1));
        let mut plan = ViewerPlan::of(1, Role::Control);
        (plan.signal, plan.wire) = (near, near);
        let viewer = world.add_viewer(plan);
        world.run_for(secs(2));
        time_to_join(&world, viewer).expect("it joined")
    });
    println!("{took:?} of waiting in a loopback join");

    assert!(took < ms(100), "{took:?} of pure waiting");
}

// The lost message, and the stage that reports the loss.

/// An envelope after the two of the key exchange.
fn is_numbered(signal: &Signal, to_or_from: Who) -> bool {
    kind(signal) == Some(3) && signal.who == to_or_from
}

/// The first byte of an envelope.
fn kind(signal: &Signal) -> Option<u8> {
    let data = if signal.up {
        match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Envelope { data, .. }) => Some(data),
            _ => None,
        }
    } else {
        match parse_from_rendezvous(&signal.text) {
            Ok(FromRendezvous::Envelope { data, .. }) => Some(data),
            _ => None,
        }
    };
    data.and_then(|data| data.0.first().copied())
}

type Loss = fn(&Signal) -> bool;

#[test]
fn whatever_goes_missing_for_good_both_sides_end_and_name_the_stage() {
    let cases: [(&str, Loss, Stage, Option<Stage>); 5] = [
        (
            "the viewer's first message",
            |signal| signal.up && kind(signal) == Some(1),
            Stage::Authenticating,
            Some(Stage::Authenticating),
        ),
        (
            "the host's first message",
            |signal| signal.up && kind(signal) == Some(2),
            Stage::Authenticating,
            Some(Stage::Answer),
        ),
        ("everything after", |signal| kind(signal) == Some(3), Stage::Offer, Some(Stage::Answer)),
        (
            "the host's envelopes",
            |signal| !signal.up && is_numbered(signal, Who::Viewer(0)),
            Stage::Offer,
            Some(Stage::Answer),
        ),
        (
            "the viewer's envelopes",
            |signal| !signal.up && is_numbered(signal, Who::Host(0)),
            Stage::Securing,
            Some(Stage::Answer),
        ),
    ];
    for (what, is_lost, at_viewer, at_host) in cases {
        let mut world = world();
        world.add_host(HostPlan::new(1));
        world.run_for(secs(1));
        world.meddler = Some(Box::new(move |_, signal| if is_lost(&signal) { Vec::new() } else { vec![signal] }));
        let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));

        world.run_for(secs(40));

        assert_eq!(failure(&world, viewer).stage, at_viewer, "without {what}");
        let stages: Vec<_> = failures_at_host(&world).iter().map(|failure| failure.stage).collect();
        assert_eq!(stages.first().copied(), at_host, "without {what}: {:?}", world.hosts[0].notices);
        assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0), "without {what}");
    }
}

#[test]
fn when_no_datagram_arrives_both_sides_say_checking_paths_and_which_addresses_they_tried() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.cut(Who::Viewer(viewer), true);

    world.run_for(secs(40));

    let (there, here) = (failure(&world, viewer), failures_at_host(&world)[0]);
    assert_eq!((there.stage, here.stage), (Stage::CheckingPaths, Stage::CheckingPaths));
    for failure in [there, here] {
        assert!(!failure.local.is_empty() && !failure.remote.is_empty(), "{failure:?}");
        assert!(failure.after >= secs(5), "{failure:?}");
    }
}

#[test]
fn a_link_that_begins_to_pass_datagrams_late_still_comes_up_with_a_fresh_attempt() {
    for late in [2, 6, 9, 12] {
        let mut world = world();
        world.add_host(HostPlan::new(1));
        world.run_for(secs(1));
        let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
        world.cut(Who::Viewer(viewer), true);
        world.run_for(secs(late));

        world.cut(Who::Viewer(viewer), false);

        assert!(world.run_until(secs(6), |world| is_live(world, viewer)), "after {late} s: {}", world.story(viewer));
    }
}

#[test]
fn a_rendezvous_that_is_not_there_is_named_by_viewer_and_host_after_15_seconds() {
    let mut world = world();
    world.kill_rendezvous();
    world.add_host(HostPlan::new(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));

    world.run_for(secs(20));

    assert_eq!(failure(&world, viewer).stage, Stage::ReachingRendezvous);
    assert!(matches!(&failure(&world, viewer).cause, Cause::Signal(cause) if cause == "connection refused"));
    let exit = world.hosts[0].exit.clone().expect("it ended");
    assert!(exit.0.since_start() < secs(16), "{exit:?}");
    assert!(matches!(exit.1, HostExit::Failed(failure) if failure.stage == Stage::ReachingRendezvous));
    let unreachable = |notice: &ViewerNotice| matches!(notice, ViewerNotice::Unreachable(_));
    assert!(
        world.viewers[viewer].notices.iter().any(|(_, notice)| unreachable(notice)),
        "it is said while it is tried"
    );
}

#[test]
fn a_rendezvous_that_never_answers_is_named_too() {
    let mut world = world();
    world.mute_rendezvous(true);
    world.add_host(HostPlan::new(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));

    world.run_for(secs(60));

    assert_eq!(failure(&world, viewer).stage, Stage::ReachingRendezvous);
    assert!(
        matches!(&world.hosts[0].exit, Some((_, HostExit::Failed(failure))) if failure.stage == Stage::ReachingRendezvous)
    );
}

#[test]
fn an_engine_without_an_address_says_so_on_both_sides() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    world.no_addresses(Who::Viewer(viewer));

    world.run_for(secs(10));

    assert_eq!(failure(&world, viewer).cause, Cause::Down(LinkDown::NoAddress));
    assert_eq!(failures_at_host(&world)[0].cause, Cause::DownThere(LinkDown::NoAddress));
}

#[test]
fn nobody_but_the_host_can_register_its_session_whether_it_is_there_or_not() {
    let mut world = world();
    world.add_host(HostPlan::new(1));
    world.run_for(secs(1));
    let register = world.rendezvous_heard.iter().find(|text| text.contains("register")).expect("it registered").clone();
    let Ok(ToRendezvous::Register { session, commitment, mut token, turn }) = parse_to_rendezvous(&register) else {
        panic!("{register}")
    };
    token.0[0] ^= 1;
    let forged = beach_core::wire::signal::to_text(&ToRendezvous::Register { session, commitment, token, turn });
    // A restarted rendezvous remembers nothing.
    world.shut_out(Who::Host(0), true);
    world.kill_rendezvous();
    world.start_rendezvous();
    let mut other = HostPlan::new(2);
    other.config.seed = [9; 32];
    world.add_host(other);
    world.run_for(secs(2));

    world.say_to_rendezvous(Who::Host(1), forged);
    world.run_for(secs(1));

    assert_eq!(world.rendezvous().expect("alive").counts().0, 1, "only its own session");
    world.shut_out(Who::Host(0), false);
    world.run_for(secs(15));
    assert_eq!(world.rendezvous().expect("alive").counts().0, 2, "the host came back, and is still the host");
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    assert!(world.run_until(secs(5), |world| is_live(world, viewer)), "{}", world.story(viewer));
}
