//! The person's own terminal: raw mode, keys, signals, and the screen.
//!
//! Whatever happens, the terminal is given back as it was found: [`RawMode`] restores it when dropped,
//! [`install_panic_hook`] before a panic's message, and [`restore_now`] from anywhere else. What to draw and what keys
//! mean is decided elsewhere.

use std::fmt;
use std::future;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Signal as ProcessSignal;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Most bytes in one [`KeyEvent::Bytes`]: what the kernel's line buffer holds.
pub const KEY_BYTES_MAX: usize = 4096;

/// Key events not yet asked for: 64 KiB of typing. When it is full, keys stay in the kernel.
const KEYS_MAX: usize = 16;

/// Bytes written to the terminal between two looks at whether it still takes any. Small, so that restoring the terminal
/// waits for little; large enough that a full screen is a few writes.
const OUTPUT_CHUNK_BYTES: usize = 1024;

/// How long the epilogue may wait for a terminal that takes no output. It is a courtesy; an exit must not hang on it.
const EPILOGUE_PATIENCE: Duration = Duration::from_millis(200);

/// How often a busy output is looked at again while the epilogue waits.
const EPILOGUE_STEP: Duration = Duration::from_millis(2);

/// How long a stop may take to reach every thread. Another thread than the caller's may be the one to take the signal, and
/// raw mode must not come back before the stop. Costs nothing when the stop happens: the time runs on meanwhile.
const STOP_PATIENCE: Duration = Duration::from_millis(100);

/// Whether stdin and stdout are both terminals: keys can be read and a screen drawn.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal's size as (columns, rows), in cells; stdout's, then stdin's. `None` without a terminal, or when it does
/// not know.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    [stdout(), stdin()]
        .into_iter()
        .filter_map(|fd| rustix::termios::tcgetwinsize(fd).ok())
        .map(|size| (size.ws_col, size.ws_row))
        .find(|(cols, rows)| *cols > 0 && *rows > 0)
}

/// How to give the terminal back; `Some` exactly while it is raw.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

/// Who may write to the terminal.
static GATE: Gate = Gate::new();

/// Raw mode is on while this lives, except between a suspension and its end.
///
/// There is one terminal, so there is one of these at a time.
#[derive(Debug)]
pub struct RawMode {
    original: Termios,
    epilogue: &'static [u8],
}

/// Serialises output with the moment the terminal is given back: nothing of a screen is written after the epilogue.
struct Gate {
    /// The terminal is given back: no more output.
    shut: AtomicBool,
    /// Held for each chunk, and for the epilogue.
    writing: Mutex<()>,
}

struct Saved {
    original: Termios,
    epilogue: &'static [u8],
}

impl RawMode {
    /// Puts the terminal on stdin into raw mode. Restoring it also writes `epilogue` to stdout: what undoes the escape
    /// sequences in use (mouse, paste, alternate screen, cursor). It should stay below 256 bytes.
    /// It may interrupt a frame in the middle of a sequence, so it should begin with what ends one (CAN, `\x18`).
    ///
    /// # Errors
    /// Stdin is not a terminal, the terminal is gone, or raw mode is on already.
    pub fn enter(epilogue: &'static [u8]) -> io::Result<Self> {
        if lock(&SAVED).is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "raw mode is on already"));
        }
        let mode = Self { original: rustix::termios::tcgetattr(stdin())?, epilogue };
        mode.resume()?;
        Ok(mode)
    }

    /// Gives the terminal back, stops this process group as ^Z would, and returns in raw mode when it is continued. The
    /// screen is to be drawn anew then, and its size asked for.
    ///
    /// What stops the group is SIGTTOU, not SIGTSTP: it has the same effect, is likewise ignored when there is no shell
    /// to come back to, and unlike SIGTSTP has no handler of [`Signals`] in front of it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&self) -> io::Result<()> {
        restore_now();
        rustix::process::kill_current_process_group(ProcessSignal::TTOU)?;
        thread::sleep(STOP_PATIENCE);
        self.resume()
    }

    /// Puts the terminal (back) into raw mode. For [`SignalEvent::Continue`]: after a stop that nobody announced, the
    /// shell has changed the terminal.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&self) -> io::Result<()> {
        let mut raw = self.original.clone();
        raw.make_raw();
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Saved first: a signal between the two restores what is still there.
        *lock(&SAVED) = Some(Saved { original: self.original.clone(), epilogue: self.epilogue });
        // Not "when drained": a stalled terminal would hold us.
        if let Err(error) = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw) {
            *lock(&SAVED) = None;
            return Err(error.into());
        }
        GATE.shut.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore_now();
    }
}

