//! Operating `beach serve`: metrics, health, and the way to its end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use beach_tests::real::{
    Host, Process, Rendezvous, Running as _, Scratch, Signal, beach, binary, eventually, get, holds, join, metrics,
    share, skipped,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// Where monitors ask it.
#[track_caller]
fn monitored(rendezvous: &Rendezvous) -> SocketAddr {
    eventually("the address for monitors", SOON, || {
        let said = rendezvous.process.stderr();
        let url = said.split_whitespace().find(|word| word.ends_with("/metrics"))?;
        url.trim_start_matches("http://").trim_end_matches("/metrics").parse().ok()
    })
}

fn server(rendezvous: &Rendezvous) -> SocketAddr {
    rendezvous.url.trim_start_matches("http://").parse().expect("an address")
}

#[track_caller]
fn status(monitor: SocketAddr, path: &str) -> u16 {
    let answer = get(monitor, path).expect("an answer");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer}"))
}

#[test]
fn metrics_tell_of_a_share_and_a_join_through_the_relay_and_of_their_end() {
    let scratch = Scratch::new();
    let mut rendezvous = Rendezvous::start(&scratch, &["--metrics-listen", "127.0.0.1:0"]);
    let monitor = monitored(&rendezvous);
    assert_eq!((status(monitor, "/livez"), status(monitor, "/readyz")), (200, 200));
    let before = metrics(monitor);
    assert_eq!((before["beach_connections"], before["beach_links"]), (0.0, 0.0));

    let host = Host::start(&scratch, &["--server", &rendezvous.url, "--relay-only"], &["cat"]);
    let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    // A third side, which the rendezvous refuses.
    let nobodys = format!("{}/s/AAAAAAAAAAAAAAAAAAAAAA#1v.AAAAAAAAAAAAAAAAAAAAAA", rendezvous.url);
    let mut refused = Process::start(&mut join(&scratch, &["--json", &nobodys]));
    refused.exit(SOON * 3);
    let during = metrics(monitor);
    for (name, number) in [
        ("beach_connections", 2.0),
        ("beach_sessions{host=\"present\"}", 1.0),
        ("beach_sessions{host=\"away\"}", 0.0),
        ("beach_links", 1.0),
        ("beach_registrations_total{result=\"registered\"}", 1.0),
        ("beach_joins_total{result=\"joined\"}", 1.0),
        ("beach_draining", 0.0),
    ] {
        assert_eq!(during.get(name), Some(&number), "{name}: {during:#?}");
    }
    for name in [
        "beach_joins_total{result=\"no_session\"}",
        "beach_envelopes_total",
        "beach_relay_datagrams_total{result=\"sent\"}",
        "beach_relay_bytes_total",
        "beach_loop_seconds_count",
    ] {
        assert!(during.get(name).is_some_and(|number| *number >= 1.0), "{name}: {during:#?}");
    }

    viewer.write("~.");
    viewer.exit(SOON);
    drop(host);
    holds("connections are counted when they go", SOON, || {
        let after = metrics(monitor);
        after["beach_connections"] == 0.0
            && after["beach_links"] == 0.0
            && after["beach_closed_total{why=\"left\"}"] >= 3.0
    });
    rendezvous.process.signal(Signal::TERM);
    assert_eq!(rendezvous.process.exit(SOON), 0);
}

#[test]
fn a_server_without_the_flag_has_no_second_listener_and_no_second_line() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    assert_eq!(rendezvous.process.stderr().lines().count(), 1, "{}", rendezvous.process.stderr());
    assert!(get(server(&rendezvous), "/metrics").expect("an answer").starts_with("HTTP/1.1 404 "));
}

