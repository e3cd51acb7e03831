//! The numbers of a server as text for Prometheus, in the format OpenMetrics 1.0. No label has an id, an address or a
//! name.

use std::fmt;

use beach_core::rendezvous::{Close, Join, Registration};
use beach_core::turn_server::Refusal;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text as openmetrics};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Condition;
use crate::directory::{self, Kind, Outcome};
use crate::histogram::Histogram;
use crate::pipes;
use crate::turn_server::TurnCondition;

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a server in this condition.
pub(super) fn text(condition: Condition) -> String {
    let mut registry = Registry::with_prefix("beach");
    registry.register_collector(Box::new(condition));
    let mut text = String::new();
    match openmetrics::encode(&mut text, &registry) {
        Ok(()) => text,
        Err(fmt::Error) => unreachable!("a string takes every text"),
    }
}

impl Collector for Condition {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        self.gauges(&mut page)?;
        self.counters(&mut page)?;
        if let Some((directory, pipes)) = &self.directory {
            page.directory(directory)?;
            page.elsewhere(self.done.joins(Join::Elsewhere), pipes)?;
        }
        if let Some(turn) = &self.turn {
            of_turn(turn, &mut page)?;
        }
        let help = "How long the loop took for each event and what followed from the event";
        page.seconds("loop", help, &self.turns)
    }
}

impl Condition {
    fn gauges(&self, page: &mut Page<'_>) -> fmt::Result {
        let (server, present) = (&self.server, &self.present);
        let number = |count: usize| count as u64;
        page.gauge("connections", "Connections that have a place", &[("", number(server.connections))])?;
        page.gauge("places", "Connections that may have a place", &[("", number(server.places))])?;
        let sessions = [("present", number(present.hosted)), ("away", number(present.away))];
        page.gauge("sessions|host", "Sessions, by whether their host is connected", &sessions)?;
        if let Some(expires) = server.certificate_expires {
            let help = "When the certificate of TLS expires, in seconds since 1970";
            page.gauge("certificate_expires_seconds", help, &[("", expires)])?;
        }
        page.gauge("links", "Links between a host and a viewer", &[("", number(present.links))])?;
        page.gauge("draining", "1 while the server is about to end", &[("", u64::from(self.draining))])
    }

    fn counters(&self, page: &mut Page<'_>) -> fmt::Result {
        let (done, server) = (&self.done, &self.server);
        let registrations = Registration::ALL.map(|answer| (registration(answer), done.registrations(answer)));
        page.counter("registrations|result", "Answers to hosts that register a session", &registrations)?;
        let joins = Join::ALL.map(|answer| (join(answer), done.joins(answer)));
        page.counter("joins|result", "Answers to viewers that join", &joins)?;
        page.counter("envelopes", "Sealed messages that were passed on", &[("", done.envelopes)])?;
        let relayed = &server.relayed;
        let datagrams =
            [("sent", relayed.sent), ("rate", done.over_rate), ("queue", relayed.queue), ("late", relayed.late)];
        page.counter("relay_datagrams|result", "What became of datagrams to relay", &datagrams)?;
        page.counter("relay_bytes", "Bytes of relayed datagrams that were sent", &[("", relayed.sent_bytes)])?;
        let closed = Close::ALL.map(|why| (close(why), done.closed(why))).into_iter();
        let closed: Vec<_> = closed.chain([("left", server.left), ("slow", server.slow)]).collect();
        page.counter("closed|why", "WebSockets that ended, by the reason", &closed)?;
        let refused = [("full", server.full), ("address", server.of_one_address), ("handshakes", server.no_handshake)];
        page.counter("refused_connections|why", "Connections that got no place", &refused)
    }
}

fn of_turn(turn: &TurnCondition, page: &mut Page<'_>) -> fmt::Result {
    let (done, present) = (&turn.done, &turn.present);
    let number = |count: usize| count as u64;
    page.gauge("turn_allocations", "Allocations at the TURN server", &[("", number(present.allocations))])?;
    page.gauge("turn_users", "Sides of sessions that have allocations", &[("", number(present.users))])?;
    page.gauge("turn_streams", "TCP connections to the TURN server", &[("", number(present.streams))])?;
    page.counter("turn_allocated", "Allocations that were made", &[("", done.allocations)])?;
    let relayed = [("sent", done.relayed), ("rate", done.over_rate)];
    page.counter("turn_datagrams|result", "What became of datagrams to relay", &relayed)?;
    page.counter("turn_bytes", "Bytes of datagrams that were relayed", &[("", done.relayed_bytes)])?;
    let refused = Refusal::ALL.map(|why| (refusal(why), done.refused(why)));
    page.counter("turn_refused|why", "Requests to the TURN server that were refused", &refused)
}

fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Credentials => "credentials",
        Refusal::Quota => "quota",
        Refusal::Full => "full",
        Refusal::Peer => "peer",
        Refusal::Request => "request",
    }
}

fn registration(answer: Registration) -> &'static str {
    match answer {
        Registration::Registered => "registered",
        Registration::Taken => "taken",
        Registration::Busy => "busy",
        Registration::Full => "full",
    }
}

fn join(answer: Join) -> &'static str {
    match answer {
        Join::Joined => "joined",
        Join::Waiting => "waiting",
        Join::Again => "again",
        Join::NoSession => "no_session",
        Join::Busy => "busy",
        Join::Full => "full",
        Join::Elsewhere => "elsewhere",
    }
}

