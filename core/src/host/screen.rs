//! The terminal's screen: its model, and what viewers are shown and told of it.

use super::HostConfig;
use super::frames::Frames;
use super::own_cursor::OwnCursor;
use super::properties::Properties;
use super::resize::Resizing;
use crate::terminal::Emulator;

pub(super) struct SharedScreen {
    pub(super) emulator: Emulator,
    pub(super) resizing: Resizing,
    pub(super) own_cursor: OwnCursor,
    pub(super) frames: Frames,
    pub(super) properties: Properties,
}

impl SharedScreen {
    /// An empty screen, whose cursor is below the rows that the own terminal has in use.
    pub(super) fn new(config: &HostConfig) -> SharedScreen {
        let mut emulator = Emulator::new(config.size, config.history);
        emulator.feed(&b"\n".repeat(usize::from(config.rows_taken.min(config.size.rows - 1))));
        emulator.frame();
        let resizing = Resizing::new(config.size);
        let (frames, properties) = (Frames::new(), Properties::default());
        SharedScreen { emulator, resizing, own_cursor: OwnCursor::default(), frames, properties }
    }
}
