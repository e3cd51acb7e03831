//! The end of a world: faults stop, everybody comes back, sees the same and types; then the session ends, and nothing
//! stays.

use std::time::Duration;

use beach_core::host::{Awaits, HostInput, HostStatus, MAX_VIEWERS, ModeratorAction};
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::viewer::{ViewerExit, ViewerInput};

use super::checkers::{Broken, Promise, Verdict, input, screens, server, told};
use super::model::{Person, Place, TOLD_WITHIN};
use super::play::Run;
use super::step::{Ending, Invited, Step};
use crate::sim::check::same_screens;
use crate::sim::world::{Who, ms, secs};

/// The longest documented timeout is the rendezvous' silence of 75 s; and ten seconds.
const BACK_WITHIN: Duration = secs(85);

/// Both sides know of a dead link after this time: 15 s, and what repetitions take.
const SILENCE: Duration = secs(20);

/// A newcomer is in after this time: the deadlines of two attempts.
const IN_WITHIN: Duration = secs(25);

/// Somebody who was let in, but whose process is lost, keeps a place until the deadlines of a handshake have passed.
pub(super) const GHOSTS_GONE_WITHIN: Duration = secs(60);

/// Typed words are with the program after this time: each unfinished paste keeps others waiting for 3 s.
const TYPED_WITHIN: Duration = secs(30);

/// Viewers whose host is lost try to come back for 120 s, and the rendezvous forgets within 75 s.
const GONE_WITHIN: Duration = secs(240);

/// Members know what the host said after this time.
const HEARD_WITHIN: Duration = secs(3);

/// The pages that a program prints right before its end.
const PAGES: u64 = 30;

/// The exit code of programs.
const CODE: i32 = 7;

impl<E: Engine> Run<E> {
    /// See the module.
    pub(super) fn settle(&mut self) -> Verdict {
        self.stop_faults()?;
        self.come_back()?;
        self.newcomer()?;
        self.everybody_types()?;
        self.everybody_hears()?;
        self.end()
    }

    fn stop_faults(&mut self) -> Verdict {
        // Where nothing was wrong nothing is mended, and everybody who was let in still has to be in in time.
        if self.model.is_disturbed {
            self.heal();
            self.thaw();
            self.take(&Step::RendezvousStarts)?;
        }
        self.flood = None;
        self.take(&Step::TerminalsGoOn)?;
        self.observe()?;
        if self.model.session().is_over {
            self.begin_session();
        }
        self.take(&Step::Reads)?;
        self.act(ModeratorAction::Resume);
        self.complete_by = self.now() + BACK_WITHIN;
        self.observe()
    }

    /// Lets in everybody who waits.
    fn approve_all(&mut self) -> Verdict {
        let status = self.world.hosts[self.model.current()].node.machine().status();
        for pending in status.pending.into_iter().filter(|pending| pending.awaits == Awaits::Person) {
            self.act(ModeratorAction::Approve(pending.id));
        }
        self.observe()
    }

    /// Whether everybody is connected, sees the same and was told the same; the error says what is missing.
    fn missing(&self) -> Result<(), (Promise, String)> {
        let session = self.model.current();
        let host = self.world.hosts[session].node.machine();
        let status = host.status();
        let is_listed = |person: &Person| status.pending.iter().any(|pending| pending.name == person.name);
        for (viewer, person) in self.model.people.iter().enumerate() {
            if !person.is_running || person.session != session || !self.is_reachable(viewer) {
                continue;
            }
            let machine = self.world.viewers[viewer].node.machine();
            let stage = machine.stage();
            match person.place {
                // For a place: everybody else who waits has just been let in. Amid faults the host may have lost them.
                Place::Outside
                    if stage == Stage::WaitingForApproval && (is_listed(person) || self.model.is_disturbed) => {}
                Place::Here if stage == Stage::Live && !person.is_cut_off => {
                    let same = same_screens(machine.screen(), host.emulator());
                    same.map_err(|why| {
                        (Promise::EqualScreens, format!("viewer {viewer}: {why}; {}", self.world.story(viewer)))
                    })?;
                    self.is_told(viewer, &status)?;
                }
                Place::Outside | Place::Away | Place::Here => {
                    let story = self.world.story(viewer);
                    let what = format!("viewer {viewer} is {:?} for the host, and at {stage}: {story}", person.place);
                    return Err((Promise::Liveness, what));
                }
            }
        }
        Ok(())
    }

