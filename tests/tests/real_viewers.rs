//! Viewers that may only watch, viewers that type fast, and viewers that are gone.

use std::time::{Duration, Instant};

use beach_tests::real::{Host, Process, Rendezvous, Running as _, Scratch, Signal, Tmux, holds, join};

const SOON: Duration = Duration::from_secs(10);
const SIZE: (u16, u16) = (80, 24);

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
    watching.shows("You can only watch. Leave: ~.", SOON);
    watching.types("yped by who may not");
    watching.presses("Enter");
    watching.presses("C-c");
    piped.write("typed by a script\r");

    // The typing of the viewer who may type has arrived, so the others' typing would have arrived by now.
    let mut typing = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    typing.line("the first screen", SOON, |line| line.contains("\"control\""));
    typing.write("mine");
    holds("what the one who may type typed", SOON, || !scratch.read("typed").is_empty());
    assert_eq!(scratch.read("typed"), "mine");
    assert!(piped.is_running() && watching.ended().is_none(), "watching goes on");
}

#[test]
fn viewers_by_a_data_channel_and_by_rtp_type_beside_each_other_and_see_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let link = &host.links.control;
    let by_rtp = tmux.pane("by_rtp", SIZE, &format!("exec beach join '{link}'"));
    let by_channel = tmux.pane("by_channel", SIZE, &format!("exec beach join --by-channel '{link}'"));
    by_rtp.shows("$", SOON);
    by_channel.shows("$", SOON);

    by_channel.types_line("echo one-$((40+1))");
    by_rtp.shows("one-41", SOON);
    by_rtp.types_line("seq 3000; echo two-$((40+2))");
    by_channel.shows("two-42", SOON);
    by_rtp.shows("two-42", SOON);
    assert_eq!(by_channel.rows(), by_rtp.rows());
    assert_eq!(host.events("member_left"), 0);
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
fn a_host_that_is_killed_is_missed_by_idle_viewers_within_three_seconds() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    for (name, options) in [("inside", &[][..]), ("elsewhere", &["--server", &rendezvous.url])] {
        let host = Host::start(&scratch, options, &["cat"]);
        let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));

        let killed = Instant::now();
        host.process.signal(Signal::KILL);

        viewer.line("that it reconnects", Duration::from_secs(20), |line| line.contains("reconnecting"));
        let took = killed.elapsed();
        eprintln!("a killed host with its rendezvous {name} was missed after {took:?}");
        assert!(took <= Duration::from_secs(3), "{name}: {took:?}");
    }
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
