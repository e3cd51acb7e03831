//! The host's own keys come first, even if viewers paste and type, and if the program reads nothing.
#![cfg(target_os = "linux")]

use std::time::Duration;

use beach_core::host::{Escape, Host, HostInput, HostOutput, ModeratorAction};
use beach_core::id::MemberId;
use beach_core::machine::Machine as _;
use beach_core::role::Role;
use beach_core::session::link::Event;
use beach_core::terminal::MAX_REPLIES;
use beach_core::time::Timestamp;
use beach_core::viewer::ViewerInput;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{FakeEngine, HostPlan, Script, ViewerPlan, World, fake_engine, ms, secs};

/// The host's keys are with the PTY after this time at most.
const AT_ONCE: Duration = ms(50);

fn session(script: Script, viewers: usize) -> World<FakeEngine> {
    let mut world = World::new(5, fake_engine);
    let mut plan = HostPlan::new(1);
    (plan.config.headless, plan.config.escape, plan.records) = (false, Escape::Always(0x1d), true);
    plan.script = script;
    world.add_host(plan);
    for _ in 0..viewers {
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.wait = Some(secs(5));
        world.add_viewer(plan);
    }
    everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
    world.run_for(secs(1));
    world
}

fn brackets(world: &mut World<FakeEngine>) {
    world.host_input(0, HostInput::Printed(b"\x1b[?2004h".to_vec()));
    world.run_for(ms(100));
}

fn paste(world: &mut World<FakeEngine>, viewer: usize, text: &[u8], first: bool, last: bool) {
    world.viewer_input(viewer, ViewerInput::Paste { bytes: text.to_vec(), first, last });
}

fn keys(world: &mut World<FakeEngine>, keys: &[u8]) {
    world.host_input(0, HostInput::Keys(keys.to_vec()));
    world.run_for(AT_ONCE);
}

fn written(world: &World<FakeEngine>) -> String {
    String::from_utf8_lossy(&world.hosts[0].written).into_owned()
}

fn members(world: &World<FakeEngine>) -> usize {
    world.hosts[0].node.machine().members()
}

#[test]
fn the_host_s_keys_end_a_viewer_s_paste_at_once_and_nothing_of_it_comes_after_them() {
    for bracketed in [true, false] {
        let mut world = session(Script::Mute, 1);
        if bracketed {
            brackets(&mut world);
        }
        paste(&mut world, 0, b"A", true, false);
        world.run_for(ms(500));

        keys(&mut world, b"ls");

        let expected = if bracketed { "\x1b[200~A\x1b[201~ls" } else { "Als" };
        assert_eq!(written(&world), expected);
        for _ in 0..5 {
            paste(&mut world, 0, b"B", false, false);
            world.run_for(secs(2));
        }
        paste(&mut world, 0, b"C", false, true);
        world.run_for(secs(1));
        keys(&mut world, b"\r");
        assert_eq!(written(&world), format!("{expected}\r"));
        // The next paste counts as a paste, and keys count as keys.
        paste(&mut world, 0, b"D", true, true);
        world.run_for(secs(1));
        world.type_keys(0, "e");
        world.run_for(secs(1));
        let next = if bracketed { "\x1b[200~D\x1b[201~e" } else { "De" };
        assert_eq!(written(&world), format!("{expected}\r{next}"));
    }
}

#[test]
fn a_bracket_that_a_viewer_types_as_keys_does_not_swallow_the_host_s() {
    let mut world = session(Script::Mute, 1);
    brackets(&mut world);
    world.type_keys(0, "\x1b[200~rm");
    world.run_for(secs(1));

    keys(&mut world, b"ls\r");

    assert_eq!(written(&world), "\x1b[200~rm\x1b[201~ls\r");
}

#[test]
fn an_unfinished_paste_of_the_host_s_own_deadens_the_escape_for_two_seconds_at_most() {
    let mut world = session(Script::Mute, 1);
    keys(&mut world, b"\x1b[200~text \x1dp");
    assert!(!world.hosts[0].node.machine().status().paused, "it was pasted");
    world.run_for(secs(2));

    keys(&mut world, b"\x1dp");

    assert!(world.hosts[0].node.machine().status().paused);
    assert_eq!(written(&world), "\x1b[200~text \x1dp");
}

