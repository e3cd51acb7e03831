//! A program that begins something and never ends it costs nothing. Alone in this file, since it measures its process.

use beach_core::terminal::{Emulator, Size, Space};

/// Bytes that are written of each sequence.
const WRITTEN: usize = 100 << 20;
const READ: usize = 64 << 10;

/// The memory that may come and go meanwhile, in KiB: less than a tenth of the output.
const FLAT_KIB: u64 = 4 << 10;

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_hundred_megabytes_of_anything_without_an_end_leave_the_memory_flat_and_the_terminal_usable() {
    let read = vec![b'x'; READ];
    for begin in
        ["\x1b]0;", "\x1b]52;c;", "\x1b]8;;http://", "\x1bP$q", "\x1bPq", "\x1b_", "\x1b[", "\x1b[?2026h\x1b]2;"]
    {
        let mut emulator = Emulator::new(Size::new(20, 4), 100);
        emulator.feed(begin.as_bytes());
        emulator.feed(&read);
        let before = peak_kib();

        for _ in 0..WRITTEN / READ {
            emulator.feed(&read);
        }

        let grown = peak_kib() - before;
        assert!(grown < FLAT_KIB, "{begin:?}: {grown} KiB more");
        emulator.end_synchronized();
        emulator.feed(b"\x1b\\\x1b[?2026l\x1bcusable\x1b[c");
        emulator.frame();
        let (_, line) = emulator.line(Space::Main, emulator.top()).expect("the first row");
        assert_eq!(line, b"\x02usable", "{begin:?}");
        assert_eq!(emulator.take_replies(), b"\x1b[?64;21;22;28c", "{begin:?}");
    }
}
