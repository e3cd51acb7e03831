//! Frames on the lanes of a link that is up: those of a viewer to a host that lives, and those of a host to a viewer
//! that lives. Above the engine all of both sides is real, and the input begins behind the confirmation.

use beach_core::host::HostInput;
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::Lane;
use beach_core::terminal::{MAX_HISTORY, MAX_LINES_OUTSIDE, MAX_ROWS, Size};
use beach_core::viewer::ViewerInput;
use beach_core::wire::frame::MAX_FRAME;

use super::choices::Choices;
use crate::sim::{FakeEngine, HostPlan, Mouth, Speaking, ViewerPlan, Who, Wire, World, fake_engine, ms, secs};

/// A host, and a viewer that is in; the mouths of both.
pub(super) struct Link {
    pub(super) world: World<Speaking<FakeEngine>>,
    pub(super) host: Mouth,
    pub(super) viewer: Mouth,
    turn: u16,
}

impl Link {
    pub(super) fn new(role: Role) -> Link {
        let (host, viewer) = (Mouth::default(), Mouth::default());
        let mouths = (host.clone(), viewer.clone());
        let mut world = World::new(1, move |who, start| {
            let mouth = match who {
                Who::Host(_) => mouths.0.clone(),
                Who::Viewer(_) => mouths.1.clone(),
            };
            Speaking(fake_engine(who, start), mouth)
        });
        let mut plan = HostPlan::new(1);
        plan.signal = Wire::steady(ms(0));
        plan.config.size = Size::new(20, 6);
        plan.config.history = 100;
        world.add_host(plan);
        let mut plan = ViewerPlan::of(1, role);
        (plan.at, plan.signal, plan.wire) = (ms(1), Wire::steady(ms(0)), Wire::steady(ms(1)));
        plan.size = Size::new(20, 6);
        world.add_viewer(plan);
        let live = world.run_until(secs(5), |world| world.viewers[0].node.machine().stage() == Stage::Live);
        assert!(live, "{}", world.story(0));
        Link { world, host, viewer, turn: 0 }
    }

    /// Has the viewer send something of its own, and so everything that is in its mouth.
    pub(super) fn viewer_speaks(&mut self) {
        self.turn += 1;
        self.world.viewer_input(0, ViewerInput::Resized(Size::new(20 + self.turn % 2, 6)));
        self.world.run_for(ms(3));
    }

    /// The same for the host.
    pub(super) fn host_speaks(&mut self) {
        self.world.host_input(0, HostInput::Printed(b"x".to_vec()));
        self.world.run_for(ms(20));
    }
}

/// A step of the input: the peer says a frame on a lane, or pauses for so many milliseconds.
enum Step {
    Say(Lane, Vec<u8>),
    Pause(u64),
}

fn step(choices: &mut Choices<'_>) -> Step {
    match choices.below(8) {
        0 => Step::Pause(choices.number() % 20_000),
        what @ 1..=3 => {
            let lane = if what == 1 { Lane::Control } else { Lane::Terminal };
            Step::Say(lane, choices.take(MAX_FRAME).to_vec())
        }
        what => {
            let lane = if what % 2 == 0 { Lane::Control } else { Lane::Terminal };
            let chunk = choices.chunk();
            Step::Say(lane, chunk[..chunk.len().min(MAX_FRAME)].to_vec())
        }
    }
}

fn play(
    link: &mut Link,
    choices: &mut Choices<'_>,
    mouth: fn(&Link) -> &Mouth,
    ear: fn(&Link) -> &Mouth,
    speak: fn(&mut Link),
) {
    let mut is_first = true;
    while !choices.is_empty() {
        match step(choices) {
            Step::Pause(millis) => link.world.run_for(ms(millis)),
            Step::Say(lane, bytes) => {
                let before = (mouth(link).said(), ear(link).heard());
                mouth(link).say(lane, bytes);
                speak(link);
                // The link is up and loses nothing.
                if std::mem::take(&mut is_first) {
                    assert!(mouth(link).said() > before.0, "the peer did not say the frame");
                    assert!(ear(link).heard() > before.1, "the frame did not arrive");
                }
            }
        }
    }
    link.world.run_for(secs(2));
}

/// Frames of a viewer; the first byte decides whether the viewer may type.
pub(super) fn to_host(data: &[u8]) {
    let mut choices = Choices::new(data);
    let role = if choices.bit() { Role::Control } else { Role::View };
    let mut link = Link::new(role);
    play(&mut link, &mut choices, |link| &link.viewer, |link| &link.host, Link::viewer_speaks);
    let host = &link.world.hosts[0];
    assert!(role == Role::Control || host.written.is_empty(), "a viewer that may only watch has typed");
    assert!(host.exit.is_none(), "a viewer ended the session: {:?}", host.exit);
}

/// Frames of a host.
pub(super) fn to_viewer(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut link = Link::new(Role::Control);
    play(&mut link, &mut choices, |link| &link.host, |link| &link.viewer, Link::host_speaks);
    let held = link.world.viewers[0].node.machine().screen().lines_held();
    assert!(held <= MAX_HISTORY + MAX_LINES_OUTSIDE + MAX_ROWS as usize, "{held} lines");
}
