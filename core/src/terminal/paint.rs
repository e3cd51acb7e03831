//! A screen as escape sequences: only what differs from what the person's terminal shows.
//!
//! What is never sent, because it pushes rows into or erases the person's own scrollback: `ESC[2J`, `ESC[3J`, a scroll
//! region, `ESC[M`. Rows are blanked with `ESC[K`, and the only scroll is a line feed on the last row of the full
//! screen.

mod pen;
mod settings;

use std::io::Write as _;

use super::head::{Cursor, Head, Space};
use super::line::{CellRef, Line};
use super::screen::Screen;
use super::size::Size;
use super::style::Style;
use pen::Pen;
use settings::Settings;

/// Paints screens onto one terminal, and keeps a model of what that terminal shows.
#[derive(Debug)]
pub struct Painter {
    local: Size,
    /// The part of the host's screen that is shown, by its first row and column; follows the cursor.
    origin: (u16, u16),
    cropped: bool,
    /// `None`: not known.
    showing: Option<Space>,
    main: Model,
    alternate: Model,
    settings: Settings,
    /// Where the cursor was left, if it is known.
    cursor: Option<(u16, u16)>,
}

/// What one of the terminal's screens shows.
#[derive(Debug)]
struct Model {
    /// Its rows from the top; nothing for those that may show anything.
    rows: Vec<Option<Line>>,
    /// The window that was painted last, by the number of its first line and its size.
    window: Option<(u64, Size)>,
}

impl Model {
    fn unknown(rows: u16) -> Model {
        Model { rows: vec![None; usize::from(rows)], window: None }
    }

    fn blank(rows: u16) -> Model {
        Model { rows: vec![Some(Line::default()); usize::from(rows)], window: None }
    }
}

impl Painter {
    /// A painter for a terminal of that size, of which nothing is known yet.
    pub fn new(local: Size) -> Painter {
        Painter {
            local,
            origin: (0, 0),
            cropped: false,
            showing: Some(Space::Main),
            main: Model::unknown(local.rows),
            alternate: Model::unknown(local.rows),
            settings: Settings::default(),
            cursor: None,
        }
    }

