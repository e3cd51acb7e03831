//! Random worlds with a checker for every promise, and faults that are put back to see that the checkers find them.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use beach_core::faults::{self, Fault};
use beach_tests::sim::swarm::{Layer, Outcome, Promise, Script, judge, play, random, read_script, slices};
use beach_tests::sim::{child, for_each_seed};

const FILE: &str = "swarm";

/// Plays the worlds of these seeds over this layer, and prints what they did.
fn worlds(test: &str, layer: Layer, count: u64) {
    let asked = std::env::var("BEACH_WORLDS").ok().and_then(|count| count.parse().ok());
    let began = Instant::now();
    let mut outcomes: Vec<Outcome> = Vec::new();
    slices(test, 0..asked.unwrap_or(count), |seeds| {
        let done = for_each_seed(FILE, test, seeds, |seed| {
            judge(&random(seed, layer)).unwrap_or_else(|failure| panic!("{failure}"))
        });
        outcomes.extend(done.into_iter().map(|(_, outcome)| outcome));
    });
    let sum = |part: fn(&Outcome) -> u64| outcomes.iter().map(part).sum::<u64>();
    println!(
        "{} worlds in {:?}: {} virtual seconds, {} viewers, {} of them members, {} words",
        outcomes.len(),
        began.elapsed(),
        sum(|it| it.lasted.as_secs()),
        sum(|it| it.viewers as u64),
        sum(|it| it.members as u64),
        sum(|it| it.words as u64)
    );
}

#[test]
fn in_random_worlds_every_promise_is_kept() {
    worlds("in_random_worlds_every_promise_is_kept", Layer::Fake, 2000);
}

#[test]
fn over_real_ice_dtls_and_sctp_every_promise_is_kept() {
    worlds("over_real_ice_dtls_and_sctp_every_promise_is_kept", Layer::Str0m, 300);
}

