//! Waiting is for a condition, bounded, and says what it last saw.

use anyhow::bail;
use std::time::{Duration, Instant};

/// Asks `look` until it gives a value. `Err` is what it saw instead, which a timeout reports.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(seen) if started.elapsed() > limit => {
                bail!("{what}: not within {} s; last seen: {seen}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
