//! The limits that the system sets on this process (setrlimit), and their consequences.

use std::io;
use std::os::fd::OwnedFd;

use beach_core::turn_server::MAX_ALLOCATIONS;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::stdio::stderr;
use tokio::signal::unix::{SignalKind, signal};

/// Open files that a command of beach needs: the runtime 9, a terminal 6, a session's sockets, files and its
/// pseudo-terminal 17. A share was seen to work with 32 in all, and to fail halfway with fewer.
const FILES: usize = 29;

/// Open files that a server leaves for other things than connections with a place: its own, connections that are told
/// that there is no place, and, in a share, the session's.
const NOT_FOR_CONNECTIONS: u64 = 192;

/// How many connections a server may have at once, by the number of files that this process may open now.
#[must_use]
pub fn connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Where there are few files, the other uses do with less.
    usize::try_from(files.saturating_sub(NOT_FOR_CONNECTIONS).max(files / 4)).unwrap_or(usize::MAX)
}

/// Files of an allocation at a TURN server: a relay's socket a family, and the client's connection.
const FILES_AN_ALLOCATION: usize = 3;

/// How many allocations a TURN server may have: a quarter of the files is theirs.
pub(crate) fn turn_allocations() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (usize::try_from(files).unwrap_or(usize::MAX) / 4 / FILES_AN_ALLOCATION).min(MAX_ALLOCATIONS)
}

/// How many connections a server may have that is a TURN server as well.
#[must_use]
pub fn connections_beside_turn() -> usize {
    connections().saturating_sub(FILES_AN_ALLOCATION * turn_allocations())
}

/// Lets this process, and those that it starts, open as many files as the system allows.
///
/// # Errors
/// The system refused.
pub fn raise_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}

/// Checks that enough files can be opened. With fewer, libraries would panic because they cannot open theirs.
///
/// # Errors
/// As the system says when one more file cannot be opened.
pub fn check_open_files() -> io::Result<()> {
    let opened: io::Result<Vec<OwnedFd>> =
        (0..FILES).map(|_| Ok(rustix::io::fcntl_dupfd_cloexec(stderr(), 0)?)).collect();
    opened.map(drop)
}

/// From now on, a file that reaches the limit of its size (`ulimit -f`) is an error of the write, and does not end this
/// process. Commands that it starts have the signal's usual effect. Needs a tokio runtime with I/O enabled.
///
/// # Errors
/// The system refused the handler.
pub fn survive_large_files() -> io::Result<()> {
    // The handler does nothing, and stays when the stream is dropped; unlike "ignored" it is not inherited.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
