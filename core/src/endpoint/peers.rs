//! Peers: made for an attempt, told what the other side said, fed with datagrams, drained of what follows.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::ice::relay;
use crate::ice::server_url::{IceServer, Service};
use crate::ice::stun::Seen;
use crate::ice::turn::Effect;
use crate::id::LinkId;
use crate::peer::browser::PeerEvent;
use crate::peer::engine::{Engine, Peer, PeerNumber, PeerOutput, PeerPlan, Server};
use crate::session::link::{Attempt, Candidate, CandidateKind, Event, LinkDown, LinkUser, Progress};
use crate::time::Timestamp;
use crate::wire::signal::IceUrl;

use super::note::Step;
use super::state::{Advance, Link, Live};
use super::{Endpoint, Generation, MAX_ROUTES, Output, Paths, Secrets};

/// Candidates of the other side that came before its description are kept, this many.
pub(super) const MAX_EARLY_CANDIDATES: usize = 32;

/// Addresses of the other side that are checked, an attempt: six a family. More would be a way to have others knocked
/// at.
pub(super) const MAX_REMOTES: usize = 12;

/// For this long direct paths are tried alone: a round trip between continents. A link that began through the relay
/// would move to a direct path a moment later.
const RELAY_AFTER: Duration = Duration::from_millis(200);

/// The sockets of an endpoint.
#[derive(Default)]
pub(super) struct Sockets {
    /// The generation of the open sockets.
    pub(super) generation: Generation,
    /// The addresses of the open sockets.
    pub(super) addresses: Vec<SocketAddr>,
    /// The generation that was asked for last.
    pub(super) asked: Generation,
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// Host: a peer that will be offered.
    pub(super) fn open(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        self.make_peer(now, id, attempt);
        if self.sockets.generation == self.sockets.asked && self.sockets.addresses.is_empty() {
            // There was no network when they were last asked for; there may be one now.
            self.sockets.asked = self.sockets.asked.wrapping_add(1);
            self.out.push_back(Output::Bind(self.sockets.asked));
        }
        self.add_local(now, id);
    }

    /// The other side's description is there.
    pub(super) fn accept(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        if let Secrets::Viewer(_) = self.keys.secrets {
            self.make_peer(now, id, attempt);
            // The relay addresses of the sockets that are about to close are given back.
            self.turn.release(now);
            self.pump_turn(now);
            if !self.engine.has_own_sockets() {
                // A fresh port, since the host cannot tell two peers on one pair of addresses apart.
                self.sockets.asked = self.sockets.asked.wrapping_add(1);
                self.out.push_back(Output::Bind(self.sockets.asked));
            }
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(live), Some((_, description))) = (
            link.live.as_mut().filter(|live| live.attempt == attempt),
            link.remote.as_ref().filter(|(described, _)| *described == attempt),
        ) else {
            return;
        };
        live.state.advance(Advance::Accepted);
        live.detours.copies = link.relay && self.paths == Paths::Any;
        live.detours.renews |= live.detours.copies;
        live.detours.relay_at = link.relay.then(|| match self.paths {
            Paths::Any | Paths::DirectOnly => now + RELAY_AFTER,
            Paths::RelayOnly => now,
        });
        let early: Vec<_> = link.early.extract_if(.., |(of, _)| *of <= attempt).collect();
        if let Err(down) = live.peer.set_remote(now, description) {
            self.events.push_back(Event::Down(id, attempt, down));
            return;
        }
        self.drain(now, id);
        for (_, candidate) in early.into_iter().filter(|(of, _)| *of == attempt) {
            self.candidate(now, id, attempt, candidate);
        }
    }

