//! The resources of one run: programs, a folder, keys, and the lines to measure.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::args::Options;
use crate::client::send;
use crate::plan::Plan;
use crate::program::Program;
use crate::rows::Row;
use crate::system::System;

/// A process that is told to end gets this long.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A `beach` to measure.
#[derive(Clone)]
pub(crate) struct Binary {
    /// The program.
    pub(crate) path: PathBuf,
    /// The flags of its `join` that switch its own texts off.
    pub(crate) join_flags: Vec<&'static str>,
}

impl Binary {
    fn new(path: &Path) -> Result<Binary> {
        let path = path.canonicalize().with_context(|| format!("{}: build it first", path.display()))?;
        let help = said(Command::new(&path).args(["join", "--help"]))?;
        let join_flags = if help.contains("--predict") { vec!["--predict", "never"] } else { Vec::new() };
        Ok(Binary { path, join_flags })
    }
}

/// A run of a system.
pub(crate) struct Lab {
    /// `beach`.
    pub(crate) beach: Binary,
    /// The other one that it is compared with.
    pub(crate) against: Option<Binary>,
    /// This program.
    me: PathBuf,
    /// A folder of its own, which goes with it.
    pub(crate) folder: PathBuf,
    /// How thoroughly.
    pub(crate) plan: Plan,
    /// Whether the figures mean nothing.
    pub(crate) short: bool,
    /// Which rows.
    pub(crate) rows: Vec<Row>,
    /// Which systems.
    pub(crate) systems: Vec<System>,
    /// Whether the run fails if a row is not possible on this machine.
    pub(crate) require: bool,
    /// Of the pauses between keys, and of what the link drops.
    pub(crate) seed: u64,
    /// Where the table is written.
    pub(crate) written: Option<PathBuf>,
    next: AtomicU32,
}

impl Lab {
    /// Finds the programs and makes the keys.
    pub(crate) fn new(options: &Options) -> Result<Lab> {
        let me = std::env::current_exe()?;
        let beach = Binary::new(&options.beach.clone().unwrap_or_else(|| me.with_file_name("beach")))?;
        let against = options.against.as_deref().map(Binary::new).transpose()?;
        let folder = std::env::temp_dir().join(format!("beach-bench-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
        let lab = Lab {
            beach,
            systems: systems(options),
            plan: plan(options),
            against,
            me,
            folder,
            short: options.short,
            rows: Row::ALL
                .iter()
                .copied()
                .filter(|row| options.only.is_empty() || options.only.contains(row))
                .collect(),
            require: options.require,
            seed: options.seed,
            written: options.write.clone(),
            next: AtomicU32::new(0),
        };
        for key in ["host_key", "user_key"] {
            said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(lab.folder.join(key)))?;
        }
        fs::copy(lab.folder.join("user_key.pub"), lab.folder.join("authorized_keys"))?;
        Ok(lab)
    }

    /// A program in a clean environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", &self.folder).current_dir(&self.folder);
        command
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("SHELL", "/bin/sh");
        command
    }

    /// The words that start the program in the shared terminal.
    pub(crate) fn words(&self, program: Program) -> Vec<String> {
        [self.me.display().to_string()].into_iter().chain(program.arguments()).collect()
    }

    /// The `beach` of a system, if the system is beach.
    pub(crate) fn binary(&self, system: System) -> &Binary {
        self.against.as_ref().filter(|_| system == System::Against).unwrap_or(&self.beach)
    }

    /// A number that no other thing has.
    pub(crate) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Which systems: those that were asked for, or all; of two beaches only these, unless others were asked for.
fn systems(options: &Options) -> Vec<System> {
    let is_chosen = |system: &System| match (system, &options.against) {
        (System::Against, against) => against.is_some(),
        (System::Beach, Some(_)) => true,
        (system, Some(_)) => options.systems.contains(system),
        (system, None) => options.systems.is_empty() || options.systems.contains(system),
    };
    System::ALL.into_iter().filter(is_chosen).collect()
}

fn plan(options: &Options) -> Plan {
    let plan = if options.short { Plan::SHORT } else { Plan::FULL };
    let by_itself = (options.against.is_some() && !options.short).then_some(Plan::ROUNDS_AGAINST);
    options.rounds.map(usize::from).or(by_itself).map_or(plan, |rounds| plan.with_rounds(rounds))
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command to its end, and returns what it said, on stdout and on stderr.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{command:?}: {}", text.trim());
    }
    Ok(text.into_owned())
}

/// A process in the background. Dropping the value ends the process.
pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        send(self.0.id(), Signal::TERM);
        let deadline = Instant::now() + END_WITHIN;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.0.kill();
                let _ = self.0.wait();
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
