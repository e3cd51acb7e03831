//! The clock of the state machines. The clock goes on while the computer sleeps: after a sleep, deadlines are past, and
//! a state machine concludes that it was suspended.

use std::time::{Duration, Instant};

use beach_core::time::Timestamp;

/// A clock that counts from an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
    /// The system's clock at the epoch, if the system has a clock that goes on during suspend.
    at_epoch: Option<Duration>,
}

impl Clock {
    /// A clock that counts from `epoch`, which is not long ago.
    #[must_use]
    pub fn since(epoch: Instant) -> Clock {
        let elapsed = epoch.elapsed();
        Clock { epoch, at_epoch: since_boot().map(|now| now.saturating_sub(elapsed)) }
    }

    /// The time since the epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = self.at_epoch.and_then(|at_epoch| since_boot()?.checked_sub(at_epoch));
        Timestamp::from(elapsed.unwrap_or_else(|| self.epoch.elapsed()))
    }

    /// The time `at` on the clock of the runtime's timers, which stands still while the computer sleeps.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).ok()
}

/// On other systems than Linux, what `Instant` does in a sleep depends on the system.
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
