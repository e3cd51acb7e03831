//! Several rendezvous, the directory that they share, and hosts and viewers that come by one name: in front of the
//! rendezvous stands a balancer, which takes any of those that run. Only signalling travels here: a viewer is in as
//! soon as its host has let it in, and leaves then.

mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Secrets};
use beach_core::host::Host;
use beach_core::machine::{Machine as _, Tick};
use beach_core::predict::Mode;
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput, Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::LinkUser;
use beach_core::terminal::{Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerNotice, ViewerOutput};
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};
use serde::Serialize;

use super::fake::FakeEngine;
use super::network::Dice;
use super::node::{Below, Effect, Node};
use super::world::{HostPlan, host_secrets};

pub use self::store::{Entry, LIFE, Store};

/// The name in the invites.
const NAME: &str = "http://rendezvous.test";

/// A message takes this long.
const LATENCY: Duration = Duration::from_millis(10);

/// Most hops of a viewer, from one rendezvous to the next, before it comes by the name again.
const MAX_HOPS: u32 = 3;

/// A host or a viewer, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// A host.
    Host(usize),
    /// A viewer.
    Viewer(usize),
}

enum What {
    Wake(Client),
    WakeNode(usize),
    Opened(u64),
    Up(u64),
    Closed(u64),
    Down(Client, u64, &'static str),
    ToNode(u64, String),
    ToClient(u64, String),
    Bound(Client, u16),
    Request(usize, u64, DirectoryOutput),
    Answer(usize, u64, DirectoryInput),
}

struct Connection {
    client: Client,
    node: usize,
    /// Nothing gets through any more, and nobody is told.
    is_dead: bool,
}

struct Peer<M: LinkUser> {
    node: Node<M, FakeEngine>,
    started: Timestamp,
    connection: Option<u64>,
    is_begun: bool,
    is_gone: bool,
}

/// A host of the simulation.
pub struct HostPeer {
    peer: Peer<Host>,
    /// A host that does not count its registrations.
    is_old: bool,
}

/// A viewer of the simulation.
pub struct ViewerPeer {
    peer: Peer<Viewer>,
    /// The balancer takes this rendezvous the first time.
    first: Option<usize>,
    hops: u32,
    /// The most hops in a row.
    pub most_hops: u32,
    /// When its host let it in.
    pub in_at: Option<Timestamp>,
    /// What it ended with, if it failed.
    pub failed: Option<String>,
    started: Timestamp,
}

/// How requests to the directory and its answers travel.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Longest way, each way: those with different ways overtake each other.
    pub longest: Duration,
    /// So many of a hundred are lost.
    pub lost: u64,
}

impl Weather {
    /// Quick and safe.
    pub const FINE: Weather = Weather { longest: Duration::from_millis(2), lost: 0 };
}

struct Server {
    rendezvous: Rendezvous,
    started: Timestamp,
    /// The copy of the directory that it reaches.
    copy: usize,
}

/// The simulation.
pub struct Nodes {
    /// The time.
    pub now: Timestamp,
    /// Its randomness.
    pub dice: Dice,
    /// The ways to the directory.
    pub weather: Weather,
    servers: Vec<Option<Server>>,
    /// Counts the starts of each rendezvous: what was under way to an earlier one is lost.
    starts: Vec<u64>,
    stores: [Store; 2],
    directory_is_up: bool,
    hosts: Vec<HostPeer>,
    /// The viewers.
    pub viewers: Vec<ViewerPeer>,
    connections: BTreeMap<u64, Connection>,
    connections_ever: u64,
    queue: BTreeMap<(Timestamp, u64), What>,
    queued_ever: u64,
    /// How often a rendezvous closed a connection.
    pub closed_by_nodes: u64,
}

fn place(node: usize) -> String {
    format!("http://n{node}.rendezvous.test")
}

/// A viewer that asks once, and stays at the rendezvous.
pub fn viewer_config(seed: [u8; 32], role: Role) -> ViewerConfig {
    ViewerConfig {
        seed,
        role,
        name: "viewer".to_owned(),
        size: Size::new(80, 24),
        wait: None,
        options: Options::default(),
        predict: Mode::Never,
        history: 0,
        clipboard: false,
        stays: true,
        reconnect: Duration::from_secs(600),
    }
}

