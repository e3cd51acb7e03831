//! The rendezvous's side: TCP, three plain HTTP answers, and WebSockets that carry texts.
//!
//! [`Server`] neither reads the texts nor knows who belongs together. What a connection may cost is bounded here: its
//! number, its head, its messages, its queue, and the time it may block.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::error::Error;
use async_tungstenite::tungstenite::handshake::machine::TryParse as _;
use async_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use async_tungstenite::tungstenite::http::header;
use async_tungstenite::tungstenite::http::uri::Authority;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use async_tungstenite::tungstenite::{Message, Utf8Bytes};
use async_tungstenite::{WebSocketReceiver, WebSocketSender, WebSocketStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::outbound::{self, Outbound, Waiting};
use crate::signal::limits;

/// Connections at once, whatever their state: bounds memory and descriptors (the process's own descriptor limit must allow
/// as many). One more is accepted and closed at once, so that its client knows.
pub const MAX_CONNECTIONS: usize = 4096;

/// How long a client may take to send its HTTP head. Slower ones only want to hold a place.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Largest HTTP head, in bytes. A browser behind two proxies sends about 2 KiB.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Texts that may wait for one connection. A peer that reads this slowly reconnects better than it catches up.
pub const OUTBOUND_MAX: usize = 160;

/// How long one message may take to leave.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Events not yet asked for, of all connections together: at most 4 MiB of text. When it is full, sockets are not read.
const EVENTS_MAX: usize = 256;

/// How long a connection that is being closed may take for what was queued, and for the closing itself.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// What is read and thrown away after the last answer. Closing with unread input resets the connection, and the reset can
/// overtake the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// How long accepting rests after a failure. Out of file descriptors is the usual one, and it passes only with time.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The plain answers: never what the request said.
const OK: Answer = Answer { status: "200 OK", body: "ok\n" };
const SESSION: Answer = Answer {
    status: "200 OK",
    body: "This is a beach session: a terminal somebody shares with you.\n\
           \n\
           Join it from a terminal, with the whole link you were given (the part after # too):\n\
           \n\
           \x20   beach join LINK\n",
};
const NOT_FOUND: Answer = Answer { status: "404 Not Found", body: "not found\n" };
const BAD_UPGRADE: Answer = Answer { status: "426 Upgrade Required", body: "this address takes WebSockets\n" };
const OTHER_ORIGIN: Answer =
    Answer { status: "403 Forbidden", body: "this address takes WebSockets from pages of its own origin only\n" };
const HEAD_TOO_LARGE: Answer =
    Answer { status: "431 Request Header Fields Too Large", body: "request head too large\n" };

/// Names one connection for the life of a [`Server`]; never used again.
pub type ConnectionId = u64;

/// What happened on a WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A WebSocket is open; texts may be sent to it.
    Opened {
        /// Its name.
        connection: ConnectionId,
        /// Where it comes from, as TCP says; a proxy's address behind a proxy.
        peer: SocketAddr,
    },
    /// It sent this text, of at most 16 KiB.
    Text {
        /// From whom.
        connection: ConnectionId,
        /// What.
        text: String,
    },
    /// It sent this to be relayed, of at most 16 KiB.
    Datagram {
        /// From whom.
        connection: ConnectionId,
        /// What.
        bytes: Vec<u8>,
    },
    /// It is gone, for whatever reason, [`Server::close`] included. Once for every `Opened`; nothing of it follows.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
}

impl fmt::Debug for ServerEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { connection, peer } => write!(f, "Opened({connection}, {peer})"),
            Self::Text { connection, text } => {
                write!(f, "Text({connection}, {} bytes)", text.len())
            }
            Self::Datagram { connection, bytes } => write!(f, "Datagram({connection}, {} bytes)", bytes.len()),
            Self::Closed { connection } => write!(f, "Closed({connection})"),
        }
    }
}

/// A listening server and its connections. Needs a tokio runtime with I/O and time enabled; dropping it ends every
/// connection at once.
pub struct Server {
    /// None any more once nobody new may come.
    listener: Option<TcpListener>,
    local_addr: SocketAddr,
    next_connection: ConnectionId,
    tasks: JoinSet<()>,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    open: HashMap<ConnectionId, Open>,
    accept_at: Option<Instant>,
    connections_max: usize,
}

