//! A viewer's escapes work in every keyboard mode that the shared program can switch on.

use std::time::Duration;

use beach_tests::real::{Host, Scratch, Tmux};

const SOON: Duration = Duration::from_secs(10);
const SIZE: (u16, u16) = (80, 24);

#[test]
fn a_program_that_asks_for_every_key_as_an_escape_code_does_not_take_the_escape_away() {
    // The bytes of Shift, `~` and `.` in a terminal with these modes. With flag 2 keys that are let go are told too.
    let asked = [
        ("8", "\x1b[57441;2u", "\x1b[96;2u\x1b[46u"),
        ("31", "\x1b[57441;2u", "\x1b[96:126;2;126u\x1b[96:126;2:3u\x1b[57441;1:3u\x1b[46;;46u"),
    ];
    for (flags, shift, keys) in asked {
        let scratch = Scratch::new();
        let tmux = Tmux::start(&scratch);
        let program = format!("stty raw -echo; printf '\\033[>{flags}uREADY'; exec cat > typed");
        let host = Host::start(&scratch, &[], &["sh", "-c", &program]);
        let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
        viewer.shows("READY", SOON);

        viewer.types(shift);
        viewer.types(keys);

        assert_eq!(viewer.end(SOON), 0, "flags {flags}");
        let typed = scratch.read("typed");
        assert!(!typed.contains("126") && !typed.contains("[46"), "{typed:?}");
    }
}
