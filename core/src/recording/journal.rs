//! Recordings: every input of a machine, as `(Timestamp, Input)`, and a digest of what it put out. Replay is a `for`
//! loop.
//!
//! Made above the link seam, so a recording replays exactly and lets nobody in; it does hold keystrokes and screens,
//! unless they were replaced ([`super::redaction`]). Events below the seam stand beside the inputs as notes.
//!
//! A file is `beachrec`, a byte with the version of the format, and a sequence of records, each a 4-byte big-endian
//! length and that many bytes of postcard. Fields and enums of inputs and configurations change from one version of
//! beach to another; the version of the format grows when an older recording would be read as something else.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::redaction::Redaction;
#[cfg(feature = "host")]
use crate::host::{Host, HostConfig, HostInput, HostOutput};
use crate::machine::{Machine, Tick};
use crate::session::link::Command;
use crate::side::Side;
use crate::time::Timestamp;
use crate::viewer::{Viewer, ViewerConfig, ViewerInput, ViewerOutput};
use crate::wire::{decode, encode};

/// The beginning of each file.
const MAGIC: &[u8; 8] = b"beachrec";

/// The version of the format that this beach writes and reads.
pub const FORMAT: u8 = 2;

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
    /// How the machine ended, in words that stay the same from one version of beach to the next.
    Ended(String),
}

/// Why a recording could not be read or replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Neither a recording nor what is left of one.
    #[error("this version of beach cannot read the file as a recording")]
    Malformed,
    /// A recording of another version of the format.
    #[error("the recording has version {0} of the format, and this beach reads version {FORMAT}")]
    Format(u8),
    /// The machine put out something else than in the recorded run.
    #[error("at {0} s the machine differs from the recording")]
    Diverged(Timestamp),
}

/// The events of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// An input of a host, before the outputs that follow from it.
    #[cfg(feature = "host")]
    HostInput(Timestamp, HostInput),
    /// An input of a viewer, before the outputs that follow from it.
    ViewerInput(Timestamp, ViewerInput),
    /// A host's output.
    #[cfg(feature = "host")]
    Host(Timestamp, HostOutput<Command>),
    /// A viewer's output.
    Viewer(Timestamp, ViewerOutput<Command>),
    /// A note.
    Note(Timestamp, String),
}

/// How a replay went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When the last input came, or the last timer was due.
    pub at: Timestamp,
    /// How many inputs there were.
    pub inputs: usize,
    /// How the recorded machine ended, if it did.
    pub recorded: Option<String>,
    /// How the machine ended now, if it did.
    pub now: Option<String>,
}

/// Whether outputs must be those of then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Outputs,
    Nothing,
}

/// How long after the last input [`replay_inputs`] waits for an end. An ending machine waits some seconds for each
/// screen and goodbye that is not acknowledged. Only a host's linger can be longer, and has then to be in the
/// recording.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Most timers in that time: a machine whose deadline does not move would be asked without end.
const TICKS_AT_MOST: u32 = 100_000;

/// Begins a file.
pub fn begin(file: &mut Vec<u8>) {
    file.extend_from_slice(MAGIC);
    file.push(FORMAT);
}

/// The records of a file, as bytes.
fn body(file: &[u8]) -> Result<&[u8], ReplayError> {
    match file.strip_prefix(MAGIC).and_then(<[u8]>::split_first) {
        Some((&FORMAT, body)) => Ok(body),
        Some((format, _)) => Err(ReplayError::Format(*format)),
        None => Err(ReplayError::Malformed),
    }
}

/// Appends `record` as a file holds it, behind its beginning.
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
pub fn read(file: &[u8]) -> Result<Vec<Record>, ReplayError> {
    let mut file = body(file)?;
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
pub fn is_whole(file: &[u8]) -> bool {
    let Ok(mut file) = body(file) else { return false };
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        match rest.split_at_checked(length) {
            Some((_, rest)) => file = rest,
            None => return false,
        }
    }
    file.is_empty()
}

/// Replays a recording, and tells `show` of everything that the machine got then and puts out now.
///
/// # Errors
/// The first record does not say what was recorded, or the machine puts out something else than it did then.
pub fn replay(records: &[Record], show: impl FnMut(Replayed)) -> Result<Outcome, ReplayError> {
    start(records, Compare::Outputs, show)
}

/// Replays the inputs of a recording, for example of an older beach. The machine may put out something else than it did
/// then, and so wait for what the other side never sent in that run. A machine that had ended then, and has not at the
/// last input, is therefore given only its timers, for 30 s.
///
/// # Errors
/// The first record does not say what was recorded, or an input cannot be read any more.
pub fn replay_inputs(records: &[Record], show: impl FnMut(Replayed)) -> Result<Outcome, ReplayError> {
    start(records, Compare::Nothing, show)
}

