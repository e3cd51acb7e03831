//! One TCP connection of the server, from its first byte to its last.

use std::net::SocketAddr;
use std::time::Duration;

use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::error::Error;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use async_tungstenite::tungstenite::{Message, Utf8Bytes};
use async_tungstenite::{WebSocketReceiver, WebSocketSender, WebSocketStream};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::http::{HEAD_DEADLINE, HEAD_TOO_LARGE, Route, read_head, route};
use super::{ConnectionId, Handle, OUTBOUND_MAX, Report};
use crate::outbound::{self, Waiting};
use crate::signal::limits;

/// How long one message may take to leave.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection that is being closed may take for what was queued, and for the closing itself.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// What is read and thrown away after the last answer. Closing with unread input resets the connection, and the reset can
/// overtake the answer.
const LINGER_BYTES_MAX: usize = 64 * 1024;

type Socket = WebSocketStream<TokioAdapter<TcpStream>>;
type SocketReader = WebSocketReceiver<TokioAdapter<TcpStream>>;
type SocketWriter = WebSocketSender<TokioAdapter<TcpStream>>;

/// One TCP connection, from its first byte to its last.
pub(super) async fn serve(
    connection: ConnectionId,
    mut stream: TcpStream,
    peer: SocketAddr,
    report: &mpsc::Sender<Report>,
) {
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
