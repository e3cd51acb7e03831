//! Peers that are valid until a test has them say more than their machine does: any frames, on either lane, and any
//! addresses at which they can be reached.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use beach_core::Entropy;
use beach_core::peer::engine::{Engine, Peer, PeerOutput, PeerPlan, Server};
use beach_core::session::link::{Candidate, CandidateKind, Lane, LinkDown};
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;

/// Messages to say, in order.
type Queue = VecDeque<(Lane, Vec<u8>)>;

/// The messages that an engine's peers say beside their machine's, and how many messages these peers said and heard.
#[derive(Clone, Default)]
pub struct Mouth {
    queue: Rc<RefCell<Queue>>,
    heard: Rc<Cell<u64>>,
    said: Rc<Cell<u64>>,
    addresses: Rc<RefCell<VecDeque<SocketAddr>>>,
}

impl Mouth {
    /// Says this just before the peer's next own message.
    pub fn say(&self, lane: Lane, bytes: Vec<u8>) {
        self.queue.borrow_mut().push_back((lane, bytes));
    }

    /// Tells this address as one of its own.
    pub fn name(&self, address: SocketAddr) {
        self.addresses.borrow_mut().push_back(address);
    }

    /// How many messages its engine took so far.
    pub fn said(&self) -> u64 {
        self.said.get()
    }

    /// How many messages of the other side its peers passed to their endpoint.
    pub fn heard(&self) -> u64 {
        self.heard.get()
    }
}

/// An engine whose peers say what is in the mouth.
pub struct Speaking<E>(pub E, pub Mouth);

/// A peer of [`Speaking`].
pub struct SpeakingPeer<P>(P, Mouth);

impl<E: Engine> Engine for Speaking<E> {
    type Peer = SpeakingPeer<E::Peer>;

    fn peer(&mut self, now: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> SpeakingPeer<E::Peer> {
        SpeakingPeer(self.0.peer(now, plan, entropy), self.1.clone())
    }

    fn capabilities(&self) -> u32 {
        self.0.capabilities()
    }

    fn has_own_sockets(&self) -> bool {
        self.0.has_own_sockets()
    }

    fn learn(&mut self, servers: Vec<Server>) {
        self.0.learn(servers);
    }
}

impl<P: Peer> Peer for SpeakingPeer<P> {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        self.0.local()
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
        self.0.rest(now, used, relay);
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
        while let Some((lane, more)) = self.1.queue.borrow_mut().pop_front() {
            if self.0.write(now, lane, &more)? {
                self.1.said.set(self.1.said.get() + 1);
            }
        }
        self.0.write(now, lane, bytes)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        self.0.tick(now)
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        if let Some(address) = self.1.addresses.borrow_mut().pop_front() {
            return Some(PeerOutput::Candidate(Candidate { kind: CandidateKind::Host, address }));
        }
        let output = self.0.poll();
        if let Some(PeerOutput::Message(..)) = &output {
            self.1.heard.set(self.1.heard.get() + 1);
        }
        output
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline()
    }

    fn check(&self) {
        self.0.check();
    }
}