#[test]
fn the_log_of_a_server_is_json_if_asked_for_and_tells_of_no_session() {
    let scratch = Scratch::new();
    let mut rendezvous = Rendezvous::start(&scratch, &["--log-format", "json"]);
    let host = Host::start(&scratch, &["--server", &rendezvous.url], &["cat"]);
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    rendezvous.process.signal(Signal::TERM);
    assert_eq!(rendezvous.process.exit(SOON * 2), 0);
    let log = scratch.read("serve.log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(messages.contains(&"listening") && messages.contains(&"draining"), "{log}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{log}");
    let id = host.links.view.split(['#', '/']).nth(4).expect("a link names its session");
    assert!(!log.contains(&id[..8]), "a session is in the log:\n{log}");
}

#[test]
fn the_log_of_a_server_goes_to_standard_error_if_asked_for() {
    let scratch = Scratch::new();
    let options = ["serve", "--listen", "127.0.0.1:0", "--log-file", "-"];
    let mut serve = Process::start(&mut beach(&scratch, &options));
    holds("the log says that serve listens", SOON, || {
        serve.stderr().contains("INFO") && serve.stderr().contains("listening")
    });
    serve.signal(Signal::TERM);
    assert_eq!(serve.exit(SOON), 0);
    assert!(serve.stderr().contains("draining") && !scratch.file("-").exists(), "{}", serve.stderr());
}

#[test]
fn variables_set_the_flags_of_serve_and_no_command_of_a_share_gets_them() {
    let scratch = Scratch::new();
    let mut command = beach(&scratch, &["serve"]);
    command.env("BEACH_SERVE_LISTEN", "127.0.0.1:0").env("BEACH_SERVE_METRICS_LISTEN", "127.0.0.1:0");
    command.env("BEACH_SERVE_LOG_FILE", "serve.log").env("BEACH_SERVE_NO_RELAY", "yes");
    let ice = "stun:192.0.2.1:3478 stun:192.0.2.2:3478";
    let process = Process::start(command.env("BEACH_SERVE_ICE_SERVER", ice).env("BEACH_SERVE_TURN_LIFETIME", ""));
    let url = eventually("the address of the rendezvous", SOON, || process.url());
    let rendezvous = Rendezvous { process, url };
    assert_eq!(status(monitored(&rendezvous), "/livez"), 200);
    assert!(scratch.read("serve.log").contains("listening"));

    let options = ["--json", "--server", &rendezvous.url, "--on-join", "env > joined; mv joined joined.env"];
    let mut command = share(&scratch, &options, &["sh", "-c", "env > shared; mv shared shared.env; exec cat"]);
    let host = Host::run(&scratch, command.env("BEACH_SERVE_TURN_SECRET_FILE", "/secret").env("BEACH_OTHER", "kept"));
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    for file in ["shared.env", "joined.env"] {
        holds("the command wrote its environment", SOON, || scratch.file(file).exists());
        let environment = scratch.read(file);
        assert!(environment.contains("BEACH_OTHER=kept") && !environment.contains("BEACH_SERVE_"), "{environment}");
    }
}

#[test]
fn a_service_manager_hears_that_a_server_is_ready_works_and_stops() {
    let scratch = Scratch::new();
    let manager = UnixDatagram::bind(scratch.file("notify")).expect("a socket");
    manager.set_read_timeout(Some(SOON)).expect("a timeout");
    let heard = || {
        let mut text = [0; 200];
        let length = manager.recv(&mut text).expect("the server tells");
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    let mut command = beach(&scratch, &["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", scratch.file("notify")).env("WATCHDOG_USEC", "200000");
    let mut serve = Process::start(&mut command);
    // The watchdog begins beside the loop, and may be the first.
    let mut before: Vec<String> = (0..8).map(|_| heard()).collect();
    assert_eq!(before.iter().filter(|said| *said == "READY=1").count(), 1, "{before:?}");
    before.retain(|said| said != "READY=1");
    assert!(before.iter().all(|said| said == "WATCHDOG=1"), "{before:?}");
    serve.signal(Signal::HUP);
    let beside_watchdog = || loop {
        match heard() {
            said if said == "WATCHDOG=1" => {}
            said => return said,
        }
    };
    let reloads = beside_watchdog();
    let since = reloads.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloads}"));
    assert!(since.parse::<u64>().is_ok_and(|since| since > 0), "{reloads}");
    assert_eq!(beside_watchdog(), "READY=1");
    serve.signal(Signal::TERM);
    assert_eq!(beside_watchdog(), "STOPPING=1");
    assert_eq!(serve.exit(SOON), 0);
}

#[test]
fn the_units_of_systemd_are_whole() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    let scratch = Scratch::new();
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for unit in ["debian/beach-serve.service", "systemd/beach-serve.socket"] {
        let text = std::fs::read_to_string(folder.join(unit)).expect("a unit");
        let text = text.replace("/usr/bin/beach ", &format!("{} ", binary().display()));
        verify.arg(scratch.write(unit.rsplit('/').next().expect("a name"), text));
    }
    let Ok(done) = verify.output() else { return skipped("systemd-analyze is not installed") };
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}");
}

