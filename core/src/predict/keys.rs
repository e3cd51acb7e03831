//! The predictable part of typed bytes.

use unicode_width::UnicodeWidthChar as _;

/// A key, as far as its echo can be foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character of this many columns, one or two.
    Print(char, u8),
    Backspace,
    Left,
    Right,
    Return,
    /// A key whose effect only the program knows.
    Other,
}

/// Reads typed bytes; knows sequences that are cut in two.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    /// The beginning of a character.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// A control sequence, with or without parameters.
    Control {
        plain: bool,
    },
    /// A key of the keypad, or an arrow in application mode.
    Single,
    /// This many bytes of any value follow: a mouse report of the oldest kind, a function key of the Linux console.
    Raw(u8),
}

impl Keys {
    /// The keys in `bytes`. A sequence that is only begun counts as one that cannot be foretold.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| self.byte(*byte)).collect();
        if self.state != State::Ground {
            keys.push(Key::Other);
        }
        if self.state == State::Escape {
            // Sequences come whole, so it was the key.
            self.state = State::Ground;
        }
        keys
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        let (state, key) = match (self.state, byte) {
            (State::Raw(left), _) if left > 1 => (State::Raw(left - 1), None),
            (State::Raw(_), _) => (State::Ground, Some(Key::Other)),
            (State::Ground, 0x1b) => {
                let cut = !self.begun.is_empty();
                self.begun.clear();
                (State::Escape, cut.then_some(Key::Other))
            }
            (_, 0x1b) => (State::Escape, Some(Key::Other)),
            (State::Ground, _) => (State::Ground, self.character(byte)),
            (State::Escape, b'[') => (State::Control { plain: true }, None),
            (State::Escape, b'O') => (State::Single, None),
            (State::Control { plain: true } | State::Single, b'C') => (State::Ground, Some(Key::Right)),
            (State::Control { plain: true } | State::Single, b'D') => (State::Ground, Some(Key::Left)),
            (State::Control { plain: true }, b'M') => (State::Raw(3), None),
            (State::Control { plain: true }, b'[') => (State::Raw(1), None),
            (State::Control { .. }, 0x20..=0x3f) => (State::Control { plain: false }, None),
            (State::Escape | State::Control { .. } | State::Single, _) => (State::Ground, Some(Key::Other)),
        };
        self.state = state;
        key
    }

    fn character(&mut self, byte: u8) -> Option<Key> {
        if byte < 0x80 && !self.begun.is_empty() {
            // Not a character, and one more that is not predicted behind it.
            self.begun.clear();
            return Some(Key::Other);
        }
        match byte {
            b'\r' => return Some(Key::Return),
            0x7f | 0x08 => return Some(Key::Backspace),
            0x00..0x20 => return Some(Key::Other),
            0x20.. => self.begun.push(byte),
        }
        let c = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.chars().next(),
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => None,
        };
        self.begun.clear();
        // A character without a column joins an earlier cell, in ways that programs disagree about.
        let printed = c.and_then(|c| Some((c, u8::try_from(c.width()?).ok()?))).filter(|(_, columns)| *columns > 0);
        Some(printed.map_or(Key::Other, |(c, columns)| Key::Print(c, columns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_simple_echo_is_foretold() {
        let read = |bytes: &[u8]| Keys::default().read(bytes);
        assert_eq!(read("aé日".as_bytes()), [Key::Print('a', 1), Key::Print('é', 1), Key::Print('日', 2)]);
        assert_eq!(read(b"\x7f\x08\r"), [Key::Backspace, Key::Backspace, Key::Return]);
        assert_eq!(read(b"\x1b[C\x1b[D\x1bOC\x1bOD"), [Key::Right, Key::Left, Key::Right, Key::Left]);
        for other in [
            &b"\t"[..],
            b"\n",
            b"\x03",
            b"\x1b",
            b"\x1b[A",
            b"\x1b[1;5C",
            b"\x1bx",
            b"\x1b[M !!",
            b"\x1b[<0;1;1M",
            b"\x1b[[A",
            b"\x1bOP",
            b"\x1b[I",
            "\u{301}".as_bytes(),
            b"\xff",
            b"\xe9a",
            "\u{85}".as_bytes(),
        ] {
            assert_eq!(read(other), [Key::Other], "{other:?}");
        }
    }

    #[test]
    fn a_character_may_be_cut_and_the_escape_key_is_whole() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"\xe6"), []);
        assert_eq!(keys.read(b"\x97\xa5x"), [Key::Print('日', 2), Key::Print('x', 1)]);
        assert_eq!(keys.read(b"\x1b"), [Key::Other]);
        assert_eq!(keys.read(b"C"), [Key::Print('C', 1)]);
        assert_eq!(keys.read(b"\x1b[M!"), [Key::Other]);
        assert_eq!(keys.read(b"!!a"), [Key::Other, Key::Print('a', 1)]);
    }
}
