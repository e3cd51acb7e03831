//! TCP connections of TURN clients, with TLS or without. A connection costs a bounded queue, and never makes others
//! wait.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use beach_core::turn_server::stream::Framer;
use beach_core::turn_server::{Client, TcpConnectionId, TurnInput, Via};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::canonical;
use crate::tls::{HANDSHAKE_DEADLINE, HANDSHAKE_RECORD, Handshakes, InUse};
use crate::websocket::{DATAGRAM_WAITS_MAX, prepare};

/// Messages that may wait for a slow client, of two kilobytes at most. More are dropped.
const WAITING_MAX: usize = 64;

/// A connection that takes nothing for this long is dead.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How long accepting rests after a failure.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Bytes read at a time.
const READ_BYTES: usize = 4096;

/// The name of TURN among the protocols of TLS (RFC 7443). Browsers offer none.
const PROTOCOLS: &[&[u8]] = &[b"stun.turn"];

/// A message that waits: an answer, or a datagram since this time.
type Waiting = (Option<Instant>, Vec<u8>);

/// All connections.
pub(super) struct Streams {
    listener: TcpListener,
    accept_at: Instant,
    next: TcpConnectionId,
    open: HashMap<TcpConnectionId, mpsc::Sender<Waiting>>,
    tasks: JoinSet<()>,
    report: mpsc::Sender<TurnInput>,
    /// For clients that speak TLS.
    handshakes: Option<Arc<Handshakes>>,
}

impl Streams {
    pub(super) fn new(listener: TcpListener, report: mpsc::Sender<TurnInput>, certificate: Option<InUse>) -> Streams {
        let handshakes = certificate.map(|in_use| Arc::new(Handshakes::new(in_use).for_protocols(PROTOCOLS)));
        let (open, tasks) = (HashMap::new(), JoinSet::new());
        Streams { listener, accept_at: Instant::now(), next: 1, open, tasks, report, handshakes }
    }

    /// Waits for the next connection. Cancel-safe.
    pub(super) async fn accept(&mut self) -> (TcpConnectionId, SocketAddr) {
        loop {
            sleep_until(self.accept_at).await;
            match self.listener.accept().await {
                Ok((stream, from)) => return self.open(stream, canonical(from)),
                Err(error) => {
                    tracing::debug!(%error, "accepting a TURN connection failed");
                    self.accept_at = Instant::now() + ACCEPT_REST;
                }
            }
        }
    }

    fn open(&mut self, stream: TcpStream, from: SocketAddr) -> (TcpConnectionId, SocketAddr) {
        let id = self.next;
        self.next += 1;
        if let Err(error) = prepare(&stream) {
            tracing::debug!(id, %error, "a TURN connection is gone already");
        }
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        self.open.insert(id, queue);
        let client = Client { via: Via::Stream(id), address: from };
        match self.handshakes.clone() {
            None => self.tasks.spawn(carry(id, client, stream, waiting, self.report.clone())),
            Some(handshakes) => self.tasks.spawn(serve(id, client, stream, waiting, self.report.clone(), handshakes)),
        };
        while self.tasks.try_join_next().is_some() {}
        (id, from)
    }

    /// Queues an answer.
    pub(super) fn answer(&self, id: TcpConnectionId, bytes: Vec<u8>) {
        self.queue(id, (None, bytes));
    }

    /// Queues a datagram.
    pub(super) fn data(&self, id: TcpConnectionId, bytes: Vec<u8>) {
        self.queue(id, (Some(Instant::now()), bytes));
    }

    fn queue(&self, id: TcpConnectionId, waiting: Waiting) {
        if let Some(queue) = self.open.get(&id)
            && queue.try_send(waiting).is_err()
        {
            tracing::trace!(id, "a message to a TURN client was dropped");
        }
    }

    /// Closes a connection after what is queued for it.
    pub(super) fn close(&mut self, id: TcpConnectionId) {
        self.open.remove(&id);
    }
}

/// A connection that may begin with TLS: no message of TURN begins with the same byte.
async fn serve(
    id: TcpConnectionId,
    client: Client,
    stream: TcpStream,
    mut waiting: mpsc::Receiver<Waiting>,
    report: mpsc::Sender<TurnInput>,
    handshakes: Arc<Handshakes>,
) {
    let begun = tokio::select! {
        // The server refuses the client, who has said nothing that could be answered. A refused connection costs a file
        // for as long as it stays.
        _ = waiting.recv() => Err(io::ErrorKind::ConnectionRefused.into()),
        begun = begin(client, stream, &handshakes) => begun,
    };
    match begun {
        Ok(Begun::Plain(stream)) => carry(id, client, stream, waiting, report).await,
        Ok(Begun::Secured(stream)) => carry(id, client, stream, waiting, report).await,
        Err(error) => {
            tracing::debug!(id, %error, "nothing begins with a TURN client");
            let _ = report.send(TurnInput::Closed(id)).await;
        }
    }
}

