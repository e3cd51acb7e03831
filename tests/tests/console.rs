//! The person at the host's own terminal is asked, answers, looks and removes, and the program under it notices
//! nothing.
#![cfg(target_os = "linux")]

use beach_core::host::{Approve, Escape, HostInput, LinkLengths, ModeratorAction};
use beach_core::role::Role;
use beach_core::terminal::{Emulator, Line, Size};
use beach_core::viewer::ViewerInput;
use beach_tests::sim::scenario::everyone_joins;
use beach_tests::sim::{FakeEngine, HostPlan, Script, ViewerPlan, Who, World, fake_engine, ms, secs};

/// A host in a terminal of its own, which must approve every viewer who may type.
fn host(script: Script, escape: Escape) -> World<FakeEngine> {
    host_in(Size::new(80, 24), script, escape)
}

fn host_in(size: Size, script: Script, escape: Escape) -> World<FakeEngine> {
    let mut world = World::new(7, fake_engine);
    let mut plan = HostPlan::new(1);
    plan.config.size = size;
    (plan.config.headless, plan.config.approve, plan.config.escape) = (false, Approve::Control, escape);
    plan.script = script;
    world.add_host(plan);
    world.run_for(secs(1));
    world
}

fn joins(world: &mut World<FakeEngine>, role: Role) {
    world.add_viewer(ViewerPlan::of(1, role));
    world.run_for(secs(1));
}

fn keys(world: &mut World<FakeEngine>, keys: &[u8]) {
    world.host_input(0, HostInput::Keys(keys.to_vec()));
    world.run_for(ms(20));
}

fn rows(emulator: &mut Emulator) -> Vec<Line> {
    emulator.end_synchronized();
    emulator.frame();
    let (head, line) = (emulator.head().clone(), |number| emulator.line(emulator.head().space, number));
    (head.top..head.top + u64::from(head.size.rows))
        .map(|number| Line::decode(line(number).expect("in the window").1).expect("canonical"))
        .collect()
}

/// The content of the host's own terminal.
fn own(world: &World<FakeEngine>) -> Emulator {
    let host = &world.hosts[0];
    let mut own = Emulator::new(host.node.machine().emulator().head().size, 1000);
    own.feed(&host.shown);
    own
}

/// The rows at the bottom of the own terminal that are not the program's.
fn banner(world: &World<FakeEngine>) -> Vec<String> {
    let rows = rows(&mut own(world));
    let ours = rows.into_iter().map(|line| line.text().trim_end().to_owned());
    ours.skip_while(|row| !row.starts_with("beach: ")).collect()
}

fn assert_untouched(world: &World<FakeEngine>) {
    assert_eq!(banner(world), [""; 0]);
    let (mut own, mut model) = (own(world), Emulator::new(own(world).head().size, 1000));
    world.hosts[0].printed.iter().for_each(|bytes| model.feed(bytes));
    assert_eq!(rows(&mut own), rows(&mut model));
    assert_eq!((own.head().cursor, own.head().modes), (model.head().cursor, model.head().modes));
}

fn typed(world: &World<FakeEngine>) -> String {
    String::from_utf8_lossy(&world.hosts[0].written).into_owned()
}

fn members(world: &World<FakeEngine>) -> usize {
    world.hosts[0].node.machine().members()
}

const KEY: Escape = Escape::WhenAsked(0x1d);

#[test]
fn who_waits_is_asked_about_over_the_bottom_row_and_let_in_by_the_escape() {
    let mut world = host(Script::Shell, KEY);
    keys(&mut world, b"a\x1db");
    assert_eq!(typed(&world), "a\x1db", "nobody asks, so every key is the program's");
    joins(&mut world, Role::Control);

    let sas = world.hosts[0].node.machine().status().pending[0].sas.to_string();
    let question = banner(&world).join("");
    assert!(question.contains("wants to type") && question.contains(&sas), "{question:?}");
    assert!(question.contains("^] y: yes, ^] n: no"), "{question:?}");
    assert!(world.hosts[0].shown.contains(&7), "a bell");
    keys(&mut world, b"c");
    assert_eq!(typed(&world), "a\x1dbc", "typing goes on under it");

    keys(&mut world, b"\x1d");
    keys(&mut world, b"yd");

    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    assert_eq!(typed(&world), "a\x1dbcd");
    assert_untouched(&world);
}

