//! The rendezvous: it may die, it learns nothing, and nobody else without the link does. One address alone keeps nobody
//! out.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use beach_core::id::SessionId;
use beach_tests::real::{
    Aim, Attack, Host, Process, Rendezvous, Running as _, Scratch, Siege, Signal, Tmux, Way, beach, children_of,
    eventually, holds, join, share,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn typing_goes_on_when_the_rendezvous_is_gone() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let mut rendezvous = Rendezvous::start(&scratch, &[]);
    let host = Host::start(&scratch, &["--server", &rendezvous.url], &["bash", "--norc"]);
    assert!(host.links.control.starts_with(&rendezvous.url));
    let command = format!("exec beach join --log-file join.log '{}'", host.links.control);
    let viewer = tmux.pane("viewer", (80, 24), &command);
    viewer.shows("$", SOON);

    rendezvous.process.signal(Signal::KILL);
    assert_eq!(rendezvous.process.exit(SOON), 137);

    // The promise is a minute; without `BEACH_LONG` the test takes ten seconds.
    let seconds = if std::env::var_os("BEACH_LONG").is_some_and(|value| value == "1") { 60 } else { 10 };
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    for second in 1..=seconds {
        let typed_at = Instant::now();
        viewer.types_line(&format!("echo second-$(({second}+1000))"));
        viewer.shows(&format!("second-{}", second + 1000), Duration::from_secs(1));
        slowest = slowest.max(typed_at.elapsed());
        std::thread::sleep((Duration::from_secs(1) * second).saturating_sub(started.elapsed()));
    }
    eprintln!("{seconds} s without a rendezvous; the slowest echo took {slowest:?}, tmux included");
}

#[test]
fn a_host_comes_back_to_a_rendezvous_that_was_started_again() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let host = Host::start(&scratch, &["--server", &rendezvous.url], &["cat"]);
    let address = rendezvous.url.strip_prefix("http://").expect("it is http here").to_owned();
    drop(rendezvous);
    holds("the host misses it", SOON, || scratch.read("host.log").contains("the rendezvous is lost"));

    let again = Process::start(&mut beach(&scratch, &["serve", "--listen", &address]));
    holds("it listens again", SOON, || again.stderr().contains(&address));

    let viewer = Process::start(&mut join(&scratch, &["--json", "--wait", "30", &host.links.control]));
    viewer.line("the first screen", Duration::from_secs(30), |line| line.contains("first_screen"));
}

