//! The terminal's modes and its cursor's look: set as the host has them, and put back at the end.

use std::io::Write as _;

use super::super::head::{CursorShape, Modes};
use super::super::title::clean_title;

/// How each mode is turned on and off.
const MODES: [(Modes, &str, &str); 10] = [
    (Modes::APP_CURSOR, "\x1b[?1h", "\x1b[?1l"),
    (Modes::APP_KEYPAD, "\x1b=", "\x1b>"),
    (Modes::BRACKETED_PASTE, "\x1b[?2004h", "\x1b[?2004l"),
    (Modes::MOUSE_CLICK, "\x1b[?1000h", "\x1b[?1000l"),
    (Modes::MOUSE_DRAG, "\x1b[?1002h", "\x1b[?1002l"),
    (Modes::MOUSE_MOTION, "\x1b[?1003h", "\x1b[?1003l"),
    (Modes::SGR_MOUSE, "\x1b[?1006h", "\x1b[?1006l"),
    (Modes::UTF8_MOUSE, "\x1b[?1005h", "\x1b[?1005l"),
    (Modes::FOCUS_EVENTS, "\x1b[?1004h", "\x1b[?1004l"),
    (Modes::ALTERNATE_SCROLL, "\x1b[?1007h", "\x1b[?1007l"),
];

/// Kitty's keyboard flags, in the order of their bits there.
const KITTY: [Modes; 5] = [
    Modes::KITTY_DISAMBIGUATE,
    Modes::KITTY_EVENT_TYPES,
    Modes::KITTY_ALTERNATE_KEYS,
    Modes::KITTY_ALL_KEYS,
    Modes::KITTY_TEXT,
];

/// The settings made so far. Terminals start with everything off but the alternate scroll, and with a visible cursor.
#[derive(Debug)]
pub(super) struct Settings {
    /// `None`: not known.
    modes: Option<Modes>,
    /// `None`: not known.
    visible: Option<bool>,
    /// The cursor's look, if it was ever changed: until then it is the person's own.
    look: Option<(CursorShape, bool)>,
    /// Kitty's keyboard flags, if some were pushed onto the terminal's stack; `Some(None)`: not known which.
    kitty: Option<Option<u32>>,
    /// The window's title, if it was ever changed: until then it is the person's own.
    title: Option<String>,
    /// The title that is wanted, until the next paint.
    next_title: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            modes: Some(Modes::ALTERNATE_SCROLL),
            visible: Some(true),
            look: None,
            kitty: None,
            title: None,
            next_title: None,
        }
    }
}

impl Settings {
    /// Another program used the terminal: every setting must be written again.
    pub(super) fn forget(&mut self) {
        self.modes = None;
        self.visible = None;
        self.kitty = self.kitty.map(|_| None);
    }

    /// The window is to have this title.
    pub(super) fn wish_title(&mut self, title: &str) {
        self.next_title = Some(clean_title(title));
    }

    /// Sets the title that is wanted. The person's own is put onto the terminal's stack first.
    pub(super) fn title(&mut self, out: &mut Vec<u8>) {
        let Some(next) = self.next_title.take() else { return };
        match &self.title {
            Some(title) if *title == next => return,
            None if next.is_empty() => return,
            Some(_) => {}
            None => out.extend_from_slice(b"\x1b[22;2t"),
        }
        let _ = write!(out, "\x1b]2;{next}\x1b\\");
        self.title = Some(next);
    }

    /// Sets the flags of a terminal that has them. A pair of push and pop stands around all of them, since the person's
    /// own are below.
    pub(super) fn keyboard(&mut self, modes: Modes, out: &mut Vec<u8>) {
        let flags = (0..).zip(KITTY).filter(|(_, flag)| modes.contains(*flag)).fold(0, |all, (bit, _)| all | 1 << bit);
        // Writing to memory cannot fail.
        let _ = match self.kitty {
            None if flags == 0 => return,
            Some(Some(set)) if set == flags => return,
            None => write!(out, "\x1b[>{flags}u"),
            Some(_) if flags == 0 => write!(out, "\x1b[<u"),
            Some(_) => write!(out, "\x1b[={flags}u"),
        };
        self.kitty = (flags != 0).then_some(Some(flags));
    }

    /// Sets the modes; first those off that go off, since some exclude each other.
    pub(super) fn modes(&mut self, modes: Modes, out: &mut Vec<u8>) {
        for (mode, _, off) in MODES {
            if self.modes.is_none_or(|set| set.contains(mode)) && !modes.contains(mode) {
                out.extend_from_slice(off.as_bytes());
            }
        }
        for (mode, on, _) in MODES {
            if self.modes.is_none_or(|set| !set.contains(mode)) && modes.contains(mode) {
                out.extend_from_slice(on.as_bytes());
            }
        }
        self.modes = Some(modes);
    }

    pub(super) fn cursor_visible(&mut self, visible: bool, out: &mut Vec<u8>) {
        if self.visible != Some(visible) {
            out.extend_from_slice(if visible { b"\x1b[?25h" } else { b"\x1b[?25l" });
            self.visible = Some(visible);
        }
    }

    /// Sets the cursor's look. The host has a steady block as long as no program chose a shape. A person keeps their
    /// own cursor until a program chooses another shape.
    pub(super) fn cursor_shape(&mut self, shape: CursorShape, blinking: bool, out: &mut Vec<u8>) {
        let look = (shape, blinking);
        if self.look.unwrap_or((CursorShape::Block, false)) == look {
            return;
        }
        let steady = match shape {
            CursorShape::Block => 2,
            CursorShape::Underline => 4,
            CursorShape::Beam => 6,
        };
        // Writing to memory cannot fail.
        let _ = write!(out, "\x1b[{} q", steady - u8::from(blinking));
        self.look = Some(look);
    }

    /// Puts everything back.
    pub(super) fn restore(&mut self, out: &mut Vec<u8>) {
        self.modes(Modes::ALTERNATE_SCROLL, out);
        self.keyboard(Modes::NONE, out);
        if self.look.take().is_some() {
            out.extend_from_slice(b"\x1b[0 q");
        }
        self.cursor_visible(true, out);
        if self.title.take().is_some() {
            out.extend_from_slice(b"\x1b[23;2t");
        }
    }
}
