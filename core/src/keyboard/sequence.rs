//! Control sequences: which are keys, and which are a terminal's answers.

/// The brackets around a paste.
pub(super) const PASTE_BEGINS: &[u8] = b"\x1b[200~";
pub(super) const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// The bits of a key's second parameter, less one: Shift, Alt, Ctrl, Super, Hyper, Meta, Caps Lock, Num Lock.
const MODIFIERS: std::ops::RangeInclusive<u16> = 2..=256;

/// The kinds of control sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// A key, the mouse, the focus, or something unheard of: not an answer.
    Key,
    /// The terminal's answer to a query of any program.
    Answer,
    /// A paste follows.
    PasteBegins,
    /// Where the cursor is, 0-based; on the first row the third function key with modifiers is written the same.
    CursorReport { row: u16, col: u16, may_be_key: bool },
}

impl Control {
    /// Reads a sequence: an escape, a bracket, parameters, intermediates, and a last byte.
    pub(super) fn of(sequence: &[u8]) -> Control {
        let Some((last, body)) = sequence.get(2..).and_then(<[u8]>::split_last) else { return Control::Key };
        let middle = body.iter().rposition(|byte| !(0x20..0x30).contains(byte)).map_or(0, |at| at + 1);
        let (parameters, intermediates) = body.split_at(middle);
        if Control::is_answer_begun(sequence) {
            return Control::Answer;
        }
        match (intermediates, *last) {
            (b"", b'~') if sequence == PASTE_BEGINS => Control::PasteBegins,
            // The end of no paste.
            (b"", b'~') if sequence == PASTE_ENDS => Control::Answer,
            // State of the device; the window; parameters of the device. No key ends like these.
            (b"", b'n' | b't' | b'x') if !parameters.is_empty() => Control::Answer,
            (b"", b'R') => match parameters_of(parameters) {
                Some([row, col]) if row > 0 && col > 0 => {
                    let may_be_key = row == 1 && MODIFIERS.contains(&col);
                    Control::CursorReport { row: row - 1, col: col - 1, may_be_key }
                }
                Some(_) | None => Control::Key,
            },
            // A mode. With one parameter it is a key of rxvt and the letter after it.
            (b"$", b'y') if parameters.contains(&b';') => Control::Answer,
            _ => Control::Key,
        }
    }

    /// Whether only answers begin like this: attributes, modes and the like have a private marker, and of those the
    /// mouse has `<` alone.
    pub(super) fn is_answer_begun(sequence: &[u8]) -> bool {
        matches!(sequence.get(2), Some(b'?' | b'>' | b'='))
    }
}

/// Where a terminal's cursor is, counted from 1, as the terminal says.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CursorReport {
    pub(crate) row: u16,
    pub(crate) col: u16,
    /// The third function key with modifiers is written the same.
    pub(crate) may_be_key: bool,
}

/// Reads a sequence that says where the cursor is.
#[cfg(feature = "host")]
pub(crate) fn cursor_report(bytes: &[u8]) -> Option<CursorReport> {
    match bytes.starts_with(b"\x1b[").then(|| Control::of(bytes))? {
        Control::CursorReport { row, col, may_be_key } => {
            Some(CursorReport { row: row.saturating_add(1), col: col.saturating_add(1), may_be_key })
        }
        Control::Key | Control::Answer | Control::PasteBegins => None,
    }
}

/// Two numbers with a semicolon between them.
fn parameters_of(bytes: &[u8]) -> Option<[u16; 2]> {
    let (first, second) = std::str::from_utf8(bytes).ok()?.split_once(';')?;
    // `parse` would take a sign.
    let number = |text: &str| if text.starts_with('+') { None } else { text.parse().ok() };
    Some([number(first)?, number(second)?])
}
