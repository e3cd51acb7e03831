//! Where the cursor of the own terminal is, asked when that terminal has grown: terminals pull rows back out of their
//! scrollback then, which moves the cursor down, and the model does the same.

use std::time::Duration;

use super::{Host, HostOutput};
use crate::keyboard::{CursorReport, cursor_report};
use crate::terminal::Size;
use crate::time::Timestamp;

/// The program is told its new size when the terminal has answered, and no later than this: more than the round trip to
/// a terminal behind ssh, less than a person waits for a window to settle.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// An answer that comes later is no news for the model, but still none of the program's.
const LATE_ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The questions to the own terminal.
#[derive(Debug, Default)]
pub(super) struct OwnCursor {
    /// The terminal answers, as far as is known.
    answers: bool,
    asked: Asked,
    /// Terminal and model have a size since when it was not asked, since it showed the alternate screen or the program
    /// was in the middle of something.
    due: bool,
    /// The program's own questions that the terminal has answered.
    answered: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum Asked {
    #[default]
    Nothing,
    Waits(Question),
    /// The answer takes too long.
    Late(Question),
}

/// A question to which there is no answer.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// Where the model had the cursor, as terminals report it.
    place: (u16, u16),
    /// So many answers to the program come before.
    ahead: u64,
    since: Timestamp,
    /// The size that the program is told afterwards.
    size: Option<Size>,
}

impl OwnCursor {
    /// The own terminal says where its cursor is.
    pub(super) fn expect_answers(&mut self) {
        self.answers = true;
    }

    /// Whether an answer may come.
    pub(super) fn is_awaited(&self) -> bool {
        !matches!(self.asked, Asked::Nothing)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.asked {
            Asked::Nothing => None,
            Asked::Waits(question) => Some(question.since + ANSWER_WITHIN),
            Asked::Late(question) => Some(question.since + LATE_ANSWER_WITHIN),
        }
    }

    /// Takes what may be the answer: returns the question if this is its answer, and not a key or the program's answer.
    /// `queries`: how often the program has asked.
    fn take(&mut self, report: CursorReport, queries: u64) -> Option<Asked> {
        let asked = self.asked;
        let (Asked::Waits(question) | Asked::Late(question)) = &mut self.asked else {
            self.answered = queries.min(self.answered + 1);
            return None;
        };
        if question.ahead > 0 {
            question.ahead -= 1;
            self.answered += 1;
            return None;
        }
        if report.may_be_key && report.col != question.place.1 {
            return None;
        }
        self.asked = Asked::Nothing;
        Some(asked)
    }
}

impl Host {
    /// Model and program are to have another size: whether the own terminal is asked first. The program is told then
    /// when the terminal has answered.
    pub(super) fn asks_own_terminal(&mut self, now: Timestamp, before: Size, size: Size) -> bool {
        self.screen.own_cursor.due |= size.rows > before.rows || size.cols > before.cols;
        self.ask_own_terminal(now, Some(size))
    }

    /// Asks the own terminal if that is due and can be done now. The program is told its size after the answer, if one
    /// is given here.
    pub(super) fn ask_own_terminal(&mut self, now: Timestamp, size: Option<Size>) -> bool {
        let emulator = &self.screen.emulator;
        let asks = self.screen.own_cursor.due
            && self.screen.own_cursor.answers
            && !self.screen.own_cursor.is_awaited()
            && self.has_console()
            && self.screen.resizing.own() == emulator.head().size
            && emulator.shows_main()
            && emulator.is_settled();
        if !asks {
            return false;
        }
        self.screen.own_cursor.due = false;
        let ahead = emulator.cursor_queries() - self.screen.own_cursor.answered;
        let question = Question { place: emulator.reported_place(), ahead, since: now, size };
        self.screen.own_cursor.asked = Asked::Waits(question);
        self.out.push_back(HostOutput::Show(b"\x1b[6n".to_vec()));
        true
    }

    /// Whether these bytes of the own terminal are the answer to a question of ours.
    pub(super) fn is_our_answer(&mut self, bytes: &[u8]) -> bool {
        let Some(report) = cursor_report(bytes) else { return false };
        match self.screen.own_cursor.take(report, self.screen.emulator.cursor_queries()) {
            Some(Asked::Waits(question)) => {
                if let Some(rows @ 1..) = report.row.checked_sub(question.place.0) {
                    self.screen.emulator.pull(rows);
                }
                self.own_terminal_known(question);
                true
            }
            Some(Asked::Late(_)) => {
                self.screen.own_cursor.answers = true;
                true
            }
            Some(Asked::Nothing) | None => false,
        }
    }

    /// The own terminal has not answered.
    pub(super) fn own_terminal_silent(&mut self) {
        match self.screen.own_cursor.asked {
            Asked::Nothing => {}
            Asked::Waits(question) => {
                self.screen.own_cursor.asked = Asked::Late(question);
                self.screen.own_cursor.answers = false;
                self.own_terminal_known(question);
            }
            Asked::Late(_) => {
                self.screen.own_cursor.asked = Asked::Nothing;
                self.screen.own_cursor.answered = self.screen.emulator.cursor_queries();
            }
        }
    }

    /// Nothing more is to be learnt about what the own terminal shows.
    fn own_terminal_known(&mut self, question: Question) {
        self.screen.emulator.frame();
        self.screen.frames.made();
        if let Some(size) = question.size {
            self.out.push_back(HostOutput::Resize(size));
        }
        self.terminal_settled();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(row: u16, col: u16) -> CursorReport {
        CursorReport { row, col, may_be_key: row == 1 && (2..=16).contains(&col) }
    }

    fn asked(ahead: u64) -> OwnCursor {
        let question = Question { place: (1, 5), ahead, since: Timestamp::ZERO, size: None };
        OwnCursor { answers: true, asked: Asked::Waits(question), due: false, answered: 0 }
    }

    #[test]
    fn an_answer_is_told_from_answers_to_the_program_and_from_a_key() {
        let mut own = asked(1);
        assert!(own.take(report(7, 5), 1).is_none(), "the program asked first");
        assert!(own.take(report(1, 2), 1).is_none(), "the third function key with Shift");
        assert!(own.take(report(1, 5), 1).is_some());
        assert!(own.take(report(1, 5), 2).is_none(), "nothing is asked");
        assert_eq!(own.answered, 2);
    }

    #[test]
    fn an_answer_is_waited_for_and_later_still_taken_out() {
        let mut own = asked(0);
        assert_eq!(own.deadline(), Some(Timestamp::ZERO + ANSWER_WITHIN));
        let Asked::Waits(question) = own.asked else { panic!("asked") };
        own.asked = Asked::Late(question);
        assert_eq!(own.deadline(), Some(Timestamp::ZERO + LATE_ANSWER_WITHIN));
        assert!(matches!(own.take(report(9, 5), 0), Some(Asked::Late(_))));
        assert_eq!(own.deadline(), None);
    }
}
