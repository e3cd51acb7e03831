//! Recordings: journals, which are replayed, and asciicasts, which are watched.

pub mod asciicast;
pub mod journal;
pub mod redaction;
