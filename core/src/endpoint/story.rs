//! The story of a handshake: what is kept of a peer to tell each step once, and the telling.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ice::path_monitor::{is_answer, is_check};
use crate::id::LinkId;
use crate::peer::engine::{Engine, Peer};
use crate::peer::server_hello::server_hello;
use crate::recording::journal::Journal;
use crate::session::handshake::FRESH_ATTEMPT_AFTER;
use crate::session::link::{Attempt, Command, Envelope, Event, LinkUser, Path};
use crate::side::Side;
use crate::time::Timestamp;

use super::note::{DtlsParameters, Missing, Note, Pair, ShortFingerprint, Step};
use super::state::{Confirming, Link, Live, Seal};
use super::{Endpoint, Output};

/// Most pairs of addresses whose first checks are told of one peer: 12 remote addresses and as many local ones make
/// fewer.
const MAX_PAIRS: usize = 256;

/// The first byte of a DTLS record, as RFC 7983 tells it from others.
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;

/// The steps of a peer that were told. Empty while no log and no recording takes notes.
#[derive(Default)]
pub(super) struct Story {
    /// The pairs that were checked, and whether a check was answered.
    pairs: BTreeMap<Pair, bool>,
    path_found: bool,
    dtls_begun: bool,
    dtls: Option<DtlsParameters>,
    confirmations: u32,
}

/// The recording of an endpoint, and its notes.
#[derive(Default)]
pub(super) struct Records {
    /// The recording, if one is made.
    pub(super) journal: Option<Journal>,
    /// Whether notes are put out, for a log.
    pub(super) notes: bool,
}

impl<P: Peer> Link<P> {
    /// The next thing that this link waits for; `None` once the link is up.
    fn missing(&self, side: Side) -> Option<Missing> {
        let host = side == Side::Host;
        match &self.seal {
            Seal::Nothing => return Some(if host { Missing::Hello } else { Missing::Joined }),
            Seal::Sent { .. } => return Some(Missing::Verdict),
            Seal::Proved { .. } => return Some(Missing::Decision),
            Seal::Open { .. } => {}
        }
        let Some(live) = &self.live else { return Some(if host { Missing::Decision } else { Missing::Offer }) };
        let answered = live.story.pairs.values().any(|answered| *answered) || live.story.path_found;
        if live.state.is_up() {
            None
        } else if !live.state.is_accepted() {
            Some(if host { Missing::Answer } else { Missing::Offer })
        } else if !answered && live.story.pairs.is_empty() {
            Some(if live.remotes == 0 { Missing::RemoteCandidates } else { Missing::LocalCandidates })
        } else if !answered {
            Some(Missing::CheckAnswers(live.story.pairs.len()))
        } else if live.state.confirming().is_none() {
            Some(Missing::Dtls)
        } else if !live.state.confirming().is_some_and(Confirming::is_done) {
            Some(Missing::Confirmation)
        } else {
            Some(Missing::ControlLane)
        }
    }
}

impl<P: Peer> Live<P> {
    /// Of the certificate of this side.
    fn fingerprint(&self) -> Option<ShortFingerprint> {
        self.peer.local().map(|(_, _, fingerprint)| ShortFingerprint::of(&fingerprint))
    }
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// Whether a log or a recording takes notes.
    pub(super) fn is_heard(&self) -> bool {
        self.records.notes || self.records.journal.is_some()
    }

    /// Tells a step of the current attempt of a link, or of the endpoint.
    pub(super) fn tell(&mut self, now: Timestamp, link: Option<LinkId>, step: impl FnOnce() -> Step) {
        if self.is_heard() {
            let live = link.and_then(|link| self.links.get(&link)?.live.as_ref());
            let attempt = live.map_or(0, |live| live.attempt);
            self.write(now, Note { link, attempt, step: step() });
        }
    }

    /// Tells a step of this attempt.
    pub(super) fn tell_of(&mut self, now: Timestamp, link: LinkId, attempt: Attempt, step: impl FnOnce() -> Step) {
        if self.is_heard() {
            self.write(now, Note { link: Some(link), attempt, step: step() });
        }
    }

    fn write(&mut self, now: Timestamp, note: Note) {
        if let Some(journal) = &mut self.records.journal {
            journal.note(now, note.to_string());
        }
        if self.records.notes {
            self.out.push_back(Output::Note(note));
        }
    }

