//! The host: shares a terminal. It only routes: what is computed stands in `handshake`, `roster`, `sync` and `terminal`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dial::Dialer;
use crate::entropy::Entropy;
use crate::handshake::{Cause, Failure, Handshake, Stage};
use crate::id::{LinkId, MemberId};
use crate::invite::Role;
use crate::link::{
    Attempt, Command, Envelope, Event, Hello, Lane, LinkUser, Path, Progress, Refusal, VERSIONS, Verdict,
};
use crate::machine::{Machine, Tick};
use crate::roster::{MAX_VIEWERS, MAX_VIOLATIONS, Member, may_type, terminal_size};
use crate::terminal::{Emulator, Size};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::{FromHost, FromViewer, Goodbye, MAX_TEXT};

/// Most handshakes in flight: four times the viewers, so that strangers who know an id do not keep members out.
pub const MAX_HANDSHAKES: usize = 64;

/// Under steady output at most one frame in this time: 60 a second, what screens show.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// A synchronised update (mode 2026) that is not closed by then is shown as it is.
const SYNCHRONIZED_AT_MOST: Duration = Duration::from_millis(150);

/// Viewers that are there when the command ends get this long for the last screen and the goodbye.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(3);

/// Someone who is in mid-handshake when the session ends gets this long to see the last screen.
const LATE_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Everything that makes a host what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// Of ids and jitter. Not of keys.
    pub seed: [u8; 32],
    /// The terminal's size, as long as no own terminal says otherwise.
    pub size: Size,
    /// Rows of the own terminal that are taken before the command starts: it begins below them, on the model's screen as on that one,
    /// so that what a program learns of its cursor is true for both.
    pub rows_taken: u16,
    /// Lines of history kept.
    pub history: usize,
    /// The model answers the program's queries: there is no own terminal that would.
    pub headless: bool,
    /// When the command starts.
    pub start: Start,
    /// How long the last screen stays for whoever still joins.
    pub linger: Duration,
}

/// When the command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// As soon as the session is registered.
    AtOnce,
    /// When a viewer's link is up; past the time, if one is given, the host gives up.
    WhenJoined(Option<Duration>),
}

/// What happens to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostInput {
    /// It is later now.
    Tick,
    /// From the links.
    Link(Event),
    /// The program printed this.
    Printed(Vec<u8>),
    /// The PTY took what was last written.
    Written,
    /// The program ended: its exit code, 128 + signal if one ended it. All it printed came before.
    Ended(i32),
    /// The person at the host's own terminal typed this. One at a time: see [`HostOutput::KeysTaken`].
    Keys(Vec<u8>),
    /// The host's own terminal has this size.
    Resized(Size),
    /// Stop sharing.
    Stop,
}

/// What a host wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostOutput {
    /// To the links.
    Link(Command),
    /// Start the command, in a PTY of this size.
    Start(Size),
    /// Write this to the PTY. One at a time, until [`HostInput::Written`].
    Write(Vec<u8>),
    /// The PTY has this size now.
    Resize(Size),
    /// The last [`HostInput::Keys`] are on their way: the next may come.
    KeysTaken,
    /// Hang up the PTY.
    HangUp,
    /// For people and programs who watch.
    Notice(HostNotice),
    /// It is over.
    Exit(HostExit),
}

/// What people and programs may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostNotice {
    /// The rendezvous has the session; for the first time, or again.
    Registered,
    /// The rendezvous is lost; it is dialled again.
    RendezvousLost(String),
    /// A handshake entered a stage.
    Stage(LinkId, Stage),
    /// A handshake ended without a link.
    Failed(LinkId, Failure),
    /// Somebody without the right key tried, for the n-th time.
    WrongKey(LinkId, u64),
    /// A viewer is in.
    Joined(MemberId, Role, String, Path),
    /// A viewer is gone.
    Left(MemberId, Cause),
    /// A member sent what its role does not permit; how often by now.
    Violation(MemberId, u32),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostExit {
    /// The command ended with this code.
    Ended(i32),
    /// Somebody stopped it before the command started or ended.
    Stopped,
    /// The session could not be registered.
    Failed(Failure),
    /// No viewer came in time.
    NobodyJoined,
}

