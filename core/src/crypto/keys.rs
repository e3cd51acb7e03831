//! The keys of a session, and what is derived from them.
//!
//! `view key = HKDF-SHA256(control key, "beach/1 view")`, so a holder of the control key can hand out view links, and
//! never the reverse.
//! `c = SHA-256(view key ‖ the host's static public key)`, `t` is a 256-bit resume token, and
//! `ID = first 128 bits of SHA-256("beach/1" ‖ c ‖ SHA-256(t))`: the ID says nothing, cannot be guessed, and commits to
//! the host's key.

use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver as _, DefaultResolver};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::SessionId;
use crate::role::Role;
use crate::support::entropy::Entropy;

/// The key of an invite. Zeroised when dropped; has no `Debug` and never leaves this crate but inside an invite's text.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    pub(super) fn derive_view(&self) -> Key {
        let mut view = [0; 16];
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(b"beach/1 view", &mut view)
            .expect("16 bytes are within HKDF's limit");
        Key(view)
    }

    pub(super) fn parse(text: &str) -> Option<Key> {
        let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let key = bytes.as_slice().try_into().ok().map(Key);
        bytes.zeroize();
        key
    }

    pub(super) fn text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// The Noise pre-shared key for `role`.
    pub(crate) fn psk(&self, role: Role) -> Psk {
        let mut psk = [0; 32];
        let info = ["beach/1 psk ", role.word()].concat();
        Hkdf::<Sha256>::new(None, &self.0).expand(info.as_bytes(), &mut psk).expect("32 bytes are within HKDF's limit");
        Psk(psk)
    }
}

/// A Noise pre-shared key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Psk(pub(crate) [u8; 32]);

/// A host's secrets of its session. Zeroised when dropped; no `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct HostSecrets {
    pub(super) control: Key,
    pub(super) view: Key,
    static_private: [u8; 32],
    static_public: [u8; 32],
    token: [u8; 32],
}

impl HostSecrets {
    /// Makes the keys of a new session.
    pub fn new(entropy: &mut Entropy) -> HostSecrets {
        let control = Key(entropy.bytes());
        let view = control.derive_view();
        let static_private = entropy.bytes();
        let static_public = public_key(&static_private);
        HostSecrets { control, view, static_private, static_public, token: entropy.bytes() }.with_plain_id(entropy)
    }

    /// Draws further keys while the id begins with `-`, which a command line would take for a flag.
    fn with_plain_id(mut self, entropy: &mut Entropy) -> HostSecrets {
        while self.session().to_string().starts_with('-') {
            self.control = Key(entropy.bytes());
            self.view = self.control.derive_view();
        }
        self
    }

    /// Secrets of the same host with new keys, which make other invites and another session id.
    #[must_use]
    pub fn rotated(&self, entropy: &mut Entropy) -> HostSecrets {
        let control = Key(entropy.bytes());
        let view = control.derive_view();
        let HostSecrets { static_private, static_public, token, .. } = self;
        let (static_private, static_public, token) = (*static_private, *static_public, *token);
        HostSecrets { control, view, static_private, static_public, token }.with_plain_id(entropy)
    }

    /// The session's id.
    pub fn session(&self) -> SessionId {
        session_id(&self.commitment(), &self.token_hash())
    }

    /// The strings that must never be seen outside: what a leak test looks for, hex and base64url.
    #[cfg(feature = "test-util")]
    pub fn needles(&self) -> Vec<String> {
        [self.control.0.as_slice(), &self.view.0, &self.static_private, &self.token]
            .iter()
            .flat_map(|secret| [BASE64URL_NOPAD.encode(secret), data_encoding::HEXLOWER.encode(secret)])
            .collect()
    }

    /// The resume token: a host that shows it to a rendezvous may take the session back.
    pub(crate) fn token(&self) -> &[u8; 32] {
        &self.token
    }

    pub(crate) fn commitment(&self) -> [u8; 32] {
        commitment(&self.view, &self.static_public)
    }

    pub(crate) fn token_hash(&self) -> [u8; 32] {
        Sha256::digest(self.token).into()
    }

    pub(crate) fn static_private(&self) -> &[u8; 32] {
        &self.static_private
    }

    pub(crate) fn psk(&self, role: Role) -> Psk {
        match role {
            Role::Control => self.control.psk(role),
            Role::View => self.view.psk(role),
        }
    }
}

/// The check of a rendezvous before registration: whether the ID commits to the host's commitment and token.
pub fn id_matches(session: SessionId, commitment: &[u8; 32], token: &[u8; 32]) -> bool {
    let token_hash: [u8; 32] = Sha256::digest(token).into();
    bool::from(session_id(commitment, &token_hash).0.ct_eq(&session.0))
}

pub(super) fn commitment(view: &Key, host_static: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(view.0).chain_update(host_static).finalize().into()
}

pub(super) fn session_id(commitment: &[u8; 32], token_hash: &[u8; 32]) -> SessionId {
    let digest = Sha256::new().chain_update(b"beach/1").chain_update(commitment).chain_update(token_hash).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    SessionId(id)
}

/// The public half of a static key.
pub(crate) fn public_key(private: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("the default resolver has X25519");
    dh.set(private);
    let mut public = [0; 32];
    public.copy_from_slice(dh.pubkey());
    public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_begins_with_a_dash() {
        for seed in 0..=255 {
            let mut entropy = Entropy::new([seed; 32]);
            let secrets = HostSecrets::new(&mut entropy);
            for secrets in [secrets.rotated(&mut entropy), secrets] {
                assert!(!secrets.session().to_string().starts_with('-'), "seed {seed}: {}", secrets.session());
                assert!(id_matches(secrets.session(), &secrets.commitment(), secrets.token()));
            }
        }
    }
}
