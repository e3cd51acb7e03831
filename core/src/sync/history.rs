//! Lines that left the window: which of them a viewer still lacks, in order, and which it will never get.
//!
//! A line is *settled* when the viewer has its last version and knows that it is the last. Most get there without being
//! sent again: they were sent while they stood in the window, and only their fate is told. When output is faster than
//! history may travel, sending waits until it is calm, and what would be too much by then is given up: one gap, not
//! many.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::sync::slots::{Slots, Told};
use crate::terminal::{Emulator, GIVEN_UP, LineCommits, REPEATED, Space};
use crate::time::Timestamp;

/// Even a viewer that wants no history gets this many lines late: lines that scroll off while it looks.
const LEAST_LIMIT: u64 = 200;

/// Output counts as calm when nothing had to be given up for this long.
const CALM: Duration = Duration::from_millis(100);

/// Most lines between the first that is not settled and the next to be sent: bounds the slots, and what a viewer must
/// keep for one gap.
const MAX_OPEN: u64 = 4096;

/// Most gaps that are not settled; beyond it neighbours become one.
const MAX_GAPS: usize = 32;

/// Most lines that repeat others and do not follow each other, of which a viewer was not told: more wait.
const MAX_REPEATS: usize = MAX_GAPS / 2;

/// Lines that will not be sent.
#[derive(Clone, Copy, Debug)]
struct Gap {
    first: u64,
    end: u64,
    why: Why,
    told: Told,
}

/// Why lines are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    GivenUp,
    /// The lines were pulled back into the window, and left it again as they came.
    Repeated,
}

impl Why {
    /// The version that says it.
    fn version(self) -> u64 {
        match self {
            Why::GivenUp => GIVEN_UP,
            Why::Repeated => REPEATED,
        }
    }
}

/// Whether a viewer knows lines that repeat others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    Known,
    /// The viewer gets them as lines like any other.
    Unknown,
}

/// One viewer's history.
pub(super) struct History {
    limit: u64,
    repeats: Repeats,
    /// The first line of all that this viewer gets; unknown until the first look.
    start: Option<u64>,
    settled: u64,
    cursor: u64,
    gaps: VecDeque<Gap>,
    again: BTreeSet<u64>,
    calm_at: Timestamp,
    untold: bool,
}

impl History {
    pub(super) fn new(limit: u64, repeats: Repeats) -> History {
        History {
            limit,
            repeats,
            start: None,
            settled: 0,
            cursor: 0,
            gaps: VecDeque::new(),
            again: BTreeSet::new(),
            calm_at: Timestamp::ZERO,
            untold: false,
        }
    }

    /// Looks at the window's present place; gives up lines that are too far behind, or erased.
    pub(super) fn follow(&mut self, now: Timestamp, emulator: &Emulator, slots: &mut Slots) {
        let top = emulator.top();
        let low = emulator.base().max(emulator.head().floor).min(top);
        if self.start.is_none() {
            let start = top.saturating_sub(self.limit).max(low);
            (self.start, self.settled, self.cursor) = (Some(start), start, start);
        }
        let keep = self.limit.max(LEAST_LIMIT);
        if top - self.cursor.min(top) > keep {
            self.give_up(self.cursor, top - keep, slots);
            self.calm_at = now + CALM;
        }
        if self.cursor < low {
            self.give_up(self.cursor, low, slots);
        }
        self.settle(slots);
    }

    /// Whether lines of history may be sent now.
    pub(super) fn has_more(&self, now: Timestamp, emulator: &Emulator) -> bool {
        let may = now >= self.calm_at && self.cursor - self.settled < MAX_OPEN;
        !self.again.is_empty() || (may && self.cursor < emulator.top())
    }

    /// When lines of history may be sent, if they must wait.
    pub(super) fn calm_at(&self, now: Timestamp, emulator: &Emulator) -> Option<Timestamp> {
        (self.cursor < emulator.top() && now < self.calm_at).then_some(self.calm_at)
    }

