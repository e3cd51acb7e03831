//! A machine in the world: bare, or with an `Endpoint` and its engine below it.

use beach_core::endpoint::note::Note;
use beach_core::endpoint::{Endpoint, Generation, Input, Output};
use beach_core::ice::turn::StreamId;
use beach_core::machine::{Machine, Tick};
use beach_core::peer::browser::PeerCommand;
use beach_core::peer::engine::{Engine, PeerNumber};
use beach_core::session::link::{Command, LinkUser};
use beach_core::time::Timestamp;
use serde::Serialize;
use std::net::SocketAddr;

/// A machine, and what it stands on.
pub enum Node<M: LinkUser, E: Engine> {
    /// Tier A1: the world plays the layers below.
    Bare(M),
    /// Tiers A2 and B.
    Whole(Box<Endpoint<M, E>>),
}

/// Outputs of a node.
pub(crate) enum Effect<O> {
    Machine(O),
    Below(Below),
}

pub(crate) enum Below {
    Command(Command),
    Dial,
    DialAt(String),
    DialBeside(Vec<String>),
    TakeBeside,
    HangUpBeside,
    HangUp,
    Signal(String),
    Bind(Generation),
    Datagram { source: SocketAddr, destination: SocketAddr, bytes: Vec<u8> },
    Relay(Vec<u8>),
    TurnDial(StreamId),
    TurnWrite(StreamId, Vec<u8>),
    TurnHangUp(StreamId),
    Peer(PeerNumber, PeerCommand),
    Links,
    Record(Vec<u8>),
    Note(Note),
}

impl<M, E> Node<M, E>
where
    M: LinkUser<Input: Serialize + From<Tick>, Output: Serialize>,
    E: Engine,
{
    /// The machine.
    pub fn machine(&self) -> &M {
        match self {
            Node::Bare(machine) => machine,
            Node::Whole(endpoint) => endpoint.machine(),
        }
    }

    /// The endpoint.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn endpoint(&self) -> &Endpoint<M, E> {
        match self {
            Node::Bare(_) => panic!("a bare machine has no endpoint"),
            Node::Whole(endpoint) => endpoint,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Node::Bare(machine) => machine.deadline(),
            Node::Whole(endpoint) => endpoint.deadline(),
        }
    }

    /// Hands over one input and drains its outputs.
    pub(crate) fn drive(&mut self, now: Timestamp, input: Input<M::Input>) -> Vec<Effect<M::ForRuntime>> {
        let mut effects = Vec::new();
        match self {
            Node::Bare(machine) => {
                match input {
                    Input::Machine(input) => machine.handle(now, input),
                    Input::Tick => machine.handle(now, Tick.into()),
                    Input::Network(_) => panic!("below the seam of a bare machine is nothing"),
                }
                while let Some(output) = machine.poll() {
                    effects.push(match M::split(output) {
                        Ok(command) => Effect::Below(Below::Command(command)),
                        Err(output) => Effect::Machine(output),
                    });
                }
            }
            Node::Whole(endpoint) => {
                endpoint.handle(now, input);
                while let Some(output) = endpoint.poll() {
                    effects.push(match output {
                        Output::Machine(output) => Effect::Machine(output),
                        Output::Dial => Effect::Below(Below::Dial),
                        Output::DialAt(url) => Effect::Below(Below::DialAt(url)),
                        Output::DialBeside(texts) => Effect::Below(Below::DialBeside(texts)),
                        Output::TakeBeside => Effect::Below(Below::TakeBeside),
                        Output::HangUpBeside => Effect::Below(Below::HangUpBeside),
                        Output::HangUp => Effect::Below(Below::HangUp),
                        Output::Signal(text) => Effect::Below(Below::Signal(text)),
                        Output::Bind(generation) => Effect::Below(Below::Bind(generation)),
                        Output::Datagram { source, destination, bytes } => {
                            Effect::Below(Below::Datagram { source, destination, bytes })
                        }
                        Output::Relay(bytes) => Effect::Below(Below::Relay(bytes)),
                        Output::TurnDial(stream, _) => Effect::Below(Below::TurnDial(stream)),
                        Output::TurnWrite(stream, bytes) => Effect::Below(Below::TurnWrite(stream, bytes)),
                        Output::TurnHangUp(stream) => Effect::Below(Below::TurnHangUp(stream)),
                        Output::Record(bytes) => Effect::Below(Below::Record(bytes)),
                        Output::Peer(number, command) => Effect::Below(Below::Peer(number, command)),
                        Output::Links(_) => Effect::Below(Below::Links),
                        Output::Note(note) => Effect::Below(Below::Note(note)),
                    });
                }
            }
        }
        effects
    }
}
