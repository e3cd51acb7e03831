//! The authorities whose certificates this machine accepts, for servers that it reaches by TLS.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use super::error::SignalError;

/// The variables that name certificates instead of the system's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The settings of TLS, read once: SSL_CERT_FILE and SSL_CERT_DIR, or else the system's certificates, or else
/// Mozilla's.
///
/// # Errors
/// The variables are set, and name no certificate.
pub(crate) fn client_config() -> Result<Arc<ClientConfig>, SignalError> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, SignalError>> = OnceLock::new();
    CONFIG.get_or_init(|| Ok(Arc::new(with(roots()?)))).clone()
}

fn with(roots: RootCertStore) -> ClientConfig {
    // An error here: a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

fn roots() -> Result<RootCertStore, SignalError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate store cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "certificates of authorities");
    if roots.is_empty() {
        if VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
            return Err(SignalError::NoAuthorities);
        }
        // A system without a store, such as a small container.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}
