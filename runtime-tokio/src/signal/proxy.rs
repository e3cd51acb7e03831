//! The HTTP proxy on the way to a rendezvous: its address in the environment, and the CONNECT request (RFC 9110,
//! section 9.3.6).

use std::net::IpAddr;

use async_tungstenite::tungstenite::http::Uri;
use data_encoding::BASE64;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::dial::{Target, reach};
use super::error::{ProxyFault, Scheme, SignalError};
use crate::udp::usable_addresses;

/// The port of a proxy whose address names none.
const DEFAULT_PORT: u16 = 80;

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A proxy. No `Debug`, since the authorization holds a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`, if the proxy's address has a user.
    authorization: Option<String>,
}

impl Proxy {
    /// The proxy that `variable` names for `target`; `None` for a direct connection. This machine's own addresses are
    /// always reached directly: no proxy leads back here.
    ///
    /// # Errors
    /// A variable does not hold the address of an HTTP proxy.
    pub(super) fn find(
        target: &Target,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, SignalError> {
        // As for curl: HTTP_PROXY in capitals could come from a request's header, where this program runs under CGI.
        let names: &[&'static str] = match target.scheme {
            Scheme::Plain => &["http_proxy", "all_proxy", "ALL_PROXY"],
            Scheme::Tls => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let set =
            |name: &&'static str| variable(name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value));
        let Some((name, address)) = names.iter().find_map(set) else { return Ok(None) };
        let excepted = ["no_proxy", "NO_PROXY"].into_iter().find_map(&variable).unwrap_or_default();
        if is_here(&target.host) || is_excepted(&excepted, &target.host, target.port) {
            return Ok(None);
        }
        Proxy::parse(address.trim()).map(Some).ok_or(SignalError::ProxyVariable(name))
    }

    /// Reads `[http://][USER:PASS@]HOST[:PORT]`.
    fn parse(address: &str) -> Option<Proxy> {
        let rest = match address.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return None,
            None => address,
        };
        let uri: Uri = format!("http://{}/", rest.trim_end_matches('/')).parse().ok()?;
        let authority = uri.authority()?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let authorization = user.map(|user| {
            let plain: Vec<u8> = percent_decode_str(user).collect();
            format!("Basic {}", BASE64.encode(&plain))
        });
        let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
        (!host.is_empty()).then(|| Proxy { host: host.to_owned(), port, authorization })
    }

    /// Opens a connection to `target` through this proxy.
    ///
    /// # Errors
    /// The proxy is not reached, refuses, or is no HTTP proxy.
    pub(super) async fn connect(&self, target: &Target) -> Result<TcpStream, SignalError> {
        self.ask(target).await.map_err(|fault| SignalError::Proxy(place(&self.host, self.port), fault))
    }

    async fn ask(&self, target: &Target) -> Result<TcpStream, ProxyFault> {
        let unreachable = |cause| ProxyFault::Unreachable(Box::new(cause));
        let mut stream = reach(&self.host, self.port).await.map_err(unreachable)?;
        let wanted = place(&target.host, target.port);
        let authorization = self.authorization.as_ref().map(|value| format!("Proxy-Authorization: {value}\r\n"));
        let request =
            format!("CONNECT {wanted} HTTP/1.1\r\nHost: {wanted}\r\n{}\r\n", authorization.unwrap_or_default());
        let io = |error: std::io::Error| unreachable(SignalError::from(error));
        stream.write_all(request.as_bytes()).await.map_err(io)?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the rendezvous.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD_BYTES_MAX {
                return Err(ProxyFault::NoProxy);
            }
            head.push(stream.read_u8().await.map_err(io)?);
        }
        match status(&head) {
            Some(200..=299) => Ok(stream),
            Some(407) => Err(ProxyFault::Password),
            Some(status) => Err(ProxyFault::Refused(status)),
            None => Err(ProxyFault::NoProxy),
        }
    }
}

/// The status of an answer's head.
fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// `HOST:PORT`, with brackets around an IPv6 address.
fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Whether the host is an address of this machine.
fn is_here(host: &str) -> bool {
    let own = |address: IpAddr| address.is_loopback() || usable_addresses(false).contains(&address);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(own)
}

