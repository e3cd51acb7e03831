//! Who is there: what somebody who asks is told.

use std::time::Duration;

use super::Host;
use super::admission::Awaits;
use crate::crypto::sas::Sas;
use crate::id::MemberId;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::link::Path;
use crate::terminal::Size;
use crate::time::Timestamp;

/// A session, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The size of its terminal.
    pub size: Size,
    /// The rendezvous has the session, so that more can join.
    pub registered: bool,
    /// The host keeps what happens to itself.
    pub paused: bool,
    /// Who is there, in the order in which they came.
    pub members: Vec<MemberStatus>,
    /// Viewers that wait to be let in, in the order in which they came.
    pub pending: Vec<PendingStatus>,
}

/// A viewer that waits to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingStatus {
    /// The number that a decision names.
    pub id: MemberId,
    /// What it could do.
    pub role: Role,
    /// The name it gave itself; printable.
    pub name: String,
    /// Where it is, as the rendezvous says.
    pub from: Option<AddressClass>,
    /// Since when.
    pub since: Timestamp,
    /// For what.
    pub awaits: Awaits,
    /// The words that the viewer sees too.
    pub check: Sas,
}

/// A member, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its number.
    pub id: MemberId,
    /// What it may do.
    pub role: Role,
    /// The name it gave itself; printable.
    pub name: String,
    /// Where it was when it came, as the rendezvous says.
    pub from: Option<AddressClass>,
    /// Which way its link goes.
    pub path: Path,
    /// When it came.
    pub since: Timestamp,
    /// How long its acknowledgements take, if some were measured.
    pub round_trip: Option<Duration>,
    /// It is the one who typed last.
    pub typed_last: bool,
    /// Since when its link is gone, if it is; its place is kept.
    pub away: Option<Timestamp>,
}

impl Host {
    /// Who is there.
    pub fn status(&self) -> HostStatus {
        let members = self.connections.values().filter_map(|connection| {
            let member = connection.member().filter(|member| !member.is_parting())?;
            Some(MemberStatus {
                id: member.id,
                role: member.role,
                name: member.name.clone(),
                from: connection.from,
                path: member.path,
                since: member.since,
                round_trip: member.lane.round_trip(),
                typed_last: self.input.last_writer() == Some(member.id),
                away: connection.away().map(|away| away.since),
            })
        });
        let mut members: Vec<_> = members.collect();
        members.sort_by_key(|member| member.id.0);
        let pending = self.connections.values().filter_map(|connection| {
            let pending = connection.pending()?;
            Some(PendingStatus {
                id: pending.id,
                role: pending.request.role,
                name: pending.request.hello.name.clone(),
                from: connection.from,
                since: pending.since,
                awaits: pending.awaits(),
                check: pending.sas?,
            })
        });
        let mut pending: Vec<_> = pending.collect();
        pending.sort_by_key(|pending| pending.id.0);
        HostStatus {
            size: self.screen.emulator.head().size,
            registered: self.registration.is_registered(),
            paused: self.paused,
            members,
            pending,
        }
    }
}
