//! The confirmation that a command to a running session prints.

use beach_core::host::ModeratorAction;
use beach_core::terminal::{is_blank, quoted_name};
use serde_json::Value;

use super::printable;
use crate::greeting::{Invites, InvitesShown};

/// A line about the effect of `act`, and the new links, if there are new ones and `shown` permits.
pub(crate) fn done(act: &ModeratorAction, answer: &Value, shown: InvitesShown) -> String {
    let who = |id: &dyn std::fmt::Display| match answer["name"].as_str() {
        Some(name) if !is_blank(name) => format!("{} (viewer {id})", quoted_name(name)),
        Some(_) | None => format!("Viewer {id}"),
    };
    let what = match act {
        ModeratorAction::Approve(id) => format!("{} may join now.", who(id)),
        ModeratorAction::Deny { member, .. } => format!("{} was refused.", who(member)),
        ModeratorAction::Grant(id) => format!("{} may type now.", who(id)),
        ModeratorAction::Revoke(id) => format!("{} can only watch now.", who(id)),
        ModeratorAction::Kick { member, .. } => format!("{} was removed.", who(member)),
        ModeratorAction::Rotate => "The old links let nobody in any more.".to_owned(),
        ModeratorAction::Pause => "Viewers see nothing new and cannot type, until `beach resume`.".to_owned(),
        ModeratorAction::Resume => "Viewers see the terminal again.".to_owned(),
        ModeratorAction::Say(_) => match answer["viewers"].as_u64().unwrap_or_default() {
            0 => "Nobody is here to read it.".to_owned(),
            1 => "1 viewer reads it.".to_owned(),
            viewers => format!("{viewers} viewers read it."),
        },
    };
    let Some(view) = answer["view"].as_str() else { return what };
    let hidden = match (shown, answer["shown"].as_bool()) {
        (InvitesShown::Yes, _) => {
            let links = Invites { join: answer["join"].as_str().map(printable), view: printable(view) };
            return [vec![format!("{what} The new links:")], links.commands()].concat().join("\n");
        }
        (InvitesShown::No, Some(true)) => "The host's own terminal shows the new links.",
        (InvitesShown::No, Some(false) | None) => "`beach status` in another terminal shows the new links.",
    };
    format!("{what} {hidden}")
}

#[cfg(test)]
mod tests {
    use beach_core::id::MemberId;
    use serde_json::json;

    use super::*;

    #[test]
    fn links_are_printed_where_no_viewer_looks_and_a_name_stands_in_quotes() {
        let act = ModeratorAction::Kick { member: MemberId(3), keep_links: false };
        let answer = json!({ "done": true, "name": "a\"b", "join": "J#key", "view": "V#key", "shown": true });
        let outside = done(&act, &answer, InvitesShown::Yes);
        assert!(outside.starts_with("\"a'b\" (viewer 3) was removed. The new links:\n"), "{outside}");
        assert!(outside.contains("\n  beach join 'J#key'\n") && outside.ends_with("  beach join 'V#key'"), "{outside}");
        let inside = done(&act, &answer, InvitesShown::No);
        assert!(!inside.contains("key") && inside.ends_with("own terminal shows the new links."), "{inside}");
        let headless = done(&act, &json!({ "view": "V#key", "shown": false }), InvitesShown::No);
        assert_eq!(headless, "Viewer 3 was removed. `beach status` in another terminal shows the new links.");
        let old = done(&ModeratorAction::Rotate, &json!({ "done": true }), InvitesShown::Yes);
        assert_eq!(old, "The old links let nobody in any more.");
    }
}