/// Whether an entry of NO_PROXY applies: `*`, a domain with all names in it, an address, or a network as ADDRESS/BITS.
fn is_excepted(entries: &str, host: &str, port: u16) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    let applies = |entry: &str| {
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        let network = bare.parse::<IpNet>().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from));
        if let (Some(address), Ok(network)) = (address, network) {
            return network.contains(&address);
        }
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, wanted)) => (name, wanted.parse().ok()),
            None => (entry, Some(port)),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.').to_lowercase();
        let host = host.to_lowercase();
        let inside = host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        wanted == Some(port) && (entry == "*" || (!name.is_empty() && inside))
    };
    entries.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(applies)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, variables: &[(&str, &str)]) -> Result<Option<(String, u16, bool)>, SignalError> {
        let target = Target::parse(url).expect("a target");
        let variable =
            |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        let proxy = Proxy::find(&target, variable)?;
        Ok(proxy.map(|proxy| (proxy.host, proxy.port, proxy.authorization.is_some())))
    }

    #[test]
    fn the_scheme_of_the_rendezvous_chooses_the_variable() {
        let (plain, tls, all) =
            (("http_proxy", "plain:1"), ("HTTPS_PROXY", "http://tls:2/"), ("ALL_PROXY", "http://all"));
        let named = |host: &str, port| Ok(Some((host.to_owned(), port, false)));
        assert_eq!(found("http://x.test", &[plain, tls, all]), named("plain", 1));
        assert_eq!(found("https://x.test", &[plain, tls, all]), named("tls", 2));
        assert_eq!(found("https://x.test", &[plain, all]), named("all", 80));
        assert_eq!(found("https://x.test", &[plain]), Ok(None));
        assert_eq!(found("http://x.test", &[("HTTP_PROXY", "cgi:1"), ("http_proxy", "")]), Ok(None));
    }

    #[test]
    fn a_user_stands_in_the_address_and_other_kinds_of_proxies_are_named() {
        assert_eq!(
            found("http://x.test", &[("http_proxy", "http://me:p%40ss@[2001:db8::1]:3128")]),
            Ok(Some(("2001:db8::1".to_owned(), 3128, true)))
        );
        let proxy = Proxy::parse("me:p%40ss@proxy").expect("a proxy");
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        for (name, address) in
            [("ALL_PROXY", "socks5://proxy:1080"), ("http_proxy", "https://proxy"), ("all_proxy", "http://")]
        {
            assert_eq!(found("http://x.test", &[(name, address)]), Err(SignalError::ProxyVariable(name)));
        }
    }

    #[test]
    fn no_proxy_leads_to_this_machine_or_to_what_no_proxy_excepts() {
        let direct = |url: &str, excepted: &str| {
            found(url, &[("ALL_PROXY", "proxy"), ("NO_PROXY", excepted)]).expect("a proxy").is_none()
        };
        for url in ["http://localhost:1", "http://127.0.0.1", "http://[::1]:8080"] {
            assert!(direct(url, ""), "{url}");
        }
        for excepted in ["*", "x.test", ".test", "a, *.Test", "x.test:80", "a b x.test"] {
            assert!(direct("http://x.test", excepted), "{excepted}");
        }
        for excepted in ["", "y.test", "xx.test", "est", "x.test:81", "."] {
            assert!(!direct("http://x.test", excepted), "{excepted}");
        }
        for excepted in ["192.0.2.7", "192.0.2.0/24", "192.0.0.0/16", "0.0.0.0/0"] {
            assert!(direct("http://192.0.2.7", excepted), "{excepted}");
        }
        for excepted in ["192.0.2.8", "192.0.2.8/30", "2001:db8::/1", "192.0.2.0/40", "192.0.2.0/x"] {
            assert!(!direct("http://192.0.2.7", excepted), "{excepted}");
        }
        assert!(direct("http://[2001:db8::1]", "2001:db8::/32") && direct("http://[2001:db8::1]", "[2001:db8::1]"));
    }
}
