//! Invariants of a rendezvous. Debug builds check them after every input.

use std::collections::BTreeSet;

use super::{ADDRESS_LINKS, MAX_HOSTED, MAX_LINKS, MAX_SESSIONS, MAX_VIEWS, Rendezvous, Standing};
use crate::support::deadline_map::EXACT;

impl Rendezvous {
    /// Checks all invariants, but none with more than [`EXACT`] connections or sessions: tests with so many measure
    /// what they cost.
    pub(super) fn check(&self) {
        assert!(self.sessions.len() <= MAX_SESSIONS, "sessions are bounded");
        if self.connections.len() > EXACT || self.sessions.len() > EXACT {
            return;
        }
        let addresses = self.connections.values().filter_map(|connection| connection.address);
        let hosts = self.sessions.values().filter_map(|session| self.address_of(session.host?));
        self.addresses.check(addresses, hosts);
        let links: usize = self.sessions.values().map(|session| session.links.len()).sum();
        assert_eq!(self.links, links, "links are counted");
        for (id, session) in &self.sessions {
            assert_eq!(self.away.contains(&session.away(*id)), session.host.is_none(), "who is away is known");
            assert!(session.links.len() <= MAX_LINKS, "links of a session are bounded");
            let places: BTreeSet<_> = session.links.values().filter_map(|link| link.place).collect();
            for place in places {
                let there = session.links.values().filter(|link| link.place == Some(place)).count();
                assert!(there <= ADDRESS_LINKS, "links of a session from one address are bounded");
            }
            if let Some(host) = session.host {
                let hosts = self.connections.get(&host).is_some_and(|connection| connection.hosts.contains(id));
                assert!(hosts, "the connection of a host knows its session");
            }
            for (link, known) in &session.links {
                let viewed = self.connections.get(&known.viewer).and_then(|connection| connection.views.get(link));
                assert_eq!(viewed, Some(id), "the connection of a viewer knows its link");
            }
        }
        if let Some(directory) = &self.directory {
            directory.check(self.sessions.iter().map(|(id, session)| (*id, session.host.is_some())));
        }
        assert!(self.away.iter().all(|(.., id)| self.sessions.contains_key(id)), "who is away has a session");
        let strangers = self.connections.iter().filter_map(|(id, connection)| match connection.standing {
            Standing::Stranger(until) => Some((until, *id)),
            Standing::Participant => None,
        });
        assert_eq!(strangers.collect::<BTreeSet<_>>(), self.strangers, "strangers are known");
        for (id, connection) in &self.connections {
            let is_stranger = matches!(connection.standing, Standing::Stranger(_));
            assert!(!is_stranger || !connection.takes_part(), "who takes part is no stranger");
            assert!(connection.hosts.len() <= MAX_HOSTED && connection.views.len() <= MAX_VIEWS, "parts are bounded");
            let hosts = |session| self.sessions.get(session).is_some_and(|session| session.host == Some(*id));
            assert!(connection.hosts.iter().all(hosts), "a session knows the connection of its host");
            for (link, session) in &connection.views {
                let known = self.sessions.get(session).and_then(|session| session.links.get(link));
                assert_eq!(known.map(|link| link.viewer), Some(*id), "a link knows the connection of its viewer");
            }
        }
    }
}
