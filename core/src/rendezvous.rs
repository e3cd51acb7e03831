//! The rendezvous: introduces viewers to hosts. The rendezvous forwards sealed messages that it cannot read, keeps
//! sessions in memory, and bounds everything.

mod addresses;
mod check;
mod directory;
mod drain;
mod elsewhere;
mod servers;
mod tally;
mod unanswered;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::crypto::keys::id_matches;
use crate::ice::relay::Relayed;
use crate::id::{LinkId, SessionId, SessionName};
use crate::machine::{Machine, Tick};
use crate::role::Role;
use crate::session::address::{AddressClass, owner};
use crate::session::link::Refusal;
use crate::support::token_bucket::TokenBucket;
use crate::time::Timestamp;
use crate::wire::signal::{FromRendezvous, Opaque, PONG, ToRendezvous, parse_to_rendezvous, to_text};

use self::addresses::Addresses;
pub use self::addresses::{
    ADDRESS_JOIN_RATE, ADDRESS_REGISTER_BURST, ADDRESS_REGISTER_RATE, ADDRESS_RELAY_BURST, ADDRESS_RELAY_RATE,
    ADDRESS_SESSIONS,
};
use self::directory::{Asked, Directory, Fee};
pub use self::directory::{
    CLAIMED_WITHIN, DirectoryInput, DirectoryOutput, LOOK_UP_WITHIN, MAX_LOOK_UPS, MAX_RENEWED, MAX_WAITING,
    RENEW_EVERY,
};
pub use self::drain::{DRAINED_WITHIN, MOVED_WITHIN, MOVES_A_SECOND, MOVES_WITHIN};
pub use self::servers::Servers;
pub use self::tally::{Close, Join, Present, Registration, Tally};
pub use self::unanswered::ASK_AGAIN_AFTER;

/// Bytes a second that a session may have relayed, both ways together: several times what a terminal needs at its
/// busiest, as frames adapt to the path.
pub const RELAY_RATE: u64 = 512 * 1024;

/// The burst of this rate.
pub const RELAY_BURST: u64 = 1024 * 1024;

/// Bytes a second that one rendezvous relays, for everybody together: less than one processor can, so that there is
/// always time for introductions.
pub const NODE_RELAY_RATE: u64 = 32 * 1024 * 1024;

/// The burst of this rate: that of two addresses, so that no address alone uses it up.
pub const NODE_RELAY_BURST: u64 = 2 * ADDRESS_RELAY_BURST;

/// Joins a second that reach one host: far more than people make, far less than a machine could.
pub const JOIN_RATE: u64 = 100;

/// The burst of this rate: all viewers of a session reconnect together.
pub const JOIN_BURST: u64 = 512;

/// A host is told at most this often that joins were refused on its behalf.
const TURNED_AWAY_EVERY: Duration = Duration::from_secs(1);

/// Most sessions: with their links about 100 MB.
pub const MAX_SESSIONS: usize = 50_000;

/// Most links of one session at the rendezvous: handshakes, and links whose datagrams it may have to carry.
pub const MAX_LINKS: usize = 512;

/// Most links of one session whose viewers are at one address: as many viewers as a host may have, each with a second
/// link while it comes back. Nobody alone keeps others out of a session.
pub const ADDRESS_LINKS: usize = MAX_LINKS / 2;

/// Most messages a side may send about one link: an offer, an answer, some candidates, their acknowledgements and
/// repetitions.
pub const MAX_LINK_MESSAGES: u32 = 256;

/// A session is kept this long without its host.
pub const GRACE: Duration = Duration::from_secs(60);

/// A session that nobody ever joined is kept only this long without its host, who is back by then if the host's machine
/// still runs.
pub const UNUSED_GRACE: Duration = Duration::from_secs(10);

/// A connection that says nothing for this long is closed; hosts ping three times as often.
pub const SILENCE: Duration = Duration::from_secs(75);

/// A connection that neither hosts nor views a session by then, nor asks for that, is closed: it only holds a place.
pub const NO_PART: Duration = Duration::from_secs(10);

/// Most messages of nonsense from one connection before it is closed.
const MAX_NONSENSE: u32 = 8;

/// Most sessions of one connection: a host whose links changed keeps the earlier sessions, so that members can come
/// back.
const MAX_HOSTED: usize = 5;

