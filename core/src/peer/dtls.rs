//! DTLS for str0m with one configuration for all peers.
//!
//! str0m's own provider builds a `dimpl::Config` for every peer, and each build tests the whole cryptography behind it.
//! This one builds it once and changes nothing else: no setting, no entropy, no algorithm.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Config, Dtls};
use str0m::DATAGRAM_MTU_TARGET;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// str0m's cryptography over one cached DTLS configuration, for
/// [`RtcConfig::set_crypto_provider`](str0m::RtcConfig::set_crypto_provider).
///
/// Cheap to call. The first peer of the process pays for the self-test.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider: &Cached, ..from_feature_flags() })
}

#[derive(Debug)]
struct Cached;

impl DtlsProvider for Cached {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let (config, certificate) = (config(mtu)?, certificate.clone());
        let session = match version {
            DtlsVersion::Dtls12 => Dtls::new_12(config, certificate, now),
            DtlsVersion::Dtls13 => Dtls::new_13(config, certificate, now),
            DtlsVersion::Auto => Dtls::new_auto(config, certificate, now),
            _ => {
                return Err(CryptoError::Other(format!("unknown DTLS version: {version}")));
            }
        };
        Ok(Box::new(Session(session)))
    }
}

/// The cached configuration; refuses any size of datagram but the default one, which is all that is in use.
fn config(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    if mtu.is_some_and(|mtu| mtu != DATAGRAM_MTU_TARGET) {
        return Err(CryptoError::Other(format!("the cached config is for datagrams of {DATAGRAM_MTU_TARGET} bytes")));
    }
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = Config::builder()
        // As str0m does: ICE has shown the peer's address to be its own before DTLS begins.
        .use_server_cookie(false)
        .mtu(DATAGRAM_MTU_TARGET)
        .build()
        .map_err(|error| CryptoError::Other(format!("DTLS config: {error}")))?;
    // Two threads may both have built one; they are the same.
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

/// A DTLS session as str0m drives it. Its trait and dimpl's type have the same methods; neither crate says so.
struct Session(Dtls);

impl DtlsInstance for Session {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
