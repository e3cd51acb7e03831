//! Invariants of an endpoint. Debug builds check them after every input.

use serde::Serialize;

use super::lanes::MAX_WAITING;
use super::peers::{MAX_EARLY_CANDIDATES, MAX_REMOTES};
use super::signalling::MAX_EARLIER;
use super::state::{Confirming, Link, Live, Seal};
use super::{Endpoint, MAX_ROUTES};
use crate::id::LinkId;
use crate::peer::engine::{Engine, Peer};
use crate::session::link::{Attempt, LinkUser};
use crate::side::Side;
use crate::support::deadline_map::EXACT;

/// Most links of a viewer: the one that carried, and the one by which the viewer comes back.
const VIEWER_LINKS: usize = 2;

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// Checks all invariants, but none of links with more than [`EXACT`] of them: tests with so many measure what they
    /// cost.
    pub(super) fn check(&self) {
        let side = self.side();
        assert!(self.events.is_empty(), "the machine was told of every event");
        assert!(self.routes.len() <= MAX_ROUTES, "routes are bounded");
        self.gatherer.check();
        self.turn.check();
        match side {
            Side::Host => assert!(self.keys.earlier.len() <= MAX_EARLIER, "earlier secrets are bounded"),
            Side::Viewer => {
                assert!(self.keys.earlier.is_empty() && self.keys.kept.len() <= 1, "a viewer is one member");
                assert!(self.links.len() <= VIEWER_LINKS, "a viewer has few links");
                assert!(self.signal.beside.is_none(), "only a host goes from one rendezvous to another");
            }
        }
        if self.links.len() > EXACT {
            return;
        }
        self.links.values().for_each(|link| link.check(side));
        let leads = |id: &LinkId| self.links.get(id).is_some_and(|link| link.live.is_some());
        assert!(self.routes.values().all(leads), "every route leads to a peer");
    }
}

impl<P: Peer> Link<P> {
    fn check(&self, side: Side) {
        match side {
            Side::Host => {
                assert!(!matches!(self.seal, Seal::Sent { .. }), "a host says no hello");
                assert!(self.session.is_none(), "a host knows its sessions by its secrets");
            }
            Side::Viewer => assert!(!matches!(self.seal, Seal::Proved { .. }), "a viewer decides about nobody"),
        }
        match &self.seal {
            Seal::Open { channel, .. } => channel.check(),
            Seal::Nothing | Seal::Sent { .. } | Seal::Proved { .. } => {
                assert!(self.live.is_none(), "nobody has a peer before both sides have proved the key");
                assert!(self.remote.is_none(), "no description comes unsealed");
            }
        }
        assert!(self.early.len() <= MAX_EARLY_CANDIDATES, "early candidates are bounded");
        if let Some(live) = &self.live {
            live.check(self.remote.as_ref().map(|(attempt, _)| *attempt));
        }
    }
}

impl<P: Peer> Live<P> {
    /// `described` is the newest attempt that the other side has described.
    fn check(&self, described: Option<Attempt>) {
        let is_described = described.is_some_and(|attempt| attempt >= self.attempt);
        assert!(is_described || !self.state.is_accepted(), "only a peer that was described is accepted");
        if self.state.is_confirmed() {
            let done = self.state.confirming().is_some_and(Confirming::is_done);
            assert!(done && self.path.is_some(), "lanes open once both MACs hold, and a path carries");
        }
        if self.state.is_up() {
            assert!(self.control_open && self.inbox.is_empty(), "an open control lane holds nothing back");
        }
        assert!(self.inbox.len() <= MAX_WAITING && self.outbox.len() <= MAX_WAITING, "what waits is bounded");
        assert!(self.remotes <= MAX_REMOTES, "addresses of the other side are bounded");
        self.peer.check();
    }
}
