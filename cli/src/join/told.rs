//! What people and programs are told of a join: the step that it is at, the path, the words.

use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::session::handshake::Stage;
use beach_core::session::link::Path;
use serde_json::Value;

use crate::output::{self, Spinner, Voice};

/// What was told, and how.
pub(super) struct Told {
    pub(super) voice: Voice,
    pub(super) spinner: Spinner,
    pub(super) server: String,
    /// No relayed path is taken.
    strict: bool,
    pub(super) stage: Stage,
    /// How many local and remote candidates there are.
    pub(super) paths: Option<(usize, usize)>,
    pub(super) path: Option<Path>,
    /// The words that the host sees too while somebody decides.
    pub(super) check: Option<Sas>,
    /// The person was told that their window is smaller than the session.
    pub(super) cropped: bool,
}

impl Told {
    pub(super) fn new(voice: Voice, server: String, strict: bool) -> Told {
        Told {
            voice,
            spinner: Spinner::new(voice),
            server,
            strict,
            stage: Stage::ReachingRendezvous,
            paths: None,
            path: None,
            check: None,
            cropped: false,
        }
    }

    /// Shows the first step.
    pub(super) fn begin(&mut self) {
        self.spinner.show(output::step(self.stage, None));
    }

    /// The step that the join is at, in words.
    pub(super) fn step(&self) -> String {
        output::step(self.stage, self.paths)
    }

    /// Shows a step. While somebody decides, the words stand behind it: read out to each other, they say that it is this host and this
    /// viewer.
    pub(super) fn progress(&mut self, text: String) {
        let check = self.check.filter(|_| self.stage == Stage::WaitingForApproval);
        self.spinner.show(check.map_or(text.clone(), |check| format!("{text}; the host sees: {check}")));
    }

    pub(super) fn path_is(&mut self, path: Path, at_ms: u64) {
        self.path = Some(path);
        let mut fields: Value = output::path_fields(path, None);
        fields["strict"] = self.strict.into();
        fields["at_ms"] = at_ms.into();
        self.voice.event("path", &fields);
    }

    /// Says how it is connected.
    pub(super) fn connected(&mut self, round_trip: Option<Duration>) {
        self.spinner.clear();
        if let Some(path) = self.path {
            self.voice.say(&output::connected(path, round_trip));
        }
    }
}
