//! The terminal, tried in terminals and on pipes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use rustix::process::Signal as ProcessSignal;
use rustix::stdio::stdout;
use tokio::time::timeout;

use super::raw::{EPILOGUE_PATIENCE, Gate};
use super::*;
use crate::pty::{Charset, Exit, Pty, PtyEvent, Spawn};
use crate::signals::Signals;

/// No test needs longer; one that does has hung.
const DEADLINE: Duration = Duration::from_secs(10);

const EPILOGUE: &[u8] = b"<epilogue>";

// These tests run in a terminal of their own, in a child process, because a process has only one terminal.

/// Names this executable to the shell, and tells a child that it is one.
const SELF: &str = "TTY_TEST_SELF";

/// Whether this is the child that a test below runs in a terminal; otherwise it has nothing to do.
fn is_child() -> bool {
    std::env::var_os(SELF).is_some()
}

/// A shell in a terminal that runs `script`, in which `child` runs the test `name` below.
fn in_a_terminal(name: &str, script: &str) -> Pty {
    let module = module_path!().split_once("::").expect("a module in a crate").1;
    let me = std::env::current_exe().expect("this test has a path");
    let command =
        format!("child() {{ \"$TTY_TEST_SELF\" --exact {module}::{name} --nocapture --test-threads=1; }}; {script}");
    Pty::spawn(&Spawn {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), command.into()],
        env: vec![(SELF.into(), me.into())],
        env_remove: Vec::new(),
        cols: 80,
        rows: 24,
        like: None,
        charset: Charset::Bytes,
    })
    .expect("a shell starts")
}

/// Shows the settings before and after the child.
const AROUND: &str = "echo before $(stty -g); child; echo code $?; echo after $(stty -g)";

/// Everything up to `marker`, or to the end.
async fn output_until(pty: &mut Pty, marker: &str) -> String {
    let mut output = Vec::new();
    loop {
        match timeout(DEADLINE, pty.next()).await.expect("an event within the deadline") {
            PtyEvent::Output(bytes) => output.extend_from_slice(&bytes),
            PtyEvent::Written => {}
            PtyEvent::Exited(Exit::Code(_) | Exit::Signal(_)) => break,
        }
        if String::from_utf8_lossy(&output).contains(marker) {
            break;
        }
    }
    String::from_utf8(output).expect("text")
}

const TO_THE_END: &str = "<never written>";

fn word_after<'a>(output: &'a str, word: &str) -> &'a str {
    let start = output.find(word).unwrap_or_else(|| panic!("no {word:?} in {output:?}"));
    output[start + word.len()..].split_whitespace().next().unwrap_or_default()
}

fn assert_restored(output: &str) {
    assert_eq!(word_after(output, "before "), word_after(output, "after "), "{output}");
    assert_ne!(word_after(output, "before "), word_after(output, "raw "), "{output}");
    assert_eq!(output.matches("<epilogue>").count(), 1, "{output}");
}

/// For the children: says that the terminal is raw, with its settings.
fn say_raw() {
    let settings =
        std::process::Command::new("stty").arg("-g").stdin(std::process::Stdio::inherit()).output().expect("stty runs");
    let text = format!("raw {} ready {} ", String::from_utf8_lossy(&settings.stdout).trim(), std::process::id());
    rustix::io::write(stdout(), text.as_bytes()).expect("a terminal");
}

#[test]
fn child_returns() {
    if !is_child() {
        return;
    }
    let raw = RawMode::enter(EPILOGUE).expect("a terminal");
    assert!(RawMode::enter(EPILOGUE).is_err());
    assert!(is_terminal());
    assert_eq!(size(), Some((80, 24)));
    say_raw();
    drop(raw);
    restore_now();
}

#[test]
fn child_panics() {
    if !is_child() {
        return;
    }
    install_panic_hook();
    install_panic_hook();
    // Not dropped: the hook alone must do it.
    std::mem::forget(RawMode::enter(EPILOGUE).expect("a terminal"));
    say_raw();
    panic!("on purpose");
}

#[test]
fn child_is_signalled() {
    if !is_child() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut signals = Signals::start().expect("handlers");
        let _raw = RawMode::enter(EPILOGUE).expect("a terminal");
        say_raw();
        let event = timeout(DEADLINE, signals.next()).await.expect("a signal");
        rustix::io::write(stdout(), format!("event {event:?} ").as_bytes()).expect("a terminal");
    });
}

#[test]
fn child_suspends() {
    if !is_child() {
        return;
    }
    let raw = RawMode::enter(EPILOGUE).expect("a terminal");
    say_raw();
    raw.suspend().expect("a terminal");
    say_raw();
}

