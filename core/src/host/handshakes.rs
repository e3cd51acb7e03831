//! Handshakes: from a request to join to a member whose lanes are open.

use super::admission::Approval;
use super::connection::{Connection, Entry, Request, State};
use super::member::{Control, MAX_VIEWERS, Member, Presence};
use super::members::GOODBYE_WITHIN;
use super::news::Change;
use super::{Host, HostNotice, MAX_HANDSHAKES, Start};
use crate::id::LinkId;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{Attempt, Client, Command, Envelope, Hello, Path, Refusal, VERSIONS, Verdict};
use crate::time::Timestamp;
use crate::wire::frame::FromHost;

impl Host {
    pub(super) fn on_joined(
        &mut self,
        now: Timestamp,
        link: LinkId,
        versions: &[u16],
        resumes: Option<LinkId>,
        from: Option<AddressClass>,
    ) {
        if let Some(connection) = self.connections.get(&link) {
            if connection.is_away() {
                // Below the seam this is a link again, on which nobody comes back: a member that does has another one.
                self.link(Command::Close(link));
            }
            return;
        }
        let most = if is_faulty!(CrowdedOut) { MAX_HANDSHAKES - MAX_VIEWERS } else { MAX_HANDSHAKES };
        if self.in_handshake() >= most {
            self.make_room(now);
        }
        let known = resumes.map(|origin| self.place_of(origin).is_some());
        let refusal = if self.admission.has_said_hello(link) {
            Some(Refusal::Misuse)
        } else if resumes.is_some_and(|origin| self.admission.was_removed(origin)) {
            Some(Refusal::Denied)
        } else if self.lifecycle.is_too_late(now) && known != Some(true) {
            Some(Refusal::NoSession)
        } else if !versions.iter().any(|version| VERSIONS.contains(version)) {
            Some(Refusal::Version(VERSIONS.to_vec()))
        } else if known == Some(false) {
            Some(Refusal::Forgotten)
        } else if self.in_handshake() >= MAX_HANDSHAKES || (self.lifecycle.is_stopped() && known != Some(true)) {
            Some(Refusal::Full)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.link(Command::Refuse(link, refusal));
            return;
        }
        let handshake = Handshake::new(now, Stage::Authenticating);
        let state = State::Proving { resumes };
        let connection = Connection { handshake, from, rotations: self.admission.rotations(), state };
        self.connections.insert(link, connection);
        self.notice(HostNotice::Stage(link, Stage::Authenticating));
    }

    /// Turns away the viewer that has proved nothing for the longest time: strangers must not keep others out.
    fn make_room(&mut self, now: Timestamp) {
        let unproved = self.connections.iter().filter(|(_, connection)| connection.is_proving());
        let oldest = unproved.min_by_key(|(_, connection)| connection.handshake.deadline()).map(|(link, _)| *link);
        if let Some(link) = oldest {
            self.turn_away(now, link, Refusal::Full);
        }
    }

    pub(super) fn on_forged(&mut self, now: Timestamp, link: LinkId) {
        // Before the hello a forged envelope comes of a wrong key. After it somebody in between forged one, and the
        // true envelope may still come.
        if self.connections.get(&link).is_some_and(Connection::is_proving) {
            let count = self.admission.wrong_key();
            self.notice(HostNotice::WrongKey(link, count));
            self.turn_away(now, link, Refusal::WrongKey);
        }
    }

    /// Refuses a viewer by a message in clear.
    pub(super) fn turn_away(&mut self, now: Timestamp, link: LinkId, refusal: Refusal) {
        self.link(Command::Refuse(link, refusal.clone()));
        self.remove(now, link, Cause::Refused(refusal));
    }

