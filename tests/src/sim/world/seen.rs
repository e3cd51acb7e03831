//! Outputs of hosts and viewers, for checkers that watch a world as it goes on.

use beach_core::host::{HostNotice, HostOutput};
use beach_core::peer::engine::Engine;
use beach_core::viewer::{ViewerExit, ViewerNotice, ViewerOutput};

use super::World;

/// An output that promises are about.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A host's machine gives its news.
    Host(usize, HostNotice),
    /// A host writes viewers' input, or answers, to its PTY.
    Write(usize, Vec<u8>),
    /// A host writes its own keys to its PTY.
    WriteOwn(usize, Vec<u8>),
    /// The PTY gave the last write back: nothing of it was read.
    TakenBack(usize),
    /// A host ended.
    HostEnded(usize),
    /// A viewer's machine gives its news.
    Viewer(usize, ViewerNotice),
    /// A viewer ended.
    ViewerEnded(usize, ViewerExit),
}

impl<E: Engine> World<E> {
    pub(super) fn note(&mut self, seen: Seen) {
        if self.keeps_seen {
            self.seen.push((self.now, seen));
        }
    }

    pub(super) fn note_host(&mut self, index: usize, output: &HostOutput) {
        match output {
            HostOutput::Notice(notice) => self.note(Seen::Host(index, notice.clone())),
            HostOutput::Write(bytes) => self.note(Seen::Write(index, bytes.clone())),
            HostOutput::WriteOwn(bytes) => self.note(Seen::WriteOwn(index, bytes.clone())),
            HostOutput::Exit(_) => self.note(Seen::HostEnded(index)),
            HostOutput::Link(_)
            | HostOutput::Start(_)
            | HostOutput::Show(_)
            | HostOutput::ShowLinks(_)
            | HostOutput::Resize(_)
            | HostOutput::KeysTaken
            | HostOutput::HangUp
            | HostOutput::TakeBack => {}
        }
    }

    pub(super) fn note_viewer(&mut self, index: usize, output: &ViewerOutput) {
        match output {
            ViewerOutput::Notice(notice) => self.note(Seen::Viewer(index, notice.clone())),
            ViewerOutput::Exit(exit) => self.note(Seen::ViewerEnded(index, exit.clone())),
            ViewerOutput::Link(_)
            | ViewerOutput::Show(_)
            | ViewerOutput::Size(_)
            | ViewerOutput::CursorAsked
            | ViewerOutput::KeysTaken => {}
        }
    }
}