    pub(super) fn make_peer(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        let side = self.side();
        self.close_peer(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let plan = PeerPlan { side, carrier: link.carrier, attempt };
        let peer = self.engine.peer(now, plan, &mut self.entropy);
        link.live = Some(Live::new(now, attempt, peer, self.entropy.bytes()));
        self.routes.retain(|_, routed| *routed != id);
        self.tell_peer(now, id);
        self.drain(now, id);
    }

    /// The peer of a link is of no more use: its connection is closed, if the engine has one of its own.
    pub(super) fn close_peer(&mut self, id: LinkId) {
        let Some(mut live) = self.links.get_mut(&id).and_then(|link| link.live.take()) else { return };
        if live.peer.number().is_some() {
            live.peer.close();
            while let Some(output) = live.peer.poll() {
                if let PeerOutput::Command(number, command) = output {
                    self.out.push_back(Output::Peer(number, command));
                }
            }
        }
    }

    /// Something happened to a connection that the engine has of its own.
    pub(super) fn on_peer_event(&mut self, now: Timestamp, number: PeerNumber, event: PeerEvent) {
        let is_its = |link: &Link<E::Peer>| link.live.as_ref().is_some_and(|live| live.peer.number() == Some(number));
        let Some(id) = self.links.iter().find(|(_, link)| is_its(link)).map(|(id, _)| *id) else { return };
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if let Err(down) = live.peer.happened(now, event) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    pub(super) fn add_local(&mut self, now: Timestamp, id: LinkId) {
        let candidate = |kind| move |address| Candidate { kind, address };
        if self.paths != Paths::RelayOnly {
            let own: Vec<_> = self.sockets.addresses.iter().copied().map(candidate(CandidateKind::Host)).collect();
            self.offer(now, id, &own);
            self.gatherer.ask(now, &mut self.entropy, &self.sockets.addresses);
        }
        if self.paths != Paths::DirectOnly {
            self.turn.want(now, &self.sockets.addresses);
            let relayed: Vec<_> = self.turn.relayed().map(candidate(CandidateKind::Relayed)).collect();
            self.offer(now, id, &relayed);
        }
    }

    /// Adds the STUN and TURN servers that the rendezvous names.
    pub(super) fn learn(&mut self, now: Timestamp, ice: &[IceUrl]) {
        if self.engine.has_own_sockets() {
            let servers = self.named_servers(ice);
            return self.engine.learn(servers);
        }
        for IceUrl(url) in ice {
            match (url.as_str(), self.signal.address) {
                ("stun:", Some(address)) => self.gatherer.learn(address),
                // A URL that this version does not read may be of a later one.
                (url, _) => url.parse().into_iter().for_each(|server| self.learn_server(now, &server)),
            }
        }
    }

    /// The servers as an engine with sockets of its own is told of them: all that it can use.
    fn named_servers(&self, ice: &[IceUrl]) -> Vec<Server> {
        let of = |server: &IceServer| {
            let credentials = match &server.service {
                Service::Stun => None,
                Service::Turn(_, Some(own)) | Service::Turns(Some(own)) => {
                    Some((own.user.clone(), own.password.clone()))
                }
                Service::Turn(_, None) | Service::Turns(None) => return None,
            };
            Some(Server { url: server.to_string(), credentials })
        };
        let own = match &self.keys.secrets {
            Secrets::Viewer(invite) => IceServer::beside(&invite.server),
            Secrets::Host(_) => None,
        };
        let each = |IceUrl(url): &IceUrl| match url.as_str() {
            "stun:" => own.as_ref().and_then(of),
            url => url.parse().ok().as_ref().and_then(of),
        };
        ice.iter().filter_map(each).collect()
    }

    pub(super) fn learn_server(&mut self, now: Timestamp, server: &IceServer) {
        let Some(address) = server.address() else { return };
        match &server.service {
            Service::Stun => self.gatherer.learn(address),
            Service::Turn(transport, Some(credentials)) if self.paths != Paths::DirectOnly => {
                self.turn.learn(now, address, *transport, credentials.clone());
            }
            // Over TLS only browsers speak TURN; the same server may be there without.
            Service::Turn(..) | Service::Turns(_) => {}
        }
        if self.paths != Paths::RelayOnly && self.links.values().any(|link| link.live.is_some()) {
            self.gatherer.ask(now, &mut self.entropy, &self.sockets.addresses);
        }
    }

    /// Performs the effects of the TURN servers' answers; returns whether there were any.
    pub(super) fn pump_turn(&mut self, now: Timestamp) -> bool {
        self.turn.on_time(now);
        let mut any = false;
        while let Some(effect) = self.turn.poll() {
            any = true;
            match effect {
                Effect::Datagram { source, destination, bytes } => {
                    self.out.push_back(Output::Datagram { source, destination, bytes });
                }
                Effect::Dial(stream, server) => self.out.push_back(Output::TurnDial(stream, server)),
                Effect::Write(stream, bytes) => self.out.push_back(Output::TurnWrite(stream, bytes)),
                Effect::HangUp(stream) => self.out.push_back(Output::TurnHangUp(stream)),
                Effect::Allocated(address) => {
                    self.tell(now, None, || Step::Allocated(address));
                    for id in self.with_peers() {
                        self.offer(now, id, &[Candidate { kind: CandidateKind::Relayed, address }]);
                    }
                }
                Effect::Lost(address) => {
                    self.tell(now, None, || Step::Released(address));
                    self.routes.retain(|(_, destination), _| *destination != address);
                    for id in self.with_peers() {
                        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
                            live.peer.remove_local(now, address);
                        }
                        self.drain(now, id);
                    }
                }
                Effect::Arrived { source, destination, bytes } => self.on_datagram(now, source, destination, &bytes),
            }
        }
        any
    }

    fn with_peers(&self) -> Vec<LinkId> {
        self.links.iter().filter(|(_, link)| link.live.is_some()).map(|(id, _)| *id).collect()
    }

    pub(super) fn pump_questions(&mut self, now: Timestamp) {
        while let Some((source, destination, bytes)) = self.gatherer.next(now) {
            self.out.push_back(Output::Datagram { source, destination, bytes });
        }
    }

    /// A STUN server told the public address of a socket. The other side gets the address as a candidate. The engine
    /// does not need the address, since it goes on sending from the socket.
    fn on_seen(&mut self, now: Timestamp, seen: Seen) {
        self.tell(now, None, || Step::Seen((seen.local, seen.mapped)));
        let candidate = Candidate { kind: CandidateKind::ServerReflexive, address: seen.mapped };
        let under_way = self.links.iter().filter_map(|(id, link)| Some((*id, link.live.as_ref()?)));
        let under_way = under_way.filter(|(_, live)| !live.state.is_confirmed() && self.paths != Paths::RelayOnly);
        let found: Vec<_> = under_way.map(|(id, live)| (id, live.attempt)).collect();
        for (id, attempt) in found {
            self.tell_of(now, id, attempt, || Step::CandidateFound(candidate));
            self.events.push_back(Event::Candidate(id, attempt, candidate));
        }
    }

    /// The rendezvous is a path too.
    pub(super) fn add_relay(&mut self, now: Timestamp, id: LinkId) {
        let side = self.side();
        self.offer(now, id, &[Candidate { kind: CandidateKind::Relayed, address: relay::address(id, side) }]);
    }

    /// The peer can be reached there, and the other side is told.
    fn offer(&mut self, now: Timestamp, id: LinkId, candidates: &[Candidate]) {
        for candidate in candidates {
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
            live.disturbed(now);
            if live.peer.add_local(now, *candidate) {
                live.detours.renews |= candidate.kind == CandidateKind::Relayed && self.paths == Paths::Any;
                let found = Event::Candidate(id, live.attempt, *candidate);
                self.tell(now, Some(id), || Step::CandidateFound(*candidate));
                self.events.push_back(found);
            }
        }
        self.drain(now, id);
    }

    pub(super) fn on_bound(&mut self, now: Timestamp, generation: Generation, addresses: Vec<SocketAddr>) {
        if generation != self.sockets.asked {
            return;
        }
        self.sockets.generation = generation;
        self.sockets.addresses = addresses;
        for id in self.with_peers() {
            if self.sockets.addresses.is_empty() && self.links[&id].relay {
                continue;
            } else if self.sockets.addresses.is_empty() {
                let attempt = self.links[&id].live.as_ref().map_or(0, |live| live.attempt);
                self.events.push_back(Event::Down(id, attempt, LinkDown::NoAddress));
            } else {
                self.add_local(now, id);
            }
        }
    }

    /// This machine's addresses changed. The state of links and connections is old.
    pub(super) fn on_moved(&mut self, now: Timestamp, addresses: Vec<SocketAddr>) {
        let before = std::mem::replace(&mut self.sockets.addresses, addresses);
        self.tell(now, None, || Step::Moved);
        let gone: Vec<_> = before.into_iter().filter(|address| !self.sockets.addresses.contains(address)).collect();
        self.routes.retain(|(_, destination), _| !gone.contains(destination));
        for id in self.with_peers() {
            if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
                live.disturbed(now);
                gone.iter().for_each(|address| live.peer.remove_local(now, *address));
            }
            self.drain(now, id);
            self.add_local(now, id);
        }
        self.look_around(now);
    }

