//! The stages of a handshake, their deadlines, and the reason when one fails. The same words stand in logs, errors,
//! JSON and recordings.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::link::{Attempt, Candidate, LinkDown, Refusal};
use crate::time::Timestamp;

/// A peer that got no further for this long is replaced by a fresh one, on both sides: lost first packets of DTLS and
/// SCTP back off for seconds, a fresh attempt does not.
pub const FRESH_ATTEMPT_AFTER: Duration = Duration::from_secs(5);

/// Most attempts of one handshake: with [`FRESH_ATTEMPT_AFTER`] the stages' deadlines allow no more.
pub const MAX_ATTEMPTS: Attempt = 6;

/// Most candidates remembered of either side: six a family, from both sides of a router.
pub const MAX_CANDIDATES: usize = 24;

/// Where a handshake is. A viewer passes the stages in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The rendezvous has not answered yet.
    ReachingRendezvous,
    /// The session exists, its host is away.
    WaitingForHost,
    /// The Noise messages travel.
    Authenticating,
    /// A person decides.
    WaitingForApproval,
    /// Viewer: the host's offer is awaited.
    Offer,
    /// Host: the viewer's answer is awaited.
    Answer,
    /// ICE: no path has answered yet.
    CheckingPaths,
    /// DTLS.
    Securing,
    /// The MACs travel.
    Confirming,
    /// The control lane opens.
    OpeningControl,
    /// The viewer has not got a whole screen yet.
    FirstScreen,
    /// Done.
    Live,
}

impl Stage {
    /// The stage in words.
    pub const fn words(self) -> &'static str {
        match self {
            Stage::ReachingRendezvous => "reaching rendezvous",
            Stage::WaitingForHost => "waiting for host",
            Stage::Authenticating => "authenticating",
            Stage::WaitingForApproval => "waiting for approval",
            Stage::Offer => "waiting for the offer",
            Stage::Answer => "waiting for the answer",
            Stage::CheckingPaths => "checking paths",
            Stage::Securing => "securing",
            Stage::Confirming => "confirming",
            Stage::OpeningControl => "opening control",
            Stage::FirstScreen => "waiting for the first screen",
            Stage::Live => "connected",
        }
    }

    /// How long it may take, counted from when it was first entered; `None` for [`Stage::Live`].
    pub const fn deadline(self) -> Option<Duration> {
        let seconds = match self {
            Stage::ReachingRendezvous | Stage::CheckingPaths | Stage::Securing => 15,
            // SCTP says again what was lost of its handshake after 3, 9 and 21 s. Either side may wait for a
            // repetition, and the first screen may travel on the control lane too.
            Stage::OpeningControl | Stage::FirstScreen => 30,
            // The rendezvous keeps a session for 60 s without its host; a little more, so that it speaks first.
            Stage::WaitingForHost => 65,
            Stage::Authenticating | Stage::Confirming => 5,
            Stage::WaitingForApproval => 120,
            Stage::Offer | Stage::Answer => 10,
            Stage::Live => return None,
        };
        Some(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Why a handshake ended without a link, or a link ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The stage's deadline passed in silence.
    NoAnswer,
    /// The rendezvous or the host refused.
    Refused(Refusal),
    /// The rendezvous could not be reached, or was lost; in words.
    Signal(String),
    /// The peer failed here.
    Down(LinkDown),
    /// The peer failed on the other side, which told us.
    DownThere(LinkDown),
    /// The other side left the rendezvous in mid-handshake.
    Gone,
    /// The other side said goodbye.
    Left,
    /// The two sides were confirmed, but the lane for control messages did not open in time.
    NoControl,
}

/// A handshake or link that ended: at which stage, after how long, why, and what had been tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stage.
    pub stage: Stage,
    /// Time in that stage.
    pub after: Duration,
    /// Why.
    pub cause: Cause,
    /// Our addresses that were tried.
    pub local: Vec<Candidate>,
    /// Their addresses that were tried.
    pub remote: Vec<Candidate>,
}

