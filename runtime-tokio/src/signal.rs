//! The WebSocket to the rendezvous, seen from a peer.
//!
//! [`Signal`] carries texts and says when the connection is up or down. It neither reads the texts nor decides when to
//! dial again.

use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_tungstenite::tokio::{ClientStream, client_async_tls_with_connector_and_config};
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError, TlsError};
use async_tungstenite::tungstenite::http::Uri;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{WebSocketReceiver, WebSocketSender, WebSocketStream};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::outbound::{self, Outbound, Waiting};

/// From [`Signal::dial`] to [`SignalEvent::Up`], name lookup included. A person waits; a rendezvous that needs longer
/// is as good as down.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(5);

/// How long one address may be tried alone before the next is tried as well (RFC 8305, section 5).
pub const STAGGER: Duration = Duration::from_millis(250);

/// Texts that may wait to be sent. A handshake takes about a dozen; more than this means the connection is stuck.
pub const OUTBOUND_MAX: usize = 256;

/// Largest message accepted, in bytes. Offers and answers are a few KiB.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Texts received and not yet asked for. When it is full, the socket is not read: the sender is held back.
const INBOUND_MAX: usize = 64;

/// Most addresses tried of one name. A name with more is a load balancer's, and its first few will do.
const ADDRESSES_MAX: usize = 8;

/// How long one message may take to leave before the connection counts as dead.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a closed connection may still take to send what was queued and to say goodbye.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// Where the rendezvous takes WebSockets.
const PATH: &str = "/ws";

/// What the connection did.
#[derive(Clone, PartialEq, Eq)]
pub enum SignalEvent {
    /// Connected; texts flow.
    Up,
    /// The rendezvous sent this.
    Text(String),
    /// It relayed this.
    Datagram(Vec<u8>),
    /// Not connected any more, or the dial failed; the cause, in words for a person. Nothing follows until the next dial.
    Down(String),
}

impl fmt::Debug for SignalEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("Up"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Datagram(bytes) => write!(f, "Datagram({} bytes)", bytes.len()),
            Self::Down(cause) => write!(f, "Down({cause})"),
        }
    }
}

/// A client of one rendezvous. Needs a tokio runtime with I/O and time enabled.
pub struct Signal {
    target: Result<Target, String>,
    link: Option<Link>,
    /// The task of the connection that was hung up last; it may still be sending.
    leaving: Option<JoinHandle<()>>,
    /// A cause that did not come from the link's task.
    down: Option<String>,
}

/// The parts of the rendezvous's address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: bool,
    /// What the WebSocket handshake asks for.
    request: String,
}

/// One connection, from dial to down. Dropping it closes the connection in the background, within
/// [`GOODBYE_DEADLINE`].
struct Link {
    outbound: Outbound,
    events: mpsc::Receiver<SignalEvent>,
    found: Arc<Found>,
    /// The task sees this end close.
    _hang_up: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Longest name of a server's software.
const SOFTWARE_CHARS_MAX: usize = 64;

/// What was learnt of the rendezvous while dialling.
#[derive(Default)]
struct Found {
    /// Where it was reached.
    peer: OnceLock<SocketAddr>,
    /// What it, or the proxy before it, says the time is, and what it is.
    time: OnceLock<SystemTime>,
    software: OnceLock<String>,
}

type Socket = WebSocketStream<ClientStream<TcpStream>>;
type SocketReader = WebSocketReceiver<ClientStream<TcpStream>>;
type SocketWriter = WebSocketSender<ClientStream<TcpStream>>;

impl Signal {
    /// A client of the rendezvous at `url`: `http(s)://host[:port]`, or the same with `ws(s)`; a path is kept as a prefix.
    /// Connects nothing yet; an address that makes no sense shows as [`SignalEvent::Down`] at the first dial.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { target: Target::parse(&url), link: None, leaving: None, down: None }
    }

    /// Starts connecting, to every address of the name, both families. Abandons the connection there was, without a
    /// `Down` for it. `Up` or `Down` follows within [`DIAL_DEADLINE`].
    pub fn dial(&mut self) {
        self.link = None;
        self.down = None;
        match &self.target {
            Ok(target) => self.link = Some(Link::start(target.clone())),
            Err(cause) => self.down = Some(cause.clone()),
        }
    }

