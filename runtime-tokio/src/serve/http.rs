//! The HTTP that stands before a WebSocket: its limits, its routes, plain answers, and who may open a WebSocket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use async_tungstenite::tungstenite::handshake::server::create_response_with_body;
use async_tungstenite::tungstenite::http::uri::Authority;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use beach_core::id::ShortId;
use beach_core::rendezvous::ConnectionId;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;

use super::client_address::Origin;
use super::connection::Front;
use super::places::NoPlace;
use super::stream::Stream;
use super::{Caller, Queues, page};
use crate::websocket::HOPS;

/// How long a client may take to send the head of a request, and a connection may rest before the next one. A slower
/// client only wants to hold a place.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// How long a connection may carry requests and answers before it is a WebSocket. Bounds a client that reads slowly.
pub(super) const REQUESTS_DEADLINE: Duration = Duration::from_secs(60);

/// Largest HTTP head, in bytes. A browser behind two proxies sends about 2 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The plain answers: never what the request said.
const OK: Answer = Answer { status: StatusCode::OK, body: "ok\n" };
pub(super) const SESSION: Answer = Answer {
    status: StatusCode::OK,
    body: "This is a beach session: a terminal somebody shares with you.\n\
           \n\
           Join it from a terminal, with the whole link you were given (the part after # too):\n\
           \n\
           \x20   beach join 'LINK'\n\
           \n\
           Or open the link in a browser with JavaScript. beach shares a terminal directly between two machines, encrypted\n\
           from end to end; whoever sent you the link has beach, and can tell where to get it.\n",
};
pub(super) const NOT_FOUND: Answer = Answer { status: StatusCode::NOT_FOUND, body: "not found\n" };
const BAD_METHOD: Answer = Answer { status: StatusCode::METHOD_NOT_ALLOWED, body: "this address takes GET only\n" };
const BAD_UPGRADE: Answer = Answer { status: StatusCode::UPGRADE_REQUIRED, body: "this address takes WebSockets\n" };
const OTHER_ORIGIN: Answer =
    Answer { status: StatusCode::FORBIDDEN, body: "this address takes WebSockets from pages of its own origin only\n" };

const FULL: Answer =
    Answer { status: StatusCode::SERVICE_UNAVAILABLE, body: "too many connections; try again in a minute\n" };

/// A plain answer, after which the connection is closed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: &'static str,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONNECTION, "close"),
        ];
        (self.status, headers, self.body).into_response()
    }
}

/// The answers of a server.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/healthz", get(async || OK))
        .route("/ws", get(web_socket))
        .route("/s/{*id}", get(page::session))
        .route("/web/{page}/{file}", get(page::file))
        .route("/{id}", get(short_link))
        .fallback(async || NOT_FOUND)
        .method_not_allowed_fallback(async || BAD_METHOD)
}

/// The answers of a server without room for this connection. A monitor still sees a healthy server.
pub(super) fn routes_when_full() -> Router {
    Router::new().route("/healthz", get(async || OK)).fallback(async || FULL)
}

/// How the requests of a connection ended.
pub(super) enum Ended {
    /// The connection is a WebSocket now, of this caller, who sent these bytes already.
    WebSocket(Stream, Vec<u8>, Caller),
    /// Nothing more is said, and the answer to the last request is sent.
    Answered(Stream),
    /// A deadline passed.
    Late,
}

/// The other side of a connection, and the server.
pub(super) struct Visitor<'a> {
    pub(super) connection: ConnectionId,
    /// The last known address on the client's side, and whose it is.
    pub(super) hop: IpAddr,
    pub(super) origin: Origin,
    pub(super) has_place: bool,
    pub(super) front: &'a Front,
    pub(super) queues: &'a Queues,
}

impl Visitor<'_> {
    fn routes(&self) -> Router {
        if self.has_place { self.front.routes.clone() } else { self.front.routes_when_full.clone() }
    }

    /// The client's address by the headers of its request for a WebSocket, if anything tells the address. A proxy sends
    /// requests of several clients over one connection, so other requests say nothing of this one's client.
    ///
    /// # Errors
    /// The server has no place for this client.
    async fn client(&self, headers: &HeaderMap) -> Result<Option<IpAddr>, NoPlace> {
        let told = match self.origin {
            Origin::Proxy => self.front.proxies.forwarded(headers),
            Origin::Client(_) | Origin::Unknown => {
                self.front.warn_of_ignored(self.hop, headers);
                return Ok(self.origin.client());
            }
        };
        match told {
            Some(client) if !self.queues.place_at(self.connection, client).await => Err(NoPlace::Address),
            told => Ok(told),
        }
    }
}