/// A handshake: its stage, when the stage began, and the paths that were tried.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    stage: Stage,
    /// When each stage was first entered, in order.
    entered: Vec<(Stage, Timestamp)>,
    attempt: Attempt,
    progress_at: Timestamp,
    local: Vec<Candidate>,
    remote: Vec<Candidate>,
}

impl Handshake {
    pub(crate) fn new(now: Timestamp, stage: Stage) -> Handshake {
        Handshake {
            stage,
            entered: vec![(stage, now)],
            attempt: 0,
            progress_at: now,
            local: Vec::new(),
            remote: Vec::new(),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Moves to `stage`. A stage that was entered before keeps its first deadline.
    pub(crate) fn enter(&mut self, now: Timestamp, stage: Stage) {
        self.stage = stage;
        self.progress_at = now;
        if !self.entered.iter().any(|(entered, _)| *entered == stage) {
            self.entered.push((stage, now));
        }
    }

    /// Forgets that `stage` was entered, so that it gets its whole time again.
    pub(crate) fn enter_afresh(&mut self, now: Timestamp, stage: Stage) {
        self.entered.retain(|(entered, _)| *entered != stage);
        self.enter(now, stage);
    }

    /// A fresh peer: its candidates are new. All attempts together share the time for paths and DTLS. Later stages, and
    /// a further answer, get their whole time in each attempt.
    pub(crate) fn begin_attempt(&mut self, now: Timestamp, attempt: Attempt) {
        let answered = self.stage > Stage::Answer;
        self.entered.retain(|(stage, _)| *stage <= Stage::Securing && !(answered && *stage == Stage::Answer));
        self.attempt = attempt;
        self.progress_at = now;
        self.local.clear();
        self.remote.clear();
    }

    pub(crate) fn note_local(&mut self, candidate: Candidate) {
        note(&mut self.local, candidate);
    }

    pub(crate) fn note_remote(&mut self, candidate: Candidate) {
        note(&mut self.remote, candidate);
    }

    pub(crate) fn paths_tried(&self) -> (usize, usize) {
        (self.local.len(), self.remote.len())
    }

    /// When the host replaces the peer by a fresh one.
    #[cfg(feature = "host")]
    pub(crate) fn fresh_attempt_at(&self) -> Option<Timestamp> {
        let stalls = matches!(self.stage, Stage::Answer | Stage::CheckingPaths | Stage::Securing);
        (stalls && self.attempt < MAX_ATTEMPTS).then(|| self.progress_at + FRESH_ATTEMPT_AFTER)
    }

    /// When the current stage fails.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.stage == Stage::CheckingPaths && is_faulty!(EndlessStage) {
            return None;
        }
        Some(self.since() + self.stage.deadline()?)
    }

    /// The failure of a stage that is not the current one and began at `since`.
    pub(crate) fn fail_at(&self, now: Timestamp, stage: Stage, since: Timestamp, cause: Cause) -> Failure {
        Failure { stage, after: now.since(since), ..self.fail(now, cause) }
    }

    pub(crate) fn fail(&self, now: Timestamp, cause: Cause) -> Failure {
        Failure {
            stage: self.stage,
            after: now.since(self.since()),
            cause,
            local: self.local.clone(),
            remote: self.remote.clone(),
        }
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        let times = |stage| self.entered.iter().filter(|(entered, _)| *entered == stage).count();
        assert_eq!(times(self.stage), 1, "the deadline of a stage begins once");
        assert!(self.local.len() <= MAX_CANDIDATES && self.remote.len() <= MAX_CANDIDATES, "candidates are bounded");
    }

    fn since(&self) -> Timestamp {
        let found = self.entered.iter().find(|(stage, _)| *stage == self.stage);
        found.map_or(Timestamp::ZERO, |(_, since)| *since)
    }
}

