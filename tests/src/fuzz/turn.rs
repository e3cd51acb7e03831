//! Requests of TURN clients to a server that lives. The harness signs what the input builds, since no fuzzer finds a
//! MAC.

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::ice::server_url::Credentials;
use beach_core::machine::Machine as _;
use beach_core::time::Timestamp;
use beach_core::turn_server::{
    Client, MAX_ALLOCATIONS, Peers, RelayId, TurnConfig, TurnInput, TurnOutput, TurnServer, Via,
};
use stun_types::attribute::{AttributeType, Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWrite as _,
    MessageWriteExt as _, MessageWriteVec, Method, TransactionId,
};

use super::choices::Choices;

const SECRET: &str = "north";
const REALM: &str = "beach";
const TODAY: u64 = 1_764_288_000;

/// ALLOCATE, REFRESH, SEND, DATA, CREATE-PERMISSION, CHANNEL-BIND (RFC 8656, section 17), and BINDING.
const METHODS: [u16; 7] = [3, 4, 6, 7, 8, 9, 1];

const CLASSES: [MessageClass; 4] =
    [MessageClass::Request, MessageClass::Indication, MessageClass::Success, MessageClass::Error];

/// The attributes that only a message's writer computes: both integrities and the fingerprint.
const COMPUTED: [u16; 3] = [0x0008, 0x001c, 0x8028];

/// The attributes of RFC 8489, RFC 8656 and RFC 8445.
const ATTRIBUTES: [u16; 26] = [
    0x0001, 0x0006, 0x0009, 0x000a, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019,
    0x001a, 0x001d, 0x001e, 0x0020, 0x0022, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8022, 0x8023,
];

fn credentials() -> Credentials {
    Credentials::until(TODAY + 3600, SECRET.as_bytes())
}

fn place(choices: &mut Choices<'_>) -> SocketAddr {
    ([198, 51, 100, choices.byte() % 4], 5000 + u16::from(choices.byte() % 4)).into()
}

/// Adds what the input names. An attribute without room is left out.
fn add_attributes(message: &mut MessageWriteVec, choices: &mut Choices<'_>) {
    for _ in 0..choices.below(6) {
        let kind = match choices.byte() {
            255 => choices.short(),
            known => ATTRIBUTES[usize::from(known) % ATTRIBUTES.len()],
        };
        if COMPUTED.contains(&kind) {
            continue;
        }
        let kind = AttributeType::new(kind);
        // Addresses as peers have them, 4 bytes, or anything.
        let value = match choices.below(8) {
            0 => xor_address(place(choices)),
            1..=4 => choices.array::<4>().to_vec(),
            _ => choices.chunk().to_vec(),
        };
        let _ = message.add_attribute(&RawAttribute::new(kind, &value));
    }
}

/// An IPv4 address as XOR-PEER-ADDRESS and others have it (RFC 8489, section 14.2).
fn xor_address(address: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(v4) = address else { return Vec::new() };
    let port = v4.port() ^ 0x2112;
    let ip = v4.ip().to_bits() ^ 0x2112_a442;
    [&[0, 1][..], &port.to_be_bytes(), &ip.to_be_bytes()].concat()
}

fn sign(message: &mut MessageWriteVec, nonce: Option<&str>) {
    let Credentials { user, password } = credentials();
    if let Some(nonce) = nonce {
        let _ = message.add_attribute(&Username::new(&user).expect("short"));
        let _ = message.add_attribute(&Realm::new(REALM).expect("short"));
        let _ = Nonce::new(nonce).map(|nonce| message.add_attribute(&nonce));
    }
    let key = LongTermKeyCredentials::new(user, password.to_string(), REALM.to_owned());
    let _ = message.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1);
}

/// The server and its sockets.
struct Post {
    server: TurnServer,
    now: Timestamp,
    next_port: u16,
    relays: Vec<RelayId>,
    transaction: u128,
    nonce: Option<String>,
}

