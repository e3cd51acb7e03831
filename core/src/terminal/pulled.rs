//! Rows that the program's terminal pulls back out of its scrollback when its window grows.
//!
//! The rows' lines left the window before, so the lines are final, and viewers have them in their scrollback. On the
//! screen they stand as new lines. One that leaves the window again as it was pulled back *repeats* its first line: a
//! viewer that got that one needs no second. One that was changed is a line like any other.

use std::collections::VecDeque;

use alacritty_terminal::grid::{Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line as GridLine};
use alacritty_terminal::term::cell::{Cell, Flags};

use super::cells::{RowEncoder, is_blank};
use super::emulator::Emulator;
use super::handler::{ModelHandler, touch_rows};
use super::passing::PassedRows;

/// Most rows that can come back: those that left the window last. More than windows grow by.
pub(super) const MOST_PULLED: usize = 128;

/// Most runs of lines that are known to repeat others; of the oldest that is forgotten.
const MAX_REPEATS: usize = 1024;

/// A row with the number of its line; of several lines, the lowest.
type Numbered = (u64, Row<Cell>);

/// Lines, from `first` to before `end`, that repeat `origin` and those after it.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    first: u64,
    end: u64,
    origin: u64,
}

/// The rows that can be pulled back, and those that were.
#[derive(Default)]
pub(super) struct Pulled {
    /// The terminal keeps what a program clears, and what scrolls out of a region at the top of the screen.
    pub(super) keeps_cleared: bool,
    /// So many of the newest rows above the model's window are known to be in the terminal's scrollback as well.
    above: usize,
    /// The rows before those, which passed through the window.
    passed: PassedRows,
    /// The rows before those, from the oldest.
    scrolled: VecDeque<Numbered>,
    /// The window's first rows as they were pulled back.
    returned: VecDeque<Numbered>,
    /// Rows were pulled back since the scrollback was last erased.
    has_pulled: bool,
    repeats: VecDeque<Repeat>,
    encoder: RowEncoder,
}

impl Pulled {
    /// This line leaves the window.
    pub(super) fn left(&mut self, number: u64, line: &[u8]) {
        let Some((origin, row)) = self.returned.pop_front() else { return };
        if self.encoder.encode_row(&row) != line {
            return;
        }
        match self.repeats.back_mut() {
            Some(last) if last.end == number && last.origin + (last.end - last.first) == origin => last.end += 1,
            Some(_) | None => self.repeats.push_back(Repeat { first: number, end: number + 1, origin }),
        }
        if self.repeats.len() > MAX_REPEATS {
            self.repeats.pop_front();
        }
    }

    /// The line that this one repeats.
    fn origin(&self, number: u64) -> Option<u64> {
        let at = self.repeats.partition_point(|repeat| repeat.end <= number);
        let repeat = self.repeats.get(at).filter(|repeat| repeat.first <= number)?;
        Some(repeat.origin + (number - repeat.first))
    }

    /// So many rows left the window, of which the model keeps at most `kept`; `sure`: the terminal put them into its
    /// scrollback as well.
    pub(super) fn harvested(&mut self, rows: usize, kept: usize, sure: bool) {
        if sure {
            self.above = (self.above + rows).min(kept);
        } else {
            self.forget();
        }
    }

    /// Nobody knows any more what is in the terminal's scrollback.
    pub(super) fn forget(&mut self) {
        self.above = 0;
        self.passed = PassedRows::default();
        self.scrolled.clear();
    }

    /// These rows left the window last, and they are as many as can come back.
    pub(super) fn passed_through(&mut self, rows: PassedRows) {
        self.forget();
        self.passed = rows;
    }

    /// A program erased the scrollback: what comes back from now on was never there.
    pub(super) fn erased(&mut self) {
        self.forget();
        self.has_pulled = false;
        self.returned.clear();
    }

    /// Takes over the model's rows above the window of `grid`, the first line of which is `top`.
    pub(super) fn set_aside(&mut self, grid: &Grid<Cell>, top: u64) {
        for (number, row) in std::mem::take(&mut self.passed).into_rows(grid.columns()) {
            self.scrolled.push_back((self.origin(number).unwrap_or(number), row));
        }
        for above in (1..=std::mem::take(&mut self.above)).rev() {
            let number = top - above as u64;
            let origin = self.origin(number).unwrap_or(number);
            self.scrolled.push_back((origin, grid[GridLine(-(above as i32))].clone()));
        }
        self.scrolled.drain(..self.scrolled.len().saturating_sub(MOST_PULLED));
    }

    /// Whether the terminal's scrollback has rows that the model does not have any more, if `has_lines` tells whether
    /// lines left the window. Once rows were pulled back, only those that were set aside are known to be there.
    pub(super) fn has_rows_set_aside(&self, has_lines: bool) -> bool {
        if self.has_pulled { !self.scrolled.is_empty() || !self.passed.is_empty() } else { has_lines }
    }

