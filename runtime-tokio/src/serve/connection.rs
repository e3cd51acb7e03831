//! A TCP connection of the server, from its first byte to its last.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::Utf8Bytes;
use async_tungstenite::tungstenite::error::Error;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use axum::Router;
use axum::http::HeaderMap;
use beach_core::rendezvous::ConnectionId;
use beach_core::session::address::AddressClass;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client_address::{FORWARDED_FOR, Origin, Proxies};
use super::http::{Ended, HEAD_DEADLINE, Visitor, converse, routes, routes_when_full};
use super::proxy_header::{self, Announced};
use super::room::{Part, Room, Roomy, STRANGERS_TEXT_BYTES_MAX};
use super::stream::Stream;
use super::tls::{Secured, secure};
use super::{Caller, Handle, OUTBOUND_MAX, Queues, Report};
use crate::tls::Handshakes;
use crate::websocket::{
    Arrival, End, Fates, GOODBYE_DEADLINE, Gone, Reports, counted_queue, goodbye, limits, prepare, pump,
};

/// How many bytes are read and thrown away after the last answer. Closing with unread input resets the connection, and
/// the reset can overtake the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;

type Socket = WebSocketStream<TokioAdapter<Roomy>>;

/// The parts of the server that each connection's task needs.
pub(super) struct Front {
    pub(super) proxies: Proxies,
    /// If the server speaks TLS.
    pub(super) tls: Option<Handshakes>,
    pub(super) routes: Router,
    pub(super) routes_when_full: Router,
    /// Whether the log says that a header of proxies was ignored.
    pub(super) has_warned: AtomicBool,
}

impl Default for Front {
    fn default() -> Front {
        Front {
            proxies: Proxies::default(),
            tls: None,
            routes: routes(),
            routes_when_full: routes_when_full(),
            has_warned: AtomicBool::new(false),
        }
    }
}

impl Front {
    /// Says once in the log that a header is ignored in which a proxy may tell its clients' addresses.
    pub(super) fn warn_of_ignored(&self, hop: IpAddr, headers: &HeaderMap) {
        let may_be_a_proxy = match AddressClass::of(hop) {
            AddressClass::Loopback | AddressClass::Private => !self.proxies.trusts(hop),
            AddressClass::Public => false,
        };
        if may_be_a_proxy && headers.contains_key(FORWARDED_FOR) && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(from = %hop, "X-Forwarded-For is ignored; `beach serve --trusted-proxies` names proxies");
        }
    }
}

/// A TCP connection that was accepted.
pub(super) struct Arrived {
    pub(super) connection: ConnectionId,
    pub(super) stream: TcpStream,
    /// The last known address on the client's side, and whose it is.
    pub(super) hop: IpAddr,
    pub(super) origin: Origin,
    pub(super) has_place: bool,
}

/// Serves one TCP connection, from its first byte to its last.
pub(super) async fn serve(arrived: Arrived, front: &Front, queues: &Queues) {
    let connection = arrived.connection;
    if let Err(error) = prepare(&arrived.stream) {
        tracing::debug!(connection, %error, "the connection is gone already");
        return;
    }
    Room::for_requests(front.tls.is_some()).give(&arrived.stream);
    // In a box, which is gone before the connection is a WebSocket: that one may rest for days.
    match Box::pin(before(arrived, front, queues)).await {
        Some(Ended::WebSocket(stream, early, caller)) => {
            let part = Part::default();
            let stream = TokioAdapter::new(Roomy::new(stream, part.clone()));
            let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(limits())).await;
            carry(connection, socket, (caller, part), queues).await;
        }
        Some(Ended::Answered(stream)) => linger(stream).await,
        Some(Ended::Late) => tracing::debug!(connection, "no request within the deadline"),
        None => {}
    }
}

