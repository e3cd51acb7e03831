//! A machine, its peers and its secrets: turns links into datagrams and signalling, and back.
//!
//! Everything above is handles and messages; everything secret stands here. One input goes in, then everything that follows from it is
//! settled, down to the datagrams, before `handle` returns.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::engine::{Engine, Peer, PeerOutput, PeerSide};
use crate::entropy::Entropy;
use crate::id::LinkId;
use crate::invite::{HostSecrets, Invite, Role};
use crate::journal::{Journal, Record};
use crate::link::{Attempt, Candidate, Command, Down, Envelope, Event, Lane, LinkUser, Path, Progress, VERSIONS};
use crate::machine::{Machine, Tick};
use crate::paths::RoundTrips;
use crate::seal::{Channel, Confirmation, Initiator, Prologue, Responder, SealError, Side};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::Confirm;
use crate::wire::signal::{
    Description, FromRendezvous, Opaque, Sealed, Second, ToRendezvous, decode_hello, decode_second, encode_hello,
    encode_second, parse_from_rendezvous, to_text,
};

/// Candidates of the other side that came before its description are kept, this many.
const MAX_EARLY_CANDIDATES: usize = 32;

/// Messages that wait for the control lane, a link: more than the synchronisation ever has in flight.
const MAX_WAITING: usize = 256;

/// A link whose peer hears nothing at all for this long is down: checks of its path come every few seconds.
const SILENCE: Duration = Duration::from_secs(15);

/// The rendezvous hears from us at least this often.
const PING_EVERY: Duration = Duration::from_secs(20);

/// And we from it, after a ping, within this time.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// First repetition of a confirmation MAC; it grows by half each time.
const CONFIRM_AFTER: Duration = Duration::from_millis(60);

/// Longest pause between two repetitions.
const CONFIRM_AT_MOST: Duration = Duration::from_millis(500);

/// First repetition of Noise message 1, which doubles; as for numbered envelopes.
const HELLO_AFTER: Duration = Duration::from_millis(500);

/// Numbers the sets of sockets that an endpoint asked for.
pub type Generation = u16;

