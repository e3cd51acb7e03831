//! Somebody who has a link, and poses as its host: the host's half of the key exchange, written after docs/PROTOCOL.md
//! and without the code of the machines.

use beach_core::id::LinkId;
use beach_core::role::Role;
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};

/// The first byte of each message of the key exchange.
const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// The version byte of payloads, and the verdict that an offer follows.
const ENCODING: u8 = 1;
const ACCEPTED: u8 = 0;

/// Somebody with the key of a link, who has a static key and a token of their own.
pub struct Impostor {
    session: Vec<u8>,
    role: Role,
    psk: [u8; 32],
}

/// A viewer's first message that was opened: what the viewer said, and the state for an answer.
pub struct Opened {
    /// The hello, encoded.
    pub hello: Vec<u8>,
    state: HandshakeState,
}

fn derived(key: &[u8], info: &str, out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, key).expand(info.as_bytes(), out).expect("HKDF gives so many bytes");
}

impl Impostor {
    /// Somebody with this link, in its long form, who answers viewers of this role.
    ///
    /// # Panics
    /// The link is not of that form, or is a view link and the role is not.
    pub fn new(link: &str, role: Role) -> Impostor {
        let (place, fragment) = link.split_once('#').expect("a link has a key");
        let (_, id) = place.split_once("/s/").expect("a long link");
        let (kind, key) = fragment.split_once('.').expect("a long link");
        let session = BASE64URL_NOPAD.decode(id.as_bytes()).expect("an id");
        let mut key = BASE64URL_NOPAD.decode(key.as_bytes()).expect("a key");
        match (kind, role) {
            ("1c", Role::View) => {
                let mut view = [0; 16];
                derived(&key, "beach/1 view", &mut view);
                key = view.to_vec();
            }
            ("1c", Role::Control) | ("1v", Role::View) => {}
            (kind, role) => panic!("a link {kind} does not lead to the key for {role:?}"),
        }
        let mut psk = [0; 32];
        derived(&key, &format!("beach/1 psk {}", word(role)), &mut psk);
        Impostor { session, role, psk }
    }

    /// Opens a viewer's first message on this link.
    pub fn open(&self, link: LinkId, versions: &[u16], first: &[u8]) -> Option<Opened> {
        let message = first.strip_prefix(&[FIRST])?;
        let mut prologue = b"beach/1".to_vec();
        prologue.extend(&self.session);
        prologue.extend(word(self.role).as_bytes());
        prologue.extend([0, u8::try_from(versions.len()).ok()?]);
        versions.iter().for_each(|version| prologue.extend(version.to_be_bytes()));
        prologue.extend(link.0.to_be_bytes());
        let own = [9; 32];
        let mut state = Builder::with_resolver(
            "Noise_NXpsk0_25519_AESGCM_SHA256".parse().expect("the name is right"),
            Box::new(Counting),
        )
        .psk(0, &self.psk)
        .and_then(|builder| builder.local_private_key(&own))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(Builder::build_responder)
        .expect("all parameters are there");
        let mut hello = vec![0; message.len()];
        let length = state.read_message(message, &mut hello).ok()?;
        hello.truncate(length);
        Some(Opened { hello, state })
    }
}

impl Opened {
    /// The answer of a host that lets the viewer in.
    pub fn answer(mut self) -> Vec<u8> {
        let token_hash: [u8; 32] = Sha256::digest([7; 32]).into();
        let payload = [&[ENCODING][..], &token_hash, &[ACCEPTED]].concat();
        let mut second = vec![0; 512];
        second[0] = SECOND;
        let length = self.state.write_message(&payload, &mut second[1..]).expect("there is room");
        second.truncate(1 + length);
        second
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Control => "control",
        Role::View => "view",
    }
}

/// The usual primitives, and random bytes that only count.
struct Counting;

struct Counter(u8);

impl Random for Counter {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl CryptoResolver for Counting {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Counter(0)))
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
