//! The surroundings of every endpoint: the rendezvous' socket, UDP sockets, and a recording.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::crypto::invite::LinkForm;
use beach_core::endpoint::note::Note;
use beach_core::endpoint::{Endpoint, Generation, NetworkInput, Output};
use beach_core::ice::server_url::IceServer;
use beach_core::id::ShortId;
use beach_core::peer::engine::Engine;
use beach_core::session::link::LinkUser;
use beach_core::wire::signal::MAX_ICE_SERVERS;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::interfaces::Interfaces;
use crate::record::Recording;
use crate::signal::{Signal, SignalEvent};
use crate::turn::{StreamEvent, Streams};
use crate::udp::{UdpSockets, usable_addresses};

/// How long a name lookup may take. A server whose name takes longer is left out.
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);

/// The endpoint, which now gives notes if the log is at level debug. Call this before the first input.
#[must_use]
pub fn logged<M: LinkUser, E: Engine>(endpoint: Endpoint<M, E>) -> Endpoint<M, E> {
    if tracing::enabled!(tracing::Level::DEBUG) { endpoint.noting() } else { endpoint }
}

/// The network side of an endpoint.
pub struct Network {
    signal: Signal,
    sockets: Option<UdpSockets>,
    /// Whether only loopback addresses are candidates, since the other side is on this machine.
    loopback: bool,
    recording: Option<Recording>,
    bound: VecDeque<(Generation, Vec<SocketAddr>)>,
    interfaces: Interfaces,
    /// Whether the endpoint asked for sockets.
    wants_sockets: bool,
    /// Whether the rendezvous is connected and the endpoint is not told yet.
    up: bool,
    /// The name lookups under way.
    lookups: JoinSet<Option<IceServer>>,
    streams: Streams,
    /// The links that work at the rendezvous.
    links: LinkForm,
    sent: u64,
    received: u64,
}

impl Network {
    /// The network of an endpoint whose rendezvous is at `server` (`http(s)://host:port`). Connects nothing yet. Needs
    /// a tokio runtime.
    #[must_use]
    pub fn new(server: &str, loopback: bool, recording: Option<Recording>) -> Network {
        Network {
            signal: Signal::new(server.to_owned()),
            sockets: None,
            loopback,
            recording,
            bound: VecDeque::new(),
            interfaces: Interfaces::watch(),
            wants_sockets: false,
            up: false,
            lookups: JoinSet::new(),
            streams: Streams::new(),
            links: LinkForm::default(),
            sent: 0,
            received: 0,
        }
    }

    /// Names the session to load balancers in front of the rendezvous.
    #[must_use]
    pub fn for_session(self, session: ShortId) -> Network {
        Network { signal: self.signal.for_session(session), ..self }
    }

    /// Looks the servers up, in the background; needs a tokio runtime.
    #[must_use]
    pub fn with_ice_servers(mut self, servers: &[IceServer]) -> Network {
        for server in servers.iter().take(MAX_ICE_SERVERS).cloned() {
            self.lookups.spawn(async move {
                let place = (server.host.as_str(), server.port);
                let looked_up = timeout(LOOKUP_WITHIN, tokio::net::lookup_host(place)).await;
                let found = looked_up.ok().and_then(Result::ok).and_then(|mut found| found.next());
                if found.is_none() {
                    tracing::warn!(%server, "the name of a server was not found");
                }
                found.map(|address| server.at(address))
            });
        }
        self
    }

    /// Performs an output that is for the network; returns any other.
    pub fn perform<O>(&mut self, output: Output<O>) -> Option<O> {
        match output {
            Output::Machine(output) => return Some(output),
            Output::Dial => self.signal.dial(),
            Output::DialAt(url) => self.signal.dial_at(&url),
            Output::DialBeside(texts) => self.signal.dial_beside(texts),
            Output::TakeBeside => self.signal.take_beside(),
            Output::HangUpBeside => self.signal.hang_up_beside(),
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
            Output::TurnDial(stream, server) => self.streams.dial(stream, server),
            Output::TurnWrite(stream, bytes) => {
                self.sent += bytes.len() as u64;
                self.streams.write(stream, bytes);
            }
            Output::TurnHangUp(stream) => self.streams.hang_up(stream),
            // For engines with sockets of their own; this one has none.
            Output::Peer(..) => {}
            Output::Links(form) => self.links = form,
            Output::Record(bytes) => {
                if let Some(recording) = &mut self.recording {
                    recording.append(&bytes);
                }
            }
            Output::Note(Note { link: Some(link), attempt, step }) => tracing::debug!(%link, attempt, "{step}"),
            Output::Note(Note { link: None, step, .. }) => tracing::debug!("{step}"),
        }
        None
    }

