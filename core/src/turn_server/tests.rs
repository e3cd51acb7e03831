use std::net::{IpAddr, Ipv4Addr};

use stun_types::attribute::{AttributeType, ErrorCode, Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, MessageType, MessageWrite as _, MessageWriteExt as _, MessageWriteVec,
    Method, TransactionId,
};
use stun_types::prelude::AttributeWrite;
use turn_types::attribute::{
    ChannelNumber, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH};
use zeroize::Zeroizing;

use super::stream::Framer;
use super::*;
use crate::ice::server_url::Credentials;
use crate::machine::Tick;

const SECRET: &str = "north";
const TODAY: u64 = 1_764_288_000;
const EXTERNAL: &str = "203.0.113.1";

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn place(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn udp(address: &str) -> Client {
    Client { via: Via::Udp, address: place(address) }
}

/// Client number so and so, each at an address of its own.
fn number(number: u32) -> Client {
    let ip = IpAddr::V4(Ipv4Addr::from_bits(0x0101_0000 + number));
    Client { via: Via::Udp, address: SocketAddr::new(ip, 5000) }
}

/// A server, and its sockets.
struct Post {
    server: TurnServer,
    now: Timestamp,
    next_port: u16,
    sockets: BTreeMap<RelayId, u16>,
    out: Vec<TurnOutput>,
    transaction: u128,
}

impl Post {
    fn with(peers: Peers, allocations_max: usize) -> Post {
        let config = TurnConfig {
            secret: Zeroizing::new(SECRET.to_owned()),
            external: vec![EXTERNAL.parse().expect("an address")],
            own: vec!["198.51.100.1".parse().expect("an address")],
            peers,
            allocations_max,
            seed: [7; 32],
        };
        let mut server = TurnServer::new(config);
        server.handle(at(0), TurnInput::TimeOfDay(TODAY));
        Post { server, now: at(0), next_port: 50_000, sockets: BTreeMap::new(), out: Vec::new(), transaction: 0 }
    }

    fn new() -> Post {
        Post::with(Peers::Public, MAX_ALLOCATIONS)
    }

    /// Hands an input to the server; its outputs, without those about sockets, which are performed.
    fn handle(&mut self, input: TurnInput) -> Vec<TurnOutput> {
        self.server.handle(self.now, input);
        while let Some(output) = self.server.poll() {
            match output {
                TurnOutput::Bind(relay, ..) => {
                    self.next_port += 1;
                    self.sockets.insert(relay, self.next_port);
                    self.server.handle(self.now, TurnInput::Bound(relay, Some(self.next_port)));
                }
                TurnOutput::Unbind(relay) => drop(self.sockets.remove(&relay)),
                TurnOutput::Answer(..) | TurnOutput::Data(..) | TurnOutput::ToPeer(..) | TurnOutput::Close(_) => {
                    self.out.push(output);
                }
            }
        }
        std::mem::take(&mut self.out)
    }

    fn answer_to(&mut self, client: Client, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.handle(TurnInput::FromClient(client, bytes)).into_iter().find_map(|output| match output {
            TurnOutput::Answer(to, bytes) => Some(bytes).filter(|_| to == client),
            TurnOutput::Data(..)
            | TurnOutput::ToPeer(..)
            | TurnOutput::Bind(..)
            | TurnOutput::Unbind(_)
            | TurnOutput::Close(_) => None,
        })
    }

    fn transaction(&mut self) -> TransactionId {
        self.transaction += 1;
        self.transaction.into()
    }

    /// Asks as this user, after the server has given a nonce; the answer.
    fn ask_as(&mut self, user: &Credentials, client: Client, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
        let transaction = self.transaction();
        let bare = request(transaction, method, &[], None);
        let challenge = self.answer_to(client, bare).expect("a challenge");
        let nonce = Message::from_bytes(&challenge).expect("a message").attribute::<Nonce>().expect("a nonce");
        let signed = request(transaction, method, attributes, Some((user, nonce.nonce())));
        self.answer_to(client, signed).expect("an answer")
    }

    /// The same, as somebody whose credentials are good: the code of the error, or 0.
    fn ask(&mut self, client: Client, method: Method, attributes: Attributes<'_>) -> u16 {
        code(&self.ask_as(&user(), client, method, attributes))
    }

    /// Asks for an address; where it relays.
    fn allocate(&mut self, client: Client) -> SocketAddr {
        let answer = self.ask_as(&user(), client, ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]);
        let message = Message::from_bytes(&answer).expect("a message");
        let relayed = message.attribute::<XorRelayedAddress>().unwrap_or_else(|_| panic!("{}", code(&answer)));
        relayed.addr(message.transaction_id())
    }

    fn relay(&self, address: SocketAddr) -> RelayId {
        *self.sockets.iter().find(|(_, port)| **port == address.port()).expect("a socket").0
    }

    fn permit(&mut self, client: Client, peer: &str) -> u16 {
        let attribute = XorPeerAddress::new(place(peer), (self.transaction + 1).into());
        self.ask(client, CREATE_PERMISSION, &[&attribute])
    }

    fn bind(&mut self, client: Client, channel: u16, peer: &str) -> u16 {
        let attribute = XorPeerAddress::new(place(peer), (self.transaction + 1).into());
        self.ask(client, CHANNEL_BIND, &[&attribute, &ChannelNumber::new(channel)])
    }

    fn send(&mut self, client: Client, peer: &str, data: &[u8]) -> Vec<TurnOutput> {
        let transaction = self.transaction();
        let peer = XorPeerAddress::new(place(peer), transaction);
        let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        message.add_attribute(&peer).expect("room");
        message.add_attribute(&Data::new(data)).expect("room");
        self.handle(TurnInput::FromClient(client, message.finish()))
    }
}

