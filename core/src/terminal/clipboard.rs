//! Clipboard text of a program (OSC 52).

#[cfg(feature = "host")]
use data_encoding::BASE64_NOPAD;

/// Longest text that a program may put on a clipboard, in bytes before it is cleaned; a longer one is not taken at all,
/// since half of it would be worse than nothing. More than a person copies from a screen and its history at once; less
/// than a hundred frames on a link.
pub const MAX_CLIPBOARD: usize = 64 * 1024;

/// The sequence that puts a text into a terminal's clipboard, if the terminal permits it (OSC 52).
#[must_use]
pub fn to_clipboard(text: &str) -> String {
    format!("\x1b]52;c;{}\x1b\\", data_encoding::BASE64.encode(text.as_bytes()))
}

/// The text that a program gave in base64, as far as it may be pasted: no controls but tabs and line feeds. `None` if
/// nothing is left, or if the bytes are not text, or too many.
#[cfg(feature = "host")]
pub(super) fn decode(base64: &[u8]) -> Option<String> {
    // Three bytes in four characters.
    const LONGEST: usize = MAX_CLIPBOARD.div_ceil(3) * 4;
    if base64.len() > LONGEST {
        return None;
    }
    let padding = base64.iter().rev().take_while(|byte| **byte == b'=').count();
    let bytes = BASE64_NOPAD.decode(&base64[..base64.len() - padding]).ok()?;
    if bytes.len() > MAX_CLIPBOARD {
        return None;
    }
    let text = String::from_utf8(bytes).ok()?;
    let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n')).collect();
    (!clean.is_empty()).then_some(clean)
}
