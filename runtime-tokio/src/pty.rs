//! A command in a pseudo-terminal.
//!
//! A [`Pty`] has one way in ([`Pty::write`], [`Pty::resize`], [`Pty::hang_up`]) and one way out ([`Pty::next`]). A
//! [`Pty`] starts no task and keeps no queue: the owner decides when to read and holds at most one write.

mod settings;
#[cfg(test)]
mod tests;
mod writing;

use std::ffi::OsString;
use std::fmt;
use std::future;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use pty_process::{Command, Size};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::tcgetpgrp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

pub use self::settings::{Charset, LineSettings};
use self::writing::{Signalled, Writing};

/// Most bytes in one [`PtyEvent::Output`]: what the kernel gives in one read. Reads are not gathered into one event.
/// While a program floods, each read waits for the kernel's own thread that carries the output, up to half a
/// millisecond when the processors are busy, and a key must not wait for several of these.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// Silence after the command's end until its output counts as complete. Reached only when another process still holds
/// the terminal; otherwise the kernel reports the end.
pub const DRAIN_SILENCE: Duration = Duration::from_millis(500);

/// Longest time of draining after the command's end, however much a process left behind still writes.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Time from SIGHUP to SIGKILL: long enough for a shell to save its history.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(2);

/// The exit code reported when the system could not say how the command ended.
const EXIT_UNKNOWN: i32 = 255;

/// The command and the size of its terminal. Deliberately without `Debug`: arguments and environment may be secret.
pub struct Spawn {
    /// The program, looked up in `PATH` when it has no slash.
    pub program: OsString,
    /// Its arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// Variables set on top of this process's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Variables of this process's environment that the command does not get. Removed before `env` is set.
    pub env_remove: Vec<OsString>,
    /// Width in cells.
    pub cols: u16,
    /// Height in cells.
    pub rows: u16,
    /// The line settings of the person's terminal; without any, the system's defaults.
    pub like: Option<LineSettings>,
    /// The encoding of the terminal's text.
    pub charset: Charset,
}

/// Why a command does not run.
#[derive(Debug)]
pub enum SpawnError {
    /// The system gave no pseudo-terminal.
    NoTerminal(io::Error),
    /// The program could not be started in it: not found, not executable.
    NoCommand(io::Error),
}

/// Events of the terminal.
#[derive(Clone, PartialEq, Eq)]
pub enum PtyEvent {
    /// Output of the command: 1 to [`OUTPUT_BYTES_MAX`] bytes, cut anywhere.
    Output(Vec<u8>),
    /// The terminal took the bytes of the last [`Pty::write`], or the command is gone. The next write may follow.
    Written,
    /// The command ended and its output is drained. The last event, once.
    Exited(Exit),
}

impl fmt::Debug for PtyEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(bytes) => write!(f, "Output({} bytes)", bytes.len()),
            Self::Written => f.write_str("Written"),
            Self::Exited(exit) => write!(f, "Exited({exit:?})"),
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command returned this code, 0 to 255.
    Code(i32),
    /// This signal ended the command.
    Signal(i32),
}

impl Exit {
    /// The code a shell would report: the command's own, or 128 + signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    fn of(status: io::Result<ExitStatus>) -> Self {
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self::Code(code),
                (None, Some(signal)) => Self::Signal(signal),
                (None, None) => Self::Code(EXIT_UNKNOWN),
            },
            Err(error) => {
                tracing::warn!(%error, "how the command ended is unknown");
                Self::Code(EXIT_UNKNOWN)
            }
        }
    }
}

/// A running command and the terminal it runs in.
///
/// Dropping a [`Pty`] hangs the terminal up: the kernel sends SIGHUP, and the process is reaped in the background.
pub struct Pty {
    terminal: pty_process::Pty,
    child: Child,
    /// Filled by one read at a time; kept, so that a cancelled read costs no allocation.
    buffer: Vec<u8>,
    writing: Option<Writing>,
    /// The last signal character written, which may not have taken effect yet.
    signal: Option<Signalled>,
    output: Output,
    exit: Option<Ended>,
    kill_at: Option<Instant>,
    reported: bool,
    /// The owner has paused reading.
    paused: bool,
}

/// Whether more can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Flows,
    /// The kernel has reported once that every process closed the terminal. Linux checks for waiting bytes before it
    /// checks for writers, and a writer may write and close in between: so bytes may still follow (measured: 3 of
    /// 58,000 commands that close the terminal right after their last line). Only the second report is the end.
    SaysEnded,
    Ended,
}

