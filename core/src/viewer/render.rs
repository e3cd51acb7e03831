//! The own terminal: the copy of the host's screen, the texts over it, and the times of painting.

use std::time::Duration;

use super::api::ViewerConfig;
use super::notices::Notices;
use super::{Viewer, ViewerOutput};
use crate::predict::{Mode, Predictor};
use crate::sync::assemble::Assembler;
use crate::terminal::{Overlay, Painter, Screen, Size};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::Down;

/// A frame with missing lines is painted as it is after this long: a quarter of a refresh of the screen. On a path that
/// loses datagrams every echo beside other output waits for it.
const INCOMPLETE_AT_MOST: Duration = Duration::from_millis(4);

/// How far the own terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There was no whole screen yet: the terminal is the person's.
    Before,
    /// There was a whole screen, and nothing is painted yet.
    Ready,
    /// The terminal took what was painted last.
    Idle,
    /// The terminal has to take what was painted.
    Busy,
}

/// The content of the person's terminal, now and next.
pub(super) struct Render {
    pub(super) screen: Screen,
    assembler: Assembler,
    pub(super) painter: Painter,
    predictor: Predictor,
    /// Local echo over the screen.
    overlay: Overlay,
    pub(super) notices: Notices,
    phase: Phase,
    paint_from: Option<Timestamp>,
    /// Bytes for the person's terminal before the next frame.
    unshown: Vec<u8>,
}

impl Render {
    pub(super) fn new(config: &ViewerConfig) -> Render {
        Render {
            screen: Screen::new(config.history as usize),
            assembler: Assembler::default(),
            painter: Painter::new(config.size, config.options),
            predictor: Predictor::new(config.predict),
            overlay: Overlay::default(),
            notices: Notices::default(),
            phase: Phase::Before,
            paint_from: None,
            unshown: Vec::new(),
        }
    }

    /// Whether there was a whole screen.
    pub(super) fn is_live(&self) -> bool {
        self.phase != Phase::Before
    }

    /// The first screen is whole.
    pub(super) fn begin(&mut self) {
        debug_assert!(!self.is_live(), "there is one first screen");
        self.phase = Phase::Ready;
    }

    /// Something is to be painted now.
    pub(super) fn repaint(&mut self, now: Timestamp) {
        self.paint_from = Some(now);
    }

    /// Takes the lines and the head of a datagram; whether there were any.
    pub(super) fn merge(&mut self, down: Down) -> bool {
        let news = down.screen.is_some() || !down.segments.is_empty();
        for segment in down.segments {
            let (space, number, version) = (segment.space, segment.number, segment.version);
            if let Some((line, is_final)) = self.assembler.add(segment) {
                self.screen.merge_line(space, number, version, is_final, line);
            }
        }
        if let Some((head, commits)) = down.screen {
            self.screen.merge_head(head);
            self.screen.merge_commits(&commits);
        }
        news
    }

    /// Something of the screen changed.
    pub(super) fn screen_changed(&mut self, now: Timestamp) {
        if self.screen.complete() {
            self.paint_from = Some(now);
        } else if self.paint_from.is_none() {
            self.paint_from = Some(now + INCOMPLETE_AT_MOST);
        }
    }

    /// The person typed `bytes`, the last of them in that event.
    pub(super) fn typed(&mut self, now: Timestamp, bytes: &[u8], event: u64) {
        self.predictor.typed(now, bytes, event, &self.screen);
        self.overlay_changed(now);
    }

    /// The person pasted something, the last of which is in that event.
    pub(super) fn pasted(&mut self, now: Timestamp, event: u64) {
        self.predictor.pasted(event);
        self.overlay_changed(now);
    }

    /// A screen or its deadline came: each prediction turns out right, wrong, or open.
    pub(super) fn judge(&mut self, now: Timestamp, taken: u64, round_trip: Option<Duration>) {
        self.predictor.on_screen(now, &self.screen, taken, round_trip);
        self.overlay_changed(now);
    }

