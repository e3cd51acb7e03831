//! Every deadline of the host, each written once: the event, the time, and the consequence.

use super::connection::Connection;
use super::lifecycle::{Lifecycle, Stop};
use super::{Host, HostExit, Start};
use crate::id::LinkId;
use crate::session::dialer::no_answer;
use crate::session::handshake::{Cause, Stage};
use crate::session::link::{Command, Envelope};
use crate::time::Timestamp;

/// Why the host wants the time. Simultaneous timers are handled in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The rendezvous is connected and has not confirmed the session.
    Registering,
    /// The program gets another size.
    Resize,
    /// A try to reach the rendezvous ends, or the next one begins.
    Dial,
    /// The earliest deadline of the connections: see [`ConnectionTimer`].
    Connections,
    /// The session was never registered.
    FirstRegistration,
    /// No viewer has joined a session that waits for one.
    Start,
    /// The session's own time is over.
    Expiry,
    /// The end of a key's sequence does not come.
    HalfKey,
    /// The own terminal does not say where its cursor is.
    OwnCursor,
    /// The program takes none of the host's keys.
    Keys,
    /// A synchronised update was not closed.
    Synchronized,
    /// The next frame may be made.
    Frame,
    /// A message on the own terminal was shown long enough.
    Console,
    /// Viewers may be told of the clipboard again.
    Clipboard,
    /// A paste goes on no more, or a member that typed too much may go on.
    Input,
    /// Viewers may be told again who is here, or somebody has stopped typing.
    Listing,
    /// The ending takes its next step.
    Ending,
}

impl Timer {
    const ALL: [Timer; 17] = [
        Timer::Registering,
        Timer::Resize,
        Timer::Dial,
        Timer::Connections,
        Timer::FirstRegistration,
        Timer::Start,
        Timer::Expiry,
        Timer::HalfKey,
        Timer::OwnCursor,
        Timer::Keys,
        Timer::Synchronized,
        Timer::Frame,
        Timer::Console,
        Timer::Clipboard,
        Timer::Input,
        Timer::Listing,
        Timer::Ending,
    ];
}

/// Why one connection wants the time. Simultaneous timers are handled in this order, each for all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionTimer {
    /// The handshake's stage has taken too long.
    Stage,
    /// A pending viewer is told again that it waits.
    Reminder,
    /// The control lane has not opened.
    Control,
    /// A goodbye was not acknowledged.
    Goodbye,
    /// The place of a member that is away is kept no longer.
    Place,
    /// A fresh attempt is made.
    Attempt,
    /// The viewer's screen goes on.
    Frame,
    /// The viewer is told of a title or bell.
    Properties,
}

impl ConnectionTimer {
    const ALL: [ConnectionTimer; 8] = [
        ConnectionTimer::Stage,
        ConnectionTimer::Reminder,
        ConnectionTimer::Control,
        ConnectionTimer::Goodbye,
        ConnectionTimer::Place,
        ConnectionTimer::Attempt,
        ConnectionTimer::Frame,
        ConnectionTimer::Properties,
    ];
}

impl Timer {
    /// Whether a log names the timer when it is due. The others run all the time, or are named by their connection.
    fn is_named(self) -> bool {
        match self {
            Timer::Registering
            | Timer::Dial
            | Timer::FirstRegistration
            | Timer::Start
            | Timer::Expiry
            | Timer::Ending => true,
            Timer::Resize
            | Timer::Connections
            | Timer::HalfKey
            | Timer::OwnCursor
            | Timer::Keys
            | Timer::Synchronized
            | Timer::Frame
            | Timer::Console
            | Timer::Clipboard
            | Timer::Input
            | Timer::Listing => false,
        }
    }
}

impl ConnectionTimer {
    /// Whether a log names the timer when it is due.
    fn is_named(self) -> bool {
        match self {
            ConnectionTimer::Stage
            | ConnectionTimer::Reminder
            | ConnectionTimer::Control
            | ConnectionTimer::Goodbye
            | ConnectionTimer::Place
            | ConnectionTimer::Attempt => true,
            ConnectionTimer::Frame | ConnectionTimer::Properties => false,
        }
    }
}

