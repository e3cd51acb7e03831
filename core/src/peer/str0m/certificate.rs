//! The certificate that all peers of an engine show.

use str0m::config::DtlsCert;
use zeroize::Zeroize;

/// A DTLS certificate and its key. Zeroised when dropped; no `Debug`.
#[derive(Clone)]
pub struct Certificate(pub(super) DtlsCert);

impl Certificate {
    /// A fresh one. Randomness and validity come from the operating system, so this is for runtimes, not for machines.
    pub fn generate() -> Option<Certificate> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate().map(Certificate)
    }

    /// A given one: X.509 DER, and PKCS#8 DER of its P-256 key.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>) -> Certificate {
        Certificate(DtlsCert { certificate, private_key })
    }

    /// The private key as a leak test looks for it: hex and base64url.
    #[cfg(feature = "test-util")]
    pub fn needles(&self) -> Vec<String> {
        vec![
            data_encoding::HEXLOWER.encode(&self.0.private_key),
            data_encoding::BASE64URL_NOPAD.encode(&self.0.private_key),
        ]
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        self.0.private_key.zeroize();
    }
}
