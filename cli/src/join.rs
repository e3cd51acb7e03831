//! `beach join`: a viewer, with the person's terminal around it.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use beach_core::crypto::invite::{Invite, InviteError};
use beach_core::crypto::sas::Sas;
use beach_core::endpoint::{Endpoint, Input, Output, Secrets};
use beach_core::keyboard::{Action, Escapes, Keyboard, Typed};
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::recording::journal::Recorded as _;
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::{Path, PathKind};
use beach_core::terminal::{Abilities, Options, Size};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};
use beach_runtime_tokio::drive::{Surroundings, drive};
use beach_runtime_tokio::network::{Network, logged};
use beach_runtime_tokio::record::Recording;
use beach_runtime_tokio::signals::{self, Signals, SystemSignal};
use beach_runtime_tokio::tty::{self, KeyEvent, Keys, RawMode, Screen};
use beach_runtime_tokio::{entropy, prompt, seed};
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use crate::args::JoinArgs;
use crate::output::{self, Spinner, Voice, code};
use crate::{control, log};

/// The last screen gets this long to reach a slow terminal.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The time away is told in seconds.
const EACH_SECOND: Duration = Duration::from_secs(1);

/// The size that a viewer without a terminal has.
const NO_TERMINAL: (u16, u16) = (80, 24);

type ViewerEndpoint = Endpoint<Viewer, Str0m>;

pub(crate) async fn run(args: JoinArgs) -> u8 {
    if let Err(cause) = log::start(&args.log) {
        return output::usage("the log cannot be written", &cause, "choose another --log-file");
    }
    let invite = match find_invite(args.target.as_deref()) {
        Ok(invite) => invite,
        Err(code) => return code,
    };
    if !args.nested && control::is_around(&invite).await {
        let advice = "join from another terminal, or pass --nested";
        return output::usage("this terminal is the session's own", "it would show itself within itself", advice);
    }
    let voice = Voice::of(args.quiet, args.json);
    let interactive = tty::is_terminal() && voice != Voice::Json;
    let (cols, rows) = tty::size().filter(|_| interactive).unwrap_or(NO_TERMINAL);
    let config = ViewerConfig {
        seed: seed(),
        role: invite.role,
        name: args.name.clone(),
        size: Size::new(cols, rows),
        wait: args.wait,
        options: Options { abilities: abilities(), alternate: args.alt },
        predict: args.predict,
        history: args.history,
        clipboard: args.clipboard,
        stays: !args.paths.strict,
        reconnect: args.reconnect,
    };
    let recording = match args.record_handshake.as_deref().map(Recording::create).transpose() {
        Ok(recording) => recording,
        Err(error) => {
            return output::usage("the recording cannot be written", &error.to_string(), "choose another file");
        }
    };
    let (Some(certificate), Ok(signals)) = (Certificate::generate(), Signals::start()) else {
        return output::refuse("the viewer could not start", "the system refused cryptography or signals", "try again");
    };
    let keys = if interactive || !std::io::stdin().is_terminal() { Keys::start().ok() } else { None };
    let epoch = Instant::now();
    let network =
        Network::new(&invite.server, invite.is_loopback(), recording).with_ice_servers(&args.paths.ice_server);
    let server = invite.server.clone();
    let machine = Viewer::new(config.clone());
    let endpoint = Endpoint::new(machine, Str0m::new(epoch, certificate), Secrets::Viewer(invite), entropy());
    let mut endpoint: ViewerEndpoint = logged(endpoint.taking(args.paths.paths()));
    if args.record_handshake.is_some() {
        endpoint = endpoint.recording(&config.first_record());
    }
    let mut join = Join {
        voice,
        strict: args.paths.strict,
        server,
        network,
        epoch,
        signals,
        keys,
        keys_wanted: true,
        keyboard: Keyboard::new(),
        escapes: Escapes::new(args.escape.byte()),
        interactive,
        terminal: None,
        unshown: Vec::new(),
        shown_owed: false,
        spinner: Spinner::new(voice),
        stage: Stage::ReachingRendezvous,
        paths: None,
        path: None,
        pending: VecDeque::new(),
        away_since: None,
        away_again: None,
        check: None,
        own: args.own.clone(),
        paused: false,
        lost_said: false,
        test_panic: args.test_panic,
        cropped_said: false,
        clipboard_owed: None,
        status_wanted: false,
        connected_owed: false,
        ended_by: None,
    };
    join.spinner.show(output::step(join.stage, None));
    let exit = drive(&mut endpoint, epoch, &mut join).await;
    let farewell = endpoint.machine_mut().farewell();
    let rows = endpoint.machine().screen().text();
    join.finish(exit, farewell, &rows, args.return_code).await
}

