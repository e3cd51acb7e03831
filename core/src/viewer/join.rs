//! The way to a link: the rendezvous, and the handshake.

use std::time::Duration;

use super::{End, LAST_SCREEN_WITHIN, Viewer, ViewerExit, ViewerNotice};
use crate::crypto::sas::Sas;
use crate::id::LinkId;
use crate::session::dialer::Dialer;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{
    Attempt, Command, Envelope, Hello, KNOWS_BLINK, KNOWS_REPEATS, LinkDown, Refusal, Verdict, WANTS_CLIPBOARD,
};
use crate::support::backoff::Backoff;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;

/// A host that lost the rendezvous dials again after at most nine seconds, and is told within a few more.
const HOST_BACK_WITHIN: Duration = Duration::from_secs(15);

/// Between two tries to join a session that does not exist yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A first join that is refused because too many come at once is tried again for so long.
const IN_CROWD: Duration = Duration::from_secs(10);

/// The first pause between two such tries; each is twice as long as the one before, but for jitter.
const FIRST_PAUSE_IN_CROWD: Duration = Duration::from_millis(250);

/// The longest pause before jitter, which makes it up to half as long again.
const LONGEST_PAUSE_IN_CROWD: Duration = Duration::from_secs(1);

/// Most times that one rendezvous sends the viewer to another before the viewer begins anew at that of the invite.
pub(super) const MAX_HOPS: u32 = 3;

/// Too many viewers come at once: the way to the front.
pub(super) struct Crowd {
    until: Timestamp,
    pauses: Backoff,
}

/// The way to a link, and how far the viewer is on it.
pub(super) struct Join {
    pub(super) dialer: Dialer,
    pub(super) beginning: Beginning,
    /// The link that is being made, or was made last.
    pub(super) link: LinkId,
    pub(super) handshake: Handshake,
    /// How often the first handshake was begun anew, as the rendezvous went in the middle of one.
    pub(super) begun_anew: u32,
    /// When the rendezvous was not reached last.
    unreached_at: Option<Timestamp>,
    /// How often one rendezvous has sent the viewer to another, since one let the viewer in, or since the viewer came
    /// by its invite.
    pub(super) hops: u32,
    /// When that happened first, if no rendezvous has let the viewer in since.
    moved_at: Option<Timestamp>,
    /// When the rendezvous is asked again for a host that was not there.
    pub(super) ask_again: Option<Timestamp>,
    /// While the rendezvous refuses because too many come at once.
    pub(super) crowd: Option<Crowd>,
    /// Why the rendezvous was not reached last.
    pub(super) last_cause: String,
    /// The four words that the host sees too during the decision.
    pub(super) sas: Option<Sas>,
}

/// The first output wants the rendezvous dialled; the time for it begins with the first input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Wanted,
    Begun,
}

impl Join {
    pub(super) fn new(link: LinkId, entropy: Entropy) -> Join {
        Join {
            dialer: Dialer::new(entropy),
            beginning: Beginning::Wanted,
            link,
            handshake: Handshake::new(Timestamp::ZERO, Stage::ReachingRendezvous),
            begun_anew: 0,
            unreached_at: None,
            hops: 0,
            moved_at: None,
            ask_again: None,
            crowd: None,
            last_cause: "no answer".to_owned(),
            sas: None,
        }
    }

