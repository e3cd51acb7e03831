//! The HTTP that stands before a WebSocket: the request's head, three plain answers, and the upgrade.

use std::io;
use std::time::{Duration, SystemTime};

use async_tungstenite::tungstenite::error::Error;
use async_tungstenite::tungstenite::handshake::machine::TryParse as _;
use async_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use async_tungstenite::tungstenite::http::header;
use async_tungstenite::tungstenite::http::uri::Authority;
use beach_core::id::ShortId;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// How long a client may take to send its HTTP head. A slower client only wants to hold a place.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Largest HTTP head, in bytes. A browser behind two proxies sends about 2 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The plain answers: never what the request said.
const OK: Answer = Answer { status: "200 OK", body: "ok\n" };
const SESSION: Answer = Answer {
    status: "200 OK",
    body: "This is a beach session: a terminal somebody shares with you.\n\
           \n\
           Join it from a terminal, with the whole link you were given (the part after # too):\n\
           \n\
           \x20   beach join 'LINK'\n",
};
const NOT_FOUND: Answer = Answer { status: "404 Not Found", body: "not found\n" };
const BAD_UPGRADE: Answer = Answer { status: "426 Upgrade Required", body: "this address takes WebSockets\n" };
const OTHER_ORIGIN: Answer =
    Answer { status: "403 Forbidden", body: "this address takes WebSockets from pages of its own origin only\n" };
pub(super) const HEAD_TOO_LARGE: Answer =
    Answer { status: "431 Request Header Fields Too Large", body: "request head too large\n" };

pub(super) struct Answer {
    status: &'static str,
    body: &'static str,
}
/// Reads up to and including the empty line. Returns the head's length; bytes behind the head may be in `head` too.
/// `None`: the head is longer than [`HEAD_BYTES_MAX`].
pub(super) async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<Option<usize>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut searched = 0;
    loop {
        if let Some(found) = head[searched..].windows(END.len()).position(|window| window == END) {
            return Ok(Some(searched + found + END.len()));
        }
        // Most likely TLS, spoken to the wrong port: say no now, or both sides wait out their deadlines.
        if head.first().is_some_and(|byte| !byte.is_ascii_graphic() && !byte.is_ascii_whitespace()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP"));
        }
        searched = head.len().saturating_sub(END.len() - 1);
        let room = HEAD_BYTES_MAX - head.len();
        if room == 0 {
            return Ok(None);
        }
        let mut limited = (&mut *stream).take(room as u64);
        if limited.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

pub(super) enum Route {
    Plain(Answer),
    /// The whole response that accepts the WebSocket.
    WebSocket(Vec<u8>),
}

pub(super) fn route(head: &[u8]) -> Route {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"GET"), Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Route::Plain(NOT_FOUND);
    };
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match path {
        b"/healthz" => Route::Plain(OK),
        b"/ws" => match accept(head) {
            Ok(Some(response)) => Route::WebSocket(response),
            Ok(None) => {
                tracing::debug!("a page of another origin asked for a WebSocket");
                Route::Plain(OTHER_ORIGIN)
            }
            Err(error) => {
                tracing::debug!(%error, "not a WebSocket request");
                Route::Plain(BAD_UPGRADE)
            }
        },
        path if path.len() > b"/s/".len() && path.starts_with(b"/s/") => Route::Plain(SESSION),
        [b'/', id @ ..] if str::from_utf8(id).is_ok_and(|id| id.parse::<ShortId>().is_ok()) => Route::Plain(SESSION),
        _ => Route::Plain(NOT_FOUND),
    }
}

/// The response that accepts the WebSocket; `None` if a page of another origin asks for it.
fn accept(head: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut response = Vec::new();
    if let Some((_, request)) = Request::try_parse(head)? {
        if !is_of_own_origin(&request) {
            return Ok(None);
        }
        let mut accepted = create_response(&request)?;
        // `beach doctor` shows the version, and compares the clocks.
        let date = httpdate::fmt_http_date(SystemTime::now());
        for (name, value) in [("server", concat!("beach/", env!("CARGO_PKG_VERSION"))), ("date", &date)] {
            if let Ok(value) = value.parse() {
                accepted.headers_mut().insert(name, value);
            }
        }
        write_response(&mut response, &accepted)?;
    }
    Ok(Some(response))
}

/// Whether the request names no origin, as those of native clients do, or the server's own (RFC 6455, section 10.2): a
/// browser names that of the page, which must have the host and the port of the `Host` header. The scheme may differ,
/// since a proxy may speak TLS for the server; a port that is left out is the one of the origin's scheme.
fn is_of_own_origin(request: &Request) -> bool {
    let once = |name| {
        let mut values = request.headers().get_all(name).iter();
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

impl Answer {
    pub(super) fn bytes(&self) -> Vec<u8> {
        format!(
            "HTTP/1.1 {}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Connection: close\r\n\
             \r\n\
             {}",
            self.status,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}
