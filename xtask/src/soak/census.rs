//! What an instance has on the machine at a moment.

use anyhow::ensure;
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Command;

const ROLES: [&str; 4] = ["up", "server", "agent", "balancer"];

pub const HEAD: &str = "  PSS MiB and descriptors: up, server, agent, balancer | supervisors | tasks | links | mounts | tasks with cgroups | rules";

/// What a row may take in the server: one of ten thousand tasks takes 11 KiB with its interface and indexes.
const ROW_KIB: u64 = 12;
/// How much more a process may have for no reason that is known here.
const SLACK_KIB: u64 = 16 << 10;

#[derive(Clone, Debug)]
pub struct Census {
    /// PSS in KiB and open descriptors of each role.
    roles: [(u64, usize); 4],
    supervisors: usize,
    tasks: BTreeSet<String>,
    links: usize,
    mounts: usize,
    /// Tasks that have a control group in one of the hierarchies.
    cgroups: BTreeSet<String>,
    rules: usize,
}

impl Census {
    pub fn take(instance: &Instance) -> Self {
        let run = instance.run_dir();
        let dir = instance.dir.display().to_string();
        let role =
            |role: &str| instance.pid(role).map_or((0, 0), |pid| (pss(pid), entries(&format!("/proc/{pid}/fd"))));
        let lines = |command: &[&str]| in_namespaces(instance, command).lines().count();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let group = format!("longshore{}", instance.suffix());
        let root = Path::new("/sys/fs/cgroup");
        let mut cgroups = names(&root.join(&group));
        for hierarchy in std::fs::read_dir(root).into_iter().flatten().flatten() {
            cgroups.extend(names(&hierarchy.path().join(&group)));
        }
        Self {
            roles: ROLES.map(role),
            supervisors: supervisors(&dir).len(),
            tasks: names(&run.join("tasks")),
            links: lines(&["ip", "-o", "link"]),
            mounts: mounts.lines().filter(|line| line.contains(&dir)).count(),
            cgroups,
            rules: lines(&["nft", "list", "ruleset"]),
        }
    }

    /// As many of everything as at first, and no process that grew for another reason than the rows it keeps.
    pub fn compare(&self, first: &Self, rows: u64) -> anyhow::Result<()> {
        let counts = |c: &Self| [c.supervisors, c.tasks.len(), c.links, c.mounts];
        ensure!(counts(self) == counts(first), "something leaked: {first:?} at first, {self:?} at last");
        ensure!(self.cgroups == self.tasks, "control groups of {:?}, tasks {:?}", self.cgroups, self.tasks);
        // Elements of sets stand several to a line.
        ensure!(self.rules.abs_diff(first.rules) <= 20, "rules leaked: {first:?} at first, {self:?} at last");
        for (role, (now, then)) in ROLES.iter().zip(self.roles.iter().zip(&first.roles)) {
            ensure!(now.1 <= then.1 + 8, "{role} has {} descriptors, had {}", now.1, then.1);
            let kept = if *role == "server" { rows * ROW_KIB } else { 0 };
            ensure!(now.0 <= then.0 + SLACK_KIB + kept, "{role} has {} KiB with {rows} rows, had {}", now.0, then.0);
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
        let Self { supervisors, tasks, links, mounts, cgroups, rules, .. } = self;
        write!(f, "| {supervisors} | {} | {links} | {mounts} | {} | {rules}", tasks.len(), cgroups.len())
    }
}

/// One of the supervisors.
pub fn supervisor_of(instance: &Instance, random: &mut Random) -> Option<i32> {
    let supervisors = supervisors(&instance.dir.display().to_string());
    supervisors.get(random.below(supervisors.len().max(1) as u64) as usize).copied()
}

/// A process of a container: a child of one of the supervisors.
pub fn container_of(instance: &Instance, random: &mut Random) -> Option<i32> {
    let supervisor = supervisor_of(instance, random)?;
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// The TCP sockets that the roles have in the networks of VPCs.
pub fn sockets(instance: &Instance) -> String {
    let pids: Vec<String> = ROLES.iter().filter_map(|role| Some(format!("pid={},", instance.pid(role)?))).collect();
    let all = in_namespaces(instance, &["ss", "-Htanp"]);
    let ours = all.lines().filter(|line| pids.iter().any(|pid| line.contains(pid)));
    ours.fold("sockets in VPCs:".to_owned(), |text, line| text + "\n" + line)
}

/// What a command prints in each network namespace of the instance.
fn in_namespaces(instance: &Instance, command: &[&str]) -> String {
    let namespaces = std::fs::read_dir(instance.run_dir().join("netns")).into_iter().flatten().flatten();
    let printed = namespaces.filter_map(|entry| {
        let namespace = format!("--net={}", entry.path().display());
        let output = Command::new("nsenter").arg(namespace).args(command).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    printed.collect()
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

/// Names of the directories in a directory.
fn names(path: &Path) -> BTreeSet<String> {
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
