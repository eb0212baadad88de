//! `longshore down`: stops everything and removes every trace but the data directory. Works after any crash.
//!
//! What there is to end and remove is found by the run directory's path. The files in it only tell where the data is: the
//! last `up` may have been told something else than those before it, or the files may be gone.

use crate::config::{self, Config, Runtime};
use crate::data_dir::Claim;
use crate::{hosts, process, survivors};
use anyhow::{Context, bail};
use rustix::process::Signal;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub fn run(run_dir: &Path) -> anyhow::Result<ExitCode> {
    let run_dir = config::run_dir(run_dir)?;
    let config = Config::read(&run_dir).ok();
    // Names come from the path that `up` was given, which may have led there by another way.
    let run_dir = config.as_ref().map_or(run_dir, |config| config.run_dir.clone());
    let containers = may_have_containers(&run_dir, config.as_ref());
    if config.is_none() && !containers && !survivors::any(&run_dir) {
        hosts::write(&run_dir, &[])?;
        eprintln!("Nothing runs in {}.", run_dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    if containers && !rustix::process::geteuid().is_root() {
        bail!("ending containers needs root: use `sudo longshore down`");
    }
    end_processes(&run_dir);
    // What fills a disk is removed also where that keeps names from being removed.
    let names = hosts::write(&run_dir, &[]);
    if containers {
        remove_containers(&run_dir, config.as_ref())?;
    }
    remove_run_dir(&run_dir, config.is_some())?;
    names?;
    match config {
        Some(config) => {
            eprintln!("Everything has stopped. State, images and logs stay in {}.", config.data_dir.display());
        }
        None => eprintln!("Everything has stopped. The files in {} were gone already.", run_dir.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// False for an instance whose tasks were simulated at all times: that needs neither root nor `nft`.
fn may_have_containers(run_dir: &Path, config: Option<&Config>) -> bool {
    config.is_some_and(|config| config.runtime != Runtime::None)
        || ["tasks", "network", "netns"].iter().any(|name| run_dir.join(name).exists())
        || survivors::any_of_containers(run_dir)
        || has_network(run_dir)
}

/// Whether links or the table of `run_dir` are on the host. A kernel that cannot tell has none.
pub fn has_network(run_dir: &Path) -> bool {
    longshore_network::is_present(&config::network(run_dir)).unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot look for links and tables");
        false
    })
}

/// Those that manage the tasks, and the balancer.
fn end_processes(run_dir: &Path) {
    for (role, signal) in
        [("up", Signal::TERM), ("server", Signal::KILL), ("agent", Signal::KILL), ("balancer", Signal::TERM)]
    {
        let alive = || {
            let mut alive = survivors::of(run_dir, role);
            alive.extend(process::read_pid(run_dir, role));
            alive
        };
        if !ended(alive, signal, Duration::from_secs(10)) && !ended(alive, Signal::KILL, Duration::from_secs(5)) {
            tracing::warn!(role, "a process does not end");
        }
    }
}

/// Sends the signal once to each process that is `alive`; whether all have ended within `limit`.
fn ended(alive: impl Fn() -> Vec<u32>, signal: Signal, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    alive().into_iter().for_each(|pid| process::kill(pid, signal));
    while !alive().is_empty() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Tasks, their files in the data directory, the network.
fn remove_containers(run_dir: &Path, config: Option<&Config>) -> anyhow::Result<()> {
    let data_dir = config.map(|config| config.data_dir.as_path());
    let claim = data_dir.and_then(|data_dir| Claim::of_owner(data_dir, run_dir));
    if let (Some(data_dir), None) = (data_dir, &claim) {
        eprintln!(
            "What tasks have in {} stays: it is not recorded as this run directory's, or in use.",
            data_dir.display()
        );
    }
    longshore_agent::remove_all(run_dir, &config::cgroup(run_dir), claim.and(data_dir));
    let network = config::network(run_dir);
    process::current_thread()?.block_on(longshore_network::teardown(&network))?;
    Ok(())
}

/// Nothing of a directory that cannot be told to be ours is removed but what `up` makes first.
fn remove_run_dir(run_dir: &Path, is_ours: bool) -> anyhow::Result<()> {
    if let Some(path) = mounted_below(run_dir)? {
        bail!("{} is still mounted; unmount it, then `longshore down` removes the rest", path.display());
    }
    let removed = if is_ours {
        std::fs::remove_dir_all(run_dir)
    } else {
        let _ = std::fs::remove_file(run_dir.join("up.lock"));
        std::fs::remove_dir(run_dir)
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if !is_ours && error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", run_dir.display())),
    }
}

/// The first mount below a directory.
fn mounted_below(directory: &Path) -> anyhow::Result<Option<PathBuf>> {
    const FILE: &str = "/proc/self/mounts";
    let Ok(directory) = &std::fs::canonicalize(directory) else { return Ok(None) };
    let mounts = std::fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    // A space in a name is written so.
    let paths = mounts.lines().filter_map(|line| Some(line.split(' ').nth(1)?.replace("\\040", " ")));
    let mut below = paths.map(PathBuf::from).filter(|path| path.starts_with(directory) && path != directory);
    Ok(below.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_are_named() {
        assert_eq!(mounted_below(Path::new("/nowhere")).unwrap(), None);
        assert!(mounted_below(Path::new("/")).unwrap().is_some_and(|path| path != Path::new("/")));
    }
}
