//! The host's end of a viewer's terminal lane: screens go out, input comes in, and each datagram says what arrived of
//! the other's.

use std::time::Duration;

use crate::sync::acks::{Received, Wants};
use crate::sync::history::Repeats;
use crate::sync::inbound::{Inbound, Overdrawn};
use crate::sync::outbound::Outbound;
use crate::terminal::{Emulator, Styles};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::{Down, Up};

/// How long an acknowledgement of input waits for the echo, which takes it along.
const ACK_WITHIN: Duration = Duration::from_millis(5);

/// How long the news that the program took input waits for the echo.
const TAKEN_WITHIN: Duration = Duration::from_millis(20);

/// One viewer's lane.
pub(crate) struct Downlink {
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    received: Received,
    taken_told: u64,
    /// Since when the viewer does not know how much input the program took.
    untold_since: Option<Timestamp>,
}

impl Downlink {
    /// For a viewer that gets at most the last `history` lines of what was there before it, knows these styles, and is
    /// shown a frame once in `frame_interval` under steady output.
    pub(crate) fn new(history: u64, styles: Styles, repeats: Repeats, frame_interval: Duration) -> Downlink {
        Downlink {
            outbound: Outbound::new(history, styles, repeats, frame_interval),
            inbound: Inbound::default(),
            received: Received::default(),
            taken_told: 0,
            untold_since: None,
        }
    }

    /// A datagram arrived; `may_type`: whether its input is taken. Without that, any input is more than it has credit
    /// for.
    pub(crate) fn receive(&mut self, now: Timestamp, up: Up, may_type: bool) -> Result<(), Overdrawn> {
        let wants = if up.wants_ack { Wants::Within(ACK_WITHIN) } else { Wants::Nothing };
        self.received.arrived(now, up.seq, wants);
        self.outbound.acknowledge(now, &up.acks);
        if up.events.is_empty() {
            return Ok(());
        }
        if !may_type {
            return Err(Overdrawn);
        }
        self.inbound.accept(up.first, up.events)
    }

    /// The next datagram that may go now; of the screen only if there is one to show.
    pub(crate) fn next(&mut self, now: Timestamp, emulator: Option<&Emulator>, urgent: bool) -> Option<Vec<u8>> {
        let taken = self.inbound.taken();
        if self.outbound.take_lost_note() {
            self.taken_told = 0;
        }
        if taken > self.taken_told {
            self.untold_since.get_or_insert(now);
        }
        let mut down = Down { arrived: self.inbound.arrived(), taken, ..Down::default() };
        if let Some((seq, payload)) = emulator.and_then(|emulator| self.outbound.next(now, emulator, urgent)) {
            (down.seq, down.wants_ack) = (seq, true);
            payload.fill(&mut down);
        } else if self.untold_since.is_some_and(|since| since + TAKEN_WITHIN <= now) {
            (down.seq, down.wants_ack) = (self.outbound.note(now), true);
        } else if self.received.owed_at().is_some_and(|at| at <= now) {
            down.seq = self.outbound.number();
        } else {
            return None;
        }
        if down.wants_ack {
            // If the datagram is lost, the next one that carries its content tells this again.
            (self.taken_told, self.untold_since) = (taken, None);
        }
        down.acks = self.received.tell(now);
        Some(down.encode())
    }

    /// The link is gone: everything in flight is lost, and the next link may be of another kind.
    pub(crate) fn moved(&mut self) {
        self.outbound.moved();
        self.taken_told = 0;
    }

    /// The smoothed round trip of this viewer's acknowledgements.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.outbound.round_trip()
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        self.outbound.check();
        self.inbound.check();
        self.received.check();
        assert!(self.taken_told <= self.inbound.taken(), "a viewer is told what the program took");
    }

    /// When [`next`](Downlink::next) may have something, if nothing happens before.
    pub(crate) fn deadline(&self, paused: bool) -> Option<Timestamp> {
        let untold = self.untold_since.map(|since| since + TAKEN_WITHIN);
        let outbound = self.outbound.deadline().filter(|_| !paused);
        earliest(earliest(outbound, self.received.owed_at()), untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::uplink::Uplink;
    use crate::terminal::Size;

    /// How many screens of a program that fills one each millisecond a viewer is shown in a second.
    fn frames_of_a_flood(interval: Duration) -> usize {
        let mut emulator = Emulator::new(Size::new(80, 24), 0);
        let mut lane = Downlink::new(0, Styles::All, Repeats::Known, interval);
        let mut viewer = Uplink::default();
        let mut frames = 0;
        for millisecond in 0..1000 {
            let now = Timestamp::from(Duration::from_millis(millisecond));
            for row in 0..24 {
                emulator.feed(format!("\r\n{millisecond} {row} and so on to the end of this row").as_bytes());
            }
            emulator.frame();
            while let Some(bytes) = lane.next(now, Some(&emulator), false) {
                let down = Down::decode(&bytes).expect("as it was encoded");
                frames += usize::from(down.screen.is_some());
                viewer.receive(now, &down, bytes.len());
            }
            while let Some(bytes) = viewer.next(now) {
                lane.receive(now, Up::decode(&bytes).expect("as it was encoded"), true).expect("there is no input");
            }
        }
        frames
    }

    #[test]
    fn under_steady_output_a_viewer_is_shown_one_frame_in_its_interval() {
        assert_eq!(frames_of_a_flood(Duration::from_millis(16)), 63);
        assert_eq!(frames_of_a_flood(Duration::from_millis(19)), 53);
    }
}
