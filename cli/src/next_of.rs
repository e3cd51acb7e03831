//! Optional sources of events.

/// Waits for the next event of an optional source; for ever, if there is no source. Cancel-safe if `next` is.
pub(crate) async fn next_of<'a, S, T>(source: Option<&'a mut S>, next: impl AsyncFnOnce(&'a mut S) -> T) -> T {
    match source {
        Some(source) => next(source).await,
        None => std::future::pending().await,
    }
}
