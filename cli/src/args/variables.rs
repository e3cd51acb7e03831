//! The variables of serve: one for each flag, by one rule.

use std::env;

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};

/// The beginning of the name of each.
pub(crate) const BEGINNING: &str = "BEACH_SERVE_";

/// The variable of a flag: `BEACH_SERVE_NO_RELAY` of `no-relay`.
pub(crate) fn variable(long: &str) -> String {
    format!("{BEGINNING}{}", long.replace('-', "_").to_ascii_uppercase())
}

/// Gives each flag of a command its variable. An empty variable is as none: people who fill in a template may leave it
/// so.
pub(super) fn of_each_flag(command: Command) -> Command {
    command.mut_args(|flag| match flag.get_long().map(variable) {
        Some(name) if env::var_os(&name).is_none_or(|value| !value.is_empty()) => with(flag, name),
        Some(_) | None => flag,
    })
}

fn with(flag: Arg, name: String) -> Arg {
    let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
    let is_list = matches!(flag.get_action(), ArgAction::Append);
    let flag = flag.env(name).hide_env(true);
    if is_switch {
        flag.value_parser(FalseyValueParser::new())
    } else if is_list && flag.get_value_delimiter().is_none() {
        flag.value_delimiter(' ')
    } else {
        flag
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn serve() -> Command {
        crate::args::definition().find_subcommand("serve").expect("there is serve").clone()
    }

    /// The names with the beginning in a text.
    fn named(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        words.filter(|word| word.len() > BEGINNING.len() && word.starts_with(BEGINNING)).map(str::to_owned).collect()
    }

    #[test]
    fn each_flag_of_serve_has_a_variable_by_the_rule_which_help_does_not_repeat() {
        let serve = serve();
        let flags: Vec<_> = serve.get_arguments().filter(|flag| flag.get_long().is_some()).collect();
        assert!(flags.len() >= 9, "only {} flags", flags.len());
        for flag in flags {
            let long = flag.get_long().expect("a long name");
            let has = flag.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(has, Some(variable(long)), "--{long}");
            assert!(flag.is_hide_env_set(), "--{long}");
        }
        assert_eq!(variable("no-relay"), "BEACH_SERVE_NO_RELAY");
    }

    #[test]
    fn the_variables_that_packages_and_documents_name_are_there() {
        let known: BTreeSet<String> =
            serve().get_arguments().filter_map(|flag| flag.get_long().map(variable)).collect();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = [
            "packaging/debian/beach-serve.service",
            "packaging/Dockerfile.serve",
            "packaging/kubernetes.yaml",
            "docs/OPERATIONS.md",
            "docs/INSTALL.md",
            "docs/CLI.md",
        ];
        for file in files {
            let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let unknown: Vec<_> = named(&text).difference(&known).cloned().collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
    }
}
