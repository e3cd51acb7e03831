//! The abilities of a person's terminal, as far as its name tells.

use serde::{Deserialize, Serialize};

use super::style::Color;

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Colors {
    /// None.
    None,
    /// The eight named ones and their bright variants.
    Sixteen,
    /// The palette.
    Palette,
    /// Any.
    True,
}

/// The abilities that the painter may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Colours; others become the nearest of those.
    pub colors: Colors,
    /// Underlines other than a straight one, and colours for them.
    pub underlines: bool,
    /// Hyperlinks (OSC 8).
    pub links: bool,
    /// A window with a title (OSC 2).
    pub titles: bool,
    /// The kitty keyboard protocol.
    pub kitty_keyboard: bool,
    /// The terminal says where its cursor is (CSI 6n), and moves rows between its screen and a scrollback.
    pub cursor_reports: bool,
}

/// Terminals that are known to have everything above.
const COMPLETE: [&str; 6] = ["kitty", "ghostty", "foot", "wezterm", "alacritty", "rio"];

impl Abilities {
    /// Everything there is.
    pub const ALL: Abilities = Abilities {
        colors: Colors::True,
        underlines: true,
        links: true,
        titles: true,
        kitty_keyboard: true,
        cursor_reports: true,
    };

    /// The abilities by `TERM` and `COLORTERM`; `no_color` if the person wants no colours (`NO_COLOR`).
    pub fn of(term: Option<&str>, colorterm: Option<&str>, no_color: bool) -> Abilities {
        let term = term.unwrap_or_default().to_ascii_lowercase();
        if term.is_empty() || term == "dumb" {
            return Abilities {
                colors: Colors::None,
                underlines: false,
                links: false,
                titles: false,
                kitty_keyboard: false,
                cursor_reports: false,
            };
        }
        let complete = is_complete(&term);
        let modern = complete
            || ["xterm-256color", "xterm-direct", "tmux", "vte", "contour"].iter().any(|name| term.starts_with(name));
        let colors = if no_color {
            Colors::None
        } else if complete || term.ends_with("-direct") || matches!(colorterm, Some("truecolor" | "24bit")) {
            Colors::True
        } else if term.contains("256") {
            Colors::Palette
        } else if term.starts_with("vt1") || term.starts_with("vt2") || term.ends_with("-m") || term.ends_with("-mono")
        {
            Colors::None
        } else {
            Colors::Sixteen
        };
        Abilities {
            colors,
            // A terminal that does not know the colons may take `4:3` for three attributes.
            underlines: complete || (modern && colors == Colors::True) || term.starts_with("tmux"),
            links: modern,
            titles: modern || ["xterm", "rxvt", "screen", "st"].iter().any(|name| term.starts_with(name)),
            kitty_keyboard: complete,
            cursor_reports: true,
        }
    }

    /// Whether the terminal may know SGR parameters of this century, such as a line above the text; others ignore them.
    pub(super) fn is_modern(&self) -> bool {
        self.links || self.underlines
    }

    /// Adds what `TERM_PROGRAM` tells: some terminals call themselves xterm in `TERM`.
    #[must_use]
    pub fn with_program(mut self, program: Option<&str>) -> Abilities {
        if program.is_some_and(|program| is_complete(&program.to_ascii_lowercase())) && self.cursor_reports {
            self.kitty_keyboard = true;
            self.underlines = true;
            self.links = true;
        }
        self
    }
}

impl Default for Abilities {
    /// Everything that does no harm where it is not understood.
    fn default() -> Abilities {
        Abilities { kitty_keyboard: false, ..Abilities::ALL }
    }
}

fn is_complete(name: &str) -> bool {
    let name = name.strip_prefix("xterm-").unwrap_or(name);
    COMPLETE.iter().any(|known| name.starts_with(known))
}

/// The colours that xterm gives the sixteen named ones.
const NAMED: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// The levels of the palette's cube of 6 x 6 x 6 colours.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest colour that there is.
pub(super) fn nearest(color: Color, colors: Colors) -> Color {
    match (color, colors) {
        (Color::Default, _) | (_, Colors::None) => Color::Default,
        (Color::Indexed(0..16), _)
        | (Color::Indexed(_), Colors::Palette | Colors::True)
        | (Color::Rgb(..), Colors::True) => color,
        (Color::Indexed(index), Colors::Sixteen) => named(palette(index)),
        (Color::Rgb(red, green, blue), Colors::Sixteen) => named((red, green, blue)),
        (Color::Rgb(red, green, blue), Colors::Palette) => Color::Indexed(indexed((red, green, blue))),
    }
}

fn named(wanted: (u8, u8, u8)) -> Color {
    let nearest = (0u8..).zip(NAMED).min_by_key(|(_, color)| distance(wanted, *color));
    nearest.map_or(Color::Default, |(index, _)| Color::Indexed(index))
}

/// Above the named ones, which look different everywhere.
fn indexed(wanted: (u8, u8, u8)) -> u8 {
    (16..=u8::MAX).min_by_key(|index| distance(wanted, palette(*index))).unwrap_or(u8::MAX)
}

fn palette(index: u8) -> (u8, u8, u8) {
    match index {
        0..16 => NAMED[usize::from(index)],
        16..232 => {
            let cube = usize::from(index - 16);
            (LEVELS[cube / 36], LEVELS[cube / 6 % 6], LEVELS[cube % 6])
        }
        232.. => {
            let level = 8 + 10 * (index - 232);
            (level, level, level)
        }
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    square(a.0, b.0) + square(a.1, b.1) + square(a.2, b.2)
}
