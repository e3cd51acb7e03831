//! Where host and viewer are.

use std::process::Command;

use crate::link::Link;

/// Where host and viewer are.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// Both on this machine.
    Here,
    /// Each in a network namespace of its own, with a slow link between.
    Apart(&'a Link),
}

impl Place<'_> {
    /// The address under which the viewer reaches the host.
    pub(crate) fn host_address(self) -> &'static str {
        match self {
            Place::Here => "127.0.0.1",
            Place::Apart(_) => Link::HOST,
        }
    }

    /// The command, at the host.
    pub(crate) fn at_host(self, command: Command) -> Command {
        match self {
            Place::Here => command,
            Place::Apart(link) => inside(&link.host, &command),
        }
    }

    /// The command, at the viewer.
    pub(crate) fn at_viewer(self, command: Command) -> Command {
        match self {
            Place::Here => command,
            Place::Apart(link) => inside(&link.viewer, &command),
        }
    }
}

/// The command in a network namespace; `ip` becomes it, so that the process stays the same.
fn inside(namespace: &str, command: &Command) -> Command {
    let mut moved = Command::new("ip");
    moved.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            moved.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        moved.current_dir(folder);
    }
    moved
}
