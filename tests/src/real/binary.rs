//! The program under test, and the examples of core.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the program is: `$BEACH_BIN`, or what `cargo build --workspace --bin beach` builds, in the profile of this
/// test, once a process. With `-p beach-cli` cargo would choose other features of crates, and compile almost all of
/// them once more.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        env::var_os("BEACH_BIN").map_or_else(|| build(&["--workspace", "--bin", "beach"]).join("beach"), PathBuf::from)
    })
}

/// Where this example of core is, built with the features that the tests have.
///
/// # Panics
/// If it cannot be built.
pub fn example(name: &str) -> PathBuf {
    build(&["--workspace", "--example", name]).join("examples").join(name)
}

/// Builds this, and says in which folder it lies.
fn build(what: &[&str]) -> PathBuf {
    // target/PROFILE/deps/TEST
    let test = env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = folder.parent().expect("a profile lies in target");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{what:?} could not be built");
    folder.to_owned()
}
