//! Further controls of a world: what programs, people and strangers do in the scripts of `sim/swarm`.

use std::net::IpAddr;

use beach_core::host::HostInput;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::{ConnectionId, RendezvousInput};
use beach_core::viewer::ViewerInput;

use super::queue::What;
use super::{Who, World, ms};
use crate::sim::nat::Nat;
use crate::sim::network::Pipe;

impl<E: Engine> World<E> {
    /// Somebody pastes at a viewer, piece by piece, as fast as the viewer takes it. The paste may have no end.
    pub fn paste(&mut self, viewer: usize, pieces: Vec<Vec<u8>>, is_begun: bool, ends: bool) {
        let count = pieces.len();
        for (index, bytes) in pieces.into_iter().enumerate() {
            let (first, last) = (index == 0 && !is_begun, index + 1 == count && ends);
            self.viewers[viewer].typing.push_back(ViewerInput::Paste { bytes, first, last });
        }
        self.next_keys(viewer);
    }

    /// The program reads nothing from now on, or reads again, beginning with the bytes that it left at the PTY.
    pub fn set_deaf(&mut self, host: usize, is_deaf: bool) {
        let node = &mut self.hosts[host];
        node.is_deaf = is_deaf;
        if is_deaf || node.unread == 0 || node.program_ended {
            return;
        }
        let unread = node.written[node.written.len() - node.unread..].to_vec();
        if let Some(acts) = node.program.as_mut().and_then(|program| program.take(&unread)) {
            node.unread = 0;
            self.later(ms(1), What::Host(host, Box::new(HostInput::Written)));
            self.act(host, acts);
        }
    }

    /// The program ends. The host reads everything that it printed before.
    pub fn end_program(&mut self, host: usize, code: i32) {
        let node = &mut self.hosts[host];
        if !std::mem::replace(&mut node.program_ended, true) {
            let at = node.pty_at.max(self.now + ms(1));
            self.later_at(at, What::Host(host, Box::new(HostInput::Ended(code))));
        }
    }

    /// Loses the process of a host without a word.
    pub fn kill_host(&mut self, host: usize) {
        self.gone(Who::Host(host));
    }

    /// The narrowest places of a viewer's way to the host, and of the way back.
    pub fn narrow(&mut self, viewer: usize, pipes: [Option<Pipe>; 2]) {
        self.viewers[viewer].pipes = pipes;
    }

    /// `who` is behind a router from now on.
    pub fn put_behind(&mut self, who: Who, nat: Nat) {
        self.nats.insert(who, nat);
    }

    /// A connection to the rendezvous of somebody who is no machine of this world.
    pub fn connect_stranger(&mut self, address: IpAddr) -> ConnectionId {
        self.connections_ever += 1;
        let id = self.connections_ever;
        self.drive_rendezvous(RendezvousInput::Opened(id, Some(address)));
        id
    }

    /// A stranger says this on their connection.
    pub fn stranger_says(&mut self, id: ConnectionId, text: String) {
        self.drive_rendezvous(RendezvousInput::Text(id, text));
    }

    /// A stranger's connection ends.
    pub fn stranger_leaves(&mut self, id: ConnectionId) {
        self.drive_rendezvous(RendezvousInput::Closed(id));
    }
}
