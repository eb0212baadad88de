//! The parts of a container definition: from what a client sent to what is stored, or the error that names the field.

use super::error;
use super::unsupported::refuse;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_planner::{dependencies, fargate};
use longshore_types::ecs::*;
use longshore_types::id::is_ecs_name;
use std::collections::BTreeSet;

pub fn positive(setting: &str, container: &str, value: Option<i32>) -> Result<Option<u32>, AwsError> {
    match value {
        None => Ok(None),
        Some(n) if n > 0 => Ok(Some(n.unsigned_abs())),
        Some(n) => Err(error::client(format!("Invalid '{setting}' setting for container '{container}': {n}"))),
    }
}

pub fn timeout(setting: &str, container: &str, seconds: Option<i32>) -> Result<Option<u32>, AwsError> {
    match seconds {
        None => Ok(None),
        Some(n @ 2..=120) => Ok(Some(n.unsigned_abs())),
        Some(n) => Err(error::client(format!(
            "Invalid '{setting}' setting for container '{container}': {n}. Fargate takes 2 to 120 seconds."
        ))),
    }
}

/// The ports of one mapping. With `awsvpc` there is nothing to bind: the container has the task's interface.
pub fn port(container: &str, p: wire::PortMapping) -> Result<PortMapping, AwsError> {
    let invalid = |setting: &str, value: &str| {
        error::client(format!("Invalid '{setting}' setting for container '{container}': {value}"))
    };
    let number = |n: i32| u16::try_from(n).ok().filter(|n| *n > 0);
    let (container_port, last_port) = match (p.container_port, p.container_port_range) {
        (Some(_), Some(_)) => {
            return Err(error::client(
                "containerPort and containerPortRange cannot both be specified in a port mapping.",
            ));
        }
        (None, Some(range)) => {
            let (first, last) = port_range(&range).ok_or_else(|| invalid("containerPortRange", &range))?;
            if p.host_port.is_some_and(|host| host != 0) {
                return Err(error::client("hostPort cannot be specified with containerPortRange."));
            }
            (first, Some(last))
        }
        (port, None) => {
            let port = port.unwrap_or(0);
            let found = number(port).ok_or_else(|| invalid("containerPort", &port.to_string()))?;
            if p.host_port.is_some_and(|host| host != 0 && host != port) {
                return Err(error::client(
                    "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
                ));
            }
            (found, None)
        }
    };
    if let Some(name) = p.name.as_deref().filter(|name| !is_port_name(name)) {
        return Err(invalid("portMappings.name", name));
    }
    if let Some(protocol) = p.app_protocol.as_deref().filter(|p| !["http", "http2", "grpc"].contains(p)) {
        return Err(invalid("appProtocol", protocol));
    }
    if p.app_protocol.is_some() && p.name.is_none() {
        return Err(error::client("appProtocol needs a name in the port mapping."));
    }
    let protocol = p.protocol.unwrap_or_else(|| "tcp".to_owned());
    if !["tcp", "udp"].contains(&protocol.as_str()) {
        return Err(invalid("protocol", &protocol));
    }
    Ok(PortMapping { container_port, last_port, protocol, name: p.name, app_protocol: p.app_protocol })
}

/// `8000-8010`: two ports, the first below the second.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first < last).then_some((first, last))
}

fn is_port_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.chars().all(plain)
}

/// All containers of a task share one network interface.
pub fn check_ports(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
    let mut seen: Vec<(u16, u16, &str, &str)> = Vec::new();
    let mut names = BTreeSet::new();
    for container in containers {
        for port in &container.ports {
            let (first, last) = (port.container_port, port.last_port.unwrap_or(port.container_port));
            let protocol = port.protocol.as_str();
            if let Some((.., other)) = seen.iter().find(|(f, l, p, _)| *p == protocol && *f <= last && first <= *l) {
                return Err(error::client(format!(
                    "The container port {first}/{protocol} of container '{}' conflicts with container '{other}': with network mode awsvpc the containers of a task share one network interface.",
                    container.name
                )));
            }
            seen.push((first, last, protocol, &container.name));
            if let Some(name) = port.name.as_deref().filter(|name| !names.insert(*name)) {
                return Err(error::client(format!(
                    "The port mapping name '{name}' is used twice in the task definition."
                )));
            }
        }
    }
    Ok(())
}

