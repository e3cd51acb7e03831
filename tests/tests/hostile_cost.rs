//! The cost of hostile peers: the memory that they make others hold, and the work that one of their datagrams causes,
//! counted in allocated bytes and not in time. In a process of its own, whose allocator keeps accounts.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
use beach_core::host::{Host, HostInput, HostOutput};
use beach_core::id::LinkId;
use beach_core::machine::Machine as _;
use beach_core::peer::engine::Carrier;
use beach_core::predict::Mode;
use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::Lane;
use beach_core::terminal::{Line, Options, Run, Size, Space, Style, Width};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerInput, ViewerOutput};
use beach_core::wire::frame::{Acks, Down, FromHost, InputEvent, MAX_FRAME, MAX_PARTS, MAX_SEGMENT, Segment, Up};
use beach_core::wire::signal::{FromRendezvous, Opaque, ToRendezvous, to_text};
use beach_runtime_tokio::serve::STRANGERS_BYTES_MAX;
use beach_tests::determinism;
use beach_tests::ledger::{self, Account, Ledger};
use beach_tests::sim::pair::{Pair, forgery};
use beach_tests::sim::{FakeEngine, HostPlan, Mouth, Speaking, ViewerPlan, host_secrets};

#[global_allocator]
static LEDGER: Ledger = Ledger;

/// The accounts belong to the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const HOST_AT: ([u8; 4], u16) = ([10, 0, 0, 1], 4001);
const VIEWER_AT: ([u8; 4], u16) = ([10, 0, 0, 2], 4002);

/// What the program prints.
const LINE: &[u8] = b"output that nobody acknowledges\r\n";

/// Lines of history that a host keeps here.
const HISTORY: usize = 10_000;

type Engine = Speaking<FakeEngine>;

/// Which of the two sides is attacked: its memory is on the account [`Account::Victim`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attacked {
    Host,
    Viewer,
}

/// A host, a viewer and a rendezvous with nothing between them. Every input is copied on the account of the side that
/// takes the input, and every output is dropped by the test, so an account holds what its machine holds.
struct Triangle {
    attacked: Attacked,
    now: Timestamp,
    host: Endpoint<Host, Engine>,
    viewer: Endpoint<Viewer, Engine>,
    rendezvous: Rendezvous,
    host_mouth: Mouth,
    viewer_mouth: Mouth,
    flying: VecDeque<(bool, NetworkInput)>,
    /// Outputs of the victim.
    put_out: u64,
    /// Bytes that the victim held before it knew the other side: a host without viewers, or nothing yet of a viewer.
    before: i64,
}

fn account(attacked: Attacked, of_host: bool) -> Account {
    if (attacked == Attacked::Host) == of_host { Account::Victim } else { Account::Other }
}

fn new_host(mouth: Mouth) -> Endpoint<Host, Engine> {
    let mut plan = HostPlan::new(1);
    plan.config.history = HISTORY;
    let engine = Speaking(FakeEngine::new(1), mouth);
    Endpoint::new(Host::new(plan.config), engine, Secrets::Host(host_secrets(1)), Entropy::new([1; 32]))
}

fn new_viewer(mouth: Mouth) -> Endpoint<Viewer, Engine> {
    let invite = ViewerPlan::of(1, Role::Control).invite;
    let config = ViewerConfig {
        seed: [3; 32],
        role: invite.role,
        name: "viewer".to_owned(),
        size: Size::new(80, 24),
        wait: None,
        history: 10_000,
        options: Options::default(),
        predict: Mode::Auto,
        clipboard: true,
        stays: true,
        reconnect: Duration::from_secs(60),
    };
    let engine = Speaking(FakeEngine::new(2), mouth);
    Endpoint::new(Viewer::new(config), engine, Secrets::Viewer(invite), Entropy::new([2; 32]))
}

impl Triangle {
    /// Both are connected, and the viewer has the first screen.
    fn new(attacked: Attacked) -> Triangle {
        Triangle::after_lines(attacked, 0)
    }