/// What happens to an endpoint.
#[derive(Clone, Debug)]
pub enum Input<I> {
    /// It is later now.
    Tick,
    /// For the machine.
    Machine(I),
    /// The rendezvous is connected.
    SignalUp,
    /// The rendezvous is not connected any more, and why.
    SignalDown(String),
    /// The rendezvous said this.
    Signal(String),
    /// The sockets of this generation are open, at these addresses; none if that failed.
    Bound(Generation, Vec<SocketAddr>),
    /// A datagram arrived.
    Datagram {
        /// From there.
        source: SocketAddr,
        /// At this address of ours.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
}

impl<I> From<Tick> for Input<I> {
    fn from(Tick: Tick) -> Input<I> {
        Input::Tick
    }
}

/// What an endpoint wants done.
#[derive(Clone, Debug)]
pub enum Output<O> {
    /// From the machine.
    Machine(O),
    /// Connect to the rendezvous; abandon the connection that is there.
    Dial,
    /// Leave the rendezvous.
    HangUp,
    /// Say this to the rendezvous.
    Signal(String),
    /// Open fresh sockets, a socket for each local address, and close those of earlier generations.
    Bind(Generation),
    /// Send this datagram.
    Datagram {
        /// From this address of ours.
        source: SocketAddr,
        /// To there.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Append this to the recording.
    Record(Vec<u8>),
}

/// Which side an endpoint is, and what it knows.
pub enum Secrets {
    /// A host's.
    Host(HostSecrets),
    /// A viewer's.
    Viewer(Invite),
}

/// A machine over an engine.
pub struct Endpoint<M: Machine, E: Engine> {
    machine: M,
    engine: E,
    secrets: Secrets,
    entropy: Entropy,
    links: BTreeMap<LinkId, Link<E::Peer>>,
    /// Which link a (source, destination) pair belongs to.
    routes: BTreeMap<(SocketAddr, SocketAddr), LinkId>,
    /// The open sockets, and their generation.
    sockets: (Generation, Vec<SocketAddr>),
    /// The generation that was asked for last.
    asked: Generation,
    signal_up: bool,
    said_at: Timestamp,
    pinged_at: Option<Timestamp>,
    events: VecDeque<Event>,
    journal: Option<Journal>,
    out: VecDeque<Output<M::Output>>,
}

/// One link, below the seam.
struct Link<P> {
    /// Claimed until the seal is open, then proved.
    role: Role,
    versions: Vec<u16>,
    seal: Seal,
    /// The newest description of the other side.
    remote: Option<(Attempt, Description)>,
    early: Vec<(Attempt, Candidate)>,
    live: Option<Live<P>>,
}

/// How far the sealing of a link is.
enum Seal {
    /// Host: a viewer asked to join; its message 1 is awaited. Viewer: the machine has not said hello yet.
    Nothing,
    /// Viewer: message 1 is out.
    Sent { initiator: Box<Initiator>, again: Timestamp, pause: Duration },
    /// Host: message 1 was authentic; the machine decides.
    Proved { responder: Box<Responder>, first: Vec<u8> },
    /// Both messages have passed. The host keeps them, in case message 2 was lost.
    Open { channel: Box<Channel>, first: Vec<u8>, second: Vec<u8> },
}

/// The current peer of a link.
struct Live<P> {
    attempt: Attempt,
    peer: P,
    /// Our half of the confirmation key.
    half: [u8; 32],
    accepted: bool,
    confirming: Option<Confirming>,
    /// Both MACs hold: the terminal lane may be used.
    confirmed: bool,
    control_open: bool,
    /// The control lane may be used as well.
    up: bool,
    heard_at: Timestamp,
    /// The path that lane datagrams took last.
    path: Option<Path>,
    round_trips: RoundTrips,
    outbox: VecDeque<(Lane, Vec<u8>)>,
    inbox: VecDeque<(Lane, Vec<u8>)>,
}

/// Two MACs on their way.
struct Confirming {
    keys: Confirmation,
    own_fingerprint: [u8; 32],
    observed: [u8; 32],
    mac: [u8; 32],
    /// The other side's MAC holds: it may be heard.
    verified: bool,
    /// The other side says that ours holds: it may be spoken to.
    acknowledged: bool,
    again: Timestamp,
    pause: Duration,
}

impl Confirming {
    fn is_done(&self) -> bool {
        self.verified && self.acknowledged
    }
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// An endpoint. `entropy` is for keys and credentials: from the operating system in production, a seed in tests.
    pub fn new(machine: M, engine: E, secrets: Secrets, entropy: Entropy) -> Endpoint<M, E> {
        let mut endpoint = Endpoint {
            machine,
            engine,
            entropy,
            links: BTreeMap::new(),
            routes: BTreeMap::new(),
            sockets: (0, Vec::new()),
            asked: 0,
            signal_up: false,
            said_at: Timestamp::ZERO,
            pinged_at: None,
            events: VecDeque::new(),
            journal: None,
            out: VecDeque::new(),
            secrets,
        };
        if let Secrets::Host(_) = endpoint.secrets {
            // One set of sockets serves all links.
            endpoint.asked = 1;
            endpoint.out.push_back(Output::Bind(1));
        }
        endpoint
    }