    /// Tells what a command means, before it is obeyed; what is sealed is told once it is.
    pub(super) fn tell_command(&mut self, now: Timestamp, command: &Command) {
        if !self.is_heard() {
            return;
        }
        match command {
            Command::Open(id, attempt) if *attempt > 1 => {
                let missing = self.links.get(id).and_then(|link| link.missing(self.side()));
                let missing = missing.unwrap_or(Missing::ControlLane);
                self.tell_of(now, *id, *attempt, || Step::FreshAttempt(missing, FRESH_ATTEMPT_AFTER));
            }
            Command::Refuse(id, reason) => {
                self.tell(now, Some(*id), || Step::RefusalSent(reason.clone()));
                self.tell_end(now, *id);
            }
            Command::Close(id) => self.tell_end(now, *id),
            Command::Dial
            | Command::DialAt(_)
            | Command::Move
            | Command::HangUp
            | Command::Register
            | Command::Unregister
            | Command::Join(..)
            | Command::Hello(..)
            | Command::Verdict(..)
            | Command::Envelope(..)
            | Command::Open(..)
            | Command::Accept(..)
            | Command::Candidate(..)
            | Command::Send(..)
            | Command::Renew(_)
            | Command::Keep(_)
            | Command::Release(_)
            | Command::Rotate => {}
        }
    }

    fn tell_end(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let missing = link.missing(self.side());
        self.tell(now, Some(id), || Step::Closed(missing));
    }

    /// Tells an event, before the machine hears it.
    pub(super) fn tell_event(&mut self, now: Timestamp, event: &Event) {
        if !self.is_heard() {
            return;
        }
        match event {
            Event::SignalUp => self.tell(now, None, || Step::SignalUp),
            Event::SignalDown(cause) => self.tell(now, None, || Step::SignalDown(cause.clone())),
            Event::Moved => self.tell(now, None, || Step::RendezvousChanged),
            Event::NotMoved(cause) => self.tell(now, None, || Step::RendezvousKept(cause.clone())),
            Event::Refused(link, refusal) => self.tell(now, *link, || Step::RefusalReceived(refusal.clone())),
            Event::Gone(link) => self.tell(now, Some(*link), || Step::Gone),
            Event::Hello(link, ..) => self.tell(now, Some(*link), || Step::HelloReceived),
            Event::Verdict(link, verdict) => self.tell(now, Some(*link), || Step::VerdictReceived(verdict.clone())),
            Event::Envelope(link, envelope) => self.tell_envelope(now, *link, envelope),
            Event::Down(link, attempt, down) => self.tell_of(now, *link, *attempt, || Step::Down(down.clone())),
            // These steps are noted where they arise, or when the rendezvous says them. Messages and the four words are
            // never noted.
            Event::Registered
            | Event::Joined { .. }
            | Event::Waiting(_)
            | Event::TurnedAway(_)
            | Event::Forged(_)
            | Event::Outdated(_)
            | Event::Sas(..)
            | Event::Progress(..)
            | Event::Candidate(..)
            | Event::Confirmed(..)
            | Event::ControlUp(..)
            | Event::Message(..)
            | Event::Path(..)
            | Event::Elsewhere(..)
            | Event::Move(_)
            | Event::Woken => {}
        }
    }

    fn tell_envelope(&mut self, now: Timestamp, id: LinkId, envelope: &Envelope) {
        let remote = self.links.get(&id).and_then(|link| link.remote.as_ref());
        let theirs = remote.map(|(attempt, description)| (*attempt, ShortFingerprint::of(&description.fingerprint)));
        let of = |attempt: &Attempt| theirs.filter(|(newest, _)| newest == attempt).map(|(_, fingerprint)| fingerprint);
        let (attempt, step) = match envelope {
            Envelope::Offer(attempt) => (*attempt, of(attempt).map(Step::OfferReceived)),
            Envelope::Answer(attempt) => (*attempt, of(attempt).map(Step::AnswerReceived)),
            Envelope::Candidate(attempt, candidate) => (*attempt, Some(Step::CandidateReceived(*candidate))),
            Envelope::Failed(attempt, down) => (*attempt, Some(Step::FailureReceived(down.clone()))),
            Envelope::Verdict(verdict) => (0, Some(Step::VerdictReceived(verdict.clone()))),
            Envelope::Goodbye => (0, Some(Step::GoodbyeReceived)),
        };
        if let Some(step) = step {
            self.tell_of(now, id, attempt, || step);
        }
    }

