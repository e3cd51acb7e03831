//! The alternate screen by all its modes, and the saved cursor of either screen.

use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Cell;
use vte::ansi::{CharsetIndex, Handler as _};

use super::super::handler::{ModelHandler, touch_rows};
use super::super::size::Size;
use super::{Charsets, Switch};

/// The state that belongs to a saved cursor and that the model does not save.
#[derive(Clone, Debug, Default)]
struct Saved {
    origin: bool,
    active: CharsetIndex,
    charsets: Charsets,
}

/// The state of the hidden screen that the model forgets.
#[derive(Default)]
pub(super) struct Screens {
    /// Of the main screen, then of the alternate one.
    saved: [Option<Saved>; 2],
    /// The main screen's saved cursor while the alternate one is shown, if the model has another in its place.
    main_saved: Option<Cursor<Cell>>,
    /// The alternate screen as it was left.
    alternate: Option<Box<Grid<Cell>>>,
}

impl ModelHandler {
    fn saved_here(&mut self) -> &mut Option<Saved> {
        let screen = usize::from(self.is_alternate());
        &mut self.dec.screens.saved[screen]
    }

    /// Whether a program saved the cursor of the screen that is shown.
    pub(in crate::terminal) fn has_saved_cursor(&self) -> bool {
        self.dec.screens.saved[usize::from(self.is_alternate())].is_some()
    }

    pub(in crate::terminal) fn save_cursor(&mut self) {
        self.term.save_cursor_position();
        *self.saved_here() = Some(Saved {
            origin: self.term.mode().contains(TermMode::ORIGIN),
            active: self.active_charset,
            charsets: self.dec.charsets.clone(),
        });
    }

    /// One that was never saved is home, with nothing set.
    pub(in crate::terminal) fn restore_cursor(&mut self) {
        self.term.restore_cursor_position();
        self.restore_settings();
    }

    fn restore_settings(&mut self) {
        let Saved { origin, active, charsets } = self.saved_here().clone().unwrap_or_default();
        self.switch_origin_in_place(if origin { Switch::On } else { Switch::Off });
        self.shift_to(active);
        self.dec.charsets = charsets;
        self.dec.settle();
        self.keep_between();
    }

    /// The screens have one cursor together, and the alternate one is as it was left.
    pub(super) fn switch_alternate(&mut self, switch: Switch) {
        match switch {
            Switch::On if !self.is_alternate() => {
                let saved = self.term.grid().saved_cursor.clone();
                self.show_alternate();
                self.dec.screens.main_saved = Some(saved);
            }
            Switch::Off if self.is_alternate() => {
                let cursor = self.term.grid().cursor.clone();
                self.show_main();
                self.term.grid_mut().cursor = cursor;
            }
            Switch::On | Switch::Off => {}
        }
    }

    pub(super) fn switch_alternate_erased(&mut self, switch: Switch) {
        if switch == Switch::Off && self.is_alternate() {
            self.term.grid_mut().reset_region(..);
        }
        self.switch_alternate(switch);
    }

    /// The main screen's cursor is restored even if that screen is shown already.
    pub(super) fn switch_alternate_and_cursor(&mut self, switch: Switch) {
        match switch {
            Switch::On if !self.is_alternate() => {
                self.save_cursor();
                self.show_alternate();
                self.term.grid_mut().reset_region(..);
            }
            Switch::Off if self.is_alternate() && self.dec.screens.main_saved.is_none() => {
                // The model moved this cursor along with the text if the size has changed, the saved one not.
                self.show_main();
                self.restore_settings();
            }
            Switch::Off => {
                self.show_main();
                self.restore_cursor();
            }
            Switch::On => {}
        }
    }

    fn show_alternate(&mut self) {
        self.harvest();
        self.term.swap_alt();
        let alternate = self.dec.screens.alternate.take();
        let mut alternate = alternate.map_or_else(|| self.blank_screen(), |alternate| *alternate);
        alternate.cursor = self.term.grid().cursor.clone();
        *self.term.grid_mut() = alternate;
    }

    fn blank_screen(&self) -> Grid<Cell> {
        Grid::new(self.term.screen_lines(), self.term.columns(), 0)
    }

    fn show_main(&mut self) {
        if !self.is_alternate() {
            return;
        }
        let blank = self.blank_screen();
        let alternate = std::mem::replace(self.term.grid_mut(), blank);
        self.dec.screens.alternate = Some(Box::new(alternate));
        self.term.swap_alt();
        if let Some(mut saved) = self.dec.screens.main_saved.take() {
            let grid = self.term.grid_mut();
            saved.point.line = saved.point.line.min(grid.bottommost_line());
            saved.point.column = saved.point.column.min(grid.last_column());
            grid.saved_cursor = saved;
        }
    }

    /// To be called when the model's size has changed.
    pub(in crate::terminal) fn resize_hidden(&mut self, size: Size) {
        if let Some(alternate) = &mut self.dec.screens.alternate {
            alternate.resize(false, size.rows.into(), size.cols.into());
            touch_rows(alternate);
        }
    }
}
