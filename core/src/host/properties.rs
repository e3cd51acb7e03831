//! The program's properties besides its screen, as viewers get them on the control lane: title, bell and clipboard.

use std::time::Duration;

use super::connection::Connection;
use super::member::{Control, Member, PROPERTIES_INTERVAL};
use super::members::clip;
use super::{Host, HostOutput};
use crate::session::link::{Command, Lane};
use crate::time::Timestamp;
use crate::wire::frame::{FromHost, MAX_CLIPBOARD_PART};

/// Between two texts for the clipboard: one takes up to half of what the control lane buffers.
const CLIPBOARD_INTERVAL: Duration = Duration::from_secs(1);

/// The properties now, and as last sent.
#[derive(Default)]
pub(super) struct Properties {
    /// The program's latest clipboard text, if not sent yet.
    clipboard: Option<String>,
    /// When the next text for the clipboard may be told.
    clipboard_at: Timestamp,
    /// The title and the number of bells that everybody was told of, or is to be.
    told: (String, u64),
}

impl Properties {
    /// The text for the clipboard that is told now, if one is: the newest, once a second at most.
    fn next_clipboard(&mut self, now: Timestamp, newer: Option<String>) -> Option<String> {
        self.clipboard = newer.or(self.clipboard.take());
        if self.clipboard_at > now {
            return None;
        }
        let text = self.clipboard.take()?;
        self.clipboard_at = now + CLIPBOARD_INTERVAL;
        Some(text)
    }

    /// When a clipboard text that had to wait may be told.
    pub(super) fn clipboard_deadline(&self) -> Option<Timestamp> {
        self.clipboard.as_ref().map(|_| self.clipboard_at)
    }

    /// Whether this is news for everybody; it is told from now on.
    fn is_news(&mut self, title: &str, bells: u64) -> bool {
        let is_news = (self.told.0.as_str(), self.told.1) != (title, bells);
        if is_news {
            self.told = (title.to_owned(), bells);
        }
        is_news
    }
}

impl Host {
    /// Sends the program's text for the clipboard to viewers that want it.
    fn pump_clipboard(&mut self, now: Timestamp) {
        let Some(text) = self.screen.properties.next_clipboard(now, self.screen.emulator.take_clipboard()) else {
            return;
        };
        let parts = parts_of(&text, MAX_CLIPBOARD_PART);
        let wants = |connection: &Connection| {
            connection.takes_messages() && connection.member().is_some_and(|member| member.wants_clipboard)
        };
        for (link, _) in self.connections.iter().filter(|(_, connection)| wants(connection)) {
            for (index, part) in parts.iter().enumerate() {
                let frame = FromHost::Clipboard { text: (*part).to_owned(), last: index + 1 == parts.len() };
                self.out.push_back(HostOutput::Link(Command::Send(*link, Lane::Control, frame.encode())));
            }
        }
    }

    /// Drops a text for the clipboard that nobody got: what was copied in a pause is not for viewers.
    pub(super) fn forget_clipboard(&mut self) {
        self.screen.emulator.take_clipboard();
        self.screen.properties.clipboard = None;
    }

    /// Title and bell, which travel on the control lane.
    pub(super) fn pump_properties(&mut self, now: Timestamp) {
        self.pump_clipboard(now);
        let title = clip(self.screen.emulator.title().unwrap_or_default());
        let bells = self.screen.emulator.bells();
        let links = if self.screen.properties.is_news(title, bells) {
            self.connections.keys().copied().collect()
        } else {
            self.connections.due(now)
        };
        for link in links {
            if !self.connections.get(&link).is_some_and(Connection::takes_messages) {
                continue;
            }
            let member = self.connections.get_mut(&link).and_then(Connection::member_mut);
            let Some(member) = member.filter(|member| member.told.next_at <= now) else { continue };
            let mut send = |frame: FromHost| {
                let command = Command::Send(link, Lane::Control, frame.encode());
                self.out.push_back(HostOutput::Link(command));
            };
            if member.told.title.as_deref() != Some(title) {
                member.told.title = Some(title.to_owned());
                member.told.next_at = now + PROPERTIES_INTERVAL;
                send(FromHost::Title(title.to_owned()));
            }
            if member.told.bells != bells {
                member.told.bells = bells;
                member.told.next_at = now + PROPERTIES_INTERVAL;
                send(FromHost::Bell);
            }
        }
    }

    /// When a member is told of a title or bell that had to wait.
    pub(super) fn properties_at(&self, member: &Member) -> Option<Timestamp> {
        let (title, bells) = &self.screen.properties.told;
        let behind = member.told.title.as_deref() != Some(title) || member.told.bells != *bells;
        Some(member.told.next_at)
            .filter(|_| behind && member.presence.control() == Some(Control::Open) && !self.sharing.is_paused())
    }
}

/// `text` in pieces of at most `longest` bytes.
fn parts_of(mut text: &str, longest: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let mut end = text.len().min(longest);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (part, rest) = text.split_at(end);
        parts.push(part);
        text = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_is_told_once_a_second_and_then_its_newest_text() {
        let at = |ms| Timestamp::from(Duration::from_millis(ms));
        let text = |text: &str| Some(text.to_owned());
        let mut properties = Properties::default();
        assert_eq!(properties.next_clipboard(at(0), text("a")), text("a"));
        assert_eq!(
            (properties.next_clipboard(at(1), text("b")), properties.clipboard_deadline()),
            (None, Some(at(1000)))
        );
        assert_eq!(properties.next_clipboard(at(999), text("c")), None);
        assert_eq!(properties.next_clipboard(at(1000), None), text("c"));
        assert_eq!((properties.next_clipboard(at(3000), None), properties.clipboard_deadline()), (None, None));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(parts_of("aéé", 2), ["a", "é", "é"]);
        assert_eq!(parts_of("", 2), [""; 0]);
    }
}
