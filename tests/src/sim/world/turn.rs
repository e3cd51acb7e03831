//! A TURN server in the world: turn-server-proto's, on virtual time, over UDP and over TCP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use beach_core::endpoint::Input;
use beach_core::engine::Engine;
use beach_core::ice_server::{Credentials, IceServer, Service, Transport};
use beach_core::rendezvous::RendezvousInput;
use beach_core::time::Timestamp;
use beach_core::turn::StreamId;
use beach_core::wire::signal::IceUrl;
use turn_server_proto::api::{SocketAllocateError, TurnServerApi as _, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::prelude::DelayedTransmitBuild as _;
use turn_server_proto::types::stun::TransportType;
use turn_server_proto::types::{AddressFamily, Instant};

use super::{What, Who, World, place};

/// How far everybody is from it.
const AWAY: Duration = Duration::from_millis(15);

const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3478);

/// The server, and what it relays.
pub(super) struct TurnPost {
    servers: [(TransportType, TurnServer); 2],
    /// Addresses that relay, and for which server.
    relayed: BTreeMap<SocketAddr, usize>,
    next_port: u16,
    /// Datagrams that it passed on to a peer or from one.
    passed: u64,
}

impl TurnPost {
    fn handle(
        &mut self,
        now: Timestamp,
        transport: TransportType,
        source: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Vec<Sent> {
        let now = Instant::from_nanos(i64::try_from(now.since_start().as_nanos()).expect("no centuries pass"));
        let at_itself = self.servers.iter().position(|(own, _)| *own == transport && to == AT);
        let Some(index) = self.relayed.get(&to).copied().or(at_itself) else { return Vec::new() };
        let server = &mut self.servers[index].1;
        let transmit = Transmit::new(bytes, transport, source, to);
        let mut sent = Vec::new();
        if let Some(transmit) = server.recv(transmit, now) {
            self.passed += 1;
            sent.push((transmit.transport, transmit.from, transmit.to, transmit.data.build()));
        }
        loop {
            while let Some(transmit) = server.poll_transmit(now) {
                sent.push((transmit.transport, transmit.from, transmit.to, transmit.data));
            }
            match server.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    // It has no IPv6 address.
                    let address = if family == AddressFamily::IPV4 {
                        self.next_port += 1;
                        let address = SocketAddr::new(AT.ip(), self.next_port);
                        self.relayed.insert(address, index);
                        Ok(address)
                    } else {
                        Err(SocketAllocateError::AddressFamilyNotSupported)
                    };
                    server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        address,
                        now,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relayed.remove(&listen_addr);
                }
                // What is due of its own accord is done with the next datagram.
                TurnServerPollRet::WaitUntil(_)
                | TurnServerPollRet::TcpConnect { .. }
                | TurnServerPollRet::TcpClose { .. } => break,
            }
        }
        sent
    }
}

/// Over what, from where, where to, and what.
type Sent = (TransportType, SocketAddr, SocketAddr, Vec<u8>);

/// The end of a stream, as the server sees it.
fn end_of(who: Who, stream: StreamId) -> SocketAddr {
    SocketAddr::new(place(who).into(), 50_000 + u16::try_from(stream).expect("a handful"))
}

impl<E: Engine> World<E> {
    /// With a TURN server that takes these credentials.
    #[must_use]
    pub fn with_turn(mut self, user: &str, password: &str) -> World<E> {
        let server = |transport| {
            let mut server = TurnServer::new(transport, AT, "beach.test".to_owned());
            server.add_user(user.to_owned(), password.to_owned());
            (transport, server)
        };
        let servers = [server(TransportType::Udp), server(TransportType::Tcp)];
        self.turn = Some(TurnPost { servers, relayed: BTreeMap::new(), next_port: 60_000, passed: 0 });
        self
    }

    /// It is gone.
    #[must_use]
    pub fn without_turn_server(mut self) -> World<E> {
        self.turn = None;
        self
    }

    /// The TURN server forgets everything; it is there again at once.
    pub fn restart_turn(&mut self, user: &str, password: &str) {
        for (transport, server) in self.turn.iter_mut().flat_map(|post| {
            post.relayed.clear();
            &mut post.servers
        }) {
            *server = TurnServer::new(*transport, AT, "beach.test".to_owned());
            server.add_user(user.to_owned(), password.to_owned());
        }
        for (who, stream) in std::mem::take(&mut self.streams).into_values() {
            self.later(AWAY, What::TurnStream(who, Box::new(Input::TurnDown(stream))));
        }
    }

    /// Tells somebody of it.
    pub fn tell_of_turn(&mut self, who: Who, transport: Transport, user: &str, password: &str) {
        let credentials = Credentials { user: user.to_owned(), password: password.to_owned().into() };
        let service = Service::Turn(transport, Some(credentials));
        let server = IceServer { host: AT.ip().to_string(), port: AT.port(), service };
        self.drive(who, Input::IceServer(server));
    }

    /// Has the rendezvous hand servers out from now on.
    pub fn hand_out(&mut self, ice: Vec<IceUrl>) {
        self.drive_rendezvous(RendezvousInput::Ice(ice));
    }

    /// Datagrams that the TURN server passed on, and the addresses at which it relays.
    pub fn turned(&self) -> (u64, usize) {
        self.turn.as_ref().map_or((0, 0), |post| (post.passed, post.relayed.len()))
    }

    /// Between those who are apart nothing passes but through the TURN server and the rendezvous.
    pub fn set_apart(&mut self, apart: bool) {
        self.apart = apart;
    }

    /// Whether a datagram is for the TURN server.
    pub(super) fn is_for_turn(&self, destination: SocketAddr) -> bool {
        self.turn.is_some() && destination.ip() == AT.ip()
    }

    pub(super) fn sent_to_turn(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.later(AWAY, What::AtTurn(TransportType::Udp, source, destination, bytes));
    }

    pub(super) fn turn_dial(&mut self, who: Who, stream: StreamId) {
        let answer = if self.turn.is_some() { Input::TurnUp(stream) } else { Input::TurnDown(stream) };
        self.streams.insert(end_of(who, stream), (who, stream));
        self.later(AWAY * 2, What::TurnStream(who, Box::new(answer)));
    }

    pub(super) fn turn_write(&mut self, who: Who, stream: StreamId, bytes: Vec<u8>) {
        self.later(AWAY, What::AtTurn(TransportType::Tcp, end_of(who, stream), AT, bytes));
    }

    pub(super) fn turn_hang_up(&mut self, who: Who, stream: StreamId) {
        self.streams.remove(&end_of(who, stream));
    }

    pub(super) fn at_turn(&mut self, transport: TransportType, source: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now;
        let Some(post) = &mut self.turn else { return };
        for (transport, from, to, bytes) in post.handle(now, transport, source, to, bytes) {
            if self.is_for_turn(to) {
                self.later(Duration::from_micros(10), What::AtTurn(TransportType::Udp, from, to, bytes));
            } else if transport == TransportType::Tcp {
                if let Some((who, stream)) = self.streams.get(&to).copied() {
                    self.later(AWAY, What::TurnStream(who, Box::new(Input::TurnBytes(stream, bytes))));
                }
            } else {
                let inside = self.mapped.get(&to).copied().unwrap_or(to);
                if let Some(who) = self.addresses.get(&inside).copied() {
                    self.later(AWAY, What::Datagram { to: who, source: from, destination: inside, bytes });
                }
            }
        }
    }
}
