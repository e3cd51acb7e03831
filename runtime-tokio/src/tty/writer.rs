//! Output to the terminal on stdout.

use std::future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::stdio::stdout;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::raw::{GATE, Gate};
use super::reopen;

/// The terminal's output. The loop writes as much as the terminal takes at once. A thread writes the rest, so that a
/// stalled terminal (^S, a frozen window) never holds the loop up. One write may be under way: meanwhile the caller
/// collects newer output.
pub struct Writer {
    /// The terminal as an open file of our own that does not block.
    direct: Option<OwnedFd>,
    gate: &'static Gate,
    to_write: mpsc::Sender<Vec<u8>>,
    submitted: u64,
    finished: watch::Receiver<u64>,
}

impl Writer {
    /// Starts the thread that writes to stdout.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start() -> io::Result<Self> {
        let mut writer = Self::write_to(stdout(), &GATE)?;
        writer.direct = reopen(stdout(), OFlags::WRONLY);
        Ok(writer)
    }

    pub(super) fn write_to(output: impl AsFd + Send + 'static, gate: &'static Gate) -> io::Result<Self> {
        let (to_write, mut writes) = mpsc::channel::<Vec<u8>>(1);
        let (finish, finished) = watch::channel(0);
        thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            let mut gone = false;
            while let Some(bytes) = writes.blocking_recv() {
                if !gone && let Err(error) = gate.write(output.as_fd(), &bytes) {
                    // From here on output goes nowhere; the hang-up signal ends the program.
                    tracing::debug!(%error, "the terminal takes no more output");
                    gone = true;
                }
                finish.send_modify(|count| *count += 1);
            }
        })?;
        Ok(Self { direct: None, gate, to_write, submitted: 0, finished })
    }

    /// Starts writing `bytes` if nothing else is being written.
    ///
    /// # Errors
    /// The last write is still under way: the bytes come back, to be merged and tried again after [`Writer::ready`].
    pub fn try_write(&mut self, mut bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if !self.is_ready() {
            return Err(bytes);
        }
        if let Some(direct) = &self.direct {
            let taken = self.gate.write_at_once(direct.as_fd(), &bytes);
            if taken == bytes.len() {
                return Ok(());
            }
            bytes.drain(..taken);
        }
        match self.to_write.try_send(bytes) {
            Ok(()) => {
                self.submitted += 1;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(bytes) | mpsc::error::TrySendError::Closed(bytes)) => Err(bytes),
        }
    }

    /// Whether a write would be accepted now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.finished.borrow() == self.submitted
    }

    /// Waits until a write would be accepted. Cancel-safe; at once when nothing is being written.
    pub async fn ready(&mut self) {
        let submitted = self.submitted;
        if self.finished.wait_for(|count| *count == submitted).await.is_err() {
            // The thread panicked: nothing will ever be written.
            future::pending().await
        }
    }

    /// Waits until everything accepted is with the terminal, for at most `patience`.
    pub async fn flush(&mut self, patience: Duration) {
        if timeout(patience, self.ready()).await.is_err() {
            tracing::debug!("the terminal did not take all output in time");
        }
    }
}
