//! Entries of the directory: their keys, their text, and the commands that read and write them.
//!
//! The key of an entry is `beach:s:` and the short id of the session, its text is `TURN PLACE`. Other programs may
//! write into the same server, so an entry counts only if it is well formed and within its bounds; others are
//! overwritten.

use std::fmt::Display;
use std::time::Duration;

use beach_core::id::ShortId;
use beach_core::place::{MAX_PLACE, Place};
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput, RENEW_EVERY};
use beach_core::wire::signal::MAX_TURN;
use redis::{Cmd, Pipeline, Value};

use super::Fault;

/// An entry lives so long after it was written last: two renewals may get lost.
pub(super) const LIFE: Duration = Duration::from_secs(3 * RENEW_EVERY.as_secs());

/// Longest text of an entry: the digits of [`MAX_TURN`], a blank and a place.
const MAX_ENTRY: usize = 16 + 1 + MAX_PLACE;

/// Claims and renews. The keys are entries; the arguments are what is done, the place, the life of an entry in
/// milliseconds, and the turn for each key. The answer lists each refused key's number and the entry that stands.
const CLAIM: &str = "
local refused = {}
for number, key in ipairs(KEYS) do
    local entry, turn = redis.pcall('GET', key), ARGV[number + 3]
    local stands, place
    if type(entry) == 'string' and #entry <= 529 then
        stands, place = string.match(entry, '^(%d+) (https?://[%w%-%._~:/%[%]]+)$')
    end
    local greater = tonumber(stands or -1)
    local other = ARGV[1] == 'renew' and greater == tonumber(turn) and place ~= ARGV[2]
    if greater <= 9007199254740991 and (greater > tonumber(turn) or other) then
        table.insert(refused, number)
        table.insert(refused, entry)
    else
        redis.call('SET', key, turn .. ' ' .. ARGV[2], 'PX', ARGV[3])
    end
end
return refused";

/// Deletes the entry of this key if its text is this.
const RELEASE: &str = "
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {}";

/// The key of an entry that no session has; writing it shows whether the server lets beach write.
const TRIAL: &str = "beach:trial";

fn key(session: ShortId) -> String {
    format!("beach:s:{session}")
}

fn text(turn: u64, place: &str) -> String {
    format!("{turn} {place}")
}

/// The place in the text of an entry, if there is one that can be used.
fn place(text: &[u8]) -> Option<String> {
    let (turn, place) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let is_turn =
        turn.bytes().all(|byte| byte.is_ascii_digit()) && turn.parse().is_ok_and(|turn: u64| turn <= MAX_TURN);
    (is_turn && Place::parse(place).is_some()).then(|| place.to_owned())
}

/// Writes the entry that no session has.
pub(super) fn trial() -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.add_command(claim("claim", "", [(TRIAL, 0)]));
    pipeline
}

/// The command for a request.
pub(super) fn command(request: &DirectoryOutput, place: &str) -> Cmd {
    match request {
        DirectoryOutput::Claim { session, turn } => claim("claim", place, [(key(*session), *turn)]),
        DirectoryOutput::Renew(claims) => {
            claim("renew", place, claims.iter().map(|(session, turn)| (key(*session), *turn)))
        }
        DirectoryOutput::Release { session, turn } => {
            let mut command = redis::cmd("EVAL");
            command.arg(RELEASE).arg(1).arg(key(*session)).arg(text(*turn, place));
            command
        }
        DirectoryOutput::LookUp(session) => {
            // One byte more than an entry may have: a longer one is seen to be too long.
            let mut command = redis::cmd("GETRANGE");
            command.arg(key(*session)).arg(0).arg(MAX_ENTRY);
            command
        }
    }
}

fn claim<K: Display>(what: &str, place: &str, claims: impl IntoIterator<Item = (K, u64)>) -> Cmd {
    let (keys, turns): (Vec<String>, Vec<u64>) = claims.into_iter().map(|(key, turn)| (key.to_string(), turn)).unzip();
    let mut command = redis::cmd("EVAL");
    command.arg(CLAIM).arg(keys.len()).arg(keys);
    command.arg(what).arg(place).arg(LIFE.as_secs() * 1000).arg(turns);
    command
}

/// Turns the answer to a request into inputs of the rendezvous.
///
/// # Errors
/// The server refused the request, or the answer is none to the request.
pub(super) fn read(request: &DirectoryOutput, answer: Value) -> Result<Vec<DirectoryInput>, Fault> {
    match request {
        DirectoryOutput::Claim { session, turn } => {
            let refused = refused(&[(*session, *turn)], answer)?;
            let claimed = DirectoryInput::Claimed { session: *session, turn: *turn };
            Ok(if refused.is_empty() { vec![claimed] } else { refused })
        }
        DirectoryOutput::Renew(claims) => refused(claims, answer),
        DirectoryOutput::Release { .. } => answer.extract_error().map(|_| Vec::new()).map_err(Fault::from),
        DirectoryOutput::LookUp(session) => {
            // Another program's value, of another type.
            let is_foreign = matches!(&answer, Value::ServerError(error) if error.code() == "WRONGTYPE");
            let entry = if let Value::BulkString(entry) = answer {
                entry
            } else if is_foreign {
                Vec::new()
            } else {
                return Err(answer.extract_error().map_or_else(Fault::from, |_| Fault::Nonsense));
            };
            let place = if entry.len() <= MAX_ENTRY { place(&entry) } else { None };
            Ok(vec![DirectoryInput::Found { session: *session, place }])
        }
    }
}

/// The claims that were refused, but for those where the entry that stands has no place that can be used: the session
/// stays here, and the entry ends by itself.
fn refused(claims: &[(ShortId, u64)], answer: Value) -> Result<Vec<DirectoryInput>, Fault> {
    let Value::Array(answer) = answer.extract_error()? else { return Err(Fault::Nonsense) };
    let mut lost = Vec::new();
    for pair in answer.chunks(2) {
        let [Value::Int(number), Value::BulkString(entry)] = pair else { return Err(Fault::Nonsense) };
        let claim = usize::try_from(*number).ok().and_then(|number| claims.get(number.checked_sub(1)?));
        let (session, turn) = *claim.ok_or(Fault::Nonsense)?;
        lost.extend(place(entry).map(|place| DirectoryInput::Lost { session, turn, place }));
    }
    Ok(lost)
}
