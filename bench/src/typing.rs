//! Keys, and how long it takes until each is seen.

use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use crate::client::Client;
use crate::program::keys_told;
use crate::screen::{COLS, Screen};
use crate::statistics::{milliseconds, percentile};

/// A key that is not seen within this time is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(10);

/// How keys follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// When the last one has been seen, and so many milliseconds after.
    AfterEcho(u64, u64),
    /// Each key comes this many milliseconds after the last one, seen or not, as people type.
    Steady(u64, u64),
}

/// How many keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// So many.
    Keys(usize),
    /// As many as fit into this time.
    Time(Duration),
}

/// Where a program shows keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// One behind the other, from the second row on.
    Echo,
    /// As a number in the first row.
    Count,
}

/// A person at a client.
pub(crate) struct Typist {
    shown: Shown,
    pressed: usize,
    seen: usize,
    rng: Rng,
}

/// Of each key how long it took, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echoes {
    /// The times of the keys that were seen.
    pub(crate) times: Vec<f64>,
    /// How many were not.
    pub(crate) lost: usize,
}

impl Typist {
    /// A person who has typed nothing yet.
    pub(crate) fn new(shown: Shown, seed: u64) -> Typist {
        Typist { shown, pressed: 0, seen: 0, rng: Rng::with_seed(seed) }
    }

    /// Types, and looks.
    pub(crate) fn types(&mut self, client: &mut Client, amount: Amount, pace: Pace) -> Result<Echoes> {
        let started = Instant::now();
        let mut echoes = Echoes::default();
        let mut waiting: Vec<Instant> = Vec::new();
        let mut next = started;
        let mut typed = 0;
        loop {
            let now = Instant::now();
            let more = match amount {
                Amount::Keys(keys) => typed < keys,
                Amount::Time(time) => now - started < time,
            };
            let may = matches!(pace, Pace::Steady(..)) || waiting.is_empty();
            if more && may && now >= next {
                waiting.push(client.press(&[key(self.pressed)])?);
                self.pressed += 1;
                typed += 1;
                next = now + self.pause(pace);
                continue;
            }
            if !more && waiting.is_empty() {
                return Ok(echoes);
            }
            let patience = waiting.first().map(|pressed| *pressed + LOST_AFTER);
            if patience.is_some_and(|until| now > until) {
                // One key never came, so the keys behind it are not in their places either.
                echoes.lost += waiting.len();
                self.seen = self.pressed;
                return Ok(echoes);
            }
            let until = if more && may { next } else { patience.unwrap_or(next) };
            if let Some(at) = client.pump(until)? {
                let seen = self.look(&client.screen).saturating_sub(self.seen).min(waiting.len());
                self.seen += seen;
                for pressed in waiting.drain(..seen) {
                    echoes.times.push(milliseconds(at - pressed));
                    if matches!(pace, Pace::AfterEcho(..)) {
                        next = at + self.pause(pace);
                    }
                }
            }
        }
    }

    fn pause(&mut self, pace: Pace) -> Duration {
        let (Pace::AfterEcho(least, most) | Pace::Steady(least, most)) = pace;
        Duration::from_micros(self.rng.u64(least * 1000..=most * 1000))
    }

    /// How many keys are to be seen.
    fn look(&self, screen: &Screen) -> usize {
        match self.shown {
            Shown::Count => keys_told(&screen.row(0)).unwrap_or(0),
            Shown::Echo => (self.seen..self.pressed).take_while(|number| stands(screen, *number)).count() + self.seen,
        }
    }
}

impl Echoes {
    /// Adds the keys of another round.
    pub(crate) fn add(&mut self, other: &Echoes) {
        self.times.extend_from_slice(&other.times);
        self.lost += other.lost;
    }

    /// The time within which this share of the keys was seen; a lost one took [`LOST_AFTER`].
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let lost = std::iter::repeat_n(milliseconds(LOST_AFTER), self.lost);
        let times: Vec<f64> = self.times.iter().copied().chain(lost).collect();
        percentile(&times, share)
    }
}

/// No two keys that follow each other, or stand in each other's way on the screen, are the same.
fn key(number: usize) -> u8 {
    const KEYS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    KEYS[number % KEYS.len()]
}

/// Whether a key stands in its cell. There was a blank before, and nothing else is ever there.
fn stands(screen: &Screen, number: usize) -> bool {
    let columns = usize::from(COLS);
    let row = 1 + number / columns;
    row < screen.rows() && screen.at(row, number % columns) == char::from(key(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::ROWS;

    #[test]
    fn a_key_is_seen_in_its_own_cell_and_in_no_other() {
        let mut typist = Typist::new(Shown::Echo, 1);
        typist.pressed = 3;
        let mut screen = Screen::new(ROWS);
        screen.feed(b"READY\r\nab");
        assert_eq!(typist.look(&screen), 2);
        screen.feed(b"x");
        assert_eq!(typist.look(&screen), 2);
        screen.feed(b"\x08c");
        assert_eq!(typist.look(&screen), 3);
    }

    #[test]
    fn a_lost_key_took_longer_than_any_other() {
        let echoes = Echoes { times: vec![1.0; 90], lost: 10 };
        assert_eq!(echoes.percentile(0.5), Some(1.0));
        assert_eq!(echoes.percentile(0.99), Some(10_000.0));
    }
}