    /// Records what happens from here on; before the first input. `first` is made from the machine's configuration.
    #[must_use]
    pub fn recording(mut self, first: &Record) -> Endpoint<M, E> {
        let mut journal = Journal::default();
        journal.begin(first);
        self.journal = Some(journal);
        self
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, for what does not go through `handle`.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Links, peers and routes held: what must return to zero when everybody has left.
    pub fn held(&self) -> (usize, usize, usize) {
        let peers = self.links.values().filter(|link| link.live.is_some()).count();
        (self.links.len(), peers, self.routes.len())
    }

    /// The round trip of the newest answered check of any link; a viewer has one link.
    pub fn round_trip(&self) -> Option<Duration> {
        self.links.values().find_map(|link| link.live.as_ref()?.round_trips.latest())
    }

    /// What must never be seen outside: for leak tests.
    pub fn needles(&self) -> Vec<String> {
        let mut needles = match &self.secrets {
            Secrets::Host(secrets) => secrets.needles(),
            Secrets::Viewer(_) => Vec::new(),
        };
        let confirming = self.links.values().filter_map(|link| link.live.as_ref()?.confirming.as_ref());
        needles.extend(confirming.map(|confirming| confirming.keys.needle()));
        needles
    }

    fn side(&self) -> (Side, PeerSide) {
        match self.secrets {
            Secrets::Host(_) => (Side::Host, PeerSide::Host),
            Secrets::Viewer(_) => (Side::Viewer, PeerSide::Viewer),
        }
    }

    fn note(&mut self, now: Timestamp, note: impl FnOnce() -> String) {
        if let Some(journal) = &mut self.journal {
            journal.note(now, note());
        }
    }

    // Up and down the seam.

    fn feed(&mut self, now: Timestamp, input: M::Input) {
        if let Some(journal) = &mut self.journal {
            journal.input(now, &input);
        }
        self.machine.handle(now, input);
    }

    /// Until nothing follows from anything any more.
    fn settle(&mut self, now: Timestamp) {
        loop {
            while let Some(output) = self.machine.poll() {
                if let Some(journal) = &mut self.journal {
                    journal.output(&output);
                }
                match M::split(output) {
                    Ok(command) => self.obey(now, command),
                    Err(output) => self.out.push_back(Output::Machine(output)),
                }
            }
            let Some(event) = self.events.pop_front() else { break };
            self.feed(now, event.into());
        }
        if let Some(journal) = &mut self.journal {
            let bytes = journal.take();
            if !bytes.is_empty() {
                self.out.push_back(Output::Record(bytes));
            }
        }
    }

    fn obey(&mut self, now: Timestamp, command: Command) {
        match command {
            Command::Dial => {
                self.signal_up = false;
                self.out.push_back(Output::Dial);
            }
            Command::HangUp => {
                self.signal_up = false;
                self.out.push_back(Output::HangUp);
            }
            Command::Register => self.register(now),
            Command::Unregister => self.say(now, &ToRendezvous::Unregister),
            Command::Join(link) => self.join(now, link),
            Command::Hello(link, hello) => self.hello(now, link, &encode_hello(&hello)),
            Command::Refuse(link, reason) => {
                self.say(now, &ToRendezvous::Refuse { link, reason });
                self.forget(link);
            }
            Command::Verdict(link, verdict) => self.verdict(now, link, verdict),
            Command::Envelope(link, envelope) => self.seal(now, link, envelope),
            Command::Open(link, attempt) => self.open(now, link, attempt),
            Command::Accept(link, attempt) => self.accept(now, link, attempt),
            Command::Candidate(link, attempt, candidate) => self.candidate(now, link, attempt, candidate),
            Command::Send(link, lane, bytes) => self.send(now, link, lane, bytes),
            Command::Close(link) => {
                if self.links.contains_key(&link) {
                    self.say(now, &ToRendezvous::Close { link });
                    self.forget(link);
                }
            }
        }
    }

    // The rendezvous.

    fn say(&mut self, now: Timestamp, message: &ToRendezvous) {
        if self.signal_up {
            self.said_at = now;
            self.out.push_back(Output::Signal(to_text(message)));
        }
    }

    fn say_envelope(&mut self, now: Timestamp, link: LinkId, data: Vec<u8>) {
        self.say(now, &ToRendezvous::Envelope { link, data: Opaque(data) });
    }

    fn register(&mut self, now: Timestamp) {
        let Secrets::Host(secrets) = &self.secrets else { return };
        let message = ToRendezvous::Register {
            session: secrets.session(),
            commitment: Opaque(secrets.commitment().to_vec()),
            token: Opaque(secrets.token().to_vec()),
        };
        self.say(now, &message);
    }

    fn join(&mut self, now: Timestamp, link: LinkId) {
        let Secrets::Viewer(invite) = &self.secrets else { return };
        let (session, role) = (invite.session, invite.role);
        let versions = VERSIONS.to_vec();
        self.links.entry(link).or_insert_with(|| Link::new(role, versions.clone()));
        self.say(now, &ToRendezvous::Join { session, link, role, versions });
    }

    fn on_signal(&mut self, now: Timestamp, text: &str) {
        self.pinged_at = None;
        let Ok(message) = parse_from_rendezvous(text) else {
            self.note(now, || "the rendezvous said something that is not understood".to_owned());
            return;
        };
        match message {
            FromRendezvous::Registered => self.events.push_back(Event::Registered),
            FromRendezvous::Joined { link, role, versions } => {
                if let Secrets::Host(_) = self.secrets {
                    if self.links.contains_key(&link) {
                        return;
                    }
                    self.links.insert(link, Link::new(role, versions.clone()));
                }
                self.events.push_back(Event::Joined { link, role, versions });
            }
            FromRendezvous::Waiting { link } => self.events.push_back(Event::Waiting(link)),
            FromRendezvous::Refused { link, reason } => self.events.push_back(Event::Refused(link, reason)),
            FromRendezvous::Closed { link } => self.events.push_back(Event::Gone(link)),
            FromRendezvous::Pong => {}
            FromRendezvous::Envelope { link, data } => self.on_envelope(now, link, &data.0),
        }
    }

    fn keep_alive(&mut self, now: Timestamp) {
        if !self.signal_up {
            return;
        }
        match self.pinged_at {
            Some(at) if at + PONG_WITHIN <= now => {
                self.signal_up = false;
                self.out.push_back(Output::HangUp);
                self.events.push_back(Event::SignalDown("the rendezvous does not answer any more".to_owned()));
            }
            None if self.said_at + PING_EVERY <= now => {
                self.pinged_at = Some(now);
                self.say(now, &ToRendezvous::Ping);
            }
            Some(_) | None => {}
        }
    }

    // Sealing.

    fn hello(&mut self, now: Timestamp, id: LinkId, hello: &[u8]) {
        let Secrets::Viewer(invite) = &self.secrets else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        let prologue = Prologue { session: invite.session, role: invite.role, versions: &link.versions, link: id };
        let initiator = Initiator::new(&mut self.entropy, &invite.key.psk(invite.role), &prologue, hello);
        let first = initiator.first().to_vec();
        link.seal =
            Seal::Sent { initiator: Box::new(initiator), again: now + HELLO_AFTER, pause: HELLO_AFTER };
        self.say_envelope(now, id, first);
    }

    fn on_envelope(&mut self, now: Timestamp, id: LinkId, data: &[u8]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let outcome = match (&mut link.seal, &self.secrets) {
            (Seal::Nothing, Secrets::Host(secrets)) => {
                let prologue =
                    Prologue { session: secrets.session(), role: link.role, versions: &link.versions, link: id };
                let psk = secrets.psk(link.role);
                match Responder::accept(&mut self.entropy, &psk, secrets.static_private(), &prologue, data) {
                    Ok((responder, hello)) => match decode_hello(&hello) {
                        Ok(hello) => {
                            link.seal = Seal::Proved { responder: Box::new(responder), first: data.to_vec() };
                            self.events.push_back(Event::Hello(id, link.role, hello));
                            Ok(())
                        }
                        Err(_) => Err(SealError::Malformed),
                    },
                    Err(error) => Err(error),
                }
            }
            (Seal::Proved { first, .. }, _) => if first == data { Ok(()) } else { Err(SealError::Forged) },
            (Seal::Open { first, second, .. }, Secrets::Host(_)) if first == data => {
                let second = second.clone();
                return self.say_envelope(now, id, second);
            }
            (Seal::Sent { initiator, .. }, Secrets::Viewer(invite)) => match initiator.finish(data) {
                Ok(opened) => {
                    let second = decode_second(&opened.payload);
                    match second {
                        Ok(second) if invite.commits_to(&opened.host_static, &second.token_hash) => {
                            let Seal::Sent { initiator, .. } = std::mem::replace(&mut link.seal, Seal::Nothing) else {
                                return;
                            };
                            let channel = Box::new(initiator.into_channel());
                            link.seal = Seal::Open { channel, first: Vec::new(), second: data.to_vec() };
                            self.events.push_back(Event::Verdict(id, second.verdict));
                            Ok(())
                        }
                        Ok(_) => Err(SealError::WrongHost),
                        Err(_) => Err(SealError::Malformed),
                    }
                }
                Err(error) => Err(error),
            },
            (Seal::Open { second, .. }, Secrets::Viewer(_)) if second == data => Ok(()),
            (Seal::Open { channel, .. }, _) => match channel.open(data) {
                Ok(Some(body)) => match Sealed::decode(&body) {
                    Ok(sealed) => {
                        let (envelope, description) = sealed.open();
                        if let (Envelope::Offer(attempt) | Envelope::Answer(attempt), Some(description)) =
                            (&envelope, description)
                        {
                            if link.remote.as_ref().is_none_or(|(newest, _)| newest < attempt) {
                                link.remote = Some((*attempt, description));
                            }
                        }
                        self.events.push_back(Event::Envelope(id, envelope));
                        Ok(())
                    }
                    Err(_) => Err(SealError::Malformed),
                },
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
            (Seal::Nothing, Secrets::Viewer(_)) | (Seal::Sent { .. }, Secrets::Host(_)) => Err(SealError::Malformed),
        };
        match outcome {
            Ok(()) => {}
            Err(SealError::WrongHost) => {
                let verdict = crate::link::Verdict::Refused(crate::link::Refusal::WrongHost);
                self.events.push_back(Event::Verdict(id, verdict));
            }
            // A repetition; the acknowledgement that it asks for goes out with what is due.
            Err(SealError::Replayed) => {}
            Err(error @ (SealError::Forged | SealError::Malformed | SealError::Full)) => {
                self.note(now, || format!("link {id}: an envelope was dropped: {error}"));
                self.events.push_back(Event::Forged(id));
            }
        }
        self.send_due(now, id);
    }

    fn verdict(&mut self, now: Timestamp, id: LinkId, verdict: crate::link::Verdict) {
        let Secrets::Host(secrets) = &self.secrets else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        match std::mem::replace(&mut link.seal, Seal::Nothing) {
            Seal::Proved { responder, first } => {
                let payload = encode_second(&Second { token_hash: secrets.token_hash(), verdict });
                let (channel, second) = responder.reply(&payload);
                link.seal = Seal::Open { channel: Box::new(channel), first, second: second.clone() };
                self.say_envelope(now, id, second);
            }
            other @ (Seal::Nothing | Seal::Sent { .. } | Seal::Open { .. }) => link.seal = other,
        }
    }

    fn seal(&mut self, now: Timestamp, id: LinkId, envelope: Envelope) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let description = link.live.as_ref().map(Live::description);
        let Some(sealed) = Sealed::new(envelope, description) else { return };
        let Seal::Open { channel, .. } = &mut link.seal else { return };
        match channel.seal(now, &sealed.encode()) {
            Ok(bytes) => self.say_envelope(now, id, bytes),
            Err(error) => self.note(now, || format!("link {id}: an envelope was not sealed: {error}")),
        }
    }

    /// Repetitions and acknowledgements.
    fn send_due(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let due = match &mut link.seal {
            Seal::Sent { initiator, again, pause } if *again <= now => {
                *pause *= 2;
                *again = now + *pause;
                vec![initiator.first().to_vec()]
            }
            Seal::Open { channel, .. } => channel.due(now),
            Seal::Nothing | Seal::Sent { .. } | Seal::Proved { .. } => Vec::new(),
        };
        for data in due {
            self.say_envelope(now, id, data);
        }
    }

    // Peers.

    /// Host: a peer that will be offered.
    fn open(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        self.make_peer(now, id, attempt);
        self.add_local(now, id);
    }

    /// The other side's description is there.
    fn accept(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        if let Secrets::Viewer(_) = self.secrets {
            self.make_peer(now, id, attempt);
            // A fresh port, since the host cannot tell two peers on one pair of addresses apart.
            self.asked = attempt;
            self.out.push_back(Output::Bind(attempt));
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(live), Some((_, description))) = (
            link.live.as_mut().filter(|live| live.attempt == attempt),
            link.remote.as_ref().filter(|(described, _)| *described == attempt),
        ) else {
            return;
        };
        live.accepted = true;
        let early: Vec<_> = link.early.extract_if(.., |(of, _)| *of <= attempt).collect();
        if let Err(down) = live.peer.set_remote(now, description) {
            self.events.push_back(Event::Down(id, attempt, down));
            return;
        }
        for (_, candidate) in early.into_iter().filter(|(of, _)| *of == attempt) {
            live.peer.add_remote(now, candidate);
        }
        self.drain(now, id);
    }

    fn make_peer(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        let (_, side) = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let peer = self.engine.peer(now, side, attempt, &mut self.entropy);
        link.live = Some(Live::new(now, attempt, peer, self.entropy.bytes()));
        self.routes.retain(|_, routed| *routed != id);
        self.drain(now, id);
    }

    fn add_local(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let attempt = live.attempt;
        for address in &self.sockets.1 {
            if let Some(candidate) = live.peer.add_local(now, *address) {
                self.events.push_back(Event::Candidate(id, attempt, candidate));
            }
        }
        self.drain(now, id);
    }

    fn on_bound(&mut self, now: Timestamp, generation: Generation, addresses: Vec<SocketAddr>) {
        if generation != self.asked {
            return;
        }
        self.sockets = (generation, addresses);
        let ids: Vec<_> = self.links.iter().filter(|(_, link)| link.live.is_some()).map(|(id, _)| *id).collect();
        for id in ids {
            if self.sockets.1.is_empty() {
                let attempt = self.links[&id].live.as_ref().map_or(0, |live| live.attempt);
                self.events.push_back(Event::Down(id, attempt, Down::NoAddress));
            } else {
                self.add_local(now, id);
            }
        }
    }

    fn candidate(&mut self, now: Timestamp, id: LinkId, attempt: Attempt, candidate: Candidate) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.live.as_mut().filter(|live| live.attempt == attempt && live.accepted) {
            Some(live) => {
                live.peer.add_remote(now, candidate);
                self.drain(now, id);
            }
            None => {
                if link.early.len() < MAX_EARLY_CANDIDATES {
                    link.early.push((attempt, candidate));
                }
            }
        }
    }

