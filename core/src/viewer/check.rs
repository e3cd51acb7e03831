//! Invariants of a viewer. Debug builds check them after every input.

use super::{End, Viewer};
use crate::session::handshake::{Handshake, Stage};
use crate::terminal::MAX_CLIPBOARD;

impl Viewer {
    /// Checks all invariants.
    pub(super) fn check(&self) {
        let carrier = self.session.carrier.as_ref();
        if matches!(self.end, End::Over) {
            assert!(carrier.is_none(), "nothing carries after the exit");
            return;
        }
        self.join.handshake.check();
        self.input.lane.check();
        if let Some(carrier) = carrier {
            carrier.handshake.iter().for_each(Handshake::check);
            assert!(self.session.origin.is_some(), "a viewer whose link carries was a member on a first one");
            let is_old = carrier.link != self.join.link;
            assert_eq!(carrier.handshake.is_some(), is_old, "an old link keeps its own handshake for its return");
            assert!(!is_old || self.reconnect.is_away(), "only a viewer that is away tries another link");
            assert!(is_old || self.join.is_linked(), "a link carries once both sides are confirmed");
        } else {
            assert!(self.reconnect.expects_nothing(), "without a link nothing is unanswered or doubted");
        }
        if self.reconnect.is_away() {
            assert!(self.render.is_live(), "only a viewer that had a screen comes back by itself");
            assert!(!self.reconnect.is_doubted(), "a link that was given up is not doubted any more");
        }
        if self.join.crowd.is_some() {
            let is_outside = self.join.stage() < Stage::Authenticating || self.join.hops > 0;
            assert!(is_outside, "only a viewer that the rendezvous has not let in stands in a crowd");
        }
        if self.reconnect.rests() {
            assert_eq!(self.join.handshake.stage(), Stage::Live, "between two tries no handshake has a deadline");
        }
        assert!(self.session.clipboard.len() <= MAX_CLIPBOARD, "the clipboard is bounded");
    }
}
