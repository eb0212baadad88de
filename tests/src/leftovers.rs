//! What an instance could leave behind on a machine. The same before it and after it, or something leaked.

use crate::instance::Instance;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Everything that Longshore makes on a machine, as lines that say where they were found.
pub fn everything() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in lines("ip", &["-o", "link"]) {
        // The number and the counters say nothing; the name does.
        let name = line.split(": ").nth(1).unwrap_or(&line).split('@').next().unwrap_or_default().to_owned();
        found.insert(format!("link {name}"));
    }
    found.extend(lines("ip", &["-o", "-4", "addr", "show", "lo"]).into_iter().map(|line| {
        let address = line.split_whitespace().nth(3).unwrap_or_default().to_owned();
        format!("loopback address {address}")
    }));
    found.extend(lines("ip", &["-4", "route"]).into_iter().map(|line| format!("route {line}")));
    found.extend(lines("nft", &["list", "tables"]).into_iter().map(|line| format!("nft {line}")));
    cgroups(Path::new("/sys/fs/cgroup"), 0, &mut found);
    found
}

/// What was made since `before` and is not of another Longshore, which may be started on the same machine meanwhile.
pub fn since(before: &BTreeSet<String>, instance: &Instance) -> BTreeSet<String> {
    let ours = instance.suffix();
    let now = everything();
    let new: BTreeSet<String> = now.difference(before).cloned().collect();
    let of_another = |line: &String| suffixes(line).any(|suffix| suffix != ours);
    // Whose a line without a mark is cannot be told then.
    let is_alone = !now.iter().any(of_another);
    new.into_iter()
        .filter(|line| !of_another(line) && (is_alone || suffixes(line).any(|suffix| suffix == ours)))
        .collect()
}

/// Marks of instances in a line: the four digits after `ls` and `longshore` in names of links, tables and groups.
fn suffixes(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| {
        let suffix = word.strip_prefix("longshore").or_else(|| word.strip_prefix("ls"))?;
        (suffix.len() == 4 && suffix.bytes().all(|b| b.is_ascii_hexdigit())).then_some(suffix)
    })
}

/// Processes, mounts and lines of /etc/hosts that name this instance's directory.
pub fn of(instance: &Instance) -> BTreeSet<String> {
    let dir = instance.dir.to_string_lossy().into_owned();
    let mut found = BTreeSet::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")));
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    found.extend(hosts.lines().filter(|line| line.contains(&dir)).map(|line| format!("/etc/hosts {line}")));
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let cgroup = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if command.contains(&dir) || cgroup.contains(&dir) {
            found.insert(format!("process {pid}: {command}"));
        }
    }
    found
}

fn lines(program: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(arguments).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).lines().map(str::to_owned).collect()).unwrap_or_default()
}

fn cgroups(dir: &Path, depth: u32, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let ours = entry.file_name().to_string_lossy().starts_with("longshore");
        if ours {
            found.insert(format!("cgroup {}", entry.path().display()));
        } else if depth < 2 {
            cgroups(&entry.path(), depth + 1, found);
        }
    }
}
