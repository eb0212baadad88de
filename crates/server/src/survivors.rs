//! Processes of an instance, found by their command lines: whatever removed the files of a run directory ended none of them.

use longshore_runtime::cleanup;
use longshore_runtime::supervisor::SUBCOMMAND;
use std::path::Path;

/// Processes that run as this role for `run_dir`. An `up` is found as the parent of its server and agent.
pub fn of(run_dir: &Path, role: &str) -> Vec<u32> {
    match role {
        "up" => started_as(&["server", "agent"], run_dir).into_iter().filter_map(parent_of_the_same_program).collect(),
        _ => started_as(&[role], run_dir),
    }
}

/// Whether anything of `run_dir` runs.
pub fn any(run_dir: &Path) -> bool {
    !started_as(&["server", "agent", "balancer", SUBCOMMAND], run_dir).is_empty()
}

/// Whether anything of `run_dir` runs that simulated tasks do not need.
pub fn any_of_containers(run_dir: &Path) -> bool {
    !started_as(&["agent", "balancer", SUBCOMMAND], run_dir).is_empty()
}

/// A supervisor is told its task's directory, every other role the run directory.
fn started_as(roles: &[&str], run_dir: &Path) -> Vec<u32> {
    let tasks = run_dir.join("tasks");
    let ours = cleanup::processes(roles).into_iter().filter(|(_, path)| path == run_dir || path.starts_with(&tasks));
    ours.filter_map(|(pid, _)| u32::try_from(pid).ok()).collect()
}

/// The parent of a process, unless it has become another program's child.
fn parent_of_the_same_program(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    let program = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    (program(pid)? == program(parent)?).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn processes_are_found_though_their_directory_is_gone() {
        let scripts = tempfile::tempdir().unwrap();
        let run_dir = scripts.path().join("gone");
        let start = |role: &str, path: &Path| {
            std::fs::write(scripts.path().join(role), "read line").unwrap();
            let mut command = Command::new("sh");
            command.current_dir(&scripts).arg(role).arg(path).stdin(Stdio::piped());
            command.spawn().unwrap()
        };
        assert!(!any(&run_dir));
        let mut children = [start("balancer", &run_dir), start(SUBCOMMAND, &run_dir.join("tasks/1"))];
        // A program that has just begun has no command line yet.
        let found = |role: &str| {
            for _ in 0..500 {
                let found = of(&run_dir, role);
                if !found.is_empty() {
                    return found;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Vec::new()
        };
        let [balancer, task] = [found("balancer"), found(SUBCOMMAND)];
        let of_another = any(&scripts.path().join("gon"));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!((balancer, task, of_another), (vec![children[0].id()], vec![children[1].id()], false));
        assert!(!any(&run_dir));
    }
}
