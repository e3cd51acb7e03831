//! To which peers a TURN server relays. A server stands in networks that its clients do not reach themselves: a server
//! that relayed to every address would let strangers into these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::api::Peers;
use crate::session::address::AddressClass;

/// The rule.
pub(super) struct PeerRule {
    pub(super) peers: Peers,
    pub(super) external: Vec<IpAddr>,
    pub(super) own: Vec<IpAddr>,
}

impl PeerRule {
    /// Whether the server relays to this address. The server's external addresses are allowed: both sides of a session
    /// may have a relay here. [`PeerRule::reaches_itself`] says which ports of these addresses are.
    pub(super) fn allows(&self, peer: IpAddr) -> bool {
        let Some(peer) = inner(peer) else { return false };
        if self.external.contains(&peer) {
            return true;
        }
        let private_too = self.peers == Peers::PrivateToo;
        match AddressClass::of(peer) {
            // Only for a server that nobody reaches from another machine.
            AddressClass::Loopback => private_too && self.external.iter().all(IpAddr::is_loopback),
            AddressClass::Private => private_too && !is_link_local(peer),
            AddressClass::Public => private_too || !self.own.contains(&peer),
        }
    }

    /// Whether programs on the server's own machine may be peers, and not only the server's relays.
    pub(super) fn reaches_itself(&self) -> bool {
        self.peers == Peers::PrivateToo
    }
}

/// The address that a datagram for this one reaches in the end; `None` for one that is no address of a single machine.
/// IPv4 addresses inside IPv6 ones are no peers (RFC 8656, section 7.2 has a family of its own for IPv4), but for those
/// of NAT64, which networks without IPv4 need.
fn inner(peer: IpAddr) -> Option<IpAddr> {
    let single = match peer {
        IpAddr::V4(v4) => is_single_v4(v4),
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let embeds_v4 =
                v6.to_ipv4().is_some() && !v6.is_loopback() || first == 0x2002 || (first, second) == (0x2001, 0);
            let site_local = first & 0xffc0 == 0xfec0;
            !(v6.is_unspecified() || v6.is_multicast() || embeds_v4 || site_local)
        }
    };
    match peer {
        _ if !single => None,
        IpAddr::V6(v6) => nat64(v6).map_or(Some(peer), |v4| is_single_v4(v4).then_some(IpAddr::V4(v4))),
        IpAddr::V4(_) => Some(peer),
    }
}

fn is_single_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0.0.0.0/8 is this machine on many systems; from 224.0.0.0 on there are groups, and nothing that is in use.
    first != 0 && first < 224
}

/// The IPv4 address inside one of 64:ff9b::/96 (RFC 6052).
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let prefix = 0x0064_ff9b_u128 << 96;
    let bits = address.to_bits();
    (bits >> 32 == prefix >> 32).then(|| Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or(0)))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(peers: Peers, external: &str) -> PeerRule {
        let ip = |text: &str| text.parse().expect("an address");
        PeerRule { peers, external: vec![ip(external)], own: vec![ip("198.51.100.1"), ip("10.0.0.1")] }
    }

    fn allowed(rule: &PeerRule, peers: &[&str]) -> Vec<String> {
        let of = |text: &&str| rule.allows(text.parse().expect("an address"));
        peers.iter().filter(|text| of(text)).map(ToString::to_string).collect()
    }

    const NEVER: [&str; 20] = [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "169.254.169.254",
        "::",
        "ff02::1",
        "fe80::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.2",
        "::ffff:192.0.2.1",
        "::10.0.0.2",
        "2002:0a00:0001::1",
        "2001:0:a00:1::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::224.0.0.1",
    ];

    const PRIVATE: [&str; 7] =
        ["10.0.0.2", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "64:ff9b::10.0.0.2", "198.51.100.1"];

    const PUBLIC: [&str; 4] = ["192.0.2.1", "2001:db8::1", "64:ff9b::192.0.2.1", "203.0.113.1"];

    #[test]
    fn peers_on_the_internet_are_relayed_to_and_no_others() {
        let rule = rule(Peers::Public, "203.0.113.1");
        assert_eq!(allowed(&rule, &NEVER), [""; 0]);
        assert_eq!(allowed(&rule, &["127.0.0.1", "127.1.2.3", "::1"]), [""; 0]);
        assert_eq!(allowed(&rule, &PRIVATE), [""; 0]);
        assert_eq!(allowed(&rule, &PUBLIC), PUBLIC);
    }

    #[test]
    fn a_server_for_a_local_network_relays_into_it_and_to_loopback_only_if_it_is_there_itself() {
        let lan = rule(Peers::PrivateToo, "203.0.113.1");
        assert_eq!(allowed(&lan, &NEVER), [""; 0]);
        assert_eq!(allowed(&lan, &["127.0.0.1", "::1"]), [""; 0]);
        assert_eq!(allowed(&lan, &PRIVATE), PRIVATE);
        assert_eq!(allowed(&lan, &PUBLIC), PUBLIC);
        assert_eq!(allowed(&rule(Peers::PrivateToo, "127.0.0.1"), &["127.0.0.1", "::1"]), ["127.0.0.1", "::1"]);
    }
}
