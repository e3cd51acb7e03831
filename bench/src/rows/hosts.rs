//! Many hosts at one rendezvous that do nothing but ping.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Instant;

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::lab::Lab;
use crate::proc;
use crate::report;
use crate::socket::{Host, Socket};
use crate::statistics::median;
use crate::system::System;
use crate::table::Line;

use super::rendezvous::{PING, serve_with};
use super::{figures, interleaved};

/// The number of hosts that the figure is for. If there is no room for so many, it is computed from fewer.
const HOSTS: f64 = 20_000.0;

/// Each host pings once in this many milliseconds.
const PING_EVERY_MS: u64 = 20_000;

/// Hosts that come from one address: fewer than one address may register at once.
const AT_ADDRESS: u32 = 200;

/// Files that this program and the server need beside their connections.
const FILES: u64 = 400;

/// A loopback network that is nobody's proxy: clients on loopback have addresses of their own then.
pub(super) const NO_PROXY: [&str; 2] = ["--trusted-proxies", "192.0.2.1"];

struct Cost {
    /// Kernel memory of a connection at the server, in kB (1,000 bytes).
    kernel: f64,
    /// CPU of [`HOSTS`], in percent of a processor.
    cpu: f64,
}

/// Idle hosts, as many as there is room for.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let rounds =
        interleaved(lab, "idle hosts", System::is_beach, lab.plan.herd_rounds, |system, _| measure(lab, system));
    let middle =
        |of: fn(&Cost) -> f64| figures(&rounds, move |rounds| median(&rounds.iter().map(of).collect::<Vec<_>>()));
    let (kernel, cpu) = (middle(|cost| cost.kernel), middle(|cost| cost.cpu));
    let is_small = crate::table::beach(&kernel).map(|kilobytes| kilobytes <= 4.0);
    let is_quiet = crate::table::beach(&cpu).map(|percent| percent <= 5.0);
    vec![
        Line::new("rendezvous: kernel memory of an idle host")
            .target("≤ 4 kB", is_small)
            .figures(&kernel, |value| format!("{value:.1} kB")),
        Line::new("rendezvous with 20,000 idle hosts: CPU")
            .target("≤ 5 % of a processor", is_quiet)
            .figures(&cpu, |value| format!("{value:.1} %")),
    ]
}

fn measure(lab: &Lab, system: System) -> Result<Cost> {
    let limit = raise_open_files()?;
    let wanted = lab.plan.herd;
    let count = wanted.min(limit.saturating_sub(FILES));
    if count < wanted {
        report::say(&format!("!!! {count} idle hosts in place of {wanted}: a process may open {limit} files here"));
    }
    let (server, address) = serve_with(lab, system, &NO_PROXY)?;
    let id = server.0.id();
    let mut hosts = Vec::new();
    let mut slab = 0.0;
    let warm_up = count / 10;
    for number in 0..count {
        if number == warm_up {
            slab = proc::slab();
        }
        let socket = Socket::open_from(&address, source(u32::try_from(number)? / AT_ADDRESS))?;
        hosts.push(Host::register_over(socket, lab.number(), 0)?);
    }
    // Both ends of each connection are here.
    let kernel = (proc::slab() - slab) * 1.024 / (count - warm_up) as f64 / 2.0;
    let (began, before) = (Instant::now(), proc::cpu(&[id]));
    let pings = count * u64::try_from(lab.plan.herd_idle.as_millis())? / PING_EVERY_MS;
    let between = lab.plan.herd_idle.div_f64(pings.max(1) as f64);
    for (number, host) in hosts.iter_mut().take(usize::try_from(pings)?).enumerate() {
        let due = began + between * u32::try_from(number)?;
        sleep(due.saturating_duration_since(Instant::now()));
        host.socket.say(PING)?;
        host.socket.until("pong")?;
    }
    sleep((began + lab.plan.herd_idle).saturating_duration_since(Instant::now()));
    let spent = (proc::cpu(&[id]) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(Cost { kernel, cpu: 100.0 * spent * HOSTS / count as f64 })
}

/// The address number so many of this machine that is on loopback, and not 127.0.0.0/16.
pub(super) fn source(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number)
}

/// As many files as this process may have; how many those are.
pub(super) fn raise_open_files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
