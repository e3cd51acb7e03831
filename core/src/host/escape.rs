//! The host's escape: a key that begins a command.
//!
//! All other keys go to the program byte for byte. Unlike a
//! viewer's, this escape works anywhere, not only at the start of a line: editors have no such lines.

use serde::{Deserialize, Serialize};

/// When the host's escape begins a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Escape {
    /// Never: every key is the program's.
    Never,
    /// This character, while somebody waits to be let in.
    WhenAsked(u8),
    /// This character, always.
    Always(u8),
}

impl Escape {
    /// The key that begins a command now.
    pub(super) fn key(self, asked: bool) -> Option<u8> {
        match self {
            Escape::Never => None,
            Escape::WhenAsked(key) => Some(key).filter(|_| asked),
            Escape::Always(key) => Some(key),
        }
    }
}
