//! The future events of a world, in the order of its virtual clock.

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::endpoint::{Generation, Input, NetworkInput};
use beach_core::host::HostInput;
use beach_core::ice::server_url::Transport;
use beach_core::machine::{Machine as _, Tick};
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::{ConnectionId, RendezvousInput};
use beach_core::session::link::Event;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerInput;
use serde::Serialize;
use sha2::Digest as _;

use super::actors::Common;
use super::{Who, World, ms};

/// How often a machine may want the time at one instant before it is said to spin.
pub(super) const SPIN: u32 = 1000;

/// The receive buffers of a stopped process.
pub(super) const SOCKET_BUFFER: usize = 256;

pub(super) enum What {
    Host(usize, Box<HostInput>),
    Viewer(usize, Box<ViewerInput>),
    Link(Who, Box<Event>),
    Bound(Who, Generation, Vec<SocketAddr>),
    Datagram {
        to: Who,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    },
    SignalUp(ConnectionId),
    SignalDown(Who, ConnectionId, &'static str),
    FromRendezvous(ConnectionId, String),
    RelayedFrom(ConnectionId, Vec<u8>),
    RelayedTo(ConnectionId, Vec<u8>),
    Opened(ConnectionId),
    AtRendezvous(ConnectionId, String),
    ClosedAtRendezvous(ConnectionId),
    Wake(usize),
    AtTurn(Transport, SocketAddr, SocketAddr, Vec<u8>),
    TurnStream(Who, NetworkInput),
    Page(Who, NetworkInput),
    /// The second connection of `who` to the rendezvous could not be made.
    Beside(Who, String),
}

impl<E: Engine> World<E> {
    /// Lets time pass until `until` after the start.
    pub fn run_to(&mut self, until: Timestamp) {
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.set_time(until.max(self.now));
    }

    /// Does one thing of those due until `until`, if there is any; otherwise lets time pass until then, and is false.
    pub fn advance(&mut self, until: Timestamp) -> bool {
        let is_due = self.next_at().is_some_and(|at| at <= until);
        if is_due {
            self.step();
        } else {
            self.set_time(until.max(self.now));
        }
        is_due
    }

    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        self.run_to(self.now + span);
    }

