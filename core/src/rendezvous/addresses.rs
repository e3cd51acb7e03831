//! The limits of one address at the rendezvous, over all its connections. The number of remembered addresses is
//! limited, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{JOIN_BURST, MAX_SESSIONS, RELAY_BURST, RELAY_RATE};
use crate::session::address::owner;
use crate::support::token_bucket::TokenBucket;
use crate::time::Timestamp;

/// Joins a second that come from one address, after a burst of [`JOIN_BURST`]: a class behind one router is one
/// address, and joins once. Far less than one host lets in, so that no address alone keeps others out.
pub const ADDRESS_JOIN_RATE: u64 = 10;

/// New sessions a second from one address: so few of them that those without host, which stay a while, never fill the
/// rendezvous.
pub const ADDRESS_REGISTER_RATE: u64 = 100;

/// The burst of this rate: all hosts behind one router come back together.
pub const ADDRESS_REGISTER_BURST: u64 = 512;

/// Most sessions whose hosts are at one address: half of all.
pub const ADDRESS_SESSIONS: usize = MAX_SESSIONS / 2;

/// Bytes a second that one address may have relayed, over all sessions: as much as eight sessions.
pub const ADDRESS_RELAY_RATE: u64 = 8 * RELAY_RATE;

/// The burst of this rate.
pub const ADDRESS_RELAY_BURST: u64 = 8 * RELAY_BURST;

/// Most addresses without a connection that are remembered. Of more, the address whose allowance is whole first is
/// forgotten.
const MAX_RESTING: usize = 4096;

/// The allowance of one address.
struct Address {
    connections: usize,
    /// Sessions whose hosts are at the address.
    hosted: usize,
    joins: TokenBucket,
    registrations: TokenBucket,
    relayed: TokenBucket,
}

impl Address {
    fn new(now: Timestamp) -> Address {
        Address {
            connections: 0,
            hosted: 0,
            joins: TokenBucket::new(now, ADDRESS_JOIN_RATE, JOIN_BURST),
            registrations: TokenBucket::new(now, ADDRESS_REGISTER_RATE, ADDRESS_REGISTER_BURST),
            relayed: TokenBucket::new(now, ADDRESS_RELAY_RATE, ADDRESS_RELAY_BURST),
        }
    }

    /// When the allowance is whole again, so that there is nothing to remember.
    fn whole_at(&self) -> Timestamp {
        let buckets = [
            self.joins.ready_at(JOIN_BURST as usize),
            self.registrations.ready_at(ADDRESS_REGISTER_BURST as usize),
            self.relayed.ready_at(ADDRESS_RELAY_BURST as usize),
        ];
        buckets.into_iter().max().unwrap_or(Timestamp::ZERO)
    }
}

/// All addresses: those with connections, and some that had any. A connection whose address is not known has no limits
/// of an address.
#[derive(Default)]
pub(super) struct Addresses {
    known: BTreeMap<IpAddr, Address>,
    /// Addresses without a connection, by the time at which their allowance is whole.
    resting: BTreeSet<(Timestamp, IpAddr)>,
}

impl Addresses {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A connection came from this address.
    pub(super) fn opened(&mut self, now: Timestamp, address: Option<IpAddr>) {
        let Some(address) = address.map(owner) else { return };
        let known = self.known.entry(address).or_insert_with(|| Address::new(now));
        if known.connections == 0 {
            self.resting.remove(&(known.whole_at(), address));
        }
        known.connections += 1;
    }

    /// A connection from this address is gone.
    pub(super) fn closed(&mut self, address: Option<IpAddr>) {
        let Some(address) = address.map(owner) else { return };
        let Some(known) = self.known.get_mut(&address) else { return };
        known.connections -= 1;
        if known.connections > 0 {
            return;
        }
        self.resting.insert((known.whole_at(), address));
        if self.resting.len() > MAX_RESTING
            && let Some((_, first)) = self.resting.pop_first()
        {
            self.known.remove(&first);
        }
    }

