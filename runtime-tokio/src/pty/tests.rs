//! Tests of `pty.rs`, with real commands.

use super::*;
use tokio::time::timeout;

/// A test that needs longer has hung.
const DEADLINE: Duration = Duration::from_secs(10);

/// A shell with the default reaction to signals: the parent of the tests may ignore some (nohup, `&` in a script),
/// and a shell cannot undo that.
fn shell(script: &str) -> Spawn {
    Spawn {
        program: "env".into(),
        args: ["--default-signal", "/bin/sh", "-c", script].map(Into::into).to_vec(),
        env: Vec::new(),
        env_remove: Vec::new(),
        cols: 80,
        rows: 24,
        like: None,
        charset: Charset::Bytes,
    }
}

/// All output of the command, and its end.
async fn to_the_end(pty: &mut Pty) -> (Vec<u8>, Exit) {
    let mut output = Vec::new();
    loop {
        match next(pty).await {
            PtyEvent::Output(bytes) => output.extend_from_slice(&bytes),
            PtyEvent::Written => {}
            PtyEvent::Exited(exit) => return (output, exit),
        }
    }
}

async fn next(pty: &mut Pty) -> PtyEvent {
    timeout(DEADLINE, pty.next()).await.expect("an event within the deadline")
}

/// Output up to and including the event that completes `wanted`.
async fn until_output_contains(pty: &mut Pty, wanted: &str) -> Vec<u8> {
    let mut output = Vec::new();
    while !String::from_utf8_lossy(&output).contains(wanted) {
        match next(pty).await {
            PtyEvent::Output(bytes) => output.extend_from_slice(&bytes),
            PtyEvent::Written => {}
            PtyEvent::Exited(exit) => panic!("ended with {exit:?} before writing {wanted:?}"),
        }
    }
    output
}

fn spawn(script: &str) -> Pty {
    Pty::spawn(&shell(script)).expect("a shell starts")
}

#[tokio::test]
async fn the_last_line_arrives_before_the_exit_code() {
    let mut pty = spawn("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 7");

    let (output, exit) = to_the_end(&mut pty).await;

    assert_eq!(exit, Exit::Code(7));
    assert!(output.ends_with(b"line 1999\r\n"));
    assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), 2000);
}

#[tokio::test]
async fn after_the_exit_nothing_comes() {
    let mut pty = spawn("exit 0");
    to_the_end(&mut pty).await;

    let more = timeout(Duration::from_millis(20), pty.next()).await;

    assert!(more.is_err());
}

