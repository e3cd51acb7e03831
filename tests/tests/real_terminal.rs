//! The own terminal is given back as it was found, however it ends; and an end is prompt and loses nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use beach_tests::real::{
    Host, Links, Pane, Process, Running as _, Scratch, Signal, Tmux, children_of, eventually, holds, join, share,
};

const SOON: Duration = Duration::from_secs(10);
const PROMPTLY: Duration = Duration::from_secs(2);

/// A host that is gone without a word is missed after 15 s.
const MISSED_WITHIN: Duration = Duration::from_secs(25);

const SIZE: (u16, u16) = (80, 24);

/// Leaves every mode on that a program can leave on.
const MESS: &str = r"printf '\033[?1049h\033[?1000h\033[?1002h\033[?1006h\033[?2004h\033[?1h\033=\033[?25l\033[?7l\033[2;9r\033[?6h\033[44;1mREADY'; ";

/// A command that uses the terminal in a pane, between two looks at the terminal's settings.
fn looked_at(name: &str, command: &str) -> String {
    format!(
        "stty -g > {name}.before; {command}; echo $? > {name}.code; stty -g > {name}.after; printf 'BACK\\n'; exec sleep 100"
    )
}

/// Waits until the command in the pane has ended, and checks that nothing of it is left: returns its exit code.
#[track_caller]
fn given_back(scratch: &Scratch, pane: &Pane<'_>, name: &str, within: Duration) -> i32 {
    let after = eventually(&format!("{name} gives the terminal back"), within, || {
        Some(scratch.read(&format!("{name}.after"))).filter(|after| after.ends_with('\n'))
    });
    assert_eq!(after, scratch.read(&format!("{name}.before")), "{name}: stty -g");
    pane.shows("BACK", SOON);
    assert_eq!(pane.modes_left(), [""; 0], "{name}: modes left behind");
    scratch.read(&format!("{name}.code")).trim().parse().expect("an exit code")
}

/// The one `beach` process in a pane.
#[track_caller]
fn beach_in(pane: &Pane<'_>) -> u32 {
    let children = children_of(pane.id());
    assert_eq!(children.len(), 1, "the processes in the pane");
    children[0]
}

#[test]
fn a_viewers_terminal_is_given_back_whatever_ends_it() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let script = format!("{MESS} cat > typed");
    let ending = Host::start(&scratch, &[], &["sh", "-c", &format!("{MESS} read -r _; exit 3")]);
    let killed = Host::start(&scratch, &[], &["sh", "-c", &script]);
    let lasting = Host::start(&scratch, &[], &["sh", "-c", &script]);
    let viewer = |name: &str, host: &Host, flags: &str| {
        let command = format!("beach join {flags} '{}' 2> {name}.err", host.links.control);
        tmux.pane(name, SIZE, &looked_at(name, &command))
    };
    let ends = viewer("host-ends", &ending, "");
    let kill = viewer("host-killed", &killed, "--reconnect 3");
    let away = viewer("away", &killed, "");
    let leave = viewer("tilde", &lasting, "");
    let term = viewer("term", &lasting, "");
    let hup = viewer("hup", &lasting, "");
    let panics = viewer("panic", &lasting, "--test-panic");
    for pane in [&ends, &kill, &away, &leave, &term, &hup] {
        pane.shows("READY", SOON);
        assert!(pane.modes_left().contains(&"mouse"), "the program's modes reach the viewer's terminal");
    }

    killed.process.signal(Signal::KILL);
    let killed_at = Instant::now();
    ends.presses("Enter");
    leave.types("~.");
    signal(beach_in(&term), Signal::TERM);
    signal(beach_in(&hup), Signal::HUP);

    assert_eq!(given_back(&scratch, &ends, "host-ends", SOON), 0);
    assert_eq!(given_back(&scratch, &leave, "tilde", SOON), 0);
    assert_eq!(given_back(&scratch, &term, "term", SOON), 143);
    assert_eq!(given_back(&scratch, &hup, "hup", SOON), 129);
    assert_eq!(given_back(&scratch, &panics, "panic", SOON), 101);
    assert!(scratch.read("panic.err").contains("asked for by --test-panic"));
    assert_eq!(given_back(&scratch, &kill, "host-killed", MISSED_WITHIN), 7);
    eprintln!("a killed host was missed after {:?}", killed_at.elapsed());
    away.shows("beach: reconnecting, ", SOON);
    away.types("~.");
    assert_eq!(given_back(&scratch, &away, "away", SOON), 0);
    let lost = scratch.read("host-killed.err");
    assert!(lost.contains("error: the connection to the host was lost") && !lost.contains("panicked"), "{lost}");
}

