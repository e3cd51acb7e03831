//! A synchronised update (mode 2026): what was written since the program began it, and nothing shows of.

use super::query_scanner::Found;

/// Most bytes that wait for the end of an update; one that is longer ends. Larger than any screen.
const MAX_UPDATE: usize = 2 << 20;

/// What waits for the end of an update.
#[derive(Debug, Default)]
pub(super) struct Update {
    bytes: Vec<u8>,
    /// What is to be done between the bytes, and before which of them.
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

    /// Takes what is to be done after the bytes so far.
    pub(super) fn note(&mut self, found: Found) {
        let more = if let Found::Title(title) = &found { title.len() } else { 0 };
        self.size += size_of::<(usize, Found)>() + more;
        self.found.push((self.bytes.len(), found));
    }

    /// All of it in order: some bytes, and what is to be done then.
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