    /// Whether a viewer was told of the state in which the host has this member.
    fn is_told(&self, viewer: usize, status: &HostStatus) -> Result<(), (Promise, String)> {
        let person = &self.model.people[viewer];
        let role = status.members.iter().find(|member| member.name == person.name).map(|member| member.role);
        if person.told_paused == status.paused && person.told_role == role {
            return Ok(());
        }
        let (paused, told) = (person.told_paused, person.told_role);
        let what = format!("viewer {viewer} was told: paused {paused}, {told:?}; true is {}, {role:?}", status.paused);
        Err((Promise::Told, what))
    }

    /// Lets time pass until nothing is missing.
    fn until_complete(&mut self, within: Duration) -> Verdict {
        let end = self.complete_by.max(self.now() + within);
        loop {
            self.approve_all()?;
            let Err((promise, what)) = self.missing() else { return Ok(()) };
            if self.now() >= end {
                return Err(Broken { promise, what, at: self.now() });
            }
            self.pass(ms(250))?;
        }
    }

    fn come_back(&mut self) -> Verdict {
        // A link that carries nothing more is noticed after 15 s of silence.
        if self.model.is_disturbed {
            self.pass(SILENCE)?;
        }
        self.until_complete(BACK_WITHIN)?;
        // The last changes are painted within one refresh.
        self.pass(ms(500))?;
        self.until_complete(secs(5))
    }

    /// Lets everybody in who waits, and waits until places are free again that viewers without a process had. Another
    /// such viewer may wait for that place; nobody waits for longer than the deadline of that stage.
    fn ghosts_go(&mut self) -> Verdict {
        loop {
            self.approve_all()?;
            self.pass(GHOSTS_GONE_WITHIN)?;
            let status = self.world.hosts[self.model.current()].node.machine().status();
            if !status.pending.iter().any(|pending| pending.awaits == Awaits::Person) {
                return Ok(());
            }
        }
    }

    /// Somebody comes by the newest invite.
    fn newcomer(&mut self) -> Verdict {
        let session = self.model.current();
        if self.model.once {
            self.act(ModeratorAction::Rotate);
            self.observe()?;
        }
        if self.model.crowd(session) >= self.model.max_viewers {
            return Ok(());
        }
        if self.model.max_viewers < MAX_VIEWERS {
            self.ghosts_go()?;
        }
        let before = self.model.people.len();
        let join = Step::Join { role: Role::View, by: Invited::Current, away: 10, router: None, direct: false };
        self.take(&join)?;
        if self.model.people.len() == before {
            return Ok(());
        }
        let end = self.now() + IN_WITHIN;
        while self.world.viewers[before].node.machine().stage() != Stage::Live
            || self.model.people[before].place != Place::Here
        {
            let story = self.world.story(before);
            let is_late = self.now() >= end || !self.model.people[before].is_running;
            if is_late {
                let what = format!("viewer {before} came by a good invite: {story}");
                return Err(Broken { promise: Promise::Newcomer, what, at: self.now() });
            }
            self.approve_all()?;
            self.pass(ms(250))?;
        }
        self.until_complete(secs(10))
    }

