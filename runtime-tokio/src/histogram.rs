//! How long things take, as a histogram.

use std::time::Duration;

/// The upper ends of the histogram's ranges. An event of a server takes some microseconds, and a request to the
/// directory about a millisecond; many events that take more than a millisecond make others wait.
const UP_TO: [Duration; 9] = [
    Duration::from_micros(10),
    Duration::from_micros(30),
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// How many events took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One number a range, and one for what took longer.
    counts: [u64; UP_TO.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// One more event, which took so long.
    pub fn add(&mut self, took: Duration) {
        let range = UP_TO.iter().position(|up_to| took <= *up_to).unwrap_or(UP_TO.len());
        self.counts[range] += 1;
        self.sum += took;
    }

    /// All events.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time of all events together, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// The upper end of each range, in seconds, and how many events are in the range.
    pub(crate) fn ranges(&self) -> Vec<(f64, u64)> {
        let ends = UP_TO.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        ends.zip(self.counts).collect()
    }
}