/// What the person's terminal understands, as its names tell.
fn abilities() -> Abilities {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Abilities::of(set("TERM").as_deref(), set("COLORTERM").as_deref(), set("NO_COLOR").is_some())
        .with_program(set("TERM_PROGRAM").as_deref())
}

/// The invite that TARGET, stdin, or a person gives.
fn find_invite(target: Option<&str>) -> Result<Invite, u8> {
    let unreadable = |error: std::io::Error| {
        output::usage("the link could not be read", &error.to_string(), "pass it as an argument, or in BEACH_TARGET")
    };
    let target = match target {
        Some("-") => {
            let line = prompt::read_stdin_line().map_err(unreadable)?;
            if std::io::stdout().is_terminal() && !std::io::stdin().is_terminal() {
                // The keyboard is the terminal's, if there is one.
                let _ = prompt::take_stdin_from_terminal();
            }
            line
        }
        Some(target) => target.to_owned(),
        None => {
            let advice = "beach join LINK, or put the link into BEACH_TARGET";
            return Err(output::usage("there is no link to join", "none was given", advice));
        }
    };
    let invite = match Invite::parse(&target) {
        Err(InviteError::NoKey) => {
            let key = prompt::read_secret("Key (the part of the link after #): ").map_err(unreadable)?;
            Invite::parse_with_key(&target, &key)
        }
        parsed => parsed,
    };
    invite.map_err(|error| output::usage("the link cannot be used", &error.to_string(), "copy the whole link again"))
}

/// What stands around the viewer.
struct Join {
    voice: Voice,
    strict: bool,
    server: String,
    network: Network,
    epoch: Instant,
    signals: Signals,
    keys: Option<Keys>,
    keys_wanted: bool,
    keyboard: Keyboard,
    escapes: Escapes,
    interactive: bool,
    terminal: Option<Terminal>,
    /// Painted, but not taken by the terminal yet.
    unshown: Vec<u8>,
    shown_owed: bool,
    spinner: Spinner,
    stage: Stage,
    paths: Option<(usize, usize)>,
    path: Option<Path>,
    pending: VecDeque<ViewerInput>,
    /// Since when nothing comes, and when that is said anew.
    away_since: Option<Instant>,
    away_again: Option<Instant>,
    /// What the host sees too while somebody decides.
    check: Option<Sas>,
    /// The socket of the session, if it is one's own.
    own: Option<PathBuf>,
    paused: bool,
    /// Some of what was typed went nowhere.
    lost_said: bool,
    test_panic: bool,
    cropped_said: bool,
    /// For the person's clipboard, which they asked for.
    clipboard_owed: Option<String>,
    status_wanted: bool,
    connected_owed: bool,
    ended_by: Option<u8>,
}

/// The own terminal, from the first screen on.
struct Terminal {
    screen: Screen,
    raw: RawMode,
}

/// Undoes whatever the painter may have set, wherever it was. CAN first: a sequence may have been cut short.
const EPILOGUE: &[u8] =
    b"\x18\x1b[?2026l\x1b[0m\x1b]8;;\x1b\\\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\
\x1b[?1006l\x1b[?1005l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?1047l\x1b[0 q";

