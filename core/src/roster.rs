//! Members: who is here, who may type, and whose size counts. The rules stand here, once, and are checked on the host for every message.

use std::time::Duration;

use crate::id::MemberId;
use crate::invite::Role;
use crate::link::Path;
use crate::sync::inbound::Inbound;
use crate::sync::outbound::Outbound;
use crate::terminal::Size;
use crate::time::Timestamp;

/// Most viewers of one session.
pub(crate) const MAX_VIEWERS: usize = 16;

/// Messages that a member's role does not permit before it is removed.
pub(crate) const MAX_VIOLATIONS: u32 = 3;

/// Title and bell are told at most this often: unlike frames nobody acknowledges them, and what a program sets in the 15 s until a
/// silent viewer is removed must fit the control lane's 128 KiB.
pub(crate) const PROPERTIES_INTERVAL: Duration = Duration::from_millis(200);

/// A viewer whose link is up.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) path: Path,
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    pub(crate) violations: u32,
    pub(crate) title_sent: String,
    pub(crate) bells_sent: u64,
    /// When it may be told of the next title or bell.
    pub(crate) properties_at: Timestamp,
    pub(crate) taken_sent: u64,
}

impl Member {
    pub(crate) fn new(id: MemberId, role: Role, name: String, path: Path, bells: u64) -> Member {
        Member {
            id,
            role,
            name,
            path,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            violations: 0,
            title_sent: String::new(),
            bells_sent: bells,
            properties_at: Timestamp::ZERO,
            taken_sent: 0,
        }
    }
}

/// Who may type: those who proved the control key.
pub(crate) fn may_type(role: Role) -> bool {
    match role {
        Role::Control => true,
        Role::View => false,
    }
}

/// Whose size the terminal has: the host's own terminal, or what was configured without one. Viewers never change it.
pub(crate) fn terminal_size(own_terminal: Option<Size>, configured: Size) -> Size {
    own_terminal.unwrap_or(configured)
}
