//! Every deadline of the viewer, each written once: the event, the time, and the consequence.

use super::{End, Viewer, ViewerExit};
use crate::id::LinkId;
use crate::session::dialer::no_answer;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, LinkDown};
use crate::time::Timestamp;

/// Why the viewer wants the time. Simultaneous timers are handled in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Judges predictions although no screen came.
    Prediction,
    /// A remark over the screen was shown long enough.
    Notice,
    /// A try to reach the rendezvous ends, or the next one begins.
    Dial,
    /// The rendezvous is asked again for a host that was not there.
    AskAgain,
    /// The control lane has not opened.
    Control,
    /// The handshake's stage has taken too long.
    Stage,
    /// The link that carries does not answer.
    Silence,
    /// The viewer was away for too long.
    GiveUp,
    /// The next try to come back begins.
    Retry,
    /// The link that carried is asked again.
    Probe,
    /// The terminal lane goes on.
    Lane,
    /// The own terminal is painted.
    Paint,
    /// The own terminal does not take the last screen.
    Leave,
}

impl Timer {
    const ALL: [Timer; 13] = [
        Timer::Prediction,
        Timer::Notice,
        Timer::Dial,
        Timer::AskAgain,
        Timer::Control,
        Timer::Stage,
        Timer::Silence,
        Timer::GiveUp,
        Timer::Retry,
        Timer::Probe,
        Timer::Lane,
        Timer::Paint,
        Timer::Leave,
    ];
}

impl Timer {
    /// Whether a log names the timer when it is due. The others run all the time.
    fn is_named(self) -> bool {
        match self {
            Timer::Dial
            | Timer::AskAgain
            | Timer::Control
            | Timer::Stage
            | Timer::Silence
            | Timer::GiveUp
            | Timer::Retry
            | Timer::Probe
            | Timer::Leave => true,
            Timer::Prediction | Timer::Notice | Timer::Lane | Timer::Paint => false,
        }
    }
}