#[test]
fn child_reads_keys() {
    if !is_child() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let raw = RawMode::enter(EPILOGUE).expect("a terminal");
        let mut keys = Keys::start().expect("a thread");
        let mut writer = Writer::start().expect("a thread");
        say_raw();
        let mut typed = Vec::new();
        while !typed.ends_with(b"q") {
            match timeout(DEADLINE, keys.next()).await.expect("a key") {
                KeyEvent::Bytes(bytes) => typed.extend_from_slice(&bytes),
                KeyEvent::End => break,
            }
        }
        writer.try_write(format!("typed {typed:?} ").into_bytes()).expect("nothing else is being written");
        writer.flush(DEADLINE).await;
        drop(raw);
        // After the terminal is given back, nothing may be drawn.
        writer.try_write(b"<too late>".to_vec()).expect("nothing else is being written");
        writer.flush(DEADLINE).await;
    });
}

#[tokio::test]
async fn the_terminal_is_restored_on_return() {
    let mut pty = in_a_terminal("child_returns", AROUND);

    let output = output_until(&mut pty, TO_THE_END).await;

    assert_restored(&output);
    assert!(output.contains("code 0"), "{output}");
}

#[tokio::test]
async fn the_terminal_is_restored_before_a_panic_is_printed() {
    let mut pty = in_a_terminal("child_panics", AROUND);

    let output = output_until(&mut pty, TO_THE_END).await;

    assert_restored(&output);
    let (epilogue, message) = (output.find("<epilogue>"), output.find("on purpose"));
    assert!(epilogue < message && message.is_some(), "{output}");
    // With the settings restored a line feed moves to the first column again.
    assert!(output.contains("on purpose\r\n"), "{output}");
}

#[tokio::test]
async fn signals_are_reported_and_the_terminal_is_restored() {
    for (signal, name) in [
        (ProcessSignal::TERM, "Terminate"),
        (ProcessSignal::QUIT, "Terminate"),
        (ProcessSignal::HUP, "HangUp"),
        (ProcessSignal::INT, "Interrupt"),
        (ProcessSignal::TSTP, "Stop"),
        (ProcessSignal::CONT, "Continue"),
    ] {
        let mut pty = in_a_terminal("child_is_signalled", AROUND);
        let mut output = output_until(&mut pty, "ready ").await;
        while word_after(&output, "ready ").is_empty() {
            output += &output_until(&mut pty, " ").await;
        }
        let id = word_after(&output, "ready ").parse().expect("a process id");

        let child = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(child, signal).expect("the child is there");

        output += &output_until(&mut pty, TO_THE_END).await;
        assert_restored(&output);
        assert_eq!(word_after(&output, "event "), name, "{output}");
    }
}

#[tokio::test]
async fn a_resize_of_the_terminal_is_reported() {
    let mut pty = in_a_terminal("child_is_signalled", AROUND);
    let mut output = output_until(&mut pty, "ready ").await;

    pty.resize(100, 30);

    output += &output_until(&mut pty, TO_THE_END).await;
    assert_restored(&output);
    assert_eq!(word_after(&output, "event "), "Resize", "{output}");
}

#[tokio::test]
async fn a_suspension_gives_the_terminal_back_and_takes_it_again() {
    // With job control, as in an interactive shell.
    let script = "set -m; echo before $(stty -g); child; echo stopped $(stty -g); fg; echo after $(stty -g)";
    let mut pty = in_a_terminal("child_suspends", script);

    let output = output_until(&mut pty, TO_THE_END).await;

    let before = word_after(&output, "before ");
    assert_eq!(before, word_after(&output, "stopped "), "{output}");
    assert_eq!(before, word_after(&output, "after "), "{output}");
    assert_eq!(output.matches("<epilogue>").count(), 2, "{output}");
    let raw: Vec<_> = output.match_indices("raw ").map(|(at, _)| word_after(&output[at..], "raw ")).collect();
    assert_eq!(raw.len(), 2, "{output}");
    assert_eq!(raw[0], raw[1], "{output}");
    assert_ne!(raw[0], before, "{output}");
}

#[tokio::test]
async fn a_suspension_without_a_shell_to_come_back_to_does_nothing() {
    let mut pty = in_a_terminal("child_suspends", AROUND);

    let output = output_until(&mut pty, TO_THE_END).await;

    assert_eq!(word_after(&output, "before "), word_after(&output, "after "), "{output}");
    assert_eq!(output.matches("raw ").count(), 2, "{output}");
}

#[tokio::test]
async fn keys_arrive_byte_for_byte_and_nothing_is_drawn_after_the_end() {
    let mut pty = in_a_terminal("child_reads_keys", AROUND);
    let mut output = output_until(&mut pty, "ready ").await;

    pty.write(b"\x03\x04\x11\x13\x1a\rq".to_vec());

    output += &output_until(&mut pty, TO_THE_END).await;
    assert_restored(&output);
    assert!(output.contains("typed [3, 4, 17, 19, 26, 13, 113]"), "{output}");
    assert!(!output.contains("<too late>"), "{output}");
}

// These tests run on pipes.

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("a pipe")
}

