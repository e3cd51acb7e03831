//! `--audit FILE`: what happened in a session, and who did it, one JSON object a line. Never a key.
//!
//! Events of members are written as they happen. Failed joins, which anybody can cause who knows the session's id, are counted, and written
//! once a second.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use beach_runtime_tokio::record::PrivateFile;
use serde_json::{Map, Value, json};

/// Between two lines about failed joins of one kind.
const EACH: Duration = Duration::from_secs(1);

/// The file: only its owner may read it, and it is only ever appended to.
#[derive(Debug)]
pub(crate) struct Audit {
    file: PrivateFile,
    session: String,
    failures: BTreeMap<Countable, Failures>,
}

/// What may happen without anybody being let in.
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
    /// How many are not written yet.
    count: u64,
    /// The fields of the latest.
    latest: Map<String, Value>,
    written: Option<Instant>,
    /// When they are to be written.
    due: Option<Instant>,
}

impl Failures {
    fn count(&mut self, now: Instant, fields: Map<String, Value>) {
        self.count += 1;
        self.latest = fields;
        let earliest = self.written.map_or(now, |written| written + EACH);
        self.due.get_or_insert(earliest.max(now));
    }

    /// The fields of the line that is due.
    fn take(&mut self, now: Instant) -> Value {
        (self.written, self.due) = (Some(now), None);
        let mut fields = std::mem::take(&mut self.latest);
        fields.insert("count".to_owned(), std::mem::take(&mut self.count).into());
        Value::Object(fields)
    }
}

impl Audit {
    /// Goes on with a file, or makes it.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn open(path: &Path, session: &str) -> io::Result<Audit> {
        let (file, session) = (PrivateFile::append(path)?, session.to_owned());
        Ok(Audit { file, session, failures: BTreeMap::new() })
    }

    /// Something happened, now.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn note(&self, kind: &str, fields: &Value) -> io::Result<()> {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut line = json!({ "time": since.as_millis() as f64 / 1000.0, "session": self.session, "event": kind });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        self.file.write(format!("{line}\n").as_bytes())
    }

    /// A join failed; [`Audit::on_time`] writes that.
    pub(crate) fn count(&mut self, kind: Countable, fields: Value) {
        let Value::Object(fields) = fields else { return };
        self.failures.entry(kind).or_default().count(Instant::now(), fields);
    }

    /// When counted failures are to be written.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.failures.values().filter_map(|failures| failures.due).min()
    }

    /// Writes what is due by `now`.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn on_time(&mut self, now: Instant) -> io::Result<()> {
        self.write_failures(now, |failures| failures.due.is_some_and(|due| due <= now))
    }

    /// Writes what is counted and not written yet.
    ///
    /// # Errors
    /// As the file system says.
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
