//! The engine below an `Endpoint`: it makes peers that turn a description of the other side into lanes.
//! [`peer::str0m`](crate::peer::str0m) is one whose datagrams pass through the endpoint,
//! [`peer::browser`](super::browser) one whose connections are those of a browser; a simulator brings its own.

use std::fmt;
use std::net::SocketAddr;

use zeroize::Zeroizing;

use crate::session::link::{Attempt, Candidate, Lane, LinkDown, Path};
use crate::side::Side;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;
use crate::wire::sealed::Description;

use super::browser::{PeerCommand, PeerEvent};

/// Makes peers.
pub trait Engine {
    /// The type of its peers.
    type Peer: Peer;

    /// A peer for one attempt of one link. The host's peer is the active one in DTLS and SCTP.
    fn peer(&mut self, now: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> Self::Peer;

    /// The bits that stand in a viewer's hello because of the engine: see [`Hello`](crate::session::link::Hello).
    fn capabilities(&self) -> u32 {
        0
    }

    /// Whether the engine sends its datagrams by sockets of its own. Then the endpoint opens none, asks no server, uses
    /// no relay, and leaves it to the engine to notice that a path is dead.
    fn has_own_sockets(&self) -> bool {
        false
    }

    /// The servers that help to find a path from now on, for an engine with sockets of its own.
    fn learn(&mut self, _servers: Vec<Server>) {}
}

/// A server that helps an engine with sockets of its own to find a path. `Debug` shows no credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// `stun:HOST:PORT` (RFC 7064) or `turn:HOST:PORT?transport=udp` or `tcp` (RFC 7065).
    pub url: String,
    /// User name and password, for TURN.
    pub credentials: Option<(String, Zeroizing<String>)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.url)
    }
}

/// The link side, carrier and attempt that a peer is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// Which side of the link the peer is. The host's peer offers, and is active; the viewer's answers.
    pub side: Side,
    /// The carrier of the terminal lane.
    pub carrier: Carrier,
    /// The attempt.
    pub attempt: Attempt,
}

/// The carrier of a peer's terminal lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// One RTP stream each way. The host controls in ICE.
    #[default]
    Rtp,
    /// Data channel 1, without order or repetition. The viewer controls in ICE.
    Channel,
}

impl Carrier {
    /// The side that controls in ICE: it names the path.
    pub fn controlling(self) -> Side {
        match self {
            Carrier::Rtp => Side::Host,
            Carrier::Channel => Side::Viewer,
        }
    }
}

/// Names a connection of an engine with sockets of its own. No two peers of an engine have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerNumber(pub u32);

/// One side of one attempt at one link. Sans I/O: the caller drains [`poll`](Peer::poll) after every other call.
pub trait Peer {
    /// ICE user name fragment and password, and the SHA-256 of the certificate; `None` until
    /// [`PeerOutput::Described`].
    fn local(&self) -> Option<(String, String, [u8; 32])>;

    /// The SHA-256 of the certificate that the other side showed, once DTLS is up; not what signalling said of it,
    /// unless the engine refuses every other certificate and does not tell.
    fn observed_fingerprint(&mut self) -> Option<[u8; 32]>;

    /// The peer's number, with an engine that has sockets of its own.
    fn number(&self) -> Option<PeerNumber> {
        None
    }

    /// Something happened to the peer's connection; only with a [`number`](Peer::number).
    ///
    /// # Errors
    /// The link is over.
    fn happened(&mut self, _now: Timestamp, _event: PeerEvent) -> Result<(), LinkDown> {
        Ok(())
    }

    /// The peer is of no more use: its last commands come out of [`poll`](Peer::poll).
    fn close(&mut self) {}

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

    /// Checks its invariants. Debug builds call this after every input of the endpoint.
    fn check(&self) {}
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
    /// Have the connection of this peer do that.
    Command(PeerNumber, PeerCommand),
    /// [`Peer::local`] is there now; only from a peer that began without.
    Described,
    /// The other side can reach this peer there.
    Candidate(Candidate),
    /// The datagrams take this path, of which the endpoint sees none.
    Path(Path),
    /// A path answered.
    PathFound,
    /// The terminal lane carries: DTLS is up, and with [`Carrier::Channel`] the channel is open.
    Secured,
    /// The control lane carries.
    ControlOpen,
    /// A message arrived.
    Message(Lane, Vec<u8>),
    /// The peer is of no more use.
    Down(LinkDown),
}
