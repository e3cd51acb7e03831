//! Invariants of a host. Debug builds check them after every input.

use std::collections::BTreeSet;

use super::admission::{Awaits, MAX_PENDING};
use super::connection::{Connection, State};
use super::lifecycle::Lifecycle;
use super::{Host, MAX_HANDSHAKES};
use crate::session::handshake::Stage;
use crate::support::deadline_map::EXACT;

impl Connection {
    fn check(&self) {
        self.handshake.check();
        if let Some(member) = self.member() {
            member.lane.check();
        }
        let stage = self.handshake.stage();
        match &self.state {
            State::Proving { .. } | State::Pending(_) => {
                assert_eq!(self.handshake.attempt(), 0, "no offer was made to a viewer that is not let in");
            }
            State::Connecting(..) => {
                assert!(stage >= Stage::Answer && self.handshake.attempt() > 0, "an offer was made")
            }
            State::Member(_) => assert!(stage >= Stage::OpeningControl, "both sides of a member's link are confirmed"),
        }
    }
}

impl Host {
    /// Checks all invariants, but none with more than [`EXACT`] connections: tests with so many measure what they cost.
    pub(super) fn check(&self) {
        if self.lifecycle == Lifecycle::Exited || self.connections.len() > EXACT {
            return;
        }
        let deadline = self.connections.values().filter_map(|connection| self.connection_deadline(connection)).min();
        assert_eq!(self.connections.deadline(), deadline, "every connection that changed was scheduled");
        let mut ids = BTreeSet::new();
        let mut pending = 0;
        for (link, connection) in self.connections.iter() {
            connection.check();
            assert!(!self.is_withdrawn(connection), "nobody is on the way in by a withdrawn invite");
            let member = connection.member().map(|member| member.id);
            let waits = connection.pending();
            for id in member.into_iter().chain(waits.map(|pending| pending.id)) {
                assert!(ids.insert(id.0), "numbers are unique");
            }
            pending += usize::from(waits.is_some());
            let until_resume = waits.is_some_and(|pending| pending.awaits() == Awaits::Resume);
            assert!(self.sharing.is_paused() || !until_resume, "only a pause has an end that a viewer can wait for");
            let can_be_asked = waits.is_some_and(|pending| pending.can_be_asked());
            assert_eq!(
                self.admission.pending_askable().contains(link),
                can_be_asked,
                "the console knows every question"
            );
        }
        assert!(
            self.admission.pending_askable().len() <= pending && pending <= MAX_PENDING,
            "the viewers that wait are counted"
        );
        assert!(self.in_handshake() <= MAX_HANDSHAKES, "strangers are bounded");
        self.admission.check(&ids);
        self.connections.check();
        self.input.check(&self.connections.member_ids().into_iter().collect());
    }
}