impl Viewer {
    /// The names of the timers that are due, for the log.
    pub(super) fn timers_due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)> {
        let set = self.timers().into_iter().filter(|(timer, _)| timer.is_named());
        let due = set.filter(|(_, at)| at.is_some_and(|at| at <= now));
        due.map(|(timer, _)| {
            let is_of_link = matches!(timer, Timer::Stage | Timer::AskAgain | Timer::Control);
            let stage = if timer == Timer::Stage { format!(" ({})", self.join.stage()) } else { String::new() };
            (is_of_link.then_some(self.join.link), format!("{timer:?}{stage}"))
        })
        .collect()
    }

    /// All deadlines.
    pub(super) fn timers(&self) -> [(Timer, Option<Timestamp>); 13] {
        Timer::ALL.map(|timer| (timer, self.time_of(timer)))
    }

    fn time_of(&self, timer: Timer) -> Option<Timestamp> {
        let (is_open, leave_by) = match &self.end {
            End::Open => (true, None),
            End::Leaving(_, by) => (false, Some(*by)),
            End::Over => return None,
        };
        let (is_live, has_carrier) = (self.render.is_live(), self.session.carrier.is_some());
        let at = match timer {
            // These timers run until the viewer has left.
            Timer::Lane => {
                return self.input.lane.deadline().filter(|_| has_carrier && !self.reconnect.holds_back());
            }
            Timer::Paint => return self.render.paint_at(),
            Timer::Leave => return leave_by,
            Timer::Prediction => self.render.judge_at(),
            Timer::Notice => self.render.notices.deadline(),
            Timer::Dial => self.join.dialer.deadline(),
            Timer::AskAgain => self.join.ask_again,
            Timer::Control => self.control_by(),
            Timer::Stage => self.join.handshake.deadline(),
            Timer::Silence => self.reconnect.silent_at().filter(|_| is_live && has_carrier),
            Timer::GiveUp => self.reconnect.away_since().map(|since| since + self.config.reconnect),
            Timer::Retry => self.reconnect.retry_at(),
            Timer::Probe => self.reconnect.probe_at().filter(|_| has_carrier),
        };
        at.filter(|_| is_open)
    }

    /// Handles everything that is due.
    pub(super) fn on_time(&mut self, now: Timestamp) {
        for timer in Timer::ALL {
            if self.time_of(timer).is_some_and(|at| at <= now) {
                self.on_timer(now, timer);
            }
        }
    }

    fn on_timer(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Prediction => self.judge_predictions(now),
            Timer::Notice => {
                if self.render.notices.on_time(now) {
                    self.render.repaint(now);
                }
            }
            Timer::Dial => {
                if self.join.dialer.try_expired(now) {
                    self.on_signal_down(now, no_answer());
                } else if self.join.dialer.due(now) {
                    self.dial(now);
                }
            }
            Timer::AskAgain => {
                self.join.ask_again = None;
                if self.join.dialer.is_up() {
                    self.command(Command::Join(self.join.link, self.resumes()));
                }
            }
            Timer::Control => self.on_no_control(now),
            Timer::Stage => self.on_stage_overdue(now),
            Timer::Silence => self.look_elsewhere(now, Cause::Down(LinkDown::Silent)),
            Timer::GiveUp => self.give_up(now),
            Timer::Retry => self.retry(now),
            // These deadlines are handled after every input.
            Timer::Probe | Timer::Lane | Timer::Paint | Timer::Leave => {}
        }
    }

    /// The control lane has not opened, although the screen is there.
    fn on_no_control(&mut self, now: Timestamp) {
        let since = self.session.carrier.as_ref().map_or(now, |carrier| carrier.since);
        if self.config.reconnect.is_zero() {
            let failure = self.join.handshake.fail_at(now, Stage::OpeningControl, since, Cause::NoAnswer);
            self.leave(now, ViewerExit::Failed(failure));
        } else {
            self.lose(now, Cause::NoControl);
        }
    }

    fn on_stage_overdue(&mut self, now: Timestamp) {
        let cause = match self.join.handshake.stage() {
            Stage::ReachingRendezvous => Cause::Signal(self.join.last_cause.clone()),
            Stage::WaitingForHost
            | Stage::Authenticating
            | Stage::WaitingForApproval
            | Stage::Offer
            | Stage::Answer
            | Stage::CheckingPaths
            | Stage::Securing
            | Stage::Confirming
            | Stage::OpeningControl
            | Stage::FirstScreen
            | Stage::Live => Cause::NoAnswer,
        };
        if self.join.handshake.stage() >= Stage::Offer {
            self.command(Command::Envelope(self.join.link, Envelope::Goodbye));
        }
        self.fail(now, cause);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Machine;
    use crate::predict::Mode;
    use crate::role::Role;
    use crate::session::link::{Event, Verdict};
    use crate::terminal::{Options, Size};
    use crate::viewer::{ViewerConfig, ViewerInput, ViewerOutput};

    fn config() -> ViewerConfig {
        ViewerConfig {
            seed: [1; 32],
            role: Role::Control,
            name: "viewer".to_owned(),
            size: Size::default(),
            wait: None,
            options: Options::default(),
            predict: Mode::Never,
            history: 100,
            clipboard: false,
            stays: false,
            reconnect: Duration::from_secs(60),
        }
    }

    /// The timers that are set, and the seconds at which they are due.
    fn set(viewer: &Viewer) -> Vec<(Timer, f64)> {
        let set = viewer.timers().into_iter().filter_map(|(timer, at)| Some((timer, at? - Timestamp::ZERO)));
        set.map(|(timer, after)| (timer, after.as_secs_f64())).collect()
    }

    #[test]
    fn each_wait_of_a_handshake_has_its_timer_and_the_first_is_the_deadline() {
        let at = |secs| Timestamp::from(Duration::from_secs(secs));
        let seconds = |stage: Stage| stage.deadline().unwrap_or_default().as_secs_f64();
        let mut viewer = Viewer::new(config());
        let link = viewer.join.link;
        viewer.handle(at(0), ViewerInput::Tick);
        assert_eq!(set(&viewer), [(Timer::Dial, 5.0), (Timer::Stage, seconds(Stage::ReachingRendezvous))]);
        assert_eq!(viewer.deadline(), Some(at(5)));
        viewer.handle(at(1), ViewerInput::Link(Event::SignalUp));
        viewer.handle(
            at(2),
            ViewerInput::Link(Event::Joined {
                link,
                role: Role::Control,
                versions: Vec::new(),
                resumes: None,
                from: None,
            }),
        );
        assert_eq!(set(&viewer), [(Timer::Stage, 2.0 + seconds(Stage::Authenticating))]);
        viewer.handle(at(3), ViewerInput::Link(Event::Verdict(link, Verdict::Accepted)));
        assert_eq!(set(&viewer), [(Timer::Stage, 3.0 + seconds(Stage::Offer))]);

        viewer.handle(at(4), ViewerInput::Leave);
        assert_eq!((set(&viewer), viewer.deadline()), (Vec::new(), None));
        let exit = std::iter::from_fn(|| viewer.poll()).find(|output| matches!(output, ViewerOutput::Exit(_)));
        assert_eq!(exit, Some(ViewerOutput::Exit(ViewerExit::Left)));
    }
}
