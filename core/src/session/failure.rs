//! A failure in words, the same for every program: what failed, and why.

use std::fmt;

use super::handshake::{Cause, Failure, Stage};
use super::link::{Candidate, CandidateKind, Client, Refusal};

impl Failure {
    /// The thing that failed, in the stage's words.
    pub fn what(&self) -> String {
        let seconds = self.after.as_secs();
        let stage = self.stage;
        match (&self.cause, stage) {
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
            (
                Cause::Signal(_) | Cause::Down(_) | Cause::DownThere(_) | Cause::Gone | Cause::Left | Cause::NoControl,
                _,
            ) => {
                format!("the join failed, while {stage}")
            }
        }
    }

    /// Why, with the paths that `client` tried; `server` is the rendezvous.
    pub fn why(&self, server: &str, client: Client) -> String {
        match (&self.cause, self.stage) {
            (Cause::NoAnswer, Stage::CheckingPaths) => match client {
                Client::Beach => self.tried(),
                Client::Browser => self.tried_by_a_browser(),
            },
            (Cause::Refused(Refusal::NoSession), _) => "it ended, or the link is from before `beach rotate`".to_owned(),
            (Cause::Signal(cause), _) => format!("{server}: {cause}"),
            (other, _) => other.to_string(),
        }
    }

    fn tried(&self) -> String {
        if self.local.is_empty() {
            return "this machine has no usable network address".to_owned();
        }
        if self.remote.is_empty() {
            return format!("the host named no address; ours: {}", list(&self.local));
        }
        let pairs: Vec<String> = self
            .local
            .iter()
            .flat_map(|local| self.remote.iter().map(move |remote| (local.address, remote.address)))
            .filter(|(local, remote)| local.is_ipv4() == remote.is_ipv4())
            .map(|(local, remote)| format!("{local} to {remote}"))
            .collect();
        match pairs.as_slice() {
            [] => format!("no two addresses fit: ours {}; theirs {}", list(&self.local), list(&self.remote)),
            pairs => {
                let paths = if pairs.len() == 1 { "path" } else { "paths" };
                format!("{} {paths} tried, none replied ({})", pairs.len(), pairs.join(", "))
            }
        }
    }

    /// A browser tells few of its own addresses, or none, and tries all the same.
    fn tried_by_a_browser(&self) -> String {
        match self.remote.as_slice() {
            [] => "the host named no address that a browser can reach".to_owned(),
            remote => {
                let addresses = if remote.len() == 1 { "address" } else { "addresses" };
                format!("{} {addresses} of the host tried, none replied ({})", remote.len(), list(remote))
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoAnswer => f.write_str("the other side sent nothing"),
            Cause::Refused(refusal) => refusal.fmt(f),
            Cause::Signal(cause) => f.write_str(cause),
            Cause::Down(down) => down.fmt(f),
            Cause::DownThere(down) => write!(f, "{down} (seen by the other side)"),
            Cause::Gone => f.write_str("the other side left the rendezvous"),
            Cause::Left => f.write_str("the other side left"),
            Cause::NoControl => f.write_str("the channel for control messages did not open in time"),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn why(local: &[&str], remote: &[&str], client: Client) -> String {
        let of = |addresses: &[&str]| {
            let candidate =
                |address: &&str| Candidate { kind: CandidateKind::Host, address: address.parse().expect("an address") };
            addresses.iter().map(candidate).collect()
        };
        let (stage, cause, after) = (Stage::CheckingPaths, Cause::NoAnswer, Duration::from_secs(15));
        Failure { stage, after, cause, local: of(local), remote: of(remote) }.why("http://beach.example", client)
    }

    #[test]
    fn a_browser_that_tells_no_address_of_its_own_has_tried_those_of_the_host() {
        let host = ["192.0.2.7:4000", "[2001:db8::7]:4000"];
        assert_eq!(why(&[], &host, Client::Beach), "this machine has no usable network address");
        assert_eq!(
            why(&[], &host, Client::Browser),
            "2 addresses of the host tried, none replied (192.0.2.7:4000, [2001:db8::7]:4000)"
        );
        assert_eq!(
            why(&["198.51.100.4:5000"], &host[..1], Client::Browser),
            "1 address of the host tried, none replied (192.0.2.7:4000)"
        );
    }

    #[test]
    fn a_host_that_names_no_address_has_none_for_a_browser() {
        let said = why(&["198.51.100.4:5000"], &[], Client::Browser);
        assert_eq!(said, "the host named no address that a browser can reach");
        assert_eq!(
            why(&["198.51.100.4:5000"], &[], Client::Beach),
            "the host named no address; ours: 198.51.100.4:5000"
        );
    }
}
