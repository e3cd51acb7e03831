//! From the address of a rendezvous to an open WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ClientStream, client_async_tls_with_connector_and_config};
use async_tungstenite::tungstenite::http::Uri;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::DIAL_DEADLINE;
use super::error::{handshake_cause, io_cause};
use crate::websocket::limits;

/// How long one address may be tried alone before the next is tried as well (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses tried of one name. A name with more is a load balancer's, and its first few will do.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Where the rendezvous takes WebSockets.
const PATH: &str = "/ws";

/// Longest name of a server's software.
const SOFTWARE_CHARS_MAX: usize = 64;

/// The parts of the rendezvous's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    tls: bool,
    /// What the WebSocket handshake asks for.
    pub(super) request: String,
}

/// What was learnt of the rendezvous while dialling.
#[derive(Default)]
pub(super) struct Found {
    /// Where it was reached.
    pub(super) peer: OnceLock<SocketAddr>,
    /// What it, or the proxy before it, says the time is, and what it is.
    pub(super) time: OnceLock<SystemTime>,
    pub(super) software: OnceLock<String>,
}

pub(super) type Socket = WebSocketStream<ClientStream<TcpStream>>;

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let bad = || "the rendezvous address is not of the form http://HOST[:PORT] or https://HOST[:PORT]".to_owned();
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            Some(_) | None => return Err(bad()),
        };
        let (scheme, default_port) = if tls { ("wss", 443) } else { ("ws", 80) };
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(bad());
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default_port,
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or_else(bad)?,
            None => return Err(bad()),
        };
        let prefix = uri.path().trim_end_matches('/');
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            tls,
            request: format!("{scheme}://{host}:{port}{prefix}{PATH}"),
        })
    }
}

pub(super) async fn connect(target: &Target, found: &Found) -> Result<Socket, String> {
    let deadline = Instant::now() + DIAL_DEADLINE;
    let handshake = async {
        let stream = reach(target).await?;
        if let Ok(peer) = stream.peer_addr() {
            found.peer.get_or_init(|| peer);
        }
        // Fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        client_async_tls_with_connector_and_config(target.request.as_str(), stream, None, Some(limits()))
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
            .map_err(|error| handshake_cause(&error, target.tls))
    };
    match timeout_at(deadline, handshake).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", DIAL_DEADLINE.as_secs())),
    }
}

/// A TCP connection to whichever address answers first. Each gets a head start of [`STAGGER`] over the next, less when
/// it fails at once.
async fn reach(target: &Target) -> Result<TcpStream, String> {
    let resolved = tokio::net::lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|_| format!("the name {} cannot be resolved", target.host))?;
    let mut waiting = interleave(resolved.collect()).into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = format!("the name {} has no address", target.host);
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
                    failure = io_cause(&error);
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
    stream.set_nodelay(true)?;
    // The peer of a half-open connection never answers; without probes an idle reader would wait for ever.
    socket2::SockRef::from(&stream).set_keepalive(true)?;
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