/// Opens a TCP and a UDP socket on one port, as systemd does, and becomes its arguments.
const ACTIVATES: &str = r#"$^F = 9; my $tcp = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1") or die;
    my $udp = IO::Socket::INET->new(Proto => "udp", LocalAddr => "127.0.0.1", LocalPort => $tcp->sockport) or die;
    die unless fileno($tcp) == 3 && fileno($udp) == 4; $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 2;
    print STDERR "http://127.0.0.1:", $tcp->sockport, "\n"; exec @ARGV"#;

#[test]
fn sockets_that_a_service_manager_opened_take_the_place_of_listen_and_of_stun() {
    let scratch = Scratch::new();
    let served = beach(&scratch, &["serve", "--listen", "192.0.2.1:1", "--log-file", "serve.log"]);
    let mut command = std::process::Command::new("perl");
    command.args(["-MIO::Socket::INET", "-e", ACTIVATES]).arg(served.get_program()).args(served.get_args());
    command.env_clear().envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let process = Process::start(command.current_dir(scratch.folder()));
    holds("serve is ready", SOON, || process.stderr().contains(" rendezvous on "));
    let urls: Vec<String> =
        process.stderr().split_whitespace().filter(|word| word.starts_with("http://")).map(str::to_owned).collect();
    assert_eq!(urls[0], urls[1], "serve listens there");
    let host = Host::start(&scratch, &["--server", &urls[0]], &["cat"]);
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    assert!(!scratch.read("serve.log").contains("WARN"), "{}", scratch.read("serve.log"));
    let mut doctor = Process::start(&mut beach(&scratch, &["doctor", "--server", &urls[0]]));
    doctor.exit(SOON * 3);
    assert!(doctor.stdout().contains("udp         ok"), "STUN answers: {}", doctor.stdout());
}

/// Names and values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// The lines of a check, and its exit code.
fn checked(scratch: &Scratch, options: &[&str], variables: Variables) -> (String, i32) {
    let mut command = beach(scratch, &[&["serve", "--check"], options].concat());
    let mut check = Process::start(command.envs(variables.iter().copied()));
    let code = check.exit(SOON);
    assert!(check.stderr().is_empty(), "{}", check.stderr());
    (check.stdout(), code)
}

#[test]
fn a_check_of_a_good_configuration_names_its_parts_beside_a_server_that_runs() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &["--metrics-listen", "127.0.0.1:0"]);
    let listen = server(&rendezvous).to_string();
    let monitor = monitored(&rendezvous).to_string();
    let ice = ("BEACH_SERVE_ICE_SERVER", "stun:192.0.2.1:3478 turn:me:word@192.0.2.2:3478");
    let variables = [("BEACH_SERVE_LISTEN", &listen[..]), ("BEACH_SERVE_METRICS_LISTEN", &monitor), ice];
    let options = ["--trusted-proxies", "none", "--log-file", "logs/new.log"];
    let (said, code) = checked(&scratch, &options, &variables);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("listen      ok       {listen}")), "{said}");
    assert!(said.contains(&format!("metrics     ok       {monitor}")), "{said}");
    assert!(said.contains("BEACH_SERVE_LISTEN, ") && !said.contains("word"), "{said}");
    assert_eq!(said.matches("ice server  ok").count(), 2, "{said}");
    assert!(!said.contains("failed") && !scratch.file("logs").exists(), "{said}");
    let (defaults, code) = checked(&scratch, &[], &[]);
    assert_eq!((code, defaults.matches("failed").count()), (0, 0), "{defaults}");
}

