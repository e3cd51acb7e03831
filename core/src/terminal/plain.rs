//! Text, colours and ends of lines, done without the scanner and the parser: nearly all that programs write in bulk.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;
use vte::ansi::{Handler as _, StandardCharset};

use super::handler::ModelHandler;
use super::sgr::ModelPen;

impl ModelHandler {
    /// Does what the bytes at the beginning say, up to the first one that scanner and parser have to see, and says how
    /// many bytes that were. Both of these must be outside of any sequence and character.
    pub(super) fn take_plain(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let taken = self.take_line(&bytes[at..]);
            at += taken;
            if taken == 0 || bytes[at - 1] != b'\n' {
                return at;
            }
            at += self.pass(&bytes[at..]);
        }
    }

    /// The same, but no further than the end of a line.
    pub(super) fn take_line(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match byte {
                b' '..=b'~' => self.print_some(*byte, &bytes[at..]),
                b'\n' => {
                    self.linefeed();
                    return at + 1;
                }
                b'\r' => {
                    self.carriage_return();
                    1
                }
                _ => match self.set_pen(&bytes[at..]) {
                    Some(length) => length,
                    None => break,
                },
            };
        }
        at
    }

    /// Takes the sequence at the beginning of the bytes, if it sets colours and attributes and nothing else.
    fn set_pen(&mut self, bytes: &[u8]) -> Option<usize> {
        let template = &mut self.term.grid_mut().cursor.template;
        let (pen, length) = ModelPen::of(template)?.after(bytes)?;
        pen.put(template);
        Some(length)
    }

    /// Prints the first byte, which is printable, and as many behind it as possible at once; says how many in all.
    fn print_some(&mut self, first: u8, bytes: &[u8]) -> usize {
        let count = self.print_run(bytes);
        if count > 0 {
            return count;
        }
        self.input(char::from(first));
        1
    }

    /// Writes printable ASCII into the cursor's row as the model would, one character after the other, and says how
    /// many were written: none in the last column, at a wide character, or if more is to be done than to write.
    fn print_run(&mut self, bytes: &[u8]) -> usize {
        let last = self.term.last_column();
        if !self.prints_plainly() {
            return 0;
        }
        let grid = self.term.grid_mut();
        let (line, column) = (grid.cursor.point.line, grid.cursor.point.column);
        let Some(pen) = ModelPen::of(&grid.cursor.template).filter(|_| !grid.cursor.input_needs_wrap) else { return 0 };
        let room = &bytes[..bytes.len().min(last.0 - column.0)];
        let text = room.iter().take_while(|byte| matches!(**byte, b' '..=b'~')).count();
        let mut count = 0;
        for (cell, byte) in grid[line][column..column + text].iter_mut().zip(room) {
            if cell.flags.intersects(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER) {
                break;
            }
            *cell = pen.cell(char::from(*byte));
            count += 1;
        }
        grid.cursor.point.column = column + count;
        if let Some(last) = count.checked_sub(1) {
            self.preceding = Some(char::from(room[last]));
        }
        count
    }

    /// Whether a character is only written where the cursor is, and moves nothing but the cursor.
    pub(super) fn prints_plainly(&self) -> bool {
        let mode = self.term.mode();
        !self.dec.prints_specially
            && mode.contains(TermMode::LINE_WRAP)
            && !mode.contains(TermMode::INSERT)
            && self.term.grid().cursor.charsets[self.active_charset] == StandardCharset::Ascii
    }
}
