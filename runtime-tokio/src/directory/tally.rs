//! Counts of a directory: the requests since the start, and whether the directory answers.

use beach_core::rendezvous::{DirectoryInput, DirectoryOutput};

use crate::histogram::Histogram;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To write an entry.
    Claim,
    /// To write an entry again.
    Renew,
    /// To delete an entry.
    Release,
    /// To read an entry.
    LookUp,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Kind; 4] = [Kind::Claim, Kind::Renew, Kind::Release, Kind::LookUp];
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The directory did what it was asked.
    Done,
    /// Another entry stands.
    Refused,
    /// The connection ended before the answer, or the answer was an error.
    Failed,
}

impl Outcome {
    /// All of them, in order.
    pub const ALL: [Outcome; 3] = [Outcome::Done, Outcome::Refused, Outcome::Failed];
}

/// The counters of requests to the directory, and whether the directory answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the directory answers.
    pub is_up: bool,
    /// One number for each kind and outcome: of sessions, since a renewal names many.
    requests: [[u64; Outcome::ALL.len()]; Kind::ALL.len()],
    /// How long requests took that were sent together.
    pub took: Histogram,
}

impl Tally {
    /// For how many sessions the directory was asked this, and had this outcome.
    #[must_use]
    pub fn requests(&self, kind: Kind, outcome: Outcome) -> u64 {
        self.requests[kind as usize][outcome as usize]
    }

    /// This became of all sessions of the request.
    pub(super) fn add(&mut self, request: &DirectoryOutput, outcome: Outcome) {
        self.requests[kind(request) as usize][outcome as usize] += sessions(request) as u64;
    }

    /// The request was answered so.
    pub(super) fn answered(&mut self, request: &DirectoryOutput, inputs: &[DirectoryInput]) {
        self.add(request, Outcome::Done);
        let refused = inputs.iter().filter(|input| matches!(input, DirectoryInput::Lost { .. })).count() as u64;
        let [done, lost, _] = &mut self.requests[kind(request) as usize];
        (*done, *lost) = (*done - refused, *lost + refused);
    }
}

fn kind(request: &DirectoryOutput) -> Kind {
    match request {
        DirectoryOutput::Claim { .. } => Kind::Claim,
        DirectoryOutput::Renew(_) => Kind::Renew,
        DirectoryOutput::Release { .. } => Kind::Release,
        DirectoryOutput::LookUp(_) => Kind::LookUp,
    }
}

/// How many sessions a request names.
pub(super) fn sessions(request: &DirectoryOutput) -> usize {
    match request {
        DirectoryOutput::Renew(claims) => claims.len(),
        DirectoryOutput::Claim { .. } | DirectoryOutput::Release { .. } | DirectoryOutput::LookUp(_) => 1,
    }
}
