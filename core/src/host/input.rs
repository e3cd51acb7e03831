//! Input for the program: the host's own keys first, then viewers' input, one write at a time.
//!
//! A program that reads nothing leaves a write pending. The host's keys take such a write back, so that nothing a
//! viewer or a program does keeps them waiting; `revoke`, `kick` and `pause` take it back too, and drop the bytes that
//! the PTY has not taken.

use std::collections::BTreeSet;
use std::time::Duration;

use super::listing::Typist;
use super::{Host, HostNotice, HostOutput};
use crate::id::MemberId;
use crate::session::link::Command;
use crate::sync::inbound::{Content, Inbound, MAX_WRITE};
use crate::terminal::{Modes, PASTE_BEGINS, PASTE_ENDS};
use crate::time::Timestamp;

/// A viewer's paste that goes on no more ends after this time: others want to type.
const PASTE_PATIENCE: Duration = Duration::from_secs(3);

/// The host's own keys wait in a queue of this many bytes; while the queue is longer, no further keys are asked for.
const OWN_QUEUE: usize = 64 * 1024;

/// A program that took none of a full queue for this time reads nothing. The keyboard is then read all the same, for
/// the escape and for signals, and keys that do not fit are dropped.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Longest rest of an escape sequence that is written for it to be whole, in bytes.
const MAX_SEQUENCE: usize = 32;

/// All input of the program.
#[derive(Default)]
pub(super) struct Input {
    in_flight: Option<InFlight>,
    /// The host's own keys that are in no write.
    keys: Vec<u8>,
    flow: Flow,
    /// Bytes that go before all others: the rest of a sequence, the end of a paste, an answer of the model.
    owed: Vec<u8>,
    /// The bracket that a viewer's bytes have opened, as the program sees them.
    bracket: Bracket,
    /// The member whose paste is under way, and since when no piece of the paste came.
    pasting: Option<(MemberId, Timestamp)>,
    /// Members with unwritten input.
    typing: BTreeSet<MemberId>,
    last_writer: Option<MemberId>,
}

/// Whether the program keeps up with the host's keys.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    /// The queue has room.
    #[default]
    Free,
    /// The queue is full: at this time the PTY is asked whether it takes anything.
    Full(Timestamp),
    Asked,
    /// The program takes nothing.
    Stalled,
}

/// The write that the PTY has not finished.
struct InFlight {
    writer: Writer,
    bytes: Vec<u8>,
    recall: Recall,
}

enum Writer {
    /// The host's keys, after so many bytes that were owed.
    Own(usize),
    /// Bytes that were owed.
    Owed,
    /// A member that has been removed.
    Gone,
    Member(MemberId, Content),
}

/// Whether the write is asked back from the PTY.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recall {
    No,
    /// The host's keys go first; the rest follows them, but for a paste.
    ForKeys,
    /// The rest is dropped.
    Drop,
}

/// Tracks the brackets around pastes in the bytes written to the program. A viewer may also type a bracket as keys.
#[derive(Default)]
struct Bracket {
    open: bool,
    /// Bytes of the next bracket that were written.
    read: usize,
}

impl Bracket {
    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let marker = if self.open { PASTE_ENDS } else { PASTE_BEGINS };
            self.read = if byte == marker[self.read] { self.read + 1 } else { usize::from(byte == marker[0]) };
            if self.read == marker.len() {
                (self.open, self.read) = (!self.open, 0);
            }
        }
    }
}

impl Input {
    /// The member that typed last.
    pub(super) fn last_writer(&self) -> Option<MemberId> {
        self.last_writer
    }

    /// Takes note of whether a member has unwritten input.
    pub(super) fn index(&mut self, id: MemberId, inbound: &Inbound) {
        if inbound.waits() {
            self.typing.insert(id);
        } else {
            self.typing.remove(&id);
        }
    }

    /// Nothing is written any more.
    pub(super) fn program_ended(&mut self) {
        *self = Input { typing: std::mem::take(&mut self.typing), last_writer: self.last_writer, ..Input::default() };
    }

    /// A paste that a viewer began ends for the program, before anything else is written.
    fn close_bracket(&mut self) {
        if self.bracket.open {
            self.bracket = Bracket::default();
            self.owed.extend_from_slice(PASTE_ENDS);
        }
    }

    /// Asks the write that is pending back. A write that is to be dropped stays so.
    fn recall(&mut self, why: Recall) -> Option<HostOutput<Command>> {
        let pending = self.in_flight.as_mut()?;
        let asked = pending.recall != Recall::No;
        if pending.recall != Recall::Drop {
            pending.recall = why;
        }
        (!asked).then_some(HostOutput::TakeBack)
    }