#[test]
fn a_refusal_by_the_escape_is_one() {
    let mut world = host(Script::Shell, KEY);
    joins(&mut world, Role::Control);

    // The bytes of a terminal with the kitty keyboard protocol.
    keys(&mut world, b"\x1b[93;5u\x1b[93;5:3u\x1b[110u");

    assert!(banner(&world).join("").contains("shows the new links"), "{:?}", banner(&world));
    world.run_for(secs(4));
    assert!(world.viewers[0].exit.is_some());
    assert_eq!((members(&world), typed(&world).as_str()), (0, ""));
    assert_untouched(&world);
}

#[test]
fn an_answer_that_was_on_its_way_before_the_question_is_none() {
    let mut world = host(Script::Shell, KEY);
    joins(&mut world, Role::Control);
    joins(&mut world, Role::Control);
    assert!(banner(&world).join("").contains("(+1)"), "{:?}", banner(&world));
    let asking = world.hosts[0].node.machine().status().pending;

    // The first one goes, and the second one's question takes its place: this answer was about the first.
    world.host_input(0, HostInput::Act(ModeratorAction::Deny { member: asking[0].id, keep_links: true }));
    keys(&mut world, b"\x1dy");

    assert_eq!(world.hosts[0].node.machine().status().pending, asking[1..], "it is still asked");
    world.run_for(secs(1));
    keys(&mut world, b"\x1dy");
    world.run_for(secs(2));
    assert_eq!((members(&world), typed(&world).as_str()), (1, ""));
}

#[test]
fn a_question_shows_all_words_and_keys_or_says_that_the_window_is_too_small_and_then_nobody_can_answer() {
    let windows = [(5, 2), (5, 24), (10, 10), (16, 6), (20, 5), (20, 6), (20, 24), (40, 4), (57, 2), (80, 2), (80, 24)];
    for (cols, rows_of) in windows {
        let mut world = host_in(Size::new(cols, rows_of), Script::Shell, KEY);
        joins(&mut world, Role::Control);
        let sas = world.hosts[0].node.machine().status().pending[0].sas.to_string();
        let seen = rows(&mut own(&world)).iter().map(|row| row.text().trim().to_owned()).collect::<Vec<_>>().join(" ");

        let is_asked = seen.contains(&sas) && seen.contains("^] y") && seen.contains("type");
        assert_ne!(is_asked, seen.contains("small"), "{cols}x{rows_of}: {seen:?}");
        assert!(is_asked || cols < 20 || rows_of < 6, "{cols}x{rows_of} has room: {seen:?}");

        world.run_for(secs(1));
        if !is_asked {
            keys(&mut world, b"\x1dy");
            assert_eq!(world.hosts[0].node.machine().status().pending.len(), 1, "nobody could read the words");
            world.host_input(0, HostInput::Resized(Size::new(80, 24)));
            world.run_for(secs(2));
        }
        keys(&mut world, b"\x1dy");
        everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
        assert_eq!(typed(&world), if is_asked { "" } else { "\x1dy" });
    }
}

#[test]
fn the_list_of_those_who_wait_has_the_words_before_the_name() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.name = Some(FORGED.to_owned());
    world.add_viewer(plan);
    world.run_for(secs(1));
    let sas = world.hosts[0].node.machine().status().pending[0].sas;

    keys(&mut world, b"\x1dm");

    let list = banner(&world);
    assert!(list[1].trim_start().starts_with(&format!("1 {sas}  \"ann' (this machine) want…\"  ")), "{list:?}");
}

/// A name that imitates the host's own words.
const FORGED: &str = "ann\" (this machine) wants to watch: able baker";

#[test]
fn a_name_cannot_be_taken_for_what_the_host_says() {
    let mut world = host(Script::Shell, KEY);
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.name = Some(FORGED.to_owned());
    world.add_viewer(plan);
    world.run_for(secs(1));

    let question = banner(&world).join(" ");

    assert!(question.starts_with("beach: \"ann' (this machine) want…\" wants to type: "), "{question:?}");
}

#[test]
fn of_more_members_than_there_are_rows_for_it_says_how_many() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    for _ in 0..20 {
        world.add_viewer(ViewerPlan::of(1, Role::View));
    }
    world.run_for(secs(5));

    keys(&mut world, b"\x1dm");

    let list = banner(&world);
    assert_eq!((list.len(), list[0].as_str()), (12, "beach: 20 viewers"), "{list:?}");
    assert_eq!(list[11], "     and 10 more: beach status");
    keys(&mut world, b"q");
    assert_untouched(&world);
}

