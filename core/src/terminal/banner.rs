//! Rows of our own over the bottom of the terminal that the program itself draws on, and away again.
//!
//! The program's bytes go to that terminal unchanged, so nothing may be lost that they rely on. A banner is drawn and
//! taken away by sequences that leave no trace: the rows under it come back from the model, and so do the cursor with
//! a pending wrap, the colours, the character sets and the modes that were set aside. The cursor that the program saved
//! is never touched (DECSC would replace it), nor are margins, tabs and scrollback. A banner is away whenever the
//! program's bytes pass, so that a scroll cannot carry it along: [`lift`](Banner::lift) before them, and
//! [`lay`](Banner::lay) after them, which waits while they end in the middle of a sequence or an update.
//!
//! Not restored: the wrapping of a covered row into the next one, which shows only when copying or changing the width;
//! and the character that REP (`ESC[b`) repeats.

use std::io::Write as _;

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Line as GridLine;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;
use vte::ansi::{CharsetIndex, StandardCharset};

use super::abilities::Abilities;
use super::cells::{RowEncoder, pen_of, style_of};
use super::dec::Sides;
use super::emulator::Emulator;
use super::handler::ModelHandler;
use super::line::{CellRef, Line};
use super::paint::{Pen, Writer, go_to};
use super::size::Size;

/// Rows of text over the bottom of a terminal.
#[derive(Debug, Default)]
pub struct Banner {
    text: String,
    /// The layout for a window of that size.
    rows: Vec<Line>,
    size: Option<Size>,
    laid: bool,
}

impl Banner {
    /// Sets the text that shows from the next [`lay`](Banner::lay) on; an empty text shows nothing. A banner gets at
    /// most half of the window. A line feed begins a row; other controls are not allowed. Call this only while the
    /// banner is lifted.
    pub fn set(&mut self, text: &str) {
        debug_assert!(!self.laid, "the rows under it are the old ones'");
        text.clone_into(&mut self.text);
        self.size = None;
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the terminal shows it.
    pub fn is_laid(&self) -> bool {
        self.laid
    }

    /// Takes the banner away, if the terminal shows it; then the terminal shows what the model has.
    pub fn lift(&mut self, emulator: &Emulator, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.laid) {
            return;
        }
        let handler = emulator.handler();
        let under = bottom(handler, self.rows.len()).map(|row| row_of(handler, row)).collect::<Vec<_>>();
        draw(handler, &under, out);
    }

    /// Draws it, if there is anything to read and no sequence or update is open.
    pub fn lay(&mut self, emulator: &Emulator, out: &mut Vec<u8>) {
        if self.laid || self.text.is_empty() || !emulator.is_settled() || is_stray(emulator.handler()) {
            return;
        }
        let handler = emulator.handler();
        let size = Size::new(handler.term.columns() as u16, handler.term.screen_lines() as u16);
        if self.size.replace(size) != Some(size) {
            self.rows = layout(&self.text, size);
        }
        if self.rows.is_empty() {
            return;
        }
        draw(handler, &self.rows, out);
        self.laid = true;
    }

    /// The terminal has another size and may have moved what it shows: every row is written as the model has it.
    pub fn resized(&mut self, emulator: &Emulator, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.laid) {
            let handler = emulator.handler();
            let all = bottom(handler, handler.term.screen_lines()).map(|row| row_of(handler, row)).collect::<Vec<_>>();
            draw(handler, &all, out);
        }
    }
}

/// The text as rows of a window of that size, in reverse video; a terminal of our own knows how wide its characters
/// are.
fn layout(text: &str, size: Size) -> Vec<Line> {
    let most = usize::from(size.rows / 2);
    let mut page = Emulator::new(Size::new(size.cols, size.rows), 0);
    page.feed(b"\x1b[7m");
    for (index, row) in text.lines().enumerate() {
        if index > 0 {
            page.feed(b"\r\n");
        }
        page.feed(row.as_bytes());
        let cursor = &page.handler().term.grid().cursor;
        let blanks = if cursor.input_needs_wrap { 0 } else { usize::from(size.cols) - cursor.point.column.0 };
        page.feed(" ".repeat(blanks).as_bytes());
    }
    page.frame();
    let head = page.head();
    let rows = (head.top..=head.top + u64::from(head.cursor.row)).take(most);
    rows.filter_map(|number| Line::decode(page.line(head.space, number)?.1).ok()).collect()
}

/// The last so many rows of the window.
fn bottom(handler: &ModelHandler, count: usize) -> std::ops::Range<usize> {
    let rows = handler.term.screen_lines();
    rows.saturating_sub(count)..rows
}

fn row_of(handler: &ModelHandler, row: usize) -> Line {
    Line::decode(RowEncoder::default().encode(handler.term.grid(), GridLine(row as i32))).unwrap_or_default()
}

