//! The addresses of this machine under which others reach a server that listens on all of them.

use std::net::{IpAddr, UdpSocket};

use beach_runtime_tokio::udp::usable_addresses;

/// An address of this machine for links: of the default route, or else of the first interface in use.
pub(crate) fn named_address(allow_v6: bool, prefer_v6: bool) -> Option<IpAddr> {
    outward_address(prefer_v6).or_else(|| {
        let usable = usable_addresses(false);
        let first = |v6: bool| usable.iter().copied().find(|address| address.is_ipv6() == v6);
        first(prefer_v6).or_else(|| first(false)).or_else(|| first(true).filter(|_| allow_v6))
    })
}

/// The addresses of this machine under which others reach a server that listens on all: of IPv4, and of IPv6 too.
pub(crate) fn default_addresses(v6_too: bool) -> Vec<IpAddr> {
    let usable = usable_addresses(false);
    let of = |v6: bool| {
        let outward = outward_address(v6).filter(|address| address.is_ipv6() == v6);
        outward.or_else(|| usable.iter().copied().find(|address| address.is_ipv6() == v6))
    };
    of(false).into_iter().chain(of(true).filter(|_| v6_too)).collect()
}

/// The address of the default route, from which a socket would reach the Internet. Sends no packet.
fn outward_address(prefer_v6: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): `connect` on UDP only consults the routing table.
    let ask = |from: &str, to: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = || ask("0.0.0.0:0", "192.0.2.1:9");
    let v6 = || ask("[::]:0", "[2001:db8::1]:9");
    if prefer_v6 { v6().or_else(v4) } else { v4() }
}
