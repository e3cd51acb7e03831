//! The room that a connection has: in the system's buffers, and in the queue of texts for it. It has little until it
//! takes part in something, so that whoever only connects costs the server little.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::OUTBOUND_MAX;
use super::http::HEAD_BYTES_MAX;
use super::stream::Stream;
use crate::tls::HELD_BYTES_MAX as TLS_HELD_BYTES_MAX;
use crate::websocket::{SLOTS_BYTES, held_bytes_max};

/// Bytes that the system may hold of one connection and the server has not read yet: as much as a session has relayed
/// in a quarter of a second. The system itself would let megabytes wait.
pub(super) const UNREAD_BYTES_MAX: u32 = 128 * 1024;

/// Bytes of texts that may wait for one connection: [`OUTBOUND_MAX`] announcements of viewers, with all servers.
pub(super) const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The same for a connection that takes no part: it gets short answers alone.
pub(super) const STRANGERS_TEXT_BYTES_MAX: usize = 4 * 1024;

/// What a connection that takes no part may cost the server at most, in bytes: the system's buffers as they are set,
/// those of TLS and of HTTP, and after the requests those of its WebSocket and the texts that wait for it.
pub const STRANGERS_BYTES_MAX: usize = most([
    REQUESTS.bytes() + HTTP_BYTES,
    REQUESTS_OVER_TLS.bytes() + TLS_HELD_BYTES_MAX + HTTP_BYTES,
    STRANGER.bytes() + WEBSOCKET_BYTES,
    STRANGER_OVER_TLS.bytes() + TLS_HELD_BYTES_MAX + WEBSOCKET_BYTES,
]);

/// hyper has one buffer for each direction.
const HTTP_BYTES: usize = 2 * HEAD_BYTES_MAX;

/// The longest text is written while others wait.
const WEBSOCKET_BYTES: usize = held_bytes_max(STRANGERS_TEXT_BYTES_MAX)
    + STRANGERS_TEXT_BYTES_MAX
    + SLOTS_BYTES
    + OUTBOUND_MAX * size_of::<String>();

const _: () = assert!(STRANGERS_BYTES_MAX <= 128 * 1024, "a stranger costs little");

/// The largest of these.
const fn most(bytes: [usize; 4]) -> usize {
    let (mut most, mut index) = (0, 0);
    while index < bytes.len() {
        if bytes[index] > most {
            most = bytes[index];
        }
        index += 1;
    }
    most
}

/// The room of one connection in the system's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes that came and were not read.
    unread: usize,
    /// Bytes that were written and not acknowledged.
    unacknowledged: usize,
}

/// While a connection carries requests. A browser gets the page through it: 64 KiB a round trip.
const REQUESTS: Room = Room { unread: 24 * 1024, unacknowledged: 64 * 1024 };

/// The same where TLS has buffers of its own besides.
const REQUESTS_OVER_TLS: Room = Room { unread: 8 * 1024, unacknowledged: 52 * 1024 };

/// While a WebSocket takes no part in anything.
const STRANGER: Room = Room { unread: 24 * 1024, unacknowledged: 16 * 1024 };

/// The same where TLS has buffers of its own besides.
const STRANGER_OVER_TLS: Room = Room { unread: 8 * 1024, unacknowledged: 16 * 1024 };

/// Once a WebSocket takes part. What is relayed fills 400 ms of the way with 256 KiB, at 512 KiB a second; the system
/// may grant less.
const PARTICIPANT: Room = Room { unread: UNREAD_BYTES_MAX as usize, unacknowledged: 256 * 1024 };

impl Room {
    const fn bytes(self) -> usize {
        self.unread + self.unacknowledged
    }

    /// The room of a connection that carries requests, over TLS or not.
    pub(super) const fn for_requests(over_tls: bool) -> Room {
        if over_tls { REQUESTS_OVER_TLS } else { REQUESTS }
    }

    const fn for_strangers(over_tls: bool) -> Room {
        if over_tls { STRANGER_OVER_TLS } else { STRANGER }
    }

    /// Gives a connection this room.
    pub(super) fn give(self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        // An error here: the connection is gone, as the next read tells.
        let _ = socket.set_recv_buffer_size(self.unread);
        let _ = socket.set_send_buffer_size(self.unacknowledged);
    }
}

/// Says that a connection takes part from now on.
#[derive(Clone, Default)]
pub(super) struct Part(Arc<AtomicBool>);

impl Part {
    pub(super) fn take(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection with the room of a stranger, which gets more at the first read after it takes part.
pub(super) struct Roomy {
    stream: Stream,
    /// `None` once the connection has the room of a participant.
    part: Option<Part>,
}

impl Roomy {
    pub(super) fn new(stream: Stream, part: Part) -> Roomy {
        Room::for_strangers(stream.is_encrypted()).give(stream.tcp());
        Roomy { stream, part: Some(part) }
    }

    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }
}

impl AsyncRead for Roomy {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.part.as_ref().is_some_and(Part::is_taken) {
            self.part = None;
            PARTICIPANT.give(self.stream.tcp());
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Roomy {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What the system says it grants; Linux doubles what is asked for.
    fn granted(stream: &TcpStream) -> (usize, usize) {
        let socket = SockRef::from(stream);
        (socket.recv_buffer_size().expect("a socket"), socket.send_buffer_size().expect("a socket"))
    }

    #[tokio::test]
    async fn who_takes_part_gets_more_room_with_the_next_bytes_and_not_before() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback binds");
        let connecting = TcpStream::connect(listener.local_addr().expect("an address"));
        let (theirs, ours) = tokio::join!(connecting, listener.accept());
        let (mut theirs, (ours, _)) = (theirs.expect("connects"), ours.expect("accepts"));
        REQUESTS.give(&ours);
        let (_, sends_page) = granted(&ours);
        let part = Part::default();
        let mut ours = Roomy::new(Stream::Plain(ours), part.clone());
        let (unread, unacknowledged) = granted(ours.stream.tcp());
        assert!((STRANGER.unread..=2 * STRANGER.unread).contains(&unread), "{unread}");
        assert!(unacknowledged < sends_page && unacknowledged <= 2 * STRANGER.unacknowledged, "{unacknowledged}");

        theirs.write_all(b"a").await.expect("writes");
        ours.read_u8().await.expect("a byte");
        assert_eq!(granted(ours.stream.tcp()), (unread, unacknowledged));
        part.take();
        theirs.write_all(b"b").await.expect("writes");
        ours.read_u8().await.expect("a byte");
        let (more_unread, more_unacknowledged) = granted(ours.stream.tcp());
        assert!(more_unread >= PARTICIPANT.unread, "{more_unread}");
        assert!(more_unacknowledged > sends_page, "{more_unacknowledged}");
    }
}
