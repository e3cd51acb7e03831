//! The viewer: joins a session, shows its terminal and types into it. This file only routes, as `host.rs` does.

mod api;
mod check;
mod input;
mod join;
mod members;
mod notices;
mod reconnect;
mod render;
pub mod sentences;
mod session;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

use self::input::Input;
use self::join::Join;
use self::members::MemberList;
use self::reconnect::Reconnect;
use self::render::Render;
use self::session::Session;
use crate::id::LinkId;
use crate::machine::Machine;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, Event, Lane, Progress};
use crate::support::entropy::Entropy;
use crate::terminal::{Screen, Window};
use crate::time::Timestamp;
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
    /// Links and jitter.
    entropy: Entropy,
    join: Join,
    session: Session,
    members: MemberList,
    input: Input,
    reconnect: Reconnect,
    render: Render,
    end: End,
    out: VecDeque<ViewerOutput<Command>>,
}

impl Viewer {
    /// A viewer that dials on its first input.
    pub fn new(config: ViewerConfig) -> Viewer {
        let mut entropy = Entropy::new(config.seed);
        let link = LinkId(entropy.number());
        let join = Join::new(link, entropy.fork());
        let stage = ViewerOutput::Notice(ViewerNotice::Stage(join.stage()));
        Viewer {
            entropy,
            join,
            session: Session::default(),
            members: MemberList::default(),
            input: Input::default(),
            reconnect: Reconnect::default(),
            render: Render::new(&config),
            end: End::Open,
            out: VecDeque::from([stage, ViewerOutput::Link(Command::Dial)]),
            config,
        }
    }

    /// The copy of the host's screen, for tests.
    pub fn screen(&self) -> &Screen {
        &self.render.screen
    }

    /// The stage the handshake is at.
    pub fn stage(&self) -> Stage {
        self.join.stage()
    }

    /// Whether the host's size does not fit the own terminal, so that only a part is shown.
    pub fn is_cropped(&self) -> bool {
        self.render.painter.is_cropped()
    }

    /// How many keys the page over the screen still takes: they turn the page or close it, and are not typed.
    pub fn page_keys(&self) -> usize {
        self.render.notices.page_keys(self.render.size())
    }

    /// The bytes that restore the person's terminal, for every way out that does not come by `handle`.
    pub fn farewell(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.render.painter.finish(&mut bytes);
        bytes
    }

    /// The bytes that put a text into the person's clipboard, with their consent.
    pub fn clipboard(&mut self, text: &str, out: &mut Vec<u8>) {
        self.render.painter.clipboard(text, out);
    }

    fn command(&mut self, command: Command) {
        self.out.push_back(ViewerOutput::Link(command));
    }

    fn notice(&mut self, notice: ViewerNotice) {
        self.out.push_back(ViewerOutput::Notice(notice));
    }

