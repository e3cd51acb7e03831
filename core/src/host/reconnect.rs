//! Members whose link is gone. The host keeps a member's place for a while, with its screen and its input, and the
//! member comes back to that place on another link.

use super::connection::{Connection, State};
use super::member::{MAX_VIEWERS, Member, Presence};
use super::news::Change;
use crate::id::LinkId;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Path};
use crate::time::Timestamp;

use super::{Host, HostNotice};

/// The link of a member is gone.
pub(super) struct Away {
    pub(super) since: Timestamp,
    /// Until when the member's place is kept.
    pub(super) until: Timestamp,
    cause: Cause,
}

impl Host {
    /// The link of the member that was first on the link `origin`.
    pub(super) fn place_of(&self, origin: LinkId) -> Option<LinkId> {
        let of = |connection: &Connection| {
            connection.member().is_some_and(|member| member.origin == origin && !member.is_parting())
        };
        self.connections.iter().find(|(_, connection)| of(connection)).map(|(link, _)| *link)
    }

    /// A link is down. A member on it may come back, unless the member was at fault or was leaving.
    pub(super) fn lose(&mut self, now: Timestamp, link: LinkId, cause: Cause) {
        let excusable = match &cause {
            Cause::NoAnswer | Cause::NoControl => true,
            Cause::Down(down) => down.is_excusable(),
            Cause::Refused(_) | Cause::Signal(_) | Cause::DownThere(_) | Cause::Gone | Cause::Left => false,
        };
        let keep = self.config.keep;
        let stays = |member: &&mut Member| excusable && !keep.is_zero() && matches!(member.presence, Presence::Here(_));
        let Some(member) = self.connections.get_mut(&link).and_then(Connection::member_mut).filter(stays) else {
            return self.remove(now, link, cause);
        };
        member.presence = Presence::Away(Away { since: now, until: now + keep, cause: cause.clone() });
        let (id, name) = (member.id, member.name.clone());
        self.link(Command::Close(link));
        self.member_news(now, id, &name, Change::Lost);
        self.notice(HostNotice::Away(id, cause));
        self.listing.changed();
        self.sizes_changed();
        let away = |connection: &Connection| connection.away().map(|away| away.since);
        if self.connections.values().filter_map(away).count() > MAX_VIEWERS {
            let oldest =
                self.connections.iter().filter_map(|(link, connection)| Some((away(connection)?, *link))).min();
            oldest.into_iter().for_each(|(_, link)| self.give_up(now, link));
        }
    }

    /// A member has been away for too long.
    pub(super) fn give_up(&mut self, now: Timestamp, link: LinkId) {
        let cause = self.connections.get(&link).and_then(Connection::away).map(|away| away.cause.clone());
        if let Some(cause) = cause {
            self.remove(now, link, cause);
        }
    }

    /// Another link of a member is confirmed: the member moves to it, whether or not the host knew that the old link
    /// was gone.
    pub(super) fn come_back(&mut self, now: Timestamp, link: LinkId, origin: LinkId, path: Path) {
        let before = self.place_of(origin).and_then(|old| Some((old, self.connections.remove(&old)?)));
        let Some((old, before)) = before else { return self.remove(now, link, Cause::NoAnswer) };
        if !before.is_away() {
            self.link(Command::Close(old));
        }
        let State::Member(mut member) = before.state else { return };
        let (id, name) = (member.id, member.name.clone());
        self.connections.become_member(link, |request| {
            member.come_back(request.hello, now, path);
            member
        });
        // The member has a screen already, so nothing more is to be waited for.
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.handshake.enter(now, Stage::Live);
        }
        self.notice(HostNotice::Stage(link, Stage::Live));
        self.member_news(now, id, &name, Change::Back);
        self.notice(HostNotice::Back(id, path));
        self.screen.frames.changed();
        self.listing.changed();
        self.sizes_changed();
    }

    /// Connections without a member.
    pub(super) fn in_handshake(&self) -> usize {
        self.connections.values().filter(|connection| connection.member().is_none()).count()
    }
}
