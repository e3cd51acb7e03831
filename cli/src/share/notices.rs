//! Reports of the host's notices: to people, programs, the recording and the audit.

use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::host::HostNotice;
use beach_core::id::{LinkId, MemberId};
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure};
use beach_core::session::link::{Client, Path};
use beach_runtime_tokio::background;
use serde_json::json;

use super::{Announced, Freshness, SeatKind, Share};
use crate::audit;
use crate::events::{self, Weight};
use crate::greeting::{Invites, InvitesShown};
use crate::output::{self, Voice};

/// The longest wait for the foreground process to read the link of this background process.
const LINK_WITHIN: Duration = Duration::from_secs(1);

impl Share {
    pub(super) fn on_notice(&mut self, notice: HostNotice) {
        match notice {
            HostNotice::Registered => self.registered(),
            HostNotice::RendezvousLost(cause) => tracing::warn!(cause, "the rendezvous is lost; dialling again"),
            HostNotice::Stage(link, stage) => tracing::info!(%link, stage = stage.words(), "handshake"),
            HostNotice::Failed(link, failure) => self.join_failed(link, &failure),
            HostNotice::TurnedAway(count) => {
                tracing::warn!(count, "the rendezvous refused joins: too many at once");
                self.told.note("turned_away", &json!({ "count": count }));
            }
            HostNotice::WrongKey(link, count) => {
                tracing::warn!(%link, count, "somebody tried a wrong key");
                self.told.count(audit::Countable::WrongKey, json!({ "link": link.to_string() }));
            }
            HostNotice::Joined(member, role, name, path, client) => self.joined(member, role, &name, path, client),
            HostNotice::Path(member, path) => {
                tracing::info!(%member, kind = ?path.kind, "a viewer's path changed");
                self.told.tell("path", &output::path_fields(path, Some(member)));
            }
            HostNotice::Away(member, cause) => self.away(member, &cause),
            HostNotice::Back(member, path) => {
                tracing::info!(%member, "a viewer is back");
                self.told.tell("member_back", &json!({ "member": member.0 }));
                self.told.tell("path", &output::path_fields(path, Some(member)));
            }
            HostNotice::Left(member, cause) => self.left(member, &cause),
            HostNotice::Asks(member, role, name, sas, from, client) => {
                let fields = json!({
                    "member": member.0,
                    "role": role,
                    "name": name,
                    "from": from,
                    "client": client,
                    "check": sas.to_string(),
                });
                self.asks(member, role, &name, sas, client);
                self.told.tell("member_asks", &fields);
            }
            HostNotice::Decided(member, let_in) => self.decided(member, let_in),
            HostNotice::Role(member, role) => self.role_changed(member, role),
            HostNotice::Typed(member, bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                self.told.note("typed", &json!({ "member": member.0, "text": text }));
            }
            HostNotice::Rotated => {
                tracing::info!("new links replace the old ones");
                self.told.note("links", &json!({}));
                self.told.record(|cast| cast.mark("new links"));
                self.session.freshness = Freshness::Rotated;
            }
            HostNotice::Paused(paused) => {
                tracing::info!(paused, "the host paused or resumed the session");
                self.told.record(|cast| cast.mark(if paused { "paused" } else { "resumed" }));
                self.told.tell("paused", &json!({ "paused": paused }));
            }
            HostNotice::Violation(member, count) => {
                tracing::warn!(%member, count, "a viewer broke the protocol");
                self.told.note("violation", &json!({ "member": member.0, "count": count }));
            }
        }
    }

    fn registered(&mut self) {
        tracing::info!("registered");
        // The rendezvous has said whether short links work there.
        self.tell_lengths();
        // A second registration, after the rendezvous was lost: share has printed the links.
        if std::mem::replace(&mut self.session.announced, Announced::Yes) == Announced::Yes {
            return;
        }
        if self.seat.is_own_terminal() {
            output::push_away(self.seat.size);
        }
        match self.told.voice {
            Voice::Quiet => {
                events::tell(self.session.invites.main().to_owned(), Weight::Last);
                if self.seat.kind == SeatKind::Detached {
                    events::flush(LINK_WITHIN);
                    background::fall_silent()
                        .unwrap_or_else(|error| tracing::warn!(%error, "stdout and stderr stay open"));
                }
            }
            Voice::Json => {
                let Invites { join, view } = &self.session.invites;
                let (id, strict) = (&self.session.id, self.session.strict);
                self.told.voice.event("ready", &json!({ "session": id, "join": join, "view": view, "strict": strict }));
            }
            Voice::Human => {
                output::header(self.seat.header.lines(self.network.links()));
                if self.session.copy == InvitesShown::Yes {
                    output::copy(self.session.shown(self.network.links()).main());
                }
            }
        }
    }

    fn join_failed(&mut self, link: LinkId, failure: &Failure) {
        let stage = failure.stage.words();
        let cause = output::cause(&failure.cause);
        tracing::info!(%link, stage, cause, "a handshake failed");
        let fields = json!({ "link": link.to_string(), "stage": stage, "cause": cause });
        self.told.count(audit::Countable::Join, fields);
    }

    fn joined(&mut self, member: MemberId, role: Role, name: &str, path: Path, client: Client) {
        tracing::info!(%member, %role, name, %client, "a viewer joined");
        self.hooks.joined(member, role, name, client);
        self.told.record(|cast| cast.joined(member, role, name));
        let fields = json!({ "member": member.0, "role": role, "name": name, "client": client });
        self.told.tell("member_joined", &fields);
        self.told.tell("path", &output::path_fields(path, Some(member)));
    }

    fn away(&mut self, member: MemberId, cause: &Cause) {
        let cause = output::cause(cause);
        tracing::info!(%member, cause, "a viewer's link is gone; its place is kept");
        self.told.tell("member_away", &json!({ "member": member.0, "cause": cause }));
    }

    fn left(&mut self, member: MemberId, cause: &Cause) {
        let cause = output::cause(cause);
        tracing::info!(%member, cause, "a viewer left");
        self.hooks.left(member);
        self.told.record(|cast| cast.left(member));
        self.told.tell("member_left", &json!({ "member": member.0, "cause": cause }));
    }

    fn asks(&mut self, member: MemberId, role: Role, name: &str, sas: Sas, client: Client) {
        tracing::info!(%member, %role, name, %client, check = %sas, "somebody waits to be let in");
        self.told.record(|cast| cast.asks(member, role, name));
        if self.seat.is_own_terminal() && self.seat.terminal.is_none() {
            // The command has not started, so a line on the terminal tears no screen.
            self.told.voice.say(&output::asks(member, role, name, sas, client));
        }
    }

    fn decided(&mut self, member: MemberId, let_in: bool) {
        tracing::info!(%member, let_in, "the host decided about a viewer");
        self.told.record(|cast| cast.about(member, if let_in { "is let in" } else { "is not let in" }));
        self.told.tell("member_decided", &json!({ "member": member.0, "let_in": let_in }));
    }

    fn role_changed(&mut self, member: MemberId, role: Role) {
        tracing::info!(%member, %role, "a viewer's role changed");
        self.hooks.role_changed(member, role);
        let what = match role {
            Role::Control => "may type from now on",
            Role::View => "may only watch from now on",
        };
        self.told.record(|cast| cast.about(member, what));
        self.told.tell("member_role", &json!({ "member": member.0, "role": role }));
    }
}
