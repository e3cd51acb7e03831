//! Hosts at several rendezvous, which dial again and move as `beach share` does, and viewers who come to them.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::socket::{Host, Message, Socket};

/// The pauses between two tries of a host, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// A host pings this often.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How often a host looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(200);

/// A viewer that is not in by then has failed.
pub(crate) const IN_WITHIN: Duration = Duration::from_secs(15);

/// A viewer asks again after this time, where the host may come soon.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Most hops of a viewer from one rendezvous to the next.
const MAX_HOPS: u32 = 3;

/// Bytes of stack of a host's thread.
const STACK: usize = 128 * 1024;

/// The state that the hosts' threads share.
struct Shared {
    address: String,
    is_over: AtomicBool,
    /// How many are registered now.
    here: AtomicUsize,
    /// How often one was registered nowhere.
    gaps: AtomicU64,
    /// The last time at which one was registered after it had been nowhere.
    back_at: Mutex<Option<Instant>>,
}

/// The hosts. Dropping the value ends them.
pub(crate) struct Herd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Their sessions, and the address of the first viewer.
    sessions: Vec<String>,
}

impl Herd {
    /// So many hosts who come to the balancer at `address`.
    pub(crate) fn start(lab: &Lab, address: &str, count: usize, source: impl Fn(u32) -> Ipv4Addr) -> Result<Herd> {
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            is_over: AtomicBool::new(false),
            here: AtomicUsize::new(0),
            gaps: AtomicU64::new(0),
            back_at: Mutex::new(None),
        });
        let mut herd = Herd { shared: Arc::clone(&shared), threads: Vec::new(), sessions: Vec::new() };
        for number in 0..u32::try_from(count)? {
            let mut host =
                Member { number: lab.number(), source: source(number / 100), turn: 0, shared: Arc::clone(&shared) };
            let registered = host.register()?;
            herd.sessions.push(registered.session);
            let thread = thread::Builder::new().stack_size(STACK);
            herd.threads.push(thread.spawn(move || host.lives(registered.socket))?);
        }
        Ok(herd)
    }

    /// Waits until all hosts are registered, and says when the last one was that had been nowhere.
    pub(crate) fn all_here(&self, within: Duration) -> Result<Option<Instant>> {
        let by = Instant::now() + within;
        while self.shared.here.load(Ordering::SeqCst) < self.threads.len() {
            ensure!(Instant::now() < by, "not all hosts were back within {} s", within.as_secs());
            sleep(Duration::from_millis(1));
        }
        Ok(*self.shared.back_at.lock().expect("no host panics"))
    }

    /// How often a host was registered nowhere so far.
    pub(crate) fn gaps(&self) -> u64 {
        self.shared.gaps.load(Ordering::SeqCst)
    }

    /// A session, any.
    pub(crate) fn session(&self, number: usize) -> &str {
        &self.sessions[number % self.sessions.len()]
    }

    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// One host.
struct Member {
    number: u32,
    source: Ipv4Addr,
    turn: u64,
    shared: Arc<Shared>,
}

impl Member {
    fn register(&mut self) -> Result<Host> {
        self.turn += 1;
        let socket = Socket::open_from(&self.shared.address, self.source)?;
        Host::register_over(socket, self.number, self.turn)
    }

    /// Stays registered until it is over.
    fn lives(mut self, mut socket: Socket) {
        self.shared.here.fetch_add(1, Ordering::SeqCst);
        let mut pause = FIRST_PAUSE;
        loop {
            let _ = self.stays(socket);
            if self.shared.is_over.load(Ordering::SeqCst) {
                return;
            }
            self.shared.here.fetch_sub(1, Ordering::SeqCst);
            self.shared.gaps.fetch_add(1, Ordering::SeqCst);
            socket = loop {
                sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0));
                match self.register() {
                    Ok(host) => break host.socket,
                    Err(_) if self.shared.is_over.load(Ordering::SeqCst) => return,
                    Err(_) => pause = LONGEST_PAUSE.min(pause * 2),
                }
            };
            pause = FIRST_PAUSE;
            // First the time, then the count: whoever sees all hosts sees the last one's time.
            *self.shared.back_at.lock().expect("no host panics") = Some(Instant::now());
            self.shared.here.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Listens until the connection is gone; goes to another rendezvous if it is told to.
    fn stays(&mut self, mut socket: Socket) -> Result<()> {
        let (mut said_at, mut moves_at) = (Instant::now(), None::<Instant>);
        while !self.shared.is_over.load(Ordering::SeqCst) {
            if socket.has_news(LOOK)?
                && let Message::Text(text) = socket.message()?
            {
                let message: Value = serde_json::from_str(&text)?;
                if message["type"] == "move" {
                    let within = Duration::from_secs(message["within"].as_u64().unwrap_or(0));
                    moves_at.get_or_insert(Instant::now() + within.mul_f64(fastrand::f64()));
                }
            }
            if moves_at.is_some_and(|at| at <= Instant::now()) {
                match self.register() {
                    Ok(host) => (socket, moves_at) = (host.socket, None),
                    Err(_) => moves_at = Some(Instant::now() + FIRST_PAUSE),
                }
                said_at = Instant::now();
            }
            if said_at.elapsed() >= PING_EVERY {
                socket.say(r#"{"type":"ping"}"#)?;
                said_at = Instant::now();
            }
        }
        Ok(())
    }
}

/// A viewer who comes to the balancer for a session, as `beach join` does: how long until its host was told.
///
/// # Errors
/// The viewer does not get in.
pub(crate) fn comes(address: &str, source: Ipv4Addr, session: &str) -> Result<Duration> {
    let (began, link) = (Instant::now(), fastrand::u64(..));
    let join = format!(
        r#"{{"type":"join","session":"{session}","link":"{link:016x}","role":"view","versions":[1],"moves":true}}"#
    );
    let (mut place, mut hops, mut may_come) = (None::<String>, 0, false);
    while began.elapsed() < IN_WITHIN {
        let answer = asks(place.as_deref().unwrap_or(address), source, &join);
        match answer {
            Ok(Answer::In) => return Ok(began.elapsed()),
            Ok(Answer::Elsewhere(url)) if hops < MAX_HOPS => {
                hops += 1;
                may_come = true;
                place = Some(url);
                continue;
            }
            Ok(Answer::NoSession) if !may_come => bail!("there is no such session"),
            Ok(Answer::NoSession) => sleep(ASK_AGAIN),
            Ok(Answer::Elsewhere(_)) | Err(_) => {
                may_come = true;
                sleep(FIRST_PAUSE.mul_f64(1.0 + fastrand::f64() / 2.0));
            }
        }
        (place, hops) = (None, 0);
    }
    bail!("not in within {} s", IN_WITHIN.as_secs())
}

enum Answer {
    In,
    Elsewhere(String),
    NoSession,
}

/// Asks one rendezvous, and waits for its host if it is away.
fn asks(address: &str, source: Ipv4Addr, join: &str) -> Result<Answer> {
    let mut socket = Socket::open_from(address, source)?;
    socket.say(join)?;
    loop {
        let Message::Text(text) = socket.message()? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            Some("joined") => return Ok(Answer::In),
            Some("elsewhere") => {
                let url = message["url"].as_str().unwrap_or_default();
                return Ok(Answer::Elsewhere(url.trim_start_matches("http://").to_owned()));
            }
            Some("refused") if message["reason"] == "no_session" => return Ok(Answer::NoSession),
            Some("refused" | "closed") => bail!("{text}"),
            Some(_) | None => {}
        }
    }
}
