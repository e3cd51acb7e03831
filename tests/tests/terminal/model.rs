//! The bare terminal model, read by itself: what the lines are compared with.

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::{Column, Line as GridLine};
use alacritty_terminal::term::cell::{Cell as GridCell, Flags};
use alacritty_terminal::term::{Config, Term, TermMode};
use beach_core::terminal::{Attributes, Color, Line, Size, Style, Underline, Width};
use vte::ansi::{self, NamedColor, Processor, Timeout};

/// A cell as it can be seen. The second half of a wide one has no text.
#[derive(Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) columns: u8,
    pub(crate) style: Style,
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.text.escape_default())?;
        if self.style == Style::default() { Ok(()) } else { write!(f, "{:?}", self.style) }
    }
}

impl Cell {
    pub(crate) fn blank(style: Style) -> Cell {
        Cell { text: " ".into(), columns: 1, style }
    }
}

/// A line's cells, filled with blanks, as far as the bare model can show them: it has no blinking and no overline.
pub(crate) fn cells_of(line: &Line, cols: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut put = |text: String, columns: u8, style: &Style| {
        let attributes = style.attributes.without(Attributes::BLINK.with(Attributes::OVERLINE));
        let style = &Style { attributes, ..style.clone() };
        cells.push(Cell { text, columns, style: style.clone() });
        if columns == 2 {
            cells.push(Cell { text: String::new(), columns: 0, style: style.clone() });
        }
    };
    for run in &line.runs {
        match run.width {
            Width::Narrow => run.text.chars().for_each(|c| put(c.into(), 1, &run.style)),
            Width::Wide => run.text.chars().for_each(|c| put(c.into(), 2, &run.style)),
            Width::Cluster { columns } => put(run.text.clone(), columns, &run.style),
        }
    }
    assert!(cells.len() <= cols, "a line of {} columns in a window of {cols}", cells.len());
    cells.resize(cols, Cell::blank(Style::default()));
    cells
}

/// A grid row's cells.
pub(crate) fn grid_cells(grid: &Grid<GridCell>, row: i32) -> Vec<Cell> {
    let row = &grid[GridLine(row)];
    let cols = row.len();
    let mut cells: Vec<Cell> = Vec::new();
    while cells.len() < cols {
        let at = cells.len();
        let cell = &row[Column(at)];
        let style = style_of(cell);
        let pair = cell.flags.contains(Flags::WIDE_CHAR)
            && at + 1 < cols
            && row[Column(at + 1)].flags.contains(Flags::WIDE_CHAR_SPACER);
        let half = Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER;
        if !pair && cell.flags.intersects(half) {
            cells.push(Cell::blank(style));
            continue;
        }
        let is_marked = !cell.zerowidth().unwrap_or_default().is_empty();
        let mut text = String::from(match cell.c {
            ' ' | '\t' if is_marked => '\u{a0}',
            '\t' => ' ',
            c => c,
        });
        text.extend(cell.zerowidth().unwrap_or_default().iter().take(8));
        cells.push(Cell { text, columns: 1 + u8::from(pair), style: style.clone() });
        if pair {
            cells.push(Cell { text: String::new(), columns: 0, style });
        }
    }
    cells
}

fn style_of(cell: &GridCell) -> Style {
    let has = |flag| cell.flags.contains(flag);
    let mut attributes = Attributes::NONE;
    for (flag, attribute) in [
        (Flags::BOLD, Attributes::BOLD),
        (Flags::DIM, Attributes::DIM),
        (Flags::ITALIC, Attributes::ITALIC),
        (Flags::INVERSE, Attributes::INVERSE),
        (Flags::HIDDEN, Attributes::HIDDEN),
        (Flags::STRIKEOUT, Attributes::STRIKE),
    ] {
        attributes = if has(flag) { attributes.with(attribute) } else { attributes };
    }
    let underline = match cell.flags & Flags::ALL_UNDERLINES {
        Flags::UNDERLINE => Underline::Single,
        Flags::DOUBLE_UNDERLINE => Underline::Double,
        Flags::UNDERCURL => Underline::Curly,
        Flags::DOTTED_UNDERLINE => Underline::Dotted,
        Flags::DASHED_UNDERLINE => Underline::Dashed,
        _ => Underline::None,
    };
    let link = cell.hyperlink().map(|link| link.uri().to_owned()).filter(|link| link.starts_with("http"));
    let underline_color = cell.underline_color().map(color_of).filter(|_| underline != Underline::None);
    Style { foreground: color_of(cell.fg), background: color_of(cell.bg), attributes, underline, underline_color, link }
}

