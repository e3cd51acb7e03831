//! The rendezvous, served.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};
use tokio::sync::Notify;

use crate::drive::{Surroundings, drive};
use crate::serve::{Server, ServerEvent};
use crate::stun::Stun;

/// Serves a rendezvous on `server`, and on the UDP port of the same number a STUN server, until `drain` says that it shall end and no
/// handshake is under way any more. It carries datagrams of those who cannot reach each other if it `relays`, and hands out `ice` besides
/// itself.
pub async fn run(server: Server, relays: bool, ice: Vec<String>, drain: Arc<Notify>) {
    let stun = Stun::bind(server.local_addr()).await;
    let itself = stun.answers().then(|| "stun:".to_owned());
    let rendezvous = Rendezvous::new().handing_out(itself.into_iter().chain(ice).collect());
    let mut rendezvous = if relays { rendezvous } else { rendezvous.without_relay() };
    let mut sockets = Sockets { server, drain };
    tokio::select! {
        () = drive(&mut rendezvous, Instant::now(), &mut sockets) => {}
        never = stun.run() => match never {},
    }
}

struct Sockets {
    server: Server,
    drain: Arc<Notify>,
}

impl Surroundings<Rendezvous> for Sockets {
    type End = ();

    fn perform(&mut self, output: RendezvousOutput) -> ControlFlow<()> {
        match output {
            RendezvousOutput::Drained => return ControlFlow::Break(()),
            RendezvousOutput::Send(connection, text) => self.server.send(connection, text),
            RendezvousOutput::Datagram(connection, bytes) => self.server.relay(connection, bytes),
            RendezvousOutput::Close(connection) => self.server.close(connection),
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> RendezvousInput {
        let event = tokio::select! {
            event = self.server.next() => event,
            () = self.drain.notified() => {
                self.server.close_door();
                return RendezvousInput::Drain;
            }
        };
        match event {
            ServerEvent::Opened { connection, .. } => RendezvousInput::Opened(connection),
            ServerEvent::Text { connection, text } => RendezvousInput::Text(connection, text),
            ServerEvent::Datagram { connection, bytes } => RendezvousInput::Datagram(connection, bytes),
            ServerEvent::Closed { connection } => RendezvousInput::Closed(connection),
        }
    }
}
