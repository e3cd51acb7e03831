//! Finding out how this side is seen from outside: server-reflexive candidates, by STUN (RFC 8489, RFC 8445 section
//! 5.1.1.2).
//!
//! Each of our sockets asks each server of its family. ICE uses the same sockets, because a router maps each port by
//! itself. A server that does not answer costs a few datagrams and nobody's time: candidates are told as they are
//! found.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::{AttributeType, RawAttribute, XorMappedAddress};
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _, MessageWriteVec,
    TransactionId,
};

use crate::support::backoff::Backoff;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;

/// Most servers that are asked: each multiplies the questions, and one answer a socket is enough.
pub const MAX_SERVERS: usize = 4;

/// Most questions in flight: six sockets a family, each to all servers.
const MAX_QUESTIONS: usize = 12 * MAX_SERVERS;

/// The pause before the first repetition; pauses double. RFC 8489 suggests 500 ms, for when nothing is known; a person
/// waits.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The pause after the last repetition: then the question is given up.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Times that a question is asked, over four seconds.
const TIMES: u32 = 5;

/// A question to one server, from one socket.
struct Question {
    local: SocketAddr,
    server: SocketAddr,
    times: u32,
    pauses: Backoff,
    again: Timestamp,
}

/// How this side is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Our socket.
    pub(crate) local: SocketAddr,
    /// The socket's address, as the server sees it.
    pub(crate) mapped: SocketAddr,
}

/// A datagram that asks: from our socket, to the server.
pub(crate) type Ask = (SocketAddr, SocketAddr, Vec<u8>);

/// The servers, and what they have not answered yet.
#[derive(Default)]
pub(crate) struct Gatherer {
    servers: Vec<SocketAddr>,
    questions: BTreeMap<u128, Question>,
}

impl Gatherer {
    /// There is a server at this address.
    pub(crate) fn learn(&mut self, server: SocketAddr) {
        if self.servers.len() < MAX_SERVERS && !self.servers.contains(&server) && !server.ip().is_unspecified() {
            self.servers.push(server);
        }
    }

    /// Asks each server about each socket, except where a question is under way already.
    pub(crate) fn ask(&mut self, now: Timestamp, entropy: &mut Entropy, sockets: &[SocketAddr]) {
        self.questions.retain(|_, question| sockets.contains(&question.local));
        for local in sockets {
            for server in &self.servers {
                let asked = |question: &Question| (question.local, question.server) == (*local, *server);
                let reaches =
                    local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback();
                if !reaches || self.questions.len() >= MAX_QUESTIONS || self.questions.values().any(asked) {
                    continue;
                }
                let pauses = Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE);
                let question = Question { local: *local, server: *server, times: 0, pauses, again: now };
                self.questions.insert(transaction(entropy), question);
            }
        }
    }

    /// The next question that is due.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Ask> {
        self.questions.retain(|_, question| question.times < TIMES || question.again > now);
        let (id, question) = self.questions.iter_mut().find(|(_, question)| question.again <= now)?;
        question.again = now + question.pauses.pause();
        question.times += 1;
        Some((question.local, question.server, question_of(*id)))
    }

    /// When the next question is due, or given up.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.questions.values().map(|question| question.again).min()
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.servers.len() <= MAX_SERVERS && self.questions.len() <= MAX_QUESTIONS, "questions are bounded");
        let is_sound = |question: &Question| question.times <= TIMES && self.servers.contains(&question.server);
        assert!(self.questions.values().all(is_sound), "known servers alone are asked, a few times");
    }

    /// Whether a datagram is a server's, and what it says.
    pub(crate) fn receive(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Option<Option<Seen>> {
        if !self.servers.contains(&source) {
            return None;
        }
        let message = Message::from_bytes(bytes).ok().filter(|message| message.has_method(BINDING))?;
        let id = message.transaction_id();
        let key: u128 = id.into();
        let question = self.questions.get(&key)?;
        if (question.local, question.server) != (destination, source) || !message.is_response() {
            return None;
        }
        self.questions.remove(&key);
        let mapped = message.has_class(MessageClass::Success).then(|| message.attribute::<XorMappedAddress>().ok());
        let mapped = mapped.flatten().map(|attribute| attribute.addr(id));
        Some(mapped.filter(|mapped| *mapped != destination).map(|mapped| Seen { local: destination, mapped }))
    }
}

/// The id of a request: 96 bits, so that nobody can guess it and answer in the server's place (RFC 8489, section 6).
pub fn transaction(entropy: &mut Entropy) -> u128 {
    u128::from(entropy.number()) << 32 | u128::from(entropy.number() >> 32)
}

/// A binding request with this transaction id, of 96 bits.
pub fn question_of(id: u128) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    Message::builder(kind, TransactionId::from(id), MessageWriteVec::new()).finish()
}