    /// The same; the program had printed so many lines before the viewer came.
    fn after_lines(attacked: Attacked, lines: usize) -> Triangle {
        let before = ledger::held(Account::Victim);
        let [host_mouth, viewer_mouth] = [Mouth::default(), Mouth::default()];
        let host = ledger::on(account(attacked, true), || new_host(host_mouth.clone()));
        let viewer = ledger::on(account(attacked, false), || new_viewer(viewer_mouth.clone()));
        let rendezvous = ledger::on(Account::Other, Rendezvous::new);
        let (now, flying) = (Timestamp::ZERO, VecDeque::new());
        let mut triangle =
            Triangle { attacked, now, host, viewer, rendezvous, host_mouth, viewer_mouth, flying, put_out: 0, before };
        triangle.host_input(Input::Tick);
        triangle.run(Duration::from_millis(500));
        for _ in 0..lines.div_ceil(40) {
            triangle.host_input(Input::Machine(HostInput::Printed(LINE.repeat(40))));
        }
        if attacked == Attacked::Host {
            triangle.before = ledger::held(Account::Victim);
        }
        ledger::begin_peak(Account::Victim);
        triangle.viewer_input(Input::Tick);
        triangle.run(Duration::from_secs(2));
        assert_eq!(triangle.viewer.machine().stage(), Stage::Live, "the viewer is in");
        triangle
    }

    fn host_input(&mut self, input: Input<HostInput>) {
        let mut outputs = Vec::new();
        ledger::on(account(self.attacked, true), || {
            self.host.handle(self.now, input);
            while let Some(output) = self.host.poll() {
                outputs.push(output);
            }
        });
        for output in outputs {
            self.put_out += u64::from(self.attacked == Attacked::Host);
            if let Output::Machine(output) = &output {
                if matches!(output, HostOutput::Write(_)) {
                    self.host_input(Input::Machine(HostInput::Written));
                }
            } else {
                self.network(true, output);
            }
        }
    }

    fn viewer_input(&mut self, input: Input<ViewerInput>) {
        let mut outputs = Vec::new();
        ledger::on(account(self.attacked, false), || {
            self.viewer.handle(self.now, input);
            while let Some(output) = self.viewer.poll() {
                outputs.push(output);
            }
        });
        for output in outputs {
            self.put_out += u64::from(self.attacked == Attacked::Viewer);
            if let Output::Machine(output) = &output {
                if matches!(output, ViewerOutput::Show(_)) {
                    self.viewer_input(Input::Machine(ViewerInput::Shown));
                }
            } else {
                self.network(false, output);
            }
        }
    }

    fn network<O>(&mut self, of_host: bool, output: Output<O>) {
        let id = if of_host { 1 } else { 2 };
        match output {
            Output::Dial => {
                self.rendezvous(RendezvousInput::Opened(id, None));
                self.flying.push_back((of_host, NetworkInput::SignalUp));
            }
            Output::Signal(text) => self.rendezvous(RendezvousInput::Text(id, text)),
            Output::Bind(generation) => {
                let at = if of_host { HOST_AT } else { VIEWER_AT };
                self.flying.push_back((of_host, NetworkInput::Bound(generation, vec![at.into()])));
            }
            Output::Datagram { source, destination, bytes } => {
                let to_host = destination == SocketAddr::from(HOST_AT);
                self.flying.push_back((to_host, NetworkInput::Datagram { source, destination, bytes }));
            }
            Output::Machine(_)
            | Output::DialAt(_)
            | Output::DialBeside(_)
            | Output::TakeBeside
            | Output::HangUpBeside
            | Output::HangUp
            | Output::Relay(_)
            | Output::TurnDial(..)
            | Output::TurnWrite(..)
            | Output::TurnHangUp(_)
            | Output::Peer(..)
            | Output::Links(_)
            | Output::Record(_)
            | Output::Note(_) => {}
        }
    }