/// Most links that one connection joins by. A viewer has one, and a second one while it comes back.
const MAX_VIEWS: usize = 64;

/// Names a connection; given by the runtime, never used twice.
pub type ConnectionId = u64;

/// Inputs of a rendezvous.
#[derive(Clone, PartialEq, Eq)]
pub enum RendezvousInput {
    /// Time has passed.
    Tick,
    /// A new connection, and the client's address if it is known.
    Opened(ConnectionId, Option<IpAddr>),
    /// A text came on this connection.
    Text(ConnectionId, String),
    /// A datagram to relay came on this connection: see [`Relayed`].
    Datagram(ConnectionId, Vec<u8>),
    /// This connection is closed.
    Closed(ConnectionId),
    /// Hand these servers out from now on, and tell present hosts and viewers, since credentials expire.
    Ice(Servers),
    /// End as soon as no handshake is under way, here or on a connection that is carried; with a directory, also as
    /// soon as all hosts that can have gone to another rendezvous. Without a directory no connection is opened any more
    /// from now on; with one, viewers still come to this place.
    Drain,
    /// From the directory that several rendezvous share.
    Directory(DirectoryInput),
    /// An envelope passed on a connection that is carried to another rendezvous, where a handshake is under way.
    Carried,
}

// Lengths only: a host's text has its resume token.
impl fmt::Debug for RendezvousInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RendezvousInput::Tick => f.write_str("Tick"),
            RendezvousInput::Opened(id, _) => write!(f, "Opened({id})"),
            RendezvousInput::Text(id, text) => write!(f, "Text({id}, {} bytes)", text.len()),
            RendezvousInput::Datagram(id, bytes) => write!(f, "Datagram({id}, {} bytes)", bytes.len()),
            RendezvousInput::Closed(id) => write!(f, "Closed({id})"),
            RendezvousInput::Ice(ice) => write!(f, "Ice({} servers)", ice.len()),
            RendezvousInput::Drain => f.write_str("Drain"),
            RendezvousInput::Directory(input) => write!(f, "Directory({input:?})"),
            RendezvousInput::Carried => f.write_str("Carried"),
        }
    }
}

/// Outputs of a rendezvous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RendezvousOutput {
    /// Send this.
    Send(ConnectionId, String),
    /// Send this datagram, or drop it if it would have to wait long.
    Datagram(ConnectionId, Vec<u8>),
    /// This connection hosts or views a session, for the first time. Before, it may be there only to hold a place.
    TakesPart(ConnectionId),
    /// Close the connection.
    Close(ConnectionId),
    /// No handshake is under way any more, and no host is left that can go to another rendezvous: the end, if it was
    /// asked for.
    Drained,
    /// Ask the directory that several rendezvous share; see [`Rendezvous::with_directory`].
    Directory(DirectoryOutput),
    /// Carry this connection to another rendezvous: its viewer does not go there by itself. This rendezvous knows the
    /// connection no more.
    Pipe {
        /// The connection.
        connection: ConnectionId,
        /// The place of the other rendezvous.
        place: String,
        /// The first text for the other rendezvous: the viewer's request to join.
        join: String,
    },
}

impl From<Tick> for RendezvousInput {
    fn from(Tick: Tick) -> RendezvousInput {
        RendezvousInput::Tick
    }
}

/// Whether a connection ever took part in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not yet; it is closed at that time.
    Stranger(Timestamp),
    Participant,
}

struct Connection {
    standing: Standing,
    heard_at: Timestamp,
    address: Option<IpAddr>,
    nonsense: u32,
    hosts: BTreeSet<SessionId>,
    /// The sessions of the links that it joined by.
    views: BTreeMap<LinkId, SessionId>,
}

impl Connection {
    fn new(now: Timestamp, address: Option<IpAddr>) -> Connection {
        Connection {
            standing: Standing::Stranger(now + NO_PART),
            heard_at: now,
            address,
            nonsense: 0,
            hosts: BTreeSet::new(),
            views: BTreeMap::new(),
        }
    }

    fn takes_part(&self) -> bool {
        !self.hosts.is_empty() || !self.views.is_empty()
    }

