//! The requests of clients: allocations, their life, permissions and channels.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::{ErrorCode, MessageIntegrity, Nonce, Realm, UnknownAttributes, XorMappedAddress};
use stun_types::message::{Message, MessageClass};
use stun_types::prelude::{Attribute as _, AttributeFromRaw as _, AttributeStaticType as _, AttributeWrite};
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::allocation::{Allocation, Relay, Unbound};
use super::api::{Client, Port, RelayId, TurnOutput};
use super::auth::{Denied, REALM, Wanted};
use super::message::{Request, answer, error_code, unknown};
use super::tally::Refusal;
use super::{ALLOCATION_PEERS, LIFE, TurnServer};
use crate::session::address::owner;
use crate::time::Timestamp;

/// The numbers of channels: those of RFC 5766, some of which RFC 8656 keeps for later.
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7fff;

/// The code of an error.
type Code = u16;

impl From<Unbound> for Code {
    fn from(unbound: Unbound) -> Code {
        match unbound {
            Unbound::Full => ErrorCode::INSUFFICIENT_CAPACITY,
            Unbound::Taken => ErrorCode::BAD_REQUEST,
        }
    }
}

fn is_of(family: AddressFamily, address: IpAddr) -> bool {
    AddressFamily::from(&address) == family
}

impl TurnServer {
    pub(super) fn on_request(&mut self, now: Timestamp, client: Client, message: &Message<'_>) {
        let method = message.method();
        if ![ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND].contains(&method) {
            return;
        }
        let wanted = if method == ALLOCATE { Wanted::New } else { Wanted::Existing };
        let user = match self.auth.user_of(now, client, message, wanted) {
            Ok(user) => user,
            Err(denied) => {
                // The first request of each client shows no credentials.
                if denied == Denied::Unauthorized && message.has_attribute(MessageIntegrity::TYPE) {
                    self.tally.refuse(Refusal::Credentials);
                }
                return self.challenge(now, client, message, denied);
            }
        };
        let request = Request { method, transaction: message.transaction_id(), key: self.auth.key(&user) };
        let unknown = unknown(message);
        if !unknown.is_empty() {
            let bytes = request.error(ErrorCode::UNKNOWN_ATTRIBUTE, &[&UnknownAttributes::new(&unknown)]);
            return self.out.push_back(TurnOutput::Answer(client, bytes));
        }
        if self.allocations.get(&client).is_some_and(|own| own.user != user) {
            return self.refuse(client, &request, ErrorCode::WRONG_CREDENTIALS);
        }
        let done = match method {
            ALLOCATE => self.on_allocate(now, client, user, &request, message),
            REFRESH => self.on_refresh(now, client, &request, message),
            CREATE_PERMISSION => self.on_permission(now, client, &request, message),
            _ => self.on_channel(now, client, &request, message),
        };
        if let Err(code) = done {
            self.refuse(client, &request, code);
        }
    }

    /// Asks for credentials. The source of a datagram may be somebody else's: answers are short, and counted.
    fn challenge(&mut self, now: Timestamp, client: Client, message: &Message<'_>, denied: Denied) {
        if !self.answers.take(now, owner(client.address.ip())) {
            return;
        }
        let code = error_code(denied.code());
        let realm = Realm::new(REALM).expect("it is short");
        let nonce = Nonce::new(&self.auth.nonce(now, client)).expect("it is short");
        let attributes: &[&dyn AttributeWrite] = match denied {
            Denied::Unauthorized | Denied::StaleNonce => &[&code, &realm, &nonce],
            Denied::BadRequest => &[&code],
        };
        let bytes = answer(MessageClass::Error, message.method(), message.transaction_id(), attributes, None);
        self.out.push_back(TurnOutput::Answer(client, bytes));
    }

    fn refuse(&mut self, client: Client, request: &Request, code: Code) {
        self.tally.refuse(Refusal::of(code));
        self.out.push_back(TurnOutput::Answer(client, request.error(code, &[])));
    }

    fn succeed(&mut self, client: Client, request: &Request, attributes: &[&dyn AttributeWrite]) {
        self.out.push_back(TurnOutput::Answer(client, request.success(attributes)));
    }

