//! From the model's cells to an encoded line, and from its colours to ours.

use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::{Column, Line as GridLine};
use alacritty_terminal::term::cell::{Cell, Flags};
use vte::ansi::{Color as ModelColor, NamedColor};

use super::codec::{MAX_LINE_BYTES, Writer};
use super::line::{MAX_ZERO_WIDTH, Width};
use super::rendition::{BLINK, is_overlined, underline};
use super::style::{Attributes, Color, Style, Underline, link_is_allowed};

/// Encodes a row of the grid: halves of wide pairs become blanks, default blanks at the end go.
pub(super) fn encode_row(grid: &Grid<Cell>, line: GridLine) -> Vec<u8> {
    let row = &grid[line][Column(0)..Column(grid.columns())];
    let bytes = encode(row, true);
    if bytes.len() <= MAX_LINE_BYTES { bytes } else { encode(row, false) }
}

fn encode(row: &[Cell], with_links: bool) -> Vec<u8> {
    let wrapped = row.last().is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE));
    let used = row.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
    let mut runs = Runs {
        wrapped,
        with_links,
        look: None,
        style: Style::default(),
        width: Width::Narrow,
        text: String::with_capacity(used),
        writer: None,
    };
    let mut column = 0;
    while column < used {
        let cell = &row[column];
        let alike = row[column..used].iter().take_while(|next| is_like(cell, next)).count();
        if alike > 0 {
            runs.alike(&row[column..column + alike]);
            column += alike;
            continue;
        }
        let wide = cell.flags.contains(Flags::WIDE_CHAR);
        let whole = wide && row.get(column + 1).is_some_and(|next| next.flags.contains(Flags::WIDE_CHAR_SPACER));
        let spacer = Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER;
        if whole {
            runs.cell(cell, cell.c, true);
            column += 2;
            continue;
        }
        if wide || cell.flags.intersects(spacer) {
            runs.blank(cell);
        } else {
            runs.cell(cell, if cell.c.is_control() { ' ' } else { cell.c }, false);
        }
        column += 1;
    }
    runs.finish()
}

/// Room for the styles of an ordinary line; more grows it.
const STYLES_BYTES: usize = 32;

const HARD_BLANK: char = '\u{a0}';

/// The model's fields that decide a cell's style: cheaper to compare than to convert.
type Look<'a> = (ModelColor, ModelColor, Flags, &'a Cell);

struct Runs<'a> {
    wrapped: bool,
    with_links: bool,
    look: Option<Look<'a>>,
    style: Style,
    width: Width,
    text: String,
    writer: Option<Writer>,
}

impl<'a> Runs<'a> {
    fn cell(&mut self, cell: &'a Cell, character: char, wide: bool) {
        let stacked = cell.zerowidth().unwrap_or_default();
        let width = match (stacked.is_empty(), wide) {
            (true, true) => Width::Wide,
            (true, false) => Width::Narrow,
            (false, wide) => Width::Cluster { columns: 1 + u8::from(wide) },
        };
        self.start(cell, width);
        // A mark needs something to stand on, which no terminal takes for nothing.
        self.text.push(if character == ' ' && !stacked.is_empty() { HARD_BLANK } else { character });
        self.text.extend(stacked.iter().take(MAX_ZERO_WIDTH));
    }

    /// Cells that are narrow, hold no more than a character, and look the same: what nearly every line consists of.
    fn alike(&mut self, cells: &'a [Cell]) {
        self.start(&cells[0], Width::Narrow);
        self.text.extend(cells.iter().map(|cell| if cell.c.is_control() { ' ' } else { cell.c }));
    }

    fn blank(&mut self, cell: &'a Cell) {
        self.start(cell, Width::Narrow);
        self.text.push(' ');
    }

    /// Makes the open run one that a cell of this look and width can be added to.
    fn start(&mut self, cell: &'a Cell, width: Width) {
        let flags = cell.flags & STYLE_FLAGS;
        let same_look = self.look.is_some_and(|(foreground, background, others, other)| {
            foreground == cell.fg && background == cell.bg && others == flags && same_extra(other, cell)
        });
        let is_cluster = !matches!(width, Width::Narrow | Width::Wide);
        if same_look && width == self.width && !is_cluster {
            return;
        }
        let style = if same_look { None } else { Some(style_of(cell, self.with_links)) };
        self.look = Some((cell.fg, cell.bg, flags, cell));
        let same_style = style.as_ref().is_none_or(|style| *style == self.style);
        if !(same_style && width == self.width && !is_cluster) {
            self.close();
        }
        if let Some(style) = style {
            self.style = style;
        }
        self.width = width;
    }

