//! Connections of viewers who came to the wrong rendezvous and do not go to another one by themselves, such as pages:
//! this rendezvous carries their messages to the one that has their host.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use beach_core::AddressRates;
use beach_core::rendezvous::{
    ADDRESS_RELAY_BURST, ADDRESS_RELAY_RATE, ConnectionId, NODE_RELAY_BURST, NODE_RELAY_RATE,
};
use beach_core::session::address::owner;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use crate::serve::Caller;
use crate::signal::{Signal, SignalEvent};

/// Most rendezvous in a row that carry one connection. Two that name each other end a connection, and the viewer dials
/// anew.
pub const MAX_HOPS: u8 = 3;

/// Most connections that one rendezvous carries: each needs a second socket.
pub const MAX_PIPES: usize = 4096;

/// Messages of a viewer that may wait for the other rendezvous. Until that one is reached, a viewer has a few texts to
/// say.
const WAITING_MAX: usize = 32;

/// Messages of the other rendezvous, of all connections together, that the loop has not asked for yet. When there are
/// so many, their sockets are not read.
const ARRIVED_MAX: usize = 256;

/// The address that stands for all of them.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A message that is carried.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    Text(String),
    Datagram(Vec<u8>),
}

/// A message from the other rendezvous, or the end of the connection to it.
pub(crate) enum Arrived {
    Carried(Carried),
    /// The other rendezvous is gone, or was not reached.
    Ended,
}

/// The way to the other rendezvous.
struct Way {
    to_send: mpsc::Sender<Carried>,
    /// The owner of the viewer's address, if it is known.
    owner: Option<IpAddr>,
}

/// The counters of connections that are to be carried to other rendezvous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Carried.
    pub piped: u64,
    /// Closed: too many are carried, or too many rendezvous in a row.
    pub refused: u64,
    /// Datagrams that were dropped: too many bytes for one address, or for all.
    pub over_rate: u64,
    /// Carried now.
    pub open: usize,
}

/// The connections that are carried.
pub(crate) struct Pipes {
    most: usize,
    tally: Tally,
    ways: HashMap<ConnectionId, Way>,
    /// How many bytes of datagrams each address may have carried, in both directions, and all together.
    relayed: AddressRates,
    all_relayed: AddressRates,
    epoch: Instant,
    report: mpsc::Sender<(ConnectionId, Arrived)>,
    arrived: mpsc::Receiver<(ConnectionId, Arrived)>,
    tasks: JoinSet<()>,
    /// The addresses of viewers for whom tasks work. An address whose owner has others counts as its owner.
    addresses: HashMap<Id, IpAddr>,
}

impl Pipes {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Pipes {
        let (report, arrived) = mpsc::channel(ARRIVED_MAX);
        let relayed = AddressRates::new(ADDRESS_RELAY_RATE, ADDRESS_RELAY_BURST, crate::seed());
        let all_relayed = AddressRates::new(NODE_RELAY_RATE, NODE_RELAY_BURST, crate::seed());
        Pipes {
            most: most.min(MAX_PIPES),
            tally: Tally::default(),
            ways: HashMap::new(),
            relayed,
            all_relayed,
            epoch: Instant::now(),
            report,
            arrived,
            tasks: JoinSet::new(),
            addresses: HashMap::new(),
        }
    }

    /// The counts.
    pub(crate) fn tally(&self) -> Tally {
        Tally { open: self.ways.len(), ..self.tally }
    }

    /// Carries the connection to the rendezvous at `place` from now on, where `first` is the first text. Whether there
    /// is room for that: no address has more than half of it.
    #[must_use]
    pub(crate) fn open(&mut self, connection: ConnectionId, place: &str, first: String, caller: Caller) -> bool {
        let Caller { client, hops } = caller;
        // Carried connections that have ended leave room.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.addresses.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
        }
        let address = client.map(owner);
        let of_address = self.addresses.values().filter(|other| address == Some(**other)).count();
        if hops >= MAX_HOPS || self.tasks.len() >= self.most || of_address >= self.most.div_ceil(2) {
            self.tally.refused += 1;
            return false;
        }
        self.tally.piped += 1;
        let (to_send, waiting) = mpsc::channel(WAITING_MAX);
        self.ways.insert(connection, Way { to_send, owner: address });
        let mut way = Signal::for_viewer(place, client, hops + 1);
        way.dial();
        way.send(first);
        let task = self.tasks.spawn(carry(connection, way, waiting, self.report.clone()));
        self.addresses.extend(address.map(|address| (task.id(), address)));
        true
    }

    /// Whether this connection is carried.
    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        self.ways.contains_key(&connection)
    }

    /// Carries a message on; whether there is room for the message.
    #[must_use]
    pub(crate) fn send(&mut self, connection: ConnectionId, message: Carried) -> bool {
        let is_datagram = match &message {
            Carried::Text(_) => false,
            Carried::Datagram(bytes) if self.may_relay(connection, bytes.len()) => true,
            Carried::Datagram(_) => return true,
        };
        let sent = self.ways.get(&connection).is_some_and(|way| way.to_send.try_send(message).is_ok());
        // A datagram may get lost.
        sent || is_datagram
    }

    /// Whether the address of this viewer, if it is known, may have so many bytes carried, and whether all connections
    /// together may: both directions count.
    pub(crate) fn may_relay(&mut self, connection: ConnectionId, bytes: usize) -> bool {
        let now = self.epoch.elapsed().into();
        let owner = self.ways.get(&connection).and_then(|way| way.owner);
        let may = owner.is_none_or(|owner| self.relayed.take_many(now, owner, bytes))
            && self.all_relayed.take_many(now, EVERYBODY, bytes);
        self.tally.over_rate += u64::from(!may);
        may
    }

    /// The connection is gone.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        // The task sees the end of its queue.
        self.ways.remove(&connection);
    }

    /// The next thing that comes from another rendezvous, for which connection. Cancel-safe.
    pub(crate) async fn next(&mut self) -> (ConnectionId, Arrived) {
        loop {
            match self.arrived.recv().await {
                Some((connection, arrived)) if self.has(connection) => return (connection, arrived),
                // Of a connection that is gone meanwhile.
                Some(_) => {}
                None => unreachable!("this struct has a sender, too"),
            }
        }
    }
}

