//! Attributes for which the model's cells have no room: blinking, and a line above the text.
//!
//! A cell's flags are 16 bits, of which the model uses 15. The last one stands for blinking. Of the five bits for
//! underlines the model sets one or none; a line above the text is told by all five turned round. So the two travel with
//! the pen, with the saved cursor and with every cell, wherever the model copies flags, and cost nothing.

use alacritty_terminal::event::EventListener;
use alacritty_terminal::term::Term;
use alacritty_terminal::term::cell::Flags;
use vte::ansi::{Attr, Handler as _};

/// The text blinks. The model does not use this bit.
pub(super) const BLINK: Flags = Flags::from_bits_retain(1 << 15);

/// Whether there is a line above the text.
pub(super) fn is_overlined(flags: Flags) -> bool {
    (flags & Flags::ALL_UNDERLINES).bits().count_ones() >= Flags::ALL_UNDERLINES.bits().count_ones() - 1
}

/// The one flag that tells the kind of line below the text, or none.
pub(super) fn underline(flags: Flags) -> Flags {
    let lines = flags & Flags::ALL_UNDERLINES;
    if is_overlined(flags) { lines ^ Flags::ALL_UNDERLINES } else { lines }
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
    } else if is_overlined(template.flags) && attribute != Attr::Reset {
        template.flags.toggle(Flags::ALL_UNDERLINES);
        term.terminal_attribute(known(attribute));
        term.grid_mut().cursor.template.flags.toggle(Flags::ALL_UNDERLINES);
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
