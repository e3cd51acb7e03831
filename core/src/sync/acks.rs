//! Which datagrams arrived: the receiving side tells, and the sending side concludes which ones are lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::time::{Timestamp, earliest};
use crate::wire::frame::{Acks, MAX_ACK_RANGES, MAX_ACKS};
use crate::wire::integer_length;

/// Later datagrams that must have been acknowledged before one counts as lost: fewer would take reordering for loss
/// (RFC 9002, 6.1.1).
const PASSED_BY: usize = 3;

/// Most datagrams that wait for one delayed acknowledgement: more than a frame has, since each acknowledgement is a
/// datagram and a turn of both sides' loops.
const SOON_AT_MOST: u32 = 8;

/// How soon an acknowledgement must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Never: the datagram was an acknowledgement itself.
    Nothing,
    /// With whatever goes next, at the latest after this time.
    Within(Duration),
}

/// The receiving side.
#[derive(Default)]
pub(crate) struct Received {
    /// Ranges of numbers that arrived: newest first, inclusive, none touching another.
    ranges: VecDeque<(u64, u64)>,
    newest_at: Timestamp,
    waiting: u32,
    owed_at: Option<Timestamp>,
}

impl Received {
    /// A datagram arrived.
    pub(crate) fn arrived(&mut self, now: Timestamp, seq: u64, wants: Wants) {
        let newest = self.ranges.front().map(|(_, newest)| *newest);
        if newest.is_none_or(|newest| seq > newest) {
            self.newest_at = now;
        }
        // One that is missing, or late, must not wait: the sender concludes from this what is lost (RFC 9000, 13.2.1).
        let in_order = newest.is_none_or(|newest| seq == newest + 1);
        self.insert(seq);
        let at = match wants {
            Wants::Nothing => return,
            Wants::Within(span) => {
                self.waiting += 1;
                if !in_order || self.waiting >= SOON_AT_MOST { now } else { now + span }
            }
        };
        self.owed_at = earliest(self.owed_at, Some(at));
    }

    /// When an acknowledgement must be sent, if no datagram takes it along before.
    pub(crate) fn owed_at(&self) -> Option<Timestamp> {
        self.owed_at
    }

    /// The acknowledgement to send.
    pub(crate) fn tell(&mut self, now: Timestamp) -> Acks {
        self.owed_at = None;
        self.waiting = 0;
        let held = u32::try_from(now.since(self.newest_at).as_micros()).unwrap_or(u32::MAX);
        // The length takes one byte, a varint at most a byte for each seven bits.
        let mut room = MAX_ACKS - integer_length(u64::from(held)) - 1;
        let fits = |(first, last): &&(u64, u64)| {
            let size = integer_length(*first) + integer_length(*last);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        Acks { held_micros: held, ranges: self.ranges.iter().take_while(fits).copied().collect() }
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.ranges.len() <= MAX_ACK_RANGES, "ranges are bounded");
        let apart = self.ranges.iter().zip(self.ranges.iter().skip(1)).all(|(newer, older)| older.1 + 1 < newer.0);
        assert!(apart && self.ranges.iter().all(|(first, last)| first <= last), "ranges do not touch");
    }

    fn insert(&mut self, seq: u64) {
        let after = self.ranges.iter().position(|(first, _)| *first <= seq.saturating_add(1));
        match after {
            // The number lies in the range at `at`, touches it, or lies above it.
            Some(at) => {
                let (first, last) = self.ranges[at];
                if (first..=last).contains(&seq) {
                    return;
                }
                if seq == last + 1 {
                    self.ranges[at].1 = seq;
                    self.join(at);
                } else if seq + 1 == first {
                    self.ranges[at].0 = seq;
                    self.join(at + 1);
                } else {
                    self.ranges.insert(at, (seq, seq));
                }
            }
            None => self.ranges.push_back((seq, seq)),
        }
        self.ranges.truncate(MAX_ACK_RANGES);
    }

    /// Joins the range at `at` with the newer one before it, if they touch.
    fn join(&mut self, at: usize) {
        if at == 0 || at >= self.ranges.len() {
            return;
        }
        if self.ranges[at].1 + 1 == self.ranges[at - 1].0 {
            self.ranges[at - 1].0 = self.ranges[at].0;
            self.ranges.remove(at);
        }
    }
}

/// Most datagrams remembered after they were given up.
const MAX_GIVEN_UP: usize = 64;

/// The sending side: the datagrams on their way, each with its content.
pub(crate) struct Flight<T> {
    next: u64,
    sent: BTreeMap<u64, Sent<T>>,
    /// Send times of datagrams that counted as lost: when one arrives after all, patience must grow, or all that follow
    /// count as lost too.
    given_up: VecDeque<(u64, Timestamp)>,
}

struct Sent<T> {
    at: Timestamp,
    passed_by: usize,
    load: T,
}

/// The results of an acknowledgement.
pub(crate) struct Concluded<T> {
    pub(crate) arrived: Vec<T>,
    pub(crate) lost: Vec<T>,
    /// The round trip of the newest datagram that it acknowledges.
    pub(crate) round_trip: Option<Duration>,
}

