//! The host's escape: a key that begins a command, in whatever encoding the terminal sends it.
//!
//! What is typed goes to the program byte for byte, so one key is taken out of it, and only while the person may want
//! it. It works anywhere, not at the start of a line alone as a viewer's does: editors have no lines to start. Terminals
//! send a key with Ctrl as a control character, or as the program asked them to: `ESC[93;5u` (the kitty keyboard
//! protocol) or `ESC[27;5;93~` (xterm's modifyOtherKeys).

use serde::{Deserialize, Serialize};

/// When the host's escape means something.
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
    /// The key that means something now.
    pub(super) fn key(self, asked: bool) -> Option<u8> {
        match self {
            Escape::Never => None,
            Escape::WhenAsked(key) => Some(key).filter(|_| asked),
            Escape::Always(key) => Some(key),
        }
    }
}

/// A key as a person would write it: `^]`, `~`.
pub(super) fn name(key: u8) -> String {
    if key < 0x20 { format!("^{}", char::from(key | 0x40)) } else { char::from(key).to_string() }
}

/// A key at the start of some bytes, and how many of them it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// As a terminal without any protocol would send it.
    pub(super) byte: u8,
    pub(super) length: usize,
    /// It was let go: nothing happens then.
    pub(super) released: bool,
}

/// The first key of `bytes`; nothing for a sequence that is none, such as a mouse's.
pub(super) fn first_key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        [0x1b, b'[', rest @ ..] => encoded(rest).map(|key| Key { length: key.length + 2, ..key }),
        [0x1b, _, ..] => None,
        [byte, ..] => Some(Key { byte: *byte, length: 1, released: false }),
        [] => None,
    }
}

const CTRL: u32 = 4;

/// Caps lock and num lock, which change nothing here.
const LOCKS: u32 = 64 | 128;

const SHIFT: u32 = 1;

const RELEASED: u32 = 3;

/// What follows `ESC[`, if it is a key in one of the two encodings.
fn encoded(rest: &[u8]) -> Option<Key> {
    let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    let mut fields = text.split(';').map(|field| field.split(':').map(|number| number.parse::<u32>().ok()));
    let mut next = || {
        let mut numbers = fields.next()?;
        Some((numbers.next().flatten(), numbers.next().flatten()))
    };
    let (code, shifted, modifiers, event) = match rest[end] {
        b'u' => {
            let (code, shifted) = next()?;
            let (modifiers, event) = next().unwrap_or_default();
            (code?, shifted, modifiers, event)
        }
        b'~' => {
            let (Some(27), _) = next()? else { return None };
            let (modifiers, _) = next()?;
            (next()?.0?, None, modifiers, None)
        }
        _ => return None,
    };
    let modifiers = modifiers.unwrap_or(1).saturating_sub(1) & !LOCKS;
    let code = if modifiers == SHIFT { shifted.unwrap_or(code) } else { code };
    let byte = u8::try_from(code).ok().filter(u8::is_ascii)?;
    let byte = match modifiers {
        0 | SHIFT => byte,
        CTRL if byte.is_ascii_alphabetic() || (0x40..0x60).contains(&byte) => byte & 0x1f,
        _ => return None,
    };
    Some(Key { byte, length: end + 1, released: event == Some(RELEASED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_in_every_encoding() {
        type Known = Option<(u8, usize, bool)>;
        let cases: [(&[u8], Known); 13] = [
            (b"\x1dy", Some((0x1d, 1, false))),
            (b"y", Some((b'y', 1, false))),
            (b"\x1b", Some((0x1b, 1, false))),
            (b"\x1b[93;5uy", Some((0x1d, 7, false))),
            (b"\x1b[93;5:1u", Some((0x1d, 9, false))),
            (b"\x1b[93;5:3u", Some((0x1d, 9, true))),
            (b"\x1b[93;69u", Some((0x1d, 8, false))),
            (b"\x1b[27;5;93~", Some((0x1d, 10, false))),
            (b"\x1b[121u", Some((b'y', 6, false))),
            (b"\x1b[47:63;2u", Some((b'?', 10, false))),
            (b"\x1b[A", None),
            (b"\x1b[<0;3;4M", None),
            (b"\x1b[27;5~", None),
        ];
        for (bytes, expected) in cases {
            let key = first_key(bytes).map(|key| (key.byte, key.length, key.released));
            assert_eq!(key, expected, "{}", bytes.escape_ascii());
        }
    }
}
