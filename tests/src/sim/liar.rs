//! A rendezvous that lies, and conspires with viewers who have a link: it shows them what is for others, and passes on
//! as others' what they say.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use beach_core::id::LinkId;
use beach_core::role::Role;
use beach_core::session::address::AddressClass;
use beach_core::session::link::{Refusal, VERSIONS};
use beach_core::wire::signal::{
    FromRendezvous, IceUrl, Opaque, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text,
};

use super::network::Dice;
use super::world::{Meddler, Signal, Who};

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// A message is not passed on.
    Drop,
    /// A message comes twice.
    Repeat,
    /// Later messages overtake a message.
    Delay,
    /// A bit of an envelope is another one.
    Damage,
    /// A message of any time before comes once more, of an earlier handshake or attempt too.
    Replay,
    /// An envelope comes as one of another link.
    Relabel,
    /// An envelope comes to somebody else, as one of theirs.
    Misdeliver,
    /// The host is told that somebody wants to join: by another link, in another role, as another member that comes
    /// back.
    Introduce,
    /// Somebody hears that the other side is gone, elsewhere, refuses them, and the like.
    Tell,
    /// Somebody is named servers that are none: other people, and nobody.
    Servers,
    /// From now on a conspirator stands in for another viewer: the host gets the conspirator's envelopes as the other
    /// viewer's, and the conspirator those that are for that viewer.
    StandIn,
}

/// All of them.
pub const LIES: [Lie; 11] = [
    Lie::Drop,
    Lie::Repeat,
    Lie::Delay,
    Lie::Damage,
    Lie::Replay,
    Lie::Relabel,
    Lie::Misdeliver,
    Lie::Introduce,
    Lie::Tell,
    Lie::Servers,
    Lie::StandIn,
];

/// Messages that are remembered to be replayed.
const MAX_PAST: usize = 2_000;

/// What a test shares with its liar.
#[derive(Clone, Default)]
pub struct Plot {
    /// Whether the rendezvous lies now.
    pub lies: Rc<Cell<bool>>,
    /// The viewers that conspire with it.
    pub conspirators: Rc<RefCell<BTreeSet<usize>>>,
    /// Servers that it names.
    pub servers: Rc<RefCell<Vec<String>>>,
    /// How often each lie was told.
    pub told: Rc<RefCell<BTreeMap<Lie, u64>>>,
}

/// A rendezvous that lies to one host and to all viewers.
pub struct Liar {
    lies: Vec<Lie>,
    per_cent: u64,
    plot: Plot,
    past: Vec<Signal>,
    /// The links that were asked for, and by whom.
    links: BTreeMap<LinkId, usize>,
    /// The newest of them of each viewer.
    newest: BTreeMap<usize, LinkId>,
    /// The link of the conspirator who stands in for the viewer of the other link.
    stand_in: Option<(LinkId, LinkId)>,
}

fn to(who: Who, message: &FromRendezvous) -> Signal {
    Signal { who, up: false, text: to_text(message), late: Duration::ZERO }
}

/// An envelope: its link, and what is in it.
fn carried(signal: &Signal) -> Option<(LinkId, Opaque)> {
    if signal.up {
        match parse_to_rendezvous(&signal.text) {
            Ok(ToRendezvous::Envelope { link, data }) => Some((link, data)),
            _ => None,
        }
    } else {
        match parse_from_rendezvous(&signal.text) {
            Ok(FromRendezvous::Envelope { link, data }) => Some((link, data)),
            _ => None,
        }
    }
}

/// One of some.
fn one<T: Clone>(dice: &mut Dice, of: &[T]) -> Option<T> {
    let last = (of.len() as u64).checked_sub(1)?;
    of.get(dice.between(0, last) as usize).cloned()
}

impl Liar {
    /// A liar that knows some of the lies, and tells them as often as the dice say.
    pub fn drawn(dice: &mut Dice, plot: &Plot) -> Liar {
        let mut lies: Vec<Lie> = LIES.into_iter().filter(|_| dice.percent(50)).collect();
        if lies.is_empty() {
            lies = LIES.to_vec();
        }
        let (past, links, newest) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Liar { lies, per_cent: dice.between(2, 25), plot: plot.clone(), past, links, newest, stand_in: None }
    }

