//! What viewers are told of the host's words.

use beach_core::time::Timestamp;

use super::super::model::Model;
use super::{Promise, Verdict, check};

/// A viewer was told what the host says.
///
/// # Errors
/// The host said less than that.
pub fn heard(model: &mut Model, at: Timestamp, viewer: usize) -> Verdict {
    let person = &mut model.people[viewer];
    person.told_words += 1;
    let (told, said) = (person.told_words, model.sessions[person.session].said);
    check(Promise::Told, at, told <= said, || {
        format!("viewer {viewer} was told {told} times what was said {said} times")
    })
}
