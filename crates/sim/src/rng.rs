//! All chance in a run, from one seed.

use longshore_types::IdSource;

pub struct Rng(IdSource);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(IdSource::new((u128::from(seed) << 64) | u128::from(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `part` times in `whole`.
    pub fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }
}