/// Answers the requests of a connection.
pub(super) async fn converse(stream: Stream, visitor: &Visitor<'_>) -> Ended {
    let accepted = OnceLock::new();
    let routes = TowerToHyperService::new(visitor.routes());
    let is_encrypted = stream.is_encrypted();
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        if is_encrypted {
            // As a proxy says it that speaks TLS for the server.
            request.headers_mut().insert(page::FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        let headers = request.headers().contains_key(header::UPGRADE).then(|| request.headers().clone());
        let answer = routes.call(request);
        let accepted = &accepted;
        Box::pin(async move {
            let response = answer.await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(response);
            }
            let headers = headers.unwrap_or_default();
            Ok::<Response, Infallible>(match visitor.client(&headers).await {
                Ok(client) => {
                    accepted.get_or_init(|| Caller { client, hops: hops(&headers) });
                    response
                }
                Err(_) => FULL.into_response(),
            })
        })
    });
    let mut requests = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // Not `shutdown`: the socket lives on as a WebSocket, or has to be closed politely.
    let end = timeout(REQUESTS_DEADLINE, poll_fn(|context| requests.poll_without_shutdown(context))).await;
    let parts = requests.into_parts();
    let stream = parts.io.into_inner();
    match end {
        Ok(Err(error)) if error.is_timeout() => Ended::Late,
        Ok(Ok(())) => match accepted.get() {
            Some(caller) => Ended::WebSocket(stream, parts.read_buf.to_vec(), *caller),
            None => Ended::Answered(stream),
        },
        Ok(Err(error)) => {
            tracing::debug!(%error, "no request");
            Ended::Answered(stream)
        }
        Err(_) => Ended::Late,
    }
}

/// How many rendezvous carry the connection, as the header says. A client that claims some is only carried less far.
fn hops(headers: &HeaderMap) -> u8 {
    let hops = headers.get(HOPS).and_then(|value| value.to_str().ok());
    hops.and_then(|hops| hops.parse().ok()).unwrap_or(0)
}

async fn short_link(Path(id): Path<String>, request: HeaderMap) -> Response {
    if id.parse::<ShortId>().is_ok() { page::session(request).await } else { NOT_FOUND.into_response() }
}

/// Accepts a WebSocket; [`converse`] hands the connection over.
async fn web_socket(request: Request) -> Response {
    if !is_of_own_origin(request.headers()) {
        tracing::debug!("a page of another origin asked for a WebSocket");
        return OTHER_ORIGIN.into_response();
    }
    match create_response_with_body(&request, Body::empty) {
        Ok(mut accepted) => {
            // `beach doctor` shows the version, and compares the clocks: hyper adds the date.
            let software = HeaderValue::from_static(concat!("beach/", env!("CARGO_PKG_VERSION")));
            accepted.headers_mut().insert(header::SERVER, software);
            accepted
        }
        Err(error) => {
            tracing::debug!(%error, "not a WebSocket request");
            BAD_UPGRADE.into_response()
        }
    }
}

/// Whether the request names no origin, as those of native clients do, or the server's own (RFC 6455, section 10.2): a
/// browser names that of the page, which must have the host and the port of the `Host` header. The scheme may differ,
/// since a proxy may speak TLS for the server; a port that is left out is the one of the origin's scheme.
fn is_of_own_origin(headers: &HeaderMap) -> bool {
    let once = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().ok());
        if values.next().is_some() { Some(None) } else { value }
    };
    let (origin, host) = match (once(header::ORIGIN), once(header::HOST)) {
        (None, _) => return true,
        (Some(Some(origin)), Some(Some(host))) => (origin, host),
        (Some(_), _) => return false,
    };
    let (authority, port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, 80),
        Some(("https", authority)) => (authority, 443),
        Some(_) | None => return false,
    };
    let place = |authority: &str| {
        let authority: Authority = authority.parse().ok()?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
    };
    place(authority).is_some_and(|origin| place(host) == Some(origin))
}
