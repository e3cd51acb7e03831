//! Escapes are found in every encoding and for all ways to cut the bytes; all other bytes pass unchanged.

use std::time::Duration;

use beach_core::host::{Escape, Host, HostInput, HostOutput};
use beach_core::keyboard::{Action, Escapes, Keyboard, Typed};
use beach_core::machine::Machine as _;
use beach_core::session::link::Event;
use beach_core::time::Timestamp;
use beach_tests::cut;
use beach_tests::sim::HostPlan;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// `~` as terminals send it: by itself, in the kitty keyboard protocol with each of its flags, and with
/// modifyOtherKeys.
const TILDE: &[&[u8]] = &[
    b"~",
    b"\x1b[126u",
    b"\x1b[96;2u",
    b"\x1b[96;2:1u",
    b"\x1b[96:126;2u",
    b"\x1b[96:126;2:1;126u",
    b"\x1b[96;2;126u",
    b"\x1b[96:126:96;2;126u",
    b"\x1b[96;66u",
    b"\x1b[43;;126u",
    b"\x1b[27;2;126~",
];

const DOT: &[&[u8]] = &[
    b".",
    b"\x1b[46u",
    b"\x1b[46;1u",
    b"\x1b[46;1:1u",
    b"\x1b[46;;46u",
    b"\x1b[46;1:1;46u",
    b"\x1b[46;129u",
    b"\x1b[57409u",
    b"\x1b[27;1;46~",
];

const CTRL_BRACKET: &[&[u8]] = &[
    b"\x1d",
    b"\x1b[93;5u",
    b"\x1b[93;5:1u",
    b"\x1b[93:125;5u",
    b"\x1b[93::93;5u",
    b"\x1b[1098::93;5u",
    b"\x1b[93;69u",
    b"\x1b[27;5;93~",
];

/// `p`, which pauses: what the host's escape does can be seen without a viewer.
const PAUSE: &[&[u8]] =
    &[b"p", b"\x1b[112u", b"\x1b[112;1:1u", b"\x1b[112:80;1;112u", b"\x1b[112;;112u", b"\x1b[27;1;112~"];

/// Bytes between two keys that are no keys; the releases are those of the escapes.
const BETWEEN: &[&[u8]] = &[
    b"\x1b[57441;2u",
    b"\x1b[57441;1:3u",
    b"\x1b[57442;5u",
    b"\x1b[57454;1:3u",
    b"\x1b[13;1:3u",
    b"\x1b[1;1:3A",
    b"\x1b[<35;12;3M",
    b"\x1b[<0;12;3m",
    b"\x1b[35;12;3M",
    b"\x1b[M ~.",
    b"\x1b[I",
    b"\x1b[O",
];

/// Keys that are no escape, with other keys around them.
const OTHERS: &[&[u8]] = &[
    b"a",
    b"\r",
    b"\x1b[13u",
    b"\x1b[97u",
    b"\x1b[97;1:3u",
    b"\x1b[120;5u",
    b"\x1b[96u",
    b"\x1b[A",
    b"\x1bOB",
    b"\x1b[3~",
    b"\x1b[1;5C",
    b"\x1b[[A",
    b"\x1bb",
    "é日".as_bytes(),
    b"\x1b[<35;12;3M",
    b"\x1b[M ~.",
    b"\x1b[I",
    b"\x1b[57441;2u",
    b"\x1b[200~\r~.\x1dp\x1b[201~",
];

const ENTER: &[&[u8]] = &[b"\r", b"\n", b"\x1b[13u", b"\x1b[13;1:1u", b"\x1b[57414u", b"\x1bOM"];

fn at(millis: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_millis(millis)
}

/// The events that a viewer reads from its terminal's bytes, in these parts without a pause.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Everything that is passed on, in order.
    passed: Vec<u8>,
    /// The commands, each with how much was passed on before.
    commands: Vec<(usize, Action)>,
}

impl Seen {
    fn add(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::Type(bytes) | Action::Report(bytes) = action {
                self.passed.extend(bytes);
            } else if let Action::Paste { bytes, first, last } = action {
                self.passed.extend_from_slice(if first { b"\x1b[200~" } else { b"" });
                self.passed.extend(bytes);
                self.passed.extend_from_slice(if last { b"\x1b[201~" } else { b"" });
            } else {
                self.commands.push((self.passed.len(), action));
            }
        }
    }

    fn take(&mut self, escapes: &mut Escapes, now: Timestamp, typed: Vec<Typed>) {
        typed.into_iter().for_each(|typed| self.add(escapes.typed(now, typed)));
    }
}

fn viewer(parts: &[&[u8]]) -> Seen {
    let (mut keyboard, mut escapes, mut seen) = (Keyboard::new(), Escapes::new(Some(b'~')), Seen::default());
    for part in parts {
        let typed = keyboard.read(at(0), part);
        seen.take(&mut escapes, at(0), typed);
    }
    let typed = keyboard.on_time(at(5000));
    seen.take(&mut escapes, at(5000), typed);
    seen.add(escapes.on_time(at(5000)));
    seen
}

