//! Every failure has its exit code and its three lines: what failed at which step, the cause, what to try.

use std::net::TcpListener;
use std::time::Duration;

use beach_tests::real::{
    Host, Machines, Process, Rendezvous, Scratch, beach, ended_in_three_lines, holds, in_three_lines, join, share,
};

const SOON: Duration = Duration::from_secs(5);

/// Reaching the rendezvous may take 15 s, and the rest of the machine some more.
const UNREACHABLE_WITHIN: Duration = Duration::from_secs(20);

const NO_PATH_WITHIN: Duration = Duration::from_secs(30);

/// The right form, and nobody's.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn a_wrong_key_is_refused_and_counted_and_nothing_it_types_reaches_the_program() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; exec cat > typed"]);
    let (place, _) = host.links.control.split_once("#1c.").expect("a link has a key");
    for kind in ["1c", "1v"] {
        let forged = format!("{place}#{kind}.{NOBODYS}");
        let mut viewer = Process::start(&mut join(&scratch, &[&forged]));
        viewer.write("rm -rf everything\r\n");

        assert_eq!(viewer.exit(SOON), 5, "{}", viewer.stderr());
        in_three_lines(&viewer.stderr());
        assert!(viewer.stderr().contains("refused"), "{}", viewer.stderr());
    }

    holds("both tries in the log", SOON, || {
        let log = scratch.read("host.log");
        log.lines().filter(|line| line.contains("wrong key")).count() == 2 && log.contains("count=2")
    });
    // The one with the right key gets through, so the others would have.
    let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("mine");
    holds("what the right one typed", SOON, || !scratch.read("typed").is_empty());
    assert_eq!(scratch.read("typed"), "mine");
    assert_eq!(host.events("member_joined"), 1);
}

#[test]
fn an_unknown_session_ends_with_4_at_once_and_after_the_wait_that_was_asked_for() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let unknown = format!("{}/s/{NOBODYS}#1c.{NOBODYS}", rendezvous.url);

    let (stderr, took) = ended_in_three_lines(&mut join(&scratch, &[&unknown]), 4, SOON);
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert!(stderr.contains("reaching rendezvous") || stderr.contains("no such session"), "{stderr}");

    let (_, took) = ended_in_three_lines(&mut join(&scratch, &["--wait", "2", &unknown]), 4, SOON);
    assert!(took >= Duration::from_secs(2), "it waited only {took:?}");
}

#[test]
fn no_rendezvous_ends_with_3_whether_it_refuses_or_is_silent() {
    let scratch = Scratch::new();
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let refusing = closed.local_addr().expect("it has an address");
    drop(closed);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent_at = silent.local_addr().expect("it has an address");
    let link = |at| format!("http://{at}/s/{NOBODYS}#1c.{NOBODYS}");

    let mut to_refusing = Process::start(&mut join(&scratch, &[&link(refusing)]));
    let mut to_silent = Process::start(&mut join(&scratch, &[&link(silent_at)]));
    let mut hosted =
        Process::start(&mut share(&scratch, &["-q", "--server", &format!("http://{refusing}")], &["true"]));

    for (process, at) in [(&mut to_refusing, refusing), (&mut to_silent, silent_at), (&mut hosted, refusing)] {
        assert_eq!(process.exit(UNREACHABLE_WITHIN), 3, "{}", process.stderr());
        let stderr = process.stderr();
        in_three_lines(&stderr);
        assert!(stderr.contains(&at.to_string()), "{stderr}");
    }
    for process in [&to_silent, &hosted] {
        assert!(process.stderr().contains("reaching rendezvous"), "{}", process.stderr());
    }
    assert_eq!(hosted.stdout(), "", "nothing is printed before the rendezvous has acknowledged the session");
}

