//! Input of a person's own terminal: keys, pastes, and answers, which are no keys; and the escapes among the keys.
//!
//! This module does not rewrite keys. Typed bytes pass unchanged, reports of mouse and focus included.
//!
//! A terminal answers queries in sequences that look like keys, and some answers come late, when the program that asked
//! is gone. At the host the answers would be typed into somebody's shell, so this module drops them. This module knows
//! answers by their form (ECMA-48, section 5.4; the control sequences of xterm; the kitty keyboard protocol): only
//! answers have a private marker other than `<`, or end as reports do.

pub(crate) mod decoder;
mod encoding;
pub(crate) mod escape;
mod escapes;
mod sequence;
mod strings;

use std::time::Duration;

pub use self::escape::key_name;
pub use self::escapes::{Action, Escapes};
use self::sequence::{Control, PASTE_ENDS};
#[cfg(feature = "host")]
pub(crate) use self::sequence::{CursorReport, cursor_report};
use self::strings::Strings;
use crate::time::Timestamp;
use crate::wire::frame::MAX_INPUT_EVENT;

/// A lone escape, or one with a character, is a key of its own after this time. Terminals write a sequence at once;
/// vim and tmux wait longer, for links that are worse than a person's own terminal.
const KEY_PATIENCE: Duration = Duration::from_millis(25);

/// A sequence that got further is not a person's typing: it may come in pieces, over the network that the person sits
/// behind. Short enough for keys to arrive while they matter.
const SEQUENCE_PATIENCE: Duration = Duration::from_millis(250);

/// An answer as long as a clipboard comes in many pieces; it is over when none came for this long.
const STRING_PATIENCE: Duration = Duration::from_secs(1);

/// Longest control sequence, in bytes: the longest there are are kitty keys with their text, and attributes of a
/// device, and those have a few dozen.
const MAX_SEQUENCE: usize = 256;

/// Longest string that is kept until it is known what it is; the rest of a longer one is swallowed.
const MAX_STRING: usize = 4096;

/// A terminal sends a paste without pauses: after so long a silence a paste without an end is over, and keys are keys.
const PASTE_SILENCE: Duration = Duration::from_secs(2);

/// Longest paste, in bytes. No person pastes more, so further bytes are keys.
const MAX_PASTE: usize = 16 * 1024 * 1024;

/// A cursor report comes within this time, or not at all: after it a third function key with Shift is one again.
const REPORT_WITHIN: Duration = Duration::from_secs(2);

/// Most questions about the cursor that are open at once; a resize asks one.
const MAX_REPORTS: usize = 8;

/// Something that came from the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Keys, mouse and focus, as the terminal sent them.
    Keys(Vec<u8>),
    /// A part of a paste, without its brackets.
    Paste {
        /// The bytes of this part, at most [`MAX_INPUT_EVENT`]; may be empty in the last part.
        bytes: Vec<u8>,
        /// The paste begins with this part.
        first: bool,
        /// The paste ends with this part.
        last: bool,
    },
    /// The answer to a question about the cursor that was announced.
    CursorReport {
        /// Row from the top, 0-based.
        row: u16,
        /// Column from the left, 0-based.
        col: u16,
    },
}

/// Reads a terminal's bytes, however they are cut.
#[derive(Debug, Default)]
pub struct Keyboard {
    state: State,
    /// The sequence that was begun, from its escape on.
    held: Vec<u8>,
    /// When it was begun; for a string or a paste, when its last byte came.
    since: Timestamp,
    /// Until when the next cursor reports are answers.
    reports: Vec<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// An escape.
    Escape,
    /// A control sequence: an escape and a bracket.
    Control,
    /// A string of this kind.
    Within(Strings),
    /// In a string, after an escape that may begin the string's end.
    Ending(Strings),
    /// A paste, with or without a piece passed on, and so many more bytes that may come. The end's beginning is held.
    Pasting { begun: bool, left: usize },
}

impl Keyboard {
    /// A keyboard before its first byte.
    pub fn new() -> Keyboard {
        Keyboard::default()
    }

    /// Notes that the terminal was asked for its cursor.
    pub fn expect_cursor_report(&mut self, now: Timestamp) {
        self.reports.retain(|until| now < *until);
        // A caller that asks too often without waiting gets no report for this question.
        if self.reports.len() < MAX_REPORTS {
            self.reports.push(now + REPORT_WITHIN);
        }
    }

