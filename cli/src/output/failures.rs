//! The error messages and exit codes of a failed join or share.

use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{Client, LinkDown, Refusal};

use super::{code, error};

/// Prints the three lines about a failed join; returns the exit code.
pub(crate) fn join_failed(failure: &Failure, server: &str) -> u8 {
    error(&failure.what(), &failure.why(server, Client::Beach), failure.advice(Client::Beach));
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
        | Cause::NoControl => (failure.what(), code::UNREACHABLE),
    };
    error(
        &what,
        &failure.why(server, Client::Beach),
        "check --server; without --server, share runs its own rendezvous",
    );
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

/// A cause in words.
pub(crate) fn cause(cause: &Cause) -> String {
    cause.to_string()
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