    /// The next line to send.
    pub(super) fn next(&mut self, emulator: &Emulator, slots: &mut Slots) -> Option<u64> {
        while let Some(number) = self.again.pop_first() {
            if emulator.line(Space::Main, number).is_some() {
                return Some(number);
            }
            self.give_up(number, number + 1, slots);
        }
        while self.cursor < emulator.top() && self.cursor - self.settled < MAX_OPEN {
            let number = self.cursor;
            if self.is_repeated(emulator, number) {
                let open = self.gaps.iter().filter(|gap| gap.why == Why::Repeated).count();
                if open >= MAX_REPEATS {
                    return None;
                }
                self.leave_out(number, number + 1, Why::Repeated, slots);
                continue;
            }
            let Some((version, _)) = emulator.line(Space::Main, number) else {
                self.give_up(number, number + 1, slots);
                continue;
            };
            self.cursor += 1;
            if !slots.is_sent(number, version) {
                return Some(number);
            }
            self.untold = true;
        }
        None
    }

    /// Whether this viewer got what the line repeats.
    fn is_repeated(&self, emulator: &Emulator, number: u64) -> bool {
        let origin = emulator.repeated(number).filter(|_| self.repeats == Repeats::Known);
        origin.is_some_and(|origin| self.start.is_some_and(|start| start <= origin))
    }

    /// A line's content was lost.
    pub(super) fn missing_again(&mut self, space: Space, number: u64) {
        // A line that stands in the window, or that was not looked at yet, is found there.
        if space == Space::Main && (self.settled..self.cursor).contains(&number) {
            self.again.insert(number);
        }
    }

    /// A datagram was lost that told which version of a line is the last one: that is told again.
    pub(super) fn untold_again(&mut self) {
        self.untold = true;
    }

    /// Whether there are commits to tell, changed head or not.
    pub(super) fn has_untold(&self) -> bool {
        self.untold
    }

    /// The commits to send now, as many as fit.
    pub(super) fn commits(&self, emulator: &Emulator, slots: &Slots) -> LineCommits {
        let top = emulator.top();
        let mut commits = LineCommits { start: self.start.unwrap_or(0), from: self.settled, runs: Vec::new() };
        let mut gaps = self.gaps.iter().filter(|gap| gap.told == Told::No).peekable();
        for (number, version, told) in slots.untold(self.settled, top) {
            while let Some(gap) = gaps.next_if(|gap| gap.first < number) {
                if !commits.push(gap.first, gap.end, gap.why.version()) {
                    return commits;
                }
            }
            let is_last = emulator.line(Space::Main, number).is_some_and(|(last, _)| last == version);
            if self.is_repeated(emulator, number) {
                continue;
            }
            if told == Told::No && is_last && !commits.push(number, number + 1, version) {
                return commits;
            }
        }
        for gap in gaps {
            if !commits.push(gap.first, gap.end, gap.why.version()) {
                return commits;
            }
        }
        commits
    }

    /// Notes that these commits are sent; returns the spans that they cover.
    pub(super) fn tell(&mut self, commits: &LineCommits, slots: &mut Slots) -> Vec<(u64, u64)> {
        self.untold = commits.runs.len() + 2 > crate::terminal::MAX_COMMIT_RUNS;
        let spans: Vec<_> = commits.spans().map(|(first, count, _)| (first, first + count)).collect();
        for span in &spans {
            slots.tell(*span);
            self.gaps_within(*span, Told::OnItsWay);
        }
        spans
    }

    /// Notes that these commits arrived.
    pub(super) fn heard(&mut self, span: (u64, u64)) {
        self.gaps_within(span, Told::Yes);
    }

