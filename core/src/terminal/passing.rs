//! Lines that pass through the whole window within one read: nobody sees them there, so they become lines of the
//! history without being written into the model's grid first.
//!
//! While a program floods, a read of 4 KiB often has more lines than the window. Only plain text is read this way (see
//! `plain`), and only where it does nothing but scroll: from the beginning of the blank last row, on the main screen,
//! without a region. What is left in the window at the end is printed as ever.

use alacritty_terminal::grid::{Dimensions, Row};
use alacritty_terminal::index::{Column, Line as GridLine, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use vte::ansi::Handler as _;

use super::cells::style_of;
use super::codec::Writer;
use super::handler::ModelHandler;
use super::line::Width;
use super::pulled::MOST_PULLED;
use super::sgr::ModelPen;
use super::style::Style;

/// Most rows that are read before the first of them become lines; bounds the memory for both.
const MOST_AT_ONCE: usize = 4096;

/// After a try for nothing, the ends of so many lines are passed over before the next one; after each further one
/// twice as many, up to the second number. A try costs less than half of what printing these lines costs.
const FIRST_PAUSE: usize = 64;
const LONGEST_PAUSE: usize = 4096;

/// A row as it was read.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// The number of its first byte.
    start: usize,
    /// The pen before that.
    pen: ModelPen,
    /// The text goes on in the next row.
    wraps: bool,
    /// Where its encoding ends; it begins where that of the row before ends.
    encoded: usize,
}

/// Reads rows, and keeps the memory for them between two reads.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// The ends of so many lines are passed over before the next try.
    pause: usize,
    /// The length of the pause after the next try for nothing.
    next_pause: usize,
    rows: Vec<Read>,
    encoded: Vec<u8>,
    encoder: PlainEncoder,
}

impl Passing {
    /// Whether it is time to try, at the end of a line.
    fn is_due(&mut self) -> bool {
        let is_due = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        is_due
    }

    /// A try has found as many rows as it takes, or not.
    fn tried(&mut self, enough: bool) {
        if enough {
            (self.pause, self.next_pause) = (0, 0);
        } else {
            self.pause = self.next_pause.clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.next_pause = self.pause * 2;
        }
    }

    /// Reads and encodes rows up to the last end of a line before the first thing that is not plain.
    fn read(&mut self, bytes: &[u8], columns: usize, pen: ModelPen) -> Passed {
        self.rows.clear();
        self.encoded.clear();
        self.encoder.begin();
        let mut passed = Passed { rows: 0, length: 0, pen, last: None };
        let (mut row, mut column, mut pen, mut last) = ((0, pen), 0, pen, None);
        let mut at = 0;
        while let Some(byte) = bytes.get(at).filter(|_| self.rows.len() < MOST_AT_ONCE) {
            let ends = bytes[at..].starts_with(b"\r\n");
            let is_text = (b' '..=b'~').contains(byte);
            let wraps = is_text && column == columns;
            if (ends || wraps) && !pen.leaves_rows_blank() {
                break;
            }
            if ends || wraps {
                at += if ends { b"\r\n".len() } else { 0 };
                self.end_row(row, wraps);
                (row, column) = ((at, pen), 0);
            }
            if ends {
                passed = Passed { rows: self.rows.len(), length: at, pen, last };
            } else if is_text {
                let room = &bytes[at..bytes.len().min(at + columns - column)];
                let text = room.iter().take_while(|byte| matches!(**byte, b' '..=b'~')).count();
                self.encoder.text(pen, &room[..text]);
                last = room[..text].last().copied();
                (at, column) = (at + text, column + text);
            } else if let Some((after, length)) = pen.after(&bytes[at..]) {
                (at, pen) = (at + length, after);
            } else {
                break;
            }
        }
        self.rows.truncate(passed.rows);
        passed
    }

    fn end_row(&mut self, (start, pen): (usize, ModelPen), wraps: bool) {
        self.encoded.extend_from_slice(self.encoder.end(wraps));
        self.rows.push(Read { start, pen, wraps, encoded: self.encoded.len() });
        self.encoder.begin();
    }
}

/// What was read.
struct Passed {
    /// How many rows.
    rows: usize,
    /// How many bytes.
    length: usize,
    /// The pen after them.
    pen: ModelPen,
    /// The last character, if there is any.
    last: Option<u8>,
}

