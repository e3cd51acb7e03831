//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use beach_core::endpoint::Paths;
use beach_core::host::{MAX_VIEWERS, Resize};
use beach_core::ice::server_url::{BadIceServer, IceServer, Service};
use beach_core::predict::{BadMode, Mode};
use beach_core::recording::asciicast::CastFormat;
use beach_core::terminal::Size;
use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::Found;
use crate::replay::ReplayArgs;
use crate::{config, output};

const EXAMPLES: &str = "\
Examples:
  beach share                      share your shell; prints the links
  beach share -- htop              share one program
  beach join LINK                  join from anywhere
  beach share --headless -q -- sh -c 'make && make test'

Exit codes of share: the command's own, or 128 + signal.
Exit codes of join:
  0 ended or left   2 usage            3 rendezvous unreachable   4 no such session
  5 refused         6 no path          7 connection lost          8 other protocol version";

/// Share a terminal, peer to peer and end-to-end encrypted.
#[derive(Debug, Parser)]
#[command(name = "beach", version, after_help = EXAMPLES, infer_subcommands = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Share a terminal. `beach -- CMD` and bare `beach` mean the same
    #[command(after_help = EXAMPLES)]
    Share(ShareArgs),
    /// Join a shared terminal. `beach --join TARGET` means the same
    #[command(after_help = EXAMPLES)]
    Join(JoinArgs),
    /// Run a rendezvous, which introduces viewers to hosts
    Serve(ServeArgs),
    /// Show the sessions that you share: links, and who is there
    Status(StatusArgs),
    /// Come back to a session that you share in the background
    Attach(AttachArgs),
    /// Find out whether a session would work from here, and what to do if not
    Doctor(DoctorArgs),
    /// End a session that you share
    Stop(StopArgs),
    /// Let somebody in who waits; see `beach share --approve`
    Approve(MemberArgs),
    /// Do not let somebody in who waits, and make new links, as it has the old ones
    Deny(KickArgs),
    /// Let a viewer type
    Grant(GrantArgs),
    /// Let a viewer watch only
    Revoke(MemberArgs),
    /// Remove a viewer, and make new links, as it has the old ones
    Kick(KickArgs),
    /// Make new links; the old ones let nobody in any more, and who is in stays
    Rotate(SessionArgs),
    /// Keep what happens to yourself, until `beach resume`
    Pause(SessionArgs),
    /// Let viewers see and type again
    Resume(SessionArgs),
    /// Tell all viewers something
    Say(SayArgs),
    /// Replay a recorded handshake or session and print each stage
    Replay(ReplayArgs),
    /// Print what makes a shell complete the words of beach
    Completions(CompletionsArgs),
    /// Print the man page, or write the pages of all commands
    Man(ManArgs),
}

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
    pub(crate) escape: Option<Escape>,

    /// Most viewers at once
    #[arg(long, value_name = "N", default_value_t = MAX_VIEWERS, value_parser = viewers)]
    pub(crate) max_viewers: usize,

    /// Stop sharing after this time
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) expire: Option<Duration>,

    /// Let nobody in by the links after this time; who is in stays, and `beach rotate` makes new ones
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

    /// Append who came, went, asked, was let in and did what to FILE, one JSON object a line (mode 0600)
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
    pub(crate) escape: Escape,

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

/// `beach status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The session; without it, the one around, else all
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,

    /// One JSON object a line for each session
    #[arg(long)]
    pub(crate) json: bool,

    /// Look again each second, and print what changed, until the session ends
    #[arg(long)]
    pub(crate) watch: bool,

    /// Show the links inside a shared terminal too, where its viewers see them
    #[arg(long)]
    pub(crate) links: bool,

    /// Print how many viewers the session around has, and nothing where there is none: for a prompt
    #[arg(long, conflicts_with_all = ["session", "json", "watch", "links"])]
    pub(crate) count: bool,
}

