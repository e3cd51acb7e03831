//! A rendezvous with a directory finds sessions whose host is at another rendezvous, and gives up sessions whose host
//! went there.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::directory::{Asked, Directory, DirectoryInput, DirectoryOutput, Fee, LookUp, LookedUp};
use super::{Away, Close, ConnectionId, Join, Rendezvous, RendezvousOutput};
use crate::id::{LinkId, SessionId, ShortId};
use crate::session::link::Refusal;
use crate::time::Timestamp;
use crate::wire::signal::{FromRendezvous, ToRendezvous, to_text};

/// Most sessions without host that are looked up each second, because viewers wait there.
const LOOKED_UP_A_SECOND: usize = 100;

/// The answer to a look-up.
#[derive(Clone, Copy)]
enum Answer<'a> {
    /// The host is at this place, which is another one.
    At(&'a str),
    /// There is no entry.
    Nowhere,
    /// No answer came in time, or the directory is down; or the entry names this place. If the session is not here
    /// then, this rendezvous has started anew, and the host is on its way to another one or back.
    Unclear,
}

impl Rendezvous {
    /// Makes a rendezvous that is one of several. Viewers reach it at `place`, a URL. Until the directory is
    /// [`Up`](DirectoryInput::Up) the rendezvous is alone.
    #[must_use]
    pub fn with_directory(mut self, place: &str) -> Rendezvous {
        self.directory = Some(Directory::new(place.to_owned()));
        self
    }

    fn ask(&mut self, request: DirectoryOutput) {
        if self.directory.as_ref().is_some_and(|directory| directory.is_up) {
            self.out.push_back(RendezvousOutput::Directory(request));
        }
    }

    /// Whether the host of the session registered later than with this turn: this registration was under way for long.
    pub(super) fn is_outdated(&self, id: SessionId, turn: u64) -> bool {
        self.directory.as_ref().is_some_and(|directory| directory.is_outdated(id, turn))
    }

    /// The session has its host here. The host is told so once other rendezvous can know.
    pub(super) fn claim(&mut self, now: Timestamp, id: SessionId, turn: u64) {
        if self.directory.as_mut().is_some_and(|directory| directory.claim(now, id, turn)) {
            self.ask(DirectoryOutput::Claim { session: id.short(), turn });
        } else {
            self.confirm(id);
        }
    }

    /// The session is over.
    pub(super) fn release(&mut self, id: SessionId) {
        if let Some(turn) = self.directory.as_mut().and_then(|directory| directory.remove(id)) {
            self.ask(DirectoryOutput::Release { session: id.short(), turn });
        }
    }

    /// Asks the directory for the host of a session that has none here, if the sender has paid for that. Gives the
    /// request back if there is nobody to ask. While the directory is down nobody knows whether a session that is not
    /// here exists: the viewer asks again.
    pub(super) fn ask_for(&mut self, now: Timestamp, from: ConnectionId, asked: Asked) -> Option<Asked> {
        let found = self.find(asked.name);
        let session = found.and_then(|id| self.sessions.get_mut(&id));
        let Some(directory) = &mut self.directory else { return Some(asked) };
        if session.as_ref().is_some_and(|session| session.host.is_some()) {
            return Some(asked);
        }
        if !directory.is_up {
            if session.is_some() {
                return Some(asked);
            }
            self.refuse_join(from, asked.link, Join::Busy, Refusal::Busy);
            return None;
        }
        let (link, name) = (asked.link, asked.name.short());
        let address = self.connections.get(&from).and_then(|connection| connection.address);
        let paid = self.addresses.may_join(now, address) && session.is_none_or(|session| session.joins.take(now, 1));
        let looked_up = if paid { directory.look_up(now, name, Some((from, asked))) } else { LookedUp::Full };
        match looked_up {
            LookedUp::Ask => self.ask(DirectoryOutput::LookUp(name)),
            LookedUp::Wait => {}
            LookedUp::Full => self.refuse_join(from, link, Join::Busy, Refusal::Busy),
        }
        None
    }