    /// The links that work at the rendezvous, as far as the registration has told.
    #[must_use]
    pub fn links(&self) -> LinkForm {
        self.links
    }

    /// Leaves the rendezvous once all queued texts are sent, or after a second.
    pub async fn close(&mut self) {
        self.signal.close().await;
    }

    /// Bytes of UDP payload sent and received.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    fn bind(&mut self, generation: Generation) {
        // The earlier sockets close first, so that the new ones do not get their ports.
        self.sockets = None;
        self.wants_sockets = true;
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

    /// The next event of the network. Cancel-safe.
    pub async fn next(&mut self) -> NetworkInput {
        if std::mem::take(&mut self.up) {
            return NetworkInput::SignalUp;
        }
        if let Some((generation, addresses)) = self.bound.pop_front() {
            return NetworkInput::Bound(generation, addresses);
        }
        loop {
            if let Some(input) = self.next_of_all().await {
                return input;
            }
        }
    }

    /// The first event of interfaces, lookups, streams, sockets and the rendezvous; `None` for a change without effect.
    async fn next_of_all(&mut self) -> Option<NetworkInput> {
        let datagram = async {
            match &mut self.sockets {
                Some(sockets) => sockets.next().await,
                None => std::future::pending().await,
            }
        };
        let input = tokio::select! {
            () = self.interfaces.changed() => match moved(&mut self.sockets, self.wants_sockets, self.loopback) {
                Some(addresses) => NetworkInput::Moved(addresses),
                None => return None,
            },
            Some(Ok(Some(server))) = self.lookups.join_next() => NetworkInput::IceServer(server),
            event = self.streams.next() => match event {
                StreamEvent::Up(stream) => NetworkInput::TurnUp(stream),
                StreamEvent::Bytes(stream, bytes) => {
                    self.received += bytes.len() as u64;
                    NetworkInput::TurnBytes(stream, bytes)
                }
                StreamEvent::Down(stream) => NetworkInput::TurnDown(stream),
            },
            datagram = datagram => {
                self.received += datagram.bytes.len() as u64;
                NetworkInput::Datagram {
                    source: datagram.source,
                    destination: datagram.destination,
                    bytes: datagram.bytes,
                }
            },
            event = self.signal.next() => match event {
                SignalEvent::Up => match self.signal.peer() {
                    Some(peer) => {
                        self.up = true;
                        reached(peer)
                    }
                    None => NetworkInput::SignalUp,
                },
                SignalEvent::Text(text) => NetworkInput::Signal(text),
                SignalEvent::Datagram(bytes) => {
                    self.received += bytes.len() as u64;
                    NetworkInput::Relayed(bytes)
                }
                SignalEvent::Down(cause) => NetworkInput::SignalDown(cause.to_string()),
                SignalEvent::Beside(event) => return self.beside(*event),
            },
        };
        Some(input)
    }

    /// Something happened on the second connection to the rendezvous.
    fn beside(&mut self, event: SignalEvent) -> Option<NetworkInput> {
        match event {
            SignalEvent::Up => self.signal.peer_beside().map(reached),
            SignalEvent::Text(text) => Some(NetworkInput::SignalBeside(text)),
            SignalEvent::Datagram(bytes) => {
                self.received += bytes.len() as u64;
                Some(NetworkInput::Relayed(bytes))
            }
            SignalEvent::Down(cause) => Some(NetworkInput::BesideDown(cause.to_string())),
            // There is no third one.
            SignalEvent::Beside(_) => None,
        }
    }
}

/// The rendezvous was reached at this address.
fn reached(peer: SocketAddr) -> NetworkInput {
    NetworkInput::RendezvousAt(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// The addresses after a change; `None` if nothing changed.
fn moved(sockets: &mut Option<UdpSockets>, wanted: bool, loopback: bool) -> Option<Vec<SocketAddr>> {
    let addresses = usable_addresses(loopback);
    match sockets {
        Some(sockets) => sockets.follow(&addresses).then(|| sockets.local_addresses()),
        None if wanted => {
            *sockets = UdpSockets::bind(&addresses).ok();
            sockets.as_ref().map(UdpSockets::local_addresses)
        }
        None => None,
    }
}
