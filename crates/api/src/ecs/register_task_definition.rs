//! RegisterTaskDefinition: a new revision of a family. Every field is obeyed by the node, or refused here by name.

use super::container_parts::*;
use super::unsupported::{IsSet, refuse, refuse_on_fargate};
use super::{environment_files, error, launch, log_options, names, secrets, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{self as wire, RegisterTaskDefinitionInput, RegisterTaskDefinitionOutput};
use longshore_planner::fargate;
use longshore_store::Tx;
use longshore_types::ecs::*;
use longshore_types::id::{Family, is_ecs_name};
use std::collections::BTreeSet;

pub fn register_task_definition(
    tx: &mut Tx,
    cx: &Cx,
    mut input: RegisterTaskDefinitionInput,
) -> Result<RegisterTaskDefinitionOutput, AwsError> {
    // Common tools send empty names for none, and ECS takes them so.
    input.task_role_arn.take_if(|role| role.is_empty());
    input.execution_role_arn.take_if(|role| role.is_empty());
    refuse_on_fargate!(input; placement_constraints, inference_accelerators);
    refuse!(input; proxy_configuration, enable_fault_injection, trusted_execution_configuration);
    if input.ipc_mode.is_set() {
        return Err(error::client("Tasks using the Fargate launch type do not support ipcMode."));
    }
    let shared_pids = shares_pids(input.pid_mode.as_deref())?;
    if !is_ecs_name(&input.family) {
        return Err(error::client(format!("Invalid family name: {}", input.family)));
    }
    check_compatibility(&input)?;
    let cpu_units = input.cpu.as_deref().map(parse_cpu).transpose()?.unwrap_or(0);
    let memory_mib = input.memory.as_deref().map(parse_memory).transpose()?.unwrap_or(0);
    check_size(cpu_units, memory_mib)?;
    let ephemeral_gib = ephemeral_gib(input.ephemeral_storage)?;
    let volumes = volumes(input.volumes.unwrap_or_default())?;
    let containers = containers(input.container_definitions, &volumes)?;
    let asked = containers.iter().map(|c| (c.cpu_units, c.memory_mib.or(c.memory_reservation_mib).unwrap_or(0)));
    check_shares(asked, cpu_units, memory_mib)?;
    for role in [&input.task_role_arn, &input.execution_role_arn].into_iter().flatten() {
        launch::role_name(role).ok_or_else(|| error::client("Role is not valid"))?;
    }
    check_logs_have_role(&containers, input.execution_role_arn.as_deref())?;
    secrets::check(&containers, input.execution_role_arn.as_deref())?;
    let platform = input.runtime_platform.unwrap_or_default();
    check_platform(&platform)?;

    let family = Family::from(input.family.as_str());
    let scoped = (cx.scope.clone(), family.clone());
    let newest = tx.task_definitions().last(&scoped).map_or(0, |(_, newest)| newest.revision);
    let deleted = tx.deleted_revisions().get(&scoped).map_or(0, |deleted| deleted.latest);
    let revision = newest.max(deleted) + 1;
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
        shared_pids,
        ephemeral_gib,
        cpu_architecture: platform.cpu_architecture,
        operating_system_family: platform.operating_system_family,
        registered_at: cx.now,
        registered_by: cx.caller.arn.clone(),
        deregistered_at: None,
        delete_requested_at: None,
        tags: names::tags(input.tags)?,
    };
    check_length(&definition)?;
    let sent = view::task_definition(&cx.scope, &definition);
    let tags = view::tags(&definition.tags);
    tx.task_definitions().put((cx.scope.clone(), family, revision), definition);
    Ok(RegisterTaskDefinitionOutput { task_definition: Some(sent), tags: Some(tags) })
}

/// Of a task definition as JSON.
const LENGTH_MAX: usize = 64 << 10;

fn check_length(definition: &TaskDefinition) -> Result<(), AwsError> {
    let length = serde_json::to_vec(definition).map_or(0, |json| json.len());
    match length > LENGTH_MAX {
        true => Err(error::client(format!("Actual length: '{length}'. Max allowed length is '{LENGTH_MAX}' bytes."))),
        false => Ok(()),
    }
}

