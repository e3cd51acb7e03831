//! Asking a person for a secret.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Longest line read, in bytes.
const LINE_MAX: usize = 4096;

/// Asks on the terminal, whatever stdin and stdout are, and reads a line without showing it.
///
/// # Errors
/// There is no terminal.
pub fn read_secret(question: &str) -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    write!(terminal, "{question}")?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let line = read_line(&mut terminal);
    tcsetattr(&terminal, OptionalActions::Now, &before)?;
    writeln!(terminal)?;
    line
}

/// Reads one line of stdin and not a byte more: the bytes behind the line are keys for the session.
///
/// # Errors
/// Stdin cannot be read, or is not text.
pub fn read_stdin_line() -> io::Result<String> {
    read_line(&mut Unbuffered)
}

/// Stdin without a buffer of ours, which would keep the bytes behind the line.
struct Unbuffered;

impl io::Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

/// Makes the terminal this process's stdin, after a line was read from a pipe there.
///
/// # Errors
/// There is no terminal.
pub fn take_stdin_from_terminal() -> io::Result<()> {
    let terminal = OpenOptions::new().read(true).open("/dev/tty")?;
    rustix::stdio::dup2_stdin(&terminal)?;
    Ok(())
}

fn read_line(from: &mut impl io::Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE_MAX && from.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the line is not UTF-8"))
}
