//! Where a link works: on this machine only, on the local network, behind a proxy, with the certificate of a private
//! authority. And what the doctor asks of the host.

use std::net::TcpListener;
use std::time::Duration;

use beach_tests::real::{
    ConnectProxy, Host, Machines, Process, Rendezvous, Running as _, Scratch, Signal, TlsFront, Tmux, beach,
    ended_in_three_lines, eventually, in_three_lines, join, share,
};

const SOON: Duration = Duration::from_secs(10);

/// A share dials its rendezvous for 15 s.
const UNREACHABLE_WITHIN: Duration = Duration::from_secs(25);

/// The right form, and nobody's.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

const LOCAL: &str = "These links work on this machine only";

/// The greeting of a share that has ended.
fn greeting(command: &mut std::process::Command) -> String {
    let mut process = Process::start(command);
    assert_eq!(process.exit(SOON), 0, "{}", process.stderr());
    process.stderr()
}

#[test]
fn the_greeting_says_that_links_work_here_only_unless_a_rendezvous_is_named() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let options = ["--linger", "0"];

    let local = greeting(&mut share(&scratch, &options, &["true"]));
    assert!(local.contains(LOCAL) && local.contains("--lan") && local.contains("--server URL"), "{local}");
    let mut detached = beach(&scratch, &["share", "-d", "--listen", "127.0.0.1:0", "--", "cat"]);
    assert!(greeting(&mut detached).contains(LOCAL));
    assert_eq!(Process::start(&mut beach(&scratch, &["stop"])).exit(SOON), 0);

    std::fs::create_dir_all(scratch.file(".config/beach")).expect("a folder can be made");
    scratch.write(".config/beach/config.toml", format!("server = \"{}\"\n", rendezvous.url));
    let mut configured = beach(&scratch, &["share", "--headless", "--linger", "0", "--", "true"]);
    let configured = greeting(&mut configured);
    assert!(!configured.contains(LOCAL) && configured.contains(&rendezvous.url), "{configured}");
    // The command line wins over the file, for a flag that excludes the file's too.
    assert!(greeting(&mut share(&scratch, &options, &["true"])).contains(LOCAL));
}

#[test]
fn a_link_of_another_machine_that_leads_to_this_one_ends_at_once_and_says_so() {
    let scratch = Scratch::new();
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let link = format!("http://localhost:{}/s/{NOBODYS}#1c.{NOBODYS}", closed.port());

    let (stderr, took) = ended_in_three_lines(&mut join(&scratch, &[&link]), 3, UNREACHABLE_WITHIN);

    assert!(took < Duration::from_secs(3), "it took {took:?}");
    assert!(stderr.contains("works only on the machine that shares") && stderr.contains("--lan"), "{stderr}");
}

#[test]
fn links_for_other_machines_have_the_address_of_an_interface_without_a_default_route_too() {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    for place in [&["--listen", "0.0.0.0:0"][..], &["--listen", "[::]:0"], &["--lan"]] {
        let options = ["share", "--headless", "--no-approve", "--linger", "0", "-q"];
        let command = beach(&scratch, &[&options, place, &["--", "true"]].concat());
        let mut host = Process::start(&mut machines.one.on(&command));
        assert_eq!(host.exit(SOON), 0, "{}", host.stderr());
        let wanted = format!("http://{}:", machines.one.address);
        assert!(host.stdout().starts_with(&wanted), "{place:?}: {}", host.stdout());
    }
}

#[test]
fn a_rendezvous_is_reached_through_the_proxy_that_the_environment_names() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let proxy = ConnectProxy::start(&rendezvous.url);
    // Only the proxy knows this name.
    let server = "http://rendezvous.test:4321";
    let mut command = share(&scratch, &["--json", "--no-approve", "--server", server], &["cat"]);
    let host = Host::run(&scratch, command.env("http_proxy", format!("http://{}", proxy.address)));

    let mut viewer = join(&scratch, &["--json", &host.links.control]);
    let viewer = Process::start(viewer.env("ALL_PROXY", proxy.address.to_string()));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let mut direct = join(&scratch, &["--json", &host.links.control]);
    direct.env("ALL_PROXY", proxy.address.to_string()).env("NO_PROXY", "example.com,.test");
    let direct = Process::start(&mut direct);
    let (line, _) = direct.line("the failure", SOON, |line| line.contains("\"unreachable\""));

    assert!(line.contains("rendezvous.test cannot be resolved"), "{line}");
    assert_eq!(proxy.asked(), ["CONNECT rendezvous.test:4321 HTTP/1.1"; 2]);
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_reason() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let answers = [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "refuses this connection with HTTP 403"),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            "wants a user: http://USER:PASSWORD@HOST:PORT",
        ),
        ("220 mail.test ESMTP\r\n\r\n", "does not answer as an HTTP proxy"),
    ];
    let shares = answers.map(|(answer, reason)| {
        let proxy = ConnectProxy::answering(&rendezvous.url, answer).address;
        let options = ["--no-approve", "--server", "http://rendezvous.test:4321"];
        let mut command = share(&scratch, &options, &["cat"]);
        (Process::start(command.env("http_proxy", format!("http://me:secret@{proxy}"))), proxy, reason)
    });
    for (mut share, proxy, reason) in shares {
        assert_eq!(share.exit(UNREACHABLE_WITHIN), 3, "{}", share.stderr());
        in_three_lines(&share.stderr());
        let said = share.stderr();
        assert!(said.contains(&format!("{proxy} {reason}")) && !said.contains("secret"), "{reason}: {said}");
    }
}

