//! A browser's page in the world: it performs what `beach_core::peer::browser` asks for over a peer of another engine,
//! as a page does over its `RTCPeerConnection`, and speaks in numbers, bytes and SDP like one.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::NetworkInput;
use beach_core::peer::browser::PeerCommand;
use beach_core::peer::engine::{Carrier, Engine, Peer, PeerNumber, PeerOutput, PeerPlan};
use beach_core::session::link::{Candidate, CandidateKind, Lane, LinkDown};
use beach_core::side::Side;
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;

use super::world::{ms, secs};

/// How long a browser takes to describe a connection.
const DESCRIBES_AFTER: Duration = ms(3);

/// A browser gives a connection up when it has heard nothing for so long.
const SILENT_AFTER: Duration = secs(15);

/// The numbers of events, as `NetworkInput::from_page` lists them.
const DESCRIBED: u32 = 8;
const CANDIDATE: u32 = 9;
const PATH_FOUND: u32 = 10;
const PATH: u32 = 11;
const CONTROL_OPEN: u32 = 12;
const TERMINAL_OPEN: u32 = 13;
const CONTROL_MESSAGE: u32 = 14;
const TERMINAL_MESSAGE: u32 = 15;
const DRAINED: u32 = 16;
const SILENT: u32 = 17;
const CLOSED: u32 = 18;

/// Makes the peers of a page.
type Maker = Box<dyn FnMut(Timestamp, PeerPlan, &mut Entropy) -> Box<dyn Peer>>;

/// A page.
pub struct Page {
    make: Maker,
    entropy: Entropy,
    connections: BTreeMap<u32, Connection>,
    /// The page never describes a connection.
    pub mute: bool,
    /// The certificate that its browser says it saw. Without one it says nothing, as some browsers do.
    pub saw: Option<Vec<u8>>,
    /// Connections that were opened and not closed yet, at most, at any time.
    pub most: usize,
    out: VecDeque<PageOutput>,
}

struct Connection {
    peer: Box<dyn Peer>,
    address: SocketAddr,
    heard_at: Timestamp,
    /// Messages for the control lane that found no room.
    backlog: VecDeque<Vec<u8>>,
    /// Something was sent on the control lane, and `DRAINED` was not said since.
    owes_drained: bool,
    is_silent: bool,
}

/// An action of a page.
pub(crate) enum PageOutput {
    /// The page tells its machine something, after this time.
    Event(Duration, NetworkInput),
    /// The page sends a datagram.
    Datagram { source: SocketAddr, destination: SocketAddr, bytes: Vec<u8> },
}

impl Page {
    /// A page whose connections are peers of this engine.
    pub fn over<E>(mut engine: E, entropy: Entropy) -> Page
    where
        E: Engine<Peer: 'static> + 'static,
    {
        let make: Maker = Box::new(move |now, plan, entropy| Box::new(engine.peer(now, plan, entropy)));
        let connections = BTreeMap::new();
        Page { make, entropy, connections, mute: false, saw: None, most: 0, out: VecDeque::new() }
    }

    /// Connections that are open.
    pub fn held(&self) -> usize {
        self.connections.len()
    }

    fn event(&mut self, after: Duration, number: u32, what: u32, bytes: &[u8]) {
        let event = NetworkInput::from_page(what, number, bytes).expect("what a page says is understood");
        self.out.push_back(PageOutput::Event(after, event));
    }

    /// Performs a command; a connection that is opened gets `address`.
    pub(crate) fn perform(&mut self, now: Timestamp, number: PeerNumber, command: &PeerCommand, address: SocketAddr) {
        let (what, bytes) = command.to_page();
        let PeerNumber(number) = number;
        let text = || std::str::from_utf8(&bytes).expect("text");
        if what == 0 {
            assert!(text().starts_with('[') && text().ends_with(']'), "a list of servers: {}", text());
            return self.open(now, number, address);
        }
        let Some(connection) = self.connections.get_mut(&number) else {
            panic!("a command for a connection that is not open: {command:?}");
        };
        match what {
            1 => {
                let told = connection.peer.set_remote(now, &description(text()));
                told.unwrap_or_else(|down| panic!("the answer is refused: {down}"));
            }
            2 => connection.peer.add_remote(now, candidate(text())),
            3 => {
                connection.backlog.push_back(bytes.into_owned());
                connection.owes_drained = true;
            }
            4 => {
                let _ = connection.peer.write(now, Lane::Terminal, &bytes);
            }
            5 => {
                // The last messages leave before the connection goes.
                self.drain(now, number);
                self.connections.remove(&number);
            }
            _ => panic!("no such command: {what}"),
        }
        self.drain(now, number);
    }

    fn open(&mut self, now: Timestamp, number: u32, address: SocketAddr) {
        let attempt = u16::try_from(number).expect("few connections");
        let plan = PeerPlan { side: Side::Viewer, carrier: Carrier::Channel, attempt };
        let mut peer = (self.make)(now, plan, &mut self.entropy);
        let local = peer.local().expect("the engine below describes its peers at once");
        peer.add_local(now, Candidate { kind: CandidateKind::Host, address });
        let connection = Connection {
            peer,
            address,
            heard_at: now,
            backlog: VecDeque::new(),
            owes_drained: false,
            is_silent: false,
        };
        assert!(self.connections.insert(number, connection).is_none(), "a number is used once");
        self.most = self.most.max(self.connections.len());
        if self.mute {
            return;
        }
        // Browsers hide their addresses behind names, and find public ones a little later.
        let hidden = format!("candidate:1 1 udp 2113937151 {number}-0000.local {} typ host", address.port());
        self.event(ms(1), number, CANDIDATE, hidden.as_bytes());
        self.event(DESCRIBES_AFTER, number, DESCRIBED, offer(&local).as_bytes());
        if self.entropy.number().is_multiple_of(2) {
            let (ip, port) = (address.ip(), address.port());
            let seen = format!("candidate:2 1 udp 1677729535 {ip} {port} typ srflx raddr 0.0.0.0 rport 0");
            let after = ms(self.entropy.number() % 50);
            self.event(after, number, CANDIDATE, seen.as_bytes());
        }
        self.event(ms(60), number, CANDIDATE, b"");
        self.drain(now, number);
    }

