//! The shared command: its start, what is typed into it, and its end, which is the session's.

use std::time::Duration;

use super::{Guest, Host, HostExit, HostOutput, Program, Writing};
use crate::handshake::Cause;
use crate::id::LinkId;
use crate::link::Command;
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, Goodbye};

/// Viewers that are there when the command ends get this long for the last screen and the goodbye.
const LAST_SCREEN_WITHIN: Duration = Duration::from_secs(3);

/// Someone who is in mid-handshake when the session ends gets this long to see the last screen.
const LATE_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

impl Host {
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
        for guest in self.guests.values_mut() {
            if let Some(member) = guest.member.as_mut() {
                member.inbound.discard();
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
            Program::NotStarted => self.exit(HostExit::Stopped),
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

    pub(super) fn pump_writes(&mut self) {
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
        if let Some(keys) = self.keys.take() {
            self.writing = Writing::Own;
            self.out.push_back(HostOutput::Write(keys));
            self.out.push_back(HostOutput::KeysTaken);
            return;
        }
        // Everybody in turn, from whoever comes after the last one.
        let after = LinkId(self.last_writer.0.wrapping_add(1));
        let turn: Vec<_> =
            self.guests.range(after..).chain(self.guests.range(..after)).map(|(link, _)| *link).collect();
        for link in turn {
            let member = self.guests.get_mut(&link).and_then(|guest| guest.member.as_mut());
            if let Some(bytes) = member.and_then(|member| member.inbound.next_write()) {
                self.writing = Writing::Member(link);
                self.last_writer = link;
                self.out.push_back(HostOutput::Write(bytes));
                return;
            }
        }
    }

    pub(super) fn on_written(&mut self) {
        if let Writing::Member(link) = std::mem::replace(&mut self.writing, Writing::Nobody) {
            let Some(member) = self.guests.get_mut(&link).and_then(|guest| guest.member.as_mut()) else { return };
            let taken = member.inbound.taken();
            if taken > member.taken_sent {
                member.taken_sent = taken;
                self.say(link, &FromHost::Taken(taken));
            }
        }
    }

    pub(super) fn pump_ending(&mut self, now: Timestamp) {
        let Program::Ended { code, at } = self.program else { return };
        if self.exited {
            return;
        }
        let mut leave = Vec::new();
        for (link, guest) in self.guests.iter_mut().filter(|(_, guest)| guest.takes_frames()) {
            let shown = guest.member.as_ref().is_some_and(|member| member.outbound.is_current(&self.emulator));
            if shown && !self.dirty {
                leave.push(*link);
            }
        }
        let goodbye = if self.stopped { Goodbye::Stopped } else { Goodbye::Ended(code) };
        for link in leave {
            self.part(now, link, goodbye.clone(), Cause::Left);
        }
        let owed = |guest: &Guest| guest.live_at.is_none_or(|live| now < at.max(live) + LAST_SCREEN_WITHIN);
        let lingers = now < at + self.config.linger;
        let late = at + self.config.linger + LATE_HANDSHAKE_WITHIN <= now;
        if late || (!lingers && !self.guests.values().any(owed)) {
            self.exit(if self.stopped { HostExit::Stopped } else { HostExit::Ended(code) });
        }
    }

    /// When the ending may take its next step: the end of the linger, of somebody's time for the last screen, of all patience.
    pub(super) fn ending_deadline(&self) -> Option<Timestamp> {
        let Program::Ended { at, .. } = self.program else { return None };
        let end = at + self.config.linger;
        let guests =
            self.guests.values().filter_map(|guest| guest.live_at).map(|live| at.max(live) + LAST_SCREEN_WITHIN);
        [end, end + LATE_HANDSHAKE_WITHIN].into_iter().chain(guests).filter(|deadline| *deadline > self.now).min()
    }
}
