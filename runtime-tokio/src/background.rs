//! How a process leaves its terminal and goes on without one.

use std::fs::OpenOptions;
use std::io;

/// Makes this process the leader of a session without a terminal, so that no terminal can hang up on it.
///
/// # Errors
/// This process is already the leader of a process group (EPERM).
pub fn leave_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// From now on the output of this process is discarded.
///
/// # Errors
/// The system refuses.
pub fn fall_silent() -> io::Result<()> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}
