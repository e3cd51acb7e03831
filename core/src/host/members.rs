//! Messages of members, goodbyes, and the one way out.

use std::time::Duration;

use super::connection::Connection;
use super::member::{Control, MAX_VIOLATIONS, Parting, Presence, may_type};
use super::news::Change;
use super::{Host, HostNotice};
use crate::id::LinkId;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Lane, Refusal};
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, FromViewer, Goodbye, MAX_TEXT, Up};

/// The host waits this long for the acknowledgement of a goodbye: for one repetition by SCTP, and a round trip.
pub(super) const GOODBYE_WITHIN: Duration = Duration::from_secs(3);

/// A goodbye waits this long for the control lane: one lost first packet costs SCTP three seconds, two cost nine.
pub(super) const CONTROL_WITHIN: Duration = Duration::from_secs(10);

impl Host {
    pub(super) fn on_message(&mut self, now: Timestamp, link: LinkId, lane: Lane, bytes: &[u8]) {
        match lane {
            Lane::Terminal => self.on_datagram(now, link, bytes),
            Lane::Control => self.on_frame(now, link, bytes),
        }
    }

    fn on_datagram(&mut self, now: Timestamp, link: LinkId, bytes: &[u8]) {
        let Ok(up) = Up::decode(bytes) else { return self.violate(now, link) };
        let running = self.lifecycle.is_running();
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let stage = connection.handshake.stage();
        let Some(member) = connection.member_mut().filter(|member| !member.is_parting()) else { return };
        // Input typed before the member knew of another role is dropped, and no violation.
        let pardoned = now < member.pardoned_until;
        let may = may_type(member.role) || pardoned;
        let dropped = self.sharing.is_paused() || !may_type(member.role);
        let received = member.lane.receive(now, up, may);
        if !running || dropped {
            member.lane.inbound.discard();
        }
        if (Stage::OpeningControl..Stage::Live).contains(&stage) {
            connection.handshake.enter(now, Stage::Live);
            self.notice(HostNotice::Stage(link, Stage::Live));
        }
        if received.is_err() {
            self.violate(now, link);
        }
    }

    fn on_frame(&mut self, now: Timestamp, link: LinkId, bytes: &[u8]) {
        let Ok(frame) = FromViewer::decode(bytes) else { return self.violate(now, link) };
        let Some(member) = self.connections.get_mut(&link).and_then(Connection::member_mut) else { return };
        if member.is_parting() {
            if matches!(frame, FromViewer::GoodbyeHeard | FromViewer::Goodbye) {
                self.parted(now, link);
            }
            return;
        }
        match frame {
            FromViewer::Size(size) => {
                member.size = Some(size);
                self.sizes_changed();
            }
            FromViewer::Goodbye => self.remove(now, link, Cause::Left),
            // The host has said no goodbye that this could acknowledge.
            FromViewer::GoodbyeHeard => {}
        }
    }

    pub(super) fn violate(&mut self, now: Timestamp, link: LinkId) {
        let Some(member) = self.connections.get_mut(&link).and_then(Connection::member_mut) else { return };
        member.violations += 1;
        let (id, count) = (member.id, member.violations);
        self.notice(HostNotice::Violation(id, count));
        if count >= MAX_VIOLATIONS {
            let why = "this viewer broke the protocol".to_owned();
            self.part(now, link, Goodbye::Removed(why), Cause::Refused(Refusal::Denied));
        }
    }

    /// The one way out: a goodbye, a failed handshake, a link that is down and silence all end here.
    pub(super) fn remove(&mut self, now: Timestamp, link: LinkId, cause: Cause) {
        if let Some(id) = self.connections.get(&link).and_then(Connection::member).map(|member| member.id) {
            self.forget_input(id);
        }
        let Some(connection) = self.connections.remove(&link) else { return };
        match connection.member() {
            Some(member) => {
                let change = match &cause {
                    Cause::Refused(_) => Change::Removed,
                    Cause::Left | Cause::Gone => Change::Left,
                    Cause::NoAnswer | Cause::NoControl | Cause::Signal(_) | Cause::Down(_) | Cause::DownThere(_) => {
                        if connection.is_away() {
                            Change::NotBack
                        } else {
                            Change::Lost
                        }
                    }
                };
                self.listing.stopped(member.id);
                self.member_news(now, member.id, &member.name, change);
                self.notice(HostNotice::Left(member.id, cause));
                self.link(Command::Release(member.origin));
            }
            None => self.notice(HostNotice::Failed(link, connection.handshake.fail(now, cause))),
        }
        if !connection.is_away() {
            self.link(Command::Close(link));
        }
        self.sizes_changed();
    }

    /// Says goodbye as soon as the control lane is open. The link ends when the goodbye is acknowledged, or soon after.
    pub(super) fn part(&mut self, now: Timestamp, link: LinkId, goodbye: Goodbye, cause: Cause) {
        let Some(member) = self.connections.get_mut(&link).and_then(Connection::member_mut) else { return };
        let Presence::Here(control) = member.presence else { return };
        let within = match control {
            Control::Open => GOODBYE_WITHIN,
            Control::Opening => CONTROL_WITHIN,
        };
        member.presence = Presence::Parting(control, Parting { by: now + within, cause, goodbye: goodbye.clone() });
        let id = member.id;
        self.drop_input(id);
        self.listing.changed();
        if control == Control::Open {
            self.say(link, &FromHost::Goodbye(goodbye));
        }
    }

    /// A goodbye was acknowledged, or its acknowledgement has not come in time.
    pub(super) fn parted(&mut self, now: Timestamp, link: LinkId) {
        let cause =
            self.connections.get(&link).and_then(Connection::member).and_then(|member| match &member.presence {
                Presence::Parting(_, parting) => Some(parting.cause.clone()),
                Presence::Here(_) | Presence::Away(_) => None,
            });
        if let Some(cause) = cause {
            self.remove(now, link, cause);
        }
    }

    pub(super) fn say(&mut self, link: LinkId, frame: &FromHost) {
        self.link(Command::Send(link, Lane::Control, frame.encode()));
    }
}

/// The longest beginning of `text` that a frame holds.
pub(super) fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
