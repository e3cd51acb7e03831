//! Frames: what travels on the lanes, postcard behind a version byte, each below the lanes' common limit by
//! construction.

use serde::{Deserialize, Serialize};

use crate::id::MemberId;
use crate::role::Role;
use crate::terminal::{Head, LineCommits, Space, clean_title, is_printable};
use crate::wire::{WireError, decode, encode};

/// Longest frame, in bytes. RTP carries at most 1,984 bytes of payload before the engine panics and paths of 1,280
/// bytes are common, so with DTLS, SRTP, UDP and IPv6 headers 1,050 fits every path; both lanes keep to it.
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

/// Most ranges in an acknowledgement: by then the sender has judged older datagrams.
pub const MAX_ACK_RANGES: usize = 16;

/// Longest acknowledgement, in bytes; what has no room is the oldest.
pub const MAX_ACKS: usize = 100;

/// The largest number of a datagram, an event, a line or a version. A million a second get there in 292,000 years, and
/// sums with a number up to here do not overflow.
pub(crate) const MAX_NUMBER: u64 = u64::MAX >> 1;

/// Longest text of one part of a clipboard, in bytes.
pub const MAX_CLIPBOARD_PART: usize = 900;

/// Longest name in a list of members, in characters: one more than people are shown of a name, so that they see where
/// it was cut.
pub const MAX_LISTED_NAME: usize = 25;

/// Longest list of members in a frame, in bytes, but for what stands before and after it.
const MAX_MEMBERS_BYTES: usize = MAX_FRAME - 16;

/// Host → viewer, on the control lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHost {
    /// The first frame on the control lane.
    Welcome {
        /// The number of the viewer in this session.
        member: MemberId,
        /// The member's role.
        role: Role,
    },
    /// The title changed; empty for none.
    Title(String),
    /// The bell rang.
    Bell,
    /// A sentence for the person.
    Notice(String),
    /// The session is over for this viewer; wants `GoodbyeHeard`.
    Goodbye(Goodbye),
    /// The program put this into the clipboard. Only for viewers that asked for it.
    Clipboard {
        /// A part of the text.
        text: String,
        /// Whether this part is the last one.
        last: bool,
    },
    /// The viewer's role from now on.
    Role(Role),
    /// Whether the session is paused: the host shows viewers nothing, and takes none of their input.
    Paused(bool),
    /// The people in the session. Only for viewers that asked for it.
    Members(Members),
}

/// The people in a session, as far as a frame has room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Viewers, in the order of their numbers.
    pub listed: Vec<Listed>,
    /// How many other viewers are here.
    pub more: u16,
    /// Whether the person at the host's own terminal types.
    pub host_types: bool,
}

/// A viewer in a list of those that are here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The number of the viewer.
    pub member: MemberId,
    /// The viewer's permission.
    pub role: Role,
    /// The name that the viewer chose; printable, at most [`MAX_LISTED_NAME`] characters.
    pub name: String,
    /// Whether the viewer types.
    pub types: bool,
}

impl Members {
    /// The list of these viewers. Where a frame has no room for all, those that type come first.
    pub fn of(mut all: Vec<Listed>, host_types: bool) -> Members {
        all.sort_by_key(|listed| (!listed.types, listed.member));
        let mut left = MAX_MEMBERS_BYTES;
        let fits = |listed: &Listed| {
            let needed = postcard::to_stdvec(listed).map_or(usize::MAX, |bytes| bytes.len());
            left.checked_sub(needed).inspect(|rest| left = *rest).is_some()
        };
        let count = all.len();
        all.iter_mut().for_each(|listed| listed.name = clean_name(&listed.name));
        let mut listed: Vec<_> = all.into_iter().take_while(fits).collect();
        listed.sort_by_key(|listed| listed.member);
        let more = u16::try_from(count - listed.len()).unwrap_or(u16::MAX);
        Members { listed, more, host_types }
    }
}

/// Viewer → host, on the control lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromViewer {
    /// The viewer's terminal has this size now.
    Size(crate::terminal::Size),
    /// I am leaving.
    Goodbye,
    /// The host's goodbye arrived.
    GoodbyeHeard,
}