    /// Notes that these commits were lost.
    pub(super) fn unheard(&mut self, (first, end): (u64, u64)) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.first >= first && gap.end <= end) {
            if gap.told == Told::OnItsWay {
                gap.told = Told::No;
            }
        }
        self.untold = true;
    }

    /// Moves past the lines that are settled.
    pub(super) fn settle(&mut self, slots: &mut Slots) {
        loop {
            if let Some(gap) = self.gaps.front().filter(|gap| gap.first <= self.settled) {
                if gap.told != Told::Yes {
                    return;
                }
                self.settled = self.settled.max(gap.end);
                self.gaps.pop_front();
            } else if self.settled < self.cursor && slots.is_done(self.settled) {
                slots.remove(self.settled);
                self.settled += 1;
            } else {
                return;
            }
        }
    }

    /// Whether every line before `top` is settled.
    pub(super) fn is_settled(&self, top: u64) -> bool {
        self.start.is_some() && self.settled == top
    }

    /// Checks its invariants.
    pub(super) fn check(&self) {
        assert!(self.settled <= self.cursor, "lines are settled after they were looked at");
        assert!(self.start.is_none_or(|start| start <= self.settled), "no line before the first one is settled");
        assert!(self.gaps.len() <= MAX_GAPS, "gaps are bounded");
        assert!(self.gaps.iter().all(|gap| gap.first < gap.end && gap.end <= self.cursor), "gaps lie behind");
    }

    fn gaps_within(&mut self, (first, end): (u64, u64), told: Told) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.first >= first && gap.end <= end) {
            gap.told = told;
        }
    }

    fn give_up(&mut self, first: u64, end: u64, slots: &mut Slots) {
        self.leave_out(first, end, Why::GivenUp, slots);
    }

    /// The lines from `first` to before `end` will not be sent.
    fn leave_out(&mut self, first: u64, end: u64, why: Why, slots: &mut Slots) {
        slots.remove_span(first, end);
        self.again.retain(|number| !(first..end).contains(number));
        self.cursor = self.cursor.max(end);
        self.untold = true;
        let at = self.gaps.partition_point(|gap| gap.first < first);
        let before = at.checked_sub(1).and_then(|before| self.gaps.get_mut(before));
        match before.filter(|gap| gap.end == first && gap.why == why) {
            Some(gap) => (gap.end, gap.told) = (end, Told::No),
            None => self.gaps.insert(at, Gap { first, end, why, told: Told::No }),
        }
        if self.gaps.len() > MAX_GAPS
            && let (Some(one), Some(two)) = (self.gaps.pop_front(), self.gaps.pop_front())
        {
            slots.remove_span(one.first, two.end);
            self.again.retain(|number| !(one.first..two.end).contains(number));
            self.gaps.push_front(Gap { first: one.first, end: two.end, why: Why::GivenUp, told: Told::No });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Size;

    /// Lines 3 to 5 repeat lines 0 to 2.
    fn emulator() -> Emulator {
        let mut emulator = Emulator::new(Size::new(20, 2), 100);
        emulator.feed(b"1\r\n2\r\n3\r\n4\r\n");
        emulator.resize(Size::new(20, 5));
        emulator.pull(3);
        emulator.frame();
        emulator.resize(Size::new(20, 2));
        emulator.frame();
        emulator
    }

    /// The lines that such a viewer is sent, and what it is told of the others.
    fn sent(limit: u64, repeats: Repeats) -> (Vec<u64>, LineCommits) {
        let (emulator, mut slots) = (emulator(), Slots::new(crate::terminal::Styles::All));
        let mut history = History::new(limit, repeats);
        history.follow(Timestamp::ZERO, &emulator, &mut slots);
        let sent = std::iter::from_fn(|| history.next(&emulator, &mut slots)).collect();
        (sent, history.commits(&emulator, &slots))
    }

    #[test]
    fn a_viewer_is_told_of_repeats_if_it_knows_them_and_got_what_they_repeat() {
        let (lines, commits) = sent(100, Repeats::Known);
        assert_eq!((lines, commits.from, commits.runs), (vec![0, 1, 2], 3, vec![(3, REPEATED)]));
        assert_eq!(sent(100, Repeats::Unknown).0, [0, 1, 2, 3, 4, 5]);
        let (lines, commits) = sent(2, Repeats::Known);
        assert_eq!((lines, commits.runs), (vec![4, 5], vec![]));
    }
}
