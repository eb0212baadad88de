//! Version 1: one hierarchy for each controller or pair of them.

use super::{CFS_PERIOD_US, CgroupError, Limits, make_directory, number, pairs, read, write};
use crate::protocol::Usage;
use std::path::{Path, PathBuf};

/// A mounted hierarchy that has controllers.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    pub path: PathBuf,
    /// Last part of the path where the system mounts it.
    pub name: String,
    controllers: Vec<String>,
}

const CONTROLLERS: &[&str] = &[
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
    "misc",
];

/// The default devices of a container: `mknod` of any, and use of null, zero, full, random, urandom, tty, console, ptmx
/// and the pseudo terminals.
const DEVICES_ALLOWED: &[&str] = &[
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// More than this is what the kernel says for "no limit".
const UNLIMITED: u64 = 1 << 60;

impl Hierarchy {
    /// From a mount point and its superblock's options; `None` for one without controllers, such as systemd's.
    pub(super) fn new(point: &str, options: &str) -> Option<Self> {
        let controllers: Vec<String> =
            options.split(',').filter(|option| CONTROLLERS.contains(option)).map(str::to_owned).collect();
        let path = PathBuf::from(point);
        let name = path.file_name()?.to_str()?.to_owned();
        (!controllers.is_empty()).then_some(Hierarchy { path, name, controllers })
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// Names under which programs look for it beside its directory's own, e.g. `cpu` for `cpu,cpuacct`.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.controllers.iter().map(String::as_str).filter(|name| *name != self.name)
    }

    pub(super) fn create(&self, path: &str, limits: &Limits) -> Result<(), CgroupError> {
        let mut directory = self.path.clone();
        for part in path.split('/') {
            let parent = directory.clone();
            directory.push(part);
            make_directory(&directory)?;
            if self.has("cpuset") {
                // A new cpuset is empty, and no process can enter an empty one. Whoever made it may not have got this far yet.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    if read(&directory, file).is_empty() {
                        write(&directory, file, &read(&parent, file))?;
                    }
                }
            }
        }
        self.limit(&directory, limits)
    }

    fn limit(&self, directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
        if self.has("cpu") {
            if let Some(shares) = limits.cpu_shares {
                write(directory, "cpu.shares", &shares.clamp(2, 262_144).to_string())?;
            }
            if let Some(quota) = limits.quota_us() {
                write(directory, "cpu.cfs_period_us", &CFS_PERIOD_US.to_string())?;
                write(directory, "cpu.cfs_quota_us", &quota.to_string())?;
            }
        }
        if self.has("memory") {
            if let Some(bytes) = limits.memory_bytes {
                write(directory, "memory.limit_in_bytes", &bytes.to_string())?;
                // No swap beside it. The file exists only on kernels that account swap.
                let _ = write(directory, "memory.memsw.limit_in_bytes", &bytes.to_string());
            }
            if let Some(bytes) = limits.memory_reservation_bytes {
                write(directory, "memory.soft_limit_in_bytes", &bytes.to_string())?;
            }
        }
        if self.has("pids")
            && let Some(pids) = limits.pids
        {
            write(directory, "pids.max", &pids.to_string())?;
        }
        if self.has("devices") && limits.confine_devices {
            write(directory, "devices.deny", "a")?;
            for rule in DEVICES_ALLOWED {
                write(directory, "devices.allow", rule)?;
            }
        }
        Ok(())
    }

    pub(super) fn usage(&self, path: &str, usage: &mut Usage) {
        let directory = self.path.join(path);
        if self.has("cpuacct") {
            usage.cpu_ns = number(&directory, "cpuacct.usage").unwrap_or(0);
            usage.cpu_user_ns = number(&directory, "cpuacct.usage_user").unwrap_or(0);
            usage.cpu_system_ns = number(&directory, "cpuacct.usage_sys").unwrap_or(0);
        }
        if self.has("cpu") {
            let stat = pairs(&directory, "cpu.stat");
            let of = |key: &str| stat.get(key).copied().unwrap_or(0);
            usage.throttle_periods = of("nr_periods");
            usage.throttled_periods = of("nr_throttled");
            usage.throttled_ns = of("throttled_time");
        }
        if self.has("memory") {
            usage.memory_max_bytes = number(&directory, "memory.max_usage_in_bytes").unwrap_or(0);
            usage.memory_stat = pairs(&directory, "memory.stat");
            usage.memory_bytes = number(&directory, "memory.usage_in_bytes").unwrap_or(0);
            usage.memory_cache_bytes = usage.memory_stat.get("total_inactive_file").copied().unwrap_or(0);
            usage.memory_limit_bytes = number(&directory, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
        }
        if self.has("pids") {
            usage.pids = number(&directory, "pids.current").unwrap_or(0);
            usage.pids_limit = number(&directory, "pids.max");
        }
        if self.has("blkio") {
            let file = directory.join("blkio.throttle.io_service_bytes_recursive");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            // `8:0 Read 4096`
            for line in text.lines() {
                let mut parts = line.split(' ').skip(1);
                let kind = parts.next();
                let bytes = parts.next().and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
                match kind {
                    Some("Read") => usage.block_read_bytes += bytes,
                    Some("Write") => usage.block_write_bytes += bytes,
                    _ => {}
                }
            }
        }
    }
}
