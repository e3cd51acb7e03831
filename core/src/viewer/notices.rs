//! Text of ours over the bottom of the viewer's terminal: which text, and for how long.

use std::collections::VecDeque;
use std::time::Duration;

use crate::terminal::{Line, Size, banner_rows};
use crate::time::Timestamp;

/// A remark stays readable for this long from its first paint on: time to read two lines.
pub const READABLE: Duration = Duration::from_secs(4);

/// Most remarks that wait or are shown. One more takes the place of the oldest that waits.
pub const MAX_REMARKS: usize = 8;

/// Longest text, in characters. The rest of a longer one is not shown.
pub const MAX_TEXT: usize = 2_000;

/// A sentence that is shown for a while.
#[derive(Debug)]
struct Remark {
    /// The text; in a window too small for the whole text, the part that was not shown yet.
    text: String,
    /// When its time is over; nothing before its first paint.
    until: Option<Timestamp>,
    /// The rows that the first paint had no room for.
    left: Option<String>,
}

/// The subject of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A text that does not change.
    Text,
    /// The list of the people in the session.
    Members,
}

/// A text that stays until a key.
#[derive(Debug)]
struct Page {
    text: String,
    subject: Subject,
}

/// The texts over the screen.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Standing lines, which show until their condition ends.
    standing: Option<String>,
    /// The page that stays until a key, below standing lines; remarks wait for its end.
    page: Option<Page>,
    /// How many rows of the page were read.
    turned: usize,
    remarks: VecDeque<Remark>,
}

impl Notices {
    /// Shows a text for [`READABLE`], as soon as there is room. A text that already shows or waits is not queued twice;
    /// its time begins again.
    pub(super) fn remark(&mut self, text: &str) {
        let text = cut(text);
        if let Some(same) = self.remarks.iter_mut().find(|remark| remark.text == text && remark.left.is_none()) {
            same.until = None;
            return;
        }
        if self.remarks.len() >= MAX_REMARKS {
            let waiting = self.remarks.iter().position(|remark| remark.until.is_none());
            self.remarks.remove(waiting.unwrap_or(0));
        }
        self.remarks.push_back(Remark { text, until: None, left: None });
    }

    /// Shows a text until the next key.
    pub(super) fn page(&mut self, text: &str) {
        self.open(cut(text), Subject::Text);
    }

    /// Shows the list of people until the next key: the whole list, which one frame of the host holds.
    pub(super) fn members(&mut self, text: &str) {
        self.open(text.to_owned(), Subject::Members);
    }

    /// Somebody came, went, or types: whether a page about this shows another text now.
    pub(super) fn members_changed(&mut self, size: Size, text: &str) -> bool {
        let is_other = |page: &&mut Page| page.subject == Subject::Members && page.text != text;
        let Some(page) = self.page.as_mut().filter(is_other) else { return false };
        if banner_rows(text, size.cols).len() <= self.turned {
            self.turned = 0;
        }
        text.clone_into(&mut page.text);
        true
    }

    fn open(&mut self, text: String, subject: Subject) {
        self.page = Some(Page { text, subject });
        self.turned = 0;
        // The page covers the remarks: their time begins again behind it.
        self.remarks.iter_mut().for_each(|remark| remark.until = None);
    }

    /// Shows a text until another one or nothing replaces it.
    pub(super) fn stand(&mut self, text: Option<&str>) {
        self.standing = text.map(cut);
    }

    /// How many keys the page still takes, to turn it and to close it.
    pub(super) fn page_keys(&self, size: Size) -> usize {
        let rows = self.page.as_ref().map_or(0, |page| banner_rows(&page.text, size.cols).len());
        let left = rows.saturating_sub(self.turned).div_ceil(self.page_room(size));
        if self.page.is_some() { left.max(1) } else { 0 }
    }

    /// Handles a key or the beginning of a paste. True if this closed a page or showed the rest of one, and is not
    /// typed.
    pub(super) fn key(&mut self, size: Size) -> bool {
        let Some(page) = &self.page else { return false };
        self.turned += self.page_room(size);
        if banner_rows(&page.text, size.cols).len() <= self.turned {
            self.page = None;
        }
        true
    }

