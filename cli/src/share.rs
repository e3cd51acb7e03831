//! `beach share`: a host, its PTY, and the person's terminal if there is one.

mod hooks;
mod notices;
mod questions;
mod setup;
mod surroundings;
mod told;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use beach_core::crypto::invite::LinkForm;
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
use hooks::Hooks;
use questions::Questions;
use setup::Setup;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use told::Told;

use crate::args::ShareArgs;
use crate::detach;
use crate::greeting::{Header, Invites, InvitesShown};
use crate::output::{self, code};
use crate::own_terminal::OwnTerminal;

/// The longest wait for a command to end after the hang-up; the PTY kills the command before that.
const HANG_UP_WITHIN: Duration = Duration::from_secs(5);

/// Resets every mode that a killed program may have left set. CAN comes first, as it ends an incomplete sequence.
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
    let column = endpoint.machine().emulator().column();
    share.finish(exit, column).await
}

/// The surroundings of the host's machine.
struct Share {
    told: Told,
    session: Session,
    network: Network,
    /// The task of the rendezvous inside share.
    rendezvous: Option<JoinHandle<()>>,
    program: Program,
    seat: Seat,
    signals: Signals,
    questions: Questions,
    hooks: Hooks,
    /// Inputs that the host takes before any other.
    pending: VecDeque<HostInput>,
    stopped_by: Option<StoppedBy>,
}

/// The cause of a stop from outside of the host's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoppedBy {
    /// A signal, as an exit code: 128 and the signal's number.
    Signal(u8),
    /// `beach stop`.
    Request,
    /// A task of this program that must run for ever has ended.
    Fault(&'static str),
}

/// The part of the session that the host's machine does not know.
struct Session {
    /// The id in the links; the one at the start names the control socket for good.
    id: String,
    /// The name of --name.
    name: Option<String>,
    server: String,
    invites: Invites,
    freshness: Freshness,
    announced: Announced,
    /// The session has no link that permits typing.
    view_only: bool,
    strict: bool,
    /// Whether the clipboard of the own terminal gets the link that permits most.
    copy: InvitesShown,
    /// The session's own time, by --expire.
    expire: Option<Duration>,
    clock: Clock,
}

impl Session {
    /// The links for a person.
    fn shown(&self, form: LinkForm) -> Invites {
        match form {
            LinkForm::Long => self.invites.clone(),
            LinkForm::Short => self.invites.short(),
        }
    }
}

/// Whether share has printed the links; share does so once, after the first registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    NotYet,
    Yes,
}

/// Whether `Session::invites` are the valid ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Current,
    /// A rotation has replaced them.
    Rotated,
}

/// The shared command and its PTY.
struct Program {
    command: Vec<OsString>,
    pty: Option<Pty>,
}

/// The kind of the host's seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeatKind {
    /// A terminal, which shows the command's output.
    OwnTerminal,
    Headless,
    /// Headless, in the background.
    Detached,
}

/// The host's own terminal, if there is one, and its header.
struct Seat {
    kind: SeatKind,
    /// Present while the command runs in the terminal.
    terminal: Option<OwnTerminal>,
    /// The keys of that terminal.
    keyboard: Option<Keys>,
    keys: KeysWanted,
    size: Size,
    header: Header,
    /// The height of the header at the top of the own terminal, in rows; the command draws below.
    rows_taken: u16,
}

/// Whether the host takes more keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeysWanted {
    Yes,
    /// The host has not taken the last keys yet.
    No,
}

impl Seat {
    fn new(kind: SeatKind, size: Size, header: Header, rows_taken: u16) -> Seat {
        Seat { kind, terminal: None, keyboard: None, keys: KeysWanted::Yes, size, header, rows_taken }
    }

    fn is_own_terminal(&self) -> bool {
        self.kind == SeatKind::OwnTerminal
    }

    /// Whether output to the terminal is pending; share does not read the PTY meanwhile.
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
    /// Ends the share. The command's last output ends in this column of the own terminal.
    async fn finish(mut self, exit: HostExit, column: usize) -> u8 {
        if let Some(terminal) = &mut self.seat.terminal {
            terminal.flush().await;
        }
        self.seat.leave();
        self.told.free_screen();
        self.network.close().await;
        if let Some(mut pty) = self.program.pty.take() {
            // The host has hung up the command; the PTY kills the command if it stays.
            let ended = async { while !matches!(pty.next().await, PtyEvent::Exited(_)) {} };
            let _ = timeout(HANG_UP_WITHIN, ended).await;
        }
        let end = self.end_sentence(&exit);
        std::mem::replace(&mut self.hooks, Hooks::new(None, None)).finish().await;
        let (code, reason) = self.conclude(exit);
        self.told.end(code, reason);
        if let Some(end) = end {
            let line = if self.seat.is_own_terminal() && column > 0 { "\n" } else { "" };
            self.told.voice.say(&format!("{line}  beach: {end}"));
        }
        code
    }

    /// How the session ended; `None` if an error message says so.
    fn end_sentence(&self, exit: &HostExit) -> Option<String> {
        let by = |how: &str| Some(format!("the session ended: {how}."));
        match (exit, self.stopped_by) {
            (HostExit::Failed(_) | HostExit::NobodyJoined, _) => None,
            (HostExit::Stopped, Some(StoppedBy::Fault(_))) => None,
            (HostExit::Ended(code), _) => by(&format!("the command ended with exit code {code}")),
            (HostExit::Stopped, Some(StoppedBy::Signal(code))) => by(&format!("signal {} stopped it", code - 128)),
            (HostExit::Stopped, Some(StoppedBy::Request)) => by("`beach stop` stopped it"),
            (HostExit::Stopped, None) => by("the terminal was closed"),
            (HostExit::Expired, _) => {
                by(&format!("it expired after {} s", self.session.expire.unwrap_or_default().as_secs()))
            }
        }
    }

    /// Tells the person about a failure. Returns the exit code and the reason in one word.
    fn conclude(&self, exit: HostExit) -> (u8, &'static str) {
        let by_signal = match self.stopped_by {
            Some(StoppedBy::Signal(code)) => code,
            Some(StoppedBy::Fault(_) | StoppedBy::Request) | None => 0,
        };
        match exit {
            HostExit::Ended(code) => (u8::try_from(code & 0xff).unwrap_or(code::FAILED), "ended"),
            HostExit::Stopped => match self.stopped_by {
                Some(StoppedBy::Fault(fault)) => {
                    (output::refuse("a fault ended the session", fault, "share again, and report the fault"), "fault")
                }
                Some(StoppedBy::Signal(_) | StoppedBy::Request) | None => (by_signal, "stopped"),
            },
            HostExit::Expired => (by_signal, "expired"),
            HostExit::Failed(failure) => (output::share_failed(&failure, &self.session.server), "failed"),
            HostExit::NobodyJoined => {
                let advice = "give a longer --wait=SECS, or --wait alone";
                (
                    output::refuse("no viewer came in time", "nobody joined within the time of --wait", advice),
                    "nobody_joined",
                )
            }
        }
    }
}
