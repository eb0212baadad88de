//! Random numbers for moments and choices.

/// Any will do, and the seed is in the failure's text.
pub struct Random(pub u64);

impl Random {
    /// From 0 to less than the limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
