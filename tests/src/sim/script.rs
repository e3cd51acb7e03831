//! Scripts: what people do to one session, as a list of steps, played on a bare host (tier A1) and checked after every
//! step.
//!
//! [`Step`] is what may happen, [`random`] draws a script, [`Scene`] plays it. Later subjects add steps, and checks to
//! `Scene::check`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::host::{Approve, Awaits, Host, HostConfig, HostInput, HostNotice, HostOutput, ModeratorAction};
use beach_core::id::{LinkId, MemberId};
use beach_core::machine::Machine as _;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Stage};
use beach_core::session::link::{
    Attempt, Command, Envelope, Event, Hello, Lane, LinkDown, Path, PathKind, Progress, Refusal, VERSIONS, Verdict,
};
use beach_core::time::Timestamp;
use beach_core::wire::frame::Up;

use super::network::Dice;
use super::world::{ms, secs};

/// How often the host may want the time without letting any pass.
const SPIN: u32 = 1000;

/// How long a session is left alone at the end: the longest handshake that succeeds takes less.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// By which invite somebody joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The newest one.
    Current,
    /// The one that the last rotation withdrew, if there was one.
    Withdrawn,
}

/// A step. A step's number picks one of the people that the step can be about: the number counts modulo how many there
/// are. Without such people the step does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A person asks to join.
    Join(Role, By),
    /// A person says hello, if they asked to join or to come back, and did not yet.
    Hello(usize),
    /// The host pauses the session.
    Pause,
    /// The host goes on.
    Resume,
    /// The host lets in somebody who waits.
    Approve(usize),
    /// The host does not; the invites stay if the second is true.
    Deny(usize, KeepsInvites),
    /// The host removes a member, or somebody who waits.
    Kick(usize, KeepsInvites),
    /// The host withdraws all invites.
    Rotate,
    /// A person's link is gone.
    LinkLost(usize),
    /// A person who was a member asks to come back.
    ComeBack(usize),
    /// Time passes.
    Wait(Duration),
}

/// Whether the invites stay as they are when somebody is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepsInvites {
    /// The invites stay as they are.
    Yes,
    /// The invites are withdrawn.
    No,
}

/// A script of so many steps.
pub fn random(dice: &mut Dice, steps: usize) -> Vec<Step> {
    (0..steps).map(|_| step(dice)).collect()
}

fn step(dice: &mut Dice) -> Step {
    let pick = dice.between(0, 1000) as usize;
    let keeps = if dice.percent(50) { KeepsInvites::Yes } else { KeepsInvites::No };
    let role = if dice.percent(50) { Role::Control } else { Role::View };
    match dice.between(0, 99) {
        0..=17 => Step::Join(role, if dice.percent(85) { By::Current } else { By::Withdrawn }),
        18..=39 => Step::Hello(pick),
        40..=45 => Step::Pause,
        46..=53 => Step::Resume,
        54..=64 => Step::Approve(pick),
        65..=67 => Step::Deny(pick, keeps),
        68..=70 => Step::Kick(pick, keeps),
        71..=74 => Step::Rotate,
        75..=80 => Step::LinkLost(pick),
        81..=87 => Step::ComeBack(pick),
        88..=90 => Step::Wait(dice.up_to(secs(150))),
        _ => Step::Wait(dice.up_to(secs(2))),
    }
}

/// How far the host has let a person come, by the host's messages to that person.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The person asked to join, and said nothing yet.
    Asked,
    /// The person said hello, and was not answered.
    Greeted,
    /// The person was told to wait.
    Waiting,
    /// The person was let in, and the link is on its way.
    Connecting,
    /// The person is a member.
    Member,
    /// The person's link is gone, and the person may come back.
    Away,
    /// The end: the person was refused, was removed, or left.
    Over,
}

/// Somebody outside.
struct Person {
    name: String,
    role: Role,
    /// How often the invites had been withdrawn before theirs was made.
    generation: u32,
    link: LinkId,
    /// The link on which they became a member.
    origin: Option<LinkId>,
    /// The link on which they are trying to come back, and whether they said hello on it.
    returning: Option<(LinkId, bool)>,
    place: Place,
    id: Option<MemberId>,
    /// A person at the host let them in.
    approved: bool,
    refusal: Option<Refusal>,
}

/// A host, and everybody around it.
pub struct Scene {
    host: Host,
    config: HostConfig,
    dice: Dice,
    now: Timestamp,
    generation: u32,
    is_paused: bool,
    people: Vec<Person>,
    /// The future events below the link seam.
    queue: BTreeMap<(Timestamp, u64), Event>,
    queued_ever: u64,
    links_ever: u64,
    /// Links that the host closed.
    closed: BTreeSet<LinkId>,
    /// Links whose next attempt comes to nothing.
    stalls: BTreeSet<LinkId>,
    played: Vec<Step>,
}