    fn rendezvous(&mut self, input: RendezvousInput) {
        let mut outputs = Vec::new();
        ledger::on(Account::Other, || {
            self.rendezvous.handle(self.now, input);
            while let Some(output) = self.rendezvous.poll() {
                outputs.push(output);
            }
        });
        for output in outputs {
            if let RendezvousOutput::Send(id, text) = output {
                self.flying.push_back((id == 1, NetworkInput::Signal(text)));
            }
        }
    }

    fn deliver(&mut self, to_host: bool, input: &NetworkInput) {
        // Copied by the one who takes it.
        let input = ledger::on(account(self.attacked, to_host), || input.clone());
        if to_host { self.host_input(Input::Network(input)) } else { self.viewer_input(Input::Network(input)) }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while let Some((to_host, input)) = self.flying.pop_front() {
                self.deliver(to_host, &input);
            }
            let due = [self.host.deadline(), self.viewer.deadline(), self.rendezvous.deadline()];
            let next = due.into_iter().flatten().min().unwrap_or(end).max(self.now + Duration::from_micros(1));
            if next > end {
                break;
            }
            self.now = next;
            if due[0].is_some_and(|at| at <= next) {
                self.host_input(Input::Tick);
            }
            if due[1].is_some_and(|at| at <= next) {
                self.viewer_input(Input::Tick);
            }
            if due[2].is_some_and(|at| at <= next) {
                self.rendezvous(RendezvousInput::Tick);
            }
        }
        self.now = end;
    }

    /// The viewer says these frames, and something of its own.
    fn viewer_says(&mut self, lane: Lane, frames: impl IntoIterator<Item = Vec<u8>>) {
        frames.into_iter().for_each(|frame| self.viewer_mouth.say(lane, frame));
        self.viewer_input(Input::Machine(ViewerInput::Resized(Size::new(79, 24))));
        self.viewer_input(Input::Machine(ViewerInput::Resized(Size::new(80, 24))));
        self.run(Duration::from_millis(1));
    }

    fn host_says(&mut self, lane: Lane, frames: impl IntoIterator<Item = Vec<u8>>) {
        frames.into_iter().for_each(|frame| self.host_mouth.say(lane, frame));
        self.host_input(Input::Machine(HostInput::Printed(b"\r\nx".to_vec())));
        self.run(Duration::from_millis(20));
    }
}

impl Triangle {
    /// The most that the victim held at once since the other side came, but for what it held before.
    fn cost(&self) -> i64 {
        ledger::peak(Account::Victim) - self.before
    }
}

fn kib(bytes: i64) -> i64 {
    bytes / 1024
}

/// The most that the victim held at once in addition, while this happened.
fn most_held(act: impl FnOnce()) -> i64 {
    let before = ledger::held(Account::Victim);
    ledger::begin_peak(Account::Victim);
    act();
    ledger::peak(Account::Victim) - before
}

