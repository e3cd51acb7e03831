//! The commands of --on-join and --on-leave.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::session::link::Client;
use beach_core::terminal::{is_blank, is_printable};
use beach_runtime_tokio::hooks;

/// Commands that still run when the session has ended get this long.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// The commands, and the members that a later command names.
pub(super) struct Hooks {
    on_join: Option<OsString>,
    on_leave: Option<OsString>,
    members: BTreeMap<MemberId, Named>,
    running: hooks::Hooks,
}

/// A member as a hook's command is told, besides the number.
struct Named {
    name: String,
    role: Role,
    client: Client,
}

impl Hooks {
    pub(super) fn new(on_join: Option<OsString>, on_leave: Option<OsString>) -> Hooks {
        Hooks { on_join, on_leave, members: BTreeMap::new(), running: hooks::Hooks::default() }
    }

    pub(super) fn joined(&mut self, member: MemberId, role: Role, name: &str, client: Client) {
        let name = if is_blank(name) {
            format!("viewer {member}")
        } else {
            name.chars().filter(|c| is_printable(*c)).collect()
        };
        let named = Named { name, role, client };
        if let Some(command) = &self.on_join {
            run(&mut self.running, command, member, &named);
        }
        self.members.insert(member, named);
    }

    pub(super) fn role_changed(&mut self, member: MemberId, role: Role) {
        if let Some(named) = self.members.get_mut(&member) {
            named.role = role;
        }
    }

    pub(super) fn left(&mut self, member: MemberId) {
        let Some(named) = self.members.remove(&member) else { return };
        if let Some(command) = &self.on_leave {
            run(&mut self.running, command, member, &named);
        }
    }

    pub(super) async fn finish(self) {
        self.running.finish(LAST_WITHIN).await;
    }
}

fn run(running: &mut hooks::Hooks, command: &OsStr, member: MemberId, named: &Named) {
    let env = [
        ("BEACH_NAME", named.name.clone()),
        ("BEACH_VIEWER", member.0.to_string()),
        ("BEACH_ROLE", named.role.to_string()),
        ("BEACH_CLIENT", named.client.to_string()),
    ];
    if let Err(error) = running.run(command, &env) {
        tracing::warn!(%error, %member, "the command of --on-join or --on-leave did not run");
    }
}
