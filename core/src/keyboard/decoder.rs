//! Cuts what a terminal sends into pieces, and says of each piece which key it is, in whatever encoding.
//!
//! This module does not change, drop or reorder a byte.

use super::encoding::piece_of;
use super::sequence::{PASTE_BEGINS, PASTE_ENDS};
use super::strings::Strings;
use super::{KEY_PATIENCE, MAX_PASTE, MAX_SEQUENCE, PASTE_SILENCE, SEQUENCE_PATIENCE, STRING_PATIENCE};
use crate::time::Timestamp;

/// The meaning of some bytes of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A key that is pressed, or repeats.
    Key(Key),
    /// A key without a byte of its own: an arrow, a character beyond ASCII, a key with Alt.
    OtherKey,
    /// The key of this code is let go.
    Released(u32),
    /// No key: the mouse, the focus, a modifier by itself, an answer, another key that is let go.
    Report,
    /// A part of a paste, its brackets included.
    Pasted,
}

/// A key that a terminal without any protocol sends as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The byte of the key.
    pub(crate) byte: u8,
    /// The key's code in the kitty keyboard protocol, whatever the modifiers; 0 if it came otherwise.
    pub(crate) code: u32,
}

impl Key {
    pub(super) fn plain(byte: u8) -> Key {
        Key { byte, code: 0 }
    }
}