pub fn dependency(d: wire::ContainerDependency) -> Result<(String, DependencyCondition), AwsError> {
    let condition = d.condition.unwrap_or_default();
    match DependencyCondition::parse(&condition) {
        Some(condition) => Ok((d.container_name.unwrap_or_default(), condition)),
        None => Err(error::client(format!("Invalid container dependency condition '{condition}'."))),
    }
}

pub fn check_dependencies(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
    let mut edges = Vec::new();
    for container in containers {
        for (on, condition) in &container.depends_on {
            let Some(other) = containers.iter().find(|c| c.name == *on) else {
                return Err(error::client(format!(
                    "Container '{}' depends on container '{on}', which is not in the task definition.",
                    container.name
                )));
            };
            if other.essential && matches!(condition, DependencyCondition::Complete | DependencyCondition::Success) {
                return Err(error::client(format!(
                    "Container '{}' depends on essential container '{on}' with condition {condition}, which must not be essential.",
                    container.name
                )));
            }
            if *condition == DependencyCondition::Healthy && other.health_check.is_none() {
                return Err(error::client(format!(
                    "Container '{}' depends on container '{on}' being HEALTHY, which has no health check.",
                    container.name
                )));
            }
            edges.push((container.name.as_str(), on.as_str()));
        }
    }
    match dependencies::cycle(&edges) {
        Some(cycle) => {
            Err(error::client(format!("Container dependencies go round in a circle: {}.", cycle.join(" -> "))))
        }
        None => Ok(()),
    }
}

pub fn health_check(container: &str, h: wire::HealthCheck) -> Result<Option<HealthCheck>, AwsError> {
    let command = h.command.unwrap_or_default();
    match command.first().map(String::as_str) {
        Some("NONE") => return Ok(None),
        Some("CMD" | "CMD-SHELL") if command.len() > 1 => {}
        _ => {
            return Err(error::client(format!(
                "Invalid 'healthCheck.command' setting for container '{container}': it starts with CMD or CMD-SHELL, then the command."
            )));
        }
    }
    let within = |setting: &str, value: Option<i32>, default: u32, least: i32, most: i32| match value {
        None => Ok(default),
        Some(n) if (least..=most).contains(&n) => Ok(n.unsigned_abs()),
        Some(n) => Err(error::client(format!(
            "Invalid 'healthCheck.{setting}' setting for container '{container}': {n} is not between {least} and {most}."
        ))),
    };
    Ok(Some(HealthCheck {
        interval_seconds: within("interval", h.interval, 30, 5, 300)?,
        timeout_seconds: within("timeout", h.timeout, 5, 2, 60)?,
        retries: within("retries", h.retries, 3, 1, 10)?,
        start_period_seconds: within("startPeriod", h.start_period, 0, 0, 300)?,
        command,
    }))
}

/// Restart in place; `enabled: false` says nothing but is shown.
pub fn restart_policy(container: &str, p: wire::ContainerRestartPolicy) -> Result<RestartPolicy, AwsError> {
    let invalid = |setting: &str, why: String| {
        error::client(format!("Invalid 'restartPolicy.{setting}' setting for container '{container}': {why}."))
    };
    let enabled = p.enabled.ok_or_else(|| invalid("enabled", "it is required".to_owned()))?;
    let ignored_exit_codes = p.ignored_exit_codes.unwrap_or_default();
    if ignored_exit_codes.len() > 50 {
        return Err(invalid("ignoredExitCodes", "at most 50 exit codes".to_owned()));
    }
    let attempt_period_seconds = match p.restart_attempt_period {
        None => 300,
        Some(n @ 60..=1800) => n.unsigned_abs(),
        Some(n) => return Err(invalid("restartAttemptPeriod", format!("{n} is not between 60 and 1800 seconds"))),
    };
    Ok(RestartPolicy { enabled, ignored_exit_codes, attempt_period_seconds })
}