fn note(known: &mut Vec<Candidate>, candidate: Candidate) {
    if known.len() < MAX_CANDIDATES && !known.contains(&candidate) {
        known.push(candidate);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::session::link::CandidateKind;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from(Duration::from_secs(secs))
    }

    fn candidate(port: u16) -> Candidate {
        Candidate { kind: CandidateKind::Host, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    #[test]
    fn a_stage_that_is_entered_again_keeps_its_first_deadline_unless_it_begins_afresh() {
        let whole = Stage::Answer.deadline().expect("it has one");
        let mut handshake = Handshake::new(at(0), Stage::Authenticating);
        handshake.enter(at(1), Stage::Answer);
        handshake.enter(at(2), Stage::CheckingPaths);
        handshake.enter(at(3), Stage::Answer);
        assert_eq!(handshake.deadline(), Some(at(1) + whole));
        handshake.enter_afresh(at(4), Stage::Answer);
        assert_eq!(handshake.deadline(), Some(at(4) + whole));
        handshake.enter(at(5), Stage::Live);
        assert_eq!(handshake.deadline(), None);
        handshake.check();
    }

    #[test]
    fn a_further_attempt_shares_the_time_for_paths_and_has_the_whole_time_for_what_follows() {
        let [paths, answer, confirming] =
            [Stage::CheckingPaths, Stage::Answer, Stage::Confirming].map(|stage| stage.deadline().expect("it has one"));
        let mut handshake = Handshake::new(at(0), Stage::Answer);
        handshake.enter(at(1), Stage::CheckingPaths);
        handshake.enter(at(2), Stage::Confirming);
        handshake.note_local(candidate(1));
        handshake.begin_attempt(at(4), 2);
        assert_eq!((handshake.attempt(), handshake.paths_tried()), (2, (0, 0)));
        handshake.enter(at(5), Stage::Answer);
        assert_eq!(handshake.deadline(), Some(at(5) + answer));
        handshake.enter(at(6), Stage::CheckingPaths);
        assert_eq!(handshake.deadline(), Some(at(1) + paths));
        handshake.enter(at(7), Stage::Confirming);
        assert_eq!(handshake.deadline(), Some(at(7) + confirming));

        // Without an answer the time for it goes on.
        let mut unanswered = Handshake::new(at(0), Stage::Answer);
        unanswered.begin_attempt(at(4), 2);
        assert_eq!(unanswered.deadline(), Some(at(0) + answer));
    }

    #[cfg(feature = "host")]
    #[test]
    fn a_peer_that_gets_no_further_is_replaced_but_not_for_ever() {
        let mut handshake = Handshake::new(at(0), Stage::Answer);
        handshake.begin_attempt(at(1), 1);
        assert_eq!(handshake.fresh_attempt_at(), Some(at(1) + FRESH_ATTEMPT_AFTER));
        for (stage, stalls) in [(Stage::CheckingPaths, true), (Stage::Securing, true), (Stage::Confirming, false)] {
            handshake.enter(at(2), stage);
            assert_eq!(handshake.fresh_attempt_at(), stalls.then(|| at(2) + FRESH_ATTEMPT_AFTER), "{stage}");
        }
        for (attempt, another) in [(MAX_ATTEMPTS - 1, true), (MAX_ATTEMPTS, false)] {
            handshake.enter(at(3), Stage::Answer);
            handshake.begin_attempt(at(3), attempt);
            assert_eq!(handshake.fresh_attempt_at().is_some(), another, "{attempt}");
        }
    }

    #[test]
    fn a_failure_tells_the_stage_its_time_and_the_paths_that_were_tried() {
        let mut handshake = Handshake::new(at(0), Stage::Answer);
        handshake.enter(at(2), Stage::CheckingPaths);
        for port in (1..=MAX_CANDIDATES as u16 + 2).chain([1]) {
            handshake.note_local(candidate(port));
        }
        handshake.note_remote(candidate(7));
        handshake.note_remote(candidate(7));
        assert_eq!(handshake.paths_tried(), (MAX_CANDIDATES, 1));
        let failure = handshake.fail(at(9), Cause::NoAnswer);
        assert_eq!((failure.stage, failure.after), (Stage::CheckingPaths, Duration::from_secs(7)));
        assert_eq!((failure.local.len(), failure.remote), (MAX_CANDIDATES, vec![candidate(7)]));
        let earlier = handshake.fail_at(at(9), Stage::Answer, at(1), Cause::Gone);
        assert_eq!((earlier.stage, earlier.after, earlier.cause), (Stage::Answer, Duration::from_secs(8), Cause::Gone));
        handshake.check();
    }
}
