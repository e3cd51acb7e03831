//! Relayed candidates by TURN (RFC 8656): one allocation at each server, over UDP from one of our sockets, or over TCP.
//!
//! The protocol is turn-client-proto's. This module decides when to ask for an allocation and from which socket, which
//! peers the allocation lets in, and what follows when the allocation, the socket or the credentials are lost. A server
//! that does not answer costs a few datagrams and nobody's time. Transaction ids come from the operating system, as the
//! engine's randomness does; simulations answer for both.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turn_client_proto::api::{TransmitBuild, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::TurnClientApi;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::{Effect, StreamId};
use crate::ice::server_url::{Credentials, Transport};
use crate::support::backoff::Backoff;
use crate::time::{Timestamp, earliest};

/// Most servers: each costs an allocation and a path to check.
const MAX_SERVERS: usize = 4;

/// Most addresses that an allocation lets in: twelve for each of ten viewers whose direct paths fail.
const MAX_PERMITTED: usize = 128;

/// A request over UDP is repeated after so long at first, the pause doubles up to [`LAST_PAUSE`]; RFC 8656 leaves it to
/// STUN's rules.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(1);
const TIMES: u32 = 6;

/// How long a socket is tried if there is another one.
const SOCKET_PATIENCE: Duration = Duration::from_secs(1);

/// How long a connection, or the first answer of a server, is waited for.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);

/// After all sockets failed a server rests, twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Most steps that a client may take after one input before it has to wait: a bound on code that is not ours.
const MAX_STEPS: usize = 256;

/// When a client that used up its steps goes on.
const STEPS_REST: Duration = Duration::from_millis(50);

/// All servers.
#[derive(Default)]
pub struct Allocations {
    servers: Vec<Server>,
    sockets: Vec<SocketAddr>,
    wanted: bool,
    permitted: BTreeSet<IpAddr>,
    next_stream: StreamId,
    effects: VecDeque<Effect>,
}

/// A server, and how it is doing.
struct Server {
    address: SocketAddr,
    transport: Transport,
    credentials: Credentials,
    allocation: Option<Allocation>,
    /// Tries that failed since the last one that did not.
    failed: u32,
    /// The pauses between tries that failed.
    rests: Backoff,
    /// The earliest time of the next try.
    again: Timestamp,
}

impl Server {
    /// Nothing has failed: the next try begins at once.
    fn try_afresh(&mut self, now: Timestamp) {
        (self.failed, self.again) = (0, now);
        self.rests.reset();
    }
}

/// An allocation, or a try to have one.
struct Allocation {
    stream: Option<StreamId>,
    /// Not before a connection is there.
    client: Option<TurnClient>,
    since: Timestamp,
    relayed: Vec<SocketAddr>,
    /// Peers that the server refuses to let in.
    refused: BTreeSet<IpAddr>,
    /// Peers whose datagrams have a channel, and so a short head.
    channels: BTreeSet<SocketAddr>,
    wake: Timestamp,
}

fn instant(now: Timestamp) -> Instant {
    Instant::from_nanos(i64::try_from(now.since_start().as_nanos()).unwrap_or(i64::MAX))
}

fn timestamp(at: Instant) -> Timestamp {
    // Rounded up: a call before the client's own deadline would change nothing.
    Timestamp::from_micros(u64::try_from(at.as_nanos()).unwrap_or_default().div_ceil(1000))
}

fn client_of(transport: Transport, local: SocketAddr, server: SocketAddr, credentials: &Credentials) -> TurnClient {
    let mut config = TurnConfig::new(TurnCredentials::new(&credentials.user, &credentials.password));
    config.add_address_family(AddressFamily::IPV6);
    config.set_request_retransmits(FIRST_PAUSE, LAST_PAUSE, TIMES, LAST_PAUSE);
    match transport {
        Transport::Udp => TurnClientUdp::allocate(local, server, config).into(),
        Transport::Tcp => TurnClientTcp::allocate(local, server, config).into(),
    }
}

/// Data of a peer, if these bytes of the server are for this client.
fn take(client: &mut TurnClient, now: Timestamp, bytes: &[u8]) -> Option<Vec<(SocketAddr, Vec<u8>)>> {
    let transmit = Transmit::new(bytes, client.transport(), client.remote_addr(), client.local_addr());
    let mut arrived = Vec::new();
    match client.recv(transmit, instant(now)) {
        TurnRecvRet::Ignored(_) => return None,
        TurnRecvRet::PeerData(data) => arrived.push((data.peer, data.data().to_vec())),
        TurnRecvRet::Handled | TurnRecvRet::PeerIcmp { .. } => {}
    }
    while arrived.len() < MAX_STEPS
        && let Some(data) = client.poll_recv(instant(now))
    {
        arrived.push((data.peer, data.data().to_vec()));
    }
    Some(arrived)
}

