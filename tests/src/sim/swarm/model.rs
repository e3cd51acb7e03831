//! The reference model: who may do what, kept beside the system, from what people did and what the host says. Small
//! enough to be seen to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::host::{Approve, ModeratorAction};
use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerExit;

/// Where somebody stands, towards the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No member: not yet, or not any more.
    Outside,
    /// A member, on a link.
    Here,
    /// A member whose link is gone.
    Away,
}

/// A word that somebody typed or pasted. Each word is typed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its number, counted for each person.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The word is part of a paste, which the host's own keys may end.
    pub is_pasted: bool,
}

/// A viewer, with the same number as in the world.
#[derive(Clone, Debug)]
pub struct Person {
    /// The session that the viewer's invite is for.
    pub session: usize,
    /// The role of the invite.
    pub invited: Role,
    /// How often the session's invites had been withdrawn when this one was made.
    pub generation: u32,
    /// The name that the host knows.
    pub name: String,
    /// The number that the host gave.
    pub id: Option<MemberId>,
    /// Where the viewer stands.
    pub place: Place,
    /// A person let the viewer in.
    pub is_approved: bool,
    /// The words of the request that was approved.
    pub(super) approved_words: Option<Sas>,
    /// The words of all requests of the viewer, as the viewer was told: the last one is what it waits by.
    pub(super) words_told: Vec<Sas>,
    /// The viewer was approved in a pause that has not ended.
    pub is_held: bool,
    /// The viewer has lost its link, and says so.
    pub is_cut_off: bool,
    /// Whether the host has paused, as the viewer was told.
    pub told_paused: bool,
    /// The role, as the viewer was told.
    pub told_role: Option<Role>,
    /// The newest message of the host that the viewer was told.
    pub heard: u64,
    /// By this time the viewer knows that the session has ended: it was a member then, and nothing stands in the way.
    pub told_end_by: Option<Timestamp>,
    /// By this time the viewer is a member: the host let the viewer in, and nothing stands in the way.
    pub in_by: Option<Timestamp>,
    /// Whether the viewer may type, as far as the host decides.
    pub may_type: bool,
    /// Since when the viewer waits for a decision, as it says, and is not listed.
    pub unlisted_since: Option<Timestamp>,
    /// The viewer's process runs.
    pub is_running: bool,
    /// When the process ended.
    pub gone_at: Option<Timestamp>,
    /// The viewer's process stands still.
    pub is_frozen: bool,
    /// The person left.
    pub has_left: bool,
    /// All words typed.
    pub words: Vec<Word>,
    /// The numbers of the words written to the PTY, in order.
    pub written: Vec<u64>,
    /// Until when something was in the way of their typing. Words from before may be lost.
    pub hampered_at: Option<Timestamp>,
    /// A paste of theirs has no end yet.
    pub is_pasting: bool,
}

/// A word of the host's own keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnWord {
    /// Its number.
    pub number: u64,
    /// When it was typed.
    pub at: Timestamp,
    /// Something excuses that it comes later, or never.
    pub is_excused: bool,
}

/// A session, with the same number as its host in the world.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// How often its invites were withdrawn.
    pub generation: u32,
    /// The version of the screen that viewers saw at most when the pause began.
    pub paused_at: Option<u64>,
    /// How often the host said something to everybody.
    pub said: u64,
    /// Its host or its program has ended.
    pub is_over: bool,
    /// Its program has ended, or a person has stopped it: members are told this, and leave.
    pub ending: Option<ViewerExit>,
    /// The host's process stands still.
    pub is_frozen: bool,
    /// The program reads nothing.
    pub is_deaf: bool,
    /// Words of the host's own keyboard that are not written yet.
    pub own: Vec<OwnWord>,
    /// How many there were.
    pub own_ever: u64,
    /// The newest one that was written.
    pub own_written: u64,
    /// Words of viewers in the write that the PTY has not finished: person and number.
    pub in_flight: Vec<(usize, u64)>,
    /// Viewers that a person approved while they waited.
    pub approved: BTreeSet<MemberId>,
    /// Viewers that a person refused or removed.
    pub refused: BTreeSet<MemberId>,
    /// Members that each invite let in, by generation and role.
    pub let_in: BTreeMap<(u32, Role), u32>,
    /// Members that came back; each may have taken a place over the limit.
    pub came_back: usize,
    /// Queries that the program asked, and answers that were written.
    pub queries: (u64, u64),
    /// Lines that were numbered.
    pub lines: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which viewers a person is asked about.
    pub approve: Approve,
    /// Most members.
    pub max_viewers: usize,
    /// Each invite lets in one viewer.
    pub once: bool,
    /// All sessions; the last one is the one that steps are about.
    pub sessions: Vec<Session>,
    /// All viewers.
    pub people: Vec<Person>,
    /// Something was wrong with a process or a network at any time.
    pub is_disturbed: bool,
}

