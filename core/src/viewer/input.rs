//! What the person types and pastes.

use super::{Viewer, ViewerNotice};
use crate::role::Role;
use crate::time::Timestamp;

impl Viewer {
    pub(super) fn on_keys(&mut self, now: Timestamp, bytes: &[u8]) {
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
        self.keys_owed = true;
    }

    pub(super) fn on_paste(&mut self, now: Timestamp, bytes: Vec<u8>, first: bool, last: bool) {
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
}