/// `add` as Fargate permits, `drop` of what exists.
pub fn check_capabilities(capabilities: &wire::KernelCapabilities) -> Result<(), AwsError> {
    if let Some(added) = capabilities.add.iter().flatten().find(|cap| *cap != "SYS_PTRACE") {
        return Err(error::client(format!("linuxParameters.capabilities.add {added}: Fargate adds SYS_PTRACE only.")));
    }
    match capabilities.drop.iter().flatten().find(|cap| !fargate::is_capability(cap)) {
        Some(dropped) => Err(error::client(format!(
            "linuxParameters.capabilities.drop {dropped}: there is no such Linux capability."
        ))),
        None => Ok(()),
    }
}

pub fn ulimit(u: wire::Ulimit) -> Result<Ulimit, AwsError> {
    let name = u.name.unwrap_or_default();
    // -1 is "unlimited".
    let limit = |n: Option<i32>| n.map_or(0, |n| u64::try_from(n).unwrap_or(u64::MAX));
    let (soft, hard) = (limit(u.soft_limit), limit(u.hard_limit));
    if name != "nofile" {
        return Err(error::client(format!("Fargate only supports the nofile ulimit, not '{name}'.")));
    }
    if soft > hard {
        return Err(error::client(format!("Invalid ulimit '{name}': softLimit must not be greater than hardLimit.")));
    }
    Ok(Ulimit { name, soft, hard })
}

pub fn tmpfs(t: wire::Tmpfs) -> Result<(String, u32, Vec<String>), AwsError> {
    let path = t
        .container_path
        .filter(|path| path.starts_with('/'))
        .ok_or_else(|| error::client("tmpfs.containerPath must be an absolute path."))?;
    let size = u32::try_from(t.size.unwrap_or(0))
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| error::client("tmpfs.size must be a positive number of MiB."))?;
    Ok((path, size, t.mount_options.unwrap_or_default()))
}

/// Parameters of the task's own namespaces; others would change the host.
pub fn sysctl(s: wire::SystemControl) -> Result<(String, String), AwsError> {
    let name = s.namespace.unwrap_or_default();
    if !fargate::is_sysctl(&name) {
        return Err(error::client(format!(
            "systemControls namespace '{name}' is not supported: Fargate takes net.*, fs.mqueue.* and those of System V IPC."
        )));
    }
    match s.value.filter(|value| !value.is_empty()) {
        Some(value) => Ok((name, value)),
        None => Err(error::client(format!("systemControls namespace '{name}' has no value."))),
    }
}

