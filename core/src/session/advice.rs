//! Advice for a person whose join failed, in the words of the program that the person uses.

use super::handshake::{Cause, Failure, Stage};
use super::link::{Client, LinkDown, Refusal};

impl Failure {
    /// Advice for a person who uses `client`.
    pub fn advice(&self, client: Client) -> &'static str {
        match (&self.cause, self.stage) {
            (Cause::Refused(refusal), _) => on_refusal(refusal, client),
            (_, Stage::ReachingRendezvous) => match client {
                Client::Beach => "check the address and the network; is `beach serve` (or the share) running there?",
                Client::Browser => "check the network; is the share, or `beach serve`, still running?",
            },
            (_, Stage::WaitingForHost | Stage::WaitingForApproval) => "ask the host",
            (
                Cause::Down(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly)
                | Cause::DownThere(LinkDown::WrongCertificate | LinkDown::Unconfirmed | LinkDown::SpokeTooEarly),
                _,
            ) => "somebody may sit in between: try another network, and ask the host for a new link",
            (Cause::Down(LinkDown::NoAddress), _) => "check that this machine has a network",
            (Cause::NoAnswer, Stage::CheckingPaths) => match client {
                Client::Beach => "let UDP pass between the two machines, or join from the same network",
                // A host that hides its addresses: UDP may well pass.
                Client::Browser if self.remote.is_empty() => {
                    "use `beach join` in a terminal, or ask the host for a TURN server"
                }
                Client::Browser => "UDP is blocked here; use `beach join`, or ask for a TURN server",
            },
            (
                Cause::NoAnswer
                | Cause::Signal(_)
                | Cause::Down(_)
                | Cause::DownThere(_)
                | Cause::Gone
                | Cause::Left
                | Cause::NoControl,
                stage,
            ) => join_again(stage, client),
        }
    }
}

fn join_again(stage: Stage, client: Client) -> &'static str {
    match (client, stage) {
        (Client::Browser, _) => "join again",
        (Client::Beach, Stage::Live) => "beach join again",
        (
            Client::Beach,
            Stage::ReachingRendezvous
            | Stage::WaitingForHost
            | Stage::WaitingForApproval
            | Stage::Authenticating
            | Stage::Offer
            | Stage::Answer
            | Stage::CheckingPaths
            | Stage::Securing
            | Stage::Confirming
            | Stage::OpeningControl
            | Stage::FirstScreen,
        ) => "join again; `beach join --debug-log FILE LINK` logs every step",
    }
}

fn on_refusal(refusal: &Refusal, client: Client) -> &'static str {
    match (refusal, client) {
        (Refusal::NoSession, Client::Beach) => {
            "ask the host for a new link; --wait SECS waits for a session that starts later"
        }
        (Refusal::NoSession, Client::Browser) | (Refusal::Used | Refusal::Expired, _) => "ask the host for a new link",
        (Refusal::WrongKey, _) => "copy the whole link again, with everything after #",
        (Refusal::WrongHost, _) => "do not use this rendezvous: somebody there poses as the host",
        (Refusal::Full, _) => "wait until somebody leaves",
        (Refusal::Version(_), Client::Beach) => "use the same version of beach on both sides",
        (Refusal::Version(_), Client::Browser) => "load the page again; the host may need the same version of beach",
        (Refusal::Denied | Refusal::Misuse | Refusal::Taken, _) => "ask the host",
        (Refusal::Forgotten, Client::Beach) => "beach join again",
        (Refusal::Forgotten, Client::Browser) => "join again",
        (Refusal::Busy, _) => "try again in a moment",
        (Refusal::NoBrowsers, _) => "use `beach join` in a terminal",
        (Refusal::OldHost, _) => "use `beach join`, or ask the host for a newer version of beach",
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::link::{Candidate, CandidateKind};
    use super::*;

    fn failure(stage: Stage, cause: Cause) -> Failure {
        let address = SocketAddr::from(([192, 0, 2, 7], 4000));
        let remote = vec![Candidate { kind: CandidateKind::Host, address }];
        Failure { stage, cause, after: Duration::from_secs(5), local: Vec::new(), remote }
    }

    fn advice(stage: Stage, cause: Cause, client: Client) -> &'static str {
        failure(stage, cause).advice(client)
    }

    #[test]
    fn where_the_host_hides_its_addresses_udp_is_not_blamed() {
        let hidden = Failure { remote: Vec::new(), ..failure(Stage::CheckingPaths, Cause::NoAnswer) };
        assert_eq!(hidden.advice(Client::Browser), "use `beach join` in a terminal, or ask the host for a TURN server");
    }

    #[test]
    fn udp_is_named_only_where_checks_of_paths_had_no_answer() {
        for client in [Client::Beach, Client::Browser] {
            let at = |cause| advice(Stage::CheckingPaths, cause, client);
            assert!(at(Cause::NoAnswer).contains("UDP"), "{client}");
            let engine = LinkDown::Engine("the browser did not make a connection in time".to_owned());
            for other in [Cause::Down(engine), Cause::DownThere(LinkDown::Closed), Cause::Gone] {
                assert!(at(other.clone()).starts_with("join again"), "{client} {other:?}");
            }
            assert_eq!(at(Cause::Down(LinkDown::NoAddress)), "check that this machine has a network");
        }
    }

    #[test]
    fn a_false_certificate_is_named_whichever_side_saw_it() {
        for cause in [Cause::Down(LinkDown::WrongCertificate), Cause::DownThere(LinkDown::WrongCertificate)] {
            assert!(advice(Stage::Securing, cause, Client::Browser).starts_with("somebody may sit in between"));
        }
    }
}