fn check_compatibility(input: &RegisterTaskDefinitionInput) -> Result<(), AwsError> {
    let given = || input.requires_compatibilities.iter().flatten();
    let for_fargate = given().any(|compatibility| compatibility == "FARGATE");
    for compatibility in given() {
        // What is good for Fargate and for EC2 is run on Fargate.
        if compatibility != "FARGATE" && !(compatibility == "EC2" && for_fargate) {
            return Err(error::unsupported(&format!("requiresCompatibilities {compatibility}")));
        }
    }
    let mode = input.network_mode.as_deref();
    match mode {
        Some("awsvpc") => Ok(()),
        _ if for_fargate => Err(error::client("Fargate only supports network mode ‘awsvpc’.")),
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

/// On Fargate a task shares the host's processes with nobody.
fn shares_pids(mode: Option<&str>) -> Result<bool, AwsError> {
    match mode {
        None | Some("") => Ok(false),
        Some("task") => Ok(true),
        Some(mode) => {
            Err(error::client(format!("Tasks using the Fargate launch type do not support pidMode '{mode}'.")))
        }
    }
}

/// GiB, within what Fargate offers.
pub fn ephemeral_gib(storage: Option<wire::EphemeralStorage>) -> Result<Option<u32>, AwsError> {
    let Some(storage) = storage else { return Ok(None) };
    match storage.size_in_gib {
        Some(gib @ 21..=200) => Ok(Some(gib.unsigned_abs())),
        gib => Err(error::client(format!(
            "Invalid 'ephemeralStorage.sizeInGiB' setting for task: {}. Fargate offers 21 to 200 GiB.",
            gib.unwrap_or(0)
        ))),
    }
}

/// The containers' CPU units and MiB fit into the task's.
pub fn check_shares(
    containers: impl Iterator<Item = (u32, u32)>,
    task_cpu_units: u32,
    task_memory_mib: u32,
) -> Result<(), AwsError> {
    let (mut cpu, mut memory) = (0u64, 0u64);
    for (units, mib) in containers {
        cpu += u64::from(units);
        memory += u64::from(mib);
    }
    if cpu > u64::from(task_cpu_units) {
        return Err(error::client(format!(
            "Invalid 'cpu' setting: the containers ask for {cpu} CPU units, the task has {task_cpu_units}."
        )));
    }
    if memory > u64::from(task_memory_mib) {
        return Err(error::client(format!(
            "Invalid 'memory' setting: the containers ask for {memory} MiB, the task has {task_memory_mib} MiB."
        )));
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

fn containers(given: Vec<wire::ContainerDefinition>, volumes: &[String]) -> Result<Vec<ContainerDefinition>, AwsError> {
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
    check_volumes_from(&containers)?;
    Ok(containers)
}

fn container(c: wire::ContainerDefinition, volumes: &[String]) -> Result<ContainerDefinition, AwsError> {
    refuse_on_fargate!(c; links, hostname, disable_networking, privileged, dns_servers, dns_search_domains, extra_hosts,
        docker_security_options);
    refuse!(c; resource_requirements, firelens_configuration, credential_specs);
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
    refuse_on_fargate!(linux; devices, shared_memory_size, max_swap, swappiness);
    let capabilities = linux.capabilities.unwrap_or_default();
    check_capabilities(&capabilities)?;
    let mounts: Vec<MountPoint> =
        c.mount_points.unwrap_or_default().into_iter().map(|m| mount(&name, m, volumes)).collect::<Result<_, _>>()?;
    check_mounts(&name, &mounts)?;
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
        environment_files: environment_files::arns(c.environment_files, &name)?,
        secrets: secrets::references(c.secrets, &name)?,
        repository_credentials: secrets::repository_credentials(c.repository_credentials, &name)?,
        working_directory: c.working_directory,
        user: c.user,
        readonly_root: c.readonly_root_filesystem.unwrap_or(false),
        depends_on: c.depends_on.unwrap_or_default().into_iter().map(dependency).collect::<Result<_, _>>()?,
        start_timeout_seconds: timeout("startTimeout", &name, c.start_timeout)?,
        stop_timeout_seconds: timeout("stopTimeout", &name, c.stop_timeout)?,
        health_check: c.health_check.map(|h| health_check(&name, h)).transpose()?.flatten(),
        log: c.log_configuration.map(|l| log_options::parse(&name, l)).transpose()?,
        ulimits: c.ulimits.unwrap_or_default().into_iter().map(ulimit).collect::<Result<_, _>>()?,
        docker_labels: c.docker_labels.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        capabilities_add: capabilities.add.unwrap_or_default(),
        init_process: linux.init_process_enabled.unwrap_or(false),
        tmpfs: linux.tmpfs.unwrap_or_default().into_iter().map(tmpfs).collect::<Result<_, _>>()?,
        sysctls: c.system_controls.unwrap_or_default().into_iter().map(sysctl).collect::<Result<_, _>>()?,
        mounts,
        volumes_from: c.volumes_from.unwrap_or_default().into_iter().map(volume_from).collect::<Result<_, _>>()?,
        restart_policy: c.restart_policy.map(|policy| restart_policy(&name, policy)).transpose()?,
        version_consistency: c.version_consistency,
        pseudo_terminal: c.pseudo_terminal.unwrap_or(false),
        interactive: c.interactive.unwrap_or(false),
        name,
        image,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(change: impl FnOnce(&mut RegisterTaskDefinitionInput)) -> Result<(), AwsError> {
        let container = wire::ContainerDefinition {
            name: Some("app".to_owned()),
            image: Some("app:1".to_owned()),
            ..Default::default()
        };
        let mut input = RegisterTaskDefinitionInput {
            family: "app".to_owned(),
            container_definitions: vec![container],
            network_mode: Some("awsvpc".to_owned()),
            cpu: Some("256".to_owned()),
            memory: Some("512".to_owned()),
            ..Default::default()
        };
        change(&mut input);
        crate::ecs::testing::World::new().write(|tx, cx| register_task_definition(tx, cx, input)).map(drop)
    }

    #[test]
    fn the_number_of_a_deleted_revision_does_not_come_again() {
        let world = crate::ecs::testing::World::new();
        world.define("new");
        world.fixture.write(|tx, cx| {
            let family = (cx.scope.clone(), Family::from("new"));
            tx.task_definitions().remove(&(cx.scope.clone(), "new".into(), 1));
            tx.deleted_revisions().put(family, DeletedRevision { latest: 1 });
        });
        world.define("new");
        let numbers = world.read(|state, _| {
            state
                .task_definitions()
                .all()
                .filter(|row| row.family.as_str() == "new")
                .map(|row| row.revision)
                .collect::<Vec<_>>()
        });
        assert_eq!(numbers, [2]);
    }

    #[test]
    fn a_task_definition_has_at_most_64_kib() {
        let with_variable = |bytes: usize| {
            let variable = wire::KeyValuePair { name: Some("A".to_owned()), value: Some("x".repeat(bytes)) };
            registered(|input| input.container_definitions[0].environment = Some(vec![variable]))
        };
        assert_eq!(with_variable(60_000), Ok(()));
        let error = with_variable(70_000).expect_err("it is too long");
        assert_eq!(error.code, "ClientException");
        assert!(error.message.starts_with("Actual length: '7"), "{}", error.message);
        assert!(error.message.ends_with("Max allowed length is '65536' bytes."), "{}", error.message);
    }

    #[test]
    fn a_role_has_a_name_or_an_arn_of_iam() {
        let with_role = |role: &str| registered(|input| input.execution_role_arn = Some(role.to_owned()));
        for good in ["", "task", "arn:aws:iam::000000000000:role/path/task@1"] {
            assert_eq!(with_role(good), Ok(()));
        }
        for bad in ["a b", "arn:aws:iam::000000000000:user/task", "arn:aws:ecs:us-east-1:000000000000:role/task"] {
            assert_eq!(with_role(bad), Err(error::client("Role is not valid")), "{bad}");
        }
    }

    #[test]
    fn what_is_for_ec2_too_is_run_on_fargate() {
        let check = |given: &[&str]| {
            let given = given.iter().map(|text| (*text).to_owned()).collect();
            let network_mode = Some("awsvpc".to_owned());
            let input = RegisterTaskDefinitionInput {
                requires_compatibilities: Some(given),
                network_mode,
                ..Default::default()
            };
            check_compatibility(&input).map_err(|error| error.message)
        };
        assert_eq!(check(&["EC2", "FARGATE"]), Ok(()));
        let refused = |what| Err(format!("requiresCompatibilities {what} is not supported by Longshore yet."));
        assert_eq!(check(&["EC2"]), refused("EC2"));
        assert_eq!(check(&["FARGATE", "EXTERNAL"]), refused("EXTERNAL"));
    }

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
}
