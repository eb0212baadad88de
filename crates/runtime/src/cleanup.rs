//! Removes what a dead or unwanted supervisor left behind.

use crate::cgroup::{CgroupError, Hierarchies};
use crate::protocol::{SOCKET_FILE, STATE_FILE, State};
use crate::spec::{SPEC_FILE, TaskSpec};
use crate::sys;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Ends the supervisor of `directory`, if it lives, kills everything in the task's cgroups and removes them.
///
/// Its mounts and its network namespace go with its processes. Doing this twice, or for a task that never started, is
/// fine. The directory's files stay, but for the socket; they belong to the caller.
pub fn cleanup(directory: &Path) -> Result<(), CleanupError> {
    let state: Option<State> = read(&directory.join(STATE_FILE));
    if let Some(state) = &state {
        // The number may be another process's by now; the start time tells.
        let alive = sys::start_ticks(state.supervisor_pid) == Some(state.supervisor_start_ticks);
        if state.supervisor_pid > 1 && alive {
            let _ = sys::kill(state.supervisor_pid, libc::SIGKILL);
        }
    }
    // The spec alone knows the path when the supervisor died before its first state.
    let spec: Option<TaskSpec> = read(&directory.join(SPEC_FILE));
    let recorded = state.map(|state| state.cgroup).filter(|cgroup| !cgroup.is_empty());
    if let Some(cgroup) = recorded.or(spec.map(|spec| spec.cgroup)) {
        cleanup_cgroup(&cgroup)?;
    }
    let _ = std::fs::remove_file(directory.join(SOCKET_FILE));
    Ok(())
}

/// The part of [`cleanup`] that needs only the path of the task's cgroup, e.g. when its directory is gone.
pub fn cleanup_cgroup(cgroup: &str) -> Result<(), CleanupError> {
    // An empty path or one that leads up would be the whole machine.
    if cgroup.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Ok(());
    }
    Ok(Hierarchies::detect()?.group(cgroup).destroy()?)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_clean_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        cleanup(directory.path()).unwrap();
        cleanup(&directory.path().join("nowhere")).unwrap();
        cleanup_cgroup("").unwrap();
        cleanup_cgroup("../..").unwrap();
        cleanup_cgroup("longshore-test/never-made").unwrap();
    }
}
