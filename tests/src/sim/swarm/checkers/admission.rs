//! Checkers of admission and of the host's list.

use std::time::Duration;

use beach_core::host::{Awaits, HostNotice, HostStatus, PendingStatus};
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerExit;

use super::{Promise, Verdict, check};
use crate::sim::swarm::model::{Model, Place};

/// A decision of the host is known to the viewer, and the end of a viewer's process to the host, after this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// The host's news about who comes and goes: whether that may be; then the model follows.
///
/// # Errors
/// The promise that is broken.
pub fn heed(model: &mut Model, now: Timestamp, session: usize, notice: &HostNotice) -> Verdict {
    match notice {
        HostNotice::Joined(id, role, name, ..) => {
            joined(model, now, session, *role, name)?;
            if let Some((_, person)) = model.named(name) {
                (person.place, person.id, person.may_type) = (Place::Here, Some(*id), *role == Role::Control);
                (person.is_held, person.in_by) = (false, None);
                person.hampered_at = Some(now);
            }
        }
        HostNotice::Away(id, _) => {
            if let Some((_, person)) = model.member(session, *id) {
                person.place = Place::Away;
            }
        }
        HostNotice::Back(id, _) => {
            let known = model.member(session, *id).map(|(_, person)| person.place = Place::Here);
            check(Promise::Listed, now, known.is_some(), || format!("{id:?} came back and is no member"))?;
            model.sessions[session].came_back += 1;
        }
        HostNotice::Left(id, _) => {
            if let Some((_, person)) = model.member(session, *id) {
                person.put_out(now);
            }
        }
        // The host removes a member at the third violation.
        HostNotice::Violation(id, count) if *count >= 3 => {
            if let Some((_, person)) = model.member(session, *id) {
                person.put_out(now);
            }
        }
        HostNotice::Registered
        | HostNotice::RendezvousLost(_)
        | HostNotice::Stage(..)
        | HostNotice::Failed(..)
        | HostNotice::TurnedAway(_)
        | HostNotice::WrongKey(..)
        | HostNotice::Asks(..)
        | HostNotice::Decided(..)
        | HostNotice::Role(..)
        | HostNotice::Paused(_)
        | HostNotice::Rotated
        | HostNotice::Typed(..)
        | HostNotice::Path(..)
        | HostNotice::Violation(..) => {}
    }
    Ok(())
}

/// Somebody becomes a member.
fn joined(model: &mut Model, now: Timestamp, session: usize, role: Role, name: &str) -> Verdict {
    let (asks, once) = (model.asks(role), model.once);
    let places = model.max_viewers + model.sessions[session].came_back;
    let here = model.here(session);
    let Some((_, person)) = model.named(name) else {
        return check(Promise::Listed, now, false, || format!("a member {name:?} whom nobody knows"));
    };
    let person = person.clone();
    let state = &mut model.sessions[session];
    check(Promise::WithdrawnInvite, now, person.generation == state.generation, || {
        format!("{name} joined by invite {}, and {} is the newest", person.generation, state.generation)
    })?;
    check(Promise::ProvedRole, now, person.invited == role, || format!("{name} has the role {role:?}"))?;
    check(Promise::Approval, now, person.is_approved || !asks, || format!("{name} joined, and nobody approved"))?;
    check(Promise::Places, now, here < places, || format!("{name} joined, and {here} are here"))?;
    let count = state.let_in.entry((person.generation, role)).or_default();
    *count += 1;
    check(Promise::Once, now, *count == 1 || !once, || format!("{name} is the {count}th by one invite"))
}

/// The host lists exactly its members, present or away, and exactly those who wait, each with what they wait for.
///
/// # Errors
/// The promise that is broken.
pub fn listed(model: &mut Model, now: Timestamp, session: usize, status: &HostStatus, stages: &[Stage]) -> Verdict {
    let of_session = model.people.iter().filter(|person| person.session == session);
    let members = of_session.filter(|person| person.place != Place::Outside);
    let mut expected: Vec<_> = members.map(|person| person.name.as_str()).collect();
    let mut found: Vec<_> = status.members.iter().map(|member| member.name.as_str()).collect();
    expected.sort_unstable();
    found.sort_unstable();
    check(Promise::Listed, now, expected == found, || format!("members are {expected:?}, and listed {found:?}"))?;
    for pending in &status.pending {
        waits(model, now, session, pending)?;
        // Somebody whose connection to the rendezvous broke asks once more, and stands there twice for a while.
        let count = status.pending.iter().filter(|other| other.name == pending.name).count();
        let is_once = count == 1 || model.is_disturbed;
        check(Promise::Listed, now, is_once, || format!("{} is listed {count} times", pending.name))?;
    }
    nobody_is_missing(model, now, session, status, stages)
}

