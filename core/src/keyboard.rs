//! What the person's terminal sends, told apart: keys, pastes, and what the terminal says by itself.
//!
//! A terminal answers queries on the same line on which it sends keys. What it answers is never for the shared program, whose queries are
//! answered once, at the host. So everything that only an answer can look like is taken out here. Some look like keys at first (`ESC ]` is
//! also Alt and a bracket): they are held back until they are complete, or until it took too long for an answer, and are keys then.

use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::frame::MAX_INPUT_EVENT;

/// Longest sequence that is held back while it is incomplete; no key is half as long.
const MAX_SEQUENCE: usize = 64;

/// Longest answer in a string that is held back; what comes after it is swallowed.
const MAX_STRING: usize = 4096;

/// The rest of a sequence follows at once; after this time an escape is the key of that name.
const SEQUENCE_WITHIN: Duration = Duration::from_millis(25);

/// The rest of an answer comes in one go, perhaps in several packets of a connection below the terminal.
const STRING_WITHIN: Duration = Duration::from_millis(100);

/// What ends a paste.
const PASTE_END: &[u8] = b"\x1b[201~";

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// One thing that the person or the terminal said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Keys, mouse and focus, byte for byte.
    Keys(Vec<u8>),
    /// A piece of a paste, of at most [`MAX_INPUT_EVENT`] bytes, without the brackets.
    Paste {
        /// It.
        bytes: Vec<u8>,
        /// The paste begins with it.
        first: bool,
        /// The paste ends with it.
        last: bool,
    },
    /// The terminal says where its cursor is, both 1-based.
    CursorReport {
        /// Row.
        row: u16,
        /// Column.
        col: u16,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// `ESC` is held back.
    Escape,
    /// `ESC [` and what follows.
    Sequence,
    /// A string of this kind, as its second byte says; `true` after an `ESC` in it.
    String(u8, bool),
    /// So many bytes of an old mouse report are still to come.
    Mouse(u8),
    /// Within a paste, with so many bytes of its end seen.
    Paste(usize),
}

/// Reads what a terminal sends, whatever way it is split.
#[derive(Debug, Default)]
pub struct Keyboard {
    state: State,
    held: Vec<u8>,
    /// The string is longer than any answer that is wanted: its end is waited for, and nothing else.
    swallows: bool,
    held_since: Timestamp,
    paste: Vec<u8>,
    paste_begun: bool,
    /// Cursor reports that were asked for.
    expected: u32,
}

impl Keyboard {
    /// The terminal was asked where its cursor is: the next report is the answer. Unasked, the same bytes are a key.
    pub fn expect_cursor_report(&mut self) {
        self.expected = self.expected.saturating_add(1);
    }

    /// What these bytes, which were read now, say.
    pub fn read(&mut self, now: Timestamp, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = self.on_time(now);
        let was_held = !self.held.is_empty();
        for byte in bytes {
            self.byte(*byte, &mut typed);
        }
        if !self.held.is_empty() && !was_held {
            self.held_since = now;
        }
        self.flush_paste(false, &mut typed);
        typed
    }

    /// When [`on_time`](Keyboard::on_time) has something to say, if nothing is read before.
    pub fn deadline(&self) -> Option<Timestamp> {
        let within = match self.state {
            State::Escape | State::Sequence => SEQUENCE_WITHIN,
            State::String(..) if !self.swallows => STRING_WITHIN,
            State::String(..) | State::Ground | State::Mouse(_) | State::Paste(_) => return None,
        };
        Some(self.held_since + within)
    }

