//! Inputs and outputs of an endpoint.

use std::net::SocketAddr;

use crate::crypto::invite::{Invite, LinkForm};
use crate::crypto::keys::HostSecrets;
use crate::ice::server_url::IceServer;
use crate::ice::turn::StreamId;
use crate::machine::Tick;
use crate::peer::browser::{PeerCommand, PeerEvent};
use crate::peer::engine::PeerNumber;

use super::note::Note;

/// Numbers the sets of sockets that an endpoint asked for.
pub type Generation = u16;

/// Inputs of an endpoint.
#[derive(Clone)]
pub enum Input<I> {
    /// Time has passed.
    Tick,
    /// For the machine.
    Machine(I),
    /// From the network.
    Network(NetworkInput),
}

/// Network events, the same for every machine in the endpoint.
#[derive(Clone)]
pub enum NetworkInput {
    /// The rendezvous is connected.
    SignalUp,
    /// The rendezvous is not connected any more, and why.
    SignalDown(String),
    /// The rendezvous said this.
    Signal(String),
    /// The sockets of this generation are open, at these addresses; none if that failed.
    Bound(Generation, Vec<SocketAddr>),
    /// A datagram arrived.
    Datagram {
        /// From there.
        source: SocketAddr,
        /// At this address of ours.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// The sockets are open at these addresses now: some went, some came, the others are as before.
    Moved(Vec<SocketAddr>),
    /// The rendezvous was reached at this address; before [`NetworkInput::SignalUp`].
    RendezvousAt(SocketAddr),
    /// There is this server; its host is an address.
    IceServer(IceServer),
    /// The connection to a TURN server is there.
    TurnUp(StreamId),
    /// Bytes came on the connection to a TURN server.
    TurnBytes(StreamId, Vec<u8>),
    /// The connection to a TURN server is gone, or could not be had.
    TurnDown(StreamId),
    /// The rendezvous relayed this: see [`Relayed`](crate::ice::relay::Relayed).
    Relayed(Vec<u8>),
    /// This happened to a connection of an engine with sockets of its own. Ignored if the connection is of no more use.
    Peer(PeerNumber, PeerEvent),
    /// The rendezvous said this on the connection of [`Output::DialBeside`].
    SignalBeside(String),
    /// The connection of [`Output::DialBeside`] ended, or could not be made, and why.
    BesideDown(String),
}

impl<I> From<NetworkInput> for Input<I> {
    fn from(input: NetworkInput) -> Input<I> {
        Input::Network(input)
    }
}

impl<I> From<Tick> for Input<I> {
    fn from(Tick: Tick) -> Input<I> {
        Input::Tick
    }
}

/// Outputs of an endpoint.
#[derive(Clone)]
pub enum Output<O> {
    /// From the machine.
    Machine(O),
    /// Connect to the rendezvous; abandon the connection that is there.
    Dial,
    /// Connect to the rendezvous at this URL, which may have a path; abandon the connection that is there. The next
    /// [`Dial`](Output::Dial) is for the rendezvous of the invite again.
    DialAt(String),
    /// Leave the rendezvous.
    HangUp,
    /// Host: connect to the rendezvous once more, and say these texts there. The connection that is there stays, and
    /// carries everything else. An earlier connection beside that one is abandoned. [`Dial`](Output::Dial) and
    /// [`HangUp`](Output::HangUp) abandon both.
    DialBeside(Vec<String>),
    /// Leave the connection that is there, once all queued texts are sent; the one beside takes its place.
    TakeBeside,
    /// Abandon the connection beside.
    HangUpBeside,
    /// Say this to the rendezvous.
    Signal(String),
    /// Open fresh sockets, a socket for each local address, and close those of earlier generations.
    Bind(Generation),
    /// Send this datagram.
    Datagram {
        /// From this address of ours.
        source: SocketAddr,
        /// To there.
        destination: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Have the rendezvous relay this, or drop it if it would have to wait long.
    Relay(Vec<u8>),
    /// Connect to this TURN server over TCP.
    TurnDial(StreamId, SocketAddr),
    /// Write this to it, or drop it whole if it would have to wait long.
    TurnWrite(StreamId, Vec<u8>),
    /// Close the connection, once what was written is sent.
    TurnHangUp(StreamId),
    /// Have a connection of an engine with sockets of its own do this.
    Peer(PeerNumber, PeerCommand),
    /// Host: the links that work at the rendezvous from now on; long ones work at each. Comes before the machine's
    /// output about the registration.
    Links(LinkForm),
    /// Append this to the recording.
    Record(Vec<u8>),
    /// Write this into the log. Only with [`Endpoint::noting`](super::Endpoint::noting).
    Note(Note),
}

/// Which paths a link may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// A direct one, or where there is none one through a TURN server or through the rendezvous.
    #[default]
    Any,
    /// Direct ones only.
    DirectOnly,
    /// Only paths through a TURN server or the rendezvous: the other side learns no address of this one.
    RelayOnly,
}

/// Which side an endpoint is, and what it knows.
pub enum Secrets {
    /// A host's.
    Host(HostSecrets),
    /// A viewer's.
    Viewer(Invite),
}
