//! Makes a host and its surroundings from the command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use beach_core::Entropy;
use beach_core::crypto::keys::HostSecrets;
use beach_core::endpoint::{Endpoint, Secrets};
use beach_core::host::{Approve, Escape, Host, HostConfig, HostInput, InviteRules, Start};
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::recording::journal::Recorded as _;
use beach_core::role::Role;
use beach_core::terminal::{Abilities, Size};
use beach_runtime_tokio::clock::Clock;
use beach_runtime_tokio::network::{Network, logged};
use beach_runtime_tokio::record::Recording;
use beach_runtime_tokio::serve::Server;
use beach_runtime_tokio::signals::Signals;
use beach_runtime_tokio::{background, entropy, rendezvous, seed, stdin, tty};
use tokio::time::sleep;

use super::hooks::Hooks;
use super::told::Told;
use super::{Announced, Freshness, HostEndpoint, Program, Questions, Seat, SeatKind, Session, Share};
use crate::args::ShareArgs;
use crate::audit::Audit;
use crate::cast::CastFile;
use crate::greeting::{Ending, Greeting, Header, Invites, InvitesShown, Remarks, is_inside};
use crate::log;
use crate::output::{self, Voice};
use crate::program::{self, command_text};
use crate::rendezvous::Place;

/// The host's scrollback, in lines.
const HISTORY: usize = 10_000;

/// The default of --linger for a headless session: time to click a link in a build log.
const HEADLESS_LINGER: Duration = Duration::from_secs(5);

/// The default of --escape, Ctrl-]: telnet's escape, which few other programs use.
const ESCAPE: u8 = 0x1d;

/// The value of TERM in a headless terminal.
pub(super) const HEADLESS_TERM: &str = "xterm-256color";

/// The command line, and the rendezvous, the secrets and the seat that belong to it.
pub(super) struct Setup {
    args: ShareArgs,
    voice: Voice,
    seat: SeatKind,
    size: Size,
    place: Place,
    secrets: HostSecrets,
    entropy: Entropy,
    approve: Approve,
    command: Vec<OsString>,
}

impl Setup {
    /// Leaves the terminal (--detach), starts the log and the rendezvous, and draws the secrets.
    ///
    /// # Errors
    /// The exit code, after an error message.
    pub(super) async fn new(args: ShareArgs) -> Result<Setup, u8> {
        if args.detached.is_some()
            && let Err(error) = background::leave_terminal()
        {
            let what = "the session cannot leave its terminal";
            return Err(output::refuse(what, &error.to_string(), "share without --detach"));
        }
        log::start(&args.log)
            .map_err(|cause| output::usage("cannot write the log", &cause, "choose another --log-file"))?;
        let command = program::command(&args.command);
        program::look_for(&command[0]).map_err(|cause| program::cannot_start(&command, cause))?;
        let seat = SeatKind::of(&args);
        let own_size = super::own_size().filter(|_| seat == SeatKind::OwnTerminal);
        let place = Place::find(&args).await?;
        let mut entropy = entropy();
        let secrets = HostSecrets::new(&mut entropy);
        // Every viewer draws the same conclusion from the invite.
        let loopback = secrets.invite(&place.public, Role::Control).is_loopback();
        let approve = approval(&args, loopback, seat).ok_or_else(|| {
            output::usage(
                "share has no terminal to ask you who may type",
                "people on other machines can use the link",
                "say --no-approve to let them in, or --approve to use `beach approve`",
            )
        })?;
        Ok(Setup {
            voice: Voice::of(args.quiet || args.detached.is_some(), args.json),
            size: args.detached.or(own_size).unwrap_or(args.size),
            command,
            args,
            seat,
            place,
            secrets,
            entropy,
            approve,
        })
    }

