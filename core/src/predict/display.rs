//! Whether predictions are worth showing, and how.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// From this round trip on an echo is felt to be late, and below the second one it is not: between them nothing
/// changes, so that the display does not flicker. The figures of mosh.
const SLOW_FROM: Duration = Duration::from_millis(30);
const SLOW_UNTIL: Duration = Duration::from_millis(20);

/// From which round trip on predictions are underlined, and until which they stay so: on such links a person may type
/// several words before knowing that they arrived.
const UNDERLINES_FROM: Duration = Duration::from_millis(80);
const UNDERLINES_UNTIL: Duration = Duration::from_millis(50);

/// When to show predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// While the link is slow.
    #[default]
    Auto,
    /// Whenever there are any.
    Always,
    /// Not at all.
    Never,
}

/// The text names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected auto, always or never")]
pub struct BadMode;

impl FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Mode, BadMode> {
        match text {
            "auto" => Ok(Mode::Auto),
            "always" => Ok(Mode::Always),
            "never" => Ok(Mode::Never),
            _ => Err(BadMode),
        }
    }
}

/// The verdict of the link's round trip.
#[derive(Debug)]
pub(super) struct Display {
    pub(super) mode: Mode,
    slow: bool,
    underlines: bool,
    /// A prediction was not confirmed in time, on whatever link.
    pub(super) stalled: bool,
}

impl Display {
    pub(super) fn new(mode: Mode) -> Display {
        Display { mode, slow: false, underlines: false, stalled: false }
    }

    pub(super) fn measure(&mut self, round_trip: Duration) {
        self.slow = round_trip > SLOW_FROM || (self.slow && round_trip >= SLOW_UNTIL);
        self.underlines = round_trip > UNDERLINES_FROM || (self.underlines && round_trip >= UNDERLINES_UNTIL);
    }

    /// Whether a prediction that stays unconfirmed would change anything.
    pub(super) fn minds_stalls(&self) -> bool {
        self.mode == Mode::Auto && !self.slow && !self.stalled
    }

    pub(super) fn shows(&self) -> bool {
        match self.mode {
            Mode::Auto => self.slow || self.stalled,
            Mode::Always => true,
            Mode::Never => false,
        }
    }

    pub(super) fn underlines(&self) -> bool {
        self.underlines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_follows_the_round_trip_without_flickering() {
        let mut display = Display::new(Mode::Auto);
        let mut at = |millis| {
            display.measure(Duration::from_millis(millis));
            (display.shows(), display.underlines())
        };
        assert_eq!(at(30), (false, false));
        assert_eq!(at(31), (true, false));
        assert_eq!(at(80), (true, false));
        assert_eq!(at(81), (true, true));
        assert_eq!(at(50), (true, true));
        assert_eq!(at(49), (true, false));
        assert_eq!(at(20), (true, false));
        assert_eq!(at(19), (false, false));
        assert_eq!(at(25), (false, false));
    }

    #[test]
    fn a_mode_is_read_by_its_name() {
        assert_eq!("auto".parse(), Ok(Mode::Auto));
        assert_eq!("always".parse(), Ok(Mode::Always));
        assert_eq!("never".parse(), Ok(Mode::Never));
        assert_eq!("sometimes".parse::<Mode>(), Err(BadMode));
    }
}
