//! The service manager that started this process, such as systemd: what it wants to be told, and the sockets that it
//! opened.
//!
//! Without a service manager the environment says nothing of one, and all of this does nothing.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// This process serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// This process reads its files again; [`ready`] says when they are read.
pub fn reloading() {
    // The time is what tells this reload from an earlier one (sd_notify(3)).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager cannot be told"),
    }
}

/// Whether a service manager wants to be told how this process is.
#[must_use]
pub fn is_managed() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// This process is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// This process works.
pub fn works() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// How often the service manager wants to hear that this process works: twice as often as it must, or not at all.
#[must_use]
pub fn beat() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 2).filter(|every| !every.is_zero())
}

/// Sockets that the service manager opened for this process.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For connections.
    pub listener: Option<TcpListener>,
    /// For STUN.
    pub udp: Option<UdpSocket>,
}

/// The sockets that the service manager opened, the first of each kind; others are closed. To be called once.
#[must_use]
pub fn sockets() -> Sockets {
    let mut sockets = Sockets::default();
    let mut passed = ListenFd::from_env();
    for number in 0..passed.len() {
        match passed.take_tcp_listener(number) {
            Ok(Some(listener)) if sockets.listener.is_none() => {
                sockets.listener = Some(listener);
                continue;
            }
            Ok(Some(listener)) => {
                unused(listener.local_addr().ok());
                continue;
            }
            Ok(None) => continue,
            // No TCP socket.
            Err(_) => {}
        }
        match passed.take_udp_socket(number) {
            Ok(Some(socket)) if sockets.udp.is_none() => sockets.udp = Some(socket),
            Ok(Some(socket)) => unused(socket.local_addr().ok()),
            Ok(None) | Err(_) => unused(None),
        }
    }
    sockets
}

fn unused(address: Option<SocketAddr>) {
    tracing::warn!(?address, "a socket of the service manager is not used");
}