/// Everything before a WebSocket; `None`: the connection shall be closed.
async fn before(mut arrived: Arrived, front: &Front, queues: &Queues) -> Option<Ended> {
    let connection = arrived.connection;
    if arrived.origin == Origin::Proxy {
        match timeout(HEAD_DEADLINE, proxy_header::read(&mut arrived.stream)).await {
            Ok(Ok(Announced::Nothing)) => {}
            Ok(Ok(Announced::Unknown)) => arrived.origin = Origin::Unknown,
            Ok(Ok(Announced::Client(address))) => {
                (arrived.hop, arrived.origin) = (address, front.proxies.origin(address));
            }
            Ok(Err(error)) => {
                tracing::debug!(connection, %error, "a broken header of the PROXY protocol");
                return None;
            }
            Err(_) => return Some(Ended::Late),
        }
        if let Origin::Client(client) = arrived.origin {
            arrived.has_place = queues.place_at(connection, client).await;
        }
    }
    let Arrived { connection, stream, hop, origin, has_place } = arrived;
    let stream = match &front.tls {
        None => Stream::Plain(stream),
        Some(handshakes) => match secure(stream, origin.client(), handshakes).await {
            Ok(Secured::Up(stream)) => stream,
            Ok(Secured::Told(stream)) => return Some(Ended::Answered(stream)),
            Err(error) => {
                tracing::debug!(connection, %error, "no TLS");
                return None;
            }
        },
    };
    let visitor = Visitor { connection, hop, origin, has_place, front, queues };
    Some(converse(stream, &visitor).await)
}

/// Closes politely: says that nothing follows, and reads what is still coming, within limits.
async fn linger(mut stream: Stream) {
    let rest = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX as u64), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = timeout(GOODBYE_DEADLINE, rest).await {
        tracing::trace!(%error, "closing a connection");
    }
}

/// The way of a connection's messages to the server.
struct OfConnection<'a> {
    connection: ConnectionId,
    queues: &'a Queues,
}

impl Reports for OfConnection<'_> {
    async fn report(&self, arrival: Arrival) -> Result<(), Gone> {
        let connection = self.connection;
        match arrival {
            Arrival::Text(text) => {
                tracing::trace!(connection, bytes = text.len(), "text");
                self.queues.events.send(Report::Text(connection, text)).await?;
            }
            Arrival::Datagram(bytes) => self.queues.datagrams.send((connection, bytes)).await?,
        }
        Ok(())
    }

    fn late(&self) {
        Fates::count(&self.queues.fates.late);
    }
}

/// Runs an open WebSocket until either side ends it.
async fn carry(connection: ConnectionId, socket: Socket, (caller, part): (Caller, Part), queues: &Queues) {
    let (mut outbound, mut to_send) = counted_queue(OUTBOUND_MAX, queues.fates.clone());
    outbound.set_text_bytes_max(STRANGERS_TEXT_BYTES_MAX);
    let (cut, mut cut_now) = oneshot::channel();
    let handle = Handle { caller, outbound, part, cut };
    if queues.events.send(Report::Opened(connection, handle)).await.is_err() {
        return;
    }
    let (mut writer, mut reader) = socket.split();
    let of_connection = OfConnection { connection, queues };
    let end = tokio::select! {
        end = pump(&mut writer, &mut reader, &mut to_send, &of_connection) => Some(end),
        Ok(()) = &mut cut_now => None,
    };
    let Some(code) = end.as_ref().and_then(closing_code) else {
        tracing::debug!(connection, ?end, "connection ended without a goodbye");
        return;
    };
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static("") };
    let said = goodbye(&mut writer, &mut to_send, Some(frame)).await;
    if let (true, Ok(socket)) = (said, WebSocketStream::reunite(writer, reader)) {
        linger(socket.into_inner().into_inner().into_inner()).await;
    }
}

/// With which code the server says goodbye; `None`: nothing can be said to the peer any more.
fn closing_code(end: &End) -> Option<CloseCode> {
    match end {
        End::Closed | End::Finished => Some(CloseCode::Normal),
        // The peer sent more than a message may be.
        End::ReadFailed(Error::Capacity(_)) => Some(CloseCode::Size),
        End::Abandoned | End::Stuck | End::ReadFailed(_) | End::WriteFailed(_) => None,
    }
}
