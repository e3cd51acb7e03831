//! DECSTR and DECCOLM.

use alacritty_terminal::index::Point;
use vte::ansi::{Attr, CharsetIndex, Handler as _, Mode, NamedMode, NamedPrivateMode, StandardCharset};

use super::super::handler::ModelHandler;
use super::super::rendition::{self, Protection};
use super::{COLUMNS_PERMITTED, REVERSE_WRAP, SIDES, Switch};

const SETS: [CharsetIndex; 4] = [CharsetIndex::G0, CharsetIndex::G1, CharsetIndex::G2, CharsetIndex::G3];

impl ModelHandler {
    /// Margins, insertion, origin, wrapping, character sets, attributes, protection, keys, and the saved cursor, which
    /// is home then. The text and the cursor stay as they are.
    pub(super) fn reset_softly(&mut self) {
        self.forget_all_margins();
        self.dec.set(SIDES, Switch::Off);
        self.switch_origin_in_place(Switch::Off);
        self.dec.set(REVERSE_WRAP, Switch::Off);
        self.term.unset_mode(Mode::Named(NamedMode::Insert));
        self.switch_model(NamedPrivateMode::LineWrap, Switch::On);
        self.switch_model(NamedPrivateMode::CursorKeys, Switch::Off);
        self.switch_model(NamedPrivateMode::ShowCursor, Switch::On);
        self.term.unset_keypad_application_mode();
        self.terminal_attribute(Attr::Reset);
        rendition::protect(&mut self.term, Protection::Off);
        self.dec.is_guarding = false;
        self.dec.charsets = super::Charsets::default();
        for set in SETS {
            self.set_charset(set, StandardCharset::Ascii);
        }
        self.shift_to(CharsetIndex::G0);
        self.save_cursor();
        let saved = &mut self.term.grid_mut().saved_cursor;
        (saved.point, saved.input_needs_wrap) = (Point::default(), false);
    }

    /// The program cannot change the width. Everything else that a change of width brings happens.
    pub(super) fn switch_columns(&mut self) {
        if self.dec.is_on(COLUMNS_PERMITTED) {
            self.switch_model(NamedPrivateMode::ColumnMode, Switch::On);
            self.harvest();
            self.margins = None;
            self.set_sides(None);
            self.go_to(0, 0);
        }
    }

    /// All margins are the screen's edges again. The cursor stays.
    fn forget_all_margins(&mut self) {
        self.harvest();
        let cursor = self.term.grid().cursor.clone();
        self.term.set_scrolling_region(1, None);
        self.term.grid_mut().cursor = cursor;
        self.margins = None;
        self.set_sides(None);
    }
}
