//! The text of `beach status`.

use std::fmt::Write as _;
use std::time::Duration;

use beach_core::terminal::{is_blank, quoted_name};
use serde_json::Value;

use super::{milliseconds, printable};
use crate::greeting::{Invites, InvitesShown};

/// The text about one session, from the share's answer.
pub(crate) fn session(answer: &Value, links: InvitesShown) -> String {
    let text = |value: &Value, name: &str| printable(value[name].as_str().unwrap_or_default());
    let name = |value: &Value| match value["name"].as_str() {
        Some(name) if !is_blank(name) => quoted_name(name),
        Some(_) | None => "somebody".to_owned(),
    };
    let browser = |value: &Value| if value["client"] == "browser" { ", browser" } else { "" };
    let since = |value: &Value| duration(value["since_s"].as_u64().unwrap_or_default());
    let named = answer["name"].as_str().filter(|name| !is_blank(name));
    let named = named.map(|name| format!(" {}", quoted_name(name))).unwrap_or_default();
    let mut out = format!("session {}{named}\n", text(answer, "session"));
    for (name, value) in [
        ("command", format!("`{}` ({}), for {}", text(answer, "command"), text(answer, "size"), since(answer))),
        ("rendezvous", format!("{}, {}", text(answer, "server"), text(answer, "rendezvous"))),
    ] {
        let _ = writeln!(out, "  {name:<11} {value}");
    }
    match links {
        InvitesShown::No => {
            let _ = writeln!(out, "  {:<11} hidden, since viewers see this terminal; --links shows them", "links");
        }
        InvitesShown::Yes => {
            let commands = Invites::of(answer).map(|invites| invites.commands()).unwrap_or_default();
            commands.iter().for_each(|line| out.extend([printable(line).as_str(), "\n"]));
        }
    }
    let members = answer["members"].as_array().map_or(&[][..], Vec::as_slice);
    if members.is_empty() {
        out.push_str("  no viewers\n");
    }
    for member in members {
        let trip = member["round_trip_ms"]
            .as_f64()
            .map(|time| format!(", {}", milliseconds(Duration::from_secs_f64(time / 1000.0))));
        let way = match (member["kind"].as_str(), member["remote"].as_str()) {
            (Some("direct"), Some(remote)) => format!("directly from {}", printable(remote)),
            (Some("turn"), _) => "through a TURN server".to_owned(),
            _ => "through the rendezvous".to_owned(),
        };
        let typed = if member["typed_last"].as_bool() == Some(true) { ", typed last" } else { "" };
        let away = member["away_s"].as_u64().map(|seconds| format!(", away for {seconds} s")).unwrap_or_default();
        let (name, role, browser) = (name(member), text(member, "role"), browser(member));
        let number = member["member"].as_u64().unwrap_or_default();
        let _ = writeln!(
            out,
            "  viewer {number:<4} {name} ({role}{browser}), {way}{}, for {}{typed}{away}",
            trip.unwrap_or_default(),
            since(member)
        );
    }
    for asking in answer["asking"].as_array().map_or(&[][..], Vec::as_slice) {
        let (words, role) = (text(asking, "check"), text(asking, "role"));
        let (number, browser) = (asking["member"].as_u64().unwrap_or_default(), browser(asking));
        // The words come first: a name behind them may imitate words, but cannot stand before the real ones.
        let _ = writeln!(
            out,
            "  waits {number:<5} sees: {words}; {} ({role}{browser}), for {}",
            name(asking),
            since(asking)
        );
        let advice = match asking["awaits"].as_str() {
            Some("resume") => format!("joins when the pause ends: beach resume, or beach deny {number}"),
            _ => format!("beach approve {number}, or beach deny {number}"),
        };
        let _ = writeln!(out, "{:<14}{advice}", "");
    }
    if answer["paused"].as_bool() == Some(true) {
        out.push_str("  paused: viewers see nothing new until `beach resume`\n");
    }
    out
}

/// `42 s`, `7 min`, `3 h 5 min`.
fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::output) const FORGED: &str =
        "x\" (view); sees: four false words here\u{202e}\n  waits 9 sees: zoo zoo zoo zoo";

    #[test]
    fn a_name_cannot_forge_the_words_of_a_status() {
        let asking = json!({ "member": 2, "name": FORGED, "role": "control", "check": "four true words here" });
        let member = json!({ "member": 1, "name": FORGED, "role": "view", "kind": "relay" });
        let text = session(&json!({ "session": "s", "members": [member], "asking": [asking] }), InvitesShown::Yes);
        assert!(
            text.contains("  waits 2     sees: four true words here; \"x' (view); sees: four fa…\" (control)"),
            "{text}"
        );
        assert!(text.contains("  viewer 1    \"x' (view); sees: four fa…\" (view), through"), "{text}");
        assert!(!text.contains("zoo"), "{text}");
    }
}
