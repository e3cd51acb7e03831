//! The host's machine: shares a terminal. The host passes each event to the small machines in this folder.

mod admission;
mod api;
mod check;
mod connection;
mod connections;
mod console;
mod escape;
mod frames;
mod handshakes;
mod input;
mod lifecycle;
mod listing;
mod member;
mod members;
mod moderation;
mod news;
mod own_cursor;
mod properties;
mod question;
mod reconnect;
mod registration;
mod resize;
mod screen;
mod status;
mod timers;
mod views;

use std::collections::VecDeque;

use crate::machine::Machine;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope, Event, Progress, Refusal};
use crate::support::entropy::Entropy;
use crate::terminal::{Emulator, ScreenTitles};
use crate::time::Timestamp;

pub use self::admission::{Awaits, MAX_PENDING};
pub use self::member::{MAX_VIEWERS, Resize};

use self::admission::{Admission, Pending};
pub use self::api::{HostConfig, HostExit, HostInput, HostNotice, HostOutput, InviteRules, Start};
use self::connection::Connection;
use self::connections::Connections;
use self::console::Console;
pub use self::escape::Escape;
use self::input::Input;
use self::lifecycle::{Lifecycle, Stop};
use self::listing::Listing;
use self::moderation::Sharing;
pub use self::moderation::{ActionError, Approve, ModeratorAction};
pub use self::news::{LinkLengths, fill_links};
use self::registration::{Registered, Registration};
use self::screen::SharedScreen;
pub use self::status::{HostStatus, MemberStatus, PendingStatus};

/// Most handshakes in flight: 256, as many as the rendezvous lets one address have, and one for each viewer besides. So
/// a stranger at one address, who knows an id, does not have viewers turned away that are about to prove their key.
pub const MAX_HANDSHAKES: usize = 256 + MAX_VIEWERS;

/// The host's machine.
pub struct Host {
    config: HostConfig,
    registration: Registration,
    connections: Connections,
    admission: Admission,
    sharing: Sharing,
    lifecycle: Lifecycle,
    now: Timestamp,
    /// The person at the own terminal.
    console: Console,
    screen: SharedScreen,
    input: Input,
    listing: Listing,
    out: VecDeque<HostOutput<Command>>,
}

impl Host {
    /// A host that dials on its first input.
    pub fn new(config: HostConfig) -> Host {
        Host {
            registration: Registration::new(Entropy::new(config.seed).fork()),
            connections: Connections::default(),
            admission: Admission::default(),
            sharing: Sharing::Open,
            lifecycle: Lifecycle::Waiting,
            now: Timestamp::ZERO,
            console: Console::new(config.escape),
            screen: SharedScreen::new(&config),
            input: Input::default(),
            listing: Listing::default(),
            out: VecDeque::from([HostOutput::Link(Command::Dial)]),
            config,
        }
    }

    /// The terminal model, for tests and recorders.
    pub fn emulator(&self) -> &Emulator {
        &self.screen.emulator
    }

    /// Links that are up or on their way. The number returns to zero when all viewers have left.
    pub fn links(&self) -> usize {
        self.connections.values().filter(|connection| !connection.is_away()).count()
    }

    /// Viewers whose link is up.
    pub fn members(&self) -> usize {
        self.connections.values().filter(|connection| connection.is_here()).count()
    }

    fn link(&mut self, command: Command) {
        self.out.push_back(HostOutput::Link(command));
    }

    fn notice(&mut self, notice: HostNotice) {
        self.out.push_back(HostOutput::Notice(notice));
    }

