//! `beach serve --turn` relays by itself: over UDP and TCP, for this beach and for an older one, and as coturn's own
//! client expects of a TURN server.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use beach_core::ice::server_url::Credentials;
use beach_tests::real::{
    Authority, Host, Meeting, Nat, PUBLIC, Process, Rendezvous, Running as _, Scratch, Signal, beach_of, binary,
    eventually, holds, left_out, metrics,
};

const SOON: Duration = Duration::from_secs(20);

/// Options of a server that relays on this machine alone, by TURN alone.
const LOCAL: [&str; 5] = ["--no-relay", "--turn", "--turn-listen", "127.0.0.1:0", "--turn-allow-private"];

/// Seconds since 1970.
fn today() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_secs()
}

fn kinds(viewer: &Process) -> Vec<String> {
    let said = viewer.stdout();
    let paths = said.lines().filter(|line| line.contains(r#""type":"path""#));
    paths.filter_map(|line| Some(line.split_once(r#""kind":""#)?.1.split_once('"')?.0.to_owned())).collect()
}

/// A host and a viewer of these versions that hide their addresses meet at `server`; how long the first screen took.
fn meet(scratch: &Scratch, server: &str, host: &Path, viewer: &Path) -> Duration {
    let shared = "stty raw -echo; echo READY-ON-THE-HOST; exec cat > typed";
    let share = ["share", "--headless", "--no-approve", "--json", "--server", server, "--relay-only"];
    let host = Host::run(scratch, &mut beach_of(host, scratch, &[&share[..], &["--", "sh", "-c", shared]].concat()));
    let join = ["join", "--json", "--relay-only", "--debug-log", "viewer.log", &host.links.control];
    let mut viewer = Process::start(&mut beach_of(viewer, scratch, &join));
    let (_, at) = viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let took = at - viewer.started();
    viewer.write("typed");
    holds("what was typed", SOON, || scratch.read("typed") == "typed");
    assert_eq!(kinds(&viewer), ["turn"]);
    took
}

#[test]
fn two_sides_that_hide_their_addresses_meet_at_a_server_that_relays_nothing_else() {
    let scratch = Scratch::new();
    let server = Rendezvous::start(&scratch, &LOCAL);
    meet(&scratch, &server.url, binary(), binary());
    let log = scratch.read("serve.log");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn an_older_beach_uses_the_server_too() {
    let Some(old) = std::env::var_os("BEACH_OLD").filter(|path| !path.is_empty()) else {
        return left_out("BEACH_OLD names no older beach; .ci/old builds one");
    };
    let old = Path::new(&old);
    for (host, viewer) in [(old, binary()), (binary(), old), (old, old)] {
        let scratch = Scratch::new();
        let server = Rendezvous::start(&scratch, &LOCAL);
        meet(&scratch, &server.url, host, viewer);
    }
}

#[test]
fn behind_routers_it_relays_over_udp_or_tcp_whatever_gets_out() {
    let pairs = [
        (Nat::Symmetric, Nat::NoUdp),
        (Nat::NoUdp, Nat::Symmetric),
        (Nat::Symmetric, Nat::Plain),
        (Nat::NoUdp, Nat::NoUdp),
        (Nat::Ipv6, Nat::NoUdp),
    ];
    let external = ["--turn-external", PUBLIC[0], "--turn-external", PUBLIC[1]];
    for (host, viewer) in pairs {
        let scratch = Scratch::new();
        let Some(meeting) = Meeting::new(&scratch, host, viewer) else { return };
        let options = [&["--no-relay", "--turn", "--turn-ports", "50000-50099"][..], &external].concat();
        let mut met = meeting.serve(&options).start();
        let (_, at) = met.viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        eprintln!("{host:?}, {viewer:?}: the first screen after {:?}", at - met.viewer.started());
        met.viewer.write("typed");
        holds("what was typed", SOON, || scratch.read("typed") == "typed");
        assert_eq!(kinds(&met.viewer), ["turn"], "{host:?}, {viewer:?}");
        if (host, viewer) != (Nat::NoUdp, Nat::NoUdp) {
            continue;
        }
        // The end of a connection is the end of its relays; over UDP they may run out only later.
        met.viewer.signal(Signal::TERM);
        met.viewer.exit(SOON);
        met.host.signal(Signal::TERM);
        let relays = || {
            let listed = met.lab.public.command("ss").args(["-Hlnu"]).output().expect("iproute2 is there");
            String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains(":500")).count()
        };
        holds("no relay is left", SOON, || relays() == 0);
    }
}

/// A server with a known secret, and its TURN port.
fn with_secret(scratch: &Scratch, options: &[&str]) -> (Rendezvous, String) {
    scratch.write("secret", "north");
    let server = Rendezvous::start(scratch, &[&LOCAL[..], &["--turn-secret-file", "secret"], options].concat());
    let port = eventually("the TURN port", SOON, || {
        let said = server.process.stderr();
        let (_, rest) = said.split_once("TURN server on 127.0.0.1:")?;
        Some(rest.split_once(',')?.0.to_owned())
    });
    (server, port)
}

/// coturn's client, with credentials that are good.
fn uclient(port: &str, options: &[&str]) -> Command {
    let Credentials { user, password } = Credentials::until(today() + 3600, b"north");
    let mut command = Command::new("turnutils_uclient");
    command.args(["-c", "-u", &user, "-w", &password, "-p", port]).args(options).arg("127.0.0.1");
    command
}

/// coturn's client loses nothing with these options.
#[track_caller]
fn loses_nothing(port: &str, options: &[&str]) {
    let options = [options, &["-m", "4", "-n", "50", "-l", "700"]].concat();
    let done = uclient(port, &options).output().expect("coturn's tools are there");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let whole = said.contains("tot_send_msgs=200, tot_recv_msgs=200") && said.contains("Total lost packets 0 (");
    assert!(done.status.success() && whole, "{options:?}: {said}");
}

#[test]
fn the_client_of_coturn_loses_nothing_over_udp_and_over_tcp() {
    let scratch = Scratch::new();
    let (_server, port) = with_secret(&scratch, &[]);
    // Send indications and channels, each to a relay of the same server.
    for options in [&["-y"][..], &["-y", "-s"], &["-y", "-t"], &["-y", "-t", "-s"]] {
        loses_nothing(&port, options);
    }
}

#[test]
fn with_a_certificate_the_same_port_speaks_tls_too_and_the_metrics_tell_of_it_all() {
    let scratch = Scratch::new();
    let authority = Authority::new();
    let (certificate, key) = authority.signs();
    scratch.write("authority.pem", &authority.certificate);
    scratch.write("tls.pem", certificate);
    scratch.write("tls.key", key);
    let options = ["--tls-cert", "tls.pem", "--tls-key", "tls.key", "--metrics-listen", "127.0.0.1:0"];
    let (server, port) = with_secret(&scratch, &options);
    let said = server.process.stderr();
    assert!(said.contains(", UDP, TCP and TLS as localhost; it relays at"), "{said}");
    let authority = scratch.file("authority.pem").display().to_string();
    for options in [&["-y", "-t", "-S", "-E", &authority][..], &["-y", "-t", "-S", "-s"], &["-y", "-t"], &["-y"]] {
        loses_nothing(&port, options);
    }
    let url = said.split_whitespace().find(|word| word.ends_with("/metrics")).expect("the address for monitors");
    let monitor = url.trim_start_matches("http://").trim_end_matches("/metrics").parse().expect("an address");
    let wrong = Credentials::until(today() + 3600, b"south");
    let mut refused = Command::new("turnutils_uclient");
    refused.args(["-y", "-c", "-u", &wrong.user, "-w", &wrong.password, "-p", &port, "127.0.0.1"]);
    let mut refused = Process::start(&mut refused);
    holds("a refusal is counted", SOON, || metrics(monitor)["beach_turn_refused_total{why=\"credentials\"}"] > 0.0);
    refused.exit(SOON);
    let told = metrics(monitor);
    assert!(told["beach_turn_allocated_total"] >= 16.0, "{told:#?}");
    assert!(told["beach_turn_datagrams_total{result=\"sent\"}"] >= 800.0, "{told:#?}");
    assert!(told["beach_turn_bytes_total"] >= 800.0 * 700.0, "{told:#?}");
}

#[test]
fn a_flood_through_the_server_delays_neither_a_join_nor_another_session() {
    let scratch = Scratch::new();
    let (server, port) = with_secret(&scratch, &[]);
    let quiet = meet(&scratch, &server.url, binary(), binary());
    // As much as two clients can send, from another address.
    let flood = ["-L", "127.0.0.2", "-y", "-s", "-m", "4", "-n", "10000000", "-l", "1200", "-z", "0"];
    let floods: Vec<_> = (0..2).map(|_| Process::start(&mut uclient(&port, &flood))).collect();
    // The server passes on less than half of the datagrams.
    let counted = |said: &str, what: &str| {
        let last = said.rsplit_once(what).and_then(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok());
        last.unwrap_or_default()
    };
    holds("the floods", SOON, || {
        floods.iter().all(|flood| {
            let said = flood.stdout();
            let sent = counted(&said, "tot_send_msgs=");
            sent > 10_000 && counted(&said, "tot_recv_msgs=") < sent / 2
        })
    });
    let since = Instant::now();
    let other = Scratch::new();
    let busy = meet(&other, &server.url, binary(), binary());
    eprintln!("joined after {quiet:?}, beside floods after {busy:?}; all of it took {:?}", since.elapsed());
    assert!(busy < quiet + Duration::from_secs(3), "{busy:?} after {quiet:?}");
}

#[test]
fn with_few_files_there_are_few_relays_and_sessions_still_begin() {
    let scratch = Scratch::new();
    scratch.write("secret", "north");
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n 128; exec '{}' \"$@\"", binary().display());
    command.current_dir(scratch.folder()).args(["-c", &limited, "sh", "serve", "--listen", "127.0.0.1:0"]);
    let options = ["--turn", "--turn-listen", "127.0.0.1:0", "--turn-allow-private", "--turn-secret-file", "secret"];
    let server = Process::start(command.args(options));
    let (url, port) = eventually("the server", SOON, || {
        let said = server.stderr();
        let url = said.split_whitespace().find(|word| word.starts_with("http://"))?.to_owned();
        let (_, rest) = said.split_once("TURN server on 127.0.0.1:")?;
        Some((url, rest.split_once(',')?.0.to_owned()))
    });
    // Ten allocations are a quarter of the files; each of these clients wants two.
    let crowd = Process::start(&mut uclient(&port, &["-y", "-m", "12", "-n", "100000"]));
    holds("it is refused", SOON, || (crowd.stdout() + &crowd.stderr()).contains("error 508"));
    let shared = "stty raw -echo; echo READY-ON-THE-HOST; exec cat > typed";
    let share = ["share", "--headless", "--no-approve", "--json", "--server", &url, "--", "sh", "-c", shared];
    let host = Host::run(&scratch, &mut beach_of(binary(), &scratch, &share));
    let mut viewer = Process::start(&mut beach_of(binary(), &scratch, &["join", "--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("typed");
    holds("what was typed", SOON, || scratch.read("typed") == "typed");
}
