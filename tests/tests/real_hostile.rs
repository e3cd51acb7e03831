//! A viewer of our own making that obeys no role, over real sockets, against the real program.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use beach_core::crypto::invite::Invite;
use beach_core::endpoint::{Endpoint, Input, Output, Secrets};
use beach_core::id::LinkId;
use beach_core::machine::Machine;
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::predict::Mode;
use beach_core::role::Role;
use beach_core::session::link::{Command, Event, Lane, LinkUser};
use beach_core::terminal::{Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerOutput};
use beach_core::wire::frame::{FromHost, FromViewer, InputEvent, Up};
use beach_runtime_tokio::drive::{Surroundings, drive};
use beach_runtime_tokio::network::Network;
use beach_runtime_tokio::{entropy, seed};
use beach_tests::real::{Host, Scratch, beach, holds};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);

/// A viewer that sends these frames as soon as both lanes are open, permitted or not.
struct Bold {
    viewer: Viewer,
    says: Vec<(Lane, Vec<u8>)>,
    out: VecDeque<ViewerOutput<Command>>,
}

impl Bold {
    fn speak(&mut self, link: LinkId) {
        let commands = self.says.drain(..).map(|(lane, bytes)| Command::Send(link, lane, bytes));
        self.out.extend(commands.map(ViewerOutput::Link));
    }
}

impl Machine for Bold {
    type Input = ViewerInput;
    type Output = ViewerOutput<Command>;

    fn handle(&mut self, now: Timestamp, input: ViewerInput) {
        if let ViewerInput::Link(Event::ControlUp(link, _)) = &input {
            self.speak(*link);
        }
        self.viewer.handle(now, input);
    }

    fn poll(&mut self) -> Option<ViewerOutput<Command>> {
        self.out.pop_front().or_else(|| self.viewer.poll())
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.viewer.deadline()
    }
}

impl LinkUser for Bold {
    type ForRuntime = ViewerOutput;

    fn due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)> {
        self.viewer.due(now)
    }

    fn split(output: ViewerOutput<Command>) -> Result<Command, ViewerOutput> {
        Viewer::split(output)
    }

    fn ending(output: &ViewerOutput) -> Option<String> {
        Viewer::ending(output)
    }
}

type BoldEndpoint = Endpoint<Bold, Str0m>;

/// The network around it, and nothing else.
struct Wires(Network);

impl Surroundings<BoldEndpoint> for Wires {
    type End = ViewerExit;

    fn perform(&mut self, output: Output<ViewerOutput>) -> ControlFlow<ViewerExit> {
        match self.0.perform(output) {
            Some(ViewerOutput::Exit(exit)) => ControlFlow::Break(exit),
            Some(_) | None => ControlFlow::Continue(()),
        }
    }

    async fn next(&mut self) -> Input<ViewerInput> {
        self.0.next().await.into()
    }
}

/// Joins, sends these frames, and waits for the end.
fn joins_and_says(link: &str, says: Vec<(Lane, Vec<u8>)>) -> ViewerExit {
    let invite = Invite::parse(link).expect("a link");
    let config = ViewerConfig {
        seed: seed(),
        role: invite.role,
        name: "bold".to_owned(),
        size: Size::default(),
        wait: None,
        options: Options::default(),
        predict: Mode::Never,
        history: 0,
        clipboard: false,
        stays: true,
        reconnect: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let epoch = Instant::now();
        let mut wires = Wires(Network::new(&invite.server, invite.is_loopback(), None));
        let bold = Bold { viewer: Viewer::new(config), says, out: VecDeque::new() };
        let engine = Str0m::new(epoch, Certificate::generate().expect("a certificate"));
        let mut endpoint = Endpoint::new(bold, engine, Secrets::Viewer(invite), entropy());
        timeout(SOON, drive(&mut endpoint, epoch, &mut wires)).await.expect("it ends")
    })
}

#[test]
fn input_paste_and_grant_of_who_may_only_watch_reach_nothing_and_the_third_removes_it() {
    let scratch = Scratch::new();
    let program = "stty raw -echo; exec cat > typed";
    let host = Host::start(&scratch, &["--audit", "audit"], &["sh", "-c", program]);
    let typed = |seq: u64, first: u64, event| {
        (Lane::Terminal, Up { seq, first, events: vec![event], ..Up::default() }.encode())
    };
    let size = Size::new(10, 5);
    let says = vec![
        // Everybody has a size, and nobody's but the host's counts.
        (Lane::Control, FromViewer::Size(size).encode()),
        typed(1000, 1, InputEvent::Keys(b"typed\r".to_vec())),
        typed(1001, 2, InputEvent::Paste { bytes: b"pasted\r".to_vec(), first: true, last: true }),
        // The frame by which a host lets a viewer type.
        (Lane::Control, FromHost::Role(Role::Control).encode()),
    ];

    let exit = joins_and_says(&host.links.view, says);

    assert!(matches!(&exit, ViewerExit::Removed(why) if why.contains("broke the protocol")), "{exit:?}");
    holds("it has left", SOON, || host.events("member_left") == 1);
    let audit = scratch.read("audit");
    let violations: Vec<&str> = audit.lines().filter(|line| line.contains(r#""event":"violation""#)).collect();
    assert_eq!(violations.len(), 3, "{audit}");
    assert!(!audit.contains("typed\\r") && !audit.contains("member_role"), "{audit}");
    assert_eq!(scratch.read("typed"), "");
    let status = beach(&scratch, &["status", "--json"]).output().expect("it runs").stdout;
    assert!(String::from_utf8_lossy(&status).contains(r#""size":"80x24""#));

    // With the link that may type, the same input arrives: only the role stopped it.
    let says = vec![typed(1000, 1, InputEvent::Keys(b"once more\r".to_vec()))];
    let exit = std::thread::spawn({
        let link = host.links.control.clone();
        move || joins_and_says(&link, says)
    });
    holds("who may type, may", SOON, || scratch.read("typed") == "once more\r");
    assert!(beach(&scratch, &["stop"]).status().expect("it runs").success());
    assert_eq!(exit.join().expect("no panic"), ViewerExit::Stopped);
}
