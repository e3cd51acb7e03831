//! The network between two machines: latency, jitter (hence reordering), loss and duplication, all drawn from a seed.

use std::time::Duration;

use beach_core::Entropy;
use beach_core::time::Timestamp;

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

/// The narrowest place that datagrams pass through one after the other, with what waits before it.
#[derive(Clone, Copy, Debug)]
pub struct Pipe {
    /// Bits a second.
    pub rate: u64,
    /// Bytes that may wait; what comes then is dropped.
    pub queue: u64,
    free_at: Timestamp,
}

impl Pipe {
    /// An IPv4 and a UDP header, which take their time too.
    const HEADERS: u64 = 28;

    /// A pipe of this many bits a second, with room for this many bytes.
    pub const fn new(rate: u64, queue: u64) -> Pipe {
        Pipe { rate, queue, free_at: Timestamp::ZERO }
    }

    /// When a datagram of `bytes` that comes now is through, unless it is dropped.
    pub fn pass(&mut self, now: Timestamp, bytes: usize) -> Option<Timestamp> {
        let start = self.free_at.max(now);
        let waiting = start.since(now).as_micros() as u64 * self.rate / 8_000_000;
        let bytes = bytes as u64 + Pipe::HEADERS;
        if waiting + bytes > self.queue {
            return None;
        }
        self.free_at = start + Duration::from_micros(bytes * 8_000_000 / self.rate);
        Some(self.free_at)
    }
}

/// Losses in a row: while it is bad, every datagram is lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bursts {
    /// How many begin in a thousand datagrams.
    pub per_mille: u64,
    /// How many datagrams one takes at most.
    pub longest: u64,
    left: u64,
}

impl Bursts {
    /// Bursts that begin so often and take so many datagrams at most.
    pub const fn new(per_mille: u64, longest: u64) -> Bursts {
        Bursts { per_mille, longest, left: 0 }
    }

    /// Whether the next datagram is lost.
    pub fn takes(&mut self, dice: &mut Dice) -> bool {
        if self.left == 0 && self.longest > 0 && dice.between(0, 999) < self.per_mille {
            self.left = dice.between(1, self.longest);
        }
        let lost = self.left > 0;
        self.left = self.left.saturating_sub(1);
        lost
    }
}

/// The way of datagrams between two machines, one way.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The least time a datagram takes.
    pub latency: Duration,
    /// The jitter on top of the latency.
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
