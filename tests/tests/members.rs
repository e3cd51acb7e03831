//! Several people in one session: whose size counts, whose paste is under way, who gets the clipboard's text, what a
//! late viewer gets.

use beach_core::host::{HostInput, ModeratorAction, Resize};
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, Size, Space};
use beach_core::viewer::{ViewerInput, ViewerNotice};
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{FakeEngine, HostPlan, Script, ViewerPlan, Who, Wire, World, fake_engine, ms, secs};

fn session(resize: Resize, script: Script, sizes: &[Size]) -> World<FakeEngine> {
    let mut world = World::new(1, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.resize, host.script) = (resize, script);
    world.add_host(host);
    for size in sizes {
        let mut plan = ViewerPlan::of(1, Role::Control);
        (plan.size, plan.clipboard, plan.wait) = (*size, true, Some(secs(5)));
        world.add_viewer(plan);
    }
    everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
    world.run_for(secs(1));
    world
}

fn size_of(world: &World<FakeEngine>) -> Size {
    *world.hosts[0].resized.last().expect("it has one")
}

#[test]
fn with_smallest_everybody_sees_all_of_it_and_the_size_comes_back_when_the_smallest_leaves() {
    let mut world = session(Resize::Smallest, Script::Mute, &[Size::new(100, 20), Size::new(60, 50)]);
    assert_eq!(size_of(&world), Size::new(60, 20));

    world.viewer_input(1, ViewerInput::Leave);
    world.run_for(secs(1));

    assert_eq!(size_of(&world), Size::new(80, 20));
}

#[test]
fn with_smallest_only_who_may_type_counts_and_nobody_makes_the_terminal_useless() {
    let mut world = session(Resize::Smallest, Script::Mute, &[Size::new(70, 22), Size::new(3, 1)]);
    assert_eq!(size_of(&world), Size::new(20, 5));

    let members = world.hosts[0].node.machine().status().members;
    let tiny = members.iter().find(|member| member.name == "viewer 1").expect("it is in").id;
    for (act, expected) in [
        (ModeratorAction::Revoke(tiny), Size::new(70, 22)),
        (ModeratorAction::Grant(tiny), Size::new(20, 5)),
        (ModeratorAction::Revoke(tiny), Size::new(70, 22)),
    ] {
        world.host_input(0, HostInput::Act(act));
        world.run_for(secs(1));
        assert_eq!(size_of(&world), expected);
    }

    let mut plan = ViewerPlan::of(1, Role::View);
    plan.size = Size::new(30, 10);
    world.add_viewer(plan);
    world.run_for(secs(2));
    assert_eq!(size_of(&world), Size::new(70, 22), "who may only watch does not count");
}

#[test]
fn a_named_viewer_cannot_make_the_terminal_useless_either() {
    let world = session(Resize::Named("viewer 0".to_owned()), Script::Mute, &[Size::new(3, 50)]);
    assert_eq!(size_of(&world), Size::new(20, 50));
}

#[test]
fn with_a_name_that_viewer_decides_while_it_is_here_and_nobody_else_does() {
    let mut world =
        session(Resize::Named("viewer 1".to_owned()), Script::Mute, &[Size::new(30, 10), Size::new(120, 40)]);
    assert_eq!(size_of(&world), Size::new(120, 40));

    world.viewer_input(1, ViewerInput::Resized(Size::new(90, 25)));
    world.viewer_input(0, ViewerInput::Resized(Size::new(20, 5)));
    world.run_for(secs(1));
    assert_eq!(size_of(&world), Size::new(90, 25));

    world.viewer_input(1, ViewerInput::Leave);
    world.run_for(secs(1));
    assert_eq!(size_of(&world), Size::new(80, 24));
}

fn paste(world: &mut World<FakeEngine>, viewer: usize, text: &[u8], first: bool, last: bool) {
    world.viewer_input(viewer, ViewerInput::Paste { bytes: text.to_vec(), first, last });
}

#[test]
fn nobody_s_keys_come_into_the_middle_of_a_paste_and_its_brackets_are_the_host_s() {
    let mut world = session(Resize::Owner, Script::Mute, &[Size::new(80, 24), Size::new(80, 24)]);
    world.host_input(0, HostInput::Printed(b"\x1b[?2004h".to_vec()));
    paste(&mut world, 0, b"one\x1b[201~", true, false);
    world.run_for(ms(500));
    world.type_keys(1, "typed");
    world.run_for(ms(500));
    paste(&mut world, 0, b"two", false, true);
    world.run_for(secs(1));

    let written = String::from_utf8_lossy(&world.hosts[0].written).into_owned();
    assert!(written.starts_with("\x1b[200~one"), "{written:?}");
    assert!(written.ends_with("two\x1b[201~typed"), "{written:?}");
    assert_eq!(written.matches("\x1b[201~").count(), 1, "{written:?}");
}

#[test]
fn a_paste_whose_author_is_gone_ends_and_others_type_on() {
    let mut world = session(Resize::Owner, Script::Mute, &[Size::new(80, 24), Size::new(80, 24)]);
    world.host_input(0, HostInput::Printed(b"\x1b[?2004h".to_vec()));
    paste(&mut world, 0, b"half", true, false);
    world.run_for(ms(500));
    world.kill_viewer(0);
    world.type_keys(1, "typed");

    world.run_for(secs(4));

    assert_eq!(String::from_utf8_lossy(&world.hosts[0].written), "\x1b[200~half\x1b[201~typed");
}