impl From<Tick> for HostInput {
    fn from(Tick: Tick) -> HostInput {
        HostInput::Tick
    }
}

impl From<Event> for HostInput {
    fn from(event: Event) -> HostInput {
        HostInput::Link(event)
    }
}

impl LinkUser for Host {
    fn split(output: HostOutput) -> Result<Command, HostOutput> {
        match output {
            HostOutput::Link(command) => Ok(command),
            other @ (HostOutput::Start(_)
            | HostOutput::Write(_)
            | HostOutput::Resize(_)
            | HostOutput::KeysTaken
            | HostOutput::HangUp
            | HostOutput::Notice(_)
            | HostOutput::Exit(_)) => Err(other),
        }
    }
}

/// One link: a handshake, and the member it became.
struct Guest {
    handshake: Handshake,
    role: Option<Role>,
    name: String,
    member: Option<Member>,
    /// When the control lane opened.
    live_at: Option<Timestamp>,
    /// Goodbye is on its way.
    parting: bool,
}

impl Guest {
    fn takes_frames(&self) -> bool {
        self.handshake.stage() >= Stage::FirstScreen && !self.parting
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    NotStarted,
    Running,
    Ended { code: i32, at: Timestamp },
}

/// Whose input is on its way to the PTY.
enum Writing {
    Nobody,
    Own,
    Model,
    Member(LinkId),
}

/// The host's machine.
pub struct Host {
    config: HostConfig,
    dialer: Dialer,
    registration: Handshake,
    registered: bool,
    ever_registered: bool,
    guests: BTreeMap<LinkId, Guest>,
    members_ever: u32,
    wrong_keys: u64,
    program: Program,
    stopping: bool,
    stopped: bool,
    exited: bool,
    now: Timestamp,
    started_at: Timestamp,
    last_cause: String,
    emulator: Emulator,
    dirty: bool,
    next_frame: Timestamp,
    synchronized_until: Option<Timestamp>,
    writing: Writing,
    keys: Option<Vec<u8>>,
    out: VecDeque<HostOutput>,
}

impl Host {
    /// A host that dials on its first input.
    pub fn new(config: HostConfig) -> Host {
        let dialer = Dialer::new(Entropy::new(config.seed).fork());
        let mut emulator = Emulator::new(config.size, config.history);
        emulator.feed(&b"\n".repeat(usize::from(config.rows_taken.min(config.size.rows - 1))));
        emulator.frame();
        Host {
            dialer,
            registration: Handshake::new(Timestamp::ZERO, Stage::ReachingRendezvous),
            registered: false,
            ever_registered: false,
            guests: BTreeMap::new(),
            members_ever: 0,
            wrong_keys: 0,
            program: Program::NotStarted,
            stopping: false,
            stopped: false,
            exited: false,
            now: Timestamp::ZERO,
            started_at: Timestamp::ZERO,
            last_cause: "no answer".to_owned(),
            emulator,
            dirty: true,
            next_frame: Timestamp::ZERO,
            synchronized_until: None,
            writing: Writing::Nobody,
            keys: None,
            out: VecDeque::from([HostOutput::Link(Command::Dial)]),
            config,
        }
    }

    /// The terminal model, for tests and recorders.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Links that are up or on their way: what must return to zero when everybody has left.
    pub fn links(&self) -> usize {
        self.guests.len()
    }

