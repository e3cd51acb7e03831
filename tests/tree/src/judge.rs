//! The findings against the list of exceptions.

use std::collections::BTreeMap;
use std::fmt;

/// A rule of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A file has at most 450 lines, its tests not counted.
    FileLines,
    /// A function has at most 70 lines of code.
    FunctionLines,
    /// A struct has at most 16 fields, one of the large machines 12.
    Fields,
    /// Rooms form no circle; the figure is the number of uses from room to room that are part of one.
    Circle,
    /// The map names every file once, and none that is not there.
    Map,
}

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// Which place.
    pub subject: String,
    /// How much of what the rule counts.
    pub figure: usize,
    /// For people: what is wrong there.
    pub detail: String,
}

/// A place that may break a rule for now.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Which rule.
    pub rule: Rule,
    /// Which place.
    pub subject: &'static str,
    /// The figure that it may have at most. The ceiling may be lowered, and never raised.
    pub at_most: usize,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {} ({})", self.rule, self.subject, self.detail, self.figure)
    }
}

/// The faults: findings that are not excepted or are above their exception's ceiling, and exceptions that nothing
/// needs.
pub fn judge(findings: &[Finding], exceptions: &[Exception]) -> Vec<String> {
    let mut unused: BTreeMap<(Rule, &str), usize> =
        exceptions.iter().map(|exception| ((exception.rule, exception.subject), exception.at_most)).collect();
    let mut wrong = Vec::new();
    for finding in findings {
        match unused.remove(&(finding.rule, finding.subject.as_str())) {
            Some(at_most) if finding.figure <= at_most => {}
            Some(at_most) => wrong.push(format!("{finding}; the exception allows {at_most}")),
            None => wrong.push(finding.to_string()),
        }
    }
    let stale =
        unused.keys().map(|(rule, subject)| format!("{rule:?}: {subject}: nothing needs this exception: remove it"));
    wrong.extend(stale);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCEPTION: Exception = Exception { rule: Rule::FileLines, subject: "a.rs", at_most: 500 };

    fn finding(subject: &str, figure: usize) -> Finding {
        Finding { rule: Rule::FileLines, subject: subject.to_owned(), figure, detail: "too long".to_owned() }
    }

    #[test]
    fn an_exception_covers_its_place_up_to_its_figure() {
        assert_eq!(judge(&[finding("a.rs", 500)], &[EXCEPTION]), [""; 0]);
        assert_eq!(judge(&[finding("a.rs", 460)], &[EXCEPTION]), [""; 0]);
    }

    #[test]
    fn a_place_that_grew_a_new_one_and_a_stale_exception_are_told() {
        assert!(judge(&[finding("a.rs", 501)], &[EXCEPTION])[0].ends_with("the exception allows 500"));
        assert_eq!(judge(&[finding("b.rs", 451)], &[]), ["FileLines: b.rs: too long (451)"]);
        assert_eq!(judge(&[], &[EXCEPTION]), ["FileLines: a.rs: nothing needs this exception: remove it"]);
    }
}
