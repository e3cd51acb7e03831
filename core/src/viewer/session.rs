//! The session on a link that carries: the host's messages, and the screen as it arrives.

use super::{Viewer, ViewerExit, ViewerNotice};
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::{Handshake, Stage};
use crate::session::link::{Attempt, Command, Lane};
use crate::terminal::MAX_CLIPBOARD;
use crate::time::Timestamp;
use crate::wire::frame::{Down, FromHost, FromViewer, Goodbye};

/// The link whose lanes carry.
pub(super) struct Carrier {
    pub(super) link: LinkId,
    pub(super) attempt: Attempt,
    /// When both sides were confirmed.
    pub(super) since: Timestamp,
    pub(super) control_up: bool,
    /// The handshake of this link, while that of another link is under way.
    pub(super) handshake: Option<Handshake>,
}

impl Carrier {
    pub(super) fn new(now: Timestamp, link: LinkId, attempt: Attempt) -> Carrier {
        Carrier { link, attempt, since: now, control_up: false, handshake: None }
    }
}

/// The viewer's identity at the host.
#[derive(Default)]
pub(super) struct Session {
    /// As the host said it.
    pub(super) member: Option<(MemberId, Role)>,
    /// The role, as the person was told.
    told_role: Option<Role>,
    pub(super) carrier: Option<Carrier>,
    /// The link on which the viewer became a member.
    pub(super) origin: Option<LinkId>,
    /// The received part of the program's text for the clipboard.
    pub(super) clipboard: String,
    /// Whether the host has paused the session, as the host said last.
    is_paused: bool,
}

impl Session {
    /// The link whose lanes carry.
    pub(super) fn link(&self) -> Option<LinkId> {
        self.carrier.as_ref().map(|carrier| carrier.link)
    }

    pub(super) fn carries(&self, link: LinkId) -> bool {
        self.link() == Some(link)
    }

    /// The carrier, if its control lane is open.
    pub(super) fn control(&self) -> Option<LinkId> {
        self.carrier.as_ref().filter(|carrier| carrier.control_up).map(|carrier| carrier.link)
    }

    /// A part of what the program puts into the clipboard came; the whole text after the last part.
    fn on_clipboard(&mut self, text: &str, last: bool) -> Option<String> {
        if self.clipboard.len() + text.len() > MAX_CLIPBOARD {
            self.clipboard.clear();
            return None;
        }
        self.clipboard.push_str(text);
        last.then(|| std::mem::take(&mut self.clipboard))
    }
}

impl Viewer {
    pub(super) fn on_control_up(&mut self, now: Timestamp, attempt: Attempt) {
        if let Some(carrier) = self.session.carrier.as_mut().filter(|carrier| carrier.attempt == attempt) {
            carrier.control_up = true;
            self.advance(now, if self.render.is_live() { Stage::Live } else { Stage::FirstScreen });
            self.leave_rendezvous();
        }
    }

