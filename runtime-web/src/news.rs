//! News for the person at the page, each one JSON object. `web/src/news.ts` has the same types.

use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::session::handshake::{Failure, Stage};
use beach_core::session::link::{Client, Path, PathKind};
use beach_core::terminal::viewer_name;
use beach_core::viewer::{ViewerExit, sentences};
use beach_core::wire::frame::Members;
use serde::Serialize;

/// News for the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum News {
    /// The handshake entered a stage.
    Stage {
        /// Its name.
        stage: Stage,
        /// The step in words.
        words: String,
    },
    /// The rendezvous could not be reached yet.
    Unreachable {
        /// Why.
        text: String,
    },
    /// The words that the host sees too.
    Check {
        /// Four of them.
        words: Vec<&'static str>,
    },
    /// The first screen comes next.
    Live {
        /// The person's role.
        role: Role,
    },
    /// The path of the connection.
    Path {
        /// In a word or two.
        way: String,
        /// In a sentence.
        text: String,
        /// Whether another one was used before.
        again: bool,
    },
    /// The session's title.
    Title {
        /// Cleaned.
        title: String,
    },
    /// The bell rang.
    Bell,
    /// The program wants this in the clipboard.
    Clipboard {
        /// The text to copy.
        text: String,
    },
    /// Nothing is received any more.
    Away {
        /// Why.
        text: String,
    },
    /// The connection is back.
    Back,
    /// A sentence for a while.
    Said {
        /// The speaker.
        who: Speaker,
        /// The sentence.
        text: String,
    },
    /// The host changed the person's role.
    Role {
        /// To this.
        role: Role,
        /// In words.
        text: &'static str,
    },
    /// The session is paused, or goes on.
    Paused {
        /// In words, if it is.
        text: Option<&'static str>,
    },
    /// Some typing was lost.
    Lost {
        /// In words.
        text: String,
    },
    /// The person typed, and may only watch.
    Readonly {
        /// In words.
        text: &'static str,
    },
    /// The viewers.
    Members {
        /// Viewers.
        members: Vec<Member>,
        /// How many others are here.
        more: u16,
        /// Whether the person at the host types.
        host_types: bool,
    },
    /// The state of the connection.
    Status {
        /// The path.
        path: String,
        /// The time to the host and back.
        round_trip: Option<String>,
    },
    /// The session ended for this page.
    Exit {
        /// The kind of end.
        end: End,
        /// The event that ended the session.
        what: String,
        /// The reason; may be empty.
        why: String,
        /// Advice for the person; may be empty.
        advice: String,
    },
}

/// The speaker of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The person at the host.
    Host,
    /// This program.
    Beach,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As sessions do.
    Ended,
    /// The person left.
    Left,
    /// Something failed, or the host put an end to it for this person.
    Failed,
    /// The link cannot be used.
    Link,
}

/// A viewer who is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    number: u32,
    name: String,
    role: Role,
    types: bool,
    you: bool,
}

impl News {
    /// The list of the host; `me` is the number of this viewer.
    pub(crate) fn members(list: &Members, me: Option<MemberId>) -> News {
        let member = |listed: &beach_core::wire::frame::Listed| Member {
            number: listed.member.0,
            name: viewer_name(&listed.name, listed.member.0),
            role: listed.role,
            types: listed.types,
            you: me == Some(listed.member),
        };
        let members = list.listed.iter().map(member).collect();
        News::Members { members, more: list.more, host_types: list.host_types }
    }

    /// The path that is used; `again` after another one.
    pub(crate) fn path(path: Path, again: bool) -> News {
        let way = format!("connected {}", sentences::way(path));
        let text = if again { sentences::path_changed(path) } else { describe(path) };
        News::Path { way, text, again }
    }

    /// The state of the connection.
    pub(crate) fn status(path: Option<Path>, round_trip: Option<std::time::Duration>) -> News {
        News::Status {
            path: path.map_or("no path".to_owned(), describe),
            round_trip: round_trip.map(|time| format!("round trip {} ms", (time.as_micros() + 500) / 1000)),
        }
    }

    /// The end in three lines.
    pub(crate) fn exit(exit: &ViewerExit, server: &str) -> News {
        let what = exit.words().unwrap_or_default();
        let plain = |end| News::Exit { end, what: what.clone(), why: String::new(), advice: String::new() };
        match exit {
            ViewerExit::Ended(_) | ViewerExit::Stopped | ViewerExit::Expired => plain(End::Ended),
            ViewerExit::Left => plain(End::Left),
            ViewerExit::Removed(why) => {
                let advice = "ask the host".to_owned();
                News::Exit { end: End::Failed, what: what.clone(), why: why.clone(), advice }
            }
            ViewerExit::Failed(failure) => News::failed(failure, server),
        }
    }

    fn failed(failure: &Failure, server: &str) -> News {
        News::Exit {
            end: End::Failed,
            what: failure.what(),
            why: failure.why(server, Client::Browser),
            advice: failure.advice(Client::Browser).to_owned(),
        }
    }
}

/// `connected directly (192.168.1.5)`; the browser hides its own address.
fn describe(path: Path) -> String {
    let way = sentences::way(path);
    match path.kind {
        PathKind::Direct if !path.remote.ip().is_unspecified() => format!("connected {way} ({})", path.remote.ip()),
        PathKind::Direct | PathKind::Turn | PathKind::Relay => format!("connected {way}"),
    }
}