    /// Forgets addresses without connections whose allowance is whole.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((_, address)) = self.resting.first().copied().filter(|(whole_at, _)| *whole_at <= now) {
            self.resting.pop_first();
            self.known.remove(&address);
        }
    }

    fn get_mut(&mut self, address: Option<IpAddr>) -> Option<&mut Address> {
        self.known.get_mut(&owner(address?))
    }

    /// Whether the address may join once more.
    pub(super) fn may_join(&mut self, now: Timestamp, address: Option<IpAddr>) -> bool {
        self.get_mut(address).is_none_or(|known| known.joins.take(now, 1))
    }

    /// Whether the address may register one more new session.
    pub(super) fn may_register(&mut self, now: Timestamp, address: Option<IpAddr>) -> bool {
        self.get_mut(address).is_none_or(|known| known.registrations.take(now, 1))
    }

    /// Whether the address may have so many bytes relayed.
    pub(super) fn may_relay(&mut self, now: Timestamp, address: Option<IpAddr>, bytes: usize) -> bool {
        self.get_mut(address).is_none_or(|known| known.relayed.take(now, bytes))
    }

    /// Whether as many sessions as allowed have their hosts at the address.
    pub(super) fn is_full_of_hosts(&mut self, address: Option<IpAddr>) -> bool {
        self.get_mut(address).is_some_and(|known| known.hosted >= ADDRESS_SESSIONS)
    }

    /// The host of a session is at this address from now on.
    pub(super) fn hosts(&mut self, address: Option<IpAddr>) {
        self.get_mut(address).into_iter().for_each(|known| known.hosted += 1);
    }

    /// The host of a session is not at this address any more.
    pub(super) fn hosts_no_more(&mut self, address: Option<IpAddr>) {
        self.get_mut(address).into_iter().for_each(|known| known.hosted -= 1);
    }

    /// Invariants, for the addresses of all connections, and of the connection that hosts each session.
    pub(super) fn check(&self, connections: impl Iterator<Item = IpAddr>, hosts: impl Iterator<Item = IpAddr>) {
        let mut counts: BTreeMap<IpAddr, (usize, usize)> = BTreeMap::new();
        connections.for_each(|address| counts.entry(owner(address)).or_default().0 += 1);
        hosts.for_each(|address| counts.entry(owner(address)).or_default().1 += 1);
        assert!(self.resting.len() <= MAX_RESTING, "addresses without connections are bounded");
        for (address, known) in &self.known {
            let counted = counts.remove(address).unwrap_or_default();
            assert_eq!((known.connections, known.hosted), counted, "connections and hosted sessions are counted");
            let rests = self.resting.contains(&(known.whole_at(), *address));
            assert_eq!(rests, known.connections == 0, "an address rests while it has no connection");
        }
        assert!(counts.is_empty(), "the address of each connection is known");
        assert!(self.resting.iter().all(|(_, address)| self.known.contains_key(address)), "what rests is known");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(Duration::from_secs(seconds))
    }

    fn address(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    fn joins(addresses: &mut Addresses, seconds: u64, address: Option<IpAddr>) -> u64 {
        (0..2 * JOIN_BURST).take_while(|_| addresses.may_join(at(seconds), address)).count() as u64
    }

    #[test]
    fn an_address_is_remembered_until_its_allowance_is_whole_and_no_longer() {
        let mut addresses = Addresses::default();
        addresses.opened(at(0), address(1));
        assert_eq!(joins(&mut addresses, 0, address(1)), JOIN_BURST);
        addresses.closed(address(1));
        addresses.opened(at(1), address(1));
        assert_eq!(joins(&mut addresses, 1, address(1)), ADDRESS_JOIN_RATE, "a new connection changes nothing");
        addresses.closed(address(1));
        let whole = 1 + JOIN_BURST.div_ceil(ADDRESS_JOIN_RATE);
        addresses.forget(at(whole - 2));
        assert!(!addresses.is_empty());
        addresses.forget(at(whole));
        assert!(addresses.is_empty() && addresses.resting.is_empty());
    }

    #[test]
    fn of_too_many_addresses_the_one_that_did_least_is_forgotten_and_none_with_a_connection() {
        let mut addresses = Addresses::default();
        let busy = u32::MAX;
        for number in [busy, busy - 1] {
            addresses.opened(at(0), address(number));
            joins(&mut addresses, 0, address(number));
        }
        addresses.closed(address(busy));
        for number in 0..=MAX_RESTING as u32 {
            addresses.opened(at(1), address(number));
            assert!(addresses.may_join(at(1), address(number)));
            addresses.closed(address(number));
        }
        assert_eq!(addresses.resting.len(), MAX_RESTING);
        for number in [busy, busy - 1] {
            addresses.opened(at(1), address(number));
            assert_eq!(joins(&mut addresses, 1, address(number)), ADDRESS_JOIN_RATE, "{number}");
        }
    }

    #[test]
    fn who_has_no_known_address_has_no_limits_of_one() {
        let mut addresses = Addresses::default();
        addresses.opened(at(0), None);
        assert!((0..1_000_000).all(|_| addresses.may_join(at(0), None)));
        addresses.closed(None);
        assert!(addresses.is_empty());
    }
}
