//! The flags of the commands besides a session: `beach serve`, `doctor`, `completions` and `man`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use beach_core::ice::server_url::IceServer;
use beach_core::place::Place;
use beach_runtime_tokio::directory::RedisUrl;
use beach_runtime_tokio::rendezvous::StunServer;
use beach_runtime_tokio::serve::Proxies;
use clap::Args;
use ipnet::IpNet;

use super::values::{LogArgs, ice_server, seconds, server_url};

/// The headings of `beach serve --help`.
const OPERATION: &str = "Operation";
/// See [`OPERATION`].
const ACME: &str = "Certificate by ACME";
/// See [`OPERATION`].
const TURN: &str = "TURN server";
/// See [`OPERATION`].
const SEVERAL: &str = "Several servers";

/// `beach serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Check the configuration, say what is wrong, and do not serve
    #[arg(long, help_heading = OPERATION)]
    pub(crate) check: bool,

    /// Listen on this ADDRESS:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Tell hosts and viewers of this server too (repeatable). URL is
    /// stun:HOST:PORT or turn:HOST:PORT?transport=udp|tcp.
    /// Serve answers STUN itself, on the same UDP port
    #[arg(long, value_name = "URL")]
    pub(crate) ice_server: Vec<IceServer>,

    /// Make TURN credentials from the secret in FILE, coturn's static-auth-secret
    #[arg(long, value_name = "FILE")]
    pub(crate) turn_secret_file: Option<PathBuf>,

    /// Let TURN credentials expire after this time; new ones come after half of it
    #[arg(long, value_name = "SECS", default_value = "3600", value_parser = lifetime)]
    pub(crate) turn_lifetime: Duration,

    /// Relay no datagrams between people who cannot connect directly
    #[arg(long)]
    pub(crate) no_relay: bool,

    #[command(flatten)]
    pub(crate) turn: TurnArgs,

    #[command(flatten)]
    pub(crate) directory: DirectoryArgs,

    /// Proxies in front of serve: addresses, networks as ADDRESS/BITS, or none.
    /// They tell clients' addresses: PROXY protocol or X-Forwarded-For.
    /// Default: maybe one on this machine, which tells nothing
    #[arg(long, value_name = "LIST", value_parser = proxies)]
    pub(crate) trusted_proxies: Option<Proxies>,

    /// Speak https, with the certificate in FILE (PEM, followed by its chain).
    /// Serve reads both files again when they change, and at SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) acme: AcmeArgs,

    /// Where serve answers STUN, as hosts and viewers are told: ADDRESS:PORT or none.
    /// Default: at the name by which they reach serve
    #[arg(long, value_name = "WHERE", value_parser = stun)]
    pub(crate) stun: Option<StunServer>,

    /// Serve connections on so many threads
    #[arg(long, help_heading = OPERATION, value_name = "N", default_value = "1", value_parser = threads)]
    pub(crate) threads: usize,

    /// Answer /metrics, /livez and /readyz on this ADDRESS:PORT
    #[arg(long, help_heading = OPERATION, value_name = "ADDR")]
    pub(crate) metrics_listen: Option<String>,

    /// When stopped, keep the port open for this time, until balancers have noticed
    #[arg(long, help_heading = OPERATION, value_name = "SECS", default_value = "0", value_parser = seconds)]
    pub(crate) drain_delay: Duration,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// The certificate that `beach serve` gets by itself.
