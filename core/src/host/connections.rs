//! All connections, and on which of them each member is.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::connection::{Connection, Request};
use super::member::Member;
use crate::id::{LinkId, MemberId};
use crate::support::deadline_map::DeadlineMap;

/// Connections by link. A member keeps its number when it comes back on another link.
#[derive(Default)]
pub(super) struct Connections {
    links: DeadlineMap<Connection>,
    /// The link of each member; of one that is away, the link that is gone.
    places: BTreeMap<MemberId, LinkId>,
}

impl Deref for Connections {
    type Target = DeadlineMap<Connection>;

    fn deref(&self) -> &DeadlineMap<Connection> {
        &self.links
    }
}

impl DerefMut for Connections {
    fn deref_mut(&mut self) -> &mut DeadlineMap<Connection> {
        &mut self.links
    }
}

impl Connections {
    /// The link of a member that is here, parting or away.
    pub(super) fn link_of(&self, id: MemberId) -> Option<LinkId> {
        self.places.get(&id).copied()
    }

    pub(super) fn member(&self, id: MemberId) -> Option<&Member> {
        self.links.get(self.places.get(&id)?)?.member()
    }

    pub(super) fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.links.get_mut(self.places.get(&id)?)?.member_mut()
    }

    /// The numbers of all members, in order.
    pub(super) fn member_ids(&self) -> Vec<MemberId> {
        self.places.keys().copied().collect()
    }

    /// Both sides of a link are confirmed: a viewer that is let in becomes the member that `made` makes of its request.
    pub(super) fn become_member(&mut self, link: LinkId, made: impl FnOnce(Request) -> Box<Member>) {
        let Some(connection) = self.links.get_mut(&link) else { return };
        connection.become_member(made);
        if let Some(member) = connection.member() {
            self.places.insert(member.id, link);
        }
    }

    /// Removes a connection, and the member on it.
    pub(super) fn remove(&mut self, link: &LinkId) -> Option<Connection> {
        let connection = self.links.remove(link)?;
        if let Some(member) = connection.member() {
            self.places.remove(&member.id);
        }
        Some(connection)
    }

    /// What is true of them after everything that happens.
    pub(super) fn check(&self) {
        for (id, link) in &self.places {
            let found = self.links.get(link).and_then(Connection::member).map(|member| member.id);
            assert_eq!(found, Some(*id), "a member is on the link that its place names");
        }
        let members = self.links.values().filter(|connection| connection.member().is_some()).count();
        assert_eq!(self.places.len(), members, "every member has a place");
    }
}