impl Allocation {
    fn relayed_of(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.relayed.iter().find(|relayed| relayed.is_ipv4() == peer.is_ipv4()).copied()
    }

    fn permit(&mut self, now: Timestamp, ip: IpAddr) {
        if self.relayed_of(ip).is_some()
            && !self.refused.contains(&ip)
            && let Some(client) = &mut self.client
        {
            // An allocation that exists or was asked for serves as well as a new one.
            let _ = client.create_permission(TransportType::Udp, ip, instant(now));
            self.wake = now;
        }
    }
}

impl Allocations {
    /// There is a server at this address; or it has other credentials now, for the next allocation.
    pub fn learn(&mut self, now: Timestamp, address: SocketAddr, transport: Transport, credentials: Credentials) {
        let is_it = |server: &Server| (server.address, server.transport) == (address, transport);
        if let Some(known) = self.servers.iter().position(is_it) {
            let server = &mut self.servers[known];
            if server.credentials != credentials {
                server.credentials = credentials;
                server.try_afresh(now);
            }
        } else if self.servers.len() < MAX_SERVERS && !address.ip().is_unspecified() && address.port() != 0 {
            let rests = Backoff::doubling(FIRST_REST, LONGEST_REST);
            self.servers.push(Server {
                address,
                transport,
                credentials,
                allocation: None,
                failed: 0,
                rests,
                again: now,
            });
        }
    }

    /// Whether there is any server.
    pub fn has_servers(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Links may need relayed candidates from now on; these are the sockets.
    pub fn want(&mut self, now: Timestamp, sockets: &[SocketAddr]) {
        self.wanted = true;
        let before = std::mem::replace(&mut self.sockets, sockets.to_vec());
        // A connection from an address that is gone says nothing for minutes.
        let moved = before.iter().any(|old| sockets.iter().all(|socket| socket.ip() != old.ip()));
        for index in 0..self.servers.len() {
            let server = &self.servers[index];
            let client = server.allocation.as_ref().and_then(|allocation| allocation.client.as_ref());
            let gone = match server.transport {
                Transport::Udp => client.is_some_and(|client| !sockets.contains(&client.local_addr())),
                Transport::Tcp => moved && server.allocation.is_some(),
            };
            if gone {
                self.lose(index);
                self.servers[index].try_afresh(now);
            }
        }
    }

    /// No link needs relayed candidates any more.
    pub fn release(&mut self, now: Timestamp) {
        self.wanted = false;
        self.permitted.clear();
        for index in 0..self.servers.len() {
            if let Some(client) =
                self.servers[index].allocation.as_mut().and_then(|allocation| allocation.client.as_mut())
            {
                // Where there is none, there is nothing to delete.
                let _ = client.delete(instant(now));
                // Sent once: an allocation whose end is not heard runs out by itself.
                self.transmit(now, index);
            }
            self.lose(index);
            self.servers[index].try_afresh(now);
        }
    }

    /// The addresses that relay for us.
    pub fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().filter_map(|server| server.allocation.as_ref()).flat_map(|own| own.relayed.iter().copied())
    }

    /// Lets datagrams from this address in.
    pub fn permit(&mut self, now: Timestamp, ip: IpAddr) {
        if self.permitted.len() < MAX_PERMITTED && self.permitted.insert(ip) {
            for allocation in self.servers.iter_mut().filter_map(|server| server.allocation.as_mut()) {
                allocation.permit(now, ip);
            }
        }
    }

    /// Sends through the server that relays at `source`; returns whether there is one. A datagram of a lane is followed
    /// by more, so the peer gets a channel.
    pub fn send(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        of_a_lane: bool,
    ) -> bool {
        let at = |server: &Server| server.allocation.as_ref().is_some_and(|own| own.relayed.contains(&source));
        let Some(index) = self.servers.iter().position(at) else { return false };
        let Some(allocation) = &mut self.servers[index].allocation else { return false };
        let Some(client) = &mut allocation.client else { return false };
        if !client.have_permission(TransportType::Udp, destination.ip()) {
            allocation.permit(now, destination.ip());
            return true;
        }
        // Over TCP a channel's datagrams would have to be padded (RFC 8656, section 12.5), which the client does not
        // do.
        let may_bind = of_a_lane && allocation.stream.is_none();
        if may_bind && allocation.channels.len() < MAX_PERMITTED && allocation.channels.insert(destination) {
            // Without one, the head is longer.
            let _ = client.bind_channel(TransportType::Udp, destination, instant(now));
            allocation.wake = now;
        }
        if let Ok(Some(wrapped)) = client.send_to(TransportType::Udp, destination, bytes, instant(now)) {
            let bytes = TransmitBuild::build(wrapped).data;
            self.emit(index, bytes);
        }
        true
    }

