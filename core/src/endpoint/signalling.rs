//! Messages to and from the rendezvous; keepalive and loss of that connection.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::crypto::invite::LinkForm;
use crate::id::{LinkId, SessionId, SessionName};
use crate::peer::engine::Engine;
use crate::session::link::{Event, LinkUser, Refusal, VERSIONS};
use crate::time::Timestamp;
use crate::wire::signal::{FromRendezvous, Opaque, ToRendezvous, parse_from_rendezvous, to_text};

use super::moving::Beside;
use super::note::Step;
use super::state::{Link, Seal};
use super::{Endpoint, Output, Paths, Secrets};

/// The rendezvous hears from this side at least this often.
pub(super) const PING_EVERY: Duration = Duration::from_secs(20);

/// A ping is answered within this time, or the connection counts as lost.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Most earlier sets of secrets that a host keeps for members who come back. One rotation more, and the members of the
/// oldest set cannot.
pub(super) const MAX_EARLIER: usize = 4;

/// The connection to the rendezvous.
#[derive(Default)]
pub(super) struct Signal {
    /// The address at which the rendezvous was reached.
    pub(super) address: Option<SocketAddr>,
    /// The links that work at the rendezvous.
    pub(super) form: LinkForm,
    pub(super) is_up: bool,
    /// Host: how often it has registered.
    pub(super) turn: u64,
    /// When this side sent its last message.
    pub(super) said_at: Timestamp,
    /// By when the rendezvous has to answer.
    pub(super) pong_by: Option<Timestamp>,
    /// Host: the connection that is to take the place of this one.
    pub(super) beside: Option<Beside>,
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    pub(super) fn say(&mut self, now: Timestamp, message: &ToRendezvous) {
        if self.signal.is_up {
            self.signal.said_at = now;
            let text = to_text(message);
            let ((kind, link), bytes) = (message.kind(), text.len());
            if !matches!(message, ToRendezvous::Ping) {
                self.tell(now, link, || Step::SignalSent(kind, bytes));
            }
            self.out.push_back(Output::Signal(text));
        }
    }

    pub(super) fn say_envelope(&mut self, now: Timestamp, link: LinkId, data: Vec<u8>) {
        self.say(now, &ToRendezvous::Envelope { link, data: Opaque(data) });
    }

