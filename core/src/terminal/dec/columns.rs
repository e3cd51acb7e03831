//! Text that moves sideways: SL and SR, DECIC and DECDC, DECFI and DECBI.

use super::super::handler::ModelHandler;
use super::area::{self, Area};

/// The direction in which text moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toward {
    Left,
    Right,
}

impl ModelHandler {
    /// The text between the margins moves, but only if the cursor is there.
    pub(super) fn scroll_columns(&mut self, toward: Toward, count: u16) {
        let left = self.scroll_area().left;
        self.move_columns(toward, left, count);
    }

    pub(super) fn insert_columns(&mut self, count: u16) {
        let (_, column) = self.place();
        self.move_columns(Toward::Right, column, count);
    }

    pub(super) fn delete_columns(&mut self, count: u16) {
        let (_, column) = self.place();
        self.move_columns(Toward::Left, column, count);
    }

    /// A column forward; at the right margin the text moves instead.
    pub(super) fn index_forward(&mut self) {
        let ((row, column), area) = (self.place(), self.scroll_area());
        if column != area.right {
            self.cursor_forward(1);
        } else if area.contains(row, column) {
            self.move_columns(Toward::Left, area.left, 1);
        }
    }

    /// A column back; at the left margin the text moves instead.
    pub(super) fn index_back(&mut self) {
        let ((row, column), area) = (self.place(), self.scroll_area());
        if column != area.left {
            self.cursor_back(1);
        } else if area.contains(row, column) {
            self.move_columns(Toward::Right, area.left, 1);
        }
    }

    fn move_columns(&mut self, toward: Toward, left: usize, count: u16) {
        let ((row, column), area) = (self.place(), self.scroll_area());
        if !area.contains(row, column) {
            return;
        }
        let (area, grid) = (Area { left, ..area }, self.term.grid_mut());
        grid.cursor.input_needs_wrap = false;
        match toward {
            Toward::Left => area::shift_left(grid, area, count.into()),
            Toward::Right => area::shift_right(grid, area, count.into()),
        }
    }
}
