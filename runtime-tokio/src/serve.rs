//! The rendezvous's side: TCP, HTTP, and WebSockets that carry texts.
//!
//! [`Server`] neither reads the texts nor knows which connections belong together. [`Server`] limits the number of
//! connections, and of each connection the head, the messages, the queue, and the time that it may block.

mod client_address;
mod connection;
mod http;
mod page;
mod places;
pub mod proxy_header;
mod room;
mod stream;
mod tally;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use beach_core::rendezvous::ConnectionId;
use beach_core::session::address::owner;
use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::client_address::Origin;
pub use self::client_address::Proxies;
use self::connection::{Arrived, Front};
use self::places::{NoPlace, Places};
pub use self::room::STRANGERS_BYTES_MAX;
use self::room::{Part, TEXT_BYTES_MAX, UNREAD_BYTES_MAX};
pub use self::tally::{Relayed, Tally};
use crate::limits;
use crate::tls::{Handshakes, InUse};
use crate::websocket::{Fates, QueueSender};

/// Connections at once, whatever their state, if the process may open as many files: a host and a viewer for each
/// session that a rendezvous may have, about 1.5 GB.
pub const MAX_CONNECTIONS: usize = 100_000;

/// A warning that connections are refused is written this often at most: whoever floods a server does not flood its
/// log.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Texts that may wait for one connection. A peer that reads this slowly reconnects better than it catches up.
pub const OUTBOUND_MAX: usize = 160;

/// Events not yet asked for, of all connections together: at most 4 MiB of text. When it is full, sockets are not read.
const EVENTS_MAX: usize = 256;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Datagrams to relay that the server has not asked for yet. These datagrams have a queue of their own, so that a text
/// waits for few of them, however many come.
const DATAGRAMS_MAX: usize = 64;

/// How long accepting rests after a failure. Out of file descriptors is the usual one, and it passes only with time.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Events of a WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A WebSocket is open; texts may be sent to it.
    Opened {
        /// The connection's name.
        connection: ConnectionId,
        /// The client's address; `None` if it cannot be known: see [`Proxies`].
        client: Option<IpAddr>,
    },
    /// A connection sent this text, of at most 16 KiB.
    Text {
        /// Which connection.
        connection: ConnectionId,
        /// The text.
        text: String,
    },
    /// A connection sent this datagram to be relayed, of at most 16 KiB.
    Datagram {
        /// Which connection.
        connection: ConnectionId,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// A connection is gone, for whatever reason, [`Server::close`] included. Once for every `Opened`; nothing of the
    /// connection follows.
    Closed {
        /// Which connection.
        connection: ConnectionId,
    },
}

impl fmt::Debug for ServerEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { connection, client: Some(client) } => write!(f, "Opened({connection}, {client})"),
            Self::Opened { connection, client: None } => write!(f, "Opened({connection})"),
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
    /// `None` once no connection is accepted any more.
    listener: Option<TcpListener>,
    local_addr: SocketAddr,
    next_connection: ConnectionId,
    tasks: JoinSet<ConnectionId>,
    queues: Queues,
    reports: mpsc::Receiver<Report>,
    datagrams: mpsc::Receiver<(ConnectionId, Vec<u8>)>,
    open: HashMap<ConnectionId, Open>,
    accept_at: Option<Instant>,
    places: Places,
    front: Arc<Front>,
    tally: Tally,
    /// The time of the last warning that connections are refused.
    warned_at: Option<Instant>,
}

/// An open WebSocket, as the server sees it.
enum Open {
    Live(Handle),
    /// The connection was told to close; its `Closed` is on the way.
    Closing,
}

/// The client that opened a WebSocket, as far as the server knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The client's address; `None` if it cannot be known: see [`Proxies`].
    pub client: Option<IpAddr>,
    /// How many other rendezvous carry the connection, as the last of them says.
    pub hops: u8,
}

/// The way to a connection's task, and who is at the other end.
struct Handle {
    caller: Caller,
    outbound: QueueSender,
    part: Part,
    /// Fires, or is dropped without firing, when the connection shall end without sending what is queued.
    cut: oneshot::Sender<()>,
}

/// The ways of the tasks to the server.
#[derive(Clone)]
struct Queues {
    events: mpsc::Sender<Report>,
    datagrams: mpsc::Sender<(ConnectionId, Vec<u8>)>,
    fates: Arc<Fates>,
}

