//! Attributes for which the model's cells have no room: blinking, a line above the text, and protection (DECSCA).
//!
//! A cell's flags are 16 bits, of which the model uses 15. The last one stands for blinking. Of the five bits for
//! underlines the model sets one or none; a protected cell has two of them, and a line above the text is told by all
//! five turned round. So these attributes travel with the pen, with the saved cursor and with every cell, wherever the
//! model copies flags, and cost nothing.

use alacritty_terminal::event::EventListener;
use alacritty_terminal::term::Term;
use alacritty_terminal::term::cell::Flags;
use vte::ansi::{Attr, Handler as _};

/// The text blinks. The model does not use this bit.
pub(super) const BLINK: Flags = Flags::from_bits_retain(1 << 15);

/// The kinds of line below protected text, and the two flags that tell each.
const PROTECTED: [(Flags, Flags); 6] = [
    (Flags::empty(), Flags::UNDERLINE.union(Flags::UNDERCURL)),
    (Flags::UNDERLINE, Flags::UNDERLINE.union(Flags::DOUBLE_UNDERLINE)),
    (Flags::DOUBLE_UNDERLINE, Flags::DOUBLE_UNDERLINE.union(Flags::UNDERCURL)),
    (Flags::UNDERCURL, Flags::UNDERCURL.union(Flags::DOTTED_UNDERLINE)),
    (Flags::DOTTED_UNDERLINE, Flags::DOTTED_UNDERLINE.union(Flags::DASHED_UNDERLINE)),
    (Flags::DASHED_UNDERLINE, Flags::DASHED_UNDERLINE.union(Flags::UNDERLINE)),
];

/// Whether there is a line above the text.
pub(super) fn is_overlined(flags: Flags) -> bool {
    (flags & Flags::ALL_UNDERLINES).bits().count_ones() > Flags::ALL_UNDERLINES.bits().count_ones() / 2
}

/// The bits for underlines as they are without a line above the text.
fn below(flags: Flags) -> Flags {
    let lines = flags & Flags::ALL_UNDERLINES;
    if is_overlined(flags) { lines ^ Flags::ALL_UNDERLINES } else { lines }
}

/// The one flag that tells the kind of line below the text, or none.
pub(super) fn underline(flags: Flags) -> Flags {
    let lines = below(flags);
    PROTECTED.iter().find(|(_, two)| *two == lines).map_or(lines, |(one, _)| *one)
}

/// Whether a selective erase leaves the text alone.
pub(super) fn is_protected(flags: Flags) -> bool {
    below(flags).bits().count_ones() == 2
}

/// Protects what is written from now on from selective erasing, or not.
pub(super) fn protect<T>(term: &mut Term<T>, protection: Protection) {
    let flags = &mut term.grid_mut().cursor.template.flags;
    let line = if is_overlined(*flags) { Line::Above } else { Line::None };
    *flags = with_lines(*flags, underline(*flags), line, protection);
}

/// Changes flags by the model's own rules, which know nothing of lines above the text and of protection: both stay.
pub(super) fn change(flags: Flags, change: impl FnOnce(Flags) -> Flags) -> Flags {
    let line = if is_overlined(flags) { Line::Above } else { Line::None };
    let protection = if is_protected(flags) { Protection::On } else { Protection::Off };
    let changed = change(with_lines(flags, underline(flags), Line::None, Protection::Off));
    with_lines(changed, changed & Flags::ALL_UNDERLINES, line, protection)
}

/// The flags with these lines: `underline` is one of the model's, or none.
fn with_lines(flags: Flags, underline: Flags, line: Line, protection: Protection) -> Flags {
    let lines = match protection {
        Protection::On => PROTECTED.iter().find(|(one, _)| *one == underline).map_or(underline, |(_, two)| *two),
        Protection::Off => underline,
    };
    let others = flags.difference(Flags::ALL_UNDERLINES);
    match line {
        Line::Above => others | lines ^ Flags::ALL_UNDERLINES,
        Line::None => others | lines,
    }
}

/// Whether selective erasing leaves text alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    On,
    Off,
}

