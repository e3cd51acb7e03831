//! The status of a session: its members and pending viewers.

use std::time::Duration;

use super::Host;
use super::admission::Awaits;
use crate::crypto::sas::Sas;
use crate::id::MemberId;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::link::{Client, Path};
use crate::terminal::Size;
use crate::time::Timestamp;

/// The status of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The size of the terminal.
    pub size: Size,
    /// The rendezvous has the session, so that viewers can join.
    pub registered: bool,
    /// The session is paused: viewers see nothing and type nothing.
    pub paused: bool,
    /// Members that are here or away, in the order in which they came.
    pub members: Vec<MemberStatus>,
    /// Viewers that wait to be let in, in the order in which they came.
    pub pending: Vec<PendingStatus>,
}

/// A viewer that waits to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingStatus {
    /// The number that a decision names.
    pub id: MemberId,
    /// The role of the viewer's invite.
    pub role: Role,
    /// The name that the viewer chose; printable.
    pub name: String,
    /// Where the viewer is, as the rendezvous says.
    pub from: Option<AddressClass>,
    /// The viewer's program.
    pub client: Client,
    /// Since when the viewer waits.
    pub since: Timestamp,
    /// The event that the viewer waits for.
    pub awaits: Awaits,
    /// The words that the viewer sees too.
    pub sas: Sas,
}

/// The status of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member's number.
    pub id: MemberId,
    /// The member's role.
    pub role: Role,
    /// The name that the member chose; printable.
    pub name: String,
    /// Where the member was when the link was made, as the rendezvous says.
    pub from: Option<AddressClass>,
    /// The member's program.
    pub client: Client,
    /// Which way the member's link goes.
    pub path: Path,
    /// Since when the member is on the link.
    pub since: Timestamp,
    /// The round trip of the member's acknowledgements, if one was measured.
    pub round_trip: Option<Duration>,
    /// This member typed last, of all members.
    pub typed_last: bool,
    /// Since when the member's link is gone, if so; the member's place is kept.
    pub away: Option<Timestamp>,
}

impl Host {
    /// The session's status now.
    pub fn status(&self) -> HostStatus {
        let members = self.connections.values().filter_map(|connection| {
            let member = connection.member().filter(|member| !member.is_parting())?;
            Some(MemberStatus {
                id: member.id,
                role: member.role,
                name: member.name.clone(),
                from: connection.from,
                client: member.client,
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
            let pending = connection.pending().filter(|pending| !is_hidden(pending.awaits()))?;
            Some(PendingStatus {
                id: pending.id,
                role: pending.request.role,
                name: pending.request.hello.name.clone(),
                from: connection.from,
                client: pending.request.hello.client(),
                since: pending.since,
                awaits: pending.awaits(),
                sas: pending.sas?,
            })
        });
        let mut pending: Vec<_> = pending.collect();
        pending.sort_by_key(|pending| pending.id.0);
        HostStatus {
            size: self.screen.emulator.head().size,
            registered: self.registration.is_registered(),
            paused: self.sharing.is_paused(),
            members,
            pending,
        }
    }
}

/// Whether somebody who waits for this is left out: never, but for faults.
fn is_hidden(awaits: Awaits) -> bool {
    match awaits {
        Awaits::Person => is_faulty!(AskedAreHidden),
        Awaits::Resume => is_faulty!(ApprovedAreHidden),
    }
}
