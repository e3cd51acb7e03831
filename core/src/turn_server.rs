//! A TURN server (RFC 8656): relays datagrams for clients that reach the server over UDP or TCP.
//!
//! The server is a machine of its own beside the rendezvous. Messages are read and written by the crates stun-types and
//! turn-types, which the client uses too. The rules are here, since the rules are bounds: a server of the same family
//! of crates, turn-server-proto, remembers a nonce for each source address of a datagram and each user ever added,
//! walks all clients for each datagram, and relays to every address.
//!
//! Nothing is kept of a client before the client has shown credentials, and little afterwards: see the limits.

mod allocation;
mod api;
mod auth;
mod budgets;
mod message;
mod peers;
mod requests;
pub mod stream;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::message::{BINDING, Message, MessageClass};
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::channel::ChannelData;
use turn_types::message::SEND;

use self::allocation::Allocation;
pub use self::api::{Client, Peers, Port, RelayId, TcpConnectionId, TurnConfig, TurnInput, TurnOutput, Via};
use self::auth::Auth;
use self::budgets::Places;
use self::peers::PeerRule;
use self::stream::MAX_MESSAGE;
pub use self::tally::{Present, Refusal, Tally};
use crate::ice::stun;
use crate::machine::Machine;
pub use crate::rendezvous::{
    ADDRESS_RELAY_BURST, ADDRESS_RELAY_RATE, NODE_RELAY_BURST, NODE_RELAY_RATE, RELAY_BURST, RELAY_RATE,
};
use crate::session::address::owner;
use crate::support::address_rates::AddressRates;
use crate::support::entropy::Entropy;
use crate::support::token_bucket::TokenBucket;
use crate::time::{Timestamp, earliest};

/// Most allocations. Each has up to two sockets.
pub const MAX_ALLOCATIONS: usize = 1024;

/// Most allocations of one address: a class behind one router without UDP is one address.
pub const ADDRESS_ALLOCATIONS: usize = MAX_ALLOCATIONS / 4;

/// Most allocations with the credentials of one join: a browser asks from each of its interfaces, over UDP and TCP, and
/// again when the page reconnects.
pub const USER_ALLOCATIONS: usize = 32;

/// Most TCP connections of one address. Of all there are as many as allocations.
pub const ADDRESS_STREAMS: usize = ADDRESS_ALLOCATIONS;

/// Most peers that an allocation lets in, and most channels: a host's viewers, with several addresses each.
pub const ALLOCATION_PEERS: usize = 128;

/// How long an allocation lives without being refreshed (RFC 8656, section 3.2), and how long at most.
pub const LIFE: Duration = Duration::from_secs(600);
/// See [`LIFE`]. Credentials may expire meanwhile: whoever uses an allocation goes on using it.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a peer is let in, and how long the peer has a channel, unless that is refreshed.
const PERMISSION_LIFE: Duration = Duration::from_secs(300);
const CHANNEL_LIFE: Duration = Duration::from_secs(600);

/// A connection without an allocation is closed after this time.
pub const NO_PART: Duration = Duration::from_secs(10);

/// Answers a second to one address that has not shown credentials, and the burst: a class that joins at once.
pub const ADDRESS_ANSWERS_RATE: u64 = 50;
/// See [`ADDRESS_ANSWERS_RATE`].
pub const ADDRESS_ANSWERS_BURST: u64 = 1000;

/// Longest answer to a client that has not shown credentials, in bytes. A request to relay has at least 28.
pub const MAX_CHALLENGE: usize = 60;

/// Bytes that a relayed datagram counts for besides its own: short ones cost as much time.
const OVERHEAD: usize = 64;

/// Longest datagram that is relayed: with the head of an indication, still a message.
pub const MAX_DATA: usize = MAX_MESSAGE - 64;

/// The server.
pub struct TurnServer {
    auth: Auth,
    rule: PeerRule,
    entropy: Entropy,
    places: Places,
    /// For answers to clients that have not shown credentials: the source of a datagram may be somebody else's.
    answers: AddressRates,
    all: TokenBucket,
    allocations_max: usize,
    allocations: BTreeMap<Client, Allocation>,
    /// All allocations, by the time at which they expire.
    expiring: BTreeSet<(Timestamp, Client)>,
    relays: BTreeMap<RelayId, Client>,
    /// The relays that have sockets, by the address that relays.
    addresses: BTreeMap<SocketAddr, RelayId>,
    streams: BTreeMap<TcpConnectionId, Stream>,
    /// Connections without an allocation, by the time at which they are closed.
    strangers: BTreeSet<(Timestamp, TcpConnectionId)>,
    next_relay: RelayId,
    tally: Tally,
    out: VecDeque<TurnOutput>,
}

/// A connection.
struct Stream {
    from: SocketAddr,
    /// When the connection is closed; `None` while it has an allocation.
    until: Option<Timestamp>,
}

