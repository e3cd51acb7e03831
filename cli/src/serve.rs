//! `beach serve`: a rendezvous.

mod certificate;
mod check;
mod turn;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use beach_core::ice::server_url::{IceServer, Service};
use beach_runtime_tokio::directory::Directory;
use beach_runtime_tokio::rendezvous::{self, HandedOut, Operation};
use beach_runtime_tokio::serve::{MAX_CONNECTIONS, Server};
use beach_runtime_tokio::signals::{self, Signals, SystemSignal};
use beach_runtime_tokio::{health, limits, service};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::args::{DirectoryArgs, ServeArgs};
use crate::{log, output};

/// With a directory, one of so many places is kept for connections that are carried to other servers.
const A_PIPE_FOR: usize = 8;

/// The advice for a wrong --redis.
const REDIS_URL: &str = "write other characters of a password than letters and digits as %XX";

pub(crate) async fn run(args: ServeArgs) -> u8 {
    if args.check {
        return check::run(&args).await;
    }
    if let Err(cause) = log::start_without_terminal(&args.log) {
        return output::usage("cannot write the log", &cause, "choose another --log-file");
    }
    // Before listening: the limit says how many connections there may be. A share leaves the limit alone, since the
    // shared command would have it too.
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    serve(args).await.unwrap_or_else(|code| code)
}

/// Serves until a signal ends the program, and gives the exit code.
///
/// # Errors
/// The exit code, if serve cannot start; the reason was printed.
async fn serve(args: ServeArgs) -> Result<u8, u8> {
    let passed = service::sockets();
    let mut server = listening(passed.listener, &args).await?;
    let mut signals = Signals::start()
        .map_err(|error| output::refuse("cannot handle signals", &error.to_string(), "check the system's limits"))?;
    let mut ice = handed_out(&args).await?;
    let certificate = certificate::source(&args)?;
    let turn = turn::start(&args.turn, server.local_addr().ip(), &mut ice.secret, certificate.as_ref()).await?;
    if let Some(turn) = &turn {
        // The own one first: clients use the first few.
        ice.servers.splice(..0, turn.servers());
        server = server.with_connections_max(limits::connections_beside_turn().min(MAX_CONNECTIONS));
    }
    let directory = directory(&args.directory)?;
    let places = server.tally().places;
    let pipes = if directory.is_some() { places / A_PIPE_FOR } else { 0 };
    server = server.with_connections_max(places - pipes);
    let (monitored, questions) = watch(args.metrics_listen.as_deref())
        .map_err(|cause| output::usage("cannot answer monitors", &cause, "choose another --metrics-listen"))?;
    let (server, scheme) = match &certificate {
        Some(certificate) => (server.secured(certificate.in_use()), "https"),
        None => (server, "http"),
    };
    let places = server.tally().places;
    tracing::info!(address = %server.local_addr(), places, version = env!("CARGO_PKG_VERSION"), "listening");
    output::serving(scheme, server.local_addr());
    monitored.into_iter().for_each(output::monitored);
    turn.iter().for_each(|turn| output::serving_turn(&turn.addresses(), turn.name(), &args.turn.turn_ports));
    service::ready();
    let (drain, reload) = (Arc::new(Notify::new()), Notify::new());
    let reloads = certificate.is_some().then_some(&reload);
    let follows = async {
        match certificate {
            Some(certificate) => certificate.follow(&reload).await,
            None => std::future::pending().await,
        }
    };
    let (drain_delay, turn) = (args.drain_delay, turn.map(turn::Turn::into_post));
    let operation =
        Operation { drain: drain.clone(), drain_delay, stun: passed.udp, turn, directory, pipes, questions };
    Ok(tokio::select! {
        () = rendezvous::run(server, !args.no_relay, ice, operation) => 0,
        code = ended(&mut signals, &drain, reloads) => code,
        never = follows => match never {},
    })
}

/// The server, on the socket that the service manager has passed, or else at `--listen`.
///
/// # Errors
/// The exit code; the reason was printed.
async fn listening(passed: Option<TcpListener>, args: &ServeArgs) -> Result<Server, u8> {
    let server = match passed {
        Some(listener) => Server::on(listener).map_err(|error| error.to_string()),
        None => listen(&args.listen).await,
    };
    let server = server.map_err(|error| {
        output::usage(&format!("cannot listen on {}", args.listen), &error, "choose another --listen")
    })?;
    Ok(server.behind(args.trusted_proxies.clone().unwrap_or_default()))
}

