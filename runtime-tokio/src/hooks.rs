//! Commands of the user that run when something happens in a session.
//!
//! Viewers make them run, so they are bounded: a few run at once, each in a process group of its own and for a limited
//! time. A command runs until its group is empty: children in the background count, and end with the group. A child
//! that leaves the group (`setsid`) is on its own. The commands have no terminal, and nobody reads their output.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Most commands at once.
pub const MAX_RUNNING: usize = 8;

/// A command that runs longer is killed, with its process group.
pub const WITHIN: Duration = Duration::from_secs(30);

/// How often the group of a shell that has ended is looked at: the system reports the end of no grandchild.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The commands that run now.
pub struct Hooks {
    running: JoinSet<()>,
    within: Duration,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks { running: JoinSet::new(), within: WITHIN }
    }
}

/// The variables of this process that set flags of `beach serve`: no business of the commands that a session starts.
#[must_use]
pub fn variables_of_serve() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.as_encoded_bytes().starts_with(b"BEACH_SERVE_")).collect()
}

impl Hooks {
    /// Starts `sh -c command` with these variables added to the environment.
    ///
    /// # Errors
    /// [`MAX_RUNNING`] commands run already, or the system starts no process.
    pub fn run(&mut self, command: &OsStr, env: &[(&str, String)]) -> io::Result<()> {
        while self.running.try_join_next().is_some() {}
        if self.running.len() >= MAX_RUNNING {
            return Err(io::Error::other(format!("{MAX_RUNNING} commands run already")));
        }
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).envs(env.iter().map(|(name, value)| (name, value)));
        // The variable may hold an invite, and so a key.
        shell.env_remove("BEACH_TARGET");
        for name in variables_of_serve() {
            shell.env_remove(name);
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = shell.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = Group(id.and_then(Pid::from_raw));
        let within = self.within;
        self.running.spawn(async move {
            let ends = async {
                // A failed wait says nothing about the group.
                let _ = child.wait().await;
                group.until_empty().await;
            };
            if timeout(within, ends).await.is_ok() {
                group.forget();
            }
        });
        Ok(())
    }

    /// Waits for all commands and their children in the background, and kills those that still run after `within`.
    pub async fn finish(mut self, within: Duration) {
        let _ = timeout(within, async { while self.running.join_next().await.is_some() {} }).await;
        self.running.shutdown().await;
    }
}

/// The process group of a command, which `drop` kills. The group keeps its number while a process is in the group, and
/// the system gives a free number to another process only after all others.
struct Group(Option<Pid>);

impl Group {
    /// Waits until no process is in the group.
    async fn until_empty(&self) {
        while self.0.is_some_and(|group| test_kill_process_group(group).is_ok()) {
            sleep(LOOK_EVERY).await;
        }
    }

    /// The group is empty, and its number may be another group's now.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        match self.0.map(|group| kill_process_group(group, Signal::KILL)) {
            // The last process of the group has ended since.
            None | Some(Ok(()) | Err(Errno::SRCH)) => {}
            Some(Err(error)) => tracing::warn!(%error, "a command of the session was not killed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until a condition holds, for at most [`WITHIN`].
    async fn until(mut holds: impl FnMut() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        timeout(WITHIN, waiting).await.expect("the condition holds in time");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "current_thread")]
    async fn few_commands_run_at_once_and_the_end_kills_them_with_their_children() {
        let file = std::env::temp_dir().join(format!("beach-hooks-{}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let env = [("FILE", file.display().to_string())];
        let mut hooks = Hooks::default();
        let command = OsStr::new("sleep 1000 & echo $! >> \"$FILE\"; wait");
        for _ in 0..MAX_RUNNING {
            hooks.run(command, &env).expect("a place");
        }
        assert!(hooks.run(command, &env).is_err(), "one too many");
        let sleeps = || std::fs::read_to_string(&file).unwrap_or_default();
        until(|| sleeps().lines().count() == MAX_RUNNING).await;

        hooks.finish(Duration::ZERO).await;

        until(|| !sleeps().lines().any(is_alive)).await;
        let _ = std::fs::remove_file(&file);
    }

    /// Whether there is a process with this number. A process that nobody has waited for yet is a zombie, and is not
    /// alive.
    #[cfg(target_os = "linux")]
    fn is_alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "current_thread")]
    async fn a_child_that_outlives_its_shell_keeps_the_place_and_is_killed_when_the_time_is_over() {
        let file = std::env::temp_dir().join(format!("beach-hook-child-{}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let env = [("FILE", file.display().to_string())];
        let mut hooks = Hooks { within: Duration::from_secs(3), ..Hooks::default() };
        let command = OsStr::new("sleep 1000 & echo $! >> \"$FILE\"");
        for _ in 0..MAX_RUNNING {
            hooks.run(command, &env).expect("a place");
        }
        let sleeps = || std::fs::read_to_string(&file).unwrap_or_default();
        until(|| sleeps().lines().count() == MAX_RUNNING).await;
        assert!(hooks.run(command, &env).is_err(), "their children still run");

        until(|| !sleeps().lines().any(is_alive)).await;

        while hooks.running.join_next().await.is_some() {}
        hooks.run(OsStr::new("true"), &env).expect("a place again");
        hooks.finish(WITHIN).await;
        let _ = std::fs::remove_file(&file);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_command_that_ends_makes_room_and_gets_its_variables() {
        let file = std::env::temp_dir().join(format!("beach-hook-{}", std::process::id()));
        let env = [("FILE", file.display().to_string()), ("NAME", "a'b $(c)".to_owned())];
        let mut hooks = Hooks::default();
        hooks.run(OsStr::new("printf %s \"$NAME\" > \"$FILE\""), &env).expect("a place");
        hooks.finish(WITHIN).await;
        assert_eq!(std::fs::read_to_string(&file).expect("written"), "a'b $(c)");
        let _ = std::fs::remove_file(&file);
    }
}
