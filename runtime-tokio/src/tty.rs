//! The person's own terminal: raw mode, keys, and output.
//!
//! On every way out the terminal gets its settings back: [`RawMode`] restores them when dropped, [`install_panic_hook`]
//! before a panic's message, and [`restore_now`] from anywhere else. Other modules decide what to draw and what keys
//! mean.

mod keys;
mod raw;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, IsTerminal as _};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::stdio::{stdin, stdout};

pub use keys::{KEY_BYTES_MAX, KeyEvent, Keys};
pub use raw::{RawMode, install_panic_hook, restore_now};
pub use writer::Writer;

/// Whether stdin and stdout are both terminals: keys can be read and a screen drawn.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal's size as (columns, rows), in cells; stdout's, then stdin's. `None` without a terminal, or when it does
/// not know.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    [stdout(), stdin()]
        .into_iter()
        .filter_map(|fd| rustix::termios::tcgetwinsize(fd).ok())
        .map(|size| (size.ws_col, size.ws_row))
        .find(|(cols, rows)| *cols > 0 && *rows > 0)
}

/// The terminal at `fd` as an open file of our own that does not block; nothing if it is none.
fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    let name = rustix::termios::ttyname(fd, Vec::new()).ok()?;
    rustix::fs::open(name, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}
