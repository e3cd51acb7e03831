//! Sealing: numbered envelopes over signalling, after the Noise handshake. With the confirmation of what both sides
//! agreed on, the only cryptography that is ours. On the wire an envelope is
//!
//! ```text
//! 3 ‖ number (8, BE) ‖ sealed    both ways; the number is the nonce
//! ```
//!
//! A rendezvous may drop, repeat and reorder envelopes: each side keeps a replay window, acknowledges, and repeats what
//! is not acknowledged byte for byte, so that no nonce ever encrypts twice.

use std::collections::BTreeMap;
use std::time::Duration;

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use snow::{HandshakeState, StatelessTransportState};
use zeroize::Zeroize;

use crate::crypto::confirmation::Confirmation;
use crate::crypto::sas::Sas;
use crate::support::backoff::Backoff;
use crate::time::Timestamp;

/// Longest envelope, sealed, in bytes: fits a 16 KiB signalling message after base64, with room for its frame.
pub(crate) const MAX_ENVELOPE: usize = 8 * 1024;

/// Numbers this far behind the newest are refused as replays: more than a handshake ever sends.
const REPLAY_WINDOW: u64 = 64;

/// Most envelopes kept for repetition: a handshake has at most an offer, an answer, a verdict and 32 candidates an
/// attempt.
const MAX_OUTSTANDING: usize = 64;

/// First repetition: a rendezvous round trip is well below it, and it doubles each time.
const REPEAT_AFTER: Duration = Duration::from_millis(500);

/// Longest pause between repetitions; with the stages' deadlines it bounds how many there are.
const REPEAT_AT_MOST: Duration = Duration::from_secs(4);

const NUMBERED: u8 = 3;
const HEADER: usize = 9;
/// Bytes of an AES-GCM tag.
pub(super) const TAG: usize = 16;

/// Why an envelope was not opened. The sender did not hold the key, or the envelope was damaged or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// Too long, too short, or not of the kind expected now.
    #[error("not an envelope")]
    Malformed,
    /// The seal does not hold.
    #[error("the seal does not hold")]
    Forged,
    /// Opened before.
    #[error("opened before")]
    Replayed,
    /// Sealed by somebody who holds the invite, but is not the host that the session id commits to.
    #[error("not the host that this link names")]
    WrongHost,
    /// More envelopes outstanding than a handshake needs.
    #[error("too many envelopes unacknowledged")]
    Full,
}

/// Numbered envelopes in both directions, and the keys that the confirmation needs.
pub(crate) struct Channel {
    transport: StatelessTransportState,
    hash: [u8; 32],
    next: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    window: Window,
    owes_ack: bool,
}

struct Outstanding {
    bytes: Vec<u8>,
    again: Timestamp,
    backoff: Backoff,
}

/// The inside of a numbered envelope: what arrived so far, and perhaps something that wants an acknowledgement itself.
#[derive(Serialize, Deserialize)]
struct Inside<'a> {
    /// The newest number that arrived, plus one.
    next: u64,
    /// Bit `i`: number `next - 1 - i` arrived.
    arrived: u64,
    #[serde(borrow)]
    body: Option<&'a [u8]>,
}

impl Channel {
    pub(super) fn new(state: HandshakeState) -> Channel {
        let mut hash = [0; 32];
        hash.copy_from_slice(state.get_handshake_hash());
        let transport = state.into_stateless_transport_mode().expect("both messages have passed");
        Channel { transport, hash, next: 0, outstanding: BTreeMap::new(), window: Window::default(), owes_ack: false }
    }

    /// Seals `body`; it is repeated until acknowledged.
    pub(crate) fn seal(&mut self, now: Timestamp, body: &[u8]) -> Result<Vec<u8>, SealError> {
        if self.outstanding.len() >= MAX_OUTSTANDING || body.len() + 64 > MAX_ENVELOPE {
            return Err(SealError::Full);
        }
        let number = self.next;
        let bytes = self.write(Some(body));
        let mut backoff = Backoff::doubling(REPEAT_AFTER, REPEAT_AT_MOST);
        let outstanding = Outstanding { bytes: bytes.clone(), again: now + backoff.pause(), backoff };
        self.outstanding.insert(number, outstanding);
        Ok(bytes)
    }

