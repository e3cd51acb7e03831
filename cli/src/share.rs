//! `beach share`: a host, with a PTY and perhaps a terminal around it.

mod notices;
mod questions;
mod setup;
mod surroundings;
mod told;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use beach_core::endpoint::Endpoint;
use beach_core::host::{Host, HostExit, HostInput};
use beach_core::peer::str0m::Str0m;
use beach_core::terminal::Size;
use beach_runtime_tokio::clock::Clock;
use beach_runtime_tokio::drive::drive;
use beach_runtime_tokio::network::Network;
use beach_runtime_tokio::pty::{Pty, PtyEvent};
use beach_runtime_tokio::signals::Signals;
use beach_runtime_tokio::tty::{self, Keys};
use questions::Questions;
use setup::Setup;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use told::Told;

use crate::args::ShareArgs;
use crate::detach;
use crate::greeting::{Greeting, Invites};
use crate::output::{self, code};
use crate::own_terminal::OwnTerminal;

/// A command that was hung up gets this long to end, and is killed meanwhile.
const HANG_UP_WITHIN: Duration = Duration::from_secs(5);

/// Puts back what a program that was killed may have left behind. CAN first: a sequence may have been cut short.
const EPILOGUE: &[u8] =
    b"\x18\x1b[?2026l\x1b[0m\x1b]8;;\x1b\\\x1b[4l\x1b(B\x0f\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\
\x1b[?1006l\x1b[?1005l\x1b[?1004l\x1b[?2004l\x1b[?1047l\x1b7\x1b[r\x1b8";

type HostEndpoint = Endpoint<Host, Str0m>;

pub(crate) async fn run(args: ShareArgs) -> u8 {
    if args.detach {
        return detach::start(&args).await;
    }
    let epoch = Instant::now();
    let built = Setup::new(args).await.and_then(|setup| setup.build(epoch));
    let (mut endpoint, mut share) = match built {
        Ok(built) => built,
        Err(code) => return code,
    };
    let exit = drive(&mut endpoint, epoch, &mut share).await;
    share.finish(exit).await
}

/// What stands around the host.
struct Share {
    told: Told,
    session: Session,
    network: Network,
    /// The rendezvous inside share.
    rendezvous: Option<JoinHandle<()>>,
    program: Program,
    seat: Seat,
    signals: Signals,
    questions: Questions,
    /// For the host, before anything else happens.
    pending: VecDeque<HostInput>,
    stopped_by: Option<StoppedBy>,
}

/// What stopped the session from outside of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoppedBy {
    /// A signal, as an exit code.
    Signal(u8),
    /// A part of this program ended that must not.
    Fault(&'static str),
}

/// What is known of the session beside its machine.
struct Session {
    /// The first id, which never changes: its socket bears it.
    id: String,
    server: String,
    invites: Invites,
    freshness: Freshness,
    announced: Announced,
    /// No link that lets type is given out.
    view_only: bool,
    strict: bool,
    clock: Clock,
}

/// Whether people were told of the session; they are once it is registered for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    NotYet,
    Yes,
}

/// Whether the links are those that let people in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Current,
    /// A rotation made other ones.
    Rotated,
}

/// The command.
struct Program {
    command: Vec<OsString>,
    pty: Option<Pty>,
}

/// Where the host sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeatKind {
    /// At a terminal, which shows what the command prints.
    OwnTerminal,
    Headless,
    /// In the background, and headless.
    Detached,
}

/// The host's own terminal, if there is one, and what stands on it.
struct Seat {
    kind: SeatKind,
    /// While the command runs in it.
    terminal: Option<OwnTerminal>,
    /// The keys of that terminal.
    keyboard: Option<Keys>,
    keys: KeysWanted,
    size: Size,
    header: Greeting,
    /// Rows of the header at the top of the own terminal; the command begins below them.
    rows_taken: u16,
}

/// Whether the host takes more keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeysWanted {
    Yes,
    /// The last ones are not taken yet.
    No,
}

impl Seat {
    fn new(kind: SeatKind, size: Size, header: Greeting, rows_taken: u16) -> Seat {
        Seat { kind, terminal: None, keyboard: None, keys: KeysWanted::Yes, size, header, rows_taken }
    }

    fn is_own_terminal(&self) -> bool {
        self.kind == SeatKind::OwnTerminal
    }

    /// Whether the terminal has not taken all that was printed; the PTY is not read meanwhile.
    fn is_blocked(&self) -> bool {
        self.terminal.as_ref().is_some_and(OwnTerminal::is_blocked)
    }

    /// Takes the terminal over; the command begins below the header.
    fn take_terminal(&mut self) -> std::io::Result<()> {
        let mut terminal = OwnTerminal::start(EPILOGUE)?;
        self.keyboard = Some(Keys::start()?);
        terminal.show(format!("\x1b[{};1H\x1b[J", self.rows_taken + 1).into_bytes());
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Gives the terminal back.
    fn leave(&mut self) {
        (self.terminal, self.keyboard) = (None, None);
    }
}

fn own_size() -> Option<Size> {
    tty::size().map(|(cols, rows)| Size::new(cols, rows))
}

impl Share {
    async fn finish(mut self, exit: HostExit) -> u8 {
        if let Some(terminal) = &mut self.seat.terminal {
            terminal.flush().await;
        }
        self.seat.leave();
        self.told.free_screen();
        self.network.close().await;
        if let Some(mut pty) = self.program.pty.take() {
            // It was asked to hang up, and is killed if it will not.
            let ended = async { while !matches!(pty.next().await, PtyEvent::Exited(_)) {} };
            let _ = timeout(HANG_UP_WITHIN, ended).await;
        }
        let (code, reason) = self.conclude(exit);
        self.told.end(code, reason);
        if self.seat.is_own_terminal() {
            self.told.voice.say("  beach: the session has ended.");
        }
        code
    }

    /// The exit code and the reason in one word; the person is told of failures.
    fn conclude(&self, exit: HostExit) -> (u8, &'static str) {
        let by_signal = match self.stopped_by {
            Some(StoppedBy::Signal(code)) => code,
            Some(StoppedBy::Fault(_)) | None => 0,
        };
        match exit {
            HostExit::Ended(code) => (u8::try_from(code & 0xff).unwrap_or(code::FAILED), "ended"),
            HostExit::Stopped => match self.stopped_by {
                Some(StoppedBy::Fault(fault)) => {
                    (output::refuse("the session ended by a fault", fault, "share again, and report it"), "fault")
                }
                Some(StoppedBy::Signal(_)) | None => (by_signal, "stopped"),
            },
            HostExit::Expired => (by_signal, "expired"),
            HostExit::Failed(failure) => (output::share_failed(&failure, &self.session.server), "failed"),
            HostExit::NobodyJoined => {
                let advice = "give a longer --wait=SECS, or none";
                (output::refuse("no viewer came in time", "nobody joined", advice), "nobody_joined")
            }
        }
    }
}
