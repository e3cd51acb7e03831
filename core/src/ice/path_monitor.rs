//! Monitors the paths of a link: round trips of checks, and whether the direct path still works.
//!
//! The engine's own STUN checks are the heartbeat; no other is sent. A check says nothing about trust: it is measured,
//! not believed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Timestamp, earliest};

/// Checks remembered while unanswered: a few pairs, each checked some times a second at the start.
const MAX_UNANSWERED: usize = 32;

/// Bytes of a STUN header (RFC 8489, section 5): type, length, cookie, transaction id.
const STUN_HEADER: usize = 20;

const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Round trips of one peer's checks.
#[derive(Default)]
pub(crate) struct RoundTrips {
    unanswered: VecDeque<([u8; 12], Timestamp)>,
    latest: Option<Duration>,
}

impl RoundTrips {
    /// A datagram goes out.
    pub(crate) fn sent(&mut self, now: Timestamp, bytes: &[u8]) {
        if let Some(id) = transaction(bytes, REQUEST) {
            if self.unanswered.len() >= MAX_UNANSWERED {
                self.unanswered.pop_front();
            }
            self.unanswered.push_back((id, now));
        }
    }

    /// A datagram came in.
    pub(crate) fn received(&mut self, now: Timestamp, bytes: &[u8]) {
        let Some(id) = transaction(bytes, SUCCESS) else { return };
        if let Some(at) = self.unanswered.iter().position(|(sent, _)| *sent == id)
            && let Some((_, sent)) = self.unanswered.remove(at)
        {
            self.latest = Some(now - sent);
        }
    }

    /// The newest round trip.
    pub(crate) fn latest(&self) -> Option<Duration> {
        self.latest
    }
}

/// Whether a datagram is a check of a path.
pub(crate) fn is_check(bytes: &[u8]) -> bool {
    bytes.len() >= STUN_HEADER && bytes[..2] == REQUEST
}

/// Whether a datagram is the answer to a check. The engine knows which check an answer belongs to; here answers are
/// only counted.
pub(crate) fn is_answer(bytes: &[u8]) -> bool {
    bytes.len() >= STUN_HEADER && bytes[..2] == SUCCESS
}

fn transaction(bytes: &[u8], kind: [u8; 2]) -> Option<[u8; 12]> {
    let header = bytes.get(..STUN_HEADER).filter(|header| header[..2] == kind)?;
    header[8..].try_into().ok()
}

/// A lane's datagram is answered at once, and so is a check. The path is suspect when no answer has come for this long,
/// or for two round trips and half of this. With less, a path that loses one datagram in five would be suspect without
/// a reason.
const SUSPECT_AFTER: Duration = Duration::from_millis(400);

/// What is answered at all is answered within a round trip and this: lanes acknowledge within 5 ms, and timers are
/// late.
const ANSWERED_WITHIN: Duration = Duration::from_millis(60);

/// How long the other side is taken to suspect the direct path after it said so.
const MIRROR_FOR: Duration = Duration::from_secs(2);

/// A path is dead this long after its first unanswered check, if a second check is unanswered too; or when the other
/// side has been in doubt for this long.
const DEAD_AFTER: Duration = Duration::from_millis(2500);

/// So many unanswered checks in a row count also while lanes are heard. Of a path that loses one datagram in five, 36 %
/// of the checks stay unanswered, and eight in a row with a probability of 0.03 %.
const EXCUSED_IN_A_ROW: u32 = 8;

/// Pause between two tries to be direct again.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// After this many failed tries, two minutes, the pause doubles each time.
const RENEWALS_IN_A_ROW: u32 = 24;

/// The longest pause: a link that cannot be direct costs little.
const RENEW_AT_MOST: Duration = Duration::from_secs(60);

/// The spare paths rest once the direct path has been steady for this long.
const STEADY_AFTER: Duration = Duration::from_secs(5);

/// A spare path that works answers within this time after it was woken. Until then the direct path is not given up, as
/// there would be none.
const SPARES_WITHIN: Duration = Duration::from_secs(1);

