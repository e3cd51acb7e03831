//! A token bucket: a rate in bytes a second, and a limit in bytes at once.

use std::time::Duration;

use crate::time::Timestamp;

/// The remaining allowance.
#[derive(Clone, Copy)]
pub(crate) struct TokenBucket {
    /// Bytes a second, and the most that is saved up.
    rate: u64,
    burst: u64,
    bytes: u64,
    at: Timestamp,
}

impl TokenBucket {
    pub(crate) fn new(now: Timestamp, rate: u64, burst: u64) -> TokenBucket {
        TokenBucket { rate, burst, bytes: burst, at: now }
    }

    /// Takes this many bytes, if they are there.
    pub(crate) fn take(&mut self, now: Timestamp, bytes: usize) -> bool {
        let micros = now.since(self.at).as_micros().min(u128::from(self.burst * 1_000_000 / self.rate));
        let gained = u64::try_from(micros).unwrap_or(0) * self.rate / 1_000_000;
        if gained > 0 {
            self.bytes = (self.bytes + gained).min(self.burst);
            self.at = now;
        }
        let rest = self.bytes.checked_sub(bytes as u64);
        self.bytes = rest.unwrap_or(self.bytes);
        rest.is_some()
    }

    /// When this many bytes will be there, if nothing is taken before.
    pub(crate) fn ready_at(&self, bytes: usize) -> Timestamp {
        let missing = (bytes as u64).saturating_sub(self.bytes);
        self.at + Duration::from_micros((missing * 1_000_000).div_ceil(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_at_the_rate_and_no_more_than_the_burst() {
        let at = |millis: u64| Timestamp::from_micros(millis * 1000);
        let mut allowance = TokenBucket::new(at(0), 1000, 500);
        assert!(allowance.take(at(0), 500) && !allowance.take(at(0), 1));
        assert_eq!(allowance.ready_at(100), at(100));
        assert!(!allowance.take(at(99), 100) && allowance.take(allowance.ready_at(100), 100));
        assert!(!allowance.take(at(60_000), 501) && allowance.take(at(60_000), 500));
    }
}