    /// There is a connection to the rendezvous from now on. Envelopes on an earlier one may be lost.
    pub(super) fn signal_is_up(&mut self, now: Timestamp) {
        self.signal.is_up = true;
        self.signal.said_at = now;
        self.signal.pong_by = None;
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.repeat_all(now, link);
        }
    }

    /// Envelopes of a link that are not acknowledged are sent again at once.
    fn repeat_all(&mut self, now: Timestamp, link: LinkId) {
        if let Some(Link { seal: Seal::Open { channel, .. }, .. }) = self.links.get_mut(&link) {
            channel.repeat_all(now);
        }
    }

    /// Puts out an output that abandons each connection to the rendezvous.
    pub(super) fn leave_signal(&mut self, output: Output<M::ForRuntime>) {
        self.signal.is_up = false;
        self.signal.beside = None;
        self.out.push_back(output);
    }

    pub(super) fn register(&mut self, now: Timestamp) {
        let messages = self.registrations();
        messages.iter().for_each(|message| self.say(now, message));
    }

    /// The messages that register all sessions of a host, in the next turn.
    pub(super) fn registrations(&mut self) -> Vec<ToRendezvous> {
        let Secrets::Host(secrets) = &self.keys.secrets else { return Vec::new() };
        self.signal.turn += 1;
        let turn = self.signal.turn;
        let register = |secrets| ToRendezvous::register(secrets).in_turn(turn);
        std::iter::once(secrets).chain(&self.keys.earlier).map(register).collect()
    }

    pub(super) fn rotate(&mut self, now: Timestamp) {
        // The sessions that are registered there are not the host's any more, and there is no room for a further one.
        self.give_up_move("the links have changed".to_owned());
        let Secrets::Host(secrets) = &mut self.keys.secrets else { return };
        let rotated = secrets.rotated(&mut self.entropy);
        self.keys.earlier.push(std::mem::replace(secrets, rotated));
        self.signal.turn += 1;
        let registration = ToRendezvous::register(secrets).in_turn(self.signal.turn);
        if self.keys.earlier.len() > MAX_EARLIER {
            let session = Some(self.keys.earlier.remove(0).session());
            self.say(now, &ToRendezvous::Unregister { session });
        }
        self.say(now, &registration);
    }

    pub(super) fn join(&mut self, now: Timestamp, link: LinkId, resumes: Option<LinkId>) {
        let Secrets::Viewer(invite) = &self.keys.secrets else { return };
        let (session, role) = (invite.session, invite.role);
        let versions = VERSIONS.to_vec();
        if let Some(known) = self.links.get_mut(&link) {
            known.is_closed = false;
        } else {
            self.links.insert(link, Link::new(role, versions.clone(), resumes));
        }
        let moves = !self.engine.has_own_sockets();
        self.say(now, &ToRendezvous::Join { session, link, role, versions, resumes, moves });
    }

    pub(super) fn on_signal(&mut self, now: Timestamp, text: &str) {
        self.signal.pong_by = None;
        let Ok(message) = parse_from_rendezvous(text) else {
            self.tell(now, None, || Step::SignalNotUnderstood);
            return;
        };
        if !matches!(message, FromRendezvous::Pong) {
            let (kind, link) = message.kind();
            self.tell(now, link, || Step::SignalReceived(kind, text.len()));
        }
        match message {
            FromRendezvous::Registered { ice, short_names } => {
                self.learn(now, &ice);
                let form = if short_names { LinkForm::Short } else { LinkForm::Long };
                if std::mem::replace(&mut self.signal.form, form) != form {
                    self.out.push_back(Output::Links(form));
                }
                self.events.push_back(Event::Registered);
            }
            FromRendezvous::Joined { link, role, versions, relay, resumes, ice, from, session } => {
                self.learn(now, &ice);
                if !self.takes(link, session) {
                    self.events.push_back(Event::Refused(Some(link), Refusal::WrongHost));
                    return;
                }
                let known = self.links.contains_key(&link);
                if let (Secrets::Host(_), false) = (&self.keys.secrets, known) {
                    self.links.insert(link, Link::new(role, versions.clone(), resumes));
                }
                if let Some(link) = self.links.get_mut(&link) {
                    link.is_closed = false;
                    let takes_relay = link.takes_relay && !self.engine.has_own_sockets();
                    link.relay = relay && takes_relay && self.paths != Paths::DirectOnly;
                }
                // The viewer has come back to the rendezvous with a link that stands, or to another rendezvous in the
                // middle of a handshake. Texts that were sent to the viewer before may be lost.
                if let (Secrets::Host(_), true) = (&self.keys.secrets, known) {
                    return self.repeat_all(now, link);
                }
                self.events.push_back(Event::Joined { link, role, versions, resumes, from });
            }
            FromRendezvous::Waiting { link } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.is_closed = false;
                }
                self.events.push_back(Event::Waiting(link));
            }
            FromRendezvous::Refused { link, reason } => self.events.push_back(Event::Refused(link, reason)),
            FromRendezvous::Closed { link } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.is_closed = true;
                }
                self.events.push_back(Event::Gone(link));
            }
            FromRendezvous::TurnedAway { count } => self.events.push_back(Event::TurnedAway(count)),
            FromRendezvous::Pong => {}
            FromRendezvous::Ice { ice } => self.learn(now, &ice),
            FromRendezvous::Envelope { link, data } => self.on_envelope(now, link, &data.0),
            FromRendezvous::Elsewhere { link, url } => self.on_elsewhere(now, link, url),
            FromRendezvous::Move { within } => {
                if let Secrets::Host(_) = self.keys.secrets {
                    self.events.push_back(Event::Move(within));
                }
            }
        }
    }

    /// The rendezvous sends this viewer to another one, which is under the same name, or else is none for the viewer.
    fn on_elsewhere(&mut self, now: Timestamp, link: LinkId, url: String) {
        let Secrets::Viewer(invite) = &self.keys.secrets else { return };
        if invite.leads_to(&url) && !self.engine.has_own_sockets() {
            self.events.push_back(Event::Elsewhere(link, url));
        } else {
            self.tell(now, Some(link), || Step::SignalNotUnderstood);
            self.events.push_back(Event::Refused(Some(link), Refusal::NoSession));
        }
    }

    /// Whether the rendezvous means the session of this viewer's invite. Keeps the whole id, which the handshake takes
    /// in.
    fn takes(&mut self, link: LinkId, session: Option<SessionId>) -> bool {
        let (Secrets::Viewer(invite), Some(link)) = (&self.keys.secrets, self.links.get_mut(&link)) else {
            return true;
        };
        link.session = match invite.session {
            SessionName::Full(id) => Some(id),
            SessionName::Short(_) => session.filter(|session| invite.session.names(*session)),
        };
        link.session.is_some()
    }

    pub(super) fn keep_alive(&mut self, now: Timestamp) {
        if !self.signal.is_up {
            return;
        }
        match self.signal.pong_by {
            Some(by) if by <= now => {
                self.leave_signal(Output::HangUp);
                self.events.push_back(Event::SignalDown("the rendezvous stopped answering".to_owned()));
            }
            None if self.signal.said_at + PING_EVERY <= now => {
                self.ping(now, PONG_WITHIN);
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn ping(&mut self, now: Timestamp, within: Duration) {
        self.signal.pong_by = Some(now + within);
        self.say(now, &ToRendezvous::Ping);
    }
}
