//! What the person types and pastes.

use super::{Viewer, ViewerNotice};
use crate::role::Role;
use crate::time::Timestamp;

impl Viewer {
    pub(super) fn on_keys(&mut self, now: Timestamp, bytes: &[u8]) {
        self.keys_owed = true;
        if self.role() == Role::View {
            self.notice(ViewerNotice::ReadOnly);
        } else {
            self.painter.follow();
            if self.lane.typed.push(bytes) > 0 {
                self.notice(ViewerNotice::Overflow);
            }
            self.predictor.typed(now, bytes, self.lane.typed.newest(), &self.screen);
            self.overlay_changed(now);
        }
    }

    pub(super) fn on_paste(&mut self, now: Timestamp, bytes: Vec<u8>, first: bool, last: bool) {
        self.turn_page(now);
        if self.role() == Role::View {
            self.notice(ViewerNotice::ReadOnly);
        } else {
            self.painter.follow();
            if !self.lane.typed.paste(bytes, first, last) {
                self.notice(ViewerNotice::Overflow);
            }
            self.predictor.pasted(self.lane.typed.newest());
            self.overlay_changed(now);
        }
        self.keys_owed = true;
    }

    /// The next part of the page over the screen, if there is a page.
    pub(super) fn turn_page(&mut self, now: Timestamp) {
        if self.notices.key(self.config.size) {
            self.paint_from = Some(now);
        }
    }
}