impl Nodes {
    /// So many rendezvous, and a directory that they reach.
    pub fn new(seed: u64, count: usize) -> Nodes {
        let mut nodes = Nodes {
            now: Timestamp::from(Duration::from_secs(1)),
            dice: Dice::new(seed),
            weather: Weather::FINE,
            servers: (0..count).map(|_| None).collect(),
            starts: vec![0; count],
            stores: <[Store; 2]>::default(),
            directory_is_up: true,
            hosts: Vec::new(),
            viewers: Vec::new(),
            connections: BTreeMap::new(),
            connections_ever: 0,
            queue: BTreeMap::new(),
            queued_ever: 0,
            closed_by_nodes: 0,
        };
        (0..count).for_each(|node| nodes.start(node));
        nodes
    }

    fn later(&mut self, after: Duration, what: What) {
        self.queued_ever += 1;
        self.queue.insert((self.now + after, self.queued_ever), what);
    }

    // Faults.

    /// Starts a rendezvous that does not run.
    pub fn start(&mut self, node: usize) {
        if self.servers[node].is_none() {
            let rendezvous = Rendezvous::new().with_directory(&place(node));
            self.servers[node] = Some(Server { rendezvous, started: self.now, copy: 0 });
            self.starts[node] += 1;
            if self.directory_is_up {
                self.drive(node, RendezvousInput::Directory(DirectoryInput::Up));
            }
        }
    }

    /// Kills a rendezvous: its connections are reset.
    pub fn kill(&mut self, node: usize) {
        self.servers[node] = None;
        let cut: Vec<_> = self.connections.iter().filter(|(_, one)| one.node == node && !one.is_dead).collect();
        let cut: Vec<_> = cut.into_iter().map(|(id, one)| (*id, one.client)).collect();
        for (id, client) in cut {
            self.later(LATENCY, What::Down(client, id, "the connection was reset"));
        }
    }

    /// Whether it runs.
    pub fn runs(&self, node: usize) -> bool {
        self.servers[node].is_some()
    }

    /// Nothing gets through any more on the host's connection, and nobody is told.
    pub fn half_open(&mut self, host: usize) {
        let id = self.hosts[host].peer.connection;
        if let Some(connection) = id.and_then(|id| self.connections.get_mut(&id)) {
            connection.is_dead = true;
        }
    }

    /// The host's connection is reset, and its rendezvous knows.
    pub fn reset(&mut self, host: usize) {
        if let Some(id) = self.hosts[host].peer.connection {
            self.later(LATENCY, What::Closed(id));
            self.later(LATENCY, What::Down(Client::Host(host), id, "the connection was reset"));
        }
    }

    /// The directory has lost everything.
    pub fn wipe(&mut self) {
        self.stores = <[Store; 2]>::default();
    }

    /// The directory cannot be reached, or can be again; each rendezvous notices.
    pub fn directory(&mut self, is_up: bool) {
        self.directory_is_up = is_up;
        let input = || RendezvousInput::Directory(if is_up { DirectoryInput::Up } else { DirectoryInput::Down });
        (0..self.servers.len()).for_each(|node| self.drive(node, input()));
    }

    /// Every second rendezvous reaches a copy of the directory of its own.
    pub fn split(&mut self) {
        self.stores[1] = self.stores[0].clone();
        for (node, server) in self.servers.iter_mut().enumerate() {
            server.iter_mut().for_each(|server| server.copy = node % 2);
        }
    }

    /// All reach the same copy again; the other one is lost.
    pub fn unite(&mut self) {
        self.servers.iter_mut().flatten().for_each(|server| server.copy = 0);
        self.stores[1] = Store::default();
    }

    // People.

    /// A host of the session with these secrets, which may be one that does not count its registrations.
    pub fn add_host(&mut self, secrets: u64, is_old: bool) -> usize {
        let mut config = HostPlan::new(secrets).config;
        config.seed = self.dice.seed();
        let engine = FakeEngine::new(secrets);
        let (secrets, entropy) = (Secrets::Host(host_secrets(secrets)), Entropy::new(self.dice.seed()));
        let endpoint = Endpoint::new(Host::new(config), engine, secrets, entropy);
        let node = Node::Whole(Box::new(endpoint));
        self.hosts.push(HostPeer { peer: Peer::new(node, self.now), is_old });
        let index = self.hosts.len() - 1;
        self.later(Duration::ZERO, What::Wake(Client::Host(index)));
        index
    }

