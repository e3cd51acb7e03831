//! A session's life: the command starts, runs and ends, then the session ends.

use std::time::Duration;

use super::connection::Connection;
use super::member::Control;
use super::members::CONTROL_WITHIN;
use super::{Host, HostExit, HostOutput};
use crate::session::handshake::Cause;
use crate::session::link::{Command, Refusal};
use crate::time::Timestamp;
use crate::wire::frame::Goodbye;

/// Viewers that are there when the command ends get at least this long for the last screen.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(3);

/// Viewers that are still behind get the goodbye all the same, and this long to acknowledge it.
const LATE_GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// Viewers that are in mid-handshake when the session ends get this long to see the last screen.
const LATE_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// The command has not started.
    Waiting,
    /// The command runs.
    Running,
    /// The command has ended: viewers get its last screen and a goodbye.
    Ending(Ending),
    /// The machine does nothing any more.
    Exited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    at: Timestamp,
    end: End,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The command ended by itself, with this code.
    Command(i32, Linger),
    /// The command was hung up on.
    Stopped(Stop),
}

/// How long the last screen stays for viewers that still join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linger {
    Until(Timestamp),
    /// The session was stopped at this time, after its command had ended.
    CutShort(Timestamp),
}

/// The cause of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A person, or a program of theirs.
    Person,
    /// The session's own time was over.
    Expiry,
}

impl Stop {
    fn exit(self) -> HostExit {
        match self {
            Stop::Person => HostExit::Stopped,
            Stop::Expiry => HostExit::Expired,
        }
    }
}

impl Ending {
    /// Until when the last screen stays for viewers that still join.
    fn lingers_until(self) -> Timestamp {
        match self.end {
            End::Command(_, Linger::Until(until)) => until,
            End::Command(_, Linger::CutShort(at)) => at,
            End::Stopped(_) => self.at,
        }
    }

    /// From when on viewers that are behind get a goodbye all the same: so that its acknowledgement can come before the
    /// linger ends.
    fn late_from(self) -> Timestamp {
        self.at + self.lingers_until().since(self.at).saturating_sub(LATE_GOODBYE_WITHIN)
    }

    fn goodbye(self) -> Goodbye {
        match self.end {
            End::Command(code, _) => Goodbye::Ended(if is_faulty!(WrongExitCode) { 0 } else { code }),
            End::Stopped(Stop::Person) => Goodbye::Stopped,
            End::Stopped(Stop::Expiry) => Goodbye::Expired,
        }
    }

    fn exit(self) -> HostExit {
        match self.end {
            End::Command(code, _) => HostExit::Ended(code),
            End::Stopped(stop) => stop.exit(),
        }
    }
}

impl Lifecycle {
    pub(super) fn is_running(self) -> bool {
        self == Lifecycle::Running
    }

    pub(super) fn is_exited(self) -> bool {
        self == Lifecycle::Exited
    }

    /// Whether the session was stopped: nobody may join any more.
    pub(super) fn is_stopped(self) -> bool {
        match self {
            Lifecycle::Waiting | Lifecycle::Running => false,
            Lifecycle::Ending(Ending { end: End::Command(_, Linger::Until(_)), .. }) => false,
            Lifecycle::Ending(Ending { end: End::Command(_, Linger::CutShort(_)) | End::Stopped(_), .. }) => true,
            Lifecycle::Exited => true,
        }
    }

    /// Whether the command has ended and its last screen is kept no longer: a viewer that joins now is too late.
    pub(super) fn is_too_late(self, now: Timestamp) -> bool {
        match self {
            Lifecycle::Ending(ending) => ending.lingers_until() <= now,
            Lifecycle::Waiting | Lifecycle::Running | Lifecycle::Exited => false,
        }
    }
}

impl Connection {
    /// Until when the last screen, or the acknowledgement of a goodbye, is waited for, if the command ended at `end`.
    fn owed_until(&self, end: Timestamp) -> Option<Timestamp> {
        let member = self.member()?;
        if let Some(by) = self.part_by() {
            return Some(by);
        }
        let within = match member.presence.control() {
            Some(Control::Open) => LAST_SCREEN_WITHIN,
            Some(Control::Opening) | None => CONTROL_WITHIN,
        };
        Some(end.max(member.since) + within)
    }
}

impl Host {
    pub(super) fn start_program(&mut self) {
        if self.lifecycle == Lifecycle::Waiting {
            self.lifecycle = Lifecycle::Running;
            let size = self.screen.emulator.head().size;
            self.out.push_back(HostOutput::Start(size));
        }
    }

    /// The command has ended by itself.
    pub(super) fn on_ended(&mut self, now: Timestamp, code: i32) {
        if self.lifecycle.is_running() {
            self.end(now, End::Command(code, Linger::Until(now + self.config.linger)));
        }
    }