#[test]
fn a_stranger_costs_the_rendezvous_and_the_host_little() {
    let _alone = ALONE.lock();
    // At the rendezvous: pairs of connections that register a session of their own, and join it by as many links as
    // they may.
    const STRANGERS: u64 = 100;
    let mut rendezvous = ledger::on(Account::Victim, Rendezvous::new);
    let say = |rendezvous: &mut Rendezvous, id, text| {
        ledger::on(Account::Victim, || {
            rendezvous.handle(Timestamp::ZERO, RendezvousInput::Text(id, text));
            while rendezvous.poll().is_some() {}
        });
    };
    let held = most_held(|| {
        for id in 1..=STRANGERS {
            for id in [2 * id, 2 * id + 1] {
                ledger::on(Account::Victim, || rendezvous.handle(Timestamp::ZERO, RendezvousInput::Opened(id, None)));
            }
            let secrets = host_secrets(id);
            say(&mut rendezvous, 2 * id, to_text(&ToRendezvous::register(&secrets)));
            for number in 0..80 {
                let join = ToRendezvous::Join {
                    session: secrets.session().to_string().parse().expect("a name"),
                    link: LinkId(id << 8 | number),
                    role: Role::View,
                    versions: vec![1; 16],
                    resumes: None,
                    moves: true,
                };
                say(&mut rendezvous, 2 * id + 1, to_text(&join));
            }
        }
    });
    let (sessions, links, _) = rendezvous.counts();
    assert_eq!(sessions as u64, STRANGERS);
    assert!(links as u64 > 10 * STRANGERS, "only {links} links");
    let each = held / (2 * STRANGERS as i64);
    println!("{each} bytes a stranger with a session in the rendezvous' machine");
    assert!((1..=16 * 1024).contains(&each), "{each} bytes a stranger");
    drop(rendezvous);

    // Who takes no part: the machine's memory, and all buffers that its socket may have.
    let mut rendezvous = ledger::on(Account::Victim, Rendezvous::new);
    let held = most_held(|| {
        for id in 1..=STRANGERS {
            ledger::on(Account::Victim, || rendezvous.handle(Timestamp::ZERO, RendezvousInput::Opened(id, None)));
            say(&mut rendezvous, id, to_text(&ToRendezvous::Ping));
            let join = ToRendezvous::Join {
                session: host_secrets(id).session().to_string().parse().expect("a name"),
                link: LinkId(id),
                role: Role::View,
                versions: vec![1; 16],
                resumes: None,
                moves: true,
            };
            say(&mut rendezvous, id, to_text(&join));
        }
    });
    let machine = held / STRANGERS as i64;
    println!("{machine} bytes a stranger without a session in the rendezvous' machine");
    let each = machine + STRANGERS_BYTES_MAX as i64;
    assert!(machine > 0 && each <= 128 * 1024, "{each} bytes a stranger, with its socket");
    drop(rendezvous);

    // At the host: links that the rendezvous announces, with first messages that nobody with the key sealed.
    let mut triangle = Triangle::new(Attacked::Host);
    let held = most_held(|| {
        for link in 1000..1000 + STRANGERS {
            let (role, versions) = (Role::Control, vec![1]);
            let (ice, from, session, resumes) = (Vec::new(), None, None, None);
            let joined =
                FromRendezvous::Joined { link: LinkId(link), role, versions, relay: true, resumes, ice, from, session };
            triangle.deliver(true, &NetworkInput::Signal(to_text(&joined)));
            // Half of them never say anything.
            for _ in 0..link % 2 * 8 {
                let data = Opaque(vec![1; 8 * 1024]);
                let envelope = FromRendezvous::Envelope { link: LinkId(link), data };
                triangle.deliver(true, &NetworkInput::Signal(to_text(&envelope)));
            }
        }
    });
    let each = held / STRANGERS as i64;
    println!("{each} bytes a stranger in the host");
    assert!((1..=64 * 1024).contains(&each), "{each} bytes a stranger");
    triangle.run(Duration::from_secs(60));
    assert_eq!(triangle.host.machine().members(), 1, "the viewer from before is still in");
}

/// Typing that can never be delivered, since what comes before it is missing; acknowledgements of everything; and what
/// makes no sense.
fn frames_of_a_hostile_viewer(round: u64) -> Vec<Vec<u8>> {
    let seq = 1000 + round * 100;
    let events = |length: usize| vec![InputEvent::Keys(vec![b'y'; length]), InputEvent::Keys(vec![b'z'; length])];
    let mut frames = Vec::new();
    for number in 0..40 {
        let first = 1_000 + round * 80 + number * 2;
        frames.push(Up { seq: seq + number, wants_ack: true, first, events: events(400), ..Up::default() }.encode());
    }
    let acks = Acks { held_micros: u32::MAX, ranges: vec![(1, u64::MAX >> 2)] };
    frames.push(Up { seq: seq + 50, acks, first: 1, ..Up::default() }.encode());
    let ranges = (0..10).map(|range| (range * 3 + 1, range * 3 + 1)).rev().collect();
    frames.push(Up { seq: seq + 51, acks: Acks { held_micros: 0, ranges }, first: 1, ..Up::default() }.encode());
    frames
}

