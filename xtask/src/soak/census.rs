//! What an instance has on the machine at a moment.

use anyhow::ensure;
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use std::fmt;
use std::path::Path;
use std::process::Command;

const ROLES: [&str; 4] = ["up", "server", "agent", "balancer"];

pub const HEAD: &str = "  PSS MiB and descriptors: up, server, agent, balancer | supervisors | task directories | links | mounts | cgroups | rules";

#[derive(Clone, Debug)]
pub struct Census {
    /// PSS in KiB and open descriptors of each role.
    roles: [(u64, usize); 4],
    supervisors: usize,
    task_directories: usize,
    links: usize,
    mounts: usize,
    cgroups: usize,
    rules: usize,
}

impl Census {
    pub fn take(instance: &Instance) -> Self {
        let run = instance.run_dir();
        let dir = instance.dir.display().to_string();
        let role =
            |role: &str| instance.pid(role).map_or((0, 0), |pid| (pss(pid), entries(&format!("/proc/{pid}/fd"))));
        let namespaces = std::fs::read_dir(run.join("netns")).into_iter().flatten().flatten();
        let (mut links, mut rules) = (0, 0);
        for namespace in namespaces.map(|entry| format!("--net={}", entry.path().display())) {
            let lines = |command: &[&str]| {
                let output = Command::new("nsenter").arg(&namespace).args(command).output();
                output.map_or(0, |output| output.stdout.iter().filter(|byte| **byte == b'\n').count())
            };
            links += lines(&["ip", "-o", "link"]);
            rules += lines(&["nft", "list", "ruleset"]);
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut cgroups = 0;
        let group = format!("longshore{}", instance.suffix());
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            cgroups += directories(&hierarchy.path().join(&group));
        }
        cgroups += directories(&Path::new("/sys/fs/cgroup").join(&group));
        Self {
            roles: ROLES.map(role),
            supervisors: supervisors(&dir).len(),
            task_directories: entries(&run.join("tasks").display().to_string()),
            links,
            mounts: mounts.lines().filter(|line| line.contains(&dir)).count(),
            cgroups,
            rules,
        }
    }

    /// As many of everything as at first, and no process that grew without end.
    pub fn compare(&self, first: &Self) -> anyhow::Result<()> {
        let counts = |c: &Self| [c.supervisors, c.task_directories, c.links, c.mounts, c.cgroups];
        ensure!(counts(self) == counts(first), "something leaked: {first:?} at first, {self:?} at last");
        // Elements of sets stand several to a line.
        ensure!(self.rules.abs_diff(first.rules) <= 3, "rules leaked: {first:?} at first, {self:?} at last");
        for (role, (now, then)) in ROLES.iter().zip(self.roles.iter().zip(&first.roles)) {
            ensure!(now.1 <= then.1 + 8, "{role} has {} descriptors, had {}", now.1, then.1);
            ensure!(now.0 <= 2 * then.0 + (32 << 10), "{role} has {} KiB, had {}", now.0, then.0);
        }
        Ok(())
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  ")?;
        for (pss, descriptors) in self.roles {
            write!(f, "{:.1} {descriptors}, ", pss as f64 / 1024.0)?;
        }
        let Self { supervisors, task_directories, links, mounts, cgroups, rules, .. } = self;
        write!(f, "| {supervisors} | {task_directories} | {links} | {mounts} | {cgroups} | {rules}")
    }
}

/// A process of a container: a child of one of the supervisors.
pub fn container_of(instance: &Instance, random: &mut Random) -> Option<i32> {
    let supervisors = supervisors(&instance.dir.display().to_string());
    let supervisor = *supervisors.get(random.below(supervisors.len().max(1) as u64) as usize)?;
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn supervisors(dir: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(" task ") && command.contains(dir)
    })
    .collect()
}

fn pss(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn entries(path: &str) -> usize {
    std::fs::read_dir(path).map_or(0, |entries| entries.count())
}

fn directories(path: &Path) -> usize {
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    usize::from(path.is_dir()) + below.map(|entry| directories(&entry.path())).sum::<usize>()
}
