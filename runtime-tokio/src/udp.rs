//! UDP sockets, one for each local address.
//!
//! A datagram's local destination address is part of what the path machine needs to know, and a socket bound to one
//! address is the portable way to learn it. Nothing here decides where a datagram goes.

use std::collections::HashSet;
use std::fmt;
use std::future::{self, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// Most addresses used of each family. Each costs a socket and multiplies the pairs that are checked; six cover a
/// laptop with cable, radio and a few tunnels.
pub const ADDRESSES_PER_FAMILY_MAX: usize = 6;

/// The receive buffer asked for, in bytes. The usual default of 208 KiB drops bursts (measured: a third of the
/// throughput); the system may give less.
pub const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Largest datagram: what UDP can carry, so nothing is ever cut short unnoticed.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Receive errors in a row after which a socket rests. ICMP errors come one for each datagram sent, so a few in a row
/// are normal; a socket that only errs would otherwise spin.
const ERRORS_IN_A_ROW_MAX: u32 = 16;

/// How long a socket that only errs rests.
const REST: Duration = Duration::from_millis(100);

/// A datagram that arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The sender.
    pub source: SocketAddr,
    /// The local address it came in on.
    pub destination: SocketAddr,
    /// Its payload, 0 to 65,507 bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Datagram {
    /// The length, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, bytes } = self;
        write!(f, "Datagram({source} to {destination}, {} bytes)", bytes.len())
    }
}

/// The local addresses worth offering to a peer, in a fixed order: interfaces that run before those that do not, then
/// by interface index, then by address. At most [`ADDRESSES_PER_FAMILY_MAX`] of each family, each once. Never
/// link-local.
///
/// With `loopback`, exactly `127.0.0.1` and `::1`: for two sides on one machine, and for tests.
#[must_use]
pub fn usable_addresses(loopback: bool) -> Vec<IpAddr> {
    if loopback {
        return vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    }
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => choose(
            interfaces
                .iter()
                .map(|interface| Found {
                    idle: !interface.is_oper_up(),
                    index: interface.index.unwrap_or(u32::MAX),
                    address: interface.ip(),
                })
                .collect(),
        ),
        Err(error) => {
            tracing::warn!(%error, "listing the network interfaces failed");
            Vec::new()
        }
    }
}

/// An address of an interface. The order of the fields is the order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    idle: bool,
    index: u32,
    address: IpAddr,
}

fn choose(mut found: Vec<Found>) -> Vec<IpAddr> {
    found.sort_unstable();
    let mut seen = HashSet::new();
    let (mut v4, mut v6) = (0, 0);
    found
        .into_iter()
        .map(|found| found.address)
        .filter(|address| is_usable(*address) && seen.insert(*address))
        .filter(|address| {
            let count = match address {
                IpAddr::V4(_) => &mut v4,
                IpAddr::V6(_) => &mut v6,
            };
            *count += 1;
            *count <= ADDRESSES_PER_FAMILY_MAX
        })
        .collect()
}

fn is_usable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// The bound sockets. Needs a tokio runtime with I/O and time enabled.
pub struct UdpSockets {
    sockets: Vec<Bound>,
    /// The socket that is asked first next time, so that a busy one cannot starve the others.
    turn: usize,
    buffer: Vec<u8>,
    dropped: AtomicU64,
}

struct Bound {
    /// Waited for only to read: the system would report after each datagram sent that another may be sent.
    socket: AsyncFd<UdpSocket>,
    local: SocketAddr,
    errors_in_a_row: u32,
    resting_until: Option<Instant>,
}

