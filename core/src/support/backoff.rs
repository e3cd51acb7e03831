//! Pauses between tries, each longer than the one before.

use std::time::Duration;

use super::entropy::Entropy;

/// The pauses of one row of tries: they grow by a factor, up to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// The factor, in halves.
    halves: u32,
}

impl Backoff {
    /// Each pause is twice as long as the one before.
    pub const fn doubling(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, next: first, halves: 4 }
    }

    /// Each pause is longer by half than the one before.
    pub const fn by_half(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, next: first, halves: 3 }
    }

    /// The pause until the next try. The pause after that one is longer.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * self.halves / 2).min(self.longest);
        pause
    }

    /// As [`pause`](Backoff::pause), times 0.5 to 1.5, so that many clients of one lost server do not all try again at
    /// once.
    pub fn jittered(&mut self, entropy: &mut Entropy) -> Duration {
        self.pause().mul_f64(0.5 + (entropy.number() % 1024) as f64 / 1024.0)
    }

    /// A try succeeded: the next pause is a first one.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let of = |mut backoff: Backoff| -> Vec<u128> { (0..5).map(|_| backoff.pause().as_millis()).collect() };
        assert_eq!(of(Backoff::doubling(ms(250), ms(1_500))), [250, 500, 1_000, 1_500, 1_500]);
        assert_eq!(of(Backoff::by_half(ms(60), ms(200))), [60, 90, 135, 200, 200]);
        let mut backoff = Backoff::doubling(ms(250), ms(1_500));
        assert!(backoff.pause() < backoff.pause());
        backoff.reset();
        assert_eq!(backoff.pause(), ms(250));
    }

    #[test]
    fn jitter_takes_or_adds_up_to_half() {
        let mut entropy = Entropy::new([1; 32]);
        for _ in 0..100 {
            let pause = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(1)).jittered(&mut entropy);
            assert!((0.5..1.5).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }
}
