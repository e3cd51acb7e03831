//! Replaces a lost link by a new one, which continues the session. The viewer still listens to the old link as long as
//! possible: if the old link works again, it is the quicker way back.

use std::time::Duration;

use super::session::Carrier;
use super::{Viewer, ViewerExit, ViewerNotice};
use crate::id::LinkId;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{Attempt, Command, Envelope, Lane, Refusal};
use crate::support::backoff::Backoff;
use crate::time::{Timestamp, earliest};
use crate::wire::frame::Acks;

/// Longest wait for an answer, over all retransmissions and paths, before the viewer makes a new link. Answers come at
/// once.
const UNANSWERED: Duration = Duration::from_secs(3);

/// This wait replaces the longer one when the link is in doubt: the rendezvous or its connection to the host is gone,
/// or this machine slept.
const DOUBTED: Duration = Duration::from_secs(1);

/// A link that has just answered is not asked again for this time because a rendezvous says that the host is gone: one
/// that says so all the time would have the viewer ask all the time, and hold back what is typed meanwhile.
const TRUSTED: Duration = Duration::from_secs(5);

/// A probe that is not answered is sent again: one lost datagram is no reason to leave a link.
const PROBE_AGAIN: Duration = Duration::from_millis(250);

/// The first pause between two tries; each is twice as long as the one before, but for jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before jitter, which makes it up to half as long again.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// Most tries of a first handshake whose rendezvous goes away in the middle.
const MAX_BEGINNINGS: u32 = 3;

/// The link has to prove that it carries: a probe is on its way.
struct Doubt {
    until: Timestamp,
    /// The number of the first probe.
    probe: u64,
    /// When the next one goes.
    again: Timestamp,
}

/// Nothing comes any more.
struct Away {
    since: Timestamp,
    cause: Cause,
    backoff: Backoff,
    /// When the next try is due, if none is under way.
    again: Option<Timestamp>,
    /// When the old link is asked again, and the number of the first probe.
    probe_at: Timestamp,
    probe: Option<u64>,
}

/// Whether the carrier still works, and the way back if it does not.
#[derive(Default)]
pub(super) struct Reconnect {
    away: Option<Away>,
    /// Since when a datagram is unanswered, and its number.
    unanswered: Option<(Timestamp, u64)>,
    doubted: Option<Doubt>,
    /// Until when the link needs no further proof, if it has given one.
    trusted_until: Option<Timestamp>,
    /// When it has to give one because of what a rendezvous said meanwhile.
    doubt_at: Option<Timestamp>,
}

impl Reconnect {
    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Whether the viewer is away, and the next try has not begun.
    pub(super) fn rests(&self) -> bool {
        self.retry_at().is_some()
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// Whether no input is sent: it may never get to the host, and then it goes on another link.
    pub(super) fn holds_back(&self) -> bool {
        self.doubted.is_some() || self.away.is_some()
    }

    pub(super) fn expects_nothing(&self) -> bool {
        self.doubted.is_none() && self.unanswered.is_none()
    }

    /// When the silence of the link is too long.
    pub(super) fn silent_at(&self) -> Option<Timestamp> {
        let unanswered = self.unanswered.map(|(since, _)| since + UNANSWERED);
        earliest(self.doubted.as_ref().map(|doubt| doubt.until), unanswered).filter(|_| self.away.is_none())
    }

    pub(super) fn away_since(&self) -> Option<Timestamp> {
        self.away.as_ref().map(|away| away.since)
    }

    /// When the next try begins.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        self.away.as_ref().and_then(|away| away.again)
    }

