//! Checkers of the rendezvous' promises.

use beach_core::rendezvous::Rendezvous;
use beach_core::session::handshake::{Cause, Failure};
use beach_core::session::link::Refusal;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerExit;

use super::{Promise, Verdict, check};
use crate::sim::swarm::model::{Model, Person, Place};
use crate::sim::swarm::settle::GHOSTS_GONE_WITHIN;

/// A viewer for whom there is a place is not turned away because of what another address does.
///
/// # Errors
/// The promise that is broken.
pub fn one_address(model: &Model, now: Timestamp, viewer: usize, exit: &ViewerExit) -> Verdict {
    let ViewerExit::Failed(Failure { cause: Cause::Refused(Refusal::Full | Refusal::Busy), .. }) = exit else {
        return Ok(());
    };
    let session = model.people[viewer].session;
    // An earlier attempt of the same viewer may hold a place for a while, and so may one of a viewer that has gone.
    let all = model.people.iter().enumerate().filter(|(index, person)| *index != viewer && person.session == session);
    let is_gone = |person: &Person| person.gone_at.is_some_and(|at| at + GHOSTS_GONE_WITHIN <= now);
    let others = all.filter(|(_, person)| person.place != Place::Outside || !is_gone(person)).count();
    check(Promise::OneAddress, now, others + 1 >= model.max_viewers, || {
        format!("viewer {viewer} is turned away: {exit:?}, and {others} others are there")
    })
}

/// When everybody has left, the rendezvous has nothing.
///
/// # Errors
/// The promise that is broken.
pub fn nothing_stays(now: Timestamp, rendezvous: &Rendezvous) -> Verdict {
    let counts = rendezvous.counts();
    check(Promise::NothingStays, now, counts == (0, 0, 0), || {
        format!("sessions, links and connections at the rendezvous: {counts:?}")
    })
}