impl Host {
    /// The names of the timers that are due, each with its link if there is one, for the log.
    pub(super) fn timers_due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)> {
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let own = self.timers().into_iter().filter(|(timer, at)| timer.is_named() && is_due(*at));
        let mut names: Vec<_> = own.map(|(timer, _)| (None, format!("{timer:?}"))).collect();
        for id in self.connections.due(now) {
            let connection = &self.connections[&id];
            let named = ConnectionTimer::ALL.into_iter().filter(|timer| timer.is_named());
            let due = named.filter(|timer| is_due(self.connection_time(connection, *timer)));
            let stage = |timer| (timer == ConnectionTimer::Stage).then(|| connection.handshake.stage());
            let name = |timer| match stage(timer) {
                Some(stage) => format!("{timer:?} ({stage})"),
                None => format!("{timer:?}"),
            };
            names.extend(due.map(|timer| (Some(id), name(timer))));
        }
        names
    }

    /// All deadlines.
    pub(super) fn timers(&self) -> [(Timer, Option<Timestamp>); 17] {
        Timer::ALL.map(|timer| (timer, self.time_of(timer)))
    }

    fn time_of(&self, timer: Timer) -> Option<Timestamp> {
        match timer {
            Timer::Registering => self.registration.registers_by(),
            Timer::Resize => self.screen.resizing.deadline(),
            Timer::Dial => self.registration.dials_at(),
            Timer::Connections => self.connections.deadline(),
            Timer::FirstRegistration => self.registration.begins_by(),
            Timer::Start => match self.config.start {
                Start::WhenJoined(Some(within)) if self.lifecycle == Lifecycle::Waiting => {
                    let end = self.registration.since()? + within;
                    // Their own deadlines bound the time of viewers that are on the way in.
                    let is_coming = self.connections.values().any(|connection| connection.may_still_join(end));
                    Some(end).filter(|_| !is_coming)
                }
                Start::WhenJoined(_) | Start::AtOnce => None,
            },
            Timer::Expiry => {
                let since = self.registration.since().filter(|_| !self.lifecycle.is_stopped())?;
                self.config.expire.map(|expire| since + expire)
            }
            Timer::HalfKey => self.console.half_key_deadline(),
            Timer::OwnCursor => self.screen.own_cursor.deadline(),
            Timer::Keys => self.input.keys_deadline(),
            Timer::Synchronized => self.screen.frames.synchronized_deadline(),
            Timer::Frame => {
                let is_shown = !self.sharing.is_paused() && self.connections.values().any(Connection::takes_frames);
                self.screen.frames.deadline().filter(|_| is_shown)
            }
            Timer::Console => self.console.deadline(),
            Timer::Clipboard => self.screen.properties.clipboard_deadline().filter(|_| !self.sharing.is_paused()),
            Timer::Input => self.input_deadline(self.now),
            Timer::Listing => self.listing.deadline(),
            Timer::Ending => self.ending_deadline(),
        }
    }

    fn connection_time(&self, connection: &Connection, timer: ConnectionTimer) -> Option<Timestamp> {
        let shown = connection.member().filter(|_| connection.takes_frames());
        match timer {
            ConnectionTimer::Stage => connection.fails_at(self.sharing),
            // Without the rendezvous no reminder could travel.
            ConnectionTimer::Reminder => {
                connection.pending()?.remind_at(self.sharing).filter(|_| self.registration.is_registered())
            }
            ConnectionTimer::Control => connection.control_by(),
            ConnectionTimer::Goodbye => connection.part_by(),
            ConnectionTimer::Place => connection.kept_until(),
            // Without the rendezvous the offer could not travel, and the old attempt may still get there.
            ConnectionTimer::Attempt => connection.fresh_attempt_at().filter(|_| self.registration.is_registered()),
            ConnectionTimer::Frame => shown.and_then(|member| member.lane.deadline(self.sharing.is_paused())),
            ConnectionTimer::Properties => shown.and_then(|member| self.properties_at(member)),
        }
    }

    /// When something follows for a connection although nothing happens.
    pub(super) fn connection_deadline(&self, connection: &Connection) -> Option<Timestamp> {
        ConnectionTimer::ALL.into_iter().filter_map(|timer| self.connection_time(connection, timer)).min()
    }

    /// Handles everything that is due.
    pub(super) fn on_time(&mut self, now: Timestamp) {
        for timer in Timer::ALL {
            // Connections that changed have no deadline yet, so they are looked at in any case.
            if timer == Timer::Connections || self.time_of(timer).is_some_and(|at| at <= now) {
                self.on_timer(now, timer);
            }
        }
    }

    fn on_timer(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Registering => {
                self.link(Command::HangUp);
                self.on_signal_down(now, "the rendezvous did not register the session".to_owned());
            }
            Timer::Resize => self.resize(now),
            Timer::Dial => {
                if self.registration.try_expired(now) {
                    self.on_signal_down(now, no_answer());
                } else if !self.lifecycle.is_exited() && self.registration.redial(now) && !is_faulty!(NoRedial) {
                    self.link(Command::Dial);
                } else if self.registration.moves(now, self.has_handshakes()) {
                    self.link(Command::Move);
                }
            }
            Timer::Connections => self.on_connection_time(now),
            Timer::FirstRegistration => {
                let failure = self.registration.failed(now);
                self.exit(HostExit::Failed(failure));
            }
            Timer::Start => self.exit(HostExit::NobodyJoined),
            Timer::Expiry => self.stop(now, Stop::Expiry),
            Timer::HalfKey => self.end_half_key(now),
            Timer::OwnCursor => self.own_terminal_silent(),
            Timer::Keys => self.own_keys_stall(),
            Timer::Synchronized => self.break_synchronized(),
            // These deadlines are handled after every input.
            Timer::Frame | Timer::Console | Timer::Clipboard | Timer::Input | Timer::Listing | Timer::Ending => {}
        }
    }

    fn on_connection_time(&mut self, now: Timestamp) {
        let due = self.connections.due(now);
        for timer in ConnectionTimer::ALL {
            let is_due = |link: &LinkId| {
                let connection = self.connections.get(link);
                connection.and_then(|connection| self.connection_time(connection, timer)).is_some_and(|at| at <= now)
            };
            let links: Vec<_> = due.iter().copied().filter(is_due).collect();
            for link in links {
                self.on_connection_timer(now, link, timer);
            }
        }
    }

    fn on_connection_timer(&mut self, now: Timestamp, link: LinkId, timer: ConnectionTimer) {
        match timer {
            ConnectionTimer::Stage => {
                self.link(Command::Envelope(link, Envelope::Goodbye));
                self.lose(now, link, Cause::NoAnswer);
            }
            ConnectionTimer::Reminder => self.remind(now, link),
            ConnectionTimer::Control => self.lose(now, link, Cause::NoControl),
            ConnectionTimer::Goodbye => self.parted(now, link),
            ConnectionTimer::Place => self.give_up(now, link),
            ConnectionTimer::Attempt => self.open(now, link, Stage::Answer),
            // These deadlines are handled after every input.
            ConnectionTimer::Frame | ConnectionTimer::Properties => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::{Approve, Escape, HostConfig, HostInput, HostOutput, InviteRules, Resize};
    use crate::machine::Machine;
    use crate::session::link::Event;
    use crate::terminal::Size;

    fn config() -> HostConfig {
        HostConfig {
            seed: [1; 32],
            size: Size::default(),
            rows_taken: 0,
            history: 100,
            resize: Resize::Owner,
            headless: true,
            start: Start::WhenJoined(Some(Duration::from_secs(60))),
            linger: Duration::ZERO,
            keep: Duration::from_secs(60),
            approve: Approve::Nobody,
            escape: Escape::Never,
            max_viewers: 1,
            expire: Some(Duration::from_secs(3600)),
            links: InviteRules::default(),
            no_browsers: false,
            tells_input: false,
        }
    }

    /// The timers that are set, and the seconds at which they are due.
    fn set(host: &Host) -> Vec<(Timer, f64)> {
        let set = host.timers().into_iter().filter_map(|(timer, at)| Some((timer, at? - Timestamp::ZERO)));
        set.map(|(timer, after)| (timer, after.as_secs_f64())).collect()
    }

    #[test]
    fn each_wait_of_a_new_session_has_its_timer_and_the_first_is_the_deadline() {
        let at = |secs| Timestamp::from(Duration::from_secs(secs));
        let mut host = Host::new(config());
        host.handle(at(0), HostInput::Tick);
        assert_eq!(set(&host), [(Timer::Dial, 5.0), (Timer::FirstRegistration, 15.0)]);
        host.handle(at(1), HostInput::Link(Event::SignalUp));
        assert_eq!(set(&host), [(Timer::Registering, 6.0), (Timer::FirstRegistration, 15.0)]);
        host.handle(at(2), HostInput::Link(Event::Registered));
        assert_eq!(set(&host), [(Timer::Start, 62.0), (Timer::Expiry, 3602.0)]);
        assert_eq!(host.deadline(), Some(at(62)));

        while host.poll().is_some() {}
        host.handle(at(62), HostInput::Tick);
        let exit = std::iter::from_fn(|| host.poll()).find(|output| matches!(output, HostOutput::Exit(_)));
        assert_eq!((exit, host.deadline()), (Some(HostOutput::Exit(HostExit::NobodyJoined)), None));
    }
}
