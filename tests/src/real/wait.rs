//! Waiting for something to become so.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long between two looks: short against everything that is measured, long against what a look costs.
const STEP: Duration = Duration::from_millis(10);

/// Asks `look` until it answers, and returns the answer; `None` if it does not within the time.
pub fn wait<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        // Asked once more after the deadline: the test may have been the slow one.
        let late = started.elapsed() > within;
        if let Some(answer) = look() {
            return Some(answer);
        }
        if late {
            return None;
        }
        sleep(STEP);
    }
}

/// As [`wait`], but it must answer.
///
/// # Panics
/// If it does not answer within the time; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    let answer = wait(within, look);
    answer.unwrap_or_else(|| panic!("{what}: not within {within:?}"))
}

/// As [`eventually`], for a condition.
///
/// # Panics
/// If it is not so within the time.
#[track_caller]
pub fn holds(what: &str, within: Duration, mut look: impl FnMut() -> bool) {
    eventually(what, within, || look().then_some(()));
}