    /// Whether it may join this session by this link, a link that it has already included.
    fn may_view(&self, id: SessionId, link: LinkId) -> bool {
        self.views.get(&link).map_or(self.views.len() < MAX_VIEWS, |known| *known == id)
    }
}

struct Session {
    host: Option<ConnectionId>,
    away_since: Timestamp,
    /// Whether anybody ever joined it.
    used: bool,
    links: BTreeMap<LinkId, Link>,
    relayed: TokenBucket,
    joins: TokenBucket,
    /// Joins over the limit, and when the host was told of them last.
    turned_away: u64,
    turned_away_told: Option<Timestamp>,
}

impl Session {
    fn new(now: Timestamp) -> Session {
        Session {
            host: None,
            away_since: now,
            used: false,
            links: BTreeMap::new(),
            relayed: TokenBucket::new(now, RELAY_RATE, RELAY_BURST),
            joins: TokenBucket::new(now, JOIN_RATE, JOIN_BURST),
            turned_away: 0,
            turned_away_told: None,
        }
    }
}

/// Orders sessions without host: those that nobody ever joined first, then by how long the host is away.
type Away = (bool, Timestamp, SessionId);

impl Session {
    /// The session's place among the sessions without host.
    fn away(&self, id: SessionId) -> Away {
        (self.used, self.away_since, id)
    }

    /// Whether there are as many links as allowed, in all or from this address.
    fn has_no_room_for(&self, place: Option<IpAddr>) -> bool {
        let from_there = || self.links.values().filter(|link| link.place == place).count();
        self.links.len() >= MAX_LINKS || (place.is_some() && from_there() >= ADDRESS_LINKS)
    }
}

/// When a session without host ends.
fn ends_at((used, since, _): Away) -> Timestamp {
    if is_faulty!(SessionsStay) {
        return since + GRACE * 10_000;
    }
    since + if used { GRACE } else { UNUSED_GRACE }
}

/// The fields of a `Joined` that the viewer sent. The rendezvous adds the others, such as credentials that expire.
fn said(join: &FromRendezvous) -> Option<(Role, &[u16], Option<LinkId>)> {
    if let FromRendezvous::Joined { role, versions, resumes, .. } = join {
        Some((*role, versions, *resumes))
    } else {
        None
    }
}

struct Link {
    viewer: ConnectionId,
    /// The viewer's address, as limits count it.
    place: Option<IpAddr>,
    join: FromRendezvous,
    /// Whether the viewer goes to another rendezvous if it is told to.
    moves: bool,
    announced: bool,
    from_host: u32,
    from_viewer: u32,
}

/// Whether datagrams are relayed.
enum Relay {
    Off,
    /// With this allowance for everybody together.
    On(TokenBucket),
}

/// The rendezvous' machine.
pub struct Rendezvous {
    relay: Relay,
    /// Servers handed out.
    ice: Servers,
    tally: Tally,
    /// How many links there are, of all sessions together.
    links: usize,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that never took part, by the time at which they are closed.
    strangers: BTreeSet<(Timestamp, ConnectionId)>,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions without host, in the order in which they make room for others.
    away: BTreeSet<Away>,
    /// When silent connections are looked for next, and addresses to forget.
    next_sweep: Option<Timestamp>,
    /// When the last envelope went through, or the last host left that is to go elsewhere.
    busy_at: Option<Timestamp>,
    addresses: Addresses,
    /// If it is one of several.
    directory: Option<Directory>,
    /// By when it ends.
    drained_by: Option<Timestamp>,
    /// Connections that the input at hand ends: dropping one may end others, as one connection may host one session and
    /// view another.
    to_drop: Vec<(ConnectionId, Close)>,
    out: VecDeque<RendezvousOutput>,
}

/// How often silence is looked for: about a tenth of the time that may pass in it.
const SWEEP: Duration = Duration::from_secs(6);

