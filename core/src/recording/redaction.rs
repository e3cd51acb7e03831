//! Recordings that people can attach to a report: what was typed and shown is replaced by as many `x`, or blank lines.
//!
//! The handshake stays as it was: names, addresses, times, texts of the rendezvous, envelopes, sizes, roles. Lost is
//! what the host's person decided by keys of the own terminal, since keys are replaced. A replay compares outputs up to
//! the first replaced input, and goes on without a comparison.

#[cfg(feature = "host")]
use crate::host::{HostInput, ModeratorAction};
use crate::session::link::{Event, Lane};
use crate::side::Side;
use crate::terminal::Line;
use crate::viewer::ViewerInput;
use crate::wire::frame::{Down, FromHost};
#[cfg(feature = "host")]
use crate::wire::frame::{InputEvent, Up};
use crate::wire::{decode, encode};

use super::journal::MAX_RECORD;

/// Replaces the content of one recording's inputs.
pub(super) struct Redaction {
    side: Side,
    /// Whether an input differs from the machine's.
    pub(super) has_replaced: bool,
}

impl Redaction {
    pub(super) fn new(side: Side) -> Redaction {
        Redaction { side, has_replaced: false }
    }

    /// An encoded input without its content.
    pub(super) fn input(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let redacted = match self.side {
            #[cfg(feature = "host")]
            Side::Host => encode(&host(decode(&bytes, MAX_RECORD).expect("it was just encoded"))),
            #[cfg(not(feature = "host"))]
            Side::Host => bytes.clone(),
            Side::Viewer => encode(&viewer(decode(&bytes, MAX_RECORD).expect("it was just encoded"))),
        };
        self.has_replaced |= redacted != bytes;
        redacted
    }
}

fn crossed_out(bytes: &[u8]) -> Vec<u8> {
    vec![b'x'; bytes.len()]
}

fn crossed_out_text(text: &str) -> String {
    text.chars().map(|_| 'x').collect()
}

/// An input of a host, without content.
#[cfg(feature = "host")]
pub fn host(input: HostInput) -> HostInput {
    match input {
        HostInput::Printed(bytes) => HostInput::Printed(crossed_out(&bytes)),
        HostInput::Keys(bytes) => HostInput::Keys(crossed_out(&bytes)),
        HostInput::Act(ModeratorAction::Say(text)) => HostInput::Act(ModeratorAction::Say(crossed_out_text(&text))),
        HostInput::Link(Event::Message(link, Lane::Terminal, bytes)) => {
            HostInput::Link(Event::Message(link, Lane::Terminal, from_viewer(bytes)))
        }
        // A viewer's messages on the control lane hold no content.
        HostInput::Link(_)
        | HostInput::Tick
        | HostInput::Written
        | HostInput::Ended(_)
        | HostInput::Resized(_)
        | HostInput::Stop
        | HostInput::Act(_)
        | HostInput::TakenBack(_)
        | HostInput::ShowMembers
        | HostInput::Links(_)
        | HostInput::ShowLinks
        | HostInput::ScreenTitles
        | HostInput::CursorReports => input,
    }
}

/// An input of a viewer, without content.
pub fn viewer(input: ViewerInput) -> ViewerInput {
    match input {
        ViewerInput::Keys(bytes) => ViewerInput::Keys(crossed_out(&bytes)),
        ViewerInput::Paste { bytes, first, last } => ViewerInput::Paste { bytes: crossed_out(&bytes), first, last },
        ViewerInput::Remark(text) => ViewerInput::Remark(crossed_out_text(&text)),
        ViewerInput::Page(text) => ViewerInput::Page(crossed_out_text(&text)),
        ViewerInput::Link(Event::Message(link, lane, bytes)) => {
            let bytes = match lane {
                Lane::Control => control_of_host(bytes),
                Lane::Terminal => from_host(bytes),
            };
            ViewerInput::Link(Event::Message(link, lane, bytes))
        }
        ViewerInput::Tick
        | ViewerInput::Link(_)
        | ViewerInput::CursorReport { .. }
        | ViewerInput::Pan { .. }
        | ViewerInput::Resized(_)
        | ViewerInput::Shown
        | ViewerInput::Redraw
        | ViewerInput::Leave
        | ViewerInput::Prove
        | ViewerInput::Standing(_)
        | ViewerInput::Turn
        | ViewerInput::WantMembers
        | ViewerInput::Members => input,
    }
}

/// A viewer's frame without what was typed. Bytes that are no frame are crossed out.
#[cfg(feature = "host")]
fn from_viewer(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut up) = Up::decode(&bytes) else { return crossed_out(&bytes) };
    for event in &mut up.events {
        match event {
            InputEvent::Keys(bytes) | InputEvent::Paste { bytes, .. } => *bytes = crossed_out(bytes),
        }
    }
    up.encode()
}

/// A host's frame with blank lines. Bytes that are no frame are crossed out.
fn from_host(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut down) = Down::decode(&bytes) else { return crossed_out(&bytes) };
    let blank = Line::default().encode();
    for segment in &mut down.segments {
        // Each part of a long line becomes a whole blank line. Empty content stays empty.
        if segment.content.len() >= blank.len() {
            (segment.part, segment.parts, segment.content) = (0, 1, blank.clone());
        }
    }
    down.encode()
}

/// A host's message without titles, clipboards, sentences and names.
fn control_of_host(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(message) = FromHost::decode(&bytes) else { return crossed_out(&bytes) };
    let message = match message {
        FromHost::Title(text) => FromHost::Title(crossed_out_text(&text)),
        FromHost::Notice(text) => FromHost::Notice(crossed_out_text(&text)),
        FromHost::Clipboard { text, last } => FromHost::Clipboard { text: crossed_out_text(&text), last },
        FromHost::Members(mut members) => {
            members.listed.iter_mut().for_each(|listed| listed.name = crossed_out_text(&listed.name));
            FromHost::Members(members)
        }
        FromHost::Welcome { .. } | FromHost::Bell | FromHost::Goodbye(_) | FromHost::Role(_) | FromHost::Paused(_) => {
            message
        }
    };
    message.encode()
}