/// `beach stop`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The session; it may be left out if there is one
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// Which session, for a person who shares several.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The session; without it, the one around, or the only one
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// `beach approve` and the like
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// The number of the viewer, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach kick`, `beach deny`
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// The number, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    /// Leave the links as they are: with the one that it has it may come again
    #[arg(long)]
    pub(crate) keep_links: bool,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach grant`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The number of the viewer, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    /// What it may do
    #[arg(value_name = "control", default_value = "control", value_parser = ["control"])]
    pub(crate) role: String,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach say`
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// A sentence
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach attach`
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The session; it may be left out if there is one
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,

    /// The escape character, or none; the escape and a dot leave, and the session goes on
    #[arg(short, long, value_name = "CHAR|none", default_value = "~", value_parser = escape_char)]
    pub(crate) escape: Escape,
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

/// Which paths a link may take.
#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// Peer to peer or nothing: no relayed path
    #[arg(long, env = "BEACH_STRICT_WEBRTC", value_parser = FalseyValueParser::new())]
    pub(crate) strict: bool,

    /// A server that helps to find a path, besides those the rendezvous names: stun:HOST:PORT or
    /// turn:USER:PASS@HOST:PORT?transport=udp|tcp; may be given often
    #[arg(long, value_name = "URL", value_parser = ice_server)]
    pub(crate) ice_server: Vec<IceServer>,

    /// Through a TURN server or the rendezvous only: the other side learns no address of this one
    #[arg(long, conflicts_with = "strict")]
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

/// Where the log goes.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Append the log to FILE (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Like --log-file, at level debug
    #[arg(long, value_name = "FILE", conflicts_with = "log_file")]
    pub(crate) debug_log: Option<PathBuf>,
}

/// An escape character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    Char(u8),
    None,
}

/// Reads the command line and what the configuration file adds; on a mistake in the former prints why and exits with 2.
pub(crate) fn parse() -> Result<Command, u8> {
    let mut args = normalize(std::env::args_os());
    if let Some(path) = config::path() {
        let added = config::read(&path).and_then(|found| {
            let text = match found {
                Found::Text(text) => text,
                Found::Nothing => return Ok(Vec::new()),
                Found::Unreadable(error) => {
                    let cause = format!("{}: {error}", path.display());
                    output::warn(
                        "the configuration was not read",
                        &cause,
                        "let this user read it, or set XDG_CONFIG_HOME",
                    );
                    return Ok(Vec::new());
                }
            };
            let cli = Cli::command();
            let matches = cli.clone().get_matches_from(&args);
            config::arguments(&text, &cli, &matches)
        });
        match added {
            Ok(added) => args.splice(2.min(args.len())..2.min(args.len()), added).for_each(drop),
            Err(config::BadConfig { line, what }) => {
                let place = line.map_or(path.display().to_string(), |line| format!("{}, line {line}", path.display()));
                return Err(output::usage(
                    "the configuration cannot be used",
                    &format!("{place}: {what}"),
                    "correct it",
                ));
            }
        }
    }
    Ok(Cli::parse_from(args).command)
}

/// The definition of the command line.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// The command line of the process in the background: this one's, but for that it knows its size and is there already.
pub(crate) fn detached(size: Size) -> Vec<OsString> {
    let mut args = normalize(std::env::args_os()).into_iter().skip(1);
    let mut changed: Vec<OsString> = Vec::new();
    for arg in args.by_ref().take_while(|arg| arg != "--") {
        // Short flags may stand together.
        let text = arg.to_string_lossy();
        match text.strip_prefix('-').filter(|rest| !rest.starts_with('-') && rest.contains('d')) {
            Some("d") => {}
            Some(rest) => changed.push(format!("-{}", rest.replace('d', "")).into()),
            None if text == "--detach" => {}
            None => changed.push(arg),
        }
    }
    changed.extend([format!("--detached={size}").into(), "--".into()]);
    changed.extend(args);
    changed
}

/// The command line of a join to `link`, which is that of the session behind the socket `own`.
pub(crate) fn joining(link: String, own: PathBuf, args: &AttachArgs) -> JoinArgs {
    let Ok(Command::Join(mut join)) = Cli::try_parse_from(["beach", "join"]).map(|cli| cli.command) else {
        unreachable!("join needs no arguments to be read")
    };
    join.target = Some(link);
    join.own = Some(own);
    join.escape = args.escape;
    join
}

/// `beach`, `beach -- CMD` and `beach --FLAG …` are `beach share …`; `beach --join TARGET` is `beach join TARGET`.
fn normalize(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let first = args.get(1).map_or(OsStr::new(""), OsString::as_os_str).to_string_lossy().into_owned();
    match first.as_str() {
        "-h" | "--help" | "-V" | "--version" | "help" => {}
        "--join" => args[1] = "join".into(),
        joined if joined.starts_with("--join=") => {
            args[1] = joined["--join=".len()..].into();
            args.insert(1, "join".into());
        }
        other if other.is_empty() || other.starts_with('-') => args.insert(1.min(args.len()), "share".into()),
        _ => {}
    }
    args
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A year; longer is a mistake.
    const MOST: f64 = 31_557_600.0;
    match text.trim_end_matches('s').parse::<f64>() {
        Ok(seconds) if (0.0..=MOST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected a number of seconds".to_owned()),
    }
}

fn viewers(text: &str) -> Result<usize, String> {
    let fits = |count: &usize| (1..=MAX_VIEWERS).contains(count);
    text.parse().ok().filter(fits).ok_or_else(|| format!("expected a number from 1 to {MAX_VIEWERS}"))
}

/// Shorter, and what was just handed out would expire before it is used.
fn lifetime(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        lifetime if lifetime >= Duration::from_secs(10) => Ok(lifetime),
        _ => Err("expected at least 10 seconds".to_owned()),
    }
}

/// One that can be used as it is.
fn ice_server(text: &str) -> Result<IceServer, String> {
    let server: IceServer = text.parse().map_err(|error: BadIceServer| error.to_string())?;
    match server.service {
        Service::Turn(_, None) => Err("expected turn:USER:PASS@HOST:PORT".to_owned()),
        Service::Turn(_, Some(_)) | Service::Stun => Ok(server),
    }
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

fn predict(text: &str) -> Result<Mode, BadMode> {
    text.parse()
}

fn escape_char(text: &str) -> Result<Escape, String> {
    match text.as_bytes() {
        b"none" => Ok(Escape::None),
        [byte] if byte.is_ascii_graphic() => Ok(Escape::Char(*byte)),
        [b'^', letter] if letter.is_ascii_alphabetic() || b"[\\]^_".contains(letter) => {
            Ok(Escape::Char(letter.to_ascii_uppercase() & 0x1f))
        }
        _ => Err("expected one character, ^X, or none".to_owned()),
    }
}

fn server_url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let scheme = url.split("://").next().unwrap_or_default();
    if matches!(scheme, "http" | "https") && url.len() > scheme.len() + 3 {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err("expected http://HOST[:PORT] or https://HOST[:PORT]".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(args: &[&str]) -> Vec<String> {
        normalize(args.iter().map(OsString::from)).into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn bare_beach_and_a_command_after_dashes_share() {
        assert_eq!(normal(&["beach"]), ["beach", "share"]);
        assert_eq!(normal(&["beach", "--", "ls"]), ["beach", "share", "--", "ls"]);
        assert_eq!(normal(&["beach", "-q"]), ["beach", "share", "-q"]);
        assert_eq!(normal(&["beach", "--join", "x"]), ["beach", "join", "x"]);
        assert_eq!(normal(&["beach", "--join=x"]), ["beach", "join", "x"]);
        assert_eq!(normal(&["beach", "--help"]), ["beach", "--help"]);
        assert_eq!(normal(&["beach", "serve"]), ["beach", "serve"]);
    }

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn wait_takes_seconds_only_behind_an_equals_sign() {
        let parse = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Command::Share(args)) => Some(args),
            Ok(
                Command::Join(_)
                | Command::Serve(_)
                | Command::Status(_)
                | Command::Attach(_)
                | Command::Doctor(_)
                | Command::Stop(_)
                | Command::Approve(_)
                | Command::Deny(_)
                | Command::Grant(_)
                | Command::Revoke(_)
                | Command::Kick(_)
                | Command::Rotate(_)
                | Command::Pause(_)
                | Command::Resume(_)
                | Command::Say(_)
                | Command::Replay(_)
                | Command::Completions(_)
                | Command::Man(_),
            )
            | Err(_) => None,
        };
        let args = parse(&["beach", "share", "--wait", "--", "ls"]).expect("parses");
        assert_eq!(args.wait, Some(None));
        let args = parse(&["beach", "share", "--wait-for-webrtc=3"]).expect("parses");
        assert_eq!(args.wait, Some(Some(Duration::from_secs(3))));
        assert_eq!(parse(&["beach", "share"]).expect("parses").wait, None);
    }
}
