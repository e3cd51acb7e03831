//! An open WebSocket, the same at both of its ends: its limits, texts and datagrams both ways, and the goodbye.

mod queue;

use std::time::Duration;

use async_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) use self::queue::{QueueReceiver, QueueSender, queue};

/// Largest message accepted, in bytes. Offers and answers are a few KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// How long one message may take to leave before the connection counts as dead.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a connection that is being closed may take for what was queued, and for the closing itself.
pub(crate) const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

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

/// A message of the peer.
#[derive(Debug)]
pub(crate) enum Arrival {
    Text(String),
    Datagram(Vec<u8>),
}

/// Why a WebSocket carries nothing any more.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it.
    Closed,
    /// The queue of messages to send is at its end.
    Finished,
    /// The reader of the peer's messages is gone.
    Abandoned,
    /// A message took longer than [`WRITE_DEADLINE`] to leave.
    Stuck,
    /// Reading failed.
    ReadFailed(Error),
    /// Writing failed.
    WriteFailed(Error),
}

/// Sends queued messages and reports arriving ones, until either side comes to an end. Reading and writing wait
/// independently: neither a full channel of reports nor a slow peer holds the other up.
pub(crate) async fn pump<T>(
    writer: &mut (impl Sink<Message, Error = Error> + Unpin),
    reader: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    to_send: &mut QueueReceiver,
    reports: &mpsc::Sender<T>,
    report: impl Fn(Arrival) -> T,
) -> End {
    tokio::select! {
        end = read_all(reader, reports, report) => end,
        end = write_all(writer, to_send) => end,
    }
}

async fn read_all<T>(
    reader: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    reports: &mpsc::Sender<T>,
    report: impl Fn(Arrival) -> T,
) -> End {
    loop {
        let arrival = match reader.next().await {
            Some(Ok(Message::Text(text))) => Arrival::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => Arrival::Datagram(bytes.to_vec()),
            // Pings are answered by the next read.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return End::Closed,
            Some(Err(error)) => return End::ReadFailed(error),
        };
        if reports.send(report(arrival)).await.is_err() {
            return End::Abandoned;
        }
    }
}

async fn write_all(writer: &mut (impl Sink<Message, Error = Error> + Unpin), to_send: &mut QueueReceiver) -> End {
    while let Some(message) = to_send.next().await {
        match timeout(WRITE_DEADLINE, writer.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::WriteFailed(error),
            Err(_) => return End::Stuck,
        }
    }
    End::Finished
}

/// Sends the texts that are still queued, then the close frame, all within [`GOODBYE_DEADLINE`]; tells whether all of
/// this left.
pub(crate) async fn goodbye(
    writer: &mut (impl Sink<Message, Error = Error> + Unpin),
    to_send: &mut QueueReceiver,
    frame: Option<CloseFrame>,
) -> bool {
    let farewell = async {
        while let Some(text) = to_send.last_text() {
            writer.send(text).await?;
        }
        writer.send(Message::Close(frame)).await
    };
    match timeout(GOODBYE_DEADLINE, farewell).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the goodbye failed");
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use async_tungstenite::tokio::TokioAdapter;
    use async_tungstenite::tungstenite::protocol::Role;
    use async_tungstenite::{WebSocketReceiver, WebSocketSender, WebSocketStream};
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    type Half = (WebSocketSender<TokioAdapter<DuplexStream>>, WebSocketReceiver<TokioAdapter<DuplexStream>>);

    /// Two ends of a WebSocket with room for so many bytes between them.
    async fn pair(room: usize) -> (Half, Half) {
        let (ours, theirs) = duplex(room);
        let ours = WebSocketStream::from_raw_socket(TokioAdapter::new(ours), Role::Server, Some(limits())).await;
        let theirs = WebSocketStream::from_raw_socket(TokioAdapter::new(theirs), Role::Client, Some(limits())).await;
        (ours.split(), theirs.split())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up_at_the_deadline_and_heard_until_then() {
        let ((mut writer, mut reader), (mut their_writer, _their_reader)) = pair(64).await;
        let (sender, mut to_send) = queue(1);
        let (reports, mut reported) = mpsc::channel(1);
        sender.text("x".repeat(1000)).expect("room");
        their_writer.send(Message::text("still here")).await.expect("sends");
        let started = Instant::now();
        let end = pump(&mut writer, &mut reader, &mut to_send, &reports, |arrival| arrival).await;
        assert!(matches!(end, End::Stuck), "{end:?}");
        assert_eq!(started.elapsed(), WRITE_DEADLINE);
        assert!(matches!(reported.try_recv(), Ok(Arrival::Text(text)) if text == "still here"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_has_the_last_texts_before_it_and_is_given_up_at_the_deadline() {
        let ((mut writer, _reader), (_their_writer, mut their_reader)) = pair(1000).await;
        let (sender, mut to_send) = queue(2);
        sender.text("last".to_owned()).expect("room");
        assert!(goodbye(&mut writer, &mut to_send, None).await);
        assert!(matches!(their_reader.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "last"));
        assert!(matches!(their_reader.next().await, Some(Ok(Message::Close(None)))));

        let ((mut writer, _reader), _theirs) = pair(64).await;
        sender.text("x".repeat(1000)).expect("room");
        let started = Instant::now();
        assert!(!goodbye(&mut writer, &mut to_send, None).await);
        assert_eq!(started.elapsed(), GOODBYE_DEADLINE);
    }
}
