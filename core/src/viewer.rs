//! The viewer: joins a session, shows its terminal and types into it. It only routes, as the host does.

mod api;
mod input;
mod join;
mod notices;
mod reconnect;
mod render;
mod session;

use std::collections::VecDeque;
use std::time::Duration;

use self::notices::Notices;
use self::reconnect::{Away, Carrier, Doubt};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::machine::Machine;
use crate::predict::Predictor;
use crate::role::Role;
use crate::session::dialer::Dialer;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{Command, Envelope, Event, Lane, Progress};
use crate::support::entropy::Entropy;
use crate::sync::assemble::Assembler;
use crate::sync::uplink::Uplink;
use crate::terminal::{Overlay, Painter, Screen};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::FromViewer;

pub use self::notices::{MAX_REMARKS, MAX_TEXT as MAX_NOTICE, READABLE};

pub use self::api::{ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};

/// A terminal that does not take the last screen by then is left as it is.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(1);

/// Whether the viewer ends.
enum End {
    Open,
    /// With that exit, once the own terminal took the last screen, or at that time.
    Leaving(ViewerExit, Timestamp),
    Over,
}

/// The viewer's machine.
pub struct Viewer {
    config: ViewerConfig,
    dialer: Dialer,
    /// The first time, which is asked for from the beginning.
    dialled: bool,
    link: LinkId,
    handshake: Handshake,
    /// How often it was begun anew, as the rendezvous went in the middle of it.
    begun_anew: u32,
    /// When the rendezvous was not there last.
    unreached_at: Option<Timestamp>,
    ask_again: Option<Timestamp>,
    check: Option<Sas>,
    /// Links and jitter.
    entropy: Entropy,
    /// The link whose lanes carry, and the one on which this became a member.
    carrier: Option<Carrier>,
    origin: Option<LinkId>,
    away: Option<Away>,
    /// Since when what was sent is unanswered, and its number; and until when the link has to prove that it carries.
    unanswered: Option<(Timestamp, u64)>,
    doubted: Option<Doubt>,
    /// There was a whole screen.
    was_live: bool,
    member: Option<(MemberId, Role)>,
    lane: Uplink,
    keys_owed: bool,
    screen: Screen,
    assembler: Assembler,
    painter: Painter,
    predictor: Predictor,
    /// What local echo shows over the screen.
    overlay: Overlay,
    notices: Notices,
    /// What stood on the own terminal was moved out of the way.
    started: bool,
    paint_from: Option<Timestamp>,
    /// What goes to the own terminal before the next frame.
    unshown: Vec<u8>,
    showing: bool,
    end: End,
    last_cause: String,
    /// What the program puts into the clipboard, as far as it came.
    clipboard: String,
    out: VecDeque<ViewerOutput>,
}

impl Viewer {
    /// A viewer that dials on its first input.
    pub fn new(config: ViewerConfig) -> Viewer {
        let mut entropy = Entropy::new(config.seed);
        let link = LinkId(entropy.number());
        let stage = Stage::ReachingRendezvous;
        Viewer {
            dialer: Dialer::new(entropy.fork()),
            dialled: false,
            link,
            handshake: Handshake::new(Timestamp::ZERO, stage),
            begun_anew: 0,
            unreached_at: None,
            ask_again: None,
            check: None,
            entropy,
            carrier: None,
            origin: None,
            away: None,
            unanswered: None,
            doubted: None,
            was_live: false,
            member: None,
            lane: Uplink::default(),
            keys_owed: false,
            screen: Screen::new(config.history as usize),
            assembler: Assembler::default(),
            painter: Painter::new(config.size, config.options),
            predictor: Predictor::new(config.predict),
            overlay: Overlay::default(),
            notices: Notices::default(),
            started: false,
            paint_from: None,
            unshown: Vec::new(),
            showing: false,
            end: End::Open,
            last_cause: "no answer".to_owned(),
            clipboard: String::new(),
            out: VecDeque::from([ViewerOutput::Notice(ViewerNotice::Stage(stage)), ViewerOutput::Link(Command::Dial)]),
            config,
        }
    }

    /// The copy of the host's screen, for tests.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The stage the handshake is at.
    pub fn stage(&self) -> Stage {
        self.handshake.stage()
    }

    /// Whether the host's size does not fit the own terminal, so that only a part is shown.
    pub fn is_cropped(&self) -> bool {
        self.painter.is_cropped()
    }

    /// How many keys the page over the screen still takes: they turn the page or close it, and are not typed.
    pub fn page_keys(&self) -> usize {
        self.notices.page_keys(self.config.size)
    }

    /// What puts the own terminal back in order; for every way out that does not come by `handle`.
    pub fn farewell(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.painter.finish(&mut bytes);
        bytes
    }

    /// What puts a text into the person's clipboard, which they asked for.
    pub fn clipboard(&mut self, text: &str, out: &mut Vec<u8>) {
        self.painter.clipboard(text, out);
    }

    fn command(&mut self, command: Command) {
        self.out.push_back(ViewerOutput::Link(command));
    }

