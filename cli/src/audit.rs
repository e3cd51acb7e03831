//! `--audit FILE`: the events of a session with the member behind each, one JSON object a line. No line holds a key.
//!
//! The audit writes events of members at once. Anybody with the session's id can cause failed joins, so the audit
//! counts these and writes one line a second.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use beach_runtime_tokio::record::PrivateFile;
use serde_json::{Map, Value, json};

/// The time between two lines about failed joins of one kind.
const EACH: Duration = Duration::from_secs(1);

/// The audit file. Only its owner may read the file; this program only appends.
#[derive(Debug)]
pub(crate) struct Audit {
    file: PrivateFile,
    session: String,
    failures: BTreeMap<Countable, Failures>,
}

/// An event that somebody without membership can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Countable {
    Join,
    WrongKey,
}

impl Countable {
    fn event(self) -> &'static str {
        match self {
            Countable::Join => "join_failed",
            Countable::WrongKey => "wrong_key",
        }
    }
}

/// Failures of one kind.
#[derive(Debug, Default)]
struct Failures {
    /// Failures that no line counts yet.
    count: u64,
    /// The fields of the latest failure.
    latest: Map<String, Value>,
    written: Option<Instant>,
    /// The time of the next line.
    due: Option<Instant>,
}

impl Failures {
    fn count(&mut self, now: Instant, fields: Map<String, Value>) {
        self.count += 1;
        self.latest = fields;
        let earliest = self.written.map_or(now, |written| written + EACH);
        self.due.get_or_insert(earliest.max(now));
    }

    /// Returns the fields of the line that is due, and starts a new count.
    fn take(&mut self, now: Instant) -> Value {
        (self.written, self.due) = (Some(now), None);
        let mut fields = std::mem::take(&mut self.latest);
        fields.insert("count".to_owned(), std::mem::take(&mut self.count).into());
        Value::Object(fields)
    }
}

impl Audit {
    /// Opens the file at `path` for appending, or creates the file.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(path: &Path, session: &str) -> io::Result<Audit> {
        let (file, session) = (PrivateFile::append(path)?, session.to_owned());
        Ok(Audit { file, session, failures: BTreeMap::new() })
    }

    /// Writes one event with the time of now.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn note(&self, kind: &str, fields: &Value) -> io::Result<()> {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut line = json!({ "time": since.as_millis() as f64 / 1000.0, "session": self.session, "event": kind });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        self.file.write(format!("{line}\n").as_bytes())
    }

    /// Counts a failed join, for [`Audit::on_time`] to write.
    pub(crate) fn count(&mut self, kind: Countable, fields: Value) {
        let Value::Object(fields) = fields else { return };
        self.failures.entry(kind).or_default().count(Instant::now(), fields);
    }

    /// The time at which [`Audit::on_time`] has a line to write.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.failures.values().filter_map(|failures| failures.due).min()
    }

    /// Writes the lines that are due by `now`.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn on_time(&mut self, now: Instant) -> io::Result<()> {
        self.write_failures(now, |failures| failures.due.is_some_and(|due| due <= now))
    }

    /// Writes all remaining counts.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.write_failures(Instant::now(), |failures| failures.count > 0)
    }

    fn write_failures(&mut self, now: Instant, wanted: impl Fn(&Failures) -> bool) -> io::Result<()> {
        let due: Vec<_> = self.failures.iter_mut().filter(|(_, failures)| wanted(failures)).collect();
        let lines: Vec<_> = due.into_iter().map(|(failure, failures)| (*failure, failures.take(now))).collect();
        lines.into_iter().try_for_each(|(failure, fields)| self.note(failure.event(), &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_due_at_once_and_the_others_after_a_second_as_one() {
        let mut failures = Failures::default();
        let start = Instant::now();
        failures.count(start, Map::new());
        assert_eq!(failures.due, Some(start));
        assert_eq!(failures.take(start), json!({ "count": 1 }));
        assert_eq!(failures.due, None);
        (0..70).for_each(|_| failures.count(start + EACH / 2, Map::new()));
        assert_eq!(failures.due, Some(start + EACH));
        assert_eq!(failures.take(start + EACH), json!({ "count": 70 }));
        failures.count(start + EACH * 5, Map::new());
        assert_eq!(failures.due, Some(start + EACH * 5));
    }
}
