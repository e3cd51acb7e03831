//! What becomes of lines that left the window: which version of them is the last one, and which are not sent any more.

use serde::{Deserialize, Serialize};

/// Most runs of one list: a head and a hundred of them fit a datagram. What does not fit is told later.
pub const MAX_FATE_RUNS: usize = 96;

/// The version that stands for a line which this viewer will not get.
pub const GIVEN_UP: u64 = 0;

/// What a viewer must know of lines above the window to put them into its own scrollback, in order, each once.
///
/// A viewer cannot conclude from the window's having moved that what it holds of a line was the last word: it may have missed a version.
/// So it is told, and only of lines that it may hold in a version which did not come marked as final.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// The first line of history that this viewer gets at all; constant while the link lives.
    pub start: u64,
    /// The line that the first run begins with.
    pub from: u64,
    /// How many lines, and their final version, or [`GIVEN_UP`].
    pub runs: Vec<(u32, u64)>,
}

impl Fates {
    /// Whether the numbers make sense; those of decoded fates may not.
    pub fn is_sound(&self) -> bool {
        let count: u64 = self.runs.iter().map(|(count, _)| u64::from(*count)).sum();
        let counted = self.runs.iter().all(|(count, _)| *count > 0);
        self.runs.len() <= MAX_FATE_RUNS && counted && self.from.checked_add(count).is_some()
    }

    /// The runs, each as its first line, how many lines, and the version.
    pub fn spans(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.runs.iter().scan(self.from, |next, (count, version)| {
            let first = *next;
            *next += u64::from(*count);
            Some((first, u64::from(*count), *version))
        })
    }
}