#[test]
fn a_certificate_of_a_private_authority_is_trusted_if_the_environment_names_the_authority() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let front = TlsFront::start(&rendezvous.url);
    let file = scratch.write("authority.pem", &front.authority);
    std::fs::create_dir_all(scratch.file("store")).expect("a folder can be made");
    scratch.write("store/0a1b2c3d.0", &front.authority);
    let options = ["--json", "--no-approve", "--server", &front.url];
    let mut unknown = Process::start(&mut share(&scratch, &options, &["cat"]));
    let mut missing = Process::start(share(&scratch, &options, &["cat"]).env("SSL_CERT_FILE", "no-such-file"));

    let host = Host::run(&scratch, share(&scratch, &options, &["cat"]).env("SSL_CERT_FILE", &file));
    let mut viewer = join(&scratch, &["--json", &host.links.control]);
    let viewer = Process::start(viewer.env("SSL_CERT_DIR", scratch.file("store")));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));

    for (share, cause) in [(&mut unknown, "not signed by a known authority"), (&mut missing, "SSL_CERT_FILE")] {
        assert_eq!(share.exit(UNREACHABLE_WITHIN), 3, "{}", share.stderr());
        in_three_lines(&share.stderr());
        assert!(share.stderr().contains(cause), "{cause}: {}", share.stderr());
    }
}

#[test]
fn the_doctor_only_watches_and_says_that_it_waits_for_the_host_and_uses_up_a_link() {
    let scratch = Scratch::new();
    let mut open = Host::start(&scratch, &[], &["cat"]);
    let mut doctor = Process::start(&mut beach(&scratch, &["doctor", &open.links.control]));
    doctor.exit(UNREACHABLE_WITHIN);
    assert!(doctor.stdout().contains("handshake   ok"), "{}", doctor.stdout());
    let (joined, _) = open.process.line("the doctor", SOON, |line| line.contains("member_joined"));
    assert!(joined.contains("\"role\":\"view\""), "{joined}");
    open.process.signal(Signal::TERM);
    open.process.exit(SOON);

    let mut once = Host::start(&scratch, &["--once"], &["cat"]);
    let mut doctor = Process::start(&mut beach(&scratch, &["doctor", &once.links.control]));
    doctor.exit(UNREACHABLE_WITHIN);
    assert!(doctor.stdout().contains("with --once the view link is used up now"), "{}", doctor.stdout());
    let mut late = Process::start(&mut beach(&scratch, &["join", "-q", &once.links.view]));
    assert_eq!(late.exit(SOON), 5, "{}", late.stderr());
    once.process.signal(Signal::TERM);
    once.process.exit(SOON);

    let asking = Host::start(&scratch, &["--approve"], &["cat"]);
    let mut doctor = Process::start(&mut beach(&scratch, &["doctor", &asking.links.control]));
    eventually("the doctor waits", SOON, || doctor.stderr().contains("until the host lets").then_some(()));
    assert_eq!(Process::start(&mut beach(&scratch, &["approve", "1"])).exit(SOON), 0);
    doctor.exit(UNREACHABLE_WITHIN);
    assert!(doctor.stdout().contains("handshake   ok"), "{}", doctor.stdout());
}

#[test]
fn the_shared_terminal_has_the_line_settings_of_the_hosts_terminal() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let script = "stty erase ^H; beach share --listen 127.0.0.1:0 -- sh -c 'stty -a > seen'";
    let pane = tmux.pane("host", (80, 24), script);
    pane.end(SOON);

    let seen = scratch.read("seen");
    assert!(seen.contains("erase = ^H;") && seen.contains(" iutf8") && !seen.contains("-iutf8"), "{seen}");
}
