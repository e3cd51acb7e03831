//! Processes: what they say, when, and how they end.

use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::wait::eventually;

/// The output of a stream so far.
type Said = Arc<Mutex<Heard>>;

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// When each line was complete.
    line_ends: Vec<Instant>,
    ended: bool,
}

/// A running process whose output is collected; it is killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    started: Instant,
    stdin: Option<ChildStdin>,
    stdout: Said,
    stderr: Said,
}

/// Something with a process id.
pub trait Running {
    /// The id.
    fn id(&self) -> u32;

    /// Sends it a signal; one that is gone already does not mind.
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        let _ = kill_process(id, signal);
    }

    /// Its resident memory, in bytes.
    ///
    /// # Panics
    /// If it is gone.
    fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.id())).expect("the process runs");
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("statm has numbers");
        pages * rustix::param::page_size() as u64
    }

    /// How often its threads that live have waited, and woken up.
    ///
    /// # Panics
    /// If it is gone.
    fn wake_ups(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("the process runs").flatten();
        let status = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
        let count = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        };
        status.filter_map(count).sum()
    }

    /// How many files it has open.
    ///
    /// # Panics
    /// If it is gone.
    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("the process runs").count()
    }
}

impl Running for Process {
    fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Process {
    /// Starts it, with pipes on all sides.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Process {
        let name = format!("{command:?}");
        let started = Instant::now();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = listen(child.stdout.take().expect("stdout is a pipe"));
        let stderr = listen(child.stderr.take().expect("stderr is a pipe"));
        Process { name, started, stdin: child.stdin.take(), stdout, stderr, child }
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Writes to its stdin; one that no longer reads does not mind.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush());
        }
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// All it has written to stdout.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// All it has written to stderr.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// The first URL on a complete line of stderr, where `beach serve` tells its address. The end of a line that is not
    /// complete may be half of a URL.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let said = self.stderr();
        let (lines, _) = said.rsplit_once('\n')?;
        lines.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
    }

    /// The first complete line on stdout for which this is so, and when it was complete.
    ///
    /// # Panics
    /// If there is none within the time, or the process ends without.
    #[track_caller]
    pub fn line(&self, what: &str, within: Duration, is_it: impl Fn(&str) -> bool) -> (String, Instant) {
        let (text, line) = eventually(what, within, || {
            let heard = self.stdout.lock().expect("the reader does not panic");
            let text = String::from_utf8_lossy(&heard.bytes).into_owned();
            let found = text.lines().zip(&heard.line_ends).find(|(line, _)| is_it(line));
            let found = found.map(|(line, at)| (line.to_owned(), *at));
            (found.is_some() || heard.ended).then_some((text, found))
        });
        line.unwrap_or_else(|| panic!("{what}: {} ended without; it said:\n{text}{}", self.name, self.stderr()))
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end: its exit code, or 128 + signal. All it said is there then.
    ///
    /// # Panics
    /// If it does not end within the time.
    #[track_caller]
    pub fn exit(&mut self, within: Duration) -> i32 {
        let name = format!("the end of {}", self.name);
        let status = eventually(&name, within, || self.child.try_wait().ok().flatten());
        // A grandchild may hold the pipes for ever; what the process itself said is read at once.
        let patience = Instant::now() + Duration::from_secs(1);
        while !(ended(&self.stdout) && ended(&self.stderr)) && Instant::now() < patience {
            thread::sleep(Duration::from_millis(2));
        }
        code(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}\n--- stdout:\n{}--- stderr:\n{}", self.name, self.stdout(), self.stderr());
        }
    }
}

fn listen(mut stream: impl Read + Send + 'static) -> Said {
    let said = Said::default();
    let writer = Arc::clone(&said);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).unwrap_or(0);
            let now = Instant::now();
            let mut heard = writer.lock().expect("nobody panics with it");
            let lines = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
            heard.line_ends.extend(std::iter::repeat_n(now, lines));
            heard.bytes.extend_from_slice(&buffer[..read]);
            if read == 0 {
                heard.ended = true;
                return;
            }
        }
    });
    said
}

fn text(said: &Said) -> String {
    String::from_utf8_lossy(&said.lock().expect("the reader does not panic").bytes).into_owned()
}

fn ended(said: &Said) -> bool {
    said.lock().expect("the reader does not panic").ended
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("a process ends one way or the other")
}

/// The children of a process.
pub fn children_of(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}