/// The command has ended; its output may still come.
struct Ended {
    exit: Exit,
    silent_at: Instant,
    give_up_at: Instant,
}

impl Ended {
    fn now(exit: Exit) -> Self {
        let now = Instant::now();
        Self { exit, silent_at: now + DRAIN_SILENCE, give_up_at: now + DRAIN_MAX }
    }
}

/// The result of one turn of [`Pty::next`]; handled after the borrows of the select are gone.
enum Turn {
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
    Ended(io::Result<ExitStatus>),
    DrainedLongEnough,
    KillDue,
    SignalDue,
}

impl Pty {
    /// Starts the command as leader of its own session, with a new terminal as its controlling one.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// The system gave no terminal, or the program could not be started (not found, not executable).
    pub fn spawn(spec: &Spawn) -> Result<Self, SpawnError> {
        let no_terminal = |error| SpawnError::NoTerminal(into_io(error));
        let (terminal, inside) = pty_process::open().map_err(no_terminal)?;
        terminal.resize(Size::new(spec.rows, spec.cols)).map_err(no_terminal)?;
        settings::apply(&terminal, spec.like.as_ref(), spec.charset).map_err(SpawnError::NoTerminal)?;
        let mut command = Command::new(&spec.program).args(&spec.args);
        for name in &spec.env_remove {
            command = command.env_remove(name);
        }
        for (name, value) in &spec.env {
            command = command.env(name, value);
        }
        let child = command.spawn(inside).map_err(|error| SpawnError::NoCommand(into_io(error)))?;
        tracing::debug!(pid = child.id(), cols = spec.cols, rows = spec.rows, "command started");
        Ok(Self {
            terminal,
            child,
            buffer: vec![0; OUTPUT_BYTES_MAX],
            writing: None,
            signal: None,
            output: Output::Flows,
            exit: None,
            kill_at: None,
            reported: false,
            paused: false,
        })
    }

    /// Waits for the next event. Cancel-safe: dropping the future loses nothing. After [`PtyEvent::Exited`] it pends
    /// for ever.
    ///
    /// Reads and writes advance independently: a command that does not read cannot hold back its own output, and one
    /// that writes without end cannot hold back input.
    pub async fn next(&mut self) -> PtyEvent {
        loop {
            if self.reported {
                return future::pending().await;
            }
            if let Some(event) = self.settled() {
                return event;
            }
            match self.turn().await {
                Turn::Read(Ok(0)) => self.end_output(),
                Turn::Read(Ok(read)) => return PtyEvent::Output(self.output_of(read)),
                // On Linux EIO means that the last process closed the terminal. Any other error ends the output too:
                // no caller could recover from it.
                Turn::Read(Err(error)) => {
                    if error.raw_os_error() != Some(Errno::IO.raw_os_error()) {
                        tracing::debug!(%error, "reading the terminal failed");
                    }
                    self.end_output();
                }
                Turn::Wrote(Ok(taken)) => self.wrote(taken),
                Turn::SignalDue => {
                    self.check_signal();
                    self.advance();
                }
                Turn::Wrote(Err(error)) => {
                    tracing::debug!(%error, "writing to the terminal failed");
                    self.writing = None;
                    return PtyEvent::Written;
                }
                Turn::Ended(status) => {
                    let exit = Exit::of(status);
                    tracing::debug!(?exit, "command ended");
                    self.kill_at = None;
                    self.exit = Some(Ended::now(exit));
                }
                Turn::DrainedLongEnough => {
                    if let Some(last) = self.last_output() {
                        return PtyEvent::Output(last);
                    }
                }
                Turn::KillDue => {
                    self.kill_at = None;
                    self.signal(&[Signal::KILL]);
                }
            }
        }
    }

    /// Gives the terminal a new size, in cells. The kernel tells the foreground programs, unless the size is the same.
    pub fn resize(&self, cols: u16, rows: u16) {
        if let Err(error) = self.terminal.resize(Size::new(rows, cols)) {
            tracing::debug!(%error, cols, rows, "resizing the terminal failed");
        }
    }

    /// Pauses or resumes reading the output, for an owner that cannot keep up. Everything else goes on. Draining after
    /// the command's end starts its time again when reading resumes.
    pub fn pause_output(&mut self, paused: bool) {
        if let Some(ended) = self.exit.as_mut().filter(|_| self.paused && !paused) {
            *ended = Ended::now(ended.exit);
        }
        self.paused = paused;
    }