    fn on_datagram(&mut self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        let takes = |link: &Link<E::Peer>| {
            link.live.as_ref().is_some_and(|live| live.peer.accepts(now, source, destination, bytes))
        };
        let routed = self.routes.get(&(source, destination)).copied();
        let routed = routed.filter(|id| self.links.get(id).is_some_and(takes));
        let found = routed.or_else(|| self.links.iter().find(|(_, link)| takes(link)).map(|(id, _)| *id));
        // A datagram of a stranger, or of an attempt that is over.
        let Some(id) = found else { return };
        self.routes.insert((source, destination), id);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        live.heard_at = now;
        live.round_trips.received(now, bytes);
        if let Err(down) = live.peer.receive(now, source, destination, bytes) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    /// Takes from a peer what follows from the last input.
    fn drain(&mut self, now: Timestamp, id: LinkId) {
        while let Some((attempt, output)) = self.links.get_mut(&id).and_then(|link| {
            let live = link.live.as_mut()?;
            Some((live.attempt, live.peer.poll()?))
        }) {
            match output {
                PeerOutput::Transmit { source, destination, bytes } => {
                    self.transmit(now, id, source, destination, bytes);
                }
                PeerOutput::PathFound => {
                    self.note(now, || format!("link {id}, attempt {attempt}: a path answered"));
                    self.events.push_back(Event::Progress(id, attempt, Progress::Securing));
                }
                PeerOutput::Secured => self.on_secured(now, id, attempt),
                PeerOutput::ControlOpen => {
                    self.note(now, || format!("link {id}, attempt {attempt}: the control lane is open"));
                    if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
                        live.control_open = true;
                    }
                    self.lift(id);
                }
                PeerOutput::Message(lane, bytes) => self.on_message(now, id, attempt, lane, bytes),
                PeerOutput::Down(down) => self.events.push_back(Event::Down(id, attempt, down)),
            }
        }
        self.flush(now, id);
    }

