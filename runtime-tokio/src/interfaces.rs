//! When this machine's addresses change: told by the kernel on Linux (rtnetlink), looked up now and then elsewhere.

use std::future;
use std::time::Duration;

use tokio::time::Instant;

use crate::udp::at;

#[cfg(target_os = "linux")]
use {
    rustix::net::netlink::SocketAddrNetlink,
    rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with},
    std::os::fd::OwnedFd,
    tokio::io::unix::AsyncFd,
};

/// A change comes in several messages: an address goes, another comes, routes follow. Messages within this time are one
/// change.
const SETTLES_WITHIN: Duration = Duration::from_millis(100);

/// How often the addresses are looked up where the kernel reports no changes. A person who changes the network waits
/// about this long for the new address anyway.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Links, and addresses of both families, of `rtnetlink(7)`: `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`.
#[cfg(target_os = "linux")]
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Watches this machine's addresses. Needs a tokio runtime with I/O and time enabled.
pub(crate) struct Interfaces {
    #[cfg(target_os = "linux")]
    told: Option<AsyncFd<OwnedFd>>,
    /// When the addresses are looked up next.
    look_at: Option<Instant>,
}

impl Interfaces {
    /// Watches from now on.
    pub(crate) fn watch() -> Interfaces {
        #[cfg(target_os = "linux")]
        {
            let told = subscribe().and_then(crate::readable);
            let look_at = told.is_none().then(|| Instant::now() + LOOK_EVERY);
            Interfaces { told, look_at }
        }
        #[cfg(not(target_os = "linux"))]
        Interfaces { look_at: Some(Instant::now() + LOOK_EVERY) }
    }

    /// Waits until something may have changed. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            tokio::select! {
                () = at(self.look_at) => {
                    self.look_at = self.looks_by_itself().then(|| Instant::now() + LOOK_EVERY);
                    return;
                }
                () = self.told() => self.look_at = Some(Instant::now() + SETTLES_WITHIN),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn looks_by_itself(&self) -> bool {
        self.told.is_none()
    }

    #[cfg(not(target_os = "linux"))]
    fn looks_by_itself(&self) -> bool {
        true
    }

    #[cfg(target_os = "linux")]
    async fn told(&self) {
        let Some(told) = self.told.as_ref().filter(|_| self.look_at.is_none()) else { return future::pending().await };
        let mut message = [0; 4096];
        let Ok(mut ready) = told.readable().await else { return future::pending().await };
        // The content does not matter: any message, and a buffer that ran over, means that something changed.
        while let Ok(Ok(_)) = ready.try_io(|told| Ok(recv(told.get_ref(), &mut message[..], RecvFlags::empty())?)) {}
    }

    #[cfg(not(target_os = "linux"))]
    async fn told(&self) {
        future::pending().await
    }
}

#[cfg(target_os = "linux")]
fn subscribe() -> Option<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).ok()?;
    Some(socket)
}
