//! `longshore doctor`: what this machine has, and how to mend what it lacks.

use crate::config::{Config, Runtime};
use crate::process;
use longshore_registry::Shortage;
use std::path::Path;
use std::process::{Command, ExitCode};

struct Check {
    what: &'static str,
    /// What was found, or what is wrong and how to mend it.
    found: Result<String, String>,
    /// Without it nothing works.
    needed: bool,
}

pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let real = config.runtime != Runtime::None;
    let mut checks = vec![root(real), kernel(), cgroups(), overlay(config, real), nft(real), forwarding()];
    for (what, module) in [("veth links", "veth"), ("dummy links", "dummy"), ("nftables", "nf_tables")] {
        checks.push(feature(what, module, real));
    }
    checks.push(disk(config));
    checks.push(port(config));
    checks.push(registry_port(config));
    checks.push(tool("aws", "the AWS CLI, a client: `pip install awscli` or your distribution's package `awscli`"));
    let mut failed = false;
    for check in &checks {
        match &check.found {
            Ok(found) => println!("ok    {:<18} {found}", check.what),
            Err(mend) => {
                failed |= check.needed;
                println!("{}  {:<18} {mend}", if check.needed { "FAIL" } else { "note" }, check.what);
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn root(needed: bool) -> Check {
    let found = match rustix::process::geteuid().is_root() {
        true => Ok("yes".to_owned()),
        false => Err("run `sudo longshore up`, or `longshore up --runtime none` with --run-dir and --data-dir of your own for simulated tasks".to_owned()),
    };
    Check { what: "root", found, needed }
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let found = match version >= (5, 12) {
        true => Ok(release),
        false => Err(format!("{release} is older than 5.12; a newer kernel is needed")),
    };
    Check { what: "kernel", found, needed: true }
}

fn cgroups() -> Check {
    let controllers = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let found = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let have = controllers("/sys/fs/cgroup/cgroup.controllers");
        let missing: Vec<&str> =
            ["cpu", "memory", "pids"].into_iter().filter(|c| !have.split_whitespace().any(|h| h == *c)).collect();
        match missing.is_empty() {
            true => Ok("version 2".to_owned()),
            false => Err(format!(
                "version 2 without {}: the kernel's command line may have cgroup_disable or lack cgroup_enable=memory",
                missing.join(", ")
            )),
        }
    } else if Path::new("/sys/fs/cgroup/memory/tasks").exists() && Path::new("/sys/fs/cgroup/pids/tasks").exists() {
        Ok("version 1".to_owned())
    } else {
        Err("none is mounted at /sys/fs/cgroup: mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned())
    };
    Check { what: "cgroups", found, needed: true }
}

fn overlay(config: &Config, needed: bool) -> Check {
    let known = std::fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("overlay"));
    let found = match known || Command::new("modprobe").arg("overlay").status().is_ok_and(|s| s.success()) {
        true => Ok(format!("the kernel has it; images go to {}", config.data_dir.display())),
        false => Err("the kernel has no overlayfs: modprobe overlay".to_owned()),
    };
    Check { what: "overlayfs", found, needed }
}

fn tool(name: &'static str, how: &str) -> Check {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file());
    Check {
        what: name,
        found: found.map(|path| path.display().to_string()).ok_or_else(|| format!("not found: {how}")),
        needed: false,
    }
}

fn nft(needed: bool) -> Check {
    Check { needed, ..tool("nft", "apt-get install nftables, or your distribution's package") }
}

fn feature(what: &'static str, module: &str, needed: bool) -> Check {
    let loaded = Path::new("/sys/module").join(module).exists();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let index = |name: &str| std::fs::read_to_string(format!("/lib/modules/{release}/{name}")).unwrap_or_default();
    let there = loaded
        || [index("modules.builtin"), index("modules.dep")].iter().any(|list| list.contains(&format!("/{module}.ko")));
    // A kernel without a module tree has everything built in, or says so when it is used.
    let unknown = !Path::new(&format!("/lib/modules/{release}")).exists();
    let found = match (there, unknown) {
        (true, _) => Ok("the kernel has it".to_owned()),
        (false, true) => Ok("no module tree to look in; built in, most likely".to_owned()),
        (false, false) => Err(format!("modprobe {module}")),
    };
    Check { what, found, needed }
}

fn forwarding() -> Check {
    let on = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1");
    Check {
        what: "IP forwarding",
        found: Ok(if on { "on" } else { "off; `up` turns it on while it runs" }.to_owned()),
        needed: false,
    }
}

/// Of the data directory, or of where it will be made.
fn disk(config: &Config) -> Check {
    let directory = config.data_dir.ancestors().find(|directory| directory.is_dir()).unwrap_or(Path::new("/"));
    let found = match Shortage::of(directory) {
        Ok(None) => Ok(format!("there is room in {}", directory.display())),
        Ok(Some(shortage)) => Err(format!("disk full: {shortage}")),
        Err(error) => Err(format!("{}: {error}", directory.display())),
    };
    Check { what: "disk", found, needed: false }
}

fn port(config: &Config) -> Check {
    let ours = process::read_pid(&config.run_dir, "up").is_some();
    let found = match std::net::TcpListener::bind(config.listen) {
        Ok(_) => Ok(format!("{} is free", config.listen)),
        Err(_) if ours => Ok(format!("{} is Longshore's, which runs", config.listen)),
        Err(error) => {
            Err(format!("{}: {error}; stop what listens there, or give --listen another port", config.listen))
        }
    };
    Check { what: "API port", found, needed: true }
}

fn registry_port(config: &Config) -> Check {
    let ours = process::read_pid(&config.run_dir, "up").is_some();
    let address = config.registry_address();
    let found = match std::net::TcpListener::bind((address, 80)) {
        Ok(_) => Ok(format!("{address}:80 is free")),
        Err(_) if ours => Ok(format!("{address}:80 is Longshore's, which runs")),
        Err(error) => Err(format!(
            "{address}:80: {error}; something listens on port 80 of every address. Push to {} instead",
            config.listen
        )),
    };
    Check { what: "registry port", found, needed: false }
}