type Attributes<'a> = &'a [&'a dyn AttributeWrite];

fn user() -> Credentials {
    Credentials::until(TODAY + 3600, SECRET.as_bytes())
}

fn request(
    transaction: TransactionId,
    method: Method,
    attributes: Attributes<'_>,
    by: Option<(&Credentials, &str)>,
) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
    attributes.iter().for_each(|attribute| message.add_attribute(*attribute).expect("room"));
    if let Some((Credentials { user, password }, nonce)) = by {
        message.add_attribute(&Username::new(user).expect("short")).expect("room");
        message.add_attribute(&Realm::new("beach").expect("short")).expect("room");
        message.add_attribute(&Nonce::new(nonce).expect("short")).expect("room");
        let credentials = LongTermKeyCredentials::new(user.clone(), password.to_string(), "beach".to_owned());
        message.add_message_integrity(&credentials.into(), IntegrityAlgorithm::Sha1).expect("room");
    }
    message.finish()
}

fn code(answer: &[u8]) -> u16 {
    let message = Message::from_bytes(answer).expect("a message");
    message.attribute::<ErrorCode>().map_or(0, |error| error.code())
}

#[test]
fn a_client_gets_an_address_and_datagrams_pass_both_ways_until_it_is_given_back() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let relayed = post.allocate(client);
    assert_eq!(relayed.ip().to_string(), EXTERNAL);
    let (relay, peer) = (post.relay(relayed), place("192.0.2.9:6000"));
    assert_eq!(post.send(client, "192.0.2.9:6000", b"early"), [], "no permission");
    assert_eq!(post.handle(TurnInput::FromPeer(relay, peer, b"early".to_vec())), []);
    assert_eq!(post.permit(client, "192.0.2.9:1"), 0);
    assert_eq!(post.send(client, "192.0.2.9:6000", b"ping"), [TurnOutput::ToPeer(relay, peer, b"ping".to_vec())]);
    let back = post.handle(TurnInput::FromPeer(relay, peer, b"pong".to_vec()));
    let [TurnOutput::Data(to, bytes)] = &back[..] else { panic!("{back:?}") };
    let message = Message::from_bytes(bytes).expect("a message");
    assert!(*to == client && message.has_class(MessageClass::Indication) && message.has_method(DATA));
    assert_eq!(message.attribute::<Data<'_>>().expect("data").data(), b"pong");
    assert_eq!(message.attribute::<XorPeerAddress>().expect("a peer").addr(message.transaction_id()), peer);
    assert_eq!(post.handle(TurnInput::FromPeer(relay, place("192.0.2.8:6000"), b"x".to_vec())), [], "a stranger");
    // With a channel the heads are short.
    assert_eq!(post.bind(client, 0x4000, "192.0.2.9:6000"), 0);
    let sent = post.handle(TurnInput::FromClient(client, b"\x40\0\0\x03abc".to_vec()));
    assert_eq!(sent, [TurnOutput::ToPeer(relay, peer, b"abc".to_vec())]);
    let back = post.handle(TurnInput::FromPeer(relay, peer, b"abcde".to_vec()));
    assert_eq!(back, [TurnOutput::Data(client, b"\x40\0\0\x05abcde".to_vec())]);
    assert_eq!(post.ask(client, REFRESH, &[&Lifetime::new(0)]), 0);
    assert_eq!((post.server.relays(), post.sockets.len()), (0, 0));
    assert_eq!(post.send(client, "192.0.2.9:6000", b"late"), []);
    assert_eq!(post.ask(client, REFRESH, &[]), ErrorCode::ALLOCATION_MISMATCH);
    // The allowance of the address is whole again after two seconds; then nothing is left.
    post.now = at(60_000);
    post.handle(TurnInput::Opened(1, place("192.0.2.5:1")));
    post.handle(TurnInput::Closed(1));
    assert_eq!(post.server.remembered(), 0);
}