    /// Tells that an envelope left.
    pub(super) fn tell_sealed(&mut self, now: Timestamp, id: LinkId, envelope: &Envelope) {
        let live = self.links.get(&id).and_then(|link| link.live.as_ref());
        let Some(ours) = live.and_then(Live::fingerprint) else {
            if let Envelope::Verdict(verdict) = envelope {
                self.tell(now, Some(id), || Step::VerdictSent(verdict.clone()));
            }
            return;
        };
        self.tell(now, Some(id), || match envelope {
            Envelope::Offer(_) => Step::OfferSent(ours),
            Envelope::Answer(_) => Step::AnswerSent(ours),
            Envelope::Candidate(_, candidate) => Step::CandidateSent(*candidate),
            Envelope::Verdict(verdict) => Step::VerdictSent(verdict.clone()),
            Envelope::Failed(_, down) => Step::FailureSent(down.clone()),
            Envelope::Goodbye => Step::GoodbyeSent,
        });
    }

    /// Tells that a peer was made, and how it describes itself if it does already.
    pub(super) fn tell_peer(&mut self, now: Timestamp, id: LinkId) {
        let live = self.links.get(&id).and_then(|link| link.live.as_ref());
        let ours = live.and_then(Live::fingerprint);
        let side = self.side();
        self.tell(now, Some(id), || Step::PeerMade(side));
        if ours.is_some() {
            self.tell_described(now, id);
        }
    }

    /// Tells how a peer describes itself.
    pub(super) fn tell_described(&mut self, now: Timestamp, id: LinkId) {
        let live = self.links.get(&id).and_then(|link| link.live.as_ref());
        let Some(ours) = live.and_then(Live::fingerprint) else { return };
        let side = self.side();
        self.tell(now, Some(id), || match side {
            Side::Host => Step::OfferMade(ours),
            Side::Viewer => Step::AnswerMade(ours),
        });
    }

    /// Tells what a datagram of a peer shows on its way out: the first check of a pair, the path in use, DTLS.
    pub(super) fn tell_transmit(&mut self, now: Timestamp, id: LinkId, path: Path, bytes: &[u8]) {
        if !self.is_heard() {
            return;
        }
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        let (pair, room) = ((path.local, path.remote), live.story.pairs.len() < MAX_PAIRS);
        if is_check(bytes) && room && !live.story.pairs.contains_key(&pair) {
            live.story.pairs.insert(pair, false);
            self.tell(now, Some(id), || Step::CheckSent(pair));
        } else if bytes.first().is_some_and(|first| *first >= *DTLS.start()) {
            let used = live.path != Some(path);
            self.tell_dtls(now, id, bytes);
            if used {
                self.tell(now, Some(id), || Step::PathUsed(path));
            }
        }
    }

    /// Tells the first datagrams of each kind that come in.
    pub(super) fn tell_arrival(&mut self, now: Timestamp, id: LinkId, pair: Pair, bytes: &[u8]) {
        if !self.is_heard() {
            return;
        }
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if is_answer(bytes) {
            if live.story.pairs.insert(pair, true) == Some(false) {
                self.tell(now, Some(id), || Step::CheckAnswered(pair));
            }
        } else {
            self.tell_dtls(now, id, bytes);
        }
    }

    fn tell_dtls(&mut self, now: Timestamp, id: LinkId, bytes: &[u8]) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        if live.state.confirming().is_some() || !bytes.first().is_some_and(|first| DTLS.contains(first)) {
            return;
        }
        if let Some((version, cipher)) = server_hello(bytes) {
            live.story.dtls = Some(DtlsParameters { version, cipher });
        }
        if !std::mem::replace(&mut live.story.dtls_begun, true) {
            self.tell(now, Some(id), || Step::DtlsBegun);
        }
    }

    /// Tells that a path answered.
    pub(super) fn tell_path_found(&mut self, now: Timestamp, id: LinkId) {
        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) {
            live.story.path_found = true;
        }
        self.tell(now, Some(id), || Step::PathFound);
    }

    /// Tells that DTLS is done.
    pub(super) fn tell_secured(&mut self, now: Timestamp, id: LinkId) {
        let live = self.links.get(&id).and_then(|link| link.live.as_ref());
        let parameters = live.and_then(|live| live.story.dtls);
        self.tell(now, Some(id), || Step::DtlsDone(parameters));
    }

    /// Tells that our confirmation left.
    pub(super) fn tell_confirmation(&mut self, now: Timestamp, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live.as_mut()) else { return };
        live.story.confirmations = live.story.confirmations.saturating_add(1);
        let times = live.story.confirmations;
        self.tell(now, Some(id), || Step::ConfirmationSent(times));
    }
}
