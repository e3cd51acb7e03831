//! The certificate for each client: the one in use, or a proof for the authority that checks a name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::PROTOCOL;

/// The certificates of a server.
#[derive(Default)]
pub(super) struct Answers(RwLock<Held>);

#[derive(Default)]
struct Held {
    certificate: Option<Arc<CertifiedKey>>,
    /// Proofs by the name that is being checked.
    proofs: HashMap<String, Arc<CertifiedKey>>,
}

impl Answers {
    /// Clients get this certificate from now on.
    pub(super) fn use_certificate(&self, certificate: CertifiedKey) {
        self.with(|held| held.certificate = Some(Arc::new(certificate)));
    }

    /// The authority gets this proof for this name.
    pub(super) fn prove(&self, name: &str, proof: CertifiedKey) {
        self.with(|held| held.proofs.insert(name.to_ascii_lowercase(), Arc::new(proof)));
    }

    /// The authority asks no more.
    pub(super) fn forget_proofs(&self) {
        self.with(|held| held.proofs.clear());
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // The authority offers this protocol and no other one (RFC 8737, section 3).
        let mut protocols = hello.alpn().into_iter().flatten();
        if protocols.next() == Some(PROTOCOL) && protocols.next().is_none() {
            return held.proofs.get(&hello.server_name()?.to_ascii_lowercase()).cloned();
        }
        held.certificate.clone()
    }
}