/// Whether the direct path that a link uses still carries both ways, and what is to be done if not.
///
/// Datagrams on a suspect path are copied to the relay, with the word that the path is suspect. The other side then
/// copies its own too, as it may be the side that is not heard. Copies are harmless: DTLS and SRTP take each datagram
/// once.
#[derive(Default)]
pub(crate) struct PathMonitor {
    /// The datagrams of lanes that were sent after the last one was heard.
    waiting: Option<Waiting>,
    /// How many checks in a row were not answered, whatever was heard.
    in_a_row: u32,
    /// The newest round trip.
    round_trip: Option<Duration>,
    /// When the oldest check was sent after which none was answered, and how many were.
    unanswered: Option<(Timestamp, u32)>,
    /// When the other side first and last said, one soon after the other, that the path is suspect.
    doubted: Option<(Timestamp, Timestamp)>,
    /// When the path was made to prove itself anew, and how often; also when it began to be counted.
    renewed: Option<(Timestamp, u32)>,
    spares: Spares,
    /// When the spare paths were woken last.
    woken: Option<Timestamp>,
}

/// Datagrams of lanes after which none was heard. Only some are answered: an acknowledgement is not.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// When the oldest was sent. The datagrams that are answered follow each other soon, so one from before a long
    /// pause does not count.
    since: Timestamp,
    /// When the first was sent after the last pause in which an answer would have come. Those before the pause may all
    /// be acknowledgements, so these have to be given the time for an answer.
    resumed: Timestamp,
    /// When the newest was sent.
    last: Timestamp,
}

/// The paths that a link does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spares {
    /// The spare paths are checked. The path in use has been steady since this time.
    Awake(Option<Timestamp>),
    /// The spare paths are not checked.
    Resting,
}

impl Default for Spares {
    fn default() -> Spares {
        Spares::Awake(None)
    }
}

