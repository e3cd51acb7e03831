//! The bytes of a TURN server's messages.

use std::net::SocketAddr;

use stun_types::attribute::{
    AttributeType, ErrorCode, Fingerprint, MessageIntegrity, Nonce, Realm, Software, Username,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
    MessageWriteVec, Method, TransactionId,
};
use stun_types::prelude::{Attribute as _, AttributeStaticType as _, AttributeWrite};
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
    XorPeerAddress,
};
use turn_types::message::DATA;

/// Attributes that the server understands. One that a client requires and that is not among them is refused.
const KNOWN: [AttributeType; 15] = [
    Username::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    MessageIntegrity::TYPE,
    Fingerprint::TYPE,
    Software::TYPE,
    RequestedTransport::TYPE,
    RequestedAddressFamily::TYPE,
    AdditionalAddressFamily::TYPE,
    Lifetime::TYPE,
    XorPeerAddress::TYPE,
    ChannelNumber::TYPE,
    EvenPort::TYPE,
    Data::TYPE,
    ErrorCode::TYPE,
];

/// Most unknown attributes that an answer names.
const MAX_UNKNOWN: usize = 8;

/// The attributes of a request that the server would have to understand.
pub(super) fn unknown(request: &Message<'_>) -> Vec<AttributeType> {
    let types = request.iter_attributes().map(|(_, attribute)| attribute.get_type());
    types.filter(|kind| kind.comprehension_required() && !KNOWN.contains(kind)).take(MAX_UNKNOWN).collect()
}

/// A request whose user is known.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) transaction: TransactionId,
    pub(super) key: IntegrityKey,
}

impl Request {
    pub(super) fn success(&self, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        answer(MessageClass::Success, self.method, self.transaction, attributes, Some(&self.key))
    }

    pub(super) fn error(&self, code: u16, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let code = error_code(code);
        let attributes = [&[&code as &dyn AttributeWrite], attributes].concat();
        answer(MessageClass::Error, self.method, self.transaction, &attributes, Some(&self.key))
    }
}

/// An error without words, which nobody reads: an answer shall not be longer than its request.
pub(super) fn error_code(code: u16) -> ErrorCode {
    ErrorCode::new(code, "").expect("a code of STUN")
}

/// An answer, signed with the key if there is one.
pub(super) fn answer(
    class: MessageClass,
    method: Method,
    transaction: TransactionId,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    let kind = MessageType::from_class_method(class, method);
    let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
    for attribute in attributes {
        message.add_attribute(*attribute).expect("an attribute before the signature");
    }
    if let Some(key) = key {
        message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1).expect("the only signature");
    }
    message.finish()
}

/// A peer's datagram for a client without a channel.
pub(super) fn indication(transaction: TransactionId, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let peer = XorPeerAddress::new(peer, transaction);
    answer(MessageClass::Indication, DATA, transaction, &[&peer, &Data::new(data)], None)
}

/// A peer's datagram for a client with a channel.
pub(super) fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}
