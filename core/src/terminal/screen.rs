//! A viewer's copy of a terminal: lines, heads and commits merged in whatever order they come. The newest version wins.
//!
//! Beside the windows it holds the lines of the main screen that are still to be put into the person's own scrollback,
//! and knows which of them may be: those above the window that are held in their final version, in order.

use std::collections::BTreeMap;

use super::head::{Head, Space};
use super::line::{Line, Run};
use super::line_commits::{GIVEN_UP, LineCommits, REPEATED};
use super::size::MAX_ROWS;
use super::spans::Spans;

/// Most lines of the main screen that are held below the window known last, the ones with the highest numbers: lines
/// may come before the head that shows them. Two windows, and one that shrank.
pub const MAX_LINES_OUTSIDE: usize = 3 * MAX_ROWS as usize;

/// Lines that wait for the scrollback unless the person asked for another number.
pub const DEFAULT_HISTORY: usize = 1_000;

/// Most lines that may wait for the scrollback: what a host keeps.
pub const MAX_HISTORY: usize = 10_000;

/// Most bytes of lines outside of the window: ten thousand usual lines take a quarter of it.
pub const MAX_HISTORY_BYTES: usize = 8 << 20;

/// Most ranges of lines whose fate is known and that did not go yet: forty datagrams of them, far more than lines whose
/// final version is still on its way.
const MAX_SPANS: usize = 4_096;

#[derive(Debug)]
struct Held {
    version: u64,
    is_final: bool,
    line: Line,
}

/// A line that is held, with what identifies its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered<'a> {
    pub(super) number: u64,
    pub(super) version: u64,
    pub(super) line: &'a Line,
}

/// The next piece for the scrollback.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left<'a> {
    Line(Numbered<'a>),
    /// The lines from `first` up to `end` are missing.
    Gap {
        first: u64,
        end: u64,
    },
    /// The lines up to `end` repeat others.
    Repeated {
        end: u64,
    },
}

impl Left<'_> {
    /// The line after it.
    pub(super) fn end(&self) -> u64 {
        match self {
            Left::Line(line) => line.number + 1,
            Left::Gap { end, .. } | Left::Repeated { end } => *end,
        }
    }
}

/// A viewer's copy of the host's terminal. Bounded, whatever is merged.
#[derive(Debug)]
pub struct Screen {
    history_limit: usize,
    head: Option<Head>,
    /// First line and rows of the main screen's window, as far as known.
    main_top: u64,
    main_rows: u64,
    main: BTreeMap<u64, Held>,
    /// About how much memory the lines in `main` take.
    main_bytes: usize,
    /// Rows of the alternate screen, all of which are kept.
    alternate: BTreeMap<u64, Held>,
    /// The next line for the scrollback, once it is known where that begins.
    next: Option<u64>,
    /// Lines below were let go of.
    lost: u64,
    finals: Spans,
    given_up: Spans,
    repeated: Spans,
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new(DEFAULT_HISTORY)
    }
}

impl Screen {
    /// Nothing known yet. At most `history_limit` lines, and never more than [`MAX_HISTORY`], wait for the scrollback.
    pub fn new(history_limit: usize) -> Screen {
        Screen {
            history_limit: history_limit.min(MAX_HISTORY),
            head: None,
            main_top: 0,
            main_rows: 0,
            main: BTreeMap::new(),
            main_bytes: 0,
            alternate: BTreeMap::new(),
            next: None,
            lost: 0,
            finals: Spans::default(),
            given_up: Spans::default(),
            repeated: Spans::default(),
        }
    }

