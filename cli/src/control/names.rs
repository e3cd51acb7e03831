//! Names of sessions and viewers on a command line.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use beach_core::terminal::{is_blank, quoted_name};
use beach_runtime_tokio::control;
use serde_json::Value;

use super::{Request, SOCKET, asked, is_left_over};
use crate::output;

/// The sockets that a command is for: the sockets that `name` names; without a name, the socket of the session around
/// this process, or else all sockets.
pub(super) async fn meant(name: Option<&str>) -> Result<Vec<(String, PathBuf)>, String> {
    let all = control::sessions().map_err(|error| error.to_string())?;
    if let Some(name) = name {
        return Ok(named(all, name).await);
    }
    let around = env::var_os(SOCKET).map(PathBuf::from).filter(|path| path.exists());
    Ok(match around {
        Some(path) => vec![(path.file_stem().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned(), path)],
        None => all,
    })
}

/// The sessions with this id; without any, the sessions with this name; without any, the sessions whose id begins with
/// `name`. A session has the id of its links, and the id at its start, which names the socket.
async fn named(all: Vec<(String, PathBuf)>, name: &str) -> Vec<(String, PathBuf)> {
    let (mut with_name, mut beginning) = (Vec::new(), Vec::new());
    for (first, socket) in all {
        let answer = asked(&socket, &Request::Status).await.ok().map(|(answer, _)| answer);
        let field = |field: &str| answer.as_ref().and_then(|answer| answer[field].as_str());
        let ids = [Some(first.as_str()), field("session")];
        if ids.contains(&Some(name)) {
            return vec![(first, socket)];
        }
        let (begins, is_name) = (ids.iter().flatten().any(|id| id.starts_with(name)), field("name") == Some(name));
        let id = field("session").unwrap_or(&first).to_owned();
        if is_name {
            with_name.push((id, socket));
        } else if begins && !(answer.is_none() && is_left_over(&socket).await) {
            beginning.push((id, socket));
        }
    }
    if with_name.is_empty() { beginning } else { with_name }
}

/// The numbers of the viewers with this name. Commands about waiting people get the numbers of waiting people, other
/// commands those of the others. A blank name means nobody.
pub(super) fn numbers_of(answer: &Value, command: &str, name: &str) -> Vec<u32> {
    let lists = match command {
        "approve" | "deny" => ["asking", "members"],
        _ => ["members", "asking"],
    };
    let numbers = |list: &str| -> Vec<u32> {
        let viewers = answer[list].as_array().into_iter().flatten();
        let number = |viewer: &Value| viewer["member"].as_u64().and_then(|number| u32::try_from(number).ok());
        viewers.filter(|viewer| viewer["name"] == name && !is_blank(name)).filter_map(number).collect()
    };
    lists.into_iter().map(numbers).find(|numbers| !numbers.is_empty()).unwrap_or_default()
}

/// Refuses a name that several viewers have.
pub(super) fn several(command: &str, name: &str, first: u32, numbers: &[u32]) -> u8 {
    let what = format!("several viewers are named {}", quoted_name(name));
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    output::usage(&what, &format!("viewers {}", numbers.join(", ")), &format!("say which: beach {command} {first}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_means_people_who_wait_for_approve_and_deny_and_the_others_for_the_rest() {
        let viewer = |member: u32, name: &str| json!({ "member": member, "name": name });
        let answer = json!({
            "members": [viewer(1, "ann"), viewer(2, "bob"), viewer(3, "bob")],
            "asking": [viewer(4, "ann"), viewer(5, "cem"), viewer(6, ""), viewer(7, " ")],
        });
        for (command, name, numbers) in [
            ("kick", "ann", vec![1]),
            ("approve", "ann", vec![4]),
            ("deny", "ann", vec![4]),
            ("revoke", "bob", vec![2, 3]),
            ("kick", "cem", vec![5]),
            ("approve", "bob", vec![2, 3]),
            ("grant", "an", vec![]),
            ("kick", "", vec![]),
            ("approve", " ", vec![]),
        ] {
            assert_eq!(numbers_of(&answer, command, name), numbers, "{command} {name}");
        }
    }
}
