//! Input, exactly once and in order: numbered where it is typed, kept there until the program took it, accepted once
//! where it is written.

use std::collections::VecDeque;

#[cfg(feature = "host")]
use crate::terminal::Paste;
use crate::wire::frame::{InputEvent, MAX_INPUT_EVENT};

/// Bytes that a viewer may have typed and the program not yet taken.
pub(crate) const CREDIT: usize = 16 * 1024;

/// Most events in that credit, since an event may be as short as one byte: a person types far slower than the program's
/// PTY takes it.
const MAX_EVENTS: usize = 4096;

/// Most bytes of events in one datagram.
const EVENTS_A_FRAME: usize = 880;

/// Bytes of an event that are not its own: what it is, its length, and what a paste says of itself.
const EVENT_OVERHEAD: usize = 1 + 2 + 2;

/// Most events that one read of a terminal becomes: it may hold keys and pastes in turns, but hardly ever does.
const MAX_PIECES: usize = 64;

/// Most bytes written to the PTY at once: the kernel takes 4 KiB of a line at a time.
pub(crate) const MAX_WRITE: usize = 4096;

/// The viewer's side: numbers events and keeps them until they are taken.
#[derive(Default)]
pub(crate) struct Typed {
    /// The program took all up to this number, the host has all up to that one, and they were sent up to that one.
    taken: u64,
    arrived: u64,
    sent: u64,
    /// The number of the newest event that was ever sent.
    sent_ever: u64,
    events: VecDeque<InputEvent>,
    bytes: usize,
}

impl Typed {
    /// Adds what was typed; what exceeds the credit is dropped and its length returned.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            let room = self.room();
            if room == 0 {
                return bytes.len();
            }
            let (now, later) = bytes.split_at(bytes.len().min(MAX_INPUT_EVENT).min(room));
            self.add(InputEvent::Keys(now.to_vec()));
            bytes = later;
        }
        0
    }

    /// Adds a part of a paste; false, and nothing is added, if it exceeds the credit.
    pub(crate) fn paste(&mut self, bytes: Vec<u8>, first: bool, last: bool) -> bool {
        let fits =
            bytes.len() <= MAX_INPUT_EVENT && self.events.len() < MAX_EVENTS && self.bytes + bytes.len() <= CREDIT;
        if fits {
            self.add(InputEvent::Paste { bytes, first, last });
        }
        fits
    }

    /// Whether there is room for as much as a terminal gives at once.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes + MAX_WRITE <= CREDIT && self.events.len() + MAX_PIECES < MAX_EVENTS
    }

    /// Whether the program may have taken input that this side does not know to be taken.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.taken < self.sent_ever
    }

    /// A queue for a new host, which begins with the events that were never sent.
    pub(crate) fn renewed(&mut self) -> Typed {
        let uncertain = usize::try_from(self.sent_ever.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        let mut renewed = Typed::default();
        self.events.drain(..).skip(uncertain).for_each(|event| renewed.add(event));
        renewed
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.taken + self.events.len() as u64
    }

    /// Notes that the program took all events up to this number.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The host has all up to this number.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether there is something to send.
    pub(crate) fn is_behind(&self) -> bool {
        self.sent < self.newest()
    }

    /// The next events to send: those never sent, preceded, if they fit too, by those that may be lost.
    pub(crate) fn next(&mut self) -> Option<(u64, Vec<InputEvent>)> {
        if !self.is_behind() {
            return None;
        }
        let (first, events) = self.from(self.arrived);
        let all_fit = first + events.len() as u64 > self.newest();
        let (first, events) = if all_fit { (first, events) } else { self.from(self.sent) };
        self.sent = first + events.len() as u64 - 1;
        self.sent_ever = self.sent_ever.max(self.sent);
        Some((first, events))
    }

    /// Notes that the host has all events up to `upto`, and the program took all up to `taken`.
    pub(crate) fn acknowledge(&mut self, upto: u64, taken: u64) {
        self.arrived = self.arrived.max(upto.min(self.newest()));
        self.sent = self.sent.max(self.arrived);
        while self.taken < taken.min(self.arrived) {
            let Some(event) = self.events.pop_front() else { return };
            self.bytes -= event.bytes();
            self.taken += 1;
        }
    }

    /// A datagram that carried these was lost.
    pub(crate) fn lost(&mut self, first: u64) {
        self.sent = self.sent.min(first - 1).max(self.arrived);
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        let numbers = [self.taken, self.arrived, self.sent, self.newest()];
        assert!(numbers.is_sorted(), "input is sent, arrives and is taken in order: {numbers:?}");
        assert!(self.bytes <= CREDIT && self.events.len() <= MAX_EVENTS, "what waits is within the credit");
    }

    fn room(&self) -> usize {
        if self.events.len() < MAX_EVENTS { CREDIT.saturating_sub(self.bytes) } else { 0 }
    }

    fn add(&mut self, event: InputEvent) {
        self.bytes += event.bytes();
        self.events.push_back(event);
    }

    /// As many events after number `after` as a datagram takes, and the number of the first.
    fn from(&self, after: u64) -> (u64, Vec<InputEvent>) {
        let skip = usize::try_from(after - self.taken).unwrap_or(usize::MAX);
        let mut size = 0;
        let fits = |event: &&InputEvent| {
            size += event.bytes() + EVENT_OVERHEAD;
            size <= EVENTS_A_FRAME
        };
        (after + 1, self.events.iter().skip(skip).take_while(fits).cloned().collect())
    }
}

