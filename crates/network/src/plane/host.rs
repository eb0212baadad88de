//! The host's side: forwarding, our table, what other firewalls on the host need to let our links pass.

use std::process::{Command, Stdio};

use crate::error::{Doing, NetworkError};
use crate::netlink::Socket;
use crate::netlink::nftables::{has_table, tables};
use crate::nft;
use crate::options::NetworkOptions;
use crate::ruleset::host;
use crate::sysctl;

const FORWARDING: &str = "ipv4/ip_forward";

/// An empty table, there while the last instance on the host is to turn forwarding off: whichever that will be, and
/// whatever became of the files of the one that turned it on. No instance's own, whose tags are shorter.
const FORWARDING_WAS_OFF: &str = "longshore-forwarding";

fn forwarding_is_off() -> Result<bool, NetworkError> {
    Ok(sysctl::get(FORWARDING)? == "0")
}

/// Whether the host forwarded nothing before the first instance came. The caller remembers it before it calls [`set_up`].
pub fn forwarding_was_off(filter: &mut Socket) -> Result<bool, NetworkError> {
    let is_marked = has_table(filter, FORWARDING_WAS_OFF).doing(|| format!("look for table {FORWARDING_WAS_OFF}"))?;
    Ok(is_marked || forwarding_is_off()?)
}

/// Sets the host up: table, forwarding, other firewalls. Idempotent.
pub fn set_up(options: &NetworkOptions, forwarding_was_off: bool) -> Result<(), NetworkError> {
    let table = host::table(&options.tag, options.uplink_pool, options.public_pool);
    let mut script = table.full([]);
    if forwarding_was_off {
        script.push_str(&format!("add table ip {FORWARDING_WAS_OFF}\n"));
    }
    nft::run(&script).doing(|| format!("load the host's table {}", table.name))?;
    if forwarding_is_off()? {
        sysctl::set(FORWARDING, "1")?;
    }
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

/// Undoes [`set_up`]; forwarding stays on until the last instance on the host is taken down.
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
    release_forwarding(forwarding_was_off, docker)
}

/// Turns forwarding off again if it was before, unless somebody else relies on it.
fn release_forwarding(was_off: bool, docker: bool) -> Result<(), NetworkError> {
    let doing = || "list the host's tables".to_owned();
    let tables = tables(&mut Socket::netfilter().doing(doing)?).doing(doing)?;
    let is_instance = |table: &String| table.starts_with(&host::name("")) && table != FORWARDING_WAS_OFF;
    if tables.iter().any(is_instance) {
        return Ok(());
    }
    let is_marked = tables.iter().any(|table| table == FORWARDING_WAS_OFF);
    if is_marked {
        nft::run(&format!("delete table ip {FORWARDING_WAS_OFF}\n"))
            .doing(|| format!("remove table {FORWARDING_WAS_OFF}"))?;
    }
    // Docker came to rely on it since, and does not set it again until it restarts.
    if (was_off || is_marked) && !docker {
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
