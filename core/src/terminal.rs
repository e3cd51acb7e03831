//! A terminal as numbered lines.
//!
//! This module has no input or output, no clock, no randomness and, on the viewer's side, no table of widths. A viewer
//! never parses an escape sequence from the network.
//!
//! The host's side is an [`Emulator`]: bytes of the pseudo-terminal in, [`Line`]s and a [`Head`] out. Line *n* is the
//! *n*-th line that ever stood on the main screen; a number is a slot whose content may change while it is in the
//! window, and is final once it has left it. The alternate screen is a second, short space of lines.
//!
//! The host's own terminal, on which the program draws directly, can have a [`Banner`] over its bottom rows.
//!
//! The viewer's side is a [`Screen`], which merges lines and heads in any order (the newest version wins), and a
//! [`Painter`], which turns the difference between it and what the person's terminal shows into escape sequences.

mod abilities;
#[cfg(feature = "host")]
mod answers;
#[cfg(feature = "host")]
mod banner;
#[cfg(feature = "host")]
mod cells;
mod clipboard;
mod codec;
#[cfg(feature = "host")]
mod dec;
#[cfg(feature = "host")]
mod emulator;
#[cfg(feature = "host")]
mod handler;
mod head;
#[cfg(feature = "host")]
mod history;
#[cfg(feature = "host")]
mod keyboard;
#[cfg(feature = "host")]
mod left_on;
mod line;
mod line_commits;
#[cfg(feature = "host")]
mod notes;
mod overlay;
mod paint;
#[cfg(feature = "host")]
mod passing;
mod paste;
#[cfg(feature = "host")]
mod plain;
#[cfg(feature = "host")]
mod pulled;
#[cfg(feature = "host")]
mod query_scanner;
#[cfg(feature = "host")]
mod rendition;
mod screen;
#[cfg(feature = "host")]
mod sgr;
mod size;
mod spans;
mod style;
mod title;
#[cfg(feature = "host")]
mod update;

pub use abilities::{Abilities, Colors};
#[cfg(feature = "host")]
pub use banner::Banner;
pub use clipboard::{MAX_CLIPBOARD, to_clipboard};
#[cfg(feature = "host")]
pub(crate) use codec::Styles;
pub use codec::{BadLine, MAX_LINE_BYTES};
#[cfg(feature = "host")]
pub use emulator::{Emulator, MIN_EMULATED_COLS};
pub use head::{BadHead, Cursor, CursorShape, Head, MAX_HEAD_RUNS, Modes, Space};
pub use line::{Line, MAX_ZERO_WIDTH, Run, Width};
pub use line_commits::{GIVEN_UP, LineCommits, MAX_COMMIT_RUNS, REPEATED, UNSAID};
#[cfg(feature = "host")]
pub use notes::MAX_REPLIES;
pub use overlay::{Overlay, OverlayCell};
pub use paint::{Options, Painter, Window, banner_rows};
pub use paste::Paste;
#[cfg(feature = "host")]
pub(crate) use paste::{PASTE_BEGINS, PASTE_ENDS};
#[cfg(feature = "host")]
pub use query_scanner::{MAX_OSC, ScreenTitles};
pub use screen::{DEFAULT_HISTORY, MAX_HISTORY, MAX_HISTORY_BYTES, MAX_LINES_OUTSIDE, Screen};
pub use size::{BadSize, MAX_COLS, MAX_ROWS, Size};
pub use style::{Attributes, Color, MAX_LINK, Style, Underline};
pub use title::{MAX_TITLE, clean_title, is_blank, is_printable, quoted_name, viewer_name};