impl Model {
    /// A model without sessions and people.
    pub fn new(approve: Approve, max_viewers: usize, once: bool) -> Model {
        Model { approve, max_viewers, once, sessions: Vec::new(), people: Vec::new(), is_disturbed: false }
    }

    /// The session that steps are about.
    pub fn session(&mut self) -> &mut Session {
        self.sessions.last_mut().expect("there is a session from the beginning on")
    }

    /// Its number.
    pub fn current(&self) -> usize {
        self.sessions.len() - 1
    }

    /// Whether the host still knows the session of somebody's invite: of earlier ones it keeps four (`MAX_EARLIER`).
    pub fn can_come_back(&self, person: &Person) -> bool {
        person.generation + 4 >= self.sessions[person.session].generation
    }

    /// The people of a session who are there, or may hold a place.
    pub fn crowd(&self, session: usize) -> usize {
        let is_there = |person: &&Person| person.is_running || person.place != Place::Outside;
        self.people.iter().filter(|person| person.session == session).filter(is_there).count()
    }

    /// Whether viewers with this role wait for a person.
    pub fn asks(&self, role: Role) -> bool {
        match self.approve {
            Approve::Nobody => false,
            Approve::Control => role == Role::Control,
            Approve::Everybody => true,
        }
    }

    /// The person with this number in this session, and that person's index.
    pub fn member(&mut self, session: usize, id: MemberId) -> Option<(usize, &mut Person)> {
        self.people.iter_mut().enumerate().find(|(_, person)| person.session == session && person.id == Some(id))
    }

    /// The person with this name, and that person's index.
    pub fn named(&mut self, name: &str) -> Option<(usize, &mut Person)> {
        self.people.iter_mut().enumerate().find(|(_, person)| person.name == name)
    }

    /// The members of a session who are on a link.
    pub fn here(&self, session: usize) -> usize {
        self.people.iter().filter(|person| person.session == session && person.place == Place::Here).count()
    }

    /// Something is wrong with a process or a network, or was until now: nobody can say by when they are in.
    pub fn disturb(&mut self) {
        self.is_disturbed = true;
        for person in &mut self.people {
            (person.is_held, person.in_by, person.told_end_by) = (false, None, None);
        }
    }

    /// Something is in the way of what somebody types.
    pub fn hamper(&mut self, now: Timestamp, person: usize) {
        self.people[person].hampered_at = Some(now);
    }

    /// The program of the current session has ended, or a person has stopped it; `told` is what viewers must be told.
    pub fn session_ends(&mut self, now: Timestamp, told: ViewerExit) {
        let current = self.current();
        let session = &mut self.sessions[current];
        session.ending = Some(told);
        // What the program has not read by now is nobody's any more.
        (session.is_deaf, session.own, session.in_flight) = (false, Vec::new(), Vec::new());
        let is_calm = !self.is_disturbed;
        for person in self.people.iter_mut().filter(|person| person.session == current) {
            (person.is_held, person.in_by) = (false, None);
            let hears = is_calm && person.place == Place::Here && person.is_running;
            person.told_end_by = hears.then_some(now + TOLD_WITHIN);
        }
    }

    /// Nobody's membership of a session counts any more.
    pub fn end_session(&mut self, now: Timestamp, session: usize) {
        self.sessions[session].is_over = true;
        self.sessions[session].own.clear();
        for person in self.people.iter_mut().filter(|person| person.session == session) {
            person.put_out(now);
        }
    }

    /// A viewer that waits is told the words of its request.
    pub fn told_words(&mut self, viewer: usize, words: Sas) {
        let person = &mut self.people[viewer];
        person.words_told.push(words);
        // After a fault the viewer asks anew, and what was decided about its request before decides nothing.
        if self.is_disturbed && person.approved_words.is_some_and(|approved| approved != words) {
            person.ask_anew();
        }
    }

