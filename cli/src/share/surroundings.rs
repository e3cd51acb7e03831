//! Performs the host's outputs, and collects its inputs.

use std::ffi::OsString;
use std::ops::ControlFlow;

use beach_core::endpoint::{Input, NetworkInput, Output};
use beach_core::host::{HostExit, HostInput, HostOutput};
use beach_core::terminal::Size;
use beach_runtime_tokio::control::{Asked, Control};
use beach_runtime_tokio::drive::Surroundings;
use beach_runtime_tokio::hooks::variables_of_serve;
use beach_runtime_tokio::pty::{Charset, Pty, PtyEvent, Spawn, SpawnError};
use beach_runtime_tokio::signals::{self, SystemSignal};
use beach_runtime_tokio::tty::{KeyEvent, Keys};
use tokio::task::JoinHandle;

use super::questions::Followed;
use super::setup::HEADLESS_TERM;
use super::{HostEndpoint, KeysWanted, Share, StoppedBy, own_size};
use crate::control;
use crate::greeting::is_utf8_locale;
use crate::next_of::next_of;
use crate::output;
use crate::own_terminal::OwnTerminal;
use crate::program;

impl Surroundings<HostEndpoint> for Share {
    type End = HostExit;

    fn perform(&mut self, output: Output<HostOutput>) -> ControlFlow<HostExit> {
        let Some(output) = self.network.perform(output) else { return ControlFlow::Continue(()) };
        match output {
            HostOutput::Start(size) => self.start(size),
            HostOutput::Write(bytes) => {
                if let Some(pty) = &mut self.program.pty {
                    pty.write(bytes);
                }
            }
            HostOutput::WriteOwn(bytes) => {
                if let Some(pty) = &mut self.program.pty {
                    pty.write_own(bytes);
                }
            }
            HostOutput::TakeBack => {
                let taken = self.program.pty.as_mut().and_then(Pty::take_back);
                self.pending.extend(taken.map(HostInput::TakenBack));
            }
            HostOutput::Show(bytes) => {
                if let Some(terminal) = &mut self.seat.terminal {
                    terminal.show(bytes);
                }
            }
            HostOutput::ShowLinks(bytes) => {
                if let Some(terminal) = &mut self.seat.terminal {
                    terminal.show(self.session.shown(self.network.links()).fill(&bytes));
                }
            }
            HostOutput::Resize(size) => {
                self.told.record(|cast| cast.resize(size));
                if let Some(pty) = &self.program.pty {
                    pty.resize(size.cols, size.rows);
                }
            }
            HostOutput::KeysTaken => self.seat.keys = KeysWanted::Yes,
            HostOutput::HangUp => {
                if let Some(pty) = &mut self.program.pty {
                    pty.hang_up();
                }
            }
            HostOutput::Notice(notice) => self.on_notice(notice),
            HostOutput::Exit(exit) => return ControlFlow::Break(exit),
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, endpoint: &mut HostEndpoint) -> ControlFlow<HostExit> {
        self.answer(endpoint);
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> Input<HostInput> {
        loop {
            if let Some(input) = self.pending.pop_front() {
                return Input::Machine(input);
            }
            let happened = self.happened().await;
            match happened {
                Happened::Network(input) => return Input::Network(input),
                Happened::Asked(asked) => match self.questions.on_asked(asked) {
                    Followed::Waits => return Input::Tick,
                    Followed::Stop => {
                        self.stopped_by = self.stopped_by.or(Some(StoppedBy::Request));
                        return Input::Machine(HostInput::Stop);
                    }
                    Followed::Nothing => {}
                },
                Happened::Local(event) => {
                    if let Some(input) = self.on_local(event) {
                        return Input::Machine(input);
                    }
                }
            }
        }
    }
}

enum Happened {
    Network(NetworkInput),
    Asked(Asked),
    Local(Local),
}

/// An event on this machine.
enum Local {
    Pty(PtyEvent),
    /// The host's own terminal takes output again.
    Writable,
    Key(KeyEvent),
    Signal(SystemSignal),
    RendezvousEnded,
    AuditDue,
}

impl Share {
    async fn happened(&mut self) -> Happened {
        let blocked = self.seat.is_blocked();
        if let Some(pty) = &mut self.program.pty {
            pty.pause_output(blocked);
        }
        let keys_wanted = self.seat.keys == KeysWanted::Yes;
        let seat = &mut self.seat;
        tokio::select! {
            input = self.network.next() => Happened::Network(input),
            event = next_of(self.program.pty.as_mut(), Pty::next) => Happened::Local(Local::Pty(event)),
            () = next_of(seat.terminal.as_mut(), OwnTerminal::ready), if blocked => Happened::Local(Local::Writable),
            event = next_of(seat.keyboard.as_mut(), Keys::next), if keys_wanted => Happened::Local(Local::Key(event)),
            signal = self.signals.next() => Happened::Local(Local::Signal(signal)),
            () = ended(&mut self.rendezvous) => Happened::Local(Local::RendezvousEnded),
            asked = next_of(self.questions.socket.as_mut(), Control::next) => Happened::Asked(asked),
            () = self.told.audit_due() => Happened::Local(Local::AuditDue),
        }
    }

    fn on_local(&mut self, event: Local) -> Option<HostInput> {
        match event {
            Local::Pty(PtyEvent::Output(bytes)) => {
                self.told.record(|cast| cast.output(&bytes));
                Some(HostInput::Printed(bytes))
            }
            Local::Pty(PtyEvent::Written) => Some(HostInput::Written),
            Local::Pty(PtyEvent::Exited(exit)) => {
                self.program.pty = None;
                Some(HostInput::Ended(exit.code()))
            }
            Local::Writable => {
                if let Some(terminal) = &mut self.seat.terminal {
                    terminal.write();
                }
                None
            }
            Local::Key(KeyEvent::Bytes(bytes)) => {
                self.seat.keys = KeysWanted::No;
                Some(HostInput::Keys(bytes))
            }
            Local::Key(KeyEvent::End) => Some(HostInput::Stop),
            Local::Signal(signal) => self.on_signal(signal),
            Local::RendezvousEnded => {
                tracing::error!("the rendezvous inside share ended");
                self.stopped_by = Some(StoppedBy::Fault("the rendezvous inside share failed"));
                Some(HostInput::Stop)
            }
            Local::AuditDue => {
                self.told.on_audit_due();
                None
            }
        }
    }

    fn on_signal(&mut self, signal: SystemSignal) -> Option<HostInput> {
        let code = match signal {
            SystemSignal::Resize => {
                return own_size().filter(|_| self.seat.is_own_terminal()).map(HostInput::Resized);
            }
            SystemSignal::Continue => {
                if let Some(terminal) = &self.seat.terminal {
                    terminal.resume();
                }
                return None;
            }
            SystemSignal::Stop => {
                match &self.seat.terminal {
                    Some(terminal) => terminal.suspend(),
                    None => signals::stop(),
                }
                return None;
            }
            SystemSignal::Terminate => 143,
            SystemSignal::HangUp => 129,
            SystemSignal::Interrupt => 130,
        };
        self.stopped_by = Some(StoppedBy::Signal(code));
        Some(HostInput::Stop)
    }

    /// Starts the command in a PTY of `size`.
    fn start(&mut self, size: Size) {
        self.told.record(|cast| cast.start(size));
        if self.seat.is_own_terminal() {
            self.take_terminal();
        }
        match Pty::spawn(&self.spawn(size)) {
            Ok(pty) => self.program.pty = Some(pty),
            Err(error) => {
                self.seat.leave();
                self.told.free_screen();
                let code = match error {
                    SpawnError::NoCommand(error) => program::cannot_start(&self.program.command, &error.to_string()),
                    SpawnError::NoTerminal(error) => {
                        let advice = "check that /dev/pts is mounted, and the limit kernel.pty.max";
                        output::refuse("the system gave no pseudo-terminal", &error.to_string(), advice)
                    }
                };
                self.pending.push_back(HostInput::Ended(i32::from(code)));
            }
        }
    }

    fn take_terminal(&mut self) {
        match self.seat.take_terminal() {
            Ok(()) => self.told.take_screen(),
            Err(error) => tracing::error!(%error, "the own terminal cannot be used"),
        }
    }

    fn spawn(&self, size: Size) -> Spawn {
        let mut env = vec![(control::SESSION.into(), self.session.id.clone().into())];
        if let Some(socket) = &self.questions.socket {
            env.push((control::SOCKET.into(), socket.path().into()));
        }
        // BEACH_TARGET may hold an invite, and so a key. The session around this one is not the command's session.
        let mut env_remove: Vec<OsString> = ["BEACH_TARGET", control::SESSION, control::SOCKET].map(Into::into).into();
        env_remove.extend(variables_of_serve());
        if !self.seat.is_own_terminal() {
            env_remove.extend(program::variables_of_this_terminal());
            env.push(("TERM".into(), HEADLESS_TERM.into()));
            env.push(("COLORTERM".into(), "truecolor".into()));
        }
        Spawn {
            program: self.program.command[0].clone(),
            args: self.program.command[1..].to_vec(),
            env,
            env_remove,
            cols: size.cols,
            rows: size.rows,
            like: self.seat.terminal.as_ref().map(OwnTerminal::line_settings),
            charset: if is_utf8_locale() { Charset::Utf8 } else { Charset::Bytes },
        }
    }
}

/// Waits for the end of a task; for ever, if there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(handle) => {
            let _ = handle.await;
            *task = None;
        }
        None => std::future::pending().await,
    }
}
