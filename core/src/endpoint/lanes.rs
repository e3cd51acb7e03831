//! Lanes: closed to everybody until both sides have confirmed who they are, then carriers of the machines' messages.

use std::time::Duration;

use serde::Serialize;

use crate::id::LinkId;
use crate::peer::engine::{Engine, Peer};
use crate::session::link::{Attempt, Event, Lane, LinkDown, LinkUser, Progress};
use crate::side::Side;
use crate::support::backoff::Backoff;
use crate::time::Timestamp;
use crate::wire::frame::{Confirm, MAX_FRAME};

use super::Endpoint;
use super::note::Step;
use super::state::{Advance, Confirming, LinkState, Seal};

/// Messages that wait for the control lane, a link: more than the synchronisation ever has in flight.
pub(super) const MAX_WAITING: usize = 256;

/// First repetition of a confirmation MAC; it grows by half each time.
const CONFIRM_AFTER: Duration = Duration::from_millis(60);

/// Longest pause between two repetitions.
const CONFIRM_AT_MOST: Duration = Duration::from_millis(500);

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    pub(super) fn on_secured(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        self.tell_secured(now, id);
        let side = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(live), Some((_, description)), Seal::Open { channel, .. }) =
            (link.live.as_mut(), link.remote.as_ref(), &link.seal)
        else {
            return;
        };
        let (Some((_, _, own_fingerprint)), Some(observed)) = (live.peer.local(), live.peer.observed_fingerprint())
        else {
            self.events.push_back(Event::Down(id, attempt, LinkDown::Unconfirmed));
            return;
        };
        let keys = match side {
            Side::Host => channel.confirmation(&live.half, &description.half),
            Side::Viewer => channel.confirmation(&description.half, &live.half),
        };
        let mac = keys.mac(side, &own_fingerprint, &observed, link.role);
        live.state = LinkState::Confirming(Confirming {
            keys,
            own_fingerprint,
            observed,
            mac,
            verified: false,
            acknowledged: false,
            again: now,
            backoff: Backoff::by_half(CONFIRM_AFTER, CONFIRM_AT_MOST),
        });
        self.events.push_back(Event::Progress(id, attempt, Progress::Confirming));
        self.confirm(now, id);
    }

    /// Says our MAC, again if need be.
    pub(super) fn confirm(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let Some(confirming) = live.state.confirming_mut().filter(|confirming| confirming.again <= now) else { return };
        if confirming.acknowledged {
            return;
        }
        confirming.again = now + confirming.backoff.pause();
        let bytes = Confirm::new(confirming.mac, confirming.verified, false).encode();
        self.tell_confirmation(now, id);
        self.write_terminal(now, id, &bytes);
    }

    pub(super) fn write_terminal(&mut self, now: Timestamp, id: LinkId, bytes: &[u8]) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if let Err(down) = live.peer.write(now, Lane::Terminal, bytes) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        if self.written.last() != Some(&id) {
            self.written.push(id);
        }
    }

    /// Has the peers put out the datagrams that were written.
    pub(super) fn put_out_written(&mut self, now: Timestamp) {
        for link in std::mem::take(&mut self.written) {
            self.drain(now, link);
        }
    }

    pub(super) fn on_message(&mut self, now: Timestamp, id: LinkId, attempt: Attempt, lane: Lane, bytes: Vec<u8>) {
        if bytes.len() > MAX_FRAME {
            self.events.push_back(Event::Down(id, attempt, LinkDown::Oversized));
            return;
        }
        let side = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let role = link.role;
        let Some(live) = link.live.as_mut() else { return };
        if let (Lane::Terminal, Some(confirm)) = (lane, Confirm::decode(&bytes)) {
            let Some(confirming) = live.state.confirming_mut() else { return };
            let (own, observed) = (confirming.own_fingerprint, confirming.observed);
            if !confirming.keys.verify(side.other(), &observed, &own, role, &confirm.mac) {
                self.events.push_back(Event::Down(id, attempt, LinkDown::Unconfirmed));
                return;
            }
            let first = !std::mem::replace(&mut confirming.verified, true);
            confirming.acknowledged |= confirm.heard;
            let answer = Confirm::new(confirming.mac, true, confirming.acknowledged).encode();
            let done = confirming.is_done();
            if first {
                self.tell(now, Some(id), || Step::ConfirmationReceived);
            }
            if done {
                self.lift(now, id);
            }
            if !confirm.settled {
                self.write_terminal(now, id, &answer);
            }
            return;
        }
        let verified = live.state.confirming().is_some_and(|confirming| confirming.verified);
        match lane {
            Lane::Control if live.state.is_up() => self.events.push_back(Event::Message(id, lane, bytes)),
            Lane::Terminal if live.state.is_confirmed() => self.events.push_back(Event::Message(id, lane, bytes)),
            Lane::Control if !verified => self.events.push_back(Event::Down(id, attempt, LinkDown::SpokeTooEarly)),
            Lane::Control if live.inbox.len() < MAX_WAITING => live.inbox.push_back((lane, bytes)),
            Lane::Control => self.events.push_back(Event::Down(id, attempt, LinkDown::Congested)),
            // The message is dropped: the sender repeats everything on this lane.
            Lane::Terminal => {}
        }
    }

    /// Tells the machine what became true: confirmed, and the control lane after it.
    pub(super) fn lift(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(live) = link.live.as_mut() else { return };
        let confirmed = live.path.filter(|_| live.state.advance(Advance::Confirmed));
        if let Some(path) = confirmed {
            self.events.push_back(Event::Confirmed(id, live.attempt, path));
        }
        let up = live.control_open && live.state.advance(Advance::ControlOpen);
        if up {
            self.events.push_back(Event::ControlUp(id, live.attempt));
            for (lane, bytes) in live.inbox.drain(..) {
                self.events.push_back(Event::Message(id, lane, bytes));
            }
            if let Seal::Open { channel, .. } = &mut link.seal {
                channel.settle();
            }
        }
        if confirmed.is_some() {
            self.tell(now, Some(id), || Step::TerminalLaneOpen);
        }
        if up {
            self.tell(now, Some(id), || Step::ControlLaneOpen);
        }
    }

    pub(super) fn send(&mut self, now: Timestamp, id: LinkId, lane: Lane, bytes: Vec<u8>) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let may = match lane {
            Lane::Control => live.state.is_up(),
            Lane::Terminal => live.state.is_confirmed(),
        };
        debug_assert!(may, "a machine spoke on {lane:?} before it was up");
        if !may {
            return;
        }
        match lane {
            Lane::Terminal => self.write_terminal(now, id, &bytes),
            Lane::Control if live.outbox.len() < MAX_WAITING => {
                live.outbox.push_back((lane, bytes));
                // The last screen goes before the goodbye.
                self.put_out_written(now);
                self.flush(now, id);
            }
            Lane::Control => {
                let attempt = live.attempt;
                self.events.push_back(Event::Down(id, attempt, LinkDown::Congested));
            }
        }
    }

    /// Writes what waits for room on the control lane.
    pub(super) fn flush(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let attempt = live.attempt;
        let mut wrote = false;
        while let Some((lane, bytes)) = live.outbox.front() {
            match live.peer.write(now, *lane, bytes) {
                Ok(true) => {
                    wrote = true;
                    live.outbox.pop_front();
                }
                Ok(false) => break,
                Err(down) => {
                    live.outbox.clear();
                    self.events.push_back(Event::Down(id, attempt, down));
                    break;
                }
            }
        }
        if wrote {
            self.drain(now, id);
        }
    }
}
