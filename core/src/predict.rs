//! Local echo: what a person types is shown before the host has said that it is so.
//!
//! This module paints nothing, sends nothing and changes no screen. The module lays an [`Overlay`] over a screen.
//!
//! The rules are those of mosh (Winstein and Balakrishnan, USENIX ATC 2012, section 3). A key whose echo is nearly
//! always the same is predicted: a character, backspace, left, right. Predictions belong to *epochs*, and an epoch is
//! shown only when the host's screen has confirmed one of its predictions, so that nothing is shown where nothing is
//! echoed, such as at a question for a password. A key whose effect is not known begins a new epoch, and so does a
//! cursor that is not where the predictions left it. The first prediction that turns out wrong takes all others with
//! it.
//!
//! A prediction's place is a line number, not a row: scrolling does not change line numbers.

mod display;
mod keys;
mod row;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::display::Display;
pub use self::display::{BadMode, Mode};
use self::keys::{Key, Keys};
use self::row::{BLANK, Change, Glyph, Row};
use crate::terminal::{Head, MAX_COLS, Overlay, OverlayCell, Screen, Size, Space};
use crate::time::{Timestamp, earliest};

/// Most cells that are predicted at once: two rows of the widest window. Further typing is shown only after the host's
/// echo.
pub const MAX_CELLS: usize = 2 * MAX_COLS as usize;

/// Most keys that are on their way with a prediction: a minute of fast typing.
const MAX_MOVES: usize = 1024;

/// More bytes than this at once (mosh's figure) were not typed, so none of them is predicted.
const MAX_AT_ONCE: usize = 100;

/// Once a program has a key, its echo is on the screens that come within this time (mosh's figure), or within half a
/// round trip if that is more.
const ECHO_WITHIN: Duration = Duration::from_millis(50);

/// If no screen came since, the echo may have been lost on its way and sent again: that takes so many round trips.
const REPEATED_WITHIN: u32 = 2;

/// A prediction unconfirmed for this long is shown on any link: the link has stalled.
const STALLED_AFTER: Duration = Duration::from_millis(250);

/// Predicts what typing does to a screen.
#[derive(Debug)]
pub struct Predictor {
    display: Display,
    keys: Keys,
    window: Option<Window>,
    cells: BTreeMap<Place, Cell>,
    /// Where each key leaves the cursor.
    moves: VecDeque<Move>,
    /// The epoch of new predictions, and the newest confirmed epoch.
    epoch: u64,
    confirmed: u64,
    /// Where the host's cursor was as predicted, and where the next character goes then: at the end of a row these are
    /// two.
    anchor: Option<(Place, Place)>,
    /// Where the host's cursor last was as far as it is understood: as predicted, or where predictions began.
    rest: Option<Place>,
    /// The host's cursor is somewhere else: a predicted one would be in the way.
    astray: bool,
    /// Until this event is taken, nobody knows where the cursor is.
    blind: Option<u64>,
    newest: u64,
    taken: u64,
    /// Version of the screen that was last looked at.
    screen: u64,
    patience: Patience,
}

/// How long an echo may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    echo: Duration,
    repeated: Duration,
}

/// Line and column.
type Place = (u64, u16);

/// The part of a head that predictions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    space: Space,
    size: Size,
    top: u64,
    cursor: Place,
}

#[derive(Debug)]
struct Cell {
    text: String,
    columns: u8,
    event: u64,
    epoch: u64,
    typed_at: Timestamp,
    taken: Option<Taken>,
    /// If the host shows this, it echoes.
    proves: bool,
    /// Whether another prediction for the same cell was still unconfirmed when this one was made. The screen may then
    /// show this prediction's character too early, by coincidence, and later another character.
    again: bool,
    /// The screen shows this already.
    shown: bool,
    /// Something unforeseen was typed after it, and taken: it may well be gone.
    moot: bool,
}

#[derive(Debug)]
struct Move {
    event: u64,
    epoch: u64,
    to: Place,
    /// The host's cursor may rest here instead: the end of a row is two places.
    or: Option<Place>,
    taken: Option<Taken>,
}

