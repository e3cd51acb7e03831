//! Keeps of a script the parts that the bare model does as the descriptions of terminals say.

use beach_core::terminal::Size;

use super::script::Step;

/// The further commands that a script may have: margins, or movements of the cursor. No script has both, since the bare
/// model does not stop at margins as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Margins,
    Movement,
}

/// The script without commands that the bare model does not know, or does otherwise.
pub(crate) fn common(steps: &[Step], with: With) -> Vec<Step> {
    let steps = steps.iter().map(|step| match step {
        Step::Write(bytes) => Step::Write(written(bytes, with)),
        Step::Resize(cols, rows) => Step::Resize(*cols, (*rows).max(least_rows(with))),
    });
    steps.collect()
}

/// A region of a single row is ignored; the bare model moves the cursor all the same.
fn least_rows(with: With) -> u16 {
    match with {
        With::Margins => 2,
        With::Movement => 1,
    }
}

pub(crate) fn common_size(size: Size, with: With) -> Size {
    Size::new(size.cols, size.rows.max(least_rows(with)))
}

fn written(mut bytes: &[u8], with: With) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (sequence, rest) = match (first, rest.first()) {
            (0x1b, Some(b'[')) => {
                let end = rest[1..].iter().position(|byte| (b'@'..=b'~').contains(byte) || *byte == 0x1b);
                let end = end.map_or(rest.len(), |end| if rest[1 + end] == 0x1b { 1 + end } else { 2 + end });
                (control(&rest[1..end], with), &rest[end..])
            }
            (0x1b, Some(b' '..=b'/')) => {
                // Controls within an escape are executed, and another one begins anew.
                let end = rest.iter().position(|byte| (b'0'..=b'~').contains(byte) || *byte == 0x1b);
                let end = end.map_or(rest.len(), |end| if rest[end] == 0x1b { end } else { end + 1 });
                (escape(&rest[..end]), &rest[end..])
            }
            (0x1b, Some(b'0'..=b'~')) => (escape(&rest[..1]), &rest[1..]),
            (0x1b, _) => (Vec::new(), rest),
            // SO
            (0x0e, _) => (Vec::new(), rest),
            _ => (vec![*first], rest),
        };
        kept.extend(sequence);
        bytes = rest;
    }
    kept
}

fn escape(sequence: &[u8]) -> Vec<u8> {
    match sequence.last() {
        Some(b'n' | b'o' | b'N' | b'O' | b'6' | b'9' | b'A') | None => Vec::new(),
        Some(_) => [b"\x1b", sequence].concat(),
    }
}

fn control(sequence: &[u8], with: With) -> Vec<u8> {
    let Some((&last, text)) = sequence.split_last() else { return Vec::new() };
    let modes = ["3", "6", "40", "45", "47", "69", "1047", "1048", "2026"];
    let text = String::from_utf8_lossy(text).into_owned();
    let is_marked = text.contains([' ', '!', '$', '\'', '*', '"']) && last != b'q';
    let is_mode = text.starts_with('?') && text[1..].split(';').any(|mode| modes.contains(&mode));
    let bottom = text.split(';').next_back().unwrap_or_default().to_owned();
    let (text, last) = match last {
        _ if is_marked => return Vec::new(),
        b'h' | b'l' if is_mode => return Vec::new(),
        b'@'..=b'~' => match (with, last) {
            (With::Margins, b'A' | b'B' | b'E' | b'F' | b'e' | b'k') => (text, b'C'),
            (With::Movement, b'r') if !text.is_empty() => (text, b'H'),
            (With::Margins, b'r') if bottom.len() > 1 => (bottom, b'r'),
            (With::Margins, b'r') if !bottom.is_empty() => (format!("1;{bottom}"), b'r'),
            // Only from below the second row does the bare model erase all above.
            (_, b'J') if text == "1" => (text, b'K'),
            // At the end of a row the bare model deletes too much.
            (_, b'P') => ("1".to_owned(), b'P'),
            (_, last) => (text, last),
        },
        _ => return Vec::new(),
    };
    [b"\x1b[", text.as_bytes(), &[last]].concat()
}
