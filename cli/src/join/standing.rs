//! The line over the screen that lasts: the connection is lost, or the host has paused the session.

use std::time::{Duration, Instant};

use beach_core::session::handshake::Stage;
use beach_core::viewer::sentences::{LOST, PAUSED};

/// The line tells the time since the connection was lost in seconds.
const EACH_SECOND: Duration = Duration::from_secs(1);

/// The conditions that the line shows.
pub(super) struct Standing {
    contact: Contact,
    activity: Activity,
    typed: TypedInput,
}

/// Whether the host is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    Held,
    /// The connection is lost since then; `again` is when the line shows the next second.
    Lost {
        since: Instant,
        again: Instant,
    },
}

/// Whether the host lets the session go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    Running,
    Paused,
}

/// Whether all of the person's keystrokes reached the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypedInput {
    Arrived,
    /// Some keystrokes never arrived.
    SomeLost,
}

impl Standing {
    pub(super) fn new() -> Standing {
        Standing { contact: Contact::Held, activity: Activity::Running, typed: TypedInput::Arrived }
    }

    pub(super) fn lose(&mut self) {
        let now = Instant::now();
        self.contact = Contact::Lost { since: now, again: now };
    }

    pub(super) fn regain(&mut self) {
        self.contact = Contact::Held;
    }

    pub(super) fn is_lost(&self) -> bool {
        match self.contact {
            Contact::Held => false,
            Contact::Lost { .. } => true,
        }
    }

    pub(super) fn set_activity(&mut self, activity: Activity) {
        self.activity = activity;
    }

    pub(super) fn set_typed(&mut self, typed: TypedInput) {
        self.typed = typed;
    }

    /// When the line needs an update.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.contact {
            Contact::Held => None,
            Contact::Lost { again, .. } => Some(again),
        }
    }

    /// The line, in a stage of the reconnect; `escape` is the name of the escape key, empty without one.
    pub(super) fn line(&mut self, stage: Stage, escape: &str) -> Option<String> {
        let leave = if escape.is_empty() { String::new() } else { format!("  Leave: {escape}.") };
        match (&mut self.contact, self.activity) {
            (Contact::Lost { since, again }, _) => {
                let lost = match self.typed {
                    TypedInput::Arrived => String::new(),
                    TypedInput::SomeLost => format!(" {LOST}"),
                };
                *again = Instant::now() + EACH_SECOND;
                let seconds = since.elapsed().as_secs();
                Some(format!("beach: reconnecting, {seconds} s ({stage}).{lost}{leave}"))
            }
            (Contact::Held, Activity::Paused) => Some(format!("beach: {PAUSED}{leave}")),
            (Contact::Held, Activity::Running) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_told_before_a_pause_and_anew_each_second() {
        let mut standing = Standing::new();
        assert_eq!(standing.line(Stage::Live, "~"), None);
        standing.set_activity(Activity::Paused);
        let paused = "beach: the host paused the session; you see nothing new and cannot type.  Leave: ~.";
        assert_eq!(standing.line(Stage::Live, "~").as_deref(), Some(paused));
        assert_eq!(standing.deadline(), None);

        standing.lose();
        standing.set_typed(TypedInput::SomeLost);
        let lost = standing.line(Stage::ReachingRendezvous, "^A").expect("a line");
        assert!(lost.starts_with("beach: reconnecting, 0 s (") && lost.ends_with("was lost.  Leave: ^A."), "{lost}");
        assert!(standing.deadline().is_some_and(|again| again <= Instant::now() + EACH_SECOND));

        standing.regain();
        assert_eq!(standing.deadline(), None);
        assert_eq!(standing.line(Stage::Live, "").as_deref(), paused.strip_suffix("  Leave: ~."));
    }
}
