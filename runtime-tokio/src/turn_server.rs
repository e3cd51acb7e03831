//! The sockets of a TURN server, and the loop around its machine.

mod relays;
mod streams;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use beach_core::machine::Machine as _;
use beach_core::time::Timestamp;
use beach_core::turn_server::stream::MAX_MESSAGE;
use beach_core::turn_server::{Client, Peers, Present, Tally, TurnConfig, TurnInput, TurnOutput, TurnServer, Via};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use zeroize::Zeroizing;

use self::relays::Relays;
use self::streams::Streams;
use crate::drive::{Surroundings, drive};
use crate::interfaces::Interfaces;
use crate::limits;
use crate::tls::InUse;
use crate::udp::RECEIVE_BUFFER_BYTES;

/// Events of connections and relays that the server has not asked for yet. Each has at most one that waits for room, so
/// none keeps others out.
const EVENTS_MAX: usize = 64;

/// The server is told the time of day this often: a system's clock may be set.
const TIME_OF_DAY_EVERY: Duration = Duration::from_secs(10);

/// Ports for relays that RFC 8656 suggests (section 7.2): those that no service has.
pub const DEFAULT_PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// The settings of a server.
pub struct TurnOptions {
    /// Clients and peers reach the server at these addresses, one a family at most.
    pub external: Vec<IpAddr>,
    /// The ports of the relays.
    pub ports: RangeInclusive<u16>,
    /// To whom the server relays.
    pub peers: Peers,
    /// Credentials are made from this.
    pub secret: Zeroizing<String>,
    /// The server speaks TLS too, on the TCP port, with this certificate.
    pub certificate: Option<InUse>,
}

/// A TURN server that listens. Needs a tokio runtime with I/O and time enabled.
pub struct TurnPost {
    machine: TurnServer,
    sockets: Sockets,
    local: SocketAddr,
}

/// How a TURN server is, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnCondition {
    /// The deeds of the server.
    pub done: Tally,
    /// The server's present allocations, users and connections.
    pub present: Present,
}

/// The newest condition of a server that runs beside the loop which is asked for it.
pub(crate) type Shown = Arc<Mutex<TurnCondition>>;

impl TurnPost {
    /// Listens on this address, over UDP and TCP; port 0 lets the system choose one that both have.
    ///
    /// # Errors
    /// The address is taken, not ours, or not allowed.
    pub async fn bind(address: SocketAddr, options: TurnOptions) -> io::Result<TurnPost> {
        let udp = udp_socket(address)?;
        let local = udp.get_ref().local_addr()?;
        let listener = TcpListener::bind(local).await?;
        let TurnOptions { external, ports, peers, secret, certificate } = options;
        let own = own_addresses()?;
        let allocations_max = limits::turn_allocations();
        let config = TurnConfig { secret, external, own, peers, allocations_max, seed: crate::seed() };
        let (report, reports) = mpsc::channel(EVENTS_MAX);
        let mut clock = interval(TIME_OF_DAY_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let relays = Relays::new(local.ip(), ports, report.clone());
        let streams = Streams::new(listener, report, certificate);
        let (interfaces, shown, buffer) = (Interfaces::watch(), Shown::default(), vec![0; MAX_MESSAGE + 1]);
        let sockets = Sockets { udp, relays, streams, reports, clock, interfaces, shown, buffer };
        let mut machine = TurnServer::new(config);
        // Before the first client comes.
        machine.handle(Timestamp::ZERO, time_of_day());
        Ok(TurnPost { machine, sockets, local })
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where the server's condition is, from its first event on.
    pub(crate) fn shown(&self) -> Shown {
        self.sockets.shown.clone()
    }

    /// Serves for ever.
    pub(crate) async fn run(&mut self) -> Infallible {
        drive(&mut self.machine, Instant::now(), &mut self.sockets).await
    }
}

/// All addresses of this machine.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect())
}

fn time_of_day() -> TurnInput {
    TurnInput::TimeOfDay(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs())
}

/// A UDP socket that does not block. One for `[::]` takes IPv4 too.
fn udp_socket(address: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
        tracing::debug!(%error, "the receive buffer stays at its default");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    watched(socket.into())
}

fn watched(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    crate::readable(socket).ok_or_else(|| io::Error::other("the runtime does not watch the socket"))
}

/// The next datagram, of at most the buffer's length. Cancel-safe. An error of an earlier datagram sent counts as none.
async fn receive(socket: &AsyncFd<UdpSocket>, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
    let Ok(mut ready) = socket.readable().await else { return std::future::pending().await };
    let (length, from) = ready.try_io(|socket| socket.get_ref().recv_from(buffer)).ok()?.ok()?;
    Some((canonical(from), length))
}

/// A socket for both families sees IPv4 addresses inside IPv6 ones.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Everything around the machine.
struct Sockets {
    udp: AsyncFd<UdpSocket>,
    relays: Relays,
    streams: Streams,
    reports: mpsc::Receiver<TurnInput>,
    clock: Interval,
    interfaces: Interfaces,
    shown: Shown,
    buffer: Vec<u8>,
}

impl Sockets {
    /// Never waits: what the system has no room for is dropped, as the network might drop it.
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let to = match (to.ip(), self.udp.get_ref().local_addr()) {
            (IpAddr::V4(v4), Ok(SocketAddr::V6(_))) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        if let Err(error) = self.udp.get_ref().send_to(bytes, to) {
            tracing::trace!(%to, %error, "a datagram to a TURN client was dropped");
        }
    }
}

impl Surroundings<TurnServer> for Sockets {
    type End = Infallible;

    fn perform(&mut self, output: TurnOutput) -> ControlFlow<Infallible> {
        match output {
            TurnOutput::Answer(Client { via: Via::Udp, address }, bytes)
            | TurnOutput::Data(Client { via: Via::Udp, address }, bytes) => self.send(address, &bytes),
            TurnOutput::Answer(Client { via: Via::Stream(id), .. }, bytes) => self.streams.answer(id, bytes),
            TurnOutput::Data(Client { via: Via::Stream(id), .. }, bytes) => self.streams.data(id, bytes),
            TurnOutput::Bind(relay, ip, port) => self.relays.bind(relay, ip, port),
            TurnOutput::ToPeer(relay, to, bytes) => self.relays.send(relay, to, &bytes),
            TurnOutput::Unbind(relay) => self.relays.close(relay),
            TurnOutput::Close(id) => self.streams.close(id),
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, machine: &mut TurnServer) -> ControlFlow<Infallible> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = TurnCondition { done: machine.tally(), present: machine.present() };
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> TurnInput {
        loop {
            if let Some((relay, port)) = self.relays.bound() {
                return TurnInput::Bound(relay, port);
            }
            tokio::select! {
                _ = self.clock.tick() => return time_of_day(),
                () = self.interfaces.changed() => match own_addresses() {
                    Ok(own) => return TurnInput::Own(own),
                    Err(error) => tracing::warn!(%error, "this machine's addresses cannot be read"),
                },
                received = receive(&self.udp, &mut self.buffer) => {
                    if let Some((address, length)) = received {
                        let client = Client { via: Via::Udp, address };
                        return TurnInput::FromClient(client, self.buffer[..length].to_vec());
                    }
                }
                Some(report) = self.reports.recv() => {
                    if let TurnInput::Closed(id) = report {
                        self.streams.close(id);
                    }
                    return report;
                }
                opened = self.streams.accept() => {
                    let (id, from) = opened;
                    return TurnInput::Opened(id, from);
                }
            }
        }
    }
}