/// Gives the terminal back now: its settings, then the epilogue. Output of [`Screen`] that is not written yet is
/// discarded: flush it first. Idempotent, from any thread, and never blocks for longer than a fraction of a second.
pub fn restore_now() {
    // Held to the end: whoever comes second returns when the terminal is restored, not before. Nothing in here may panic,
    // or log, since the panic hook comes through here.
    let mut raw = lock(&SAVED);
    if let Some(saved) = raw.take() {
        // The settings first, and without waiting for output: they matter most. An error means that the terminal is gone.
        let _ = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &saved.original);
        GATE.finish(stdout(), saved.epilogue);
    }
}

/// Makes a panic restore the terminal before its message is printed. The hook there was runs after. Once is enough; more
/// does no harm.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore_now();
            previous(info);
        }));
    });
}

impl Gate {
    const fn new() -> Self {
        Self { shut: AtomicBool::new(false), writing: Mutex::new(()) }
    }

    /// Writes all of `bytes`, waiting for the terminal as long as it takes, and gives up when the gate shuts.
    fn write(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            writable(output, None)?;
            let _writing = lock(&self.writing);
            if self.shut.load(Ordering::SeqCst) {
                return Ok(());
            }
            let chunk = &rest[..rest.len().min(OUTPUT_CHUNK_BYTES)];
            match rustix::io::write(output, chunk) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes what is taken without waiting; says how much that was. Behind a shut gate everything is taken, by nobody.
    fn write_at_once(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> usize {
        let _writing = lock(&self.writing);
        let mut taken = 0;
        while taken < bytes.len() && !self.shut.load(Ordering::SeqCst) {
            match rustix::io::write(output, &bytes[taken..]) {
                Ok(written) => taken += written,
                Err(Errno::INTR) => {}
                // Whoever waits for it will see what else may be wrong.
                Err(_) => return taken,
            }
        }
        bytes.len()
    }

    /// Shuts the gate and writes the epilogue, unless the terminal takes nothing for [`EPILOGUE_PATIENCE`].
    fn finish(&self, output: BorrowedFd<'_>, epilogue: &[u8]) {
        let deadline = Instant::now() + EPILOGUE_PATIENCE;
        self.shut.store(true, Ordering::SeqCst);
        let _writing = loop {
            match self.writing.try_lock() {
                Ok(writing) => break writing,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                // A write is under way. When it does not end, the terminal is stalled, and no epilogue would get through.
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return,
                Err(TryLockError::WouldBlock) => thread::sleep(EPILOGUE_STEP),
            }
        };
        let mut rest = epilogue;
        while !rest.is_empty() {
            let patience = deadline.saturating_duration_since(Instant::now());
            if !writable(output, Some(patience)).unwrap_or(false) {
                return;
            }
            match rustix::io::write(output, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) if !patience.is_zero() => {}
                Err(_) => return,
            }
        }
    }
}

/// What the keyboard did.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyEvent {
    /// Bytes as typed, 1 to [`KEY_BYTES_MAX`], cut anywhere.
    Bytes(Vec<u8>),
    /// Stdin has ended, or the terminal is gone. Comes once, last.
    End,
}

impl fmt::Debug for KeyEvent {
    /// Lengths, never content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::End => f.write_str("End"),
        }
    }
}

/// What is typed on stdin.
///
/// Stdin is shared with other processes, so it is never made non-blocking. A terminal is opened once more instead, as an open file of
/// our own that may be, and read by the loop: a thread in between would cost every key two changes of context. Anything else is read by
/// a thread, which waits so that the loop does not.
///
/// Dropping this takes not another byte, so what is typed ahead stays for the shell.
pub struct Keys(Source);

