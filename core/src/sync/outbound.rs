//! What does this viewer lack, and what goes next: the head and the cursor's line first, then the visible lines, always in their newest
//! version. What cannot go now is not queued; it is looked up again when it can.

use std::collections::{BTreeMap, VecDeque};

use crate::terminal::{Emulator, Head, Space};
use crate::wire::frame::{MAX_FRAME, MAX_SEGMENT, Segment, Update};

/// Most unacknowledged updates a viewer: 24 KiB ahead of a slow viewer, so that the engine's 128 KiB buffer never refuses and a
/// stalled viewer skips versions instead of growing anything.
pub(crate) const MAX_IN_FLIGHT: usize = 24;

/// Bytes of an update that are not segments: version byte, sequence number, counts.
const UPDATE_OVERHEAD: usize = 24;

/// Bytes of a segment that are not content: space, number, version, part, parts, length.
const SEGMENT_OVERHEAD: usize = 26;

/// One viewer's state: a version for each window row, and what is on its way.
#[derive(Default)]
pub(crate) struct Outbound {
    next_seq: u64,
    in_flight: VecDeque<u64>,
    sent: BTreeMap<(Space, u64), u64>,
    head_sent: u64,
    /// Where the last round was cut short: the next one goes on from there, so that no row is passed over for ever.
    resume_at: u64,
    /// The version of the head for which the whole window has been sent.
    window_sent: u64,
    ready: VecDeque<Update>,
}

impl Outbound {
    /// Acknowledges updates; ranges are inclusive.
    pub(crate) fn acknowledge(&mut self, ranges: &[(u64, u64)]) {
        self.in_flight.retain(|seq| !ranges.iter().any(|(first, last)| (first..=last).contains(&seq)));
    }

    /// Whether this viewer has acknowledged all there is.
    pub(crate) fn is_current(&self, emulator: &Emulator) -> bool {
        let head = emulator.head();
        self.in_flight.is_empty()
            && self.ready.is_empty()
            && self.head_sent == head.version
            && self.window_sent == head.version
    }

    /// The next update that may go now.
    pub(crate) fn next(&mut self, emulator: &Emulator) -> Option<Update> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        if self.ready.is_empty() {
            self.collect(emulator);
        }
        let mut update = self.ready.pop_front()?;
        self.next_seq += 1;
        update.seq = self.next_seq;
        self.in_flight.push_back(update.seq);
        Some(update)
    }

    /// Packs what is missing into updates, most urgent first. At most a window of them is made at once; the rest is looked up later.
    fn collect(&mut self, emulator: &Emulator) {
        let head = emulator.head();
        if head.version == self.window_sent {
            return;
        }
        self.forget_outside(head);
        let room = MAX_IN_FLIGHT - self.in_flight.len();
        let mut packer = Packer::default();
        if head.version != self.head_sent {
            self.head_sent = head.version;
            packer.head(head.clone());
        }
        let mut cut_short = false;
        for number in urgency(head, self.resume_at) {
            if packer.full.len() + 1 >= room {
                cut_short = true;
                self.resume_at = number;
                break;
            }
            let Some((version, content)) = emulator.line(head.space, number) else { continue };
            if self.sent.get(&(head.space, number)) != Some(&version) {
                self.sent.insert((head.space, number), version);
                packer.line(head.space, number, version, content);
            }
        }
        if !cut_short {
            self.window_sent = head.version;
        }
        self.ready = packer.finish();
    }

    /// Versions of lines that left the window are not needed any more.
    fn forget_outside(&mut self, head: &Head) {
        let top = head.top;
        let rows = u64::from(head.size.rows);
        self.sent.retain(|(space, number), _| *space != head.space || (top..top + rows).contains(number));
    }
}

fn window(head: &Head) -> std::ops::Range<u64> {
    head.top..head.top + u64::from(head.size.rows)
}

/// The cursor's line, then the others, from `start` on to the bottom and from the top to it.
fn urgency(head: &Head, start: u64) -> impl Iterator<Item = u64> {
    let cursor = head.top + u64::from(head.cursor.row);
    let window = window(head);
    let start = if window.contains(&start) { start } else { window.start };
    let others = (start..window.end).chain(window.start..start);
    std::iter::once(cursor).chain(others.filter(move |number| *number != cursor))
}

#[derive(Default)]
struct Packer {
    full: VecDeque<Update>,
    head: Option<Head>,
    segments: Vec<Segment>,
    size: usize,
}

impl Packer {
    fn head(&mut self, head: Head) {
        self.size += postcard::to_stdvec(&head).map_or(MAX_FRAME, |bytes| bytes.len());
        self.head = Some(head);
    }

    fn line(&mut self, space: Space, number: u64, version: u64, content: &[u8]) {
        let parts = content.len().div_ceil(MAX_SEGMENT).max(1);
        let count = u8::try_from(parts).expect("the terminal model bounds an encoded line");
        for part in 0..count {
            let from = usize::from(part) * MAX_SEGMENT;
            let content = content[from..content.len().min(from + MAX_SEGMENT)].to_vec();
            self.segment(Segment { space, number, version, part, parts: count, content });
        }
    }

    fn segment(&mut self, segment: Segment) {
        let size = segment.content.len() + SEGMENT_OVERHEAD;
        if self.size + size + UPDATE_OVERHEAD > MAX_FRAME {
            self.close();
        }
        self.size += size;
        self.segments.push(segment);
    }

    fn close(&mut self) {
        if self.head.is_some() || !self.segments.is_empty() {
            let segments = std::mem::take(&mut self.segments);
            self.full.push_back(Update { seq: 0, head: self.head.take(), segments });
        }
        self.size = 0;
    }

    fn finish(mut self) -> VecDeque<Update> {
        self.close();
        self.full
    }
}