impl Join {
    fn on_notice(&mut self, notice: ViewerNotice) {
        let at_ms = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        match notice {
            ViewerNotice::Stage(stage) => {
                tracing::info!(stage = stage.words(), "handshake");
                self.stage = stage;
                self.progress(output::step(stage, self.paths));
                self.voice.event("stage", &json!({ "stage": stage.words(), "at_ms": at_ms }));
            }
            ViewerNotice::Paths(local, remote) => {
                self.paths = Some((local, remote));
                self.progress(output::step(self.stage, self.paths));
            }
            ViewerNotice::Unreachable(cause) => {
                tracing::warn!(cause, "the rendezvous was not reached; trying again");
                self.progress(format!("{}: {cause}, trying again", self.stage));
                self.voice.event("unreachable", &json!({ "cause": cause, "at_ms": at_ms }));
            }
            ViewerNotice::Connected(path) => {
                self.path_is(path, at_ms);
            }
            ViewerNotice::Path(path) => {
                self.path_is(path, at_ms);
                self.remark(&format!("The session comes {} now", output::way(path)));
            }
            ViewerNotice::FirstScreen(member, role) => {
                self.voice.event("first_screen", &json!({ "member": member.0, "role": role, "at_ms": at_ms }));
                self.connected_owed = true;
            }
            ViewerNotice::Title(title) => self.voice.event("title", &json!({ "title": title })),
            ViewerNotice::Bell => {
                if self.terminal.is_some() {
                    self.unshown.push(0x07);
                    self.write();
                }
            }
            ViewerNotice::Clipboard(text) => self.clipboard_owed = Some(text),
            ViewerNotice::Away(cause) => {
                let cause = output::cause(&cause);
                tracing::warn!(cause, "nothing comes any more; reconnecting");
                self.away_since = Some(Instant::now());
                self.voice.event("reconnecting", &json!({ "cause": cause, "at_ms": at_ms }));
                self.show_standing();
            }
            ViewerNotice::Back(after) => {
                tracing::info!(?after, "back");
                (self.away_since, self.away_again) = (None, None);
                self.spinner.clear();
                self.show_standing();
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                self.voice.event("reconnected", &json!({ "after_ms": after_ms, "at_ms": at_ms }));
            }
            ViewerNotice::Forgotten(had_input) => {
                let lost = if had_input { ", and some of what was typed did not arrive" } else { "" };
                self.lost_said = had_input;
                tracing::warn!(had_input, "the host did not keep the place");
                let text = format!("The host did not wait: this is a new visit{lost}");
                self.voice.event("notice", &json!({ "text": text }));
            }
            ViewerNotice::Overflow => {
                self.lost_said = true;
                tracing::warn!("more was typed than is kept");
            }
            ViewerNotice::Said(text) => {
                self.remark(&text);
                self.voice.event("notice", &json!({ "text": text }));
            }
            ViewerNotice::ReadOnly => {
                self.remark("This is read-only for you: what you type goes nowhere.  ~. leaves, ~? helps");
            }
            ViewerNotice::Sas(check) => {
                self.check = Some(check);
                if let Some(socket) = self.own.clone() {
                    tokio::spawn(control::let_in(socket, check));
                }
                self.progress(output::step(self.stage, self.paths));
                self.voice.event("check", &json!({ "words": check.words(), "at_ms": at_ms }));
            }
            ViewerNotice::Role(role) => {
                tracing::info!(%role, "the host changed what this viewer may do");
                self.remark(match role {
                    Role::Control => "The host lets you type now",
                    Role::View => "The host lets you watch only from now on",
                });
                self.voice.event("role", &json!({ "role": role, "at_ms": at_ms }));
            }
            ViewerNotice::Paused(paused) => {
                self.voice.event("paused", &json!({ "paused": paused, "at_ms": at_ms }));
                self.paused = paused;
                self.show_standing();
            }
        }
    }

