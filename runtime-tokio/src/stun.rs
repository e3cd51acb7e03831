//! A STUN server beside the rendezvous: tells whoever asks over UDP how they are seen.

use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;

use beach_core::gather::answer;
use tokio::net::UdpSocket;

/// Longest question. Ours have 20 bytes, and what is larger wants more than is told here.
const QUESTION_BYTES_MAX: usize = 548;

/// The socket.
pub(crate) struct Stun(Option<UdpSocket>);

impl Stun {
    /// On the UDP port of this address; if it cannot be had, there is no server.
    pub(crate) async fn bind(address: SocketAddr) -> Stun {
        let socket = UdpSocket::bind(address).await;
        Stun(socket.inspect_err(|error| tracing::warn!(%address, %error, "no STUN: the UDP port cannot be had")).ok())
    }

    /// Whether it is there.
    pub(crate) fn answers(&self) -> bool {
        self.0.is_some()
    }

    /// Answers for ever.
    pub(crate) async fn run(&self) -> Infallible {
        let Some(socket) = &self.0 else { return future::pending().await };
        let mut question = [0; QUESTION_BYTES_MAX];
        loop {
            // An error is an answer that did not get to somebody.
            let Ok((length, source)) = socket.recv_from(&mut question).await else {
                tokio::task::yield_now().await;
                continue;
            };
            // A socket for both families sees IPv4 addresses inside IPv6 ones.
            let seen = SocketAddr::new(source.ip().to_canonical(), source.port());
            if let Some(said) = answer(seen, &question[..length]) {
                let _ = socket.try_send_to(&said, source);
            }
        }
    }
}
