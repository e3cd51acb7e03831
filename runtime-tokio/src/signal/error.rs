//! Failures on the way to a rendezvous, as types; their text is a cause for people.

use std::io;

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError, TlsError};

use super::DIAL_DEADLINE;

/// Why there is no connection to the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The address cannot be one of a rendezvous.
    #[error("the rendezvous address is not of the form http://HOST[:PORT] or https://HOST[:PORT]")]
    BadAddress,
    /// The name lookup failed for this name.
    #[error("the name {0} cannot be resolved")]
    UnknownName(String),
    /// The name lookup found no address for this name.
    #[error("the name {0} has no address")]
    NoAddress(String),
    /// The dial took longer than [`DIAL_DEADLINE`].
    #[error("no answer within {} s", DIAL_DEADLINE.as_secs())]
    NoAnswer,
    /// Nothing listens at the address.
    #[error("connection refused: nothing listens there")]
    Refused,
    /// The network has no way to the host.
    #[error("the host is unreachable")]
    HostUnreachable,
    /// This machine has no way to the host's network.
    #[error("the network is unreachable")]
    NetworkUnreachable,
    /// TCP gave up.
    #[error("no answer")]
    TimedOut,
    /// The peer, or something in between, reset the TCP connection.
    #[error("the connection was reset")]
    Reset,
    /// The system aborted the TCP connection.
    #[error("the connection was aborted")]
    Aborted,
    /// The TCP connection ended.
    #[error("the connection was closed by the other side")]
    ClosedByPeer,
    /// Another failure, in the system's words.
    #[error("{0}")]
    System(String),
    /// This variable names a proxy that beach cannot use.
    #[error("{0} is not of the form http://HOST:PORT; NO_PROXY lists addresses without a proxy")]
    ProxyVariable(&'static str),
    /// The proxy at this place gives no connection.
    #[error("the proxy {0} {1}")]
    Proxy(String, ProxyFault),
    /// SSL_CERT_FILE or SSL_CERT_DIR is set, and no certificate was found there.
    #[error("SSL_CERT_FILE and SSL_CERT_DIR name no certificate that can be read")]
    NoAuthorities,
    /// TLS cannot ask for a certificate of the rendezvous's name.
    #[error("the rendezvous's name is not valid for TLS")]
    NameNotForTls,
    /// The server's certificate is not accepted.
    #[error("the server's certificate {0}")]
    Certificate(CertificateFlaw),
    /// Another failure of TLS, in the library's words.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The server answered the TLS handshake with something else.
    #[error("the server does not answer in TLS: it may not speak https")]
    NotTls,
    /// The connection ended before the TLS handshake did.
    #[error("the server closed the connection during the TLS handshake: it may not speak https")]
    ClosedInTls,
    /// The connection ended before the WebSocket was open.
    #[error("the server closed the connection during the handshake")]
    ClosedInHandshake,
    /// The server answered the upgrade with this status.
    #[error("the server answered with HTTP {0}: not a rendezvous, or a proxy in between")]
    Http(u16),
    /// The server's answer to the upgrade makes no sense.
    #[error("the server does not speak WebSocket: not a rendezvous")]
    NoWebSocket,
    /// The rendezvous said goodbye.
    #[error("the rendezvous closed the connection")]
    ClosedByRendezvous,
    /// The connection ended without a goodbye.
    #[error("the rendezvous dropped the connection")]
    Dropped,
    /// The WebSocket was used after its end.
    #[error("the connection is closed")]
    AlreadyClosed,
    /// The rendezvous sent more than a message may be.
    #[error("the rendezvous sent a message larger than allowed")]
    MessageTooLarge,
    /// The rendezvous sent what no WebSocket may send.
    #[error("the rendezvous broke the WebSocket protocol")]
    BrokenProtocol,
    /// A message could not leave in time.
    #[error("the rendezvous has stopped reading")]
    NotReading,
    /// More texts wait than may.
    #[error("the rendezvous takes messages too slowly")]
    TooSlow,
    /// The task of the connection panicked.
    #[error("the connection to the rendezvous failed inside this program")]
    Fault,
}

/// Why a proxy gives no connection to the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// There is no connection to the proxy itself.
    #[error("is not reached: {0}")]
    Unreachable(Box<SignalError>),
    /// The proxy answered with this status.
    #[error("refuses this connection with HTTP {0}")]
    Refused(u16),
    /// The proxy asks for a user, or refuses the one in its address.
    #[error("wants a user: http://USER:PASSWORD@HOST:PORT")]
    Password,
    /// The answer is none of an HTTP proxy.
    #[error("does not answer as an HTTP proxy")]
    NoProxy,
}