    fn notice(&mut self, notice: ViewerNotice) {
        self.out.push_back(ViewerOutput::Notice(notice));
    }

    fn enter(&mut self, now: Timestamp, stage: Stage) {
        if self.handshake.stage() != stage {
            self.handshake.enter(now, stage);
            self.notice(ViewerNotice::Stage(stage));
        }
    }

    fn advance(&mut self, now: Timestamp, stage: Stage) {
        if self.handshake.stage() < stage {
            self.enter(now, stage);
        }
    }

    fn on_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::SignalUp => self.on_signal_up(),
            Event::SignalDown(cause) => self.on_signal_down(now, cause),
            Event::Joined { link, .. } if link == self.link => {
                self.dialer.answered();
                self.on_joined(now);
            }
            // The rendezvous lost the host of a link that stands: the host may be gone altogether.
            Event::Waiting(link) | Event::Gone(link) if self.stands(link) => self.doubt(now),
            Event::Waiting(link) if link == self.link => {
                self.dialer.answered();
                if self.handshake.stage() < Stage::Authenticating {
                    self.advance(now, Stage::WaitingForHost);
                }
            }
            Event::Refused(link, refusal) if link.is_none_or(|link| link == self.link) => {
                self.dialer.answered();
                self.on_refused(now, refusal);
            }
            Event::Gone(link) if link == self.link && !self.is_linked() => self.fail(now, Cause::Gone),
            Event::Woken => self.doubt(now),
            Event::Sas(link, check) if link == self.link => self.check = Some(check),
            Event::Verdict(link, verdict) if link == self.link => self.on_verdict(now, verdict),
            Event::Envelope(link, envelope) if link == self.link => self.on_envelope(now, envelope),
            Event::Progress(link, attempt, progress) if self.is_at(link, attempt) => match progress {
                Progress::Securing => self.advance(now, Stage::Securing),
                Progress::Confirming => self.advance(now, Stage::Confirming),
            },
            Event::Candidate(link, attempt, candidate) if self.is_at(link, attempt) => {
                self.handshake.note_local(candidate);
                self.command(Command::Envelope(link, Envelope::Candidate(attempt, candidate)));
                self.note_paths();
            }
            Event::Confirmed(link, attempt, path) if self.is_at(link, attempt) => {
                self.carry(now, attempt);
                self.notice(ViewerNotice::Connected(path));
                self.advance(now, Stage::OpeningControl);
            }
            Event::ControlUp(link, attempt) if self.carries(link) => {
                if let Some(carrier) = self.carrier.as_mut().filter(|carrier| carrier.attempt == attempt) {
                    carrier.control_up = true;
                    self.advance(now, if self.was_live { Stage::Live } else { Stage::FirstScreen });
                    self.leave_rendezvous();
                }
            }
            Event::Message(link, Lane::Control, bytes) if self.carries(link) => self.on_frame(now, &bytes),
            Event::Message(link, Lane::Terminal, bytes) if self.carries(link) => self.on_datagram(now, &bytes),
            Event::Down(link, _, down) if self.carries(link) && link != self.link => {
                self.lose(now, Cause::Down(down));
            }
            Event::Down(link, attempt, down) if self.is_at(link, attempt) => self.on_down(now, down),
            Event::Path(link, _, path) if self.carries(link) => self.notice(ViewerNotice::Path(path)),
            // Of other links or earlier attempts, or what only hosts are told.
            Event::Registered
            | Event::Joined { .. }
            | Event::Waiting(_)
            | Event::Refused(..)
            | Event::Gone(_)
            | Event::TurnedAway(_)
            | Event::Forged(_)
            | Event::Outdated(_)
            | Event::Hello(..)
            | Event::Sas(..)
            | Event::Verdict(..)
            | Event::Envelope(..)
            | Event::Progress(..)
            | Event::Candidate(..)
            | Event::Confirmed(..)
            | Event::ControlUp(..)
            | Event::Message(..)
            | Event::Down(..)
            | Event::Path(..) => {}
        }
    }

    fn take(&mut self, now: Timestamp, input: ViewerInput) {
        match input {
            ViewerInput::Tick => {}
            ViewerInput::Link(event) => self.on_event(now, event),
            ViewerInput::Keys(bytes) => self.on_keys(now, &bytes),
            ViewerInput::Paste { bytes, first, last } => self.on_paste(now, bytes, first, last),
            ViewerInput::CursorReport { row, col } => {
                self.painter.cursor_report(row, col, &mut self.unshown);
                self.paint_from = Some(now);
            }
            ViewerInput::Pan { rows, cols } => {
                self.painter.pan(rows, cols);
                self.paint_from = Some(now);
            }
            ViewerInput::Resized(size) => {
                self.painter.resize(now, size, &mut self.unshown);
                self.paint_from = self.paint_from.or(Some(now));
                self.config.size = size;
                self.send(&FromViewer::Size(size));
            }
            ViewerInput::Prove => {
                if let Some(link) = self.carrier.as_ref().map(|carrier| carrier.link) {
                    self.command(Command::Renew(link));
                    self.doubt(now);
                }
            }
            ViewerInput::Remark(text) => {
                self.notices.remark(&text);
                self.paint_from = Some(now);
            }
            ViewerInput::Page(text) => {
                self.notices.page(&text);
                self.paint_from = Some(now);
            }
            ViewerInput::Turn => self.turn_page(now),
            ViewerInput::Standing(text) => {
                self.notices.stand(text.as_deref());
                self.paint_from = Some(now);
            }
            ViewerInput::Shown => self.showing = false,
            ViewerInput::Redraw => {
                self.painter.redraw();
                self.paint_from = Some(now);
            }
            ViewerInput::Leave => {
                if self.carrier.as_ref().is_some_and(|carrier| carrier.control_up) {
                    self.send(&FromViewer::Goodbye);
                }
                // A datagram may be lost, and nobody stays to send it again.
                if self.handshake.stage() >= Stage::Offer {
                    self.command(Command::Envelope(self.link, Envelope::Goodbye));
                }
                self.paint_from = None;
                self.showing = false;
                self.leave(now, ViewerExit::Left);
            }
        }
    }

    // What goes out after every input.

    fn pump(&mut self, now: Timestamp) {
        // While nobody takes them, keys are read nevertheless: one of them may be to leave.
        if self.keys_owed && (self.lane.typed.has_room() || self.away.is_some()) {
            self.keys_owed = false;
            self.out.push_back(ViewerOutput::KeysTaken);
        }
        self.pump_show(now);
        // After what is to be shown: an acknowledgement can wait for the person, not the other way round.
        let carrier = self.carrier.as_ref().map(|carrier| carrier.link);
        if let Some(link) = carrier.filter(|_| !self.probes(now)) {
            while let Some(bytes) = self.lane.next(now) {
                self.command(Command::Send(link, Lane::Terminal, bytes));
            }
            self.note_sent(now);
        }
        // What came last is shown before leaving, unless the own terminal takes nothing any more.
        let is_due = matches!(&self.end, End::Leaving(_, by) if *by <= now || self.is_shown());
        if is_due && let End::Leaving(exit, _) = std::mem::replace(&mut self.end, End::Over) {
            self.drop_carrier();
            self.command(Command::Close(self.link));
            self.command(Command::HangUp);
            self.out.push_back(ViewerOutput::Exit(exit));
        }
    }

    fn on_time(&mut self, now: Timestamp) {
        if self.predictor.deadline().is_some_and(|at| at <= now) {
            self.judge_predictions(now);
        }
        if self.notices.on_time(now) {
            self.paint_from = Some(now);
        }
        if self.dialer.try_expired(now) {
            self.on_signal_down(now, "no answer within 5 s".to_owned());
        }
        if self.dialer.due(now) {
            self.dialer.dial(now);
            self.command(Command::Dial);
        }
        if self.ask_again.is_some_and(|at| at <= now) {
            self.ask_again = None;
            if self.dialer.is_up() {
                self.command(Command::Join(self.link, self.resumes()));
            }
        }
        if self.control_by().is_some_and(|by| by <= now) {
            let (since, stage) = (self.carrier.as_ref().map_or(now, |carrier| carrier.since), Stage::OpeningControl);
            if self.config.reconnect.is_zero() {
                let failure = self.handshake.fail_at(now, stage, since, Cause::NoAnswer);
                self.leave(now, ViewerExit::Failed(failure));
            } else {
                self.lose(now, Cause::NoControl);
            }
        }
        if self.handshake.overdue(now) {
            let cause = match self.handshake.stage() {
                Stage::ReachingRendezvous => Cause::Signal(self.last_cause.clone()),
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
            if self.handshake.stage() >= Stage::Offer {
                self.command(Command::Envelope(self.link, Envelope::Goodbye));
            }
            self.fail(now, cause);
        }
        self.on_time_away(now);
    }
}

impl Machine for Viewer {
    type Input = ViewerInput;
    type Output = ViewerOutput;

    fn handle(&mut self, now: Timestamp, input: ViewerInput) {
        if matches!(self.end, End::Over) {
            return;
        }
        if !std::mem::replace(&mut self.dialled, true) {
            self.dialer.dial(now);
        }
        self.take(now, input);
        if matches!(self.end, End::Open) {
            self.on_time(now);
        }
        self.pump(now);
    }
    fn poll(&mut self) -> Option<ViewerOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        let mut deadline = self.show_deadline();
        if self.carrier.is_some() && !self.holds_back() {
            deadline = earliest(deadline, self.lane.deadline());
        }
        match &self.end {
            End::Over => None,
            // Of the other deadlines nothing follows any more.
            End::Leaving(_, by) => earliest(deadline, Some(*by)),
            End::Open => {
                let join = earliest(earliest(self.dialer.deadline(), self.ask_again), self.handshake.deadline());
                let predicted = self.predictor.deadline().filter(|_| self.was_live);
                deadline = earliest(earliest(deadline, join), earliest(predicted, self.notices.deadline()));
                earliest(deadline, earliest(self.control_by(), self.away_deadline()))
            }
        }
    }
}
