//! The modes that a program switched on in its terminal and has not switched off. A killed program leaves them on.
//!
//! A mode is switched off at the session's end if it is off in every new terminal and was switched on during the
//! session. The rest (wrapping, the cursor, character sets) is on or in place in every terminal, and can be set anyway.

use std::collections::BTreeSet;
use std::io::Write as _;

/// Private modes that are off in every terminal as it comes, and are simply switched off again: reverse video, the
/// blinking cursor, reverse wrap, application keypad, every report of mouse, focus, colours and size, every encoding of
/// these, bracketed pastes, clusters of characters as one, keys as of a console.
const MODES: [u16; 21] =
    [5, 9, 12, 45, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1010, 1015, 1016, 2004, 2027, 2031, 2048, 8452, 9001];

/// The modes that are on.
#[derive(Debug, Default)]
pub(super) struct LeftOn {
    modes: BTreeSet<u16>,
    pub(super) other_keys: bool,
    pub(super) cursor_style: bool,
}

impl LeftOn {
    /// A private mode was set.
    pub(super) fn set(&mut self, mode: u16) {
        if MODES.contains(&mode) {
            self.modes.insert(mode);
        }
    }

    /// A private mode was reset.
    pub(super) fn reset(&mut self, mode: u16) {
        self.modes.remove(&mode);
    }

    /// The sequences that switch these modes off.
    pub(super) fn undo(&self, out: &mut Vec<u8>) {
        for mode in &self.modes {
            // Writing to memory cannot fail.
            let _ = write!(out, "\x1b[?{mode}l");
        }
        out.extend_from_slice(if self.other_keys { b"\x1b[>4m" } else { b"" });
        out.extend_from_slice(if self.cursor_style { b"\x1b[0 q" } else { b"" });
    }
}