    /// Earlier typing is not expected on the screen any more.
    pub(super) fn forget_predictions(&mut self, now: Timestamp, mode: Mode) {
        self.predictor = Predictor::new(mode);
        self.overlay_changed(now);
    }

    /// When predictions are judged although no screen came.
    pub(super) fn judge_at(&self) -> Option<Timestamp> {
        self.predictor.deadline()
    }

    /// Paints at once if local echo shows something else now.
    fn overlay_changed(&mut self, now: Timestamp) {
        let overlay = self.predictor.overlay();
        if overlay != self.overlay {
            self.overlay = overlay;
            self.paint_from = Some(now);
        }
    }

    pub(super) fn titled(&mut self, now: Timestamp, title: &str) {
        self.painter.title(title);
        self.paint_from = self.paint_from.or(Some(now));
    }

    pub(super) fn cursor_report(&mut self, now: Timestamp, row: u16, col: u16) {
        self.painter.cursor_report(row, col, &mut self.unshown);
        self.paint_from = Some(now);
    }

    pub(super) fn resize(&mut self, now: Timestamp, size: Size) {
        self.painter.resize(now, size, &mut self.unshown);
        self.paint_from = self.paint_from.or(Some(now));
    }

    /// The terminal took what was shown.
    pub(super) fn shown(&mut self) {
        if self.phase == Phase::Busy {
            self.phase = Phase::Idle;
        }
    }

    /// The person leaves: nothing is painted that was not due before, and the terminal is not waited for.
    pub(super) fn leave(&mut self) {
        self.paint_from = None;
        self.shown();
    }

    /// The size of the own terminal.
    pub(super) fn size(&self) -> Size {
        self.painter.size()
    }

    /// The size that the terminal must get before the next paint, which expects that size.
    fn follow(&mut self, now: Timestamp) -> Option<Size> {
        let size = self.painter.wanted_size(&self.screen)?;
        self.painter.resize(now, size, &mut self.unshown);
        Some(size)
    }

    /// Paints onto the terminal, which took what was painted last.
    fn paint(&mut self, now: Timestamp) -> Vec<u8> {
        self.paint_from = None;
        let size = self.size();
        let mut bytes = std::mem::take(&mut self.unshown);
        if self.phase == Phase::Ready {
            self.painter.start(&mut bytes);
        }
        // The time of a remark begins with its first paint, and nothing is painted while the terminal is asked.
        if !self.painter.is_asking(now) {
            self.painter.banner(self.notices.rows(now, size));
        }
        self.painter.paint(now, &mut self.screen, &self.overlay, &mut bytes);
        self.phase = if bytes.is_empty() { Phase::Idle } else { Phase::Busy };
        bytes
    }

    /// Whether the terminal shows everything, or nobody looks.
    pub(super) fn is_shown(&self) -> bool {
        match self.phase {
            Phase::Before => true,
            Phase::Ready | Phase::Idle => self.paint_from.is_none() && self.painter.deadline().is_none(),
            Phase::Busy => false,
        }
    }

    /// When there is something to paint.
    pub(super) fn paint_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Before | Phase::Busy => None,
            Phase::Ready => self.paint_from,
            Phase::Idle => earliest(self.paint_from, self.painter.deadline()),
        }
    }
}

impl Viewer {
    /// Shows what is due.
    pub(super) fn pump_show(&mut self, now: Timestamp) {
        if self.render.paint_at().is_none_or(|at| at > now) {
            return;
        }
        let size = self.render.follow(now);
        self.out.extend(size.map(ViewerOutput::Size));
        let bytes = self.render.paint(now);
        (0..self.render.painter.take_asks()).for_each(|_| self.out.push_back(ViewerOutput::CursorAsked));
        if !bytes.is_empty() {
            self.out.push_back(ViewerOutput::Show(bytes));
        }
    }

    /// Predictions are judged by the screen as it is now.
    pub(super) fn judge_predictions(&mut self, now: Timestamp) {
        self.render.judge(now, self.input.lane.typed.taken(), self.input.lane.round_trip());
    }
}
