//! One order: account, names, proofs, certificate.

use std::time::Duration;

use data_encoding::BASE64;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::AcmeOptions;
use super::answers::Answers;
use super::cache::{Cache, CacheError};
use super::http::{Http, HttpError};
use crate::tls::certified;

/// How long the authority may take to check the names, and then to sign.
const CHECKED_WITHIN: Duration = Duration::from_secs(90);
const SIGNED_WITHIN: Duration = Duration::from_secs(60);

/// The problem of an account that the ACME server has forgotten.
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The ACME server is not reached, or speaks no HTTP.
    #[error("the ACME server is not reached: {0}")]
    Away(String),
    /// The ACME server says no, in its own words.
    #[error("the ACME server refuses: {0}")]
    Refused(String),
    /// The authority's connections to the name did not find this server.
    #[error("the ACME server could not check {name}: {why}")]
    Unchecked {
        /// The name.
        name: String,
        /// The authority's words.
        why: String,
    },
    /// The authority checks this name in other ways only.
    #[error("the ACME server does not check {0} by TLS-ALPN-01")]
    OtherWays(String),
    /// An answer of the ACME server is none of the protocol.
    #[error("the ACME server's answer makes no sense: {0}")]
    Nonsense(String),
    /// A key or a request cannot be made.
    #[error("no request for a certificate can be made: {0}")]
    Request(String),
    /// The order took too long.
    #[error("the ACME server took too long")]
    Late,
    /// The certificate, or the account, cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> AcmeError {
        match error {
            Error::Api(problem) => AcmeError::Refused(words(&problem)),
            Error::Timeout(_) => AcmeError::Late,
            Error::Other(cause) => match cause.downcast::<HttpError>() {
                Ok(cause) => AcmeError::Away(cause.to_string()),
                Err(cause) => AcmeError::Nonsense(cause.to_string()),
            },
            error @ (Error::Crypto
            | Error::KeyRejected
            | Error::Http(_)
            | Error::InvalidUri(_)
            | Error::Json(_)
            | Error::Unsupported(_)
            | Error::Str(_)
            | _) => AcmeError::Nonsense(error.to_string()),
        }
    }
}

impl From<rcgen::Error> for AcmeError {
    fn from(error: rcgen::Error) -> AcmeError {
        AcmeError::Request(error.to_string())
    }
}

/// The words of a problem, without what only programs need.
fn words(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next());
    let all = problem.detail.as_deref().or(kind).unwrap_or("it does not say why");
    // Somebody else's words: no line of theirs, and not more than one of ours.
    all.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// Gets a certificate: the key and the chain, in PEM.
///
/// # Errors
/// The reason why there is no certificate.
pub(super) async fn certificate(
    options: &AcmeOptions,
    cache: &Cache,
    answers: &Answers,
) -> Result<Zeroizing<String>, AcmeError> {
    let mut order = new_order(options, cache).await?;
    prove(&mut order, answers).await?;
    let checked = order.poll_ready(&RetryPolicy::new().timeout(CHECKED_WITHIN)).await;
    if !matches!(checked, Ok(OrderStatus::Ready)) {
        return Err(match unchecked(&mut order).await {
            Some(unchecked) => unchecked,
            None => checked.err().map_or(AcmeError::Late, AcmeError::from),
        });
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(options.domains.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::new().timeout(SIGNED_WITHIN)).await?;
    Ok(Zeroizing::new(pem(&key, &[]) + &chain))
}

/// An order by the account on disk, or by a new one if there is none, or if the ACME server has forgotten it.
async fn new_order(options: &AcmeOptions, cache: &Cache) -> Result<Order, AcmeError> {
    let names: Vec<Identifier> = options.domains.iter().cloned().map(Identifier::Dns).collect();
    let wanted = NewOrder::new(&names);
    let kept = cache.account().and_then(|kept| serde_json::from_slice::<AccountCredentials>(&kept).ok());
    if let Some(credentials) = kept {
        let account = Account::builder_with_http(Box::new(Http)).from_credentials(credentials).await?;
        match account.new_order(&wanted).await {
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
                tracing::warn!("the ACME server has no such account; there will be another one");
            }
            order => return Ok(order?),
        }
    }
    let contact: Vec<String> = options.contact.iter().map(|mail| format!("mailto:{mail}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let creating = Account::builder_with_http(Box::new(Http)).create(&new, options.directory.clone(), None);
    let (account, credentials) = creating.await?;
    let text = serde_json::to_vec(&credentials).map(Zeroizing::new);
    cache.keep_account(&text.map_err(|error| AcmeError::Nonsense(error.to_string()))?)?;
    Ok(account.new_order(&wanted).await?)
}

/// Lets the authority check each name that it has not checked lately.
async fn prove(order: &mut Order, answers: &Answers) -> Result<(), AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError::OtherWays(name));
        };
        answers.prove(&name, proof(&name, challenge.key_authorization().digest().as_ref())?);
        challenge.set_ready().await?;
    }
    Ok(())
}

/// A certificate that proves that this server has a name: a hash in an extension that clients must know (RFC 8737,
/// section 3).
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    certified(vec![certificate.der().clone()], &secret).map_err(|error| AcmeError::Request(error.to_string()))
}

/// The name that could not be checked, if the authority names one.
async fn unchecked(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(AcmeError::Unchecked { name, why: words(problem) });
        }
    }
    None
}

/// A key and certificates in PEM.
pub(super) fn pem(key: &KeyPair, chain: &[CertificateDer<'_>]) -> String {
    let block = |label: &str, der: &[u8]| {
        let text = BASE64.encode(der);
        let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let certificates: String = chain.iter().map(|certificate| block("CERTIFICATE", certificate)).collect();
    block("PRIVATE KEY", &Zeroizing::new(key.serialize_der())) + &certificates
}
