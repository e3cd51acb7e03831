//! The commands of --on-join and --on-leave.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::terminal::{is_blank, is_printable};
use beach_runtime_tokio::hooks;

/// Commands that still run when the session has ended get this long.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// The commands, and the members that a later command names.
pub(super) struct Hooks {
    on_join: Option<OsString>,
    on_leave: Option<OsString>,
    members: BTreeMap<MemberId, (String, Role)>,
    running: hooks::Hooks,
}

impl Hooks {
    pub(super) fn new(on_join: Option<OsString>, on_leave: Option<OsString>) -> Hooks {
        Hooks { on_join, on_leave, members: BTreeMap::new(), running: hooks::Hooks::default() }
    }

    pub(super) fn joined(&mut self, member: MemberId, role: Role, name: &str) {
        let name = if is_blank(name) {
            format!("viewer {member}")
        } else {
            name.chars().filter(|c| is_printable(*c)).collect()
        };
        if let Some(command) = &self.on_join {
            run(&mut self.running, command, member, role, &name);
        }
        self.members.insert(member, (name, role));
    }

    pub(super) fn role_changed(&mut self, member: MemberId, role: Role) {
        if let Some((_, before)) = self.members.get_mut(&member) {
            *before = role;
        }
    }

    pub(super) fn left(&mut self, member: MemberId) {
        let Some((name, role)) = self.members.remove(&member) else { return };
        if let Some(command) = &self.on_leave {
            run(&mut self.running, command, member, role, &name);
        }
    }

    pub(super) async fn finish(self) {
        self.running.finish(LAST_WITHIN).await;
    }
}

fn run(running: &mut hooks::Hooks, command: &OsStr, member: MemberId, role: Role, name: &str) {
    let (name, number) = (name.to_owned(), member.0.to_string());
    let env = [("BEACH_NAME", name), ("BEACH_VIEWER", number), ("BEACH_ROLE", role.to_string())];
    if let Err(error) = running.run(command, &env) {
        tracing::warn!(%error, %member, "the command of --on-join or --on-leave did not run");
    }
}
