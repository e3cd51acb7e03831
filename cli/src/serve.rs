//! `beach serve`: a rendezvous.

use std::net::SocketAddr;
use std::sync::Arc;

use beach_core::gather::IceServer;
use beach_runtime_tokio::rendezvous;
use beach_runtime_tokio::serve::Server;
use beach_runtime_tokio::tty::{self, SignalEvent, Signals};
use tokio::sync::Notify;

use crate::args::ServeArgs;
use crate::{log, status};

pub(crate) async fn run(args: ServeArgs) -> u8 {
    if let Err(cause) = log::start(&args.log) {
        return status::usage("the log cannot be written", &cause, "choose another --log-file");
    }
    let server = match listen(&args.listen).await {
        Ok(server) => server,
        Err(error) => {
            return status::usage(&format!("cannot listen on {}", args.listen), &error, "choose another --listen");
        }
    };
    let mut signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            return status::refuse("signals cannot be handled", &error.to_string(), "check the system's limits");
        }
    };
    let ice = match look_up(&args.ice_server).await {
        Ok(ice) => ice,
        Err(name) => return status::usage("a STUN server was not found", &name, "check --ice-server"),
    };
    status::serving(server.local_addr());
    let drain = Arc::new(Notify::new());
    tokio::select! {
        () = rendezvous::run(server, !args.no_relay, ice, drain.clone()) => 0,
        code = ended(&mut signals, &drain) => code,
    }
}

/// The servers with addresses for names, so that nobody else has to look them up; or the name that is none.
async fn look_up(servers: &[IceServer]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for IceServer { host, port } in servers {
        let addresses = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|_| host.clone())?;
        found.extend(addresses.map(|address| format!("stun:{address}")));
    }
    Ok(found)
}

/// The first SIGTERM lets handshakes end; a second one does not.
async fn ended(signals: &mut Signals, drain: &Notify) -> u8 {
    let mut drains = false;
    loop {
        match signals.next().await {
            SignalEvent::Terminate if !std::mem::replace(&mut drains, true) => {
                tracing::info!("draining");
                drain.notify_one();
            }
            SignalEvent::Terminate | SignalEvent::HangUp => return 0,
            SignalEvent::Interrupt => return 130,
            SignalEvent::Stop => tty::stop(),
            SignalEvent::Resize | SignalEvent::Continue => {}
        }
    }
}

/// Binds `address` (`HOST:PORT`).
pub(crate) async fn listen(address: &str) -> Result<Server, String> {
    // `:8080` is a port of this machine.
    let address = if address.starts_with(':') { format!("127.0.0.1{address}") } else { address.to_owned() };
    let mut last = "it is not an address".to_owned();
    let found: Vec<SocketAddr> = match tokio::net::lookup_host(address).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(error.to_string()),
    };
    for address in found {
        match Server::bind(address).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
