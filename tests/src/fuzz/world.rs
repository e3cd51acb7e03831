//! Bytes as a script of the swarm: a plan, then a step after the other, played over the fake peer beside the model,
//! with the checkers of all promises.

use beach_core::host::{Approve, MAX_VIEWERS};
use beach_core::role::Role;

use super::choices::Choices;
use crate::sim::Behaviour;
use crate::sim::swarm::{Ending, Invited, Keep, Layer, Plan, Router, Script, Step, play};

/// Most steps of a script, as many as the longest that the swarm draws. The rest of the input is not read.
const MAX_STEPS: usize = 140;

/// Most virtual time that the steps of a script let pass, in milliseconds. Longer waits are cut.
const MAX_TIME: u64 = 120_000;

/// A script that breaks no promise.
pub(super) fn world(data: &[u8]) {
    let script = script(data);
    if let Err(broken) = play(&script) {
        panic!("{broken}\n{}", script.to_text());
    }
}

fn script(data: &[u8]) -> Script {
    let mut choices = Choices::new(data);
    let plan = plan(&mut choices);
    let (mut steps, mut left) = (Vec::new(), MAX_TIME);
    while !choices.is_empty() && steps.len() < MAX_STEPS {
        let mut step = step(&mut choices);
        if let Step::Wait(span) = &mut step {
            *span = left.min(*span);
            left -= *span;
        }
        steps.push(step);
    }
    Script { plan, steps }
}

/// From `low` to `high`, at most 255 apart, both included.
fn between(choices: &mut Choices<'_>, low: u64, high: u64) -> u64 {
    low + choices.below((high - low + 1) as usize) as u64
}

fn pick(choices: &mut Choices<'_>) -> usize {
    choices.byte().into()
}

fn plan(choices: &mut Choices<'_>) -> Plan {
    Plan {
        seed: choices.short().into(),
        layer: Layer::Fake,
        approve: [Approve::Nobody, Approve::Control, Approve::Everybody][choices.below(3)],
        max_viewers: [1, 2, 3, MAX_VIEWERS][3 - choices.below(4)],
        once: choices.bit(),
        headless: choices.bit(),
        size: (between(choices, 30, 120) as u16, between(choices, 6, 40) as u16),
        echoes: choices.bit(),
        pages: choices.bit(),
        ending: [Ending::Quiet, Ending::Paused, Ending::Behind, Ending::CutShort, Ending::Stopped][choices.below(5)],
        fault: None,
    }
}

fn step(choices: &mut Choices<'_>) -> Step {
    match choices.below(8) {
        // Short waits are fine-grained: from a millisecond to half a minute.
        0 | 1 => Step::Wait(u64::from(choices.byte()).pow(2) / 2),
        2 => join(choices),
        3 => moderation(choices),
        4 => typing(choices),
        5 => program(choices),
        6 => network(choices),
        _ => processes(choices),
    }
}

fn join(choices: &mut Choices<'_>) -> Step {
    let flags = choices.byte();
    let behaviour = |choices: &mut Choices<'_>| {
        let all = [Behaviour::EndpointIndependent, Behaviour::AddressDependent, Behaviour::AddressAndPortDependent];
        all[choices.below(all.len())]
    };
    let router = (flags & 1 != 0).then(|| Router {
        mapping: behaviour(choices),
        filtering: behaviour(choices),
        expiry: [20, 30, 120][choices.below(3)],
    });
    Step::Join {
        role: if flags & 2 == 0 { Role::Control } else { Role::View },
        by: if flags & 4 == 0 { Invited::Current } else { Invited::Withdrawn },
        away: between(choices, 1, 120),
        router,
        direct: flags & 8 != 0,
    }
}

fn moderation(choices: &mut Choices<'_>) -> Step {
    let keep = |choices: &mut Choices<'_>| if choices.bit() { Keep::Nothing } else { Keep::Links };
    match choices.below(9) {
        0 => Step::Approve(pick(choices)),
        1 => Step::Deny(pick(choices), keep(choices)),
        2 => Step::Kick(pick(choices), keep(choices)),
        3 => Step::Rotate,
        4 => Step::Grant(pick(choices)),
        5 => Step::Revoke(pick(choices)),
        6 => Step::Pause,
        7 => Step::Resume,
        _ => Step::Say,
    }
}

