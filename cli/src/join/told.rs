//! The progress of a join as people and programs see it: step, path, and the four words.

use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::id::MemberId;
use beach_core::session::handshake::Stage;
use beach_core::session::link::Path;
use beach_core::viewer::sentences::step;
use beach_core::wire::frame::Members;
use serde_json::Value;

use super::members::KnownMembers;
use crate::output::{self, Spinner, Voice};

/// The last reported state, and the ways to report.
pub(super) struct Told {
    pub(super) voice: Voice,
    pub(super) spinner: Spinner,
    pub(super) server: String,
    /// The viewer refuses relayed paths.
    strict: bool,
    pub(super) stage: Stage,
    /// The numbers of local and remote candidates.
    pub(super) paths: Option<(usize, usize)>,
    pub(super) path: Option<Path>,
    /// The four words that the host sees too while they decide.
    pub(super) sas: Option<Sas>,
    /// The viewer has told the person that their window is smaller than the session.
    pub(super) cropped: bool,
    /// The people in the session, as programs know them.
    members: KnownMembers,
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
            sas: None,
            cropped: false,
            members: KnownMembers::default(),
        }
    }

    /// Shows the first step.
    pub(super) fn begin(&mut self) {
        self.spinner.show(step(self.stage, None));
    }

    /// The current step of the join, in words.
    pub(super) fn step(&self) -> String {
        step(self.stage, self.paths)
    }

    /// Shows a step, followed by the four words while the host decides. Equal words on both sides prove that nobody
    /// sits in between.
    pub(super) fn progress(&mut self, text: String) {
        let sas = self.sas.filter(|_| self.stage == Stage::WaitingForApproval);
        self.spinner.show(sas.map_or(text.clone(), |sas| format!("{text}; the host sees: {sas}")));
    }

    pub(super) fn path_is(&mut self, path: Path, at_ms: u64) {
        self.path = Some(path);
        let mut fields: Value = output::path_fields(path, None);
        fields["strict"] = self.strict.into();
        fields["at_ms"] = at_ms.into();
        self.voice.event("path", &fields);
    }

    /// Tells programs who came, left, may do something else or types since the last list of the host.
    pub(super) fn members_are(&mut self, list: &Members, me: Option<MemberId>, at_ms: u64) {
        for (kind, mut fields) in self.members.changes(list, me) {
            fields["at_ms"] = at_ms.into();
            self.voice.event(kind, &fields);
        }
    }

    /// Says how the viewer is connected.
    pub(super) fn connected(&mut self, round_trip: Option<Duration>) {
        self.spinner.clear();
        if let Some(path) = self.path {
            self.voice.say(&output::connected(path, round_trip));
        }
    }
}