    /// When the first remark's time is over. The others wait while a page is shown.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.remarks.iter().filter_map(|remark| remark.until).min().filter(|_| self.page.is_none())
    }

    /// Time passed; whether other rows are to be shown now.
    pub(super) fn on_time(&mut self, now: Timestamp) -> bool {
        if self.deadline().is_none_or(|at| at > now) {
            return false;
        }
        let over = |remark: &Remark| remark.until.is_some_and(|until| until <= now);
        for remark in self.remarks.iter_mut().filter(|remark| over(remark)) {
            if let Some(left) = remark.left.take() {
                *remark = Remark { text: left, until: None, left: None };
            }
        }
        self.remarks.retain(|remark| !over(remark));
        true
    }

    /// The rows for a terminal of that size, which are painted now.
    pub(super) fn rows(&mut self, now: Timestamp, size: Size) -> Vec<Line> {
        let room = room(size);
        if let Some(page) = &self.page {
            let page_room = self.page_room(size);
            let page = banner_rows(&page.text, size.cols).into_iter().skip(self.turned).take(page_room);
            return self.standing_rows(size).into_iter().take(room - page_room).chain(page).collect();
        }
        let mut rows = self.standing_rows(size);
        // A remark has at least one row beside the standing lines.
        rows.truncate(if self.remarks.is_empty() { room } else { room.saturating_sub(1).max(1) });
        for remark in &mut self.remarks {
            let all = banner_rows(&remark.text, size.cols);
            let free = room.saturating_sub(rows.len());
            let is_first = remark.until.is_none();
            if free == 0 || (all.len() > free && all.len() <= room && is_first) {
                break;
            }
            remark.left = (all.len() > free).then(|| all[free..].iter().map(Line::text).collect::<Vec<_>>().join("\n"));
            remark.until.get_or_insert(now + READABLE);
            rows.extend(all.into_iter().take(free));
        }
        rows
    }

    fn standing_rows(&self, size: Size) -> Vec<Line> {
        self.standing.as_ref().map(|text| banner_rows(text, size.cols)).unwrap_or_default()
    }

    /// Most rows of a page at once. Standing lines keep their rows above a page, half of the room at most; in a window
    /// of two rows, which has one row of room, a page has it.
    fn page_room(&self, size: Size) -> usize {
        let room = room(size);
        room - self.standing_rows(size).len().min(room / 2)
    }
}

