//! The log, which goes to a file or nowhere, never to a terminal.

use std::path::PathBuf;
use std::sync::Arc;

use beach_runtime_tokio::record::PrivateFile;
use tracing_subscriber::EnvFilter;

use crate::args::LogArgs;

/// Starts the log.
///
/// # Errors
/// The system's message, if the file cannot be opened.
pub(crate) fn start(args: &LogArgs) -> Result<(), String> {
    let by_variable = std::env::var_os("BEACH_DEBUG_LOG").is_some_and(|value| value == "1");
    let (path, level) = match (&args.log_file, &args.debug_log) {
        (_, Some(path)) => (path.clone(), "debug"),
        (Some(path), None) => (path.clone(), if by_variable { "debug" } else { "info" }),
        (None, None) if by_variable => (default_path().ok_or("there is no home directory for the log")?, "debug"),
        (None, None) => return Ok(()),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let file = PrivateFile::append(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let filter = ["BEACH_LOG", "RUST_LOG"].iter().find_map(|name| EnvFilter::try_from_env(name).ok());
    // The ICE crate logs passwords at level debug. The TURN crates log each step, and a server's first request for a
    // password as an error.
    const OTHERS: &str = "is=info,str0m=info,dimpl=info,tungstenite=info,turn_client_proto=off,stun_proto=off";
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("{level},{OTHERS}")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // Without this, the library reports failed writes on stderr, which tears the screen.
        .log_internal_errors(false)
        .with_writer(Arc::new(file))
        .try_init()
        .map_err(|error| error.to_string())
}

fn default_path() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.state_dir()?.join("beach").join("beach.log"))
}
