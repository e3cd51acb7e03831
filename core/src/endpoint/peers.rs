//! Peers: made for an attempt, told what the other side said, fed with datagrams, drained of what follows.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::ice::path_monitor::{is_answer, is_check};
use crate::ice::relay::{self, Relayed};
use crate::ice::server_url::{IceServer, Service};
use crate::ice::stun::Seen;
use crate::ice::turn::Effect;
use crate::id::LinkId;
use crate::peer::engine::{Engine, Peer, PeerOutput, PeerSide};
use crate::session::link::{Attempt, Candidate, CandidateKind, Event, LinkDown, LinkUser, Path, PathKind, Progress};
use crate::time::Timestamp;
use crate::wire::signal::IceUrl;

use super::note::Step;
use super::state::{Advance, Link, Live};
use super::{Endpoint, Generation, MAX_ROUTES, Output, Paths, Secrets};

/// Candidates of the other side that came before its description are kept, this many.
const MAX_EARLY_CANDIDATES: usize = 32;

/// Addresses of the other side that are checked, an attempt: six a family. More would be a way to have others knocked
/// at.
const MAX_REMOTES: usize = 12;

/// Direct paths are tried alone for so long: a round trip between continents. What is connected through the relay first
/// would move a moment later.
const RELAY_AFTER: Duration = Duration::from_millis(200);

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// Host: a peer that will be offered.
    pub(super) fn open(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        self.make_peer(now, id, attempt);
        if self.sockets.0 == self.asked && self.sockets.1.is_empty() {
            // There was no network when they were last asked for; there may be one now.
            self.asked = self.asked.wrapping_add(1);
            self.out.push_back(Output::Bind(self.asked));
        }
        self.add_local(now, id);
    }

    /// The other side's description is there.
    pub(super) fn accept(&mut self, now: Timestamp, id: LinkId, attempt: Attempt) {
        if let Secrets::Viewer(_) = self.secrets {
            self.make_peer(now, id, attempt);
            // The relay addresses of the sockets that are about to close are given back.
            self.turn.release(now);
            self.pump_turn(now);
            // A fresh port, since the host cannot tell two peers on one pair of addresses apart.
            self.asked = self.asked.wrapping_add(1);
            self.out.push_back(Output::Bind(self.asked));
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(live), Some((_, description))) = (
            link.live.as_mut().filter(|live| live.attempt == attempt),
            link.remote.as_ref().filter(|(described, _)| *described == attempt),
        ) else {
            return;
        };
        live.state.advance(Advance::Accepted);
        live.copies = link.relay && self.paths == Paths::Any;
        live.renews |= live.copies;
        live.relay_at = link.relay.then(|| match self.paths {
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
        let (_, side) = self.side();
        let Some(link) = self.links.get_mut(&id) else { return };
        let peer = self.engine.peer(now, side, attempt, &mut self.entropy);
        link.live = Some(Live::new(now, attempt, peer, self.entropy.bytes()));
        self.routes.retain(|_, routed| *routed != id);
        self.tell_peer(now, id);
        self.drain(now, id);
    }

    pub(super) fn add_local(&mut self, now: Timestamp, id: LinkId) {
        let candidate = |kind| move |address| Candidate { kind, address };
        if self.paths != Paths::RelayOnly {
            let own: Vec<_> = self.sockets.1.iter().copied().map(candidate(CandidateKind::Host)).collect();
            self.offer(now, id, &own);
            self.gatherer.ask(now, &mut self.entropy, &self.sockets.1);
        }
        if self.paths != Paths::DirectOnly {
            self.turn.want(now, &self.sockets.1);
            let relayed: Vec<_> = self.turn.relayed().map(candidate(CandidateKind::Relayed)).collect();
            self.offer(now, id, &relayed);
        }
    }

    /// Adds the STUN and TURN servers that the rendezvous names.
    pub(super) fn learn(&mut self, now: Timestamp, ice: &[IceUrl]) {
        for IceUrl(url) in ice {
            match (url.as_str(), self.rendezvous_at) {
                ("stun:", Some(address)) => self.gatherer.learn(address),
                // A URL that this version does not read may be of a later one.
                (url, _) => url.parse().into_iter().for_each(|server| self.learn_server(now, &server)),
            }
        }
    }

    pub(super) fn learn_server(&mut self, now: Timestamp, server: &IceServer) {
        let Some(address) = server.address() else { return };
        match &server.service {
            Service::Stun => self.gatherer.learn(address),
            Service::Turn(transport, Some(credentials)) if self.paths != Paths::DirectOnly => {
                self.turn.learn(now, address, *transport, credentials.clone());
            }
            Service::Turn(..) => {}
        }
        if self.paths != Paths::RelayOnly && self.links.values().any(|link| link.live.is_some()) {
            self.gatherer.ask(now, &mut self.entropy, &self.sockets.1);
        }
    }

    /// Performs what follows from what TURN servers said; whether anything did.
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

    /// A server said how a socket is seen. The engine need not know: what it sends from that socket is seen as that.
    /// The other side does.
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
        let (_, side) = self.side();
        self.offer(now, id, &[Candidate { kind: CandidateKind::Relayed, address: relay::address(id, side) }]);
    }

    /// The peer can be reached there, and the other side is told.
    fn offer(&mut self, now: Timestamp, id: LinkId, candidates: &[Candidate]) {
        for candidate in candidates {
            let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
            if live.peer.add_local(now, *candidate) {
                live.renews |= candidate.kind == CandidateKind::Relayed && self.paths == Paths::Any;
                let found = Event::Candidate(id, live.attempt, *candidate);
                self.tell(now, Some(id), || Step::CandidateFound(*candidate));
                self.events.push_back(found);
            }
        }
        self.drain(now, id);
    }

    fn other_side(&self) -> PeerSide {
        match self.side() {
            (_, PeerSide::Host) => PeerSide::Viewer,
            (_, PeerSide::Viewer) => PeerSide::Host,
        }
    }

    pub(super) fn on_bound(&mut self, now: Timestamp, generation: Generation, addresses: Vec<SocketAddr>) {
        if generation != self.asked {
            return;
        }
        self.sockets = (generation, addresses);
        for id in self.with_peers() {
            if self.sockets.1.is_empty() && self.links[&id].relay {
                continue;
            } else if self.sockets.1.is_empty() {
                let attempt = self.links[&id].live.as_ref().map_or(0, |live| live.attempt);
                self.events.push_back(Event::Down(id, attempt, LinkDown::NoAddress));
            } else {
                self.add_local(now, id);
            }
        }
    }

    /// This machine's addresses changed. What is known of links and connections is old.
    pub(super) fn on_moved(&mut self, now: Timestamp, addresses: Vec<SocketAddr>) {
        let before = std::mem::replace(&mut self.sockets.1, addresses);
        self.tell(now, None, || Step::Moved);
        let gone: Vec<_> = before.into_iter().filter(|address| !self.sockets.1.contains(address)).collect();
        self.routes.retain(|(_, destination), _| !gone.contains(destination));
        for id in self.with_peers() {
            if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
                gone.iter().for_each(|address| live.peer.remove_local(now, *address));
            }
            self.drain(now, id);
            self.add_local(now, id);
        }
        self.look_around(now);
    }

    pub(super) fn candidate(&mut self, now: Timestamp, id: LinkId, attempt: Attempt, candidate: Candidate) {
        let other_end = relay::address(id, self.other_side());
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.live.as_mut().filter(|live| live.attempt == attempt && live.state.is_accepted()) {
            Some(live) => {
                let ip = candidate.address.ip();
                let elsewhere = !relay::is_relayed(candidate.address);
                let turned = candidate.kind == CandidateKind::Relayed && elsewhere;
                let here = self.sockets.1.is_empty() || self.sockets.1.iter().any(|own| own.ip().is_loopback());
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
                    if turned {
                        live.turned.push(candidate.address);
                        live.renews |= self.paths == Paths::Any;
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
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        live.heard_at = now;
        live.round_trips.received(now, bytes);
        if !is_stun {
            live.watch.heard();
        } else if is_answer(bytes) && live.path.is_some_and(|path| (path.local, path.remote) == (destination, source)) {
            live.watch.answered();
        }
        if let Err(down) = live.peer.receive(now, source, destination, bytes) {
            let attempt = live.attempt;
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    /// The rendezvous carried a datagram. Whose it is says the link; the engine is not asked, as it takes some before
    /// it knows their path.
    pub(super) fn on_relayed(&mut self, now: Timestamp, bytes: &[u8]) {
        let Ok(Relayed { link: id, attempt, suspect, datagram }) = Relayed::decode(bytes) else { return };
        let ends = [self.other_side(), self.side().1].map(|side| relay::address(id, side));
        let Some(link) = self.links.get_mut(&id).filter(|link| link.relay) else { return };
        let Some(live) = link.live.as_mut().filter(|live| live.attempt == attempt && live.state.is_accepted()) else {
            return;
        };
        live.heard_at = now;
        live.round_trips.received(now, datagram);
        if suspect {
            live.watch.doubted(now);
        }
        self.tell_arrival(now, id, (ends[1], ends[0]), datagram);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if let Err(down) = live.peer.receive(now, ends[0], ends[1], datagram) {
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

    pub(super) fn transmit(
        &mut self,
        now: Timestamp,
        id: LinkId,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        // The engine pairs all addresses of a family; between the relay and the network there is nothing.
        if relay::is_relayed(source) != relay::is_relayed(destination) {
            return;
        }
        let turned = self.turn.relayed().any(|relayed| relayed == source);
        let kind = if relay::is_relayed(destination) {
            PathKind::Relay
        } else if turned || live.turned.contains(&destination) {
            PathKind::Turn
        } else {
            PathKind::Direct
        };
        let path = Path { local: source, remote: destination, kind };
        self.tell_transmit(now, id, path, &bytes);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        // RFC 7983: STUN begins with 0 to 3, DTLS with 20 to 63, RTP with 128 to 191.
        let of_a_lane = bytes.first().is_some_and(|first| *first >= 20);
        if of_a_lane {
            let before = live.path.replace(path);
            if live.state.is_confirmed() && before.is_some_and(|before| before.kind != path.kind) {
                self.events.push_back(Event::Path(id, live.attempt, path));
            }
        }
        live.round_trips.sent(now, &bytes);
        live.watch.measured(live.round_trips.latest());
        // While only one side goes through the relay, the other has to prove the direct path anew as well: the host's
        // engine names it. The engine may go on for a while on an address that is gone.
        let relayed = kind == PathKind::Relay;
        let gone = !relayed && !turned && !self.sockets.1.contains(&source);
        let suspect = of_a_lane && (gone || live.watch.suspects(now) || (relayed && live.copies));
        let copied = of_a_lane && live.copies && (suspect || live.watch.is_doubted(now) || !live.state.is_up());
        if (copied || relayed) && self.signal_up {
            let relayed = Relayed { link: id, attempt: live.attempt, suspect, datagram: &bytes };
            self.out.push_back(Output::Relay(relayed.encode()));
        }
        if !relayed {
            if of_a_lane {
                live.watch.sent(now);
            } else if is_check(&bytes) && live.path == Some(path) {
                live.watch.checked(now);
            }
            if turned {
                self.turn.send(now, source, destination, &bytes, of_a_lane);
            } else {
                self.out.push_back(Output::Datagram { source, destination, bytes });
            }
        }
    }
}