    /// As a world wants it.
    pub fn meddler(mut self) -> Meddler {
        Box::new(move |dice, signal| self.pass(dice, signal))
    }

    fn pass(&mut self, dice: &mut Dice, signal: Signal) -> Vec<Signal> {
        if let (true, Who::Viewer(index)) = (signal.up, signal.who)
            && let Ok(ToRendezvous::Join { link, .. }) = parse_to_rendezvous(&signal.text)
        {
            self.links.insert(link, index);
            self.newest.insert(index, link);
        }
        if self.past.len() < MAX_PAST {
            self.past.push(signal.clone());
        }
        if !self.plot.lies.get() {
            return vec![signal];
        }
        let mut passed = self.past_stand_in(signal.clone());
        if dice.percent(self.per_cent)
            && let Some(lie) = one(dice, &self.lies)
            && self.lie(dice, lie, &signal, &mut passed)
        {
            *self.plot.told.borrow_mut().entry(lie).or_default() += 1;
        }
        passed
    }

    /// Where a message goes while somebody stands in for somebody else.
    fn past_stand_in(&self, signal: Signal) -> Vec<Signal> {
        let Some((own, other)) = self.stand_in else { return vec![signal] };
        let Some((link, data)) = carried(&signal) else { return vec![signal] };
        if signal.up && link == own {
            return vec![to(Who::Host(0), &FromRendezvous::Envelope { link: other, data })];
        }
        match self.links.get(&own) {
            Some(conspirator) if !signal.up && link == other && signal.who != Who::Host(0) => {
                vec![signal, to(Who::Viewer(*conspirator), &FromRendezvous::Envelope { link: own, data })]
            }
            Some(_) | None => vec![signal],
        }
    }

    /// Tells a lie about a message; whether there was one to tell.
    fn lie(&mut self, dice: &mut Dice, lie: Lie, signal: &Signal, passed: &mut Vec<Signal>) -> bool {
        let envelope = carried(signal);
        match lie {
            // Of other messages fewer, or nobody would ever get far enough to be lied to.
            Lie::Drop if envelope.is_none() && !dice.percent(20) => return false,
            Lie::Drop => passed.clear(),
            Lie::Repeat => passed.push(signal.clone()),
            Lie::Delay => passed.iter_mut().for_each(|message| message.late = dice.up_to(Duration::from_secs(3))),
            Lie::Damage => {
                let Some((link, mut data)) = envelope.filter(|(_, data)| !data.0.is_empty()) else { return false };
                let bit = dice.between(0, data.0.len() as u64 * 8 - 1) as usize;
                data.0[bit / 8] ^= 1 << (bit % 8);
                let who = if signal.up { self.other_end(signal.who, link) } else { Some(signal.who) };
                let Some(who) = who else { return false };
                *passed = vec![to(who, &FromRendezvous::Envelope { link, data })];
            }
            Lie::Replay => passed.extend(one(dice, &self.past)),
            Lie::Relabel => {
                let (Some((_, data)), Some(link)) = (envelope, self.any_link(dice)) else { return false };
                let is_for_host = signal.up == matches!(signal.who, Who::Viewer(_));
                let who = if is_for_host { Who::Host(0) } else { Who::Viewer(self.links[&link]) };
                passed.push(to(who, &FromRendezvous::Envelope { link, data }));
            }
            Lie::Misdeliver => {
                // To the conspirators more often than to others.
                let conspirators: Vec<usize> = self.plot.conspirators.borrow().iter().copied().collect();
                let theirs = one(dice, &conspirators).filter(|_| dice.percent(50));
                let viewer = theirs.or_else(|| self.any_link(dice).map(|link| self.links[&link]));
                let (Some((_, data)), Some(viewer)) = (envelope, viewer) else { return false };
                let Some(link) = self.newest.get(&viewer).copied() else { return false };
                passed.push(to(Who::Viewer(viewer), &FromRendezvous::Envelope { link, data }));
            }
            Lie::Introduce => {
                let message = self.introduction(dice);
                passed.push(to(Who::Host(0), &message));
            }
            Lie::Tell => {
                let Some((who, message)) = self.word(dice) else { return false };
                passed.push(to(who, &message));
            }
            Lie::Servers => {
                let message = FromRendezvous::Ice { ice: self.servers(dice) };
                passed.push(to(signal.who, &message));
            }
            Lie::StandIn => {
                self.stand_in = self.drawn_stand_in(dice);
                return self.stand_in.is_some();
            }
        }
        true
    }

