//! `beach status`, `stop`, `approve` and so on: the requests to a running share at its control socket, and the answers.

mod names;
mod request;

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use beach_core::crypto::invite::Invite;
use beach_core::crypto::sas::Sas;
use beach_core::host::{Awaits, HostStatus, ModeratorAction};
use beach_core::id::MemberId;
use beach_core::terminal::quoted_name;
use beach_runtime_tokio::clock::Clock;
use beach_runtime_tokio::control;
use beach_runtime_tokio::tty;
use serde_json::{Value, json};

use crate::args::{StatusArgs, StopArgs, ViewerName};
use crate::greeting::{Invites, InvitesShown};
pub(crate) use crate::greeting::{SESSION, SOCKET};
use crate::output::{self, code};

use self::names::{meant, numbers_of, several};
pub(crate) use self::request::Request;

/// The advice about viewers.
const VIEWERS: &str = "`beach status` shows the viewers";

/// The time between two looks of `status --watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The longest time that a share may take to stop: the share tells viewers, and the command may be slow to end.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// The part of a status that the host's machine does not know.
pub(crate) struct Known<'a> {
    pub(crate) session: &'a str,
    /// The name of --name.
    pub(crate) name: Option<&'a str>,
    pub(crate) command: &'a str,
    pub(crate) links: &'a Invites,
    /// The links in the short form, if the rendezvous knows short links.
    pub(crate) short: Option<Invites>,
    pub(crate) server: &'a str,
    pub(crate) clock: Clock,
}

/// The answer to `status`.
pub(crate) fn answer(known: &Known<'_>, host: &HostStatus) -> Value {
    let now = known.clock.now();
    let members = host.members.iter().map(|member| {
        let mut fields = output::path_fields(member.path, Some(member.id));
        (fields["name"], fields["role"]) = (json!(member.name), json!(member.role));
        (fields["from"], fields["client"]) = (json!(member.from), json!(member.client));
        fields["since_s"] = now.since(member.since).as_secs().into();
        fields["round_trip_ms"] = json!(member.round_trip.map(|time| time.as_secs_f64() * 1000.0));
        fields["typed_last"] = member.typed_last.into();
        fields["away_s"] = json!(member.away.map(|since| now.since(since).as_secs()));
        fields
    });
    let pending = host.pending.iter().map(|pending| {
        json!({
            "member": pending.id.0,
            "name": pending.name,
            "role": pending.role,
            "from": pending.from,
            "client": pending.client,
            "since_s": now.since(pending.since).as_secs(),
            "awaits": match pending.awaits {
                Awaits::Person => "approval",
                Awaits::Resume => "resume",
            },
            "check": pending.sas.to_string(),
        })
    });
    json!({
        "session": known.session,
        "name": known.name,
        "command": known.command,
        "size": host.size.to_string(),
        "since_s": now.since_start().as_secs(),
        "server": known.server,
        "rendezvous": if host.registered { "connected" } else { "not connected" },
        "join": known.links.join,
        "view": known.links.view,
        "short_join": known.short.as_ref().and_then(|short| short.join.as_deref()),
        "short_view": known.short.as_ref().map(|short| short.view.as_str()),
        "paused": host.paused,
        "members": members.collect::<Vec<_>>(),
        "asking": pending.collect::<Vec<_>>(),
    })
}

async fn asked(socket: &Path, request: &Request) -> Result<(Value, control::Answered), String> {
    let answered = control::ask(socket, &request.line()).await.map_err(|error| error.to_string())?;
    let value = serde_json::from_str(&answered.line).map_err(|error| error.to_string())?;
    Ok((value, answered))
}

