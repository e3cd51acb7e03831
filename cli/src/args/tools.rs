//! The flags of the commands besides a session: `beach serve`, `doctor`, `completions` and `man`.

use std::path::PathBuf;
use std::time::Duration;

use beach_core::ice::server_url::IceServer;
use clap::Args;

use super::values::{LogArgs, ice_server, seconds, server_url};

/// `beach serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Hand out this server too: stun:HOST:PORT (serve itself is one, on the UDP port of the same number) or
    /// turn:HOST:PORT?transport=udp|tcp; may be given often
    #[arg(long, value_name = "URL")]
    pub(crate) ice_server: Vec<IceServer>,

    /// Make credentials for TURN servers from the secret in FILE, coturn's static-auth-secret
    #[arg(long, value_name = "FILE")]
    pub(crate) turn_secret_file: Option<PathBuf>,

    /// How long those credentials are good for; everybody gets new ones at half of it
    #[arg(long, value_name = "SECS", default_value = "3600", value_parser = lifetime)]
    pub(crate) turn_lifetime: Duration,

    /// Do not carry datagrams for those who cannot reach each other
    #[arg(long)]
    pub(crate) no_relay: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,
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
    /// The link of a session that is shared now: it is joined for a moment
    #[arg(value_name = "LINK")]
    pub(crate) link: Option<String>,

    /// The rendezvous, if there is no link
    #[arg(long, value_name = "URL", env = "BEACH_SERVER", value_parser = server_url)]
    pub(crate) server: Option<String>,

    /// Try this server too, stun:HOST:PORT or turn:USER:PASS@HOST:PORT?transport=udp|tcp; may be given often
    #[arg(long, value_name = "URL", value_parser = ice_server)]
    pub(crate) ice_server: Vec<IceServer>,

    /// One JSON object a line for each check
    #[arg(long)]
    pub(crate) json: bool,
}

/// `beach replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Prints each step of the handshakes as well
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// A file that --record-handshake wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `beach completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Whose
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `beach man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write the page of each command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