    fn end(&mut self, now: Timestamp, end: End) {
        self.lifecycle = Lifecycle::Ending(Ending { at: now, end });
        self.screen.emulator.end_synchronized();
        self.screen.frames.program_ended(now);
        self.input.program_ended();
        for connection in self.connections.values_mut() {
            if let Some(member) = connection.member_mut() {
                member.lane.inbound.discard();
            }
        }
    }

    /// Hangs up, and parts from everybody as if the command had ended, without lingering.
    pub(super) fn stop(&mut self, now: Timestamp, stop: Stop) {
        match &mut self.lifecycle {
            Lifecycle::Waiting => self.exit(stop.exit()),
            Lifecycle::Running => {
                self.out.push_back(HostOutput::HangUp);
                self.end(now, End::Stopped(stop));
            }
            Lifecycle::Ending(Ending { end: End::Command(_, linger @ Linger::Until(_)), .. }) => {
                *linger = Linger::CutShort(now);
            }
            Lifecycle::Ending(_) | Lifecycle::Exited => {}
        }
    }

    /// The own terminal gets back the modes that it had before the session.
    fn undo_modes(&mut self) {
        let undo = self.screen.emulator.undo();
        if !self.config.headless && !undo.is_empty() {
            self.out.push_back(HostOutput::Show(undo));
        }
    }

    /// Refuses the viewers that wait: there is nothing left to wait for.
    fn refuse_all_pending(&mut self, now: Timestamp) {
        let pending = self.connections.iter().filter(|(_, connection)| connection.pending().is_some());
        for link in pending.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.refuse_pending(now, link, Refusal::NoSession);
        }
    }

    pub(super) fn exit(&mut self, exit: HostExit) {
        if !self.lifecycle.is_exited() {
            self.refuse_all_pending(self.now);
            self.lifecycle = Lifecycle::Exited;
            self.link(Command::Unregister);
            self.link(Command::HangUp);
            self.undo_modes();
            self.out.push_back(HostOutput::Exit(exit));
        }
    }

    pub(super) fn pump_ending(&mut self, now: Timestamp) {
        let Lifecycle::Ending(ending) = self.lifecycle else { return };
        let (mut leave, mut late) = (Vec::new(), Vec::new());
        for (link, connection) in self.connections.iter().filter(|(_, connection)| connection.takes_frames()) {
            let shown =
                connection.member().is_some_and(|member| member.lane.outbound.is_current(&self.screen.emulator));
            let is_late = connection.owed_until(ending.at).is_some_and(|until| until.max(ending.late_from()) <= now);
            // In a pause nobody gets the last screen.
            if (shown && self.screen.frames.is_current()) || self.sharing.is_paused() {
                leave.push(*link);
            } else if is_late && !is_faulty!(NoGoodbye) {
                late.push(*link);
            }
        }
        for link in leave.iter().chain(&late) {
            self.part(now, *link, ending.goodbye(), Cause::Left);
        }
        for link in late {
            if let Some(connection) = self.connections.get_mut(&link) {
                connection.part_sooner(now + LATE_GOODBYE_WITHIN);
            }
        }
        let end = ending.lingers_until();
        if end <= now {
            self.refuse_all_pending(now);
        }
        let is_stopped = self.lifecycle.is_stopped();
        // A stranger who proves nothing does not delay a stop.
        let owed = |connection: &Connection| match connection.owed_until(ending.at) {
            Some(until) => now < until,
            None => !(is_stopped && connection.is_proving() && connection.needs_invite()),
        };
        let is_over = end + LATE_HANDSHAKE_WITHIN <= now;
        if is_over || (end <= now && !self.connections.values().any(owed)) {
            self.exit(ending.exit());
        }
    }

    /// When the ending may take its next step: late goodbyes, the end of the linger, of a member's time for the last
    /// screen, of all patience.
    pub(super) fn ending_deadline(&self) -> Option<Timestamp> {
        let Lifecycle::Ending(ending) = self.lifecycle else { return None };
        let end = ending.lingers_until();
        let connections = self.connections.values().filter_map(|connection| connection.owed_until(ending.at));
        [ending.late_from(), end, end + LATE_HANDSHAKE_WITHIN]
            .into_iter()
            .chain(connections)
            .filter(|deadline| *deadline > self.now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_ended_lingers_and_one_that_was_stopped_does_not() {
        let at = |secs| Timestamp::from(Duration::from_secs(secs));
        let ended = |end| Lifecycle::Ending(Ending { at: at(10), end });
        let lingers = ended(End::Command(3, Linger::Until(at(40))));
        assert!(!lingers.is_too_late(at(39)) && lingers.is_too_late(at(40)) && !lingers.is_stopped());
        for end in [End::Command(3, Linger::CutShort(at(10))), End::Stopped(Stop::Expiry)] {
            assert!(ended(end).is_too_late(at(10)) && ended(end).is_stopped());
        }
        let (cut, expired) = (End::Command(3, Linger::CutShort(at(10))), End::Stopped(Stop::Expiry));
        let exits = [cut, expired].map(|end| Ending { at: at(10), end }.exit());
        assert_eq!(exits, [HostExit::Ended(3), HostExit::Expired]);
    }
}
