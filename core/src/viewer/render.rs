//! The own terminal: when the screen is painted onto it.

use std::time::Duration;

use super::{Viewer, ViewerOutput};
use crate::time::{Timestamp, earliest};

/// A frame whose lines are not all there is painted as it is after this long: half a screen refresh is not seen.
const INCOMPLETE_AT_MOST: Duration = Duration::from_millis(8);

impl Viewer {
    /// Something of the screen changed.
    pub(super) fn screen_changed(&mut self, now: Timestamp) {
        if self.screen.complete() {
            self.paint_from = Some(now);
        } else if self.paint_from.is_none() {
            self.paint_from = Some(now + INCOMPLETE_AT_MOST);
        }
    }

    /// A screen or its deadline came: what was predicted turns out right, wrong, or open.
    pub(super) fn judge_predictions(&mut self, now: Timestamp) {
        let (taken, round_trip) = (self.lane.typed.taken(), self.lane.round_trip());
        self.predictor.on_screen(now, &self.screen, taken, round_trip);
        self.overlay_changed(now);
    }

    /// Paints at once if local echo shows something else now.
    pub(super) fn overlay_changed(&mut self, now: Timestamp) {
        let overlay = self.predictor.overlay();
        if overlay != self.overlay {
            self.overlay = overlay;
            self.paint_from = Some(now);
        }
    }

    /// Paints what is due, once the terminal took what was painted last.
    pub(super) fn pump_show(&mut self, now: Timestamp) {
        if self.show_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.paint_from = None;
        let mut bytes = std::mem::take(&mut self.unshown);
        if !std::mem::replace(&mut self.started, true) {
            self.painter.start(&mut bytes);
        }
        // The time of a remark begins with its first paint, and nothing is painted while the terminal is asked.
        if !self.painter.is_asking(now) {
            self.painter.banner(self.notices.rows(now, self.config.size));
        }
        self.painter.paint(now, &mut self.screen, &self.overlay, &mut bytes);
        (0..self.painter.take_asks()).for_each(|_| self.out.push_back(ViewerOutput::CursorAsked));
        if !bytes.is_empty() {
            self.showing = true;
            self.out.push_back(ViewerOutput::Show(bytes));
        }
    }

    /// Whether the terminal shows all there is, or nobody looks.
    pub(super) fn is_shown(&self) -> bool {
        let idle = !self.showing && self.paint_from.is_none() && self.painter.deadline().is_none();
        !self.was_live || idle
    }

    /// When there is something to paint.
    pub(super) fn show_deadline(&self) -> Option<Timestamp> {
        let may = self.was_live && !self.showing;
        let later = self.started.then(|| self.painter.deadline()).flatten();
        may.then(|| earliest(self.paint_from, later)).flatten()
    }
}