#[derive(Debug, Args)]
pub(crate) struct AcmeArgs {
    /// Speak https, with a certificate for these names, which serve gets and renews by ACME.
    /// Port 443 of each name must lead to serve. You agree to the authority's terms
    #[arg(long, help_heading = ACME, value_name = "NAME,…", value_delimiter = ',', value_parser = domain,
          conflicts_with = "tls_cert")]
    pub(crate) acme_domain: Vec<String>,

    /// Directory of the ACME server
    #[arg(long, help_heading = ACME, value_name = "URL", requires = "acme_domain",
          default_value = "https://acme-v02.api.letsencrypt.org/directory", value_parser = acme_directory)]
    pub(crate) acme_directory: String,

    /// Mail address at which the authority may tell of problems (repeatable)
    #[arg(long, help_heading = ACME, value_name = "MAIL", requires = "acme_domain", value_parser = mail)]
    pub(crate) acme_contact: Vec<String>,

    /// Keep account and certificate in this folder.
    /// Default: where systemd's StateDirectory= is, or else ~/.local/state/beach/acme
    #[arg(long, help_heading = ACME, value_name = "DIR", requires = "acme_domain")]
    pub(crate) acme_cache: Option<PathBuf>,
}

/// Parses a name of --acme-domain.
fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain && !label.is_empty() && label.len() <= 63
    };
    let is_name = text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err();
    if is_name { Ok(text.to_ascii_lowercase()) } else { Err("expected a name such as beach.example.org".to_owned()) }
}

/// Parses --acme-directory.
fn acme_directory(text: &str) -> Result<String, String> {
    if text.starts_with("https://") { Ok(text.to_owned()) } else { Err("expected https://HOST/PATH".to_owned()) }
}

/// Parses --acme-contact.
fn mail(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("mailto:").unwrap_or(text);
    let is_mail = bare.split_once('@').is_some_and(|(user, host)| !user.is_empty() && domain(host).is_ok());
    if is_mail { Ok(bare.to_owned()) } else { Err("expected an address such as me@example.org".to_owned()) }
}

/// Parses --stun.
fn stun(text: &str) -> Result<StunServer, String> {
    match text.parse::<SocketAddr>() {
        _ if text == "none" => Ok(StunServer::Nobody),
        Ok(address) if !address.ip().is_unspecified() && address.port() != 0 => Ok(StunServer::At(address)),
        Ok(_) | Err(_) => Err("expected ADDRESS:PORT, such as 203.0.113.1:8080, or none".to_owned()),
    }
}

/// The TURN server inside `beach serve`.
#[derive(Debug, Args)]
pub(crate) struct TurnArgs {
    /// Be a TURN server too, over UDP and TCP, and tell hosts and viewers of it
    #[arg(long, help_heading = TURN)]
    pub(crate) turn: bool,

    /// Listen for TURN on this ADDRESS:PORT. Default: the address of --listen, port 3478
    #[arg(long, help_heading = TURN, value_name = "ADDR", requires = "turn")]
    pub(crate) turn_listen: Option<SocketAddr>,

    /// Clients reach the TURN server at this address (repeatable: one IPv4, one IPv6).
    /// Default: that of --turn-listen, or of the default route
    #[arg(long, help_heading = TURN, value_name = "IP", requires = "turn")]
    pub(crate) turn_external: Vec<IpAddr>,

    /// Relay at these UDP ports
    #[arg(long, help_heading = TURN, value_name = "LOW-HIGH", requires = "turn", default_value = "49152-65535",
          value_parser = ports)]
    pub(crate) turn_ports: RangeInclusive<u16>,

    /// Relay to private addresses and to this machine too, for a server in a local network
    #[arg(long, help_heading = TURN, requires = "turn")]
    pub(crate) turn_allow_private: bool,
}

/// The directory of several `beach serve`.
#[derive(Debug, Args)]
pub(crate) struct DirectoryArgs {
    // No comment for rustdoc, which would take the brackets for a link.
    #[arg(
        long,
        help_heading = SEVERAL,
        value_name = "URL",
        requires = "place",
        help = "Share sessions with other servers, through Redis or Valkey. URL is \
                redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER], or rediss:// with TLS"
    )]
    pub(crate) redis: Option<RedisUrl>,

    /// With --redis: the http(s) URL at which viewers reach this server and no other one
    #[arg(long, help_heading = SEVERAL, value_name = "URL", requires = "redis", value_parser = place)]
    pub(crate) place: Option<String>,
}

