//! Control groups of a task, on version 1 (a directory in each hierarchy) and version 2 (one directory).
//!
//! We do this ourselves rather than let libcontainer do it, for three reasons: the supervisor needs the groups for
//! limits of the whole task, statistics, out-of-memory counters and a kill that spares nobody; libcontainer's version 2
//! has no device filter without a C library; and its write to `cgroup.procs` costs a grace period of the whole machine
//! (12 ms of a 30 ms start), which a process that moves *itself* does not pay ([`Group::join`]).

mod device_filter;
mod v1;
mod v2;

use crate::protocol::Usage;
use crate::sys::{self, Pid};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no cgroup file system with memory, cpu and pids controllers is mounted")]
    NotMounted,
    #[error("cgroup {path}: {what}")]
    File {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cgroup {0}: processes are still there after SIGKILL")]
    Busy(String),
}

/// How the machine's cgroups are mounted.
#[derive(Debug, Clone)]
pub enum Hierarchies {
    V1 {
        hierarchies: Vec<v1::Hierarchy>,
        /// Mounts without controllers, of systemd and of version 2. We make nothing there, but an external runtime does.
        others: Vec<PathBuf>,
    },
    V2(PathBuf),
}

/// What a group may use. `None` leaves the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u32>,
    /// Version 1 scale, 2 to 262144.
    pub cpu_shares: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub memory_reservation_bytes: Option<u64>,
    pub pids: Option<u32>,
    /// Whether only the usual pseudo devices may be opened.
    pub confine_devices: bool,
}

/// Length of a CFS period; the quota is the share of it.
const CFS_PERIOD_US: u64 = 100_000;

impl Limits {
    fn quota_us(&self) -> Option<u64> {
        // The kernel refuses quotas under a millisecond.
        self.cpu_millis.map(|millis| (u64::from(millis) * CFS_PERIOD_US / 1000).max(1000))
    }
}

impl Hierarchies {
    /// Reads `/proc/self/mountinfo`. A machine with both versions uses the one that has the memory controller.
    pub fn detect() -> Result<Self, CgroupError> {
        let path = Path::new("/proc/self/mountinfo");
        let mountinfo = std::fs::read_to_string(path).map_err(|source| CgroupError::File {
            path: path.to_owned(),
            what: "read",
            source,
        })?;
        Self::parse(&mountinfo).ok_or(CgroupError::NotMounted)
    }

    pub(crate) fn parse(mountinfo: &str) -> Option<Self> {
        let mut hierarchies = Vec::new();
        let mut others = Vec::new();
        let mut v2 = None;
        for line in mountinfo.lines() {
            let (before, after) = line.split_once(" - ")?;
            let mut mount = before.split(' ').skip(3);
            // A hierarchy seen from a subdirectory, as in a container, is not ours to make groups in, except at its root.
            let (_root, point) = (mount.next()?, mount.next()?);
            let mut after = after.split(' ');
            match after.next()? {
                "cgroup2" if v2.is_none() => v2 = Some(PathBuf::from(point)),
                "cgroup" => match v1::Hierarchy::new(point, after.nth(1).unwrap_or("")) {
                    Some(hierarchy) => hierarchies.push(hierarchy),
                    None => others.push(PathBuf::from(point)),
                },
                _ => {}
            }
        }
        if hierarchies.iter().any(|hierarchy| hierarchy.has("memory")) {
            others.extend(v2);
            return Some(Hierarchies::V1 { hierarchies, others });
        }
        v2.map(Hierarchies::V2)
    }

    /// The group at `path` below each root; it need not exist.
    pub fn group(&self, path: impl Into<String>) -> Group<'_> {
        Group { hierarchies: self, path: path.into() }
    }
}

/// One group, existing or not.
#[derive(Debug, Clone)]
pub struct Group<'h> {
    hierarchies: &'h Hierarchies,
    path: String,
}

