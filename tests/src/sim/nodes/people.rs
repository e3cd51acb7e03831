//! Hosts and viewers of the simulation: their connections, what becomes of their outputs, and viewers that stay and
//! type.

use std::time::Duration;

use beach_core::endpoint::Input;
use beach_core::host::{HostInput, HostNotice, HostOutput};
use beach_core::session::handshake::Stage;
use beach_core::viewer::{ViewerInput, ViewerNotice, ViewerOutput};

use super::{Client, Nodes, Part, What};
use crate::sim::node::Effect;

/// A program or a terminal takes bytes within this time.
const TAKEN_WITHIN: Duration = Duration::from_millis(1);

impl Nodes {
    /// A viewer that stays, and goes to another rendezvous if it is told to: what it types travels through the
    /// rendezvous.
    pub fn add_relayed_viewer(&mut self, secrets: u64) -> usize {
        let index = self.add_viewer(secrets, None);
        (self.viewers[index].stays, self.viewers[index].moves) = (true, true);
        index
    }

    /// The same, but the viewer goes to no other rendezvous by itself.
    pub fn add_carried_viewer(&mut self, secrets: u64) -> usize {
        let index = self.add_relayed_viewer(secrets);
        self.viewers[index].moves = false;
        index
    }

    /// Somebody types at a viewer that stays, as fast as it takes the keys.
    pub fn type_key(&mut self, viewer: usize, key: u8) {
        self.viewers[viewer].keys.push_back(key);
        self.next_keys(viewer);
    }

    fn next_keys(&mut self, viewer: usize) {
        let peer = &mut self.viewers[viewer];
        if peer.keys_out {
            return;
        }
        if let Some(key) = peer.keys.pop_front() {
            peer.keys_out = true;
            self.drive_viewer(viewer, Input::Machine(ViewerInput::Keys(vec![key])));
        }
    }

    pub(super) fn drive_host(&mut self, index: usize, input: Input<HostInput>) {
        for effect in self.hosts[index].peer.drive(self.now, input) {
            match effect {
                Effect::Below(below) => self.below(Client::Host(index), below),
                Effect::Machine(HostOutput::Write(bytes)) => {
                    self.hosts[index].written.extend(&bytes);
                    self.later(TAKEN_WITHIN, What::ToHost(index, HostInput::Written));
                    self.later(TAKEN_WITHIN, What::ToHost(index, HostInput::Printed(bytes)));
                }
                Effect::Machine(HostOutput::Notice(HostNotice::RendezvousLost(_))) => self.hosts[index].lost += 1,
                Effect::Machine(_) => {}
            }
        }
        self.wake_later(Client::Host(index));
    }

    pub(super) fn drive_viewer(&mut self, index: usize, input: Input<ViewerInput>) {
        for effect in self.viewers[index].peer.drive(self.now, input) {
            match effect {
                Effect::Below(below) => self.below(Client::Viewer(index), below),
                Effect::Machine(ViewerOutput::Notice(ViewerNotice::Stage(stage))) if stage >= Stage::Offer => {
                    let now = self.now;
                    self.viewers[index].in_at.get_or_insert(now);
                }
                Effect::Machine(ViewerOutput::Notice(ViewerNotice::Away(_))) => self.viewers[index].away += 1,
                Effect::Machine(ViewerOutput::Show(_)) => {
                    self.later(TAKEN_WITHIN, What::ToViewer(index, ViewerInput::Shown));
                }
                Effect::Machine(ViewerOutput::KeysTaken) => self.viewers[index].keys_out = false,
                Effect::Machine(ViewerOutput::Exit(exit)) => {
                    self.viewers[index].failed = Some(format!("{exit:?}"));
                }
                Effect::Machine(_) => {}
            }
        }
        let viewer = &self.viewers[index];
        if (viewer.in_at.is_some() && !viewer.stays) || viewer.failed.is_some() {
            self.leave(Client::Viewer(index));
        } else {
            self.next_keys(index);
        }
        self.wake_later(Client::Viewer(index));
    }

    // Connections.

    pub(super) fn connection_mut(&mut self, client: Client) -> &mut Option<u64> {
        match client {
            Client::Host(index) => &mut self.hosts[index].peer.connection,
            Client::Viewer(index) => &mut self.viewers[index].peer.connection,
        }
    }

    pub(super) fn connection(&self, client: Client) -> Option<u64> {
        match client {
            Client::Host(index) => self.hosts[index].peer.connection,
            Client::Viewer(index) => self.viewers[index].peer.connection,
        }
    }

    pub(super) fn beside(&mut self, client: Client) -> &mut Option<(u64, Vec<String>)> {
        match client {
            Client::Host(index) => &mut self.hosts[index].peer.beside,
            Client::Viewer(index) => &mut self.viewers[index].peer.beside,
        }
    }

    pub(super) fn hang_up(&mut self, client: Client) -> Option<u64> {
        self.connection_mut(client).take()
    }

    /// Which of the client's connections has this id.
    pub(super) fn part_of(&mut self, client: Client, id: u64) -> Option<Part> {
        if self.connection(client) == Some(id) {
            return Some(Part::Main);
        }
        self.beside(client).as_ref().filter(|(beside, _)| *beside == id).map(|_| Part::Beside)
    }

    /// The client of a connection, and which of the client's connections this is; `None` if nothing gets through.
    pub(super) fn part(&mut self, id: u64) -> Option<(Client, Part)> {
        let client = self.connections.get(&id).filter(|connection| !connection.is_dead)?.client;
        Some((client, self.part_of(client, id)?))
    }

    /// How long a message takes.
    pub(super) fn latency(&self, id: u64) -> Duration {
        self.connections.get(&id).map_or(super::LATENCY, |connection| connection.latency)
    }

    /// The client closes the connection; messages that were sent on it arrive before.
    pub(super) fn close(&mut self, id: u64) {
        self.later(self.latency(id), What::Closed(id));
    }

    /// Sends the texts that go first on the connection beside.
    pub(super) fn say_beside(&mut self, client: Client) {
        let Some((id, texts)) = self.beside(client) else { return };
        let (id, texts) = (*id, std::mem::take(texts));
        texts.into_iter().for_each(|text| self.later(self.latency(id), What::ToNode(id, text)));
    }

    pub(super) fn abandon_beside(&mut self, client: Client) {
        if let Some((id, _)) = self.beside(client).take() {
            self.close(id);
        }
    }

    pub(super) fn abandon(&mut self, client: Client) {
        self.abandon_beside(client);
        if let Some(id) = self.hang_up(client) {
            self.close(id);
        }
    }
}
