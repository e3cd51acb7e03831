//! A line of typed cells: what travels, and what a viewer paints.

use serde::{Deserialize, Serialize};

use super::codec::{self, BadLine};
use super::style::Style;

/// Most zero-width characters kept in one cell: more than any script in use stacks on one base, and little enough that
/// the longest line fits [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES). Further ones are dropped.
pub const MAX_ZERO_WIDTH: usize = 8;

/// How many cells the characters of a run take. The width is sent as data, so that a viewer needs no table of widths
/// and cannot disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// Every character takes one cell.
    Narrow,
    /// Every character takes two cells.
    Wide,
    /// The text is the content of one cell: a character and the zero-width ones on it.
    Cluster {
        /// Columns the cell takes, one or two.
        columns: u8,
    },
}

/// A stretch of cells of one style and width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How the cells look.
    pub style: Style,
    /// How many cells the characters take.
    pub width: Width,
    /// The characters. Never empty, never a control character.
    pub text: String,
}

/// A line of a terminal in its one canonical form: no default blanks at the end, neighbours of equal style and width
/// joined. Equal content means equal lines and equal encodings.
///
/// Serialised as its encoding, so that what is deserialised was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Line {
    /// The text goes on in the next line: there was no line break, only no room.
    pub wrapped: bool,
    /// The cells from the left, at most [`MAX_COLS`](super::MAX_COLS) columns.
    pub runs: Vec<Run>,
}

/// One cell of a line, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellRef<'a> {
    pub(crate) style: &'a Style,
    /// The character and what is stacked on it.
    pub(crate) text: &'a str,
    /// One or two.
    pub(crate) columns: u8,
}

impl Line {
    /// The line as bytes, at most [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES) of them for a line that an emulator or a
    /// decoder made.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The line that `bytes` stand for. Every byte string either is the one encoding of a line or is refused.
    ///
    /// # Errors
    /// The bytes are not the encoding of any line.
    pub fn decode(bytes: &[u8]) -> Result<Line, BadLine> {
        codec::decode(bytes)
    }

    /// Columns up to the last cell that is not a default blank.
    pub fn columns(&self) -> usize {
        self.runs.iter().map(Run::columns).sum()
    }

    /// The characters, without the blanks at the end.
    pub fn text(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    /// The cells from the left.
    pub(crate) fn cells(&self) -> impl Iterator<Item = CellRef<'_>> {
        self.runs.iter().flat_map(Run::cells)
    }

    /// The part of the line that starts at column `left` and is `cols` wide; a wide cell that is cut in half becomes a
    /// blank of its style.
    pub fn crop(&self, left: usize, cols: usize) -> Line {
        if left == 0 && self.columns() <= cols {
            return self.clone();
        }
        let mut part = Line { wrapped: self.wrapped, runs: Vec::new() };
        let mut column = 0;
        for cell in self.cells() {
            let end = column + usize::from(cell.columns);
            if column >= left && end <= left + cols {
                part.push(cell);
            } else {
                for _ in column.max(left)..end.min(left + cols) {
                    part.push(CellRef { style: cell.style, text: " ", columns: 1 });
                }
            }
            column = end;
        }
        part.trim();
        part
    }

    /// Adds a cell at the right; [`Line::trim`] makes the line canonical afterwards.
    pub(super) fn push(&mut self, cell: CellRef<'_>) {
        let stacked = cell.text.chars().nth(1).is_some();
        let width = match (stacked, cell.columns) {
            (true, columns) => Width::Cluster { columns },
            (false, 2) => Width::Wide,
            (false, _) => Width::Narrow,
        };
        if let Some(last) = self.runs.last_mut()
            && !stacked
            && last.width == width
            && last.style == *cell.style
        {
            last.text.push_str(cell.text);
            return;
        }
        self.runs.push(Run { style: cell.style.clone(), width, text: cell.text.to_owned() });
    }

    /// Takes the default blanks off the end.
    pub(super) fn trim(&mut self) {
        while let Some(last) = self.runs.last_mut() {
            if last.width != Width::Narrow || !last.style.is_default() {
                return;
            }
            last.text.truncate(last.text.trim_end_matches(' ').len());
            if !last.text.is_empty() {
                return;
            }
            self.runs.pop();
        }
    }
}

impl Run {
    /// Columns the run takes.
    pub fn columns(&self) -> usize {
        match self.width {
            Width::Narrow => self.text.chars().count(),
            Width::Wide => 2 * self.text.chars().count(),
            Width::Cluster { columns } => usize::from(columns),
        }
    }

    fn cells(&self) -> impl Iterator<Item = CellRef<'_>> {
        let (whole, columns) = match self.width {
            Width::Narrow => (false, 1),
            Width::Wide => (false, 2),
            Width::Cluster { columns } => (true, columns),
        };
        let mut rest = self.text.as_str();
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let (text, after) = rest.split_at(if whole { rest.len() } else { first.len_utf8() });
            rest = after;
            Some(CellRef { style: &self.style, text, columns })
        })
    }
}

impl TryFrom<Vec<u8>> for Line {
    type Error = BadLine;

    fn try_from(bytes: Vec<u8>) -> Result<Line, BadLine> {
        Line::decode(&bytes)
    }
}

impl From<Line> for Vec<u8> {
    fn from(line: Line) -> Vec<u8> {
        line.encode()
    }
}