enum Source {
    Terminal {
        terminal: AsyncFd<OwnedFd>,
        ended: bool,
    },
    Thread {
        events: mpsc::Receiver<KeyEvent>,
        /// The thread sees this end close.
        _stop: OwnedFd,
    },
}

/// The terminal at `fd` as an open file of our own that does not block; nothing if it is none.
fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    let name = rustix::termios::ttyname(fd, Vec::new()).ok()?;
    rustix::fs::open(name, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}

impl Keys {
    /// Starts reading stdin. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// No pipe or no thread could be had.
    pub fn start() -> io::Result<Self> {
        match reopen(stdin(), OFlags::RDONLY).and_then(crate::readable) {
            Some(terminal) => Ok(Self(Source::Terminal { terminal, ended: false })),
            None => Self::read_from(stdin()),
        }
    }

    fn read_from(input: impl AsFd + Send + 'static) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (sender, events) = mpsc::channel(KEYS_MAX);
        thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while let Some(event) = read_keys(input.as_fd(), stopped.as_fd()) {
                let last = event == KeyEvent::End;
                // An error here: nobody wants keys any more.
                if sender.blocking_send(event).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self(Source::Thread { events, _stop: stop }))
    }

    /// Waits for the next event. Cancel-safe. After [`KeyEvent::End`] it pends for ever.
    pub async fn next(&mut self) -> KeyEvent {
        match &mut self.0 {
            Source::Terminal { ended: true, .. } => future::pending().await,
            Source::Terminal { terminal, ended } => {
                let event = read_terminal(terminal).await;
                *ended = event == KeyEvent::End;
                event
            }
            Source::Thread { events, .. } => match events.recv().await {
                Some(event) => event,
                None => future::pending().await,
            },
        }
    }
}

async fn read_terminal(terminal: &AsyncFd<OwnedFd>) -> KeyEvent {
    let mut buffer = [0; KEY_BYTES_MAX];
    loop {
        let Ok(mut ready) = terminal.readable().await else { return KeyEvent::End };
        let read = ready.try_io(|terminal| Ok(rustix::io::read(terminal.get_ref(), &mut buffer)?));
        match read {
            Ok(Ok(0)) => return KeyEvent::End,
            Ok(Ok(length)) => return KeyEvent::Bytes(buffer[..length].to_vec()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "reading the keyboard failed");
                return KeyEvent::End;
            }
            Err(_would_block) => {}
        }
    }
}

/// Waits for keys and takes them. `None`: told to stop.
fn read_keys(input: BorrowedFd<'_>, stopped: BorrowedFd<'_>) -> Option<KeyEvent> {
    let mut buffer = [0; KEY_BYTES_MAX];
    loop {
        let mut waiting =
            [PollFd::from_borrowed_fd(input, PollFlags::IN), PollFd::from_borrowed_fd(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Some(KeyEvent::End),
        }
        if !waiting[1].revents().is_empty() {
            return None;
        }
        if waiting[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => return Some(KeyEvent::End),
            Ok(length) => return Some(KeyEvent::Bytes(buffer[..length].to_vec())),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                tracing::debug!(%error, "reading the keyboard failed");
                return Some(KeyEvent::End);
            }
        }
    }
}

/// A signal sent to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEvent {
    /// SIGWINCH: the terminal's size changed; see [`size`].
    Resize,
    /// SIGTERM, or SIGQUIT, which would otherwise end the process with its terminal still raw and its memory in a file.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGINT; in raw mode ^C is a key, so this came from elsewhere.
    Interrupt,
    /// SIGTSTP from elsewhere, to be answered with [`RawMode::suspend`].
    Stop,
    /// SIGCONT: running again, whoever stopped it.
    Continue,
}

/// Stops this process as ^Z would, while raw mode is off: the handler for SIGTSTP has swallowed it.
pub fn stop() {
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), ProcessSignal::STOP) {
        tracing::warn!(%error, "not stopped");
    }
}

