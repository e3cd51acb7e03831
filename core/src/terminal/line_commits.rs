//! The fate of lines that left the window: which version is final, and which lines are no longer sent.

use serde::{Deserialize, Serialize};

/// Most runs of one list: the longest head and these fit a datagram. Further runs are told later.
pub const MAX_COMMIT_RUNS: usize = 24;

/// The version that stands for a line which this viewer will not get.
pub const GIVEN_UP: u64 = 0;

/// The version that stands for nothing: the final version of these lines is told elsewhere.
pub const UNSAID: u64 = u64::MAX;

/// The version that stands for a line which left the window as it came back into it: it repeats a line that this viewer
/// got already. Only for viewers that know [`KNOWS_REPEATS`](crate::session::link::KNOWS_REPEATS).
pub const REPEATED: u64 = u64::MAX - 1;

/// The facts about lines above the window that a viewer needs to scroll each line out once, in order.
///
/// A window that moved does not tell a viewer that its version of a line is the last one: the viewer may have missed a
/// version. So the host tells the last version, but only of lines whose version at the viewer may not have been marked
/// as final.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCommits {
    /// The first line of history that this viewer gets at all; constant while the link lives.
    pub start: u64,
    /// The line that the first run begins with.
    pub from: u64,
    /// How many lines, and their final version, [`GIVEN_UP`], [`REPEATED`], or [`UNSAID`].
    pub runs: Vec<(u32, u64)>,
}

impl LineCommits {
    /// Whether the numbers make sense; those of decoded commits may not.
    pub fn is_sound(&self) -> bool {
        let count: u64 = self.runs.iter().map(|(count, _)| u64::from(*count)).sum();
        let counted = self.runs.iter().all(|(count, _)| *count > 0);
        self.runs.len() <= MAX_COMMIT_RUNS && counted && self.from.checked_add(count).is_some()
    }

    /// The runs that say something, each as its first line, how many lines, and the version.
    pub fn spans(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let all = self.runs.iter().scan(self.from, |next, (count, version)| {
            let first = *next;
            *next += u64::from(*count);
            Some((first, u64::from(*count), *version))
        });
        all.filter(|(_, _, version)| *version != UNSAID)
    }

    /// Adds what becomes of lines `first` to before `end`, which come after all that were added; false if there is no
    /// room.
    pub fn push(&mut self, first: u64, end: u64, version: u64) -> bool {
        let next = self.from + self.runs.iter().map(|(count, _)| u64::from(*count)).sum::<u64>();
        if self.runs.is_empty() {
            self.from = first;
        } else if first > next {
            if self.runs.len() + 2 > MAX_COMMIT_RUNS || u32::try_from(first - next).is_err() {
                return false;
            }
            self.runs.push(((first - next) as u32, UNSAID));
        }
        let Ok(count) = u32::try_from(end - first) else { return false };
        let room = self.runs.len() < MAX_COMMIT_RUNS;
        match self.runs.last_mut() {
            Some((counted, last)) if *last == version => match counted.checked_add(count) {
                Some(sum) => *counted = sum,
                None => return false,
            },
            Some(_) | None if room => self.runs.push((count, version)),
            Some(_) | None => return false,
        }
        true
    }
}
