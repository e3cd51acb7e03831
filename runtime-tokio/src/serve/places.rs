//! The places of a server: how many connections there are, in all and from each address.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;

use beach_core::rendezvous::ConnectionId;
use tokio::task::AbortHandle;

/// Connections of one address that take no part in anything yet, however full the server is.
const STRANGERS_MIN: usize = 64;

/// Most connections of one address that take no part, while there is room: a quarter of the free places, so that others
/// have the rest, and never more than this. A class behind one router is one address, and each browser opens a few
/// connections for the page.
const STRANGERS_MAX: usize = 512;

/// Most connections without a place at once. Each is told why, with status 503; one more ends another.
pub(super) const REFUSED_MAX: usize = 64;

/// Why a connection has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The server has no further place.
    Full,
    /// The connection's address has as many places as allowed.
    Address,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoPlace::Full => "too many connections",
            NoPlace::Address => "too many connections from one address",
        })
    }
}

/// The standing of a connection that has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The connection takes no part in anything yet.
    Stranger,
    /// The connection hosts a session, or views one.
    Participant,
}

/// The place of a connection.
struct Taken {
    address: Option<IpAddr>,
    standing: Standing,
    /// Of a connection whose address may become known.
    task: Option<AbortHandle>,
}

/// The places that one address has.
#[derive(Default)]
struct Held {
    all: usize,
    strangers: usize,
}

/// A connection that is told why it has no place.
struct Refused {
    connection: ConnectionId,
    address: Option<IpAddr>,
    task: AbortHandle,
}

/// The connections that have a place, and those that are told why they have none. A connection whose client's address
/// is not known (`None`) counts among all places, and among those of no address.
pub(super) struct Places {
    max: usize,
    taken: HashMap<ConnectionId, Taken>,
    held: HashMap<IpAddr, Held>,
    /// In the order in which they came.
    refused: VecDeque<Refused>,
}

impl Places {
    /// A server with so many places.
    pub(super) fn new(max: usize) -> Places {
        Places { max, taken: HashMap::new(), held: HashMap::new(), refused: VecDeque::new() }
    }

    /// How many are taken, and how many there are.
    pub(super) fn taken(&self) -> (usize, usize) {
        (self.taken.len(), self.max)
    }

    /// Gives a place to a connection from this address.
    ///
    /// # Errors
    /// There is no place for the connection.
    pub(super) fn take(&mut self, connection: ConnectionId, address: Option<IpAddr>) -> Result<(), NoPlace> {
        let free = self.max.saturating_sub(self.taken.len());
        if free == 0 {
            return Err(NoPlace::Full);
        }
        if let Some(address) = address {
            let held = self.held.entry(address).or_default();
            // Half of all are for others, unless there are few at all.
            let most = (self.max / 2).max(STRANGERS_MIN);
            if held.all >= most || held.strangers >= (free / 4).clamp(STRANGERS_MIN, STRANGERS_MAX) {
                return Err(NoPlace::Address);
            }
            held.all += 1;
            held.strangers += 1;
        }
        self.taken.insert(connection, Taken { address, standing: Standing::Stranger, task: None });
        Ok(())
    }

    /// The address of this connection, which came from a proxy, may become known; this task serves it.
    pub(super) fn may_move(&mut self, connection: ConnectionId, task: AbortHandle) {
        self.taken.entry(connection).and_modify(|taken| taken.task = Some(task));
    }

    /// The address of a connection from a proxy is known from now on: its place counts as one of that address. A proxy
    /// may tell another address later; the last one counts.
    ///
    /// # Errors
    /// There is no place for a connection of this address; the connection has lost its earlier place.
    pub(super) fn comes_from(&mut self, connection: ConnectionId, address: IpAddr) -> Result<(), NoPlace> {
        let Some(Taken { task, .. }) = self.taken.get(&connection) else {
            let refused = self.refused.iter_mut().find(|refused| refused.connection == connection);
            refused.into_iter().for_each(|refused| refused.address = Some(address));
            return Err(NoPlace::Full);
        };
        let task = task.clone();
        self.leave(connection);
        let place = self.take(connection, Some(address));
        match (place, task) {
            (Ok(()), Some(task)) => self.may_move(connection, task),
            (Err(_), Some(task)) => self.refuse(connection, Some(address), task),
            (Ok(()) | Err(_), None) => {}
        }
        place
    }

    /// The connection takes part from now on.
    pub(super) fn takes_part(&mut self, connection: ConnectionId) {
        let Some(taken) = self.taken.get_mut(&connection) else { return };
        if std::mem::replace(&mut taken.standing, Standing::Participant) == Standing::Participant {
            return;
        }
        let held = taken.address.and_then(|address| self.held.get_mut(&address));
        held.into_iter().for_each(|held| held.strangers -= 1);
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: ConnectionId) {
        let Some(Taken { address, standing, .. }) = self.taken.remove(&connection) else {
            return self.refused.retain(|refused| refused.connection != connection);
        };
        let Some(address) = address else { return };
        let Some(held) = self.held.get_mut(&address) else { return };
        held.all -= 1;
        if standing == Standing::Stranger {
            held.strangers -= 1;
        }
        if held.all == 0 {
            self.held.remove(&address);
        }
    }

