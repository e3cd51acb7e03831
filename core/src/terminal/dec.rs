//! Commands and modes of DEC's and xterm's terminals that the model does not know, done on the model's grid.
//!
//! A [`Command`] is found by the scanner, since the parser drops it; modes and everything else come through the
//! handler. The model prints and scrolls text. Only while left and right margins are narrower than the screen, this
//! room moves text itself, cell by cell.
//!
//! The rules are those of DEC STD 070 and of xterm's control sequences; where these two differ, those of xterm.

mod area;
mod charsets;
mod columns;
mod command;
mod movement;
mod rectangles;
mod reset;
mod screens;
mod sides;

use std::collections::BTreeSet;

use vte::ansi::{NamedPrivateMode, PrivateMode};

use super::handler::ModelHandler;
use super::rendition;
use charsets::Charsets;
pub(super) use command::Command;
use rectangles::Extent;
pub(super) use rectangles::Part;
use screens::Screens;
pub(super) use sides::Sides;

/// Whether a mode is set or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
}

/// 80 or 132 columns (DECCOLM).
const COLUMNS: u16 = 3;
/// Places are counted from the margins (DECOM).
const ORIGIN: u16 = 6;
/// DECCOLM has an effect.
pub(super) const COLUMNS_PERMITTED: u16 = 40;
/// Going back goes on at the end of the row above.
pub(super) const REVERSE_WRAP: u16 = 45;
/// Left and right margins may be chosen (DECLRMM).
pub(super) const SIDES: u16 = 69;
/// The alternate screen, as it was left.
pub(super) const ALTERNATE: u16 = 47;
/// The alternate screen, erased when it is left.
pub(super) const ALTERNATE_ERASED: u16 = 1047;
/// The saved cursor.
pub(super) const SAVED_CURSOR: u16 = 1048;
/// The alternate screen, erased when it is shown, and the saved cursor.
pub(super) const ALTERNATE_AND_CURSOR: u16 = 1049;

/// State of DEC and xterm commands that the model does not keep.
#[derive(Default)]
pub(super) struct Dec {
    /// The modes among [`COLUMNS_PERMITTED`], [`REVERSE_WRAP`] and [`SIDES`] that are on.
    modes: BTreeSet<u16>,
    /// Left and right margin, if they are narrower than the screen.
    pub(super) sides: Option<Sides>,
    pub(super) charsets: Charsets,
    screens: Screens,
    extent: Extent,
    /// Erasing of every kind leaves protected cells alone: they were protected by SPA, or SPA came after them.
    is_guarding: bool,
    /// Whether margins or a character set of this room change where and how a character is printed.
    pub(super) prints_specially: bool,
    /// Whether a part of a synchronised update is shown now while the update stays open.
    pub(super) updating: bool,
}

impl Dec {
    /// Whether a mode is on that the model does not keep.
    pub(super) fn is_on(&self, mode: u16) -> bool {
        self.modes.contains(&mode)
    }

    fn set(&mut self, mode: u16, switch: Switch) {
        match switch {
            Switch::On => self.modes.insert(mode),
            Switch::Off => self.modes.remove(&mode),
        };
    }

    /// Updates `prints_specially` after a change of margins or character sets.
    fn settle(&mut self) {
        self.prints_specially = self.sides.is_some() || self.charsets.are_special();
    }
}

impl ModelHandler {
    /// Does a command.
    pub(super) fn run(&mut self, command: Command) {
        match command {
            Command::Sides { left, right } => self.choose_sides(left, right),
            Command::SoftReset => self.reset_softly(),
            Command::ColumnsOut { count } => self.scroll_columns(columns::Toward::Left, count),
            Command::ColumnsIn { count } => self.scroll_columns(columns::Toward::Right, count),
            Command::InsertColumns { count } => self.insert_columns(count),
            Command::DeleteColumns { count } => self.delete_columns(count),
            Command::ColumnForward => self.index_forward(),
            Command::ColumnBack => self.index_back(),
            Command::Right { count } => self.right_by(count),
            Command::Down { count } => self.down_by(count),
            Command::Repeat { count } => self.repeat(count),
            Command::Fill { code, corners } => self.fill(code, corners),
            Command::Erase { corners } => self.erase(corners),
            Command::EraseText { corners } => self.erase_text(corners),
            Command::EraseUnprotected(part) => self.erase_unprotected(part),
            Command::Protect(protection) => {
                self.dec.is_guarding = false;
                rendition::protect(&mut self.term, protection);
            }
            Command::Guard(protection) => {
                // EPA ends what is protected from now on; what is protected so far stays so.
                self.dec.is_guarding = true;
                rendition::protect(&mut self.term, protection);
            }
            Command::Copy { corners, top, left } => self.copy(corners, top, left),
            Command::ChangeAttributes { corners, attributes } => self.change_attributes(corners, &attributes),
            Command::ReverseAttributes { corners, attributes } => self.reverse_attributes(corners, &attributes),
            Command::Extent { kind } => self.choose_extent(kind),
            Command::Shift(set) => self.shift_to(set),
            Command::ShiftOnce(set) => self.shift_once_to(set),
            Command::British(set) => self.make_british(set),
        }
    }

    /// Sets or resets a private mode; false if the mode is the model's own.
    pub(super) fn switch(&mut self, mode: u16, switch: Switch) -> bool {
        match mode {
            COLUMNS => self.switch_columns(),
            ORIGIN => self.switch_origin(switch),
            COLUMNS_PERMITTED | REVERSE_WRAP => self.dec.set(mode, switch),
            SIDES => self.switch_sides(switch),
            ALTERNATE => self.switch_alternate(switch),
            ALTERNATE_ERASED => self.switch_alternate_erased(switch),
            SAVED_CURSOR => match switch {
                Switch::On => self.save_cursor(),
                Switch::Off => self.restore_cursor(),
            },
            ALTERNATE_AND_CURSOR => self.switch_alternate_and_cursor(switch),
            _ => return false,
        }
        true
    }

    /// Sets or resets a mode of the model's.
    fn switch_model(&mut self, mode: NamedPrivateMode, switch: Switch) {
        use vte::ansi::Handler as _;
        let mode = PrivateMode::Named(mode);
        match switch {
            Switch::On => self.term.set_private_mode(mode),
            Switch::Off => self.term.unset_private_mode(mode),
        }
    }
}
