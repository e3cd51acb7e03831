//! The rendezvous, served.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Instant;

use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};

use crate::drive::{Surroundings, drive};
use crate::serve::{Server, ServerEvent};

/// Serves a rendezvous on `server`, for ever. It carries datagrams of those who cannot reach each other if it `relays`.
pub async fn run(server: Server, relays: bool) -> Infallible {
    let rendezvous = Rendezvous::new();
    let mut rendezvous = if relays { rendezvous } else { rendezvous.without_relay() };
    drive(&mut rendezvous, Instant::now(), &mut Sockets(server)).await
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
