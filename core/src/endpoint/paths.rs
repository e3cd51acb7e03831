//! The paths of a link: where its datagrams go, which of them are copied to the relay, and which paths rest.
//!
//! While the direct path in use is steady, this side checks no other path: neither its other addresses nor the relay.
//! At the first doubt, of either side, all paths are checked again; meanwhile copies through the relay carry the link.

use std::net::SocketAddr;

use serde::Serialize;

use crate::ice::path_monitor::{is_answer, is_check};
use crate::ice::relay::{self, Relayed};
use crate::id::LinkId;
use crate::peer::engine::{Engine, Peer};
use crate::session::link::{Event, LinkUser, Path, PathKind};
use crate::time::Timestamp;

use super::note::Step;
use super::state::Live;
use super::{Endpoint, Output};

/// Whether a datagram is one of a lane. RFC 7983: STUN begins with 0 to 3, DTLS with 20 to 63, RTP with 128 to 191.
fn is_of_a_lane(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first >= 20)
}

/// So many of the first records of the control lane go twice: the SCTP handshake, the first messages, and their
/// acknowledgements. SCTP waits three seconds before it repeats one of these (RFC 4960, 15), since it knows no round
/// trip yet, and the engine has no setting for that time. DTLS drops the second copy (RFC 6347, 4.1.2.6).
const DOUBLED: u8 = 8;

/// Whether a datagram is a DTLS record of application data (RFC 6347, 4.1), which the control lane's are.
fn is_control_record(bytes: &[u8]) -> bool {
    bytes.first() == Some(&23)
}

impl<P: Peer> Live<P> {
    /// A datagram came directly, from the second of two addresses to the first; `relay` stands for our end at the
    /// rendezvous.
    pub(super) fn on_direct(
        &mut self,
        now: Timestamp,
        ends: (SocketAddr, SocketAddr),
        relay: SocketAddr,
        bytes: &[u8],
    ) {
        let in_use = self.path.filter(|path| (path.local, path.remote) == ends);
        if is_of_a_lane(bytes) {
            if in_use.is_some() && self.detours.copies {
                self.watch.heard_in_use();
            } else {
                self.watch.heard();
            }
            if in_use.is_none() {
                self.disturbed(now);
            }
        } else if is_answer(bytes) && in_use.is_some() {
            self.watch.answered();
            let is_direct = in_use.is_some_and(|path| path.kind == PathKind::Direct);
            if is_direct && self.state.is_up() && self.watch.rests(now) {
                self.peer.rest(now, ends.0, relay);
            }
        }
    }

    /// The path in use is in doubt, or has changed: all paths are checked again.
    pub(super) fn disturbed(&mut self, now: Timestamp) {
        if self.watch.disturbed(now) {
            self.peer.wake(now);
        }
    }

    /// All direct paths of this link must answer again before they are used. A path through TURN that is in use stays.
    pub(super) fn renew(&mut self, now: Timestamp) {
        self.disturbed(now);
        let stays = self.path.filter(|path| path.kind == PathKind::Turn).map(|path| path.local);
        self.peer.renew(now, stays);
    }
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// The rendezvous carried a datagram. Its header names the link. The engine is not asked whether it accepts the
    /// datagram, since it accepts some only after it knows their path.
    pub(super) fn on_relayed(&mut self, now: Timestamp, bytes: &[u8]) {
        let Ok(Relayed { link: id, attempt, suspect, needed, datagram }) = Relayed::decode(bytes) else { return };
        let ends = [self.side().other(), self.side()].map(|side| relay::address(id, side));
        let Some(link) = self.links.get_mut(&id).filter(|link| link.relay) else { return };
        let Some(live) = link.live.as_mut().filter(|live| live.attempt == attempt && live.state.is_accepted()) else {
            return;
        };
        live.heard_at = now;
        live.round_trips.received(now, datagram);
        if suspect {
            live.watch.doubted(now);
        }
        if suspect || needed || is_of_a_lane(datagram) {
            live.disturbed(now);
        }
        self.tell_arrival(now, id, (ends[1], ends[0]), datagram);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if let Err(down) = live.peer.receive(now, ends[0], ends[1], datagram) {
            self.events.push_back(Event::Down(id, attempt, down));
        }
        self.drain(now, id);
    }

    /// An engine with sockets of its own names the path.
    pub(super) fn on_path(&mut self, now: Timestamp, id: LinkId, path: Path) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let before = live.path.replace(path);
        if live.state.is_confirmed() && before != Some(path) {
            self.events.push_back(Event::Path(id, live.attempt, path));
        }
        self.tell(now, Some(id), || Step::PathUsed(path));
    }

    pub(super) fn transmit(
        &mut self,
        now: Timestamp,
        id: LinkId,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        // The engine pairs all addresses of a family; between the relay and the network there is nothing.
        if relay::is_relayed(source) != relay::is_relayed(destination) {
            return;
        }
        let turned = self.turn.relayed().any(|relayed| relayed == source);
        let kind = if relay::is_relayed(destination) {
            PathKind::Relay
        } else if turned || live.detours.turned.contains(&destination) {
            PathKind::Turn
        } else {
            PathKind::Direct
        };
        let path = Path { local: source, remote: destination, kind };
        self.tell_transmit(now, id, path, &bytes);
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let of_a_lane = is_of_a_lane(&bytes);
        if of_a_lane {
            let before = live.path.replace(path);
            if live.state.is_confirmed() && before.is_some_and(|before| before.kind != path.kind) {
                self.events.push_back(Event::Path(id, live.attempt, path));
            }
            if before != Some(path) {
                live.disturbed(now);
            }
        }
        live.round_trips.sent(now, &bytes);
        live.watch.measured(live.round_trips.latest());
        // While only one side goes through the relay, the other has to prove the direct path anew as well: the host's
        // engine names it. The engine may go on for a while on an address that is gone.
        let relayed = kind == PathKind::Relay;
        let gone = !relayed && !turned && !self.sockets.addresses.contains(&source);
        let doubtful = gone || live.watch.suspects(now);
        let suspect = of_a_lane && (doubtful || (relayed && live.detours.copies));
        let needed = relayed && (doubtful || live.is_detour());
        if doubtful || live.is_detour() {
            live.disturbed(now);
        }
        let copied = of_a_lane && live.detours.copies && (suspect || live.watch.is_doubted(now) || !live.state.is_up());
        if (copied || relayed) && self.signal.is_up {
            let relayed = Relayed { link: id, attempt: live.attempt, suspect, needed, datagram: &bytes };
            self.out.push_back(Output::Relay(relayed.encode()));
        }
        if !relayed {
            let opens_control = live.doubled < DOUBLED && is_control_record(&bytes);
            live.doubled += u8::from(opens_control);
            if of_a_lane {
                live.watch.sent(now);
            } else if is_check(&bytes) && live.path == Some(path) {
                live.watch.checked(now);
            }
            if turned {
                self.turn.send(now, source, destination, &bytes, of_a_lane);
            } else {
                if opens_control {
                    self.out.push_back(Output::Datagram { source, destination, bytes: bytes.clone() });
                }
                self.out.push_back(Output::Datagram { source, destination, bytes });
            }
        }
    }
}
