//! The memory cost of a viewer. In a process of its own, because the whole process is measured.

use beach_core::role::Role;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{HostPlan, Pipe, Script, ViewerPlan, Wire, World, fake_engine, ms, secs};

/// Bytes of memory that the process holds.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux").split(' ').nth(1).map(str::to_owned);
    pages.and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// The memory of this many viewers of a flood, behind links of 1 Mbit/s with 10 % loss.
fn cost(viewers: usize) -> u64 {
    let before = resident();
    let mut world = World::new(7, fake_engine);
    let mut host = HostPlan::new(1);
    host.script = Script::Flood { every: ms(20), pages: 1000 };
    world.add_host(host);
    for _ in 0..viewers {
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.wire = Wire { jitter: ms(20), ..Wire::steady(ms(50)) };
        plan.wait = Some(secs(5));
        plan.pipes = [Some(Pipe::new(1_000_000, 64 * 1024)); 2];
        world.add_viewer(plan);
    }
    everyone_joins(&mut world, secs(60)).unwrap_or_else(|who| panic!("{who}"));
    world.viewers.iter_mut().for_each(|viewer| viewer.wire.loss = 10);
    world.run_for(secs(10));
    let cost = resident().saturating_sub(before);
    // Memory that the first world leaves to the allocator would make the second one look cheap.
    std::mem::forget(world);
    cost
}

#[test]
fn a_viewer_costs_at_most_four_megabytes_on_both_sides_together() {
    let (few, many) = (cost(1), cost(9));
    let each = many.saturating_sub(few) / 8;
    println!("{} KiB a viewer, its terminal and its host's part of it together", each / 1024);
    assert!((1..=4 << 20).contains(&each), "{each} bytes a viewer");
}