impl Rendezvous {
    /// An empty rendezvous.
    pub fn new() -> Rendezvous {
        Rendezvous {
            relay: Relay::On(TokenBucket::new(Timestamp::ZERO, NODE_RELAY_RATE, NODE_RELAY_BURST)),
            ice: Servers::default(),
            tally: Tally::default(),
            links: 0,
            connections: BTreeMap::new(),
            strangers: BTreeSet::new(),
            sessions: BTreeMap::new(),
            away: BTreeSet::new(),
            next_sweep: None,
            busy_at: None,
            addresses: Addresses::default(),
            directory: None,
            drained_by: None,
            to_drop: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// Makes a rendezvous that relays no datagrams.
    #[must_use]
    pub fn without_relay(mut self) -> Rendezvous {
        self.relay = Relay::Off;
        self
    }

    /// How many datagrams were dropped because their session, the address of their sender or all together had more than
    /// [`RELAY_RATE`], [`ADDRESS_RELAY_RATE`] or [`NODE_RELAY_RATE`] allows.
    pub fn dropped(&self) -> u64 {
        self.tally.over_rate
    }

    /// The rendezvous' counters since its start.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The rendezvous' present connections, sessions and links.
    pub fn present(&self) -> Present {
        let (connections, away) = (self.connections.len(), self.away.len());
        Present { connections, hosted: self.sessions.len() - away, away, links: self.links }
    }

    /// How many sessions, links and connections there are: what must return to zero.
    pub fn counts(&self) -> (usize, usize, usize) {
        let links = self.sessions.values().map(|session| session.links.len()).sum();
        (self.sessions.len(), links, self.connections.len())
    }

    /// Says this on a connection, unless it has just closed: a connection may view a session that it hosts itself.
    fn say(&mut self, to: ConnectionId, message: &FromRendezvous) {
        if self.connections.contains_key(&to) {
            self.out.push_back(RendezvousOutput::Send(to, to_text(message)));
        }
    }

    fn on_ice(&mut self, ice: Servers) {
        self.ice = ice;
        let here = self.connections.iter().filter(|(_, connection)| connection.takes_part());
        for to in here.map(|(id, _)| *id).collect::<Vec<_>>() {
            let ice = self.ice.for_connection(to);
            self.say(to, &FromRendezvous::Ice { ice });
        }
    }

    fn refuse(&mut self, to: ConnectionId, link: Option<LinkId>, reason: Refusal) {
        self.say(to, &FromRendezvous::Refused { link, reason });
    }

    fn refuse_join(&mut self, to: ConnectionId, link: LinkId, answer: Join, reason: Refusal) {
        self.tally.joins[answer as usize] += 1;
        self.refuse(to, Some(link), reason);
    }

    fn on_text(&mut self, now: Timestamp, from: ConnectionId, text: &str) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        connection.heard_at = now;
        let Ok(message) = parse_to_rendezvous(text) else { return self.on_nonsense(now, from) };
        match message {
            ToRendezvous::Register { session, commitment, token, turn } => {
                self.asks_for_part(now, from);
                self.on_register(now, from, session, turn, [&commitment, &token]);
            }
            ToRendezvous::Join { session, link, role, versions, resumes, moves } => {
                self.asks_for_part(now, from);
                let asked = Asked { name: session, link, role, versions, resumes, moves };
                if let Some(asked) = self.ask_for(now, from, asked) {
                    self.join_here(now, from, asked, Fee::Due);
                }
            }
            ToRendezvous::Envelope { link, data } => {
                self.busy_at = Some(now);
                self.on_envelope(from, link, data);
            }
            ToRendezvous::Refuse { link, reason } => self.on_refuse(from, link, reason),
            ToRendezvous::Close { link } => self.on_close(from, link),
            ToRendezvous::Unregister { session } => {
                let Some(connection) = self.connections.get_mut(&from) else { return };
                let named = |id: &SessionId| session.is_none_or(|one| one == *id);
                let over: Vec<_> = connection.hosts.iter().filter(|id| named(id)).copied().collect();
                connection.hosts.retain(|id| !named(id));
                over.into_iter().for_each(|id| self.end_session(id));
            }
            ToRendezvous::Ping => self.out.push_back(RendezvousOutput::Send(from, PONG.to_owned())),
        }
    }

    /// A stranger asks for a part: it gets its whole time again.
    fn asks_for_part(&mut self, now: Timestamp, id: ConnectionId) {
        let Some(Connection { standing: Standing::Stranger(until), .. }) = self.connections.get_mut(&id) else {
            return;
        };
        self.strangers.remove(&(*until, id));
        *until = now + NO_PART;
        self.strangers.insert((*until, id));
    }

    fn takes_part(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Standing::Stranger(until) = std::mem::replace(&mut connection.standing, Standing::Participant) {
            self.strangers.remove(&(until, id));
            self.out.push_back(RendezvousOutput::TakesPart(id));
        }
    }

    /// The id of the session that a viewer names. No second id has the same first 84 bits: nobody can find one.
    fn find(&self, name: SessionName) -> Option<SessionId> {
        match name {
            SessionName::Full(id) => Some(id),
            SessionName::Short(short) => self.sessions.range(short.range()).next().map(|(id, _)| *id),
        }
    }

    fn on_register(&mut self, now: Timestamp, from: ConnectionId, id: SessionId, turn: u64, proof: [&Opaque; 2]) {
        let [commitment, token] = proof.map(|part| <[u8; 32]>::try_from(&part.0[..]));
        let proved = match (commitment, token) {
            (Ok(commitment), Ok(token)) => id_matches(id, &commitment, &token),
            (Ok(_) | Err(_), _) => false,
        };
        let is_taken = !proved || self.is_outdated(id, turn);
        let answer = if is_taken { Registration::Taken } else { self.may_register(now, from, id) };
        self.tally.registrations[answer as usize] += 1;
        if let Some(refusal) = answer.refusal() {
            return self.refuse(from, None, refusal);
        }
        let address = self.address_of(from);
        let session = self.sessions.entry(id).or_insert_with(|| Session::new(now));
        self.away.remove(&session.away(id));
        if let Some(earlier) = session.host {
            self.addresses.hosts_no_more(self.connections.get(&earlier).and_then(|connection| connection.address));
        }
        self.addresses.hosts(address);
        // Only the host knows the token: an earlier connection of its own is dead, even if nobody noticed yet.
        let earlier = session.host.replace(from).filter(|earlier| *earlier != from);
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.hosts.insert(id);
        }
        if let Some(earlier) = earlier {
            if let Some(connection) = self.connections.get_mut(&earlier) {
                connection.hosts.remove(&id);
            }
            self.drop_connection(now, earlier, Close::Replaced);
        }
        self.takes_part(from);
        self.claim(now, id, turn);
    }

