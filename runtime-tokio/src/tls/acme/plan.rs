//! When a certificate is renewed, and how long the pauses between tries are.

use std::time::Duration;

use beach_core::Entropy;

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

/// The pause after so many failures in a row: doubled each time, and different for each server, so that they do not all
/// come back to a lost authority at once.
pub(super) fn pause_after(failures: u32, entropy: &mut Entropy) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let shortest = doubled.min(LONGEST_PAUSE) / 2;
    shortest + shortest.mul_f64((entropy.number() % 1024) as f64 / 1024.0)
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
    fn pauses_grow_up_to_an_hour() {
        let mut entropy = Entropy::new([1; 32]);
        let mut longest = |failures| (0..50).map(|_| pause_after(failures, &mut entropy)).max().expect("fifty");
        let minutes = [1, 2, 3, 6, 7, 100].map(|failures| longest(failures).as_secs_f64() / 60.0);
        for (minutes, most) in minutes.into_iter().zip([1.0, 2.0, 4.0, 32.0, 60.0, 60.0]) {
            assert!(minutes <= most && minutes > most * 0.9, "{minutes} of {most} minutes");
        }
        assert!((0..50).all(|_| pause_after(1, &mut entropy) >= FIRST_PAUSE / 2));
        assert_eq!((longest_sleep(7), longest_sleep(1_000_000)), (Duration::from_secs(7), LONGEST_SLEEP));
    }
}
