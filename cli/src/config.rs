//! The configuration file: defaults for flags, by their long names.
//!
//! A line at the top sets the flag of every command that has this flag; a line in `[share]`, `[join]` and so on sets
//! the flag of that command. The command line wins over the environment, and the environment wins over the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The size limit of the file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A fault of the file, with the number of its line where the fault has a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadConfig {
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
}

/// The path of the file: `$XDG_CONFIG_HOME/beach/config.toml`.
pub(crate) fn path() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("beach").join("config.toml"))
}

/// The result of looking for the file.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is no file.
    Nothing,
    Text(String),
    /// The system does not let this process read the file.
    Unreadable(io::Error),
}

/// Reads the file.
///
/// # Errors
/// The file is larger than a megabyte, or not UTF-8.
pub(crate) fn read(path: &Path) -> Result<Found, BadConfig> {
    let bad = |what: &str| BadConfig { line: None, what: what.to_owned() };
    let read = std::fs::metadata(path).and_then(|found| match found.len() {
        0..=MAX_BYTES => std::fs::read(path).map(Some),
        _ => Ok(None),
    });
    match read {
        Ok(Some(bytes)) => String::from_utf8(bytes).map(Found::Text).map_err(|_| bad("the file is not UTF-8")),
        Ok(None) => Err(bad("the file is larger than a megabyte")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Found::Nothing),
        Err(error) => Ok(Found::Unreadable(error)),
    }
}

/// The arguments that the file adds to the command in `matches`. The file adds no flag that the command line or the
/// environment gave.
///
/// # Errors
/// `text` is no TOML, or names a flag or a value that no command has.
pub(crate) fn arguments(text: &str, cli: &Command, matches: &ArgMatches) -> Result<Vec<OsString>, BadConfig> {
    let line = |at: usize| Some(text[..at.min(text.len())].matches('\n').count() + 1);
    let table = DeTable::parse(text).map_err(|error| BadConfig {
        line: error.span().and_then(|span| line(span.start)),
        what: error.message().to_owned(),
    })?;
    let Some((name, chosen)) = matches.subcommand() else { return Ok(Vec::new()) };
    let mut wanted = BTreeMap::new();
    let commands: Vec<&Command> = cli.get_subcommands().collect();
    for (key, value) in table.get_ref() {
        let flag = key.get_ref().as_ref();
        let unknown = |what: &str, at: usize| BadConfig { line: line(at), what: what.to_owned() };
        if let DeValue::Table(own) = value.get_ref() {
            let Some(command) = commands.iter().find(|command| command.get_name() == flag) else {
                return Err(unknown(&format!("there is no command {flag}"), key.span().start));
            };
            for (key, value) in own {
                let flag = key.get_ref().as_ref();
                if !has(command, flag) {
                    return Err(unknown(&format!("{} has no flag --{flag}", command.get_name()), key.span().start));
                }
                if command.get_name() == name {
                    wanted.insert(flag.to_owned(), value);
                }
            }
        } else if !commands.iter().any(|command| has(command, flag)) {
            return Err(unknown(&format!("no command has a flag --{flag}"), key.span().start));
        } else if commands.iter().any(|command| command.get_name() == name && has(command, flag)) {
            wanted.entry(flag.to_owned()).or_insert(value);
        }
    }
    let mut arguments = Vec::new();
    let given = |id: &str| matches!(chosen.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    let command = commands.iter().find(|command| command.get_name() == name);
    for (flag, value) in wanted {
        let id = flag.replace('-', "_");
        if !given(&id) && !command.is_some_and(|command| is_excluded(command, &id, given)) {
            let bad =
                || BadConfig { line: line(value.span().start), what: format!("--{flag} takes no date and no table") };
            add(&mut arguments, &flag, value).ok_or_else(bad)?;
        }
    }
    Ok(arguments)
}

/// Whether a flag that was given excludes this one, as --listen excludes --server.
fn is_excluded(command: &Command, id: &str, given: impl Fn(&str) -> bool) -> bool {
    let excludes =
        |one: &Arg, other: &str| command.get_arg_conflicts_with(one).iter().any(|excluded| excluded.get_id() == other);
    let Some(flag) = command.get_arguments().find(|arg| arg.get_id() == id) else { return false };
    let others = command.get_arguments().filter(|other| given(other.get_id().as_str()));
    others.into_iter().any(|other| excludes(flag, other.get_id().as_str()) || excludes(other, id))
}

fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(flag) && !arg.is_hide_set())
}

/// Adds `--flag` or `--flag=value`, and for an array one of these for each element.
fn add(arguments: &mut Vec<OsString>, flag: &str, value: &Spanned<DeValue<'_>>) -> Option<()> {
    let mut with = |value: &str| arguments.push(format!("--{flag}={value}").into());
    match value.get_ref() {
        DeValue::String(text) => with(text),
        DeValue::Integer(number) => with(&number.to_string()),
        DeValue::Float(number) => with(&number.to_string()),
        DeValue::Boolean(true) => arguments.push(format!("--{flag}").into()),
        DeValue::Boolean(false) => {}
        DeValue::Array(parts) => parts.iter().try_for_each(|part| add(arguments, flag, part))?,
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn cli() -> Command {
        let command = |name: &'static str| {
            let many = Arg::new("ice_server").long("ice-server").action(ArgAction::Append);
            let flag = |id: &'static str, long: &'static str| Arg::new(id).long(long).action(ArgAction::SetTrue);
            Command::new(name).args([many, flag("strict", "strict"), flag("hidden", "hidden").hide(true)])
        };
        let linger = Arg::new("linger").long("linger");
        Command::new("beach").subcommand(command("share").arg(linger)).subcommand(command("join"))
    }

    fn added(text: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let cli = cli();
        let matches = cli.clone().get_matches_from([&["beach"], args].concat());
        let words = |error: BadConfig| format!("{}: {}", error.line.unwrap_or_default(), error.what);
        let arguments = arguments(text, &cli, &matches).map_err(words)?;
        Ok(arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect())
    }

    fn all(arguments: &[&str]) -> Result<Vec<String>, String> {
        Ok(arguments.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_for_all_and_what_is_for_one() {
        let text = "ice-server = ['stun:a', 'stun:b']\nstrict = true\n[share]\nlinger = 7\nice-server = 'stun:c'\n";
        assert_eq!(added(text, &["share"]), all(&["--ice-server=stun:c", "--linger=7", "--strict"]));
        assert_eq!(added(text, &["join"]), all(&["--ice-server=stun:a", "--ice-server=stun:b", "--strict"]));
        assert_eq!(added("strict = false", &["join"]), all(&[]));
    }

    #[test]
    fn the_command_line_counts_more() {
        let text = "ice-server = 'stun:a'\n[share]\nlinger = 7";
        assert_eq!(added(text, &["share", "--linger", "3", "--ice-server", "stun:z"]), all(&[]));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let wrong = |text| added(text, &["share"]).expect_err("wrong");
        assert_eq!(wrong("strict = true\nstrickt = true"), "2: no command has a flag --strickt");
        assert_eq!(wrong("\n[join]\n\nlinger = 1"), "4: join has no flag --linger");
        assert_eq!(wrong("[sharre]"), "1: there is no command sharre");
        assert_eq!(wrong("hidden = true"), "1: no command has a flag --hidden");
        assert_eq!(wrong("[share]\nlinger = 2020-01-01"), "2: --linger takes no date and no table");
        assert!(wrong("strict = ").starts_with("1: "));
    }
}
