//! Input that waits on stdin, for a program that does not read stdin.

use std::future;

use rustix::fs::{FileType, SeekFrom, fstat, seek};
use rustix::io::ioctl_fionread;
use rustix::stdio::stdin;

/// Whether stdin is a pipe, a socket or a file with bytes that nobody has read. Takes none of them.
#[must_use]
pub fn has_input() -> bool {
    let Ok(found) = fstat(stdin()) else { return false };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            let read = seek(stdin(), SeekFrom::Current(0)).unwrap_or_default();
            u64::try_from(found.st_size).is_ok_and(|size| size > read)
        }
        FileType::Fifo | FileType::Socket => ioctl_fionread(stdin()).is_ok_and(|waiting| waiting > 0),
        FileType::Directory
        | FileType::Symlink
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => false,
    }
}

/// Waits until [`has_input`]; for ever if no input comes. Needs a tokio runtime with I/O enabled.
pub async fn input_arrives() {
    if has_input() {
        return;
    }
    // A file has no more input later, and the system refuses to watch it.
    let watched = rustix::io::fcntl_dupfd_cloexec(stdin(), 0).ok().and_then(crate::readable);
    if let Some(pipe) = watched
        && pipe.readable().await.is_ok()
        && has_input()
    {
        return;
    }
    future::pending().await
}