    /// The window has another width: its rows are wrapped anew, as the model wraps its own.
    pub(super) fn rewrap(&mut self, columns: usize) {
        self.scrolled = rewrapped(&mut self.scrolled, columns);
        self.returned = rewrapped(&mut self.returned, columns);
    }

    /// The window has another height, and what left it was harvested.
    pub(super) fn fit(&mut self, lines: usize) {
        self.returned.truncate(lines);
    }
}

/// Rows of one width as rows of another.
fn rewrapped(rows: &mut VecDeque<Numbered>, columns: usize) -> VecDeque<Numbered> {
    let Some(first) = rows.iter().map(|(number, _)| *number).min() else { return VecDeque::new() };
    let (count, before) = (rows.len(), rows[0].1.len());
    if before == columns {
        return std::mem::take(rows);
    }
    // One more row, with the cursor on it, marks their end. No row goes on in it.
    if let Some(last) = rows.back_mut().and_then(|(_, row)| row.last_mut()) {
        last.flags.remove(Flags::WRAPLINE);
    }
    let mut grid: Grid<Cell> = Grid::new(count + 1, before, count * before);
    for (line, (_, row)) in (0..).zip(rows.drain(..)) {
        grid[GridLine(line)] = row;
    }
    grid.cursor.point.line = GridLine(count as i32);
    grid[GridLine(count as i32)][Column(0)].c = '|';
    grid.resize(true, count + 1, columns);
    let (top, end) = (grid.topmost_line().0, grid.cursor.point.line.0);
    (top..end).map(|line| (first, grid[GridLine(line)].clone())).collect()
}

impl ModelHandler {
    /// The terminal's window shows so many more rows at its top than the model's: those come back that left last. Rows
    /// that the model never had are blank. As many rows at the bottom go, if they are free.
    fn pull(&mut self, rows: usize) {
        self.on_main(|handler| {
            handler.harvest();
            handler.set_aside();
            handler.pull_into_window(rows);
        });
    }

    /// Moves the rows above the window out of the model.
    pub(super) fn set_aside(&mut self) {
        self.pulled.set_aside(self.term.grid(), self.history.top());
        self.term.grid_mut().clear_history();
        self.kept = 0;
    }

    fn pull_into_window(&mut self, rows: usize) {
        let top = self.history.top();
        let grid = self.term.grid_mut();
        let (lines, columns) = (grid.screen_lines(), grid.columns());
        let is_used = |line: &usize| grid[GridLine(*line as i32)].into_iter().any(|cell| !is_blank(cell));
        let used = (0..lines).rfind(is_used).unwrap_or(0).max(grid.cursor.point.line.0 as usize);
        let count = rows.min(lines - 1 - used);
        if count == 0 {
            return;
        }
        self.pulled.has_pulled = true;
        let template = std::mem::take(&mut grid.cursor.template);
        grid.scroll_down(&(GridLine(0)..GridLine(lines as i32)), count);
        grid.cursor.template = template;
        grid.cursor.point.line += count;
        grid.saved_cursor.point.line = (grid.saved_cursor.point.line + count).min(grid.bottommost_line());
        for line in (0..count).rev() {
            let unknown = || (top + line as u64, Row::new(columns));
            let (origin, row) = self.pulled.scrolled.pop_back().unwrap_or_else(unknown);
            grid[GridLine(line as i32)] = row.clone();
            self.pulled.returned.push_front((origin, row));
        }
        self.pulled.returned.truncate(lines);
        touch_rows(grid);
    }
}

impl Emulator {
    /// The program's own terminal has pulled so many rows back out of its scrollback, and shows them at its top: the
    /// main screen does the same with the rows that left last. These rows become lines with new numbers.
    pub fn pull(&mut self, rows: u16) {
        self.handler_mut().pull(rows.into());
    }

    /// The line that a line above the window repeats: it was pulled back, and left as it came.
    pub fn repeated(&self, number: u64) -> Option<u64> {
        self.handler().pulled.origin(number)
    }

    /// Row and column of the cursor as a terminal reports them, counted from 1.
    pub fn reported_place(&self) -> (u16, u16) {
        let (row, column) = self.handler().reported_place();
        (row as u16, column as u16)
    }

    /// Whether the main screen is shown now, whatever the last frame has.
    pub(crate) fn shows_main(&self) -> bool {
        !self.handler().is_alternate()
    }

    /// How often the program asked its terminal where the cursor is.
    pub(crate) fn cursor_queries(&self) -> u64 {
        self.handler().notes.said().cursor_queries
    }
}
