//! The host's configuration, inputs and outputs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::member::Resize;
use super::{Approve, Escape, Host, LinkLengths, ModeratorAction};
use crate::crypto::sas::Sas;
use crate::id::{LinkId, MemberId};
use crate::machine::Tick;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::handshake::{Cause, Failure, Stage};
use crate::session::link::{Client, Command, Event, LinkUser, NoCommand, Path};
use crate::terminal::Size;
use crate::time::Timestamp;

/// The configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// Seed of ids and jitter; not of keys.
    pub seed: [u8; 32],
    /// The terminal's size, until [`HostInput::Resized`] tells the size of the own terminal.
    pub size: Size,
    /// Rows of the own terminal that are in use before the command starts. On the model's screen the command's output
    /// begins below these rows too, so that cursor positions are the same on both screens.
    pub rows_taken: u16,
    /// Lines of history that the model keeps.
    pub history: usize,
    /// The policy for the terminal's size.
    pub resize: Resize,
    /// There is no own terminal, and the model answers the program's queries.
    pub headless: bool,
    /// When the command starts.
    pub start: Start,
    /// How long after the command's end viewers may still join and see the last screen.
    pub linger: Duration,
    /// How long the host keeps the place of a member whose link is gone.
    pub keep: Duration,
    /// Which viewers are let in only after a person has approved.
    pub approve: Approve,
    /// The key that begins a command of the person at the own terminal.
    pub escape: Escape,
    /// Most viewers at once; [`MAX_VIEWERS`](super::MAX_VIEWERS) at most.
    pub max_viewers: usize,
    /// The session ends so long after it was registered first.
    pub expire: Option<Duration>,
    /// The limits of the session's invites.
    pub links: InviteRules,
    /// No viewer is let in whose program is a browser.
    pub no_browsers: bool,
    /// [`HostNotice::Typed`] tells what members type.
    pub tells_input: bool,
}

/// The limits of a session's invites. Members are not affected, not even those that reconnect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRules {
    /// Each invite lets in one viewer.
    pub once: bool,
    /// Invites let nobody in from so long after they were made.
    pub expire: Option<Duration>,
}

/// When the command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// As soon as the session is registered.
    AtOnce,
    /// When the first viewer is a member. If none is after the time that is given, the host gives up.
    WhenJoined(Option<Duration>),
}

/// Inputs of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostInput {
    /// Time has passed.
    Tick,
    /// An event of the links or the rendezvous.
    Link(Event),
    /// The program printed this.
    Printed(Vec<u8>),
    /// The PTY took all of the last [`HostOutput::Write`] or [`HostOutput::WriteOwn`].
    Written,
    /// The program ended with this exit code, which is 128 + the signal if one ended it. All output of the program came
    /// before.
    Ended(i32),
    /// The person at the host's own terminal typed this. The next keys come after [`HostOutput::KeysTaken`], which
    /// waits while the program has not taken 64 KiB of the host's keys, and for a second at most if the program takes
    /// none.
    Keys(Vec<u8>),
    /// The host's own terminal has this size.
    Resized(Size),
    /// The session is to be stopped.
    Stop,
    /// A person decided this. An act that [`Host::may`] objects to changes nothing.
    Act(ModeratorAction),
    /// The last write is given back, but for this many bytes, which the PTY took. Answers [`HostOutput::TakeBack`].
    TakenBack(usize),
    /// From now on the own terminal shows for three seconds each which members come, go and come back.
    ShowMembers,
    /// The number of characters of the session's links. To be told again when the links are other ones.
    Links(LinkLengths),
    /// Show the links on the own terminal for a while.
    ShowLinks,
    /// The command's TERM names GNU screen or tmux, where `ESC k` begins a title. This input comes before the command
    /// starts.
    ScreenTitles,
    /// The own terminal says where its cursor is when it is asked (`CSI 6 n`).
    CursorReports,
}

