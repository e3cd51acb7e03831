//! Configuration, inputs and outputs of a viewer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Viewer;
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::machine::Tick;
use crate::predict::Mode;
use crate::role::Role;
use crate::session::handshake::{Cause, Failure, Stage};
use crate::session::link::{Command, Event, LinkUser, NoCommand, Path};
use crate::terminal::{Options, Size};
use crate::time::Timestamp;

/// Everything that makes a viewer what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerConfig {
    /// Of the link id and jitter. Not of keys.
    pub seed: [u8; 32],
    /// The role of the invite.
    pub role: Role,
    /// A name for people.
    pub name: String,
    /// The size of the own terminal.
    pub size: Size,
    /// How long to wait for a session that does not exist yet.
    pub wait: Option<Duration>,
    /// How the own terminal is painted.
    pub options: Options,
    /// When typing is shown before the host has said that it is so.
    pub predict: Mode,
    /// Most lines of history that are wanted.
    pub history: u32,
    /// The viewer wants the program's text for the clipboard.
    pub clipboard: bool,
    /// The viewer stays at the rendezvous, which may have to relay datagrams.
    pub stays: bool,
    /// How long it tries to come back when its link is gone.
    pub reconnect: Duration,
}

/// Inputs of a viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerInput {
    /// Time has passed.
    Tick,
    /// From the links.
    Link(Event),
    /// The person typed this. One at a time: see [`ViewerOutput::KeysTaken`].
    Keys(Vec<u8>),
    /// A part of a paste, at most [`MAX_INPUT_EVENT`](crate::wire::frame::MAX_INPUT_EVENT) bytes. One at a time, like
    /// keys.
    Paste {
        /// The bytes of this part.
        bytes: Vec<u8>,
        /// The paste begins with this part.
        first: bool,
        /// The paste ends with this part.
        last: bool,
    },
    /// The own terminal says where its cursor is, both 1-based; after [`ViewerOutput::CursorAsked`].
    CursorReport {
        /// Row.
        row: u16,
        /// Column.
        col: u16,
    },
    /// Show another part of a session that is larger than the own terminal.
    Pan {
        /// Rows further down; negative: further up.
        rows: i16,
        /// Columns further right; negative: further left.
        cols: i16,
    },
    /// The own terminal has this size now. With [`Window::Session`](crate::terminal::Window::Session): has room for a
    /// session of this size.
    Resized(Size),
    /// The own terminal took what was last shown.
    Shown,
    /// Forget what the own terminal shows and paint all of it again.
    Redraw,
    /// The person leaves.
    Leave,
    /// The person wants the paths to prove themselves anew.
    Prove,
    /// Show this text over the bottom of the own terminal, for [`READABLE`](super::READABLE) from its first paint on.
    /// At most [`MAX_REMARKS`](super::MAX_REMARKS) are kept, and [`MAX_NOTICE`](super::MAX_NOTICE) characters of each;
    /// the same limits hold for the texts below.
    Remark(String),
    /// Show this text likewise until a [`Turn`](ViewerInput::Turn) closes the page, or the beginning of a paste.
    Page(String),
    /// Show this text likewise until another one or nothing replaces it.
    Standing(Option<String>),
    /// The person pressed a key that is for the page: its next part is shown, or the page closes.
    Turn,
    /// Ask the host to tell who is here. Only before the first link counts.
    WantMembers,
    /// Show a page of who is here, which follows what the host tells.
    Members,
}

/// Outputs of a viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerOutput<C = NoCommand> {
    /// To the links.
    Link(C),
    /// Write this to the own terminal. One at a time, until [`ViewerInput::Shown`].
    Show(Vec<u8>),
    /// The own terminal is to have this size before it is shown what follows. Only with
    /// [`Window::Session`](crate::terminal::Window::Session).
    Size(Size),
    /// The next paint asks the person's terminal for its cursor: the answer is a [`ViewerInput::CursorReport`].
    CursorAsked,
    /// The last [`ViewerInput::Keys`] are on their way: the next may come.
    KeysTaken,
    /// For people and programs who watch.
    Notice(ViewerNotice),
    /// The session has ended.
    Exit(ViewerExit),
}

