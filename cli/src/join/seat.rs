//! The viewer's seat: at a terminal, which the viewer takes over with the first screen, or without a terminal.

use std::io;

use crate::own_terminal::OwnTerminal;

/// Whether the viewer paints on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeatKind {
    /// The viewer paints on its own terminal.
    OwnTerminal,
    /// The output is a pipe, or a program reads events.
    Without,
}

/// The viewer's own terminal, if there is one, and its pending output.
pub(super) struct Seat {
    pub(super) kind: SeatKind,
    /// Present from the first screen on.
    pub(super) terminal: Option<OwnTerminal>,
    /// Output that the viewer painted before it took the terminal over.
    early: Vec<u8>,
    /// The viewer's machine waits for the news that the terminal took its screen.
    owes_shown: bool,
    /// A test checks that a panic restores the terminal.
    test_panic: bool,
}

/// Resets every mode that the painter may have set. CAN comes first, as it ends an incomplete sequence.
const EPILOGUE: &[u8] =
    b"\x18\x1b[?2026l\x1b[0m\x1b]8;;\x1b\\\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\
\x1b[?1006l\x1b[?1005l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?1047l\x1b[0 q";

impl Seat {
    pub(super) fn new(kind: SeatKind, test_panic: bool) -> Seat {
        Seat { kind, terminal: None, early: Vec::new(), owes_shown: false, test_panic }
    }

    /// Takes the terminal over, if there is one.
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

    /// Shows a screen; [`Seat::write`] reports when the terminal has taken all of it.
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

    /// Writes pending output. Returns whether the terminal has just taken the last of a screen.
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
