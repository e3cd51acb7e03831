//! Raw mode, and giving the terminal back on every way out.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Signal as ProcessSignal;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios};

use crate::pty::LineSettings;

/// Bytes written to the terminal between two looks at whether it still takes any. Small, so that restoring the terminal
/// waits for little; large enough that a full screen is a few writes.
const OUTPUT_CHUNK_BYTES: usize = 1024;

/// How long the epilogue may wait for a terminal that takes no output: an exit must not hang on a courtesy.
pub(super) const EPILOGUE_PATIENCE: Duration = Duration::from_millis(200);

/// How often a busy output is looked at again while the epilogue waits.
const EPILOGUE_STEP: Duration = Duration::from_millis(2);

/// How long a stop may take to reach every thread. Another thread than the caller's may be the one to take the signal,
/// and raw mode must not come back before the stop. A stop that happens costs nothing: the time runs on meanwhile.
const STOP_PATIENCE: Duration = Duration::from_millis(100);

/// How to give the terminal back; `Some` exactly while the terminal is raw.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

/// The side that may write to the terminal.
pub(super) static GATE: Gate = Gate::new();

/// Raw mode is on while this lives, except between a suspension and its end.
///
/// There is one terminal, so there is one of these at a time.
#[derive(Debug)]
pub struct RawMode {
    original: Termios,
    epilogue: &'static [u8],
}

/// Serialises output with the moment the terminal is given back: nothing of a screen is written after the epilogue.
pub(super) struct Gate {
    /// Whether the terminal is given back, and takes no more output.
    pub(super) shut: AtomicBool,
    /// Held for each chunk, and for the epilogue.
    writing: Mutex<()>,
}

struct Saved {
    original: Termios,
    epilogue: &'static [u8],
}

impl RawMode {
    /// Puts the terminal on stdin into raw mode. Restoring it also writes `epilogue` to stdout: what undoes the escape
    /// sequences in use (mouse, paste, alternate screen, cursor). The epilogue should stay below 256 bytes. The
    /// epilogue may interrupt a frame in the middle of a sequence, so it should begin with what ends one (CAN, `\x18`).
    ///
    /// # Errors
    /// Stdin is not a terminal, the terminal is gone, or raw mode is on already.
    pub fn enter(epilogue: &'static [u8]) -> io::Result<Self> {
        if lock(&SAVED).is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "raw mode is on already"));
        }
        let mode = Self { original: rustix::termios::tcgetattr(stdin())?, epilogue };
        mode.resume()?;
        Ok(mode)
    }

    /// The line settings that the terminal had before.
    #[must_use]
    pub fn line_settings(&self) -> LineSettings {
        LineSettings::of(self.original.clone())
    }

    /// Gives the terminal back, stops this process group as ^Z would, and returns in raw mode when it is continued. The
    /// screen is to be drawn anew then, and its size asked for.
    ///
    /// SIGTTOU, not SIGTSTP, stops the group: it has the same effect, is likewise ignored when there is no shell
    /// to come back to, and unlike SIGTSTP has no handler of [`Signals`](crate::signals::Signals) in front of it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&self) -> io::Result<()> {
        restore_now();
        rustix::process::kill_current_process_group(ProcessSignal::TTOU)?;
        thread::sleep(STOP_PATIENCE);
        self.resume()
    }

    /// Puts the terminal (back) into raw mode. For [`SystemSignal::Continue`](crate::signals::SystemSignal::Continue):
    /// after a stop that nobody announced, the shell has changed the terminal.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&self) -> io::Result<()> {
        let mut raw = self.original.clone();
        raw.make_raw();
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // The settings are saved first: after a signal between the two, restoring them changes nothing.
        *lock(&SAVED) = Some(Saved { original: self.original.clone(), epilogue: self.epilogue });
        // Not "when drained": a stalled terminal would hold us.
        if let Err(error) = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw) {
            *lock(&SAVED) = None;
            return Err(error.into());
        }
        GATE.shut.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore_now();
    }
}

/// Gives the terminal back now: its settings, then the epilogue. Output of [`Writer`](super::Writer) that is not
/// written yet is discarded: flush it first. Idempotent, from any thread, and never blocks for longer than a fraction
/// of a second.
pub fn restore_now() {
    // Held to the end: a second caller returns when the terminal is restored, not before. Nothing in here may panic or
    // log, since the panic hook calls this.
    let mut raw = lock(&SAVED);
    if let Some(saved) = raw.take() {
        // The settings first, and without waiting for output: they matter most. An error means that the terminal is
        // gone.
        let _ = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &saved.original);
        GATE.finish(stdout(), saved.epilogue);
    }
}

/// Makes a panic restore the terminal before its message is printed. The earlier hook runs after. Further calls do
/// nothing.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore_now();
            previous(info);
        }));
    });
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self { shut: AtomicBool::new(false), writing: Mutex::new(()) }
    }

    /// Writes all of `bytes`, waiting for the terminal as long as it takes, and gives up when the gate shuts.
    pub(super) fn write(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            writable(output, None)?;
            let _writing = lock(&self.writing);
            if self.shut.load(Ordering::SeqCst) {
                return Ok(());
            }
            let chunk = &rest[..rest.len().min(OUTPUT_CHUNK_BYTES)];
            match rustix::io::write(output, chunk) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes what the terminal takes without waiting, and returns the number of bytes taken. A shut gate takes and
    /// drops everything.
    pub(super) fn write_at_once(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> usize {
        let _writing = lock(&self.writing);
        let mut taken = 0;
        while taken < bytes.len() && !self.shut.load(Ordering::SeqCst) {
            match rustix::io::write(output, &bytes[taken..]) {
                Ok(written) => taken += written,
                Err(Errno::INTR) => {}
                // Any other error shows itself again at the next write.
                Err(_) => return taken,
            }
        }
        bytes.len()
    }

    /// Shuts the gate and writes the epilogue, unless the terminal takes nothing for [`EPILOGUE_PATIENCE`].
    pub(super) fn finish(&self, output: BorrowedFd<'_>, epilogue: &[u8]) {
        let deadline = Instant::now() + EPILOGUE_PATIENCE;
        self.shut.store(true, Ordering::SeqCst);
        let _writing = loop {
            match self.writing.try_lock() {
                Ok(writing) => break writing,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                // A write is under way. When it does not end, the terminal is stalled, and no epilogue would get
                // through.
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return,
                Err(TryLockError::WouldBlock) => thread::sleep(EPILOGUE_STEP),
            }
        };
        let mut rest = epilogue;
        while !rest.is_empty() {
            let patience = deadline.saturating_duration_since(Instant::now());
            if !writable(output, Some(patience)).unwrap_or(false) {
                return;
            }
            match rustix::io::write(output, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) if !patience.is_zero() => {}
                Err(_) => return,
            }
        }
    }
}
/// Waits until a write would be taken; `false` when `patience` ran out first.
fn writable(output: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<bool> {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(output, PollFlags::OUT)];
        match rustix::event::poll(&mut waiting, patience.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
/// The locked values are whole at every moment, so a lock is used on after a panic of another holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
