//! The visible part of the host's window, and the look of its rows: cropped, with local echo, with a border.

use super::super::head::{Cursor, Head};
use super::super::line::{CellRef, Line};
use super::super::overlay::Overlay;
use super::super::size::Size;
use super::super::style::{Attributes, Style, Underline};
use super::rows::{Row, columns_of};

/// The part of the host's window that is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Its first row and column.
    pub(super) origin: (u16, u16),
    /// Where the person moved it, it stays.
    pub(super) held: bool,
    pub(super) cropped: bool,
}

impl View {
    /// Moves it as little as needed to hold the cursor.
    pub(super) fn place(&mut self, local: Size, head: &Head, (row, col): (u16, u16)) {
        let held = self.held;
        let along = |origin: u16, cursor: u16, host: u16, local: u16| {
            let origin = if held { origin } else { origin.clamp((cursor + 1).saturating_sub(local), cursor) };
            origin.min(host.saturating_sub(local))
        };
        let Size { cols, rows } = head.size;
        self.origin = (along(self.origin.0, row, rows, local.rows), along(self.origin.1, col, cols, local.cols));
        self.cropped = cols > local.cols || rows > local.rows;
    }

    /// Where the cursor stands on the terminal, and whether that is in sight.
    pub(super) fn cursor(&self, local: Size, (row, col): (u16, u16)) -> ((u16, u16), bool) {
        let within = |cursor: u16, origin: u16, local: u16| cursor.checked_sub(origin).filter(|at| *at < local);
        match (within(row, self.origin.0, local.rows), within(col, self.origin.1, local.cols)) {
            (Some(row), Some(col)) => ((row, col), true),
            _ => ((0, 0), false),
        }
    }
}

/// Where the cursor is in the host's window, with local echo.
pub(super) fn cursor_of(head: &Head, overlay: &Overlay) -> (u16, u16) {
    let Cursor { row, col, .. } = head.cursor;
    overlay.cursor.filter(|(row, col)| *row < head.size.rows && *col < head.size.cols).unwrap_or((row, col))
}

/// A line with the overlay's cells of that row over it; nothing if there are none.
pub(super) fn overlaid(line: &Line, row: u16, cols: u16, overlay: &Overlay) -> Option<Line> {
    let cols = usize::from(cols);
    let sound = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    let mut over = overlay
        .cells
        .iter()
        .filter(|cell| cell.row == row && sound(&cell.text) && (1..=2).contains(&cell.columns))
        .filter(|cell| usize::from(cell.col) + usize::from(cell.columns) <= cols)
        .peekable();
    over.peek()?;
    let blank = Style::default();
    let mut columns: Vec<Option<(Style, String, u8)>> = columns_of(line, cols, &blank)
        .into_iter()
        .map(|cell| cell.map(|cell| (cell.style.clone(), cell.text.to_owned(), cell.columns)))
        .collect();
    columns.truncate(cols);
    for cell in over {
        let (first, end) = (usize::from(cell.col), usize::from(cell.col) + usize::from(cell.columns));
        // A wide cell of which a half is covered becomes blank.
        let mut style = None;
        for column in first..end {
            let start = (0..=column).rev().find(|start| columns[*start].is_some()).unwrap_or(column);
            if let Some((below, _, wide)) = columns[start].clone() {
                style.get_or_insert_with(|| below.clone());
                let end = (start + usize::from(wide)).min(cols);
                columns[start..end].fill(Some((below, " ".to_owned(), 1)));
            }
        }
        let mut style = style.unwrap_or_default();
        if cell.underlined && style.underline == Underline::None {
            style.underline = Underline::Single;
        }
        columns[first] = Some((style, cell.text.clone(), cell.columns));
        columns[first + 1..end].fill(None);
    }
    let mut line = Line { wrapped: line.wrapped, runs: Vec::new() };
    for (style, text, columns) in columns.iter().flatten() {
        line.push(CellRef { style, text, columns: *columns });
    }
    line.trim();
    Some(line)
}

/// A row that is `row` below the host's first one, with what marks where the host's window ends.
pub(super) fn bordered(mut line: Line, row: u16, local: Size, host: Size) -> Line {
    let dim = Style { attributes: Attributes::DIM, ..Style::default() };
    let put = |line: &mut Line, text| line.push(CellRef { style: &dim, text, columns: 1 });
    let right = host.cols < local.cols;
    if row < host.rows && right {
        let blank = Style::default();
        for _ in line.columns()..usize::from(host.cols) {
            line.push(CellRef { style: &blank, text: " ", columns: 1 });
        }
        put(&mut line, "│");
    } else if row == host.rows {
        (0..host.cols.min(local.cols)).for_each(|_| put(&mut line, "─"));
        if right {
            put(&mut line, "┘");
        }
    }
    line
}

/// Whether a line that leaves the screen goes on in the row below. The line does if the row shows exactly this line, or
/// has it under the banner; or if the line fills the row.
pub(super) fn goes_on(line: &Line, shown: &Option<Row>, cols: usize) -> bool {
    let is_drawn = shown
        .as_ref()
        .is_some_and(|row| row.line == *line || row.under.as_ref().is_some_and(|under| under.line == *line));
    line.wrapped && (is_drawn || fills(line, cols))
}

/// Whether a line that goes on in the next row ends where a row of so many columns does: in its last column, or before
/// it if that one is blank, because of a space or because the wide character that follows does not fit.
fn fills(line: &Line, cols: usize) -> bool {
    line.columns() + 1 >= cols
}

/// A line in pieces that are at most `cols` wide, each of whole cells; at least one piece. All but the last go on in
/// the next one.
pub(super) fn pieces(line: &Line, cols: usize) -> Vec<Line> {
    if line.columns() <= cols {
        return vec![line.clone()];
    }
    let mut pieces = vec![Line::default()];
    let mut used = 0;
    for cell in line.cells() {
        let columns = usize::from(cell.columns);
        if used + columns > cols && used > 0 {
            pieces.iter_mut().for_each(|piece| piece.wrapped = true);
            pieces.push(Line { wrapped: line.wrapped, runs: Vec::new() });
            used = 0;
        }
        // There is no room for a wide cell in a terminal of one column.
        let cell = if columns > cols { CellRef { style: cell.style, text: " ", columns: 1 } } else { cell };
        used += usize::from(cell.columns);
        if let Some(piece) = pieces.last_mut() {
            piece.push(cell);
        }
    }
    pieces.iter_mut().for_each(Line::trim);
    pieces
}