    /// How far it is, for who does not see a screen yet.
    fn progress(&mut self, text: String) {
        if self.terminal.is_none() {
            // Read out to each other, the words say that it is this host and this viewer.
            let check = self.check.filter(|_| self.stage == Stage::WaitingForApproval);
            self.spinner.show(check.map_or(text.clone(), |check| format!("{text}; the host sees: {check}")));
        }
        if self.away_since.is_some() {
            self.show_standing();
        }
    }

    /// Over the screen, for as long as nothing comes or the host has paused the session.
    fn show_standing(&mut self) {
        if self.terminal.is_none() {
            return;
        }
        let leave = self.escapes.name();
        let text = if let Some(since) = self.away_since {
            let lost = if self.lost_said { " Some of what was typed is lost." } else { "" };
            self.away_again = Some(Instant::now() + EACH_SECOND);
            let seconds = since.elapsed().as_secs();
            Some(format!("beach: reconnecting, {seconds} s ({}).{lost}  {leave}. leaves", self.stage))
        } else {
            let paused = format!("beach: the host has paused the session; nothing is typed or shown.  {leave}. leaves");
            self.paused.then_some(paused)
        };
        self.pending.push_back(ViewerInput::Standing(text));
    }

    fn path_is(&mut self, path: Path, at_ms: u64) {
        self.path = Some(path);
        let mut fields = output::path_fields(path, None);
        fields["strict"] = self.strict.into();
        fields["at_ms"] = at_ms.into();
        self.voice.event("path", &fields);
    }

