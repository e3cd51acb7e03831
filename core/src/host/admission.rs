//! Admission: whether an invite lets somebody in, whether there is a place, and who waits for a decision or for the end of a pause.

use std::time::Duration;

use super::connection::{Connection, Request, State};
use super::member::MAX_VIEWERS;
use super::{Host, HostNotice, InviteRules};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, Refusal, Verdict};
use crate::time::Timestamp;

/// Most viewers that wait at once: they are listed one by one, and a person can decide about so many. They take no viewer's place.
pub const MAX_PENDING: usize = 32;

/// In a pause each pending viewer is told this often that the host is there: its own patience is 120 s.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// What a viewer waits for that was not let in yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// A person at the host decides.
    Person,
    /// The pause ends. A person has approved already, or need not.
    Resume,
}

/// Whether a person lets a pending viewer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approval {
    /// A person is asked.
    Asked,
    /// A person has approved.
    Given,
    /// The host's rules let the viewer in.
    NotNeeded,
}

/// A viewer that proved its invite and was not let in yet.
pub(super) struct Pending {
    pub(super) id: MemberId,
    pub(super) request: Request,
    pub(super) approval: Approval,
    pub(super) since: Timestamp,
    /// When the viewer was told last that it waits.
    told_at: Timestamp,
    /// The words that both sides can compare, as soon as they are known.
    pub(super) sas: Option<Sas>,
}

impl Pending {
    pub(super) fn awaits(&self) -> Awaits {
        match self.approval {
            Approval::Asked => Awaits::Person,
            Approval::Given | Approval::NotNeeded => Awaits::Resume,
        }
    }

    /// Whether a person can be asked about the viewer now.
    pub(super) fn can_be_asked(&self) -> bool {
        self.awaits() == Awaits::Person && self.sas.is_some()
    }

    /// When the viewer is told again that it waits, in a pause.
    pub(super) fn remind_at(&self) -> Timestamp {
        self.told_at + REMIND_EVERY
    }
}

impl Host {
    /// Whether as many viewers are here, or on the way, as may be.
    pub(super) fn is_full(&self) -> bool {
        let taken = self.connections.values().filter(|connection| connection.takes_place()).count();
        taken >= self.config.max_viewers.min(MAX_VIEWERS)
    }

    /// Whether the invite of a viewer that is no member yet was withdrawn since. A member that comes back needs no invite.
    pub(super) fn is_withdrawn(&self, connection: &Connection) -> bool {
        connection.needs_invite() && connection.rotations != self.rotations
    }

    /// Why the invite for this role lets nobody in any more, if it does not.
    pub(super) fn link_refuses(&self, now: Timestamp, link: LinkId, role: Role) -> Option<Refusal> {
        let InviteRules { once, expire } = self.config.links;
        // A viewer on the way in may still fail, and leave the invite to somebody else.
        let other = |(id, connection): (&LinkId, &Connection)| *id != link && connection.invited_as() == Some(role);
        if expire.is_some_and(|expire| self.links_since + expire <= now) {
            Some(Refusal::Expired)
        } else if once && (self.used_up.contains(&role) || self.connections.iter().any(other)) {
            Some(Refusal::Used)
        } else {
            None
        }
    }

    /// Has a viewer wait. The oldest of those about whom nobody has decided makes room, if too many wait.
    pub(super) fn must_wait(&mut self, now: Timestamp, link: LinkId, request: Request, approval: Approval) {
        let pending = || self.connections.iter().filter_map(|(link, connection)| Some((*link, connection.pending()?)));
        if pending().count() >= MAX_PENDING {
            let unanswered = pending().filter(|(_, pending)| pending.awaits() == Awaits::Person);
            let Some((oldest, _)) = unanswered.min_by_key(|(_, pending)| pending.id.0) else {
                return self.refuse_hello(now, link, Refusal::Full);
            };
            self.refuse_pending(now, oldest, Refusal::Full);
        }
        self.members_ever += 1;
        let id = MemberId(self.members_ever);
        let Some(connection) = self.connections.get_mut(&link) else { return };
        connection.state = State::Waiting(Pending { id, request, approval, since: now, told_at: now, sas: None });
        connection.handshake.enter(now, Stage::WaitingForApproval);
        self.notice(HostNotice::Stage(link, Stage::WaitingForApproval));
        self.link(Command::Verdict(link, Verdict::Waiting));
    }

