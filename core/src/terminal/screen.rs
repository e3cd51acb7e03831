//! A viewer's copy of a terminal: lines and heads merged in whatever order they come. The newest version wins.

use std::collections::BTreeMap;

use super::head::{Head, Space};
use super::line::Line;
use super::size::MAX_ROWS;

/// Most lines of the main screen that are held beside those of the window, the ones with the highest numbers: lines may
/// come before the head that shows them, and the main screen must survive the alternate one. Two windows, and one that
/// shrank.
pub const MAX_LINES_OUTSIDE: usize = 3 * MAX_ROWS as usize;

/// What a viewer knows of the host's terminal. Bounded, whatever is merged.
#[derive(Debug, Default)]
pub struct Screen {
    head: Option<Head>,
    /// Number of the first line of the main screen's window, as far as known.
    main_top: u64,
    main: BTreeMap<u64, (u64, Line)>,
    /// Rows of the alternate screen, all of which are kept.
    alternate: BTreeMap<u64, (u64, Line)>,
}

impl Screen {
    /// Nothing known yet.
    pub fn new() -> Screen {
        Screen::default()
    }

    /// Takes a line, unless a version of it is held that is as new.
    pub fn merge_line(&mut self, space: Space, number: u64, version: u64, _is_final: bool, line: Line) {
        let lines = match space {
            Space::Main if number >= self.main_top => &mut self.main,
            Space::Alternate if number < u64::from(MAX_ROWS) => &mut self.alternate,
            Space::Main | Space::Alternate => return,
        };
        if lines.get(&number).is_none_or(|(held, _)| *held < version) {
            lines.insert(number, (version, line));
            self.bound();
        }
    }

    /// Takes a head, unless the one held is as new, or this one makes no sense.
    pub fn merge_head(&mut self, head: Head) {
        if head.check().is_err() || self.head.as_ref().is_some_and(|held| held.version >= head.version) {
            return;
        }
        if head.space == Space::Main {
            self.main_top = head.top;
            self.main = self.main.split_off(&head.top);
        }
        self.head = Some(head);
        self.bound();
    }

    /// x
    pub fn merge_fates(&mut self, _fates: &super::fates::Fates) {}

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
            .all(|(version, number)| lines.get(&number).is_some_and(|(held, _)| *held >= version))
    }

    /// Whether every line of the window is held in some version: the least that can be shown.
    pub fn whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| (0..head.size.rows).all(|row| self.row(row).is_some()))
    }

    /// The line on a row of the window, in whatever version is held.
    pub fn row(&self, row: u16) -> Option<&Line> {
        let head = self.head.as_ref().filter(|head| row < head.size.rows)?;
        self.lines(head.space).get(&(head.top + u64::from(row))).map(|(_, line)| line)
    }

    /// The text of every row of the window; empty for rows that are not held.
    pub fn text(&self) -> Vec<String> {
        let rows = self.head.as_ref().map_or(0, |head| head.size.rows);
        (0..rows).map(|row| self.row(row).map(Line::text).unwrap_or_default()).collect()
    }

    fn lines(&self, space: Space) -> &BTreeMap<u64, (u64, Line)> {
        match space {
            Space::Main => &self.main,
            Space::Alternate => &self.alternate,
        }
    }

    /// Lets go of the lowest lines outside of the window: whatever window comes next is at the highest numbers.
    fn bound(&mut self) {
        let rows = match &self.head {
            Some(head) if head.space == Space::Main => u64::from(head.size.rows),
            Some(_) | None => 0,
        };
        while self.main.len() > MAX_LINES_OUTSIDE + rows as usize {
            let window_end = self.main_top + rows;
            let Some(lowest) = self.main.range(window_end..).next().map(|(number, _)| *number) else { return };
            self.main.remove(&lowest);
        }
    }
}
