//! Changes of the terminal's size: the painter asks for the cursor, and concludes from the answer which rows moved.

use std::time::Duration;

use super::{Painter, go_to, rows};
use crate::terminal::head::Space;
use crate::terminal::size::Size;
use crate::time::Timestamp;

/// A terminal that was asked where its cursor is has this long to say; after it the screen is only painted anew. More
/// than the round trip to a terminal behind ssh, less than a person waits for a window to settle.
const REPORT_WITHIN: Duration = Duration::from_millis(200);

/// A paint less than this before a known change of size may have met the new size: the way to the terminal takes time,
/// and tmux reports a change to the programs in its panes up to 250 ms late.
const IN_DOUBT: Duration = Duration::from_millis(300);

/// The terminal before the last change of its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    size: Size,
    /// The row of the cursor.
    row: u16,
    /// Paints since this time may have reached the terminal after the change of size; `None` if there were none.
    doubtful: Option<Timestamp>,
    /// How many answers are to come.
    pub(super) asked: u16,
    /// When the wait for the answers ends; set by the first paint that has to wait.
    pub(super) until: Option<Timestamp>,
}

impl Painter {
    /// How often the terminal was asked where its cursor is since the last call: so many answers are to be given to
    /// [`cursor_report`](Painter::cursor_report).
    pub fn take_asks(&mut self) -> u32 {
        std::mem::take(&mut self.asks)
    }

    /// Whether the terminal is asked where its cursor is, and may still answer: nothing is painted until then.
    pub fn is_asking(&self, now: Timestamp) -> bool {
        self.moved.is_some_and(|moved| moved.asked > 0 && moved.until.is_none_or(|until| until > now))
    }

    /// The terminal has a new size. The terminal may have moved rows into its scrollback or out of there, so the
    /// painter asks for the cursor's place; the answer is for [`cursor_report`](Painter::cursor_report).
    pub fn resize(&mut self, now: Timestamp, size: Size, out: &mut Vec<u8>) {
        let before = self.local;
        self.local = size;
        self.banner.forgotten.clear();
        if !self.started || self.options.alternate || !self.options.abilities.cursor_reports {
            return self.redraw();
        }
        let in_main = self.showing == Some(Space::Main);
        let cursor = if in_main { self.cursor } else { self.main_cursor };
        self.alternate = rows::unknown(size.rows);
        self.scrollback.forget();
        if let (None, Some((row, _))) = (self.moved, cursor) {
            let since = Timestamp::from(now.since_start().saturating_sub(IN_DOUBT));
            let doubtful = Some(since).filter(|since| in_main && self.painted.is_some_and(|painted| painted >= *since));
            self.moved = Some(Moved { size: before, row, doubtful, asked: 0, until: None });
        }
        if self.moved.is_none() {
            return self.redraw();
        }
        self.cursor = None;
        if in_main {
            self.ask(now, out);
        }
    }

    /// The terminal said where its cursor is, counted from 1 as it does.
    pub fn cursor_report(&mut self, row: u16, _col: u16, out: &mut Vec<u8>) {
        let Some(moved) = &mut self.moved else { return };
        if moved.asked == 0 {
            return;
        }
        moved.asked -= 1;
        if moved.asked > 0 {
            return;
        }
        let moved = *moved;
        let row = row.saturating_sub(1);
        let grew = self.local.rows > moved.size.rows;
        let doubtful = moved.doubtful.is_some() && row == moved.row.min(self.local.rows - 1);
        if grew && !doubtful {
            self.refills = row > moved.row;
        }
        if doubtful {
            // Either nothing moved the cursor, or what was painted for the old size put it back there.
            self.repeat(&moved);
        } else if let Some(down @ 1..) = row.checked_sub(moved.row) {
            // The terminal pulled this many rows back out of its scrollback. Line feeds push them there again, unread.
            out.extend_from_slice(b"\x1b[0m\x1b[r");
            go_to(out, self.local.rows - 1, 0);
            out.resize(out.len() + usize::from(down.min(self.local.rows)), b'\n');
        } else if self.local.cols == moved.size.cols {
            let up = usize::from(moved.row.saturating_sub(row));
            let rows = self.main.iter().take(up).map_while(|row| {
                let row = row.as_ref()?;
                Some((row.key.filter(|key| key.left == 0)?.number, row.line.clone()))
            });
            self.scrollback.moved(rows);
        }
        self.forget_main();
    }

    /// Whether the terminal's answer is waited for. When it took too long, the screen is only painted anew.
    pub(super) fn is_waiting(&mut self, now: Timestamp) -> bool {
        let asking = self.moved.filter(|moved| moved.asked > 0);
        let late = asking.and_then(|moved| moved.until).is_some_and(|until| until <= now);
        if let Some(moved) = self.moved.as_mut().filter(|moved| moved.asked > 0 && moved.until.is_none()) {
            moved.until = Some(now + REPORT_WITHIN);
        }
        if let Some(moved) = asking.filter(|_| late) {
            self.repeat(&moved);
            self.forget_main();
        }
        asking.is_some() && !late
    }

    /// Sends the newest lines of the scrollback again whose fate is unknown: lines that the terminal may have taken out
    /// to fill a larger window, and lines that may have met the wrong size.
    fn repeat(&mut self, moved: &Moved) {
        let returned = if self.refills { self.local.rows.saturating_sub(moved.size.rows) } else { 0 };
        self.scrollback.repeat(returned.into(), moved.doubtful);
    }

    fn ask(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        if let Some(moved) = &mut self.moved {
            out.extend_from_slice(b"\x1b[6n");
            self.asks += 1;
            moved.asked = moved.asked.saturating_add(1);
            moved.until = Some(now + REPORT_WITHIN);
        }
    }
}
