//! Requests to an ACME server: one a connection, each within a time and with a bounded answer.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use super::order::AcmeError;
use crate::signal::{SignalError, secure_stream};

/// From the name's look-up to the last byte of the answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Largest answer, in bytes. A chain of certificates is about 6 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The client's name: some authorities ask for it.
const SOFTWARE: HeaderValue = HeaderValue::from_static(concat!("beach/", env!("CARGO_PKG_VERSION")));

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{0}")]
    NotReached(#[from] SignalError),
    #[error("no answer within {} s", REQUEST_WITHIN.as_secs())]
    Late,
    #[error("it does not speak HTTP")]
    NoHttp(#[from] hyper::Error),
    #[error("its answer is longer than {} KiB, or breaks off", ANSWER_BYTES_MAX / 1024)]
    NoWholeAnswer,
    #[error("its answer is HTTP {0}")]
    Status(u16),
    #[error("its answer is not the directory of an ACME server")]
    NoDirectory,
    #[error("its address is no https URL")]
    NoUrl,
}

/// A client without memory.
pub(super) struct Http;

type Answer = Result<BytesResponse, Error>;

impl HttpClient for Http {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            let answer = timeout(REQUEST_WITHIN, send(request)).await.unwrap_or(Err(HttpError::Late));
            answer.map_err(|cause| Error::Other(Box::new(cause)))
        })
    }
}

async fn send(mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, HttpError> {
    let url = request.uri().clone();
    let authority = url.authority().ok_or(HttpError::NoUrl)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| HttpError::NoUrl)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| HttpError::NoUrl)?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, SOFTWARE);
    let stream = secure_stream(&url.to_string()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body: Bytes = whole.map_err(|_| HttpError::NoWholeAnswer)?.to_bytes();
        Ok(BytesResponse { parts, body: Box::new(body) })
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection's end: the answer is there, or never comes.
        _ = connection => exchange.await,
    }
}

/// Reads a directory, and looks whether it is one.
///
/// # Errors
/// The ACME server is not reached, or is none.
pub(super) async fn directory(url: &str) -> Result<(), AcmeError> {
    let away = |cause: HttpError| AcmeError::Away(cause.to_string());
    let request = Request::builder().uri(url).body(BodyWrapper::default()).map_err(|_| away(HttpError::NoUrl))?;
    let looking = async {
        let mut answer = send(request).await?;
        let body = answer.body.into_bytes().await.map_err(|_| HttpError::NoWholeAnswer)?;
        match answer.parts.status.as_u16() {
            200 if is_directory(&body) => Ok(()),
            200 => Err(HttpError::NoDirectory),
            status => Err(HttpError::Status(status)),
        }
    };
    timeout(REQUEST_WITHIN, looking).await.unwrap_or(Err(HttpError::Late)).map_err(away)
}

fn is_directory(body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| value["newOrder"].is_string() && value["newNonce"].is_string())
}