/// An open WebSocket, as the server sees it.
enum Open {
    Live(Handle),
    /// Told to close; its `Closed` is on the way.
    Closing,
}

/// The way to a connection's task.
struct Handle {
    outbound: Outbound,
    /// Fires, or is dropped without firing, when the connection shall end without sending what is queued.
    cut: oneshot::Sender<()>,
}

/// What the tasks tell the server.
enum Report {
    Opened(ConnectionId, SocketAddr, Handle),
    Text(ConnectionId, String),
    Datagram(ConnectionId, Vec<u8>),
    Closed(ConnectionId),
}

struct Answer {
    status: &'static str,
    body: &'static str,
}

type Socket = WebSocketStream<TokioAdapter<TcpStream>>;
type SocketReader = WebSocketReceiver<TokioAdapter<TcpStream>>;
type SocketWriter = WebSocketSender<TokioAdapter<TcpStream>>;

impl Server {
    /// Listens on `addr`; port 0 lets the system choose.
    ///
    /// # Errors
    /// The address is taken, not ours, or not allowed.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let (report, reports) = mpsc::channel(EVENTS_MAX);
        Ok(Self {
            listener: Some(listener),
            local_addr,
            next_connection: 1,
            tasks: JoinSet::new(),
            report,
            reports,
            open: HashMap::new(),
            accept_at: None,
            connections_max: MAX_CONNECTIONS,
        })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Nobody new comes in from now on; the port is free for another server.
    pub fn close_door(&mut self) {
        self.listener = None;
    }

    /// Waits for the next event. Cancel-safe. It also accepts connections: nobody is let in while nobody waits here.
    pub async fn next(&mut self) -> ServerEvent {
        loop {
            tokio::select! {
                Some(report) = self.reports.recv() => {
                    if let Some(event) = self.handle(report) {
                        return event;
                    }
                }
                Some(_) = self.tasks.join_next() => {}
                accepted = knock(self.listener.as_ref()), if self.accept_at.is_none() => self.admit(accepted),
                () = sleep_until(self.accept_at.unwrap_or_else(Instant::now)), if self.accept_at.is_some() => {
                    self.accept_at = None;
                }
            }
        }
    }

    /// Queues a text for a connection, at most [`OUTBOUND_MAX`]; one too many ends that connection. To a connection that
    /// is gone it does nothing.
    pub fn send(&mut self, connection: ConnectionId, text: String) {
        let Some(open) = self.open.get_mut(&connection) else {
            return;
        };
        let Open::Live(handle) = open else { return };
        match handle.outbound.text(text) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!(connection, "outbound queue full: closed");
                if let Open::Live(handle) = std::mem::replace(open, Open::Closing) {
                    // An error here: it has ended by itself.
                    let _ = handle.cut.send(());
                }
            }
            // It has ended; its `Closed` is on the way.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    /// Queues a datagram for a connection, or drops it if too many wait.
    pub fn relay(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        if let Some(Open::Live(handle)) = self.open.get(&connection) {
            handle.outbound.datagram(bytes);
        }
    }

    /// Closes a connection once what is queued for it is sent, or after a second. `Closed` follows; no more texts do.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(open) = self.open.get_mut(&connection) {
            // The handle goes, and with it the sender: the task sees the end of its queue.
            *open = Open::Closing;
        }
    }

    /// `None`: a text of a connection that is being closed.
    fn handle(&mut self, report: Report) -> Option<ServerEvent> {
        match report {
            Report::Opened(connection, peer, handle) => {
                tracing::debug!(connection, "opened");
                self.open.insert(connection, Open::Live(handle));
                Some(ServerEvent::Opened { connection, peer })
            }
            Report::Text(connection, text) => match self.open.get(&connection) {
                Some(Open::Live(_)) => Some(ServerEvent::Text { connection, text }),
                Some(Open::Closing) | None => None,
            },
            Report::Datagram(connection, bytes) => match self.open.get(&connection) {
                Some(Open::Live(_)) => Some(ServerEvent::Datagram { connection, bytes }),
                Some(Open::Closing) | None => None,
            },
            Report::Closed(connection) => {
                tracing::debug!(connection, "closed");
                self.open.remove(&connection).map(|_| ServerEvent::Closed { connection })
            }
        }
    }

    fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                self.accept_at = Some(Instant::now() + ACCEPT_REST);
                return;
            }
        };
        if self.tasks.len() >= self.connections_max {
            tracing::warn!(limit = self.connections_max, "too many connections: one refused");
            return;
        }
        let connection = self.next_connection;
        self.next_connection += 1;
        let report = self.report.clone();
        self.tasks.spawn(async move {
            let work = AssertUnwindSafe(serve(connection, stream, peer, &report));
            if work.catch_unwind().await.is_err() {
                tracing::error!(connection, "a connection's task panicked");
            }
            // An error here: the server is gone, and with it whoever wanted to know.
            let _ = report.send(Report::Closed(connection)).await;
        });
    }
}

