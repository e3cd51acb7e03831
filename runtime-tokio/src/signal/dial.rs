//! From the address of a rendezvous to an open WebSocket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ClientStream, client_async_tls_with_connector_and_config};
use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::client::IntoClientRequest as _;
use async_tungstenite::tungstenite::handshake::client::Request;
use async_tungstenite::tungstenite::http::{HeaderValue, Uri};
use beach_core::id::ShortId;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::DIAL_DEADLINE;
use super::error::{Scheme, SignalError};
use super::proxy::Proxy;
use super::trust;
use crate::websocket::{HOPS, limits, prepare};

/// How long one address may be tried alone before the next is tried as well (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses tried of one name. A name with more addresses is a load balancer's, and its first few will do.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Where the rendezvous takes WebSockets.
const PATH: &str = "/ws";

/// Where a rendezvous tells the address of the viewer for whom it connects.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Longest name of a server's software, in characters.
const SOFTWARE_CHARS_MAX: usize = 64;

/// The parts of the rendezvous's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) scheme: Scheme,
    /// The URL of the WebSocket handshake's request.
    pub(super) request: String,
    /// For whom this program connects, if not for itself.
    pub(super) carried: Option<CarriedFor>,
    /// The session that the connection is about.
    pub(super) session: Option<ShortId>,
}

/// A connection that a rendezvous carries for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CarriedFor {
    /// The viewer's address, if it is known.
    pub(super) client: Option<IpAddr>,
    /// How many rendezvous carry the connection.
    pub(super) hops: u8,
}

/// Facts about the rendezvous from dialling.
#[derive(Default)]
pub(super) struct Found {
    /// The address at which the rendezvous was reached.
    pub(super) peer: OnceLock<SocketAddr>,
    /// The time, as the rendezvous, or the proxy before it, says.
    pub(super) time: OnceLock<SystemTime>,
    /// The name of the software that answered.
    pub(super) software: OnceLock<String>,
}

pub(super) type Socket = WebSocketStream<ClientStream<TcpStream>>;

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, SignalError> {
        let uri: Uri = url.parse().map_err(|_| SignalError::BadAddress)?;
        let scheme = match uri.scheme_str() {
            Some("http" | "ws") => Scheme::Plain,
            Some("https" | "wss") => Scheme::Tls,
            Some(_) | None => return Err(SignalError::BadAddress),
        };
        let (name, default_port) = match scheme {
            Scheme::Tls => ("wss", 443),
            Scheme::Plain => ("ws", 80),
        };
        let authority = uri.authority().ok_or(SignalError::BadAddress)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(SignalError::BadAddress);
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default_port,
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or(SignalError::BadAddress)?,
            None => return Err(SignalError::BadAddress),
        };
        let prefix = uri.path().trim_end_matches('/');
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            scheme,
            request: format!("{name}://{host}:{port}{prefix}{PATH}"),
            carried: None,
            session: None,
        })
    }
}

impl Target {
    /// The request of the WebSocket handshake.
    fn handshake(&self) -> Result<Request, Error> {
        let mut request = match self.session {
            // Load balancers can choose a server by the session: host and viewers name the same one.
            Some(session) => format!("{}?s={session}", self.request).into_client_request()?,
            None => self.request.as_str().into_client_request()?,
        };
        if let Some(CarriedFor { client, hops }) = self.carried {
            request.headers_mut().insert(HOPS, HeaderValue::from(u16::from(hops)));
            if let Some(Ok(client)) = client.map(|client| HeaderValue::try_from(client.to_string())) {
                request.headers_mut().insert(FORWARDED_FOR, client);
            }
        }
        Ok(request)
    }
}

