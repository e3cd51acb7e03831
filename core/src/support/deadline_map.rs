//! A deadline for each link: a change of one link costs the others nothing.
//!
//! A changed link is *touched*, and handled before the input ends; an untouched link has nothing to do before its
//! deadline. So after each input the touched links get new deadlines, and only links that are touched or
//! [`due`](DeadlineMap::due) are handled.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use crate::id::LinkId;
use crate::time::Timestamp;

/// Debug builds check all times after each input if there are at most this many. Tests with more measure what they
/// cost.
pub(crate) const EXACT: usize = 16;

/// A map by link; reading is as of any map.
pub(crate) struct DeadlineMap<V> {
    all: BTreeMap<LinkId, V>,
    /// Changed since it was scheduled last; some more than once.
    touched: Vec<LinkId>,
    times: BTreeMap<LinkId, Timestamp>,
    order: BTreeSet<(Timestamp, LinkId)>,
}

impl<V> Default for DeadlineMap<V> {
    fn default() -> DeadlineMap<V> {
        DeadlineMap { all: BTreeMap::new(), touched: Vec::new(), times: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<V> Deref for DeadlineMap<V> {
    type Target = BTreeMap<LinkId, V>;

    fn deref(&self) -> &BTreeMap<LinkId, V> {
        &self.all
    }
}

impl<V> DeadlineMap<V> {
    fn touch(&mut self, link: LinkId) {
        if !is_faulty!(Untouched) && self.touched.last() != Some(&link) {
            self.touched.push(link);
        }
    }

    pub(crate) fn get_mut(&mut self, link: &LinkId) -> Option<&mut V> {
        self.touch(*link);
        self.all.get_mut(link)
    }

    pub(crate) fn insert(&mut self, link: LinkId, value: V) {
        self.touch(link);
        self.all.insert(link, value);
    }

    pub(crate) fn remove(&mut self, link: &LinkId) -> Option<V> {
        self.touch(*link);
        self.schedule(*link, None);
        self.all.remove(link)
    }

    /// All values, to be changed.
    #[cfg(feature = "host")]
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.touch_all();
        self.all.values_mut()
    }

    /// Something that everybody depends on changed.
    #[cfg(feature = "host")]
    pub(crate) fn touch_all(&mut self) {
        self.touched = self.all.keys().copied().collect();
    }

    /// The links to look at now, in order: those that were touched, and those whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<LinkId> {
        let late = self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, link)| *link);
        let mut due: Vec<_> = late.chain(self.touched.iter().copied()).collect();
        due.sort_unstable();
        due.dedup();
        due.retain(|link| self.all.contains_key(link));
        due
    }

    /// The links that were touched and not scheduled since. Some may be gone, and some may stand there twice.
    #[cfg(feature = "host")]
    pub(crate) fn touched(&self) -> &[LinkId] {
        &self.touched
    }

    /// The links that were touched since the last call, to be scheduled. Some may be gone.
    pub(crate) fn take_touched(&mut self) -> Vec<LinkId> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// When to look at this link although nothing touched it.
    pub(crate) fn schedule(&mut self, link: LinkId, at: Option<Timestamp>) {
        let at = at.filter(|_| self.all.contains_key(&link));
        let before = match at {
            Some(at) => self.times.insert(link, at),
            None => self.times.remove(&link),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, link));
        }
        if let Some(at) = at {
            self.order.insert((at, link));
        }
    }

    /// The first of all times.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        debug_assert!(self.touched.is_empty(), "who was touched is scheduled before the input ends");
        self.order.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(ms))
    }

    #[test]
    fn who_is_touched_or_late_is_due_in_order_and_nobody_else() {
        let mut attended = DeadlineMap::default();
        for link in 1..=4 {
            attended.insert(LinkId(link), ());
        }
        assert_eq!(attended.take_touched().len(), 4);
        attended.schedule(LinkId(3), Some(at(10)));
        attended.schedule(LinkId(2), Some(at(20)));
        attended.schedule(LinkId(4), Some(at(5)));
        attended.schedule(LinkId(4), Some(at(30)));
        assert_eq!(attended.deadline(), Some(at(10)));

        assert_eq!(attended.due(at(9)), []);
        attended.get_mut(&LinkId(4));
        attended.get_mut(&LinkId(1));
        attended.get_mut(&LinkId(9));
        assert_eq!(attended.due(at(20)), [1, 2, 3, 4].map(LinkId));
        attended.remove(&LinkId(3));
        assert_eq!(attended.due(at(20)), [1, 2, 4].map(LinkId));

        assert_eq!(attended.take_touched(), [1, 3, 4, 9].map(LinkId));
        attended.schedule(LinkId(9), Some(at(1)));
        attended.schedule(LinkId(2), None);
        assert_eq!(attended.deadline(), Some(at(30)), "who is gone has no time");
    }
}
