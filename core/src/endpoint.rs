//! A machine, its peers and its secrets: turns links into datagrams and signalling, and back.
//!
//! Everything above is handles and messages; everything secret stands here. One input goes in, then everything that
//! follows from it is settled, down to the datagrams, before `handle` returns.

mod api;
mod check;
mod lanes;
mod moving;
#[cfg(feature = "test-util")]
mod needles;
pub mod note;
mod page;
mod paths;
mod peers;
mod sealing;
mod signalling;
mod state;
mod story;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::crypto::invite::Invite;
use crate::ice::stun::Gatherer;
use crate::ice::turn::Allocations;
use crate::id::LinkId;
use crate::machine::{Machine, Tick};
use crate::peer::engine::{Engine, Peer};
use crate::recording::journal::{Journal, Record};
use crate::role::Role;
use crate::session::link::{Command, Event, LinkDown, LinkUser};
use crate::side::Side;
use crate::support::deadline_map::{DeadlineMap, EXACT};
use crate::support::entropy::Entropy;
use crate::time::{Timestamp, earliest};
use crate::wire::signal::ToRendezvous;

pub use self::api::{Generation, Input, NetworkInput, Output, Paths, Secrets};
use self::note::Step;
use self::peers::Sockets;
use self::sealing::Keys;
use self::signalling::{PING_EVERY, Signal};
use self::state::{Advance, Link};
use self::story::Records;

/// A link whose peer hears nothing at all for this long is down: checks of its path come every few seconds.
const SILENCE: Duration = Duration::from_secs(15);

/// Pairs of addresses remembered as a link's: a cache, started afresh when it is full, since strangers can fill it.
const MAX_ROUTES: usize = 1024;

/// A deadline handled this late means that the process or its machine was suspended.
const SLEPT: Duration = Duration::from_secs(5);

/// After a suspension a ping is answered within this time: the rendezvous may have dropped the connection meanwhile.
const PONG_AFTER_SLEEP: Duration = Duration::from_secs(1);

