//! Checkers of viewers' screens.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use beach_core::terminal::{Emulator, Line, Screen, Space};
use beach_core::time::Timestamp;

use super::{Promise, Verdict, check};

/// All lines that a host's frames had, each in each of its versions.
#[derive(Default)]
pub struct Frames {
    newest: u64,
    top: u64,
    lines: HashMap<(Space, u64), HashSet<u64>>,
}

impl Frames {
    /// Takes what the last frame changed.
    pub fn record(&mut self, emulator: &Emulator) {
        let head = emulator.head();
        if head.version == self.newest {
            return;
        }
        let since = std::mem::replace(&mut self.newest, head.version);
        let rows = u64::from(head.size.rows);
        let mut take = |space, numbers: std::ops::Range<u64>| {
            for number in numbers {
                let Some((version, bytes)) = emulator.line(space, number) else { continue };
                if version > since {
                    self.lines.entry((space, number)).or_default().insert(hash(bytes));
                }
            }
        };
        let top = emulator.top();
        take(Space::Main, self.top.min(top).max(emulator.base())..top + rows);
        if head.space == Space::Alternate {
            take(Space::Alternate, 0..rows);
        }
        self.top = top;
    }

    /// Each line of a complete screen is one that the host had there.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn are_shown_by(&self, now: Timestamp, viewer: usize, screen: &Screen) -> Verdict {
        let Some(head) = screen.head().filter(|_| screen.complete()) else { return Ok(()) };
        check(Promise::TrueLines, now, head.version <= self.newest, || {
            format!("viewer {viewer} has frame {} of {}", head.version, self.newest)
        })?;
        for row in 0..head.size.rows {
            let Some(line) = screen.row(row) else { continue };
            let number = head.top + u64::from(row);
            let known = self.lines.get(&(head.space, number));
            let is_true = known.is_some_and(|known| known.contains(&hash(&line.encode())));
            check(Promise::TrueLines, now, is_true, || {
                format!("viewer {viewer} shows as line {number}: {:?}", line.text())
            })?;
        }
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// In a pause no viewer has a newer screen than when the pause began.
///
/// # Errors
/// The promise that is broken.
pub fn nothing_new(now: Timestamp, paused_at: Option<u64>, viewer: usize, screen: &Screen) -> Verdict {
    let (Some(paused_at), Some(head)) = (paused_at, screen.head()) else { return Ok(()) };
    check(Promise::NothingInPause, now, head.version <= paused_at, || {
        format!("viewer {viewer} has frame {}, and the pause began at {paused_at}", head.version)
    })
}

/// A numbered line of the program.
pub fn numbered(number: u64) -> String {
    format!("L{number}.")
}

/// The numbered lines in a viewer's terminal, from the oldest of its scrollback on, come once each and in order.
///
/// # Errors
/// The promise that is broken.
pub fn scrollback(now: Timestamp, viewer: usize, terminal: &mut Emulator) -> Verdict {
    terminal.frame();
    let end = terminal.top() + u64::from(terminal.head().size.rows);
    let text = |number| Line::decode(terminal.line(Space::Main, number)?.1).ok().map(|line| line.text());
    let number = |text: String| text.strip_prefix('L')?.strip_suffix('.')?.parse::<u64>().ok();
    let numbers: Vec<_> = (terminal.base()..end).filter_map(text).filter_map(number).collect();
    let wrong = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
    check(Promise::Scrollback, now, wrong.is_none(), || format!("viewer {viewer} has lines in the order {wrong:?}"))
}
