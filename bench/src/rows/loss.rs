//! Over a link with a round trip of 100 ms: echo while it loses packets, and how late screens are while it is narrow.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::client::Client;
use crate::lab::Lab;
use crate::link::Link;
use crate::place::Place;
use crate::program::{Program, READY, age};
use crate::report;
use crate::session::Session;
use crate::statistics::{median, percentile};
use crate::system::System;
use crate::table::Line;
use crate::typing::{Amount, Echoes, Pace, Shown, Typist};

use super::{Rounds, figures, interleaved};

/// Between two keys: fast typing.
const PACE: Pace = Pace::Steady(30, 90);

/// Bits a second of the narrow link.
const NARROW: u64 = 1_000_000;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let link = match link(lab, "echo at a round trip of 100 ms") {
        Ok(link) => link,
        Err(line) => return vec![*line],
    };
    let at_rest = measured(lab, &link, "at rest", Program::Echo, Shown::Echo);
    let busy = Program::Screens { per_second: Some(30) };
    let printing = measured(lab, &link, "while 30 screens/s are printed", busy, Shown::Count);
    let (passed, dropped) = link.counts();
    report::say(&format!("the link passed {passed} packets and dropped {dropped}"));
    at_rest.into_iter().chain(printing).collect()
}

/// How late a viewer's screen is behind a narrow link.
pub(super) fn narrow(lab: &Lab) -> Vec<Line> {
    let name = "age of the screen over 1 Mbit/s with a queue of 64 KB, while 30 screens/s are printed, p50/p99";
    let link = match link(lab, name) {
        Ok(link) => link,
        Err(line) => return vec![*line],
    };
    let rounds = interleaved(lab, name, goes_far, lab.plan.link_rounds, |system, _| late(lab, &link, system));
    let of = |share| {
        figures(&rounds, |rounds| median(&rounds.iter().filter_map(|ages| percentile(ages, share)).collect::<Vec<_>>()))
    };
    let (p50, p99) = (of(0.5), of(0.99));
    let cell = |system| {
        let (p50, p99) = (p50.get(system).copied()??, p99.get(system).copied()??);
        Some(format!("{p50:.0}/{p99:.0} ms"))
    };
    let line = rounds.keys().fold(Line::new(name), |line, system| line.cell(*system, cell(system)));
    vec![line.compared(&p50)]
}

/// The link, or the line that says that there is none.
fn link(lab: &Lab, name: &str) -> Result<Link, Box<Line>> {
    Link::new().map_err(|error| {
        if !lab.require {
            return Box::new(Line::skipped(name, format!("network namespaces cannot be had: {error:#}")));
        }
        report::say(&format!("{name}: {error:#}"));
        let systems = lab.systems.iter().filter(|system| goes_far(**system));
        Box::new(systems.fold(Line::new(name), |line, system| line.cell(*system, None)))
    })
}

/// How old the screen is, looked at again and again, in milliseconds.
fn late(lab: &Lab, link: &Link, system: System) -> Result<Vec<f64>> {
    link.lose(0, 0);
    link.narrow(None);
    let mut session = Session::start(lab, system, Program::Stamped { per_second: 30 }, Place::Apart(link), READY)?;
    link.narrow(Some(NARROW));
    let client = &mut session.client;
    // First, until the queue is as full as it gets.
    let ages = client.watch(lab.plan.narrow / 4).and_then(|()| ages(client, lab.plan.narrow));
    // The end must not wait for the queue.
    link.narrow(None);
    ages
}

fn ages(client: &mut Client, time: Duration) -> Result<Vec<f64>> {
    let rows = client.screen.rows();
    let until = Instant::now() + time;
    let mut ages = Vec::new();
    while Instant::now() < until {
        client.watch(LOOK)?;
        ages.push(age(&client.screen, rows).context("no screen says when it was drawn")? as f64);
    }
    Ok(ages)
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

/// Some sessions at the same time, and one loss after the other. While they are set up nothing is lost.
fn measure(lab: &Lab, link: &Link, system: System, program: Program, shown: Shown, seed: u64) -> Result<Vec<Echoes>> {
    link.lose(0, seed);
    let start = |number: usize| {
        let session = Session::start(lab, system, program, Place::Apart(link), READY)?;
        Ok((session, Typist::new(shown, seed.wrapping_mul(100) + number as u64)))
    };
    let mut sessions = (0..lab.plan.sessions_over_link).map(start).collect::<Result<Vec<_>>>()?;
    typed(&mut sessions, lab.plan.warm_up)?;
    let each = lab.plan.losses.iter().map(|loss| {
        link.lose(*loss, seed);
        typed(&mut sessions, lab.plan.keys_over_link)
    });
    let echoes = each.collect();
    // The end must not wait for lost packets.
    link.lose(0, seed);
    echoes
}

/// So many keys in each of these sessions, at the same time.
fn typed(sessions: &mut [(Session<'_>, Typist)], keys: usize) -> Result<Echoes> {
    thread::scope(|scope| {
        let types =
            |(session, typist): &mut (Session<'_>, Typist)| typist.types(&mut session.client, Amount::Keys(keys), PACE);
        let typing: Vec<_> = sessions.iter_mut().map(|one| scope.spawn(move || types(one))).collect();
        let mut all = Echoes::default();
        for one in typing {
            let echoes = one.join().map_err(|_| anyhow::anyhow!("a thread that typed panicked"))??;
            all.add(&echoes);
        }
        Ok(all)
    })
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
        20 => Some(("≤ 105/220 ms", 105.0, 220.0)),
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