pub fn volumes(given: Vec<wire::Volume>) -> Result<Vec<String>, AwsError> {
    let mut names = Vec::new();
    for volume in given {
        refuse!(volume; docker_volume_configuration, efs_volume_configuration, s3files_volume_configuration,
            fsx_windows_file_server_volume_configuration, configured_at_launch);
        if volume.host.as_ref().is_some_and(|host| host.source_path.is_some()) {
            return Err(error::client("host.sourcePath should not be set for volumes in Fargate."));
        }
        let name = volume.name.unwrap_or_default();
        if !is_ecs_name(&name) || names.contains(&name) {
            return Err(error::client(format!(
                "Volume names must be unique names of letters, numbers, hyphens and underscores: '{name}'"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

pub fn mount(container: &str, m: wire::MountPoint, volumes: &[String]) -> Result<MountPoint, AwsError> {
    let volume = m.source_volume.unwrap_or_default();
    if !volumes.contains(&volume) {
        return Err(error::client(format!("Unknown volume '{volume}'.")));
    }
    let path = m.container_path.filter(|path| path.starts_with('/')).ok_or_else(|| {
        error::client(format!("mountPoints.containerPath of container '{container}' must be an absolute path."))
    })?;
    Ok(MountPoint { volume, path, read_only: m.read_only.unwrap_or(false) })
}

/// A place is mounted once.
pub fn check_mounts(container: &str, mounts: &[MountPoint]) -> Result<(), AwsError> {
    let mut paths = BTreeSet::new();
    match mounts.iter().find(|mount| !paths.insert(mount.path.trim_end_matches('/'))) {
        Some(twice) => {
            Err(error::client(format!("Duplicate mount point '{}' of container '{container}'.", twice.path)))
        }
        None => Ok(()),
    }
}

pub fn volume_from(v: wire::VolumeFrom) -> Result<VolumeFrom, AwsError> {
    let container = v
        .source_container
        .filter(|name| !name.is_empty())
        .ok_or_else(|| error::client("volumesFrom.sourceContainer should not be null or empty."))?;
    Ok(VolumeFrom { container, read_only: v.read_only.unwrap_or(false) })
}

pub fn check_volumes_from(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
    let mut edges = Vec::new();
    for container in containers {
        for from in &container.volumes_from {
            if !containers.iter().any(|c| c.name == from.container) {
                return Err(error::client(format!(
                    "Container '{}' takes volumes from container '{}', which is not in the task definition.",
                    container.name, from.container
                )));
            }
            edges.push((container.name.as_str(), from.container.as_str()));
        }
    }
    match dependencies::cycle(&edges) {
        Some(cycle) => Err(error::client(format!("volumesFrom goes round in a circle: {}.", cycle.join(" -> ")))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(change: impl FnOnce(&mut wire::PortMapping)) -> Result<PortMapping, String> {
        let mut given = wire::PortMapping::default();
        change(&mut given);
        port("web", given).map_err(|error| error.message)
    }

    #[test]
    fn ports_are_single_or_ranges() {
        let single = mapping(|p| p.container_port = Some(80)).unwrap();
        assert_eq!((single.container_port, single.last_port, single.protocol.as_str()), (80, None, "tcp"));
        let range = mapping(|p| p.container_port_range = Some("8000-8010".into())).unwrap();
        assert_eq!((range.container_port, range.last_port), (8000, Some(8010)));
        for bad in ["8010-8000", "80", "a-b", "0-9", "1-70000"] {
            let seen = mapping(|p| p.container_port_range = Some(bad.into())).unwrap_err();
            assert!(seen.contains("containerPortRange") && seen.contains(bad), "{seen}");
        }
        assert!(
            mapping(|p| (p.container_port, p.host_port) = (Some(80), Some(8080))).unwrap_err().contains("must match")
        );
        assert!(mapping(|p| (p.container_port, p.name) = (Some(80), Some("Web".into()))).unwrap_err().contains("name"));
        assert!(mapping(|p| (p.container_port, p.protocol) = (Some(80), Some("sctp".into()))).is_err());
    }

    #[test]
    fn restart_policies_have_bounds() {
        let policy = |enabled, period| wire::ContainerRestartPolicy {
            enabled,
            restart_attempt_period: period,
            ..Default::default()
        };
        assert_eq!(restart_policy("a", policy(Some(true), None)).unwrap().attempt_period_seconds, 300);
        assert_eq!(restart_policy("a", policy(Some(true), Some(60))).unwrap().attempt_period_seconds, 60);
        for bad in [policy(None, None), policy(Some(true), Some(59)), policy(Some(true), Some(1801))] {
            assert!(restart_policy("a", bad).unwrap_err().message.contains("restartPolicy."));
        }
    }

    #[test]
    fn volumes_from_strangers_and_circles_are_refused() {
        let taking = |name: &str, from: &str| ContainerDefinition {
            name: name.into(),
            volumes_from: vec![VolumeFrom { container: from.into(), read_only: false }],
            ..Default::default()
        };
        assert!(check_volumes_from(&[taking("a", "x")]).unwrap_err().message.contains("'x'"));
        assert!(check_volumes_from(&[taking("a", "b"), taking("b", "a")]).unwrap_err().message.contains("circle"));
        assert!(
            check_volumes_from(&[taking("a", "b"), ContainerDefinition { name: "b".into(), ..Default::default() }])
                .is_ok()
        );
    }
}
