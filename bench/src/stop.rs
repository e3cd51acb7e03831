//! Being interrupted: the bench then ends everything that it started, as at any other end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The exit code that a shell reports for an interrupted command.
const INTERRUPTED: i32 = 130;

/// From now on signals ask; the second one does not ask any more.
pub(crate) fn listen() -> Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(asked))?;
        register(signal, Arc::clone(asked))?;
    }
    Ok(())
}

/// Whether it is interrupted.
pub(crate) fn is_asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
