//! What viewers are told: the host's messages, and how the session ended.

use beach_core::time::Timestamp;
use beach_core::viewer::ViewerExit;

use super::super::model::Model;
use super::{Promise, Verdict, check};

/// A message of the host. Each message has a number of its own, counted from 1 for each session.
pub fn message(number: u64) -> String {
    format!("message {number}")
}

/// A viewer was told what the host says.
///
/// # Errors
/// The host has not said that, or the viewer was told before.
pub fn heard(model: &mut Model, at: Timestamp, viewer: usize, text: &str) -> Verdict {
    let person = &mut model.people[viewer];
    let said = model.sessions[person.session].said;
    let number = text.strip_prefix("message ").and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
    check(Promise::Told, at, (1..=said).contains(&number), || {
        format!("viewer {viewer} was told {text:?}, and the host has said {said} messages")
    })?;
    let newest = std::mem::replace(&mut person.heard, number);
    check(Promise::Told, at, newest < number, || format!("viewer {viewer} was told message {number} after {newest}"))
}

/// A viewer ended. If it was told that the session is over, that is true; and everybody was told who had to be.
///
/// # Errors
/// The promise that is broken.
pub fn ended(model: &Model, at: Timestamp, viewer: usize, exit: &ViewerExit) -> Verdict {
    let person = &model.people[viewer];
    let truth = model.sessions[person.session].ending.as_ref();
    let is_told = match exit {
        ViewerExit::Ended(_) | ViewerExit::Stopped | ViewerExit::Expired => true,
        ViewerExit::Left | ViewerExit::Removed(_) | ViewerExit::Failed(_) => false,
    };
    let is_owed = person.told_end_by.is_some() && !person.has_left;
    check(Promise::Ending, at, if is_told { truth == Some(exit) } else { !is_owed }, || {
        format!("viewer {viewer} was told {exit:?}, and the session has ended as {truth:?}")
    })
}

/// Every member that nothing stands in the way of knows in time that the session has ended.
///
/// # Errors
/// The promise that is broken.
pub fn end_in_time(model: &Model, now: Timestamp) -> Verdict {
    let people = model.people.iter().filter(|person| person.is_running && !person.has_left);
    for person in people {
        let is_late = person.told_end_by.is_some_and(|by| by < now);
        check(Promise::Ending, now, !is_late, || format!("{} was not told that the session has ended", person.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beach_core::host::Approve;
    use beach_core::role::Role;

    use super::*;
    use crate::sim::swarm::model::{Person, Session};

    fn model(person: Person) -> Model {
        let mut model = Model::new(Approve::Nobody, 8, false);
        model.sessions.push(Session { said: 2, ending: Some(ViewerExit::Ended(3)), ..Session::default() });
        model.people.push(person);
        model
    }

    #[test]
    fn a_message_comes_once_in_order_and_only_if_it_was_said() {
        let hears = |numbers: &[u64]| {
            let mut model = model(Person::new(0, 0, Role::View, 0));
            numbers.iter().try_for_each(|number| heard(&mut model, Timestamp::ZERO, 0, &message(*number)))
        };
        assert!(hears(&[1, 2]).is_ok() && hears(&[2]).is_ok());
        assert!(hears(&[1, 1]).is_err() && hears(&[2, 1]).is_err() && hears(&[3]).is_err());
    }

    #[test]
    fn a_viewer_is_told_of_the_true_end_and_in_time() {
        let person = Person::new(0, 0, Role::View, 0);
        let owed = Person { told_end_by: Some(Timestamp::ZERO), ..person.clone() };
        let at = Timestamp::from_micros(1);
        let is_true = |person: &Person, exit| ended(&model(person.clone()), at, 0, &exit).is_ok();
        assert!(is_true(&person, ViewerExit::Ended(3)) && is_true(&owed, ViewerExit::Ended(3)));
        assert!(!is_true(&person, ViewerExit::Ended(0)) && !is_true(&person, ViewerExit::Stopped));
        assert!(is_true(&person, ViewerExit::Left) && !is_true(&owed, ViewerExit::Left));
        assert!(end_in_time(&model(person), at).is_ok() && end_in_time(&model(owed), at).is_err());
    }
}
