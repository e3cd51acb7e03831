//! The rendezvous of a world, and everybody's connections to it.

use std::time::Duration;

use beach_core::machine::Machine as _;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::{ConnectionId, RendezvousInput, RendezvousOutput};
use beach_core::time::Timestamp;

use super::queue::What;
use super::{Who, World, ms};
use crate::sim::network::{Dice, Wire};

/// A signalling message, on its way to the rendezvous or from it.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The host or viewer whose connection carries the message.
    pub who: Who,
    /// Towards the rendezvous.
    pub up: bool,
    /// The message.
    pub text: String,
    /// How much later than usual it comes.
    pub late: Duration,
}

/// A rendezvous that does as it likes with what passes: any messages, to and from anybody, come of one.
pub type Meddler = Box<dyn FnMut(&mut Dice, Signal) -> Vec<Signal>>;

pub(super) struct Connection {
    pub(super) who: Who,
    pub(super) opened: bool,
    pub(super) up_at: Timestamp,
    pub(super) down_at: Timestamp,
}

impl<E: Engine> World<E> {
    pub(super) fn current(&mut self, id: ConnectionId) -> Option<Who> {
        let who = self.connections.get(&id)?.who;
        (self.common(who).connection == Some(id)).then_some(who)
    }

    /// Closes a connection, after what was said on it.
    pub(super) fn hang_up(&mut self, connection: Option<ConnectionId>) {
        let Some(id) = connection else { return };
        if let Some(closed) = self.connections.get(&id) {
            let latency = self.signal_of(closed.who).latency;
            let at = (self.now + latency).max(closed.up_at + Duration::from_micros(1));
            self.later_at(at, What::ClosedAtRendezvous(id));
        }
    }

    pub(super) fn signal_of(&self, who: Who) -> Wire {
        match who {
            Who::Host(index) => self.hosts[index].common.signal,
            Who::Viewer(index) => self.viewers[index].common.signal,
        }
    }

    pub(super) fn meddle(&mut self, signal: Signal) {
        let signals = match &mut self.meddler {
            Some(meddler) => meddler(&mut self.dice, signal),
            None => vec![signal],
        };
        for signal in signals {
            let wire = self.signal_of(signal.who);
            let Some(id) = self.common(signal.who).connection else { continue };
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let takes = wire.reliable(&mut self.dice, ms(200)) + signal.late;
            let last = if signal.up { &mut connection.up_at } else { &mut connection.down_at };
            let at = (self.now + takes).max(*last + Duration::from_micros(1));
            // Nothing waits for messages that are held back on purpose: later messages overtake them.
            if signal.late == Duration::ZERO {
                *last = at;
            }
            let what =
                if signal.up { What::AtRendezvous(id, signal.text) } else { What::FromRendezvous(id, signal.text) };
            self.later_at(at, what);
        }
    }

    pub(super) fn drive_rendezvous(&mut self, input: RendezvousInput) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        rendezvous.handle(self.now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| rendezvous.poll()).collect();
        for output in outputs {
            match output {
                RendezvousOutput::Send(id, text) => {
                    self.write_down(None, "send", text.as_bytes());
                    if self.rendezvous_mute {
                        continue;
                    }
                    if let Some(who) = self.current(id) {
                        self.meddle(Signal { who, up: false, text, late: Duration::ZERO });
                    }
                }
                RendezvousOutput::Datagram(id, bytes) => {
                    if let Some(who) = self.current(id) {
                        self.relay(who, false, bytes);
                    }
                }
                RendezvousOutput::TakesPart(_)
                | RendezvousOutput::Drained
                | RendezvousOutput::Directory(_)
                | RendezvousOutput::Pipe { .. } => {}
                RendezvousOutput::Close(id) => {
                    if let Some(connection) = self.connections.remove(&id) {
                        let at = connection.down_at + Duration::from_micros(2);
                        let at = at.max(self.now + ms(5));
                        self.later_at(at, What::SignalDown(connection.who, id, "the rendezvous closed the connection"));
                    }
                }
            }
        }
    }

    /// On a connection of the rendezvous, behind what went before.
    pub(super) fn relay(&mut self, who: Who, up: bool, bytes: Vec<u8>) {
        self.write_down(Some(who), "relay", &bytes);
        self.relayed.push((self.now, bytes.len()));
        let wire = self.signal_of(who);
        let Some(id) = self.common(who).connection else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let takes = wire.reliable(&mut self.dice, ms(200));
        let last = if up { &mut connection.up_at } else { &mut connection.down_at };
        let at = (self.now + takes).max(*last + Duration::from_micros(1));
        *last = at;
        self.later_at(at, if up { What::RelayedTo(id, bytes) } else { What::RelayedFrom(id, bytes) });
    }
}
