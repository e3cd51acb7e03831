//! Lines on stdout for programs, written by a thread: a reader that stops reading does not stop the session.
//!
//! At most [`QUEUED`] lines wait. When as many do, further ones are dropped; once there is room, a `dropped` event says how many.

use std::collections::VecDeque;
use std::io::{Write as _, stdout};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait for stdout: two events for each of the most viewers that a session has, four times over.
const QUEUED: usize = 1024;

/// Whether a line may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Dropped when the queue is full.
    Ordinary,
    /// Queued always: there is one of these in a session.
    Last,
}

/// What waits, in order.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    /// Lines dropped since the last one that was queued.
    dropped: u64,
}

impl Queue {
    fn push(&mut self, line: String, weight: Weight) {
        if self.lines.len() >= QUEUED && weight == Weight::Ordinary {
            self.dropped += 1;
            return;
        }
        let owed = self.owed();
        self.lines.extend(owed.into_iter().chain([line]));
    }

    /// The next line; the number of dropped ones stands where they are missing.
    fn pop(&mut self) -> Option<String> {
        self.lines.pop_front().or_else(|| self.owed())
    }

    fn owed(&mut self) -> Option<String> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| format!("{{\"type\":\"dropped\",\"count\":{dropped}}}"))
    }
}

/// The thread's side of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    NotStarted,
    Waiting,
    Writing,
}

struct Stdout {
    queue: Queue,
    writer: Writer,
}

/// There is one stdout.
static STDOUT: Mutex<Stdout> =
    Mutex::new(Stdout { queue: Queue { lines: VecDeque::new(), dropped: 0 }, writer: Writer::NotStarted });

/// Something changed: a line came, or one was written.
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Stdout> {
    STDOUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a line for stdout.
pub(crate) fn tell(line: String, weight: Weight) {
    let mut stdout = lock();
    if stdout.writer == Writer::NotStarted {
        match thread::Builder::new().name("stdout".to_owned()).spawn(write) {
            Ok(_) => stdout.writer = Writer::Waiting,
            Err(error) => {
                tracing::error!(%error, "events cannot be written");
                return;
            }
        }
    }
    stdout.queue.push(line, weight);
    CHANGED.notify_all();
}

/// Waits until all lines are written, `patience` at most.
pub(crate) fn flush(patience: Duration) {
    let until = Instant::now() + patience;
    let mut stdout = lock();
    let owes = |stdout: &Stdout| stdout.writer == Writer::Writing || !stdout.queue.lines.is_empty();
    while stdout.writer != Writer::NotStarted && owes(&stdout) && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        stdout = CHANGED.wait_timeout(stdout, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The thread: it alone waits for stdout.
fn write() {
    let mut queue = lock();
    loop {
        match queue.queue.pop() {
            Some(line) => {
                queue.writer = Writer::Writing;
                drop(queue);
                // A reader that went away is no reason to stop.
                let _ = writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
                queue = lock();
                queue.writer = Writer::Waiting;
                CHANGED.notify_all();
            }
            None => queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_lines_says_how_many_and_keeps_the_last() {
        let mut queue = Queue::default();
        (0..QUEUED + 3).for_each(|line| queue.push(line.to_string(), Weight::Ordinary));
        queue.push("exit".to_owned(), Weight::Last);
        let lines: Vec<String> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(lines.len(), QUEUED + 2);
        assert_eq!(
            lines[QUEUED - 1..],
            [(QUEUED - 1).to_string(), r#"{"type":"dropped","count":3}"#.into(), "exit".into()]
        );
    }

    #[test]
    fn the_next_event_after_room_came_says_how_many_were_dropped() {
        let mut queue = Queue::default();
        (0..=QUEUED).for_each(|line| queue.push(line.to_string(), Weight::Ordinary));
        (0..QUEUED).for_each(|line| assert_eq!(queue.pop(), Some(line.to_string())));
        queue.push("next".to_owned(), Weight::Ordinary);
        assert_eq!(queue.pop().as_deref(), Some(r#"{"type":"dropped","count":1}"#));
        assert_eq!(queue.pop().as_deref(), Some("next"));
        assert_eq!(queue.pop(), None);
    }
}