/// Requests to a server, data through it, and what its sockets and its clock say.
pub(super) fn requests(data: &[u8]) {
    let mut choices = Choices::new(data);
    let config = TurnConfig {
        secret: SECRET.to_owned().into(),
        external: vec![[203, 0, 113, 1].into()],
        own: vec![[198, 51, 100, 3].into()],
        peers: if choices.bit() { Peers::Public } else { Peers::PrivateToo },
        allocations_max: MAX_ALLOCATIONS,
        seed: [7; 32],
    };
    let mut server = TurnServer::new(config);
    server.handle(Timestamp::ZERO, TurnInput::TimeOfDay(TODAY));
    let now = Timestamp::ZERO;
    let mut post = Post { server, now, next_port: 50_000, relays: Vec::new(), transaction: 1, nonce: None };
    while !choices.is_empty() {
        let input = post.event(&mut choices);
        post.handle(input, choices.byte() != 0xff);
        let due = post.server.deadline();
        assert!(due.is_none_or(|at| at.since_start() <= post.now.since_start() + Duration::from_secs(90_000)));
    }
    post.now = post.now + Duration::from_secs(25 * 3600);
    post.handle(TurnInput::Tick, true);
    assert_eq!(post.server.relays(), 0, "an allocation outlives its longest life");
}

impl Post {
    fn event(&mut self, choices: &mut Choices<'_>) -> TurnInput {
        let what = choices.below(12);
        let from = Client { via: Via::Udp, address: place(choices) };
        match what {
            0 => TurnInput::FromClient(from, choices.chunk().to_vec()),
            1 => {
                self.now = self.now + Duration::from_millis(choices.number() % 1_000_000);
                TurnInput::Tick
            }
            2 if !self.relays.is_empty() => {
                let relay = self.relays[choices.below(self.relays.len())];
                TurnInput::FromPeer(relay, from.address, choices.chunk().to_vec())
            }
            3 => {
                let channel = 0x4000 + u16::from(choices.byte() % 4);
                let payload = choices.chunk();
                let length = u16::try_from(payload.len()).expect("a short chunk");
                let data = [&channel.to_be_bytes()[..], &length.to_be_bytes(), payload].concat();
                TurnInput::FromClient(from, data)
            }
            _ => {
                self.transaction += 1;
                let method = Method::new(METHODS[choices.below(METHODS.len())]);
                let class = if choices.below(4) == 0 { CLASSES[choices.below(4)] } else { MessageClass::Request };
                let kind = MessageType::from_class_method(class, method);
                let mut message = Message::builder(kind, TransactionId::from(self.transaction), MessageWriteVec::new());
                // An Allocate request needs REQUESTED-TRANSPORT with UDP.
                if method.value() == 3 {
                    let udp = [17, 0, 0, 0];
                    let _ = message.add_attribute(&RawAttribute::new(AttributeType::new(0x0019), &udp));
                }
                add_attributes(&mut message, choices);
                if choices.below(8) != 0 {
                    let nonce = self.nonce.clone().unwrap_or_default();
                    sign(&mut message, Some(&nonce));
                }
                TurnInput::FromClient(from, message.finish())
            }
        }
    }

    fn handle(&mut self, input: TurnInput, sockets_open: bool) {
        self.server.handle(self.now, input);
        while let Some(output) = self.server.poll() {
            match output {
                TurnOutput::Bind(relay, ..) => {
                    self.next_port = self.next_port.wrapping_add(1).max(1024);
                    self.relays.push(relay);
                    let port = sockets_open.then_some(self.next_port);
                    self.server.handle(self.now, TurnInput::Bound(relay, port));
                }
                TurnOutput::Unbind(relay) => self.relays.retain(|each| *each != relay),
                TurnOutput::Answer(_, bytes) => {
                    let answer = Message::from_bytes(&bytes).expect("the server writes messages that can be read");
                    if let Ok(nonce) = answer.attribute::<Nonce>() {
                        self.nonce = Some(nonce.nonce().to_owned());
                    }
                }
                TurnOutput::ToPeer(relay, ..) => assert!(self.relays.contains(&relay), "a relay that is closed"),
                TurnOutput::Data(..) | TurnOutput::Close(_) => {}
            }
        }
    }
}
