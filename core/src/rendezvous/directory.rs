//! The directory: says at which of several rendezvous the host of a session is.
//!
//! The directory decides nothing. Whom a session belongs to is proved to each rendezvous, and the truth is the living
//! connection of the host; so entries are written again and again, and losing them costs seconds. A host counts its
//! registrations, and of two claims the one with the greater count, the *turn*, wins: late claims change nothing.
//!
//! The key of an entry is the first 84 bits of the session's id, a [`ShortId`]: short and long links find the same
//! entry. Two sessions with the same beginning share an entry. Only the owner of both can make such a pair.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::unanswered::Unanswered;
use super::{Away, ConnectionId, MAX_VIEWS};
use crate::id::{LinkId, SessionId, SessionName, ShortId};
use crate::role::Role;
use crate::time::{Timestamp, earliest};

/// A look-up that is not answered by then found nothing.
pub const LOOK_UP_WITHIN: Duration = Duration::from_secs(1);

/// Each claim is written again this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A host is told by then that its session is registered, whether or not the directory has answered.
pub const CLAIMED_WITHIN: Duration = Duration::from_millis(250);

/// Most look-ups under way.
pub const MAX_LOOK_UPS: usize = 1024;

/// Most joins that wait for one look-up: those that a session may have at once.
pub const MAX_WAITING: usize = 512;

/// Most claims that are renewed together.
pub const MAX_RENEWED: usize = 500;

/// Claims are renewed in so many parts, one after the other, so that the directory's work is even.
const PARTS: u8 = 10;

/// An answer of the directory, or news of whether the directory can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryInput {
    /// The entry of the session names this rendezvous now.
    Claimed {
        /// The session.
        session: ShortId,
        /// The turn that was claimed.
        turn: u64,
    },
    /// A claim or its renewal was refused: the session's host is at another rendezvous.
    Lost {
        /// The session.
        session: ShortId,
        /// The turn that was claimed.
        turn: u64,
        /// The place of the other rendezvous.
        place: String,
    },
    /// The answer to a look-up.
    Found {
        /// The session.
        session: ShortId,
        /// The place of the rendezvous that the host is at, if there is an entry.
        place: Option<String>,
    },
    /// The directory cannot be reached. A rendezvous begins so.
    Down,
    /// The directory can be reached.
    Up,
}

/// A request to the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryOutput {
    /// Write an entry for this session, unless one with a greater turn stands.
    Claim {
        /// The session.
        session: ShortId,
        /// The turn of its host.
        turn: u64,
    },
    /// Write these entries again, but none for which a greater turn stands, or another place with the same turn. Only
    /// refusals are answered.
    Renew(Vec<(ShortId, u64)>),
    /// Delete the entry if it names this rendezvous and this turn.
    Release {
        /// The session.
        session: ShortId,
        /// The turn of its host.
        turn: u64,
    },
    /// Read the entry.
    LookUp(ShortId),
}

/// A viewer's request to join.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) name: SessionName,
    pub(super) link: LinkId,
    pub(super) role: Role,
    pub(super) versions: Vec<u16>,
    pub(super) resumes: Option<LinkId>,
    /// Whether the viewer goes to another rendezvous if it is told to.
    pub(super) moves: bool,
}

/// Whether an address and a session have paid for a join from their allowances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fee {
    Due,
    Paid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The host is here. The directory was asked, and has not answered.
    Asked,
    /// The host is here, and the directory knows.
    Standing,
    /// The host is away. The entry is left to expire.
    Away,
}

/// A session of this rendezvous, as the directory may have it.
pub(super) struct Claim {
    pub(super) turn: u64,
    pub(super) state: State,
    /// When the host is told that it is registered, if it was not told yet.
    confirm_by: Option<Timestamp>,
}

/// A look-up under way.
pub(super) struct LookUp {
    until: Timestamp,
    /// The joins that wait for it.
    pub(super) joins: BTreeMap<(ConnectionId, LinkId), Asked>,
    /// The session's viewers here were not told yet that their host has left.
    pub(super) tells: bool,
}

/// Whether a join waits for a look-up.
pub(super) enum LookedUp {
    /// The join waits, and the directory is to be asked.
    Ask,
    /// The join waits, and the directory was asked already.
    Wait,
    /// The join does not wait: too many joins or look-ups wait already.
    Full,
}

