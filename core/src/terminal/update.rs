//! A synchronised update (mode 2026): the bytes that the program wrote since the update began, which are not shown yet.

use super::query_scanner::Found;

/// Most bytes that wait for the end of an update; one that is longer ends. Larger than any screen.
const MAX_UPDATE: usize = 2 << 20;

/// The bytes, commands and titles that wait for the end of an update.
#[derive(Debug, Default)]
pub(super) struct Update {
    bytes: Vec<u8>,
    /// Commands and titles between the bytes, each with the number of bytes before it.
    found: Vec<(usize, Found)>,
    /// About how much memory all of it takes.
    size: usize,
}

impl Update {
    /// Takes bytes for the parser, if there is room.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> bool {
        self.size += bytes.len();
        let fits = self.size < MAX_UPDATE;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Takes a command or title that comes after the bytes so far.
    pub(super) fn note(&mut self, found: Found) {
        let more = if let Found::Title(title) = &found { title.len() } else { 0 };
        self.size += size_of::<(usize, Found)>() + more;
        self.found.push((self.bytes.len(), found));
    }

    /// All parts in order: bytes, and the command or title after them.
    pub(super) fn parts(self) -> impl Iterator<Item = (Vec<u8>, Option<Found>)> {
        let Update { mut bytes, found, .. } = self;
        let mut done = 0;
        let last = bytes.split_off(found.last().map_or(0, |(at, _)| *at));
        let between = found.into_iter().map(move |(at, found)| {
            let part = bytes[done..at].to_vec();
            done = at;
            (part, Some(found))
        });
        between.chain(std::iter::once((last, None)))
    }
}
