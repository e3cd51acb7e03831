//! The viewer's end of the terminal lane: input goes out, each datagram says what arrived of the host's.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::sync::acks::{Flight, Received, Wants};
use crate::sync::inbound::Typed;
use crate::sync::pace::RoundTrip;
use crate::time::{Timestamp, earliest};
use crate::wire::frame::{Down, MAX_FRAME, Up};

/// How long the acknowledgement of a datagram that begins a longer frame waits for the rest of the frame, which comes
/// right after it.
const FRAME_ACK_WITHIN: Duration = Duration::from_millis(1);

/// How long the acknowledgement of another datagram waits for more of them: history comes in rows of datagrams. The
/// acknowledgement of an echo waits as well, so that all viewers have painted the echo before any of them uses the
/// processor for an acknowledgement.
const ACK_WITHIN: Duration = Duration::from_millis(5);

/// A shorter datagram ends its frame, since more of the frame would have had room in it. A line long enough to break
/// the rule costs one acknowledgement more.
const LAST_BELOW: usize = MAX_FRAME / 2;

/// Most datagrams of input on their way: the credit is 16 KiB, and each takes most of a kilobyte unless somebody types.
const MAX_IN_FLIGHT: usize = 64;

/// The lane.
#[derive(Default)]
pub(crate) struct Uplink {
    pub(crate) typed: Typed,
    received: Received,
    /// The datagrams in flight, each by the numbers of its events.
    flight: Flight<Range<u64>>,
    trip: RoundTrip,
    repeats: VecDeque<(Timestamp, u64, u64)>,
    /// The newest event that was sent at all.
    said: u64,
}

impl Uplink {
    /// A datagram of `length` bytes arrived.
    pub(crate) fn receive(&mut self, now: Timestamp, down: &Down, length: usize) {
        let ends_frame = length < LAST_BELOW;
        let within = match (&down.screen, ends_frame) {
            (Some(_), true) | (None, false) => ACK_WITHIN,
            (Some(_), false) => FRAME_ACK_WITHIN,
            (None, true) => Duration::ZERO,
        };
        let wants = if down.wants_ack { Wants::Within(within) } else { Wants::Nothing };
        self.received.arrived(now, down.seq, wants);
        self.typed.acknowledge(down.arrived, down.taken);
        self.trip.heard(now);
        let concluded = self.flight.acknowledge(now, &down.acks);
        self.trip.count(concluded.arrived.len(), concluded.lost.len());
        if let Some(took) = concluded.round_trip {
            self.trip.sample(now, took);
        }
        concluded.lost.into_iter().for_each(|events| self.typed.lost(events.start));
        self.send_skipped_again();
    }

    /// The host skips events that come before their turn, and acknowledges their datagram all the same. Where a network
    /// changes the order this may happen to every datagram that has an event, so if none in flight has the event that
    /// the host waits for, it goes again.
    fn send_skipped_again(&mut self) {
        let awaited = self.typed.arrived() + 1;
        if !self.flight.loads().any(|events| events.contains(&awaited)) && !is_faulty!(SkippedInputStays) {
            self.typed.lost(awaited);
        }
    }

    /// The link is gone: everything in flight is lost, and the next link may be of another kind.
    pub(crate) fn moved(&mut self) {
        self.repeats.clear();
        self.flight.abandon().into_iter().for_each(|events| self.typed.lost(events.start));
        self.trip = RoundTrip::default();
        self.said = self.typed.arrived();
    }

