//! `--record FILE`: an asciicast of the shared program's output.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use beach_core::id::MemberId;
use beach_core::recording::asciicast::{Cast, CastFormat, CastHeader};
use beach_core::role::Role;
use beach_core::terminal::{Size, viewer_name};
use beach_core::time::Timestamp;
use beach_runtime_tokio::record::Recording;

/// A recording on disk. `CastFile` writes each event at once, so a player can read the file even after this process was
/// killed.
///
/// The recording's clock starts with the command; earlier events have the time 0.
#[derive(Debug)]
pub(crate) struct CastFile {
    file: Recording,
    cast: Cast,
    size: Size,
    began: Option<Instant>,
    names: BTreeMap<MemberId, String>,
}

impl CastFile {
    /// Creates a recording that only its owner may read.
    ///
    /// # Errors
    /// The file exists, or the file system refuses.
    pub(crate) fn create(
        path: &Path,
        format: CastFormat,
        size: Size,
        term: Option<String>,
        command: String,
    ) -> io::Result<CastFile> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut file = Recording::create_new(path)?;
        let header = CastHeader { size, term, timestamp, command: Some(command), title: None };
        let (cast, line) = Cast::new(format, &header);
        file.try_append(line.as_bytes())?;
        Ok(CastFile { file, cast, size, began: None, names: BTreeMap::new() })
    }

    /// Writes the header and starts the clock, as the command starts in a terminal of `size`.
    pub(crate) fn start(&mut self, size: Size) -> io::Result<()> {
        self.began = Some(Instant::now());
        self.resize(size)
    }

    pub(crate) fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        let line = self.cast.output(self.now(), bytes);
        self.file.try_append(line.as_bytes())
    }

    pub(crate) fn resize(&mut self, size: Size) -> io::Result<()> {
        if size == self.size {
            return Ok(());
        }
        self.size = size;
        let line = self.cast.resize(self.now(), size);
        self.file.try_append(line.as_bytes())
    }

    pub(crate) fn joined(&mut self, member: MemberId, role: Role, name: &str) -> io::Result<()> {
        self.names.insert(member, viewer_name(name, member.0));
        self.mark(&format!("{} joined ({role})", viewer_name(name, member.0)))
    }

    pub(crate) fn asks(&mut self, member: MemberId, role: Role, name: &str) -> io::Result<()> {
        self.names.insert(member, viewer_name(name, member.0));
        self.mark(&format!("{} asks to be let in ({role})", viewer_name(name, member.0)))
    }

    /// Writes a marker about a member.
    pub(crate) fn about(&mut self, member: MemberId, what: &str) -> io::Result<()> {
        let Some(name) = self.names.get(&member) else { return Ok(()) };
        let text = format!("{name} {what}");
        self.mark(&text)
    }

    pub(crate) fn left(&mut self, member: MemberId) -> io::Result<()> {
        match self.names.remove(&member) {
            Some(name) => self.mark(&format!("{name} left")),
            None => Ok(()),
        }
    }

    /// Writes the session's exit code as the last event.
    pub(crate) fn end(mut self, code: u8) -> io::Result<()> {
        let now = self.now();
        let lines = self.cast.end(now, i32::from(code));
        self.file.try_append(lines.as_bytes())
    }

    pub(crate) fn mark(&mut self, text: &str) -> io::Result<()> {
        let line = self.cast.marker(self.now(), text);
        self.file.try_append(line.as_bytes())
    }

    fn now(&self) -> Timestamp {
        let micros = self.began.map_or(0, |began| began.elapsed().as_micros());
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
