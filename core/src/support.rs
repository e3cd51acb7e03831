//! Small parts without a subject of their own: deadlines by key, a token bucket, random bytes from a seed.

pub(crate) mod deadline_map;
pub(crate) mod entropy;
#[cfg(feature = "host")]
pub(crate) mod token_bucket;