/// The beginning of a connection.
enum Begun {
    Plain(TcpStream),
    /// In a box: the state of TLS is large.
    Secured(Box<TlsStream<TcpStream>>),
}

async fn begin(client: Client, stream: TcpStream, handshakes: &Handshakes) -> io::Result<Begun> {
    let mut first = [0];
    if timeout(HANDSHAKE_DEADLINE, stream.peek(&mut first)).await?? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first != [HANDSHAKE_RECORD] {
        return Ok(Begun::Plain(stream));
    }
    let stream = timeout(HANDSHAKE_DEADLINE, handshakes.accept(stream, Some(client.address.ip()))).await??;
    Ok(Begun::Secured(Box::new(stream)))
}

/// A connection, until either side ends it.
async fn carry<S: AsyncRead + AsyncWrite>(
    id: TcpConnectionId,
    client: Client,
    stream: S,
    mut waiting: mpsc::Receiver<Waiting>,
    report: mpsc::Sender<TurnInput>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let read = async {
        let (mut framer, mut buffer) = (Framer::default(), vec![0; READ_BYTES]);
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            framer.push(&buffer[..length]);
            loop {
                match framer.message() {
                    Ok(Some(message)) => {
                        if report.send(TurnInput::FromClient(client, message)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return tracing::debug!(id, %error, "a TURN connection makes no sense"),
                }
            }
        }
    };
    let write = async {
        while let Some((since, bytes)) = waiting.recv().await {
            if since.is_some_and(|since| since.elapsed() > DATAGRAM_WAITS_MAX) {
                tracing::trace!(id, "a datagram to a TURN client waited too long");
                continue;
            }
            let sent = async {
                writer.write_all(&bytes).await?;
                // TLS may hold a record back.
                writer.flush().await
            };
            if !timeout(WRITE_WITHIN, sent).await.is_ok_and(|sent| sent.is_ok()) {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    let _ = report.send(TurnInput::Closed(id)).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::tls::acme::{Acme, AcmeOptions};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_misses_datagrams_and_no_answer_and_gets_nothing_old() {
        // As large as the first message, so that the others wait.
        let (mut far, near) = tokio::io::duplex(4);
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (report, mut reports) = mpsc::channel(4);
        let client = Client { via: Via::Stream(1), address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1) };
        let task = tokio::spawn(carry(1, client, near, waiting, report));
        let send = |since, bytes: &[u8]| queue.try_send((since, bytes.to_vec())).expect("room");
        send(None, b"1111");
        send(Some(Instant::now()), b"2222");
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(1)).await;
        send(None, b"3333");
        send(Some(Instant::now()), b"old!");
        tokio::time::advance(DATAGRAM_WAITS_MAX).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        send(Some(Instant::now()), b"4444");
        drop(queue);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.expect("all of it");
        assert_eq!(String::from_utf8_lossy(&read), "1111222233334444");
        task.await.expect("no panic");
        assert_eq!(reports.recv().await, Some(TurnInput::Closed(1)));
    }

    #[tokio::test]
    async fn a_refused_client_that_has_said_nothing_goes_at_once() {
        let cache = std::env::temp_dir().join(format!("beach-turn-refused-{}", std::process::id()));
        let options = AcmeOptions {
            domains: vec!["localhost".to_owned()],
            directory: "https://localhost:1".to_owned(),
            contact: Vec::new(),
            cache: cache.clone(),
        };
        let acme = Acme::new(options).expect("a folder");
        let handshakes = Arc::new(Handshakes::new(acme.in_use()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        for first in [&b""[..], &[HANDSHAKE_RECORD]] {
            let mut far = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
            far.write_all(first).await.expect("a byte");
            let (near, address) = listener.accept().await.expect("a connection");
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            let (report, mut reports) = mpsc::channel(4);
            let client = Client { via: Via::Stream(1), address };
            let task = tokio::spawn(serve(1, client, near, waiting, report, handshakes.clone()));
            tokio::task::yield_now().await;
            drop(queue);
            let closed = timeout(HANDSHAKE_DEADLINE / 2, reports.recv()).await.expect("before the deadline");
            assert_eq!(closed, Some(TurnInput::Closed(1)));
            task.await.expect("no panic");
        }
        let _ = std::fs::remove_dir_all(cache);
    }
}
