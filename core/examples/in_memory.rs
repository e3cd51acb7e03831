//! A host, a viewer and a rendezvous in one process: no sockets, and no clock but a number.
//!
//! The machines and the cryptography are the real ones. The network is a map of what arrives when, and whenever nothing
//! is left to do at one time, the time of the next arrival or deadline begins. So minutes pass within milliseconds.
//!
//! ```text
//! cargo run -p beach-core --example in_memory -- [FILE]        FILE: the viewer's recording, for the example `replay`
//! ```
#![expect(clippy::disallowed_methods, reason = "an example of what surrounds the machines")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use beach_core::Entropy;
use beach_core::crypto::keys::HostSecrets;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
use beach_core::host::{
    Approve, Escape, Host, HostConfig, HostExit, HostInput, HostNotice, HostOutput, InviteRules, Resize, Start,
};
use beach_core::machine::Machine;
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::predict::Mode;
use beach_core::recording::journal::Recorded as _;
use beach_core::rendezvous::{ConnectionId, Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::terminal::{Abilities, Options, Size, Window};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};

/// Everything takes this long to arrive.
const LATENCY: Duration = Duration::from_millis(5);

/// The session is over long before.
const AT_MOST: Duration = Duration::from_secs(60);

/// The two ends, which are also the ids of their connections to the rendezvous.
const HOST: ConnectionId = 1;
const VIEWER: ConnectionId = 2;

/// An event that arrives at one of the three machines.
enum Arrival {
    Host(Input<HostInput>),
    Viewer(Input<ViewerInput>),
    Rendezvous(RendezvousInput),
}

/// The events by time; the second number keeps the order of events that were sent at one time.
#[derive(Default)]
struct Network {
    now: Timestamp,
    sent: u64,
    arrivals: BTreeMap<(Timestamp, u64), Arrival>,
}

impl Network {
    fn send(&mut self, arrival: Arrival) {
        self.sent += 1;
        self.arrivals.insert((self.now + LATENCY, self.sent), arrival);
    }

    /// Performs an output of the endpoint `from`; what is not for the network comes back.
    fn perform<O>(&mut self, from: ConnectionId, output: Output<O>, recording: &mut Vec<u8>) -> Option<O> {
        match output {
            Output::Machine(output) => return Some(output),
            // There is one rendezvous.
            Output::Dial | Output::DialAt(_) => {
                self.send(Arrival::Rendezvous(RendezvousInput::Opened(from, None)));
                self.deliver(from, Delivery::Up);
            }
            // Only a rendezvous that has others beside it sends its hosts there.
            Output::DialBeside(_) | Output::TakeBeside | Output::HangUpBeside => {}
            Output::HangUp => self.send(Arrival::Rendezvous(RendezvousInput::Closed(from))),
            Output::Signal(text) => self.send(Arrival::Rendezvous(RendezvousInput::Text(from, text))),
            Output::Relay(bytes) => self.send(Arrival::Rendezvous(RendezvousInput::Datagram(from, bytes))),
            // Fresh sockets have fresh ports.
            Output::Bind(generation) => {
                let address = SocketAddr::new(address_of(from), 1000 + generation);
                self.deliver(from, Delivery::Bound(generation, address));
            }
            Output::Datagram { source, destination, bytes } => {
                let to = if destination.ip() == address_of(HOST) { HOST } else { VIEWER };
                self.deliver(to, Delivery::Datagram(source, destination, bytes));
            }
            Output::Record(bytes) => recording.extend(bytes),
            // There is no TURN server, so nobody is told to dial one.
            Output::TurnDial(..) | Output::TurnWrite(..) | Output::TurnHangUp(_) => {}
            // The engine has no sockets of its own.
            Output::Peer(..) => {}
            // Nobody asked for notes.
            Output::Links(_) | Output::Note(_) => {}
        }
        None
    }

    fn deliver(&mut self, to: ConnectionId, delivery: Delivery) {
        self.send(match to {
            HOST => Arrival::Host(delivery.input().into()),
            _ => Arrival::Viewer(delivery.input().into()),
        });
    }
}

/// An event of the network for either endpoint.
enum Delivery {
    Up,
    Down,
    Text(String),
    Relayed(Vec<u8>),
    Bound(u16, SocketAddr),
    Datagram(SocketAddr, SocketAddr, Vec<u8>),
}

