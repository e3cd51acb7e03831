//! `beach replay`: feeds a recording to the machine again, and prints each stage.

mod shown;

use beach_core::host::{HostExit, HostNotice, HostOutput};
use beach_core::recording::journal::{Outcome, ReplayError, Replayed, is_whole, read, replay};
use beach_core::session::link::Command;
use beach_core::terminal::viewer_name;
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerNotice, ViewerOutput};

use crate::args::ReplayArgs;
use crate::output;

pub(crate) fn run(args: &ReplayArgs) -> u8 {
    let file = match std::fs::read(&args.file) {
        Ok(file) => file,
        Err(error) => {
            return output::usage(
                &format!("cannot read {}", args.file.display()),
                &error.to_string(),
                "check the path",
            );
        }
    };
    let records = match read(&file) {
        Ok(records) => records,
        Err(error) => {
            let advice = match error {
                ReplayError::Format(_) => "replay with the version that recorded, or record again",
                ReplayError::Malformed | ReplayError::Diverged(_) => {
                    "use a file that --record-handshake of this version wrote"
                }
            };
            return output::usage(&format!("cannot replay {}", args.file.display()), &error.to_string(), advice);
        }
    };
    match replay(&records, |replayed| show(replayed, args.verbose)) {
        Ok(outcome) if is_whole(&file) => {
            show_end(&outcome);
            0
        }
        Ok(outcome) => {
            show_end(&outcome);
            let advice = "record again; a killed program leaves such a file";
            output::refuse("the recording is incomplete", "the file ends in the middle of a record", advice)
        }
        Err(error) => {
            let advice = "replay with the version that recorded";
            output::refuse("the replay stopped", &error.to_string(), advice)
        }
    }
}

fn show_end(outcome: &Outcome) {
    let end = match &outcome.now {
        Some(words) => format!("this is the end: {words}"),
        None => "the recording ends here, and the machine had not ended".to_owned(),
    };
    output::replayed(outcome.at, &format!("{end} ({} inputs)", outcome.inputs));
}

fn show(replayed: Replayed, verbose: bool) {
    if verbose {
        match &replayed {
            Replayed::HostInput(at, input) => output::replayed(*at, &format!("  in   {}", shown::line(input))),
            Replayed::ViewerInput(at, input) => output::replayed(*at, &format!("  in   {}", shown::line(input))),
            Replayed::Host(at, put) => output::replayed(*at, &format!("  out  {}", shown::line(put))),
            Replayed::Viewer(at, put) => output::replayed(*at, &format!("  out  {}", shown::line(put))),
            Replayed::Note(at, note) => output::replayed(*at, &format!("  {note}")),
        }
    }
    match replayed {
        Replayed::HostInput(..) | Replayed::ViewerInput(..) | Replayed::Note(..) => {}
        Replayed::Host(at, output) => show_host(at, output),
        Replayed::Viewer(at, output) => show_viewer(at, output),
    }
}