/// Encodes rows of plain text as [`RowEncoder`](super::cells::RowEncoder) does those of the grid.
#[derive(Debug, Default)]
struct PlainEncoder {
    pen: ModelPen,
    style: Style,
    /// The open run.
    text: Vec<u8>,
    line: Writer,
}

impl PlainEncoder {
    fn begin(&mut self) {
        self.text.clear();
        self.line.begin(false);
    }

    fn text(&mut self, pen: ModelPen, text: &[u8]) {
        if pen != self.pen {
            self.pen = pen;
            let style = style_of(&pen.cell(' '), true);
            if style != self.style {
                self.close();
                self.style = style;
            }
        }
        self.text.extend_from_slice(text);
    }

    fn close(&mut self) {
        if !self.text.is_empty() {
            self.line.run(&self.style, Width::Narrow, &self.text);
            self.text.clear();
        }
    }

    /// The encoding of the row. Of one that shows nothing, nothing goes on in the next one.
    fn end(&mut self, wraps: bool) -> &[u8] {
        if self.style.is_default() {
            let end = self.text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            self.text.truncate(end);
            if self.line.is_empty() && !self.text.is_empty() {
                self.line.plain(&self.text);
                self.text.clear();
            }
        }
        self.close();
        if wraps && !self.line.is_empty() {
            self.line.wrap();
        }
        self.line.bytes()
    }
}

/// Rows that passed, and may have to be pulled back into the window: their bytes, from which they can be made.
#[derive(Debug, Default)]
pub(super) struct PassedRows {
    /// The number of the first one's line.
    first: u64,
    rows: Vec<Read>,
    bytes: Vec<u8>,
}

