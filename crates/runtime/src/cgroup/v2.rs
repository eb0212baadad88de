//! Version 2: one tree. Controllers are handed down level by level, and only groups without children hold processes.

use super::{CFS_PERIOD_US, CgroupError, Limits, device_filter, make_directory, number, pairs, write};
use crate::protocol::Usage;
use std::collections::BTreeMap;
use std::path::Path;

const CONTROLLERS: &[&str] = &["cpu", "memory", "pids", "io", "cpuset"];

pub(super) fn create(root: &Path, path: &str, limits: &Limits) -> Result<(), CgroupError> {
    let mut directory = root.to_owned();
    for part in path.split('/') {
        hand_down(&directory);
        directory.push(part);
        make_directory(&directory)?;
    }
    if let Some(shares) = limits.cpu_shares {
        write(&directory, "cpu.weight", &weight(shares).to_string())?;
    }
    if let Some(quota) = limits.quota_us() {
        write(&directory, "cpu.max", &format!("{quota} {CFS_PERIOD_US}"))?;
    }
    if let Some(bytes) = limits.memory_bytes {
        write(&directory, "memory.max", &bytes.to_string())?;
        // No swap beside it. The file exists only on kernels with swap.
        let _ = write(&directory, "memory.swap.max", "0");
    }
    if let Some(bytes) = limits.memory_reservation_bytes {
        write(&directory, "memory.low", &bytes.to_string())?;
    }
    if let Some(pids) = limits.pids {
        write(&directory, "pids.max", &pids.to_string())?;
    }
    if limits.confine_devices {
        device_filter::attach(&directory).map_err(|source| CgroupError::File {
            path: directory,
            what: "attach the device filter",
            source,
        })?;
    }
    Ok(())
}

/// Lets the groups below use our controllers. One that is missing shows when its limit is written.
fn hand_down(directory: &Path) {
    let enabled = std::fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap_or_default();
    let enabled: Vec<&str> = enabled.split_whitespace().collect();
    for controller in CONTROLLERS.iter().filter(|controller| !enabled.contains(controller)) {
        let _ = write(directory, "cgroup.subtree_control", &format!("+{controller}"));
    }
}

/// The scale of runc and systemd: 2..=262144 shares to 1..=10000.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

pub(super) fn usage(directory: &Path) -> Usage {
    let (cpu, memory) = (pairs(directory, "cpu.stat"), pairs(directory, "memory.stat"));
    let of = |pairs: &BTreeMap<String, u64>, key: &str| pairs.get(key).copied().unwrap_or(0);
    let mut usage = Usage {
        cpu_ns: of(&cpu, "usage_usec") * 1000,
        cpu_user_ns: of(&cpu, "user_usec") * 1000,
        cpu_system_ns: of(&cpu, "system_usec") * 1000,
        throttle_periods: of(&cpu, "nr_periods"),
        throttled_periods: of(&cpu, "nr_throttled"),
        throttled_ns: of(&cpu, "throttled_usec") * 1000,
        memory_bytes: number(directory, "memory.current").unwrap_or(0),
        // Since Linux 5.19.
        memory_max_bytes: number(directory, "memory.peak").unwrap_or(0),
        memory_cache_bytes: of(&memory, "inactive_file"),
        memory_limit_bytes: number(directory, "memory.max"),
        memory_stat: memory,
        pids: number(directory, "pids.current").unwrap_or(0),
        pids_limit: number(directory, "pids.max"),
        ..Usage::default()
    };
    // `8:0 rbytes=4096 wbytes=0 …`
    let text = std::fs::read_to_string(directory.join("io.stat")).unwrap_or_default();
    for part in text.split_whitespace() {
        match part.split_once('=') {
            Some(("rbytes", bytes)) => usage.block_read_bytes += bytes.parse::<u64>().unwrap_or(0),
            Some(("wbytes", bytes)) => usage.block_write_bytes += bytes.parse::<u64>().unwrap_or(0),
            _ => {}
        }
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_map_to_weights_at_both_ends() {
        assert_eq!((weight(0), weight(2), weight(1024), weight(262_144), weight(u64::MAX)), (1, 1, 39, 10_000, 10_000));
    }
}
