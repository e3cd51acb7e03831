//! The promises, and a checker for each: functions over the world, what was seen of it, and the model.

pub mod admission;
pub mod input;
pub mod screens;
pub mod server;
pub mod times;
pub mod told;

use std::fmt;

use beach_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A promise that a checker looks at. docs/PROMISES.md lists the promises and their checkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Promise {
    /// Nobody becomes a member by a withdrawn invite.
    WithdrawnInvite,
    /// Nobody becomes a member whom a person had to approve and did not.
    Approval,
    /// Everybody who is approved gets in.
    ApprovedGetIn,
    /// The host lists everybody who waits, is a member or is away, and nobody else.
    Listed,
    /// An invite for one viewer lets in one.
    Once,
    /// There are no more members than places.
    Places,
    /// A member has the role of the invite that they proved.
    ProvedRole,
    /// Nothing of a viewer reaches the PTY unless they are a member who may type, outside of a pause.
    MayType,
    /// Words of a viewer come once, and in order.
    OnceInOrder,
    /// No word is lost.
    NothingLost,
    /// One write never mixes several people.
    Unmixed,
    /// The host's own keys are with the PTY within 50 ms, in order, before everything else.
    OwnKeysFirst,
    /// Unread input of somebody who may type no more is taken back.
    UnreadTakenBack,
    /// A query is answered once.
    OneAnswer,
    /// Each line that a viewer shows is one that the host had there.
    TrueLines,
    /// In a pause viewers see nothing new.
    NothingInPause,
    /// Once quiet, all screens are equal.
    EqualScreens,
    /// Each line is in the viewer's scrollback once, and in order.
    Scrollback,
    /// No stage takes longer than its deadline.
    Deadlines,
    /// Once the faults have stopped, everybody who should be connected is.
    Liveness,
    /// A newcomer with a good invite gets in.
    Newcomer,
    /// Viewers are told of their role and of pauses, also of what changed while they were away; and once of each
    /// message of the host.
    Told,
    /// Viewers are told how the session ended.
    Ending,
    /// One address keeps nobody else out.
    OneAddress,
    /// When everybody has left, nothing is left.
    NothingStays,
    /// The machines' own assertions hold.
    Assertions,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// The breach, in words.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.promise, self.at, self.what)
    }
}

/// The verdict of a checker.
pub type Verdict = Result<(), Broken>;

/// A verdict of this checker: broken unless `holds`.
fn check(promise: Promise, at: Timestamp, holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Broken { promise, what: what(), at }) }
}