#[test]
fn permissions_channels_and_allocations_end_by_themselves() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let relayed = post.allocate(client);
    let relay = post.relay(relayed);
    post.permit(client, "192.0.2.9:1");
    post.bind(client, 0x4000, "192.0.2.8:6000");
    post.now = at(299_000);
    assert_eq!(post.send(client, "192.0.2.9:6000", b"x").len(), 1);
    post.now = at(301_000);
    assert_eq!(post.send(client, "192.0.2.9:6000", b"x"), []);
    assert_eq!(post.handle(TurnInput::FromPeer(relay, place("192.0.2.8:6000"), b"x".to_vec())), []);
    assert_eq!(post.ask(client, REFRESH, &[&Lifetime::new(3600)]), 0, "granted are ten minutes");
    post.now = at(900_000);
    assert_eq!(post.handle(Tick.into()).len() + post.server.relays(), 1);
    post.now = at(902_000);
    post.handle(Tick.into());
    assert_eq!((post.server.relays(), post.sockets.len()), (0, 0));
}

#[test]
fn an_allocation_outlives_its_credentials_but_not_a_day() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    post.allocate(client);
    let mut hours = 0;
    for minutes in (5..3000).step_by(5) {
        post.now = at(minutes * 60_000);
        post.handle(Tick.into());
        if post.server.relays() == 0 {
            break;
        }
        hours = minutes / 60;
        assert_eq!(post.ask(client, REFRESH, &[]), 0, "after {minutes} minutes");
    }
    assert_eq!(hours, 23);
    let udp_relay = RequestedTransport::new(RequestedTransport::UDP);
    assert_eq!(post.ask(client, ALLOCATE, &[&udp_relay]), ErrorCode::UNAUTHORIZED, "credentials have expired");
}

#[test]
fn a_million_users_whose_credentials_expired_cost_no_memory() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let bare = request(1.into(), ALLOCATE, &[], None);
    let challenge = post.answer_to(client, bare).expect("a challenge");
    let nonce = Message::from_bytes(&challenge).expect("a message").attribute::<Nonce>().expect("a nonce");
    for second in 0..1_000_000 {
        let user = Credentials { user: format!("{}:beach", TODAY - second), password: "x".to_owned().into() };
        post.now = at(second / 1000);
        let bytes = request(1.into(), ALLOCATE, &[], Some((&user, nonce.nonce())));
        if let Some(answer) = post.answer_to(client, bytes) {
            assert_eq!(code(&answer), ErrorCode::UNAUTHORIZED);
        }
    }
    assert_eq!(post.server.remembered(), 0);
}

#[test]
fn a_million_source_addresses_without_credentials_cost_no_memory() {
    let mut post = Post::new();
    let bare = request(1.into(), ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)], None);
    let answered = (0..1_000_000).filter(|source| post.answer_to(number(*source), bare.clone()).is_some()).count();
    assert!(answered > 500_000, "{answered}");
    assert_eq!(post.server.remembered(), 0);
}

