//! The session at the rendezvous: reached, registered, lost, and reached again.

use std::time::Duration;

use crate::session::dialer::{Dialer, NO_ANSWER_AFTER};
use crate::session::handshake::{Cause, Failure, Handshake, Stage};
use crate::session::link::Refusal;
use crate::support::entropy::Entropy;
use crate::time::{Timestamp, earliest};

/// The state of the registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// The rendezvous is connected and was asked; until when it may stay silent.
    Asked {
        by: Timestamp,
    },
    Registered,
}

/// The meaning of a confirmed registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registered {
    /// The session has begun.
    First,
    /// The rendezvous has the session again.
    Again,
    /// Nothing new.
    Already,
}

/// A rendezvous that ends sends its hosts to another one.
#[derive(Clone, Copy, Debug)]
struct MoveOn {
    /// When the host goes.
    at: Timestamp,
    /// Until then the host waits for the end of handshakes.
    by: Timestamp,
}

/// The end of handshakes is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A host waits this long for the end of handshakes, after the time in which it was to go. A rendezvous waits for its
/// hosts a little longer than that.
const HANDSHAKES_END_WITHIN: Duration = Duration::from_secs(8);

/// A host is sent to another rendezvous at most this often.
const MOVES_APART: Duration = Duration::from_secs(5);

/// The host's side of the registration.
pub(super) struct Registration {
    dialer: Dialer,
    /// The first registration, which has a deadline; later ones have none.
    first: Handshake,
    state: State,
    /// The way to another rendezvous, if this one ends.
    move_on: Option<MoveOn>,
    /// When the host has last begun to go to another rendezvous.
    moves_since: Option<Timestamp>,
    /// When the session was registered first.
    since: Option<Timestamp>,
    last_cause: String,
}

impl Registration {
    pub(super) fn new(entropy: Entropy) -> Registration {
        Registration {
            dialer: Dialer::new(entropy),
            first: Handshake::new(Timestamp::ZERO, Stage::ReachingRendezvous),
            state: State::Unknown,
            move_on: None,
            moves_since: None,
            since: None,
            last_cause: "no answer".to_owned(),
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    /// When the session was registered first, if it was.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Begins the first try. The caller has emitted `Dial`.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.dialer.deadline().is_none() && !self.dialer.is_up() {
            self.dialer.dial(now);
        }
    }

    /// The rendezvous is connected. The caller emits `Register`.
    pub(super) fn up(&mut self, now: Timestamp) {
        self.dialer.up();
        self.move_on = None;
        self.state = State::Asked { by: now + NO_ANSWER_AFTER };
    }

    /// The connection ended or could not be made; whether the session was registered.
    pub(super) fn down(&mut self, now: Timestamp, cause: &str) -> bool {
        if self.is_registered() {
            // A connection that worked has ended: the pauses between tries to move were others.
            self.dialer.answered();
        }
        self.dialer.down(now);
        self.move_on = None;
        cause.clone_into(&mut self.last_cause);
        std::mem::replace(&mut self.state, State::Unknown) == State::Registered
    }

    pub(super) fn confirmed(&mut self, now: Timestamp) -> Registered {
        self.dialer.answered();
        if self.is_registered() {
            return Registered::Already;
        }
        self.state = State::Registered;
        self.first.enter(now, Stage::Live);
        match self.since {
            Some(_) => Registered::Again,
            None => {
                self.since = Some(now);
                Registered::First
            }
        }
    }

    /// The rendezvous ends: the host goes to another one at a random time within so many seconds, so that not all hosts
    /// come at once.
    pub(super) fn move_within(&mut self, now: Timestamp, seconds: u32) {
        if self.dialer.is_up() && self.move_on.is_none() {
            let within = Duration::from_secs(u64::from(seconds));
            let begin = self.moves_since.map_or(now, |before| now.max(before + MOVES_APART));
            self.move_on =
                Some(MoveOn { at: begin + self.dialer.some_time(within), by: begin + within + HANDSHAKES_END_WITHIN });
        }
    }

    /// Whether the host goes to another rendezvous now; the caller emits `Move`. While handshakes are under way the
    /// host stays, as long as it may.
    pub(super) fn moves(&mut self, now: Timestamp, handshakes: bool) -> bool {
        let Some(move_on) = self.move_on.as_mut().filter(|move_on| move_on.at <= now) else { return false };
        if handshakes && now < move_on.by {
            move_on.at = move_on.by.min(now + LOOK_AGAIN);
            return false;
        }
        self.move_on = None;
        self.moves_since = Some(now);
        true
    }

    /// The session is registered at another rendezvous.
    pub(super) fn moved(&mut self) {
        self.dialer.answered();
    }

    /// The session could not be registered at another rendezvous: the host tries again after a pause.
    pub(super) fn not_moved(&mut self, now: Timestamp) {
        if self.dialer.is_up() {
            let at = now + self.dialer.pause();
            self.move_on = Some(MoveOn { at, by: at });
        }
    }

    /// The first registration was refused.
    pub(super) fn refused(&self, now: Timestamp, refusal: Refusal) -> Failure {
        self.first.fail(now, Cause::Refused(refusal))
    }

    /// The first registration took too long.
    pub(super) fn failed(&self, now: Timestamp) -> Failure {
        self.first.fail(now, Cause::Signal(self.last_cause.clone()))
    }

    /// Whether a try to connect ran out of time: the caller says so and calls [`down`](Registration::down).
    pub(super) fn try_expired(&self, now: Timestamp) -> bool {
        self.dialer.try_expired(now)
    }

    /// Begins another try if its time has come; whether the caller emits `Dial`.
    pub(super) fn redial(&mut self, now: Timestamp) -> bool {
        let is_due = self.dialer.due(now);
        if is_due {
            self.dialer.dial(now);
        }
        is_due
    }

    // Deadlines.

    pub(super) fn dials_at(&self) -> Option<Timestamp> {
        earliest(self.dialer.deadline(), self.move_on.map(|move_on| move_on.at))
    }

    pub(super) fn registers_by(&self) -> Option<Timestamp> {
        match self.state {
            State::Asked { by } => Some(by),
            State::Unknown | State::Registered => None,
        }
    }

    pub(super) fn begins_by(&self) -> Option<Timestamp> {
        self.first.deadline().filter(|_| self.since.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_is_registered_first_then_already_then_again_after_a_loss() {
        let at = |secs| Timestamp::from(Duration::from_secs(secs));
        let mut registration = Registration::new(Entropy::new([1; 32]));
        registration.begin(at(0));
        assert_eq!(registration.begins_by(), Some(at(15)));
        registration.up(at(1));
        assert_eq!(registration.registers_by(), Some(at(6)));

        assert_eq!(registration.confirmed(at(2)), Registered::First);
        assert_eq!(registration.confirmed(at(3)), Registered::Already);
        assert_eq!((registration.registers_by(), registration.begins_by()), (None, None));

        assert!(registration.down(at(4), "gone") && !registration.down(at(4), "gone"));
        assert!(!registration.redial(at(4)) && registration.redial(registration.dials_at().expect("it tries again")));
        registration.up(at(5));
        assert_eq!((registration.confirmed(at(6)), registration.since()), (Registered::Again, Some(at(2))));
    }
}
