//! `beach serve --check`: reads the whole configuration, says what is set and what is wrong, and serves nobody.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use beach_core::ice::server_url::IceServer;
use beach_core::place::Place;
use beach_core::wire::signal::MAX_ICE_SERVERS;
use beach_runtime_tokio::tls::Certificate;
use beach_runtime_tokio::tls::acme::{self, Acme};
use beach_runtime_tokio::{directory, limits};
use rustix::fs::{Access, access};

use super::{REDIS_URL, addressed, certificate, look_up, read_secret, turn};
use crate::args::{self, AcmeArgs, DirectoryArgs, LogFormat, ServeArgs};
use crate::config;
use crate::output::code;
use crate::report::{Outcome, Report};

/// Fewer connections are few for a public server.
const FEW: usize = 4096;

/// The port at which an authority looks for serve.
const HTTPS: u16 = 443;

/// Prints a line for each part of the configuration. The exit code: 0, or 2 if serve would not start, or not as it was
/// told.
pub(super) async fn run(args: &ServeArgs) -> u8 {
    let mut report = Report::new(false);
    settings(&mut report);
    let listens = listen(&mut report, args).await;
    monitors(&mut report, args, &listens);
    places(&mut report);
    servers(&mut report, args).await;
    secret(&mut report, args);
    turn(&mut report, args, &listens);
    certificate(&mut report, args, &listens).await;
    directory(&mut report, &args.directory).await;
    proxies(&mut report, args);
    log(&mut report, args);
    if report.works() { 0 } else { code::USAGE }
}

/// The file and the variables. A mistake in the file has ended the program before.
fn settings(report: &mut Report) {
    let file = config::path().filter(|path| path.exists());
    let found = file.map_or("none".to_owned(), |path| path.display().to_string());
    report.check("file", Outcome::Good, &found, "");
    let known = args::variables_of_serve();
    let is_set = |name: &String| env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<&str> = known.iter().filter(|name| is_set(name)).map(String::as_str).collect();
    let found = if set.is_empty() { "none".to_owned() } else { set.join(", ") };
    report.check("variables", Outcome::Good, &found, "");
    let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for name in names.filter(|name| name.starts_with(args::SERVE_VARIABLE) && !known.contains(name)) {
        let found = format!("{name} is no flag of this version");
        report.check("variables", Outcome::Bad, &found, "correct the name, or remove the variable");
    }
}

/// The addresses that serve would listen on.
async fn listen(report: &mut Report, args: &ServeArgs) -> Vec<SocketAddr> {
    let found = tokio::net::lookup_host(addressed(&args.listen)).await;
    let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    // Another port: a running server has this one.
    let is_ours = |address: &SocketAddr| TcpListener::bind((address.ip(), 0)).is_ok();
    let Some(address) = found.iter().find(|address| is_ours(address)).copied() else {
        let text = match found.first() {
            Some(address) => format!("{address} is no address of this machine"),
            None => format!("{}: no ADDRESS:PORT, or the name has no address", args.listen),
        };
        report.check("listen", Outcome::Bad, &text, "choose another --listen");
        return found;
    };
    if needs_right(address.port()) {
        let text = format!("{address}: a port below {} needs a right", unprivileged());
        let advice = "use a larger port, CAP_NET_BIND_SERVICE, or a socket of systemd";
        report.check("listen", Outcome::Limited, &text, advice);
    } else {
        let reach = if address.ip().is_loopback() { ", which only this machine reaches" } else { "" };
        report.check("listen", Outcome::Good, &format!("{address}{reach}"), "");
    }
    found
}

/// The first port that everybody may use.
fn unprivileged() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

fn needs_right(port: u16) -> bool {
    port != 0 && port < unprivileged() && !rustix::process::geteuid().is_root()
}

fn monitors(report: &mut Report, args: &ServeArgs, listens: &[SocketAddr]) {
    let Some(text) = &args.metrics_listen else {
        return report.check("metrics", Outcome::Good, "off: there is no --metrics-listen", "");
    };
    match addressed(text).parse::<SocketAddr>() {
        Err(_) => {
            let text = format!("{text}: no ADDRESS:PORT");
            report.check("metrics", Outcome::Bad, &text, "give an address such as 127.0.0.1:9090");
        }
        Ok(address) if address.port() != 0 && listens.iter().any(|main| main.port() == address.port()) => {
            let text = format!("{address}: the port is that of --listen");
            report.check("metrics", Outcome::Bad, &text, "choose another port for --metrics-listen");
        }
        Ok(address) if TcpListener::bind((address.ip(), 0)).is_err() => {
            let text = format!("{address} is no address of this machine");
            report.check("metrics", Outcome::Bad, &text, "choose another --metrics-listen");
        }
        Ok(address) if address.ip().is_unspecified() => {
            let text = format!("{address}: every network of this machine reaches it");
            report.check("metrics", Outcome::Limited, &text, "use an internal address, or a firewall");
        }
        Ok(address) => report.check("metrics", Outcome::Good, &address.to_string(), ""),
    }
}

