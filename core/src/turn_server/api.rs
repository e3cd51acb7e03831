//! The configuration, inputs and outputs of a TURN server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroizing;

use crate::machine::Tick;

/// Names a TCP connection of a client; given by the runtime, never used twice.
pub type TcpConnectionId = u64;

/// Names a socket that relays; given by the server, never used twice.
pub type RelayId = u64;

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// By datagrams.
    Udp,
    /// By this connection, over TCP or TLS.
    Stream(TcpConnectionId),
}

/// A client: what RFC 8656 calls the 5-tuple, as the server has one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// How the client reaches the server.
    pub via: Via,
    /// The client's address as the server sees it, never an IPv4 address inside an IPv6 one.
    pub address: SocketAddr,
}

/// The peers to which the server relays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Peers on the Internet.
    #[default]
    Public,
    /// Peers in private networks and on the server's own machine as well.
    PrivateToo,
}

/// Which port a client wants (EVEN-PORT in RFC 8656, section 18.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Any.
    Any,
    /// An even one, as RTP has.
    Even,
}

/// The configuration of a TURN server.
pub struct TurnConfig {
    /// Credentials are made from this: see [`Credentials::until`](crate::ice::server_url::Credentials::until).
    pub secret: Zeroizing<String>,
    /// The addresses at which clients and peers reach the server, one a family at most. The server relays at these.
    pub external: Vec<IpAddr>,
    /// All other addresses of the server's machine; see [`TurnInput::Own`].
    pub own: Vec<IpAddr>,
    /// To whom the server relays.
    pub peers: Peers,
    /// Most allocations, and most TCP connections, if that is fewer than [`MAX_ALLOCATIONS`](super::MAX_ALLOCATIONS).
    pub allocations_max: usize,
    /// The server's randomness.
    pub seed: [u8; 32],
}

/// Inputs of a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub enum TurnInput {
    /// Time has passed.
    Tick,
    /// The time of day, in seconds since 1970. Nobody is let in before this input came once; later ones correct the
    /// first one, since a system's clock may be set.
    TimeOfDay(u64),
    /// The machine's addresses, if they are not those of [`TurnConfig::own`] any more.
    Own(Vec<IpAddr>),
    /// A connection of a client, and the client's address.
    Opened(TcpConnectionId, SocketAddr),
    /// A datagram of a client, or a whole message on the client's connection: see [`Framer`](super::stream::Framer).
    FromClient(Client, Vec<u8>),
    /// This connection is closed.
    Closed(TcpConnectionId),
    /// This relay's socket has this port; `None` if there is no socket for the relay.
    Bound(RelayId, Option<u16>),
    /// A datagram came to this relay from there.
    FromPeer(RelayId, SocketAddr, Vec<u8>),
}

impl From<Tick> for TurnInput {
    fn from(_: Tick) -> TurnInput {
        TurnInput::Tick
    }
}

// Lengths, never content.
impl fmt::Debug for TurnInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TurnInput::Tick => f.write_str("Tick"),
            TurnInput::TimeOfDay(seconds) => write!(f, "TimeOfDay({seconds})"),
            TurnInput::Own(addresses) => write!(f, "Own({} addresses)", addresses.len()),
            TurnInput::Opened(id, from) => write!(f, "Opened({id}, {from})"),
            TurnInput::FromClient(client, bytes) => write!(f, "FromClient({client:?}, {} bytes)", bytes.len()),
            TurnInput::Closed(id) => write!(f, "Closed({id})"),
            TurnInput::Bound(relay, port) => write!(f, "Bound({relay}, {port:?})"),
            TurnInput::FromPeer(relay, from, bytes) => write!(f, "FromPeer({relay}, {from}, {} bytes)", bytes.len()),
        }
    }
}

/// Outputs of a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub enum TurnOutput {
    /// Send this answer to a client.
    Answer(Client, Vec<u8>),
    /// Send this relayed datagram to a client, soon or never.
    Data(Client, Vec<u8>),
    /// Open a UDP socket for this relay, at such a port of the server's address of the same family as this one.
    Bind(RelayId, IpAddr, Port),
    /// Send this datagram from the relay's socket.
    ToPeer(RelayId, SocketAddr, Vec<u8>),
    /// Close the relay's socket.
    Unbind(RelayId),
    /// Close the connection, after what was said before.
    Close(TcpConnectionId),
}

impl fmt::Debug for TurnOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TurnOutput::Answer(client, bytes) => write!(f, "Answer({client:?}, {} bytes)", bytes.len()),
            TurnOutput::Data(client, bytes) => write!(f, "Data({client:?}, {} bytes)", bytes.len()),
            TurnOutput::Bind(relay, address, port) => write!(f, "Bind({relay}, {address}, {port:?})"),
            TurnOutput::ToPeer(relay, to, bytes) => write!(f, "ToPeer({relay}, {to}, {} bytes)", bytes.len()),
            TurnOutput::Unbind(relay) => write!(f, "Unbind({relay})"),
            TurnOutput::Close(id) => write!(f, "Close({id})"),
        }
    }
}
