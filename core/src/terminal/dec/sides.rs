//! Left and right margins: between them, text wraps and scrolls as on a smaller screen.
//!
//! Nothing that scrolls between them goes into the scrollback, and no row goes on in the next one.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Column;
use alacritty_terminal::term::TermMode;
use unicode_width::UnicodeWidthChar as _;
use vte::ansi::{Handler as _, Mode, NamedMode};

use super::super::handler::{ModelHandler, SOFT_HYPHEN};
use super::area::{self, Area};
use super::{SIDES, Switch};

/// Left and right margin: columns from 0, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) struct Sides {
    pub(in crate::terminal) left: usize,
    pub(in crate::terminal) right: usize,
}

impl Sides {
    pub(in crate::terminal) fn contains(self, column: usize) -> bool {
        (self.left..=self.right).contains(&column)
    }
}

impl ModelHandler {
    /// Left and right margin, which are the screen's edges if no program chose others.
    pub(in crate::terminal) fn sides(&self) -> Sides {
        self.dec.sides.unwrap_or(Sides { left: 0, right: self.term.columns() - 1 })
    }

    /// Margins at the screen's edges count as no margins: then the model itself does everything.
    pub(in crate::terminal) fn set_sides(&mut self, sides: Option<Sides>) {
        let whole = Sides { left: 0, right: self.term.columns() - 1 };
        self.dec.sides = sides.filter(|sides| *sides != whole);
        self.dec.settle();
    }

    /// The cells that scroll.
    pub(super) fn scroll_area(&self) -> Area {
        let (Sides { left, right }, (top, bottom)) = (self.sides(), self.margins());
        Area { top: top - 1, bottom: bottom - 1, left, right }
    }

    pub(super) fn switch_sides(&mut self, switch: Switch) {
        self.dec.set(SIDES, switch);
        match switch {
            Switch::On => {}
            Switch::Off => self.set_sides(None),
        }
    }

    /// Without the mode, the sequence saves the cursor.
    pub(super) fn choose_sides(&mut self, left: u16, right: u16) {
        if !self.dec.is_on(SIDES) {
            return self.save_cursor();
        }
        let columns = self.term.columns();
        let (left, right) = (usize::from(left.max(1)), usize::from(right));
        let right = if right == 0 { columns } else { right.min(columns) };
        if left < right {
            self.set_sides(Some(Sides { left: left - 1, right: right - 1 }));
            self.goto(0, 0);
        }
    }

    /// A character while there are margins.
    pub(super) fn print_between(&mut self, c: char) {
        let wide = match c.width() {
            None => return,
            Some(0) if c != SOFT_HYPHEN => return self.stack(c),
            Some(columns) => columns > 1,
        };
        let wraps = self.term.mode().contains(TermMode::LINE_WRAP);
        if std::mem::take(&mut self.term.grid_mut().cursor.input_needs_wrap) && wraps {
            self.wrap_between();
        }
        if wide && self.place().1 == self.right_end() {
            if !wraps || self.place().1 == self.sides().left {
                self.term.grid_mut().cursor.input_needs_wrap = true;
                return;
            }
            self.wrap_between();
        }
        if self.term.mode().contains(TermMode::INSERT) {
            self.insert_cells(if wide { 2 } else { 1 });
            self.term.unset_mode(Mode::Named(NamedMode::Insert));
            self.put(c);
            self.term.set_mode(Mode::Named(NamedMode::Insert));
        } else {
            self.put(c);
        }
    }

    /// Writes where the cursor is; at a margin the cursor stays, and the next character wraps.
    fn put(&mut self, c: char) {
        let end = self.right_end();
        self.input_anywhere(c);
        let cursor = &mut self.term.grid_mut().cursor;
        if cursor.point.column.0 > end {
            cursor.point.column = Column(end);
            cursor.input_needs_wrap = true;
        }
    }

    /// The cursor's row and column, from 0.
    pub(super) fn place(&self) -> (usize, usize) {
        let point = self.term.grid().cursor.point;
        (point.line.0 as usize, point.column.0)
    }

    /// The last column that the cursor comes to by going right: the margin, or behind that the screen's edge.
    pub(super) fn right_end(&self) -> usize {
        let sides = self.sides();
        if self.place().1 > sides.right { self.term.columns() - 1 } else { sides.right }
    }

    fn wrap_between(&mut self) {
        self.index_between();
        let left = self.sides().left;
        self.term.grid_mut().cursor.point.column = Column(left);
    }

    /// One row down, and the text scrolls if the cursor is on the last row of the margins and between them.
    pub(in crate::terminal) fn index_between(&mut self) {
        let (row, column) = self.place();
        let area = self.scroll_area();
        if row == area.bottom && area.contains(row, column) {
            area::scroll_up(self.term.grid_mut(), area, 1);
            self.term.grid_mut().cursor.input_needs_wrap = false;
        } else {
            self.cursor_down(1);
        }
    }

    /// One row up, and the text scrolls if the cursor is on the first row of the margins and between them.
    pub(in crate::terminal) fn reverse_index_between(&mut self) {
        let (row, column) = self.place();
        let area = self.scroll_area();
        if row == area.top && area.contains(row, column) {
            area::scroll_down(self.term.grid_mut(), area, 1);
            self.term.grid_mut().cursor.input_needs_wrap = false;
        } else {
            self.cursor_up(1);
        }
    }

    pub(in crate::terminal) fn scroll_up_between(&mut self, count: usize) {
        let area = self.scroll_area();
        area::scroll_up(self.term.grid_mut(), area, count);
    }

    pub(in crate::terminal) fn scroll_down_between(&mut self, count: usize) {
        let area = self.scroll_area();
        area::scroll_down(self.term.grid_mut(), area, count);
    }

    /// The part of the margins from the cursor's row on; nothing if the cursor is outside. The cursor goes to the left
    /// margin.
    fn area_from_row(&mut self) -> Option<Area> {
        let (row, column) = self.place();
        let area = self.scroll_area();
        if !area.contains(row, column) {
            return None;
        }
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.column = Column(area.left);
        cursor.input_needs_wrap = false;
        Some(Area { top: row, ..area })
    }

    pub(in crate::terminal) fn insert_rows_between(&mut self, count: usize) {
        if let Some(area) = self.area_from_row() {
            area::scroll_down(self.term.grid_mut(), area, count);
        }
    }

    pub(in crate::terminal) fn delete_rows_between(&mut self, count: usize) {
        if let Some(area) = self.area_from_row() {
            area::scroll_up(self.term.grid_mut(), area, count);
        }
    }

    /// The cells from the cursor to the right margin; nothing if the cursor is outside.
    fn area_from_column(&self) -> Option<Area> {
        let ((row, column), Sides { right, .. }) = (self.place(), self.sides());
        self.sides().contains(column).then_some(Area { top: row, bottom: row, left: column, right })
    }

    fn insert_cells(&mut self, count: usize) {
        if let Some(area) = self.area_from_column() {
            area::shift_right(self.term.grid_mut(), area, count);
        }
    }

    pub(in crate::terminal) fn insert_cells_between(&mut self, count: usize) {
        self.term.grid_mut().cursor.input_needs_wrap = false;
        self.insert_cells(count);
    }

    pub(in crate::terminal) fn delete_cells_between(&mut self, count: usize) {
        if let Some(area) = self.area_from_column() {
            self.term.grid_mut().cursor.input_needs_wrap = false;
            area::shift_left(self.term.grid_mut(), area, count);
        }
    }
}