    fn transmit(&mut self, now: Timestamp, id: LinkId, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
            // RFC 7983: STUN begins with 0 to 3, DTLS with 20 to 63, RTP with 128 to 191.
            if bytes.first().is_some_and(|first| *first >= 20) {
                live.path = Some(Path { local: source, remote: destination });
            }
            live.round_trips.sent(now, &bytes);
        }
        self.out.push_back(Output::Datagram { source, destination, bytes });
    }

    // Confirmation.

    fn on_secured(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        self.note(now, || format!("link {id}, attempt {attempt}: DTLS is up"));
        let (side, _) = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(live), Some((_, description)), Seal::Open { channel, .. }) =
            (link.live.as_mut(), link.remote.as_ref(), &link.seal)
        else {
            return;
        };
        let Some(observed) = live.peer.observed_fingerprint() else {
            self.events.push_back(Event::Down(id, attempt, Down::Unconfirmed));
            return;
        };
        let (_, _, own_fingerprint) = live.peer.local();
        let keys = match side {
            Side::Host => channel.confirmation(&live.half, &description.half),
            Side::Viewer => channel.confirmation(&description.half, &live.half),
        };
        let mac = keys.mac(side, &own_fingerprint, &observed, link.role);
        live.confirming = Some(Confirming {
            keys,
            own_fingerprint,
            observed,
            mac,
            verified: false,
            acknowledged: false,
            again: now,
            pause: CONFIRM_AFTER,
        });
        self.events.push_back(Event::Progress(id, attempt, Progress::Confirming));
        self.confirm(now, id);
    }

