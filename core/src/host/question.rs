//! The question whether a viewer may come in, in as many words as fit the window.

use unicode_width::UnicodeWidthStr as _;

use crate::crypto::sas::Sas;
use crate::id::MemberId;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::link::Client;
use crate::terminal::{Size, viewer_name};

/// The question.
pub(super) struct Question<'a> {
    pub(super) id: MemberId,
    pub(super) name: &'a str,
    pub(super) from: Option<AddressClass>,
    pub(super) client: Client,
    pub(super) role: Role,
    pub(super) words: Sas,
    /// The escape's name, if there is one.
    pub(super) key: Option<String>,
    /// How many others wait as well.
    pub(super) others: usize,
    /// The row that says that the session is paused, during a pause.
    pub(super) pause: Option<String>,
}

/// The question's form in a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// All words and keys are seen.
    Asks(String),
    /// The words and keys do not fit, and this text says so. No key answers, since the host cannot read the question.
    TooSmall(String),
}

impl Wording {
    pub(super) fn text(self) -> String {
        match self {
            Wording::Asks(text) | Wording::TooSmall(text) => text,
        }
    }
}

impl Question<'_> {
    /// The question in at most half of the rows, as a banner has them.
    pub(super) fn worded(&self, size: Size) -> Wording {
        let (cols, rows) = (usize::from(size.cols), usize::from(size.rows / 2));
        let fits = |text: &String| text.lines().count() <= rows && text.lines().all(|row| row.width() <= cols);
        let plain = self.longest_first(cols, "");
        let in_a_pause = self.pause.as_ref().map(|row| self.in_a_pause(cols, row));
        if let Some(text) = in_a_pause.into_iter().flatten().chain(plain).find(fits) {
            return Wording::Asks(text);
        }
        let small = ["beach: somebody waits, but this window is too small", "beach: window too small", "too small"];
        let small = small.into_iter().map(|text| wrapped(text, cols)).find(fits);
        Wording::TooSmall(small.unwrap_or_else(|| "small".to_owned()))
    }

    /// The question together with the pause: a row below, else a word.
    fn in_a_pause(&self, cols: usize, row: &str) -> Vec<String> {
        let short = ["beach: the session is paused", "paused"];
        let rows = [row, short[0], short[1]].map(|row| wrapped(row, cols));
        let questions = self.longest_first(cols, "").into_iter().zip(self.longest_first(cols, ", paused"));
        let with_pause = |(question, with_word): (String, String)| {
            rows.iter().map(|row| format!("{question}\n{row}")).chain([with_word]).collect::<Vec<_>>()
        };
        questions.flat_map(with_pause).collect()
    }

    /// The question in the words that the window may have room for; `last` stands behind each.
    fn longest_first(&self, cols: usize, last: &str) -> [String; 6] {
        let (words, name) = (self.words, viewer_name(self.name, self.id.0));
        let what = match self.role {
            Role::Control => "type",
            Role::View => "watch",
        };
        let (how, shortly) = match &self.key {
            Some(key) => (format!("{key} y: yes, {key} n: no"), format!("{key} y/n")),
            None => (format!("beach approve {0} or deny {0}", self.id.0), format!("approve {}", self.id.0)),
        };
        let more = if self.others > 0 { format!(" (+{}){last}", self.others) } else { last.to_owned() };
        // A browser is told in every form.
        let (browser, in_browser) = match self.client {
            Client::Beach => (None, ""),
            Client::Browser => (Some("browser".to_owned()), " (browser)"),
        };
        let from: Vec<_> = self.from.map(|from| from.to_string()).into_iter().chain(browser).collect();
        let from = if from.is_empty() { String::new() } else { format!(" ({})", from.join(", ")) };
        let who = format!("beach: {name}{from} wants to {what}:");
        let answer = format!("{words} ({how}){more}");
        [
            format!("{who} {answer}"),
            // Two rows that break where reading does.
            format!("{who}\n       {answer}"),
            wrapped(&format!("{who} {answer}"), cols),
            wrapped(&format!("beach: {name}{in_browser} wants to {what}: {answer}"), cols),
            wrapped(&format!("beach: {what}{in_browser}? {words} ({shortly}){more}"), cols),
            wrapped(&format!("{words} {what}{in_browser}? {shortly}{last}"), cols),
        ]
    }
}

