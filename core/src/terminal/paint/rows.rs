//! Rows of the person's terminal: what they show, and the writing of one over another.

use std::io::Write as _;

use super::super::head::Space;
use super::super::line::{CellRef, Line};
use super::super::size::Size;
use super::super::style::Style;
use super::doubt::Doubt;
use super::pen::Pen;

/// Names the content of a row that shows one line of the host: equal keys mean equal content, without comparing cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) space: Space,
    pub(super) number: u64,
    pub(super) version: u64,
    /// The column it starts at, and the size of the host's window, which says where a border stands.
    pub(super) left: u16,
    pub(super) host: Size,
}

/// A row of the terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) key: Option<Key>,
    pub(super) line: Line,
    /// The terminal may still have the row go on in the one below, although the row's line does not say so.
    pub(super) may_go_on: bool,
    /// The row's content under the banner, if a banner covers it.
    pub(super) under: Option<Box<Row>>,
}

impl Row {
    /// The terminal may have forgotten that the row goes on in the one below.
    fn doubt_wrap(&mut self) {
        self.may_go_on |= std::mem::take(&mut self.line.wrapped);
    }
}

/// The content of one of the terminal's screens, from the top; `None` for rows of unknown content.
pub(super) type Rows = Vec<Option<Row>>;

pub(super) fn unknown(rows: u16) -> Rows {
    vec![None; usize::from(rows)]
}

pub(super) fn blank(rows: u16) -> Rows {
    vec![Some(Row::default()); usize::from(rows)]
}

/// Cursor to a row and column, both 0-based.
pub(in crate::terminal) fn go_to(out: &mut Vec<u8>, row: u16, col: u16) {
    // Writing to memory cannot fail.
    let _ = if col == 0 { write!(out, "\x1b[{}H", row + 1) } else { write!(out, "\x1b[{};{}H", row + 1, col + 1) };
}

/// Writes rows; knows on which one the cursor is. The terminal must not wrap lines by itself meanwhile (mode 7).
pub(in crate::terminal) struct Writer<'a> {
    pub(in crate::terminal) cols: usize,
    pub(in crate::terminal) pen: Pen,
    pub(in crate::terminal) at: Option<u16>,
    pub(in crate::terminal) out: &'a mut Vec<u8>,
    begun: Option<Begun>,
    /// The row above may be wrapped into the row that is written next.
    pub(super) continues: bool,
}

/// Erases a row from its first column on, in two parts. tmux forgets that the row above goes on in this one when all of
/// it is erased at once.
const ERASE_IN_PARTS: &[u8] = b"\x1b[1X\x1b[2G\x1b[K";

/// A row whose first cells were written already, as the row above was wrapped into it: [`Writer::row`] goes on there.
#[derive(Clone, Copy, Debug)]
struct Begun {
    row: u16,
    /// The cursor is in the row's second column.
    is_followed: bool,
    last_column: LastColumn,
}

/// Whether writing a row changed its last column. Some terminals keep in the last cell that the row goes on below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum LastColumn {
    Kept,
    Written,
}

/// How sure the writer is of the cursor's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Sure,
    /// Behind this many ambiguous characters in a row.
    Behind(usize),
    Adrift,
}

impl<'a> Writer<'a> {
    /// A writer whose cursor may be anywhere.
    pub(in crate::terminal) fn new(cols: usize, pen: Pen, out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { cols, pen, at: None, out, begun: None, continues: false }
    }

    /// Makes rows show others; a row of which nothing is wanted stays. A row's line says whether the row goes on in the
    /// one below; afterwards, whether the terminal knows that.
    pub(super) fn rows(&mut self, shown: &mut Rows, mut wanted: Vec<Option<Row>>) {
        self.end_rows(shown, &mut wanted);
        for row in 0..wanted.len() {
            let is_ended = self.was_ended(row);
            let stays = || shown[row].as_ref().filter(|shown| is_ended && shown.line.wrapped).cloned();
            let Some(mut next) = wanted[row].take().or_else(stays) else { continue };
            let below = wanted.get(row + 1).and_then(Option::as_ref).or_else(|| shown.get(row + 1)?.as_ref());
            let before = shown[row].as_ref().map(|shown| &shown.line);
            // The row above the first one is in the scrollback.
            let above = row.checked_sub(1).map(|above| shown[above].as_ref().is_some_and(|above| above.line.wrapped));
            self.continues = above.unwrap_or(true);
            let may_go_on = may_go_on(&shown[row], self.continues);
            next.line.wrapped = self.flow(row as u16, before, &next.line, below.map(|below| &below.line));
            next.may_go_on = may_go_on && !next.line.wrapped;
            shown[row] = Some(next);
        }
    }

