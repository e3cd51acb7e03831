//! Several rendezvous, the directory that they share, and hosts and viewers that come by one name: in front of the
//! rendezvous stands a balancer, which takes any of those that run and do not end. No datagram gets directly from one
//! to another. A viewer is in as soon as its host has let it in, and leaves then, unless it is one that stays and
//! types. Some viewers do not go to another rendezvous by themselves, as pages and older programs do not: they are
//! carried there.

mod people;
mod pipes;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Secrets};
use beach_core::host::{Host, HostInput};
use beach_core::machine::{Machine as _, Tick};
use beach_core::predict::Mode;
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput, Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::link::LinkUser;
use beach_core::terminal::{Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerInput};
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};
use serde::Serialize;

use self::pipes::{Pipes, is_elsewhere, is_envelope_for_client, is_envelope_of_client, without_moves};
use super::fake::FakeEngine;
use super::network::Dice;
use super::node::{Below, Effect, Node};
use super::world::{HostPlan, host_secrets};

pub use self::store::{Entry, LIFE, Store};

/// The name in the invites.
const NAME: &str = "http://rendezvous.test";

/// A message takes at least this long.
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
    RelayToNode(u64, Vec<u8>),
    RelayToClient(u64, Vec<u8>),
    ToHost(usize, HostInput),
    ToViewer(usize, ViewerInput),
    Bound(Client, u16),
    Request(usize, u64, DirectoryOutput),
    Answer(usize, u64, DirectoryInput),
}

struct Connection {
    client: Client,
    node: usize,
    /// Nothing gets through any more, and nobody is told.
    is_dead: bool,
    /// Each message takes this long.
    latency: Duration,
    /// How many rendezvous carry the connection.
    carriers: u32,
}

/// Which of a client's two connections one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Main,
    Beside,
}

struct Peer<M: LinkUser> {
    node: Node<M, FakeEngine>,
    started: Timestamp,
    connection: Option<u64>,
    /// The connection that is to take its place, and what is said there first.
    beside: Option<(u64, Vec<String>)>,
    is_begun: bool,
    is_gone: bool,
}

/// A host of the simulation.
pub struct HostPeer {
    peer: Peer<Host>,
    /// A host that does not count its registrations, and knows no `move`.
    is_old: bool,
    /// The input of viewers, as the program got it.
    pub written: Vec<u8>,
    /// How often the host told that its rendezvous is lost.
    pub lost: u32,
}

/// A viewer of the simulation.
pub struct ViewerPeer {
    peer: Peer<Viewer>,
    /// Whether the viewer goes to another rendezvous if it is told to.
    pub moves: bool,
    /// The balancer takes this rendezvous the first time.
    first: Option<usize>,
    hops: u32,
    /// The most hops in a row.
    pub most_hops: u32,
    /// When its host let it in.
    pub in_at: Option<Timestamp>,
    /// The exit of the viewer's machine, in words, if there was one.
    pub failed: Option<String>,
    started: Timestamp,
    /// Whether the viewer stays once it is in.
    stays: bool,
    /// The keys that wait to be typed, and whether the viewer has taken the ones before.
    keys: VecDeque<u8>,
    keys_out: bool,
    /// How often the viewer told that its link is gone.
    pub away: u32,
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
    /// Whether it shall end: then the balancer takes another one.
    ends: bool,
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
    /// The longest that a message takes more than usual, drawn anew for each connection.
    pub jitter: Duration,
    /// So many of a hundred connections are refused.
    pub refused: u64,
    /// Whether the balancer knows which rendezvous end.
    pub is_checked: bool,
    servers: Vec<Option<Server>>,
    /// Counts the starts of each rendezvous: what was under way to an earlier one is lost.
    starts: Vec<u64>,
    stores: [Store; 2],
    directory_is_up: bool,
    /// The hosts.
    pub hosts: Vec<HostPeer>,
    /// The viewers.
    pub viewers: Vec<ViewerPeer>,
    connections: BTreeMap<u64, Connection>,
    connections_ever: u64,
    pipes: Pipes,
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
            jitter: Duration::ZERO,
            refused: 0,
            is_checked: true,
            servers: (0..count).map(|_| None).collect(),
            starts: vec![0; count],
            stores: <[Store; 2]>::default(),
            directory_is_up: true,
            hosts: Vec::new(),
            viewers: Vec::new(),
            connections: BTreeMap::new(),
            connections_ever: 0,
            pipes: Pipes::default(),
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
            self.servers[node] = Some(Server { ends: false, rendezvous, started: self.now, copy: 0 });
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

