//! What people, programs, recordings and the audit are told of a session.

use std::time::Duration;

use beach_core::host::HostNotice;
use beach_core::role::Role;
use beach_runtime_tokio::background;
use serde_json::json;

use super::Share;
use crate::audit;
use crate::events::{self, Weight};
use crate::greeting::Links;
use crate::output::{self, Voice};

/// How long the process that started this one in the background may take to read the link.
const LINK_WITHIN: Duration = Duration::from_secs(1);

impl Share {
    pub(super) fn on_notice(&mut self, notice: HostNotice) {
        match notice {
            HostNotice::Registered => {
                tracing::info!("registered");
                // Again after the rendezvous was lost: the links are known.
                if std::mem::replace(&mut self.told_links, true) {
                    return;
                }
                if self.own_terminal {
                    output::push_away(self.size);
                }
                match self.voice {
                    Voice::Quiet => {
                        events::tell(self.links.main().to_owned(), Weight::Last);
                        if self.detached {
                            events::flush(LINK_WITHIN);
                            background::fall_silent()
                                .unwrap_or_else(|error| tracing::warn!(%error, "still not silent"));
                        }
                    }
                    Voice::Json => {
                        let Links { join, view } = &self.links;
                        let fields =
                            json!({ "session": self.session, "join": join, "view": view, "strict": self.strict });
                        self.voice.event("ready", &fields);
                    }
                    Voice::Human => output::header(&self.header),
                }
            }
            HostNotice::RendezvousLost(cause) => tracing::warn!(cause, "the rendezvous is lost; dialling again"),
            HostNotice::Stage(link, stage) => tracing::info!(%link, stage = stage.words(), "handshake"),
            HostNotice::Failed(link, failure) => {
                let stage = failure.stage.words();
                let cause = output::cause(&failure.cause);
                tracing::info!(%link, stage, cause, "a handshake failed");
                let fields = json!({ "link": link.to_string(), "stage": stage, "cause": cause });
                self.count(audit::Failure::Join, fields);
            }
            HostNotice::TurnedAway(count) => {
                tracing::warn!(count, "the rendezvous refused joins: too many at once");
                self.note("turned_away", &json!({ "count": count }));
            }
            HostNotice::WrongKey(link, count) => {
                tracing::warn!(%link, count, "somebody tried a wrong key");
                self.count(audit::Failure::WrongKey, json!({ "link": link.to_string() }));
            }
            HostNotice::Joined(member, role, name, path) => {
                tracing::info!(%member, %role, name, "a viewer joined");
                self.record(|cast| cast.joined(member, role, &name));
                let fields = json!({ "member": member.0, "role": role, "name": name });
                self.tell("member_joined", &fields);
                self.tell("path", &output::path_fields(path, Some(member)));
            }
            HostNotice::Path(member, path) => {
                tracing::info!(%member, kind = ?path.kind, "a viewer's path changed");
                self.tell("path", &output::path_fields(path, Some(member)));
            }
            HostNotice::Away(member, cause) => {
                let cause = output::cause(&cause);
                tracing::info!(%member, cause, "a viewer's link is gone; its place is kept");
                self.tell("member_away", &json!({ "member": member.0, "cause": cause }));
            }
            HostNotice::Back(member, path) => {
                tracing::info!(%member, "a viewer is back");
                self.tell("member_back", &json!({ "member": member.0 }));
                self.tell("path", &output::path_fields(path, Some(member)));
            }
            HostNotice::Left(member, cause) => {
                let cause = output::cause(&cause);
                tracing::info!(%member, cause, "a viewer left");
                self.record(|cast| cast.left(member));
                self.tell("member_left", &json!({ "member": member.0, "cause": cause }));
            }
            HostNotice::Asks(member, role, name, check, from) => {
                tracing::info!(%member, %role, name, %check, "somebody waits to be let in");
                self.record(|cast| cast.asks(member, role, &name));
                if self.own_terminal && self.terminal.is_none() {
                    // The command waits for a viewer, and the terminal is as it was.
                    self.voice.say(&output::asks(member, role, &name, check));
                }
                let check = check.to_string();
                let fields = json!({ "member": member.0, "role": role, "name": name, "from": from, "check": check });
                self.tell("member_asks", &fields);
            }
            HostNotice::Decided(member, yes) => {
                tracing::info!(%member, yes, "decided");
                self.record(|cast| cast.about(member, if yes { "is let in" } else { "is not let in" }));
                self.tell("member_decided", &json!({ "member": member.0, "let_in": yes }));
            }
            HostNotice::Role(member, role) => {
                tracing::info!(%member, %role, "a viewer's role changed");
                let what = match role {
                    Role::Control => "may type from now on",
                    Role::View => "may only watch from now on",
                };
                self.record(|cast| cast.about(member, what));
                self.tell("member_role", &json!({ "member": member.0, "role": role }));
            }
            HostNotice::Typed(member, bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                self.note("typed", &json!({ "member": member.0, "text": text }));
            }
            HostNotice::Rotated => {
                self.note("links", &json!({}));
                tracing::info!("other links let people in from now on");
                self.record(|cast| cast.mark("new links"));
                self.links_changed = true;
            }
            HostNotice::Paused(paused) => {
                tracing::info!(paused, "paused or not");
                self.record(|cast| cast.mark(if paused { "paused" } else { "it goes on" }));
                self.tell("paused", &json!({ "paused": paused }));
            }
            HostNotice::Violation(member, count) => {
                tracing::warn!(%member, count, "a viewer sent what it may not send");
                self.note("violation", &json!({ "member": member.0, "count": count }));
            }
        }
    }
}
