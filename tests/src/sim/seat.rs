//! A world in which some viewers are pages and the others are not.

use std::net::SocketAddr;

use beach_core::Entropy;
use beach_core::peer::browser::{Browser, BrowserPeer, PeerEvent};
use beach_core::peer::engine::{Engine, Peer, PeerNumber, PeerOutput, PeerPlan, Server};
use beach_core::session::link::{Candidate, Lane, LinkDown};
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;

use super::world::Who;

/// The engine of a node in a world where some viewers are pages.
pub enum Seat<E> {
    /// The engine of all others.
    Native(E),
    /// A page's.
    Browser(Browser),
}

/// A peer of [`Seat`].
pub enum SeatPeer<P> {
    /// See [`Seat::Native`].
    Native(P),
    /// See [`Seat::Browser`].
    Browser(Box<BrowserPeer>),
}

/// Seats for a world's viewers; `is_page` says which of them are pages.
pub fn seats<E: 'static>(
    mut engine: impl FnMut(Who, Timestamp) -> E + 'static,
    is_page: impl Fn(Who) -> bool + 'static,
) -> impl FnMut(Who, Timestamp) -> Seat<E> + 'static {
    move |who, start| if is_page(who) { Seat::Browser(Browser::default()) } else { Seat::Native(engine(who, start)) }
}

impl<E: Engine> Engine for Seat<E> {
    type Peer = SeatPeer<E::Peer>;

    fn peer(&mut self, now: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> SeatPeer<E::Peer> {
        match self {
            Seat::Native(engine) => SeatPeer::Native(engine.peer(now, plan, entropy)),
            Seat::Browser(engine) => SeatPeer::Browser(Box::new(engine.peer(now, plan, entropy))),
        }
    }

    fn capabilities(&self) -> u32 {
        match self {
            Seat::Native(engine) => engine.capabilities(),
            Seat::Browser(engine) => engine.capabilities(),
        }
    }

    fn has_own_sockets(&self) -> bool {
        match self {
            Seat::Native(engine) => engine.has_own_sockets(),
            Seat::Browser(engine) => engine.has_own_sockets(),
        }
    }

    fn learn(&mut self, servers: Vec<Server>) {
        match self {
            Seat::Native(engine) => engine.learn(servers),
            Seat::Browser(engine) => engine.learn(servers),
        }
    }
}

impl<P: Peer> SeatPeer<P> {
    fn get(&self) -> &dyn Peer {
        match self {
            SeatPeer::Native(peer) => peer,
            SeatPeer::Browser(peer) => &**peer,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Peer {
        match self {
            SeatPeer::Native(peer) => peer,
            SeatPeer::Browser(peer) => &mut **peer,
        }
    }
}

impl<P: Peer> Peer for SeatPeer<P> {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        self.get().local()
    }

    fn observed_fingerprint(&mut self) -> Option<[u8; 32]> {
        self.get_mut().observed_fingerprint()
    }

    fn number(&self) -> Option<PeerNumber> {
        self.get().number()
    }

    fn happened(&mut self, now: Timestamp, event: PeerEvent) -> Result<(), LinkDown> {
        self.get_mut().happened(now, event)
    }

    fn close(&mut self) {
        self.get_mut().close();
    }

    fn add_local(&mut self, now: Timestamp, candidate: Candidate) -> bool {
        self.get_mut().add_local(now, candidate)
    }

    fn remove_local(&mut self, now: Timestamp, address: SocketAddr) {
        self.get_mut().remove_local(now, address);
    }

    fn renew(&mut self, now: Timestamp, stays: Option<SocketAddr>) {
        self.get_mut().renew(now, stays);
    }

    fn rest(&mut self, now: Timestamp, used: SocketAddr, relay: SocketAddr) {
        self.get_mut().rest(now, used, relay);
    }

    fn wake(&mut self, now: Timestamp) {
        self.get_mut().wake(now);
    }

    fn set_remote(&mut self, now: Timestamp, description: &Description) -> Result<(), LinkDown> {
        self.get_mut().set_remote(now, description)
    }

    fn add_remote(&mut self, now: Timestamp, candidate: Candidate) {
        self.get_mut().add_remote(now, candidate);
    }

    fn accepts(&self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        self.get().accepts(now, source, destination, bytes)
    }

    fn receive(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LinkDown> {
        self.get_mut().receive(now, source, destination, bytes)
    }

    fn write(&mut self, now: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown> {
        self.get_mut().write(now, lane, bytes)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        self.get_mut().tick(now)
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        self.get_mut().poll()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.get().deadline()
    }

    fn check(&self) {
        self.get().check();
    }
}
