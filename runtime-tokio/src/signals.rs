//! The signals that the system sends to this process.

use std::future;
use std::io;

use rustix::process::Signal as ProcessSignal;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// A signal sent to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemSignal {
    /// SIGWINCH: the terminal's size changed; see [`size`](crate::tty::size).
    Resize,
    /// SIGTERM, or SIGQUIT, which would otherwise end the process with its terminal still raw and its memory in a file.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGINT. In raw mode ^C is a key, so another process sent the signal.
    Interrupt,
    /// SIGTSTP from another process, to be answered with [`RawMode::suspend`](crate::tty::RawMode::suspend).
    Stop,
    /// SIGCONT: this process runs again after a stop.
    Continue,
}

/// Stops this process as ^Z would, while raw mode is off: the handler for SIGTSTP has swallowed it.
pub fn stop() {
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), ProcessSignal::STOP) {
        tracing::warn!(%error, "not stopped");
    }
}

/// The signals of this process. From the first start on, and for the life of the process, the signals no longer have
/// their usual effect: the caller must act on them.
pub struct Signals {
    resize: SignalStream,
    terminate: SignalStream,
    quit: SignalStream,
    hang_up: SignalStream,
    interrupt: SignalStream,
    stop: SignalStream,
    resumed: SignalStream,
}

impl Signals {
    /// Starts listening. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// The system refused a handler.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(SignalKind::from_raw(ProcessSignal::TSTP.as_raw()))?,
            resumed: signal(SignalKind::from_raw(ProcessSignal::CONT.as_raw()))?,
        })
    }

    /// Waits for the next signal. Cancel-safe. Several of one kind may arrive as one, as signals do. Those that end the
    /// program come first.
    pub async fn next(&mut self) -> SystemSignal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => SystemSignal::Terminate,
            Some(()) = self.quit.recv() => SystemSignal::Terminate,
            Some(()) = self.hang_up.recv() => SystemSignal::HangUp,
            Some(()) = self.interrupt.recv() => SystemSignal::Interrupt,
            Some(()) = self.stop.recv() => SystemSignal::Stop,
            Some(()) = self.resumed.recv() => SystemSignal::Continue,
            Some(()) = self.resize.recv() => SystemSignal::Resize,
            // The streams end only with the runtime.
            else => future::pending().await,
        }
    }
}
