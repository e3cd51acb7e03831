//! Where somebody comes from, as far as an address tells.

use std::fmt;
#[cfg(feature = "host")]
use std::net::Ipv6Addr;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// The kind of network that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressClass {
    /// On the same machine.
    Loopback,
    /// In a network that the Internet does not reach: RFC 1918, RFC 4193, link-local (RFC 3927, RFC 4291), or behind a
    /// carrier's translation (RFC 6598).
    Private,
    /// On the Internet.
    Public,
}

impl AddressClass {
    /// Of this address.
    pub fn of(address: IpAddr) -> AddressClass {
        let (loopback, private) = match address.to_canonical() {
            IpAddr::V4(v4) => (v4.is_loopback(), v4.is_private() || v4.is_link_local() || is_shared(v4)),
            IpAddr::V6(v6) => (v6.is_loopback(), v6.is_unique_local() || v6.is_unicast_link_local()),
        };
        match (loopback, private) {
            (true, _) => AddressClass::Loopback,
            (false, true) => AddressClass::Private,
            (false, false) => AddressClass::Public,
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressClass::Loopback => "this machine",
            AddressClass::Private => "private network",
            AddressClass::Public => "Internet",
        })
    }
}

/// 100.64.0.0/10.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

/// The owner of an address, for limits: the IPv4 address itself, or the first 64 bits of an IPv6 address.
#[cfg(feature = "host")]
pub fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let cases = [
            ("127.0.0.1", AddressClass::Loopback),
            ("::1", AddressClass::Loopback),
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("10.1.2.3", AddressClass::Private),
            ("172.31.0.1", AddressClass::Private),
            ("192.168.1.1", AddressClass::Private),
            ("169.254.1.1", AddressClass::Private),
            ("100.127.1.1", AddressClass::Private),
            ("::ffff:10.0.0.1", AddressClass::Private),
            ("fd00::1", AddressClass::Private),
            ("fe80::1", AddressClass::Private),
            ("100.128.1.1", AddressClass::Public),
            ("8.8.8.8", AddressClass::Public),
            ("2001:4860::1", AddressClass::Public),
        ];
        for (address, class) in cases {
            assert_eq!(AddressClass::of(address.parse().expect("an address")), class, "{address}");
        }
        let [one, other] = ["2001:db8:1:2:3::4", "2001:db8:1:2:ffff::"].map(|text| owner(text.parse().expect("v6")));
        assert_eq!(one, other);
    }
}