/// `beach status`.
pub(crate) async fn status(args: StatusArgs) -> u8 {
    if args.count {
        return count().await;
    }
    if !args.watch {
        let (code, answers) = look(&args).await;
        answers.iter().for_each(|answer| show(&args, answer));
        return code;
    }
    // A terminal shows the times advance; a pipe gets a new report only after a change.
    let live = !args.json && tty::is_terminal();
    let mut last: Option<Vec<Value>> = None;
    loop {
        let (code, answers) = look(&args).await;
        // The last session has ended.
        if code != 0 {
            return if last.is_some() && code == code::NO_SESSION { 0 } else { code };
        }
        let timeless: Vec<Value> = answers.iter().cloned().map(without_times).collect();
        if live {
            output::clear();
        }
        if live || last.as_ref() != Some(&timeless) {
            answers.iter().for_each(|answer| show(&args, answer));
        }
        last = Some(timeless);
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// `beach status --count`, for a shell prompt: prints no errors, since the shell draws the prompt again and again.
async fn count() -> u8 {
    let Some(socket) = env::var_os(SOCKET).map(PathBuf::from) else { return code::NO_SESSION };
    let Ok((answer, _)) = asked(&socket, &Request::Status).await else { return code::NO_SESSION };
    let here = |member: &&Value| member["away_s"].is_null();
    let viewers = answer["members"].as_array().map_or(0, |members| members.iter().filter(here).count());
    output::print(&viewers.to_string());
    0
}

fn show(args: &StatusArgs, answer: &Value) {
    let shown = InvitesShown::unless_inside(args.links);
    if args.json {
        output::print(&output::plain_json(&shown.of(answer)));
    } else {
        output::print(output::session(&shown.of(answer), shown).trim_end());
    }
}

/// Removes the fields that change with time alone.
fn without_times(mut answer: Value) -> Value {
    const TIMES: [&str; 3] = ["since_s", "away_s", "round_trip_ms"];
    match &mut answer {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = without_times(value.take()));
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| *part = without_times(part.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    answer
}

/// Asks each session that `args` name. Returns the exit code and the answers; prints errors.
async fn look(args: &StatusArgs) -> (u8, Vec<Value>) {
    let mut answers = Vec::new();
    let sessions = match meant(args.session.as_deref()).await {
        Ok(sessions) => sessions,
        Err(cause) => {
            return (cannot_list(&cause), answers);
        }
    };
    let mut code = 0;
    let mut found = false;
    for (session, socket) in sessions {
        match asked(&socket, &Request::Status).await {
            Ok((value, _)) => {
                found = true;
                answers.push(value);
            }
            // A share that was killed left this socket behind.
            Err(_) if args.session.is_none() && is_left_over(&socket).await => {}
            Err(cause) => {
                found = true;
                code = silent(&session, &cause);
            }
        }
    }
    if !found {
        code = if args.watch { code::NO_SESSION } else { none(args.session.as_deref()) };
    }
    (code, answers)
}

async fn is_left_over(socket: &Path) -> bool {
    let refused = control::ask(socket, "").await.err().map(|error| error.kind());
    matches!(refused, Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

fn none(id: Option<&str>) -> u8 {
    match id {
        Some(id) => output::error_of(
            code::NO_SESSION,
            &format!("there is no session {id}"),
            "it has ended, or the name or id is wrong",
            "`beach status` shows your sessions",
        ),
        None => output::error_of(
            code::NO_SESSION,
            "nothing is shared from this account",
            "no session of this user runs",
            "start one with `beach share`",
        ),
    }
}

/// The one running session that a command is for.
///
/// # Errors
/// The exit code, after an error message: there is no such session, or there are several.
async fn one(id: Option<&str>, command: &str) -> Result<(String, PathBuf), u8> {
    let sessions = meant(id).await.map_err(|cause| cannot_list(&cause))?;
    let mut alive = Vec::new();
    for (session, socket) in sessions {
        if !is_left_over(&socket).await {
            alive.push((session, socket));
        }
    }
    if alive.len() > 1 {
        let ids: Vec<_> = alive.iter().map(|(id, _)| id.as_str()).collect();
        let advice = format!("say which: beach {}", with_id(command));
        return Err(output::usage("there are several sessions", &ids.join(", "), &advice));
    }
    alive.pop().ok_or_else(|| none(id))
}

/// The words of a command for one of several sessions.
fn with_id(command: &str) -> String {
    match command {
        "approve" | "deny" | "grant" | "revoke" | "kick" => format!("{command} --session SESSION VIEWER"),
        "rotate" | "pause" | "resume" => format!("{command} --session SESSION"),
        "say" => "say --session SESSION TEXT".to_owned(),
        other => format!("{other} SESSION"),
    }
}

fn cannot_list(cause: &str) -> u8 {
    output::refuse("cannot list the sessions", cause, "set HOME or XDG_RUNTIME_DIR")
}

fn silent(session: &str, cause: &str) -> u8 {
    output::refuse(&format!("session {session} does not answer"), cause, "check whether `beach share` still runs")
}

/// The control invite and the socket of the one session that `beach attach` is for.
///
/// # Errors
/// The exit code, after an error message.
pub(crate) async fn link_of(id: Option<&str>) -> Result<(String, PathBuf), u8> {
    let (session, socket) = one(id, "attach").await?;
    let (answer, _) = asked(&socket, &Request::Attach).await.map_err(|cause| silent(&session, &cause))?;
    let link = answer["link"].as_str().map(str::to_owned).ok_or_else(|| silent(&session, "the answer has no link"))?;
    Ok((link, socket))
}

/// Approves the viewer with these words, for people who attach to their own session.
pub(crate) async fn let_in(socket: PathBuf, sas: Sas) {
    let Ok((answer, _)) = asked(&socket, &Request::Status).await else { return };
    let words = sas.to_string();
    let mut asking = answer["asking"].as_array().into_iter().flatten();
    let member = asking.find(|asking| asking["check"] == words).and_then(|asking| asking["member"].as_u64());
    if let Some(member) = member.and_then(|member| u32::try_from(member).ok()) {
        // The viewer's own screen shows the outcome.
        let _ = asked(&socket, &Request::Act(ModeratorAction::Approve(MemberId(member)), InvitesShown::Yes)).await;
    }
}

/// Whether an invite leads to the session around this process, which would then show itself within itself. The
/// environment holds the session's first id; after a rotation the socket tells the current invites.
pub(crate) async fn is_around(invite: &Invite) -> bool {
    let first = env::var(SESSION).ok().and_then(|session| session.parse().ok());
    if first.is_some_and(|first| invite.session.names(first)) {
        return true;
    }
    let Some(socket) = env::var_os(SOCKET).map(PathBuf::from) else { return false };
    let Ok((answer, _)) = asked(&socket, &Request::Status).await else { return false };
    let view = answer["view"].as_str().and_then(|link| Invite::parse(link).ok());
    view.is_some_and(|view| view.session.short() == invite.session.short())
}

/// The command and the links of the session that `link` leads to.
pub(crate) async fn links_of(link: &str) -> Option<(String, Invites)> {
    let invite = Invite::parse(link).ok()?;
    let (_, socket) = meant(Some(&invite.session.to_string())).await.ok()?.pop()?;
    let (answer, _) = asked(&socket, &Request::Status).await.ok()?;
    Some((answer["command"].as_str()?.to_owned(), Invites::of(&answer)?))
}

/// `beach approve` and the other commands of moderation.
pub(crate) async fn act(session: Option<&str>, command: &str, act: ModeratorAction) -> u8 {
    match one(session, command).await {
        Ok((session, socket)) => tell(&session, &socket, command, act).await,
        Err(code) => code,
    }
}

/// `beach kick` and the other commands about one viewer.
pub(crate) async fn act_on(
    session: Option<&str>,
    command: &str,
    viewer: &ViewerName,
    act: impl FnOnce(MemberId) -> ModeratorAction,
) -> u8 {
    let (session, socket) = match one(session, command).await {
        Ok(one) => one,
        Err(code) => return code,
    };
    let member = match viewer {
        ViewerName::Number(number) => *number,
        ViewerName::Name(name) => {
            let answer = match asked(&socket, &Request::Status).await {
                Ok((answer, _)) => answer,
                Err(cause) => return silent(&session, &cause),
            };
            match numbers_of(&answer, command, name)[..] {
                [number] => number,
                [] => {
                    let cause = format!("no viewer is named {}", quoted_name(name));
                    return output::refuse(&format!("`beach {command}` changed nothing"), &cause, VIEWERS);
                }
                [first, ..] => return several(command, name, first, &numbers_of(&answer, command, name)),
            }
        }
    };
    tell(&session, &socket, command, act(MemberId(member))).await
}

async fn tell(session: &str, socket: &Path, command: &str, act: ModeratorAction) -> u8 {
    let advice = advice(&act);
    let shown = InvitesShown::unless_inside(false);
    match asked(socket, &Request::Act(act.clone(), shown)).await {
        Ok((answer, _)) => match answer["error"].as_str() {
            None => {
                output::print(&output::done(&act, &answer, shown));
                0
            }
            Some(cause) => output::refuse(&format!("`beach {command}` changed nothing"), cause, advice),
        },
        Err(cause) => silent(session, &cause),
    }
}

/// The advice after an action that changed nothing.
fn advice(act: &ModeratorAction) -> &'static str {
    match act {
        ModeratorAction::Approve(_)
        | ModeratorAction::Grant(_)
        | ModeratorAction::Revoke(_)
        | ModeratorAction::Deny { .. }
        | ModeratorAction::Kick { .. } => VIEWERS,
        ModeratorAction::Rotate | ModeratorAction::Pause | ModeratorAction::Resume => {
            "`beach status` shows the session"
        }
        ModeratorAction::Say(_) => "write a sentence: beach say TEXT",
    }
}

/// `beach stop`.
pub(crate) async fn stop(args: StopArgs) -> u8 {
    let (session, socket) = match one(args.session.as_deref(), "stop").await {
        Ok(one) => one,
        Err(code) => return code,
    };
    match asked(&socket, &Request::Stop).await {
        Ok((_, answered)) => {
            if answered.ended(STOPPED_WITHIN).await {
                output::print("The session is stopped.");
                return 0;
            }
            output::refuse(&format!("session {session} has not stopped"), "it did not end within 15 s", "try again")
        }
        Err(cause) => silent(&session, &cause),
    }
}