/// Somebody who is listed as waiting does wait, for the event that the list names.
fn waits(model: &Model, now: Timestamp, session: usize, pending: &PendingStatus) -> Verdict {
    let (state, name) = (&model.sessions[session], &pending.name);
    let known = model.people.iter().find(|person| person.session == session && person.name == *name);
    let Some(person) = known else {
        return check(Promise::Listed, now, false, || format!("{name} is listed as waiting, and nobody knows them"));
    };
    let is_refused = state.refused.contains(&pending.id) || person.generation != state.generation;
    check(Promise::Listed, now, !is_refused, || format!("{name} was refused, and is listed as waiting"))?;
    let is_approved = state.approved.contains(&pending.id) || !model.asks(person.invited);
    let awaits = if is_approved { Awaits::Resume } else { Awaits::Person };
    let may_wait = !is_approved || state.paused_at.is_some();
    check(Promise::Listed, now, may_wait && pending.awaits == awaits, || {
        format!("{name} is listed as waiting for {:?}, and waits for {awaits:?}", pending.awaits)
    })?;
    // The rendezvous tells the host that somebody is gone, where nothing is wrong with it.
    let is_there = person.place == Place::Outside && person.gone_at.is_none_or(|at| now < at + KNOWN_WITHIN);
    check(Promise::Listed, now, is_there || model.is_disturbed, || {
        format!("{name} is listed as waiting: {:?}, gone at {:?}", person.place, person.gone_at)
    })
}

/// Everybody who waits is listed, and whoever was approved in a pause is listed as waiting for its end.
fn nobody_is_missing(
    model: &mut Model,
    now: Timestamp,
    session: usize,
    status: &HostStatus,
    stages: &[Stage],
) -> Verdict {
    let is_calm = !model.is_disturbed;
    for (person, stage) in model.people.iter_mut().zip(stages).filter(|(person, _)| person.session == session) {
        let waits = person.is_running && *stage == Stage::WaitingForApproval;
        let listed: Vec<_> = status.pending.iter().filter(|pending| pending.name == person.name).collect();
        let is_there = listed.iter().any(|pending| pending.awaits == Awaits::Resume);
        check(Promise::Listed, now, is_there || !waits || !person.is_held, || {
            format!("{} was approved in the pause, waits for its end, and is not listed so: {listed:?}", person.name)
        })?;
        // A decision is on its way to the viewer for a moment. Somebody who was let in waits for nobody.
        let is_missing = is_calm && waits && listed.is_empty() && person.in_by.is_none();
        person.unlisted_since = person.unlisted_since.or(Some(now)).filter(|_| is_missing);
        let is_late = person.unlisted_since.is_some_and(|since| since + KNOWN_WITHIN < now);
        check(Promise::Listed, now, !is_late, || format!("{} waits, and is not listed", person.name))?;
    }
    Ok(())
}

/// Everybody who was approved is a member in time.
///
/// # Errors
/// The promise that is broken.
pub fn approved_get_in(model: &Model, now: Timestamp) -> Verdict {
    for person in model.people.iter().filter(|person| person.is_running && !person.has_left) {
        let is_late = person.place == Place::Outside && person.in_by.is_some_and(|by| by < now);
        check(Promise::ApprovedGetIn, now, !is_late, || format!("{} was approved and is no member", person.name))?;
    }
    Ok(())
}

/// A viewer ended: not on the way in after an approval, unless the person left, or had waited for too long when the
/// approval was on its way.
///
/// # Errors
/// The promise that is broken.
pub fn way_in_ended(model: &Model, now: Timestamp, viewer: usize, exit: &ViewerExit) -> Verdict {
    let person = &model.people[viewer];
    let is_impatient =
        matches!(exit, ViewerExit::Failed(Failure { stage: Stage::WaitingForApproval, cause: Cause::NoAnswer, .. }));
    let is_lost = person.place == Place::Outside && person.in_by.is_some() && !person.has_left && !is_impatient;
    check(Promise::ApprovedGetIn, now, !is_lost, || format!("{} was approved, and ended: {exit:?}", person.name))
}
