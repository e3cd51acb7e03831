//! A run is a function of its seed, bytes included.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;

use beach_tests::determinism;
use beach_tests::sim::scenario::{Weather, everyone_joins, everyone_types, gather, noise_then_quiet};
use beach_tests::sim::{World, children, fake_engine, for_each_seed, is_child, real, secs};

const FILE: &str = "replay";

/// Seeds of tiers A1 and A2, in turn.
const IN_MEMORY: u64 = 1000;

/// Seeds of tier B, for each rate of loss.
const THROUGH_STR0M: u64 = 20;

/// In percent.
const LOSSES: [u64; 3] = [0, 5, 20];

/// The transcript of a session.
fn transcript(seed: u64) -> String {
    if let Some(beyond) = seed.checked_sub(IN_MEMORY) {
        let loss = LOSSES[usize::try_from(beyond / THROUGH_STR0M).expect("a small number") % LOSSES.len()];
        return determinism::run(seed, move || {
            let mut world = real::world(seed);
            gather(&mut world, Weather::Loss(loss));
            if everyone_joins(&mut world, secs(60)).is_ok() && loss < 20 {
                everyone_types(&mut world);
                noise_then_quiet(&mut world);
            } else {
                world.type_keys(0, "lines 100\r");
                world.run_for(secs(10));
            }
            world.transcript()
        });
    }
    let mut world = World::new(seed, fake_engine);
    if seed.is_multiple_of(2) {
        world = world.bare();
    }
    gather(&mut world, Weather::Random(10));
    everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    world.transcript()
}

#[test]
fn one_seed_is_one_transcript_on_any_thread_and_in_any_process() {
    let test = "one_seed_is_one_transcript_on_any_thread_and_in_any_process";
    let transcripts = || for_each_seed(FILE, test, 0..IN_MEMORY + THROUGH_STR0M * 3, transcript);
    let in_a_line = |transcripts: &[(u64, String)]| {
        transcripts.iter().map(|(seed, transcript)| format!("{seed}:{transcript}")).collect::<Vec<_>>().join(" ")
    };

    let here = transcripts();
    let elsewhere = children(test, &in_a_line(&here));

    if !is_child() {
        assert_eq!(here, transcripts(), "twice in one process");
        for there in elsewhere {
            for (ours, theirs) in in_a_line(&here).split(' ').zip(there.split(' ')) {
                assert_eq!(ours, theirs, "two processes");
            }
        }
        let different: BTreeSet<_> = here.iter().map(|(_, transcript)| transcript).collect();
        assert_eq!(different.len(), here.len(), "different seeds are different transcripts");
    }
}