    /// Ends the rows that shall not go on in the row below any more, if the terminal may know that they do. Since the
    /// terminal may then forget the wrap of a row beside, that row is written anew.
    fn end_rows(&mut self, shown: &mut Rows, wanted: &mut [Option<Row>]) {
        for row in 0..wanted.len() {
            // The row above the first one is in the scrollback.
            let is_begun = row == 0 || wanted[row - 1].as_ref().is_some_and(|above| above.line.wrapped);
            let ends = wanted[row].as_ref().is_some_and(|next| !next.line.wrapped);
            if !ends || !may_go_on(&shown[row], is_begun) {
                continue;
            }
            let beside = row.checked_sub(1).unwrap_or(1);
            if let Some(wanted) = wanted.get_mut(beside).filter(|wanted| wanted.is_none()) {
                wanted.clone_from(&shown[beside]);
            }
            self.end_row(shown, row);
        }
    }

    /// Erases a row, so that the terminal forgets that the row goes on below. tmux forgets that only when the whole row
    /// is erased at once, and then forgets the wrap of the row above too. The row above row 0 is in the scrollback, and
    /// cannot be wrapped again. So row 1 is erased at once instead: that ends row 0.
    pub(super) fn end_row(&mut self, shown: &mut Rows, row: usize) {
        self.pen.reset(self.out);
        go_to(self.out, row as u16, 0);
        self.at = None;
        if row > 0 {
            self.out.extend_from_slice(b"\x1b[K");
            shown[row - 1].iter_mut().for_each(Row::doubt_wrap);
        } else {
            self.out.extend_from_slice(ERASE_IN_PARTS);
            if let Some(second) = shown.get_mut(1) {
                go_to(self.out, 1, 0);
                self.out.extend_from_slice(b"\x1b[K");
                *second = Some(Row::default());
            }
        }
        shown[row] = Some(Row::default());
    }

    /// Whether the terminal forgot that a row goes on, as the wrap into that row wrote the row's last column too.
    fn was_ended(&self, row: usize) -> bool {
        self.begun.is_some_and(|begun| usize::from(begun.row) == row && begun.last_column == LastColumn::Written)
    }

    /// Makes a row that shows `shown` show `line`, and lets it go on in the row below if the line says so; `below` is
    /// what that row shows or will show, if there is such a row. Returns whether the terminal knows the two as one
    /// line. The caller has ended ([`end_row`](Writer::end_row)) a row that shall not go on any more.
    pub(super) fn flow(&mut self, row: u16, shown: Option<&Line>, line: &Line, below: Option<&Line>) -> bool {
        let was_wrapped = shown.is_some_and(|shown| shown.wrapped);
        let last_column = self.row(row, shown, line);
        if !line.wrapped {
            return false;
        }
        let is_wrapped = was_wrapped && last_column == LastColumn::Kept || self.wrap(row, line, below);
        if is_wrapped {
            // A line feed on this row would end the line.
            self.at = None;
        }
        is_wrapped
    }

    /// Makes a row that shows `shown` show `line`: writes the columns from the first to the last that differ.
    pub(in crate::terminal) fn row(&mut self, row: u16, shown: Option<&Line>, line: &Line) -> LastColumn {
        let begun = self.begun.take().filter(|begun| begun.row == row);
        let untouched = begun.map_or(LastColumn::Kept, |begun| begun.last_column);
        let begun = begun.is_some_and(|begun| begun.is_followed);
        let blank = Style::default();
        let new = columns_of(line, self.cols, &blank);
        let old = shown.map(|shown| columns_of(shown, self.cols, &blank));
        let Some((first, last)) = difference(old.as_deref(), &new, self.cols) else { return untouched };
        let start = if begun { first.max(1) } else { first };
        if !begun || start > 1 {
            self.place(row, start);
        }
        self.at = Some(row);
        if start >= self.cols {
            return LastColumn::Written;
        }
        if old.is_none() {
            // Before the text, not after it: a half of a wide character that was left there would spoil what is written
            // over it.
            self.pen.reset(self.out);
            if start == 0 && self.continues {
                self.out.extend_from_slice(ERASE_IN_PARTS);
                go_to(self.out, row, 0);
            } else {
                self.out.extend_from_slice(b"\x1b[K");
            }
        }
        let last = self.cells(old.as_deref(), &new, (start, last), line.columns());
        if last + 1 >= self.cols { LastColumn::Written } else { untouched }
    }

    /// Puts the cursor there.
    fn place(&mut self, row: u16, column: usize) {
        if column == 0 && row > 0 && self.at == Some(row - 1) {
            self.out.extend_from_slice(b"\r\n");
        } else {
            go_to(self.out, row, column as u16);
        }
    }

