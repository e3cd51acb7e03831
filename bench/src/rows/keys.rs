//! Echo on this machine: at rest, and while the program floods.

use crate::lab::Lab;
use crate::place::Place;
use crate::program::{Program, READY};
use crate::session::Session;
use crate::statistics::median;
use crate::system::System;
use crate::table::{Figures, Line, beach};
use crate::typing::{Amount, Echoes, Pace, Shown, Typist};

use super::{figures, interleaved, ms};

/// Between two keys.
const PAUSE: Pace = Pace::AfterEcho(10, 30);

/// Nothing but keys.
pub(super) fn at_rest(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(
        lab,
        "echo at rest",
        |_| true,
        lab.plan.rounds,
        |system, seed| measure(lab, system, Program::Echo, Shown::Echo, lab.plan.keys_at_rest, seed),
    );
    let (p50, p99) = (of_rounds(&rounds, 0.5), of_rounds(&rounds, 0.99));
    let met = beach(&p50).and_then(|beach| {
        let ssh = p50.get(&System::Ssh).copied()??;
        Some(beach <= 1.25 * ssh)
    });
    vec![
        Line::new("echo at rest, p50").target("≤ 1.25 × ssh", met).figures(&p50, ms),
        Line::new("echo at rest, p99").figures(&p99, ms),
        Line::new("echo at rest, keys lost").figures(&lost(&rounds), |keys| format!("{keys:.0}")),
    ]
}

/// While the program draws screens as fast as it can.
pub(super) fn in_flood(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(
        lab,
        "echo while the host floods",
        |_| true,
        lab.plan.rounds,
        |system, seed| {
            measure(lab, system, Program::Screens { per_second: None }, Shown::Count, lab.plan.keys_in_flood, seed)
        },
    );
    let (p50, p99, lost) = (of_rounds(&rounds, 0.5), of_rounds(&rounds, 0.99), lost(&rounds));
    vec![
        Line::new("echo while the host floods, p50").figures(&p50, ms),
        Line::new("echo while the host floods, p99")
            .target("≤ 20 ms", beach(&p99).map(|beach| beach <= 20.0))
            .figures(&p99, ms),
        Line::new("keys lost in the flood")
            .target("0", beach(&lost).map(|lost| lost == 0.0))
            .figures(&lost, |keys| format!("{keys:.0}")),
    ]
}

fn measure(
    lab: &Lab,
    system: System,
    program: Program,
    shown: Shown,
    keys: usize,
    seed: u64,
) -> anyhow::Result<Echoes> {
    let mut session = Session::start(lab, system, program, Place::Here, READY)?;
    let mut typist = Typist::new(shown, seed);
    typist.types(&mut session.client, Amount::Keys(lab.plan.warm_up), PAUSE)?;
    typist.types(&mut session.client, Amount::Keys(keys), PAUSE)
}

/// The median over the rounds of a percentile.
fn of_rounds(rounds: &super::Rounds<Echoes>, share: f64) -> Figures {
    figures(rounds, |rounds| {
        let each: Vec<f64> = rounds.iter().filter_map(|echoes| echoes.percentile(share)).collect();
        median(&each)
    })
}

fn lost(rounds: &super::Rounds<Echoes>) -> Figures {
    figures(rounds, |rounds| {
        (!rounds.is_empty()).then(|| rounds.iter().map(|echoes| echoes.lost).sum::<usize>() as f64)
    })
}
