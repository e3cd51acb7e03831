//! The session on a link that carries: what the host says, and the screen as it comes.

use super::{Viewer, ViewerExit, ViewerNotice};
use crate::id::MemberId;
use crate::role::Role;
use crate::session::handshake::Stage;
use crate::session::link::{Command, Lane};
use crate::terminal::MAX_CLIPBOARD;
use crate::time::Timestamp;
use crate::wire::frame::{Down, FromHost, FromViewer, Goodbye};

impl Viewer {
    // The session.

    pub(super) fn on_frame(&mut self, now: Timestamp, bytes: &[u8]) {
        // A host that speaks nonsense on a confirmed link is at fault, but what it sent before still stands.
        let Ok(frame) = FromHost::decode(bytes) else { return };
        match frame {
            FromHost::Welcome { member, role } => self.member = Some((member, role)),
            FromHost::Title(title) => {
                self.painter.title(&title);
                self.paint_from = self.paint_from.or(Some(now));
                self.notice(ViewerNotice::Title(title));
            }
            FromHost::Bell => self.notice(ViewerNotice::Bell),
            FromHost::Clipboard { text, last } => self.on_clipboard(&text, last),
            FromHost::Notice(text) => self.notice(ViewerNotice::Said(text)),
            FromHost::Role(role) => {
                self.member = self.member.map(|(member, _)| (member, role));
                self.notice(ViewerNotice::Role(role));
            }
            FromHost::Paused(paused) => self.notice(ViewerNotice::Paused(paused)),
            FromHost::Goodbye(goodbye) => {
                self.send(&FromViewer::GoodbyeHeard);
                let exit = match goodbye {
                    Goodbye::Ended(code) => ViewerExit::Ended(code),
                    Goodbye::Stopped => ViewerExit::Stopped,
                    Goodbye::Expired => ViewerExit::Expired,
                    Goodbye::Removed(why) => ViewerExit::Removed(why),
                };
                self.leave(now, exit);
            }
        }
    }

    pub(super) fn on_datagram(&mut self, now: Timestamp, bytes: &[u8]) {
        let Ok(down) = Down::decode(bytes) else { return };
        self.heard(now, &down.acks);
        let taken = self.lane.typed.taken();
        self.lane.receive(now, &down);
        let has_taken = self.lane.typed.taken() > taken;
        let news = down.screen.is_some() || !down.segments.is_empty();
        for segment in down.segments {
            let (space, number, version) = (segment.space, segment.number, segment.version);
            if let Some((line, is_final)) = self.assembler.add(segment) {
                self.screen.merge_line(space, number, version, is_final, line);
            }
        }
        if let Some((head, commits)) = down.screen {
            self.screen.merge_head(head);
            self.screen.merge_commits(&commits);
        }
        if has_taken || (news && self.screen.complete()) {
            self.judge_predictions(now);
        }
        if !news {
            return;
        }
        // A host that never pauses may never be caught up with: a line of every row is a screen.
        let waits = matches!(self.handshake.stage(), Stage::OpeningControl | Stage::FirstScreen);
        if waits && self.screen.whole() {
            self.enter(now, Stage::Live);
            if std::mem::replace(&mut self.was_live, true) {
                self.leave_rendezvous();
                return self.screen_changed(now);
            }
            let (member, role) = self.member.unwrap_or((MemberId(0), self.config.role));
            self.notice(ViewerNotice::FirstScreen(member, role));
            self.leave_rendezvous();
        }
        self.screen_changed(now);
    }

    /// Once the screen is there and the control lane too, all there is to say travels on the link. Whoever may need the relay stays.
    pub(super) fn leave_rendezvous(&mut self) {
        let control_up = self.carrier.as_ref().is_some_and(|carrier| carrier.control_up);
        if control_up && self.handshake.stage() == Stage::Live && !self.config.stays {
            self.dialer.hang_up();
            self.command(Command::HangUp);
        }
    }

    pub(super) fn on_clipboard(&mut self, text: &str, last: bool) {
        if self.clipboard.len() + text.len() > MAX_CLIPBOARD {
            self.clipboard.clear();
            return;
        }
        self.clipboard.push_str(text);
        if last {
            let text = std::mem::take(&mut self.clipboard);
            if self.config.clipboard {
                self.notice(ViewerNotice::Clipboard(text));
            }
        }
    }

    pub(super) fn send(&mut self, frame: &FromViewer) {
        if let Some(carrier) = self.carrier.as_ref().filter(|carrier| carrier.control_up) {
            self.command(Command::Send(carrier.link, Lane::Control, frame.encode()));
        }
    }

    /// When it is too late for the control lane, which need not be there for the screen to be.
    pub(super) fn control_by(&self) -> Option<Timestamp> {
        let carrier = self.carrier.as_ref().filter(|carrier| !carrier.control_up && carrier.link == self.link)?;
        let waits = self.handshake.stage() == Stage::Live;
        waits.then(|| carrier.since + Stage::OpeningControl.deadline().unwrap_or_default())
    }

    /// What it may do here, as far as it was told.
    pub(super) fn role(&self) -> Role {
        self.member.map_or(self.config.role, |(_, role)| role)
    }
}