#[test]
fn the_escape_twice_is_one_for_the_program_and_with_another_key_it_is_both() {
    let mut world = host(Script::Shell, Escape::Always(b'~'));

    keys(&mut world, b"a~~b~");
    keys(&mut world, b"xc");

    assert_eq!(typed(&world), "a~b~xc");
    assert_untouched(&world);
}

#[test]
fn what_is_pasted_gives_no_command() {
    let mut world = host(Script::Shell, KEY);
    joins(&mut world, Role::Control);
    world.run_for(secs(1));

    for part in [b"\x1b[200~one\x1dy two\x1b[20".as_slice(), b"1~", b"\x1d", b"n"] {
        keys(&mut world, part);
    }

    assert_eq!(typed(&world), "\x1b[200~one\x1dy two\x1b[201~");
    assert_eq!((members(&world), world.hosts[0].node.machine().status().pending.len()), (0, 0), "refused after it");
}

#[test]
fn a_paste_that_begins_or_ends_while_nobody_asks_is_one_too() {
    let mut world = host(Script::Shell, KEY);
    keys(&mut world, b"\x1b[200~begun ");
    joins(&mut world, Role::Control);
    keys(&mut world, b"\x1dy\x1b[201~\x1b[200~");
    assert_eq!(world.hosts[0].node.machine().status().pending.len(), 1, "it was pasted");
    let id = world.hosts[0].node.machine().status().pending[0].id;
    world.host_input(0, HostInput::Act(ModeratorAction::Deny { member: id, keep_links: true }));
    keys(&mut world, b"ended\x1b[201~");
    joins(&mut world, Role::Control);

    keys(&mut world, b"\x1dn");

    assert_eq!(world.hosts[0].node.machine().status().pending, [], "the escape is one again");
    assert_eq!(typed(&world), "\x1b[200~begun \x1dy\x1b[201~\x1b[200~ended\x1b[201~");
}

#[test]
fn none_leaves_every_key_to_the_program_and_says_how_else_to_answer() {
    let mut world = host(Script::Shell, Escape::Never);
    joins(&mut world, Role::Control);

    keys(&mut world, b"\x1dy");
    world.run_for(secs(1));

    assert!(banner(&world).join("").contains("beach approve 1"), "{:?}", banner(&world));
    assert_eq!((members(&world), typed(&world).as_str()), (0, "\x1dy"));
}

#[test]
fn members_help_pause_and_kick_are_there_and_gone_again() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    joins(&mut world, Role::View);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));

    keys(&mut world, b"\x1dm");
    let list = banner(&world);
    assert!(list[0].contains("1 viewer") && list[1].contains("view  direct"), "{list:?}");
    keys(&mut world, b"q");
    assert_untouched(&world);
    keys(&mut world, b"\x1d?");
    assert!(banner(&world).join("").contains("^] k remove one"), "{:?}", banner(&world));
    keys(&mut world, b" ");
    assert_untouched(&world);

    keys(&mut world, b"\x1dp");
    assert!(banner(&world).join("").contains("paused"), "{:?}", banner(&world));
    assert!(world.hosts[0].node.machine().status().paused);
    world.run_for(secs(4));
    assert_untouched(&world);
    keys(&mut world, b"\x1dp");
    assert!(!world.hosts[0].node.machine().status().paused);

    keys(&mut world, b"\x1dk9\x1b");
    assert_eq!(members(&world), 1);
    keys(&mut world, b"\x1dk71");
    keys(&mut world, b"\x7f\x7f1\r");
    world.run_for(secs(5));

    assert_eq!((members(&world), typed(&world).as_str()), (0, ""));
    assert_untouched(&world);
}