fn typing(choices: &mut Choices<'_>) -> Step {
    match choices.below(9) {
        0 | 1 => Step::Types(pick(choices), between(choices, 1, 5)),
        2 => Step::Types(pick(choices), 2 * between(choices, 25, 200)),
        3 => Step::Pastes {
            pick: pick(choices),
            pieces: between(choices, 1, 12),
            goes_on: choices.bit(),
            ends: choices.bit(),
        },
        4 => Step::HostTypes(between(choices, 1, 3)),
        5 => Step::HostPastes { ends: choices.bit() },
        6 => {
            let (cols, rows) = (between(choices, 20, 160) as u16, between(choices, 4, 50) as u16);
            if choices.bit() { Step::ViewerResizes(pick(choices), cols, rows) } else { Step::HostResizes(cols, rows) }
        }
        7 => Step::TerminalStalls(pick(choices)),
        _ => Step::TerminalsGoOn,
    }
}

fn program(choices: &mut Choices<'_>) -> Step {
    match choices.below(8) {
        0 => Step::Lines(between(choices, 1, 120)),
        1 => Step::Noise(choices.number()),
        2 => Step::Flood(between(choices, 5, 100), between(choices, 5, 60)),
        3 => Step::Asks(between(choices, 1, 5)),
        4 => Step::Modes(between(choices, 0, 20)),
        5 => Step::Deaf,
        6 => Step::Reads,
        _ => Step::ProgramEnds(choices.byte().into()),
    }
}

fn network(choices: &mut Choices<'_>) -> Step {
    match choices.below(15) {
        0 | 1 => Step::Heal,
        2 => Step::Loss(pick(choices), [1, 5, 20, 40][choices.below(4)]),
        3 => Step::Bursts(pick(choices), between(choices, 1, 40), between(choices, 2, 60)),
        4 => {
            let rate = 1000 * [64, 256, 1000, 10_000][choices.below(4)];
            Step::Narrow(pick(choices), rate, 1000 * between(choices, 3, 60))
        }
        5 => Step::Damage(between(choices, 1, 60)),
        6 => Step::Cut(pick(choices)),
        7 => Step::Mute(pick(choices)),
        8 => Step::MuteHost,
        9 => Step::Block(pick(choices)),
        10 => Step::BlockHost,
        // Over the fake peer these three do nothing.
        11 => Step::Moves(pick(choices)),
        12 => Step::Rebinds(pick(choices)),
        13 => Step::HostMoves,
        _ => Step::Stranger(100 + 3 * between(choices, 0, 200)),
    }
}

fn processes(choices: &mut Choices<'_>) -> Step {
    match choices.below(14) {
        0 => Step::Leave(pick(choices)),
        1 => Step::ViewerDies(pick(choices)),
        2 => Step::FreezeHost,
        3 => Step::FreezeViewer(pick(choices)),
        4 | 5 => Step::Thaw,
        6 => Step::HostDies,
        7 => Step::Stop,
        8 => Step::RendezvousDies,
        9 => Step::RendezvousStarts,
        10 => Step::RendezvousMute(choices.bit()),
        11 => Step::SignalBreaks(pick(choices)),
        12 => Step::HostSignalBreaks,
        _ => Step::HostShutOut,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bytes_can_be_every_kind_of_step() {
        let mut drawn = BTreeSet::new();
        for bits in 0..=u16::MAX {
            let [first, second] = bits.to_be_bytes();
            for rest in 0..2 {
                drawn.insert(step(&mut Choices::new(&[first, second, rest, rest, rest])).kind());
            }
        }
        assert_eq!(drawn, Step::kinds());
    }

    #[test]
    fn a_script_is_bounded_however_long_its_bytes_are() {
        let script = script(&[255; 4096]);
        assert_eq!(script.steps.len(), MAX_STEPS);
        // Waits of half a minute: the fourth is cut, and those behind it let no time pass.
        let waits = [0u8, 255].repeat(MAX_STEPS);
        let steps = super::script(&[&[0; 11][..], &waits].concat()).steps;
        let waited: u64 = steps.iter().map(|step| if let Step::Wait(span) = step { *span } else { 0 }).sum();
        assert_eq!(waited, MAX_TIME);
    }
}
