//! A person's own terminal in raw mode, and its pending output.

use std::io;
use std::time::Duration;

use beach_runtime_tokio::pty::LineSettings;
use beach_runtime_tokio::tty::{RawMode, Writer};

/// The longest wait for a slow terminal to take the last output.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// A person's own terminal. `drop` leaves raw mode, and writes the epilogue.
pub(crate) struct OwnTerminal {
    writer: Writer,
    /// Output that the terminal has not taken yet.
    unwritten: Vec<u8>,
    raw: RawMode,
}

impl OwnTerminal {
    /// Enters raw mode. `epilogue` resets the terminal at the end, after a panic too.
    ///
    /// # Errors
    /// There is no terminal, or the terminal refuses raw mode.
    pub(crate) fn start(epilogue: &'static [u8]) -> io::Result<OwnTerminal> {
        let raw = RawMode::enter(epilogue)?;
        Ok(OwnTerminal { writer: Writer::start()?, unwritten: Vec::new(), raw })
    }

    /// The line settings that the terminal had before raw mode.
    pub(crate) fn line_settings(&self) -> LineSettings {
        self.raw.line_settings()
    }

    /// Writes `bytes` behind all pending output.
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
            && let Err(back) = self.writer.try_write(std::mem::take(&mut self.unwritten))
        {
            self.unwritten = back;
        }
    }

    /// Whether output is pending.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Waits until the terminal takes output again. Cancel-safe.
    pub(crate) async fn ready(&mut self) {
        self.writer.ready().await;
    }

    /// Waits until the terminal has taken all pending output, for at most [`FLUSH_WITHIN`].
    pub(crate) async fn flush(&mut self) {
        self.write();
        self.writer.flush(FLUSH_WITHIN).await;
    }

    /// Leaves raw mode and stops this process as Ctrl-Z does; returns when the process continues.
    pub(crate) fn suspend(&self) {
        self.raw.suspend().unwrap_or_else(|error| tracing::warn!(%error, "not suspended"));
    }

    /// Enters raw mode again after a stop.
    pub(crate) fn resume(&self) {
        self.raw.resume().unwrap_or_else(|error| tracing::warn!(%error, "no raw mode"));
    }
}
