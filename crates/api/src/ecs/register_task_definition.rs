//! RegisterTaskDefinition: a new revision of a family. Every field is obeyed by the node, or refused here by name.

use super::unsupported::refuse;
use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{self as wire, RegisterTaskDefinitionInput, RegisterTaskDefinitionOutput};
use longshore_planner::{dependencies, fargate};
use longshore_store::Tx;
use longshore_types::ecs::*;
use longshore_types::id::{Family, Region, is_ecs_name};
use std::collections::BTreeSet;

pub fn register_task_definition(
    tx: &mut Tx,
    cx: &Cx,
    input: RegisterTaskDefinitionInput,
) -> Result<RegisterTaskDefinitionOutput, AwsError> {
    refuse!(input; placement_constraints, pid_mode, ipc_mode, proxy_configuration, inference_accelerators,
        ephemeral_storage, enable_fault_injection, trusted_execution_configuration);
    if !is_ecs_name(&input.family) {
        return Err(error::client(format!("Invalid family name: {}", input.family)));
    }
    check_compatibility(&input)?;
    let cpu_units = input.cpu.as_deref().map(|text| parse_cpu(text)).transpose()?.unwrap_or(0);
    let memory_mib = input.memory.as_deref().map(|text| parse_memory(text)).transpose()?.unwrap_or(0);
    check_size(cpu_units, memory_mib)?;
    let volumes = volumes(input.volumes.unwrap_or_default())?;
    let containers = containers(input.container_definitions, &volumes, memory_mib)?;
    check_logs_have_role(&containers, input.execution_role_arn.as_deref())?;
    let platform = input.runtime_platform.unwrap_or_default();
    check_platform(&platform)?;

    let family = Family::from(input.family.as_str());
    let scoped = (cx.scope.clone(), family.clone());
    let revision = tx.task_definitions().last(&scoped).map_or(1, |(_, newest)| newest.revision + 1);
    let definition = TaskDefinition {
        family: family.clone(),
        revision,
        status: TaskDefinitionStatus::Active,
        task_role_arn: input.task_role_arn,
        execution_role_arn: input.execution_role_arn,
        network_mode: "awsvpc".to_owned(),
        requires_compatibilities: input.requires_compatibilities.unwrap_or_default(),
        cpu_units,
        memory_mib,
        containers,
        volumes,
        cpu_architecture: platform.cpu_architecture,
        operating_system_family: platform.operating_system_family,
        registered_at: cx.now,
        registered_by: cx.caller.arn.clone(),
        deregistered_at: None,
        delete_requested_at: None,
        tags: names::tags(input.tags)?,
    };
    let sent = view::task_definition(&cx.scope, &definition);
    let tags = view::tags(&definition.tags);
    tx.task_definitions().put((cx.scope.clone(), family, revision), definition);
    Ok(RegisterTaskDefinitionOutput { task_definition: Some(sent), tags: Some(tags) })
}

fn check_compatibility(input: &RegisterTaskDefinitionInput) -> Result<(), AwsError> {
    for compatibility in input.requires_compatibilities.iter().flatten() {
        if compatibility != "FARGATE" {
            return Err(error::unsupported(&format!("requiresCompatibilities {compatibility}")));
        }
    }
    let mode = input.network_mode.as_deref();
    match mode {
        Some("awsvpc") => Ok(()),
        _ if input.requires_compatibilities.iter().flatten().any(|c| c == "FARGATE") => {
            Err(error::client("Fargate only supports network mode ‘awsvpc’."))
        }
        mode => Err(error::unsupported(&format!("networkMode {}", mode.unwrap_or("bridge (the default)")))),
    }
}

fn check_size(cpu_units: u32, memory_mib: u32) -> Result<(), AwsError> {
    if cpu_units == 0 || memory_mib == 0 {
        return Err(error::client("Fargate requires that 'cpu' be defined at the task level.").with_detail(memory_mib));
    }
    if !fargate::is_offered(cpu_units, memory_mib) {
        let text = if fargate::is_cpu(cpu_units) {
            format!(
                "No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory. See the Amazon ECS documentation for the valid values."
            )
        } else {
            format!(
                "Invalid 'cpu' setting for task: {cpu_units}. Fargate offers 256, 512, 1024, 2048, 4096, 8192 and 16384 CPU units."
            )
        };
        return Err(error::client(text));
    }
    Ok(())
}

/// Says `memory` where it is the memory that is missing.
trait WithDetail {
    fn with_detail(self, memory_mib: u32) -> Self;
}

impl WithDetail for AwsError {
    fn with_detail(mut self, memory_mib: u32) -> Self {
        if memory_mib == 0 {
            self.message = "Fargate requires that 'cpu' and 'memory' be defined at the task level.".to_owned();
        }
        self
    }
}

