//! From a key to its echo on the viewer's screen, over real ICE, DTLS, SCTP and RTP, through links that lose, queue and
//! are shared.
//!
//! `LATENCY_ALL=1 cargo test -p beach-tests --test latency -- --nocapture` prints the whole table of docs/LATENCY.md;
//! without it a few cells are run and held to bounds.

use std::cell;
use std::rc::Rc;
use std::time::Duration;

use beach_core::host::HostInput;
use beach_core::peer::str0m::Str0m;
use beach_core::role::Role;
use beach_tests::determinism;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{
    Bursts, Dice, HostPlan, Pipe, Script, ViewerPlan, Who, Wire, World, fake_engine, ms, real, secs, shows,
};

/// Bytes that wait before a narrow link.
const QUEUE: u64 = 64 * 1024;

/// Keys that are typed in each session of a cell.
const KEYS: usize = 200;

/// Sessions of a cell, each with a seed of its own. Of 200 keys alone two make the p99, and one unlucky datagram
/// decides.
const SESSIONS: u64 = 4;

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Bits a second from the host to a viewer; none for as many as come.
    rate: Option<u64>,
    round_trip: u64,
    loss: u64,
    /// Losses come in rows of up to five.
    bursts: bool,
    /// Between two full screens; none: only echoes.
    every: Option<u64>,
    /// The program tells of a key at once, not only with its next screen.
    answers: bool,
    /// The losses begin with the typing that is measured, after some keys without any.
    sudden: bool,
    /// Keys come 30 to 90 ms apart, seen or not. Otherwise 100 to 300 ms after the last echo.
    fast: bool,
    /// Viewers that share the host's uplink.
    viewers: usize,
}

impl Cell {
    /// The pause before a key.
    fn pause(&self, dice: &mut Dice) -> Duration {
        if self.fast { ms(dice.between(30, 90)) } else { ms(dice.between(100, 300)) }
    }
}

const CELL: Cell = Cell {
    rate: None,
    round_trip: 100,
    loss: 0,
    bursts: false,
    every: Some(33),
    answers: true,
    sudden: false,
    fast: false,
    viewers: 1,
};

struct Measured {
    /// Milliseconds, sorted.
    echoes: Vec<u64>,
    frames_a_second: u64,
}

impl Measured {
    fn percentile(&self, percent: usize) -> u64 {
        self.echoes[(self.echoes.len() * percent / 100).min(self.echoes.len() - 1)]
    }
}

/// All keys of some sessions, the first of which has this seed.
fn measure(cell: Cell, seed: u64) -> Measured {
    let sessions: Vec<_> = (seed..seed + SESSIONS).map(|seed| session(cell, seed)).collect();
    let frames_a_second = sessions.iter().map(|session| session.frames_a_second).sum::<u64>() / SESSIONS;
    let mut echoes: Vec<_> = sessions.into_iter().flat_map(|session| session.echoes).collect();
    echoes.sort_unstable();
    Measured { echoes, frames_a_second }
}

fn session(cell: Cell, seed: u64) -> Measured {
    determinism::run(seed, move || {
        let mut world = real::world(seed);
        let mut host = HostPlan::new(1);
        host.script = Script::Screens { every: ms(cell.every.unwrap_or(3_600_000)), answers: cell.answers };
        world.add_host(host);
        world.run_for(ms(300));
        for _ in 0..cell.viewers {
            let mut plan = ViewerPlan::of(1, Role::Control);
            plan.wire = Wire::steady(ms(cell.round_trip / 2));
            if cell.viewers == 1 {
                plan.pipes = [None, cell.rate.map(|rate| Pipe::new(rate, QUEUE))];
            }
            world.add_viewer(plan);
        }
        assert!(world.run_until(secs(60), |world| (0..cell.viewers).all(|viewer| keys_shown(world, viewer).is_some())));
        if cell.viewers > 1 {
            world.uplink = cell.rate.map(|rate| Pipe::new(rate, QUEUE));
        }
        world.run_for(secs(1));
        let before = if cell.sudden { KEYS } else { 0 };
        for _ in 0..before {
            world.type_keys(0, "k");
            world.run_for(ms(100));
        }
        for viewer in &mut world.viewers {
            viewer.wire.loss = if cell.bursts { 0 } else { cell.loss };
            if cell.bursts {
                // Rows of three on average.
                viewer.bursts = [Bursts::new(cell.loss * 10 / 3, 5); 2];
            }
        }
        // The measured loss, the window and the round trip find their values.
        world.run_for(if cell.sudden { secs(0) } else { secs(5) });
        let (echoes, frames_a_second) = typed(&mut world, cell, before);
        assert_eq!(world.hosts[0].written.len(), before + KEYS, "every key once");
        Measured { echoes, frames_a_second }
    })
}

