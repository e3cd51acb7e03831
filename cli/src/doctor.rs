//! `beach doctor`: checks step by step whether a session would work from this machine.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use beach_core::crypto::invite::Invite;
use beach_core::crypto::keys::HostSecrets;
use beach_core::ice::server_url::{IceServer, Service};
use beach_core::session::handshake::Stage;
use beach_core::session::{NO_ANSWER_AFTER, no_answer};
use beach_core::wire::signal::{FromRendezvous, IceUrl, MAX_ICE_SERVERS, ToRendezvous, parse_from_rendezvous, to_text};
use beach_runtime_tokio::signal::{Signal, SignalEvent};
use beach_runtime_tokio::turn::allocate;
use beach_runtime_tokio::udp::{UdpSockets, usable_addresses};
use beach_runtime_tokio::{entropy, stun};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::time::timeout;

use crate::args::DoctorArgs;
use crate::output::{self, code};
use crate::report::{Outcome, Report};

/// The longest time that the trial handshake may take. The deadlines of its stages add up to more, but no handshake
/// uses all of each.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(40);

/// The largest difference between two clocks that `doctor` accepts: credentials live for seconds to hours.
const CLOCKS_APART: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: DoctorArgs) -> u8 {
    let invite = match args.link.as_deref().map(Invite::parse).transpose() {
        Ok(invite) => invite,
        Err(error) => return output::usage("cannot use the link", &error.to_string(), "copy the whole link"),
    };
    let mut report = Report::new(args.json);
    let local = invite.as_ref().is_some_and(Invite::is_loopback);
    addresses(&mut report, local);
    let server = invite.as_ref().map(|invite| invite.server.clone()).or(args.server);
    let (mut servers, mut handed_out) = (Vec::new(), Vec::new());
    match &server {
        Some(server) => {
            let (address, ice) = rendezvous(&mut report, server).await;
            servers.extend(address);
            handed_out = ice;
        }
        None => {
            let advice = "give a link or --server URL; `beach share` runs its own rendezvous";
            report.check("rendezvous", Outcome::Limited, "not checked: the command line names none", advice);
        }
    }
    let mut relays = Vec::new();
    for server in &args.ice_server {
        let found = timeout(NO_ANSWER_AFTER, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
        let found: Vec<_> = found.ok().and_then(Result::ok).into_iter().flatten().collect();
        match &server.service {
            Service::Stun => servers.extend(found),
            Service::Turn(..) => relays.push((server.clone(), found.first().copied())),
            Service::Turns(_) => {}
        }
    }
    let rendezvous = servers.first().copied();
    for server in handed_out.iter().filter_map(|IceUrl(url)| url.parse::<IceServer>().ok()) {
        match (&server.service, server.address()) {
            (Service::Turn(_, Some(_)), address) => relays.push((server, address)),
            (Service::Stun, Some(address)) if Some(address) != rendezvous => servers.push(address),
            (Service::Stun | Service::Turn(..) | Service::Turns(_), _) => {}
        }
    }
    udp(&mut report, local, &servers).await;
    for (server, address) in relays.into_iter().take(MAX_ICE_SERVERS) {
        turn(&mut report, local, &server, address).await;
    }
    if let Some(invite) = invite.filter(|_| report.works()) {
        // A host asks about people who may type; the doctor only looks.
        handshake(&mut report, &invite.to_watch().url()).await;
    }
    if report.works() { 0 } else { code::FAILED }
}

fn addresses(report: &mut Report, local: bool) {
    let found = usable_addresses(local);
    let count = |v4: bool| found.iter().filter(|address| address.is_ipv4() == v4).count();
    let text = format!("{} IPv4, {} IPv6", count(true), count(false));
    let outcome = if found.is_empty() { Outcome::Bad } else { Outcome::Good };
    report.check("addresses", outcome, &text, "connect this machine to a network");
    let global = found.iter().any(|address| matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xe000 == 0x2000));
    let text = if global { "a global address" } else { "no global address" };
    let outcome = if global || local { Outcome::Good } else { Outcome::Limited };
    report.check("ipv6", outcome, text, "nothing to do; with IPv6 on both sides no NAT is in the way");
}

