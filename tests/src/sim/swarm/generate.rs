//! Draws scripts: each world has its own few kinds of deeds and faults, some of them far more often than others, so
//! that rare combinations come about.

use beach_core::host::{Approve, MAX_VIEWERS};
use beach_core::role::Role;

use super::step::{Ending, Invited, Keep, Layer, Plan, Router, Script, Step};
use crate::sim::nat::Behaviour;
use crate::sim::network::Dice;

/// The least time that a world takes, in milliseconds.
const LASTS: u64 = 60_000;

/// The kinds of steps, of which a world has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Joins,
    Typing,
    Leaving,
    Admission,
    Removal,
    Rotation,
    Roles,
    Pauses,
    Messages,
    OwnKeys,
    Pastes,
    Sizes,
    Output,
    Floods,
    Queries,
    Modes,
    Deafness,
    Stalls,
    Freezes,
    HostDeaths,
    Endings,
    Rendezvous,
    Loss,
    Narrowness,
    Damage,
    Partitions,
    Moves,
    Signalling,
    Strangers,
}

const ALL: [Kind; 29] = [
    Kind::Joins,
    Kind::Typing,
    Kind::Leaving,
    Kind::Admission,
    Kind::Removal,
    Kind::Rotation,
    Kind::Roles,
    Kind::Pauses,
    Kind::Messages,
    Kind::OwnKeys,
    Kind::Pastes,
    Kind::Sizes,
    Kind::Output,
    Kind::Floods,
    Kind::Queries,
    Kind::Modes,
    Kind::Deafness,
    Kind::Stalls,
    Kind::Freezes,
    Kind::HostDeaths,
    Kind::Endings,
    Kind::Rendezvous,
    Kind::Loss,
    Kind::Narrowness,
    Kind::Damage,
    Kind::Partitions,
    Kind::Moves,
    Kind::Signalling,
    Kind::Strangers,
];

impl Kind {
    /// In how many of a hundred worlds there are such steps.
    fn presence(self) -> u64 {
        match self {
            Kind::Joins | Kind::Typing => 100,
            Kind::HostDeaths => 8,
            Kind::Endings => 12,
            Kind::Rendezvous | Kind::Strangers | Kind::Floods => 20,
            Kind::Leaving
            | Kind::Admission
            | Kind::Removal
            | Kind::Rotation
            | Kind::Roles
            | Kind::Pauses
            | Kind::Messages
            | Kind::OwnKeys
            | Kind::Pastes
            | Kind::Sizes
            | Kind::Output
            | Kind::Queries
            | Kind::Modes
            | Kind::Deafness
            | Kind::Stalls
            | Kind::Freezes
            | Kind::Loss
            | Kind::Narrowness
            | Kind::Damage
            | Kind::Partitions
            | Kind::Moves
            | Kind::Signalling => 35,
        }
    }
}

/// The script of a seed, over this layer.
pub fn random(seed: u64, layer: Layer) -> Script {
    let mut dice = Dice::new(seed ^ 0x5eed_0000_0000);
    let approve = [Approve::Nobody, Approve::Nobody, Approve::Control, Approve::Everybody][dice.between(0, 3) as usize];
    let mut plan = Plan {
        seed,
        layer,
        approve,
        max_viewers: if dice.percent(15) { dice.between(1, 3) as usize } else { MAX_VIEWERS },
        once: dice.percent(10),
        headless: dice.percent(30),
        size: (dice.between(30, 120) as u16, dice.between(6, 40) as u16),
        echoes: dice.percent(70),
        pages: dice.percent(15),
        ending: Ending::Quiet,
        fault: None,
    };
    let mut kinds = Vec::new();
    for kind in ALL {
        let is_there = dice.percent(kind.presence()) || (kind == Kind::Admission && approve != Approve::Nobody);
        // A kind that comes up far more often than others leads to states that an even mixture does not reach.
        let weight = [1, 1, 2, 3, 8][dice.between(0, 4) as usize];
        if is_there {
            kinds.push((kind, weight));
        }
    }
    let routers = dice.percent(25);
    let mut steps = vec![join(&mut dice, routers), Step::Wait(dice.between(0, 2000))];
    let mut lasts = 0;
    let count = dice.between(15, 70);
    for _ in 0..count {
        steps.push(step(&mut dice, &kinds, routers));
        let pause = pause(&mut dice);
        lasts += pause;
        steps.push(Step::Wait(pause));
    }
    if lasts < LASTS {
        let at = dice.between(1, steps.len() as u64) as usize;
        steps.insert(at, Step::Wait(LASTS - lasts));
    }
    plan.ending = ending(&mut dice);
    Script { plan, steps }
}

