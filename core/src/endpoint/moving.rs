//! Host: the way from one rendezvous to another. The host registers its sessions on a second connection before it
//! leaves the first one, so that viewers find the sessions all the time.

use std::time::Duration;

use serde::Serialize;

use crate::peer::engine::Engine;
use crate::session::link::{Event, LinkUser};
use crate::time::Timestamp;
use crate::wire::signal::{FromRendezvous, parse_from_rendezvous, to_text};

use super::{Endpoint, Output};

/// The second connection is made, and a session registered on it, within this time: twice as long as either may take.
const MOVED_WITHIN: Duration = Duration::from_secs(10);

/// The second connection, from the dial until a session is registered on it.
pub(super) struct Beside {
    /// When the endpoint gives it up.
    pub(super) by: Timestamp,
    /// Why the first connection is gone, if it is.
    lost: Option<String>,
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    /// Begins to register on a second connection. An earlier one is abandoned.
    pub(super) fn begin_move(&mut self, now: Timestamp) {
        let lost = self.signal.beside.take().and_then(|earlier| earlier.lost);
        let texts = self.registrations().iter().map(to_text).collect();
        self.signal.beside = Some(Beside { by: now + MOVED_WITHIN, lost });
        self.out.push_back(Output::DialBeside(texts));
    }

    /// The rendezvous said something on the second connection.
    pub(super) fn on_signal_beside(&mut self, now: Timestamp, text: &str) {
        if self.signal.beside.is_none() {
            return;
        }
        let message = parse_from_rendezvous(text);
        if let Ok(FromRendezvous::Registered { .. }) = message {
            self.take_beside(now);
        }
        if let Ok(FromRendezvous::Refused { link: None, reason }) = message {
            return self.give_up_move(reason.to_string());
        }
        self.on_signal(now, text);
    }

    /// A session is registered on the second connection: from here on there is only that one.
    fn take_beside(&mut self, now: Timestamp) {
        if self.signal.beside.take().is_none() {
            return;
        }
        self.out.push_back(Output::TakeBeside);
        self.signal_is_up(now);
        self.events.push_back(Event::Moved);
    }

    /// The second connection is of no use.
    pub(super) fn give_up_move(&mut self, cause: String) {
        if self.signal.beside.is_some() {
            self.out.push_back(Output::HangUpBeside);
            self.beside_down(cause);
        }
    }

    /// The second connection is gone.
    pub(super) fn beside_down(&mut self, cause: String) {
        let Some(beside) = self.signal.beside.take() else { return };
        self.events.push_back(match beside.lost {
            Some(lost) => Event::SignalDown(lost),
            None => Event::NotMoved(cause),
        });
    }

    /// The first connection is gone. While the second one is made, nothing is lost yet: the earlier rendezvous may have
    /// ended a moment too soon.
    pub(super) fn signal_down(&mut self, cause: String) {
        self.signal.is_up = false;
        match &mut self.signal.beside {
            Some(beside) => beside.lost = Some(cause),
            None => self.events.push_back(Event::SignalDown(cause)),
        }
    }

    /// Gives up a second connection that took too long.
    pub(super) fn move_on_time(&mut self, now: Timestamp) {
        if self.signal.beside.as_ref().is_some_and(|beside| beside.by <= now) {
            self.give_up_move(format!("no answer within {} s", MOVED_WITHIN.as_secs()));
        }
    }
}
