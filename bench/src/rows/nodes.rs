//! Two rendezvous behind a balancer: one is killed, comes back, and both are replaced while people come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::{Cluster, Node, missing};
use crate::herd::{Herd, IN_WITHIN, comes};
use crate::lab::Lab;
use crate::report;
use crate::statistics::milliseconds;
use crate::system::System;
use crate::table::Line;

use super::hosts::{raise_open_files, source};
use super::{Rounds, figures, interleaved, ms};

/// Hosts that lost their rendezvous are back within this time, or the run fails.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// Viewers who come at the same time.
const AT_ONCE: usize = 8;

/// Between two viewers of each of them, while both nodes are replaced.
const PAUSE: Duration = Duration::from_millis(100);

/// The first address of viewers: those before are the hosts'.
const VIEWERS: u32 = 0x4000;

const NAME: &str = "two rendezvous that share a directory";

struct Outcome {
    /// Milliseconds until the last host was registered again after its node was killed.
    back: f64,
    /// Milliseconds that the slowest viewer took who came when a node was killed.
    came: f64,
    /// Of 100 viewers, those who got in after the node came back.
    got_in: f64,
    /// How often a host was nowhere while both nodes were replaced.
    ended: f64,
    /// How many viewers did not get in meanwhile.
    failed: f64,
    /// Milliseconds that the slowest of them took.
    slowest: f64,
}

/// A node of two that is killed; one that came back; both replaced.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let reasons = lab.systems.iter().filter(|system| system.is_beach()).filter_map(|system| missing(lab, *system));
    if let Some(reason) = reasons.into_iter().next() {
        report::say(&format!("!!! LEFT OUT: {NAME}, since {reason}"));
        return vec![Line::skipped(NAME, reason)];
    }
    let rounds = interleaved(lab, NAME, System::is_beach, lab.plan.herd_rounds, |system, _| measure(lab, system));
    let time = |name: String, target, most: f64, of: fn(&Outcome) -> f64| {
        let worst = worst(&rounds, of);
        let is_met = crate::table::beach(&worst).map(|worst| worst <= most);
        Line::new(name).target(target, is_met).figures(&worst, ms).unjudged()
    };
    let count = |name: &str, of: fn(&Outcome) -> f64| {
        let worst = worst(&rounds, of);
        let is_none = crate::table::beach(&worst).map(|worst| worst == 0.0);
        Line::new(name).target("0", is_none).figures(&worst, |value| format!("{value:.0}")).unjudged()
    };
    let hosts = lab.plan.shared_hosts;
    let in_again = figures(&rounds, |rounds| rounds.iter().map(|outcome| outcome.got_in).reduce(f64::min));
    let all_in = crate::table::beach(&in_again).map(|percent| percent >= 100.0);
    vec![
        time(format!("one of two rendezvous with {hosts} hosts is killed: all hosts back"), "≤ 1 s", 1000.0, |one| {
            one.back
        }),
        time("the same: viewers who come then are in, the slowest".to_owned(), "≤ 3 s", 3000.0, |one| one.came),
        Line::new("after it came back: viewers who get in")
            .target("100 %", all_in)
            .figures(&in_again, |value| format!("{value:.0} %"))
            .unjudged(),
        count("both are replaced, one after the other: hosts that were nowhere", |one| one.ended),
        count("the same: viewers who did not get in", |one| one.failed),
        time("the same: the slowest viewer".to_owned(), "", f64::INFINITY, |one| one.slowest),
    ]
}

fn worst(rounds: &Rounds<Outcome>, of: fn(&Outcome) -> f64) -> crate::table::Figures {
    figures(rounds, |rounds| rounds.iter().map(of).reduce(f64::max))
}

fn measure(lab: &Lab, system: System) -> Result<Outcome> {
    raise_open_files()?;
    let mut cluster = Cluster::start(lab, system)?;
    let herd = Herd::start(lab, &cluster.address, lab.plan.shared_hosts, source)?;
    herd.all_here(BACK_WITHIN)?;

    let killed = Instant::now();
    cluster.kill(Node::A)?;
    let (came, back) = thread::scope(|scope| {
        let came = scope.spawn(|| many(&herd, lab.plan.shared_joins));
        // Hosts notice their loss a moment later.
        sleep(Duration::from_millis(100));
        let back = herd.all_here(BACK_WITHIN);
        (came.join().expect("no viewer panics"), back)
    });
    let back = back?.map_or(0.0, |at| milliseconds(at.saturating_duration_since(killed)));
    let came = came.slowest();

    cluster.start_node(Node::A)?;
    let again = many(&herd, lab.plan.shared_joins);
    let got_in = 100.0 * again.took().len() as f64 / again.0.len() as f64;

    let gaps = herd.gaps();
    let is_over = AtomicBool::new(false);
    let (replaced, came_in) = thread::scope(|scope| {
        let viewers: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn({
                    let (herd, is_over) = (&herd, &is_over);
                    move || until(herd, first, is_over)
                })
            })
            .collect();
        let replaced = cluster.replace(Node::A).and_then(|()| cluster.replace(Node::B));
        is_over.store(true, Ordering::SeqCst);
        let came = viewers.into_iter().flat_map(|viewer| viewer.join().expect("no viewer panics").0);
        (replaced, Came(came.collect()))
    });
    replaced?;
    herd.all_here(BACK_WITHIN)?;
    Ok(Outcome {
        back,
        came,
        got_in,
        ended: (herd.gaps() - gaps) as f64,
        failed: (came_in.0.len() - came_in.took().len()) as f64,
        slowest: came_in.slowest(),
    })
}

/// The outcome of each viewer's join: how long it took, or why it failed.
struct Came(Vec<Result<Duration>>);

impl Came {
    /// The slowest; somebody who did not get in counts as somebody who gave up.
    fn slowest(&self) -> f64 {
        let took = |came: &Result<Duration>| milliseconds(*came.as_ref().unwrap_or(&IN_WITHIN));
        self.0.iter().map(took).fold(0.0, f64::max)
    }

    /// How many milliseconds each of those took who got in.
    fn took(&self) -> Vec<f64> {
        self.0.iter().filter_map(|came| Some(milliseconds(*came.as_ref().ok()?))).collect()
    }
}

/// So many viewers come, a few at a time.
fn many(herd: &Herd, count: usize) -> Came {
    let each = |first: usize| (first..count).step_by(AT_ONCE).map(|number| one(herd, number)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let all: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(move || each(first))).collect();
        Came(all.into_iter().flat_map(|viewers| viewers.join().expect("no viewer panics")).collect())
    })
}

/// Viewers come until it is over.
fn until(herd: &Herd, first: usize, is_over: &AtomicBool) -> Came {
    let mut came = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        came.push(one(herd, first + came.len() * AT_ONCE));
        sleep(PAUSE);
    }
    Came(came)
}

fn one(herd: &Herd, number: usize) -> Result<Duration> {
    let source = source(VIEWERS + u32::try_from(number % 100).unwrap_or_default());
    let came = comes(herd.address(), source, herd.session(number));
    if let Err(error) = &came {
        report::say(&format!("a viewer did not get in: {error:#}"));
    }
    came
}