    /// A viewer with a short or a long link, which comes to the rendezvous `first`.
    pub fn add_viewer(&mut self, secrets: u64, first: Option<usize>) -> usize {
        let invite = host_secrets(secrets).invite(NAME, Role::Control);
        let invite = if self.dice.percent(50) { invite.short() } else { invite };
        let config = viewer_config(self.dice.seed(), invite.role);
        let entropy = Entropy::new(self.dice.seed());
        let engine = FakeEngine::new(1_000_000 + self.viewers.len() as u64);
        let endpoint = Endpoint::new(Viewer::new(config), engine, Secrets::Viewer(invite), entropy);
        let peer = Peer::new(Node::Whole(Box::new(endpoint)), self.now);
        let viewer = ViewerPeer { peer, first, hops: 0, most_hops: 0, in_at: None, failed: None, started: self.now };
        self.viewers.push(viewer);
        let index = self.viewers.len() - 1;
        self.later(Duration::ZERO, What::Wake(Client::Viewer(index)));
        index
    }

    /// Host or viewer leaves.
    pub fn leave(&mut self, client: Client) {
        let (gone, connection) = match client {
            Client::Host(index) => self.hosts[index].peer.end(),
            Client::Viewer(index) => self.viewers[index].peer.end(),
        };
        *gone = true;
        if let Some(id) = connection.take() {
            self.later(LATENCY, What::Closed(id));
        }
    }

    /// Where a host is registered, as far as the rendezvous know.
    pub fn at(&self, host: usize) -> Option<usize> {
        let id = self.hosts[host].peer.connection?;
        self.connections.get(&id).map(|connection| connection.node)
    }

    /// The entry of a session in the first copy of the directory.
    pub fn entry(&self, secrets: u64) -> Option<Entry> {
        self.stores[0].get(self.now, host_secrets(secrets).session().short()).cloned()
    }

    /// Whether the host is registered at a rendezvous that runs, and the directory names that one.
    pub fn is_found(&self, host: usize, secrets: u64) -> bool {
        let at = self.at(host).filter(|node| self.runs(*node));
        at.is_some_and(|node| self.entry(secrets).is_some_and(|entry| entry.place == place(node)))
    }

    /// Sessions, links and connections of all that run.
    pub fn counts(&self) -> (usize, usize, usize) {
        let counts = self.servers.iter().flatten().map(|server| server.rendezvous.counts());
        counts.fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
    }

    /// Whether no rendezvous waits for anything, and the directory is empty.
    pub fn is_quiet(&self) -> bool {
        let waits = self.servers.iter().flatten().any(|server| server.rendezvous.deadline().is_some());
        !waits && self.stores.iter().all(|store| store.is_empty(self.now))
    }

    // Time.

