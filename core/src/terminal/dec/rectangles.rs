//! Rectangles of cells: filled, erased, copied, and with other attributes; and what selective erasing leaves.

use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};

use super::super::handler::ModelHandler;
use super::super::rendition::{self, BLINK, is_protected};
use super::area::{self, Area, at};

/// A rectangle as a program gives it: from 1, in origin mode from the margins, 0 for the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) struct Corners {
    pub(super) top: u16,
    pub(super) left: u16,
    pub(super) bottom: u16,
    pub(super) right: u16,
}

/// The cells between two corners of which attributes change (DECSACE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// From the first corner on to the second, over the ends of rows.
    #[default]
    Stream,
    Rectangle,
}

/// The cells that a selective erase is about: a part of the screen or of the cursor's row, the cursor's cell included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Part {
    Below,
    Above,
    Screen,
    Right,
    Left,
    Row,
    /// So many cells from the cursor's on, up to the end of the row.
    Cells(usize),
}

/// The attributes that DECCARA and DECRARA know: what sets each, what resets it.
const ATTRIBUTES: [(u16, u16, Flags); 5] =
    [(1, 22, Flags::BOLD), (4, 24, Flags::UNDERLINE), (5, 25, BLINK), (7, 27, Flags::INVERSE), (8, 28, Flags::HIDDEN)];

impl ModelHandler {
    /// The cells that rectangles are counted from and cut at.
    fn page(&self) -> Area {
        if self.term.mode().contains(TermMode::ORIGIN) {
            return self.scroll_area();
        }
        Area { top: 0, bottom: self.term.screen_lines() - 1, left: 0, right: self.term.columns() - 1 }
    }

    /// Nothing if there is no cell between the corners.
    fn area_of(&self, corners: Corners) -> Option<Area> {
        let page = self.page();
        let row = |number: u16| (page.top + usize::from(number.max(1)) - 1).min(page.bottom);
        let column = |number: u16| (page.left + usize::from(number.max(1)) - 1).min(page.right);
        let area = Area {
            top: row(corners.top),
            left: column(corners.left),
            bottom: if corners.bottom == 0 { page.bottom } else { row(corners.bottom) },
            right: if corners.right == 0 { page.right } else { column(corners.right) },
        };
        (area.top <= area.bottom && area.left <= area.right).then_some(area)
    }