    /// The connection whose socket has this address got a datagram.
    pub(crate) fn datagram(&mut self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        let mut mine = self.connections.iter_mut().filter(|(_, it)| it.address == destination);
        let Some((number, connection)) = mine.next() else { return };
        let number = *number;
        connection.heard_at = now;
        if let Err(down) = connection.peer.receive(now, source, destination, bytes) {
            self.fail(number, &down);
        }
        self.drain(now, number);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        for number in self.connections.keys().copied().collect::<Vec<_>>() {
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            if connection.peer.deadline().is_some_and(|at| at <= now)
                && let Err(down) = connection.peer.tick(now)
            {
                self.fail(number, &down);
            }
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            if !connection.is_silent && connection.heard_at + SILENT_AFTER <= now {
                connection.is_silent = true;
                self.event(ms(0), number, SILENT, b"");
            }
            self.drain(now, number);
        }
    }

    fn fail(&mut self, number: u32, down: &LinkDown) {
        self.event(ms(0), number, 19, down.to_string().as_bytes());
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let each = |connection: &Connection| {
            let silent = (!connection.is_silent).then_some(connection.heard_at + SILENT_AFTER);
            connection.peer.deadline().into_iter().chain(silent).min()
        };
        self.connections.values().filter_map(each).min()
    }

    pub(crate) fn poll(&mut self) -> Option<PageOutput> {
        self.out.pop_front()
    }

    fn drain(&mut self, now: Timestamp, number: u32) {
        loop {
            let Some(connection) = self.connections.get_mut(&number) else { return };
            while let Some(bytes) = connection.backlog.front() {
                if connection.peer.write(now, Lane::Control, bytes) != Ok(true) {
                    break;
                }
                connection.backlog.pop_front();
            }
            let drained = connection.backlog.is_empty() && std::mem::take(&mut connection.owes_drained);
            let (address, output) = (connection.address, connection.peer.poll());
            if drained {
                self.event(ms(0), number, DRAINED, b"");
            }
            match output {
                None if drained => {}
                None => return,
                Some(PeerOutput::Transmit { source, destination, bytes }) => {
                    self.out.push_back(PageOutput::Datagram { source, destination, bytes });
                }
                Some(PeerOutput::PathFound) => {
                    self.event(ms(0), number, PATH_FOUND, b"");
                    let local = format!("candidate:1 1 udp 2113937151 x.local {} typ host", address.port());
                    self.event(ms(0), number, PATH, format!("{local}\n").as_bytes());
                }
                Some(PeerOutput::Secured) => {
                    let saw = self.saw.clone().unwrap_or_default();
                    self.event(ms(0), number, TERMINAL_OPEN, &saw);
                }
                Some(PeerOutput::ControlOpen) => self.event(ms(0), number, CONTROL_OPEN, b""),
                Some(PeerOutput::Message(Lane::Control, bytes)) => self.event(ms(0), number, CONTROL_MESSAGE, &bytes),
                Some(PeerOutput::Message(Lane::Terminal, bytes)) => self.event(ms(0), number, TERMINAL_MESSAGE, &bytes),
                Some(PeerOutput::Down(_)) => self.event(ms(0), number, CLOSED, b""),
                Some(PeerOutput::Command(..) | PeerOutput::Described) => panic!("the engine below has no page"),
                Some(PeerOutput::Candidate(_) | PeerOutput::Path(_)) => panic!("the engine below has no sockets"),
            }
        }
    }
}

fn hex(fingerprint: [u8; 32]) -> String {
    fingerprint.map(|byte| format!("{byte:02X}")).join(":")
}

/// As Chromium writes it, shortened.
fn offer((ufrag, password, fingerprint): &(String, String, [u8; 32])) -> String {
    let hex = hex(*fingerprint);
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\n\
         a=ice-pwd:{password}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {hex}\r\na=setup:actpass\r\n\
         a=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
    )
}

/// The host's description in an answer.
fn description(answer: &str) -> Description {
    let value = |name: &str| {
        let found = answer.split("\r\n").find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
    };
    assert_eq!(value("a=setup:"), "active", "the host begins DTLS");
    let bytes: Vec<_> = value("a=fingerprint:sha-256 ")
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits"))
        .collect();
    let fingerprint = bytes.try_into().expect("32 bytes");
    Description { ufrag: value("a=ice-ufrag:"), password: value("a=ice-pwd:"), fingerprint, half: [0; 32] }
}

fn candidate(line: &str) -> Candidate {
    let words: Vec<_> = line.split(' ').collect();
    let [_, "1", "udp", _, ip, port, "typ", kind, ..] = words[..] else { panic!("no candidate: {line}") };
    let kind = match kind {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => panic!("no candidate: {line}"),
    };
    let address = SocketAddr::new(ip.parse().expect("an address"), port.parse().expect("a port"));
    Candidate { kind, address }
}
