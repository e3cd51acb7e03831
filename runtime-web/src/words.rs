//! What a person at the page can do about a failure.

use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{LinkDown, Refusal};

pub(crate) fn advice(failure: &Failure) -> &'static str {
    match (&failure.cause, failure.stage) {
        (Cause::Refused(refusal), _) => on_refusal(refusal),
        (_, Stage::ReachingRendezvous) => "check the network; is the share, or `beach serve`, still running?",
        (_, Stage::WaitingForHost | Stage::WaitingForApproval) => "ask the host",
        (_, Stage::CheckingPaths) => "UDP is blocked here; use `beach join`, or ask for a TURN server",
        (Cause::Down(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly), _) => {
            "somebody may sit in between: try another network, and ask the host for a new link"
        }
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
            | Stage::FirstScreen
            | Stage::Live,
        ) => "join again",
    }
}

fn on_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoSession | Refusal::Used | Refusal::Expired => "ask the host for a new link",
        Refusal::WrongKey => "copy the whole link again, with everything after #",
        Refusal::WrongHost => "do not use this rendezvous: somebody there poses as the host",
        Refusal::Full => "wait until somebody leaves",
        Refusal::Version(_) => "load the page again; the host may need the same version of beach",
        Refusal::Denied | Refusal::Misuse | Refusal::Taken => "ask the host",
        Refusal::Forgotten => "join again",
        Refusal::Busy => "try again in a moment",
        Refusal::OldHost => "use `beach join`, or ask the host to update beach",
        Refusal::NoBrowsers => "use `beach join` in a terminal",
    }
}