/// Types the keys that are measured, behind `before` others: the echo of each in milliseconds, and frames a second.
fn typed(world: &mut World<Str0m>, cell: Cell, before: usize) -> (Vec<u64>, u64) {
    let version = |world: &World<_>| {
        let screen: &beach_core::terminal::Screen = world.viewers[0].node.machine().screen();
        screen.head().map_or(0, |head| head.version)
    };
    let (mut echoes, mut typed) = (Vec::new(), Vec::new());
    let (mut frames, mut last) = (0u64, version(world));
    let began = world.now();
    let mut next = began + cell.pause(&mut world.dice);
    while echoes.len() < KEYS {
        let waits = !cell.fast && echoes.len() < typed.len();
        if typed.len() < KEYS && !waits && world.now() >= next {
            world.type_keys(0, "k");
            typed.push(world.now());
            next = world.now() + cell.pause(&mut world.dice);
        }
        world.run_for(ms(1));
        frames += u64::from(std::mem::replace(&mut last, version(world)) != last);
        let shown = keys_shown(world, 0).map_or(0, |shown| shown.saturating_sub(before));
        for pressed in typed.iter().take(shown).skip(echoes.len()) {
            echoes.push(world.now().since(*pressed).as_millis() as u64);
            if !cell.fast {
                next = world.now() + cell.pause(&mut world.dice);
            }
        }
        let oldest = typed.get(echoes.len()).copied().unwrap_or(world.now());
        assert!(world.now().since(oldest) < secs(60), "key {} of {cell:?} is not echoed", echoes.len() + 1);
    }
    (echoes, frames * 1000 / world.now().since(began).as_millis() as u64)
}

/// The number of keys that the viewer's screen says the program has read.
fn keys_shown<E: beach_core::peer::engine::Engine>(world: &World<E>, viewer: usize) -> Option<usize> {
    let screen = world.viewers[viewer].node.machine().screen();
    let row = screen.head()?.size.rows.checked_sub(1)?;
    let text = screen.row(row)?.text();
    text.strip_prefix("keys ").and_then(|count| count.trim().parse().ok()).or(text.is_empty().then_some(0))
}

fn held(cell: Cell, p50: u64, p99: u64) {
    let measured = measure(cell, 1);
    let (half, most) = (measured.percentile(50), measured.percentile(99));
    println!("{cell:?}: {half}/{most} ms, {} frames/s", measured.frames_a_second);
    assert!(half <= p50 && most <= p99, "{cell:?}: p50 {half} ms of {p50}, p99 {most} ms of {p99}");
}

#[test]
fn without_loss_an_echo_takes_the_round_trip_also_while_the_host_prints_30_screens_a_second() {
    held(Cell { every: None, ..CELL }, 102, 104);
    held(CELL, 102, 118);
}

#[test]
fn at_5_percent_loss_half_of_the_echoes_take_the_round_trip_and_99_in_100_little_more() {
    held(Cell { every: None, loss: 5, ..CELL }, 102, 130);
    held(Cell { loss: 5, ..CELL }, 102, 130);
}

#[test]
fn at_20_percent_loss_echoes_still_come_within_the_promise() {
    held(Cell { every: None, loss: 20, ..CELL }, 110, 220);
    held(Cell { loss: 20, ..CELL }, 110, 220);
}

#[test]
fn at_20_percent_loss_fast_typing_is_echoed_no_later_than_slow_typing() {
    held(Cell { every: None, loss: 20, fast: true, ..CELL }, 102, 175);
    held(Cell { loss: 20, fast: true, ..CELL }, 102, 175);
}

#[test]
fn the_first_losses_on_a_path_that_had_none_cost_no_timeout() {
    held(Cell { every: None, loss: 5, sudden: true, ..CELL }, 102, 140);
}

#[test]
fn an_echo_comes_soon_though_the_program_prints_without_a_pause_and_shows_it_late() {
    held(Cell { every: Some(3), answers: false, round_trip: 2, ..CELL }, 8, 15);
}