/// Host → viewer, on the terminal lane: part of what a viewer lacks. Stands alone; may arrive late, twice or never: the
/// newest version wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Counts this direction's datagrams of a link from 1.
    pub seq: u64,
    /// Whether the datagram must be acknowledged: it carries more than acknowledgements.
    pub wants_ack: bool,
    /// The viewer's datagrams that arrived.
    pub acks: Acks,
    /// Input events up to this number arrived, all of them.
    pub arrived: u64,
    /// The program's terminal took all events up to this number.
    pub taken: u64,
    /// Window, cursor, modes and versions, and what becomes of the lines above, if any of it changed.
    pub screen: Option<(Head, LineCommits)>,
    /// Lines, or parts of long ones.
    pub segments: Vec<Segment>,
}

/// Viewer → host, on the terminal lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// Counts this direction's datagrams of a link from 1.
    pub seq: u64,
    /// Whether the datagram must be acknowledged: it carries more than acknowledgements.
    pub wants_ack: bool,
    /// The host's datagrams that arrived.
    pub acks: Acks,
    /// The number of the first event; they count from 1 and belong to the member.
    pub first: u64,
    /// The typed bytes.
    pub events: Vec<InputEvent>,
}

/// Datagrams that arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acks {
    /// How long ago the newest one did, in microseconds: no part of the round trip.
    pub held_micros: u32,
    /// Their sequence numbers as inclusive ranges, newest first, at most [`MAX_ACK_RANGES`].
    pub ranges: Vec<(u64, u64)>,
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
    /// Whether the line left the window, so that this version is its last.
    pub is_final: bool,
    /// Which part this is, from 0.
    pub part: u8,
    /// Of how many; 1 for most lines.
    pub parts: u8,
    /// An encoded [`Line`](crate::terminal::Line), or that part of it.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
}

/// Input of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputEvent {
    /// Bytes as the terminal sent them; at most [`MAX_INPUT_EVENT`].
    Keys(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A part of a paste, at most [`MAX_INPUT_EVENT`] bytes; without the brackets, which are the host's to put around
    /// it.
    Paste {
        /// The bytes of the part.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// The paste begins with it.
        first: bool,
        /// The paste ends with it.
        last: bool,
    },
}

impl InputEvent {
    /// How many bytes of input it holds.
    pub fn bytes(&self) -> usize {
        match self {
            InputEvent::Keys(bytes) | InputEvent::Paste { bytes, .. } => bytes.len(),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            InputEvent::Keys(bytes) => (1..=MAX_INPUT_EVENT).contains(&bytes.len()),
            // An end may have nothing left to say.
            InputEvent::Paste { bytes, .. } => bytes.len() <= MAX_INPUT_EVENT,
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
    /// The session's time was over.
    Expired,
}

impl FromHost {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// The bytes are too many, of an unknown encoding, not understood, or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<FromHost, WireError> {
        let mut frame = decode(bytes, MAX_FRAME)?;
        match &mut frame {
            // A person's terminal may show these as they are.
            FromHost::Title(text) | FromHost::Notice(text) | FromHost::Goodbye(Goodbye::Removed(text)) => {
                *text = clean_title(text);
            }
            FromHost::Clipboard { text, .. } => text.retain(|c| matches!(c, '\n' | '\t') || !c.is_control()),
            FromHost::Members(members) => {
                members.listed.iter_mut().for_each(|listed| listed.name = clean_name(&listed.name));
            }
            FromHost::Welcome { .. }
            | FromHost::Bell
            | FromHost::Goodbye(Goodbye::Ended(_) | Goodbye::Stopped | Goodbye::Expired)
            | FromHost::Role(_)
            | FromHost::Paused(_) => {}
        }
        Ok(frame)
    }
}

impl FromViewer {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// The bytes are too many, of an unknown encoding, not understood, or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<FromViewer, WireError> {
        let frame = decode(bytes, MAX_FRAME)?;
        match &frame {
            FromViewer::Size(size) if !size.is_valid() => Err(WireError::OutOfBounds),
            FromViewer::Size(_) | FromViewer::Goodbye | FromViewer::GoodbyeHeard => Ok(frame),
        }
    }
}

