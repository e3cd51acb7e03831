//! Characters whose width differs between terminals and the host's model.

use unicode_width::UnicodeWidthChar as _;

use super::super::line::CellRef;

/// How far a terminal may be trusted to give a cell the columns that it has at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Every terminal agrees.
    None,
    /// One column here. Some terminals give the character two: the ambiguous ones of UAX #11, and symbols that a font
    /// may draw as emoji.
    Ambiguous,
    /// Anything may happen: terminals join such characters with their neighbours, or give them one column or two.
    Unsteady,
}

/// Scripts whose characters are wide in every terminal: Hangul, CJK, Kana, and full-width forms.
const WIDE: [std::ops::RangeInclusive<u32>; 6] =
    [0x1100..=0x115f, 0x2e80..=0xa4cf, 0xac00..=0xd7a3, 0xf900..=0xfaff, 0xff01..=0xff60, 0x20000..=0x3fffd];

/// Characters of one column to which some terminals give two: letters that CJK fonts have in both widths, and symbols
/// that a font may draw as emoji.
const EITHER: [std::ops::RangeInclusive<u32>; 8] = [
    0xa1..=0x1dc,
    0x391..=0x3c9,
    0x401..=0x451,
    0x2190..=0x21ff,
    0x2300..=0x23ff,
    0x2600..=0x27bf,
    0x2b00..=0x2bff,
    0x1f000..=0x1faff,
];

/// Halves of a flag.
const REGIONAL_INDICATORS: std::ops::RangeInclusive<u32> = 0x1f1e6..=0x1f1ff;

/// Joins the character before it with the next one, to some terminals.
const JOINER: char = '\u{200d}';

impl Doubt {
    /// The doubt about a cell behind another one.
    pub(super) fn behind(before: Option<CellRef<'_>>, cell: &CellRef<'_>) -> Doubt {
        let is_joined = before.is_some_and(|before| before.text.ends_with(JOINER));
        if is_joined { Doubt::Unsteady } else { Doubt::of(cell) }
    }

    pub(super) fn of(cell: &CellRef<'_>) -> Doubt {
        let mut characters = cell.text.chars();
        let (Some(c), None) = (characters.next(), characters.next()) else { return Doubt::Unsteady };
        let code = u32::from(c);
        if c.is_ascii() && cell.columns == 1 {
            return Doubt::None;
        }
        let within = |ranges: &[std::ops::RangeInclusive<u32>]| ranges.iter().any(|range| range.contains(&code));
        match (cell.columns, c.width(), c.width_cjk()) {
            (1, Some(1), _) if REGIONAL_INDICATORS.contains(&code) => Doubt::Unsteady,
            (1, Some(1), Some(1)) if !within(&EITHER) => Doubt::None,
            (1, Some(1), Some(1 | 2)) => Doubt::Ambiguous,
            (2, Some(2), _) if within(&WIDE) => Doubt::None,
            _ => Doubt::Unsteady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    fn of(text: &str, columns: u8) -> Doubt {
        Doubt::of(&CellRef { style: &Style::default(), text, columns })
    }

    #[test]
    fn joined_characters_and_their_parts_are_unsteady_and_plain_letters_are_sure() {
        for (text, columns) in [("a", 1), (" ", 1), ("中", 2), ("한", 2), ("か", 2), ("ש", 1), ("ａ", 2)] {
            assert_eq!(of(text, columns), Doubt::None, "{text}");
        }
        for (text, columns) in [("é", 1), ("─", 1), ("ж", 1), ("✔", 1), ("\u{e0b0}", 1), ("█", 1)] {
            assert_eq!(of(text, columns), Doubt::Ambiguous, "{text}");
        }
        let unsteady = [
            ("👨\u{200d}", 2),
            ("👩", 2),
            ("🇪", 1),
            ("1\u{fe0f}\u{20e3}", 1),
            ("❤\u{fe0f}", 1),
            ("e\u{301}", 1),
            ("a", 2),
        ];
        for (text, columns) in unsteady {
            assert_eq!(of(text, columns), Doubt::Unsteady, "{text}");
        }
    }
}
