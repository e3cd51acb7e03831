//! Flood and typing for a minute, through a narrow and lossy link: every key once, the same screen once it is quiet,
//! and in the viewer's own scrollback every line once, in order, or a line that says how many are missing.

use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, Space};
use beach_core::time::Timestamp;
use beach_core::viewer::{READABLE, ViewerInput};
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, quiet};
use beach_tests::sim::{
    FakeEngine, HostPlan, Pipe, Script, ViewerPlan, Who, Wire, World, fake_engine, for_each_seed, ms, real, secs,
};

const FILE: &str = "synchronised";

/// A world with a flooding host and viewers behind links of a megabit a second with 64 KB before them.
fn flooded<E: Engine>(mut world: World<E>, viewers: usize, loss: u64, seconds: u64) -> World<E> {
    let every = world.dice.between(20, 200);
    let mut host = HostPlan::new(1);
    host.config.history = 10_000;
    host.script = Script::Flood { every: ms(every), pages: (seconds * 1000 / every) as u32 };
    world.add_host(host);
    for _ in 0..viewers {
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.wire = Wire { jitter: ms(world.dice.between(0, 40)), ..Wire::steady(ms(world.dice.between(5, 100))) };
        plan.wait = Some(secs(5));
        plan.pipes = [Some(Pipe::new(1_000_000, 64 * 1024)); 2];
        world.add_viewer(plan);
    }
    everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"));
    world.viewers.iter_mut().for_each(|viewer| viewer.wire.loss = loss);
    world
}

/// Somebody types all the time, for this long; returns the text.
fn typed_meanwhile<E: Engine>(world: &mut World<E>, seconds: u64) -> String {
    let end = world.now() + secs(seconds);
    let mut typed = String::new();
    while world.now() < end {
        let key = char::from(b'a' + (typed.len() % 26) as u8);
        typed.push(key);
        world.type_keys(0, &key.to_string());
        let pause = world.dice.between(10, 400);
        world.run_for(ms(pause));
    }
    typed
}

/// The lines of a terminal, from the oldest in its scrollback to the last in its window.
fn all_lines(terminal: &mut Emulator) -> Vec<String> {
    terminal.frame();
    let end = terminal.top() + u64::from(terminal.head().size.rows);
    let text = |number| Line::decode(terminal.line(Space::Main, number)?.1).ok().map(|line| line.text());
    (terminal.base()..end).filter_map(text).collect()
}

/// The place of a line of the flood in all that the flood printed.
fn place(line: &str) -> Option<u64> {
    let (page, rest) = line.split_once("page ")?.1.split_once(" line ")?;
    Some(page.parse::<u64>().ok()? * 40 + rest.split_once(" of forty")?.0.parse::<u64>().ok()?)
}

/// How many lines a line says are missing.
fn missing(line: &str) -> Option<u64> {
    let count = line.strip_prefix("[beach: ")?.split_once(' ')?.0;
    count.replace(',', "").parse().ok()
}

fn in_order_each_once(lines: &[String]) -> usize {
    let (mut last, mut gap, mut seen) = (None, 0, 0);
    for line in lines {
        if let Some(count) = missing(line) {
            gap += count;
        } else if let Some(place) = place(line) {
            if let Some(last) = last {
                assert_eq!(place, last + 1 + gap, "after line {last} and {gap} missing ones comes {line:?}");
            }
            (last, gap, seen) = (Some(place), 0, seen + 1);
        }
    }
    seen
}

fn holds<E: Engine>(world: World<E>, loss: u64, seconds: u64) {
    let mut world = flooded(world, 2, loss, seconds);
    let typed = typed_meanwhile(&mut world, seconds);
    let over = world.now() + secs(30);
    world.run_until(secs(30), |world| world.hosts[0].written.len() == typed.len());
    world.run_to(over);
    assert_eq!(String::from_utf8_lossy(&world.hosts[0].written), typed, "every key once, in order");
    world.viewers.iter_mut().for_each(|viewer| viewer.wire.loss = 0);
    quiet(&mut world);
    world.run_for(secs(10));
    for viewer in &mut world.viewers {
        let lines = all_lines(&mut viewer.terminal);
        let seen = in_order_each_once(&lines);
        assert!(seen > 200, "only {seen} of {} lines: {:?}", lines.len(), &lines[..lines.len().min(60)]);
        assert!(lines.iter().any(|line| line.contains("quiet")), "the end is there");
    }
}

#[test]
fn at_up_to_30_percent_loss_every_key_comes_once_and_every_line_once_or_is_said_to_be_missing() {
    let name = "at_up_to_30_percent_loss_every_key_comes_once_and_every_line_once_or_is_said_to_be_missing";
    for_each_seed(FILE, name, 0..12, |seed| {
        let fake: fn(Who, Timestamp) -> FakeEngine = fake_engine;
        holds(World::new(seed, fake), seed * 30 / 11, 60);
    });
}

#[test]
fn over_real_ice_dtls_sctp_and_rtp_it_is_the_same() {
    for_each_seed(FILE, "over_real_ice_dtls_sctp_and_rtp_it_is_the_same", 0..4, |seed| {
        determinism::run(seed, move || holds(real::world(seed), seed * 10, 20));
    });
}

#[test]
fn a_remark_stays_readable_over_a_flood_and_leaves_no_trace_in_the_scrollback() {
    const SAID: &str = "the build is broken";
    let name = "a_remark_stays_readable_over_a_flood_and_leaves_no_trace_in_the_scrollback";
    for_each_seed(FILE, name, 0..6, |seed| {
        let fake: fn(Who, Timestamp) -> FakeEngine = fake_engine;
        let mut world = flooded(World::new(seed, fake), 1, seed * 4, 10);
        let is_shown = |world: &mut World<FakeEngine>| {
            let terminal = &mut world.viewers[0].terminal;
            let (lines, rows) = (all_lines(terminal), usize::from(terminal.head().size.rows));
            lines.iter().rev().take(rows).any(|line| line.contains(SAID))
        };
        world.run_for(secs(2));
        world.viewer_input(0, ViewerInput::Remark(SAID.to_owned()));
        // The terminal takes one frame after the other.
        world.run_for(ms(10));
        let over = world.now() + READABLE;
        while world.now() + ms(50) < over {
            assert!(is_shown(&mut world), "gone {:?} early", over - world.now());
            world.run_for(ms(40));
        }
        world.run_to(over + ms(10));
        assert!(!is_shown(&mut world), "the time is over");
        world.run_for(secs(30));
        world.viewers[0].wire.loss = 0;
        quiet(&mut world);
        world.run_for(secs(10));
        let lines = all_lines(&mut world.viewers[0].terminal);
        assert!(in_order_each_once(&lines) > 100, "{} lines", lines.len());
        assert!(!lines.iter().any(|line| line.contains(SAID)), "a row of ours is among the program's lines");
    });
}
