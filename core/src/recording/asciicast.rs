//! Recordings for players of terminals: asciicast, versions 2 and 3
//! (<https://docs.asciinema.org/manual/asciicast/v3>, <https://docs.asciinema.org/manual/asciicast/v2>).
//!
//! A recording is lines of JSON: a header, then events `[seconds, code, data]`. Version 3 counts the seconds from the
//! event before, version 2 from the start. A recording holds the program's output unchanged, resizes, markers, and in
//! version 3 the exit code, but never what people typed. There is no file here: lines come out as text.

use std::fmt::Write as _;

use serde_json::json;

use crate::terminal::{Size, clean_title};
use crate::time::Timestamp;

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastFormat {
    /// Older players know it, such as asciinema 2.
    V2,
    /// asciinema 3 and later.
    V3,
}

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastHeader {
    /// The terminal's size at the start.
    pub size: Size,
    /// The program's `TERM`.
    pub term: Option<String>,
    /// When it was recorded, in seconds since 1970.
    pub timestamp: u64,
    /// The recorded command.
    pub command: Option<String>,
    /// The title for people.
    pub title: Option<String>,
}

/// A recording on its way. Times that go back count as the latest one.
#[derive(Debug)]
pub struct Cast {
    format: CastFormat,
    last: Timestamp,
    /// The beginning of a character whose end was not printed yet: an event is text and holds whole ones.
    tail: Vec<u8>,
}

impl Cast {
    /// Starts one at time 0; returns its first line too.
    pub fn new(format: CastFormat, header: &CastHeader) -> (Cast, String) {
        let Size { cols, rows } = header.size;
        let mut line = match (format, &header.term) {
            (CastFormat::V2, _) => format!("{{\"version\":2,\"width\":{cols},\"height\":{rows}"),
            (CastFormat::V3, None) => format!("{{\"version\":3,\"term\":{{\"cols\":{cols},\"rows\":{rows}}}"),
            (CastFormat::V3, Some(term)) => {
                format!("{{\"version\":3,\"term\":{{\"cols\":{cols},\"rows\":{rows},\"type\":{}}}", json!(term))
            }
        };
        let _ = write!(line, ",\"timestamp\":{}", header.timestamp);
        for (name, text) in [("command", &header.command), ("title", &header.title)] {
            if let Some(text) = text {
                let _ = write!(line, ",\"{name}\":{}", json!(text));
            }
        }
        if let (CastFormat::V2, Some(term)) = (format, &header.term) {
            let _ = write!(line, ",\"env\":{}", json!({ "TERM": term }));
        }
        line.push_str("}\n");
        (Cast { format, last: Timestamp::ZERO, tail: Vec::new() }, line)
    }

    /// The program printed this. Bytes that are not UTF-8 become U+FFFD; half a character at the end waits for its
    /// other half.
    pub fn output(&mut self, now: Timestamp, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.tail);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        for chunk in all.utf8_chunks() {
            text.push_str(chunk.valid());
            let broken = chunk.invalid();
            // Only the last chunk can end in the middle of what might still become a character.
            let unfinished = std::str::from_utf8(broken).is_err_and(|error| error.error_len().is_none());
            if unfinished && all.ends_with(broken) && !broken.is_empty() {
                self.tail = broken.to_vec();
            } else if !broken.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        if text.is_empty() { text } else { self.event(now, "o", &text) }
    }

    /// The terminal has another size from now on.
    pub fn resize(&mut self, now: Timestamp, size: Size) -> String {
        self.event(now, "r", &size.to_string())
    }

    /// Something that a person may want to jump to. Controls are left out, and a text longer than a title is cut.
    pub fn marker(&mut self, now: Timestamp, text: &str) -> String {
        self.event(now, "m", &clean_title(text))
    }

    /// Ends the recording: half a character that is left is dropped, and version 3 gets the exit code.
    pub fn end(mut self, now: Timestamp, code: i32) -> String {
        let mut lines = String::new();
        if !self.tail.is_empty() {
            lines.push_str(&self.event(now, "o", "\u{fffd}"));
        }
        match self.format {
            CastFormat::V2 => {}
            CastFormat::V3 => lines.push_str(&self.event(now, "x", &code.to_string())),
        }
        lines
    }

    fn event(&mut self, now: Timestamp, code: &str, data: &str) -> String {
        let now = now.max(self.last);
        let time = match self.format {
            CastFormat::V2 => now,
            CastFormat::V3 => Timestamp::from_micros(now.as_micros() - self.last.as_micros()),
        };
        self.last = now;
        format!("[{time},\"{code}\",{}]\n", json!(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> CastHeader {
        CastHeader {
            size: Size::new(80, 24),
            term: Some("xterm".into()),
            timestamp: 1_504_467_315,
            command: Some("echo \"a\"".into()),
            title: None,
        }
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn session(format: CastFormat) -> Vec<String> {
        let (mut cast, mut text) = Cast::new(format, &header());
        text += &cast.output(at(1_500_000), b"\x1b[1mhi\r\n\"");
        text += &cast.marker(at(2_000_001), "ann\x1b joined (control)");
        text += &cast.resize(at(2_000_002), Size::new(90, 30));
        text += &cast.end(at(62_000_002), 3);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn version_3_counts_from_the_event_before_and_tells_the_exit() {
        let expected = [
            r#"{"version":3,"term":{"cols":80,"rows":24,"type":"xterm"},"timestamp":1504467315,"command":"echo \"a\""}"#,
            r#"[1.500000,"o","\u001b[1mhi\r\n\""]"#,
            r#"[0.500001,"m","ann joined (control)"]"#,
            r#"[0.000001,"r","90x30"]"#,
            r#"[60.000000,"x","3"]"#,
        ];
        assert_eq!(session(CastFormat::V3), expected);
    }

    #[test]
    fn version_2_counts_from_the_start_and_knows_no_exit() {
        let expected = [
            r#"{"version":2,"width":80,"height":24,"timestamp":1504467315,"command":"echo \"a\"","env":{"TERM":"xterm"}}"#,
            r#"[1.500000,"o","\u001b[1mhi\r\n\""]"#,
            r#"[2.000001,"m","ann joined (control)"]"#,
            r#"[2.000002,"r","90x30"]"#,
        ];
        assert_eq!(session(CastFormat::V2), expected);
    }

    #[test]
    fn a_character_in_two_halves_is_one_and_a_broken_one_is_marked() {
        let (mut cast, _) = Cast::new(CastFormat::V2, &header());
        assert_eq!(cast.output(at(1), b"\xe4\xb8"), "");
        assert_eq!(cast.output(at(2), b"\xad\xc3"), "[0.000002,\"o\",\"中\"]\n");
        assert_eq!(cast.output(at(3), b"x\xffy\xf0\x9f"), "[0.000003,\"o\",\"\u{fffd}x\u{fffd}y\"]\n");
        assert_eq!(cast.end(at(4), 0), "[0.000004,\"o\",\"\u{fffd}\"]\n");
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let (mut cast, _) = Cast::new(CastFormat::V3, &header());
        assert_eq!(cast.output(at(5), b"a"), "[0.000005,\"o\",\"a\"]\n");
        assert_eq!(cast.output(at(4), b"b"), "[0.000000,\"o\",\"b\"]\n");
        assert_eq!(cast.output(at(6), b"c"), "[0.000001,\"o\",\"c\"]\n");
    }
}