    /// The first screen is complete: say how it is connected, and take the terminal over.
    fn take_terminal(&mut self, round_trip: Option<Duration>) {
        self.spinner.clear();
        if let Some(path) = self.path {
            self.voice.say(&output::connected(path, round_trip));
        }
        if !self.interactive {
            return;
        }
        let terminal = RawMode::enter(EPILOGUE).and_then(|raw| Ok(Terminal { screen: Screen::start()?, raw }));
        match terminal {
            Ok(terminal) => self.terminal = Some(terminal),
            Err(error) => {
                tracing::error!(%error, "no raw mode");
                self.pending.push_back(ViewerInput::Leave);
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.shown_owed = true;
        if self.interactive {
            self.unshown.extend_from_slice(bytes);
        }
        self.write();
        assert!(!self.test_panic, "asked for by --test-panic");
    }

    fn write(&mut self) {
        if let (Some(terminal), false) = (&mut self.terminal, self.unshown.is_empty())
            && let Err(back) = terminal.screen.try_write(std::mem::take(&mut self.unshown))
        {
            self.unshown = back;
        }
        if self.unshown.is_empty() && std::mem::take(&mut self.shown_owed) {
            self.pending.push_back(ViewerInput::Shown);
        }
    }

    /// Shows a sentence over the bottom of the screen, for a while.
    fn remark(&mut self, text: &str) {
        if self.terminal.is_some() {
            self.pending.push_back(ViewerInput::Remark(format!("beach: {text}")));
        }
    }

    /// Shows lines over the bottom of the screen until the next key.
    fn page(&mut self, lines: &[&str]) {
        if self.terminal.is_some() {
            self.pending.push_back(ViewerInput::Page(lines.join("\n")));
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from(self.epoch.elapsed())
    }

    fn on_typed(&mut self, typed: Vec<Typed>) {
        let now = self.now();
        let actions = typed.into_iter().flat_map(|typed| self.escapes.typed(now, typed)).collect();
        self.on_actions(actions);
    }

    fn on_actions(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Type(bytes) | Action::Report(bytes) => {
                    self.keys_wanted = false;
                    self.pending.push_back(ViewerInput::Keys(bytes));
                }
                Action::Turn => self.pending.push_back(ViewerInput::Turn),
                Action::Paste { bytes, first, last } => {
                    self.keys_wanted = false;
                    self.pending.push_back(ViewerInput::Paste { bytes, first, last });
                }
                // As terminals count.
                Action::CursorReport { row, col } => {
                    self.pending.push_back(ViewerInput::CursorReport { row: row + 1, col: col + 1 });
                }
                Action::Leave => self.pending.push_back(ViewerInput::Leave),
                Action::Prove => self.pending.push_back(ViewerInput::Prove),
                Action::Redraw => self.pending.push_back(ViewerInput::Redraw),
                Action::Help => self.help(),
                Action::Status => self.status_wanted = true,
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
        let e = self.escapes.name();
        self.page(&[
            "beach: escapes, at the start of a line",
            &format!("  {e}.   leave              {e}s   path, round trip, bytes"),
            &format!("  {e}r   redraw             {e}p   look for a better path"),
            &format!("  {e}^Z  suspend"),
            &format!("  {e}h {e}j {e}k {e}l   show what is left, below, above, right of a small window"),
            &format!("  {e}{e}   {e} itself           {e}?   this help, until the next key"),
        ]);
    }

    fn suspend(&mut self) {
        if let Some(terminal) = &self.terminal {
            if let Err(error) = terminal.raw.suspend() {
                tracing::warn!(%error, "not suspended");
            }
            self.pending.push_back(ViewerInput::Redraw);
        } else {
            signals::stop();
        }
    }

    fn on_signal(&mut self, signal: SystemSignal) {
        self.ended_by = Some(match signal {
            SystemSignal::Resize => {
                if let Some((cols, rows)) = tty::size().filter(|_| self.interactive) {
                    self.pending.push_back(ViewerInput::Resized(Size::new(cols, rows)));
                }
                return;
            }
            SystemSignal::Stop => return self.suspend(),
            SystemSignal::Continue => {
                if let Some(terminal) = &self.terminal {
                    terminal.raw.resume().unwrap_or_else(|error| tracing::warn!(%error, "no raw mode"));
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

    fn status_lines(&self, round_trip: Option<Duration>) -> [String; 2] {
        let (sent, received) = self.network.traffic();
        let path = self.path.map_or("no path".to_owned(), |path| match path.kind {
            PathKind::Direct => format!("directly, {path}"),
            PathKind::Turn | PathKind::Relay => path.to_string(),
        });
        let time = round_trip.map_or("unknown".to_owned(), output::milliseconds);
        [format!("beach: {path}"), format!("  round trip {time}; {sent} bytes sent, {received} received")]
    }

    async fn finish(mut self, exit: ViewerExit, farewell: Vec<u8>, rows: &[String], return_code: bool) -> u8 {
        self.spinner.clear();
        if let Some(terminal) = &mut self.terminal {
            terminal.screen.flush(FLUSH_WITHIN).await;
            self.unshown.extend_from_slice(&farewell);
            let last = std::mem::take(&mut self.unshown);
            if terminal.screen.try_write(last).is_ok() {
                terminal.screen.flush(FLUSH_WITHIN).await;
            }
        }
        drop(self.terminal.take());
        self.network.close().await;
        if !self.interactive && self.voice == Voice::Human {
            output::print_screen(rows);
        }
        let (code, reason) = match exit {
            ViewerExit::Ended(code) => {
                self.voice.say(&format!("beach: the session ended (exit code {code})"));
                (if return_code { u8::try_from(code & 0xff).unwrap_or(code::FAILED) } else { 0 }, "ended")
            }
            ViewerExit::Stopped => {
                self.voice.say("beach: the host stopped sharing");
                (0, "stopped")
            }
            ViewerExit::Expired => {
                self.voice.say("beach: the session's time is over");
                (0, "expired")
            }
            ViewerExit::Left => {
                self.voice.say("beach: left");
                (self.ended_by.unwrap_or(0), "left")
            }
            ViewerExit::Removed(why) => {
                output::refuse("the host removed this viewer", &why, "ask the host");
                (code::REFUSED, "removed")
            }
            ViewerExit::Failed(failure) => {
                let fields = json!({ "stage": failure.stage.words(), "cause": output::cause(&failure.cause) });
                self.voice.event("failed", &fields);
                (output::join_failed(&failure, &self.server), "failed")
            }
        };
        self.voice.event("exit", &json!({ "code": code, "reason": reason }));
        code
    }
}

impl Surroundings<ViewerEndpoint> for Join {
    type End = ViewerExit;

    fn perform(&mut self, output: Output<ViewerOutput>) -> ControlFlow<ViewerExit> {
        let Some(output) = self.network.perform(output) else { return ControlFlow::Continue(()) };
        match output {
            // The endpoint keeps these for itself.
            ViewerOutput::Link(_) => {}
            ViewerOutput::Show(bytes) => self.show(&bytes),
            ViewerOutput::CursorAsked => self.keyboard.expect_cursor_report(self.now()),
            ViewerOutput::KeysTaken => self.keys_wanted = true,
            ViewerOutput::Notice(notice) => self.on_notice(notice),
            ViewerOutput::Exit(exit) => return ControlFlow::Break(exit),
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, endpoint: &mut ViewerEndpoint) -> ControlFlow<ViewerExit> {
        self.escapes.show_page(endpoint.machine().page_keys());
        if std::mem::take(&mut self.connected_owed) {
            self.take_terminal(endpoint.round_trip());
            self.write();
        }
        if !self.cropped_said && self.terminal.is_some() && endpoint.machine().is_cropped() {
            self.cropped_said = true;
            self.remark("This window is smaller than the session: it shows a part, and follows the cursor");
        }
        if let Some(text) = self.clipboard_owed.take().filter(|_| self.terminal.is_some()) {
            endpoint.machine_mut().clipboard(&text, &mut self.unshown);
            self.write();
        }
        if std::mem::take(&mut self.status_wanted) {
            let [path, traffic] = self.status_lines(endpoint.round_trip());
            self.page(&[&path, &traffic]);
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> Input<ViewerInput> {
        loop {
            if let Some(input) = self.pending.pop_front() {
                return Input::Machine(input);
            }
            let held_until = self.keyboard.deadline().into_iter().chain(self.escapes.deadline()).min();
            let held_until = held_until.map(|at| self.epoch + at.since_start());
            let blocked = !self.unshown.is_empty() && self.terminal.is_some();
            let screen = async {
                match &mut self.terminal {
                    Some(terminal) => terminal.screen.ready().await,
                    None => std::future::pending().await,
                }
            };
            let keys = async {
                match &mut self.keys {
                    Some(keys) => keys.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                input = self.network.next() => return input.into(),
                () = screen, if blocked => self.write(),
                key = keys, if self.keys_wanted => match key {
                    KeyEvent::Bytes(bytes) => {
                        // Only a terminal answers, and brackets what is pasted.
                        let typed = match self.terminal {
                            Some(_) => self.keyboard.read(self.now(), &bytes),
                            None => vec![Typed::Keys(bytes)],
                        };
                        self.on_typed(typed);
                    }
                    // The terminal is gone; a pipe that ended has just said all it had to say.
                    KeyEvent::End => {
                        self.keys = None;
                        if self.interactive {
                            self.pending.push_back(ViewerInput::Leave);
                        }
                    }
                },
                signal = self.signals.next() => self.on_signal(signal),
                () = at(held_until), if held_until.is_some() => {
                    let (actions, typed) = (self.escapes.on_time(self.now()), self.keyboard.on_time(self.now()));
                    self.on_actions(actions);
                    self.on_typed(typed);
                }
                () = at(self.away_again), if self.away_again.is_some() => self.show_standing(),
                () = sleep(Spinner::TURN), if self.spinner.is_visible() => self.spinner.turn(),
            }
            if self.status_wanted {
                return Input::Tick;
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