/// One TCP connection, from its first byte to its last.
async fn serve(connection: ConnectionId, mut stream: TcpStream, peer: SocketAddr, report: &mpsc::Sender<Report>) {
    let prepared = stream.set_nodelay(true).and_then(|()| {
        // Finds the peers that vanished without a word, in hours; the machine above is faster.
        socket2::SockRef::from(&stream).set_keepalive(true)
    });
    if let Err(error) = prepared {
        tracing::debug!(connection, %error, "the connection is gone already");
        return;
    }
    let mut head = Vec::new();
    let Ok(length) = timeout(HEAD_DEADLINE, read_head(&mut stream, &mut head)).await else {
        tracing::debug!(connection, "no request within the deadline");
        return;
    };
    let answer = match length {
        Ok(Some(length)) => match route(&head[..length]) {
            Route::Plain(answer) => answer,
            Route::WebSocket(response) => {
                let early = head.split_off(length);
                if timeout(WRITE_DEADLINE, stream.write_all(&response)).await.is_ok_and(|wrote| wrote.is_ok()) {
                    let stream = TokioAdapter::new(stream);
                    let socket =
                        WebSocketStream::from_partially_read(stream, early, Role::Server, Some(limits())).await;
                    carry(connection, socket, peer, report).await;
                }
                return;
            }
        },
        Ok(None) => HEAD_TOO_LARGE,
        Err(error) => {
            tracing::debug!(connection, %error, "no request");
            return;
        }
    };
    let bytes = answer.bytes();
    if timeout(WRITE_DEADLINE, stream.write_all(&bytes)).await.is_ok_and(|wrote| wrote.is_ok()) {
        linger(stream).await;
    }
}

/// Reads up to and including the empty line. Gives the head's length; what follows it may be in `head` too. `None`: it
/// is longer than [`HEAD_BYTES_MAX`].
async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<Option<usize>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut searched = 0;
    loop {
        if let Some(found) = head[searched..].windows(END.len()).position(|window| window == END) {
            return Ok(Some(searched + found + END.len()));
        }
        // Most likely TLS, spoken to the wrong port: say no now, or both sides wait out their deadlines.
        if head.first().is_some_and(|byte| !byte.is_ascii_graphic() && !byte.is_ascii_whitespace()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP"));
        }
        searched = head.len().saturating_sub(END.len() - 1);
        let room = HEAD_BYTES_MAX - head.len();
        if room == 0 {
            return Ok(None);
        }
        let mut limited = (&mut *stream).take(room as u64);
        if limited.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

enum Route {
    Plain(Answer),
    /// The whole response that accepts the WebSocket.
    WebSocket(Vec<u8>),
}

fn route(head: &[u8]) -> Route {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"GET"), Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Route::Plain(NOT_FOUND);
    };
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match path {
        b"/healthz" => Route::Plain(OK),
        b"/ws" => match accept(head) {
            Ok(Some(response)) => Route::WebSocket(response),
            Ok(None) => {
                tracing::debug!("a page of another origin asked for a WebSocket");
                Route::Plain(OTHER_ORIGIN)
            }
            Err(error) => {
                tracing::debug!(%error, "not a WebSocket request");
                Route::Plain(BAD_UPGRADE)
            }
        },
        path if path.len() > b"/s/".len() && path.starts_with(b"/s/") => Route::Plain(SESSION),
        _ => Route::Plain(NOT_FOUND),
    }
}