    /// Tells the host of a session that it is registered, and which viewers are there.
    fn confirm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(host) = session.host else { return };
        let mut waiting = Vec::new();
        // Messages to an earlier connection of the host may be lost, unless the host has answered them.
        for link in session.links.values_mut().filter(|link| link.from_host == 0) {
            link.announced = true;
            let address = self.connections.get(&link.viewer).and_then(|viewer| viewer.address);
            waiting.push((link.viewer, link.join.clone(), address.map(AddressClass::of)));
        }
        let ice = self.ice.for_connection(host);
        self.say(host, &FromRendezvous::Registered { ice: ice.clone(), short_names: true });
        for (viewer, join, class) in waiting {
            self.say(host, &join.clone().for_host(class, ice.clone()));
            self.say(viewer, &join);
        }
        self.send_on(host);
    }

    /// Whether a session whose host proved it is given to this connection; a new one has its place then.
    fn may_register(&mut self, now: Timestamp, from: ConnectionId, id: SessionId) -> Registration {
        let address = self.address_of(from);
        let many = |connection: &Connection| connection.hosts.len() >= MAX_HOSTED && !connection.hosts.contains(&id);
        if self.connections.get(&from).is_some_and(many) {
            return Registration::Full;
        }
        if self.sends_away(from) {
            return Registration::Busy;
        }
        if self.sessions.contains_key(&id) {
            return Registration::Registered;
        }
        if !self.addresses.may_register(now, address) {
            return Registration::Busy;
        }
        if self.addresses.is_full_of_hosts(address) {
            return Registration::Full;
        }
        if self.sessions.len() >= MAX_SESSIONS {
            // A session without host makes room: nobody is kept out by people who register and leave.
            let Some((.., away)) = self.away.first().copied() else { return Registration::Full };
            self.end_session(away);
        }
        Registration::Registered
    }

    /// A viewer asks for a session that is here or nowhere.
    fn join_here(&mut self, now: Timestamp, from: ConnectionId, asked: Asked, fee: Fee) {
        let Asked { name, link, role, versions, resumes, moves } = asked;
        let Some(id) = self.find(name) else {
            return self.refuse_join(from, link, Join::NoSession, Refusal::NoSession);
        };
        let relay = matches!(self.relay, Relay::On(_));
        let (ice, session) = (self.ice.for_connection(from), Some(id));
        let join = FromRendezvous::Joined { link, role, versions, relay, resumes, ice, from: None, session };
        self.on_join(now, from, (id, link), (join, moves), fee);
    }

    fn on_join(
        &mut self,
        now: Timestamp,
        from: ConnectionId,
        (id, link): (SessionId, LinkId),
        (join, moves): (FromRendezvous, bool),
        fee: Fee,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return self.refuse_join(from, link, Join::NoSession, Refusal::NoSession);
        };
        if self.connections.get(&from).is_some_and(|connection| !connection.may_view(id, link)) {
            return self.refuse_join(from, link, Join::Full, Refusal::Full);
        }
        if let Some(known) = session.links.get_mut(&link).filter(|known| said(&known.join) == said(&join)) {
            // The same viewer again: its earlier connection may be dead unnoticed. Only this viewer and the host know
            // the link id.
            known.join.clone_from(&join);
            known.moves = moves;
            let earlier = std::mem::replace(&mut known.viewer, from);
            if let Some(connection) = self.connections.get_mut(&earlier) {
                connection.views.remove(&link);
            }
            if let Some(connection) = self.connections.get_mut(&from) {
                connection.views.insert(link, id);
            }
            let answer = if session.host.is_some() { join } else { FromRendezvous::Waiting { link } };
            self.takes_part(from);
            self.tally.joins[Join::Again as usize] += 1;
            return self.say(from, &answer);
        }
        let address = self.connections.get(&from).and_then(|connection| connection.address);
        let place = address.map(owner);
        // The address is asked first: what is refused there takes nothing from those who come from elsewhere.
        let allowed = fee == Fee::Paid || self.addresses.may_join(now, address);
        if allowed && (session.links.contains_key(&link) || session.has_no_room_for(place)) {
            return self.refuse_join(from, link, Join::Full, Refusal::Full);
        }
        if !allowed || (fee == Fee::Due && !session.joins.take(now, 1)) {
            self.turn_away(now, id);
            return self.refuse_join(from, link, Join::Busy, Refusal::Busy);
        }
        let host = session.host;
        let announced = host.is_some();
        if self.away.remove(&session.away(id)) {
            self.away.insert((true, session.away_since, id));
        }
        session.used = true;
        let made = Link { viewer: from, place, join: join.clone(), moves, announced, from_host: 0, from_viewer: 0 };
        session.links.insert(link, made);
        self.links += 1;
        self.tally.joins[if announced { Join::Joined } else { Join::Waiting } as usize] += 1;
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.views.insert(link, id);
        }
        self.takes_part(from);
        match host {
            Some(host) => {
                let ice = self.ice.for_connection(host);
                self.say(host, &join.clone().for_host(address.map(AddressClass::of), ice));
                self.say(from, &join);
            }
            None => self.say(from, &FromRendezvous::Waiting { link }),
        }
    }

    /// The host learns that joins are refused on its behalf.
    fn turn_away(&mut self, now: Timestamp, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.turned_away += 1;
        let due = session.turned_away_told.is_none_or(|told| told + TURNED_AWAY_EVERY <= now);
        if let (Some(host), true) = (session.host, due) {
            session.turned_away_told = Some(now);
            let count = session.turned_away;
            self.say(host, &FromRendezvous::TurnedAway { count });
        }
    }

    fn address_of(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.connections.get(&connection)?.address
    }

    /// The session of `link` and whether `from` is its host; `None` if `from` has no part in it.
    fn locate(&self, from: ConnectionId, link: LinkId) -> Option<(SessionId, bool)> {
        let connection = self.connections.get(&from)?;
        let has = |id: &&SessionId| self.sessions.get(*id).is_some_and(|session| session.links.contains_key(&link));
        if let Some(id) = connection.hosts.iter().find(has) {
            return Some((*id, true));
        }
        connection.views.get(&link).map(|id| (*id, false))
    }

    fn on_envelope(&mut self, from: ConnectionId, link: LinkId, data: Opaque) {
        let Some((id, is_host)) = self.locate(from, link) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let host = session.host;
        let Some(known) = session.links.get_mut(&link) else { return };
        let (count, to) =
            if is_host { (&mut known.from_host, Some(known.viewer)) } else { (&mut known.from_viewer, host) };
        *count += 1;
        let (over, to) = (*count > MAX_LINK_MESSAGES, to);
        if over {
            self.refuse(from, Some(link), Refusal::Misuse);
            self.forget_link(id, link, Some(is_host));
        } else if let Some(to) = to {
            self.tally.envelopes += 1;
            self.say(to, &FromRendezvous::Envelope { link, data });
        }
    }

    fn on_datagram(&mut self, now: Timestamp, from: ConnectionId, bytes: Vec<u8>) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        connection.heard_at = now;
        let address = connection.address;
        let Ok(relayed) = Relayed::decode(&bytes) else { return self.on_nonsense(now, from) };
        let link = relayed.link;
        // Of a link that is not there any more, or never was.
        let Some((id, is_host)) = self.locate(from, link) else { return };
        let Relay::On(all) = &mut self.relay else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let viewer = session.links.get(&link).map(|link| link.viewer);
        let Some(to) = (if is_host { viewer } else { session.host }) else { return };
        // The address is asked first, as for joins.
        let length = bytes.len();
        let may = self.addresses.may_relay(now, address, length);
        if may && session.relayed.take(now, length) && all.take(now, length) {
            self.tally.relayed += 1;
            self.out.push_back(RendezvousOutput::Datagram(to, bytes));
        } else {
            self.tally.over_rate += 1;
        }
    }

    fn on_nonsense(&mut self, now: Timestamp, from: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        connection.nonsense += 1;
        if connection.nonsense >= MAX_NONSENSE {
            self.drop_connection(now, from, Close::Nonsense);
        }
    }

    fn on_refuse(&mut self, from: ConnectionId, link: LinkId, reason: Refusal) {
        let Some((id, true)) = self.locate(from, link) else { return };
        let viewer = self.sessions.get(&id).and_then(|session| session.links.get(&link)).map(|link| link.viewer);
        if let Some(viewer) = viewer {
            self.refuse(viewer, Some(link), reason);
            self.forget_link(id, link, None);
        }
    }

    fn on_close(&mut self, from: ConnectionId, link: LinkId) {
        if let Some(directory) = &mut self.directory {
            directory.cancel(from, link);
        }
        if let Some((id, is_host)) = self.locate(from, link) {
            self.forget_link(id, link, Some(is_host));
        }
    }

    /// Forgets a link; the side that did not end it is told.
    fn forget_link(&mut self, id: SessionId, link: LinkId, ended_by_host: Option<bool>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let host = session.host;
        let Some(gone) = session.links.remove(&link) else { return };
        self.links -= 1;
        if let Some(connection) = self.connections.get_mut(&gone.viewer) {
            connection.views.remove(&link);
        }
        match ended_by_host {
            Some(true) => self.say(gone.viewer, &FromRendezvous::Closed { link }),
            Some(false) => {
                if let Some(host) = host.filter(|_| gone.announced) {
                    self.say(host, &FromRendezvous::Closed { link });
                }
            }
            None => {}
        }
    }

    fn end_session(&mut self, id: SessionId) {
        self.release(id);
        self.end(id, None);
    }

    /// Ends a session. Viewers go to `place` if their host is there. Viewers that do not go by themselves are dropped:
    /// when they connect again, their connections are carried there.
    fn end(&mut self, id: SessionId, place: Option<&str>) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.links -= session.links.len();
        self.away.remove(&session.away(id));
        if let Some(host) = session.host {
            self.addresses.hosts_no_more(self.address_of(host));
        }
        for (link, gone) in session.links {
            if let Some(connection) = self.connections.get_mut(&gone.viewer) {
                connection.views.remove(&link);
            }
            let told = match place {
                Some(_) if !gone.moves => {
                    self.to_drop.push((gone.viewer, Close::Ending));
                    continue;
                }
                Some(url) => FromRendezvous::Elsewhere { link, url: url.to_owned() },
                None if gone.announced => FromRendezvous::Closed { link },
                None => FromRendezvous::Refused { link: Some(link), reason: Refusal::NoSession },
            };
            self.say(gone.viewer, &told);
        }
    }

    fn drop_connection(&mut self, now: Timestamp, id: ConnectionId, why: Close) {
        if self.connections.contains_key(&id) {
            self.tally.closed[why as usize] += 1;
            self.out.push_back(RendezvousOutput::Close(id));
            self.on_closed(now, id);
        }
    }

    fn on_closed(&mut self, now: Timestamp, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(directory) = &mut self.directory {
            directory.forget(id);
        }
        if let Standing::Stranger(until) = connection.standing {
            self.strangers.remove(&(until, id));
        }
        for (link, session) in connection.views {
            self.forget_link(session, link, Some(false));
        }
        for hosted in connection.hosts {
            if let Some(session) = self.sessions.get_mut(&hosted).filter(|session| session.host == Some(id)) {
                session.host = None;
                if let Some(directory) = &mut self.directory {
                    directory.away(hosted);
                }
                self.addresses.hosts_no_more(connection.address);
                session.away_since = now;
                self.away.insert(session.away(hosted));
                self.host_has_left(now);
                self.tell_viewers(now, hosted);
            }
        }
        self.addresses.closed(connection.address);
    }

    fn sweep(&mut self, now: Timestamp) {
        let silent: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| now - connection.heard_at >= SILENCE)
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            self.drop_connection(now, id, Close::Silent);
        }
        self.addresses.forget(now);
    }

    /// The sessions without host that end first: of those that nobody ever joined, and of the others.
    fn first_away(&self) -> [Option<Away>; 2] {
        let used = (true, Timestamp::ZERO, SessionId([0; 16]));
        [self.away.range(..used).next().copied(), self.away.range(used..).next().copied()]
    }

    fn end_absent(&mut self, now: Timestamp) {
        while let Some((.., id)) = self.first_away().into_iter().flatten().find(|away| ends_at(*away) <= now) {
            self.end_session(id);
        }
    }
}

