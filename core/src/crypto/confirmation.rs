//! The confirmation: MACs with which both sides prove that they saw the same certificates and hold the keys of one
//! handshake.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::keys::Psk;
use crate::role::Role;
use crate::side::Side;

/// Proves, over the lanes, that the DTLS peer is the one that the envelopes were exchanged with.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Confirmation {
    key: [u8; 32],
    hash: [u8; 32],
}

impl Confirmation {
    pub(super) fn new(key: [u8; 32], hash: [u8; 32]) -> Confirmation {
        Confirmation { key, hash }
    }

    /// `HMAC-SHA256(k_confirm, side ‖ handshake hash ‖ that side's fingerprint ‖ the other's ‖ permission)`.
    pub(crate) fn mac(&self, side: Side, own: &[u8; 32], other: &[u8; 32], permission: Role) -> [u8; 32] {
        self.compute(side, own, other, permission).finalize().into_bytes().into()
    }

    /// Whether the peer, who is `side`, made `mac`; in constant time.
    pub(crate) fn verify(&self, side: Side, peer: &[u8; 32], own: &[u8; 32], permission: Role, mac: &[u8; 32]) -> bool {
        self.compute(side, peer, own, permission).verify_slice(mac).is_ok()
    }

    /// The key by which a member of this link resumes. Both sides derive the key, so it is never sent.
    pub(crate) fn resume_psk(&self) -> Psk {
        let mut key = [0; 32];
        Hkdf::<Sha256>::from_prk(&self.key)
            .and_then(|hkdf| hkdf.expand(b"beach/1 resume", &mut key).map_err(|_| hkdf::InvalidPrkLength))
            .expect("32 bytes are a key, and within HKDF's limit");
        Psk(key)
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn needle(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.key)
    }

    fn compute(&self, side: Side, own: &[u8; 32], other: &[u8; 32], permission: Role) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key)
            .expect("HMAC takes keys of any length")
            .chain_update(side.word())
            .chain_update([0])
            .chain_update(self.hash)
            .chain_update(own)
            .chain_update(other)
            .chain_update(permission.word())
    }
}
