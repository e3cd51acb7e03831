//! The real engine with one thing changed: a peer that lies, or one of an earlier version.

use std::net::SocketAddr;

use beach_core::Entropy;
use beach_core::peer::engine::{Engine, Peer, PeerOutput, PeerPlan};
use beach_core::peer::str0m::{Str0m, Str0mPeer};
use beach_core::session::link::{Candidate, Lane, LinkDown};
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;

/// The change to all peers of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No change.
    Nothing,
    /// The peer announces another certificate than it shows. A rendezvous that could open envelopes could bring this
    /// about.
    AnotherCertificate,
    /// The peer checks its spare paths all the time, as versions did before paths rested.
    PathsNeverRest,
}

/// The real engine, whose peers have this change.
pub struct Altered(pub Str0m, pub Change);

/// A peer of [`Altered`].
pub struct AlteredPeer(Str0mPeer, Change);

impl Engine for Altered {
    type Peer = AlteredPeer;

    fn peer(&mut self, now: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> AlteredPeer {
        AlteredPeer(self.0.peer(now, plan, entropy), self.1)
    }

    fn capabilities(&self) -> u32 {
        self.0.capabilities()
    }
}

impl Peer for AlteredPeer {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        let (ufrag, password, mut fingerprint) = self.0.local()?;
        if self.1 == Change::AnotherCertificate {
            fingerprint[31] ^= 1;
        }
        Some((ufrag, password, fingerprint))
    }

    fn observed_fingerprint(&mut self) -> Option<[u8; 32]> {
        self.0.observed_fingerprint()
    }

    fn add_local(&mut self, now: Timestamp, candidate: Candidate) -> bool {
        self.0.add_local(now, candidate)
    }

    fn remove_local(&mut self, now: Timestamp, address: SocketAddr) {
        self.0.remove_local(now, address);
    }

    fn renew(&mut self, now: Timestamp, stays: Option<SocketAddr>) {
        self.0.renew(now, stays);
    }

    fn rest(&mut self, now: Timestamp, used: SocketAddr, relay: SocketAddr) {
        if self.1 != Change::PathsNeverRest {
            self.0.rest(now, used, relay);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        self.0.wake(now);
    }

    fn set_remote(&mut self, now: Timestamp, description: &Description) -> Result<(), LinkDown> {
        self.0.set_remote(now, description)
    }

    fn add_remote(&mut self, now: Timestamp, candidate: Candidate) {
        self.0.add_remote(now, candidate);
    }

    fn accepts(&self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        self.0.accepts(now, source, destination, bytes)
    }

    fn receive(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LinkDown> {
        self.0.receive(now, source, destination, bytes)
    }

    fn write(&mut self, now: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown> {
        self.0.write(now, lane, bytes)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        self.0.tick(now)
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        self.0.poll()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline()
    }

    fn check(&self) {
        self.0.check();
    }
}
