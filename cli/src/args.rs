//! The command line.

mod control;
mod join;
mod share;
mod tools;
mod values;
mod variables;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use beach_core::terminal::Size;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
pub(crate) use control::{GrantArgs, KickArgs, MemberArgs, SayArgs, SessionArgs, StatusArgs, StopArgs, ViewerName};
pub(crate) use join::{AttachArgs, JoinArgs};
pub(crate) use share::ShareArgs;
pub(crate) use tools::{
    AcmeArgs, CompletionsArgs, DirectoryArgs, DoctorArgs, ManArgs, ReplayArgs, ServeArgs, TurnArgs, VersionArgs,
    WebArgs,
};
pub(crate) use values::{LogArgs, LogFormat};
pub(crate) use variables::BEGINNING as SERVE_VARIABLE;

use crate::config::Found;
use crate::{config, output, program};

const EXAMPLES: &str = "\
Examples:
  beach share                      share your shell; prints the links
  beach share -- htop              share one program
  beach join LINK                  join from anywhere
  beach share --headless -q -- sh -c 'make && make test'

`beach COMMAND --help` shows the flags of a command.";

const SHARE_EXAMPLES: &str = "\
Examples:
  beach share                      share your shell; prints the links
  beach share -- htop              share one program
  beach share --headless -q -- sh -c 'make && make test'

Exit codes: the command's own, or 128 + its signal; and
  127 CMD cannot start   1 nobody joined in time   2 usage
  3 rendezvous unreachable   5 refused   129, 130, 143 stopped by a signal";

const JOIN_EXAMPLES: &str = "\
Examples:
  beach join LINK                  join from anywhere
  beach join --return LINK         exit with the shared command's code

Exit codes:
  0 ended or left   2 usage            3 rendezvous unreachable   4 no such session
  5 refused         6 no path          7 connection lost          8 other protocol version";

const SERVE_VARIABLES: &str = "\
Each flag is a variable too: BEACH_SERVE_LISTEN is --listen, BEACH_SERVE_NO_RELAY=1 is --no-relay.
A flag that is repeatable takes a list with spaces. The command line wins.";

const COMPLETIONS: &str = "\
Load the script:
  bash         source <(beach completions bash)
  zsh          source <(beach completions zsh)
  fish         beach completions fish | source
  elvish       eval (beach completions elvish | slurp)
  powershell   beach completions powershell | Out-String | Invoke-Expression";

/// The longest command line in advice, in characters, without `beach share --`.
const LONGEST_ADVICE: usize = 70;

/// Share a terminal, peer to peer and end-to-end encrypted.
#[derive(Debug, Parser)]
#[command(name = "beach", version, after_help = EXAMPLES, infer_subcommands = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Share a terminal; bare `beach` and `beach -- CMD` do the same
    #[command(after_help = SHARE_EXAMPLES)]
    Share(Box<ShareArgs>),
    /// Join a shared terminal; `beach --join TARGET` does the same
    #[command(after_help = JOIN_EXAMPLES)]
    Join(JoinArgs),
    /// Serve the page for browsers to this machine alone, for a link
    Web(WebArgs),
    /// Run a rendezvous, which introduces viewers to hosts
    #[command(after_help = SERVE_VARIABLES)]
    Serve(Box<ServeArgs>),
    /// Show your sessions: links and viewers
    Status(StatusArgs),
    /// Join your own session, such as one in the background
    Attach(AttachArgs),
    /// Check whether a session would work from here, and say what to do if not
    Doctor(DoctorArgs),
    /// Stop a session
    Stop(StopArgs),
    /// Let in a person who waits; see `beach share --approve`
    Approve(MemberArgs),
    /// Refuse a person who waits, and make new links
    Deny(KickArgs),
    /// Let a viewer type
    Grant(GrantArgs),
    /// Take the keyboard from a viewer, who can still watch
    Revoke(MemberArgs),
    /// Remove a viewer, and make new links
    Kick(KickArgs),
    /// Make new links; the old ones stop working, and viewers stay
    Rotate(SessionArgs),
    /// Hide new output from viewers and drop their input, until `beach resume`
    Pause(SessionArgs),
    /// End a pause
    Resume(SessionArgs),
    /// Show a sentence to all viewers
    Say(SayArgs),
    /// Replay a recording of --record-handshake, and print each stage
    Replay(ReplayArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the man page, or write the pages of all commands
    Man(ManArgs),
    /// Print the version, and the name of the page for browsers
    Version(VersionArgs),
}

