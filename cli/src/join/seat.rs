//! Where the viewer sits: at a terminal, which is taken over from the first screen on, or without one.

use std::io;

use crate::own_terminal::OwnTerminal;

/// Whether the viewer paints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeatKind {
    /// At a terminal.
    OwnTerminal,
    /// In a pipe, or for a program that reads events.
    Without,
}

/// The viewer's own terminal, if there is one, and what it has still to show.
pub(super) struct Seat {
    pub(super) kind: SeatKind,
    /// From the first screen on.
    pub(super) terminal: Option<OwnTerminal>,
    /// What was painted before the terminal was taken over.
    early: Vec<u8>,
    /// The viewer waits to hear that its screen was taken.
    owes_shown: bool,
    /// For the test of what a panic leaves behind.
    test_panic: bool,
}

/// Undoes whatever the painter may have set, wherever it was. CAN first: a sequence may have been cut short.
const EPILOGUE: &[u8] =
    b"\x18\x1b[?2026l\x1b[0m\x1b]8;;\x1b\\\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\
\x1b[?1006l\x1b[?1005l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?1047l\x1b[0 q";

impl Seat {
    pub(super) fn new(kind: SeatKind, test_panic: bool) -> Seat {
        Seat { kind, terminal: None, early: Vec::new(), owes_shown: false, test_panic }
    }

    /// Takes the terminal over, if the viewer sits at one.
    ///
    /// # Errors
    /// The terminal refuses raw mode.
    pub(super) fn take_terminal(&mut self) -> io::Result<()> {
        if self.kind == SeatKind::OwnTerminal {
            let mut terminal = OwnTerminal::start(EPILOGUE)?;
            terminal.show(std::mem::take(&mut self.early));
            self.terminal = Some(terminal);
        }
        Ok(())
    }

    /// Shows a screen; the viewer is told when it was taken.
    pub(super) fn show(&mut self, bytes: Vec<u8>) {
        self.owes_shown = true;
        self.add(bytes);
        assert!(!self.test_panic, "asked for by --test-panic");
    }

    /// Shows bytes beside the viewer's screens.
    pub(super) fn add(&mut self, bytes: Vec<u8>) {
        match (&mut self.terminal, self.kind) {
            (Some(terminal), _) => terminal.show(bytes),
            (None, SeatKind::OwnTerminal) => self.early.extend(bytes),
            (None, SeatKind::Without) => {}
        }
    }

    /// Goes on writing; whether the viewer is to hear now that its screen was taken.
    pub(super) fn write(&mut self) -> bool {
        let is_taken = match &mut self.terminal {
            Some(terminal) => {
                terminal.write();
                !terminal.is_blocked()
            }
            None => self.early.is_empty(),
        };
        is_taken && std::mem::take(&mut self.owes_shown)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.terminal.as_ref().is_some_and(OwnTerminal::is_blocked)
    }

    /// Shows the last screen and gives the terminal back.
    pub(super) async fn leave(&mut self, farewell: Vec<u8>) {
        let Some(mut terminal) = self.terminal.take() else { return };
        terminal.flush().await;
        terminal.show(farewell);
        if !terminal.is_blocked() {
            terminal.flush().await;
        }
    }
}
