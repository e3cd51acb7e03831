//! A screen as escape sequences: only what differs from what the person's terminal shows. Lines that left the host's
//! window go into the terminal's own scrollback, in order, each once.
//!
//! A painter never sends `ESC[2J`, `ESC[3J`, `ESC[M` or a scroll region: these push rows into the person's own
//! scrollback, or erase the scrollback. Rows are blanked with `ESC[K`, and the only scroll is a line feed on the last
//! row of the full screen.
//!
//! Where a line of the program goes on in the next row, the terminal itself wraps from one row into the other, so that
//! it copies both as one line, on its screen and out of its scrollback.

mod banner;
mod doubt;
mod pen;
mod resize;
mod rows;
mod scrollback;
mod settings;
mod view;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::abilities::Abilities;
use super::clipboard::{MAX_CLIPBOARD, to_clipboard};
use super::head::{Head, Modes, Space};
use super::line::Line;
use super::overlay::Overlay;
use super::screen::Screen;
use super::size::Size;
use crate::time::{Timestamp, earliest};
use banner::Banner;
pub use banner::banner_rows;
pub(in crate::terminal) use pen::Pen;
use resize::Moved;
use rows::{Key, Row, Rows, begins_doubtfully, may_go_on};
pub(in crate::terminal) use rows::{Writer, go_to};
use scrollback::Scrollback;
use settings::Settings;
use view::{View, bordered, cursor_of, goes_on, overlaid};

/// The terminal that is painted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// A person's own: it has its own size, shows a part of a larger session, and has content that is kept.
    #[default]
    Own,
    /// One that was made for the session: it is blank, takes the session's size, and shows nothing of a paint before it
    /// has taken all of it.
    Session,
}

/// How a painter paints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The abilities of the terminal.
    pub abilities: Abilities,
    /// Everything is drawn in the terminal's alternate screen, and nothing goes into its scrollback.
    pub alternate: bool,
    /// The terminal that is painted on.
    pub window: Window,
}

/// Paints screens onto one terminal, and keeps a model of what that terminal shows.
#[derive(Debug)]
pub struct Painter {
    local: Size,
    options: Options,
    view: View,
    started: bool,
    /// `None`: not known.
    showing: Option<Space>,
    main: Rows,
    alternate: Rows,
    banner: Banner,
    scrollback: Scrollback,
    settings: Settings,
    /// Where the cursor was left, if it is known.
    cursor: Option<(u16, u16)>,
    /// The cursor's place on the main screen when the alternate screen came.
    main_cursor: Option<(u16, u16)>,
    /// When the main screen was painted last.
    painted: Option<Timestamp>,
    /// The size changed, and nobody knows what the main screen shows since then.
    moved: Option<Moved>,
    /// Whether the terminal fills a larger window from its scrollback, as far as is known.
    refills: bool,
    /// How often the terminal was asked where its cursor is since this was last told.
    asks: u32,
}

impl Painter {
    /// A painter for a terminal of that size, of which nothing is known yet.
    pub fn new(local: Size, options: Options) -> Painter {
        Painter {
            local,
            options,
            view: View::default(),
            started: false,
            showing: Some(Space::Main),
            main: rows::unknown(local.rows),
            alternate: rows::unknown(local.rows),
            banner: Banner::default(),
            scrollback: Scrollback::default(),
            settings: Settings::default(),
            cursor: None,
            main_cursor: None,
            painted: None,
            moved: None,
            refills: true,
            asks: 0,
        }
    }

    /// The size of the terminal.
    pub fn size(&self) -> Size {
        self.local
    }

    /// The size that the terminal shall have, if it has another one: the session's, with [`Window::Session`].
    pub fn wanted_size(&self, screen: &Screen) -> Option<Size> {
        let head = screen.head().filter(|_| self.options.window == Window::Session)?;
        Some(head.size).filter(|size| *size != self.local)
    }