/// A machine over an engine.
pub struct Endpoint<M: LinkUser, E: Engine> {
    machine: M,
    engine: E,
    keys: Keys,
    entropy: Entropy,
    links: DeadlineMap<Link<E::Peer>>,
    /// Which link a (source, destination) pair belongs to.
    routes: BTreeMap<(SocketAddr, SocketAddr), LinkId>,
    sockets: Sockets,
    paths: Paths,
    gatherer: Gatherer,
    turn: Allocations,
    signal: Signal,
    /// When something happened last.
    handled_at: Timestamp,
    events: VecDeque<Event>,
    /// Links with datagrams that their peers have not put out yet. A frame is several datagrams, and a peer that puts
    /// them out together does its own work once.
    written: Vec<LinkId>,
    records: Records,
    out: VecDeque<Output<M::ForRuntime>>,
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
            keys: Keys { secrets, earlier: Vec::new(), kept: BTreeMap::new() },
            entropy,
            links: DeadlineMap::default(),
            routes: BTreeMap::new(),
            sockets: Sockets::default(),
            paths: Paths::default(),
            gatherer: Gatherer::default(),
            turn: Allocations::default(),
            signal: Signal::default(),
            handled_at: Timestamp::ZERO,
            events: VecDeque::new(),
            written: Vec::new(),
            records: Records::default(),
            out: VecDeque::new(),
        };
        if let Secrets::Host(_) = endpoint.keys.secrets {
            // One set of sockets serves all links.
            endpoint.sockets.asked = 1;
            endpoint.out.push_back(Output::Bind(1));
        }
        endpoint
    }

    /// The endpoint, restricted to these paths; before the first input.
    #[must_use]
    pub fn taking(mut self, paths: Paths) -> Endpoint<M, E> {
        self.paths = paths;
        self
    }

    /// Has the recording keep the handshake, and replace what is typed and shown. After [`Endpoint::recording`].
    #[must_use]
    pub fn redacting(mut self) -> Endpoint<M, E> {
        let side = self.side();
        if let Some(journal) = &mut self.records.journal {
            journal.redact(side);
        }
        self
    }

    /// Records what happens from here on; before the first input. `first` is made from the machine's configuration.
    #[must_use]
    pub fn recording(mut self, first: &Record) -> Endpoint<M, E> {
        let mut journal = Journal::default();
        journal.begin(first);
        self.records.journal = Some(journal);
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

    /// A host's invite for `role`, as of now, at this rendezvous.
    pub fn invite(&self, server: &str, role: Role) -> Option<Invite> {
        match &self.keys.secrets {
            Secrets::Host(secrets) => Some(secrets.invite(server, role)),
            Secrets::Viewer(_) => None,
        }
    }

    fn side(&self) -> Side {
        match self.keys.secrets {
            Secrets::Host(_) => Side::Host,
            Secrets::Viewer(_) => Side::Viewer,
        }
    }

    // Up and down the seam.

    fn feed(&mut self, now: Timestamp, input: M::Input) {
        if let Some(journal) = &mut self.records.journal {
            journal.input(now, &input);
        }
        self.machine.handle(now, input);
    }

    /// Tells the machine that time has passed, and the log which timers of the machine are due.
    fn feed_tick(&mut self, now: Timestamp) {
        if self.is_heard() {
            for (link, timer) in self.machine.due(now) {
                self.tell(now, link, || Step::TimerDue(timer));
            }
        }
        self.feed(now, <M::Input as From<Tick>>::from(Tick));
    }

    /// Until nothing follows from anything any more.
    fn settle(&mut self, now: Timestamp) {
        loop {
            while let Some(output) = self.machine.poll() {
                if let Some(journal) = &mut self.records.journal {
                    journal.output(&output);
                }
                match M::split(output) {
                    Ok(command) => {
                        self.tell_command(now, &command);
                        self.obey(now, command);
                    }
                    Err(output) => {
                        if let (Some(journal), Some(words)) = (&mut self.records.journal, M::ending(&output)) {
                            journal.ended(words);
                        }
                        self.out.push_back(Output::Machine(output));
                    }
                }
            }
            self.put_out_written(now);
            if let Some(event) = self.events.pop_front() {
                self.tell_event(now, &event);
                self.feed(now, event.into());
            } else if !self.pump_turn(now) {
                break;
            }
        }
        if let Some(journal) = &mut self.records.journal {
            let bytes = journal.take();
            if !bytes.is_empty() {
                self.out.push_back(Output::Record(bytes));
            }
        }
    }

    fn on_network(&mut self, now: Timestamp, input: NetworkInput) {
        match input {
            NetworkInput::SignalUp => {
                self.signal_is_up(now);
                self.events.push_back(Event::SignalUp);
            }
            NetworkInput::SignalDown(cause) => self.signal_down(cause),
            NetworkInput::Signal(text) => self.on_signal(now, &text),
            NetworkInput::SignalBeside(text) => self.on_signal_beside(now, &text),
            NetworkInput::BesideDown(cause) => self.beside_down(cause),
            NetworkInput::Bound(generation, addresses) => self.on_bound(now, generation, addresses),
            NetworkInput::Datagram { source, destination, bytes } => self.on_datagram(now, source, destination, &bytes),
            NetworkInput::Relayed(bytes) => self.on_relayed(now, &bytes),
            NetworkInput::Moved(addresses) => self.on_moved(now, addresses),
            NetworkInput::RendezvousAt(address) => self.signal.address = Some(address),
            NetworkInput::IceServer(server) => self.learn_server(now, &server),
            NetworkInput::TurnUp(stream) => self.turn.stream_up(now, stream),
            NetworkInput::TurnBytes(stream, bytes) => self.turn.stream_bytes(now, stream, &bytes),
            NetworkInput::TurnDown(stream) => self.turn.stream_down(now, stream),
            NetworkInput::Peer(number, event) => self.on_peer_event(now, number, event),
        }
    }

    fn obey(&mut self, now: Timestamp, command: Command) {
        match command {
            Command::Dial => self.leave_signal(Output::Dial),
            Command::DialAt(url) => self.leave_signal(Output::DialAt(url)),
            Command::HangUp => self.leave_signal(Output::HangUp),
            Command::Move => self.begin_move(now),
            Command::Register => self.register(now),
            Command::Unregister => {
                self.say(now, &ToRendezvous::Unregister { session: None });
                self.turn.release(now);
            }
            Command::Join(link, resumes) => self.join(now, link, resumes),
            Command::Hello(link, hello) => self.hello(now, link, hello),
            Command::Refuse(link, reason) => {
                self.say(now, &ToRendezvous::Refuse { link, reason });
                self.forget(now, link);
            }
            Command::Verdict(link, verdict) => self.verdict(now, link, verdict),
            Command::Envelope(link, envelope) => self.seal(now, link, envelope),
            Command::Open(link, attempt) => self.open(now, link, attempt),
            Command::Accept(link, attempt) => self.accept(now, link, attempt),
            Command::Candidate(link, attempt, candidate) => self.candidate(now, link, attempt, candidate),
            Command::Send(link, lane, bytes) => self.send(now, link, lane, bytes),
            Command::Close(link) => {
                if let Some(is_closed) = self.links.get(&link).map(|known| known.is_closed) {
                    self.put_out_written(now);
                    if !is_closed {
                        self.say(now, &ToRendezvous::Close { link });
                    }
                    self.forget(now, link);
                }
            }
            Command::Renew(link) => {
                let live = self.links.get_mut(&link).and_then(|link| link.live.as_mut());
                if let Some(live) = live.filter(|live| live.detours.renews && live.state.is_confirmed()) {
                    live.renew(now);
                    self.drain(now, link);
                }
            }
            Command::Keep(link) => {
                let live = self.links.get(&link).and_then(|link| link.live.as_ref());
                if let Some(confirming) = live.and_then(|live| live.state.confirming()) {
                    self.keys.kept.insert(link, confirming.keys.resume_psk());
                }
            }
            Command::Release(link) => {
                self.keys.kept.remove(&link);
            }
            Command::Rotate => self.rotate(now),
        }
    }

    /// Notices that this process or its machine stood still. Then the state of links and connections is old, and is
    /// asked for again.
    fn notice_sleep(&mut self, now: Timestamp) {
        let before = std::mem::replace(&mut self.handled_at, now);
        if now.since(before) < SLEPT || self.deadline().is_none_or(|due| now < due + SLEPT) {
            return;
        }
        self.tell(now, None, || Step::Slept(now.since(before)));
        self.look_around(now);
    }

    /// Asks whether what was there is still there.
    fn look_around(&mut self, now: Timestamp) {
        if self.signal.is_up {
            self.ping(now, PONG_AFTER_SLEEP);
        }
        self.events.push_back(Event::Woken);
    }

    fn forget(&mut self, now: Timestamp, id: LinkId) {
        self.close_peer(id);
        self.links.remove(&id);
        self.routes.retain(|_, routed| *routed != id);
        if self.links.is_empty() {
            self.turn.release(now);
        }
    }

    // Time.

    fn on_time(&mut self, now: Timestamp) {
        self.keep_alive(now);
        self.move_on_time(now);
        for id in self.links.due(now) {
            if self.links[&id].sealing_deadline().is_some_and(|at| at <= now) {
                self.send_due(now, id);
            }
            self.confirm(now, id);
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { continue };
            let attempt = live.attempt;
            if live.detours.relay_at.take_if(|at| *at <= now).is_some() {
                self.add_relay(now, id);
            }
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { continue };
            if live.detours.renews && live.state.is_confirmed() && live.watch.renews(now, live.is_detour()) {
                live.renew(now);
                self.drain(now, id);
            }
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { continue };
            if live.silent_at().is_some_and(|at| at <= now) && live.state.advance(Advance::Silent) {
                self.events.push_back(Event::Down(id, attempt, LinkDown::Silent));
            } else if live.peer.deadline().is_some_and(|at| at <= now) {
                if let Err(down) = live.peer.tick(now) {
                    self.events.push_back(Event::Down(id, attempt, down));
                }
                self.drain(now, id);
            }
        }
    }
}