    /// Viewers whose link is up.
    pub fn members(&self) -> usize {
        self.guests.values().filter(|guest| guest.member.is_some()).count()
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
                self.dialer.up();
                self.link(Command::Register);
            }
            Event::SignalDown(cause) => self.on_signal_down(now, cause),
            Event::Registered => self.on_registered(now),
            Event::Refused(None, refusal) => self.on_register_refused(now, refusal),
            Event::Joined { link, versions, .. } => self.on_joined(now, link, &versions),
            Event::Forged(link) => self.on_forged(now, link),
            Event::Hello(link, role, hello) => self.on_hello(now, link, role, hello),
            Event::Envelope(link, envelope) => self.on_envelope(now, link, envelope),
            Event::Progress(link, attempt, progress) => {
                let stage = match progress {
                    Progress::Securing => Stage::Securing,
                    Progress::Confirming => Stage::Confirming,
                };
                self.advance(now, link, attempt, stage);
            }
            Event::Candidate(link, attempt, candidate) => {
                if let Some(guest) = self.current(link, attempt) {
                    guest.handshake.note_local(candidate);
                    self.link(Command::Envelope(link, Envelope::Candidate(attempt, candidate)));
                }
            }
            Event::Confirmed(link, attempt, path) => self.on_confirmed(now, link, attempt, path),
            Event::ControlUp(link, attempt) => self.on_control_up(now, link, attempt),
            Event::Message(link, lane, bytes) => self.on_message(now, link, lane, &bytes),
            Event::Gone(link) => {
                // A link that is up needs no rendezvous.
                if self.guests.get(&link).is_some_and(|guest| guest.handshake.stage() < Stage::Confirming) {
                    self.remove(now, link, Cause::Gone);
                }
            }
            Event::Down(link, attempt, down) => {
                if self.current(link, attempt).is_some() {
                    if self.guests[&link].member.is_none() {
                        self.link(Command::Envelope(link, Envelope::Failed(attempt, down.clone())));
                    }
                    self.remove(now, link, Cause::Down(down));
                }
            }
            // What only viewers are told; a rendezvous that says it to a host talks nonsense.
            Event::Refused(Some(_), _) | Event::Waiting(_) | Event::Verdict(..) => {}
        }
    }

    // The rendezvous.

    fn on_signal_down(&mut self, now: Timestamp, cause: String) {
        self.dialer.down(now);
        self.last_cause.clone_from(&cause);
        if std::mem::take(&mut self.registered) {
            self.notice(HostNotice::RendezvousLost(cause));
        }
    }

    fn on_registered(&mut self, now: Timestamp) {
        if self.registered {
            return;
        }
        self.registered = true;
        self.registration.enter(now, Stage::Live);
        if !self.ever_registered {
            self.ever_registered = true;
            self.started_at = now;
        }
        self.notice(HostNotice::Registered);
        if self.config.start == Start::AtOnce {
            self.start_program();
        }
    }

    fn on_register_refused(&mut self, now: Timestamp, refusal: Refusal) {
        if self.ever_registered {
            // Somebody else's connection may linger at the rendezvous: try again later.
            self.link(Command::HangUp);
            self.on_signal_down(now, refusal.to_string());
        } else {
            let failure = self.registration.fail(now, Cause::Refused(refusal));
            self.exit(HostExit::Failed(failure));
        }
    }

    // Handshakes.

    fn on_joined(&mut self, now: Timestamp, link: LinkId, versions: &[u16]) {
        if self.guests.contains_key(&link) {
            return;
        }
        let refusal = if !versions.iter().any(|version| VERSIONS.contains(version)) {
            Some(Refusal::Version(VERSIONS.to_vec()))
        } else if self.guests.len() - self.members() >= MAX_HANDSHAKES || self.is_over() {
            Some(Refusal::Full)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.link(Command::Refuse(link, refusal));
            return;
        }
        let handshake = Handshake::new(now, Stage::Authenticating);
        let guest = Guest { handshake, role: None, name: String::new(), member: None, live_at: None, parting: false };
        self.guests.insert(link, guest);
        self.notice(HostNotice::Stage(link, Stage::Authenticating));
    }

    fn on_forged(&mut self, now: Timestamp, link: LinkId) {
        // Before the hello it is a wrong key. Later it is somebody in between, and the true envelope may still come.
        if self.guests.get(&link).is_some_and(|guest| guest.role.is_none()) {
            self.wrong_keys += 1;
            self.notice(HostNotice::WrongKey(link, self.wrong_keys));
            self.link(Command::Refuse(link, Refusal::WrongKey));
            self.remove(now, link, Cause::Refused(Refusal::WrongKey));
        }
    }

    fn on_hello(&mut self, now: Timestamp, link: LinkId, role: Role, hello: Hello) {
        let full = self.guests.values().filter(|guest| guest.role.is_some()).count() >= MAX_VIEWERS;
        let Some(guest) = self.guests.get_mut(&link).filter(|guest| guest.role.is_none()) else { return };
        guest.role = Some(role);
        guest.name = hello.name;
        if full {
            self.link(Command::Verdict(link, Verdict::Refused(Refusal::Full)));
            self.remove(now, link, Cause::Refused(Refusal::Full));
            return;
        }
        self.link(Command::Verdict(link, Verdict::Accepted));
        self.open(now, link, Stage::Answer);
    }

    /// Makes a peer and offers it.
    fn open(&mut self, now: Timestamp, link: LinkId, stage: Stage) {
        let Some(guest) = self.guests.get_mut(&link) else { return };
        let attempt = guest.handshake.attempt() + 1;
        guest.handshake.begin_attempt(now, attempt);
        guest.handshake.enter(now, stage);
        self.notice(HostNotice::Stage(link, stage));
        self.link(Command::Open(link, attempt));
        self.link(Command::Envelope(link, Envelope::Offer(attempt)));
    }

    fn on_envelope(&mut self, now: Timestamp, link: LinkId, envelope: Envelope) {
        match envelope {
            Envelope::Answer(attempt) => {
                let waits = self.current(link, attempt).is_some_and(|guest| guest.handshake.stage() == Stage::Answer);
                if waits {
                    self.link(Command::Accept(link, attempt));
                    self.advance(now, link, attempt, Stage::CheckingPaths);
                }
            }
            Envelope::Candidate(attempt, candidate) => {
                if let Some(guest) = self.current(link, attempt) {
                    guest.handshake.note_remote(candidate);
                    self.link(Command::Candidate(link, attempt, candidate));
                }
            }
            Envelope::Failed(attempt, down) => {
                if self.current(link, attempt).is_some_and(|guest| guest.member.is_none()) {
                    self.remove(now, link, Cause::DownThere(down));
                }
            }
            Envelope::Goodbye => self.remove(now, link, Cause::Left),
            // Only hosts offer and judge.
            Envelope::Offer(_) | Envelope::Verdict(_) => {}
        }
    }

    fn advance(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, stage: Stage) {
        let Some(guest) = self.current(link, attempt) else { return };
        if guest.handshake.stage() < stage {
            guest.handshake.enter(now, stage);
            self.notice(HostNotice::Stage(link, stage));
        }
    }

    fn on_confirmed(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, path: Path) {
        self.advance(now, link, attempt, Stage::OpeningControl);
        let bells = self.emulator.bells();
        let Some(guest) = self.current(link, attempt) else { return };
        let (Some(role), None) = (guest.role, &guest.member) else { return };
        let name = guest.name.clone();
        self.members_ever += 1;
        let member = Member::new(MemberId(self.members_ever), role, name, path, bells);
        if let Some(guest) = self.guests.get_mut(&link) {
            guest.member = Some(member);
        }
    }

    fn on_control_up(&mut self, now: Timestamp, link: LinkId, attempt: Attempt) {
        self.advance(now, link, attempt, Stage::FirstScreen);
        let Some(member) = self.current(link, attempt).and_then(|guest| guest.member.as_ref()) else { return };
        let (id, role, name, path) = (member.id, member.role, member.name.clone(), member.path);
        self.say(link, &FromHost::Welcome { member: id, role });
        self.notice(HostNotice::Joined(id, role, name, path));
        if let Start::WhenJoined(_) = self.config.start {
            self.start_program();
        }
        if let Some(guest) = self.guests.get_mut(&link) {
            guest.live_at = Some(now);
        }
        self.dirty = true;
    }

    /// The guest of `link`, if `attempt` is its current one.
    fn current(&mut self, link: LinkId, attempt: Attempt) -> Option<&mut Guest> {
        self.guests.get_mut(&link).filter(|guest| guest.handshake.attempt() == attempt)
    }

    // Members.

    fn on_message(&mut self, now: Timestamp, link: LinkId, lane: Lane, bytes: &[u8]) {
        if lane == Lane::Terminal {
            return;
        }
        let Ok(frame) = FromViewer::decode(bytes) else {
            self.violate(now, link);
            return;
        };
        let running = self.program == Program::Running;
        let Some(guest) = self.guests.get_mut(&link) else { return };
        let Some(member) = guest.member.as_mut() else { return };
        match frame {
            FromViewer::Ack(ranges) => {
                member.outbound.acknowledge(&ranges);
                if guest.handshake.stage() == Stage::FirstScreen {
                    guest.handshake.enter(now, Stage::Live);
                    self.notice(HostNotice::Stage(link, Stage::Live));
                }
            }
            FromViewer::Input { first, events } => {
                if !may_type(member.role) || member.inbound.accept(first, events).is_err() {
                    self.violate(now, link);
                } else if !running {
                    member.inbound.discard();
                }
            }
            FromViewer::Size(_) => {}
            FromViewer::Goodbye => self.remove(now, link, Cause::Left),
            FromViewer::GoodbyeHeard => {
                if guest.parting {
                    self.remove(now, link, Cause::Left);
                }
            }
        }
    }

    fn violate(&mut self, now: Timestamp, link: LinkId) {
        let Some(member) = self.guests.get_mut(&link).and_then(|guest| guest.member.as_mut()) else { return };
        member.violations += 1;
        let (id, count) = (member.id, member.violations);
        self.notice(HostNotice::Violation(id, count));
        if count >= MAX_VIOLATIONS {
            let why = "it sent what it may not send".to_owned();
            self.say(link, &FromHost::Goodbye(Goodbye::Removed(why)));
            self.remove(now, link, Cause::Refused(Refusal::Denied));
        }
    }

    /// The one way out: goodbye, a failed handshake, a link down and silence all end here.
    fn remove(&mut self, now: Timestamp, link: LinkId, cause: Cause) {
        let Some(guest) = self.guests.remove(&link) else { return };
        if matches!(self.writing, Writing::Member(writer) if writer == link) {
            self.writing = Writing::Own;
        }
        match guest.member {
            Some(member) => self.notice(HostNotice::Left(member.id, cause)),
            None => self.notice(HostNotice::Failed(link, guest.handshake.fail(now, cause))),
        }
        self.link(Command::Close(link));
    }

    fn say(&mut self, link: LinkId, frame: &FromHost) {
        self.link(Command::Send(link, Lane::Control, frame.encode()));
    }

    // The program.

    fn start_program(&mut self) {
        if self.program == Program::NotStarted && !self.stopping {
            self.program = Program::Running;
            let size = self.emulator.head().size;
            self.out.push_back(HostOutput::Start(size));
        }
    }

    fn end(&mut self, now: Timestamp, code: i32) {
        if self.program != Program::Running {
            return;
        }
        self.program = Program::Ended { code, at: now };
        self.emulator.end_synchronized();
        self.synchronized_until = None;
        self.dirty = true;
        self.next_frame = now;
        self.writing = Writing::Nobody;
        for guest in self.guests.values_mut() {
            if let Some(member) = guest.member.as_mut() {
                member.inbound.discard();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.exited || self.stopping
    }

    /// Hangs up, and parts from everybody as if the command had ended, without lingering.
    fn stop(&mut self, now: Timestamp) {
        if self.is_over() {
            return;
        }
        self.stopping = true;
        self.config.linger = Duration::ZERO;
        match self.program {
            Program::NotStarted => self.exit(HostExit::Stopped),
            Program::Running => {
                self.out.push_back(HostOutput::HangUp);
                self.end(now, 0);
                self.stopped = true;
            }
            Program::Ended { .. } => {}
        }
    }

    fn exit(&mut self, exit: HostExit) {
        if !self.exited {
            self.exited = true;
            self.link(Command::Unregister);
            self.link(Command::HangUp);
            self.out.push_back(HostOutput::Exit(exit));
        }
    }

    // Time.

    fn on_time(&mut self, now: Timestamp) {
        if self.dialer.try_expired(now) {
            self.on_signal_down(now, "no answer within 5 s".to_owned());
        }
        if self.dialer.due(now) && !self.exited {
            self.dialer.dial(now);
            self.link(Command::Dial);
        }
        let overdue: Vec<_> =
            self.guests.iter().filter(|(_, guest)| guest.handshake.overdue(now)).map(|(link, _)| *link).collect();
        for link in overdue {
            self.link(Command::Envelope(link, Envelope::Goodbye));
            self.remove(now, link, Cause::NoAnswer);
        }
        let stalled: Vec<_> = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.handshake.fresh_attempt_at().is_some_and(|at| at <= now))
            .map(|(link, _)| *link)
            .collect();
        for link in stalled {
            self.open(now, link, Stage::Answer);
        }
        if !self.ever_registered && self.registration.overdue(now) {
            let failure = self.registration.fail(now, Cause::Signal(self.last_cause.clone()));
            self.exit(HostExit::Failed(failure));
        }
        if let (Program::NotStarted, Some(deadline)) = (self.program, self.join_deadline())
            && deadline <= now
        {
            self.exit(HostExit::NobodyJoined);
        }
        if self.synchronized_until.is_some_and(|until| until <= now) {
            self.synchronized_until = None;
            self.emulator.end_synchronized();
            self.dirty = true;
        }
    }

    fn join_deadline(&self) -> Option<Timestamp> {
        match self.config.start {
            Start::WhenJoined(Some(within)) if self.ever_registered => Some(self.started_at + within),
            Start::WhenJoined(_) | Start::AtOnce => None,
        }
    }

    // What goes out after every input.

    fn pump(&mut self, now: Timestamp) {
        self.pump_writes();
        self.pump_frames(now);
        self.pump_ending(now);
    }

    fn pump_writes(&mut self) {
        if !self.config.headless {
            // The own terminal answers the program's queries.
            self.emulator.take_replies();
        }
        if self.program != Program::Running {
            self.emulator.take_replies();
            if self.keys.take().is_some() {
                self.out.push_back(HostOutput::KeysTaken);
            }
            return;
        }
        if !matches!(self.writing, Writing::Nobody) {
            return;
        }
        let replies = self.emulator.take_replies();
        if !replies.is_empty() {
            self.writing = Writing::Model;
            self.out.push_back(HostOutput::Write(replies));
            return;
        }
        if let Some(keys) = self.keys.take() {
            self.writing = Writing::Own;
            self.out.push_back(HostOutput::Write(keys));
            self.out.push_back(HostOutput::KeysTaken);
            return;
        }
        for (link, guest) in &mut self.guests {
            if let Some(bytes) = guest.member.as_mut().and_then(|member| member.inbound.next_write()) {
                self.writing = Writing::Member(*link);
                self.out.push_back(HostOutput::Write(bytes));
                return;
            }
        }
    }

    fn on_written(&mut self) {
        if let Writing::Member(link) = std::mem::replace(&mut self.writing, Writing::Nobody) {
            let Some(member) = self.guests.get_mut(&link).and_then(|guest| guest.member.as_mut()) else { return };
            let taken = member.inbound.taken();
            if taken > member.taken_sent {
                member.taken_sent = taken;
                self.say(link, &FromHost::Taken(taken));
            }
        }
    }

    fn pump_frames(&mut self, now: Timestamp) {
        if !self.guests.values().any(Guest::takes_frames) {
            return;
        }
        if self.dirty && self.next_frame <= now {
            self.dirty = false;
            if self.emulator.frame() {
                self.next_frame = now + FRAME_INTERVAL;
            }
        }
        let title = clip(self.emulator.title().unwrap_or_default());
        let bells = self.emulator.bells();
        for (link, guest) in self.guests.iter_mut().filter(|(_, guest)| guest.takes_frames()) {
            let Some(member) = guest.member.as_mut() else { continue };
            let mut send = |frame: FromHost| {
                let command = Command::Send(*link, Lane::Control, frame.encode());
                self.out.push_back(HostOutput::Link(command));
            };
            while let Some(update) = member.outbound.next(&self.emulator) {
                send(FromHost::Update(update));
            }
            if member.title_sent != title {
                member.title_sent = title.to_owned();
                send(FromHost::Title(title.to_owned()));
            }
            if member.bells_sent != bells {
                member.bells_sent = bells;
                send(FromHost::Bell);
            }
        }
    }

    fn pump_ending(&mut self, now: Timestamp) {
        let Program::Ended { code, at } = self.program else { return };
        if self.exited {
            return;
        }
        let mut leave = Vec::new();
        for (link, guest) in self.guests.iter_mut().filter(|(_, guest)| guest.takes_frames()) {
            let shown = guest.member.as_ref().is_some_and(|member| member.outbound.is_current(&self.emulator));
            if shown && !self.dirty {
                guest.parting = true;
                leave.push(*link);
            }
        }
        let goodbye = if self.stopped { Goodbye::Stopped } else { Goodbye::Ended(code) };
        for link in leave {
            self.say(link, &FromHost::Goodbye(goodbye.clone()));
        }
        let owed = |guest: &Guest| guest.live_at.is_none_or(|live| now < at.max(live) + LAST_SCREEN_WITHIN);
        let lingers = now < at + self.config.linger;
        let late = at + self.config.linger + LATE_HANDSHAKE_WITHIN <= now;
        if late || (!lingers && !self.guests.values().any(owed)) {
            self.exit(if self.stopped { HostExit::Stopped } else { HostExit::Ended(code) });
        }
    }

    /// When the ending may take its next step: the end of the linger, of somebody's time for the last screen, of all patience.
    fn ending_deadline(&self) -> Option<Timestamp> {
        let Program::Ended { at, .. } = self.program else { return None };
        let end = at + self.config.linger;
        let guests =
            self.guests.values().filter_map(|guest| guest.live_at).map(|live| at.max(live) + LAST_SCREEN_WITHIN);
        [end, end + LATE_HANDSHAKE_WITHIN].into_iter().chain(guests).filter(|deadline| *deadline > self.now).min()
    }
}

