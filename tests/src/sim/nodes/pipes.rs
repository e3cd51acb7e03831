//! Connections of viewers that do not go to another rendezvous by themselves: the rendezvous that they came to carries
//! them to the one of their host.

use std::collections::BTreeMap;

use beach_core::rendezvous::RendezvousInput;
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};

use super::{Nodes, What, place};

/// Most rendezvous in a row that carry one connection.
const MAX_CARRIERS: u32 = 3;

/// A connection that is carried.
struct Pipe {
    /// The connection from the one rendezvous to the other.
    onward: u64,
    /// The messages that wait until that one is open; `None` from then on.
    waiting: Option<Vec<What>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Pipes {
    by_viewer: BTreeMap<u64, Pipe>,
    /// The viewer's connection of each that leads on.
    viewers: BTreeMap<u64, u64>,
}

impl Nodes {
    /// How many connections are carried.
    pub fn carried(&self) -> usize {
        self.pipes.by_viewer.len()
    }

    /// Carries a connection to the rendezvous at `url`, to which `join` is said first.
    pub(super) fn pipe(&mut self, id: u64, url: &str, join: String) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (client, latency, carriers) = (connection.client, connection.latency, connection.carriers);
        if carriers >= MAX_CARRIERS {
            return self.later(latency, What::Down(client, id, "too many rendezvous carry the connection"));
        }
        let node = (0..self.servers.len()).find(|node| place(*node) == url).expect("the directory names places");
        let onward = self.open(client, node, carriers + 1);
        self.pipes.viewers.insert(onward, id);
        self.pipes.by_viewer.insert(id, Pipe { onward, waiting: Some(vec![What::ToNode(onward, join)]) });
    }

    /// The connection to another rendezvous that carries this one.
    pub(super) fn onward(&self, id: u64) -> Option<u64> {
        self.pipes.by_viewer.get(&id).map(|pipe| pipe.onward)
    }

    /// The viewer's connection, if this one leads it on.
    pub(super) fn viewer_of(&self, onward: u64) -> Option<u64> {
        self.pipes.viewers.get(&onward).copied()
    }

    /// Carries a message of a viewer on.
    pub(super) fn carry(&mut self, id: u64, message: What) {
        let Some(pipe) = self.pipes.by_viewer.get_mut(&id) else { return };
        let onward = pipe.onward;
        match &mut pipe.waiting {
            Some(waiting) => waiting.push(message),
            None => self.later(self.latency(onward), message),
        }
    }

    /// The other rendezvous is reached.
    pub(super) fn leads_on(&mut self, onward: u64) {
        let pipe = self.viewer_of(onward).and_then(|id| self.pipes.by_viewer.get_mut(&id));
        let waiting = pipe.and_then(|pipe| pipe.waiting.take()).unwrap_or_default();
        let latency = self.latency(onward);
        waiting.into_iter().for_each(|message| self.later(latency, message));
    }

    /// A rendezvous that carries an envelope knows that a handshake is under way.
    pub(super) fn note_carried(&mut self, id: u64, is_envelope: bool) {
        let node = self.connections.get(&id).map(|connection| connection.node);
        if let Some(node) = node.filter(|_| is_envelope) {
            self.drive(node, RendezvousInput::Carried);
        }
    }

    /// A connection is gone. If it was carried, so is the one that carried it; if it carried one, that one's client is
    /// told.
    pub(super) fn unpipe(&mut self, id: u64) {
        if let Some(pipe) = self.pipes.by_viewer.remove(&id) {
            self.pipes.viewers.remove(&pipe.onward);
            self.close(pipe.onward);
        }
        let Some(viewer) = self.pipes.viewers.remove(&id) else { return };
        self.pipes.by_viewer.remove(&viewer);
        if let Some(connection) = self.connections.get(&viewer) {
            let (client, latency) = (connection.client, connection.latency);
            self.later(latency, What::Down(client, viewer, "the other rendezvous is gone"));
        }
    }
}

/// A request to join as viewers send it that do not go to another place.
pub(super) fn without_moves(text: &str) -> String {
    match parse_to_rendezvous(text) {
        Ok(ToRendezvous::Join { session, link, role, versions, resumes, .. }) => {
            to_text(&ToRendezvous::Join { session, link, role, versions, resumes, moves: false })
        }
        Ok(_) | Err(_) => text.to_owned(),
    }
}

pub(super) fn is_envelope_of_client(text: &str) -> bool {
    matches!(parse_to_rendezvous(text), Ok(ToRendezvous::Envelope { .. }))
}

pub(super) fn is_envelope_for_client(text: &str) -> bool {
    matches!(parse_from_rendezvous(text), Ok(FromRendezvous::Envelope { .. }))
}

pub(super) fn is_elsewhere(text: &str) -> bool {
    matches!(parse_from_rendezvous(text), Ok(FromRendezvous::Elsewhere { .. }))
}