#[test]
fn the_script_of_a_file_keeps_every_promise() {
    if let Some(script) = read_script() {
        judge(&script).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn a_script_is_read_as_it_is_printed() {
    for seed in 0..200 {
        let script = random(seed, Layer::Fake);
        assert_eq!(Script::parse(&script.to_text()), Ok(script));
    }
    assert!(Script::parse("{}").is_err_and(|error| error.contains("seed")), "a plan without a seed");
}

/// The promises that a fault breaks, each with the seed of a world in which its checker is the first to see the fault.
/// A change of the generator or of the machines may lead to another seed, which is then looked for.
fn shown_by(fault: Fault) -> &'static [(Promise, u64)] {
    match fault {
        Fault::WithdrawnInvites => &[(Promise::WithdrawnInvite, 15)],
        Fault::ApprovalLostInPause => &[(Promise::Listed, 36)],
        Fault::ApprovalLostAtResume => &[(Promise::ApprovedGetIn, 440)],
        Fault::ApprovedAreHidden => &[(Promise::Listed, 36)],
        Fault::AskedAreHidden => &[(Promise::Listed, 2)],
        Fault::DeniedAreListed => &[(Promise::Listed, 2)],
        Fault::Unasked => &[(Promise::Approval, 2)],
        Fault::OnceIsOften => &[(Promise::Once, 9)],
        Fault::NeverFull => &[(Promise::Places, 68)],
        Fault::PasteBeforeOwnKeys => &[(Promise::OwnKeysFirst, 443)],
        Fault::UnreadBeforeOwnKeys => &[(Promise::OwnKeysFirst, 11)],
        Fault::ViewersType => &[(Promise::MayType, 8)],
        Fault::RevokedInputStays => &[(Promise::UnreadTakenBack, 66), (Promise::MayType, 605)],
        Fault::InputTwice => &[(Promise::OnceInOrder, 0)],
        Fault::InputGaps => &[(Promise::NothingLost, 14)],
        Fault::SkippedInputStays => &[(Promise::NothingLost, 469)],
        Fault::PauseShows => &[(Promise::NothingInPause, 12)],
        Fault::LostLines => &[(Promise::EqualScreens, 16)],
        Fault::ScrollbackTwice => &[(Promise::Scrollback, 80)],
        Fault::AnsweredTwice => &[(Promise::OneAnswer, 3)],
        Fault::KickedStay => &[(Promise::Listed, 3)],
        Fault::EndlessStage => &[(Promise::Deadlines, 14)],
        Fault::WrongExitCode => &[(Promise::Ending, 0)],
        Fault::CrowdedOut => &[(Promise::OneAddress, 70)],
        Fault::SessionsStay => &[(Promise::NothingStays, 31)],
        Fault::EverybodyControls => &[(Promise::ProvedRole, 0)],
        Fault::NoRedial => &[(Promise::Newcomer, 5)],
        Fault::WrongRows => &[(Promise::TrueLines, 841)],
        Fault::NeverBack => &[(Promise::Liveness, 42)],
        Fault::NoGoodbye => &[(Promise::Ending, 0)],
        Fault::SilentResume => &[(Promise::Told, 26)],
        Fault::SilentRole => &[(Promise::Told, 88)],
        Fault::SilentHost => &[(Promise::Told, 0)],
        Fault::Untouched => &[(Promise::Assertions, 0)],
    }
}

/// The seed of a world in which the checker of this promise is the first to see a fault.
fn found_at(fault: Fault, promise: Promise, seed: u64) -> Option<u64> {
    std::iter::once(seed).chain(0..2000).find(|seed| {
        let mut script = random(*seed, Layer::Fake);
        script.plan.fault = Some(fault);
        play(&script).is_err_and(|broken| broken.promise == promise)
    })
}

#[test]
fn faults_that_are_put_back_are_found_in_random_worlds() {
    let next = AtomicU64::new(0);
    let all =
        faults::ALL.iter().flat_map(|fault| shown_by(*fault).iter().map(|(promise, seed)| (*fault, *promise, *seed)));
    let all: Vec<_> = all.collect();
    let find = || {
        let mut found = Vec::new();
        while let Some((fault, promise, seed)) = all.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let began = Instant::now();
            let seed = found_at(*fault, *promise, *seed);
            println!("{fault:?} by {promise:?}: {seed:?}, after {:?}", began.elapsed());
            found.push((*fault, *promise, seed));
        }
        found
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(find)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no checker panics")).collect()
    });
    let missed: Vec<_> = found.iter().filter(|(.., seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not found in 2,000 worlds: {missed:?}");
}

/// Short scripts, each of which keeps every promise, but not with the fault that it is named after.
const SCRIPTS: &[(Fault, &str)] = &[
    (Fault::ApprovalLostInPause, include_str!("swarm/approval_lost_in_pause.script")),
    (Fault::ApprovalLostAtResume, include_str!("swarm/approval_lost_at_resume.script")),
    (Fault::AskedAreHidden, include_str!("swarm/asked_are_hidden.script")),
    (Fault::DeniedAreListed, include_str!("swarm/denied_are_listed.script")),
    (Fault::AnsweredTwice, include_str!("swarm/answered_twice.script")),
    (Fault::KickedStay, include_str!("swarm/kicked_stay.script")),
    (Fault::EndlessStage, include_str!("swarm/endless_stage.script")),
    (Fault::WrongExitCode, include_str!("swarm/wrong_exit_code.script")),
    (Fault::EverybodyControls, include_str!("swarm/everybody_controls.script")),
    (Fault::NoRedial, include_str!("swarm/no_redial.script")),
    (Fault::ScrollbackTwice, include_str!("swarm/scrollback_twice.script")),
    (Fault::SessionsStay, include_str!("swarm/sessions_stay.script")),
    (Fault::CrowdedOut, include_str!("swarm/crowded_out.script")),
    (Fault::InputGaps, include_str!("swarm/input_gaps.script")),
    (Fault::SilentRole, include_str!("swarm/silent_role.script")),
    (Fault::SkippedInputStays, include_str!("swarm/skipped_input_stays.script")),
    (Fault::NoGoodbye, include_str!("swarm/no_goodbye.script")),
    (Fault::LostLines, include_str!("swarm/lost_lines.script")),
];

#[test]
fn a_short_script_shows_a_fault_and_nothing_without_it() {
    for (fault, text) in SCRIPTS {
        let mut script = Script::parse(text).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        play(&script).unwrap_or_else(|broken| panic!("without {fault:?}: {broken}"));
        script.plan.fault = Some(*fault);
        let broken = play(&script).expect_err(&format!("with {fault:?} a promise is broken"));
        let is_shown = shown_by(*fault).iter().any(|(promise, _)| *promise == broken.promise);
        assert!(is_shown, "{fault:?}: {broken}");
    }
}

#[test]
fn a_world_is_a_function_of_its_seed_in_any_process() {
    let test = "a_world_is_a_function_of_its_seed_in_any_process";
    let transcripts = for_each_seed(FILE, test, 0..60, |seed| {
        let layer = if seed < 50 { Layer::Fake } else { Layer::Str0m };
        play(&random(seed, layer)).map(|outcome| outcome.transcript).unwrap_or_else(|broken| panic!("{broken}"))
    });
    let line = transcripts.iter().map(|(seed, hash)| format!("{seed}:{hash}")).collect::<Vec<_>>().join(" ");

    if let Some(there) = child(test, &line) {
        assert_eq!(there, line, "two processes");
    }
}
