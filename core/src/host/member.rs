//! Members: who is here, who may type, and whose size counts. The rules stand here, once, and are checked on the host for every message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::support::token_bucket::TokenBucket;
use crate::sync::downlink::Downlink;
use crate::terminal::Size;
use crate::time::Timestamp;

/// Most viewers of one session: a hundred are measured (docs/BENCHMARKS.md), and some to spare.
pub const MAX_VIEWERS: usize = 128;

/// Bytes a second that a member may type into the program, and at once: a fast paste of a screenful is no flood, a script that types is.
/// What is more waits at the viewer, as its credit is used up.
const INPUT_RATE: u64 = 64 * 1024;
const INPUT_BURST: u64 = 256 * 1024;

/// Messages that a member's role does not permit before it is removed.
pub(crate) const MAX_VIOLATIONS: u32 = 3;

/// Title and bell are told at most this often: unlike frames nobody acknowledges them, and what a program sets in the 15 s until a
/// silent viewer is removed must fit the control lane's 128 KiB.
pub(crate) const PROPERTIES_INTERVAL: Duration = Duration::from_millis(200);

/// A viewer whose link is up.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    /// The link it came on: by what it proved there it may come back.
    pub(crate) origin: LinkId,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// The size of its terminal, as far as it said.
    pub(crate) size: Option<Size>,
    pub(crate) lane: Downlink,
    pub(crate) violations: u32,
    /// Until when input that its role does not permit is dropped without a word: it may not know yet.
    pub(crate) pardoned_until: Timestamp,
    /// What may go to the program of what it types.
    pub(crate) input: TokenBucket,
    /// Nothing while it is not known what arrived.
    pub(crate) title_sent: Option<String>,
    pub(crate) bells_sent: u64,
    /// When it may be told of the next title or bell.
    pub(crate) properties_at: Timestamp,
}

impl Member {
    pub(crate) fn new(id: MemberId, origin: LinkId, role: Role, name: String, bells: u64, history: u64) -> Member {
        Member {
            id,
            origin,
            role,
            name,
            size: None,
            lane: Downlink::new(history),
            violations: 0,
            pardoned_until: Timestamp::ZERO,
            input: TokenBucket::new(Timestamp::ZERO, INPUT_RATE, INPUT_BURST),
            title_sent: Some(String::new()),
            bells_sent: bells,
            properties_at: Timestamp::ZERO,
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

/// Who decides how large the terminal is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// The host's own terminal, or what was configured without one. Viewers never change it.
    #[default]
    Owner,
    /// The smallest of the host's own and those of members who may type, but at least 20 columns and 5 rows of theirs.
    Smallest,
    /// The member of this name, while they are here, but at least 20 columns and 5 rows. Members choose their names themselves.
    Named(String),
}

/// The smallest size that a viewer can give the terminal, in columns and rows: below it programs become useless.
const LEAST: Size = Size { cols: 20, rows: 5 };

/// The size that the terminal has: `own` is the host's, `members` are the others by name, with their roles and the sizes they told.
pub(crate) fn terminal_size<'a>(
    policy: &Resize,
    own: Size,
    members: impl Iterator<Item = (&'a str, Role, Option<Size>)>,
) -> Size {
    let told = members.filter_map(|(name, role, size)| {
        let size = size?;
        Some((name, role, Size::new(size.cols.max(LEAST.cols), size.rows.max(LEAST.rows))))
    });
    match policy {
        Resize::Owner => own,
        Resize::Smallest => told
            .filter(|(_, role, _)| may_type(*role))
            .fold(own, |all, (_, _, size)| Size::new(all.cols.min(size.cols), all.rows.min(size.rows))),
        Resize::Named(name) => told.filter(|(told, ..)| told == name).last().map_or(own, |(_, _, size)| size),
    }
}