#[test]
fn a_check_says_of_each_mistake_what_is_wrong_and_what_to_do() {
    let scratch = Scratch::new();
    std::fs::write(scratch.file("empty"), "").expect("a file");
    let mistakes: [(&[&str], Variables, &str); 10] = [
        (&["--listen", "192.0.2.1:8080"], &[], "192.0.2.1:8080 is no address of this machine"),
        (&["--listen", "nonsense"], &[], "nonsense: no ADDRESS:PORT"),
        (&["--metrics-listen", "nonsense"], &[], "nonsense: no ADDRESS:PORT"),
        (&["--metrics-listen", ":8080"], &[], "the port is that of --listen"),
        (&["--ice-server", "turn:192.0.2.1:3478"], &[], "has no credentials"),
        (&["--turn-secret-file", "empty"], &[], "empty: the file is empty"),
        (&["--log-file", "empty/serve.log"], &[], "empty/serve.log: this user may not write it"),
        (&["--tls-cert", "empty", "--tls-key", "empty"], &[], "empty: "),
        (&["--turn", "--turn-external", "::"], &[], "the external address is not the address of a machine"),
        (&[], &[("BEACH_SERVE_LISTENN", "x")], "BEACH_SERVE_LISTENN is no flag of this version"),
    ];
    for (options, variables, wrong) in mistakes {
        let (said, code) = checked(&scratch, options, variables);
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains(wrong)).unwrap_or_else(|| panic!("{wrong}:\n{said}"));
        assert!(lines[at].contains(" failed "), "{said}");
        assert!(lines[at + 1].trim_start().starts_with("try: "), "{said}");
        assert_eq!((code, said.matches(" failed ").count()), (2, 1), "{said}");
    }
}

#[test]
fn with_more_threads_a_session_goes_through_the_relay_as_with_one() {
    let scratch = Scratch::new();
    for threads in ["1", "3"] {
        let rendezvous = Rendezvous::start(&scratch, &["--threads", threads]);
        let host = Host::start(&scratch, &["--server", &rendezvous.url, "--relay-only"], &["cat"]);
        let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        viewer.write("~.");
        assert_eq!(viewer.exit(SOON), 0);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", rendezvous.process.id())).expect("serve runs");
        let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        let workers = names.filter(|name| name.starts_with("tokio-rt-worker")).count();
        assert!(if threads == "1" { workers == 0 } else { workers >= 3 }, "{workers} threads");
    }
}

#[test]
fn a_full_server_is_live_and_not_ready() {
    let scratch = Scratch::new();
    let files = "ulimit -n 260; exec \"$@\"";
    let options = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let served = beach_tests::real::beach(&scratch, &options);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", files, "sh"]).arg(served.get_program()).args(served.get_args());
    command.env_clear().envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let process = Process::start(command.current_dir(scratch.folder()));
    let url = eventually("the address of the rendezvous", SOON, || process.url());
    let rendezvous = Rendezvous { process, url };
    let (server, monitor) = (server(&rendezvous), monitored(&rendezvous));
    let places = metrics(monitor)["beach_places"];
    let mut held: Vec<TcpStream> = Vec::new();
    holds("the server refuses connections", SOON, || {
        held.extend(TcpStream::connect(server).ok());
        held.len() as f64 > places && metrics(monitor)["beach_refused_connections_total{why=\"full\"}"] > 0.0
    });
    assert_eq!((status(monitor, "/livez"), status(monitor, "/readyz")), (200, 503));
    drop(held);
    holds("the server is ready again", SOON, || status(monitor, "/readyz") == 200);
}

#[test]
fn a_server_that_is_to_end_is_not_ready_at_once_and_serves_until_the_delay_is_over() {
    let scratch = Scratch::new();
    let options = ["--metrics-listen", "127.0.0.1:0", "--drain-delay", "3600"];
    let mut rendezvous = Rendezvous::start(&scratch, &options);
    let monitor = monitored(&rendezvous);
    let host = Host::start(&scratch, &["--server", &rendezvous.url], &["cat"]);
    rendezvous.process.signal(Signal::TERM);
    holds("not ready", SOON, || status(monitor, "/readyz") == 503);
    assert_eq!((status(monitor, "/livez"), metrics(monitor)["beach_draining"]), (200, 1.0));
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    rendezvous.process.signal(Signal::TERM);
    assert_eq!(rendezvous.process.exit(SOON), 0, "the second signal ends at once");
}

#[test]
fn after_the_delay_the_port_is_closed_and_the_server_ends() {
    let scratch = Scratch::new();
    let mut rendezvous = Rendezvous::start(&scratch, &["--drain-delay", "1"]);
    let address = server(&rendezvous);
    rendezvous.process.signal(Signal::TERM);
    holds("the log says that it ends", SOON, || scratch.read("serve.log").contains("draining"));
    let mut late = TcpStream::connect(address).expect("the port is open");
    late.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("asks");
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(" 200 OK"), "{answer}");
    assert_eq!(rendezvous.process.exit(SOON), 0);
}
