//! The flags of `beach join` and `beach attach`.

use std::path::PathBuf;
use std::time::Duration;

use beach_core::predict::{BadMode, Mode};
use clap::Args;

use super::values::{EscapeKey, LogArgs, PathArgs, escape_char, seconds};

/// `beach join`
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The link, with or without its scheme; `-` reads it from stdin
    #[arg(value_name = "TARGET", env = "BEACH_TARGET", hide_env_values = true)]
    pub(crate) target: Option<String>,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print events on stdout, one JSON object a line, instead of the screen
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    /// The escape character, or none
    #[arg(short, long, value_name = "CHAR|none", default_value = "~", value_parser = escape_char)]
    pub(crate) escape: EscapeKey,

    #[command(flatten)]
    pub(crate) paths: PathArgs,

    /// Exit with the shared command's own code
    #[arg(long = "return")]
    pub(crate) return_code: bool,

    /// Wait this long for a session that does not exist yet
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,

    /// When the connection is gone, try to come back for so long; 0 leaves at once
    #[arg(long, value_name = "SECS", default_value = "600", value_parser = seconds)]
    pub(crate) reconnect: Duration,

    /// Most lines of the session's history to fetch; they land in this terminal's scrollback
    #[arg(long, value_name = "LINES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) history: u32,

    /// Show typing before the host has said that it is so: while the link is slow, always, or never
    #[arg(long, value_name = "auto|always|never", default_value = "auto", value_parser = predict)]
    pub(crate) predict: Mode,

    /// Draw in this terminal's alternate screen, and leave its scrollback alone
    #[arg(long)]
    pub(crate) alt: bool,

    /// Let the session write to this terminal's clipboard
    #[arg(long)]
    pub(crate) clipboard: bool,

    /// The name that others see
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true, default_value = "")]
    pub(crate) name: String,

    /// Join even from inside the very session
    #[arg(long)]
    pub(crate) nested: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Write a recording that `beach replay` reads; it holds keystrokes and screens, but no key
    #[arg(long, value_name = "FILE")]
    pub(crate) record_handshake: Option<PathBuf>,

    /// The socket of the session, if it is one's own: who attaches lets themselves in
    #[arg(skip)]
    pub(crate) own: Option<PathBuf>,

    /// Panic once the first screen is shown: for the test that the terminal is restored
    #[arg(long, hide = true)]
    pub(crate) test_panic: bool,
}

/// `beach attach`
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The session; it may be left out if there is one
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,

    /// The escape character, or none; the escape and a dot leave, and the session goes on
    #[arg(short, long, value_name = "CHAR|none", default_value = "~", value_parser = escape_char)]
    pub(crate) escape: EscapeKey,
}

fn predict(text: &str) -> Result<Mode, BadMode> {
    text.parse()
}