impl TurnServer {
    /// A server.
    pub fn new(config: TurnConfig) -> TurnServer {
        let TurnConfig { secret, external, own, peers, allocations_max, seed } = config;
        let mut entropy = Entropy::new(seed);
        let allocations_max = allocations_max.min(MAX_ALLOCATIONS);
        TurnServer {
            auth: Auth::new(secret, entropy.bytes()),
            rule: PeerRule { peers, external, own },
            places: Places::new(allocations_max),
            answers: AddressRates::new(ADDRESS_ANSWERS_RATE, ADDRESS_ANSWERS_BURST, entropy.bytes()),
            entropy,
            all: TokenBucket::new(Timestamp::ZERO, NODE_RELAY_RATE, NODE_RELAY_BURST),
            allocations_max,
            allocations: BTreeMap::new(),
            expiring: BTreeSet::new(),
            relays: BTreeMap::new(),
            addresses: BTreeMap::new(),
            streams: BTreeMap::new(),
            strangers: BTreeSet::new(),
            next_relay: 1,
            tally: Tally::default(),
            out: VecDeque::new(),
        }
    }

    /// How many addresses relay.
    pub fn relays(&self) -> usize {
        self.addresses.len()
    }

    /// The server's counters since its start.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The server's present allocations, users and TCP connections.
    pub fn present(&self) -> Present {
        let (allocations, users) = (self.allocations.len(), self.places.users());
        Present { allocations, users, streams: self.streams.len() }
    }

    /// How many things the server remembers of its clients, together.
    pub fn remembered(&self) -> usize {
        let own = self.allocations.len() + self.expiring.len() + self.relays.len() + self.addresses.len();
        own + self.streams.len() + self.strangers.len() + self.places.remembered() + self.out.len()
    }

    fn on_opened(&mut self, now: Timestamp, id: TcpConnectionId, from: SocketAddr) {
        if self.places.take_stream(now, owner(from.ip())) {
            self.streams.insert(id, Stream { from, until: Some(now + NO_PART) });
            self.strangers.insert((now + NO_PART, id));
        } else {
            self.out.push_back(TurnOutput::Close(id));
        }
    }

    fn on_closed(&mut self, now: Timestamp, id: TcpConnectionId) {
        let Some(Stream { from, until }) = self.streams.remove(&id) else { return };
        self.strangers.remove(&(until.unwrap_or_default(), id));
        self.places.leave_stream(now, owner(from.ip()));
        self.end(now, Client { via: Via::Stream(id), address: from });
    }

    /// A connection has an allocation from now on, or none.
    fn takes_part(&mut self, client: Client, until: Option<Timestamp>) {
        let Via::Stream(id) = client.via else { return };
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let before = std::mem::replace(&mut stream.until, until);
        self.strangers.remove(&(before.unwrap_or_default(), id));
        self.strangers.extend(until.map(|until| (until, id)));
    }

    fn on_client(&mut self, now: Timestamp, client: Client, bytes: &[u8]) {
        let is_there = match client.via {
            Via::Udp => true,
            Via::Stream(id) => self.streams.contains_key(&id),
        };
        if !is_there || bytes.len() > MAX_MESSAGE {
            return;
        }
        match bytes.first().map(|first| first >> 6) {
            Some(0) => self.on_message(now, client, bytes),
            Some(1) => {
                let Ok(channel) = ChannelData::parse(bytes) else { return };
                let own = self.allocations.get(&client);
                let Some(peer) = own.and_then(|own| own.peer_of(now, channel.id())) else { return };
                self.forward(now, client, peer, channel.data());
            }
            Some(_) | None => {}
        }
    }

    fn on_message(&mut self, now: Timestamp, client: Client, bytes: &[u8]) {
        let Ok(message) = Message::from_bytes(bytes) else { return };
        match message.class() {
            MessageClass::Request if message.has_method(BINDING) => {
                if let Some((answer, _)) = stun::answer(client.address, bytes)
                    && self.answers.take(now, owner(client.address.ip()))
                {
                    self.out.push_back(TurnOutput::Answer(client, answer));
                }
            }
            MessageClass::Request => self.on_request(now, client, &message),
            MessageClass::Indication if message.has_method(SEND) => {
                let peer = message.attribute::<XorPeerAddress>();
                let data = message.attribute::<Data<'_>>();
                if let (Ok(peer), Ok(data)) = (peer, data)
                    && message::unknown(&message).is_empty()
                {
                    self.forward(now, client, peer.addr(message.transaction_id()), data.data());
                }
            }
            MessageClass::Indication | MessageClass::Success | MessageClass::Error => {}
        }
    }