    /// Says our MAC, again if need be.
    fn confirm(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let Some(confirming) = live.confirming.as_mut().filter(|confirming| confirming.again <= now) else { return };
        if confirming.acknowledged {
            return;
        }
        confirming.again = now + confirming.pause;
        confirming.pause = confirming.pause.mul_f64(1.5).min(CONFIRM_AT_MOST);
        let bytes = Confirm::new(confirming.mac, confirming.verified).encode();
        self.write_terminal(now, id, &bytes);
    }

    fn write_terminal(&mut self, now: Timestamp, id: LinkId, bytes: &[u8]) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if let Err(down) = live.peer.write(now, Lane::Terminal, bytes) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    fn on_message(&mut self, now: Timestamp, id: LinkId, attempt: Attempt, lane: Lane, bytes: Vec<u8>) {
        let (side, _) = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let role = link.role;
        let Some(live) = link.live.as_mut() else { return };
        if let (Lane::Terminal, Some(confirm)) = (lane, Confirm::decode(&bytes)) {
            let Some(confirming) = live.confirming.as_mut() else { return };
            let (own, observed) = (confirming.own_fingerprint, confirming.observed);
            if !confirming.keys.verify(side.other(), &observed, &own, role, &confirm.mac) {
                self.events.push_back(Event::Down(id, attempt, Down::Unconfirmed));
                return;
            }
            confirming.verified = true;
            confirming.acknowledged |= confirm.heard;
            let answer = Confirm::new(confirming.mac, true).encode();
            if confirming.is_done() {
                self.lift(id);
            }
            if !confirm.heard {
                self.write_terminal(now, id, &answer);
            }
            return;
        }
        let verified = live.confirming.as_ref().is_some_and(|confirming| confirming.verified);
        match lane {
            _ if live.up => self.events.push_back(Event::Message(id, lane, bytes)),
            Lane::Control if !verified => self.events.push_back(Event::Down(id, attempt, Down::SpokeTooEarly)),
            Lane::Control if live.inbox.len() < MAX_WAITING => live.inbox.push_back((lane, bytes)),
            Lane::Control => self.events.push_back(Event::Down(id, attempt, Down::Congested)),
            // It will come again: nothing on this lane is told only once.
            Lane::Terminal => {}
        }
    }

