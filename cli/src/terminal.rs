//! The terminal that a host sits at: what the program prints goes there as it is.

use beach_runtime_tokio::tty::{Keys, RawMode, Screen};

/// The host's own terminal, once the command runs.
pub(crate) struct Terminal {
    pub(crate) screen: Screen,
    pub(crate) keys: Keys,
    /// Output that the terminal did not take yet; the PTY is not read meanwhile.
    pub(crate) unwritten: Vec<u8>,
    pub(crate) raw: RawMode,
}

/// Puts back what a program that was killed may have left behind. CAN first: a sequence may have been cut short.
const EPILOGUE: &[u8] =
    b"\x18\x1b[?2026l\x1b[0m\x1b]8;;\x1b\\\x1b[4l\x1b(B\x0f\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\
\x1b[?1006l\x1b[?1005l\x1b[?1004l\x1b[?2004l\x1b[?1047l\x1b7\x1b[r\x1b8";

impl Terminal {
    pub(crate) fn start() -> std::io::Result<Terminal> {
        let raw = RawMode::enter(EPILOGUE)?;
        Ok(Terminal { screen: Screen::start()?, keys: Keys::start()?, unwritten: Vec::new(), raw })
    }

    pub(crate) fn show(&mut self, bytes: Vec<u8>) {
        if self.unwritten.is_empty() {
            self.unwritten = bytes;
        } else {
            self.unwritten.extend_from_slice(&bytes);
        }
        self.write();
    }

    pub(crate) fn write(&mut self) {
        if !self.unwritten.is_empty()
            && let Err(back) = self.screen.try_write(std::mem::take(&mut self.unwritten))
        {
            self.unwritten = back;
        }
    }
}
