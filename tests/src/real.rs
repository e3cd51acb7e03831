//! The real world: processes, terminals, sockets and network namespaces, for the tests of `beach` as people run it.
//!
//! Nothing here sleeps for luck: everything is asked again until it is so, or until a deadline. A test that fails
//! prints what its processes said, what its panes show and how its logs end, because each of these says so when it is
//! dropped in a panic.

mod beach;
mod binary;
mod cells;
mod detours;
mod lab;
mod machines;
mod meeting;
mod monitor;
mod netns;
mod nginx;
mod nodes;
mod pebble;
mod process;
mod scratch;
mod skips;
mod stranger;
mod tmux;
mod wait;
mod withholding;
mod xterm;

pub use beach::{Host, Links, Rendezvous, beach, beach_of, ended_in_three_lines, in_three_lines, join, share};
pub use binary::{binary, example};
pub use cells::{Cell, Color, Rows, cells_of, differences};
pub use detours::{Authority, ConnectProxy, TlsFront};
pub use lab::{Lab, Nat, PUBLIC};
pub use machines::{Machine, Machines};
pub use meeting::{Meeting, Met, coturn};
pub use monitor::{get, metrics};
pub use nginx::{has_nginx, nginx};
pub use nodes::{Cluster, Node, Redis, cluster_tools};
pub use pebble::{Pebble, free_port};
pub use process::{Process, Running, Signal, children_of};
pub use scratch::Scratch;
pub use skips::{left_out, skipped};
pub use stranger::{Aim, Attack, Siege, Way};
pub use tmux::{Pane, Tmux, alike};
pub use wait::{eventually, holds, wait};
pub use withholding::{Client, WithholdingFront, Withholds};
pub use xterm::Xterm;