    /// Takes a datagram if it comes from a server; returns whether it did.
    pub fn receive(&mut self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        let is_from = |server: &Server| {
            let client = server.allocation.as_ref().and_then(|allocation| allocation.client.as_ref());
            (server.address, server.transport) == (source, Transport::Udp)
                && client.is_some_and(|client| client.local_addr() == destination)
        };
        let Some(index) = self.servers.iter().position(is_from) else { return false };
        self.on_bytes(now, index, bytes)
    }

    /// The connection is open.
    pub fn stream_up(&mut self, now: Timestamp, stream: StreamId) {
        let Some(index) = self.of(stream) else { return };
        let Server { address, transport, credentials, allocation, .. } = &mut self.servers[index];
        let Some(allocation) = allocation.as_mut().filter(|allocation| allocation.client.is_none()) else { return };
        // Only the client wants to know the local address.
        let local = SocketAddr::new(if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, 1);
        allocation.client = Some(client_of(*transport, local, *address, credentials));
        (allocation.since, allocation.wake) = (now, now);
    }

    /// Bytes came on the connection.
    pub fn stream_bytes(&mut self, now: Timestamp, stream: StreamId, bytes: &[u8]) {
        if let Some(index) = self.of(stream).filter(|_| !bytes.is_empty()) {
            self.on_bytes(now, index, bytes);
        }
    }

    /// The stream to the server is gone, or could not be opened.
    pub fn stream_down(&mut self, now: Timestamp, stream: StreamId) {
        if let Some(index) = self.of(stream) {
            self.fail(now, index);
        }
    }

    fn of(&self, stream: StreamId) -> Option<usize> {
        let is_it = |server: &Server| server.allocation.as_ref().is_some_and(|own| own.stream == Some(stream));
        self.servers.iter().position(is_it)
    }

    fn on_bytes(&mut self, now: Timestamp, index: usize, bytes: &[u8]) -> bool {
        let Some(allocation) = &mut self.servers[index].allocation else { return false };
        let Some(arrived) = allocation.client.as_mut().and_then(|client| take(client, now, bytes)) else {
            return false;
        };
        allocation.wake = now;
        for (source, bytes) in arrived {
            if let Some(destination) = allocation.relayed_of(source.ip()) {
                self.effects.push_back(Effect::Arrived { source, destination, bytes });
            }
        }
        true
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Timestamp) {
        for index in 0..self.servers.len() {
            let sockets = self.sockets_for(index).count();
            let server = &self.servers[index];
            match &server.allocation {
                None if self.wanted && server.again <= now => self.begin(now, index),
                Some(own) if own.relayed.is_empty() && self.patience(own, server, sockets) <= now => {
                    self.fail(now, index)
                }
                Some(own) if own.wake <= now => self.pump(now, index),
                Some(_) | None => {}
            }
        }
    }