#[test]
fn who_shows_no_credentials_gets_short_answers_and_few() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let bare = request(1.into(), ALLOCATE, &[&transport], None);
    let wrong = Credentials { password: "wrong".to_owned().into(), ..user() };
    let stale = request(1.into(), ALLOCATE, &[&transport], Some((&user(), "AAAAAAAAAAAAAAAA")));
    let mut codes = Vec::new();
    let challenge = post.answer_to(client, bare.clone()).expect("a challenge");
    let nonce = Message::from_bytes(&challenge).expect("a message").attribute::<Nonce>().expect("a nonce");
    let unsigned = request(1.into(), ALLOCATE, &[&transport], Some((&wrong, nonce.nonce())));
    let nonsense = {
        let kind = MessageType::from_class_method(MessageClass::Request, ALLOCATE);
        let mut message = Message::builder(kind, 1.into(), MessageWriteVec::new());
        let credentials = LongTermKeyCredentials::new("a".to_owned(), "b".to_owned(), "beach".to_owned());
        message.add_message_integrity(&credentials.into(), IntegrityAlgorithm::Sha1).expect("room");
        message.finish()
    };
    for bytes in [bare.clone(), stale, unsigned, nonsense] {
        let answer = post.answer_to(client, bytes.clone()).expect("an answer");
        assert!(answer.len() <= MAX_CHALLENGE && answer.len() <= bytes.len() + 32, "{} bytes", answer.len());
        codes.push(code(&answer));
    }
    assert_eq!(codes, [401, 438, 401, 400]);
    let binding = request(1.into(), BINDING, &[], None);
    let mut count = |bytes: &Vec<u8>| (0..5000).filter(|_| post.answer_to(client, bytes.clone()).is_some()).count();
    assert_eq!(count(&bare) as u64, ADDRESS_ANSWERS_BURST - 5);
    assert_eq!(count(&binding), 0, "binding requests take of the same allowance");
    post.now = at(1000);
    let mut count = |client| (0..5000).filter(|_| post.answer_to(client, bare.clone()).is_some()).count() as u64;
    assert_eq!(count(udp("192.0.2.1:5001")), ADDRESS_ANSWERS_RATE, "another port is the same address");
    assert_eq!(count(udp("192.0.2.2:5000")), ADDRESS_ANSWERS_BURST, "another address is not");
}

/// Peers that no server relays to.
const FORBIDDEN: [&str; 12] = [
    "127.0.0.1:80",
    "10.0.0.1:80",
    "172.16.0.1:80",
    "192.168.0.1:80",
    "100.64.0.1:80",
    "169.254.169.254:80",
    "0.0.0.0:80",
    "224.0.0.1:80",
    "255.255.255.255:80",
    "198.51.100.1:80",
    "240.0.0.1:80",
    "0.1.2.3:80",
];

#[test]
fn the_server_relays_to_no_peer_in_its_own_networks_by_any_request() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let relayed = post.allocate(client);
    let relay = post.relay(relayed);
    for peer in FORBIDDEN {
        assert_eq!(post.permit(client, peer), ErrorCode::FORBIDDEN, "{peer}");
        assert_eq!(post.bind(client, 0x4000, peer), ErrorCode::FORBIDDEN, "{peer}");
        assert_eq!(post.send(client, peer, b"x"), [], "{peer}");
        assert_eq!(post.handle(TurnInput::FromPeer(relay, place(peer), b"x".to_vec())), [], "{peer}");
    }
    for peer in ["[::1]:80", "[::ffff:127.0.0.1]:80", "[fd00::1]:80", "[2001:db8::1]:80"] {
        assert_eq!(post.permit(client, peer), ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH, "{peer}");
        assert_eq!(post.send(client, peer, b"x"), [], "{peer}");
    }
    // One that is forbidden spoils the whole request.
    let next = (post.transaction + 1).into();
    let [good, bad] = ["192.0.2.9:1", "10.0.0.1:1"].map(|peer| XorPeerAddress::new(place(peer), next));
    assert_eq!(post.ask(client, CREATE_PERMISSION, &[&good, &bad]), ErrorCode::FORBIDDEN);
    assert_eq!(post.send(client, "192.0.2.9:6000", b"x"), []);
    let mut lan = Post::with(Peers::PrivateToo, MAX_ALLOCATIONS);
    lan.allocate(client);
    assert_eq!((lan.permit(client, "10.0.0.1:80"), lan.send(client, "10.0.0.1:80", b"x").len()), (0, 1));
    assert_eq!(lan.permit(client, "127.0.0.1:80"), ErrorCode::FORBIDDEN);
}

