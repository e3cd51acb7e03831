//! Randomness as a value: a seed comes in, everything else follows from it.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A stream of random bytes that follows from 32 bytes of seed. In production the seed comes from the operating system.
///
/// No `Debug` and no `Clone`: below the link seam its output becomes keys.
pub struct Entropy(ChaCha20Rng);

impl Entropy {
    /// The stream of `seed`.
    pub fn new(seed: [u8; 32]) -> Entropy {
        Entropy(ChaCha20Rng::from_seed(seed))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A stream of its own, for a part that draws at its own pace.
    pub fn fork(&mut self) -> Entropy {
        Entropy::new(self.bytes())
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
