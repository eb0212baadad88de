//! From the call to a running container.

use super::longshore::Longshore;
use super::median;
use anyhow::{Context, bail};
use std::time::{Duration, Instant};

/// Milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Longshores {
    /// RunTask sent, to RUNNING seen by a client that asks every 2 ms.
    pub seen: f64,
    /// `createdAt` to `startedAt`.
    pub stamped: f64,
}

pub fn longshore(ours: &mut Longshore, tasks: usize) -> anyhow::Result<Longshores> {
    let (mut seen, mut stamped) = (Vec::new(), Vec::new());
    // The first tasks pull, and fill caches.
    for number in 0..tasks + 3 {
        let (took, between) = one(ours)?;
        if number >= 3 {
            seen.push(took);
            stamped.push(between);
        }
    }
    Ok(Longshores { seen: median(&seen).unwrap_or_default(), stamped: median(&stamped).unwrap_or_default() })
}

/// Starts and stops one task: milliseconds from the call to RUNNING seen, and from `createdAt` to `startedAt`.
pub fn one(ours: &mut Longshore) -> anyhow::Result<(f64, f64)> {
    let started = Instant::now();
    let task = ours.run_task()?;
    let running = loop {
        let state = ours.describe(&task)?;
        match state["lastStatus"].as_str() {
            Some("RUNNING") => break state,
            Some("STOPPED") => bail!("the task stopped: {state}"),
            _ if started.elapsed() > Duration::from_secs(30) => bail!("the task does not run: {state}"),
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let took = started.elapsed().as_secs_f64() * 1000.0;
    let time = |name: &str| running[name].as_f64().with_context(|| format!("{name} in {running}"));
    let between = (time("startedAt")? - time("createdAt")?) * 1000.0;
    // A first process gets no signal that it has no handler for yet.
    std::thread::sleep(Duration::from_millis(20));
    ours.stop(&task)?;
    Ok((took, between))
}
