//! The cost of connections to a rendezvous.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::lab::{Daemon, Lab};
use crate::proc;
use crate::socket::{Host, Socket};
use crate::statistics::median;
use crate::system::System;
use crate::table::Line;

use super::{figures, interleaved};

/// Envelopes of a join, both ways together, and bytes of each before base64url: about what a handshake takes.
const ENVELOPES: usize = 12;
const ENVELOPE_BYTES: usize = 300;

/// A host sends it every 20 s, so that 20,000 idle hosts take 5 % of a processor at 50 µs each.
pub(super) const PING: &str = r#"{"type":"ping"}"#;

/// Of one server.
struct Cost {
    /// Resident memory of a connection whose host has registered and says nothing, in kB (1,000 bytes).
    idle: f64,
    /// CPU of connecting and registering, in µs.
    register: f64,
    /// CPU of a host's ping, in µs.
    ping: f64,
    /// CPU of a viewer's way in: connecting, joining, the envelopes, leaving; in µs.
    join: f64,
    /// The same where no processor sleeps between two messages.
    join_awake: f64,
}

/// Programs of the lowest priority that keep every processor from sleeping. A virtual machine charges a message to a
/// sleeping processor with the time that the hypervisor takes to wake it.
struct Awake {
    _spinners: Vec<Daemon>,
}

impl Awake {
    fn keep() -> Result<Awake> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let spin = || {
            let mut command = Command::new("nice");
            command.args(["-n", "19", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
            command.spawn().map(Daemon).context("nice")
        };
        Ok(Awake { _spinners: (0..processors).map(|_| spin()).collect::<Result<_>>()? })
    }
}

/// Idle hosts, and viewers who join one of them, at `beach serve`.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(lab, "rendezvous", System::is_beach, lab.plan.rounds, |system, _| measure(lab, system));
    let middle =
        |of: fn(&Cost) -> f64| figures(&rounds, move |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>()));
    let (idle, register) = (middle(|cost| cost.idle), middle(|cost| cost.register));
    let (ping, join, join_awake) = (middle(|cost| cost.ping), middle(|cost| cost.join), middle(|cost| cost.join_awake));
    let is_small = crate::table::beach(&idle).map(|kilobytes| kilobytes <= 12.0);
    let is_quiet = crate::table::beach(&ping).map(|microseconds| microseconds <= 50.0);
    let is_cheap = crate::table::beach(&join).map(|microseconds| microseconds <= 300.0);
    let microseconds = |value: f64| format!("{value:.0} µs");
    vec![
        Line::new("rendezvous: memory of an idle host")
            .target("≤ 12 kB", is_small)
            .figures(&idle, |value| format!("{value:.1} kB")),
        Line::new("rendezvous: CPU of a registration").figures(&register, microseconds),
        Line::new("rendezvous: CPU of a host's ping").target("≤ 50 µs", is_quiet).figures(&ping, microseconds),
        Line::new("rendezvous: CPU of a join").target("≤ 300 µs", is_cheap).figures(&join, microseconds),
        Line::new("the same, while no processor sleeps").figures(&join_awake, microseconds),
    ]
}

fn measure(lab: &Lab, system: System) -> Result<Cost> {
    let (server, address) = serve(lab, system)?;
    let id = server.0.id();
    // The first ones make the allocator and the tables grow.
    let mut hosts = Vec::new();
    for _ in 0..lab.plan.idle_hosts / 10 {
        hosts.push(Host::register(&address, lab.number())?);
    }
    let before = (proc::memory(id).resident, proc::cpu(&[id]));
    for _ in 0..lab.plan.idle_hosts {
        hosts.push(Host::register(&address, lab.number())?);
    }
    let after = (proc::memory(id).resident, proc::cpu(&[id]));
    let count = lab.plan.idle_hosts as f64;
    for host in &mut hosts {
        host.socket.say(PING)?;
        host.socket.until("pong")?;
    }
    let pings = proc::cpu(&[id]) - after.1;
    let count_of_hosts = hosts.len() as f64;
    let join = joins(lab, id, &address, hosts.last_mut().context("a host")?)?;
    drop(server);
    let _awake = Awake::keep()?;
    let (server, address) = serve(lab, system)?;
    let mut host = Host::register(&address, lab.number())?;
    let join_awake = joins(lab, server.0.id(), &address, &mut host)?;
    Ok(Cost {
        idle: (after.0 - before.0) * 1024.0 * 1.024 / count,
        register: (after.1 - before.1).as_secs_f64() * 1e6 / count,
        ping: pings.as_secs_f64() * 1e6 / count_of_hosts,
        join,
        join_awake,
    })
}

/// CPU of a server for a viewer's way in, in µs, from as many as may join one session at once.
fn joins(lab: &Lab, server: u32, address: &str, host: &mut Host) -> Result<f64> {
    let (count, before) = (lab.plan.server_joins, proc::cpu(&[server]));
    for number in 0..count {
        join(address, host, number)?;
    }
    Ok((proc::cpu(&[server]) - before).as_secs_f64() * 1e6 / count as f64)
}

/// A viewer comes, exchanges as many envelopes with the host as a handshake does, and leaves.
fn join(address: &str, host: &mut Host, number: usize) -> Result<()> {
    let link = format!("{number:016x}");
    let envelope = format!(r#"{{"type":"envelope","link":"{link}","data":"{}"}}"#, "A".repeat(ENVELOPE_BYTES * 4 / 3));
    let mut viewer = Socket::open(address)?;
    viewer.say(&format!(
        r#"{{"type":"join","session":"{}","link":"{link}","role":"view","versions":[1]}}"#,
        host.session
    ))?;
    host.socket.until("joined")?;
    viewer.until("joined")?;
    for _ in 0..ENVELOPES / 2 {
        viewer.say(&envelope)?;
        host.socket.until("envelope")?;
        host.socket.say(&envelope)?;
        viewer.until("envelope")?;
    }
    drop(viewer);
    host.socket.until("closed")
}

/// A server, and where it listens.
pub(super) fn serve(lab: &Lab, system: System) -> Result<(Daemon, String)> {
    serve_with(lab, system, &[])
}

/// The same with these flags.
pub(super) fn serve_with(lab: &Lab, system: System, flags: &[&str]) -> Result<(Daemon, String)> {
    let mut command = lab.command(&lab.binary(system).path);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = Daemon(command.stderr(Stdio::piped()).spawn()?);
    let stderr = server.0.stderr.take().context("stderr")?;
    let mut line = String::new();
    BufReader::new(stderr).read_line(&mut line)?;
    let (_, address) = line.trim().split_once("http://").with_context(|| line.clone())?;
    Ok((server, address.to_owned()))
}