impl Default for Rendezvous {
    fn default() -> Rendezvous {
        Rendezvous::new()
    }
}

impl Machine for Rendezvous {
    type Input = RendezvousInput;
    type Output = RendezvousOutput;

    fn handle(&mut self, now: Timestamp, input: RendezvousInput) {
        match input {
            RendezvousInput::Tick => {}
            RendezvousInput::Opened(id, address) => {
                self.addresses.opened(now, address);
                self.connections.insert(id, Connection::new(now, address));
                self.strangers.insert((now + NO_PART, id));
            }
            RendezvousInput::Text(id, text) => self.on_text(now, id, &text),
            RendezvousInput::Datagram(id, bytes) => self.on_datagram(now, id, bytes),
            RendezvousInput::Closed(id) => self.on_closed(now, id),
            RendezvousInput::Ice(ice) => self.on_ice(ice),
            RendezvousInput::Drain => self.drain(now),
            RendezvousInput::Directory(input) => self.on_directory(now, input),
            RendezvousInput::Carried => self.busy_at = Some(now),
        }
        self.directory_on_time(now);
        self.end_absent(now);
        while let Some((_, id)) = self.strangers.first().copied().filter(|(until, _)| *until <= now) {
            self.drop_connection(now, id, Close::NoPart);
        }
        if self.next_sweep.is_none_or(|at| at <= now) {
            self.sweep(now);
            self.next_sweep = Some(now + SWEEP);
        }
        while let Some((id, why)) = self.to_drop.pop() {
            self.drop_connection(now, id, why);
        }
        if self.drained_at().is_some_and(|at| at <= now) {
            self.drained_by = None;
            self.out.push_back(RendezvousOutput::Drained);
        }
        if self.connections.is_empty() && self.addresses.is_empty() {
            self.next_sweep = None;
        }
        if cfg!(debug_assertions) && !is_faulty!() {
            self.check();
        }
    }

    fn poll(&mut self) -> Option<RendezvousOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        let away = self.first_away().map(|away| away.map(ends_at));
        let stranger = self.strangers.first().map(|(until, _)| *until);
        let directory = self.directory.as_ref().and_then(Directory::deadline);
        away.into_iter().chain([self.next_sweep, self.drained_at(), stranger, directory]).flatten().min()
    }
}