/// Outputs of a host. The machine itself puts out `HostOutput<Command>`; the endpoint keeps the commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostOutput<C = NoCommand> {
    /// A command to the links or the rendezvous.
    Link(C),
    /// Start the command, in a PTY of this size.
    Start(Size),
    /// Write this to the PTY. One write at a time, until [`HostInput::Written`] or [`HostInput::TakenBack`].
    Write(Vec<u8>),
    /// Show this on the own terminal, if there is one: what the program printed, and at times a banner over the bottom
    /// rows.
    Show(Vec<u8>),
    /// Give the PTY this size.
    Resize(Size),
    /// The next [`HostInput::Keys`] may come.
    KeysTaken,
    /// Hang up the PTY.
    HangUp,
    /// News for people and programs that watch the session.
    Notice(HostNotice),
    /// The session is over, and the machine does nothing any more.
    Exit(HostExit),
    /// Write the host's own keys to the PTY, as with [`Write`](HostOutput::Write). If one of them is a signal (Ctrl-C)
    /// for the PTY, the signal takes effect even while the PTY takes no more, and drops all input before.
    WriteOwn(Vec<u8>),
    /// Give the pending write back, and tell by [`HostInput::TakenBack`] how much the PTY took. Nothing is to be told
    /// if [`HostInput::Written`] is on its way.
    TakeBack,
    /// Show this on the own terminal, like [`Show`](HostOutput::Show): rows with links, each character of which is a
    /// placeholder. [`fill_links`](super::fill_links) puts in the characters, which a recording must not hold.
    ShowLinks(Vec<u8>),
}

/// News for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostNotice {
    /// The rendezvous has the session; for the first time, or again.
    Registered,
    /// The connection to the rendezvous is lost, and why; the host dials again.
    RendezvousLost(String),
    /// A handshake entered a stage.
    Stage(LinkId, Stage),
    /// A handshake ended without a link.
    Failed(LinkId, Failure),
    /// The number of joins that the rendezvous has refused by now, because too many came at once.
    TurnedAway(u64),
    /// A wrong key was tried on this link, for the n-th time in this session.
    WrongKey(LinkId, u64),
    /// A viewer waits for a person's decision, and sees the same words; where the viewer is, as the rendezvous says.
    Asks(MemberId, Role, String, Sas, Option<AddressClass>, Client),
    /// A pending viewer was let in, or refused.
    Decided(MemberId, bool),
    /// A member's role from now on.
    Role(MemberId, Role),
    /// Whether the session is paused.
    Paused(bool),
    /// All invites made before were withdrawn.
    Rotated,
    /// A member's input goes to the program; only told if [`HostConfig::tells_input`] says so.
    Typed(MemberId, Vec<u8>),
    /// A viewer is a member.
    Joined(MemberId, Role, String, Path, Client),
    /// A member's link goes another way now.
    Path(MemberId, Path),
    /// A member's link is gone, and why; the member's place is kept.
    Away(MemberId, Cause),
    /// A member that was away is back on another link.
    Back(MemberId, Path),
    /// A member has left, and why.
    Left(MemberId, Cause),
    /// A member sent what the role of the member does not permit; how often by now.
    Violation(MemberId, u32),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostExit {
    /// The command ended with this code.
    Ended(i32),
    /// A person stopped the session before the command ended.
    Stopped,
    /// The session's own time was over before the command ended.
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
    type ForRuntime = HostOutput;

    fn due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)> {
        self.timers_due(now)
    }

    fn split(output: HostOutput<Command>) -> Result<Command, HostOutput> {
        match output {
            HostOutput::Link(command) => Ok(command),
            HostOutput::Start(size) => Err(HostOutput::Start(size)),
            HostOutput::Write(bytes) => Err(HostOutput::Write(bytes)),
            HostOutput::Show(bytes) => Err(HostOutput::Show(bytes)),
            HostOutput::Resize(size) => Err(HostOutput::Resize(size)),
            HostOutput::KeysTaken => Err(HostOutput::KeysTaken),
            HostOutput::HangUp => Err(HostOutput::HangUp),
            HostOutput::Notice(notice) => Err(HostOutput::Notice(notice)),
            HostOutput::Exit(exit) => Err(HostOutput::Exit(exit)),
            HostOutput::WriteOwn(keys) => Err(HostOutput::WriteOwn(keys)),
            HostOutput::TakeBack => Err(HostOutput::TakeBack),
            HostOutput::ShowLinks(bytes) => Err(HostOutput::ShowLinks(bytes)),
        }
    }

    fn ending(output: &HostOutput) -> Option<String> {
        output.ending()
    }
}

impl<C> HostOutput<C> {
    /// How the session has ended, if this output says that. The words are those of recordings, which outlive versions.
    pub fn ending(&self) -> Option<String> {
        let HostOutput::Exit(exit) = self else { return None };
        Some(match exit {
            HostExit::Ended(code) => format!("the command ended with {code}"),
            HostExit::Stopped => "stopped".to_owned(),
            HostExit::Expired => "expired".to_owned(),
            HostExit::Failed(failure) => format!("failed while {}", failure.stage),
            HostExit::NobodyJoined => "nobody joined in time".to_owned(),
        })
    }
}
