//! The flags of `beach share`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use beach_core::host::{MAX_VIEWERS, Resize};
use beach_core::recording::asciicast::CastFormat;
use beach_core::terminal::Size;
use clap::Args;

use super::values::{EscapeKey, LogArgs, PathArgs, escape_char, seconds, server_url};

/// `beach share`
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The rendezvous to use; without it, share runs one inside itself on --listen
    #[arg(long, value_name = "URL", env = "BEACH_SERVER", value_parser = server_url)]
    pub(crate) server: Option<String>,

    /// Where the rendezvous inside share listens [default: 127.0.0.1:8080, or any free port if that is taken]
    #[arg(long, value_name = "ADDR", conflicts_with = "server")]
    pub(crate) listen: Option<String>,

    /// No local terminal (automatic when there is none)
    #[arg(long)]
    pub(crate) headless: bool,

    /// In the background, without a terminal; it goes on when you log out. `beach attach` comes back to it
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) detach: bool,

    /// This is the process in the background
    #[arg(long, hide = true, value_name = "COLSxROWS", conflicts_with = "detach")]
    pub(crate) detached: Option<Size>,

    /// The size of a headless terminal
    #[arg(long, value_name = "COLSxROWS", default_value = "80x24")]
    pub(crate) size: Size,

    /// Print the join link on stdout, and nothing else
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print events on stdout, one JSON object a line
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    /// Start CMD only when a viewer's terminal is up; past SECS, exit with the reason
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, alias = "wait-for-webrtc", value_parser = seconds)]
    pub(crate) wait: Option<Option<Duration>>,

    /// After CMD ends, keep its last screen for whoever still joins [default: 5 when headless, 0 in a terminal]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) linger: Option<Duration>,

    /// Keep the place of a viewer whose connection is gone for so long
    #[arg(long, value_name = "SECS", default_value = "600", value_parser = seconds)]
    pub(crate) keep: Duration,

    /// Let nobody in before you say so; both sides see the same four words. Not given, you are asked about who may type,
    /// unless the link works on this machine alone
    #[arg(long)]
    pub(crate) approve: bool,

    /// Let everybody in who has a link
    #[arg(long, conflicts_with = "approve")]
    pub(crate) no_approve: bool,

    /// The key that begins a command at this terminal, ? for help, or none [default: ^], while somebody waits to be let in]
    #[arg(long, value_name = "CHAR|none", value_parser = escape_char, conflicts_with = "headless")]
    pub(crate) escape: Option<EscapeKey>,

    /// Most viewers at once
    #[arg(long, value_name = "N", default_value_t = MAX_VIEWERS, value_parser = viewers)]
    pub(crate) max_viewers: usize,

    /// Stop sharing after this time
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) expire: Option<Duration>,

    /// Let nobody in by the links after this time; viewers who are in stay, and `beach rotate` makes new links
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) expire_links: Option<Duration>,

    /// Let one viewer in by each link
    #[arg(long)]
    pub(crate) once: bool,

    /// Give out no link that lets type
    #[arg(long)]
    pub(crate) view_only: bool,

    /// Show the links inside a terminal that is shared itself, where its viewers see them
    #[arg(long)]
    pub(crate) links: bool,

    /// Show the join link as a QR code too
    #[arg(long, conflicts_with_all = ["quiet", "json"])]
    pub(crate) qr: bool,

    #[command(flatten)]
    pub(crate) paths: PathArgs,

    /// Who decides how large the terminal is: the host's own terminal, the smallest among it and those who may type, or the viewer of that
    /// name; viewers choose their names themselves, so anybody with a link can take it. No viewer makes it smaller than 20x5
    #[arg(long, value_name = "owner|smallest|NAME", default_value = "owner", value_parser = resize)]
    pub(crate) resize: Resize,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Write a recording that `beach replay` reads; it holds keystrokes and screens, but no key
    #[arg(long, value_name = "FILE")]
    pub(crate) record_handshake: Option<PathBuf>,

    /// Record what CMD prints, as asciicast, for `asciinema play`; FILE must be new
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Append to FILE who came, went, asked, was let in and did what, one JSON object a line (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,

    /// With --audit: also what each viewer typed
    #[arg(long, requires = "audit")]
    pub(crate) audit_input: bool,

    /// The version of asciicast; asciinema 2 plays v2
    #[arg(long, value_name = "v2|v3", default_value = "v3", requires = "record", value_parser = cast_format)]
    pub(crate) record_format: CastFormat,

    /// Panic in the rendezvous inside share after this time: for the test that a task's failure ends the session
    #[arg(long, hide = true, value_parser = seconds)]
    pub(crate) test_fault: Option<Duration>,

    /// The command to share [default: $SHELL, then /bin/sh]
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

fn viewers(text: &str) -> Result<usize, String> {
    let fits = |count: &usize| (1..=MAX_VIEWERS).contains(count);
    text.parse().ok().filter(fits).ok_or_else(|| format!("expected a number from 1 to {MAX_VIEWERS}"))
}

fn resize(text: &str) -> Result<Resize, String> {
    match text {
        "owner" => Ok(Resize::Owner),
        "smallest" => Ok(Resize::Smallest),
        "" => Err("expected owner, smallest, or a viewer's name".to_owned()),
        name => Ok(Resize::Named(name.to_owned())),
    }
}

fn cast_format(text: &str) -> Result<CastFormat, String> {
    match text {
        "v2" => Ok(CastFormat::V2),
        "v3" => Ok(CastFormat::V3),
        _ => Err("expected v2 or v3".to_owned()),
    }
}
