//! How long a round trip takes, when an unanswered datagram counts as lost, and how much may be on its way.
//!
//! The engine paces, drops and limits nothing on the terminal lane, so all of it is decided here. The window follows
//! delay, not loss: a queue that builds up somewhere shows as a round trip above the least one, and is left to drain.

#[cfg(feature = "host")]
mod window;

use std::time::Duration;

use crate::time::Timestamp;

#[cfg(feature = "host")]
pub(crate) use self::window::Window;

/// Until the first answer a round trip is assumed to be this long.
const FIRST_TIMEOUT: Duration = Duration::from_millis(300);

/// The least time after which something unanswered counts as lost: timers and schedulers are late by some milliseconds.
const LEAST_TIMEOUT: Duration = Duration::from_millis(50);

/// The longest such time.
const MOST_TIMEOUT: Duration = Duration::from_secs(1);

/// The least that is added to the smoothed round trip.
const LEAST_SLACK: Duration = Duration::from_millis(10);

/// Timeouts in a row after which patience grows, and nothing but a probe is sent.
pub(crate) const PATIENT_MISSES: u32 = 2;

/// The least round trip is measured over the last one to two of these spans: a path may become longer for good.
const LEAST_WITHIN: Duration = Duration::from_secs(5);

/// The newest datagram's weight in the measured loss is one in this many.
const LOSS_WEIGHT: u32 = 64;

const WHOLE: u32 = 1 << 16;

/// Loss that is assumed at first, so that even the first key on an unknown path is repeated.
const FIRST_LOSS: u32 = WHOLE / 20;

/// Loss from which small datagrams are repeated twice instead of once, and loss from which twice is not enough.
const SOME_LOSS: u32 = WHOLE / 200;
const MUCH_LOSS: u32 = WHOLE / 10;

/// When small datagrams are repeated: far enough apart that one burst of losses does not take both, and long before
/// anybody waits for them. A path without losses gets one repetition too: its first lost datagram may be a key, and
/// only a copy spares that key a timeout.
const REPEATS: [Duration; 3] = [Duration::from_millis(15), Duration::from_millis(35), Duration::from_millis(70)];

/// Round trips and loss of one direction of a link.
pub(crate) struct RoundTrip {
    /// Smoothed, and its variation (RFC 6298, section 2).
    smoothed: Option<(Duration, Duration)>,
    /// The least of the current span of time and of the one before, and when the current one began.
    least: (Option<Duration>, Option<Duration>, Timestamp),
    worst: Option<Duration>,
    heard_at: Timestamp,
    missed_at: Timestamp,
    misses: u32,
    loss: u32,
}

impl Default for RoundTrip {
    fn default() -> RoundTrip {
        let least = (None, None, Timestamp::ZERO);
        RoundTrip {
            smoothed: None,
            least,
            worst: None,
            heard_at: Timestamp::ZERO,
            missed_at: Timestamp::ZERO,
            misses: 0,
            loss: FIRST_LOSS,
        }
    }
}

impl RoundTrip {
    /// Something was answered after `took`.
    pub(crate) fn sample(&mut self, now: Timestamp, took: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (took, took / 2),
            Some((smoothed, variation)) => {
                (smoothed.mul_f64(0.875) + took / 8, variation.mul_f64(0.75) + smoothed.abs_diff(took) / 4)
            }
        });
        let (current, before, since) = &mut self.least;
        if now.since(*since) >= LEAST_WITHIN {
            (*before, *current, *since) = (current.take(), None, now);
        }
        *current = Some(current.map_or(took, |least| least.min(took)));
        self.worst = Some(self.worst.map_or(took, |worst| worst.max(took)));
    }

    /// Counts datagrams that arrived and that were lost.
    pub(crate) fn count(&mut self, arrived: usize, lost: usize) {
        for _ in 0..arrived {
            self.loss -= self.loss.div_ceil(LOSS_WEIGHT);
        }
        for _ in 0..lost {
            self.loss += (WHOLE - self.loss) / LOSS_WEIGHT;
        }
    }

    /// Counts a timeout of a datagram sent at `sent_at`, unless the viewer heard something since, or another timeout
    /// was counted after `sent_at`.
    pub(crate) fn miss(&mut self, now: Timestamp, sent_at: Timestamp) {
        if self.heard_at <= sent_at && sent_at >= self.missed_at {
            self.misses = self.misses.saturating_add(1);
            self.missed_at = now;
        }
    }

    /// Something came from the other side, so the other side is there.
    pub(crate) fn heard(&mut self, now: Timestamp) {
        self.heard_at = now;
        self.misses = 0;
    }

    /// Whether nothing was answered for some time, so that only a probe may go now and then.
    pub(crate) fn is_silent(&self) -> bool {
        self.misses >= PATIENT_MISSES
    }

    /// The smoothed round trip, if any is known.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|(smoothed, _)| smoothed)
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.loss <= WHOLE, "not more is lost than was sent");
    }

    /// After how long something unanswered counts as lost.
    pub(crate) fn timeout(&self) -> Duration {
        let timeout = match self.smoothed {
            None => FIRST_TIMEOUT,
            Some((smoothed, variation)) => smoothed + (variation * 4).max(LEAST_SLACK),
        };
        let timeout = timeout.clamp(LEAST_TIMEOUT, MOST_TIMEOUT);
        if self.is_silent() { (timeout * 3 / 2).min(MOST_TIMEOUT) } else { timeout }
    }

    /// When small datagrams are said again unasked, counted from the first time, as often as the loss makes that worth
    /// its bytes.
    pub(crate) fn repeats(&self) -> &'static [Duration] {
        match self.loss {
            ..SOME_LOSS => &REPEATS[..1],
            SOME_LOSS..MUCH_LOSS => &REPEATS[..2],
            MUCH_LOSS.. => &REPEATS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn at(count: u64) -> Timestamp {
        Timestamp::from(ms(count))
    }

    #[test]
    fn the_timeout_follows_the_round_trip_within_its_limits() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.timeout(), FIRST_TIMEOUT);
        (0..100).for_each(|i| trip.sample(at(i), ms(1)));
        assert_eq!(trip.timeout(), LEAST_TIMEOUT);
        (0..100).for_each(|i| trip.sample(at(100 + i), ms(100)));
        assert!((ms(109)..ms(130)).contains(&trip.timeout()), "{:?}", trip.timeout());
        let patient = trip.timeout() * 3 / 2;
        trip.miss(at(400), at(300));
        trip.miss(at(401), at(301));
        assert!(!trip.is_silent(), "two of one time are one miss");
        trip.miss(at(500), at(400));
        assert!(trip.is_silent());
        assert_eq!(trip.timeout(), patient);
        trip.heard(at(600));
        trip.miss(at(650), at(550));
        trip.miss(at(651), at(551));
        assert!(!trip.is_silent());
        (0..100).for_each(|i| trip.sample(at(200 + i), ms(5000)));
        assert_eq!(trip.timeout(), MOST_TIMEOUT);
    }

    #[test]
    fn small_datagrams_are_repeated_once_when_no_loss_is_measured_and_more_often_when_it_is_heavy() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.repeats(), &REPEATS[..2]);
        trip.count(1000, 0);
        assert_eq!(trip.repeats(), &REPEATS[..1]);
        trip.count(20, 1);
        assert_eq!(trip.repeats(), &REPEATS[..2]);
        (0..40).for_each(|_| trip.count(3, 1));
        assert_eq!(trip.repeats(), REPEATS);
        trip.count(1000, 0);
        assert_eq!(trip.repeats(), &REPEATS[..1]);
    }
}