#[test]
fn a_viewer_who_is_in_costs_the_host_at_most_four_megabytes_in_the_engine_and_above_it() {
    let _alone = ALONE.lock();
    // The host's own history is full, so that it does not grow meanwhile.
    let mut triangle = Triangle::after_lines(Attacked::Host, HISTORY + 100);
    let before = triangle.host_mouth.heard();
    for round in 0..50 {
        triangle.viewer_says(Lane::Terminal, frames_of_a_hostile_viewer(round));
        triangle.host_input(Input::Machine(HostInput::Printed(LINE.repeat(40))));
    }
    assert!(triangle.host_mouth.heard() > before + 1000, "the frames arrive");
    let above = triangle.cost();
    drop(triangle);

    // Data of SCTP with a hole before it, which the engine must keep. The forger's own engine is on another account.
    let in_engine = determinism::run(1, || {
        let before = ledger::held(Account::Victim);
        ledger::begin_peak(Account::Victim);
        let forgery = forgery(1);
        let mut pair = Pair::on_accounts(Carrier::Rtp, [Account::Victim, Account::Other]);
        let honest = ledger::peak(Account::Victim) - before;
        for number in 0..4000_u32 {
            let tsn = forgery.borrow().tsn(1).wrapping_add(2 + number % 3900);
            let mut chunk = vec![0, 0b100];
            chunk.extend((16 + 1000_u16).to_be_bytes());
            chunk.extend(tsn.to_be_bytes());
            chunk.extend([0, 0]);
            chunk.extend((number as u16).to_be_bytes());
            chunk.extend(53_u32.to_be_bytes());
            chunk.extend([7; 1000]);
            forgery.borrow_mut().add(1, &chunk);
            // All leave before the first answer, which would end the forger's own association.
            pair.write(1, b"x");
            if pair.is_down[1] {
                break;
            }
        }
        pair.run(Duration::from_millis(1));
        assert!(forgery.borrow().sent > 100, "the forged packets were sent");
        let forged = ledger::peak(Account::Victim) - before;
        assert!(honest > 0 && forged > honest, "the host's engine is on the account, and kept forged data");
        forged
    });
    println!("{} KiB for a hostile viewer above the engine, {} KiB in it", kib(above), kib(in_engine));
    assert!(above > 0 && above + in_engine <= 4 << 20, "{above} bytes above the engine, {in_engine} in it");
}

/// Lines of the worst kind: long ones with styles, above and below the window, in parts that never become whole.
fn frames_of_a_hostile_host(round: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..20_u64 {
        let place = round * 20 + number;
        let segment = |part: u8| Segment {
            space: if place.is_multiple_of(7) { Space::Alternate } else { Space::Main },
            number: place * 3,
            version: round + 1,
            is_final: place.is_multiple_of(2),
            part,
            parts: MAX_PARTS,
            content: vec![b'a'; MAX_SEGMENT],
        };
        let seq = 10_000 + place * 2;
        frames.push(Down { seq, wants_ack: true, segments: vec![segment(0)], ..Down::default() }.encode());
        let run = Run { text: "é".repeat(150), width: Width::Narrow, style: Style::default() };
        let content = Line { runs: vec![run], ..Line::default() }.encode();
        let whole = Segment { part: 0, parts: 1, content, number: place * 3 + 1, ..segment(0) };
        frames.push(Down { seq: seq + 1, wants_ack: true, segments: vec![whole], ..Down::default() }.encode());
    }
    frames
}

