//! The console: asks the person at the host's own terminal about pending viewers, and lets them list and remove
//! members, without leaving the running program.
//!
//! The text stands in a [`Banner`] over the bottom rows; keys go to the program, except the [`Escape`] and its command.

use std::time::Duration;

use super::escape::Escape;
use super::listing::Typist;
use super::news::{News, has_links};
use super::question::{Question, Wording};
use super::{Host, HostOutput, ModeratorAction};
use crate::id::MemberId;
use crate::keyboard::decoder::{Decoder, Piece};
use crate::keyboard::escape::{EscapeReader, Step};
use crate::keyboard::key_name;
use crate::terminal::{Banner, Size};
use crate::time::Timestamp;

/// An answer within this time was not meant for the question that is shown, which may have taken the place of another
/// one.
const ANSWER_AFTER: Duration = Duration::from_millis(500);

/// How long a message is shown.
const MESSAGE_FOR: Duration = Duration::from_secs(3);

/// Most digits of a member's number.
const MAX_DIGITS: usize = 9;

#[derive(Debug)]
pub(super) struct Console {
    escape: Escape,
    decoder: Decoder,
    reader: EscapeReader,
    view: View,
    pub(super) message: Option<(String, Timestamp)>,
    pub(super) news: News,
    /// The viewer that the question is about, and since when the question can be read; nothing in a window without
    /// room.
    question: Option<(MemberId, Timestamp)>,
    banner: Banner,
    /// The terminal's size changed while something was shown.
    moved: bool,
}

/// The requested view, which stays until the next key.
#[derive(Debug, Default)]
enum View {
    #[default]
    Nothing,
    Help,
    Links,
    /// The list of members and pending viewers, as it was when it was asked for.
    Members(String),
    /// The digits typed so far of the number of the member that goes, and the list to choose from.
    Kick(String, String),
}

/// A command of the person at the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Answer(bool),
    Help,
    Links,
    Members,
    Kick,
    Pause,
}

impl Command {
    fn of(key: u8) -> Option<Command> {
        match key {
            b'y' | b'Y' => Some(Command::Answer(true)),
            b'n' | b'N' => Some(Command::Answer(false)),
            b'?' | b'/' => Some(Command::Help),
            b'l' => Some(Command::Links),
            b'm' => Some(Command::Members),
            b'k' => Some(Command::Kick),
            b'p' => Some(Command::Pause),
            _ => None,
        }
    }
}

impl Console {
    pub(super) fn new(escape: Escape) -> Console {
        Console {
            escape,
            decoder: Decoder::default(),
            reader: EscapeReader::default(),
            view: View::Nothing,
            message: None,
            news: News::default(),
            question: None,
            banner: Banner::default(),
            moved: false,
        }
    }

    /// Until when keys of others must not come into the middle of a paste at the own terminal.
    pub(super) fn paste_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.decoder.paste_until().filter(|until| now < *until)
    }

    /// When a message or a piece of news has been shown long enough.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.message.as_ref().map(|(_, until)| *until).into_iter().chain(self.news.deadline()).min()
    }

    /// When the begun sequence of a key waits no longer for its end.
    pub(super) fn half_key_deadline(&self) -> Option<Timestamp> {
        self.decoder.deadline()
    }
}

impl Host {
    pub(super) fn has_console(&self) -> bool {
        !self.config.headless && self.lifecycle.is_running()
    }

    /// Reads the keys typed at the own terminal; keys for the program are queued.
    pub(super) fn on_keys(&mut self, now: Timestamp, bytes: Vec<u8>) {
        let passed = if self.has_console() { self.read_keys(now, &bytes) } else { bytes };
        self.queue_keys(now, passed);
    }

    /// The begun sequence of a key has waited long enough for its end.
    pub(super) fn end_half_key(&mut self, now: Timestamp) {
        if let Some(piece) = self.console.decoder.on_time(now) {
            let bytes = self.console.decoder.bytes().to_vec();
            let passed = if self.has_console() { self.read_piece(now, piece, &bytes) } else { bytes };
            self.queue_keys(now, passed);
        }
    }