#[test]
fn no_log_no_recording_no_server_and_no_child_ever_holds_a_key() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let mut serve = beach(&scratch, &["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"]);
    drop(rendezvous);
    let serve = Process::start(serve.env("BEACH_LOG", "trace"));
    let url = eventually("the address of the rendezvous", SOON, || serve.url());
    let options = ["--json", "--server", &url, "--record-handshake", "host.recording"];
    let mut command = share(&scratch, &options, &["sh", "-c", "echo shared; exec cat"]);
    // Somebody else's key, in the environment for a join: not the shared command's business.
    let elses = "http://localhost:1/s/AAAAAAAAAAAAAAAAAAAAAA#1c.SecretOfSomebodyElse00";
    let mut host = Host::run(&scratch, command.env("BEACH_LOG", "trace").env("BEACH_TARGET", elses));
    let viewer = |name: &str, link: &str| {
        let (log, recording) = (format!("{name}.log"), format!("{name}.recording"));
        let mut command = join(&scratch, &["--log-file", &log, "--record-handshake", &recording, "--json", "-"]);
        let mut viewer = Process::start(command.env("BEACH_LOG", "trace"));
        viewer.write(format!("{link}\n"));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        viewer.write("typed\r");
        viewer
    };
    let mut controls = viewer("control", &host.links.control);
    let mut watches = viewer("view", &host.links.view);

    let key = |link: &str| link.rsplit_once('.').map(|(_, key)| key.to_owned()).expect("a link has a key");
    let keys = [key(&host.links.control), key(&host.links.view), "SecretOfSomebodyElse00".to_owned()];
    let child = eventually("the shared command", SOON, || children_of(host.id()).first().copied());
    for of in [child, host.id(), controls.id(), watches.id(), serve.id()] {
        let read = |what: &str| fs::read(format!("/proc/{of}/{what}")).expect("the process runs");
        holds_no_key(&format!("the command line of {of}"), &read("cmdline"), &keys);
        if of != host.id() {
            holds_no_key(&format!("the environment of {of}"), &read("environ"), &keys);
        }
    }
    let environment = fs::read(format!("/proc/{child}/environ")).expect("the command runs");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("BEACH_SESSION=") && !environment.contains("BEACH_TARGET"), "{environment}");

    controls.write("~.");
    watches.write("~.");
    assert_eq!((controls.exit(SOON), watches.exit(SOON)), (0, 0));
    host.process.signal(Signal::TERM);
    assert_eq!(host.process.exit(SOON), 143);
    let files =
        ["host.log", "host.recording", "control.log", "control.recording", "view.log", "view.recording", "serve.log"];
    for name in files {
        let path = scratch.file(name);
        let mode = fs::metadata(&path).expect("it was written").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name} has mode {mode:o}");
        let content = fs::read(&path).expect("it can be read");
        assert!(content.len() > 100, "{name} says nothing");
        holds_no_key(name, &content, &keys);
    }
    assert!(scratch.read("host.log").contains("TRACE"), "the log was at trace");

    for (recording, stages) in [
        ("host", ["registered", "member 1 joined", "stopped"]),
        ("control", ["checking paths", "first screen", "left"]),
    ] {
        let mut replay = Process::start(&mut beach(&scratch, &["replay", "-v", &format!("{recording}.recording")]));
        assert_eq!(replay.exit(SOON), 0, "{}", replay.stderr());
        for stage in stages {
            assert!(
                replay.stdout().contains(stage),
                "{stage:?} is not in the replay of {recording}:\n{}",
                replay.stdout()
            );
        }
        holds_no_key("the replay", replay.stdout().as_bytes(), &keys);
    }
}

/// Joins while one attack goes on, from another address.
const JOINS: usize = 3;

#[test]
fn a_viewer_from_loopback_is_on_this_machine_only_if_somebody_said_that_there_is_no_proxy() {
    let scratch = Scratch::new();
    for (options, from) in [(&["--trusted-proxies", "none"][..], json!("loopback")), (&[], json!(null))] {
        let rendezvous = Rendezvous::start(&scratch, options);
        let host = Host::start(&scratch, &["--server", &rendezvous.url], &["cat"]);
        let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        let mut status = Process::start(&mut beach(&scratch, &["status", "--json"]));
        assert_eq!(status.exit(SOON), 0, "{}", status.stderr());
        let status: Value = serde_json::from_str(status.stdout().trim()).expect("one object");
        assert_eq!(status["members"][0]["from"], from, "{options:?}");
    }
}

/// A join takes at most so long whatever one other address does; the fastest of three counts, since the attacker uses
/// this machine's processors too.
const JOINED_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn whatever_one_address_does_to_a_rendezvous_another_one_joins_within_a_second() {
    besieged(Way::Direct, "none");
}

#[test]
fn whatever_one_address_does_through_a_proxy_that_announces_it_another_one_joins_within_a_second() {
    besieged(Way::ProxyHeader, "127.0.0.2");
}

#[test]
fn whatever_one_address_does_through_a_proxy_and_whatever_it_says_of_itself_another_one_joins_within_a_second() {
    besieged(Way::ForwardedFor, "127.0.0.2");
}

/// Joins at a rendezvous behind these proxies, while somebody attacks it on this way.
fn besieged(way: Way, proxies: &str) {
    let scratch = Scratch::new();
    for attack in Attack::ALL {
        let (_serve, url, server) = limited_server(&scratch, 400, &["--trusted-proxies", proxies]);
        let host = Host::start(&scratch, &["--server", &url], &["cat"]);
        joined_during(&scratch, attack, Aim { server, way }, session(&host), &host);
    }
}

