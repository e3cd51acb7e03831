//! `beach` itself: hosts, viewers and a rendezvous, as processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::binary::binary;
use super::process::{Process, Running};
use super::scratch::Scratch;

/// The link is there within this time.
pub(super) const LINK_WITHIN: Duration = Duration::from_secs(2);

/// An environment without the settings of the person who runs the tests.
pub(super) fn clean(command: &mut Command, home: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home).env("USER", "tester").env("LANG", "C.UTF-8");
    command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env("PS1", "$ ").current_dir(home);
    // A shell that is hung up would write its history into a folder that is being removed.
    command.env("HISTFILE", "/dev/null");
}

/// `beach ARGS`, in a clean environment.
pub fn beach(scratch: &Scratch, args: &[&str]) -> Command {
    beach_of(binary(), scratch, args)
}

/// `ARGS` of a `beach` other than the one under test.
pub fn beach_of(program: &Path, scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    clean(&mut command, scratch.folder());
    command.args(args);
    command
}

/// `beach join ARGS`.
pub fn join(scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = beach(scratch, &["join"]);
    command.args(args);
    command
}

/// `beach share --headless` on a free port, with a log.
pub fn share(scratch: &Scratch, options: &[&str], shared: &[&str]) -> Command {
    let mut command = beach(scratch, &["share", "--headless", "--log-file", "host.log"]);
    if !options.contains(&"--server") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(options).arg("--").args(shared);
    command
}

/// The two links of a session.
#[derive(Clone, Debug)]
pub struct Links {
    /// May type.
    pub control: String,
    /// May watch.
    pub view: String,
}

impl Links {
    /// The links in the text for people that `share` prints.
    ///
    /// # Panics
    /// If they are not there.
    pub fn in_text(text: &str) -> Option<Links> {
        let find = |kind: &str| {
            let mut words = text.split_whitespace().map(|word| word.trim_matches('\''));
            words.find(|word| word.starts_with("http://") && word.contains(kind)).map(str::to_owned)
        };
        Some(Links { control: find("#1c.").or_else(|| find("#c"))?, view: find("#1v.").or_else(|| find("#v"))? })
    }
}

/// A headless `beach share --json`.
pub struct Host {
    /// The process.
    pub process: Process,
    /// Its links.
    pub links: Links,
    /// Its log.
    pub log: PathBuf,
}

impl Host {
    /// Starts one, and waits for its links.
    ///
    /// # Panics
    /// If there are none in time.
    #[track_caller]
    pub fn start(scratch: &Scratch, options: &[&str], shared: &[&str]) -> Host {
        let options: Vec<&str> = ["--json"].into_iter().chain(options.iter().copied()).collect();
        Host::run(scratch, &mut share(scratch, &options, shared))
    }

    /// As [`Host::start`], for a command made elsewhere, which must say `--json`.
    ///
    /// # Panics
    /// If there are no links in time.
    #[track_caller]
    pub fn run(scratch: &Scratch, command: &mut Command) -> Host {
        let process = Process::start(command);
        let (line, at) = process.line("the links", LINK_WITHIN * 5, |line| line.contains("\"ready\""));
        let ready: Value = serde_json::from_str(&line).expect("events are JSON");
        let took = at - process.started();
        assert!(took < LINK_WITHIN, "the links took {took:?}");
        let link = |name: &str| ready[name].as_str().expect("a link is a text").to_owned();
        let links = Links { control: link("join"), view: link("view") };
        Host { process, links, log: scratch.file("host.log") }
    }

    /// How many events of this type it has reported.
    pub fn events(&self, kind: &str) -> usize {
        let kind = format!("{{\"type\":\"{kind}\"");
        self.process.stdout().lines().filter(|line| line.starts_with(&kind)).count()
    }
}

impl Running for Host {
    fn id(&self) -> u32 {
        self.process.id()
    }
}

/// `beach serve`.
pub struct Rendezvous {
    /// The process.
    pub process: Process,
    /// `http://host:port`, or with https.
    pub url: String,
}

impl Rendezvous {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If it does not say where it is in time.
    #[track_caller]
    pub fn start(scratch: &Scratch, options: &[&str]) -> Rendezvous {
        let mut command = beach(scratch, &["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"]);
        let process = Process::start(command.args(options));
        let url = super::wait::eventually("the address of the rendezvous", LINK_WITHIN * 2, || process.url());
        Rendezvous { process, url }
    }
}

/// Checks that an error is told in exactly three lines, in words for people.
///
/// # Panics
/// If not.
#[track_caller]
pub fn in_three_lines(stderr: &str) {
    let lines: Vec<&str> = stderr.lines().collect();
    let begins = ["error: ", "  cause: ", "  try:   "];
    let right = lines.len() == 3
        && lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin) && line.len() > begin.len());
    assert!(right, "not the three lines of an error:\n{stderr}");
    for never in ["panicked", "{ ", "Some(", "None", "Err(", "Error {", "::", "\u{1b}", "NoAnswer", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(never), "{never:?} is nothing for people:\n{stderr}");
    }
}

/// Runs a command to its end, checks the code and the three lines, and returns stderr and how long it took.
///
/// # Panics
/// If the code is another, or the error is told otherwise.
#[track_caller]
pub fn ended_in_three_lines(command: &mut Command, code: i32, within: Duration) -> (String, Duration) {
    let mut process = Process::start(command);
    let started = Instant::now();
    let ended = process.exit(within);
    let took = started.elapsed();
    assert_eq!(ended, code, "the exit code; stderr:\n{}", process.stderr());
    in_three_lines(&process.stderr());
    (process.stderr(), took)
}
