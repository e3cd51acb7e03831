//! What the person at the host decides: who gets in, who may type, who goes, whether anybody sees anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Connection, Host, HostNotice};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, Refusal, Verdict};
use crate::terminal::clean_title;
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, Goodbye, MAX_TEXT};

/// What was typed before somebody knew that they may not any more is no offence: several round trips of the slowest link.
const GRACE: Duration = Duration::from_secs(5);

/// Who is let in only after a person said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approve {
    /// Nobody: the link is enough.
    #[default]
    Nobody,
    /// Who may type.
    Control,
    /// Everybody.
    Everybody,
}

impl Approve {
    pub(super) fn asks(self, role: Role) -> bool {
        match self {
            Approve::Nobody => false,
            Approve::Control => role == Role::Control,
            Approve::Everybody => true,
        }
    }
}

/// What a person decides. Members have numbers, and so has who waits to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModeratorAction {
    /// Let them in.
    Approve(MemberId),
    /// Do not; as they have the links, these change, unless they are kept.
    Deny {
        /// Whom.
        member: MemberId,
        /// The links stay as they are: they may ask again.
        keep_links: bool,
    },
    /// They may type from now on,
    Grant(MemberId),
    /// or may not any more.
    Revoke(MemberId),
    /// They go, and what they could come back with is forgotten; the links as well, unless they are kept.
    Kick {
        /// Who.
        member: MemberId,
        /// The links stay as they are: with the one that it had it may join again.
        keep_links: bool,
    },
    /// Other links let people in from now on; who is in stays.
    Rotate,
    /// Nobody but the host sees what happens from now on, and nobody else types.
    Pause,
    /// They do again.
    Resume,
    /// Tell everybody.
    Say(String),
}

/// Why that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// There is nobody of that number.
    #[error("there is no member {0}")]
    Nobody(u32),
    /// Who has that number does not wait to be let in.
    #[error("member {0} does not wait to be let in")]
    NotWaiting(u32),
    /// It waits to be let in.
    #[error("{0} waits to be let in")]
    Waiting(u32),
    /// It is so already.
    #[error("it is so already")]
    Already,
    /// There is nothing to say.
    #[error("there is nothing to say")]
    Empty,
}

/// Somebody waits to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) id: MemberId,
    /// A person decides; else it is let in when the session goes on.
    pub(super) approval: bool,
    pub(super) since: Timestamp,
}

