//! The flags of `beach share`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use beach_core::host::{MAX_VIEWERS, Resize};
use beach_core::recording::asciicast::CastFormat;
use beach_core::terminal::Size;
use clap::Args;

use super::values::{EscapeKey, LogArgs, NETWORK, PathArgs, RECORDING, escape_char, seconds, server_url};

const SHARING: &str = "Sharing";
const ADMISSION: &str = "Who may join";

/// `beach share`
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// Share without a terminal of your own (automatic when there is none)
    #[arg(long, help_heading = SHARING)]
    pub(crate) headless: bool,

    /// Share in the background, after you log out too; `beach attach` joins the session
    #[arg(short, long, help_heading = SHARING, conflicts_with = "json")]
    pub(crate) detach: bool,

    /// Run as the background process of --detach, in a terminal of this size
    #[arg(long, hide = true, value_name = "COLSxROWS", conflicts_with = "detach")]
    pub(crate) detached: Option<Size>,

    /// Name the session for `attach`, `stop`, `status` and --session; viewers do not see the name
    #[arg(long, help_heading = SHARING, value_name = "TEXT", value_parser = session_name)]
    pub(crate) name: Option<String>,

    /// Set the size of a headless terminal
    #[arg(long, help_heading = SHARING, value_name = "COLSxROWS", default_value = "80x24")]
    pub(crate) size: Size,

    /// Print the join link on stdout, and nothing else
    #[arg(short, long, help_heading = SHARING)]
    pub(crate) quiet: bool,

    /// Print events on stdout, one JSON object a line
    #[arg(long, help_heading = SHARING, conflicts_with = "quiet")]
    pub(crate) json: bool,

    /// Start CMD when the first viewer has joined; with SECS, give up after this time
    #[arg(long, help_heading = SHARING, value_name = "SECS", num_args = 0..=1, require_equals = true)]
    #[arg(alias = "wait-for-webrtc", value_parser = seconds)]
    pub(crate) wait: Option<Option<Duration>>,

    /// Keep CMD's last screen for late viewers this long [default: 5 when headless, 0 in a terminal]
    #[arg(long, help_heading = SHARING, value_name = "SECS", value_parser = seconds)]
    pub(crate) linger: Option<Duration>,

    /// Stop sharing after this time
    #[arg(long, help_heading = SHARING, value_name = "SECS", value_parser = seconds)]
    pub(crate) expire: Option<Duration>,

    /// Print the links inside a shared terminal too, where its viewers see them
    #[arg(long, help_heading = SHARING)]
    pub(crate) links: bool,

    /// Print the join link as a QR code too
    #[arg(long, help_heading = SHARING, conflicts_with_all = ["quiet", "json"])]
    pub(crate) qr: bool,

    /// Put the join link into the clipboard of this terminal, if the terminal permits it (OSC 52)
    #[arg(long, help_heading = SHARING, conflicts_with_all = ["quiet", "json"])]
    pub(crate) copy: bool,

    /// Choose the terminal that sets the size: yours, the smallest, or that of the viewer NAME.
    /// Viewers choose their own names, so anybody with a link can take NAME.
    /// A viewer counts only if they may type, and cannot make the terminal smaller than 20x5
    #[arg(long, help_heading = SHARING, value_name = "owner|smallest|NAME", default_value = "owner", value_parser = resize)]
    pub(crate) resize: Resize,

    /// Set the key for commands at this terminal; KEY ? lists them, KEY KEY types KEY [default: ^]]
    #[arg(long, help_heading = SHARING, value_name = "CHAR|none", value_parser = escape_char, conflicts_with = "headless")]
    pub(crate) escape: Option<EscapeKey>,

    /// Do not show at this terminal which viewers come, go and come back
    #[arg(long, help_heading = SHARING)]
    pub(crate) quiet_members: bool,

    /// Let in only people whom you approve; both sides see the same four words.
    /// Default: approve people who may type, unless only this machine can join
    #[arg(long, help_heading = ADMISSION)]
    pub(crate) approve: bool,

    /// Let in everybody with a link
    #[arg(long, help_heading = ADMISSION, conflicts_with = "approve")]
    pub(crate) no_approve: bool,

    /// Make no link that permits typing
    #[arg(long, help_heading = ADMISSION)]
    pub(crate) view_only: bool,

    /// Let in nobody who joins by the page in a browser
    #[arg(long, help_heading = ADMISSION)]
    pub(crate) no_browser: bool,

    /// Let each link admit one viewer
    #[arg(long, help_heading = ADMISSION)]
    pub(crate) once: bool,

    /// Let the links expire after this time; viewers stay, and `beach rotate` makes new links
    #[arg(long, help_heading = ADMISSION, value_name = "SECS", value_parser = seconds)]
    pub(crate) expire_links: Option<Duration>,

    /// Let in at most this many viewers at once
    #[arg(long, help_heading = ADMISSION, value_name = "N", default_value_t = MAX_VIEWERS, value_parser = viewers)]
    pub(crate) max_viewers: usize,

    /// Keep the place of a disconnected viewer this long
    #[arg(long, help_heading = ADMISSION, value_name = "SECS", default_value = "600", value_parser = seconds)]
    pub(crate) keep: Duration,

    /// Run CMD by `sh -c` when a viewer has joined, with the name in $BEACH_NAME
    #[arg(long, help_heading = ADMISSION, value_name = "CMD")]
    pub(crate) on_join: Option<OsString>,

    /// Run CMD by `sh -c` when a viewer has left, with the name in $BEACH_NAME
    #[arg(long, help_heading = ADMISSION, value_name = "CMD")]
    pub(crate) on_leave: Option<OsString>,

    /// Use this rendezvous; without --server, share runs its own
    #[arg(long, help_heading = NETWORK, value_name = "URL", env = "BEACH_SERVER", value_parser = server_url)]
    pub(crate) server: Option<String>,

    /// Listen on ADDRESS:PORT for viewers [default: 127.0.0.1:8080, or any free port]
    #[arg(long, help_heading = NETWORK, value_name = "ADDR", conflicts_with = "server")]
    pub(crate) listen: Option<String>,

    #[arg(
        long,
        help_heading = NETWORK,
        conflicts_with_all = ["server", "listen"],
        help = "Listen for viewers on the local network: as --listen [::]:8080, or on any free port"
    )]
    pub(crate) lan: bool,

    #[command(flatten)]
    pub(crate) paths: PathArgs,

    /// Record CMD's output as asciicast, for `asciinema play`; FILE must be new
    #[arg(long, help_heading = RECORDING, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Set the version of asciicast; asciinema 2 plays v2
    #[arg(long, help_heading = RECORDING, value_name = "v2|v3", default_value = "v3", requires = "record", value_parser = cast_format)]
    pub(crate) record_format: CastFormat,

    /// Record the session for `beach replay`, with keystrokes and screens but without link keys
    #[arg(long, help_heading = RECORDING, value_name = "FILE")]
    pub(crate) record_handshake: Option<PathBuf>,

    /// Replace what is typed and shown in the file of --record-handshake, so that others may see it
    #[arg(long, help_heading = RECORDING, requires = "record_handshake")]
    pub(crate) redact: bool,

    /// Append joins, decisions and actions to FILE, one JSON object a line (mode 0600)
    #[arg(long, help_heading = RECORDING, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,

    /// Append each viewer's typing too, with --audit
    #[arg(long, help_heading = RECORDING, requires = "audit")]
    pub(crate) audit_input: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Panic in the rendezvous inside share after this time: for the test that a task's failure ends the session
    #[arg(long, hide = true, value_parser = seconds)]
    pub(crate) test_fault: Option<Duration>,

    /// Command to share [default: $SHELL, then /bin/sh]
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

fn session_name(text: &str) -> Result<String, String> {
    const MOST: usize = 40;
    let fits = (1..=MOST).contains(&text.chars().count()) && !text.starts_with('-') && text.trim() == text;
    let is_printable = !text.chars().any(char::is_control);
    let objection = || format!("expected 1 to {MOST} printable characters, and no - in front");
    (fits && is_printable).then(|| text.to_owned()).ok_or_else(objection)
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