fn close(why: Close) -> &'static str {
    match why {
        Close::Silent => "silent",
        Close::NoPart => "no_part",
        Close::Nonsense => "nonsense",
        Close::Replaced => "replaced",
        Close::Ending => "ending",
    }
}

fn kind(asked: Kind) -> &'static str {
    match asked {
        Kind::Claim => "claim",
        Kind::Renew => "renew",
        Kind::Release => "release",
        Kind::LookUp => "look_up",
    }
}

fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}

/// The page of metrics under way. A name stands alone, or before the label that tells its numbers apart: `NAME|LABEL`.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, numbers: &[(&str, u64)]) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge, numbers)
    }

    fn counter(&mut self, name: &str, help: &str, numbers: &[(&str, u64)]) -> fmt::Result {
        self.metric(name, help, MetricType::Counter, numbers)
    }

    fn seconds(&mut self, name: &str, help: &str, took: &Histogram) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(took.seconds(), took.count(), &took.ranges(), None)
    }

    fn directory(&mut self, done: &directory::Tally) -> fmt::Result {
        self.gauge("directory_up", "1 while the directory answers", &[("", u64::from(done.is_up))])?;
        let help = "Requests to the directory, by what they ask and what became of them";
        let mut requests = self.0.encode_descriptor("directory_requests", help, None, MetricType::Counter)?;
        for (asked, outcome) in Kind::ALL.into_iter().flat_map(|asked| Outcome::ALL.map(|outcome| (asked, outcome))) {
            let labels = [("kind", kind(asked)), ("result", result(outcome))];
            let count = done.requests(asked, outcome);
            requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        self.seconds("directory", "How long the directory took for the requests sent together", &done.took)
    }

    fn elsewhere(&mut self, all: u64, pipes: &pipes::Tally) -> fmt::Result {
        let sent = all.saturating_sub(pipes.piped + pipes.refused);
        let numbers = [("sent", sent), ("piped", pipes.piped), ("refused", pipes.refused)];
        self.counter("elsewhere|how", "Viewers whose host is at another server", &numbers)?;
        self.gauge("pipes", "Connections that are carried to other servers", &[("", pipes.open as u64)])?;
        let dropped = [("", pipes.over_rate)];
        self.counter(
            "pipes_over_rate",
            "Carried datagrams that were dropped: too many bytes for one address, or for all",
            &dropped,
        )
    }

    fn metric(&mut self, name: &str, help: &str, kind: MetricType, numbers: &[(&str, u64)]) -> fmt::Result {
        let (name, label) = name.split_once('|').map_or((name, None), |(name, label)| (name, Some(label)));
        let is_counter = matches!(kind, MetricType::Counter);
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        let write = |metric: &mut MetricEncoder<'_>, number: &u64| match is_counter {
            true => metric.encode_counter::<NoLabelSet, _, u64>(number, None),
            false => metric.encode_gauge(number),
        };
        numbers.iter().try_for_each(|(value, number)| match label {
            Some(label) => write(&mut metric.encode_family(&[(label, *value)])?, number),
            None => write(&mut metric, number),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::histogram::Histogram;
    use crate::serve;

    #[test]
    fn the_text_names_each_number_once_and_ends_as_the_format_asks() {
        let relayed = serve::Relayed { sent: 5, sent_bytes: 6000, queue: 2, late: 1 };
        let server = serve::Tally {
            connections: 3,
            places: 9,
            relayed,
            slow: 4,
            certificate_expires: Some(1_800_000_000),
            ..serve::Tally::default()
        };
        let mut turns = Histogram::default();
        [5, 50, 20_000_000].map(Duration::from_micros).into_iter().for_each(|took| turns.add(took));
        let text = text(Condition { server, turns, draining: true, ..Condition::default() });
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let mut numbers = BTreeMap::new();
        for (name, number) in samples.map(|line| line.rsplit_once(' ').expect("a name and a number")) {
            assert!(numbers.insert(name, number).is_none(), "{name} is there twice");
        }
        for (name, number) in [
            ("beach_connections", "3"),
            ("beach_places", "9"),
            ("beach_sessions{host=\"away\"}", "0"),
            ("beach_draining", "1"),
            ("beach_certificate_expires_seconds", "1800000000"),
            ("beach_refused_connections_total{why=\"handshakes\"}", "0"),
            ("beach_relay_datagrams_total{result=\"sent\"}", "5"),
            ("beach_relay_datagrams_total{result=\"queue\"}", "2"),
            ("beach_relay_bytes_total", "6000"),
            ("beach_closed_total{why=\"slow\"}", "4"),
            ("beach_joins_total{result=\"no_session\"}", "0"),
            ("beach_refused_connections_total{why=\"full\"}", "0"),
            ("beach_loop_seconds_count", "3"),
            ("beach_loop_seconds_bucket{le=\"0.00001\"}", "1"),
            ("beach_loop_seconds_bucket{le=\"0.0001\"}", "2"),
            ("beach_loop_seconds_bucket{le=\"10.0\"}", "2"),
            ("beach_loop_seconds_bucket{le=\"+Inf\"}", "3"),
        ] {
            assert_eq!(numbers.get(name), Some(&number), "{name} in:\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }
}
