//! `beach share`: a host, with a PTY and perhaps a terminal around it.

mod notices;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beach_core::crypto::invite::HostSecrets;
use beach_core::endpoint::{Endpoint, Input, Output, Secrets};
use beach_core::host::{
    Approve, Escape, Host, HostConfig, HostExit, HostInput, HostOutput, InviteRules, ModeratorAction, Start,
};
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::recording::journal::Recorded as _;
use beach_core::role::Role;
use beach_core::terminal::Size;
use beach_runtime_tokio::clock::Clock;
use beach_runtime_tokio::control::{Asked, Control};
use beach_runtime_tokio::drive::{Surroundings, drive};
use beach_runtime_tokio::network::{Network, logged};
use beach_runtime_tokio::pty::{Pty, PtyEvent, Spawn, SpawnError};
use beach_runtime_tokio::record::Recording;
use beach_runtime_tokio::serve::Server;
use beach_runtime_tokio::tty::{self, KeyEvent, Keys, Screen, SignalEvent, Signals};
use beach_runtime_tokio::{background, entropy, rendezvous, seed};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use crate::args::{self, ShareArgs};
use crate::audit::{self, Audit};
use crate::cast::CastFile;
use crate::control::{self, Known, LinksShown, Request};
use crate::detach;
use crate::greeting::{Greeting, Links, Remarks};
use crate::log;
use crate::output::{self, Voice, WrittenFile, code};
use crate::rendezvous::Place;
use crate::terminal::Terminal;

/// Lines of history that the host keeps.
const HISTORY: usize = 10_000;

/// How long a headless session stays after its command, if nothing else is said: time to click a link in a build log.
const HEADLESS_LINGER: Duration = Duration::from_secs(5);

/// A command that was hung up gets this long to end, and is killed meanwhile.
const HANG_UP_WITHIN: Duration = Duration::from_secs(5);

/// The last output gets this long to reach a slow own terminal.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// What shells return for a command that is not there.
const NO_COMMAND: i32 = 127;

type HostEndpoint = Endpoint<Host, Str0m>;

