//! An escape: a key that is taken out of what is typed, and the key after it, which says what is wanted.
//!
//! This module knows neither the commands nor when an escape counts. The host and the viewer decide that.

use std::collections::VecDeque;

use super::decoder::{Key, Piece};

/// Most bytes that are kept after an escape key. Mouse reports can come before the next key, as long as the mouse
/// moves.
const MAX_KEPT: usize = 4096;

/// Most keys that were taken and are still held down. Terminals with the kitty keyboard protocol report releases.
const MAX_TAKEN: usize = 16;

/// A key as a person would write it: `^]`, `~`.
pub fn key_name(key: u8) -> String {
    if key < 0x20 { format!("^{}", char::from(key | 0x40)) } else { char::from(key).to_string() }
}

/// The meaning of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<C> {
    /// The piece has nothing to do with an escape.
    Beside,
    /// The piece is kept or taken.
    Taken,
    /// No command: these bytes are typed, the piece's included.
    Typed(Vec<u8>),
    /// A command, and the reports that came before it, which are the program's.
    Command(Vec<u8>, C),
}

/// Finds escapes in pieces.
#[derive(Debug, Default)]
pub(crate) struct EscapeReader {
    begun: Option<Begun>,
    /// Codes of keys that were taken. The reports of their releases are taken too.
    taken: VecDeque<u32>,
}

#[derive(Debug)]
struct Begun {
    key: Key,
    /// The escape and what followed, in order.
    kept: Vec<u8>,
    /// Mouse, focus and release reports of other keys since the escape key. The program gets them even if a command
    /// follows.
    reports: Vec<u8>,
}

impl EscapeReader {
    /// The meaning of this piece, if `escape` is the key that begins a command now.
    pub(crate) fn step<C>(
        &mut self,
        escape: Option<u8>,
        piece: Piece,
        bytes: &[u8],
        command: impl FnOnce(u8) -> Option<C>,
    ) -> Step<C> {
        // A key that is pressed anew is let go anew.
        if let Piece::Released(code) | Piece::Key(Key { code, .. }) = piece
            && let Some(at) = self.taken.iter().position(|taken| *taken == code)
        {
            self.taken.remove(at);
            if let Piece::Released(_) = piece {
                return Step::Taken;
            }
        }
        let Some(mut begun) = self.begun.take() else {
            return match piece {
                Piece::Key(key) if Some(key.byte) == escape => {
                    self.begun = Some(Begun { key, kept: bytes.to_vec(), reports: Vec::new() });
                    Step::Taken
                }
                Piece::Key(_) | Piece::OtherKey | Piece::Released(_) | Piece::Report | Piece::Pasted => Step::Beside,
            };
        };
        match piece {
            Piece::Key(key) => match command(key.byte) {
                Some(command) => {
                    self.take(begun.key);
                    self.take(key);
                    return Step::Command(begun.reports, command);
                }
                // Twice is once for the program.
                None if key.byte == begun.key.byte => begun.kept = begun.reports,
                None => {}
            },
            Piece::OtherKey | Piece::Pasted => {}
            Piece::Released(_) | Piece::Report if begun.kept.len() + bytes.len() > MAX_KEPT => {}
            Piece::Released(_) | Piece::Report => {
                begun.kept.extend_from_slice(bytes);
                if piece == Piece::Released(begun.key.code) {
                    begun.key.code = 0;
                } else {
                    begun.reports.extend_from_slice(bytes);
                }
                self.begun = Some(begun);
                return Step::Taken;
            }
        }
        begun.kept.extend_from_slice(bytes);
        Step::Typed(begun.kept)
    }

    /// A key was taken for something else than a command.
    pub(crate) fn take(&mut self, key: Key) {
        if key.code != 0 && !self.taken.contains(&key.code) {
            self.taken.push_back(key.code);
            if self.taken.len() > MAX_TAKEN {
                self.taken.pop_front();
            }
        }
    }

    /// No command follows any more: the kept keys are typed.
    pub(crate) fn give_up(&mut self) -> Vec<u8> {
        self.begun.take().map_or_else(Vec::new, |begun| begun.kept)
    }
}