    fn read_keys(&mut self, now: Timestamp, keys: &[u8]) -> Vec<u8> {
        let mut passed = Vec::new();
        let mut decoder = std::mem::take(&mut self.console.decoder);
        let mut rest = keys;
        while let Some(piece) = decoder.next(now, &mut rest) {
            passed.extend(self.read_piece(now, piece, decoder.bytes()));
        }
        if self.escape().is_none() && !self.screen.own_cursor.is_awaited() {
            // No key begins a command now, so half a key goes to the program at once. The decoder still follows the
            // key: its other half may come after a question has made the escape count.
            passed.extend_from_slice(decoder.give());
        }
        self.console.decoder = decoder;
        passed
    }

    /// The key that begins a command now.
    fn escape(&self) -> Option<u8> {
        let wanted =
            self.console.question.is_some() || self.sharing.is_paused() || !matches!(self.console.view, View::Nothing);
        self.console.escape.key(wanted)
    }

    /// The program's part of this piece.
    fn read_piece(&mut self, now: Timestamp, piece: Piece, bytes: &[u8]) -> Vec<u8> {
        if matches!(piece, Piece::Report | Piece::OtherKey) && self.is_our_answer(bytes) {
            return Vec::new();
        }
        let passed = self.taken_out(now, piece, bytes);
        match piece {
            Piece::Key(_) | Piece::OtherKey | Piece::Pasted => {
                self.console.news.dismiss();
                if !passed.is_empty() {
                    self.listing.typed(now, Typist::Host);
                }
            }
            // The terminal sends these without a key, so the news stay.
            Piece::Released(_) | Piece::Report => {}
        }
        passed
    }

    /// Takes the escape and its command out of the keys; returns the rest, with what was kept before.
    fn taken_out(&mut self, now: Timestamp, piece: Piece, bytes: &[u8]) -> Vec<u8> {
        let escape = self.escape();
        // The subject of the escape may be gone by now.
        let mut passed = if escape.is_none() { self.console.reader.give_up() } else { Vec::new() };
        match (self.console.reader.step(escape, piece, bytes, Command::of), &self.console.view, piece) {
            (Step::Taken, ..) => {}
            (Step::Command(reports, command), ..) => {
                passed.extend(reports);
                self.command(now, command);
            }
            (Step::Typed(bytes), ..) => passed.extend(bytes),
            (Step::Beside, View::Kick(..), Piece::Key(key)) => {
                self.console.reader.take(key);
                self.choose(now, key.byte);
            }
            (Step::Beside, View::Kick(..), Piece::OtherKey) => {}
            (Step::Beside, View::Help | View::Links | View::Members(_), Piece::Key(key)) => {
                self.console.reader.take(key);
                self.console.view = View::Nothing;
            }
            // Any key closes the view, and does nothing else.
            (Step::Beside, View::Help | View::Links | View::Members(_), Piece::OtherKey) => {
                self.console.view = View::Nothing;
            }
            (Step::Beside, _, Piece::Pasted | Piece::Released(_) | Piece::Report)
            | (Step::Beside, View::Nothing, _) => {
                passed.extend_from_slice(bytes);
            }
        }
        passed
    }

    fn command(&mut self, now: Timestamp, command: Command) {
        self.console.view = View::Nothing;
        match command {
            Command::Answer(yes) => {
                let asked = self.console.question.filter(|(_, since)| *since + ANSWER_AFTER <= now);
                if let Some((id, _)) = asked {
                    if yes {
                        self.act(now, ModeratorAction::Approve(id));
                    } else {
                        self.act(now, ModeratorAction::Deny { member: id, keep_links: false });
                        self.message(now, &self.with_new_links("refused"));
                    }
                }
            }
            Command::Help => self.console.view = View::Help,
            Command::Links => self.console.view = View::Links,
            Command::Members => self.console.view = View::Members(self.listed()),
            Command::Kick => self.console.view = View::Kick(String::new(), self.listed()),
            Command::Pause if self.sharing.is_paused() => {
                self.act(now, ModeratorAction::Resume);
                self.message(now, "viewers see the terminal again");
            }
            Command::Pause => {
                self.act(now, ModeratorAction::Pause);
                if let Some(pause) = self.pause_row() {
                    self.console.message = Some((pause, now + MESSAGE_FOR));
                }
            }
        }
    }