fn gate() -> &'static Gate {
    Box::leak(Box::new(Gate::new()))
}

async fn next(keys: &mut Keys) -> KeyEvent {
    timeout(DEADLINE, keys.next()).await.expect("an event within the deadline")
}

#[tokio::test]
async fn the_end_of_input_is_said_once() {
    let (read, write) = pipe();
    let mut keys = Keys::read_from(read).expect("a thread");
    rustix::io::write(&write, b"last").expect("room");

    assert_eq!(next(&mut keys).await, KeyEvent::Bytes(b"last".to_vec()));
    drop(write);
    assert_eq!(next(&mut keys).await, KeyEvent::End);
    assert!(timeout(Duration::from_millis(20), keys.next()).await.is_err());
}

#[tokio::test]
async fn typing_ahead_is_held_back_and_arrives_in_order() {
    let (read, write) = pipe();
    let mut keys = Keys::read_from(read).expect("a thread");
    let typed: Vec<u8> = (0..500_000u32).map(|number| (number % 251) as u8).collect();
    let typist = thread::spawn({
        let typed = typed.clone();
        move || File::from(write).write_all(&typed)
    });

    let mut read = Vec::new();
    while let KeyEvent::Bytes(bytes) = next(&mut keys).await {
        assert!(bytes.len() <= KEY_BYTES_MAX);
        read.extend_from_slice(&bytes);
    }

    assert!(read == typed);
    typist.join().expect("no panic").expect("all written");
}

#[tokio::test]
async fn what_is_typed_after_the_end_is_left_for_the_shell() {
    let (read, write) = pipe();
    let shell = read.try_clone().expect("a descriptor");
    let keys = Keys::read_from(read).expect("a thread");

    drop(keys);
    rustix::io::write(&write, b"exit\n").expect("room");
    drop(write);

    let mut left = String::new();
    File::from(shell).read_to_string(&mut left).expect("reads");
    assert_eq!(left, "exit\n");
}

#[tokio::test]
async fn a_stalled_terminal_holds_nobody_up() {
    let (read, write) = pipe();
    let mut writer = Writer::write_to(write, gate()).expect("a thread");
    let frame = vec![b'x'; 1024 * 1024];

    assert!(writer.is_ready());
    assert_eq!(writer.try_write(frame.clone()), Ok(()));
    assert_eq!(writer.try_write(b"next".to_vec()), Err(b"next".to_vec()));
    writer.flush(Duration::from_millis(10)).await;
    assert!(!writer.is_ready());

    let terminal = thread::spawn(move || {
        let mut all = Vec::new();
        File::from(read).read_to_end(&mut all).map(|_| all)
    });
    timeout(DEADLINE, writer.ready()).await.expect("ready within the deadline");
    assert_eq!(writer.try_write(b"next".to_vec()), Ok(()));
    drop(writer);

    let all = terminal.join().expect("no panic").expect("reads");
    assert_eq!(all.len(), frame.len() + 4);
    assert!(all.ends_with(b"xnext"));
}

#[tokio::test]
async fn the_epilogue_is_the_last_that_is_written() {
    let (read, write) = pipe();
    let gate = gate();
    let output = write.try_clone().expect("a descriptor");
    let mut writer = Writer::write_to(write, gate).expect("a thread");
    writer.try_write(vec![b'x'; 1024 * 1024]).expect("nothing else is being written");
    let mut terminal = File::from(read);
    let mut some = vec![0; 10_000];
    terminal.read_exact(&mut some).expect("a frame has begun");
    let reader = thread::spawn(move || {
        let mut rest = Vec::new();
        terminal.read_to_end(&mut rest).map(|_| rest)
    });

    gate.finish(output.as_fd(), EPILOGUE);

    drop((writer, output));
    let rest = reader.join().expect("no panic").expect("reads");
    assert!(rest.ends_with(EPILOGUE));
    assert_eq!(rest.windows(EPILOGUE.len()).filter(|window| *window == EPILOGUE).count(), 1);
}

#[test]
fn a_stalled_terminal_does_not_hold_the_exit_back() {
    let (_read, write) = pipe();
    rustix::io::ioctl_fionbio(&write, true).expect("a pipe");
    while rustix::io::write(&write, &[0; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&write, false).expect("a pipe");
    let gate = gate();
    let started = Instant::now();

    gate.finish(write.as_fd(), EPILOGUE);

    assert!(started.elapsed() < EPILOGUE_PATIENCE + Duration::from_secs(2));
    assert!(gate.shut.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_terminal_that_is_gone_takes_output_without_complaint() {
    let (read, write) = pipe();
    drop(read);
    let mut writer = Writer::write_to(write, gate()).expect("a thread");

    for _ in 0..3 {
        writer.try_write(b"x".to_vec()).expect("nothing else is being written");
        timeout(DEADLINE, writer.ready()).await.expect("ready within the deadline");
    }
}
