//! Sealing: Noise envelopes over signalling. With the confirmation of what they agreed on, the only cryptography that is ours.
//!
//! `NXpsk0_25519_AESGCM_SHA256`, the viewer initiates; the pre-shared key is that of its role. On the wire an envelope is
//!
//! ```text
//! 1 ‖ noise message 1            viewer → host
//! 2 ‖ noise message 2            host → viewer
//! 3 ‖ number (8, BE) ‖ sealed    both; the number is the nonce
//! ```
//!
//! A rendezvous may drop, repeat and reorder envelopes: each side keeps a replay window, acknowledges, and repeats what is not
//! acknowledged byte for byte, so that no nonce ever encrypts twice.

use std::collections::BTreeMap;
use std::time::Duration;

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, StatelessTransportState};
use zeroize::Zeroize;

use crate::crypto::confirmation::Confirmation;
use crate::crypto::invite::Psk;
use crate::crypto::sas::Sas;
use crate::id::{LinkId, SessionId};
use crate::role::Role;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;

/// Longest envelope, sealed, in bytes: fits a 16 KiB signalling message after base64, with room for its frame.
pub(crate) const MAX_ENVELOPE: usize = 8 * 1024;

/// Numbers this far behind the newest are refused as replays: more than a handshake ever sends.
const REPLAY_WINDOW: u64 = 64;

/// Most envelopes kept for repetition: a handshake has at most an offer, an answer, a verdict and 32 candidates an attempt.
const MAX_OUTSTANDING: usize = 64;

/// First repetition: a rendezvous round trip is well below it, and it doubles each time.
const REPEAT_AFTER: Duration = Duration::from_millis(500);

/// Longest pause between repetitions; with the stages' deadlines it bounds how many there are.
const REPEAT_AT_MOST: Duration = Duration::from_secs(4);

const FIRST: u8 = 1;
const SECOND: u8 = 2;
const NUMBERED: u8 = 3;
const HEADER: usize = 9;
const TAG: usize = 16;

/// Why an envelope was not opened. Whoever sent it did not hold the key, or it was damaged or repeated.
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

#[derive(Clone, Copy)]
/// What both sides must agree on before the first message opens.
pub(crate) struct Prologue<'a> {
    pub(crate) session: SessionId,
    pub(crate) role: Role,
    pub(crate) versions: &'a [u16],
    pub(crate) link: LinkId,
    /// The link whose member comes back.
    pub(crate) resumes: Option<LinkId>,
}

impl Prologue<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"beach/1".to_vec();
        bytes.extend_from_slice(&self.session.0);
        bytes.extend_from_slice(self.role.word().as_bytes());
        bytes.push(0);
        bytes.push(u8::try_from(self.versions.len()).unwrap_or(u8::MAX));
        for version in self.versions {
            bytes.extend_from_slice(&version.to_be_bytes());
        }
        bytes.extend_from_slice(&self.link.0.to_be_bytes());
        if let Some(resumes) = self.resumes {
            bytes.extend_from_slice(b"resume");
            bytes.extend_from_slice(&resumes.0.to_be_bytes());
        }
        bytes
    }
}

/// The public half of a static key.
pub(crate) fn public_key(private: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("the default resolver has X25519");
    dh.set(private);
    let mut public = [0; 32];
    public.copy_from_slice(dh.pubkey());
    public
}

/// The viewer's half of a handshake: message 1 is out, message 2 is awaited.
pub(crate) struct Initiator {
    state: HandshakeState,
    first: Vec<u8>,
}

impl Initiator {
    pub(crate) fn new(entropy: &mut Entropy, psk: &Psk, prologue: &Prologue<'_>, hello: &[u8]) -> Initiator {
        let prologue = prologue.bytes();
        let mut state = builder(entropy)
            .psk(0, &psk.0)
            .and_then(|builder| builder.prologue(&prologue))
            .and_then(Builder::build_initiator)
            .expect("the parameters are complete");
        let first = write(&mut state, FIRST, hello);
        Initiator { state, first }
    }

    /// Message 1, to be sent and repeated byte for byte.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Opens message 2. `Forged` leaves the handshake as it was: somebody else may have sent that.
    pub(crate) fn finish(&mut self, second: &[u8]) -> Result<Opened, SealError> {
        let payload = read(&mut self.state, SECOND, second)?;
        let mut host_static = [0; 32];
        let known = self.state.get_remote_static().ok_or(SealError::Forged)?;
        host_static.copy_from_slice(known);
        Ok(Opened { payload, host_static })
    }

    /// The channel, once [`finish`](Initiator::finish) succeeded.
    pub(crate) fn into_channel(self) -> Channel {
        Channel::new(self.state)
    }
}

/// Message 2, opened.
pub(crate) struct Opened {
    pub(crate) payload: Vec<u8>,
    pub(crate) host_static: [u8; 32],
}

