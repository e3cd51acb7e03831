//! Many viewers: one is stopped; what each costs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use rustix::process::Signal;

use crate::client::{Client, Crowd, send};
use crate::lab::Lab;
use crate::page;
use crate::place::Place;
use crate::proc;
use crate::program::{LOG_LINE, Program, READY};
use crate::report;
use crate::session::{JOIN_WITHIN, Session};
use crate::statistics::median;
use crate::system::System;
use crate::table::{Figures, Line, beach};
use crate::typing::{Amount, Echoes, Pace, Shown, Typist};

use super::{figures, interleaved};

/// Screens a second that the program draws meanwhile, over all viewers: what two processors can paint.
const PAINTED_PER_SECOND: usize = 160;

/// Between two keys.
const PAUSE: Pace = Pace::AfterEcho(10, 30);

/// The program's output while costs are measured, in bytes a second.
const RATE: u64 = 2_000_000;

/// Echo at one viewer while another is stopped, and otherwise.
pub(super) fn stopped(lab: &Lab) -> Vec<Line> {
    lab.plan.crowds.iter().map(|size| stopped_among(lab, *size)).collect()
}

struct Stopped {
    viewers: usize,
    otherwise: f64,
    during: f64,
}

fn stopped_among(lab: &Lab, size: usize) -> Line {
    let what = format!("{size} viewers, one stopped");
    let per_second = u32::try_from((PAINTED_PER_SECOND / size).clamp(5, 30)).unwrap_or(5);
    let rounds = interleaved(lab, &what, System::shares, lab.plan.crowd_rounds, |system, seed| {
        measure_stopped(lab, system, size, per_second, seed)
    });
    let ratios: BTreeMap<System, Option<f64>> = figures(&rounds, |rounds| {
        median(&rounds.iter().map(|stopped| stopped.during / stopped.otherwise).collect::<Vec<_>>())
    });
    let seconds = lab.plan.stopped.as_secs_f64();
    let name = format!(
        "{size} viewers at {per_second} screens/s, one stopped for {seconds} s: another's echo p50, meanwhile ÷ otherwise"
    );
    // A lower figure is no fault: a stopped viewer leaves the processors to the others.
    let met = beach(&ratios).map(|ratio| ratio <= 1.05);
    let mut line = Line::new(name).target("1.00 ± 0.05", met);
    for (system, ratio) in &ratios {
        let last = rounds.get(system).and_then(|rounds| rounds.last());
        let told = ratio.zip(last).map(|(ratio, last)| {
            let count = if last.viewers == size { String::new() } else { format!(", {} admitted", last.viewers) };
            format!("{ratio:.2} ({:.2} → {:.2} ms{count})", last.otherwise, last.during)
        });
        line = line.cell(*system, told);
    }
    let during = figures(&rounds, |rounds| median(&rounds.iter().map(|stopped| stopped.during).collect::<Vec<_>>()));
    line.compared(&during)
}

fn measure_stopped(lab: &Lab, system: System, size: usize, per_second: u32, seed: u64) -> Result<Stopped> {
    let program = Program::Screens { per_second: Some(per_second) };
    let mut session = Session::start(lab, system, program, Place::Here, READY)?;
    let mut others = further(&session, size - 1, READY)?;
    let viewers = others.len() + 1;
    let Some(sleeper) = others.pop() else { bail!("nobody else was let in") };
    let crowd = Crowd::new(others);
    let sleeper_id = sleeper.id();
    let sleepers = Crowd::new(vec![sleeper]);
    let mut typist = Typist::new(Shown::Count, seed);
    let mut types =
        |share: f64| typist.types(&mut session.client, Amount::Time(lab.plan.stopped.mul_f64(share)), PAUSE);
    // Once for nothing: joins are still being worked off.
    types(0.3)?;
    let mut running = types(0.5)?;
    send(sleeper_id, Signal::STOP);
    let stopped = types(1.0)?;
    send(sleeper_id, Signal::CONT);
    // Once for nothing: it catches up. Then again as before, so that what else this machine does weighs the same on
    // both.
    types(0.2)?;
    running.add(&types(0.5)?);
    let middle = |echoes: &Echoes| echoes.percentile(0.5).ok_or_else(|| anyhow!("no key was typed"));
    let (otherwise, during) = (middle(&running)?, middle(&stopped)?);
    drop((crowd, sleepers));
    Ok(Stopped { viewers, otherwise, during })
}

