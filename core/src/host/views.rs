//! The texts that the person at the host's own terminal asks for: the keys, and the list of viewers.

use super::Host;
use super::admission::Awaits;
use crate::session::link::PathKind;
use crate::terminal::viewer_name;

impl Host {
    /// The keys of the person at the own terminal.
    pub(super) fn help(&self) -> String {
        let key = self.escape_name().unwrap_or_default();
        format!(
            "beach: {key} l links, {key} m list viewers, {key} k remove one, {key} p pause or resume\n       {key} y let in, {key} n refuse, {key} {key} type {key} itself; any key closes this"
        )
    }

    /// How many viewers are here and wait.
    pub(super) fn headline(&self) -> String {
        let (here, pending) =
            (self.members(), self.connections.values().filter(|connection| connection.pending().is_some()).count());
        let viewers = if here == 1 { "viewer" } else { "viewers" };
        let waiting = if pending > 0 { format!(", {pending} waiting") } else { String::new() };
        let paused = if self.sharing.is_paused() { ", paused" } else { "" };
        format!("beach: {here} {viewers}{waiting}{paused}")
    }

    /// The members and the pending viewers, a row each.
    pub(super) fn listed(&self) -> String {
        let status = self.status();
        // As many as a banner has rows for, below its first one.
        let room = usize::from(self.screen.emulator.head().size.rows / 2).saturating_sub(1);
        let all = status.members.len() + status.pending.len();
        let members = status.members.iter().map(|member| {
            let path = match member.path.kind {
                PathKind::Direct => "direct",
                PathKind::Turn => "turn",
                PathKind::Relay => "relay",
            };
            let mut row =
                format!("{:>4} {}  {}  {path}", member.id.0, viewer_name(&member.name, member.id.0), member.role);
            if let Some(round_trip) = member.round_trip {
                row += &format!("  {} ms", round_trip.as_millis());
            }
            if member.away.is_some() {
                row += "  away";
            }
            if member.typed_last {
                row += "  typed last";
            }
            row
        });
        let pending = status.pending.iter().map(|pending| {
            let (id, name, role) = (pending.id.0, viewer_name(&pending.name, pending.id.0), pending.role);
            let what = match pending.awaits {
                Awaits::Person => "",
                Awaits::Resume => " for the end of the pause",
            };
            // The words come before a name that might look like them.
            format!("{id:>4} {}  {name}  {role}  waits{what}", pending.sas)
        });
        let mut rows: Vec<String> = pending.chain(members).collect();
        if all > room {
            rows.truncate(room.saturating_sub(1));
            rows.push(format!("     and {} more: beach status", all - rows.len()));
        }
        rows.join("\n")
    }
}