impl Down {
    /// The datagram's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// The bytes are too many, of an unknown encoding, not understood, or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<Down, WireError> {
        let down: Down = decode(bytes, MAX_FRAME)?;
        let numbered = [down.seq, down.arrived, down.taken].into_iter().all(is_number);
        let screen_is_sound = down.screen.as_ref().is_none_or(|(head, commits)| {
            let numbers = [head.version, head.top, head.floor, commits.start, commits.from];
            numbers.into_iter().all(is_number) && head.check().is_ok() && commits.is_sound()
        });
        let sound = |segment: &Segment| {
            let numbered = is_number(segment.number) && is_number(segment.version);
            let part_of_some = segment.part < segment.parts && segment.parts <= MAX_PARTS;
            numbered && part_of_some && segment.content.len() <= MAX_SEGMENT
        };
        if numbered && down.acks.are_sound() && screen_is_sound && down.segments.iter().all(sound) {
            Ok(down)
        } else {
            Err(WireError::OutOfBounds)
        }
    }
}

impl Up {
    /// The datagram's bytes.
    pub fn encode(&self) -> Vec<u8> {
        checked(encode(self))
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// The bytes are too many, of an unknown encoding, not understood, or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<Up, WireError> {
        let up: Up = decode(bytes, MAX_FRAME)?;
        let numbered = is_number(up.seq) && (up.events.is_empty() || (up.first > 0 && is_number(up.first)));
        if up.acks.are_sound() && numbered && up.events.iter().all(InputEvent::is_sound) {
            Ok(up)
        } else {
            Err(WireError::OutOfBounds)
        }
    }
}

impl Acks {
    fn are_sound(&self) -> bool {
        let descending = self.ranges.windows(2).all(|pair| pair[1].1 < pair[0].0);
        let sound = |(first, last): &(u64, u64)| first <= last && is_number(*last);
        self.ranges.len() <= MAX_ACK_RANGES && descending && self.ranges.iter().all(sound)
    }
}

/// The printable characters of a name, as many as a list has of one.
fn clean_name(name: &str) -> String {
    name.chars().filter(|c| is_printable(*c)).take(MAX_LISTED_NAME).collect()
}

fn is_number(number: u64) -> bool {
    number <= MAX_NUMBER
}

fn checked(frame: Vec<u8>) -> Vec<u8> {
    debug_assert!(frame.len() <= MAX_FRAME, "a frame of {} bytes", frame.len());
    frame
}

/// Messages on the terminal lane until the link is confirmed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirm {
    /// Marks the frame: no other frame begins with it.
    magic: [u8; 4],
    pub(crate) mac: [u8; 32],
    /// The other side's MAC arrived here and holds.
    pub(crate) heard: bool,
    /// The other side said that our MAC arrived and holds: no answer is wanted. Without this, the side whose answer was
    /// lost would ask for ever.
    pub(crate) settled: bool,
}

const MAGIC: [u8; 4] = *b"bcfm";