/// The time when the host confirmed that the program took a key, and the newest screen then.
#[derive(Clone, Copy, Debug)]
struct Taken {
    at: Timestamp,
    screen: u64,
}

impl Cell {
    fn glyph(&self) -> Glyph<'_> {
        Glyph { text: &self.text, columns: self.columns }
    }
}

impl Window {
    fn of(head: &Head) -> Window {
        Window { space: head.space, size: head.size, top: head.top, cursor: cursor(head) }
    }

    fn end(&self) -> u64 {
        self.top + u64::from(self.size.rows)
    }

    fn row(&self, number: u64) -> Option<u16> {
        u16::try_from(number.checked_sub(self.top)?).ok().filter(|row| *row < self.size.rows)
    }

    /// The start of the line after this one: in the window, or what scrolls into it next.
    fn next_line(&self, number: u64) -> Option<Place> {
        let last = match self.space {
            Space::Main => self.end(),
            Space::Alternate => self.end() - 1,
        };
        (number < last).then_some((number + 1, 0))
    }
}

impl Predictor {
    /// Nothing typed yet.
    pub fn new(mode: Mode) -> Predictor {
        Predictor {
            display: Display::new(mode),
            keys: Keys::default(),
            window: None,
            cells: BTreeMap::new(),
            moves: VecDeque::new(),
            epoch: 1,
            confirmed: 0,
            anchor: None,
            rest: None,
            astray: false,
            blind: None,
            newest: 0,
            taken: 0,
            screen: 0,
            patience: Patience { echo: ECHO_WITHIN, repeated: ECHO_WITHIN },
        }
    }

    /// The person typed `bytes`, the last of them in the input event with this number.
    pub fn typed(&mut self, now: Timestamp, bytes: &[u8], last_event: u64, screen: &Screen) {
        if self.display.mode == Mode::Never {
            return;
        }
        self.newest = self.newest.max(last_event);
        let keys = self.keys.read(bytes);
        let Some(head) = screen.head() else { return };
        self.look(head);
        if bytes.len() > MAX_AT_ONCE || !head.cursor.visible {
            self.unforeseen();
            return;
        }
        for key in keys {
            if self.predict(now, key, screen, head).is_none() {
                self.unforeseen();
            }
            if self.cells.len() > MAX_CELLS || self.moves.len() > MAX_MOVES {
                self.drop_all();
            }
        }
    }

    /// The person pasted, or did something else that the program gets to know in this event and that is not predicted.
    pub fn pasted(&mut self, last_event: u64) {
        self.newest = self.newest.max(last_event);
        self.unforeseen();
    }

    /// The screen is complete, or the program took input up to event `taken`, or the [`deadline`](Predictor::deadline)
    /// has come. The echo of what was taken is on this screen, or on one that comes within the time for it.
    pub fn on_screen(&mut self, now: Timestamp, screen: &Screen, taken: u64, srtt: Option<Duration>) {
        if let Some(srtt) = srtt {
            self.display.measure(srtt);
            self.patience =
                Patience { echo: ECHO_WITHIN.max(srtt / 2), repeated: ECHO_WITHIN.max(srtt * REPEATED_WITHIN) };
        }
        self.taken = self.taken.max(taken);
        let Some(head) = screen.head() else { return };
        self.look(head);
        self.note_taken(now);
        self.screen = head.version;
        if self.judge_moves(now, head).is_err() || self.judge_cells(now, screen, head).is_err() {
            self.drop_all();
        }
        if self.blind.is_some_and(|event| event <= self.taken) {
            self.blind = None;
            self.moves.clear();
            self.cells.values_mut().for_each(|cell| (cell.moot, cell.proves) = (true, false));
        }
        if self.is_empty() {
            self.display.stalled = false;
        } else if self.stalls_at().is_some_and(|at| at <= now) {
            self.display.stalled = true;
        }
    }

