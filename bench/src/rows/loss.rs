//! Echo over a link with a round trip of 100 ms that loses packets.

use anyhow::Result;

use crate::lab::Lab;
use crate::link::Link;
use crate::place::Place;
use crate::program::{Program, READY};
use crate::report;
use crate::session::Session;
use crate::statistics::median;
use crate::system::System;
use crate::table::Line;
use crate::typing::{Amount, Echoes, Pace, Shown, Typist};

use super::{Rounds, figures, interleaved};

/// Between two keys: fast typing.
const PACE: Pace = Pace::Steady(30, 90);

pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let name = "echo at a round trip of 100 ms";
    let link = match Link::new() {
        Ok(link) => link,
        Err(error) if lab.require => {
            report::say(&format!("{name}: {error:#}"));
            return vec![
                lab.systems
                    .iter()
                    .filter(|system| goes_far(**system))
                    .fold(Line::new(name), |line, system| line.cell(*system, None)),
            ];
        }
        Err(error) => return vec![Line::skipped(name, format!("network namespaces cannot be had: {error:#}"))],
    };
    let at_rest = measured(lab, &link, "at rest", Program::Echo, Shown::Echo);
    let busy = Program::Screens { per_second: Some(30) };
    let printing = measured(lab, &link, "while 30 screens/s are printed", busy, Shown::Count);
    let (passed, dropped) = link.counts();
    report::say(&format!("the link passed {passed} packets and dropped {dropped}"));
    at_rest.into_iter().chain(printing).collect()
}

/// A terminal on this machine does not; ssh does what it does with tmux behind it and without.
fn goes_far(system: System) -> bool {
    !matches!(system, System::Raw | System::SshTmux)
}

/// A line for each loss.
fn measured(lab: &Lab, link: &Link, when: &str, program: Program, shown: Shown) -> Vec<Line> {
    let what = format!("echo over the slow link {when}");
    let rounds = interleaved(lab, &what, goes_far, lab.plan.link_rounds, |system, seed| {
        measure(lab, link, system, program, shown, seed)
    });
    let losses = lab.plan.losses.iter().enumerate();
    let middle = |number: usize| {
        figures(&rounds, |rounds| {
            let each: Vec<f64> = rounds.iter().filter_map(|losses| losses.get(number)?.percentile(0.5)).collect();
            median(&each)
        })
    };
    losses.map(|(number, loss)| line(*loss, when, &pooled(&rounds, number)).compared(&middle(number))).collect()
}

/// One session, and one loss after the other. While it is set up nothing is lost.
fn measure(lab: &Lab, link: &Link, system: System, program: Program, shown: Shown, seed: u64) -> Result<Vec<Echoes>> {
    link.lose(0, seed);
    let mut session = Session::start(lab, system, program, Place::Apart(link), READY)?;
    let mut typist = Typist::new(shown, seed);
    typist.types(&mut session.client, Amount::Keys(lab.plan.warm_up), PACE)?;
    let each = lab.plan.losses.iter().map(|loss| {
        link.lose(*loss, seed);
        typist.types(&mut session.client, Amount::Keys(lab.plan.keys_over_link), PACE)
    });
    let echoes = each.collect();
    // The end must not wait for lost packets.
    link.lose(0, seed);
    echoes
}

/// The keys of all rounds at one loss.
fn pooled(rounds: &Rounds<Vec<Echoes>>, loss: usize) -> Rounds<Echoes> {
    let pool = |rounds: &Vec<Vec<Echoes>>| {
        let mut all = Echoes::default();
        rounds.iter().filter_map(|losses| losses.get(loss)).for_each(|echoes| all.add(echoes));
        if rounds.is_empty() { Vec::new() } else { vec![all] }
    };
    rounds.iter().map(|(system, rounds)| (*system, pool(rounds))).collect()
}

fn line(loss: u32, when: &str, rounds: &Rounds<Echoes>) -> Line {
    let target = match loss {
        5 => Some(("≤ 102/130 ms", 102.0, 130.0)),
        20 => Some(("≤ 110/220 ms", 110.0, 220.0)),
        _ => None,
    };
    let of = |system: System| {
        let echoes = rounds.get(&system)?.first()?;
        Some((echoes.percentile(0.5)?, echoes.percentile(0.99)?, echoes.lost))
    };
    let mut line = Line::new(format!("echo, 100 ms round trip, {loss} % loss, {when}, p50/p99"));
    if let Some((told, p50, p99)) = target {
        line = line.target(told, of(System::Beach).map(|beach| beach.0 <= p50 && beach.1 <= p99));
    }
    for system in rounds.keys() {
        line = line.cell(
            *system,
            of(*system).map(|(p50, p99, lost)| {
                let lost = if lost == 0 { String::new() } else { format!(", {lost} lost") };
                format!("{p50:.0}/{p99:.0} ms{lost}")
            }),
        );
    }
    line
}
