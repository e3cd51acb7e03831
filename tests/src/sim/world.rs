//! The world: one virtual clock, one queue of what will happen, and everybody in it.

mod actors;
mod controls;
mod deeds;
mod machines;
mod network;
mod pages;
mod plan;
mod queue;
mod rendezvous;
mod seen;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::ice::turn::StreamId;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::{ConnectionId, Rendezvous};
use beach_core::session::link::Command;
use beach_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

pub use self::actors::{HostNode, ViewerNode};
pub use self::network::{Packet, Tamper};
pub use self::plan::{HostPlan, ViewerPlan, host_secrets};
pub use self::rendezvous::{Meddler, Signal};
pub use self::seen::Seen;

use self::actors::Common;
use self::pages::PageMaker;
use self::queue::What;
use self::rendezvous::Connection;
use crate::sim::nat::Nat;
use crate::sim::network::{Dice, Pipe};
use crate::sim::seam::Seam;
use crate::sim::turn::TurnPost;

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Somebody in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The host of this number.
    Host(usize),
    /// The viewer of this number.
    Viewer(usize),
}

/// See the module.
pub struct World<E: Engine> {
    now: Timestamp,
    /// The dice of the whole world.
    pub dice: Dice,
    engine: Box<dyn FnMut(Who, Timestamp) -> E>,
    pages: Option<PageMaker>,
    clock: Option<fn(Duration)>,
    is_bare: bool,
    seam: Seam,
    /// The hosts.
    pub hosts: Vec<HostNode<E>>,
    /// The viewers.
    pub viewers: Vec<ViewerNode<E>>,
    rendezvous: Option<Rendezvous>,
    rendezvous_mute: bool,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_ever: ConnectionId,
    queue: BTreeMap<(Timestamp, u64), What>,
    queued_ever: u64,
    addresses: BTreeMap<SocketAddr, Who>,
    frozen: BTreeSet<Who>,
    cut: BTreeSet<Who>,
    mute: BTreeSet<Who>,
    blocked: BTreeSet<Who>,
    shut_out: BTreeSet<Who>,
    without_addresses: BTreeSet<Who>,
    dual_stack: bool,
    /// Addresses that a router made, and whose they are.
    mapped: BTreeMap<SocketAddr, SocketAddr>,
    moves: u16,
    turn: Option<TurnPost>,
    /// Connections to it, by their far end.
    streams: BTreeMap<SocketAddr, (Who, StreamId)>,
    apart: bool,
    transcript: Sha256,
    /// Handles each message that passes through the rendezvous, if the test wants that.
    pub meddler: Option<Meddler>,
    /// Handles each datagram between sockets, if the test wants that.
    pub tamper: Option<Tamper>,
    /// All messages of the hosts pass through here first.
    pub uplink: Option<Pipe>,
    /// Everything that was said to the rendezvous.
    pub rendezvous_heard: Vec<String>,
    /// Datagrams that the rendezvous was given and gave: when, and how long.
    pub relayed: Vec<(Timestamp, usize)>,
    /// Every command of a bare machine, noted before it is obeyed.
    pub commands: Vec<(Timestamp, Who, Command)>,
    /// Whether `commands` is filled.
    pub keeps_commands: bool,
    /// The outputs of hosts and viewers that promises are about, in order. The reader of the list empties it.
    pub seen: Vec<(Timestamp, Seen)>,
    /// Whether `seen` is filled.
    pub keeps_seen: bool,
    /// How many in a thousand datagrams between sockets arrive damaged.
    pub damaged: u64,
    /// Damaged datagrams have one changed byte. Otherwise they are cut to one byte, for peers that check nothing.
    pub damage_is_subtle: bool,
    nats: BTreeMap<Who, Nat>,
    /// The rendezvous is told where its clients are.
    tells_addresses: bool,
}

impl<E: Engine> World<E> {
    /// A world of nobody. `engine` makes one for each node, which starts then.
    pub fn new(seed: u64, engine: impl FnMut(Who, Timestamp) -> E + 'static) -> World<E> {
        World {
            now: Timestamp::ZERO,
            dice: Dice::new(seed),
            engine: Box::new(engine),
            pages: None,
            clock: None,
            is_bare: false,
            seam: Seam::default(),
            hosts: Vec::new(),
            viewers: Vec::new(),
            rendezvous: Some(Rendezvous::new()),
            rendezvous_mute: false,
            connections: BTreeMap::new(),
            connections_ever: 0,
            queue: BTreeMap::new(),
            queued_ever: 0,
            addresses: BTreeMap::new(),
            frozen: BTreeSet::new(),
            cut: BTreeSet::new(),
            mute: BTreeSet::new(),
            blocked: BTreeSet::new(),
            shut_out: BTreeSet::new(),
            without_addresses: BTreeSet::new(),
            dual_stack: false,
            mapped: BTreeMap::new(),
            moves: 0,
            turn: None,
            streams: BTreeMap::new(),
            apart: false,
            transcript: Sha256::new(),
            meddler: None,
            tamper: None,
            uplink: None,
            rendezvous_heard: Vec::new(),
            relayed: Vec::new(),
            commands: Vec::new(),
            keeps_commands: false,
            seen: Vec::new(),
            keeps_seen: false,
            damaged: 0,
            damage_is_subtle: false,
            nats: BTreeMap::new(),
            tells_addresses: false,
        }
    }

    /// Tier A1: machines without endpoints.
    #[must_use]
    pub fn bare(mut self) -> World<E> {
        self.is_bare = true;
        self
    }

    /// Everybody has an address of IPv6, too.
    #[must_use]
    pub fn with_dual_stack(mut self) -> World<E> {
        self.dual_stack = true;
        self
    }

    /// The rendezvous is told the address of each client.
    #[must_use]
    pub fn with_client_addresses(mut self) -> World<E> {
        self.tells_addresses = true;
        self
    }

    /// How often `who` had something to do so far: something came, or it was time.
    pub fn turns(&self, who: Who) -> u64 {
        match who {
            Who::Host(index) => self.hosts[index].common.turns,
            Who::Viewer(index) => self.viewers[index].common.turns,
        }
    }

    /// Tells `clock` of time that passes.
    #[must_use]
    pub fn with_clock(mut self, clock: fn(Duration)) -> World<E> {
        self.clock = Some(clock);
        self
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A digest of everything that everybody put out so far, and when.
    pub fn transcript(&self) -> String {
        self.transcript.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The rendezvous, if it lives.
    pub fn rendezvous(&self) -> Option<&Rendezvous> {
        self.rendezvous.as_ref()
    }

    /// The viewer's stage, or how it ended, for messages of tests.
    pub fn story(&self, viewer: usize) -> String {
        let viewer = &self.viewers[viewer];
        format!("stage {:?}, exit {:?}, notices {:?}", viewer.node.machine().stage(), viewer.exit, viewer.notices)
    }

    fn common(&mut self, who: Who) -> &mut Common {
        match who {
            Who::Host(index) => &mut self.hosts[index].common,
            Who::Viewer(index) => &mut self.viewers[index].common,
        }
    }
}