/// Asks the rendezvous as a host does, with a session of its own. Returns the rendezvous' address, if it was reached,
/// and the servers that it hands out.
async fn rendezvous(report: &mut Report, server: &str) -> (Option<SocketAddr>, Vec<IceUrl>) {
    let started = Instant::now();
    let mut signal = Signal::new(server.to_owned());
    signal.dial();
    let ask = ToRendezvous::register(&HostSecrets::new(&mut entropy()));
    let talk = async {
        loop {
            match signal.next().await {
                SignalEvent::Up => signal.send(to_text(&ask)),
                SignalEvent::Text(text) => {
                    return match parse_from_rendezvous(&text) {
                        Ok(FromRendezvous::Registered { ice, .. }) => Ok(ice),
                        Ok(_) => Ok(Vec::new()),
                        Err(_) => Err("the server does not answer as a rendezvous does".to_owned()),
                    };
                }
                SignalEvent::Datagram(_) | SignalEvent::Beside(_) => {}
                SignalEvent::Down(cause) => return Err(cause.to_string()),
            }
        }
    };
    let talked = timeout(NO_ANSWER_AFTER, talk).await.unwrap_or_else(|_| Err(no_answer()));
    let tls = if server.starts_with("https") { "TLS" } else { "no TLS" };
    let address = signal.peer().map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let time = signal.time().map(|there| (SystemTime::now(), there));
    let software = signal.software().map(|software| format!("{software}, ")).unwrap_or_default();
    signal.send(to_text(&ToRendezvous::Unregister { session: None }));
    signal.close().await;
    match talked {
        Ok(ice) => {
            let text = format!("{server} answers after {} ({software}{tls})", output::milliseconds(started.elapsed()));
            report.check("rendezvous", Outcome::Good, &text, "");
            time.into_iter().for_each(|(here, there)| clock(report, here, there));
            (address, ice)
        }
        Err(cause) => {
            let advice = "check the address and the network; is `beach serve` (or the share) running there?";
            report.check("rendezvous", Outcome::Bad, &format!("{server}: {cause}"), advice);
            (address, Vec::new())
        }
    }
}

/// Compares the clock with the rendezvous'. Certificates and credentials depend on the time; the session does not.
fn clock(report: &mut Report, here: SystemTime, there: SystemTime) {
    let (apart, which) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if apart <= CLOCKS_APART {
        return report.check("clock", Outcome::Good, "agrees with the rendezvous", "");
    }
    let text = format!("{} s {which} the rendezvous' clock", apart.as_secs());
    report.check("clock", Outcome::Limited, &text, "set the clock: certificates and credentials expire by it");
}

/// Checks whether a TURN server gives us a relayed address.
async fn turn(report: &mut Report, local: bool, server: &IceServer, address: Option<SocketAddr>) {
    let advice = "check the address, the credentials and the clock; without TURN the rendezvous relays";
    let Some(address) = address else {
        return report.check("turn", Outcome::Limited, &format!("the name of {server} has no address"), advice);
    };
    let Service::Turn(transport, Some(credentials)) = &server.service else { return };
    let Ok(mut sockets) = UdpSockets::bind(&usable_addresses(local || address.ip().is_loopback())) else { return };
    let started = Instant::now();
    match allocate(&mut sockets, address, *transport, credentials.clone(), NO_ANSWER_AFTER).await {
        Some(relayed) => {
            let took = output::milliseconds(started.elapsed());
            report.check("turn", Outcome::Good, &format!("{server} relays at {relayed}, after {took}"), "");
        }
        None => {
            let text = format!("{server} does not answer, or refuses to relay");
            report.check("turn", Outcome::Limited, &text, advice);
        }
    }
}

