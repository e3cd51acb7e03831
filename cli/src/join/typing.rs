//! The person's typing: keys and pastes for the session, escapes for this program.

use std::time::Instant;

use beach_core::keyboard::{Action, Escapes, Keyboard, Typed};
use beach_core::role::Role;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerInput;
use beach_runtime_tokio::signals;
use beach_runtime_tokio::tty::{self, KeyEvent, Keys};

use super::seat::SeatKind;
use super::setup::NO_TERMINAL;
use super::{Join, Owed};

/// The keyboard, its decoder, and the escapes.
pub(super) struct Typing {
    pub(super) keys: Option<Keys>,
    pub(super) wanted: KeysWanted,
    pub(super) keyboard: Keyboard,
    pub(super) escapes: Escapes,
}

/// Whether the viewer takes more keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysWanted {
    Yes,
    /// The viewer has not taken the last keys yet.
    No,
}

/// The page about the escapes that do something for people of this role; `e` is the name of the escape key.
fn help(e: &str, role: Role) -> Vec<String> {
    let (first, last) = match role {
        Role::Control => ("beach: keys at the start of a line", format!("  {e}{e}   {e} itself           ")),
        // Nothing that they type goes to the session, so no key needs another meaning.
        Role::View => ("beach: your keys; you can only watch", "  ".to_owned()),
    };
    vec![
        first.to_owned(),
        format!("  {e}.   leave              {e}m   who is here, and who types"),
        format!("  {e}r   redraw             {e}s   path, round trip, bytes"),
        format!("  {e}^Z  suspend            {e}p   look for a better path"),
        format!("  {e}h {e}j {e}k {e}l   in a small window: left, down, up, right"),
        format!("{last}{e}?   this help, until the next key"),
    ]
}

impl Typing {
    pub(super) fn new(keys: Option<Keys>, escape: Option<u8>) -> Typing {
        Typing { keys, wanted: KeysWanted::Yes, keyboard: Keyboard::new(), escapes: Escapes::new(escape) }
    }

    /// The time at which held keys, the possible beginning of an escape or a sequence, become plain keys.
    pub(super) fn held_until(&self, epoch: Instant) -> Option<Instant> {
        let held_until = self.keyboard.deadline().into_iter().chain(self.escapes.deadline()).min();
        held_until.map(|at: Timestamp| epoch + at.since_start())
    }
}

impl Join {
    pub(super) fn on_key(&mut self, event: KeyEvent) {
        match event {
            KeyEvent::Bytes(bytes) => {
                // A terminal also sends reports and bracketed pastes; a pipe does not.
                let typed = match self.seat.terminal {
                    Some(_) => self.typing.keyboard.read(self.now(), &bytes),
                    None => vec![Typed::Keys(bytes)],
                };
                self.on_typed(typed);
            }
            // The end of a terminal ends the join; the end of a pipe ends the input alone.
            KeyEvent::End => {
                self.typing.keys = None;
                if self.seat.kind == SeatKind::OwnTerminal {
                    self.pending.push_back(ViewerInput::Leave);
                }
            }
        }
    }

    /// Takes held keys as plain keys.
    pub(super) fn on_held_keys(&mut self) {
        let now = self.now();
        let (actions, typed) = (self.typing.escapes.on_time(now), self.typing.keyboard.on_time(now));
        self.on_actions(actions);
        self.on_typed(typed);
    }

    fn on_typed(&mut self, typed: Vec<Typed>) {
        let now = self.now();
        let actions = typed.into_iter().flat_map(|typed| self.typing.escapes.typed(now, typed)).collect();
        self.on_actions(actions);
    }

    fn on_actions(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Type(bytes) | Action::Report(bytes) => {
                    self.typing.wanted = KeysWanted::No;
                    self.pending.push_back(ViewerInput::Keys(bytes));
                }
                // The page about the path is made later than this key is read.
                Action::Turn if self.owed.iter().any(|owed| matches!(owed, Owed::Status)) => self.owe(Owed::Turn),
                Action::Turn => self.pending.push_back(ViewerInput::Turn),
                Action::Paste { bytes, first, last } => {
                    self.typing.wanted = KeysWanted::No;
                    self.pending.push_back(ViewerInput::Paste { bytes, first, last });
                }
                // Terminals count rows and columns from 1.
                Action::CursorReport { row, col } => {
                    self.pending.push_back(ViewerInput::CursorReport { row: row + 1, col: col + 1 });
                }
                Action::Leave => self.pending.push_back(ViewerInput::Leave),
                Action::Prove => self.pending.push_back(ViewerInput::Prove),
                Action::Redraw => self.pending.push_back(ViewerInput::Redraw),
                Action::Help => self.help(),
                Action::Status => self.owe(Owed::Status),
                Action::Members if self.seat.terminal.is_some() => self.pending.push_back(ViewerInput::Members),
                Action::Members => {}
                Action::Suspend => self.suspend(),
                Action::Pan(rows, cols) => {
                    let (width, height) = tty::size().unwrap_or(NO_TERMINAL);
                    let part = |all: u16| i16::try_from(all / 2).unwrap_or(i16::MAX).max(1);
                    let (rows, cols) = (rows * part(height), cols * part(width));
                    self.pending.push_back(ViewerInput::Pan { rows, cols });
                }
            }
        }
    }

    fn help(&mut self) {
        self.page(&help(&self.typing.escapes.name(), self.typing.escapes.role()));
    }

    pub(super) fn suspend(&mut self) {
        if let Some(terminal) = &self.seat.terminal {
            terminal.suspend();
            self.pending.push_back(ViewerInput::Redraw);
        } else {
            signals::stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_escapes_that_work_in_rows_of_at_most_60_columns() {
        for role in [Role::Control, Role::View] {
            let rows = help("~", role);
            assert!(rows.iter().all(|row| row.len() <= 60), "{rows:#?}");
            let text = rows.join("\n");
            assert!("~. ~m ~r ~s ~^Z ~p ~h ~j ~k ~l ~?".split(' ').all(|key| text.contains(key)), "{text}");
            assert_eq!(text.contains("~~"), role == Role::Control, "{text}");
            assert_eq!(text.contains("start of a line"), role == Role::Control, "{text}");
        }
    }
}
