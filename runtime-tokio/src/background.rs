//! What a process does that goes on when its terminal is gone.

use std::fs::OpenOptions;
use std::io;

/// Becomes the leader of a session without a terminal: none can hang up on it.
///
/// # Errors
/// It leads a group of processes already.
pub fn leave_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// What it prints goes nowhere from now on.
///
/// # Errors
/// The system refuses.
pub fn fall_silent() -> io::Result<()> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}
