//! Datagrams between the sockets of a world.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use beach_core::peer::engine::Engine;

use super::queue::What;
use super::{Who, World, ms};
use crate::sim::network::Wire;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The sender.
    pub from: Who,
    /// Whom it is for.
    pub to: Who,
    /// The datagram.
    pub bytes: Vec<u8>,
}

/// Somebody on the path of the datagrams: what becomes of one.
pub type Tamper = Box<dyn FnMut(Packet) -> Option<Vec<u8>>>;

pub(super) fn place(who: Who) -> Ipv4Addr {
    match who {
        Who::Host(index) => Ipv4Addr::new(10, 1, (index >> 8) as u8, index as u8),
        Who::Viewer(index) => Ipv4Addr::new(10, 2, (index >> 8) as u8, index as u8),
    }
}

pub(super) fn place_v6(who: Who) -> Ipv6Addr {
    let [a, b, c, d] = place(who).octets().map(u16::from);
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, a, b, c, d)
}

impl<E: Engine> World<E> {
    /// Where a datagram to `destination` arrives, if routers let it pass.
    fn through_nat(&self, from: Who, source: SocketAddr, destination: SocketAddr) -> Option<SocketAddr> {
        let owner = self.nats.iter().find(|(_, nat)| nat.is_at(destination));
        if let Some((_, nat)) = owner {
            return nat.inward(self.now, source, destination);
        }
        let hidden = self.addresses.get(&destination).is_some_and(|to| *to != from && self.nats.contains_key(to));
        (!hidden).then_some(destination)
    }

    fn damage(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.damaged == 0 || bytes.is_empty() || self.dice.between(0, 999) >= self.damaged {
            return bytes;
        }
        if self.damage_is_subtle {
            let at = self.dice.between(0, bytes.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << self.dice.between(0, 7);
        } else {
            bytes.truncate(1);
        }
        bytes
    }

    pub(super) fn datagram(&mut self, from: Who, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.write_down(Some(from), "datagram", &bytes);
        let source = self.mapped.iter().find(|(_, inside)| **inside == source).map_or(source, |(seen, _)| *seen);
        let now = self.now;
        let source = self.nats.get_mut(&from).map_or(source, |nat| nat.out(now, source, destination));
        let Some(destination) = self.through_nat(from, source, destination) else { return };
        if self.is_for_turn(destination) {
            if !self.mute.contains(&from) {
                self.sent_to_turn(source, destination, bytes);
            }
            return;
        }
        let is_hidden = self.mapped.values().any(|inside| *inside == destination);
        let destination = match self.mapped.get(&destination) {
            Some(inside) => *inside,
            None if is_hidden => return,
            None => destination,
        };
        let Some(to) = self.addresses.get(&destination).copied() else { return };
        let is_parted = [from, to].iter().any(|who| self.cut.contains(who));
        if self.apart || is_parted || self.mute.contains(&from) || self.blocked.contains(&to) {
            return;
        }
        let wire = match (from, to) {
            (Who::Viewer(index), _) | (Who::Host(_), Who::Viewer(index)) => self.viewers[index].wire,
            (Who::Host(_), Who::Host(_)) => Wire::steady(ms(5)),
        };
        if let Who::Viewer(index) = to {
            self.viewers[index].bytes_sent += bytes.len() as u64;
        }
        let mut start = now;
        if let (Who::Host(_), Some(uplink)) = (from, &mut self.uplink) {
            let Some(through) = uplink.pass(start, bytes.len()) else { return };
            start = through;
        }
        let (viewer, back) = match (from, to) {
            (Who::Viewer(index), _) => (Some(index), 0),
            (Who::Host(_), Who::Viewer(index)) => (Some(index), 1),
            (Who::Host(_), Who::Host(_)) => (None, 0),
        };
        if let Some(viewer) = viewer.map(|index| &mut self.viewers[index]) {
            if let Some(pipe) = &mut viewer.pipes[back] {
                let Some(through) = pipe.pass(start, bytes.len()) else { return };
                start = through;
            }
            if viewer.bursts[back].takes(&mut self.dice) {
                return;
            }
        }
        let queued = start.since(now);
        let bytes = match &mut self.tamper {
            Some(tamper) => match tamper(Packet { from, to, bytes }) {
                Some(bytes) => bytes,
                None => return,
            },
            None => bytes,
        };
        let bytes = self.damage(bytes);
        for takes in wire.copies(&mut self.dice) {
            self.later(queued + takes, What::Datagram { to, source, destination, bytes: bytes.clone() });
        }
    }
}
