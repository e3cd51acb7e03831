//! Scripts of the swarm: a plan and steps, as data that can be printed, read again and shortened.

use beach_core::faults::Fault;
use beach_core::host::Approve;
use beach_core::role::Role;
use serde::{Deserialize, Serialize};

use crate::sim::nat::Behaviour;

/// The plan of a world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of all randomness in the world: keys, jitter, loss.
    pub seed: u64,
    /// The engine below the link seam.
    pub layer: Layer,
    /// Which viewers are let in only after a person has approved.
    pub approve: Approve,
    /// Most viewers at once.
    pub max_viewers: usize,
    /// Each invite lets in one viewer.
    pub once: bool,
    /// There is no person at the host's own terminal, so nobody types there.
    pub headless: bool,
    /// The size of the host's terminal.
    pub size: (u16, u16),
    /// The program echoes what it reads, as a shell does.
    pub echoes: bool,
    /// Every second viewer is the page of a browser.
    pub pages: bool,
    /// The end of the last session.
    #[serde(default)]
    pub ending: Ending,
    /// A fault that is put back on purpose, to see that a checker finds it.
    pub fault: Option<Fault>,
}

/// The engine of peer connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// Tier A2: a fake peer.
    Fake,
    /// Tier B: real ICE, DTLS and SCTP.
    Str0m,
}

/// How the last session ends, once all faults have stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The program ends, and nothing else happens.
    #[default]
    Quiet,
    /// The program ends in a pause.
    Paused,
    /// The program prints pages right before its end, and the process of one viewer stands still for a moment.
    Behind,
    /// The same, and a person stops the session while the host still waits for that viewer.
    CutShort,
    /// A person stops the session.
    Stopped,
}

/// By which invite somebody joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invited {
    /// The newest one.
    Current,
    /// One that was withdrawn, if there is any.
    Withdrawn,
}

/// The fate of the invites when somebody is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// The invites stay.
    Links,
    /// The invites are withdrawn.
    Nothing,
}

/// A router in front of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// The addresses and ports that a mapping depends on.
    pub mapping: Behaviour,
    /// The addresses and ports that the filter depends on.
    pub filtering: Behaviour,
    /// Seconds until an unused mapping is forgotten.
    pub expiry: u64,
}