#[test]
fn an_address_that_becomes_the_machines_own_is_no_peer_any_more_and_a_former_one_may_be() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    post.allocate(client);
    assert_eq!((post.permit(client, "198.51.100.1:80"), post.permit(client, "198.51.100.2:80")), (403, 0));
    assert_eq!((post.bind(client, 0x4000, "198.51.100.2:80"), post.permit(client, "192.0.2.9:80")), (0, 0));
    assert_eq!(post.handle(TurnInput::Own(vec![place("198.51.100.2:0").ip()])), []);
    assert_eq!(post.send(client, "198.51.100.2:80", b"x"), []);
    let by_channel = [&[0x40, 0, 0, 1][..], b"x"].concat();
    assert_eq!(post.handle(TurnInput::FromClient(client, by_channel)), []);
    assert_eq!((post.permit(client, "198.51.100.2:80"), post.permit(client, "198.51.100.1:80")), (403, 0));
    assert_eq!(
        (post.send(client, "198.51.100.1:80", b"x").len(), post.send(client, "192.0.2.9:80", b"x").len()),
        (1, 1)
    );
}

#[test]
fn deeds_are_counted_and_refusals_by_their_reason() {
    let mut post = Post::with(Peers::Public, 1);
    let [one, other] = ["192.0.2.1:5000", "192.0.2.2:5000"].map(udp);
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let wrong = Credentials::until(TODAY + 3600, b"another secret");
    assert_eq!(code(&post.ask_as(&wrong, one, ALLOCATE, &[&transport])), ErrorCode::UNAUTHORIZED);
    post.allocate(one);
    assert_eq!(post.ask(other, ALLOCATE, &[&transport]), ErrorCode::INSUFFICIENT_CAPACITY);
    assert_eq!((post.permit(one, "10.0.0.1:80"), post.permit(one, "192.0.2.9:80")), (ErrorCode::FORBIDDEN, 0));
    assert_eq!(post.ask(one, ALLOCATE, &[&transport]), ErrorCode::ALLOCATION_MISMATCH);
    assert_eq!(post.send(one, "192.0.2.9:80", b"hello").len(), 1);
    let floods = (0..2000).map(|_| post.send(one, "192.0.2.9:80", &[0; 1000]).len() as u64).sum::<u64>();
    let done = post.server.tally();
    assert_eq!(Refusal::ALL.map(|why| done.refused(why)), [1, 0, 1, 1, 1]);
    assert_eq!((done.allocations, done.relayed, done.over_rate), (1, 1 + floods, 2000 - floods));
    assert_eq!(done.relayed_bytes, 5 + 1000 * floods);
    assert_eq!(post.server.present(), Present { allocations: 1, users: 1, streams: 0 });
    assert_eq!(post.ask(one, REFRESH, &[&Lifetime::new(0)]), 0);
    assert_eq!(post.server.present(), Present::default());
}

