//! The words for a viewer's news and for its end, the same in every program.

use super::api::ViewerExit;
use crate::role::Role;
use crate::session::handshake::Stage;
use crate::session::link::{Path, PathKind};

/// The step of a join: `checking paths (2 local, 1 remote)`.
pub fn step(stage: Stage, paths: Option<(usize, usize)>) -> String {
    match paths {
        Some((local, remote)) if stage == Stage::CheckingPaths => format!("{stage} ({local} local, {remote} remote)"),
        Some(_) | None => stage.to_string(),
    }
}

/// While the host has paused the session.
pub const PAUSED: &str = "the host paused the session; you see nothing new and cannot type.";

/// The person typed, and may only watch.
pub const READ_ONLY: &str = "You can only watch.";

/// Keys were dropped.
pub const LOST: &str = "Some of your typing was lost.";

/// The host changed the viewer's role.
pub const fn role_changed(role: Role) -> &'static str {
    match role {
        Role::Control => "The host gave you the keyboard; you can type now.",
        Role::View => "The host took the keyboard away; you can only watch now.",
    }
}

/// The host did not keep the viewer's place; whether unconfirmed typing was lost.
pub fn forgotten(had_input: bool) -> String {
    let lost = if had_input { ", and some of your typing was lost" } else { "" };
    format!("The host gave your place away: you joined again as a new viewer{lost}.")
}

/// `directly`, `through a TURN server`, or `through the rendezvous`.
pub const fn way(path: Path) -> &'static str {
    match path.kind {
        PathKind::Direct => "directly",
        PathKind::Turn => "through a TURN server",
        PathKind::Relay => "through the rendezvous",
    }
}

/// The connection took another path.
pub fn path_changed(path: Path) -> String {
    format!("You are now connected {}.", way(path))
}

impl ViewerExit {
    /// The event that ended the session, unless a [`Failure`](crate::session::handshake::Failure) did.
    pub fn words(&self) -> Option<String> {
        match self {
            ViewerExit::Ended(code) => Some(format!("the session ended (exit code {code})")),
            ViewerExit::Stopped => Some("the host stopped sharing".to_owned()),
            ViewerExit::Expired => Some("the session expired".to_owned()),
            ViewerExit::Left => Some("you left the session".to_owned()),
            ViewerExit::Removed(_) => Some("the host removed you from the session".to_owned()),
            ViewerExit::Failed(_) => None,
        }
    }
}
