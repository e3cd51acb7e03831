//! Everything below the link seam, made up: what tier A1 has instead of a rendezvous, sealing, ICE and DTLS.
//!
//! Offers, answers and candidates overtake one another, come twice and come early; some attempts never find a path.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::id::LinkId;
use beach_core::role::Role;
use beach_core::session::link::{
    Attempt, Candidate, CandidateKind, Command, Envelope, Event, Lane, LinkDown, Path, PathKind, Progress, Refusal,
    VERSIONS,
};
use beach_core::time::Timestamp;

use super::network::{Dice, Wire};
use super::world::Who;

/// How long a repetition of something lost takes.
const REPEAT: Duration = Duration::from_millis(300);

/// When a link is noticed to be silent.
const SILENCE: Duration = Duration::from_secs(15);

const HOST: usize = 0;
const VIEWER: usize = 1;

#[derive(Default)]
pub(crate) struct Seam {
    registered: BTreeSet<usize>,
    links: BTreeMap<LinkId, Link>,
}

struct Link {
    ends: [Who; 2],
    role: Role,
    made: [Attempt; 2],
    accepted: [Attempt; 2],
    heard: [BTreeSet<Attempt>; 2],
    joined: Attempt,
    /// When each end hears that both are confirmed, and that the control lane is up.
    confirmed_at: [Option<Timestamp>; 2],
    up_at: [Option<Timestamp>; 2],
    /// When the last message on the control lane arrives at this end.
    last: [Timestamp; 2],
    verdict_at: Timestamp,
    closed: [bool; 2],
    stalls_left: u32,
}

/// An event, for whom, and when.
pub(crate) type Due = (Timestamp, Who, Event);

impl Seam {
    /// `place` is the host whose session a viewer asks for, with its role; `wire` lies between the two.
    pub(crate) fn obey(
        &mut self,
        now: Timestamp,
        dice: &mut Dice,
        who: Who,
        place: (usize, Role),
        wire: impl Fn(Who) -> Wire,
        command: Command,
    ) -> Vec<Due> {
        let near = |dice: &mut Dice| now + wire(who).reliable(dice, REPEAT);
        match command {
            Command::Dial | Command::DialAt(_) => vec![(near(dice), who, Event::SignalUp)],
            Command::HangUp => self.hang_up(now, dice, who, &wire),
            Command::Move => vec![(near(dice), who, Event::Moved)],
            Command::Register => {
                self.registered.insert(place.0);
                vec![(near(dice), who, Event::Registered)]
            }
            Command::Unregister => {
                self.registered.remove(&place.0);
                Vec::new()
            }
            Command::Join(link, resumes) => {
                if !self.registered.contains(&place.0) {
                    return vec![(near(dice), who, Event::Refused(Some(link), Refusal::NoSession))];
                }
                let ends = [Who::Host(place.0), who];
                self.links.entry(link).or_insert_with(|| Link::new(ends, place.1, dice));
                let joined = Event::Joined { link, role: place.1, versions: VERSIONS.to_vec(), resumes, from: None };
                // The host is told first: what the viewer says next must find it told.
                let (host, viewer) = (near(dice), near(dice));
                vec![(host, ends[HOST], joined.clone()), (host.max(viewer), who, joined)]
            }
            Command::Hello(link, hello) => {
                let Some(known) = self.links.get(&link) else { return Vec::new() };
                vec![(near(dice), known.ends[HOST], Event::Hello(link, known.role, hello))]
            }
            Command::Refuse(link, refusal) => {
                let Some(known) = self.links.get(&link) else { return Vec::new() };
                vec![(near(dice), known.ends[VIEWER], Event::Refused(Some(link), refusal))]
            }
            Command::Verdict(link, verdict) => {
                let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
                known.verdict_at = now + wire(known.ends[VIEWER]).reliable(dice, REPEAT);
                let sas = Event::Sas(link, Sas(link.0));
                vec![
                    (now, known.ends[HOST], sas.clone()),
                    (known.verdict_at, known.ends[VIEWER], sas),
                    (known.verdict_at, known.ends[VIEWER], Event::Verdict(link, verdict)),
                ]
            }
            Command::Envelope(link, envelope) => self.envelope(now, dice, who, &wire, link, &envelope),
            Command::Open(link, attempt) => {
                let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
                known.made[HOST] = attempt;
                candidates(now, dice, who, link, attempt)
            }
            Command::Accept(link, attempt) => {
                let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
                let side = known.side(who);
                known.accepted[side] = attempt;
                let mut due = Vec::new();
                if side == VIEWER {
                    known.made[VIEWER] = attempt;
                    due = candidates(now, dice, who, link, attempt);
                }
                due.extend(known.connect(now, dice, &wire, link));
                due
            }
            Command::Candidate(link, attempt, _) => {
                let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
                let side = known.side(who);
                known.heard[side].insert(attempt);
                known.connect(now, dice, &wire, link)
            }
            Command::Send(link, lane, bytes) => self.send(now, dice, who, &wire, link, lane, bytes),
            Command::Close(link) => {
                let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
                let side = known.side(who);
                let other = 1 - side;
                if std::mem::replace(&mut known.closed[side], true) {
                    return Vec::new();
                }
                if known.closed[other] {
                    self.links.remove(&link);
                    return Vec::new();
                }
                let mut due = vec![(near(dice), known.ends[other], Event::Gone(link))];
                if known.up_at[other].is_some() {
                    due.push((
                        now + SILENCE,
                        known.ends[other],
                        Event::Down(link, known.made[other], LinkDown::Silent),
                    ));
                }
                due
            }
            Command::Renew(_) | Command::Keep(_) | Command::Release(_) | Command::Rotate => Vec::new(),
        }
    }