#[test]
fn in_a_pause_every_text_on_the_own_rows_says_that_the_session_is_paused() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    keys(&mut world, b"\x1dp");
    world.run_for(secs(4));
    assert_untouched(&world);

    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.name = Some(String::new());
    world.add_viewer(plan);
    world.run_for(secs(1));
    let question = banner(&world).join("\n");
    assert!(question.starts_with("beach: viewer 1 wants to type:"), "{question}");
    let pause = "\nbeach: paused: viewers see nothing new and cannot type, until ^] p";
    assert!(question.ends_with(pause), "{question}");

    keys(&mut world, b"\x1dk");
    assert!(banner(&world)[0].starts_with("beach: remove which viewer (paused)?"), "{:?}", banner(&world));
    keys(&mut world, b"\x1b");
    world.run_for(secs(1));
    keys(&mut world, b"\x1dn");
    assert!(banner(&world).join("\n").ends_with(pause), "{:?}", banner(&world));
    for (view, says) in [(b'?', "until ^] p"), (b'm', ", paused"), (b'l', "")] {
        keys(&mut world, &[0x1d, view]);
        assert!(banner(&world).join("\n").contains(says), "{:?}", banner(&world));
        keys(&mut world, b"\x1b[A");
    }
    keys(&mut world, b"\x1dp");
    assert_eq!(banner(&world), ["beach: viewers see the terminal again"]);
}

#[test]
fn keys_that_are_let_go_and_what_the_terminal_says_by_itself_close_nothing_and_choose_nobody() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    joins(&mut world, Role::View);
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|who| panic!("{who}"));
    let said: &[u8] = b"\x1b]11;rgb:0000/1111/2222\x1b\\\x1b[?1u\x1b[57442;1:3u\x1b[<35;1;1M";

    keys(&mut world, b"\x1b[93;5u\x1b[93;5:3u\x1b[109u");
    keys(&mut world, b"\x1b[109;1:3u");
    keys(&mut world, said);
    assert!(banner(&world).join("").contains("1 viewer"), "{:?}", banner(&world));
    keys(&mut world, b"\x1b[A");
    assert_untouched(&world);

    keys(&mut world, b"\x1b[93;5u\x1b[107u\x1b[107;1:3u");
    keys(&mut world, said);
    assert!(banner(&world)[0].ends_with("or Esc: _"), "{:?}", banner(&world));
    keys(&mut world, b"\x1b[57400u\x1b[13uls");
    world.run_for(secs(5));

    assert_eq!(members(&world), 0);
    assert_eq!(typed(&world), String::from_utf8_lossy(&[said, said, b"ls"].concat()));
}

#[test]
fn the_escape_is_found_and_a_paste_followed_however_their_sequences_are_cut() {
    for cut in 1..7 {
        let mut world = host(Script::Shell, Escape::Always(0x1d));
        let (begin, end) = b"\x1b[93;5u".split_at(cut);
        world.host_input(0, HostInput::Keys(begin.to_vec()));
        keys(&mut world, end);
        keys(&mut world, b"p");
        assert!(world.hosts[0].node.machine().status().paused, "cut at {cut}");
        keys(&mut world, b"\x1dp");

        let (begin, end) = b"\x1b[200~".split_at(cut.min(5));
        world.host_input(0, HostInput::Keys(begin.to_vec()));
        keys(&mut world, end);
        keys(&mut world, b"\x1dp\x1b[201~");

        assert!(!world.hosts[0].node.machine().status().paused, "it was pasted; cut at {cut}");
        assert_eq!(typed(&world), "\x1b[200~\x1dp\x1b[201~");
    }
}

#[test]
fn half_a_key_is_the_program_s_within_a_moment() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    keys(&mut world, b"\x1b");
    world.run_for(ms(6));
    assert_eq!(typed(&world), "\x1b");
    keys(&mut world, b"\x1b[93");
    world.run_for(ms(230));
    assert_eq!(typed(&world), "\x1b\x1b[93");
}

#[test]
fn a_flood_scrolls_under_the_question_and_leaves_nothing_of_it_behind() {
    let mut world = host(Script::Flood { every: ms(7), pages: 800 }, KEY);
    joins(&mut world, Role::Control);
    for _ in 0..40 {
        world.run_for(ms(50));
        assert!(banner(&world).join("").contains("wants to type"), "{:?}", rows(&mut own(&world)));
    }

    keys(&mut world, b"\x1dn");
    world.run_for(secs(10));

    assert_untouched(&world);
}

/// A host whose own terminal shows news of members, and a viewer named ann, who has joined.
fn with_news(role: Role) -> World<FakeEngine> {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    world.host_input(0, HostInput::ShowMembers);
    named(&mut world, role);
    world
}

fn named(world: &mut World<FakeEngine>, role: Role) {
    let mut plan = ViewerPlan::of(1, role);
    plan.name = Some("ann".to_owned());
    world.add_viewer(plan);
    world.run_for(secs(2));
}

