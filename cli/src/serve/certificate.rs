//! The certificate of `beach serve`: from files, or by ACME.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use beach_runtime_tokio::service;
use beach_runtime_tokio::tls::acme::{Acme, AcmeError, AcmeOptions, Tried};
use beach_runtime_tokio::tls::{Certificate, InUse};
use tokio::sync::Notify;

use crate::args::{AcmeArgs, ServeArgs};
use crate::output;

/// Where a certificate comes from.
pub(super) enum Source {
    Files(Certificate),
    Authority(Acme, Vec<String>),
}

/// The certificate, if serve speaks TLS.
///
/// # Errors
/// The exit code; the reason was printed.
pub(super) fn source(args: &ServeArgs) -> Result<Option<Source>, u8> {
    if let Some((certificate, key)) = args.tls_cert.as_deref().zip(args.tls_key.as_deref()) {
        let read = Certificate::read(certificate, key).map(Source::Files).map(Some);
        return read.map_err(|cause| {
            output::usage("cannot use the certificate", &cause.to_string(), "check --tls-cert and --tls-key")
        });
    }
    if args.acme.acme_domain.is_empty() {
        return Ok(None);
    }
    let cannot = |cause: &str| output::usage("cannot keep a certificate", cause, "choose another --acme-cache");
    let options = options(&args.acme).map_err(cannot)?;
    let acme = Acme::new(options).map_err(|cause| cannot(&cause.to_string()))?;
    Ok(Some(Source::Authority(acme, args.acme.acme_domain.clone())))
}

/// The options for certificates by ACME, from the flags.
///
/// # Errors
/// Why there is no folder for the certificate, in words.
pub(super) fn options(args: &AcmeArgs) -> Result<AcmeOptions, &'static str> {
    let cache = args.acme_cache.clone().or_else(default_cache).ok_or("there is no home directory")?;
    let (domains, directory) = (args.acme_domain.clone(), args.acme_directory.clone());
    Ok(AcmeOptions { domains, directory, contact: args.acme_contact.clone(), cache })
}

/// The folder for state that the service manager made, or else that of the user.
fn default_cache() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let of_service = std::env::var_os("STATE_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let own = || Some(etcetera::choose_base_strategy().ok()?.state_dir()?.join("beach"));
    Some(of_service.or_else(own)?.join("acme"))
}

impl Source {
    /// The certificate, for a server.
    pub(super) fn in_use(&self) -> InUse {
        match self {
            Source::Files(certificate) => certificate.in_use(),
            Source::Authority(acme, _) => acme.in_use(),
        }
    }

    /// The name by which browsers can check the certificate.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Source::Files(certificate) => certificate.in_use().name(),
            Source::Authority(_, domains) => domains.first().cloned(),
        }
    }

    /// Keeps the certificate new, for ever. Notified, it looks at once, and tells the service manager when that is
    /// done.
    pub(super) async fn follow(self, again: &Notify) -> Infallible {
        match self {
            Source::Files(certificate) => certificate.follow(again, service::ready).await,
            Source::Authority(acme, domains) => {
                let waits = AtomicBool::new(!acme.has_certificate());
                let warned = AtomicBool::new(false);
                let told = |tried: Tried<'_>, has_one| tell(tried, has_one, &domains, &waits, &warned);
                acme.follow(again, told, service::ready).await
            }
        }
    }
}

/// Tells the person who starts serve whether there is a certificate. Later tries are for the log.
fn tell(tried: Tried<'_>, has_one: bool, domains: &[String], waits: &AtomicBool, warned: &AtomicBool) {
    match tried {
        Ok(()) => {
            warned.store(false, Ordering::Relaxed);
            if waits.swap(false, Ordering::Relaxed) {
                output::certified(domains);
            }
        }
        Err(cause) if !has_one && !warned.swap(true, Ordering::Relaxed) => {
            waits.store(true, Ordering::Relaxed);
            output::warn("serve has no certificate, and tries again", &cause.to_string(), advice(cause));
        }
        Err(_) => {}
    }
}

/// The advice to a person about a failure.
pub(super) fn advice(cause: &AcmeError) -> &'static str {
    match cause {
        AcmeError::Away(_) | AcmeError::Late | AcmeError::Nonsense(_) => "check --acme-directory and the way there",
        AcmeError::Unchecked { .. } => "let port 443 of each name lead to serve, without a proxy that speaks TLS",
        AcmeError::OtherWays(_) => "choose another --acme-directory, or --tls-cert with another ACME client",
        AcmeError::Refused(_) | AcmeError::Request(_) => "check --acme-domain and --acme-contact",
        AcmeError::Cache(_) => "choose another --acme-cache",
    }
}
