//! Members whose link is gone: their place is kept for a while, with all that they have and have not got, and they come back to it on
//! another link.

use super::member::MAX_VIEWERS;
use crate::id::LinkId;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Attempt, Command, Path};
use crate::time::Timestamp;

use super::{Connection, Host, HostNotice};

/// Whose link is gone.
pub(super) struct Away {
    pub(super) since: Timestamp,
    until: Timestamp,
    cause: Cause,
}

impl Connection {
    /// Whether it is a member, and there.
    pub(super) fn is_here(&self) -> bool {
        self.member.is_some() && self.away.is_none()
    }

    /// When its place is given up.
    pub(super) fn kept_until(&self) -> Option<Timestamp> {
        self.away.as_ref().map(|away| away.until)
    }
}

impl Host {
    /// The member of the link that was first called `origin`.
    pub(super) fn place_of(&self, origin: LinkId) -> Option<LinkId> {
        let of = |connection: &Connection| {
            connection.parting.is_none() && connection.member.as_ref().is_some_and(|it| it.origin == origin)
        };
        self.connections.iter().find(|(_, connection)| of(connection)).map(|(link, _)| *link)
    }

    /// A link is down. Whoever was on it may come back, unless it was at fault or was leaving.
    pub(super) fn lose(&mut self, now: Timestamp, link: LinkId, cause: Cause) {
        let excusable = match &cause {
            Cause::NoAnswer | Cause::NoControl => true,
            Cause::Down(down) => down.is_excusable(),
            Cause::Refused(_) | Cause::Signal(_) | Cause::DownThere(_) | Cause::Gone | Cause::Left => false,
        };
        let keep = self.config.keep;
        let stays = |connection: &&mut Connection| {
            excusable && connection.is_here() && connection.parting.is_none() && !keep.is_zero()
        };
        let Some(connection) = self.connections.get_mut(&link).filter(stays) else {
            return self.remove(now, link, cause);
        };
        connection.away = Some(Away { since: now, until: now + keep, cause: cause.clone() });
        connection.control_up = false;
        let id = connection.member.as_ref().map(|member| member.id);
        self.link(Command::Close(link));
        if let Some(id) = id {
            self.notice(HostNotice::Away(id, cause));
        }
        self.sizes_changed();
        let away = |connection: &Connection| connection.away.as_ref().map(|away| away.since);
        if self.connections.values().filter_map(away).count() > MAX_VIEWERS {
            let oldest =
                self.connections.iter().filter_map(|(link, connection)| Some((away(connection)?, *link))).min();
            oldest.into_iter().for_each(|(_, link)| self.give_up(now, link));
        }
    }

    /// Somebody has been away for too long.
    pub(super) fn give_up(&mut self, now: Timestamp, link: LinkId) {
        let cause =
            self.connections.get(&link).and_then(|connection| connection.away.as_ref()).map(|away| away.cause.clone());
        if let Some(cause) = cause {
            self.remove(now, link, cause);
        }
    }

    /// The new link of a member is confirmed: it takes its place on it, whether or not the old one was known to be gone.
    pub(super) fn come_back(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, origin: LinkId, path: Path) {
        let old = self.place_of(origin).filter(|old| *old != link);
        let taken = old.and_then(|old| Some((old, self.connections.get_mut(&old)?.member.take()?)));
        let Some((old, mut member)) = taken else { return self.remove(now, link, Cause::NoAnswer) };
        if let Some(before) = self.connections.remove(&old)
            && before.away.is_none()
        {
            self.link(Command::Close(old));
        }
        if self.current(link, attempt).is_none() {
            return;
        }
        let Some(connection) = self.connections.get_mut(&link) else { return };
        member.size = connection.size.or(member.size);
        member.name.clone_from(&connection.name);
        member.title_sent = None;
        member.lane.moved();
        let id = member.id;
        connection.member = Some(member);
        connection.live_at = Some(now);
        connection.path = Some(path);
        // It has its screen; whether it says anything more is its own affair.
        connection.handshake.enter(now, Stage::Live);
        self.input.renamed(old, link);
        self.notice(HostNotice::Stage(link, Stage::Live));
        self.notice(HostNotice::Back(id, path));
        self.frames.changed();
        self.sizes_changed();
    }

    /// Links that are not a member's yet.
    pub(super) fn in_handshake(&self) -> usize {
        self.connections.values().filter(|connection| connection.member.is_none()).count()
    }
}
