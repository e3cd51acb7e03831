//! `beach replay`: a recording again, stage by stage.

use beach_core::host::{HostExit, HostNotice, HostOutput};
use beach_core::recording::journal::{Replayed, is_whole, read, replay};
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerNotice, ViewerOutput};

use crate::args::ReplayArgs;
use crate::status;

pub(crate) fn run(args: &ReplayArgs) -> u8 {
    let file = match std::fs::read(&args.file) {
        Ok(file) => file,
        Err(error) => {
            return status::usage(
                &format!("cannot read {}", args.file.display()),
                &error.to_string(),
                "check the path",
            );
        }
    };
    let records = match read(&file) {
        Ok(records) => records,
        Err(error) => {
            let advice = "use a file that --record-handshake of this version wrote";
            return status::usage(&format!("cannot replay {}", args.file.display()), &error.to_string(), advice);
        }
    };
    match replay(&records, show) {
        Ok(()) if is_whole(&file) => 0,
        Ok(()) => {
            let advice = "what is there was replayed; whoever recorded it may have been killed";
            status::refuse("the recording is not whole", "it ends in the middle of a record", advice)
        }
        Err(error) => {
            let advice = "replay it with the version that recorded it";
            status::refuse("the replay stopped", &error.to_string(), advice)
        }
    }
}

fn show(replayed: Replayed) {
    match replayed {
        Replayed::Note(at, note) => status::replayed(at, &format!("  {note}")),
        Replayed::Host(at, output) => show_host(at, output),
        Replayed::Viewer(at, output) => show_viewer(at, output),
    }
}

fn show_host(at: Timestamp, output: HostOutput) {
    match output {
        HostOutput::Notice(notice) => match notice {
            HostNotice::Registered => status::replayed(at, "registered"),
            HostNotice::RendezvousLost(cause) => status::replayed(at, &format!("rendezvous lost: {cause}")),
            HostNotice::Stage(link, stage) => status::replayed(at, &format!("link {link}: {stage}")),
            HostNotice::Failed(link, failure) => {
                status::replayed(
                    at,
                    &format!("link {link}: failed while {}: {}", failure.stage, status::cause(&failure.cause)),
                );
            }
            HostNotice::TurnedAway(count) => {
                status::replayed(at, &format!("the rendezvous refused {count} joins: too many at once"));
            }
            HostNotice::WrongKey(link, count) => {
                status::replayed(at, &format!("link {link}: wrong key ({count} so far)"))
            }
            HostNotice::Joined(member, role, name, path) => {
                status::replayed(at, &format!("member {member} joined: {name:?}, {role}, {path}"));
            }
            HostNotice::Path(member, path) => status::replayed(at, &format!("member {member} comes {path} now")),
            HostNotice::Away(member, cause) => {
                status::replayed(at, &format!("member {member} is away: {}", status::cause(&cause)));
            }
            HostNotice::Back(member, path) => status::replayed(at, &format!("member {member} is back: {path}")),
            HostNotice::Left(member, cause) => {
                status::replayed(at, &format!("member {member} left: {}", status::cause(&cause)));
            }
            HostNotice::Asks(member, role, name, check, _) => {
                status::replayed(at, &format!("{member} waits to be let in: {name:?}, {role}, {check}"));
            }
            HostNotice::Decided(member, true) => status::replayed(at, &format!("{member} is let in")),
            HostNotice::Decided(member, false) => status::replayed(at, &format!("{member} is not let in")),
            HostNotice::Role(member, role) => status::replayed(at, &format!("member {member} has {role} now")),
            HostNotice::Typed(member, bytes) => {
                status::replayed(at, &format!("member {member} typed {} bytes", bytes.len()));
            }
            HostNotice::Rotated => status::replayed(at, "other links from now on"),
            HostNotice::Paused(true) => status::replayed(at, "paused"),
            HostNotice::Paused(false) => status::replayed(at, "it goes on"),
            HostNotice::Violation(member, count) => {
                status::replayed(at, &format!("member {member} sent what it may not send ({count} so far)"));
            }
        },
        HostOutput::Start(size) => status::replayed(at, &format!("the command starts ({size})")),
        HostOutput::Exit(exit) => status::replayed(
            at,
            &match exit {
                HostExit::Ended(code) => format!("the command ended with {code}"),
                HostExit::Stopped => "stopped".to_owned(),
                HostExit::Expired => "its time was over".to_owned(),
                HostExit::Failed(failure) => {
                    format!("failed while {}: {}", failure.stage, status::cause(&failure.cause))
                }
                HostExit::NobodyJoined => "nobody joined in time".to_owned(),
            },
        ),
        HostOutput::Link(_)
        | HostOutput::Write(_)
        | HostOutput::Show(_)
        | HostOutput::Resize(_)
        | HostOutput::KeysTaken
        | HostOutput::HangUp => {}
    }
}

fn show_viewer(at: Timestamp, output: ViewerOutput) {
    match output {
        ViewerOutput::Notice(notice) => match notice {
            ViewerNotice::Stage(stage) => status::replayed(at, stage.words()),
            ViewerNotice::Paths(local, remote) => status::replayed(at, &format!("  {local} local, {remote} remote")),
            ViewerNotice::Unreachable(cause) => status::replayed(at, &format!("rendezvous not reached: {cause}")),
            ViewerNotice::Connected(path) => status::replayed(at, &format!("path {path}")),
            ViewerNotice::Path(path) => status::replayed(at, &format!("path {path} now")),
            ViewerNotice::FirstScreen(member, role) => {
                status::replayed(at, &format!("first screen, as member {member}, {role}"));
            }
            ViewerNotice::Away(cause) => {
                status::replayed(at, &format!("reconnecting: {}", status::cause(&cause)));
            }
            ViewerNotice::Back(after) => status::replayed(at, &format!("back after {} ms", after.as_millis())),
            ViewerNotice::Forgotten(_) => status::replayed(at, "the host did not keep the place"),
            ViewerNotice::Overflow => status::replayed(at, "more was typed than is kept"),
            ViewerNotice::Check(check) => status::replayed(at, &format!("  the host sees: {check}")),
            ViewerNotice::Role(role) => status::replayed(at, &format!("{role} now")),
            ViewerNotice::Paused(true) => status::replayed(at, "paused"),
            ViewerNotice::Paused(false) => status::replayed(at, "it goes on"),
            ViewerNotice::Title(_)
            | ViewerNotice::Bell
            | ViewerNotice::Clipboard(_)
            | ViewerNotice::Said(_)
            | ViewerNotice::ReadOnly => {}
        },
        ViewerOutput::Exit(exit) => status::replayed(
            at,
            &match exit {
                ViewerExit::Ended(code) => format!("the command ended with {code}"),
                ViewerExit::Stopped => "the host stopped sharing".to_owned(),
                ViewerExit::Expired => "the session's time was over".to_owned(),
                ViewerExit::Left => "left".to_owned(),
                ViewerExit::Removed(why) => format!("removed: {why}"),
                ViewerExit::Failed(failure) => {
                    format!("failed while {}: {}", failure.stage, status::cause(&failure.cause))
                }
            },
        ),
        ViewerOutput::Link(_) | ViewerOutput::Show(_) | ViewerOutput::CursorAsked | ViewerOutput::KeysTaken => {}
    }
}