/// The response that accepts the WebSocket; `None` if a page of another origin asks for it.
fn accept(head: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut response = Vec::new();
    if let Some((_, request)) = Request::try_parse(head)? {
        if !is_of_own_origin(&request) {
            return Ok(None);
        }
        let mut accepted = create_response(&request)?;
        // For whoever wonders which version it is, and whether the clocks agree.
        let date = httpdate::fmt_http_date(SystemTime::now());
        for (name, value) in [("server", concat!("beach/", env!("CARGO_PKG_VERSION"))), ("date", &date)] {
            if let Ok(value) = value.parse() {
                accepted.headers_mut().insert(name, value);
            }
        }
        write_response(&mut response, &accepted)?;
    }
    Ok(Some(response))
}

/// Whether the request names no origin, as those of native clients do, or the server's own (RFC 6455, section 10.2): a
/// browser names that of the page, which must have the host and the port of the `Host` header. The scheme may differ,
/// since a proxy may speak TLS for the server; a port that is left out is the one of the origin's scheme.
fn is_of_own_origin(request: &Request) -> bool {
    let once = |name| {
        let mut values = request.headers().get_all(name).iter();
        let value = values.next().map(|value| value.to_str().ok());
        if values.next().is_some() { Some(None) } else { value }
    };
    let (origin, host) = match (once(header::ORIGIN), once(header::HOST)) {
        (None, _) => return true,
        (Some(Some(origin)), Some(Some(host))) => (origin, host),
        (Some(_), _) => return false,
    };
    let (authority, port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, 80),
        Some(("https", authority)) => (authority, 443),
        Some(_) | None => return false,
    };
    let place = |authority: &str| {
        let authority: Authority = authority.parse().ok()?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
    };
    place(authority).is_some_and(|origin| place(host) == Some(origin))
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        format!(
            "HTTP/1.1 {}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Connection: close\r\n\
             \r\n\
             {}",
            self.status,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

/// Whoever comes next; nobody once the door is closed.
async fn knock(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Closes politely: says that nothing follows, and reads what is still coming, within limits.
async fn linger(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX as u64), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = timeout(GOODBYE_DEADLINE, rest).await {
        tracing::trace!(%error, "closing a connection");
    }
}

/// Runs an open WebSocket until either side ends it.
async fn carry(connection: ConnectionId, socket: Socket, peer: SocketAddr, report: &mpsc::Sender<Report>) {
    let (outbound, mut to_send) = outbound::queue(OUTBOUND_MAX);
    let (cut, mut cut_now) = oneshot::channel();
    let handle = Handle { outbound, cut };
    if report.send(Report::Opened(connection, peer, handle)).await.is_err() {
        return;
    }
    let (mut writer, mut reader) = socket.split();
    // Reading and writing wait independently: neither a full event queue nor a slow peer holds the other up.
    let end = tokio::select! {
        end = read_all(connection, &mut reader, report) => end,
        end = write_all(&mut writer, &mut to_send) => end,
        Ok(()) = &mut cut_now => End::Abrupt("too slow"),
    };
    let code = match end {
        End::Abrupt(cause) => {
            tracing::debug!(connection, cause, "connection ended");
            return;
        }
        End::Orderly => CloseCode::Normal,
        End::TooLarge => CloseCode::Size,
    };
    let goodbye = async {
        while let Some(text) = to_send.last_text() {
            writer.send(text).await?;
        }
        writer.close(Some(CloseFrame { code, reason: Utf8Bytes::from_static("") })).await
    };
    let said = timeout(GOODBYE_DEADLINE, goodbye).await.is_ok_and(|closed| closed.is_ok());
    if let (true, Ok(socket)) = (said, WebSocketStream::reunite(writer, reader)) {
        linger(socket.into_inner().into_inner()).await;
    }
}

/// Why a WebSocket ended.
enum End {
    /// One side closed it.
    Orderly,
    /// The peer sent more than a message may be.
    TooLarge,
    /// Nothing can be said to the peer any more.
    Abrupt(&'static str),
}

async fn read_all(connection: ConnectionId, reader: &mut SocketReader, report: &mpsc::Sender<Report>) -> End {
    loop {
        match reader.next().await {
            Some(Ok(Message::Text(text))) => {
                tracing::trace!(connection, bytes = text.len(), "text");
                let text = text.as_str().to_owned();
                if report.send(Report::Text(connection, text)).await.is_err() {
                    return End::Abrupt("the server is gone");
                }
            }
            Some(Ok(Message::Binary(bytes))) => {
                if report.send(Report::Datagram(connection, bytes.to_vec())).await.is_err() {
                    return End::Abrupt("the server is gone");
                }
            }
            // Pings are answered by the next read.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return End::Orderly,
            Some(Err(Error::Capacity(_))) => return End::TooLarge,
            Some(Err(_)) => return End::Abrupt("reading failed"),
        }
    }
}

async fn write_all(writer: &mut SocketWriter, to_send: &mut Waiting) -> End {
    while let Some(message) = to_send.next().await {
        match timeout(WRITE_DEADLINE, writer.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Abrupt("writing failed"),
            Err(_) => return End::Abrupt("writing stuck"),
        }
    }
    End::Orderly
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{MESSAGE_BYTES_MAX, Signal, SignalEvent};
    use std::future::Future;

    /// No test needs longer; one that does has hung.
    const DEADLINE: Duration = Duration::from_secs(10);

    async fn server() -> Server {
        Server::bind(([127, 0, 0, 1], 0).into()).await.expect("loopback binds")
    }

    /// Runs `work` with the server alive next to it.
    async fn beside<T>(server: &mut Server, work: impl Future<Output = T>) -> T {
        let both = async {
            tokio::select! {
                done = work => done,
                event = server.next() => panic!("nothing should happen, but: {event:?}"),
            }
        };
        timeout(DEADLINE, both).await.expect("done within the deadline")
    }

    async fn next(server: &mut Server) -> ServerEvent {
        timeout(DEADLINE, server.next()).await.expect("an event within the deadline")
    }

    /// Sends `request`, and gives everything that comes back until the server closes.
    async fn ask(server: &mut Server, request: &[u8]) -> String {
        let address = server.local_addr();
        beside(server, async move {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(request).await.expect("writes");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("closes without a reset");
            String::from_utf8(answer).expect("text")
        })
        .await
    }

    /// A client that is up, and its name at the server.
    async fn client(server: &mut Server) -> (Signal, ConnectionId) {
        let mut client = Signal::new(format!("http://{}", server.local_addr()));
        client.dial();
        let ServerEvent::Opened { connection, .. } = next(server).await else {
            panic!("a client opens a connection first");
        };
        assert_eq!(client_next(&mut client).await, SignalEvent::Up);
        (client, connection)
    }

    async fn client_next(client: &mut Signal) -> SignalEvent {
        timeout(DEADLINE, client.next()).await.expect("an event within the deadline")
    }

    fn down(event: SignalEvent) -> String {
        match event {
            SignalEvent::Down(cause) => cause,
            event @ (SignalEvent::Up | SignalEvent::Text(_) | SignalEvent::Datagram(_)) => {
                panic!("not down: {event:?}")
            }
        }
    }

    /// A WebSocket without a reader: the upgrade is done by hand.
    async fn silent_client(server: &mut Server) -> (TcpStream, ConnectionId) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream = socket.connect(server.local_addr()).await.expect("connects");
        stream.write_all(UPGRADE).await.expect("writes");
        match next(server).await {
            ServerEvent::Opened { connection, .. } => (stream, connection),
            event @ (ServerEvent::Text { .. } | ServerEvent::Datagram { .. } | ServerEvent::Closed { .. }) => {
                panic!("not opened: {event:?}")
            }
        }
    }

    const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[tokio::test]
    async fn healthz_says_ok() {
        let mut server = server().await;

        for version in ["1.0", "1.1"] {
            let request = format!("GET /healthz HTTP/{version}\r\nHost: x\r\n\r\n");
            let answer = ask(&mut server, request.as_bytes()).await;

            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_session_page_tells_how_to_join_and_echoes_nothing() {
        let mut server = server().await;

        let answer = ask(&mut server, b"GET /s/4k7SECRET?also=SECRET HTTP/1.1\r\nHost: SECRET\r\n\r\n").await;

        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("beach join LINK"), "{answer}");
        for header in [
            "Content-Type: text/plain; charset=utf-8",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
        ] {
            assert!(answer.contains(&format!("\r\n{header}\r\n")), "{answer}");
        }
        assert!(!answer.contains("SECRET"), "{answer}");
    }

    #[tokio::test]
    async fn anything_else_is_not_found() {
        let mut server = server().await;

        for line in [
            "GET / HTTP/1.1",
            "GET /s/ HTTP/1.1",
            "GET /s HTTP/1.1",
            "GET /healthzz HTTP/1.1",
            "POST /healthz HTTP/1.1",
            "GET /ws/more HTTP/1.1",
            "nonsense",
            "",
        ] {
            let answer = ask(&mut server, format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{line}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_plain_request_for_the_websocket_is_told_to_upgrade() {
        let mut server = server().await;

        let answer = ask(&mut server, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").await;

        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    }

    /// The answer to an upgrade with these headers; only its first line if the WebSocket opens.
    async fn upgrade(server: &mut Server, headers: &str) -> String {
        let head = String::from_utf8_lossy(UPGRADE).replace("Host: x\r\n", headers);
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("writes");
        let mut answer = vec![0; 12];
        let reading = timeout(DEADLINE, stream.read_exact(&mut answer));
        tokio::pin!(reading);
        loop {
            tokio::select! {
                read = &mut reading => {
                    read.expect("within the deadline").expect("an answer");
                    return String::from_utf8_lossy(&answer).into_owned();
                }
                _ = server.next() => {}
            }
        }
    }

    #[tokio::test]
    async fn a_page_of_another_origin_gets_no_websocket() {
        let mut server = server().await;
        for theirs in [
            "Host: x\r\nOrigin: http://elsewhere\r\n",
            "Host: x\r\nOrigin: null\r\n",
            "Host: x\r\nOrigin: http://x:8080\r\n",
            "Host: x:8080\r\nOrigin: http://x\r\n",
            "Host: x\r\nOrigin: https://x.elsewhere\r\n",
            "Host: x\r\nOrigin: x\r\n",
            "Host: x\r\nOrigin: http://x\r\nOrigin: http://elsewhere\r\n",
            "Host: x\r\nHost: elsewhere\r\nOrigin: http://elsewhere\r\n",
        ] {
            assert_eq!(upgrade(&mut server, theirs).await, "HTTP/1.1 403", "{theirs}");
        }
        for own in [
            "Host: x\r\n",
            "Host: x\r\nOrigin: http://x\r\n",
            "Host: x\r\nOrigin: https://X\r\n",
            "Host: x:443\r\nOrigin: https://x\r\n",
            "Host: x\r\nOrigin: http://x:80\r\n",
            "Host: [::1]:8080\r\nOrigin: http://[::1]:8080\r\n",
        ] {
            assert_eq!(upgrade(&mut server, own).await, "HTTP/1.1 101", "{own}");
        }
    }

    #[tokio::test]
    async fn a_body_after_the_head_does_not_reset_the_answer_away() {
        let mut server = server().await;
        let mut request = b"POST /upload HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
        request.resize(40_000, b'x');

        let answer = ask(&mut server, &request).await;

        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let mut server = server().await;

        let answer = ask(&mut server, &[b'x'; 2 * HEAD_BYTES_MAX]).await;

        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_dribbles_in_is_cut_off_at_the_deadline() {
        let mut server = server().await;
        let started = Instant::now();
        let address = server.local_addr();

        beside(&mut server, async move {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.expect("writes");
            assert_eq!(stream.read(&mut [0]).await.expect("end of file"), 0);
        })
        .await;

        assert!(started.elapsed() >= HEAD_DEADLINE);
        assert!(started.elapsed() < HEAD_DEADLINE + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn texts_travel_both_ways_in_order() {
        let mut server = server().await;
        let (mut client, connection) = client(&mut server).await;

        for number in 0..20 {
            client.send(format!("up {number}"));
            server.send(connection, format!("down {number}"));
        }

        for number in 0..20 {
            let text = format!("up {number}");
            assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text });
            assert_eq!(client_next(&mut client).await, SignalEvent::Text(format!("down {number}")));
        }
    }

    #[tokio::test]
    async fn the_largest_message_passes() {
        let mut server = server().await;
        let (mut client, connection) = client(&mut server).await;
        let text = "x".repeat(MESSAGE_BYTES_MAX);

        client.send(text.clone());
        server.send(connection, text.clone());

        assert_eq!(client_next(&mut client).await, SignalEvent::Text(text.clone()));
        assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text });
    }

    #[tokio::test]
    async fn a_message_too_large_closes_only_its_own_connection() {
        let mut server = server().await;
        let (mut large, large_id) = client(&mut server).await;
        let (mut other, other_id) = client(&mut server).await;

        large.send("x".repeat(17 * 1024));

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection: large_id });
        down(client_next(&mut large).await);
        other.send("still here".to_owned());
        let text = "still here".to_owned();
        assert_eq!(next(&mut server).await, ServerEvent::Text { connection: other_id, text });
        server.send(other_id, "you too".to_owned());
        assert_eq!(client_next(&mut other).await, SignalEvent::Text("you too".to_owned()));
    }

    #[tokio::test]
    async fn a_close_delivers_what_was_queued_and_is_reported_once() {
        let mut server = server().await;
        let (mut client, connection) = client(&mut server).await;

        server.send(connection, "last words".to_owned());
        server.close(connection);
        server.close(connection);
        server.send(connection, "too late".to_owned());

        let text = client_next(&mut client).await;
        assert_eq!(text, SignalEvent::Text("last words".to_owned()));
        assert_eq!(down(client_next(&mut client).await), "the rendezvous closed the connection");
        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
        assert!(server.open.is_empty());
    }

    #[tokio::test]
    async fn datagrams_travel_both_ways_beside_texts() {
        let mut server = server().await;
        let (mut client, connection) = client(&mut server).await;
        client.relay(vec![1; 1510]);
        assert_eq!(next(&mut server).await, ServerEvent::Datagram { connection, bytes: vec![1; 1510] });
        server.relay(connection, vec![2]);
        assert_eq!(client_next(&mut client).await, SignalEvent::Datagram(vec![2]));
        server.send(connection, "and a text".to_owned());
        assert_eq!(client_next(&mut client).await, SignalEvent::Text("and a text".to_owned()));
    }

    #[tokio::test]
    async fn after_a_close_no_text_arrives() {
        let mut server = server().await;
        let (mut client, connection) = client(&mut server).await;
        client.send("in flight".to_owned());

        server.close(connection);

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
    }

    #[tokio::test]
    async fn a_client_that_vanishes_is_reported() {
        let mut server = server().await;
        let (stream, connection) = silent_client(&mut server).await;

        drop(stream);

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
    }

    #[tokio::test]
    async fn a_full_queue_closes_the_connection() {
        let mut server = server().await;
        let (_stream, connection) = silent_client(&mut server).await;

        for _ in 0..=OUTBOUND_MAX {
            server.send(connection, "x".to_owned());
        }

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_closed_at_the_deadline() {
        let mut server = server().await;
        let (_stream, connection) = silent_client(&mut server).await;
        let started = Instant::now();

        for _ in 0..OUTBOUND_MAX {
            server.send(connection, "x".repeat(60_000));
        }

        let closed = timeout(2 * WRITE_DEADLINE, server.next()).await.expect("closed within the deadline");
        assert_eq!(closed, ServerEvent::Closed { connection });
        assert!(started.elapsed() >= WRITE_DEADLINE);
    }

    #[tokio::test]
    async fn pings_are_answered() {
        let mut server = server().await;
        let address = server.local_addr();
        let stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("ws://{address}/ws");
        let upgrade = async_tungstenite::tokio::client_async(request, stream);
        let (opened, upgraded) = tokio::join!(next(&mut server), timeout(DEADLINE, upgrade));
        let (mut socket, _) = upgraded.expect("within the deadline").expect("upgrades");
        assert!(matches!(opened, ServerEvent::Opened { .. }));

        socket.send(Message::Ping(vec![7].into())).await.expect("sends");

        let answer = beside(&mut server, socket.next()).await;
        assert!(matches!(answer, Some(Ok(Message::Pong(payload))) if payload[..] == [7]));
    }

    #[tokio::test]
    async fn one_connection_too_many_is_refused_and_a_place_is_given_again() {
        let mut server = server().await;
        server.connections_max = 1;
        let (first, connection) = client(&mut server).await;
        let mut second = Signal::new(format!("http://{}", server.local_addr()));
        second.dial();
        down(beside(&mut server, second.next()).await);

        drop(first);

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
        // The task's end follows its last report.
        while !server.tasks.is_empty() {
            beside(&mut server, tokio::task::yield_now()).await;
        }
        client(&mut server).await;
    }
}
