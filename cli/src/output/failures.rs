//! The error messages and exit codes of a failed join or share.

use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{Candidate, CandidateKind, LinkDown, Refusal};

use super::{code, error};

/// Prints the three lines about a failed join; returns the exit code.
pub(crate) fn join_failed(failure: &Failure, server: &str) -> u8 {
    error(&what_failed(failure), &why(failure, server), advice(failure));
    join_code(failure)
}

/// Prints the three lines about a failed share; returns the exit code.
pub(crate) fn share_failed(failure: &Failure, server: &str) -> u8 {
    let (what, code) = match failure.cause {
        Cause::Refused(_) => (format!("the rendezvous refused the session, while {}", failure.stage), code::REFUSED),
        Cause::NoAnswer
        | Cause::Signal(_)
        | Cause::Down(_)
        | Cause::DownThere(_)
        | Cause::Gone
        | Cause::Left
        | Cause::NoControl => (what_failed(failure), code::UNREACHABLE),
    };
    error(&what, &why(failure, server), "check --server; without --server, share runs its own rendezvous");
    code
}

/// Prints that the link works only on the machine that shares, which is not this one; returns the exit code.
pub(crate) fn elsewhere(server: &str) -> u8 {
    let cause = format!("{server} works only on the machine that shares, and nothing listens here");
    error(
        "nothing is shared at this link",
        &cause,
        "ask the host for a link made by `beach share --lan`, or by --server",
    );
    code::UNREACHABLE
}

fn what_failed(failure: &Failure) -> String {
    let seconds = failure.after.as_secs();
    let stage = failure.stage;
    match (&failure.cause, stage) {
        (Cause::Refused(Refusal::NoSession), _) => "no such session".to_owned(),
        (Cause::Refused(_), _) => format!("the join was refused, while {stage}"),
        (_, Stage::Live) => "the connection to the host was lost".to_owned(),
        (Cause::NoAnswer, Stage::WaitingForHost) => {
            format!("the host did not come back within {seconds} s, while {stage}")
        }
        (Cause::NoAnswer, _) => format!("no answer from the host after {seconds} s, while {stage}"),
        (Cause::Signal(_), Stage::ReachingRendezvous) => {
            format!("no connection to the rendezvous within {seconds} s, while {stage}")
        }
        (Cause::Signal(_) | Cause::Down(_) | Cause::DownThere(_) | Cause::Gone | Cause::Left | Cause::NoControl, _) => {
            format!("the join failed, while {stage}")
        }
    }
}

fn why(failure: &Failure, server: &str) -> String {
    match (&failure.cause, failure.stage) {
        (Cause::NoAnswer, Stage::CheckingPaths) => tried(failure),
        (Cause::Refused(Refusal::NoSession), _) => "it ended, or the link is from before `beach rotate`".to_owned(),
        (Cause::Signal(cause), _) => format!("{server}: {cause}"),
        (other, _) => cause(other),
    }
}

fn tried(failure: &Failure) -> String {
    if failure.local.is_empty() {
        return "this machine has no usable network address".to_owned();
    }
    if failure.remote.is_empty() {
        return format!("the host named no address; ours: {}", list(&failure.local));
    }
    let pairs: Vec<String> = failure
        .local
        .iter()
        .flat_map(|local| failure.remote.iter().map(move |remote| (local.address, remote.address)))
        .filter(|(local, remote)| local.is_ipv4() == remote.is_ipv4())
        .map(|(local, remote)| format!("{local} to {remote}"))
        .collect();
    match pairs.as_slice() {
        [] => format!("no two addresses fit: ours {}; theirs {}", list(&failure.local), list(&failure.remote)),
        pairs => {
            let paths = if pairs.len() == 1 { "path" } else { "paths" };
            format!("{} {paths} tried, none replied ({})", pairs.len(), pairs.join(", "))
        }
    }
}