#[test]
fn a_viewers_window_has_the_sessions_title_until_the_end() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", r"printf '\033]2;all built\007READY'; read -r _"]);
    let command = format!("beach join '{}'", host.links.control);
    let viewer = tmux.pane("viewer", SIZE, &format!("printf '\\033]2;my own\\007'; {}", looked_at("viewer", &command)));
    viewer.shows("READY", SOON);
    holds("the session's title", SOON, || viewer.title() == "all built");
    viewer.types_line("");
    assert_eq!(given_back(&scratch, &viewer, "viewer", PROMPTLY), 0);
    holds("the title from before", SOON, || viewer.title() == "my own");
}

#[test]
fn ctrl_c_before_the_first_screen_ends_a_join() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let at = silent.local_addr().expect("it has an address");
    let command = format!("beach join http://{at}/s/AAAAAAAAAAAAAAAAAAAAAA#1c.AAAAAAAAAAAAAAAAAAAAAA");
    let pane = tmux.pane("early", SIZE, &looked_at("early", &command));
    pane.shows("reaching rendezvous", SOON);

    signal(beach_in(&pane), Signal::INT);

    assert_eq!(given_back(&scratch, &pane, "early", SOON), 130);
}

#[test]
fn a_suspended_viewer_gives_the_terminal_back_and_comes_back_where_it_was() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(
        &scratch,
        &[],
        &["sh", "-c", "stty -echo; printf '\\033[?1049h\\033[?1000h\\033[?1006hREADY'; exec cat > typed"],
    );
    let pane = tmux.pane("viewer", SIZE, "PS1='prompt> ' exec bash --norc -i");
    pane.shows("prompt>", SOON);
    pane.types_line("stty -g > before; clear");
    pane.types_line(&format!("beach join '{}'", host.links.control));
    pane.shows("READY", SOON);
    holds("the mouse", SOON, || pane.modes_left().contains(&"mouse"));

    pane.types("~");
    pane.presses("C-z");
    pane.shows("Stopped", SOON);
    pane.types_line("stty -g > while; echo let-$((1+1))");
    pane.shows("let-2", SOON);
    assert_eq!(pane.modes_left(), [""; 0], "modes left behind");
    pane.types_line("clear; fg");
    pane.shows("READY", SOON);
    holds("the program's modes again", SOON, || {
        let modes = pane.modes_left();
        modes.contains(&"mouse") && modes.contains(&"alternate screen")
    });
    pane.types_line("typed after");
    holds("what was typed", SOON, || scratch.read("typed") == "typed after\n");
    pane.types("~.");
    pane.shows("prompt>", SOON);
    pane.types_line("stty -g > after; echo over-$((1+1))");
    pane.shows("over-2", SOON);

    // A shell that edits lines has settings of its own, and gives a command those that it found.
    let before = scratch.read("before");
    assert!(!before.is_empty());
    assert_eq!((scratch.read("while"), scratch.read("after")), (before.clone(), before));
}

fn signal(id: u32, signal: Signal) {
    struct Id(u32);
    impl beach_tests::real::Running for Id {
        fn id(&self) -> u32 {
            self.0
        }
    }
    Id(id).signal(signal);
}