impl Delivery {
    fn input(self) -> NetworkInput {
        match self {
            Delivery::Up => NetworkInput::SignalUp,
            Delivery::Down => NetworkInput::SignalDown("the rendezvous closed the connection".to_owned()),
            Delivery::Text(text) => NetworkInput::Signal(text),
            Delivery::Relayed(bytes) => NetworkInput::Relayed(bytes),
            Delivery::Bound(generation, address) => NetworkInput::Bound(generation, vec![address]),
            Delivery::Datagram(source, destination, bytes) => NetworkInput::Datagram { source, destination, bytes },
        }
    }
}

fn address_of(end: ConnectionId) -> IpAddr {
    // TEST-NET-1 (RFC 5737).
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, if end == HOST { 1 } else { 2 }))
}

/// The shared program: it says everything again, louder.
#[derive(Default)]
struct Program(String);

impl Program {
    /// The program's output when somebody types `bytes`.
    fn typed(&mut self, bytes: &[u8]) -> String {
        let mut printed = String::new();
        for c in String::from_utf8_lossy(bytes).chars() {
            if c == '\r' {
                printed += &format!("\r\n{}\r\n$ ", std::mem::take(&mut self.0).to_uppercase());
            } else {
                self.0.push(c);
                printed.push(c);
            }
        }
        printed
    }
}

struct Session {
    network: Network,
    host: Endpoint<Host, Str0m>,
    viewer: Endpoint<Viewer, Str0m>,
    rendezvous: Rendezvous,
    program: Program,
    /// The viewer's.
    recording: Vec<u8>,
    said_goodbye: bool,
    ended: (Option<HostExit>, Option<ViewerExit>),
}

impl Session {
    /// Does what is due now and all that follows from it, then lets time pass. False once both sides have ended.
    fn step(&mut self) -> bool {
        let now = self.network.now;
        while let Some(entry) = self.network.arrivals.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Arrival::Host(input) => self.host.handle(now, input),
                Arrival::Viewer(input) => self.viewer.handle(now, input),
                Arrival::Rendezvous(input) => self.rendezvous.handle(now, input),
            }
            self.drain();
        }
        let due = |deadline: Option<Timestamp>| deadline.is_some_and(|at| at <= now);
        if due(self.host.deadline()) {
            self.host.handle(now, Input::Tick);
        }
        if due(self.viewer.deadline()) {
            self.viewer.handle(now, Input::Tick);
        }
        if due(self.rendezvous.deadline()) {
            self.rendezvous.handle(now, RendezvousInput::Tick);
        }
        self.drain();
        let deadlines = [self.host.deadline(), self.viewer.deadline(), self.rendezvous.deadline()];
        let arrival = self.network.arrivals.first_key_value().map(|((at, _), _)| *at);
        let next = deadlines.into_iter().flatten().chain(arrival).min();
        self.network.now = next.unwrap_or(now).max(now);
        self.ended.0.is_none() || self.ended.1.is_none()
    }

    fn drain(&mut self) {
        while let Some(output) = self.rendezvous.poll() {
            match output {
                RendezvousOutput::Send(to, text) => self.network.deliver(to, Delivery::Text(text)),
                RendezvousOutput::Datagram(to, bytes) => self.network.deliver(to, Delivery::Relayed(bytes)),
                RendezvousOutput::Close(to) => self.network.deliver(to, Delivery::Down),
                RendezvousOutput::TakesPart(_)
                | RendezvousOutput::Drained
                | RendezvousOutput::Directory(_)
                | RendezvousOutput::Pipe { .. } => {}
            }
        }
        while let Some(output) = self.host.poll() {
            if let Some(output) = self.network.perform(HOST, output, &mut Vec::new()) {
                self.on_host(output);
            }
        }
        while let Some(output) = self.viewer.poll() {
            if let Some(output) = self.network.perform(VIEWER, output, &mut self.recording) {
                self.on_viewer(output);
            }
        }
    }

    fn on_host(&mut self, output: HostOutput) {
        let now = self.network.now;
        let mut tell = |input| self.network.send(Arrival::Host(Input::Machine(input)));
        match output {
            HostOutput::Start(_) => tell(HostInput::Printed(b"$ ".to_vec())),
            HostOutput::Write(bytes) | HostOutput::WriteOwn(bytes) => {
                tell(HostInput::Printed(self.program.typed(&bytes).into_bytes()));
                tell(HostInput::Written);
            }
            HostOutput::HangUp => tell(HostInput::Ended(129)),
            HostOutput::Notice(HostNotice::Registered) => println!("{now} s  host: registered"),
            HostOutput::Notice(HostNotice::Left(..)) => {
                println!("{now} s  host: the viewer has left");
                tell(HostInput::Stop);
            }
            HostOutput::Exit(exit) => self.ended.0 = Some(exit),
            HostOutput::Show(_)
            | HostOutput::ShowLinks(_)
            | HostOutput::Resize(_)
            | HostOutput::KeysTaken
            // Each write is with the program at once.
            | HostOutput::TakeBack
            | HostOutput::Notice(_) => {}
        }
    }

    fn on_viewer(&mut self, output: ViewerOutput) {
        let now = self.network.now;
        let mut tell = |input| self.network.send(Arrival::Viewer(Input::Machine(input)));
        match output {
            ViewerOutput::Show(_) => {
                tell(ViewerInput::Shown);
                let rows = self.viewer.machine().screen().text();
                if !self.said_goodbye && rows.iter().any(|row| row.trim_end() == "HELLO") {
                    self.said_goodbye = true;
                    println!("{now} s  viewer: the screen is");
                    rows.iter().filter(|row| !row.trim().is_empty()).for_each(|row| println!("    {}", row.trim_end()));
                    tell(ViewerInput::Leave);
                }
            }
            ViewerOutput::Notice(ViewerNotice::Stage(stage)) => println!("{now} s  viewer: {}", stage.words()),
            ViewerOutput::Notice(ViewerNotice::FirstScreen(..)) => tell(ViewerInput::Keys(b"hello\r".to_vec())),
            ViewerOutput::Exit(exit) => self.ended.1 = Some(exit),
            ViewerOutput::Size(_) | ViewerOutput::CursorAsked | ViewerOutput::KeysTaken | ViewerOutput::Notice(_) => {}
        }
    }
}

