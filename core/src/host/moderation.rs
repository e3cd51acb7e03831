//! What the person at the host decides: who gets in, who may type, who goes, whether anybody sees anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admission::Awaits;
use super::member::Control;
use super::{Host, HostNotice};
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::Cause;
use crate::session::link::Refusal;
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
    /// As many viewers are in, or on the way, as may be.
    #[error("the session is full")]
    Full,
    /// It is so already.
    #[error("it is so already")]
    Already,
    /// There is nothing to say.
    #[error("there is nothing to say")]
    Empty,
}

/// What a person decides about a viewer that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    LetIn,
    Refuse,
}

impl Host {
    /// Whether an act would be one now.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, act: &ModeratorAction) -> Result<(), ActionError> {
        let pending = |id: MemberId| self.pending(id).and_then(|link| self.connections[&link].pending());
        let member = |id: MemberId| match self.link_of(id) {
            Some(_) => Ok(self.connections.member(id).map(|member| member.role)),
            None if pending(id).is_some() => Err(ActionError::Waiting(id.0)),
            None => Err(ActionError::Nobody(id.0)),
        };
        match act {
            ModeratorAction::Approve(id) => match pending(*id) {
                Some(pending) if pending.awaits() == Awaits::Resume => Err(ActionError::Already),
                Some(_) if self.is_full() => Err(ActionError::Full),
                Some(_) => Ok(()),
                None => member(*id).and(Err(ActionError::NotWaiting(id.0))),
            },
            ModeratorAction::Deny { member: id, .. } if pending(*id).is_some() => Ok(()),
            ModeratorAction::Deny { member: id, .. } => member(*id).and(Err(ActionError::NotWaiting(id.0))),
            ModeratorAction::Grant(id) if member(*id)? == Some(Role::Control) => Err(ActionError::Already),
            ModeratorAction::Revoke(id) if member(*id)? == Some(Role::View) => Err(ActionError::Already),
            ModeratorAction::Grant(_) | ModeratorAction::Revoke(_) => Ok(()),
            ModeratorAction::Kick { member: id, .. } if pending(*id).is_some() => Ok(()),
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
            ModeratorAction::Approve(id) => self.decide(now, id, Decision::LetIn),
            ModeratorAction::Deny { member, keep_links } => {
                self.decide(now, member, Decision::Refuse);
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
            ModeratorAction::Pause => {
                self.pause(true);
                self.remind_all(now);
            }
            ModeratorAction::Resume => {
                self.pause(false);
                self.admit_after_pause(now);
                self.remind_all(now);
            }
            ModeratorAction::Say(text) => {
                self.tell_all(&FromHost::Notice(super::members::clip(&clean_title(&text)).to_owned()))
            }
        }
    }

    /// The link of a member that is there or away.
    fn link_of(&self, id: MemberId) -> Option<LinkId> {
        self.connections.member(id).filter(|member| !member.is_parting())?;
        self.connections.link_of(id)
    }

    fn decide(&mut self, now: Timestamp, id: MemberId, decision: Decision) {
        let Some(link) = self.pending(id) else { return };
        self.notice(HostNotice::Decided(id, decision == Decision::LetIn));
        match decision {
            Decision::LetIn => self.approve(now, link),
            Decision::Refuse => self.refuse_pending(now, link, Refusal::Denied),
        }
    }

    fn kick(&mut self, now: Timestamp, id: MemberId) {
        let Some(link) = self.link_of(id) else { return self.decide(now, id, Decision::Refuse) };
        let (why, cause) = ("the host removed you".to_owned(), Cause::Refused(Refusal::Denied));
        if self.connections[&link].is_away() {
            self.remove(now, link, cause);
        } else {
            self.part(now, link, Goodbye::Removed(why), cause);
        }
    }

    fn set_role(&mut self, now: Timestamp, id: MemberId, role: Role) {
        let Some(link) = self.link_of(id) else { return };
        if role == Role::View {
            self.drop_input(id);
        }
        let Some(member) = self.connections.member_mut(id) else { return };
        member.role = role;
        member.pardoned_until = now + GRACE;
        let hears = member.presence.control() == Some(Control::Open);
        self.notice(HostNotice::Role(id, role));
        if hears {
            self.say(link, &FromHost::Role(role));
        }
        // The sizes of those who may type count.
        self.sizes_changed();
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.connections.touch_all();
        self.screen.frames.changed();
        for id in self.connections.member_ids() {
            self.drop_input(id);
        }
        self.notice(HostNotice::Paused(paused));
        self.tell_all(&FromHost::Paused(paused));
    }

    fn tell_all(&mut self, frame: &FromHost) {
        debug_assert!(frame.encode().len() <= MAX_TEXT + 64, "it fits");
        let here = self.connections.iter().filter(|(_, connection)| connection.takes_messages());
        for link in here.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.say(link, frame);
        }
    }
}