    /// Reads `bytes` in order. An unfinished sequence is kept for the next call.
    pub fn read(&mut self, now: Timestamp, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Out { typed: self.on_time(now) };
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.state {
                State::Ground => self.ground(now, rest, &mut typed),
                State::Pasting { begun, left } => {
                    self.since = now;
                    self.pasting(begun, left, rest, &mut typed)
                }
                State::Escape => {
                    self.escape(byte, now, &mut typed);
                    after
                }
                State::Control => {
                    self.control(byte, now, &mut typed);
                    after
                }
                State::Within(strings) => {
                    self.within(strings, byte, now, &mut typed);
                    after
                }
                State::Ending(strings) => {
                    self.ending(strings, byte, now, &mut typed);
                    after
                }
            };
        }
        typed.typed
    }

    /// When [`on_time`](Keyboard::on_time) may have something, if nothing is read before.
    pub fn deadline(&self) -> Option<Timestamp> {
        let patience = match self.state {
            State::Ground => return None,
            State::Pasting { .. } => PASTE_SILENCE,
            State::Escape => KEY_PATIENCE,
            // The first byte after the introducer decides whether it is one.
            State::Control | State::Within(_) if self.held.len() <= 2 => KEY_PATIENCE,
            State::Control => SEQUENCE_PATIENCE,
            State::Within(strings) | State::Ending(strings) => {
                if strings.is_answer(&self.held) {
                    STRING_PATIENCE
                } else {
                    SEQUENCE_PATIENCE
                }
            }
        };
        Some(self.since + patience)
    }

    /// Releases an unfinished sequence whose rest does not come.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<Typed> {
        let mut typed = Out::default();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            if let State::Pasting { begun, .. } = self.state {
                typed.paste(&std::mem::take(&mut self.held), !begun, true);
            }
            // An escape in a string that comes to nothing was typed.
            let typed_escape = matches!(self.state, State::Ending(_));
            self.give_up(&mut typed);
            if typed_escape {
                typed.keys(b"\x1b");
            }
        }
        typed.typed
    }

    fn ground<'a>(&mut self, now: Timestamp, bytes: &'a [u8], typed: &mut Out) -> &'a [u8] {
        let Some(at) = memchr::memchr(0x1b, bytes) else {
            typed.keys(bytes);
            return &[];
        };
        typed.keys(&bytes[..at]);
        self.begin(now);
        &bytes[at + 1..]
    }

    fn begin(&mut self, now: Timestamp) {
        self.state = State::Escape;
        self.held = vec![0x1b];
        self.since = now;
    }

    fn escape(&mut self, byte: u8, now: Timestamp, typed: &mut Out) {
        if byte == 0x1b {
            typed.keys(&self.held);
            self.begin(now);
            return;
        }
        self.held.push(byte);
        match (byte, Strings::introduced_by(byte)) {
            (b'[', _) => self.state = State::Control,
            (_, Some(strings)) => self.state = State::Within(strings),
            // Alt and a key, or a key of the keypad, whose last byte follows.
            (_, None) => self.give_up(typed),
        }
    }

    fn control(&mut self, byte: u8, now: Timestamp, typed: &mut Out) {
        match byte {
            0x1b => {
                self.give_up(typed);
                self.begin(now);
            }
            0x20..=0x3f if self.held.len() < MAX_SEQUENCE => self.held.push(byte),
            0x40..=0x7e => {
                self.held.push(byte);
                self.finish_control(now, typed);
            }
            // No control sequence goes on like this, or that long.
            _ => {
                self.give_up(typed);
                typed.keys(&[byte]);
            }
        }
    }

    fn finish_control(&mut self, now: Timestamp, typed: &mut Out) {
        let held = std::mem::take(&mut self.held);
        self.state = State::Ground;
        match Control::of(&held) {
            Control::Key => typed.keys(&held),
            Control::Answer => {}
            Control::PasteBegins => {
                self.state = State::Pasting { begun: false, left: MAX_PASTE };
                self.since = now;
            }
            Control::CursorReport { row, col, may_be_key } => {
                self.reports.retain(|until| now < *until);
                if !self.reports.is_empty() {
                    self.reports.remove(0);
                    typed.typed.push(Typed::CursorReport { row, col });
                } else if may_be_key {
                    typed.keys(&held);
                }
            }
        }
    }

    fn within(&mut self, strings: Strings, byte: u8, now: Timestamp, typed: &mut Out) {
        let is_answer = strings.is_answer(&self.held);
        if is_answer {
            self.since = now;
        }
        match byte {
            0x1b => self.state = State::Ending(strings),
            0x07 if strings.ends_at_bell() => self.forget(),
            // Strings have no controls: a person is typing.
            0x00..0x20 => {
                self.give_up(typed);
                typed.keys(&[byte]);
            }
            _ if self.held.len() < MAX_STRING => {
                self.held.push(byte);
                if !strings.may_be_answer(&self.held) {
                    self.give_up(typed);
                }
            }
            _ if is_answer => {}
            _ => {
                self.give_up(typed);
                typed.keys(&[byte]);
            }
        }
    }

    fn ending(&mut self, strings: Strings, byte: u8, now: Timestamp, typed: &mut Out) {
        if byte == b'\\' {
            if strings.is_answer(&self.held) || self.held.len() > 2 {
                self.forget();
                return;
            }
            // Nothing stood in it: two keys with Alt.
            self.give_up(typed);
            typed.keys(b"\x1b\\");
            return;
        }
        self.give_up(typed);
        self.begin(now);
        self.escape(byte, now, typed);
    }

    fn pasting<'a>(&mut self, begun: bool, left: usize, bytes: &'a [u8], typed: &mut Out) -> &'a [u8] {
        // Held bytes continue a sequence or belong to the paste.
        if !self.held.is_empty() {
            let wanted = &PASTE_ENDS[self.held.len()..];
            let same = wanted.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            self.held.extend_from_slice(&bytes[..same]);
            if self.held.len() == PASTE_ENDS.len() {
                typed.paste(&[], !begun, true);
                self.forget();
            } else if same < bytes.len() {
                let held = std::mem::take(&mut self.held);
                self.pasted(&held, begun, left, typed);
            }
            return &bytes[same..];
        }
        let at = memchr::memchr(PASTE_ENDS[0], bytes).unwrap_or(bytes.len()).min(left);
        if at > 0 {
            self.pasted(&bytes[..at], begun, left, typed);
            return &bytes[at..];
        }
        self.held.push(bytes[0]);
        &bytes[1..]
    }

    /// A piece of a paste, which is the last one if no more bytes may come.
    fn pasted(&mut self, bytes: &[u8], begun: bool, left: usize, typed: &mut Out) {
        let left = left.saturating_sub(bytes.len());
        typed.paste(bytes, !begun, left == 0);
        self.state = if left == 0 { State::Ground } else { State::Pasting { begun: true, left } };
    }

    /// Ends an unfinished sequence: its bytes are keys, unless only an answer begins like that.
    fn give_up(&mut self, typed: &mut Out) {
        let is_answer = match self.state {
            State::Within(strings) | State::Ending(strings) => strings.is_answer(&self.held),
            State::Control => Control::is_answer_begun(&self.held),
            State::Ground | State::Escape | State::Pasting { .. } => false,
        };
        if !is_answer {
            typed.keys(&self.held);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.state = State::Ground;
        self.held.clear();
    }
}