    /// A person approves whoever has this number, name and words.
    fn approved(&mut self, now: Timestamp, id: MemberId, name: &str, words: Option<Sas>) {
        let session = self.current();
        self.sessions[session].approved.insert(id);
        let is_paused = self.sessions[session].paused_at.is_some();
        let Some((_, person)) = self.named(name) else { return };
        if person.has_asked_anew_since(words) {
            return;
        }
        (person.is_approved, person.approved_words) = (true, words);
        (person.is_held, person.in_by) = (is_paused, (!is_paused).then_some(now + IN_WITHIN));
    }

    /// A decision of the person at the host, which the host does not object to. `version` is that of the screen; `of`
    /// has the name and the words of whoever it is about.
    pub fn decided(&mut self, now: Timestamp, act: &ModeratorAction, version: u64, of: &(String, Option<Sas>)) {
        let session = self.current();
        let (name, words) = of;
        match act {
            ModeratorAction::Approve(id) => self.approved(now, *id, name, *words),
            ModeratorAction::Deny { member, keep_links } | ModeratorAction::Kick { member, keep_links } => {
                self.sessions[session].refused.insert(*member);
                if let Some((_, person)) = self.named(name)
                    && !person.has_asked_anew_since(*words)
                {
                    person.put_out(now);
                }
                if !keep_links {
                    self.rotate();
                }
            }
            ModeratorAction::Rotate => self.rotate(),
            ModeratorAction::Grant(id) => {
                if let Some((_, person)) = self.member(session, *id) {
                    (person.may_type, person.hampered_at) = (true, Some(now));
                }
            }
            ModeratorAction::Revoke(id) => {
                if let Some((_, person)) = self.member(session, *id) {
                    (person.may_type, person.hampered_at) = (false, Some(now));
                }
            }
            ModeratorAction::Pause => {
                self.sessions[session].paused_at = Some(version);
                self.people.iter_mut().for_each(|person| person.hampered_at = Some(now));
            }
            ModeratorAction::Resume => {
                self.sessions[session].paused_at = None;
                for person in &mut self.people {
                    person.hampered_at = Some(now);
                    if std::mem::take(&mut person.is_held) {
                        person.in_by = Some(now + IN_WITHIN);
                    }
                }
            }
            ModeratorAction::Say(_) => self.sessions[session].said += 1,
        }
    }

    fn rotate(&mut self) {
        let session = self.current();
        self.sessions[session].generation += 1;
        for person in self.people.iter_mut().filter(|person| person.session == session) {
            if person.place == Place::Outside {
                person.ask_anew();
            }
        }
    }
}

/// A viewer that was let in is a member after this time, where no network is at fault: two fresh attempts, and the
/// stages of the third.
const IN_WITHIN: Duration = Duration::from_secs(25);

/// Viewers know of the program's end after this time: the host lingers for 5 s, waits 3 s for a last screen and 3 s for
/// an acknowledgement.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(15);

impl Person {
    /// Viewer `number`, who has an invite of this session and has just come.
    pub fn new(number: usize, session: usize, invited: Role, generation: u32) -> Person {
        Person {
            session,
            invited,
            generation,
            name: format!("viewer {number}"),
            id: None,
            place: Place::Outside,
            is_approved: false,
            approved_words: None,
            words_told: Vec::new(),
            is_held: false,
            is_cut_off: false,
            told_paused: false,
            told_role: None,
            heard: 0,
            told_end_by: None,
            in_by: None,
            may_type: false,
            unlisted_since: None,
            is_running: true,
            gone_at: None,
            is_frozen: false,
            has_left: false,
            words: Vec::new(),
            written: Vec::new(),
            hampered_at: None,
            is_pasting: false,
        }
    }

    /// Whether a request with these words is not the newest one of this person. The host may list such a request for a
    /// moment, and a decision about it decides nothing about the person.
    fn has_asked_anew_since(&self, words: Option<Sas>) -> bool {
        words.is_some_and(|words| self.words_told.contains(&words) && self.words_told.last() != Some(&words))
    }

    /// The person is no member any more, and can come in only by asking again.
    pub fn put_out(&mut self, now: Timestamp) {
        (self.place, self.id, self.may_type) = (Place::Outside, None, false);
        self.ask_anew();
        self.hampered_at = Some(now);
    }

    /// The person can come in only by asking again.
    fn ask_anew(&mut self) {
        (self.is_approved, self.approved_words) = (false, None);
        (self.is_held, self.in_by) = (false, None);
    }
}