impl Queues {
    /// Tells the server the client's address of a connection that came from a proxy; whether the connection has a place
    /// there.
    async fn place_at(&self, connection: ConnectionId, client: IpAddr) -> bool {
        let (reply, answer) = oneshot::channel();
        // An error here: the server is gone.
        self.events.send(Report::Client(connection, client, reply)).await.is_ok() && answer.await.unwrap_or(false)
    }
}

/// Messages of the tasks to the server.
enum Report {
    /// The address of a connection's client, which was not known, and the way back for whether it has a place there.
    Client(ConnectionId, IpAddr, oneshot::Sender<bool>),
    Opened(ConnectionId, Handle),
    Text(ConnectionId, String),
    Closed(ConnectionId),
}

impl Server {
    /// Listens on `addr`; port 0 lets the system choose. There is room for as many connections as the process may open
    /// files, but for some for its own use, and for [`MAX_CONNECTIONS`] at most.
    ///
    /// # Errors
    /// The address is taken, not ours, or not allowed.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Connections inherit it.
        socket.set_recv_buffer_size(UNREAD_BYTES_MAX)?;
        socket.bind(addr)?;
        Self::of(socket.listen(BACKLOG)?)
    }

    /// As [`Server::bind`], on a socket that listens already.
    ///
    /// # Errors
    /// The socket does not listen.
    pub fn on(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Connections inherit it.
        SockRef::from(&listener).set_recv_buffer_size(UNREAD_BYTES_MAX as usize)?;
        Self::of(TcpListener::from_std(listener)?)
    }

    fn of(listener: TcpListener) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (events, reports) = mpsc::channel(EVENTS_MAX);
        let (to_relay, datagrams) = mpsc::channel(DATAGRAMS_MAX);
        Ok(Self {
            listener: Some(listener),
            local_addr,
            next_connection: 1,
            tasks: JoinSet::new(),
            queues: Queues { events, datagrams: to_relay, fates: Arc::default() },
            reports,
            datagrams,
            open: HashMap::new(),
            accept_at: None,
            places: Places::new(limits::connections().min(MAX_CONNECTIONS)),
            front: Arc::default(),
            tally: Tally::default(),
            warned_at: None,
        })
    }

    /// With room for this many connections at once. To be called before the first one comes.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.places = Places::new(connections);
        self
    }

    /// Behind these proxies. To be called before the first connection comes.
    #[must_use]
    pub fn behind(mut self, proxies: Proxies) -> Self {
        self.front_mut().proxies = proxies;
        self
    }

    /// With TLS: every connection has to begin with it. To be called before the first connection comes.
    #[must_use]
    pub fn secured(mut self, certificate: InUse) -> Self {
        self.front_mut().tls = Some(Handshakes::new(certificate));
        self
    }

    fn front_mut(&mut self) -> &mut Front {
        Arc::get_mut(&mut self.front).expect("only tasks of connections share it")
    }

    /// Where the server listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The server's counters since its start, and its present numbers.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let fates = &self.queues.fates;
        let [sent, sent_bytes, queue, late] =
            [&fates.sent, &fates.sent_bytes, &fates.queue, &fates.late].map(|counter| counter.load(Ordering::Relaxed));
        let relayed = Relayed { sent, sent_bytes, queue, late };
        let (connections, places) = self.places.taken();
        let tls = self.front.tls.as_ref();
        let (no_handshake, certificate_expires) =
            (tls.map_or(0, Handshakes::refused), tls.and_then(Handshakes::certificate_expires));
        Tally { connections, places, relayed, no_handshake, certificate_expires, ..self.tally }
    }

    /// Accepts no connection from now on; the port is free for another server.
    pub fn close_door(&mut self) {
        self.listener = None;
    }

    /// Waits for the next event. Cancel-safe. Connections are accepted here too: none is while nobody waits here.
    pub async fn next(&mut self) -> ServerEvent {
        loop {
            tokio::select! {
                Some(report) = self.reports.recv() => {
                    if let Some(event) = self.handle(report) {
                        return event;
                    }
                }
                Some((connection, bytes)) = self.datagrams.recv() => {
                    // Of a connection that is being closed, or is gone, it goes nowhere.
                    if let Some(Open::Live(_)) = self.open.get(&connection) {
                        return ServerEvent::Datagram { connection, bytes };
                    }
                }
                // An error here: the task was aborted, and has left its place before.
                Some(ended) = self.tasks.join_next() => ended.into_iter().for_each(|ended| self.places.leave(ended)),
                accepted = knock(self.listener.as_ref()), if self.accept_at.is_none() => self.admit(accepted),
                () = sleep_until(self.accept_at.unwrap_or_else(Instant::now)), if self.accept_at.is_some() => {
                    self.accept_at = None;
                }
            }
        }
    }

    /// Queues a text for a connection. At most [`OUTBOUND_MAX`] wait, with 256 KiB at most, or 4 KiB while the
    /// connection takes no part; one too many ends it. To a connection that is gone it does nothing.
    pub fn send(&mut self, connection: ConnectionId, text: String) {
        let Some(open) = self.open.get_mut(&connection) else {
            return;
        };
        let Open::Live(handle) = open else { return };
        match handle.outbound.text(text) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!(connection, "outbound queue full: closed");
                self.tally.slow += 1;
                if let Open::Live(handle) = std::mem::replace(open, Open::Closing) {
                    // An error here: the connection has ended by itself.
                    let _ = handle.cut.send(());
                }
            }
            // The connection has ended; its `Closed` is on the way.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    /// Queues a datagram for a connection, or drops it if too many wait.
    pub fn relay(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        if let Some(Open::Live(handle)) = self.open.get(&connection) {
            handle.outbound.datagram(bytes);
        }
    }

    /// The client that opened this WebSocket; `None` once the WebSocket is being closed.
    #[must_use]
    pub fn caller(&self, connection: ConnectionId) -> Option<Caller> {
        match self.open.get(&connection)? {
            Open::Live(handle) => Some(handle.caller),
            Open::Closing => None,
        }
    }

    /// The connection takes part in something from now on: it does not count any more among those of its address that
    /// may be there only to hold a place, and has more room.
    pub fn takes_part(&mut self, connection: ConnectionId) {
        self.places.takes_part(connection);
        if let Some(Open::Live(handle)) = self.open.get_mut(&connection) {
            handle.outbound.set_text_bytes_max(TEXT_BYTES_MAX);
            handle.part.take();
        }
    }

    /// Closes a connection once what is queued for it is sent, or after a second. `Closed` follows; no more texts do.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(open) = self.open.get_mut(&connection) {
            // The handle goes, and the sender with it: the task sees the end of its queue.
            *open = Open::Closing;
        }
    }

    /// `None`: for the server only, or a text of a connection that is being closed.
    fn handle(&mut self, report: Report) -> Option<ServerEvent> {
        match report {
            Report::Client(connection, client, reply) => {
                let place = self.places.comes_from(connection, owner(client));
                self.note(place);
                // An error here: the connection has ended meanwhile.
                let _ = reply.send(place.is_ok());
                None
            }
            Report::Opened(connection, handle) => {
                let client = handle.caller.client;
                tracing::debug!(connection, "opened");
                self.open.insert(connection, Open::Live(handle));
                Some(ServerEvent::Opened { connection, client })
            }
            Report::Text(connection, text) => match self.open.get(&connection) {
                Some(Open::Live(_)) => Some(ServerEvent::Text { connection, text }),
                Some(Open::Closing) | None => None,
            },
            Report::Closed(connection) => {
                tracing::debug!(connection, "closed");
                let open = self.open.remove(&connection)?;
                self.tally.left += u64::from(matches!(open, Open::Live(_)));
                Some(ServerEvent::Closed { connection })
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
        let hop = peer.ip().to_canonical();
        let origin = self.front.proxies.origin(hop);
        let (connection, address) = (self.next_connection, origin.client().map(owner));
        self.next_connection += 1;
        let place = self.places.take(connection, address);
        self.note(place);
        let arrived = Arrived { connection, stream, hop, origin, has_place: place.is_ok() };
        let (queues, front) = (self.queues.clone(), self.front.clone());
        let task = self.tasks.spawn(async move {
            let work = AssertUnwindSafe(connection::serve(arrived, &front, &queues));
            if work.catch_unwind().await.is_err() {
                tracing::error!(connection, "a connection's task panicked");
            }
            // An error here: the server is gone.
            let _ = queues.events.send(Report::Closed(connection)).await;
            connection
        });
        match place {
            Err(_) => self.places.refuse(connection, address, task),
            Ok(()) if origin == Origin::Proxy => self.places.may_move(connection, task),
            Ok(()) => {}
        }
    }

    /// Counts a connection that has no place, and says so in the log, unless the log says so already.
    fn note(&mut self, place: Result<(), NoPlace>) {
        let Err(cause) = place else { return };
        self.tally.refused(cause);
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned_at = Some(Instant::now());
            tracing::warn!(%cause, "connections are refused");
        }
    }
}

/// The next connection; none once the door is closed.
async fn knock(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