    /// Tells the machine what became true: confirmed, and the control lane after it.
    fn lift(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(live) = link.live.as_mut() else { return };
        if !live.confirming.as_ref().is_some_and(Confirming::is_done) {
            return;
        }
        if let (Some(path), false) = (live.path, live.confirmed) {
            live.confirmed = true;
            self.events.push_back(Event::Confirmed(id, live.attempt, path));
        }
        if live.confirmed && live.control_open && !live.up {
            live.up = true;
            self.events.push_back(Event::ControlUp(id, live.attempt));
            for (lane, bytes) in live.inbox.drain(..) {
                self.events.push_back(Event::Message(id, lane, bytes));
            }
            if let Seal::Open { channel, .. } = &mut link.seal {
                channel.settle();
            }
        }
    }

    // Lanes.

    fn send(&mut self, now: Timestamp, id: LinkId, lane: Lane, bytes: Vec<u8>) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let may = match lane {
            Lane::Control => live.up,
            Lane::Terminal => live.confirmed,
        };
        debug_assert!(may, "a machine spoke on {lane:?} before it was up");
        if !may {
            return;
        }
        match lane {
            Lane::Terminal => self.write_terminal(now, id, &bytes),
            Lane::Control if live.outbox.len() < MAX_WAITING => {
                live.outbox.push_back((lane, bytes));
                self.flush(now, id);
            }
            Lane::Control => {
                let attempt = live.attempt;
                self.events.push_back(Event::Down(id, attempt, Down::Congested));
            }
        }
    }

    /// Writes what waits for room on the control lane.
    fn flush(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let attempt = live.attempt;
        let mut wrote = false;
        while let Some((lane, bytes)) = live.outbox.front() {
            match live.peer.write(now, *lane, bytes) {
                Ok(true) => {
                    wrote = true;
                    live.outbox.pop_front();
                }
                Ok(false) => break,
                Err(down) => {
                    live.outbox.clear();
                    self.events.push_back(Event::Down(id, attempt, down));
                    break;
                }
            }
        }
        if wrote {
            self.drain(now, id);
        }
    }

    fn forget(&mut self, id: LinkId) {
        self.links.remove(&id);
        self.routes.retain(|_, routed| *routed != id);
    }

    // Time.

    fn on_time(&mut self, now: Timestamp) {
        self.keep_alive(now);
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            if self.links[&id].sealing_deadline().is_some_and(|at| at <= now) {
                self.send_due(now, id);
            }
            self.confirm(now, id);
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { continue };
            let attempt = live.attempt;
            if live.up && live.heard_at + SILENCE <= now {
                self.events.push_back(Event::Down(id, attempt, Down::Silent));
            } else if live.peer.deadline().is_some_and(|at| at <= now) {
                if let Err(down) = live.peer.tick(now) {
                    self.events.push_back(Event::Down(id, attempt, down));
                }
                self.drain(now, id);
            }
        }
    }
}