fn check_platform(platform: &wire::RuntimePlatform) -> Result<(), AwsError> {
    if let Some(system) = platform.operating_system_family.as_deref().filter(|s| *s != "LINUX") {
        return Err(error::unsupported(&format!("runtimePlatform.operatingSystemFamily {system}")));
    }
    let here = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X86_64" };
    if let Some(architecture) = platform.cpu_architecture.as_deref().filter(|a| *a != here) {
        return Err(error::client(format!(
            "runtimePlatform.cpuArchitecture {architecture} cannot run on this machine, which is {here}."
        )));
    }
    Ok(())
}

fn check_logs_have_role(containers: &[ContainerDefinition], execution_role: Option<&str>) -> Result<(), AwsError> {
    if execution_role.is_none() && containers.iter().any(|c| c.log.is_some()) {
        let text = "Fargate requires task definition to have execution role ARN to support log driver awslogs.";
        return Err(error::client(text));
    }
    Ok(())
}

/// CPU units from `512`, `.5vCPU`, `1 vCPU`.
pub fn parse_cpu(text: &str) -> Result<u32, AwsError> {
    let bad = || error::client(format!("Invalid 'cpu' setting for task: {text}"));
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_suffix("vcpu") {
        Some(number) => {
            let vcpus: f64 = number.trim().parse().map_err(|_| bad())?;
            let units = vcpus * 1024.0;
            if (1.0..=196_608.0).contains(&units) { Ok(units.round() as u32) } else { Err(bad()) }
        }
        None => lower.parse().ok().filter(|units| *units > 0).ok_or_else(bad),
    }
}

/// MiB from `1024`, `1GB`, `0.5 GB`.
pub fn parse_memory(text: &str) -> Result<u32, AwsError> {
    let bad = || error::client(format!("Invalid 'memory' setting for task: {text}"));
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_suffix("gb") {
        Some(number) => {
            let gib: f64 = number.trim().parse().map_err(|_| bad())?;
            let mib = gib * 1024.0;
            if (1.0..=1_048_576.0).contains(&mib) { Ok(mib.round() as u32) } else { Err(bad()) }
        }
        None => lower.parse().ok().filter(|mib| *mib > 0).ok_or_else(bad),
    }
}