    /// The address at which the rendezvous was reached, once it was.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.found.peer.get().copied()
    }

    /// What the rendezvous, or the proxy before it, says it is, if it says so; printable and short.
    #[must_use]
    pub fn software(&self) -> Option<&str> {
        self.link.as_ref()?.found.software.get().map(String::as_str)
    }

    /// What the time was there when the connection was made, to the second, if it said so.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        self.link.as_ref()?.found.time.get().copied()
    }

    /// Ends the connection without a `Down`. What was queued is still sent, in the background, if that takes no longer
    /// than a second.
    pub fn hang_up(&mut self) {
        self.leaving = self.link.take().map(|link| link.task);
        self.down = None;
    }

    /// Hangs up, and waits until what was queued is sent, a second at most: for a program that is about to end.
    pub async fn close(&mut self) {
        if self.link.is_some() {
            self.hang_up();
        }
        if let Some(task) = self.leaving.take() {
            // A task that panicked has said so; there is nothing left to wait for.
            let _ = timeout(GOODBYE_DEADLINE, task).await;
        }
    }

    /// Queues a text, at most [`OUTBOUND_MAX`]; one too many ends the connection with a `Down`. While dialling, texts
    /// wait for the connection. Without a connection the text is dropped.
    pub fn send(&mut self, text: String) {
        let Some(link) = &self.link else {
            tracing::debug!(bytes = text.len(), "no rendezvous connection: message dropped");
            return;
        };
        match link.outbound.text(text) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.link = None;
                self.down = Some("the rendezvous takes messages too slowly".to_owned());
            }
            // The link has ended; its `Down` is among its events.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    /// Has a datagram relayed. Few may wait; one more, or one without a connection, is dropped.
    pub fn relay(&mut self, bytes: Vec<u8>) {
        if let Some(link) = &self.link {
            link.outbound.datagram(bytes);
        }
    }

    /// Waits for the next event. Cancel-safe. Pends while there is no connection and none is being made.
    pub async fn next(&mut self) -> SignalEvent {
        if let Some(cause) = self.down.take() {
            return SignalEvent::Down(cause);
        }
        let Some(link) = &mut self.link else {
            return future::pending().await;
        };
        let event = match link.events.recv().await {
            Some(event) => event,
            // The task ended without a word: it panicked.
            None => SignalEvent::Down("the connection to the rendezvous failed inside this program".to_owned()),
        };
        if let SignalEvent::Down(cause) = &event {
            tracing::debug!(cause, "rendezvous connection down");
            self.link = None;
        }
        event
    }
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
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

impl Link {
    fn start(target: Target) -> Self {
        let (outbound, to_send) = outbound::queue(OUTBOUND_MAX);
        let (report, events) = mpsc::channel(INBOUND_MAX);
        let (hang_up, mut hung_up) = oneshot::channel();
        let found = Arc::new(Found::default());
        let learnt = found.clone();
        let task = tokio::spawn(async move {
            let socket = tokio::select! {
                socket = connect(&target, &learnt) => socket,
                _ = &mut hung_up => return,
            };
            let cause = match socket {
                Ok(socket) => carry(socket, to_send, &report, hung_up).await,
                Err(cause) => Some(cause),
            };
            if let Some(cause) = cause {
                // An error here: the owner has let go and wants no word.
                let _ = report.send(SignalEvent::Down(cause)).await;
            }
        });
        Self { outbound, events, found, _hang_up: hang_up, task }
    }
}