    pub(super) fn on_frame(&mut self, now: Timestamp, bytes: &[u8]) {
        // A host that sends nonsense on a confirmed link is at fault, but its earlier messages still count.
        let Ok(frame) = FromHost::decode(bytes) else { return };
        match frame {
            FromHost::Welcome { member, role } => self.on_welcome(member, role),
            FromHost::Title(title) => {
                self.render.titled(now, &title);
                self.notice(ViewerNotice::Title(title));
            }
            FromHost::Bell => self.notice(ViewerNotice::Bell),
            FromHost::Clipboard { text, last } => {
                let whole = self.session.on_clipboard(&text, last).filter(|_| self.config.clipboard);
                whole.into_iter().for_each(|text| self.notice(ViewerNotice::Clipboard(text)));
            }
            FromHost::Notice(text) => self.notice(ViewerNotice::Said(text)),
            FromHost::Role(role) => {
                self.session.member = self.session.member.map(|(member, _)| (member, role));
                self.session.told_role = Some(role);
                self.notice(ViewerNotice::Role(role));
            }
            FromHost::Paused(is_paused) => self.on_paused(is_paused),
            FromHost::Members(members) => self.on_members(now, members),
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

    /// Takes the host's welcome. The viewer gives notice of another role than the person was told, and of a pause that
    /// is over: these changed while the viewer was away, or before the control lane was there.
    fn on_welcome(&mut self, member: MemberId, role: Role) {
        let known = self.session.member.replace((member, role)).map(|(known, _)| known);
        if self.session.told_role.is_some_and(|told| told != role) && !is_faulty!(SilentRole) {
            self.session.told_role = Some(role);
            self.notice(ViewerNotice::Role(role));
        }
        // To a new member the host tells a pause, and no end of one.
        if known != Some(member) {
            self.on_paused(false);
        }
    }

    fn on_paused(&mut self, is_paused: bool) {
        if std::mem::replace(&mut self.session.is_paused, is_paused) != is_paused {
            self.notice(ViewerNotice::Paused(is_paused));
        }
    }

    pub(super) fn on_datagram(&mut self, now: Timestamp, bytes: &[u8]) {
        let Ok(down) = Down::decode(bytes) else { return };
        self.heard(now, &down.acks);
        let taken = self.input.lane.typed.taken();
        self.input.lane.receive(now, &down, bytes.len());
        let has_taken = self.input.lane.typed.taken() > taken;
        let news = self.render.merge(down);
        if has_taken || (news && self.render.screen.complete()) {
            self.judge_predictions(now);
        }
        if !news {
            return;
        }
        // A viewer may never catch up with a host that prints without a pause, so a line for every row counts as a
        // screen.
        let waits = matches!(self.join.handshake.stage(), Stage::OpeningControl | Stage::FirstScreen);
        if waits && self.render.screen.whole() {
            self.enter(now, Stage::Live);
            if !self.render.is_live() {
                self.render.begin();
                let (member, role) = self.session.member.unwrap_or((MemberId(0), self.config.role));
                self.session.told_role = Some(role);
                self.notice(ViewerNotice::FirstScreen(member, role));
            }
            self.leave_rendezvous();
        }
        self.render.screen_changed(now);
    }

    /// Leaves the rendezvous once screen and control lane are there, because all messages then use the link. A viewer
    /// that may need the relay stays.
    pub(super) fn leave_rendezvous(&mut self) {
        let control_up = self.session.control().is_some();
        if control_up && self.join.handshake.stage() == Stage::Live && !self.config.stays {
            self.join.dialer.hang_up();
            self.command(Command::HangUp);
        }
    }

    pub(super) fn send(&mut self, frame: &FromViewer) {
        if let Some(link) = self.session.control() {
            self.command(Command::Send(link, Lane::Control, frame.encode()));
        }
    }

    /// When it is too late for the control lane, which need not be there for the screen to be.
    pub(super) fn control_by(&self) -> Option<Timestamp> {
        let is_late = |carrier: &&Carrier| !carrier.control_up && carrier.link == self.join.link;
        let carrier = self.session.carrier.as_ref().filter(is_late)?;
        let waits = self.join.handshake.stage() == Stage::Live;
        waits.then(|| carrier.since + Stage::OpeningControl.deadline().unwrap_or_default())
    }

    /// The viewer's role, as last told by the host.
    pub(super) fn role(&self) -> Role {
        self.session.member.map_or(self.config.role, |(_, role)| role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipboard_is_whole_with_its_last_part_and_too_much_of_one_is_dropped() {
        let mut session = Session::default();
        assert_eq!(session.on_clipboard("on", false), None);
        assert_eq!(session.on_clipboard("e", true).as_deref(), Some("one"));
        assert_eq!(session.on_clipboard(&"x".repeat(MAX_CLIPBOARD), false), None);
        assert_eq!(session.on_clipboard("y", true), None);
        assert_eq!(session.on_clipboard("two", true).as_deref(), Some("two"));
    }

    #[test]
    fn only_the_carrier_carries_and_is_spoken_on_once_its_control_lane_is_open() {
        let (link, other) = (LinkId(1), LinkId(2));
        let mut session = Session::default();
        assert!(!session.carries(link));
        session.carrier = Some(Carrier::new(Timestamp::ZERO, link, 1));
        assert!(session.carries(link) && !session.carries(other));
        assert_eq!(session.control(), None);
        session.carrier.iter_mut().for_each(|carrier| carrier.control_up = true);
        assert_eq!(session.control(), Some(link));
    }
}
