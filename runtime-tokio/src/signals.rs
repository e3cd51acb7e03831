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
    terminate: Heeded,
    quit: Heeded,
    hang_up: Heeded,
    interrupt: Heeded,
    stop: Heeded,
    resumed: SignalStream,
}

impl Signals {
    /// Starts listening. A signal that this process was started to ignore (`nohup`, `&` in a script) is never reported,
    /// on Linux. Programs that this process starts get the usual effect of such a signal nevertheless: else nobody
    /// could interrupt them. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// The system refused a handler.
    pub fn start() -> io::Result<Self> {
        let ignored = ignored();
        let heeded = |kind| Heeded::start(kind, ignored);
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            terminate: heeded(SignalKind::terminate())?,
            quit: heeded(SignalKind::quit())?,
            hang_up: heeded(SignalKind::hangup())?,
            interrupt: heeded(SignalKind::interrupt())?,
            stop: heeded(SignalKind::from_raw(ProcessSignal::TSTP.as_raw()))?,
            resumed: signal(SignalKind::from_raw(ProcessSignal::CONT.as_raw()))?,
        })
    }

    /// Waits for the next signal. Cancel-safe. Several of one kind may arrive as one, as signals do. Signals that end
    /// the program come first.
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

/// A signal that this process heeds, unless the process was started to ignore the signal.
struct Heeded(Option<SignalStream>);

impl Heeded {
    /// Replaces the signal's effect, of an ignored signal too: `execve` resets a handler, and passes an ignored signal
    /// on.
    fn start(kind: SignalKind, ignored: u64) -> io::Result<Heeded> {
        let stream = signal(kind)?;
        let is_ignored = (1..=64).contains(&kind.as_raw_value()) && ignored >> (kind.as_raw_value() - 1) & 1 == 1;
        Ok(Heeded(Some(stream).filter(|_| !is_ignored)))
    }

    /// Cancel-safe.
    async fn recv(&mut self) -> Option<()> {
        match &mut self.0 {
            Some(stream) => stream.recv().await,
            None => future::pending().await,
        }
    }
}

/// The signals that this process ignores, one bit each, signal 1 in the lowest. To be read before the first handler is
/// set.
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_in(&status))
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_from_the_status_of_the_process() {
        // Of a process under nohup in the background of a script: SIGHUP, SIGINT, SIGQUIT, and SIGPIPE.
        assert_eq!(ignored_in("Name:\tbeach\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001007\n"), 0x1007);
        assert_eq!(ignored_in("Name:\tbeach\n"), 0);
    }
}
