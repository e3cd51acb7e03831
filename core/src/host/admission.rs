//! Admission: whether an invite lets a viewer in, whether there is a place, and which viewers wait for a decision or
//! for the end of a pause.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::connection::{Connection, Request, State};
use super::member::MAX_VIEWERS;
use super::moderation::Sharing;
use super::{Host, HostNotice, InviteRules};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, Refusal, Verdict};
use crate::time::Timestamp;

/// Most viewers that wait at once: a person can read a list of so many. Viewers that wait take no member's place.
pub const MAX_PENDING: usize = 32;

/// In a pause each pending viewer is told this often that the host is there: viewers give up after 120 s without a
/// word.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Links remembered as used: a recorded hello that is replayed would otherwise hold a viewer's place for some seconds.
const MAX_USED_LINKS: usize = 1024;

/// Removed members that are remembered, so that each is told why it does not get its place back: twice as many as can
/// be away. Of more, the oldest are told that their place was given away.
const MAX_REMOVED: usize = 256;

/// The state of the invites, and of viewers that came by them.
#[derive(Default)]
pub(super) struct Admission {
    /// The highest number of a member or pending viewer so far.
    members_ever: u32,
    /// Links that have said hello, newest last: each says hello once.
    used: VecDeque<LinkId>,
    /// The first links of members that a person has removed, newest last.
    removed: VecDeque<LinkId>,
    /// How often a wrong key was tried.
    wrong_keys: u64,
    /// How often the invites were withdrawn.
    rotations: u32,
    /// Since when the invites let viewers in.
    invites_since: Timestamp,
    /// Roles whose invite has let a viewer in.
    used_up: Vec<Role>,
    /// Connections of the pending viewers about whom a person can be asked.
    pending_askable: BTreeSet<LinkId>,
}

impl Admission {
    /// The number of another member or pending viewer.
    pub(super) fn next_id(&mut self) -> MemberId {
        self.members_ever += 1;
        MemberId(self.members_ever)
    }

    /// The session is registered: from now on the invites let viewers in.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.invites_since = now;
    }

    pub(super) fn has_said_hello(&self, link: LinkId) -> bool {
        self.used.contains(&link)
    }

    pub(super) fn said_hello(&mut self, link: LinkId) {
        self.used.push_back(link);
        if self.used.len() > MAX_USED_LINKS {
            self.used.pop_front();
        }
    }

    /// A person has removed the member that was first on this link.
    pub(super) fn removed(&mut self, origin: LinkId) {
        self.removed.push_back(origin);
        if self.removed.len() > MAX_REMOVED {
            self.removed.pop_front();
        }
    }

    pub(super) fn was_removed(&self, origin: LinkId) -> bool {
        self.removed.contains(&origin)
    }

    /// A wrong key was tried; how often by now.
    pub(super) fn wrong_key(&mut self) -> u64 {
        self.wrong_keys += 1;
        self.wrong_keys
    }

    /// How often the invites were withdrawn.
    pub(super) fn rotations(&self) -> u32 {
        self.rotations
    }

    /// The invites are withdrawn, and there are other ones.
    fn withdraw_all(&mut self, now: Timestamp) {
        self.rotations += 1;
        self.invites_since = now;
        self.used_up.clear();
    }

    /// The invite for `role` has let a viewer in.
    pub(super) fn use_up(&mut self, role: Role) {
        if !self.used_up.contains(&role) {
            self.used_up.push(role);
        }
    }

    /// Why the invite for `role` lets nobody in any more, if so. `others` tells whether another viewer is on the way in
    /// by it.
    fn refuses(
        &self,
        rules: InviteRules,
        now: Timestamp,
        role: Role,
        others: impl FnOnce() -> bool,
    ) -> Option<Refusal> {
        if rules.expire.is_some_and(|expire| self.invites_since + expire <= now) {
            Some(Refusal::Expired)
        } else if rules.once && !is_faulty!(OnceIsOften) && (self.used_up.contains(&role) || others()) {
            Some(Refusal::Used)
        } else {
            None
        }
    }

    /// A person can be asked about the pending viewer of this connection.
    pub(super) fn mark_askable(&mut self, link: LinkId) {
        self.pending_askable.insert(link);
    }

    /// No person can be asked about the viewer of this connection, or no viewer is pending there.
    pub(super) fn unmark_askable(&mut self, link: LinkId) {
        self.pending_askable.remove(&link);
    }

    /// Connections of the pending viewers about whom a person can be asked.
    pub(super) fn pending_askable(&self) -> &BTreeSet<LinkId> {
        &self.pending_askable
    }

    /// Invariants of admission.
    pub(super) fn check(&self, ids: &BTreeSet<u32>) {
        assert!(self.used.len() <= MAX_USED_LINKS, "links that were used are bounded");
        assert!(self.removed.len() <= MAX_REMOVED, "removed members are bounded");
        assert!(ids.last().is_none_or(|id| *id <= self.members_ever), "every number was given");
    }
}

