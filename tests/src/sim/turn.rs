//! A TURN server, that of `beach serve --turn` on virtual time: over UDP, and over TCP.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use beach_core::ice::server_url::{Credentials, IceServer, Service, Transport};
use beach_core::machine::Machine as _;
use beach_core::time::Timestamp;
use beach_core::turn_server::stream::Framer;
use beach_core::turn_server::{
    Client, MAX_ALLOCATIONS, Peers, RelayId, TcpConnectionId, TurnConfig, TurnInput, TurnOutput, TurnServer, Via,
};

/// The server's address.
pub const TURN_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3478);

/// The time of day at the simulation's start, in seconds since 1970.
const TODAY: u64 = 1_764_288_000;

/// The server, and what it relays.
pub struct TurnPost {
    server: TurnServer,
    credentials: Credentials,
    streams: BTreeMap<SocketAddr, (TcpConnectionId, Framer)>,
    next_stream: TcpConnectionId,
    sockets: BTreeMap<SocketAddr, RelayId>,
    addresses: BTreeMap<RelayId, SocketAddr>,
    next_port: u16,
    /// Datagrams that it passed on to a peer or from one.
    pub passed: u64,
}

/// Over what, from where, where to, and what.
pub type Sent = (Transport, SocketAddr, SocketAddr, Vec<u8>);

impl TurnPost {
    /// A server that takes credentials made from this secret.
    pub fn new(secret: &str) -> TurnPost {
        let config = TurnConfig {
            secret: secret.to_owned().into(),
            external: vec![TURN_AT.ip()],
            own: Vec::new(),
            // The nodes of the world have private addresses.
            peers: Peers::PrivateToo,
            allocations_max: MAX_ALLOCATIONS,
            seed: [5; 32],
        };
        let mut server = TurnServer::new(config);
        server.handle(Timestamp::ZERO, TurnInput::TimeOfDay(TODAY));
        TurnPost {
            server,
            // Long enough for every simulation.
            credentials: Credentials::until(TODAY + 100 * 3600, secret.as_bytes()),
            streams: BTreeMap::new(),
            next_stream: 1,
            sockets: BTreeMap::new(),
            addresses: BTreeMap::new(),
            next_port: 60_000,
            passed: 0,
        }
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

    /// At how many addresses the server relays.
    pub fn relays(&self) -> usize {
        self.server.relays()
    }

    /// Credentials that the server takes.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// The server over this transport, as clients are told of it.
    pub fn as_server(&self, transport: Transport) -> IceServer {
        let service = Service::Turn(transport, Some(self.credentials()));
        IceServer { host: TURN_AT.ip().to_string(), port: TURN_AT.port(), service }
    }

    /// Takes bytes that arrived; returns the server's outputs. The first bytes of a stream open it.
    pub fn handle(
        &mut self,
        now: Timestamp,
        transport: Transport,
        source: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        if let Some(relay) = self.sockets.get(&to).copied() {
            self.input(now, TurnInput::FromPeer(relay, source, bytes), &mut sent);
        } else if to == TURN_AT && transport == Transport::Udp {
            self.input(now, TurnInput::FromClient(Client { via: Via::Udp, address: source }, bytes), &mut sent);
        } else if to == TURN_AT {
            self.stream(now, source, &bytes, &mut sent);
        }
        sent
    }

    /// A client closed its stream.
    pub fn hang_up(&mut self, now: Timestamp, source: SocketAddr) {
        if let Some((id, _)) = self.streams.remove(&source) {
            self.input(now, TurnInput::Closed(id), &mut Vec::new());
        }
    }

    fn stream(&mut self, now: Timestamp, source: SocketAddr, bytes: &[u8], sent: &mut Vec<Sent>) {
        if !self.streams.contains_key(&source) {
            self.streams.insert(source, (self.next_stream, Framer::default()));
            self.input(now, TurnInput::Opened(self.next_stream, source), sent);
            self.next_stream += 1;
        }
        let Some((id, framer)) = self.streams.get_mut(&source) else { return };
        let client = Client { via: Via::Stream(*id), address: source };
        framer.push(bytes);
        let mut messages = Vec::new();
        while let Ok(Some(message)) = framer.message() {
            messages.push(message);
        }
        messages.into_iter().for_each(|message| self.input(now, TurnInput::FromClient(client, message), sent));
    }

    fn input(&mut self, now: Timestamp, input: TurnInput, sent: &mut Vec<Sent>) {
        self.server.handle(now, input);
        while let Some(output) = self.server.poll() {
            match output {
                TurnOutput::Answer(client, bytes) => sent.push((of(client), TURN_AT, client.address, bytes)),
                TurnOutput::Data(client, bytes) => {
                    self.passed += 1;
                    sent.push((of(client), TURN_AT, client.address, bytes));
                }
                TurnOutput::ToPeer(relay, to, bytes) => {
                    self.passed += 1;
                    sent.push((Transport::Udp, self.addresses[&relay], to, bytes));
                }
                TurnOutput::Bind(relay, ip, _) => {
                    self.next_port += 1;
                    let address = SocketAddr::new(ip, self.next_port);
                    self.sockets.insert(address, relay);
                    self.addresses.insert(relay, address);
                    self.server.handle(now, TurnInput::Bound(relay, Some(self.next_port)));
                }
                TurnOutput::Unbind(relay) => {
                    let address = self.addresses.remove(&relay);
                    address.and_then(|address| self.sockets.remove(&address));
                }
                TurnOutput::Close(id) => self.streams.retain(|_, (stream, _)| *stream != id),
            }
        }
    }
}

fn of(client: Client) -> Transport {
    match client.via {
        Via::Udp => Transport::Udp,
        Via::Stream(_) => Transport::Tcp,
    }
}