    /// The number of the newest datagram on its way that will be answered, if there is one.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.flight.newest()
    }

    /// An uplink to a new host, which begins with the input that was never sent.
    pub(crate) fn renewed(&mut self) -> Uplink {
        Uplink { typed: self.typed.renewed(), ..Uplink::default() }
    }

    /// A datagram that carries nothing and wants an answer, and its number: is anybody there?
    pub(crate) fn probe(&mut self, now: Timestamp) -> (u64, Vec<u8>) {
        let end = self.typed.newest() + 1;
        let seq = self.flight.send(now, end..end);
        (seq, Up { seq, wants_ack: true, acks: self.received.tell(now), ..Up::default() }.encode())
    }

    /// The smoothed round trip, as input takes it.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.trip.smoothed()
    }

    /// The next datagram that may go now.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        self.on_time(now);
        let silent = self.trip.is_silent() && !self.flight.is_empty();
        let may = self.flight.len() < MAX_IN_FLIGHT && !silent;
        let mut up = Up::default();
        if let Some((first, events)) = may.then(|| self.typed.next()).flatten() {
            (up.wants_ack, up.first, up.events) = (true, first, events);
            let last = first + up.events.len() as u64 - 1;
            up.seq = self.flight.send(now, first..last + 1);
            // A repetition is not repeated once more.
            if last > self.said {
                self.said = last;
                let repeats = self.trip.repeats().iter().map(|after| (now + *after, up.seq, first));
                self.repeats.extend(repeats);
                self.repeats.make_contiguous().sort_unstable();
            }
        } else if self.received.owed_at().is_some_and(|at| at <= now) {
            up.seq = self.flight.number();
        } else {
            return None;
        }
        up.acks = self.received.tell(now);
        Some(up.encode())
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        self.typed.check();
        self.received.check();
        self.flight.check();
        self.trip.check();
        assert!(self.said <= self.typed.newest(), "only what was typed is sent");
    }

    /// When [`next`](Uplink::next) may have something, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let expiry = self.flight.expires_at(self.trip.timeout());
        let repeat = self.repeats.front().map(|(at, ..)| *at);
        earliest(earliest(expiry, repeat), self.received.owed_at())
    }

    fn on_time(&mut self, now: Timestamp) {
        let expired = self.flight.expire(now, self.trip.timeout());
        self.trip.count(0, expired.len());
        for (sent_at, events) in expired {
            self.trip.miss(now, sent_at);
            self.typed.lost(events.start);
            // Events that go again for that reason are repeated as often as new ones.
            self.said = self.typed.arrived();
        }
        while self.repeats.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, seq, first)) = self.repeats.pop_front() else { break };
            if self.flight.holds(seq) {
                self.typed.lost(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Acks;

    #[test]
    fn input_that_came_before_its_turn_goes_again_although_its_datagrams_were_acknowledged() {
        let mut lane = Uplink::default();
        lane.typed.push(&[b'x'; 1000]);
        let sent: Vec<_> = std::iter::from_fn(|| lane.next(Timestamp::ZERO)).map(|it| Up::decode(&it)).collect();
        let sent: Vec<_> = sent.into_iter().map(|up| up.expect("its own encoding")).collect();
        let (first, last) = (sent.first().expect("input"), sent.last().expect("input"));
        let after_first = first.first + first.events.len() as u64 - 1;
        let acks = Acks { held_micros: 0, ranges: vec![(first.seq + 1, last.seq)] };
        lane.receive(Timestamp::ZERO, &Down { seq: 1, acks, ..Down::default() }, 100);
        assert!(lane.next(Timestamp::ZERO).is_none(), "the first one is on its way");
        lane.check();

        let acks = Acks { held_micros: 0, ranges: vec![(first.seq, last.seq)] };
        lane.receive(Timestamp::ZERO, &Down { seq: 2, acks, arrived: after_first, ..Down::default() }, 100);
        let again = lane.next(Timestamp::ZERO).map(|it| Up::decode(&it).expect("its own encoding"));
        assert_eq!(again.map(|up| up.first), Some(after_first + 1));
        lane.check();
    }

    #[test]
    fn an_acknowledgement_waits_for_the_rest_of_a_frame_and_until_viewers_have_painted_an_echo() {
        let head = || Some(Default::default());
        let owed = |datagrams: &[(bool, usize)]| {
            let mut lane = Uplink::default();
            for (number, (has_head, length)) in (1..).zip(datagrams) {
                let screen = if *has_head { head() } else { None };
                let down = Down { seq: number, wants_ack: true, screen, ..Down::default() };
                lane.receive(Timestamp::ZERO, &down, *length);
            }
            lane.deadline().map(|at| at.since(Timestamp::ZERO))
        };
        let (full, rest) = (MAX_FRAME - 100, LAST_BELOW - 1);
        assert_eq!(owed(&[(true, full), (false, full)]), Some(FRAME_ACK_WITHIN), "more of the frame is to come");
        assert_eq!(owed(&[(true, full), (false, full), (false, rest)]), Some(Duration::ZERO), "the frame is whole");
        assert_eq!(owed(&[(true, rest)]), Some(ACK_WITHIN), "an echo");
        assert_eq!(owed(&[(false, full)]), Some(ACK_WITHIN), "history");

        let mut lane = Uplink::default();
        lane.receive(Timestamp::ZERO, &Down { seq: 1, screen: head(), ..Down::default() }, rest);
        assert_eq!(lane.deadline(), None, "an acknowledgement is not acknowledged");
    }
}