    /// Whether `event` may still happen: its link is not closed at this end, and its attempt is the current one.
    pub(crate) fn holds(&self, who: Who, event: &Event) -> bool {
        let (link, attempt) = match event {
            Event::Progress(link, attempt, _)
            | Event::Candidate(link, attempt, _)
            | Event::Confirmed(link, attempt, _)
            | Event::ControlUp(link, attempt)
            | Event::Path(link, attempt, _)
            | Event::Down(link, attempt, _) => (*link, Some(*attempt)),
            Event::Joined { link, .. }
            | Event::Waiting(link)
            | Event::Gone(link)
            | Event::Forged(link)
            | Event::Outdated(link)
            | Event::Hello(link, ..)
            | Event::Sas(link, _)
            | Event::Verdict(link, _)
            | Event::Envelope(link, _)
            | Event::Message(link, ..)
            | Event::Elsewhere(link, _)
            | Event::Refused(Some(link), _) => (*link, None),
            Event::SignalUp
            | Event::SignalDown(_)
            | Event::Registered
            | Event::Refused(None, _)
            | Event::TurnedAway(_)
            | Event::Move(_)
            | Event::Moved
            | Event::NotMoved(_)
            | Event::Woken => {
                return true;
            }
        };
        match self.links.get(&link) {
            Some(known) => {
                let side = known.side(who);
                !known.closed[side] && attempt.is_none_or(|attempt| attempt == known.made[side])
            }
            None => matches!(event, Event::Refused(..)),
        }
    }

    /// This end of everything is gone without a word.
    pub(crate) fn vanish(&mut self, now: Timestamp, dice: &mut Dice, who: Who, wire: impl Fn(Who) -> Wire) -> Vec<Due> {
        let mine: Vec<_> = self.links.iter().filter(|(_, link)| link.ends.contains(&who)).map(|(id, _)| *id).collect();
        let close = |id| self.obey(now, dice, who, (usize::MAX, Role::View), &wire, Command::Close(id));
        mine.into_iter().flat_map(close).collect()
    }

    fn hang_up(&mut self, now: Timestamp, dice: &mut Dice, who: Who, wire: &impl Fn(Who) -> Wire) -> Vec<Due> {
        let open = self.links.iter().filter(|(_, link)| link.ends[VIEWER] == who && !link.closed[HOST]);
        open.map(|(id, link)| (now + wire(who).reliable(dice, REPEAT), link.ends[HOST], Event::Gone(*id))).collect()
    }

