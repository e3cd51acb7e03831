//! Writing into a pseudo-terminal: one write at a time. Signal characters of the host's person take effect even while
//! no program reads.

use std::io;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::process::{Signal, kill_process_group};
use rustix::termios::{LocalModes, QueueSelector, SpecialCodeIndex, tcflush, tcgetattr, tcgetpgrp};
use tokio::time::Instant;

use super::Pty;

/// Time for a written signal character to take effect; after it, the character waits behind input that no program
/// reads.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(5);

/// The one outstanding write.
pub(super) struct Writing {
    pub(super) bytes: Vec<u8>,
    pub(super) taken: usize,
    author: Author,
}

/// The author of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    /// The person at the host's own terminal: their signal characters overtake all unread input.
    Own,
    Other,
}

/// A signal character that the terminal took.
pub(super) struct Signalled {
    byte: u8,
    pub(super) effective_at: Instant,
}

impl Pty {
    /// Writes `bytes` to the command. Only one write may be outstanding: wait for
    /// [`PtyEvent::Written`](super::PtyEvent::Written) before the next.
    ///
    /// `Written` also comes when the command is gone, so a writer never waits in vain. The call itself writes as many
    /// bytes as the terminal takes at once, because a person waits for the echo.
    pub fn write(&mut self, bytes: Vec<u8>) {
        self.begin(bytes, Author::Other);
    }

    /// As [`write`](Pty::write), for keys of the person at the host's own terminal. A signal character among them
    /// (Ctrl-C, Ctrl-Z, Ctrl-\\, unless the program switched signals off) takes effect even while no program reads and
    /// the terminal is full: the input before the character is dropped, as the terminal itself does at a signal.
    pub fn write_own(&mut self, bytes: Vec<u8>) {
        self.begin(bytes, Author::Own);
    }

    /// Gives up the outstanding write, and returns how many of its bytes the terminal took. `None` if no write is
    /// outstanding: its
    /// [`PtyEvent::Written`](super::PtyEvent::Written) was already returned.
    pub fn take_back(&mut self) -> Option<usize> {
        self.writing.take().map(|writing| writing.taken)
    }

    fn begin(&mut self, bytes: Vec<u8>, author: Author) {
        debug_assert!(self.writing.is_none(), "one write at a time: wait for Written");
        match &mut self.writing {
            // A bug of the caller; a release build must not lose a key even so.
            Some(writing) => writing.bytes.extend_from_slice(&bytes),
            None => self.writing = Some(Writing { bytes, taken: 0, author }),
        }
        self.advance();
    }

    /// Writes as many bytes as the terminal takes at once, up to the next signal character, and that character in any
    /// case.
    pub(super) fn advance(&mut self) {
        while self.signal.is_none() {
            let end = self.writable();
            let Some(writing) = self.writing.as_ref().filter(|writing| writing.taken < end) else { return };
            // The write does not block; an error shows again when the rest is written.
            let taken = rustix::io::write(&self.terminal, &writing.bytes[writing.taken..end]).unwrap_or(0);
            self.wrote(taken);
            if !self.force_signal() {
                return;
            }
        }
    }

    /// The end of the part that may be written now: behind the next signal character.
    pub(super) fn writable(&self) -> usize {
        let Some(writing) = &self.writing else { return 0 };
        let signal = self.next_signal(writing);
        signal.map_or(writing.bytes.len(), |at| at + 1)
    }

    /// The position of the next signal character in a write of the host's person, if signal characters are enabled now.
    fn next_signal(&self, writing: &Writing) -> Option<usize> {
        if writing.author == Author::Other {
            return None;
        }
        let signals = self.signals()?;
        let at = writing.bytes[writing.taken..].iter().position(|byte| signals.iter().any(|(key, _)| key == byte))?;
        Some(writing.taken + at)
    }

    /// The signal characters that are enabled now, each with its signal.
    fn signals(&self) -> Option<[(u8, Signal); 3]> {
        let settings = tcgetattr(&self.terminal).ok().filter(|it| it.local_modes.contains(LocalModes::ISIG))?;
        let keys = [
            (SpecialCodeIndex::VINTR, Signal::INT),
            (SpecialCodeIndex::VQUIT, Signal::QUIT),
            (SpecialCodeIndex::VSUSP, Signal::TSTP),
        ];
        // A zero means that the key is disabled; 0xff stands for it, which is no ASCII key.
        Some(keys.map(|(index, signal)| {
            (Some(settings.special_codes[index]).filter(|key| *key != 0).unwrap_or(0xff), signal)
        }))
    }

    /// Notes that the terminal took `taken` more bytes.
    pub(super) fn wrote(&mut self, taken: usize) {
        let Some(writing) = &self.writing else { return };
        let signal = self.next_signal(writing).filter(|at| *at < writing.taken + taken);
        let byte = signal.map(|at| writing.bytes[at]);
        if let Some(writing) = &mut self.writing {
            writing.taken += taken;
        }
        if let Some(byte) = byte {
            self.signal = Some(Signalled { byte, effective_at: Instant::now() + SIGNAL_PATIENCE });
        }
    }

    /// Makes room for a signal character that waits, and writes it. True if the write got further.
    fn force_signal(&mut self) -> bool {
        let Some(writing) = self.writing.as_ref().filter(|_| self.signal.is_none()) else { return false };
        let Some(at) = self.next_signal(writing) else { return false };
        let delivered = self.deliver(writing.bytes[at]);
        if let Some(writing) = self.writing.as_mut().filter(|_| delivered) {
            writing.taken = at + 1;
        }
        delivered
    }

    /// Checks a signal character that was written [`SIGNAL_PATIENCE`] ago. Its signal empties the program's input
    /// queue, so the character still waits if the queue holds anything.
    pub(super) fn check_signal(&mut self) {
        let Some(Signalled { byte, .. }) = self.signal.take() else { return };
        let waits = self.inside().and_then(|inside| Ok(ioctl_fionread(&inside)?)).is_ok_and(|unread| unread > 0);
        if waits {
            tracing::debug!("a signal waited behind input that is not read");
            self.deliver(byte);
        }
    }

    /// Makes a signal character take effect whatever waits before it; false on failure.
    fn deliver(&self, byte: u8) -> bool {
        let Some(signals) = self.signals() else { return false };
        let Some((_, signal)) = signals.into_iter().find(|(key, _)| *key == byte) else { return false };
        let keeps = tcgetattr(&self.terminal).is_ok_and(|it| it.local_modes.contains(LocalModes::NOFLSH));
        // If signals drop earlier input, empty the terminal: it then handles the character itself.
        if !keeps && self.empty().is_ok() && rustix::io::write(&self.terminal, &[byte]) == Ok(1) {
            return true;
        }
        tcgetpgrp(&self.terminal).and_then(|group| kill_process_group(group, signal)).is_ok()
    }

    /// Drops all unread input: first bytes that the line discipline has not processed, then bytes that wait to be read.
    fn empty(&self) -> io::Result<()> {
        tcflush(&self.terminal, QueueSelector::OFlush)?;
        tcflush(self.inside()?, QueueSelector::IFlush)?;
        Ok(())
    }

    /// Opens the programs' end of the terminal, for one call only: while this end is open, the kernel does not report
    /// the last program's end.
    #[cfg(target_os = "linux")]
    fn inside(&self) -> io::Result<std::os::fd::OwnedFd> {
        use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        Ok(ioctl_tiocgptpeer(&self.terminal, flags)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn inside(&self) -> io::Result<std::os::fd::OwnedFd> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
