//! The effect of each step.
#![expect(clippy::wildcard_enum_match_arm, reason = "each group of steps has a function, which gets no other steps")]

use std::net::{IpAddr, Ipv4Addr};

use beach_core::endpoint::Paths;
use beach_core::host::{Awaits, HostInput, ModeratorAction};
use beach_core::id::{LinkId, MemberId};
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::VERSIONS;
use beach_core::terminal::Size;
use beach_core::viewer::{ViewerExit, ViewerInput};
use beach_core::wire::signal::{ToRendezvous, to_text};

use super::checkers::input::{own_word, word};
use super::checkers::{Verdict, screens, told};
use super::model::{OwnWord, Person, Place, Session, Word};
use super::play::{Flood, Run};
use super::step::{Invited, Keep, Layer, Router, Step};
use crate::sim::nat::Nat;
use crate::sim::network::{Bursts, Pipe, Wire};
use crate::sim::program::{Script as Program, noise};
use crate::sim::world::{HostPlan, ViewerPlan, Who, ms, secs};

/// Most viewers of a world whose processes run at one time.
const MAX_RUNNING: usize = 8;

/// The server in the links.
const SERVER: &str = "http://rendezvous.test";

/// The sequences by which a program switches modes on and off.
const MODES: [&str; 10] = [
    "\x1b[?2004h",
    "\x1b[?2004l",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?25l",
    "\x1b[?25h",
    "\x1b[?1000h\x1b[?1006h",
    "\x1b[?1000l",
    "\x1b[>1u",
    "\x1b[<u",
];

