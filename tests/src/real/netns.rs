//! Where network namespaces are made: by root as they are, by an ordinary user inside a user namespace of their own.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::skips::skipped;

/// `ip netns` keeps its names under /run, which an ordinary user cannot write to. The shell waits until its stdin is closed, which the
/// end of the test program does.
const HOLD: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready && exec cat";

/// By whose rights network namespaces are made.
enum Rights {
    /// Root's.
    Root,
    /// Those of the user namespace that this process holds open.
    Inside(Holder),
    /// Nobody's: the kernel refuses, with this reason.
    Refused(String),
}

/// A process in the user namespace, for as long as the test program runs.
struct Holder {
    process: Child,
    _stdin: Option<ChildStdin>,
}

fn rights() -> &'static Rights {
    static RIGHTS: OnceLock<Rights> = OnceLock::new();
    RIGHTS.get_or_init(|| {
        if rustix::process::geteuid().is_root() {
            return Rights::Root;
        }
        match Holder::start() {
            Ok(holder) => Rights::Inside(holder),
            Err(why) => Rights::Refused(why),
        }
    })
}

impl Holder {
    fn start() -> Result<Holder, String> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", HOLD]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        if let Some(stdout) = process.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut said);
        }
        if said == "ready\n" {
            return Ok(Holder { _stdin: process.stdin.take(), process });
        }
        let output = process.wait_with_output().map_err(|error| error.to_string())?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Whether tests may make network namespaces. If not, the one that asks is skipped.
///
/// # Panics
/// If it is skipped in CI.
pub(crate) fn permitted() -> bool {
    if env::var_os("BEACH_SKIP_NETNS").is_some_and(|value| value == "1") {
        skipped("no network namespaces, by BEACH_SKIP_NETNS=1");
        return false;
    }
    match rights() {
        Rights::Root | Rights::Inside(_) => true,
        Rights::Refused(why) => {
            skipped(&format!("no network namespaces without root on this machine ({why})"));
            false
        }
    }
}

/// `program`, where it may make network namespaces. It begins in another folder than its caller's, unless that is root.
pub(crate) fn with_rights(program: impl AsRef<OsStr>) -> Command {
    match rights() {
        Rights::Root | Rights::Refused(_) => Command::new(program),
        Rights::Inside(holder) => {
            let mut command = Command::new("nsenter");
            command.args(["--target", &holder.process.id().to_string()]);
            command.args(["--user", "--preserve-credentials", "--net", "--mount", "--"]).arg(program);
            command
        }
    }
}

pub(crate) fn run(command: &mut Command) {
    let advice =
        "network namespaces need iproute2, iptables, and root or user namespaces; BEACH_SKIP_NETNS=1 skips these tests";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\n{advice}"));
    assert!(output.status.success(), "{command:?}: {}\n{advice}", String::from_utf8_lossy(&output.stderr).trim());
}
