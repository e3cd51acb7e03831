//! The pen: writes cells, and changes colours, attributes and link only when they change.

use std::io::Write as _;

use super::super::abilities::{Abilities, nearest};
use super::super::line::CellRef;
use super::super::style::{Attributes, Color, Style, Underline, link_is_allowed};

/// The style the terminal writes in now. Between frames the terminal writes in the default style.
#[derive(Debug)]
pub(in crate::terminal) struct Pen {
    abilities: Abilities,
    style: Style,
}

impl Pen {
    pub(in crate::terminal) fn new(abilities: Abilities) -> Pen {
        Pen { abilities, style: Style::default() }
    }

    /// A pen that somebody else left with that style.
    #[cfg(feature = "host")]
    pub(in crate::terminal) fn held(abilities: Abilities, style: Style) -> Pen {
        Pen { abilities, style }
    }

    /// Writes a cell where the cursor is.
    pub(in crate::terminal) fn put(&mut self, cell: &CellRef<'_>, out: &mut Vec<u8>) {
        self.change(cell.style, out);
        // A line that was decoded has no control characters; one that was put together by hand may.
        for c in cell.text.chars() {
            let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Back to the default style.
    pub(in crate::terminal) fn reset(&mut self, out: &mut Vec<u8>) {
        self.change(&Style::default(), out);
    }

    /// Writes in that style from now on.
    pub(in crate::terminal) fn change(&mut self, style: &Style, out: &mut Vec<u8>) {
        if self.style == *style {
            return;
        }
        if self.style.link != style.link && self.abilities.links {
            let link = style.link.as_deref().filter(|link| link_is_allowed(link)).unwrap_or_default();
            let _ = write!(out, "\x1b]8;;{link}\x1b\\");
        }
        if (Style { link: None, ..self.style.clone() }) != (Style { link: None, ..style.clone() }) {
            graphics(style, self.abilities, out);
        }
        self.style.clone_from(style);
    }
}

/// Selects a style from scratch: shorter than taking away what the last one had, on the whole.
fn graphics(style: &Style, abilities: Abilities, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b[0");
    if style.underline == Underline::Double && !abilities.underlines {
        // Before the others: where 21 is not understood in this sense, it takes bold away.
        out.extend_from_slice(b";4;21");
    }
    for (attribute, code) in [
        (Attributes::BOLD, ";1"),
        (Attributes::DIM, ";2"),
        (Attributes::ITALIC, ";3"),
        (Attributes::BLINK, ";5"),
        (Attributes::INVERSE, ";7"),
        (Attributes::HIDDEN, ";8"),
        (Attributes::STRIKE, ";9"),
        (Attributes::OVERLINE, ";53"),
    ] {
        let is_known = attribute != Attributes::OVERLINE || abilities.is_modern();
        if is_known && style.attributes.contains(attribute) {
            out.extend_from_slice(code.as_bytes());
        }
    }
    out.extend_from_slice(match style.underline {
        Underline::None => b"",
        Underline::Single => b";4",
        Underline::Double if !abilities.underlines => b"",
        Underline::Curly | Underline::Dotted | Underline::Dashed if !abilities.underlines => b";4",
        Underline::Double => b";4:2",
        Underline::Curly => b";4:3",
        Underline::Dotted => b";4:4",
        Underline::Dashed => b";4:5",
    });
    color(nearest(style.foreground, abilities.colors), 30, out);
    color(nearest(style.background, abilities.colors), 40, out);
    // Writing to memory cannot fail.
    let underline_color = style.underline_color.filter(|_| abilities.underlines);
    let _ = match underline_color.map(|color| nearest(color, abilities.colors)) {
        None | Some(Color::Default) => Ok(()),
        Some(Color::Indexed(index)) => write!(out, ";58:5:{index}"),
        Some(Color::Rgb(red, green, blue)) => write!(out, ";58:2::{red}:{green}:{blue}"),
    };
    out.push(b'm');
}

/// `base` is 30 for the foreground, 40 for the background. Exactly the colour that was asked for: a palette index stays
/// one.
fn color(color: Color, base: u8, out: &mut Vec<u8>) {
    const BRIGHT: u8 = 60;
    const EXTENDED: u8 = 8;
    let _ = match color {
        Color::Default => Ok(()),
        Color::Indexed(index @ 0..8) => write!(out, ";{}", base + index),
        Color::Indexed(index @ 8..16) => write!(out, ";{}", base + BRIGHT + index - 8),
        Color::Indexed(index) => write!(out, ";{};5;{index}", base + EXTENDED),
        Color::Rgb(red, green, blue) => write!(out, ";{};2;{red};{green};{blue}", base + EXTENDED),
    };
}
