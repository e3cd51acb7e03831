//! The machines' clock. It goes on while the machine sleeps, so that whoever wakes finds its deadlines past, and knows.

use std::time::{Duration, Instant};

use beach_core::time::Timestamp;

/// Counts from an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
    /// What the system's clock said at the epoch, if it has one that goes on.
    at_epoch: Option<Duration>,
}

impl Clock {
    /// From `epoch`, which is not long ago.
    #[must_use]
    pub fn since(epoch: Instant) -> Clock {
        let elapsed = epoch.elapsed();
        Clock { epoch, at_epoch: since_boot().map(|now| now.saturating_sub(elapsed)) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = self.at_epoch.and_then(|at_epoch| since_boot()?.checked_sub(at_epoch));
        Timestamp::from(elapsed.unwrap_or_else(|| self.epoch.elapsed()))
    }

    /// When it will be `at`, on the clock of the runtime's timers, which stands still while the machine sleeps.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).ok()
}

/// Elsewhere it depends on the system what `Instant` does in a sleep.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_nobody_sleeps_it_goes_with_the_other_clock() {
        let epoch = Instant::now() - Duration::from_secs(3);
        let clock = Clock::since(epoch);
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(1));
            let (before, now, after) = (epoch.elapsed(), clock.now().since_start(), epoch.elapsed());
            let slack = Duration::from_millis(1);
            assert!(before <= now + slack && now <= after + slack, "{before:?} {now:?} {after:?}");
        }
    }
}
