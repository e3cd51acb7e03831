//! From the model's cells to an encoded line, and from its colours to ours.

use alacritty_terminal::grid::{Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line as GridLine};
use alacritty_terminal::term::cell::{Cell, Flags};
use vte::ansi::{Color as ModelColor, NamedColor};

use super::codec::{MAX_LINE_BYTES, Writer};
use super::line::{MAX_ZERO_WIDTH, Width};
use super::rendition::{BLINK, is_overlined, underline};
use super::style::{Attributes, Color, Style, Underline, link_is_allowed};

/// Encodes rows of the grid, and keeps the memory for it between two rows.
#[derive(Debug, Default)]
pub(super) struct RowEncoder {
    /// The characters of the open run, as UTF-8.
    text: Vec<u8>,
    line: Writer,
}

impl RowEncoder {
    /// Encodes a row of the grid: halves of wide pairs become blanks, default blanks at the end go.
    pub(super) fn encode(&mut self, grid: &Grid<Cell>, line: GridLine) -> &[u8] {
        self.encode_whole(&grid[line][Column(0)..Column(grid.columns())])
    }

    /// Encodes a row that is in no grid.
    pub(super) fn encode_row(&mut self, row: &Row<Cell>) -> &[u8] {
        self.encode_whole(&row[Column(0)..Column(row.len())])
    }

    fn encode_whole(&mut self, row: &[Cell]) -> &[u8] {
        self.encode_cells(row, true);
        if self.line.bytes().len() > MAX_LINE_BYTES {
            self.encode_cells(row, false);
        }
        self.line.bytes()
    }

    fn encode_cells(&mut self, row: &[Cell], with_links: bool) {
        let used = row.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
        // Of a row that was erased since, nothing goes on in the next one.
        let wrapped = used > 0 && row.last().is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE));
        self.text.clear();
        self.line.begin(wrapped);
        let mut runs = Runs {
            with_links,
            look: None,
            style: Style::default(),
            width: Width::Narrow,
            text: &mut self.text,
            line: &mut self.line,
        };
        let mut column = 0;
        while column < used {
            let cell = &row[column];
            if is_simple(cell) {
                column += runs.alike(&row[column..used]);
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
        runs.finish();
    }
}

const HARD_BLANK: char = '\u{a0}';

/// The model's fields that decide a cell's style: cheaper to compare than to convert.
type Look<'a> = (ModelColor, ModelColor, Flags, &'a Cell);

struct Runs<'a> {
    with_links: bool,
    look: Option<Look<'a>>,
    style: Style,
    width: Width,
    text: &'a mut Vec<u8>,
    line: &'a mut Writer,
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
        // Under a combining mark a blank becomes a no-break space, which no terminal takes for an empty cell.
        self.push(if character == ' ' && !stacked.is_empty() { HARD_BLANK } else { character });
        stacked.iter().take(MAX_ZERO_WIDTH).for_each(|zero_width| self.push(*zero_width));
    }

    /// Takes the cells that look like the first one, which is simple, and says how many. Nearly every line consists of
    /// such cells.
    fn alike(&mut self, cells: &'a [Cell]) -> usize {
        let Some(first) = cells.first() else { return 0 };
        self.start(first, Width::Narrow);
        let count = cells.iter().take_while(|cell| is_like(first, cell)).count();
        let cells = &cells[..count];
        if cells.iter().all(|cell| (' '..='~').contains(&cell.c)) {
            self.text.extend(cells.iter().map(|cell| u32::from(cell.c).to_le_bytes()[0]));
        } else {
            cells.iter().for_each(|cell| self.push(if cell.c.is_control() { ' ' } else { cell.c }));
        }
        count
    }

    fn blank(&mut self, cell: &'a Cell) {
        self.start(cell, Width::Narrow);
        self.text.push(b' ');
    }

    fn push(&mut self, character: char) {
        self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
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
        if !self.text.is_empty() {
            self.line.run(&self.style, self.width, self.text);
            self.text.clear();
        }
    }

    fn finish(mut self) {
        // Blanks whose style had no meaning of its own (an address we do not carry) end the line like any other.
        if self.width == Width::Narrow && self.style.is_default() {
            let end = self.text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            self.text.truncate(end);
            if self.line.is_empty() && !self.text.is_empty() {
                return self.line.plain(self.text);
            }
        }
        self.close();
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
pub(super) fn is_blank(cell: &Cell) -> bool {
    cell.c == ' '
        && cell.extra.is_none()
        && cell.bg == ModelColor::Named(NamedColor::Background)
        && cell.fg == ModelColor::Named(NamedColor::Foreground)
        && !cell.flags.intersects(STYLE_FLAGS)
}

/// Whether the cell is narrow and holds no more than a character in a style without a link.
fn is_simple(cell: &Cell) -> bool {
    !cell.flags.intersects(WIDE_FLAGS) && cell.extra.is_none()
}

/// Whether the second cell is as simple as the first one and has the same style.
fn is_like(first: &Cell, second: &Cell) -> bool {
    const TOLD: Flags = STYLE_FLAGS.union(WIDE_FLAGS);
    second.flags & TOLD == first.flags & TOLD
        && second.extra.is_none()
        && first.fg == second.fg
        && first.bg == second.bg
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
