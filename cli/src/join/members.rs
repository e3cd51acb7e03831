//! Events about the people in a session: the difference between two lists of the host.

use std::collections::BTreeMap;

use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::wire::frame::Members;
use serde_json::{Value, json};

/// The people as programs know them.
#[derive(Default)]
pub(super) struct KnownMembers {
    /// The last list, with the number of this viewer.
    last: Option<(Members, Option<MemberId>)>,
    known: BTreeMap<MemberId, Known>,
    host_types: bool,
}

/// A viewer as programs know them.
#[derive(Clone, PartialEq)]
struct Known {
    role: Role,
    name: String,
    types: bool,
}

impl KnownMembers {
    /// The events that lead from the last list to this one; `me` is the number of this viewer.
    pub(super) fn changes(&mut self, list: &Members, me: Option<MemberId>) -> Vec<(&'static str, Value)> {
        if self.last.as_ref().is_some_and(|(last, own)| last == list && *own == me) {
            return Vec::new();
        }
        self.last = Some((list.clone(), me));
        let mut events = self.left(list);
        for listed in &list.listed {
            let (member, role, name, types) = (listed.member, listed.role, listed.name.clone(), listed.types);
            let before = self.known.insert(member, Known { role, name: name.clone(), types });
            // A number belongs to one person for as long as a session lasts.
            let (had_role, typed) = before.as_ref().map_or((role, false), |known| (known.role, known.types));
            if before.is_none() {
                let fields = json!({ "member": member.0, "name": name, "role": role, "you": me == Some(member) });
                events.push(("member_joined", fields));
            }
            if had_role != role {
                events.push(("member_role", json!({ "member": member.0, "role": role })));
            }
            if typed != types {
                events.push(("member_types", json!({ "member": member.0, "types": types })));
            }
        }
        if std::mem::replace(&mut self.host_types, list.host_types) != list.host_types {
            events.push(("member_types", json!({ "member": null, "types": list.host_types })));
        }
        events
    }

    /// Forgets people who have left. A list without room for all people says nothing about the people that it leaves
    /// out.
    fn left(&mut self, list: &Members) -> Vec<(&'static str, Value)> {
        if list.more > 0 {
            return Vec::new();
        }
        let is_here = |member: &MemberId| list.listed.iter().any(|listed| listed.member == *member);
        let left: Vec<_> = self.known.keys().copied().filter(|member| !is_here(member)).collect();
        left.iter().for_each(|member| drop(self.known.remove(member)));
        left.into_iter().map(|member| ("member_left", json!({ "member": member.0 }))).collect()
    }
}

#[cfg(test)]
mod tests {
    use beach_core::wire::frame::Listed;

    use super::*;

    fn list(listed: &[(u32, Role, bool)], more: u16, host_types: bool) -> Members {
        let listed = listed.iter().map(|(member, role, types)| Listed {
            member: MemberId(*member),
            role: *role,
            name: format!("name {member}"),
            types: *types,
        });
        Members { listed: listed.collect(), more, host_types }
    }

    #[test]
    fn programs_are_told_each_change_once_and_nobody_leaves_who_is_only_left_out() {
        let mut members = KnownMembers::default();
        let (control, view) = (Role::Control, Role::View);
        let mut told = |list: Members| -> Vec<String> {
            let changes = members.changes(&list, Some(MemberId(2)));
            changes.into_iter().map(|(kind, fields)| format!("{kind} {fields}")).collect()
        };
        let first = list(&[(1, control, false), (2, view, false)], 0, false);
        assert_eq!(
            told(first.clone()),
            [
                r#"member_joined {"member":1,"name":"name 1","role":"control","you":false}"#,
                r#"member_joined {"member":2,"name":"name 2","role":"view","you":true}"#,
            ]
        );
        assert!(told(first).is_empty());
        assert_eq!(
            told(list(&[(1, control, true), (2, control, false)], 0, true)),
            [
                r#"member_types {"member":1,"types":true}"#,
                r#"member_role {"member":2,"role":"control"}"#,
                r#"member_types {"member":null,"types":true}"#,
            ]
        );
        assert!(told(list(&[(2, control, false)], 1, true)).is_empty(), "viewer 1 may be the one without room");
        assert_eq!(
            told(list(&[(2, control, false)], 0, false)),
            [r#"member_left {"member":1}"#, r#"member_types {"member":null,"types":false}"#]
        );
    }
}
