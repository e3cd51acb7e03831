//! Output of beach never blocks or ends a session: readers that stop, full disks, limits of the system.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use beach_tests::real::{Process, Scratch, beach, eventually, in_three_lines, join, share, skipped};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// A process that is killed when the test ends, and whose stdout is read by the test alone.
struct Unread {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Unread {
    fn start(command: &mut Command) -> Unread {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("it starts");
        let stdout = child.stdout.take().map(BufReader::new);
        Unread { child, stdout }
    }

    /// The next line of stdout; what follows is not waited for.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("stdout is a pipe").read_line(&mut line).expect("a line comes");
        line
    }
}

fn socket(scratch: &Scratch) -> PathBuf {
    eventually("the control socket", SOON, || {
        let folder = std::fs::read_dir(scratch.file(".local/state/beach")).ok()?;
        folder.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|ext| ext == "sock"))
    })
}

/// Asks a share one thing, as `beach` does, without the cost of a process.
fn ask(socket: &Path, what: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(format!("{{\"ask\":\"{what}\"}}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_reader_of_events_that_stops_reading_does_not_stop_the_session_and_learns_how_much_it_missed() {
    const ROTATIONS: u64 = 1600;
    let scratch = Scratch::new();
    let mut host = Unread::start(&mut share(&scratch, &["--json"], &["cat"]));
    assert!(host.line().contains(r#""type":"ready""#));
    let socket = socket(&scratch);

    // More events than a pipe and the queue in front of it hold.
    for count in 0..ROTATIONS {
        let answer = ask(&socket, "rotate").unwrap_or_else(|error| panic!("after {count} events: {error}"));
        assert!(answer.contains("done"), "after {count} events: {answer:?}");
    }
    let stdout = host.stdout.take().expect("nobody else reads");
    let reader = std::thread::spawn(move || {
        let lines = stdout.lines().map(|line| line.expect("text"));
        lines.map(|line| serde_json::from_str(&line).expect("whole objects")).collect::<Vec<Value>>()
    });
    ask(&socket, "stop").expect("it answers");

    let events = reader.join().expect("no panic");
    let of = |kind: &'static str| events.iter().filter(move |event| event["type"] == kind);
    let dropped: u64 = of("dropped").map(|event| event["count"].as_u64().expect("a number")).sum();
    assert!(dropped > 0, "{} events", events.len());
    assert_eq!(of("links").count() as u64 + dropped, ROTATIONS);
    assert_eq!(events.last().map(|event| event["type"].clone()), Some("exit".into()));
}

/// `beach ARGS`, run to its end by a shell that does this first.
fn after(scratch: &Scratch, first: &str, command: &Command) -> Command {
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("{first}; exec \"$@\""), "bash"]).arg(command.get_program()).args(command.get_args());
    limited.current_dir(scratch.folder()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

#[test]
fn what_cannot_be_said_on_a_full_disk_ends_nothing() {
    let scratch = Scratch::new();
    let full = "exec 2> /dev/full";
    let exit = |command: &Command| Process::start(&mut after(&scratch, full, command)).exit(SOON);
    assert_eq!(exit(&share(&scratch, &["--linger", "0"], &["sh", "-c", "exit 3"])), 3);
    assert_eq!(exit(&share(&scratch, &["--json", "--record", "/nowhere/x"], &["true"])), 2);
    assert_eq!(exit(&beach(&scratch, &["join", "no link"])), 2);
    assert_eq!(exit(&beach(&scratch, &["stop"])), 4);
    let mut serve = Process::start(&mut after(&scratch, full, &beach(&scratch, &["serve", "--listen", ":0"])));
    let limit = after(&scratch, "true", &beach(&scratch, &["serve", "--listen", "nonsense"]));
    assert_eq!(exit(&limit), 2);
    assert!(serve.is_running());
}

#[test]
fn too_few_open_files_are_an_error_in_three_lines() {
    let scratch = Scratch::new();
    let link = "http://127.0.0.1:1/s/AAAAAAAAAAAAAAAAAAAAAA#1c.AAAAAAAAAAAAAAAAAAAAAA";
    let commands = [
        share(&scratch, &["--linger", "0"], &["true"]),
        join(&scratch, &[link]),
        beach(&scratch, &["serve", "--listen", "127.0.0.1:0"]),
    ];
    for (command, limit) in commands.iter().flat_map(|command| [6, 7, 9, 12, 20].map(|limit| (command, limit))) {
        let mut process = Process::start(&mut after(&scratch, &format!("ulimit -n {limit}"), command));
        assert_eq!(process.exit(SOON), 1, "{command:?}, {limit}: {}", process.stderr());
        in_three_lines(&process.stderr());
    }
}

#[test]
fn a_limit_on_the_size_of_files_ends_the_recording_and_not_the_session_nor_is_it_lifted_for_the_command() {
    let scratch = Scratch::new();
    let printing =
        "head -c 20000 /dev/zero | tr '\\0' x; echo; head -c 20000 /dev/zero > large; echo $? > code; exit 4";
    let shared = share(&scratch, &["-q", "--record", "full.cast", "--linger", "0"], &["sh", "-c", printing]);
    let mut process = Process::start(&mut after(&scratch, "ulimit -f 8", &shared));
    assert_eq!(process.exit(SOON), 4, "{}", process.stderr());
    assert!(process.stderr().contains("the recording ended early"), "{}", process.stderr());
    // 128 + SIGXFSZ: the command has the limit's usual effect.
    assert_eq!(scratch.read("code").trim(), "153");
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_warning() {
    let scratch = Scratch::new();
    // Which not even root can read.
    std::os::unix::fs::symlink(".config", scratch.file(".config")).expect("a loop");
    let mut process = Process::start(&mut share(&scratch, &["--linger", "0", "-q"], &["sh", "-c", "exit 3"]));
    assert_eq!(process.exit(SOON), 3, "{}", process.stderr());
    let said = process.stderr();
    assert!(said.starts_with("warning: cannot read the configuration file") && said.contains(".config"), "{said}");
}

#[test]
fn a_system_without_pseudo_terminals_is_not_the_commands_fault() {
    let scratch = Scratch::new();
    let hidden = Command::new("unshare").args(["-rm", "true"]).status();
    if !hidden.is_ok_and(|status| status.success()) {
        skipped("/dev/pts cannot be hidden on this machine");
        return;
    }
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev/pts; exec \"$@\"";
    let inner = after(&scratch, "true", &share(&scratch, &["-q"], &["true"]));
    command.args(["-rm", "bash", "-c", script, "bash"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(scratch.folder()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process::start(&mut command);
    assert_eq!(process.exit(SOON), 1, "{}", process.stderr());
    in_three_lines(&process.stderr());
    assert!(process.stderr().contains("gave no pseudo-terminal"), "{}", process.stderr());
}
