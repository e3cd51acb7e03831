//! Nothing is typed or printed.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lab::Lab;
use crate::place::Place;
use crate::proc::{self, Memory};
use crate::program::{Program, READY};
use crate::report;
use crate::session::Session;
use crate::statistics::median;
use crate::stop;
use crate::system::System;
use crate::table::{Figures, Line};

/// Of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    wakeups: f64,
    cpu: f64,
    memory: Memory,
}

/// The figures of each round, for both sides of each system; `None` if one failed.
type Measured = BTreeMap<System, Option<Vec<[Side; 2]>>>;

/// All systems at once, as none does anything.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let systems = lab.systems.iter().filter(|system| **system != System::Raw);
    let mut measured: Measured = systems.map(|system| (*system, Some(Vec::new()))).collect();
    for round in 0..lab.plan.idle_rounds {
        let rounds = lab.plan.idle_rounds;
        report::say(&format!("idle, round {} of {rounds}: all, for {} s", round + 1, lab.plan.idle.as_secs()));
        for (system, sides) in measure(lab, measured.keys().copied().collect()) {
            let so_far = measured.remove(&system).flatten();
            let with = so_far.zip(sides).map(|(so_far, sides)| so_far.into_iter().chain([sides]).collect());
            measured.insert(system, with);
        }
    }
    vec![
        line(&measured, "wake-ups/s", |side| side.wakeups, 1, Some(("≤ 2", 2.0))),
        line(&measured, "CPU, ms/s", |side| side.cpu * 1e3, 2, None),
        line(&measured, "RSS of the largest process, MiB", |side| side.memory.resident, 1, Some(("≤ 20", 20.0))),
        line(&measured, "PSS of the same, MiB", |side| side.memory.proportional, 1, None),
    ]
}

/// Both sides of each of these systems, once.
fn measure(lab: &Lab, systems: Vec<System>) -> Vec<(System, Option<[Side; 2]>)> {
    let start = |system| (system, Session::start(lab, system, Program::Echo, Place::Here, READY));
    let sessions: Vec<(System, Result<Session<'_>>)> = systems.into_iter().map(start).collect();
    pause(lab.plan.settle);
    let started = Instant::now();
    let sides = |session: &Session<'_>| [session.host_ids(), vec![session.client.id()]];
    let count = |ids: &[Vec<u32>; 2]| ids.each_ref().map(|ids| (proc::switches(ids), proc::cpu(ids)));
    let before: Vec<_> = sessions
        .iter()
        .map(|(_, session)| session.as_ref().ok().map(|session| (sides(session), count(&sides(session)))))
        .collect();
    pause(lab.plan.idle);
    let seconds = started.elapsed().as_secs_f64();
    let mut measured = Vec::new();
    for ((system, session), before) in sessions.iter().zip(before) {
        if let Err(error) = session {
            report::say(&format!("idle, {}: {error:#}", system.name()));
        }
        let both = before.map(|(ids, before)| {
            let after = count(&ids);
            [0, 1].map(|side: usize| Side {
                wakeups: (after[side].0 - before[side].0) as f64 / seconds,
                cpu: (after[side].1 - before[side].1).as_secs_f64() / seconds,
                memory: largest(&ids[side]),
            })
        });
        measured.push((*system, both));
    }
    measured
}

/// A figure of host and viewer, each the median over the rounds; compared with another beach is their sum.
fn line(
    measured: &Measured,
    name: &str,
    of: fn(&Side) -> f64,
    digits: usize,
    target: Option<(&'static str, f64)>,
) -> Line {
    let middle = |rounds: &Option<Vec<[Side; 2]>>, side: usize| {
        median(&rounds.as_ref()?.iter().map(|both| of(&both[side])).collect::<Vec<_>>())
    };
    let both = |rounds| middle(rounds, 0).zip(middle(rounds, 1));
    let mut line = Line::new(format!("idle: {name}, host / viewer"));
    if let Some((told, most)) = target {
        let beach = measured.get(&System::Beach).and_then(both);
        line = line.target(told, beach.map(|(host, viewer)| host <= most && viewer <= most));
    }
    for (system, rounds) in measured {
        line = line.cell(*system, both(rounds).map(|(host, viewer)| format!("{host:.digits$} / {viewer:.digits$}")));
    }
    let sums: Figures =
        measured.iter().map(|(system, rounds)| (*system, both(rounds).map(|(host, viewer)| host + viewer))).collect();
    line.compared(&sums)
}

/// Does nothing, until it is interrupted.
fn pause(time: Duration) {
    /// Between two looks: the bench is not measured, but shares the processors.
    const LOOK: Duration = Duration::from_millis(500);
    let until = Instant::now() + time;
    while !stop::is_asked() && Instant::now() < until {
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
}

/// The memory of the process that has most.
fn largest(ids: &[u32]) -> Memory {
    let all = ids.iter().map(|id| proc::memory(*id));
    all.max_by(|one, other| one.resident.total_cmp(&other.resident)).unwrap_or_default()
}
