//! The cost of datagrams that a rendezvous relays, and how late they are when there are too many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::client::send;
use crate::lab::Lab;
use crate::proc;
use crate::socket::{Host, Message, Socket};
use crate::statistics::{median, milliseconds, percentile};
use crate::system::System;
use crate::table::Line;

use super::rendezvous::serve;
use super::{figures, interleaved, ms};

/// Bytes of each datagram: those of a full packet of WebRTC.
const DATAGRAM: usize = 1200;

/// An overloaded server runs for so long of each slice.
const RUNS: Duration = Duration::from_millis(1);
const SLICE: Duration = Duration::from_millis(20);

/// Each sender sends this many datagrams at once, this often: nearly as many as a session may have relayed.
const AT_ONCE: usize = 4;
const SENDS_EVERY: Duration = Duration::from_millis(10);

/// After the last one, late datagrams are waited for so long.
const LATE: Duration = Duration::from_secs(2);

struct Cost {
    /// CPU of a datagram, in µs.
    cpu: f64,
    /// One way through an overloaded server, in milliseconds, of those that arrive.
    late: f64,
    /// The share of them that arrives, in percent.
    arrived: f64,
}

/// Sessions with a viewer each, whose datagrams `beach serve` carries.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(lab, "relay", System::is_beach, lab.plan.rounds, |system, _| measure(lab, system));
    let middle =
        |of: fn(&Cost) -> f64| figures(&rounds, move |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>()));
    let (cpu, late, arrived) = (middle(|cost| cost.cpu), middle(|cost| cost.late), middle(|cost| cost.arrived));
    let is_cheap = crate::table::beach(&cpu).map(|microseconds| microseconds <= 13.0);
    let is_soon = crate::table::beach(&late).map(|late| late <= 300.0);
    vec![
        Line::new("relay: CPU of a datagram of 1,200 bytes")
            .target("≤ 13 µs", is_cheap)
            .figures(&cpu, |value| format!("{value:.1} µs")),
        Line::new("relay with a twentieth of a processor and twice as much to carry: one way, p99")
            .target("≤ 300 ms", is_soon)
            .figures(&late, ms),
        Line::new("the same: datagrams that arrive").figures(&arrived, |value| format!("{value:.0} %")).unjudged(),
    ]
}

/// A session at the server, and its viewer's link.
struct Pair {
    host: Socket,
    viewer: Socket,
    link: u64,
}

impl Pair {
    fn join(address: &str, number: u32) -> Result<Pair> {
        let mut host = Host::register(address, number)?;
        let mut viewer = Socket::open(address)?;
        let (link, session) = (u64::from(number), &host.session);
        viewer.say(&format!(
            r#"{{"type":"join","session":"{session}","link":"{link:016x}","role":"view","versions":[1]}}"#
        ))?;
        host.socket.until("joined")?;
        viewer.until("joined")?;
        Ok(Pair { host: host.socket, viewer, link })
    }
}

fn measure(lab: &Lab, system: System) -> Result<Cost> {
    let (server, address) = serve(lab, system)?;
    let id = server.0.id();
    let pairs = (0..lab.plan.relaying).map(|_| Pair::join(&address, lab.number()));
    let mut pairs: Vec<Pair> = pairs.collect::<Result<_>>()?;
    let started = Instant::now();
    carry(&mut pairs, started, 10)?;
    let before = proc::cpu(&[id]);
    carry(&mut pairs, started, lab.plan.relayed)?;
    let spent = proc::cpu(&[id]) - before;
    let cpu = spent.as_secs_f64() * 1e6 / (lab.plan.relayed * pairs.len()) as f64;

    // Each session has its whole allowance again.
    sleep(LATE);
    let (asked, took) = overload(id, pairs, lab.plan.overload)?;
    let arrived = 100.0 * took.len() as f64 / asked as f64;
    Ok(Cost { cpu, late: percentile(&took, 0.99).context("a datagram arrived")?, arrived })
}

/// Sends one datagram for each session and waits for all of them, so many times.
fn carry(pairs: &mut [Pair], started: Instant, times: usize) -> Result<()> {
    for _ in 0..times {
        for pair in &mut *pairs {
            pair.viewer.datagram(&relayed(pair.link, started))?;
        }
        for pair in &mut *pairs {
            while let Message::Text(_) = pair.host.message()? {}
        }
    }
    Ok(())
}

/// The message that a viewer sends: the link, the attempt, flags, and a datagram that begins with the time.
fn relayed(link: u64, started: Instant) -> Vec<u8> {
    let mut bytes = link.to_be_bytes().to_vec();
    bytes.extend([0; 3]);
    bytes.extend((started.elapsed().as_nanos() as u64).to_be_bytes());
    bytes.resize(11 + DATAGRAM, 0);
    bytes
}

/// Has the server stand still most of the time, and sends more than the server can carry. How many datagrams were sent
/// or found no room in a socket, and how many milliseconds each took that arrived.
fn overload(server: u32, pairs: Vec<Pair>, lasts: Duration) -> Result<(usize, Vec<f64>)> {
    let started = Instant::now();
    let is_over = AtomicBool::new(false);
    let (hosts, mut viewers): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|pair| (pair.host, (pair.viewer, pair.link))).unzip();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                send(server, Signal::STOP);
                sleep(SLICE - RUNS);
                send(server, Signal::CONT);
                sleep(RUNS);
            }
        });
        let receivers: Vec<_> = hosts.into_iter().map(|host| scope.spawn(move || receive(host, started))).collect();
        let sent = flood(&mut viewers, started, lasts);
        is_over.store(true, Ordering::Relaxed);
        sleep(LATE);
        // The server tells each host that its viewer is gone.
        drop(viewers);
        let took = receivers.into_iter().map(|receiver| receiver.join().expect("no receiver panics"));
        let took: Vec<Vec<f64>> = took.collect::<Result<_>>()?;
        Ok((sent?, took.concat()))
    })
}

/// Sends for so long. A datagram that does not fit into a socket is dropped, as in `beach`, and counts as sent.
fn flood(viewers: &mut [(Socket, u64)], started: Instant, lasts: Duration) -> Result<usize> {
    let mut sent = 0;
    while started.elapsed() < lasts {
        for (viewer, link) in &mut *viewers {
            for _ in 0..AT_ONCE {
                sent += 1;
                if viewer.has_room()? {
                    viewer.datagram(&relayed(*link, started))?;
                }
            }
        }
        sleep(SENDS_EVERY);
    }
    Ok(sent)
}

/// How long each datagram took that arrived until the viewer was gone.
fn receive(mut host: Socket, started: Instant) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    loop {
        match host.message()? {
            Message::Text(text) if text.contains(r#""type":"closed""#) => return Ok(took),
            Message::Text(_) => {}
            Message::Datagram(bytes) => {
                let at =
                    bytes.get(11..19).and_then(|at| at.try_into().ok()).map(u64::from_be_bytes).context("a time")?;
                took.push(milliseconds(started.elapsed().saturating_sub(Duration::from_nanos(at))));
            }
        }
    }
}
