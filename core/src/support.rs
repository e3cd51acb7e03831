//! Small parts without a subject of their own: pauses that grow, deadlines by key, a token bucket, random bytes from a
//! seed.

pub(crate) mod backoff;
pub(crate) mod deadline_map;
pub(crate) mod entropy;
#[cfg(feature = "host")]
pub(crate) mod token_bucket;
