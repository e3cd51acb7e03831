//! `beach join`: a viewer, and the person's terminal around the viewer.

mod members;
mod notices;
mod seat;
mod setup;
mod standing;
mod surroundings;
mod told;
mod typing;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use beach_core::endpoint::Endpoint;
use beach_core::peer::str0m::Str0m;
use beach_core::session::link::PathKind;
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerExit, ViewerInput};
use beach_runtime_tokio::drive::drive;
use beach_runtime_tokio::network::Network;
use beach_runtime_tokio::signals::Signals;
use serde_json::json;

use self::seat::{Seat, SeatKind};
use self::setup::Setup;
pub(crate) use self::setup::find_invite;
use self::standing::Standing;
use self::told::Told;
use self::typing::Typing;
use crate::args::JoinArgs;
use crate::output::{self, Voice, code};

type ViewerEndpoint = Endpoint<Viewer, Str0m>;

pub(crate) async fn run(args: JoinArgs) -> u8 {
    let return_code = args.return_code;
    let epoch = Instant::now();
    let built = Setup::new(args).await.and_then(|setup| setup.build(epoch));
    let (mut endpoint, mut join) = match built {
        Ok(built) => built,
        Err(code) => return code,
    };
    join.told.begin();
    let exit = drive(&mut endpoint, epoch, &mut join).await;
    let farewell = endpoint.machine_mut().farewell();
    let rows = endpoint.machine().screen().text();
    join.finish(exit, farewell, &rows, return_code).await
}

/// The surroundings of the viewer's machine.
struct Join {
    epoch: Instant,
    told: Told,
    network: Network,
    signals: Signals,
    typing: Typing,
    seat: Seat,
    standing: Standing,
    owed: VecDeque<Owed>,
    /// The control socket of the person's own session (`beach attach`). The viewer approves itself there.
    own: Option<PathBuf>,
    /// Inputs that the viewer takes before any other.
    pending: VecDeque<ViewerInput>,
    /// The exit code of the signal that ended this process.
    ended_by: Option<u8>,
}

/// Work that needs the endpoint, done at the next `performed`.
enum Owed {
    /// The first screen is complete; the viewer takes the terminal over.
    Terminal,
    /// The person asked for path and traffic (`~s`).
    Status,
    /// A key turns the page with that answer.
    Turn,
    /// A text for the person's clipboard (--clipboard).
    Clipboard(String),
}

impl Join {
    fn now(&self) -> Timestamp {
        Timestamp::from(self.epoch.elapsed())
    }

    fn at_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds `work` for the next `performed`; the newest of each kind counts.
    fn owe(&mut self, work: Owed) {
        self.owed.retain(|owed| std::mem::discriminant(owed) != std::mem::discriminant(&work));
        self.owed.push_back(work);
    }

    /// Says how the viewer is connected, and takes the terminal over, when the first screen is complete.
    fn take_terminal(&mut self, round_trip: Option<Duration>) {
        self.told.connected(round_trip);
        if let Err(error) = self.seat.take_terminal() {
            tracing::error!(%error, "no raw mode");
            self.pending.push_back(ViewerInput::Leave);
        }
        if self.seat.terminal.is_some() {
            self.typing.escapes.show_pages();
        }
        // The host may have paused before there was a screen.
        self.show_standing();
    }

    /// Writes pending output to the viewer's own terminal.
    fn write(&mut self) {
        if self.seat.write() {
            self.pending.push_back(ViewerInput::Shown);
        }
    }

    /// Shows a sentence over the bottom of the screen for some seconds.
    fn remark(&mut self, text: &str) {
        if self.seat.terminal.is_some() {
            self.pending.push_back(ViewerInput::Remark(format!("beach: {text}")));
        }
    }

    /// Shows lines over the bottom of the screen until the next key.
    fn page(&mut self, lines: &[String]) {
        if self.seat.terminal.is_some() {
            self.pending.push_back(ViewerInput::Page(lines.join("\n")));
        }
    }

    fn status_lines(&self, round_trip: Option<Duration>) -> [String; 2] {
        let (sent, received) = self.network.traffic();
        let path = self.told.path.map_or("no path".to_owned(), |path| match path.kind {
            PathKind::Direct => format!("directly, {path}"),
            PathKind::Turn | PathKind::Relay => path.to_string(),
        });
        let time = round_trip.map_or("unknown".to_owned(), output::milliseconds);
        [format!("beach: {path}"), format!("  round trip {time}; {sent} bytes sent, {received} received")]
    }

    async fn finish(mut self, exit: ViewerExit, farewell: Vec<u8>, rows: &[String], return_code: bool) -> u8 {
        self.told.spinner.clear();
        self.seat.leave(farewell).await;
        self.network.close().await;
        if self.seat.kind == SeatKind::Without && self.told.voice == Voice::Human {
            output::print_screen(rows);
        }
        let (code, reason) = self.conclude(exit, return_code);
        self.told.voice.event("exit", &json!({ "code": code, "reason": reason }));
        code
    }

    /// Tells the person how the join ended. Returns the exit code and the reason in one word.
    fn conclude(&self, exit: ViewerExit, return_code: bool) -> (u8, &'static str) {
        match (&exit, exit.words()) {
            (ViewerExit::Removed(why), Some(words)) => {
                output::refuse(&words, why, "ask the host");
            }
            (_, Some(words)) => self.told.voice.say(&format!("beach: {words}")),
            (_, None) => {}
        }
        match exit {
            ViewerExit::Ended(code) => {
                (if return_code { u8::try_from(code & 0xff).unwrap_or(code::FAILED) } else { 0 }, "ended")
            }
            ViewerExit::Stopped => (0, "stopped"),
            ViewerExit::Expired => (0, "expired"),
            ViewerExit::Left => (self.ended_by.unwrap_or(0), "left"),
            ViewerExit::Removed(_) => (code::REFUSED, "removed"),
            ViewerExit::Failed(failure) => {
                let fields = json!({ "stage": failure.stage.words(), "cause": output::cause(&failure.cause) });
                self.told.voice.event("failed", &fields);
                (output::join_failed(&failure, &self.told.server), "failed")
            }
        }
    }
}