#[tokio::test]
async fn a_signal_is_reported_as_128_plus_its_number() {
    let mut pty = spawn("kill -TERM $$");

    let (_, exit) = to_the_end(&mut pty).await;

    assert_eq!(exit, Exit::Signal(15));
    assert_eq!(exit.code(), 143);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error() {
    let mut spec = shell("");
    spec.program = "/nonexistent/program".into();

    let error = Pty::spawn(&spec).err().expect("it cannot start");

    assert!(matches!(error, SpawnError::NoCommand(error) if error.kind() == io::ErrorKind::NotFound));
}

#[tokio::test]
async fn environment_and_size_reach_the_command() {
    let mut spec = shell("stty size; echo [$ADDED] [$HOME]");
    spec.cols = 123;
    spec.rows = 45;
    spec.env = vec![("ADDED".into(), "yes".into())];
    spec.env_remove = vec!["HOME".into()];
    let mut pty = Pty::spawn(&spec).expect("a shell starts");

    let (output, _) = to_the_end(&mut pty).await;

    assert_eq!(String::from_utf8_lossy(&output), "45 123\r\n[yes] []\r\n");
}

#[tokio::test]
async fn the_terminal_has_the_line_settings_of_the_persons_and_knows_utf_8() {
    let person = spawn("stty erase '^H' kill undef -ixon; echo set; read end");
    let mut person = person;
    until_output_contains(&mut person, "set").await;
    let own = rustix::termios::tcgetattr(&person.terminal).expect("a terminal has settings");
    let mut spec = shell("stty -a");
    (spec.like, spec.charset) = (Some(LineSettings::of(own)), Charset::Utf8);

    let (output, _) = to_the_end(&mut Pty::spawn(&spec).expect("a shell starts")).await;

    let shown = String::from_utf8_lossy(&output);
    for wanted in ["erase = ^H;", "kill = <undef>;", "-ixon ", " iutf8", "intr = ^C;"] {
        assert!(shown.contains(wanted) && !shown.contains("-iutf8"), "{wanted} is missing:\n{shown}");
    }
}

#[tokio::test]
async fn a_resize_reaches_the_command() {
    let mut pty = spawn("trap 'stty size; exit' WINCH; echo ready; while :; do read line; done");
    until_output_contains(&mut pty, "ready").await;

    pty.resize(100, 30);

    let (output, _) = to_the_end(&mut pty).await;
    assert!(String::from_utf8_lossy(&output).contains("30 100"));
}

#[tokio::test]
async fn a_write_is_acknowledged_and_read_by_the_command() {
    let mut pty = spawn("read line; echo got $line");

    pty.write(b"hello\n".to_vec());

    let mut written = 0;
    let mut output = Vec::new();
    loop {
        match next(&mut pty).await {
            PtyEvent::Output(bytes) => output.extend_from_slice(&bytes),
            PtyEvent::Written => written += 1,
            PtyEvent::Exited(_) => break,
        }
    }
    assert_eq!(written, 1);
    assert!(String::from_utf8_lossy(&output).contains("got hello"));
}

#[tokio::test]
async fn a_command_that_does_not_read_still_writes() {
    let mut pty = spawn("stty raw -echo; echo ready; i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done");
    let mut output = until_output_contains(&mut pty, "ready").await;

    // Far more than the kernel's buffer: the write stays blocked until the command is gone.
    pty.write(vec![b'x'; 1024 * 1024]);

    let (rest, exit) = to_the_end(&mut pty).await;
    output.extend_from_slice(&rest);
    assert_eq!(exit, Exit::Code(0));
    assert!(String::from_utf8_lossy(&output).contains("499"));
}

#[tokio::test]
async fn a_command_that_writes_without_end_still_reads() {
    let mut pty = spawn("stty -echo; (while :; do echo noise; done) & read line; kill $!; exit 3");

    pty.write(b"stop\n".to_vec());

    let (_, exit) = to_the_end(&mut pty).await;
    assert_eq!(exit, Exit::Code(3));
}

#[tokio::test]
async fn a_write_to_a_command_that_is_gone_is_acknowledged() {
    let mut pty = spawn("stty raw -echo; echo ready; sleep 0.05");
    until_output_contains(&mut pty, "ready").await;

    pty.write(vec![b'x'; 1024 * 1024]);

    loop {
        match next(&mut pty).await {
            PtyEvent::Output(_) => {}
            PtyEvent::Written => break,
            PtyEvent::Exited(_) => panic!("the write was never acknowledged"),
        }
    }
    to_the_end(&mut pty).await;
}

#[tokio::test]
async fn a_process_left_behind_does_not_hold_the_exit_back() {
    let mut pty = spawn("trap '' HUP; sleep 5 & echo last line; exit 4");
    let started = Instant::now();

    let (output, exit) = to_the_end(&mut pty).await;

    assert_eq!(exit, Exit::Code(4));
    assert!(String::from_utf8_lossy(&output).contains("last line"));
    assert!(started.elapsed() < DRAIN_MAX + Duration::from_secs(2));
}

#[tokio::test]
async fn a_hang_up_ends_the_command() {
    let mut pty = spawn("echo ready; sleep 60");
    until_output_contains(&mut pty, "ready").await;

    pty.hang_up();

    let (_, exit) = to_the_end(&mut pty).await;
    assert_eq!(exit, Exit::Signal(1));
}

#[tokio::test]
async fn output_that_is_paused_waits_even_when_the_command_has_ended() {
    let mut pty = spawn("echo the-end");
    pty.pause_output(true);
    let early = timeout(Duration::from_millis(300), pty.next()).await;
    assert!(early.is_err(), "nothing is to be said yet: {early:?}");

    pty.pause_output(false);
    let (shown, exit) = to_the_end(&mut pty).await;

    assert_eq!(exit, Exit::Code(0));
    assert!(String::from_utf8_lossy(&shown).contains("the-end"));
}

#[tokio::test]
async fn output_that_is_there_when_the_time_for_draining_is_over_is_not_lost() {
    for _ in 0..20 {
        let mut pty = spawn("echo ready; read line; echo the-end");
        until_output_contains(&mut pty, "ready").await;
        pty.pause_output(true);
        pty.write(b"\n".to_vec());
        while pty.exit.is_none() {
            let _ = timeout(Duration::from_millis(20), pty.next()).await;
        }
        pty.pause_output(false);
        // As if this process had been stopped during all of that time.
        let ended = pty.exit.as_mut().expect("the command has ended");
        ended.silent_at -= DRAIN_MAX;
        ended.give_up_at -= DRAIN_MAX;

        let (shown, _) = to_the_end(&mut pty).await;

        assert!(String::from_utf8_lossy(&shown).contains("the-end"));
    }
}

#[tokio::test]
async fn the_time_for_draining_begins_when_output_is_wanted_again() {
    let mut pty = spawn("exit 0");
    pty.pause_output(true);
    while pty.exit.is_none() {
        let _ = timeout(Duration::from_millis(20), pty.next()).await;
    }
    let ended = pty.exit.as_mut().expect("the command has ended");
    ended.silent_at -= DRAIN_MAX;

    pty.pause_output(false);

    assert!(pty.exit.is_some_and(|ended| ended.silent_at > Instant::now()));
}

#[tokio::test]
async fn a_command_that_ignores_the_hang_up_is_killed() {
    let mut pty = spawn("trap '' HUP; echo ready; while :; do sleep 60; done");
    until_output_contains(&mut pty, "ready").await;

    pty.hang_up();

    let (_, exit) = to_the_end(&mut pty).await;
    assert_eq!(exit, Exit::Signal(9));
}

#[tokio::test]
async fn an_event_has_no_more_output_than_one_read_gives() {
    let mut pty = spawn("head -c 1000000 /dev/zero");
    let mut total = 0;

    loop {
        match next(&mut pty).await {
            PtyEvent::Output(bytes) => {
                assert!(bytes.len() <= OUTPUT_BYTES_MAX);
                total += bytes.len();
            }
            PtyEvent::Written => {}
            PtyEvent::Exited(_) => break,
        }
    }

    assert_eq!(total, 1_000_000);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let mut pty = spawn("i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done");
    let mut output = Vec::new();

    loop {
        match timeout(Duration::from_micros(50), pty.next()).await {
            Err(_) => {}
            Ok(PtyEvent::Output(bytes)) => output.extend_from_slice(&bytes),
            Ok(PtyEvent::Written) => {}
            Ok(PtyEvent::Exited(_)) => break,
        }
    }

    assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), 200);
}

