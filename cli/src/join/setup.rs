//! Makes a viewer and its surroundings from the command line.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Instant;

use beach_core::crypto::invite::{Invite, InviteError};
use beach_core::endpoint::{Endpoint, Secrets};
use beach_core::peer::engine::Carrier;
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::recording::journal::Recorded as _;
use beach_core::terminal::{Abilities, Options, Size, Window};
use beach_core::viewer::{Viewer, ViewerConfig, ViewerInput};
use beach_runtime_tokio::network::{Network, logged};
use beach_runtime_tokio::record::Recording;
use beach_runtime_tokio::signal;
use beach_runtime_tokio::signals::Signals;
use beach_runtime_tokio::tty::{self, Keys};
use beach_runtime_tokio::{entropy, prompt, seed};

use super::seat::{Seat, SeatKind};
use super::standing::Standing;
use super::told::Told;
use super::typing::Typing;
use super::{Join, ViewerEndpoint};
use crate::args::JoinArgs;
use crate::output::{self, Voice};
use crate::{control, log};

/// The size of a viewer without a terminal, in columns and rows.
pub(super) const NO_TERMINAL: (u16, u16) = (80, 24);

/// The command line, and the invite and the seat that belong to it.
pub(super) struct Setup {
    args: JoinArgs,
    invite: Invite,
    voice: Voice,
    seat: SeatKind,
}

impl Setup {
    /// Starts the log, and finds the invite.
    ///
    /// # Errors
    /// The exit code, after an error message.
    pub(super) async fn new(args: JoinArgs) -> Result<Setup, u8> {
        log::start(&args.log)
            .map_err(|cause| output::usage("cannot write the log", &cause, "choose another --log-file"))?;
        let invite = find_invite("join", &args.target.join(" "))?;
        if !args.nested && control::is_around(&invite).await {
            let advice = "join from another terminal, or pass --nested";
            let what = "this terminal shows the same session";
            return Err(output::usage(what, "the session would show itself within itself", advice));
        }
        if invite.is_loopback() && args.wait.is_none() && signal::nobody_listens(&invite.server).await {
            return Err(output::elsewhere(&invite.server));
        }
        let voice = Voice::of(args.quiet, args.json);
        let is_interactive = tty::is_terminal() && voice != Voice::Json;
        let seat = if is_interactive { SeatKind::OwnTerminal } else { SeatKind::Without };
        Ok(Setup { args, invite, voice, seat })
    }

    /// Builds the viewer's endpoint and its surroundings.
    ///
    /// # Errors
    /// The exit code, after an error message.
    pub(super) fn build(self, epoch: Instant) -> Result<(ViewerEndpoint, Join), u8> {
        let config = self.config();
        let Setup { args, invite, voice, seat } = self;
        let recording =
            args.record_handshake.as_deref().map(Recording::create).transpose().map_err(|error| {
                output::usage("cannot write the recording", &error.to_string(), "choose another file")
            })?;
        let (Some(certificate), Ok(signals)) = (Certificate::generate(), Signals::start()) else {
            let cause = "the system refused random numbers or signals";
            return Err(output::refuse("the viewer could not start", cause, "try again"));
        };
        let reads_keys = seat == SeatKind::OwnTerminal || !std::io::stdin().is_terminal();
        let keys = if reads_keys { Keys::start().ok() } else { None };
        let network = Network::new(&invite.server, invite.is_loopback(), recording)
            .with_ice_servers(&args.paths.ice_server)
            .for_session(invite.session.short());
        let told = Told::new(voice, invite.server.clone(), args.paths.strict);
        let machine = Viewer::new(config.clone());
        let carrier = if args.by_channel { Carrier::Channel } else { Carrier::Rtp };
        let engine = Str0m::new(epoch, certificate).asking_for(carrier);
        let endpoint = Endpoint::new(machine, engine, Secrets::Viewer(invite), entropy());
        let mut endpoint: ViewerEndpoint = logged(endpoint.taking(args.paths.paths()));
        if args.record_handshake.is_some() {
            endpoint = endpoint.recording(&config.first_record());
        }
        if args.redact {
            endpoint = endpoint.redacting();
        }
        // A page of a terminal shows the list, and programs are told each change.
        let shows_members = seat == SeatKind::OwnTerminal || voice == Voice::Json;
        let join = Join {
            epoch,
            told,
            network,
            signals,
            typing: Typing::new(keys, args.escape.byte()),
            seat: Seat::new(seat, args.test_panic),
            standing: Standing::new(),
            owed: VecDeque::new(),
            own: args.own,
            pending: VecDeque::from_iter(shows_members.then_some(ViewerInput::WantMembers)),
            ended_by: None,
        };
        Ok((endpoint, join))
    }

    fn config(&self) -> ViewerConfig {
        let args = &self.args;
        let own_size = tty::size().filter(|_| self.seat == SeatKind::OwnTerminal);
        let (cols, rows) = own_size.unwrap_or(NO_TERMINAL);
        ViewerConfig {
            seed: seed(),
            role: self.invite.role,
            name: args.name.clone(),
            size: Size::new(cols, rows),
            wait: args.wait,
            options: Options { abilities: abilities(), alternate: args.alt, window: Window::Own },
            predict: args.predict,
            history: args.history,
            clipboard: args.clipboard,
            stays: !args.paths.strict,
            reconnect: args.reconnect,
        }
    }
}

/// The abilities of the person's terminal, concluded from the names in the environment.
fn abilities() -> Abilities {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Abilities::of(set("TERM").as_deref(), set("COLORTERM").as_deref(), set("NO_COLOR").is_some())
        .with_program(set("TERM_PROGRAM").as_deref())
}

/// Reads the invite from the TARGET of this command, from stdin, or from a prompt for the key.
pub(crate) fn find_invite(command: &str, target: &str) -> Result<Invite, u8> {
    let unreadable = |error: std::io::Error| {
        output::usage("cannot read the link", &error.to_string(), "pass the link as an argument, or in BEACH_TARGET")
    };
    let target = match target {
        "-" => {
            let line = prompt::read_stdin_line().map_err(unreadable)?;
            if std::io::stdout().is_terminal() && !std::io::stdin().is_terminal() {
                // From now on keys come from the terminal, if there is one.
                let _ = prompt::take_stdin_from_terminal();
            }
            line
        }
        "" => {
            let what = format!("`beach {command}` needs a link");
            let advice = format!("beach {command} LINK, or put the link into BEACH_TARGET");
            return Err(output::usage(&what, "neither the command line nor BEACH_TARGET has one", &advice));
        }
        target => target.to_owned(),
    };
    let invite = match Invite::parse(&target) {
        Err(InviteError::NoKey) => {
            let key = prompt::read_secret("Key (the part of the link after #): ").map_err(|_| {
                let cause = "there is no terminal to ask for the key";
                output::usage(&InviteError::NoKey.to_string(), cause, "copy the whole link, in quotes")
            })?;
            Invite::parse_with_key(&target, &key)
        }
        parsed => parsed,
    };
    invite.map_err(|error| output::usage("cannot use the link", &error.to_string(), "copy the whole link again"))
}
