//! TLS of the server's own: a certificate and its key, from files that may be replaced while the server runs.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::stream::Stream;

/// How long a client may take until TLS is up.
pub(super) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Largest file with a certificate or a key, in bytes. A chain of four is about 8 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes that TLS may hold of one connection and the system has not taken yet: one record. By default it were four, and
/// datagrams would wait there.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// The first byte of a connection that begins with TLS: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// The answer to a request without TLS.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
     content-length: 30\r\n\r\nthis address takes https only\n";

/// Why a certificate cannot be used. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A file has no item of the kind that it should have.
    #[error("{}: the file has no {lacks} in PEM", file.display())]
    Lacks {
        /// The file.
        file: PathBuf,
        /// The missing item.
        lacks: &'static str,
    },
    /// The certificate, or the key, is of no use.
    #[error("{}: {cause}", file.display())]
    Useless {
        /// The file.
        file: PathBuf,
        /// The error of the TLS library.
        cause: TlsError,
    },
    /// The key belongs to another certificate.
    #[error("{}: the key is not that of the certificate in {}", key.display(), certificate.display())]
    OtherKey {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
}

/// A certificate, with its key, as the server uses it.
pub struct Certificate {
    files: Files,
    current: watch::Sender<Arc<ServerConfig>>,
    /// The files as they were when they were read last.
    read: Stamp,
}

/// Where a certificate and its key are.
#[derive(Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The files' times and lengths, by which a change shows; `None` of a file that is not there.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

impl Certificate {
    /// Reads the certificate, and those that lead from it to an authority, and its key, from files in PEM.
    ///
    /// # Errors
    /// They cannot be read or used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let read = files.stamp();
        let (current, _) = watch::channel(files.config()?);
        Ok(Certificate { files, current, read })
    }

    /// The settings with the newest certificate, for each connection.
    pub(super) fn current(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Reads the files again for ever, when they have changed and when notified. Files that cannot be used change
    /// nothing; the log says why.
    pub async fn follow(mut self, again: &Notify) -> Infallible {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.read;
        loop {
            let is_told = tokio::select! {
                () = again.notified() => true,
                _ = looks.tick() => false,
            };
            let files = self.files.clone();
            let read = self.read;
            // Not on the thread of the sockets: a file may be far away.
            let looking = tokio::task::spawn_blocking(move || {
                let stamp = files.stamp();
                // Files that still change are being written.
                let is_new = stamp != read && stamp == seen;
                (stamp, (is_told || is_new).then(|| files.config()))
            });
            let Ok((stamp, found)) = looking.await else { continue };
            seen = stamp;
            match found {
                None => continue,
                Some(Ok(config)) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
                    self.current.send_replace(config);
                }
                Some(Err(cause)) => tracing::warn!(%cause, "the old certificate stays in use"),
            }
            self.read = stamp;
        }
    }
}

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|file| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
    }

    /// # Errors
    /// The files cannot be read or used.
    fn config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let Files { certificate, key } = self;
        let useless = |file: &Path| {
            let file = file.to_owned();
            move |cause| CertificateError::Useless { file, cause }
        };
        let secret = self.key()?;
        let certified = CertifiedKey::new(self.chain()?, any_supported_type(&secret).map_err(useless(key))?);
        match certified.keys_match() {
            Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(TlsError::InconsistentKeys(_)) => {
                return Err(CertificateError::OtherKey { key: key.clone(), certificate: certificate.clone() });
            }
            Err(cause) => return Err(useless(certificate)(cause)),
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(useless(certificate))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients that come back save work by a ticket, and the server keeps nothing for them.
        config.ticketer = Ticketer::new().map_err(useless(certificate))?;
        Ok(Arc::new(config))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let file = &self.certificate;
        let text = content(file, |_| {})?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        chain.ok_or_else(|| CertificateError::Lacks { file: file.clone(), lacks: "certificate" })
    }

    fn key(&self) -> Result<Zeroizing<PrivateKeyDer<'static>>, CertificateError> {
        let file = &self.key;
        let text = content(file, |mode| {
            if mode & 0o004 != 0 {
                tracing::warn!(file = %file.display(), "every user of this machine can read the key");
            }
        })?;
        let key = PrivateKeyDer::from_pem_slice(&text).map(Zeroizing::new);
        key.map_err(|_| CertificateError::Lacks { file: file.clone(), lacks: "private key" })
    }
}

/// A file's content; `mode` gets its permissions.
fn content(file: &Path, mode: impl FnOnce(u32)) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let reading = || {
        let opened = File::open(file)?;
        let metadata = opened.metadata()?;
        mode(metadata.mode());
        if metadata.len() > FILE_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        // With room for all: a buffer that grows would leave copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1));
        opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    reading().map_err(|cause| CertificateError::Unreadable { file: file.to_owned(), cause })
}

/// The outcome for a connection that should begin with TLS.
pub(super) enum Secured {
    Up(Stream),
    /// The client spoke HTTP, and was told to use TLS.
    Told(Stream),
}

/// Performs the handshake of TLS.
///
/// # Errors
/// The handshake failed, or took longer than [`HANDSHAKE_DEADLINE`].
pub(super) async fn secure(mut stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Secured> {
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE_RECORD] {
            stream.write_all(HTTPS_ONLY.as_bytes()).await?;
            return Ok(Secured::Told(Stream::Plain(stream)));
        }
        let accepted = TlsAcceptor::from(config)
            .accept_with(stream, |connection| connection.set_buffer_limit(Some(UNSENT_BYTES_MAX)));
        Ok(Secured::Up(Stream::Tls(Box::new(accepted.await?))))
    };
    timeout(HANDSHAKE_DEADLINE, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
