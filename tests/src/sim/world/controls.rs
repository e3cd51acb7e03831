//! Controls of a world for tests.

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::endpoint::{Input, NetworkInput};
use beach_core::host::HostInput;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::Rendezvous;
use beach_core::session::link::Event;
use beach_core::viewer::ViewerInput;

use super::network::place;
use super::queue::What;
use super::{Who, World, ms};

impl<E: Engine> World<E> {
    /// Somebody types at a viewer, as fast as it takes it.
    pub fn type_keys(&mut self, viewer: usize, keys: &str) {
        self.viewers[viewer].typing.push_back(ViewerInput::Keys(keys.as_bytes().to_vec()));
        self.next_keys(viewer);
    }

    /// Something happens at a viewer, now.
    pub fn viewer_input(&mut self, viewer: usize, input: ViewerInput) {
        self.drive_viewer(viewer, Input::Machine(input));
    }

    /// Something happens at a host, now.
    pub fn host_input(&mut self, host: usize, input: HostInput) {
        if let HostInput::Printed(bytes) = &input {
            self.hosts[host].printed.push(bytes.clone());
        }
        self.drive_host(host, Input::Machine(input));
    }

    /// The viewer's own terminal takes bytes again.
    pub fn resume_terminal(&mut self, viewer: usize) {
        self.viewers[viewer].terminal_stalled = false;
        if std::mem::take(&mut self.viewers[viewer].owed_shown) {
            self.later(ms(1), What::Viewer(viewer, Box::new(ViewerInput::Shown)));
        }
    }

    /// The process stops: it neither hears nor acts until [`thaw`](World::thaw).
    pub fn freeze(&mut self, who: Who) {
        self.frozen.insert(who);
    }

    /// The process goes on, and finds what its sockets held.
    pub fn thaw(&mut self, who: Who) {
        self.frozen.remove(&who);
        let held_back = std::mem::take(&mut self.common(who).held_back);
        for what in held_back {
            self.later(ms(0), what);
        }
    }

    /// The network drops all datagrams of `who`, or none any more; datagrams of others still reach `who`.
    pub fn mute(&mut self, who: Who, is_mute: bool) {
        if is_mute {
            self.mute.insert(who);
        } else {
            self.mute.remove(&who);
        }
    }

    /// The network drops all datagrams for `who`, or none any more; datagrams of `who` still reach others.
    pub fn block(&mut self, who: Who, is_blocked: bool) {
        if is_blocked {
            self.blocked.insert(who);
        } else {
            self.blocked.remove(&who);
        }
    }

    /// The network drops all datagrams of `who` and for `who`, or none any more.
    pub fn cut(&mut self, who: Who, is_cut: bool) {
        if is_cut {
            self.cut.insert(who);
        } else {
            self.cut.remove(&who);
        }
    }

    /// Loses the process of a viewer without a word.
    pub fn kill_viewer(&mut self, viewer: usize) {
        self.gone(Who::Viewer(viewer));
    }

    /// The rendezvous' process ends: its connections with it.
    pub fn kill_rendezvous(&mut self) {
        self.rendezvous = None;
        let connections = std::mem::take(&mut self.connections);
        for (id, connection) in connections {
            self.later(ms(5), What::SignalDown(connection.who, id, "the connection was closed"));
        }
    }

    /// A new process of the rendezvous, that knows nothing.
    pub fn start_rendezvous(&mut self) {
        self.rendezvous = Some(Rendezvous::new());
    }

    /// A rendezvous that carries no datagrams, before anything happens.
    #[must_use]
    pub fn without_relay(mut self) -> World<E> {
        self.rendezvous = Some(Rendezvous::new().without_relay());
        self
    }

    /// The rendezvous takes connections and messages, and never answers.
    pub fn mute_rendezvous(&mut self, mute: bool) {
        self.rendezvous_mute = mute;
    }

    /// The connection of `who` to the rendezvous breaks; both ends notice.
    pub fn break_signal(&mut self, who: Who) {
        let Some(id) = self.common(who).connection else { return };
        self.connections.remove(&id);
        self.later(ms(1), What::ClosedAtRendezvous(id));
        self.later(ms(1), What::SignalDown(who, id, "the connection was reset"));
    }

    /// `who` cannot reach the rendezvous any more, or can again; a connection that it has stays.
    pub fn shut_out(&mut self, who: Who, is_shut_out: bool) {
        if is_shut_out {
            self.shut_out.insert(who);
        } else {
            self.shut_out.remove(&who);
        }
    }

    /// `who` has another address from now on: what goes to the one before arrives nowhere.
    pub fn move_away(&mut self, who: Who) {
        self.moves += 1;
        let address = SocketAddr::new(place(who).into(), 9000 + self.moves);
        let common = self.common(who);
        let old = std::mem::replace(&mut common.sockets, vec![address]);
        for old in old {
            self.addresses.remove(&old);
        }
        self.addresses.insert(address, who);
        self.drive(who, NetworkInput::Moved(vec![address]));
    }

    /// A router gives `who` another port towards everybody, and forgets the one before.
    pub fn rebind(&mut self, who: Who) {
        let sockets = self.common(who).sockets.clone();
        for own in sockets {
            self.moves += 1;
            let seen = SocketAddr::new(own.ip(), 20_000 + self.moves);
            self.mapped.retain(|_, inside| *inside != own);
            self.mapped.insert(seen, own);
        }
    }

    /// No socket can be opened at `who`.
    pub fn no_addresses(&mut self, who: Who) {
        self.without_addresses.insert(who);
    }

    /// A message that no machine said, to the rendezvous on the connection of `who`.
    pub fn say_to_rendezvous(&mut self, who: Who, text: String) {
        let Some(id) = self.common(who).connection else { return };
        self.later(ms(1), What::AtRendezvous(id, text));
    }

    /// A message that the rendezvous never said, to `who`.
    pub fn say_to(&mut self, who: Who, text: String) {
        let Some(id) = self.common(who).connection else { return };
        self.later(ms(1), What::FromRendezvous(id, text));
    }

    /// A datagram that the rendezvous relays to `who`, and that nobody sent.
    pub fn say_relayed_to(&mut self, who: Who, bytes: Vec<u8>) {
        let Some(id) = self.common(who).connection else { return };
        self.later(ms(1), What::RelayedFrom(id, bytes));
    }

    /// A datagram that `from` never sent, from its address, arrives at `to`.
    pub fn forge(&mut self, from: Who, to: Who, bytes: Vec<u8>) {
        let source = *self.common(from).sockets.first().expect("it has a socket");
        let destination = *self.common(to).sockets.first().expect("it has a socket");
        self.later(Duration::ZERO, What::Datagram { to, source, destination, bytes });
    }

    /// In tier A1: an event that the world did not make up by itself, now.
    pub fn link_event(&mut self, who: Who, event: Event) {
        match who {
            Who::Host(index) => self.drive_host(index, Input::Machine(event.into())),
            Who::Viewer(index) => self.drive_viewer(index, Input::Machine(event.into())),
        }
    }
}