impl UdpSockets {
    /// Binds one socket to each address, on a port the system chooses. An address that cannot be bound is logged and
    /// left out.
    ///
    /// # Errors
    /// No address could be bound: the last failure, or `AddrNotAvailable` when there was none to bind.
    pub fn bind(addresses: &[IpAddr]) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(addresses.len());
        let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "no local network address");
        for address in addresses {
            match Bound::new(*address) {
                Ok(bound) => {
                    tracing::debug!(local = %bound.local, "UDP socket bound");
                    sockets.push(bound);
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "a local address cannot be bound");
                    failure = error;
                }
            }
        }
        if sockets.is_empty() {
            return Err(failure);
        }
        Ok(Self { sockets, turn: 0, buffer: vec![0; DATAGRAM_BYTES_MAX], dropped: AtomicU64::new(0) })
    }

    /// Keeps the sockets of these addresses, closes the others, and binds sockets for new addresses; returns whether
    /// anything changed. Afterwards there may be none.
    pub fn follow(&mut self, addresses: &[IpAddr]) -> bool {
        let before = self.local_addresses();
        self.sockets.retain(|bound| addresses.contains(&bound.local.ip()));
        for address in addresses {
            if self.sockets.iter().all(|bound| bound.local.ip() != *address) {
                match Bound::new(*address) {
                    Ok(bound) => self.sockets.push(bound),
                    Err(error) => tracing::debug!(%address, %error, "a local address cannot be bound"),
                }
            }
        }
        self.turn = 0;
        self.local_addresses() != before
    }

    /// The addresses bound, ports included, in the order they were given.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|bound| bound.local).collect()
    }

    /// Waits for the next datagram on any socket, taking turns between them. Cancel-safe. Receive errors (a peer's
    /// "port unreachable") are logged at trace and end nothing.
    pub async fn next(&mut self) -> Datagram {
        loop {
            let wake_at = self.sockets.iter().filter_map(|bound| bound.resting_until).min();
            tokio::select! {
                datagram = poll_fn(|context| self.poll_datagram(context)) => {
                    if let Some(datagram) = datagram {
                        return datagram;
                    }
                }
                () = at(wake_at), if wake_at.is_some() => self.wake_rested(),
            }
        }
    }

    /// Sends one datagram from the socket bound to `source`. The call never waits. If the buffer is full, the network
    /// is unreachable, or no socket has that address, the datagram is dropped and counted, as the network itself might
    /// drop it.
    pub fn send(&self, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        let sent = match self.sockets.iter().find(|bound| bound.local == source) {
            Some(bound) => bound.socket.get_ref().send_to(bytes, destination).map(|_| ()),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        if let Err(error) = sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::trace!(%source, %destination, bytes = bytes.len(), %error, "datagram dropped");
        }
    }

    /// How many datagrams [`UdpSockets::send`] has dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// `Ready(None)`: a socket went to rest, so there is a new deadline to wait for.
    fn poll_datagram(&mut self, context: &mut Context<'_>) -> Poll<Option<Datagram>> {
        let count = self.sockets.len();
        let first = self.turn;
        for index in (0..count).map(|offset| (first + offset) % count) {
            let bound = &mut self.sockets[index];
            if let Poll::Ready(datagram) = bound.poll_datagram(context, &mut self.buffer) {
                self.turn = (index + 1) % count;
                return Poll::Ready(datagram);
            }
        }
        Poll::Pending
    }

    fn wake_rested(&mut self) {
        let now = Instant::now();
        for bound in &mut self.sockets {
            if bound.resting_until.is_some_and(|until| until <= now) {
                bound.resting_until = None;
                bound.errors_in_a_row = 0;
            }
        }
    }
}

impl Bound {
    fn new(address: IpAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(SocketAddr::new(address, 0)), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
            tracing::debug!(%error, "the receive buffer stays at its default");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(address, 0).into())?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        let refused = || io::Error::other("the runtime does not watch the socket");
        let socket = crate::readable(socket).ok_or_else(refused)?;
        Ok(Self { socket, local, errors_in_a_row: 0, resting_until: None })
    }

    /// `Ready(None)`, once: the socket erred too often and rests until its deadline, pending meanwhile.
    fn poll_datagram(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Option<Datagram>> {
        if self.resting_until.is_some() {
            return Poll::Pending;
        }
        while self.errors_in_a_row < ERRORS_IN_A_ROW_MAX {
            let Poll::Ready(ready) = self.socket.poll_read_ready(context) else { return Poll::Pending };
            let received = ready.map(|mut ready| ready.try_io(|socket| socket.get_ref().recv_from(buffer)));
            match received {
                Ok(Ok(Ok((length, source)))) => {
                    self.errors_in_a_row = 0;
                    return Poll::Ready(Some(Datagram {
                        source,
                        destination: self.local,
                        bytes: buffer[..length].to_vec(),
                    }));
                }
                // Nothing more is there.
                Ok(Err(_)) => {}
                Ok(Ok(Err(error))) | Err(error) => {
                    self.errors_in_a_row += 1;
                    tracing::trace!(local = %self.local, %error, "receiving failed");
                }
            }
        }
        self.resting_until = Some(Instant::now() + REST);
        Poll::Ready(None)
    }
}

