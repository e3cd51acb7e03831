//! The shared command: its words, whether it can start, and the environment that it does not get.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::output;

/// The exit code of shells for a command that does not exist.
const NO_COMMAND: u8 = 127;

/// The folders of programs if PATH is not set, as the C library has them.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Variables that describe the terminal around share. A headless share has another terminal.
const OF_A_TERMINAL: [&str; 17] = [
    "COLORFGBG",
    "COLUMNS",
    "LC_TERMINAL",
    "LC_TERMINAL_VERSION",
    "LINES",
    "SSH_TTY",
    "STY",
    "TERMCAP",
    "TERMINATOR_UUID",
    "TILIX_ID",
    "TMUX",
    "TMUX_PANE",
    "VTE_VERSION",
    "WINDOW",
    "WINDOWID",
    "WT_PROFILE_ID",
    "WT_SESSION",
];

/// The beginnings of more such names.
const OF_TERMINALS: [&str; 10] = [
    "ALACRITTY_",
    "GHOSTTY_",
    "GNOME_TERMINAL_",
    "ITERM_",
    "KITTY_",
    "KONSOLE_",
    "TERM_PROGRAM",
    "WEZTERM_",
    "XTERM_",
    "ZELLIJ",
];

/// The words that the command line gives, or the person's shell.
pub(crate) fn command(given: &[OsString]) -> Vec<OsString> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let shell = env::var_os("SHELL").filter(|shell| Path::new(shell).exists());
    vec![shell.unwrap_or_else(|| OsStr::new("/bin/sh").to_owned())]
}

/// The command line with the program's name in place of its path.
pub(crate) fn command_text(command: &[OsString]) -> String {
    let name = Path::new(&command[0]).file_name().unwrap_or(&command[0]);
    let parts = std::iter::once(name).chain(command[1..].iter().map(OsString::as_os_str));
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Looks for a program as the system does at the start: in the folders of PATH, unless the name has a slash.
///
/// # Errors
/// The reason in words why the program cannot start.
pub(crate) fn look_for(program: &OsStr) -> Result<(), &'static str> {
    let in_path = !program.as_encoded_bytes().contains(&b'/');
    let places: Vec<PathBuf> = if in_path {
        let folders = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        env::split_paths(&folders).map(|folder| folder.join(program)).collect()
    } else {
        vec![program.into()]
    };
    let found = |place: &PathBuf| place.is_file();
    if program.is_empty() || !places.iter().any(found) {
        return Err(if in_path { "no folder of PATH has this program" } else { "there is no such file" });
    }
    let can_start = |place: &&PathBuf| found(place) && access(place.as_path(), Access::EXEC_OK).is_ok();
    places.iter().find(can_start).map(drop).ok_or("this user may not execute the file")
}

/// Prints that the command does not start; returns the exit code.
pub(crate) fn cannot_start(command: &[OsString], cause: &str) -> u8 {
    let what = format!("cannot start `{}`", command_text(command));
    output::error_of(NO_COMMAND, &what, cause, "check the command after --")
}

/// The variables of this process that describe its terminal.
pub(crate) fn variables_of_this_terminal() -> Vec<OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| describes_a_terminal(&name.to_string_lossy())).collect()
}

fn describes_a_terminal(name: &str) -> bool {
    OF_A_TERMINAL.contains(&name) || OF_TERMINALS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_folders_of_path_or_at_its_own_path() {
        assert_eq!(look_for("sh".as_ref()), Ok(()));
        assert_eq!(look_for("/bin/sh".as_ref()), Ok(()));
        assert_eq!(look_for("no-such-program".as_ref()), Err("no folder of PATH has this program"));
        assert_eq!(look_for("".as_ref()), Err("no folder of PATH has this program"));
        assert_eq!(look_for("/no/such/program".as_ref()), Err("there is no such file"));
        assert_eq!(look_for("/".as_ref()), Err("there is no such file"));
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(look_for(text.as_ref()), Err("this user may not execute the file"));
    }

    #[test]
    fn only_what_describes_a_terminal_is_kept_from_a_headless_command() {
        for name in ["COLUMNS", "TMUX_PANE", "TERM_PROGRAM_VERSION", "KITTY_WINDOW_ID", "XTERM_VERSION", "TERMCAP"] {
            assert!(describes_a_terminal(name), "{name}");
        }
        for name in ["TERM", "PATH", "LINES_OF_CODE", "TMUX_TMPDIR", "KITTY", "EDITOR", "SSH_AUTH_SOCK", "LC_ALL"] {
            assert!(!describes_a_terminal(name), "{name}");
        }
    }
}
