//! Rows of ours over the bottom of the person's terminal: text in rows, their place, and their taking away.

use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

use super::super::head::Space;
use super::super::line::{CellRef, Line, MAX_ZERO_WIDTH};
use super::super::style::{Attributes, Style};
use super::rows::{Row, Rows};
use super::{Painter, Pen, Writer, go_to};

/// Rows of ours over the bottom of the terminal.
#[derive(Debug, Default)]
pub(super) struct Banner {
    /// The rows that are wanted.
    pub(super) rows: Vec<Line>,
    /// The content under the banner's rows that the main screen may still show, although the painter forgot the screen.
    pub(super) forgotten: Vec<(u16, Line)>,
}

impl Banner {
    /// Keeps the content under the banner before the painter forgets the main screen. If the terminal still has the
    /// same size, the banner's rows have not moved.
    pub(super) fn note_under(&mut self, shown: &Rows, height: u16) {
        if shown.len() != usize::from(height) {
            self.forgotten.clear();
            return;
        }
        let under = |shown: &Option<Row>| shown.as_ref()?.under.as_ref().map(|under| under.line.clone());
        self.forgotten.extend((0..).zip(shown).filter_map(|(row, shown)| Some((row, under(shown)?))));
    }
}

impl Painter {
    /// The rows of the terminal that the banner covers; `cursor` is the row of the cursor, if that is in sight.
    pub(super) fn banner_rows(&self, cursor: Option<u16>) -> Range<u16> {
        let rows = self.local.rows;
        let count = u16::try_from(self.banner.rows.len()).unwrap_or(u16::MAX).min(rows - 1);
        // A person types where the cursor is: its row stays in sight where there is room above.
        let end = cursor.filter(|row| (count..rows).contains(row) && *row >= rows - count).unwrap_or(rows);
        end - count..end
    }

    /// Takes the banner off the screen that the terminal shows.
    pub(super) fn lift_banner(&mut self, out: &mut Vec<u8>) {
        let Some(space) = self.showing else { return };
        let rows = match space {
            Space::Main => &mut self.main,
            Space::Alternate => &mut self.alternate,
        };
        let under = rows.iter_mut().map(|shown| shown.as_mut()?.under.take().map(|under| *under));
        let under: Vec<Option<Row>> = under.collect();
        let is_covered = under.iter().any(Option::is_some);
        let mut writer = Writer::new(self.local.cols.into(), Pen::new(self.options.abilities), out);
        writer.rows(rows, under);
        writer.pen.reset(writer.out);
        if let (true, Some((row, col))) = (is_covered, self.cursor) {
            go_to(out, row, col);
        }
    }

    /// Takes the banner off the main screen, which the terminal shows, where the painter forgot what that screen shows.
    pub(super) fn lift_forgotten(&mut self, out: &mut Vec<u8>) {
        let cols = usize::from(self.local.cols);
        let mut writer = Writer::new(cols, Pen::new(self.options.abilities), out);
        for (row, line) in self.banner.forgotten.drain(..) {
            writer.row(row, None, &line);
        }
        writer.pen.reset(writer.out);
    }
}

/// The text as rows of so many columns, in reverse video. Rows break at blanks where they can; a line feed begins a
/// row. Other controls are left out.
pub fn banner_rows(text: &str, cols: u16) -> Vec<Line> {
    text.lines().flat_map(|line| wrapped(line, cols.into())).map(|row| reversed(&row, cols.into())).collect()
}

/// The cells of a row, each with its columns.
type Cells = Vec<(String, usize)>;

fn wrapped(line: &str, cols: usize) -> Vec<Cells> {
    let (mut rows, mut row) = (Vec::new(), Cells::new());
    let mut used = 0;
    for c in line.chars().filter(|c| !c.is_control()) {
        let columns = c.width().unwrap_or(0);
        if columns == 0 {
            if let Some((text, _)) = row.last_mut().filter(|(text, _)| text.chars().count() < MAX_ZERO_WIDTH) {
                text.push(c);
            }
            continue;
        }
        if columns > cols {
            continue;
        }
        if used + columns > cols {
            let blank = row.iter().rposition(|(text, _)| text == " ").filter(|at| *at > 0 && c != ' ');
            let next = blank.map_or_else(Cells::new, |at| row.split_off(at).split_off(1));
            rows.push(std::mem::replace(&mut row, next));
            used = row.iter().map(|(_, columns)| columns).sum();
            // The blank at which a row breaks is not shown.
            if c == ' ' {
                continue;
            }
        }
        row.push((c.to_string(), columns));
        used += columns;
    }
    rows.push(row);
    rows
}

fn reversed(row: &Cells, cols: usize) -> Line {
    let style = Style { attributes: Attributes::INVERSE, ..Style::default() };
    let mut line = Line::default();
    let used: usize = row.iter().map(|(_, columns)| columns).sum();
    for (text, columns) in row {
        line.push(CellRef { style: &style, text, columns: *columns as u8 });
    }
    (used..cols).for_each(|_| line.push(CellRef { style: &style, text: " ", columns: 1 }));
    line
}