/// The signals of this process. From the first start on, and for the life of the process, they no longer have their
/// usual effect: whoever starts this must act on them.
pub struct Signals {
    resize: SignalStream,
    terminate: SignalStream,
    quit: SignalStream,
    hang_up: SignalStream,
    interrupt: SignalStream,
    stop: SignalStream,
    resumed: SignalStream,
}

impl Signals {
    /// Starts listening. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// The system refused a handler.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(SignalKind::from_raw(ProcessSignal::TSTP.as_raw()))?,
            resumed: signal(SignalKind::from_raw(ProcessSignal::CONT.as_raw()))?,
        })
    }

    /// Waits for the next signal. Cancel-safe. Several of one kind may arrive as one, as signals do. Those that end the
    /// program come first.
    pub async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => SignalEvent::Terminate,
            Some(()) = self.quit.recv() => SignalEvent::Terminate,
            Some(()) = self.hang_up.recv() => SignalEvent::HangUp,
            Some(()) = self.interrupt.recv() => SignalEvent::Interrupt,
            Some(()) = self.stop.recv() => SignalEvent::Stop,
            Some(()) = self.resumed.recv() => SignalEvent::Continue,
            Some(()) = self.resize.recv() => SignalEvent::Resize,
            // The streams end only with the runtime.
            else => future::pending().await,
        }
    }
}

/// The terminal's output. What the terminal takes at once is written at once; the rest is written on a thread of its own, so that a
/// stalled terminal (^S, a frozen window) never holds the loop up. It holds one write: while that one is under way, newer output is
/// merged by whoever makes it.
pub struct Screen {
    /// The terminal as an open file of our own that does not block.
    direct: Option<OwnedFd>,
    gate: &'static Gate,
    to_write: mpsc::Sender<Vec<u8>>,
    submitted: u64,
    finished: watch::Receiver<u64>,
}

impl Screen {
    /// Starts the thread that writes to stdout.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start() -> io::Result<Self> {
        let mut screen = Self::write_to(stdout(), &GATE)?;
        screen.direct = reopen(stdout(), OFlags::WRONLY);
        Ok(screen)
    }

    fn write_to(output: impl AsFd + Send + 'static, gate: &'static Gate) -> io::Result<Self> {
        let (to_write, mut writes) = mpsc::channel::<Vec<u8>>(1);
        let (finish, finished) = watch::channel(0);
        thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let mut gone = false;
            while let Some(bytes) = writes.blocking_recv() {
                if !gone && let Err(error) = gate.write(output.as_fd(), &bytes) {
                    // From here on output goes nowhere; the hang-up signal says so to whoever acts on it.
                    tracing::debug!(%error, "the terminal takes no more output");
                    gone = true;
                }
                finish.send_modify(|count| *count += 1);
            }
        })?;
        Ok(Self { direct: None, gate, to_write, submitted: 0, finished })
    }

    /// Starts writing `bytes` if nothing else is being written.
    ///
    /// # Errors
    /// The last write is still under way: the bytes come back, to be merged and tried again after [`Screen::ready`].
    pub fn try_write(&mut self, mut bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if !self.is_ready() {
            return Err(bytes);
        }
        if let Some(direct) = &self.direct {
            let taken = self.gate.write_at_once(direct.as_fd(), &bytes);
            if taken == bytes.len() {
                return Ok(());
            }
            bytes.drain(..taken);
        }
        match self.to_write.try_send(bytes) {
            Ok(()) => {
                self.submitted += 1;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(bytes) | mpsc::error::TrySendError::Closed(bytes)) => Err(bytes),
        }
    }

    /// Whether a write would be accepted now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.finished.borrow() == self.submitted
    }

    /// Waits until a write would be accepted. Cancel-safe; at once when nothing is being written.
    pub async fn ready(&mut self) {
        let submitted = self.submitted;
        if self.finished.wait_for(|count| *count == submitted).await.is_err() {
            // The thread is gone, which takes a panic in it: nothing will ever be written.
            future::pending().await
        }
    }

    /// Waits until everything accepted is with the terminal, for at most `patience`.
    pub async fn flush(&mut self, patience: Duration) {
        if timeout(patience, self.ready()).await.is_err() {
            tracing::debug!("the terminal did not take all output in time");
        }
    }
}