/// Checks whether UDP works, and how the NAT maps addresses, in the terms of RFC 4787.
async fn udp(report: &mut Report, local: bool, servers: &[SocketAddr]) {
    if servers.is_empty() {
        let advice = "give a link, --server URL, or --ice-server stun:HOST:PORT";
        return report.check("udp", Outcome::Limited, "not checked: no STUN server is known", advice);
    }
    let mut seen = Vec::new();
    for v4 in [true, false] {
        let any = if v4 { "0.0.0.0:0" } else { "[::]:0" };
        let Ok(socket) = UdpSocket::bind(any).await else { continue };
        for server in servers.iter().filter(|server| server.is_ipv4() == v4) {
            if let Some(mapped) = stun::ask(&socket, *server).await {
                seen.push((mapped, socket.local_addr().map_or(0, |local| local.port())));
            }
        }
    }
    let advice = "let UDP out; until then the rendezvous relays the session, and --strict fails";
    let Some(((first, port), rest)) = seen.split_first() else {
        let text = format!("none of {} STUN servers answers: no UDP gets out, or no answer comes in", servers.len());
        return report.check("udp", Outcome::Limited, &text, advice);
    };
    report.check("udp", Outcome::Good, "datagrams go out, and answers come in", "");
    let own = usable_addresses(local).contains(&first.ip());
    let same_family: Vec<_> = rest.iter().filter(|(mapped, _)| mapped.is_ipv4() == first.is_ipv4()).collect();
    let (outcome, text) = if own && first.port() == *port {
        (Outcome::Good, format!("none: seen as {first}, which is an address of this machine"))
    } else if same_family.iter().any(|(mapped, _)| mapped != first) {
        let text =
            format!("address-dependent mapping (symmetric): seen as {first}, and by another server as another address");
        (Outcome::Limited, text)
    } else if !same_family.is_empty() {
        let servers = same_family.len() + 1;
        (Outcome::Good, format!("endpoint-independent mapping: seen as {first} by each of {servers} servers"))
    } else {
        let text =
            format!("a NAT: a server sees {first}; with a second --ice-server the doctor can tell the kind of NAT");
        (Outcome::Good, text)
    };
    let advice = "nothing to do: most connections are direct, some go through the rendezvous";
    report.check("nat", outcome, &text, advice);
    filtering(report, servers).await;
}

/// Checks the NAT's filtering, as RFC 5780 does: the server answers from another port than the request's.
async fn filtering(report: &mut Report, servers: &[SocketAddr]) {
    for server in servers {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let Ok(socket) = UdpSocket::bind(any).await else { continue };
        let (outcome, text) = match stun::ask_for_other_port(&socket, *server).await {
            Some(true) => (
                Outcome::Good,
                "a datagram from another port comes in: endpoint-independent or address-dependent filtering",
            ),
            Some(false) => {
                (Outcome::Limited, "no datagram from another port comes in: address and port-dependent filtering")
            }
            // The server has no second port.
            None => continue,
        };
        let advice = "nothing to do: only a symmetric NAT on the other side prevents a direct connection";
        return report.check("filtering", outcome, text, advice);
    }
}

/// Joins the session, waits for its first screen, and leaves.
async fn handshake(report: &mut Report, link: &str) {
    let started = Instant::now();
    let mut stage = "starting".to_owned();
    let joined = timeout(HANDSHAKE_WITHIN, join(link, &mut stage)).await;
    let took = output::milliseconds(started.elapsed());
    match joined {
        Ok(Ok(kind)) => {
            let way = match kind.as_str() {
                "relay" => "through the rendezvous",
                "turn" => "through a TURN server",
                _ => "directly",
            };
            let found = format!("the first screen came after {took}, {way}; with --once the view link is used up now");
            report.check("handshake", Outcome::Good, &found, "");
        }
        Ok(Err(cause)) => {
            let advice = "`beach join --debug-log FILE LINK` logs every step";
            report.check("handshake", Outcome::Bad, &format!("failed while {stage}: {cause}"), advice);
        }
        Err(_) => {
            report.check("handshake", Outcome::Bad, &format!("no screen after {took}, while {stage}"), "try again")
        }
    }
}

async fn join(link: &str, stage: &mut String) -> Result<String, String> {
    let words = |error: std::io::Error| error.to_string();
    let program = std::env::current_exe().map_err(words)?;
    let mut child = Command::new(program)
        .args(["join", "--json", "--nested", "--reconnect", "0", "--name", "doctor", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(words)?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    stdin.write_all(format!("{link}\n").as_bytes()).await.map_err(words)?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    let mut kind = String::new();
    while let Some(line) = lines.next_line().await.map_err(words)? {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        match event["type"].as_str() {
            Some("stage") => {
                stage.clone_from(&event["stage"].as_str().unwrap_or_default().to_owned());
                if stage == Stage::WaitingForApproval.words() {
                    output::doctor_waits(HANDSHAKE_WITHIN);
                }
            }
            Some("path") => kind = event["kind"].as_str().unwrap_or_default().to_owned(),
            Some("first_screen") => {
                // SIGTERM makes `beach join` leave the session.
                if let Some(id) =
                    child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
                {
                    let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
                }
                let _ = timeout(NO_ANSWER_AFTER, child.wait()).await;
                return Ok(kind);
            }
            Some("failed") => return Err(event["cause"].as_str().unwrap_or("no cause").to_owned()),
            Some(_) | None => {}
        }
    }
    Err("`beach join` ended and gave no reason".to_owned())
}
