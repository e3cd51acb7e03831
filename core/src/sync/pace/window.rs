//! How much a host may have on its way to a viewer.

use std::time::Duration;

use super::RoundTrip;
use crate::time::Timestamp;

/// A round trip this much above the least one means that a queue builds up.
const QUEUE: Duration = Duration::from_millis(50);

/// Most frames on their way, and from which least round trip on twice as many.
const MAX_FRAMES: u32 = 4;
const LONG: Duration = Duration::from_millis(150);

/// History datagrams on their way: at least, at first, and at most (64 KiB).
const MIN_BULK: u32 = 2;
const FIRST_BULK: u32 = 8;
const MAX_BULK: u32 = 64;

/// How much may be on its way.
pub(crate) struct Window {
    frames: u32,
    bulk: u32,
    decide_at: Timestamp,
    frames_were_full: bool,
    bulk_was_full: bool,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            frames: 1,
            bulk: FIRST_BULK,
            decide_at: Timestamp::ZERO,
            frames_were_full: false,
            bulk_was_full: false,
        }
    }
}

impl Window {
    /// Whether one more frame may go when `on_their_way` are.
    pub(crate) fn has_room_for_frame(&mut self, on_their_way: usize) -> bool {
        let room = on_their_way < self.frames as usize;
        self.frames_were_full |= on_their_way + 1 >= self.frames as usize;
        room
    }

    /// How many more datagrams of history may go when `on_their_way` are.
    pub(crate) fn room_for_bulk(&mut self, on_their_way: usize) -> usize {
        let room = (self.bulk as usize).saturating_sub(on_their_way);
        self.bulk_was_full |= room == 0;
        room
    }

    /// Once a round trip: less if a queue builds up, more if all that was allowed was used.
    pub(crate) fn decide(&mut self, now: Timestamp, trip: &mut RoundTrip) {
        let (Some(smoothed), Some(least), Some(worst)) = (trip.smoothed(), trip.least(), trip.worst) else { return };
        if now < self.decide_at {
            return;
        }
        self.decide_at = now + smoothed;
        trip.worst = None;
        let cap = if least >= LONG { 2 * MAX_FRAMES } else { MAX_FRAMES };
        if worst > least + QUEUE {
            self.frames = (self.frames - 1).max(1);
            self.bulk = (self.bulk / 2).max(MIN_BULK);
        } else {
            if self.frames_were_full {
                self.frames += 1;
            }
            if self.bulk_was_full {
                self.bulk = (self.bulk + self.bulk / 2).min(MAX_BULK);
            }
        }
        self.frames = self.frames.min(cap);
        (self.frames_were_full, self.bulk_was_full) = (false, false);
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!((1..=2 * MAX_FRAMES).contains(&self.frames), "something may go, and not too much");
        assert!((MIN_BULK..=MAX_BULK).contains(&self.bulk), "history may go, and not too much");
    }
}

impl RoundTrip {
    /// The least of the last one to two spans of time.
    fn least(&self) -> Option<Duration> {
        let (current, before, _) = self.least;
        match (current, before) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(count))
    }

    #[test]
    fn the_window_grows_when_used_shrinks_when_a_queue_builds_up_and_forgets_an_old_least() {
        let (mut trip, mut window) = (RoundTrip::default(), Window::default());
        let mut now = 0;
        let mut turn = |window: &mut Window, trip: &mut RoundTrip, took: u64| {
            now += 300;
            trip.sample(at(now), Duration::from_millis(took));
            assert!(window.has_room_for_frame(0));
            window.has_room_for_frame(window.frames as usize - 1);
            window.decide(at(now), trip);
            window.frames
        };
        let grown: Vec<_> = (0..6).map(|_| turn(&mut window, &mut trip, 100)).collect();
        assert_eq!(grown, [2, 3, 4, 4, 4, 4]);
        let shrunk: Vec<_> = (0..5).map(|_| turn(&mut window, &mut trip, 200)).collect();
        assert_eq!(shrunk, [3, 2, 1, 1, 1]);
        // The path is longer for good: ten seconds later the least round trip is the longer one.
        let after: Vec<_> = (0..45).map(|_| turn(&mut window, &mut trip, 200)).collect();
        assert_eq!(after.last(), Some(&8));
    }
}