impl PassedRows {
    fn new(first: u64, rows: &[Read], end: usize, bytes: &[u8]) -> PassedRows {
        let start = rows.first().map_or(end, |row| row.start);
        let rows = rows.iter().map(|row| Read { start: row.start - start, ..*row }).collect();
        PassedRows { first, rows, bytes: bytes[start..end].to_vec() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as the model would have them, with the numbers of their lines.
    pub(super) fn into_rows(self, columns: usize) -> impl Iterator<Item = (u64, Row<Cell>)> {
        (self.first..).zip(self.rows).map(move |(number, read)| (number, row_of(&read, &self.bytes, columns)))
    }
}

fn row_of(read: &Read, bytes: &[u8], columns: usize) -> Row<Cell> {
    let mut row = Row::new(columns);
    let (mut at, mut column, mut pen) = (read.start, 0, read.pen);
    while let Some(byte) = bytes.get(at) {
        if (b' '..=b'~').contains(byte) && column < columns {
            row[Column(column)] = pen.cell(char::from(*byte));
            (at, column) = (at + 1, column + 1);
        } else if let Some((after, length)) = pen.after(&bytes[at..]) {
            (at, pen) = (at + length, after);
        } else {
            break;
        }
    }
    if let Some(last) = row.last_mut().filter(|_| read.wraps) {
        last.flags.insert(Flags::WRAPLINE);
    }
    row
}

impl ModelHandler {
    /// Takes as much of the bytes as passes through the window, and as the window shows after that; says how many bytes
    /// these are. The cursor must have gone to the beginning of a row just before.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let kept = self.term.screen_lines() - 1;
        let least = kept + MOST_PULLED;
        if bytes.len() < least * b"\r\n".len() || !self.passing.is_due() {
            return 0;
        }
        let Some(pen) = self.pen_before_passing() else { return 0 };
        let mut passing = std::mem::take(&mut self.passing);
        let has_ends = memchr::memchr_iter(b'\n', bytes).nth(least - 1).is_some();
        let passed = has_ends.then(|| passing.read(bytes, self.term.columns(), pen));
        let passed = passed.filter(|passed| passed.rows >= least);
        passing.tried(passed.is_some());
        if let Some(passed) = &passed {
            self.take_passed(&passing, passed, &bytes[..passed.length]);
        }
        self.passing = passing;
        passed.map_or(0, |passed| passed.length)
    }

    /// The pen, if what comes scrolls all of the main screen and leaves nothing else behind.
    fn pen_before_passing(&self) -> Option<ModelPen> {
        let (grid, lines) = (self.term.grid(), self.term.screen_lines());
        let pen = ModelPen::of(&grid.cursor.template).filter(|pen| pen.leaves_rows_blank())?;
        let last = GridLine(lines as i32 - 1);
        let scrolls = !self.is_alternate()
            && self.margins() == (1, lines)
            && self.prints_plainly()
            && grid.cursor.point == Point::new(last, Column(0))
            && !grid.cursor.input_needs_wrap;
        let is_blank = || grid[last].into_iter().all(|cell| *cell == Cell::default());
        (scrolls && is_blank()).then_some(pen)
    }

    /// Of the rows, the last ones stay in the window. The others, and all that the window shows, become lines.
    fn take_passed(&mut self, passing: &Passing, passed: &Passed, bytes: &[u8]) {
        let kept = self.term.screen_lines() - 1;
        let (lines, shown) = passing.rows.split_at(passing.rows.len() - kept);
        self.term.scroll_up(kept);
        self.harvest();
        let first = self.history.top();
        let mut begin = 0;
        for row in lines {
            let line = &passing.encoded[begin..row.encoded];
            self.pulled.left(self.history.top(), line);
            self.history.push(self.frame, line);
            begin = row.encoded;
        }
        let end = shown.first().map_or(bytes.len(), |row| row.start);
        let before = lines.len() - MOST_PULLED;
        let last = PassedRows::new(first + before as u64, &lines[before..], end, bytes);
        self.pulled.passed_through(last);
        let grid = self.term.grid_mut();
        grid.clear_history();
        grid.cursor.point = Point::default();
        shown.first().map_or(passed.pen, |row| row.pen).put(&mut grid.cursor.template);
        self.kept = 0;
        let mut at = end;
        while at < bytes.len() {
            let taken = self.take_line(&bytes[at..]);
            debug_assert!(taken > 0, "what was read is plain");
            at += taken.max(1);
        }
        if let Some(last) = passed.last {
            self.preceding = Some(char::from(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emulator::Emulator;
    use super::super::size::Size;
    use super::*;

    /// How many bytes pass of so many lines, after a program has written this.
    fn passed(before: &str, lines: usize) -> usize {
        let mut emulator = Emulator::new(Size::new(20, 5), 1000);
        emulator.feed(b"1\r\n2\r\n3\r\n4\r\n5\r\n");
        emulator.feed(before.as_bytes());
        emulator.handler_mut().pass(&b"line\r\n".repeat(lines))
    }

    #[test]
    fn so_many_lines_pass_that_all_that_can_come_back_is_among_them() {
        let least = 4 + MOST_PULLED;
        assert_eq!((passed("", least - 1), passed("", least)), (0, 6 * least));
        assert_eq!(passed("", MOST_AT_ONCE + 1), 6 * MOST_AT_ONCE);
    }

    #[test]
    fn nothing_passes_where_lines_do_more_than_scroll_the_main_screen() {
        let states = ["\x1b[?1049h\n\n\n\n\n\r", "\x1b[2;5r", "\x1b[1;4r", "\x1b[?69h\x1b[2;9s", "\x1b[4h", "\x1b[?7l"];
        let pens = ["\x1b(0", "\x1b[44m", "\x1b[53m", "\x1b[1\"q", "\x1b]8;;http://a.example\x07"];
        for before in states.into_iter().chain(pens) {
            assert_eq!(passed(&format!("{before}\x1b[5;1H"), 500), 0, "{before:?}");
        }
        for before in ["\x1b[4;1H", "x", "x\r"] {
            assert_eq!(passed(before, 500), 0, "{before:?}");
        }
        assert_eq!(passed("\x1b[r\x1b[41;0m\x1b[5;1H", 500), 3000);
    }

    #[test]
    fn tries_for_nothing_become_rare() {
        let mut passing = Passing::default();
        let mut ends_until_due = || {
            passing.tried(false);
            1 + std::iter::from_fn(|| (!passing.is_due()).then_some(())).count()
        };
        assert_eq!([(); 3].map(|()| ends_until_due()), [65, 129, 257]);
        assert_eq!((0..9).map(|_| ends_until_due()).last(), Some(LONGEST_PAUSE + 1));
        passing.tried(true);
        assert!(passing.is_due());
        passing.tried(false);
        assert_eq!(passing.pause, FIRST_PAUSE);
    }
}
