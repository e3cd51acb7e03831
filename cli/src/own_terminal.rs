//! The terminal that a person sits at, in raw mode, with the output that it did not take yet.

use std::io;
use std::time::Duration;

use beach_runtime_tokio::tty::{RawMode, Screen};

/// The last output gets this long to reach a slow terminal.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// A person's own terminal. Dropping it leaves raw mode, and writes the epilogue that it was started with.
pub(crate) struct OwnTerminal {
    screen: Screen,
    /// Output that the terminal did not take yet.
    unwritten: Vec<u8>,
    raw: RawMode,
}

impl OwnTerminal {
    /// Enters raw mode. `epilogue` undoes whatever may be set on the terminal from now on, also after a panic.
    ///
    /// # Errors
    /// There is no terminal, or the terminal refuses raw mode.
    pub(crate) fn start(epilogue: &'static [u8]) -> io::Result<OwnTerminal> {
        let raw = RawMode::enter(epilogue)?;
        Ok(OwnTerminal { screen: Screen::start()?, unwritten: Vec::new(), raw })
    }

    /// Writes `bytes` behind everything that was not taken yet.
    pub(crate) fn show(&mut self, bytes: Vec<u8>) {
        if self.unwritten.is_empty() {
            self.unwritten = bytes;
        } else {
            self.unwritten.extend_from_slice(&bytes);
        }
        self.write();
    }

    /// Writes as much as the terminal takes.
    pub(crate) fn write(&mut self) {
        if !self.unwritten.is_empty()
            && let Err(back) = self.screen.try_write(std::mem::take(&mut self.unwritten))
        {
            self.unwritten = back;
        }
    }

    /// Whether the terminal has not taken all that was shown.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Waits until the terminal takes output again. Cancel-safe.
    pub(crate) async fn ready(&mut self) {
        self.screen.ready().await;
    }

    /// Waits, for a bounded time, until the terminal has taken what was written.
    pub(crate) async fn flush(&mut self) {
        self.write();
        self.screen.flush(FLUSH_WITHIN).await;
    }

    /// Stops this process as Ctrl-Z does, with the terminal as it was before; returns when the process goes on.
    pub(crate) fn suspend(&self) {
        self.raw.suspend().unwrap_or_else(|error| tracing::warn!(%error, "not suspended"));
    }

    /// Enters raw mode again after the process was stopped.
    pub(crate) fn resume(&self) {
        self.raw.resume().unwrap_or_else(|error| tracing::warn!(%error, "no raw mode"));
    }
}
