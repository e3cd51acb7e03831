//! Frames: what travels on the lanes, postcard behind a version byte, each below the lanes' common limit by construction.

use serde::{Deserialize, Serialize};

use crate::id::MemberId;
use crate::invite::Role;
use crate::terminal::{Head, Space, clean_title};
use crate::wire::{WireError, decode, encode};

/// Longest frame, in bytes. RTP carries at most 1,984 bytes of payload before the engine panics and paths of 1,280 bytes are common, so
/// with DTLS, SRTP, UDP and IPv6 headers 1,050 fits every path; both lanes keep to it.
pub const MAX_FRAME: usize = 1050;

/// Longest input event, in bytes.
pub const MAX_INPUT_EVENT: usize = 512;

/// Most content of one segment, in bytes: a segment's own fields, the frame's and a head of 300 bytes fit beside it.
pub const MAX_SEGMENT: usize = 640;

/// Most parts of a line: the longest line that the terminal model encodes fits.
pub const MAX_PARTS: u8 = 64;

const _: () = assert!(MAX_SEGMENT * MAX_PARTS as usize >= crate::terminal::MAX_LINE_BYTES, "the longest line must fit");

/// Longest text of a property or notice, in bytes.
pub const MAX_TEXT: usize = 900;

/// Host → viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHost {
    /// The first frame on the control lane.
    Welcome {
        /// Who the viewer is here.
        member: MemberId,
        /// What it may do.
        role: Role,
    },
    /// What the viewer lacks.
    Update(Update),
    /// Input up to this event number was taken by the program.
    Taken(u64),
    /// The title changed; empty for none.
    Title(String),
    /// The bell rang.
    Bell,
    /// A sentence for the person.
    Notice(String),
    /// The session is over for this viewer; wants `GoodbyeHeard`.
    Goodbye(Goodbye),
}

/// Viewer → host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromViewer {
    /// Updates that arrived: all with these sequence numbers, as inclusive ranges.
    Ack(Vec<(u64, u64)>),
    /// Typed input.
    Input {
        /// The number of the first event; they count from 1 and belong to the member.
        first: u64,
        /// The events.
        events: Vec<InputEvent>,
    },
    /// The viewer's terminal has this size now.
    Size(crate::terminal::Size),
    /// I am leaving.
    Goodbye,
    /// The host's goodbye arrived.
    GoodbyeHeard,
}

/// Part of what a viewer lacks. Stands alone; may arrive late, twice or never: the newest version wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Counts the updates of a link from 1; what is acknowledged.
    pub seq: u64,
    /// Window, cursor, modes and versions, if they changed.
    pub head: Option<Head>,
    /// Lines, or parts of long ones.
    pub segments: Vec<Segment>,
}

/// A line, or one part of a long one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The screen it is on.
    pub space: Space,
    /// Its number there.
    pub number: u64,
    /// Grows with every change.
    pub version: u64,
    /// Which part this is, from 0.
    pub part: u8,
    /// Of how many; 1 for most lines.
    pub parts: u8,
    /// An encoded [`Line`](crate::terminal::Line), or that part of it.
    pub content: Vec<u8>,
}

/// What a person typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputEvent {
    /// Bytes as the terminal sent them; at most [`MAX_INPUT_EVENT`].
    Keys(Vec<u8>),
}

impl InputEvent {
    /// How many bytes of input it holds.
    pub fn bytes(&self) -> usize {
        match self {
            InputEvent::Keys(bytes) => bytes.len(),
        }
    }
}

/// Why the session is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goodbye {
    /// The command ended; its exit code, 128 + signal if one ended it.
    Ended(i32),
    /// The host stopped sharing.
    Stopped,
    /// The viewer was removed, and why.
    Removed(String),
}

impl FromHost {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a frame.
    pub fn decode(bytes: &[u8]) -> Result<FromHost, WireError> {
        let mut frame = decode(bytes, MAX_FRAME)?;
        match &mut frame {
            FromHost::Update(update) => update.check()?,
            // A person's terminal may show these as they are.
            FromHost::Title(text) | FromHost::Notice(text) | FromHost::Goodbye(Goodbye::Removed(text)) => {
                *text = clean_title(text);
            }
            FromHost::Welcome { .. }
            | FromHost::Taken(_)
            | FromHost::Bell
            | FromHost::Goodbye(Goodbye::Ended(_) | Goodbye::Stopped) => {}
        }
        Ok(frame)
    }
}

impl Update {
    fn check(&self) -> Result<(), WireError> {
        if let Some(head) = &self.head {
            head.check().map_err(|_| WireError::OutOfBounds)?;
        }
        let sound = |segment: &Segment| {
            segment.part < segment.parts && segment.parts <= MAX_PARTS && segment.content.len() <= MAX_SEGMENT
        };
        if self.segments.iter().all(sound) { Ok(()) } else { Err(WireError::OutOfBounds) }
    }
}

impl FromViewer {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a frame.
    pub fn decode(bytes: &[u8]) -> Result<FromViewer, WireError> {
        let frame = decode(bytes, MAX_FRAME)?;
        match &frame {
            FromViewer::Input { first, events } => {
                let small = events.iter().all(|event| (1..=MAX_INPUT_EVENT).contains(&event.bytes()));
                if *first == 0 || !small || first.checked_add(events.len() as u64).is_none() {
                    return Err(WireError::OutOfBounds);
                }
            }
            FromViewer::Size(size) => {
                if crate::terminal::Size::new(size.cols, size.rows) != *size {
                    return Err(WireError::OutOfBounds);
                }
            }
            FromViewer::Ack(ranges) => {
                if ranges.iter().any(|(first, last)| first > last) {
                    return Err(WireError::OutOfBounds);
                }
            }
            FromViewer::Goodbye | FromViewer::GoodbyeHeard => {}
        }
        Ok(frame)
    }
}

fn checked(frame: Vec<u8>) -> Vec<u8> {
    debug_assert!(frame.len() <= MAX_FRAME, "a frame of {} bytes", frame.len());
    frame
}

/// What travels on the terminal lane until the link is confirmed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirm {
    /// Marks the frame: no other frame begins with it.
    magic: [u8; 4],
    pub(crate) mac: [u8; 32],
    /// The other side's MAC arrived here and holds.
    pub(crate) heard: bool,
    /// The other side said the same of ours: no answer is wanted. Without this, the side whose answer was lost would ask for ever.
    pub(crate) settled: bool,
}

const MAGIC: [u8; 4] = *b"bcfm";

impl Confirm {
    pub(crate) fn new(mac: [u8; 32], heard: bool, settled: bool) -> Confirm {
        Confirm { magic: MAGIC, mac, heard, settled }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Its first byte is not `ENCODING`, so it is never taken for another frame.
        postcard::to_stdvec(self).expect("plain data always encodes")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Confirm> {
        let confirm: Confirm = postcard::from_bytes(bytes).ok()?;
        (confirm.magic == MAGIC && bytes.len() == 38).then_some(confirm)
    }
}
