//! STUN: a server beside the rendezvous, which tells whoever asks over UDP how they are seen; and the question, asked once.

use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::gather::{answer, question_of, told, transaction};
use tokio::net::UdpSocket;
use tokio::time::timeout;

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

/// Times that a server is asked, and how long each answer is waited for.
const TRIES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_millis(750), Duration::from_secs(1)];

/// How `server` sees `socket`; `None` if it does not say within two and a half seconds.
pub async fn ask(socket: &UdpSocket, server: SocketAddr) -> Option<SocketAddr> {
    let id = transaction(&mut crate::entropy());
    let mut bytes = [0; QUESTION_BYTES_MAX];
    for patience in TRIES {
        // What cannot be sent is not answered.
        let _ = socket.send_to(&question_of(id), server).await;
        let heard = async {
            loop {
                let Ok((length, source)) = socket.recv_from(&mut bytes).await else { return None };
                if let Some(seen) = told(id, &bytes[..length]).filter(|_| source == server) {
                    return Some(seen);
                }
            }
        };
        if let Ok(Some(seen)) = timeout(patience, heard).await {
            return Some(seen);
        }
    }
    None
}