/// Most rows of ours: the first row of the terminal is never covered.
fn room(size: Size) -> usize {
    usize::from(size.rows.saturating_sub(1)).max(1)
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 20, rows: 6 };

    fn texts(notices: &mut Notices, now: Timestamp) -> Vec<String> {
        notices.rows(now, SIZE).iter().map(|line| line.text().trim_end().to_owned()).collect()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_remark_is_readable_for_four_seconds_from_its_first_paint_on() {
        let mut notices = Notices::default();
        notices.remark("hello");
        assert_eq!(notices.deadline(), None, "no paint showed the remark yet");
        assert_eq!(texts(&mut notices, at(10)), ["hello"]);
        assert_eq!(notices.deadline(), Some(at(14)));
        assert!(!notices.on_time(at(13)));
        assert!(notices.on_time(at(14)));
        assert!(texts(&mut notices, at(14)).is_empty());
    }

    #[test]
    fn a_remark_that_is_repeated_is_queued_once_and_stays_for_its_whole_time_again() {
        let mut notices = Notices::default();
        notices.remark("hello");
        assert_eq!(texts(&mut notices, at(0)), ["hello"]);
        notices.remark("hello");
        assert_eq!(texts(&mut notices, at(3)), ["hello"]);
        assert_eq!(notices.deadline(), Some(at(7)));
        assert!(notices.on_time(at(7)));
        assert!(texts(&mut notices, at(7)).is_empty());
    }

    #[test]
    fn remarks_without_room_wait_and_the_queue_is_bounded() {
        let mut notices = Notices::default();
        for number in 0..100 {
            notices.remark(&format!("remark {number} has two rows"));
        }
        assert_eq!(notices.remarks.len(), MAX_REMARKS);
        assert_eq!(texts(&mut notices, at(0)).len(), 4, "two fit into five rows");
        let mut read = 0;
        while let Some(over) = notices.deadline() {
            read += 1;
            assert!(notices.on_time(over));
            texts(&mut notices, over);
        }
        assert_eq!(read, MAX_REMARKS / 2);
    }

    #[test]
    fn a_sentence_that_is_longer_than_the_window_is_shown_in_parts() {
        let mut notices = Notices::default();
        let text: Vec<String> = (0..60).map(|word| format!("word{word}")).collect();
        notices.remark(&text.join(" "));
        let mut read = texts(&mut notices, at(0));
        while let Some(over) = notices.deadline() {
            notices.on_time(over);
            read.extend(texts(&mut notices, over));
        }
        assert_eq!(read.join(" "), text.join(" "));
    }

    #[test]
    fn a_page_stays_until_a_key_and_remarks_wait_for_its_end() {
        let mut notices = Notices::default();
        notices.remark("hello");
        notices.page("1\n2\n3\n4\n5\n6\n7");
        assert_eq!(texts(&mut notices, at(0)), ["1", "2", "3", "4", "5"]);
        assert_eq!(notices.deadline(), None);
        assert_eq!(notices.page_keys(SIZE), 2);
        assert!(notices.key(SIZE), "turns to the rest");
        assert_eq!(notices.page_keys(SIZE), 1);
        assert_eq!(texts(&mut notices, at(50)), ["6", "7"]);
        assert!(notices.key(SIZE), "closes the page");
        assert_eq!(texts(&mut notices, at(60)), ["hello"]);
        assert_eq!(notices.page_keys(SIZE), 0);
        assert!(!notices.key(SIZE), "there is no page any more");
        assert_eq!(notices.deadline(), Some(at(64)));
    }

    #[test]
    fn a_page_of_who_is_here_follows_changes_and_another_page_does_not() {
        let mut notices = Notices::default();
        notices.page("help");
        assert!(!notices.members_changed(SIZE, "ann"));
        notices.members("1\n2\n3\n4\n5\n6");
        assert!(notices.key(SIZE), "turns to the rest");
        assert!(
            notices.members_changed(SIZE, "1\n2\n3\n4\n5\nsix") && !notices.members_changed(SIZE, "1\n2\n3\n4\n5\nsix")
        );
        assert_eq!(texts(&mut notices, at(0)), ["six"]);
        assert!(notices.members_changed(SIZE, "1\n2"), "the rest is gone");
        assert_eq!(texts(&mut notices, at(0)), ["1", "2"]);
        assert!(notices.key(SIZE) && !notices.members_changed(SIZE, "nobody"));
    }

    #[test]
    fn what_stands_is_shown_in_every_window_however_many_remarks_stand_already() {
        let standing = "beach: the host paused the session; you see nothing new and cannot type.  Leave: ~.";
        for (cols, rows) in [20, 40, 80].into_iter().flat_map(|cols| (2..=24).map(move |rows| (cols, rows))) {
            let size = Size::new(cols, rows);
            let mut notices = Notices::default();
            for number in 0..MAX_REMARKS {
                notices.remark(&format!("beach: the host says: sentence {number}, which is as long as sentences are"));
                notices.rows(at(0), size);
            }
            notices.stand(Some(standing));
            let wanted = banner_rows(standing, cols);
            let shown = notices.rows(at(1), size);
            let least = wanted.len().min(room(size).saturating_sub(1).max(1));
            assert_eq!(shown[..least], wanted[..least], "{cols}x{rows}");
        }
    }

    #[test]
    fn what_stands_stays_above_a_page_whose_parts_are_all_read() {
        let standing = "beach: the host paused the session; you see nothing new and cannot type.  Leave: ~.";
        let text: Vec<String> = (0..12).map(|row| format!("row {row}")).collect();
        for (cols, rows) in [20, 40, 80].into_iter().flat_map(|cols| (3..=24).map(move |rows| (cols, rows))) {
            let size = Size::new(cols, rows);
            let mut notices = Notices::default();
            notices.page(&text.join("\n"));
            notices.stand(Some(standing));
            let all = banner_rows(standing, cols);
            let stands = all.len().min(room(size) / 2);
            let (mut read, mut keys) = (Vec::new(), notices.page_keys(size));
            while keys > 0 {
                let shown = notices.rows(at(0), size);
                assert!(shown.len() <= room(size) && shown[..stands] == all[..stands], "{cols}x{rows}");
                read.extend(shown[stands..].iter().map(|line| line.text().trim_end().to_owned()));
                assert!(notices.key(size));
                keys -= 1;
                assert_eq!(notices.page_keys(size), keys, "{cols}x{rows}");
            }
            assert_eq!(read, text, "{cols}x{rows}");
        }
    }

    #[test]
    fn what_stands_is_shown_above_remarks_until_it_is_over() {
        let mut notices = Notices::default();
        notices.stand(Some("paused"));
        notices.remark("hello");
        assert_eq!(texts(&mut notices, at(0)), ["paused", "hello"]);
        notices.on_time(at(4));
        assert_eq!(texts(&mut notices, at(4)), ["paused"]);
        notices.stand(None);
        assert!(texts(&mut notices, at(4)).is_empty());
    }
}
