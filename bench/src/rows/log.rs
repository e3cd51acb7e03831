//! A coloured log of 20 MB.

use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::place::Place;
use crate::proc;
use crate::program::{END, Program, READY};
use crate::session::Session;
use crate::statistics::median;
use crate::system::System;
use crate::table::{Line, beach};

use super::{figures, interleaved};

/// The log is through within this time.
const WITHIN: Duration = Duration::from_secs(120);

/// After the end the host gets this long to finish what it does about it.
const SETTLE: Duration = Duration::from_millis(300);

pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let bytes = lab.plan.log_bytes;
    let rounds = interleaved(lab, "coloured log", |_| true, lab.plan.rounds, |system, _| measure(lab, system, bytes));
    let middle =
        |of: fn(&Log) -> f64| figures(&rounds, move |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>()));
    let (time, mut cpu) = (middle(|log| log.seconds), middle(|log| log.cpu));
    // A local terminal has no host.
    cpu.remove(&System::Raw);
    let met = beach(&time).zip(time.get(&System::Raw).copied().flatten()).map(|(beach, raw)| beach <= 1.6 * raw);
    let megabytes = bytes / 1_000_000;
    vec![
        Line::new(format!("{megabytes} MB coloured log until its end is seen"))
            .target("≤ 1.6 × raw", met)
            .figures(&time, |seconds| format!("{seconds:.2} s")),
        Line::new("the same, CPU at the host")
            .target("≤ 0.35 s", beach(&cpu).map(|cpu| cpu <= 0.35))
            .figures(&cpu, |seconds| format!("{seconds:.2} s")),
    ]
}

struct Log {
    seconds: f64,
    cpu: f64,
}

fn measure(lab: &Lab, system: System, bytes: u64) -> Result<Log> {
    let mut session = Session::start(lab, system, Program::Log { bytes }, Place::Here, READY)?;
    session.client.watch(SETTLE)?;
    let ids = session.host_ids();
    let before = proc::cpu(&ids);
    let pressed = session.client.press(b"g")?;
    let end = session.client.until(END, WITHIN, |screen| screen.near_cursor().contains(END))?;
    session.client.watch(SETTLE)?;
    Ok(Log { seconds: (end - pressed).as_secs_f64(), cpu: (proc::cpu(&ids) - before).as_secs_f64() })
}
