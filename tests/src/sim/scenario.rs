//! The session that most tests play: a host, a few viewers, somebody types, the program makes noise, and then it is
//! quiet.

use std::time::Duration;

use beach_core::host::HostInput;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::terminal::{Line, Size};
use beach_core::viewer::ViewerNotice;

use super::check::{painted_text, reference_rows, same_screens, shows};
use super::network::Wire;
use super::world::{HostPlan, ViewerPlan, World, secs};

/// The network between a viewer and the host.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// 5 to 100 ms, up to this many percent lost, repetitions, reordering.
    Random(u64),
    /// This network, with exactly this loss in percent, and no duplication.
    Loss(u64),
}

/// Adds a host, and 1 to 4 viewers that come early, late and in random weather; the first one may type.
pub fn gather<E: Engine>(world: &mut World<E>, weather: Weather) {
    let mut plan = HostPlan::new(1);
    plan.config.seed = world.dice.seed();
    plan.config.size = Size::new(world.dice.between(40, 120) as u16, world.dice.between(5, 40) as u16);
    plan.signal = Wire::random(&mut world.dice, 5);
    world.add_host(plan);
    for index in 0..world.dice.between(1, 4) {
        let role = if index == 0 || world.dice.percent(50) { Role::Control } else { Role::View };
        let mut plan = ViewerPlan::of(1, role);
        plan.at = world.dice.up_to(secs(1));
        plan.wait = Some(secs(15));
        plan.size = Size::new(world.dice.between(10, 160) as u16, world.dice.between(4, 60) as u16);
        plan.signal = Wire::random(&mut world.dice, 5);
        plan.wire = match weather {
            Weather::Random(loss) => Wire::random(&mut world.dice, loss),
            Weather::Loss(loss) => Wire { loss, repeats: 0, ..Wire::random(&mut world.dice, 0) },
        };
        world.add_viewer(plan);
    }
}

/// How long after its start a viewer had its first screen.
pub fn time_to_join<E: Engine>(world: &World<E>, viewer: usize) -> Option<Duration> {
    let viewer = &world.viewers[viewer];
    let first = viewer.notices.iter().find(|(_, notice)| matches!(notice, ViewerNotice::FirstScreen(..)));
    first.map(|(at, _)| at.since(viewer.started()))
}

/// Waits until everybody has the first screen; says who has not after `within`.
pub fn everyone_joins<E: Engine>(world: &mut World<E>, within: Duration) -> Result<Duration, String> {
    let all = |world: &World<E>| (0..world.viewers.len()).all(|viewer| time_to_join(world, viewer).is_some());
    world.run_until(within + secs(1), all);
    let mut worst = Duration::ZERO;
    for viewer in 0..world.viewers.len() {
        match time_to_join(world, viewer) {
            Some(took) if took <= within => worst = worst.max(took),
            Some(took) => return Err(format!("viewer {viewer} took {took:?}")),
            None => {
                return Err(format!("viewer {viewer}: {}; host: {:?}", world.story(viewer), world.hosts[0].notices));
            }
        }
    }
    Ok(worst)
}

/// One after the other, each viewer who may type types a multiplication and sees its product.
pub fn everyone_types<E: Engine>(world: &mut World<E>) {
    for viewer in 0..world.viewers.len() {
        if world.viewers[viewer].role() != Role::Control {
            continue;
        }
        let keys = format!("\x0cecho $(({}*7))\r", viewer + 6);
        let product = ((viewer + 6) * 7).to_string();
        let mut rest = keys.as_str();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(world.dice.between(1, 4) as usize));
            world.type_keys(viewer, now);
            let pause = world.dice.up_to(Duration::from_millis(50));
            world.run_for(pause);
            rest = later;
        }
        let seen = world.run_until(secs(15), |world| shows(world.viewers[viewer].node.machine().screen(), &product));
        assert!(seen, "viewer {viewer} does not see {product}: {}", world.story(viewer));
    }
}

/// The program makes noise, the host's terminal may change its size; once quiet, everybody sees what the host has.
pub fn noise_then_quiet<E: Engine>(world: &mut World<E>) {
    let rounds = world.dice.between(1, 3);
    for _ in 0..rounds {
        let seed = world.dice.between(0, u64::MAX / 2);
        world.type_keys(0, &format!("noise {seed}\r"));
        let pause = world.dice.up_to(secs(1));
        world.run_for(pause);
        if world.dice.percent(30) {
            let size = Size::new(world.dice.between(20, 160) as u16, world.dice.between(3, 50) as u16);
            world.host_input(0, HostInput::Resized(size));
        }
    }
    world.type_keys(0, &format!("lines {}\r", world.now().as_micros() % 50));
    world.run_for(Duration::from_millis(1500));
    quiet(world);
}

/// The screen of each present viewer equals the host's, cell for cell, and so does the terminal that the viewer paints
/// on.
pub fn quiet<E: Engine>(world: &mut World<E>) {
    let check = |world: &World<E>| {
        let emulator = world.hosts[0].node.machine().emulator();
        let live = world.viewers.iter().filter(|viewer| viewer.exit.is_none() && viewer.is_here());
        let mut live = live.map(|viewer| same_screens(viewer.node.machine().screen(), emulator));
        live.try_for_each(|same| same)
    };
    let same = world.run_until(secs(30), |world| check(world).is_ok());
    assert!(same, "once quiet, {}", check(world).expect_err("not the same"));
    // The last change is painted within one refresh of the screen, or when the terminal has taken the bytes before.
    world.run_for(Duration::from_millis(100));
    let host = &world.hosts[0];
    if let [size] = host.resized[..] {
        let reference: Vec<_> = reference_rows(size, &host.printed).iter().map(Line::text).collect();
        let shown = world.viewers[0].node.machine().screen().text();
        assert_eq!(shown, reference, "the host's model is not what the program printed");
    }
    for viewer in world.viewers.iter_mut().filter(|viewer| viewer.exit.is_none() && viewer.is_here()) {
        assert_eq!(viewer.node.machine().stage(), Stage::Live);
        if !viewer.node.machine().is_cropped() {
            let expected = viewer.node.machine().screen().text();
            // A larger terminal shows where the session's window ends; that is not the session's.
            let cols = usize::from(viewer.node.machine().screen().head().map_or(0, |head| head.size.cols));
            let painted = painted_text(&mut viewer.terminal, cols);
            assert_eq!(painted[..expected.len().min(painted.len())], expected[..], "what is painted");
        }
    }
}
