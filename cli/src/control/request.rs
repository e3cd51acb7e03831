//! The requests at the control socket, as lines of JSON.

use beach_core::host::ModeratorAction;
use beach_core::id::MemberId;
use serde_json::{Value, json};

use super::InvitesShown;

/// A request at the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Status,
    Stop,
    /// Asks for the link that permits typing; only the session's own user can reach the socket.
    Attach,
    /// Asks for an action. Where the asking program must not print links, the host's own terminal shows new ones.
    Act(ModeratorAction, InvitesShown),
}

impl Request {
    /// The line of this request, without its end.
    pub(crate) fn line(&self) -> String {
        let mut line = self.fields();
        if let Request::Act(_, InvitesShown::No) = self {
            line["show_links"] = true.into();
        }
        line.to_string()
    }

    fn fields(&self) -> Value {
        let ask = |word: &str| json!({ "ask": word });
        let of = |word: &str, member: &MemberId| json!({ "ask": word, "member": member.0 });
        let away = |word: &str, member: &MemberId, keep_links: bool| json!({ "ask": word, "member": member.0, "keep_links": keep_links });
        match self {
            Request::Status => ask("status"),
            Request::Stop => ask("stop"),
            Request::Attach => ask("attach"),
            Request::Act(ModeratorAction::Approve(member), _) => of("approve", member),
            Request::Act(ModeratorAction::Grant(member), _) => of("grant", member),
            Request::Act(ModeratorAction::Revoke(member), _) => of("revoke", member),
            Request::Act(ModeratorAction::Deny { member, keep_links }, _) => away("deny", member, *keep_links),
            Request::Act(ModeratorAction::Kick { member, keep_links }, _) => away("kick", member, *keep_links),
            Request::Act(ModeratorAction::Rotate, _) => ask("rotate"),
            Request::Act(ModeratorAction::Pause, _) => ask("pause"),
            Request::Act(ModeratorAction::Resume, _) => ask("resume"),
            Request::Act(ModeratorAction::Say(text), _) => json!({ "ask": "say", "text": text }),
        }
    }

    /// Parses a request; `None` if the line is no known request.
    pub(crate) fn of(line: &str) -> Option<Request> {
        let line: Value = serde_json::from_str(line).ok()?;
        let member = || line["member"].as_u64().and_then(|number| u32::try_from(number).ok()).map(MemberId);
        let keep_links = || line["keep_links"].as_bool().unwrap_or(false);
        let shown = if line["show_links"] == true { InvitesShown::No } else { InvitesShown::Yes };
        let act = |act| Request::Act(act, shown);
        Some(match line["ask"].as_str()? {
            "status" => Request::Status,
            "stop" => Request::Stop,
            "attach" => Request::Attach,
            "approve" => act(ModeratorAction::Approve(member()?)),
            "grant" => act(ModeratorAction::Grant(member()?)),
            "revoke" => act(ModeratorAction::Revoke(member()?)),
            "deny" => act(ModeratorAction::Deny { member: member()?, keep_links: keep_links() }),
            "kick" => act(ModeratorAction::Kick { member: member()?, keep_links: keep_links() }),
            "rotate" => act(ModeratorAction::Rotate),
            "pause" => act(ModeratorAction::Pause),
            "resume" => act(ModeratorAction::Resume),
            "say" => act(ModeratorAction::Say(line["text"].as_str()?.to_owned())),
            _ => return None,
        })
    }
}
