//! A session in the background outlives the terminal that it was started in. A session in the foreground ends cleanly
//! with its terminal.

use std::time::Duration;

use beach_tests::real::{Process, Scratch, Tmux, beach, holds, join};

const SOON: Duration = Duration::from_secs(10);

/// Runs beach to its end: exit code and stdout.
fn ask(scratch: &Scratch, args: &[&str]) -> (i32, String) {
    let mut process = Process::start(&mut beach(scratch, args));
    let code = process.exit(SOON * 2);
    (code, process.stdout())
}

#[test]
fn in_the_background_it_outlives_its_terminal_and_one_can_come_back_to_it() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let pane = tmux.pane("first", (90, 20), "beach share -d --approve --listen 127.0.0.1:0 -- bash --norc; exec cat");
    pane.shows("In the background: `beach attach` joins the session, `beach stop` stops it.", SOON);
    assert!(pane.everything().contains("beach join 'http://localhost:"), "{}", pane.everything());
    // The whole session of that terminal is hung up.
    pane.close();

    let (code, status) = ask(&scratch, &["status", "--json"]);
    assert!(code == 0 && status.contains(r#""size":"90x20""#), "{status}");
    // The session's own user needs no approval.
    let pane = tmux.pane("second", (90, 20), "beach attach; echo \"left with $?\"; exec cat");
    pane.shows("$", SOON);
    pane.types_line("echo $((6*7))");
    holds("42", SOON, || pane.rows().iter().any(|row| row == "42"));
    pane.types("~.");
    pane.shows("left with 0", SOON);

    assert_eq!(ask(&scratch, &["status"]).0, 0, "it goes on");
    assert_eq!(ask(&scratch, &["stop"]).0, 0);
    assert_eq!((ask(&scratch, &["status"]).0, ask(&scratch, &["attach"]).0), (4, 4));
}

#[test]
fn what_cannot_start_in_the_background_says_so_in_the_foreground() {
    let scratch = Scratch::new();
    let mut share = Process::start(&mut beach(&scratch, &["share", "--detach", "--listen", "nowhere:0", "--", "cat"]));
    assert_eq!(share.exit(SOON), 2);
    assert!(share.stderr().contains("cannot listen on nowhere:0"), "{}", share.stderr());
    assert_eq!(ask(&scratch, &["status"]).0, 4);
}

#[test]
fn quietly_it_prints_the_link_alone() {
    let scratch = Scratch::new();
    let (code, link) = ask(&scratch, &["share", "-qd", "--listen", "127.0.0.1:0", "--", "sh", "-c", "echo HERE; cat"]);
    assert_eq!((code, link.lines().count()), (0, 1));
    let mut viewer = Process::start(&mut join(&scratch, &["--json", link.trim()]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    assert_eq!(ask(&scratch, &["stop"]).0, 0);
    assert_eq!(viewer.exit(SOON), 0);
}

#[test]
fn in_the_foreground_it_ends_with_its_terminal_and_viewers_are_told() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let pane = tmux.pane("host", (90, 20), "exec beach share --listen 127.0.0.1:0 -- sh -c 'echo HERE; cat'");
    pane.shows("HERE", SOON);
    let (_, status) = ask(&scratch, &["status", "--json"]);
    let link = status.split(r#""join":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a link").to_owned();
    let mut viewer = Process::start(&mut join(&scratch, &[&link]));
    holds("a viewer", SOON, || ask(&scratch, &["status"]).1.contains("viewer 1"));
    pane.close();
    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
    assert!(viewer.stderr().contains("the host stopped sharing"), "{}", viewer.stderr());
    assert_eq!(ask(&scratch, &["status"]).0, 4);
}