    /// The overlay for the screen last given.
    pub fn overlay(&self) -> Overlay {
        let Some(window) = self.window.filter(|_| self.display.shows()) else { return Overlay::default() };
        let in_window = |(number, col): Place, columns: u8| {
            Some((window.row(number)?, col)).filter(|_| col.saturating_add(u16::from(columns)) <= window.size.cols)
        };
        let cell = |(place, cell): (&Place, &Cell)| {
            let (row, col) = in_window(*place, cell.columns)?;
            let (text, columns) = (cell.text.clone(), cell.columns);
            Some(OverlayCell { row, col, text, columns, underlined: self.display.underlines() })
        };
        let shown = |(_, cell): &(&Place, &Cell)| cell.epoch <= self.confirmed && !cell.shown;
        let last = self.moves.iter().rev().find(|moved| moved.epoch <= self.confirmed && !self.astray);
        Overlay {
            cells: self.cells.iter().filter(shown).filter_map(cell).collect(),
            cursor: last.filter(|moved| moved.to != window.cursor).and_then(|moved| in_window(moved.to, 1)),
        }
    }

    /// When to call [`on_screen`](Predictor::on_screen) again at the latest, even if no screen came.
    pub fn deadline(&self) -> Option<Timestamp> {
        let taken = self.cells.values().map(|cell| cell.taken).chain(self.moves.iter().map(|moved| moved.taken));
        let due = taken.flatten().map(|taken| self.patience.ends(taken, self.screen)).min();
        earliest(due, self.stalls_at())
    }

    /// Forgets all predictions and starts as if nothing had been typed: after a new link, or a screen from scratch.
    pub fn reset(&mut self) {
        self.drop_all();
        self.keys = Keys::default();
        self.window = None;
        self.screen = 0;
        self.blind = None;
        self.display.stalled = false;
    }

    fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.moves.is_empty()
    }

    /// When the oldest prediction that is not shown, and could be, has stalled.
    fn stalls_at(&self) -> Option<Timestamp> {
        let waiting = self.cells.values().filter(|cell| cell.epoch <= self.confirmed);
        let oldest = waiting.map(|cell| cell.typed_at).min().filter(|_| self.display.minds_stalls());
        oldest.map(|typed_at| typed_at + STALLED_AFTER)
    }

    /// Another screen, or none to type on: what was predicted is about something else.
    fn look(&mut self, head: &Head) {
        let window = Window::of(head);
        let was = self.window.replace(window);
        let same = was.is_none_or(|was| (was.space, was.size) == (window.space, window.size));
        if !same || (!head.cursor.visible && !self.is_empty()) {
            self.drop_all();
        }
    }

    fn note_taken(&mut self, now: Timestamp) {
        let (newest, taken) = (self.taken, Taken { at: now, screen: self.screen });
        for cell in self.cells.values_mut().filter(|cell| cell.event <= newest) {
            cell.taken.get_or_insert(taken);
        }
        for moved in self.moves.iter_mut().take_while(|moved| moved.event <= newest) {
            moved.taken.get_or_insert(taken);
        }
    }

    /// The cursor must be where one of the keys that were taken left it.
    fn judge_moves(&mut self, now: Timestamp, head: &Head) -> Result<(), Wrong> {
        let host = cursor(head);
        let taken = self.moves.partition_point(|moved| moved.event <= self.taken);
        let is_there = |moved: &Move| moved.to == host || moved.or == Some(host);
        self.astray = self.rest != Some(host) && !self.moves.iter().any(is_there);
        let confirmed = self.moves.range(..taken).rposition(is_there);
        if let Some(moved) = confirmed.and_then(|last| self.moves.get(last)) {
            (self.anchor, self.rest) = (Some((host, moved.to)), Some(host));
        }
        // Each is kept for its time, since a cursor that went and came back is seen in both places twice.
        let over = self.moves.iter().take_while(|moved| self.patience.is_over(now, moved.taken, self.screen)).count();
        if confirmed.map_or(0, |last| last + 1) < over {
            return Err(Wrong);
        }
        self.moves.drain(..over);
        Ok(())
    }

    /// Every cell whose key was taken must be as predicted, at once or soon.
    fn judge_cells(&mut self, now: Timestamp, screen: &Screen, head: &Head) -> Result<(), Wrong> {
        let window = Window::of(head);
        // Predictions for lines that scrolled out are dropped.
        self.cells = self.cells.split_off(&(window.top, 0));
        let as_predicted = self.is_anchored(head);
        let mut done = Vec::new();
        let mut confirmed = self.confirmed;
        let (mut of, mut row) = (None, None);
        for (&(number, col), cell) in &mut self.cells {
            if of != Some(number) {
                (of, row) = (Some(number), line_of(screen, &window, number));
            }
            cell.shown = shows(row.as_ref(), col, cell.glyph());
            let due = self.patience.is_over(now, cell.taken, self.screen);
            // A predicted letter on the screen does not prove an echo: the cursor must also be where an echo leaves it.
            if cell.taken.is_some() && cell.shown && (as_predicted || !cell.proves) {
                if cell.proves {
                    confirmed = confirmed.max(cell.epoch);
                }
                if due || !cell.again {
                    done.push((number, col));
                }
            } else if due && cell.moot {
                done.push((number, col));
            } else if due {
                return Err(Wrong);
            }
        }
        self.confirmed = confirmed;
        for place in done {
            self.cells.remove(&place);
        }
        Ok(())
    }

    /// Nothing that was predicted counts any more.
    fn drop_all(&mut self) {
        self.cells.clear();
        self.moves.clear();
        self.anchor = None;
        self.astray = false;
        self.epoch += 1;
        self.blind = Some(self.newest).filter(|newest| *newest > self.taken);
    }

    /// Something was typed whose effect is not known.
    fn unforeseen(&mut self) {
        self.epoch += 1;
        self.anchor = None;
        self.blind = Some(self.newest).filter(|newest| *newest > self.taken);
    }

    /// Where the next key acts.
    fn place(&mut self, head: &Head) -> Option<Place> {
        if self.blind.is_some() {
            return None;
        }
        if let Some(moved) = self.moves.back() {
            return Some(moved.to);
        }
        let host = cursor(head);
        self.rest = Some(host);
        if self.is_anchored(head) {
            return self.anchor.map(|(_, next)| next);
        }
        // The program or another person moved the cursor. Whether the program echoes at the new place is unknown.
        self.epoch += 1;
        Some(host)
    }

    /// Whether the host's cursor is where the last confirmed key left it.
    fn is_anchored(&self, head: &Head) -> bool {
        let host = cursor(head);
        self.anchor.is_some_and(|(there, next)| there == host || next == host)
    }

    /// Predicts what a key does; `None` if that is not known.
    fn predict(&mut self, now: Timestamp, key: Key, screen: &Screen, head: &Head) -> Option<()> {
        let window = Window::of(head);
        let place @ (number, col) = self.place(head)?;
        let at = usize::from(col);
        let row = self.row(screen, &window, number)?;
        row.at(at).filter(|glyph| glyph.columns > 0)?;
        match key {
            Key::Print(c, columns) => {
                let end = col + u16::from(columns);
                if end > window.size.cols {
                    return None;
                }
                let mut text = [0; 4];
                let glyph = Glyph { text: c.encode_utf8(&mut text), columns };
                let proves = glyph != BLANK && !shows(line_of(screen, &window, number).as_ref(), col, glyph);
                let change = Owned::of(row.insert(at, glyph));
                if end < window.size.cols {
                    self.change(now, number, change, screen, &window);
                    self.move_to((number, end), None);
                } else {
                    // Some programs go on in the next row, some scroll the text.
                    self.epoch += 1;
                    self.change(now, number, change, screen, &window);
                    let next = window.next_line(number)?;
                    self.move_to(next, Some((number, window.size.cols - 1)));
                }
                if let Some(cell) = self.cells.get_mut(&place) {
                    cell.proves = proves;
                }
            }
            Key::Backspace => {
                let start = before(&row, at)?;
                let change = Owned::of(row.delete(start, at));
                self.change(now, number, change, screen, &window);
                self.move_to((number, u16::try_from(start).ok()?), None);
            }
            Key::Left => {
                let start = before(&row, at)?;
                self.move_to((number, u16::try_from(start).ok()?), None);
            }
            Key::Right => {
                let columns = row.at(at)?.columns;
                let next = if at < row.end() { col + u16::from(columns) } else { col };
                if next >= window.size.cols {
                    return None;
                }
                self.move_to((number, next), None);
            }
            Key::Return => {
                let next = window.next_line(number)?;
                self.epoch += 1;
                self.move_to(next, None);
            }
            Key::Other => return None,
        }
        Some(())
    }

    /// A line as it will be.
    fn row<'a>(&'a self, screen: &'a Screen, window: &Window, number: u64) -> Option<Row<'a>> {
        let mut row = line_of(screen, window, number)?;
        for ((_, col), cell) in self.cells.range((number, 0)..=(number, u16::MAX)) {
            row.lay(usize::from(*col), cell.glyph());
        }
        Some(row)
    }

    fn change(&mut self, now: Timestamp, number: u64, change: Owned, screen: &Screen, window: &Window) {
        let stale: Vec<Place> =
            self.cells.range((number, change.from)..(number, change.to)).map(|(place, _)| *place).collect();
        let again = !stale.is_empty();
        for place in stale {
            self.cells.remove(&place);
        }
        let row = line_of(screen, window, number);
        for (col, text, columns) in change.glyphs {
            let glyph = Glyph { text: &text, columns };
            let shown = shows(row.as_ref(), col, glyph);
            let (event, epoch) = (self.newest, self.epoch);
            let (taken, proves, moot) = (None, false, false);
            let cell = Cell { text, columns, event, epoch, typed_at: now, taken, proves, again, shown, moot };
            self.cells.insert((number, col), cell);
        }
    }

    fn move_to(&mut self, to: Place, or: Option<Place>) {
        // The host shows the effect of an event only as a whole.
        if self.moves.back().is_some_and(|moved| moved.event == self.newest) {
            self.moves.pop_back();
        }
        self.moves.push_back(Move { event: self.newest, epoch: self.epoch, to, or, taken: None });
    }
}