    /// When the link is asked for a proof: again, or for the first time.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        let away = self.away.as_ref().map(|away| away.probe_at);
        let again = self.doubted.as_ref().map(|doubt| doubt.again);
        earliest(away, earliest(again, self.doubt_at))
    }

    /// A rendezvous says that the host is gone: whether the link is to be doubted now. If not, it is a little later.
    fn is_to_be_doubted(&mut self, now: Timestamp) -> bool {
        let is_trusted = self.trusted_until.is_some_and(|until| now < until);
        self.doubt_at = self.trusted_until.filter(|_| is_trusted);
        !is_trusted
    }

    /// Notes acknowledged numbers. If the old link of a reconnecting viewer works again, returns since when the viewer
    /// was away.
    fn answered(&mut self, now: Timestamp, acks: &Acks) -> Option<Timestamp> {
        // After a sleep there may be old datagrams in the socket; they prove nothing.
        let answered = |probe: u64| acks.ranges.first().is_some_and(|(_, newest)| *newest >= probe);
        if self.doubted.take_if(|doubt| answered(doubt.probe)).is_some() {
            self.trusted_until = Some(now + TRUSTED);
        }
        // Received datagrams only show that the other direction works.
        self.unanswered.take_if(|(_, sent)| answered(*sent));
        let away = self.away.as_ref().filter(|away| away.probe.is_some_and(answered))?;
        Some(away.since)
    }

    /// `newest` is the number of the newest datagram that an answer is expected to.
    fn note_sent(&mut self, now: Timestamp, newest: Option<u64>) {
        // A lost probe is not sent again, so nobody waits for its answer any more.
        self.unanswered = newest.map(|newest| self.unanswered.unwrap_or((now, newest)));
    }

    /// Another link carries, or none.
    fn expect_nothing(&mut self) {
        (self.unanswered, self.doubted) = (None, None);
        (self.trusted_until, self.doubt_at) = (None, None);
    }

    fn leave(&mut self, now: Timestamp, cause: Cause) {
        (self.doubted, self.trusted_until, self.doubt_at) = (None, None, None);
        self.away = Some(Away {
            since: now,
            cause,
            backoff: Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE),
            again: None,
            probe_at: now,
            probe: None,
        });
    }
}

impl Viewer {
    /// Something came on the carrier.
    pub(super) fn heard(&mut self, now: Timestamp, acks: &Acks) {
        let Some(since) = self.reconnect.answered(now, acks) else { return };
        let Some(carrier) = self.session.carrier.as_mut() else { return };
        if carrier.link != self.join.link {
            let Some(handshake) = carrier.handshake.take() else { return };
            let tried = std::mem::replace(&mut self.join.link, carrier.link);
            self.join.handshake = handshake;
            self.command(Command::Close(tried));
        }
        self.reconnect.away = None;
        self.notice(ViewerNotice::Back(now.since(since)));
        self.leave_rendezvous();
    }

