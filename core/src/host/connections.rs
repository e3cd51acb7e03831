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

    /// Invariants of connections.
    pub(super) fn check(&self) {
        for (id, link) in &self.places {
            let found = self.links.get(link).and_then(Connection::member).map(|member| member.id);
            assert_eq!(found, Some(*id), "a member is on the link that its place names");
        }
        let members = self.links.values().filter(|connection| connection.member().is_some()).count();
        assert_eq!(self.places.len(), members, "every member has a place");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::connection::{Entry, State};
    use crate::role::Role;
    use crate::session::handshake::{Handshake, Stage};
    use crate::session::link::{Hello, Path, PathKind};
    use crate::time::Timestamp;

    fn connecting(entry: Entry) -> Connection {
        let hello = Hello { name: "viewer".to_owned(), size: None, history: 0, capabilities: 0 };
        let state = State::Connecting(Request { role: Role::View, hello }, entry);
        Connection { handshake: Handshake::new(Timestamp::ZERO, Stage::Answer), from: None, rotations: 0, state }
    }

    #[test]
    fn a_member_is_found_by_its_number_on_whatever_link_it_is() {
        let (first, second, id) = (LinkId(7), LinkId(3), MemberId(1));
        let path =
            Path { local: ([127, 0, 0, 1], 1).into(), remote: ([127, 0, 0, 1], 2).into(), kind: PathKind::Direct };
        let mut connections = Connections::default();
        connections.insert(first, connecting(Entry::New(None)));
        assert_eq!((connections.link_of(id), connections.member_ids()), (None, vec![]));
        connections.become_member(first, |request| Box::new(Member::new(id, first, request, Timestamp::ZERO, path, 0)));
        assert_eq!((connections.link_of(id), connections.member_ids()), (Some(first), vec![id]));

        connections.insert(second, connecting(Entry::Back(first)));
        let State::Member(member) = connections.remove(&first).expect("the connection is there").state else {
            panic!("a member was on the link");
        };
        assert!(connections.member(id).is_none());
        connections.become_member(second, |_| member);
        assert_eq!(
            (connections.link_of(id), connections.member_mut(id).map(|member| member.origin)),
            (Some(second), Some(first))
        );
        connections.check();
        assert!(connections.remove(&second).is_some() && connections.remove(&second).is_none());
        assert_eq!(connections.member_ids(), []);
        connections.check();
    }
}
