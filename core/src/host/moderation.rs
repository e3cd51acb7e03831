//! Moderation: the person at the host lets viewers in, lets members type, removes members, and pauses the session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admission::Awaits;
use super::member::{Control, Member};
use super::{Host, HostNotice};
use crate::id::MemberId;
use crate::role::Role;
use crate::session::handshake::Cause;
use crate::session::link::Refusal;
use crate::terminal::clean_title;
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, Goodbye, MAX_TEXT};

/// For this time after a member lost the permission to type, their typing is no violation: they may not know yet.
/// Several round trips of the slowest link.
const GRACE: Duration = Duration::from_secs(5);

/// Which viewers are let in only after a person has approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approve {
    /// None: the invite is enough.
    #[default]
    Nobody,
    /// Viewers that may type.
    Control,
    /// All viewers.
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

/// A decision of a person. Members and pending viewers have numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModeratorAction {
    /// Let a pending viewer in.
    Approve(MemberId),
    /// Refuse a pending viewer. The viewer has an invite, so all invites are withdrawn, unless they are kept.
    Deny {
        /// The viewer that is refused.
        member: MemberId,
        /// The invites stay good: the viewer may ask again.
        keep_links: bool,
    },
    /// Let a member type from now on.
    Grant(MemberId),
    /// Let a member type no more.
    Revoke(MemberId),
    /// Remove a member, for good, or refuse a pending viewer. All invites are withdrawn too, unless they are kept.
    Kick {
        /// The member that goes.
        member: MemberId,
        /// The invites stay good: the member may join again as a new one.
        keep_links: bool,
    },
    /// Withdraw all invites and make other ones. Members stay.
    Rotate,
    /// Viewers see nothing and type nothing from now on.
    Pause,
    /// End the pause.
    Resume,
    /// Tell all members this.
    Say(String),
}

/// Why an act would change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No member and no pending viewer has that number.
    #[error("no viewer {0}")]
    Nobody(u32),
    /// The member of that number does not wait to be let in.
    #[error("viewer {0} does not wait for approval")]
    NotWaiting(u32),
    /// The viewer of that number is no member yet: the viewer waits to be let in.
    #[error("viewer {0} still waits for approval")]
    Waiting(u32),
    /// Members and viewers on the way in take all places.
    #[error("the session is full")]
    Full,
    /// The pending viewer of that number needs no decision, and waits for the end of the pause.
    #[error("viewer {0} has approval already, and joins when the pause ends")]
    Approved(u32),
    /// The member of that number has that role.
    #[error("viewer {viewer} {ability} already", viewer = .0, ability = ability(*.1))]
    Role(u32, Role),
    /// The session is paused.
    #[error("the session is paused already")]
    Paused,
    /// The session is not paused.
    #[error("the session is not paused")]
    NotPaused,
    /// The text is empty, or nothing of it may be shown.
    #[error("there is nothing to say")]
    Empty,
}

fn ability(role: Role) -> &'static str {
    match role {
        Role::Control => "can type",
        Role::View => "can only watch",
    }
}

/// Whether viewers take part in what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    Open,
    /// Viewers see nothing and type nothing, and nobody is let in.
    Paused,
}

impl Sharing {
    pub(super) fn is_paused(self) -> bool {
        self == Sharing::Paused
    }
}

/// A decision about a pending viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    LetIn,
    Refuse,
}

impl Host {
    /// Whether an act would change anything now.
    ///
    /// # Errors
    /// [`ActionError`] says why the act would change nothing. [`HostInput::Act`](super::HostInput::Act) ignores such an
    /// act.
    pub fn may(&self, act: &ModeratorAction) -> Result<(), ActionError> {
        let pending = |id: MemberId| self.pending(id).and_then(|link| self.connections[&link].pending());
        let role_of = |id: MemberId| match self.present(id) {
            Some(member) => Ok(member.role),
            None if pending(id).is_some() => Err(ActionError::Waiting(id.0)),
            None => Err(ActionError::Nobody(id.0)),
        };
        match act {
            ModeratorAction::Approve(id) => match pending(*id) {
                Some(pending) if pending.awaits() == Awaits::Resume => Err(ActionError::Approved(id.0)),
                Some(_) if self.is_full() => Err(ActionError::Full),
                Some(_) => Ok(()),
                None => role_of(*id).and(Err(ActionError::NotWaiting(id.0))),
            },
            ModeratorAction::Deny { member: id, .. } if pending(*id).is_some() => Ok(()),
            ModeratorAction::Deny { member: id, .. } => role_of(*id).and(Err(ActionError::NotWaiting(id.0))),
            ModeratorAction::Grant(id) if role_of(*id)? == Role::Control => Err(ActionError::Role(id.0, Role::Control)),
            ModeratorAction::Revoke(id) if role_of(*id)? == Role::View => Err(ActionError::Role(id.0, Role::View)),
            ModeratorAction::Grant(_) | ModeratorAction::Revoke(_) => Ok(()),
            ModeratorAction::Kick { member: id, .. } if pending(*id).is_some() => Ok(()),
            ModeratorAction::Kick { member: id, .. } => role_of(*id).map(|_| ()),
            ModeratorAction::Rotate => Ok(()),
            ModeratorAction::Pause if self.sharing.is_paused() => Err(ActionError::Paused),
            ModeratorAction::Resume if !self.sharing.is_paused() => Err(ActionError::NotPaused),
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
                self.share(Sharing::Paused);
                self.remind_all(now);
            }
            ModeratorAction::Resume => {
                self.forget_clipboard();
                self.share(Sharing::Open);
                self.admit_after_pause(now);
                self.remind_all(now);
            }
            ModeratorAction::Say(_) if is_faulty!(SilentHost) => {}
            ModeratorAction::Say(text) => {
                self.tell_all(&FromHost::Notice(super::members::clip(&clean_title(&text)).to_owned()))
            }
        }
    }

    /// A member that is here or away, and not parting.
    fn present(&self, id: MemberId) -> Option<&Member> {
        self.connections.member(id).filter(|member| !member.is_parting())
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
        if self.present(id).is_some() && is_faulty!(KickedStay) {
            return;
        }
        let Some((member, link)) = self.present(id).zip(self.connections.link_of(id)) else {
            return self.decide(now, id, Decision::Refuse);
        };
        let (origin, is_away) = (member.origin, member.is_away());
        self.admission.removed(origin);
        let (why, cause) = ("the person at the host decided so".to_owned(), Cause::Refused(Refusal::Denied));
        if is_away {
            self.remove(now, link, cause);
        } else {
            self.part(now, link, Goodbye::Removed(why), cause);
        }
    }

    fn set_role(&mut self, now: Timestamp, id: MemberId, role: Role) {
        if role == Role::View {
            self.drop_input(id);
        }
        let Some(link) = self.connections.link_of(id) else { return };
        let Some(member) = self.connections.member_mut(id) else { return };
        member.role = role;
        member.pardoned_until = now + GRACE;
        let hears = member.presence.control() == Some(Control::Open);
        self.notice(HostNotice::Role(id, role));
        if hears {
            self.say(link, &FromHost::Role(role));
        }
        self.listing.stopped(id);
        // The sizes of members who may type count.
        self.sizes_changed();
    }

    fn share(&mut self, sharing: Sharing) {
        self.sharing = sharing;
        self.connections.touch_all();
        self.listing.changed();
        self.screen.frames.changed();
        for id in self.connections.member_ids() {
            self.drop_input(id);
        }
        let paused = sharing.is_paused();
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
