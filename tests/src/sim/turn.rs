//! A TURN server, turn-server-proto's on virtual time: over UDP, and over TCP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use beach_core::time::Timestamp;
use turn_server_proto::api::{SocketAllocateError, TurnServerApi as _, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::prelude::DelayedTransmitBuild as _;
use turn_server_proto::types::{AddressFamily, Instant, TransportType};

/// The server's address.
pub const TURN_AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3478);

/// The server, and what it relays.
pub struct TurnPost {
    servers: [(TransportType, TurnServer); 2],
    /// Addresses that relay, and for which server.
    relayed: BTreeMap<SocketAddr, usize>,
    next_port: u16,
    /// Datagrams that it passed on to a peer or from one.
    pub passed: u64,
}

/// Over what, from where, where to, and what.
pub type Sent = (TransportType, SocketAddr, SocketAddr, Vec<u8>);

impl TurnPost {
    /// A server that takes these credentials.
    pub fn new(user: &str, password: &str) -> TurnPost {
        let server = |transport| {
            let mut server = TurnServer::new(transport, TURN_AT, "beach.test".to_owned());
            server.add_user(user.to_owned(), password.to_owned());
            (transport, server)
        };
        let servers = [server(TransportType::Udp), server(TransportType::Tcp)];
        TurnPost { servers, relayed: BTreeMap::new(), next_port: 60_000, passed: 0 }
    }

    /// This server, with relayed addresses at ports from this one on.
    #[must_use]
    pub fn from_port(mut self, next_port: u16) -> TurnPost {
        self.next_port = next_port;
        self
    }

    /// The port of the relay made last.
    pub fn next_port(&self) -> u16 {
        self.next_port
    }

    /// The addresses at which it relays.
    pub fn relays(&self) -> usize {
        self.relayed.len()
    }

    /// Takes bytes that arrived; returns the server's outputs.
    pub fn handle(
        &mut self,
        now: Timestamp,
        transport: TransportType,
        source: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Vec<Sent> {
        let now = Instant::from_nanos(i64::try_from(now.since_start().as_nanos()).expect("no centuries pass"));
        let at_itself = self.servers.iter().position(|(own, _)| *own == transport && to == TURN_AT);
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
                    // The server has no IPv6 address.
                    let address = if family == AddressFamily::IPV4 {
                        self.next_port += 1;
                        let address = SocketAddr::new(TURN_AT.ip(), self.next_port);
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
                // Due work of the server is done with the next datagram.
                TurnServerPollRet::WaitUntil(_)
                | TurnServerPollRet::TcpConnect { .. }
                | TurnServerPollRet::TcpClose { .. } => break,
            }
        }
        sent
    }
}
