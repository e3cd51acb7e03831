//! Connections of the server that should begin with TLS.

use std::io;
use std::net::IpAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::Stream;
use crate::tls::{HANDSHAKE_DEADLINE, HANDSHAKE_RECORD, Handshakes, acme};

/// The answer to a request without TLS.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
     content-length: 30\r\n\r\nthis address takes https only\n";

/// The outcome for a connection that should begin with TLS.
pub(super) enum Secured {
    Up(Stream),
    /// The client was told to use TLS, or got a proof of the server's name; nothing more is said.
    Told(Stream),
}

/// Performs the handshake of TLS with a client that has this address, if it is known.
///
/// # Errors
/// The handshake failed, took longer than [`HANDSHAKE_DEADLINE`], or the address asks for too many.
pub(super) async fn secure(
    mut stream: TcpStream,
    client: Option<IpAddr>,
    handshakes: &Handshakes,
) -> io::Result<Secured> {
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE_RECORD] {
            stream.write_all(HTTPS_ONLY.as_bytes()).await?;
            return Ok(Secured::Told(Stream::Plain(stream)));
        }
        let stream = handshakes.accept(stream, client).await?;
        let is_proof = stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL);
        let stream = Stream::Tls(Box::new(stream));
        Ok(if is_proof { Secured::Told(stream) } else { Secured::Up(stream) })
    };
    timeout(HANDSHAKE_DEADLINE, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