/// Limits for a socket that carries small texts. The defaults would allocate 128 KiB for each and queue without bound.
pub(crate) fn limits() -> WebSocketConfig {
    /// Holds a usual message; larger ones grow it.
    const BUFFER_BYTES: usize = 4 * 1024;
    /// Four messages of the largest size.
    const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024;
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

async fn connect(target: &Target, found: &Found) -> Result<Socket, String> {
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
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
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

/// Runs an open connection. `None`: the owner hung up.
async fn carry(
    socket: Socket,
    mut to_send: Waiting,
    report: &mpsc::Sender<SignalEvent>,
    mut hung_up: oneshot::Receiver<()>,
) -> Option<String> {
    let (mut writer, mut reader) = socket.split();
    if report.send(SignalEvent::Up).await.is_err() {
        return None;
    }
    // Reading and writing wait independently: neither a full inbox nor a slow network holds the other up.
    let cause = tokio::select! {
        cause = read_all(&mut reader, report) => cause,
        cause = write_all(&mut writer, &mut to_send) => cause,
        _ = &mut hung_up => None,
    };
    if cause.is_none() {
        let goodbye = async {
            while let Some(text) = to_send.last_text() {
                writer.send(text).await?;
            }
            writer.close(None).await
        };
        if let Ok(Err(error)) = timeout(GOODBYE_DEADLINE, goodbye).await {
            tracing::debug!(cause = socket_cause(&error), "the goodbye to the rendezvous failed");
        }
    }
    cause
}

async fn read_all(reader: &mut SocketReader, report: &mpsc::Sender<SignalEvent>) -> Option<String> {
    loop {
        match reader.next().await {
            Some(Ok(Message::Text(text))) => {
                tracing::trace!(bytes = text.len(), "from the rendezvous");
                if report.send(SignalEvent::Text(text.as_str().to_owned())).await.is_err() {
                    // Hung up: the goodbye is the other branch's.
                    return None;
                }
            }
            Some(Ok(Message::Binary(bytes))) => {
                if report.send(SignalEvent::Datagram(bytes.to_vec())).await.is_err() {
                    return None;
                }
            }
            // Pings are answered by the next read.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => {
                return Some("the rendezvous closed the connection".to_owned());
            }
            Some(Err(error)) => return Some(socket_cause(&error)),
        }
    }
}

async fn write_all(writer: &mut SocketWriter, to_send: &mut Waiting) -> Option<String> {
    while let Some(message) = to_send.next().await {
        tracing::trace!(bytes = message.len(), "to the rendezvous");
        match timeout(WRITE_DEADLINE, writer.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(socket_cause(&error)),
            Err(_) => return Some("the rendezvous has stopped reading".to_owned()),
        }
    }
    None
}

fn handshake_cause(error: &Error, tls: bool) -> String {
    match error {
        Error::Http(response) => format!(
            "the server answered with HTTP {}: not a rendezvous, or a proxy in between",
            response.status().as_u16()
        ),
        Error::Io(error) if is_hang_up(error) && tls => {
            "the server closed the connection during the TLS handshake: it may not speak https".to_owned()
        }
        Error::Io(error) if is_hang_up(error) => "the server closed the connection during the handshake".to_owned(),
        Error::Protocol(_) | Error::HttpFormat(_) | Error::Utf8(_) | Error::Capacity(_) => {
            "the server does not speak WebSocket: not a rendezvous".to_owned()
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_) => socket_cause(error),
    }
}

fn socket_cause(error: &Error) -> String {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection is closed".to_owned(),
        Error::Io(error) => io_cause(error),
        Error::Tls(TlsError::InvalidDnsName) => "the rendezvous's name is not valid for TLS".to_owned(),
        Error::Tls(TlsError::Rustls(error)) => tls_cause(error),
        Error::Tls(error) => format!("TLS failed: {error}"),
        Error::Capacity(CapacityError::MessageTooLong { .. } | CapacityError::TooManyHeaders) => {
            "the rendezvous sent a message larger than allowed".to_owned()
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the rendezvous dropped the connection".to_owned()
        }
        Error::Protocol(_) | Error::Utf8(_) | Error::HttpFormat(_) | Error::AttackAttempt => {
            "the rendezvous broke the WebSocket protocol".to_owned()
        }
        Error::WriteBufferFull(_) => "the rendezvous has stopped reading".to_owned(),
        Error::Url(_) => "the rendezvous address is not valid".to_owned(),
        Error::Http(response) => format!("the server answered with HTTP {}", response.status().as_u16()),
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&error.kind())
}

/// Words for what TLS objects to. Its own text for certificates is not made for people.
fn tls_cause(error: &rustls::Error) -> String {
    use rustls::CertificateError as Flaw;
    let rustls::Error::InvalidCertificate(flaw) = error else {
        return format!("TLS failed: {error}");
    };
    let words = if matches!(flaw, Flaw::UnknownIssuer | Flaw::BadSignature) {
        "is not signed by a known authority"
    } else if matches!(flaw, Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) {
        "is for another name"
    } else if matches!(flaw, Flaw::Expired | Flaw::ExpiredContext { .. }) {
        "has expired"
    } else if matches!(flaw, Flaw::NotValidYet | Flaw::NotValidYetContext { .. }) {
        "is not valid yet: is the clock right?"
    } else {
        "is not acceptable"
    };
    format!("the server's certificate {words}")
}