/// CHANGE-REQUEST (RFC 5780, section 7.2), and its flag: answer from another port.
const CHANGE_REQUEST: AttributeType = AttributeType::new(0x0003);
const CHANGE_PORT: u32 = 0x2;

/// A binding request that the server answers from another of its ports, if it has one.
pub fn question_for_other_port(id: u128) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    let mut question = Message::builder(kind, TransactionId::from(id), MessageWriteVec::new());
    let change = CHANGE_PORT.to_be_bytes();
    question.add_attribute(&RawAttribute::new(CHANGE_REQUEST, &change)).expect("there is room");
    question.finish()
}

/// The address from which a server got [`question_of`] this id, if these bytes are its answer.
pub fn told(id: u128, bytes: &[u8]) -> Option<SocketAddr> {
    let message = Message::from_bytes(bytes).ok().filter(|message| message.has_method(BINDING))?;
    let own = message.has_class(MessageClass::Success) && message.transaction_id() == TransactionId::from(id);
    Some(message.attribute::<XorMappedAddress>().ok().filter(|_| own)?.addr(TransactionId::from(id)))
}

/// The answer of a STUN server to a datagram from `source`, `None` unless it is a binding request; and whether to
/// answer from another port.
pub fn answer(source: SocketAddr, bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let request = Message::from_bytes(bytes).ok()?;
    if !request.has_class(MessageClass::Request) || !request.has_method(BINDING) {
        return None;
    }
    let change = request.raw_attribute(CHANGE_REQUEST).and_then(|change| change.value.as_ref().try_into().ok());
    let other_port = change.is_some_and(|change| u32::from_be_bytes(change) & CHANGE_PORT != 0);
    let mut response = Message::builder_success(&request, MessageWriteVec::new());
    response.add_attribute(&XorMappedAddress::new(source, request.transaction_id())).ok()?;
    Some((response.finish(), other_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn asking(sockets: &[SocketAddr]) -> (Gatherer, Entropy) {
        let (mut gatherer, mut entropy) = (Gatherer::default(), Entropy::new([3; 32]));
        gatherer.learn(place("203.0.113.1:3478"));
        gatherer.ask(at(0), &mut entropy, sockets);
        (gatherer, entropy)
    }

    #[test]
    fn a_server_says_how_a_socket_is_seen_and_is_believed_once() {
        let local = place("192.168.1.2:5000");
        let (mut gatherer, _) = asking(&[local, place("[fd00::1]:5000")]);
        let (source, server, question) = gatherer.next(at(0)).expect("asked");
        assert_eq!((source, gatherer.next(at(0))), (local, None), "not from a socket of the other family");
        let mapped = place("198.51.100.7:6000");
        let (told, _) = answer(mapped, &question).expect("a question");
        assert_eq!(gatherer.receive(place("203.0.113.9:3478"), local, &told), None, "of a stranger");
        assert_eq!(gatherer.receive(server, place("192.168.1.2:5001"), &told), None, "at another socket");
        assert_eq!(gatherer.receive(server, local, &told), Some(Some(Seen { local, mapped })));
        assert_eq!((gatherer.receive(server, local, &told), gatherer.deadline()), (None, None));
    }

    #[test]
    fn who_is_seen_as_itself_has_no_further_address() {
        let local = place("198.51.100.7:5000");
        let (mut gatherer, _) = asking(&[local]);
        let (_, server, question) = gatherer.next(at(0)).expect("asked");
        let (told, _) = answer(local, &question).expect("a question");
        assert_eq!(gatherer.receive(server, local, &told), Some(None));
    }

    #[test]
    fn a_dead_server_is_asked_five_times_in_four_seconds_and_then_no_more() {
        let local = place("192.168.1.2:5000");
        let (mut gatherer, mut entropy) = asking(&[local]);
        let asked: Vec<u64> = (0..10_000).step_by(50).filter(|now| gatherer.next(at(*now)).is_some()).collect();
        assert_eq!((asked, gatherer.deadline()), (vec![0, 250, 750, 1750, 3750], None));
        gatherer.ask(at(20_000), &mut entropy, &[local]);
        gatherer.ask(at(20_001), &mut entropy, &[local]);
        assert!(gatherer.next(at(20_001)).is_some() && gatherer.next(at(20_001)).is_none(), "once at a time");
    }

    #[test]
    fn only_questions_are_answered() {
        let source = place("198.51.100.7:6000");
        let (told, other_port) = answer(source, &question_of(7)).expect("a question");
        assert!(!other_port && answer(source, &question_for_other_port(7)).is_some_and(|(_, other_port)| other_port));
        assert!(answer(source, &told).is_none() && answer(source, b"GET / HTTP/1.1\r\n\r\n").is_none());
        assert!(answer(source, &question_of(7)[..19]).is_none());
    }
}