    /// Relays a client's datagram.
    fn forward(&mut self, now: Timestamp, client: Client, peer: SocketAddr, data: &[u8]) {
        let Some(own) = self.allocations.get(&client).filter(|own| own.lets_in(now, peer.ip())) else { return };
        let Some((relay, from)) = own.relay_for(peer.ip()).map(|relay| (relay.id, relay.address)) else { return };
        if peer.port() == 0 || from.port() == 0 || !self.may_pass(now, client, data.len()) {
            return;
        }
        if self.rule.external.contains(&peer.ip()) {
            // Both sides have their relays here: nothing needs to leave the machine, whose router may not return it.
            if let Some(other) = self.addresses.get(&peer).copied() {
                return self.deliver(now, other, from, data);
            }
            if !self.rule.reaches_itself() {
                return;
            }
        }
        self.out.push_back(TurnOutput::ToPeer(relay, peer, data.to_vec()));
    }

    /// Relays a peer's datagram.
    fn deliver(&mut self, now: Timestamp, relay: RelayId, peer: SocketAddr, data: &[u8]) {
        let Some(client) = self.relays.get(&relay).copied() else { return };
        let Some(own) = self.allocations.get(&client).filter(|own| own.lets_in(now, peer.ip())) else { return };
        let number = own.channel_of(now, peer);
        if !self.may_pass(now, client, data.len()) {
            return;
        }
        let bytes = match number {
            Some(number) => {
                let mut bytes = message::channel_data(number, data);
                if client.via != Via::Udp {
                    stream::pad(&mut bytes);
                }
                bytes
            }
            None => message::indication(stun::transaction(&mut self.entropy).into(), peer, data),
        };
        self.out.push_back(TurnOutput::Data(client, bytes));
    }

    /// Whether one more datagram of an allocation may pass. The allocation is asked first: what is too much there takes
    /// nothing from others.
    fn may_pass(&mut self, now: Timestamp, client: Client, length: usize) -> bool {
        let Some(own) = self.allocations.get_mut(&client).filter(|_| length <= MAX_DATA) else { return false };
        let bytes = length + OVERHEAD;
        let may =
            own.may_relay(now, bytes) && self.places.may_relay(now, own.owner, bytes) && self.all.take(now, bytes);
        if may {
            self.tally.relayed += 1;
            self.tally.relayed_bytes += length as u64;
        } else {
            self.tally.over_rate += 1;
        }
        may
    }

    /// Ends an allocation, if there is one.
    fn end(&mut self, now: Timestamp, client: Client) {
        let Some(own) = self.allocations.remove(&client) else { return };
        self.expiring.remove(&(own.expires, client));
        for relay in own.relays {
            self.close(relay.id, relay.address);
        }
        self.places.leave_allocation(now, own.owner, &own.user);
        self.takes_part(client, Some(now + NO_PART));
    }

    fn close(&mut self, relay: RelayId, address: SocketAddr) {
        self.relays.remove(&relay);
        self.addresses.remove(&address);
        self.out.push_back(TurnOutput::Unbind(relay));
    }

    /// The machine has these addresses from now on. Peers that are thereby the machine itself are let in no more.
    fn on_own(&mut self, own: Vec<IpAddr>) {
        self.rule.own = own;
        for allocation in self.allocations.values_mut() {
            allocation.keep_peers(|peer| self.rule.allows(peer));
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((_, client)) = self.expiring.first().copied().filter(|(at, _)| *at <= now) {
            self.end(now, client);
        }
        while let Some((_, id)) = self.strangers.first().copied().filter(|(at, _)| *at <= now) {
            self.out.push_back(TurnOutput::Close(id));
            self.on_closed(now, id);
        }
    }

    fn check(&self) {
        self.places.check(self.allocations.len(), self.streams.len());
        self.allocations.values().for_each(Allocation::check);
        assert_eq!(self.expiring.len(), self.allocations.len(), "each allocation expires");
        assert!(self.allocations.len() <= self.allocations_max, "allocations are bounded");
        let relays: usize = self.allocations.values().map(|own| own.relays.len()).sum();
        assert!(self.relays.len() == relays && self.addresses.len() <= relays, "each relay is of an allocation");
    }
}

impl Machine for TurnServer {
    type Input = TurnInput;
    type Output = TurnOutput;

    fn handle(&mut self, now: Timestamp, input: TurnInput) {
        self.expire(now);
        match input {
            TurnInput::Tick => {}
            TurnInput::TimeOfDay(seconds) => self.auth.set_clock(now, seconds),
            TurnInput::Own(addresses) => self.on_own(addresses),
            TurnInput::Opened(id, from) => self.on_opened(now, id, from),
            TurnInput::FromClient(client, bytes) => self.on_client(now, client, &bytes),
            TurnInput::Closed(id) => self.on_closed(now, id),
            TurnInput::Bound(relay, port) => self.on_bound(now, relay, port),
            TurnInput::FromPeer(relay, from, bytes) => self.deliver(now, relay, from, &bytes),
        }
        if cfg!(debug_assertions) {
            self.check();
        }
    }

    fn poll(&mut self) -> Option<TurnOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        earliest(self.expiring.first().map(|(at, _)| *at), self.strangers.first().map(|(at, _)| *at))
    }
}
