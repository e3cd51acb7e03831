//! The rendezvous, served.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Instant;

use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};

use crate::drive::{Surroundings, drive};
use crate::serve::{Server, ServerEvent};
use crate::stun::Stun;

/// Serves a rendezvous on `server`, for ever, and on the UDP port of the same number a STUN server. It carries datagrams of those who
/// cannot reach each other if it `relays`, and hands out `ice` besides itself.
pub async fn run(server: Server, relays: bool, ice: Vec<String>) -> Infallible {
    let stun = Stun::bind(server.local_addr()).await;
    let itself = stun.answers().then(|| "stun:".to_owned());
    let rendezvous = Rendezvous::new().handing_out(itself.into_iter().chain(ice).collect());
    let mut rendezvous = if relays { rendezvous } else { rendezvous.without_relay() };
    let mut sockets = Sockets(server);
    tokio::select! {
        never = drive(&mut rendezvous, Instant::now(), &mut sockets) => never,
        never = stun.run() => never,
    }
}

struct Sockets(Server);

impl Surroundings<Rendezvous> for Sockets {
    type End = Infallible;

    fn perform(&mut self, output: RendezvousOutput) -> ControlFlow<Infallible> {
        match output {
            RendezvousOutput::Send(connection, text) => self.0.send(connection, text),
            RendezvousOutput::Datagram(connection, bytes) => self.0.relay(connection, bytes),
            RendezvousOutput::Close(connection) => self.0.close(connection),
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> RendezvousInput {
        match self.0.next().await {
            ServerEvent::Opened { connection, .. } => RendezvousInput::Opened(connection),
            ServerEvent::Text { connection, text } => RendezvousInput::Text(connection, text),
            ServerEvent::Datagram { connection, bytes } => RendezvousInput::Datagram(connection, bytes),
            ServerEvent::Closed { connection } => RendezvousInput::Closed(connection),
        }
    }
}