    fn on_allocate(
        &mut self,
        now: Timestamp,
        client: Client,
        user: String,
        request: &Request,
        message: &Message<'_>,
    ) -> Result<(), Code> {
        if let Some(own) = self.allocations.get(&client) {
            if own.transaction != request.transaction {
                return Err(ErrorCode::ALLOCATION_MISMATCH);
            }
            // The request was repeated: the answer was lost, or is on its way.
            let answer = own.answer.clone();
            self.out.extend(answer.map(|answer| TurnOutput::Answer(client, answer)));
            return Ok(());
        }
        let transport = message.attribute::<RequestedTransport>().map_err(|_| ErrorCode::BAD_REQUEST)?;
        if transport.protocol() != RequestedTransport::UDP {
            return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL);
        }
        let port = match message.attribute::<EvenPort>() {
            // And the next one, for later.
            Ok(even) if even.requested() => return Err(ErrorCode::INSUFFICIENT_CAPACITY),
            Ok(_) => Port::Even,
            Err(_) => Port::Any,
        };
        let families = wanted_families(message)?;
        let external = |family: &AddressFamily| self.rule.external.iter().copied().find(|own| is_of(*family, *own));
        let at: Vec<IpAddr> = families.iter().filter_map(external).collect();
        if at.is_empty() {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        if self.allocations.len() >= self.allocations_max {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let place = owner(client.address.ip());
        if !self.places.take_allocation(now, place, &user) {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let mut own = Allocation::new(now, place, user, request.transaction, families, LIFE);
        for ip in at {
            let id = self.next_relay;
            self.next_relay += 1;
            own.relays.push(Relay { id, address: SocketAddr::new(ip, 0) });
            self.relays.insert(id, client);
            self.out.push_back(TurnOutput::Bind(id, ip, port));
        }
        self.expiring.insert((own.expires, client));
        self.allocations.insert(client, own);
        self.takes_part(client, None);
        Ok(())
    }

    /// A relay has a socket, or will never have one.
    pub(super) fn on_bound(&mut self, now: Timestamp, relay: RelayId, port: Option<u16>) {
        let Some(client) = self.relays.get(&relay).copied() else { return };
        let Some(own) = self.allocations.get_mut(&client) else { return };
        match port {
            Some(port) => {
                let Some(known) = own.relays.iter_mut().find(|known| known.id == relay) else { return };
                known.address.set_port(port);
                self.addresses.insert(known.address, relay);
            }
            None => {
                own.relays.retain(|known| known.id != relay);
                self.relays.remove(&relay);
            }
        }
        if own.relays.iter().any(|relay| relay.address.port() == 0) {
            return;
        }
        let (transaction, life) = (own.transaction, own.expires.since(now));
        let request = Request { method: ALLOCATE, transaction, key: self.auth.key(&own.user) };
        self.tally.allocations += u64::from(!own.relays.is_empty());
        if own.relays.is_empty() {
            self.end(now, client);
            return self.refuse(client, &request, ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let relayed: Vec<_> =
            own.relays.iter().map(|relay| XorRelayedAddress::new(relay.address, transaction)).collect();
        let lacks = |family: &&AddressFamily| !own.relays.iter().any(|relay| is_of(**family, relay.address.ip()));
        let missing = own.families.iter().filter(lacks);
        let missing: Vec<_> = missing
            .map(|family| AddressErrorCode::new(*family, error_code(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)))
            .collect();
        let lifetime = Lifetime::new(seconds(life));
        let mapped = XorMappedAddress::new(client.address, transaction);
        let mut attributes: Vec<&dyn AttributeWrite> = relayed.iter().map(|one| one as &dyn AttributeWrite).collect();
        attributes.extend(missing.iter().map(|one| one as &dyn AttributeWrite));
        attributes.extend([&lifetime as &dyn AttributeWrite, &mapped]);
        let bytes = request.success(&attributes);
        own.answer = Some(bytes.clone());
        self.out.push_back(TurnOutput::Answer(client, bytes));
    }

    fn on_refresh(
        &mut self,
        now: Timestamp,
        client: Client,
        request: &Request,
        message: &Message<'_>,
    ) -> Result<(), Code> {
        let own = self.allocations.get_mut(&client).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let family = message.attribute::<RequestedAddressFamily>().ok().map(|wanted| wanted.family());
        let concerns = |relay: &Relay| family.is_none_or(|family| is_of(family, relay.address.ip()));
        if !own.relays.iter().any(concerns) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if message.attribute::<Lifetime>().is_ok_and(|wanted| wanted.seconds() == 0) {
            if own.relays.iter().all(concerns) {
                self.end(now, client);
            } else {
                let gone: Vec<_> = own.relays.extract_if(.., |relay| concerns(relay)).collect();
                gone.into_iter().for_each(|relay| self.close(relay.id, relay.address));
            }
            self.succeed(client, request, &[&Lifetime::new(0)]);
            return Ok(());
        }
        let before = own.expires;
        let life = own.refresh(now, LIFE);
        let after = own.expires;
        self.expiring.remove(&(before, client));
        self.expiring.insert((after, client));
        self.succeed(client, request, &[&Lifetime::new(seconds(life))]);
        Ok(())
    }

    /// Whether an allocation may relay to all these peers.
    fn judge(&self, client: Client, peers: &[IpAddr]) -> Result<(), Code> {
        let own = self.allocations.get(&client).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if peers.iter().any(|peer| own.relay_for(*peer).is_none()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if peers.iter().all(|peer| self.rule.allows(*peer)) { Ok(()) } else { Err(ErrorCode::FORBIDDEN) }
    }

    fn on_permission(
        &mut self,
        now: Timestamp,
        client: Client,
        request: &Request,
        message: &Message<'_>,
    ) -> Result<(), Code> {
        let named = message.iter_attributes().filter(|(_, attribute)| attribute.get_type() == XorPeerAddress::TYPE);
        let peers: Result<Vec<_>, _> = named.map(|(_, attribute)| XorPeerAddress::from_raw(attribute)).collect();
        let peers = peers.map_err(|_| ErrorCode::BAD_REQUEST)?;
        if peers.is_empty() || peers.len() > ALLOCATION_PEERS {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let peers: Vec<IpAddr> = peers.iter().map(|peer| peer.addr(request.transaction).ip()).collect();
        self.judge(client, &peers)?;
        if let Some(own) = self.allocations.get_mut(&client) {
            own.permit(now, &peers)?;
        }
        self.succeed(client, request, &[]);
        Ok(())
    }

    fn on_channel(
        &mut self,
        now: Timestamp,
        client: Client,
        request: &Request,
        message: &Message<'_>,
    ) -> Result<(), Code> {
        let number = message.attribute::<ChannelNumber>().map_err(|_| ErrorCode::BAD_REQUEST)?.channel();
        let peer = message.attribute::<XorPeerAddress>().map_err(|_| ErrorCode::BAD_REQUEST)?;
        let peer = peer.addr(request.transaction);
        if !CHANNELS.contains(&number) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        self.judge(client, &[peer.ip()])?;
        if let Some(own) = self.allocations.get_mut(&client) {
            own.bind(now, number, peer)?;
        }
        self.succeed(client, request, &[]);
        Ok(())
    }
}

/// The families in which a client wants addresses.
fn wanted_families(message: &Message<'_>) -> Result<Vec<AddressFamily>, Code> {
    let requested = message.attribute::<RequestedAddressFamily>();
    let additional = message.attribute::<AdditionalAddressFamily>();
    match (requested, additional) {
        (Ok(_), Ok(_)) => Err(ErrorCode::BAD_REQUEST),
        (Ok(requested), Err(_)) => Ok(vec![requested.family()]),
        (Err(_), Ok(additional)) if additional.family() == AddressFamily::IPV6 => {
            Ok(vec![AddressFamily::IPV4, AddressFamily::IPV6])
        }
        (Err(_), Ok(_)) => Err(ErrorCode::BAD_REQUEST),
        (Err(_), Err(_)) => Ok(vec![AddressFamily::IPV4]),
    }
}

/// To the nearest second.
fn seconds(span: Duration) -> u32 {
    u32::try_from((span + Duration::from_millis(500)).as_secs()).unwrap_or(u32::MAX)
}