#[test]
fn a_hostile_host_costs_a_viewer_at_most_64_megabytes() {
    let _alone = ALONE.lock();
    let mut triangle = Triangle::new(Attacked::Viewer);
    let before = triangle.viewer_mouth.heard();
    for round in 0..1500 {
        triangle.host_says(Lane::Terminal, frames_of_a_hostile_host(round));
        let text = FromHost::Clipboard { text: "c".repeat(900), last: false }.encode();
        triangle.host_says(Lane::Control, [text, FromHost::Title("t".repeat(900)).encode()]);
    }
    assert!(triangle.viewer_mouth.heard() > before + 10_000, "the frames arrive");
    // All of the viewer, its first screen included.
    let held = triangle.cost();
    println!("{} KiB for a hostile host", kib(held));
    assert!((1..=64 << 20).contains(&held), "{held} bytes");
}

/// The work for one datagram: bytes that the victim allocates while it takes it.
fn work(triangle: &mut Triangle, bytes: &[u8], source: ([u8; 4], u16)) -> u64 {
    let (to_host, destination) = match triangle.attacked {
        Attacked::Host => (true, HOST_AT.into()),
        Attacked::Viewer => (false, VIEWER_AT.into()),
    };
    let before = ledger::ever(Account::Victim);
    triangle.deliver(to_host, &NetworkInput::Datagram { source: source.into(), destination, bytes: bytes.to_vec() });
    triangle.flying.clear();
    ledger::ever(Account::Victim) - before
}

#[test]
fn a_hostile_datagram_causes_at_most_ten_times_the_work_of_an_honest_one() {
    let _alone = ALONE.lock();
    for (attacked, from) in [(Attacked::Host, VIEWER_AT), (Attacked::Viewer, HOST_AT)] {
        let mut triangle = Triangle::new(attacked);
        // An honest datagram: full of output or of typing.
        let honest = (0..20)
            .map(|number: u8| {
                let before = ledger::ever(Account::Victim);
                match attacked {
                    Attacked::Host => {
                        triangle.viewer_input(Input::Machine(ViewerInput::Keys(vec![b'k'; 200])));
                    }
                    Attacked::Viewer => {
                        let printed = vec![b'a' + number; 800];
                        triangle.host_input(Input::Machine(HostInput::Printed(printed)));
                    }
                }
                triangle.run(Duration::from_millis(20));
                ledger::ever(Account::Victim) - before
            })
            .max()
            .expect("twenty");
        let mut worst = 0;
        // A stranger's bytes of each kind that RFC 7983 tells apart, from the peer's address and from others.
        for first in [0_u8, 1, 20, 22, 23, 64, 128, 144, 192, 255] {
            for length in [1, 12, 20, 200, 1200, 1500] {
                let mut bytes = vec![0x5a; length];
                bytes[0] = first;
                for source in [from, ([203, 0, 113, 9], 999)] {
                    worst = worst.max(work(&mut triangle, &bytes, source));
                }
            }
        }
        // A peer's own frames.
        let frames: Vec<Vec<u8>> = match attacked {
            Attacked::Host => (0..3).flat_map(frames_of_a_hostile_viewer).collect(),
            Attacked::Viewer => (0..3).flat_map(frames_of_a_hostile_host).collect(),
        };
        let nonsense = [vec![], vec![0; MAX_FRAME], vec![1; MAX_FRAME], vec![0xff; MAX_FRAME]];
        for frame in frames.into_iter().chain(nonsense) {
            let before = ledger::ever(Account::Victim);
            match attacked {
                Attacked::Host => triangle.viewer_says(Lane::Terminal, [frame]),
                Attacked::Viewer => triangle.host_says(Lane::Terminal, [frame]),
            }
            worst = worst.max(ledger::ever(Account::Victim) - before);
        }
        println!("{honest} bytes of work for an honest datagram, {worst} for a hostile one");
        assert!(honest > 0 && worst > 0);
        assert!(worst <= 10 * honest, "{worst} bytes of work, and {honest} for an honest datagram");
    }
}
