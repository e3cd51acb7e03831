//! An sshd of our own: own port, own keys, own configuration.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::client::send;
use crate::lab::{Daemon, Lab};
use crate::place::Place;
use crate::proc;

/// Longest time until the server listens.
const WITHIN: Duration = Duration::from_secs(10);

/// A running one. Dropping the value ends the sshd and all processes that it started.
pub(crate) struct Sshd {
    daemon: Daemon,
    port: u16,
}

impl Sshd {
    /// Starts one.
    pub(crate) fn start(lab: &Lab, place: Place<'_>) -> Result<Sshd> {
        let number = lab.number();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let file = |name: &str| lab.folder.join(name).display().to_string();
        let (configuration, log) = (file(&format!("sshd-{number}.conf")), file(&format!("sshd-{number}.log")));
        let text = format!(
            "Port {port}\nListenAddress {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPrintMotd no\nPrintLastLog no\n\
             MaxStartups 200\nUseDNS no\nSetEnv HOME={} LANG=C.UTF-8\n",
            place.host_address(),
            file("host_key"),
            file("authorized_keys"),
            // The start files of a person's shell are not part of ssh's cost.
            lab.folder.display(),
        );
        fs::write(&configuration, text)?;
        if rustix::process::geteuid().is_root() {
            // Where it shuts itself in; the system's own service would have made it.
            fs::create_dir_all("/run/sshd")?;
        }
        let mut command = lab.command(program());
        command.args(["-D", "-f", &configuration, "-E", &log]);
        let mut command = place.at_host(command);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut daemon = Daemon(child);
        let deadline = Instant::now() + WITHIN;
        while !fs::read_to_string(&log).is_ok_and(|log| log.contains("Server listening")) {
            if Instant::now() > deadline || !matches!(daemon.0.try_wait(), Ok(None)) {
                bail!("sshd does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Sshd { daemon, port })
    }

    /// The words of an ssh that asks nothing, before the host's name.
    pub(crate) fn ssh(&self, lab: &Lab) -> Vec<String> {
        let key = lab.folder.join("user_key").display().to_string();
        let port = self.port.to_string();
        let words = ["ssh", "-F", "none", "-q", "-p", &port, "-i", &key, "-o", "IdentitiesOnly=yes"];
        let more = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"];
        words.into_iter().chain(more).map(str::to_owned).collect()
    }

    /// An ssh with a terminal that runs this there.
    pub(crate) fn command(&self, lab: &Lab, place: Place<'_>, remote: &str) -> Command {
        let words = self.ssh(lab);
        let mut command = lab.command(&words[0]);
        command.args(&words[1..]).args(["-tt", &format!("{}@{}", user(), place.host_address())]).arg(remote);
        place.at_viewer(command)
    }

    /// The processes behind its sessions that are part of ssh or tmux, not the shared program.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        let ours = |id: &u32| matches!(proc::name(*id).as_str(), "sshd" | "sshd-session" | "tmux: client");
        proc::descendants(self.daemon.0.id()).into_iter().filter(ours).collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for id in proc::descendants(self.daemon.0.id()) {
            send(id, Signal::TERM);
        }
    }
}

/// The user of this process.
pub(crate) fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "root".to_owned())
}

/// sshd wants to be called by its whole path.
fn program() -> PathBuf {
    ["/usr/sbin/sshd", "/usr/bin/sshd"].iter().map(PathBuf::from).find(|path| path.exists()).unwrap_or("sshd".into())
}
