//! Small parts without a subject of their own: pauses that grow, deadlines by key, token buckets, random bytes from a
//! seed.

#[cfg(feature = "host")]
pub(crate) mod address_rates;
pub(crate) mod backoff;
pub(crate) mod deadline_map;
pub(crate) mod entropy;
#[cfg(feature = "host")]
pub(crate) mod token_bucket;