impl Patience {
    /// When what was taken then must be on the screen, if `newest` is the newest.
    fn ends(&self, taken: Taken, newest: u64) -> Timestamp {
        taken.at + if newest > taken.screen { self.echo } else { self.repeated }
    }

    fn is_over(&self, now: Timestamp, taken: Option<Taken>, newest: u64) -> bool {
        taken.is_some_and(|taken| self.ends(taken, newest) <= now)
    }
}

/// A prediction did not come true.
struct Wrong;

/// A change that borrows nothing.
struct Owned {
    from: u16,
    to: u16,
    glyphs: Vec<(u16, String, u8)>,
}

impl Owned {
    fn of(change: Change<'_>) -> Owned {
        // Windows are at most `MAX_COLS` wide.
        let col = |col: usize| u16::try_from(col).unwrap_or(u16::MAX);
        let glyph = |(at, glyph): (usize, Glyph<'_>)| (col(at), glyph.text.to_owned(), glyph.columns);
        Owned { from: col(change.from), to: col(change.to), glyphs: change.glyphs.into_iter().map(glyph).collect() }
    }
}

/// Where the glyph before a column starts.
fn before(row: &Row<'_>, col: usize) -> Option<usize> {
    (0..col).rev().find(|at| row.at(*at).is_some_and(|glyph| glyph.columns > 0))
}

fn shows(row: Option<&Row<'_>>, col: u16, glyph: Glyph<'_>) -> bool {
    row.and_then(|row| row.at(usize::from(col))) == Some(glyph)
}

fn cursor(head: &Head) -> Place {
    (head.top + u64::from(head.cursor.row), head.cursor.col)
}

/// A line of the window, or the blank one that would scroll into it.
fn line_of<'a>(screen: &'a Screen, window: &Window, number: u64) -> Option<Row<'a>> {
    let line = match window.row(number) {
        Some(row) => Some(screen.row(row)?),
        None if number == window.end() => None,
        None => return None,
    };
    Some(Row::of(line, window.size.cols))
}
