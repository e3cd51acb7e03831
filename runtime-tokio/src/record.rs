//! Files that only their owner may read, appended to: recordings and logs.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use crate::patience::write_within;

/// How long a file that is a pipe or a terminal may take nothing: the loop that writes has a session to drive.
const PATIENCE: Duration = Duration::from_millis(200);

/// A file that only its owner may read, appended to.
#[derive(Debug)]
pub struct PrivateFile(File);

impl PrivateFile {
    /// Opens `path` for appending, and gives it mode 0600 whatever it had before.
    ///
    /// # Errors
    /// As the file system says; also if the file is another user's.
    pub fn append(path: &Path) -> io::Result<PrivateFile> {
        Self::of(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?)
    }

    /// Standard error, whoever may read it.
    ///
    /// # Errors
    /// The system has no further file.
    pub fn stderr() -> io::Result<PrivateFile> {
        Ok(PrivateFile(File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 0)?)))
    }

    fn of(file: File) -> io::Result<PrivateFile> {
        // The mode of a pipe, a terminal or /dev/null is not ours to change.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(PrivateFile(file))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As the file system says; `TimedOut` for a pipe or a terminal that takes nothing for 200 ms.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write_within(&self.0, bytes, PATIENCE)
    }
}

impl io::Write for &PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        PrivateFile::write(self, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A recording on disk.
#[derive(Debug)]
pub struct Recording {
    file: PrivateFile,
    failed: bool,
}

impl Recording {
    /// Starts a recording: the file is emptied, and has mode 0600 from then on.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(path: &Path) -> io::Result<Recording> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        Ok(Recording { file: PrivateFile::of(file)?, failed: false })
    }

    /// Starts a recording in a new file, mode 0600.
    ///
    /// # Errors
    /// There is a file already; else as the file system says.
    pub fn create_new(path: &Path) -> io::Result<Recording> {
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        Ok(Recording { file: PrivateFile::of(file)?, failed: false })
    }

    /// Appends, at once. The first failure ends the recording: nothing is written after the failure.
    ///
    /// # Errors
    /// As the file system says, the first time; never again.
    pub fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.file.write(bytes).inspect_err(|_| self.failed = true)
    }

    /// Appends. A disk that is full ends the recording, not the session; the failure is logged once.
    pub fn append(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_append(bytes) {
            tracing::error!(%error, "the recording ends here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_once() {
        let file = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut recording = Recording { file: PrivateFile::of(file).expect("its mode is left alone"), failed: false };
        let error = recording.try_append(b"x").expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        recording.try_append(b"y").expect("once is enough");
    }
}