    fn close(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let writer = self.writer.get_or_insert_with(|| Writer::new(self.wrapped, self.text.capacity() + STYLES_BYTES));
        writer.run(&self.style, self.width, &self.text);
        self.text.clear();
    }

    fn finish(mut self) -> Vec<u8> {
        // Blanks whose style had no meaning of its own (an address we do not carry) end the line like any other.
        if self.width == Width::Narrow && self.style.is_default() {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            if self.writer.is_none() {
                return Writer::plain(self.wrapped, &self.text);
            }
        }
        self.close();
        match self.writer {
            Some(writer) => writer.finish(),
            None => Writer::plain(self.wrapped, ""),
        }
    }
}

/// Both halves of a wide character, and the blank that is left where one did not fit.
const WIDE_FLAGS: Flags = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER).union(Flags::LEADING_WIDE_CHAR_SPACER);

const STYLE_FLAGS: Flags = Flags::BOLD_ITALIC
    .union(Flags::INVERSE)
    .union(Flags::DIM)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(BLINK)
    .union(Flags::ALL_UNDERLINES);

/// Whether the cell certainly says nothing; a false "no" is put right when the line is finished.
fn is_blank(cell: &Cell) -> bool {
    cell.c == ' '
        && cell.extra.is_none()
        && cell.bg == ModelColor::Named(NamedColor::Background)
        && cell.fg == ModelColor::Named(NamedColor::Foreground)
        && !cell.flags.intersects(STYLE_FLAGS)
}

/// Whether both are simple, and what is said of one's style is true of the other's.
fn is_like(a: &Cell, b: &Cell) -> bool {
    const TOLD: Flags = STYLE_FLAGS.union(WIDE_FLAGS);
    let flags = b.flags & TOLD;
    !flags.intersects(WIDE_FLAGS)
        && b.extra.is_none()
        && a.extra.is_none()
        && a.flags & TOLD == flags
        && a.fg == b.fg
        && a.bg == b.bg
}

fn same_extra(a: &Cell, b: &Cell) -> bool {
    match (&a.extra, &b.extra) {
        (None, None) => true,
        (Some(a), Some(b)) => std::sync::Arc::ptr_eq(a, b),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

pub(super) fn style_of(cell: &Cell, with_links: bool) -> Style {
    let style = pen_of(cell, with_links);
    Style { underline_color: style.underline_color.filter(|_| style.underline != Underline::None), ..style }
}

/// The style that a cell written next would have; the colour of a line that may be switched on later is part of it.
pub(super) fn pen_of(cell: &Cell, with_links: bool) -> Style {
    let underline_color = match cell.underline_color().map_or(Color::Default, color_of) {
        Color::Default => None,
        color @ (Color::Indexed(_) | Color::Rgb(_, _, _)) => Some(color),
    };
    let link = if with_links { cell.hyperlink() } else { None };
    Style {
        foreground: color_of(cell.fg),
        background: color_of(cell.bg),
        attributes: attributes_of(cell.flags),
        underline: underline_of(cell.flags),
        underline_color,
        link: link.map(|link| link.uri().to_owned()).filter(|link| link_is_allowed(link)),
    }
}

fn attributes_of(flags: Flags) -> Attributes {
    let overline = if is_overlined(flags) { Attributes::OVERLINE } else { Attributes::NONE };
    [
        (Flags::BOLD, Attributes::BOLD),
        (Flags::DIM, Attributes::DIM),
        (Flags::ITALIC, Attributes::ITALIC),
        (Flags::INVERSE, Attributes::INVERSE),
        (Flags::HIDDEN, Attributes::HIDDEN),
        (Flags::STRIKEOUT, Attributes::STRIKE),
        (BLINK, Attributes::BLINK),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(overline, |all, (_, attribute)| all.with(attribute))
}

fn underline_of(flags: Flags) -> Underline {
    let kind = underline(flags);
    [
        (Flags::UNDERLINE, Underline::Single),
        (Flags::DOUBLE_UNDERLINE, Underline::Double),
        (Flags::UNDERCURL, Underline::Curly),
        (Flags::DOTTED_UNDERLINE, Underline::Dotted),
        (Flags::DASHED_UNDERLINE, Underline::Dashed),
    ]
    .into_iter()
    .find(|(flag, _)| kind.contains(*flag))
    .map_or(Underline::None, |(_, underline)| underline)
}

fn color_of(color: ModelColor) -> Color {
    match color {
        ModelColor::Named(name) => {
            u8::try_from(name as usize).ok().filter(|index| *index < 16).map_or(Color::Default, Color::Indexed)
        }
        ModelColor::Indexed(index) => Color::Indexed(index),
        ModelColor::Spec(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
    }
}
