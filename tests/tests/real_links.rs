//! Whom the links of a session let in, how often and how long, and which are given out.

use std::time::{Duration, Instant};

use beach_tests::real::{Host, Process, Scratch, beach, holds, in_three_lines, join, share};

const SOON: Duration = Duration::from_secs(15);

fn is_in(scratch: &Scratch, link: &str) -> Process {
    let viewer = Process::start(&mut join(scratch, &["--json", link]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer
}

fn is_refused(scratch: &Scratch, link: &str, why: &str) {
    let mut viewer = Process::start(&mut join(scratch, &[link]));
    assert_eq!(viewer.exit(SOON), 5, "{}", viewer.stderr());
    in_three_lines(&viewer.stderr());
    assert!(viewer.stderr().contains(why), "{}", viewer.stderr());
}

fn status(scratch: &Scratch) -> serde_json::Value {
    let mut process = Process::start(&mut beach(scratch, &["status", "--json"]));
    assert_eq!(process.exit(SOON), 0, "{}", process.stderr());
    serde_json::from_str(process.stdout().trim()).expect("one object")
}

#[test]
fn a_link_for_one_is_used_up_and_a_new_one_is_not() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--once"], &["cat"]);
    let mut first = is_in(&scratch, &host.links.control);
    is_refused(&scratch, &host.links.control, "the link was for one viewer");
    let _watching = is_in(&scratch, &host.links.view);
    assert_eq!(status(&scratch)["members"][0]["from"], "loopback");

    assert_eq!(Process::start(&mut beach(&scratch, &["rotate"])).exit(SOON), 0);
    holds("the new links", SOON, || host.events("links") == 1);
    let fresh = status(&scratch)["join"].as_str().expect("a link").to_owned();
    assert_ne!(fresh, host.links.control);
    let _second = is_in(&scratch, &fresh);
    assert!(first.is_running());
}

#[test]
fn links_expire_before_the_session_does_and_then_it_does_and_both_are_told() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--expire-links", "2", "--expire", "5"], &["cat"]);
    let started = Instant::now();
    let mut viewer = is_in(&scratch, &host.links.view);
    std::thread::sleep(Duration::from_millis(2100).saturating_sub(started.elapsed()));
    is_refused(&scratch, &host.links.control, "the link has expired");
    assert!(viewer.is_running());

    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
    assert!(viewer.stdout().contains(r#""reason":"expired""#), "{}", viewer.stdout());
    assert_eq!(host.process.exit(SOON), 0);
    assert!(host.process.stdout().contains(r#""reason":"expired""#), "{}", host.process.stdout());
    assert!(started.elapsed() >= Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_session_for_watching_gives_out_no_link_that_lets_type() {
    let scratch = Scratch::new();
    let host = Process::start(&mut share(&scratch, &["--json", "--view-only"], &["cat"]));
    let (ready, _) = host.line("the links", SOON, |line| line.contains("\"ready\""));
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("events are JSON");
    assert!(ready["join"].is_null());
    let view = ready["view"].as_str().expect("a link").to_owned();
    let viewer = is_in(&scratch, &view);
    assert!(viewer.stdout().contains(r#""role":"view""#), "{}", viewer.stdout());
    assert!(status(&scratch)["join"].is_null());
    let mut told = Process::start(&mut beach(&scratch, &["status"]));
    assert_eq!(told.exit(SOON), 0);
    assert!(told.stdout().contains(&view) && !told.stdout().contains("#1c."), "{}", told.stdout());
    drop(host);

    let quiet = Process::start(&mut share(&scratch, &["-q", "--view-only"], &["cat"]));
    let (link, _) = quiet.line("the link", SOON, |line| line.contains("/s/"));
    assert!(link.contains("#1v."), "{link}");
}

#[test]
fn a_link_can_be_photographed() {
    let scratch = Scratch::new();
    let host = Process::start(&mut share(&scratch, &["--qr"], &["cat"]));

    holds("the squares", SOON, || host.stderr().matches("\x1b[38;5;16;48;5;231m").count() > 15);
}
