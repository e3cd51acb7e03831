//! Performs the viewer's outputs, and collects its inputs.

use std::ops::ControlFlow;
use std::time::Instant;

use beach_core::endpoint::{Input, NetworkInput, Output};
use beach_core::terminal::Size;
use beach_core::viewer::{ViewerExit, ViewerInput, ViewerOutput};
use beach_runtime_tokio::drive::Surroundings;
use beach_runtime_tokio::signals::SystemSignal;
use beach_runtime_tokio::tty::{self, KeyEvent, Keys};
use tokio::time::{sleep, sleep_until};

use super::seat::SeatKind;
use super::typing::KeysWanted;
use super::{Join, Owed, ViewerEndpoint};
use crate::next_of::next_of;
use crate::output::{Spinner, Voice};
use crate::own_terminal::OwnTerminal;

impl Surroundings<ViewerEndpoint> for Join {
    type End = ViewerExit;

    fn perform(&mut self, output: Output<ViewerOutput>) -> ControlFlow<ViewerExit> {
        let Some(output) = self.network.perform(output) else { return ControlFlow::Continue(()) };
        match output {
            ViewerOutput::Show(bytes) => {
                self.seat.show(bytes);
                self.write();
            }
            // Only a terminal that was made for the session takes the session's size.
            ViewerOutput::Size(_) => {}
            ViewerOutput::CursorAsked => self.typing.keyboard.expect_cursor_report(self.now()),
            ViewerOutput::KeysTaken => self.typing.wanted = KeysWanted::Yes,
            ViewerOutput::Notice(notice) => self.on_notice(notice),
            ViewerOutput::Exit(exit) => return ControlFlow::Break(exit),
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, endpoint: &mut ViewerEndpoint) -> ControlFlow<ViewerExit> {
        self.typing.escapes.set_page_keys(endpoint.machine().page_keys());
        for owed in std::mem::take(&mut self.owed) {
            match owed {
                Owed::Terminal => {
                    self.take_terminal(endpoint.round_trip());
                    self.write();
                }
                Owed::Clipboard(_) if self.seat.terminal.is_none() => {}
                Owed::Clipboard(text) => {
                    let mut bytes = Vec::new();
                    endpoint.machine_mut().clipboard(&text, &mut bytes);
                    self.seat.add(bytes);
                    self.write();
                }
                Owed::Status => {
                    let lines = self.status_lines(endpoint.round_trip());
                    self.page(&lines);
                }
                Owed::Turn => self.pending.push_back(ViewerInput::Turn),
            }
        }
        if self.told.voice == Voice::Json
            && let Some(list) = endpoint.machine().members()
        {
            self.told.members_are(list, endpoint.machine().me(), self.at_ms());
        }
        if !self.told.cropped && self.seat.terminal.is_some() && endpoint.machine().is_cropped() {
            self.told.cropped = true;
            self.remark("This window is smaller than the session: you see the part around the cursor.");
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> Input<ViewerInput> {
        loop {
            if let Some(input) = self.pending.pop_front() {
                return Input::Machine(input);
            }
            match self.happened().await {
                Happened::Network(input) => return Input::Network(input),
                Happened::Local(event) => self.on_local(event),
            }
            if !self.owed.is_empty() {
                return Input::Tick;
            }
        }
    }
}

enum Happened {
    Network(NetworkInput),
    Local(Local),
}

/// An event on this machine.
enum Local {
    /// The viewer's own terminal takes output again.
    Writable,
    Key(KeyEvent),
    Signal(SystemSignal),
    /// Held keys turned out to be no beginning of an escape or a sequence.
    HeldKeysDue,
    /// The line "reconnecting, N s" needs an update.
    StandingDue,
    SpinnerDue,
}

impl Join {
    async fn happened(&mut self) -> Happened {
        let held_until = self.typing.held_until(self.epoch);
        let again = self.standing.deadline().filter(|_| self.seat.terminal.is_some());
        let (blocked, wanted) = (self.seat.is_blocked(), self.typing.wanted == KeysWanted::Yes);
        let event = tokio::select! {
            input = self.network.next() => return Happened::Network(input),
            () = next_of(self.seat.terminal.as_mut(), OwnTerminal::ready), if blocked => Local::Writable,
            event = next_of(self.typing.keys.as_mut(), Keys::next), if wanted => Local::Key(event),
            signal = self.signals.next() => Local::Signal(signal),
            () = at(held_until), if held_until.is_some() => Local::HeldKeysDue,
            () = at(again), if again.is_some() => Local::StandingDue,
            () = sleep(Spinner::TURN), if self.told.spinner.is_visible() => Local::SpinnerDue,
        };
        Happened::Local(event)
    }

    fn on_local(&mut self, event: Local) {
        match event {
            Local::Writable => self.write(),
            Local::Key(event) => self.on_key(event),
            Local::Signal(signal) => self.on_signal(signal),
            Local::HeldKeysDue => self.on_held_keys(),
            Local::StandingDue => self.show_standing(),
            Local::SpinnerDue => self.told.spinner.turn(),
        }
    }

    fn on_signal(&mut self, signal: SystemSignal) {
        self.ended_by = Some(match signal {
            SystemSignal::Resize => {
                if let Some((cols, rows)) = tty::size().filter(|_| self.seat.kind == SeatKind::OwnTerminal) {
                    self.pending.push_back(ViewerInput::Resized(Size::new(cols, rows)));
                }
                return;
            }
            SystemSignal::Stop => return self.suspend(),
            SystemSignal::Continue => {
                if let Some(terminal) = &self.seat.terminal {
                    terminal.resume();
                    self.pending.push_back(ViewerInput::Redraw);
                }
                return;
            }
            SystemSignal::Terminate => 143,
            SystemSignal::HangUp => 129,
            SystemSignal::Interrupt => 130,
        });
        self.pending.push_back(ViewerInput::Leave);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
