//! The world: one virtual clock, one queue of what will happen, and everybody in it.

mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use beach_core::Entropy;
use beach_core::crypto::invite::{HostSecrets, Invite};
use beach_core::endpoint::note::Note;
use beach_core::endpoint::{Endpoint, Generation, Input, Paths, Secrets};
use beach_core::host::{Approve, MAX_VIEWERS, Resize};
use beach_core::host::{Escape, Host, HostConfig, HostExit, HostInput, HostNotice, HostOutput, InviteRules, Start};
use beach_core::ice::turn::StreamId;
use beach_core::machine::{Machine as _, Tick};
use beach_core::peer::engine::Engine;
use beach_core::predict::Mode;
use beach_core::recording::journal::Recorded as _;
use beach_core::rendezvous::{ConnectionId, Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::link::{Command, Event};
use beach_core::terminal::{Emulator, Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use turn_server_proto::types::TransportType;

use super::network::{Bursts, Dice, Pipe, Wire};
use super::node::{Below, Effect, Node};
use super::program::{Act, Program, Script};
use super::seam::{Due, Seam};
use super::turn::TurnPost;

/// How often a machine may want the time at one instant before it is said to spin.
const SPIN: u32 = 1000;

/// What a stopped process' sockets hold before they drop.
const SOCKET_BUFFER: usize = 256;

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

/// A signalling message, on its way to the rendezvous or from it.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Whose connection it takes.
    pub who: Who,
    /// Towards the rendezvous.
    pub up: bool,
    /// The message.
    pub text: String,
    /// How much later than usual it comes.
    pub late: Duration,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: Who,
    /// Whom it is for.
    pub to: Who,
    /// It.
    pub bytes: Vec<u8>,
}

/// A rendezvous that does as it likes with what passes: any messages, to and from anybody, come of one.
pub type Meddler = Box<dyn FnMut(&mut Dice, Signal) -> Vec<Signal>>;

/// Somebody on the path of the datagrams: what becomes of one.
pub type Tamper = Box<dyn FnMut(Packet) -> Option<Vec<u8>>>;

/// How a host is to be.
pub struct HostPlan {
    /// When it starts.
    pub at: Duration,
    /// Of its secrets: see [`host_secrets`].
    pub secrets: u64,
    /// Its configuration.
    pub config: HostConfig,
    /// What runs in it.
    pub script: Script,
    /// Which paths it takes.
    pub paths: Paths,
    /// Its way to the rendezvous.
    pub signal: Wire,
    /// Whether it records itself.
    pub records: bool,
}

impl HostPlan {
    /// A headless host of a shell, of 80 × 24, at once.
    pub fn new(secrets: u64) -> HostPlan {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&secrets.to_be_bytes());
        let config = HostConfig {
            seed,
            size: Size::new(80, 24),
            history: 1000,
            resize: Resize::Owner,
            headless: true,
            rows_taken: 0,
            start: Start::AtOnce,
            linger: secs(5),
            keep: secs(600),
            approve: Approve::Nobody,
            escape: Escape::WhenAsked(0x1d),
            max_viewers: MAX_VIEWERS,
            expire: None,
            links: InviteRules::default(),
            tells_input: false,
        };
        HostPlan {
            at: ms(0),
            secrets,
            config,
            script: Script::Shell,
            paths: Paths::DirectOnly,
            signal: Wire::steady(ms(10)),
            records: false,
        }
    }
}

/// How a viewer is to be.
pub struct ViewerPlan {
    /// When it starts.
    pub at: Duration,
    /// What it knows.
    pub invite: Invite,
    /// What it calls itself; else by its number.
    pub name: Option<String>,
    /// The size of its terminal.
    pub size: Size,
    /// How long it waits for a session that does not exist yet.
    pub wait: Option<Duration>,
    /// When it shows typing before the host has said that it is so.
    pub predict: Mode,
    /// Most lines of history that it wants.
    pub history: u32,
    /// Whether it wants to hear of the clipboard.
    pub clipboard: bool,
    /// Which paths it takes.
    pub paths: Paths,
    /// How long it tries to come back.
    pub reconnect: Duration,
    /// Its way to hosts.
    pub wire: Wire,
    /// Its way to the rendezvous.
    pub signal: Wire,
    /// The narrowest places of its way to the host, and of the way back.
    pub pipes: [Option<Pipe>; 2],
    /// Whether it records itself.
    pub records: bool,
}

impl ViewerPlan {
    /// A viewer of 100 × 30 with this invite, 20 ms away, at once.
    pub fn new(invite: Invite) -> ViewerPlan {
        ViewerPlan {
            at: ms(0),
            invite,
            name: None,
            size: Size::new(100, 30),
            wait: None,
            predict: Mode::Auto,
            history: 1000,
            clipboard: false,
            paths: Paths::DirectOnly,
            reconnect: secs(600),
            wire: Wire::steady(ms(20)),
            signal: Wire::steady(ms(10)),
            pipes: [None; 2],
            records: false,
        }
    }

    /// With the invite for `role` of the host with these secrets.
    pub fn of(secrets: u64, role: Role) -> ViewerPlan {
        ViewerPlan::new(host_secrets(secrets).invite("http://rendezvous.test", role))
    }
}