    pub(super) fn on_directory(&mut self, now: Timestamp, input: DirectoryInput) {
        let Some(directory) = &mut self.directory else { return };
        match input {
            DirectoryInput::Claimed { session, turn } => {
                let here = directory.claimed(session, turn);
                here.iter().for_each(|id| directory.stands(*id));
                let is_over = here.is_empty();
                here.into_iter().for_each(|id| self.confirm_late(id));
                if is_over {
                    // The session ended, or its host registered anew, while the claim was under way.
                    self.ask(DirectoryOutput::Release { session, turn });
                }
            }
            // The own place: another claim of this rendezvous stands, whose answer comes.
            DirectoryInput::Lost { place, .. } if place == directory.place => {}
            DirectoryInput::Lost { session, turn, place } => {
                directory.claimed(session, turn).into_iter().for_each(|id| self.moved(now, id, &place));
            }
            DirectoryInput::Found { session, place } => {
                let answer = match &place {
                    Some(place) if *place == directory.place => Answer::Unclear,
                    Some(place) => Answer::At(place),
                    None => Answer::Nowhere,
                };
                self.found(now, session, answer);
            }
            DirectoryInput::Down => directory.down(),
            DirectoryInput::Up => {
                let all = directory.up(now);
                self.out.extend(all.into_iter().map(RendezvousOutput::Directory));
            }
        }
    }

    /// A look-up is over.
    fn found(&mut self, now: Timestamp, session: ShortId, answer: Answer<'_>) {
        let Some(LookUp { joins, tells, .. }) =
            self.directory.as_mut().and_then(|directory| directory.looked_up(session))
        else {
            return;
        };
        let here: Vec<_> = self.sessions.range(session.range()).map(|(id, one)| (*id, one.host.is_some())).collect();
        let is_here = here.iter().any(|(_, has_host)| *has_host);
        match answer {
            Answer::At(place) if !is_here => here.iter().for_each(|(id, _)| self.moved(now, *id, place)),
            Answer::Nowhere | Answer::Unclear if tells => {
                here.iter().filter(|(_, has)| !has).for_each(|(id, _)| self.host_is_away(*id));
            }
            Answer::At(_) | Answer::Nowhere | Answer::Unclear => {}
        }
        let links = |from| joins.range((from, LinkId(0))..=(from, LinkId(u64::MAX))).count();
        let several: BTreeSet<_> = joins.keys().map(|(from, _)| *from).filter(|from| links(*from) > 1).collect();
        for ((from, _), asked) in joins {
            let is_only = |here: &Self| !several.contains(&from) && here.does_nothing_else(from);
            match answer {
                Answer::At(place) if !is_here && asked.moves => {
                    self.tally.joins[Join::Elsewhere as usize] += 1;
                    self.say(from, &FromRendezvous::Elsewhere { link: asked.link, url: place.to_owned() });
                }
                Answer::At(place) if !is_here && is_only(self) => self.pipe(now, from, asked, place),
                // The viewer would not go there, and has other links here.
                Answer::At(_) if !is_here => self.refuse_join(from, asked.link, Join::NoSession, Refusal::NoSession),
                // Nobody knows whether there is such a session: the viewer asks again.
                Answer::Unclear if here.is_empty() => self.refuse_join(from, asked.link, Join::Busy, Refusal::Busy),
                Answer::At(_) | Answer::Nowhere | Answer::Unclear => self.join_here(now, from, asked, Fee::Paid),
            }
        }
    }

    /// The host of a session has left, perhaps for another rendezvous: its viewers learn where the host is, or that the
    /// host is away. A viewer whose link stands asks its host then whether the host is still there.
    pub(super) fn tell_viewers(&mut self, now: Timestamp, id: SessionId) {
        if self.sessions.get(&id).is_none_or(|session| session.links.is_empty()) {
            return;
        }
        let directory = self.directory.as_mut().filter(|directory| directory.is_up);
        match directory.map(|directory| directory.look_up_host(now, id.short())) {
            Some(LookedUp::Ask) => self.ask(DirectoryOutput::LookUp(id.short())),
            Some(LookedUp::Wait) => {}
            Some(LookedUp::Full) | None => self.host_is_away(id),
        }
    }

