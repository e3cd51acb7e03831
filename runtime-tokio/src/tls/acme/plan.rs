//! When a certificate is renewed, and how long the pauses between tries are.

use std::time::Duration;

use beach_core::Backoff;

/// The pause after the first failure. Authorities count failures by the hour.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause: a certificate for a week has two days left when its renewal is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The longest sleep without a look at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// The least time from the begin of a certificate to its renewal, in seconds: an authority that gives very short ones
/// is not asked without end.
const LEAST_USE: u64 = 5;

/// When a certificate with this begin and end is renewed, in seconds since 1970: when two thirds of its time are over.
pub(super) fn renewal_at(begin: u64, end: u64) -> u64 {
    begin + (end.saturating_sub(begin) * 2 / 3).max(LEAST_USE)
}

/// The pauses after failures in a row. Times 0.5 to 1.5, so that servers do not all come back to a lost authority at
/// once.
pub(super) fn pauses() -> Backoff {
    Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE)
}

/// How long to sleep at once, of this many seconds.
pub(super) fn longest_sleep(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_time_is_left() {
        let day = 24 * 3600;
        assert_eq!(renewal_at(10 * day, 100 * day), 70 * day);
        assert_eq!((renewal_at(100, 103), renewal_at(100, 50)), (105, 105));
    }

    #[test]
    fn pauses_grow_from_a_minute_to_an_hour() {
        let mut pauses = pauses();
        let minutes: Vec<u64> = (0..8).map(|_| pauses.pause().as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((longest_sleep(7), longest_sleep(1_000_000)), (Duration::from_secs(7), LONGEST_SLEEP));
    }
}
