//! dimpl's cryptography with its entropy taken from the simulation.
//!
//! aws-lc draws entropy by its own system call, which cannot be answered from here. So the two operations that need it,
//! key exchange and signing, take their secrets from the world or need none. AEAD, hashes, HMAC and verification stay
//! those of production.

use std::fmt;

use aws_lc_rs::agreement::{self, Algorithm, PrivateKey, UnparsedPublicKey};
use dimpl::crypto::{
    ActiveKeyExchange, Buf, CryptoProvider, HashAlgorithm, KeyProvider, NamedGroup, SecureRandom, SignatureAlgorithm,
    SigningKey, SupportedKxGroup, aws_lc_rs as production,
};
use dimpl::{CryptoError, CryptoOperation};
use p256::ecdsa::DerSignature;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;

use super::os;

/// Production's cryptography, seeded on threads that have a world and random on all others.
///
/// P-384 is left out: no peer prefers it, and generating its keys is most of a handshake's time.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: &[
            &Group { name: NamedGroup::X25519, algorithm: &agreement::X25519 },
            &Group { name: NamedGroup::Secp256r1, algorithm: &agreement::ECDH_P256 },
        ],
        key_provider: &Keys,
        secure_random: &Entropy,
        ..production::default_provider()
    }
}

#[derive(Debug)]
struct Entropy;

impl SecureRandom for Entropy {
    fn fill(&self, buf: &mut [u8]) -> Result<(), CryptoError> {
        if os::fill(buf) { Ok(()) } else { production::default_provider().secure_random.fill(buf) }
    }
}

#[derive(Debug)]
struct Group {
    name: NamedGroup,
    algorithm: &'static Algorithm,
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        self.name
    }

    fn start_exchange(&self, mut public: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        // Both curves have 32-byte scalars; for X25519 any will do, for P-256 all but one in 2^32.
        let mut scalar = [0; 32];
        Entropy.fill(&mut scalar)?;
        let key = PrivateKey::from_private_key(self.algorithm, &scalar)
            .map_err(|_| CryptoError::OperationFailed(CryptoOperation::GenerateEphemeralKey))?;
        let point =
            key.compute_public_key().map_err(|_| CryptoError::OperationFailed(CryptoOperation::ComputePublicKey))?;
        public.clear();
        public.extend_from_slice(point.as_ref());
        Ok(Box::new(Exchange { group: self.name, key, public }))
    }
}

struct Exchange {
    group: NamedGroup,
    key: PrivateKey,
    public: Buf,
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let invalid = CryptoError::InvalidPublicKey(self.group);
        agreement::agree(&self.key, UnparsedPublicKey::new(self.key.algorithm(), peer), invalid, |secret| {
            out.clear();
            out.extend_from_slice(secret);
            Ok(())
        })
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("group", &self.group).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        match p256::ecdsa::SigningKey::from_pkcs8_der(key) {
            Ok(key) => Ok(Box::new(Signing(key))),
            Err(_) => Err(CryptoError::InvalidPrivateKey),
        }
    }
}

/// An RFC 6979 signing key: P-256 with SHA-256, the kind that every certificate of ours has.
struct Signing(p256::ecdsa::SigningKey);

impl SigningKey for Signing {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        if hash != HashAlgorithm::SHA256 {
            return Err(CryptoError::SigningKeyHashMismatch { key_hash: HashAlgorithm::SHA256, requested: hash });
        }
        let signature: DerSignature = self.0.sign(data);
        out.clear();
        out.extend_from_slice(signature.as_bytes());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").finish_non_exhaustive()
    }
}