/// The event that a pending viewer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// A person at the host decides.
    Person,
    /// The pause ends. A person has approved the viewer already, or need not.
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

/// A viewer that proved an invite and is not let in yet.
pub(super) struct Pending {
    pub(super) id: MemberId,
    pub(super) request: Request,
    pub(super) approval: Approval,
    pub(super) since: Timestamp,
    /// When the viewer was told last that it waits.
    told_at: Timestamp,
    /// The viewer is to be told again, and could not be: the rendezvous is away.
    owes_reminder: bool,
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

    /// When the viewer is told again that it waits: in a pause, or as soon as possible if a reminder is owed.
    pub(super) fn remind_at(&self, sharing: Sharing) -> Option<Timestamp> {
        if self.owes_reminder { Some(self.told_at) } else { sharing.is_paused().then_some(self.told_at + REMIND_EVERY) }
    }
}

impl Host {
    /// Whether members and viewers on the way in take all places.
    pub(super) fn is_full(&self) -> bool {
        let taken = self.connections.values().filter(|connection| connection.takes_place()).count();
        taken >= self.config.max_viewers.min(MAX_VIEWERS) && !is_faulty!(NeverFull)
    }

    /// Whether the invite of a viewer that is no member yet was withdrawn since. A member that comes back needs no
    /// invite.
    pub(super) fn is_withdrawn(&self, connection: &Connection) -> bool {
        connection.needs_invite() && connection.rotations != self.admission.rotations && !is_faulty!(WithdrawnInvites)
    }

    /// Why the invite for this role lets nobody in any more, if it does not.
    pub(super) fn link_refuses(&self, now: Timestamp, link: LinkId, role: Role) -> Option<Refusal> {
        // A viewer on the way in may still fail, and leave the invite to somebody else.
        let is_other = |(id, connection): (&LinkId, &Connection)| *id != link && connection.invited_as() == Some(role);
        self.admission.refuses(self.config.links, now, role, || self.connections.iter().any(is_other))
    }