pub(crate) async fn run(args: ShareArgs) -> u8 {
    if args.detach {
        return detach::start(&args).await;
    }
    if args.detached.is_some()
        && let Err(error) = background::leave_terminal()
    {
        return output::refuse(
            "the session could not leave its terminal",
            &error.to_string(),
            "share without --detach",
        );
    }
    if let Err(cause) = log::start(&args.log) {
        return output::usage("the log cannot be written", &cause, "choose another --log-file");
    }
    let voice = Voice::of(args.quiet || args.detached.is_some(), args.json);
    // Events on the very terminal that the command draws on would tear its screen.
    let own_terminal = !args.headless && args.detached.is_none() && !args.json && tty::is_terminal();
    let size = args.detached.or_else(|| own_size().filter(|_| own_terminal)).unwrap_or(args.size);
    let place = match Place::find(&args).await {
        Ok(place) => place,
        Err(code) => return code,
    };
    let mut entropy = entropy();
    let secrets = HostSecrets::new(&mut entropy);
    let links = Links::new(|role| secrets.invite(&place.public, role).url(), args.view_only);
    // As every viewer will conclude from the link.
    let loopback = secrets.invite(&place.public, Role::Control).is_loopback();
    let Some(approve) = approval(&args, loopback, own_terminal) else {
        return output::usage(
            "nobody is at this terminal to be asked who may type",
            "the link works from other machines too",
            "say --no-approve: the link is enough; or --approve: `beach approve` lets people in",
        );
    };
    let session = secrets.session().to_string();
    let command = command(&args.command);
    let no_tls = place.public.starts_with("http://") && !loopback;
    let header = match voice {
        Voice::Human => {
            let asks = own_terminal && approve != Approve::Nobody;
            let shown = LinksShown::unless_inside(args.links);
            let remarks = Remarks { no_tls, waits: args.wait.is_some(), asks, qr: args.qr, links: shown };
            Greeting::new(&command_text(&command), size, &links, remarks)
        }
        Voice::Quiet | Voice::Json => Greeting::quiet(links.main()),
    };
    let config = HostConfig {
        seed: seed(),
        size,
        rows_taken: if own_terminal { header.rows(size).min(size.rows - 1) } else { 0 },
        history: HISTORY,
        resize: args.resize.clone(),
        headless: !own_terminal,
        start: match args.wait {
            None => Start::AtOnce,
            Some(within) => Start::WhenJoined(within),
        },
        keep: args.keep,
        approve,
        escape: match args.escape {
            None => Escape::WhenAsked(ASKED_ESCAPE),
            Some(args::Escape::Char(key)) => Escape::Always(key),
            Some(args::Escape::None) => Escape::Never,
        },
        max_viewers: args.max_viewers,
        expire: args.expire,
        links: InviteRules { once: args.once, expire: args.expire_links },
        tells_input: args.audit_input,
        linger: args.linger.unwrap_or(if own_terminal { Duration::ZERO } else { HEADLESS_LINGER }),
    };
    let recording = match args.record_handshake.as_deref().map(Recording::create).transpose() {
        Ok(recording) => recording,
        Err(error) => {
            return output::usage("the recording cannot be written", &error.to_string(), "choose another file");
        }
    };
    let cast = match args.record.as_deref().map(|path| record(path, &args, size, own_terminal, &command)).transpose() {
        Ok(cast) => cast,
        Err(error) => {
            return output::usage(
                "the recording cannot be written",
                &error.to_string(),
                "choose another --record FILE",
            );
        }
    };
    let audit = match args.audit.as_deref().map(|path| Audit::open(path, &session)).transpose() {
        Ok(audit) => audit,
        Err(error) => {
            return output::usage("the audit cannot be written", &error.to_string(), "choose another --audit FILE");
        }
    };
    let Some(certificate) = Certificate::generate() else {
        return output::refuse("no certificate could be made", "the cryptography refused", "try again");
    };
    let signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            return output::refuse("signals cannot be handled", &error.to_string(), "check the system's limits");
        }
    };
    let epoch = Instant::now();
    let recorded = recording.is_some();
    let (host, engine) = (Host::new(config.clone()), Str0m::new(epoch, certificate));
    let endpoint = Endpoint::new(host, engine, Secrets::Host(secrets), entropy);
    let mut endpoint: HostEndpoint = logged(endpoint.taking(args.paths.paths()));
    if recorded {
        endpoint = endpoint.recording(&config.first_record());
    }
    let mut share = Share {
        voice,
        server: place.public.clone(),
        network: Network::new(&place.own, loopback, recording).with_ice_servers(&args.paths.ice_server),
        rendezvous: place.embedded.map(|server| tokio::spawn(serve_within(server, args.test_fault))),
        pty: None,
        pending: VecDeque::new(),
        signals,
        own_terminal,
        terminal: None,
        keys_wanted: true,
        size,
        header,
        rows_taken: config.rows_taken,
        strict: args.paths.strict,
        detached: args.detached.is_some(),
        command,
        cast,
        files_ended: Vec::new(),
        ended_by: None,
        fault: None,
        control: listen(&session),
        asked: Vec::new(),
        attaching: Vec::new(),
        acts: Vec::new(),
        links_changed: false,
        audit,
        view_only: args.view_only,
        told_links: false,
        clock: Clock::since(epoch),
        session,
        links,
    };
    let exit = drive(&mut endpoint, epoch, &mut share).await;
    share.finish(exit).await
}

/// What a person presses before the answer, if they chose no other escape: what telnet has, and few programs.
const ASKED_ESCAPE: u8 = 0x1d;

/// Who is asked about; nothing if that has to be said and was not.
fn approval(args: &ShareArgs, loopback: bool, own_terminal: bool) -> Option<Approve> {
    match (args.approve, args.no_approve) {
        (true, _) => Some(Approve::Everybody),
        (false, true) => Some(Approve::Nobody),
        // Nobody who has a link may type.
        (false, false) if loopback || args.view_only => Some(Approve::Nobody),
        (false, false) => Some(Approve::Control).filter(|_| own_terminal),
    }
}