impl<E: Engine> Run<E> {
    /// Takes a step.
    pub(super) fn take(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Wait(span) => return self.pass(ms(*span)),
            Step::Join { role, by, away, router, direct } => self.join(*role, *by, *away, *router, *direct),
            Step::Leave(pick) => {
                if let Some(viewer) = self.awake(*pick) {
                    self.model.people[viewer].has_left = true;
                    self.model.hamper(self.now(), viewer);
                    self.world.viewer_input(viewer, ViewerInput::Leave);
                }
            }
            Step::ViewerDies(pick) => {
                if let Some(viewer) = self.running(*pick) {
                    self.world.kill_viewer(viewer);
                    self.viewer_gone(self.now(), viewer);
                }
            }
            Step::Approve(_)
            | Step::Deny(..)
            | Step::Kick(..)
            | Step::Rotate
            | Step::Grant(_)
            | Step::Revoke(_)
            | Step::Pause
            | Step::Resume
            | Step::Say => self.moderate(step),
            Step::HostTypes(_) | Step::HostPastes { .. } | Step::HostResizes(..) => self.host_does(step),
            Step::Types(pick, count) => self.types(*pick, *count),
            Step::Pastes { pick, pieces, goes_on, ends } => self.pastes(*pick, *pieces, *goes_on, *ends),
            Step::ViewerResizes(pick, cols, rows) => {
                if let Some(viewer) = self.awake(*pick) {
                    let size = Size::new(*cols, *rows);
                    self.world.viewers[viewer].terminal.resize(size);
                    self.world.viewer_input(viewer, ViewerInput::Resized(size));
                }
            }
            Step::TerminalStalls(pick) => {
                if let Some(viewer) = self.awake(*pick) {
                    self.world.viewers[viewer].terminal_stalled = true;
                }
            }
            Step::TerminalsGoOn => (0..self.world.viewers.len()).for_each(|it| self.world.resume_terminal(it)),
            Step::Lines(_) | Step::Noise(_) | Step::Flood(..) | Step::Asks(_) | Step::Modes(_) => self.program(step),
            Step::Deaf | Step::Reads => self.program(step),
            Step::FreezeHost | Step::FreezeViewer(_) | Step::Thaw | Step::HostDies => self.processes(step),
            Step::ProgramEnds(_) | Step::Stop => self.ends(step),
            Step::RendezvousDies | Step::RendezvousStarts | Step::RendezvousMute(_) => self.rendezvous(step),
            Step::Loss(..) | Step::Bursts(..) | Step::Narrow(..) | Step::Damage(_) | Step::Heal => self.network(step),
            Step::Cut(_) | Step::Mute(_) | Step::MuteHost | Step::Block(_) | Step::BlockHost => self.partition(step),
            Step::Moves(_) | Step::HostMoves | Step::Rebinds(_) => self.moves(step),
            Step::SignalBreaks(_) | Step::HostSignalBreaks | Step::HostShutOut => self.signalling(step),
            Step::Stranger(count) => self.stranger(*count),
        }
        Ok(())
    }

    fn host(&self) -> usize {
        self.model.current()
    }

    /// Whether the current host runs and hears.
    fn host_is_awake(&self) -> bool {
        let session = &self.model.sessions[self.host()];
        !session.is_over && !session.is_frozen
    }

    fn pick(&self, pick: usize, may: impl Fn(&Person) -> bool) -> Option<usize> {
        let people = self.model.people.iter().enumerate().filter(|(_, person)| person.is_running && may(person));
        let all: Vec<_> = people.map(|(index, _)| index).collect();
        all.get(pick.checked_rem(all.len())?).copied()
    }

    fn running(&self, pick: usize) -> Option<usize> {
        self.pick(pick, |_| true)
    }

    fn awake(&self, pick: usize) -> Option<usize> {
        self.pick(pick, |person| !person.is_frozen && !person.has_left)
    }

    /// Somebody who has a screen.
    fn live(&self, pick: usize) -> Option<usize> {
        let viewer = self.pick(pick, |person| {
            !person.is_frozen && !person.has_left && person.place != Place::Outside && person.id.is_some()
        })?;
        (self.world.viewers[viewer].node.machine().stage() == Stage::Live).then_some(viewer)
    }

    /// A session begins: a host with secrets of its own.
    pub(super) fn begin_session(&mut self) {
        let plan = self.script.plan.clone();
        let number = self.model.sessions.len() as u64;
        let mut host = HostPlan::new(plan.seed.wrapping_mul(16) + number);
        host.config.approve = plan.approve;
        host.config.max_viewers = plan.max_viewers;
        host.config.links.once = plan.once;
        host.config.headless = plan.headless;
        host.config.size = Size::new(plan.size.0, plan.size.1);
        host.script = if plan.echoes { Program::Shell } else { Program::Mute };
        host.paths = Paths::Any;
        self.world.add_host(host);
        self.model.sessions.push(Session::default());
        self.invites.push(Vec::new());
        self.note_invites();
    }

    /// Keeps the newest invites.
    fn note_invites(&mut self) {
        let session = self.host();
        let endpoint = self.world.hosts[session].node.endpoint();
        let invites = [Role::Control, Role::View].map(|role| endpoint.invite(SERVER, role).expect("it is a host"));
        let generation = self.model.sessions[session].generation as usize;
        let known = &mut self.invites[session];
        known.truncate(generation);
        known.push(invites);
    }

    fn join(&mut self, role: Role, by: Invited, away: u64, router: Option<Router>, direct: bool) {
        let session = self.host();
        let running = self.model.people.iter().filter(|person| person.is_running).count();
        if running >= MAX_RUNNING || self.model.sessions[session].is_over {
            return;
        }
        let generation = self.model.sessions[session].generation;
        let generation = match by {
            Invited::Current => generation,
            Invited::Withdrawn => generation.saturating_sub(1),
        };
        let invites = &self.invites[session][generation as usize];
        let invite = if role == Role::Control { &invites[0] } else { &invites[1] };
        let mut plan = ViewerPlan::new(invite.clone());
        plan.at = self.now().since_start() + ms(1);
        plan.wait = Some(secs(15));
        plan.reconnect = secs(120);
        plan.wire = Wire { jitter: ms(away / 4), ..Wire::steady(ms(away)) };
        plan.signal = Wire { jitter: ms(3), ..Wire::steady(ms(5 + away / 2)) };
        plan.paths = if direct && router.is_none() { Paths::DirectOnly } else { Paths::Any };
        plan.size = Size::new(60 + (away % 60) as u16, 10 + (away % 30) as u16);
        let wire = plan.wire;
        let viewer = self.world.add_viewer(plan);
        self.viewer_started(wire);
        if let Some(router) = router {
            let public = IpAddr::from(Ipv4Addr::new(203, 0, (viewer >> 8) as u8, viewer as u8));
            let nat = Nat::new(public, router.mapping, router.filtering, secs(router.expiry));
            self.world.put_behind(Who::Viewer(viewer), nat);
        }
        self.model.people.push(Person::new(viewer, session, role, generation));
    }

    // People.

    fn moderate(&mut self, step: &Step) {
        if !self.host_is_awake() {
            return;
        }
        let status = self.world.hosts[self.host()].node.machine().status();
        let of = |all: Vec<MemberId>, pick: usize| all.get(pick.checked_rem(all.len())?).copied();
        let members: Vec<_> = status.members.iter().map(|member| member.id).collect();
        let pending: Vec<_> = status.pending.iter().map(|pending| pending.id).collect();
        let asked = status.pending.iter().filter(|pending| pending.awaits == Awaits::Person);
        let asked: Vec<_> = asked.map(|pending| pending.id).collect();
        let act = match step {
            Step::Approve(pick) => of(asked, *pick).map(ModeratorAction::Approve),
            Step::Deny(pick, keep) => {
                of(pending, *pick).map(|member| ModeratorAction::Deny { member, keep_links: *keep == Keep::Links })
            }
            Step::Kick(pick, keep) => of([members, pending].concat(), *pick)
                .map(|member| ModeratorAction::Kick { member, keep_links: *keep == Keep::Links }),
            Step::Rotate => Some(ModeratorAction::Rotate),
            Step::Grant(pick) => of(members, *pick).map(ModeratorAction::Grant),
            Step::Revoke(pick) => of(members, *pick).map(ModeratorAction::Revoke),
            Step::Pause => Some(ModeratorAction::Pause),
            Step::Resume => Some(ModeratorAction::Resume),
            _ => Some(ModeratorAction::Say(told::message(self.model.session().said + 1))),
        };
        if let Some(act) = act {
            self.act(act);
        }
    }

    /// The person at the host decides, unless the host objects.
    pub(super) fn act(&mut self, act: ModeratorAction) -> bool {
        let host = self.host();
        let machine = self.world.hosts[host].node.machine();
        if machine.may(&act).is_err() {
            return false;
        }
        let version = machine.emulator().head().version;
        let named = match &act {
            ModeratorAction::Approve(id)
            | ModeratorAction::Deny { member: id, .. }
            | ModeratorAction::Kick { member: id, .. } => self.known_as(*id),
            _ => Default::default(),
        };
        self.world.host_input(host, HostInput::Act(act.clone()));
        self.model.decided(self.now(), &act, version, &named);
        self.note_invites();
        true
    }

    fn host_does(&mut self, step: &Step) {
        let host = self.host();
        if self.script.plan.headless || !self.program_runs() {
            return;
        }
        match step {
            Step::HostTypes(count) => {
                for _ in 0..*count {
                    let word = self.next_own_word();
                    self.world.host_input(host, HostInput::Keys(word.into_bytes()));
                }
            }
            Step::HostPastes { ends } => {
                let end = if *ends { "\x1b[201~" } else { "" };
                let paste = format!("\x1b[200~{}{end}", self.next_own_word());
                self.world.host_input(host, HostInput::Keys(paste.into_bytes()));
            }
            Step::HostResizes(cols, rows) => {
                self.world.host_input(host, HostInput::Resized(Size::new(*cols, *rows)));
            }
            _ => {}
        }
    }

    fn next_own_word(&mut self) -> String {
        self.host_typed = true;
        let at = self.now();
        let session = self.model.session();
        session.own_ever += 1;
        let number = session.own_ever;
        session.own.push(OwnWord { number, at, is_excused: false });
        own_word(number)
    }

    fn next_word(&mut self, viewer: usize, is_pasted: bool) -> String {
        let at = self.now();
        let words = &mut self.model.people[viewer].words;
        let number = words.len() as u64 + 1;
        words.push(Word { number, at, is_pasted });
        word(viewer, number)
    }

    pub(super) fn types(&mut self, pick: usize, count: u64) {
        let Some(viewer) = self.live(pick) else { return };
        for _ in 0..count {
            let word = self.next_word(viewer, false);
            self.world.type_keys(viewer, &word);
        }
    }

    fn pastes(&mut self, pick: usize, pieces: u64, goes_on: bool, ends: bool) {
        let Some(viewer) = self.live(pick) else { return };
        let is_begun = goes_on && self.model.people[viewer].is_pasting;
        let pieces = (0..pieces).map(|_| self.next_word(viewer, true).into_bytes()).collect();
        self.world.paste(viewer, pieces, is_begun, ends);
        self.model.people[viewer].is_pasting = !ends;
    }

    // The program.

    fn program(&mut self, step: &Step) {
        let host = self.host();
        if !self.program_runs() {
            return;
        }
        match step {
            Step::Lines(count) => {
                let session = self.model.session();
                let first = session.lines;
                session.lines += count;
                let lines: String = (first..first + count).map(|line| screens::numbered(line) + "\r\n").collect();
                self.print(format!("\r\n{lines}").into_bytes());
            }
            Step::Noise(seed) => self.print(noise(*seed)),
            Step::Flood(every, pages) => {
                let next_at = self.now() + ms(*every);
                self.flood = Some(Flood { every: ms(*every), left: *pages, next_at });
            }
            Step::Asks(count) => {
                if self.script.plan.headless {
                    self.model.session().queries.0 += count;
                }
                self.print(b"\x1b[c".repeat(*count as usize));
            }
            Step::Modes(number) => self.print(MODES[*number as usize % MODES.len()].as_bytes().to_vec()),
            Step::Deaf | Step::Reads => {
                let is_deaf = *step == Step::Deaf;
                let session = self.model.session();
                // Input that a deaf program has not read stays unread when the program turns deaf once more.
                if session.is_deaf != is_deaf {
                    session.in_flight.clear();
                }
                session.is_deaf = is_deaf;
                self.world.set_deaf(host, is_deaf);
            }
            _ => {}
        }
    }

    // Processes.

    fn processes(&mut self, step: &Step) {
        let (now, host) = (self.now(), self.host());
        match step {
            Step::FreezeHost if self.host_is_awake() => {
                self.world.freeze(Who::Host(host));
                let session = self.model.session();
                session.is_frozen = true;
                session.own.iter_mut().for_each(|word| word.is_excused = true);
                self.troubles.frozen = true;
            }
            Step::FreezeViewer(pick) => {
                let Some(viewer) = self.awake(*pick) else { return };
                self.world.freeze(Who::Viewer(viewer));
                self.model.people[viewer].is_frozen = true;
                self.viewer_slept(viewer);
                self.troubles.frozen = true;
            }
            Step::Thaw => self.thaw(),
            Step::HostDies if !self.model.sessions[host].is_over => {
                self.world.kill_host(host);
                self.model.end_session(now, host);
                self.flood = None;
                self.begin_session();
            }
            _ => return,
        }
        self.model.disturb();
    }

    /// Members of the session are told, and leave; everything that follows is about another session.
    fn ends(&mut self, step: &Step) {
        let (now, host) = (self.now(), self.host());
        match step {
            Step::ProgramEnds(code) if self.program_runs() => {
                self.model.session_ends(now, ViewerExit::Ended(*code));
                self.world.end_program(host, *code);
            }
            Step::Stop if self.host_is_awake() => {
                self.model.session_ends(now, ViewerExit::Stopped);
                self.world.host_input(host, HostInput::Stop);
            }
            _ => return,
        }
        self.flood = None;
        self.begin_session();
    }

    pub(super) fn thaw(&mut self) {
        for (index, session) in self.model.sessions.iter_mut().enumerate() {
            if std::mem::take(&mut session.is_frozen) {
                self.world.thaw(Who::Host(index));
            }
        }
        for viewer in 0..self.model.people.len() {
            if std::mem::take(&mut self.model.people[viewer].is_frozen) {
                self.world.thaw(Who::Viewer(viewer));
                self.viewer_slept(viewer);
            }
        }
        self.troubles.frozen = false;
    }

    pub(super) fn rendezvous(&mut self, step: &Step) {
        match step {
            Step::RendezvousDies if self.world.rendezvous().is_some() => {
                self.world.kill_rendezvous();
                self.strangers.clear();
                self.troubles.rendezvous = true;
            }
            Step::RendezvousStarts => {
                if self.world.rendezvous().is_none() {
                    self.world.start_rendezvous();
                }
                self.world.mute_rendezvous(false);
                self.troubles.rendezvous = false;
            }
            Step::RendezvousMute(is_mute) => {
                self.world.mute_rendezvous(*is_mute);
                self.troubles.rendezvous = *is_mute || self.world.rendezvous().is_none();
            }
            _ => return,
        }
        self.model.disturb();
    }

    /// Somebody at one address, who knows the session's name, asks to join again and again.
    fn stranger(&mut self, count: u64) {
        if self.world.rendezvous().is_none() || self.model.sessions[self.host()].is_over {
            return;
        }
        let endpoint = self.world.hosts[self.host()].node.endpoint();
        let session = endpoint.invite(SERVER, Role::View).expect("it is a host").session;
        let address = IpAddr::from(Ipv4Addr::new(198, 51, 100, 7));
        let mut connection = None;
        for number in 0..count {
            // A connection takes part in a limited number of sessions, so a stranger opens many.
            if number % 50 == 0 {
                let id = self.world.connect_stranger(address);
                self.strangers.push(id);
                connection = Some(id);
            }
            let link = LinkId(0x5_0000_0000 + self.world.dice.between(0, u64::from(u32::MAX)));
            let join = ToRendezvous::Join {
                session,
                link,
                role: Role::View,
                versions: VERSIONS.to_vec(),
                resumes: None,
                moves: false,
            };
            if let Some(id) = connection {
                self.world.stranger_says(id, to_text(&join));
            }
        }
    }

    // The network.

    fn network(&mut self, step: &Step) {
        match step {
            Step::Loss(pick, percent) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.viewers[viewer].wire.loss = *percent;
            }
            Step::Bursts(pick, per_mille, longest) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.viewers[viewer].bursts = [Bursts::new(*per_mille, *longest); 2];
            }
            Step::Narrow(pick, rate, queue) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.narrow(viewer, [Some(Pipe::new(*rate, *queue)); 2]);
            }
            Step::Damage(per_mille) => self.world.damaged = *per_mille,
            _ => return self.heal(),
        }
        self.troubles.network = true;
        self.model.disturb();
    }

    pub(super) fn heal(&mut self) {
        for viewer in 0..self.wires.len() {
            self.world.viewers[viewer].wire = self.wires[viewer];
            self.world.viewers[viewer].bursts = [Bursts::default(); 2];
            self.world.narrow(viewer, [None; 2]);
            self.world.cut(Who::Viewer(viewer), false);
            self.world.mute(Who::Viewer(viewer), false);
            self.world.block(Who::Viewer(viewer), false);
            self.world.shut_out(Who::Viewer(viewer), false);
        }
        for host in 0..self.model.sessions.len() {
            self.world.mute(Who::Host(host), false);
            self.world.block(Who::Host(host), false);
            self.world.shut_out(Who::Host(host), false);
        }
        self.world.damaged = 0;
        self.troubles.network = false;
        self.model.disturb();
    }

    fn partition(&mut self, step: &Step) {
        match step {
            Step::Cut(pick) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.cut(Who::Viewer(viewer), true);
            }
            Step::Mute(pick) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.mute(Who::Viewer(viewer), true);
            }
            Step::Block(pick) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.block(Who::Viewer(viewer), true);
            }
            Step::BlockHost => self.world.block(Who::Host(self.host()), true),
            _ => self.world.mute(Who::Host(self.host()), true),
        }
        self.troubles.network = true;
        self.model.disturb();
    }

    fn moves(&mut self, step: &Step) {
        // A fake peer keeps the path that it found first; real ones follow.
        if self.script.plan.layer == Layer::Fake {
            return;
        }
        match step {
            Step::Moves(pick) => {
                let Some(viewer) = self.awake(*pick) else { return };
                self.world.move_away(Who::Viewer(viewer));
            }
            Step::Rebinds(pick) => {
                let Some(viewer) = self.awake(*pick) else { return };
                self.world.rebind(Who::Viewer(viewer));
            }
            _ if self.host_is_awake() => self.world.move_away(Who::Host(self.host())),
            _ => return,
        }
        self.model.disturb();
    }

    fn signalling(&mut self, step: &Step) {
        match step {
            Step::SignalBreaks(pick) => {
                let Some(viewer) = self.running(*pick) else { return };
                self.world.break_signal(Who::Viewer(viewer));
            }
            Step::HostSignalBreaks => self.world.break_signal(Who::Host(self.host())),
            _ => {
                self.world.shut_out(Who::Host(self.host()), true);
                self.world.break_signal(Who::Host(self.host()));
                self.troubles.network = true;
            }
        }
        self.model.disturb();
    }
}
