//! Flags and values of several commands.

use std::path::PathBuf;
use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::ice::server_url::{BadIceServer, IceServer, Service};
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

/// The headings of `--help` that several commands have.
pub(super) const NETWORK: &str = "Network";
pub(super) const RECORDING: &str = "Recording";
const LOGS: &str = "Logs";

/// The paths that a connection may take.
#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// Connect directly or not at all: no relay
    #[arg(long, help_heading = NETWORK, env = "BEACH_STRICT_WEBRTC", value_parser = FalseyValueParser::new())]
    pub(crate) strict: bool,

    /// Use this STUN or TURN server too (repeatable). URL is
    /// stun:HOST:PORT or turn:USER:PASS@HOST:PORT?transport=udp|tcp
    #[arg(long, help_heading = NETWORK, value_name = "URL", value_parser = ice_server)]
    pub(crate) ice_server: Vec<IceServer>,

    /// Hide this machine's addresses: connect through a TURN server or the rendezvous
    #[arg(long, help_heading = NETWORK, conflicts_with = "strict")]
    pub(crate) relay_only: bool,
}

impl PathArgs {
    pub(crate) fn paths(&self) -> Paths {
        match (self.strict, self.relay_only) {
            (true, _) => Paths::DirectOnly,
            (false, true) => Paths::RelayOnly,
            (false, false) => Paths::Any,
        }
    }
}

/// The file of the log.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Append the log to FILE (mode 0600)
    #[arg(long, help_heading = LOGS, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Append the log at level debug to FILE (mode 0600)
    #[arg(long, help_heading = LOGS, value_name = "FILE", conflicts_with = "log_file")]
    pub(crate) debug_log: Option<PathBuf>,

    /// Write the log as lines of text, or as one JSON object a line
    #[arg(long, help_heading = LOGS, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// The form of a log's lines. Its values have no help of their own, which would spread all help over more lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The key that begins an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EscapeKey {
    /// The byte that a terminal sends without a keyboard protocol.
    Char(u8),
    None,
}

impl EscapeKey {
    /// The byte of the key, if there is one.
    pub(crate) fn byte(self) -> Option<u8> {
        match self {
            EscapeKey::Char(byte) => Some(byte),
            EscapeKey::None => None,
        }
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    // A year.
    const MOST: f64 = 31_557_600.0;
    match text.trim_end_matches('s').parse::<f64>() {
        Ok(seconds) if (0.0..=MOST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected a number of seconds, such as 30 or 1.5".to_owned()),
    }
}

/// Parses a server that needs no further credentials.
pub(super) fn ice_server(text: &str) -> Result<IceServer, String> {
    let server: IceServer = text.parse().map_err(|error: BadIceServer| error.to_string())?;
    match server.service {
        Service::Turn(_, None) => Err("expected turn:USER:PASS@HOST:PORT".to_owned()),
        Service::Turns(_) => Err("expected turn: in place of turns:, which only browsers speak".to_owned()),
        Service::Turn(_, Some(_)) | Service::Stun => Ok(server),
    }
}

pub(super) fn escape_char(text: &str) -> Result<EscapeKey, String> {
    match text.as_bytes() {
        b"none" => Ok(EscapeKey::None),
        [byte] if byte.is_ascii_graphic() => Ok(EscapeKey::Char(*byte)),
        [b'^', letter] if letter.is_ascii_alphabetic() || b"[\\]^_".contains(letter) => {
            Ok(EscapeKey::Char(letter.to_ascii_uppercase() & 0x1f))
        }
        _ => Err("expected one character, such as ~, or ^X for Ctrl-X, or none".to_owned()),
    }
}

pub(super) fn server_url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let scheme = url.split("://").next().unwrap_or_default();
    if matches!(scheme, "http" | "https") && url.len() > scheme.len() + 3 {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err("expected http://HOST[:PORT] or https://HOST[:PORT]".to_owned())
    }
}
