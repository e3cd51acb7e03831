//! The control socket: how other programs of the same user ask a running share something.
//!
//! A Unix socket for each session, in a folder that only its owner may enter. Both ends ask the kernel for the other's
//! user id, and speak to nobody but their own user. A request is one line, and so is its answer. Then the connection
//! stays open until the share ends, so that a program can wait for the end, but for a minute at most. When there are
//! too many connections, the oldest idle one is closed.

use std::collections::VecDeque;
use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Connections at once; for one more, the oldest idle one ends.
const MAX_CONNECTIONS: usize = 16;

/// A connection ends this long after its answer: `beach stop` waits 15 s for the end of a share.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Longest line, in bytes, with its end: an answer names at most as many members as a session has.
const MAX_LINE: u64 = 64 * 1024;

/// A line takes no longer than this, either way.
const WITHIN: Duration = Duration::from_secs(2);

/// Between two tries to accept, after one failed.
const REST: Duration = Duration::from_millis(100);

/// A program of the same user asks this.
#[derive(Debug)]
pub struct Asked {
    /// The line, without its end.
    pub line: String,
    /// For the answer, a line without its end.
    pub answer: oneshot::Sender<String>,
}

/// The socket of a session. Its file goes when this is dropped.
pub struct Control {
    path: PathBuf,
    asked: mpsc::Receiver<Asked>,
    _tasks: JoinSet<()>,
}

/// The folder of the sockets: `$XDG_RUNTIME_DIR/beach`, else `$XDG_STATE_HOME/beach`, else `~/.local/state/beach`.
///
/// # Errors
/// None of these variables is set.
pub fn folder() -> io::Result<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = || variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let base = variable("XDG_RUNTIME_DIR").or_else(state);
    base.map(|base| base.join("beach")).ok_or_else(|| io::Error::other("HOME is not set"))
}

/// The sockets in the folder, by the names of their sessions, in order. A share that was killed leaves its socket
/// behind.
///
/// # Errors
/// The folder cannot be read. A folder that is not there has no sockets, which is no error.
pub fn sessions() -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder()?) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let session = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".sock")?.to_owned();
        Some((name, path))
    };
    let mut found: Vec<_> = entries.filter_map(|entry| session(entry.ok()?.path())).collect();
    found.sort();
    Ok(found)
}

impl Control {
    /// Listens for `session`. Needs a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// The folder or the socket cannot be made; or the folder is a symbolic link or another user's.
    pub fn listen(session: &str) -> io::Result<Control> {
        let folder = folder()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        close_to_others(&folder)?;
        let path = folder.join(format!("{session}.sock"));
        // A session id is never used twice: a file of this name is left over.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let (ask, asked) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, ask));
        Ok(Control { path, asked, _tasks: tasks })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next request. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The file may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes all rights to the folder from everybody but its owner, who must be this user. A symbolic link is not followed.
fn close_to_others(folder: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&folder)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user owns the folder of the socket"));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        rustix::fs::fchmod(&folder, Mode::RWXU)?;
    }
    Ok(())
}

/// The connections that stand, the oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    known: VecDeque<Connection>,
}

struct Connection {
    task: AbortHandle,
    /// Whether a request waits for its answer.
    busy: Arc<AtomicBool>,
}

impl Connections {
    /// Serves one more connection; the oldest idle one makes room.
    fn add(&mut self, stream: UnixStream, ask: mpsc::Sender<Asked>) {
        self.known.retain(|connection| !connection.task.is_finished());
        if self.known.len() >= MAX_CONNECTIONS {
            // The share answers each request at once, so hardly ever is one connection busy, let alone all.
            let idle = self.known.iter().position(|connection| !connection.busy.load(Ordering::Relaxed));
            if let Some(oldest) = self.known.remove(idle.unwrap_or(0)) {
                oldest.task.abort();
            }
        }
        let busy = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(serve(stream, ask, busy.clone()));
        self.known.push_back(Connection { task, busy });
    }
}

async fn accept(listener: UnixListener, ask: mpsc::Sender<Asked>) {
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            Some(_) = connections.tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => connections.add(stream, ask.clone()),
                Ok(_) => tracing::warn!("another user was turned away from the control socket"),
                Err(error) => {
                    tracing::warn!(%error, "the control socket accepts nobody");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

/// Reads one line, answers with one line, and waits until the other side goes, sends more, or is idle for too long.
async fn serve(stream: UnixStream, ask: mpsc::Sender<Asked>, busy: Arc<AtomicBool>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let talk = async {
        let line = read_line(&mut reader).await?;
        busy.store(true, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        ask.send(Asked { line, answer }).await.map_err(io::Error::other)?;
        let mut answer = answered.await.map_err(io::Error::other)?;
        answer.push('\n');
        writer.write_all(answer.as_bytes()).await
    };
    let talked = timeout(WITHIN, talk).await;
    busy.store(false, Ordering::Relaxed);
    if talked.is_ok_and(|talked| talked.is_ok()) {
        let _ = timeout(IDLE_FOR, reader.read(&mut [0])).await;
    }
}

async fn read_line(reader: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    reader.take(MAX_LINE).read_line(&mut line).await?;
    match line.pop() {
        Some('\n') => Ok(line),
        Some(_) | None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A connection to a share that answered.
pub struct Answered {
    /// The answer.
    pub line: String,
    reader: BufReader<UnixStream>,
}

/// Asks the share behind this socket.
///
/// # Errors
/// No share listens there, another user's does, or the share does not answer within 2 s.
pub async fn ask(socket: &Path, line: &str) -> io::Result<Answered> {
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        if !is_ours(&stream) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user owns the socket"));
        }
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut reader = BufReader::new(stream);
        let line = read_line(&mut reader).await?;
        Ok(Answered { line, reader })
    };
    timeout(WITHIN, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Answered {
    /// Waits until the share has ended; `false` if that takes longer.
    pub async fn ended(mut self, within: Duration) -> bool {
        timeout(within, async { while self.reader.read(&mut [0]).await.is_ok_and(|read| read > 0) {} }).await.is_ok()
    }
}
