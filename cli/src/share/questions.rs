//! Requests at the control socket from other programs of the same user, until the host can answer.

use beach_core::crypto::invite::LinkForm;
use beach_core::host::{HostInput, ModeratorAction};
use beach_core::role::Role;
use beach_runtime_tokio::control::{Asked, Control};
use serde_json::json;
use tokio::sync::oneshot;

use super::{Freshness, HostEndpoint, Share};
use crate::control::{self, Known, Request};
use crate::greeting::Invites;
use crate::program::command_text;

/// The socket, and the questions that only the host's machine can answer.
pub(super) struct Questions {
    pub(super) socket: Option<Control>,
    waiting: Vec<(Question, oneshot::Sender<String>)>,
}

enum Question {
    Status,
    /// Asks for the control invite, for the session's own user.
    Attach,
    /// Asks for an action; the host acts, or names the reason against it.
    Act(ModeratorAction),
}

/// The next step after a request.
pub(super) enum Followed {
    /// The question waits for the host's machine.
    Waits,
    Input(HostInput),
    Nothing,
}

impl Questions {
    /// Opens the socket. A session works without a socket too.
    pub(super) fn listen(session: &str) -> Questions {
        let socket = Control::listen(session).inspect_err(|error| tracing::warn!(%error, "no control socket")).ok();
        Questions { socket, waiting: Vec::new() }
    }

    pub(super) fn on_asked(&mut self, asked: Asked) -> Followed {
        let question = match Request::of(&asked) {
            Some(Request::Status) => Question::Status,
            Some(Request::Attach) => Question::Attach,
            Some(Request::Act(act)) => Question::Act(act),
            Some(Request::Stop) => {
                let _ = asked.answer.send(json!({ "stopping": true }).to_string());
                return Followed::Input(HostInput::Stop);
            }
            // An unknown request: the connection ends without an answer.
            None => return Followed::Nothing,
        };
        self.waiting.push((question, asked.answer));
        Followed::Waits
    }
}

impl Share {
    /// Reports new links after a rotation, and answers the waiting questions.
    pub(super) fn answer(&mut self, endpoint: &HostEndpoint) {
        let invite = |role| endpoint.invite(&self.session.server, role).map(|invite| invite.url()).unwrap_or_default();
        if self.session.freshness == Freshness::Rotated {
            self.session.freshness = Freshness::Current;
            self.session.invites = Invites::new(invite, self.session.view_only);
            self.pending.push_back(HostInput::Links(self.session.invites.lengths()));
            if let Some(invite) = endpoint.invite(&self.session.server, Role::View) {
                self.session.id = invite.session.to_string();
            }
            let Invites { join, view } = &self.session.invites;
            let links = json!({ "session": self.session.id, "join": join, "view": view });
            self.told.voice.event("links", &links);
        }
        for (question, asker) in std::mem::take(&mut self.questions.waiting) {
            let answer = match question {
                Question::Status => self.status(endpoint),
                Question::Attach => {
                    let invite = endpoint.invite(&self.session.server, Role::Control).map(|invite| invite.url());
                    json!({ "link": invite })
                }
                Question::Act(act) => match endpoint.machine().may(&act) {
                    Ok(()) => {
                        self.pending.push_back(HostInput::Act(act));
                        json!({ "done": true })
                    }
                    Err(objection) => json!({ "error": objection.to_string() }),
                },
            };
            // The asking program may be gone.
            let _ = asker.send(answer.to_string());
        }
    }

    fn status(&self, endpoint: &HostEndpoint) -> serde_json::Value {
        let known = Known {
            session: &self.session.id,
            name: self.session.name.as_deref(),
            command: &command_text(&self.program.command),
            links: &self.session.invites,
            short: match self.network.links() {
                LinkForm::Long => None,
                LinkForm::Short => Some(self.session.invites.short()),
            },
            server: &self.session.server,
            clock: self.session.clock,
        };
        control::answer(&known, &endpoint.machine().status())
    }
}
