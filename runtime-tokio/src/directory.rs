//! The directory that several rendezvous share, in a Redis or Valkey server: which rendezvous has the host of a
//! session.
//!
//! A task of its own speaks to the server, so the rendezvous' loop never waits for the server. Requests that wait are
//! sent together and in order; the next ones follow when all of these are answered. The directory is down until the
//! task has connected and has written an entry, and again when the connection ends, a request is not answered in time,
//! the server refuses a request, or more requests wait than there is room for. The task then connects again, with
//! growing pauses. Requests of before are dropped: the rendezvous asks again for all that matters.

mod address;
mod entry;
mod tally;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use beach_core::Backoff;
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput, MAX_RENEWED, MAX_SESSIONS};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

pub use self::address::{Address, BadRedisUrl, RedisUrl};
pub use self::tally::{Kind, Outcome, Tally};
use crate::signal::{SignalError, client_config, reach};

/// From the name lookup to the first entry that was written. A server that needs longer is as good as down.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long the server may take for requests that are sent together. A rendezvous waits for half as long for a look-up.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A connection without requests for so long is tried with a question.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The pauses between tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Requests that may wait: a claim of every session, which follow each other when the directory is up, and as many
/// others.
const REQUESTS_MAX: usize = 2 * MAX_SESSIONS;

/// Answers that the rendezvous has not asked for yet. When there are so many, no further requests are sent.
const ANSWERS_MAX: usize = 1024;

/// Sessions that requests sent together may name; the last request may go beyond. The server does the work of such
/// requests in about ten milliseconds.
const TOGETHER: usize = 2 * MAX_RENEWED;

/// The directory, as a rendezvous' loop sees it. Needs a tokio runtime with I/O and time enabled; dropping it ends its
/// task.
pub struct Directory {
    place: String,
    requests: mpsc::Sender<DirectoryOutput>,
    answers: mpsc::Receiver<DirectoryInput>,
    shared: Arc<Shared>,
    /// Whether the task's end was told.
    has_ended: bool,
    _task: JoinSet<()>,
}