    /// Opens a numbered envelope; `None` if it only acknowledged.
    pub(crate) fn open(&mut self, envelope: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if envelope.len() > MAX_ENVELOPE || envelope.len() < HEADER + TAG || envelope[0] != NUMBERED {
            return Err(SealError::Malformed);
        }
        let number = u64::from_be_bytes(envelope[1..HEADER].try_into().expect("eight bytes"));
        let mut plain = vec![0; envelope.len() - HEADER];
        let length =
            self.transport.read_message(number, &envelope[HEADER..], &mut plain).map_err(|_| SealError::Forged)?;
        let inside: Inside<'_> = postcard::from_bytes(&plain[..length]).map_err(|_| SealError::Malformed)?;
        self.outstanding.retain(|&number, _| !acknowledges(&inside, number));
        if inside.body.is_some() {
            self.owes_ack = true;
        }
        self.window.take(number)?;
        Ok(inside.body.map(<[u8]>::to_vec))
    }

    /// Envelopes that are due: the number of retransmissions, then these, then an acknowledgement if nothing else
    /// carried one.
    pub(crate) fn due(&mut self, now: Timestamp) -> (usize, Vec<Vec<u8>>) {
        let mut due = Vec::new();
        for outstanding in self.outstanding.values_mut().filter(|outstanding| outstanding.again <= now) {
            outstanding.again = now + outstanding.backoff.pause();
            due.push(outstanding.bytes.clone());
        }
        let repeated = due.len();
        due.extend(std::mem::take(&mut self.owes_ack).then(|| self.write(None)));
        (repeated, due)
    }

    /// Repeats everything at the next [`due`](Channel::due): the connection to the rendezvous is a new one.
    pub(crate) fn repeat_all(&mut self, now: Timestamp) {
        for outstanding in self.outstanding.values_mut() {
            outstanding.again = now;
        }
    }

    /// Stops repeating: the handshake needs no more envelopes.
    pub(crate) fn settle(&mut self) {
        self.outstanding.clear();
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.outstanding.values().map(|outstanding| outstanding.again).min()
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        assert!(self.outstanding.len() <= MAX_OUTSTANDING, "what is repeated is bounded");
        let newest = self.outstanding.last_key_value().map(|(number, _)| *number);
        assert!(newest.is_none_or(|newest| newest < self.next), "no number is used twice");
    }

    /// The short authentication string, which people compare.
    pub(crate) fn sas(&self) -> Sas {
        let mut bytes = [0; 8];
        Hkdf::<Sha256>::from_prk(&self.hash)
            .expect("32 bytes are a key")
            .expand(b"beach/1 check", &mut bytes)
            .expect("8 bytes are within HKDF's limit");
        Sas(u64::from_be_bytes(bytes))
    }

    /// The MACs of this handshake, from the random halves that offer and answer carried.
    pub(crate) fn confirmation(&self, host_half: &[u8; 32], viewer_half: &[u8; 32]) -> Confirmation {
        let mut material = [0; 64];
        material[..32].copy_from_slice(host_half);
        material[32..].copy_from_slice(viewer_half);
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(&self.hash), &material)
            .expand(b"beach/1 confirm", &mut key)
            .expect("32 bytes are within HKDF's limit");
        material.zeroize();
        Confirmation::new(key, self.hash)
    }

    fn write(&mut self, body: Option<&[u8]>) -> Vec<u8> {
        self.owes_ack = false;
        let inside = Inside { next: self.window.next, arrived: self.window.arrived, body };
        let plain = postcard::to_stdvec(&inside).expect("plain data always encodes");
        let number = self.next;
        self.next += 1;
        let mut envelope = vec![0; HEADER + plain.len() + TAG];
        envelope[0] = NUMBERED;
        envelope[1..HEADER].copy_from_slice(&number.to_be_bytes());
        self.transport.write_message(number, &plain, &mut envelope[HEADER..]).expect("the buffer has room for the tag");
        envelope
    }
}

fn acknowledges(inside: &Inside<'_>, number: u64) -> bool {
    Window { next: inside.next, arrived: inside.arrived }.holds(number)
}

/// The numbers that arrived. None at or above `next` did; bit `i` of `arrived` stands for the number `next - 1 - i`.
#[derive(Default)]
struct Window {
    next: u64,
    arrived: u64,
}