/// Carries one connection until either side ends it.
async fn carry(
    connection: ConnectionId,
    mut way: Signal,
    mut waiting: mpsc::Receiver<Carried>,
    report: mpsc::Sender<(ConnectionId, Arrived)>,
) {
    let mut is_up = false;
    loop {
        let arrived = tokio::select! {
            // Until the other rendezvous is reached, the viewer's messages wait in the one queue that is short.
            message = waiting.recv(), if is_up => match message {
                Some(Carried::Text(text)) => {
                    way.send(text);
                    continue;
                }
                Some(Carried::Datagram(bytes)) => {
                    way.relay(bytes);
                    continue;
                }
                None => return way.close().await,
            },
            event = way.next() => match event {
                SignalEvent::Up => {
                    is_up = true;
                    continue;
                }
                // A carried connection has none beside it.
                SignalEvent::Beside(_) => continue,
                SignalEvent::Text(text) => Arrived::Carried(Carried::Text(text)),
                SignalEvent::Datagram(bytes) => Arrived::Carried(Carried::Datagram(bytes)),
                SignalEvent::Down(cause) => {
                    tracing::debug!(connection, %cause, "the other rendezvous is gone");
                    Arrived::Ended
                }
            },
        };
        let has_ended = matches!(arrived, Arrived::Ended);
        if report.send((connection, arrived)).await.is_err() || has_ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_carried_while_there_is_room_and_by_three_rendezvous_at_most() {
        let caller = |hops| Caller { client: None, hops };
        let mut pipes = Pipes::new(1);
        let mut opens = |connection, hops| pipes.open(connection, "http://127.0.0.1:1", String::new(), caller(hops));
        assert!(!opens(1, MAX_HOPS), "three carry the connection already");
        assert!(opens(2, MAX_HOPS - 1));
        assert!(!opens(3, 0), "no room");
        assert_eq!(pipes.tally(), Tally { piped: 1, refused: 2, open: 1, over_rate: 0 });
        assert!(!pipes.has(1) && pipes.has(2) && !pipes.has(3));
        assert!(pipes.send(2, Carried::Text("waits".to_owned())) && !pipes.send(3, Carried::Text("lost".to_owned())));
        // Nobody listens there.
        let (connection, arrived) = pipes.next().await;
        assert!(connection == 2 && matches!(arrived, Arrived::Ended));
        pipes.close(2);
        while pipes.tasks.join_next().await.is_some() {}
        assert!(pipes.open(4, "http://127.0.0.1:1", String::new(), caller(0)), "there is room again");
    }

    #[tokio::test]
    async fn an_address_gets_half_of_the_room() {
        let mut pipes = Pipes::new(4);
        let opens = |pipes: &mut Pipes, number, address: &str| {
            let caller = Caller { client: address.parse().ok(), hops: 0 };
            pipes.open(number, "http://127.0.0.1:1", String::new(), caller)
        };
        assert!(opens(&mut pipes, 1, "2001:db8::1") && opens(&mut pipes, 2, "2001:db8::2"));
        assert!(!opens(&mut pipes, 3, "2001:db8::3"), "the same network has two");
        assert!(opens(&mut pipes, 4, "2001:db8:0:1::1"));
        // Nobody listens there.
        for _ in 0..3 {
            assert!(matches!(pipes.next().await, (_, Arrived::Ended)));
        }
        assert!(opens(&mut pipes, 5, "2001:db8::1") && opens(&mut pipes, 6, "2001:db8::2"), "there is room again");
    }

    #[tokio::test]
    async fn an_address_has_no_more_bytes_carried_than_a_rendezvous_relays_for_it() {
        let mut pipes = Pipes::new(4);
        for (connection, address) in [(1, "192.0.2.1"), (2, "192.0.2.1"), (3, "192.0.2.2")] {
            let caller = Caller { client: address.parse().ok(), hops: 0 };
            assert!(pipes.open(connection, "http://127.0.0.1:1", String::new(), caller));
        }
        let burst = usize::try_from(ADDRESS_RELAY_BURST).expect("a size");
        assert!(pipes.may_relay(1, burst) && !pipes.may_relay(1, burst), "the burst, and not twice");
        assert!(!pipes.may_relay(2, burst), "another connection of the same address");
        assert!(pipes.may_relay(3, burst), "another address");
        assert_eq!(pipes.tally().over_rate, 2);
        assert!(pipes.send(1, Carried::Datagram(vec![0; burst])), "the connection stays, and the datagram is lost");
        assert_eq!(pipes.tally().over_rate, 3);
        let caller = Caller { client: None, hops: 0 };
        assert!(pipes.open(4, "http://127.0.0.1:1", String::new(), caller));
        assert!(!pipes.may_relay(4, burst), "for an unknown address, too, nothing is left of what all have");
    }
}