    /// Tells the viewers of a session that the host is away. From a rendezvous that ends, they go to look for their
    /// host under the name that all have.
    fn host_is_away(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let viewers: Vec<_> = session.links.iter().map(|(link, viewed)| (viewed.viewer, *link)).collect();
        for (viewer, link) in viewers {
            if self.hands_over() {
                self.to_drop.push((viewer, Close::Ending));
            } else {
                self.say(viewer, &FromRendezvous::Waiting { link });
            }
        }
    }

    /// Whether the connection has no session, no link and no request here that waits for a look-up.
    fn does_nothing_else(&self, from: ConnectionId) -> bool {
        let waits = self.directory.as_ref().is_some_and(|directory| directory.waits(from));
        !waits && self.connections.get(&from).is_some_and(|connection| !connection.takes_part())
    }

    /// Has a viewer's connection carried to another place.
    fn pipe(&mut self, now: Timestamp, from: ConnectionId, asked: Asked, place: &str) {
        let Asked { name: session, link, role, versions, resumes, moves } = asked;
        let join = to_text(&ToRendezvous::Join { session, link, role, versions, resumes, moves });
        self.tally.joins[Join::Elsewhere as usize] += 1;
        self.out.push_back(RendezvousOutput::Pipe { connection: from, place: place.to_owned(), join });
        self.on_closed(now, from);
    }

    /// The host of the session is at another place. A host that still is here redials, and is the newest one then.
    fn moved(&mut self, now: Timestamp, id: SessionId, place: &str) {
        if let Some(directory) = &mut self.directory {
            directory.remove(id);
        }
        let host = self.sessions.get(&id).and_then(|session| session.host);
        self.host_has_left(now);
        self.end(id, Some(place));
        if let Some(host) = host {
            if let Some(connection) = self.connections.get_mut(&host) {
                connection.hosts.remove(&id);
            }
            self.drop_connection(now, host, Close::Replaced);
        }
    }

    fn confirm_late(&mut self, id: SessionId) {
        if self.directory.as_mut().is_some_and(|directory| directory.confirmed(id)) {
            self.confirm(id);
        }
    }

    /// Does what is due.
    pub(super) fn directory_on_time(&mut self, now: Timestamp) {
        let Some(directory) = &mut self.directory else { return };
        let (part, overdue, late) = (directory.due_part(now), directory.overdue(now), directory.to_confirm(now));
        late.into_iter().for_each(|id| self.confirm_late(id));
        overdue.into_iter().for_each(|session| self.found(now, session, Answer::Unclear));
        let unanswered = self.directory.as_mut().map(|directory| directory.unanswered(now)).unwrap_or_default();
        unanswered.into_iter().for_each(|request| self.ask(request));
        let Some(part) = part else { return };
        part.into_iter().for_each(|request| self.ask(request));
        self.look_up_waiting(now);
    }

    /// Viewers who wait for a host that is away learn where the host came back. If there are too many, the sessions
    /// take turns.
    fn look_up_waiting(&mut self, now: Timestamp) {
        let Some(directory) = self.directory.as_mut().filter(|directory| directory.is_up) else { return };
        let waits = |(.., id): &&Away| self.sessions.get(id).is_some_and(|session| !session.links.is_empty());
        let next: Vec<Away> = match directory.reached {
            Some(reached) => {
                let after = self.away.range((Bound::Excluded(reached), Bound::Unbounded));
                after.chain(self.away.range(..=reached)).filter(waits).take(LOOKED_UP_A_SECOND).copied().collect()
            }
            None => self.away.iter().filter(waits).take(LOOKED_UP_A_SECOND).copied().collect(),
        };
        directory.reached = next.last().copied();
        for (.., id) in next {
            let directory = self.directory.as_mut();
            if let Some(LookedUp::Ask) = directory.map(|directory| directory.look_up(now, id.short(), None)) {
                self.ask(DirectoryOutput::LookUp(id.short()));
            }
        }
    }
}
