//! Which lines go into the person's own scrollback now, and what of them is there already.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::line::{Line, Run, Width};
use super::super::screen::{Left, Screen};
use super::super::style::{Attributes, Style};
use super::rows::Rows;
use super::view::pieces;
use crate::time::Timestamp;

/// Lines that are not on the screen any more go a screenful at a time, or after this long without another one: each
/// time the screen is spoilt for a moment and painted anew.
const QUIET: Duration = Duration::from_millis(50);

/// Most screenfuls in one paint: what is typed in the meantime shows in between.
const SCREENFULS: usize = 8;

/// Newest rows of the scrollback that are remembered, for when a change of the window's size makes them doubtful.
const REMEMBERED: usize = 512;

/// The state of the scrollback, without the next line, which the screen keeps.
#[derive(Debug, Default)]
pub(super) struct Scrollback {
    /// Up to which line it could go on, and when it does without more.
    waiting: Option<(u64, Timestamp)>,
    /// Lines that the terminal itself moved into its scrollback when it became smaller.
    early: BTreeMap<u64, Line>,
    /// Its newest rows, and when they went there.
    newest: VecDeque<(Timestamp, Line)>,
    /// Rows that go there once more, before any other.
    repeated: Vec<Line>,
}

impl Scrollback {
    /// When lines go that wait for others.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.map(|(_, at)| at)
    }

    /// Waits for nothing.
    pub(super) fn forget(&mut self) {
        self.waiting = None;
    }

    /// The terminal moved its upper rows, which show these lines, into the scrollback.
    pub(super) fn moved(&mut self, rows: impl Iterator<Item = (u64, Line)>) {
        self.early.extend(rows);
    }

    /// The newest `count` rows go there again, and all that went there since then.
    pub(super) fn repeat(&mut self, count: usize, since: Option<Timestamp>) {
        let recent = self.newest.iter().rev().take_while(|(at, _)| since.is_some_and(|since| *at >= since)).count();
        let from = self.newest.len().saturating_sub(recent + count);
        self.repeated.extend(self.newest.drain(from..).map(|(_, line)| line));
        self.repeated.truncate(REMEMBERED);
    }

    /// Rows to be scrolled out before those of [`take`](Scrollback::take): they were there already, or nearly. The
    /// repeated rows count as old ones, so that this repetition causes no further one.
    pub(super) fn take_repeated(&mut self, cols: usize) -> Vec<Line> {
        let rows: Vec<Line> = self.repeated.drain(..).flat_map(|line| pieces(&line, cols)).collect();
        self.remember(Timestamp::ZERO, &rows);
        rows
    }

    /// Rows to be scrolled out now, from the oldest.
    pub(super) fn take(&mut self, now: Timestamp, screen: &mut Screen, shown: &Rows, cols: usize) -> Vec<Line> {
        let rows = self.next(now, screen, shown, cols);
        self.remember(now, &rows);
        rows
    }

    fn remember(&mut self, at: Timestamp, rows: &[Line]) {
        let rows = &rows[rows.len().saturating_sub(REMEMBERED)..];
        self.newest.drain(..(self.newest.len() + rows.len()).saturating_sub(REMEMBERED));
        self.newest.extend(rows.iter().map(|line| (at, line.clone())));
    }

    fn next(&mut self, now: Timestamp, screen: &mut Screen, shown: &Rows, cols: usize) -> Vec<Line> {
        let height = shown.len();
        let most = SCREENFULS * height;
        let due = self.waiting.is_some_and(|(_, at)| at <= now);
        let mut rows = Vec::new();
        let mut next = screen.next();
        let mut left = screen.ready().peekable();
        let mut flowing = None;
        let mut place = 0;
        // A gap behind which nothing is may still grow: it waits for quiet.
        let mut open_gap = None;
        while rows.len() < most
            && let Some(item) = left.next()
        {
            match item {
                Left::Line(line) => {
                    let on_screen = shown
                        .get(place)
                        .and_then(Option::as_ref)
                        .and_then(|row| row.key.or_else(|| row.under.as_ref()?.key));
                    let flows = on_screen.is_some_and(|key| key.number == line.number && key.left == 0);
                    let broken = pieces(line.line, cols);
                    if !(flows && broken.len() == 1) {
                        flowing = flowing.or(Some((rows.len(), next)));
                    }
                    place += 1;
                    let early = self.early.get(&line.number);
                    if early.is_none_or(|early| broken.len() > 1 || broken[0].runs != early.runs) {
                        if is_faulty!(ScrollbackTwice) {
                            rows.extend(broken.clone());
                        }
                        rows.extend(broken);
                    }
                }
                // Where they stand on the screen, lines after them are no longer on its first rows.
                Left::Repeated { .. } => {}
                Left::Gap { end, .. } if left.peek().is_none() && !due && end == screen.main_top() => {
                    open_gap = Some(end);
                    break;
                }
                Left::Gap { first, end } => {
                    flowing = flowing.or(Some((rows.len(), next)));
                    rows.last_mut().into_iter().for_each(|last: &mut Line| last.wrapped = false);
                    rows.push(gap(end - first, cols));
                }
            }
            next = Some(item.end());
        }
        let more = left.peek().is_some();
        drop(left);
        let reached = open_gap.or(next).filter(|reached| screen.next() != Some(*reached));
        let (Some(reached), Some(next)) = (reached, next) else {
            self.waiting = None;
            return Vec::new();
        };
        let quiet = self.waiting.filter(|(to, _)| *to == reached).map_or(now + QUIET, |(_, at)| at);
        match flowing {
            Some((count, upto)) if !due && rows.len() < height => {
                rows.truncate(count);
                self.advance(screen, upto.unwrap_or(next));
                self.waiting = Some((reached, quiet));
            }
            Some(_) | None => {
                self.advance(screen, next);
                let at = if more { Some(now) } else { open_gap.map(|_| quiet) };
                self.waiting = at.map(|at| (reached, at));
            }
        }
        rows
    }

    fn advance(&mut self, screen: &mut Screen, next: u64) {
        screen.advance(next);
        self.early = self.early.split_off(&next);
    }
}

/// The line that stands for lines which are missing.
fn gap(count: u64, cols: usize) -> Line {
    let text = match count {
        1 => "[beach: 1 line is missing here]".to_owned(),
        _ => format!("[beach: {} lines are missing here]", grouped(count)),
    };
    let style = Style { attributes: Attributes::DIM, ..Style::default() };
    Line { wrapped: false, runs: vec![Run { style, width: Width::Narrow, text: text.chars().take(cols).collect() }] }
}

/// A number with a comma at the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if place > 0 && place % 3 == 0 {
            text.push(',');
        }
    }
    text
}
