//! The WebSocket to the rendezvous, seen from a peer.
//!
//! [`Signal`] carries texts and says when the connection is up or down. [`Signal`] neither reads the texts nor decides
//! when to dial again.

mod dial;
mod error;
mod proxy;
mod trust;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use beach_core::id::ShortId;
use beach_core::session::NO_ANSWER_AFTER;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::dial::{CarriedFor, Found, Socket, Target, connect};
pub(crate) use self::dial::{reach, secure_stream};
pub use self::error::{CertificateFlaw, ProxyFault, SignalError};
pub(crate) use self::trust::client_config;
use crate::websocket::{
    Arrival, End, GOODBYE_DEADLINE, Gone, QueueReceiver, QueueSender, Reports, goodbye, pump, queue,
};

/// From [`Signal::dial`] to [`SignalEvent::Up`], name lookup included. A person waits; a rendezvous that needs longer
/// is as good as down.
pub const DIAL_DEADLINE: Duration = NO_ANSWER_AFTER;

/// Texts that may wait to be sent. A handshake takes about a dozen; more than this means the connection is stuck.
pub const OUTBOUND_MAX: usize = 256;

/// Texts received and not yet asked for. When it is full, the socket is not read: the sender is held back.
const INBOUND_MAX: usize = 64;

/// Events of the connection.
#[derive(Clone, PartialEq, Eq)]
pub enum SignalEvent {
    /// Connected; texts flow.
    Up,
    /// The rendezvous sent this text.
    Text(String),
    /// The rendezvous relayed this datagram.
    Datagram(Vec<u8>),
    /// Not connected any more, or the dial failed. Nothing follows until the next dial.
    Down(SignalError),
    /// This happened on the connection of [`Signal::dial_beside`].
    Beside(Box<SignalEvent>),
}

impl fmt::Debug for SignalEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("Up"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Datagram(bytes) => write!(f, "Datagram({} bytes)", bytes.len()),
            Self::Down(cause) => write!(f, "Down({cause})"),
            Self::Beside(event) => write!(f, "Beside({event:?})"),
        }
    }
}

/// Whether every address of the rendezvous at `url` refuses a connection at once, since no program listens there.
pub async fn nobody_listens(url: &str) -> bool {
    let Ok(target) = Target::parse(url) else { return false };
    matches!(timeout(DIAL_DEADLINE, reach(&target.host, target.port)).await, Ok(Err(SignalError::Refused)))
}

/// A client of one rendezvous. Needs a tokio runtime with I/O and time enabled.
pub struct Signal {
    target: Result<Target, SignalError>,
    session: Option<ShortId>,
    link: Option<Link>,
    /// A second connection, which is to take the place of the first one.
    beside: Option<Link>,
    /// The task of the connection that was hung up last; it may still be sending.
    leaving: Option<JoinHandle<()>>,
    /// A cause that did not come from the link's task.
    down: Option<SignalError>,
}

/// A connection, from dial to down. Dropping the value closes the connection in the background, within
/// [`GOODBYE_DEADLINE`].
struct Link {
    outbound: QueueSender,
    events: mpsc::Receiver<SignalEvent>,
    found: Arc<Found>,
    /// The task hangs up when this is dropped.
    _hang_up: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Signal {
    /// A client of the rendezvous at `url`: `http(s)://host[:port]`, or the same with `ws(s)`; a path is kept as a
    /// prefix. Connects nothing yet; an address that makes no sense shows as [`SignalEvent::Down`] at the first dial.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { target: Target::parse(&url), session: None, link: None, beside: None, leaving: None, down: None }
    }

