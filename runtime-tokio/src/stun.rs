//! STUN: a server beside the rendezvous, which tells clients from which address their datagrams come; and a client, for
//! `doctor`.

use std::convert::Infallible;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use beach_core::AddressRates;
use beach_core::ice::stun::{answer, question_for_other_port, question_of, told, transaction};
use beach_core::session::address::owner;
use beach_core::turn_server::{ADDRESS_ANSWERS_BURST, ADDRESS_ANSWERS_RATE};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Longest question, in bytes. Ours have 20; a longer one asks for more than this server tells.
const QUESTION_BYTES_MAX: usize = 548;

/// The server's socket, and one on another port, for clients that test whether their router lets answers from there in.
pub(crate) struct Stun(Option<(UdpSocket, Option<UdpSocket>)>);

impl Stun {
    /// Binds the UDP port of this address; if that fails, there is no server.
    pub(crate) async fn bind(address: SocketAddr) -> Stun {
        Stun::of(UdpSocket::bind(address).await, address).await
    }

    /// On a socket that is bound already, beside a rendezvous at this address.
    pub(crate) async fn on(socket: std::net::UdpSocket, address: SocketAddr) -> Stun {
        Stun::of(socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket)), address).await
    }

    async fn of(socket: io::Result<UdpSocket>, address: SocketAddr) -> Stun {
        let socket =
            socket.inspect_err(|error| tracing::warn!(%address, %error, "no STUN: the UDP port cannot be had"));
        let other = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await.ok();
        Stun(socket.ok().map(|socket| (socket, other)))
    }

    /// No server.
    pub(crate) fn none() -> Stun {
        Stun(None)
    }

    /// Whether there is a server.
    pub(crate) fn answers(&self) -> bool {
        self.0.is_some()
    }

    /// Answers questions for ever.
    pub(crate) async fn run(&self) -> Infallible {
        let Some((socket, other)) = &self.0 else { return future::pending().await };
        let mut question = [0; QUESTION_BYTES_MAX];
        // The source of a datagram may be somebody else's: answers are counted, as those of the TURN server are.
        let mut rates = AddressRates::new(ADDRESS_ANSWERS_RATE, ADDRESS_ANSWERS_BURST, crate::seed());
        let epoch = Instant::now();
        loop {
            // An error here: an earlier answer could not be delivered.
            let Ok((length, source)) = socket.recv_from(&mut question).await else {
                tokio::task::yield_now().await;
                continue;
            };
            // A socket for both families sees IPv4 addresses inside IPv6 ones.
            let seen = SocketAddr::new(source.ip().to_canonical(), source.port());
            let Some(answer) = answer(seen, &question[..length]) else { continue };
            if !rates.take(epoch.elapsed().into(), owner(seen.ip())) {
                continue;
            }
            match (answer, other) {
                ((said, true), Some(other)) => drop(other.try_send_to(&said, source)),
                ((said, _), _) => drop(socket.try_send_to(&said, source)),
            }
        }
    }
}

/// How long the answer to each try is waited for.
const TRIES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_millis(750), Duration::from_secs(1)];

/// Whether an answer from another port of `server` gets to `socket`; `None` if the server answers from the same one.
pub async fn ask_for_other_port(socket: &UdpSocket, server: SocketAddr) -> Option<bool> {
    let id = transaction(&mut crate::entropy());
    let mut bytes = [0; QUESTION_BYTES_MAX];
    for patience in TRIES {
        let _ = socket.send_to(&question_for_other_port(id), server).await;
        let heard = async {
            loop {
                let (length, source) = socket.recv_from(&mut bytes).await.ok()?;
                if source.ip() == server.ip() && told(id, &bytes[..length]).is_some() {
                    return Some(source != server);
                }
            }
        };
        match timeout(patience, heard).await {
            Ok(Some(true)) => return Some(true),
            Ok(Some(false)) => return None,
            Ok(None) | Err(_) => {}
        }
    }
    Some(false)
}

/// The address from which `server` sees the datagrams of `socket` come; `None` without an answer within 2.5 s.
pub async fn ask(socket: &UdpSocket, server: SocketAddr) -> Option<SocketAddr> {
    let id = transaction(&mut crate::entropy());
    let mut bytes = [0; QUESTION_BYTES_MAX];
    for patience in TRIES {
        // A question that cannot be sent counts as unanswered.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_asks_too_often_gets_no_answer_and_another_one_does() {
        let stun = Stun::bind(([127, 0, 0, 1], 0).into()).await;
        let server = stun.0.as_ref().expect("a port is free").0.local_addr().expect("it has an address");
        let from =
            async |ip: [u8; 4]| UdpSocket::bind(SocketAddr::from((ip, 0))).await.expect("an address of loopback");
        let (loud, quiet) = (from([127, 0, 0, 1]).await, from([127, 0, 0, 2]).await);
        let asks = async {
            let mut answers = 0;
            let began = Instant::now();
            // In small parts, so that no buffer runs over.
            for _ in 0..2 * ADDRESS_ANSWERS_BURST / 20 {
                for _ in 0..20 {
                    loud.send_to(&question_of(7), server).await.expect("sends");
                }
                let mut bytes = [0; QUESTION_BYTES_MAX];
                while let Ok(Ok(length)) = timeout(Duration::from_millis(2), loud.recv(&mut bytes)).await {
                    answers += 1;
                    assert!(length <= question_of(7).len() + 24, "an answer of {length} bytes");
                }
            }
            let allowed = ADDRESS_ANSWERS_BURST + ADDRESS_ANSWERS_RATE * (began.elapsed().as_secs() + 1);
            assert!((ADDRESS_ANSWERS_BURST / 2..=allowed).contains(&answers), "{answers} answers of {allowed}");
            assert!(ask(&quiet, server).await.is_some(), "another address has an allowance of its own");
        };
        tokio::select! {
            () = asks => {}
            never = stun.run() => match never {},
        }
    }
}