    /// One more key of the number of the member that goes.
    fn choose(&mut self, now: Timestamp, key: u8) {
        let View::Kick(digits, _) = &mut self.console.view else { return };
        match key {
            b'0'..=b'9' if digits.len() < MAX_DIGITS => return digits.push(key.into()),
            0x08 | 0x7f => {
                digits.pop();
                return;
            }
            b'\r' | b'\n' => {
                if let Ok(member) = digits.parse().map(MemberId) {
                    let act = ModeratorAction::Kick { member, keep_links: false };
                    let text = match self.may(&act) {
                        Ok(()) => self.with_new_links("removed"),
                        Err(error) => error.to_string(),
                    };
                    self.act(now, act);
                    self.message(now, &text);
                }
            }
            _ => {}
        }
        self.console.view = View::Nothing;
    }

    fn with_new_links(&self, what: &str) -> String {
        let key = self.escape_name().unwrap_or_default();
        format!("{what}; {key} l shows the new links")
    }

    pub(super) fn message(&mut self, now: Timestamp, text: &str) {
        self.console.message = Some((format!("beach: {text}"), now + MESSAGE_FOR));
    }

    /// The own terminal gets what the program printed, as it is; a banner is away meanwhile.
    pub(super) fn show_printed(&mut self, bytes: Vec<u8>) {
        if self.config.headless {
            self.screen.emulator.feed(&bytes);
            return;
        }
        let mut lifted = Vec::new();
        self.console.banner.lift(&self.screen.emulator, &mut lifted);
        let was_laid = !lifted.is_empty();
        self.screen.emulator.feed(&bytes);
        let mut laid = Vec::new();
        if was_laid {
            self.console.banner.lay(&self.screen.emulator, &mut laid);
        }
        // In one synchronised update, so that the row does not flicker in terminals that know such updates.
        let (begin, end): (&[u8], &[u8]) = if laid.is_empty() { (b"", b"") } else { (b"\x1b[?2026h", b"\x1b[?2026l") };
        let printed = [begin, lifted.as_slice(), &bytes].concat();
        laid.extend_from_slice(end);
        self.show(printed, laid);
    }

    /// The own terminal has another size, and has wrapped or moved its rows as it does.
    pub(super) fn terminal_moved(&mut self) {
        self.console.moved |= self.console.banner.is_laid();
    }

    /// The model has that size too.
    pub(super) fn terminal_settled(&mut self) {
        if std::mem::take(&mut self.console.moved) {
            let mut out = Vec::new();
            self.console.banner.resized(&self.screen.emulator, &mut out);
            self.out.push_back(HostOutput::Show(out));
        }
    }

