//! Removes what a dead or unwanted supervisor left behind.

use crate::cgroup::{CgroupError, Hierarchies};
use crate::protocol::{SOCKET_FILE, STATE_FILE, State};
use crate::spec::{SPEC_FILE, TaskSpec};
use crate::supervisor::SUBCOMMAND;
use crate::sys::{self, Pid};
use rustix::fs::FlockOperation;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("the supervisor of {0} does not end")]
    Alive(PathBuf),
}

/// A supervisor that was killed is gone after milliseconds; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock on a task's directory. While one has it, no other process supervises the task, however late it was started;
/// it ends with the process or when it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// `None` where there is no directory, and so no supervisor can begin.
    _directory: Option<File>,
}

impl Lease {
    /// Fails with `WouldBlock` when another has it, with `NotFound` when the directory is removed.
    pub(crate) fn take(directory: &Path) -> io::Result<Self> {
        let file = File::open(directory)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Whoever had it may have removed the directory, and another one may be in its place.
        let (locked, there) = (file.metadata()?, std::fs::metadata(directory)?);
        if (locked.dev(), locked.ino()) != (there.dev(), there.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { _directory: Some(file) })
    }
}

/// Ends the supervisor of `directory`, if it lives, kills everything in the task's cgroups and removes them.
///
/// Its mounts and its network namespace go with its processes. Doing this twice, or for a task that never started, is
/// fine. The directory's files stay, but for the socket; they belong to the caller, who holds the lease until they are
/// gone: a supervisor that was started a moment ago and has not begun yet never will.
pub fn cleanup(directory: &Path) -> Result<Lease, CleanupError> {
    let begun = Instant::now();
    let lease = loop {
        kill_supervisor(directory);
        match Lease::take(directory) {
            Ok(lease) => break lease,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break Lease { _directory: None },
        }
        // It has written no state yet, or is a child that shares the lock until it executes something.
        supervisors_of(directory).into_iter().for_each(|pid| drop(sys::kill(pid, libc::SIGKILL)));
        remove_cgroup(directory)?;
        if begun.elapsed() > PATIENCE {
            return Err(CleanupError::Alive(directory.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    remove_cgroup(directory)?;
    let _ = std::fs::remove_file(directory.join(SOCKET_FILE));
    Ok(lease)
}

/// Kills the supervisors of tasks below `tasks`, by their command lines alone: for those whose directories are gone. Their
/// cgroups are left to [`cleanup_cgroup`].
pub fn kill_supervisors(tasks: &Path) -> Result<(), CleanupError> {
    let begun = Instant::now();
    loop {
        let mut alive = processes(&[SUBCOMMAND]);
        alive.retain(|(_, directory)| directory.starts_with(tasks));
        let Some((_, directory)) = alive.first() else { return Ok(()) };
        alive.iter().for_each(|(pid, _)| drop(sys::kill(*pid, libc::SIGKILL)));
        if begun.elapsed() > PATIENCE {
            return Err(CleanupError::Alive(directory.clone()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_supervisor(directory: &Path) {
    let Some(state) = read::<State>(&directory.join(STATE_FILE)) else { return };
    // The number may be another process's by now; the start time tells.
    let alive = sys::start_ticks(state.supervisor_pid) == Some(state.supervisor_start_ticks);
    if state.supervisor_pid > 1 && alive {
        let _ = sys::kill(state.supervisor_pid, libc::SIGKILL);
    }
}

/// Processes that were started to supervise the task in `directory`, by their command lines.
fn supervisors_of(directory: &Path) -> Vec<Pid> {
    let Ok(directory) = std::fs::canonicalize(directory) else { return Vec::new() };
    let is_of = |path: &Path| std::fs::canonicalize(path).is_ok_and(|of| of == directory);
    processes(&[SUBCOMMAND]).into_iter().filter(|(_, path)| is_of(path)).map(|(pid, _)| pid).collect()
}

/// Other processes that were started as `<program> <subcommand> <path>`, by one of these subcommands, and the path of each: of
/// our user, and not inside a container, where anybody may start anything.
pub fn processes(subcommands: &[&str]) -> Vec<(Pid, PathBuf)> {
    use std::os::unix::fs::MetadataExt;
    let place = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let user = |pid: Pid| std::fs::metadata(format!("/proc/{pid}")).map(|of| of.uid()).ok();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok());
    let own = std::process::id() as Pid;
    let path_of = |pid: Pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut arguments = line.split(|byte| *byte == 0).skip(1);
        let (command, path) = (arguments.next()?, arguments.next()?);
        subcommands.iter().any(|one| command == one.as_bytes()).then(|| PathBuf::from(OsStr::from_bytes(path)))
    };
    let named = pids.filter(|pid| *pid != own).filter_map(|pid| Some((pid, path_of(pid)?)));
    named.filter(|(pid, _)| user(*pid) == user(own) && place(*pid) == place(own)).collect()
}

fn remove_cgroup(directory: &Path) -> Result<(), CleanupError> {
    // The spec alone knows the path when the supervisor died before its first state.
    let recorded = read::<State>(&directory.join(STATE_FILE)).map(|state| state.cgroup);
    let path = recorded.filter(|cgroup| !cgroup.is_empty());
    let path = path.or_else(|| read::<TaskSpec>(&directory.join(SPEC_FILE)).map(|spec| spec.cgroup));
    path.map_or(Ok(()), |path| cleanup_cgroup(&path))
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
        drop(cleanup(directory.path()).unwrap());
        cleanup(&directory.path().join("nowhere")).unwrap();
        cleanup_cgroup("").unwrap();
        cleanup_cgroup("../..").unwrap();
        cleanup_cgroup("longshore-test/never-made").unwrap();
    }

    #[test]
    fn who_has_the_lease_has_it_alone_and_not_of_a_directory_that_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("task");
        std::fs::create_dir(&directory).unwrap();
        let held = cleanup(&directory).unwrap();
        assert_eq!(Lease::take(&directory).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(Lease::take(&directory).unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(held);
        std::fs::create_dir(&directory).unwrap();
        Lease::take(&directory).unwrap();
    }
}