impl Group<'_> {
    /// Its directory in each hierarchy.
    pub fn directories(&self) -> Vec<PathBuf> {
        match self.hierarchies {
            Hierarchies::V1 { hierarchies, .. } => hierarchies.iter().map(|h| h.path.join(&self.path)).collect(),
            Hierarchies::V2(root) => vec![root.join(&self.path)],
        }
    }

    /// Where it may exist, by whoever's hand.
    fn traces(&self) -> Vec<PathBuf> {
        let mut directories = self.directories();
        if let Hierarchies::V1 { others, .. } = self.hierarchies {
            directories.extend(others.iter().map(|mount| mount.join(&self.path)));
        }
        directories
    }

    /// Makes it with its parents and sets the limits. Doing so again only sets the limits.
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        match self.hierarchies {
            Hierarchies::V1 { hierarchies, .. } => hierarchies.iter().try_for_each(|h| h.create(&self.path, limits)),
            Hierarchies::V2(root) => v2::create(root, &self.path, limits),
        }
    }

    /// Moves the calling, single-threaded process in.
    ///
    /// On version 1, writing `0` to `tasks` moves the calling thread only, and so needs none of the machine-wide lock
    /// that `cgroup.procs` takes, whose first use waits for an RCU grace period.
    pub fn join(&self) -> Result<(), CgroupError> {
        let file = match self.hierarchies {
            Hierarchies::V1 { .. } => "tasks",
            Hierarchies::V2(_) => "cgroup.procs",
        };
        self.directories().iter().try_for_each(|directory| write(directory, file, "0"))
    }

    /// The directory to give to `clone3` with `CLONE_INTO_CGROUP`; version 2 only.
    pub fn clone_target(&self) -> Option<OwnedFd> {
        match self.hierarchies {
            Hierarchies::V1 { .. } => None,
            Hierarchies::V2(root) => {
                use rustix::fs::{Mode, OFlags};
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(root.join(&self.path), flags, Mode::empty()).ok()
            }
        }
    }

    pub fn usage(&self) -> Usage {
        match self.hierarchies {
            Hierarchies::V1 { hierarchies, .. } => {
                let mut usage = Usage::default();
                hierarchies.iter().for_each(|hierarchy| hierarchy.usage(&self.path, &mut usage));
                usage
            }
            Hierarchies::V2(root) => v2::usage(&root.join(&self.path)),
        }
    }

    /// How many processes of this group the kernel killed for want of memory, in it or in a group above.
    pub fn oom_kills(&self) -> u64 {
        match self.hierarchies {
            Hierarchies::V1 { hierarchies, .. } => {
                let memory = hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
                memory.map_or(0, |memory| keyed(&memory.path.join(&self.path), "memory.oom_control", "oom_kill"))
            }
            Hierarchies::V2(root) => keyed(&root.join(&self.path), "memory.events", "oom_kill"),
        }
    }

    /// Processes in it and in the groups below.
    pub fn processes(&self) -> Vec<Pid> {
        let mut pids = Vec::new();
        for directory in self.traces() {
            walk(&directory, &mut |directory| {
                if let Ok(text) = std::fs::read_to_string(directory.join("cgroup.procs")) {
                    pids.extend(text.lines().filter_map(|line| line.parse::<Pid>().ok()).filter(|pid| *pid > 0));
                }
            });
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Sends SIGKILL to everything in it and below. Returns how many processes were seen.
    pub fn kill(&self) -> usize {
        if let Hierarchies::V2(root) = self.hierarchies
            && sys::write_value(&root.join(&self.path).join("cgroup.kill"), "1").is_ok()
        {
            return self.processes().len();
        }
        let pids = self.processes();
        for pid in &pids {
            // Gone in the meantime is as good.
            let _ = sys::kill(*pid, libc::SIGKILL);
        }
        pids.len()
    }

    /// Kills until nothing is left and removes it with the groups below. Nothing there is fine.
    pub fn destroy(&self) -> Result<(), CgroupError> {
        let mut wait = Duration::from_millis(1);
        for _ in 0..12 {
            let alive = self.kill();
            if alive == 0 && self.remove().is_ok() {
                return Ok(());
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(300));
        }
        if self.processes().is_empty() { self.remove() } else { Err(CgroupError::Busy(self.path.clone())) }
    }

    /// Removes it with the groups below; they must have no processes.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for directory in self.traces() {
            let mut found = Vec::new();
            walk(&directory, &mut |directory| found.push(directory.to_owned()));
            for directory in found.into_iter().rev() {
                match std::fs::remove_dir(&directory) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(CgroupError::File { path: directory, what: "remove", source: error });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Calls `visit` for the directory, if it exists, and then for all below it.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    visit(directory);
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}

fn make_directory(path: &Path) -> Result<(), CgroupError> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(CgroupError::File { path: path.to_owned(), what: "create", source }),
    }
}

fn write(directory: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = directory.join(file);
    sys::write_value(&path, value).map_err(|source| CgroupError::File { path, what: "write", source })
}

/// A short file's text; empty where it cannot be read.
fn read(directory: &Path, file: &str) -> String {
    sys::read_text(&directory.join(file), 4096).unwrap_or_default().trim().to_owned()
}

