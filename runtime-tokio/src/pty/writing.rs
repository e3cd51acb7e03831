//! What is written into a pseudo-terminal: one write at a time, in which the signal characters of the person at the terminal around this
//! one take effect even while no program reads.

use std::io;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::process::{Signal, kill_process_group};
use rustix::termios::{LocalModes, QueueSelector, SpecialCodeIndex, tcflush, tcgetattr, tcgetpgrp};
use tokio::time::Instant;

use super::Pty;

/// A signal character that the terminal took has taken effect after this time, or waits behind input that no program reads.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(5);

/// The one outstanding write.
pub(super) struct Writing {
    pub(super) bytes: Vec<u8>,
    pub(super) taken: usize,
    author: Author,
}

/// Whose keys are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    /// The person's at the terminal around this one: signals among them go past everything.
    Own,
    Other,
}

/// A signal character that the terminal took.
pub(super) struct Signalled {
    byte: u8,
    pub(super) effective_at: Instant,
}

impl Pty {
    /// Hands `bytes` to the command. One write may be outstanding: wait for [`PtyEvent::Written`](super::PtyEvent::Written) before the next.
    ///
    /// `Written` also comes when the command is gone, so a writer never waits for nobody. What the terminal takes at once is with it
    /// when this returns: somebody waits for the echo.
    pub fn write(&mut self, bytes: Vec<u8>) {
        self.begin(bytes, Author::Other);
    }

    /// As [`write`](Pty::write), for keys of the person at the terminal around this one. A signal character among them (Ctrl-C,
    /// Ctrl-Z, Ctrl-\\, if the program left them their meaning) takes effect even while the terminal takes no more, since no program
    /// reads: the input before the character is dropped, as the terminal itself does at a signal.
    pub fn write_own(&mut self, bytes: Vec<u8>) {
        self.begin(bytes, Author::Own);
    }

    /// Gives up the write that is outstanding, and says how many of its bytes the terminal took. `None`, and nothing is given up, if
    /// there is none: its [`PtyEvent::Written`](super::PtyEvent::Written) was told already.
    pub fn take_back(&mut self) -> Option<usize> {
        self.writing.take().map(|writing| writing.taken)
    }

    fn begin(&mut self, bytes: Vec<u8>, author: Author) {
        debug_assert!(self.writing.is_none(), "one write at a time: wait for Written");
        match &mut self.writing {
            // Our bug, and a release build must still not lose a key.
            Some(writing) => writing.bytes.extend_from_slice(&bytes),
            None => self.writing = Some(Writing { bytes, taken: 0, author }),
        }
        self.advance();
    }

    /// Writes what the terminal takes at once, up to a signal character, and a signal character in any case.
    pub(super) fn advance(&mut self) {
        while self.signal.is_none() {
            let end = self.writable();
            let Some(writing) = self.writing.as_ref().filter(|writing| writing.taken < end) else { return };
            // It does not block; whatever is wrong shows itself again when the rest is written.
            let taken = rustix::io::write(&self.terminal, &writing.bytes[writing.taken..end]).unwrap_or(0);
            self.wrote(taken);
            if !self.force_signal() {
                return;
            }
        }
    }

    /// Where the part of the write ends that may be written now: behind the next signal character.
    pub(super) fn writable(&self) -> usize {
        let Some(writing) = &self.writing else { return 0 };
        let signal = self.next_signal(writing);
        signal.map_or(writing.bytes.len(), |at| at + 1)
    }

    /// Where the next signal character stands, if the write is the person's own and such characters mean signals now.
    fn next_signal(&self, writing: &Writing) -> Option<usize> {
        if writing.author == Author::Other {
            return None;
        }
        let signals = self.signals()?;
        let at = writing.bytes[writing.taken..].iter().position(|byte| signals.iter().any(|(key, _)| key == byte))?;
        Some(writing.taken + at)
    }

    /// The characters that mean signals now, and which.
    fn signals(&self) -> Option<[(u8, Signal); 3]> {
        let settings = tcgetattr(&self.terminal).ok().filter(|it| it.local_modes.contains(LocalModes::ISIG))?;
        let keys = [
            (SpecialCodeIndex::VINTR, Signal::INT),
            (SpecialCodeIndex::VQUIT, Signal::QUIT),
            (SpecialCodeIndex::VSUSP, Signal::TSTP),
        ];
        // A zero says that there is no such key; it is taken for one that nobody can type in ASCII.
        Some(keys.map(|(index, signal)| {
            (Some(settings.special_codes[index]).filter(|key| *key != 0).unwrap_or(0xff), signal)
        }))
    }

    /// The terminal took so many more bytes.
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

    /// If a signal character waits for room, makes room, and writes the character. Whether the write got further.
    fn force_signal(&mut self) -> bool {
        let Some(writing) = self.writing.as_ref().filter(|_| self.signal.is_none()) else { return false };
        let Some(at) = self.next_signal(writing) else { return false };
        let delivered = self.deliver(writing.bytes[at]);
        if let Some(writing) = self.writing.as_mut().filter(|_| delivered) {
            writing.taken = at + 1;
        }
        delivered
    }

    /// A signal character was taken a while ago. Its signal empties the queue of the program's input; if something is in there, the
    /// character waits behind it.
    pub(super) fn check_signal(&mut self) {
        let Some(Signalled { byte, .. }) = self.signal.take() else { return };
        let waits = self.inside().and_then(|inside| Ok(ioctl_fionread(&inside)?)).is_ok_and(|unread| unread > 0);
        if waits {
            tracing::debug!("a signal waited behind input that is not read");
            self.deliver(byte);
        }
    }

    /// Makes a signal character take effect whatever waits before it; false if that cannot be.
    fn deliver(&self, byte: u8) -> bool {
        let Some(signals) = self.signals() else { return false };
        let Some((_, signal)) = signals.into_iter().find(|(key, _)| *key == byte) else { return false };
        let keeps = tcgetattr(&self.terminal).is_ok_and(|it| it.local_modes.contains(LocalModes::NOFLSH));
        // Where a signal drops what was typed before it, the terminal can be emptied, and then does itself what the character means.
        if !keeps && self.empty().is_ok() && rustix::io::write(&self.terminal, &[byte]) == Ok(1) {
            return true;
        }
        tcgetpgrp(&self.terminal).and_then(|group| kill_process_group(group, signal)).is_ok()
    }

    /// Drops all input that no program has read: what the terminal has not looked at, and then what waits to be read.
    fn empty(&self) -> io::Result<()> {
        tcflush(&self.terminal, QueueSelector::OFlush)?;
        tcflush(self.inside()?, QueueSelector::IFlush)?;
        Ok(())
    }

    /// The end of the terminal that programs have, for as long as one call takes: while it is open, the last program's end is not seen.
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
