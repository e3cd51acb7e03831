//! Rows of the person's terminal: what they show, and the writing of one over another.

use std::io::Write as _;

use super::super::head::Space;
use super::super::line::{CellRef, Line};
use super::super::size::Size;
use super::super::style::Style;
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
    /// The row's content under the banner, if a banner covers it.
    pub(super) under: Option<Box<Row>>,
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

/// Writes rows; knows on which one the cursor is.
pub(in crate::terminal) struct Writer<'a> {
    pub(in crate::terminal) cols: usize,
    pub(in crate::terminal) pen: Pen,
    pub(in crate::terminal) at: Option<u16>,
    pub(in crate::terminal) out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    /// Makes a row that shows `shown` show `line`: writes the columns from the first to the last that differ.
    pub(in crate::terminal) fn row(&mut self, row: u16, shown: Option<&Line>, line: &Line) {
        let blank = Style::default();
        let new = columns_of(line, self.cols, &blank);
        let Some((first, last)) = difference(shown, &new, self.cols, &blank) else { return };
        let used = line.columns();
        if first == 0 && row > 0 && self.at == Some(row - 1) {
            self.out.extend_from_slice(b"\r\n");
        } else {
            go_to(self.out, row, first as u16);
        }
        self.at = Some(row);
        if shown.is_none() {
            // Before the text, not after it: a half of a wide character that was left there would spoil what is written
            // over it.
            self.pen.reset(self.out);
            self.out.extend_from_slice(b"\x1b[K");
        }
        let mut adrift = false;
        let mut column = first;
        while column <= last && column < used {
            let Some(cell) = new[column] else { return };
            if adrift {
                go_to_column(self.out, column);
            }
            let soft = cell.text.starts_with(SOFT_HYPHEN);
            if soft {
                self.pen.put(&CellRef { text: " ", ..cell }, self.out);
                go_to_column(self.out, column);
            }
            self.pen.put(&cell, self.out);
            // Tables of widths differ: after anything but a plain narrow cell only the host knows the column.
            adrift = soft || cell.columns > 1 || cell.text.chars().nth(1).is_some();
            column += usize::from(cell.columns);
        }
        if column <= last && shown.is_some() {
            if adrift {
                go_to_column(self.out, column);
            }
            self.pen.reset(self.out);
            self.out.extend_from_slice(b"\x1b[K");
        }
    }

    /// Lets the top rows out into the scrollback, by line feeds on the last row.
    pub(super) fn scroll(&mut self, shown: &mut Rows, by: usize) {
        self.pen.reset(self.out);
        self.out.extend_from_slice(b"\x1b[0m");
        let last = shown.len() - 1;
        go_to(self.out, last as u16, 0);
        self.out.resize(self.out.len() + by, b'\n');
        self.at = Some(last as u16);
        shown.drain(..by);
        shown.resize(last + 1, Some(Row::default()));
    }
}

/// To some terminals this takes no cell; so there is a blank below it.
const SOFT_HYPHEN: char = '\u{ad}';

/// The first and the last column that differ, extended to whole cells of what is there as of what comes.
fn difference(shown: Option<&Line>, new: &[Option<CellRef<'_>>], cols: usize, blank: &Style) -> Option<(usize, usize)> {
    let Some(shown) = shown else { return Some((0, cols - 1)) };
    let old = columns_of(shown, cols, blank);
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