#[test]
fn of_its_own_address_the_server_reaches_its_relays_and_nothing_else() {
    let mut post = Post::new();
    let [one, other] = ["192.0.2.1:5000", "192.0.2.2:5000"].map(udp);
    let [at_one, at_other] = [one, other].map(|client| post.allocate(client));
    for client in [one, other] {
        assert_eq!(post.permit(client, &at_one.to_string()), 0);
    }
    let [to] = &post.send(one, &at_other.to_string(), b"hello")[..] else { panic!("one output") };
    let TurnOutput::Data(client, bytes) = to else { panic!("{to:?}") };
    let message = Message::from_bytes(bytes).expect("a message");
    assert_eq!((*client, message.attribute::<Data<'_>>().expect("data").data()), (other, &b"hello"[..]));
    assert_eq!(message.attribute::<XorPeerAddress>().expect("a peer").addr(message.transaction_id()), at_one);
    assert_eq!(post.send(one, "203.0.113.1:22", b"x"), [], "no relay");
    assert_eq!(post.ask(other, REFRESH, &[&Lifetime::new(0)]), 0);
    assert_eq!(post.send(one, &at_other.to_string(), b"x"), [], "no relay any more");
}

#[test]
fn one_allocation_has_so_many_peers_and_channels_and_no_more() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    post.allocate(client);
    for peer in 1..=ALLOCATION_PEERS {
        assert_eq!(post.bind(client, 0x4000 + peer as u16, &format!("192.0.2.{peer}:6000")), 0, "{peer}");
    }
    assert_eq!(post.permit(client, "192.0.2.200:1"), ErrorCode::INSUFFICIENT_CAPACITY);
    assert_eq!(post.bind(client, 0x5000, "192.0.2.1:6001"), ErrorCode::INSUFFICIENT_CAPACITY);
    assert_eq!(post.permit(client, "192.0.2.1:1"), 0, "a known one is refreshed");
    assert_eq!(post.bind(client, 0x4001, "192.0.2.1:6000"), 0);
    post.now = at(700_000);
    post.allocate(client);
    assert_eq!(post.permit(client, "192.0.2.200:1"), 0);
}

#[test]
fn a_channel_has_one_peer_and_a_peer_has_one_channel() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    post.allocate(client);
    assert_eq!(post.bind(client, 0x4000, "192.0.2.9:6000"), 0);
    assert_eq!(post.bind(client, 0x4000, "192.0.2.9:6001"), ErrorCode::BAD_REQUEST);
    assert_eq!(post.bind(client, 0x4001, "192.0.2.9:6000"), ErrorCode::BAD_REQUEST);
    for outside in [0x3fff, 0x8000] {
        assert_eq!(post.bind(client, outside, "192.0.2.9:6002"), ErrorCode::BAD_REQUEST);
    }
    let nobody = udp("192.0.2.2:5000");
    assert_eq!(post.bind(nobody, 0x4000, "192.0.2.9:6000"), ErrorCode::ALLOCATION_MISMATCH);
    assert_eq!(post.permit(nobody, "192.0.2.9:6000"), ErrorCode::ALLOCATION_MISMATCH);
}

#[test]
fn allocations_are_bounded_by_user_by_address_and_in_all() {
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let as_user = |post: &mut Post, user: u32, client: Client| {
        let user = Credentials::of(format!("{}:{user}", TODAY + 3600), SECRET.as_bytes());
        code(&post.ask_as(&user, client, ALLOCATE, &[&transport]))
    };
    let mut post = Post::new();
    let granted = (0..100).filter(|client| as_user(&mut post, 1, number(*client)) == 0).count();
    assert_eq!(granted, USER_ALLOCATIONS);
    assert_eq!(as_user(&mut post, 1, number(99)), ErrorCode::ALLOCATION_QUOTA_REACHED);
    assert_eq!(as_user(&mut post, 2, number(99)), 0);
    let mut post = Post::new();
    let same = |port: u16| Client { via: Via::Udp, address: SocketAddr::new(number(1).address.ip(), port) };
    let granted = (1..=400).filter(|port| as_user(&mut post, u32::from(*port), same(*port)) == 0).count();
    assert_eq!(granted, ADDRESS_ALLOCATIONS);
    assert_eq!(as_user(&mut post, 1000, number(2)), 0, "another address");
    let mut post = Post::with(Peers::Public, 3);
    let codes = [1, 2, 3, 4].map(|client| as_user(&mut post, client, number(client)));
    assert_eq!(codes, [0, 0, 0, ErrorCode::INSUFFICIENT_CAPACITY]);
}

/// Bytes of datagrams that pass in a second when `asked` come in each millisecond, one after the other from these.
fn passes(post: &mut Post, clients: &[Client], asked: usize, seconds: u64) -> Vec<u64> {
    let mut passed = vec![0; clients.len()];
    let data = [0; 1000];
    for _ in 0..seconds * 1000 {
        post.now = post.now + Duration::from_millis(1);
        for (client, passed) in clients.iter().zip(&mut passed) {
            for _ in 0..asked {
                *passed += post.send(*client, "192.0.2.9:6000", &data).len() as u64 * (1000 + OVERHEAD as u64);
            }
        }
    }
    passed
}

