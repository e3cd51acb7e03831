//! `beach web`: the page for browsers, served by this machine, for a link; and `beach version`.

use beach_core::crypto::invite::Invite;
use beach_runtime_tokio::signals::{self, Signals, SystemSignal};
use beach_runtime_tokio::{forward, page};

use crate::args::WebArgs;
use crate::join::find_invite;
use crate::{log, output, serve};

/// Only this machine reaches the page, at a port that the system chooses.
const LISTEN: &str = "127.0.0.1:0";

pub(crate) async fn run(args: WebArgs) -> u8 {
    if let Err(cause) = log::start(&args.log) {
        return output::usage("cannot write the log", &cause, "choose another --log-file");
    }
    let invite = match find_invite("web", &args.target.join(" ")) {
        Ok(invite) => invite,
        Err(code) => return code,
    };
    let server = match serve::listen(LISTEN).await {
        Ok(server) => server,
        Err(cause) => return output::refuse("cannot serve the page", &cause, "check the system's limits"),
    };
    let mut signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            return output::refuse("cannot handle signals", &error.to_string(), "check the system's limits");
        }
    };
    let (rendezvous, session) = (invite.server.clone(), invite.session.short());
    let here = Invite { server: format!("http://{}", server.local_addr()), ..invite };
    output::page_served(&here.url());
    tokio::select! {
        never = forward::run(server, rendezvous, session) => match never {},
        code = ended(&mut signals) => code,
    }
}

/// Waits for a signal that ends the program.
async fn ended(signals: &mut Signals) -> u8 {
    loop {
        match signals.next().await {
            SystemSignal::Interrupt => return 130,
            SystemSignal::Terminate | SystemSignal::HangUp => return 0,
            SystemSignal::Stop => signals::stop(),
            SystemSignal::Resize | SystemSignal::Continue => {}
        }
    }
}

/// `beach version`: the program's, and the page's name; with `--web` all facts about the page.
pub(crate) fn version(all_of_page: bool) -> u8 {
    if all_of_page {
        output::print(page::MANIFEST.trim_end());
    } else {
        output::print(&format!("beach {}\npage  {}", env!("CARGO_PKG_VERSION"), page::name()));
    }
    0
}