/// A file with one number; `max` and errors are `None`.
fn number(directory: &Path, file: &str) -> Option<u64> {
    sys::read_text(&directory.join(file), 64).ok()?.trim().parse().ok()
}

/// All `key value` lines of a file.
fn pairs(directory: &Path, file: &str) -> BTreeMap<String, u64> {
    let text = sys::read_text(&directory.join(file), 16 << 10).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').and_then(|(key, n)| Some((key.to_owned(), n.trim().parse().ok()?)));
    text.lines().filter_map(pair).collect()
}

/// The number after `key` in a file of `key value` lines; 0 if there is none.
fn keyed(directory: &Path, file: &str, key: &str) -> u64 {
    let text = sys::read_text(&directory.join(file), 16 << 10).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(k, _)| *k == key)
        .and_then(|(_, v)| v.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
";

    #[test]
    fn the_version_with_the_memory_controller_is_used() {
        let Some(Hierarchies::V1 { hierarchies, others }) = Hierarchies::parse(HYBRID) else { panic!("not version 1") };
        let paths: Vec<&str> = hierarchies.iter().filter_map(|h| h.path.to_str()).collect();
        assert_eq!(paths, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"], "not systemd's own");
        assert_eq!(others, [Path::new("/sys/fs/cgroup/systemd"), Path::new("/sys/fs/cgroup/unified")]);
        let unified = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let Some(Hierarchies::V2(root)) = Hierarchies::parse(unified) else { panic!("not version 2") };
        assert_eq!(root, Path::new("/sys/fs/cgroup"));
        assert!(Hierarchies::parse("1 2 0:1 / / rw - ext4 /dev/vda rw\n").is_none());
        assert!(Hierarchies::parse("nonsense\n").is_none());
    }

    #[test]
    fn many_supervisors_may_make_their_groups_at_once() {
        let hierarchies = Hierarchies::detect().unwrap();
        let name = format!("longshore-test-together-{}", std::process::id());
        let failures: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|number| {
                    let group = hierarchies.group(format!("{name}/{number}"));
                    scope.spawn(move || {
                        // SAFETY: the child only makes system calls and ends.
                        let created = group.create(&Limits::default());
                        let pid = unsafe { libc::fork() };
                        if pid == 0 {
                            unsafe { libc::_exit(i32::from(group.join().is_err())) };
                        }
                        let mut status = 0;
                        unsafe { libc::waitpid(pid, &mut status, 0) };
                        created
                            .err()
                            .map(|error| format!("{error:?}"))
                            .or_else(|| (status != 0).then(|| format!("{number} may not join")))
                    })
                })
                .collect();
            makers.into_iter().filter_map(|maker| maker.join().unwrap()).collect()
        });
        hierarchies.group(name).remove().unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }

    #[test]
    fn a_group_is_made_limited_joined_killed_and_removed() {
        let hierarchies = Hierarchies::detect().unwrap();
        let name = format!("longshore-test-cgroup-{}", std::process::id());
        let (task, leaf) = (hierarchies.group(name.clone()), hierarchies.group(format!("{name}/a")));
        let limits =
            Limits { cpu_millis: Some(500), memory_bytes: Some(64 << 20), pids: Some(32), ..Limits::default() };
        task.create(&limits).unwrap();
        task.create(&limits).unwrap();
        leaf.create(&Limits { cpu_shares: Some(128), confine_devices: true, ..Limits::default() }).unwrap();
        // SAFETY: the child only makes system calls and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let joined = leaf.join().is_ok();
            let _memory = vec![1u8; 1 << 20];
            unsafe { if joined { libc::pause() } else { libc::_exit(1) } };
        }
        let deadline = sys::monotonic_ms() + 5000;
        // One hierarchy after the other; memory comes as it is used.
        while (leaf.usage().pids, leaf.usage().memory_bytes) < (1, 1) && sys::monotonic_ms() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(task.processes(), [pid]);
        let usage = leaf.usage();
        assert!(usage.pids == 1 && usage.memory_bytes > 0, "{usage:?}");
        assert_eq!(task.usage().memory_limit_bytes, Some(64 << 20));
        assert_eq!(leaf.oom_kills(), 0);
        assert!(task.remove().is_err(), "still in use");
        assert_eq!(task.kill(), 1);
        let mut status = 0;
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(sys::exit_code(status), 137);
        task.destroy().unwrap();
        task.destroy().unwrap();
        assert!(task.directories().iter().all(|directory| !directory.exists()));
    }
}
