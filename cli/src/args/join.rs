//! The flags of `beach join` and `beach attach`.

use std::path::PathBuf;
use std::time::Duration;

use beach_core::predict::{BadMode, Mode};
use clap::Args;

use super::values::{EscapeKey, LogArgs, PathArgs, RECORDING, escape_char, seconds};

/// The largest value of --history: the host keeps no more lines.
const MOST_LINES: u32 = 10_000;

/// `beach join`
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Link to join, or the whole line with the link; `-` reads the link from stdin
    #[arg(value_name = "TARGET", env = "BEACH_TARGET", hide_env_values = true)]
    pub(crate) target: Vec<String>,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print events on stdout, one JSON object a line, instead of the screen
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    /// Set the escape character, or none
    #[arg(short, long, value_name = "CHAR|none", default_value = "~", value_parser = escape_char)]
    pub(crate) escape: EscapeKey,

    #[command(flatten)]
    pub(crate) paths: PathArgs,

    /// Exit with the shared command's exit code
    #[arg(long = "return")]
    pub(crate) return_code: bool,

    /// Wait this long for a session that does not exist yet
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,

    /// Try this long to reconnect after a lost connection; 0 leaves at once
    #[arg(long, value_name = "SECS", default_value = "600", value_parser = seconds)]
    pub(crate) reconnect: Duration,

    /// Fetch at most this many lines of history into this terminal's scrollback
    #[arg(long, value_name = "LINES", default_value_t = 1000, value_parser = lines)]
    pub(crate) history: u32,

    /// Show typing before the host confirms it: on slow connections, always, or never
    #[arg(long, value_name = "auto|always|never", default_value = "auto", value_parser = predict)]
    pub(crate) predict: Mode,

    /// Draw in the alternate screen, and leave the scrollback alone
    #[arg(long)]
    pub(crate) alt: bool,

    /// Let the session write to this terminal's clipboard
    #[arg(long)]
    pub(crate) clipboard: bool,

    /// Set the name that others see [default: $USER]
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true, default_value = "", hide_default_value = true)]
    pub(crate) name: String,

    /// Join even from inside the same session
    #[arg(long)]
    pub(crate) nested: bool,

    /// Record the session for `beach replay`, with keystrokes and screens but without link keys
    #[arg(long, help_heading = RECORDING, value_name = "FILE")]
    pub(crate) record_handshake: Option<PathBuf>,

    /// Replace what is typed and shown in the file of --record-handshake, so that others may see it
    #[arg(long, help_heading = RECORDING, requires = "record_handshake")]
    pub(crate) redact: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// The control socket of the person's own session, for `beach attach`
    #[arg(skip)]
    pub(crate) own: Option<PathBuf>,

    /// Ask for a data channel in place of RTP, as a browser does: for measurements
    #[arg(long, hide = true)]
    pub(crate) by_channel: bool,

    /// Panic after the first screen: for the test that a panic restores the terminal
    #[arg(long, hide = true)]
    pub(crate) test_panic: bool,
}

/// `beach attach`
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Session's name, or the beginning of its id [default: the session around this shell, or the only one]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Set the escape character, or none; CHAR and a dot leave, and the session goes on
    #[arg(short, long, value_name = "CHAR|none", default_value = "~", value_parser = escape_char)]
    pub(crate) escape: EscapeKey,
}

fn lines(text: &str) -> Result<u32, String> {
    let fits = |lines: &u32| *lines <= MOST_LINES;
    text.parse().ok().filter(fits).ok_or_else(|| format!("expected a number of lines from 0 to {MOST_LINES}"))
}

fn predict(text: &str) -> Result<Mode, BadMode> {
    text.parse()
}