/// Waits until a write would be taken; `false` when `patience` ran out first.
fn writable(output: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<bool> {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(output, PollFlags::OUT)];
        match rustix::event::poll(&mut waiting, patience.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What these locks hold is whole at every moment, so a panic elsewhere takes nothing from it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::{Exit, Pty, PtyEvent, Spawn};
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    /// No test needs longer; one that does has hung.
    const DEADLINE: Duration = Duration::from_secs(10);

    const EPILOGUE: &[u8] = b"<epilogue>";

    // These run in a terminal of their own, in a child process: what is tested is the process's one terminal.

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
        let command = format!(
            "child() {{ \"$TTY_TEST_SELF\" --exact {module}::{name} --nocapture --test-threads=1; }}; {script}"
        );
        Pty::spawn(&Spawn {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), command.into()],
            env: vec![(SELF.into(), me.into())],
            env_remove: Vec::new(),
            cols: 80,
            rows: 24,
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
        let settings = std::process::Command::new("stty")
            .arg("-g")
            .stdin(std::process::Stdio::inherit())
            .output()
            .expect("stty runs");
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
            let mut screen = Screen::start().expect("a thread");
            say_raw();
            let mut typed = Vec::new();
            while !typed.ends_with(b"q") {
                match timeout(DEADLINE, keys.next()).await.expect("a key") {
                    KeyEvent::Bytes(bytes) => typed.extend_from_slice(&bytes),
                    KeyEvent::End => break,
                }
            }
            screen.try_write(format!("typed {typed:?} ").into_bytes()).expect("nothing else is being written");
            screen.flush(DEADLINE).await;
            drop(raw);
            // After the terminal is given back, nothing may be drawn.
            screen.try_write(b"<too late>".to_vec()).expect("nothing else is being written");
            screen.flush(DEADLINE).await;
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

    // And these on pipes.

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
        let mut screen = Screen::write_to(write, gate()).expect("a thread");
        let frame = vec![b'x'; 1024 * 1024];

        assert!(screen.is_ready());
        assert_eq!(screen.try_write(frame.clone()), Ok(()));
        assert_eq!(screen.try_write(b"next".to_vec()), Err(b"next".to_vec()));
        screen.flush(Duration::from_millis(10)).await;
        assert!(!screen.is_ready());

        let terminal = thread::spawn(move || {
            let mut all = Vec::new();
            File::from(read).read_to_end(&mut all).map(|_| all)
        });
        timeout(DEADLINE, screen.ready()).await.expect("ready within the deadline");
        assert_eq!(screen.try_write(b"next".to_vec()), Ok(()));
        drop(screen);

        let all = terminal.join().expect("no panic").expect("reads");
        assert_eq!(all.len(), frame.len() + 4);
        assert!(all.ends_with(b"xnext"));
    }

    #[tokio::test]
    async fn the_epilogue_is_the_last_that_is_written() {
        let (read, write) = pipe();
        let gate = gate();
        let output = write.try_clone().expect("a descriptor");
        let mut screen = Screen::write_to(write, gate).expect("a thread");
        screen.try_write(vec![b'x'; 1024 * 1024]).expect("nothing else is being written");
        let mut terminal = File::from(read);
        let mut some = vec![0; 10_000];
        terminal.read_exact(&mut some).expect("a frame has begun");
        let reader = thread::spawn(move || {
            let mut rest = Vec::new();
            terminal.read_to_end(&mut rest).map(|_| rest)
        });

        gate.finish(output.as_fd(), EPILOGUE);

        drop((screen, output));
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
        let mut screen = Screen::write_to(write, gate()).expect("a thread");

        for _ in 0..3 {
            screen.try_write(b"x".to_vec()).expect("nothing else is being written");
            timeout(DEADLINE, screen.ready()).await.expect("ready within the deadline");
        }
    }
}
