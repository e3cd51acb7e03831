//! What lies between two machines: latency, jitter (hence reordering), loss and repetition, all drawn from a seed.

use std::time::Duration;

use beach_core::Entropy;

/// A simulation's randomness.
pub struct Dice(Entropy);

impl Dice {
    /// The dice of `seed`.
    pub fn new(seed: u64) -> Dice {
        let mut bytes = [0xd1; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Dice(Entropy::new(bytes))
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.number() % (high - low + 1)
    }

    /// True `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.number() % 100 < percent
    }

    /// A time up to `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.0.number() % (longest.as_micros() as u64 + 1))
    }

    /// 32 bytes, as seeds are.
    pub fn seed(&mut self) -> [u8; 32] {
        self.0.bytes()
    }
}

/// The way of datagrams between two machines, one way.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The least time a datagram takes.
    pub latency: Duration,
    /// What may come on top of it.
    pub jitter: Duration,
    /// Percent lost.
    pub loss: u64,
    /// Percent that arrive twice.
    pub repeats: u64,
}

impl Wire {
    /// A wire of this latency that loses nothing.
    pub const fn steady(latency: Duration) -> Wire {
        Wire { latency, jitter: Duration::ZERO, loss: 0, repeats: 0 }
    }

    /// A wire of 5 to 100 ms, at most `loss` percent of which is lost, with repetitions and enough jitter to reorder.
    pub fn random(dice: &mut Dice, loss: u64) -> Wire {
        let latency = Duration::from_millis(dice.between(5, 80));
        Wire {
            latency,
            jitter: dice.up_to(Duration::from_millis(20)),
            loss: dice.between(0, loss),
            repeats: dice.between(0, 10),
        }
    }

    /// How long it takes one datagram, for each of its copies that arrive.
    pub fn copies(&self, dice: &mut Dice) -> Vec<Duration> {
        if dice.percent(self.loss) {
            return Vec::new();
        }
        let count = if dice.percent(self.repeats) { 2 } else { 1 };
        (0..count).map(|_| self.latency + dice.up_to(self.jitter)).collect()
    }

    /// How long something takes that is repeated until it arrives, `pause` later each time.
    pub fn reliable(&self, dice: &mut Dice, pause: Duration) -> Duration {
        let mut time = self.latency + dice.up_to(self.jitter);
        while dice.percent(self.loss) {
            time += pause;
        }
        time
    }
}