/// Lets further viewers join; fewer than asked for if the host admits no more.
fn further(session: &Session<'_>, count: usize, shows: &str) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = session.join()?;
        match client.until(shows, JOIN_WITHIN, |screen| screen.shows(shows)) {
            Ok(_) => clients.push(client),
            // The viewer ended, because it was refused.
            Err(_) if client.end(Duration::from_millis(100)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(clients)
}

/// The cost of seven further viewers for the host during heavy output.
pub(super) fn cost(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(lab, "cost of viewers", System::shares, lab.plan.long_rounds, |system, _| {
        measure_cost(lab, system)
    });
    let middle = |of: fn(&Cost) -> f64| -> Figures {
        figures(&rounds, move |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>()))
    };
    let (cores, memory) = (middle(|cost| cost.cores), middle(|cost| cost.memory));
    vec![
        Line::new("each further viewer at 2 MB/s: processors at the host")
            .target("≤ 0.007", beach(&cores).map(|cores| cores <= 0.007))
            .figures(&cores, |cores| format!("{cores:.4}")),
        Line::new("each further viewer at 2 MB/s: memory at the host")
            .target("≤ 1 MiB", beach(&memory).map(|memory| memory <= 1.0))
            .figures(&memory, |memory| format!("{memory:.2} MiB")),
    ]
}

/// Of each further viewer.
struct Cost {
    cores: f64,
    memory: f64,
}

fn measure_cost(lab: &Lab, system: System) -> Result<Cost> {
    let mut session = Session::start(lab, system, Program::Rate { per_second: RATE }, Place::Here, LOG_LINE)?;
    let (one_cores, one_memory) = host(&mut session, lab.plan.cost)?;
    let others = further(&session, lab.plan.viewers - 1, LOG_LINE)?;
    let count = others.len() as f64;
    if others.is_empty() {
        bail!("nobody else was let in");
    }
    let crowd = Crowd::new(others);
    let (many_cores, many_memory) = host(&mut session, lab.plan.cost)?;
    if crowd.back().len() as f64 != count {
        bail!("a viewer did not stay");
    }
    Ok(Cost { cores: (many_cores - one_cores) / count, memory: (many_memory - one_memory) / count })
}

/// The program's output while few and many viewers are compared, in bytes a second.
const GROWTH_RATE: u64 = 1_000_000;

/// The same in screens a second, few enough for two processors and all viewers.
const GROWTH_SCREENS: u32 = 5;

/// The cost for the host of each of few and of each of many viewers.
pub(super) fn growth(lab: &Lab) -> Vec<Line> {
    let log = (Program::Rate { per_second: GROWTH_RATE }, LOG_LINE, "1 MB/s");
    let screens = (Program::Screens { per_second: Some(GROWTH_SCREENS) }, READY, "5 screens/s");
    [screens, log].into_iter().flat_map(|(program, shows, name)| growth_at(lab, program, shows, name)).collect()
}

fn growth_at(lab: &Lab, program: Program, shows: &str, rate: &str) -> Vec<Line> {
    let [few, many] = lab.plan.growth;
    let what = format!("{few} and {many} viewers at {rate}");
    let rounds = interleaved(lab, &what, System::is_beach, lab.plan.crowd_rounds, |system, _| {
        measure_growth(lab, system, program, shows)
    });
    let name = |of: &str| {
        format!("each further of {few} / of {many} viewers at {rate}: {of} at the host; the latter ÷ the former")
    };
    let line = |what: &str, of: fn(&Cost) -> f64, write: fn(f64) -> String| {
        let middle = |which: usize| {
            figures(&rounds, |rounds| median(&rounds.iter().map(|costs| of(&costs[which])).collect::<Vec<_>>()))
        };
        let (few, many) = (middle(0), middle(1));
        let ratio = |system| Some(many.get(&system).copied()?? / few.get(&system).copied()??);
        let line =
            Line::new(name(what)).target("≤ 1.2", ratio(System::Beach).map(|ratio| ratio <= 1.2)).compared(&many);
        few.iter().zip(many.values()).fold(line, |line, ((system, few), many)| {
            let told = few.zip(*many).map(|(few, many)| format!("{} / {}; {:.2}", write(few), write(many), many / few));
            line.cell(*system, told)
        })
    };
    vec![
        line("processors", |cost| cost.cores, |cores| format!("{cores:.4}")),
        line("memory", |cost| cost.memory, |memory| format!("{memory:.2} MiB")),
    ]
}

/// The cost of each further viewer, among few viewers and among many.
fn measure_growth(lab: &Lab, system: System, program: Program, shows: &str) -> Result<[Cost; 2]> {
    let mut session = Session::start(lab, system, program, Place::Here, shows)?;
    let alone = host(&mut session, lab.plan.cost)?;
    let mut crowd = Crowd::new(Vec::new());
    let mut costs = Vec::new();
    for size in lab.plan.growth {
        let mut clients = crowd.back();
        let missing = size - 1 - clients.len();
        clients.extend(further(&session, missing, shows)?);
        if clients.len() + 1 < size {
            bail!("only {} were let in", clients.len() + 1);
        }
        crowd = Crowd::new(clients);
        let (cores, memory) = host(&mut session, lab.plan.cost)?;
        let further = (size - 1) as f64;
        costs.push(Cost { cores: (cores - alone.0) / further, memory: (memory - alone.1) / further });
    }
    costs.try_into().map_err(|_| anyhow!("two were measured"))
}

/// The cost for the host of each viewer that has the terminal lane by a data channel, and of each other; with pages of
/// browsers among them, if there is a browser.
pub(super) fn by_channel(lab: &Lab) -> Vec<Line> {
    let (count, pages) = (lab.plan.by_channel, lab.plan.pages);
    let missing = page::missing();
    let what = format!("{count} viewers by RTP and by a data channel, and {pages} pages");
    let opened = if missing.is_none() { pages } else { 0 };
    let rounds = interleaved(
        lab,
        &what,
        |system| system == System::Beach,
        lab.plan.long_rounds,
        |_, _| measure_by_channel(lab, opened),
    );
    let middle = |of: fn(&ByChannel) -> f64| {
        beach(&figures(&rounds, |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>())))
    };
    let rtp = middle(|cores| cores.rtp);
    let line = |by: String, cores: Option<f64>| {
        let name = format!(
            "each further of {count} viewers at 2 MB/s, by RTP / {by}: processors at the host; the latter ÷ the former"
        );
        let both = rtp.zip(cores);
        let told = both.map(|(rtp, other)| format!("{rtp:.4} / {other:.4}; {:.2}", other / rtp));
        Line::new(name).target("≤ 1.5", both.map(|(rtp, other)| other <= 1.5 * rtp)).cell(System::Beach, told)
    };
    let among = format!("by a data channel with {pages} pages among them");
    let with_pages = match missing {
        None => line(among, middle(|cores| cores.with_pages)),
        Some(reason) => {
            report::say(&format!("!!! LEFT OUT: viewers {among}, since {reason}"));
            Line::skipped(format!("viewers {among}"), reason)
        }
    };
    vec![line("by a data channel".to_owned(), middle(|cores| cores.channel)), with_pages]
}

