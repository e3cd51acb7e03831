//! The log, which goes to a file or nowhere, never to the terminal of a session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use beach_runtime_tokio::record::PrivateFile;
use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};

/// Starts the log.
///
/// # Errors
/// The system's message, if the file cannot be opened.
pub(crate) fn start(args: &LogArgs) -> Result<(), String> {
    start_at(args, in_file)
}

/// As [`start`], for a command without a terminal of its own: the file `-` is standard error.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_without_terminal(args: &LogArgs) -> Result<(), String> {
    start_at(args, |path| match path.as_os_str() == "-" {
        true => PrivateFile::stderr().map_err(|error| format!("standard error: {error}")),
        false => in_file(path),
    })
}

fn in_file(path: &Path) -> Result<PrivateFile, String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    PrivateFile::append(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn start_at(args: &LogArgs, open: impl FnOnce(&Path) -> Result<PrivateFile, String>) -> Result<(), String> {
    let by_variable = std::env::var_os("BEACH_DEBUG_LOG").is_some_and(|value| value == "1");
    let (path, level) = match (&args.log_file, &args.debug_log) {
        (_, Some(path)) => (path.clone(), "debug"),
        (Some(path), None) => (path.clone(), if by_variable { "debug" } else { "info" }),
        (None, None) if by_variable => (default_path().ok_or("there is no home directory for the log")?, "debug"),
        (None, None) => return Ok(()),
    };
    let file = open(&path)?;
    let filter = ["BEACH_LOG", "RUST_LOG"].iter().find_map(|name| EnvFilter::try_from_env(name).ok());
    // The ICE crate logs passwords at level debug. The TURN crates log each step, and a server's first request for a
    // password as an error.
    const OTHERS: &str = "is=info,str0m=info,dimpl=info,tungstenite=info,turn_client_proto=off,stun_proto=off";
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("{level},{OTHERS}")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // Without this, the library reports failed writes on stderr, which tears the screen.
        .log_internal_errors(false)
        .with_writer(Arc::new(file));
    let started = match args.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true);
            log.with_current_span(false).with_span_list(false).try_init()
        }
    };
    started.map_err(|error| error.to_string())
}

fn default_path() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.state_dir()?.join("beach").join("beach.log"))
}