    /// Takes a line, unless the line is held in this or a newer version. `is_final`: it left the window like this.
    pub fn merge_line(&mut self, space: Space, number: u64, version: u64, is_final: bool, line: Line) {
        let number = number + u64::from(is_faulty!(WrongRows) && number % 5 == 4);
        let oldest = self.next.unwrap_or_default().max(self.lost).min(self.main_top);
        let lines = match space {
            Space::Main if number >= oldest => &mut self.main,
            Space::Alternate if number < u64::from(MAX_ROWS) => &mut self.alternate,
            Space::Main | Space::Alternate => return,
        };
        let added = bytes_of(&line);
        let before = match lines.get_mut(&number) {
            Some(held) if held.version >= version => {
                held.is_final |= is_final && held.version == version;
                return;
            }
            Some(held) => {
                let before = bytes_of(&held.line);
                *held = Held { version, is_final, line };
                before
            }
            None => {
                lines.insert(number, Held { version, is_final, line });
                0
            }
        };
        if space == Space::Main {
            self.main_bytes = self.main_bytes + added - before;
            self.bound();
        }
    }

    /// Takes a head, unless the one held is as new, or this one makes no sense.
    pub fn merge_head(&mut self, head: Head) {
        if head.check().is_err() || self.head.as_ref().is_some_and(|held| held.version >= head.version) {
            return;
        }
        if head.space == Space::Main {
            self.main_top = self.main_top.max(head.top);
            self.main_rows = u64::from(head.size.rows);
        }
        if let Some(next) = self.next {
            // Erased lines must not show again. A floor beyond the window makes no sense.
            let next = next.max(head.floor.min(self.main_top));
            self.advance(next);
        }
        self.head = Some(head);
        self.bound();
    }

    /// Takes what is said of lines that left the window, unless it makes no sense. The first commits fix where the
    /// scrollback begins.
    pub fn merge_commits(&mut self, commits: &LineCommits) {
        if !commits.is_sound() {
            return;
        }
        let next = self.next.unwrap_or_else(|| {
            let floor = self.head.as_ref().map_or(0, |head| head.floor.min(self.main_top));
            commits.start.max(floor)
        });
        if self.next.is_none() {
            self.advance(next);
        }
        for (first, count, version) in commits.spans() {
            let spans = match version {
                GIVEN_UP => &mut self.given_up,
                REPEATED => &mut self.repeated,
                _ => &mut self.finals,
            };
            spans.insert(first.max(next), first + count, version);
        }
        while self.finals.len() + self.given_up.len() + self.repeated.len() > MAX_SPANS {
            let all = [&mut self.finals, &mut self.repeated, &mut self.given_up];
            let Some(end) = all.into_iter().find_map(Spans::pop_lowest) else { return };
            self.lost = self.lost.max(end);
        }
    }

    /// The newest head.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether every line of the window is held, as new as the head says or newer.
    pub fn complete(&self) -> bool {
        let Some(head) = &self.head else { return false };
        let lines = self.lines(head.space);
        head.row_versions()
            .zip(head.top..)
            .all(|(version, number)| lines.get(&number).is_some_and(|held| held.version >= version))
    }