    fn any_link(&self, dice: &mut Dice) -> Option<LinkId> {
        one(dice, &self.links.keys().copied().collect::<Vec<_>>())
    }

    fn other_end(&self, who: Who, link: LinkId) -> Option<Who> {
        match who {
            Who::Viewer(_) => Some(Who::Host(0)),
            Who::Host(_) => self.links.get(&link).map(|viewer| Who::Viewer(*viewer)),
        }
    }

    fn drawn_stand_in(&self, dice: &mut Dice) -> Option<(LinkId, LinkId)> {
        let conspirators = self.plot.conspirators.borrow();
        let (own, others): (Vec<_>, Vec<_>) = self.links.iter().partition(|(_, viewer)| conspirators.contains(*viewer));
        let link = |some: Vec<(&LinkId, &usize)>, dice: &mut Dice| one(dice, &some).map(|(link, _)| *link);
        Some((link(own, dice)?, link(others, dice)?))
    }

    fn introduction(&self, dice: &mut Dice) -> FromRendezvous {
        let fresh = LinkId(dice.between(1, u64::MAX - 1));
        let link = self.any_link(dice).filter(|_| dice.percent(80)).unwrap_or(fresh);
        let resumes = self.any_link(dice).filter(|_| dice.percent(40));
        let classes = [None, Some(AddressClass::Loopback), Some(AddressClass::Private), Some(AddressClass::Public)];
        FromRendezvous::Joined {
            link,
            role: if dice.percent(50) { Role::Control } else { Role::View },
            versions: if dice.percent(90) { VERSIONS.to_vec() } else { vec![9] },
            relay: dice.percent(50),
            resumes,
            ice: self.servers(dice),
            from: classes[dice.between(0, 3) as usize],
            session: None,
        }
    }

    /// Any word to anybody.
    fn word(&self, dice: &mut Dice) -> Option<(Who, FromRendezvous)> {
        let link = self.any_link(dice)?;
        let who = if dice.percent(30) { Who::Host(0) } else { Who::Viewer(self.links[&link]) };
        let urls = ["http://rendezvous.test", "http://b.rendezvous.test:81/n/b", "http://elsewhere.test", ""];
        let message = match dice.between(0, 8) {
            0 => FromRendezvous::Closed { link },
            1 => FromRendezvous::Waiting { link },
            2 => FromRendezvous::Refused { link: Some(link), reason: refusal(dice) },
            3 => FromRendezvous::Refused { link: None, reason: refusal(dice) },
            4 => FromRendezvous::Elsewhere { link, url: one(dice, &urls)?.to_owned() },
            5 => FromRendezvous::Move { within: dice.between(0, 5) as u32 },
            6 => FromRendezvous::TurnedAway { count: dice.between(0, 1000) },
            7 => FromRendezvous::Registered { ice: self.servers(dice), short_names: dice.percent(50) },
            _ => FromRendezvous::Pong,
        };
        Some((who, message))
    }

    fn servers(&self, dice: &mut Dice) -> Vec<IceUrl> {
        let servers = self.plot.servers.borrow();
        let count = dice.between(0, 8);
        (0..count).filter_map(|_| one(dice, &servers)).map(IceUrl).collect()
    }
}

fn refusal(dice: &mut Dice) -> Refusal {
    match dice.between(0, 13) {
        0 => Refusal::NoSession,
        1 => Refusal::WrongKey,
        2 => Refusal::WrongHost,
        3 => Refusal::Version(vec![2]),
        4 => Refusal::Full,
        5 => Refusal::Denied,
        6 => Refusal::Misuse,
        7 => Refusal::Taken,
        8 => Refusal::Forgotten,
        9 => Refusal::Used,
        10 => Refusal::Expired,
        11 => Refusal::Busy,
        12 => Refusal::NoBrowsers,
        _ => Refusal::OldHost,
    }
}