impl Host {
    /// Whether an act would be one now.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, act: &ModeratorAction) -> Result<(), ActionError> {
        let waits = |id: MemberId| self.asking(id).is_some();
        let member = |id: MemberId| match self.link_of(id) {
            Some(link) => Ok(self.connections[&link].member.as_ref().map(|member| member.role)),
            None if waits(id) => Err(ActionError::Waiting(id.0)),
            None => Err(ActionError::Nobody(id.0)),
        };
        match act {
            ModeratorAction::Approve(id) | ModeratorAction::Deny { member: id, .. } => match self.link_of(*id) {
                _ if waits(*id) => Ok(()),
                Some(_) => Err(ActionError::NotWaiting(id.0)),
                None => Err(ActionError::Nobody(id.0)),
            },
            ModeratorAction::Grant(id) if member(*id)? == Some(Role::Control) => Err(ActionError::Already),
            ModeratorAction::Revoke(id) if member(*id)? == Some(Role::View) => Err(ActionError::Already),
            ModeratorAction::Grant(_) | ModeratorAction::Revoke(_) => Ok(()),
            ModeratorAction::Kick { member: id, .. } if waits(*id) => Ok(()),
            ModeratorAction::Kick { member: id, .. } => member(*id).map(|_| ()),
            ModeratorAction::Rotate => Ok(()),
            ModeratorAction::Pause if self.paused => Err(ActionError::Already),
            ModeratorAction::Resume if !self.paused => Err(ActionError::Already),
            ModeratorAction::Pause | ModeratorAction::Resume => Ok(()),
            ModeratorAction::Say(text) if clean_title(text).trim().is_empty() => Err(ActionError::Empty),
            ModeratorAction::Say(_) => Ok(()),
        }
    }

    pub(super) fn act(&mut self, now: Timestamp, act: ModeratorAction) {
        if self.may(&act).is_err() {
            return;
        }
        match act {
            ModeratorAction::Approve(id) => self.decide(now, id, true),
            ModeratorAction::Deny { member, keep_links } => {
                self.decide(now, member, false);
                if !keep_links {
                    self.rotate(now);
                }
            }
            ModeratorAction::Grant(id) => self.set_role(now, id, Role::Control),
            ModeratorAction::Revoke(id) => self.set_role(now, id, Role::View),
            ModeratorAction::Kick { member, keep_links } => {
                self.kick(now, member);
                if !keep_links {
                    self.rotate(now);
                }
            }
            ModeratorAction::Rotate => self.rotate(now),
            ModeratorAction::Pause => self.pause(true),
            ModeratorAction::Resume => {
                self.pause(false);
                let held = |(link, connection): (&LinkId, &Connection)| {
                    connection.asking.filter(|it| !it.approval).map(|_| *link)
                };
                let held: Vec<_> = self.connections.iter().filter_map(held).collect();
                held.into_iter().for_each(|link| self.let_in(now, link));
            }
            ModeratorAction::Say(text) => {
                self.tell_all(&FromHost::Notice(super::members::clip(&clean_title(&text)).to_owned()))
            }
        }
    }

    /// The words of a handshake are known: now somebody can be asked.
    pub(super) fn on_check(&mut self, link: LinkId, check: Sas) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        connection.check = Some(check);
        if let (Some(Asking { id, approval: true, .. }), Some(role)) = (connection.asking, connection.role) {
            let (name, from) = (connection.name.clone(), connection.from);
            self.ring();
            self.notice(HostNotice::Asks(id, role, name, check, from));
        }
    }

    /// Has to wait, for a person or until the session goes on.
    pub(super) fn must_wait(&mut self, now: Timestamp, link: LinkId, approval: bool) {
        self.members_ever += 1;
        let asking = Asking { id: MemberId(self.members_ever), approval, since: now };
        let Some(connection) = self.connections.get_mut(&link) else { return };
        connection.asking = Some(asking);
        connection.handshake.enter(now, Stage::WaitingForApproval);
        self.notice(HostNotice::Stage(link, Stage::WaitingForApproval));
        self.link(Command::Verdict(link, Verdict::Waiting));
    }

    pub(super) fn asking(&self, id: MemberId) -> Option<LinkId> {
        let is_it =
            |connection: &Connection| connection.asking.is_some_and(|asking| asking.id == id && asking.approval);
        self.connections.iter().find(|(_, connection)| is_it(connection)).map(|(link, _)| *link)
    }

    /// The link of a member that is there or away.
    fn link_of(&self, id: MemberId) -> Option<LinkId> {
        let is_it = |connection: &Connection| {
            connection.parting.is_none() && connection.member.as_ref().is_some_and(|it| it.id == id)
        };
        self.connections.iter().find(|(_, connection)| is_it(connection)).map(|(link, _)| *link)
    }

    fn decide(&mut self, now: Timestamp, id: MemberId, yes: bool) {
        let Some(link) = self.asking(id) else { return };
        self.notice(HostNotice::Decided(id, yes));
        if yes && self.paused {
            // It is let in when the session goes on.
            self.connections
                .get_mut(&link)
                .and_then(|connection| connection.asking.as_mut())
                .into_iter()
                .for_each(|it| it.approval = false);
        } else if yes {
            self.let_in(now, link);
        } else {
            self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Refused(Refusal::Denied))));
            self.remove(now, link, Cause::Refused(Refusal::Denied));
        }
    }

    fn kick(&mut self, now: Timestamp, id: MemberId) {
        let Some(link) = self.link_of(id) else { return self.decide(now, id, false) };
        let (why, cause) = ("the host removed you".to_owned(), Cause::Refused(Refusal::Denied));
        if self.connections[&link].away.is_some() {
            self.remove(now, link, cause);
        } else {
            self.part(now, link, Goodbye::Removed(why), cause);
        }
    }

    fn rotate(&mut self, now: Timestamp) {
        self.rotations += 1;
        self.links_since = now;
        self.used_up.clear();
        self.link(Command::Rotate);
        self.notice(HostNotice::Rotated);
    }

    fn let_in(&mut self, now: Timestamp, link: LinkId) {
        let Some(asking) = self.connections.get_mut(&link).and_then(|connection| connection.asking.take()) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.approved = Some(asking.id);
        }
        self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Accepted)));
        self.open(now, link, Stage::Answer);
    }

    fn set_role(&mut self, now: Timestamp, id: MemberId, role: Role) {
        let Some(link) = self.link_of(id) else { return };
        if role == Role::View {
            self.silence(link);
        }
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Some(member) = connection.member.as_mut() else { return };
        member.role = role;
        member.pardoned_until = now + GRACE;
        let here = connection.control_up && connection.away.is_none();
        self.notice(HostNotice::Role(id, role));
        if here {
            self.say(link, &FromHost::Role(role));
        }
    }

    /// What somebody typed and the program did not take yet is dropped.
    fn silence(&mut self, link: LinkId) {
        let Some(mut member) = self.connections.get_mut(&link).and_then(|connection| connection.member.take()) else {
            return;
        };
        self.break_off_paste(link, &mut member);
        member.lane.inbound.discard();
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.member = Some(member);
        }
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.connections.touch_all();
        self.dirty = true;
        for link in self.connections.keys().copied().collect::<Vec<_>>() {
            self.silence(link);
        }
        self.notice(HostNotice::Paused(paused));
        self.tell_all(&FromHost::Paused(paused));
    }

    fn tell_all(&mut self, frame: &FromHost) {
        debug_assert!(frame.encode().len() <= MAX_TEXT + 64, "it fits");
        let here = self.connections.iter().filter(|(_, connection)| connection.takes_frames() && connection.control_up);
        for link in here.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.say(link, frame);
        }
    }
}