/// Reads a terminal's bytes, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    /// The piece that is begun, or the last whole one.
    bytes: Vec<u8>,
    /// The first so many of them were given out before the piece was whole.
    given: usize,
    /// When the piece was begun; for pastes and strings, when the last byte came.
    since: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// An escape.
    Escape,
    /// An escape and an `O`: a key of the keypad, or an arrow.
    Single,
    /// An escape and a bracket.
    Control,
    /// This many bytes of any value follow: a mouse report of the oldest kind, a function key of the Linux console.
    Raw(u8, Raw),
    /// An escape and what introduces a string of this kind. Both are a key with Alt as well.
    Introduced(Strings),
    Within(Strings),
    /// In a string, after an escape that may begin the string's end.
    Ending(Strings),
    /// Inside a paste: the bytes of its end that were read, and the bytes that may still come before its end.
    Pasting {
        read: usize,
        left: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raw {
    Mouse,
    Function,
}

impl Raw {
    fn piece(self) -> Piece {
        match self {
            Raw::Mouse => Piece::Report,
            Raw::Function => Piece::OtherKey,
        }
    }
}

/// The effect of one more byte on the piece.
enum Step {
    /// The piece goes on.
    More(State),
    /// The piece ends with the byte.
    Whole(Piece, State),
    /// The piece has ended before the byte.
    Before(Piece, State),
}

impl Decoder {
    /// The next whole piece at the start of `rest`, which is taken from there; nothing if the piece is only begun. Its
    /// bytes are [`bytes`](Decoder::bytes).
    pub(crate) fn next(&mut self, now: Timestamp, rest: &mut &[u8]) -> Option<Piece> {
        if rest.is_empty() {
            return None;
        }
        if let Some(piece) = self.on_time(now) {
            return Some(piece);
        }
        self.clear();
        while let Some((&byte, after)) = rest.split_first() {
            if !self.is_begun() {
                self.since = now;
            }
            self.bytes.push(byte);
            match self.step(byte) {
                Step::More(state) => self.state = state,
                Step::Whole(piece, state) => {
                    *rest = after;
                    self.state = state;
                    return Some(self.told(piece));
                }
                Step::Before(piece, state) => {
                    self.bytes.pop();
                    self.state = state;
                    return Some(self.told(piece));
                }
            }
            *rest = after;
        }
        // Pastes and strings are passed on as they come.
        match self.state {
            State::Within(_) => Some(Piece::Report),
            State::Pasting { .. } => Some(Piece::Pasted),
            State::Ground
            | State::Escape
            | State::Single
            | State::Control
            | State::Raw(..)
            | State::Introduced(_)
            | State::Ending(_) => None,
        }
    }

    /// The last piece's bytes, but for those that were given out before.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.given..]
    }

    /// Gives out the bytes of the unfinished piece; the piece's end follows.
    #[cfg(feature = "host")]
    pub(crate) fn give(&mut self) -> &[u8] {
        if !self.is_begun() {
            return &[];
        }
        let before = std::mem::replace(&mut self.given, self.bytes.len());
        &self.bytes[before..]
    }

    /// When the unfinished piece ends, if no more of its bytes come before.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.given == self.bytes.len() {
            return None;
        }
        self.due_at()
    }

    /// Ends an unfinished sequence whose rest did not come in time: it becomes a piece.
    pub(crate) fn on_time(&mut self, now: Timestamp) -> Option<Piece> {
        let has_fallen_silent = |patience| self.since + patience <= now;
        if matches!(self.state, State::Pasting { .. }) && has_fallen_silent(PASTE_SILENCE)
            || matches!(self.state, State::Within(_)) && has_fallen_silent(STRING_PATIENCE)
        {
            self.state = State::Ground;
        }
        if self.due_at().is_none_or(|due| now < due) {
            return None;
        }
        self.end()
    }

    /// The unfinished piece gets no more bytes, as [`Keyboard`](super::Keyboard) has decided. The last bytes of these
    /// few look like keys to a keyboard.
    pub(super) fn settle(&mut self) -> Option<Piece> {
        if matches!(self.state, State::Raw(..) | State::Single) { None } else { self.end() }
    }

    /// Until when a paste goes on, if one does.
    #[cfg(feature = "host")]
    pub(crate) fn paste_until(&self) -> Option<Timestamp> {
        matches!(self.state, State::Pasting { .. }).then(|| self.since + PASTE_SILENCE)
    }

    fn due_at(&self) -> Option<Timestamp> {
        let patience = match self.state {
            State::Ground | State::Within(_) | State::Pasting { .. } => return None,
            State::Escape | State::Single | State::Introduced(_) | State::Ending(_) => KEY_PATIENCE,
            State::Control if self.bytes.len() <= 2 => KEY_PATIENCE,
            State::Control | State::Raw(..) => SEQUENCE_PATIENCE,
        };
        Some(self.since + patience)
    }

    /// Ends the unfinished piece and returns it; a string or a paste goes on.
    pub(super) fn end(&mut self) -> Option<Piece> {
        let piece = match self.state {
            State::Ground | State::Within(_) | State::Pasting { .. } => return None,
            State::Escape | State::Ending(_) => Piece::Key(Key::plain(0x1b)),
            State::Single | State::Control | State::Introduced(_) => Piece::OtherKey,
            State::Raw(_, raw) => raw.piece(),
        };
        self.state = State::Ground;
        Some(self.told(piece))
    }

    /// Whether the bytes are those of a piece that is not whole.
    fn is_begun(&self) -> bool {
        match self.state {
            State::Ground | State::Within(_) | State::Pasting { .. } => false,
            State::Escape
            | State::Single
            | State::Control
            | State::Raw(..)
            | State::Introduced(_)
            | State::Ending(_) => true,
        }
    }

    fn clear(&mut self) {
        if !self.is_begun() {
            self.bytes.clear();
            self.given = 0;
        }
    }

    /// A key of which a part is the program's already is no key for us.
    fn told(&self, piece: Piece) -> Piece {
        if matches!(piece, Piece::Key(_)) && self.given > 0 { Piece::OtherKey } else { piece }
    }

    /// The effect of one more byte in the present state.
    fn step(&self, byte: u8) -> Step {
        match self.state {
            State::Ground => ground(byte),
            State::Escape => escape(byte),
            State::Single => self.single(byte),
            State::Control => self.control(byte),
            State::Raw(_, raw) if byte == 0x1b => Step::Before(raw.piece(), State::Ground),
            State::Raw(1, raw) => Step::Whole(raw.piece(), State::Ground),
            State::Raw(left, raw) => Step::More(State::Raw(left - 1, raw)),
            State::Introduced(strings) => self.introduced(strings, byte),
            State::Within(strings) => self.within(strings, byte),
            State::Ending(_) if byte == b'\\' => Step::Whole(Piece::Report, State::Ground),
            State::Ending(_) => escape(byte),
            State::Pasting { read, left } => pasting(read, left, byte),
        }
    }

    fn single(&self, byte: u8) -> Step {
        match byte {
            b'0'..=b'9' | b';' if self.bytes.len() < MAX_SEQUENCE => Step::More(State::Single),
            b'M' if self.bytes.len() == 3 => Step::Whole(Piece::Key(Key::plain(b'\r')), State::Ground),
            b'p'..=b'y' if self.bytes.len() == 3 => {
                Step::Whole(Piece::Key(Key::plain(byte - b'p' + b'0')), State::Ground)
            }
            0x20..=0x7e => Step::Whole(Piece::OtherKey, State::Ground),
            _ => Step::Before(Piece::OtherKey, State::Ground),
        }
    }

    fn control(&self, byte: u8) -> Step {
        match (byte, self.bytes.as_slice()) {
            (0x20..=0x3f, bytes) if bytes.len() < MAX_SEQUENCE => Step::More(State::Control),
            (b'M', [_, _, _]) => Step::More(State::Raw(3, Raw::Mouse)),
            (b'[', [_, _, _]) => Step::More(State::Raw(1, Raw::Function)),
            (0x40..=0x7e, bytes) if bytes == PASTE_BEGINS => {
                Step::Whole(Piece::Pasted, State::Pasting { read: 0, left: MAX_PASTE })
            }
            (0x40..=0x7e, bytes) => Step::Whole(piece_of(bytes), State::Ground),
            // No control sequence goes on like this, or that long.
            _ => Step::Before(Piece::OtherKey, State::Ground),
        }
    }

    fn introduced(&self, strings: Strings, byte: u8) -> Step {
        // Of a picture only the answer to one begins with a letter.
        let is_answer = strings.is_answer(&self.bytes) || strings == Strings::Other && byte == b'G';
        if is_answer {
            Step::Whole(Piece::Report, State::Within(strings))
        } else {
            Step::Before(Piece::OtherKey, State::Ground)
        }
    }

    fn within(&self, strings: Strings, byte: u8) -> Step {
        match byte {
            0x07 if strings.ends_at_bell() => Step::Whole(Piece::Report, State::Ground),
            // Strings have no controls: an end may follow, or a person is typing.
            0x00..0x20 if self.bytes.len() > 1 => Step::Before(Piece::Report, State::Within(strings)),
            0x1b => Step::More(State::Ending(strings)),
            0x00..0x20 => ground(byte),
            _ => Step::More(State::Within(strings)),
        }
    }
}

