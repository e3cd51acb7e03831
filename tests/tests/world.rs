//! Whole sessions in the simulated world.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::time::Duration;

use beach_core::viewer::ViewerExit;
use beach_tests::determinism;
use beach_tests::sim::scenario::{Weather, everyone_joins, everyone_types, gather, noise_then_quiet, time_to_join};
use beach_tests::sim::{World, fake_engine, for_each_seed, real, secs};

const FILE: &str = "world";

/// A session in tier A: machines over made-up links for even seeds, endpoints over fake peers for odd ones.
fn session(seed: u64) -> (Duration, usize) {
    let mut world = World::new(seed, fake_engine);
    if seed.is_multiple_of(2) {
        world = world.bare();
    }
    gather(&mut world, Weather::Random(10));
    let worst = everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    (worst, world.viewers.len())
}

#[test]
fn whatever_the_network_does_everyone_joins_types_and_sees_what_the_host_has() {
    let test = "whatever_the_network_does_everyone_joins_types_and_sees_what_the_host_has";

    let done = for_each_seed(FILE, test, 0..1000, session);

    let viewers: usize = done.iter().map(|(_, (_, viewers))| viewers).sum();
    for tier in 0..2 {
        let mut joins: Vec<_> =
            done.iter().filter(|(seed, _)| seed % 2 == tier).map(|(seed, (worst, _))| (*worst, *seed)).collect();
        joins.sort();
        println!(
            "tier A{}: {} worlds, slowest join {:?}, median of the slowest {:?}",
            tier + 1,
            joins.len(),
            joins.last(),
            joins[joins.len() / 2]
        );
    }
    println!("{viewers} viewers");
}

/// A session over real ICE, DTLS and SCTP; returns how long each viewer took, or how the session failed.
fn real_session(seed: u64, loss: u64, within: Duration) -> Vec<Result<Duration, String>> {
    determinism::run(seed, move || {
        let mut world = real::world(seed);
        gather(&mut world, Weather::Loss(loss));
        let all_in = everyone_joins(&mut world, within).is_ok();
        if all_in && loss <= 5 {
            everyone_types(&mut world);
            noise_then_quiet(&mut world);
        }
        let outcome = |viewer: usize| match (time_to_join(&world, viewer), &world.viewers[viewer].exit) {
            (Some(took), _) => Ok(took),
            (None, Some((_, ViewerExit::Failed(failure)))) => Err(format!("{} ({:?})", failure.stage, failure.cause)),
            (None, other) => Err(format!("still at {:?}, {other:?}", world.viewers[viewer].node.machine().stage())),
        };
        (0..world.viewers.len()).map(outcome).collect()
    })
}

fn real_sessions(test: &str, loss: u64, within: Duration) -> Vec<Result<Duration, String>> {
    let done = for_each_seed(FILE, test, 0..20, move |seed| real_session(seed, loss, within));
    let outcomes: Vec<_> = done.into_iter().flat_map(|(_, outcomes)| outcomes).collect();
    let mut stages: BTreeMap<_, usize> = BTreeMap::new();
    for failure in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        *stages.entry(failure.clone()).or_default() += 1;
    }
    let mut joined: Vec<_> = outcomes.iter().flatten().collect();
    joined.sort();
    println!(
        "{loss} %: {} viewers, {} joined, median {:?}, slowest {:?}; failed at: {stages:?}",
        outcomes.len(),
        joined.len(),
        joined.get(joined.len() / 2),
        joined.last()
    );
    outcomes
}

#[test]
fn over_real_ice_dtls_and_sctp_everyone_joins_types_and_sees_what_the_host_has() {
    let test = "over_real_ice_dtls_and_sctp_everyone_joins_types_and_sees_what_the_host_has";

    let outcomes = real_sessions(test, 0, secs(20));

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn at_5_percent_loss_everyone_joins_within_40_seconds() {
    let outcomes = real_sessions("at_5_percent_loss_everyone_joins_within_40_seconds", 5, secs(40));

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn at_20_percent_loss_whoever_fails_names_the_stage() {
    let outcomes = real_sessions("at_20_percent_loss_whoever_fails_names_the_stage", 20, secs(90));

    for outcome in outcomes {
        if let Err(failure) = outcome {
            assert!(!failure.starts_with("still at"), "{failure}");
        }
    }
}