    /// Shows the text for the own rows; without a text, takes the banner away.
    pub(super) fn pump_console(&mut self, now: Timestamp) {
        if self.config.headless || self.console.moved {
            return;
        }
        if self.console.message.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.console.message = None;
        }
        self.console.news.expire(now);
        let text = if self.has_console() { self.to_read() } else { String::new() };
        let (mut lifted, mut laid) = (Vec::new(), Vec::new());
        if text != self.console.banner.text() {
            self.console.banner.lift(&self.screen.emulator, &mut lifted);
            self.console.banner.set(&text);
        }
        self.console.banner.lay(&self.screen.emulator, &mut laid);
        if !lifted.is_empty() || !laid.is_empty() {
            self.show(lifted, laid);
        }
        let asked = self.readable_question().filter(|_| self.has_console());
        if asked != self.console.question.map(|(id, _)| id) {
            self.console.question = asked.map(|id| (id, now));
        }
    }

    /// Shows these bytes, and the banner's rows after them.
    fn show(&mut self, mut before: Vec<u8>, banner: Vec<u8>) {
        if !has_links(self.console.banner.text()) || banner.is_empty() {
            before.extend(banner);
            return self.out.push_back(HostOutput::Show(before));
        }
        if !before.is_empty() {
            self.out.push_back(HostOutput::Show(before));
        }
        self.out.push_back(HostOutput::ShowLinks(banner));
    }

    /// The links are other ones now: rows that show the old ones are drawn again.
    pub(super) fn redraw_links(&mut self) {
        if has_links(self.console.banner.text()) && !self.console.moved {
            let mut out = Vec::new();
            self.console.banner.lift(&self.screen.emulator, &mut out);
            self.out.push_back(HostOutput::Show(out));
        }
    }

    pub(super) fn own_size(&self) -> Size {
        self.screen.emulator.head().size
    }

    /// The viewer that has waited for a decision the longest, and how many others wait.
    fn asked_first(&self) -> Option<(MemberId, usize)> {
        let askable = self.admission.pending_askable().iter().filter_map(|link| self.connections.get(link)?.pending());
        let first = askable.map(|pending| pending.id).min()?;
        Some((first, self.admission.pending_askable().len() - 1))
    }

    /// The text for the own rows now. Each text says during a pause that the session is paused.
    fn to_read(&self) -> String {
        let pause = self.pause_row();
        let paused = if pause.is_some() { " (paused)" } else { "" };
        match &self.console.view {
            View::Help => with_row(self.help(), pause),
            View::Links => {
                let first = format!("beach: the links of this session{paused}; any key closes this");
                self.console.news.links(&first, self.own_size())
            }
            View::Members(listed) => format!("{}\n{listed}", self.headline()),
            View::Kick(digits, listed) => {
                format!("beach: remove which viewer{paused}? Number and Enter, or Esc: {digits}_\n{listed}")
            }
            View::Nothing => match (self.question(), &self.console.message) {
                (Some(question), _) => question.worded(self.own_size()).text(),
                (None, Some((text, _))) => with_row(text.clone(), pause),
                (None, None) => with_row(self.console.news.text(), pause),
            },
        }
    }

    /// The row about a pause, during a pause.
    fn pause_row(&self) -> Option<String> {
        let ends = self.escape_name().map_or("`beach resume`".to_owned(), |key| format!("{key} p"));
        let row = || format!("beach: paused: viewers see nothing new and cannot type, until {ends}");
        self.sharing.is_paused().then(row)
    }

    /// The escape's name, if the escape begins a command now.
    pub(super) fn escape_name(&self) -> Option<String> {
        self.console.escape.key(true).map(key_name)
    }

    /// The viewer that the question is about, if the window has room for the question.
    fn readable_question(&self) -> Option<MemberId> {
        let question = self.question()?;
        match question.worded(self.own_size()) {
            Wording::Asks(_) => Some(question.id),
            Wording::TooSmall(_) => None,
        }
    }

    fn question(&self) -> Option<Question<'_>> {
        let (id, others) = self.asked_first()?;
        let connection = &self.connections[&self.pending(id)?];
        let pending = connection.pending()?;
        let (hello, role) = (&pending.request.hello, pending.request.role);
        let (name, client, from) = (&hello.name, hello.client(), connection.from);
        let (key, pause) = (self.escape_name(), self.pause_row());
        Some(Question { id, name, from, client, role, words: pending.sas?, key, others, pause })
    }

    /// A viewer asks to be let in: rings the bell, which changes no screen.
    pub(super) fn ring(&mut self) {
        if self.has_console() && self.screen.emulator.is_settled() {
            self.out.push_back(HostOutput::Show(b"\x07".to_vec()));
        }
    }
}

/// The text with one more row, unless there is no text or the text is that row.
fn with_row(text: String, row: Option<String>) -> String {
    match row {
        Some(row) if !text.is_empty() && text != row => format!("{text}\n{row}"),
        Some(_) | None => text,
    }
}
