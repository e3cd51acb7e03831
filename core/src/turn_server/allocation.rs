//! One allocation: its relays, the peers that it lets in, and their channels.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::message::TransactionId;

use super::api::RelayId;
use super::{ALLOCATION_PEERS, CHANNEL_LIFE, LONGEST_LIFE, PERMISSION_LIFE, RELAY_BURST, RELAY_RATE};
use crate::support::token_bucket::TokenBucket;
use crate::time::Timestamp;

/// A socket that relays.
pub(super) struct Relay {
    pub(super) id: RelayId,
    /// The address that relays. The port is 0 until there is a socket.
    pub(super) address: SocketAddr,
}

/// A channel: a short name for a peer.
struct Channel {
    peer: SocketAddr,
    until: Timestamp,
}

/// Why a peer gets no permission or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbound {
    /// The allocation has as many permissions or channels as allowed.
    Full,
    /// The channel is another peer's, or the peer has another channel.
    Taken,
}

/// An allocation, or one whose sockets are not there yet.
pub(super) struct Allocation {
    pub(super) owner: IpAddr,
    pub(super) user: String,
    /// The families in which the client asked for addresses.
    pub(super) families: Vec<AddressFamily>,
    /// One a family at most.
    pub(super) relays: Vec<Relay>,
    /// The request that made the allocation, and the answer once there is one: both may be repeated.
    pub(super) transaction: TransactionId,
    pub(super) answer: Option<Vec<u8>>,
    pub(super) expires: Timestamp,
    /// When the allocation ends, however often it is refreshed.
    ends: Timestamp,
    relayed: TokenBucket,
    permissions: BTreeMap<IpAddr, Timestamp>,
    channels: BTreeMap<u16, Channel>,
    /// The channel of each peer that has one.
    numbers: BTreeMap<SocketAddr, u16>,
}

impl Allocation {
    pub(super) fn new(
        now: Timestamp,
        owner: IpAddr,
        user: String,
        transaction: TransactionId,
        families: Vec<AddressFamily>,
        life: Duration,
    ) -> Allocation {
        Allocation {
            owner,
            user,
            families,
            relays: Vec::new(),
            transaction,
            answer: None,
            expires: now + life,
            ends: now + LONGEST_LIFE,
            relayed: TokenBucket::new(now, RELAY_RATE, RELAY_BURST),
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The relay for peers of this one's family.
    pub(super) fn relay_for(&self, peer: IpAddr) -> Option<&Relay> {
        self.relays.iter().find(|relay| relay.address.is_ipv4() == peer.is_ipv4())
    }

    /// The allocation lives on for this long, but not beyond its end.
    pub(super) fn refresh(&mut self, now: Timestamp, life: Duration) -> Duration {
        self.expires = (now + life).min(self.ends);
        self.expires.since(now)
    }

    /// Whether so many bytes may pass.
    pub(super) fn may_relay(&mut self, now: Timestamp, bytes: usize) -> bool {
        self.relayed.take(now, bytes)
    }

    pub(super) fn lets_in(&self, now: Timestamp, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    /// Lets all these peers in, or none.
    pub(super) fn permit(&mut self, now: Timestamp, peers: &[IpAddr]) -> Result<(), Unbound> {
        self.permissions.retain(|_, until| *until > now);
        let mut permissions = self.permissions.clone();
        permissions.extend(peers.iter().map(|peer| (*peer, now + PERMISSION_LIFE)));
        if permissions.len() > ALLOCATION_PEERS {
            return Err(Unbound::Full);
        }
        self.permissions = permissions;
        Ok(())
    }

    /// Gives a peer this channel, and lets the peer in.
    pub(super) fn bind(&mut self, now: Timestamp, number: u16, peer: SocketAddr) -> Result<(), Unbound> {
        self.channels.retain(|_, channel| channel.until > now);
        let channels = &self.channels;
        self.numbers.retain(|_, number| channels.contains_key(number));
        let others = self.channels.get(&number).is_some_and(|channel| channel.peer != peer);
        if others || self.numbers.get(&peer).is_some_and(|known| *known != number) {
            return Err(Unbound::Taken);
        }
        if self.channels.len() >= ALLOCATION_PEERS && !self.channels.contains_key(&number) {
            return Err(Unbound::Full);
        }
        self.permit(now, &[peer.ip()])?;
        self.channels.insert(number, Channel { peer, until: now + CHANNEL_LIFE });
        self.numbers.insert(peer, number);
        Ok(())
    }

    /// Lets no peer in any more, and forgets its channels, that does not pass this rule.
    pub(super) fn keep_peers(&mut self, rule: impl Fn(IpAddr) -> bool) {
        self.permissions.retain(|peer, _| rule(*peer));
        self.channels.retain(|_, channel| rule(channel.peer.ip()));
        self.numbers.retain(|peer, _| rule(peer.ip()));
    }

    pub(super) fn peer_of(&self, now: Timestamp, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|channel| channel.until > now).map(|channel| channel.peer)
    }

    pub(super) fn channel_of(&self, now: Timestamp, peer: SocketAddr) -> Option<u16> {
        self.numbers.get(&peer).copied().filter(|number| self.peer_of(now, *number) == Some(peer))
    }

    pub(super) fn check(&self) {
        assert!(self.permissions.len() <= ALLOCATION_PEERS && self.channels.len() <= ALLOCATION_PEERS, "bounded");
        assert!(self.numbers.len() <= self.channels.len() && self.relays.len() <= 2, "bounded");
    }
}
