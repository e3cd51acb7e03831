//! TCP connections to TURN servers, and an allocation made only to see whether a server would relay.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use beach_core::ice::server_url::{Credentials, Transport};
use beach_core::ice::turn::{Allocations, Effect, StreamId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, timeout};

use crate::clock::Clock;
use crate::udp::{UdpSockets, at};

/// How long a TCP connection to a server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Writes that wait for a slow connection; more are dropped, as the network would.
const WAITING_MAX: usize = 64;

/// A connection that takes nothing for this long is dead: by then the path through it was given up.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// Reads that wait to be taken.
const READ_AHEAD: usize = 4;

/// Events of a connection.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    Up(StreamId),
    Bytes(StreamId, Vec<u8>),
    Down(StreamId),
}

/// The connections. Needs a tokio runtime.
pub(crate) struct Streams {
    writers: HashMap<StreamId, mpsc::Sender<Vec<u8>>>,
    tasks: JoinSet<()>,
    report: mpsc::Sender<StreamEvent>,
    reports: mpsc::Receiver<StreamEvent>,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        let (report, reports) = mpsc::channel(READ_AHEAD);
        Streams { writers: HashMap::new(), tasks: JoinSet::new(), report, reports }
    }

    pub(crate) fn dial(&mut self, stream: StreamId, server: SocketAddr) {
        let (writer, to_write) = mpsc::channel(WAITING_MAX);
        self.writers.insert(stream, writer);
        self.tasks.spawn(carry(stream, server, to_write, self.report.clone()));
        while self.tasks.try_join_next().is_some() {}
    }

    /// Writes all of `bytes` or nothing: a part would make nonsense of the rest of the stream.
    pub(crate) fn write(&self, stream: StreamId, bytes: Vec<u8>) {
        if let Some(writer) = self.writers.get(&stream)
            && writer.try_send(bytes).is_err()
        {
            tracing::trace!(stream, "dropped on its way to a TURN server");
        }
    }

    pub(crate) fn hang_up(&mut self, stream: StreamId) {
        self.writers.remove(&stream);
    }

    /// The next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> StreamEvent {
        loop {
            // The channel never ends: one of its senders is kept.
            let Some(event) = self.reports.recv().await else { return std::future::pending().await };
            let (StreamEvent::Up(stream) | StreamEvent::Bytes(stream, _) | StreamEvent::Down(stream)) = &event;
            // A connection that was hung up reports nothing more.
            if self.writers.contains_key(stream) {
                return event;
            }
        }
    }
}

/// A connection, from its beginning to its end.
async fn carry(
    stream: StreamId,
    server: SocketAddr,
    mut to_write: mpsc::Receiver<Vec<u8>>,
    report: mpsc::Sender<StreamEvent>,
) {
    let connected = timeout(CONNECT_WITHIN, TcpStream::connect(server)).await;
    let Ok(Ok(connection)) = connected else {
        tracing::debug!(%server, "no TCP connection to a TURN server");
        let _ = report.send(StreamEvent::Down(stream)).await;
        return;
    };
    // A key leaves at once, and does not wait until a segment is full.
    let _ = connection.set_nodelay(true);
    let (mut reader, mut writer) = connection.into_split();
    if report.send(StreamEvent::Up(stream)).await.is_err() {
        return;
    }
    let read = async {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            if report.send(StreamEvent::Bytes(stream, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some(bytes) = to_write.recv().await {
            if !timeout(WRITE_WITHIN, writer.write_all(&bytes)).await.is_ok_and(|wrote| wrote.is_ok()) {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    let _ = report.send(StreamEvent::Down(stream)).await;
}

/// The address at which `server` relays for us, from one of these sockets or over TCP; `None` without an answer within
/// `within`.
pub async fn allocate(
    sockets: &mut UdpSockets,
    server: SocketAddr,
    transport: Transport,
    credentials: Credentials,
    within: Duration,
) -> Option<SocketAddr> {
    let epoch = Instant::now();
    let clock = Clock::since(epoch);
    let mut streams = Streams::new();
    let mut allocations = Allocations::default();
    allocations.learn(clock.now(), server, transport, credentials);
    allocations.want(clock.now(), &sockets.local_addresses());
    let until = TokioInstant::now() + within;
    let mut found = None;
    loop {
        allocations.on_time(clock.now());
        while let Some(effect) = allocations.poll() {
            match effect {
                Effect::Datagram { source, destination, bytes } => sockets.send(source, destination, &bytes),
                Effect::Dial(stream, server) => streams.dial(stream, server),
                Effect::Write(stream, bytes) => streams.write(stream, bytes),
                Effect::HangUp(stream) => streams.hang_up(stream),
                Effect::Allocated(relayed) => found = found.or(Some(relayed)),
                Effect::Lost(_) | Effect::Arrived { .. } => {}
            }
        }
        if found.is_some() || TokioInstant::now() >= until {
            break;
        }
        let deadline = allocations.deadline().map(|at| TokioInstant::from_std(clock.instant(at)));
        tokio::select! {
            datagram = sockets.next() => {
                allocations.receive(clock.now(), datagram.source, datagram.destination, &datagram.bytes);
            }
            event = streams.next() => match event {
                StreamEvent::Up(stream) => allocations.stream_up(clock.now(), stream),
                StreamEvent::Bytes(stream, bytes) => allocations.stream_bytes(clock.now(), stream, &bytes),
                StreamEvent::Down(stream) => allocations.stream_down(clock.now(), stream),
            },
            () = at(deadline.into_iter().chain([until]).min()) => {}
        }
    }
    // The server need not keep the allocation until its lifetime ends.
    allocations.release(clock.now());
    while let Some(effect) = allocations.poll() {
        if let Effect::Datagram { source, destination, bytes } = effect {
            sockets.send(source, destination, &bytes);
        }
    }
    found
}