    /// Whether the pending write is of this member.
    fn is_pending_of(&self, id: MemberId) -> bool {
        self.in_flight.as_ref().is_some_and(|write| matches!(write.writer, Writer::Member(writer, _) if writer == id))
    }

    /// When the PTY is asked how much of a full queue it took.
    pub(super) fn keys_deadline(&self) -> Option<Timestamp> {
        match self.flow {
            Flow::Full(at) => Some(at),
            Flow::Free | Flow::Asked | Flow::Stalled => None,
        }
    }

    /// Invariants of input, checked after every input of the host.
    pub(super) fn check(&self, members: &BTreeSet<MemberId>) {
        let writer = self.in_flight.as_ref().and_then(|write| match write.writer {
            Writer::Member(id, _) => Some(id),
            Writer::Own(_) | Writer::Owed | Writer::Gone => None,
        });
        let author = self.pasting.map(|(author, _)| author);
        let all = writer.into_iter().chain(author).chain(self.typing.iter().copied());
        assert!(all.into_iter().all(|id| members.contains(&id)), "what is typed is of members alone");
        let asked_back = self.in_flight.as_ref().is_some_and(|write| write.recall != Recall::No);
        assert!(self.keys.is_empty() || asked_back, "the host's keys wait for no write but one that is asked back");
    }

    /// Bytes of the host's keys that the program has not taken.
    fn own_waiting(&self) -> usize {
        let pending = self.in_flight.as_ref().filter(|write| matches!(write.writer, Writer::Own(_)));
        self.keys.len() + pending.map_or(0, |write| write.bytes.len())
    }
}

impl Host {
    /// Queues keys of the host for the program, and asks for more unless the queue is full.
    pub(super) fn queue_keys(&mut self, now: Timestamp, mut keys: Vec<u8>) {
        let room = OWN_QUEUE.saturating_sub(self.input.own_waiting());
        if self.input.flow == Flow::Stalled && keys.len() > room {
            // One of the control characters may be a signal, which the PTY delivers past all others.
            let beyond = keys.split_off(room);
            let controls = beyond.into_iter().filter(|byte| *byte < 0x20 && !matches!(byte, b'\t'..=b'\r' | 0x1b));
            let spare = (2 * OWN_QUEUE).saturating_sub(self.input.own_waiting() + keys.len());
            keys.extend(controls.take(spare));
            self.message(now, "the program reads nothing, so beach drops your keys");
        }
        self.input.keys.extend(keys);
        if self.input.flow == Flow::Stalled || self.input.own_waiting() <= OWN_QUEUE {
            self.out.push_back(HostOutput::KeysTaken);
        } else if self.input.flow == Flow::Free {
            self.input.flow = Flow::Full(now + STALLED_AFTER);
        }
    }

    /// A full queue of the host's keys has waited long enough: the PTY is asked how much it took.
    pub(super) fn own_keys_stall(&mut self) {
        self.input.flow = Flow::Asked;
        let asked = self.input.recall(Recall::ForKeys);
        self.out.extend(asked);
    }

    /// The PTY took so many bytes of the host's keys.
    fn own_keys_moved(&mut self, now: Timestamp, taken: usize) {
        let is_full = self.input.own_waiting() > OWN_QUEUE;
        let flow = match self.input.flow {
            Flow::Full(_) | Flow::Asked if !is_full => Flow::Free,
            Flow::Full(_) | Flow::Asked if taken > 0 => Flow::Full(now + STALLED_AFTER),
            Flow::Stalled if taken > 0 => Flow::Free,
            Flow::Asked => Flow::Stalled,
            same @ (Flow::Free | Flow::Full(_) | Flow::Stalled) => same,
        };
        let before = std::mem::replace(&mut self.input.flow, flow);
        if matches!(before, Flow::Full(_) | Flow::Asked) && matches!(flow, Flow::Free | Flow::Stalled) {
            self.out.push_back(HostOutput::KeysTaken);
        }
    }