    /// Builds the host's endpoint and its surroundings.
    ///
    /// # Errors
    /// The exit code, after an error message.
    pub(super) fn build(self, epoch: Instant) -> Result<(HostEndpoint, Share), u8> {
        let id = self.secrets.session().to_string();
        let invites = Invites::new(|role| self.secrets.invite(&self.place.public, role).url(), self.args.view_only);
        let header = self.header(&invites);
        let rows_taken = match self.seat {
            SeatKind::OwnTerminal => header.rows().min(self.size.rows - 1),
            SeatKind::Headless | SeatKind::Detached => 0,
        };
        let config = self.config(rows_taken);
        let recording = file(self.args.record_handshake.as_deref(), "recording", "file", Recording::create)?;
        let told = self.told(&id)?;
        self.warn();
        let Some(certificate) = Certificate::generate() else {
            return Err(output::refuse("cannot make a certificate", "the cryptography library failed", "try again"));
        };
        let signals = Signals::start().map_err(|error| {
            output::refuse("cannot handle signals", &error.to_string(), "check the system's limits")
        })?;
        let loopback = self.secrets.invite(&self.place.public, Role::Control).is_loopback();
        let network = Network::new(&self.place.own, loopback, recording)
            .with_ice_servers(&self.args.paths.ice_server)
            .for_session(self.secrets.session().short());
        let (host, engine) = (Host::new(config.clone()), Str0m::new(epoch, certificate));
        let endpoint = Endpoint::new(host, engine, Secrets::Host(self.secrets), self.entropy);
        let mut endpoint: HostEndpoint = logged(endpoint.taking(self.args.paths.paths()));
        if self.args.record_handshake.is_some() {
            endpoint = endpoint.recording(&config.first_record());
        }
        if self.args.redact {
            endpoint = endpoint.redacting();
        }
        let shows_members = (!self.args.quiet_members).then_some(HostInput::ShowMembers);
        let screen_titles = has_screen_titles(term(self.seat).as_deref()).then_some(HostInput::ScreenTitles);
        let reports =
            Abilities::of(term(self.seat).as_deref(), None, false).cursor_reports.then_some(HostInput::CursorReports);
        let pending = screen_titles.into_iter().chain(reports).chain(shows_members).collect();
        let share = Share {
            told,
            network,
            rendezvous: self.place.embedded.map(|server| tokio::spawn(serve_within(server, self.args.test_fault))),
            program: Program { command: self.command, pty: None },
            seat: Seat::new(self.seat, self.size, header, rows_taken),
            signals,
            questions: Questions::listen(&id),
            hooks: Hooks::new(self.args.on_join, self.args.on_leave),
            session: Session {
                id,
                name: self.args.name,
                server: self.place.public,
                invites,
                freshness: Freshness::Current,
                announced: Announced::NotYet,
                view_only: self.args.view_only,
                // Viewers of a shared terminal around this one would get the link too.
                copy: if self.args.copy { InvitesShown::unless_inside(self.args.links) } else { InvitesShown::No },
                strict: self.args.paths.strict,
                expire: self.args.expire,
                clock: Clock::since(epoch),
            },
            pending,
            stopped_by: None,
        };
        Ok((endpoint, share))
    }

    /// Warns about what the greeting does not say.
    fn warn(&self) {
        match self.seat {
            SeatKind::OwnTerminal => {}
            SeatKind::Headless => drop(tokio::spawn(async {
                stdin::input_arrives().await;
                output::input_is_not_passed_on();
            })),
            // The process that started this one warns.
            SeatKind::Detached => return,
        }
        if self.voice != Voice::Human && is_inside() {
            let cause = "viewers of this shared terminal see its output, links too";
            output::warn("this terminal is shared already", cause, "share from another terminal");
        }
    }

    /// The rendezvous inside share is of this version, and finds sessions by short links.
    fn header(&self, invites: &Invites) -> Header {
        let short = invites.short();
        let long = if self.place.embedded.is_some() { &short } else { invites };
        Header::new(self.greeting(long), self.greeting(&short), self.size)
    }

    fn greeting(&self, invites: &Invites) -> Greeting {
        match self.voice {
            Voice::Human => {
                let loopback = self.secrets.invite(&self.place.public, Role::Control).is_loopback();
                let shown = InvitesShown::unless_inside(self.args.links);
                let remarks = Remarks {
                    ending: Ending::of(self.seat, &self.command),
                    local: self.place.embedded.is_some() && loopback,
                    no_tls: self.place.public.starts_with("http://") && !loopback,
                    waits: self.args.wait.is_some(),
                    asks: self.seat == SeatKind::OwnTerminal && self.approve != Approve::Nobody,
                    escape: self.escape().filter(|_| self.seat == SeatKind::OwnTerminal),
                    qr: self.args.qr,
                    copied: self.args.copy && shown == InvitesShown::Yes,
                    links: shown,
                };
                Greeting::new(&command_text(&self.command), self.size, invites, remarks)
            }
            Voice::Quiet | Voice::Json => Greeting::quiet(invites.main()),
        }
    }

    /// The key that begins a command at the own terminal.
    fn escape(&self) -> Option<u8> {
        match self.args.escape {
            None => Some(ESCAPE),
            Some(key) => key.byte(),
        }
    }

    fn config(&self, rows_taken: u16) -> HostConfig {
        let args = &self.args;
        let headless = self.seat != SeatKind::OwnTerminal;
        HostConfig {
            seed: seed(),
            size: self.size,
            rows_taken,
            history: HISTORY,
            resize: args.resize.clone(),
            headless,
            start: match args.wait {
                None => Start::AtOnce,
                Some(within) => Start::WhenJoined(within),
            },
            keep: args.keep,
            approve: self.approve,
            escape: self.escape().map_or(Escape::Never, Escape::Always),
            max_viewers: args.max_viewers,
            expire: args.expire,
            links: InviteRules { once: args.once, expire: args.expire_links },
            no_browsers: args.no_browser,
            tells_input: args.audit_input,
            linger: args.linger.unwrap_or(if headless { HEADLESS_LINGER } else { Duration::ZERO }),
        }
    }

    fn told(&self, id: &str) -> Result<Told, u8> {
        let args = &self.args;
        let term = term(self.seat);
        let cast = file(args.record.as_deref(), "recording", "--record FILE", |path| {
            CastFile::create(path, args.record_format, self.size, term, command_text(&self.command))
        })?;
        let audit = file(args.audit.as_deref(), "audit", "--audit FILE", |path| Audit::open(path, id))?;
        Ok(Told::new(self.voice, cast, audit))
    }
}

