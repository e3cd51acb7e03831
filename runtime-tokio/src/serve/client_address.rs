//! The address of a client, which a proxy in front of the server hides.

use std::net::IpAddr;

use ipnet::IpNet;

/// The proxies that the server stands behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Nobody has said. A proxy or a tunnel on this machine passes on its clients from a loopback address, so nothing is
    /// known of a client that comes from there.
    #[default]
    Unsaid,
    /// The proxies in these networks, and no others. An empty list: there is no proxy.
    Trusted(Vec<IpNet>),
}

impl Proxies {
    /// The client's address, of a connection that comes from `peer`; `None` if it cannot be known.
    pub(super) fn client(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        let hides_its_clients = match self {
            Proxies::Unsaid => peer.is_loopback(),
            Proxies::Trusted(networks) => networks.iter().any(|network| network.contains(&peer)),
        };
        (!hides_its_clients).then_some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_from_loopback_is_known_only_if_somebody_said_which_proxies_there_are() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let here = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map(ip);
        let trusted = Proxies::Trusted(vec!["10.0.0.0/8".parse().expect("a network")]);
        for peer in here {
            assert_eq!(Proxies::Unsaid.client(peer), None, "{peer}");
            assert_eq!(trusted.client(peer), Some(peer.to_canonical()), "{peer}");
        }
        for peer in ["10.1.2.3", "::ffff:10.1.2.3"].map(ip) {
            assert_eq!(Proxies::Unsaid.client(peer), Some(peer.to_canonical()), "{peer}");
            assert_eq!(trusted.client(peer), None, "{peer}");
        }
        assert_eq!(Proxies::Trusted(Vec::new()).client(here[0]), Some(here[0]));
    }
}