impl<M: LinkUser, E: Engine> Endpoint<M, E> {
    /// Puts out a note of each step; before the first input.
    #[must_use]
    pub fn noting(mut self) -> Endpoint<M, E> {
        self.records.notes = true;
        self
    }

    fn schedule(&mut self) {
        for id in self.links.take_touched() {
            let deadline = self.links.get(&id).and_then(Link::deadline);
            self.links.schedule(id, deadline);
        }
        let exact = || self.links.deadline() == self.links.values().filter_map(Link::deadline).min();
        debug_assert!(self.links.len() > EXACT || exact(), "who changed was touched");
    }
}

impl<M, E> Machine for Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    type Input = Input<M::Input>;
    type Output = Output<M::ForRuntime>;

    fn handle(&mut self, now: Timestamp, input: Input<M::Input>) {
        self.notice_sleep(now);
        match input {
            Input::Tick => {}
            Input::Machine(input) => self.feed(now, input),
            Input::Network(input) => self.on_network(now, input),
        }
        self.on_time(now);
        self.pump_questions(now);
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.feed_tick(now);
        }
        self.settle(now);
        self.schedule();
        if cfg!(debug_assertions) && !is_faulty!() {
            self.check();
        }
    }

    fn poll(&mut self) -> Option<Output<M::ForRuntime>> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        let mut deadline = earliest(self.machine.deadline(), earliest(self.gatherer.deadline(), self.turn.deadline()));
        if self.signal.is_up {
            let ping = self.signal.pong_by.unwrap_or(self.signal.said_at + PING_EVERY);
            deadline = earliest(deadline, Some(ping));
        }
        deadline = earliest(deadline, self.signal.beside.as_ref().map(|beside| beside.by));
        earliest(deadline, self.links.deadline())
    }
}