/// The events read so far. Neighbours are joined where possible.
#[derive(Default)]
struct Out {
    typed: Vec<Typed>,
}

impl Out {
    fn keys(&mut self, bytes: &[u8]) {
        match self.typed.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Typed::Keys(keys)) => keys.extend_from_slice(bytes),
            Some(Typed::Paste { .. } | Typed::CursorReport { .. }) | None => {
                self.typed.push(Typed::Keys(bytes.to_vec()));
            }
        }
    }

    fn paste(&mut self, mut bytes: &[u8], mut first: bool, ends: bool) {
        if !first && let Some(Typed::Paste { bytes: before, last: last @ false, .. }) = self.typed.last_mut() {
            let (fits, more) = bytes.split_at(bytes.len().min(MAX_INPUT_EVENT - before.len()));
            before.extend_from_slice(fits);
            if more.is_empty() {
                *last = ends;
                return;
            }
            bytes = more;
        }
        loop {
            let (piece, more) = bytes.split_at(bytes.len().min(MAX_INPUT_EVENT));
            let last = ends && more.is_empty();
            self.typed.push(Typed::Paste { bytes: piece.to_vec(), first: std::mem::take(&mut first), last });
            bytes = more;
            if bytes.is_empty() {
                return;
            }
        }
    }
}
