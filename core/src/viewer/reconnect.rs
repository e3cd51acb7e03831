//! When the link is gone: a new one is made, which takes up what the old one left. The old one is listened to for as long as it can be: if
//! it carries again, it is the quicker way back.

use std::time::Duration;

use super::{Viewer, ViewerExit, ViewerNotice};
use crate::id::LinkId;
use crate::predict::Predictor;
use crate::session::dialer::jittered;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{Attempt, Command, Envelope, Lane, LinkDown, Refusal};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::Acks;

/// What is sent is answered at once. Unanswered for this long, with all repetitions and on all paths, it needs a new link.
const UNANSWERED: Duration = Duration::from_secs(3);

/// The same when there is a reason to doubt: the rendezvous or its connection to the host is gone, or this machine slept.
const DOUBTED: Duration = Duration::from_secs(1);

/// The first pause between two tries; each is twice as long as the one before, but for jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before jitter, which makes it up to half as long again.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// So often a first handshake is begun anew: a rendezvous that goes each time is not worth more.
const MAX_BEGINNINGS: u32 = 3;

/// The link whose lanes carry.
pub(super) struct Carrier {
    pub(super) link: LinkId,
    pub(super) attempt: Attempt,
    /// When both sides were confirmed.
    pub(super) since: Timestamp,
    pub(super) control_up: bool,
    /// Its own, while that of another link is under way.
    handshake: Option<Handshake>,
}

impl Carrier {
    pub(super) fn new(now: Timestamp, link: LinkId, attempt: Attempt) -> Carrier {
        Carrier { link, attempt, since: now, control_up: false, handshake: None }
    }
}

/// The link has to prove that it carries: a probe is on its way.
pub(super) struct Doubt {
    until: Timestamp,
    probe: u64,
}

/// Nothing comes any more.
pub(super) struct Away {
    since: Timestamp,
    cause: Cause,
    pause: Duration,
    /// When the next try is due, if none is under way.
    again: Option<Timestamp>,
    /// When the old link is asked again, and what it was asked first.
    probe_at: Timestamp,
    probe: Option<u64>,
}

impl Viewer {
    /// Whether it is away, and the next try has not begun.
    pub(super) fn rests(&self) -> bool {
        self.away.as_ref().is_some_and(|away| away.again.is_some())
    }

    pub(super) fn carries(&self, link: LinkId) -> bool {
        self.carrier.as_ref().is_some_and(|carrier| carrier.link == link)
    }

    /// Something came on the carrier.
    pub(super) fn heard(&mut self, now: Timestamp, acks: &Acks) {
        // After a sleep there may be old datagrams in the socket; they prove nothing.
        let answered = |probe: u64| acks.ranges.first().is_some_and(|(_, newest)| *newest >= probe);
        self.doubted.take_if(|doubt| answered(doubt.probe));
        // What comes only shows that the other direction carries.
        self.unanswered.take_if(|(_, sent)| answered(*sent));
        let Some(away) = self.away.as_ref().filter(|away| away.probe.is_some_and(answered)) else { return };
        let since = away.since;
        let Some(carrier) = self.carrier.as_mut() else { return };
        if carrier.link != self.link {
            let Some(handshake) = carrier.handshake.take() else { return };
            let tried = std::mem::replace(&mut self.link, carrier.link);
            self.handshake = handshake;
            self.command(Command::Close(tried));
        }
        self.away = None;
        self.notice(ViewerNotice::Back(now.since(since)));
        self.leave_rendezvous();
    }