#[test]
fn an_allocation_that_floods_has_its_rate_and_takes_nothing_from_others() {
    let mut post = Post::new();
    let [flood, quiet] = ["192.0.2.1:5000", "192.0.2.1:5001"].map(udp);
    for client in [flood, quiet] {
        post.allocate(client);
        post.permit(client, "192.0.2.9:1");
    }
    let mut heard = 0;
    let mut flooded = 0;
    for _ in 0..3000 {
        post.now = post.now + Duration::from_millis(1);
        for _ in 0..5 {
            flooded += post.send(flood, "192.0.2.9:6000", &[0; 1000]).len() as u64 * (1000 + OVERHEAD as u64);
        }
        heard += post.send(quiet, "192.0.2.9:6000", b"key").len();
    }
    let most = RELAY_BURST + 3 * RELAY_RATE;
    assert!(flooded <= most && flooded > most - 3000, "{flooded} of {most}");
    assert_eq!(heard, 3000, "none of the other one's was dropped");
}

#[test]
fn the_bytes_of_one_address_and_of_all_are_bounded() {
    let flood = |clients: &[Client]| {
        let mut post = Post::new();
        for client in clients {
            post.allocate(*client);
            post.permit(*client, "192.0.2.9:1");
        }
        // Past the burst.
        passes(&mut post, clients, 20, 1);
        passes(&mut post, clients, 2, 1).iter().sum::<u64>()
    };
    let same: Vec<_> = (0..16)
        .map(|port| Client { via: Via::Udp, address: SocketAddr::new(number(1).address.ip(), 5000 + port) })
        .collect();
    let passed = flood(&same);
    assert!(passed <= ADDRESS_RELAY_RATE + 3000 && passed > ADDRESS_RELAY_RATE / 2, "{passed}");
    let many: Vec<_> = (0..80).map(number).collect();
    // Each of these may have its rate, and all together less than their sum.
    let passed = flood(&many[..32]);
    assert!(passed <= NODE_RELAY_RATE, "{passed}");
}

#[test]
fn a_request_that_is_repeated_is_answered_again_and_another_one_is_refused() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let first = post.ask_as(&user(), client, ALLOCATE, &[&transport]);
    post.transaction -= 1;
    let again = post.ask_as(&user(), client, ALLOCATE, &[&transport]);
    assert!(code(&first) == 0 && first == again && post.server.relays() == 1);
    assert_eq!(post.ask(client, ALLOCATE, &[&transport]), ErrorCode::ALLOCATION_MISMATCH);
    let other = Credentials::of(format!("{}:other", TODAY + 3600), SECRET.as_bytes());
    let answer = post.ask_as(&other, client, REFRESH, &[&Lifetime::new(0)]);
    assert_eq!((code(&answer), post.server.relays()), (ErrorCode::WRONG_CREDENTIALS, 1));
}

