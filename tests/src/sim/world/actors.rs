//! Hosts and viewers, as they are in a world.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::note::Note;
use beach_core::endpoint::{Endpoint, Paths, Secrets};
use beach_core::host::{Host, HostExit, HostInput, HostNotice, HostOutput};
use beach_core::peer::engine::Engine;
use beach_core::recording::journal::Recorded as _;
use beach_core::rendezvous::ConnectionId;
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};

use super::plan::{HostPlan, ViewerPlan, host_secrets};
use super::queue::What;
use super::{Who, World};
use crate::sim::network::{Bursts, Pipe, Wire};
use crate::sim::node::Node;
use crate::sim::page::Page;
use crate::sim::program::{Program, Script};

/// The state of any node.
pub(super) struct Common {
    pub(super) start: Timestamp,
    pub(super) signal: Wire,
    pub(super) connection: Option<ConnectionId>,
    pub(super) sockets: Vec<SocketAddr>,
    pub(super) gone: bool,
    pub(super) spins: (Timestamp, u32),
    /// How often the process had something to do.
    pub(super) turns: u64,
    pub(super) held_back: Vec<What>,
}

impl Common {
    pub(super) fn new(at: Duration, signal: Wire) -> Common {
        let start = Timestamp::from(at);
        Common {
            start,
            signal,
            connection: None,
            sockets: Vec::new(),
            gone: false,
            spins: (Timestamp::ZERO, 0),
            turns: 0,
            held_back: Vec::new(),
        }
    }

    pub(super) fn local(&self, now: Timestamp) -> Timestamp {
        Timestamp::from(now.since(self.start))
    }
}

/// A host in the world.
pub struct HostNode<E: Engine> {
    /// The node that runs the host.
    pub node: Node<Host, E>,
    pub(super) common: Common,
    pub(super) script: Script,
    pub(super) program: Option<Program>,
    pub(super) program_ended: bool,
    pub(super) pty_at: Timestamp,
    /// The writes to the PTY.
    pub written: Vec<u8>,
    /// Bytes at the end of `written` that a program which reads nothing left at the PTY.
    pub(super) unread: usize,
    /// The program reads nothing, whatever it is.
    pub(super) is_deaf: bool,
    /// The program's output, as the host got it.
    pub printed: Vec<Vec<u8>>,
    /// How the PTY's size changed.
    pub resized: Vec<Size>,
    /// The bytes for the host's own terminal.
    pub shown: Vec<u8>,
    /// The texts of the join link and the view link, for rows of the own terminal.
    pub links: [String; 2],
    /// Its notices, and when each was given.
    pub notices: Vec<(Timestamp, HostNotice)>,
    /// Its exit, and when that was.
    pub exit: Option<(Timestamp, HostExit)>,
    /// When it dialled.
    pub dialled: Vec<Timestamp>,
    /// Whether the host hung up the PTY.
    pub hung_up: bool,
    /// The notes of its endpoint, and when each was made.
    pub notes: Vec<(Timestamp, Note)>,
    /// Its recording.
    pub recording: Vec<u8>,
    pub(super) records: bool,
    /// Its outputs, if the plan has it recorded.
    pub outputs: Vec<HostOutput>,
}

/// A viewer in the world.
pub struct ViewerNode<E: Engine> {
    /// The node that runs the viewer.
    pub node: Node<Viewer, E>,
    pub(super) common: Common,
    /// Its page, if it is one in a browser.
    pub page: Option<Page>,
    /// Its way to the host; may be changed.
    pub wire: Wire,
    /// Losses in a row, on its way to the host and on the way back.
    pub bursts: [Bursts; 2],
    pub(super) pipes: [Option<Pipe>; 2],
    pub(super) host: usize,
    pub(super) role: Role,
    /// The content of the viewer's own terminal.
    pub terminal: Emulator,
    /// The viewer's own terminal takes no bytes.
    pub terminal_stalled: bool,
    pub(super) owed_shown: bool,
    pub(super) typing: VecDeque<ViewerInput>,
    pub(super) keys_out: bool,
    /// Its notices, and when each was given.
    pub notices: Vec<(Timestamp, ViewerNotice)>,
    /// Its exit, and when that was.
    pub exit: Option<(Timestamp, ViewerExit)>,
    /// Bytes of datagrams that were sent to it.
    pub bytes_sent: u64,
    /// The notes of its endpoint, and when each was made.
    pub notes: Vec<(Timestamp, Note)>,
    /// Its recording.
    pub recording: Vec<u8>,
    pub(super) records: bool,
    /// Its outputs, if the plan has it recorded.
    pub outputs: Vec<ViewerOutput>,
}

impl<E: Engine> ViewerNode<E> {
    /// When it started.
    pub fn started(&self) -> Timestamp {
        self.common.start
    }

    /// When it has something to do.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let page = self.page.as_ref().and_then(Page::deadline);
        self.node.deadline().into_iter().chain(page).min()
    }

    /// The role of the viewer's invite.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether its process runs.
    pub fn is_here(&self) -> bool {
        !self.common.gone
    }
}

impl<E: Engine> World<E> {
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
            if plan.redacts {
                endpoint = endpoint.redacting();
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
            is_deaf: false,
            printed: Vec::new(),
            resized: vec![plan.config.size],
            shown: Vec::new(),
            links: ["JOIN", "VIEW"].map(str::to_owned),
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
            seed: plan.seed.unwrap_or_else(|| self.dice.seed()),
            role: plan.invite.role,
            name: plan.name.unwrap_or_else(|| format!("viewer {index}")),
            size: plan.size,
            wait: plan.wait,
            history: plan.history,
            options: Options { window: plan.window, ..Options::default() },
            predict: plan.predict,
            clipboard: plan.clipboard,
            stays: plan.paths != Paths::DirectOnly,
            reconnect: plan.reconnect,
        };
        let machine = Viewer::new(config.clone());
        let role = plan.invite.role;
        let mut page = None;
        let node = if self.is_bare {
            Node::Bare(machine)
        } else {
            let engine = (self.engine)(Who::Viewer(index), common.start);
            page = engine.has_own_sockets().then(|| self.page_for(Who::Viewer(index), common.start));
            let mut endpoint =
                Endpoint::new(machine, engine, Secrets::Viewer(plan.invite), Entropy::new(self.dice.seed()))
                    .taking(plan.paths)
                    .noting();
            if plan.records {
                endpoint = endpoint.recording(&config.first_record());
            }
            if plan.redacts {
                endpoint = endpoint.redacting();
            }
            Node::Whole(Box::new(endpoint))
        };
        self.later_at(common.start, What::Viewer(index, Box::new(ViewerInput::Tick)));
        self.viewers.push(ViewerNode {
            node,
            common,
            page,
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
}
