//! News on the host's own rows: which members come and go, and the session's links.
//!
//! This module does not know a link. The host's machine is recorded, and a link holds a key. So
//! rows with links have a placeholder for each character of a link, and [`fill_links`] puts the characters in, below
//! the recording.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Host;
use crate::id::MemberId;
use crate::role::Role;
use crate::terminal::{Size, viewer_name};
use crate::time::Timestamp;

/// How long one piece of news is shown.
const NEWS_FOR: Duration = Duration::from_secs(3);

/// Most pieces of news at once: a viewer who comes and goes all the time covers no more of the terminal.
const MAX_NEWS: usize = 3;

/// How long links are shown that the person did not ask for with a key: long enough to copy one.
const LINKS_FOR: Duration = Duration::from_secs(15);

/// The placeholders of the join link's characters begin here, in a plane for private use.
const JOIN: u32 = 0x10_0000;

/// The placeholders of the view link's characters begin here.
const VIEW: u32 = 0x10_8000;

/// Longest link with placeholders, in characters.
const MAX_LINK: u16 = 2048;

/// How many characters the links of a session have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLengths {
    /// The link that permits typing, if the session has one.
    pub join: Option<u16>,
    /// The link that permits watching.
    pub view: u16,
}

/// A change of a member's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Joined(Role),
    Left,
    Removed,
    Lost,
    NotBack,
    Back,
}

impl Change {
    fn words(self) -> &'static str {
        match self {
            Change::Joined(Role::Control) => "joined and may type",
            Change::Joined(Role::View) => "joined and may watch",
            Change::Left => "left",
            Change::Removed => "was removed",
            Change::Lost => "lost the connection",
            Change::NotBack => "did not come back",
            Change::Back => "is back",
        }
    }
}

/// Whether the own terminal shows which members come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    No,
    Yes,
}

/// The news that show now.
#[derive(Debug, Default)]
pub(super) struct News {
    wanted: Wanted,
    shown: VecDeque<(String, Timestamp)>,
    links: Option<LinkLengths>,
}

impl News {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.shown.front().map(|(_, until)| *until)
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.shown.retain(|(_, until)| now < *until);
    }

    /// Takes all news away: the person types, and wants to see the row of the prompt.
    pub(super) fn dismiss(&mut self) {
        self.shown.clear();
    }

    pub(super) fn text(&self) -> String {
        self.shown.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The links on rows of a terminal of that size, under this first row.
    pub(super) fn links(&self, first: &str, size: Size) -> String {
        let Some(lengths) = self.links else {
            return "beach: `beach status` in another terminal shows the links".into();
        };
        let link = |from: u32, length: u16| {
            let placeholders = (0..u32::from(length.min(MAX_LINK))).filter_map(|at| char::from_u32(from + at));
            format!("  beach join '{}'", placeholders.collect::<String>())
        };
        let join = lengths.join.iter().flat_map(|length| ["  Join (may type):".to_owned(), link(JOIN, *length)]);
        let view = ["  View (read-only):".to_owned(), link(VIEW, lengths.view)];
        let rows: Vec<_> = [first.to_owned()].into_iter().chain(join).chain(view).collect();
        let needed: usize = rows.iter().map(|row| row.chars().count().div_ceil(usize::from(size.cols).max(1))).sum();
        if needed > usize::from(size.rows / 2) {
            return "beach: no room here for the links; `beach status` in another terminal shows them".into();
        }
        rows.join("\n")
    }
}

/// Whether a text for the own rows has placeholders of links.
pub(super) fn has_links(text: &str) -> bool {
    text.chars().any(|c| u32::from(c) >= JOIN)
}

/// The bytes of [`HostOutput::ShowLinks`](super::HostOutput::ShowLinks) with the characters of these links. A
/// placeholder beyond a link's end becomes a blank.
pub fn fill_links(bytes: &[u8], join: &str, view: &str) -> Vec<u8> {
    let (join, view): (Vec<char>, Vec<char>) = (join.chars().collect(), view.chars().collect());
    let text = String::from_utf8_lossy(bytes);
    let filled = text.chars().map(|c| {
        let code = u32::from(c);
        let of = |link: &[char], from: u32| {
            usize::try_from(code - from).ok().and_then(|at| link.get(at)).copied().unwrap_or(' ')
        };
        match code {
            0..JOIN => c,
            JOIN..VIEW => of(&join, JOIN),
            _ => of(&view, VIEW),
        }
    });
    filled.collect::<String>().into_bytes()
}

impl Host {
    /// From now on the own terminal shows which members come and go.
    pub(super) fn show_members(&mut self) {
        self.console.news.wanted = Wanted::Yes;
    }

    /// Sets the number of characters of the links.
    pub(super) fn on_links(&mut self, lengths: LinkLengths) {
        self.console.news.links = Some(lengths);
        self.redraw_links();
    }

    /// Shows the links for a while; no key is taken from the program.
    pub(super) fn show_links(&mut self, now: Timestamp) {
        let again = self.escape_name().map(|key| format!("; {key} l shows them again")).unwrap_or_default();
        let text = self.console.news.links(&format!("beach: the links of this session{again}"), self.own_size());
        self.console.message = Some((text, now + LINKS_FOR));
    }

    pub(super) fn member_news(&mut self, now: Timestamp, member: MemberId, name: &str, change: Change) {
        if self.console.news.wanted == Wanted::No || !self.has_console() {
            return;
        }
        let shown = &mut self.console.news.shown;
        if shown.len() == MAX_NEWS {
            shown.pop_front();
        }
        shown.push_back((format!("beach: {} {}", viewer_name(name, member.0), change.words()), now + NEWS_FOR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_the_links_and_everything_else_stays() {
        let mut news = News { links: Some(LinkLengths { join: Some(4), view: 3 }), ..News::default() };
        let rows = news.links("beach: links", Size::new(80, 24));
        assert!(has_links(&rows) && !has_links("beach: é 漢"));
        let filled = String::from_utf8(fill_links(rows.as_bytes(), "JOIN", "vw")).expect("text");
        assert_eq!(
            filled,
            "beach: links\n  Join (may type):\n  beach join 'JOIN'\n  View (read-only):\n  beach join 'vw '"
        );
        assert!(news.links("beach: links", Size::new(80, 8)).contains("no room"));
        news.links = None;
        assert!(!has_links(&news.links("beach: links", Size::new(80, 24))));
    }
}
