//! Servers that help two sides to find a path, as people and the rendezvous write them: `stun:HOST:PORT` (RFC 7064),
//! and `turn:USER:PASS@HOST:PORT?transport=udp` (RFC 7065, with the credentials in it, as people are used to). `turns:`
//! is a TURN server over TLS, which browsers speak, and beach itself does not.
//!
//! In the user and the password, every byte other than a letter, a digit and `-._~` may be written as `%` and two hex
//! digits; `:`, `@`, `?` and `%` must be.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use data_encoding::BASE64;
use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;
use zeroize::Zeroizing;

/// Longest host: as long as a name in DNS may be.
const MAX_HOST: usize = 253;

/// Longest user and password, in bytes: what a STUN USERNAME may have is less than 509 (RFC 8489, section 14.3).
const MAX_CREDENTIAL: usize = 508;

const DEFAULT_PORT: u16 = 3478;

/// The port of a TURN server over TLS.
const DEFAULT_TLS_PORT: u16 = 5349;

/// The escaped characters: all but RFC 3986's unreserved ones.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a TURN server is reached. The server relays datagrams in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Over UDP, from a socket of ours.
    Udp,
    /// Over TCP, where UDP does not get out.
    Tcp,
}

/// Credentials for a TURN server. `Debug` does not show the password, which is zeroised when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl Credentials {
    /// Credentials that a TURN server accepts until `expires`, in seconds since 1970. The server and the maker of the
    /// credentials share `secret` (draft-uberti-behave-turn-rest-00; `use-auth-secret` in coturn).
    pub fn until(expires: u64, secret: &[u8]) -> Credentials {
        Credentials::of(format!("{expires}:beach"), secret)
    }

    /// The credentials of this user, made from `secret` in the same way.
    pub(crate) fn of(user: String, secret: &[u8]) -> Credentials {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("a key of any length");
        mac.update(user.as_bytes());
        Credentials { password: Zeroizing::new(BASE64.encode(&mac.finalize().into_bytes())), user }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.user)
    }
}

/// The service of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Tells the address at which a socket is seen.
    Stun,
    /// Relays datagrams. If the URL has no credentials, the rendezvous that hands the URL out makes them.
    Turn(Transport, Option<Credentials>),
    /// The same over TLS: for browsers, which check the server's name.
    Turns(Option<Credentials>),
}

impl Service {
    /// Whether the rendezvous has to make credentials.
    pub fn lacks_credentials(&self) -> bool {
        matches!(self, Service::Turn(_, None) | Service::Turns(None))
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; 3478 if none was written.
    pub port: u16,
    /// The server's service.
    pub service: Service,
}

impl IceServer {
    /// The server's address, if it needs no lookup.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// The STUN server beside a rendezvous, which is at `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    pub(crate) fn beside(rendezvous: &str) -> Option<IceServer> {
        let (scheme, authority) = rendezvous.split_once("://")?;
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        format!("stun:{place}").parse().ok()
    }

    /// This server, named by its address.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> IceServer {
        IceServer { host: address.ip().to_string(), port: address.port(), service: self.service.clone() }
    }

    /// The text that says it all, the password as well.
    pub fn url(&self) -> Zeroizing<String> {
        let mut url = String::new();
        let (scheme, credentials, query) = match &self.service {
            Service::Stun => ("stun", None, ""),
            Service::Turn(Transport::Udp, credentials) => ("turn", credentials.as_ref(), "?transport=udp"),
            Service::Turn(Transport::Tcp, credentials) => ("turn", credentials.as_ref(), "?transport=tcp"),
            Service::Turns(credentials) => ("turns", credentials.as_ref(), "?transport=tcp"),
        };
        url.push_str(scheme);
        url.push(':');
        if let Some(Credentials { user, password }) = credentials {
            url.extend(utf8_percent_encode(user, ESCAPED));
            url.push(':');
            url.extend(utf8_percent_encode(password, ESCAPED));
            url.push('@');
        }
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        url.push_str(&format!("{open}{}{close}:{}{query}", self.host, self.port));
        Zeroizing::new(url)
    }
}

/// Without its credentials.
impl fmt::Display for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match &self.service {
            Service::Stun => Service::Stun,
            Service::Turn(transport, _) => Service::Turn(*transport, None),
            Service::Turns(_) => Service::Turns(None),
        };
        f.write_str(&IceServer { host: self.host.clone(), port: self.port, service }.url())
    }
}

/// Why a text is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIceServer {
    /// None of `stun:`, `turn:` and `turns:`.
    #[error("expected stun:HOST:PORT or turn:USER:PASS@HOST:PORT")]
    Scheme,
    /// No STUN over TLS is spoken.
    #[error("expected stun: in place of stuns:")]
    Tls,
    /// The host is missing, or the port is no number from 1 to 65535.
    #[error("expected a host, and a port from 1 to 65535")]
    Place,
    /// A user without a password, or either is too long or holds control characters.
    #[error("expected USER:PASS@HOST, each of 1 to 508 bytes, % as %25")]
    Credentials,
    /// Something else follows.
    #[error("expected ?transport=udp or ?transport=tcp after the port, tcp for turns:")]
    Transport,
}

impl FromStr for IceServer {
    type Err = BadIceServer;