/// The directory, as one rendezvous knows it.
pub(super) struct Directory {
    /// Where viewers reach this rendezvous.
    pub(super) place: String,
    pub(super) is_up: bool,
    claims: BTreeMap<SessionId, Claim>,
    unconfirmed: BTreeSet<(Timestamp, SessionId)>,
    look_ups: BTreeMap<ShortId, LookUp>,
    look_ups_end: BTreeSet<(Timestamp, ShortId)>,
    /// The look-up that each join waits for.
    waits: BTreeMap<(ConnectionId, LinkId), ShortId>,
    unanswered_claims: Unanswered<SessionId>,
    unanswered_look_ups: Unanswered<ShortId>,
    renew_at: Option<Timestamp>,
    part: u8,
    /// The session without host that was looked up last because viewers wait there.
    pub(super) reached: Option<Away>,
    /// How many sessions have a host here that goes to another rendezvous if it is told to.
    movable: usize,
}

impl Claim {
    /// Whether the session's host is here, and goes to another rendezvous if it is told to: hosts that do so count
    /// their registrations.
    fn is_movable(&self) -> bool {
        self.turn > 0 && self.state != State::Away
    }
}

impl Directory {
    pub(super) fn new(place: String) -> Directory {
        Directory {
            place,
            is_up: false,
            claims: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            look_ups: BTreeMap::new(),
            look_ups_end: BTreeSet::new(),
            waits: BTreeMap::new(),
            unanswered_claims: Unanswered::new(),
            unanswered_look_ups: Unanswered::new(),
            renew_at: None,
            part: 0,
            reached: None,
            movable: 0,
        }
    }

    /// Whether the host of the session has registered later than with this turn.
    pub(super) fn is_outdated(&self, id: SessionId, turn: u64) -> bool {
        self.claims.get(&id).is_some_and(|claim| turn < claim.turn)
    }

    /// The session has its host here. Whether the host is told so only later.
    pub(super) fn claim(&mut self, now: Timestamp, id: SessionId, turn: u64) -> bool {
        self.remove(id);
        let confirm_by = self.is_up.then(|| now + CLAIMED_WITHIN);
        let claim = Claim { turn, state: State::Asked, confirm_by };
        self.movable += usize::from(claim.is_movable());
        self.claims.insert(id, claim);
        if self.is_up {
            self.unanswered_claims.asked(now, id);
        }
        self.unconfirmed.extend(confirm_by.map(|by| (by, id)));
        self.renew_at.get_or_insert(now + RENEW_EVERY / u32::from(PARTS));
        confirm_by.is_some()
    }

