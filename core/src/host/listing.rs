//! The list of members and of people who type, for viewers who asked for it. Changes are sent once a second at most.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Host;
use super::connection::Connection;
use crate::id::{LinkId, MemberId};
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, Listed, Members};

/// A person counts as typing until this long after their last key, since people pause for thought.
const TYPES_FOR: Duration = Duration::from_secs(3);

/// Between two lists for all viewers.
const INTERVAL: Duration = Duration::from_secs(1);

/// A person who types; `Host` is the person at the host's own terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Typist {
    Host,
    Member(MemberId),
}

/// Whether the list may differ from the one that viewers were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Told,
    Changed,
}

/// The list as viewers know it, and who types.
#[derive(Debug, Default)]
pub(super) struct Listing {
    state: State,
    /// When each person who types pressed their last key.
    typing: BTreeMap<Typist, Timestamp>,
    /// When the first person in `typing` may have stopped.
    quiet_at: Option<Timestamp>,
    /// The list that all viewers were told last.
    told: Option<Members>,
    /// When the next list may be told.
    next_at: Timestamp,
}

impl Listing {
    /// A member came or left, or has another role now.
    pub(super) fn changed(&mut self) {
        self.state = State::Changed;
    }

    /// A person pressed a key.
    pub(super) fn typed(&mut self, now: Timestamp, typist: Typist) {
        if self.typing.insert(typist, now).is_none() {
            self.changed();
        }
        self.quiet_at.get_or_insert(now + TYPES_FOR);
    }

    /// A member left, or may type no more.
    pub(super) fn stopped(&mut self, member: MemberId) {
        self.typing.remove(&Typist::Member(member));
        self.changed();
    }

    /// When a person may have stopped typing, or when a changed list may be sent.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let next_at = (self.state == State::Changed).then_some(self.next_at);
        next_at.into_iter().chain(self.quiet_at).min()
    }

    /// Forgets people who have stopped typing.
    fn expire(&mut self, now: Timestamp) {
        if self.quiet_at.is_none_or(|at| now < at) {
            return;
        }
        let before = self.typing.len();
        self.typing.retain(|_, at| now < *at + TYPES_FOR);
        if self.typing.len() < before {
            self.changed();
        }
        self.quiet_at = self.typing.values().min().map(|at| *at + TYPES_FOR);
    }

    /// Whether a list is due now.
    fn is_due(&mut self, now: Timestamp) -> bool {
        self.expire(now);
        self.state == State::Changed && self.next_at <= now
    }

    /// Notes the list that all viewers are told now; returns whether it differs from the last one.
    fn tells(&mut self, now: Timestamp, members: &Members) -> bool {
        self.state = State::Told;
        let is_news = self.told.as_ref() != Some(members);
        if is_news {
            self.told = Some(members.clone());
            self.next_at = now + INTERVAL;
        }
        is_news
    }

    /// One viewer gets a list that the others do not get. Viewers may know different lists now, so `told` is empty.
    fn told_one(&mut self) {
        self.told = None;
        self.changed();
    }

    fn types(&self, typist: Typist) -> bool {
        self.typing.contains_key(&typist)
    }
}

impl Host {
    /// Sends the list to viewers that asked for the list, if the list changed.
    pub(super) fn pump_listing(&mut self, now: Timestamp) {
        if !self.listing.is_due(now) {
            return;
        }
        let members = self.members_here();
        if !self.listing.tells(now, &members) {
            return;
        }
        let asked = |connection: &Connection| {
            connection.takes_messages() && connection.member().is_some_and(|member| member.wants_members)
        };
        let links = self.connections.iter().filter(|(_, connection)| asked(connection)).map(|(link, _)| *link);
        for link in links.collect::<Vec<_>>() {
            self.say(link, &FromHost::Members(members.clone()));
        }
    }

    /// Sends the list to a viewer whose control lane has opened, if the viewer asked for the list.
    pub(super) fn tell_members(&mut self, link: LinkId) {
        let member = self.connections.get(&link).and_then(Connection::member);
        if member.is_some_and(|member| member.wants_members) {
            let members = self.members_here();
            self.say(link, &FromHost::Members(members));
            self.listing.told_one();
        }
    }

    fn members_here(&self) -> Members {
        let here = self.connections.values().filter(|connection| connection.takes_frames());
        let listed = here.filter_map(Connection::member).map(|member| Listed {
            member: member.id,
            role: member.role,
            name: member.name.clone(),
            types: self.listing.types(Typist::Member(member.id)),
        });
        // In a pause viewers are not told that the host types.
        let host_types = self.listing.types(Typist::Host) && !self.sharing.is_paused();
        Members::of(listed.collect(), host_types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(milliseconds))
    }

    fn list(more: u16) -> Members {
        Members { more, ..Members::default() }
    }

    #[test]
    fn a_list_is_told_once_a_second_at_most_and_only_if_it_is_another_one() {
        let mut listing = Listing::default();
        assert!(!listing.is_due(at(0)) && listing.deadline().is_none());
        listing.changed();
        assert!(listing.is_due(at(0)) && listing.tells(at(0), &list(1)));
        assert!(!listing.is_due(at(5)));
        listing.changed();
        assert_eq!((listing.is_due(at(999)), listing.deadline()), (false, Some(at(1000))));
        assert!(listing.is_due(at(1000)) && !listing.tells(at(1000), &list(1)), "nothing changed after all");
        assert_eq!(listing.deadline(), None);
        listing.changed();
        assert!(listing.is_due(at(1001)) && listing.tells(at(1001), &list(2)));
        // A list for one viewer empties `told`, since the others may know an older list.
        listing.told_one();
        assert!(listing.is_due(at(2001)) && listing.tells(at(2001), &list(2)));
    }

    #[test]
    fn somebody_types_until_three_seconds_after_their_last_key() {
        let (mut listing, ann) = (Listing::default(), Typist::Member(MemberId(1)));
        listing.typed(at(0), ann);
        assert!(listing.is_due(at(0)) && listing.tells(at(0), &list(0)));
        listing.typed(at(2000), ann);
        listing.typed(at(2500), Typist::Host);
        assert!(listing.is_due(at(2500)) && listing.tells(at(2500), &list(1)));
        assert_eq!(listing.deadline(), Some(at(3000)), "the first key was then");
        assert!(!listing.is_due(at(3000)) && listing.types(ann));
        assert_eq!(listing.deadline(), Some(at(5000)));
        assert!(listing.is_due(at(5000)) && !listing.types(ann) && listing.types(Typist::Host));
        assert!(listing.is_due(at(5500)) && !listing.types(Typist::Host));
    }
}
