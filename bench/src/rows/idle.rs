//! Nothing is typed or printed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lab::Lab;
use crate::place::Place;
use crate::proc::{self, Memory};
use crate::program::{Program, READY};
use crate::report;
use crate::session::Session;
use crate::stop;
use crate::system::System;
use crate::table::Line;

/// Of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    wakeups: f64,
    cpu: f64,
    memory: Memory,
}

/// All systems at once, as none does anything.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let systems: Vec<System> = lab.systems.iter().copied().filter(|system| *system != System::Raw).collect();
    report::say(&format!("idle: all, for {} s", lab.plan.idle.as_secs()));
    let sessions: Vec<(System, Result<Session<'_>>)> = systems
        .iter()
        .map(|system| (*system, Session::start(lab, *system, Program::Echo, Place::Here, READY)))
        .collect();
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
    let line = |name: &str, of: fn(&Side) -> f64, digits: usize| {
        measured.iter().fold(Line::new(format!("idle: {name}, host / viewer")), |line, (system, both)| {
            line.cell(*system, both.map(|both| format!("{:.digits$} / {:.digits$}", of(&both[0]), of(&both[1]))))
        })
    };
    let beach = measured.iter().find(|(system, _)| *system == System::Beach).and_then(|(_, both)| *both);
    let met = |is_met: fn(&Side) -> bool| beach.map(|both| both.iter().all(is_met));
    vec![
        line("wake-ups/s", |side| side.wakeups, 1).target("≤ 4", met(|side| side.wakeups <= 4.0)),
        line("CPU, ms/s", |side| side.cpu * 1e3, 2),
        line("RSS of the largest process, MiB", |side| side.memory.resident, 1)
            .target("≤ 20", met(|side| side.memory.resident <= 20.0)),
        line("PSS of the same, MiB", |side| side.memory.proportional, 1),
    ]
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
