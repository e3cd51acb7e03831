//! The viewer: joins a session, shows its terminal and types into it. It only routes, as the host does.

mod api;
mod reconnect;
mod render;

use std::collections::VecDeque;
use std::time::Duration;

use self::reconnect::{Away, Carrier, Doubt};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::machine::Machine;
use crate::predict::Predictor;
use crate::role::Role;
use crate::session::dialer::Dialer;
use crate::session::handshake::{Cause, Handshake, Stage};
use crate::session::link::{
    Attempt, Command, Envelope, Event, Hello, Lane, LinkDown, Progress, Refusal, Verdict, WANTS_CLIPBOARD,
};
use crate::support::entropy::Entropy;
use crate::sync::assemble::Assembler;
use crate::sync::uplink::Uplink;
use crate::terminal::{MAX_CLIPBOARD, Overlay, Painter, Screen};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::{Down, FromHost, FromViewer, Goodbye};

pub use self::api::{ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};

/// A terminal that does not take the last screen by then is left as it is.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(1);

/// A host that lost the rendezvous dials again after at most nine seconds, and is told within a few more.
const HOST_BACK_WITHIN: Duration = Duration::from_secs(15);

/// Between two tries to join a session that does not exist yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

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
    /// What stood on the own terminal was moved out of the way.
    started: bool,
    paint_from: Option<Timestamp>,
    /// What goes to the own terminal before the next frame.
    unshown: Vec<u8>,
    showing: bool,
    /// How it ends, and when at the latest.
    exit: Option<(ViewerExit, Timestamp)>,
    exited: bool,
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
            started: false,
            paint_from: None,
            unshown: Vec::new(),
            showing: false,
            exit: None,
            exited: false,
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

    fn attempt(&self) -> Attempt {
        self.handshake.attempt()
    }

    fn is_at(&self, link: LinkId, attempt: Attempt) -> bool {
        link == self.link && attempt == self.attempt()
    }

    /// From here on the rendezvous is not needed: what it says, or that it is gone, changes nothing.
    fn is_linked(&self) -> bool {
        self.handshake.stage() >= Stage::OpeningControl
    }

    /// Whether the lanes of `link` carry, and no handshake of that link is under way.
    fn stands(&self, link: LinkId) -> bool {
        self.carries(link) && (link != self.link || self.is_linked())
    }

    // The rendezvous.

    fn on_signal_up(&mut self) {
        self.dialer.up();
        // A link that stands is told again too: its datagrams may have to be relayed.
        if !self.rests() && (self.handshake.stage() < Stage::Authenticating || self.is_linked()) {
            self.ask_again = None;
            self.command(Command::Join(self.link, self.resumes()));
        }
    }

    /// Whose place it asks for.
    fn resumes(&self) -> Option<LinkId> {
        self.origin.filter(|origin| *origin != self.link)
    }

    fn on_signal_down(&mut self, now: Timestamp, cause: String) {
        self.last_cause.clone_from(&cause);
        if self.is_linked() && !self.config.stays {
            self.dialer.hang_up();
            return;
        }
        let was_up = self.dialer.is_up();
        self.dialer.down(now);
        if self.is_linked() {
            if was_up {
                // The host's process may have been the rendezvous as well.
                self.doubt(now);
            }
            return;
        }
        self.unreached_at = Some(now);
        if self.handshake.stage() < Stage::Authenticating {
            if self.handshake.stage() != Stage::ReachingRendezvous {
                // It had been reached: it has its whole time to come back.
                self.handshake.enter_afresh(now, Stage::ReachingRendezvous);
                self.notice(ViewerNotice::Stage(Stage::ReachingRendezvous));
            }
            self.notice(ViewerNotice::Unreachable(cause));
        } else if self.handshake.stage() < Stage::Securing && !self.starts_anew(now) {
            // The other side cannot answer any more: it was told that this link is gone.
            self.fail(now, Cause::Signal(cause));
        }
    }

    fn on_joined(&mut self, now: Timestamp) {
        if self.handshake.stage() < Stage::Authenticating {
            self.advance(now, Stage::Authenticating);
            let hello = Hello {
                name: self.config.name.clone(),
                size: Some(self.config.size),
                history: self.config.history,
                capabilities: if self.config.clipboard { WANTS_CLIPBOARD } else { 0 },
            };
            self.command(Command::Hello(self.link, hello));
        }
    }

    fn on_refused(&mut self, now: Timestamp, refusal: Refusal) {
        if self.is_linked() {
            // The rendezvous began anew, and the host is not back at it yet.
            self.ask_again = (refusal == Refusal::NoSession).then(|| now + ASK_AGAIN_AFTER);
            return;
        }
        let may_come = refusal == Refusal::NoSession && self.handshake.stage() < Stage::Authenticating;
        let wanted = self.config.wait.map(|wait| Timestamp::ZERO + wait);
        // A rendezvous that was gone may have forgotten the session; its host comes back by itself.
        let likely = self.unreached_at.map(|at| at + HOST_BACK_WITHIN);
        if may_come && wanted.max(likely).is_some_and(|until| now < until) {
            self.enter(now, Stage::WaitingForHost);
            self.handshake.enter_afresh(now, Stage::WaitingForHost);
            self.ask_again = Some(now + ASK_AGAIN_AFTER);
        } else {
            self.fail(now, Cause::Refused(refusal));
        }
    }

    // The handshake.

    fn on_verdict(&mut self, now: Timestamp, verdict: Verdict) {
        if self.handshake.stage() >= Stage::Offer {
            return;
        }
        match verdict {
            Verdict::Accepted => self.advance(now, Stage::Offer),
            Verdict::Waiting => {
                if self.handshake.stage() == Stage::WaitingForApproval {
                    // A host that has paused says so again and again: it is there, and the time for a decision begins anew.
                    return self.handshake.enter_afresh(now, Stage::WaitingForApproval);
                }
                self.advance(now, Stage::WaitingForApproval);
                self.check.into_iter().for_each(|check| self.notice(ViewerNotice::Sas(check)));
            }
            Verdict::Refused(refusal) => self.fail(now, Cause::Refused(refusal)),
        }
    }

    fn on_envelope(&mut self, now: Timestamp, envelope: Envelope) {
        match envelope {
            Envelope::Offer(attempt) if attempt > self.attempt() && !self.is_linked() => {
                // Its peer gets sockets of its own, so the carrier has none any more.
                if !self.carries(self.link) {
                    self.drop_carrier();
                }
                self.handshake.begin_attempt(now, attempt);
                self.command(Command::Accept(self.link, attempt));
                self.command(Command::Envelope(self.link, Envelope::Answer(attempt)));
                self.enter(now, Stage::CheckingPaths);
            }
            Envelope::Candidate(attempt, candidate) if attempt >= self.attempt() => {
                if attempt == self.attempt() {
                    self.handshake.note_remote(candidate);
                    self.note_paths();
                }
                self.command(Command::Candidate(self.link, attempt, candidate));
            }
            Envelope::Verdict(verdict) => self.on_verdict(now, verdict),
            Envelope::Failed(attempt, down) if attempt == self.attempt() && !self.is_linked() => {
                self.fail(now, Cause::DownThere(down));
            }
            Envelope::Goodbye => {
                if !self.is_linked() {
                    self.fail(now, Cause::Left);
                }
            }
            // Old attempts, and answers, which only viewers give.
            Envelope::Offer(_) | Envelope::Candidate(..) | Envelope::Failed(..) | Envelope::Answer(_) => {}
        }
    }

    fn note_paths(&mut self) {
        if self.handshake.stage() == Stage::CheckingPaths {
            let (local, remote) = self.handshake.paths_tried();
            self.notice(ViewerNotice::Paths(local, remote));
        }
    }

    fn on_down(&mut self, now: Timestamp, down: LinkDown) {
        if !self.is_linked() {
            let envelope = Envelope::Failed(self.attempt(), down.clone());
            self.command(Command::Envelope(self.link, envelope));
        }
        self.fail(now, Cause::Down(down));
    }

    fn fail(&mut self, now: Timestamp, cause: Cause) {
        let excusable = !matches!(&cause, Cause::Down(down) if !down.is_excusable());
        if self.carries(self.link) && self.was_live && excusable {
            return self.lose(now, cause);
        }
        if self.tries_again(now, &cause) {
            return;
        }
        let failure = self.handshake.fail(now, cause);
        self.leave(now, ViewerExit::Failed(failure));
    }

    fn leave(&mut self, now: Timestamp, exit: ViewerExit) {
        if self.exit.is_none() {
            self.exit = Some((exit, now + LAST_SCREEN_WITHIN));
        }
    }

    // The session.

    fn on_frame(&mut self, now: Timestamp, bytes: &[u8]) {
        // A host that speaks nonsense on a confirmed link is at fault, but what it sent before still stands.
        let Ok(frame) = FromHost::decode(bytes) else { return };
        match frame {
            FromHost::Welcome { member, role } => self.member = Some((member, role)),
            FromHost::Title(title) => {
                self.painter.title(&title);
                self.paint_from = self.paint_from.or(Some(now));
                self.notice(ViewerNotice::Title(title));
            }
            FromHost::Bell => self.notice(ViewerNotice::Bell),
            FromHost::Clipboard { text, last } => self.on_clipboard(&text, last),
            FromHost::Notice(text) => self.notice(ViewerNotice::Said(text)),
            FromHost::Role(role) => {
                self.member = self.member.map(|(member, _)| (member, role));
                self.notice(ViewerNotice::Role(role));
            }
            FromHost::Paused(paused) => self.notice(ViewerNotice::Paused(paused)),
            FromHost::Goodbye(goodbye) => {
                self.send(&FromViewer::GoodbyeHeard);
                let exit = match goodbye {
                    Goodbye::Ended(code) => ViewerExit::Ended(code),
                    Goodbye::Stopped => ViewerExit::Stopped,
                    Goodbye::Expired => ViewerExit::Expired,
                    Goodbye::Removed(why) => ViewerExit::Removed(why),
                };
                self.leave(now, exit);
            }
        }
    }

    fn on_datagram(&mut self, now: Timestamp, bytes: &[u8]) {
        let Ok(down) = Down::decode(bytes) else { return };
        self.heard(now, &down.acks);
        let taken = self.lane.typed.taken();
        self.lane.receive(now, &down);
        let has_taken = self.lane.typed.taken() > taken;
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
        if has_taken || (news && self.screen.complete()) {
            self.judge_predictions(now);
        }
        if !news {
            return;
        }
        // A host that never pauses may never be caught up with: a line of every row is a screen.
        let waits = matches!(self.handshake.stage(), Stage::OpeningControl | Stage::FirstScreen);
        if waits && self.screen.whole() {
            self.enter(now, Stage::Live);
            if std::mem::replace(&mut self.was_live, true) {
                self.leave_rendezvous();
                return self.screen_changed(now);
            }
            let (member, role) = self.member.unwrap_or((MemberId(0), self.config.role));
            self.notice(ViewerNotice::FirstScreen(member, role));
            self.leave_rendezvous();
        }
        self.screen_changed(now);
    }

    /// Once the screen is there and the control lane too, all there is to say travels on the link. Whoever may need the relay stays.
    fn leave_rendezvous(&mut self) {
        let control_up = self.carrier.as_ref().is_some_and(|carrier| carrier.control_up);
        if control_up && self.handshake.stage() == Stage::Live && !self.config.stays {
            self.dialer.hang_up();
            self.command(Command::HangUp);
        }
    }

    fn on_clipboard(&mut self, text: &str, last: bool) {
        if self.clipboard.len() + text.len() > MAX_CLIPBOARD {
            self.clipboard.clear();
            return;
        }
        self.clipboard.push_str(text);
        if last {
            let text = std::mem::take(&mut self.clipboard);
            if self.config.clipboard {
                self.notice(ViewerNotice::Clipboard(text));
            }
        }
    }

    fn send(&mut self, frame: &FromViewer) {
        if let Some(carrier) = self.carrier.as_ref().filter(|carrier| carrier.control_up) {
            self.command(Command::Send(carrier.link, Lane::Control, frame.encode()));
        }
    }

    /// When it is too late for the control lane, which need not be there for the screen to be.
    fn control_by(&self) -> Option<Timestamp> {
        let carrier = self.carrier.as_ref().filter(|carrier| !carrier.control_up && carrier.link == self.link)?;
        let waits = self.handshake.stage() == Stage::Live;
        waits.then(|| carrier.since + Stage::OpeningControl.deadline().unwrap_or_default())
    }

    /// What it may do here, as far as it was told.
    fn role(&self) -> Role {
        self.member.map_or(self.config.role, |(_, role)| role)
    }

    fn on_keys(&mut self, now: Timestamp, bytes: &[u8]) {
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

    fn on_paste(&mut self, now: Timestamp, bytes: Vec<u8>, first: bool, last: bool) {
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
        let shown = self.is_shown();
        if let Some((exit, _)) = self.exit.take_if(|(_, by)| shown || *by <= now) {
            self.exited = true;
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
        if self.exited {
            return;
        }
        if !std::mem::replace(&mut self.dialled, true) {
            self.dialer.dial(now);
        }
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
        if self.exit.is_none() {
            self.on_time(now);
        }
        self.pump(now);
    }

    fn poll(&mut self) -> Option<ViewerOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        if self.exited {
            return None;
        }
        let mut deadline = earliest(self.dialer.deadline(), self.ask_again);
        deadline = match &self.exit {
            Some((_, by)) => earliest(deadline, Some(*by)),
            None => earliest(earliest(deadline, self.handshake.deadline()), self.away_deadline()),
        };
        deadline = earliest(deadline, self.control_by());
        if self.carrier.is_some() && !self.holds_back() {
            deadline = earliest(deadline, self.lane.deadline());
        }
        if self.was_live {
            deadline = earliest(deadline, self.predictor.deadline());
        }
        earliest(deadline, self.show_deadline())
    }
}