fn volumes(given: Vec<wire::Volume>) -> Result<Vec<String>, AwsError> {
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

fn containers(
    given: Vec<wire::ContainerDefinition>,
    volumes: &[String],
    task_memory_mib: u32,
) -> Result<Vec<ContainerDefinition>, AwsError> {
    if given.is_empty() || given.len() > 10 {
        return Err(error::client("A task definition has 1 to 10 container definitions."));
    }
    let containers = given.into_iter().map(|c| container(c, volumes)).collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    if names.len() < containers.len() {
        return Err(error::client("Container names must be unique in a task definition."));
    }
    if !containers.iter().any(|c| c.essential) {
        return Err(error::client("Invalid 'essential' setting: at least one container must be essential."));
    }
    check_ports(&containers)?;
    check_dependencies(&containers)?;
    let total: u32 = containers.iter().map(|c| c.memory_mib.or(c.memory_reservation_mib).unwrap_or(0)).sum();
    if total > task_memory_mib {
        return Err(error::client(format!(
            "Invalid 'memory' setting: the containers ask for {total} MiB, the task has {task_memory_mib} MiB."
        )));
    }
    Ok(containers)
}

/// All containers of a task share one network namespace.
fn check_ports(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
    let mut seen: Vec<(u16, &str, &str)> = Vec::new();
    for container in containers {
        for port in &container.ports {
            if let Some((_, _, other)) =
                seen.iter().find(|(n, p, _)| (*n, *p) == (port.container_port, port.protocol.as_str()))
            {
                return Err(error::client(format!(
                    "The container port {}/{} of container '{}' conflicts with container '{other}': with network mode awsvpc the containers of a task share one network interface.",
                    port.container_port, port.protocol, container.name
                )));
            }
            seen.push((port.container_port, &port.protocol, &container.name));
        }
    }
    Ok(())
}

fn check_dependencies(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
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

fn container(c: wire::ContainerDefinition, volumes: &[String]) -> Result<ContainerDefinition, AwsError> {
    refuse!(c; repository_credentials, links, restart_policy, environment_files, volumes_from, secrets,
        version_consistency, hostname, disable_networking, privileged, dns_servers, dns_search_domains, extra_hosts,
        docker_security_options, resource_requirements, firelens_configuration, credential_specs);
    let name = c.name.unwrap_or_default();
    if !is_ecs_name(&name) {
        return Err(error::client(
            "Container.name should not be null or empty, and has letters, numbers, hyphens and underscores.",
        ));
    }
    let image = c
        .image
        .filter(|image| !image.is_empty())
        .ok_or_else(|| error::client("Container.image should not be null or empty."))?;
    let memory = positive("memory", &name, c.memory)?;
    let reservation = positive("memoryReservation", &name, c.memory_reservation)?;
    if memory.is_some_and(|limit| limit < 6) {
        return Err(error::client(format!("Invalid setting for container '{name}'. 'memory' must be at least 6 MiB.")));
    }
    if let (Some(limit), Some(soft)) = (memory, reservation)
        && limit < soft
    {
        return Err(error::client(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'."
        )));
    }
    let linux = c.linux_parameters.unwrap_or_default();
    refuse!(linux; devices, max_swap, swappiness);
    let capabilities = linux.capabilities.unwrap_or_default();
    // Fargate adds SYS_PTRACE only.
    if let Some(added) = capabilities.add.iter().flatten().find(|cap| *cap != "SYS_PTRACE") {
        return Err(error::client(format!("linuxParameters.capabilities.add {added}: Fargate adds SYS_PTRACE only.")));
    }
    Ok(ContainerDefinition {
        essential: c.essential.unwrap_or(true),
        cpu_units: c.cpu.map_or(Ok(0), |units| {
            u32::try_from(units).map_err(|_| error::client(format!("Invalid 'cpu' setting for container '{name}'.")))
        })?,
        memory_mib: memory,
        memory_reservation_mib: reservation,
        ports: c.port_mappings.unwrap_or_default().into_iter().map(|p| port(&name, p)).collect::<Result<_, _>>()?,
        entry_point: c.entry_point.filter(|list| !list.is_empty()),
        command: c.command.filter(|list| !list.is_empty()),
        environment: environment(c.environment)?,
        working_directory: c.working_directory,
        user: c.user,
        readonly_root: c.readonly_root_filesystem.unwrap_or(false),
        depends_on: c.depends_on.unwrap_or_default().into_iter().map(dependency).collect::<Result<_, _>>()?,
        start_timeout_seconds: timeout("startTimeout", &name, c.start_timeout)?,
        stop_timeout_seconds: timeout("stopTimeout", &name, c.stop_timeout)?,
        health_check: c.health_check.map(|h| health_check(&name, h)).transpose()?.flatten(),
        log: c.log_configuration.map(|l| log(&name, l)).transpose()?,
        ulimits: c.ulimits.unwrap_or_default().into_iter().map(ulimit).collect::<Result<_, _>>()?,
        docker_labels: c.docker_labels.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        capabilities_add: capabilities.add.unwrap_or_default(),
        init_process: linux.init_process_enabled.unwrap_or(false),
        tmpfs: linux.tmpfs.unwrap_or_default().into_iter().map(tmpfs).collect::<Result<_, _>>()?,
        shared_memory_mib: positive("sharedMemorySize", &name, linux.shared_memory_size)?,
        sysctls: c.system_controls.unwrap_or_default().into_iter().map(sysctl).collect::<Result<_, _>>()?,
        mounts: c
            .mount_points
            .unwrap_or_default()
            .into_iter()
            .map(|m| mount(&name, m, volumes))
            .collect::<Result<_, _>>()?,
        pseudo_terminal: c.pseudo_terminal.unwrap_or(false),
        interactive: c.interactive.unwrap_or(false),
        name,
        image,
    })
}

fn positive(setting: &str, container: &str, value: Option<i32>) -> Result<Option<u32>, AwsError> {
    match value {
        None => Ok(None),
        Some(n) if n > 0 => Ok(Some(n.unsigned_abs())),
        Some(n) => Err(error::client(format!("Invalid '{setting}' setting for container '{container}': {n}"))),
    }
}

fn timeout(setting: &str, container: &str, seconds: Option<i32>) -> Result<Option<u32>, AwsError> {
    match seconds {
        None => Ok(None),
        Some(n @ 2..=120) => Ok(Some(n.unsigned_abs())),
        Some(n) => Err(error::client(format!(
            "Invalid '{setting}' setting for container '{container}': {n}. Fargate takes 2 to 120 seconds."
        ))),
    }
}

fn port(container: &str, p: wire::PortMapping) -> Result<PortMapping, AwsError> {
    refuse!(p; container_port_range);
    let number = |n: Option<i32>| u16::try_from(n.unwrap_or(0)).ok().filter(|n| *n > 0);
    let container_port = number(p.container_port)
        .ok_or_else(|| error::client(format!("Invalid 'containerPort' setting for container '{container}'.")))?;
    if p.host_port.is_some_and(|host| host != i32::from(container_port)) {
        return Err(error::client(
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ));
    }
    Ok(PortMapping {
        container_port,
        protocol: p.protocol.unwrap_or_else(|| "tcp".to_owned()),
        name: p.name,
        app_protocol: p.app_protocol,
    })
}

pub fn environment(given: Option<Vec<wire::KeyValuePair>>) -> Result<Vec<(String, String)>, AwsError> {
    given
        .unwrap_or_default()
        .into_iter()
        .map(|pair| match pair.name.filter(|name| !name.is_empty() && !name.contains('=')) {
            Some(name) => Ok((name, pair.value.unwrap_or_default())),
            None => Err(error::client("Environment variable names must not be empty or contain '='.")),
        })
        .collect()
}

fn dependency(d: wire::ContainerDependency) -> Result<(String, DependencyCondition), AwsError> {
    let condition = d.condition.unwrap_or_default();
    match DependencyCondition::parse(&condition) {
        Some(condition) => Ok((d.container_name.unwrap_or_default(), condition)),
        None => Err(error::client(format!("Invalid container dependency condition '{condition}'."))),
    }
}

fn health_check(container: &str, h: wire::HealthCheck) -> Result<Option<HealthCheck>, AwsError> {
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

fn log(container: &str, l: wire::LogConfiguration) -> Result<AwsLogs, AwsError> {
    refuse!(l; secret_options);
    let driver = l.log_driver.unwrap_or_default();
    if driver != "awslogs" {
        return Err(error::unsupported(&format!("logConfiguration.logDriver {driver} (container '{container}')")));
    }
    let options = l.options.unwrap_or_default();
    let known =
        ["awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "mode", "max-buffer-size"];
    if let Some(other) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(error::unsupported(&format!("logConfiguration.options {other} (container '{container}')")));
    }
    let required = |key: &str| {
        options
            .get(key)
            .filter(|v| !v.is_empty())
            .cloned()
            .ok_or_else(|| error::client(format!("Log driver awslogs requires options: {key}")))
    };
    let blocking = match options.get("mode").map(String::as_str) {
        None | Some("non-blocking") => false,
        Some("blocking") => true,
        Some(mode) => return Err(error::client(format!("Invalid logging mode '{mode}'."))),
    };
    let max_buffer_bytes = match options.get("max-buffer-size") {
        None => 10 << 20,
        Some(size) => {
            parse_size(size).ok_or_else(|| error::client(format!("Invalid 'max-buffer-size' option: {size}")))?
        }
    };
    Ok(AwsLogs {
        group: required("awslogs-group")?,
        region: Region::from(required("awslogs-region")?.as_str()),
        stream_prefix: required("awslogs-stream-prefix")?,
        create_group: options.get("awslogs-create-group").is_some_and(|v| v == "true"),
        blocking,
        max_buffer_bytes,
        options,
    })
}

/// Bytes from `4m`, `512k`, `1024`.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().filter(|n| *n > 0).and_then(|n| n.checked_mul(factor))
}

fn ulimit(u: wire::Ulimit) -> Result<Ulimit, AwsError> {
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

fn tmpfs(t: wire::Tmpfs) -> Result<(String, u32, Vec<String>), AwsError> {
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

fn sysctl(s: wire::SystemControl) -> Result<(String, String), AwsError> {
    let name = s.namespace.unwrap_or_default();
    // Those of the task's own namespaces; others would change the host.
    if !name.starts_with("net.") {
        return Err(error::client(format!(
            "systemControls namespace '{name}' is not supported: Fargate takes those of net.*."
        )));
    }
    Ok((name, s.value.unwrap_or_default()))
}

fn mount(container: &str, m: wire::MountPoint, volumes: &[String]) -> Result<MountPoint, AwsError> {
    let volume = m.source_volume.unwrap_or_default();
    if !volumes.contains(&volume) {
        return Err(error::client(format!("Unknown volume '{volume}'.")));
    }
    let path = m.container_path.filter(|path| path.starts_with('/')).ok_or_else(|| {
        error::client(format!("mountPoints.containerPath of container '{container}' must be an absolute path."))
    })?;
    Ok(MountPoint { volume, path, read_only: m.read_only.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_in_many_spellings() {
        assert_eq!(parse_cpu(".5vCPU"), Ok(512));
        assert_eq!(parse_cpu("1 vcpu"), Ok(1024));
        assert_eq!(parse_cpu("256"), Ok(256));
        assert_eq!(parse_memory("1GB"), Ok(1024));
        assert_eq!(parse_memory("0.5 GB"), Ok(512));
        assert_eq!(parse_memory("2048"), Ok(2048));
        for bad in ["", "x", "-1", "0", "vCPU", "nanvcpu", "1e9vcpu"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn buffer_sizes_parse() {
        assert_eq!(
            (parse_size("4m"), parse_size("25mb"), parse_size("512")),
            (Some(4 << 20), Some(25 << 20), Some(512))
        );
        assert_eq!((parse_size("0"), parse_size("m"), parse_size("1x")), (None, None, None));
    }
}