    pub(super) fn pump_writes(&mut self, now: Timestamp) {
        if !self.lifecycle.is_running() {
            self.screen.emulator.take_replies();
            self.input.keys.clear();
            return;
        }
        // The host's own terminal, if there is one, answers the program's queries.
        if !self.config.headless && !is_faulty!(AnsweredTwice) {
            self.screen.emulator.take_replies();
        }
        if self.input.in_flight.is_some() {
            if !self.input.keys.is_empty() && !is_faulty!(UnreadBeforeOwnKeys) {
                let asked = self.input.recall(Recall::ForKeys);
                self.out.extend(asked);
            }
            return;
        }
        // While a write is pending the model keeps its answers, of which it bounds the bytes.
        self.input.owed.extend(self.screen.emulator.take_replies());
        let waits_for_paste = is_faulty!(PasteBeforeOwnKeys) && self.input.pasting.is_some();
        if !self.input.keys.is_empty() && !waits_for_paste {
            return self.write_own();
        }
        if !self.input.owed.is_empty() {
            let owed = std::mem::take(&mut self.input.owed);
            return self.write(Writer::Owed, owed);
        }
        if self.console.paste_until(now).is_some() || self.pump_paste(now) {
            return;
        }
        // Everybody in turn, beginning after the member that wrote last.
        let after = self.input.last_writer.map_or(MemberId(0), |last| MemberId(last.0.wrapping_add(1)));
        let typing = &self.input.typing;
        let turn: Vec<_> = typing.range(after..).chain(typing.range(..after)).copied().collect();
        for id in turn {
            if self.write_of(now, id) {
                return;
            }
        }
    }

    fn write(&mut self, writer: Writer, bytes: Vec<u8>) {
        let output = match writer {
            Writer::Own(_) => HostOutput::WriteOwn(bytes.clone()),
            Writer::Owed | Writer::Gone | Writer::Member(..) => HostOutput::Write(bytes.clone()),
        };
        self.input.in_flight = Some(InFlight { writer, bytes, recall: Recall::No });
        self.out.push_back(output);
    }

    /// Writes all of the host's keys. The keys end a viewer's paste at once; otherwise the program would take them for
    /// a part of the paste.
    fn write_own(&mut self) {
        if let Some((author, _)) = self.input.pasting.take()
            && let Some(member) = self.connections.member_mut(author)
        {
            member.lane.inbound.cut_off();
        }
        self.input.close_bracket();
        let mut bytes = std::mem::take(&mut self.input.owed);
        let owed = bytes.len();
        bytes.append(&mut self.input.keys);
        self.write(Writer::Own(owed), bytes);
    }

    /// Writes what comes next of this member, if anything does.
    fn write_of(&mut self, now: Timestamp, id: MemberId) -> bool {
        let bracketed = self.screen.emulator.modes().contains(Modes::BRACKETED_PASTE);
        let Some(member) = self.connections.member_mut(id) else { return false };
        if member.input.ready_at(MAX_WRITE) > now {
            return false;
        }
        let Some((bytes, content)) = member.lane.inbound.next_write(bracketed) else { return false };
        member.input.take(now, bytes.len().min(MAX_WRITE));
        self.input.pasting = member.lane.inbound.is_pasting().then_some((id, now));
        self.input.last_writer = Some(id);
        self.listing.typed(now, Typist::Member(id));
        self.screen.frames.expect_echo(now);
        if self.config.tells_input {
            self.notice(HostNotice::Typed(id, bytes.clone()));
        }
        self.write(Writer::Member(id, content), bytes);
        true
    }

    /// Continues a paste that is under way; returns whether nobody else may write now.
    fn pump_paste(&mut self, now: Timestamp) -> bool {
        let Some((author, since)) = self.input.pasting else { return false };
        if self.write_of(now, author) {
            return true;
        }
        if now < since + PASTE_PATIENCE {
            return true;
        }
        self.input.pasting = None;
        if let Some(member) = self.connections.member_mut(author) {
            member.lane.inbound.break_off();
        }
        self.input.close_bracket();
        if self.input.owed.is_empty() {
            return false;
        }
        let owed = std::mem::take(&mut self.input.owed);
        self.write(Writer::Owed, owed);
        true
    }