    /// Asks a rendezvous to end; it ends by itself.
    pub fn drain(&mut self, node: usize) {
        self.servers[node].iter_mut().for_each(|server| server.ends = true);
        self.drive(node, RendezvousInput::Drain);
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
        self.hosts.push(HostPeer { peer: Peer::new(node, self.now), is_old, written: Vec::new(), lost: 0 });
        let index = self.hosts.len() - 1;
        self.later(Duration::ZERO, What::Wake(Client::Host(index)));
        index
    }

    /// A viewer with a short or a long link, which comes to the rendezvous `first`.
    pub fn add_viewer(&mut self, secrets: u64, first: Option<usize>) -> usize {
        let invite = host_secrets(secrets).invite(NAME, Role::Control);
        let invite = if self.dice.percent(50) { invite.short() } else { invite };
        let moves = !self.dice.percent(30);
        let config = viewer_config(self.dice.seed(), invite.role);
        let entropy = Entropy::new(self.dice.seed());
        let engine = FakeEngine::new(1_000_000 + self.viewers.len() as u64);
        let endpoint = Endpoint::new(Viewer::new(config), engine, Secrets::Viewer(invite), entropy);
        let peer = Peer::new(Node::Whole(Box::new(endpoint)), self.now);
        self.viewers.push(ViewerPeer {
            peer,
            moves,
            first,
            hops: 0,
            most_hops: 0,
            in_at: None,
            failed: None,
            started: self.now,
            stays: false,
            keys: VecDeque::new(),
            keys_out: false,
            away: 0,
        });
        let index = self.viewers.len() - 1;
        self.later(Duration::ZERO, What::Wake(Client::Viewer(index)));
        index
    }

