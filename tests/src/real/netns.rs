//! The rights to make network namespaces: root has them; an ordinary user gets them inside a user namespace.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::skips::skipped;

/// `ip netns` writes to /run, which belongs to root, so the user namespace has its own /run. `cat` ends when its stdin
/// is closed, which happens when the test program ends.
const HOLD: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready && exec cat";

/// Where the rights come from.
enum Rights {
    /// The tests run as root.
    Root,
    /// From the user namespace that this process holds open.
    Inside(Holder),
    /// There are none: the kernel refused, with this reason.
    Refused(String),
}

/// A process that holds the user namespace open while the test program runs.
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

/// Whether the calling test may make network namespaces. If not, the test is skipped.
///
/// # Panics
/// If the test is skipped in CI.
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

/// A command that runs `program` with the rights to make network namespaces. Unless the caller is root, `program`
/// starts in `/`.
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