fn show_host(at: Timestamp, output: HostOutput<Command>) {
    let say = |line: &str| output::replayed(at, line);
    match output {
        HostOutput::Notice(notice) => match notice {
            HostNotice::Registered => say("registered"),
            HostNotice::RendezvousLost(cause) => say(&format!("rendezvous lost: {cause}")),
            HostNotice::Stage(link, stage) => say(&format!("link {link}: {stage}")),
            HostNotice::Failed(link, failure) => {
                say(&format!("link {link}: failed while {}: {}", failure.stage, output::cause(&failure.cause)));
            }
            HostNotice::TurnedAway(count) => {
                say(&format!("the rendezvous refused {count} joins: too many at once"));
            }
            HostNotice::WrongKey(link, count) => say(&format!("link {link}: wrong key ({count} so far)")),
            HostNotice::Joined(member, role, name, path, client) => {
                let name = viewer_name(&name, member.0);
                say(&format!("member {member} joined: {name}{}, {role}, {path}", output::in_browser(client)));
            }
            HostNotice::Path(member, path) => say(&format!("member {member} has a new path: {path}")),
            HostNotice::Away(member, cause) => {
                say(&format!("member {member} is away: {}", output::cause(&cause)));
            }
            HostNotice::Back(member, path) => say(&format!("member {member} is back: {path}")),
            HostNotice::Left(member, cause) => {
                say(&format!("member {member} left: {}", output::cause(&cause)));
            }
            HostNotice::Asks(member, role, name, sas, _, client) => {
                let name = viewer_name(&name, member.0);
                say(&format!("{member} waits for approval: {name}{}, {role}, {sas}", output::in_browser(client)));
            }
            HostNotice::Decided(member, true) => say(&format!("the host let {member} in")),
            HostNotice::Decided(member, false) => say(&format!("the host refused {member}")),
            HostNotice::Role(member, role) => say(&format!("member {member} has the role {role} now")),
            HostNotice::Typed(member, bytes) => {
                say(&format!("member {member} typed {} bytes", bytes.len()));
            }
            HostNotice::Rotated => say("new links"),
            HostNotice::Paused(true) => say("paused"),
            HostNotice::Paused(false) => say("resumed"),
            HostNotice::Violation(member, count) => {
                say(&format!("member {member} broke the protocol ({count} times so far)"));
            }
        },
        HostOutput::Start(size) => say(&format!("the command starts ({size})")),
        HostOutput::Exit(exit) => output::replayed(
            at,
            &match exit {
                HostExit::Ended(code) => format!("the command ended with {code}"),
                HostExit::Stopped => "stopped".to_owned(),
                HostExit::Expired => "expired".to_owned(),
                HostExit::Failed(failure) => {
                    format!("failed while {}: {}", failure.stage, output::cause(&failure.cause))
                }
                HostExit::NobodyJoined => "nobody joined in time".to_owned(),
            },
        ),
        HostOutput::Link(_)
        | HostOutput::Write(_)
        | HostOutput::WriteOwn(_)
        | HostOutput::TakeBack
        | HostOutput::Show(_)
        | HostOutput::ShowLinks(_)
        | HostOutput::Resize(_)
        | HostOutput::KeysTaken
        | HostOutput::HangUp => {}
    }
}

fn show_viewer(at: Timestamp, output: ViewerOutput<Command>) {
    match output {
        ViewerOutput::Notice(notice) => match notice {
            ViewerNotice::Stage(stage) => output::replayed(at, stage.words()),
            ViewerNotice::Paths(local, remote) => output::replayed(at, &format!("  {local} local, {remote} remote")),
            ViewerNotice::Unreachable(cause) => output::replayed(at, &format!("rendezvous not reached: {cause}")),
            ViewerNotice::Connected(path) => output::replayed(at, &format!("path {path}")),
            ViewerNotice::Path(path) => output::replayed(at, &format!("new path {path}")),
            ViewerNotice::FirstScreen(member, role) => {
                output::replayed(at, &format!("first screen, as member {member}, {role}"));
            }
            ViewerNotice::Away(cause) => {
                output::replayed(at, &format!("reconnecting: {}", output::cause(&cause)));
            }
            ViewerNotice::Back(after) => output::replayed(at, &format!("back after {} ms", after.as_millis())),
            ViewerNotice::Forgotten(_) => output::replayed(at, "the host gave the place away"),
            ViewerNotice::Overflow => output::replayed(at, "the buffer for typing is full"),
            ViewerNotice::Sas(sas) => output::replayed(at, &format!("  the host sees: {sas}")),
            ViewerNotice::Role(role) => output::replayed(at, &format!("role {role} now")),
            ViewerNotice::Paused(true) => output::replayed(at, "paused"),
            ViewerNotice::Paused(false) => output::replayed(at, "resumed"),
            ViewerNotice::Title(_)
            | ViewerNotice::Bell
            | ViewerNotice::Clipboard(_)
            | ViewerNotice::Said(_)
            | ViewerNotice::ReadOnly => {}
        },
        ViewerOutput::Exit(exit) => output::replayed(
            at,
            &match exit {
                ViewerExit::Ended(code) => format!("the command ended with {code}"),
                ViewerExit::Stopped => "the host stopped sharing".to_owned(),
                ViewerExit::Expired => "expired".to_owned(),
                ViewerExit::Left => "left".to_owned(),
                ViewerExit::Removed(why) => format!("removed: {why}"),
                ViewerExit::Failed(failure) => {
                    format!("failed while {}: {}", failure.stage, output::cause(&failure.cause))
                }
            },
        ),
        ViewerOutput::Link(_)
        | ViewerOutput::Show(_)
        | ViewerOutput::Size(_)
        | ViewerOutput::CursorAsked
        | ViewerOutput::KeysTaken => {}
    }
}