/// Waits for `deadline`; without one, for ever. Cancel-safe.
pub(crate) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tokio::time::timeout;

    /// No test needs longer; one that does has hung.
    const DEADLINE: Duration = Duration::from_secs(10);

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn bind(addresses: &[IpAddr]) -> UdpSockets {
        UdpSockets::bind(addresses).expect("loopback binds")
    }

    async fn next(sockets: &mut UdpSockets) -> Datagram {
        timeout(DEADLINE, sockets.next()).await.expect("a datagram within the deadline")
    }

    fn found(idle: bool, index: u32, address: &str) -> Found {
        Found { idle, index, address: address.parse().expect("an address") }
    }

    #[test]
    fn loopback_is_offered_only_when_asked_for() {
        let loopback = usable_addresses(true);
        let others = usable_addresses(false);

        assert_eq!(loopback, [V4, IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert!(others.iter().all(|address| is_usable(*address)));
    }

    #[test]
    fn addresses_are_usable_unique_bounded_and_in_a_fixed_order() {
        let mut all = vec![
            found(true, 1, "192.0.2.9"),
            found(false, 3, "192.0.2.3"),
            found(false, 2, "192.0.2.2"),
            found(false, 4, "192.0.2.2"),
            found(false, 2, "fe80::1"),
            found(false, 2, "169.254.1.1"),
            found(false, 1, "127.0.0.1"),
            found(false, 1, "::1"),
            found(false, 2, "0.0.0.0"),
            found(false, 2, "224.0.0.1"),
            found(false, 2, "fd00::2"),
        ];

        assert_eq!(
            choose(all.clone()).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["192.0.2.2", "fd00::2", "192.0.2.3", "192.0.2.9"]
        );

        all.extend((0..20).map(|index| found(false, index, &format!("198.51.100.{index}"))));
        let chosen = choose(all);
        assert_eq!(chosen.iter().filter(|address| address.is_ipv4()).count(), ADDRESSES_PER_FAMILY_MAX);
        assert!(chosen.iter().any(IpAddr::is_ipv6));
    }

    #[tokio::test]
    async fn the_first_packet_of_a_fresh_socket_arrives_with_both_addresses() {
        let sender = bind(&[V4]);
        let mut receiver = bind(&[V4]);
        let (source, destination) = (sender.local_addresses()[0], receiver.local_addresses()[0]);

        sender.send(source, destination, b"first");

        let datagram = next(&mut receiver).await;
        assert_eq!((datagram.source, datagram.destination), (source, destination));
        assert_eq!(datagram.bytes, b"first");
        assert_eq!(sender.dropped(), 0);
    }

    #[tokio::test]
    async fn a_busy_socket_does_not_starve_the_others() {
        let sender = bind(&[V4]);
        let source = sender.local_addresses()[0];
        let mut receiver = bind(&[V4, V4, V4]);
        let destinations = receiver.local_addresses();
        for _ in 0..50 {
            sender.send(source, destinations[0], b"noise");
        }
        sender.send(source, destinations[1], b"one");
        sender.send(source, destinations[2], b"two");

        let mut places: HashMap<SocketAddr, usize> = HashMap::new();
        for place in 0..52 {
            places.insert(next(&mut receiver).await.destination, place);
        }

        assert!(places[&destinations[1]] < 10, "{places:?}");
        assert!(places[&destinations[2]] < 10, "{places:?}");
    }

    #[tokio::test]
    async fn a_refused_packet_ends_nothing() {
        let gone = bind(&[V4]).local_addresses()[0];
        let mut sockets = bind(&[V4]);
        let local = sockets.local_addresses()[0];
        for _ in 0..100 {
            sockets.send(local, gone, b"nobody home");
        }

        sockets.send(local, local, b"still here");

        assert_eq!(next(&mut sockets).await.bytes, b"still here");
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_dropped_and_counted() {
        let sockets = bind(&[V4]);
        let local = sockets.local_addresses()[0];

        sockets.send("192.0.2.1:9".parse().expect("an address"), local, b"not ours");
        sockets.send(local, local, &vec![0; 70_000]);

        assert_eq!(sockets.dropped(), 2);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_bound_is_left_out() {
        let foreign: IpAddr = "192.0.2.1".parse().expect("an address");

        assert_eq!(bind(&[foreign, V4]).local_addresses().len(), 1);
        assert!(UdpSockets::bind(&[foreign]).is_err());
        assert!(UdpSockets::bind(&[]).is_err());
    }

    /// The events that this process has the kernel report of a file, as epoll numbers them.
    #[cfg(target_os = "linux")]
    fn events_of(file: i32) -> Vec<u32> {
        let told = |line: &str| {
            let mut words = line.strip_prefix("tfd:")?.split_whitespace();
            let is_it = words.next()?.parse() == Ok(file) && words.next() == Some("events:");
            is_it.then(|| u32::from_str_radix(words.next()?, 16).ok()).flatten()
        };
        let all = std::fs::read_dir("/proc/self/fdinfo").expect("there is /proc");
        let all = all.flatten().filter_map(|info| std::fs::read_to_string(info.path()).ok());
        all.flat_map(|info| info.lines().filter_map(told).collect::<Vec<_>>()).collect()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_reports_what_comes_and_not_that_more_may_be_sent() {
        use std::os::fd::AsRawFd;
        let sockets = bind(&[V4]);
        let events = events_of(sockets.sockets[0].socket.as_raw_fd());
        let [readable, writable] = [1, 4];
        assert!(!events.is_empty() && events.iter().all(|events| events & readable != 0 && events & writable == 0));
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let sender = bind(&[V4]);
        let source = sender.local_addresses()[0];
        let mut receiver = bind(&[V4]);
        let destination = receiver.local_addresses()[0];

        for number in 0..20u8 {
            assert!(timeout(Duration::ZERO, receiver.next()).await.is_err());
            sender.send(source, destination, &[number]);
            assert_eq!(next(&mut receiver).await.bytes, [number]);
        }
    }
}