    /// Begins: what the person had on the screen goes into the scrollback, and the screen is blank.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[0m\x1b[r");
        go_to(out, self.local.rows - 1, 0);
        out.resize(out.len() + usize::from(self.local.rows), b'\n');
        self.main = Model::blank(self.local.rows);
        self.cursor = None;
    }

    /// Makes the terminal show what `screen` holds; rows that it does not hold are blank. Writes nothing if nothing
    /// changed.
    pub fn paint(&mut self, screen: &Screen, out: &mut Vec<u8>) {
        let Some(head) = screen.head() else { return };
        self.follow(head);
        let mut body = Vec::new();
        self.show(head.space, &mut body);
        let rows = self.target(screen, head);
        self.scroll(head, &rows, &mut body);
        self.draw(rows, &mut body);
        self.model().window = Some((head.top, head.size));

        let cursor = (head.cursor.row - self.origin.0, head.cursor.col - self.origin.1);
        if !body.is_empty() {
            out.extend_from_slice(b"\x1b[?2026h");
            self.settings.cursor_visible(false, out);
            out.extend_from_slice(b"\x1b[?7l");
            out.append(&mut body);
            out.extend_from_slice(b"\x1b[?7h");
            go_to(out, cursor.0, cursor.1);
            self.settings(head, out);
            out.extend_from_slice(b"\x1b[?2026l");
        } else {
            if self.cursor != Some(cursor) {
                go_to(out, cursor.0, cursor.1);
            }
            self.settings(head, out);
        }
        self.cursor = Some(cursor);
    }

    /// The terminal has a new size, and may show anything.
    pub fn resize(&mut self, local: Size) {
        self.local = local;
        self.redraw();
    }

    /// Forgets what the terminal shows, and in which modes, since somebody else may have had it: the next paint writes every row and
    /// sets every mode.
    pub fn redraw(&mut self) {
        self.showing = None;
        self.settings.forget();
        self.main = Model::unknown(self.local.rows);
        self.alternate = Model::unknown(self.local.rows);
        self.cursor = None;
    }

    /// Ends: the terminal is as it was found, with the cursor below what was painted.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.show(Space::Main, out);
        self.settings.restore(out);
        out.extend_from_slice(b"\x1b[0m\x1b[?7h");
        let used = self.main.rows.iter().rposition(|row| row.as_ref().is_none_or(|line| !line.runs.is_empty()));
        if let Some(last) = used {
            go_to(out, last as u16, 0);
            out.extend_from_slice(b"\r\n");
        } else {
            go_to(out, 0, 0);
        }
        self.cursor = None;
    }

    /// Whether the terminal was too small to show the host's whole screen when it was last painted.
    pub fn cropped(&self) -> bool {
        self.cropped
    }

    /// The host's row and column in the terminal's upper left corner, 0-based; other than (0, 0) only when
    /// [`cropped`](Painter::cropped).
    pub fn origin(&self) -> (u16, u16) {
        self.origin
    }

    /// Moves the shown part as little as needed to hold the cursor.
    fn follow(&mut self, head: &Head) {
        let along = |origin: u16, cursor: u16, host: u16, local: u16| {
            let origin = origin.clamp((cursor + 1).saturating_sub(local), cursor);
            origin.min(host.saturating_sub(local))
        };
        let Size { cols, rows } = head.size;
        let Cursor { row, col, .. } = head.cursor;
        self.origin =
            (along(self.origin.0, row, rows, self.local.rows), along(self.origin.1, col, cols, self.local.cols));
        self.cropped = cols > self.local.cols || rows > self.local.rows;
    }

    /// Switches to the screen that the host shows.
    fn show(&mut self, space: Space, out: &mut Vec<u8>) {
        match (self.showing, space) {
            (Some(Space::Main), Space::Main) | (Some(Space::Alternate), Space::Alternate) => return,
            (Some(Space::Main), Space::Alternate) => {
                out.extend_from_slice(b"\x1b[0m\x1b[?1049h");
                self.alternate = Model::blank(self.local.rows);
            }
            // A terminal that shows the alternate screen already does not clear it again.
            (None, Space::Alternate) => out.extend_from_slice(b"\x1b[0m\x1b[?1049h"),
            (Some(Space::Alternate) | None, Space::Main) => out.extend_from_slice(b"\x1b[0m\x1b[?1049l"),
        }
        self.showing = Some(space);
        self.cursor = None;
    }

    fn model(&mut self) -> &mut Model {
        match self.showing {
            Some(Space::Main) | None => &mut self.main,
            Some(Space::Alternate) => &mut self.alternate,
        }
    }

    /// What the terminal's rows should show.
    fn target(&self, screen: &Screen, head: &Head) -> Vec<Line> {
        let (top, left) = (self.origin.0, usize::from(self.origin.1));
        let cols = usize::from(self.local.cols.min(head.size.cols - self.origin.1));
        let row = |row: u16| screen.row(top + row).map(|line| line.crop(left, cols)).unwrap_or_default();
        (0..self.local.rows).map(row).collect()
    }

    /// Lets the terminal scroll if the host's main screen did, both show the same rows, and it saves work.
    fn scroll(&mut self, head: &Head, target: &[Line], out: &mut Vec<u8>) {
        let whole = head.space == Space::Main && head.size.rows == self.local.rows;
        let Some((top, size)) = self.main.window else { return };
        let by = match head.top.checked_sub(top).and_then(|by| usize::try_from(by).ok()) {
            Some(by) if whole && size == head.size && by < target.len() => by,
            Some(_) | None => return,
        };
        let stands = |by: usize| {
            let shown = self.main.rows.iter().skip(by);
            shown.zip(target).filter(|(shown, line)| shown.as_ref() == Some(line)).count()
        };
        if by == 0 || stands(by) <= stands(0) {
            return;
        }
        out.extend_from_slice(b"\x1b[0m");
        go_to(out, self.local.rows - 1, 0);
        out.resize(out.len() + by, b'\n');
        self.main.rows.drain(..by);
        self.main.rows.resize(target.len(), Some(Line::default()));
    }

    fn draw(&mut self, target: Vec<Line>, out: &mut Vec<u8>) {
        let cols = usize::from(self.local.cols);
        let mut pen = Pen::default();
        for (row, (shown, line)) in self.model().rows.iter_mut().zip(target).enumerate() {
            if shown.as_ref() != Some(&line) {
                draw_row(row as u16, shown.as_ref(), &line, cols, &mut pen, out);
                *shown = Some(line);
            }
        }
        pen.reset(out);
    }

    fn settings(&mut self, head: &Head, out: &mut Vec<u8>) {
        self.settings.modes(head.modes, out);
        self.settings.cursor_shape(head.cursor.shape, head.cursor.blinking, out);
        self.settings.cursor_visible(head.cursor.visible, out);
    }
}

