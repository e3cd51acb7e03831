//! A hundred viewers of one host, on as many processors as there are. Alone in its file, so that nothing else is
//! measured meanwhile.

use std::time::{Duration, Instant};

use beach_tests::real::{Host, Process, Scratch, Tmux, holds, in_three_lines, join};

const SOON: Duration = Duration::from_secs(10);
const SIZE: (u16, u16) = (80, 24);

/// How many are there at once.
const MOST: usize = 100;

const JOINED_WITHIN: Duration = Duration::from_secs(20);

/// Numbered lines, 1 MB of them a second for so many seconds, once somebody presses Enter.
const LOG: &str = r#"
import sys, time
seconds = int(sys.argv[1])
out = sys.stdout.buffer
print("READY", flush=True)
input()
start = time.monotonic()
for number in range(seconds * 12500):
    out.write(b"%07d %s\n" % (number, b"y" * 71))
    if number % 125 == 124:
        out.flush()
        time.sleep(max(0, start + (number + 1) / 12500 - time.monotonic()))
print("THE END", flush=True)
input()
"#;

/// As many as one host is asked to bear, on two processors that all of them share.
#[test]
fn a_hundred_viewers_join_within_20_s_see_the_same_through_a_flood_and_thirty_may_leave() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    scratch.write("log.py", LOG);
    let most = MOST.to_string();
    let host = Host::start(&scratch, &["--max-viewers", &most], &["python3", "log.py", "6"]);
    let script = format!("exec beach join '{}'", host.links.control);
    let started = Instant::now();
    let viewers: Vec<_> = (0..MOST).map(|number| tmux.pane(&format!("viewer-{number}"), SIZE, &script)).collect();
    for viewer in &viewers {
        viewer.shows("READY", JOINED_WITHIN.saturating_sub(started.elapsed()));
    }
    let took = started.elapsed();
    eprintln!("{MOST} viewers joined within {took:?}");
    assert!(took < JOINED_WITHIN, "{took:?}");
    assert_eq!(host.events("member_joined"), MOST);
    let mut late = Process::start(&mut join(&scratch, &[&host.links.control]));
    assert_eq!(late.exit(SOON), 5, "{}", late.stderr());
    in_three_lines(&late.stderr());
    assert!(late.stderr().contains("full"), "{}", late.stderr());

    viewers[3].presses("Enter");
    // Everybody sees it run, not only its end.
    for viewer in &viewers {
        holds("the log", SOON, || viewer.rows().iter().any(|row| row.contains(" yyy")));
    }
    for viewer in &viewers {
        viewer.shows("THE END", Duration::from_secs(60));
    }
    let screen = viewers[0].rows();
    for viewer in &viewers {
        holds("the same text", SOON, || viewer.rows() == screen);
    }

    // Thirty of them, from all over.
    let leaving = |number: usize| number * 7 % 100 < 30;
    for (_, viewer) in viewers.iter().enumerate().filter(|(number, _)| leaving(*number)) {
        viewer.types("~.");
    }
    for (_, viewer) in viewers.iter().enumerate().filter(|(number, _)| leaving(*number)) {
        assert_eq!(viewer.end(SOON), 0);
    }
    holds("the host knows who left", SOON, || host.events("member_left") == 30);
    let again = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    again.line("the place of who left is free", SOON, |line| line.contains("first_screen"));
    assert!(viewers.iter().enumerate().all(|(number, viewer)| leaving(number) || viewer.ended().is_none()));
}