    /// Whether every line of the window is held in some version: the least that can be shown.
    pub fn whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| (0..head.size.rows).all(|row| self.row(row).is_some()))
    }

    /// The line on a row of the window, in whatever version is held.
    pub fn row(&self, row: u16) -> Option<&Line> {
        self.numbered_row(row).map(|numbered| numbered.line)
    }

    /// The text of every row of the window; empty for rows that are not held.
    pub fn text(&self) -> Vec<String> {
        let rows = self.head.as_ref().map_or(0, |head| head.size.rows);
        (0..rows).map(|row| self.row(row).map(Line::text).unwrap_or_default()).collect()
    }

    /// How many lines of the main screen are held, in the window and outside of it.
    pub fn lines_held(&self) -> usize {
        self.main.len()
    }

    pub(super) fn numbered_row(&self, row: u16) -> Option<Numbered<'_>> {
        let head = self.head.as_ref().filter(|head| row < head.size.rows)?;
        let number = head.top + u64::from(row);
        self.lines(head.space).get(&number).map(|held| Numbered { number, version: held.version, line: &held.line })
    }

    /// First line of the main screen's window, as far as known: nothing from here on goes into the scrollback.
    pub(super) fn main_top(&self) -> u64 {
        self.main_top
    }

    /// The next line for the scrollback.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    /// The lines that may go into the scrollback now, in order, up to the first line that is still awaited.
    pub(super) fn ready(&self) -> impl Iterator<Item = Left<'_>> {
        let mut at = self.next.unwrap_or(self.main_top);
        std::iter::from_fn(move || {
            if at >= self.main_top {
                return None;
            }
            let left = match (self.repeated.get(at), self.final_line(at)) {
                (Some((end, _)), _) => Left::Repeated { end: end.min(self.main_top) },
                (None, Some(line)) => Left::Line(line),
                (None, None) => Left::Gap { first: at, end: self.missing_until(at)? },
            };
            at = left.end();
            Some(left)
        })
    }

    /// Everything before `next` went into the scrollback, or never will.
    pub(super) fn advance(&mut self, next: u64) {
        if self.next.is_some_and(|held| held >= next) {
            return;
        }
        self.next = Some(next);
        // A window that is shown is kept, whatever is said of its lines.
        let oldest = next.min(self.main_top);
        while let Some(entry) = self.main.first_entry().filter(|entry| *entry.key() < oldest) {
            self.main_bytes -= bytes_of(&entry.remove().line);
        }
        self.finals.forget_below(next);
        self.given_up.forget_below(next);
        self.repeated.forget_below(next);
    }

    fn final_line(&self, number: u64) -> Option<Numbered<'_>> {
        let held = self.main.get(&number)?;
        let is_final = held.is_final || self.finals.get(number).is_some_and(|(_, version)| held.version >= version);
        is_final.then_some(Numbered { number, version: held.version, line: &held.line })
    }

    /// The first line from `first` on that is not missing; nothing if that is `first`.
    fn missing_until(&self, first: u64) -> Option<u64> {
        let mut end = first;
        while end < self.main_top && self.final_line(end).is_none() && self.repeated.get(end).is_none() {
            let known = if end < self.lost { Some(self.lost) } else { self.given_up.get(end).map(|(end, _)| end) };
            let Some(known) = known else { break };
            let held = self.main.range(end + 1..).next().map_or(known, |(number, _)| *number);
            end = known.min(held).min(self.main_top);
        }
        (end > first).then_some(end)
    }

    fn lines(&self, space: Space) -> &BTreeMap<u64, Held> {
        match space {
            Space::Main => &self.main,
            Space::Alternate => &self.alternate,
        }
    }

    /// Lets go of lines outside of the window until what is left is within the bounds. Above the window these are the
    /// oldest; below it the lowest, since whatever window comes next is at the highest numbers.
    fn bound(&mut self) {
        let most = self.history_limit + MAX_LINES_OUTSIDE + self.main_rows as usize;
        while self.main.len() > most || self.main_bytes > MAX_HISTORY_BYTES {
            let window_end = self.main_top.saturating_add(self.main_rows);
            let oldest = self.main.keys().next().copied().filter(|number| *number < self.main_top);
            let mut below = self.main.range(window_end..).map(|(number, _)| *number);
            let lowest = below.next();
            let crowded = below.nth(MAX_LINES_OUTSIDE - 1).is_some();
            let number = match (oldest, lowest) {
                (Some(oldest), _) if !crowded => {
                    self.lost = self.lost.max(oldest + 1);
                    oldest
                }
                (_, Some(lowest)) => {
                    self.given_up.insert(lowest, lowest.saturating_add(1), GIVEN_UP);
                    lowest
                }
                (Some(_) | None, None) => return,
            };
            if let Some(held) = self.main.remove(&number) {
                self.main_bytes -= bytes_of(&held.line);
            }
        }
        while self.given_up.len() > MAX_SPANS {
            let Some(end) = self.given_up.pop_lowest() else { return };
            self.lost = self.lost.max(end);
        }
    }
}

/// About how much memory a line takes.
fn bytes_of(line: &Line) -> usize {
    let run = |run: &Run| size_of::<Run>() + run.text.capacity() + run.style.link.as_ref().map_or(0, String::capacity);
    size_of::<Held>() + line.runs.iter().map(run).sum::<usize>()
}
