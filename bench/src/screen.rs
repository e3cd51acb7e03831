//! The screen that a person would see: a terminal model, fed with a client's output.

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Term};
use vte::ansi::{Color, NamedColor, Processor};

/// Columns of every terminal here.
pub(crate) const COLS: u16 = 80;

/// Rows of every terminal here.
pub(crate) const ROWS: u16 = 24;

/// Lines above the window that are kept: more than a late joiner is promised.
const HISTORY: usize = 2_000;

/// A terminal.
pub(crate) struct Screen {
    term: Term<VoidListener>,
    parser: Processor,
}

/// The visible properties of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    /// The character.
    pub(crate) character: char,
    /// Its colours and attributes, all spellings of one colour being one.
    pub(crate) style: (Color, Color, Flags),
}

struct Extent(u16);

impl Dimensions for Extent {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.0)
    }

    fn columns(&self) -> usize {
        usize::from(COLS)
    }
}

impl Screen {
    /// An empty one with this many rows.
    pub(crate) fn new(rows: u16) -> Screen {
        let config = Config { scrolling_history: HISTORY, ..Config::default() };
        Screen { term: Term::new(config, &Extent(rows), VoidListener), parser: Processor::new() }
    }

    /// Feeds output to the model.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.term, bytes);
    }

    /// The character in a cell.
    pub(crate) fn at(&self, row: usize, column: usize) -> char {
        self.cell(i32::try_from(row).unwrap_or(0), column).c
    }

    /// The text of a row.
    pub(crate) fn row(&self, row: usize) -> String {
        (0..usize::from(COLS)).map(|column| self.at(row, column)).collect()
    }

    /// The text of the row with the cursor, and of the one above it.
    pub(crate) fn near_cursor(&self) -> String {
        let row = usize::try_from(self.term.grid().cursor.point.line.0).unwrap_or(0);
        let above = row.checked_sub(1).map_or_else(String::new, |above| self.row(above));
        above + &self.row(row)
    }

    /// Whether any row has this text.
    pub(crate) fn shows(&self, text: &str) -> bool {
        (0..self.rows()).any(|row| self.row(row).contains(text))
    }

    /// All of it, for a person.
    pub(crate) fn text(&self) -> String {
        let rows: Vec<String> = (0..self.rows()).map(|row| self.row(row).trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.term.screen_lines()
    }

    /// How a row looks; negative ones lie above the window, -1 being the last that left it. `None` if that was never
    /// there.
    pub(crate) fn looks(&self, row: i32) -> Option<Vec<Look>> {
        let reaches = i32::try_from(self.term.grid().history_size()).unwrap_or(i32::MAX);
        let seen = (-reaches..i32::try_from(self.rows()).unwrap_or(0)).contains(&row);
        seen.then(|| (0..usize::from(COLS)).map(|column| look(self.cell(row, column))).collect())
    }

    fn cell(&self, row: i32, column: usize) -> &Cell {
        &self.term.grid()[Point::new(Line(row), Column(column))]
    }
}

/// The visible part of a look: a blank has no foreground unless something is drawn on it, and 16 colours have two
/// spellings.
fn look(cell: &Cell) -> Look {
    let mut flags = cell.flags;
    flags.remove(Flags::WRAPLINE);
    let drawn = Flags::INVERSE | Flags::ALL_UNDERLINES | Flags::STRIKEOUT;
    let blank = cell.c == ' ' && !flags.intersects(drawn);
    let foreground = if blank { Color::Named(NamedColor::Foreground) } else { spelled_once(cell.fg) };
    let flags = if blank { Flags::empty() } else { flags };
    Look { character: cell.c, style: (foreground, spelled_once(cell.bg), flags) }
}

fn spelled_once(color: Color) -> Color {
    match color {
        Color::Named(named) => u8::try_from(named as usize).map_or(color, Color::Indexed),
        Color::Indexed(_) | Color::Spec(_) => color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_colour_look_the_same_and_two_colours_do_not() {
        let looks = |text: &str| {
            let mut screen = Screen::new(ROWS);
            screen.feed(text.as_bytes());
            screen.looks(0)
        };
        assert_eq!(looks("\x1b[91mx"), looks("\x1b[38;5;9mx"));
        assert_ne!(looks("\x1b[91mx"), looks("\x1b[38;5;10mx"));
        assert_ne!(looks("\x1b[91mx"), looks("\x1b[91my"));
        assert_eq!(looks("\x1b[1;31m x"), looks(" \x1b[1;31mx"));
    }

    #[test]
    fn lines_that_left_the_window_are_above_it() {
        let mut screen = Screen::new(2);
        screen.feed(b"a\r\nb\r\nc");
        assert_eq!(screen.looks(-1).map(|row| row[0].character), Some('a'));
        assert_eq!(screen.looks(-2), None);
        assert!(screen.shows("c") && !screen.shows("a"));
    }
}
