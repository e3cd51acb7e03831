//! With eight viewers, what a program asks its terminal is answered once: by the model when nobody else would, and
//! never by a viewer.

use beach_core::host::HostInput;
use beach_core::role::Role;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{HostPlan, Script, ViewerPlan, World, fake_engine, secs};

/// Each query with the one answer to it, asked in this order in a terminal of 80 × 24.
const ANSWERS: [(&str, &str); 11] = [
    ("\x1b[c", "\x1b[?64;21;22;28c"),
    ("\x1b[>c", "\x1b[>0;2600;1c"),
    ("\x1b[>q", concat!("\x1bP>|beach(", env!("CARGO_PKG_VERSION"), ")\x1b\\")),
    ("\x1b[5n", "\x1b[0n"),
    ("\x1b[2;3H\x1b[6n", "\x1b[2;3R"),
    ("\x1b[?7$p", "\x1b[?7;1$y"),
    ("\x1b]10;?\x07", "\x1b]10;rgb:e5e5/e5e5/e5e5\x07"),
    ("\x1b]11;?\x07", "\x1b]11;rgb:0000/0000/0000\x07"),
    ("\x1b]4;1;?\x07", "\x1b]4;1;rgb:cdcd/0000/0000\x07"),
    ("\x1bP$qm\x1b\\", "\x1bP1$r0m\x1b\\"),
    ("\x1b[?u", "\x1b[?0u"),
];

/// The input of the program of a host with eight viewers, four of whom may type.
fn heard(headless: bool) -> String {
    let mut world = World::new(8, fake_engine);
    let mut plan = HostPlan::new(1);
    plan.config.headless = headless;
    plan.script = Script::Mute;
    world.add_host(plan);
    for viewer in 0..8 {
        world.add_viewer(ViewerPlan::of(1, if viewer % 2 == 0 { Role::Control } else { Role::View }));
    }
    everyone_joins(&mut world, secs(20)).unwrap_or_else(|who| panic!("{who}"));
    for (query, _) in ANSWERS {
        world.host_input(0, HostInput::Printed(query.into()));
        world.run_for(secs(1));
    }
    world.run_for(secs(5));
    String::from_utf8(world.hosts[0].written.clone()).expect("answers are text")
}

#[test]
fn eight_viewers_and_no_terminal_of_its_own_give_a_program_one_answer_each() {
    assert_eq!(heard(true), ANSWERS.map(|(_, answer)| answer).concat());
}

#[test]
fn eight_viewers_and_a_terminal_of_its_own_add_no_answer_to_that_terminals() {
    assert_eq!(heard(false), "");
}