    pub(super) fn candidate(&mut self, now: Timestamp, id: LinkId, attempt: Attempt, candidate: Candidate) {
        let other_end = relay::address(id, self.side().other());
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.live.as_mut().filter(|live| live.attempt == attempt && live.state.is_accepted()) {
            Some(live) => {
                let ip = candidate.address.ip();
                let elsewhere = !relay::is_relayed(candidate.address);
                let turned = candidate.kind == CandidateKind::Relayed && elsewhere;
                let here = self.sockets.addresses.is_empty()
                    || self.sockets.addresses.iter().any(|own| own.ip().is_loopback());
                let reachable = !ip.is_unspecified() && !ip.is_multicast() && (here || !ip.is_loopback());
                let sensible = match candidate.kind {
                    CandidateKind::Host | CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => {
                        reachable && elsewhere && (self.paths != Paths::RelayOnly || self.turn.has_servers())
                    }
                    CandidateKind::Relayed if turned => reachable && self.paths != Paths::DirectOnly,
                    CandidateKind::Relayed => link.relay && candidate.address == other_end,
                };
                if sensible && live.remotes < MAX_REMOTES {
                    live.remotes += 1;
                    live.disturbed(now);
                    if turned {
                        live.detours.turned.push(candidate.address);
                        live.detours.renews |= self.paths == Paths::Any;
                    }
                    if elsewhere && self.paths != Paths::DirectOnly {
                        self.turn.permit(now, ip);
                    }
                    live.peer.add_remote(now, candidate);
                    self.drain(now, id);
                }
            }
            None => {
                if link.early.len() < MAX_EARLY_CANDIDATES {
                    link.early.push((attempt, candidate));
                }
            }
        }
    }