    /// Has a viewer wait. If too many wait, the oldest viewer that a person has not decided about is refused.
    pub(super) fn must_wait(&mut self, now: Timestamp, link: LinkId, request: Request, approval: Approval) {
        let pending = || self.connections.iter().filter_map(|(link, connection)| Some((*link, connection.pending()?)));
        if pending().count() >= MAX_PENDING {
            let unanswered = pending().filter(|(_, pending)| pending.awaits() == Awaits::Person);
            let Some((oldest, _)) = unanswered.min_by_key(|(_, pending)| pending.id.0) else {
                return self.refuse_hello(now, link, Refusal::Full);
            };
            self.refuse_pending(now, oldest, Refusal::Full);
        }
        let id = self.admission.next_id();
        let Some(connection) = self.connections.get_mut(&link) else { return };
        connection.state = State::Pending(Pending {
            id,
            request,
            approval,
            since: now,
            told_at: now,
            owes_reminder: false,
            sas: None,
        });
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
            let Request { role, hello } = &pending.request;
            let notice = HostNotice::Asks(pending.id, *role, hello.name.clone(), sas, from, hello.client());
            self.ring();
            self.notice(notice);
        }
    }

    /// The link of a pending viewer, whatever the viewer waits for.
    pub(super) fn pending(&self, id: MemberId) -> Option<LinkId> {
        let is_it = |connection: &Connection| connection.pending().is_some_and(|pending| pending.id == id);
        self.connections.iter().find(|(_, connection)| is_it(connection)).map(|(link, _)| *link)
    }

    /// A person approves.
    pub(super) fn approve(&mut self, now: Timestamp, link: LinkId) {
        let Some(pending) = self.connections.get_mut(&link).and_then(Connection::pending_mut) else { return };
        if self.sharing.is_paused() && is_faulty!(ApprovalLostInPause) {
            return;
        }
        pending.approval = Approval::Given;
        if !self.sharing.is_paused() {
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

    /// The pause has ended: lets in all viewers that waited for its end, in the order in which they came.
    pub(super) fn admit_after_pause(&mut self, now: Timestamp) {
        let pending = self.connections.iter().filter_map(|(link, connection)| Some((*link, connection.pending()?)));
        let held = pending.filter(|(_, pending)| pending.awaits() == Awaits::Resume);
        let mut held: Vec<_> = held.map(|(link, pending)| (pending.id.0, link)).collect();
        held.sort_unstable();
        for (_, link) in held {
            let lost = |connection: &&mut Connection| is_faulty!(ApprovalLostAtResume) && connection.takes_place();
            match self.connections.get_mut(&link).filter(lost) {
                Some(connection) => connection.let_in(),
                None => self.let_in(now, link),
            }
        }
    }

    /// Tells every pending viewer again that it waits. The time in which a person decides begins anew, here and at the
    /// viewer.
    pub(super) fn remind_all(&mut self, now: Timestamp) {
        let pending = self.connections.iter().filter(|(_, connection)| connection.pending().is_some());
        for link in pending.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.remind(now, link);
        }
    }

    /// Tells a pending viewer again that it waits. Without the rendezvous the viewer is told as soon as that is back.
    pub(super) fn remind(&mut self, now: Timestamp, link: LinkId) {
        let is_reached = self.registration.is_registered();
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Some(pending) = connection.pending_mut() else { return };
        pending.owes_reminder = !is_reached;
        if is_reached {
            pending.told_at = now;
        }
        connection.handshake.enter_afresh(now, Stage::WaitingForApproval);
        if is_reached {
            self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Waiting)));
        }
    }

    /// Withdraws all invites made before now, and refuses viewers that are on the way in by them. Members stay, and may
    /// come back.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        self.admission.withdraw_all(now);
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
            // A sealed verdict can be sent neither before the hello is answered nor after a verdict: the refusal goes
            // in clear.
            self.turn_away(now, link, Refusal::Expired);
        }
    }

    /// Answers a hello with a refusal.
    pub(super) fn refuse_hello(&mut self, now: Timestamp, link: LinkId, refusal: Refusal) {
        self.link(Command::Verdict(link, Verdict::Refused(refusal.clone())));
        self.remove(now, link, Cause::Refused(refusal));
    }

    /// Refuses a pending viewer.
    pub(super) fn refuse_pending(&mut self, now: Timestamp, link: LinkId, refusal: Refusal) {
        self.link(Command::Envelope(link, Envelope::Verdict(Verdict::Refused(refusal.clone()))));
        if refusal != Refusal::Denied || !is_faulty!(DeniedAreListed) {
            self.remove(now, link, Cause::Refused(refusal));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::link::Hello;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from(Duration::from_secs(secs))
    }

    #[test]
    fn an_invite_expires_and_is_used_up_until_it_is_replaced() {
        let rules = InviteRules { once: true, expire: Some(Duration::from_secs(60)) };
        let mut admission = Admission::default();
        admission.begin(at(10));
        let refuses = |admission: &Admission, now, others| admission.refuses(rules, at(now), Role::View, || others);
        assert_eq!(refuses(&admission, 69, false), None);
        assert_eq!(refuses(&admission, 69, true), Some(Refusal::Used));
        assert_eq!(refuses(&admission, 70, true), Some(Refusal::Expired));
        admission.use_up(Role::View);
        assert_eq!(refuses(&admission, 20, false), Some(Refusal::Used));
        assert_eq!(admission.refuses(rules, at(20), Role::Control, || false), None);
        assert_eq!(admission.refuses(InviteRules::default(), at(99), Role::View, || true), None);

        admission.withdraw_all(at(80));
        assert_eq!((refuses(&admission, 139, false), admission.rotations()), (None, 1));
    }

    #[test]
    fn the_newest_links_are_remembered_as_used() {
        let mut admission = Admission::default();
        (0..=MAX_USED_LINKS as u64).for_each(|link| admission.said_hello(LinkId(link)));
        assert!(!admission.has_said_hello(LinkId(0)) && admission.has_said_hello(LinkId(1)));
        assert_eq!(admission.used.len(), MAX_USED_LINKS);
    }

    #[test]
    fn a_person_can_be_asked_about_who_waits_for_an_answer_once_the_words_are_known() {
        let pending = |approval, sas| {
            let hello = Hello { name: "ann".to_owned(), size: None, history: 0, capabilities: 0 };
            let request = Request { role: Role::View, hello };
            Pending { id: MemberId(1), request, approval, since: at(0), told_at: at(0), owes_reminder: false, sas }
        };
        assert!(pending(Approval::Asked, Some(Sas(0))).can_be_asked());
        assert!(!pending(Approval::Asked, None).can_be_asked());
        assert!(!pending(Approval::Given, Some(Sas(0))).can_be_asked());
        assert!(!pending(Approval::NotNeeded, None).can_be_asked());
    }

    #[test]
    fn the_newest_removed_members_are_remembered() {
        let mut admission = Admission::default();
        (0..=MAX_REMOVED as u64).for_each(|link| admission.removed(LinkId(link)));
        assert!(!admission.was_removed(LinkId(0)) && admission.was_removed(LinkId(1)));
        assert_eq!(admission.removed.len(), MAX_REMOVED);
    }
}
