//! The shared command: its start, what is typed into it, and its end, which is the session's.

use std::time::Duration;

use super::members::{CONTROL_WITHIN, FRAME_INTERVAL};
use super::{Connection, Host, HostExit, HostNotice, HostOutput, Program, Writing};
use crate::id::LinkId;
use crate::session::handshake::Cause;
use crate::session::link::Command;
use crate::sync::inbound::MAX_WRITE;
use crate::terminal::Modes;
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

/// A paste that goes on no more ends after this time: others want to type.
const PASTE_PATIENCE: Duration = Duration::from_secs(3);

/// Someone who is in mid-handshake when the session ends gets this long to see the last screen.
const LATE_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

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
        self.writing = Writing::Nobody;
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

    pub(super) fn pump_writes(&mut self, now: Timestamp) {
        if !self.config.headless {
            // The own terminal answers the program's queries.
            self.emulator.take_replies();
        }
        if self.program != Program::Running {
            self.emulator.take_replies();
            if self.keys.take().is_some() {
                self.out.push_back(HostOutput::KeysTaken);
            }
            return;
        }
        if !matches!(self.writing, Writing::Nobody) {
            return;
        }
        let replies = self.emulator.take_replies();
        if !replies.is_empty() {
            self.writing = Writing::Model;
            self.out.push_back(HostOutput::Write(replies));
            return;
        }
        if !self.unfinished.is_empty() {
            self.writing = Writing::Model;
            self.out.push_back(HostOutput::Write(std::mem::take(&mut self.unfinished)));
            return;
        }
        if self.pump_paste(now) {
            return;
        }
        if let Some(keys) = self.keys.take() {
            self.writing = Writing::Own;
            self.out.push_back(HostOutput::Write(keys));
            self.out.push_back(HostOutput::KeysTaken);
            return;
        }
        // Everybody in turn, from whoever comes after the last one.
        let after = LinkId(self.last_writer.0.wrapping_add(1));
        let turn: Vec<_> = self.typing.range(after..).chain(self.typing.range(..after)).copied().collect();
        for link in turn {
            if self.write_of(now, link) {
                return;
            }
        }
    }

    /// Writes what comes next of this member, if anything does.
    fn write_of(&mut self, now: Timestamp, link: LinkId) -> bool {
        let bracketed = self.emulator.modes().contains(Modes::BRACKETED_PASTE);
        let Some(member) = self.connections.get_mut(&link).and_then(|connection| connection.member.as_mut()) else {
            return false;
        };
        if member.input.ready_at(MAX_WRITE) > now {
            return false;
        }
        let Some(bytes) = member.lane.inbound.next_write(bracketed) else { return false };
        member.input.take(now, bytes.len().min(MAX_WRITE));
        self.pasting = member.lane.inbound.is_pasting().then_some((link, now));
        self.writing = Writing::Member(link);
        self.last_writer = link;
        self.echo = Some(Echo { until: now + ECHO_WITHIN, printed: false, pause: ECHO_PAUSE });
        let id = member.id;
        if self.config.tells_input {
            self.notice(HostNotice::Typed(id, bytes.clone()));
        }
        self.out.push_back(HostOutput::Write(bytes));
        true
    }

    /// Goes on with a paste that is under way; whether nobody else may write now.
    fn pump_paste(&mut self, now: Timestamp) -> bool {
        let Some((author, since)) = self.pasting else { return false };
        if self.write_of(now, author) {
            return true;
        }
        if now < since + PASTE_PATIENCE {
            return true;
        }
        self.pasting = None;
        let member = self.connections.get_mut(&author).and_then(|connection| connection.member.as_mut());
        let end = member.map(|member| member.lane.inbound.break_off()).unwrap_or_default();
        if end.is_empty() {
            return false;
        }
        self.writing = Writing::Model;
        self.out.push_back(HostOutput::Write(end));
        true
    }

    /// When somebody who typed too much may go on.
    pub(super) fn input_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = |connection: &Connection| {
            let member = connection.member.as_ref().filter(|member| member.lane.inbound.waits())?;
            Some(member.input.ready_at(MAX_WRITE)).filter(|at| *at > now)
        };
        let idle = matches!(self.writing, Writing::Nobody);
        self.typing.iter().filter(|_| idle).filter_map(|link| waits(self.connections.get(link)?)).min()
    }

    /// When a paste that stalls is broken off.
    pub(super) fn paste_deadline(&self) -> Option<Timestamp> {
        let waits = matches!(self.writing, Writing::Nobody);
        self.pasting.filter(|_| waits).map(|(_, since)| since + PASTE_PATIENCE)
    }

    pub(super) fn on_written(&mut self) {
        if let Writing::Member(link) = std::mem::replace(&mut self.writing, Writing::Nobody) {
            let Some(member) = self.connections.get_mut(&link).and_then(|connection| connection.member.as_mut()) else {
                return;
            };
            member.lane.inbound.written();
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
