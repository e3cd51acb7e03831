//! Reports of the viewer's notices: sentences for people, events for programs.

use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Stage};
use beach_core::viewer::{ViewerInput, ViewerNotice, sentences};
use serde_json::json;

use super::standing::{Activity, TypedInput};
use super::{Join, Owed};
use crate::control;
use crate::output;

impl Join {
    pub(super) fn on_notice(&mut self, notice: ViewerNotice) {
        let at_ms = self.at_ms();
        match notice {
            ViewerNotice::Stage(stage) => self.stage_is(stage),
            ViewerNotice::Paths(local, remote) => {
                self.told.paths = Some((local, remote));
                self.progress(self.told.step());
            }
            ViewerNotice::Unreachable(cause) => {
                tracing::warn!(cause, "no connection to the rendezvous; trying again");
                self.progress(format!("{}: {cause}, trying again", self.told.stage));
                self.told.voice.event("unreachable", &json!({ "cause": cause, "at_ms": at_ms }));
            }
            ViewerNotice::Connected(path) => self.told.path_is(path, at_ms),
            ViewerNotice::Path(path) => {
                self.told.path_is(path, at_ms);
                self.remark(&sentences::path_changed(path));
            }
            ViewerNotice::FirstScreen(member, role) => {
                self.typing.escapes.set_role(role);
                let fields = json!({ "member": member.0, "role": role, "at_ms": at_ms });
                self.told.voice.event("first_screen", &fields);
                self.owe(Owed::Terminal);
            }
            ViewerNotice::Title(title) => self.told.voice.event("title", &json!({ "title": title })),
            ViewerNotice::Bell => {
                if self.seat.terminal.is_some() {
                    self.seat.add(vec![0x07]);
                    self.write();
                }
            }
            ViewerNotice::Clipboard(text) => self.owe(Owed::Clipboard(text)),
            ViewerNotice::Away(cause) => self.away(&cause),
            ViewerNotice::Back(after) => self.back(after),
            ViewerNotice::Forgotten(had_input) => self.forgotten(had_input),
            ViewerNotice::Overflow => {
                self.standing.set_typed(TypedInput::SomeLost);
                tracing::warn!("the buffer for typing is full");
            }
            ViewerNotice::Said(text) => {
                self.remark(&format!("the host says: {text}"));
                self.told.voice.event("notice", &json!({ "text": text }));
            }
            ViewerNotice::ReadOnly => {
                let text = match self.typing.escapes.name().as_str() {
                    "" => sentences::READ_ONLY.to_owned(),
                    key => format!("{} Leave: {key}.  Help: {key}?", sentences::READ_ONLY),
                };
                self.remark(&text);
            }
            ViewerNotice::Sas(sas) => self.words_are(sas),
            ViewerNotice::Role(role) => self.role_is(role),
            ViewerNotice::Paused(paused) => {
                self.told.voice.event("paused", &json!({ "paused": paused, "at_ms": at_ms }));
                self.standing.set_activity(if paused { Activity::Paused } else { Activity::Running });
                self.show_standing();
            }
        }
    }

    fn stage_is(&mut self, stage: Stage) {
        tracing::info!(stage = stage.words(), "handshake");
        self.told.stage = stage;
        self.progress(self.told.step());
        self.told.voice.event("stage", &json!({ "stage": stage.words(), "at_ms": self.at_ms() }));
    }

    fn away(&mut self, cause: &Cause) {
        let cause = output::cause(cause);
        tracing::warn!(cause, "the connection is lost; reconnecting");
        self.standing.lose();
        self.told.voice.event("reconnecting", &json!({ "cause": cause, "at_ms": self.at_ms() }));
        self.show_standing();
    }

    fn back(&mut self, after: Duration) {
        tracing::info!(?after, "connected again");
        self.standing.regain();
        self.told.spinner.clear();
        self.show_standing();
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.told.voice.event("reconnected", &json!({ "after_ms": after_ms, "at_ms": self.at_ms() }));
    }

    fn forgotten(&mut self, had_input: bool) {
        self.standing.set_typed(if had_input { TypedInput::SomeLost } else { TypedInput::Arrived });
        tracing::warn!(had_input, "the host gave the place away");
        let text = sentences::forgotten(had_input);
        self.told.voice.event("notice", &json!({ "text": text }));
    }

    fn words_are(&mut self, sas: Sas) {
        self.told.sas = Some(sas);
        if let Some(socket) = self.own.clone() {
            tokio::spawn(control::let_in(socket, sas));
        }
        self.progress(self.told.step());
        self.told.voice.event("check", &json!({ "words": sas.words(), "at_ms": self.at_ms() }));
    }

    fn role_is(&mut self, role: Role) {
        tracing::info!(%role, "the host changed what this viewer may do");
        self.typing.escapes.set_role(role);
        self.remark(sentences::role_changed(role));
        self.told.voice.event("role", &json!({ "role": role, "at_ms": self.at_ms() }));
    }

    /// Shows the step of the join, before the first screen or during a reconnect.
    fn progress(&mut self, text: String) {
        if self.seat.terminal.is_none() {
            self.told.progress(text);
        }
        if self.standing.is_lost() {
            self.show_standing();
        }
    }

    /// Shows a line over the screen while the connection is lost or the session is paused.
    pub(super) fn show_standing(&mut self) {
        if self.seat.terminal.is_none() {
            return;
        }
        let text = self.standing.line(self.told.stage, &self.typing.escapes.name());
        self.pending.push_back(ViewerInput::Standing(text));
    }
}
