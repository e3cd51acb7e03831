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

    /// Appends. A disk that is full ends the recording, not the session; it is logged once.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        if let Err(error) = self.file.write_all(bytes) {
            self.failed = true;
            tracing::error!(%error, "the recording ends here");
        }
    }
}
