//! Input, exactly once and in order: numbered where it is typed, kept there until the program took it, accepted once where it is written.

use std::collections::VecDeque;

use crate::wire::frame::{InputEvent, MAX_INPUT_EVENT};

/// Bytes that a viewer may have typed and the program not yet taken.
pub(crate) const CREDIT: usize = 16 * 1024;

/// Most events in that credit, since an event may be as short as one byte: a person types far slower than the program's PTY takes it.
const MAX_EVENTS: usize = 4096;

/// Most bytes of events in one frame.
const EVENTS_A_FRAME: usize = 900;

/// Most bytes written to the PTY at once: the kernel takes 4 KiB of a line at a time.
const MAX_WRITE: usize = 4096;

/// The viewer's side: numbers events and keeps them until they are taken.
#[derive(Default)]
pub(crate) struct Typed {
    taken: u64,
    sent: u64,
    events: VecDeque<InputEvent>,
    bytes: usize,
}

impl Typed {
    /// Adds what was typed; what exceeds the credit is dropped and its length returned.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            let room = CREDIT.saturating_sub(self.bytes);
            if room == 0 || self.events.len() >= MAX_EVENTS {
                return bytes.len();
            }
            let (now, later) = bytes.split_at(bytes.len().min(MAX_INPUT_EVENT).min(room));
            self.bytes += now.len();
            self.events.push_back(InputEvent::Keys(now.to_vec()));
            bytes = later;
        }
        0
    }

    /// Whether there is room for as much as a terminal gives at once.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes + MAX_WRITE <= CREDIT && self.events.len() + MAX_WRITE / MAX_INPUT_EVENT < MAX_EVENTS
    }

    /// The next frame of events that were not sent yet.
    pub(crate) fn next(&mut self) -> Option<(u64, Vec<InputEvent>)> {
        let skip = usize::try_from(self.sent - self.taken).unwrap_or(usize::MAX);
        let mut size = 0;
        let fits = |event: &&InputEvent| {
            size += event.bytes() + 4;
            size <= EVENTS_A_FRAME
        };
        let events: Vec<_> = self.events.iter().skip(skip).take_while(fits).cloned().collect();
        if events.is_empty() {
            return None;
        }
        let first = self.sent + 1;
        self.sent += events.len() as u64;
        Some((first, events))
    }

    /// The program took everything up to `upto`.
    pub(crate) fn take(&mut self, upto: u64) {
        while self.taken < upto.min(self.sent) {
            let Some(event) = self.events.pop_front() else { return };
            self.bytes -= event.bytes();
            self.taken += 1;
        }
    }
}

/// The host's side: accepts each event once, in order, within the credit.
#[derive(Default)]
pub(crate) struct Inbound {
    accepted: u64,
    taken: u64,
    queue: VecDeque<InputEvent>,
    bytes: usize,
}

/// The viewer used more credit than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdrawn;

impl Inbound {
    /// Takes in events numbered from `first`; those seen before are skipped, and after a gap nothing is taken.
    pub(crate) fn accept(&mut self, first: u64, events: Vec<InputEvent>) -> Result<(), Overdrawn> {
        for (event, number) in events.into_iter().zip(first..) {
            if number != self.accepted + 1 {
                continue;
            }
            if self.bytes + event.bytes() > CREDIT || self.queue.len() >= MAX_EVENTS {
                return Err(Overdrawn);
            }
            self.bytes += event.bytes();
            self.queue.push_back(event);
            self.accepted = number;
        }
        Ok(())
    }

    /// What to write to the PTY next.
    pub(crate) fn next_write(&mut self) -> Option<Vec<u8>> {
        let mut write = Vec::new();
        while let Some(event) = self.queue.front() {
            if !write.is_empty() && write.len() + event.bytes() > MAX_WRITE {
                break;
            }
            let Some(InputEvent::Keys(bytes)) = self.queue.pop_front() else { break };
            self.bytes -= bytes.len();
            self.taken += 1;
            write.extend_from_slice(&bytes);
        }
        (!write.is_empty()).then_some(write)
    }

    /// Drops what waits, as if it had been taken: there is no program to take it.
    pub(crate) fn discard(&mut self) {
        self.taken += self.queue.len() as u64;
        self.queue.clear();
        self.bytes = 0;
    }

    /// The cumulative number of events handed to the PTY.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_taken_exactly_once_in_order_however_often_and_late_frames_arrive() {
        let (mut typed, mut inbound) = (Typed::default(), Inbound::default());
        let mut frames = Vec::new();
        for i in 0..50u8 {
            assert_eq!(typed.push(&[i; 7]), 0);
            frames.push(typed.next().expect("unsent"));
            assert!(typed.next().is_none());
        }
        for round in 0..50 {
            for (first, events) in frames.iter().skip(round % 3).rev() {
                inbound.accept(*first, events.clone()).expect("within credit");
            }
        }
        let mut written = Vec::new();
        while let Some(bytes) = inbound.next_write() {
            written.extend(bytes);
        }
        let expected: Vec<u8> = (0..50u8).flat_map(|i| [i; 7]).collect();
        assert_eq!(written, expected);
        typed.take(inbound.taken());
        assert_eq!((typed.events.len(), typed.bytes), (0, 0));
    }

    #[test]
    fn neither_side_holds_more_than_the_credit() {
        let mut typed = Typed::default();
        assert_eq!(typed.push(&vec![b'x'; CREDIT + 100]), 100);
        assert!(!typed.has_room());
        let mut inbound = Inbound::default();
        for i in 0..32 {
            inbound.accept(i + 1, vec![InputEvent::Keys(vec![0; 512])]).expect("within credit");
        }
        assert_eq!(inbound.accept(33, vec![InputEvent::Keys(vec![0])]), Err(Overdrawn));
        inbound.discard();
        assert_eq!(inbound.taken(), 32);
        assert_eq!(inbound.accept(33, vec![InputEvent::Keys(vec![0])]), Ok(()));
    }
}
