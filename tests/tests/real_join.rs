//! Sharing and joining, as people and scripts do it.

use std::time::{Duration, Instant};

use beach_tests::real::{
    Host, Links, Process, Rendezvous, Running as _, Scratch, Tmux, beach, children_of, eventually, holds,
    in_three_lines, join, share,
};

const SOON: Duration = Duration::from_secs(5);
const LINK_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_quiet_headless_share_prints_the_link_and_nothing_else_and_a_viewer_types_into_its_shell() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Process::start(&mut share(&scratch, &["-q"], &["bash", "--norc"]));
    let (link, at) = host.line("the link", SOON, |_| true);
    assert!(at - host.started() < LINK_WITHIN, "the link took {:?}", at - host.started());

    let viewer = tmux.pane("viewer", (80, 24), &format!("exec beach join '{link}'"));
    viewer.shows("$", SOON);
    viewer.types_line("echo $((6*7))");

    holds("42 on a row of its own", SOON, || viewer.rows().iter().any(|row| row == "42"));
    assert_eq!(host.stdout(), format!("{link}\n"));
    assert_eq!(host.stderr(), "");
    assert!(link.starts_with("http://localhost:") && link.contains("/s/") && link.contains("#1c."), "{link}");
}

#[test]
fn who_joins_within_the_linger_sees_the_last_screen_and_the_commands_own_code_if_asked() {
    let scratch = Scratch::new();
    let options = ["-q", "--linger", "5"];
    let mut host = Process::start(&mut share(&scratch, &options, &["sh", "-c", "echo hi; exit 7"]));
    let (link, _) = host.line("the link", LINK_WITHIN, |_| true);
    holds("the end of the command", SOON, || children_of(host.id()).is_empty());

    let mut plain = Process::start(&mut join(&scratch, &[&link]));
    let mut returning = Process::start(&mut join(&scratch, &["--return", "-q", &link]));

    assert_eq!((plain.exit(SOON), returning.exit(SOON)), (0, 7));
    assert_eq!(plain.stdout(), "hi\n");
    assert_eq!(host.exit(SOON * 2), 7);
}

#[test]
fn a_session_without_viewers_ends_after_its_linger_with_the_commands_code() {
    let scratch = Scratch::new();
    let started = Instant::now();
    let mut host = Process::start(&mut share(&scratch, &["-q", "--linger", "1"], &["sh", "-c", "kill -TERM $$"]));

    assert_eq!(host.exit(SOON), 143);
    let took = started.elapsed();
    assert!(took > Duration::from_secs(1), "it lingered only {took:?}");
}

#[test]
fn a_bare_command_is_shared_and_join_may_be_written_as_a_flag() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let mut command = beach(&scratch, &["--", "bash", "--norc"]);
    let host = Process::start(command.env("BEACH_SERVER", &rendezvous.url));
    let links = eventually("both links", LINK_WITHIN, || Links::in_text(&host.stderr()));
    assert!(links.control.starts_with(&rendezvous.url), "{}", links.control);

    let viewer = tmux.pane("viewer", (80, 24), &format!("exec beach --join '{}'", links.control));
    viewer.shows("$", SOON);
    viewer.types_line("echo by-flag-$((1+1))");

    viewer.shows("by-flag-2", SOON);
    assert_eq!(host.stdout(), "", "stdout carries only what a script asked for");
    assert!(host.stderr().contains("sharing `bash --norc` (80x24)"), "{}", host.stderr());
}

#[test]
fn the_target_comes_from_the_environment_or_from_stdin_too() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let link = &host.links.control;

    let by_variable = tmux.pane("variable", (80, 24), &format!("BEACH_TARGET='{link}' exec beach join"));
    by_variable.shows("$", SOON);
    by_variable.types_line("echo variable-$((1+1))");
    by_variable.shows("variable-2", SOON);

    // The link comes by a pipe; the keys still come from the terminal.
    let by_pipe = tmux.pane("pipe", (80, 24), &format!("echo '{link}' | beach join -"));
    by_pipe.shows("variable-2", SOON);
    by_pipe.types_line("echo pipe-$((2+2))");
    by_pipe.shows("pipe-4", SOON);

    // Without any terminal, the bytes after the link are typed.
    let mut script = Process::start(&mut join(&scratch, &["--json", "-"]));
    script.write(format!("{link}\n"));
    script.line("the first screen", SOON, |line| line.contains("first_screen"));
    script.write("echo script-$((3+3))\r");
    by_pipe.shows("script-6", SOON);

    // Without its scheme a link is as good.
    let bare = link.strip_prefix("http://").expect("links are http here");
    let bare = Process::start(&mut join(&scratch, &["--json", bare]));
    bare.line("the first screen", SOON, |line| line.contains("first_screen"));
}