#[test]
fn a_hosts_terminal_is_given_back_whatever_ends_it() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let sharer = |name: &str, script: &str| {
        let command = format!("beach share --listen 127.0.0.1:0 --log-file {name}.log -- sh -c \"$SCRIPT\"");
        let file = scratch.write(&format!("{name}.sh"), format!("{MESS} {script}\n"));
        let command = command.replace("sh -c \"$SCRIPT\"", &format!("sh {}", file.display()));
        tmux.pane(name, SIZE, &looked_at(name, &command))
    };
    let ends = sharer("ends", "read -r _; exit 9");
    let crashes = sharer("crashes", "read -r _; kill -KILL $$");
    let term = sharer("term", "cat");
    let hup = sharer("hup", "cat");
    for pane in [&ends, &crashes, &term, &hup] {
        pane.shows("READY", SOON);
    }

    ends.presses("Enter");
    crashes.presses("Enter");
    signal(beach_in(&term), Signal::TERM);
    signal(beach_in(&hup), Signal::HUP);

    assert_eq!(given_back(&scratch, &ends, "ends", SOON), 9);
    assert_eq!(given_back(&scratch, &crashes, "crashes", SOON), 137);
    assert_eq!(given_back(&scratch, &term, "term", SOON), 143);
    assert_eq!(given_back(&scratch, &hup, "hup", SOON), 129);
}

#[test]
fn ctrl_d_in_the_hosts_shell_ends_the_share_and_all_viewers_promptly() {
    for leave in ["C-d", "exit"] {
        let scratch = Scratch::new();
        let tmux = Tmux::start(&scratch);
        let command =
            "beach share --listen 127.0.0.1:0 --log-file host.log -- bash --norc; echo share-ended-$?; exec sleep 100";
        let host = tmux.pane("host", SIZE, command);
        let links = eventually("the links on the host's pane", SOON, || Links::in_text(&host.everything()));
        let viewers = ["one", "two", "three"].map(|name| {
            let log = format!("--log-file {name}.log");
            tmux.pane(name, SIZE, &format!("beach join {log} '{}'; echo join-ended-$?; exec sleep 100", links.control))
        });
        for viewer in &viewers {
            viewer.shows("$", SOON);
        }

        if leave == "exit" {
            host.types_line("exit");
        } else {
            host.presses(leave);
        }
        let started = Instant::now();

        host.shows("share-ended-0", PROMPTLY);
        for viewer in &viewers {
            viewer.shows("join-ended-0", PROMPTLY.saturating_sub(started.elapsed()));
        }
        eprintln!("{leave}: all ended after {:?}", started.elapsed());
    }
}

#[test]
fn the_last_line_of_much_output_is_not_lost() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let mut host =
        Host::start(&scratch, &["--linger", "0"], &["sh", "-c", "read -r _; seq 1 20000; echo THE-END; exit 4"]);
    let viewer = tmux.pane(
        "viewer",
        SIZE,
        &format!("beach join -q --log-file join.log '{}'; echo join-ended-$?; exec sleep 100", host.links.control),
    );
    let mut piped = Process::start(&mut join(&scratch, &["--return", &host.links.view]));
    holds("both viewers", SOON, || host.events("member_joined") == 2);

    viewer.presses("Enter");

    viewer.shows("join-ended-0", SOON);
    viewer.shows("THE-END", Duration::ZERO);
    assert_eq!(piped.exit(SOON), 4);
    assert!(piped.stdout().ends_with("19999\n20000\nTHE-END\n"), "{}", piped.stdout());
    assert_eq!(host.process.exit(SOON), 4);
}

#[test]
fn a_grandchild_that_holds_the_terminal_does_not_hold_share() {
    let scratch = Scratch::new();
    let script = "trap '' HUP; sleep 8 & echo BYE; exit 3";
    let mut host = Process::start(&mut share(&scratch, &["-q", "--linger", "2", "--wait"], &["sh", "-c", script]));
    let (link, _) = host.line("the link", SOON, |_| true);
    let started = Instant::now();
    let mut viewer = Process::start(&mut join(&scratch, &["--return", &link]));

    assert_eq!(viewer.exit(SOON), 3);
    assert_eq!(host.exit(SOON), 3);

    assert_eq!(viewer.stdout(), "BYE\n");
    assert!(started.elapsed() < Duration::from_secs(6), "it took {:?}", started.elapsed());
}
