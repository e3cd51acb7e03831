//! A join is fast, and a thousand of them leave nothing behind. Alone in this file, and one at a time, since they
//! measure.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use beach_tests::real::{Host, Process, Running as _, Scratch, holds, join};

const SOON: Duration = Duration::from_secs(10);

static ALONE: Mutex<()> = Mutex::new(());

/// Joins that are measured, one after the other.
const ALONE_JOINS: usize = 40;

/// DTLS repeats a lost datagram after 750 ms at the earliest. Loopback loses nothing, so in a join that takes this long
/// beach itself dropped a datagram. One in forty may have met a busy machine.
const STALLED_MILLIS: u64 = 700;

/// Joins of one host, and how many at a time.
const JOINS: usize = 1000;
const AT_ONCE: usize = 8;

/// By then every one-time allocation is done.
const SETTLED_AFTER: usize = 200;

#[test]
fn a_join_on_this_machine_shows_the_first_screen_in_less_than_150_ms() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for _ in 0..ALONE_JOINS {
        let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
        let (line, at) = viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        outside.push(at - viewer.started());
        let event: serde_json::Value = serde_json::from_str(&line).expect("events are JSON");
        inside.push(event["at_ms"].as_u64().expect("an event has a time"));
        viewer.write("~.");
        assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
        tells_its_stages(&viewer.stdout());
    }

    inside.sort_unstable();
    outside.sort_unstable();
    let (median, worst) = (outside[outside.len() / 2], outside[outside.len() - 1]);
    let median_inside = inside[inside.len() / 2];
    eprintln!("first screen: median {median:?} with the process' start, {median_inside} ms without; worst {worst:?}");
    assert!(median < Duration::from_millis(150), "{outside:?}");
    let stalled = inside.iter().filter(|millis| **millis > STALLED_MILLIS).count();
    assert!(stalled <= 1, "{stalled} joins waited for something that was lost: {inside:?}");
}

/// Stages in their order, with times that do not run backwards, and the path.
#[track_caller]
fn tells_its_stages(stdout: &str) {
    let events: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("events are JSON")).collect();
    let stages: Vec<&str> = events.iter().filter_map(|event| event["stage"].as_str()).collect();
    let all =
        ["reaching rendezvous", "authenticating", "waiting for the offer", "checking paths", "securing", "connected"];
    let mut rest = stages.iter();
    assert!(all.iter().all(|stage| rest.any(|there| there == stage)), "{stages:?}");
    let times: Vec<u64> = events.iter().filter_map(|event| event["at_ms"].as_u64()).collect();
    assert!(times.is_sorted() && times.len() >= all.len(), "{times:?}");
    let path = events.iter().find(|event| event["type"] == "path").expect("the path is told");
    assert!(path["kind"] == "direct" && path["remote"].is_string() && path["local"].is_string(), "{path}");
    assert!(stdout.lines().all(|line| line.starts_with("{\"type\":")), "`type` comes first:\n{stdout}");
}

#[test]
fn a_thousand_joins_and_leaves_later_the_host_is_as_small_as_before() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let files_at_first = host.open_files();
    let started = Instant::now();

    join_and_leave(&scratch, &host, SETTLED_AFTER);
    let settled = host.resident_bytes();
    join_and_leave(&scratch, &host, JOINS - SETTLED_AFTER);
    let last = host.resident_bytes();

    let kib = |bytes: u64| bytes / 1024;
    eprintln!(
        "{JOINS} joins in {:?}; {} KiB after {SETTLED_AFTER}, {} KiB after all",
        started.elapsed(),
        kib(settled),
        kib(last)
    );
    assert!(last * 5 <= settled * 6, "the host grew from {settled} to {last} bytes");
    assert_eq!(host.open_files(), files_at_first, "files that stayed open");
    assert_eq!(host.events("member_joined"), JOINS);
}

/// Joins `count` times, and waits until the host knows that all have left.
fn join_and_leave(scratch: &Scratch, host: &Host, count: usize) {
    let left_before = host.events("member_left");
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for _ in 0..count / AT_ONCE {
                    let mut viewer = Process::start(&mut join(scratch, &["--json", &host.links.control]));
                    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
                    viewer.write("~.");
                    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
                }
            });
        }
    });
    holds("the host knows that all have left", SOON * 2, || host.events("member_left") == left_before + count);
}