    /// There is a reason to doubt that the link still carries: it has a moment to prove it.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        if !self.render.is_live() || self.reconnect.holds_back() {
            return;
        }
        let until = now + DOUBTED.max(self.input.lane.round_trip().unwrap_or_default() * 3);
        if let Some(probe) = self.probe(now) {
            self.reconnect.doubted = Some(Doubt { until, probe, again: now + PROBE_AGAIN });
        }
    }

    /// A rendezvous says that the host is gone, or is gone itself: a reason to doubt a link that has not proved itself
    /// just before.
    pub(super) fn doubt_as_told(&mut self, now: Timestamp) {
        if self.reconnect.is_to_be_doubted(now) {
            self.doubt(now);
        }
    }

    fn probe(&mut self, now: Timestamp) -> Option<u64> {
        let link = self.session.link()?;
        let (number, probe) = self.input.lane.probe(now);
        self.command(Command::Send(link, Lane::Terminal, probe));
        Some(number)
    }

    /// Sends the datagrams that are due. Without any, asks the old link now and then whether it carries again.
    pub(super) fn pump_lane(&mut self, now: Timestamp) {
        let Some(link) = self.session.link() else { return };
        if self.reconnect.doubt_at.take_if(|at| *at <= now).is_some() {
            self.doubt(now);
        }
        if let Some(doubt) = self.reconnect.doubted.as_mut().filter(|doubt| doubt.again <= now) {
            doubt.again = now + PROBE_AGAIN;
            self.probe(now);
        }
        if let Some(away) = self.reconnect.away.as_mut().filter(|away| away.probe_at <= now) {
            away.probe_at = now + DOUBTED;
            let probe = self.probe(now);
            if let Some(away) = &mut self.reconnect.away {
                away.probe = away.probe.or(probe);
            }
        }
        if self.reconnect.holds_back() {
            return;
        }
        while let Some(bytes) = self.input.lane.next(now) {
            self.command(Command::Send(link, Lane::Terminal, bytes));
        }
        self.reconnect.note_sent(now, self.input.lane.awaited());
    }

    /// The viewer was away for too long.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        if let Some(away) = &self.reconnect.away {
            let failure = self.join.handshake.fail_at(now, Stage::Live, away.since, away.cause.clone());
            self.leave(now, ViewerExit::Failed(failure));
        }
    }

    /// The pause between two tries is over.
    pub(super) fn retry(&mut self, now: Timestamp) {
        if self.reconnect.away.as_mut().is_some_and(|away| away.again.take().is_some()) {
            self.begin(now);
        }
    }

    /// The carrier is of no more use.
    pub(super) fn lose(&mut self, now: Timestamp, cause: Cause) {
        self.drop_carrier();
        if !self.reconnect.is_away() {
            self.look_elsewhere(now, cause);
        }
    }

    pub(super) fn drop_carrier(&mut self) {
        if let Some(carrier) = self.session.carrier.take() {
            self.command(Command::Close(carrier.link));
        }
        self.reconnect.expect_nothing();
        self.session.clipboard.clear();
    }

    /// Tries to come back on another link, for a while.
    pub(super) fn look_elsewhere(&mut self, now: Timestamp, cause: Cause) {
        if self.config.reconnect.is_zero() {
            let failure = self.join.handshake.fail(now, cause);
            return self.leave(now, ViewerExit::Failed(failure));
        }
        self.reconnect.leave(now, cause.clone());
        self.notice(ViewerNotice::Away(cause));
        if !is_faulty!(NeverBack) {
            self.begin(now);
        }
    }

    /// A new link: from the rendezvous on.
    fn begin(&mut self, now: Timestamp) {
        let handshake = Handshake::new(now, Stage::ReachingRendezvous);
        let handshake = std::mem::replace(&mut self.join.handshake, handshake);
        if let Some(carrier) = self.session.carrier.as_mut().filter(|carrier| carrier.link == self.join.link) {
            carrier.handshake = Some(handshake);
        }
        self.join.link = LinkId(self.entropy.number());
        (self.join.ask_again, self.join.crowd) = (None, None);
        self.join.hops = 0;
        self.notice(ViewerNotice::Stage(Stage::ReachingRendezvous));
        if self.join.dialer.is_up() {
            self.command(Command::Join(self.join.link, self.session.origin));
        } else if self.join.dialer.deadline().is_none() {
            self.dial(now);
        }
    }

    /// Starts another handshake after the rendezvous was lost in the first one, because a restarted rendezvous does not
    /// know this link. False after a few of them. Reconnecting viewers have other rules.
    pub(super) fn starts_anew(&mut self, now: Timestamp) -> bool {
        if self.reconnect.is_away() || self.render.is_live() || self.join.begun_anew >= MAX_BEGINNINGS {
            return false;
        }
        self.join.begun_anew += 1;
        self.command(Command::Close(self.join.link));
        self.begin(now);
        true
    }

    /// A try to come back failed; false if this is no such try, or there is no point in another.
    pub(super) fn tries_again(&mut self, now: Timestamp, cause: &Cause) -> bool {
        if !self.reconnect.is_away() {
            return false;
        }
        match cause {
            Cause::Refused(Refusal::Forgotten | Refusal::WrongKey) if self.session.origin.is_some() => {
                self.start_over(now);
            }
            Cause::Refused(Refusal::NoSession | Refusal::Full | Refusal::Misuse | Refusal::Busy) => self.pause(now),
            Cause::Refused(
                Refusal::Forgotten
                | Refusal::WrongKey
                | Refusal::WrongHost
                | Refusal::Version(_)
                | Refusal::Denied
                | Refusal::Taken
                | Refusal::Used
                | Refusal::Expired
                | Refusal::NoBrowsers
                | Refusal::OldHost,
            ) => return false,
            Cause::NoAnswer
            | Cause::Signal(_)
            | Cause::Down(_)
            | Cause::DownThere(_)
            | Cause::Gone
            | Cause::Left
            | Cause::NoControl => self.pause(now),
        }
        true
    }

    fn pause(&mut self, now: Timestamp) {
        if self.join.handshake.stage() >= Stage::Offer {
            self.command(Command::Envelope(self.join.link, Envelope::Goodbye));
        }
        self.command(Command::Close(self.join.link));
        let Some(away) = &mut self.reconnect.away else { return };
        away.again = Some(now + away.backoff.jittered(&mut self.entropy));
        // Between two tries the viewer waits for the next one only.
        self.join.link = LinkId(self.entropy.number());
        self.join.handshake = Handshake::new(now, Stage::Live);
    }

    /// The host does not know this viewer any more: it comes as a new one, with the screen that it has.
    fn start_over(&mut self, now: Timestamp) {
        self.drop_carrier();
        let had_input = self.input.lane.typed.is_uncertain();
        self.command(Command::Close(self.join.link));
        if let Some(origin) = self.session.origin.take() {
            self.command(Command::Release(origin));
        }
        self.session.member = None;
        self.input.lane = self.input.lane.renewed();
        self.render.forget_predictions(now, self.config.predict);
        self.notice(ViewerNotice::Forgotten(had_input));
        self.begin(now);
    }

    /// The link is confirmed: its lanes carry from here on.
    pub(super) fn carry(&mut self, now: Timestamp, attempt: Attempt) {
        let link = self.join.link;
        if !self.session.carries(link) {
            self.drop_carrier();
        }
        self.session.carrier = Some(Carrier::new(now, link, attempt));
        self.input.lane.moved();
        self.reconnect.expect_nothing();
        if self.session.origin.is_none() {
            self.session.origin = Some(link);
            self.command(Command::Keep(link));
        }
        if let Some(away) = self.reconnect.away.take() {
            self.notice(ViewerNotice::Back(now.since(away.since)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(millis))
    }

    fn acks(newest: u64) -> Acks {
        Acks { ranges: vec![(newest, newest)], ..Acks::default() }
    }

    #[test]
    fn silence_counts_from_the_first_datagram_that_is_unanswered() {
        let mut reconnect = Reconnect::default();
        assert_eq!(reconnect.silent_at(), None);
        reconnect.note_sent(at(0), Some(7));
        reconnect.note_sent(at(500), Some(8));
        assert_eq!(reconnect.silent_at(), Some(at(3_000)));
        assert_eq!(reconnect.answered(at(600), &acks(6)), None);
        assert_eq!(reconnect.silent_at(), Some(at(3_000)));
        reconnect.answered(at(600), &acks(7));
        assert_eq!(reconnect.silent_at(), None);
    }

    #[test]
    fn a_doubted_link_has_less_time_and_only_the_answer_to_its_probe_helps() {
        let mut reconnect = Reconnect::default();
        reconnect.note_sent(at(0), Some(7));
        reconnect.doubted = Some(Doubt { until: at(1_000), probe: 9, again: at(250) });
        assert!(reconnect.holds_back());
        assert_eq!((reconnect.silent_at(), reconnect.probe_at()), (Some(at(1_000)), Some(at(250))));
        reconnect.answered(at(300), &acks(8));
        assert!(reconnect.holds_back());
        reconnect.answered(at(300), &acks(9));
        assert!(!reconnect.holds_back() && reconnect.expects_nothing());
    }

    #[test]
    fn a_link_that_has_proved_itself_is_not_doubted_for_a_while_and_then_once() {
        let mut reconnect = Reconnect::default();
        assert!(reconnect.is_to_be_doubted(at(0)));
        reconnect.doubted = Some(Doubt { until: at(1_000), probe: 9, again: at(250) });
        reconnect.answered(at(40), &acks(9));
        assert_eq!(reconnect.probe_at(), None);
        for now in [50, 4_000] {
            assert!(!reconnect.is_to_be_doubted(at(now)));
            assert_eq!(reconnect.probe_at(), Some(at(5_040)), "it is asked when its proof is old");
        }
        assert!(reconnect.is_to_be_doubted(at(5_040)) && reconnect.probe_at().is_none());
    }

    #[test]
    fn a_viewer_that_is_away_is_back_when_its_old_link_answers_a_probe() {
        let mut reconnect = Reconnect::default();
        reconnect.leave(at(5_000), Cause::NoAnswer);
        assert!(reconnect.is_away() && !reconnect.rests());
        assert_eq!((reconnect.silent_at(), reconnect.probe_at()), (None, Some(at(5_000))));
        assert_eq!(reconnect.answered(at(5_100), &acks(100)), None, "nothing was asked yet");
        reconnect.away.iter_mut().for_each(|away| away.probe = Some(101));
        assert_eq!(reconnect.answered(at(5_100), &acks(100)), None);
        assert_eq!(reconnect.answered(at(5_100), &acks(101)), Some(at(5_000)));
    }
}
