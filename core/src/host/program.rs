//! The shared command: its start, its output, and its end, which is the session's.

use std::time::Duration;

use super::members::{CONTROL_WITHIN, FRAME_INTERVAL};
use super::{Connection, Host, HostExit, HostOutput, Program};
use crate::session::handshake::Cause;
use crate::session::link::Command;
use crate::time::Timestamp;
use crate::wire::frame::Goodbye;

/// Viewers that are there when the command ends get this long for the last screen and the goodbye.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(3);

/// What is printed so soon after input was written may be its echo.
const ECHO_WITHIN: Duration = Duration::from_millis(100);

/// The first output after input was written is shown at once. If the program was printing anyway, the echo is in what follows: it is
/// shown after this time, then after twice this time, and so on, until the ordinary pace is reached.
const ECHO_PAUSE: Duration = Duration::from_millis(2);

/// A synchronised update (mode 2026) that is not closed by then is shown as it is.
const SYNCHRONIZED_AT_MOST: Duration = Duration::from_millis(150);

/// Somebody waits for an echo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    until: Timestamp,
    printed: bool,
    pause: Duration,
}

/// Someone who is in mid-handshake when the session ends gets this long to see the last screen.
const LATE_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

impl Echo {
    /// A viewer's input is written now.
    pub(super) fn expected(now: Timestamp) -> Echo {
        Echo { until: now + ECHO_WITHIN, printed: false, pause: ECHO_PAUSE }
    }
}

impl Connection {
    /// Until when the last screen and a goodbye are owed, once it is confirmed and the program ended at `end`.
    fn owed_until(&self, end: Timestamp) -> Option<Timestamp> {
        let within = if self.control_up { LAST_SCREEN_WITHIN } else { CONTROL_WITHIN };
        self.live_at.map(|live| end.max(live) + within)
    }
}

impl Host {
    pub(super) fn on_printed(&mut self, now: Timestamp, bytes: Vec<u8>) {
        self.show_printed(bytes);
        self.dirty = true;
        self.echo = self.echo.filter(|echo| now <= echo.until);
        if let Some(echo) = self.echo.as_mut().filter(|echo| !echo.printed) {
            echo.printed = true;
            self.next_frame = now;
        }
        let open = self.emulator.synchronized();
        self.synchronized_until = open.then(|| self.synchronized_until.unwrap_or(now + SYNCHRONIZED_AT_MOST));
    }

    /// A frame was made: when the next one may be, and whether this one may have the echo that somebody waits for.
    pub(super) fn pace(&mut self, now: Timestamp) -> bool {
        let Some(echo) = self.echo.as_mut().filter(|echo| echo.printed && now <= echo.until) else {
            self.next_frame = now + FRAME_INTERVAL;
            return false;
        };
        self.next_frame = now + echo.pause;
        echo.pause *= 2;
        if echo.pause >= FRAME_INTERVAL {
            self.echo = None;
        }
        true
    }

    pub(super) fn start_program(&mut self) {
        if self.program == Program::NotStarted && !self.stopping {
            self.program = Program::Running;
            let size = self.emulator.head().size;
            self.out.push_back(HostOutput::Start(size));
        }
    }

    pub(super) fn end(&mut self, now: Timestamp, code: i32) {
        if self.program != Program::Running {
            return;
        }
        self.program = Program::Ended { code, at: now };
        self.emulator.end_synchronized();
        self.synchronized_until = None;
        self.dirty = true;
        self.next_frame = now;
        self.input.program_ended();
        for connection in self.connections.values_mut() {
            if let Some(member) = connection.member.as_mut() {
                member.lane.inbound.discard();
            }
        }
    }

    /// Whether the command has ended and its last screen is kept no longer: who comes now is too late.
    pub(super) fn is_too_late(&self, now: Timestamp) -> bool {
        matches!(self.program, Program::Ended { at, .. } if at + self.config.linger <= now)
    }

    pub(super) fn is_over(&self) -> bool {
        self.exited || self.stopping
    }

    /// Hangs up, and parts from everybody as if the command had ended, without lingering.
    pub(super) fn stop(&mut self, now: Timestamp) {
        if self.is_over() {
            return;
        }
        self.stopping = true;
        self.config.linger = Duration::ZERO;
        match self.program {
            Program::NotStarted => self.exit(if self.expired { HostExit::Expired } else { HostExit::Stopped }),
            Program::Running => {
                self.out.push_back(HostOutput::HangUp);
                self.end(now, 0);
                self.stopped = true;
            }
            Program::Ended { .. } => {}
        }
    }

    pub(super) fn exit(&mut self, exit: HostExit) {
        if !self.exited {
            self.exited = true;
            self.link(Command::Unregister);
            self.link(Command::HangUp);
            self.out.push_back(HostOutput::Exit(exit));
        }
    }

    pub(super) fn pump_ending(&mut self, now: Timestamp) {
        let Program::Ended { code, at } = self.program else { return };
        if self.exited {
            return;
        }
        let mut leave = Vec::new();
        for (link, connection) in self.connections.iter().filter(|(_, connection)| connection.takes_frames()) {
            let shown =
                connection.member.as_ref().is_some_and(|member| member.lane.outbound.is_current(&self.emulator));
            if shown && !self.dirty {
                leave.push(*link);
            }
        }
        let goodbye = match (self.stopped, self.expired) {
            (true, true) => Goodbye::Expired,
            (true, false) => Goodbye::Stopped,
            (false, _) => Goodbye::Ended(code),
        };
        for link in leave {
            self.part(now, link, goodbye.clone(), Cause::Left);
        }
        let owed = |connection: &Connection| connection.owed_until(at).is_none_or(|until| now < until);
        let lingers = now < at + self.config.linger;
        let late = at + self.config.linger + LATE_HANDSHAKE_WITHIN <= now;
        if late || (!lingers && !self.connections.values().any(owed)) {
            self.exit(match (self.stopped, self.expired) {
                (true, true) => HostExit::Expired,
                (true, false) => HostExit::Stopped,
                (false, _) => HostExit::Ended(code),
            });
        }
    }

    /// When the ending may take its next step: the end of the linger, of somebody's time for the last screen, of all patience.
    pub(super) fn ending_deadline(&self) -> Option<Timestamp> {
        let Program::Ended { at, .. } = self.program else { return None };
        let end = at + self.config.linger;
        let connections = self.connections.values().filter_map(|connection| connection.owed_until(at));
        [end, end + LATE_HANDSHAKE_WITHIN].into_iter().chain(connections).filter(|deadline| *deadline > self.now).min()
    }
}
