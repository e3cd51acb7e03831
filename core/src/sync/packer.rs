//! Puts what goes out into datagrams, none longer than a frame may be.

use crate::sync::outbound::Load;
use crate::sync::slots::{Missing, Part};
use crate::terminal::{Head, LineCommits};
use crate::wire::frame::{Down, MAX_ACKS, MAX_FRAME, Segment};

/// Bytes of a datagram that are neither head nor segments: version byte, sequence number, a flag, acknowledgements, two
/// numbers, an option and a count, each at its longest.
const OVERHEAD: usize = 1 + 10 + 1 + MAX_ACKS + 10 + 10 + 1 + 2;

/// The room beside the header.
const ROOM: usize = MAX_FRAME - OVERHEAD;

/// The part of a datagram that the synchronisation fills.
pub(crate) struct Payload {
    pub(crate) screen: Option<(Head, LineCommits)>,
    pub(crate) segments: Vec<Segment>,
    size: usize,
}

impl Payload {
    /// Bytes that it takes at most.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Puts it into a datagram.
    pub(crate) fn fill(self, down: &mut Down) {
        (down.screen, down.segments) = (self.screen, self.segments);
    }
}

/// Fills one datagram after the other.
#[derive(Default)]
pub(super) struct Packer {
    full: Vec<(Payload, Load)>,
    open: Option<(Payload, Load)>,
}

impl Packer {
    /// Bytes that a head with its commits takes.
    pub(super) fn size_of(screen: Option<&(Head, LineCommits)>) -> usize {
        screen.map_or(0, |screen| postcard::experimental::serialized_size(screen).unwrap_or(ROOM))
    }

    /// Adds the head and the commits that go with it, which tell of these spans.
    pub(super) fn screen(&mut self, head: Head, commits: LineCommits, told: Vec<(u64, u64)>) {
        let version = head.version;
        let screen = (head, commits);
        let size = Packer::size_of(Some(&screen));
        let (payload, load) = self.room(size);
        payload.screen = Some(screen);
        (load.head, load.told) = (Some(version), told);
    }

    /// Adds a part of a line.
    pub(super) fn part(&mut self, line: &Missing<'_>, part: u8, is_final: bool) {
        let content = line.part(part).to_vec();
        let Missing { space, number, version, parts, .. } = *line;
        let (payload, load) = self.room(line.size_without_content(content.len()) + content.len());
        payload.segments.push(Segment { space, number, version, is_final, part, parts, content });
        load.parts.push(Part { space, number, version, part, is_final });
    }

    /// Datagrams begun so far.
    pub(super) fn count(&self) -> usize {
        self.full.len() + usize::from(self.open.is_some())
    }

    /// Bytes in the datagram that is being filled.
    pub(super) fn open_size(&self) -> usize {
        self.open.as_ref().map_or(0, |(payload, _)| payload.size)
    }

    /// Starts a new datagram.
    pub(super) fn close(&mut self) {
        self.full.extend(self.open.take());
    }

    pub(super) fn finish(mut self) -> Vec<(Payload, Load)> {
        self.close();
        self.full
    }

    /// The datagram that takes `size` bytes more.
    fn room(&mut self, size: usize) -> &mut (Payload, Load) {
        if self.open_size() + size > ROOM {
            self.close();
        }
        let empty = || (Payload { screen: None, segments: Vec::new(), size: 0 }, Load::default());
        let open = self.open.get_or_insert_with(empty);
        open.0.size += size;
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::slots::Slots;
    use crate::terminal::{Line, Run, Space, Style, Styles, Width};

    #[test]
    fn the_size_of_a_payload_is_what_it_takes_on_the_wire() {
        let encoded = |length: usize| {
            let run = Run { style: Style::default(), width: Width::Narrow, text: "x".repeat(length) };
            Line { wrapped: false, runs: vec![run] }.encode()
        };
        let contents: Vec<_> = [1, 90, 120, 130, 300, 700].map(encoded).into();
        let mut slots = Slots::new(Styles::All);
        let mut packer = Packer::default();
        for (number, version) in [(0, 1), (127, 128), (16_383, 16_384), (2_000_000, u64::MAX >> 1)] {
            for (offset, content) in (number..).zip(&contents) {
                let line = slots.missing(Space::Main, offset, version, content).expect("nothing was sent");
                let mut parts = Vec::new();
                slots.send(&line, false, |part| parts.push(part));
                parts.into_iter().for_each(|part| packer.part(&line, part, false));
            }
        }
        let payloads = packer.finish();
        assert!(payloads.len() > 4, "{}", payloads.len());
        for (payload, _) in payloads {
            let size = postcard::experimental::serialized_size(&payload.segments).expect("plain data");
            assert_eq!(payload.size, size - 1, "the list's own length takes a byte");
            assert!(payload.size <= ROOM);
        }
    }
}
