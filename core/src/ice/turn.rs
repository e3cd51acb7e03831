//! Relayed candidates at TURN servers.

use std::net::SocketAddr;

#[cfg(feature = "turn")]
mod allocations;
#[cfg(not(feature = "turn"))]
#[path = "turn/none.rs"]
mod allocations;

pub use self::allocations::Allocations;

/// Names a TCP connection; never used twice.
pub type StreamId = u32;

/// The results of an input.
pub enum Effect {
    /// Send this datagram.
    Datagram {
        /// From this socket of ours.
        source: SocketAddr,
        /// To a server.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Connect to a server.
    Dial(StreamId, SocketAddr),
    /// Write this to it.
    Write(StreamId, Vec<u8>),
    /// Close the connection.
    HangUp(StreamId),
    /// This address relays for us from now on,
    Allocated(SocketAddr),
    /// or no more.
    Lost(SocketAddr),
    /// The server relayed this datagram.
    Arrived {
        /// From there.
        source: SocketAddr,
        /// At an address that relays for us.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
}
