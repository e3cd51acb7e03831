//! The way to a link: the rendezvous, and the handshake.

use std::time::Duration;

use super::{End, LAST_SCREEN_WITHIN, Viewer, ViewerExit, ViewerNotice};
use crate::id::LinkId;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Attempt, Command, Envelope, Hello, LinkDown, Refusal, Verdict, WANTS_CLIPBOARD};
use crate::time::Timestamp;

/// A host that lost the rendezvous dials again after at most nine seconds, and is told within a few more.
const HOST_BACK_WITHIN: Duration = Duration::from_secs(15);

/// Between two tries to join a session that does not exist yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Viewer {
    pub(super) fn attempt(&self) -> Attempt {
        self.handshake.attempt()
    }

    pub(super) fn is_at(&self, link: LinkId, attempt: Attempt) -> bool {
        link == self.link && attempt == self.attempt()
    }

    /// From here on the rendezvous is not needed: what it says, or that it is gone, changes nothing.
    pub(super) fn is_linked(&self) -> bool {
        self.handshake.stage() >= Stage::OpeningControl
    }

    /// Whether the lanes of `link` carry, and no handshake of that link is under way.
    pub(super) fn stands(&self, link: LinkId) -> bool {
        self.carries(link) && (link != self.link || self.is_linked())
    }

    // The rendezvous.

    pub(super) fn on_signal_up(&mut self) {
        self.dialer.up();
        // A link that stands is told again too: its datagrams may have to be relayed.
        if !self.rests() && (self.handshake.stage() < Stage::Authenticating || self.is_linked()) {
            self.ask_again = None;
            self.command(Command::Join(self.link, self.resumes()));
        }
    }

    /// Whose place it asks for.
    pub(super) fn resumes(&self) -> Option<LinkId> {
        self.origin.filter(|origin| *origin != self.link)
    }

    pub(super) fn on_signal_down(&mut self, now: Timestamp, cause: String) {
        self.last_cause.clone_from(&cause);
        if self.is_linked() && !self.config.stays {
            self.dialer.hang_up();
            return;
        }
        let was_up = self.dialer.is_up();
        self.dialer.down(now);
        if self.is_linked() {
            if was_up {
                // The host's process may have been the rendezvous as well.
                self.doubt(now);
            }
            return;
        }
        self.unreached_at = Some(now);
        if self.handshake.stage() < Stage::Authenticating {
            if self.handshake.stage() != Stage::ReachingRendezvous {
                // It had been reached: it has its whole time to come back.
                self.handshake.enter_afresh(now, Stage::ReachingRendezvous);
                self.notice(ViewerNotice::Stage(Stage::ReachingRendezvous));
            }
            self.notice(ViewerNotice::Unreachable(cause));
        } else if self.handshake.stage() < Stage::Securing && !self.starts_anew(now) {
            // The other side cannot answer any more: it was told that this link is gone.
            self.fail(now, Cause::Signal(cause));
        }
    }

    pub(super) fn on_joined(&mut self, now: Timestamp) {
        if self.handshake.stage() < Stage::Authenticating {
            self.advance(now, Stage::Authenticating);
            let hello = Hello {
                name: self.config.name.clone(),
                size: Some(self.config.size),
                history: self.config.history,
                capabilities: if self.config.clipboard { WANTS_CLIPBOARD } else { 0 },
            };
            self.command(Command::Hello(self.link, hello));
        }
    }

    pub(super) fn on_refused(&mut self, now: Timestamp, refusal: Refusal) {
        if self.is_linked() {
            // The rendezvous began anew, and the host is not back at it yet.
            self.ask_again = (refusal == Refusal::NoSession).then(|| now + ASK_AGAIN_AFTER);
            return;
        }
        let may_come = refusal == Refusal::NoSession && self.handshake.stage() < Stage::Authenticating;
        let wanted = self.config.wait.map(|wait| Timestamp::ZERO + wait);
        // A rendezvous that was gone may have forgotten the session; its host comes back by itself.
        let likely = self.unreached_at.map(|at| at + HOST_BACK_WITHIN);
        if may_come && wanted.max(likely).is_some_and(|until| now < until) {
            self.enter(now, Stage::WaitingForHost);
            self.handshake.enter_afresh(now, Stage::WaitingForHost);
            self.ask_again = Some(now + ASK_AGAIN_AFTER);
        } else {
            self.fail(now, Cause::Refused(refusal));
        }
    }

    // The handshake.

    pub(super) fn on_verdict(&mut self, now: Timestamp, verdict: Verdict) {
        if self.handshake.stage() >= Stage::Offer {
            return;
        }
        match verdict {
            Verdict::Accepted => self.advance(now, Stage::Offer),
            Verdict::Waiting => {
                if self.handshake.stage() == Stage::WaitingForApproval {
                    // A host that has paused says so again and again: it is there, and the time for a decision begins anew.
                    return self.handshake.enter_afresh(now, Stage::WaitingForApproval);
                }
                self.advance(now, Stage::WaitingForApproval);
                self.check.into_iter().for_each(|check| self.notice(ViewerNotice::Sas(check)));
            }
            Verdict::Refused(refusal) => self.fail(now, Cause::Refused(refusal)),
        }
    }

    pub(super) fn on_envelope(&mut self, now: Timestamp, envelope: Envelope) {
        match envelope {
            Envelope::Offer(attempt) if attempt > self.attempt() && !self.is_linked() => {
                // Its peer gets sockets of its own, so the carrier has none any more.
                if !self.carries(self.link) {
                    self.drop_carrier();
                }
                self.handshake.begin_attempt(now, attempt);
                self.command(Command::Accept(self.link, attempt));
                self.command(Command::Envelope(self.link, Envelope::Answer(attempt)));
                self.enter(now, Stage::CheckingPaths);
            }
            Envelope::Candidate(attempt, candidate) if attempt >= self.attempt() => {
                if attempt == self.attempt() {
                    self.handshake.note_remote(candidate);
                    self.note_paths();
                }
                self.command(Command::Candidate(self.link, attempt, candidate));
            }
            Envelope::Verdict(verdict) => self.on_verdict(now, verdict),
            Envelope::Failed(attempt, down) if attempt == self.attempt() && !self.is_linked() => {
                self.fail(now, Cause::DownThere(down));
            }
            Envelope::Goodbye => {
                if !self.is_linked() {
                    self.fail(now, Cause::Left);
                }
            }
            // Old attempts, and answers, which only viewers give.
            Envelope::Offer(_) | Envelope::Candidate(..) | Envelope::Failed(..) | Envelope::Answer(_) => {}
        }
    }

    pub(super) fn note_paths(&mut self) {
        if self.handshake.stage() == Stage::CheckingPaths {
            let (local, remote) = self.handshake.paths_tried();
            self.notice(ViewerNotice::Paths(local, remote));
        }
    }

    pub(super) fn on_down(&mut self, now: Timestamp, down: LinkDown) {
        if !self.is_linked() {
            let envelope = Envelope::Failed(self.attempt(), down.clone());
            self.command(Command::Envelope(self.link, envelope));
        }
        self.fail(now, Cause::Down(down));
    }

    pub(super) fn fail(&mut self, now: Timestamp, cause: Cause) {
        let excusable = !matches!(&cause, Cause::Down(down) if !down.is_excusable());
        if self.carries(self.link) && self.was_live && excusable {
            return self.lose(now, cause);
        }
        if self.tries_again(now, &cause) {
            return;
        }
        let failure = self.handshake.fail(now, cause);
        self.leave(now, ViewerExit::Failed(failure));
    }

    pub(super) fn leave(&mut self, now: Timestamp, exit: ViewerExit) {
        if matches!(self.end, End::Open) {
            self.end = End::Leaving(exit, now + LAST_SCREEN_WITHIN);
        }
    }
}
