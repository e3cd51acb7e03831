//! Members: what the host knows of each, which of them may type, and whose size counts. The host checks these rules for
//! every message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connection::Request;
use super::reconnect::Away;
use crate::id::{LinkId, MemberId};
use crate::role::Role;
use crate::session::handshake::Cause;
use crate::session::link::{Client, Hello, KNOWS_BLINK, KNOWS_REPEATS, Path, WANTS_CLIPBOARD, WANTS_MEMBERS};
use crate::support::token_bucket::TokenBucket;
use crate::sync::downlink::Downlink;
use crate::sync::history::Repeats;
use crate::sync::outbound::FRAME_INTERVAL;
use crate::terminal::{Size, Styles};
use crate::time::Timestamp;
use crate::wire::frame::Goodbye;

/// Most viewers of one session: a hundred are measured (docs/BENCHMARKS.md), and there are some to spare.
pub const MAX_VIEWERS: usize = 128;

/// Bytes a second that a member may type into the program, and bytes at once: a fast paste of a screenful passes, a
/// script that types without end is slowed down. Further input waits at the viewer, whose credit is used up.
const INPUT_RATE: u64 = 64 * 1024;
const INPUT_BURST: u64 = 256 * 1024;

/// A member is removed after this many messages that the member's role does not permit.
pub(super) const MAX_VIOLATIONS: u32 = 3;

/// A member is told of titles and bells at most this often. Such messages are not acknowledged as frames are, and the
/// messages of the 15 s until a silent viewer is removed must fit the control lane's 128 KiB.
pub(super) const PROPERTIES_INTERVAL: Duration = Duration::from_millis(200);

/// Under steady output a page is shown at most one frame in this time: more than 50 a second. A frame costs the main
/// thread of a page, which makes and lays out a document, many times what it costs a terminal.
const PAGE_FRAME_INTERVAL: Duration = Duration::from_millis(19);

/// A viewer that both sides have confirmed.
pub(super) struct Member {
    pub(super) id: MemberId,
    /// The link on which the member was first. The keys proved there let the member come back.
    pub(super) origin: LinkId,
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) client: Client,
    /// The size of the member's terminal, if the member told it.
    pub(super) size: Option<Size>,
    pub(super) lane: Downlink,
    pub(super) violations: u32,
    /// Until when input that the role does not permit is no violation: the member may not know of the role yet.
    pub(super) pardoned_until: Timestamp,
    /// How much of the member's input may go to the program.
    pub(super) input: TokenBucket,
    pub(super) told: Told,
    pub(super) wants_clipboard: bool,
    /// The member wants to be told who else is here.
    pub(super) wants_members: bool,
    /// Since when the member is on its link.
    pub(super) since: Timestamp,
    /// Which way the link goes.
    pub(super) path: Path,
    pub(super) presence: Presence,
}

/// The properties last sent to a member.
pub(super) struct Told {
    /// The title; nothing while it is unknown which one arrived.
    pub(super) title: Option<String>,
    pub(super) bells: u64,
    /// When the member may be told of the next title or bell.
    pub(super) next_at: Timestamp,
}

/// Whether a member is on a link.
pub(super) enum Presence {
    Here(Control),
    /// Goodbye is on its way, or waits for the control lane.
    Parting(Control, Parting),
    /// The link is gone, and the member's place is kept.
    Away(Away),
}

/// The control lane of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Opening,
    Open,
}

/// A goodbye.
pub(super) struct Parting {
    /// Until when its acknowledgement is waited for.
    pub(super) by: Timestamp,
    pub(super) cause: Cause,
    pub(super) goodbye: Goodbye,
}

impl Presence {
    /// The control lane, if there is a link.
    pub(super) fn control(&self) -> Option<Control> {
        match self {
            Presence::Here(control) | Presence::Parting(control, _) => Some(*control),
            Presence::Away(_) => None,
        }
    }
}

impl Member {
    /// A member that is on the link `origin` since `since`, and has been told of so many bells.
    pub(super) fn new(
        id: MemberId,
        origin: LinkId,
        request: Request,
        since: Timestamp,
        path: Path,
        bells: u64,
    ) -> Member {
        let Request { role, hello } = request;
        Member {
            id,
            origin,
            role,
            client: hello.client(),
            wants_clipboard: hello.has(WANTS_CLIPBOARD),
            wants_members: hello.has(WANTS_MEMBERS),
            lane: Downlink::new(u64::from(hello.history), styles(&hello), repeats(&hello), frame_interval(&hello)),
            name: hello.name,
            size: hello.size,
            violations: 0,
            pardoned_until: Timestamp::ZERO,
            input: TokenBucket::new(Timestamp::ZERO, INPUT_RATE, INPUT_BURST),
            told: Told { title: Some(String::new()), bells, next_at: Timestamp::ZERO },
            since,
            path,
            presence: Presence::Here(Control::Opening),
        }
    }

    /// The member is on another link since `since`, and said this there.
    pub(super) fn come_back(&mut self, hello: Hello, since: Timestamp, path: Path) {
        self.client = hello.client();
        self.wants_clipboard = hello.has(WANTS_CLIPBOARD);
        self.wants_members = hello.has(WANTS_MEMBERS);
        self.size = hello.size.or(self.size);
        self.name = hello.name;
        self.told.title = None;
        self.lane.moved();
        self.since = since;
        self.path = path;
        self.presence = Presence::Here(Control::Opening);
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.presence, Presence::Away(_))
    }

    pub(super) fn is_parting(&self) -> bool {
        matches!(self.presence, Presence::Parting(..))
    }
}

fn styles(hello: &Hello) -> Styles {
    if hello.has(KNOWS_BLINK) { Styles::All } else { Styles::WithoutBlink }
}

fn repeats(hello: &Hello) -> Repeats {
    if hello.has(KNOWS_REPEATS) { Repeats::Known } else { Repeats::Unknown }
}

fn frame_interval(hello: &Hello) -> Duration {
    match hello.client() {
        Client::Beach => FRAME_INTERVAL,
        Client::Browser => PAGE_FRAME_INTERVAL,
    }
}

/// Whether members of this role may type.
pub(super) fn may_type(role: Role) -> bool {
    match role {
        Role::Control => true,
        Role::View => is_faulty!(ViewersType),
    }
}

/// The policy for the terminal's size: the host's own size, the smallest, or a member's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// The size of the host's own terminal, or the configured size without a terminal. Viewers never change it.
    #[default]
    Owner,
    /// The smallest size: of the host's own size, and of members who may type, whose sizes count as at least 20 columns
    /// and 5 rows.
    Smallest,
    /// The size of the member of this name while they are here, but at least 20 columns and 5 rows. Names are
    /// self-chosen.
    Named(String),
}

/// The smallest size that a viewer can give the terminal, in columns and rows: below it programs become useless.
const LEAST: Size = Size { cols: 20, rows: 5 };

/// The size that the terminal has: `own` is the host's, `members` are the others by name, with their roles and the
/// sizes they told.
pub(super) fn terminal_size<'a>(
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
