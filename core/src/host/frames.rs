//! Frames: when viewers are shown what the program printed, and how often.

use std::time::Duration;

use super::connection::Connection;
use super::{Host, HostOutput};
use crate::session::link::{Command, Lane};
use crate::time::Timestamp;

/// Under steady output at most one frame in this time: 60 a second, what screens show.
const FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// Output this soon after a write of input may be the echo.
const ECHO_WITHIN: Duration = Duration::from_millis(100);

/// The first output after input was written is shown at once. If the program was printing anyway, the echo is in later
/// output: a frame is made after this time, then after twice this time, and so on, until the ordinary pace is reached.
const ECHO_PAUSE: Duration = Duration::from_micros(500);

/// A read of the PTY that gave fewer bytes has emptied it: while a program floods, the kernel gives up to 4 KiB at
/// once.
const DRAINED_BELOW: usize = 512;

/// Most frames that are sent at once because a read emptied the PTY while an echo is awaited, as at a prompt after a
/// flood: a shell writes a prompt in several pieces. The limit is for programs that print little by little.
const AT_ONCE_AT_MOST: u32 = 8;

/// A synchronised update (mode 2026) that is not closed by then is shown as it is.
const SYNCHRONIZED_AT_MOST: Duration = Duration::from_millis(150);

/// The echo of a viewer's input, which the viewer waits for.
#[derive(Clone, Copy, Debug)]
struct Echo {
    until: Timestamp,
    printed: bool,
    /// From the next frame to the one after.
    pause: Duration,
    next: NextFrame,
    /// How many more frames may be made at once.
    at_once: u32,
}

/// Why the next frame of an echo is made when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextFrame {
    /// The pause is over.
    Paced,
    /// The program has printed all it had to.
    AtOnce,
}

/// Which frames were made, and when the next one may be.
pub(super) struct Frames {
    /// The model has changed since the last frame.
    dirty: bool,
    /// There is a frame that no viewer was given yet.
    fresh: bool,
    next_at: Timestamp,
    /// Until when an open synchronised update holds back the screen.
    synchronized_until: Option<Timestamp>,
    /// A viewer's input was written, and what is printed may be its echo.
    echo: Option<Echo>,
}

/// Whether a frame may have the echo that a viewer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Ordinary,
    Echo,
}

impl Frames {
    pub(super) fn new() -> Frames {
        Frames { dirty: true, fresh: false, next_at: Timestamp::ZERO, synchronized_until: None, echo: None }
    }

    /// The next frame differs from the last one.
    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    /// The model has made a frame of its own accord.
    pub(super) fn made(&mut self) {
        self.dirty = true;
        self.fresh = true;
    }

    /// Whether the last frame shows everything.
    pub(super) fn is_current(&self) -> bool {
        !self.dirty
    }

    /// A viewer's input is written now.
    pub(super) fn expect_echo(&mut self, now: Timestamp) {
        self.echo = Some(Echo {
            until: now + ECHO_WITHIN,
            printed: false,
            pause: ECHO_PAUSE,
            next: NextFrame::Paced,
            at_once: AT_ONCE_AT_MOST,
        });
    }

    /// The program printed something: `length` bytes in one read.
    fn printed(&mut self, now: Timestamp, length: usize) {
        self.dirty = true;
        self.echo = self.echo.filter(|echo| now <= echo.until);
        let Some(echo) = &mut self.echo else { return };
        if !std::mem::replace(&mut echo.printed, true) {
            self.next_at = now;
        } else if length < DRAINED_BELOW && echo.at_once > 0 && now < self.next_at {
            echo.at_once -= 1;
            echo.next = NextFrame::AtOnce;
            self.next_at = now;
        }
    }

    /// A synchronised update is open.
    fn hold(&mut self, now: Timestamp) {
        self.synchronized_until.get_or_insert(now + SYNCHRONIZED_AT_MOST);
    }

    /// No synchronised update is open.
    fn release(&mut self) {
        self.synchronized_until = None;
    }

    /// The program has ended: its last screen is shown at once.
    pub(super) fn program_ended(&mut self, now: Timestamp) {
        self.synchronized_until = None;
        self.dirty = true;
        self.next_at = now;
    }

    /// Whether a frame is to be made now; if so, it counts as made.
    fn begin(&mut self, now: Timestamp) -> bool {
        let is_due = self.dirty && self.next_at <= now;
        if is_due {
            self.dirty = false;
            self.fresh = true;
        }
        is_due
    }

    /// A frame was made that shows a change: when the next one may be.
    fn pace(&mut self, now: Timestamp) -> Pace {
        let Some(echo) = self.echo.as_mut().filter(|echo| echo.printed && now <= echo.until) else {
            self.next_at = now + FRAME_INTERVAL;
            return Pace::Ordinary;
        };
        self.next_at = now + echo.pause;
        match std::mem::replace(&mut echo.next, NextFrame::Paced) {
            NextFrame::Paced => echo.pause *= 2,
            NextFrame::AtOnce => {}
        }
        if echo.pause >= FRAME_INTERVAL {
            self.echo = None;
        }
        Pace::Echo
    }

