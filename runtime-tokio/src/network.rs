//! What every endpoint needs around it: the rendezvous' socket, UDP sockets, and a recording.

use std::collections::VecDeque;

use beach_core::endpoint::{Generation, Input, Output};

use crate::record::Recording;
use crate::signal::{Signal, SignalEvent};
use crate::udp::{UdpSockets, usable_addresses};

/// The network side of an endpoint.
pub struct Network {
    signal: Signal,
    sockets: Option<UdpSockets>,
    /// Only loopback addresses are candidates: the other side is on this machine.
    loopback: bool,
    recording: Option<Recording>,
    bound: VecDeque<(Generation, Vec<std::net::SocketAddr>)>,
    sent: u64,
    received: u64,
}

impl Network {
    /// Will reach the rendezvous at `server` (`http(s)://host:port`).
    #[must_use]
    pub fn new(server: &str, loopback: bool, recording: Option<Recording>) -> Network {
        Network {
            signal: Signal::new(server.to_owned()),
            sockets: None,
            loopback,
            recording,
            bound: VecDeque::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Performs what is for the network, and returns what is not.
    pub fn perform<O>(&mut self, output: Output<O>) -> Option<O> {
        match output {
            Output::Machine(output) => return Some(output),
            Output::Dial => self.signal.dial(),
            Output::HangUp => self.signal.hang_up(),
            Output::Signal(text) => self.signal.send(text),
            Output::Bind(generation) => self.bind(generation),
            Output::Datagram { source, destination, bytes } => {
                self.sent += bytes.len() as u64;
                if let Some(sockets) = &self.sockets {
                    sockets.send(source, destination, &bytes);
                }
            }
            Output::Relay(bytes) => {
                self.sent += bytes.len() as u64;
                self.signal.relay(bytes);
            }
            Output::Record(bytes) => {
                if let Some(recording) = &mut self.recording {
                    recording.append(&bytes);
                }
            }
        }
        None
    }

    /// Leaves the rendezvous, once what was said to it is sent; bounded.
    pub async fn close(&mut self) {
        self.signal.close().await;
    }

    /// Bytes of UDP payload sent and received.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    fn bind(&mut self, generation: Generation) {
        // The earlier ones close first: their ports are not to be found again.
        self.sockets = None;
        let bound = match UdpSockets::bind(&usable_addresses(self.loopback)) {
            Ok(sockets) => {
                let addresses = sockets.local_addresses();
                self.sockets = Some(sockets);
                addresses
            }
            Err(error) => {
                tracing::error!(%error, "no UDP socket could be opened");
                Vec::new()
            }
        };
        self.bound.push_back((generation, bound));
    }

    /// What the network reports next. Cancel-safe.
    pub async fn next<I>(&mut self) -> Input<I> {
        if let Some((generation, addresses)) = self.bound.pop_front() {
            return Input::Bound(generation, addresses);
        }
        let datagram = async {
            match &mut self.sockets {
                Some(sockets) => sockets.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            datagram = datagram => {
                self.received += datagram.bytes.len() as u64;
                Input::Datagram {
                    source: datagram.source,
                    destination: datagram.destination,
                    bytes: datagram.bytes,
                }
            },
            event = self.signal.next() => match event {
                SignalEvent::Up => Input::SignalUp,
                SignalEvent::Text(text) => Input::Signal(text),
                SignalEvent::Datagram(bytes) => {
                    self.received += bytes.len() as u64;
                    Input::Relayed(bytes)
                }
                SignalEvent::Down(cause) => Input::SignalDown(cause),
            },
        }
    }
}
