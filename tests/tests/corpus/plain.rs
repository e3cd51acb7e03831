//! A terminal that has nothing to do with beach: a pane of tmux, fed the same bytes as the host's model.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::Command;

use beach_core::terminal::{Emulator, Modes, Size, Space};
use beach_tests::real::{Cell, Pane, Scratch, Tmux, cells_of, holds};
use beach_tests::sim::secs;

use super::rows;

/// The modes that tmux reports; it does not report others.
const TOLD: [Modes; 7] = [
    Modes::APP_CURSOR,
    Modes::APP_KEYPAD,
    Modes::MOUSE_CLICK,
    Modes::MOUSE_DRAG,
    Modes::MOUSE_MOTION,
    Modes::SGR_MOUSE,
    Modes::UTF8_MOUSE,
];

pub(crate) struct Plain<'a> {
    pane: Pane<'a>,
    feed: File,
    fed: usize,
}

impl<'a> Plain<'a> {
    pub(crate) fn start(scratch: &Scratch, tmux: &'a Tmux, size: Size) -> Plain<'a> {
        let name = format!("plain-{}x{}", size.cols, size.rows);
        let pipe = scratch.file(&name);
        assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()), "mkfifo");
        let pane = tmux.pane(&name, (size.cols, size.rows), &format!("stty raw -echo; exec cat {name}"));
        let feed = OpenOptions::new().write(true).open(&pipe).expect("the pane reads it");
        Plain { pane, feed, fed: 0 }
    }

    /// Returns when the pane has taken it all. Between sequences only: a title marks the end.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.fed += bytes.len();
        let mark = format!("after {} bytes", self.fed);
        self.feed.write_all(bytes).expect("the pane reads on");
        write!(self.feed, "\x1b]2;{mark}\x1b\\").expect("the pane reads on");
        holds("the pane takes it", secs(10), || self.pane.title() == mark);
    }

    /// The differences between pane and model: the place, and both cells.
    pub(crate) fn differences(&self, model: &Emulator) -> Vec<(String, String)> {
        let mut differences = Vec::new();
        let mut differ = |place: String, plain: String, model: String| {
            if plain != model {
                differences.push((place, format!("tmux {plain}, the model {model}")));
            }
        };
        let head = model.head();
        let mut shown = self.pane.cells();
        shown.resize(head.size.rows.into(), Vec::new());
        for (row, (plain, line)) in shown.into_iter().zip(rows(model)).enumerate() {
            let mut line = cells_of(&line);
            // Of the end of a row that was erased in a colour, capture-pane tells nothing.
            let erased = |cell: &Cell| cell.character == ' ' && cell.attributes.is_empty();
            if plain.len() < line.len() && line[plain.len()..].iter().all(erased) {
                line.truncate(plain.len());
            }
            if plain != line {
                differ(format!("row {row}: {}", text(&line)), described(&plain, &line), described(&line, &plain));
            }
        }
        let (col, row) = self.pane.cursor();
        // Behind the last column, before the wrap, tmux counts one more.
        let cursor = (row, col.min(head.size.cols - 1));
        differ("the cursor".to_owned(), format!("{cursor:?}"), format!("{:?}", (head.cursor.row, head.cursor.col)));
        let modes = TOLD.into_iter().filter(|mode| head.modes.contains(*mode));
        let modes = modes.fold(Modes::NONE, |all, mode| all.set(mode, true));
        differ("the modes".to_owned(), format!("{:?}", self.pane.modes()), format!("{modes:?}"));
        let alternate = (self.pane.is_alternate(), self.pane.cursor_is_shown());
        let expected = (head.space == Space::Alternate, head.cursor.visible);
        differ("alternate, cursor".to_owned(), format!("{alternate:?}"), format!("{expected:?}"));
        differences
    }
}

fn text(cells: &[Cell]) -> String {
    cells.iter().map(|cell| cell.character).collect()
}

/// The text, and the first cell that is not the other's.
fn described(cells: &[Cell], other: &[Cell]) -> String {
    let first = (0..cells.len().max(other.len())).find(|at| cells.get(*at) != other.get(*at));
    let cell = first.and_then(|at| cells.get(at));
    format!("{:?} with {cell:?} at {first:?}", text(cells))
}
