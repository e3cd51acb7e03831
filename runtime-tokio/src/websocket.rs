//! An open WebSocket, the same at both of its ends: its limits, texts and datagrams both ways, and the goodbye.

mod queue;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, timeout};

pub(crate) use self::queue::{
    DATAGRAM_WAITS_MAX, Fates, QueueReceiver, QueueSender, SLOTS_BYTES, counted_queue, queue,
};

/// The header in which a rendezvous that carries a viewer's connection says how many rendezvous carry the connection,
/// itself included.
pub(crate) const HOPS: &str = "beach-hops";

/// Largest message accepted, in bytes. Offers and answers are a few KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Holds a datagram or a usual text; larger ones grow it. The library fills the whole buffer with zeros before each
/// read, also where an idle connection reads one ping.
const BUFFER_BYTES: usize = 2 * 1024;

/// Largest buffer of what is written: a message of the largest size behind a usual one. Each message leaves before the
/// next one is written.
const WRITE_BUFFER_BYTES_MAX: usize = 24 * 1024;

/// Bytes that a WebSocket holds at most, beside its queue, if no text for its peer is longer than so many bytes: the
/// beginning of a message in several frames, one more frame of the largest size, and the text that is written, behind a
/// usual one.
pub(crate) const fn held_bytes_max(text_bytes_max: usize) -> usize {
    BUFFER_BYTES + 2 * MESSAGE_BYTES_MAX + text_bytes_max + BUFFER_BYTES
}

/// How long one message may take to leave before the connection counts as dead.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a connection that is being closed may take for what was queued, and for the closing itself.
pub(crate) const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// Bytes that the system may hold of a connection and has not sent yet: 30 ms of the most that a session has relayed.
/// Otherwise seconds of datagrams would wait there, where nobody can drop them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// Makes a TCP connection fit for a WebSocket with datagrams.
///
/// # Errors
/// The connection is gone already.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    // Finds peers that vanished without a word, in hours; the machines are faster. Without probes an idle reader of a
    // half-open connection would wait for ever.
    socket.set_keepalive(true)
}

/// Limits for a socket that carries small texts. The defaults would allocate 128 KiB for each and queue without bound.
pub(crate) fn limits() -> WebSocketConfig {
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

/// The receiver of the peer's messages is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl<T> From<mpsc::error::SendError<T>> for Gone {
    fn from(_: mpsc::error::SendError<T>) -> Gone {
        Gone
    }
}

/// Takes the peer's messages, one after the other.
pub(crate) trait Reports {
    /// Takes a message, when there is room for it.
    ///
    /// # Errors
    /// Nobody takes messages any more.
    fn report(&self, arrival: Arrival) -> impl Future<Output = Result<(), Gone>> + Send;

    /// A datagram was dropped, because it waited too long.
    fn late(&self) {}
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
/// independently: neither a reader that lets a message wait nor a slow peer holds the other up.
pub(crate) async fn pump(
    writer: &mut (impl Sink<Message, Error = Error> + Unpin),
    reader: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    to_send: &mut QueueReceiver,
    reports: &impl Reports,
) -> End {
    tokio::select! {
        end = read_all(reader, reports) => end,
        end = write_all(writer, to_send) => end,
    }
}

async fn read_all(reader: &mut (impl Stream<Item = Result<Message, Error>> + Unpin), reports: &impl Reports) -> End {
    let mut behind = Behind::default();
    loop {
        let message = behind.next(reader).await;
        let arrival = match message {
            Some(Ok(Message::Text(text))) => Arrival::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(_))) if behind.is_too_late() => {
                tracing::trace!("a datagram to relay waited too long");
                reports.late();
                continue;
            }
            Some(Ok(Message::Binary(bytes))) => Arrival::Datagram(bytes.to_vec()),
            // Pings are answered by the next read.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return End::Closed,
            Some(Err(error)) => return End::ReadFailed(error),
        };
        if let Err(Gone) = reports.report(arrival).await {
            return End::Abandoned;
        }
    }
}

/// How long a reader has not caught up with the messages that arrive. A message may have waited as long in the system's
/// buffers, since TCP drops nothing by itself.
#[derive(Default)]
struct Behind {
    since: Option<Instant>,
}

impl Behind {
    /// The next message.
    async fn next<S: Stream + Unpin>(&mut self, reader: &mut S) -> Option<S::Item> {
        let item = poll_fn(|context| {
            let polled = reader.poll_next_unpin(context);
            // Without budget the runtime only gives others a turn.
            if polled.is_pending() && has_budget_remaining() {
                self.since = None;
            }
            polled
        })
        .await;
        self.since.get_or_insert_with(Instant::now);
        item
    }

    /// Whether the reader has not caught up for longer than a datagram may wait.
    fn is_too_late(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > DATAGRAM_WAITS_MAX)
    }
}

async fn write_all(writer: &mut (impl Sink<Message, Error = Error> + Unpin), to_send: &mut QueueReceiver) -> End {
    while let Some(message) = to_send.next().await {
        let mut sending = writer.send(message);
        // Nearly all messages leave at once, and need no timer.
        let sent = match poll_fn(|context| Poll::Ready(sending.poll_unpin(context))).await {
            Poll::Ready(sent) => Ok(sent),
            Poll::Pending => timeout(WRITE_DEADLINE, sending).await,
        };
        match sent {
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

    impl Reports for mpsc::Sender<Arrival> {
        async fn report(&self, arrival: Arrival) -> Result<(), Gone> {
            Ok(self.send(arrival).await?)
        }
    }

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
        let end = pump(&mut writer, &mut reader, &mut to_send, &reports).await;
        assert!(matches!(end, End::Stuck), "{end:?}");
        assert_eq!(started.elapsed(), WRITE_DEADLINE);
        assert!(matches!(reported.try_recv(), Ok(Arrival::Text(text)) if text == "still here"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_too_slowly_loses_old_datagrams_and_no_text() {
        let ((mut writer, mut reader), (mut their_writer, _their_reader)) = pair(10_000).await;
        let (_sender, mut to_send) = queue(1);
        let (reports, mut reported) = mpsc::channel(1);
        for number in 0..10 {
            their_writer.send(Message::binary(vec![number])).await.expect("sends");
        }
        their_writer.send(Message::text("a text")).await.expect("sends");
        let pumping = pump(&mut writer, &mut reader, &mut to_send, &reports);
        let looking = async {
            tokio::time::sleep(DATAGRAM_WAITS_MAX + Duration::from_millis(1)).await;
            let mut got = Vec::new();
            while let Ok(Some(arrival)) = timeout(Duration::from_millis(1), reported.recv()).await {
                got.push(arrival);
            }
            their_writer.send(Message::binary(vec![10])).await.expect("sends");
            got.extend(timeout(Duration::from_millis(1), reported.recv()).await.ok().flatten());
            got
        };
        let got = tokio::select! {
            end = pumping => panic!("{end:?}"),
            got = looking => got,
        };
        // One was reported and one waited for that at first; the last one came in time.
        let kinds: Vec<_> = got
            .iter()
            .map(|arrival| match arrival {
                Arrival::Text(text) => text.clone(),
                Arrival::Datagram(bytes) => bytes[0].to_string(),
            })
            .collect();
        assert_eq!(kinds, ["0", "1", "a text", "10"]);
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