/// A host's secrets, always the same for one number.
pub fn host_secrets(number: u64) -> HostSecrets {
    let mut seed = [0x55; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    HostSecrets::new(&mut Entropy::new(seed))
}

/// What is known of any node.
struct Common {
    start: Timestamp,
    signal: Wire,
    connection: Option<ConnectionId>,
    sockets: Vec<SocketAddr>,
    gone: bool,
    spins: (Timestamp, u32),
    held_back: Vec<What>,
}

impl Common {
    fn new(at: Duration, signal: Wire) -> Common {
        let start = Timestamp::from(at);
        Common {
            start,
            signal,
            connection: None,
            sockets: Vec::new(),
            gone: false,
            spins: (Timestamp::ZERO, 0),
            held_back: Vec::new(),
        }
    }

    fn local(&self, now: Timestamp) -> Timestamp {
        Timestamp::from(now.since(self.start))
    }
}

/// A host in the world.
pub struct HostNode<E: Engine> {
    /// It.
    pub node: Node<Host, E>,
    common: Common,
    script: Script,
    program: Option<Program>,
    program_ended: bool,
    pty_at: Timestamp,
    /// What the PTY was given to write.
    pub written: Vec<u8>,
    /// Bytes at the end of `written` that a program which reads nothing left at the PTY.
    unread: usize,
    /// What the program printed, as the host was given it.
    pub printed: Vec<Vec<u8>>,
    /// How the PTY's size changed.
    pub resized: Vec<Size>,
    /// What its own terminal was given.
    pub shown: Vec<u8>,
    /// What it said, and when.
    pub notices: Vec<(Timestamp, HostNotice)>,
    /// How it ended, and when.
    pub exit: Option<(Timestamp, HostExit)>,
    /// When it dialled.
    pub dialled: Vec<Timestamp>,
    /// Whether it hung up the PTY.
    pub hung_up: bool,
    /// The notes of its endpoint, and when each was made.
    pub notes: Vec<(Timestamp, Note)>,
    /// Its recording.
    pub recording: Vec<u8>,
    records: bool,
    /// What it put out, if it records itself.
    pub outputs: Vec<HostOutput>,
}

/// A viewer in the world.
pub struct ViewerNode<E: Engine> {
    /// It.
    pub node: Node<Viewer, E>,
    common: Common,
    /// Its way to the host; may be changed.
    pub wire: Wire,
    /// Losses in a row, on its way to the host and on the way back.
    pub bursts: [Bursts; 2],
    pipes: [Option<Pipe>; 2],
    host: usize,
    role: Role,
    /// What its own terminal shows.
    pub terminal: Emulator,
    /// Its own terminal takes nothing.
    pub terminal_stalled: bool,
    owed_shown: bool,
    typing: VecDeque<Vec<u8>>,
    keys_out: bool,
    /// What it said, and when.
    pub notices: Vec<(Timestamp, ViewerNotice)>,
    /// How it ended, and when.
    pub exit: Option<(Timestamp, ViewerExit)>,
    /// Bytes of datagrams that were sent to it.
    pub bytes_sent: u64,
    /// The notes of its endpoint, and when each was made.
    pub notes: Vec<(Timestamp, Note)>,
    /// Its recording.
    pub recording: Vec<u8>,
    records: bool,
    /// What it put out, if it records itself.
    pub outputs: Vec<ViewerOutput>,
}

impl<E: Engine> ViewerNode<E> {
    /// When it started.
    pub fn started(&self) -> Timestamp {
        self.common.start
    }

    /// What its invite permits.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether its process runs.
    pub fn is_here(&self) -> bool {
        !self.common.gone
    }
}

struct Connection {
    who: Who,
    opened: bool,
    up_at: Timestamp,
    down_at: Timestamp,
}

enum What {
    Host(usize, Box<HostInput>),
    Viewer(usize, Box<ViewerInput>),
    Link(Who, Box<Event>),
    Bound(Who, Generation, Vec<SocketAddr>),
    Datagram { to: Who, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8> },
    SignalUp(ConnectionId),
    SignalDown(Who, ConnectionId, &'static str),
    FromRendezvous(ConnectionId, String),
    RelayedFrom(ConnectionId, Vec<u8>),
    RelayedTo(ConnectionId, Vec<u8>),
    Opened(ConnectionId),
    AtRendezvous(ConnectionId, String),
    ClosedAtRendezvous(ConnectionId),
    Wake(usize),
    AtTurn(TransportType, SocketAddr, SocketAddr, Vec<u8>),
    TurnStream(Who, Box<Input<HostInput>>),
}

/// See the module.
pub struct World<E: Engine> {
    now: Timestamp,
    /// Where all chance comes from.
    pub dice: Dice,
    engine: Box<dyn FnMut(Who, Timestamp) -> E>,
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
    shut_out: BTreeSet<Who>,
    without_addresses: BTreeSet<Who>,
    /// Addresses that a router made, and whose they are.
    mapped: BTreeMap<SocketAddr, SocketAddr>,
    moves: u16,
    turn: Option<TurnPost>,
    /// Connections to it, by their far end.
    streams: BTreeMap<SocketAddr, (Who, StreamId)>,
    apart: bool,
    transcript: Sha256,
    /// Takes what passes through the rendezvous' hands.
    pub meddler: Option<Meddler>,
    /// Takes what passes between the sockets.
    pub tamper: Option<Tamper>,
    /// What the hosts send all passes through here first.
    pub uplink: Option<Pipe>,
    /// Everything that was said to the rendezvous.
    pub rendezvous_heard: Vec<String>,
    /// Datagrams that the rendezvous was given and gave: when, and how long.
    pub relayed: Vec<(Timestamp, usize)>,
    /// Sees every command of a bare machine, before it is obeyed.
    pub commands: Vec<(Timestamp, Who, Command)>,
    /// Whether `commands` is filled.
    pub keeps_commands: bool,
}

impl<E: Engine> World<E> {
    /// A world of nobody. `engine` makes one for each node, which starts then.
    pub fn new(seed: u64, engine: impl FnMut(Who, Timestamp) -> E + 'static) -> World<E> {
        World {
            now: Timestamp::ZERO,
            dice: Dice::new(seed),
            engine: Box::new(engine),
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
            shut_out: BTreeSet::new(),
            without_addresses: BTreeSet::new(),
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
        }
    }

    /// Tier A1: machines without endpoints.
    #[must_use]
    pub fn bare(mut self) -> World<E> {
        self.is_bare = true;
        self
    }

    /// Tells `clock` of time that passes.
    #[must_use]
    pub fn with_clock(mut self, clock: fn(Duration)) -> World<E> {
        self.clock = Some(clock);
        self
    }

    /// A host that starts as planned.
    pub fn add_host(&mut self, plan: HostPlan) -> usize {
        let index = self.hosts.len();
        let common = Common::new(plan.at.max(self.now.since_start()), plan.signal);
        let machine = Host::new(plan.config.clone());
        let node = if self.is_bare {
            Node::Bare(machine)
        } else {
            let engine = (self.engine)(Who::Host(index), common.start);
            let secrets = Secrets::Host(host_secrets(plan.secrets));
            let mut endpoint =
                Endpoint::new(machine, engine, secrets, Entropy::new(self.dice.seed())).taking(plan.paths).noting();
            if plan.records {
                endpoint = endpoint.recording(&plan.config.first_record());
            }
            Node::Whole(Box::new(endpoint))
        };
        self.later_at(common.start, What::Host(index, Box::new(HostInput::Tick)));
        self.hosts.push(HostNode {
            node,
            common,
            script: plan.script,
            program: None,
            program_ended: false,
            pty_at: Timestamp::ZERO,
            written: Vec::new(),
            unread: 0,
            printed: Vec::new(),
            resized: vec![plan.config.size],
            shown: Vec::new(),
            notices: Vec::new(),
            exit: None,
            dialled: Vec::new(),
            hung_up: false,
            notes: Vec::new(),
            recording: Vec::new(),
            records: plan.records,
            outputs: Vec::new(),
        });
        index
    }

    /// A viewer that starts as planned. In tier A1, of host 0.
    pub fn add_viewer(&mut self, plan: ViewerPlan) -> usize {
        let index = self.viewers.len();
        let common = Common::new(plan.at.max(self.now.since_start()), plan.signal);
        let config = ViewerConfig {
            seed: self.dice.seed(),
            role: plan.invite.role,
            name: plan.name.unwrap_or_else(|| format!("viewer {index}")),
            size: plan.size,
            wait: plan.wait,
            history: plan.history,
            options: Options::default(),
            predict: plan.predict,
            clipboard: plan.clipboard,
            stays: plan.paths != Paths::DirectOnly,
            reconnect: plan.reconnect,
        };
        let machine = Viewer::new(config.clone());
        let role = plan.invite.role;
        let node = if self.is_bare {
            Node::Bare(machine)
        } else {
            let engine = (self.engine)(Who::Viewer(index), common.start);
            let mut endpoint =
                Endpoint::new(machine, engine, Secrets::Viewer(plan.invite), Entropy::new(self.dice.seed()))
                    .taking(plan.paths)
                    .noting();
            if plan.records {
                endpoint = endpoint.recording(&config.first_record());
            }
            Node::Whole(Box::new(endpoint))
        };
        self.later_at(common.start, What::Viewer(index, Box::new(ViewerInput::Tick)));
        self.viewers.push(ViewerNode {
            node,
            common,
            wire: plan.wire,
            bursts: [Bursts::default(); 2],
            pipes: plan.pipes,
            host: 0,
            role,
            terminal: Emulator::new(plan.size, 20_000),
            terminal_stalled: false,
            owed_shown: false,
            typing: VecDeque::new(),
            keys_out: false,
            notices: Vec::new(),
            exit: None,
            bytes_sent: 0,
            notes: Vec::new(),
            recording: Vec::new(),
            records: plan.records,
            outputs: Vec::new(),
        });
        index
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

    // What tests do.

    /// Somebody types at a viewer, as fast as it takes it.
    pub fn type_keys(&mut self, viewer: usize, keys: &str) {
        self.viewers[viewer].typing.push_back(keys.as_bytes().to_vec());
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

    /// No datagram of `who` gets through any more, or all do again; those of others reach it.
    pub fn mute(&mut self, who: Who, is_mute: bool) {
        if is_mute {
            self.mute.insert(who);
        } else {
            self.mute.remove(&who);
        }
    }

    /// No datagram reaches or leaves `who` any more, or they do again.
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
        self.drive(who, Input::Moved(vec![address]));
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

    // Time.

    /// Lets time pass until `until` after the start.
    pub fn run_to(&mut self, until: Timestamp) {
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.set_time(until.max(self.now));
    }

    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        self.run_to(self.now + span);
    }

    /// Lets time pass until `done`, looked at every 10 ms, at most for `span`; whether it came true.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut(&World<E>) -> bool) -> bool {
        let end = self.now + span;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            let next = self.next_at().unwrap_or(end).max(self.now + ms(10));
            self.run_to(next.min(end));
        }
        true
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
        if let Some(clock) = self.clock {
            clock(now.since_start());
        }
    }

    fn nodes(&self) -> impl Iterator<Item = (Who, Timestamp)> {
        let due = |who: Who, common: &Common, deadline: Option<Timestamp>| {
            let live = !common.gone && common.start <= self.now && !self.frozen.contains(&who);
            deadline.filter(|_| live).map(|at| (who, (common.start + at.since_start()).max(self.now)))
        };
        let hosts = self.hosts.iter().enumerate();
        let hosts = hosts
            .filter(|(_, host)| !host.common.gone)
            .filter_map(move |(index, host)| due(Who::Host(index), &host.common, host.node.deadline()));
        let viewers = self.viewers.iter().enumerate().filter(|(_, viewer)| !viewer.common.gone);
        hosts.chain(
            viewers.filter_map(move |(index, viewer)| due(Who::Viewer(index), &viewer.common, viewer.node.deadline())),
        )
    }

    fn next_at(&self) -> Option<Timestamp> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let nodes = self.nodes().map(|(_, at)| at).min();
        let rendezvous =
            self.rendezvous.as_ref().and_then(|rendezvous| rendezvous.deadline()).map(|at| at.max(self.now));
        [queued, nodes, rendezvous].into_iter().flatten().min()
    }

    /// Moves to the next instant at which anything happens, and does one thing.
    fn step(&mut self) {
        let Some(next) = self.next_at() else { return };
        self.set_time(next.max(self.now));
        if let Some(first) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let what = first.remove();
            return self.happen(what);
        }
        let due = self.nodes().find(|(_, at)| *at <= self.now).map(|(who, _)| who);
        if let Some(who) = due {
            let now = self.now;
            let common = self.common(who);
            common.spins = if common.spins.0 == now { (now, common.spins.1 + 1) } else { (now, 1) };
            assert!(common.spins.1 < SPIN, "{who:?} wants the time again and again at {now}");
            match who {
                Who::Host(index) => self.drive_host(index, Input::Tick),
                Who::Viewer(index) => self.drive_viewer(index, Input::Tick),
            }
            return;
        }
        self.drive_rendezvous(RendezvousInput::from(Tick));
    }

    fn later(&mut self, span: Duration, what: What) {
        self.later_at(self.now + span, what);
    }

    fn later_at(&mut self, at: Timestamp, what: What) {
        self.queued_ever += 1;
        self.queue.insert((at.max(self.now), self.queued_ever), what);
    }

    fn common(&mut self, who: Who) -> &mut Common {
        match who {
            Who::Host(index) => &mut self.hosts[index].common,
            Who::Viewer(index) => &mut self.viewers[index].common,
        }
    }

    fn write_down(&mut self, who: Option<Who>, kind: &str, bytes: &[u8]) {
        let number = match who {
            Some(Who::Host(index)) => index as u64,
            Some(Who::Viewer(index)) => 1_000_000 + index as u64,
            None => u64::MAX,
        };
        self.transcript.update(self.now.as_micros().to_be_bytes());
        self.transcript.update(number.to_be_bytes());
        self.transcript.update((kind.len() as u64).to_be_bytes());
        self.transcript.update(kind);
        self.transcript.update((bytes.len() as u64).to_be_bytes());
        self.transcript.update(bytes);
    }

    fn write_down_value(&mut self, who: Who, kind: &str, value: &impl Serialize) {
        let bytes = postcard::to_stdvec(value).expect("plain data always encodes");
        self.write_down(Some(who), kind, &bytes);
    }

    fn happen(&mut self, what: What) {
        let for_whom = match &what {
            What::Host(index, _) | What::Wake(index) => Some(Who::Host(*index)),
            What::Viewer(index, _) => Some(Who::Viewer(*index)),
            What::Link(who, _) | What::Bound(who, ..) | What::SignalDown(who, ..) => Some(*who),
            What::Datagram { to, .. } | What::TurnStream(to, _) => Some(*to),
            What::SignalUp(id) | What::FromRendezvous(id, _) | What::RelayedFrom(id, _) => {
                self.connections.get(id).map(|connection| connection.who)
            }
            What::Opened(_)
            | What::AtRendezvous(..)
            | What::RelayedTo(..)
            | What::ClosedAtRendezvous(_)
            | What::AtTurn(..) => None,
        };
        if let Some(who) = for_whom {
            let frozen = self.frozen.contains(&who);
            let common = self.common(who);
            if common.gone {
                return;
            }
            if frozen {
                if !matches!(what, What::Datagram { .. }) || common.held_back.len() < SOCKET_BUFFER {
                    common.held_back.push(what);
                }
                return;
            }
        }
        match what {
            What::Host(index, input) => {
                if let HostInput::Printed(bytes) = &*input {
                    self.hosts[index].printed.push(bytes.clone());
                }
                self.drive_host(index, Input::Machine(*input));
            }
            What::Viewer(index, input) => self.drive_viewer(index, Input::Machine(*input)),
            What::Link(who, event) => {
                if self.seam.holds(who, &event) {
                    self.link_event(who, *event);
                }
            }
            What::Bound(who, generation, addresses) => {
                let common = self.common(who);
                let old = std::mem::replace(&mut common.sockets, addresses.clone());
                for address in old {
                    self.addresses.remove(&address);
                }
                for address in &addresses {
                    self.addresses.insert(*address, who);
                }
                self.drive(who, Input::Bound(generation, addresses));
            }
            What::Datagram { to, source, destination, bytes } => {
                if self.addresses.get(&destination) == Some(&to) {
                    self.drive(to, Input::Datagram { source, destination, bytes });
                }
            }
            What::AtTurn(transport, source, to, bytes) => self.at_turn(transport, source, to, bytes),
            What::TurnStream(who, input) => self.drive(who, *input),
            What::SignalUp(id) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, Input::SignalUp);
                }
            }
            What::SignalDown(who, id, cause) => {
                if self.common(who).connection == Some(id) {
                    self.common(who).connection = None;
                    self.drive(who, Input::SignalDown(cause.to_owned()));
                }
            }
            What::FromRendezvous(id, text) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, Input::Signal(text));
                }
            }
            What::RelayedTo(id, bytes) => {
                if self.connections.get(&id).is_some_and(|connection| connection.opened) {
                    self.drive_rendezvous(RendezvousInput::Datagram(id, bytes));
                }
            }
            What::RelayedFrom(id, bytes) => {
                if let Some(who) = self.current(id) {
                    self.drive(who, Input::Relayed(bytes));
                }
            }
            What::Opened(id) => {
                let Some(connection) = self.connections.get_mut(&id) else { return };
                let who = connection.who;
                if self.rendezvous.is_some() && !self.shut_out.contains(&who) {
                    connection.opened = true;
                    self.drive_rendezvous(RendezvousInput::Opened(id, None));
                    let latency = self.common(who).signal.latency;
                    self.later(latency, What::SignalUp(id));
                } else {
                    self.connections.remove(&id);
                    let latency = self.common(who).signal.latency;
                    self.later(latency, What::SignalDown(who, id, "connection refused"));
                }
            }
            What::AtRendezvous(id, text) => {
                self.rendezvous_heard.push(text.clone());
                if self.connections.get(&id).is_some_and(|connection| connection.opened) {
                    self.drive_rendezvous(RendezvousInput::Text(id, text));
                }
            }
            What::ClosedAtRendezvous(id) => {
                self.connections.remove(&id);
                self.drive_rendezvous(RendezvousInput::Closed(id));
            }
            What::Wake(index) => {
                if let Some(program) = &mut self.hosts[index].program {
                    let acts = program.wake();
                    self.act(index, acts);
                }
            }
        }
    }

    fn current(&mut self, id: ConnectionId) -> Option<Who> {
        let who = self.connections.get(&id)?.who;
        (self.common(who).connection == Some(id)).then_some(who)
    }

    // Machines.

    /// Either kind takes the same inputs from below.
    fn drive(&mut self, who: Who, below: Input<HostInput>) {
        match who {
            Who::Host(index) => self.drive_host(index, below),
            Who::Viewer(index) => {
                let input = match below {
                    Input::Tick | Input::Machine(_) => Input::Tick,
                    Input::SignalUp => Input::SignalUp,
                    Input::SignalDown(cause) => Input::SignalDown(cause),
                    Input::Signal(text) => Input::Signal(text),
                    Input::Bound(generation, addresses) => Input::Bound(generation, addresses),
                    Input::Datagram { source, destination, bytes } => Input::Datagram { source, destination, bytes },
                    Input::Relayed(bytes) => Input::Relayed(bytes),
                    Input::Moved(addresses) => Input::Moved(addresses),
                    Input::RendezvousAt(address) => Input::RendezvousAt(address),
                    Input::IceServer(server) => Input::IceServer(server),
                    Input::TurnUp(stream) => Input::TurnUp(stream),
                    Input::TurnBytes(stream, bytes) => Input::TurnBytes(stream, bytes),
                    Input::TurnDown(stream) => Input::TurnDown(stream),
                };
                self.drive_viewer(index, input);
            }
        }
    }

    fn drive_host(&mut self, index: usize, input: Input<HostInput>) {
        let host = &mut self.hosts[index];
        if host.common.gone {
            return;
        }
        let effects = host.node.drive(host.common.local(self.now), input);
        for effect in effects {
            match effect {
                Effect::Below(below) => self.below(Who::Host(index), below),
                Effect::Machine(output) => self.on_host(index, output),
            }
        }
    }

    fn drive_viewer(&mut self, index: usize, input: Input<ViewerInput>) {
        let viewer = &mut self.viewers[index];
        if viewer.common.gone {
            return;
        }
        let effects = viewer.node.drive(viewer.common.local(self.now), input);
        for effect in effects {
            match effect {
                Effect::Below(below) => self.below(Who::Viewer(index), below),
                Effect::Machine(output) => self.on_viewer(index, output),
            }
        }
    }

    fn on_host(&mut self, index: usize, output: HostOutput) {
        self.write_down_value(Who::Host(index), "host", &output);
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.records {
            host.outputs.push(output.clone());
        }
        match output {
            HostOutput::Link(_) => panic!("a command is split off before"),
            HostOutput::Start(_) => {
                assert!(host.program.is_none(), "started once");
                let mut program = Program::new(host.script.clone());
                let acts = program.start();
                host.program = Some(program);
                self.act(index, acts);
            }
            HostOutput::Write(bytes) | HostOutput::WriteOwn(bytes) => {
                host.written.extend(&bytes);
                let ended = host.program_ended;
                // A program that reads takes it all; one that does not, nothing.
                host.unread = bytes.len();
                if let Some(acts) = host.program.as_mut().and_then(|program| program.take(&bytes)).filter(|_| !ended) {
                    host.unread = 0;
                    self.later(ms(1), What::Host(index, Box::new(HostInput::Written)));
                    self.act(index, acts);
                }
            }
            HostOutput::TakeBack => {
                if host.unread > 0 {
                    host.written.truncate(host.written.len() - host.unread);
                    host.unread = 0;
                    self.later(ms(0), What::Host(index, Box::new(HostInput::TakenBack(0))));
                }
            }
            HostOutput::Show(bytes) => host.shown.extend(bytes),
            HostOutput::Resize(size) => host.resized.push(size),
            HostOutput::KeysTaken => {}
            HostOutput::HangUp => {
                host.hung_up = true;
                host.program_ended = true;
            }
            HostOutput::Notice(notice) => host.notices.push((now, notice)),
            HostOutput::Exit(exit) => {
                assert!(host.exit.is_none(), "it ends once");
                host.exit = Some((now, exit));
                self.gone(Who::Host(index));
            }
        }
    }

    fn on_viewer(&mut self, index: usize, output: ViewerOutput) {
        self.write_down_value(Who::Viewer(index), "viewer", &output);
        let now = self.now;
        let viewer = &mut self.viewers[index];
        if viewer.records {
            viewer.outputs.push(output.clone());
        }
        match output {
            ViewerOutput::Link(_) => panic!("a command is split off before"),
            ViewerOutput::CursorAsked => {}
            ViewerOutput::Show(bytes) => {
                viewer.terminal.feed(&bytes);
                let replies = String::from_utf8(viewer.terminal.take_replies()).expect("answers are text");
                let report = |reply: &str| {
                    let (row, col) = reply.strip_suffix('R')?.split_once(';')?;
                    Some(ViewerInput::CursorReport { row: row.parse().ok()?, col: col.parse().ok()? })
                };
                let reports: Vec<_> = replies.split("\x1b[").filter_map(report).collect();
                if viewer.terminal_stalled {
                    viewer.owed_shown = true;
                } else {
                    self.later(ms(1), What::Viewer(index, Box::new(ViewerInput::Shown)));
                }
                for report in reports {
                    self.later(ms(1), What::Viewer(index, Box::new(report)));
                }
            }
            ViewerOutput::KeysTaken => {
                viewer.keys_out = false;
                self.next_keys(index);
            }
            ViewerOutput::Notice(notice) => viewer.notices.push((now, notice)),
            ViewerOutput::Exit(exit) => {
                assert!(viewer.exit.is_none(), "it ends once");
                viewer.exit = Some((now, exit));
                self.gone(Who::Viewer(index));
            }
        }
    }

    fn next_keys(&mut self, index: usize) {
        let viewer = &mut self.viewers[index];
        if !viewer.keys_out
            && let Some(keys) = viewer.typing.pop_front()
        {
            viewer.keys_out = true;
            self.later(ms(0), What::Viewer(index, Box::new(ViewerInput::Keys(keys))));
        }
    }

    /// The process ends: so do its connection and its sockets.
    fn gone(&mut self, who: Who) {
        let common = self.common(who);
        common.gone = true;
        let sockets = std::mem::take(&mut common.sockets);
        let connection = common.connection.take();
        for address in sockets {
            self.addresses.remove(&address);
        }
        self.hang_up(connection);
        if self.is_bare {
            let wires: Vec<_> = self.viewers.iter().map(|viewer| viewer.wire).collect();
            let due = self.seam.vanish(self.now, &mut self.dice, who, wire_of(&wires));
            self.schedule(due);
        }
    }

    /// Closes a connection, after what was said on it.
    fn hang_up(&mut self, connection: Option<ConnectionId>) {
        let Some(id) = connection else { return };
        if let Some(closed) = self.connections.get(&id) {
            let latency = self.signal_of(closed.who).latency;
            let at = (self.now + latency).max(closed.up_at + Duration::from_micros(1));
            self.later_at(at, What::ClosedAtRendezvous(id));
        }
    }

    fn signal_of(&self, who: Who) -> Wire {
        match who {
            Who::Host(index) => self.hosts[index].common.signal,
            Who::Viewer(index) => self.viewers[index].common.signal,
        }
    }

    fn schedule(&mut self, due: Vec<Due>) {
        for (at, who, event) in due {
            self.later_at(at, What::Link(who, Box::new(event)));
        }
    }

    fn below(&mut self, who: Who, below: Below) {
        match below {
            Below::Command(command) => {
                self.write_down_value(who, "command", &command);
                if self.keeps_commands {
                    self.commands.push((self.now, who, command.clone()));
                }
                if let (Command::Dial, Who::Host(index)) = (&command, who) {
                    self.hosts[index].dialled.push(self.now);
                }
                let place = match who {
                    Who::Host(index) => (index, Role::Control),
                    Who::Viewer(index) => (self.viewers[index].host, self.viewers[index].role),
                };
                let wires: Vec<_> = self.viewers.iter().map(|viewer| viewer.wire).collect();
                let due = self.seam.obey(self.now, &mut self.dice, who, place, wire_of(&wires), command);
                self.schedule(due);
            }
            Below::Dial => {
                self.write_down(Some(who), "dial", &[]);
                if let Who::Host(index) = who {
                    self.hosts[index].dialled.push(self.now);
                }
                let abandoned = self.common(who).connection.take();
                self.hang_up(abandoned);
                self.connections_ever += 1;
                let id = self.connections_ever;
                let (now, wire) = (self.now, self.signal_of(who));
                self.connections.insert(id, Connection { who, opened: false, up_at: now, down_at: now });
                self.common(who).connection = Some(id);
                self.later(wire.latency * 2, What::Opened(id));
            }
            Below::HangUp => {
                self.write_down(Some(who), "hang up", &[]);
                let connection = self.common(who).connection.take();
                self.hang_up(connection);
            }
            Below::Signal(text) => {
                self.write_down(Some(who), "signal", text.as_bytes());
                self.meddle(Signal { who, up: true, text, late: Duration::ZERO });
            }
            Below::Relay(bytes) => self.relay(who, true, bytes),
            Below::Bind(generation) => {
                let ip = place(who);
                let address = SocketAddr::new(ip.into(), 4000 + generation);
                let addresses = if self.without_addresses.contains(&who) { Vec::new() } else { vec![address] };
                self.later(ms(1), What::Bound(who, generation, addresses));
            }
            Below::Datagram { source, destination, bytes } => self.datagram(who, source, destination, bytes),
            Below::TurnDial(stream) => self.turn_dial(who, stream),
            Below::TurnWrite(stream, bytes) => self.turn_write(who, stream, bytes),
            Below::TurnHangUp(stream) => self.turn_hang_up(who, stream),
            Below::Note(note) => {
                let at = self.now;
                match who {
                    Who::Host(index) => self.hosts[index].notes.push((at, note)),
                    Who::Viewer(index) => self.viewers[index].notes.push((at, note)),
                }
            }
            Below::Record(bytes) => match who {
                Who::Host(index) => self.hosts[index].recording.extend(bytes),
                Who::Viewer(index) => self.viewers[index].recording.extend(bytes),
            },
        }
    }

    // The rendezvous.

    fn meddle(&mut self, signal: Signal) {
        let signals = match &mut self.meddler {
            Some(meddler) => meddler(&mut self.dice, signal),
            None => vec![signal],
        };
        for signal in signals {
            let wire = self.signal_of(signal.who);
            let Some(id) = self.common(signal.who).connection else { continue };
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let takes = wire.reliable(&mut self.dice, ms(200)) + signal.late;
            let last = if signal.up { &mut connection.up_at } else { &mut connection.down_at };
            let at = (self.now + takes).max(*last + Duration::from_micros(1));
            // What is held back on purpose is not waited for: later messages overtake it.
            if signal.late == Duration::ZERO {
                *last = at;
            }
            let what =
                if signal.up { What::AtRendezvous(id, signal.text) } else { What::FromRendezvous(id, signal.text) };
            self.later_at(at, what);
        }
    }

    fn drive_rendezvous(&mut self, input: RendezvousInput) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        rendezvous.handle(self.now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| rendezvous.poll()).collect();
        for output in outputs {
            match output {
                RendezvousOutput::Send(id, text) => {
                    self.write_down(None, "send", text.as_bytes());
                    if self.rendezvous_mute {
                        continue;
                    }
                    if let Some(who) = self.current(id) {
                        self.meddle(Signal { who, up: false, text, late: Duration::ZERO });
                    }
                }
                RendezvousOutput::Datagram(id, bytes) => {
                    if let Some(who) = self.current(id) {
                        self.relay(who, false, bytes);
                    }
                }
                RendezvousOutput::Drained => {}
                RendezvousOutput::Close(id) => {
                    if let Some(connection) = self.connections.remove(&id) {
                        let at = connection.down_at + Duration::from_micros(2);
                        let at = at.max(self.now + ms(5));
                        self.later_at(at, What::SignalDown(connection.who, id, "the rendezvous closed the connection"));
                    }
                }
            }
        }
    }

    /// On a connection of the rendezvous, behind what went before.
    fn relay(&mut self, who: Who, up: bool, bytes: Vec<u8>) {
        self.write_down(Some(who), "relay", &bytes);
        self.relayed.push((self.now, bytes.len()));
        let wire = self.signal_of(who);
        let Some(id) = self.common(who).connection else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let takes = wire.reliable(&mut self.dice, ms(200));
        let last = if up { &mut connection.up_at } else { &mut connection.down_at };
        let at = (self.now + takes).max(*last + Duration::from_micros(1));
        *last = at;
        self.later_at(at, if up { What::RelayedTo(id, bytes) } else { What::RelayedFrom(id, bytes) });
    }

    // Datagrams.

    fn datagram(&mut self, from: Who, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.write_down(Some(from), "datagram", &bytes);
        let source = self.mapped.iter().find(|(_, inside)| **inside == source).map_or(source, |(seen, _)| *seen);
        if self.is_for_turn(destination) {
            if !self.mute.contains(&from) {
                self.sent_to_turn(source, destination, bytes);
            }
            return;
        }
        let is_hidden = self.mapped.values().any(|inside| *inside == destination);
        let destination = match self.mapped.get(&destination) {
            Some(inside) => *inside,
            None if is_hidden => return,
            None => destination,
        };
        let Some(to) = self.addresses.get(&destination).copied() else { return };
        if self.apart || self.cut.contains(&from) || self.cut.contains(&to) || self.mute.contains(&from) {
            return;
        }
        let wire = match (from, to) {
            (Who::Viewer(index), _) | (Who::Host(_), Who::Viewer(index)) => self.viewers[index].wire,
            (Who::Host(_), Who::Host(_)) => Wire::steady(ms(5)),
        };
        if let Who::Viewer(index) = to {
            self.viewers[index].bytes_sent += bytes.len() as u64;
        }
        let now = self.now;
        let mut start = now;
        if let (Who::Host(_), Some(uplink)) = (from, &mut self.uplink) {
            let Some(through) = uplink.pass(start, bytes.len()) else { return };
            start = through;
        }
        let (viewer, back) = match (from, to) {
            (Who::Viewer(index), _) => (Some(index), 0),
            (Who::Host(_), Who::Viewer(index)) => (Some(index), 1),
            (Who::Host(_), Who::Host(_)) => (None, 0),
        };
        if let Some(viewer) = viewer.map(|index| &mut self.viewers[index]) {
            if let Some(pipe) = &mut viewer.pipes[back] {
                let Some(through) = pipe.pass(start, bytes.len()) else { return };
                start = through;
            }
            if viewer.bursts[back].takes(&mut self.dice) {
                return;
            }
        }
        let queued = start.since(now);
        let bytes = match &mut self.tamper {
            Some(tamper) => match tamper(Packet { from, to, bytes }) {
                Some(bytes) => bytes,
                None => return,
            },
            None => bytes,
        };
        for takes in wire.copies(&mut self.dice) {
            self.later(queued + takes, What::Datagram { to, source, destination, bytes: bytes.clone() });
        }
    }

    // Programs.

    fn act(&mut self, index: usize, acts: Vec<Act>) {
        for act in acts {
            let host = &mut self.hosts[index];
            if host.program_ended {
                return;
            }
            let at = (self.now + Duration::from_micros(500)).max(host.pty_at + Duration::from_micros(10));
            let what = match act {
                Act::Print(bytes) if bytes.is_empty() => continue,
                Act::Print(bytes) => {
                    host.pty_at = at;
                    What::Host(index, Box::new(HostInput::Printed(bytes)))
                }
                Act::End(code) => {
                    host.pty_at = at;
                    host.program_ended = true;
                    What::Host(index, Box::new(HostInput::Ended(code)))
                }
                Act::WakeAfter(span) => {
                    self.later(span, What::Wake(index));
                    continue;
                }
            };
            self.later_at(at, what);
        }
    }
}

fn wire_of(wires: &[Wire]) -> impl Fn(Who) -> Wire {
    move |who| match who {
        Who::Host(_) => Wire::steady(ms(10)),
        Who::Viewer(index) => wires[index],
    }
}

fn place(who: Who) -> Ipv4Addr {
    match who {
        Who::Host(index) => Ipv4Addr::new(10, 1, (index >> 8) as u8, index as u8),
        Who::Viewer(index) => Ipv4Addr::new(10, 2, (index >> 8) as u8, index as u8),
    }
}