fn ending(dice: &mut Dice) -> Ending {
    let all = [Ending::Quiet, Ending::Paused, Ending::Behind, Ending::CutShort, Ending::Stopped];
    all[dice.between(0, all.len() as u64 - 1) as usize]
}

/// Mostly less than a round trip or a few; at times longer than a deadline.
fn pause(dice: &mut Dice) -> u64 {
    match dice.between(0, 99) {
        0..=49 => dice.between(0, 150),
        50..=84 => dice.between(0, 1500),
        85..=96 => dice.between(1000, 6000),
        _ => dice.between(5000, 30_000),
    }
}

fn join(dice: &mut Dice, routers: bool) -> Step {
    let behaviour = |dice: &mut Dice| {
        let all = [Behaviour::EndpointIndependent, Behaviour::AddressDependent, Behaviour::AddressAndPortDependent];
        all[dice.between(0, 2) as usize]
    };
    let router = (routers && dice.percent(60)).then(|| Router {
        mapping: behaviour(dice),
        filtering: behaviour(dice),
        expiry: [20, 30, 120][dice.between(0, 2) as usize],
    });
    Step::Join {
        role: if dice.percent(65) { Role::Control } else { Role::View },
        by: if dice.percent(90) { Invited::Current } else { Invited::Withdrawn },
        away: dice.between(1, 120),
        router,
        direct: dice.percent(30),
    }
}

fn step(dice: &mut Dice, kinds: &[(Kind, u64)], routers: bool) -> Step {
    let all: u64 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut left = dice.between(1, all);
    let drawn = kinds.iter().find(|(_, weight)| {
        let is_it = left <= *weight;
        left = left.saturating_sub(*weight);
        is_it
    });
    let kind = drawn.expect("the weights are their sum").0;
    let pick = dice.between(0, 1000) as usize;
    match kind {
        Kind::Joins => join(dice, routers),
        // At times more words than one datagram holds.
        Kind::Typing if dice.percent(8) => Step::Types(pick, dice.between(50, 400)),
        Kind::Typing => Step::Types(pick, dice.between(1, 5)),
        Kind::Leaving if dice.percent(60) => Step::Leave(pick),
        Kind::Leaving => Step::ViewerDies(pick),
        Kind::Admission if dice.percent(75) => Step::Approve(pick),
        Kind::Admission => Step::Deny(pick, keep(dice)),
        Kind::Removal => Step::Kick(pick, keep(dice)),
        Kind::Rotation => Step::Rotate,
        Kind::Roles => [Step::Grant(pick), Step::Revoke(pick)][dice.between(0, 1) as usize].clone(),
        Kind::Pauses => [Step::Pause, Step::Resume][dice.between(0, 1) as usize].clone(),
        Kind::Messages => Step::Say,
        Kind::OwnKeys if dice.percent(80) => Step::HostTypes(dice.between(1, 3)),
        Kind::OwnKeys => Step::HostPastes { ends: dice.percent(60) },
        Kind::Pastes => {
            Step::Pastes { pick, pieces: dice.between(1, 12), goes_on: dice.percent(40), ends: dice.percent(40) }
        }
        Kind::Sizes => {
            let (cols, rows) = (dice.between(20, 160) as u16, dice.between(4, 50) as u16);
            if dice.percent(50) { Step::HostResizes(cols, rows) } else { Step::ViewerResizes(pick, cols, rows) }
        }
        Kind::Output if dice.percent(60) => Step::Lines(dice.between(1, 120)),
        Kind::Output => Step::Noise(dice.between(0, u64::MAX / 2)),
        Kind::Floods => Step::Flood(dice.between(5, 100), dice.between(5, 60)),
        Kind::Queries => Step::Asks(dice.between(1, 5)),
        Kind::Modes => Step::Modes(dice.between(0, 20)),
        Kind::Deafness => [Step::Deaf, Step::Reads][dice.between(0, 1) as usize].clone(),
        Kind::Stalls => [Step::TerminalStalls(pick), Step::TerminalsGoOn][dice.between(0, 1) as usize].clone(),
        Kind::Freezes => {
            [Step::FreezeHost, Step::FreezeViewer(pick), Step::Thaw, Step::Thaw][dice.between(0, 3) as usize].clone()
        }
        Kind::HostDeaths => Step::HostDies,
        Kind::Endings if dice.percent(60) => Step::ProgramEnds(dice.between(0, 255) as i32),
        Kind::Endings => Step::Stop,
        Kind::Rendezvous | Kind::Signalling | Kind::Strangers => server(dice, kind, pick),
        Kind::Loss | Kind::Narrowness | Kind::Damage | Kind::Partitions | Kind::Moves => network(dice, kind, pick),
    }
}