impl<T> Default for Flight<T> {
    fn default() -> Flight<T> {
        Flight { next: 1, sent: BTreeMap::new(), given_up: VecDeque::new() }
    }
}

impl<T> Flight<T> {
    /// A number for a datagram that need not be acknowledged.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// The number of the newest datagram in flight.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.sent.last_key_value().map(|(seq, _)| *seq)
    }

    /// A number for a datagram that carries `load`.
    pub(crate) fn send(&mut self, now: Timestamp, load: T) -> u64 {
        let seq = self.number();
        self.sent.insert(seq, Sent { at: now, passed_by: 0, load });
        seq
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// The datagrams in flight.
    pub(crate) fn loads(&self) -> impl Iterator<Item = &T> {
        self.sent.values().map(|sent| &sent.load)
    }

    /// Whether this one is still on its way.
    pub(crate) fn holds(&self, seq: u64) -> bool {
        self.sent.contains_key(&seq)
    }

    /// Takes the datagrams that arrived, and those that must be lost, out of flight.
    pub(crate) fn acknowledge(&mut self, now: Timestamp, acks: &Acks) -> Concluded<T> {
        let mut newly: Vec<u64> = Vec::new();
        for (first, last) in &acks.ranges {
            newly.extend(self.sent.range(*first..=*last).map(|(seq, _)| *seq));
        }
        newly.sort_unstable();
        let held = Duration::from_micros(u64::from(acks.held_micros));
        let newest = acks.ranges.first().map(|(_, newest)| *newest);
        let mut concluded = Concluded { arrived: Vec::new(), lost: Vec::new(), round_trip: None };
        for seq in &newly {
            let Some(sent) = self.sent.remove(seq) else { continue };
            if Some(*seq) == newest {
                concluded.round_trip = Some(now.since(sent.at).saturating_sub(held));
            }
            concluded.arrived.push(sent.load);
        }
        if let Some((_, at)) = self.given_up.iter().find(|(seq, _)| Some(*seq) == newest) {
            concluded.round_trip = Some(now.since(*at).saturating_sub(held));
        }
        let Some(newest) = newly.last() else { return concluded };
        let mut lost = Vec::new();
        for (seq, sent) in self.sent.range_mut(..*newest) {
            sent.passed_by += newly.len() - newly.partition_point(|acked| acked < seq);
            if sent.passed_by >= PASSED_BY {
                lost.push(*seq);
            }
        }
        concluded.lost.extend(lost.into_iter().filter_map(|seq| self.give_up(seq)));
        concluded
    }

    /// Takes all datagrams out of flight and forgets them.
    pub(crate) fn abandon(&mut self) -> Vec<T> {
        self.given_up.clear();
        std::mem::take(&mut self.sent).into_values().map(|sent| sent.load).collect()
    }

    /// Takes the datagrams that are unanswered for `patience` out of flight; each with its send time.
    pub(crate) fn expire(&mut self, now: Timestamp, patience: Duration) -> Vec<(Timestamp, T)> {
        let mut lost = Vec::new();
        while let Some(first) = self.sent.first_entry() {
            if first.get().at + patience > now {
                break;
            }
            let (seq, at) = (*first.key(), first.get().at);
            lost.extend(self.give_up(seq).map(|load| (at, load)));
        }
        lost
    }

    fn give_up(&mut self, seq: u64) -> Option<T> {
        let sent = self.sent.remove(&seq)?;
        if self.given_up.len() == MAX_GIVEN_UP {
            self.given_up.pop_front();
        }
        self.given_up.push_back((seq, sent.at));
        Some(sent.load)
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.newest().is_none_or(|newest| newest < self.next), "no number is used twice");
        assert!(self.given_up.len() <= MAX_GIVEN_UP, "what was given up is forgotten in time");
    }

    /// When the oldest datagram in flight will have been unanswered for `patience`.
    pub(crate) fn expires_at(&self, patience: Duration) -> Option<Timestamp> {
        self.sent.first_key_value().map(|(_, sent)| sent.at + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::MAX_NUMBER;

    fn told(received: &mut Received) -> Vec<(u64, u64)> {
        received.tell(Timestamp::ZERO).ranges
    }

    #[test]
    fn ranges_hold_exactly_what_arrived_in_any_order() {
        for order in [[1u64, 2, 3, 5, 6, 9], [9, 6, 5, 3, 2, 1], [2, 9, 1, 6, 3, 5], [5, 6, 9, 1, 3, 2]] {
            let mut received = Received::default();
            for seq in order.into_iter().chain(order) {
                received.arrived(Timestamp::ZERO, seq, Wants::Within(Duration::ZERO));
            }
            assert_eq!(told(&mut received), [(9, 9), (5, 6), (1, 3)], "{order:?}");
            received.arrived(Timestamp::ZERO, 4, Wants::Nothing);
            assert_eq!(told(&mut received), [(9, 9), (1, 6)]);
            received.arrived(Timestamp::ZERO, 8, Wants::Nothing);
            received.arrived(Timestamp::ZERO, 7, Wants::Nothing);
            assert_eq!(told(&mut received), [(1, 9)]);
        }
    }

    #[test]
    fn an_acknowledgement_says_how_long_the_newest_datagram_has_been_here() {
        let at = |millis| Timestamp::from(Duration::from_millis(millis));
        let mut received = Received::default();
        received.arrived(at(10), 5, Wants::Nothing);
        // Neither an older one nor a copy is newer.
        received.arrived(at(20), 4, Wants::Nothing);
        received.arrived(at(30), 5, Wants::Nothing);
        assert_eq!(received.tell(at(50)).held_micros, 40_000);
        received.arrived(at(60), 7, Wants::Nothing);
        assert_eq!(received.tell(at(65)).held_micros, 5_000);
    }

    #[test]
    fn the_oldest_ranges_go_first_when_there_are_too_many() {
        let mut received = Received::default();
        for seq in (1..200).step_by(2) {
            received.arrived(Timestamp::ZERO, seq, Wants::Nothing);
        }
        let ranges = told(&mut received);
        assert_eq!((ranges.len(), ranges[0]), (MAX_ACK_RANGES, (199, 199)));
    }

    #[test]
    fn the_largest_number_that_a_frame_may_hold_is_counted_like_any_other() {
        let mut received = Received::default();
        for seq in [MAX_NUMBER, MAX_NUMBER - 1, MAX_NUMBER - 3, MAX_NUMBER - 2] {
            received.arrived(Timestamp::ZERO, seq, Wants::Nothing);
        }
        assert_eq!(told(&mut received), [(MAX_NUMBER - 3, MAX_NUMBER)]);
    }

    #[test]
    fn an_acknowledgement_waits_for_company_but_not_for_long() {
        let (mut received, span) = (Received::default(), Duration::from_millis(5));
        let soon = Duration::from_millis(1);
        received.arrived(Timestamp::ZERO, 1, Wants::Nothing);
        assert_eq!(received.owed_at(), None);
        received.arrived(Timestamp::ZERO, 2, Wants::Within(span));
        assert_eq!(received.owed_at(), Some(Timestamp::ZERO + span));
        received.arrived(Timestamp::ZERO, 3, Wants::Within(soon));
        for seq in 4..=8 {
            received.arrived(Timestamp::ZERO, seq, Wants::Within(span));
            assert_eq!(received.owed_at(), Some(Timestamp::ZERO + soon), "{seq}");
        }
        received.arrived(Timestamp::ZERO, 9, Wants::Within(span));
        assert_eq!(received.owed_at(), Some(Timestamp::ZERO), "the eighth");
        assert_eq!(told(&mut received), [(1, 9)]);
        received.arrived(Timestamp::ZERO, 10, Wants::Within(span));
        assert_eq!(received.owed_at(), Some(Timestamp::ZERO + span), "it begins anew");
    }

    #[test]
    fn a_gap_and_what_fills_it_are_acknowledged_at_once() {
        let (mut received, span) = (Received::default(), Duration::from_millis(5));
        received.arrived(Timestamp::ZERO, 1, Wants::Within(span));
        let owed = |received: &mut Received, seq| {
            received.tell(Timestamp::ZERO);
            received.arrived(Timestamp::ZERO, seq, Wants::Within(span));
            received.owed_at()
        };
        let (at_once, later) = (Some(Timestamp::ZERO), Some(Timestamp::ZERO + span));
        assert_eq!([2, 4, 5, 3, 6].map(|seq| owed(&mut received, seq)), [later, at_once, later, at_once, later]);
    }

    #[test]
    fn what_three_later_ones_passed_is_lost_and_what_two_passed_is_not() {
        let (mut flight, now) = (Flight::default(), Timestamp::from_micros(1000));
        for load in 1..=5u64 {
            assert_eq!(flight.send(Timestamp::ZERO, load), load);
        }
        let concluded = flight.acknowledge(now, &Acks { held_micros: 100, ranges: vec![(3, 4)] });
        assert_eq!((concluded.arrived, concluded.lost), (vec![3, 4], vec![]));
        assert_eq!(concluded.round_trip, Some(Duration::from_micros(900)));
        let concluded = flight.acknowledge(now, &Acks { held_micros: 0, ranges: vec![(3, 5)] });
        assert_eq!((concluded.arrived, concluded.lost), (vec![5], vec![1, 2]));
        assert!(flight.is_empty());
    }

    #[test]
    fn what_stays_unanswered_is_lost_when_its_time_is_over() {
        let mut flight = Flight::default();
        flight.send(Timestamp::ZERO, 'a');
        flight.send(Timestamp::from_micros(10), 'b');
        let patience = Duration::from_micros(100);
        assert_eq!(flight.expires_at(patience), Some(Timestamp::from_micros(100)));
        assert_eq!(flight.expire(Timestamp::from_micros(99), patience), []);
        assert_eq!(flight.expire(Timestamp::from_micros(105), patience), [(Timestamp::ZERO, 'a')]);
        assert_eq!(flight.len(), 1);
    }
}
