//! Token buckets: arithmetic over a clock that is handed in.

/// How many requests a bucket lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once, from a full bucket.
    pub burst: u32,
    /// Each second, in the long run.
    pub per_second: u32,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of a token, so that each millisecond's refill is a whole number.
    millitokens: u64,
    /// Milliseconds of some clock that only goes forward.
    at: u64,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: u64) -> Self {
        Self { millitokens: full(rate), at: now }
    }

    /// Takes a token, if one is left.
    pub fn take(&mut self, rate: Rate, now: u64) -> bool {
        self.refill(rate, now);
        let left = self.millitokens.checked_sub(1000);
        self.millitokens = left.unwrap_or(self.millitokens);
        left.is_some()
    }

    /// True when it is as good as a new one.
    pub fn is_full(&mut self, rate: Rate, now: u64) -> bool {
        self.refill(rate, now);
        self.millitokens == full(rate)
    }

    fn refill(&mut self, rate: Rate, now: u64) {
        let gained = now.saturating_sub(self.at).saturating_mul(u64::from(rate.per_second));
        self.millitokens = self.millitokens.saturating_add(gained).min(full(rate));
        self.at = self.at.max(now);
    }
}

fn full(rate: Rate) -> u64 {
    u64::from(rate.burst) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_bucket_lets_its_burst_pass_and_then_its_rate() {
        let mut bucket = Bucket::new(RATE, 5_000);
        let taken = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take(RATE, now)).count();
        assert_eq!(taken(&mut bucket, 5_000), 3);
        assert_eq!(taken(&mut bucket, 5_499), 0);
        assert_eq!(taken(&mut bucket, 5_500), 1);
        assert_eq!(taken(&mut bucket, 6_500), 2);
        // It never holds more than it is large, and no step back of the clock fills or empties it.
        assert_eq!(taken(&mut bucket, u64::MAX), 3);
        assert_eq!(taken(&mut bucket, 0), 0);
        assert!(!bucket.is_full(RATE, u64::MAX));
    }

    #[test]
    fn in_the_long_run_exactly_the_rate_passes_whatever_the_steps() {
        for step in [1, 7, 333, 1_000] {
            let mut bucket = Bucket::new(RATE, 0);
            let passed = (0..=100_000_u64).step_by(step).filter(|now| bucket.take(RATE, *now)).count() as u64;
            let most = (100_000 / step as u64 + 1).min(3 + 200);
            assert!(passed <= most && passed + 1 >= most.min(3 + 200 - 1), "{step}: {passed} of {most}");
        }
    }
}