/// What programs in a headless terminal are told of it.
const HEADLESS_TERM: &str = "xterm-256color";

fn record(path: &Path, args: &ShareArgs, size: Size, own_terminal: bool, command: &[OsString]) -> io::Result<CastFile> {
    let own = || std::env::var("TERM").ok();
    let term = if own_terminal { own() } else { Some(HEADLESS_TERM.to_owned()) };
    CastFile::create(path, args.record_format, size, term, command_text(command))
}

fn own_size() -> Option<Size> {
    tty::size().map(|(cols, rows)| Size::new(cols, rows))
}

fn command(given: &[OsString]) -> Vec<OsString> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let shell = std::env::var_os("SHELL").filter(|shell| Path::new(shell).exists());
    vec![shell.unwrap_or_else(|| OsStr::new("/bin/sh").to_owned())]
}

/// The command as a person would name it: the program without its folder.
fn command_text(command: &[OsString]) -> String {
    let name = Path::new(&command[0]).file_name().unwrap_or(&command[0]);
    let parts = std::iter::once(name).chain(command[1..].iter().map(OsString::as_os_str));
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// What stands around the host.
struct Share {
    voice: Voice,
    server: String,
    network: Network,
    rendezvous: Option<JoinHandle<()>>,
    pty: Option<Pty>,
    pending: VecDeque<HostInput>,
    signals: Signals,
    own_terminal: bool,
    terminal: Option<Terminal>,
    keys_wanted: bool,
    links: Links,
    /// No link that lets type is given out.
    view_only: bool,
    /// The links were shown.
    told_links: bool,
    session: String,
    size: Size,
    header: Greeting,
    /// The header stands at the top of the own terminal, and the command begins below it.
    rows_taken: u16,
    strict: bool,
    detached: bool,
    command: Vec<OsString>,
    /// What is printed is recorded there, until that fails.
    cast: Option<CastFile>,
    /// Files that could not be written any more, as long as that cannot be said without tearing the own terminal's screen.
    files_ended: Vec<(WrittenFile, io::Error)>,
    /// The signal that ended it, as an exit code.
    ended_by: Option<u8>,
    /// A part of this program that must not end did.
    fault: Option<&'static str>,
    /// Where others of the same user ask.
    control: Option<Control>,
    /// Who waits to be told the status.
    asked: Vec<oneshot::Sender<String>>,
    /// And who the link that lets type, for themselves.
    attaching: Vec<oneshot::Sender<String>>,
    /// What was decided elsewhere, and who is to be told whether it could be.
    acts: Vec<(ModeratorAction, oneshot::Sender<String>)>,
    links_changed: bool,
    /// Where it is written down who did what.
    audit: Option<Audit>,
    clock: Clock,
}

/// Without a control socket a session works as well.
fn listen(session: &str) -> Option<Control> {
    Control::listen(session).inspect_err(|error| tracing::warn!(%error, "no control socket")).ok()
}

impl Share {
    fn start(&mut self, size: Size) {
        self.record(|cast| cast.start(size));
        if self.own_terminal {
            match Terminal::start() {
                Ok(mut terminal) => {
                    terminal.show(format!("\x1b[{};1H\x1b[J", self.rows_taken + 1).into_bytes());
                    self.terminal = Some(terminal);
                }
                Err(error) => tracing::error!(%error, "the own terminal cannot be used"),
            }
        }
        let mut env = vec![(control::SESSION.into(), self.session.clone().into())];
        if let Some(control) = &self.control {
            env.push((control::SOCKET.into(), control.path().into()));
        }
        if !self.own_terminal {
            env.push(("TERM".into(), HEADLESS_TERM.into()));
            env.push(("COLORTERM".into(), "truecolor".into()));
        }
        let spawn = Spawn {
            program: self.command[0].clone(),
            args: self.command[1..].to_vec(),
            env,
            // A target holds a key.
            env_remove: vec!["BEACH_TARGET".into()],
            cols: size.cols,
            rows: size.rows,
        };
        match Pty::spawn(&spawn) {
            Ok(pty) => self.pty = Some(pty),
            Err(error) => {
                self.terminal = None;
                let code = match error {
                    SpawnError::NoCommand(error) => {
                        let what = format!("`{}` could not be started", command_text(&self.command));
                        output::refuse(&what, &error.to_string(), "check the command after --");
                        NO_COMMAND
                    }
                    SpawnError::NoTerminal(error) => {
                        let advice = "see whether /dev/pts is mounted, and kernel.pty.max";
                        i32::from(output::refuse("the system gave no pseudo-terminal", &error.to_string(), advice))
                    }
                };
                self.pending.push_back(HostInput::Ended(code));
            }
        }
    }

    /// A disk that is full ends the recording, not the session.
    fn record(&mut self, write: impl FnOnce(&mut CastFile) -> io::Result<()>) {
        if let Some(Err(error)) = self.cast.as_mut().map(write) {
            self.cast = None;
            self.recording_ended(error);
        }
    }

    fn recording_ended(&mut self, error: io::Error) {
        self.file_ended(WrittenFile::Recording, error);
    }

    /// Told once: as an event, in the log, and to the person as soon as that does not tear their screen.
    fn file_ended(&mut self, file: WrittenFile, error: io::Error) {
        tracing::error!(%error, file = file.name(), "a file ends here");
        self.voice.event(file.event(), &json!({ "cause": error.to_string() }));
        if self.terminal.is_some() {
            self.files_ended.push((file, error));
        } else {
            output::file_ended(file, &error);
        }
    }

    fn audit_ended(&mut self, error: io::Error) {
        self.audit = None;
        self.file_ended(WrittenFile::Audit, error);
    }

    /// A join failed: counted for the audit, as anybody can make joins fail.
    fn count(&mut self, failure: audit::Failure, fields: Value) {
        if let Some(audit) = &mut self.audit {
            audit.count(failure, fields);
        }
    }

    /// For whoever reads the events, and for the audit.
    fn tell(&mut self, kind: &str, fields: &Value) {
        self.voice.event(kind, fields);
        self.note(kind, fields);
    }

    /// For the audit. A disk that is full ends it, not the session.
    fn note(&mut self, kind: &str, fields: &Value) {
        if let Some(Err(error)) = self.audit.as_ref().map(|audit| audit.note(kind, fields)) {
            self.audit_ended(error);
        }
    }

    fn on_signal(&mut self, signal: SignalEvent) -> Option<HostInput> {
        let ended_by = match signal {
            SignalEvent::Resize => {
                return own_size().filter(|_| self.own_terminal).map(HostInput::Resized);
            }
            SignalEvent::Continue => {
                if let Some(terminal) = &self.terminal {
                    terminal.raw.resume().unwrap_or_else(|error| tracing::warn!(%error, "no raw mode"));
                }
                return None;
            }
            SignalEvent::Stop => {
                match &self.terminal {
                    Some(terminal) => {
                        terminal.raw.suspend().unwrap_or_else(|error| tracing::warn!(%error, "not suspended"));
                    }
                    None => tty::stop(),
                }
                return None;
            }
            SignalEvent::Terminate => 143,
            SignalEvent::HangUp => 129,
            SignalEvent::Interrupt => 130,
        };
        self.ended_by = Some(ended_by);
        Some(HostInput::Stop)
    }

    async fn finish(mut self, exit: HostExit) -> u8 {
        if let Some(terminal) = &mut self.terminal {
            terminal.write();
            terminal.screen.flush(FLUSH_WITHIN).await;
        }
        drop(self.terminal.take());
        for (file, error) in self.files_ended.drain(..) {
            output::file_ended(file, &error);
        }
        self.network.close().await;
        if let Some(mut pty) = self.pty.take() {
            // It was asked to hang up, and is killed if it will not.
            let ended = async { while !matches!(pty.next().await, PtyEvent::Exited(_)) {} };
            let _ = timeout(HANG_UP_WITHIN, ended).await;
        }
        let (code, reason) = match exit {
            HostExit::Ended(code) => (u8::try_from(code & 0xff).unwrap_or(code::FAILED), "ended"),
            HostExit::Stopped => match self.fault {
                Some(fault) => {
                    (output::refuse("the session ended by a fault", fault, "share again, and report it"), "fault")
                }
                None => (self.ended_by.unwrap_or(0), "stopped"),
            },
            HostExit::Expired => (self.ended_by.unwrap_or(0), "expired"),
            HostExit::Failed(failure) => (output::share_failed(&failure, &self.server), "failed"),
            HostExit::NobodyJoined => {
                let advice = "give a longer --wait=SECS, or none";
                (output::refuse("no viewer came in time", "nobody joined", advice), "nobody_joined")
            }
        };
        if let Some(Err(error)) = self.cast.take().map(|cast| cast.end(code)) {
            self.recording_ended(error);
        }
        let fields = json!({ "code": code, "reason": reason });
        self.note("exit", &fields);
        if let Some(Err(error)) = self.audit.take().map(Audit::end) {
            self.audit_ended(error);
        }
        self.voice.event("exit", &fields);
        if self.own_terminal {
            self.voice.say("  beach: the session has ended.");
        }
        code
    }
}

impl Surroundings<HostEndpoint> for Share {
    type End = HostExit;

    fn perform(&mut self, output: Output<HostOutput>) -> ControlFlow<HostExit> {
        let Some(output) = self.network.perform(output) else { return ControlFlow::Continue(()) };
        match output {
            // The endpoint keeps these for itself.
            HostOutput::Link(_) => {}
            HostOutput::Start(size) => self.start(size),
            HostOutput::Write(bytes) => {
                if let Some(pty) = &mut self.pty {
                    pty.write(bytes);
                }
            }
            HostOutput::Show(bytes) => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.show(bytes);
                }
            }
            HostOutput::Resize(size) => {
                self.record(|cast| cast.resize(size));
                if let Some(pty) = &self.pty {
                    pty.resize(size.cols, size.rows);
                }
            }
            HostOutput::KeysTaken => self.keys_wanted = true,
            HostOutput::HangUp => {
                if let Some(pty) = &mut self.pty {
                    pty.hang_up();
                }
            }
            HostOutput::Notice(notice) => self.on_notice(notice),
            HostOutput::Exit(exit) => return ControlFlow::Break(exit),
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, endpoint: &mut HostEndpoint) -> ControlFlow<HostExit> {
        if std::mem::take(&mut self.links_changed) {
            let link = |role| endpoint.invite(&self.server, role).map(|invite| invite.url()).unwrap_or_default();
            self.links = Links::new(link, self.view_only);
            self.voice.event("links", &json!({ "join": self.links.join, "view": self.links.view }));
        }
        for asked in self.attaching.drain(..) {
            let invite = endpoint.invite(&self.server, Role::Control).map(|invite| invite.url());
            let _ = asked.send(json!({ "link": invite }).to_string());
        }
        if !self.asked.is_empty() {
            let known = Known {
                session: &self.session,
                command: &command_text(&self.command),
                links: &self.links,
                server: &self.server,
                clock: self.clock,
            };
            let answer = control::answer(&known, &endpoint.machine().status()).to_string();
            for asked in self.asked.drain(..) {
                // Whoever asked may be gone.
                let _ = asked.send(answer.clone());
            }
        }
        for (act, asked) in self.acts.drain(..) {
            let answer = match endpoint.machine().may(&act) {
                Ok(()) => {
                    self.pending.push_back(HostInput::Act(act));
                    json!({ "done": true })
                }
                Err(objection) => json!({ "error": objection.to_string() }),
            };
            let _ = asked.send(answer.to_string());
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> Input<HostInput> {
        loop {
            if let Some(input) = self.pending.pop_front() {
                return Input::Machine(input);
            }
            let blocked = self.terminal.as_ref().is_some_and(|terminal| !terminal.unwritten.is_empty());
            if let Some(pty) = &mut self.pty {
                pty.pause_output(blocked);
            }
            let (screen, keys) = match &mut self.terminal {
                Some(terminal) => (Some(&mut terminal.screen), Some(&mut terminal.keys)),
                None => (None, None),
            };
            let event = tokio::select! {
                input = self.network.next() => return input,
                event = next_of(&mut self.pty, Pty::next) => Happened::Pty(event),
                () = next_of_ref(screen, Screen::ready), if blocked => Happened::Writable,
                event = next_of_ref(keys, Keys::next), if self.keys_wanted => Happened::Key(event),
                signal = self.signals.next() => Happened::Signal(signal),
                () = ended(&mut self.rendezvous) => Happened::RendezvousEnded,
                asked = next_of(&mut self.control, Control::next) => Happened::Asked(asked),
                () = audit_due(self.audit.as_ref()) => Happened::AuditDue,
            };
            let input = match event {
                Happened::Pty(PtyEvent::Output(bytes)) => {
                    self.record(|cast| cast.output(&bytes));
                    Some(HostInput::Printed(bytes))
                }
                Happened::Pty(PtyEvent::Written) => Some(HostInput::Written),
                Happened::Pty(PtyEvent::Exited(exit)) => {
                    self.pty = None;
                    Some(HostInput::Ended(exit.code()))
                }
                Happened::Writable => {
                    if let Some(terminal) = &mut self.terminal {
                        terminal.write();
                    }
                    None
                }
                Happened::Key(KeyEvent::Bytes(bytes)) => {
                    self.keys_wanted = false;
                    Some(HostInput::Keys(bytes))
                }
                Happened::AuditDue => {
                    if let Some(Err(error)) = self.audit.as_mut().map(|audit| audit.on_time(Instant::now())) {
                        self.audit_ended(error);
                    }
                    None
                }
                Happened::Key(KeyEvent::End) => Some(HostInput::Stop),
                Happened::Signal(signal) => self.on_signal(signal),
                Happened::Asked(asked) => match Request::of(&asked) {
                    Some(Request::Status) => {
                        self.asked.push(asked.answer);
                        return Input::Tick;
                    }
                    Some(Request::Attach) => {
                        self.attaching.push(asked.answer);
                        return Input::Tick;
                    }
                    Some(Request::Stop) => {
                        let _ = asked.answer.send(json!({ "stopping": true }).to_string());
                        Some(HostInput::Stop)
                    }
                    Some(Request::Act(act)) => {
                        self.acts.push((act, asked.answer));
                        return Input::Tick;
                    }
                    // The connection ends without an answer.
                    None => None,
                },
                Happened::RendezvousEnded => {
                    tracing::error!("the rendezvous inside share ended");
                    self.fault = Some("the rendezvous inside share failed");
                    Some(HostInput::Stop)
                }
            };
            if let Some(input) = input {
                return Input::Machine(input);
            }
        }
    }
}

enum Happened {
    Asked(Asked),
    AuditDue,
    Pty(PtyEvent),
    Writable,
    Key(KeyEvent),
    Signal(SignalEvent),
    RendezvousEnded,
}

/// What an optional source reports next; one that is not there never does.
async fn next_of<'a, S, T>(source: &'a mut Option<S>, next: impl AsyncFnOnce(&'a mut S) -> T) -> T {
    next_of_ref(source.as_mut(), next).await
}

async fn next_of_ref<'a, S, T>(source: Option<&'a mut S>, next: impl AsyncFnOnce(&'a mut S) -> T) -> T {
    match source {
        Some(source) => next(source).await,
        None => std::future::pending().await,
    }
}

/// Waits until counted failures are to be written.
async fn audit_due(audit: Option<&Audit>) {
    match audit.and_then(Audit::deadline) {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The rendezvous inside share; it panics after a time if a test asks for that.
async fn serve_within(server: Server, fault: Option<Duration>) {
    let fault = async {
        match fault {
            Some(after) => sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = rendezvous::run(server, true, rendezvous::HandedOut::default(), Arc::default()) => {}
        () = fault => panic!("asked for by --test-fault"),
    }
}

/// A task that ends is a fault of ours: it would have run for ever.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(handle) => {
            let _ = handle.await;
            *task = None;
        }
        None => std::future::pending().await,
    }
}
