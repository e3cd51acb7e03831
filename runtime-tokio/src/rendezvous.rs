//! The rendezvous, served.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Instant;

use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};

use crate::drive::{Surroundings, drive};
use crate::serve::{Server, ServerEvent};

/// Serves a rendezvous on `server`, for ever.
pub async fn run(server: Server) -> Infallible {
    drive(&mut Rendezvous::new(), Instant::now(), &mut Sockets(server)).await
}

struct Sockets(Server);

impl Surroundings<Rendezvous> for Sockets {
    type End = Infallible;

    fn perform(&mut self, output: RendezvousOutput) -> ControlFlow<Infallible> {
        match output {
            RendezvousOutput::Send(connection, text) => self.0.send(connection, text),
            RendezvousOutput::Close(connection) => self.0.close(connection),
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> RendezvousInput {
        match self.0.next().await {
            ServerEvent::Opened { connection, .. } => RendezvousInput::Opened(connection),
            ServerEvent::Text { connection, text } => RendezvousInput::Text(connection, text),
            ServerEvent::Closed { connection } => RendezvousInput::Closed(connection),
        }
    }
}
