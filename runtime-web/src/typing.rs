//! Keys and pastes of the person, until the viewer takes them.

use std::collections::VecDeque;

use beach_core::keyboard::{Keyboard, Typed};
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerInput;
use beach_core::wire::frame::MAX_INPUT_EVENT;

/// Most bytes that wait for the viewer: the longest paste that is read as one.
const MOST_WAITING: usize = 16 << 20;

/// The keyboard of the page's terminal, and the inputs that wait.
#[derive(Default)]
pub(crate) struct Typing {
    keyboard: Keyboard,
    waiting: VecDeque<ViewerInput>,
    /// Bytes of keys and pastes in `waiting`.
    bytes: usize,
    /// The viewer has not taken the last keys yet.
    is_owed: bool,
}

/// Whether all of the typing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    All,
    SomeLost,
}

impl Typing {
    pub(crate) fn read(&mut self, now: Timestamp, bytes: &[u8]) -> Kept {
        let typed = self.keyboard.read(now, bytes);
        self.keep(typed)
    }

    /// Takes held bytes as plain keys when their time is over.
    pub(crate) fn on_time(&mut self, now: Timestamp) -> Kept {
        let typed = self.keyboard.on_time(now);
        self.keep(typed)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.keyboard.deadline()
    }

    /// The next paint asks the terminal for its cursor.
    pub(crate) fn expect_cursor_report(&mut self, now: Timestamp) {
        self.keyboard.expect_cursor_report(now);
    }

    /// The viewer took the last keys.
    pub(crate) fn taken(&mut self) {
        self.is_owed = false;
    }

    /// The next input for the viewer, one at a time.
    pub(crate) fn next(&mut self) -> Option<ViewerInput> {
        let is_owed = self.is_owed;
        self.waiting.front().filter(|next| !is_owed || !is_typing(next))?;
        let next = self.waiting.pop_front()?;
        self.bytes -= length(&next);
        self.is_owed |= is_typing(&next);
        Some(next)
    }

    fn keep(&mut self, typed: Vec<Typed>) -> Kept {
        let mut kept = Kept::All;
        for typed in typed.into_iter().flat_map(pieces) {
            let input = match typed {
                Typed::Keys(bytes) => ViewerInput::Keys(bytes),
                Typed::Paste { bytes, first, last } => ViewerInput::Paste { bytes, first, last },
                // Terminals count rows and columns from 1. An answer does not wait behind typing.
                Typed::CursorReport { row, col } => {
                    self.waiting.push_front(ViewerInput::CursorReport { row: row + 1, col: col + 1 });
                    continue;
                }
            };
            // The end of a paste is kept: without it the host would hold others back.
            let ends = matches!(&input, ViewerInput::Paste { last: true, .. });
            if self.bytes + length(&input) > MOST_WAITING && !ends {
                kept = Kept::SomeLost;
                continue;
            }
            self.bytes += length(&input);
            self.waiting.push_back(input);
        }
        kept
    }
}

/// Many keys at once, as an input method may send them, go in parts.
fn pieces(typed: Typed) -> Vec<Typed> {
    match typed {
        Typed::Keys(bytes) => bytes.chunks(MAX_INPUT_EVENT).map(|keys| Typed::Keys(keys.to_vec())).collect(),
        other @ (Typed::Paste { .. } | Typed::CursorReport { .. }) => vec![other],
    }
}

fn is_typing(input: &ViewerInput) -> bool {
    matches!(input, ViewerInput::Keys(_) | ViewerInput::Paste { .. })
}

fn length(input: &ViewerInput) -> usize {
    if let ViewerInput::Keys(bytes) | ViewerInput::Paste { bytes, .. } = input { bytes.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_one_at_a_time_and_a_cursor_report_does_not_wait_for_them() {
        let mut typing = Typing::default();
        typing.expect_cursor_report(Timestamp::ZERO);
        assert_eq!(typing.read(Timestamp::ZERO, b"a\x1b[3;4Rb"), Kept::All);
        assert_eq!(typing.next(), Some(ViewerInput::CursorReport { row: 3, col: 4 }));
        assert_eq!(typing.next(), Some(ViewerInput::Keys(b"a".to_vec())));
        assert_eq!(typing.next(), None, "the viewer has not taken the first key");
        typing.taken();
        assert_eq!(typing.next(), Some(ViewerInput::Keys(b"b".to_vec())));
    }

    #[test]
    fn what_waits_is_bounded_and_the_end_of_a_paste_is_kept() {
        let mut typing = Typing::default();
        assert_eq!(typing.read(Timestamp::ZERO, &vec![b'x'; MOST_WAITING]), Kept::All);
        assert_eq!(typing.read(Timestamp::ZERO, b"y"), Kept::SomeLost);
        typing.read(Timestamp::ZERO, b"\x1b[200~z\x1b[201~");
        assert!(matches!(typing.waiting.back(), Some(ViewerInput::Paste { last: true, .. })));
        assert!(typing.waiting.iter().map(length).sum::<usize>() <= MOST_WAITING + 1);
    }
}