/// The command's TERM.
fn term(seat: SeatKind) -> Option<String> {
    match seat {
        SeatKind::OwnTerminal => std::env::var("TERM").ok(),
        SeatKind::Headless | SeatKind::Detached => Some(HEADLESS_TERM.to_owned()),
    }
}

/// Whether programs set titles in GNU screen's way. Other terminals print such a title.
fn has_screen_titles(term: Option<&str>) -> bool {
    term.is_some_and(|term| term.starts_with("screen") || term.starts_with("tmux"))
}

/// Opens a file, if the command line names one.
///
/// # Errors
/// The exit code, after an error message.
fn file<T>(
    path: Option<&Path>,
    name: &str,
    flag: &str,
    open: impl FnOnce(&Path) -> std::io::Result<T>,
) -> Result<Option<T>, u8> {
    path.map(open).transpose().map_err(|error| {
        let (what, advice) = (format!("cannot write the {name}"), format!("choose another {flag}"));
        output::usage(&what, &error.to_string(), &advice)
    })
}

/// The people whom the host has to approve; `None` if the command line must say and does not.
fn approval(args: &ShareArgs, loopback: bool, seat: SeatKind) -> Option<Approve> {
    match (args.approve, args.no_approve) {
        (true, _) => Some(Approve::Everybody),
        (false, true) => Some(Approve::Nobody),
        // A link of this machine alone, or a link without typing, needs no approval.
        (false, false) if loopback || args.view_only => Some(Approve::Nobody),
        (false, false) => Some(Approve::Control).filter(|_| seat == SeatKind::OwnTerminal),
    }
}

impl Ending {
    fn of(seat: SeatKind, command: &[OsString]) -> Ending {
        const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "fish", "ksh", "mksh", "nu"];
        let program = Path::new(&command[0]).file_name().and_then(OsStr::to_str);
        // `sh -c` runs a command and ends.
        let is_shell = command.len() == 1 && program.is_some_and(|name| SHELLS.contains(&name));
        match seat {
            SeatKind::Headless | SeatKind::Detached => Ending::Headless,
            SeatKind::OwnTerminal if is_shell => Ending::Shell,
            SeatKind::OwnTerminal => Ending::Program,
        }
    }
}

impl SeatKind {
    fn of(args: &ShareArgs) -> SeatKind {
        if args.detached.is_some() {
            SeatKind::Detached
        } else if !args.headless && !args.json && tty::is_terminal() {
            SeatKind::OwnTerminal
        } else {
            // Events on the terminal of the command would tear its screen.
            SeatKind::Headless
        }
    }
}

/// Runs the rendezvous inside share, which panics after `fault` (--test-fault).
async fn serve_within(server: Server, fault: Option<Duration>) {
    let fault = async {
        match fault {
            Some(after) => sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = rendezvous::run(server, true, rendezvous::HandedOut::default(), rendezvous::Operation::default()) => {}
        () = fault => panic!("asked for by --test-fault"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_how_this_command_ends() {
        let says = |seat, words: &[&str]| {
            let command: Vec<OsString> = words.iter().map(OsString::from).collect();
            let ending = Ending::of(seat, &command);
            let remarks = Remarks {
                ending,
                local: true,
                no_tls: true,
                waits: false,
                asks: false,
                escape: None,
                qr: false,
                copied: false,
                links: InvitesShown::Yes,
            };
            let links = Invites::new(|_| "LINK".to_owned(), false);
            let greeting = Greeting::new("command", Size::new(80, 24), &links, remarks);
            greeting.lines().map(str::trim).collect::<Vec<_>>().join(" ")
        };
        let own = SeatKind::OwnTerminal;
        assert!(says(own, &["/bin/zsh"]).contains("Exit the shell (Ctrl-D) to stop sharing."));
        assert!(says(own, &["htop"]).contains("Sharing stops when the command ends."));
        assert!(says(own, &["sh", "-c", "make"]).contains("Sharing stops when the command ends."));
        for seat in [SeatKind::Headless, SeatKind::Detached] {
            assert!(says(seat, &["sh"]).contains("Sharing stops when the command ends, or by `beach stop`."));
        }
        let not_https =
            "Not https: somebody on the network could stop people from joining, but cannot read along or join.";
        assert!(
            says(own, &["sh"])
                .contains("These links work on this machine only. For others: --lan, --listen ADDR, or --server URL")
        );
        assert!(says(own, &["sh"]).contains(not_https), "{}", says(own, &["sh"]));
    }
    #[test]
    fn titles_of_screens_kind_are_for_terminals_of_that_kind() {
        for term in ["screen", "screen-256color", "tmux", "tmux-256color"] {
            assert!(has_screen_titles(Some(term)), "{term}");
        }
        for term in [None, Some("xterm-256color"), Some("dumb"), Some("not-screen")] {
            assert!(!has_screen_titles(term), "{term:?}");
        }
    }
}
