//! When to dial the rendezvous: tries with a deadline each, and pauses between them that grow, with jitter.

use std::time::Duration;

use crate::support::backoff::Backoff;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;

/// A rendezvous that has not answered after this time is left: no answer to the try to connect, or to the registration
/// after it.
pub const NO_ANSWER_AFTER: Duration = Duration::from_secs(5);

/// The cause that people read then.
pub fn no_answer() -> String {
    format!("no answer within {} s", NO_ANSWER_AFTER.as_secs())
}

/// The first pause; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause before jitter, which makes it up to half as long again: a host is back within 10 s of its
/// rendezvous.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Trying { until: Timestamp },
    Up,
    Pausing { until: Timestamp },
}

/// The connection to the rendezvous, as the machine sees it.
pub(crate) struct Dialer {
    state: State,
    backoff: Backoff,
    entropy: Entropy,
}

impl Dialer {
    pub(crate) fn new(entropy: Entropy) -> Dialer {
        Dialer { state: State::Idle, backoff: Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE), entropy }
    }

    /// Starts a try. The caller emits `Dial`.
    pub(crate) fn dial(&mut self, now: Timestamp) {
        self.state = State::Trying { until: now + NO_ANSWER_AFTER };
    }

    pub(crate) fn up(&mut self) {
        self.state = State::Up;
    }

    /// The rendezvous said something that makes sense: the next failure is a first one. A socket that opens proves
    /// nothing yet.
    pub(crate) fn answered(&mut self) {
        self.backoff.reset();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// The try failed or the connection ended: pause, then [`due`](Dialer::due).
    pub(crate) fn down(&mut self, now: Timestamp) {
        if let State::Pausing { .. } = self.state {
            return;
        }
        let pause = self.backoff.jittered(&mut self.entropy);
        self.state = State::Pausing { until: now + pause };
    }

    pub(crate) fn hang_up(&mut self) {
        self.state = State::Idle;
    }

    /// The pause before another try while the connection is up.
    #[cfg(feature = "host")]
    pub(crate) fn pause(&mut self) -> Duration {
        self.backoff.jittered(&mut self.entropy)
    }

    /// A random time, this long at most.
    #[cfg(feature = "host")]
    pub(crate) fn some_time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64((self.entropy.number() % 1024) as f64 / 1024.0)
    }

    /// Whether a try ran out of time: the caller says so and calls [`down`](Dialer::down).
    pub(crate) fn try_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Trying { until } if until <= now)
    }

    /// Whether it is time to dial again.
    pub(crate) fn due(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Pausing { until } if until <= now)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Trying { until } | State::Pausing { until } => Some(until),
            State::Idle | State::Up => None,
        }
    }
}
