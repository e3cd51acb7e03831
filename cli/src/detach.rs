//! `share --detach` starts a session in the background; `attach` joins that session.

use std::env;
use std::io;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use beach_core::terminal::Size;
use beach_runtime_tokio::{stdin, tty};

use crate::args::{self, AttachArgs, ShareArgs};
use crate::control;
use crate::greeting::{Ending, Greeting, InvitesShown, Remarks};
use crate::join;
use crate::output::{self, Voice, code};

/// Starts the same command line in the background, without a terminal, and prints its links once they work.
pub(crate) async fn start(args: &ShareArgs) -> u8 {
    let size = tty::size().map_or(args.size, |(cols, rows)| Size::new(cols, rows));
    let refuse = |error: &io::Error| {
        output::refuse("cannot start the session in the background", &error.to_string(), "share without --detach")
    };
    let child = env::current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.args(args::detached(size)).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    });
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return refuse(&error),
    };
    // The child ends, and closes this pipe, if the rendezvous does not register the session within 15 s.
    let mut link = String::new();
    let said = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut link));
    let link = link.trim_end();
    if link.is_empty() || !matches!(said, Some(Ok(_))) {
        // The child has printed the reason.
        return match child.wait() {
            Ok(ended) => ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(code::FAILED),
            Err(error) => refuse(&error),
        };
    }
    if stdin::has_input() {
        output::input_is_not_passed_on();
    }
    if args.quiet {
        output::print(link);
        return 0;
    }
    match control::links_of(link).await {
        Some((command, links)) => {
            let no_tls = link.starts_with("http://") && !link.starts_with("http://localhost");
            let shown = InvitesShown::unless_inside(args.links);
            let remarks = Remarks {
                ending: Ending::Headless,
                local: args.server.is_none() && link.starts_with("http://localhost"),
                no_tls,
                waits: args.wait.is_some(),
                asks: false,
                escape: None,
                qr: args.qr,
                copied: args.copy && shown == InvitesShown::Yes,
                links: shown,
            };
            output::header(Greeting::new(&command, size, &links, remarks).lines());
            if remarks.copied {
                output::copy(links.main());
            }
        }
        None if InvitesShown::unless_inside(args.links) == InvitesShown::Yes => output::print(link),
        None => {}
    }
    Voice::Human.say("In the background: `beach attach` joins the session, `beach stop` stops it.");
    0
}

/// `beach attach`.
pub(crate) async fn attach(args: AttachArgs) -> u8 {
    match control::link_of(args.session.as_deref()).await {
        Ok((link, own)) => join::run(args::joining(link, own, &args)).await,
        Err(code) => code,
    }
}