    pub(super) fn on_datagram(&mut self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if let Some(said) = self.gatherer.receive(source, destination, bytes) {
            return said.into_iter().for_each(|seen| self.on_seen(now, seen));
        }
        if self.turn.receive(now, source, destination, bytes) {
            return;
        }
        let takes = |link: &Link<E::Peer>| {
            link.live.as_ref().is_some_and(|live| live.peer.accepts(now, source, destination, bytes))
        };
        let routed = self.routes.get(&(source, destination)).copied();
        // A route was made by a datagram that the peer took. DTLS may follow on it before the peer's own check of the
        // path is answered, which is when the engine begins to take it; dropped, it would come again only after a
        // second.
        let is_stun = bytes.first().is_some_and(|first| *first < 4);
        let routed =
            routed.filter(|id| self.links.get(id).is_some_and(|link| takes(link) || (!is_stun && link.live.is_some())));
        let found = routed.or_else(|| self.links.iter().find(|(_, link)| takes(link)).map(|(id, _)| *id));
        // A datagram of a stranger, or of an attempt that is over.
        let Some(id) = found else { return };
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        self.routes.insert((source, destination), id);
        self.tell_arrival(now, id, (destination, source), bytes);
        let relay = relay::address(id, self.side());
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        live.heard_at = now;
        live.round_trips.received(now, bytes);
        live.on_direct(now, (destination, source), relay, bytes);
        if let Err(down) = live.peer.receive(now, source, destination, bytes) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    /// Takes from a peer what follows from the last input.
    pub(super) fn drain(&mut self, now: Timestamp, id: LinkId) {
        while let Some((attempt, output)) = self.links.get_mut(&id).and_then(|link| {
            let live = link.live.as_mut()?;
            Some((live.attempt, live.peer.poll()?))
        }) {
            match output {
                PeerOutput::Transmit { source, destination, bytes } => {
                    self.transmit(now, id, source, destination, bytes);
                }
                PeerOutput::Command(number, command) => self.out.push_back(Output::Peer(number, command)),
                PeerOutput::Described => {
                    self.tell_described(now, id);
                    let link = self.links.get_mut(&id);
                    if let Some(envelope) = link.and_then(|link| link.live.as_mut()?.undescribed.take()) {
                        self.seal(now, id, envelope);
                    }
                }
                PeerOutput::Candidate(candidate) => {
                    self.tell(now, Some(id), || Step::CandidateFound(candidate));
                    self.events.push_back(Event::Candidate(id, attempt, candidate));
                }
                PeerOutput::Path(path) => self.on_path(now, id, path),
                PeerOutput::PathFound => {
                    self.tell_path_found(now, id);
                    self.events.push_back(Event::Progress(id, attempt, Progress::Securing));
                }
                PeerOutput::Secured => self.on_secured(now, id, attempt),
                PeerOutput::ControlOpen => {
                    if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
                        live.control_open = true;
                    }
                    self.lift(now, id);
                }
                PeerOutput::Message(lane, bytes) => self.on_message(now, id, attempt, lane, bytes),
                PeerOutput::Down(down) => self.events.push_back(Event::Down(id, attempt, down)),
            }
        }
        self.flush(now, id);
    }
}
