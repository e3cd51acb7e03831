//! Keys from stdin.

use std::fmt;
use std::future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::stdio::stdin;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::reopen;

/// Most bytes in one [`KeyEvent::Bytes`]: what the kernel's line buffer holds.
pub const KEY_BYTES_MAX: usize = 4096;

/// Key events not yet asked for: 64 KiB of typing. When it is full, keys stay in the kernel.
const KEYS_MAX: usize = 16;

/// Events of the keyboard.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyEvent {
    /// Bytes as typed, 1 to [`KEY_BYTES_MAX`], cut anywhere.
    Bytes(Vec<u8>),
    /// Stdin has ended, or the terminal is gone. Comes once, last.
    End,
}

impl fmt::Debug for KeyEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::End => f.write_str("End"),
        }
    }
}

/// Keys from stdin.
///
/// Stdin is shared with other processes, so it is never made non-blocking. A terminal is opened once more instead, as
/// an open file of our own that does not block, and the loop reads it: a thread in between would cost every key two
/// changes of context. A thread reads anything else, and waits so that the loop need not.
///
/// After the drop no byte is taken any more, so that keys typed ahead stay for the shell.
pub struct Keys(Source);

enum Source {
    Terminal {
        terminal: AsyncFd<OwnedFd>,
        ended: bool,
    },
    Thread {
        events: mpsc::Receiver<KeyEvent>,
        /// The thread ends when this is dropped.
        _stop: OwnedFd,
    },
}
impl Keys {
    /// Starts reading stdin. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// No pipe or no thread could be had.
    pub fn start() -> io::Result<Self> {
        match reopen(stdin(), OFlags::RDONLY).and_then(crate::readable) {
            Some(terminal) => Ok(Self(Source::Terminal { terminal, ended: false })),
            None => Self::read_from(stdin()),
        }
    }

    pub(super) fn read_from(input: impl AsFd + Send + 'static) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (sender, events) = mpsc::channel(KEYS_MAX);
        thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while let Some(event) = read_keys(input.as_fd(), stopped.as_fd()) {
                let last = event == KeyEvent::End;
                // An error here: the receiver is gone.
                if sender.blocking_send(event).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self(Source::Thread { events, _stop: stop }))
    }

    /// Waits for the next event. Cancel-safe. After [`KeyEvent::End`] it pends for ever.
    pub async fn next(&mut self) -> KeyEvent {
        match &mut self.0 {
            Source::Terminal { ended: true, .. } => future::pending().await,
            Source::Terminal { terminal, ended } => {
                let event = read_terminal(terminal).await;
                *ended = event == KeyEvent::End;
                event
            }
            Source::Thread { events, .. } => match events.recv().await {
                Some(event) => event,
                None => future::pending().await,
            },
        }
    }
}

async fn read_terminal(terminal: &AsyncFd<OwnedFd>) -> KeyEvent {
    let mut buffer = [0; KEY_BYTES_MAX];
    loop {
        let Ok(mut ready) = terminal.readable().await else { return KeyEvent::End };
        let read = ready.try_io(|terminal| Ok(rustix::io::read(terminal.get_ref(), &mut buffer)?));
        match read {
            Ok(Ok(0)) => return KeyEvent::End,
            Ok(Ok(length)) => return KeyEvent::Bytes(buffer[..length].to_vec()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "reading the keyboard failed");
                return KeyEvent::End;
            }
            Err(_would_block) => {}
        }
    }
}

/// Waits for keys and takes them. `None`: the thread is told to stop.
fn read_keys(input: BorrowedFd<'_>, stopped: BorrowedFd<'_>) -> Option<KeyEvent> {
    let mut buffer = [0; KEY_BYTES_MAX];
    loop {
        let mut waiting =
            [PollFd::from_borrowed_fd(input, PollFlags::IN), PollFd::from_borrowed_fd(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Some(KeyEvent::End),
        }
        if !waiting[1].revents().is_empty() {
            return None;
        }
        if waiting[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => return Some(KeyEvent::End),
            Ok(length) => return Some(KeyEvent::Bytes(buffer[..length].to_vec())),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                tracing::debug!(%error, "reading the keyboard failed");
                return Some(KeyEvent::End);
            }
        }
    }
}
