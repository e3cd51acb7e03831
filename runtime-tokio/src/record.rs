//! Files that only their owner may read, appended to: recordings and logs.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Opens `path` for appending, mode 0600 if it is new.
///
/// # Errors
/// As the file system says.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// A recording on disk.
#[derive(Debug)]
pub struct Recording {
    file: File,
    failed: bool,
}

impl Recording {
    /// Starts a recording: the file is emptied, mode 0600 if it is new.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(path: &Path) -> io::Result<Recording> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        // The mode above is for a file that is new.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Recording { file, failed: false })
    }

    /// Starts a recording in a new file, mode 0600.
    ///
    /// # Errors
    /// If there is a file already, and as the file system says.
    pub fn create_new(path: &Path) -> io::Result<Recording> {
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        Ok(Recording { file, failed: false })
    }

    /// Appends, at once. The first failure ends the recording: nothing is written after it.
    ///
    /// # Errors
    /// As the file system says, the first time; never again.
    pub fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.file.write_all(bytes).inspect_err(|_| self.failed = true)
    }

    /// Appends. A disk that is full ends the recording, not the session; it is logged once.
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
        let mut recording = Recording { file, failed: false };
        let error = recording.try_append(b"x").expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        recording.try_append(b"y").expect("once is enough");
    }
}