    /// Host or viewer leaves.
    pub fn leave(&mut self, client: Client) {
        let connections = match client {
            Client::Host(index) => self.hosts[index].peer.end(),
            Client::Viewer(index) => self.viewers[index].peer.end(),
        };
        connections.into_iter().flatten().for_each(|id| self.close(id));
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
                let (client, node, latency) = (connection.client, connection.node, connection.latency);
                if self.runs(node) && !self.dice.percent(self.refused) {
                    self.drive(node, RendezvousInput::Opened(id, None));
                    self.later(latency, What::Up(id));
                } else {
                    self.later(latency, What::Down(client, id, "connection refused"));
                }
            }
            What::Up(id) if self.viewer_of(id).is_some() => self.leads_on(id),
            What::Up(id) => match self.part(id) {
                Some((client, Part::Main)) => self.tell_client(client, NetworkInput::SignalUp),
                Some((client, Part::Beside)) => self.say_beside(client),
                None => {}
            },
            What::ToClient(id, text) => {
                if let Some(viewer) = self.viewer_of(id) {
                    self.note_carried(viewer, is_envelope_for_client(&text));
                    return self.later(self.latency(viewer), What::ToClient(viewer, text));
                }
                self.note_answer(id, &text);
                match self.part(id) {
                    Some((Client::Host(index), _)) if self.hosts[index].is_old && is_move(&text) => {}
                    Some((client, Part::Main)) => self.tell_client(client, NetworkInput::Signal(text)),
                    Some((client, Part::Beside)) => self.tell_client(client, NetworkInput::SignalBeside(text)),
                    None => {}
                }
            }
            What::RelayToClient(id, bytes) => {
                if let Some(viewer) = self.viewer_of(id) {
                    return self.later(self.latency(viewer), What::RelayToClient(viewer, bytes));
                }
                if let Some((client, _)) = self.part(id) {
                    self.tell_client(client, NetworkInput::Relayed(bytes));
                }
            }
            What::RelayToNode(id, bytes) => {
                if let Some(onward) = self.onward(id) {
                    return self.carry(id, What::RelayToNode(onward, bytes));
                }
                if let Some(node) = self.connections.get(&id).filter(|one| !one.is_dead).map(|one| one.node) {
                    self.drive(node, RendezvousInput::Datagram(id, bytes));
                }
            }
            What::ToHost(index, input) => self.drive_host(index, Input::Machine(input)),
            What::ToViewer(index, input) => self.drive_viewer(index, Input::Machine(input)),
            What::Closed(id) => {
                self.unpipe(id);
                if let Some(connection) = self.connections.remove(&id).filter(|connection| !connection.is_dead) {
                    self.drive(connection.node, RendezvousInput::Closed(id));
                }
            }
            What::Down(client, id, cause) => {
                self.unpipe(id);
                let part = self.part_of(client, id);
                self.connections.remove(&id);
                match part {
                    Some(Part::Main) => {
                        self.hang_up(client);
                        self.tell_client(client, NetworkInput::SignalDown(cause.to_owned()));
                    }
                    Some(Part::Beside) => {
                        self.beside(client).take();
                        self.tell_client(client, NetworkInput::BesideDown(cause.to_owned()));
                    }
                    None => {}
                }
            }
            What::ToNode(id, text) => {
                if let Some(onward) = self.onward(id) {
                    self.note_carried(id, is_envelope_of_client(&text));
                    return self.carry(id, What::ToNode(onward, text));
                }
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
                RendezvousOutput::Send(id, text) => self.later(self.latency(id), What::ToClient(id, text)),
                RendezvousOutput::Datagram(id, bytes) => self.later(self.latency(id), What::RelayToClient(id, bytes)),
                RendezvousOutput::Close(id) => {
                    let Some(connection) = self.connections.get(&id) else { continue };
                    let (client, is_dead, latency) = (connection.client, connection.is_dead, connection.latency);
                    self.closed_by_nodes += 1;
                    if !is_dead {
                        self.later(latency, What::Down(client, id, "the rendezvous closed the connection"));
                    }
                }
                RendezvousOutput::Directory(request) => {
                    let start = self.starts[node];
                    self.travel(What::Request(node, start, request));
                }
                RendezvousOutput::Drained => return self.kill(node),
                RendezvousOutput::Pipe { connection, place, join } => self.pipe(connection, &place, join),
                RendezvousOutput::TakesPart(_) => {}
            }
        }
        if let Some(after) = wakes {
            self.later(after, What::WakeNode(node));
        }
    }

    // Clients.

    /// A viewer that was let in or made to wait begins to count its hops anew.
    fn note_answer(&mut self, id: u64, text: &str) {
        let Some(Client::Viewer(index)) = self.connections.get(&id).map(|connection| connection.client) else { return };
        assert!(self.viewers[index].moves || !is_elsewhere(text), "a viewer is sent to a place where it does not go");
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
            Below::DialBeside(texts) => {
                self.abandon_beside(client);
                let id = self.connect(client, None);
                *self.beside(client) = Some((id, texts));
            }
            Below::TakeBeside => {
                self.hang_up(client).into_iter().for_each(|id| self.close(id));
                let taken = self.beside(client).take().map(|(id, _)| id);
                *self.connection_mut(client) = taken;
            }
            Below::HangUpBeside => self.abandon_beside(client),
            Below::HangUp => self.abandon(client),
            Below::Signal(text) => {
                let Some(id) = self.connection(client) else { return };
                let text = match client {
                    Client::Host(index) if self.hosts[index].is_old => without_turn(&text),
                    Client::Viewer(index) if !self.viewers[index].moves => without_moves(&text),
                    Client::Host(_) | Client::Viewer(_) => text,
                };
                self.later(self.latency(id), What::ToNode(id, text));
            }
            Below::Relay(bytes) => {
                let Some(id) = self.connection(client) else { return };
                self.later(self.latency(id), What::RelayToNode(id, bytes));
            }
            Below::Bind(generation) => self.later(Duration::from_millis(1), What::Bound(client, generation)),
            Below::Command(_)
            | Below::Datagram { .. }
            | Below::TurnDial(_)
            | Below::TurnWrite(..)
            | Below::TurnHangUp(_)
            | Below::Peer(..)
            | Below::Links
            | Below::Record(_)
            | Below::Note(_) => {}
        }
    }

    fn dial(&mut self, client: Client, at: Option<usize>) {
        self.abandon(client);
        let id = self.connect(client, at);
        *self.connection_mut(client) = Some(id);
    }

    /// A new connection, to a rendezvous that the client names or to one that the balancer takes.
    fn connect(&mut self, client: Client, at: Option<usize>) -> u64 {
        let goes_there = |server: &Server| !(server.ends && self.is_checked);
        let nodes = self.servers.iter().enumerate();
        let open = nodes.filter(|(_, server)| server.as_ref().is_some_and(goes_there));
        let open: Vec<_> = open.map(|(node, _)| node).collect();
        let any = match open.len() as u64 {
            0 => 0,
            count => open[self.dice.between(0, count - 1) as usize],
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
        self.open(client, node, 0)
    }

    /// A new connection to this rendezvous, which so many others carry.
    fn open(&mut self, client: Client, node: usize, carriers: u32) -> u64 {
        self.connections_ever += 1;
        let id = self.connections_ever;
        let latency = LATENCY + self.dice.up_to(self.jitter);
        self.connections.insert(id, Connection { client, node, is_dead: false, latency, carriers });
        self.later(latency, What::Opened(id));
        id
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
        Peer { node, started, connection: None, beside: None, is_begun: false, is_gone: false }
    }

    /// Ends it; its connections.
    fn end(&mut self) -> [Option<u64>; 2] {
        self.is_gone = true;
        [self.connection.take(), self.beside.take().map(|(id, _)| id)]
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

fn is_move(text: &str) -> bool {
    matches!(parse_from_rendezvous(text), Ok(FromRendezvous::Move { .. }))
}