/// Draws a line above what is written from now on, or none.
pub(super) fn overline<T>(term: &mut Term<T>, line: Line) {
    let flags = &mut term.grid_mut().cursor.template.flags;
    if is_overlined(*flags) != (line == Line::Above) {
        flags.toggle(Flags::ALL_UNDERLINES);
    }
}

/// Whether a line stands above the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Above,
    None,
}

impl Line {
    /// The last word of SGR's parameters on the line above the text, if they draw it (53) or end it (55). Without these
    /// two the model's own reset does.
    pub(super) fn of(parameters: &[u8]) -> Option<Line> {
        let is_about = parameters.windows(2).any(|pair| pair == b"53" || pair == b"55");
        if !is_about || parameters[0].is_ascii_punctuation() && parameters[0] != b';' {
            return None;
        }
        let mut last = None;
        let mut rest = parameters.split(|byte| *byte == b';');
        while let Some(parameter) = rest.next() {
            match parameter {
                b"53" => last = Some(Line::Above),
                b"55" | b"0" | b"" => last = Some(Line::None),
                // A colour's own numbers are behind it.
                b"38" | b"48" | b"58" => match rest.next() {
                    Some(b"5") => drop(rest.next()),
                    Some(b"2") => drop(rest.nth(2)),
                    Some(_) | None => {}
                },
                _ => {}
            }
        }
        last
    }
}

/// Changes what is written from now on.
pub(super) fn set<T: EventListener>(term: &mut Term<T>, attribute: Attr) {
    let template = &mut term.grid_mut().cursor.template;
    if matches!(attribute, Attr::BlinkSlow | Attr::BlinkFast) {
        template.flags.insert(BLINK);
    } else if attribute == Attr::CancelBlink {
        template.flags.remove(BLINK);
    } else if is_overlined(template.flags) || is_protected(template.flags) {
        let before = template.flags;
        let is_above = is_overlined(before) && attribute != Attr::Reset;
        template.flags = with_lines(before, underline(before), Line::None, Protection::Off);
        term.terminal_attribute(known(attribute));
        let flags = &mut term.grid_mut().cursor.template.flags;
        let line = if is_above { Line::Above } else { Line::None };
        let protection = if is_protected(before) { Protection::On } else { Protection::Off };
        *flags = with_lines(*flags, *flags & Flags::ALL_UNDERLINES, line, protection);
    } else {
        term.terminal_attribute(known(attribute));
    }
}

/// The parser takes SGR 21 for "not bold", which ECMA-48 and xterm take for "doubly underlined".
fn known(attribute: Attr) -> Attr {
    if attribute == Attr::CancelBold { Attr::DoubleUnderline } else { attribute }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_below_goes_with_a_line_above_and_with_protection() {
        let mut seen = std::collections::BTreeSet::new();
        for (kind, _) in PROTECTED {
            for line in [Line::Above, Line::None] {
                for protection in [Protection::On, Protection::Off] {
                    let flags = with_lines(Flags::BOLD | BLINK, kind, line, protection);
                    assert_eq!(underline(flags), kind);
                    assert_eq!(is_overlined(flags), line == Line::Above);
                    assert_eq!(is_protected(flags), protection == Protection::On);
                    assert_eq!(change(flags, |flags| flags), flags);
                    assert!(seen.insert(flags.bits()), "{flags:?} stands for two");
                }
            }
        }
    }

    #[test]
    fn the_last_word_on_the_line_above_counts_and_numbers_of_colours_are_none() {
        for (parameters, line) in [
            ("53", Some(Line::Above)),
            ("1;53;4", Some(Line::Above)),
            ("53;55", Some(Line::None)),
            ("53;0;1", Some(Line::None)),
            ("", None),
            ("0", None),
            (";53", Some(Line::Above)),
            (">4;53", None),
            ("0;53", Some(Line::Above)),
            ("38;5;53", None),
            ("38;2;53;53;53", None),
            ("38;5;53;53", Some(Line::Above)),
            ("48;2;1;2;3;53", Some(Line::Above)),
            ("38:5:53", None),
            ("1;31", None),
        ] {
            assert_eq!(Line::of(parameters.as_bytes()), line, "{parameters}");
        }
    }
}