/// The host's side: accepts each event once, in order, within the credit.
#[cfg(feature = "host")]
#[derive(Default)]
pub(crate) struct Inbound {
    accepted: u64,
    /// Handed to the PTY up to this number, taken by it up to that one.
    handed: u64,
    taken: u64,
    queue: VecDeque<InputEvent>,
    bytes: usize,
    paste: Pasting,
    /// The end of a write that the PTY gave back: the next write begins with these bytes.
    returned: Vec<u8>,
}

/// How far a viewer's paste is.
#[cfg(feature = "host")]
#[derive(Default)]
enum Pasting {
    /// None is under way.
    #[default]
    Nothing,
    /// The paste's beginning was handed over, and its end was not.
    Open(Paste),
    /// The host's own keys ended it: its remaining pieces are dropped.
    CutOff,
}

/// The source of a write to the PTY. One write never mixes the two.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Keys,
    /// A part of one paste.
    Paste,
}

/// The viewer used more credit than it has.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdrawn;

#[cfg(feature = "host")]
impl Inbound {
    /// Takes in events numbered from `first`; those seen before are skipped, and after a gap nothing is taken.
    pub(crate) fn accept(&mut self, first: u64, events: Vec<InputEvent>) -> Result<(), Overdrawn> {
        for (event, number) in events.into_iter().zip(first..) {
            let is_repeated = number <= self.accepted && is_faulty!(InputTwice);
            let is_early = number > self.accepted && is_faulty!(InputGaps);
            if number != self.accepted + 1 && !is_repeated && !is_early {
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

    /// The next write to the PTY. Pastes stand in brackets if the program asked for them.
    pub(crate) fn next_write(&mut self, bracketed: bool) -> Option<(Vec<u8>, Content)> {
        if !self.returned.is_empty() {
            return Some((std::mem::take(&mut self.returned), Content::Keys));
        }
        let mut write = Vec::new();
        let mut content = Content::Keys;
        while let Some(event) = self.queue.front() {
            let (next, begins) = match event {
                InputEvent::Keys(_) => (Content::Keys, false),
                InputEvent::Paste { first, .. } => (Content::Paste, *first),
            };
            let full = write.len() + event.bytes() > MAX_WRITE;
            if !write.is_empty() && (full || begins || next != content) {
                break;
            }
            content = next;
            let event = self.queue.pop_front()?;
            self.bytes -= event.bytes();
            self.handed += 1;
            match event {
                InputEvent::Keys(bytes) => {
                    write.extend(self.break_off());
                    write.extend(bytes);
                }
                InputEvent::Paste { bytes, first, last } => write.extend(self.piece(&bytes, first, last, bracketed)),
            }
        }
        if write.is_empty() {
            // Dropped pieces count as taken.
            self.written();
            return None;
        }
        Some((write, content))
    }

    fn piece(&mut self, bytes: &[u8], first: bool, last: bool, bracketed: bool) -> Vec<u8> {
        let mut write = if first { self.break_off() } else { Vec::new() };
        let mut paste = match std::mem::take(&mut self.paste) {
            Pasting::Open(paste) => paste,
            Pasting::Nothing => Paste::new(bracketed),
            Pasting::CutOff => {
                self.paste = if last { Pasting::Nothing } else { Pasting::CutOff };
                return write;
            }
        };
        write.extend(paste.piece(bytes, last));
        if !last {
            self.paste = Pasting::Open(paste);
        }
        write
    }

    /// Whether a paste has begun and not ended: nobody else's keys may come in between.
    pub(crate) fn is_pasting(&self) -> bool {
        matches!(self.paste, Pasting::Open(_))
    }

    /// Whether something waits to be written.
    pub(crate) fn waits(&self) -> bool {
        !self.queue.is_empty() || !self.returned.is_empty()
    }

    /// Ends a paste whose author does not: what the program must be told.
    pub(crate) fn break_off(&mut self) -> Vec<u8> {
        match std::mem::take(&mut self.paste) {
            Pasting::Open(mut paste) => paste.piece(&[], true),
            Pasting::Nothing | Pasting::CutOff => Vec::new(),
        }
    }

    /// The host's own keys end the paste that is under way, and the remaining pieces are dropped.
    pub(crate) fn cut_off(&mut self) {
        if self.is_pasting() {
            self.paste = Pasting::CutOff;
        }
    }

    /// The PTY gave this end of the last write back: the next write begins with these bytes.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        self.returned = bytes;
    }

    /// Drops what waits, as if it had been taken: there is no program to take it.
    pub(crate) fn discard(&mut self) {
        self.handed += self.queue.len() as u64;
        self.taken = self.handed;
        self.queue.clear();
        self.bytes = 0;
        self.cut_off();
        self.returned.clear();
    }

    /// All events up to this number arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.accepted
    }

    /// The PTY took what it was handed.
    pub(crate) fn written(&mut self) {
        self.taken = self.handed;
    }

    /// The cumulative number of events that the PTY took.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.taken <= self.handed, "the PTY takes what it was handed");
        assert_eq!(self.handed + self.queue.len() as u64, self.accepted, "each event waits, or was handed over");
        assert!(self.bytes <= CREDIT && self.queue.len() <= MAX_EVENTS, "what waits is within the credit");
    }
}

#[cfg(all(test, feature = "host"))]
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
        while let Some((bytes, _)) = inbound.next_write(false) {
            written.extend(bytes);
            inbound.written();
        }
        let expected: Vec<u8> = (0..50u8).flat_map(|i| [i; 7]).collect();
        assert_eq!(written, expected);
        typed.acknowledge(inbound.arrived(), inbound.taken());
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
