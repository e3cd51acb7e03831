//! A certificate and its key in files that may be replaced while the server runs.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SingleCertAndKey;
use rustls::{Error as TlsError, InconsistentKeys};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::parsed::Parsed;
use super::{HTTP, InUse, Limit, Settings, certified, server_config};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Largest file with a certificate or a key, in bytes. A chain of four is about 8 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

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
    current: watch::Sender<Settings>,
    limit: Arc<Limit>,
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
    /// The files cannot be read or used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let read = files.stamp();
        let (current, _) = watch::channel(files.settings()?);
        Ok(Certificate { files, current, limit: Arc::default(), read })
    }

    /// The certificate, for a server.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        InUse { settings: self.current.subscribe(), limit: self.limit.clone() }
    }

    /// Whether the certificate is of no use any more.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        self.current.borrow().expires.is_some_and(|expires| expires <= now)
    }

    /// Reads the files again for ever, when they have changed and when notified; then calls `done`. Files that cannot
    /// be used change nothing; the log says why.
    pub async fn follow(mut self, again: &Notify, done: impl Fn()) -> Infallible {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut warned) = (self.read, None);
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
                (stamp, (is_told || is_new).then(|| files.settings()))
            });
            let Ok((stamp, found)) = looking.await else { continue };
            seen = stamp;
            match found {
                None => {}
                Some(Ok(settings)) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
                    warned = None;
                    self.current.send_replace(settings);
                    self.read = stamp;
                }
                Some(Err(cause)) => {
                    if is_told || warned != Some(stamp) {
                        tracing::warn!(%cause, "the old certificate stays in use");
                    }
                    warned = Some(stamp);
                    // A file that could not be read may be readable a moment later, without a new stamp.
                    if !matches!(cause, CertificateError::Unreadable { .. }) {
                        self.read = stamp;
                    }
                }
            }
            if is_told {
                done();
            }
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
    fn settings(&self) -> Result<Settings, CertificateError> {
        let Files { certificate, key } = self;
        let useless = |file: &Path| {
            let file = file.to_owned();
            move |cause| CertificateError::Useless { file, cause }
        };
        let secret = self.key()?;
        let certified = certified(self.chain()?, &secret).map_err(useless(key))?;
        match certified.keys_match() {
            Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(TlsError::InconsistentKeys(_)) => {
                return Err(CertificateError::OtherKey { key: key.clone(), certificate: certificate.clone() });
            }
            Err(cause) => return Err(useless(certificate)(cause)),
        }
        let parsed = certified.end_entity_cert().ok().and_then(Parsed::of);
        let single = Arc::new(SingleCertAndKey::from(certified));
        let config = Arc::new(server_config(single, &[HTTP]).map_err(useless(certificate))?);
        let (expires, name) = (parsed.as_ref().map(|parsed| parsed.expires), parsed.as_ref().and_then(Parsed::name));
        Ok(Settings { config, expires, name })
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