/// The text in rows that end between words.
fn wrapped(text: &str, cols: usize) -> String {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match rows.last_mut() {
            Some(row) if row.width() + 1 + word.width() <= cols => {
                row.push(' ');
                row.push_str(word);
            }
            Some(_) | None => rows.push(word.to_owned()),
        }
    }
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_every_window_all_words_and_keys_are_seen_or_that_it_is_too_small() {
        let longest = Sas(0x3ff_7fe_ffd);
        for (name, key) in [("ann", Some("^]")), ("漢字 and a name of many characters", Some("~")), ("b", None)] {
            for (words, others) in [(longest, 0), (Sas(0), 12)] {
                let key = key.map(str::to_owned);
                let from = Some(AddressClass::Private);
                let (id, client) = (MemberId(7), Client::Beach);
                let question =
                    Question { id, name, from, client, role: Role::Control, words, key, others, pause: None };
                for size in (5..=80).flat_map(|cols| (2..=24).map(move |rows| Size::new(cols, rows))) {
                    let wording = question.worded(size);
                    let (asks, text) = (matches!(wording, Wording::Asks(_)), wording.text());
                    let rows: Vec<_> = text.lines().collect();
                    assert!(rows.len() <= usize::from(size.rows / 2), "{size:?}: {text}");
                    assert!(rows.iter().all(|row| row.width() <= usize::from(size.cols)), "{size:?}: {text}");
                    let all = rows.iter().map(|row| row.trim()).collect::<Vec<_>>().join(" ");
                    if asks {
                        assert!(all.contains(&words.to_string()) && all.contains("type"), "{size:?}: {text}");
                        let answer = question.key.as_deref().map_or("approve 7".to_owned(), |key| format!("{key} y"));
                        assert!(all.contains(&answer), "{size:?}: {text}");
                    } else {
                        assert!(all.ends_with("small"), "{size:?}: {text}");
                        assert!(size.cols < 20 || size.rows < 6, "{size:?} has room");
                    }
                }
            }
        }
    }

    #[test]
    fn in_a_pause_the_question_says_so_wherever_the_window_has_room_for_the_word() {
        let pause = Some("beach: paused: viewers see nothing new and cannot type, until ^] p".to_owned());
        let key = Some("^]".to_owned());
        let (id, role, from) = (MemberId(7), Role::Control, Some(AddressClass::Private));
        let question = Question {
            id,
            name: "",
            from,
            client: Client::Beach,
            role,
            words: Sas(0x3ff_7fe_ffd),
            key,
            others: 2,
            pause,
        };
        let wide = question.worded(Size::new(120, 24)).text();
        assert!(wide.starts_with("beach: viewer 7 (private network) wants to type: "), "{wide}");
        assert!(wide.ends_with("\nbeach: paused: viewers see nothing new and cannot type, until ^] p"), "{wide}");
        for size in (20..=80).flat_map(|cols| (2..=24).map(move |rows| Size::new(cols, rows))) {
            let wording = question.worded(size);
            let (asks, text) = (matches!(wording, Wording::Asks(_)), wording.text());
            let rows: Vec<_> = text.lines().collect();
            assert!(rows.len() <= usize::from(size.rows / 2), "{size:?}: {text}");
            assert!(rows.iter().all(|row| row.width() <= usize::from(size.cols)), "{size:?}: {text}");
            assert!(!asks || text.contains(&question.words.to_string()[..5]), "{size:?}: {text}");
            let has_room = size.rows >= 8 || (size.cols >= 40 && size.rows >= 4);
            assert!(!has_room || text.contains("paused"), "{size:?}: {text}");
        }
    }

    #[test]
    fn in_a_wide_window_the_question_is_one_row_and_in_a_small_one_the_words_come_first() {
        let key = Some("^]".to_owned());
        let (id, role, from) = (MemberId(1), Role::View, Some(AddressClass::Loopback));
        let question =
            Question { id, name: "ann", from, client: Client::Beach, role, words: Sas(0), key, others: 1, pause: None };
        let asks = |cols, rows| question.worded(Size::new(cols, rows)).text();
        let words = "abandon abandon abandon abandon";
        assert_eq!(
            asks(120, 24),
            format!("beach: \"ann\" (this machine) wants to watch: {words} (^] y: yes, ^] n: no) (+1)")
        );
        assert_eq!(
            asks(80, 24),
            format!("beach: \"ann\" (this machine) wants to watch:\n       {words} (^] y: yes, ^] n: no) (+1)")
        );
        assert_eq!(asks(20, 6), "abandon abandon\nabandon abandon\nwatch? ^] y/n");
        assert_eq!(asks(5, 2), "small");
    }

    #[test]
    fn a_browser_is_named_wherever_the_question_is_asked() {
        let (id, role, words, key) = (MemberId(7), Role::Control, Sas(0x3ff_7fe_ffd), Some("^]".to_owned()));
        let (from, client) = (Some(AddressClass::Private), Client::Browser);
        let question = Question { id, name: "ann", from, client, role, words, key, others: 0, pause: None };
        let wide = question.worded(Size::new(120, 24)).text();
        assert!(wide.starts_with("beach: \"ann\" (private network, browser) wants to type: "), "{wide}");
        assert!(wide.ends_with(" (^] y: yes, ^] n: no)"), "nobody else waits: {wide}");
        for size in (5..=80).flat_map(|cols| (2..=24).map(move |rows| Size::new(cols, rows))) {
            match question.worded(size) {
                Wording::Asks(text) => assert!(text.contains("browser"), "{size:?}: {text}"),
                Wording::TooSmall(text) => assert!(size.cols < 20 || size.rows < 8, "{size:?} has room: {text}"),
            }
        }
    }
}