impl PathMonitor {
    /// A datagram of a lane goes out directly.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        let before = self.waiting.filter(|waiting| now < waiting.last + self.patience());
        let goes_on =
            before.filter(|waiting| now < waiting.last + self.answered_within() || self.is_overdue(*waiting, now));
        self.waiting = Some(Waiting {
            since: before.map_or(now, |waiting| waiting.since),
            resumed: goes_on.map_or(now, |waiting| waiting.resumed),
            last: now,
        });
    }

    /// A round trip took so long.
    pub(crate) fn measured(&mut self, round_trip: Option<Duration>) {
        self.round_trip = round_trip;
    }

    fn patience(&self) -> Duration {
        self.round_trip.map_or(SUSPECT_AFTER, |time| SUSPECT_AFTER.max(time * 2 + SUSPECT_AFTER / 2))
    }

    fn answered_within(&self) -> Duration {
        self.round_trip.map_or(self.patience(), |time| time + ANSWERED_WITHIN)
    }

    /// A datagram of a lane came directly.
    pub(crate) fn heard(&mut self) {
        self.waiting = None;
    }

    /// It came on the path in use, on a link whose other side can say by the relay that this side is not heard. Checks
    /// that stay unanswered count no more: a path that loses many datagrams loses checks as well.
    pub(crate) fn heard_in_use(&mut self) {
        self.heard();
        if self.in_a_row < EXCUSED_IN_A_ROW {
            self.unanswered = None;
        }
    }

    /// A check of the path goes out.
    pub(crate) fn checked(&mut self, now: Timestamp) {
        self.unanswered = Some(self.unanswered.map_or((now, 1), |(since, count)| (since, count.saturating_add(1))));
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// A check was answered. The path has proved itself: a later death counts as a new one.
    pub(crate) fn answered(&mut self) {
        (self.unanswered, self.waiting, self.in_a_row) = (None, None, 0);
        self.renewed = self.renewed.map(|(at, _)| (at, 0));
    }

    /// A check of the direct path was answered: whether the spare paths shall rest from now on.
    pub(crate) fn rests(&mut self, now: Timestamp) -> bool {
        let Spares::Awake(steady) = &mut self.spares else { return false };
        if self.doubted.is_some_and(|(_, last)| now < last + MIRROR_FOR) {
            *steady = None;
            return false;
        }
        let rests = *steady.get_or_insert(now) + STEADY_AFTER <= now;
        if rests {
            self.spares = Spares::Resting;
        }
        rests
    }

    /// The link may need another path: whether the spare paths rested, and shall be woken.
    pub(crate) fn disturbed(&mut self, now: Timestamp) -> bool {
        let rested = std::mem::take(&mut self.spares) == Spares::Resting;
        if rested {
            self.woken = Some(now);
        }
        rested
    }

    /// The other side says that the path is suspect.
    pub(crate) fn doubted(&mut self, now: Timestamp) {
        let first = self.doubted.filter(|(_, last)| now < *last + MIRROR_FOR).map_or(now, |(first, _)| first);
        self.doubted = Some((first, now));
    }

    /// Whether datagrams have been waiting for an answer for too long.
    fn is_overdue(&self, waiting: Waiting, now: Timestamp) -> bool {
        waiting.resumed + self.answered_within() <= now && waiting.since + self.patience() <= now
    }

    /// Whether the path is suspect to this side.
    pub(crate) fn suspects(&self, now: Timestamp) -> bool {
        let patience = self.patience();
        let waiting = self.waiting.filter(|waiting| now < waiting.last + patience);
        waiting.is_some_and(|waiting| self.is_overdue(waiting, now))
            || self.unanswered.is_some_and(|(since, _)| since + patience <= now)
    }

    /// Whether the path is suspect to the other side.
    pub(crate) fn is_doubted(&self, now: Timestamp) -> bool {
        self.doubted.is_some_and(|(_, last)| now < last + MIRROR_FOR)
    }

    /// Whether the direct path shall prove itself anew now; `off` if the link goes through the relay already.
    pub(crate) fn renews(&mut self, now: Timestamp, off: bool) -> bool {
        let Some(at) = self.renewal(off) else {
            self.renewed = self.renewed.filter(|(at, _)| now < *at + RENEW_EVERY);
            return false;
        };
        if now < at {
            return false;
        }
        // A link that goes through the relay for the first time has only just found no direct path.
        let begins = self.renewed.is_none() && at == Timestamp::ZERO;
        let count = self.renewed.map_or(0, |(_, count)| count.saturating_add(1));
        self.renewed = Some((now, count));
        (self.unanswered, self.doubted) = (None, None);
        !begins
    }

    /// When the direct path has to prove itself next, if nothing changes.
    pub(crate) fn renewal(&self, off: bool) -> Option<Timestamp> {
        let dead = self.unanswered.filter(|(_, count)| *count > 1).map(|(since, _)| since + DEAD_AFTER);
        let doubted = self.doubted.map(|(first, last)| (first + DEAD_AFTER, last + MIRROR_FOR));
        let doubted = doubted.filter(|(due, until)| due <= until).map(|(due, _)| due);
        let ready = self.woken.map_or(Timestamp::ZERO, |woken| woken + SPARES_WITHIN);
        let first = earliest(dead, doubted).map(|at| at.max(ready));
        match self.renewed {
            Some((at, count)) if off || first.is_some() => {
                let doublings = count.saturating_sub(RENEWALS_IN_A_ROW).min(8);
                Some(at + (RENEW_EVERY * (1 << doublings)).min(RENEW_AT_MOST))
            }
            Some(_) => None,
            None if off => Some(first.unwrap_or(Timestamp::ZERO)),
            None => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn a_path_is_suspect_when_nothing_answers_and_no_more_once_something_does() {
        let mut watch = PathMonitor::default();
        watch.sent(at(0));
        watch.sent(at(300));
        assert_eq!([399, 400].map(|now| watch.suspects(at(now))), [false, true]);
        assert!(!watch.suspects(at(701)), "by then it was sent again, or mattered to nobody");
        watch.measured(Some(Duration::from_millis(300)));
        watch.sent(at(600));
        assert_eq!([799, 800].map(|now| watch.suspects(at(now))), [false, true]);
        watch.heard();
        assert!(!watch.suspects(at(900)));
        watch.checked(at(900));
        watch.heard();
        assert!(watch.suspects(at(1700)), "what is heard does not say that this side is");
        watch.answered();
        assert!(!watch.suspects(at(1700)));
        watch.checked(at(1800));
        watch.heard_in_use();
        assert!(!watch.suspects(at(2600)), "the other side would say so");
    }

    #[test]
    fn a_key_some_time_after_an_acknowledgement_has_a_round_trip_to_be_answered() {
        let mut watch = PathMonitor::default();
        watch.measured(Some(Duration::from_millis(40)));
        // An acknowledgement, a key and its repetition.
        [0, 391, 406].into_iter().for_each(|now| watch.sent(at(now)));
        assert_eq!([406, 490, 491].map(|now| watch.suspects(at(now))), [false, false, true]);
        // Keys without an answer: the path is suspect as soon as without the pauses.
        let mut watch = PathMonitor::default();
        watch.measured(Some(Duration::from_millis(40)));
        [0, 15, 150, 300].into_iter().for_each(|now| watch.sent(at(now)));
        assert_eq!([399, 400].map(|now| watch.suspects(at(now))), [false, true]);
        [450, 600].into_iter().for_each(|now| {
            watch.sent(at(now));
            assert!([now, now + 15].iter().all(|now| watch.suspects(at(*now))), "until something is heard");
        });
    }

    #[test]
    fn what_is_never_answered_and_sent_now_and_then_makes_nothing_suspect() {
        let mut watch = PathMonitor::default();
        for second in 0..100 {
            watch.sent(at(second * 1000));
            assert!(!watch.suspects(at(second * 1000 + 10)));
        }
    }

    #[test]
    fn the_doubt_of_the_other_side_is_shared_for_a_while() {
        let mut watch = PathMonitor::default();
        watch.doubted(at(0));
        assert_eq!([1999, 2000].map(|now| watch.is_doubted(at(now))), [true, false]);
    }

    #[test]
    fn a_dead_path_is_renewed_often_at_first_and_then_ever_more_seldom_until_it_is_back() {
        let mut watch = PathMonitor::default();
        watch.checked(at(0));
        assert!(!watch.renews(at(2500), false), "one lost check is no death");
        watch.checked(at(2500));
        let renewed: Vec<u64> = (25..5000).filter(|now| watch.renews(at(now * 100), *now > 25)).collect();
        assert_eq!(renewed[..3], [25, 75, 125]);
        assert_eq!(renewed[24..], [1225, 1275, 1375, 1575, 1975, 2575, 3175, 3775, 4375, 4975]);
        assert!(!watch.renews(at(600_000), false) && watch.renewal(false).is_none());
    }

    #[test]
    fn a_path_on_which_lanes_are_heard_is_not_dead_though_some_checks_stay_unanswered() {
        let mut watch = PathMonitor::default();
        for second in 0..u64::from(EXCUSED_IN_A_ROW) {
            assert!(!watch.renews(at(second * 1000), false), "second {second}");
            watch.heard_in_use();
            watch.checked(at(second * 1000));
        }
        watch.heard_in_use();
        assert_eq!([9499, 9500].map(|now| watch.renews(at(now), false)), [false, false], "one check alone");
        watch.checked(at(9500));
        assert_eq!([9501, 9502].map(|now| watch.renews(at(now), false)), [true, false], "by now it would be answered");
        // The other side hears nothing.
        let mut watch = PathMonitor::default();
        [0, 1000, 2000].into_iter().for_each(|now| watch.doubted(at(now)));
        watch.heard_in_use();
        assert_eq!([2499, 2500].map(|now| watch.renews(at(now), false)), [false, true]);
    }

    #[test]
    fn a_path_that_comes_and_goes_is_renewed_as_often_the_hundredth_time() {
        let mut watch = PathMonitor::default();
        for round in 0..100 {
            let start = round * 6000;
            watch.checked(at(start));
            watch.checked(at(start + 2000));
            assert!(watch.renews(at(start + 5000), round > 0), "round {round}");
            watch.answered();
        }
    }

    #[test]
    fn spare_paths_rest_while_the_path_in_use_is_steady_and_have_time_to_answer_once_they_are_woken() {
        let mut watch = PathMonitor::default();
        let answered = |watch: &mut PathMonitor, second: u64| {
            watch.checked(at(second * 1000 - 20));
            watch.answered();
            watch.rests(at(second * 1000))
        };
        let rests = |watch: &mut PathMonitor, seconds: [u64; 4]| seconds.map(|second| answered(watch, second));
        assert_eq!(rests(&mut watch, [1, 4, 7, 10]), [false, false, true, false]);
        watch.checked(at(19_000));
        assert!(watch.disturbed(at(22_000)) && !watch.disturbed(at(22_000)), "they are woken once");
        watch.checked(at(22_000));
        assert_eq!(watch.renewal(false), Some(at(23_000)), "not at once, though the path has been dead for a while");
        assert!(watch.suspects(at(22_000)), "copies carry the link meanwhile");
        watch.doubted(at(25_000));
        assert_eq!(rests(&mut watch, [26, 30, 33, 35]), [false, false, false, true]);
    }

    #[test]
    fn a_link_that_found_no_direct_path_tries_again_after_a_while() {
        let mut watch = PathMonitor::default();
        let renewed: Vec<u64> = (7..110).filter(|now| watch.renews(at(now * 100), true)).collect();
        assert_eq!(renewed, [57, 107]);
    }

    #[test]
    fn a_side_that_hears_well_but_is_not_heard_renews_too() {
        let mut watch = PathMonitor::default();
        let mut each = |now: &u64| {
            watch.doubted(at(now * 100));
            watch.renews(at(now * 100), false)
        };
        // The suspicion is counted afresh, and the next try comes no sooner than usual.
        assert_eq!((0..80).filter(&mut each).collect::<Vec<u64>>(), [25, 75]);
    }
}