fn start(records: &[Record], compare: Compare, mut show: impl FnMut(Replayed)) -> Result<Outcome, ReplayError> {
    match records.split_first() {
        #[cfg(feature = "host")]
        Some((Record::Host(config), rest)) => {
            let told = Told { input: Replayed::HostInput, output: Replayed::Host, ending: HostOutput::ending };
            run(Host::new(config.clone()), rest, compare, &mut show, told)
        }
        Some((Record::Viewer(config), rest)) => {
            let told = Told { input: Replayed::ViewerInput, output: Replayed::Viewer, ending: ViewerOutput::ending };
            run(Viewer::new(config.clone()), rest, compare, &mut show, told)
        }
        #[cfg(not(feature = "host"))]
        Some((Record::Host, _)) => Err(ReplayError::Malformed),
        Some((Record::Input(..) | Record::Outputs(_) | Record::Note(..) | Record::Ended(_), _)) | None => {
            Err(ReplayError::Malformed)
        }
    }
}

/// The functions that turn a machine's inputs and outputs into [`Replayed`], and its last output into an ending.
struct Told<I, O> {
    input: fn(Timestamp, I) -> Replayed,
    output: fn(Timestamp, O) -> Replayed,
    ending: fn(&O) -> Option<String>,
}

fn run<M>(
    mut machine: M,
    records: &[Record],
    compare: Compare,
    show: &mut impl FnMut(Replayed),
    told: Told<M::Input, M::Output>,
) -> Result<Outcome, ReplayError>
where
    M: Machine<Input: Clone + DeserializeOwned, Output: Serialize>,
{
    let mut outputs = OutputDigest::default();
    let mut outcome = Outcome::default();
    let drain = |machine: &mut M, outputs: &mut OutputDigest, outcome: &mut Outcome, show: &mut dyn FnMut(Replayed)| {
        while let Some(output) = machine.poll() {
            outputs.add(&output);
            outcome.now = outcome.now.take().or_else(|| (told.ending)(&output));
            show((told.output)(outcome.at, output));
        }
    };
    // Outputs before the first input.
    drain(&mut machine, &mut outputs, &mut outcome, show);
    for record in records {
        match record {
            Record::Input(now, bytes) => {
                let input: M::Input = decode(bytes, MAX_RECORD).map_err(|_| ReplayError::Malformed)?;
                // Time never goes backwards, whatever a file says.
                outcome.at = outcome.at.max(*now);
                outcome.inputs += 1;
                show((told.input)(outcome.at, input.clone()));
                machine.handle(outcome.at, input);
                drain(&mut machine, &mut outputs, &mut outcome, show);
            }
            Record::Outputs(then) => {
                if outputs.take() != *then && compare == Compare::Outputs {
                    return Err(ReplayError::Diverged(outcome.at));
                }
            }
            Record::Note(at, note) => show(Replayed::Note(*at, note.clone())),
            Record::Ended(words) => outcome.recorded = Some(words.clone()),
            #[cfg(feature = "host")]
            Record::Host { .. } => return Err(ReplayError::Malformed),
            #[cfg(not(feature = "host"))]
            Record::Host => return Err(ReplayError::Malformed),
            Record::Viewer(_) => return Err(ReplayError::Malformed),
        }
    }
    if compare == Compare::Nothing && outcome.recorded.is_some() {
        let until = outcome.at + ENDS_WITHIN;
        let mut ticks = 0..TICKS_AT_MOST;
        while outcome.now.is_none()
            && ticks.next().is_some()
            && let Some(at) = machine.deadline().filter(|at| *at <= until)
        {
            outcome.at = outcome.at.max(at);
            machine.handle(outcome.at, Tick.into());
            drain(&mut machine, &mut outputs, &mut outcome, show);
        }
    }
    Ok(outcome)
}

/// Writes records as things happen; used by `Endpoint`.
#[derive(Default)]
pub(crate) struct Journal {
    digest: OutputDigest,
    undigested: bool,
    bytes: Vec<u8>,
    redaction: Option<Redaction>,
}

impl Journal {
    pub(crate) fn begin(&mut self, first: &Record) {
        begin(&mut self.bytes);
        write(first, &mut self.bytes);
    }

    /// Replaces what is typed and shown from now on.
    pub(crate) fn redact(&mut self, side: Side) {
        self.redaction = Some(Redaction::new(side));
    }

    pub(crate) fn input<I: Serialize>(&mut self, now: Timestamp, input: &I) {
        self.close_step();
        let mut bytes = encode(input);
        if let Some(redaction) = &mut self.redaction {
            bytes = redaction.input(bytes);
        }
        write(&Record::Input(now, bytes), &mut self.bytes);
    }

    pub(crate) fn output<O: Serialize>(&mut self, output: &O) {
        // Other inputs than the machine had lead to other outputs.
        if !self.redaction.as_ref().is_some_and(|redaction| redaction.has_replaced) {
            self.digest.add(output);
            self.undigested = true;
        }
    }

    pub(crate) fn note(&mut self, now: Timestamp, note: String) {
        write(&Record::Note(now, note), &mut self.bytes);
    }

    pub(crate) fn ended(&mut self, words: String) {
        write(&Record::Ended(words), &mut self.bytes);
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