    /// What was held back for too long is keys.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<Typed> {
        let mut typed = Vec::new();
        if self.deadline().is_some_and(|at| at <= now) {
            self.release(&mut typed);
        }
        typed
    }

    fn byte(&mut self, byte: u8, typed: &mut Vec<Typed>) {
        match self.state {
            State::Ground if byte == ESC => {
                self.state = State::Escape;
                self.held.push(byte);
            }
            State::Ground => keys(&[byte], typed),
            State::Mouse(left) => {
                keys(&[byte], typed);
                self.state = if left > 1 { State::Mouse(left - 1) } else { State::Ground };
            }
            State::Escape => match byte {
                b'[' => {
                    self.held.push(byte);
                    self.state = State::Sequence;
                }
                b'P' | b']' | b'_' | b'^' | b'X' => {
                    self.held.push(byte);
                    self.state = State::String(byte, false);
                }
                ESC => {
                    self.release(typed);
                    self.byte(byte, typed);
                }
                _ => {
                    self.held.push(byte);
                    self.release(typed);
                }
            },
            State::Sequence => self.in_sequence(byte, typed),
            State::String(kind, escaped) => self.in_string(byte, kind, escaped, typed),
            State::Paste(seen) => self.in_paste(byte, seen, typed),
        }
    }

    fn in_sequence(&mut self, byte: u8, typed: &mut Vec<Typed>) {
        match byte {
            0x20..0x40 if self.held.len() < MAX_SEQUENCE => self.held.push(byte),
            0x40..0x7f => {
                self.held.push(byte);
                self.finish_sequence(typed);
            }
            // Not a sequence after all.
            _ => {
                self.release(typed);
                self.byte(byte, typed);
            }
        }
    }

    fn finish_sequence(&mut self, typed: &mut Vec<Typed>) {
        let body = &self.held[2..];
        let (last, arguments) = body.split_last().map_or((0, &body[..0]), |(last, arguments)| (*last, arguments));
        let answers = match last {
            b'~' if arguments == b"200" => {
                self.held.clear();
                self.paste_begun = false;
                self.state = State::Paste(0);
                return;
            }
            b'~' => arguments == b"201",
            b'c' => arguments.first().is_some_and(|first| b"?>=".contains(first)),
            b'n' | b't' => true,
            b'y' => arguments.contains(&b'$'),
            b'u' => arguments.first() == Some(&b'?'),
            b'R' => match report(arguments) {
                Some((row, col)) if self.expected > 0 => {
                    self.expected -= 1;
                    typed.push(Typed::CursorReport { row, col });
                    true
                }
                Some(_) | None => arguments.first() == Some(&b'?'),
            },
            _ => false,
        };
        if answers {
            self.held.clear();
            self.state = State::Ground;
            return;
        }
        let mouse = self.held == b"\x1b[M";
        self.release(typed);
        if mouse {
            self.state = State::Mouse(3);
        }
    }

    fn in_string(&mut self, byte: u8, kind: u8, escaped: bool, typed: &mut Vec<Typed>) {
        let ends = (escaped && byte == b'\\') || (kind == b']' && byte == BEL);
        if ends {
            self.held.clear();
            self.swallows = false;
            self.state = State::Ground;
            return;
        }
        if escaped && !self.swallows {
            // Something else begins: it was no answer.
            self.held.pop();
            self.release(typed);
            self.byte(ESC, typed);
            self.byte(byte, typed);
            return;
        }
        if self.held.len() >= MAX_STRING {
            self.swallows = true;
        }
        if !self.swallows {
            self.held.push(byte);
        }
        self.state = State::String(kind, byte == ESC);
    }

    fn in_paste(&mut self, byte: u8, seen: usize, typed: &mut Vec<Typed>) {
        if byte == PASTE_END[seen] {
            if seen + 1 < PASTE_END.len() {
                self.state = State::Paste(seen + 1);
                return;
            }
            self.state = State::Ground;
            self.flush_paste(true, typed);
            return;
        }
        self.paste.extend_from_slice(&PASTE_END[..seen]);
        self.state = State::Paste(usize::from(byte == ESC));
        if byte != ESC {
            self.paste.push(byte);
        }
        if self.paste.len() >= MAX_STRING {
            self.flush_paste(false, typed);
        }
    }

    /// Gives out what was pasted so far.
    fn flush_paste(&mut self, ends: bool, typed: &mut Vec<Typed>) {
        let pasted = std::mem::take(&mut self.paste);
        let mut pieces = pasted.chunks(MAX_INPUT_EVENT).peekable();
        while let Some(piece) = pieces.next() {
            let last = ends && pieces.peek().is_none();
            typed.push(Typed::Paste { bytes: piece.to_vec(), first: !self.paste_begun, last });
            self.paste_begun = true;
        }
        if ends && pasted.is_empty() {
            typed.push(Typed::Paste { bytes: Vec::new(), first: !self.paste_begun, last: true });
        }
    }

    /// What is held back is keys.
    fn release(&mut self, typed: &mut Vec<Typed>) {
        self.state = State::Ground;
        keys(&std::mem::take(&mut self.held), typed);
    }
}