/// Processors at the host for each further viewer.
struct ByChannel {
    rtp: f64,
    channel: f64,
    /// By a data channel, among them pages.
    with_pages: f64,
}

fn measure_by_channel(lab: &Lab, pages: usize) -> Result<ByChannel> {
    let program = Program::Rate { per_second: RATE };
    let [rtp, _] = each_further(lab, Session::start(lab, System::Beach, program, Place::Here, LOG_LINE)?, 0)?;
    let session = Session::start_by_channel(lab, program, Place::Here, LOG_LINE)?;
    let [channel, with_pages] = each_further(lab, session, pages)?;
    Ok(ByChannel { rtp, channel, with_pages })
}

/// Processors at the host for each further viewer, and for each of them and of so many pages beside them.
fn each_further(lab: &Lab, mut session: Session<'_>, pages: usize) -> Result<[f64; 2]> {
    let (alone, _) = host(&mut session, lab.plan.cost)?;
    let others = further(&session, lab.plan.by_channel - 1, LOG_LINE)?;
    let count = others.len() as f64;
    let crowd = Crowd::new(others);
    let (cores, _) = host(&mut session, lab.plan.cost)?;
    let opened = (0..pages).map(|_| session.open_page()).collect::<Result<Vec<_>>>()?;
    let (with_pages, _) = if opened.is_empty() { (cores, 0.0) } else { host(&mut session, lab.plan.cost)? };
    // Before the others leave.
    if !opened.is_empty() && session.has_lost_viewers() {
        bail!("a page or a viewer beside it did not stay");
    }
    if count == 0.0 || crowd.back().len() as f64 != count {
        bail!("a viewer did not stay");
    }
    Ok([(cores - alone) / count, (with_pages - alone) / (count + opened.len() as f64)])
}

/// Processors and memory, in MiB, that the host uses.
fn host(session: &mut Session<'_>, time: Duration) -> Result<(f64, f64)> {
    session.client.watch(time / 4)?;
    let ids = session.host_ids();
    let (before, started) = (proc::cpu(&ids), Instant::now());
    session.client.watch(time)?;
    let cores = (proc::cpu(&ids) - before).as_secs_f64() / started.elapsed().as_secs_f64();
    Ok((cores, ids.iter().map(|id| proc::memory(*id).resident).sum()))
}