#[test]
fn a_clipboard_reaches_whole_who_asked_for_it() {
    let mut world = session(Resize::Owner, Script::Mute, &[Size::new(80, 24)]);
    let text = "clip ".repeat(1000);
    let encoded: String = {
        use std::io::Write as _;
        let mut child = std::process::Command::new("base64")
            .arg("-w0")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("coreutils");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
    };
    world.host_input(0, HostInput::Printed(format!("\x1b]52;c;{encoded}\x07").into_bytes()));

    world.run_for(secs(2));

    assert_eq!(copied(&world), [text]);
}

/// The texts that the first viewer got for its clipboard.
fn copied(world: &World<FakeEngine>) -> Vec<String> {
    let text =
        |notice: &ViewerNotice| if let ViewerNotice::Clipboard(text) = notice { Some(text.clone()) } else { None };
    world.viewers[0].notices.iter().filter_map(|(_, notice)| text(notice)).collect()
}

#[test]
fn what_the_program_copies_in_a_pause_reaches_no_clipboard_of_a_viewer() {
    let mut world = session(Resize::Owner, Script::Mute, &[Size::new(80, 24)]);
    let copies = |encoded: &str| HostInput::Printed(format!("\x1b]52;c;{encoded}\x07").into_bytes());
    world.host_input(0, HostInput::Act(ModeratorAction::Pause));
    world.run_for(secs(1));
    // "secret", and then "public".
    world.host_input(0, copies("c2VjcmV0"));
    world.run_for(secs(5));
    world.host_input(0, HostInput::Act(ModeratorAction::Resume));
    world.run_for(secs(5));
    world.host_input(0, copies("cHVibGlj"));
    world.run_for(secs(5));

    assert_eq!(copied(&world), ["public"]);
}

/// The lines of a terminal, from the oldest in its scrollback on.
fn all_lines(terminal: &mut Emulator) -> Vec<String> {
    terminal.frame();
    let end = terminal.top() + u64::from(terminal.head().size.rows);
    let text = |number| Line::decode(terminal.line(Space::Main, number)?.1).ok().map(|line| line.text());
    (terminal.base()..end).filter_map(text).collect()
}

#[test]
fn a_late_viewer_gets_as_much_history_as_it_asked_for_in_its_own_scrollback_through_loss() {
    for history in [0, 100, 1000] {
        let mut world = session(Resize::Owner, Script::Mute, &[]);
        let text: String = (0..3000).map(|line| format!("line {line} of the past\r\n")).collect();
        world.host_input(0, HostInput::Printed(text.into_bytes()));
        world.run_for(secs(1));
        let mut plan = ViewerPlan::of(1, Role::View);
        (plan.history, plan.size) = (history, Size::new(80, 24));
        plan.wire = Wire { loss: 10, jitter: ms(20), ..Wire::steady(ms(30)) };
        world.add_viewer(plan);
        everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
        world.run_for(secs(10));

        let lines: Vec<_> =
            all_lines(&mut world.viewers[0].terminal).into_iter().filter(|line| line.contains("past")).collect();
        // The window shows 23 of them and an empty row.
        let expected: Vec<_> =
            (3000 - 23 - u64::from(history)..3000).map(|line| format!("line {line} of the past")).collect();
        assert_eq!(lines, expected, "history {history}");
    }
}

#[test]
fn history_that_comes_while_the_host_shows_its_alternate_screen_waits_as_much_of_it_as_was_asked_for() {
    let mut world = World::new(1, fake_engine);
    let mut host = HostPlan::new(1);
    (host.config.history, host.script) = (10_000, Script::Mute);
    world.add_host(host);
    world.run_for(secs(1));
    let text: String = (0..3000).map(|line| format!("line {line} of the past\r\n")).collect();
    world.host_input(0, HostInput::Printed(format!("{text}\x1b[?1049h").into_bytes()));
    let mut plan = ViewerPlan::of(1, Role::View);
    (plan.history, plan.size) = (2500, Size::new(80, 24));
    world.add_viewer(plan);
    everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
    world.run_for(secs(10));

    world.host_input(0, HostInput::Printed(b"\x1b[?1049l".to_vec()));
    world.run_for(secs(5));

    let lines: Vec<_> = all_lines(&mut world.viewers[0].terminal);
    let past: Vec<_> = lines.iter().filter(|line| line.contains("past")).cloned().collect();
    let expected: Vec<_> = (3000 - 23 - 2500..3000).map(|line| format!("line {line} of the past")).collect();
    assert_eq!((past.len(), past.first(), past.last()), (expected.len(), expected.first(), expected.last()));
    assert_eq!(past, expected);
}

#[test]
fn the_host_is_not_the_worse_for_a_viewer_that_never_acknowledges() {
    let mut world =
        session(Resize::Owner, Script::Flood { every: ms(10), pages: 500 }, &[Size::new(80, 24), Size::new(80, 24)]);
    world.freeze(Who::Viewer(1));
    let before = world.viewers[1].bytes_sent;
    world.run_for(secs(5));
    let sent = world.viewers[1].bytes_sent - before;
    assert!(sent < 256 * 1024, "{sent} bytes to somebody who never answers");
}
