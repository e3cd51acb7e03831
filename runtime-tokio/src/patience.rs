//! Writing to a file that may take nothing for a while: a pipe whose reader stopped, a terminal that is held with
//! Ctrl-S.
//!
//! A loop that drives a session must not wait for such a file. [`write_within`] gives up after a time that the caller
//! names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use rustix::io::Errno;

/// Bytes in one write to a pipe or a terminal: a pipe that is ready takes as many without waiting (PIPE_BUF).
const CHUNK_BYTES: usize = 4096;

/// Writes `bytes` to `file`, and waits `patience` at most for a file that takes nothing.
///
/// # Errors
/// `TimedOut` if the file took nothing for `patience`; a part of `bytes` may be written then. Else as the system says.
pub fn write_within(file: impl AsFd, bytes: &[u8], patience: Duration) -> io::Result<()> {
    let file = file.as_fd();
    let regular = rustix::fs::fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    let until = Instant::now() + patience;
    let mut rest = bytes;
    while !rest.is_empty() {
        // A file on a disk takes everything, or says why not.
        if !regular && !is_ready(file, until.saturating_duration_since(Instant::now()))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let chunk = if regular { rest } else { &rest[..rest.len().min(CHUNK_BYTES)] };
        match rustix::io::write(file, chunk) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            // The file does not block: its owner opened it so.
            Err(Errno::AGAIN) if Instant::now() < until => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether `file` takes bytes within `patience`. A file with an error counts: the write says which.
fn is_ready(file: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match rustix::event::poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[test]
    fn a_pipe_that_nobody_reads_is_given_up_in_time_and_written_whole_when_there_is_room() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let text = vec![b'x'; 1024 * 1024];
        let started = Instant::now();
        let error = write_within(&writer, &text, PATIENCE).expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..PATIENCE * 20).contains(&started.elapsed()), "{:?}", started.elapsed());

        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all.len())
        });
        write_within(&writer, &text, Duration::from_secs(10)).expect("somebody reads");
        drop(writer);
        assert!(reading.join().expect("no panic").expect("it is read") > text.len());
    }

    #[test]
    fn a_full_disk_and_a_reader_that_is_gone_are_errors() {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        assert_eq!(write_within(full, b"x", PATIENCE).expect_err("full").kind(), io::ErrorKind::StorageFull);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(write_within(writer, b"x", PATIENCE).expect_err("gone").kind(), io::ErrorKind::BrokenPipe);
    }
}