/// Parses the command line and the flags that the configuration file adds. A mistake in the command line prints the
/// reason and exits with 2.
///
/// # Errors
/// The exit code, after an error message about the configuration.
pub(crate) fn parse() -> Result<Command, u8> {
    let mut args = normalize(std::env::args_os());
    let matches = definition().try_get_matches_from(&args).map_err(|error| mistaken(&args, &error))?;
    if let Some(path) = config::path() {
        let added = config::read(&path).and_then(|found| {
            let text = match found {
                Found::Text(text) => text,
                Found::Nothing => return Ok(Vec::new()),
                Found::Unreadable(error) => {
                    let cause = format!("{}: {error}", path.display());
                    output::warn(
                        "cannot read the configuration file",
                        &cause,
                        "make the file readable, or set XDG_CONFIG_HOME",
                    );
                    return Ok(Vec::new());
                }
            };
            config::arguments(&text, &definition(), &matches)
        });
        match added {
            Ok(added) => args.splice(2.min(args.len())..2.min(args.len()), added).for_each(drop),
            Err(config::BadConfig { line, what }) => {
                let place = line.map_or(path.display().to_string(), |line| format!("{}, line {line}", path.display()));
                return Err(output::usage(
                    "cannot use the configuration file",
                    &format!("{place}: {what}"),
                    "correct this line, or remove the file",
                ));
            }
        }
    }
    let matches = definition().get_matches_from(args);
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command)
}

/// The exit code for a command line that clap does not take. Says how to share a program, if the program stands where
/// only beach's own words may stand.
fn mistaken(args: &[OsString], error: &clap::Error) -> u8 {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(_) | None => None,
    };
    let is_share = args.get(1).is_some_and(|command| command == "share");
    let program = if error.kind() == ErrorKind::UnknownArgument && is_share {
        text(ContextKind::InvalidArg)
    } else if error.kind() == ErrorKind::InvalidSubcommand {
        text(ContextKind::InvalidSubcommand)
    } else {
        error.exit()
    };
    let at = program.filter(|word| !word.starts_with('-')).and_then(|word| args.iter().position(|arg| *arg == *word));
    let Some(at) = at else { error.exit() };
    let words =
        |range: &[OsString]| range.iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let flags = if is_share { words(&args[2..at]) } else { String::new() };
    let rest = words(&args[at..]);
    let fits = flags.len() + rest.len() <= LONGEST_ADVICE;
    let (flags, rest) = if fits { (flags, rest) } else { (String::new(), format!("{} …", words(&args[at..=at]))) };
    let advice = format!("beach share {flags}{}-- {rest}", if flags.is_empty() { "" } else { " " });
    let similar = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(similar)) if program::look_for(&args[at]).is_err() => similar.join(", "),
        Some(_) | None => String::new(),
    };
    let cause = match similar.as_str() {
        "" => "the command to share must stand behind --".to_owned(),
        similar => format!("similar commands: {similar}"),
    };
    let name = args[at].to_string_lossy();
    let what = if is_share {
        format!("`--` is missing before the command `{name}`")
    } else {
        format!("beach has no command `{name}`")
    };
    output::usage(&what, &cause, &advice)
}

/// A word as a shell needs it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The definition of the command line. Each flag of serve is a variable too.
pub(crate) fn definition() -> clap::Command {
    Cli::command().mut_subcommand("serve", variables::of_each_flag)
}

/// The variables of serve.
pub(crate) fn variables_of_serve() -> Vec<String> {
    let serve = definition().find_subcommand("serve").cloned();
    let flags = serve.iter().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
    flags.map(variables::variable).collect()
}

/// The command line of the background process: this process' own, with the terminal's size in place of --detach.
pub(crate) fn detached(size: Size) -> Vec<OsString> {
    let mut args = normalize(std::env::args_os()).into_iter().skip(1);
    let mut changed: Vec<OsString> = Vec::new();
    for arg in args.by_ref().take_while(|arg| arg != "--") {
        // Short flags may stand together, as in `-qd`.
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

/// The command line of a join by `invite` to the session behind the socket `own`.
pub(crate) fn joining(invite: String, own: PathBuf, args: &AttachArgs) -> JoinArgs {
    let Ok(Command::Join(mut join)) = Cli::try_parse_from(["beach", "join"]).map(|cli| cli.command) else {
        unreachable!("join needs no arguments to be read")
    };
    join.target = vec![invite];
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        definition().debug_assert();
    }

    #[test]
    fn wait_takes_seconds_only_behind_an_equals_sign() {
        let parse = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Command::Share(args)) => Some(args),
            Ok(
                Command::Join(_)
                | Command::Web(_)
                | Command::Version(_)
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
