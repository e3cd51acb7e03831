//! Requests to the directory that are not answered. A request or its answer may be lost, so each request is made again
//! soon, until it is answered or of no use any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Timestamp;

/// A request that is not answered by then is made again: a directory that works answers within milliseconds.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Requests of one kind are made again this often at most.
const ROUNDS_APART: Duration = Duration::from_millis(100);

/// Most requests of one kind that are made again at once. A directory that answers late gets little more to do: 1,000
/// of them a second.
const AGAIN_AT_ONCE: usize = 100;

/// The unanswered requests of one kind, one for each `K`.
pub(super) struct Unanswered<K> {
    /// When each was made last.
    asked_at: BTreeMap<K, Timestamp>,
    /// The same, in the order in which they are made again.
    in_order: BTreeSet<(Timestamp, K)>,
    /// None is made again before.
    not_before: Timestamp,
}

impl<K: Copy + Ord> Unanswered<K> {
    /// No requests.
    pub(super) fn new() -> Unanswered<K> {
        Unanswered { asked_at: BTreeMap::new(), in_order: BTreeSet::new(), not_before: Timestamp::ZERO }
    }

    /// A request is made, perhaps again.
    pub(super) fn asked(&mut self, now: Timestamp, what: K) {
        self.answered(what);
        self.asked_at.insert(what, now);
        self.in_order.insert((now, what));
    }

    /// A request is answered, or its answer is of no use any more.
    pub(super) fn answered(&mut self, what: K) {
        if let Some(at) = self.asked_at.remove(&what) {
            self.in_order.remove(&(at, what));
        }
    }

    /// Nobody answers any more.
    pub(super) fn clear(&mut self) {
        self.asked_at.clear();
        self.in_order.clear();
    }

    /// The requests that are to be made again now.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<K> {
        if self.deadline().is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.not_before = now + ROUNDS_APART;
        let is_due = |(at, _): &&(Timestamp, K)| *at + ASK_AGAIN_AFTER <= now;
        let due: Vec<K> = self.in_order.iter().take_while(is_due).take(AGAIN_AT_ONCE).map(|(_, what)| *what).collect();
        due.iter().for_each(|what| self.asked(now, *what));
        due
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let (at, _) = self.in_order.first()?;
        Some((*at + ASK_AGAIN_AFTER).max(self.not_before))
    }

    /// Checks the invariants; `waiting` are the requests that wait for an answer, in order.
    pub(super) fn check(&self, waiting: impl Iterator<Item = K>) {
        assert!(waiting.eq(self.asked_at.keys().copied()), "each request that is not answered is known");
        let times: BTreeSet<_> = self.asked_at.iter().map(|(what, at)| (*at, *what)).collect();
        assert!(times == self.in_order, "each request that is not answered is made again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_not_answered_is_asked_again_and_again_until_it_is() {
        let mut unanswered = Unanswered::<char>::new();
        assert_eq!((unanswered.deadline(), unanswered.due(at(0))), (None, vec![]));
        unanswered.asked(at(0), 'a');
        unanswered.asked(at(200), 'b');
        assert_eq!((unanswered.deadline(), unanswered.due(at(499))), (Some(at(500)), vec![]));
        assert_eq!(unanswered.due(at(500)), ['a']);
        assert_eq!((unanswered.deadline(), unanswered.due(at(699))), (Some(at(700)), vec![]));
        assert_eq!(unanswered.due(at(700)), ['b']);
        unanswered.answered('a');
        assert_eq!(unanswered.due(at(5_000)), ['b']);
        unanswered.answered('b');
        assert_eq!((unanswered.deadline(), unanswered.due(at(10_000))), (None, vec![]));
    }

    #[test]
    fn a_directory_that_answers_late_is_asked_a_bounded_number_of_times_and_nobody_is_passed_over() {
        let count = 5 * AGAIN_AT_ONCE;
        let mut unanswered = Unanswered::new();
        (0..count).for_each(|number| unanswered.asked(at(0), number));
        let rounds: Vec<_> =
            (0..1_000).map(|millis| unanswered.due(at(millis))).filter(|due| !due.is_empty()).collect();
        assert!(rounds.len() == 5 && rounds.iter().all(|due| due.len() == AGAIN_AT_ONCE));
        let all: BTreeSet<_> = rounds.concat().into_iter().collect();
        assert_eq!(all.len(), count, "each once, before any twice");
        unanswered.check(0..count);
    }
}