fn color_of(color: ansi::Color) -> Color {
    match color {
        ansi::Color::Named(NamedColor::Foreground | NamedColor::Background) => Color::Default,
        ansi::Color::Named(name) => Color::Indexed(name as u8),
        ansi::Color::Indexed(index) => Color::Indexed(index),
        ansi::Color::Spec(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
    }
}

#[derive(Default)]
struct Forever(bool);

impl Timeout for Forever {
    fn set_timeout(&mut self, _: std::time::Duration) {
        self.0 = true;
    }

    fn clear_timeout(&mut self) {
        self.0 = false;
    }

    fn pending_timeout(&self) -> bool {
        self.0
    }
}

struct Extent(Size);

impl Dimensions for Extent {
    fn total_lines(&self) -> usize {
        self.0.rows.into()
    }

    fn screen_lines(&self) -> usize {
        self.0.rows.into()
    }

    fn columns(&self) -> usize {
        self.0.cols.into()
    }
}

/// The first character of a row that stands for taken lines; nothing writes it.
const STANDS_IN: char = '\u{10fffe}';

/// A bare terminal with practically endless history.
pub(crate) struct Bare {
    pub(crate) term: Term<VoidListener>,
    parser: Processor<Forever>,
}

impl Bare {
    pub(crate) fn new(size: Size) -> Bare {
        let config = Config { scrolling_history: 1_000_000, ..Config::default() };
        Bare { term: Term::new(config, &Extent(size), VoidListener), parser: Processor::new() }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.term, bytes);
    }

    /// The model leaves out to restore the cursor when the main screen is shown already.
    pub(crate) fn feed_restoring(&mut self, mut bytes: &[u8]) {
        const LEAVES: &[u8] = b"\x1b[?1049l";
        while let Some(at) = bytes.windows(LEAVES.len()).position(|part| part == LEAVES) {
            self.feed(&bytes[..at]);
            self.feed(if self.is_alternate() { LEAVES } else { b"\x1b8" });
            bytes = &bytes[at + LEAVES.len()..];
        }
        self.feed(bytes);
    }

    pub(crate) fn end_synchronized(&mut self) {
        if self.parser.sync_timeout().pending_timeout() {
            self.parser.stop_sync(&mut self.term);
        }
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    pub(crate) fn window(&self) -> Vec<Vec<Cell>> {
        (0..self.term.screen_lines()).map(|row| grid_cells(self.term.grid(), row as i32)).collect()
    }

    /// The lines above the window, oldest first.
    pub(crate) fn history(&self) -> Vec<Vec<Cell>> {
        let grid = self.term.grid();
        let is_line = |row: &i32| grid[GridLine(*row)][Column(0)].c != STANDS_IN;
        (-(grid.history_size() as i32)..0).filter(is_line).map(|row| grid_cells(grid, row)).collect()
    }

    /// Puts one row above the main screen that stands for all lines that were taken out, and is none of the history's:
    /// the terminal clears a blank screen otherwise where nothing is above.
    pub(crate) fn stand_in_for_history(&mut self) {
        let put = |bare: &mut Bare| {
            let lines = bare.term.screen_lines();
            let grid = bare.term.grid_mut();
            let window: Vec<_> = (0..lines).map(|line| grid[GridLine(line as i32)].clone()).collect();
            let all = GridLine(0)..GridLine(lines as i32);
            grid[GridLine(0)][Column(0)].c = STANDS_IN;
            grid.scroll_up(&all, 1);
            grid.scroll_down(&all, 1);
            for (line, row) in (0..).zip(window) {
                grid[GridLine(line)] = row;
            }
        };
        if self.is_alternate() { self.on_other(put) } else { put(self) }
    }

    /// Whether a row goes on in the one below; those above the window count downwards from -1.
    pub(crate) fn wraps(&self, row: i32) -> bool {
        let row = &self.term.grid()[GridLine(row)];
        row[Column(row.len() - 1)].flags.contains(Flags::WRAPLINE)
    }

    /// Row and column of the cursor, from 0.
    pub(crate) fn cursor(&self) -> (u16, u16) {
        let point = self.term.grid().cursor.point;
        (point.line.0 as u16, point.column.0 as u16)
    }

    /// A resize as a person's terminal does it.
    pub(crate) fn resize(&mut self, size: Size) {
        self.term.resize(Extent(size));
    }

    /// A resize that pulls nothing back: first the main screen's history is taken out. Returns the history.
    pub(crate) fn resize_without_history(&mut self, size: Size) -> Vec<Vec<Cell>> {
        let take = |bare: &mut Bare| {
            let history = bare.history();
            bare.term.grid_mut().clear_history();
            history
        };
        let history = if self.is_alternate() { self.on_other(take) } else { take(self) };
        self.term.resize(Extent(size));
        // A row that became wider keeps colours when it is erased, unless its last cell was written to.
        let touch = |bare: &mut Bare| {
            for row in bare.term.grid().topmost_line().0..i32::from(size.rows) {
                let _ = &mut bare.term.grid_mut()[GridLine(row)][Column(usize::from(size.cols) - 1)];
            }
        };
        touch(self);
        self.on_other(touch);
        history
    }

    fn on_other<T>(&mut self, act: impl FnOnce(&mut Bare) -> T) -> T {
        let alternate = self.is_alternate().then(|| self.term.grid().clone());
        let cursor = self.term.grid().saved_cursor.clone();
        self.term.swap_alt();
        let result = act(self);
        self.term.swap_alt();
        match alternate {
            Some(alternate) => *self.term.grid_mut() = alternate,
            None => self.term.grid_mut().saved_cursor = cursor,
        }
        result
    }
}
