//! Movements of the cursor end at the margins. In origin mode, places are counted from the margins.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use vte::ansi::{Handler as _, NamedPrivateMode};

use super::super::handler::ModelHandler;
use super::{REVERSE_WRAP, Sides, Switch};

impl ModelHandler {
    fn is_origin(&self) -> bool {
        self.term.mode().contains(TermMode::ORIGIN)
    }

    pub(super) fn set_place(&mut self, row: usize, column: usize) {
        let cursor = &mut self.term.grid_mut().cursor;
        (cursor.point.line, cursor.point.column) = (Line(row as i32), Column(column));
        cursor.input_needs_wrap = false;
    }

    /// The cursor's row and column as programs count them: from 1, and in origin mode from the margins.
    pub(in crate::terminal) fn reported_place(&self) -> (usize, usize) {
        let (row, column) = self.place();
        if !self.is_origin() {
            return (row + 1, column + 1);
        }
        let area = self.scroll_area();
        (row.saturating_sub(area.top) + 1, column.saturating_sub(area.left) + 1)
    }

    /// In origin mode the cursor stays between the margins.
    pub(super) fn keep_between(&mut self) {
        if self.is_origin() {
            let ((row, column), area) = (self.place(), self.scroll_area());
            let needs_wrap = self.term.grid().cursor.input_needs_wrap;
            self.set_place(row.clamp(area.top, area.bottom), column.clamp(area.left, area.right));
            self.term.grid_mut().cursor.input_needs_wrap = needs_wrap;
        }
    }

    /// To a place, counted from 0.
    pub(in crate::terminal) fn go_to(&mut self, line: i32, column: usize) {
        match self.dec.sides {
            Some(Sides { left, right }) if self.is_origin() => self.term.goto(line, (left + column).min(right)),
            Some(_) | None => self.term.goto(line, column),
        }
    }

    pub(in crate::terminal) fn go_to_row(&mut self, line: i32) {
        let (_, column) = self.place();
        self.term.goto(line, column);
        self.keep_between();
    }

    pub(in crate::terminal) fn go_to_column(&mut self, column: usize) {
        let (row, _) = self.place();
        let base = if self.is_origin() { self.scroll_area().top } else { 0 };
        self.go_to(row.saturating_sub(base) as i32, column);
    }

    /// Not past the top margin from below it.
    pub(in crate::terminal) fn cursor_up(&mut self, count: usize) {
        let ((row, column), area) = (self.place(), self.scroll_area());
        let least = if row < area.top { 0 } else { area.top };
        self.set_place(row.saturating_sub(count).max(least), column);
    }

    /// Not past the bottom margin from above it.
    pub(in crate::terminal) fn cursor_down(&mut self, count: usize) {
        let ((row, column), area) = (self.place(), self.scroll_area());
        let most = if row > area.bottom { self.term.screen_lines() - 1 } else { area.bottom };
        self.set_place((row + count).min(most), column);
    }

    pub(in crate::terminal) fn cursor_forward(&mut self, count: usize) {
        let ((row, column), end) = (self.place(), self.right_end());
        self.set_place(row, (column + count).min(end));
    }

    /// Not past the left margin from inside; with reverse wrap, on to the end of the row above, and from the first row
    /// to the last.
    pub(in crate::terminal) fn cursor_back(&mut self, count: usize) {
        let ((row, column), Sides { left, right }) = (self.place(), self.sides());
        let reverse = self.dec.is_on(REVERSE_WRAP) && self.term.mode().contains(TermMode::LINE_WRAP);
        let waits = reverse && self.term.grid().cursor.input_needs_wrap;
        let count = if waits { count.saturating_sub(1) } else { count };
        let left = if column < left { 0 } else { left };
        if count <= column - left {
            self.set_place(row, column - count);
        } else if reverse {
            let width = right + 1 - left;
            let cells = width * self.term.screen_lines();
            // A count may be several screens long.
            let place = (width * row + (column - left) + cells - count % cells) % cells;
            self.set_place(place / width, left + place % width);
        } else {
            self.set_place(row, left);
        }
    }

    pub(in crate::terminal) fn reverse_wraps(&self) -> bool {
        self.dec.is_on(REVERSE_WRAP)
    }

    /// To the left margin; from left of it, to the screen's edge, unless places are counted from the margin.
    pub(in crate::terminal) fn return_between(&mut self) {
        let ((row, column), Sides { left, .. }) = (self.place(), self.sides());
        self.set_place(row, if self.is_origin() || column >= left { left } else { 0 });
    }

    /// Not past the right margin from inside.
    pub(in crate::terminal) fn tab_between(&mut self, count: u16) {
        let end = self.right_end();
        self.term.move_forward_tabs(count);
        let (row, column) = self.place();
        if column > end {
            self.set_place(row, end);
        }
    }

    /// HPR: margins stop the cursor in origin mode only.
    pub(super) fn right_by(&mut self, count: u16) {
        let (row, column) = self.place();
        let last = self.term.columns() - 1;
        self.set_place(row, (column + usize::from(count)).min(last));
        self.keep_between();
    }

    /// VPR: margins stop the cursor in origin mode only.
    pub(super) fn down_by(&mut self, count: u16) {
        let (row, column) = self.place();
        let last = self.term.screen_lines() - 1;
        self.set_place((row + usize::from(count)).min(last), column);
        self.keep_between();
    }

    /// The cursor goes home.
    pub(super) fn switch_origin(&mut self, switch: Switch) {
        self.switch_model(NamedPrivateMode::Origin, switch);
        self.go_to(0, 0);
    }

    /// The cursor stays.
    pub(super) fn switch_origin_in_place(&mut self, switch: Switch) {
        let cursor = self.term.grid().cursor.clone();
        self.switch_model(NamedPrivateMode::Origin, switch);
        self.term.grid_mut().cursor = cursor;
    }
}
