//! A folder that one test has for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Lines shown of each log when a test fails.
const TAIL: usize = 40;

/// A new, empty folder; it goes when this is dropped, and its logs are shown if the test failed. `BEACH_KEEP=1` keeps
/// it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    ///
    /// # Panics
    /// If the file system refuses.
    pub fn new() -> Scratch {
        let path = std::env::temp_dir().join(unique("beach-test"));
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Scratch(path)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A file in it, which may not exist yet.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The content of a file in the folder; empty if there is no such file.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.file(name)).unwrap_or_default()).into_owned()
    }

    /// Writes a file in it.
    ///
    /// # Panics
    /// If the file system refuses.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
            for path in
                entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "log"))
            {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- the end of {}:", path.display());
                for line in &lines[lines.len().saturating_sub(TAIL)..] {
                    eprintln!("{line}");
                }
            }
        }
        if std::env::var_os("BEACH_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A name that nobody else on this machine has.
pub(super) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