impl Confirm {
    pub(crate) fn new(mac: [u8; 32], heard: bool, settled: bool) -> Confirm {
        Confirm { magic: MAGIC, mac, heard, settled }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // The first byte of a confirmation is not `ENCODING`, so no confirmation is taken for another frame.
        postcard::to_stdvec(self).expect("plain data always encodes")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Confirm> {
        let confirm: Confirm = postcard::from_bytes(bytes).ok()?;
        (confirm.magic == MAGIC && bytes.len() == 38).then_some(confirm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Size;

    fn screen() -> (Head, LineCommits) {
        let head = Head { size: Size::new(80, 24), versions: vec![(24, 1)], version: 1, ..Head::default() };
        (head, LineCommits::default())
    }

    fn segment() -> Segment {
        let space = Space::Main;
        Segment { space, number: 1, version: 1, is_final: false, part: 0, parts: 1, content: Vec::new() }
    }

    #[test]
    fn a_list_of_all_members_fits_a_frame_and_those_who_type_are_always_in_it() {
        let member = |number: u32| Listed {
            member: MemberId(u32::MAX - number),
            role: Role::Control,
            name: "\u{1f980}\u{202e}\u{7}".repeat(64),
            types: (7..12).contains(&number),
        };
        let frame = FromHost::Members(Members::of((0..128).map(member).collect(), true));
        let bytes = frame.encode();
        assert!(bytes.len() <= MAX_FRAME, "{} bytes", bytes.len());
        assert_eq!(FromHost::decode(&bytes), Ok(frame.clone()));
        let FromHost::Members(members) = frame else { panic!("{frame:?}") };
        assert_eq!(members.listed.iter().filter(|listed| listed.types).count(), 5);
        assert!(members.listed.is_sorted_by_key(|listed| listed.member));
        assert_eq!(members.listed.len() + usize::from(members.more), 128);
        assert!(members.listed.iter().all(|listed| listed.name == "\u{1f980}".repeat(MAX_LISTED_NAME)));
        let ordinary = |number: u32| Listed { member: MemberId(number), name: "somebody".to_owned(), ..member(0) };
        assert_eq!(Members::of((1..=70).map(ordinary).collect(), false).more, 0);
    }

    #[test]
    fn names_of_a_hostile_host_are_cleaned_and_cut() {
        let name = "\u{1b}]0;evil\u{7}\u{202e}".repeat(20);
        let listed = Listed { member: MemberId(1), role: Role::View, name, types: false };
        let frame = FromHost::Members(Members { listed: vec![listed], more: 0, host_types: false });
        let Ok(FromHost::Members(read)) = FromHost::decode(&frame.encode()) else { panic!("the frame is whole") };
        assert_eq!(read.listed[0].name, "]0;evil]0;evil]0;evil]0;e");
    }

    #[test]
    fn no_number_of_the_other_side_is_so_large_that_counting_on_from_it_overflows() {
        let whole = Down { screen: Some(screen()), segments: vec![segment()], ..Down::default() };
        assert_eq!(Down::decode(&whole.encode()), Ok(whole.clone()));
        for number in [u64::MAX, u64::MAX - 1, u64::MAX - 100, 1 << 63] {
            let acks = Acks { held_micros: 0, ranges: vec![(1, number)] };
            let events = vec![InputEvent::Keys(b"x".to_vec())];
            let ups = [
                Up { seq: number, ..Up::default() },
                Up { acks: acks.clone(), ..Up::default() },
                Up { first: number, events, ..Up::default() },
            ];
            for (which, up) in ups.iter().enumerate() {
                assert_eq!(Up::decode(&up.encode()), Err(WireError::OutOfBounds), "{which} with {number}");
            }
            let with_screen = |change: &dyn Fn(&mut Head, &mut LineCommits)| {
                let (mut head, mut commits) = screen();
                change(&mut head, &mut commits);
                Down { screen: Some((head, commits)), ..Down::default() }
            };
            let with_segment = |change: &dyn Fn(&mut Segment)| {
                let mut segment = segment();
                change(&mut segment);
                Down { segments: vec![segment], ..Down::default() }
            };
            let downs = [
                Down { seq: number, ..Down::default() },
                Down { acks, ..Down::default() },
                Down { arrived: number, ..Down::default() },
                Down { taken: number, ..Down::default() },
                with_screen(&|head, _| head.version = number),
                with_screen(&|head, _| head.top = number),
                with_screen(&|head, _| head.floor = number),
                with_screen(&|_, commits| commits.start = number),
                with_screen(&|_, commits| commits.from = number),
                with_segment(&|segment| segment.number = number),
                with_segment(&|segment| segment.version = number),
            ];
            for (which, down) in downs.iter().enumerate() {
                assert_eq!(Down::decode(&down.encode()), Err(WireError::OutOfBounds), "{which} with {number}");
            }
        }
    }
}
