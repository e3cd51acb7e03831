//! `--audit FILE`: what happened in a session, and who did it, one JSON object a line. Never a key.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

use beach_runtime_tokio::record::open_private;
use serde_json::{Value, json};

/// The file: only its owner may read it, and it is only ever appended to.
#[derive(Debug)]
pub(crate) struct Audit {
    file: File,
    session: String,
}

impl Audit {
    /// Goes on with a file, or makes it.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn open(path: &Path, session: &str) -> io::Result<Audit> {
        Ok(Audit { file: open_private(path)?, session: session.to_owned() })
    }

    /// Something happened, now.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn note(&mut self, kind: &str, fields: &Value) -> io::Result<()> {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut line = json!({ "time": since.as_millis() as f64 / 1000.0, "session": self.session, "event": kind });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}
