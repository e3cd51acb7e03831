//! Plays a script in a world, beside the model, and asks the checkers after every event.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use beach_core::crypto::invite::Invite;
use beach_core::crypto::sas::Sas;
use beach_core::faults;
use beach_core::host::HostInput;
use beach_core::id::MemberId;
use beach_core::peer::engine::Engine;
use beach_core::rendezvous::ConnectionId;
use beach_core::session::handshake::Stage;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerNotice;

use super::checkers::screens::Frames;
use super::checkers::times::Stages;
use super::checkers::{Broken, Promise, Verdict, admission, input, screens, server, told};
use super::model::{Model, Place};
use super::step::{Layer, Script};
use crate::determinism;
use crate::sim::fake::fake_engine;
use crate::sim::network::Wire;
use crate::sim::real;
use crate::sim::seat::seats;
use crate::sim::world::{Seen, Who, World, ms};

/// The checkers of states are asked this often.
const SAMPLED: Duration = Duration::from_millis(100);

/// The outcome of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How long it lasted, in virtual time.
    pub lasted: Duration,
    /// Viewers that started.
    pub viewers: usize,
    /// Viewers that became members.
    pub members: usize,
    /// Words that reached a PTY.
    pub words: usize,
    /// A digest of everything that everybody put out, and when.
    pub transcript: String,
}

/// Plays a script.
///
/// # Errors
/// The first promise that was broken.
pub fn play(script: &Script) -> Result<Outcome, Broken> {
    let script = script.clone();
    let seed = script.plan.seed;
    let (fault, pages) = (script.plan.fault, script.plan.pages);
    let is_page = move |who| matches!(who, Who::Viewer(index) if pages && index % 2 == 1);
    let played = catch_unwind(AssertUnwindSafe(move || match script.plan.layer {
        Layer::Fake => {
            faults::put_back(fault);
            let world = World::new(seed, seats(fake_engine, is_page)).with_pages(fake_engine);
            Run::new(world, script).play()
        }
        Layer::Str0m => determinism::run(seed, move || {
            let mut world = real::world_of(seed, seats(real::engine, is_page)).with_pages(real::engine);
            faults::put_back(fault);
            world.damage_is_subtle = true;
            Run::new(world, script).play()
        }),
    }));
    faults::put_back(None);
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let what = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Broken { promise: Promise::Assertions, what, at: Timestamp::ZERO })
    })
}

/// Pages that a program prints one after the other.
pub(super) struct Flood {
    pub(super) every: Duration,
    pub(super) left: u64,
    pub(super) next_at: Timestamp,
}

/// The faults that the world has now.
#[derive(Default)]
pub(super) struct Troubles {
    pub(super) network: bool,
    pub(super) frozen: bool,
    pub(super) rendezvous: bool,
}

/// A script that is being played.
pub(super) struct Run<E: Engine> {
    pub(super) script: Script,
    pub(super) world: World<E>,
    pub(super) model: Model,
    /// The invites of each session, for control and for view, oldest first.
    pub(super) invites: Vec<Vec<[Invite; 2]>>,
    frames: Vec<Frames>,
    stages: Vec<Stages>,
    /// The way of each viewer as it began.
    pub(super) wires: Vec<Wire>,
    pub(super) troubles: Troubles,
    pub(super) flood: Option<Flood>,
    pub(super) strangers: Vec<ConnectionId>,
    pub(super) host_typed: bool,
    /// When everybody is back at the latest, once faults have stopped.
    pub(super) complete_by: Timestamp,
    /// Viewers that became members at any time.
    members_ever: BTreeSet<usize>,
    /// Viewers that had to come as new ones.
    pub(super) forgotten: BTreeSet<usize>,
}

impl<E: Engine> Run<E> {
    fn new(world: World<E>, script: Script) -> Run<E> {
        let plan = &script.plan;
        let model = Model::new(plan.approve, plan.max_viewers, plan.once);
        let mut world = world.with_client_addresses();
        world.keeps_seen = true;
        Run {
            script,
            world,
            model,
            invites: Vec::new(),
            frames: Vec::new(),
            stages: Vec::new(),
            wires: Vec::new(),
            troubles: Troubles::default(),
            flood: None,
            strangers: Vec::new(),
            host_typed: false,
            complete_by: Timestamp::ZERO,
            members_ever: BTreeSet::new(),
            forgotten: BTreeSet::new(),
        }
    }