/// Facts that the task and the loop share.
#[derive(Default)]
struct Shared {
    /// Whether a request found no room.
    is_full: AtomicBool,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Directory {
    /// Starts to connect to the server at `address`. Entries name `place`, the URL at which viewers reach this
    /// rendezvous.
    #[must_use]
    pub fn start(address: Address, place: &str) -> Directory {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let (told, answers) = mpsc::channel(ANSWERS_MAX);
        let (place, shared) = (place.to_owned(), Arc::<Shared>::default());
        let under_way = Vec::new();
        let worker =
            Worker { address, place: place.clone(), requests: asked, under_way, answers: told, shared: shared.clone() };
        let mut task = JoinSet::new();
        task.spawn(worker.run());
        Directory { place, requests, answers, shared, has_ended: false, _task: task }
    }

    /// The place of this rendezvous.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Asks the directory. When too many requests wait, this one is dropped, and [`Down`](DirectoryInput::Down) and
    /// [`Up`](DirectoryInput::Up) follow.
    pub fn ask(&self, request: DirectoryOutput) {
        if self.requests.try_send(request).is_err() {
            self.shared.is_full.store(true, Ordering::Relaxed);
        }
    }

    /// The next thing that the directory says. Cancel-safe.
    pub async fn next(&mut self) -> DirectoryInput {
        match self.answers.recv().await {
            Some(input) => input,
            // The task has panicked.
            None if !std::mem::replace(&mut self.has_ended, true) => DirectoryInput::Down,
            None => std::future::pending().await,
        }
    }

    /// The counters of requests to the directory since the start, and whether the directory answers now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the directory is down.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server cannot be reached.
    #[error("{0}")]
    Unreachable(#[from] SignalError),
    /// The server refuses a request, or what it says is not its protocol.
    #[error("{0}")]
    Refused(#[from] RedisError),
    /// The server does not answer.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The server has closed the connection.
    #[error("the connection was closed by the other side")]
    Closed,
    /// The server answers more slowly than the rendezvous asks.
    #[error("more requests wait than there is room for")]
    Full,
    /// The answer is none to the request.
    #[error("an answer is of an unknown form")]
    Nonsense,
}

/// Connects to the server at `address`, and writes an entry that no session has.
///
/// # Errors
/// The server cannot be reached, or refuses that.
pub async fn check(address: &Address) -> Result<(), Fault> {
    connect(address).await.map(drop)
}

/// A connection whose first entry was written.
struct Connection {
    client: MultiplexedConnection,
    /// Moves the bytes of the connection, and ends with the connection.
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The bytes of a connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Stream for T {}

async fn connect(address: &Address) -> Result<Connection, Fault> {
    let connected = async {
        let tcp = reach(address.host(), address.port()).await?;
        let stream: Pin<Box<dyn Stream + Send>> = match address.server_name()? {
            None => Box::pin(tcp),
            Some(name) => {
                let stream = TlsConnector::from(client_config()?).connect(name, tcp).await;
                Box::pin(stream.map_err(SignalError::from)?)
            }
        };
        // This module has the deadlines.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (mut client, driver) = MultiplexedConnection::new_with_config(address.settings(), stream, config).await?;
        let (mut driver, trial) = (Box::pin(driver), entry::trial());
        let answers = tokio::select! {
            biased;
            answers = client.send_packed_commands(&trial, 0, 1) => answers?,
            () = &mut driver => return Err(Fault::Closed),
        };
        answers.into_iter().try_for_each(|answer| answer.extract_error().map(drop))?;
        Ok(Connection { client, driver })
    };
    timeout(CONNECT_WITHIN, connected).await.unwrap_or(Err(Fault::Late(CONNECT_WITHIN)))
}

/// The task that speaks to the server.
struct Worker {
    address: Address,
    place: String,
    requests: mpsc::Receiver<DirectoryOutput>,
    /// Requests that are not answered yet.
    under_way: Vec<DirectoryOutput>,
    answers: mpsc::Sender<DirectoryInput>,
    shared: Arc<Shared>,
}

impl Worker {
    async fn run(mut self) {
        let (mut pauses, mut entropy) = (Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE), crate::entropy());
        let mut is_told = false;
        loop {
            let fault = match connect(&self.address).await {
                Ok(connection) => {
                    is_told = false;
                    tracing::info!(directory = %self.address, "the directory can be reached");
                    let since = Instant::now();
                    let fault = self.work(connection).await;
                    if since.elapsed() >= LONGEST_PAUSE {
                        pauses.reset();
                    }
                    fault
                }
                Err(fault) => fault,
            };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(directory = %self.address, %fault, "the directory is down: this rendezvous is alone");
            }
            sleep(pauses.jittered(&mut entropy)).await;
        }
    }

    /// Performs requests until the connection fails.
    async fn work(&mut self, connection: Connection) -> Fault {
        while self.requests.try_recv().is_ok() {}
        self.shared.is_full.store(false, Ordering::Relaxed);
        self.tell(true).await;
        let Connection { mut client, driver } = connection;
        let fault = tokio::select! {
            biased;
            Err(fault) = self.exchange(&mut client) => fault,
            () = driver => Fault::Closed,
        };
        let failed = std::mem::take(&mut self.under_way);
        self.shared.tally(|tally| failed.iter().for_each(|request| tally.add(request, Outcome::Failed)));
        self.tell(false).await;
        fault
    }

    async fn tell(&self, is_up: bool) {
        self.shared.tally(|tally| tally.is_up = is_up);
        self.answer(if is_up { DirectoryInput::Up } else { DirectoryInput::Down }).await;
    }

    async fn answer(&self, input: DirectoryInput) {
        // An error here: the rendezvous is gone, and this task ends soon.
        let _ = self.answers.send(input).await;
    }

    async fn exchange(&mut self, client: &mut MultiplexedConnection) -> Result<Infallible, Fault> {
        loop {
            self.gather().await;
            if self.shared.is_full.swap(false, Ordering::Relaxed) {
                return Err(Fault::Full);
            }
            let mut sent = redis::pipe();
            if self.under_way.is_empty() {
                sent.cmd("PING");
            }
            for request in &self.under_way {
                sent.add_command(entry::command(request, &self.place));
            }
            let started = Instant::now();
            let answers = timeout(ANSWER_WITHIN, client.send_packed_commands(&sent, 0, sent.len())).await;
            let answers = answers.map_err(|_| Fault::Late(ANSWER_WITHIN))??;
            if self.under_way.is_empty() {
                answers.into_iter().try_for_each(|answer| answer.extract_error().map(drop))?;
                continue;
            }
            self.shared.tally(|tally| tally.took.add(started.elapsed()));
            let asked = std::mem::take(&mut self.under_way);
            let mut fault = None;
            for (request, answer) in asked.iter().zip(answers) {
                match entry::read(request, answer) {
                    Ok(inputs) => {
                        self.shared.tally(|tally| tally.answered(request, &inputs));
                        for input in inputs {
                            self.answer(input).await;
                        }
                    }
                    Err(cause) => {
                        self.shared.tally(|tally| tally.add(request, Outcome::Failed));
                        fault.get_or_insert(cause);
                    }
                }
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
    }

    /// Waits for requests, and takes those that are sent together; none after [`PING_EVERY`] without any.
    async fn gather(&mut self) {
        let Ok(first) = timeout(PING_EVERY, self.requests.recv()).await else { return };
        let Some(first) = first else { return std::future::pending().await };
        let mut sessions = tally::sessions(&first);
        self.under_way.push(first);
        while sessions < TOGETHER {
            let Ok(next) = self.requests.try_recv() else { return };
            sessions += tally::sessions(&next);
            self.under_way.push(next);
        }
    }
}