#[test]
fn no_viewer_s_keys_come_into_the_middle_of_the_host_s_own_paste() {
    let mut world = session(Script::Mute, 1);
    keys(&mut world, b"\x1b[200~one ");
    world.type_keys(0, "v");
    world.run_for(ms(300));
    keys(&mut world, b"two\x1b[201~");
    world.run_for(secs(1));

    assert_eq!(written(&world), "\x1b[200~one two\x1b[201~v");
}

#[test]
fn where_no_program_reads_the_host_s_keys_are_first_at_the_pty_and_the_escape_works() {
    let mut world = session(Script::Deaf, 2);
    for _ in 0..10 {
        world.type_keys(0, &"x".repeat(2000));
        world.run_for(ms(100));
    }
    assert!(written(&world).starts_with('x'), "{:?}", written(&world));

    keys(&mut world, b"\x03");

    assert_eq!(written(&world), "\x03");
    let own = |output: &HostOutput| *output == HostOutput::WriteOwn(b"\x03".to_vec());
    assert!(world.hosts[0].outputs.iter().any(own), "a signal may be among them");
    keys(&mut world, b"q");
    assert_eq!(written(&world), "\x03q");
    keys(&mut world, b"\x1dk1\r");
    world.run_for(secs(5));
    assert_eq!(members(&world), 1);
}

#[test]
fn who_may_type_no_more_has_nothing_left_to_be_written() {
    let removed = ModeratorAction::Kick { member: MemberId(1), keep_links: true };
    for action in [ModeratorAction::Revoke(MemberId(1)), removed, ModeratorAction::Pause] {
        let mut world = session(Script::Deaf, 1);
        for _ in 0..10 {
            world.type_keys(0, &"x".repeat(2000));
            world.run_for(ms(100));
        }
        assert!(written(&world).starts_with('x'), "{:?}", written(&world));

        world.host_input(0, HostInput::Act(action.clone()));
        world.run_for(AT_ONCE);

        assert_eq!(written(&world), "", "{action:?}");
        world.run_for(secs(20));
        assert_eq!(written(&world), "", "{action:?}");
    }
}

#[test]
fn keys_of_the_host_that_no_program_reads_are_bounded_and_the_escape_is_read_behind_them() {
    let mut world = session(Script::Deaf, 1);
    let taken = |world: &World<FakeEngine>| {
        world.hosts[0].outputs.iter().filter(|output| **output == HostOutput::KeysTaken).count()
    };
    for sent in 1..=64 {
        keys(&mut world, &[b'a'; 4096]);
        while taken(&world) < sent {
            world.run_for(ms(100));
        }
    }
    assert!(written(&world).len() <= 128 * 1024, "{}", written(&world).len());

    keys(&mut world, b"\x1dp\x03");

    assert!(world.hosts[0].node.machine().status().paused);
    assert!(written(&world).ends_with("a\x03"), "a signal is never dropped");
}

#[test]
fn answers_that_no_program_reads_are_bounded() {
    let mut plan = HostPlan::new(1);
    plan.config.headless = true;
    let mut host = Host::new(plan.config);
    let mut now = Timestamp::ZERO;
    let mut tell = |input: HostInput| {
        now = now + ms(1);
        host.handle(now, input);
        let outputs = std::iter::from_fn(|| host.poll());
        outputs.filter_map(|output| if let HostOutput::Write(bytes) = output { Some(bytes) } else { None }).collect()
    };
    let _: Vec<Vec<u8>> = tell(HostInput::Link(Event::SignalUp));
    tell(HostInput::Link(Event::Registered));
    let first = tell(HostInput::Printed(b"\x1b[c".to_vec()));
    assert_eq!(first.len(), 1, "an answer is on its way");

    for _ in 0..200 {
        assert!(tell(HostInput::Printed(b"\x1b[c".repeat(1000))).is_empty(), "the first one is not written yet");
    }

    let then = tell(HostInput::Written);
    let sizes: Vec<_> = then.iter().map(Vec::len).collect();
    assert!(matches!(sizes[..], [1..=MAX_REPLIES]), "{sizes:?}");
}