impl Window {
    fn holds(&self, number: u64) -> bool {
        let Some(above) = self.next.checked_sub(number) else { return false };
        above > 0 && above <= REPLAY_WINDOW && self.arrived >> (above - 1) & 1 == 1
    }

    fn take(&mut self, number: u64) -> Result<(), SealError> {
        if number >= self.next {
            let shift = number - self.next + 1;
            self.arrived = if shift < REPLAY_WINDOW { self.arrived << shift | 1 } else { 1 };
            self.next = number.saturating_add(1);
            return Ok(());
        }
        let back = self.next - 1 - number;
        if back >= REPLAY_WINDOW || self.holds(number) {
            return Err(SealError::Replayed);
        }
        self.arrived |= 1 << back;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{HostSecrets, public_key};
    use crate::crypto::noise::{Initiator, Prologue, Responder};
    use crate::id::LinkId;
    use crate::role::Role;
    use crate::side::Side;
    use crate::support::entropy::Entropy;

    fn pair() -> (Channel, Channel) {
        let mut entropy = Entropy::new([1; 32]);
        let secrets = HostSecrets::new(&mut entropy);
        let psk = secrets.psk(Role::Control);
        let prologue = Prologue {
            session: secrets.session(),
            role: Role::Control,
            versions: &[1],
            link: LinkId(9),
            resumes: None,
        };
        let mut viewer = Initiator::new(&mut entropy, &psk, &prologue, b"hello");
        let (responder, hello) =
            Responder::accept(&mut entropy, &psk, secrets.static_private(), &prologue, viewer.first())
                .expect("authentic");
        assert_eq!(hello, b"hello");
        let (host, second) = responder.reply(b"welcome");
        let mut forged = second.clone();
        forged[40] ^= 1;
        assert_eq!(viewer.finish(&forged).err(), Some(SealError::Forged));
        let opened = viewer.finish(&second).expect("a forged reply before it changed nothing");
        assert_eq!(opened.payload, b"welcome");
        assert_eq!(opened.host_static, public_key(secrets.static_private()));
        (host, viewer.into_channel())
    }

    #[test]
    fn envelopes_open_once_in_any_order_and_are_repeated_byte_for_byte_until_acknowledged() {
        let (mut host, mut viewer) = pair();
        let now = Timestamp::ZERO;
        let sent: Vec<_> = (0..5u8).map(|i| host.seal(now, &[i]).expect("room")).collect();
        for (i, envelope) in sent.iter().enumerate().rev() {
            assert_eq!(viewer.open(envelope), Ok(Some(vec![u8::try_from(i).expect("small")])));
            assert_eq!(viewer.open(envelope), Err(SealError::Replayed));
        }
        let later = host.deadline().expect("unacknowledged");
        assert_eq!(host.due(later).1, sent);
        for ack in viewer.due(later).1 {
            assert_eq!(host.open(&ack), Ok(None));
        }
        assert_eq!(host.deadline(), None);
    }

    #[test]
    fn what_is_sealed_and_what_is_opened_has_its_limits() {
        let (mut host, mut viewer) = pair();
        let now = Timestamp::ZERO;
        let longest = vec![7; MAX_ENVELOPE - 64];
        let envelope = host.seal(now, &longest).expect("as long as it may be");
        assert_eq!(viewer.open(&envelope), Ok(Some(longest.clone())));
        for more in [1, 2] {
            assert_eq!(host.seal(now, &[&longest[..], &[7; 2][..more]].concat()).err(), Some(SealError::Full));
            assert_eq!(viewer.open(&vec![NUMBERED; MAX_ENVELOPE + more]), Err(SealError::Malformed));
            assert_eq!(viewer.open(&[NUMBERED; HEADER + TAG][more..]), Err(SealError::Malformed));
        }
        assert_eq!(viewer.open(&[NUMBERED; MAX_ENVELOPE]), Err(SealError::Forged));
        assert_eq!(viewer.open(&[NUMBERED; HEADER + TAG]), Err(SealError::Forged));
        assert_eq!(viewer.open(&[]), Err(SealError::Malformed));

        for _ in 1..MAX_OUTSTANDING {
            host.seal(now, b"x").expect("room");
        }
        assert_eq!(host.seal(now, b"x").err(), Some(SealError::Full));
    }

    #[test]
    fn a_sealed_message_of_the_longest_description_fits_into_a_message_of_signalling() {
        let (mut host, _) = pair();
        let description = vec![7; 4 * 1024];
        assert!(host.seal(Timestamp::ZERO, &description).is_ok());
        assert!(MAX_ENVELOPE.div_ceil(3) * 4 + 512 <= crate::wire::signal::MAX_MESSAGE);
    }

    #[test]
    fn only_what_arrived_is_acknowledged() {
        let (mut host, mut viewer) = pair();
        let [first, second] = [b"1", b"2"].map(|body| host.seal(Timestamp::ZERO, body).expect("room"));
        assert_eq!(viewer.open(&first), Ok(Some(b"1".to_vec())));
        for ack in viewer.due(Timestamp::ZERO).1 {
            assert_eq!(host.open(&ack), Ok(None));
        }
        let later = host.deadline().expect("the second one");
        assert_eq!(host.due(later), (1, vec![second]));
    }

    #[test]
    fn everything_is_repeated_at_once_after_a_new_connection_and_nothing_once_settled() {
        let (mut host, _) = pair();
        let now = Timestamp::ZERO;
        let sent = [b"1", b"2"].map(|body| host.seal(now, body).expect("room"));
        assert_eq!(host.due(now), (0, vec![]));
        host.repeat_all(now);
        assert_eq!(host.deadline(), Some(now));
        assert_eq!(host.due(now), (2, sent.to_vec()));
        host.settle();
        assert_eq!((host.deadline(), host.due(now + REPEAT_AT_MOST)), (None, (0, vec![])));
    }

    #[test]
    fn a_number_far_ahead_leaves_only_what_is_near_it() {
        let mut window = Window::default();
        for number in [0, 1, 64, 66, 65] {
            assert_eq!(window.take(number), Ok(()), "{number}");
        }
        assert_eq!(window.take(2), Err(SealError::Replayed), "too far behind");
        for number in [64, 65, 66] {
            assert!(window.holds(number));
            assert_eq!(window.take(number), Err(SealError::Replayed), "{number}");
        }
        assert_eq!(window.take(3), Ok(()), "the oldest that can be told");
        assert!(!window.holds(67) && !window.holds(4));
        assert_eq!(window.take(66 + REPLAY_WINDOW), Ok(()));
        assert!((66..66 + REPLAY_WINDOW).all(|number| !window.holds(number)));
    }

    #[test]
    fn lost_acknowledgements_never_close_the_window() {
        let (mut host, mut viewer) = pair();
        for round in 0..500u64 {
            let now = Timestamp::from_micros(round);
            let envelope = host.seal(now, b"x").expect("room");
            assert_eq!(viewer.open(&envelope), Ok(Some(b"x".to_vec())));
            let acks = viewer.due(now).1;
            if round % 7 == 0 {
                for ack in acks {
                    assert_eq!(host.open(&ack), Ok(None));
                }
            }
        }
    }

    #[test]
    fn a_changed_envelope_is_forged_whatever_bit_changed() {
        let (mut host, mut viewer) = pair();
        let envelope = host.seal(Timestamp::ZERO, b"payload").expect("room");
        for bit in 0..envelope.len() * 8 {
            let mut changed = envelope.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(viewer.open(&changed).is_err());
        }
        assert!(viewer.open(&envelope).is_ok());
    }

    #[test]
    fn a_mac_holds_for_its_side_fingerprints_permission_and_halves_only() {
        let (host, viewer) = pair();
        let (a, b) = ([1; 32], [2; 32]);
        let mac = host.confirmation(&[5; 32], &[6; 32]).mac(Side::Host, &a, &b, Role::Control);
        let at_viewer = viewer.confirmation(&[5; 32], &[6; 32]);
        assert!(at_viewer.verify(Side::Host, &a, &b, Role::Control, &mac));
        assert!(!at_viewer.verify(Side::Viewer, &a, &b, Role::Control, &mac));
        assert!(!at_viewer.verify(Side::Host, &b, &a, Role::Control, &mac));
        assert!(!at_viewer.verify(Side::Host, &a, &[3; 32], Role::Control, &mac));
        assert!(!at_viewer.verify(Side::Host, &a, &b, Role::View, &mac));
        assert!(!viewer.confirmation(&[6; 32], &[5; 32]).verify(Side::Host, &a, &b, Role::Control, &mac));
    }
}
