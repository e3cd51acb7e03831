//! The state of a screen besides its lines: where the window is, the cursor, the modes, and which versions are
//! newest.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::size::Size;

/// Most runs of versions in a head: it must fit a datagram beside the commits of lines and what arrived.
pub const MAX_HEAD_RUNS: usize = 96;

/// One of the two spaces of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Space {
    /// The main screen: line *n* is the *n*-th line that ever stood on it.
    #[default]
    Main,
    /// The alternate screen: line *n* is its row *n*.
    Alternate,
}

/// The shape of the cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CursorShape {
    /// The whole cell.
    #[default]
    Block,
    /// The bottom of the cell.
    Underline,
    /// The left side of the cell.
    Beam,
}

/// The cursor, in the window's coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// Row from the top, 0-based.
    pub row: u16,
    /// Column from the left, 0-based.
    pub col: u16,
    /// Whether the cursor is visible.
    pub visible: bool,
    /// Its shape.
    pub shape: CursorShape,
    /// Whether the cursor blinks.
    pub blinking: bool,
}

/// The modes that decide what a viewer's keyboard, mouse and clipboard send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Modes(u32);

impl Modes {
    /// No mode.
    pub const NONE: Modes = Modes(0);
    /// Arrow keys send application sequences (DECCKM).
    pub const APP_CURSOR: Modes = Modes(1);
    /// The keypad sends application sequences (DECKPAM).
    pub const APP_KEYPAD: Modes = Modes(1 << 1);
    /// Pastes are bracketed (2004).
    pub const BRACKETED_PASTE: Modes = Modes(1 << 2);
    /// Mouse clicks are reported (1000).
    pub const MOUSE_CLICK: Modes = Modes(1 << 3);
    /// Mouse clicks and drags are reported (1002).
    pub const MOUSE_DRAG: Modes = Modes(1 << 4);
    /// Every motion of the mouse is reported (1003).
    pub const MOUSE_MOTION: Modes = Modes(1 << 5);
    /// Mouse reports are written the SGR way (1006).
    pub const SGR_MOUSE: Modes = Modes(1 << 6);
    /// Mouse reports are written in UTF-8 (1005).
    pub const UTF8_MOUSE: Modes = Modes(1 << 7);
    /// Gaining and losing the focus is reported (1004).
    pub const FOCUS_EVENTS: Modes = Modes(1 << 8);
    /// On the alternate screen the wheel sends arrow keys (1007). On unless a program turns it off.
    pub const ALTERNATE_SCROLL: Modes = Modes(1 << 9);
    /// Kitty keyboard: keys that would be ambiguous are escaped.
    pub const KITTY_DISAMBIGUATE: Modes = Modes(1 << 10);
    /// Kitty keyboard: press, repeat and release are told apart.
    pub const KITTY_EVENT_TYPES: Modes = Modes(1 << 11);
    /// Kitty keyboard: shifted and base layout keys are reported.
    pub const KITTY_ALTERNATE_KEYS: Modes = Modes(1 << 12);
    /// Kitty keyboard: every key is escaped.
    pub const KITTY_ALL_KEYS: Modes = Modes(1 << 13);
    /// Kitty keyboard: the text a key makes is reported.
    pub const KITTY_TEXT: Modes = Modes(1 << 14);

    /// The bits, as above.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is on.
    pub fn contains(self, other: Modes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the modes with `other` set if `on`, else cleared.
    #[must_use]
    pub fn set(self, other: Modes, on: bool) -> Modes {
        Modes(if on { self.0 | other.0 } else { self.0 & !other.0 })
    }
}

/// The state of the screen that is not lines. Small, since its list of versions has at most [`MAX_HEAD_RUNS`] entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the frame; grows with every frame that changed anything. A line's version is the frame that last
    /// changed it.
    pub version: u64,
    /// The screen that is shown.
    pub space: Space,
    /// Size of the window.
    pub size: Size,
    /// Number of the line on the window's first row; 0 on the alternate screen.
    pub top: u64,
    /// Lines of the main screen below this number were erased.
    pub floor: u64,
    /// The cursor.
    pub cursor: Cursor,
    /// The modes.
    pub modes: Modes,
    /// Versions of the window's lines from the top, as (how many lines, version).
    pub versions: Vec<(u16, u64)>,
}

/// Why a head cannot be used. Its sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadHead {
    /// A side of the window is zero or above the limit.
    #[error("impossible size")]
    Size,
    /// The versions are not exactly one for each row, or newer than the head.
    #[error("the versions do not cover the window")]
    Versions,
    /// The cursor is outside of the window.
    #[error("the cursor is outside of the window")]
    Cursor,
    /// The window ends beyond the last number there is, or the alternate screen does not start at 0.
    #[error("the window is outside of the lines")]
    Window,
}

impl Head {
    /// Whether the head makes sense; a decoded one may not.
    ///
    /// # Errors
    /// The part that makes no sense: the first of them.
    pub fn check(&self) -> Result<(), BadHead> {
        if !self.size.is_valid() {
            return Err(BadHead::Size);
        }
        let rows: u64 = self.versions.iter().map(|(count, _)| u64::from(*count)).sum();
        let impossible = |&(count, version): &(u16, u64)| count == 0 || version > self.version;
        if rows != u64::from(self.size.rows)
            || self.versions.len() > MAX_HEAD_RUNS
            || self.versions.iter().any(impossible)
        {
            return Err(BadHead::Versions);
        }
        if self.cursor.row >= self.size.rows || self.cursor.col >= self.size.cols {
            return Err(BadHead::Cursor);
        }
        let beyond = self.top.checked_add(u64::from(self.size.rows)).is_none();
        if beyond || (self.space == Space::Alternate && self.top != 0) {
            return Err(BadHead::Window);
        }
        Ok(())
    }

    /// The version of each of the window's lines, the top one first.
    pub fn row_versions(&self) -> impl Iterator<Item = u64> {
        self.versions.iter().flat_map(|&(count, version)| std::iter::repeat_n(version, usize::from(count)))
    }
}

/// How many rows follow each other with the same version, and that version.
#[cfg(feature = "host")]
pub(super) fn run_lengths(versions: impl Iterator<Item = u64>) -> Vec<(u16, u64)> {
    let mut runs: Vec<(u16, u64)> = Vec::new();
    for version in versions {
        match runs.last_mut() {
            Some((count, last)) if *last == version => *count += 1,
            Some(_) | None => runs.push((1, version)),
        }
    }
    runs
}

/// Joins runs until at most [`MAX_HEAD_RUNS`] remain. Joined runs get the older version: until the line comes, a viewer
/// may then take an old row for the current one.
#[cfg(feature = "host")]
pub(super) fn coarse(mut runs: Vec<(u16, u64)>) -> Vec<(u16, u64)> {
    while runs.len() > MAX_HEAD_RUNS {
        let pairs = runs.chunks(2);
        runs = pairs
            .map(|pair| pair.iter().copied().reduce(|a, b| (a.0 + b.0, a.1.min(b.1))).unwrap_or_default())
            .collect();
    }
    runs
}