    /// Asks the command to end: SIGHUP to its process group and to the terminal's foreground group, SIGKILL after
    /// [`HANG_UP_GRACE`], for which [`Pty::next`] must be polled. Does nothing after the command's end.
    pub fn hang_up(&mut self) {
        if self.exit.is_some() || self.kill_at.is_some() {
            return;
        }
        // A stopped process sees the hang-up only when continued.
        self.signal(&[Signal::HUP, Signal::CONT]);
        self.kill_at = Some(Instant::now() + HANG_UP_GRACE);
    }

    /// Events that need no waiting.
    fn settled(&mut self) -> Option<PtyEvent> {
        let done =
            self.writing.as_ref().is_some_and(|writing| writing.taken >= writing.bytes.len() && self.signal.is_none());
        let done = done || (self.writing.is_some() && (self.exit.is_some() || self.output == Output::Ended));
        if done {
            self.writing = None;
            return Some(PtyEvent::Written);
        }
        match &self.exit {
            Some(ended) if self.output == Output::Ended => {
                self.reported = true;
                Some(PtyEvent::Exited(ended.exit))
            }
            Some(_) | None => None,
        }
    }

    /// Waits for the first of the possible events. Every branch is cancel-safe.
    async fn turn(&mut self) -> Turn {
        let end = self.writable();
        let effective_at = self.signal.as_ref().map(|signal| signal.effective_at);
        let (mut reader, mut writer) = self.terminal.split();
        let running = self.exit.is_none();
        let rest =
            self.writing.as_ref().filter(|_| self.signal.is_none()).map(|writing| &writing.bytes[writing.taken..end]);
        let drained_at = self.exit.as_ref().filter(|_| !self.paused).map(|ended| ended.silent_at.min(ended.give_up_at));
        tokio::select! {
            read = reader.read(&mut self.buffer), if self.output != Output::Ended && !self.paused => Turn::Read(read),
            wrote = writer.write(rest.unwrap_or_default()), if rest.is_some() => Turn::Wrote(wrote),
            status = self.child.wait(), if running => Turn::Ended(status),
            () = at(drained_at), if drained_at.is_some() => Turn::DrainedLongEnough,
            () = at(effective_at), if effective_at.is_some() => Turn::SignalDue,
            () = at(self.kill_at), if self.kill_at.is_some() => Turn::KillDue,
            // The command has ended and the owner has paused reading: the caller asks again after resuming.
            else => future::pending().await,
        }
    }

    /// The `read` bytes that are in the buffer now.
    fn output_of(&mut self, read: usize) -> Vec<u8> {
        // If the kernel had reported the end, that was too early.
        self.output = Output::Flows;
        if let Some(ended) = &mut self.exit {
            ended.silent_at = Instant::now() + DRAIN_SILENCE;
        }
        self.buffer[..read].to_vec()
    }

    /// Notes a report of the kernel that no more output comes.
    fn end_output(&mut self) {
        self.output = match self.output {
            Output::Flows => Output::SaysEnded,
            Output::SaysEnded | Output::Ended => Output::Ended,
        };
    }

    /// Ends draining, after handing over the output that is already available: this process may have been the late one.
    /// A process that never falls silent gets one more read.
    fn last_output(&mut self) -> Option<Vec<u8>> {
        let read = rustix::io::read(&self.terminal, &mut self.buffer).ok().filter(|read| *read > 0);
        let last = read.map(|read| self.output_of(read));
        if last.is_none() || self.exit.as_ref().is_some_and(|ended| ended.give_up_at <= Instant::now()) {
            self.output = Output::Ended;
        }
        last
    }

    fn signal(&self, signals: &[Signal]) {
        // Without an id the process is reaped, and its number may already belong to another process.
        let Some(child) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else {
            return;
        };
        let foreground = tcgetpgrp(&self.terminal).ok().filter(|group| *group != child);
        for group in [Some(child), foreground].into_iter().flatten() {
            for signal in signals {
                if let Err(error) = kill_process_group(group, *signal) {
                    tracing::debug!(%error, ?signal, "signalling the command failed");
                }
            }
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

fn into_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(errno) => errno.into(),
        error @ (pty_process::Error::TokioAsyncFd(_) | pty_process::Error::Unsplit(..)) => {
            io::Error::other(error.to_string())
        }
    }
}