    /// The first input came.
    pub(super) fn start(&mut self, now: Timestamp) {
        if self.beginning == Beginning::Wanted {
            self.beginning = Beginning::Begun;
            self.dialer.dial(now);
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.handshake.stage()
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.handshake.attempt()
    }

    pub(super) fn is_at(&self, link: LinkId, attempt: Attempt) -> bool {
        link == self.link && attempt == self.attempt()
    }

    /// From here on the rendezvous is not needed: what it says, or that it is gone, changes nothing.
    pub(super) fn is_linked(&self) -> bool {
        self.stage() >= Stage::OpeningControl
    }

    /// Whether the two sides have a path, so that a rendezvous that does not know the session ends nothing.
    fn has_path(&self) -> bool {
        self.stage() >= Stage::Securing
    }

    /// Whether a rendezvous has sent the viewer to another one in the middle of a handshake that needs it.
    fn moves_in_handshake(&self) -> bool {
        self.hops > 0 && self.stage() >= Stage::Authenticating && !self.has_path()
    }

    /// The rendezvous has let the viewer in, or made the viewer wait for the host.
    pub(super) fn answered(&mut self) {
        self.dialer.answered();
        self.hops = 0;
        self.moved_at = None;
        self.crowd = None;
    }

    /// When to ask again a rendezvous that too many come to at once, if not for too long already.
    fn again_in_crowd(&mut self, now: Timestamp, entropy: &mut Entropy) -> Option<Timestamp> {
        let crowd = self.crowd.get_or_insert_with(|| Crowd {
            until: now + IN_CROWD,
            pauses: Backoff::doubling(FIRST_PAUSE_IN_CROWD, LONGEST_PAUSE_IN_CROWD),
        });
        (now < crowd.until).then(|| now + crowd.pauses.jittered(entropy))
    }

    /// Whether a session that the rendezvous does not know, or has no room for just now, may still come, if the person
    /// wants to wait for it that long.
    fn may_come(&self, now: Timestamp, wait: Option<Duration>, refusal: &Refusal) -> bool {
        let wanted = wait.map(|wait| Timestamp::ZERO + wait);
        // A rendezvous that was gone may have forgotten the session; its host comes back by itself.
        let forgotten = self.unreached_at.filter(|_| *refusal == Refusal::NoSession);
        // One that sends viewers elsewhere may do so because the host comes from there just now.
        let likely = forgotten.max(self.moved_at).map(|at| at + HOST_BACK_WITHIN);
        self.stage() < Stage::Authenticating && wanted.max(likely).is_some_and(|until| now < until)
    }
}

impl Viewer {
    pub(super) fn enter(&mut self, now: Timestamp, stage: Stage) {
        if self.join.stage() != stage {
            self.join.handshake.enter(now, stage);
            self.notice(ViewerNotice::Stage(stage));
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp, stage: Stage) {
        if self.join.stage() < stage {
            self.enter(now, stage);
        }
    }

    /// Whether the lanes of `link` carry, and no handshake of that link is under way.
    pub(super) fn stands(&self, link: LinkId) -> bool {
        self.session.carries(link) && (link != self.join.link || self.join.is_linked())
    }

    // The rendezvous.

    pub(super) fn on_signal_up(&mut self) {
        self.join.dialer.up();
        // The rendezvous is told again of a link that stands, since its datagrams may have to be relayed, and of a
        // handshake under way whose host has moved.
        let joins = self.join.stage() < Stage::Authenticating || self.join.is_linked() || self.join.hops > 0;
        if !self.reconnect.rests() && joins {
            self.join.ask_again = None;
            self.command(Command::Join(self.join.link, self.resumes()));
        }
    }

    /// The link on which the viewer became a member, if this join asks for that member's place.
    pub(super) fn resumes(&self) -> Option<LinkId> {
        self.session.origin.filter(|origin| *origin != self.join.link)
    }

    pub(super) fn on_signal_down(&mut self, now: Timestamp, cause: String) {
        self.join.last_cause.clone_from(&cause);
        if self.join.is_linked() && !self.config.stays {
            self.join.dialer.hang_up();
            return;
        }
        let was_up = self.join.dialer.is_up();
        self.join.dialer.down(now);
        if self.join.is_linked() {
            if was_up {
                // The host's process may have been the rendezvous as well.
                self.doubt_as_told(now);
            }
            return;
        }
        self.join.unreached_at = Some(now);
        if self.join.stage() < Stage::Authenticating {
            // The next one is that of the invite.
            self.join.hops = 0;
            if self.join.stage() != Stage::ReachingRendezvous {
                // The rendezvous was reached before: its return gets the whole time.
                self.join.handshake.enter_afresh(now, Stage::ReachingRendezvous);
                self.notice(ViewerNotice::Stage(Stage::ReachingRendezvous));
            }
            self.notice(ViewerNotice::Unreachable(cause));
        } else if self.join.stage() < Stage::Securing && !self.starts_anew(now) {
            // The other side cannot answer any more: it was told that this link is gone.
            self.fail(now, Cause::Signal(cause));
        }
    }

    /// The host is at another rendezvous: the viewer asks there by the same link, which the host may know already.
    pub(super) fn on_elsewhere(&mut self, now: Timestamp, url: String) {
        if self.reconnect.rests() || (self.join.has_path() && !self.config.stays) {
            return;
        }
        self.join.moved_at.get_or_insert(now);
        self.join.ask_again = None;
        if self.join.hops >= MAX_HOPS {
            (self.join.hops, self.join.crowd) = (0, None);
            self.command(Command::HangUp);
            return self.on_signal_down(now, "each rendezvous names another one".to_owned());
        }
        self.join.hops += 1;
        self.join.dialer.dial(now);
        self.command(Command::DialAt(url));
    }

    /// Dials the rendezvous.
    pub(super) fn dial(&mut self, now: Timestamp) {
        self.join.dialer.dial(now);
        self.command(Command::Dial);
    }

    pub(super) fn on_joined(&mut self, now: Timestamp) {
        if self.join.stage() < Stage::Authenticating {
            self.advance(now, Stage::Authenticating);
            let hello = Hello {
                name: self.config.name.clone(),
                size: Some(self.config.size),
                history: self.config.history,
                capabilities: KNOWS_BLINK
                    | KNOWS_REPEATS
                    | if self.config.clipboard { WANTS_CLIPBOARD } else { 0 }
                    | self.members.capability(),
            };
            self.command(Command::Hello(self.join.link, hello));
        }
    }

    pub(super) fn on_refused(&mut self, now: Timestamp, refusal: Refusal) {
        // The rendezvous began anew, and the host is not back at it yet, or too many come back at once. The host has
        // other reasons.
        let may_change = matches!(refusal, Refusal::NoSession | Refusal::Busy);
        if self.join.is_linked() || (self.join.has_path() && may_change) {
            self.join.ask_again = may_change.then(|| now + ASK_AGAIN_AFTER);
            return;
        }
        // Viewers that come back have pauses of their own.
        let asks_again = self.join.stage() < Stage::Authenticating || self.join.moves_in_handshake();
        if refusal == Refusal::Busy && !self.reconnect.is_away() && asks_again {
            self.join.ask_again = self.join.again_in_crowd(now, &mut self.entropy);
            if self.join.ask_again.is_some() {
                // The rendezvous answers: the stage has its whole time again.
                let stage = self.join.stage();
                return self.join.handshake.enter_afresh(now, stage);
            }
        }
        if refusal != Refusal::Busy {
            self.join.crowd = None;
        }
        // The host left in the middle of a handshake, and is not back yet.
        if may_change && self.join.moves_in_handshake() && self.starts_anew(now) {
            return;
        }
        let waits = refusal == Refusal::NoSession || (refusal == Refusal::Busy && !self.reconnect.is_away());
        if waits && self.join.may_come(now, self.config.wait, &refusal) {
            self.enter(now, Stage::WaitingForHost);
            self.join.handshake.enter_afresh(now, Stage::WaitingForHost);
            self.join.ask_again = Some(now + ASK_AGAIN_AFTER);
        } else {
            self.fail(now, Cause::Refused(refusal));
        }
    }

    // The handshake.

    pub(super) fn on_verdict(&mut self, now: Timestamp, verdict: Verdict) {
        if self.join.stage() >= Stage::Offer {
            return;
        }
        match verdict {
            Verdict::Accepted => self.advance(now, Stage::Offer),
            Verdict::Waiting => {
                if self.join.stage() == Stage::WaitingForApproval {
                    // A host that has paused says so again and again: it is there, and the time for a decision begins
                    // anew.
                    return self.join.handshake.enter_afresh(now, Stage::WaitingForApproval);
                }
                self.advance(now, Stage::WaitingForApproval);
                self.join.sas.into_iter().for_each(|sas| self.notice(ViewerNotice::Sas(sas)));
            }
            Verdict::Refused(refusal) => self.fail(now, Cause::Refused(refusal)),
        }
    }

    pub(super) fn on_envelope(&mut self, now: Timestamp, envelope: Envelope) {
        match envelope {
            Envelope::Offer(attempt) if attempt > self.join.attempt() && !self.join.is_linked() => {
                // The new attempt's peer gets sockets of its own, so the carrier has none any more.
                if !self.session.carries(self.join.link) {
                    self.drop_carrier();
                }
                self.join.handshake.begin_attempt(now, attempt);
                self.command(Command::Accept(self.join.link, attempt));
                self.command(Command::Envelope(self.join.link, Envelope::Answer(attempt)));
                self.enter(now, Stage::CheckingPaths);
            }
            Envelope::Candidate(attempt, candidate) if attempt >= self.join.attempt() => {
                if attempt == self.join.attempt() {
                    self.join.handshake.note_remote(candidate);
                    self.note_paths();
                }
                self.command(Command::Candidate(self.join.link, attempt, candidate));
            }
            Envelope::Verdict(verdict) => self.on_verdict(now, verdict),
            Envelope::Failed(attempt, down) if attempt == self.join.attempt() && !self.join.is_linked() => {
                self.fail(now, Cause::DownThere(down));
            }
            Envelope::Goodbye => {
                if !self.join.is_linked() {
                    self.fail(now, Cause::Left);
                }
            }
            // Old attempts, and answers, which only viewers give.
            Envelope::Offer(_) | Envelope::Candidate(..) | Envelope::Failed(..) | Envelope::Answer(_) => {}
        }
    }

    pub(super) fn note_paths(&mut self) {
        if self.join.stage() == Stage::CheckingPaths {
            let (local, remote) = self.join.handshake.paths_tried();
            self.notice(ViewerNotice::Paths(local, remote));
        }
    }

    pub(super) fn on_down(&mut self, now: Timestamp, down: LinkDown) {
        if !self.join.is_linked() {
            let envelope = Envelope::Failed(self.join.attempt(), down.clone());
            self.command(Command::Envelope(self.join.link, envelope));
        }
        self.fail(now, Cause::Down(down));
    }

    pub(super) fn fail(&mut self, now: Timestamp, cause: Cause) {
        let excusable = !matches!(&cause, Cause::Down(down) if !down.is_excusable());
        if self.session.carries(self.join.link) && self.render.is_live() && excusable {
            return self.lose(now, cause);
        }
        if self.tries_again(now, &cause) {
            return;
        }
        let failure = self.join.handshake.fail(now, cause);
        self.leave(now, ViewerExit::Failed(failure));
    }

    pub(super) fn leave(&mut self, now: Timestamp, exit: ViewerExit) {
        if matches!(self.end, End::Open) {
            self.end = End::Leaving(exit, now + LAST_SCREEN_WITHIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(Duration::from_secs(seconds))
    }

    fn join() -> Join {
        Join::new(LinkId(1), Entropy::new([1; 32]))
    }

    #[test]
    fn the_time_for_the_rendezvous_begins_with_the_first_input_alone() {
        let mut join = join();
        assert_eq!(join.dialer.deadline(), None);
        join.start(at(3));
        let until = join.dialer.deadline();
        assert!(until.is_some_and(|until| until > at(3)));
        join.start(at(4));
        assert_eq!(join.dialer.deadline(), until);
    }

    #[test]
    fn a_session_that_is_not_there_is_waited_for_as_long_as_wanted_or_likely() {
        let mut join = join();
        assert!(!join.may_come(at(1), None, &Refusal::NoSession));
        assert!(join.may_come(at(9), Some(Duration::from_secs(10)), &Refusal::NoSession));
        assert!(!join.may_come(at(10), Some(Duration::from_secs(10)), &Refusal::NoSession));
        join.unreached_at = Some(at(20));
        assert!(join.may_come(at(34), None, &Refusal::NoSession));
        assert!(!join.may_come(at(35), None, &Refusal::NoSession));
        assert!(!join.may_come(at(34), None, &Refusal::Busy), "a crowd has a time of its own");
        join.handshake.enter(at(21), Stage::Authenticating);
        assert!(!join.may_come(at(22), None, &Refusal::NoSession), "the session was there");
    }

    #[test]
    fn only_the_attempt_under_way_counts() {
        let mut join = join();
        assert!(join.is_at(LinkId(1), 0) && !join.is_at(LinkId(2), 0));
        join.handshake.begin_attempt(at(1), 1);
        assert!(join.is_at(LinkId(1), 1) && !join.is_at(LinkId(1), 0));
    }
}
