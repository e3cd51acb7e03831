//! Modes that a program switched on in the host's own terminal and left on are switched off at the end of the session.
//! Other modes are not touched.

use beach_core::host::HostInput;
use beach_core::terminal::{Emulator, Modes, Size};
use beach_tests::sim::{HostPlan, Script, World, fake_engine, secs};

/// The bytes for the own terminal after the program wrote this, and the session was stopped.
fn last_shown(headless: bool, printed: &str) -> String {
    let mut world = World::new(1, fake_engine);
    let mut plan = HostPlan::new(1);
    plan.config.headless = headless;
    plan.script = Script::Mute;
    world.add_host(plan);
    world.run_for(secs(1));
    world.host_input(0, HostInput::Printed(printed.into()));
    world.run_for(secs(1));
    let before = world.hosts[0].shown.len();
    world.host_input(0, HostInput::Stop);
    world.run_for(secs(30));
    String::from_utf8(world.hosts[0].shown[before..].to_vec()).expect("sequences are text")
}

/// Sequences that switch something on, each with the sequence that switches it off.
const MODES: [(&str, &str); 24] = [
    ("\x1b[?5h", "\x1b[?5l"),
    ("\x1b[?9h", "\x1b[?9l"),
    ("\x1b[?45h", "\x1b[?45l"),
    ("\x1b[?1000h", "\x1b[?1000l"),
    ("\x1b[?1002h", "\x1b[?1002l"),
    ("\x1b[?1003h", "\x1b[?1003l"),
    ("\x1b[?1004h", "\x1b[?1004l"),
    ("\x1b[?1005h", "\x1b[?1005l"),
    ("\x1b[?1006h", "\x1b[?1006l"),
    ("\x1b[?1015h", "\x1b[?1015l"),
    ("\x1b[?1016h", "\x1b[?1016l"),
    ("\x1b[?2004h", "\x1b[?2004l"),
    ("\x1b[?2031h", "\x1b[?2031l"),
    ("\x1b[?2048h", "\x1b[?2048l"),
    ("\x1b[20h", "\x1b[20l"),
    ("\x1b[>4;2m", "\x1b[>4m"),
    ("\x1b[4 q", "\x1b[0 q"),
    ("\x1b[>1u", "\x1b[<1u"),
    ("\x1b[>1u\x1b[>3u\x1b[=5u", "\x1b[<2u"),
    ("\x1b[=5u", "\x1b[=0u"),
    ("\x1b[=1u\x1b[>5u", "\x1b[<1u\x1b[=0u"),
    ("\x1b[>1u\x1b[?1049h\x1b[>5u", "\x1b[<1u\x1b[?1047l\x1b[<1u"),
    ("\x1b[5;9r\x1b[?6h", "\x1b[?6l\x1b[5;1H"),
    ("\rab\x1b[?69h", "\x1b[?69l\x1b[1;3H"),
];

#[test]
fn whatever_is_left_on_is_switched_off_at_the_end() {
    for (on, off) in MODES {
        assert_eq!(last_shown(false, on), format!("\x18{off}"), "{on:?}");
        assert_eq!(last_shown(true, on), "", "{on:?} without a terminal");
    }
    let all: String = MODES.iter().map(|(on, _)| *on).collect();
    let undone = last_shown(false, &all);
    let size = Size::new(80, 24);
    let (mut terminal, fresh) = (Emulator::new(size, 10), Emulator::new(size, 10));
    terminal.feed(format!("{all}{undone}\x1b[?1049l\x1b[?69$p\x1b[?6$p\x1b[20$p\x1b[?u").as_bytes());
    assert_eq!(terminal.modes(), fresh.modes().set(Modes::KITTY_DISAMBIGUATE, false));
    assert_eq!(terminal.take_replies(), b"\x1b[?69;2$y\x1b[?6;2$y\x1b[20;2$y\x1b[?0u");
}

#[test]
fn what_is_off_is_not_touched() {
    for printed in [
        "text\x1b[1m",
        "\x1b[?1000h\x1b[?1000l\x1b[4 q\x1b[0 q\x1b[>1u\x1b[<u\x1b[>4;2m\x1b[>4m",
        "\x1b[?2004;1006h\x1b[?2004;1006l",
        "\x1b[?69h\x1b[?6h\x1b[20h\x1b[?1003h\x1b[>5u\x1bc",
        "\x1b[?7l\x1b[?25l\x1b[?1049h",
    ] {
        assert_eq!(last_shown(false, printed), "", "{printed:?}");
    }
}
