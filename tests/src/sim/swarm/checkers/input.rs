//! Checkers of the program's input: its words, their senders, and the times.

use std::time::Duration;

use beach_core::time::Timestamp;

use super::{Promise, Verdict, check};
use crate::sim::swarm::model::{Model, Place};

/// The host's own keys are with the PTY after this time.
pub const AT_ONCE: Duration = Duration::from_millis(50);

/// A word that a viewer types.
pub fn word(person: usize, number: u64) -> String {
    format!("{{v{person}.{number}}}")
}

/// A word that the host's own person types.
pub fn own_word(number: u64) -> String {
    format!("{{h0.{number}}}")
}

/// The words in what was written: `None` for the host's own, or the viewer, and the number.
fn words(bytes: &[u8]) -> Vec<(Option<usize>, u64)> {
    let text = String::from_utf8_lossy(bytes);
    let word = |part: &str| {
        let (inside, _) = part.split_once('}')?;
        let (who, number) = inside.get(1..)?.split_once('.')?;
        let (who, number) = (who.parse().ok()?, number.parse().ok()?);
        match inside.as_bytes()[0] {
            b'v' => Some((Some(who), number)),
            b'h' => Some((None, number)),
            _ => None,
        }
    };
    text.split('{').skip(1).filter_map(word).collect()
}

/// Bytes of viewers, or answers, are written to the PTY.
///
/// # Errors
/// The promise that is broken.
pub fn written(model: &mut Model, now: Timestamp, session: usize, bytes: &[u8]) -> Verdict {
    model.sessions[session].in_flight.clear();
    let answers = bytes.windows(3).filter(|window| *window == b"\x1b[?").count() as u64;
    let (asked, answered) = &mut model.sessions[session].queries;
    *answered += answers;
    check(Promise::OneAnswer, now, *answered <= *asked, || format!("{answered} answers to {asked} queries"))?;
    let words = words(bytes);
    let mixed = words.iter().any(|(who, _)| *who != words[0].0);
    check(Promise::Unmixed, now, !mixed, || format!("one write has the words {words:?}"))?;
    let is_paused = model.sessions[session].paused_at.is_some();
    for (who, number) in words {
        let Some(who) = who else {
            return check(Promise::OwnKeysFirst, now, false, || "own keys are written as a viewer's".to_owned());
        };
        let person = &mut model.people[who];
        let may = person.place != Place::Outside && person.may_type && !is_paused && person.session == session;
        check(Promise::MayType, now, may, || {
            format!("word {number} of {} is written: {:?}, paused {is_paused}", person.name, person.place)
        })?;
        let newest = person.written.last().copied().unwrap_or(0);
        check(Promise::OnceInOrder, now, number > newest, || {
            format!("word {number} of {} is written after {newest}", person.name)
        })?;
        person.written.push(number);
        if model.sessions[session].is_deaf {
            model.sessions[session].in_flight.push((who, number));
        }
    }
    Ok(())
}

/// The host's own keys are written to the PTY.
///
/// # Errors
/// The promise that is broken.
pub fn own_written(model: &mut Model, now: Timestamp, session: usize, bytes: &[u8]) -> Verdict {
    let session = &mut model.sessions[session];
    session.in_flight.clear();
    let words = words(bytes);
    let foreign = words.iter().any(|(who, _)| who.is_some());
    check(Promise::OwnKeysFirst, now, !foreign, || format!("a write of own keys has the words {words:?}"))?;
    for (_, number) in words {
        let in_order = number == session.own_written + 1 || number <= session.own_written;
        check(Promise::OwnKeysFirst, now, in_order, || {
            format!("own word {number} is written after {}", session.own_written)
        })?;
        session.own_written = session.own_written.max(number);
        session.own.retain(|word| word.number != number);
    }
    Ok(())
}

/// The PTY gave the last write back.
pub fn taken_back(model: &mut Model, session: usize) {
    for (who, number) in std::mem::take(&mut model.sessions[session].in_flight) {
        model.people[who].written.retain(|known| *known != number);
    }
}

/// No own key waits too long, and nothing stays at the PTY of somebody who may type no more.
///
/// # Errors
/// The promise that is broken.
pub fn in_time(model: &Model, now: Timestamp) -> Verdict {
    for session in model.sessions.iter().filter(|session| !session.is_over && !session.is_frozen) {
        let late = session.own.iter().find(|word| !word.is_excused && word.at + AT_ONCE < now);
        check(Promise::OwnKeysFirst, now, late.is_none(), || format!("own keys wait: {late:?}"))?;
        if !session.is_deaf {
            continue;
        }
        for (who, number) in &session.in_flight {
            let person = &model.people[*who];
            let may = person.place != Place::Outside && person.may_type && session.paused_at.is_none();
            let is_late = person.hampered_at.is_some_and(|at| at + AT_ONCE < now);
            check(Promise::UnreadTakenBack, now, may || !is_late, || {
                format!("word {number} of {} stays at the PTY", person.name)
            })?;
        }
    }
    Ok(())
}

/// Every word that nothing was in the way of is written.
///
/// # Errors
/// The promise that is broken.
pub fn nothing_lost(model: &Model, now: Timestamp, session: usize, own_typing: bool) -> Verdict {
    let members = model.people.iter().filter(|person| person.session == session && person.place == Place::Here);
    for person in members.filter(|person| person.may_type && model.can_come_back(person)) {
        for word in &person.words {
            let excused = person.hampered_at.is_some_and(|at| word.at <= at) || (word.is_pasted && own_typing);
            let is_written = person.written.contains(&word.number);
            check(Promise::NothingLost, now, excused || is_written, || {
                format!("word {} of {}, typed at {}, is not written", word.number, person.name, word.at)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beach_core::host::Approve;

    use super::*;
    use crate::sim::swarm::model::Session;

    #[test]
    fn a_write_with_words_of_two_people_is_told() {
        let mut model = Model::new(Approve::Nobody, 8, false);
        model.sessions.push(Session::default());
        let mixed = word(0, 1) + &own_word(1);

        let told = written(&mut model, Timestamp::ZERO, 0, mixed.as_bytes()).map_err(|broken| broken.promise);

        assert_eq!(told, Err(Promise::Unmixed));
        assert_eq!(words(mixed.as_bytes()), [(Some(0), 1), (None, 1)]);
    }
}
