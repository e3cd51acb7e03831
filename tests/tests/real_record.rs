//! `share --record`: files for players, with the program's output and the viewers who came and went.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{
    Host, Process, Running as _, Scratch, Signal, Tmux, ended_in_three_lines, eventually, holds, join, share,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

/// Header and events of a recording; every line must be JSON.
fn read(scratch: &Scratch, name: &str) -> (Value, Vec<(f64, String, String)>) {
    let text = scratch.read(name);
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let header = lines.next().expect("a recording has a header");
    let event = |line: Value| {
        let (code, data) = (line[1].as_str().expect("a code"), line[2].as_str().expect("data"));
        (line[0].as_f64().expect("a time"), code.to_owned(), data.to_owned())
    };
    (header, lines.map(event).collect())
}

fn data(events: &[(f64, String, String)], code: &str) -> Vec<String> {
    events.iter().filter(|event| event.1 == code).map(|event| event.2.clone()).collect()
}

#[test]
fn a_session_is_recorded_with_its_output_its_viewers_and_its_exit() {
    let scratch = Scratch::new();
    let script = "stty -echo; echo ready; read -r _; printf 'h\\303\\251 \\033[1m\\344\\270\\255'; exit 3";
    let mut host = Host::start(&scratch, &["--record", "it.cast", "--linger", "0"], &["sh", "-c", script]);
    let watching = Process::start(&mut join(&scratch, &["-q", &host.links.view]));
    holds("somebody who watches", SOON, || host.events("member_joined") == 1);
    watching.signal(Signal::TERM);
    holds("who leaves", SOON, || host.events("member_left") == 1);
    let mut typing = Process::start(&mut join(&scratch, &["-q", &host.links.control]));
    holds("somebody who types", SOON, || host.events("member_joined") == 2);

    typing.write("\n");
    assert_eq!(host.process.exit(SOON), 3);

    let (header, events) = read(&scratch, "it.cast");
    assert_eq!(
        (&header["version"], &header["term"]),
        (&json!(3), &json!({"cols":80,"rows":24,"type":"xterm-256color"}))
    );
    assert!(header["timestamp"].as_u64().is_some_and(|seconds| seconds > 1_700_000_000), "{header}");
    assert_eq!(data(&events, "o").concat(), "ready\r\nhé \x1b[1m中");
    let markers = ["\"tester\" joined (view)", "\"tester\" left", "\"tester\" joined (control)", "\"tester\" left"];
    assert_eq!(data(&events, "m"), markers);
    assert_eq!(events.last().map(|event| (event.1.as_str(), event.2.as_str())), Some(("x", "3")));
    assert!(events.iter().all(|event| (0.0..30.0).contains(&event.0)), "{events:?}");
    let mode = std::fs::metadata(scratch.file("it.cast")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_that_exists_is_not_touched() {
    let scratch = Scratch::new();
    scratch.write("old.cast", "precious");
    let (stderr, _) = ended_in_three_lines(&mut share(&scratch, &["--record", "old.cast"], &["true"]), 2, SOON);
    assert!(stderr.contains("File exists"), "{stderr}");
    assert_eq!(scratch.read("old.cast"), "precious");
}

#[test]
fn a_recording_is_whole_when_the_session_is_terminated_and_readable_when_it_is_killed() {
    let scratch = Scratch::new();
    let printed = |name| scratch.read(name).contains("\"o\",\"printed");
    let shared = ["sh", "-c", "echo printed; exec sleep 100"];
    let mut terminated = Host::start(&scratch, &["--record", "term.cast"], &shared);
    let killed = Host::start(&scratch, &["--record", "kill.cast"], &shared);
    holds("the output in both files", SOON, || printed("term.cast") && printed("kill.cast"));

    terminated.process.signal(Signal::TERM);
    killed.process.signal(Signal::KILL);

    assert_eq!(terminated.process.exit(SOON), 143);
    let (_, events) = read(&scratch, "term.cast");
    assert_eq!(events.last().map(|event| (event.1.as_str(), event.2.as_str())), Some(("x", "143")));
    assert_eq!(data(&read(&scratch, "kill.cast").1, "o").concat(), "printed\r\n");
}

#[test]
fn a_disk_that_is_full_ends_the_recording_and_not_the_session() {
    let scratch = Scratch::new();
    // A file that may not become larger fails like a disk that is full, if the signal that would kill is ignored.
    let limits = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let printing = "head -c 20000 /dev/zero | tr '\\0' x; echo; exit 4";
    let shared = share(&scratch, &["-q", "--record", "full.cast", "--linger", "0"], &["sh", "-c", printing]);
    let mut limited = Command::new("sh");
    limited.args(["-c", limits, "sh"]).arg(shared.get_program()).args(shared.get_args()).current_dir(scratch.folder());
    limited.env_clear().envs(shared.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (stderr, _) = ended_in_three_lines(&mut limited, 4, SOON);
    assert!(stderr.contains("the recording ended early"), "{stderr}");
}

#[test]
fn a_resized_terminal_is_recorded_without_the_links() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let script = "tty > where; beach share --listen 127.0.0.1:0 --record own.cast -- sh -c 'echo begun; read -r _'";
    let pane = tmux.pane("host", (80, 24), script);
    pane.shows("begun", SOON);

    let terminal = scratch.read("where");
    let resized = Command::new("stty").args(["-F", terminal.trim(), "cols", "90", "rows", "30"]).status();
    assert!(resized.expect("stty is there").success());
    eventually("the new size", SOON, || scratch.read("own.cast").contains("\"90x30\"").then_some(()));
    pane.presses("Enter");
    assert_eq!(pane.end(SOON), 0);

    let (header, events) = read(&scratch, "own.cast");
    assert_eq!((&header["term"]["cols"], &header["term"]["rows"]), (&json!(80), &json!(24)));
    // stty changes the columns first, and then the rows: whether that is one change or two is a matter of moments.
    let sizes = data(&events, "r");
    assert!(sizes == ["90x30"] || sizes == ["90x24", "90x30"], "{sizes:?}");
    let output = data(&events, "o").concat();
    assert!(output.starts_with("begun\r\n") && !output.contains("http"), "{output:?}");
}

#[test]
fn asciinema_plays_what_the_program_printed() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    // Longer than any read, so that characters are cut in all places.
    let raw: String = (0..20_000).map(|n| format!("\x1b[3{}m{n} é中🦀\r\n\t", n % 8)).collect();
    scratch.write("raw", &raw);
    let options = ["--record", "it.cast", "--record-format", "v2", "--linger", "0"];
    let mut host = Host::start(&scratch, &options, &["sh", "-c", "stty -opost; cat raw"]);
    assert_eq!(host.process.exit(SOON), 0);

    // The player requires a terminal.
    let pane = tmux.pane("player", (80, 24), "asciinema cat it.cast > played");
    assert_eq!(pane.end(SOON), 0);

    assert_eq!(read(&scratch, "it.cast").0["version"], json!(2));
    assert!(scratch.read("played") == raw, "what is played is not what was printed");
}