    fn everybody_types(&mut self) -> Verdict {
        for viewer in 0..self.model.people.len() {
            self.types(viewer, 2);
        }
        self.take(&Step::HostTypes(1))?;
        let session = self.model.current();
        let end = self.now() + TYPED_WITHIN;
        while let Err(broken) = input::nothing_lost(&self.model, self.now(), session, self.host_typed) {
            if self.now() >= end {
                return Err(broken);
            }
            self.pass(ms(250))?;
        }
        let now = self.now();
        self.until_complete(secs(10))?;
        if self.scrollback_is_plain() {
            for viewer in 0..self.model.people.len() {
                let person = &self.model.people[viewer];
                if person.place == Place::Here && person.session == session && !self.forgotten.contains(&viewer) {
                    screens::scrollback(now, viewer, &mut self.world.viewers[viewer].terminal)?;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing in the script moves numbered lines.
    fn scrollback_is_plain(&self) -> bool {
        !self.script.steps.iter().any(|step| {
            matches!(step, Step::Noise(_) | Step::Modes(_) | Step::HostResizes(..) | Step::ViewerResizes(..))
        })
    }

    /// Whether a viewer is on a link, or can come back on one.
    fn is_reachable(&self, viewer: usize) -> bool {
        let person = &self.model.people[viewer];
        let is_live = self.world.viewers[viewer].node.machine().stage() == Stage::Live && !person.is_cut_off;
        (is_live && person.place == Place::Here) || self.model.can_come_back(person)
    }

    /// Members of the session that are here, and whose processes run.
    fn members(&self) -> Vec<usize> {
        let session = self.model.current();
        let people = self
            .model
            .people
            .iter()
            .enumerate()
            .filter(|(_, person)| person.place == Place::Here && person.session == session && person.is_running);
        people.map(|(viewer, _)| viewer).filter(|viewer| self.is_reachable(*viewer)).collect()
    }

    /// The host says something, and every member is told.
    fn everybody_hears(&mut self) -> Verdict {
        // The host hears of an open control lane half a round trip later than the viewer.
        self.pass(secs(1))?;
        let members = self.members();
        let number = self.model.session().said + 1;
        if !self.act(ModeratorAction::Say(told::message(number))) {
            return Ok(());
        }
        self.pass(HEARD_WITHIN)?;
        for viewer in members {
            let heard = self.model.people[viewer].heard;
            if heard != number {
                let what = format!("the host said message {number}, and viewer {viewer} was told {heard} last: ");
                let what = what + &self.world.story(viewer);
                return Err(Broken { promise: Promise::Told, what, at: self.now() });
            }
        }
        Ok(())
    }

    /// The session ends as the plan says, everybody learns how, and goes.
    fn end(&mut self) -> Verdict {
        let members = self.members();
        let expected = self.end_session(&members)?;
        let end = self.now() + TOLD_WITHIN;
        let is_told = |run: &Run<E>, viewer: &usize| run.world.viewers[*viewer].exit.is_some();
        while self.now() < end && !members.iter().all(|viewer| is_told(self, viewer)) {
            self.pass(ms(250))?;
        }
        for viewer in members {
            let exit = self.world.viewers[viewer].exit.as_ref().map(|(_, exit)| exit);
            if exit != Some(&expected) {
                let what = format!("viewer {viewer} was told {exit:?}, not {expected:?}: {}", self.world.story(viewer));
                return Err(Broken { promise: Promise::Ending, what, at: self.now() });
            }
        }
        self.everybody_leaves()
    }

    /// Returns what viewers must be told.
    fn end_session(&mut self, members: &[usize]) -> Result<ViewerExit, Broken> {
        let (session, ending) = (self.model.current(), self.script.plan.ending);
        match ending {
            Ending::Quiet => {}
            Ending::Paused => {
                self.act(ModeratorAction::Pause);
                self.observe()?;
            }
            Ending::Behind | Ending::CutShort => {
                if let Some(first) = members.first() {
                    self.world.freeze(Who::Viewer(*first));
                }
                for page in 0..PAGES {
                    let rows = format!("page {page}\r\n").repeat(50);
                    self.print(format!("\x1b[2J{rows}").into_bytes());
                    self.observe()?;
                }
            }
            Ending::Stopped => {
                self.model.session_ends(self.now(), ViewerExit::Stopped);
                self.world.host_input(session, HostInput::Stop);
                return Ok(ViewerExit::Stopped);
            }
        }
        self.model.session_ends(self.now(), ViewerExit::Ended(CODE));
        self.world.end_program(session, CODE);
        let is_behind = matches!(ending, Ending::Behind | Ending::CutShort);
        if let Some(first) = members.first().filter(|_| is_behind) {
            self.pass(secs(1))?;
            if ending == Ending::CutShort {
                self.world.host_input(session, HostInput::Stop);
            }
            self.pass(ms(500))?;
            self.world.thaw(Who::Viewer(*first));
            self.viewer_slept(*first);
        }
        Ok(ViewerExit::Ended(CODE))
    }

    fn everybody_leaves(&mut self) -> Verdict {
        for host in 0..self.world.hosts.len() {
            if self.world.hosts[host].exit.is_none() && !self.model.sessions[host].is_over {
                self.world.host_input(host, HostInput::Stop);
            }
        }
        for viewer in 0..self.model.people.len() {
            if self.model.people[viewer].is_running {
                self.world.viewer_input(viewer, ViewerInput::Leave);
            }
        }
        for stranger in std::mem::take(&mut self.strangers) {
            self.world.stranger_leaves(stranger);
        }
        let end = self.now() + GONE_WITHIN;
        let is_empty = |run: &Run<E>| run.world.rendezvous().is_none_or(|it| it.counts() == (0, 0, 0));
        while self.now() < end && !is_empty(self) {
            self.pass(secs(1))?;
        }
        let now = self.now();
        self.world.rendezvous().map_or(Ok(()), |rendezvous| server::nothing_stays(now, rendezvous))
    }
}
