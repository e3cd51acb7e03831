//! The programs in the shared terminal: this very program, with hidden arguments, so that all systems show the same.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Subcommand;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};

use crate::screen::{COLS, Screen};

/// Shown once a program listens.
pub(crate) const READY: &str = "READY";

/// Shown when the log is through.
pub(crate) const END: &str = "END-OF-LOG";

/// In each line of the log.
pub(crate) const LOG_LINE: &str = "INFO";

/// Ends a program: end of transmission.
pub(crate) const QUIT: u8 = 4;

/// A line of the log is written with others: as much as a program with an output buffer writes.
const CHUNK: usize = 32 * 1024;

/// Digits of the time on a screen, and after how many milliseconds they begin again.
const STAMP: usize = 7;
const WRAP: u64 = 10_000_000;

/// How many of the keys are shown by a program that draws screens.
const SHOWN_KEYS: usize = 32;

/// The program in the shared terminal.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Program {
    /// Shows each key where the cursor is
    Echo,
    /// Draws coloured screens, as fast as it can or this often a second, and shows the keys in the first row
    Screens { per_second: Option<u32> },
    /// Draws coloured screens this often a second, each of which says when it was drawn
    Stamped { per_second: u32 },
    /// Prints a coloured log of so many bytes after the first key
    Log { bytes: u64 },
    /// Prints a coloured log at so many bytes a second
    Rate { per_second: u64 },
    /// Prints so many coloured lines, then shows each key
    History { lines: u64 },
    /// A shell whose prompt has a number
    Shell,
}

impl Program {
    /// The arguments that make this executable that program.
    pub(crate) fn arguments(self) -> Vec<String> {
        let (name, number) = match self {
            Program::Echo => ("echo", None),
            Program::Screens { per_second } => ("screens", per_second.map(u64::from)),
            Program::Stamped { per_second } => ("stamped", Some(u64::from(per_second))),
            Program::Log { bytes } => ("log", Some(bytes)),
            Program::Rate { per_second } => ("rate", Some(per_second)),
            Program::History { lines } => ("history", Some(lines)),
            Program::Shell => ("shell", None),
        };
        let number = number.map(|number| number.to_string());
        ["program".to_owned(), name.to_owned()].into_iter().chain(number).collect()
    }

    /// Is that program.
    pub(crate) fn run(self) -> Result<()> {
        if matches!(self, Program::Shell) {
            let mut shell = Command::new("bash");
            shell
                .args(["--norc", "--noprofile", "-i"])
                .env("PS1", format!("{READY}:\\#$ "))
                .env("HISTFILE", "/dev/null");
            return Err(shell.exec().into());
        }
        let mut attributes = tcgetattr(stdin())?;
        attributes.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &attributes)?;
        let mut terminal = Terminal { out: File::from(stdout().try_clone_to_owned()?) };
        match self {
            Program::Echo => terminal.echo(),
            Program::Screens { per_second } => terminal.screens(per_second),
            Program::Stamped { per_second } => terminal.stamped(per_second),
            Program::Log { bytes } => terminal.log(bytes),
            Program::Rate { per_second } => terminal.rate(per_second),
            Program::History { lines } => {
                terminal.out.write_all(&history(lines))?;
                terminal.echoes()
            }
            Program::Shell => Ok(()),
        }
    }
}

/// All that [`Program::History`] prints before the first key.
pub(crate) fn history(lines: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..lines).for_each(|number| line(number, &mut bytes));
    bytes.extend_from_slice(READY.as_bytes());
    bytes
}

/// The number of keys that a program which draws screens says it has had.
pub(crate) fn keys_told(first_row: &str) -> Option<usize> {
    let (_, told) = first_row.split_once("READY K")?;
    told.get(..6)?.parse().ok()
}

struct Terminal {
    out: File,
}

impl Terminal {
    fn echo(&mut self) -> Result<()> {
        write!(self.out, "\x1b[2J\x1b[H{READY}\r\n")?;
        self.echoes()
    }

    fn echoes(&mut self) -> Result<()> {
        while let Some(keys) = keys()? {
            self.out.write_all(&keys)?;
        }
        Ok(())
    }

