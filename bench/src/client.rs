//! A client in a pseudo-terminal that the bench owns, and what it shows there.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::screen::{COLS, ROWS, Screen};
use crate::stop;

/// More than a pseudo-terminal gives in one read.
const READ: usize = 64 * 1024;

/// Between two looks whether the bench itself is interrupted.
const LISTEN: Duration = Duration::from_millis(250);

/// A client that is told to end gets this long.
const END_WITHIN: Duration = Duration::from_secs(1);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A client and its terminal. Dropping the value ends the client.
pub(crate) struct Client {
    pty: Pty,
    child: Child,
    /// The client's screen.
    pub(crate) screen: Screen,
    /// When it was started.
    pub(crate) started: Instant,
    buffer: Vec<u8>,
    ended: bool,
}

impl Client {
    /// Starts one.
    pub(crate) fn start(command: Command) -> Result<Client> {
        let (pty, pts) = open()?;
        pty.resize(Size::new(ROWS, COLS))?;
        let started = Instant::now();
        let child = pty_process::blocking::Command::from(command).spawn(pts)?;
        Ok(Client { pty, child, screen: Screen::new(ROWS), started, buffer: vec![0; READ], ended: false })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Presses keys, and says when.
    pub(crate) fn press(&mut self, keys: &[u8]) -> Result<Instant> {
        let at = Instant::now();
        self.pty.write_all(keys)?;
        Ok(at)
    }

    /// Waits at most until then for something to be printed, and says when it was there; `None` if nothing was, perhaps
    /// before then.
    pub(crate) fn pump(&mut self, until: Instant) -> Result<Option<Instant>> {
        if self.ended {
            bail!("the client has ended; it showed:\n{}", self.screen.text());
        }
        if stop::is_asked() {
            bail!("interrupted");
        }
        if !readable(&self.pty, until.min(Instant::now() + LISTEN))? {
            return Ok(None);
        }
        // At the end of its program a pseudo-terminal fails with EIO.
        let read = self.pty.read(&mut self.buffer).unwrap_or(0);
        let at = Instant::now();
        self.ended = read == 0;
        self.screen.feed(&self.buffer[..read]);
        Ok(Some(at))
    }

    /// Waits until the screen is so, and says when it was.
    pub(crate) fn until(&mut self, what: &str, within: Duration, is_so: impl Fn(&Screen) -> bool) -> Result<Instant> {
        let deadline = Instant::now() + within;
        let mut at = Instant::now();
        loop {
            if is_so(&self.screen) {
                return Ok(at);
            }
            if Instant::now() > deadline {
                bail!("{what}: not within {within:?}; the screen:\n{}", self.screen.text());
            }
            at = self.pump(deadline)?.unwrap_or(at);
        }
    }

    /// Looks on for this long.
    pub(crate) fn watch(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.pump(until)?;
        }
        Ok(())
    }

    /// Tells it that its terminal is gone: an interactive shell ends for nothing less.
    fn hang_up(&self) {
        send(self.id(), Signal::HUP);
        send(self.id(), Signal::CONT);
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            // Output that still comes must not block the client's end.
            if self.ended {
                thread::sleep(LOOK);
            } else {
                let _ = self.pump(Instant::now() + LOOK);
            }
        }
        false
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hang_up();
        if !self.end(END_WITHIN) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a process a signal; one that is gone already does not mind.
pub(crate) fn send(id: u32, signal: Signal) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, signal);
    }
}

/// Waits until there is something to read, at most until then.
fn readable(pty: &Pty, until: Instant) -> Result<bool> {
    let rest = until.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(rest)?;
    let mut polled = [PollFd::new(pty, PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Clients at whom nobody looks: one thread reads the output of all of them, and drops it.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Vec<Client>>>,
}

impl Crowd {
    /// From now on nobody looks at these.
    pub(crate) fn new(mut clients: Vec<Client>) -> Crowd {
        /// How often the thread looks whether it is to stop.
        const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; READ];
            while !stopped.load(Ordering::Relaxed) && !clients.is_empty() {
                let mut polled: Vec<PollFd<'_>> =
                    clients.iter().map(|client| PollFd::new(&client.pty, PollFlags::IN)).collect();
                let _ = poll(&mut polled, Some(&LOOK));
                let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
                let mut ready = ready.into_iter();
                clients.retain_mut(|client| {
                    !ready.next().unwrap_or(false) || client.pty.read(&mut buffer).is_ok_and(|read| read > 0)
                });
            }
            clients
        });
        Crowd { stop, reader: Some(reader) }
    }

    /// How many of them are still there. Dropping the value ends the reading.
    pub(crate) fn back(mut self) -> Vec<Client> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let mut clients = reader.join().unwrap_or_default();
            // All at once, not one after the other.
            for client in &mut clients {
                client.hang_up();
            }
        }
    }
}
