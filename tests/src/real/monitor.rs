//! A monitor, which asks `beach serve` how it is, and a reader of what Prometheus reads.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Every answer comes within this time: the loop has five seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The answer to `GET path`, head and body.
///
/// # Errors
/// Nobody listens there, or no answer comes.
pub fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The samples of `/metrics`, by their names with labels.
///
/// # Panics
/// If the server does not answer, or the text is not as OpenMetrics asks for.
#[track_caller]
pub fn metrics(server: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(server, "/metrics").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    samples(body)
}

/// Parses OpenMetrics text: each family has its type before its samples, each sample belongs to the family above it and
/// has a number, each name with labels is there once, and the end is marked.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, f64> {
    let text = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("the end is not marked:\n{text}"));
    let (mut found, mut types) = (BTreeMap::new(), BTreeMap::new());
    let mut family = (String::new(), String::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            let [keyword, name, rest] = words[..] else { panic!("not a comment of this format: {line}") };
            assert!(["HELP", "TYPE", "UNIT"].contains(&keyword), "{line}");
            if keyword == "TYPE" {
                assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                assert!(types.insert(name.to_owned(), rest.to_owned()).is_none(), "a family is there twice: {line}");
                family = (name.to_owned(), rest.to_owned());
            }
            continue;
        }
        let (name, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let number: f64 = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (bare, labels) = name.split_once('{').map_or((name, None), |(bare, labels)| (bare, Some(labels)));
        let suffix = bare.strip_prefix(family.0.as_str()).unwrap_or_else(|| panic!("not of {}: {line}", family.0));
        let suffixes: &[&str] = match family.1.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_sum", "_count", "_bucket"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line} is no {}", family.1);
        if let Some(labels) = labels {
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
            for label in labels.split(',') {
                let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
                let value = value.strip_suffix('"').unwrap_or_else(|| panic!("no label: {line}"));
                let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                assert!(plain(key) && (key == "le" || plain(value)), "a label that may name somebody: {line}");
            }
        }
        assert!(found.insert(name.to_owned(), number).is_none(), "a sample is there twice: {line}");
    }
    found
}
