//! The simulated world: hosts, viewers, a rendezvous, and what lies between them, on a virtual clock.
//!
//! A run is a function of its seed. Three tiers share one [`World`]:
//!
//! * A1, machines over links that the world makes up ([`World::bare`]): everything below the link seam is played by
//!   `seam`;
//! * A2, `Endpoint` over a [`FakeEngine`]: real sealing and confirmation, simulated datagrams;
//! * B, `Endpoint` over real ICE, DTLS and SCTP: see [`real`].

mod altered;
mod check;
mod fake;
mod impostor;
mod liar;
mod nat;
mod network;
mod node;
pub mod nodes;
mod page;
pub mod pair;
mod program;
pub mod real;
pub mod scenario;
pub mod script;
mod seam;
mod seat;
mod seeds;
mod speaking;
pub mod swarm;
pub mod turn;
mod world;

pub use altered::{Altered, AlteredPeer, Change};
pub use check::{painted_text, reference_rows, same_screens, shows};
pub use fake::{FakeEngine, FakePeer, fake_engine, swap_fingerprint};
pub use impostor::{Impostor, Opened};
pub use liar::{LIES, Liar, Lie, Plot};
pub use nat::{Behaviour, Nat};
pub use network::{Bursts, Dice, Pipe, Wire};
pub use node::Node;
pub use page::Page;
pub use program::Script;
pub use seat::{Seat, SeatPeer, seats};
pub use seeds::{child, for_each_seed, is_child, replay_with};
pub use speaking::{Mouth, Speaking, SpeakingPeer};
pub use world::{
    HostNode, HostPlan, Meddler, Packet, Seen, Signal, Tamper, ViewerNode, ViewerPlan, Who, World, host_secrets, ms,
    secs,
};