fn keep(dice: &mut Dice) -> Keep {
    if dice.percent(60) { Keep::Links } else { Keep::Nothing }
}

fn server(dice: &mut Dice, kind: Kind, pick: usize) -> Step {
    match (kind, dice.between(0, 3)) {
        (Kind::Rendezvous, 0) => Step::RendezvousDies,
        (Kind::Rendezvous, 1) => Step::RendezvousMute(true),
        (Kind::Rendezvous, 2) => Step::RendezvousMute(false),
        (Kind::Rendezvous, _) => Step::RendezvousStarts,
        (Kind::Strangers, _) => Step::Stranger(dice.between(100, 700)),
        (_, 0 | 1) => Step::SignalBreaks(pick),
        (_, 2) => Step::HostSignalBreaks,
        (_, _) => Step::HostShutOut,
    }
}

fn network(dice: &mut Dice, kind: Kind, pick: usize) -> Step {
    if dice.percent(25) {
        return Step::Heal;
    }
    if kind == Kind::Partitions {
        let both_ways = [Step::Cut(pick), Step::Cut(pick)];
        let one_way = [Step::Mute(pick), Step::MuteHost, Step::Block(pick), Step::BlockHost];
        let all = [&both_ways[..], &one_way].concat();
        return all[dice.between(0, all.len() as u64 - 1) as usize].clone();
    }
    match (kind, dice.between(0, 3)) {
        (Kind::Loss, 0 | 1) => Step::Loss(pick, [1, 5, 20, 40][dice.between(0, 3) as usize]),
        (Kind::Loss, _) => Step::Bursts(pick, dice.between(1, 40), dice.between(2, 60)),
        (Kind::Narrowness, _) => {
            Step::Narrow(pick, 1000 * [64, 256, 1000, 10_000][dice.between(0, 3) as usize], dice.between(3000, 60_000))
        }
        (Kind::Damage, _) => Step::Damage(dice.between(1, 60)),
        (_, 0 | 1) => Step::Moves(pick),
        (_, 2) => Step::Rebinds(pick),
        (_, _) => Step::HostMoves,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_step_is_drawn() {
        let steps = (0..500).flat_map(|seed| random(seed, Layer::Fake).steps);
        let drawn: BTreeSet<_> = steps.map(|step| step.kind()).collect();
        assert_eq!(drawn, Step::kinds());
    }
}