/// The result of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many people became members.
    pub members: usize,
    /// How many of them a person let in.
    pub approved: usize,
    /// How many were refused as their invite was withdrawn.
    pub expired: usize,
}

impl Scene {
    /// A registered session.
    pub fn new(config: HostConfig, dice: Dice) -> Scene {
        let mut scene = Scene {
            host: Host::new(config.clone()),
            config,
            dice,
            now: Timestamp::ZERO,
            generation: 0,
            is_paused: false,
            people: Vec::new(),
            queue: BTreeMap::new(),
            queued_ever: 0,
            links_ever: 0,
            closed: BTreeSet::new(),
            stalls: BTreeSet::new(),
            played: Vec::new(),
        };
        for event in [Event::SignalUp, Event::Registered] {
            scene.input(HostInput::Link(event));
        }
        scene
    }

    /// Plays a script, lets the session go on and settle, and checks it all the way.
    ///
    /// # Panics
    ///
    /// If a check fails; the message holds the steps.
    pub fn play(mut self, script: &[Step]) -> Outcome {
        for step in script {
            self.played.push(*step);
            self.take(*step);
            self.check();
            let pause = self.dice.up_to(ms(300));
            self.pass(pause);
            self.check();
        }
        self.act(ModeratorAction::Resume);
        self.pass(SETTLES_WITHIN);
        self.check();
        self.check_end();
        let members = self.people.iter().filter(|person| person.origin.is_some());
        Outcome {
            members: members.clone().count(),
            approved: members.filter(|person| person.approved).count(),
            expired: self.people.iter().filter(|person| person.refusal == Some(Refusal::Expired)).count(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(role, by) => self.join(role, by),
            Step::Hello(pick) => self.hello(pick),
            Step::Pause => self.act(ModeratorAction::Pause),
            Step::Resume => self.act(ModeratorAction::Resume),
            Step::Approve(pick) => {
                let pending = self.host.status().pending.into_iter();
                let asked: Vec<_> = pending.filter(|it| it.awaits == Awaits::Person).map(|it| it.id).collect();
                if let Some(id) = picked(&asked, pick) {
                    self.act(ModeratorAction::Approve(*id));
                }
            }
            Step::Deny(pick, keeps) => {
                let pending: Vec<_> = self.host.status().pending.into_iter().map(|pending| pending.id).collect();
                if let Some(member) = picked(&pending, pick) {
                    self.act(ModeratorAction::Deny { member: *member, keep_links: keeps == KeepsInvites::Yes });
                }
            }
            Step::Kick(pick, keeps) => {
                let status = self.host.status();
                let members = status.members.iter().map(|member| member.id);
                let all: Vec<_> = members.chain(status.pending.iter().map(|pending| pending.id)).collect();
                if let Some(member) = picked(&all, pick) {
                    self.act(ModeratorAction::Kick { member: *member, keep_links: keeps == KeepsInvites::Yes });
                }
            }
            Step::Rotate => self.act(ModeratorAction::Rotate),
            Step::LinkLost(pick) => self.link_lost(pick),
            Step::ComeBack(pick) => self.come_back(pick),
            Step::Wait(span) => self.pass(span),
        }
    }

    fn new_link(&mut self) -> LinkId {
        self.links_ever += 1;
        LinkId(self.links_ever)
    }

    fn joined(&mut self, link: LinkId, role: Role, resumes: Option<LinkId>) {
        if self.dice.percent(20) {
            self.stalls.insert(link);
        }
        self.input(HostInput::Link(Event::Joined { link, role, versions: VERSIONS.to_vec(), resumes, from: None }));
    }

    fn join(&mut self, role: Role, by: By) {
        let generation = match by {
            By::Current => self.generation,
            By::Withdrawn => self.generation.saturating_sub(1),
        };
        let link = self.new_link();
        self.people.push(Person {
            name: format!("person {}", self.people.len()),
            role,
            generation,
            link,
            origin: None,
            returning: None,
            place: Place::Asked,
            id: None,
            approved: false,
            refusal: None,
        });
        self.joined(link, role, None);
    }

    fn hello(&mut self, pick: usize) {
        let silent = |person: &Person| {
            person.place == Place::Asked
                || (person.place != Place::Over && person.returning.is_some_and(|(_, greeted)| !greeted))
        };
        let silent: Vec<_> = (0..self.people.len()).filter(|index| silent(&self.people[*index])).collect();
        let Some(index) = picked(&silent, pick) else { return };
        let generation = self.generation;
        let person = &mut self.people[*index];
        let hello = Hello { name: person.name.clone(), size: None, history: 0, capabilities: 0 };
        let link = match &mut person.returning {
            Some((link, greeted)) => {
                *greeted = true;
                *link
            }
            None => {
                person.place = Place::Greeted;
                person.link
            }
        };
        // An endpoint tells hellos by withdrawn invites apart.
        let is_outdated = person.returning.is_none() && person.generation < generation;
        let event = if is_outdated { Event::Outdated(link) } else { Event::Hello(link, person.role, hello) };
        if !self.closed.contains(&link) {
            self.input(HostInput::Link(event));
        }
    }

    fn act(&mut self, act: ModeratorAction) {
        if self.host.may(&act).is_err() {
            return;
        }
        let decided = match &act {
            ModeratorAction::Approve(id) => Some((*id, true)),
            ModeratorAction::Deny { member, .. } | ModeratorAction::Kick { member, .. } => Some((*member, false)),
            ModeratorAction::Grant(_)
            | ModeratorAction::Revoke(_)
            | ModeratorAction::Rotate
            | ModeratorAction::Pause
            | ModeratorAction::Resume
            | ModeratorAction::Say(_) => None,
        };
        if let Some((id, yes)) = decided {
            let status = self.host.status();
            let mut names = status.pending.iter().map(|it| (it.id, &it.name));
            let mut members = status.members.iter().map(|it| (it.id, &it.name));
            let found = names.find(|(known, _)| *known == id).or_else(|| members.find(|(known, _)| *known == id));
            let name = found.expect("whoever is decided about is in status").1;
            let person = self.people.iter_mut().find(|person| person.name == *name).expect("one of ours");
            person.approved |= yes;
            if !yes {
                person.place = Place::Over;
            }
        }
        self.input(HostInput::Act(act));
    }

    fn link_lost(&mut self, pick: usize) {
        let linked = |person: &Person| match person.place {
            Place::Asked | Place::Greeted | Place::Waiting | Place::Connecting | Place::Member => true,
            Place::Away | Place::Over => false,
        };
        let linked: Vec<_> = (0..self.people.len()).filter(|index| linked(&self.people[*index])).collect();
        let Some(index) = picked(&linked, pick) else { return };
        let person = &mut self.people[*index];
        let link = person.link;
        let event = if person.place == Place::Member {
            person.place = Place::Away;
            let attempts = 1..=6;
            attempts.map(|attempt| Event::Down(link, attempt, LinkDown::Silent)).collect()
        } else {
            // On the way in nobody can come back, whichever of the two the host is told.
            person.place = Place::Over;
            let mut events: Vec<_> = (1..=6).map(|attempt| Event::Down(link, attempt, LinkDown::Silent)).collect();
            events.push(Event::Gone(link));
            events
        };
        for event in event {
            self.input(HostInput::Link(event));
        }
        self.queue.retain(|_, event| link_of(event) != Some(link));
    }

    fn come_back(&mut self, pick: usize) {
        let may = |person: &Person| {
            person.origin.is_some() && person.returning.is_none() && matches!(person.place, Place::Away | Place::Member)
        };
        let may: Vec<_> = (0..self.people.len()).filter(|index| may(&self.people[*index])).collect();
        let Some(index) = picked(&may, pick) else { return };
        let link = self.new_link();
        let person = &mut self.people[*index];
        person.returning = Some((link, false));
        let (role, origin) = (person.role, person.origin);
        self.joined(link, role, origin);
    }

    // Time, and the events below the seam.

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut spins = (self.now, 0);
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let next = [queued, self.host.deadline()].into_iter().flatten().min().map(|at| at.max(self.now));
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            spins = if spins.0 == next { (next, spins.1 + 1) } else { (next, 0) };
            assert!(spins.1 < SPIN, "the host wants the time again and again: {:?}", self.played);
            match self.queue.first_entry().filter(|entry| entry.key().0 <= next) {
                Some(entry) => {
                    let event = entry.remove();
                    if link_of(&event).is_none_or(|link| !self.closed.contains(&link)) {
                        self.input(HostInput::Link(event));
                    }
                }
                None => self.input(HostInput::Tick),
            }
        }
        self.now = end;
    }

    fn input(&mut self, input: HostInput) {
        self.host.handle(self.now, input);
        // The notices tell the meaning of a link's end.
        let mut commands = Vec::new();
        while let Some(output) = self.host.poll() {
            match output {
                HostOutput::Link(command) => commands.push(command),
                HostOutput::Notice(notice) => self.heed(notice),
                HostOutput::Start(_)
                | HostOutput::Write(_)
                | HostOutput::WriteOwn(_)
                | HostOutput::TakeBack
                | HostOutput::Show(_)
                | HostOutput::ShowLinks(_)
                | HostOutput::Resize(_)
                | HostOutput::KeysTaken
                | HostOutput::HangUp
                | HostOutput::Exit(_) => {}
            }
        }
        commands.into_iter().for_each(|command| self.obey(command));
    }

    fn on(&mut self, link: LinkId) -> Option<&mut Person> {
        self.people.iter_mut().find(|person| person.link == link || person.returning.is_some_and(|(it, _)| it == link))
    }

    /// The host's verdict reaches the person on that link.
    fn told(&mut self, link: LinkId, verdict: Verdict) {
        let Some(person) = self.on(link) else { return };
        if person.returning.is_some_and(|(returning, _)| returning == link) {
            if let Verdict::Refused(_) = verdict {
                person.returning = None;
            }
            return;
        }
        match verdict {
            Verdict::Refused(refusal) => {
                person.place = Place::Over;
                person.refusal = Some(refusal);
            }
            Verdict::Accepted | Verdict::Waiting if person.place == Place::Over => {}
            Verdict::Accepted => person.place = Place::Connecting,
            Verdict::Waiting => person.place = Place::Waiting,
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Verdict(link, verdict) => {
                self.told(link, verdict);
                self.input(HostInput::Link(Event::Sas(link, Sas(link.0))));
            }
            Command::Envelope(link, Envelope::Verdict(verdict)) => self.told(link, verdict),
            Command::Refuse(link, refusal) => {
                self.told(link, Verdict::Refused(refusal));
                self.closed.insert(link);
            }
            Command::Close(link) => {
                self.closed.insert(link);
            }
            Command::Open(link, attempt) => self.connect(link, attempt),
            Command::Rotate => self.generation += 1,
            Command::Dial
            | Command::DialAt(_)
            | Command::Move
            | Command::HangUp
            | Command::Register
            | Command::Unregister
            | Command::Join(..)
            | Command::Hello(..)
            | Command::Envelope(
                _,
                Envelope::Offer(_)
                | Envelope::Answer(_)
                | Envelope::Candidate(..)
                | Envelope::Failed(..)
                | Envelope::Goodbye,
            )
            | Command::Accept(..)
            | Command::Candidate(..)
            | Command::Send(..)
            | Command::Renew(_)
            | Command::Keep(_)
            | Command::Release(_) => {}
        }
    }

    /// An attempt succeeds, step by step, unless it stalls.
    fn connect(&mut self, link: LinkId, attempt: Attempt) {
        if self.stalls.remove(&link) {
            return;
        }
        let address = "192.0.2.1:9".parse().expect("an address");
        let path = Path { local: address, remote: address, kind: PathKind::Direct };
        let up = Up { seq: 1, wants_ack: false, ..Up::default() };
        let mut after = Duration::ZERO;
        for event in [
            Event::Envelope(link, Envelope::Answer(attempt)),
            Event::Progress(link, attempt, Progress::Securing),
            Event::Progress(link, attempt, Progress::Confirming),
            Event::Confirmed(link, attempt, path),
            Event::ControlUp(link, attempt),
            Event::Message(link, Lane::Terminal, up.encode()),
        ] {
            after += self.dice.up_to(ms(400));
            self.later(after, event);
        }
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.queued_ever += 1;
        self.queue.insert((self.now + after, self.queued_ever), event);
    }

    /// Somebody became a member, came back, or is gone: whether that may be.
    fn heed(&mut self, notice: HostNotice) {
        let generation = self.generation;
        let played = &self.played;
        match notice {
            HostNotice::Joined(id, role, name, ..) => {
                let person = self.people.iter_mut().find(|person| person.name == name).expect("one of ours");
                assert_eq!(person.generation, generation, "{name} became a member by a withdrawn invite: {played:?}");
                assert_ne!(person.place, Place::Over, "{name} became a member although it was over: {played:?}");
                let asked = match self.config.approve {
                    Approve::Nobody => false,
                    Approve::Control => role == Role::Control,
                    Approve::Everybody => true,
                };
                assert!(person.approved || !asked, "{name} became a member unasked: {played:?}");
                (person.place, person.id, person.origin) = (Place::Member, Some(id), Some(person.link));
            }
            HostNotice::Back(id, _) => {
                let person = self.people.iter_mut().find(|person| person.id == Some(id)).expect("one of ours");
                assert_ne!(person.place, Place::Over, "{} came back although it was over: {played:?}", person.name);
                let (link, _) = person.returning.take().expect("they were on their way back");
                (person.link, person.place) = (link, Place::Member);
            }
            HostNotice::Away(id, _) => {
                let person = self.people.iter_mut().find(|person| person.id == Some(id)).expect("one of ours");
                if person.place != Place::Over {
                    person.place = Place::Away;
                }
            }
            HostNotice::Left(id, _) => {
                let person = self.people.iter_mut().find(|person| person.id == Some(id)).expect("one of ours");
                person.place = Place::Over;
            }
            HostNotice::Failed(link, failure) => {
                let played = format!("{failure:?}: {played:?}");
                let is_paused = self.is_paused;
                let Some(person) = self.on(link) else { return };
                if person.returning.take_if(|(returning, _)| *returning == link).is_some() {
                    return;
                }
                let silent = failure.cause == Cause::NoAnswer;
                assert!(!silent || !person.approved, "{} was let in and thrown out: {played}", person.name);
                let waited = failure.stage == Stage::WaitingForApproval && is_paused;
                assert!(!silent || !waited, "{} was thrown out in a pause: {played}", person.name);
                person.place = Place::Over;
            }
            HostNotice::Paused(paused) => self.is_paused = paused,
            HostNotice::Registered
            | HostNotice::RendezvousLost(_)
            | HostNotice::Stage(..)
            | HostNotice::TurnedAway(_)
            | HostNotice::WrongKey(..)
            | HostNotice::Asks(..)
            | HostNotice::Decided(..)
            | HostNotice::Role(..)
            | HostNotice::Rotated
            | HostNotice::Typed(..)
            | HostNotice::Path(..)
            | HostNotice::Violation(..) => {}
        }
    }

    // Checks.

    /// `status` lists each person who is connected, away or waiting once, and nobody else.
    fn check(&self) {
        let status = self.host.status();
        let members = status.members.iter().map(|member| &member.name);
        let mut listed: Vec<_> = members.chain(status.pending.iter().map(|pending| &pending.name)).collect();
        listed.sort_unstable();
        let stands = |person: &&Person| matches!(person.place, Place::Waiting | Place::Member | Place::Away);
        let mut expected: Vec<_> = self.people.iter().filter(stands).map(|person| &person.name).collect();
        expected.sort_unstable();
        assert_eq!(listed, expected, "status does not show who is there: {:?}", self.played);
    }

    /// A person who was let in, and was not withdrawn, denied, removed or gone since, is a member.
    fn check_end(&self) {
        let held = self.host.status().pending.into_iter().filter(|pending| pending.awaits == Awaits::Resume).count();
        assert_eq!(held, 0, "somebody waits for the end of a pause that has ended: {:?}", self.played);
        for person in &self.people {
            let is_let_in = person.approved || person.place == Place::Connecting;
            let lost = matches!(person.place, Place::Over | Place::Away);
            assert!(
                !is_let_in || lost || person.place == Place::Member,
                "{} was let in and is still at {:?}: {:?}",
                person.name,
                person.place,
                self.played
            );
            let refused = person.approved && person.origin.is_none() && person.refusal == Some(Refusal::Full);
            assert!(!refused, "{} was approved and found no place: {:?}", person.name, self.played);
        }
    }
}

fn picked<T>(all: &[T], pick: usize) -> Option<&T> {
    all.get(pick.checked_rem(all.len())?)
}

fn link_of(event: &Event) -> Option<LinkId> {
    match event {
        Event::Joined { link, .. }
        | Event::Waiting(link)
        | Event::Gone(link)
        | Event::Forged(link)
        | Event::Outdated(link)
        | Event::Hello(link, ..)
        | Event::Sas(link, _)
        | Event::Verdict(link, _)
        | Event::Envelope(link, _)
        | Event::Progress(link, ..)
        | Event::Candidate(link, ..)
        | Event::Confirmed(link, ..)
        | Event::ControlUp(link, _)
        | Event::Message(link, ..)
        | Event::Down(link, ..)
        | Event::Elsewhere(link, _)
        | Event::Path(link, ..) => Some(*link),
        Event::Refused(link, _) => *link,
        Event::SignalUp
        | Event::SignalDown(_)
        | Event::Registered
        | Event::TurnedAway(_)
        | Event::Woken
        | Event::Move(_)
        | Event::Moved
        | Event::NotMoved(_) => None,
    }
}
