//! Completion scripts and man pages, generated from the definition of the command line.

use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::output;

/// `beach completions`.
pub(crate) fn completions(shell: Shell, mut cli: Command) -> u8 {
    let mut script = Vec::new();
    generate(shell, &mut cli, "beach", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end());
    0
}

/// `beach man`: prints the program's page, or writes the pages of all commands into `folder`.
pub(crate) fn man(folder: Option<&Path>, cli: Command) -> u8 {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        return match Man::new(cli).render(&mut page) {
            Ok(()) => {
                output::print(String::from_utf8_lossy(&page).trim_end());
                0
            }
            Err(error) => output::refuse("cannot make the man page", &error.to_string(), "try again"),
        };
    };
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(cli, folder));
    match written {
        Ok(()) => 0,
        Err(error) => output::refuse("cannot write the man pages", &error.to_string(), "choose another --dir"),
    }
}