/// News for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerNotice {
    /// The handshake entered a stage.
    Stage(Stage),
    /// Addresses to try: ours and theirs.
    Paths(usize, usize),
    /// The rendezvous could not be reached yet, and why.
    Unreachable(String),
    /// The path that the link uses, confirmed.
    Connected(Path),
    /// The first screen is complete: it is shown next.
    FirstScreen(MemberId, Role),
    /// The link goes another way now.
    Path(Path),
    /// The session's title.
    Title(String),
    /// The bell rang.
    Bell,
    /// The program put this into the clipboard.
    Clipboard(String),
    /// Nothing is received any more, with the cause as far as known. The viewer tries to reconnect, and keeps typing
    /// meanwhile.
    Away(Cause),
    /// The connection is back, after this time.
    Back(Duration),
    /// The host did not keep the viewer's place. True if unconfirmed typing was lost.
    Forgotten(bool),
    /// Keys were dropped: more is not kept for the host.
    Overflow,
    /// A sentence from the host.
    Said(String),
    /// A person at the host decides whether this viewer gets in, and sees the same four words.
    Sas(Sas),
    /// The viewer's role from now on.
    Role(Role),
    /// Whether the session is paused.
    Paused(bool),
    /// Keys were dropped: the invite does not permit typing.
    ReadOnly,
}

/// The end of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerExit {
    /// The shared command ended with this code.
    Ended(i32),
    /// The host stopped sharing.
    Stopped,
    /// The session's time was over.
    Expired,
    /// The person left.
    Left,
    /// The host removed this viewer, and why.
    Removed(String),
    /// The join failed, or the connection is lost for good.
    Failed(Failure),
}

impl From<Tick> for ViewerInput {
    fn from(Tick: Tick) -> ViewerInput {
        ViewerInput::Tick
    }
}

impl From<Event> for ViewerInput {
    fn from(event: Event) -> ViewerInput {
        ViewerInput::Link(event)
    }
}

impl LinkUser for Viewer {
    type ForRuntime = ViewerOutput;

    fn due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)> {
        self.timers_due(now)
    }

    fn split(output: ViewerOutput<Command>) -> Result<Command, ViewerOutput> {
        match output {
            ViewerOutput::Link(command) => Ok(command),
            ViewerOutput::Show(bytes) => Err(ViewerOutput::Show(bytes)),
            ViewerOutput::Size(size) => Err(ViewerOutput::Size(size)),
            ViewerOutput::CursorAsked => Err(ViewerOutput::CursorAsked),
            ViewerOutput::KeysTaken => Err(ViewerOutput::KeysTaken),
            ViewerOutput::Notice(notice) => Err(ViewerOutput::Notice(notice)),
            ViewerOutput::Exit(exit) => Err(ViewerOutput::Exit(exit)),
        }
    }

    fn ending(output: &ViewerOutput) -> Option<String> {
        output.ending()
    }
}

impl<C> ViewerOutput<C> {
    /// How the join has ended, if this output says that. The words are those of recordings, which outlive versions.
    pub fn ending(&self) -> Option<String> {
        let ViewerOutput::Exit(exit) = self else { return None };
        Some(match exit {
            ViewerExit::Ended(code) => format!("the command ended with {code}"),
            ViewerExit::Stopped => "the host stopped sharing".to_owned(),
            ViewerExit::Expired => "expired".to_owned(),
            ViewerExit::Left => "left".to_owned(),
            ViewerExit::Removed(_) => "removed".to_owned(),
            ViewerExit::Failed(failure) => format!("failed while {}", failure.stage),
        })
    }
}
