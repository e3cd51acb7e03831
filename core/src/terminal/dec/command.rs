//! The commands that the parser drops, read from their bytes.

use vte::ansi::CharsetIndex;

use super::super::rendition::Protection;
use super::rectangles::{Corners, Part};

/// A command. Counts are at least 1; of other numbers 0 stands for the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Command {
    /// Left and right margin, from 1, or else the cursor is saved (DECSLRM, SCOSC).
    Sides { left: u16, right: u16 },
    /// Back to the beginning, as far as text is concerned, without erasing it (DECSTR).
    SoftReset,
    /// The text moves left (SL).
    ColumnsOut { count: u16 },
    /// The text moves right (SR).
    ColumnsIn { count: u16 },
    /// DECIC.
    InsertColumns { count: u16 },
    /// DECDC.
    DeleteColumns { count: u16 },
    /// DECFI.
    ColumnForward,
    /// DECBI.
    ColumnBack,
    /// HPR.
    Right { count: u16 },
    /// VPR.
    Down { count: u16 },
    /// REP.
    Repeat { count: u16 },
    /// DECFRA.
    Fill { code: u16, corners: Corners },
    /// DECERA.
    Erase { corners: Corners },
    /// DECSERA.
    EraseText { corners: Corners },
    /// DECSED, DECSEL.
    EraseUnprotected(Part),
    /// DECSCA.
    Protect(Protection),
    /// SPA, EPA.
    Guard(Protection),
    /// DECCRA.
    Copy { corners: Corners, top: u16, left: u16 },
    /// DECCARA.
    ChangeAttributes { corners: Corners, attributes: Vec<u16> },
    /// DECRARA.
    ReverseAttributes { corners: Corners, attributes: Vec<u16> },
    /// The meaning of the corners of DECCARA and DECRARA (DECSACE).
    Extent { kind: u16 },
    /// LS2, LS3.
    Shift(CharsetIndex),
    /// SS2, SS3.
    ShiftOnce(CharsetIndex),
    /// This set becomes the British one.
    British(CharsetIndex),
}

impl Command {
    /// The command of a control sequence, by the bytes behind its introducer and the last one.
    pub(in crate::terminal) fn of_control(text: &[u8], last: u8) -> Option<Command> {
        let end = text.iter().rposition(|byte| !(b' '..=b'/').contains(byte)).map_or(0, |at| at + 1);
        let (text, marks) = text.split_at(end);
        if let (Some(text), true) = (text.strip_prefix(b"?"), marks.is_empty()) {
            return Command::of_private_control(text, last);
        }
        let is_known = matches!(
            (marks, last),
            (b"", b's' | b'a' | b'b' | b'e')
                | (b" ", b'@' | b'A')
                | (b"'", b'}' | b'~')
                | (b"!", b'p')
                | (b"\"", b'q')
                | (b"$", b'r' | b't' | b'v' | b'x' | b'z' | b'{')
                | (b"*", b'x')
        );
        if !is_known {
            return None;
        }
        // Of a number in parts, the parser and this room take the first part.
        let text = if last == b'b' { text.split(|byte| *byte == b':').next()? } else { text };
        let numbers = numbers(text)?;
        let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
        let count = number(0).max(1);
        let corners = |at: usize| Corners {
            top: number(at),
            left: number(at + 1),
            bottom: number(at + 2),
            right: number(at + 3),
        };
        let attributes = || numbers.get(4..).unwrap_or_default().to_vec();
        Some(match (marks, last) {
            (b"", b's') => Command::Sides { left: number(0), right: number(1) },
            (b"", b'a') => Command::Right { count },
            (b"", b'b') => Command::Repeat { count },
            (b"", b'e') => Command::Down { count },
            (b" ", b'@') => Command::ColumnsOut { count },
            (b" ", b'A') => Command::ColumnsIn { count },
            (b"'", b'}') => Command::InsertColumns { count },
            (b"'", b'~') => Command::DeleteColumns { count },
            (b"!", b'p') => Command::SoftReset,
            (b"\"", b'q') => Command::Protect(match number(0) {
                0 | 2 => Protection::Off,
                1 => Protection::On,
                _ => return None,
            }),
            (b"$", b'r') => Command::ChangeAttributes { corners: corners(0), attributes: attributes() },
            (b"$", b't') => Command::ReverseAttributes { corners: corners(0), attributes: attributes() },
            // Numbers 4 and 7 are pages, of which there is one.
            (b"$", b'v') => Command::Copy { corners: corners(0), top: number(5), left: number(6) },
            (b"$", b'x') => Command::Fill { code: number(0), corners: corners(1) },
            (b"$", b'z') => Command::Erase { corners: corners(0) },
            (b"$", b'{') => Command::EraseText { corners: corners(0) },
            (b"*", b'x') => Command::Extent { kind: number(0) },
            _ => return None,
        })
    }

