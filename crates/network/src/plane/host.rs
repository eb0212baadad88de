//! The host's side: forwarding, our table, what other firewalls on the host need to let our links pass.

use std::process::{Command, Stdio};

use crate::error::{Doing, NetworkError};
use crate::netlink::Socket;
use crate::netlink::nftables::has_table;
use crate::nft;
use crate::options::NetworkOptions;
use crate::ruleset::host;
use crate::sysctl;

const FORWARDING: &str = "ipv4/ip_forward";

/// Whether the host forwards nothing yet. The caller remembers it before it calls [`set_up`].
pub fn forwarding_is_off() -> Result<bool, NetworkError> {
    Ok(sysctl::get(FORWARDING)? == "0")
}

/// Sets the host up: forwarding, table, other firewalls. Idempotent.
pub fn set_up(options: &NetworkOptions) -> Result<(), NetworkError> {
    if forwarding_is_off()? {
        sysctl::set(FORWARDING, "1")?;
    }
    let table = host::table(&options.tag, options.uplink_pool, options.public_pool);
    nft::run(&table.full([])).doing(|| format!("load the host's table {}", table.name))?;
    pass_docker(&options.tag);
    Ok(())
}

/// Whether what [`set_up`] did still holds: a firewall service that restarts may clear all tables of the host,
/// an administrator may turn forwarding off.
pub fn is_set_up(tag: &str, filter: &mut Socket) -> Result<bool, NetworkError> {
    let has_table = has_table(filter, &host::name(tag)).doing(|| "look for the host's table".to_owned())?;
    Ok(has_table && !forwarding_is_off()?)
}

/// Whether the host has our table. Who may not ask has none.
pub fn has_table_of(tag: &str) -> Result<bool, NetworkError> {
    let doing = || "look for the host's table".to_owned();
    let mut filter = Socket::netfilter().doing(doing)?;
    match has_table(&mut filter, &host::name(tag)) {
        Err(error) if error.errno() == Some(libc::EPERM) => Ok(false),
        result => result.doing(doing),
    }
}

/// Undoes [`set_up`].
pub fn take_down(tag: &str, forwarding_was_off: bool) -> Result<(), NetworkError> {
    let docker = docker_user("-S", &[]);
    if docker {
        let chain = host::name(tag);
        for way in WAYS {
            docker_user("-D", &[way, &ours(tag), "-j", &chain]);
        }
        iptables(&["-F", &chain]);
        iptables(&["-X", &chain]);
    }
    let table = host::name(tag);
    nft::run(&format!("table ip {table} {{}}\ndelete table ip {table}\n"))
        .doing(|| format!("remove the host's table {table}"))?;
    // Docker came to rely on it since, and does not set it again until it restarts.
    if forwarding_was_off && !docker {
        sysctl::set(FORWARDING, "0")?;
    }
    Ok(())
}

/// Into and out of our links.
const WAYS: [&str; 2] = ["-i", "-o"];

/// What forwarding inside Docker's own networks goes by: its default bridge, and those of networks that users make.
const DOCKER_BRIDGES: [&str; 2] = ["docker0", "br-+"];

/// Docker sets the host's forward policy to drop and leaves the chain `DOCKER-USER` to others. It is in the
/// tables of `iptables`, so its rules go through that command; our own table still drops what it drops. Docker
/// judges what goes to its containers: their published ports are open to tasks and no others.
fn pass_docker(tag: &str) {
    if !docker_user("-S", &[]) {
        return;
    }
    let chain = host::name(tag);
    // It fails if the chain is there.
    iptables(&["-N", &chain]);
    for bridge in DOCKER_BRIDGES {
        ensure(&chain, &["-o", bridge, "-j", "RETURN"], "-I");
    }
    ensure(&chain, &["-j", "ACCEPT"], "-A");
    for way in WAYS {
        if !ensure("DOCKER-USER", &[way, &ours(tag), "-j", &chain], "-I") {
            tracing::warn!(way, tag, "cannot add to DOCKER-USER: Docker's firewall may drop the traffic of tasks");
        }
    }
}

/// Our links, as `iptables` writes them.
fn ours(tag: &str) -> String {
    format!("{tag}-+")
}

/// Adds `rule` to `chain` with the verb `add` if it is not there; whether it is now.
fn ensure(chain: &str, rule: &[&str], add: &str) -> bool {
    iptables(&[&["-C", chain], rule].concat()) || iptables(&[&[add, chain], rule].concat())
}

fn docker_user(verb: &str, rule: &[&str]) -> bool {
    iptables(&[&[verb, "DOCKER-USER"], rule].concat())
}

/// Whether `iptables` did what it was told, or found what it was asked for.
fn iptables(arguments: &[&str]) -> bool {
    Command::new("iptables")
        .args(["-w", "5"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