/// The program's input, and whether the session is paused, from a host's terminal bytes with the escape `^]`.
fn host(parts: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut plan = HostPlan::new(1);
    (plan.config.headless, plan.config.escape) = (false, Escape::Always(0x1d));
    let mut host = Host::new(plan.config);
    let mut written = Vec::new();
    let mut tell = |now: Timestamp, input: HostInput| {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            host.handle(now, input);
            while let Some(output) = host.poll() {
                if let HostOutput::WriteOwn(bytes) | HostOutput::Write(bytes) = output {
                    written.extend(bytes);
                    inputs.push(HostInput::Written);
                }
            }
        }
    };
    tell(at(0), HostInput::Link(Event::SignalUp));
    tell(at(0), HostInput::Link(Event::Registered));
    for part in parts {
        tell(at(1), HostInput::Keys(part.to_vec()));
    }
    tell(at(5000), HostInput::Tick);
    (written, host.status().paused)
}

#[test]
fn a_viewer_leaves_by_every_encoding_of_its_escape() {
    for (tilde, dot) in TILDE.iter().flat_map(|tilde| DOT.iter().map(move |dot| (tilde, dot))) {
        for enter in ENTER {
            let bytes = [b"x", *enter, tilde, b"\x1b[96;2:3u", dot].concat();
            let seen = viewer(&[&bytes]);
            assert_eq!(
                seen.commands.last().map(|(_, action)| action),
                Some(&Action::Leave),
                "{}",
                bytes.escape_ascii()
            );
            let in_line = [b"x", *tilde, dot].concat();
            let expected = Seen { passed: in_line.clone(), commands: Vec::new() };
            assert_eq!(viewer(&[&in_line]), expected, "{}", in_line.escape_ascii());
        }
    }
}

#[test]
fn a_host_pauses_by_every_encoding_of_its_escape() {
    for (bracket, pause) in CTRL_BRACKET.iter().flat_map(|bracket| PAUSE.iter().map(move |pause| (bracket, pause))) {
        let bytes = [b"x", *bracket, b"\x1b[57442;5u", pause, b"y"].concat();
        assert_eq!(host(&[&bytes]), (b"x\x1b[57442;5uy".to_vec(), true), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_unfinished_paste_deadens_the_escape_for_two_seconds_at_most() {
    let (mut keyboard, mut escapes, mut seen) = (Keyboard::new(), Escapes::new(Some(b'~')), Seen::default());
    for (time, bytes) in [(0, &b"\x1b[200~A"[..]), (1000, b"\r~."), (2999, b"B\r"), (4999, b"~.")] {
        let typed = keyboard.read(at(time), bytes);
        seen.take(&mut escapes, at(time), typed);
    }
    assert_eq!(seen.commands, [(seen.passed.len(), Action::Leave)]);
    assert_eq!(seen.passed, b"\x1b[200~A\r~.B\r\x1b[201~");
}

#[test]
fn a_paste_of_more_than_sixteen_mebibytes_is_over() {
    let mut keyboard = Keyboard::new();
    keyboard.read(at(0), b"\x1b[200~");
    let mebibyte = vec![b'x'; 1024 * 1024];
    for _ in 0..16 {
        keyboard.read(at(0), &mebibyte);
    }
    assert_eq!(keyboard.read(at(0), b"\r~."), [Typed::Keys(b"\r~.".to_vec())]);
    assert_eq!(keyboard.deadline(), None);
}

/// Any of these, and what may come between.
fn tokens(of: &[&[&'static [u8]]]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let all: Vec<&'static [u8]> = of.concat();
    vec(select(all), 0..30).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_viewer_s_keys_mean_the_same_however_they_are_cut(
        bytes in tokens(&[TILDE, DOT, BETWEEN, OTHERS, ENTER]), sizes in vec(1..12usize, 1..20),
    ) {
        prop_assert_eq!(viewer(&cut(&bytes, &sizes)), viewer(&[&bytes]));
    }

    #[test]
    fn a_viewer_s_keys_pass_byte_for_byte_where_no_escape_is(
        bytes in tokens(&[BETWEEN, OTHERS, ENTER]), sizes in vec(1..12usize, 1..20),
    ) {
        let expected = Seen { passed: bytes.clone(), commands: Vec::new() };
        prop_assert_eq!(viewer(&cut(&bytes, &sizes)), expected);
    }

    #[test]
    fn a_host_s_keys_mean_the_same_however_they_are_cut(
        bytes in tokens(&[CTRL_BRACKET, PAUSE, BETWEEN, OTHERS, ENTER]), sizes in vec(1..12usize, 1..20),
    ) {
        prop_assert_eq!(host(&cut(&bytes, &sizes)), host(&[&bytes]));
    }

    #[test]
    fn a_host_s_keys_pass_byte_for_byte_where_no_escape_is(
        bytes in tokens(&[TILDE, DOT, PAUSE, BETWEEN, OTHERS, ENTER]), sizes in vec(1..12usize, 1..20),
    ) {
        prop_assert_eq!(host(&cut(&bytes, &sizes)), (bytes.clone(), false));
    }

    #[test]
    fn an_escape_is_found_whatever_comes_between_its_keys(
        tilde in select(TILDE), dot in select(DOT), between in tokens(&[BETWEEN]), sizes in vec(1..12usize, 1..20),
    ) {
        let bytes = [tilde, &between, dot].concat();
        let expected = Seen { passed: between.clone(), commands: vec![(between.len(), Action::Leave)] };
        prop_assert_eq!(viewer(&cut(&bytes, &sizes)), expected);
    }

    #[test]
    fn noise_passes_byte_for_byte_if_nothing_is_an_escape(bytes in vec(any::<u8>(), 0..200), sizes in vec(1..12usize, 1..9)) {
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != 0x1d).collect();
        prop_assert_eq!(host(&cut(&bytes, &sizes)), (bytes.clone(), false));
    }
}