    /// Begins: what the person had on the screen goes into the scrollback, and the screen is blank. With
    /// [`Options::alternate`] it stays where it is.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        self.started = true;
        if self.options.window == Window::Session && !self.options.alternate {
            self.showing = Some(Space::Main);
            self.main = rows::blank(self.local.rows);
            return;
        }
        if self.options.alternate {
            self.show(Space::Alternate, out);
            return;
        }
        out.extend_from_slice(b"\x1b[0m\x1b[r");
        go_to(out, self.local.rows - 1, 0);
        out.resize(out.len() + usize::from(self.local.rows), b'\n');
        self.main = rows::blank(self.local.rows);
        self.cursor = None;
    }

    /// Makes the terminal show what `screen` holds, with the overlay over it; rows that it does not hold are blank.
    /// Moves into the scrollback what may go there. Writes nothing if nothing changed, or while the terminal is asked
    /// where its cursor is.
    pub fn paint(&mut self, now: Timestamp, screen: &mut Screen, overlay: &Overlay, out: &mut Vec<u8>) {
        if screen.head().is_none() || self.is_waiting(now) {
            return;
        }
        let mut body = Vec::new();
        self.switch(screen, &mut body);
        if self.is_waiting(now) {
            out.append(&mut body);
            return;
        }
        if self.options.alternate {
            screen.advance(screen.main_top());
        } else if self.showing == Some(Space::Main) {
            self.push(now, screen, &mut body);
        } else {
            self.scrollback.forget();
        }
        let Some(head) = screen.head() else { return };
        let cursor = cursor_of(head, overlay);
        self.view.place(self.local, head, cursor);
        let (at, in_sight) = self.view.cursor(self.local, cursor);
        let banner = self.banner_rows(in_sight.then_some(at.0));
        self.draw(screen, head, overlay, banner, &mut body);
        let visible = head.cursor.visible && in_sight;
        let wrote = !body.is_empty();
        // At the end of a synchronised update xterm.js, the page's terminal, renders all of its rows.
        let (begin, end): (&[u8], &[u8]) = match self.options.window {
            Window::Own => (b"\x1b[?2026h", b"\x1b[?2026l"),
            Window::Session => (b"", b""),
        };
        if wrote {
            out.extend_from_slice(begin);
            self.settings.cursor_visible(false, out);
            out.extend_from_slice(b"\x1b[?7l");
            out.append(&mut body);
            out.extend_from_slice(b"\x1b[?7h");
            go_to(out, at.0, at.1);
            self.settings(head, visible, out);
            out.extend_from_slice(end);
        } else {
            if self.cursor != Some(at) {
                go_to(out, at.0, at.1);
            }
            self.settings(head, visible, out);
        }
        if self.cursor.replace(at).is_none_or(|before| wrote || before != at) && self.showing == Some(Space::Main) {
            self.painted = Some(now);
        }
    }

    /// When to paint again although nothing new came.
    pub fn deadline(&self) -> Option<Timestamp> {
        let asking = self.moved.filter(|moved| moved.asked > 0).and_then(|moved| moved.until);
        earliest(asking, self.scrollback.deadline())
    }

    /// Forgets what the terminal shows, and in which modes, since somebody else may have had it: the next paint writes
    /// every row and sets every mode.
    pub fn redraw(&mut self) {
        self.showing = None;
        self.settings.forget();
        self.alternate = rows::unknown(self.local.rows);
        self.scrollback.forget();
        self.banner.note_under(&self.main, self.local.rows);
        self.forget_main();
    }

    /// Moves the shown part of the host's window by that many rows and columns; there it stays.
    pub fn pan(&mut self, rows: i16, cols: i16) {
        let (row, col) = self.view.origin;
        self.view.held = true;
        // `place` takes care of the other end.
        self.view.origin = (row.saturating_add_signed(rows), col.saturating_add_signed(cols));
    }

    /// The shown part follows the cursor again.
    pub fn follow(&mut self) {
        self.view.held = false;
    }

    /// The terminal's window gets this title with the next paint, cleaned and cut; at the end it has its own again,
    /// where terminals keep titles on a stack (xterm's window operations 22 and 23).
    pub fn title(&mut self, title: &str) {
        self.settings.wish_title(title);
    }

    /// Rows of ours that the next paint lays over the bottom of the terminal, or above the cursor if the cursor is
    /// there. No rows: the next paint takes those away that are there. The first row of the terminal is never covered.
    pub fn banner(&mut self, rows: Vec<Line>) {
        self.banner.rows = rows;
    }

    /// Puts a text into the person's clipboard. To be called only if they asked for that.
    pub fn clipboard(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.len() <= MAX_CLIPBOARD {
            out.extend_from_slice(to_clipboard(text).as_bytes());
        }
    }

    /// Ends: the terminal is as it was found, with the cursor below what was painted.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.moved.is_some() {
            self.forget_main();
        }
        self.settings.keyboard(Modes::NONE, out);
        self.lift_banner(out);
        self.show(Space::Main, out);
        self.lift_forgotten(out);
        self.settings.restore(out);
        out.extend_from_slice(b"\x1b[0m\x1b[?7h");
        if !self.options.alternate {
            self.erase_border(out);
            let used = self.main.iter().rposition(|row| row.as_ref().is_none_or(|row| !row.line.runs.is_empty()));
            if let Some(last) = used {
                go_to(out, last as u16, 0);
                out.extend_from_slice(b"\r\n");
            } else {
                go_to(out, 0, 0);
            }
        }
        self.cursor = None;
    }

    /// Whether the terminal was too small to show the host's whole screen when it was last painted.
    pub fn is_cropped(&self) -> bool {
        self.view.cropped
    }

    /// The host's row and column in the terminal's upper left corner, 0-based; other than (0, 0) only when
    /// [`is_cropped`](Painter::is_cropped).
    pub fn origin(&self) -> (u16, u16) {
        self.view.origin
    }

    fn forget_main(&mut self) {
        self.moved = None;
        self.main = rows::unknown(self.local.rows);
        self.cursor = None;
        self.main_cursor = None;
    }

    /// Shows the screen that the host shows; if the main one comes back after a change of the size, asks for its
    /// cursor.
    fn switch(&mut self, screen: &Screen, out: &mut Vec<u8>) {
        let space = match screen.head() {
            Some(head) if !self.options.alternate => head.space,
            Some(_) | None => Space::Alternate,
        };
        let returns = self.showing == Some(Space::Alternate) && space == Space::Main;
        if space == Space::Alternate {
            // The main screen waits below without rows of ours: the viewer may leave before that screen returns.
            self.lift_banner(out);
        }
        if self.showing != Some(space) {
            self.settings.keyboard(Modes::NONE, out);
        }
        self.show(space, out);
        if returns && let Some(moved) = &mut self.moved {
            out.extend_from_slice(b"\x1b[6n");
            self.asks += 1;
            moved.asked = 1;
            moved.until = None;
        }
    }

    /// Switches the terminal to one of its screens.
    fn show(&mut self, space: Space, out: &mut Vec<u8>) {
        match (self.showing, space) {
            (Some(Space::Main), Space::Main) | (Some(Space::Alternate), Space::Alternate) => return,
            (Some(Space::Main), Space::Alternate) => {
                out.extend_from_slice(b"\x1b[0m\x1b[?1049h");
                self.main_cursor = self.cursor;
                self.alternate = rows::blank(self.local.rows);
            }
            // A terminal that shows the alternate screen already does not clear it again.
            (None, Space::Alternate) => out.extend_from_slice(b"\x1b[0m\x1b[?1049h"),
            (Some(Space::Alternate) | None, Space::Main) => out.extend_from_slice(b"\x1b[0m\x1b[?1049l"),
        }
        self.showing = Some(space);
        self.cursor = None;
    }

    /// Lets lines into the scrollback.
    fn push(&mut self, now: Timestamp, screen: &mut Screen, out: &mut Vec<u8>) {
        let cols = usize::from(self.local.cols);
        let unknown = Line::default();
        let mut lines = self.scrollback.take_repeated(cols);
        lines.extend(self.scrollback.take(now, screen, &self.main, cols));
        let mut writer = Writer::new(cols, Pen::new(self.options.abilities), out);
        // A row below the last line stays, if the terminal has two: the line may go on there.
        let most = (self.main.len() - 1).max(1);
        for batch in lines.chunks(most) {
            // A row that begins with a character of doubtful width is written anew, so that the line can go on there.
            if let (Some(last), Some(below)) = (batch.last(), self.main.get_mut(batch.len()))
                && last.wrapped
                && below.as_ref().is_some_and(|below| begins_doubtfully(&below.line))
            {
                *below = None;
            }
            let goes_on: Vec<bool> = batch.iter().zip(&self.main).map(|(line, row)| goes_on(line, row, cols)).collect();
            for row in 0..goes_on.len() {
                if !goes_on[row] && may_go_on(&self.main[row], row == 0 || goes_on[row - 1]) {
                    writer.end_row(&mut self.main, row);
                }
            }
            writer.continues = true;
            for (row, (line, goes_on)) in batch.iter().zip(goes_on).enumerate() {
                let shown = |row: usize| self.main.get(row).map(|row| row.as_ref().map(|row| &row.line));
                let below = batch.get(row + 1).or(shown(row + 1).map(|below| below.unwrap_or(&unknown)));
                let cut = (goes_on != line.wrapped).then(|| Line { wrapped: goes_on, runs: line.runs.clone() });
                writer.flow(row as u16, shown(row).flatten(), cut.as_ref().unwrap_or(line), below);
                writer.continues = goes_on;
            }
            writer.scroll(&mut self.main, batch.len());
        }
    }

    /// Draws what differs.
    fn draw(&mut self, screen: &Screen, head: &Head, overlay: &Overlay, banner: Range<u16>, out: &mut Vec<u8>) {
        let (local, (top, left), host) = (self.local, self.view.origin, head.size);
        let width = usize::from(local.cols.min(host.cols - left));
        let shown = if self.showing == Some(Space::Alternate) {
            &mut self.alternate
        } else {
            self.banner.forgotten.clear();
            &mut self.main
        };
        // Only where rows end as the host's do, one goes on in the next.
        let flowing = if host.cols == local.cols { local.rows.min(host.rows - top) } else { 0 };
        let mut wanted = Vec::with_capacity(shown.len());
        for (row, shown) in (0..).zip(&*shown) {
            let numbered = screen.numbered_row(top + row);
            let over = numbered.and_then(|numbered| overlaid(numbered.line, top + row, host.cols, overlay));
            let key = numbered.filter(|_| over.is_none()).map(|numbered| Key {
                space: head.space,
                number: numbered.number,
                version: numbered.version,
                left,
                host,
            });
            let wrapped = row + 1 < flowing && numbered.is_some_and(|numbered| numbered.line.wrapped);
            let text = banner.contains(&row).then(|| &self.banner.rows[usize::from(row - banner.start)]);
            if text.is_none() && key.is_some() && shown.as_ref().is_some_and(|shown| shown.key == key) {
                let mut stays = shown.as_ref().filter(|shown| shown.line.wrapped != wrapped).cloned();
                stays.iter_mut().for_each(|stays| stays.line.wrapped = wrapped);
                wanted.push(stays);
                continue;
            }
            let line = over.as_ref().or(numbered.map(|numbered| numbered.line));
            let line = line.map(|line| line.crop(left.into(), width)).unwrap_or_default();
            let line = Line { wrapped, ..bordered(line, top + row, local, host) };
            let row = Row { key, line, ..Row::default() };
            wanted.push(Some(match text {
                Some(text) => Row { line: text.clone(), under: Some(Box::new(row)), ..Row::default() },
                None => row,
            }));
        }
        let mut writer = Writer::new(local.cols.into(), Pen::new(self.options.abilities), out);
        writer.rows(shown, wanted);
        writer.pen.reset(writer.out);
    }

    /// Takes off the main screen what marked where the host's window ends.
    fn erase_border(&mut self, out: &mut Vec<u8>) {
        let local = self.local;
        let keys = self.main.iter().flatten().filter_map(|row| row.key);
        let Some(host) = keys.map(|key| key.host).next_back() else { return };
        let mut erase = |row: u16, col: u16| {
            go_to(out, row, col);
            out.extend_from_slice(b"\x1b[K");
        };
        if host.cols < local.cols {
            (0..host.rows.min(local.rows)).for_each(|row| erase(row, host.cols));
        }
        if host.rows < local.rows {
            erase(host.rows, 0);
        }
        for (row, shown) in (0..).zip(&mut self.main) {
            if let Some(shown) = shown {
                shown.line = if row < host.rows { shown.line.crop(0, host.cols.into()) } else { Default::default() };
                shown.line.trim();
            }
        }
    }

    fn settings(&mut self, head: &Head, visible: bool, out: &mut Vec<u8>) {
        // Here bracketed paste is always on: the viewer must tell a paste from typing, even if the host's program does
        // not ask for brackets.
        self.settings.modes(head.modes.set(Modes::BRACKETED_PASTE, true), out);
        if self.options.abilities.kitty_keyboard {
            self.settings.keyboard(head.modes, out);
        }
        self.settings.cursor_shape(head.cursor.shape, head.cursor.blinking, out);
        self.settings.cursor_visible(visible, out);
        if self.options.abilities.titles {
            self.settings.title(out);
        }
    }
}
