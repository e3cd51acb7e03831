//! The DTLS provider that str0m is handed: seeded, and validated once.
//!
//! `dimpl::Config::build` tests its cryptography on every call, which costs more than the rest of a handshake. One
//! process builds one.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Config, Dtls};
use str0m::DATAGRAM_MTU_TARGET;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

use super::{cert, dtls, os};

/// Production's cryptography with every secret drawn from the simulation, for
/// [`RtcConfig::set_crypto_provider`](str0m::RtcConfig::set_crypto_provider).
///
/// On a thread without a world it works as well, with real entropy. Peers that are to replay also need a
/// [`certificate`](super::certificate).
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider: &Seeded, ..from_feature_flags() })
}

/// Somebody who is a valid peer up to DTLS: says what an SCTP packet becomes before it is encrypted. The flag says
/// whether the sender is the active side of DTLS, which the host is.
pub type Forger = Box<dyn FnMut(bool, &[u8]) -> Vec<Vec<u8>>>;

thread_local! {
    static FORGER: RefCell<Option<Forger>> = const { RefCell::new(None) };
}

/// Has all SCTP packets of this thread's simulation pass through this forger from now on.
pub fn forge_sctp(forger: Option<Forger>) {
    FORGER.set(forger);
}

#[derive(Debug)]
struct Seeded;

impl DtlsProvider for Seeded {
    /// Drawn from the world. A test that cares about time passes one of few fixed certificates instead.
    fn generate_certificate(&self) -> Option<DtlsCert> {
        let mut seed = [0; 8];
        os::fill(&mut seed).then(|| cert::certificate(u64::from_le_bytes(seed)))
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

/// The one config, for the one size of datagram that is in use; refuses others.
fn config(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    if mtu.is_some_and(|mtu| mtu != DATAGRAM_MTU_TARGET) {
        return Err(CryptoError::Other(format!("the cached config is for datagrams of {DATAGRAM_MTU_TARGET} bytes")));
    }
    let build = || {
        Config::builder()
            .with_crypto_provider(dtls::provider())
            // As str0m does: ICE has shown the peer's address to be its own before DTLS begins.
            .use_server_cookie(false)
            .mtu(DATAGRAM_MTU_TARGET)
            .build()
            .expect("the settings are constants")
    };
    Ok(CONFIG.get_or_init(|| Arc::new(os::outside(build))).clone())
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
        let is_active = self.0.is_active();
        let forged = FORGER.with_borrow_mut(|forger| forger.as_mut().map(|forge| forge(is_active, data)));
        let Some(forged) = forged else { return self.0.send_application_data(data) };
        for packet in forged {
            self.0.send_application_data(&packet)?;
        }
        Ok(data.len())
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