    /// A connection without a place is told so by this task. Of too many, the oldest one is ended of the address that
    /// has most of them: slow clients keep nobody from asking how the server is.
    pub(super) fn refuse(&mut self, connection: ConnectionId, address: Option<IpAddr>, task: AbortHandle) {
        self.refused.push_back(Refused { connection, address, task });
        if self.refused.len() <= REFUSED_MAX {
            return;
        }
        let of = |address| self.refused.iter().filter(|refused| refused.address == address).count();
        let most = self.refused.iter().map(|refused| of(refused.address)).max();
        let first = self.refused.iter().position(|refused| Some(of(refused.address)) == most);
        if let Some(ended) = first.and_then(|first| self.refused.remove(first)) {
            ended.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, number).into())
    }

    /// How many of so many further connections from this address get a place.
    fn taken(places: &mut Places, count: u64, number: u8) -> usize {
        let first = places.taken.len() as u64 + 1_000_000 * u64::from(number);
        (first..first + count).filter(|connection| places.take(*connection, address(number)).is_ok()).count()
    }

    #[test]
    fn an_address_has_64_strangers_or_a_quarter_of_what_is_free_and_half_of_all_places() {
        let mut places = Places::new(1000);
        // A fifth: a quarter of the four fifths that stay free.
        assert_eq!(taken(&mut places, 1000, 1), 200);
        assert_eq!(places.take(1, address(1)), Err(NoPlace::Address));
        assert_eq!(taken(&mut places, 1000, 2), 160);
        for connection in places.taken.keys().copied().collect::<Vec<_>>() {
            places.takes_part(connection);
            places.takes_part(connection);
        }
        assert_eq!(taken(&mut places, 1000, 1), 128, "they take part: there may be others");
        let mut other = 3;
        while taken(&mut places, 1000, other) > 0 {
            other += 1;
        }
        assert_eq!((places.take(1, address(9)), places.taken.len()), (Err(NoPlace::Full), 1000));
        assert_eq!(taken(&mut Places::new(1_000_000), 1000, 1), STRANGERS_MAX);
    }

    #[test]
    fn an_address_with_participants_has_at_most_half_of_all_places() {
        let mut places = Places::new(200);
        for connection in 0..200 {
            let place = places.take(connection, address(1));
            assert_eq!(place, if connection < 100 { Ok(()) } else { Err(NoPlace::Address) }, "{connection}");
            places.takes_part(connection);
        }
        for connection in 0..100 {
            places.leave(connection);
        }
        assert!(places.taken.is_empty() && places.held.is_empty());
    }

    #[test]
    fn connections_of_unknown_clients_have_all_places_and_take_none_of_an_address() {
        let mut places = Places::new(1000);
        assert!((0..1000).all(|connection| places.take(connection, None).is_ok()));
        assert_eq!(places.take(1000, None), Err(NoPlace::Full));
        places.takes_part(7);
        (0..500).for_each(|connection| places.leave(connection));
        assert_eq!((taken(&mut places, 1000, 1), places.held.len()), (100, 1));
    }

    #[tokio::test]
    async fn a_connection_from_a_proxy_moves_to_its_address_or_loses_its_place() {
        let task = tokio::spawn(pending::<()>());
        let mut places = Places::new(1000);
        for connection in 0..300 {
            places.take(connection, None).expect("a place");
            places.may_move(connection, task.abort_handle());
        }
        let from = address(1).expect("an address");
        let moved = (0..300).filter(|connection| places.comes_from(*connection, from).is_ok()).count();
        // A quarter of what is free, as of those who come directly; who is refused makes room.
        assert_eq!((moved, places.taken.len()), (200, 200));
        assert_eq!(places.comes_from(5000, from), Err(NoPlace::Full), "it has no place");
        assert_eq!((places.held[&from].all, places.refused.len()), (200, REFUSED_MAX));
        assert!(places.refused.iter().all(|refused| refused.address == Some(from)));
        (0..300).for_each(|connection| places.leave(connection));
        assert!(places.taken.is_empty() && places.held.is_empty() && places.refused.is_empty());
    }

    #[tokio::test]
    async fn a_connection_whose_address_is_told_twice_has_one_place_or_none() {
        let task = tokio::spawn(pending::<()>());
        let mut places = Places::new(1000);
        let [one, other] = [1, 2].map(|number| address(number).expect("an address"));
        places.take(7, None).expect("a place");
        places.may_move(7, task.abort_handle());
        assert_eq!((places.comes_from(7, one), places.comes_from(7, other)), (Ok(()), Ok(())));
        assert_eq!((places.taken.len(), places.held.len(), places.held[&other].all), (1, 1, 1));
        // The first address has all that it may have: whoever turns out to come from there has no place any more.
        assert!(taken(&mut places, 1000, 1) > 0);
        let others = places.taken.len() - 1;
        assert_eq!(places.comes_from(7, one), Err(NoPlace::Address));
        assert_eq!((places.taken.len(), places.refused.len()), (others, 1));
        assert!(!places.held.contains_key(&other), "nothing is kept of the earlier place");
    }

    #[tokio::test]
    async fn of_those_without_a_place_the_oldest_of_the_address_with_most_makes_room() {
        let mut places = Places::new(0);
        let tasks: Vec<_> = (0..100).map(|_| tokio::spawn(pending::<()>())).collect();
        for (connection, task) in (0..).zip(&tasks) {
            places.refuse(connection, address(if connection == 0 { 1 } else { 2 }), task.abort_handle());
        }
        let left: Vec<u64> = places.refused.iter().map(|refused| refused.connection).collect();
        assert_eq!(left, [0].into_iter().chain(37..100).collect::<Vec<u64>>());
        tokio::task::yield_now().await;
        assert!(!tasks[0].is_finished() && tasks[1].is_finished());
        (0..100).for_each(|connection| places.leave(connection));
        assert!(places.refused.is_empty());
    }
}
