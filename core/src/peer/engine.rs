//! The engine below an `Endpoint`: it makes peers that turn a description of the other side into lanes. The real one is
//! in
//! [`peer`](crate::peer::str0m); a simulator brings its own.

use std::net::SocketAddr;

use crate::session::link::{Attempt, Candidate, Lane, LinkDown};
use crate::support::entropy::Entropy;
use crate::time::Timestamp;
use crate::wire::signal::Description;

/// Makes peers.
pub trait Engine {
    /// The type of its peers.
    type Peer: Peer;

    /// A peer for one attempt of one link. The host's peer is the controlling one, and the active one in DTLS and SCTP.
    fn peer(&mut self, now: Timestamp, side: PeerSide, attempt: Attempt, entropy: &mut Entropy) -> Self::Peer;
}

/// Which side of the link a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSide {
    /// Offers, controls, and is active.
    Host,
    /// Answers.
    Viewer,
}

/// One side of one attempt at one link. Sans I/O: the caller drains [`poll`](Peer::poll) after every other call.
pub trait Peer {
    /// ICE user name fragment and password, and the SHA-256 of the certificate.
    fn local(&self) -> (String, String, [u8; 32]);

    /// The SHA-256 of the certificate that the other side showed, once DTLS is up; not what signalling said of it.
    fn observed_fingerprint(&mut self) -> Option<[u8; 32]>;

    /// Can be reached at this address of ours; `false` if it is of no use.
    fn add_local(&mut self, now: Timestamp, candidate: Candidate) -> bool;

    /// Can not be reached there any more.
    fn remove_local(&mut self, now: Timestamp, address: SocketAddr);

    /// The direct paths shall prove themselves anew, but for those from the address that `stays`: until one answers, a
    /// detour is used.
    fn renew(&mut self, now: Timestamp, stays: Option<SocketAddr>);

    /// Checks only the paths from the address of ours that is `used`, and those through TURN servers. The others rest,
    /// among them the one from `relay`, which stands for our end at the rendezvous.
    fn rest(&mut self, now: Timestamp, used: SocketAddr, relay: SocketAddr);

    /// Checks all paths again.
    fn wake(&mut self, now: Timestamp);

    /// The other side, as its description says. Once.
    ///
    /// # Errors
    /// DTLS does not begin with this description: the attempt is over.
    fn set_remote(&mut self, now: Timestamp, description: &Description) -> Result<(), LinkDown>;

    /// Another address of the other side. After [`set_remote`](Peer::set_remote).
    fn add_remote(&mut self, now: Timestamp, candidate: Candidate);

    /// Whether this datagram is for this peer, by its user name or by where it came from.
    fn accepts(&self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool;

    /// A datagram arrived.
    ///
    /// # Errors
    /// The datagram ended the link. One that makes no sense is dropped without an error.
    fn receive(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LinkDown>;

    /// Takes a message for a lane, which the next [`Peer::poll`] sends; `false` if there is no room now and nothing was
    /// taken.
    ///
    /// # Errors
    /// The link is over. A full lane is no error.
    fn write(&mut self, now: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown>;

    /// Time has passed.
    ///
    /// # Errors
    /// The link is over: the other side is silent, or a limit was reached.
    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown>;

    /// The next event or datagram.
    fn poll(&mut self) -> Option<PeerOutput>;

    /// When to tick.
    fn deadline(&self) -> Option<Timestamp>;
}

/// Outputs of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerOutput {
    /// Send this datagram.
    Transmit {
        /// From this address of ours.
        source: SocketAddr,
        /// To there.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// A path answered.
    PathFound,
    /// DTLS is up: the terminal lane carries.
    Secured,
    /// The control lane carries.
    ControlOpen,
    /// A message arrived.
    Message(Lane, Vec<u8>),
    /// The peer is of no more use.
    Down(LinkDown),
}
