//! The output for programs is documented: every JSON field and every event of a session stands in docs/CLI.md.

use std::collections::BTreeSet;
use std::time::Duration;

use beach_tests::real::{Host, Process, Running as _, Scratch, Signal, beach, holds, join};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);

const MANUAL: &str = include_str!("../../docs/CLI.md");

/// The rows of the tables below this heading: what stands in the first column in code, and the rest.
fn table(heading: &str) -> Vec<(Vec<&'static str>, &'static str)> {
    let (_, section) = MANUAL.split_once(heading).unwrap_or_else(|| panic!("no {heading:?} in the manual"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let section = section.split("\n### ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.map(|(first, rest)| (code(first), rest)).collect()
}

fn code(text: &'static str) -> Vec<&'static str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Events as they were printed, each of a type and with fields that the table has.
fn are_told_as_documented(events: &str, heading: &str) -> BTreeSet<String> {
    let table = table(heading);
    let mut seen = BTreeSet::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).expect("one object a line");
        let kind = event["type"].as_str().expect("a type").to_owned();
        let row = table.iter().find(|(types, _)| types.contains(&kind.as_str()));
        let (_, fields) = row.unwrap_or_else(|| panic!("{kind:?} is not in the manual, {heading:?}: {line}"));
        let documented = code(fields);
        for field in event.as_object().expect("an object").keys().filter(|field| *field != "type") {
            assert!(documented.contains(&field.as_str()), "`{field}` of {kind:?} is not in the manual: {line}");
        }
        seen.insert(kind);
    }
    seen
}

/// Waits until a viewer has printed this.
fn tells(viewer: &Process, words: &str) {
    holds(words, SOON, || viewer.stdout().contains(words));
}

#[test]
fn what_a_session_says_to_programs_is_in_the_manual() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--approve"], &["cat"]);
    let does = |args: &[&str]| {
        let mut process = Process::start(&mut beach(&scratch, args));
        assert_eq!(process.exit(SOON), 0, "{args:?}: {}", process.stderr());
        process.stdout()
    };
    let asks = |name: &str, count: usize| {
        let viewer = Process::start(&mut join(&scratch, &["--json", "--name", name, &host.links.view]));
        holds("it asks", SOON, || host.events("member_asks") == count);
        viewer
    };
    let mut staying = asks("staying", 1);
    does(&["approve", "1"]);
    staying.line("the first screen", SOON, |line| line.contains("first_screen"));
    let mut guest = asks("guest", 2);
    does(&["approve", "2"]);
    guest.line("the first screen", SOON, |line| line.contains("first_screen"));
    tells(&staying, r#""name":"guest""#);
    does(&["grant", "2", "control"]);
    tells(&guest, r#""type":"role""#);
    guest.write("typed\n");
    tells(&staying, r#""types":true"#);
    guest.signal(Signal::TERM);
    assert_eq!(guest.exit(SOON), 143);
    tells(&staying, r#""member_left""#);
    let mut waiting = asks("waiting", 3);

    let status: Value = serde_json::from_str(does(&["status", "--json"]).trim()).expect("one object");
    does(&["deny", "3"]);
    assert_eq!(waiting.exit(SOON), 5);
    does(&["grant", "1", "control"]);
    does(&["pause"]);
    does(&["resume"]);
    does(&["say", "hello"]);
    holds("it is told", SOON, || staying.stdout().contains("\"notice\""));
    does(&["kick", "1"]);
    assert_eq!(staying.exit(SOON), 5);
    holds("both have left", SOON, || host.events("member_left") == 2);
    does(&["stop"]);
    assert_eq!(host.process.exit(SOON), 0);

    let shared = are_told_as_documented(&host.process.stdout(), "### Events of `share --json`");
    for kind in [
        "ready",
        "member_asks",
        "member_decided",
        "member_joined",
        "member_role",
        "member_left",
        "links",
        "paused",
        "path",
        "exit",
    ] {
        assert!(shared.contains(kind), "{kind}: {shared:?}");
    }
    let joined = are_told_as_documented(&staying.stdout(), "### Events of `join --json`");
    for kind in [
        "check",
        "path",
        "first_screen",
        "role",
        "member_joined",
        "member_role",
        "member_types",
        "member_left",
        "paused",
        "notice",
        "exit",
    ] {
        assert!(joined.contains(kind), "{kind}: {joined:?}");
    }
    are_told_as_documented(&waiting.stdout(), "### Events of `join --json`");

    let fields = table("## status");
    let names = |fields: &Value| fields.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let has = |name: &String| fields.iter().any(|(named, _)| named.contains(&name.as_str()));
    assert!(names(&status).iter().all(has), "{status}");
    for list in ["members", "asking"] {
        let (_, row) = fields.iter().find(|(named, _)| *named == [list]).expect("a row");
        let documented = code(row);
        let undocumented = |name: &String| !documented.contains(&name.as_str());
        let missing: Vec<_> = names(&status[list][0]).into_iter().filter(undocumented).collect();
        assert!(missing.is_empty(), "{list}: {missing:?} are not in the manual");
    }
}

#[test]
fn events_that_a_session_rarely_tells_are_in_the_manual_too() {
    let dropped = r#"{"type":"dropped","count":3}"#;
    for heading in ["### Events of `share --json`", "### Events of `join --json`"] {
        are_told_as_documented(dropped, heading);
    }
    let ended = "{\"type\":\"recording_ended\",\"cause\":\"x\"}\n{\"type\":\"audit_ended\",\"cause\":\"x\"}";
    are_told_as_documented(ended, "### Events of `share --json`");
}