/// A step. The first number of a step about a person picks one of those that the step can be about, modulo how many
/// there are; without any the step does nothing. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Time passes.
    Wait(u64),
    /// A viewer starts, at a distance, perhaps behind a router, and perhaps with direct paths only.
    Join {
        /// By the invite for this role.
        role: Role,
        /// Whether the invite is good.
        by: Invited,
        /// Latency.
        away: u64,
        /// The router.
        router: Option<Router>,
        /// Whether only direct paths are taken.
        direct: bool,
    },
    /// The person at a viewer leaves.
    Leave(usize),
    /// The process of a viewer is lost.
    ViewerDies(usize),
    /// The host lets in somebody who waits.
    Approve(usize),
    /// The host refuses somebody who waits.
    Deny(usize, Keep),
    /// The host removes a member, or somebody who waits.
    Kick(usize, Keep),
    /// The host withdraws all invites.
    Rotate,
    /// The host lets a member type.
    Grant(usize),
    /// The host lets a member type no more.
    Revoke(usize),
    /// The host pauses the session.
    Pause,
    /// The host goes on.
    Resume,
    /// The host tells everybody something.
    Say,
    /// The person at the host types so many words.
    HostTypes(u64),
    /// The person at the host pastes; the paste may have no end.
    HostPastes {
        /// Whether it ends.
        ends: bool,
    },
    /// The host's own terminal has another size.
    HostResizes(u16, u16),
    /// Somebody types so many words.
    Types(usize, u64),
    /// Somebody pastes so many pieces; the paste may have no end, or go on one that has none.
    Pastes {
        /// The number that picks the person.
        pick: usize,
        /// How many pieces.
        pieces: u64,
        /// Whether the paste was begun before.
        goes_on: bool,
        /// Whether it ends.
        ends: bool,
    },
    /// A viewer's own terminal has another size.
    ViewerResizes(usize, u16, u16),
    /// A viewer's own terminal takes no bytes.
    TerminalStalls(usize),
    /// All terminals take bytes again.
    TerminalsGoOn,
    /// The program prints so many numbered lines.
    Lines(u64),
    /// The program prints colours, movements and erasures, drawn from this seed.
    Noise(u64),
    /// The program prints whole pages, one every so many milliseconds, so many of them.
    Flood(u64, u64),
    /// The program asks its terminal so many questions.
    Asks(u64),
    /// The program switches modes: by number, see `take`.
    Modes(u64),
    /// The program reads nothing any more.
    Deaf,
    /// The program reads again.
    Reads,
    /// The host's process stops, as in a suspended machine.
    FreezeHost,
    /// A viewer's process stops.
    FreezeViewer(usize),
    /// All stopped processes go on.
    Thaw,
    /// The host's process is lost, and another session begins.
    HostDies,
    /// The program ends with this code, and another session begins.
    ProgramEnds(i32),
    /// A person stops the session, and another session begins.
    Stop,
    /// The rendezvous' process is lost.
    RendezvousDies,
    /// Another process of the rendezvous starts, if there is none.
    RendezvousStarts,
    /// The rendezvous answers nothing, or answers again.
    RendezvousMute(bool),
    /// So many percent of the datagrams of a viewer's way are lost.
    Loss(usize, u64),
    /// So many in a thousand datagrams of a viewer's way begin a row of losses, up to so many.
    Bursts(usize, u64, u64),
    /// A viewer's way carries so many bits a second, with a queue of so many bytes.
    Narrow(usize, u64, u64),
    /// So many in a thousand datagrams arrive damaged.
    Damage(u64),
    /// No datagram reaches a viewer or leaves it.
    Cut(usize),
    /// No datagram leaves a viewer.
    Mute(usize),
    /// No datagram leaves the host.
    MuteHost,
    /// No datagram reaches a viewer.
    Block(usize),
    /// No datagram reaches the host.
    BlockHost,
    /// All ways are as they were.
    Heal,
    /// A viewer has another address.
    Moves(usize),
    /// The host has another address.
    HostMoves,
    /// The router of a viewer gives it another port.
    Rebinds(usize),
    /// The connection of a viewer to the rendezvous breaks.
    SignalBreaks(usize),
    /// The connection of the host to the rendezvous breaks.
    HostSignalBreaks,
    /// The host cannot reach the rendezvous anew.
    HostShutOut,
    /// Somebody else, at one address, asks the rendezvous to join so often, and never says hello.
    Stranger(u64),
}

#[cfg(test)]
impl Step {
    /// The name of the kind, as scripts spell it: `Pause` of `"Pause"`, `Wait` of `{"Wait":5}`.
    pub(crate) fn kind(&self) -> String {
        let text = serde_json::to_string(self).expect("plain data always encodes");
        text.split('"').nth(1).unwrap_or_default().to_owned()
    }

    /// The names of all kinds. The decoder lists them when it is given a name that it does not know.
    pub(crate) fn kinds() -> std::collections::BTreeSet<String> {
        let refusal = serde_json::from_str::<Step>("\"?\"").expect_err("no step has this name").to_string();
        refusal.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }
}

/// A plan and its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The plan.
    pub plan: Plan,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Script {
    /// The script as text: the plan on a line, then a line for each step.
    pub fn to_text(&self) -> String {
        let steps = self.steps.iter().map(|step| serde_json::to_string(step).expect("plain data always encodes"));
        let plan = serde_json::to_string(&self.plan).expect("plain data always encodes");
        std::iter::once(plan).chain(steps).map(|line| line + "\n").collect()
    }

    /// The script that a text stands for.
    ///
    /// # Errors
    /// The line that is no plan or no step, and why.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let bad = |line: &str, error: serde_json::Error| format!("{line}: {error}");
        let first = lines.next().unwrap_or_default();
        let plan = serde_json::from_str(first).map_err(|error| bad(first, error))?;
        let steps = lines.map(|line| serde_json::from_str(line).map_err(|error| bad(line, error)));
        Ok(Script { plan, steps: steps.collect::<Result<_, _>>()? })
    }
}