fn host_config() -> HostConfig {
    HostConfig {
        seed: [1; 32],
        size: Size::default(),
        rows_taken: 0,
        history: 1000,
        resize: Resize::Owner,
        headless: true,
        start: Start::AtOnce,
        linger: Duration::ZERO,
        keep: Duration::from_secs(60),
        approve: Approve::Nobody,
        escape: Escape::Never,
        max_viewers: 1,
        expire: None,
        links: InviteRules::default(),
        no_browsers: false,
        tells_input: false,
    }
}

fn viewer_config() -> ViewerConfig {
    ViewerConfig {
        seed: [2; 32],
        role: Role::Control,
        name: "somebody".to_owned(),
        size: Size::default(),
        wait: Some(Duration::from_secs(10)),
        options: Options { abilities: Abilities::ALL, alternate: false, window: Window::Own },
        predict: Mode::Never,
        history: 1000,
        clipboard: false,
        stays: true,
        reconnect: Duration::from_secs(30),
    }
}

/// The two endpoints. Seeds that everybody can read make keys that everybody has: in production they come from the
/// operating system.
fn session() -> Option<Session> {
    let epoch = Instant::now();
    let engine = || Some(Str0m::new(epoch, Certificate::generate()?));
    let secrets = HostSecrets::new(&mut Entropy::new([3; 32]));
    let invite = secrets.invite("http://192.0.2.3", Role::Control);
    let viewer = viewer_config();
    let first = viewer.first_record();
    Some(Session {
        network: Network::default(),
        host: Endpoint::new(Host::new(host_config()), engine()?, Secrets::Host(secrets), Entropy::new([4; 32])),
        viewer: Endpoint::new(Viewer::new(viewer), engine()?, Secrets::Viewer(invite), Entropy::new([5; 32]))
            .recording(&first),
        rendezvous: Rendezvous::new(),
        program: Program::default(),
        recording: Vec::new(),
        said_goodbye: false,
        ended: (None, None),
    })
}

fn main() -> ExitCode {
    let Some(mut session) = session() else {
        eprintln!("no certificate could be made");
        return ExitCode::FAILURE;
    };
    session.network.send(Arrival::Host(Input::Tick));
    session.network.send(Arrival::Viewer(Input::Tick));
    while session.step() {
        if session.network.now.since_start() > AT_MOST {
            eprintln!("it takes too long");
            return ExitCode::FAILURE;
        }
    }
    println!("{} s  {:?}, {:?}", session.network.now, session.ended.0, session.ended.1);
    if let Some(path) = std::env::args_os().nth(1)
        && let Err(error) = std::fs::write(&path, &session.recording)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