/// The host's half of a handshake: message 1 was authentic, message 2 is not yet written.
pub(crate) struct Responder(HandshakeState);

impl Responder {
    /// Opens message 1: `Forged` is a wrong key, a wrong role, another session or another link.
    pub(crate) fn accept(
        entropy: &mut Entropy,
        psk: &Psk,
        static_private: &[u8; 32],
        prologue: &Prologue<'_>,
        first: &[u8],
    ) -> Result<(Responder, Vec<u8>), SealError> {
        let prologue = prologue.bytes();
        let mut state = builder(entropy)
            .psk(0, &psk.0)
            .and_then(|builder| builder.local_private_key(static_private))
            .and_then(|builder| builder.prologue(&prologue))
            .and_then(Builder::build_responder)
            .expect("the parameters are complete");
        let hello = read(&mut state, FIRST, first)?;
        Ok((Responder(state), hello))
    }

    /// Message 2, and the channel that begins after it.
    pub(crate) fn reply(mut self, payload: &[u8]) -> (Channel, Vec<u8>) {
        let second = write(&mut self.0, SECOND, payload);
        (Channel::new(self.0), second)
    }
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
    pause: Duration,
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
    fn new(state: HandshakeState) -> Channel {
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
        let outstanding = Outstanding { bytes: bytes.clone(), again: now + REPEAT_AFTER, pause: REPEAT_AFTER };
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

    /// What is due: repetitions, whose count comes first, and an acknowledgement if nothing else carried one.
    pub(crate) fn due(&mut self, now: Timestamp) -> (usize, Vec<Vec<u8>>) {
        let mut due = Vec::new();
        for outstanding in self.outstanding.values_mut().filter(|outstanding| outstanding.again <= now) {
            outstanding.pause = (outstanding.pause * 2).min(REPEAT_AT_MOST);
            outstanding.again = now + outstanding.pause;
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

    /// Stops repeating: whatever the envelopes were for is settled.
    pub(crate) fn settle(&mut self) {
        self.outstanding.clear();
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.outstanding.values().map(|outstanding| outstanding.again).min()
    }

    /// What both sides can compare.
    pub(crate) fn check(&self) -> Sas {
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

/// Which numbers arrived: those at `next` and above did not; bit `i` says whether `next - 1 - i` did.
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

fn builder(entropy: &mut Entropy) -> Builder<'static> {
    let params: NoiseParams = "Noise_NXpsk0_25519_AESGCM_SHA256".parse().expect("the name is well-formed");
    Builder::with_resolver(params, Box::new(Seeded(entropy.bytes())))
}

fn write(state: &mut HandshakeState, kind: u8, payload: &[u8]) -> Vec<u8> {
    // An ephemeral key, a static key, and two tags at most.
    let mut message = vec![0; 1 + payload.len() + 32 + 32 + 2 * TAG];
    message[0] = kind;
    let length = state.write_message(payload, &mut message[1..]).expect("the buffer has room and the turn is ours");
    message.truncate(1 + length);
    message
}

fn read(state: &mut HandshakeState, kind: u8, message: &[u8]) -> Result<Vec<u8>, SealError> {
    if message.len() > MAX_ENVELOPE || message.first() != Some(&kind) {
        return Err(SealError::Malformed);
    }
    let mut payload = vec![0; message.len()];
    let length = state.read_message(&message[1..], &mut payload).map_err(|_| SealError::Forged)?;
    payload.truncate(length);
    Ok(payload)
}

/// snow's own primitives, but its random bytes follow from a seed.
struct Seeded([u8; 32]);

impl Drop for Seeded {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Dice(Entropy::new(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Dice(Entropy);

impl Random for Dice {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::confirmation::Side;
    use crate::crypto::invite::HostSecrets;

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
    fn a_wrong_key_role_session_or_link_fails_on_the_first_message() {
        let mut entropy = Entropy::new([1; 32]);
        let secrets = HostSecrets::new(&mut entropy);
        let right =
            Prologue { session: secrets.session(), role: Role::View, versions: &[1], link: LinkId(9), resumes: None };
        let viewer = Initiator::new(&mut entropy, &secrets.psk(Role::View), &right, b"");
        let wrong = [
            (Role::Control, Prologue { ..right }),
            (Role::View, Prologue { role: Role::Control, ..right }),
            (Role::View, Prologue { versions: &[1, 2], ..right }),
            (Role::View, Prologue { session: SessionId([0; 16]), ..right }),
            (Role::View, Prologue { link: LinkId(8), ..right }),
            (Role::View, Prologue { resumes: Some(LinkId(8)), ..right }),
        ];
        for (psk, prologue) in wrong {
            let psk = secrets.psk(psk);
            let got = Responder::accept(&mut entropy, &psk, secrets.static_private(), &prologue, viewer.first());
            assert_eq!(got.err(), Some(SealError::Forged));
        }
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