    pub(super) fn on_hello(&mut self, now: Timestamp, link: LinkId, role: Role, hello: Hello) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let State::Proving { resumes } = connection.state else { return };
        let role = if is_faulty!(EverybodyControls) { Role::Control } else { role };
        self.admission.said_hello(link);
        if self.config.no_browsers && hello.client() == Client::Browser {
            return self.refuse_hello(now, link, Refusal::NoBrowsers);
        }
        let request = Request { role, hello };
        let entry = match resumes {
            Some(origin) => Entry::Back(origin),
            None => {
                if let Some(refusal) = self.admission_refuses(now, link, role) {
                    return self.refuse_hello(now, link, refusal);
                }
                if self.config.approve.asks(role) && !is_faulty!(Unasked) {
                    return self.must_wait(now, link, request, Approval::Asked);
                }
                if self.sharing.is_paused() {
                    return self.must_wait(now, link, request, Approval::NotNeeded);
                }
                Entry::New(None)
            }
        };
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.state = State::Connecting(request, entry);
        }
        self.link(Command::Verdict(link, Verdict::Accepted));
        self.open(now, link, Stage::Answer);
    }

    /// Why a viewer that proved the invite for `role` is not to become a member, if so.
    fn admission_refuses(&self, now: Timestamp, link: LinkId, role: Role) -> Option<Refusal> {
        if self.connections.get(&link).is_some_and(|connection| self.is_withdrawn(connection)) {
            Some(Refusal::Expired)
        } else if self.is_full() {
            Some(Refusal::Full)
        } else {
            self.link_refuses(now, link, role)
        }
    }

    /// Begins another attempt: makes a peer and sends its offer.
    pub(super) fn open(&mut self, now: Timestamp, link: LinkId, stage: Stage) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let attempt = connection.handshake.attempt() + 1;
        connection.handshake.begin_attempt(now, attempt);
        connection.handshake.enter(now, stage);
        self.notice(HostNotice::Stage(link, stage));
        self.link(Command::Open(link, attempt));
        self.link(Command::Envelope(link, Envelope::Offer(attempt)));
    }

    pub(super) fn on_envelope(&mut self, now: Timestamp, link: LinkId, envelope: Envelope) {
        match envelope {
            Envelope::Answer(attempt) => {
                let waits =
                    self.current(link, attempt).is_some_and(|connection| connection.handshake.stage() == Stage::Answer);
                if waits {
                    self.link(Command::Accept(link, attempt));
                    self.advance(now, link, attempt, Stage::CheckingPaths);
                }
            }
            Envelope::Candidate(attempt, candidate) => {
                if let Some(connection) = self.current(link, attempt) {
                    connection.handshake.note_remote(candidate);
                    self.link(Command::Candidate(link, attempt, candidate));
                }
            }
            Envelope::Failed(attempt, down) => {
                if self.current(link, attempt).is_some_and(|connection| connection.member().is_none()) {
                    self.remove(now, link, Cause::DownThere(down));
                }
            }
            Envelope::Goodbye => self.remove(now, link, Cause::Left),
            // Only hosts send offers and verdicts.
            Envelope::Offer(_) | Envelope::Verdict(_) => {}
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, stage: Stage) {
        let Some(connection) = self.current(link, attempt) else { return };
        if connection.handshake.stage() < stage {
            connection.handshake.enter(now, stage);
            self.notice(HostNotice::Stage(link, stage));
        }
    }

    pub(super) fn on_confirmed(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, path: Path) {
        self.advance(now, link, attempt, Stage::OpeningControl);
        if self.connections.get(&link).is_some_and(|connection| self.is_withdrawn(connection)) {
            return self.withdraw(now, link);
        }
        let bells = self.screen.emulator.bells();
        let Some(connection) = self.current(link, attempt) else { return };
        let (id, role, name, client) = match connection.entry() {
            None => return,
            Some((_, Entry::Back(origin))) => return self.come_back(now, link, origin, path),
            Some((Request { role, hello }, Entry::New(id))) => (id, *role, hello.name.clone(), hello.client()),
        };
        let id = id.unwrap_or_else(|| self.admission.next_id());
        self.connections.become_member(link, |request| Box::new(Member::new(id, link, request, now, path, bells)));
        self.admission.use_up(role);
        self.link(Command::Keep(link));
        self.member_news(now, id, &name, Change::Joined(role));
        self.notice(HostNotice::Joined(id, role, name, path, client));
        if let Start::WhenJoined(_) = self.config.start {
            self.start_program();
        }
        self.screen.frames.changed();
        self.listing.changed();
        self.sizes_changed();
    }

    pub(super) fn on_control_up(&mut self, now: Timestamp, link: LinkId, attempt: Attempt) {
        self.advance(now, link, attempt, Stage::FirstScreen);
        let Some(connection) = self.current(link, attempt) else { return };
        let Some(member) = connection.member_mut() else { return };
        let (id, role, comes_back) = (member.id, member.role, member.origin != link);
        let goodbye = match &mut member.presence {
            Presence::Here(control) => {
                *control = Control::Open;
                None
            }
            Presence::Parting(control, parting) => {
                *control = Control::Open;
                parting.by = now + GOODBYE_WITHIN;
                Some(parting.goodbye.clone())
            }
            Presence::Away(_) => return,
        };
        self.say(link, &FromHost::Welcome { member: id, role });
        // A member who was away may have missed the end of a pause.
        if self.sharing.is_paused() || (comes_back && !is_faulty!(SilentResume)) {
            self.say(link, &FromHost::Paused(self.sharing.is_paused()));
        }
        self.tell_members(link);
        if let Some(goodbye) = goodbye {
            self.say(link, &FromHost::Goodbye(goodbye));
        }
    }

    /// The connection of `link`, if `attempt` is its current one.
    pub(super) fn current(&mut self, link: LinkId, attempt: Attempt) -> Option<&mut Connection> {
        self.connections.get_mut(&link).filter(|connection| connection.handshake.attempt() == attempt)
    }
}