/// Words for the failures that happen; the system's own, without their number, for the rest.
fn io_cause(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(error) = inner {
        return tls_cause(error);
    }
    let known = [
        (io::ErrorKind::ConnectionRefused, "connection refused: nothing listens there"),
        (io::ErrorKind::ConnectionReset, "the connection was reset"),
        (io::ErrorKind::ConnectionAborted, "the connection was aborted"),
        (io::ErrorKind::BrokenPipe, "the connection was closed by the other side"),
        (io::ErrorKind::UnexpectedEof, "the connection was closed by the other side"),
        (io::ErrorKind::TimedOut, "no answer"),
        (io::ErrorKind::HostUnreachable, "the host is unreachable"),
        (io::ErrorKind::NetworkUnreachable, "the network is unreachable"),
    ];
    if let Some((_, words)) = known.iter().find(|(kind, _)| *kind == error.kind()) {
        return (*words).to_owned();
    }
    let words = error.to_string();
    match words.find(" (os error") {
        Some(end) => words[..end].to_lowercase(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{Server, ServerEvent};
    use tokio::net::TcpListener;

    /// No test needs longer; one that does has hung.
    const DEADLINE: Duration = Duration::from_secs(10);

    async fn next(signal: &mut Signal) -> SignalEvent {
        timeout(DEADLINE, signal.next()).await.expect("an event within the deadline")
    }

    async fn server() -> Server {
        Server::bind(([127, 0, 0, 1], 0).into()).await.expect("loopback binds")
    }

    async fn server_next(server: &mut Server) -> ServerEvent {
        timeout(DEADLINE, server.next()).await.expect("an event within the deadline")
    }

    /// Takes connections into its backlog and never answers.
    async fn silent() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback binds");
        let address = listener.local_addr().expect("bound");
        (listener, format!("http://{address}"))
    }

    fn dialled(url: String) -> Signal {
        let mut signal = Signal::new(url);
        signal.dial();
        signal
    }

    fn down(event: SignalEvent) -> String {
        match event {
            SignalEvent::Down(cause) => cause,
            event @ (SignalEvent::Up | SignalEvent::Text(_) | SignalEvent::Datagram(_)) => {
                panic!("not down: {event:?}")
            }
        }
    }

    #[test]
    fn an_address_becomes_a_websocket_request() {
        for (url, host, port, request) in [
            ("http://localhost:8080", "localhost", 8080, "ws://localhost:8080/ws"),
            ("http://example.com/", "example.com", 80, "ws://example.com:80/ws"),
            ("https://example.com", "example.com", 443, "wss://example.com:443/ws"),
            ("https://example.com/beach/", "example.com", 443, "wss://example.com:443/beach/ws"),
            ("http://[::1]:9", "::1", 9, "ws://[::1]:9/ws"),
            ("http://[::1]", "::1", 80, "ws://[::1]:80/ws"),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!((target.host.as_str(), target.port, target.request.as_str()), (host, port, request));
        }
    }

    #[tokio::test]
    async fn an_address_that_makes_no_sense_is_down_at_the_dial() {
        for url in [
            "",
            "localhost:8080",
            "ftp://example.com",
            "http://",
            "http://u:p@example.com",
            "http://h:0",
            "http://h:x",
            "/s/x",
        ] {
            assert!(down(next(&mut dialled(url.to_owned())).await).contains("not of the form"), "{url}");
        }
    }

    #[tokio::test]
    async fn both_families_are_tried_and_neither_blocks_the_other() {
        // The name usually has both addresses; only one is listened on, whichever comes first.
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(mut server) = Server::bind(bind.parse().expect("an address")).await else {
                continue;
            };
            let port = server.local_addr().port();
            let names: Vec<_> = tokio::net::lookup_host(("localhost", port)).await.expect("resolves").collect();
            if !names.contains(&server.local_addr()) {
                continue;
            }
            let mut signal = dialled(format!("http://localhost:{port}"));

            let (opened, up) = tokio::join!(server_next(&mut server), next(&mut signal));

            assert!(matches!(opened, ServerEvent::Opened { .. }));
            assert_eq!(up, SignalEvent::Up);
        }
    }

    #[test]
    fn families_alternate_and_are_bounded() {
        let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        let (a, b, c) = (address("[::1]:1"), address("[::2]:1"), address("127.0.0.1:1"));

        assert_eq!(interleave(vec![a, b, c]), [a, c, b]);
        assert_eq!(interleave(vec![c, a, b]), [c, a, b]);
        assert_eq!(interleave(vec![]), []);
        assert_eq!(interleave(vec![a; 100]).len(), ADDRESSES_MAX);
    }

    #[tokio::test]
    async fn nothing_listening_is_said_at_once() {
        let (listener, url) = silent().await;
        drop(listener);

        let cause = down(next(&mut dialled(url)).await);

        assert_eq!(cause, "connection refused: nothing listens there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_down_at_the_deadline() {
        let (_listener, url) = silent().await;
        let started = Instant::now();

        let cause = down(next(&mut dialled(url)).await);

        assert_eq!(cause, "no answer within 5 s");
        assert_eq!(started.elapsed().as_secs(), DIAL_DEADLINE.as_secs());
    }

    #[tokio::test]
    async fn a_web_server_that_is_no_rendezvous_is_named_so() {
        let mut server = server().await;
        let mut signal = dialled(format!("http://{}/elsewhere", server.local_addr()));

        let event = tokio::select! {
            event = next(&mut signal) => event,
            event = server.next() => panic!("nothing should happen, but: {event:?}"),
        };

        assert!(down(event).contains("HTTP 404"));
    }

    #[tokio::test]
    async fn tls_to_a_server_without_it_fails_with_a_cause() {
        let mut server = server().await;
        let mut signal = dialled(format!("https://{}", server.local_addr()));

        let event = tokio::select! {
            event = next(&mut signal) => event,
            event = server.next() => panic!("nothing should happen, but: {event:?}"),
        };

        assert!(down(event).contains("may not speak https"));
    }

    #[test]
    fn a_bad_certificate_is_described_in_words() {
        use rustls::CertificateError as Flaw;
        for (flaw, words) in [
            (Flaw::UnknownIssuer, "the server's certificate is not signed by a known authority"),
            (Flaw::Expired, "the server's certificate has expired"),
            (Flaw::NotValidForName, "the server's certificate is for another name"),
            (Flaw::Revoked, "the server's certificate is not acceptable"),
        ] {
            let error = rustls::Error::InvalidCertificate(flaw);
            let error = Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(handshake_cause(&error, true), words);
        }
    }

    #[tokio::test]
    async fn texts_sent_while_dialling_wait_for_the_connection() {
        let mut server = server().await;
        let mut signal = dialled(format!("http://{}", server.local_addr()));
        signal.send("early".to_owned());

        assert!(matches!(server_next(&mut server).await, ServerEvent::Opened { .. }));

        let ServerEvent::Text { text, .. } = server_next(&mut server).await else {
            panic!("the text was lost");
        };
        assert_eq!(text, "early");
    }

    #[tokio::test]
    async fn too_many_waiting_texts_are_down_once() {
        let (_listener, url) = silent().await;
        let mut signal = dialled(url);

        for _ in 0..=OUTBOUND_MAX {
            signal.send("x".to_owned());
        }

        assert!(down(next(&mut signal).await).contains("too slowly"));
        assert!(timeout(Duration::from_millis(20), signal.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_hang_up_delivers_what_was_queued_and_says_nothing() {
        let mut server = server().await;
        let mut signal = dialled(format!("http://{}", server.local_addr()));
        let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
        assert_eq!(up, SignalEvent::Up);

        signal.send("leaving".to_owned());
        signal.hang_up();

        assert!(matches!(server_next(&mut server).await, ServerEvent::Text { text, .. } if text == "leaving"));
        assert!(matches!(server_next(&mut server).await, ServerEvent::Closed { .. }));
        assert!(timeout(Duration::from_millis(20), signal.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_second_dial_leaves_the_first_connection_without_a_word() {
        let mut server = server().await;
        let mut signal = dialled(format!("http://{}", server.local_addr()));
        let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
        assert_eq!(up, SignalEvent::Up);

        signal.dial();

        let (mut opened, mut closed) = (0, 0);
        while (opened, closed) != (1, 1) {
            match server_next(&mut server).await {
                ServerEvent::Opened { .. } => opened += 1,
                ServerEvent::Closed { .. } => closed += 1,
                ServerEvent::Text { .. } | ServerEvent::Datagram { .. } => panic!("nobody wrote"),
            }
        }
        assert_eq!(next(&mut signal).await, SignalEvent::Up);
    }

    #[tokio::test]
    async fn a_rendezvous_that_goes_away_is_down_with_a_cause() {
        let mut server = server().await;
        let mut signal = dialled(format!("http://{}", server.local_addr()));
        let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
        assert_eq!(up, SignalEvent::Up);

        drop(server);

        assert_eq!(down(next(&mut signal).await), "the rendezvous dropped the connection");
    }
}