#[test]
fn mistakes_of_usage_end_with_2() {
    let scratch = Scratch::new();
    let id = "http://localhost:1/s/AAAAAAAAAAAAAAAAAAAAAA";
    let damaged =
        ["no-link", "http://localhost:1/s/short#1c.x", &format!("{id}#1c.short"), &format!("{id}#9z.{NOBODYS}")];
    for target in damaged {
        ended_in_three_lines(&mut join(&scratch, &[target]), 2, SOON);
    }
    ended_in_three_lines(&mut join(&scratch, &[]), 2, SOON);
    ended_in_three_lines(&mut beach(&scratch, &["replay", "no-such-file"]), 2, SOON);
    ended_in_three_lines(&mut join(&scratch, &["--log-file", "/proc/no/such/folder", id]), 2, SOON);
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = occupied.local_addr().expect("it has an address").to_string();
    let mut unsaid = beach(&scratch, &["share", "--headless", "--listen", "0.0.0.0:0", "--", "true"]);
    let (stderr, _) = ended_in_three_lines(&mut unsaid, 2, SOON);
    assert!(stderr.contains("--no-approve") && stderr.contains("--approve"), "{stderr}");
    let mut asked = beach(&scratch, &["share", "--headless", "--listen", &taken, "--", "true"]);
    let (stderr, _) = ended_in_three_lines(&mut asked, 2, SOON);
    assert!(stderr.contains(&taken), "{stderr}");

    for args in
        [&["join", "--no-such-flag"][..], &["no-such-command"], &["share", "--size", "0x0"], &["serve", "extra"]]
    {
        let mut process = Process::start(&mut beach(&scratch, args));
        assert_eq!(process.exit(SOON), 2, "{args:?}: {}", process.stderr());
        assert_eq!(process.stdout(), "");
    }
}

#[test]
fn a_command_that_does_not_exist_ends_share_as_a_shell_would() {
    let scratch = Scratch::new();
    let mut host = Process::start(&mut share(&scratch, &["-q", "--linger", "0"], &["no-such-program"]));

    assert_eq!(host.exit(SOON), 127);
    in_three_lines(&host.stderr());
    assert!(host.stderr().contains("no-such-program"), "{}", host.stderr());
}

#[test]
fn two_machines_connect_directly_over_the_cable_between_them() {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    let listen = format!("{}:0", machines.one.address);
    let command = beach(
        &scratch,
        &["share", "--headless", "--no-approve", "--json", "--listen", &listen, "--log-file", "host.log", "--", "cat"],
    );
    let host = Host::run(&scratch, &mut machines.one.on(&command));
    assert!(host.links.control.contains(&machines.one.address), "{}", host.links.control);

    let viewer = Process::start(&mut machines.other.on(&join(&scratch, &["--json", &host.links.control])));

    let (path, _) = viewer.line("the path", SOON, |line| line.contains("\"path\""));
    let local = format!("\"local\":\"{}:", machines.other.address);
    let remote = format!("\"remote\":\"{}:", machines.one.address);
    assert!(path.contains("direct") && path.contains(&local) && path.contains(&remote), "{path}");
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
}

#[test]
fn where_no_udp_passes_a_strict_join_ends_with_6_and_names_the_step_and_the_pairs_it_tried() {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    machines.drop_udp();
    let listen = format!("{}:0", machines.one.address);
    let command = beach(
        &scratch,
        &["share", "--headless", "--no-approve", "--json", "--listen", &listen, "--log-file", "host.log", "--", "cat"],
    );
    let host = Host::run(&scratch, &mut machines.one.on(&command));

    let command = join(&scratch, &["--strict", "--log-file", "join.log", &host.links.control]);
    let (stderr, took) = ended_in_three_lines(&mut machines.other.on(&command), 6, NO_PATH_WITHIN);

    eprintln!("no path: after {took:?}");
    assert!(stderr.contains("checking paths"), "{stderr}");
    let pair = format!("{}:", machines.other.address);
    assert!(stderr.contains(&pair) && stderr.contains(&format!(" to {}:", machines.one.address)), "{stderr}");
    assert_eq!(host.events("member_joined"), 0);
}

#[test]
fn a_task_that_fails_ends_the_session_with_its_reason() {
    let scratch = Scratch::new();
    let options = ["--json", "--test-fault", "1"];
    let mut host = Process::start(&mut share(&scratch, &options, &["cat"]));

    assert_eq!(host.exit(SOON), 1, "{}", host.stderr());

    assert!(host.stderr().contains("cause: the rendezvous inside share failed"), "{}", host.stderr());
    assert!(host.stdout().contains(r#""reason":"fault""#), "{}", host.stdout());
}