#[test]
fn the_prompt_after_a_flood_that_somebody_stopped_takes_no_longer_than_the_way() {
    let way = ms(1);
    for seed in 0..20 {
        let mut world = World::new(seed, fake_engine);
        let mut host = HostPlan::new(1);
        host.script = Script::Mute;
        world.add_host(host);
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.wire = Wire::steady(way);
        world.add_viewer(plan);
        everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
        let print = |world: &mut World<_>, text: String| world.host_input(0, HostInput::Printed(text.into_bytes()));
        let flood = |world: &mut World<_>| {
            print(world, "y\r\n".repeat(1300));
            world.run_for(ms(1));
        };
        (0..world.dice.between(200, 220)).for_each(|_| flood(&mut world));
        world.type_keys(0, "\x03");
        while world.hosts[0].written.is_empty() {
            flood(&mut world);
        }
        flood(&mut world);
        print(&mut world, "^C\r\n".to_owned());
        world.run_for(Duration::from_micros(300));
        print(&mut world, "$ again".to_owned());
        let printed = world.now();
        while !shows(world.viewers[0].node.machine().screen(), "$ again") {
            world.run_for(Duration::from_micros(50));
        }
        let took = world.now() - printed;
        assert!(took <= way + Duration::from_micros(100), "seed {seed}: the prompt took {took:?}");
    }
}

#[test]
fn a_viewer_acknowledges_a_frame_of_several_datagrams_with_one() {
    determinism::run(1, || {
        let mut world = real::world(1);
        let mut host = HostPlan::new(1);
        host.script = Script::Screens { every: ms(16), answers: false };
        world.add_host(host);
        let mut plan = ViewerPlan::of(1, Role::View);
        plan.wire = Wire::steady(ms(1));
        world.add_viewer(plan);
        everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
        world.run_for(secs(2));
        let sent = Rc::new(cell::Cell::new((0, 0)));
        let count = Rc::clone(&sent);
        world.tamper = Some(Box::new(move |packet| {
            let (down, up) = count.get();
            count.set(match packet.from {
                Who::Host(_) => (down + 1, up),
                Who::Viewer(_) => (down, up + 1),
            });
            Some(packet.bytes)
        }));
        let shown = |world: &World<_>| world.viewers[0].node.machine().screen().head().map_or(0, |head| head.version);
        let (mut frames, mut last) = (0, shown(&world));
        for _ in 0..10_000 {
            world.run_for(Duration::from_micros(500));
            frames += usize::from(std::mem::replace(&mut last, shown(&world)) != last);
        }
        let (down, up) = sent.get();
        println!("{frames} frames, {down} datagrams down, {up} up");
        assert!(frames > 250 && down >= 3 * frames, "{frames} frames of {down} datagrams");
        assert!(up <= frames * 11 / 10, "{up} datagrams acknowledge {frames} frames");
    });
}

#[test]
fn a_narrow_link_is_not_filled_so_that_echoes_wait_behind_screens() {
    held(Cell { rate: Some(1_000_000), ..CELL }, 145, 200);
}

#[test]
fn all_cells() {
    if std::env::var_os("LATENCY_ALL").is_none() {
        return;
    }
    println!("| link | round trip | loss | echo only | 30 screens a second | frames shown |");
    println!("|---|---|---|---|---|---|");
    for (name, rate) in [("unlimited", None), ("1 Mbit/s", Some(1_000_000)), ("256 kbit/s", Some(256_000))] {
        for round_trip in [20, 100, 200, 400] {
            for loss in [0, 5, 20] {
                row(name, Cell { rate, round_trip, loss, ..CELL });
            }
        }
    }
    row("unlimited, losses in rows", Cell { loss: 5, bursts: true, ..CELL });
    row("unlimited, losses in rows", Cell { loss: 20, bursts: true, ..CELL });
    for viewers in [2, 4, 8] {
        row(&format!("4 Mbit/s shared by {viewers} viewers"), Cell { rate: Some(4_000_000), viewers, ..CELL });
    }
}

fn row(name: &str, cell: Cell) {
    let quiet = measure(Cell { every: None, ..cell }, 301);
    let busy = measure(cell, 301);
    let figures = |measured: &Measured| format!("{}/{}", measured.percentile(50), measured.percentile(99));
    println!(
        "| {name} | {} ms | {} % | {} | {} | {}/s |",
        cell.round_trip,
        cell.loss,
        figures(&quiet),
        figures(&busy),
        busy.frames_a_second
    );
}

#[test]
fn a_pipe_lets_through_what_its_rate_allows_and_drops_what_does_not_fit_before_it() {
    let mut pipe = Pipe::new(1_000_000, 10_000);
    let now = beach_core::time::Timestamp::ZERO;
    let through: Vec<_> = (0..20).filter_map(|_| pipe.pass(now, 972)).collect();
    assert_eq!(through.len(), 10);
    assert_eq!(through.last(), Some(&(now + Duration::from_millis(80))));
}
