//! The rendezvous, served.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use beach_core::ice::server_url::{Credentials, IceServer, Service};
use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::wire::signal::IceUrl;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};
use zeroize::Zeroizing;

use crate::drive::{Surroundings, drive};
use crate::serve::{Server, ServerEvent};
use crate::stun::Stun;

/// Serves a rendezvous on `server`, and a STUN server on the UDP port of the same number, until `drain` is notified and
/// no handshake is under way any more. A rendezvous that `relays` carries the datagrams of peers that cannot reach each
/// other. Peers are told the servers of `ice`, and the STUN server.
pub async fn run(server: Server, relays: bool, ice: HandedOut, drain: Arc<Notify>) {
    let stun = Stun::bind(server.local_addr()).await;
    let mut rendezvous = if relays { Rendezvous::new() } else { Rendezvous::new().without_relay() };
    let mut renewal = interval(ice.lifetime / 2);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sockets = Sockets { server, drain, ice, itself: stun.answers(), renewal, handed_out: false };
    tokio::select! {
        () = drive(&mut rendezvous, Instant::now(), &mut sockets) => {}
        never = stun.run() => match never {},
    }
}

/// The servers that are handed out, and the secret for credentials of servers that have none.
pub struct HandedOut {
    /// The servers, whose hosts are addresses.
    pub servers: Vec<IceServer>,
    /// The secret that the servers share with the rendezvous, from which credentials are made.
    pub secret: Option<Zeroizing<String>>,
    /// How long credentials are good for. New ones are handed out after half of this time.
    pub lifetime: Duration,
}

/// The default life of credentials. A peer that leaves can use the server for this long at most.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

impl Default for HandedOut {
    fn default() -> HandedOut {
        HandedOut { servers: Vec::new(), secret: None, lifetime: DEFAULT_LIFETIME }
    }
}

impl HandedOut {
    /// Whether credentials run out, and have to be made anew.
    fn expire(&self) -> bool {
        self.secret.is_some() && self.servers.iter().any(|server| matches!(server.service, Service::Turn(_, None)))
    }

    /// The servers' addresses with credentials as of now.
    fn urls(&self) -> impl Iterator<Item = IceUrl> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.servers.iter().filter_map(move |server| {
            let mut server = server.clone();
            if let Service::Turn(_, credentials @ None) = &mut server.service {
                let secret = self.secret.as_ref()?;
                *credentials = Some(Credentials::until((now + self.lifetime).as_secs(), secret.as_bytes()));
            }
            Some(IceUrl(server.url().to_string()))
        })
    }
}

struct Sockets {
    server: Server,
    drain: Arc<Notify>,
    ice: HandedOut,
    /// Whether there is a STUN server on the rendezvous' own port.
    itself: bool,
    renewal: Interval,
    handed_out: bool,
}

impl Surroundings<Rendezvous> for Sockets {
    type End = ();

    fn perform(&mut self, output: RendezvousOutput) -> ControlFlow<()> {
        match output {
            RendezvousOutput::Drained => return ControlFlow::Break(()),
            RendezvousOutput::Send(connection, text) => self.server.send(connection, text),
            RendezvousOutput::Datagram(connection, bytes) => self.server.relay(connection, bytes),
            RendezvousOutput::TakesPart(connection) => self.server.takes_part(connection),
            RendezvousOutput::Close(connection) => self.server.close(connection),
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> RendezvousInput {
        let event = tokio::select! {
            // The servers come before the first connection: a peer that joins is told of them.
            biased;
            _ = self.renewal.tick(), if !self.handed_out || self.ice.expire() => {
                self.handed_out = true;
                let itself = self.itself.then(|| IceUrl("stun:".to_owned()));
                return RendezvousInput::Ice(itself.into_iter().chain(self.ice.urls()).collect());
            }
            () = self.drain.notified() => {
                self.server.close_door();
                return RendezvousInput::Drain;
            }
            event = self.server.next() => event,
        };
        match event {
            ServerEvent::Opened { connection, client } => RendezvousInput::Opened(connection, client),
            ServerEvent::Text { connection, text } => RendezvousInput::Text(connection, text),
            ServerEvent::Datagram { connection, bytes } => RendezvousInput::Datagram(connection, bytes),
            ServerEvent::Closed { connection } => RendezvousInput::Closed(connection),
        }
    }
}