impl<P> Link<P> {
    fn new(role: Role, versions: Vec<u16>) -> Link<P> {
        Link { role, versions, seal: Seal::Nothing, remote: None, early: Vec::new(), live: None }
    }

    fn sealing_deadline(&self) -> Option<Timestamp> {
        match &self.seal {
            Seal::Sent { again, .. } => Some(*again),
            Seal::Open { channel, .. } => channel.deadline(),
            Seal::Nothing | Seal::Proved { .. } => None,
        }
    }
}

impl<P: Peer> Live<P> {
    fn new(now: Timestamp, attempt: Attempt, peer: P, half: [u8; 32]) -> Live<P> {
        Live {
            attempt,
            peer,
            half,
            accepted: false,
            confirming: None,
            confirmed: false,
            control_open: false,
            up: false,
            heard_at: now,
            path: None,
            round_trips: RoundTrips::default(),
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
        }
    }

    fn description(&self) -> Description {
        let (ufrag, password, fingerprint) = self.peer.local();
        Description { ufrag, password, fingerprint, half: self.half }
    }

    fn deadline(&self) -> Option<Timestamp> {
        let confirming = self.confirming.as_ref().filter(|confirming| !confirming.acknowledged);
        let silence = self.up.then(|| self.heard_at + SILENCE);
        earliest(earliest(self.peer.deadline(), silence), confirming.map(|confirming| confirming.again))
    }
}

impl<M, E> Machine for Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    type Input = Input<M::Input>;
    type Output = Output<M::Output>;

    fn handle(&mut self, now: Timestamp, input: Input<M::Input>) {
        match input {
            Input::Tick => {}
            Input::Machine(input) => self.feed(now, input),
            Input::SignalUp => {
                self.signal_up = true;
                self.said_at = now;
                self.pinged_at = None;
                for link in self.links.values_mut() {
                    if let Seal::Open { channel, .. } = &mut link.seal {
                        channel.repeat_all(now);
                    }
                }
                self.events.push_back(Event::SignalUp);
            }
            Input::SignalDown(cause) => {
                self.signal_up = false;
                self.events.push_back(Event::SignalDown(cause));
            }
            Input::Signal(text) => self.on_signal(now, &text),
            Input::Bound(generation, addresses) => self.on_bound(now, generation, addresses),
            Input::Datagram { source, destination, bytes } => self.on_datagram(now, source, destination, &bytes),
        }
        self.on_time(now);
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.feed(now, <M::Input as From<Tick>>::from(Tick));
        }
        self.settle(now);
    }

    fn poll(&mut self) -> Option<Output<M::Output>> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        let mut deadline = self.machine.deadline();
        if self.signal_up {
            let ping = self.pinged_at.map_or(self.said_at + PING_EVERY, |at| at + PONG_WITHIN);
            deadline = earliest(deadline, Some(ping));
        }
        for link in self.links.values() {
            deadline = earliest(deadline, link.sealing_deadline());
            deadline = earliest(deadline, link.live.as_ref().and_then(Live::deadline));
        }
        deadline
    }
}
