//! Typing and pastes of the person.

use super::{Viewer, ViewerNotice, ViewerOutput};
use crate::role::Role;
use crate::sync::uplink::Uplink;
use crate::time::Timestamp;

/// The way of the input to the host.
#[derive(Default)]
pub(super) struct Input {
    pub(super) lane: Uplink,
    /// Keys came, and the next may not come yet.
    keys_owed: bool,
}

impl Input {
    /// Whether the next keys may come now, and could not before. Without a working link keys are still read: one may be
    /// the escape that leaves.
    fn takes_more(&mut self, is_away: bool) -> bool {
        let takes = self.keys_owed && (self.lane.typed.has_room() || is_away);
        self.keys_owed &= !takes;
        takes
    }
}

impl Viewer {
    pub(super) fn on_keys(&mut self, now: Timestamp, bytes: &[u8]) {
        self.input.keys_owed = true;
        if self.role() == Role::View {
            self.notice(ViewerNotice::ReadOnly);
        } else {
            self.render.painter.follow();
            if self.input.lane.typed.push(bytes) > 0 {
                self.notice(ViewerNotice::Overflow);
            }
            self.render.typed(now, bytes, self.input.lane.typed.newest());
        }
    }

    pub(super) fn on_paste(&mut self, now: Timestamp, bytes: Vec<u8>, first: bool, last: bool) {
        self.input.keys_owed = true;
        self.turn_page(now);
        if self.role() == Role::View {
            self.notice(ViewerNotice::ReadOnly);
        } else {
            self.render.painter.follow();
            if !self.input.lane.typed.paste(bytes, first, last) {
                self.notice(ViewerNotice::Overflow);
            }
            self.render.pasted(now, self.input.lane.typed.newest());
        }
    }

    /// The next part of the page over the screen, if there is a page.
    pub(super) fn turn_page(&mut self, now: Timestamp) {
        if self.render.notices.key(self.render.size()) {
            self.render.repaint(now);
        }
    }

    /// Asks for the next keys.
    pub(super) fn pump_keys(&mut self) {
        if self.input.takes_more(self.reconnect.is_away()) {
            self.out.push_back(ViewerOutput::KeysTaken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_keys_are_asked_for_once_and_only_after_keys() {
        let mut input = Input::default();
        assert!(!input.takes_more(false));
        input.keys_owed = true;
        assert!(input.takes_more(false));
        assert!(!input.takes_more(false));
    }

    #[test]
    fn keys_that_have_no_room_hold_the_next_back_unless_the_viewer_is_away() {
        let mut input = Input::default();
        while input.lane.typed.has_room() {
            assert_eq!(input.lane.typed.push(&[b'x'; 1_000]), 0);
        }
        input.keys_owed = true;
        assert!(!input.takes_more(false));
        assert!(input.takes_more(true));
    }
}