/// The fault of a certificate. The library's own text is not for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFlaw {
    /// No known authority signed it.
    #[error("is not signed by a known authority")]
    UnknownAuthority,
    /// The certificate names another host.
    #[error("is for another name")]
    OtherName,
    /// Its time is over, or this machine's clock is ahead.
    #[error("has expired")]
    Expired,
    /// Its time has not begun, or this machine's clock is behind.
    #[error("is not valid yet: is the clock right?")]
    NotYetValid,
    /// Anything else.
    #[error("is not acceptable")]
    Unacceptable,
}

impl SignalError {
    /// A failure before the WebSocket was open, with or without TLS.
    pub(super) fn of_handshake(error: Error, scheme: Scheme) -> SignalError {
        match error {
            Error::Io(error) if is_hang_up(&error) => match scheme {
                Scheme::Tls => SignalError::ClosedInTls,
                Scheme::Plain => SignalError::ClosedInHandshake,
            },
            Error::Protocol(_) | Error::HttpFormat(_) | Error::Utf8(_) | Error::Capacity(_) => SignalError::NoWebSocket,
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Http(_)
            | Error::Io(_)
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::AttackAttempt
            | Error::Url(_) => error.into(),
        }
    }
}

/// The transport below the WebSocket, by the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    Tls,
}

fn is_hang_up(error: &io::Error) -> bool {
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&error.kind())
}

impl From<Error> for SignalError {
    fn from(error: Error) -> SignalError {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => SignalError::AlreadyClosed,
            Error::Io(error) => error.into(),
            Error::Tls(TlsError::InvalidDnsName) => SignalError::NameNotForTls,
            Error::Tls(TlsError::Rustls(error)) => SignalError::of_tls(&error),
            Error::Tls(error) => SignalError::Tls(error.to_string()),
            Error::Capacity(CapacityError::MessageTooLong { .. } | CapacityError::TooManyHeaders) => {
                SignalError::MessageTooLarge
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => SignalError::Dropped,
            Error::Protocol(_) | Error::Utf8(_) | Error::HttpFormat(_) | Error::AttackAttempt => {
                SignalError::BrokenProtocol
            }
            Error::WriteBufferFull(_) => SignalError::NotReading,
            Error::Url(_) => SignalError::BadAddress,
            Error::Http(response) => SignalError::Http(response.status().as_u16()),
        }
    }
}

impl From<io::Error> for SignalError {
    /// The failures that happen have a type each; the rest has the system's words, without their number.
    fn from(error: io::Error) -> SignalError {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return SignalError::of_tls(error);
        }
        let known = [
            (io::ErrorKind::ConnectionRefused, SignalError::Refused),
            (io::ErrorKind::ConnectionReset, SignalError::Reset),
            (io::ErrorKind::ConnectionAborted, SignalError::Aborted),
            (io::ErrorKind::BrokenPipe, SignalError::ClosedByPeer),
            (io::ErrorKind::UnexpectedEof, SignalError::ClosedByPeer),
            (io::ErrorKind::TimedOut, SignalError::TimedOut),
            (io::ErrorKind::HostUnreachable, SignalError::HostUnreachable),
            (io::ErrorKind::NetworkUnreachable, SignalError::NetworkUnreachable),
        ];
        if let Some((_, known)) = known.into_iter().find(|(kind, _)| *kind == error.kind()) {
            return known;
        }
        let words = error.to_string();
        SignalError::System(match words.find(" (os error") {
            Some(end) => words[..end].to_lowercase(),
            None => words,
        })
    }
}

impl SignalError {
    fn of_tls(error: &rustls::Error) -> SignalError {
        use rustls::CertificateError as Flaw;
        if let rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) = error {
            return SignalError::NotTls;
        }
        let rustls::Error::InvalidCertificate(flaw) = error else {
            return SignalError::Tls(error.to_string());
        };
        // Not a `match` over all kinds: the library's enum may grow, and has kinds that are kept for compatibility.
        SignalError::Certificate(if matches!(flaw, Flaw::UnknownIssuer | Flaw::BadSignature) {
            CertificateFlaw::UnknownAuthority
        } else if matches!(flaw, Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) {
            CertificateFlaw::OtherName
        } else if matches!(flaw, Flaw::Expired | Flaw::ExpiredContext { .. }) {
            CertificateFlaw::Expired
        } else if matches!(flaw, Flaw::NotValidYet | Flaw::NotValidYetContext { .. }) {
            CertificateFlaw::NotYetValid
        } else {
            CertificateFlaw::Unacceptable
        })
    }
}