    fn from_str(text: &str) -> Result<IceServer, BadIceServer> {
        let (scheme, rest) = text.split_once(':').ok_or(BadIceServer::Scheme)?;
        let (place, service) = match scheme {
            "stun" => (rest, Service::Stun),
            "turn" | "turns" => {
                let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
                let of: fn(Option<Credentials>) -> Service = match (scheme, query) {
                    ("turn", None | Some("transport=udp")) => |own| Service::Turn(Transport::Udp, own),
                    ("turn", Some("transport=tcp")) => |own| Service::Turn(Transport::Tcp, own),
                    ("turns", None | Some("transport=tcp")) => Service::Turns,
                    _ => return Err(BadIceServer::Transport),
                };
                match rest.rsplit_once('@') {
                    Some((own, place)) => (place, of(Some(credentials(own)?))),
                    None => (rest, of(None)),
                }
            }
            "stuns" => return Err(BadIceServer::Tls),
            _ => return Err(BadIceServer::Scheme),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(BadIceServer::Place)?;
                (host, port.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let default_port = if matches!(service, Service::Turns(_)) { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
        let port = port.map_or(Ok(default_port), str::parse).map_err(|_| BadIceServer::Place)?;
        let sensible = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || host.len() > MAX_HOST || port == 0 || !host.chars().all(sensible) {
            return Err(BadIceServer::Place);
        }
        Ok(IceServer { host: host.to_owned(), port, service })
    }
}

fn credentials(text: &str) -> Result<Credentials, BadIceServer> {
    let (user, password) = text.split_once(':').ok_or(BadIceServer::Credentials)?;
    let plain = |part: &str| {
        let part = percent_decode_str(part).decode_utf8().map_err(|_| BadIceServer::Credentials)?.into_owned();
        let sensible = !part.is_empty() && part.len() <= MAX_CREDENTIAL && !part.chars().any(char::is_control);
        if sensible { Ok(part) } else { Err(BadIceServer::Credentials) }
    };
    Ok(Credentials { user: plain(user)?, password: Zeroizing::new(plain(password)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, BadIceServer> {
        text.parse::<IceServer>().map(|server| server.url().to_string())
    }

    #[test]
    fn servers_are_written_as_in_rfc_7064_and_7065() {
        assert_eq!(read("stun:example.org"), Ok("stun:example.org:3478".to_owned()));
        assert_eq!(read("stun:[2001:db8::1]:19302"), Ok("stun:[2001:db8::1]:19302".to_owned()));
        assert_eq!(read("turn:example.org"), Ok("turn:example.org:3478?transport=udp".to_owned()));
        let whole = "turn:1764288000%3Abeach:a%2Fb%3D@[2001:db8::1]:3479?transport=tcp";
        assert_eq!(read(whole), Ok(whole.to_owned()));
        assert_eq!(read("turn:u:p/w@h").as_deref(), Ok("turn:u:p%2Fw@h:3478?transport=udp"));
        assert_eq!(read("turns:u:p@example.org"), Ok("turns:u:p@example.org:5349?transport=tcp".to_owned()));
        assert_eq!(read("turns:u:p@h:443?transport=udp"), Err(BadIceServer::Transport));
        assert_eq!(read("stuns:example.org"), Err(BadIceServer::Tls));
        assert_eq!([read("example.org:3478"), read("http://x")], [const { Err(BadIceServer::Scheme) }; 2]);
        for wrong in
            ["stun:", "stun::1", "stun:a:0", "stun:a:70000", "stun:a b:1", "stun:[::1", "turn:u:p@", "stun:u:p@h"]
        {
            assert_eq!(read(wrong), Err(BadIceServer::Place), "{wrong}");
        }
        for wrong in ["turn:u@h", "turn::p@h", "turn:u:@h", "turn:u%00:p@h", "turn:u:%ff@h"] {
            assert_eq!(read(wrong), Err(BadIceServer::Credentials), "{wrong}");
        }
        assert_eq!(read("turn:u:p@h?transport=tls"), Err(BadIceServer::Transport));
        assert_eq!(read(&format!("turn:{}:p@h", "u".repeat(509))), Err(BadIceServer::Credentials));
    }

    #[test]
    fn the_server_beside_a_rendezvous_has_its_host_and_its_port() {
        let beside = |server| IceServer::beside(server).map(|server| server.to_string());
        assert_eq!(beside("https://beach.example").as_deref(), Some("stun:beach.example:443"));
        assert_eq!(beside("http://beach.example").as_deref(), Some("stun:beach.example:80"));
        assert_eq!(beside("http://192.0.2.1:8080").as_deref(), Some("stun:192.0.2.1:8080"));
        assert_eq!(beside("http://[::1]:8080").as_deref(), Some("stun:[::1]:8080"));
        assert_eq!(beside("https://[2001:db8::1]").as_deref(), Some("stun:[2001:db8::1]:443"));
        assert_eq!([beside("beach.example"), beside("ws://h"), beside("http://a b")], [const { None }; 3]);
    }

    #[test]
    fn credentials_that_expire_are_those_that_coturn_makes() {
        // printf 1764288000:beach | openssl dgst -sha1 -hmac north -binary | base64
        let Credentials { user, password } = Credentials::until(1_764_288_000, b"north");
        assert_eq!((user.as_str(), password.as_str()), ("1764288000:beach", "qJwFSJgMli5R5O5gjCNCzR/guTo="));
    }

    #[test]
    fn a_password_is_shown_to_nobody() {
        let server: IceServer = "turn:user:secret@h".parse().expect("a server");
        assert!(!format!("{server:?} {server}").contains("secret"));
    }
}