fn places(report: &mut Report) {
    // As serve does at its start.
    let raised = limits::raise_open_files();
    let places = limits::connections();
    let text = format!("room for {places} connections");
    let advice = "raise the limit of open files: LimitNOFILE= of the unit, or ulimit -Hn";
    let outcome = if places < FEW || raised.is_err() { Outcome::Limited } else { Outcome::Good };
    report.check("places", outcome, &text, advice);
}

async fn servers(report: &mut Report, args: &ServeArgs) {
    for server in &args.ice_server {
        let lacks = args.turn_secret_file.is_none() && server.service.lacks_credentials();
        let (outcome, text, advice) = match look_up(std::slice::from_ref(server)).await {
            Err(_) => (Outcome::Bad, format!("the name of {server} has no address"), "check --ice-server"),
            Ok(_) if lacks => {
                let advice = "give --turn-secret-file FILE, or turn:USER:PASS@HOST:PORT";
                (Outcome::Bad, format!("{server} has no credentials"), advice)
            }
            Ok(found) => {
                let places: Vec<String> = found.iter().map(|each| each.host.clone()).collect();
                (Outcome::Good, format!("{server}, at {}", places.join(", ")), "")
            }
        };
        report.check("ice server", outcome, &text, advice);
    }
    if args.ice_server.len() > MAX_ICE_SERVERS {
        let text = format!("{} servers; peers are told of {MAX_ICE_SERVERS} at most", args.ice_server.len());
        report.check("ice server", Outcome::Limited, &text, "remove some");
    }
}

fn secret(report: &mut Report, args: &ServeArgs) {
    let Some(file) = &args.turn_secret_file else { return };
    let mode = fs::metadata(file).map_or(0, |found| found.permissions().mode());
    let needs = |server: &IceServer| server.service.lacks_credentials();
    let used = args.turn.turn || args.ice_server.iter().any(needs);
    let name = file.display();
    let (outcome, text, advice) = match read_secret(file) {
        Err(cause) => (Outcome::Bad, format!("{name}: {cause}"), "check --turn-secret-file"),
        Ok(_) if mode & 0o007 != 0 => {
            (Outcome::Limited, format!("{name}: every user of this machine may read it"), "chmod o= on the file")
        }
        Ok(_) if !used => (Outcome::Limited, format!("{name}: no TURN server needs it"), "add --ice-server or --turn"),
        Ok(_) => (Outcome::Good, name.to_string(), ""),
    };
    report.check("turn secret", outcome, &text, advice);
}

/// The TURN server inside.
fn turn(report: &mut Report, args: &ServeArgs, listens: &[SocketAddr]) {
    let Some(main) = listens.first().filter(|_| args.turn.turn) else { return };
    match turn::addresses(&args.turn, main.ip()) {
        Err(cause) => report.check("TURN server", Outcome::Bad, cause, "give --turn-external IP"),
        Ok((listen, external)) => {
            let places: Vec<String> = external.iter().map(ToString::to_string).collect();
            let text = format!("{listen}, UDP and TCP; clients reach it at {}", places.join(" and "));
            match turn::helps_nobody(&args.turn, &external) {
                Some(cause) => {
                    let advice = "--turn-external IP, or --turn-allow-private for a local network";
                    report.check("TURN server", Outcome::Limited, &cause, advice);
                }
                None => report.check("TURN server", Outcome::Good, &text, ""),
            }
        }
    }
}

async fn certificate(report: &mut Report, args: &ServeArgs, listens: &[SocketAddr]) {
    if !args.acme.acme_domain.is_empty() {
        return by_acme(report, &args.acme, listens).await;
    }
    let Some((certificate, key)) = args.tls_cert.as_deref().zip(args.tls_key.as_deref()) else {
        return report.check("certificate", Outcome::Good, "none: serve speaks plain HTTP", "");
    };
    match Certificate::read(certificate, key) {
        Ok(read) if read.has_expired() => {
            let text = format!("{}: the certificate has expired", certificate.display());
            report.check("certificate", Outcome::Bad, &text, "renew the certificate");
        }
        Ok(_) => report.check("certificate", Outcome::Good, &certificate.display().to_string(), ""),
        Err(cause) => {
            report.check("certificate", Outcome::Bad, &cause.to_string(), "check --tls-cert and --tls-key");
        }
    }
}

