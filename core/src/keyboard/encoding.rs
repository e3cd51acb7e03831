//! Keys as control sequences: `ESC[93;5u` (the kitty keyboard protocol) and `ESC[27;5;93~` (xterm's modifyOtherKeys).

use super::decoder::{Key, Piece};
use super::sequence::Control;

const SHIFT: u32 = 1;
const CTRL: u32 = 4;

/// Caps lock and num lock, which change nothing here.
const LOCKS: u32 = 64 | 128;

/// The type of the event in which a key is let go.
const RELEASED: u32 = 3;

/// The meaning of a whole control sequence: an escape, a bracket, parameters, and a last byte.
pub(super) fn piece_of(sequence: &[u8]) -> Piece {
    let Some((last, parameters)) = sequence.get(2..).and_then(<[u8]>::split_last) else { return Piece::OtherKey };
    match Control::of(sequence) {
        Control::Answer | Control::CursorReport { may_be_key: false, .. } => return Piece::Report,
        Control::CursorReport { may_be_key: true, .. } | Control::PasteBegins => return Piece::OtherKey,
        Control::Key => {}
    }
    match (parameters, *last) {
        // The mouse, in the encodings of xterm and rxvt; the focus.
        ([b'<', ..], _) | ([_, ..], b'M') | ([], b'I' | b'O') => return Piece::Report,
        _ => {}
    }
    let Some(fields) = Fields::of(parameters) else { return Piece::OtherKey };
    let key = match *last {
        b'u' => key_of(&fields),
        b'~' if fields.key.first() == Some(&Some(27)) && !fields.text.is_empty() => other_key_of(&fields),
        _ => None,
    };
    match key {
        Some(piece) => piece,
        None if fields.event() == RELEASED => Piece::Report,
        None => Piece::OtherKey,
    }
}

/// Numbers between semicolons, and within each field between colons.
#[derive(Default)]
struct Fields {
    /// The key's code, the code with Shift, and the code on a US keyboard.
    key: Vec<Option<u32>>,
    /// The modifiers plus one, and the type of the event.
    modifiers: Vec<Option<u32>>,
    /// The characters that the key types; for modifyOtherKeys the key itself.
    text: Vec<Option<u32>>,
}

impl Fields {
    fn of(parameters: &[u8]) -> Option<Fields> {
        let text = std::str::from_utf8(parameters).ok()?;
        if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) {
            return None;
        }
        let mut fields = text.split(';').map(|field| field.split(':').map(|number| number.parse().ok()).collect());
        let mut next = || fields.next().unwrap_or_default();
        Some(Fields { key: next(), modifiers: next(), text: next() })
    }

    fn modifiers(&self) -> u32 {
        self.modifiers.first().copied().flatten().unwrap_or(1).saturating_sub(1) & !LOCKS
    }

    fn event(&self) -> u32 {
        self.modifiers.get(1).copied().flatten().unwrap_or(1)
    }
}

/// A key of the kitty keyboard protocol.
fn key_of(fields: &Fields) -> Option<Piece> {
    let number = |at: usize| fields.key.get(at).copied().flatten();
    let code = number(0)?;
    if is_modifier(code) {
        return Some(Piece::Report);
    }
    if fields.event() == RELEASED {
        return Some(Piece::Released(code));
    }
    let text: Vec<u32> = fields.text.iter().flatten().copied().filter(|character| *character != 0).collect();
    let byte = match text[..] {
        [character] => ascii(character),
        [_, _, ..] => None,
        [] => typed(code, number(1), number(2), fields.modifiers()),
    };
    Some(byte.map_or(Piece::OtherKey, |byte| Piece::Key(Key { byte, code })))
}

/// A key of modifyOtherKeys. Such a key is told with Shift already applied, and its release never.
fn other_key_of(fields: &Fields) -> Option<Piece> {
    let code = fields.text.first().copied().flatten()?;
    Some(typed(code, Some(code), None, fields.modifiers()).map_or(Piece::OtherKey, |byte| Piece::Key(Key::plain(byte))))
}

/// The byte that a terminal without any protocol sends for a key, if it is one byte.
fn typed(code: u32, shifted: Option<u32>, base: Option<u32>, modifiers: u32) -> Option<u8> {
    if let Some(byte) = keypad(code) {
        return Some(byte).filter(|_| modifiers == 0);
    }
    let with_shift = || shifted.map_or_else(|| ascii(code).map(us_shifted), ascii);
    match modifiers {
        0 => ascii(code),
        SHIFT => with_shift(),
        // On a keyboard without Latin letters the US keyboard's letter counts.
        CTRL => ascii(code).or_else(|| ascii(base?)).and_then(control),
        _ if modifiers == CTRL | SHIFT => with_shift().filter(|byte| !byte.is_ascii_alphabetic()).and_then(control),
        _ => None,
    }
}

fn ascii(code: u32) -> Option<u8> {
    u8::try_from(code).ok().filter(u8::is_ascii)
}

/// A character with Ctrl.
fn control(byte: u8) -> Option<u8> {
    (byte.is_ascii_alphabetic() || (0x40..0x60).contains(&byte)).then_some(byte & 0x1f)
}

/// Keys that only change others: Caps Lock, Scroll Lock and Num Lock; both Shifts, Controls, Alts and their like.
fn is_modifier(code: u32) -> bool {
    matches!(code, 57358..=57360 | 57441..=57454)
}

/// The keypad's keys that have a code of their own.
fn keypad(code: u32) -> Option<u8> {
    let at = code.checked_sub(57399)?;
    b"0123456789./*-+\r=,".get(usize::try_from(at).ok()?).copied()
}

/// A key with Shift on a US keyboard, for terminals that tell only the key.
fn us_shifted(byte: u8) -> u8 {
    const PLAIN: &[u8] = b"1234567890-=[]\\;',./`";
    const SHIFTED: &[u8] = b"!@#$%^&*()_+{}|:\"<>?~";
    match PLAIN.iter().position(|plain| *plain == byte) {
        Some(at) => SHIFTED[at],
        None => byte.to_ascii_uppercase(),
    }
}
