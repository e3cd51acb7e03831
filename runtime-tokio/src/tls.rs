//! TLS of this process' servers: the certificate in use, and where the certificate comes from.

pub mod acme;
mod files;
mod parsed;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use beach_core::AddressRates;
use beach_core::session::address::owner;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::files::{Certificate, CertificateError};

/// How long a client may take until TLS is up.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Handshakes a second of one address at all ports together, and the burst: as many as joins. A handshake costs about
/// as much as a join.
pub(crate) const HANDSHAKES_RATE: u64 = 100;
/// See [`HANDSHAKES_RATE`].
pub(crate) const HANDSHAKES_BURST: u64 = 512;

/// Bytes that TLS may hold of one connection and the system has not taken yet: one record. By default it were four, and
/// datagrams would wait there.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// The longest record, in bytes: RFC 8446, 5.1 and 5.2, and the head of 5 bytes.
const RECORD_BYTES_MAX: usize = PLAIN_BYTES_MAX + 256 + 5;

/// The content of the longest record.
const PLAIN_BYTES_MAX: usize = 16 * 1024;

/// Bytes that TLS holds of a connection at most, once the connection is up: a record that has not come as a whole, the
/// content of the one before, and what the system has not taken yet. Until then a message of the handshake may have 64
/// KiB (rustls), and nothing else is held.
pub(crate) const HELD_BYTES_MAX: usize = RECORD_BYTES_MAX + PLAIN_BYTES_MAX + UNSENT_BYTES_MAX;

/// The first byte of a connection that begins with TLS: a record of the handshake.
pub(crate) const HANDSHAKE_RECORD: u8 = 0x16;

/// The protocol that clients of a rendezvous speak over TLS.
const HTTP: &[u8] = b"http/1.1";

/// The certificate in use, whichever is the newest.
#[derive(Clone)]
pub struct InUse {
    settings: watch::Receiver<Settings>,
    limit: Arc<Limit>,
}

/// How many handshakes with one certificate each address may ask for, at all ports together.
pub(crate) struct Limit {
    rates: Mutex<AddressRates>,
    epoch: Instant,
}

impl Default for Limit {
    fn default() -> Limit {
        let rates = Mutex::new(AddressRates::new(HANDSHAKES_RATE, HANDSHAKES_BURST, crate::seed()));
        Limit { rates, epoch: Instant::now() }
    }
}

impl Limit {
    /// Whether this address may have one more handshake.
    fn allows(&self, client: IpAddr) -> bool {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(self.epoch.elapsed().into(), owner(client))
    }
}

/// The settings of TLS with one certificate.
#[derive(Clone)]
struct Settings {
    config: Arc<ServerConfig>,
    /// See [`InUse::expires`].
    expires: Option<u64>,
    /// See [`InUse::name`].
    name: Option<String>,
}

impl InUse {
    /// When the certificate expires, in seconds since 1970; `None` if there is no certificate yet, or
    /// one whose time cannot be read.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.settings.borrow().expires
    }

    /// The first host that the certificate names, by which clients can check the certificate; `None` if there is none,
    /// or only patterns with an asterisk.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.settings.borrow().name.clone()
    }
}

/// The settings for a server that speaks these protocols, and gets its certificate from there.
fn server_config(certificate: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Clients that come back save work by a ticket, and the server keeps nothing for them.
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

/// A chain of certificates with the key of the first one; whether the key is that one's, the caller looks.
fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> Result<CertifiedKey, TlsError> {
    Ok(CertifiedKey::new(chain, any_supported_type(key)?))
}

/// The end of a port where handshakes of TLS are performed.
pub(crate) struct Handshakes {
    in_use: InUse,
    /// The protocols that clients may offer, if they are not those of a rendezvous.
    protocols: Option<&'static [&'static [u8]]>,
    refused: AtomicU64,
}

impl Handshakes {
    /// Of a server whose clients speak HTTP.
    pub(crate) fn new(in_use: InUse) -> Handshakes {
        Handshakes { in_use, protocols: None, refused: AtomicU64::new(0) }
    }

    /// Of a server whose clients speak these protocols, if they offer any.
    pub(crate) fn for_protocols(self, protocols: &'static [&'static [u8]]) -> Handshakes {
        Handshakes { protocols: Some(protocols), ..self }
    }

    /// When the certificate expires: see [`InUse::expires`].
    pub(crate) fn certificate_expires(&self) -> Option<u64> {
        self.in_use.expires()
    }

    /// How many connections got no handshake at this port, because their address had enough.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Performs a handshake with a client that has this address, if it is known. The caller sets the deadline.
    ///
    /// # Errors
    /// The handshake failed, or the address asks for too many.
    pub(crate) async fn accept(&self, stream: TcpStream, client: Option<IpAddr>) -> io::Result<TlsStream<TcpStream>> {
        if !self.may_accept(client) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut config = self.in_use.settings.borrow().config.clone();
        if let Some(protocols) = self.protocols {
            Arc::make_mut(&mut config).alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        }
        TlsAcceptor::from(config)
            .accept_with(stream, |connection| connection.set_buffer_limit(Some(UNSENT_BYTES_MAX)))
            .await
    }

    /// Whether a client with this address may have one more handshake. A handshake costs a signature, so the question
    /// comes before the handshake. A client whose address is not known has no limit of its own.
    fn may_accept(&self, client: Option<IpAddr>) -> bool {
        let may = client.is_none_or(|client| self.in_use.limit.allows(client));
        self.refused.fetch_add(u64::from(!may), Ordering::Relaxed);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_an_address_holds_once_for_all_ports_of_a_certificate() {
        let cache = std::env::temp_dir().join(format!("beach-tls-limit-{}", std::process::id()));
        let options = acme::AcmeOptions {
            domains: vec!["localhost".to_owned()],
            directory: "https://localhost:1".to_owned(),
            contact: Vec::new(),
            cache: cache.clone(),
        };
        let source = acme::Acme::new(options).expect("a folder");
        let ports = [source.in_use(), source.in_use()].map(Handshakes::new);
        let [one, others @ ..] = [1, 2, 3].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let began = Instant::now();
        let asked = 2 * HANDSHAKES_BURST;
        let had = (0..asked).filter(|number| ports[(number % 2) as usize].may_accept(one)).count() as u64;
        let allowed = HANDSHAKES_BURST + HANDSHAKES_RATE * (began.elapsed().as_secs() + 1);
        assert!((HANDSHAKES_BURST..=allowed).contains(&had), "{had} of {asked}");
        assert_eq!(ports.iter().map(Handshakes::refused).sum::<u64>(), asked - had);
        assert!(ports[1].may_accept(None));
        // One of them may share the allowance of the first address.
        assert!(others.into_iter().any(|other| ports[0].may_accept(other)));
        let _ = std::fs::remove_dir_all(cache);
    }
}