    /// The cursor is left behind the keys, where the next one will be shown, as programs do.
    fn screens(&mut self, per_second: Option<u32>) -> Result<()> {
        let rows = tcgetwinsize(stdout())?.ws_row;
        let interval = per_second.map_or(Duration::ZERO, |often| Duration::from_secs(1) / often.max(1));
        let mut pressed = Vec::new();
        let mut next = Instant::now();
        self.out.write_all(b"\x1b[2J")?;
        for frame in 0.. {
            let mut bytes = screen(frame, rows);
            bytes.extend_from_slice(&told(&pressed));
            self.out.write_all(&bytes)?;
            next += interval;
            // Keys are shown when they come, not with the next screen.
            while waits_for_key(next)? {
                let Some(keys) = keys()? else { return Ok(()) };
                pressed.extend_from_slice(&keys);
                self.out.write_all(&told(&pressed))?;
            }
        }
        Ok(())
    }

    /// The time stands at the end of the first row and of the last: a screen is there once both do.
    fn stamped(&mut self, per_second: u32) -> Result<()> {
        let rows = tcgetwinsize(stdout())?.ws_row;
        let interval = Duration::from_secs(1) / per_second.max(1);
        let mut next = Instant::now();
        write!(self.out, "\x1b[2J\x1b[H{READY}")?;
        for frame in 0.. {
            self.out.write_all(&stamped(frame, rows, clock()))?;
            // Screens that are late because the terminal takes nothing are not made up for.
            next = (next + interval).max(Instant::now());
            while waits_for_key(next)? {
                if keys()?.is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn log(&mut self, bytes: u64) -> Result<()> {
        write!(self.out, "\x1b[2J\x1b[H{READY}\r\n")?;
        if keys()?.is_none() {
            return Ok(());
        }
        let mut chunk = Vec::new();
        let mut written = 0;
        for number in 0.. {
            line(number, &mut chunk);
            let through = written + chunk.len() as u64 >= bytes;
            if chunk.len() >= CHUNK || through {
                self.out.write_all(&chunk)?;
                written += chunk.len() as u64;
                chunk.clear();
            }
            if through {
                break;
            }
        }
        self.out.write_all(END.as_bytes())?;
        self.echoes()
    }

    fn rate(&mut self, per_second: u64) -> Result<()> {
        const INTERVAL: Duration = Duration::from_millis(10);
        let started = Instant::now();
        let (mut number, mut owed) = (0, 0);
        let mut chunk = Vec::new();
        loop {
            let due = u64::try_from(started.elapsed().as_millis())? * per_second / 1000;
            while owed < due {
                let before = chunk.len();
                line(number, &mut chunk);
                owed += (chunk.len() - before) as u64;
                number += 1;
            }
            self.out.write_all(&chunk)?;
            chunk.clear();
            if waits_for_key(Instant::now() + INTERVAL)? && keys()?.is_none() {
                return Ok(());
            }
        }
    }
}

/// The next typed bytes; `None` at the end.
fn keys() -> Result<Option<Vec<u8>>> {
    let mut buffer = [0; 4096];
    let read = rustix::io::read(stdin(), &mut buffer).unwrap_or(0);
    let keys = &buffer[..read];
    Ok((read > 0 && !keys.contains(&QUIT)).then(|| keys.to_vec()))
}

/// Whether a key comes until then.
fn waits_for_key(until: Instant) -> Result<bool> {
    let timeout = Timespec::try_from(until.saturating_duration_since(Instant::now()))?;
    let stdin = stdin();
    let mut polled = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    Ok(poll(&mut polled, Some(&timeout))? > 0)
}

/// The first row, and the cursor behind the keys.
fn told(pressed: &[u8]) -> Vec<u8> {
    let from = pressed.len().saturating_sub(SHOWN_KEYS);
    let mut bytes = format!("\x1b[1;1H\x1b[0m{READY} K{:06} ", pressed.len()).into_bytes();
    bytes.extend_from_slice(&pressed[from..]);
    bytes
}

/// All other rows: words, each in a colour of its own, none of which is the same in the next screen.
fn screen(frame: u32, rows: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 2..=rows {
        let _ = write!(bytes, "\x1b[{row};1H");
        for word in 0..9 {
            let number = frame.wrapping_mul(31).wrapping_add(u32::from(row) * 7 + word);
            let _ = write!(bytes, "\x1b[38;5;{}m{:08x}", number % 216 + 16, number.wrapping_mul(0x9e37_79b1));
        }
    }
    bytes
}

/// A screen, and in its first and last row when it was drawn.
fn stamped(frame: u32, rows: u16, now: u64) -> Vec<u8> {
    let column = usize::from(COLS) - STAMP;
    let mut bytes = format!("\x1b[1;{column}H\x1b[0m{now:0STAMP$}").into_bytes();
    bytes.extend_from_slice(&screen(frame, rows));
    let _ = write!(bytes, "\x1b[{rows};{column}H\x1b[0m{now:0STAMP$}");
    bytes
}

/// How old the screen is that a client shows, in milliseconds; `rows` are those of the program.
pub(crate) fn age(screen: &Screen, rows: usize) -> Option<u64> {
    let column = usize::from(COLS) - STAMP - 1;
    let told = |row| screen.row(row).get(column..column + STAMP)?.parse::<u64>().ok();
    let age = |drawn: u64| (clock() + WRAP - drawn) % WRAP;
    Some(age(told(0)?).max(age(told(rows.checked_sub(1)?)?)))
}

/// The time in milliseconds, as far as a stamp holds it.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() % WRAP
}

/// A line of the log, as build tools write them.
fn line(number: u64, bytes: &mut Vec<u8>) {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let (minute, second) = (number / 60 % 60, number % 60);
    let (red, green, blue) = (mixed & 0xff, mixed >> 8 & 0xff, mixed >> 16 & 0xff);
    let _ = write!(
        bytes,
        "\x1b[2m12:{minute:02}:{second:02}\x1b[0m \x1b[1;3{}m{LOG_LINE}\x1b[0m \x1b[38;5;{}mstep {number:06}\x1b[0m \
         compiled \x1b[4munit-{mixed:06x}.rs\x1b[0m \x1b[38;2;{red};{green};{blue}m{:>9} bytes\x1b[0m\r\n",
        number % 7 + 1,
        number % 216 + 16,
        mixed * 37,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::ROWS;

    #[test]
    fn a_screen_tells_how_many_keys_there_were() {
        let mut shown = Screen::new(ROWS);
        shown.feed(&screen(3, ROWS));
        shown.feed(&told(b"abc"));
        assert_eq!(keys_told(&shown.row(0)), Some(3));
        assert_eq!(keys_told(&shown.row(1)), None);
    }

    #[test]
    fn a_screen_is_as_old_as_the_older_of_its_first_and_last_row() {
        let mut shown = Screen::new(ROWS);
        assert_eq!(age(&shown, usize::from(ROWS)), None);
        shown.feed(&stamped(3, ROWS, (clock() + WRAP - 5_000) % WRAP));
        let old = age(&shown, usize::from(ROWS)).expect("both rows tell");
        assert!((5_000..60_000).contains(&old), "{old}");
        let new = stamped(4, ROWS, clock());
        shown.feed(&new[..new.len() / 2]);
        assert!(age(&shown, usize::from(ROWS)) >= Some(5_000), "it is not all there");
        shown.feed(&new[new.len() / 2..]);
        assert!(age(&shown, usize::from(ROWS)) < Some(5_000));
    }

    #[test]
    fn no_line_of_the_log_is_wider_than_the_terminal() {
        let mut bytes = Vec::new();
        (0..10_000).for_each(|number| line(number, &mut bytes));
        let mut shown = Screen::new(ROWS);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            shown.feed(b"\x1b[2J\x1b[H");
            shown.feed(line);
            assert!(shown.row(0).ends_with(' ') && shown.row(1).trim().is_empty(), "{:?}", shown.row(0));
        }
    }
}