    /// When [`Allocations::on_time`] will have something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        let each = |(index, server): (usize, &Server)| {
            let sockets = self.sockets_for(index).count();
            match &server.allocation {
                None => {
                    Some(server.again).filter(|_| self.wanted && (server.transport == Transport::Tcp || sockets > 0))
                }
                Some(own) => {
                    let patience = own.relayed.is_empty().then(|| self.patience(own, server, sockets));
                    earliest(own.client.is_some().then_some(own.wake), patience)
                }
            }
        };
        self.servers.iter().enumerate().filter_map(each).min()
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Checks its invariants, once all effects are performed.
    pub(crate) fn check(&self) {
        assert!(self.effects.is_empty(), "every effect was performed");
        assert!(self.servers.len() <= MAX_SERVERS && self.permitted.len() <= MAX_PERMITTED, "servers are bounded");
        for server in &self.servers {
            let Some(own) = &server.allocation else { continue };
            assert!(self.wanted, "nothing relays for links that need no relay");
            assert_eq!(own.stream.is_some(), server.transport == Transport::Tcp, "a stream is for TCP");
            assert!(own.client.is_some() || own.relayed.is_empty(), "a server is asked before it relays");
            assert!(own.relayed.len() <= 2 && own.channels.len() <= MAX_PERMITTED, "an allocation is bounded");
        }
    }

    fn patience(&self, own: &Allocation, server: &Server, sockets: usize) -> Timestamp {
        let another = server.transport == Transport::Udp && sockets > 1;
        own.since + if another { SOCKET_PATIENCE } else { CONNECT_PATIENCE }
    }

    /// The sockets that reach a server, as far as one can tell.
    fn sockets_for(&self, index: usize) -> impl Iterator<Item = SocketAddr> {
        let server = self.servers[index].address;
        let reaches = move |local: &SocketAddr| {
            local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback()
        };
        self.sockets.iter().copied().filter(reaches)
    }

    fn begin(&mut self, now: Timestamp, index: usize) {
        let sockets: Vec<_> = self.sockets_for(index).collect();
        let Server { address, transport, credentials, failed, .. } = &self.servers[index];
        let (client, stream) = match transport {
            Transport::Udp if sockets.is_empty() => return,
            Transport::Udp => {
                let local = sockets[*failed as usize % sockets.len()];
                (Some(client_of(*transport, local, *address, credentials)), None)
            }
            Transport::Tcp => {
                self.next_stream += 1;
                self.effects.push_back(Effect::Dial(self.next_stream, *address));
                (None, Some(self.next_stream))
            }
        };
        self.servers[index].allocation = Some(Allocation {
            stream,
            client,
            since: now,
            relayed: Vec::new(),
            refused: BTreeSet::new(),
            channels: BTreeSet::new(),
            wake: now,
        });
        if stream.is_none() {
            self.pump(now, index);
        }
    }

    fn emit(&mut self, index: usize, bytes: Vec<u8>) {
        let Server { address: destination, allocation, .. } = &self.servers[index];
        let Some(Allocation { stream, client: Some(client), .. }) = allocation else { return };
        self.effects.push_back(match stream {
            Some(stream) => Effect::Write(*stream, bytes),
            None => Effect::Datagram { source: client.local_addr(), destination: *destination, bytes },
        });
    }

    fn transmit(&mut self, now: Timestamp, index: usize) {
        for _ in 0..MAX_STEPS {
            let client = self.servers[index].allocation.as_mut().and_then(|allocation| allocation.client.as_mut());
            let Some(transmit) = client.and_then(|client| client.poll_transmit(instant(now))) else { return };
            let bytes = transmit.data.as_ref().to_vec();
            self.emit(index, bytes);
        }
    }

    /// Until the client waits for something.
    fn pump(&mut self, now: Timestamp, index: usize) {
        for _ in 0..MAX_STEPS {
            let client = self.servers[index].allocation.as_mut().and_then(|allocation| allocation.client.as_mut());
            if let Some(event) = client.and_then(TurnClientApi::poll_event) {
                self.on_event(now, index, event);
                continue;
            }
            self.transmit(now, index);
            let Some(allocation) = &mut self.servers[index].allocation else { return };
            let Some(client) = &mut allocation.client else { return };
            match client.poll(instant(now)) {
                TurnPollRet::WaitUntil(at) if timestamp(at) > now => {
                    allocation.wake = timestamp(at);
                    return;
                }
                // There are no TCP connections to peers.
                TurnPollRet::WaitUntil(_) | TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => {}
                TurnPollRet::Closed => return self.fail(now, index),
            }
        }
        if let Some(allocation) = &mut self.servers[index].allocation {
            allocation.wake = now + STEPS_REST;
        }
    }

    fn on_event(&mut self, now: Timestamp, index: usize, event: TurnEvent) {
        let server = &mut self.servers[index];
        let Some(allocation) = &mut server.allocation else { return };
        match event {
            TurnEvent::AllocationCreated(_, relayed) if allocation.relayed_of(relayed.ip()).is_none() => {
                allocation.relayed.push(relayed);
                server.failed = 0;
                server.rests.reset();
                self.effects.push_back(Effect::Allocated(relayed));
                self.permitted.iter().for_each(|ip| allocation.permit(now, *ip));
            }
            TurnEvent::PermissionCreateFailed(_, ip) => {
                allocation.refused.insert(ip);
            }
            TurnEvent::ChannelCreateFailed(_, peer) => {
                allocation.channels.remove(&peer);
            }
            TurnEvent::AllocationCreated(..)
            | TurnEvent::AllocationCreateFailed(_)
            | TurnEvent::PermissionCreated(..)
            | TurnEvent::ChannelCreated(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => {}
        }
    }

    /// The try failed, or its allocation is gone.
    fn fail(&mut self, now: Timestamp, index: usize) {
        let sockets = self.sockets_for(index).count().max(1);
        let had = self.servers[index].allocation.as_ref().is_some_and(|own| !own.relayed.is_empty());
        self.lose(index);
        let server = &mut self.servers[index];
        server.failed = server.failed.saturating_add(1);
        let tries = if server.transport == Transport::Udp { sockets as u32 } else { 1 };
        // An allocation that was there a moment ago is asked for again at once, and so is one from another socket;
        // further tries pause.
        server.again = if (had && server.failed == 1) || !server.failed.is_multiple_of(tries) {
            now
        } else {
            now + server.rests.pause()
        };
    }

    fn lose(&mut self, index: usize) {
        let Some(allocation) = self.servers[index].allocation.take() else { return };
        self.effects.extend(allocation.relayed.into_iter().map(Effect::Lost));
        self.effects.extend(allocation.stream.map(Effect::HangUp));
    }
}
