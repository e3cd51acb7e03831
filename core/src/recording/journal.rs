//! Recordings: every input of a machine, as `(Timestamp, Input)`, and a digest of what it put out. Replay is a `for`
//! loop.
//!
//! Made above the link seam, so a recording replays exactly and lets nobody in; it does hold keystrokes and screens.
//! Events below the seam stand beside the inputs as notes. A file is a sequence of records, each a 4-byte big-endian
//! length and that many bytes of postcard.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[cfg(feature = "host")]
use crate::host::{Host, HostConfig, HostOutput};
use crate::machine::Machine;
use crate::session::link::Command;
use crate::time::Timestamp;
use crate::viewer::{Viewer, ViewerConfig, ViewerOutput};
use crate::wire::{decode, encode};

/// Longest record: an input of 64 KiB of PTY output, and what postcard adds.
pub const MAX_RECORD: usize = 128 * 1024;

/// A record of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The first record: of a host.
    #[cfg(feature = "host")]
    Host(HostConfig),
    /// Stands where the number of a host's first record is; without the feature `host` that one is malformed.
    #[cfg(not(feature = "host"))]
    Host,
    /// The first record: of a viewer.
    Viewer(ViewerConfig),
    /// An input, encoded.
    Input(Timestamp, Vec<u8>),
    /// The digest of what the machine put out for the inputs since the last digest.
    Outputs([u8; 8]),
    /// Something that happened below the seam; not replayed.
    Note(Timestamp, String),
}

/// Why a recording could not be read or replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Not a recording of this version.
    #[error("this version of beach cannot read the file as a recording")]
    Malformed,
    /// The machine put out something else than in the recorded run.
    #[error("at {0} s the machine differs from the recording")]
    Diverged(Timestamp),
}

/// The events of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// A host's output.
    #[cfg(feature = "host")]
    Host(Timestamp, HostOutput<Command>),
    /// A viewer's output.
    Viewer(Timestamp, ViewerOutput<Command>),
    /// A note.
    Note(Timestamp, String),
}

/// Appends `record` as a file holds it.
pub fn write(record: &Record, file: &mut Vec<u8>) {
    let bytes = encode(record);
    let length = u32::try_from(bytes.len()).expect("a record is bounded by its input");
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&bytes);
}

/// Reads a file into records, up to the last whole one: the recording process may have been killed. See [`is_whole`].
///
/// # Errors
/// The file is not a recording of this version, or a record in it is damaged. A last one that is cut off is left out.
pub fn read(mut file: &[u8]) -> Result<Vec<Record>, ReplayError> {
    let mut records = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_RECORD {
            return Err(ReplayError::Malformed);
        }
        let Some((bytes, rest)) = rest.split_at_checked(length) else { break };
        records.push(decode(bytes, MAX_RECORD).map_err(|_| ReplayError::Malformed)?);
        file = rest;
    }
    if records.is_empty() { Err(ReplayError::Malformed) } else { Ok(records) }
}

/// Whether the file ends where a record ends.
pub fn is_whole(mut file: &[u8]) -> bool {
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        match rest.split_at_checked(length) {
            Some((_, rest)) => file = rest,
            None => return false,
        }
    }
    file.is_empty()
}

/// Replays a recording, and tells `show` of everything that the machine put out then and puts out now.
///
/// # Errors
/// The first record does not say what was recorded, or the machine puts out something else than it did then.
pub fn replay(records: &[Record], mut show: impl FnMut(Replayed)) -> Result<(), ReplayError> {
    match records.split_first() {
        #[cfg(feature = "host")]
        Some((Record::Host(config), rest)) => run(Host::new(config.clone()), rest, &mut show, Replayed::Host),
        Some((Record::Viewer(config), rest)) => run(Viewer::new(config.clone()), rest, &mut show, Replayed::Viewer),
        #[cfg(not(feature = "host"))]
        Some((Record::Host, _)) => Err(ReplayError::Malformed),
        Some((Record::Input(..) | Record::Outputs(_) | Record::Note(..), _)) | None => Err(ReplayError::Malformed),
    }
}

fn run<M>(
    mut machine: M,
    records: &[Record],
    show: &mut impl FnMut(Replayed),
    shown: impl Fn(Timestamp, M::Output) -> Replayed,
) -> Result<(), ReplayError>
where
    M: Machine<Input: DeserializeOwned, Output: Serialize>,
{
    let mut digest = OutputDigest::default();
    let mut at = Timestamp::ZERO;
    // Outputs before the first input.
    while let Some(output) = machine.poll() {
        digest.add(&output);
        show(shown(at, output));
    }
    for record in records {
        match record {
            Record::Input(now, bytes) => {
                at = *now;
                let input = decode(bytes, MAX_RECORD).map_err(|_| ReplayError::Malformed)?;
                machine.handle(at, input);
                while let Some(output) = machine.poll() {
                    digest.add(&output);
                    show(shown(at, output));
                }
            }
            Record::Outputs(then) => {
                if digest.take() != *then {
                    return Err(ReplayError::Diverged(at));
                }
            }
            Record::Note(at, note) => show(Replayed::Note(*at, note.clone())),
            #[cfg(feature = "host")]
            Record::Host { .. } => return Err(ReplayError::Malformed),
            #[cfg(not(feature = "host"))]
            Record::Host => return Err(ReplayError::Malformed),
            Record::Viewer(_) => return Err(ReplayError::Malformed),
        }
    }
    Ok(())
}

/// Writes records as things happen; used by `Endpoint`.
#[derive(Default)]
pub(crate) struct Journal {
    digest: OutputDigest,
    undigested: bool,
    bytes: Vec<u8>,
}

impl Journal {
    pub(crate) fn begin(&mut self, first: &Record) {
        write(first, &mut self.bytes);
    }

    pub(crate) fn input<I: Serialize>(&mut self, now: Timestamp, input: &I) {
        self.close_step();
        write(&Record::Input(now, encode(input)), &mut self.bytes);
    }

    pub(crate) fn output<O: Serialize>(&mut self, output: &O) {
        self.digest.add(output);
        self.undigested = true;
    }

    pub(crate) fn note(&mut self, now: Timestamp, note: String) {
        write(&Record::Note(now, note), &mut self.bytes);
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.close_step();
        std::mem::take(&mut self.bytes)
    }

    fn close_step(&mut self) {
        if std::mem::take(&mut self.undigested) {
            let digest = self.digest.take();
            write(&Record::Outputs(digest), &mut self.bytes);
        }
    }
}

#[derive(Default)]
struct OutputDigest(Sha256);

impl OutputDigest {
    fn add<O: Serialize>(&mut self, output: &O) {
        self.0.update(encode(output));
    }

    fn take(&mut self) -> [u8; 8] {
        let digest = std::mem::take(&mut self.0).finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        short
    }
}

/// The first record of a machine's recording.
pub trait Recorded {
    /// The first record.
    fn first_record(&self) -> Record;
}

#[cfg(feature = "host")]
impl Recorded for HostConfig {
    fn first_record(&self) -> Record {
        Record::Host(self.clone())
    }
}

impl Recorded for ViewerConfig {
    fn first_record(&self) -> Record {
        Record::Viewer(self.clone())
    }
}
