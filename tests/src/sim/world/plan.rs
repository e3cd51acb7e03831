//! How hosts and viewers of a world are to be.

use std::time::Duration;

use beach_core::Entropy;
use beach_core::crypto::invite::Invite;
use beach_core::crypto::keys::HostSecrets;
use beach_core::endpoint::Paths;
use beach_core::host::{Approve, Escape, HostConfig, InviteRules, MAX_VIEWERS, Resize, Start};
use beach_core::predict::Mode;
use beach_core::role::Role;
use beach_core::terminal::{Size, Window};

use super::{ms, secs};
use crate::sim::network::{Pipe, Wire};
use crate::sim::program::Script;

/// How a host is to be.
pub struct HostPlan {
    /// When it starts.
    pub at: Duration,
    /// Of its secrets: see [`host_secrets`].
    pub secrets: u64,
    /// Its configuration.
    pub config: HostConfig,
    /// The program in the terminal.
    pub script: Script,
    /// Which paths it takes.
    pub paths: Paths,
    /// Its way to the rendezvous.
    pub signal: Wire,
    /// Whether a recording is made.
    pub records: bool,
    /// Whether the recording is made without what is typed and shown.
    pub redacts: bool,
}

impl HostPlan {
    /// A headless host of a shell, of 80 × 24, at once.
    pub fn new(secrets: u64) -> HostPlan {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&secrets.to_be_bytes());
        let config = HostConfig {
            seed,
            size: Size::new(80, 24),
            history: 1000,
            resize: Resize::Owner,
            headless: true,
            rows_taken: 0,
            start: Start::AtOnce,
            linger: secs(5),
            keep: secs(600),
            approve: Approve::Nobody,
            escape: Escape::WhenAsked(0x1d),
            max_viewers: MAX_VIEWERS,
            expire: None,
            links: InviteRules::default(),
            no_browsers: false,
            tells_input: false,
        };
        HostPlan {
            at: ms(0),
            secrets,
            config,
            script: Script::Shell,
            paths: Paths::DirectOnly,
            signal: Wire::steady(ms(10)),
            records: false,
            redacts: false,
        }
    }
}

/// How a viewer is to be.
pub struct ViewerPlan {
    /// When it starts.
    pub at: Duration,
    /// The invite of the viewer.
    pub invite: Invite,
    /// The viewer's name; by default its number.
    pub name: Option<String>,
    /// The seed of its links' ids; by default its own. With the seed of another viewer it asks to join by that one's
    /// ids.
    pub seed: Option<[u8; 32]>,
    /// The size of its terminal.
    pub size: Size,
    /// Its terminal.
    pub window: Window,
    /// How long it waits for a session that does not exist yet.
    pub wait: Option<Duration>,
    /// When it shows typing before the host has said that it is so.
    pub predict: Mode,
    /// Most lines of history that it wants.
    pub history: u32,
    /// Whether the viewer wants the clipboard.
    pub clipboard: bool,
    /// Which paths it takes.
    pub paths: Paths,
    /// How long it tries to come back.
    pub reconnect: Duration,
    /// Its way to hosts.
    pub wire: Wire,
    /// Its way to the rendezvous.
    pub signal: Wire,
    /// The narrowest places of its way to the host, and of the way back.
    pub pipes: [Option<Pipe>; 2],
    /// Whether a recording is made.
    pub records: bool,
    /// Whether the recording is made without what is typed and shown.
    pub redacts: bool,
}

impl ViewerPlan {
    /// A viewer of 100 × 30 with this invite, 20 ms away, at once.
    pub fn new(invite: Invite) -> ViewerPlan {
        ViewerPlan {
            at: ms(0),
            invite,
            name: None,
            seed: None,
            size: Size::new(100, 30),
            window: Window::Own,
            wait: None,
            predict: Mode::Auto,
            history: 1000,
            clipboard: false,
            paths: Paths::DirectOnly,
            reconnect: secs(600),
            wire: Wire::steady(ms(20)),
            signal: Wire::steady(ms(10)),
            pipes: [None; 2],
            records: false,
            redacts: false,
        }
    }

    /// With the invite for `role` of the host with these secrets.
    pub fn of(secrets: u64, role: Role) -> ViewerPlan {
        ViewerPlan::new(host_secrets(secrets).invite("http://rendezvous.test", role))
    }
}

/// A host's secrets, always the same for one number.
pub fn host_secrets(number: u64) -> HostSecrets {
    let mut seed = [0x55; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    HostSecrets::new(&mut Entropy::new(seed))
}
