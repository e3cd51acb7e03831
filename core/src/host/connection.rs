//! A viewer's connection: how far the viewer is on the way in, and whether they are a member.

use super::admission::{Approval, Awaits, Pending};
use super::member::{Control, Member, Presence};
use super::moderation::Sharing;
use super::reconnect::Away;
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::handshake::{Handshake, Stage};
use crate::session::link::Hello;
use crate::time::Timestamp;

/// A link: its handshake, and the viewer's state after the handshake.
pub(super) struct Connection {
    pub(super) handshake: Handshake,
    /// Where the viewer is, as the rendezvous says.
    pub(super) from: Option<AddressClass>,
    /// How often the invites had been withdrawn when the viewer came.
    pub(super) rotations: u32,
    pub(super) state: State,
}

pub(super) enum State {
    /// The viewer has proved nothing yet. `resumes` is the link on which a member that comes back was first.
    Proving { resumes: Option<LinkId> },
    /// The viewer proved an invite, and is not let in yet.
    Pending(Pending),
    /// The viewer is let in, and both sides are not confirmed yet.
    Connecting(Request, Entry),
    /// The viewer is a member.
    Member(Box<Member>),
}

/// The proved role and the hello of a viewer.
pub(super) struct Request {
    pub(super) role: Role,
    pub(super) hello: Hello,
}

/// The membership of a viewer that is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A new member, under this number if the viewer waited and so has one.
    New(Option<MemberId>),
    /// The member that was first on this link.
    Back(LinkId),
}

impl Connection {
    pub(super) fn member(&self) -> Option<&Member> {
        match &self.state {
            State::Member(member) => Some(member),
            State::Proving { .. } | State::Pending(_) | State::Connecting(..) => None,
        }
    }