    /// The same, for this session: the address of the WebSocket names it, so that a load balancer can send the host and
    /// its viewers to the same server.
    #[must_use]
    pub fn for_session(self, session: ShortId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// As [`new`](Signal::new), of a rendezvous that carries the connection of a viewer with this address. So many
    /// rendezvous carry the connection, this one included.
    #[must_use]
    pub(crate) fn for_viewer(url: &str, client: Option<IpAddr>, hops: u8) -> Self {
        let carried = Some(CarriedFor { client, hops });
        let target = Target::parse(url).map(|target| Target { carried, ..target });
        Self { target, session: None, link: None, beside: None, leaving: None, down: None }
    }

    /// Starts connecting, to every address of the name, both families. Abandons the connection there was, without a
    /// `Down` for it. `Up` or `Down` follows within [`DIAL_DEADLINE`].
    pub fn dial(&mut self) {
        self.start(self.target.clone());
    }

    /// As [`dial`](Signal::dial), but to another rendezvous, this once.
    pub fn dial_at(&mut self, url: &str) {
        self.start(Target::parse(url));
    }

    fn start(&mut self, target: Result<Target, SignalError>) {
        self.link = None;
        self.beside = None;
        self.down = None;
        match target {
            Ok(target) => self.link = Some(Link::start(Target { session: self.session, ..target })),
            Err(cause) => self.down = Some(cause),
        }
    }

    /// Starts connecting once more, and sends these texts there. The connection that is there stays, and all other
    /// texts and datagrams take that one. Abandons an earlier connection beside it. [`SignalEvent::Beside`] tells what
    /// happens to the new one.
    pub fn dial_beside(&mut self, texts: Vec<String>) {
        // Without a target there is no connection that this one could be beside.
        let Ok(target) = self.target.clone() else { return };
        let link = Link::start(Target { session: self.session, ..target });
        for text in texts {
            // Few texts have room in a new queue.
            let _ = link.outbound.text(text);
        }
        self.beside = Some(link);
    }

    /// The connection beside takes the place of the other one, which is left in the background.
    pub fn take_beside(&mut self) {
        if let Some(beside) = self.beside.take() {
            self.leaving = self.link.replace(beside).map(|link| link.task);
            self.down = None;
        }
    }

    /// Abandons the connection beside.
    pub fn hang_up_beside(&mut self) {
        self.beside = None;
    }

    /// The address at which the rendezvous of the connection beside was reached.
    #[must_use]
    pub fn peer_beside(&self) -> Option<SocketAddr> {
        self.beside.as_ref()?.found.peer.get().copied()
    }

    /// The address at which the rendezvous was reached; `None` before that, and through a proxy.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.found.peer.get().copied()
    }

    /// The name of the software of the rendezvous, or of the proxy before it, if the answer has one; printable, at most
    /// 64 characters.
    #[must_use]
    pub fn software(&self) -> Option<&str> {
        self.link.as_ref()?.found.software.get().map(String::as_str)
    }

    /// The rendezvous' time when the connection was made, to the second, if the answer has it.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        self.link.as_ref()?.found.time.get().copied()
    }

    /// Ends the connection without a `Down`. Queued texts are still sent, in the background, for a second at most.
    pub fn hang_up(&mut self) {
        self.leaving = self.link.take().map(|link| link.task);
        self.beside = None;
        self.down = None;
    }

    /// Hangs up, and waits until the queued texts are sent, a second at most: for a program that is about to end.
    pub async fn close(&mut self) {
        if self.link.is_some() {
            self.hang_up();
        }
        if let Some(task) = self.leaving.take() {
            // A task that panicked has logged that; there is nothing left to wait for.
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
                self.down = Some(SignalError::TooSlow);
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
        tokio::select! {
            event = next_of(&mut self.link) => event,
            event = next_of(&mut self.beside) => SignalEvent::Beside(Box::new(event)),
        }
    }
}

/// The next event of a connection. Cancel-safe. Pends if there is no connection.
async fn next_of(link: &mut Option<Link>) -> SignalEvent {
    let Some(there) = link else {
        return future::pending().await;
    };
    // The task ends without a word only if it panics.
    let event = there.events.recv().await.unwrap_or(SignalEvent::Down(SignalError::Fault));
    if let SignalEvent::Down(cause) = &event {
        tracing::debug!(%cause, "rendezvous connection down");
        *link = None;
    }
    event
}

impl Link {
    fn start(target: Target) -> Self {
        let (outbound, to_send) = queue(OUTBOUND_MAX);
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

impl Reports for mpsc::Sender<SignalEvent> {
    async fn report(&self, arrival: Arrival) -> Result<(), Gone> {
        let event = match arrival {
            Arrival::Text(text) => {
                tracing::trace!(bytes = text.len(), "from the rendezvous");
                SignalEvent::Text(text)
            }
            Arrival::Datagram(bytes) => SignalEvent::Datagram(bytes),
        };
        Ok(self.send(event).await?)
    }
}

/// Runs an open connection. `None`: the owner hung up.
async fn carry(
    socket: Socket,
    mut to_send: QueueReceiver,
    reports: &mpsc::Sender<SignalEvent>,
    mut hung_up: oneshot::Receiver<()>,
) -> Option<SignalError> {
    let (mut writer, mut reader) = socket.split();
    if reports.send(SignalEvent::Up).await.is_err() {
        return None;
    }
    let end = tokio::select! {
        end = pump(&mut writer, &mut reader, &mut to_send, reports) => end,
        _ = &mut hung_up => End::Finished,
    };
    match end {
        // The owner has let go.
        End::Finished | End::Abandoned => {
            goodbye(&mut writer, &mut to_send, None).await;
            None
        }
        End::Closed => Some(SignalError::ClosedByRendezvous),
        End::Stuck => Some(SignalError::NotReading),
        End::ReadFailed(error) | End::WriteFailed(error) => Some(error.into()),
    }
}