    /// Lets so much time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= end) {
            let ((at, _), what) = first.remove_entry();
            self.now = at;
            self.happens(what);
        }
        self.now = end;
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Wake(client) => self.wake(client),
            What::WakeNode(node) => {
                let due = self.servers[node].as_ref().and_then(Server::deadline);
                if due.is_some_and(|at| at <= self.now) {
                    self.drive(node, RendezvousInput::Tick);
                }
            }
            What::Opened(id) => {
                let Some(connection) = self.connections.get(&id) else { return };
                let (client, node) = (connection.client, connection.node);
                if self.runs(node) {
                    self.drive(node, RendezvousInput::Opened(id, None));
                    self.later(LATENCY, What::Up(id));
                } else {
                    self.later(LATENCY, What::Down(client, id, "connection refused"));
                }
            }
            What::Up(id) => self.tell(id, NetworkInput::SignalUp),
            What::ToClient(id, text) => {
                self.note_answer(id, &text);
                self.tell(id, NetworkInput::Signal(text));
            }
            What::Closed(id) => {
                if let Some(connection) = self.connections.remove(&id).filter(|connection| !connection.is_dead) {
                    self.drive(connection.node, RendezvousInput::Closed(id));
                }
            }
            What::Down(client, id, cause) => {
                self.connections.remove(&id);
                if self.connection(client) == Some(id) {
                    self.hang_up(client);
                    self.tell_client(client, NetworkInput::SignalDown(cause.to_owned()));
                }
            }
            What::ToNode(id, text) => {
                let Some(connection) = self.connections.get(&id).filter(|connection| !connection.is_dead) else {
                    return;
                };
                let node = connection.node;
                self.drive(node, RendezvousInput::Text(id, text));
            }
            What::Bound(client, generation) => {
                let address = ([10, 0, 0, 1], 4000).into();
                self.tell_client(client, NetworkInput::Bound(generation, vec![address]));
            }
            What::Request(node, start, request) => {
                if !self.directory_is_up {
                    return;
                }
                let copy = self.servers[node].as_ref().map_or(0, |server| server.copy);
                let answers = self.stores[copy].perform(self.now, &place(node), request);
                for answer in answers {
                    self.travel(What::Answer(node, start, answer));
                }
            }
            What::Answer(node, start, answer) => {
                if self.starts[node] == start && self.directory_is_up {
                    self.drive(node, RendezvousInput::Directory(answer));
                }
            }
        }
    }

    /// To the directory or from it.
    fn travel(&mut self, what: What) {
        if !self.dice.percent(self.weather.lost) {
            let takes = self.dice.up_to(self.weather.longest);
            self.later(takes, what);
        }
    }

    fn drive(&mut self, node: usize, input: RendezvousInput) {
        let Some(server) = &mut self.servers[node] else { return };
        let local = Timestamp::from(self.now.since(server.started));
        server.rendezvous.handle(local, input);
        let outputs: Vec<_> = std::iter::from_fn(|| server.rendezvous.poll()).collect();
        let wakes = server.deadline().map(|at| at.since(self.now));
        for output in outputs {
            match output {
                RendezvousOutput::Send(id, text) => self.later(LATENCY, What::ToClient(id, text)),
                RendezvousOutput::Close(id) => {
                    let Some(connection) = self.connections.get(&id) else { continue };
                    let (client, is_dead) = (connection.client, connection.is_dead);
                    self.closed_by_nodes += 1;
                    if !is_dead {
                        self.later(LATENCY, What::Down(client, id, "the rendezvous closed the connection"));
                    }
                }
                RendezvousOutput::Directory(request) => {
                    let start = self.starts[node];
                    self.travel(What::Request(node, start, request));
                }
                RendezvousOutput::Datagram(..) | RendezvousOutput::TakesPart(_) | RendezvousOutput::Drained => {}
            }
        }
        if let Some(after) = wakes {
            self.later(after, What::WakeNode(node));
        }
    }

    // Clients.

    fn connection(&self, client: Client) -> Option<u64> {
        match client {
            Client::Host(index) => self.hosts[index].peer.connection,
            Client::Viewer(index) => self.viewers[index].peer.connection,
        }
    }

    fn hang_up(&mut self, client: Client) -> Option<u64> {
        match client {
            Client::Host(index) => self.hosts[index].peer.connection.take(),
            Client::Viewer(index) => self.viewers[index].peer.connection.take(),
        }
    }

    /// On a connection that still is the client's.
    fn tell(&mut self, id: u64, input: NetworkInput) {
        let Some(connection) = self.connections.get(&id).filter(|connection| !connection.is_dead) else { return };
        let client = connection.client;
        if self.connection(client) == Some(id) {
            self.tell_client(client, input);
        }
    }

    /// A viewer that was let in or made to wait begins to count its hops anew.
    fn note_answer(&mut self, id: u64, text: &str) {
        let Some(Client::Viewer(index)) = self.connections.get(&id).map(|connection| connection.client) else { return };
        if let Ok(FromRendezvous::Joined { .. } | FromRendezvous::Waiting { .. }) = parse_from_rendezvous(text) {
            self.viewers[index].hops = 0;
        }
    }

    fn wake(&mut self, client: Client) {
        let now = self.now;
        let (due, is_first) = match client {
            Client::Host(index) => self.hosts[index].peer.due(),
            Client::Viewer(index) => self.viewers[index].peer.due(),
        };
        if is_first || due.is_some_and(|at| at <= now) {
            match client {
                Client::Host(index) => self.drive_host(index, Input::Tick),
                Client::Viewer(index) => self.drive_viewer(index, Input::Tick),
            }
        }
    }

    fn tell_client(&mut self, client: Client, input: NetworkInput) {
        match client {
            Client::Host(index) => self.drive_host(index, Input::Network(input)),
            Client::Viewer(index) => self.drive_viewer(index, Input::Network(input)),
        }
    }

    fn drive_host(&mut self, index: usize, input: Input<beach_core::host::HostInput>) {
        for effect in self.hosts[index].peer.drive(self.now, input) {
            if let Effect::Below(below) = effect {
                self.below(Client::Host(index), below);
            }
        }
        self.wake_later(Client::Host(index));
    }

    fn drive_viewer(&mut self, index: usize, input: Input<beach_core::viewer::ViewerInput>) {
        for effect in self.viewers[index].peer.drive(self.now, input) {
            match effect {
                Effect::Below(below) => self.below(Client::Viewer(index), below),
                Effect::Machine(ViewerOutput::Notice(ViewerNotice::Stage(stage))) if stage >= Stage::Offer => {
                    let now = self.now;
                    self.viewers[index].in_at.get_or_insert(now);
                }
                Effect::Machine(ViewerOutput::Exit(exit)) => {
                    self.viewers[index].failed = Some(format!("{exit:?}"));
                }
                Effect::Machine(_) => {}
            }
        }
        if self.viewers[index].in_at.is_some() || self.viewers[index].failed.is_some() {
            self.leave(Client::Viewer(index));
        }
        self.wake_later(Client::Viewer(index));
    }

    fn wake_later(&mut self, client: Client) {
        let (due, _) = match client {
            Client::Host(index) => self.hosts[index].peer.due(),
            Client::Viewer(index) => self.viewers[index].peer.due(),
        };
        if let Some(at) = due {
            self.later(at.since(self.now), What::Wake(client));
        }
    }

    fn below(&mut self, client: Client, below: Below) {
        match below {
            Below::Dial => self.dial(client, None),
            Below::DialAt(url) => {
                let node = (0..self.servers.len()).find(|node| place(*node) == url);
                self.dial(client, Some(node.expect("viewers are sent to places")));
            }
            Below::HangUp => self.abandon(client),
            Below::Signal(text) => {
                let Some(id) = self.connection(client) else { return };
                let is_old = matches!(client, Client::Host(index) if self.hosts[index].is_old);
                let text = if is_old { without_turn(&text) } else { text };
                self.later(LATENCY, What::ToNode(id, text));
            }
            Below::Bind(generation) => self.later(Duration::from_millis(1), What::Bound(client, generation)),
            Below::Command(_)
            | Below::Datagram { .. }
            | Below::Relay(_)
            | Below::TurnDial(_)
            | Below::TurnWrite(..)
            | Below::TurnHangUp(_)
            | Below::Peer(..)
            | Below::Links
            | Below::Record(_)
            | Below::Note(_) => {}
        }
    }

    fn abandon(&mut self, client: Client) {
        if let Some(id) = self.hang_up(client) {
            self.later(LATENCY, What::Closed(id));
        }
    }

    fn dial(&mut self, client: Client, at: Option<usize>) {
        self.abandon(client);
        let running: Vec<_> = (0..self.servers.len()).filter(|node| self.runs(*node)).collect();
        let any = match running.len() as u64 {
            0 => 0,
            count => running[self.dice.between(0, count - 1) as usize],
        };
        let first = match client {
            Client::Host(_) => None,
            Client::Viewer(index) => {
                let viewer = &mut self.viewers[index];
                viewer.hops = if at.is_some() { viewer.hops + 1 } else { 0 };
                viewer.most_hops = viewer.most_hops.max(viewer.hops);
                assert!(viewer.hops <= MAX_HOPS, "a viewer is sent from one rendezvous to the next too often");
                viewer.first.take()
            }
        };
        let node = at.or(first.filter(|node| self.runs(*node))).unwrap_or(any);
        self.connections_ever += 1;
        let id = self.connections_ever;
        self.connections.insert(id, Connection { client, node, is_dead: false });
        let connection = match client {
            Client::Host(index) => &mut self.hosts[index].peer.connection,
            Client::Viewer(index) => &mut self.viewers[index].peer.connection,
        };
        *connection = Some(id);
        self.later(LATENCY, What::Opened(id));
    }
}

