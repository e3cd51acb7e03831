//! Routers that translate addresses, by the kinds of RFC 4787: how they map, what they let in, and what they forget.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use beach_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The addresses and ports that a mapping or a filter depends on (RFC 4787, sections 4.1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behaviour {
    /// Only the address inside.
    EndpointIndependent,
    /// The other side's address too.
    AddressDependent,
    /// The other side's address and port too.
    AddressAndPortDependent,
}

impl Behaviour {
    fn is_same(self, one: SocketAddr, other: SocketAddr) -> bool {
        match self {
            Behaviour::EndpointIndependent => true,
            Behaviour::AddressDependent => one.ip() == other.ip(),
            Behaviour::AddressAndPortDependent => one == other,
        }
    }
}

/// A router with one public address.
#[derive(Debug)]
pub struct Nat {
    address: IpAddr,
    mapping: Behaviour,
    filtering: Behaviour,
    /// A mapping that carries nothing outwards for this time is forgotten.
    expiry: Duration,
    next_port: u16,
    mappings: Vec<Mapping>,
}

#[derive(Debug)]
struct Mapping {
    inside: SocketAddr,
    outside: SocketAddr,
    used_at: Timestamp,
    /// Whom the address inside has sent to by this mapping; the first one is what the mapping was made for.
    peers: Vec<SocketAddr>,
}

impl Nat {
    /// A router at this address.
    pub fn new(address: IpAddr, mapping: Behaviour, filtering: Behaviour, expiry: Duration) -> Nat {
        Nat { address, mapping, filtering, expiry, next_port: 30_000, mappings: Vec::new() }
    }

    /// Whether an address is one of the router's.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        address.ip() == self.address
    }

    /// The source of a datagram from inside, as others see it.
    pub(crate) fn out(&mut self, now: Timestamp, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.mappings.retain(|mapping| mapping.used_at + self.expiry > now);
        let kind = self.mapping;
        let fits = |mapping: &&mut Mapping| mapping.inside == inside && kind.is_same(mapping.peers[0], to);
        if let Some(mapping) = self.mappings.iter_mut().find(fits) {
            mapping.used_at = now;
            if !mapping.peers.contains(&to) {
                mapping.peers.push(to);
            }
            return mapping.outside;
        }
        let outside = SocketAddr::new(self.address, self.next_port);
        self.next_port += 1;
        self.mappings.push(Mapping { inside, outside, used_at: now, peers: vec![to] });
        outside
    }

    /// The address inside for which a datagram is, if the router lets the datagram in.
    pub(crate) fn inward(&self, now: Timestamp, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let mapping =
            self.mappings.iter().find(|mapping| mapping.outside == to && mapping.used_at + self.expiry > now)?;
        let known = mapping.peers.iter().any(|peer| self.filtering.is_same(*peer, from));
        known.then_some(mapping.inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(Duration::from_secs(seconds))
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_router_maps_filters_and_forgets_by_its_kind() {
        use Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        let (inside, peer) = (address("10.0.0.1:1"), address("192.0.2.1:1"));
        let (same_address, other) = (address("192.0.2.1:2"), address("192.0.2.2:1"));
        for (kind, mapped, let_in) in [
            (EndpointIndependent, [true, true], [true, true]),
            (AddressDependent, [true, false], [true, false]),
            (AddressAndPortDependent, [false, false], [false, false]),
        ] {
            let public = "203.0.113.1".parse().expect("an address");
            let mut nat = Nat::new(public, kind, kind, Duration::from_secs(30));
            let outside = nat.out(at(0), inside, peer);
            let comes = |nat: &Nat, seconds, from| nat.inward(at(seconds), from, outside).is_some();
            assert_eq!([same_address, other].map(|from| comes(&nat, 29, from)), let_in, "{kind:?}");
            assert!(comes(&nat, 29, peer) && !comes(&nat, 30, peer), "{kind:?}");
            assert_eq!([same_address, other].map(|to| nat.out(at(1), inside, to) == outside), mapped, "{kind:?}");
            assert_ne!(nat.out(at(90), inside, peer), outside, "a forgotten mapping does not come back: {kind:?}");
        }
    }
}