#[test]
fn what_the_server_cannot_do_is_refused_by_name() {
    let mut post = Post::new();
    let client = udp("192.0.2.1:5000");
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let tcp = RequestedTransport::new(RequestedTransport::TCP);
    let v6 = RequestedAddressFamily::new(stun_types::AddressFamily::IPV6);
    let dont_fragment = RawAttribute::new(AttributeType::new(0x001a), &[]);
    assert_eq!(post.ask(client, ALLOCATE, &[]), ErrorCode::BAD_REQUEST);
    assert_eq!(post.ask(client, ALLOCATE, &[&tcp]), ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL);
    assert_eq!(post.ask(client, ALLOCATE, &[&transport, &v6]), ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
    assert_eq!(post.ask(client, ALLOCATE, &[&transport, &dont_fragment]), ErrorCode::UNKNOWN_ATTRIBUTE);
    assert_eq!(post.ask(client, ALLOCATE, &[&transport, &EvenPort::new(true)]), ErrorCode::INSUFFICIENT_CAPACITY);
    assert_eq!(post.server.relays(), 0);
    // There is no socket for the relay.
    let bare = request(9.into(), ALLOCATE, &[], None);
    let challenge = post.answer_to(client, bare).expect("a challenge");
    let nonce = Message::from_bytes(&challenge).expect("a message").attribute::<Nonce>().expect("a nonce");
    let signed = request(9.into(), ALLOCATE, &[&transport], Some((&user(), nonce.nonce())));
    post.server.handle(post.now, TurnInput::FromClient(client, signed));
    let Some(TurnOutput::Bind(relay, ..)) = post.server.poll() else { panic!("a relay is wanted") };
    let refused = post.handle(TurnInput::Bound(relay, None));
    let [TurnOutput::Answer(_, bytes)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(code(bytes), ErrorCode::INSUFFICIENT_CAPACITY);
    assert_eq!(post.sockets.len(), 0);
}

#[test]
fn a_connection_relays_with_padding_and_is_closed_when_it_takes_no_part() {
    let mut post = Post::new();
    let client = Client { via: Via::Stream(1), address: place("192.0.2.1:5000") };
    assert_eq!(post.answer_to(client, request(1.into(), BINDING, &[], None)), None, "not opened");
    post.handle(TurnInput::Opened(1, client.address));
    post.handle(TurnInput::Opened(2, place("192.0.2.1:5001")));
    let relayed = post.allocate(client);
    let relay = post.relay(relayed);
    post.bind(client, 0x4000, "192.0.2.9:6000");
    let back = post.handle(TurnInput::FromPeer(relay, place("192.0.2.9:6000"), b"abcde".to_vec()));
    let [TurnOutput::Data(_, bytes)] = &back[..] else { panic!("{back:?}") };
    let mut framer = Framer::default();
    framer.push(bytes);
    assert_eq!((bytes.len(), framer.message()), (12, Ok(Some(b"\x40\0\0\x05abcde".to_vec()))));
    post.now = at(10_000);
    assert_eq!(post.handle(Tick.into()), [TurnOutput::Close(2)]);
    assert_eq!(post.ask(client, REFRESH, &[&Lifetime::new(0)]), 0);
    post.now = at(20_000);
    assert_eq!(post.handle(Tick.into()), [TurnOutput::Close(1)]);
    // The end of a connection is the end of its allocation.
    let client = Client { via: Via::Stream(3), ..client };
    post.handle(TurnInput::Opened(3, client.address));
    post.allocate(client);
    post.handle(TurnInput::Closed(3));
    assert_eq!((post.server.relays(), post.sockets.len()), (0, 0));
}

#[test]
fn connections_are_bounded_by_address_and_in_all() {
    let mut post = Post::new();
    let opened = |post: &mut Post, id: u64, client: u32| {
        post.handle(TurnInput::Opened(id, number(client).address)) != [TurnOutput::Close(id)]
    };
    let of_one = (0..1000).filter(|id| opened(&mut post, *id, 1)).count();
    assert_eq!(of_one, ADDRESS_STREAMS);
    let all = (1000..4000).filter(|id| opened(&mut post, *id, *id as u32)).count();
    assert_eq!(of_one + all, MAX_ALLOCATIONS);
    post.now = at(10_000);
    assert_eq!(post.handle(Tick.into()).len(), MAX_ALLOCATIONS);
    assert!(opened(&mut post, 5000, 1) && post.server.streams.len() == 1);
}

#[test]
fn whatever_clients_and_peers_send_the_server_lives_on_within_its_bounds() {
    let mut entropy = Entropy::new([9; 32]);
    let mut post = Post::new();
    let clients: Vec<_> = (0..4).map(number).collect();
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    for round in 0..2000 {
        post.now = at(round * 200);
        let client = clients[(entropy.number() % 4) as usize];
        let peer = XorPeerAddress::new(place("192.0.2.9:6000"), (post.transaction + 1).into());
        let attributes: Attributes<'_> = &[&transport, &peer, &ChannelNumber::new(0x4000), &Lifetime::new(600)];
        let transaction = post.transaction();
        let method = [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND, SEND][(entropy.number() % 5) as usize];
        let nonce = post.server.auth.nonce(post.now, client);
        let good = request(transaction, method, attributes, Some((&user(), &nonce)));
        let mut bad = good.clone();
        for _ in 0..3 {
            let place = entropy.number() as usize % bad.len();
            match entropy.number() % 3 {
                0 => bad[place] = entropy.number() as u8,
                1 => bad.truncate(place.max(1)),
                _ => bad.insert(place, entropy.number() as u8),
            }
            post.handle(TurnInput::FromClient(client, bad.clone()));
        }
        if round % 3 == 0 {
            post.handle(TurnInput::FromClient(client, good));
        }
        let relays: Vec<_> = post.sockets.keys().copied().collect();
        for relay in relays {
            post.handle(TurnInput::FromPeer(relay, place("192.0.2.9:6000"), bad.clone()));
        }
    }
    assert!(post.server.remembered() < 60, "{}", post.server.remembered());
    assert!(post.server.relays() > 0, "it got somewhere, nevertheless");
}
