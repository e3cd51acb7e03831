//! The audience of a session besides viewers: the person, programs that read events, the recording and the audit.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::sleep_until;

use crate::audit::{Audit, Countable};
use crate::cast::CastFile;
use crate::output::{self, Voice, WrittenFile};

/// The outputs of a session. A failed file ends, and the session goes on.
pub(super) struct Told {
    pub(super) voice: Voice,
    cast: Option<CastFile>,
    audit: Option<Audit>,
    screen: ScreenState,
}

/// Whether share may print on the person's terminal.
enum ScreenState {
    Free,
    /// The command draws on the terminal; these messages wait.
    Taken(Vec<(WrittenFile, io::Error)>),
}

impl Told {
    pub(super) fn new(voice: Voice, cast: Option<CastFile>, audit: Option<Audit>) -> Told {
        Told { voice, cast, audit, screen: ScreenState::Free }
    }

    /// Holds messages back while the command draws on the person's terminal.
    pub(super) fn take_screen(&mut self) {
        self.screen = ScreenState::Taken(Vec::new());
    }

    /// Prints the messages that waited, after the command's end.
    pub(super) fn free_screen(&mut self) {
        if let ScreenState::Taken(waiting) = std::mem::replace(&mut self.screen, ScreenState::Free) {
            waiting.iter().for_each(|(file, error)| output::file_ended(*file, error));
        }
    }

    /// Writes to the recording.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut CastFile) -> io::Result<()>) {
        if let Some(Err(error)) = self.cast.as_mut().map(write) {
            self.cast = None;
            self.file_ended(WrittenFile::Recording, error);
        }
    }

    /// Writes an event to stdout (--json) and to the audit.
    pub(super) fn tell(&mut self, kind: &str, fields: &Value) {
        self.voice.event(kind, fields);
        self.note(kind, fields);
    }

    /// Writes an event to the audit.
    pub(super) fn note(&mut self, kind: &str, fields: &Value) {
        if let Some(Err(error)) = self.audit.as_ref().map(|audit| audit.note(kind, fields)) {
            self.audit_ended(error);
        }
    }

    /// Counts a failed join for the audit, as anybody can make joins fail.
    pub(super) fn count(&mut self, kind: Countable, fields: Value) {
        if let Some(audit) = &mut self.audit {
            audit.count(kind, fields);
        }
    }

    /// Waits until the audit has counted failures to write.
    pub(super) async fn audit_due(&self) {
        match self.audit.as_ref().and_then(Audit::deadline) {
            Some(deadline) => sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Writes counted failures that are due.
    pub(super) fn on_audit_due(&mut self) {
        if let Some(Err(error)) = self.audit.as_mut().map(|audit| audit.on_time(Instant::now())) {
            self.audit_ended(error);
        }
    }

    /// Writes the last entry of the recording, the audit and the events.
    pub(super) fn end(&mut self, code: u8, reason: &str) {
        if let Some(Err(error)) = self.cast.take().map(|cast| cast.end(code)) {
            self.file_ended(WrittenFile::Recording, error);
        }
        let fields = json!({ "code": code, "reason": reason });
        self.note("exit", &fields);
        if let Some(Err(error)) = self.audit.take().map(Audit::end) {
            self.audit_ended(error);
        }
        self.voice.event("exit", &fields);
    }

    fn audit_ended(&mut self, error: io::Error) {
        self.audit = None;
        self.file_ended(WrittenFile::Audit, error);
    }

    /// Reports the end of a file once: as an event, in the log, and to the person when the screen is free.
    fn file_ended(&mut self, file: WrittenFile, error: io::Error) {
        tracing::error!(%error, file = file.name(), "a file ends here");
        self.voice.event(file.event(), &json!({ "cause": error.to_string() }));
        match &mut self.screen {
            ScreenState::Free => output::file_ended(file, &error),
            ScreenState::Taken(waiting) => waiting.push((file, error)),
        }
    }
}
