//! Commands of the user that run when something happens in a session.
//!
//! Viewers make them run, so they are bounded: a few run at once, each in a process group of its own and for a limited
//! time. They have no terminal, and nobody reads their output.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Most commands at once.
pub const MAX_RUNNING: usize = 8;

/// A command that runs longer is killed, with its process group.
pub const WITHIN: Duration = Duration::from_secs(30);

/// The commands that run now.
#[derive(Default)]
pub struct Hooks(JoinSet<()>);

impl Hooks {
    /// Starts `sh -c command` with these variables added to the environment.
    ///
    /// # Errors
    /// [`MAX_RUNNING`] commands run already, or the system starts no process.
    pub fn run(&mut self, command: &OsStr, env: &[(&str, String)]) -> io::Result<()> {
        while self.0.try_join_next().is_some() {}
        if self.0.len() >= MAX_RUNNING {
            return Err(io::Error::other(format!("{MAX_RUNNING} commands run already")));
        }
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).envs(env.iter().map(|(name, value)| (name, value)));
        // The variable may hold an invite, and so a key.
        shell.env_remove("BEACH_TARGET");
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = shell.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = Group(id.and_then(Pid::from_raw));
        self.0.spawn(async move {
            if timeout(WITHIN, child.wait()).await.is_ok() {
                group.forget();
            }
        });
        Ok(())
    }

    /// Waits for all commands, and kills those that still run after `within`.
    pub async fn finish(mut self, within: Duration) {
        let _ = timeout(within, async { while self.0.join_next().await.is_some() {} }).await;
        self.0.shutdown().await;
    }
}

/// The process group of a command, which `drop` kills: the command has not ended, so its number is still its own.
struct Group(Option<Pid>);

impl Group {
    /// The command has ended, and its number may be another process' now.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::warn!(%error, "a command of the session was not killed");
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

        // A process that nobody has waited for yet is a zombie.
        let is_alive = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
        };
        until(|| !sleeps().lines().any(is_alive)).await;
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
