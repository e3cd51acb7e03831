//! Character sets besides those of the model: G2 and G3 for one character or for good, and the British set.

use vte::ansi::{CharsetIndex, Handler as _, StandardCharset};

use super::super::handler::ModelHandler;

/// Where a pound sign is in place of the number sign, and what is used for one character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::terminal) struct Charsets {
    british: [bool; 4],
    once: Option<CharsetIndex>,
}

impl Charsets {
    pub(super) fn are_special(&self) -> bool {
        self.once.is_some() || self.british != [false; 4]
    }

    pub(in crate::terminal) fn is_british(&self, set: CharsetIndex) -> bool {
        self.british[set as usize]
    }

    /// Whether the next character is of another set than those after it.
    pub(in crate::terminal) fn is_shifted_once(&self) -> bool {
        self.once.is_some()
    }

    pub(in crate::terminal) fn forget_british(&mut self, set: CharsetIndex) {
        self.british[set as usize] = false;
    }
}

impl ModelHandler {
    pub(in crate::terminal) fn shift_to(&mut self, set: CharsetIndex) {
        self.active_charset = set;
        self.term.set_active_charset(set);
    }

    pub(super) fn shift_once_to(&mut self, set: CharsetIndex) {
        self.dec.charsets.once = Some(set);
        self.dec.settle();
    }

    pub(super) fn make_british(&mut self, set: CharsetIndex) {
        self.term.configure_charset(set, StandardCharset::Ascii);
        self.dec.charsets.british[set as usize] = true;
        self.dec.settle();
    }

    pub(in crate::terminal) fn set_charset(&mut self, set: CharsetIndex, charset: StandardCharset) {
        self.term.configure_charset(set, charset);
        self.dec.charsets.forget_british(set);
        self.dec.settle();
    }

    /// A character for which something is set that the model does not know.
    pub(in crate::terminal) fn print_specially(&mut self, c: char) {
        let once = self.dec.charsets.once.take();
        let set = once.unwrap_or(self.active_charset);
        let c = if c == '#' && self.dec.charsets.is_british(set) { '£' } else { c };
        self.term.set_active_charset(set);
        match self.dec.sides {
            Some(_) => self.print_between(c),
            None => self.input_anywhere(c),
        }
        self.term.set_active_charset(self.active_charset);
        self.dec.settle();
    }
}
