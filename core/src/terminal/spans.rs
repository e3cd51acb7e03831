//! Facts about ranges of lines, each told once.

use std::collections::BTreeMap;

/// Ranges that do not overlap, each with a value. The first fact about a line stands.
#[derive(Debug, Default)]
pub(super) struct Spans(BTreeMap<u64, (u64, u64)>);

impl Spans {
    /// Gives `value` to the lines from `first` up to `end` that have no value yet.
    pub(super) fn insert(&mut self, first: u64, end: u64, value: u64) {
        let mut at = first;
        while at < end {
            if let Some((covered, _)) = self.get(at) {
                at = covered;
                continue;
            }
            let stop = self.0.range(at..).next().map_or(end, |(next, _)| end.min(*next));
            match self.0.range_mut(..at).next_back() {
                Some((_, (end, before))) if *end == at && *before == value => *end = stop,
                Some(_) | None => {
                    self.0.insert(at, (stop, value));
                }
            }
            at = stop;
        }
    }

    /// The end of the range that holds `line`, and its value.
    pub(super) fn get(&self, line: u64) -> Option<(u64, u64)> {
        self.0.range(..=line).next_back().map(|(_, range)| *range).filter(|(end, _)| *end > line)
    }

    /// Drops the facts about lines below `line`.
    pub(super) fn forget_below(&mut self, line: u64) {
        let rest = self.get(line);
        self.0 = self.0.split_off(&line);
        if let Some(rest) = rest {
            self.0.insert(line, rest);
        }
    }

    /// Takes out the lowest range, and says where it ended.
    pub(super) fn pop_lowest(&mut self) -> Option<u64> {
        self.0.pop_first().map(|(_, (end, _))| end)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