    fn envelope(
        &mut self,
        now: Timestamp,
        dice: &mut Dice,
        who: Who,
        wire: &impl Fn(Who) -> Wire,
        link: LinkId,
        envelope: &Envelope,
    ) -> Vec<Due> {
        let Some(known) = self.links.get(&link) else { return Vec::new() };
        let to = 1 - known.side(who);
        let copies = match envelope {
            Envelope::Offer(_) | Envelope::Answer(_) | Envelope::Candidate(..) => 1 + u32::from(dice.percent(30)),
            Envelope::Verdict(_) | Envelope::Failed(..) | Envelope::Goodbye => 1,
        };
        let earliest = if to == VIEWER { known.verdict_at } else { now };
        let arrival = |_| {
            let wire = wire(known.ends[VIEWER]);
            let at = now + wire.reliable(dice, REPEAT) + dice.up_to(Duration::from_millis(60));
            (at.max(earliest + Duration::from_micros(1)), known.ends[to], Event::Envelope(link, envelope.clone()))
        };
        (0..copies).map(arrival).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "what a message needs on its way")]
    fn send(
        &mut self,
        now: Timestamp,
        dice: &mut Dice,
        who: Who,
        wire: &impl Fn(Who) -> Wire,
        link: LinkId,
        lane: Lane,
        bytes: Vec<u8>,
    ) -> Vec<Due> {
        let Some(known) = self.links.get_mut(&link) else { return Vec::new() };
        let side = known.side(who);
        let to = 1 - side;
        if lane == Lane::Terminal {
            assert!(known.confirmed_at[side].is_some_and(|at| at <= now), "{who:?} spoke before it was confirmed");
            let Some(confirmed) = known.confirmed_at[to] else { return Vec::new() };
            let message = |takes| (now + takes, known.ends[to], Event::Message(link, lane, bytes.clone()));
            let copies = wire(known.ends[VIEWER]).copies(dice).into_iter().map(message);
            // Messages before the other side is confirmed are dropped.
            return copies.filter(|(at, ..)| *at > confirmed).collect();
        }
        assert!(known.up_at[side].is_some_and(|up| up <= now), "{who:?} spoke before its control lane was up");
        let Some(up) = known.up_at[to] else { return Vec::new() };
        let arrival = now + wire(known.ends[VIEWER]).reliable(dice, REPEAT);
        known.last[to] = arrival.max(known.last[to]).max(up) + Duration::from_micros(1);
        vec![(known.last[to], known.ends[to], Event::Message(link, lane, bytes))]
    }
}

impl Link {
    fn new(ends: [Who; 2], role: Role, dice: &mut Dice) -> Link {
        Link {
            ends,
            role,
            made: [0; 2],
            accepted: [0; 2],
            heard: [BTreeSet::new(), BTreeSet::new()],
            joined: 0,
            confirmed_at: [None; 2],
            up_at: [None; 2],
            last: [Timestamp::ZERO; 2],
            verdict_at: Timestamp::ZERO,
            closed: [false; 2],
            stalls_left: u32::from(dice.percent(15)),
        }
    }

    fn side(&self, who: Who) -> usize {
        if self.ends[HOST] == who { HOST } else { VIEWER }
    }

    /// Brings both ends up, once both have the other's description and one of them an address to try.
    fn connect(&mut self, now: Timestamp, dice: &mut Dice, wire: &impl Fn(Who) -> Wire, link: LinkId) -> Vec<Due> {
        let attempt = self.made[HOST];
        let same = [self.made[VIEWER], self.accepted[HOST], self.accepted[VIEWER]] == [attempt; 3];
        let reachable = self.heard.iter().any(|heard| heard.contains(&attempt));
        if !same || !reachable || self.joined == attempt {
            return Vec::new();
        }
        self.joined = attempt;
        if self.stalls_left > 0 {
            self.stalls_left -= 1;
            return Vec::new();
        }
        let mut due = Vec::new();
        for side in [HOST, VIEWER] {
            let who = self.ends[side];
            let (local, remote) = (address(who, 0), address(self.ends[1 - side], 0));
            let steps = [
                Event::Progress(link, attempt, Progress::Securing),
                Event::Progress(link, attempt, Progress::Confirming),
                Event::Confirmed(link, attempt, Path { local, remote, kind: PathKind::Direct }),
                Event::ControlUp(link, attempt),
            ];
            let mut at = now;
            for step in steps {
                at = at + wire(self.ends[VIEWER]).reliable(dice, REPEAT) * 2;
                if let Event::Confirmed(..) = step {
                    self.confirmed_at[side] = Some(at);
                }
                due.push((at, who, step));
            }
            self.up_at[side] = Some(at);
        }
        due
    }
}

fn candidates(now: Timestamp, dice: &mut Dice, who: Who, link: LinkId, attempt: Attempt) -> Vec<Due> {
    let each = |i| {
        let candidate = Candidate { kind: CandidateKind::Host, address: address(who, i) };
        (now + dice.up_to(Duration::from_millis(20)), who, Event::Candidate(link, attempt, candidate))
    };
    (0..3).map(each).collect()
}

fn address(who: Who, port: u16) -> SocketAddr {
    let ip = match who {
        Who::Host(index) => Ipv4Addr::new(10, 1, (index >> 8) as u8, index as u8),
        Who::Viewer(index) => Ipv4Addr::new(10, 2, (index >> 8) as u8, index as u8),
    };
    SocketAddr::new(ip.into(), 4000 + port)
}
