//! Ctrl-C during `yes`.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;

use crate::lab::Lab;
use crate::place::Place;
use crate::program::{Program, READY};
use crate::session::Session;
use crate::statistics::{median, milliseconds};
use crate::system::System;
use crate::table::{Line, beach};

use super::{figures, interleaved, ms};

/// A prompt comes within this time.
const WITHIN: Duration = Duration::from_secs(20);

/// How long `yes` runs, in milliseconds: long enough that every buffer on the way is full.
const RUNS: std::ops::RangeInclusive<u64> = 150..=300;

pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let rounds =
        interleaved(lab, "Ctrl-C during yes", |_| true, lab.plan.rounds, |system, seed| measure(lab, system, seed));
    let count = lab.plan.rounds * lab.plan.interrupts;
    let worst = figures(&rounds, |rounds| rounds.iter().flatten().copied().reduce(f64::max));
    let middle = figures(&rounds, |rounds| median(&rounds.concat()));
    vec![
        Line::new("Ctrl-C during `yes`, median").figures(&middle, ms),
        Line::new(format!("Ctrl-C during `yes`, worst of {count}"))
            .target("≤ 25 ms", beach(&worst).map(|worst| worst <= 25.0))
            .figures(&worst, ms)
            .unjudged(),
    ]
}

/// Each time, from the key to the next prompt.
fn measure(lab: &Lab, system: System, seed: u64) -> Result<Vec<f64>> {
    let mut rng = Rng::with_seed(seed);
    let mut session = Session::start(lab, system, Program::Shell, Place::Here, READY)?;
    let client = &mut session.client;
    let mut times = Vec::new();
    // The prompt has a number, which grows with each command: `yes`, and `clear`.
    for number in (2..).step_by(2).take(lab.plan.interrupts) {
        client.press(b"yes\r")?;
        client.until("the output of yes", WITHIN, |screen| {
            screen.row(10).starts_with("y ") && screen.row(20).starts_with("y ")
        })?;
        client.watch(Duration::from_millis(rng.u64(RUNS)))?;
        let pressed = client.press(b"\x03")?;
        let prompt = format!("{READY}:{number}$");
        let seen = client.until(&prompt, WITHIN, |screen| screen.near_cursor().contains(&prompt))?;
        times.push(milliseconds(seen - pressed));
        client.press(b"clear\r")?;
        let prompt = format!("{READY}:{}$", number + 1);
        client.until(&prompt, WITHIN, |screen| screen.row(0).contains(&prompt))?;
    }
    Ok(times)
}