    /// When input that waits goes on although nothing happens.
    pub(super) fn input_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let ready_at = |id: &MemberId| {
            let member = self.connections.member(*id).filter(|member| member.lane.inbound.waits())?;
            Some(member.input.ready_at(MAX_WRITE)).filter(|at| *at > now)
        };
        let idle = self.input.in_flight.is_none();
        let typed = self.input.typing.iter().filter_map(ready_at).min();
        let pasted = self.input.pasting.map(|(_, since)| since + PASTE_PATIENCE);
        let held = self.console.paste_until(now).filter(|_| !self.input.typing.is_empty());
        [typed, pasted, held].into_iter().flatten().filter(|_| idle).min()
    }

    /// The PTY took all of the last write.
    pub(super) fn on_written(&mut self, now: Timestamp) {
        let Some(InFlight { writer, bytes, recall }) = self.input.in_flight.take() else { return };
        match writer {
            Writer::Own(_) => self.own_keys_moved(now, bytes.len()),
            Writer::Owed => {}
            Writer::Gone => self.input.bracket.feed(&bytes),
            Writer::Member(id, _) => {
                self.input.bracket.feed(&bytes);
                if let Some(member) = self.connections.member_mut(id) {
                    member.lane.inbound.written();
                }
            }
        }
        if recall == Recall::Drop {
            self.input.close_bracket();
        }
    }

    /// The PTY gave the last write back, but for the first `taken` bytes.
    pub(super) fn on_taken_back(&mut self, now: Timestamp, taken: usize) {
        let Some(InFlight { writer, mut bytes, recall }) = self.input.in_flight.take() else { return };
        let taken = taken.min(bytes.len());
        let (id, content) = match writer {
            Writer::Own(owed) => {
                let mut keys = bytes.split_off(taken.max(owed));
                keys.append(&mut self.input.keys);
                self.input.keys = keys;
                self.input.owed.splice(..0, bytes.drain(taken.min(owed)..owed));
                return self.own_keys_moved(now, taken);
            }
            Writer::Owed => {
                self.input.owed.splice(..0, bytes.drain(taken..));
                return;
            }
            Writer::Gone => (None, Content::Keys),
            Writer::Member(id, content) => (Some(id), content),
        };
        let whole = whole_sequence(&bytes, taken);
        let rest = bytes.split_off(whole);
        self.input.bracket.feed(&bytes);
        self.input.owed.extend_from_slice(&bytes[taken..]);
        let member = id.and_then(|id| self.connections.member_mut(id));
        match (recall, content, member) {
            (Recall::No | Recall::ForKeys, Content::Keys, Some(member)) if !rest.is_empty() => {
                member.lane.inbound.put_back(rest);
            }
            (Recall::No | Recall::ForKeys, _, Some(member)) => member.lane.inbound.written(),
            (Recall::Drop, ..) | (Recall::No | Recall::ForKeys, _, None) => self.input.close_bracket(),
        }
    }

    /// Drops this member's input that the PTY has not taken, and ends their paste.
    pub(super) fn drop_input(&mut self, id: MemberId) {
        if is_faulty!(RevokedInputStays) {
            return;
        }
        let is_pending = self.input.is_pending_of(id);
        let is_pasting = self.input.pasting.take_if(|(author, _)| *author == id).is_some();
        if is_pending {
            let asked = self.input.recall(Recall::Drop);
            self.out.extend(asked);
        } else if is_pasting || self.input.last_writer == Some(id) {
            self.input.close_bracket();
        }
        if let Some(member) = self.connections.member_mut(id) {
            member.lane.inbound.discard();
        }
    }

    /// Removes a member's input: as [`drop_input`](Host::drop_input), and a pending write belongs to nobody from now
    /// on.
    pub(super) fn forget_input(&mut self, id: MemberId) {
        self.drop_input(id);
        self.input.typing.remove(&id);
        if self.input.is_pending_of(id)
            && let Some(write) = &mut self.input.in_flight
        {
            write.writer = Writer::Gone;
        }
    }
}

/// The first place at or after `taken` where neither a character nor an escape sequence is cut in two.
fn whole_sequence(bytes: &[u8], taken: usize) -> usize {
    let mut at = 0;
    while at < taken {
        let rest = &bytes[at..];
        let length = match rest {
            [0x1b, b'[', parameters @ ..] => {
                let end = parameters.iter().take(MAX_SEQUENCE).position(|byte| !(0x20..0x40).contains(byte));
                end.map_or(2, |end| end + 3)
            }
            [0x1b, b'O', _, ..] => 3,
            [0x1b, _, ..] => 2,
            [lead, ..] if *lead >= 0xc0 => {
                let follow = rest[1..].iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte));
                1 + follow.count()
            }
            _ => 1,
        };
        at += length;
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_cut_between_characters_and_sequences_alone() {
        let bytes = "aé\x1b[1;5C\x1bOPb\x1b".as_bytes();
        let places = [0, 1, 3, 9, 12, 13, 14];
        for taken in 0..=bytes.len() {
            let next = places.into_iter().find(|place| *place >= taken);
            assert_eq!(Some(whole_sequence(bytes, taken)), next, "after {taken}");
        }
        assert_eq!(whole_sequence(b"\x1b[", 1), 2);
    }

    #[test]
    fn a_bracket_is_seen_however_it_is_cut_and_whoever_wrote_it() {
        let mut bracket = Bracket::default();
        for byte in b"\x1b[200\x1b[200~text\x1b[201" {
            bracket.feed(&[*byte]);
        }
        assert!(bracket.open);
        bracket.feed(b"~");
        assert!(!bracket.open);
    }
}
