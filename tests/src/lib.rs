//! The worlds in which beach is tested: a simulated one, where a run is a function of its seed, and what the tests of
//! the real one share.

pub mod determinism;
pub mod fuzz;
pub mod ledger;
pub mod real;
pub mod sim;

/// Cuts `bytes` into parts of `sizes`, in turn, as a terminal or a network might; the last part may be shorter.
pub fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, after) = rest.split_at(rest.len().min(*size));
        parts.push(part);
        rest = after;
    }
    parts
}
