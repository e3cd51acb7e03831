//! Many viewers, viewers that may only watch, and viewers that type fast.

use std::time::{Duration, Instant};

use beach_tests::real::{Host, Process, Running as _, Scratch, Signal, Tmux, holds, in_three_lines, join};

const SOON: Duration = Duration::from_secs(10);
const SIZE: (u16, u16) = (80, 24);

/// How many are there at once.
const MOST: usize = 100;

const JOINED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn not_one_byte_typed_by_a_viewer_with_a_view_link_reaches_the_program() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; printf 'READY'; exec cat > typed"]);
    let watching = tmux.pane("watching", SIZE, &format!("exec beach join '{}'", host.links.view));
    watching.shows("READY", SOON);
    let mut piped = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    piped.line("the first screen", SOON, |line| line.contains("\"view\""));

    watching.types("t");
    watching.shows("read-only", SOON);
    watching.types("yped by who may not");
    watching.presses("Enter");
    watching.presses("C-c");
    piped.write("typed by a script\r");

    // What the one who may type says, comes through: so the others' would have, by now.
    let mut typing = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    typing.line("the first screen", SOON, |line| line.contains("\"control\""));
    typing.write("mine");
    holds("what the one who may type typed", SOON, || !scratch.read("typed").is_empty());
    assert_eq!(scratch.read("typed"), "mine");
    assert!(piped.is_running() && watching.ended().is_none(), "watching goes on");
}

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

#[test]
fn five_thousand_characters_typed_at_once_arrive_in_order() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; printf 'READY'; exec cat > typed"]);
    let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
    viewer.shows("READY", SOON);
    let text: String = (0..5000u32).map(|at| char::from(b'a' + u8::try_from(at * 7 % 26).expect("a letter"))).collect();

    viewer.types(&text);
    holds("what was typed", SOON, || scratch.read("typed").len() >= text.len());
    assert!(scratch.read("typed") == text, "what was typed arrived otherwise");

    let lines: String = (0..100u32).map(|line| format!("line {line} {}\n", "x".repeat(43))).collect();
    viewer.pastes(&scratch.write("pasted", &lines));
    let expected = text + &lines.replace('\n', "\r");
    holds("what was pasted", SOON, || scratch.read("typed").len() >= expected.len());
    assert!(scratch.read("typed") == expected, "what was pasted arrived otherwise");
}

#[test]
fn five_thousand_characters_pasted_at_once_into_a_shell_arrive_in_order() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "printf 'READY\\n'; exec cat > typed"]);
    let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
    viewer.shows("READY", SOON);
    let lines: String = (0..100u32).map(|line| format!("line {line} {}\n", "y".repeat(43))).collect();

    viewer.pastes(&scratch.write("pasted", &lines));

    holds("what was pasted", SOON, || scratch.read("typed").len() >= lines.len());
    assert!(scratch.read("typed") == lines, "what was pasted arrived otherwise");
    viewer.shows("line 99", SOON);
}

#[test]
fn ctrl_c_of_a_viewer_stops_a_flood() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
    viewer.shows("$", SOON);
    viewer.types_line("yes");
    holds("the flood", SOON, || viewer.rows().iter().filter(|row| *row == "y").count() > 20);

    let started = Instant::now();
    viewer.presses("C-c");
    holds("the prompt", SOON, || viewer.rows().iter().any(|row| row.contains("^C") || row.contains('$')));
    eprintln!("the flood stopped on the viewer's screen after {:?}", started.elapsed());
    viewer.types_line("clear; echo alive-$((1+1))");

    viewer.shows("alive-2", SOON);
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
}

#[test]
fn a_viewer_that_is_killed_is_missed_and_its_place_is_free_again() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--keep", "2"], &["cat"]);
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));

    let started = Instant::now();
    viewer.signal(Signal::KILL);

    holds("the host misses it", Duration::from_secs(25), || host.events("member_away") == 1);
    holds("its place is free", SOON, || host.events("member_left") == 1);
    eprintln!("a killed viewer was missed after {:?}", started.elapsed());
}

#[test]
fn a_viewer_that_was_stopped_is_back_two_seconds_after_it_goes_on() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; exec cat > typed"]);
    let mut viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let stopped = Instant::now();
    viewer.signal(Signal::STOP);
    holds("the host misses it", Duration::from_secs(25), || host.events("member_away") == 1);
    // `BEACH_STOPPED=300` for the figure in docs/PATHS.md.
    let longer = std::env::var("BEACH_STOPPED").ok().and_then(|seconds| seconds.parse().ok());
    std::thread::sleep(Duration::from_secs(longer.unwrap_or(0)).saturating_sub(stopped.elapsed()));

    viewer.signal(Signal::CONT);
    viewer.write("typed after it");

    let started = Instant::now();
    holds("it is back", Duration::from_secs(5), || scratch.read("typed") == "typed after it");
    let took = started.elapsed();
    eprintln!("back after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!((host.events("member_joined"), host.events("member_back")), (1, 1));
}
