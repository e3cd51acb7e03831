//! A run is a function of its seed, bytes included.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;

use beach_tests::determinism;
use beach_tests::sim::scenario::{Weather, everyone_joins, everyone_types, gather, noise_then_quiet};
use beach_tests::sim::{World, child, fake_engine, for_each_seed, is_child, real, secs};

const FILE: &str = "replay";

/// Seeds of tiers A1 and A2, in turn.
const IN_MEMORY: u64 = 1000;

/// Seeds of tier B, at each rate of loss.
const THROUGH_STR0M: u64 = 100;

/// In percent. The seeds of tier B take them in turn.
const LOSSES: [u64; 4] = [0, 5, 20, 40];

/// A session that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Played {
    /// The digest of everything that everybody put out, each datagram included, and when.
    transcript: String,
    /// Everybody got in.
    joined: bool,
}

fn in_memory(seed: u64) -> Played {
    let mut world = World::new(seed, fake_engine);
    if seed.is_multiple_of(2) {
        world = world.bare();
    }
    gather(&mut world, Weather::Random(10));
    everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    everyone_types(&mut world);
    noise_then_quiet(&mut world);
    Played { transcript: world.transcript(), joined: true }
}

fn loss_of(seed: u64) -> u64 {
    LOSSES[(seed % LOSSES.len() as u64) as usize]
}

fn through_str0m(seed: u64) -> Played {
    determinism::run(seed, move || {
        let mut world = real::world(seed);
        gather(&mut world, Weather::Loss(loss_of(seed)));
        let joined = everyone_joins(&mut world, secs(60)).is_ok();
        if joined && loss_of(seed) < 20 {
            everyone_types(&mut world);
            noise_then_quiet(&mut world);
        } else {
            world.type_keys(0, "lines 100\r");
            world.run_for(secs(10));
        }
        Played { transcript: world.transcript(), joined }
    })
}

/// Plays these seeds twice in this process, on any threads, and once in another one.
fn replays(test: &str, count: u64, play: fn(u64) -> Played) -> Vec<(u64, Played)> {
    let all = || for_each_seed(FILE, test, 0..count, play);
    let here = all();
    let in_a_line =
        here.iter().map(|(seed, played)| format!("{seed}:{}", played.transcript)).collect::<Vec<_>>().join(" ");
    let elsewhere = child(test, &in_a_line);
    if let Some(there) = elsewhere {
        assert_eq!(here, all(), "twice in one process");
        for (ours, theirs) in in_a_line.split(' ').zip(there.split(' ')) {
            assert_eq!(ours, theirs, "two processes");
        }
        assert_eq!(in_a_line.len(), there.len(), "two processes play the same seeds");
        let different: BTreeSet<_> = here.iter().map(|(_, played)| &played.transcript).collect();
        assert_eq!(different.len(), here.len(), "different seeds are different transcripts");
    }
    here
}

#[test]
fn one_seed_is_one_transcript_on_any_thread_and_in_any_process() {
    replays("one_seed_is_one_transcript_on_any_thread_and_in_any_process", IN_MEMORY, in_memory);
}

#[test]
fn real_ice_dtls_and_sctp_repeat_byte_for_byte_at_any_loss() {
    let test = "real_ice_dtls_and_sctp_repeat_byte_for_byte_at_any_loss";
    let played = replays(test, THROUGH_STR0M * LOSSES.len() as u64, through_str0m);
    if is_child() {
        return;
    }
    for loss in LOSSES {
        let at_it: Vec<_> = played.iter().filter(|(seed, _)| loss_of(*seed) == loss).collect();
        let joined = at_it.iter().filter(|(_, played)| played.joined).count();
        println!("{loss} % lost: everybody joined in {joined} of {} sessions", at_it.len());
        // With BEACH_SEED and BEACH_SEEDS there may be too few to tell.
        let is_enough = at_it.len() < THROUGH_STR0M as usize || joined > 0;
        assert!(is_enough, "at a loss of {loss} % the sessions are of somebody who is in");
    }
}
