//! Words for what goes wrong on the way to a rendezvous.

use std::io;

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError, TlsError};

pub(super) fn handshake_cause(error: &Error, tls: bool) -> String {
    match error {
        Error::Http(response) => format!(
            "the server answered with HTTP {}: not a rendezvous, or a proxy in between",
            response.status().as_u16()
        ),
        Error::Io(error) if is_hang_up(error) && tls => {
            "the server closed the connection during the TLS handshake: it may not speak https".to_owned()
        }
        Error::Io(error) if is_hang_up(error) => "the server closed the connection during the handshake".to_owned(),
        Error::Protocol(_) | Error::HttpFormat(_) | Error::Utf8(_) | Error::Capacity(_) => {
            "the server does not speak WebSocket: not a rendezvous".to_owned()
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_) => socket_cause(error),
    }
}

pub(super) fn socket_cause(error: &Error) -> String {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection is closed".to_owned(),
        Error::Io(error) => io_cause(error),
        Error::Tls(TlsError::InvalidDnsName) => "the rendezvous's name is not valid for TLS".to_owned(),
        Error::Tls(TlsError::Rustls(error)) => tls_cause(error),
        Error::Tls(error) => format!("TLS failed: {error}"),
        Error::Capacity(CapacityError::MessageTooLong { .. } | CapacityError::TooManyHeaders) => {
            "the rendezvous sent a message larger than allowed".to_owned()
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the rendezvous dropped the connection".to_owned()
        }
        Error::Protocol(_) | Error::Utf8(_) | Error::HttpFormat(_) | Error::AttackAttempt => {
            "the rendezvous broke the WebSocket protocol".to_owned()
        }
        Error::WriteBufferFull(_) => "the rendezvous has stopped reading".to_owned(),
        Error::Url(_) => "the rendezvous address is not valid".to_owned(),
        Error::Http(response) => format!("the server answered with HTTP {}", response.status().as_u16()),
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&error.kind())
}

/// Words for what TLS objects to. Its own text for certificates is not made for people.
fn tls_cause(error: &rustls::Error) -> String {
    use rustls::CertificateError as Flaw;
    let rustls::Error::InvalidCertificate(flaw) = error else {
        return format!("TLS failed: {error}");
    };
    let words = if matches!(flaw, Flaw::UnknownIssuer | Flaw::BadSignature) {
        "is not signed by a known authority"
    } else if matches!(flaw, Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) {
        "is for another name"
    } else if matches!(flaw, Flaw::Expired | Flaw::ExpiredContext { .. }) {
        "has expired"
    } else if matches!(flaw, Flaw::NotValidYet | Flaw::NotValidYetContext { .. }) {
        "is not valid yet: is the clock right?"
    } else {
        "is not acceptable"
    };
    format!("the server's certificate {words}")
}

/// Words for the failures that happen; the system's own, without their number, for the rest.
pub(super) fn io_cause(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(error) = inner {
        return tls_cause(error);
    }
    let known = [
        (io::ErrorKind::ConnectionRefused, "connection refused: nothing listens there"),
        (io::ErrorKind::ConnectionReset, "the connection was reset"),
        (io::ErrorKind::ConnectionAborted, "the connection was aborted"),
        (io::ErrorKind::BrokenPipe, "the connection was closed by the other side"),
        (io::ErrorKind::UnexpectedEof, "the connection was closed by the other side"),
        (io::ErrorKind::TimedOut, "no answer"),
        (io::ErrorKind::HostUnreachable, "the host is unreachable"),
        (io::ErrorKind::NetworkUnreachable, "the network is unreachable"),
    ];
    if let Some((_, words)) = known.iter().find(|(kind, _)| *kind == error.kind()) {
        return (*words).to_owned();
    }
    let words = error.to_string();
    match words.find(" (os error") {
        Some(end) => words[..end].to_lowercase(),
        None => words,
    }
}
