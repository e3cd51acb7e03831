//! What goes into a host and comes out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::member::Resize;
use super::{Approve, Escape, Host, ModeratorAction};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::machine::Tick;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::handshake::{Cause, Failure, Stage};
use crate::session::link::{Command, Event, LinkUser, Path};
use crate::terminal::Size;

/// Everything that makes a host what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// Of ids and jitter. Not of keys.
    pub seed: [u8; 32],
    /// The terminal's size, as long as no own terminal says otherwise.
    pub size: Size,
    /// Rows of the own terminal that are taken before the command starts: it begins below them, on the model's screen as on that one,
    /// so that what a program learns of its cursor is true for both.
    pub rows_taken: u16,
    /// Lines of history kept.
    pub history: usize,
    /// Who decides how large the terminal is.
    pub resize: Resize,
    /// The model answers the program's queries: there is no own terminal that would.
    pub headless: bool,
    /// When the command starts.
    pub start: Start,
    /// How long the last screen stays for whoever still joins.
    pub linger: Duration,
    /// How long the place of a member is kept whose link is gone.
    pub keep: Duration,
    /// Who is let in only after a person said so.
    pub approve: Approve,
    /// The key that the person at the own terminal gives commands with.
    pub escape: Escape,
    /// Most viewers at once; [`MAX_VIEWERS`](super::MAX_VIEWERS) at most.
    pub max_viewers: usize,
    /// The session ends so long after it was registered, if it has not by then.
    pub expire: Option<Duration>,
    /// Whom its links let in.
    pub links: InviteRules,
    /// Who typed what is noticed, for whoever writes it down.
    pub tells_input: bool,
}

/// Whom the links of a session let in. Who is in stays, and comes back after an interruption, whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRules {
    /// Each lets in one viewer, and then nobody any more.
    pub once: bool,
    /// So long after they were made they let nobody in any more.
    pub expire: Option<Duration>,
}

/// When the command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// As soon as the session is registered.
    AtOnce,
    /// When a viewer's link is up; past the time, if one is given, the host gives up.
    WhenJoined(Option<Duration>),
}

/// What happens to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostInput {
    /// It is later now.
    Tick,
    /// From the links.
    Link(Event),
    /// The program printed this.
    Printed(Vec<u8>),
    /// The PTY took all of the last [`HostOutput::Write`] or [`HostOutput::WriteOwn`].
    Written,
    /// The program ended: its exit code, 128 + signal if one ended it. All it printed came before.
    Ended(i32),
    /// The person at the host's own terminal typed this. After it the next comes at [`HostOutput::KeysTaken`], which waits
    /// while 64 KiB of the host's keys are not with the program, and no longer than a second if the program takes none.
    Keys(Vec<u8>),
    /// The host's own terminal has this size.
    Resized(Size),
    /// Stop sharing.
    Stop,
    /// A person decided this; nothing comes of what [`Host::may`] objects to.
    Act(ModeratorAction),
    /// The last write is given back, but for this many bytes, which the PTY took. Answers [`HostOutput::TakeBack`].
    TakenBack(usize),
}

/// What a host wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostOutput {
    /// To the links.
    Link(Command),
    /// Start the command, in a PTY of this size.
    Start(Size),
    /// Write this to the PTY. One write at a time, until [`HostInput::Written`] or [`HostInput::TakenBack`].
    Write(Vec<u8>),
    /// To the own terminal, if there is one: what the program printed, and at times something of ours over its bottom rows.
    Show(Vec<u8>),
    /// The PTY has this size now.
    Resize(Size),
    /// The next [`HostInput::Keys`] may come.
    KeysTaken,
    /// Hang up the PTY.
    HangUp,
    /// For people and programs who watch.
    Notice(HostNotice),
    /// It is over.
    Exit(HostExit),
    /// Write the host's own keys to the PTY, as with [`Write`](HostOutput::Write). If one of them is a signal (Ctrl-C) for the
    /// PTY, the signal takes effect even while the PTY takes no more: all input before it is dropped, as the signal does.
    WriteOwn(Vec<u8>),
    /// Give the pending write back, and tell by [`HostInput::TakenBack`] how much the PTY took. Nothing is to be told if
    /// [`HostInput::Written`] is on its way.
    TakeBack,
}

/// What people and programs may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostNotice {
    /// The rendezvous has the session; for the first time, or again.
    Registered,
    /// The rendezvous is lost; it is dialled again.
    RendezvousLost(String),
    /// A handshake entered a stage.
    Stage(LinkId, Stage),
    /// A handshake ended without a link.
    Failed(LinkId, Failure),
    /// The rendezvous refused so many joins by now, as they were too many at once.
    TurnedAway(u64),
    /// Somebody without the right key tried, for the n-th time.
    WrongKey(LinkId, u64),
    /// Somebody waits to be let in, and sees the same words; where they are, as the rendezvous says.
    Asks(MemberId, Role, String, Sas, Option<AddressClass>),
    /// They were let in, or not.
    Decided(MemberId, bool),
    /// What a member may do from now on.
    Role(MemberId, Role),
    /// Whether the host keeps everything to itself.
    Paused(bool),
    /// Other links let people in from now on.
    Rotated,
    /// A member's input goes to the program; only if it was asked for.
    Typed(MemberId, Vec<u8>),
    /// A viewer is in.
    Joined(MemberId, Role, String, Path),
    /// A member's link goes another way now.
    Path(MemberId, Path),
    /// A member's link is gone, and why; its place is kept.
    Away(MemberId, Cause),
    /// It is back on another link.
    Back(MemberId, Path),
    /// A viewer is gone.
    Left(MemberId, Cause),
    /// A member sent what its role does not permit; how often by now.
    Violation(MemberId, u32),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostExit {
    /// The command ended with this code.
    Ended(i32),
    /// Somebody stopped it before the command started or ended.
    Stopped,
    /// So did its own time.
    Expired,
    /// The session could not be registered.
    Failed(Failure),
    /// No viewer came in time.
    NobodyJoined,
}

impl From<Tick> for HostInput {
    fn from(Tick: Tick) -> HostInput {
        HostInput::Tick
    }
}

impl From<Event> for HostInput {
    fn from(event: Event) -> HostInput {
        HostInput::Link(event)
    }
}

impl LinkUser for Host {
    fn split(output: HostOutput) -> Result<Command, HostOutput> {
        match output {
            HostOutput::Link(command) => Ok(command),
            other @ (HostOutput::Start(_)
            | HostOutput::Write(_)
            | HostOutput::WriteOwn(_)
            | HostOutput::TakeBack
            | HostOutput::Show(_)
            | HostOutput::Resize(_)
            | HostOutput::KeysTaken
            | HostOutput::HangUp
            | HostOutput::Notice(_)
            | HostOutput::Exit(_)) => Err(other),
        }
    }
}
