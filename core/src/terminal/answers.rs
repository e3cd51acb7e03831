//! Answers to the queries that the model does not know: positions, settings, names.

use alacritty_terminal::term::cell::Flags;
use vte::ansi::{Color, CursorShape, NamedColor};

use super::dec::{self, Sides};
use super::handler::ModelHandler;
use super::query_scanner::{Query, Setting};
use super::rendition::{BLINK, is_overlined, is_protected, underline};

/// Which kind of terminal this is (DA1): a VT420 that moves text sideways (21), has colours (22) and edits rectangles
/// (28).
pub(super) const ATTRIBUTES: &str = "\x1b[?64;21;22;28c";

/// Whether a mode is set (DECRPM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModeState {
    Set = 1,
    Reset = 2,
}

impl ModeState {
    fn of(set: bool) -> ModeState {
        if set { ModeState::Set } else { ModeState::Reset }
    }
}

/// The state of a private mode that the model does not know, or nothing for the others.
pub(super) fn private_mode(handler: &ModelHandler, mode: u16) -> Option<ModeState> {
    /// Synchronised updates: the model sees the content of an update, but not its begin and end.
    const UPDATE: u16 = 2026;
    let set = match mode {
        dec::COLUMNS_PERMITTED | dec::REVERSE_WRAP | dec::SIDES => handler.dec.is_on(mode),
        dec::ALTERNATE | dec::ALTERNATE_ERASED | dec::ALTERNATE_AND_CURSOR => handler.is_alternate(),
        dec::SAVED_CURSOR => handler.has_saved_cursor(),
        UPDATE => handler.dec.updating,
        _ => return None,
    };
    Some(ModeState::of(set))
}

/// The answer to a query, from how the terminal is set right now.
pub(super) fn answer(handler: &ModelHandler, query: Query) -> String {
    match query {
        Query::Cursor => {
            let (row, column) = handler.reported_place();
            format!("\x1b[?{row};{column}R")
        }
        Query::Version => format!("\x1bP>|beach({})\x1b\\", env!("CARGO_PKG_VERSION")),
        Query::Setting(setting) => match set_to(handler, setting) {
            Some(value) => format!("\x1bP1$r{value}\x1b\\"),
            None => "\x1bP0$r\x1b\\".to_owned(),
        },
        Query::Capabilities => "\x1bP0+r\x1b\\".to_owned(),
    }
}

/// The parameters that would set the present style, without the introducer.
fn set_to(handler: &ModelHandler, setting: Setting) -> Option<String> {
    match setting {
        Setting::Rendition => Some(rendition(handler)),
        Setting::Margins => {
            let (top, bottom) = handler.margins();
            Some(format!("{top};{bottom}r"))
        }
        Setting::Sides => {
            let Sides { left, right } = handler.sides();
            Some(format!("{};{}s", left + 1, right + 1))
        }
        Setting::Extent => Some(format!("{}*x", handler.extent_kind())),
        Setting::CursorStyle => {
            let style = handler.term.cursor_style();
            let steady = match style.shape {
                CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 2,
                CursorShape::Underline => 4,
                CursorShape::Beam => 6,
            };
            Some(format!("{} q", steady - u8::from(style.blinking)))
        }
        Setting::Protection => {
            let is_protected = is_protected(handler.term.grid().cursor.template.flags);
            Some(format!("{}\"q", u8::from(is_protected)))
        }
        Setting::Unknown => None,
    }
}

/// SGR parameters as xterm gives them: everything is reset first.
fn rendition(handler: &ModelHandler) -> String {
    let cell = &handler.term.grid().cursor.template;
    let attributes = [
        (Flags::BOLD, "1"),
        (Flags::DIM, "2"),
        (Flags::ITALIC, "3"),
        (Flags::UNDERLINE, "4"),
        (Flags::DOUBLE_UNDERLINE, "4:2"),
        (Flags::UNDERCURL, "4:3"),
        (Flags::DOTTED_UNDERLINE, "4:4"),
        (Flags::DASHED_UNDERLINE, "4:5"),
        (Flags::INVERSE, "7"),
        (Flags::HIDDEN, "8"),
        (Flags::STRIKEOUT, "9"),
        (BLINK, "5"),
    ];
    let flags = cell.flags.difference(Flags::ALL_UNDERLINES) | underline(cell.flags);
    let set = attributes.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, number)| (*number).to_owned());
    let set = set.chain(is_overlined(cell.flags).then(|| "53".to_owned()));
    let colors = [color(cell.fg, 30), color(cell.bg, 40), cell.underline_color().and_then(|it| color(it, 50))];
    let all: Vec<String> = std::iter::once("0".to_owned()).chain(set).chain(colors.into_iter().flatten()).collect();
    all.join(";") + "m"
}

/// The parameter for a colour; `base` is 30, 40 or 50 for text, background and underline. Underlines have no short
/// form.
fn color(color: Color, base: u16) -> Option<String> {
    let long = base + 8;
    match color {
        Color::Spec(rgb) => Some(format!("{long}:2::{}:{}:{}", rgb.r, rgb.g, rgb.b)),
        Color::Indexed(index) => Some(format!("{long}:5:{index}")),
        Color::Named(name) => named(name).map(|index| match index {
            _ if base == 50 => format!("{long}:5:{index}"),
            0..8 => (base + index).to_string(),
            _ => (base + 60 + index - 8).to_string(),
        }),
    }
}

/// The number of one of the sixteen colours; the others are defaults.
fn named(name: NamedColor) -> Option<u16> {
    let index = name as u16;
    (index < 16).then_some(index)
}
