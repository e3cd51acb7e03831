//! The budgets of a TURN server: for one address, for one user, and for all together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{ADDRESS_ALLOCATIONS, ADDRESS_RELAY_BURST, ADDRESS_RELAY_RATE, ADDRESS_STREAMS, USER_ALLOCATIONS};
use crate::support::token_bucket::TokenBucket;
use crate::time::Timestamp;

/// Most addresses with neither an allocation nor a connection that are remembered.
const MAX_RESTING: usize = 4096;

/// One address, as [`owner`](crate::session::address::owner) has it.
struct Place {
    allocations: usize,
    streams: usize,
    relayed: TokenBucket,
}

impl Place {
    fn whole_at(&self) -> Timestamp {
        self.relayed.ready_at(ADDRESS_RELAY_BURST as usize)
    }

    fn rests(&self) -> bool {
        self.allocations + self.streams == 0
    }
}

/// All addresses and users that have anything here.
pub(super) struct Places {
    known: BTreeMap<IpAddr, Place>,
    /// Addresses that have nothing any more, by the time at which their allowance is whole.
    resting: BTreeSet<(Timestamp, IpAddr)>,
    /// Allocations of each user.
    users: BTreeMap<String, usize>,
    streams: usize,
    streams_max: usize,
}

impl Places {
    /// None yet, with room for so many connections.
    pub(super) fn new(streams_max: usize) -> Places {
        let (known, resting, users) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Places { known, resting, users, streams: 0, streams_max }
    }

    fn place(&mut self, now: Timestamp, owner: IpAddr) -> &mut Place {
        let relayed = TokenBucket::new(now, ADDRESS_RELAY_RATE, ADDRESS_RELAY_BURST);
        let place = self.known.entry(owner).or_insert(Place { allocations: 0, streams: 0, relayed });
        if place.rests() {
            self.resting.remove(&(place.whole_at(), owner));
        }
        place
    }

    /// An address that has nothing any more rests until its allowance is whole.
    fn rest(&mut self, now: Timestamp, owner: IpAddr) {
        if let Some(place) = self.known.get(&owner).filter(|place| place.rests()) {
            self.resting.insert((place.whole_at(), owner));
        }
        while let Some((whole_at, first)) = self.resting.first().copied()
            && (whole_at <= now || self.resting.len() > MAX_RESTING)
        {
            self.resting.pop_first();
            self.known.remove(&first);
        }
    }

    /// One more connection; whether there is room.
    pub(super) fn take_stream(&mut self, now: Timestamp, owner: IpAddr) -> bool {
        let room = self.streams < self.streams_max;
        let place = self.place(now, owner);
        let takes = room && place.streams < ADDRESS_STREAMS;
        place.streams += usize::from(takes);
        self.streams += usize::from(takes);
        self.rest(now, owner);
        takes
    }

    pub(super) fn leave_stream(&mut self, now: Timestamp, owner: IpAddr) {
        self.place(now, owner).streams -= 1;
        self.streams -= 1;
        self.rest(now, owner);
    }

    /// One more allocation; whether address and user may have it.
    pub(super) fn take_allocation(&mut self, now: Timestamp, owner: IpAddr, user: &str) -> bool {
        let of_user = self.users.get(user).copied().unwrap_or_default();
        let place = self.place(now, owner);
        let takes = of_user < USER_ALLOCATIONS && place.allocations < ADDRESS_ALLOCATIONS;
        place.allocations += usize::from(takes);
        if takes {
            self.users.insert(user.to_owned(), of_user + 1);
        }
        self.rest(now, owner);
        takes
    }

    pub(super) fn leave_allocation(&mut self, now: Timestamp, owner: IpAddr, user: &str) {
        self.place(now, owner).allocations -= 1;
        if let Some(count) = self.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user);
            }
        }
        self.rest(now, owner);
    }

    /// Whether so many bytes may be relayed for an address that has an allocation.
    pub(super) fn may_relay(&mut self, now: Timestamp, owner: IpAddr, bytes: usize) -> bool {
        self.known.get_mut(&owner).is_some_and(|place| place.relayed.take(now, bytes))
    }

    /// How many users have allocations.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// How much is remembered.
    pub(super) fn remembered(&self) -> usize {
        self.known.len() + self.resting.len() + self.users.len()
    }

    /// Invariants, with the number of all allocations and connections.
    pub(super) fn check(&self, allocations: usize, streams: usize) {
        assert_eq!(self.known.values().map(|place| place.allocations).sum::<usize>(), allocations, "by address");
        assert_eq!(self.users.values().sum::<usize>(), allocations, "by user");
        assert_eq!(self.known.values().map(|place| place.streams).sum::<usize>(), streams, "by address");
        assert_eq!(self.streams, streams, "connections are counted");
        assert!(self.resting.len() <= MAX_RESTING, "what rests is bounded");
        let resting = self.known.values().filter(|place| place.rests()).count();
        assert_eq!(resting, self.resting.len(), "an address with nothing rests");
    }
}
