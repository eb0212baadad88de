//! Memory, as the kernel shares it out.

use super::longshore::Longshore;
use super::median;
use longshore_tests::instance::Instance;
use std::time::Duration;

/// KiB a sleeping container costs.
#[derive(Clone, Copy, Default)]
pub struct PerTask {
    /// Proportional set size of its supervisor or shim, median of ten.
    pub supervisor: u64,
    /// Growth of the PSS of all that manages: daemons, supervisors, shims, proxies.
    pub managing: i64,
    /// Drop of MemAvailable: everything, the kernel's part and the container's own process included.
    pub available: i64,
}

pub fn longshore(ours: &mut Longshore, instance: &Instance, tasks: usize) -> anyhow::Result<PerTask> {
    let dir = instance.dir.display().to_string();
    let managing = || processes(|command| command.contains(&dir));
    settle();
    let before = (pss_of(&managing()), available());
    let mut running = Vec::new();
    for _ in 0..tasks {
        running.push(ours.run_task()?);
    }
    for task in &running {
        ours.wait(task, "RUNNING")?;
    }
    settle();
    let supervisors: Vec<u64> = processes(|command| command.contains(" task ") && command.contains(&dir))
        .into_iter()
        .map(pss)
        .take(10)
        .collect();
    let result = PerTask {
        supervisor: median(&supervisors).unwrap_or_default(),
        managing: (pss_of(&managing()) as i64 - before.0 as i64) / tasks as i64,
        available: (before.1 as i64 - available() as i64) / tasks as i64,
    };
    for task in &running {
        ours.stop(task)?;
    }
    Ok(result)
}

/// Lets what was started come to rest, and caches that could be had back not count.
pub fn settle() {
    std::thread::sleep(Duration::from_secs(3));
    // Where it is not allowed, the figures are noisier.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
    std::thread::sleep(Duration::from_secs(1));
}

/// Processes whose command line satisfies a condition.
pub fn processes(matches: impl Fn(&str) -> bool) -> Vec<u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own);
    pids.filter(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        matches(&String::from_utf8_lossy(&command).replace('\0', " "))
    })
    .collect()
}

/// Proportional set size in KiB.
pub fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&text, "Pss:")
}

pub fn pss_of(pids: &[u32]) -> u64 {
    pids.iter().copied().map(pss).sum()
}

/// Begins a process's peak of resident memory anew.
pub fn forget_peak(pid: u32) {
    // Where the kernel cannot, the figure is the peak of its whole life.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Most that a process had resident, KiB.
pub fn peak(pid: u32) -> u64 {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmHWM:")
}

/// MemAvailable in KiB.
pub fn available() -> u64 {
    field(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable:")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