    /// There is a reason to doubt that the link still carries: it has a moment to prove it.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        if !self.was_live || self.away.is_some() || self.doubted.is_some() {
            return;
        }
        let until = now + DOUBTED.max(self.lane.round_trip().unwrap_or_default() * 3);
        if let Some(probe) = self.probe(now) {
            self.doubted = Some(Doubt { until, probe });
        }
    }

    fn probe(&mut self, now: Timestamp) -> Option<u64> {
        let link = self.carrier.as_ref()?.link;
        let (number, probe) = self.lane.probe(now);
        self.command(Command::Send(link, Lane::Terminal, probe));
        Some(number)
    }

    /// Whether no input is sent: it may never get to the host, and then it goes on another link.
    pub(super) fn holds_back(&self) -> bool {
        self.doubted.is_some() || self.away.is_some()
    }

    /// The same; asks the old link now and then whether it carries again.
    pub(super) fn probes(&mut self, now: Timestamp) -> bool {
        if let Some(away) = self.away.as_mut().filter(|away| away.probe_at <= now) {
            away.probe_at = now + DOUBTED;
            let probe = self.probe(now);
            if let Some(away) = &mut self.away {
                away.probe = away.probe.or(probe);
            }
        }
        self.holds_back()
    }

    /// Since when something is unanswered.
    pub(super) fn note_sent(&mut self, now: Timestamp) {
        // What was lost and need not be said again, a probe that is, was no answer; but nobody waits for one any more.
        self.unanswered = self.lane.awaited().map(|newest| self.unanswered.unwrap_or((now, newest)));
    }

    /// When silence becomes too long.
    pub(super) fn away_deadline(&self) -> Option<Timestamp> {
        match &self.away {
            Some(away) => {
                let probe = self.carrier.as_ref().map(|_| away.probe_at);
                earliest(earliest(away.again, probe), Some(away.since + self.config.reconnect))
            }
            None if self.was_live && self.carrier.is_some() => {
                let doubted = self.doubted.as_ref().map(|doubt| doubt.until);
                earliest(doubted, self.unanswered.map(|(since, _)| since + UNANSWERED))
            }
            None => None,
        }
    }

    pub(super) fn on_time_away(&mut self, now: Timestamp) {
        if self.away_deadline().is_none_or(|at| at > now) {
            return;
        }
        let Some(away) = &mut self.away else {
            return self.look_elsewhere(now, Cause::Down(LinkDown::Silent));
        };
        if away.since + self.config.reconnect <= now {
            let failure = self.handshake.fail_at(now, Stage::Live, away.since, away.cause.clone());
            self.leave(now, ViewerExit::Failed(failure));
        } else if away.again.take_if(|at| *at <= now).is_some() {
            self.begin(now);
        }
    }

    /// The carrier is of no more use.
    pub(super) fn lose(&mut self, now: Timestamp, cause: Cause) {
        self.drop_carrier();
        if self.away.is_none() {
            self.look_elsewhere(now, cause);
        }
    }

    pub(super) fn drop_carrier(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            self.command(Command::Close(carrier.link));
        }
        (self.unanswered, self.doubted) = (None, None);
        self.clipboard.clear();
    }

    /// Tries to come back on another link, for a while.
    fn look_elsewhere(&mut self, now: Timestamp, cause: Cause) {
        if self.config.reconnect.is_zero() {
            let failure = self.handshake.fail(now, cause);
            return self.leave(now, ViewerExit::Failed(failure));
        }
        self.doubted = None;
        let (pause, probe_at) = (FIRST_PAUSE, now);
        self.away = Some(Away { since: now, cause: cause.clone(), pause, again: None, probe_at, probe: None });
        self.notice(ViewerNotice::Away(cause));
        self.begin(now);
    }

    /// A new link: from the rendezvous on.
    fn begin(&mut self, now: Timestamp) {
        let handshake = std::mem::replace(&mut self.handshake, Handshake::new(now, Stage::ReachingRendezvous));
        if let Some(carrier) = self.carrier.as_mut().filter(|carrier| carrier.link == self.link) {
            carrier.handshake = Some(handshake);
        }
        self.link = LinkId(self.entropy.number());
        self.ask_again = None;
        self.notice(ViewerNotice::Stage(Stage::ReachingRendezvous));
        if self.dialer.is_up() {
            self.command(Command::Join(self.link, self.origin));
        } else if self.dialer.deadline().is_none() {
            self.dialer.dial(now);
            self.command(Command::Dial);
        }
    }

    /// The rendezvous went in the middle of the first handshake: once it is back it knows nothing of this link, so another begins. False
    /// after some of them; who comes back has rules of its own.
    pub(super) fn starts_anew(&mut self, now: Timestamp) -> bool {
        if self.away.is_some() || self.was_live || self.begun_anew >= MAX_BEGINNINGS {
            return false;
        }
        self.begun_anew += 1;
        self.command(Command::Close(self.link));
        self.begin(now);
        true
    }

    /// A try to come back failed; false if this is no such try, or there is no point in another.
    pub(super) fn tries_again(&mut self, now: Timestamp, cause: &Cause) -> bool {
        if self.away.is_none() {
            return false;
        }
        match cause {
            Cause::Refused(Refusal::Forgotten | Refusal::WrongKey) if self.origin.is_some() => self.start_over(now),
            Cause::Refused(Refusal::NoSession | Refusal::Full | Refusal::Misuse | Refusal::Busy) => self.pause(now),
            Cause::Refused(
                Refusal::Forgotten
                | Refusal::WrongKey
                | Refusal::WrongHost
                | Refusal::Version(_)
                | Refusal::Denied
                | Refusal::Taken
                | Refusal::Used
                | Refusal::Expired,
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
        if self.handshake.stage() >= Stage::Offer {
            self.command(Command::Envelope(self.link, Envelope::Goodbye));
        }
        self.command(Command::Close(self.link));
        let Some(away) = &mut self.away else { return };
        away.again = Some(now + jittered(away.pause, &mut self.entropy));
        away.pause = (away.pause * 2).min(LONGEST_PAUSE);
        self.rest(now);
    }

    /// Between two tries nothing is waited for but the next.
    fn rest(&mut self, now: Timestamp) {
        self.link = LinkId(self.entropy.number());
        self.handshake = Handshake::new(now, Stage::Live);
    }

    /// The host does not know this viewer any more: it comes as a new one, with the screen that it has.
    fn start_over(&mut self, now: Timestamp) {
        self.drop_carrier();
        let had_input = self.lane.typed.is_uncertain();
        self.command(Command::Close(self.link));
        if let Some(origin) = self.origin.take() {
            self.command(Command::Release(origin));
        }
        self.member = None;
        self.lane = self.lane.renewed();
        self.predictor = Predictor::new(self.config.predict);
        self.overlay_changed(now);
        self.notice(ViewerNotice::Forgotten(had_input));
        self.begin(now);
    }

    /// The link is confirmed: its lanes carry from here on.
    pub(super) fn carry(&mut self, now: Timestamp, attempt: Attempt) {
        if !self.carries(self.link) {
            self.drop_carrier();
        }
        self.carrier = Some(Carrier::new(now, self.link, attempt));
        self.lane.moved();
        (self.unanswered, self.doubted) = (None, None);
        if self.origin.is_none() {
            self.origin = Some(self.link);
            self.command(Command::Keep(self.link));
        }
        if let Some(away) = self.away.take() {
            self.notice(ViewerNotice::Back(now.since(away.since)));
        }
    }
}
