//! The main screen's lines: the final ones, which left the window, and those of the window as last framed.

use std::collections::VecDeque;

/// A line as it is kept: its version and its encoding.
pub(super) type Versioned = (u64, Box<[u8]>);

/// The lines of the main screen. Final lines are dropped from the oldest when there are too many.
#[derive(Debug)]
pub(super) struct History {
    finals: VecDeque<Versioned>,
    /// Number of the oldest final line kept.
    base: u64,
    limit: usize,
    /// Lines below this number were erased by a program.
    floor: u64,
    /// Number of the first line of the window as last framed.
    framed_top: u64,
    /// The window as last framed.
    framed: Vec<Versioned>,
}

impl History {
    /// Nothing yet, and at most `limit` final lines ever.
    pub(super) fn new(limit: usize) -> History {
        History { finals: VecDeque::new(), base: 0, limit, floor: 0, framed_top: 0, framed: Vec::new() }
    }

    /// Number of the oldest line kept.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Lines below this number were erased.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Number of the line on the window's first row, now: all before it are final.
    pub(super) fn top(&self) -> u64 {
        self.base + self.finals.len() as u64
    }

    /// Number of the line on the window's first row, as last framed.
    pub(super) fn framed_top(&self) -> u64 {
        self.framed_top
    }

    /// The top line of the window leaves it. If it is not what was last framed, it belongs to the frame after that.
    pub(super) fn push(&mut self, frame: u64, line: &[u8]) {
        let version = self.version(self.top(), line, frame + 1);
        if self.limit == 0 {
            self.base += 1;
            return;
        }
        if self.finals.len() == self.limit {
            self.finals.pop_front();
            self.base += 1;
        }
        self.finals.push_back((version, line.into()));
    }

    /// Forgets every final line; the numbers go on.
    pub(super) fn erase(&mut self) {
        self.base = self.top();
        self.floor = self.base;
        self.finals.clear();
    }

    /// Takes the window's rows as those of a new frame; true if anything is different.
    pub(super) fn frame(&mut self, frame: u64, rows: Vec<Box<[u8]>>) -> bool {
        let top = self.top();
        let framed: Vec<Versioned> =
            (top..).zip(rows).map(|(number, row)| (self.version(number, &row, frame), row)).collect();
        let same = top == self.framed_top && framed.len() == self.framed.len();
        let changed = !same || framed.iter().any(|(version, _)| *version == frame);
        (self.framed_top, self.framed) = (top, framed);
        changed
    }

    /// Ends a frame in which the alternate screen covers the main one: lines that left are no longer part of what is
    /// framed.
    pub(super) fn frame_covered(&mut self) {
        let left = usize::try_from(self.top() - self.framed_top).unwrap_or(usize::MAX);
        self.framed.drain(..left.min(self.framed.len()));
        self.framed_top = self.top();
    }

    /// A line as of the last frame.
    pub(super) fn line(&self, number: u64) -> Option<(u64, &[u8])> {
        let line = match number.checked_sub(self.framed_top) {
            Some(row) => self.framed.get(usize::try_from(row).ok()?)?,
            None => self.finals.get(usize::try_from(number.checked_sub(self.base)?).ok()?)?,
        };
        Some((line.0, &line.1))
    }

    /// The versions of the window's lines as last framed.
    pub(super) fn versions(&self) -> impl Iterator<Item = u64> {
        self.framed.iter().map(|(version, _)| *version)
    }

    /// The version a line already has if it is as it was framed, `otherwise` if not.
    fn version(&self, number: u64, line: &[u8], otherwise: u64) -> u64 {
        let row = number.checked_sub(self.framed_top).and_then(|row| usize::try_from(row).ok());
        match row.and_then(|row| self.framed.get(row)) {
            Some((version, framed)) if **framed == *line => *version,
            Some(_) | None => otherwise,
        }
    }
}