impl Machine for Host {
    type Input = HostInput;
    type Output = HostOutput;

    fn handle(&mut self, now: Timestamp, input: HostInput) {
        if self.exited {
            return;
        }
        self.now = now;
        if self.dialer.deadline().is_none() && !self.dialer.is_up() {
            self.dialer.dial(now);
        }
        match input {
            HostInput::Tick => {}
            HostInput::Link(event) => self.on_event(now, event),
            HostInput::Printed(bytes) => {
                self.emulator.feed(&bytes);
                self.dirty = true;
                let open = self.emulator.synchronized();
                self.synchronized_until = open.then(|| self.synchronized_until.unwrap_or(now + SYNCHRONIZED_AT_MOST));
            }
            HostInput::Written => self.on_written(),
            HostInput::Ended(code) => self.end(now, code),
            HostInput::Keys(bytes) => self.keys = Some(bytes),
            HostInput::Resized(size) => {
                let size = terminal_size(Some(size), self.config.size);
                if size != self.emulator.head().size {
                    self.emulator.resize(size);
                    self.emulator.frame();
                    self.dirty = true;
                    self.out.push_back(HostOutput::Resize(size));
                }
            }
            HostInput::Stop => self.stop(now),
        }
        self.on_time(now);
        self.pump(now);
    }

    fn poll(&mut self) -> Option<HostOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        if self.exited {
            return None;
        }
        let mut deadline = earliest(self.dialer.deadline(), self.synchronized_until);
        for guest in self.guests.values() {
            deadline = earliest(deadline, guest.handshake.deadline());
            deadline = earliest(deadline, guest.handshake.fresh_attempt_at());
        }
        if self.dirty && self.guests.values().any(Guest::takes_frames) {
            deadline = earliest(deadline, Some(self.next_frame));
        }
        if self.program == Program::NotStarted {
            deadline = earliest(deadline, self.join_deadline());
        }
        if !self.ever_registered {
            deadline = earliest(deadline, self.registration.deadline());
        }
        earliest(deadline, self.ending_deadline())
    }
}

/// The longest beginning of `text` that a frame holds.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
