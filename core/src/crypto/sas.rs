//! Four words that both sides of a handshake see. Equal words, compared by phone for example, prove that both see the
//! same handshake.

use std::fmt;

use bip39::Language;
use serde::{Deserialize, Serialize};

/// Words, of 2,048: with 44 bits, and only one guess a handshake, chance is no danger.
pub const WORDS: usize = 4;

/// Bits of each.
const BITS: u32 = 11;

/// The number behind the four words, derived from the transcript of the Noise handshake, which contains both sides'
/// fresh keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sas(pub u64);

impl Sas {
    /// The words.
    pub fn words(self) -> [&'static str; WORDS] {
        let list = Language::English.word_list();
        std::array::from_fn(|at| {
            let index = self.0 >> (BITS * (WORDS - 1 - at) as u32) & ((1 << BITS) - 1);
            list[usize::try_from(index).unwrap_or_default()]
        })
    }
}

impl fmt::Display for Sas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_changes_a_word() {
        assert_eq!(Sas(0).to_string(), "abandon abandon abandon abandon");
        assert_eq!(Sas((1 << 44) - 1).to_string(), "zoo zoo zoo zoo");
        assert!((0..44).all(|bit| Sas(1 << bit).to_string() != Sas(0).to_string()));
    }
}
