//! `longshore down`: stops everything and removes every trace but the data directory. Works after any crash.

use crate::config::{Config, Runtime};
use crate::data_dir::Claim;
use crate::{hosts, process};
use rustix::process::Signal;
use std::path::Path;
use std::process::ExitCode;

pub fn run(run_dir: &Path) -> anyhow::Result<ExitCode> {
    let Ok(config) = Config::read(run_dir) else {
        eprintln!("Nothing runs in {}.", run_dir.display());
        return Ok(ExitCode::SUCCESS);
    };
    for (role, signal) in
        [("up", Signal::TERM), ("server", Signal::KILL), ("agent", Signal::KILL), ("balancer", Signal::TERM)]
    {
        if let Some(pid) = process::read_pid(run_dir, role) {
            process::kill(pid, signal);
            if !process::wait_gone(run_dir, role, 10) {
                process::kill(pid, Signal::KILL);
                process::wait_gone(run_dir, role, 5);
            }
        }
    }
    if config.runtime != Runtime::None {
        let claim = Claim::of_owner(&config.data_dir, &config.run_dir);
        if claim.is_none() {
            eprintln!("Files in {} are left alone: another Longshore uses it.", config.data_dir.display());
        }
        let data_dir = claim.is_some().then_some(config.data_dir.as_path());
        longshore_agent::remove_all(&config.run_dir, &config.cgroup(), data_dir);
        let network = config.network();
        process::current_thread()?.block_on(longshore_network::teardown(&network))?;
    }
    if config.manage_hosts {
        hosts::write(run_dir, &[])?;
    }
    std::fs::remove_dir_all(run_dir)?;
    eprintln!("Everything has stopped. State, images and logs stay in {}.", config.data_dir.display());
    Ok(ExitCode::SUCCESS)
}