    fn play(mut self) -> Result<Outcome, Broken> {
        self.begin_session();
        self.pass(ms(500))?;
        for step in self.script.steps.clone() {
            self.take(&step)?;
            self.observe()?;
            self.sample()?;
        }
        let lasted = self.world.now().since_start();
        self.settle()?;
        Ok(Outcome {
            lasted,
            viewers: self.model.people.len(),
            members: self.members_ever.len(),
            words: self.model.people.iter().map(|person| person.written.len()).sum(),
            transcript: self.world.transcript(),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, span: Duration) -> Verdict {
        let end = self.now() + span;
        let mut sample_at = self.now() + SAMPLED;
        while self.now() < end {
            let flood_at = self.flood.as_ref().map(|flood| flood.next_at);
            let until = [Some(end), Some(sample_at), flood_at].into_iter().flatten().min().unwrap_or(end);
            while self.world.advance(until.max(self.now())) {
                self.observe()?;
            }
            self.go_on_flooding();
            self.observe()?;
            if self.now() >= sample_at {
                self.sample()?;
                sample_at = self.now() + SAMPLED;
            }
        }
        Ok(())
    }

    fn go_on_flooding(&mut self) {
        let now = self.now();
        let Some(flood) = self.flood.as_mut().filter(|flood| flood.next_at <= now) else { return };
        flood.next_at = now + flood.every;
        flood.left -= 1;
        let page = flood.left;
        if page == 0 {
            self.flood = None;
        }
        let line = |row| format!("\x1b[3{}mpage {page} row {row} {}\x1b[0m\r\n", page % 8, "x".repeat(20));
        let text: String = (0..30).map(line).collect();
        self.print(text.into_bytes());
    }

    /// Whether the program of the current session has begun, and its host hears what the program does.
    pub(super) fn program_runs(&self) -> bool {
        let session = &self.model.sessions[self.model.current()];
        // Every program begins with a prompt.
        let has_begun = !self.world.hosts[self.model.current()].printed.is_empty();
        has_begun && !session.is_over && !session.is_frozen && session.ending.is_none()
    }

    /// The program prints, if it runs.
    pub(super) fn print(&mut self, bytes: Vec<u8>) {
        let session = self.model.current();
        if self.program_runs() {
            self.world.host_input(session, HostInput::Printed(bytes));
        }
    }

    /// Looks at what was put out since the last look.
    pub(super) fn observe(&mut self) -> Verdict {
        for (session, host) in self.world.hosts.iter().enumerate() {
            if let Some(frames) = self.frames.get_mut(session) {
                frames.record(host.node.machine().emulator());
            } else {
                self.frames.push(Frames::default());
            }
        }
        for (at, seen) in std::mem::take(&mut self.world.seen) {
            match seen {
                Seen::Host(session, notice) => {
                    admission::heed(&mut self.model, at, session, &notice)?;
                    let here = self.model.people.iter().enumerate();
                    let here = here.filter(|(_, person)| person.place == Place::Here);
                    self.members_ever.extend(here.map(|(index, _)| index));
                }
                Seen::Write(session, bytes) => input::written(&mut self.model, at, session, &bytes)?,
                Seen::WriteOwn(session, bytes) => input::own_written(&mut self.model, at, session, &bytes)?,
                Seen::TakenBack(session) => input::taken_back(&mut self.model, session),
                Seen::HostEnded(session) => self.model.end_session(at, session),
                Seen::Viewer(viewer, notice) => self.viewer_says(at, viewer, &notice)?,
                Seen::ViewerEnded(viewer, exit) => {
                    server::one_address(&self.model, at, viewer, &exit)?;
                    told::ended(&self.model, at, viewer, &exit)?;
                    admission::way_in_ended(&self.model, at, viewer, &exit)?;
                    self.viewer_gone(at, viewer);
                }
            }
        }
        Ok(())
    }

    /// The process of a viewer is gone.
    pub(super) fn viewer_gone(&mut self, at: Timestamp, viewer: usize) {
        let person = &mut self.model.people[viewer];
        (person.is_running, person.gone_at) = (false, Some(at));
        person.hampered_at = Some(at);
        (person.is_held, person.in_by) = (false, None);
        self.stages[viewer].forget();
    }

    fn viewer_says(&mut self, at: Timestamp, viewer: usize, notice: &ViewerNotice) -> Verdict {
        match notice {
            ViewerNotice::Stage(stage) => self.stages[viewer].entered(at, *stage),
            ViewerNotice::FirstScreen(_, role) => {
                self.model.people[viewer].told_role = Some(*role);
                self.stages[viewer].forget();
            }
            ViewerNotice::Away(_) => self.model.people[viewer].is_cut_off = true,
            ViewerNotice::Back(_) => {
                self.model.people[viewer].is_cut_off = false;
                self.stages[viewer].forget();
            }
            ViewerNotice::Forgotten(_) => {
                self.forgotten.insert(viewer);
                self.model.hamper(at, viewer);
            }
            ViewerNotice::Paused(is_paused) => self.model.people[viewer].told_paused = *is_paused,
            ViewerNotice::Role(role) => self.model.people[viewer].told_role = Some(*role),
            ViewerNotice::Overflow | ViewerNotice::ReadOnly => self.model.hamper(at, viewer),
            ViewerNotice::Sas(words) => self.model.told_words(viewer, *words),
            ViewerNotice::Said(text) => told::heard(&mut self.model, at, viewer, text)?,
            ViewerNotice::Paths(..)
            | ViewerNotice::Unreachable(_)
            | ViewerNotice::Connected(_)
            | ViewerNotice::Path(_)
            | ViewerNotice::Title(_)
            | ViewerNotice::Bell
            | ViewerNotice::Clipboard(_) => {}
        }
        Ok(())
    }

    /// Another viewer has started.
    pub(super) fn viewer_started(&mut self, wire: Wire) {
        self.wires.push(wire);
        self.stages.push(Stages::default());
    }

    /// A viewer's process stood still.
    pub(super) fn viewer_slept(&mut self, viewer: usize) {
        self.stages[viewer].forget();
    }

    /// The name of a member, or the name and the words of somebody who waits.
    pub(super) fn known_as(&self, id: MemberId) -> (String, Option<Sas>) {
        let status = self.world.hosts[self.model.current()].node.machine().status();
        let members = status.members.into_iter().map(|member| (member.id, (member.name, None)));
        let pending = status.pending.into_iter().map(|pending| (pending.id, (pending.name, Some(pending.sas))));
        members.chain(pending).find(|(known, _)| *known == id).map(|(_, known)| known).unwrap_or_default()
    }

    /// Asks the checkers of states.
    pub(super) fn sample(&mut self) -> Verdict {
        let now = self.now();
        if self.troubles.network || self.troubles.frozen || self.troubles.rendezvous {
            self.model.disturb();
        }
        input::in_time(&self.model, now)?;
        admission::approved_get_in(&self.model, now)?;
        told::end_in_time(&self.model, now)?;
        let stages: Vec<_> = self.world.viewers.iter().map(|viewer| viewer.node.machine().stage()).collect();
        // Between two tries to come back no stage has a deadline, and in a pause the first screen has none.
        for ((stage, known), person) in stages.iter().zip(&mut self.stages).zip(&self.model.people) {
            let is_paused = self.model.sessions[person.session].paused_at.is_some();
            if *stage == Stage::Live || (is_paused && *stage == Stage::FirstScreen) {
                known.forget();
            }
        }
        let session = self.model.current();
        if !self.model.sessions[session].is_over && self.model.sessions[session].ending.is_none() {
            let status = self.world.hosts[session].node.machine().status();
            admission::listed(&mut self.model, now, session, &status, &stages)?;
        }
        for (viewer, person) in self.model.people.iter().enumerate().filter(|(_, person)| person.is_running) {
            let screen = self.world.viewers[viewer].node.machine().screen();
            self.frames[person.session].are_shown_by(now, viewer, screen)?;
            screens::nothing_new(now, self.model.sessions[person.session].paused_at, viewer, screen)?;
            self.stages[viewer].in_time(now, viewer)?;
        }
        Ok(())
    }
}