    fn on_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::SignalUp => self.on_signal_up(),
            Event::SignalDown(cause) => self.on_signal_down(now, cause),
            Event::Joined { link, .. } if link == self.join.link => {
                self.join.answered();
                self.on_joined(now);
            }
            // The rendezvous lost the host of a link that stands: the host may be gone altogether.
            Event::Waiting(link) | Event::Gone(link) if self.stands(link) => self.doubt_as_told(now),
            Event::Waiting(link) if link == self.join.link => {
                self.join.answered();
                if self.join.stage() < Stage::Authenticating {
                    self.advance(now, Stage::WaitingForHost);
                }
            }
            Event::Refused(link, refusal) if link.is_none_or(|link| link == self.join.link) => {
                self.join.dialer.answered();
                self.on_refused(now, refusal);
            }
            Event::Gone(link) if link == self.join.link && !self.join.is_linked() => self.fail(now, Cause::Gone),
            Event::Woken => self.doubt(now),
            Event::Elsewhere(link, url) if link == self.join.link => self.on_elsewhere(now, url),
            Event::Sas(link, sas) if link == self.join.link => self.join.sas = Some(sas),
            Event::Verdict(link, verdict) if link == self.join.link => self.on_verdict(now, verdict),
            Event::Envelope(link, envelope) if link == self.join.link => self.on_envelope(now, envelope),
            Event::Progress(link, attempt, progress) if self.join.is_at(link, attempt) => match progress {
                Progress::Securing => self.advance(now, Stage::Securing),
                Progress::Confirming => self.advance(now, Stage::Confirming),
            },
            Event::Candidate(link, attempt, candidate) if self.join.is_at(link, attempt) => {
                self.join.handshake.note_local(candidate);
                self.command(Command::Envelope(link, Envelope::Candidate(attempt, candidate)));
                self.note_paths();
            }
            Event::Confirmed(link, attempt, path) if self.join.is_at(link, attempt) => {
                self.carry(now, attempt);
                self.notice(ViewerNotice::Connected(path));
                self.advance(now, Stage::OpeningControl);
            }
            Event::ControlUp(link, attempt) if self.session.carries(link) => self.on_control_up(now, attempt),
            Event::Message(link, Lane::Control, bytes) if self.session.carries(link) => self.on_frame(now, &bytes),
            Event::Message(link, Lane::Terminal, bytes) if self.session.carries(link) => self.on_datagram(now, &bytes),
            Event::Down(link, _, down) if self.session.carries(link) && link != self.join.link => {
                self.lose(now, Cause::Down(down));
            }
            Event::Down(link, attempt, down) if self.join.is_at(link, attempt) => self.on_down(now, down),
            Event::Path(link, _, path) if self.session.carries(link) => self.notice(ViewerNotice::Path(path)),
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
            | Event::Path(..)
            | Event::Elsewhere(..)
            | Event::Move(_)
            | Event::Moved
            | Event::NotMoved(_) => {}
        }
    }

    fn take(&mut self, now: Timestamp, input: ViewerInput) {
        match input {
            ViewerInput::Tick => {}
            ViewerInput::Link(event) => self.on_event(now, event),
            ViewerInput::Keys(bytes) => self.on_keys(now, &bytes),
            ViewerInput::Paste { bytes, first, last } => self.on_paste(now, bytes, first, last),
            ViewerInput::CursorReport { row, col } => self.render.cursor_report(now, row, col),
            ViewerInput::Pan { rows, cols } => {
                self.render.painter.pan(rows, cols);
                self.render.repaint(now);
            }
            ViewerInput::Resized(size) => {
                if self.config.options.window == Window::Own {
                    self.render.resize(now, size);
                }
                self.config.size = size;
                self.send(&FromViewer::Size(size));
            }
            ViewerInput::Prove => {
                if let Some(link) = self.session.link() {
                    self.command(Command::Renew(link));
                    self.doubt(now);
                }
            }
            ViewerInput::Remark(text) => {
                self.render.notices.remark(&text);
                self.render.repaint(now);
            }
            ViewerInput::Page(text) => {
                self.render.notices.page(&text);
                self.render.repaint(now);
            }
            ViewerInput::Turn => self.turn_page(now),
            ViewerInput::WantMembers => self.want_members(),
            ViewerInput::Members => self.show_members(now),
            ViewerInput::Standing(text) => {
                self.render.notices.stand(text.as_deref());
                self.render.repaint(now);
            }
            ViewerInput::Shown => self.render.shown(),
            ViewerInput::Redraw => {
                self.render.painter.redraw();
                self.render.repaint(now);
            }
            ViewerInput::Leave => {
                self.send(&FromViewer::Goodbye);
                // A datagram may be lost, and nobody stays to send it again.
                if self.join.stage() >= Stage::Offer {
                    self.command(Command::Envelope(self.join.link, Envelope::Goodbye));
                }
                self.render.leave();
                self.leave(now, ViewerExit::Left);
            }
        }
    }

    /// Outputs after every input.
    fn pump(&mut self, now: Timestamp) {
        self.pump_keys();
        self.pump_show(now);
        // Acknowledgements go after the screen: they can wait for the person, and the person cannot wait for them.
        self.pump_lane(now);
        // Paints the last screen before leaving, unless the person's terminal takes nothing any more.
        let is_due = matches!(&self.end, End::Leaving(_, by) if *by <= now || self.render.is_shown());
        if is_due && let End::Leaving(exit, _) = std::mem::replace(&mut self.end, End::Over) {
            self.drop_carrier();
            self.command(Command::Close(self.join.link));
            self.command(Command::HangUp);
            self.out.push_back(ViewerOutput::Exit(exit));
        }
    }
}

impl Machine for Viewer {
    type Input = ViewerInput;
    type Output = ViewerOutput<Command>;

    fn handle(&mut self, now: Timestamp, input: ViewerInput) {
        if matches!(self.end, End::Over) {
            return;
        }
        self.join.start(now);
        self.take(now, input);
        self.on_time(now);
        self.pump(now);
        if cfg!(debug_assertions) && !is_faulty!() {
            self.check();
        }
    }

    fn poll(&mut self) -> Option<ViewerOutput<Command>> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.timers().into_iter().filter_map(|(_, at)| at).min()
    }
}