/// Cursor to a row and column, both 0-based.
fn go_to(out: &mut Vec<u8>, row: u16, col: u16) {
    // Writing to memory cannot fail.
    let _ = if col == 0 { write!(out, "\x1b[{}H", row + 1) } else { write!(out, "\x1b[{};{}H", row + 1, col + 1) };
}

/// Writes the columns from the first to the last that differ.
fn draw_row(row: u16, shown: Option<&Line>, line: &Line, cols: usize, pen: &mut Pen, out: &mut Vec<u8>) {
    let blank = Style::default();
    let new = columns_of(line, cols, &blank);
    let (first, last) = match shown {
        None => (0, cols - 1),
        Some(shown) => {
            let old = columns_of(shown, cols, &blank);
            let differs = |column: &usize| old[*column] != new[*column];
            let (Some(mut first), Some(mut last)) = ((0..cols).find(differs), (0..cols).rfind(differs)) else { return };
            // Whole cells only, of what is there as of what comes.
            while first > 0 && (old[first].is_none() || new[first].is_none()) {
                first -= 1;
            }
            while last + 1 < cols && (old[last + 1].is_none() || new[last + 1].is_none()) {
                last += 1;
            }
            (first, last)
        }
    };
    let used = line.columns();
    go_to(out, row, first as u16);
    if shown.is_none() {
        // Before the text, not after it: a half of a wide character that was left there would spoil what is written
        // over it.
        pen.reset(out);
        out.extend_from_slice(b"\x1b[K");
    }
    let mut adrift = false;
    let mut column = first;
    while column <= last && column < used {
        let Some(cell) = new[column] else { return };
        if adrift {
            go_to_column(out, column);
        }
        pen.put(&cell, out);
        // Tables of widths differ: after anything but a plain narrow cell only the host knows the column.
        adrift = cell.columns > 1 || cell.text.chars().nth(1).is_some();
        column += usize::from(cell.columns);
    }
    if column <= last && shown.is_some() {
        if adrift {
            go_to_column(out, column);
        }
        pen.reset(out);
        out.extend_from_slice(b"\x1b[K");
    }
}

fn go_to_column(out: &mut Vec<u8>, column: usize) {
    let _ = write!(out, "\x1b[{}G", column + 1);
}

/// The cell that begins in each column; nothing where a wide one goes on.
fn columns_of<'a>(line: &'a Line, cols: usize, blank: &'a Style) -> Vec<Option<CellRef<'a>>> {
    let mut columns = Vec::with_capacity(cols);
    for cell in line.cells() {
        columns.push(Some(cell));
        if cell.columns > 1 {
            columns.push(None);
        }
    }
    columns.resize(cols, Some(CellRef { style: blank, text: " ", columns: 1 }));
    columns
}