    /// The session is not here any more; its turn.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<u64> {
        let claim = self.claims.remove(&id)?;
        self.unanswered_claims.answered(id);
        self.movable -= usize::from(claim.is_movable());
        self.unconfirmed.remove(&(claim.confirm_by.unwrap_or_default(), id));
        Some(claim.turn)
    }

    /// The session's host is away.
    pub(super) fn away(&mut self, id: SessionId) {
        self.confirmed(id);
        self.unanswered_claims.answered(id);
        if let Some(claim) = self.claims.get_mut(&id) {
            self.movable -= usize::from(claim.is_movable());
            claim.state = State::Away;
        }
    }

    /// How many sessions have a host here that goes to another rendezvous if it is told to.
    pub(super) fn movable(&self) -> usize {
        self.movable
    }

    /// The host of the session is told that it is registered; whether that was still to be done.
    pub(super) fn confirmed(&mut self, id: SessionId) -> bool {
        let by = self.claims.get_mut(&id).and_then(|claim| claim.confirm_by.take());
        by.is_some_and(|by| self.unconfirmed.remove(&(by, id)))
    }

    /// The sessions whose hosts were told nothing for too long; all of them without a directory.
    pub(super) fn to_confirm(&self, now: Timestamp) -> Vec<SessionId> {
        let due = |(by, _): &&(Timestamp, SessionId)| *by <= now || !self.is_up;
        self.unconfirmed.iter().take_while(due).map(|(_, id)| *id).collect()
    }

    /// The sessions here that were claimed with this turn.
    pub(super) fn claimed(&self, session: ShortId, turn: u64) -> Vec<SessionId> {
        let of_turn = |(_, claim): &(&SessionId, &Claim)| claim.turn == turn;
        self.claims.range(session.range()).filter(of_turn).map(|(id, _)| *id).collect()
    }

    /// The directory knows that the session's host is here.
    pub(super) fn stands(&mut self, id: SessionId) {
        self.unanswered_claims.answered(id);
        if let Some(claim) = self.claims.get_mut(&id).filter(|claim| claim.state == State::Asked) {
            claim.state = State::Standing;
        }
    }

    /// A join, or nobody, waits for a look-up.
    pub(super) fn look_up(
        &mut self,
        now: Timestamp,
        session: ShortId,
        join: Option<(ConnectionId, Asked)>,
    ) -> LookedUp {
        let known = self.look_ups.get(&session);
        let waiting = known.map_or(0, |known| known.joins.len());
        let of = |from| self.waits.range((from, LinkId(0))..=(from, LinkId(u64::MAX))).count();
        let many = join.as_ref().is_some_and(|(from, _)| of(*from) >= MAX_VIEWS);
        if many || waiting >= MAX_WAITING || (known.is_none() && self.look_ups.len() >= MAX_LOOK_UPS) {
            return LookedUp::Full;
        }
        let is_new = known.is_none();
        if is_new {
            self.unanswered_look_ups.asked(now, session);
        }
        if let Some((from, asked)) = &join {
            self.cancel(*from, asked.link);
        }
        let until = now + LOOK_UP_WITHIN;
        let new = || LookUp { until, joins: BTreeMap::new(), tells: false };
        let look_up = self.look_ups.entry(session).or_insert_with(new);
        self.look_ups_end.insert((look_up.until, session));
        if let Some((from, asked)) = join {
            self.waits.insert((from, asked.link), session);
            look_up.joins.insert((from, asked.link), asked);
        }
        if is_new { LookedUp::Ask } else { LookedUp::Wait }
    }

    /// The viewers of a session, who were not told yet that their host has left, wait for a look-up.
    pub(super) fn look_up_host(&mut self, now: Timestamp, session: ShortId) -> LookedUp {
        let looked_up = self.look_up(now, session, None);
        if let (LookedUp::Ask | LookedUp::Wait, Some(look_up)) = (&looked_up, self.look_ups.get_mut(&session)) {
            look_up.tells = true;
        }
        looked_up
    }

    /// This join does not wait any more.
    pub(super) fn cancel(&mut self, from: ConnectionId, link: LinkId) {
        let Some(session) = self.waits.remove(&(from, link)) else { return };
        if let Some(look_up) = self.look_ups.get_mut(&session) {
            look_up.joins.remove(&(from, link));
        }
    }

    /// Whether a join of the connection waits.
    pub(super) fn waits(&self, from: ConnectionId) -> bool {
        self.waits.range((from, LinkId(0))..=(from, LinkId(u64::MAX))).next().is_some()
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, from: ConnectionId) {
        let waits = self.waits.range((from, LinkId(0))..=(from, LinkId(u64::MAX)));
        let links: Vec<_> = waits.map(|((_, link), _)| *link).collect();
        links.into_iter().for_each(|link| self.cancel(from, link));
    }

    /// A look-up that is over; `None` if there is none.
    pub(super) fn looked_up(&mut self, session: ShortId) -> Option<LookUp> {
        let look_up = self.look_ups.remove(&session)?;
        self.look_ups_end.remove(&(look_up.until, session));
        self.unanswered_look_ups.answered(session);
        for wait in look_up.joins.keys() {
            self.waits.remove(wait);
        }
        Some(look_up)
    }

    /// The look-ups that took too long; all of them without a directory.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<ShortId> {
        let due = |(until, _): &&(Timestamp, ShortId)| *until <= now || !self.is_up;
        self.look_ups_end.iter().take_while(due).map(|(_, session)| *session).collect()
    }

    /// Whether it is time to renew a part of the claims; if so, the sessions of that part.
    pub(super) fn due_part(&mut self, now: Timestamp) -> Option<Vec<DirectoryOutput>> {
        self.renew_at.take_if(|at| *at <= now)?;
        if !self.claims.is_empty() {
            self.renew_at = Some(now + RENEW_EVERY / u32::from(PARTS));
        }
        self.part = (self.part + 1) % PARTS;
        let firsts = (self.part..=u8::MAX).step_by(usize::from(PARTS));
        let ids = firsts.flat_map(|first| {
            let [mut from, mut to] = [[0; 16], [0xff; 16]];
            (from[0], to[0]) = (first, first);
            self.claims.range(SessionId(from)..=SessionId(to))
        });
        Some(if self.is_up { renewals(ids) } else { Vec::new() })
    }

    /// The directory cannot be reached any more: it answers nothing.
    pub(super) fn down(&mut self) {
        self.is_up = false;
        self.unanswered_claims.clear();
        self.unanswered_look_ups.clear();
    }

    /// The directory can be reached again, and may have lost all claims: all of them again.
    pub(super) fn up(&mut self, now: Timestamp) -> Vec<DirectoryOutput> {
        self.is_up = true;
        let mut out = Vec::new();
        for (id, claim) in self.claims.iter().filter(|(_, claim)| claim.state == State::Asked) {
            self.unanswered_claims.asked(now, *id);
            out.push(DirectoryOutput::Claim { session: id.short(), turn: claim.turn });
        }
        out.extend(renewals(self.claims.iter()));
        out
    }

    /// The requests that the directory has not answered for so long that they are made again.
    pub(super) fn unanswered(&mut self, now: Timestamp) -> Vec<DirectoryOutput> {
        let (claims, look_ups) = (self.unanswered_claims.due(now), self.unanswered_look_ups.due(now));
        let claim = |id: SessionId| {
            let turn = self.claims.get(&id)?.turn;
            Some(DirectoryOutput::Claim { session: id.short(), turn })
        };
        claims.into_iter().filter_map(claim).chain(look_ups.into_iter().map(DirectoryOutput::LookUp)).collect()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let unconfirmed = self.unconfirmed.first().map(|(by, _)| *by);
        let look_up = self.look_ups_end.first().map(|(until, _)| *until);
        let unanswered = earliest(self.unanswered_claims.deadline(), self.unanswered_look_ups.deadline());
        earliest(earliest(unconfirmed, look_up), earliest(self.renew_at, unanswered))
    }

    /// Invariants; `sessions` are those of the rendezvous, and whether their hosts are here.
    pub(super) fn check(&self, sessions: impl Iterator<Item = (SessionId, bool)>) {
        let here = self.claims.iter().map(|(id, claim)| (*id, claim.state != State::Away));
        assert!(here.eq(sessions), "each session has a claim, which knows whether the host is here");
        let unconfirmed = self.claims.iter().filter_map(|(id, claim)| Some((claim.confirm_by?, *id)));
        assert_eq!(unconfirmed.collect::<BTreeSet<_>>(), self.unconfirmed, "hosts that wait for an answer are known");
        assert!(self.unconfirmed.is_empty() || self.is_up, "nobody waits for a directory that is down");
        assert!(self.look_ups.is_empty() || self.is_up, "nothing is looked up in a directory that is down");
        assert!(self.look_ups.len() <= MAX_LOOK_UPS, "look-ups are bounded");
        let ends = self.look_ups.iter().map(|(session, look_up)| (look_up.until, *session));
        assert_eq!(ends.collect::<BTreeSet<_>>(), self.look_ups_end, "the end of each look-up is known");
        assert!(self.look_ups.values().all(|look_up| look_up.joins.len() <= MAX_WAITING), "waiting joins are bounded");
        let waits = |(session, look_up): (&ShortId, &LookUp)| {
            look_up.joins.keys().map(|wait| (*wait, *session)).collect::<Vec<_>>()
        };
        let waits: BTreeMap<_, _> = self.look_ups.iter().flat_map(waits).collect();
        assert_eq!(waits, self.waits, "each join that waits is known");
        let asked = self.claims.iter().filter(|(_, claim)| self.is_up && claim.state == State::Asked);
        self.unanswered_claims.check(asked.map(|(id, _)| *id));
        self.unanswered_look_ups.check(self.look_ups.keys().copied());
        assert!(self.renew_at.is_some() || self.claims.is_empty(), "claims are renewed");
        let movable = self.claims.values().filter(|claim| claim.is_movable()).count();
        assert_eq!(movable, self.movable, "hosts that can go elsewhere are counted");
    }
}

/// Renews those of these claims that the directory has confirmed. Others are made again until it has.
fn renewals<'a>(claims: impl Iterator<Item = (&'a SessionId, &'a Claim)>) -> Vec<DirectoryOutput> {
    let standing = claims.filter(|(_, claim)| claim.state == State::Standing);
    let standing: Vec<_> = standing.map(|(id, claim)| (id.short(), claim.turn)).collect();
    standing.chunks(MAX_RENEWED).map(|some| DirectoryOutput::Renew(some.to_vec())).collect()
}