/// The server that several rendezvous share, and where viewers reach this one.
async fn directory(report: &mut Report, args: &DirectoryArgs) {
    let Some((url, place)) = args.redis.as_ref().zip(args.place.as_deref()) else { return };
    match url.address() {
        Err(cause) => report.check("directory", Outcome::Bad, &cause.to_string(), REDIS_URL),
        Ok(address) => match directory::check(&address).await {
            Ok(()) => report.check("directory", Outcome::Good, &format!("{address}: beach may write there"), ""),
            Err(cause) => {
                let advice = "check --redis; serve starts, and is alone until that server answers";
                report.check("directory", Outcome::Bad, &format!("{address}: {cause}"), advice);
            }
        },
    }
    let host = Place::parse(place).map(|place| place.host).unwrap_or_default();
    let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
    let addresses = found.unwrap_or_default();
    if addresses.is_empty() {
        report.check("place", Outcome::Bad, &format!("{place}: the name has no address"), "check --place");
    } else if addresses.iter().all(|address| address.ip().is_loopback()) {
        let text = format!("{place}, which only this machine reaches");
        report.check("place", Outcome::Limited, &text, "give the URL at which viewers reach this server");
    } else {
        report.check("place", Outcome::Good, place, "");
    }
}

/// Checks all that can be checked before the first order: the folder, the names, the port, and the ACME server.
async fn by_acme(report: &mut Report, args: &AcmeArgs, listens: &[SocketAddr]) {
    match certificate::options(args) {
        Err(cause) => report.check("certificate", Outcome::Bad, cause, "give --acme-cache DIR"),
        Ok(options) if !options.cache.exists() => {
            let name = options.cache.display().to_string();
            match may_write(&options.cache.join("new")) {
                true => report.check("certificate", Outcome::Good, &format!("serve will ask for one; {name}"), ""),
                false => {
                    let text = format!("{name}: this user may not make it");
                    report.check("certificate", Outcome::Bad, &text, "choose another --acme-cache");
                }
            }
        }
        Ok(options) => match Acme::new(options) {
            Ok(acme) if acme.has_certificate() => report.check("certificate", Outcome::Good, "one is on disk", ""),
            Ok(_) => report.check("certificate", Outcome::Good, "serve will ask for one", ""),
            Err(cause) => {
                report.check("certificate", Outcome::Bad, &cause.to_string(), "choose another --acme-cache");
            }
        },
    }
    for name in &args.acme_domain {
        match tokio::net::lookup_host((name.as_str(), HTTPS)).await {
            Ok(_) if listens.iter().all(|address| address.port() != HTTPS) => {
                let text = format!("{name}: the authority asks at port {HTTPS}, where serve does not listen");
                report.check("acme name", Outcome::Limited, &text, "forward port 443 to serve, or listen there");
            }
            Ok(_) => report.check("acme name", Outcome::Good, name, ""),
            Err(_) => {
                let text = format!("{name} has no address");
                report.check("acme name", Outcome::Bad, &text, "add the name to DNS, or check --acme-domain");
            }
        }
    }
    match acme::look_at(&args.acme_directory).await {
        Ok(()) => report.check("acme server", Outcome::Good, &args.acme_directory, ""),
        Err(cause) => report.check("acme server", Outcome::Bad, &cause.to_string(), certificate::advice(&cause)),
    }
}

fn proxies(report: &mut Report, args: &ServeArgs) {
    if args.trusted_proxies.is_some() {
        return report.check("proxies", Outcome::Good, "as --trusted-proxies says", "");
    }
    let text = "not named: clients that come from this machine have no limits of an address";
    report.check("proxies", Outcome::Limited, text, "give --trusted-proxies LIST, or none");
}

fn log(report: &mut Report, args: &ServeArgs) {
    let Some(path) = args.log.debug_log.as_deref().or(args.log.log_file.as_deref()) else {
        return report.check("log", Outcome::Limited, "none", "give --log-file FILE, or - for standard error");
    };
    let format = match args.log.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "JSON",
    };
    let name = if path.as_os_str() == "-" { "standard error".to_owned() } else { path.display().to_string() };
    if path.as_os_str() == "-" || may_write(path) {
        return report.check("log", Outcome::Good, &format!("{name}, {format}"), "");
    }
    report.check("log", Outcome::Bad, &format!("{name}: this user may not write it"), "choose another --log-file");
}

/// Whether this user may append to the file, or make it and its folders.
fn may_write(path: &Path) -> bool {
    // `x.log` is in the folder at hand, whose path is empty.
    let near = path.ancestors().map(|each| if each.as_os_str().is_empty() { Path::new(".") } else { each });
    let first = near.into_iter().find(|each| each.exists());
    let is_folder = |each: &Path| each == path || each.is_dir();
    first.is_some_and(|each| is_folder(each) && !path.is_dir() && access(each, Access::WRITE_OK).is_ok())
}