    /// Writes the cells from the cursor's column to the last one, and returns the last column written. Tables of widths
    /// differ: behind a character of doubtful width the cursor is placed anew, what the character may not cover is
    /// erased before it is written, and what it may have covered beside its columns is written again. A run of
    /// ambiguous characters is one piece: where each takes two columns, it stays readable.
    fn cells(
        &mut self,
        old: Option<&[Option<CellRef<'_>>]>,
        new: &[Option<CellRef<'_>>],
        (mut column, mut last): (usize, usize),
        used: usize,
    ) -> usize {
        let mut cursor = Cursor::Sure;
        let mut spilt = 0;
        let mut before = new[..column].iter().flatten().next_back().copied();
        let mut spared = None;
        while column <= last && column < used {
            let Some(cell) = new[column] else { break };
            if spared == Some(column) {
                column += 1;
                continue;
            }
            let doubt = Doubt::behind(before.replace(cell), &cell);
            let (columns, end) = (usize::from(cell.columns), column + usize::from(cell.columns));
            let run = match cursor {
                Cursor::Sure => 0,
                Cursor::Behind(run) if doubt == Doubt::Ambiguous => run,
                Cursor::Behind(_) | Cursor::Adrift => {
                    go_to_column(self.out, column);
                    0
                }
            };
            if let Some(old) = old.filter(|_| doubt == Doubt::Unsteady) {
                self.clear(&cell, &old[column..]);
            }
            let soft = cell.text.starts_with(SOFT_HYPHEN);
            if soft {
                self.pen.put(&CellRef { text: " ", ..cell }, self.out);
                go_to_column(self.out, column);
            }
            self.pen.put(&cell, self.out);
            // A blank that stays is spared: the character may be as wide as the terminal likes.
            let may_spare = doubt == Doubt::Unsteady && columns == 1 && end + 1 < self.cols;
            spared = Some(end).filter(|end| may_spare && stays_blank(old, new, *end));
            (cursor, spilt) = match doubt {
                Doubt::None if columns == 1 => (Cursor::Sure, 0),
                Doubt::Ambiguous => (Cursor::Behind(run + 1), run + 1),
                Doubt::Unsteady if columns == 1 => (Cursor::Adrift, usize::from(spared.is_none())),
                Doubt::None | Doubt::Unsteady => (Cursor::Adrift, 0),
            };
            column = end;
            last = last.max(end - 1 + spilt).min(self.cols - 1);
        }
        column += usize::from(spared == Some(column));
        if column <= last && (old.is_some() || spilt > 0) {
            if cursor != Cursor::Sure {
                go_to_column(self.out, column);
            }
            self.pen.reset(self.out);
            if column == 0 && self.continues {
                self.out.extend_from_slice(ERASE_IN_PARTS);
            } else {
                self.out.extend_from_slice(b"\x1b[K");
            }
            return self.cols - 1;
        }
        last
    }

    /// Erases what stands where a cell will be, in whole cells: half of a wide one would spoil what is written beside
    /// it.
    fn clear(&mut self, cell: &CellRef<'_>, old: &[Option<CellRef<'_>>]) {
        let columns = usize::from(cell.columns).min(old.len());
        let beyond = old[columns..].iter().take_while(|old| old.is_none()).count();
        if is_blank(&old[..columns + beyond]) {
            return;
        }
        self.pen.change(cell.style, self.out);
        // Writing to memory cannot fail.
        let _ = write!(self.out, "\x1b[{}X", columns + beyond);
    }

    /// Writes a row's last cell and the first one of the row below without placing the cursor between them: the
    /// terminal wraps by itself, and knows the two as one line from then on. Returns whether it does: all terminals
    /// must give these cells the same width.
    fn wrap(&mut self, row: u16, line: &Line, below: Option<&Line>) -> bool {
        let Some(below) = below else { return false };
        let blank = Style::default();
        let columns = columns_of(line, self.cols, &blank);
        let Some((at, last)) = (0..self.cols).rev().find_map(|at| Some((at, columns[at]?))) else { return false };
        let next = columns_of(below, self.cols, &blank);
        let Some(first) = next[0] else { return false };
        let doubt = Doubt::of(&last);
        if doubt == Doubt::Unsteady || Doubt::of(&first) == Doubt::Unsteady || usize::from(first.columns) > self.cols {
            return false;
        }
        // A wide character that does not fit leaves the last column as it is.
        let leaves = first.columns == 2 && last.text == " " && last.style == first.style;
        go_to(self.out, row, at as u16);
        self.out.extend_from_slice(b"\x1b[?7h");
        if !leaves {
            self.pen.put(&last, self.out);
        }
        self.pen.put(&first, self.out);
        self.out.extend_from_slice(b"\x1b[?7l");
        let is_ambiguous = doubt == Doubt::Ambiguous || Doubt::of(&first) == Doubt::Ambiguous;
        let end = if is_ambiguous { self.mend(row + 1, &next) } else { first.columns.into() };
        self.begun = Some(Begun {
            row: row + 1,
            is_followed: !is_ambiguous && first.columns == 1,
            last_column: if end >= self.cols { LastColumn::Written } else { LastColumn::Kept },
        });
        true
    }

    /// Writes the first cells of a row again: where ambiguous characters are wide, the wrap came one character early.
    /// Returns the column behind them.
    fn mend(&mut self, row: u16, cells: &[Option<CellRef<'_>>]) -> usize {
        let mut end = 0;
        for (column, cell) in cells.iter().enumerate().take(3.min(self.cols)) {
            if let Some(cell) = cell {
                go_to(self.out, row, column as u16);
                self.pen.put(cell, self.out);
                end = column + usize::from(cell.columns);
            }
        }
        end
    }

    /// Lets the top rows out into the scrollback, by line feeds on the last row.
    pub(super) fn scroll(&mut self, shown: &mut Rows, by: usize) {
        self.pen.reset(self.out);
        self.out.extend_from_slice(b"\x1b[0m");
        let last = shown.len() - 1;
        let begun = self.begun.map(|begun| usize::from(begun.row)).filter(|row| self.was_ended(*row));
        if let Some(Some(row)) = begun.and_then(|row| shown.get_mut(row)) {
            row.doubt_wrap();
        }
        self.begun = None;
        go_to(self.out, last as u16, 0);
        self.out.resize(self.out.len() + by, b'\n');
        self.at = Some(last as u16);
        shown.drain(..by);
        shown.resize(last + 1, Some(Row::default()));
    }
}

/// Whether the terminal may still have a row go on in the one below after the row was written. A row of unknown content
/// is erased then, but not at once if the row above is wrapped into it (`is_begun`).
pub(super) fn may_go_on(shown: &Option<Row>, is_begun: bool) -> bool {
    shown.as_ref().map_or(is_begun, |row| row.line.wrapped || row.may_go_on)
}

/// To some terminals this takes no cell; so there is a blank below it.
const SOFT_HYPHEN: char = '\u{ad}';

/// Whether no terminal can be trusted to wrap into a row that shows this line.
pub(super) fn begins_doubtfully(line: &Line) -> bool {
    line.cells().next().is_some_and(|cell| Doubt::of(&cell) == Doubt::Unsteady)
}

/// The first and the last column that differ, extended to whole cells of both contents.
fn difference(old: Option<&[Option<CellRef<'_>>]>, new: &[Option<CellRef<'_>>], cols: usize) -> Option<(usize, usize)> {
    let Some(old) = old else { return Some((0, cols - 1)) };
    let differs = |column: &usize| old[*column] != new[*column];
    let (mut first, mut last) = ((0..cols).find(differs)?, (0..cols).rfind(differs)?);
    while first > 0 && (old[first].is_none() || new[first].is_none()) {
        first -= 1;
    }
    while last + 1 < cols && (old[last + 1].is_none() || new[last + 1].is_none()) {
        last += 1;
    }
    Some((first, last))
}

/// Whether a column is blank and was as blank before. A row of unknown content was erased.
fn stays_blank(old: Option<&[Option<CellRef<'_>>]>, new: &[Option<CellRef<'_>>], column: usize) -> bool {
    let is_same = |cell: CellRef<'_>| old.map_or(cell.style.is_default(), |old| old[column] == Some(cell));
    new[column].is_some_and(|cell| cell.text == " " && is_same(cell))
}

/// Whether nothing can be seen in these columns but a colour.
fn is_blank(cells: &[Option<CellRef<'_>>]) -> bool {
    cells.iter().all(|cell| cell.is_some_and(|cell| cell.text == " "))
}

fn go_to_column(out: &mut Vec<u8>, column: usize) {
    let _ = write!(out, "\x1b[{}G", column + 1);
}

/// The cell that begins in each column; nothing where a wide one goes on.
pub(super) fn columns_of<'a>(line: &'a Line, cols: usize, blank: &'a Style) -> Vec<Option<CellRef<'a>>> {
    let mut columns = Vec::with_capacity(cols.max(line.columns()));
    for cell in line.cells() {
        columns.push(Some(cell));
        if cell.columns > 1 {
            columns.push(None);
        }
    }
    columns.resize(cols, Some(CellRef { style: blank, text: " ", columns: 1 }));
    columns
}
