//! Requests at the control socket from other programs of the same user, until the host can answer.

use beach_core::crypto::invite::LinkForm;
use beach_core::host::{HostInput, ModeratorAction};
use beach_core::role::Role;
use beach_runtime_tokio::control::{Asked, Control};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Freshness, HostEndpoint, Share};
use crate::control::{self, Known, Request};
use crate::greeting::{Invites, InvitesShown};
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
    Act(ModeratorAction, InvitesShown),
    /// The host acts, and makes new links: the answer has these fields and the links.
    NewLinks(Value, InvitesShown),
}

/// The next step after a request.
pub(super) enum Followed {
    /// The question waits for the host's machine.
    Waits,
    /// The session is to be stopped.
    Stop,
    Nothing,
}

impl Questions {
    /// Opens the socket. A session works without a socket too.
    pub(super) fn listen(session: &str) -> Questions {
        let socket = Control::listen(session).inspect_err(|error| tracing::warn!(%error, "no control socket")).ok();
        Questions { socket, waiting: Vec::new() }
    }

    pub(super) fn on_asked(&mut self, asked: Asked) -> Followed {
        let question = match Request::of(&asked.line) {
            Some(Request::Status) => Question::Status,
            Some(Request::Attach) => Question::Attach,
            Some(Request::Act(act, shown)) => Question::Act(act, shown),
            Some(Request::Stop) => {
                let _ = asked.answer.send(json!({ "stopping": true }).to_string());
                return Followed::Stop;
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
            self.tell_lengths();
            if let Some(invite) = endpoint.invite(&self.session.server, Role::View) {
                self.session.id = invite.session.to_string();
            }
            let Invites { join, view } = &self.session.invites;
            let links = json!({ "session": self.session.id, "join": join, "view": view });
            self.told.voice.event("links", &links);
        }
        let acted = self.pending.iter().all(|input| !matches!(input, HostInput::Act(_)));
        for (question, asker) in std::mem::take(&mut self.questions.waiting) {
            let answer = match question {
                Question::Status => self.status(endpoint),
                Question::Attach => {
                    let invite = endpoint.invite(&self.session.server, Role::Control).map(|invite| invite.url());
                    json!({ "link": invite })
                }
                Question::Act(act, shown) => match endpoint.machine().may(&act) {
                    Ok(()) => {
                        let (fields, rotates) = (done_fields(endpoint, &act), rotates(&act));
                        self.pending.push_back(HostInput::Act(act));
                        if rotates {
                            self.questions.waiting.push((Question::NewLinks(fields, shown), asker));
                            continue;
                        }
                        fields
                    }
                    Err(error) => json!({ "error": error.to_string() }),
                },
                Question::NewLinks(fields, shown) if !acted => {
                    self.questions.waiting.push((Question::NewLinks(fields, shown), asker));
                    continue;
                }
                Question::NewLinks(fields, shown) => self.new_links(fields, shown),
            };
            // The asking program may be gone.
            let _ = asker.send(answer.to_string());
        }
    }

    /// Tells the host how long the links are that its rows show.
    pub(super) fn tell_lengths(&mut self) {
        let shown = self.session.shown(self.network.links());
        self.pending.push_back(HostInput::Links(shown.lengths()));
    }

    /// The answer to an action that made new links; the own terminal shows them where the asking program must not.
    fn new_links(&mut self, mut fields: Value, shown: InvitesShown) -> Value {
        let links = self.session.shown(self.network.links());
        fields["join"] = json!(links.join);
        fields["view"] = json!(links.view);
        fields["shown"] = (shown == InvitesShown::No && self.seat.is_own_terminal()).into();
        if fields["shown"] == true {
            self.pending.push_back(HostInput::ShowLinks);
        }
        fields
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

/// Whether an action makes new links.
fn rotates(act: &ModeratorAction) -> bool {
    match act {
        ModeratorAction::Rotate => true,
        ModeratorAction::Deny { keep_links, .. } | ModeratorAction::Kick { keep_links, .. } => !keep_links,
        ModeratorAction::Approve(_)
        | ModeratorAction::Grant(_)
        | ModeratorAction::Revoke(_)
        | ModeratorAction::Pause
        | ModeratorAction::Resume
        | ModeratorAction::Say(_) => false,
    }
}

/// The answer to an action, before it: the name of the viewer that it is about, and how many viewers are here.
fn done_fields(endpoint: &HostEndpoint, act: &ModeratorAction) -> Value {
    let about = match act {
        ModeratorAction::Approve(id) | ModeratorAction::Grant(id) | ModeratorAction::Revoke(id) => Some(*id),
        ModeratorAction::Deny { member, .. } | ModeratorAction::Kick { member, .. } => Some(*member),
        ModeratorAction::Rotate | ModeratorAction::Pause | ModeratorAction::Resume | ModeratorAction::Say(_) => None,
    };
    let status = endpoint.machine().status();
    let members = status.members.iter().map(|member| (member.id, &member.name));
    let mut all = members.chain(status.pending.iter().map(|pending| (pending.id, &pending.name)));
    let name = about.and_then(|id| all.find(|(other, _)| *other == id)).map(|(_, name)| name.clone());
    json!({ "done": true, "name": name, "viewers": endpoint.machine().members() })
}
