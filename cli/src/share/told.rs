//! Who is told what happens in a session besides viewers: the person, programs that read events, the recording and the audit.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::sleep_until;

use crate::audit::{Audit, Countable};
use crate::cast::CastFile;
use crate::output::{self, Voice, WrittenFile};

/// A file that cannot be written any more ends, and the session goes on.
pub(super) struct Told {
    pub(super) voice: Voice,
    cast: Option<CastFile>,
    audit: Option<Audit>,
    screen: Screen,
}

/// Whether the person can be told something now.
enum Screen {
    Free,
    /// The command draws on the person's terminal: what they are to be told waits.
    Taken(Vec<(WrittenFile, io::Error)>),
}

impl Told {
    pub(super) fn new(voice: Voice, cast: Option<CastFile>, audit: Option<Audit>) -> Told {
        Told { voice, cast, audit, screen: Screen::Free }
    }

    /// From now on the command draws on the person's terminal.
    pub(super) fn take_screen(&mut self) {
        self.screen = Screen::Taken(Vec::new());
    }

    /// The command draws no more; the person is told what waited.
    pub(super) fn free_screen(&mut self) {
        if let Screen::Taken(waiting) = std::mem::replace(&mut self.screen, Screen::Free) {
            waiting.iter().for_each(|(file, error)| output::file_ended(*file, error));
        }
    }

    /// For the recording.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut CastFile) -> io::Result<()>) {
        if let Some(Err(error)) = self.cast.as_mut().map(write) {
            self.cast = None;
            self.file_ended(WrittenFile::Recording, error);
        }
    }

    /// For whoever reads the events, and for the audit.
    pub(super) fn tell(&mut self, kind: &str, fields: &Value) {
        self.voice.event(kind, fields);
        self.note(kind, fields);
    }

    /// For the audit.
    pub(super) fn note(&mut self, kind: &str, fields: &Value) {
        if let Some(Err(error)) = self.audit.as_ref().map(|audit| audit.note(kind, fields)) {
            self.audit_ended(error);
        }
    }

    /// A join failed: counted for the audit, as anybody can make joins fail.
    pub(super) fn count(&mut self, kind: Countable, fields: Value) {
        if let Some(audit) = &mut self.audit {
            audit.count(kind, fields);
        }
    }

    /// Waits until counted failures are to be written.
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

    /// The session's end: the last entry of everything.
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

    /// Told once: as an event, in the log, and to the person as soon as that does not tear their screen.
    fn file_ended(&mut self, file: WrittenFile, error: io::Error) {
        tracing::error!(%error, file = file.name(), "a file ends here");
        self.voice.event(file.event(), &json!({ "cause": error.to_string() }));
        match &mut self.screen {
            Screen::Free => output::file_ended(file, &error),
            Screen::Taken(waiting) => waiting.push((file, error)),
        }
    }
}
