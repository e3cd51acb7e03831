//! A timer, which every turn of the loop sets anew.
//!
//! The runtime's own timers wake its thread up each time one is set earlier than all the others, which is two calls of
//! the system too many between a key and its echo. On Linux the timer is a file of its own instead, which counts the
//! time that the machine sleeps. A deadline that moves away leaves the timer alone: the timer then rings early, once,
//! and is set again.

use std::future;
use std::time::Instant;

#[cfg(target_os = "linux")]
use {
    rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    },
    std::os::fd::OwnedFd,
    std::time::Duration,
    tokio::io::unix::AsyncFd,
};

/// Two deadlines that differ by less than this are the same deadline, reckoned from two clocks.
#[cfg(target_os = "linux")]
const SLACK: Duration = Duration::from_micros(50);

/// A timer, as the module says. Needs a tokio runtime with I/O and time enabled.
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<AsyncFd<OwnedFd>>,
    /// When the timer rings.
    #[cfg(target_os = "linux")]
    set: Option<Instant>,
}

impl Alarm {
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> Alarm {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC).ok();
        Alarm { timer: timer.and_then(crate::readable), set: None }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> Alarm {
        Alarm {}
    }

    /// Waits until `deadline`; without one, for ever. Cancel-safe.
    pub(crate) async fn at(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return future::pending().await };
        #[cfg(target_os = "linux")]
        if self.timer.is_some() {
            return self.rings(deadline).await;
        }
        tokio::time::sleep_until(deadline.into()).await;
    }

    #[cfg(target_os = "linux")]
    async fn rings(&mut self, deadline: Instant) {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let Some(timer) = &self.timer else { return };
            if self.set.is_none_or(|set| set > deadline + SLACK) {
                self.set = set(timer.get_ref(), left).then_some(deadline);
            }
            if self.set.is_none() {
                return tokio::time::sleep_until(deadline.into()).await;
            }
            let Ok(mut ready) = timer.readable().await else { return };
            let mut count = [0; 8];
            let rang = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?));
            if rang.is_ok() {
                self.set = None;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn set(timer: &OwnedFd, left: Duration) -> bool {
    let Ok(left) = Timespec::try_from(left) else { return false };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: left };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_last_deadline_that_was_asked_for_and_not_before() {
        let start = Instant::now();
        let after = |millis| Some(start + std::time::Duration::from_millis(millis));
        let mut alarm = Alarm::new();
        for deadline in [after(500), after(10), after(60)] {
            tokio::select! {
                biased;
                () = alarm.at(deadline) => panic!("too early"),
                () = tokio::task::yield_now() => {}
            }
        }
        alarm.at(after(60)).await;
        let took = start.elapsed();
        assert!((60..400).contains(&took.as_millis()), "{took:?}");
        alarm.at(after(0)).await;
    }
}
