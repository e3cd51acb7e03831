//! Sources of events that may not be there.

/// What an optional source reports next; one that is not there never does. Cancel-safe if the source is.
pub(crate) async fn next_of<'a, S, T>(source: Option<&'a mut S>, next: impl AsyncFnOnce(&'a mut S) -> T) -> T {
    match source {
        Some(source) => next(source).await,
        None => std::future::pending().await,
    }
}
