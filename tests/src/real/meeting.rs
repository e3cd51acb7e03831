//! A session in the lab: the rendezvous on the public segment, a host and a viewer behind their routers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Host, Lab, Nat, PUBLIC, Process, Scratch, beach, holds, join};

const SOON: Duration = Duration::from_secs(20);

/// TURN's credentials are made from this.
const TURN_SECRET: &str = "north";

impl Nat {
    /// The rendezvous as somebody behind it reaches it.
    #[must_use]
    pub fn rendezvous(self) -> String {
        if self == Nat::Ipv6 { format!("http://[{}]:8080", PUBLIC[1]) } else { format!("http://{}:8080", PUBLIC[0]) }
    }
}

/// How a session is to be.
pub struct Meeting<'a> {
    scratch: &'a Scratch,
    lab: Lab,
    sides: [Nat; 2],
    serve: Vec<String>,
    both: Vec<String>,
    capture: Option<&'a Path>,
}

/// A session whose viewer has begun to join. The host prints `READY-ON-THE-HOST`, and writes all typing into the file
/// `typed`.
pub struct Met {
    /// Where.
    pub lab: Lab,
    /// `beach serve`.
    pub rendezvous: Process,
    /// `beach share`.
    pub host: Host,
    /// `beach join --json`.
    pub viewer: Process,
    /// The capture of the public segment.
    pub capture: Option<Process>,
}

impl<'a> Meeting<'a> {
    /// With these routers; `None` where there is no lab: see [`Lab::new`].
    #[must_use]
    pub fn new(scratch: &'a Scratch, host: Nat, viewer: Nat) -> Option<Meeting<'a>> {
        let lab = Lab::new(host, viewer)?;
        Some(Meeting { scratch, lab, sides: [host, viewer], serve: Vec::new(), both: Vec::new(), capture: None })
    }

    /// With these options of `serve`.
    #[must_use]
    pub fn serve(mut self, options: &[&str]) -> Meeting<'a> {
        self.serve.extend(options.iter().map(ToString::to_string));
        self
    }

    /// With these options of `share` and of `join`.
    #[must_use]
    pub fn both(mut self, options: &[&str]) -> Meeting<'a> {
        self.both.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Captures the public segment into a file.
    #[must_use]
    pub fn captured_to(mut self, file: &'a Path) -> Meeting<'a> {
        self.capture = Some(file);
        self
    }

    /// With coturn on the public segment, and a rendezvous that relays nothing and hands it out for `transport`.
    #[must_use]
    pub fn with_turn(self, transport: &str, lifetime: &str) -> (Meeting<'a>, Process) {
        let coturn = coturn(&self.lab);
        std::fs::write(self.scratch.file("turn-secret"), TURN_SECRET).expect("a file");
        let server = format!("turn:{}:3478?transport={transport}", PUBLIC[0]);
        let options =
            ["--no-relay", "--ice-server", &server, "--turn-secret-file", "turn-secret", "--turn-lifetime", lifetime];
        (self.serve(&options), coturn)
    }

    /// Starts the rendezvous, the host, and the viewer.
    ///
    /// # Panics
    /// If one of the former two does not come up.
    #[must_use]
    pub fn start(self) -> Met {
        let Meeting { scratch, lab, sides, serve, both, capture } = self;
        let both: Vec<_> = both.iter().map(String::as_str).collect();
        let capture = capture.map(|file| {
            let capture = Process::start(&mut capturer(&lab, file));
            holds("the capture", SOON, || capture.stderr().contains("listening on"));
            capture
        });
        let mut command = beach(scratch, &["serve", "--listen", "[::]:8080", "--log-file", "serve.log"]);
        let rendezvous = Process::start(&mut lab.public.on(command.args(serve)));
        holds("the rendezvous", SOON, || rendezvous.stderr().contains("http://"));
        let server = sides[0].rendezvous();
        let share = ["share", "--headless", "--no-approve", "--json", "--server", &server, "--debug-log", "host.log"];
        let program = ["--", "sh", "-c", "stty raw -echo; echo READY-ON-THE-HOST; exec cat > typed"];
        let shared = beach(scratch, &[&share[..], &both, &program].concat());
        let host = Host::run(scratch, &mut lab.host.on(&shared));
        let link = host.links.control.replace(&server, &sides[1].rendezvous());
        let debug = ["--json", "--debug-log", "viewer.log"];
        let viewer = Process::start(&mut lab.viewer.on(&join(scratch, &[&debug[..], &both, &[&link]].concat())));
        Met { lab, rendezvous, host, viewer, capture }
    }
}

/// A command that writes every packet of the public segment to a file.
fn capturer(lab: &Lab, file: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut tcpdump = lab.public.command("tcpdump");
        // A slot of its ring is as large as the longest packet: with the defaults there are eight, and a burst is lost.
        tcpdump.args(["-i", "any", "--immediate-mode", "-U", "-s", "65535", "-B", "65536", "-Z", "root", "-w"]);
        tcpdump.arg(file);
        return tcpdump;
    }
    let mut perl = lab.public.command("perl");
    perl.args(["-e", include_str!("capture.pl")]).arg(file);
    perl
}

/// A TURN server on the public segment that takes credentials which expire.
///
/// # Panics
/// If it does not come up.
#[must_use]
pub fn coturn(lab: &Lab) -> Process {
    let mut turnserver = lab.public.command("turnserver");
    turnserver.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--listening-port", "3478", "--realm", "beach.test"]);
    turnserver.args(["--use-auth-secret", "--static-auth-secret", TURN_SECRET, "--log-file", "stdout", "--simple-log"]);
    turnserver.args(["--pidfile", "/dev/null", "--userdb", ":memory:"]);
    for address in PUBLIC {
        turnserver.args(["--listening-ip", address, "--relay-ip", address]);
    }
    let turnserver = Process::start(&mut turnserver);
    let udp = || {
        let sockets = lab.public.command("ss").args(["-lnu"]).output().expect("iproute2 is there");
        String::from_utf8_lossy(&sockets.stdout).contains(&format!("{}:3478", PUBLIC[0]))
    };
    holds("coturn", SOON, udp);
    turnserver
}
