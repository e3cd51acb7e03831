//! The directory of a simulation: entries with a turn, a place and a life, as the script of a real one keeps them. The
//! directory may split into two copies.

use std::collections::BTreeMap;
use std::time::Duration;

use beach_core::id::ShortId;
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput};
use beach_core::time::Timestamp;

/// An entry that nobody writes again is gone after this time.
pub const LIFE: Duration = Duration::from_secs(30);

/// An entry of the directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The host's count of its registrations.
    pub turn: u64,
    /// Where the host is.
    pub place: String,
    until: Timestamp,
}

/// One copy of the directory.
#[derive(Clone, Default)]
pub struct Store(BTreeMap<ShortId, Entry>);

impl Store {
    /// The entry of a session, if it lives.
    pub fn get(&self, now: Timestamp, session: ShortId) -> Option<&Entry> {
        self.0.get(&session).filter(|entry| entry.until > now)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        self.0.values().all(|entry| entry.until <= now)
    }

    /// Performs a request of the rendezvous at `place`, and answers.
    pub fn perform(&mut self, now: Timestamp, place: &str, request: DirectoryOutput) -> Vec<DirectoryInput> {
        match request {
            DirectoryOutput::Claim { session, turn } => {
                let wins = |stands: &Entry| stands.turn > turn;
                vec![self.write(now, place, session, turn, wins).unwrap_or(DirectoryInput::Claimed { session, turn })]
            }
            DirectoryOutput::Renew(claims) => {
                assert!((1..=500).contains(&claims.len()), "renewals are bounded");
                let write = |(session, turn)| {
                    let wins = |stands: &Entry| stands.turn > turn || (stands.turn == turn && stands.place != place);
                    self.write(now, place, session, turn, wins)
                };
                claims.into_iter().filter_map(write).collect()
            }
            DirectoryOutput::Release { session, turn } => {
                if self.get(now, session).is_some_and(|entry| entry.turn == turn && entry.place == place) {
                    self.0.remove(&session);
                }
                Vec::new()
            }
            DirectoryOutput::LookUp(session) => {
                let place = self.get(now, session).map(|entry| entry.place.clone());
                vec![DirectoryInput::Found { session, place }]
            }
        }
    }

    /// Writes an entry, unless the one that stands wins.
    fn write(
        &mut self,
        now: Timestamp,
        place: &str,
        session: ShortId,
        turn: u64,
        wins: impl Fn(&Entry) -> bool,
    ) -> Option<DirectoryInput> {
        if let Some(stands) = self.get(now, session).filter(|stands| wins(stands)) {
            return Some(DirectoryInput::Lost { session, turn, place: stands.place.clone() });
        }
        self.0.insert(session, Entry { turn, place: place.to_owned(), until: now + LIFE });
        None
    }
}