    /// The same of one whose parameters begin with a question mark.
    fn of_private_control(text: &[u8], last: u8) -> Option<Command> {
        if !matches!(last, b'J' | b'K') {
            return None;
        }
        let kind = numbers(text)?.first().copied().unwrap_or_default();
        Some(Command::EraseUnprotected(match (last, kind) {
            (b'J', 0) => Part::Below,
            (b'J', 1) => Part::Above,
            (b'J', 2) => Part::Screen,
            (b'K', 0) => Part::Right,
            (b'K', 1) => Part::Left,
            (b'K', 2) => Part::Row,
            _ => return None,
        }))
    }

    /// The command of an escape sequence, by the bytes between ESC and the last one.
    pub(in crate::terminal) fn of_escape(marks: &[u8], last: u8) -> Option<Command> {
        Some(match (marks, last) {
            (b"", b'6') => Command::ColumnBack,
            (b"", b'9') => Command::ColumnForward,
            (b"", b'V') => Command::Guard(Protection::On),
            (b"", b'W') => Command::Guard(Protection::Off),
            (b"", b'N') => Command::ShiftOnce(CharsetIndex::G2),
            (b"", b'O') => Command::ShiftOnce(CharsetIndex::G3),
            (b"", b'n') => Command::Shift(CharsetIndex::G2),
            (b"", b'o') => Command::Shift(CharsetIndex::G3),
            (b"(", b'A') => Command::British(CharsetIndex::G0),
            (b")", b'A') => Command::British(CharsetIndex::G1),
            (b"*", b'A') => Command::British(CharsetIndex::G2),
            (b"+", b'A') => Command::British(CharsetIndex::G3),
            _ => return None,
        })
    }
}

/// Numbers between semicolons; nothing if anything else is there.
fn numbers(text: &[u8]) -> Option<Vec<u16>> {
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u16, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
            Some(number.saturating_mul(10).saturating_add(digit))
        })
    };
    text.split(|byte| *byte == b';').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_a_command_only_with_its_marks_and_without_other_bytes() {
        let control = |text: &str| {
            let (last, text) = text.as_bytes().split_last().expect("a last byte");
            Command::of_control(text, *last)
        };
        assert_eq!(control("s"), Some(Command::Sides { left: 0, right: 0 }));
        assert_eq!(control("3;9s"), Some(Command::Sides { left: 3, right: 9 }));
        assert_eq!(control("!p"), Some(Command::SoftReset));
        assert_eq!(control("b"), Some(Command::Repeat { count: 1 }));
        assert_eq!(control("3;9b"), Some(Command::Repeat { count: 3 }));
        assert_eq!(control("4:9b"), Some(Command::Repeat { count: 4 }));
        assert_eq!(control("0 @"), Some(Command::ColumnsOut { count: 1 }));
        assert_eq!(control("99999'}"), Some(Command::InsertColumns { count: u16::MAX }));
        let corners = Corners { top: 2, left: 0, bottom: 4, right: 10 };
        assert_eq!(control("65;2;;4;10$x"), Some(Command::Fill { code: 65, corners }));
        let attributes = vec![1, 0, 24];
        assert_eq!(control("2;;4;10;1;;24$r"), Some(Command::ChangeAttributes { corners, attributes }));
        assert_eq!(control("2;;4;10;1;7;8;1$v"), Some(Command::Copy { corners, top: 7, left: 8 }));
        assert_eq!(control("\"q"), Some(Command::Protect(Protection::Off)));
        assert_eq!(control("1\"q"), Some(Command::Protect(Protection::On)));
        assert_eq!(control("?J"), Some(Command::EraseUnprotected(Part::Below)));
        assert_eq!(control("?1K"), Some(Command::EraseUnprotected(Part::Left)));
        for other in ["?3J", "?K?", "??K", "?1$K", "1;2\"p", "3\"q", "J", "K", "q"] {
            assert_eq!(control(other), None, "{other}");
        }
        for other in
            ["?1s", "?1b", "1 b", "?69$p", "1:2s", "@", "A", "m", "2;3r", "3 q", "p", "$p", "!!p", "1'w", ">4;1m"]
        {
            assert_eq!(control(other), None, "{other}");
        }
        assert_eq!(Command::of_escape(b"*", b'A'), Some(Command::British(CharsetIndex::G2)));
        assert_eq!(Command::of_escape(b"*", b'B'), None);
        assert_eq!(Command::of_escape(b"#", b'6'), None);
    }
}