/// Writes `lines` over the last rows, and leaves everything else as it was.
fn draw(handler: &ModelHandler, lines: &[Line], out: &mut Vec<u8>) {
    let (grid, mode) = (handler.term.grid(), *handler.term.mode());
    let pen = pen_of(&grid.cursor.template, true);
    aside(handler, out);
    let mut writer = Writer::new(grid.columns(), Pen::held(Abilities::ALL, pen.clone()), &mut *out);
    for (row, line) in bottom(handler, lines.len()).zip(lines) {
        writer.row(row as u16, None, line);
        // The next one not by a line feed, which scrolls at a margin.
        writer.at = None;
    }
    let mut brush = writer.pen;
    if let Some(Sides { left, right }) = handler.dec.sides {
        // Writing to memory cannot fail.
        let _ = write!(out, "\x1b[?69h\x1b[{};{}s", left + 1, right + 1);
    }
    // Places are counted from the margins again, if they were.
    if mode.contains(TermMode::ORIGIN) {
        out.extend_from_slice(b"\x1b[?6h");
    }
    if mode.contains(TermMode::LINE_WRAP) {
        out.extend_from_slice(b"\x1b[?7h");
    }
    let (row, col) = handler.reported_place();
    let (row, mut col) = (row as u16 - 1, col as u16 - 1);
    let mut point = grid.cursor.point;
    if grid.cursor.input_needs_wrap {
        // Writes the last character once more: only that makes the next character wrap.
        if grid[point].flags.contains(Flags::WIDE_CHAR_SPACER) {
            col = col.saturating_sub(1);
            point.column.0 = point.column.0.saturating_sub(1);
        }
        let cell = &grid[point];
        let mut text = String::from(if cell.c.is_control() { ' ' } else { cell.c });
        text.extend(cell.zerowidth().unwrap_or_default());
        let columns = if cell.flags.contains(Flags::WIDE_CHAR) { 2 } else { 1 };
        go_to(out, row, col);
        brush.put(&CellRef { style: &style_of(cell, true), text: &text, columns }, out);
    } else {
        go_to(out, row, col);
    }
    brush.change(&pen, out);
    back(handler, out);
}

/// Whether a state holds that no sequence can restore: the cursor outside of the margins that places are counted from,
/// or left of the edge with a wrap pending (the model permits both), or a character set for the next character only.
fn is_stray(handler: &ModelHandler) -> bool {
    let (cursor, sides) = (&handler.term.grid().cursor, handler.sides());
    let (top, bottom) = handler.margins();
    let column = cursor.point.column.0;
    let outside = !(top..=bottom).contains(&(cursor.point.line.0 as usize + 1)) || !sides.contains(column);
    handler.term.mode().contains(TermMode::ORIGIN) && outside
        || cursor.input_needs_wrap && column != handler.term.columns() - 1 && column != sides.right
        || handler.dec.charsets.is_shifted_once()
}

/// Sets aside what would spoil the drawing: places counted from a margin, left and right margins, insertion, wrapping,
/// other characters.
fn aside(handler: &ModelHandler, out: &mut Vec<u8>) {
    let mode = *handler.term.mode();
    out.extend_from_slice(if mode.contains(TermMode::ORIGIN) { b"\x1b[?6l" } else { b"" });
    out.extend_from_slice(if handler.dec.sides.is_some() { b"\x1b[?69l" } else { b"" });
    out.extend_from_slice(if mode.contains(TermMode::INSERT) { b"\x1b[4l" } else { b"" });
    out.extend_from_slice(b"\x1b[?7l");
    out.extend_from_slice(if handler.active_charset == CharsetIndex::G0 { b"" } else { b"\x0f" });
    out.extend_from_slice(if is_ascii(handler) { b"" } else { b"\x1b(B" });
}

/// Puts these settings back, except those that move the cursor.
fn back(handler: &ModelHandler, out: &mut Vec<u8>) {
    let set: &[u8] = match handler.term.grid().cursor.charsets[CharsetIndex::G0] {
        StandardCharset::SpecialCharacterAndLineDrawing => b"\x1b(0",
        StandardCharset::Ascii if handler.dec.charsets.is_british(CharsetIndex::G0) => b"\x1b(A",
        StandardCharset::Ascii => b"",
    };
    out.extend_from_slice(set);
    let shift: &[u8] = match handler.active_charset {
        CharsetIndex::G0 => b"",
        CharsetIndex::G1 => b"\x0e",
        CharsetIndex::G2 => b"\x1bn",
        CharsetIndex::G3 => b"\x1bo",
    };
    out.extend_from_slice(shift);
    out.extend_from_slice(if handler.term.mode().contains(TermMode::INSERT) { b"\x1b[4h" } else { b"" });
}

fn is_ascii(handler: &ModelHandler) -> bool {
    let is_plain = handler.term.grid().cursor.charsets[CharsetIndex::G0] == StandardCharset::Ascii;
    is_plain && !handler.dec.charsets.is_british(CharsetIndex::G0)
}
