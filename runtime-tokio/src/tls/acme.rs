//! Certificates from an authority by ACME (RFC 8555): asked for, kept on disk, and renewed while the server runs.
//!
//! The authority checks that this server has its names by connections to port 443 of each name, with a protocol of
//! their own (TLS-ALPN-01, RFC 8737); the server answers them beside its clients. A renewal that fails changes nothing:
//! the old certificate stays in use, and the pauses between tries grow.

mod answers;
mod cache;
mod http;
mod order;
mod plan;

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use self::answers::Answers;
pub use self::cache::CacheError;
use self::cache::{Cache, Kept};
pub use self::order::AcmeError;
use self::plan::{longest_sleep, pauses, renewal_at};
use super::{HTTP, InUse, Limit, Settings, server_config};

/// The protocol of the authority's connections that check a name (RFC 8737, section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// How long an order may take, from the first request to the certificate.
const ORDER_WITHIN: Duration = Duration::from_secs(180);

/// The operator's options for certificates by ACME.
#[derive(Clone, Debug)]
pub struct AcmeOptions {
    /// The names of the server.
    pub domains: Vec<String>,
    /// The URL of the ACME server's directory.
    pub directory: String,
    /// Mail addresses at which the authority may tell of problems.
    pub contact: Vec<String>,
    /// The folder for the account and the certificate.
    pub cache: PathBuf,
}

/// A certificate from an authority.
pub struct Acme {
    options: AcmeOptions,
    cache: Cache,
    answers: Arc<Answers>,
    current: watch::Sender<Settings>,
    limit: Arc<Limit>,
    /// The time of the certificate in use: begin and end, in seconds since 1970.
    valid: Option<(u64, u64)>,
}

/// The outcome of a try to get a certificate.
pub type Tried<'a> = Result<(), &'a AcmeError>;

impl Acme {
    /// Uses the certificate on disk, if there is one for these names.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn new(options: AcmeOptions) -> Result<Acme, CacheError> {
        let cache = Cache::open(&options)?;
        let answers = Arc::new(Answers::default());
        let config = server_config(answers.clone(), &[HTTP, PROTOCOL]).map_err(CacheError::Tls)?;
        let settings = Settings { config: Arc::new(config), expires: None, name: None };
        let (current, _) = watch::channel(settings);
        let mut acme = Acme { options, cache, answers, current, limit: Arc::default(), valid: None };
        if let Some(kept) = acme.cache.certificate() {
            acme.take(kept);
        }
        Ok(acme)
    }

    /// The certificate, for a server.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        InUse { settings: self.current.subscribe(), limit: self.limit.clone() }
    }

    /// Whether there is a certificate that has not expired.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.valid.is_some_and(|(_, end)| now() < end)
    }

    /// Gets a certificate and renews it, for ever. `told` hears of each try, and whether there is a certificate to use
    /// afterwards. Notified, it calls `done`, and tries at once if the last try failed.
    pub async fn follow(mut self, again: &Notify, told: impl Fn(Tried<'_>, bool), done: impl Fn()) -> Infallible {
        let (mut pauses, mut has_failed) = (pauses(), false);
        loop {
            if !has_failed {
                loop {
                    tokio::select! {
                        () = self.wait_for_renewal() => break,
                        () = again.notified() => done(),
                    }
                }
            }
            has_failed = match self.order(again, &done).await {
                Ok(()) => {
                    tracing::info!(domains = self.options.domains.join(","), "a new certificate is in use");
                    told(Ok(()), true);
                    false
                }
                Err(cause) => {
                    told(Err(&cause), self.has_certificate());
                    tracing::warn!(%cause, has_one = self.has_certificate(), "no certificate by ACME");
                    true
                }
            };
            if !has_failed && self.is_due() {
                tracing::warn!("the new certificate is old already: is the clock of this machine right?");
                has_failed = true;
                pauses.reset();
            }
            if !has_failed {
                pauses.reset();
            } else {
                let pause = pauses.jittered(&mut crate::entropy());
                tracing::info!(again_after = ?pause, "the authority is asked again");
                tokio::select! {
                    () = sleep(pause) => {}
                    () = again.notified() => done(),
                }
            }
        }
    }

    /// Orders a certificate, and uses it. Notified meanwhile, it calls `done`: an order is under way.
    async fn order(&mut self, again: &Notify, done: &impl Fn()) -> Result<(), AcmeError> {
        let ordered = {
            let order = timeout(ORDER_WITHIN, order::certificate(&self.options, &self.cache, &self.answers));
            let mut order = pin!(order);
            loop {
                tokio::select! {
                    ordered = &mut order => break ordered,
                    () = again.notified() => done(),
                }
            }
        };
        self.answers.forget_proofs();
        let pem = ordered.unwrap_or(Err(AcmeError::Late))?;
        self.take(cache::kept(pem.as_bytes())?);
        // The certificate is there, and the authority counts how many it gives.
        if let Err(cause) = self.cache.keep(&pem) {
            tracing::warn!(%cause, "the new certificate is in use, and not on disk: after a restart another one is needed");
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.valid.is_some_and(|(begin, end)| renewal_at(begin, end) <= now())
    }

    async fn wait_for_renewal(&self) {
        let Some((begin, end)) = self.valid else { return };
        let at = renewal_at(begin, end);
        // In parts: a timer stands still while the machine sleeps, and a system's clock may be set.
        while let Some(rest) = at.checked_sub(now()).filter(|rest| *rest > 0) {
            sleep(longest_sleep(rest)).await;
        }
    }

    fn take(&mut self, kept: Kept) {
        let Kept { certified, parsed } = kept;
        self.valid = Some((parsed.begins, parsed.expires));
        self.answers.use_certificate(certified);
        self.current.send_modify(|settings| {
            settings.expires = Some(parsed.expires);
            settings.name = self.options.domains.first().cloned();
        });
    }
}

/// Whether the ACME server's directory can be read, for a check of the configuration.
///
/// # Errors
/// The directory cannot be read.
pub async fn look_at(directory: &str) -> Result<(), AcmeError> {
    http::directory(directory).await
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}
