//! A TURN server in the world, some way from everybody.

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::endpoint::NetworkInput;
use beach_core::ice::server_url::Transport;
use beach_core::ice::turn::StreamId;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::RendezvousInput;
use beach_core::wire::signal::IceUrl;

use super::network::place;
use super::queue::What;
use super::{Who, World};
use crate::sim::turn::{TURN_AT, TurnPost};

/// How far everybody is from it.
const AWAY: Duration = Duration::from_millis(15);

/// The end of a stream, as the server sees it.
fn end_of(who: Who, stream: StreamId) -> SocketAddr {
    SocketAddr::new(place(who).into(), 50_000 + u16::try_from(stream).expect("a handful"))
}

impl<E: Engine> World<E> {
    /// With a TURN server that takes credentials made from this secret.
    #[must_use]
    pub fn with_turn(mut self, secret: &str) -> World<E> {
        self.turn = Some(TurnPost::new(secret));
        self
    }

    /// The server is gone.
    #[must_use]
    pub fn without_turn_server(mut self) -> World<E> {
        self.turn = None;
        self
    }

    /// The TURN server forgets everything; it is there again at once, with another secret.
    pub fn restart_turn(&mut self, secret: &str) {
        // Its ports are others from now on, as they would be.
        let next_port = self.turn.as_ref().map_or(0, TurnPost::next_port);
        self.turn = Some(TurnPost::new(secret).from_port(next_port));
        for (who, stream) in std::mem::take(&mut self.streams).into_values() {
            self.later(AWAY, What::TurnStream(who, NetworkInput::TurnDown(stream)));
        }
    }

    /// Tells a node of a TURN server that takes credentials made from this secret.
    pub fn tell_of_turn(&mut self, who: Who, transport: Transport, secret: &str) {
        self.drive(who, NetworkInput::IceServer(TurnPost::new(secret).as_server(transport)));
    }

    /// Has the rendezvous hand servers out from now on.
    pub fn hand_out(&mut self, ice: Vec<IceUrl>) {
        self.drive_rendezvous(RendezvousInput::Ice(ice.into()));
    }

    /// Datagrams that the TURN server passed on, and the addresses at which it relays.
    pub fn turned(&self) -> (u64, usize) {
        self.turn.as_ref().map_or((0, 0), |post| (post.passed, post.relays()))
    }

    /// Between separated nodes, datagrams pass only through the TURN server and the rendezvous.
    pub fn set_apart(&mut self, apart: bool) {
        self.apart = apart;
    }

    /// Whether a datagram is for the TURN server.
    pub(super) fn is_for_turn(&self, destination: SocketAddr) -> bool {
        self.turn.is_some() && destination.ip() == TURN_AT.ip()
    }

    pub(super) fn sent_to_turn(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.later(AWAY, What::AtTurn(Transport::Udp, source, destination, bytes));
    }

    pub(super) fn turn_dial(&mut self, who: Who, stream: StreamId) {
        let answer = if self.turn.is_some() { NetworkInput::TurnUp(stream) } else { NetworkInput::TurnDown(stream) };
        self.streams.insert(end_of(who, stream), (who, stream));
        self.later(AWAY * 2, What::TurnStream(who, answer));
    }

    pub(super) fn turn_write(&mut self, who: Who, stream: StreamId, bytes: Vec<u8>) {
        self.later(AWAY, What::AtTurn(Transport::Tcp, end_of(who, stream), TURN_AT, bytes));
    }

    pub(super) fn turn_hang_up(&mut self, who: Who, stream: StreamId) {
        self.streams.remove(&end_of(who, stream));
        if let Some(post) = &mut self.turn {
            post.hang_up(self.now, end_of(who, stream));
        }
    }

    pub(super) fn at_turn(&mut self, transport: Transport, source: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now;
        let Some(post) = &mut self.turn else { return };
        for (transport, from, to, bytes) in post.handle(now, transport, source, to, bytes) {
            if self.is_for_turn(to) {
                self.later(Duration::from_micros(10), What::AtTurn(Transport::Udp, from, to, bytes));
            } else if transport == Transport::Tcp {
                if let Some((who, stream)) = self.streams.get(&to).copied() {
                    self.later(AWAY, What::TurnStream(who, NetworkInput::TurnBytes(stream, bytes)));
                }
            } else {
                let inside = self.mapped.get(&to).copied().unwrap_or(to);
                if let Some(who) = self.addresses.get(&inside).copied().filter(|who| !self.blocked.contains(who)) {
                    self.later(AWAY, What::Datagram { to: who, source: from, destination: inside, bytes });
                }
            }
        }
    }
}
