//! How large a terminal is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Widest terminal, in columns: a line of that many cells, each with its own true colours, still fits a few dozen
/// datagrams.
pub const MAX_COLS: u16 = 500;

/// Highest terminal, in rows: bounds a head's list of versions, and what a viewer must hold at once.
pub const MAX_ROWS: u16 = 200;

/// The size of a terminal in character cells, 1x1 to [`MAX_COLS`]x[`MAX_ROWS`] when made by [`Size::new`] or parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Width in columns.
    pub cols: u16,
    /// Height in rows.
    pub rows: u16,
}

impl Size {
    /// The nearest size to `cols` x `rows` that is within the limits.
    pub fn new(cols: u16, rows: u16) -> Size {
        Size { cols: cols.clamp(1, MAX_COLS), rows: rows.clamp(1, MAX_ROWS) }
    }

    /// Whether both sides are within the limits; false only for a size that came from elsewhere.
    pub fn is_valid(self) -> bool {
        self == Size::new(self.cols, self.rows)
    }
}

impl Default for Size {
    /// 80x24, what a program assumes when nobody tells it.
    fn default() -> Size {
        Size { cols: 80, rows: 24 }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.cols, self.rows)
    }
}

/// The text is not a size such as `80x24`, or is one outside of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected COLSxROWS, such as 80x24, at most {MAX_COLS}x{MAX_ROWS}")]
pub struct BadSize;

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Size, BadSize> {
        let (cols, rows) = text.split_once('x').ok_or(BadSize)?;
        let size = Size { cols: cols.parse().map_err(|_| BadSize)?, rows: rows.parse().map_err(|_| BadSize)? };
        if size.is_valid() { Ok(size) } else { Err(BadSize) }
    }
}
