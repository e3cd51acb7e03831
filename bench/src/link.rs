//! A slow link that loses datagrams, between two network namespaces: a TUN device in each, and between them this
//! process, since not every kernel has `netem`. The link keeps the order of packets, and may be narrow.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::lab::said;

/// From one end to the other: half of a round trip of 100 ms.
const DELAY: Duration = Duration::from_millis(50);

/// The largest packet that is passed on, and the devices' MTU.
const MTU: u16 = 1500;

/// The link. The namespaces go when it is dropped, and its threads with the devices.
pub(crate) struct Link {
    /// The host's namespace.
    pub(crate) host: String,
    /// The viewer's.
    pub(crate) viewer: String,
    down: Arc<Direction>,
    up: Arc<Direction>,
}

/// Bytes that wait before a narrow link; more are dropped.
const QUEUE: u64 = 64 * 1024;

/// The treatment of packets in one direction.
struct Direction {
    state: Mutex<State>,
    passed: AtomicU64,
    dropped: AtomicU64,
}

struct State {
    rng: Rng,
    /// The share that is lost.
    loss: f64,
    /// Bits a second; none for as many as come.
    rate: Option<u64>,
    /// When all that waits has gone through.
    free_at: Instant,
}

impl State {
    fn new() -> State {
        State { rng: Rng::with_seed(0), loss: 0.0, rate: None, free_at: Instant::now() }
    }

    /// When a packet comes out at the far end; `None` if it is dropped.
    fn pass(&mut self, now: Instant, length: usize) -> Option<Instant> {
        if self.rng.f64() < self.loss {
            return None;
        }
        let Some(rate) = self.rate else { return Some(now + DELAY) };
        let takes = |bytes: u64| Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        let start = self.free_at.max(now);
        let length = length as u64;
        if start + takes(length) > now + takes(QUEUE) {
            return None;
        }
        self.free_at = start + takes(length);
        Some(self.free_at + DELAY)
    }
}

impl Link {
    /// The host's address.
    pub(crate) const HOST: &str = "10.214.0.1";
    /// The viewer's.
    const VIEWER: &str = "10.214.0.2";

    /// Makes namespaces, devices and threads. The link loses nothing yet.
    pub(crate) fn new() -> Result<Link> {
        // Names of interfaces have at most 15 characters.
        let name = |side: &str| format!("bb{}{side}", std::process::id());
        let direction = || {
            let state = Mutex::new(State::new());
            Arc::new(Direction { state, passed: AtomicU64::new(0), dropped: AtomicU64::new(0) })
        };
        let link = Link { host: name("h"), viewer: name("v"), down: direction(), up: direction() };
        let at_host = device(&link.host, Link::HOST, Link::VIEWER)?;
        let at_viewer = device(&link.viewer, Link::VIEWER, Link::HOST)?;
        carry(&at_host, &at_viewer, &link.down);
        carry(&at_viewer, &at_host, &link.up);
        Ok(link)
    }

    /// From now on it loses this many packets of a hundred, each way, as the seed says.
    pub(crate) fn lose(&self, percent: u32, seed: u64) {
        for (way, direction) in [&self.down, &self.up].into_iter().enumerate() {
            let mut state = direction.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.rng = Rng::with_seed(seed * 2 + way as u64);
            state.loss = f64::from(percent) / 100.0;
        }
    }

    /// From now on so many bits a second pass each way, behind a queue of 64 KB; or again as many as come.
    pub(crate) fn narrow(&self, rate: Option<u64>) {
        for direction in [&self.down, &self.up] {
            direction.state.lock().unwrap_or_else(PoisonError::into_inner).rate = rate;
        }
    }

    /// Packets that passed and that were dropped, both ways.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let sum = |count: fn(&Direction) -> &AtomicU64| {
            count(&self.down).load(Ordering::Relaxed) + count(&self.up).load(Ordering::Relaxed)
        };
        (sum(|direction| &direction.passed), sum(|direction| &direction.dropped))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for namespace in [&self.host, &self.viewer] {
            let _ = said(Command::new("ip").args(["netns", "delete", namespace]));
        }
    }
}

/// A TUN device in a namespace of the same name. The device is made outside of the namespace, is then moved into it,
/// and stays as long as its file is open.
fn device(name: &str, own: &str, other: &str) -> Result<Arc<SyncDevice>> {
    let ip = |arguments: &[&str]| said(Command::new("ip").args(arguments)).map(drop);
    ip(&["netns", "add", name])?;
    let device = DeviceBuilder::new().name(name).mtu(MTU).enable(false).build_sync().context("a TUN device")?;
    ip(&["link", "set", name, "netns", name])?;
    ip(&["-n", name, "address", "add", own, "peer", other, "dev", name])?;
    for interface in ["lo", name] {
        ip(&["-n", name, "link", "set", interface, "up"])?;
    }
    Ok(Arc::new(device))
}

/// Carries packets one way: one thread drops or keeps them, another waits until they are due.
fn carry(from: &Arc<SyncDevice>, to: &Arc<SyncDevice>, direction: &Arc<Direction>) {
    let (sender, receiver) = channel();
    let (from, to, direction) = (Arc::clone(from), Arc::clone(to), Arc::clone(direction));
    thread::spawn(move || take(&from, &direction, &sender));
    thread::spawn(move || give(&to, &receiver));
}

fn take(from: &SyncDevice, direction: &Direction, sender: &Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; usize::from(MTU)];
    // The read fails when the device is gone.
    while let Ok(length) = from.recv(&mut buffer) {
        let now = Instant::now();
        let packet = &buffer[..length];
        // IPv6's own messages must not consume random numbers.
        if packet.first().is_none_or(|byte| byte >> 4 != 4) {
            continue;
        }
        let due = direction.state.lock().unwrap_or_else(PoisonError::into_inner).pass(now, length);
        let count = if due.is_none() { &direction.dropped } else { &direction.passed };
        count.fetch_add(1, Ordering::Relaxed);
        if due.is_some_and(|due| sender.send((due, packet.to_vec())).is_err()) {
            return;
        }
    }
}

fn give(to: &SyncDevice, receiver: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, packet)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.send(&packet).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_link_passes_what_its_rate_allows_and_drops_what_finds_its_queue_full() {
        let mut state = State { rate: Some(1_000_000), ..State::new() };
        let now = state.free_at;
        let through: Vec<Duration> = (0..100).filter_map(|_| Some(state.pass(now, 1000)? - now)).collect();
        assert_eq!(through.len(), 65, "as many as wait in 64 KiB");
        assert_eq!(through[..2], [DELAY + Duration::from_millis(8), DELAY + Duration::from_millis(16)]);
        assert!(state.pass(now + Duration::from_millis(8), 1000).is_some(), "one has left");
        state.rate = None;
        assert_eq!(state.pass(now, 1000), Some(now + DELAY));
    }
}