pub(super) async fn connect(target: &Target, found: &Found) -> Result<Socket, SignalError> {
    let deadline = Instant::now() + DIAL_DEADLINE;
    let handshake = async {
        let (stream, is_direct) = reach_by_proxy(target).await?;
        if let (true, Ok(peer)) = (is_direct, stream.peer_addr()) {
            found.peer.get_or_init(|| peer);
        }
        let tls = match target.scheme {
            Scheme::Tls => Some(trust::client_config()?.into()),
            Scheme::Plain => None,
        };
        let request = target.handshake().map_err(|error| SignalError::of_handshake(error, target.scheme))?;
        client_async_tls_with_connector_and_config(request, stream, tls, Some(limits()))
            .await
            .map(|(socket, response)| {
                let says = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
                if let Some(time) = says("date").and_then(|date| httpdate::parse_http_date(date).ok()) {
                    found.time.get_or_init(|| time);
                }
                if let Some(software) = says("server") {
                    let printable = software.chars().filter(|c| !c.is_control()).take(SOFTWARE_CHARS_MAX);
                    found.software.get_or_init(|| printable.collect());
                }
                socket
            })
            .map_err(|error| SignalError::of_handshake(error, target.scheme))
    };
    match timeout_at(deadline, handshake).await {
        Ok(result) => result,
        Err(_) => Err(SignalError::NoAnswer),
    }
}

/// A TCP connection to `target`, through the proxy that the environment names, if it names one; whether there is none.
async fn reach_by_proxy(target: &Target) -> Result<(TcpStream, bool), SignalError> {
    match Proxy::find(target, |name| std::env::var(name).ok())? {
        Some(proxy) => Ok((proxy.connect(target).await?, false)),
        None => Ok((reach(&target.host, target.port).await?, true)),
    }
}

/// A connection with TLS to the host of a URL with https, on the same way as to a rendezvous. The caller sets the
/// deadline.
///
/// # Errors
/// The host is not reached, or TLS does not trust it.
pub(crate) async fn secure_stream(url: &str) -> Result<TlsStream<TcpStream>, SignalError> {
    let target = Target::parse(url)?;
    if target.scheme == Scheme::Plain {
        return Err(SignalError::NotTls);
    }
    let (stream, _) = reach_by_proxy(&target).await?;
    let name = ServerName::try_from(target.host.clone()).map_err(|_| SignalError::NameNotForTls)?;
    let connected = TlsConnector::from(trust::client_config()?).connect(name, stream).await;
    connected.map_err(|error| SignalError::of_handshake(Error::Io(error), Scheme::Tls))
}

/// A TCP connection to the address that answers first. Each address gets a head start of [`STAGGER`] over the next,
/// less if it fails before.
pub(crate) async fn reach(host: &str, port: u16) -> Result<TcpStream, SignalError> {
    let resolved =
        tokio::net::lookup_host((host, port)).await.map_err(|_| SignalError::UnknownName(host.to_owned()))?;
    let mut waiting = interleave(resolved.collect()).into_iter();
    let mut attempts: JoinSet<io::Result<TcpStream>> = JoinSet::new();
    let mut failure = SignalError::NoAddress(host.to_owned());
    let mut next_at = Instant::now();
    loop {
        let exhausted = waiting.len() == 0;
        if attempts.is_empty() && exhausted {
            return Err(failure);
        }
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    failure = SignalError::from(error);
                    next_at = Instant::now();
                }
                Err(_) => next_at = Instant::now(),
            },
            () = sleep_until(next_at), if !exhausted => {
                if let Some(address) = waiting.next() {
                    attempts.spawn(open(address));
                }
                next_at = Instant::now() + STAGGER;
            }
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.inspect_err(|error| {
        tracing::debug!(%address, %error, "connecting to the rendezvous failed");
    })?;
    prepare(&stream)?;
    Ok(stream)
}

/// Alternates between the families, the resolver's favourite first (RFC 8305, section 4).
pub(super) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let favourite_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == favourite_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        mixed.extend(pair.into_iter().flatten());
    }
    mixed.truncate(ADDRESSES_MAX);
    mixed
}
