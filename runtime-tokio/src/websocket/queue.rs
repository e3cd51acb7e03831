//! The queue of messages that are to leave on a WebSocket: all texts, in order, and a few datagrams behind the texts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;

/// Datagrams that may wait: 16 KiB of ours, 150 ms on a line of 1 Mbit/s. One more is dropped, as a router would drop
/// it: its sender measures the path and sends less. A longer queue would only make everything late.
const DATAGRAMS_MAX: usize = 24;

/// A datagram that waited longer is dropped: its sender has sent its content again by then, and it would only delay
/// what is newer.
pub(crate) const DATAGRAM_WAITS_MAX: Duration = Duration::from_millis(250);

/// Bytes that a queue takes for datagrams without their content.
pub(crate) const SLOTS_BYTES: usize = DATAGRAMS_MAX * size_of::<(Instant, Vec<u8>)>();

/// The fates of the datagrams of all queues with these counters.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pub(crate) sent: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    /// Dropped because too many waited.
    pub(crate) queue: AtomicU64,
    /// Dropped because they waited too long: in this queue, or unread on the WebSocket.
    pub(crate) late: AtomicU64,
}

impl Fates {
    /// Counts one more of these.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The end that is filled.
pub(crate) struct QueueSender {
    texts: mpsc::Sender<String>,
    datagrams: mpsc::Sender<(Instant, Vec<u8>)>,
    fates: Arc<Fates>,
    /// Bytes of the texts that wait.
    waiting: Arc<AtomicUsize>,
    /// Most of these bytes.
    text_bytes_max: usize,
}

/// The end that is emptied. The queue is at its end once the other end is dropped and everything is taken.
pub(crate) struct QueueReceiver {
    texts: mpsc::Receiver<String>,
    datagrams: mpsc::Receiver<(Instant, Vec<u8>)>,
    fates: Arc<Fates>,
    waiting: Arc<AtomicUsize>,
}

/// A queue for so many texts.
pub(crate) fn queue(texts_max: usize) -> (QueueSender, QueueReceiver) {
    counted_queue(texts_max, Arc::default())
}

/// As [`queue`]; the fates of its datagrams are counted.
pub(crate) fn counted_queue(texts_max: usize, fates: Arc<Fates>) -> (QueueSender, QueueReceiver) {
    let (fill_texts, texts) = mpsc::channel(texts_max);
    let (fill_datagrams, datagrams) = mpsc::channel(DATAGRAMS_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let sender = QueueSender {
        texts: fill_texts,
        datagrams: fill_datagrams,
        fates: fates.clone(),
        waiting: waiting.clone(),
        text_bytes_max: usize::MAX,
    };
    (sender, QueueReceiver { texts, datagrams, fates, waiting })
}

impl QueueSender {
    /// Texts may have so many bytes together from now on.
    pub(crate) fn set_text_bytes_max(&mut self, bytes: usize) {
        self.text_bytes_max = bytes;
    }

    /// Queues a text.
    pub(crate) fn text(&self, text: String) -> Result<(), TrySendError<String>> {
        let bytes = text.len();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let queued = if before + bytes > self.text_bytes_max {
            Err(TrySendError::Full(text))
        } else {
            self.texts.try_send(text)
        };
        if queued.is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        queued
    }

    /// Queues a datagram, or drops it.
    pub(crate) fn datagram(&self, bytes: Vec<u8>) {
        if self.datagrams.try_send((Instant::now(), bytes)).is_err() {
            Fates::count(&self.fates.queue);
            tracing::trace!("a relayed datagram was dropped");
        }
    }
}

impl QueueReceiver {
    /// Waits for the next message; `None` at the end of the queue. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            tokio::select! {
                biased;
                text = self.texts.recv() => return text.map(|text| taken(&self.waiting, text)),
                Some((queued_at, bytes)) = self.datagrams.recv() => {
                    if queued_at.elapsed() <= DATAGRAM_WAITS_MAX {
                        Fates::count(&self.fates.sent);
                        self.fates.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        return Some(Message::binary(bytes));
                    }
                    Fates::count(&self.fates.late);
                    tracing::trace!("a relayed datagram waited too long");
                }
            }
        }
    }

    /// The next text that waits already, for the goodbye.
    pub(crate) fn last_text(&mut self) -> Option<Message> {
        self.texts.try_recv().ok().map(|text| taken(&self.waiting, text))
    }
}

/// A text that waits no longer.
fn taken(waiting: &AtomicUsize, text: String) -> Message {
    waiting.fetch_sub(text.len(), Ordering::Relaxed);
    Message::text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_go_first_and_too_many_datagrams_are_dropped() {
        let (sender, mut receiver) = queue(2);
        (0..100).for_each(|_| sender.datagram(vec![1]));
        sender.text("first".to_owned()).expect("room");
        drop(sender);
        assert_eq!(receiver.next().await, Some(Message::text("first")));
        assert_eq!(receiver.next().await, None, "the end is that of the texts");
        let (sender, mut receiver) = queue(2);
        (0..100).for_each(|_| sender.datagram(vec![1]));
        for _ in 0..DATAGRAMS_MAX {
            assert_eq!(receiver.next().await, Some(Message::binary(vec![1])));
        }
        sender.text("last".to_owned()).expect("room");
        assert_eq!(receiver.next().await, Some(Message::text("last")));
    }

    #[tokio::test]
    async fn texts_wait_up_to_so_many_bytes_and_make_room_when_they_are_taken() {
        let (mut sender, mut receiver) = queue(10);
        sender.set_text_bytes_max(8);
        let is_full = |sender: &QueueSender, text: &str| match sender.text(text.to_owned()) {
            Ok(()) => false,
            Err(TrySendError::Full(refused)) => refused == text,
            Err(TrySendError::Closed(_)) => panic!("the other end is there"),
        };
        assert!(!is_full(&sender, "five.") && is_full(&sender, "four") && !is_full(&sender, "3.."));
        assert_eq!(receiver.next().await, Some(Message::text("five.")));
        assert!(!is_full(&sender, "four") && is_full(&sender, "2."));
        assert_eq!(receiver.last_text(), Some(Message::text("3..")));
        assert!(!is_full(&sender, "2."));
        sender.set_text_bytes_max(20);
        assert!(!is_full(&sender, &"x".repeat(14)) && is_full(&sender, "x"));
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_that_waited_too_long_are_dropped_and_texts_are_not() {
        let (sender, mut receiver) = queue(2);
        sender.datagram(vec![1]);
        sender.text("old".to_owned()).expect("room");
        tokio::time::advance(Duration::from_millis(1)).await;
        sender.datagram(vec![2]);
        tokio::time::advance(DATAGRAM_WAITS_MAX).await;
        sender.datagram(vec![3]);
        assert_eq!(receiver.next().await, Some(Message::text("old")));
        assert_eq!(receiver.next().await, Some(Message::binary(vec![2])));
        assert_eq!(receiver.next().await, Some(Message::binary(vec![3])));
    }
}
