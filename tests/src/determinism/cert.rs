//! DTLS certificates that are functions of a seed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePrivateKey as _;
use rcgen::{CertificateParams, PublicKeyData};
use str0m::config::DtlsCert;

use super::os;

/// The certificate of `seed`, always the same one.
///
/// Computed once per process, about half a millisecond; a test that uses many peers reuses few seeds.
pub fn certificate(seed: u64) -> DtlsCert {
    static MADE: Mutex<BTreeMap<u64, DtlsCert>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    // Outside, since rcgen's hash maps would otherwise move the hasher keys of the simulation that asks first.
    made.entry(seed).or_insert_with(|| os::outside(|| issue(seed))).clone()
}

fn issue(seed: u64) -> DtlsCert {
    let (mut dice, mut scalar, mut serial) = (seed, [0; 32], [0; 16]);
    os::roll(&mut dice, &mut scalar);
    os::roll(&mut dice, &mut serial);
    let secret = SecretKey::from_bytes(&scalar.into()).expect("all but 2^-32 of the scalars are P-256 keys");
    let private_key = secret.to_pkcs8_der().expect("a P-256 key has a PKCS#8 form").as_bytes().to_vec();
    let key = SigningKey::from(secret);

    let mut params = CertificateParams::default();
    params.serial_number = Some(serial.to_vec().into());
    let public_point = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
    let certificate = params.self_signed(&Issuer { key, public_point }).expect("the parameters are constants");
    DtlsCert { certificate: certificate.der().to_vec(), private_key }
}

/// Signs by RFC 6979, which takes no randomness: the certificate's bytes depend on the key alone.
struct Issuer {
    key: SigningKey,
    public_point: Vec<u8>,
}

impl PublicKeyData for Issuer {
    fn der_bytes(&self) -> &[u8] {
        &self.public_point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Issuer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}