/// The STUN and TURN servers that clients are told of.
///
/// # Errors
/// The exit code; the reason was printed.
async fn handed_out(args: &ServeArgs) -> Result<HandedOut, u8> {
    let secret = args.turn_secret_file.as_deref().map(read_secret).transpose();
    let secret =
        secret.map_err(|cause| output::usage("cannot read the TURN secret", &cause, "check --turn-secret-file"))?;
    let lacks = |server: &&IceServer| secret.is_none() && server.service.lacks_credentials();
    if let Some(server) = args.ice_server.iter().find(lacks) {
        let advice = "give --turn-secret-file FILE (coturn's static-auth-secret), or turn:USER:PASS@HOST:PORT";
        return Err(output::usage("a TURN server has no credentials", &server.to_string(), advice));
    }
    let servers = look_up(&args.ice_server).await;
    let servers =
        servers.map_err(|name| output::usage("the name of a server has no address", &name, "check --ice-server"))?;
    Ok(HandedOut { servers, secret, lifetime: args.turn_lifetime, stun: args.stun.unwrap_or_default() })
}

/// The directory, if this is one of several servers. Serve starts without the directory's server, too.
///
/// # Errors
/// The exit code; the reason was printed.
fn directory(args: &DirectoryArgs) -> Result<Option<Directory>, u8> {
    let Some((url, place)) = args.redis.as_ref().zip(args.place.as_deref()) else { return Ok(None) };
    let address = url.address();
    let address = address.map_err(|cause| output::usage("cannot use --redis", &cause.to_string(), REDIS_URL))?;
    Ok(Some(Directory::start(address, place)))
}

/// Answers monitors at `address`, if there is one, and tells where; tells the service manager that the server works, if
/// the service manager wants to hear that. Both ask the loop.
///
/// # Errors
/// The reason in words: the address is no ADDRESS:PORT, or the system refuses to bind or has no thread.
fn watch(address: Option<&str>) -> Result<(Option<SocketAddr>, Option<health::Questions>), String> {
    let listener = address.map(monitor).transpose()?;
    let beat = service::beat().map(|every| (every, service::works as fn()));
    if listener.is_none() && beat.is_none() {
        return Ok((None, None));
    }
    let (pulse, questions) = health::pulse();
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    health::watch(pulse, listener, beat).map_err(|error| error.to_string())?;
    Ok((address, Some(questions)))
}

/// Binds the address for monitors.
///
/// # Errors
/// The reason in words: the address is no ADDRESS:PORT, or the system refuses to bind.
fn monitor(address: &str) -> Result<TcpListener, String> {
    let address: SocketAddr =
        addressed(address).parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:9090")?;
    health::listen(address).map_err(|error| format!("{address}: {error}"))
}

/// `:8080` is a port on the loopback address.
fn addressed(text: &str) -> String {
    if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() }
}

/// Resolves the servers' names to addresses, but for servers over TLS.
///
/// # Errors
/// The name that has no address.
async fn look_up(servers: &[IceServer]) -> Result<Vec<IceServer>, String> {
    let mut found = Vec::new();
    for server in servers {
        let addresses = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
        let addresses = addresses.map_err(|_| server.host.clone())?;
        match server.service {
            // Browsers check the name.
            Service::Turns(_) => found.push(server.clone()),
            Service::Stun | Service::Turn(..) => found.extend(addresses.map(|address| server.at(address))),
        }
    }
    Ok(found)
}

fn read_secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| error.to_string())?;
    let secret = text.trim();
    if secret.is_empty() { Err("the file is empty".to_owned()) } else { Ok(Zeroizing::new(secret.to_owned())) }
}

/// Waits for a signal that ends the program. The first SIGTERM lets handshakes finish; the second ends at once. SIGHUP
/// asks for what can be read again; if there is nothing, SIGHUP ends the program, but not under a service manager,
/// whose way to ask is SIGHUP too.
async fn ended(signals: &mut Signals, drain: &Notify, reload: Option<&Notify>) -> u8 {
    let mut drains = false;
    loop {
        match signals.next().await {
            SystemSignal::Terminate if !std::mem::replace(&mut drains, true) => {
                tracing::info!("draining");
                service::stopping();
                drain.notify_one();
            }
            SystemSignal::HangUp => match reload {
                Some(reload) => {
                    service::reloading();
                    reload.notify_one();
                }
                None if service::is_managed() => {
                    service::reloading();
                    service::ready();
                }
                None => return 0,
            },
            SystemSignal::Terminate => return 0,
            SystemSignal::Interrupt => return 130,
            SystemSignal::Stop => signals::stop(),
            SystemSignal::Resize | SystemSignal::Continue => {}
        }
    }
}

/// Binds `address` (`HOST:PORT`).
///
/// # Errors
/// The reason in words: the name has no address, or the system refuses to bind.
pub(crate) async fn listen(address: &str) -> Result<Server, String> {
    let address = addressed(address);
    let mut last = "the name has no address".to_owned();
    let found: Vec<SocketAddr> = match tokio::net::lookup_host(address).await {
        Ok(found) => found.collect(),
        // The text is no HOST:PORT at all.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return Err("expected ADDRESS:PORT, such as 0.0.0.0:8080".to_owned());
        }
        Err(_) => return Err("the name has no address".to_owned()),
    };
    for address in found {
        match Server::bind(address).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
