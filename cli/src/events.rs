//! Lines on stdout for programs. A thread writes them, so a reader that stops reading does not stop the session.
//!
//! At most [`QUEUED`] lines wait. A full queue drops further lines; a `dropped` event counts them once there is room.

use std::collections::VecDeque;
use std::io::{Write as _, stdout};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest queue, in lines: two events for each of 128 viewers, four times over.
const QUEUED: usize = 1024;

/// Whether a line may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A full queue drops the line.
    Ordinary,
    /// A full queue takes the line too; a session has one such line.
    Last,
}

/// The lines that wait for the thread, in order.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    /// Lines dropped since the last queued line.
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

    /// The next line. A `dropped` event takes the place of dropped lines.
    fn pop(&mut self) -> Option<String> {
        self.lines.pop_front().or_else(|| self.owed())
    }

    fn owed(&mut self) -> Option<String> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| format!("{{\"type\":\"dropped\",\"count\":{dropped}}}"))
    }
}

/// The state of the thread.
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

/// The queue of this process' stdout.
static STDOUT: Mutex<Stdout> =
    Mutex::new(Stdout { queue: Queue { lines: VecDeque::new(), dropped: 0 }, writer: Writer::NotStarted });

/// Signals that a line was queued or written.
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

/// Waits until the thread has written all lines, for at most `patience`.
pub(crate) fn flush(patience: Duration) {
    let until = Instant::now() + patience;
    let mut stdout = lock();
    let owes = |stdout: &Stdout| stdout.writer == Writer::Writing || !stdout.queue.lines.is_empty();
    while stdout.writer != Writer::NotStarted && owes(&stdout) && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        stdout = CHANGED.wait_timeout(stdout, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Runs the thread, the only one that waits for stdout.
fn write() {
    let mut queue = lock();
    loop {
        match queue.queue.pop() {
            Some(line) => {
                queue.writer = Writer::Writing;
                drop(queue);
                // The session goes on without a reader.
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