#[test]
fn a_host_that_waits_starts_its_command_only_when_a_viewer_is_there() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--wait"], &["sh", "-c", "echo started > started; cat"]);
    let quiet_until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < quiet_until {
        assert!(!scratch.file("started").exists(), "the command started with nobody there");
    }

    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.view]));

    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    holds("the command's start", SOON, || scratch.read("started") == "started\n");
}

#[test]
fn a_host_that_waited_in_vain_says_so() {
    let scratch = Scratch::new();
    let started = Instant::now();
    let mut host = Process::start(&mut share(&scratch, &["-q", "--wait=1"], &["sh", "-c", "echo started > started"]));

    assert_eq!(host.exit(SOON), 1);
    assert!(started.elapsed() >= Duration::from_secs(1));
    in_three_lines(&host.stderr());
    assert!(host.stderr().contains("no viewer came in time"), "{}", host.stderr());
    assert!(!scratch.file("started").exists());
}

#[test]
fn the_strict_mode_of_the_environment_is_accepted_and_reported() {
    let scratch = Scratch::new();
    let mut command = share(&scratch, &["--json"], &["cat"]);
    let host = Host::run(&scratch, command.env("BEACH_STRICT_WEBRTC", "1"));
    assert!(host.process.stdout().contains("\"strict\":true"), "{}", host.process.stdout());
    let plain = Host::start(&scratch, &[], &["cat"]);
    assert!(plain.process.stdout().contains("\"strict\":false"), "{}", plain.process.stdout());

    let mut viewer = join(&scratch, &["--json", &host.links.control]);
    let viewer = Process::start(viewer.env("BEACH_STRICT_WEBRTC", "1"));

    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
}

#[test]
fn a_link_without_its_key_asks_for_it_and_does_not_show_it() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let (place, key) = host.links.control.split_once('#').expect("a link has a key");

    let viewer = tmux.pane("viewer", (80, 24), &format!("beach join '{place}'; exec sleep 100"));
    viewer.shows("Key", SOON);
    viewer.types_line(key);

    viewer.shows("$", SOON);
    assert!(!viewer.everything().contains(key), "the key stands on the screen");
    viewer.types_line("echo asked-$((1+1))");
    viewer.shows("asked-2", SOON);
}

/// The lines of two logs, a host's and a viewer's, of one join at this level.
fn logs_of_a_join(debug: bool) -> [Vec<String>; 2] {
    let scratch = Scratch::new();
    let set = if debug { "1" } else { "0" };
    let mut command = share(&scratch, &["--json"], &["cat"]);
    let host = Host::run(&scratch, command.env("BEACH_DEBUG_LOG", set));
    let mut command = join(&scratch, &["--json", "--log-file", "viewer.log", &host.links.control]);
    let viewer = Process::start(command.env("BEACH_DEBUG_LOG", set));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    for log in ["host.log", "viewer.log"] {
        holds("both are connected", SOON, || scratch.read(log).contains("stage=\"connected\""));
    }
    ["host.log", "viewer.log"].map(|log| scratch.read(log).lines().map(str::to_owned).collect())
}

#[test]
fn at_info_a_whole_join_is_at_most_twelve_lines_on_either_side() {
    for lines in logs_of_a_join(false) {
        assert!((1..=12).contains(&lines.len()), "{} lines:\n{}", lines.len(), lines.join("\n"));
    }
}

#[test]
fn debug_logs_of_a_join_tell_the_steps_of_the_handshake_in_order() {
    let [host, viewer] = logs_of_a_join(true);
    let connecting = [
        "first check sent: ",
        "DTLS begun",
        "DTLS done: version ",
        "confirmation sent",
        "confirmation received",
        "the terminal lane is open",
        "the control lane is open",
    ];
    let described = ["hello received", "verdict sent: accepted", "peer made: it offers", "offer made", "offer sent"];
    let answered =
        ["hello sent", "verdict received: accepted", "offer received", "peer made: it answers", "answer sent"];
    for (lines, before) in [(host, described), (viewer, answered)] {
        let mut rest = lines.iter();
        for step in before.iter().chain(&connecting) {
            let line = rest.find(|line| line.contains(step));
            let line = line.unwrap_or_else(|| panic!("{step:?} is not there, or not in order:\n{}", lines.join("\n")));
            assert!(line.contains("DEBUG") && line.contains("link="), "{line}");
        }
        // The other side's DTLS may come before the answer to this side's check.
        let at = |step: &str| lines.iter().position(|line| line.contains(step));
        let (sent, answered) = (at("first check sent: "), at("first check answered: "));
        assert!(sent.is_some() && sent < answered, "{}", lines.join("\n"));
    }
}
