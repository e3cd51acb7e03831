//! The host tells each viewer that asks for the list who is here and who types.
#![cfg(target_os = "linux")]

use beach_core::host::{Approve, Escape, HostInput, ModeratorAction};
use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::terminal::Line;
use beach_core::viewer::ViewerInput;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{FakeEngine, HostPlan, Script, ViewerPlan, Who, World, fake_engine, ms, secs};

/// A host at a terminal of its own.
fn host() -> World<FakeEngine> {
    let mut world = World::new(11, fake_engine);
    let mut plan = HostPlan::new(1);
    (plan.config.headless, plan.config.approve, plan.config.escape) = (false, Approve::Nobody, Escape::Always(0x1d));
    plan.script = Script::Mute;
    world.add_host(plan);
    world.run_for(secs(1));
    world
}

/// A viewer of that name, who begins with this input.
fn begins(world: &mut World<FakeEngine>, name: &str, role: Role, input: ViewerInput) -> usize {
    let mut plan = ViewerPlan::of(1, role);
    plan.name = Some(name.to_owned());
    let viewer = world.add_viewer(plan);
    world.viewer_input(viewer, input);
    viewer
}

/// A viewer of that name, who has joined, and asks for the list.
fn joins(world: &mut World<FakeEngine>, name: &str, role: Role) -> usize {
    let viewer = begins(world, name, role, ViewerInput::WantMembers);
    everyone_joins(world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    viewer
}

/// The page over a viewer's terminal.
fn page(world: &mut World<FakeEngine>, viewer: usize) -> Vec<String> {
    let terminal = &mut world.viewers[viewer].terminal;
    terminal.end_synchronized();
    terminal.frame();
    let head = terminal.head().clone();
    let rows = (head.top..head.top + u64::from(head.size.rows)).map(|number| {
        let line = Line::decode(terminal.line(head.space, number).expect("in the window").1).expect("canonical");
        line.text().trim_end().to_owned()
    });
    rows.skip_while(|row| !row.starts_with("beach: ")).collect()
}

#[test]
fn each_viewer_sees_who_is_here_and_who_types_for_as_long_as_that_is_so() {
    let mut world = host();
    let ann = joins(&mut world, "ann", Role::Control);
    let bob = joins(&mut world, "bob", Role::View);
    world.viewer_input(bob, ViewerInput::Members);
    world.run_for(secs(2));
    let (both, watches) = ("beach: 2 viewers are here; any key closes this", "     2 \"bob\"  may only watch  (you)");
    assert_eq!(page(&mut world, bob), [both, "     1 \"ann\"  may type", watches]);

    world.type_keys(ann, "ls");
    world.run_for(ms(1_200));
    assert_eq!(page(&mut world, bob), [both, "     1 \"ann\"  may type, types now", watches]);
    world.run_for(secs(4));
    assert_eq!(page(&mut world, bob), [both, "     1 \"ann\"  may type", watches]);

    world.host_input(0, HostInput::Keys(b"x".to_vec()));
    world.run_for(ms(1_200));
    assert_eq!(page(&mut world, bob)[1], "       the host types now");
    // A report that the terminal sends by itself is no typing.
    world.run_for(secs(4));
    world.host_input(0, HostInput::Keys(b"\x1b[I\x1b[3;4R\x1b[<35;1;1M".to_vec()));
    world.run_for(ms(1_200));
    assert_eq!(page(&mut world, bob).len(), 3, "{:?}", page(&mut world, bob));

    world.host_input(0, HostInput::Act(ModeratorAction::Revoke(MemberId(1))));
    world.run_for(ms(1_200));
    assert_eq!(page(&mut world, bob)[1], "     1 \"ann\"  may only watch");
    world.viewer_input(ann, ViewerInput::Leave);
    world.run_for(ms(1_200));
    assert_eq!(page(&mut world, bob), ["beach: 1 viewer is here; any key closes this", watches]);
    world.viewer_input(bob, ViewerInput::Turn);
    world.run_for(ms(100));
    assert_eq!(page(&mut world, bob), [""; 0]);
}

#[test]
fn a_viewer_that_comes_back_is_told_again_and_the_others_that_they_were_away() {
    let mut world = host();
    let ann = joins(&mut world, "ann", Role::Control);
    let bob = joins(&mut world, "bob", Role::View);
    [ann, bob].into_iter().for_each(|viewer| world.viewer_input(viewer, ViewerInput::Members));
    world.cut(Who::Viewer(ann), true);
    world.run_for(secs(30));
    assert_eq!(page(&mut world, bob)[0], "beach: 1 viewer is here; any key closes this");
    let carl = begins(&mut world, "carl", Role::View, ViewerInput::WantMembers);
    world.run_for(secs(5));

    world.cut(Who::Viewer(ann), false);
    world.run_for(secs(30));

    for viewer in [ann, bob] {
        assert_eq!(page(&mut world, viewer)[0], "beach: 3 viewers are here; any key closes this", "{viewer}");
    }
    world.viewer_input(carl, ViewerInput::Members);
    world.run_for(secs(1));
    assert_eq!(page(&mut world, carl)[3], "     3 \"carl\"  may only watch  (you)");
}

#[test]
fn a_viewer_that_did_not_ask_is_told_nothing_as_by_an_older_host() {
    let mut world = host();
    joins(&mut world, "ann", Role::Control);
    let old = begins(&mut world, "old", Role::Control, ViewerInput::Tick);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));

    world.viewer_input(old, ViewerInput::Members);
    world.run_for(secs(2));

    assert_eq!(page(&mut world, old), ["beach: this host does not tell who is here"]);
}

#[test]
fn in_a_pause_nobody_is_told_that_the_host_types() {
    let mut world = host();
    let ann = joins(&mut world, "ann", Role::Control);
    world.viewer_input(ann, ViewerInput::Members);
    world.host_input(0, HostInput::Act(ModeratorAction::Pause));
    world.host_input(0, HostInput::Keys(b"secret".to_vec()));
    world.run_for(secs(2));
    assert_eq!(page(&mut world, ann).len(), 2, "{:?}", page(&mut world, ann));
}

#[test]
fn a_pause_and_a_lost_connection_are_told_above_the_page_and_a_viewer_without_a_name_has_a_number() {
    let mut world = host();
    let ann = joins(&mut world, "ann", Role::Control);
    let nobody = joins(&mut world, " ", Role::View);
    world.viewer_input(ann, ViewerInput::Members);
    world.viewer_input(ann, ViewerInput::Standing(Some("beach: the host paused the session".to_owned())));
    world.run_for(secs(2));
    let rows = ["beach: the host paused the session", "beach: 2 viewers are here; any key closes this"];
    let listed = ["     1 \"ann\"  may type  (you)", "     2 viewer 2  may only watch"];
    assert_eq!(page(&mut world, ann), [rows, listed].concat());
    world.viewer_input(nobody, ViewerInput::Page("beach: help".to_owned()));
    world.viewer_input(nobody, ViewerInput::Standing(Some("beach: reconnecting, 1 s".to_owned())));
    world.run_for(secs(1));
    assert_eq!(page(&mut world, nobody), ["beach: reconnecting, 1 s", "beach: help"]);
}