fn list(candidates: &[Candidate]) -> String {
    let text = |candidate: &Candidate| match candidate.kind {
        CandidateKind::Host | CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => {
            candidate.address.to_string()
        }
        CandidateKind::Relayed => "relay".to_owned(),
    };
    candidates.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A cause in words.
pub(crate) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::NoAnswer => "the other side sent nothing".to_owned(),
        Cause::Refused(refusal) => refusal.to_string(),
        Cause::Signal(cause) => cause.clone(),
        Cause::Down(down) => down.to_string(),
        Cause::DownThere(down) => format!("{down} (seen by the other side)"),
        Cause::Gone => "the other side left the rendezvous".to_owned(),
        Cause::Left => "the other side left".to_owned(),
        Cause::NoControl => "the channel for control messages did not open in time".to_owned(),
    }
}

fn advice(failure: &Failure) -> &'static str {
    match (&failure.cause, failure.stage) {
        (Cause::Refused(Refusal::NoSession), _) => {
            "ask the host for a new link; --wait SECS waits for a session that starts later"
        }
        (Cause::Refused(Refusal::WrongKey), _) => "copy the whole link again, with everything after #",
        (Cause::Refused(Refusal::WrongHost), _) => "do not use this rendezvous: somebody there poses as the host",
        (Cause::Refused(Refusal::Full), _) => "wait until somebody leaves",
        (Cause::Refused(Refusal::Version(_)), _) => "use the same version of beach on both sides",
        (Cause::Refused(Refusal::Denied | Refusal::Misuse | Refusal::Taken), _) => "ask the host",
        (Cause::Refused(Refusal::Forgotten), _) => "beach join again",
        (Cause::Refused(Refusal::Used | Refusal::Expired), _) => "ask the host for a new link",
        (Cause::Refused(Refusal::Busy), _) => "try again in a moment",
        (Cause::Refused(Refusal::NoBrowsers), _) => "use `beach join`",
        (Cause::Refused(Refusal::OldHost), _) => "use `beach join`, or ask the host for a newer version of beach",
        (_, Stage::ReachingRendezvous) => {
            "check the address and the network; is `beach serve` (or the share) running there?"
        }
        (_, Stage::WaitingForHost | Stage::WaitingForApproval) => "ask the host",
        (_, Stage::CheckingPaths) => "let UDP pass between the two machines, or join from the same network",
        (Cause::Down(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly), _) => {
            "somebody may sit in between: try another network, and ask the host for a new link"
        }
        (_, Stage::Live) => "beach join again",
        (
            Cause::NoAnswer
            | Cause::Signal(_)
            | Cause::Down(_)
            | Cause::DownThere(_)
            | Cause::Gone
            | Cause::Left
            | Cause::NoControl,
            Stage::Authenticating
            | Stage::Offer
            | Stage::Answer
            | Stage::Securing
            | Stage::Confirming
            | Stage::OpeningControl
            | Stage::FirstScreen,
        ) => "join again; `beach join --debug-log FILE LINK` logs every step",
    }
}

fn join_code(failure: &Failure) -> u8 {
    match (&failure.cause, failure.stage) {
        (Cause::Refused(Refusal::NoSession), _) => code::NO_SESSION,
        (Cause::Refused(Refusal::Version(_) | Refusal::OldHost), _) => code::VERSION,
        (
            Cause::Refused(
                Refusal::WrongKey
                | Refusal::WrongHost
                | Refusal::Full
                | Refusal::Denied
                | Refusal::Misuse
                | Refusal::Taken
                | Refusal::Forgotten
                | Refusal::Used
                | Refusal::Expired
                | Refusal::Busy
                | Refusal::NoBrowsers,
            ),
            _,
        )
        | (
            Cause::Down(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly)
            | Cause::DownThere(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly),
            _,
        )
        | (_, Stage::WaitingForApproval) => code::REFUSED,
        (_, Stage::ReachingRendezvous) | (Cause::Signal(_), _) => code::UNREACHABLE,
        (_, Stage::WaitingForHost) => code::NO_SESSION,
        (_, Stage::CheckingPaths | Stage::Securing | Stage::Confirming | Stage::OpeningControl) => code::NO_PATH,
        (_, Stage::Authenticating | Stage::Offer | Stage::Answer | Stage::FirstScreen | Stage::Live) => code::LOST,
    }
}