    fn on_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::SignalUp => {
                self.registration.up(now);
                self.link(Command::Register);
            }
            Event::SignalDown(cause) => self.on_signal_down(now, cause),
            Event::Registered => self.on_registered(now),
            Event::Refused(None, refusal) => self.on_register_refused(now, refusal),
            Event::Joined { link, versions, resumes, from, .. } => self.on_joined(now, link, &versions, resumes, from),
            Event::TurnedAway(count) => self.notice(HostNotice::TurnedAway(count)),
            Event::Forged(link) => self.on_forged(now, link),
            Event::Outdated(link) => self.turn_away(now, link, Refusal::Expired),
            Event::Hello(link, role, hello) => self.on_hello(now, link, role, hello),
            Event::Sas(link, sas) => self.on_sas(link, sas),
            Event::Envelope(link, envelope) => self.on_envelope(now, link, envelope),
            Event::Progress(link, attempt, progress) => {
                let stage = match progress {
                    Progress::Securing => Stage::Securing,
                    Progress::Confirming => Stage::Confirming,
                };
                self.advance(now, link, attempt, stage);
            }
            Event::Candidate(link, attempt, candidate) => {
                if let Some(connection) = self.current(link, attempt) {
                    connection.handshake.note_local(candidate);
                    self.link(Command::Envelope(link, Envelope::Candidate(attempt, candidate)));
                }
            }
            Event::Confirmed(link, attempt, path) => self.on_confirmed(now, link, attempt, path),
            Event::Path(link, attempt, path) => {
                let Some(connection) = self.current(link, attempt) else { return };
                let Some(member) = connection.member_mut() else { return };
                member.path = path;
                let id = member.id;
                self.notice(HostNotice::Path(id, path));
            }
            Event::ControlUp(link, attempt) => self.on_control_up(now, link, attempt),
            Event::Message(link, lane, bytes) => self.on_message(now, link, lane, &bytes),
            Event::Gone(link) => {
                // A link that is up needs no rendezvous.
                if self.connections.get(&link).is_some_and(Connection::needs_rendezvous) {
                    self.remove(now, link, Cause::Gone);
                }
            }
            Event::Down(link, attempt, down) => {
                // An engine says so for each channel of a connection that ends; the place of the member stays kept.
                if let Some(connection) = self.current(link, attempt).filter(|connection| !connection.is_away()) {
                    if connection.member().is_none() {
                        self.link(Command::Envelope(link, Envelope::Failed(attempt, down.clone())));
                    }
                    self.lose(now, link, Cause::Down(down));
                }
            }
            // A link reports by itself when its other side is silent.
            Event::Woken => {}
            Event::Move(within) => self.registration.move_within(now, within),
            Event::Moved => self.registration.moved(),
            Event::NotMoved(_) => self.registration.not_moved(now),
            // A rendezvous sends these to viewers only; at a host they mean nothing.
            Event::Refused(Some(_), _) | Event::Waiting(_) | Event::Verdict(..) | Event::Elsewhere(..) => {}
        }
    }

    // The rendezvous.

    /// Whether viewers are on their way in, and need the rendezvous for that.
    fn has_handshakes(&self) -> bool {
        self.connections.values().any(Connection::needs_rendezvous)
    }

    fn on_signal_down(&mut self, now: Timestamp, cause: String) {
        let was_registered = self.registration.down(now, &cause);
        self.connections.touch_all();
        if was_registered {
            self.notice(HostNotice::RendezvousLost(cause));
        }
    }

    fn on_registered(&mut self, now: Timestamp) {
        match self.registration.confirmed(now) {
            Registered::Already => return,
            Registered::First => self.admission.begin(now),
            Registered::Again => {}
        }
        self.connections.touch_all();
        self.notice(HostNotice::Registered);
        if self.config.start == Start::AtOnce {
            self.start_program();
        }
    }

    fn on_register_refused(&mut self, now: Timestamp, refusal: Refusal) {
        if self.registration.since().is_some() || refusal == Refusal::Busy {
            // The host's last connection may linger at the rendezvous, or too many register at once: the host tries
            // again later.
            self.link(Command::HangUp);
            self.on_signal_down(now, refusal.to_string());
        } else {
            let failure = self.registration.refused(now, refusal);
            self.exit(HostExit::Failed(failure));
        }
    }

    /// Re-indexes changed connections: `input` knows members with unwritten input, `admission` viewers that a person
    /// decides about.
    fn attend(&mut self) {
        for link in self.connections.touched().to_vec() {
            let connection = self.connections.get(&link);
            if let Some(member) = connection.and_then(Connection::member) {
                self.input.index(member.id, &member.lane.inbound);
            }
            if connection.and_then(Connection::pending).is_some_and(Pending::can_be_asked) {
                self.admission.mark_askable(link);
            } else {
                self.admission.unmark_askable(link);
            }
        }
    }

    fn schedule(&mut self) {
        self.attend();
        for link in self.connections.take_touched() {
            let time = self.connections.get(&link).and_then(|connection| self.connection_deadline(connection));
            self.connections.schedule(link, time);
        }
    }

    // Done after every input.

    fn pump(&mut self, now: Timestamp) {
        self.attend();
        self.pump_writes(now);
        self.pump_frames(now);
        self.pump_console(now);
        self.pump_ending(now);
        self.pump_listing(now);
    }
}

impl Machine for Host {
    type Input = HostInput;
    type Output = HostOutput<Command>;

    fn handle(&mut self, now: Timestamp, input: HostInput) {
        if self.lifecycle.is_exited() {
            return;
        }
        self.now = now;
        self.registration.begin(now);
        match input {
            HostInput::Tick => {}
            HostInput::Link(event) => self.on_event(now, event),
            HostInput::Printed(bytes) => self.on_printed(now, bytes),
            HostInput::Written => self.on_written(now),
            HostInput::TakenBack(taken) => self.on_taken_back(now, taken),
            HostInput::Ended(code) => self.on_ended(now, code),
            HostInput::Keys(bytes) => self.on_keys(now, bytes),
            HostInput::Resized(size) => self.own_terminal_resized(size),
            HostInput::Stop => self.stop(now, Stop::Person),
            HostInput::Act(act) => self.act(now, act),
            HostInput::ShowMembers => self.show_members(),
            HostInput::Links(lengths) => self.on_links(lengths),
            HostInput::ShowLinks => self.show_links(now),
            HostInput::ScreenTitles => self.screen.emulator.set_screen_titles(ScreenTitles::Taken),
            HostInput::CursorReports => self.screen.own_cursor.expect_answers(),
        }
        self.on_time(now);
        self.pump(now);
        self.schedule();
        if cfg!(debug_assertions) && !is_faulty!() {
            self.check();
        }
    }

    fn poll(&mut self) -> Option<HostOutput<Command>> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        if self.lifecycle.is_exited() {
            return None;
        }
        self.timers().into_iter().filter_map(|(_, at)| at).min()
    }
}