fn keys(bytes: &[u8], typed: &mut Vec<Typed>) {
    match typed.last_mut() {
        Some(Typed::Keys(keys)) => keys.extend_from_slice(bytes),
        Some(Typed::Paste { .. } | Typed::CursorReport { .. }) | None => typed.push(Typed::Keys(bytes.to_vec())),
    }
}

/// Row and column of a cursor report.
fn report(arguments: &[u8]) -> Option<(u16, u16)> {
    let (row, col) = std::str::from_utf8(arguments).ok()?.split_once(';')?;
    Some((row.parse().ok()?, col.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Timestamp = Timestamp::from_micros(10_000_000);

    /// What all of it says, read in pieces of these sizes, and once nothing more comes.
    fn read(bytes: &[u8], sizes: &[usize], reports: u32) -> Vec<Typed> {
        let mut keyboard = Keyboard::default();
        (0..reports).for_each(|_| keyboard.expect_cursor_report());
        let (mut all, mut rest, mut sizes) = (Vec::new(), bytes, sizes.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().expect("sizes")).clamp(1, rest.len()));
            all.extend(keyboard.read(Timestamp::ZERO, now));
            rest = later;
        }
        all.extend(keyboard.on_time(LATER));
        joined(all)
    }

    fn joined(all: Vec<Typed>) -> Vec<Typed> {
        let mut typed: Vec<Typed> = Vec::new();
        for one in all {
            match (typed.last_mut(), one) {
                (Some(Typed::Keys(keys)), Typed::Keys(more)) => keys.extend(more),
                (Some(Typed::Paste { bytes, last, .. }), Typed::Paste { bytes: more, first: false, last: ends }) => {
                    bytes.extend(more);
                    *last = ends;
                }
                (_, other) => typed.push(other),
            }
        }
        typed
    }

    fn keys_of(bytes: &[u8]) -> Vec<Typed> {
        vec![Typed::Keys(bytes.to_vec())]
    }

    const KEYS: &[&[u8]] = &[
        b"plain text \r\n\t\x7f\x03",
        "wide 漢字 and é".as_bytes(),
        b"\x1b[A\x1bOB\x1b[1;5C\x1b[15~\x1b[3~\x1b[1;2R\x1bOP",
        b"\x1bx\x1b\x7f\x1b\x1b[A",
        b"\x1b[M !!\x1b[M\x20\xc3\xa9",
        b"\x1b[<0;12;7M\x1b[<0;12;7m\x1b[32;10;5M",
        b"\x1b[I\x1b[O",
        b"\x1b[97;5u\x1b[27;5;97~",
    ];

    const ANSWERS: &[&[u8]] = &[
        b"\x1b[?62;22c\x1b[>1;10;0c\x1b[=0c",
        b"\x1b[0n\x1b[?11n",
        b"\x1b[?2026;2$y\x1b[4;1$y",
        b"\x1b[?1u",
        b"\x1bP>|xterm(370)\x1b\\\x1bP1$r0m\x1b\\",
        b"\x1b]11;rgb:0000/0000/0000\x1b\\\x1b]52;c;c2VjcmV0\x07",
        b"\x1b[8;24;80t\x1b]l title\x1b\\",
        b"\x1b_Gi=31;OK\x1b\\",
    ];

    #[test]
    fn keys_pass_byte_for_byte_and_answers_do_not_pass_whatever_way_they_are_split() {
        for sizes in [&[1usize][..], &[2], &[3, 1], &[1000]] {
            for keys in KEYS {
                assert_eq!(read(keys, sizes, 0), keys_of(keys), "{sizes:?}");
            }
            for answer in ANSWERS {
                assert_eq!(read(answer, sizes, 0), [], "{:?} {sizes:?}", String::from_utf8_lossy(answer));
                let between = [b"a", *answer, b"b"].concat();
                assert_eq!(read(&between, sizes, 0), keys_of(b"ab"));
            }
        }
    }

    #[test]
    fn a_cursor_report_is_one_only_if_it_was_asked_for() {
        assert_eq!(read(b"\x1b[5;7R", &[1], 0), keys_of(b"\x1b[5;7R"));
        let report = Typed::CursorReport { row: 5, col: 7 };
        assert_eq!(
            read(b"x\x1b[5;7R\x1b[1;2R", &[2], 1),
            [keys_of(b"x"), vec![report], keys_of(b"\x1b[1;2R")].concat()
        );
    }

    #[test]
    fn a_paste_comes_in_pieces_without_its_brackets_and_its_end_is_found_in_any_split() {
        let text = [b"line\r\x1b[20x \x1b".as_slice(), &[b'p'; 5000]].concat();
        let all = [b"a\x1b[200~".as_slice(), &text, b"\x1b[201~b"].concat();
        for sizes in [&[1usize][..], &[7], &[4096], &[100_000]] {
            let paste = Typed::Paste { bytes: text.clone(), first: true, last: true };
            assert_eq!(read(&all, sizes, 0), [keys_of(b"a"), vec![paste], keys_of(b"b")].concat());
        }
        let empty = Typed::Paste { bytes: Vec::new(), first: true, last: true };
        assert_eq!(read(b"\x1b[200~\x1b[201~", &[1], 0), [empty]);
        let mut keyboard = Keyboard::default();
        let pieces = keyboard.read(Timestamp::ZERO, &[b"\x1b[200~".as_slice(), &[b'q'; 3000]].concat());
        assert!(
            pieces.iter().all(|piece| matches!(piece, Typed::Paste { bytes, last: false, .. } if bytes.len() <= 512))
        );
        assert!(matches!(pieces[0], Typed::Paste { first: true, .. }));
        assert!(matches!(pieces[1], Typed::Paste { first: false, .. }));
    }

    #[test]
    fn an_escape_and_what_only_looks_like_an_answer_are_keys_after_a_moment() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.read(Timestamp::ZERO, b"\x1b"), []);
        assert_eq!(keyboard.deadline(), Some(Timestamp::ZERO + SEQUENCE_WITHIN));
        assert_eq!(keyboard.on_time(Timestamp::ZERO + SEQUENCE_WITHIN), keys_of(b"\x1b"));
        assert_eq!(keyboard.deadline(), None);
        // Alt and a bracket, then more.
        assert_eq!(keyboard.read(Timestamp::ZERO, b"\x1b]ab"), []);
        assert_eq!(keyboard.read(LATER, b"c"), keys_of(b"\x1b]abc"));
    }

    #[test]
    fn an_endless_answer_grows_nothing_and_ends_some_time() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.read(Timestamp::ZERO, b"\x1bP"), []);
        for _ in 0..100 {
            assert_eq!(keyboard.read(Timestamp::ZERO, &[b'x'; 1000]), []);
        }
        assert!(keyboard.held.len() <= MAX_STRING && keyboard.deadline().is_none());
        assert_eq!(keyboard.read(Timestamp::ZERO, b"\x1b\\k"), keys_of(b"k"));
    }
}
