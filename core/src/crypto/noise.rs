//! The Noise handshake: `NXpsk0_25519_AESGCM_SHA256`. The viewer initiates. Its role decides the pre-shared key.
//!
//! ```text
//! 1 ‖ noise message 1            viewer → host
//! 2 ‖ noise message 2            host → viewer
//! ```

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

use crate::crypto::channel::{Channel, MAX_ENVELOPE, SealError, TAG};
use crate::crypto::keys::Psk;
use crate::id::{LinkId, SessionId};
use crate::role::Role;
use crate::support::entropy::Entropy;

const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// The values that both sides must agree on before the first message opens.
#[derive(Clone, Copy)]
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
    use crate::crypto::keys::HostSecrets;

    #[test]
    fn what_is_no_message_of_a_handshake_is_told_from_a_forged_one() {
        let mut entropy = Entropy::new([1; 32]);
        let secrets = HostSecrets::new(&mut entropy);
        let prologue =
            Prologue { session: secrets.session(), role: Role::View, versions: &[1], link: LinkId(9), resumes: None };
        let viewer = Initiator::new(&mut entropy, &secrets.psk(Role::View), &prologue, b"hello");
        let mut accept = |message: &[u8]| {
            let (psk, own) = (secrets.psk(Role::View), secrets.static_private());
            Responder::accept(&mut entropy, &psk, own, &prologue, message).map(|(_, hello)| hello)
        };
        let first = viewer.first();
        assert_eq!(accept(first), Ok(b"hello".to_vec()));
        let of_another_kind = [&[SECOND], &first[1..]].concat();
        for none in [&[][..], &of_another_kind, &[FIRST; MAX_ENVELOPE + 1], &[FIRST; MAX_ENVELOPE + 2]] {
            assert_eq!(accept(none), Err(SealError::Malformed));
        }
        for forged in [&[FIRST][..], &first[..first.len() - 1], &[FIRST; MAX_ENVELOPE]] {
            assert_eq!(accept(forged), Err(SealError::Forged));
        }
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
}