    /// With a printable character of one byte, as it would be written now.
    pub(super) fn fill(&mut self, code: u16, corners: Corners) {
        let Some(c) = char::from_u32(code.into()).filter(|c| matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}')) else {
            return;
        };
        let Some(area) = self.area_of(corners) else { return };
        let grid = self.term.grid_mut();
        let c = grid.cursor.charsets[self.active_charset].map(c);
        let cell = Cell { c, ..grid.cursor.template.clone() };
        area::cut_sides(grid, area);
        for row in area.top..=area.bottom {
            for column in area.left..=area.right {
                *at(grid, row, column) = cell.clone();
            }
        }
    }

    pub(super) fn erase(&mut self, corners: Corners) {
        if let Some(area) = self.area_of(corners) {
            area::cut_sides(self.term.grid_mut(), area);
            area::blank(self.term.grid_mut(), area);
        }
    }

    /// Erases what is not protected, if that is so for erasing of every kind (SPA); false if not.
    pub(in crate::terminal) fn erases_around_guarded(&mut self, part: Part) -> bool {
        if self.dec.is_guarding {
            self.erase_unprotected(part);
        }
        self.dec.is_guarding
    }

    /// Unprotected cells become blank, in the background colour of the next text. As with xterm, the cursor's row
    /// is erased to its end even if a wrap is pending there.
    pub(super) fn erase_unprotected(&mut self, part: Part) {
        let (row, column) = self.place();
        let (last_row, last) = (self.term.screen_lines() - 1, self.term.columns() - 1);
        let grid = self.term.grid_mut();
        grid.cursor.input_needs_wrap = false;
        let rows = |top: usize, bottom: usize| Area { top, bottom, left: 0, right: last };
        let (right, left) = (Area { left: column, ..rows(row, row) }, Area { right: column, ..rows(row, row) });
        match part {
            Part::Screen => erase_unprotected(grid, rows(0, last_row)),
            Part::Row => erase_unprotected(grid, rows(row, row)),
            Part::Right => erase_unprotected(grid, right),
            Part::Left => erase_unprotected(grid, left),
            Part::Cells(count) => {
                erase_unprotected(grid, Area { right: last.min(column + count.max(1) - 1), ..right });
            }
            Part::Below => {
                erase_unprotected(grid, right);
                erase_unprotected(grid, rows(row + 1, last_row));
            }
            Part::Above => {
                erase_unprotected(grid, left);
                if let Some(above) = row.checked_sub(1) {
                    erase_unprotected(grid, rows(0, above));
                }
            }
        }
    }

    /// Colours and attributes stay, and protected cells as they are.
    pub(super) fn erase_text(&mut self, corners: Corners) {
        let Some(area) = self.area_of(corners) else { return };
        let grid = self.term.grid_mut();
        area::cut_sides(grid, area);
        for row in area.top..=area.bottom {
            for column in area.left..=area.right {
                let cell = at(grid, row, column);
                if is_protected(cell.flags) {
                    continue;
                }
                cell.clear_wide();
                cell.flags.remove(Flags::WIDE_CHAR_SPACER | Flags::LEADING_WIDE_CHAR_SPACER);
            }
        }
    }

    /// To a place, as far as there is room.
    pub(super) fn copy(&mut self, corners: Corners, top: u16, left: u16) {
        let Some(from) = self.area_of(corners) else { return };
        let Some(room) = self.area_of(Corners { top, left, bottom: 0, right: 0 }) else { return };
        let to = Area {
            bottom: room.bottom.min(room.top + from.bottom - from.top),
            right: room.right.min(room.left + from.right - from.left),
            ..room
        };
        let grid = self.term.grid_mut();
        let rows: Vec<Vec<Cell>> = (from.top..=from.bottom)
            .map(|row| {
                let cells = (from.left..=from.left + to.right - to.left).map(|column| at(grid, row, column).clone());
                whole(cells.collect())
            })
            .collect();
        area::cut_sides(grid, to);
        for (row, cells) in (to.top..=to.bottom).zip(rows) {
            for (column, cell) in (to.left..).zip(cells) {
                *at(grid, row, column) = cell;
            }
        }
    }

    pub(super) fn choose_extent(&mut self, kind: u16) {
        match kind {
            0 | 1 => self.dec.extent = Extent::Stream,
            2 => self.dec.extent = Extent::Rectangle,
            _ => {}
        }
    }

    pub(in crate::terminal) fn extent_kind(&self) -> u8 {
        match self.dec.extent {
            Extent::Stream => 1,
            Extent::Rectangle => 2,
        }
    }

    /// Of attributes that contradict each other the last one counts; 0, or no attribute, takes all away.
    pub(super) fn change_attributes(&mut self, corners: Corners, attributes: &[u16]) {
        let (mut set, mut reset) = (Flags::empty(), Flags::empty());
        let attributes = if attributes.is_empty() { &[0][..] } else { attributes };
        for attribute in attributes {
            for (sets, resets, flag) in ATTRIBUTES {
                if *attribute == sets {
                    set.insert(flag);
                } else if *attribute == resets || *attribute == 0 {
                    set.remove(flag);
                    reset.insert(flag);
                }
            }
        }
        if (set | reset).intersects(Flags::UNDERLINE) {
            reset.insert(Flags::ALL_UNDERLINES);
        }
        self.each_cell(corners, |cell| {
            cell.flags = rendition::change(cell.flags, |flags| flags.difference(reset) | set);
        });
    }

    /// 0, or no attribute, reverses all.
    pub(super) fn reverse_attributes(&mut self, corners: Corners, attributes: &[u16]) {
        let is_all = attributes.is_empty() || attributes.contains(&0);
        let named = ATTRIBUTES.iter().filter(|(sets, _, _)| is_all || attributes.contains(sets));
        let flags = named.fold(Flags::empty(), |all, (_, _, flag)| all | *flag);
        let others = flags.difference(Flags::UNDERLINE);
        self.each_cell(corners, |cell| {
            cell.flags = rendition::change(cell.flags, |before| {
                if !flags.contains(Flags::UNDERLINE) {
                    before ^ others
                } else if before.intersects(Flags::ALL_UNDERLINES) {
                    before.difference(Flags::ALL_UNDERLINES) ^ others
                } else {
                    before ^ flags
                }
            });
        });
    }

    /// The cells from one corner to the other, by what these mean.
    fn each_cell(&mut self, corners: Corners, change: impl Fn(&mut Cell)) {
        let Some(area) = self.area_of(corners) else { return };
        let (page, extent) = (self.page(), self.dec.extent);
        for row in area.top..=area.bottom {
            let (first, last) = match extent {
                Extent::Rectangle => (area.left, area.right),
                Extent::Stream => (
                    if row == area.top { area.left } else { page.left },
                    if row == area.bottom { area.right } else { page.right },
                ),
            };
            for column in first..=last {
                change(at(self.term.grid_mut(), row, column));
            }
        }
    }
}

/// Nothing if the area has no row. Half of a wide character that is not protected does not stay alone.
fn erase_unprotected(grid: &mut Grid<Cell>, area: Area) {
    let blank = Cell::from(grid.cursor.template.bg);
    area::cut_sides(grid, area);
    for row in area.top..=area.bottom {
        for column in area.left..=area.right {
            let cell = at(grid, row, column);
            if !is_protected(cell.flags) {
                *cell = blank.clone();
            }
        }
    }
}

/// Halves of wide characters at the ends become blank.
fn whole(mut cells: Vec<Cell>) -> Vec<Cell> {
    for cell in &mut cells {
        cell.flags.remove(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
    }
    if let Some(first) = cells.first_mut() {
        first.flags.remove(Flags::WIDE_CHAR_SPACER);
    }
    if let Some(last) = cells.last_mut().filter(|cell| cell.flags.contains(Flags::WIDE_CHAR)) {
        last.clear_wide();
    }
    cells
}