    /// Lets time pass until `done`, looked at every 10 ms, at most for `span`; whether it came true.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut(&World<E>) -> bool) -> bool {
        let end = self.now + span;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            let next = self.next_at().unwrap_or(end).max(self.now + ms(10));
            self.run_to(next.min(end));
        }
        true
    }

    pub(super) fn set_time(&mut self, now: Timestamp) {
        self.now = now;
        if let Some(clock) = self.clock {
            clock(now.since_start());
        }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (Who, Timestamp)> {
        let due = |who: Who, common: &Common, deadline: Option<Timestamp>| {
            let live = !common.gone && common.start <= self.now && !self.frozen.contains(&who);
            deadline.filter(|_| live).map(|at| (who, (common.start + at.since_start()).max(self.now)))
        };
        let hosts = self.hosts.iter().enumerate();
        let hosts = hosts
            .filter(|(_, host)| !host.common.gone)
            .filter_map(move |(index, host)| due(Who::Host(index), &host.common, host.node.deadline()));
        let viewers = self.viewers.iter().enumerate().filter(|(_, viewer)| !viewer.common.gone);
        hosts.chain(
            viewers.filter_map(move |(index, viewer)| due(Who::Viewer(index), &viewer.common, viewer.deadline())),
        )
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let nodes = self.nodes().map(|(_, at)| at).min();
        let rendezvous =
            self.rendezvous.as_ref().and_then(|rendezvous| rendezvous.deadline()).map(|at| at.max(self.now));
        [queued, nodes, rendezvous].into_iter().flatten().min()
    }

    /// Moves to the next instant at which anything happens, and does one thing.
    pub(super) fn step(&mut self) {
        let Some(next) = self.next_at() else { return };
        self.set_time(next.max(self.now));
        if let Some(first) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let what = first.remove();
            return self.happen(what);
        }
        let due = self.nodes().find(|(_, at)| *at <= self.now).map(|(who, _)| who);
        if let Some(who) = due {
            let now = self.now;
            let common = self.common(who);
            common.spins = if common.spins.0 == now { (now, common.spins.1 + 1) } else { (now, 1) };
            assert!(common.spins.1 < SPIN, "{who:?} wants the time again and again at {now}");
            match who {
                Who::Host(index) => self.drive_host(index, Input::Tick),
                Who::Viewer(index) => {
                    self.page_ticks(index);
                    self.drive_viewer(index, Input::Tick);
                }
            }
            return;
        }
        self.drive_rendezvous(RendezvousInput::from(Tick));
    }

    pub(super) fn later(&mut self, span: Duration, what: What) {
        self.later_at(self.now + span, what);
    }

    pub(super) fn later_at(&mut self, at: Timestamp, what: What) {
        self.queued_ever += 1;
        self.queue.insert((at.max(self.now), self.queued_ever), what);
    }

    pub(super) fn write_down(&mut self, who: Option<Who>, kind: &str, bytes: &[u8]) {
        let number = match who {
            Some(Who::Host(index)) => index as u64,
            Some(Who::Viewer(index)) => 1_000_000 + index as u64,
            None => u64::MAX,
        };
        self.transcript.update(self.now.as_micros().to_be_bytes());
        self.transcript.update(number.to_be_bytes());
        self.transcript.update((kind.len() as u64).to_be_bytes());
        self.transcript.update(kind);
        self.transcript.update((bytes.len() as u64).to_be_bytes());
        self.transcript.update(bytes);
    }

    pub(super) fn write_down_value(&mut self, who: Who, kind: &str, value: &impl Serialize) {
        let bytes = postcard::to_stdvec(value).expect("plain data always encodes");
        self.write_down(Some(who), kind, &bytes);
    }

    pub(super) fn happen(&mut self, what: What) {
        let for_whom = match &what {
            What::Host(index, _) | What::Wake(index) => Some(Who::Host(*index)),
            What::Viewer(index, _) => Some(Who::Viewer(*index)),
            What::Link(who, _) | What::Bound(who, ..) | What::SignalDown(who, ..) | What::Beside(who, _) => Some(*who),
            What::Datagram { to, .. } | What::TurnStream(to, _) | What::Page(to, _) => Some(*to),
            What::SignalUp(id) | What::FromRendezvous(id, _) | What::RelayedFrom(id, _) => {
                self.connections.get(id).map(|connection| connection.who)
            }
            What::Opened(_)
            | What::AtRendezvous(..)
            | What::RelayedTo(..)
            | What::ClosedAtRendezvous(_)
            | What::AtTurn(..) => None,
        };
        if let Some(who) = for_whom {
            let frozen = self.frozen.contains(&who);
            let common = self.common(who);
            if common.gone {
                return;
            }
            if frozen {
                if !matches!(what, What::Datagram { .. }) || common.held_back.len() < SOCKET_BUFFER {
                    common.held_back.push(what);
                }
                return;
            }
        }
        match what {
            What::Host(index, input) => {
                if let HostInput::Printed(bytes) = &*input {
                    self.hosts[index].printed.push(bytes.clone());
                }
                self.drive_host(index, Input::Machine(*input));
            }
            What::Viewer(index, input) => self.drive_viewer(index, Input::Machine(*input)),
            What::Link(who, event) => {
                if self.seam.holds(who, &event) {
                    self.link_event(who, *event);
                }
            }
            What::Bound(who, generation, addresses) => {
                let common = self.common(who);
                let old = std::mem::replace(&mut common.sockets, addresses.clone());
                for address in old {
                    self.addresses.remove(&address);
                }
                for address in &addresses {
                    self.addresses.insert(*address, who);
                }
                self.drive(who, NetworkInput::Bound(generation, addresses));
            }
            What::Datagram { to, source, destination, bytes } => {
                if self.addresses.get(&destination) == Some(&to) && !self.page_hears(to, source, destination, &bytes) {
                    self.drive(to, NetworkInput::Datagram { source, destination, bytes });
                }
            }
            What::AtTurn(transport, source, to, bytes) => self.at_turn(transport, source, to, bytes),
            What::TurnStream(who, input) | What::Page(who, input) => self.drive(who, input),
            What::Beside(who, cause) => self.drive(who, NetworkInput::BesideDown(cause)),
            What::SignalUp(id) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, NetworkInput::SignalUp);
                }
            }
            What::SignalDown(who, id, cause) => {
                if self.common(who).connection == Some(id) {
                    self.common(who).connection = None;
                    self.drive(who, NetworkInput::SignalDown(cause.to_owned()));
                }
            }
            What::FromRendezvous(id, text) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, NetworkInput::Signal(text));
                }
            }
            What::RelayedTo(id, bytes) => {
                if self.connections.get(&id).is_some_and(|connection| connection.opened) {
                    self.drive_rendezvous(RendezvousInput::Datagram(id, bytes));
                }
            }
            What::RelayedFrom(id, bytes) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, NetworkInput::Relayed(bytes));
                }
            }
            What::Opened(id) => {
                let Some(connection) = self.connections.get_mut(&id) else { return };
                let who = connection.who;
                if self.rendezvous.is_some() && !self.shut_out.contains(&who) {
                    connection.opened = true;
                    let address = self.tells_addresses.then(|| super::network::place(who).into());
                    self.drive_rendezvous(RendezvousInput::Opened(id, address));
                    let latency = self.common(who).signal.latency;
                    self.later(latency, What::SignalUp(id));
                } else {
                    self.connections.remove(&id);
                    let latency = self.common(who).signal.latency;
                    self.later(latency, What::SignalDown(who, id, "connection refused"));
                }
            }
            What::AtRendezvous(id, text) => {
                self.rendezvous_heard.push(text.clone());
                if self.connections.get(&id).is_some_and(|connection| connection.opened) {
                    self.drive_rendezvous(RendezvousInput::Text(id, text));
                }
            }
            What::ClosedAtRendezvous(id) => {
                self.connections.remove(&id);
                self.drive_rendezvous(RendezvousInput::Closed(id));
            }
            What::Wake(index) => {
                if let Some(program) = &mut self.hosts[index].program {
                    let acts = program.wake();
                    self.act(index, acts);
                }
            }
        }
    }
}
