//! Blocks of cells: scrolled up and down, shifted left and right.
//!
//! A wide character of which one half stays and the other goes becomes blank first, so that no two halves of different
//! characters ever meet.

use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

/// Rows and columns of the screen, from 0, the last ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) top: usize,
    pub(super) bottom: usize,
    pub(super) left: usize,
    pub(super) right: usize,
}

impl Area {
    pub(super) fn contains(&self, row: usize, column: usize) -> bool {
        self.has_row(row) && (self.left..=self.right).contains(&column)
    }

    pub(super) fn has_row(&self, row: usize) -> bool {
        (self.top..=self.bottom).contains(&row)
    }
}

/// The cell at a place.
pub(super) fn at(grid: &mut Grid<Cell>, row: usize, column: usize) -> &mut Cell {
    &mut grid[Line(row as i32)][Column(column)]
}

/// The rows move up; blank ones come in at the bottom.
pub(super) fn scroll_up(grid: &mut Grid<Cell>, area: Area, count: usize) {
    cut_sides(grid, area);
    for row in area.top..=area.bottom {
        let from = (row + count <= area.bottom).then_some(row + count);
        for column in area.left..=area.right {
            *at(grid, row, column) = taken(grid, from, Some(column));
        }
    }
}

/// The rows move down; blank ones come in at the top.
pub(super) fn scroll_down(grid: &mut Grid<Cell>, area: Area, count: usize) {
    cut_sides(grid, area);
    for row in (area.top..=area.bottom).rev() {
        let from = row.checked_sub(count).filter(|from| *from >= area.top);
        for column in area.left..=area.right {
            *at(grid, row, column) = taken(grid, from, Some(column));
        }
    }
}

/// The cells move left; blank ones come in at the right.
pub(super) fn shift_left(grid: &mut Grid<Cell>, area: Area, count: usize) {
    cut_sides(grid, area);
    cut(grid, area, area.left + count);
    for row in area.top..=area.bottom {
        for column in area.left..=area.right {
            let from = (column + count <= area.right).then_some(column + count);
            *at(grid, row, column) = taken(grid, Some(row), from);
        }
    }
}

/// The cells move right; blank ones come in at the left.
pub(super) fn shift_right(grid: &mut Grid<Cell>, area: Area, count: usize) {
    cut_sides(grid, area);
    cut(grid, area, (area.right + 1).saturating_sub(count));
    for row in area.top..=area.bottom {
        for column in (area.left..=area.right).rev() {
            let from = column.checked_sub(count).filter(|from| *from >= area.left);
            *at(grid, row, column) = taken(grid, Some(row), from);
        }
    }
}

/// The cell that moves away from a place, or a blank one if it would come from outside. Cells that move no longer end a
/// row that goes on in the next one.
fn taken(grid: &mut Grid<Cell>, row: Option<usize>, column: Option<usize>) -> Cell {
    let blank = Cell::from(grid.cursor.template.bg);
    let (Some(row), Some(column)) = (row, column) else { return blank };
    let mut cell = std::mem::replace(at(grid, row, column), blank);
    cell.flags.remove(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
    cell
}

/// Makes wide characters blank that stand on an edge of the area.
pub(super) fn cut_sides(grid: &mut Grid<Cell>, area: Area) {
    cut(grid, area, area.left);
    cut(grid, area, area.right + 1);
}

/// Makes wide characters blank whose second half is in this column.
fn cut(grid: &mut Grid<Cell>, area: Area, column: usize) {
    if column == 0 || column >= grid.columns() {
        return;
    }
    for row in area.top..=area.bottom {
        if at(grid, row, column).flags.contains(Flags::WIDE_CHAR_SPACER)
            && at(grid, row, column - 1).flags.contains(Flags::WIDE_CHAR)
        {
            at(grid, row, column).flags.remove(Flags::WIDE_CHAR_SPACER);
            at(grid, row, column - 1).clear_wide();
        }
    }
}

/// The cells become blank, in the colour behind what is written next.
pub(super) fn blank(grid: &mut Grid<Cell>, area: Area) {
    let blank = Cell::from(grid.cursor.template.bg);
    for row in area.top..=area.bottom {
        for column in area.left..=area.right {
            *at(grid, row, column) = blank.clone();
        }
    }
}