impl ViewerPeer {
    /// How long it took to get in.
    pub fn took(&self) -> Option<Duration> {
        Some(self.in_at?.since(self.started))
    }
}

impl Server {
    fn deadline(&self) -> Option<Timestamp> {
        Some(self.rendezvous.deadline()? + self.started.since_start())
    }
}

impl<M> Peer<M>
where
    M: LinkUser<Input: Serialize + From<Tick>, Output: Serialize>,
{
    fn new(node: Node<M, FakeEngine>, started: Timestamp) -> Peer<M> {
        Peer { node, started, connection: None, is_begun: false, is_gone: false }
    }

    fn end(&mut self) -> (&mut bool, &mut Option<u64>) {
        (&mut self.is_gone, &mut self.connection)
    }

    /// When it has something to do, and whether its first input is still to come.
    fn due(&self) -> (Option<Timestamp>, bool) {
        let due = self.node.deadline().filter(|_| !self.is_gone).map(|at| at + self.started.since_start());
        (due, !self.is_gone && !self.is_begun)
    }

    fn drive(&mut self, now: Timestamp, input: Input<M::Input>) -> Vec<Effect<M::ForRuntime>> {
        if self.is_gone {
            return Vec::new();
        }
        self.is_begun = true;
        self.node.drive(Timestamp::from(now.since(self.started)), input)
    }
}

/// A registration as hosts from before send it.
fn without_turn(text: &str) -> String {
    match parse_to_rendezvous(text) {
        Ok(register @ ToRendezvous::Register { .. }) => to_text(&register.in_turn(0)),
        Ok(_) | Err(_) => text.to_owned(),
    }
}