/// Nobody has said which proxies there are, and all come from loopback: attacker and viewers have no known address, and
/// no limits of one. An attacker then keeps others out of the one session whose id the attacker knows, as long as the
/// attack goes on, and out of no other one.
#[test]
fn whatever_somebody_without_a_known_address_does_other_sessions_are_joined_within_a_second() {
    let scratch = Scratch::new();
    for attack in Attack::ALL {
        // More places than the attacker holds: without addresses nobody can tell whose connections are too many.
        let (_serve, url, server) = limited_server(&scratch, 1000, &[]);
        let [attacked, other] = [(); 2].map(|()| Host::start(&scratch, &["--server", &url], &["cat"]));
        joined_during(&scratch, attack, Aim { server, way: Way::Direct }, session(&attacked), &other);
        let took = joins(&scratch, &attacked);
        eprintln!("after {attack:?} by somebody unknown: joined within {took:?}");
    }
}

/// A rendezvous that may open so many files.
fn limited_server(scratch: &Scratch, files: u32, options: &[&str]) -> (Process, String, SocketAddr) {
    let all = [&["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"], options].concat();
    let serve = Process::start(&mut with_files(scratch, files, &mut beach(scratch, &all)));
    let url = eventually("the address of the rendezvous", SOON, || serve.url());
    let server = url.trim_start_matches("http://").parse().expect("an address");
    (serve, url, server)
}

fn session(host: &Host) -> SessionId {
    let id = host.links.control.split(['#', '/']).nth(4).expect("a link names its session");
    id.parse().expect("an id")
}

/// How long somebody takes to join, and leaves.
#[track_caller]
fn joins(scratch: &Scratch, host: &Host) -> Duration {
    let mut viewer = Process::start(&mut join(scratch, &["--json", &host.links.control]));
    let (_, at) = viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let took = at - viewer.started();
    viewer.write("~.");
    viewer.exit(SOON);
    took
}

/// Joins a host's session during an attack, for which `victim` is a session there.
fn joined_during(scratch: &Scratch, attack: Attack, aim: Aim, victim: SessionId, host: &Host) {
    let siege = Siege::default();
    std::thread::scope(|scope| {
        scope.spawn(|| attack.run(aim, victim, &siege));
        // Ended in a panic too, or the attacker would go on.
        let _ends = siege.ends_here();
        // By then the attacking address has used up what it may do at once.
        holds("the attack is under way", SOON * 3, || siege.blows() >= 1000);
        let took: Vec<_> = (0..JOINS).map(|_| joins(scratch, host)).collect();
        let way = aim.way;
        eprintln!("{attack:?}, {way:?}: joined within {took:?}");
        assert!(took.iter().min().is_some_and(|least| *least <= JOINED_WITHIN), "{attack:?}, {way:?}: {took:?}");
        assert!(health(aim.server).contains(" 200 OK"), "{attack:?}, {way:?}: {}", health(aim.server));
    });
}

/// The same command, which may open so many files and not raise that limit.
fn with_files(scratch: &Scratch, files: u32, command: &mut Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]).arg(command.get_program());
    limited.args(command.get_args()).current_dir(scratch.folder());
    limited.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

/// The answer of a server that is asked how it is.
fn health(server: SocketAddr) -> String {
    let mut stream = TcpStream::connect(server).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// As text, as the bytes it stands for, and as hexadecimal digits.
#[track_caller]
fn holds_no_key(place: &str, content: &[u8], keys: &[String]) {
    let contains = |needle: &[u8]| content.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle));
    for key in keys {
        let bytes = decoded(key);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{bytes:?}");
        let found =
            contains(key.as_bytes()) || content.windows(16).any(|window| window == bytes) || contains(hex.as_bytes());
        assert!(!found && !contains(list.as_bytes()), "{place} holds a key");
    }
}

/// base64url, without padding.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for digit in text.chars() {
        let value = DIGITS.find(digit).expect("a key is base64url");
        bits = (bits << 6) | u32::try_from(value).expect("a digit is small");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).expect("one byte"));
        }
    }
    bytes
}