    /// When the next frame is made.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.dirty.then_some(self.next_at)
    }

    /// When an open synchronised update is shown as it is.
    pub(super) fn synchronized_deadline(&self) -> Option<Timestamp> {
        self.synchronized_until
    }
}

impl Host {
    pub(super) fn on_printed(&mut self, now: Timestamp, bytes: Vec<u8>) {
        let length = bytes.len();
        self.show_printed(bytes);
        self.ask_own_terminal(now, None);
        self.screen.frames.printed(now, length);
        if self.screen.emulator.synchronized() {
            self.screen.frames.hold(now);
        } else {
            self.screen.frames.release();
        }
    }

    /// A synchronised update was open for too long.
    pub(super) fn break_synchronized(&mut self) {
        self.screen.frames.release();
        self.screen.emulator.end_synchronized();
        self.screen.frames.changed();
    }

    pub(super) fn pump_frames(&mut self, now: Timestamp) {
        if !self.connections.values().any(Connection::takes_frames) {
            return;
        }
        let is_hidden = self.sharing.is_paused() && !is_faulty!(PauseShows);
        let has_echo = !is_hidden
            && self.screen.frames.begin(now)
            && self.screen.emulator.frame()
            && self.screen.frames.pace(now) == Pace::Echo;
        let links = if std::mem::take(&mut self.screen.frames.fresh) {
            self.connections.keys().copied().collect()
        } else {
            self.connections.due(now)
        };
        for link in links {
            if !self.connections.get(&link).is_some_and(Connection::takes_frames) {
                continue;
            }
            let Some(member) = self.connections.get_mut(&link).and_then(Connection::member_mut) else {
                continue;
            };
            let screen = (!is_hidden).then_some(&self.screen.emulator);
            while let Some(bytes) = member.lane.next(now, screen, has_echo) {
                self.out.push_back(HostOutput::Link(Command::Send(link, Lane::Terminal, bytes)));
            }
        }
        if !self.sharing.is_paused() {
            self.pump_properties(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from(Duration::from_millis(ms))
    }

    fn shown() -> Frames {
        let mut frames = Frames::new();
        assert!(frames.begin(at(0)) && frames.is_current());
        assert_eq!(frames.pace(at(0)), Pace::Ordinary);
        frames
    }

    #[test]
    fn steady_output_is_shown_60_times_a_second() {
        let mut frames = shown();
        assert_eq!(frames.deadline(), None);
        frames.printed(at(1), 1);
        assert_eq!(frames.deadline(), Some(at(16)));
        assert!(!frames.begin(at(15)) && frames.begin(at(16)));
    }

    #[test]
    fn an_echo_is_shown_at_once_and_what_follows_soon() {
        let mut frames = shown();
        frames.expect_echo(at(5));
        frames.printed(at(6), 1);
        assert!(frames.begin(at(6)));
        let mut pauses = Vec::new();
        for now in 10..16 {
            let pace = frames.pace(at(now));
            pauses.push((pace, frames.next_at - at(now)));
        }
        let ms = Duration::from_millis;
        let echoes = [ECHO_PAUSE, ms(1), ms(2), ms(4), ms(8)].map(|pause| (Pace::Echo, pause));
        assert_eq!((&pauses[..5], pauses[5]), (&echoes[..], (Pace::Ordinary, FRAME_INTERVAL)));

        frames.expect_echo(at(200));
        frames.printed(at(301), 1);
        assert_eq!(frames.deadline(), Some(at(31)), "so late nothing is an echo");
    }

    #[test]
    fn while_an_echo_is_awaited_what_empties_the_terminal_is_shown_at_once_a_few_times() {
        let mut frames = shown();
        frames.expect_echo(at(20));
        frames.printed(at(20), 4095);
        assert!(frames.begin(at(20)));
        assert_eq!(frames.pace(at(20)), Pace::Echo);
        let micros = |count| at(20) + Duration::from_micros(count);
        frames.printed(micros(100), 4095);
        assert_eq!(frames.deadline(), Some(at(20) + ECHO_PAUSE), "there is more to come");
        let mut due = Vec::new();
        for now in (100..200).step_by(10).map(micros) {
            frames.printed(now, 10);
            due.push(frames.begin(now));
            if due.last() == Some(&true) {
                assert_eq!(frames.pace(now), Pace::Echo);
            }
        }
        assert_eq!(due, [vec![true; 8], vec![false; 2]].concat());
        assert_eq!(frames.deadline(), Some(micros(170) + ECHO_PAUSE * 2), "the pause has not grown meanwhile");

        let mut frames = shown();
        frames.printed(at(2), 10);
        assert_eq!(frames.deadline(), Some(at(16)), "nobody waits for an echo");
    }

    #[test]
    fn an_open_update_is_held_back_no_longer_than_from_its_beginning() {
        let mut frames = shown();
        frames.hold(at(10));
        frames.hold(at(100));
        assert_eq!(frames.synchronized_deadline(), Some(at(160)));
        frames.program_ended(at(101));
        assert_eq!((frames.synchronized_deadline(), frames.deadline()), (None, Some(at(101))));
    }
}
