//! The account and the certificate on disk, in files that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustls::Error as TlsError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::AcmeOptions;
use crate::tls::certified;
use crate::tls::parsed::Parsed;

/// Largest file, in bytes. A key and a chain of four certificates are about 8 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the account or the certificate cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refuses.
    #[error("{}: {cause}", path.display())]
    System {
        /// The file or the folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The authority's certificate is of no use.
    #[error("the certificate of the ACME server is of no use: {0}")]
    Certificate(&'static str),
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(TlsError),
}

/// A certificate that was on disk, or is now.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) certified: CertifiedKey,
    pub(super) parsed: Parsed,
}

/// The files of one ACME server and these names. Another server, such as the authority's one for tries, or other names
/// have other files.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

impl Cache {
    /// The folder is made if there is none.
    ///
    /// # Errors
    /// The folder cannot be made, or written.
    pub(super) fn open(options: &AcmeOptions) -> Result<Cache, CacheError> {
        let folder = options.cache.clone();
        let refused = |cause| CacheError::System { path: folder.clone(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(refused)?;
        let mut domains = options.domains.clone();
        domains.sort();
        let first = domains.first().map_or("", String::as_str);
        let all = short_hash(&format!("{}\n{}", options.directory, domains.join("\n")));
        let certificate = format!("{first}-{all}.pem");
        let account = format!("account-{}.json", short_hash(&options.directory));
        let cache = Cache { account: folder.join(account), certificate: folder.join(certificate), folder };
        // Before the first order: an authority counts its certificates.
        let probe = cache.folder.join(".writable");
        cache.write(&probe, &[0; 4096])?;
        let _ = fs::remove_file(probe);
        Ok(cache)
    }

    /// The account's credentials, if there are any.
    pub(super) fn account(&self) -> Option<Zeroizing<Vec<u8>>> {
        read(&self.account)
    }

    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep_account(&self, credentials: &[u8]) -> Result<(), CacheError> {
        self.write(&self.account, credentials)
    }

    /// The certificate, if there is one that can be used.
    pub(super) fn certificate(&self) -> Option<Kept> {
        let pem = read(&self.certificate)?;
        let kept = kept(&pem);
        kept.inspect_err(|cause| tracing::warn!(file = %self.certificate.display(), %cause, "not used")).ok()
    }

    /// Keeps a chain of certificates with its key, in PEM.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep(&self, pem: &str) -> Result<(), CacheError> {
        self.write(&self.certificate, pem.as_bytes())
    }

    /// Writes a file whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
        // Another process may write the same file.
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            // Without what a process of the same number may have left there.
            let _ = fs::remove_file(&new);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|cause| CacheError::System { path: path.to_owned(), cause })
    }
}

fn read(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let file = File::open(path).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len().min(FILE_BYTES_MAX)).unwrap_or_default();
    // With room for all: a buffer that grows would leave copies.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A chain of certificates with the key of the first one.
///
/// # Errors
/// A certificate or its key is missing or cannot be read, or the two do not match.
pub(super) fn kept(pem: &[u8]) -> Result<Kept, CacheError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CacheError::Certificate("there is none"))?;
    let parsed = Parsed::of(&chain[0]).ok_or(CacheError::Certificate("it cannot be read"))?;
    let key = PrivateKeyDer::from_pem_slice(pem).map(Zeroizing::new);
    let key = key.map_err(|_| CacheError::Certificate("there is no key"))?;
    let certified = certified(chain, &key).map_err(CacheError::Tls)?;
    certified.keys_match().map_err(CacheError::Tls)?;
    Ok(Kept { certified, parsed })
}

/// 16 hex digits.
fn short_hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)[..8])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn options(folder: &Path, domains: &[&str]) -> AcmeOptions {
        AcmeOptions {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            directory: "https://acme.example.org/directory".to_owned(),
            contact: Vec::new(),
            cache: folder.join("deep/cache"),
        }
    }

    #[test]
    fn a_certificate_and_an_account_are_kept_for_their_owner_alone_and_for_the_same_names() {
        let folder = std::env::temp_dir().join(format!("beach-acme-cache-{}", std::process::id()));
        let cache = Cache::open(&options(&folder, &["a.example.org", "b.example.org"])).expect("a folder");
        assert!(cache.certificate().is_none() && cache.account().is_none());
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["a.example.org".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let pem = super::super::order::pem(&key, &[certificate.der().clone()]);
        cache.keep(&pem).expect("it is kept");
        cache.keep_account(b"{}").expect("it is kept");
        let again = Cache::open(&options(&folder, &["b.example.org", "a.example.org"])).expect("a folder");
        let kept = again.certificate().expect("it is there");
        assert_eq!(kept.parsed.names, ["a.example.org"]);
        assert_eq!(again.account().as_deref().map(Vec::as_slice), Some(&b"{}"[..]));
        let files: Vec<_> = fs::read_dir(&cache.folder).expect("a folder").flatten().collect();
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        assert_eq!(fs::metadata(&cache.folder).expect("a folder").permissions().mode() & 0o777, 0o700);
        let other = Cache::open(&options(&folder, &["a.example.org"])).expect("a folder");
        assert!(other.certificate().is_none(), "other names have another file");
        fs::write(&cache.certificate, &pem[..pem.len() / 2]).expect("writes");
        assert!(cache.certificate().is_none(), "half a file is none");
        assert!(super::kept(b"nonsense").is_err() && Cache::open(&options(Path::new("/proc"), &["a"])).is_err());
        fs::remove_dir_all(folder).expect("removes");
    }
}
