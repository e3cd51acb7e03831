//! The terminal's size: whose counts, and how often the size may change.

use std::time::Duration;

use super::member::{Resize, terminal_size};
use super::{Host, HostOutput};
use crate::role::Role;
use crate::terminal::Size;
use crate::time::Timestamp;

/// At most four size changes a second: each makes programs draw everything anew.
const RESIZE_INTERVAL: Duration = Duration::from_millis(250);

/// The size that the program is to have.
pub(super) struct Resizing {
    /// The size of the own terminal, or the one configured without one.
    own: Size,
    /// The size that was decided last, if the program was not told yet.
    wanted: Option<Size>,
    /// When the size may change next.
    next_at: Timestamp,
}

impl Resizing {
    pub(super) fn new(own: Size) -> Resizing {
        Resizing { own, wanted: None, next_at: Timestamp::ZERO }
    }

    /// The size of the own terminal.
    pub(super) fn own(&self) -> Size {
        self.own
    }

    /// Decides on a size, from the own terminal's and those of members by name.
    fn decide<'a>(&mut self, policy: &Resize, members: impl Iterator<Item = (&'a str, Role, Option<Size>)>) {
        self.wanted = Some(terminal_size(policy, self.own, members));
    }

    /// Takes the size that was decided: the one to change to, if `current` is another.
    fn begin(&mut self, now: Timestamp, current: Size) -> Option<Size> {
        let size = self.wanted.take().filter(|size| *size != current)?;
        self.next_at = now + RESIZE_INTERVAL;
        Some(size)
    }

    /// When the size that was decided is looked at.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.wanted.map(|_| self.next_at)
    }
}

impl Host {
    /// The host's own terminal has this size.
    pub(super) fn own_terminal_resized(&mut self, size: Size) {
        self.screen.resizing.own = size;
        self.terminal_moved();
        self.sizes_changed();
    }

    /// A member's size or role changed, or a member came or left.
    pub(super) fn sizes_changed(&mut self) {
        let here = self.connections.values().filter(|connection| connection.is_here());
        let members = here.filter_map(|connection| connection.member());
        let sizes = members.map(|member| (member.name.as_str(), member.role, member.size));
        self.screen.resizing.decide(&self.config.resize, sizes);
    }

    /// Gives the program and the model the size that was decided.
    pub(super) fn resize(&mut self, now: Timestamp) {
        if let Some(size) = self.screen.resizing.begin(now, self.screen.emulator.head().size) {
            let before = self.screen.emulator.head().size;
            self.screen.emulator.resize(size);
            self.screen.emulator.frame();
            if self.asks_own_terminal(now, before, size) {
                return;
            }
            self.screen.frames.made();
            self.out.push_back(HostOutput::Resize(size));
        }
        self.terminal_settled();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_changes_at_most_four_times_a_second_and_only_to_another_one() {
        let at = |ms| Timestamp::from(Duration::from_millis(ms));
        let (small, large) = (Size::new(80, 24), Size::new(120, 40));
        let mut resizing = Resizing::new(large);
        assert_eq!(resizing.deadline(), None);
        let viewer = [("a", Role::Control, Some(small))];
        resizing.decide(&Resize::Smallest, viewer.into_iter());
        assert_eq!(resizing.deadline(), Some(Timestamp::ZERO));
        assert_eq!((resizing.begin(at(10), large), resizing.deadline()), (Some(small), None));

        resizing.decide(&Resize::Smallest, viewer.into_iter());
        assert_eq!(resizing.deadline(), Some(at(260)));
        assert_eq!((resizing.begin(at(260), small), resizing.deadline()), (None, None));
        resizing.decide(&Resize::Smallest, [].into_iter());
        assert_eq!((resizing.deadline(), resizing.begin(at(270), small)), (Some(at(260)), Some(large)));
        resizing.decide(&Resize::Owner, viewer.into_iter());
        assert_eq!(resizing.deadline(), Some(at(520)));
    }
}