    /// The words of a handshake are known: now a person can be asked.
    pub(super) fn on_sas(&mut self, link: LinkId, sas: Sas) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let from = connection.from;
        let Some(pending) = connection.pending_mut() else { return };
        pending.sas = Some(sas);
        if pending.can_be_asked() {
            let notice =
                HostNotice::Asks(pending.id, pending.request.role, pending.request.hello.name.clone(), sas, from);
            self.ring();
            self.notice(notice);
        }
    }

    /// The link of a viewer that waits, for whatever.
    pub(super) fn pending(&self, id: MemberId) -> Option<LinkId> {
        let is_it = |connection: &Connection| connection.pending().is_some_and(|pending| pending.id == id);
        self.connections.iter().find(|(_, connection)| is_it(connection)).map(|(link, _)| *link)
    }

    /// A person approves.
    pub(super) fn approve(&mut self, now: Timestamp, link: LinkId) {
        let Some(pending) = self.connections.get_mut(&link).and_then(Connection::pending_mut) else { return };
        pending.approval = Approval::Given;
        if !self.paused {
            self.let_in(now, link);
        }
    }

    /// Begins the connection of a viewer that waits no longer.
    fn let_in(&mut self, now: Timestamp, link: LinkId) {
        let Some(connection) = self.connections.get(&link) else { return };
        let Some(pending) = connection.pending() else { return };
        if self.is_withdrawn(connection) {
            return self.refuse_pending(now, link, Refusal::Expired);
        }
        if pending.approval != Approval::Given && self.is_full() {
            return self.refuse_pending(now, link, Refusal::Full);
        }
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.let_in();
        }
        self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Accepted)));
        self.open(now, link, Stage::Answer);
    }

    /// The pause has ended: lets in everybody who waited for that, and gives a person the whole time again to decide about the others.
    pub(super) fn admit_after_pause(&mut self, now: Timestamp) {
        let pending = self.connections.iter().filter_map(|(link, connection)| Some((*link, connection.pending()?)));
        let held = pending.filter(|(_, pending)| pending.awaits() == Awaits::Resume);
        let mut held: Vec<_> = held.map(|(link, pending)| (pending.id.0, link)).collect();
        held.sort_unstable();
        for (_, link) in held {
            self.let_in(now, link);
        }
    }

    /// Tells every pending viewer that it waits, from which its own patience begins anew.
    pub(super) fn remind_all(&mut self, now: Timestamp) {
        let pending = self.connections.iter().filter(|(_, connection)| connection.pending().is_some());
        for link in pending.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.remind(now, link);
        }
    }

    pub(super) fn remind(&mut self, now: Timestamp, link: LinkId) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Some(pending) = connection.pending_mut() else { return };
        pending.told_at = now;
        connection.handshake.enter_afresh(now, Stage::WaitingForApproval);
        if self.registration.is_registered() {
            self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Waiting)));
        }
    }

    /// Makes all invites of before worthless, for whoever is on the way in as well. Members stay, and may come back.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        self.rotations += 1;
        self.links_since = now;
        self.used_up.clear();
        self.link(Command::Rotate);
        self.notice(HostNotice::Rotated);
        let withdrawn = self.connections.iter().filter(|(_, connection)| self.is_withdrawn(connection));
        for link in withdrawn.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.withdraw(now, link);
        }
    }

    /// Refuses a viewer on the way in whose invite was withdrawn.
    pub(super) fn withdraw(&mut self, now: Timestamp, link: LinkId) {
        if self.connections.get(&link).is_some_and(|connection| connection.pending().is_some()) {
            self.refuse_pending(now, link, Refusal::Expired);
        } else {
            // Past the verdict a viewer takes no other one that is sealed, and before it none can be sealed.
            self.turn_away(now, link, Refusal::Expired);
        }
    }

    /// Answers a hello with no.
    pub(super) fn refuse_hello(&mut self, now: Timestamp, link: LinkId, refusal: Refusal) {
        self.link(Command::Verdict(link, Verdict::Refused(refusal.clone())));
        self.remove(now, link, Cause::Refused(refusal));
    }

    /// Tells a viewer that waits: no.
    pub(super) fn refuse_pending(&mut self, now: Timestamp, link: LinkId, refusal: Refusal) {
        self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Refused(refusal.clone()))));
        self.remove(now, link, Cause::Refused(refusal));
    }
}
