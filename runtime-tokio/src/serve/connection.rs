//! A TCP connection of the server, from its first byte to its last.

use std::net::IpAddr;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::Utf8Bytes;
use async_tungstenite::tungstenite::error::Error;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use axum::Router;
use beach_core::rendezvous::ConnectionId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::http::{Ended, converse};
use super::{Handle, OUTBOUND_MAX, Queues, Report};
use crate::websocket::{Arrival, End, GOODBYE_DEADLINE, Gone, Reports, goodbye, limits, prepare, pump, queue};

/// How many bytes are read and thrown away after the last answer. Closing with unread input resets the connection, and
/// the reset can overtake the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;

type Socket = WebSocketStream<TokioAdapter<TcpStream>>;

/// Serves one TCP connection, from its first byte to its last.
pub(super) async fn serve(
    connection: ConnectionId,
    stream: TcpStream,
    client: Option<IpAddr>,
    routes: &Router,
    queues: &Queues,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(connection, %error, "the connection is gone already");
        return;
    }
    // In a box, which is gone before the connection is a WebSocket: that one may rest for days.
    let ended = Box::pin(converse(stream, routes)).await;
    match ended {
        Ended::WebSocket(stream, early) => {
            let stream = TokioAdapter::new(stream);
            let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(limits())).await;
            carry(connection, socket, client, queues).await;
        }
        Ended::Answered(stream) => linger(stream).await,
        Ended::Late => tracing::debug!(connection, "no request within the deadline"),
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
}

/// Runs an open WebSocket until either side ends it.
async fn carry(connection: ConnectionId, socket: Socket, client: Option<IpAddr>, queues: &Queues) {
    let (outbound, mut to_send) = queue(OUTBOUND_MAX);
    let (cut, mut cut_now) = oneshot::channel();
    let handle = Handle { outbound, cut };
    if queues.events.send(Report::Opened(connection, client, handle)).await.is_err() {
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
        linger(socket.into_inner().into_inner()).await;
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