/// Parses --place.
fn place(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    match Place::parse(url) {
        Some(_) => Ok(url.to_owned()),
        None => Err("expected http(s)://HOST[:PORT][/PATH], with letters, digits and -._~/ in the path".to_owned()),
    }
}

/// Parses --turn-ports.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let ends = text.split_once('-').and_then(|(low, high)| Some(port(low)?..=port(high)?));
    ends.filter(|ports| !ports.is_empty()).ok_or_else(|| "expected two ports, such as 50000-50999".to_owned())
}

/// Parses --trusted-proxies.
fn proxies(text: &str) -> Result<Proxies, String> {
    let network = |entry: &str| {
        let address = || entry.parse::<IpAddr>().map(IpNet::from);
        entry.parse::<IpNet>().or_else(|_| address()).map_err(|_| format!("not an address or a network: {entry}"))
    };
    match text {
        "none" => Ok(Proxies::Trusted(Vec::new())),
        list => Ok(Proxies::Trusted(list.split(',').map(str::trim).map(network).collect::<Result<_, _>>()?)),
    }
}

/// Parses --threads.
fn threads(text: &str) -> Result<usize, String> {
    const MOST: usize = 64;
    match text.parse() {
        Ok(threads @ 1..=MOST) => Ok(threads),
        Ok(_) | Err(_) => Err(format!("expected a number from 1 to {MOST}")),
    }
}

/// Parses --turn-lifetime. Credentials with a shorter life would expire before their first use.
fn lifetime(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        lifetime if lifetime >= Duration::from_secs(10) => Ok(lifetime),
        _ => Err("expected at least 10 seconds".to_owned()),
    }
}

/// `beach doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Link of a running session, which doctor joins for a moment, as a viewer who watches.
    /// This join uses up the view link of a session with --once
    #[arg(value_name = "LINK")]
    pub(crate) link: Option<String>,

    /// Rendezvous to check, without a link
    #[arg(long, value_name = "URL", env = "BEACH_SERVER", value_parser = server_url)]
    pub(crate) server: Option<String>,

    /// Check this server too (repeatable). URL is
    /// stun:HOST:PORT or turn:USER:PASS@HOST:PORT?transport=udp|tcp
    #[arg(long, value_name = "URL", value_parser = ice_server)]
    pub(crate) ice_server: Vec<IceServer>,

    /// Print one JSON object a line for each check
    #[arg(long)]
    pub(crate) json: bool,
}

/// `beach web`
#[derive(Debug, Args)]
pub(crate) struct WebArgs {
    /// Link to open, or the whole line with the link; `-` reads the link from stdin
    #[arg(value_name = "TARGET", env = "BEACH_TARGET", hide_env_values = true)]
    pub(crate) target: Vec<String>,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// `beach version`
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Print of which files the page for browsers consists, their SHA-256, sources and tools
    #[arg(long)]
    pub(crate) web: bool,
}

/// `beach replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Print every input, every output and each step of the handshakes too
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// File that --record-handshake wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `beach completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `beach man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_a_certificate_are_hosts_and_no_addresses_or_patterns() {
        assert_eq!(domain("Beach.example.ORG").as_deref(), Ok("beach.example.org"));
        for wrong in ["", ".", "a..b", "192.0.2.1", "*.example.org", "https://example.org", "a b", "example.org."] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
        assert_eq!(mail("mailto:me@example.org").as_deref(), Ok("me@example.org"));
        assert!(["me", "@example.org", "me@"].iter().all(|wrong| mail(wrong).is_err()));
        assert!(acme_directory("http://example.org/directory").is_err());
    }

    #[test]
    fn ports_are_two_numbers_the_lower_one_first() {
        assert_eq!(ports("50000-50999"), Ok(50_000..=50_999));
        assert_eq!(ports("1 - 1"), Ok(1..=1));
        for wrong in ["", "-", "50000", "50999-50000", "0-5", "1-65536", "a-b", "1-2-3"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
