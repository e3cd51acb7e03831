//! The address of a client, which a proxy in front of the server hides, and may tell.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The proxies that the server stands behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Nobody has said. A proxy or a tunnel on this machine passes on its clients from a loopback address, so nothing
    /// is known of a client that comes from there.
    #[default]
    Unsaid,
    /// The proxies in these networks, and no others. An empty list: there is no proxy. Each proxy must itself write the
    /// address of its client; otherwise the client could write one.
    Trusted(Vec<IpNet>),
}

/// Where the bytes of a connection come from, as far as the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a client with this address.
    Client(IpAddr),
    /// From a proxy, which may tell the client's address.
    Proxy,
    /// From a client whose address cannot be known.
    Unknown,
}

impl Origin {
    /// The client's address, if it is known.
    pub(super) fn client(self) -> Option<IpAddr> {
        match self {
            Origin::Client(address) => Some(address),
            Origin::Proxy | Origin::Unknown => None,
        }
    }
}

/// The header in which proxies tell the addresses of clients: each appends the address that it sees.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Proxies {
    /// Where a connection comes from whose last known address is this one, in its canonical form.
    pub(super) fn origin(&self, address: IpAddr) -> Origin {
        match self {
            Proxies::Unsaid if address.is_loopback() => Origin::Unknown,
            Proxies::Trusted(_) if self.trusts(address) => Origin::Proxy,
            Proxies::Unsaid | Proxies::Trusted(_) => Origin::Client(address),
        }
    }

    /// The client's address by the headers of a request that a trusted proxy has sent.
    pub(super) fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        self.last_client(headers.get_all(FORWARDED_FOR).iter().map(|line| line.as_bytes()))
    }

    /// The last address in these lines of `X-Forwarded-For` that is no trusted proxy's. A client may have written the
    /// addresses before that one.
    pub fn last_client<'a>(&self, lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> Option<IpAddr> {
        let entries = lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        // An empty entry says nothing (RFC 9110, section 5.6.1); one that is no address ends what is known.
        let addresses = entries.filter(|entry| !entry.is_empty()).map(address);
        addresses.map_while(|address| address).find(|address| !self.trusts(*address))
    }

    /// Whether a trusted proxy has this address.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        match self {
            Proxies::Unsaid => false,
            Proxies::Trusted(networks) => networks.iter().any(|network| network.contains(&address)),
        }
    }
}

/// An address as proxies write it, some with the port; `None` if this is none.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical()).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn trusted(networks: &[&str]) -> Proxies {
        Proxies::Trusted(networks.iter().map(|network| network.parse().expect("a network")).collect())
    }

    fn lines<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> HeaderMap {
        let value = |value| HeaderValue::from_bytes(value).expect("a value");
        values.into_iter().map(|line| (FORWARDED_FOR, value(line))).collect()
    }

    #[test]
    fn a_client_from_loopback_is_known_only_if_somebody_said_which_proxies_there_are() {
        let here = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map(ip);
        let trusted = trusted(&["10.0.0.0/8"]);
        for peer in here.map(|peer| peer.to_canonical()) {
            assert_eq!(Proxies::Unsaid.origin(peer), Origin::Unknown, "{peer}");
            assert_eq!(trusted.origin(peer), Origin::Client(peer), "{peer}");
        }
        for peer in ["10.1.2.3", "::ffff:10.1.2.3"].map(|text| ip(text).to_canonical()) {
            assert_eq!(Proxies::Unsaid.origin(peer), Origin::Client(peer), "{peer}");
            assert_eq!(trusted.origin(peer), Origin::Proxy, "{peer}");
        }
        assert_eq!(Proxies::Trusted(Vec::new()).origin(here[0]), Origin::Client(here[0]));
    }

    #[test]
    fn of_x_forwarded_for_the_last_address_counts_that_no_trusted_proxy_has() {
        let proxies = trusted(&["10.0.0.0/8", "2001:db8::/32"]);
        for (values, client) in [
            (&["198.51.100.7"][..], Some("198.51.100.7")),
            (&["203.0.113.9, 198.51.100.7"], Some("198.51.100.7")),
            (&["203.0.113.9", "198.51.100.7"], Some("198.51.100.7")),
            (&["203.0.113.9,198.51.100.7, 10.1.1.1", " 10.1.1.2 "], Some("198.51.100.7")),
            (&["198.51.100.7,, 2001:db8::5 ,"], Some("198.51.100.7")),
            (&["nonsense, 198.51.100.7"], Some("198.51.100.7")),
            (&["2001:4860::7"], Some("2001:4860::7")),
            (&["[2001:4860::7]"], Some("2001:4860::7")),
            (&["[2001:4860::7]:40000"], Some("2001:4860::7")),
            (&["198.51.100.7:40000"], Some("198.51.100.7")),
            (&["::ffff:198.51.100.7, ::ffff:10.1.1.1"], Some("198.51.100.7")),
            (&["198.51.100.7, nonsense"], None),
            (&["198.51.100.7, nonsense, 10.1.1.1"], None),
            (&["198.51.100.7, unknown"], None),
            (&["198.51.100.7", "198.51.100"], None),
            (&["198.51.100.7 203.0.113.9"], None),
            (&["198.51.100.7, 0.0.0.0"], None),
            (&["10.1.1.1, 10.1.1.2"], None),
            (&["", ","], None),
            (&[], None),
        ] {
            let headers = lines(values.iter().map(|value| value.as_bytes()));
            assert_eq!(proxies.forwarded(&headers), client.map(ip), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_wrote_the_address_that_the_proxy_appended_counts(
            forged in prop::collection::vec("[ -~\t\u{80}-\u{ff}]{0,40}", 0..5),
            address in any::<[u8; 4]>(),
            is_own_line in any::<bool>(),
        ) {
            let address = IpAddr::from(address);
            prop_assume!(!address.is_unspecified());
            let proxies = Proxies::Trusted(Vec::new());
            let mut values = forged.clone();
            match values.last_mut().filter(|_| !is_own_line) {
                Some(last) => last.push_str(&format!(", {address}")),
                None => values.push(address.to_string()),
            }
            prop_assert_eq!(proxies.forwarded(&lines(values.iter().map(String::as_bytes))), Some(address));
            // Nothing that a client writes makes the server panic.
            let _ = trusted(&["0.0.0.0/1"]).forwarded(&lines(forged.iter().map(String::as_bytes)));
        }
    }
}
