//! The place of a rendezvous: a URL at which clients reach this rendezvous and no other one.

use std::net::Ipv6Addr;

/// Longest place of a rendezvous, in bytes: a scheme, a DNS name (253), a port and a path fit.
pub const MAX_PLACE: usize = 512;

/// A place, read: `http(s)://HOST[:PORT][/PATH]`. The path has letters, digits and `-._~/`, so it needs no escapes, and
/// there is no user, no query and no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host in lower case: a name, or an address without brackets.
    pub host: String,
}

impl Place<'_> {
    /// Reads a place; `None` if the text is none, or is longer than [`MAX_PLACE`].
    #[must_use]
    pub fn parse(url: &str) -> Option<Place<'_>> {
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_host = authority.starts_with('[') || (!host.is_empty() && host.bytes().all(is_name));
        let port = port.strip_prefix(':').map_or_else(|| port.is_empty(), is_port);
        let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
        let is_place = is_host && port && is_path && url.len() <= MAX_PLACE;
        is_place.then(|| Place { scheme, host: host.to_ascii_lowercase() })
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_scheme_and_a_host_and_maybe_a_port_and_a_path() {
        for (url, host) in [
            ("https://b.beach.example", "b.beach.example"),
            ("http://B.beach.example:8080/n/b", "b.beach.example"),
            ("http://[2001:db8::1]:1", "2001:db8::1"),
            ("https://203.0.113.1/", "203.0.113.1"),
        ] {
            assert_eq!(Place::parse(url).map(|place| place.host).as_deref(), Some(host), "{url}");
        }
        let long = format!("https://b.example/{}", "n".repeat(MAX_PLACE));
        for url in [
            "",
            "b.example",
            "ws://b.example",
            "https://",
            "https:///n/b",
            "https://:1",
            "https://b.example:",
            "https://b.example:0",
            "https://b.example:+1",
            "https://b.example:65536",
            "https://user@b.example",
            "https://b.example?s=1",
            "https://b.example/n?s=1",
            "https://b.example/n#1",
            "https://b.example/n b",
            "https://b.example\r\n/n",
            "https://[b.example]",
            "https://[::1",
            "https://[::1]1",
            long.as_str(),
        ] {
            assert_eq!(Place::parse(url), None, "{url}");
        }
    }
}
