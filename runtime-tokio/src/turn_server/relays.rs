//! The sockets that relay: one a relay, each read by a task of its own, so that a flood at one of them fills only that
//! socket's buffer.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

use beach_core::turn_server::stream::MAX_MESSAGE;
use beach_core::turn_server::{Port, RelayId, TurnInput};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{receive, watched};

/// Ports that are tried for a relay, from a random one on.
const TRIES: usize = 1024;

struct Relay {
    socket: Arc<AsyncFd<UdpSocket>>,
    reader: tokio::task::AbortHandle,
}

/// All relays.
pub(super) struct Relays {
    /// The address of a server that listens on one address; its relays have the same.
    local: IpAddr,
    ports: RangeInclusive<u16>,
    open: HashMap<RelayId, Relay>,
    bound: VecDeque<(RelayId, Option<u16>)>,
    readers: JoinSet<()>,
    report: mpsc::Sender<TurnInput>,
}

impl Relays {
    pub(super) fn new(local: IpAddr, ports: RangeInclusive<u16>, report: mpsc::Sender<TurnInput>) -> Relays {
        let (open, bound) = (HashMap::new(), VecDeque::new());
        Relays { local, ports, open, bound, readers: JoinSet::new(), report }
    }

    /// Opens a relay's socket; [`Relays::bound`] tells the port.
    pub(super) fn bind(&mut self, relay: RelayId, external: IpAddr, wanted: Port) {
        let at = match (external, self.local) {
            (IpAddr::V4(_), local @ IpAddr::V4(_)) | (IpAddr::V6(_), local @ IpAddr::V6(_)) => local,
            (IpAddr::V4(_), IpAddr::V6(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (IpAddr::V6(_), IpAddr::V4(_)) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let opened = open(at, &self.ports, wanted).and_then(|(socket, port)| Ok((Arc::new(watched(socket)?), port)));
        let port = match opened {
            Ok((socket, port)) => {
                let reader = self.readers.spawn(read(relay, socket.clone(), self.report.clone()));
                tracing::debug!(relay, port, "a TURN relay");
                self.open.insert(relay, Relay { socket, reader });
                Some(port)
            }
            Err(error) => {
                tracing::warn!(%error, "no socket for a TURN relay");
                None
            }
        };
        self.bound.push_back((relay, port));
        while self.readers.try_join_next().is_some() {}
    }

    /// A relay whose socket was opened, or could not be.
    pub(super) fn bound(&mut self) -> Option<(RelayId, Option<u16>)> {
        self.bound.pop_front()
    }

    /// Never waits.
    pub(super) fn send(&self, relay: RelayId, to: SocketAddr, bytes: &[u8]) {
        let Some(relay) = self.open.get(&relay) else { return };
        if let Err(error) = relay.socket.get_ref().send_to(bytes, to) {
            tracing::trace!(%error, "a datagram to a peer was dropped");
        }
    }

    pub(super) fn close(&mut self, relay: RelayId) {
        if let Some(Relay { reader, .. }) = self.open.remove(&relay) {
            tracing::debug!(relay, "a TURN relay is closed");
            reader.abort();
        }
    }
}

/// Tells of every datagram.
async fn read(relay: RelayId, socket: Arc<AsyncFd<UdpSocket>>, report: mpsc::Sender<TurnInput>) {
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let Some((from, length)) = receive(&socket, &mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if report.send(TurnInput::FromPeer(relay, from, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

/// A socket at one of these ports, the first free one from a random one on: nobody shall guess the next relay's.
fn open(at: IpAddr, ports: &RangeInclusive<u16>, wanted: Port) -> io::Result<(UdpSocket, u16)> {
    let count = usize::from(ports.end() - ports.start()) + 1;
    let [high, low, ..] = crate::seed();
    let first = usize::from(u16::from_be_bytes([high, low]));
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for offset in 0..count.min(TRIES) {
        let port = ports.start() + u16::try_from((first + offset) % count).unwrap_or_default();
        if wanted == Port::Even && !port.is_multiple_of(2) {
            continue;
        }
        let socket = Socket::new(Domain::for_address(SocketAddr::new(at, 0)), Type::DGRAM, Some(Protocol::UDP))?;
        if at.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        match socket.bind(&SocketAddr::new(at, port).into()) {
            Ok(()) => return Ok((socket.into(), port)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_have_ports_of_the_range_until_there_are_no_more() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        // Some port that is free, and the next one may be.
        let (_, port) = open(local, &(20_000..=30_000), Port::Even).expect("a port");
        assert!(port.is_multiple_of(2));
        let ports = port..=port + 1;
        let opened: Vec<_> = (0..3).map(|_| open(local, &ports, Port::Any)).collect();
        let got: Vec<_> = opened.iter().flatten().map(|(_, port)| *port).collect();
        assert!(!got.is_empty() && got.len() <= 2 && got.iter().all(|port| ports.contains(port)), "{got:?}");
        assert!(opened[2].is_err());
    }
}