#[tokio::test]
async fn bytes_pass_unchanged_both_ways_at_once_however_often_the_wait_is_cancelled() {
    let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 253) as u8).collect();
    let mut pty = spawn("stty raw -echo; echo ready; exec head -c 300000");
    until_output_contains(&mut pty, "ready\n").await;
    let (mut chunks, mut received) = (sent.chunks(40_000), Vec::new());
    pty.write(chunks.next().expect("a first chunk").to_vec());

    loop {
        match timeout(Duration::from_micros(50), pty.next()).await {
            Err(_) => {}
            Ok(PtyEvent::Output(bytes)) => received.extend_from_slice(&bytes),
            Ok(PtyEvent::Written) => {
                if let Some(chunk) = chunks.next() {
                    pty.write(chunk.to_vec());
                }
            }
            Ok(PtyEvent::Exited(exit)) => {
                assert_eq!(exit, Exit::Code(0));
                break;
            }
        }
    }

    assert!(received == sent);
}

/// Input for programs that do not read, in pieces of the size of a viewer's write.
async fn fill(pty: &mut Pty) {
    for _ in 0..10 {
        pty.write(b"x\r".repeat(2048));
        if timeout(Duration::from_millis(100), written(pty)).await.is_err() {
            assert!(pty.take_back().is_some_and(|taken| taken < 4096), "it is pending");
            return;
        }
    }
    panic!("a program that does not read has read 40 KiB");
}

async fn written(pty: &mut Pty) {
    while next(pty).await != PtyEvent::Written {}
}

#[tokio::test]
async fn a_signal_takes_effect_although_no_program_reads() {
    for (key, code) in [(b"\x03", 130), (b"\x1c", 131)] {
        let mut pty = spawn("ulimit -c 0; echo ready; exec sleep 100");
        until_output_contains(&mut pty, "ready").await;
        fill(&mut pty).await;
        let start = std::time::Instant::now();

        pty.write_own(key.to_vec());

        let (_, exit) = to_the_end(&mut pty).await;
        assert_eq!(exit.code(), code);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_signal_that_the_terminal_took_behind_unread_input_takes_effect_too() {
    let mut pty = spawn("echo ready; exec sleep 100");
    until_output_contains(&mut pty, "ready").await;
    // More than the terminal keeps for the program, and less than the terminal takes in total.
    pty.write(b"x\r".repeat(3000));
    written(&mut pty).await;

    pty.write_own(b"a\x03".to_vec());

    assert_eq!(to_the_end(&mut pty).await.1.code(), 130);
}

#[tokio::test]
async fn a_signal_reaches_who_keeps_what_was_typed_before_it() {
    let mut pty = spawn("stty noflsh; echo ready; exec sleep 100");
    until_output_contains(&mut pty, "ready").await;
    fill(&mut pty).await;

    pty.write_own(b"\x03".to_vec());

    assert_eq!(to_the_end(&mut pty).await.1.code(), 130);
}

#[tokio::test]
async fn a_program_that_reads_gets_its_signal_as_ever_and_what_follows_it() {
    let mut pty = spawn("trap 'echo caught' INT; echo ready; while :; do read -r line && echo \"got $line\"; done");
    until_output_contains(&mut pty, "ready").await;

    pty.write_own(b"lost\x03kept\r".to_vec());

    let output = until_output_contains(&mut pty, "got kept").await;
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(output.contains("^C") && output.matches("caught").count() == 1, "{output:?}");
}

#[tokio::test]
async fn where_keys_mean_no_signals_the_first_in_line_are_the_own_ones() {
    let mut pty = spawn("stty raw -echo; echo ready; sleep 0.5; exec od -An -c -v -w1");
    until_output_contains(&mut pty, "ready").await;
    fill(&mut pty).await;

    pty.write_own(b"\x03".to_vec());

    until_output_contains(&mut pty, "003").await;
}