#[test]
fn the_host_sees_for_three_seconds_who_comes_goes_and_comes_back() {
    let mut world = with_news(Role::View);
    assert_eq!(banner(&world), ["beach: \"ann\" joined and may watch"]);
    // Focus, the place of the cursor, the mouse, a key that is let go.
    let reports: &[u8] = b"\x1b[I\x1b[3;4R\x1b[<35;1;1M\x1b[97;1:3u";
    keys(&mut world, reports);
    assert_eq!(banner(&world), ["beach: \"ann\" joined and may watch"], "nobody pressed a key");
    world.hosts[0].written.clear();
    keys(&mut world, b"ls");
    assert_eq!(typed(&world), "ls", "every key is the program's");
    assert!(banner(&world).is_empty(), "a key of the host uncovers the prompt");
    assert_untouched(&world);

    world.cut(Who::Viewer(0), true);
    let mut seen = Vec::new();
    for step in 0..60 {
        if step == 40 {
            world.cut(Who::Viewer(0), false);
        }
        world.run_for(secs(1));
        seen.extend(banner(&world));
    }
    seen.dedup();
    let (lost, back) = ("beach: \"ann\" lost the connection", "beach: \"ann\" is back");
    assert_eq!(seen, [lost, back], "each once, and for a while");
    assert_untouched(&world);

    world.viewer_input(0, ViewerInput::Leave);
    world.run_for(secs(1));
    assert_eq!(banner(&world), ["beach: \"ann\" left"]);
    world.run_for(secs(3));
    assert_untouched(&world);
}

#[test]
fn news_of_members_are_the_hosts_alone_and_a_crowd_covers_three_rows() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    named(&mut world, Role::View);
    assert_untouched(&world);
    world.host_input(0, HostInput::ShowMembers);
    for _ in 0..9 {
        world.add_viewer(ViewerPlan::of(1, Role::View));
    }
    world.run_for(secs(2));

    assert_eq!(banner(&world).len(), 3, "{:?}", banner(&world));
    let model = world.hosts[0].node.machine().emulator();
    assert!(world.viewers.iter().all(|viewer| !viewer.node.machine().screen().text().concat().contains("beach:")));
    assert_eq!(model.head().size, Size::new(80, 24));
}

#[test]
fn the_escape_shows_the_links_on_the_own_rows_and_nowhere_else() {
    let mut world = host(Script::Shell, Escape::Always(0x1d));
    world.hosts[0].links =
        ["https://a.example/s/J#key-of-join", "https://a.example/s/J#key-of-view"].map(str::to_owned);
    keys(&mut world, b"\x1dl");
    assert!(banner(&world)[0].contains("`beach status`"), "nobody told the links: {:?}", banner(&world));
    keys(&mut world, b"q");
    named(&mut world, Role::View);

    world.host_input(0, HostInput::Links(LinkLengths { join: Some(33), view: 33 }));
    keys(&mut world, b"\x1dl");
    let rows = banner(&world).join("\n");
    assert!(rows.contains("beach join 'https://a.example/s/J#key-of-join'"), "{rows}");
    assert!(rows.contains("beach join 'https://a.example/s/J#key-of-view'"), "{rows}");
    let seen = world.viewers[0].node.machine().screen().text().concat();
    assert!(!seen.contains("key-of"), "{seen}");
    keys(&mut world, b"qx");
    assert_untouched(&world);

    // After a rotation a command shows the new ones, and takes no key.
    world.host_input(0, HostInput::ShowLinks);
    world.run_for(ms(20));
    world.hosts[0].links[0] = "https://a.example/s/K#key-of-new".to_owned();
    world.host_input(0, HostInput::Links(LinkLengths { join: Some(32), view: 33 }));
    keys(&mut world, b"y");
    let rows = banner(&world).join("\n");
    assert!(rows.contains("key-of-new") && rows.contains("^] l shows them again"), "{rows}");
    world.run_for(secs(15));
    assert_eq!(typed(&world), "xy");
    assert_untouched(&world);
}

#[test]
fn a_window_without_room_for_the_links_says_so() {
    let mut world = host_in(Size::new(40, 8), Script::Shell, Escape::Always(0x1d));
    world.host_input(0, HostInput::Links(LinkLengths { join: Some(60), view: 60 }));
    keys(&mut world, b"\x1dl");
    assert!(banner(&world).join("").contains("no room"), "{:?}", banner(&world));
    keys(&mut world, b"q");
    assert_untouched(&world);
}