    pub(super) fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.state {
            State::Member(member) => Some(member),
            State::Proving { .. } | State::Pending(_) | State::Connecting(..) => None,
        }
    }

    pub(super) fn pending(&self) -> Option<&Pending> {
        match &self.state {
            State::Pending(pending) => Some(pending),
            State::Proving { .. } | State::Connecting(..) | State::Member(_) => None,
        }
    }

    pub(super) fn pending_mut(&mut self) -> Option<&mut Pending> {
        match &mut self.state {
            State::Pending(pending) => Some(pending),
            State::Proving { .. } | State::Connecting(..) | State::Member(_) => None,
        }
    }

    /// A viewer that waited is let in.
    pub(super) fn let_in(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Proving { resumes: None });
        self.state = match state {
            State::Pending(Pending { id, request, .. }) => State::Connecting(request, Entry::New(Some(id))),
            other @ (State::Proving { .. } | State::Connecting(..) | State::Member(_)) => other,
        };
    }

    /// The membership of a viewer that is let in.
    pub(super) fn entry(&self) -> Option<(&Request, Entry)> {
        match &self.state {
            State::Connecting(request, entry) => Some((request, *entry)),
            State::Proving { .. } | State::Pending(_) | State::Member(_) => None,
        }
    }

    /// Both sides are confirmed: a viewer that is let in becomes the member that `made` makes of its request.
    pub(super) fn become_member(&mut self, made: impl FnOnce(Request) -> Box<Member>) {
        let state = std::mem::replace(&mut self.state, State::Proving { resumes: None });
        self.state = match state {
            State::Connecting(request, _) => State::Member(made(request)),
            other @ (State::Proving { .. } | State::Pending(_) | State::Member(_)) => other,
        };
    }

    /// Whether the viewer has proved nothing yet.
    pub(super) fn is_proving(&self) -> bool {
        matches!(self.state, State::Proving { .. })
    }

    /// The role of a viewer that is on its way to become a new member, by an invite that it has proved.
    pub(super) fn invited_as(&self) -> Option<Role> {
        match &self.state {
            State::Pending(pending) => Some(pending.request.role),
            State::Connecting(request, Entry::New(_)) => Some(request.role),
            State::Proving { .. } | State::Connecting(_, Entry::Back(_)) | State::Member(_) => None,
        }
    }

    /// Whether the viewer is on its way to become a new member, and waits for nobody, or has waited since before `end`.
    pub(super) fn may_still_join(&self, end: Timestamp) -> bool {
        match &self.state {
            State::Pending(pending) => pending.awaits() == Awaits::Resume || pending.since <= end,
            State::Connecting(_, Entry::New(_)) => true,
            State::Proving { .. } | State::Connecting(_, Entry::Back(_)) | State::Member(_) => false,
        }
    }

    /// Whether the viewer needs an invite: a member needs none, and one that comes back neither.
    pub(super) fn needs_invite(&self) -> bool {
        match &self.state {
            State::Proving { resumes } => resumes.is_none(),
            State::Pending(_) | State::Connecting(_, Entry::New(_)) => true,
            State::Connecting(_, Entry::Back(_)) | State::Member(_) => false,
        }
    }

    /// Whether a viewer's place is taken: by a member, or by a viewer on the way in that needs no decision any more.
    pub(super) fn takes_place(&self) -> bool {
        match &self.state {
            State::Proving { .. } | State::Connecting(_, Entry::Back(_)) => false,
            State::Pending(pending) => pending.approval == Approval::Given,
            State::Connecting(_, Entry::New(_)) => true,
            State::Member(member) => !member.is_away(),
        }
    }

    /// Whether a member is on the link.
    pub(super) fn is_here(&self) -> bool {
        self.member().is_some_and(|member| !member.is_away())
    }

    /// The absence of a member whose place is kept.
    pub(super) fn away(&self) -> Option<&Away> {
        match &self.member()?.presence {
            Presence::Away(away) => Some(away),
            Presence::Here(_) | Presence::Parting(..) => None,
        }
    }

    /// Whether there is no link: the place of a member is kept.
    pub(super) fn is_away(&self) -> bool {
        self.away().is_some()
    }

    /// Whether a handshake is under way whose messages travel through the rendezvous.
    pub(super) fn needs_rendezvous(&self) -> bool {
        !self.is_away() && self.handshake.stage() < Stage::Securing
    }

    /// Whether a member is here, and is shown what the program prints.
    pub(super) fn takes_frames(&self) -> bool {
        self.member().is_some_and(|member| matches!(member.presence, Presence::Here(_)))
    }

    /// Whether a member is here, and the control lane is open.
    pub(super) fn takes_messages(&self) -> bool {
        self.member().is_some_and(|member| matches!(member.presence, Presence::Here(Control::Open)))
    }

    /// When the handshake fails. Nobody's patience runs out because the host has paused.
    pub(super) fn fails_at(&self, sharing: Sharing) -> Option<Timestamp> {
        let waits = sharing.is_paused() && self.pending().is_some();
        self.handshake.deadline().filter(|_| !self.is_away() && !waits)
    }

    /// When a member goes although its goodbye was not acknowledged.
    pub(super) fn part_by(&self) -> Option<Timestamp> {
        match &self.member()?.presence {
            Presence::Parting(_, parting) => Some(parting.by),
            Presence::Here(_) | Presence::Away(_) => None,
        }
    }

    /// A member that parts goes at this time at the latest.
    pub(super) fn part_sooner(&mut self, by: Timestamp) {
        if let Some(Presence::Parting(_, parting)) = self.member_mut().map(|member| &mut member.presence) {
            parting.by = parting.by.min(by);
        }
    }

    /// When the place of a member that is away is given up.
    pub(super) fn kept_until(&self) -> Option<Timestamp> {
        self.away().map(|away| away.until)
    }

    /// When another attempt is made, if this one has come to nothing.
    pub(super) fn fresh_attempt_at(&self) -> Option<Timestamp> {
        self.handshake.fresh_attempt_at().filter(|_| !self.is_away())
    }

    /// When it is too late for the control lane, which need not be there for the terminal to be.
    pub(super) fn control_by(&self) -> Option<Timestamp> {
        let is_live = self.handshake.stage() == Stage::Live;
        let waits = |member: &&Member| is_live && member.presence.control() == Some(Control::Opening);
        let within = Stage::OpeningControl.deadline().unwrap_or_default();
        self.member().filter(waits).map(|member| member.since + within)
    }
}