fn ground(byte: u8) -> Step {
    match byte {
        0x1b => Step::More(State::Escape),
        0x00..=0x7f => Step::Whole(Piece::Key(Key::plain(byte)), State::Ground),
        _ => Step::Whole(Piece::OtherKey, State::Ground),
    }
}

fn escape(byte: u8) -> Step {
    match (byte, Strings::introduced_by(byte)) {
        // Two keys.
        (0x00..0x20, _) => Step::Before(Piece::Key(Key::plain(0x1b)), State::Ground),
        (b'[', _) => Step::More(State::Control),
        (b'O', _) => Step::More(State::Single),
        (_, Some(strings)) => Step::More(State::Introduced(strings)),
        (_, None) => Step::Whole(Piece::OtherKey, State::Ground),
    }
}

fn pasting(read: usize, left: usize, byte: u8) -> Step {
    let read = if byte == PASTE_ENDS[read] { read + 1 } else { usize::from(byte == PASTE_ENDS[0]) };
    if read == PASTE_ENDS.len() || left == 0 {
        Step::Whole(Piece::Pasted, State::Ground)
    } else {
        Step::More(State::Pasting { read, left: left - 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of some bytes that come at once, with their lengths.
    fn pieces(bytes: &[u8]) -> Vec<(Piece, usize)> {
        let (mut decoder, mut rest, mut pieces) = (Decoder::default(), bytes, Vec::new());
        while let Some(piece) = decoder.next(Timestamp::ZERO, &mut rest) {
            pieces.push((piece, decoder.bytes().len()));
        }
        if let Some(piece) = decoder.end() {
            pieces.push((piece, decoder.bytes().len()));
        }
        let total: usize = pieces.iter().map(|(_, length)| length).sum();
        assert_eq!(total, bytes.len(), "{}", bytes.escape_ascii());
        pieces
    }

    #[test]
    fn a_key_is_known_in_every_encoding() {
        let key = |byte: u8, code| Piece::Key(Key { byte, code });
        let cases: [(&[u8], Piece); 47] = [
            (b"\x1d", key(0x1d, 0)),
            (b"y", key(b'y', 0)),
            (b"\x1b", key(0x1b, 0)),
            (b"\x1b[27u", key(0x1b, 27)),
            (b"\x1b[13u", key(b'\r', 13)),
            (b"\x1b[57414u", key(b'\r', 57414)),
            (b"\x1b[57400u", key(b'1', 57400)),
            (b"\x1b[93;5u", key(0x1d, 93)),
            (b"\x1b[93;5:1u", key(0x1d, 93)),
            (b"\x1b[93;5:2u", key(0x1d, 93)),
            (b"\x1b[93;5:3u", Piece::Released(93)),
            (b"\x1b[93;69u", key(0x1d, 93)),
            (b"\x1b[1098::93;5u", key(0x1d, 1098)),
            (b"\x1b[27;5;93~", key(0x1d, 0)),
            (b"\x1b[45;6u", key(0x1f, 45)),
            (b"\x1b[122;5u", key(0x1a, 122)),
            (b"\x1b[122;6u", Piece::OtherKey),
            (b"\x1b[121u", key(b'y', 121)),
            (b"\x1b[97;2u", key(b'A', 97)),
            (b"\x1b[47:63;2u", key(b'?', 47)),
            (b"\x1b[47;2u", key(b'?', 47)),
            (b"\x1b[96;2u", key(b'~', 96)),
            (b"\x1b[96:126;2u", key(b'~', 96)),
            (b"\x1b[96:126;2;126u", key(b'~', 96)),
            (b"\x1b[96:126;2;126:126u", Piece::OtherKey),
            // Where `~` stands elsewhere: with AltGr, with Option, on a key of its own.
            (b"\x1b[43;;126u", key(b'~', 43)),
            (b"\x1b[110;3;126u", key(b'~', 110)),
            (b"\x1b[126u", key(b'~', 126)),
            (b"\x1b[27;2;126~", key(b'~', 0)),
            // On a German keyboard Shift and this key type a degree sign.
            (b"\x1b[94:176;2;176u", Piece::OtherKey),
            (b"\x1b[97;3u", Piece::OtherKey),
            (b"\x1b[57441;2u", Piece::Report),
            (b"\x1b[57454;1:3u", Piece::Report),
            (b"\x1b[A", Piece::OtherKey),
            (b"\x1b[1;1:3A", Piece::Report),
            (b"\x1b[3;1:3~", Piece::Report),
            (b"\x1b[27;5~", Piece::OtherKey),
            (b"\x1b[[A", Piece::OtherKey),
            (b"\x1bOP", Piece::OtherKey),
            (b"\x1bOM", key(b'\r', 0)),
            (b"\x1b[<0;3;4M", Piece::Report),
            (b"\x1b[32;3;4M", Piece::Report),
            (b"\x1b[M ~.", Piece::Report),
            (b"\x1b[I", Piece::Report),
            (b"\x1b[O", Piece::Report),
            (b"\x1b[?62;4c", Piece::Report),
            (b"\x1b[24;80R", Piece::Report),
        ];
        for (bytes, expected) in cases {
            assert_eq!(pieces(bytes), [(expected, bytes.len())], "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn strings_and_pastes_are_no_keys_and_end() {
        let report = |length| (Piece::Report, length);
        let key = |byte| (Piece::Key(Key::plain(byte)), 1);
        assert_eq!(pieces(b"\x1b]11;rgb:0/0/0\x1b\\~"), [report(3), report(11), report(2), key(b'~')]);
        assert_eq!(pieces(b"\x1b]11;rgb:0/0/0\x07~"), [report(3), report(12), key(b'~')]);
        assert_eq!(pieces(b"\x1b]11;rgb\x1dk"), [report(3), report(5), key(0x1d), key(b'k')]);
        assert_eq!(pieces(b"\x1b]x"), [(Piece::OtherKey, 2), key(b'x')], "a key with Alt");
        assert_eq!(pieces(b"\x1b[200~~.\x1b[201~~"), [(Piece::Pasted, 6), (Piece::Pasted, 8), key(b'~')]);
        assert_eq!(pieces(b"\x1b\r~"), [key(0x1b), key(b'\r'), key(b'~')]);
    }

    #[test]
    fn a_paste_without_an_end_is_over_after_a_silence_or_very_many_bytes() {
        let mut decoder = Decoder::default();
        let at = |millis| Timestamp::ZERO + std::time::Duration::from_millis(millis);
        let mut read = |now, mut bytes: &[u8]| {
            let mut last = None;
            while let Some(piece) = decoder.next(now, &mut bytes) {
                last = Some(piece);
            }
            last
        };
        assert_eq!(read(at(0), b"\x1b[200~A"), Some(Piece::Pasted));
        assert_eq!(read(at(1999), b"B"), Some(Piece::Pasted));
        assert_eq!(read(at(3999), b"C"), Some(Piece::Key(Key::plain(b'C'))));

        read(at(4000), b"\x1b[200~");
        let mebibyte = vec![b'x'; 1024 * 1024];
        for _ in 0..16 {
            assert_eq!(read(at(4000), &mebibyte), Some(Piece::Pasted));
        }
        assert_eq!(read(at(4000), b"xC"), Some(Piece::Key(Key::plain(b'C'))));
    }

    #[test]
    fn half_a_key_waits_a_little_and_the_half_that_was_given_out_is_not_given_again() {
        let mut decoder = Decoder::default();
        let at = |millis| Timestamp::ZERO + std::time::Duration::from_millis(millis);
        assert_eq!(decoder.next(at(0), &mut b"\x1b[93;".as_slice()), None);
        assert_eq!((decoder.deadline(), decoder.on_time(at(249))), (Some(at(250)), None));
        assert_eq!((decoder.on_time(at(250)), decoder.bytes()), (Some(Piece::OtherKey), b"\x1b[93;".as_slice()));

        assert_eq!(decoder.next(at(300), &mut b"\x1b[93".as_slice()), None);
        assert_eq!(decoder.give(), b"\x1b[93");
        assert_eq!(decoder.deadline(), None);
        assert_eq!(decoder.next(at(310), &mut b";5u".as_slice()), Some(Piece::OtherKey), "no key of ours any more");
        assert_eq!(decoder.bytes(), b";5u");
    }
}
